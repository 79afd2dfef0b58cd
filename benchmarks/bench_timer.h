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

/* A peer's functions of these names, in the rows that compare peers. */
#define TIMER_PEER(who_)                                                               \
	BENCH_ENTRANT(arm_disarm_0, .row = "timer/arm_disarm/0", .who = who_,          \
		.run = arm_disarm, .arg = 0);                                          \
	BENCH_ENTRANT(arm_disarm_10k, .row = "timer/arm_disarm/10k", .who = who_,      \
		.run = arm_disarm, .arg = 10000);                                      \
	BENCH_ENTRANT(arm_disarm_1m, .row = "timer/arm_disarm/1M", .who = who_,        \
		.run = arm_disarm, .arg = 1000000);                                    \
	BENCH_ENTRANT(arm_fire_0, .row = "timer/arm_fire/0", .who = who_,              \
		.run = arm_fire, .arg = 0);                                            \
	BENCH_ENTRANT(arm_fire_10k, .row = "timer/arm_fire/10k", .who = who_,          \
		.run = arm_fire, .arg = 10000);                                        \
	BENCH_ENTRANT(arm_fire_1m, .row = "timer/arm_fire/1M", .who = who_,            \
		.run = arm_fire, .arg = 1000000);                                      \
	BENCH_ENTRANT(worst_turn_1m, .row = "timer/worst_turn/1M", .who = who_,        \
		.run = worst_turn, .arg = 1000000)

#endif
