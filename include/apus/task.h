/*
 * apus/task.h - tasks: kinds, spawning, awaiting, joining, aborting, sets.
 *
 *   Units      nanoseconds of the loop's clock.
 *   Errors     spawn: 0, -ENOSPC (every slot is taken), -EMSGSIZE (the state does not
 *              fit a slot), -ENOMEM (boxed), -ESHUTDOWN (the loop is stopping), -EPERM
 *              (another thread; a slab's spawn looks in debug builds only); the initial
 *              state stays the caller's.
 *              join: 0, -ESTALE, -ECANCELED, -EBUSY, -EDEADLK (of itself), -ENOBUFS.
 *   Ownership  the loop owns a task's state from spawn until its cleanup has run; a
 *              joined task's state can be read until the join is taken.
 *   Threads    the loop's thread only.
 *   Order      ready tasks run first in, first out, in each of two lanes.
 *   Cost       spawn, poll and end of a task: some ten instructions each; no
 *              allocation (but boxed), no atomic, no clock read.
 *
 * A task is a function that is polled: it answers APUS_PENDING and is polled again
 * when something woke it, or it answers its result and has ended.
 *
 * An awaitable is any expression of type apus_poll that may be evaluated again each
 * time the task wakes.  APUS_AWAIT evaluates it, and when it is pending leaves the
 * function; the next poll resumes there.  Locals do not survive an await: what must
 * live longer belongs into the state.
 *
 * Example:
 *
 *	#include <apus/task.h>
 *
 *	struct blink {
 *		struct apus_frame frame;
 *		int count;
 *	};
 *
 *	APUS_TASK(blink, struct blink)
 *	{
 *		APUS_BEGIN(cx, self);
 *		for (self->count = 0; self->count < 3; self->count++)
 *			APUS_WAIT(apus_sleep(cx, 10 * APUS_MSEC));
 *		APUS_END(self->count);
 *	}
 *
 *	int start(struct apus_loop *loop)
 *	{
 *		return apus_spawn_slab(loop, blink, NULL, NULL);
 *	}
 */
#ifndef APUS_TASK_H
#define APUS_TASK_H

#include <string.h>

#include "apus/cancel.h"
#include "apus/wait.h"

/* ---- kinds ------------------------------------------------------------- */

enum apus_lane_name { APUS_LANE_URGENT = 0, APUS_LANE_NORMAL = 1 };

/*
 * Identifies a task that was spawned with one, for join, abort and detach.  A value:
 * copy it freely; a stale one answers -ESTALE and never reaches another task.
 */
struct apus_join {
	struct apus_task *task;
	uint64_t serial;
	uint64_t loop_id;
};

/*
 * APUS_TASK(name, type[, cleanup]) { body } defines a kind of task in this file.  The
 * body gets struct apus_cx *cx and type *self and answers an apus_poll.  cleanup is
 * void f(struct apus_cx *, type *), and runs exactly once, on every way out.
 * APUS_TASK_URGENT puts the kind into the urgent lane.
 */
#define APUS_TASK(...) \
	APUS_TASK_PICK_(__VA_ARGS__, APUS_TASK3_, APUS_TASK2_, )(APUS_LANE_NORMAL, __VA_ARGS__)
#define APUS_TASK_URGENT(...) \
	APUS_TASK_PICK_(__VA_ARGS__, APUS_TASK3_, APUS_TASK2_, )(APUS_LANE_URGENT, __VA_ARGS__)
#define APUS_TASK_PICK_(a, b, c, d, ...) d

/*
 * In a task's body this is a parameter, in any other function it is a function, defined nowhere:
 * so the compiler knows where there is no caller whose frame has to come back.
 */
void apus_caller_(void);
#define APUS_OUTERMOST_ int apus_caller_ __attribute__((__unused__))
#ifndef __cplusplus
#define APUS_HAS_CALLER_ __builtin_types_compatible_p(__typeof__(apus_caller_), void(void))
#else
#define APUS_HAS_CALLER_ true
#endif

#define APUS_TASK2_(lane_, name, type)            \
	APUS_TASK_DECLARE_(name, type)            \
	APUS_TASK_KIND_(lane_, name, type, NULL) \
	static apus_poll apus_body_##name(struct apus_cx *cx, type *self, APUS_OUTERMOST_)

