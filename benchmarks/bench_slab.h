/*
 * bench_slab.h - what every entrant of slab/ does alike.
 */
#ifndef BENCH_SLAB_H
#define BENCH_SLAB_H

#include "bench.h"

#define SLAB_COUNT 1000
#define SLAB_SLOT_BYTES 128

/* Whoever claims a slot writes to it. */
static inline void slab_slot_write(void *slot)
{
	*(volatile uint64_t *)((char *)slot + 8) = 1;
}

#endif
