/*
 * bench_timer.h - the deadlines that every entrant of timer/ uses.
 */
#ifndef BENCH_TIMER_H
#define BENCH_TIMER_H

#include "bench.h"

#define TIMER_MS INT64_C(1000000)
#define TIMER_HOUR INT64_C(3600000000000)
#define TIMER_BATCH 1000
#define TIMER_BUDGET 1024
#define TIMER_DELAYS 1024

/* 1 - 250 ms: the time-outs of a session, nearly all of them won by their answer. */
static inline void timer_delays_near(int64_t delays[TIMER_DELAYS])
{
	uint64_t state = BENCH_SEED;

	for (int i = 0; i < TIMER_DELAYS; i++)
		delays[i] = TIMER_MS + (int64_t)(bench_random(&state) % (249 * TIMER_MS));
}

/* Within the next millisecond: what a batch arms, and then lets expire. */
static inline void timer_delays_soon(int64_t delays[TIMER_DELAYS])
{
	uint64_t state = BENCH_SEED;

	for (int i = 0; i < TIMER_DELAYS; i++)
		delays[i] = (int64_t)(bench_random(&state) % TIMER_MS);
}

/* One to ten hours: the population that nobody waits for. */
static inline int64_t timer_delay_far(uint64_t *state)
{
	return TIMER_HOUR + (int64_t)(bench_random(state) % (9 * TIMER_HOUR));
}

#endif