#define APUS_TASK3_(lane_, name, type, cleanup_)                                     \
	APUS_TASK_DECLARE_(name, type)                                               \
	static void apus_cleanup_##name(struct apus_cx *cx, void *apus_arg_)         \
	{                                                                            \
		void (*const apus_typed_)(struct apus_cx *, type *) = cleanup_;      \
                                                                                     \
		APUS_CLEANUP_TYPED_(cleanup_, type)                                  \
		apus_typed_(cx, (type *)apus_arg_);                                  \
	}                                                                            \
	APUS_TASK_KIND_(lane_, name, type, apus_cleanup_##name)                      \
	static apus_poll apus_body_##name(struct apus_cx *cx, type *self, APUS_OUTERMOST_)

/* A cleanup of another state is an error in C as well. */
#ifndef __cplusplus
#define APUS_CLEANUP_TYPED_(cleanup_, type)                                          \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&*(cleanup_)),        \
		void (*)(struct apus_cx *, type *)), "the cleanup takes the task's state");
#else
#define APUS_CLEANUP_TYPED_(cleanup_, type)
#endif

#define APUS_TASK_DECLARE_(name, type)                                               \
	typedef type apus_state_##name;                                              \
	static apus_poll apus_body_##name(struct apus_cx *cx, type *self, APUS_OUTERMOST_); \
	static apus_poll apus_poll_##name(struct apus_cx *cx, void *apus_arg_)       \
	{                                                                            \
		return apus_body_##name(cx, (type *)apus_arg_, 0);                   \
	}

