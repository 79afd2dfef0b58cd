/*
 * apus/loop.h - the loop: configuration, the turn, run, stop, drain, close.
 *
 *   Units      nanoseconds; budgets in polls, timers, events and steps a turn.
 *   Errors     open: 0 or -errno, and config.reason says which field or which refusal of
 *              the machine.  -EINVAL (a field), -EEXIST (this thread has a loop), -EPROTO
 *              (header and library differ), -EPERM, -ENOTSUP, -ENOMEM ...
 *   Ownership  the loop owns its memory from open to close; the world is the caller's and
 *              may outlive it.
 *   Threads    one loop a thread, many a process; only apus_stop may be called from
 *              another thread or a signal handler, while the loop is open.
 *   Order      the turn's phases; see apus_turn.
 *   Cost       an idle busy turn: the clock read and a few compares; no system call, no
 *              allocation, no locked instruction.
 */
#ifndef APUS_LOOP_H
#define APUS_LOOP_H

#include "apus/clock.h"
#include "apus/io.h"
#include "apus/task.h"
#include "apus/world.h"

/* What a turn without work does. */
enum apus_idle {
	APUS_IDLE_BUSY,    /* nothing: the next turn at once */
	APUS_IDLE_PAUSE,   /* one pause instruction: kinder to a sibling hyperthread */
	APUS_IDLE_BACKOFF, /* busy, then pause, then parks */
	APUS_IDLE_PARK     /* sleeps in the kernel until the next deadline or event */
};

/* A turn that was longer than config.stall_ns. */
struct apus_stall {
	uint64_t turn;
	int64_t duration_ns;
	const struct apus_kind *kinds[16]; /* polled last, since the last check; oldest first */
	uint32_t kind_count;
	/* With config.stall_detail: the longest poll of the turn. */
	const char *task_name; /* NULL without */
	uint64_t task_serial;
	int64_t poll_ns;
};
typedef void apus_stall_fn(void *arg, const struct apus_stall *stall);

/* A count of apus_config: as many as there can be task slots. */
#define APUS_PER_SLOT UINT32_MAX

struct apus_config {
	struct apus_world *world; /* may be NULL */

	/* memory, all of it taken at open */
	uint32_t slot_count;     /* task slots (a chunk) */
	uint32_t chunk_max;      /* 1: bounded; more: grows, and is counted */
	uint32_t state_bytes;    /* the largest state that fits a slot */
	uint32_t wait_count;     /* wait nodes beside the first of each task; or APUS_PER_SLOT */
	uint32_t token_count;    /* cancellation tokens beside the root */
	uint32_t waker_count;    /* tasks that other threads may wake, and awaits of channels
				  * between threads, at once */
	uint32_t remote_count;   /* spawns and cancels of other threads on their way at once */
	uint32_t unowned_timers; /* timers without an owner */
	uint32_t offload_count;  /* offloaded functions in flight at once */
	uint32_t offload_bytes;  /* the largest data of one */
	uint32_t socket_count;   /* descriptors open at once */
	uint32_t segment_bytes, segment_count; /* the loop's own memory to receive into */
	uint32_t file_count;     /* files and directories open at once */
	bool prefault, lock_memory;
	bool huge_pages; /* the task slots, from the kernel's pool */
	int numa_node; /* -1: any */

	/* budgets of one turn */
	uint32_t task_budget, timer_budget, io_budget, inbox_budget, cancel_budget;
	int64_t task_quota_ns; /* 0: none */
	uint32_t lane_ratio;   /* while normal tasks are ready, one poll in so many is normal */
	int64_t io_interval_ns;     /* the kernel is asked when either interval has passed; */
	uint32_t io_interval_turns; /* both 0: every turn */

	/* time */
	enum apus_clock_kind clock;
	int64_t timer_resolution_ns;

	/* idling */
	enum apus_idle idle;
	uint32_t backoff_turns; /* idle turns before APUS_IDLE_BACKOFF pauses; as many, then parks */

	enum apus_io_kind backend;
	struct apus_uring_config uring; /* where the backend is io_uring */
	const struct apus_sim_config *sim; /* where it is APUS_IO_SIM: see apus/sim.h */

	uint32_t offload_threads; /* at most, and none before the first use; 0: no offloading */

