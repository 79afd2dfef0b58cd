/*
 * bench_many.h - the rows with many ends: their sizes, their producers, and how work is shared
 * out.
 */
#ifndef BENCH_MANY_H
#define BENCH_MANY_H

#include "bench_channel.h"
#include "bench_wake.h"

#include <errno.h>

enum { MANY_PRODUCERS = 8, MANY_WORKERS = 8, MANY_ITEMS = 64 };

#define MANY_SUM ((uint64_t)MANY_ITEMS * (MANY_ITEMS - 1) / 2)

/* A message says who sent it, and as which of its own. */
#define MANY_SHIFT 56
#define MANY_MASK ((UINT64_C(1) << MANY_SHIFT) - 1)

struct many_producer {
	pthread_t thread;
	void *crowd;    /* the channel that it sends through, until that is closed */
	uint64_t first; /* who it is, in the upper bits */
};

/* As many threads as b->arg says, each with one of all: how many began. */
static inline uint32_t many_begin(struct bench *b, struct many_producer *all, void *crowd,
	void *(*run)(void *))
{
	uint32_t i;

	for (i = 0; i < (uint32_t)b->arg; i++) {
		all[i].crowd = crowd;
		all[i].first = (uint64_t)i << MANY_SHIFT;
		if (!wake_thread(b, &all[i].thread, run, &all[i]))
			break;
	}
	return i;
}

/* Once the channel is closed. */
static inline void many_end(struct many_producer *all, uint32_t count)
{
	while (count-- > 0)
		pthread_join(all[count].thread, NULL);
}

/* The four rows of an entrant. */
#define MANY_ENTRANT(who_, count_, run_)                                            \
	BENCH_ENTRANT(producers_##count_##_##who_, .row = "scale/producers/" #count_,  \
		.who = #who_, .run = run_, .arg = count_)
#define MANY_ENTRANTS(who_, run_)     \
	MANY_ENTRANT(who_, 1, run_);  \
	MANY_ENTRANT(who_, 2, run_);  \
	MANY_ENTRANT(who_, 4, run_);  \
	MANY_ENTRANT(who_, 8, run_)

/* Whose the item is: everybody's in turn, or every second one the first worker's. */
static inline uint32_t many_pick(uint32_t item, int64_t skewed)
{
	if (skewed)
		return item % 2 ? 0 : 1 + item / 2 % (MANY_WORKERS - 1);
	return item % MANY_WORKERS;
}

#endif
