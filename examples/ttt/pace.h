/*
 * pace.h - when the next event of a flow is due: a set rate on average, calm
 * stretches and bursts sixteen times as dense.
 *
 *   Units      events a second, nanoseconds.
 *   Errors     none: a rate of 0 never has an event due.
 *   Order      deadlines never go back; a late caller catches up.
 *   Cost       one random number an event.
 */
#ifndef TTT_PACE_H
#define TTT_PACE_H

#include "rng.h"

#include <apus/base.h>

struct pace {
	struct rng rng;
	int64_t next_ns;      /* when the next event is due */
	int64_t mean_ns;
	uint32_t burst_left;
};

#define PACE_BURST_ONE_IN 200   /* a calm event in so many starts a burst */
#define PACE_BURST_EVENTS 40    /* on average */
#define PACE_BURST_DENSITY 16

static inline void pace_init(struct pace *pace, uint64_t seed, uint64_t rate, int64_t now_ns)
{
	pace->rng.state = seed;
	pace->mean_ns = rate == 0 ? 0 : (int64_t)(APUS_SEC / rate);
	pace->next_ns = rate == 0 ? APUS_NEVER : now_ns;
	pace->burst_left = 0;
}

/*
 * Calm gaps are longer than the mean by what the bursts save: with 0.2 events in a
 * burst for each calm one, 1.2 gaps of 1 = calm + 0.2 / 16, so calm is 19/16.
 */
static inline int64_t pace_gap_ns(struct pace *pace)
{
	if (pace->burst_left > 0) {
		pace->burst_left--;
		return pace->mean_ns / PACE_BURST_DENSITY;
	}
	if (rng_one_in(&pace->rng, PACE_BURST_ONE_IN))
		pace->burst_left = 1 + rng_below(&pace->rng, 2 * PACE_BURST_EVENTS - 1);
	return (int64_t)((uint64_t)pace->mean_ns * 19 / 16 * rng_below(&pace->rng, 2048) / 1024);
}

/* Takes one event if one is due. */
static inline bool pace_take(struct pace *pace, int64_t now_ns)
{
	if (now_ns < pace->next_ns)
		return false;
	pace->next_ns += pace_gap_ns(pace);
	return true;
}

#endif