	/* stopping */
	int64_t stop_grace_ns; /* a root that has not ended by then is aborted */
	int64_t close_wait_ns; /* close waits so long for what is in flight: apus/op.h, offload.h */
	bool signals;          /* SIGINT and SIGTERM stop the loop */
	uint64_t signal_set;   /* APUS_SIGNAL(SIGHUP) | ...: for tasks to await */

	/* the machine; what cannot be had is an error with the reason */
	int cpu;           /* -1: keeps the affinity it inherited */
	int fifo_priority; /* 0: the scheduling class it inherited */
	bool fifo_force;   /* even for a busy loop under real-time throttling */
	bool hold_latency; /* /dev/cpu_dma_latency at 0 while the loop is open */

	/* watching */
	int64_t stall_ns; /* longer turns are counted as stalls */
	apus_stall_fn *stall_fn;
	void *stall_arg;
	bool stall_detail; /* names the task, for a clock read a poll, and one a turn */
	apus_log_fn *log_fn;
	void *log_arg;
	uint64_t spurious_seed; /* debug builds: pending tasks are polled again for no reason */

	char reason[192]; /* out: why open failed */
};

/* A snapshot of a loop's counters. */
struct apus_counters {
	uint64_t turns, idle_turns, parks;
	/* In a poll, ready are also those that this turn has polled already. */
	uint64_t tasks_spawned, tasks_ended, tasks_live, tasks_ready, tasks_unjoined;
	uint64_t tasks_held;    /* now: over, and live until the kernel gives back what they lent */
	uint64_t ops_in_flight; /* now: operations begun and not answered, offloaded ones too */
	uint64_t polls, wakes, refusals, wait_refusals;
	uint64_t frames_abandoned; /* debug builds: sub-tasks left suspended by a task that returned */
	uint64_t timers_pending, timers_fired;
	uint64_t sockets_open, stale_events, io_reaps;
	uint64_t files_open;
	uint64_t full_task_budgets, full_timer_budgets, full_io_budgets, full_inbox_budgets,
		full_cancel_budgets;
	uint64_t quota_turns; /* tasks phases that the quota ended */
	uint64_t stalls;
	uint64_t slots_used, slots_high_water, slots_capacity, slab_chunks;
	uint64_t slots_leaked; /* by close: of tasks that the kernel did not let go of in time */
	uint64_t tokens_used;
	uint64_t offload_threads, offload_queued, offload_running; /* now */
	uint64_t offload_done, offload_dropped; /* functions that returned; that never ran */
	uint64_t offload_refused, offload_leaked; /* -EAGAIN; left running by close */
	int64_t turn_ns_longest; /* from the start of a turn to the start of the next, unparked */
};

/* What apus_drain left. */
struct apus_drain_report {
	uint64_t tasks_live, tasks_unjoined, timers_pending, sockets_open;
	uint32_t named; /* how many of these are filled in */
	struct apus_task_info tasks[8];
};

/*
 * A poll function of the user's that the loop calls every turn, first of all: a ring in
 * shared memory, a NIC queue, another library's loop.  It answers the work it did.  A loop
 * with a source does not park, unless may_park says true, which is asked right before: the
 * moment to arm what makes a lent descriptor readable.  A source that has lent one and has no
 * may_park lets the loop park.
 */
struct apus_source {
	uint32_t (*poll)(struct apus_cx *cx, struct apus_source *source);
	bool (*may_park)(struct apus_source *source); /* NULL: only on a lent descriptor */
	struct apus_source *next;             /* the loop's, while it is added */
	uint64_t lent;                        /* the same: the descriptor to park on */
};

APUS_BEGIN_DECLS

/* ---- opening and closing ----------------------------------------------- */

APUS_API void apus_config_init(struct apus_config *config);

APUS_API int apus_open_abi(struct apus_loop **loop, struct apus_config *config, uint32_t abi,
	bool debug, size_t config_bytes);

/* config may be NULL: the defaults.  The loop belongs to the calling thread. */
APUS_INLINE int apus_open(struct apus_loop **loop, struct apus_config *config)
{
	return apus_open_abi(loop, config, APUS_ABI, APUS_DEBUG, sizeof *config);
}

