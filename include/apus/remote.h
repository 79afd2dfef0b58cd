/*
 * apus/remote.h - the one door for other threads: spawn, cancel, stop, look.
 *
 *   Units      nanoseconds of CLOCK_MONOTONIC for timeouts; APUS_NEVER: without limit.
 *   Errors     -ESHUTDOWN: the loop has closed, or (spawn) is stopping.  -EAGAIN: every
 *              node of the loop's pool is in use.  -EMSGSIZE: the state does not fit a node
 *              (pool) or a slot.  join: 0 and the result; -ECANCELED, the task was aborted,
 *              or its loop closed; -ENOSPC, -EMSGSIZE, -ESHUTDOWN, it was never started;
 *              -ETIME; -EBUSY, another waits; -ESTALE, it was taken before.
 *   Ownership  a remote is a value; it outlives its loop and is harmless then.  A node of
 *              the pool is the library's; a node of the caller's stays until it is joined,
 *              or, detached, until its `released` is called.
 *   Threads    any, but for apus_remote_await (a task of any loop).  Not from signal
 *              handlers, but for apus_remote_stop.
 *   Order      what one thread asks of one loop is done in the order it was asked.
 *   Cost       three locked instructions and a push; the kernel only if the loop is parked.
 *
 * Example, a plain thread starts a task and waits for it:
 *
 *	#include <apus/remote.h>
 *
 *	struct twice {
 *		int value;
 *	};
 *
 *	APUS_TASK(twice, struct twice)
 *	{
 *		(void)cx;
 *		return self->value * 2;
 *	}
 *
 *	apus_poll ask(struct apus_remote remote, int value)
 *	{
 *		struct twice init = { value };
 *		struct apus_remote_join join;
 *		apus_poll result;
 *		int err = apus_remote_spawn(remote, twice, &init, &join);
 *
 *		if (!err)
 *			err = apus_remote_join(join, APUS_NEVER, &result);
 *		return err ? err : result;
 *	}
 */
#ifndef APUS_REMOTE_H
#define APUS_REMOTE_H

#include "apus/loop.h"
#include "apus/waker.h"

struct apus_remote {
	struct apusi_port *port;
	uint64_t loop_id;
};

enum { APUS_REMOTE_STATE_BYTES = 256 }; /* the largest state that a pool node carries */

/*
 * A task on its way to another loop, and what its maker may still ask of it.  Private but for
 * `released`: for a node of the caller's own, called on whichever thread lets go last.
 */
struct apus_remote_task {
	struct apus_inbox_node start, control;
	struct apus_remote remote;
	const struct apus_kind *kind;
	const void *state; /* copied when the loop takes it */
	uint64_t serial;   /* identifies the use; 0 when it was taken */
	uint64_t uses;
	uint64_t status;   /* who holds it, who waits, whether it is done; half of it a futex */
	uint32_t aborting; /* control is queued, or about to be */
	uint32_t pool_index, pool_next; /* from 1; 0: none */
	int outcome;
	apus_poll result;
	struct apus_join local;    /* the loop's own handle */
	struct apus_waker awaiter; /* the task that awaits it */
	struct apus_task_hook hook;
	void (*released)(struct apus_remote_task *task);
	unsigned char copy[APUS_REMOTE_STATE_BYTES] __attribute__((__aligned__(16)));
};

/* Identifies a remote task to its maker.  A value, for one joiner. */
struct apus_remote_join {
	struct apus_remote_task *task;
	uint64_t serial;
};

APUS_BEGIN_DECLS

/* On the loop's thread; then copied to others. */
APUS_API struct apus_remote apus_loop_remote(struct apus_loop *loop);

/* As apus_stop.  0 or -ESHUTDOWN. */
APUS_API int apus_remote_stop(struct apus_remote remote);

/* As apus_cancel, in the loop's next turn.  0, -ESHUTDOWN, -EAGAIN. */
APUS_API int apus_remote_cancel(struct apus_remote remote, struct apus_token token);

/*
 * As apus_counters_read, in the loop's next turn: waits for it.  0, -ESHUTDOWN, -ETIME, or
 * -ENOMEM: the request is allocated, so that whoever asks may give up.
 */
APUS_API int apus_remote_counters(struct apus_remote remote, int64_t timeout_ns,
	struct apus_counters *counters);

/*
 * apus_remote_spawn(remote, name, const type *init, struct apus_remote_join *join): starts a
 * task on the loop, in a node of its pool.  *init is copied; join may be NULL: detached.
 */
#define apus_remote_spawn(remote_, name, ...)                                        \
	APUS_TYPED_(apus_remote_spawn_typed_(remote_, name, __VA_ARGS__))
#define apus_remote_spawn_typed_(remote_, name, init_, join_)                        \
	apus_remote_spawn_kind((remote_), &apus_kind_##name,                         \
		1 ? (init_) : (const apus_state_##name *)0, (join_))

/*
 * The same in a node of the caller's: of any size, and never -EAGAIN.  The node and *init stay
 * until the task is joined, or released.  -EBUSY: the node is in use.
 */
#define apus_remote_spawn_in(remote_, name, node_, init_, join_)                     \
	APUS_TYPED_(apus_remote_spawn_node((remote_), &apus_kind_##name, (node_),    \
		1 ? (init_) : (const apus_state_##name *)0, (join_)))

APUS_API int apus_remote_spawn_kind(struct apus_remote remote, const struct apus_kind *kind,
	const void *init, struct apus_remote_join *join);
APUS_API int apus_remote_spawn_node(struct apus_remote remote, const struct apus_kind *kind,
	struct apus_remote_task *node, const void *init, struct apus_remote_join *join);

/* Blocks a plain thread: spins, then sleeps in the kernel. */
APUS_API int apus_remote_join(struct apus_remote_join join, int64_t timeout_ns,
	apus_poll *result);

/* Awaits in a task of another loop, or of the same. */
APUS_API apus_poll apus_remote_await(struct apus_cx *cx, struct apus_remote_join join,
	apus_poll *result);

/* 1 once it has ended, 0, or -ESTALE. */
APUS_API int apus_remote_is_finished(struct apus_remote_join join);

/* Asks the loop to abort it; the join answers -ECANCELED then.  0 or -ESTALE. */
APUS_API int apus_remote_abort(struct apus_remote_join join);

/* Lets it run on; the join is used up.  0 or -ESTALE. */
APUS_API int apus_remote_detach(struct apus_remote_join join);

APUS_END_DECLS

#endif
