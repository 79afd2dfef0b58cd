/*
 * apus/ring.h - records of bytes, from one thread or many to one, also between processes.
 *
 *   Units      bytes; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     claim: -EAGAIN, full, or somebody waits in front of you; -EMSGSIZE, longer
 *              than will ever fit; -EINVAL, of no bytes; -EPIPE, closed.  commit, abort:
 *              -ESTALE, the reader has passed it over.  read: -EAGAIN, nothing is there, or
 *              the next record is not committed; -EPIPE, ended.  pass: -ENOENT, nothing to
 *              pass over; -ENOBUFS, too many claims are held.  claim, read, pass: -EBADMSG, the
 *              memory is not as this room writes it.  attach: -EPROTO, not such a ring; -ENOSPC, too many
 *              processes.  -EBUSY, -ENOBUFS, -ETIME as channel_spsc.h.
 *   Ownership  the memory is the caller's.  What was claimed is the claimant's until commit
 *              or abort, whatever the reader does; what was read, the reader's until release.
 *   Threads    claim: one thread or loop, with APUS_RING_MPSC any.  commit, abort: whoever
 *              has the claim.  read, release, pass, reap: one thread or loop.  close: any.
 *              init, attach, deinit: alone.
 *   Order      records come out in the order they were claimed.  Senders that wait for room,
 *              tasks and threads alike, are served in the order they came; each process, and
 *              each struct apus_ring, has a line of its own.
 *   Cost       claim: no locked instruction, with APUS_RING_MPSC a lock for the length of
 *              some ten stores; commit: one; read, release: none while no sender sleeps.
 *
 *	what             who writes it                            who reads it
 *	tail             senders, under the lock [T]              reader [U]
 *	header.turn      sender, before [T]; claimant [A]         reader [B]
 *	                 reader, by swap: passed over [P]         claimant, by swap [A]
 *	header, payload  claimant, before [A]                     reader, after [B]
 *	head             reader [C]                               senders [D]
 *	holes            reader, before [P]; claimant [F]         senders, after [D]; reader
 *
 * A record lies in one piece, behind a header of 16 bytes; what does not fit before the end of
 * the ring is padded over.  It is at most half the ring, so one of them always fits in the end.
 *
 * A claimant that stands still, or has died, holds up the reader.  The reader may pass its
 * record over, after a time of its own choosing: the record is lost, but its bytes are not
 * handed out again until the claimant has answered (its commit or abort is -ESTALE) or, in
 * memory that processes share, its process is seen to be dead.  Until then the ring is smaller
 * by them, and apus_ring_held_bytes says by how much.
 *
 * A reader that has died is followed by another process' that attaches: it begins with what was
 * not released, and calls apus_ring_reap once.
 *
 * Memory holds offsets and counts only, so processes may map it anywhere.  A process that
 * shares it attaches by itself, also after fork(); all are of one pid namespace.  A loop does
 * not park while a task of its awaits such a ring: there is no port between processes.
 *
 * Example:
 *
 *	#include <string.h>
 *
 *	int log_line(struct apus_ring *ring, const char *text, size_t bytes)
 *	{
 *		struct apus_claim claim;
 *		int err = apus_ring_try_claim(ring, bytes, &claim);
 *
 *		if (err)
 *			return err;
 *		memcpy(claim.data, text, bytes);
 *		return apus_ring_commit(ring, &claim);
 *	}
 *
 *	int64_t drain(struct apus_ring *ring, void (*see)(const void *data, size_t bytes))
 *	{
 *		struct apus_record record;
 *		int64_t count = 0;
 *
 *		while (apus_ring_try_read(ring, &record) == 0) {
 *			see(record.data, record.bytes);
 *			apus_ring_release(ring, &record);
 *			count++;
 *		}
 *		return count;
 *	}
 */
#ifndef APUS_RING_H
#define APUS_RING_H

#include "apus/channel_ends.h"

enum apus_ring_flags {
	APUS_RING_MPSC = 1 << 0,  /* any number of senders */
	APUS_RING_SHARED = 1 << 1 /* the memory is mapped by several processes */
};

enum {
	APUS_RING_HOLES = 16,      /* claims passed over and not answered, at once */
	APUS_RING_PROCESSES = 16,  /* attached at once */
	APUS_RING_HEADER_BYTES = 16
};

/* A claim that was passed over.  word 0: none. */
struct apus_ring_hole {
	uint64_t word; /* where it lies, its size, whether it was answered */
	uint64_t at;
	uint64_t owner;
};

/* A process; id 0: none. */
struct apus_ring_process {
	uint32_t id;
	uint32_t pid;
	uint64_t start; /* when it started, of those that have had this pid */
};

/* What stands in front of the bytes in the caller's memory.  Private. */
struct apus_ring_memory {
	/* written by init */
	uint64_t magic;
	uint64_t capacity;
	uint32_t flags;
	/* written rarely */
	uint32_t closed;
	uint32_t send_bell, recv_bell;
	uint32_t hole_count;
	uint32_t attach_lock, attach_count;
	/* senders, under the lock */
	uint32_t lock __attribute__((__aligned__(APUS_CACHE_LINE)));
	uint64_t tail;
	/* the reader */
	uint64_t head __attribute__((__aligned__(APUS_CACHE_LINE)));
	uint64_t held_bytes, passed_count;
	struct apus_ring_hole holes[APUS_RING_HOLES]
		__attribute__((__aligned__(APUS_CACHE_LINE)));
	struct apus_ring_process processes[APUS_RING_PROCESSES];
};

