/*
 * apus/sync.h - what tasks of one loop wait for each other with: notify, event, semaphore.
 *
 *   Units      permits.
 *   Errors     the awaitables: 0, -EPIPE (closed, or deinitialised meanwhile), -ENOBUFS
 *              (no wait node is left; nothing was consumed).  -EAGAIN, -EOVERFLOW below.
 *   Ownership  the memory is the caller's; all bytes zero is a valid initial state.  It is
 *              deinitialised before the memory goes.
 *   Threads    the loop's thread only.
 *   Order      first come, first served; nobody overtakes who waits.
 *   Cost       what needs no wait: a few instructions; no atomic, no allocation.
 *
 * What was given to a task that then no longer cares (another arm of its select won, its
 * timeout expired, it was aborted) passes to the next that waits, or is kept.
 *
 * Example:
 *
 *	#include <apus/task.h>
 *
 *	struct worker {
 *		struct apus_frame frame;
 *		struct apus_event *start;
 *		struct apus_semaphore *slots;
 *	};
 *
 *	APUS_TASK(worker, struct worker)
 *	{
 *		apus_poll err;
 *
 *		APUS_BEGIN(cx, self);
 *		APUS_TRY(err, apus_event_wait(cx, self->start));
 *		APUS_TRY(err, apus_semaphore_acquire(cx, self->slots));
 *		APUS_WAIT(apus_sleep(cx, APUS_MSEC));
 *		err = apus_semaphore_release(self->slots, 1);
 *		APUS_END(err);
 *	}
 *
 *	int start(struct apus_loop *loop, struct worker *init)
 *	{
 *		return apus_spawn_slab(loop, worker, init, NULL);
 *	}
 */
#ifndef APUS_SYNC_H
#define APUS_SYNC_H

#include "apus/wait.h"

/*
 * The fields are this room's.  A grant in `waiters` is one that passes on when its task
 * goes away; in `released` are those who were all let go at once, and theirs do not: who
 * comes later is not meant.
 */
struct apus_notify {
	struct apus_waitq waiters;
	struct apus_waitq released;
	uint64_t granted; /* notifications given to a waiter and not taken yet */
	bool is_stored;   /* one that nobody waited for */
};

struct apus_event {
	struct apus_waitq waiters;
	struct apus_waitq released;
	bool is_set;
};

struct apus_semaphore {
	struct apus_waitq waiters;
	uint64_t permits; /* those that are granted and not taken yet included */
	bool is_closed;
};

APUS_BEGIN_DECLS

/* ---- the cold half ---------------------------------------------------------- */

APUS_API apus_poll apus_event_wait_slow(struct apus_cx *cx, struct apus_event *event);
APUS_API apus_poll apus_semaphore_acquire_slow(struct apus_cx *cx,
	struct apus_semaphore *semaphore);

/* ---- notify ------------------------------------------------------------------- */

/*
 * "Something happened": wakes the first that waits.  When nobody does, one notification
 * (not more) is kept for who comes next.
 */
APUS_API void apus_notify_one(struct apus_notify *notify);

/* Wakes all that wait now; nothing is kept. */
APUS_API void apus_notify_all(struct apus_notify *notify);

/* Awaits a notification, and takes it. */
APUS_API apus_poll apus_notified(struct apus_cx *cx, struct apus_notify *notify);

/* Wakes who waits with -EPIPE; from then on the memory may go. */
APUS_API void apus_notify_deinit(struct apus_notify *notify);

/* ---- event --------------------------------------------------------------------- */

/* All that wait now go on, even if it is cleared before they run; and all that come later. */
APUS_API void apus_event_set(struct apus_event *event);
APUS_API void apus_event_deinit(struct apus_event *event);

APUS_INLINE void apus_event_clear(struct apus_event *event)
{
	event->is_set = false;
}

APUS_INLINE bool apus_event_is_set(const struct apus_event *event)
{
	return event->is_set;
}

/* Awaits that it is set; 0, and it stays set. */
APUS_INLINE apus_poll apus_event_wait(struct apus_cx *cx, struct apus_event *event)
{
	if (apus_wait_is_broken(cx, &event->waiters) || apus_wait_is_broken(cx, &event->released))
		return -EPIPE;
	if (apus_likely(event->is_set && cx->task->waits == NULL))
		return 0;
	return apus_event_wait_slow(cx, event);
}

/* ---- semaphore ------------------------------------------------------------------ */

APUS_INLINE void apus_semaphore_init(struct apus_semaphore *semaphore, uint64_t permits)
{
	const struct apus_semaphore fresh = { { NULL, NULL, NULL }, permits, false };

	*semaphore = fresh;
}

APUS_API void apus_semaphore_deinit(struct apus_semaphore *semaphore);

/* Nothing is acquired any more: who waits wakes with -EPIPE.  Releasing stays harmless. */
APUS_API void apus_semaphore_close(struct apus_semaphore *semaphore);

/* Gives permits to who waits, in the order they came; the rest is kept.  0 or -EOVERFLOW. */
APUS_API int apus_semaphore_release(struct apus_semaphore *semaphore, uint64_t permits);

/* Permits that one could acquire; those that a waiter was given already are not counted. */
APUS_API uint64_t apus_semaphore_available(const struct apus_semaphore *semaphore);

/* 0; -EAGAIN: none left, or somebody waits; -EPIPE: closed. */
APUS_INLINE int apus_semaphore_try_acquire(struct apus_semaphore *semaphore)
{
	if (apus_unlikely(semaphore->is_closed))
		return -EPIPE;
	if (semaphore->permits == 0 || apus_waitq_is_busy(&semaphore->waiters))
		return -EAGAIN;
	semaphore->permits--;
	return 0;
}

/* Awaits one permit, and takes it.  A task that ends does not give it back: its cleanup does. */
APUS_INLINE apus_poll apus_semaphore_acquire(struct apus_cx *cx, struct apus_semaphore *semaphore)
{
	int err;

	if (apus_wait_is_broken(cx, &semaphore->waiters))
		return -EPIPE;
	err = apus_semaphore_try_acquire(semaphore);
	return apus_likely(err != -EAGAIN) ? err : apus_semaphore_acquire_slow(cx, semaphore);
}

APUS_END_DECLS

#endif
