/*
 * apus/sim.h - a simulated network and simulated files: whole programs from a seed.
 *
 *   Units      nanoseconds of the loop's virtual clock; faults in so many of a million (ppm).
 *   Errors     0 or -errno: -ENOTSUP (the loop's backend is another), -EPERM (another thread),
 *              -EINVAL (an address that is none, a time below 0), -ENOSPC (too many cuts),
 *              and of the calls that name a path what open(2) says of it.
 *   Ownership  network and disk are their loop's, from open to close; the configuration is
 *              copied.  Without memory the simulated disk panics.
 *   Threads    the loop's thread only.
 *   Order      what happens depends on the seed and on what the program does, on nothing else:
 *              the same two make the same steps, and the same hash of them.
 *   Cost       no system call; a step is some hundred instructions.
 *
 * A loop with `config.backend = APUS_IO_SIM` has a virtual clock and a network of its own, in
 * its memory: the calls of apus/net.h open, connect, send and receive there.  Any address is
 * this machine's, so both ends of a protocol are tasks of the one loop, and time passes only
 * while all of them wait.  A real descriptor is -EINVAL, and a number of this network that was
 * released can only be adopted again.
 *
 * It has a disk of its own as well, empty at first: the calls of apus/file.h work on files in
 * memory, with no thread and no system call.  A path begins at the root, also one without a
 * slash; nobody is refused by permissions, and there are no links.  A call is carried out when
 * its latency has passed, and calls in flight in any order, so that what a program must sync
 * before it goes on, it must.  apus_sim_power_cut leaves what a disk would have: a program can
 * be ended at any step, and begun again on what is left.  A sync that fails has dropped what it
 * was to write, as on Linux: some of that is gone at once, some can be read until the power
 * fails, and the next sync answers 0 all the same.
 *
 * Streams are lossless and in order until they break, datagrams are neither.  What goes wrong,
 * and how often, is drawn from the seed; apus_sim_config_rough draws the rates too, so that
 * each seed has a weather of its own.  A test runs many seeds, and prints the one that failed:
 *
 *	#include <apus/loop.h>
 *	#include <apus/sim.h>
 *
 *	int open_seed(struct apus_loop **loop, uint64_t seed)
 *	{
 *		struct apus_sim_config sim;
 *		struct apus_config config;
 *
 *		apus_sim_config_rough(&sim, seed);
 *		apus_config_init(&config);
 *		config.backend = APUS_IO_SIM;
 *		config.sim = &sim;
 *		return apus_open(loop, &config);
 *	}
 *
 * A program that does not name a network gets a calm one, and a disk without a fault.  In the
 * environment, APUS_SIM_SEED=n gives it the rough ones of that seed, and APUS_SIM_TRACE=1 writes
 * each step to stderr.
 *
 * The end of a program by the power, after so many turns; what is begun next on the loop finds
 * what the disk has kept:
 *
 *	#include <apus/loop.h>
 *	#include <apus/sim.h>
 *
 *	int cut_after(struct apus_loop *loop, struct apus_join program, uint32_t turns)
 *	{
 *		while (turns-- > 0)
 *			apus_turn(loop);
 *		(void)apus_sim_power_cut(loop);
 *		(void)apus_abort(loop, program);
 *		return apus_detach(loop, program);
 *	}
 */
#ifndef APUS_SIM_H
#define APUS_SIM_H

#include <sys/socket.h>

#include "apus/io.h"

/* A step: what happened to which descriptor, and its answer or size. */
struct apus_sim_step {
	int64_t now_ns;
	const char *what; /* "read", "reset", "drop" ... */
	int number;       /* of the descriptor; -1: of none that is open */
	int64_t value;
};
typedef void apus_sim_trace_fn(void *arg, const struct apus_sim_step *step);

/* Zero is a network and a disk without a fault and without a latency. */
struct apus_sim_config {
	uint64_t seed;
	int64_t latency_ns, jitter_ns; /* of every message: the one, and up to the other */
	uint32_t stream_bytes;     /* sent and unread, a direction; 0: 65536 */
	uint32_t datagram_bytes;   /* unread at a socket; 0: 212992 */
	uint32_t descriptor_count; /* open at once, more are -EMFILE; 0: as the loop has slots */

	/* of calls */
	uint32_t short_read_ppm, short_write_ppm; /* less than there is, than there is room for */
	uint32_t again_ppm;      /* -EAGAIN for now, of reads and writes */
	uint32_t accept_ppm;     /* -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM; or it is gone already */
	uint32_t socket_ppm;     /* the same of opening one */
	uint32_t no_buffers_ppm; /* -ENOBUFS of a send of a datagram */
	uint32_t spurious_ppm;   /* an event wakes who waits for something else */

	/* of streams */
	uint32_t refuse_ppm; /* a connect meets nobody */
	uint32_t reset_ppm;  /* a write breaks the connection, at both ends */
	uint32_t stall_ppm;  /* a write arrives late, and what follows behind it, */
	int64_t stall_ns;    /* up to so late */

	/* of both */
	uint32_t cut_ppm; /* a message cuts the way between the two ends, */
	int64_t cut_ns;   /* up to so long: datagrams are lost, streams try again */

	/* of datagrams */
	uint32_t drop_ppm, duplicate_ppm, reorder_ppm;
	int64_t reorder_ns; /* up to so late; 0: a millisecond */

