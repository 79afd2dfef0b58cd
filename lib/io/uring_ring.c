#include <time.h>

#include "io/uring.h"

/* ---- submitting --------------------------------------------------------------- */

/*
 * A full queue is no refusal: what is in it goes to the kernel, and makes room.  Where a
 * thread of the kernel's takes it (SQPOLL), that takes a moment.
 */
static APUS_COLD struct io_uring_sqe *claim_slow(struct apusi_uring *uring)
{
	struct io_uring_sqe *sqe;

	do {
		uring->counts.enters++;
		if (io_uring_submit(&uring->ring) < 0)
			return NULL;
		sqe = io_uring_get_sqe(&uring->ring);
		if (sqe == NULL && (uring->ring.flags & IORING_SETUP_SQPOLL) != 0)
			io_uring_sqring_wait(&uring->ring);
	} while (sqe == NULL && (uring->ring.flags & IORING_SETUP_SQPOLL) != 0);
	return sqe;
}

struct io_uring_sqe *apusi_uring_claim(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	io->has_queued = true;
	return apus_likely(sqe != NULL) ? sqe : claim_slow(uring);
}

/* What the kernel does not take now (it has no memory) stays in the queue for the next turn. */
void apusi_uring_submit(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);

	if (io_uring_sq_ready(&uring->ring) != 0) {
		uring->counts.enters++;
		(void)io_uring_submit(&uring->ring);
	}
	io->has_queued = io_uring_sq_ready(&uring->ring) != 0;
	if (apus_unlikely(uring->owes))
		(void)apusi_uring_pay(io);
}

bool apusi_uring_prepare(struct apus_io *io)
{
	if (!apusi_uring_can_wake(io) || !apusi_uring_pay(io))
		return false;
	apusi_uring_submit(io);
	return io_uring_sq_ready(&apusi_uring_of(io)->ring) == 0;
}

/* ---- completions ---------------------------------------------------------------- */

static inline void dispatch(struct apus_io *io, const struct io_uring_cqe *cqe)
{
	switch (cqe->user_data & APUSI_URING_KIND_MASK) {
	case APUSI_URING_OPERATION:
		apusi_uring_answered(io, cqe);
		break;
	case APUSI_URING_READ:
	case APUSI_URING_WRITE:
		apusi_uring_polled(io, cqe);
		break;
	case APUSI_URING_RECEIVE:
		apusi_uring_received(io, cqe);
		break;
	case APUSI_URING_ACCEPT:
		apusi_uring_accepted(io, cqe);
		break;
	case APUSI_URING_HANGUP:
		apusi_uring_hung_up(io, cqe);
		break;
	case APUSI_URING_WAKE:
		apusi_uring_woken(io, cqe);
		break;
	default:
		break;
	}
}

/*
 * An entry is given back before it is acted upon: what is done about it may look at the
 * queue itself.
 */
static inline bool take_one(struct io_uring_cq *cq, struct io_uring_cqe *out)
{
	unsigned head = *cq->khead; /* ours */

	if (head == io_uring_smp_load_acquire(cq->ktail))
		return false;
	*out = cq->cqes[head & cq->ring_mask];
	io_uring_smp_store_release(cq->khead, head + 1);
	return true;
}

static uint32_t take(struct apus_io *io, uint32_t budget)
{
	struct io_uring_cq *cq = &apusi_uring_of(io)->ring.cq;
	struct io_uring_cqe cqe;
	uint32_t count = 0;

	while (count < budget && take_one(cq, &cqe)) {
		dispatch(io, &cqe);
		count++;
	}
	return count;
}

/* ---- reaping ---------------------------------------------------------------------- */

/*
 * Without a flag of the kernel's there is nothing to be had from it: a look at the two
 * queues is all that an idle reap costs.  What was asked for outside of a turn is in the
 * queue of submissions still.
 */
static inline bool wants_kernel(const struct io_uring *ring)
{
	unsigned flags = IO_URING_READ_ONCE(*ring->sq.kflags);

	return (flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0 ||
	       io_uring_sq_ready(ring) != 0;
}

static APUS_COLD void wait_for(struct apusi_uring *uring, int64_t timeout_ns)
{
	struct __kernel_timespec time = { timeout_ns / APUS_SEC, timeout_ns % APUS_SEC };
	struct io_uring_cqe *cqe;

	uring->counts.enters++;
	/* A time that is over, and EINTR, are reaps that found nothing. */
	(void)io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1,
		timeout_ns == APUS_NEVER ? NULL : &time, NULL);
}

static inline void ask(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);

	uring->counts.enters++;
	(void)io_uring_submit_and_get_events(&uring->ring);
	if (apus_unlikely(uring->owes))
		(void)apusi_uring_pay(io);
}

uint32_t apusi_uring_reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	struct apusi_uring *uring = apusi_uring_of(io);

	if (apus_unlikely(timeout_ns != 0) && apusi_uring_can_wake(io) && apusi_uring_pay(io))
		wait_for(uring, timeout_ns);
	else if (wants_kernel(&uring->ring))
		ask(io);
	return take(io, budget);
}

void apusi_uring_flush(struct apus_io *io, int64_t timeout_ns)
{
	if (timeout_ns == 0)
		ask(io);
	else
		wait_for(apusi_uring_of(io), timeout_ns);
	take(io, UINT32_MAX);
}