/*
 * Ends every task, with its cleanup, and frees the loop.  final may be NULL; it gets the
 * last counters.  0; -EPERM: another thread's; -EDEADLK: from inside a turn; -EBUSY: the loop
 * is closed, but close_wait_ns was not enough: offloaded functions still run, on threads that
 * are left to themselves, or somebody still has what tasks lent, whose slots are leaked.
 */
APUS_API int apus_close(struct apus_loop *loop, struct apus_counters *final);

/*
 * Runs until no task is live, or for timeout_ns: 0, or -ETIME and the report names what
 * remains.  Ended tasks that nobody joined are reported, not waited for.
 */
APUS_API int apus_drain(struct apus_loop *loop, int64_t timeout_ns,
	struct apus_drain_report *report);

/* ---- running -------------------------------------------------------------- */

/*
 * One turn, for those who own their main: the work done.
 *
 *	clock      read once; everything in the turn agrees on now_ns
 *	sources    user poll functions, awaited hot sockets and channels of other threads
 *	io         reap the kernel, when an interval has passed
 *	inbox      wakes and spawns of other threads, stop, signals: one load when empty
 *	timers     due deadlines, at most the budget: one compare when none is due
 *	cancel     walks of cancelled tokens, cleanups of the aborted, at most the budget
 *	tasks      urgent, then normal; first in, first out, at most the budget
 *	submit     one submission carries the turn's I/O
 *	idle       work done == 0: busy, pause, backoff or park
 *
 * What an early phase wakes, a later phase runs in the same turn.
 */
APUS_API uint64_t apus_turn(struct apus_loop *loop);

/* ---- inside of somebody else's loop --------------------------------------------- */

/*
 * A whole loop lives in libev, libuv, GLib or a plain poll(2): its host waits for a
 * descriptor and for a deadline, and makes turns.
 *
 *	while ((wait_ns = apus_loop_prepare(loop)) == 0)
 *		apus_turn(loop);
 *	the host waits for its own events, for apus_loop_fd(loop) to be readable, for wait_ns
 *	apus_turn(loop);
 *
 * Prepare is the last thing before the host waits: what its callbacks do with the loop after
 * that (spawn, wake, send) does not end the wait, and wants another prepare.  The loop should
 * idle by APUS_IDLE_BUSY, the default; then its turns never wait.
 *
 * How long the loop has nothing to do, in nanoseconds, up to APUS_NEVER; until the next turn
 * other threads, signals and descriptors make apus_loop_fd readable.  0: it has something to
 * do, so make a turn.  -EPERM; -EDEADLK: inside a turn; -EINVAL: its clock is virtual.
 */
APUS_API int64_t apus_loop_prepare(struct apus_loop *loop);

/*
 * The descriptor, the same for as long as the loop is open, and the loop's own: to be waited
 * for, level-triggered, and nothing else.  -EPERM; -ENOTSUP: the backend has none to show
 * (libev, sim).
 */
APUS_API int apus_loop_fd(struct apus_loop *loop);

/*
 * When the loop next has something to do by itself, on its clock: cx->now_ns or before if it
 * has now, APUS_NEVER if never; never later than the earliest deadline.  In a poll it has, since
 * what this turn has polled counts as ready until the turn is over.  Or -EPERM.
 */
APUS_API int64_t apus_loop_next_ns(struct apus_loop *loop);

/* ---- a root task -------------------------------------------------------------- */

/*
 * apus_run(loop, name, const type *init): spawns a root task, turns until it has ended and
 * answers its result; the other tasks stay.  Or what spawning answers; -ECANCELED: aborted,
 * also because it outlived stop_grace_ns; -EDEADLK: from inside a turn, or nothing can ever
 * happen under a virtual clock.
 */
#define apus_run(loop_, name, ...)                                            \
	__extension__({                                                       \
		struct apus_loop *apus_loop_ = (loop_);                       \
		struct apus_join apus_root_ = { NULL, 0, 0 };                 \
		apus_poll apus_result_ = apus_run_check(apus_loop_);          \
		if (!apus_result_)                                            \
			apus_result_ = APUS_TYPED_(apus_spawn_slab_##name(    \
				apus_loop_, __VA_ARGS__, &apus_root_));       \
		apus_result_ ? apus_result_ : apus_run_root(apus_loop_, apus_root_); \
	})
