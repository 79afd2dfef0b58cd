/*
 * io/uring.h - the io_uring backend: its state, and what its files share.
 *
 *   Errors     0 or -errno.
 *   Ownership  the ring owns what the kernel reports into; a slot owns its descriptor.
 *   Threads    the loop's thread only: the ring has a single issuer.
 *   Source     io_uring: Axboe, "Efficient IO with io_uring", 2019.
 *
 * A slot has at most two requests in the kernel: one for reading, which goes on until it is
 * cancelled (multishot), and one for writing, which ends with its first event.  Both hold the
 * open file, so a slot is not ended before the kernel has answered the last of them: `settle`
 * cancels, and reaps until that has happened.  Hence no completion ever names a slot that is
 * gone, and what a cancelled request still brought is seen while the slot lives.
 *
 * The files, by theme: uring.c the verbs, uring_open.c opening, uring_ring.c submitting and
 * reaping, uring_poll.c readiness, uring_cancel.c settling.
 */
#ifndef APUSI_IO_URING_H
#define APUSI_IO_URING_H

#include <liburing.h>

#include "io/backend.h"

/*
 * What a completion is for, in the low bits of its user_data.  A token's index is shifted to
 * make room for them; a pointer to an operation has none of them set.
 */
enum apusi_uring_kind {
	APUSI_URING_OPERATION, /* user_data is a pointer */
	APUSI_URING_NONE,      /* of no interest: a cancel that found nothing */
	APUSI_URING_WAKE,      /* the wake descriptor was written to */
	APUSI_URING_READ,      /* a slot's request for reading */
	APUSI_URING_WRITE,     /* and for writing */
	APUSI_URING_KIND_MASK = 7
};

enum { APUSI_URING_KIND_BITS = 3 };

/* A slot's requests, kept in slot->backend. */
enum apusi_uring_armed {
	APUSI_URING_READS = 1 << 0,
	APUSI_URING_WRITES = 1 << 1
};

/* What a slot's request is; the zero of a new slot: none. */
struct apusi_uring_slot {
	uint8_t armed; /* enum apusi_uring_armed */
	uint8_t unused[7];
};

_Static_assert(sizeof(struct apusi_uring_slot) <= sizeof(void *), "it is kept in slot->backend");

struct apusi_uring {
	struct io_uring ring;
	uint64_t enters;    /* calls of the kernel's io_uring_enter */
	uint32_t in_flight; /* requests that the kernel has yet to end */
	bool wakes;         /* one of them is for the wake descriptor */
};

static inline struct apusi_uring *apusi_uring_of(const struct apus_io *io)
{
	return io->state;
}

static inline struct apusi_uring_slot *apusi_uring_slot_of(struct apusi_slot *slot)
{
	return (struct apusi_uring_slot *)(void *)&slot->backend;
}

static inline uint64_t apusi_uring_data(const struct apusi_slot *slot, enum apusi_uring_kind kind)
{
	return (uint64_t)slot->generation << 32 | slot->index << APUSI_URING_KIND_BITS | kind;
}

static inline uint64_t apusi_uring_token(uint64_t data)
{
	return (data >> 32 << 32) | ((uint32_t)data >> APUSI_URING_KIND_BITS);
}

/* ---- uring_open.c ------------------------------------------------------------ */

int apusi_uring_open(struct apus_io *io, char *reason, size_t reason_bytes);
void apusi_uring_close(struct apus_io *io);

/* ---- uring_ring.c ------------------------------------------------------------- */

/* A cleared entry of the submission queue, which is submitted if it is full; or NULL. */
struct io_uring_sqe *apusi_uring_claim(struct apus_io *io);

/* The turn's requests, in one call; none if there are none. */
void apusi_uring_submit(struct apus_io *io);
uint32_t apusi_uring_reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget);

/*
 * Submits, has the kernel finish what it can, and takes every completion; waits for one,
 * up to timeout_ns.  Also from inside a task's poll.
 */
void apusi_uring_flush(struct apus_io *io, int64_t timeout_ns);

/* ---- uring_poll.c -------------------------------------------------------------- */

int apusi_uring_watch(struct apus_io *io, struct apusi_slot *slot, bool writer);
int apusi_uring_set_wake(struct apus_io *io, int fd);

/* A completion of a poll request. */
void apusi_uring_polled(struct apus_io *io, const struct io_uring_cqe *cqe);
void apusi_uring_woken(struct apus_io *io, const struct io_uring_cqe *cqe);

/* ---- uring_cancel.c ------------------------------------------------------------- */

/* Cancels the slot's requests, and returns when the kernel has let go of its file. */
void apusi_uring_remove(struct apus_io *io, struct apusi_slot *slot);

void apusi_uring_cancel_wake(struct apus_io *io);

/* All requests of the ring; how many the kernel did not give back in time. */
uint32_t apusi_uring_cancel_all(struct apus_io *io, int64_t timeout_ns);

#endif
