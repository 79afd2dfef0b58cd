/*
 * channels/ring.h - what the two ends of a byte ring know of its memory: ring.c has its
 * beginning, its end and the senders, ring_read.c the reader.
 */
#ifndef CHANNELS_RING_H
#define CHANNELS_RING_H

#include "channels/line.h"
#include "channels/owner.h"

enum { APUSI_RING_UNIT = APUS_RING_HEADER_BYTES };

/* The low bits of a turn; places are multiples of APUSI_RING_UNIT. */
enum apusi_turn { APUSI_CLAIMED = 1, APUSI_COMMITTED = 2, APUSI_PADDING = 3, APUSI_PASSED = 4 };

struct apusi_ring_header {
	uint64_t turn;
	uint32_t bytes; /* of the payload, also of padding */
	uint32_t owner;
};

_Static_assert(sizeof(struct apusi_ring_header) == APUSI_RING_UNIT, "a header is one unit");

/* Whoever else writes the memory may have put a place between units: it is rounded down. */
static inline struct apusi_ring_header *apusi_ring_at(const struct apus_ring *ring, uint64_t at)
{
	at &= ring->mask & ~(uint64_t)(APUSI_RING_UNIT - 1);
	return (struct apusi_ring_header *)(void *)(ring->data + at);
}

static inline uint64_t apusi_ring_size(size_t bytes)
{
	return (bytes + sizeof(struct apusi_ring_header) + APUSI_RING_UNIT - 1) &
	       ~(uint64_t)(APUSI_RING_UNIT - 1);
}

/* ---- holes: what was passed over and is still its claimant's -------------------- */

/* A hole's word: where it lies and its size, in units, and whether it was answered. */
#define APUSI_HOLE_HELD (UINT64_C(1) << 62)
#define APUSI_HOLE_ANSWERED (UINT64_C(1) << 63)

static inline uint64_t apusi_hole_word(const struct apus_ring *ring, uint64_t at, uint64_t size)
{
	return APUSI_HOLE_HELD | (at & ring->mask) / APUSI_RING_UNIT << 28 | size / APUSI_RING_UNIT;
}

static inline uint64_t apusi_hole_offset(uint64_t word)
{
	return (word >> 28 & ((UINT64_C(1) << 28) - 1)) * APUSI_RING_UNIT;
}

static inline uint64_t apusi_hole_size(uint64_t word)
{
	return (word & ((UINT64_C(1) << 28) - 1)) * APUSI_RING_UNIT;
}

#endif
