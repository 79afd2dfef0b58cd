/*
 * rng.h - a seeded generator, so that a run can be had again.
 *
 *   Threads    one per state.
 *   Cost       three multiplications at most.
 *   Source     splitmix64 (Guy Steele, Doug Lea, Christine Flood, 2014); the range
 *              without a division (Daniel Lemire, 2019), its small bias accepted.
 */
#ifndef TTT_RNG_H
#define TTT_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* Also a good hash of 64 bits. */
static inline uint64_t rng_mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state += UINT64_C(0x9e3779b97f4a7c15);
	return rng_mix(rng->state);
}

/* One of 0 .. count - 1. */
static inline uint32_t rng_below(struct rng *rng, uint32_t count)
{
	return (uint32_t)((rng_next(rng) >> 32) * count >> 32);
}

static inline bool rng_one_in(struct rng *rng, uint32_t count)
{
	return rng_below(rng, count) == 0;
}

/* 0 half of the time, 1 a quarter, ... never more than limit. */
static inline uint32_t rng_halving(struct rng *rng, uint32_t limit)
{
	uint32_t value = (uint32_t)__builtin_ctzll(rng_next(rng) | UINT64_C(1) << 63);

	return value < limit ? value : limit;
}

#endif
