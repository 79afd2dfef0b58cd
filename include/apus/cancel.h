/*
 * apus/cancel.h - cooperative cancellation: a tree of tokens.
 *
 *   Units      none.
 *   Errors     -ENOSPC: no token is left; -ESTALE: the token was released, or its loop
 *              is another.
 *   Ownership  a token is a handle, a value; its node is the loop's, from child until
 *              release.  Releasing a token leaves its children alive.
 *   Threads    the loop's thread only.
 *   Order      waiters wake parents first, in the order they came.
 *   Cost       child, release, cancel: O(1).  Cancel marks; the walk to descendants
 *              and waiters is iterative and done by the turn, under its budget.
 *
 * Cancelling ends no task: it asks.  A task looks with apus_token_is_cancelled or awaits
 * apus_cancelled.  Descendants see it when the walk reaches them, in this turn or a later
 * one; a child of a cancelled token is born cancelled.
 */
#ifndef APUS_CANCEL_H
#define APUS_CANCEL_H

#include "apus/wait.h"

struct apus_token_node;

struct apus_token {
	struct apus_token_node *node;
	uint64_t serial; /* 0 is no token */
	uint64_t loop_id;
};

/*
 * Cancels a token when its task ends, whatever the way, unless it was disarmed.  Lies in
 * the task's state.
 */
struct apus_guard {
	struct apus_guard *next;
	struct apus_token token;
	bool armed;
};

APUS_BEGIN_DECLS

/* A new token below parent, cancelled with it.  0, -ENOSPC or -ESTALE. */
APUS_API int apus_token_child(struct apus_loop *loop, struct apus_token parent,
	struct apus_token *child);

/* Gives the token back; tasks that await it wake with -EPIPE.  0, -ESTALE, or -EINVAL: the
 * loop's own. */
APUS_API int apus_token_release(struct apus_loop *loop, struct apus_token token);

/* Marks the token cancelled; the walk follows.  1, 0 if it was already, or -ESTALE. */
APUS_API int apus_cancel(struct apus_loop *loop, struct apus_token token);

/* 1 or 0; a stale token answers 1: what it stood for is over. */
APUS_API bool apus_token_is_cancelled(struct apus_loop *loop, struct apus_token token);

/* Awaits cancellation: 0 once cancelled, -ESTALE for a released token, -EPIPE if it is
 * released meanwhile. */
APUS_API apus_poll apus_cancelled(struct apus_cx *cx, struct apus_token token);

/* Attaches the guard to the running task; arming it again only changes its token. */
APUS_API void apus_guard_arm(struct apus_cx *cx, struct apus_guard *guard,
	struct apus_token token);
APUS_API void apus_guard_disarm(struct apus_guard *guard);

APUS_END_DECLS

#endif