	/* of files; short_read_ppm and short_write_ppm are of theirs too */
	int64_t disk_latency_ns, disk_jitter_ns; /* of every call: the one, and up to the other */
	uint64_t disk_bytes;    /* stored by all files, more are -ENOSPC; 0: 256 MiB */
	uint32_t request_count; /* in flight at once, more are -EAGAIN; 0: 256 */
	uint32_t uncached_ppm;  /* reads that the page cache does not have, or not all of */
	uint32_t read_error_ppm, write_error_ppm, sync_error_ppm; /* -EIO */
	uint32_t open_ppm;       /* -EMFILE, -ENFILE or -EACCES of opening one */
	uint32_t slow_ppm;       /* a call takes longer, */
	int64_t slow_ns;         /* by up to so much */
	uint32_t write_back_ppm; /* a write has some of what is unsynced written, unasked */

	apus_sim_trace_fn *trace; /* NULL: none */
	void *trace_arg;
};

/* What happened since the loop was opened. */
struct apus_sim_counts {
	uint64_t steps, events;
	uint64_t connections, stream_bytes;  /* accepted; that were read */
	uint64_t datagrams_sent, datagrams_received;
	uint64_t short_reads, short_writes, agains, spurious;
	uint64_t accept_errors, socket_errors, no_buffers, scripted;
	uint64_t refused, resets, stalls, retries, timeouts;
	uint64_t cuts, cut_datagrams, drops, duplicates, reorders, overflows;
	uint64_t file_bytes_read, file_bytes_written, cached_reads, syncs, write_backs;
	uint64_t open_errors, disk_errors, full_disks, slow;
	uint64_t power_cuts, sectors_kept, sectors_lost, names_kept, names_lost;
};

/* Calls that can be made to fail. */
enum apus_sim_call {
	APUS_SIM_SOCKET,
	APUS_SIM_ACCEPT,
	APUS_SIM_CONNECT,
	APUS_SIM_READ, /* of streams and datagrams */
	APUS_SIM_WRITE,
	APUS_SIM_OPEN, /* of files, as those that follow */
	APUS_SIM_FILE_READ,
	APUS_SIM_FILE_WRITE,
	APUS_SIM_SYNC,
	APUS_SIM_CALLS
};

APUS_BEGIN_DECLS

/* No fault; fifty microseconds for a message, and for a call of files. */
APUS_API void apus_sim_config_init(struct apus_sim_config *config, uint64_t seed);

/* Some of the faults, more or less often: which, and how often, is drawn from the seed. */
APUS_API void apus_sim_config_rough(struct apus_sim_config *config, uint64_t seed);

/* ---- scripted events ------------------------------------------------------------ */

/*
 * Nothing passes between a and b, in neither direction, for so long (APUS_NEVER: until healed).
 * NULL is everybody, port 0 all ports, and the wildcard address all addresses of its family.
 */
APUS_API int apus_sim_cut(struct apus_loop *loop, const struct sockaddr *a,
	const struct sockaddr *b, int64_t for_ns);

/*
 * From now on the rates, times and sizes are those of config; its seed is not looked at, what
 * is on its way arrives as it would have.  A calm end lets a program finish.
 */
APUS_API int apus_sim_change(struct apus_loop *loop, const struct apus_sim_config *config);

/* Ends all cuts; what streams have to try again they do when they would have. */
APUS_API int apus_sim_heal(struct apus_loop *loop);

/* Breaks the connections of which an end has that address (NULL: all); how many. */
APUS_API int apus_sim_reset(struct apus_loop *loop, const struct sockaddr *end);

/* What is sent on streams from now on arrives not before for_ns have passed. */
APUS_API int apus_sim_stall(struct apus_loop *loop, int64_t for_ns);

/* The next so many of these calls answer err (> 0: an errno). */
APUS_API int apus_sim_fail(struct apus_loop *loop, enum apus_sim_call call, int err,
	uint32_t count);

/* ---- files ---------------------------------------------------------------------------- */

/*
 * The power fails, and is back at once: what is on the disk is there, and of what is not each
 * part by the draw.  Of a file that was not synced each sector of 512 bytes is the new one or
 * the old one, and where it has become longer its length is one between.  A file that was made,
 * renamed or removed is so or is not; it is if its directory was synced, and a rename is done
 * or is not, whatever else.  What a call in flight was to do it has done, or not, and answers
 * -EIO, as each call of a file that is open now does from here on; closing it answers 0.
 *
 * The tasks are the caller's to end, and the network does not hear of it.
 */
APUS_API int apus_sim_power_cut(struct apus_loop *loop);

/*
 * A file of these bytes, and the directories that lead to it, all of it on the disk: what a
 * program finds there.  What was in it is gone.  -EISDIR, -ENOTDIR, -ENAMETOOLONG, -ENOSPC.
 */
APUS_API int apus_sim_file_make(struct apus_loop *loop, const char *path, const void *data,
	size_t bytes);

/* Its length, and its first bytes, as many as there is room for; or -errno.  No time passes. */
APUS_API int64_t apus_sim_file_look(struct apus_loop *loop, const char *path, void *data,
	size_t bytes);

/* ---- looking ---------------------------------------------------------------------- */

APUS_API int apus_sim_counts_read(struct apus_loop *loop, struct apus_sim_counts *counts);

/* Of all steps so far: two runs that have the same made the same steps.  0: no such network. */
APUS_API uint64_t apus_sim_hash(struct apus_loop *loop);

/* What it was opened with; 0 without one. */
APUS_API uint64_t apus_sim_seed(struct apus_loop *loop);

APUS_END_DECLS

#endif
