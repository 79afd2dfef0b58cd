/*
 * scribe.h - a second loop, on a thread of its own, that writes down what the engine tells it,
 * so that the hot thread never touches a disk.
 *
 *   Units      bytes; nanoseconds.
 *   Errors     start: 0 or -errno, with a word on stderr.  tap: 0, or -EAGAIN: no room, nothing
 *              was taken.  stop: 0, -ENOSPC: the disk stayed full, what is left is lost.
 *   Ownership  the scribe owns thread, ring and files from start to stop.
 *   Threads    tap, room: the engine's.  is_full, written: any.  start, stop: alone.
 *   Order      what was told first is written first.
 *   Cost       tap: a claim of the ring, a copy, a commit.  No system call, no malloc.
 *
 *	what             who writes it         who reads it
 *	told_bytes       the engine, alone     the engine
 *	written_bytes    the scribe [W]        the engine [R]
 *	durable_count    the scribe            any
 *	is_full          the scribe            any
 *
 * When the disk is full the scribe keeps what it has, says so, and tries again; the ring fills
 * up behind it, and the engine, which looks at the room that is left, first stops trading, then
 * stops listening.  Nothing that it has acted on is lost.
 *
 * What is in the file survives the process, and not the power.  With `syncs` the journal is
 * synced behind each write, and durable_count says how many records are on the disk: those are
 * there whatever happens.  A sync that fails has dropped what it was to write, and the next
 * would answer 0 all the same: from then on nothing is said to be on the disk.
 */
#ifndef TTT_SCRIBE_H
#define TTT_SCRIBE_H

#include "journal.h"
#include "pcap.h"

#include <apus/ring.h>
#include <apus/task.h>
#include <pthread.h>

struct scribe {
	struct apus_ring ring;
	void *memory;
	uint64_t told_bytes;      /* in the ring since the start, by our own count */

	uint64_t written_bytes;   /* taken out of it */
	uint64_t record_count;    /* ... and given to the file */
	uint64_t durable_count;   /* ... and are on the disk */
	uint64_t full_count;      /* times the disk was found full */
	uint32_t is_full;
	uint32_t is_stopping;     /* 1: once all is written; 2: also if the disk is full */
	uint32_t is_ready;        /* its loop has begun, or failed to */
	int error;                /* the first other than a full disk */
	bool has_thread, has_journal, has_pcap, syncs;
	bool is_in_doubt;         /* a sync has failed */
	int cpu;                  /* its loop is pinned to it; -1: not */
	int64_t patience_ns;      /* stop: for a disk that is full */
	pthread_t thread;
	struct sink journal_sink, pcap_sink;
	struct pcap pcap;
	struct apus_record record; /* read, and not put for want of room */
	bool has_record;
};

/* Room that the engine leaves for what it cannot hold back: the rest of a read, cancels. */
#define SCRIBE_RESERVE (1 << 17)

struct scribe_config {
	const char *journal, *pcap; /* paths, or NULL */
	uint64_t ring_bytes;        /* a power of two */
	bool syncs;                 /* the journal, behind each write */
	int cpu;
	int64_t patience_ns;
};

int scribe_start(struct scribe *scribe, const struct scribe_config *config);
int scribe_stop(struct scribe *scribe);

/* Its task alone, on a loop that is open: for tests, which have files of their own. */
int scribe_begin(struct apus_loop *loop, struct scribe *scribe, struct apus_join *join);

int scribe_tap(struct scribe *scribe, const struct tap *tap, const void *bytes);

/* Bytes of taps that would be taken. */
uint64_t scribe_room(const struct scribe *scribe);

static inline bool scribe_is_short(const struct scribe *scribe)
{
	return scribe_room(scribe) < SCRIBE_RESERVE;
}

#endif
