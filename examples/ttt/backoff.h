/*
 * backoff.h - how long to wait before the next try: each time about twice as long, and never
 * two clients in step.
 *
 *   Units      nanoseconds.
 *   Cost       a few instructions.
 *   Source     "equal jitter": half of the wait is fixed, half drawn (Marc Brooker, 2015).
 */
#ifndef TTT_BACKOFF_H
#define TTT_BACKOFF_H

#include "rng.h"

struct backoff {
	int64_t first_ns, most_ns;
	int64_t wait_ns;     /* the next wait is half of this at least, and never more */
	struct rng rng;
};

static inline void backoff_init(struct backoff *backoff, int64_t first_ns, int64_t most_ns,
	uint64_t seed)
{
	backoff->first_ns = backoff->wait_ns = first_ns;
	backoff->most_ns = most_ns;
	backoff->rng.state = seed;
}

/* It went well: the next trouble is a new one. */
static inline void backoff_reset(struct backoff *backoff)
{
	backoff->wait_ns = backoff->first_ns;
}

static inline int64_t backoff_next_ns(struct backoff *backoff)
{
	int64_t wait_ns = backoff->wait_ns, half_ns = wait_ns / 2;

	backoff->wait_ns = wait_ns < backoff->most_ns / 2 ? 2 * wait_ns : backoff->most_ns;
	return wait_ns - half_ns + (int64_t)(rng_next(&backoff->rng) % ((uint64_t)half_ns + 1));
}

#endif
