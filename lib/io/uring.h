/*
 * io/uring.h - the io_uring backend: its state, and what its files share.
 *
 *   Errors     0 or -errno.
 *   Ownership  the ring owns what the kernel reports into; a slot owns its descriptor.
 *   Threads    the loop's thread only: the ring has a single issuer.
 *   Source     io_uring: Axboe, "Efficient IO with io_uring", 2019.
 *
 * A slot has at most three requests in the kernel: one for reading, which goes on until it is
 * cancelled (multishot), one for writing, which ends with its first event, and beside a stream
 * that is received from, one for its end (uring_receive.c says why).  All hold the open file,
 * so a slot is not ended before the kernel has answered the last of them: `settle`
 * cancels, and reaps until that has happened.  Hence no completion ever names a slot that is
 * gone, and what a cancelled request still brought is seen while the slot lives.
 *
 * The files, by theme: uring.c the verbs, uring_open.c opening, uring_ring.c submitting and
 * reaping, uring_poll.c readiness, uring_receive.c what is received into segments,
 * uring_datagram.c how a datagram lies there, uring_accept.c listeners, uring_op.c operations
 * that lend, uring_fixed.c what is registered, uring_cancel.c settling.
 */
#ifndef APUSI_IO_URING_H
#define APUSI_IO_URING_H

#include <liburing.h>

#include "io/backend.h"

struct apusi_native_op;

/*
 * What a completion is for, in the low bits of its user_data.  A token's index is shifted to
 * make room for them; a pointer to an operation has none of them set.
 */
enum apusi_uring_kind {
	APUSI_URING_OPERATION, /* user_data is a pointer */
	APUSI_URING_NONE,      /* of no interest: a cancel that found nothing */
	APUSI_URING_WAKE,      /* the wake descriptor was written to */
	APUSI_URING_READ,      /* a slot's request for reading */
	APUSI_URING_WRITE,     /* and for writing: both are polls */
	APUSI_URING_RECEIVE,   /* a slot's request for reading that brings the bytes */
	APUSI_URING_ACCEPT,    /* and one that brings connections */
	APUSI_URING_HANGUP,    /* a poll for the end of what a slot receives */
	APUSI_URING_KIND_MASK = 7
};

enum { APUSI_URING_KIND_BITS = 3 };

/* A slot's requests, kept in slot->backend. */
enum apusi_uring_armed {
	APUSI_URING_READS = 1 << 0,
	APUSI_URING_WRITES = 1 << 1,
	APUSI_URING_HANGUPS = 1 << 2
};

enum apusi_uring_how {
	APUSI_URING_FEEDS = 1 << 0,    /* the request for reading brings bytes or connections */
	APUSI_URING_STOPPING = 1 << 1, /* holds enough: that request is being cancelled */
	APUSI_URING_DIRECT = 1 << 2,   /* is not to hold anything any more: polled */
	APUSI_URING_OWES = 1 << 3      /* that cancel could not be asked for yet */
};

/* Of a new slot it is zero. */
struct apusi_uring_slot {
	uint8_t armed;        /* enum apusi_uring_armed */
	uint8_t how;          /* enum apusi_uring_how */
	int16_t error;        /* that comes behind what is held; 0: none */
	uint16_t last, count; /* what it holds: segments, or accepted descriptors */
};

/* A descriptor that was accepted and not asked for yet, or a free place for one. */
struct apusi_uring_accepted {
	int fd;
	uint16_t next;
};

struct apusi_uring_counts {
	uint64_t enters;          /* calls of io_uring_enter */
	uint64_t out_of_segments; /* receives that ended for want of one */
	uint64_t held_back;       /* slots that held enough, and left the rest with the kernel */
	uint64_t accepts_closed;  /* connections that nobody could hold */
};

/* Places in the ring's two tables of what is registered: few, since each pins memory. */
enum { APUSI_URING_FIXED = 16 };

struct apusi_uring_fixed {
	uint64_t owner;      /* whose it is; 0: free */
	uint32_t generation;
	uint32_t uses;       /* operations that name it and are not answered */
	bool ended;          /* is cleared when the last of them is */
};

_Static_assert(sizeof(struct apusi_uring_slot) <= sizeof(void *), "it is kept in slot->backend");

