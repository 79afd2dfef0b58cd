/*
 * apus/timer.h - deadlines: a hierarchical wheel that cascades under a budget.
 *
 *   Units      nanoseconds of whatever clock the caller advances with.
 *   Errors     init: 0 or -errno.  arm, disarm and advance cannot fail.  post: -ENOSPC
 *              when full; cancel: -ESTALE when too late.
 *   Ownership  a timer's memory is its owner's, and must stay until it has fired, was
 *              disarmed, or the wheel was deinitialised.  The wheel allocates in init
 *              only.  A callback may free the timer that it was handed.
 *   Threads    one thread, the one that called init.
 *   Order      by deadline, ties by arming order, never before the deadline; exact while
 *              a bucket (resolution_ns wide) holds at most one budget, else per bucket.
 *   Cost       arm, disarm: O(1) at any population, no call.  advance: one compare while
 *              nothing is due, else at most `budget` timers moved or fired.
 *   Source     G. Varghese and A. Lauck, "Hashed and Hierarchical Timing Wheels", 1987,
 *              scheme 7; what differs here is in doc/adr/0020-cascading-wheel.md.
 */
#ifndef APUS_TIMER_H
#define APUS_TIMER_H

#include "apus/base.h"
#include "apus/slab.h"

struct apus_cx;
struct apus_timer;

/* Called once a firing, with the timer disarmed already; cx is NULL without a loop. */
typedef void apus_timer_fn(struct apus_cx *cx, struct apus_timer *timer);

/* What an unowned timer calls. */
typedef void apus_timer_post_fn(struct apus_cx *cx, void *arg);

/* Neighbours in a circular list; timers and list heads are linked through one. */
struct apus_timer_link {
	struct apus_timer_link *next; /* NULL: not in any list */
	struct apus_timer_link *prev;
};

/* Read it through the functions below; deadline_ns may be read while it is armed. */
struct apus_timer {
	struct apus_timer_link link;
	int64_t deadline_ns;
	uint64_t seq; /* the how manieth arming of the wheel: breaks ties */
	apus_timer_fn *fn;
};

enum {
	APUS_WHEEL_LEVEL_BITS = 8,
	APUS_WHEEL_LEVEL_BUCKETS = 1 << APUS_WHEEL_LEVEL_BITS,
	APUS_WHEEL_LEVELS_MAX = 8, /* 8 x 8 bits: all 63 bits, even at 1 ns a bucket */
	APUS_WHEEL_BUCKETS_MAX = APUS_WHEEL_LEVELS_MAX * APUS_WHEEL_LEVEL_BUCKETS,
	APUS_WHEEL_RESOLUTION_NS = 4096
};

/*
 * Open only for the inlines below: read through them, write never.  Times end in the last
 * nanosecond of their bucket, so that a compare tells "in this bucket or before".
 */
struct apus_wheel {
	int64_t next_ns;      /* nothing to do before it */
	int64_t floor_ns;     /* what is armed up to here waits in `fresh` */
	int64_t elapsed_ns;   /* buckets up to here have been opened */
	int64_t bucket_mask_ns;
	uint64_t seq;           /* armings so far, each of which is pending or retired */
	uint64_t retired_count; /* fired, disarmed, or armed anew */
	uint32_t shift;         /* log2 of the resolution */
	uint32_t levels;        /* a bit a level: clear, none of its buckets holds a timer */

	struct apus_timer_link fresh;  /* armed in the current bucket or before it */
	struct apus_timer_link moving; /* out of a bucket, on the way to due or a lower level */
	struct apus_timer_link due;    /* sorted; fires as soon as its deadline is reached */
	struct apus_timer_link crowd;  /* what does not fit into due, none of it due yet */
	int64_t crowd_ns;              /* the earliest of the crowd, or before it */
	uint64_t due_count;            /* never less than due holds */
	uint64_t fired_count;
	bool is_advancing;

	/* A bit a bucket: clear, it is empty; set, it may have been emptied since. */
	uint64_t occupied[APUS_WHEEL_BUCKETS_MAX / 64];
	struct apus_timer_link buckets[APUS_WHEEL_BUCKETS_MAX];

	struct apus_slab unowned;
};

struct apus_wheel_config {
	int64_t resolution_ns;  /* width of a bucket, rounded up to a power of two; 0: 4096 */
	uint32_t unowned_count; /* slots for timers without an owner; 0: none */
};

APUS_BEGIN_DECLS

/*
 * now_ns is where the wheel starts; config may be NULL for the defaults.
 * -EINVAL: a negative resolution, or one above 2^32.  -ENOMEM: no room for the unowned.
 */
APUS_API int apus_wheel_init(struct apus_wheel *wheel, const struct apus_wheel_config *config,
	int64_t now_ns);

/* Pending timers never fire; they are disarmed, so that a later disarm is harmless. */
APUS_API void apus_wheel_deinit(struct apus_wheel *wheel);

/* The cold half of apus_wheel_advance. */
APUS_API uint32_t apus_wheel_advance_slow(struct apus_wheel *wheel, struct apus_cx *cx,
	int64_t now_ns, uint32_t budget);

