#include "io/uring.h"

enum { SETTLE_ROUNDS = 1000 };

/*
 * A request that waits in the kernel is cancelled when we submit that, and its last completion
 * is there when the call returns.  Only where a thread of the kernel's submits (SQPOLL) is it
 * waited for.
 */

static bool cancel_ask(struct apus_io *io, uint64_t data, unsigned flags)
{
	struct io_uring_sqe *sqe = apusi_uring_claim(io);

	if (sqe == NULL)
		return false;
	io_uring_prep_cancel64(sqe, data, (int)flags);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, APUSI_URING_NONE);
	return true;
}

/* Takes completions until nothing of what the mask names is left, or it takes too long. */
static void settle(struct apus_io *io, const uint8_t *armed, uint8_t mask)
{
	int round;

	for (round = 0; round < SETTLE_ROUNDS && (*armed & mask) != 0; round++)
		apusi_uring_flush(io, round == 0 ? 0 : APUS_MSEC);
}

void apusi_uring_cancel(struct apus_io *io, uint64_t data)
{
	(void)cancel_ask(io, data, 0);
}

static void cancel_reads(struct apus_io *io, struct apusi_slot *slot)
{
	enum apusi_uring_kind kind = APUSI_URING_READ;

	if (apusi_uring_slot_of(slot)->how & APUSI_URING_FEEDS)
		kind = slot->flags & APUSI_LISTENS ? APUSI_URING_ACCEPT : APUSI_URING_RECEIVE;
	(void)cancel_ask(io, apusi_uring_data(slot, kind), 0);
}

void apusi_uring_remove(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);

	if (io->is_closing || own->armed == 0)
		return; /* all are cancelled at once */
	if (own->armed & APUSI_URING_READS)
		cancel_reads(io, slot);
	if (own->armed & APUSI_URING_WRITES)
		(void)cancel_ask(io, apusi_uring_data(slot, APUSI_URING_WRITE), 0);
	if (own->armed & APUSI_URING_HANGUPS)
		(void)cancel_ask(io, apusi_uring_data(slot, APUSI_URING_HANGUP), 0);
	settle(io, &own->armed, APUSI_URING_READS | APUSI_URING_WRITES | APUSI_URING_HANGUPS);
}

/* ---- what a slot holds ----------------------------------------------------------- */

void apusi_uring_drop(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);

	if (slot->flags & APUSI_LISTENS)
		apusi_uring_accept_drop(io, own);
	else
		apusi_uring_receive_drop(io, own);
}

int apusi_uring_let_go(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);

	own->how |= APUSI_URING_DIRECT;
	if (own->armed & APUSI_URING_READS) {
		cancel_reads(io, slot);
		settle(io, &own->armed, APUSI_URING_READS);
	}
	return own->count != 0 || own->error != 0 ? -EBUSY : 0;
}

/* ---- the wake descriptor, and all ------------------------------------------------- */

void apusi_uring_cancel_wake(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	int round;

	(void)cancel_ask(io, APUSI_URING_WAKE, 0);
	for (round = 0; round < SETTLE_ROUNDS && uring->wakes; round++)
		apusi_uring_flush(io, round == 0 ? 0 : APUS_MSEC);
}

uint32_t apusi_uring_cancel_all(struct apus_io *io, int64_t timeout_ns)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	int64_t waited_ns;

	if (uring->in_flight == 0)
		return 0;
	(void)cancel_ask(io, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	apusi_uring_flush(io, 0);
	for (waited_ns = 0; waited_ns < timeout_ns && uring->in_flight != 0; waited_ns += APUS_MSEC)
		apusi_uring_flush(io, APUS_MSEC);
	return uring->in_flight;
}