struct apusi_uring {
	struct io_uring ring;
	struct io_uring_buf_ring *lent; /* segments that the kernel has; NULL: it takes none */
	uint32_t lent_mask, lent_count, lent_max; /* max 0: without a ring of them */
	struct msghdr datagram; /* how much room for what in a segment */
	uint32_t held_max;  /* segments that one slot holds, about */
	uint32_t in_flight; /* requests that the kernel has yet to end */
	bool wakes;         /* one of them is for the wake descriptor */
	bool owes;          /* a cancel that the full queue did not take is to be asked for */
	struct apusi_uring_accepted *accepted;
	uint16_t accepted_head;
	uint32_t accepted_free;
	struct apus_slab operations; /* struct apusi_native_op */
	bool has[64];                /* which operations this kernel knows */
	bool fixed_made;             /* the ring has the tables */
	struct apusi_uring_fixed fixed[APUSI_URING_FIXED];
	struct apusi_uring_counts counts;
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
int apusi_uring_fd(const struct apus_io *io);

/* io_uring_register(2), for what liburing does not name. */
int apusi_uring_register(struct apus_io *io, unsigned what, void *argument, unsigned count);

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

/* Before somebody waits for the ring's descriptor: all that is asked for is with the kernel. */
bool apusi_uring_prepare(struct apus_io *io);

/* ---- uring_poll.c -------------------------------------------------------------- */

/* 0; -EEXIST, -EPERM, -EBADF: it cannot be awaited. */
int apusi_uring_check(struct apus_io *io, const struct apusi_slot *slot);

int apusi_uring_watch(struct apus_io *io, struct apusi_slot *slot, bool writer);
int apusi_uring_set_wake(struct apus_io *io, int fd);
/* Before a sleep: whether another thread could end it. */
bool apusi_uring_can_wake(struct apus_io *io);

/* A completion of a poll request. */
void apusi_uring_polled(struct apus_io *io, const struct io_uring_cqe *cqe);
void apusi_uring_woken(struct apus_io *io, const struct io_uring_cqe *cqe);

/* ---- uring_receive.c ------------------------------------------------------------- */

void apusi_uring_receive_open(struct apus_io *io);
void apusi_uring_receive_close(struct apus_io *io);
void apusi_uring_receive_drop(struct apus_io *io, struct apusi_uring_slot *own);
bool apusi_uring_lend(struct apus_io *io, uint32_t index);
bool apusi_uring_can_receive(const struct apus_io *io, struct apusi_slot *slot);
int apusi_uring_arm_receive(struct apus_io *io, struct apusi_slot *slot);
void apusi_uring_received(struct apus_io *io, const struct io_uring_cqe *cqe);
void apusi_uring_hung_up(struct apus_io *io, const struct io_uring_cqe *cqe);
int64_t apusi_uring_read(struct apus_io *io, struct apusi_slot *slot, void *data, size_t bytes);
bool apusi_uring_has(struct apusi_slot *slot);
int64_t apusi_uring_read_segment(struct apus_io *io, struct apusi_slot *slot,
	struct apus_segment *out);
uint32_t apusi_uring_held_first(const struct apus_io *io, const struct apusi_uring_slot *own);
void apusi_uring_held_free(struct apus_io *io, struct apusi_uring_slot *own);
/* Nothing is held: the error, once; -EAGAIN, and fed no more when the request has ended. */
int64_t apusi_uring_nothing_held(struct apusi_slot *slot, struct apusi_uring_slot *own);

/* ---- uring_datagram.c ------------------------------------------------------------- */

void apusi_uring_datagram_open(struct apus_io *io);
void apusi_uring_datagram_prep(struct apus_io *io, struct io_uring_sqe *sqe, int fd);
int64_t apusi_uring_read_datagram(struct apus_io *io, struct apusi_slot *slot,
	struct msghdr *message);

/* ---- uring_accept.c --------------------------------------------------------------- */

int apusi_uring_accept_open(struct apus_io *io);
void apusi_uring_accept_close(struct apus_io *io);
void apusi_uring_accept_drop(struct apus_io *io, struct apusi_uring_slot *own);
bool apusi_uring_can_accept(const struct apus_io *io, struct apusi_slot *slot);
int apusi_uring_arm_accept(struct apus_io *io, struct apusi_slot *slot);
void apusi_uring_accepted(struct apus_io *io, const struct io_uring_cqe *cqe);
int apusi_uring_accept(struct apus_io *io, struct apusi_slot *slot);

/* ---- uring_op.c -------------------------------------------------------------------- */

int apusi_uring_op_open(struct apus_io *io);
void apusi_uring_op_close(struct apus_io *io);
bool apusi_uring_has_native(const struct apus_io *io, uint8_t opcode);
int apusi_uring_begin_native(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const struct apusi_native *native);
void apusi_uring_answered(struct apus_io *io, const struct io_uring_cqe *cqe);

/* ---- uring_fixed.c: see io/native.h ------------------------------------------------- */

int apusi_uring_fix(struct apus_io *io, uint64_t owner, int fd, const struct iovec *memory,
	uint64_t *token);
void apusi_uring_unfix(struct apus_io *io, uint64_t token);
void apusi_uring_unfix_all(struct apus_io *io, uint64_t owner);
bool apusi_uring_is_fixed(const struct apus_io *io, uint64_t token);

/* The request names the place until it is back; NULL: no such place, and nothing was done. */
struct apusi_uring_fixed *apusi_uring_fixed_use(struct apus_io *io, uint64_t token,
	struct io_uring_sqe *sqe);
void apusi_uring_fixed_back(struct apus_io *io, struct apusi_uring_fixed *place);

/* ---- uring_cancel.c ------------------------------------------------------------- */

/* Cancels the slot's requests, and returns when the kernel has let go of its file. */
void apusi_uring_remove(struct apus_io *io, struct apusi_slot *slot);

void apusi_uring_cancel_wake(struct apus_io *io);

/*
 * Asks for the end of an operation, or of what a slot receives or accepts by.  It is told like
 * any other completion of it.  What the queue had no room for is asked for when it has some.
 */
void apusi_uring_cancel_op(struct apus_io *io, struct apusi_native_op *request);
void apusi_uring_stop(struct apus_io *io, struct apusi_slot *slot);

/* The queue may have room for what it had none for: true, nothing is owed. */
bool apusi_uring_pay(struct apus_io *io);

/* The slot ends: what it holds goes back. */
void apusi_uring_drop(struct apus_io *io, struct apusi_slot *slot);

/* -EBUSY if the slot holds what nobody has read; what comes from now on it leaves alone. */
int apusi_uring_let_go(struct apus_io *io, struct apusi_slot *slot);

/* All requests of the ring; how many the kernel did not give back in time. */
uint32_t apusi_uring_cancel_all(struct apus_io *io, int64_t timeout_ns);

#endif