/* A ring, as one process has it.  Private. */
struct apus_ring {
	struct apus_ring_memory *memory;
	char *data;
	uint64_t mask;
	uint32_t flags, always, id, queued;
	/* senders, under the lock */
	uint64_t seen_head __attribute__((__aligned__(APUS_CACHE_LINE)));
	/* the reader */
	uint64_t next __attribute__((__aligned__(APUS_CACHE_LINE))); /* what it looks at next */
	uint64_t seen_tail;
	uint64_t last_end; /* where the record that it read last ends */
	struct apus_end send, recv;
	struct apus_line line;
};

/* Bytes to write; a value, to be committed or aborted once. */
struct apus_claim {
	void *data;
	size_t bytes;
	uint64_t at;
};

struct apus_record {
	const void *data;
	size_t bytes;
	uint64_t end;
};

APUS_BEGIN_DECLS

/* ---- beginning and ending ---------------------------------------------------- */

/* Bytes of memory that a ring of that capacity takes. */
#define APUS_RING_BYTES(capacity_) (sizeof(struct apus_ring_memory) + (capacity_))

/*
 * Makes a ring in memory, aligned to a cache line, of APUS_RING_BYTES(capacity).  0; -EINVAL:
 * the capacity is no power of two from 256 to 2^31, or the memory not aligned.
 */
APUS_API int apus_ring_init(struct apus_ring *ring, void *memory, uint64_t capacity,
	uint32_t flags);
/* The same, counting from place `first`, a multiple of 16: for tests of the wrap. */
APUS_API int apus_ring_init_at(struct apus_ring *ring, void *memory, uint64_t capacity,
	uint32_t flags, uint64_t first);

/* A ring that another process made, in bytes of memory shared with it. */
APUS_API int apus_ring_attach(struct apus_ring *ring, void *memory, size_t memory_bytes);

/* No more claims; what is there drains, then reading answers -EPIPE.  More than once. */
APUS_API void apus_ring_close(struct apus_ring *ring);

/*
 * This process leaves; a ring that is not shared is closed.  Tasks of this thread's loop that
 * wait wake with -EPIPE.  0: ring, and memory that is not shared, may go.  -EBUSY: somebody of
 * another thread has yet to leave.
 */
APUS_API int apus_ring_deinit(struct apus_ring *ring);

/* ---- sending ------------------------------------------------------------------- */

APUS_API int apus_ring_try_claim(struct apus_ring *ring, size_t bytes, struct apus_claim *claim);
/* An awaitable: 0, -EPIPE, -EMSGSIZE, -EINVAL, -ENOBUFS, -EBADMSG. */
APUS_API apus_poll apus_ring_claim(struct apus_cx *cx, struct apus_ring *ring, size_t bytes,
	struct apus_claim *claim);
/* Blocks a thread, at most timeout_ns. */
APUS_API int apus_ring_wait_claim(struct apus_ring *ring, int64_t timeout_ns, size_t bytes,
	struct apus_claim *claim);

/* The reader may have it: 0, or -ESTALE: it was passed over; the bytes are the ring's again. */
APUS_API int apus_ring_commit(struct apus_ring *ring, const struct apus_claim *claim);
/* As if it had never been claimed: 0 or -ESTALE. */
APUS_API int apus_ring_abort(struct apus_ring *ring, const struct apus_claim *claim);

/* ---- receiving ------------------------------------------------------------------- */

/* The next record, in place.  Several may be read before the first is released. */
APUS_API int apus_ring_try_read(struct apus_ring *ring, struct apus_record *record);
APUS_API apus_poll apus_ring_read(struct apus_cx *cx, struct apus_ring *ring,
	struct apus_record *record);
APUS_API int apus_ring_wait_read(struct apus_ring *ring, int64_t timeout_ns,
	struct apus_record *record);

/* The record, and those read before it, are the ring's again. */
APUS_API void apus_ring_release(struct apus_ring *ring, const struct apus_record *record);

/* The next record is claimed, and not committed. */
APUS_API bool apus_ring_is_stuck(const struct apus_ring *ring);

/* Passes over the claim that the reader is stuck at: 0, -ENOENT, -ENOBUFS, -EBADMSG. */
APUS_API int apus_ring_pass(struct apus_ring *ring);

/*
 * Takes back what was passed over and whose process has died since, or what a reader that has
 * died was about to pass over: the bytes that came back.  Cold: asks the system about each
 * process.  What was answered comes back by itself.
 */
APUS_API uint64_t apus_ring_reap(struct apus_ring *ring);

/* ---- asking ------------------------------------------------------------------------ */

/* The largest record. */
APUS_INLINE size_t apus_ring_record_bytes_max(const struct apus_ring *ring)
{
	return (size_t)((ring->mask + 1) / 2 - APUS_RING_HEADER_BYTES);
}

/* By how much the ring is smaller: claims that were passed over and not answered. */
APUS_INLINE uint64_t apus_ring_held_bytes(const struct apus_ring *ring)
{
	return apus_load_relaxed(&ring->memory->held_bytes);
}

/* Claims that were passed over so far. */
APUS_INLINE uint64_t apus_ring_passed_count(const struct apus_ring *ring)
{
	return apus_load_relaxed(&ring->memory->passed_count);
}

APUS_END_DECLS

#endif