/*
 * When to advance next: never later than the earliest deadline, and exact when that one is
 * in the current bucket (and less than 256 are), or was armed as the earliest of all.
 * APUS_NEVER: nothing is pending.  A time in the past: at once, as when the last advance
 * spent its budget; it is never so far back that subtracting the time now could overflow.
 * O(levels).  Not to be called from a callback.
 */
APUS_API int64_t apus_wheel_next_ns(struct apus_wheel *wheel);

/*
 * For who has no place to keep a timer: calls fn(cx, arg) once at the deadline, from one of
 * the wheel's own slots.  -ENOSPC: they are all taken.  handle, unless NULL, gets what
 * cancels it, never 0.
 */
APUS_API int apus_timer_post(struct apus_wheel *wheel, int64_t deadline_ns,
	apus_timer_post_fn *fn, void *arg, uint64_t *handle);

/* -ESTALE: it has been called or cancelled, or never was. */
APUS_API int apus_timer_cancel(struct apus_wheel *wheel, uint64_t handle);

APUS_END_DECLS

APUS_INLINE uint64_t apus_wheel_pending_count(const struct apus_wheel *wheel)
{
	return wheel->seq - wheel->retired_count;
}

APUS_INLINE uint64_t apus_wheel_fired_count(const struct apus_wheel *wheel)
{
	return wheel->fired_count;
}

/* ---- the hot half ---------------------------------------------------- */

APUS_INLINE void apus_timer_init(struct apus_timer *timer, apus_timer_fn *fn)
{
	timer->link.next = NULL;
	timer->link.prev = NULL;
	timer->deadline_ns = APUS_NEVER;
	timer->seq = 0;
	timer->fn = fn;
}

APUS_INLINE bool apus_timer_is_armed(const struct apus_timer *timer)
{
	return timer->link.next != NULL;
}

/*
 * The bucket of a deadline beyond the elapsed time, marked as occupied.  Its level is that
 * of the highest bit in which the two differ, so no bucket holds two rounds of the wheel.
 */
APUS_INLINE struct apus_timer_link *apus_wheel_bucket(struct apus_wheel *wheel,
	int64_t deadline_ns)
{
	uint64_t differing = (uint64_t)(deadline_ns ^ wheel->elapsed_ns);
	uint32_t high_bit = 63u ^ (uint32_t)__builtin_clzll(differing);
	uint32_t level_bit = (high_bit - wheel->shift) & ~(APUS_WHEEL_LEVEL_BITS - 1u);
	uint32_t slot = ((uint64_t)deadline_ns >> (level_bit + wheel->shift)) &
		(APUS_WHEEL_LEVEL_BUCKETS - 1u);
	uint32_t index = level_bit << (APUS_WHEEL_LEVEL_BITS - 3) | slot;

	/* Mostly set already: not writing spares the next arm a wait for this one's write. */
	if (apus_unlikely(!(wheel->occupied[index / 64] >> (index % 64) & 1))) {
		wheel->occupied[index / 64] |= UINT64_C(1) << (index % 64);
		wheel->levels |= 1u << (level_bit / APUS_WHEEL_LEVEL_BITS);
	}
	return &wheel->buckets[index];
}

APUS_INLINE void apus_timer_link_last(struct apus_timer_link *head, struct apus_timer_link *link)
{
	struct apus_timer_link *last = head->prev;

	link->prev = last;
	last->next = link;
	link->next = head;
	head->prev = link;
}

APUS_INLINE void apus_timer_unlink(struct apus_timer_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = NULL;
}

/* Nothing happens to a timer that is not armed. */
APUS_INLINE void apus_timer_disarm(struct apus_wheel *wheel, struct apus_timer *timer)
{
	if (!apus_timer_is_armed(timer))
		return;
	apus_timer_unlink(&timer->link);
	wheel->retired_count++;
}

/* Also re-arms.  A deadline that has passed fires at the next advance, not within this one. */
APUS_INLINE void apus_timer_arm(struct apus_wheel *wheel, struct apus_timer *timer,
	int64_t deadline_ns)
{
	struct apus_timer_link *head = &wheel->fresh;

	apus_timer_disarm(wheel, timer);
	timer->deadline_ns = deadline_ns;
	timer->seq = wheel->seq++;
	if (deadline_ns < wheel->next_ns)
		wheel->next_ns = deadline_ns;
	if (deadline_ns > wheel->floor_ns)
		head = apus_wheel_bucket(wheel, deadline_ns);
	apus_timer_link_last(head, &timer->link);
}

/*
 * Fires what is due at now_ns, oldest deadline first, and returns the work done: timers
 * moved down or fired, at most budget.  What is left is the next call's, and a timer armed
 * with a passed deadline by a callback too.  Not to be called from a callback.
 */
APUS_INLINE uint32_t apus_wheel_advance(struct apus_wheel *wheel, struct apus_cx *cx,
	int64_t now_ns, uint32_t budget)
{
	if (apus_unlikely(now_ns >= wheel->next_ns))
		return apus_wheel_advance_slow(wheel, cx, now_ns, budget);
	/* Following the clock keeps what is armed later in the low levels. */
	if (apus_unlikely(now_ns > wheel->floor_ns)) {
		wheel->floor_ns = now_ns | wheel->bucket_mask_ns;
		wheel->elapsed_ns = wheel->floor_ns;
	}
	return 0;
}

#endif
