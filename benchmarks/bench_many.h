/*
 * bench_many.h - the sizes of the rows with many ends, and how work is shared out.
 */
#ifndef BENCH_MANY_H
#define BENCH_MANY_H

#include "bench_channel.h"

#include <errno.h>

enum { MANY_PRODUCERS = 8, MANY_WORKERS = 8, MANY_ITEMS = 64 };

#define MANY_SUM ((uint64_t)MANY_ITEMS * (MANY_ITEMS - 1) / 2)

/* A message says who sent it, and as which of its own. */
#define MANY_SHIFT 56
#define MANY_MASK ((UINT64_C(1) << MANY_SHIFT) - 1)

/* Whose the item is: everybody's in turn, or every second one the first worker's. */
static inline uint32_t many_pick(uint32_t item, int64_t skewed)
{
	if (skewed)
		return item % 2 ? 0 : 1 + item / 2 % (MANY_WORKERS - 1);
	return item % MANY_WORKERS;
}

#endif
