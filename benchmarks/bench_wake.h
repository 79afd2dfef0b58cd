/*
 * bench_wake.h - a second thread on another processor, for the rows of bench_wake.c.
 */
#ifndef BENCH_WAKE_H
#define BENCH_WAKE_H

#include "bench.h"

#include <pthread.h>

enum { WAKE_REST_NS = 100000 }; /* long enough for the other thread to be fast asleep */

/* What goes to and fro between the thread that wakes and the one that sleeps. */
struct wake {
	struct bench *b;
	void (*ring)(struct wake *wake); /* wakes the sleeper, after `sent` was counted */
	pthread_t thread;
	uint64_t stamp;                  /* when the last wake began */
	uint64_t sent __attribute__((__aligned__(64)));
	uint64_t seen __attribute__((__aligned__(64)));
	uint32_t over;
	int latency_fd;
};

/* Starts fn on another processor than the bench's own; false after a bench_skip. */
bool wake_thread(struct bench *b, pthread_t *thread, void *(*fn)(void *), void *arg);

/* Moves the calling thread, one that a library has started, there too; false: nowhere to go. */
bool wake_elsewhere(const struct bench *b);

/* Starts the thread that rings; hold: keeps the processors out of idle states.  As above. */
bool wake_begin(struct bench *b, struct wake *wake, void (*ring)(struct wake *wake), bool hold);
void wake_end(struct wake *wake);

/* In the sleeper: true where a wake has come, which was measured. */
bool wake_seen(struct wake *wake);

#endif
