/*
 * bench_task.h - the sizes that every entrant of task/ uses, and how callbacks take turns.
 */
#ifndef BENCH_TASK_H
#define BENCH_TASK_H

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define TASK_BATCH 1000

/*
 * Callbacks that have themselves called again are a peer's yielding tasks, where it has no
 * tasks.  Each counts its calls; the first keeps the time.
 */
struct relay {
	struct bench *b;
	uint32_t crowd;
	uint32_t rounds;        /* of the sample */
	bool over;
	uint64_t *calls;        /* of each of the crowd */
};

static inline void relay_begin(struct relay *relay, struct bench *b)
{
	memset(relay, 0, sizeof *relay);
	relay->b = b;
	relay->crowd = (uint32_t)b->arg;
	relay->calls = (uint64_t *)calloc(relay->crowd, sizeof *relay->calls);
	if (relay->calls == NULL)
		abort();
	(void)bench_more(b);
}

/* In callback `i`: false where it is not to be called again. */
static inline bool relay_pass(struct relay *relay, uint32_t i)
{
	relay->calls[i]++;
	if (i != 0 || relay->over)
		return !relay->over;
	if (++relay->rounds * relay->crowd < relay->b->batch)
		return true;
	bench_sample(relay->b, relay->rounds * relay->crowd);
	relay->rounds = 0;
	relay->over = !bench_more(relay->b);
	return !relay->over;
}

/* That none was called more often than the others: each had its turns. */
static inline void relay_end(struct relay *relay)
{
	uint64_t least = relay->calls[0], most = relay->calls[0];

	for (uint32_t i = 1; i < relay->crowd; i++) {
		least = relay->calls[i] < least ? relay->calls[i] : least;
		most = relay->calls[i] > most ? relay->calls[i] : most;
	}
	if (least == 0 || most - least > 2)
		bench_fail(relay->b, "of %u callbacks one was called %llu times, one %llu",
			relay->crowd, (unsigned long long)least, (unsigned long long)most);
	free(relay->calls);
}

/* What a peer calls back with, one for each of the crowd. */
static inline void *crowd_of(const struct bench *b, size_t bytes)
{
	void *crowd = calloc((size_t)b->arg, bytes);

	if (crowd == NULL)
		abort();
	return crowd;
}

#define TASK_PEER_YIELDS(who_, run_)                                                   \
	BENCH_ENTRANT(yield_1, .row = "task/yield_1", .who = who_, .run = run_,        \
		.arg = 1);                                                             \
	BENCH_ENTRANT(yield_1000, .row = "task/yield_1000", .who = who_, .run = run_,  \
		.arg = TASK_BATCH)

/* The same of a peer whose crowd may be any. */
#define TASK_PEER_CROWDS(who_, run_)                                                   \
	TASK_PEER_YIELDS(who_, run_);                                                  \
	BENCH_ENTRANT(crowd_1, .row = "scale/tasks/1", .who = who_, .run = run_,       \
		.arg = 1);                                                             \
	BENCH_ENTRANT(crowd_1k, .row = "scale/tasks/1k", .who = who_, .run = run_,     \
		.arg = 1000);                                                          \
	BENCH_ENTRANT(crowd_10k, .row = "scale/tasks/10k", .who = who_, .run = run_,   \
		.arg = 10000);                                                         \
	BENCH_ENTRANT(crowd_100k, .row = "scale/tasks/100k", .who = who_, .run = run_, \
		.arg = 100000);                                                        \
	BENCH_ENTRANT(crowd_1m, .row = "scale/tasks/1M", .who = who_, .run = run_,     \
		.arg = 1000000)

#endif
