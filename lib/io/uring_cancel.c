#include "io/native.h"
#include "io/uring.h"

enum { SETTLE_ROUNDS = 1000 };

/*
 * A request that waits in the kernel is cancelled when we submit that, and its last completion
 * is there when the call returns.  Only where a thread of the kernel's submits (SQPOLL) is it
 * waited for.
 */

/* False: the queue is full, and the kernel takes nothing now. */
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

static uint64_t data_of_reads(struct apusi_slot *slot)
{
	enum apusi_uring_kind kind = APUSI_URING_READ;

	if (apusi_uring_slot_of(slot)->how & APUSI_URING_FEEDS)
		kind = slot->flags & APUSI_LISTENS ? APUSI_URING_ACCEPT : APUSI_URING_RECEIVE;
	return apusi_uring_data(slot, kind);
}

/* True: the end of each of the slot's requests that the mask names was asked for. */
static bool cancel_armed(struct apus_io *io, struct apusi_slot *slot, uint8_t mask)
{
	const struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	uint8_t armed = own->armed & mask;

	return (!(armed & APUSI_URING_READS) || cancel_ask(io, data_of_reads(slot), 0)) &&
	       (!(armed & APUSI_URING_WRITES) ||
		cancel_ask(io, apusi_uring_data(slot, APUSI_URING_WRITE), 0)) &&
	       (!(armed & APUSI_URING_HANGUPS) ||
		cancel_ask(io, apusi_uring_data(slot, APUSI_URING_HANGUP), 0));
}

/* Takes completions until nothing of what the mask names is left, or it takes too long. */
static void settle(struct apus_io *io, struct apusi_slot *slot, uint8_t mask)
{
	const struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	bool asked = false;
	int round;

	for (round = 0; round < SETTLE_ROUNDS && (own->armed & mask) != 0; round++) {
		asked = asked || cancel_armed(io, slot, mask);
		apusi_uring_flush(io, round == 0 ? 0 : APUS_MSEC);
	}
}

void apusi_uring_remove(struct apus_io *io, struct apusi_slot *slot)
{
	if (io->is_closing)
		return; /* all are cancelled at once */
	settle(io, slot, APUSI_URING_READS | APUSI_URING_WRITES | APUSI_URING_HANGUPS);
}

/* ---- what nobody waits for here ---------------------------------------------------- */

void apusi_uring_cancel_op(struct apus_io *io, struct apusi_native_op *request)
{
	request->owes = !cancel_ask(io, (uintptr_t)request, 0);
	apusi_uring_of(io)->owes |= request->owes;
}

void apusi_uring_stop(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);

	own->how |= APUSI_URING_STOPPING;
	own->how &= (uint8_t)~APUSI_URING_OWES;
	if (cancel_ask(io, data_of_reads(slot), 0))
		return;
	own->how |= APUSI_URING_OWES;
	apusi_uring_of(io)->owes = true;
}

/* The kernel took nothing for a while: that is rare enough to look at all that there is. */
static APUS_COLD bool pay(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	uint32_t i;

	uring->owes = false;
	for (i = 0; i < uring->operations.used_count; i++) {
		struct apusi_native_op *request = apus_slab_at(&uring->operations, i);

		if (request->owes)
			apusi_uring_cancel_op(io, request);
	}
	for (i = 0; i < io->slots.used_count; i++) {
		struct apusi_slot *slot = apus_slab_at(&io->slots, i);

		if (slot->fd >= 0 && (apusi_uring_slot_of(slot)->how & APUSI_URING_OWES) != 0)
			apusi_uring_stop(io, slot);
	}
	return !uring->owes;
}

bool apusi_uring_pay(struct apus_io *io)
{
	return apus_likely(!apusi_uring_of(io)->owes) || pay(io);
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
	settle(io, slot, APUSI_URING_READS);
	return own->count != 0 || own->error != 0 ? -EBUSY : 0;
}

/* ---- the wake descriptor, and all ------------------------------------------------- */

void apusi_uring_cancel_wake(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	bool asked = false;
	int round;

	for (round = 0; round < SETTLE_ROUNDS && uring->wakes; round++) {
		asked = asked || cancel_ask(io, APUSI_URING_WAKE, 0);
		apusi_uring_flush(io, round == 0 ? 0 : APUS_MSEC);
	}
}

uint32_t apusi_uring_cancel_all(struct apus_io *io, int64_t timeout_ns)
{
	const unsigned all = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
	struct apusi_uring *uring = apusi_uring_of(io);
	int64_t waited_ns;
	bool asked;

	if (uring->in_flight == 0)
		return 0;
	asked = cancel_ask(io, 0, all);
	apusi_uring_flush(io, 0);
	for (waited_ns = 0; waited_ns < timeout_ns && uring->in_flight != 0; waited_ns += APUS_MSEC) {
		asked = asked || cancel_ask(io, 0, all);
		apusi_uring_flush(io, APUS_MSEC);
	}
	return uring->in_flight;
}
