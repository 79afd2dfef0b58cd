/*
 * bench_cross.h - what the entrants of cross/ share: a second thread, on another processor.
 */
#ifndef BENCH_CROSS_H
#define BENCH_CROSS_H

#include "bench_channel.h"
#include "bench_wake.h"

/*
 * One message at a time, stamped: the sender waits until the one before was seen and then a
 * moment, so that the receiver is looking for it by then.
 */
struct oneway {
	struct bench *b;
	int (*send)(struct oneway *oneway, uint64_t stamp);
	void *channel;
	pthread_t thread;
	uint64_t seen __attribute__((__aligned__(64))); /* by the receiver */
	uint32_t over;
};

enum { ONEWAY_REST_NS = 1000 };

/* Starts the sender: false after a bench_skip. */
bool oneway_begin(struct oneway *oneway);
void oneway_end(struct oneway *oneway);

/* In the receiver, of the message that it has just received. */
static inline void oneway_saw(struct oneway *oneway, uint64_t stamp)
{
	uint64_t now = bench_ticks_end();

	bench_value(oneway->b, bench_ns(oneway->b, now - stamp));
	if (bench_stopping(oneway->b))
		__atomic_store_n(&oneway->over, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&oneway->seen, oneway->seen + 1, __ATOMIC_RELEASE);
}

#endif