#define APUS_TASK_KIND_(lane_, name, type, cleanup_)                                 \
	static const struct apus_kind apus_kind_##name __attribute__((__unused__)) = \
		{ apus_poll_##name, cleanup_, #name, sizeof(type), lane_ };          \
	APUS_SPAWN_TYPED_(apus_spawn_slab_, apus_task_claim, name, type)             \
	APUS_SPAWN_TYPED_(apus_spawn_boxed_, apus_task_claim_boxed, name, type)      \
	static __inline__ __attribute__((__unused__)) int apus_claim_slab_##name(    \
		struct apus_loop *apus_loop_, type **apus_out_)                      \
	{                                                                            \
		struct apus_task *apus_task_ = NULL;                                 \
		int apus_err_ = apus_task_claim(apus_loop_cx(apus_loop_),            \
			&apus_kind_##name, &apus_task_);                             \
                                                                                     \
		*apus_out_ = apus_err_ ? NULL : (type *)apus_task_state(apus_task_); \
		if (!apus_err_)                                                      \
			apus_task_->cx->counts.claimed++;                            \
		return apus_err_;                                                    \
	}

/* A typed spawn per kind, so that the macros below take compound literals as they are. */
#define APUS_SPAWN_TYPED_(prefix, claim, name, type)                                 \
	static __inline__ __attribute__((__unused__)) int prefix##name(              \
		struct apus_loop *apus_loop_, const type *apus_init_,                \
		struct apus_join *apus_join_)                                        \
	{                                                                            \
		struct apus_cx *apus_cx_ = apus_loop_cx(apus_loop_);                 \
		struct apus_task *apus_task_ = NULL;                                 \
		int apus_err_ = claim(apus_cx_, &apus_kind_##name, &apus_task_);     \
                                                                                     \
		if (apus_unlikely(apus_err_))                                        \
			return apus_err_;                                            \
		if (apus_init_ != NULL)                                              \
			*(type *)apus_task_state(apus_task_) = *apus_init_;          \
		else                                                                 \
			memset(apus_task_state(apus_task_), 0, sizeof(type));        \
		apus_task_start(apus_cx_, apus_task_, apus_join_);                   \
		return 0;                                                            \
	}

/* ---- spawning ----------------------------------------------------------- */

/*
 * apus_spawn_slab(loop, name, const type *init, struct apus_join *join): starts a task
 * in a slot of the loop's slab.  *init is copied, NULL is a state of zeros.  join may
 * be NULL: a detached task, whose slot is free again when it ends.
 */
#define apus_spawn_slab(loop, name, ...) APUS_TYPED_(apus_spawn_slab_##name(loop, __VA_ARGS__))

/* The same with the state on the heap, of any size; the header still takes a slot. */
#define apus_spawn_boxed(loop, name, ...) APUS_TYPED_(apus_spawn_boxed_##name(loop, __VA_ARGS__))

/*
 * apus_claim_slab(loop, name, &pointer): claims a slot whose state the caller builds in
 * place; then apus_claim_spawn(pointer, join) starts it, or apus_claim_drop(pointer)
 * gives it back.  The claimed bytes are not cleared; a refusal leaves NULL.
 */
#define apus_claim_slab(loop, name, out) APUS_TYPED_(apus_claim_slab_##name(loop, out))

APUS_BEGIN_DECLS

APUS_API APUS_COLD int apus_task_refuse(struct apus_cx *cx, const struct apus_kind *kind);
APUS_API int apus_task_claim_boxed(struct apus_cx *cx, const struct apus_kind *kind,
	struct apus_task **out);

/* Starts a claim; -ESHUTDOWN if the loop is stopping: the claim is then still held. */
APUS_API int apus_claim_spawn(void *state, struct apus_join *join);
APUS_API void apus_claim_drop(void *state);

/* The untyped halves that the macros are made of. */
APUS_INLINE int apus_task_claim(struct apus_cx *cx, const struct apus_kind *kind,
	struct apus_task **out)
{
	struct apus_task *task;

	if (apus_unlikely(kind->state_bytes >= cx->state_bytes_end))
		return apus_task_refuse(cx, kind);
#if APUS_DEBUG
	if (!apus_loop_is_mine(cx->loop))
		return -EPERM;
#endif
	task = (struct apus_task *)apus_slab_claim(&cx->tasks);
	if (apus_unlikely(task == NULL))
		return apus_task_refuse(cx, kind);
	task->kind = kind;
	task->flags = APUS_TASK_CLAIMED | kind->lane;
	task->cx = cx;
	*out = task;
	return 0;
}

APUS_INLINE void apus_task_start(struct apus_cx *cx, struct apus_task *task,
	struct apus_join *join)
{
	uint64_t flags = (task->flags & (APUS_TASK_NORMAL | APUS_TASK_BOXED)) |
			 APUS_TASK_LIVE | APUS_TASK_QUEUED;

	task->frame = NULL; /* the slot's last owner left its own */
	task->serial = ++cx->serial;
	task->spawned_ns = cx->now_ns;
	if (join != NULL) {
		flags |= APUS_TASK_JOINABLE;
		join->task = task;
		join->serial = task->serial;
		join->loop_id = cx->loop_id;
	}
	task->flags = flags;
	apus_ready_push(&cx->lanes[flags & APUS_TASK_NORMAL].ready, task);
}

/* ---- joining, detaching, aborting ---------------------------------------- */

/*
 * Awaits the end of a task and takes it: 0 and *result (may be NULL), or -ECANCELED if
 * it was aborted, -ESTALE if it was taken before or detached, -EBUSY if another waits.
 * The slot is free from then on.
 */
APUS_INLINE apus_poll apus_join(struct apus_cx *cx, struct apus_join join, apus_poll *result);
/* The rare half of apus_join. */
APUS_API apus_poll apus_join_slow(struct apus_cx *cx, struct apus_task *task, uint64_t serial,
	apus_poll *result);

/* Takes an ended task without waiting: as apus_join, or -EAGAIN while it lives. */
APUS_API int apus_try_join(struct apus_loop *loop, struct apus_join join, apus_poll *result);

/* 1 if it has ended and was not taken, 0 while it lives, -ESTALE. */
APUS_API int apus_join_is_finished(struct apus_loop *loop, struct apus_join join);

/* The state of a task that has not been taken, or NULL; also for another thread. */
APUS_API void *apus_join_state(struct apus_loop *loop, struct apus_join join);

/* Lets the task run on; its result is discarded.  0 or -ESTALE. */
APUS_API int apus_detach(struct apus_loop *loop, struct apus_join join);

/*
 * Ends a task: once this returns it is not polled again (from inside its own poll: after
 * that poll), its waits and its timer are gone; its cleanup runs from the next turn on, in
 * the order of abort, and its join answers -ECANCELED.  1: it was running; 0: it had
 * ended already; -ESTALE.
 */
APUS_API int apus_abort(struct apus_loop *loop, struct apus_join join);

/* The running task's own handle; all zero, which is stale, outside a poll. */
APUS_API struct apus_join apus_self(struct apus_cx *cx);

/* What apus_join looks at: set, the task can be taken at once; only JOINABLE, it lives. */
enum {
	APUS_JOIN_FLAGS = APUS_TASK_JOINABLE | APUS_TASK_ENDED | APUS_TASK_ABORTED |
			  APUS_TASK_BOXED | APUS_TASK_QUEUED,
	APUS_JOIN_ENDED = APUS_TASK_JOINABLE | APUS_TASK_ENDED
};

/* Frees the slot of a task that has ended, is in no ready queue and has no boxed state. */
APUS_INLINE void apus_task_free(struct apus_cx *cx, struct apus_task *task)
{
	task->serial = 0;
	task->flags = 0;
	apus_slab_release(&cx->tasks, task);
}

APUS_INLINE apus_poll apus_join(struct apus_cx *cx, struct apus_join join, apus_poll *result)
{
	struct apus_task *task = join.task, *self = cx->task;

	if (apus_unlikely(join.loop_id != cx->loop_id || task->serial != join.serial))
		return -ESTALE;
	if ((task->flags & APUS_JOIN_FLAGS) == APUS_JOIN_ENDED) {
		if (result != NULL)
			*result = task->result;
		apus_task_free(cx, task);
		return 0;
	}
	if ((task->flags & (APUS_TASK_JOINABLE | APUS_TASK_ENDED)) != APUS_TASK_JOINABLE ||
	    (task->flags & APUS_TASK_JOINED && task->joiner.task != self) || task == self)
		return apus_join_slow(cx, task, join.serial, result);
	task->flags |= APUS_TASK_JOINED;
	task->joiner.task = self;
	task->joiner.serial = self->serial;
	task->joiner.stamp = apus_task_poll_seq(self);
	return APUS_PENDING;
}

/* ---- awaiting ------------------------------------------------------------- */

/* Sets cx->frame on entry and restores a caller's on every way out of the function. */
struct apus_scope {
	struct apus_cx *cx;
	struct apus_frame *frame, *outer;
	bool was_suspended, suspended, has_caller;
};

APUS_INLINE struct apus_scope apus_scope_enter(struct apus_cx *cx, struct apus_frame *frame,
	bool has_caller)
{
	struct apus_scope scope = { cx, frame, cx->frame, frame->site != NULL, false, has_caller };

	/* A task's body is nobody's sub-task. */
	APUS_DEBUG_ASSERT(has_caller || cx->frame == NULL);
	cx->frame = frame;
	return scope;
}

/* A return that is not a suspension ends the function: its frame starts anew. */
APUS_INLINE void apus_scope_leave(struct apus_scope *scope)
{
	if (scope->has_caller)
		scope->cx->frame = scope->outer;
	if (!scope->suspended)
		scope->frame->site = NULL;
#if APUS_DEBUG
	if (scope->cx->task != NULL && scope->was_suspended != scope->suspended)
		scope->cx->task->flags += scope->suspended ? (uint64_t)APUS_TASK_FRAME :
							     -(uint64_t)APUS_TASK_FRAME;
#endif
}

APUS_INLINE void apus_scope_await(struct apus_scope *scope)
{
	scope->frame->site = NULL; /* it begins now, as apus_since is told by that */
	/* A sub-task that lost the await before is nobody's now. */
	scope->cx->suspended = NULL;
}

/* When it began is written down only where its first evaluation was in vain. */
APUS_INLINE apus_poll apus_scope_suspend(struct apus_scope *scope, const struct apus_site *site)
{
	if (scope->frame->site != site) {
		scope->frame->site = site;
		scope->frame->since_ns = scope->cx->now_ns;
		scope->frame->since_turn = scope->cx->turn;
	}
	scope->suspended = true;
	if (scope->cx->suspended == NULL)
		scope->cx->suspended = scope->frame;
	return APUS_PENDING;
}

#define APUS_SCOPE_(cx_, self_)                                               \
	struct apus_scope apus_scope_ __attribute__((__cleanup__(apus_scope_leave))) = \
		apus_scope_enter((cx_), &(self_)->frame, APUS_HAS_CALLER_)

/*
 * APUS_BEGIN(cx, self) ... APUS_END(result) enclose the body of a task or sub-task whose
 * state's first member is struct apus_frame frame.  C resumes at a label, so that awaits
 * may stand inside a switch; C++ at a case, so that a jump past a constructor does not
 * compile.  There an await inside another switch panics when it is to go on.
 */
#ifndef __cplusplus
#define APUS_BEGIN(cx_, self_)                                                \
	APUS_SCOPE_(cx_, self_);                                              \
	if (apus_scope_.frame->site != NULL)                                  \
		goto *apus_scope_.frame->site->resume;                        \
	goto *&&apus_start_;                                                  \
	apus_start_:;
#define APUS_END(result_) return (result_)
#define APUS_AWAIT_LABEL_ __label__ apus_resume_;
#define APUS_AWAIT_HERE_ &&apus_resume_
#define APUS_AWAIT_RESUME_ apus_resume_:;
#else
#define APUS_BEGIN(cx_, self_)                                                \
	APUS_SCOPE_(cx_, self_);                                              \
	switch (apus_scope_.frame->site != NULL ? apus_scope_.frame->site->line : 0) { \
	default:                                                              \
		apus_panic(__FILE__, __LINE__, "an await inside a switch");   \
	case 0:;
#define APUS_END(result_)                                                     \
	}                                                                     \
	return (result_)
#define APUS_AWAIT_LABEL_
#define APUS_AWAIT_HERE_ NULL
#define APUS_AWAIT_RESUME_                                                    \
	__attribute__((__fallthrough__));                                     \
	case __LINE__:;
#endif

#define APUS_AWAIT_(then, text_, ...)                                         \
	do {                                                                  \
		APUS_AWAIT_LABEL_                                             \
		static const struct apus_site apus_site_ = { APUS_AWAIT_HERE_, __FILE__, \
			__func__, text_, __LINE__ };                          \
		apus_scope_await(&apus_scope_);                               \
		APUS_AWAIT_RESUME_                                            \
		{                                                             \
			const apus_poll apus_value_ = (__VA_ARGS__);          \
			if (apus_value_ == APUS_PENDING)                      \
				return apus_scope_suspend(&apus_scope_, &apus_site_); \
			then;                                                 \
		}                                                             \
	} while (0)

/* APUS_AWAIT(result, awaitable): result = what it answers, once it is not pending. */
#define APUS_AWAIT(result_, ...) APUS_AWAIT_((result_) = apus_value_, #__VA_ARGS__, __VA_ARGS__)
/* APUS_WAIT(awaitable): the same, the answer discarded. */
#define APUS_WAIT(...) APUS_AWAIT_((void)apus_value_, #__VA_ARGS__, __VA_ARGS__)
/* APUS_TRY(result, awaitable): the same, and a negative answer ends the function. */
#define APUS_TRY(result_, ...)                                                \
	APUS_AWAIT_(if (apus_value_ < 0) return apus_value_; (void)((result_) = apus_value_), \
		#__VA_ARGS__, __VA_ARGS__)

/*
 * APUS_SELECT(value, arm0, arm1, ...): an awaitable over 2 to 8 others, evaluated left to
 * right up to the first that is ready.  Its result is that arm's index, value is what the
 * arm answered.  An arm that was not reached has consumed nothing.
 */
#define APUS_SELECT(value_, ...)                                              \
	__extension__({                                                       \
		apus_poll apus_arm_;                                          \
		apus_poll apus_which_ =                                       \
			APUS_ARMS_(__VA_ARGS__)(APUS_ARM_, __VA_ARGS__) APUS_PENDING; \
		(value_) = apus_arm_;                                         \
		apus_which_;                                                  \
	})

/* The same, starting at another arm each turn, so that none is always first. */
#define APUS_SELECT_FAIR(cx_, value_, ...)                                    \
	__extension__({                                                       \
		const unsigned apus_arms_ = APUS_COUNT_(__VA_ARGS__);         \
		apus_poll apus_arm_ = APUS_PENDING, apus_which_ = APUS_PENDING; \
		unsigned apus_try_, apus_first_ = (unsigned)((cx_)->turn % apus_arms_); \
		for (apus_try_ = 0; apus_try_ < apus_arms_ && apus_which_ == APUS_PENDING; \
			apus_try_++)                                          \
			switch ((apus_first_ + apus_try_) % apus_arms_) {     \
				APUS_ARMS_(__VA_ARGS__)(APUS_FAIR_ARM_, __VA_ARGS__) \
			}                                                     \
		(value_) = apus_arm_;                                         \
		apus_which_;                                                  \
	})

#define APUS_ARM_(i, arm) (apus_arm_ = (arm)) != APUS_PENDING ? (apus_poll)(i) :
#define APUS_FAIR_ARM_(i, arm)                        \
	case i:                                       \
		if ((apus_arm_ = (arm)) != APUS_PENDING) \
			apus_which_ = i;              \
		break;

#define APUS_COUNT_(...) APUS_COUNT9_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, )
#define APUS_COUNT9_(a, b, c, d, e, f, g, h, n, ...) n
#define APUS_ARMS_(...)                                                       \
	APUS_COUNT9_(__VA_ARGS__, APUS_ARMS8_, APUS_ARMS7_, APUS_ARMS6_, APUS_ARMS5_, \
		APUS_ARMS4_, APUS_ARMS3_, APUS_ARMS2_, , )
#define APUS_ARMS2_(m, a, b) m(0, a) m(1, b)
#define APUS_ARMS3_(m, a, b, c) APUS_ARMS2_(m, a, b) m(2, c)
#define APUS_ARMS4_(m, a, b, c, d) APUS_ARMS3_(m, a, b, c) m(3, d)
#define APUS_ARMS5_(m, a, b, c, d, e) APUS_ARMS4_(m, a, b, c, d) m(4, e)
#define APUS_ARMS6_(m, a, b, c, d, e, f) APUS_ARMS5_(m, a, b, c, d, e) m(5, f)
#define APUS_ARMS7_(m, a, b, c, d, e, f, g) APUS_ARMS6_(m, a, b, c, d, e, f) m(6, g)
#define APUS_ARMS8_(m, a, b, c, d, e, f, g, h) APUS_ARMS7_(m, a, b, c, d, e, f, g) m(7, h)

/* ---- time as awaitables ---------------------------------------------------- */

/* 0 once the deadline has come; until then the task is woken at it. */
APUS_INLINE apus_poll apus_sleep_until(struct apus_cx *cx, int64_t deadline_ns)
{
	if (cx->now_ns >= deadline_ns)
		return 0;
	if (deadline_ns != APUS_NEVER)
		apus_task_wake_at(cx, deadline_ns);
	return APUS_PENDING;
}

/*
 * The deadline of a relative time: counted from when the current await began.  A poll function
 * without a frame has none: it panics in a debug build, and else counts from somewhere.
 */
APUS_INLINE int64_t apus_since(const struct apus_cx *cx, int64_t ns)
{
	int64_t since_ns;

	APUS_DEBUG_ASSERT(cx->frame != NULL);
	since_ns = cx->frame->site != NULL ? cx->frame->since_ns : cx->now_ns;
	return ns <= 0 ? since_ns : apus_ns_add(since_ns, ns);
}

/* Sleeps for ns from when this await began; zero or less is ready at once. */
APUS_INLINE apus_poll apus_sleep(struct apus_cx *cx, int64_t ns)
{
	return apus_sleep_until(cx, apus_since(cx, ns));
}

/*
 * apus_timeout(cx, ns, awaitable): what the awaitable answers, or -ETIME once ns have
 * passed since this await began.  The awaitable is evaluated first, and wins.
 */
APUS_INLINE apus_poll apus_timeout_at(struct apus_cx *cx, int64_t deadline_ns, apus_poll inner)
{
	if (inner != APUS_PENDING)
		return inner;
	return apus_sleep_until(cx, deadline_ns) == 0 ? -ETIME : APUS_PENDING;
}

APUS_INLINE apus_poll apus_timeout(struct apus_cx *cx, int64_t ns, apus_poll inner)
{
	if (inner != APUS_PENDING)
		return inner;
	return apus_timeout_at(cx, apus_since(cx, ns), inner);
}

/* Lets every other ready task run: ready again in the next turn. */
APUS_INLINE apus_poll apus_yield(struct apus_cx *cx)
{
	APUS_DEBUG_ASSERT(cx->frame != NULL);
	if (cx->frame->site != NULL && cx->turn != cx->frame->since_turn)
		return 0;
	cx->flags |= APUS_CX_YIELD;
	return APUS_PENDING;
}

/* What a poll function without a frame returns to be polled again in the next turn. */
APUS_INLINE apus_poll apus_again(struct apus_cx *cx)
{
	cx->flags |= APUS_CX_YIELD;
	return APUS_PENDING;
}

/* What an interval does about ticks that passed unseen. */
enum apus_missed {
	APUS_MISSED_BURST, /* every tick is delivered, the late ones at once */
	APUS_MISSED_DELAY, /* the next tick is one period after the late one */
	APUS_MISSED_SKIP   /* missed ticks are left out; the rest stays aligned to the first */
};

struct apus_interval {
	int64_t next_ns; /* the deadline of the next tick: first + k * period, no drift */
	int64_t period_ns;
	int64_t due_ns;    /* the deadline of the last tick that was delivered */
	uint64_t ticks;    /* delivered */
	uint64_t overruns; /* periods that had passed already when a tick was taken */
	enum apus_missed missed;
};

/* first_ns is the first tick's deadline, explicitly.  -EINVAL for a period <= 0. */
APUS_API int apus_interval_init(struct apus_interval *interval, int64_t first_ns,
	int64_t period_ns, enum apus_missed missed);

/* Awaits the next tick: the number of periods that it came late by (0 when on time). */
APUS_API apus_poll apus_tick(struct apus_cx *cx, struct apus_interval *interval);

/* Moves all later ticks by delta, to lock onto an outside clock. */
APUS_INLINE void apus_interval_shift(struct apus_interval *interval, int64_t delta_ns)
{
	interval->next_ns = delta_ns >= 0 ? apus_ns_add(interval->next_ns, delta_ns) :
					    interval->next_ns + delta_ns;
}

/* ---- sets ------------------------------------------------------------------- */

/*
 * A set of tasks with a token: spawn into it, await the next to end, or all; cancel asks
 * them to end, abort ends them.  Lies in its owner's state; the owner's cleanup calls
 * apus_set_deinit, which aborts what is left.
 */
struct apus_set {
	struct apus_loop *loop;
	struct apus_task *live;               /* linked both ways */
	struct apus_task *ended, *ended_tail; /* in the order they ended */
	struct apus_waitq waiters;
	struct apus_token token; /* a child of the parent given to init; tasks look at it */
	uint64_t live_count, ended_count;
};

/* 0, or -ENOSPC: no token is left; -ESTALE: the parent is gone. */
APUS_API int apus_set_init(struct apus_set *set, struct apus_loop *loop, struct apus_token parent);
APUS_API void apus_set_deinit(struct apus_set *set);

/* apus_set_spawn(set, name, const type *init): as apus_spawn_slab, into the set. */
#define apus_set_spawn(set_, name, ...)                                       \
	__extension__({                                                       \
		struct apus_set *apus_set_ = (set_);                          \
		struct apus_join apus_member_;                                \
		int apus_err_ = APUS_TYPED_(                                  \
			apus_spawn_slab_##name(apus_set_->loop, __VA_ARGS__, &apus_member_)); \
		if (!apus_err_)                                               \
			apus_set_adopt(apus_set_, apus_member_);              \
		apus_err_;                                                    \
	})

/* Makes a joinable task a member; its join is used up.  0 or -ESTALE. */
APUS_API int apus_set_adopt(struct apus_set *set, struct apus_join join);

/* Awaits the next member to end: 0 and *result, -ECANCELED if aborted, -ENOENT: none left. */
APUS_API apus_poll apus_set_next(struct apus_cx *cx, struct apus_set *set, apus_poll *result);
/* Awaits all members, discarding results: the number that ended since the last await. */
APUS_API apus_poll apus_set_all(struct apus_cx *cx, struct apus_set *set);
APUS_API void apus_set_cancel(struct apus_set *set);
/* Aborts all members; the number that were running. */
APUS_API uint64_t apus_set_abort(struct apus_set *set);

/* ---- looking ------------------------------------------------------------------ */

enum apus_task_status {
	APUS_STATUS_READY,
	APUS_STATUS_RUNNING,
	APUS_STATUS_WAITING,
	APUS_STATUS_ABORTED, /* its cleanup is due */
	APUS_STATUS_ENDED,   /* not joined yet */
	APUS_STATUS_HELD     /* over; its cleanup is due once what it lent is back: apus/op.h */
};

struct apus_task_info {
	const char *name;
	uint64_t serial;
	enum apus_task_status status;
	const struct apus_site *site; /* where it waits; NULL where it has no frame */
	int64_t age_ns;               /* since it was spawned */
	int64_t waiting_ns;           /* since its current await began; 0 if none */
	int64_t deadline_ns;          /* its timer, or APUS_NEVER */
	uint32_t waits;               /* queues it stands in */
};

/* Calls see for every task there is; cold: walks every slot that was ever used. */
APUS_API void apus_dump(struct apus_loop *loop,
	void (*see)(void *arg, const struct apus_task_info *info), void *arg);

APUS_END_DECLS

#endif
