/*
 * The loop's inside: shared by the files of this room.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "apus/loop.h"
#include "cancel/tree.h"
#include "file/table.h"
#include "io/backend.h"
#include "loop/signals.h"
#include "offload/pool.h"
#include "task/run.h"
#include "wait/poller.h"

enum { WORST_KINDS = 64, RECENT_KINDS = 16 };

/* Who the loop watches itself for: quota, stalls, spurious wakes. */
struct loop_watch {
	struct apusi_task_watch task;
	int64_t phase_ns; /* when the tasks phase began, if the quota counts */
	int64_t notable_ns; /* a turn that was longer is looked at: the longest, or a stall */
	bool stall_told;    /* of this turn */
	uint64_t turn;    /* that what follows is of */
	const struct apus_kind *recent[RECENT_KINDS];
	uint32_t recent_count;
	int64_t poll_began_ns;
	uint64_t poll_serial;
	struct apus_stall worst; /* the longest poll of the turn */
	struct {
		const struct apus_kind *kind;
		int64_t poll_ns;
	} kinds[WORST_KINDS];
};

/* What the loop is doing: anything but 0 makes the next turn look closer. */
enum loop_state {
	LOOP_BETWEEN, /* two turns, or before the first */
	LOOP_IN_TURN, /* or closing: no run, turn or close inside it */
	LOOP_PREPARED /* for its thread to wait, in somebody else's loop */
};

/* What open changed of the thread, to be put back by close. */
struct loop_machine {
	bool pinned, fifo;
	unsigned long affinity[1024 / (8 * sizeof(unsigned long))]; /* a cpu_set_t */
	int policy, priority;
	int latency_fd; /* -1: not held */
};

struct apus_loop {
	struct apus_cx cx; /* first: see apus_loop_cx */

	/* the turn */
	struct apus_clock clock;
	struct apus_source *sources;
	struct apus_source *source_next; /* the walk's cursor: a source may remove any */
	enum loop_state state;
	enum apus_idle idle;
	uint32_t idle_streak;
	uint64_t io_turn; /* when the kernel was asked last */
	int64_t io_ns;
	struct apusi_task_limits task_limits;
	struct loop_watch watch;
	struct apus_counters counts; /* only the fields that the turn keeps */
	int64_t stop_ns;             /* when it began to stop; APUS_NEVER before */
	int64_t drain_ns;            /* until when a drain runs, or a run waits for a held root */
	bool abort_root;             /* a second signal under apus_main */
	bool is_ending;              /* stopping, or virtual: a run looks closer every turn */

	struct apus_wheel wheel;
	struct apus_cancel cancel;
	struct apus_config config;
	struct loop_machine machine;
	void *wait_pool, *poller_pool;
	struct apus_waitq signal_waiters;
	uint64_t signals_seen; /* and not taken */
	bool has_remote;       /* somebody may come through it at any time */
	bool registered_signals, wheel_open, cancel_open, slab_open;
};

/* nest.c: what a turn does first in any state but LOOP_BETWEEN. */
APUS_COLD void apusi_turn_after(struct apus_loop *loop);
/* If it was prepared, it is no longer. */
void apusi_unprepare(struct apus_loop *loop);

/* config.c: 0, or -EINVAL and the reason names the field. */
int apusi_config_check(struct apus_config *config);

/* machine.c: pins, prioritises, locks; 0 or -errno and the reason. */
int apusi_machine_take(struct apus_loop *loop);
void apusi_machine_give(struct apus_loop *loop);

/* open.c: re-calibrates the clock, and logs when it had to fall back. */
void apusi_clock_keep(struct apus_loop *loop);

/* watch.c */
void apusi_watch_init(struct apus_loop *loop);
void apusi_watch_turn(struct apus_loop *loop, int64_t duration_ns);

/* stop.c: begins to stop, on the loop's thread. */
void apusi_loop_stop(struct apus_loop *loop);
/* remote.c: the pool of nodes, of which the port keeps what it ever had. */
int apusi_remote_open(struct apusi_port *port, uint32_t count);

/* open.c: the calling thread's loop, or NULL. */
struct apus_loop *apusi_thread_loop(void);

/* signals.c: more of them are pending. */
void apusi_signals_came(struct apus_loop *loop);

/* What the port's bits mean: cx->bits. */
void apusi_loop_bits(struct apus_cx *cx, uint32_t bits);

/* idle.c: what a turn without work does. */
void apusi_idle(struct apus_loop *loop);
/* How long there is nothing to do, up to APUS_NEVER; 0: there is, or a source may come. */
int64_t apusi_wait_ns(struct apus_loop *loop);
/*
 * From now on who wakes the loop rings its port.  False: there is something already.  In
 * either case end is to be called.
 */
bool apusi_wait_begin(struct apus_loop *loop);
void apusi_wait_end(struct apus_loop *loop);
/* Sleeps in the kernel until an event, a wake, or so long; the events. */
uint32_t apusi_park(struct apus_loop *loop, int64_t timeout_ns);
/* True if, under a virtual clock, no turn will ever have work again. */
bool apusi_is_stuck(struct apus_loop *loop);

#endif
