/*
 * bound.h - how fast tick to trade could be at best: nothing but the two system calls, a receive
 * that spins and a send, with packets as large as the day's.
 *
 *   Units      nanoseconds, from before the receive that brought the packet to the return of
 *              the send, as the engine takes them.
 *   Errors     0 or -errno.
 *   Threads    the caller's; runs on its core, for some ten milliseconds.
 */
#ifndef TTT_BOUND_H
#define TTT_BOUND_H

#include <apus/histogram.h>
#include <stddef.h>

int bound_measure(struct apus_histogram *latency, size_t packet_bytes, size_t order_bytes,
	int rounds);

#endif