APUS_API int apus_run_check(struct apus_loop *loop);
APUS_API apus_poll apus_run_root(struct apus_loop *loop, struct apus_join root);

/*
 * Final and idempotent: cancels the root token; later spawns and runs answer -ESHUTDOWN.
 * From any thread and from signal handlers.
 */
APUS_API void apus_stop(struct apus_loop *loop);
APUS_API bool apus_is_stopping(const struct apus_loop *loop);

/*
 * apus_main(config, name, const type *init): opens, takes SIGINT and SIGTERM, runs, drains
 * for stop_grace_ns, closes; the root's result, or the -errno of open.  A second signal
 * aborts the root at once, a third takes its default action.
 */
#define apus_main(config_, name, ...)                                         \
	__extension__({                                                       \
		struct apus_loop *apus_main_;                                 \
		apus_poll apus_exit_ = apus_main_open(&apus_main_, (config_)); \
		if (!apus_exit_) {                                            \
			apus_exit_ = apus_run(apus_main_, name, __VA_ARGS__); \
			apus_main_close(apus_main_);                          \
		}                                                             \
		apus_exit_;                                                   \
	})
APUS_API int apus_main_open(struct apus_loop **loop, struct apus_config *config);
APUS_API void apus_main_close(struct apus_loop *loop);

/* ---- signals ------------------------------------------------------------------ */

/* Sets of signals: APUS_SIGNAL(SIGHUP) | APUS_SIGNAL(SIGUSR1). */
#define APUS_SIGNAL(number) (UINT64_C(1) << ((number) - 1))

/*
 * Awaits a signal of the set, and takes it: its number.  One that comes again before it was
 * taken is one.  Several loops may take the same signal, and each gets it.  -EINVAL: one of
 * them is not in config.signal_set.
 */
APUS_API apus_poll apus_signal(struct apus_cx *cx, uint64_t set);

/* ---- while it runs ----------------------------------------------------------- */

/* Cancelled by stop; parent of all tokens. */
APUS_API struct apus_token apus_loop_token(struct apus_loop *loop);

/* A fresh reading of the loop's clock; cx->now_ns is the turn's. */
APUS_API int64_t apus_clock_now(struct apus_loop *loop);

/* UTC in nanoseconds, derived beside it. */
APUS_API int64_t apus_clock_utc(struct apus_loop *loop);

/* Switches what idle turns do, from the next on.  0, -EINVAL or -EPERM. */
APUS_API int apus_set_idle(struct apus_loop *loop, enum apus_idle idle);

/* 0, -EINVAL without a poll function, -EBUSY if it is added already, -EPERM. */
APUS_API int apus_source_add(struct apus_loop *loop, struct apus_source *source);
/*
 * Lends a descriptor that is readable while the source has something to do: a parked loop
 * wakes for it.  The loop never reads it, so what stays readable keeps the loop awake.  It
 * takes one of config.socket_count, and stays open and the caller's until it is lent no more:
 * another one is, or -1, or the source is removed, or the loop has closed.  0; -ENOENT: the
 * source is not added; -EINVAL: a virtual clock; -ENOSPC, -EPERM, -EBADF and what else says
 * that it cannot be waited for: nothing is lent then.
 */
APUS_API int apus_source_lend(struct apus_loop *loop, struct apus_source *source, int fd);
/* 0, or -ENOENT. */
APUS_API int apus_source_remove(struct apus_loop *loop, struct apus_source *source);

/* ---- looking -------------------------------------------------------------------- */

APUS_API void apus_counters_read(struct apus_loop *loop, struct apus_counters *counters);

/* The worst poll of each kind, while config.stall_detail is on. */
APUS_API void apus_worst_polls(struct apus_loop *loop,
	void (*see)(void *arg, const char *name, int64_t poll_ns), void *arg);

/*
 * Writes what the loop runs on into text, a line a fact: CPU and affinity, isolation, clock,
 * scheduling class and real-time throttling, locked memory, idle states, backend.  Returns
 * the bytes that the whole text takes, as snprintf does.
 */
APUS_API size_t apus_loop_describe(struct apus_loop *loop, char *text, size_t text_bytes);

APUS_END_DECLS

#endif
