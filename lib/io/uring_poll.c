#define _GNU_SOURCE
#include <poll.h>
#include <sys/stat.h>

#include "io/uring.h"

/*
 * The kernel's habits, lettered.
 *
 * [A] A request holds the open file: its number may be closed and given out again, and the
 *     request still is for the file that it was made for.
 * [B] A request for several events ends by itself when the completion queue has no room.  It
 *     is told without IORING_CQE_F_MORE; the slot is not watched any more then, all is worth
 *     a try, and whoever waits next makes another.
 * [C] It tells the events that a wake-up was for, not those that are: a socket's bytes come
 *     with POLLPRI.  That means something to TCP only, and costs it a read that is refused.
 * [D] What cannot be polled is always ready to io_uring, where epoll refuses it.  We refuse
 *     it too: a task that reads a file as if it were a pipe blocks the loop.
 */

static inline uint32_t ready_of(uint32_t events)
{
	uint32_t ready = 0;

	if (apus_likely(events == POLLIN))
		return APUSI_IN;
	if (events & POLLIN)
		ready |= APUSI_IN;
	if (events & POLLOUT)
		ready |= APUSI_OUT;
	if (events & POLLRDHUP)
		ready |= APUSI_RDHUP;
	if (events & POLLHUP)
		ready |= APUSI_HUP;
	if (events & POLLERR)
		ready |= APUSI_ERR;
	if (events & POLLPRI)
		ready |= APUSI_PRI;
	return ready;
}

/* ---- watching ------------------------------------------------------------------- */

/* See [D]. */
static int check_pollable(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat) != 0)
		return -errno;
	return S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode) ? -EPERM : 0;
}

int apusi_uring_check(struct apus_io *io, const struct apusi_slot *slot)
{
	return apusi_slot_is_twice(io, slot) ? -EEXIST : check_pollable(slot->fd);
}

static int arm_poll(struct apus_io *io, int fd, uint64_t data, uint32_t events, bool many)
{
	struct io_uring_sqe *sqe = apusi_uring_claim(io);

	if (apus_unlikely(sqe == NULL))
		return -EAGAIN;
	if (many)
		io_uring_prep_poll_multishot(sqe, fd, events);
	else
		io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data64(sqe, data);
	apusi_uring_of(io)->in_flight++;
	return 0;
}

/* What may be received by the backend and is not now is polled once: then it is decided anew. */
static int arm_polled(struct apus_io *io, struct apusi_slot *slot)
{
	bool many = (slot->flags & (APUSI_SHORT | APUSI_BRIEF | APUSI_LISTENS)) == 0;

	return arm_poll(io, slot->fd, apusi_uring_data(slot, APUSI_URING_READ),
		POLLIN | POLLRDHUP | POLLPRI, many);
}

static int arm_reads(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	int err;

	if (own->armed & APUSI_URING_READS)
		return 0;
	if (apusi_uring_can_receive(io, slot))
		err = apusi_uring_arm_receive(io, slot);
	else if (apusi_uring_can_accept(io, slot))
		err = apusi_uring_arm_accept(io, slot);
	else
		err = arm_polled(io, slot);
	if (!err)
		own->armed |= APUSI_URING_READS;
	return err;
}

/* Once: to a datagram or Unix socket each byte that leaves is an event. */
static int arm_writes(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	int err;

	if (own->armed & APUSI_URING_WRITES)
		return 0;
	err = arm_poll(io, slot->fd, apusi_uring_data(slot, APUSI_URING_WRITE), POLLOUT, false);
	if (!err)
		own->armed |= APUSI_URING_WRITES;
	return err;
}

int apusi_uring_watch(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	return writer ? arm_writes(io, slot) : arm_reads(io, slot);
}

/* ---- completions ------------------------------------------------------------------ */

/* The request has ended: the slot is watched no more in that direction, see [B]. */
static void poll_ended(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	apusi_uring_slot_of(slot)->armed &=
		(uint8_t)~(writer ? APUSI_URING_WRITES : APUSI_URING_READS);
	apusi_slot_unwatched(io, slot, writer ? APUSI_WATCHED_OUT : APUSI_WATCHED);
}

void apusi_uring_polled(struct apus_io *io, const struct io_uring_cqe *cqe)
{
	bool writer = (cqe->user_data & APUSI_URING_KIND_MASK) == APUSI_URING_WRITE;
	uint64_t token = apusi_uring_token(cqe->user_data);
	struct apusi_slot *slot = apusi_slot_find(io, token);
	uint32_t ready;

	if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
		apusi_uring_of(io)->in_flight--;
		if (slot != NULL)
			poll_ended(io, slot, writer);
	}
	if (apus_unlikely(cqe->res == -ECANCELED))
		return;
	/* What is wrong, the caller's own call will be told. */
	ready = apus_likely(cqe->res >= 0) ? ready_of((uint32_t)cqe->res) : APUSI_ERR;
	if ((ready & APUSI_IN) != 0 && slot != NULL && (slot->flags & APUSI_SHORT) == 0)
		ready &= ~(uint32_t)APUSI_PRI; /* see [C] */
	if (apus_unlikely((cqe->flags & IORING_CQE_F_MORE) == 0 && !writer))
		ready |= APUSI_RDHUP; /* see [B] */
	apusi_io_event(io, token, ready);
}

/* ---- the wake descriptor ------------------------------------------------------------ */

static int arm_wake(struct apus_io *io, int fd)
{
	int err = arm_poll(io, fd, APUSI_URING_WAKE, POLLIN, true);

	apusi_uring_of(io)->wakes = err == 0;
	return err;
}

void apusi_uring_woken(struct apus_io *io, const struct io_uring_cqe *cqe)
{
	struct apusi_uring *uring = apusi_uring_of(io);

	if (cqe->res == -ECANCELED) {
		uring->in_flight--;
		uring->wakes = false;
		return;
	}
	apusi_io_drain_wake(io);
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	uring->in_flight--;
	uring->wakes = false;
	if (!io->is_closing) /* which has cancelled what there was, and waits for no other */
		(void)arm_wake(io, io->wake_fd); /* a queue that was full has room now */
}

/* A request that ended and could not be made again, since the kernel took none, is made now. */
bool apusi_uring_can_wake(struct apus_io *io)
{
	return apusi_uring_of(io)->wakes || io->wake_fd < 0 || arm_wake(io, io->wake_fd) == 0;
}

int apusi_uring_set_wake(struct apus_io *io, int fd)
{
	if (apusi_uring_of(io)->wakes)
		apusi_uring_cancel_wake(io);
	return fd < 0 ? 0 : arm_wake(io, fd);
}
