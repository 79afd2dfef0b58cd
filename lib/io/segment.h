/*
 * io/segment.h - the loop's own memory to receive into: equal segments, held until released.
 *
 *   Units      bytes; segments are named by their index.
 *   Errors     open: 0 or -ENOMEM.  claim: -1 when none is left.
 *   Ownership  a segment is free, lent to the kernel, held by a slot, or out with the user.
 *   Threads    the loop's thread only.
 *   Cost       claim, free, hand out: a dozen instructions.
 */
#ifndef APUSI_IO_SEGMENT_H
#define APUSI_IO_SEGMENT_H

#include "apus/io.h"

enum { APUSI_SEGMENTS_MAX = 1 << 15 }; /* as many as the kernel takes in one ring */

struct apusi_segment {
	uint32_t offset, bytes; /* what is still to be read */
	uint32_t generation;    /* of the handles that name it */
	uint16_t next;          /* of the list that it is in: index + 1 */
	bool is_out;            /* with the user */
};

struct apusi_segments {
	unsigned char *memory;
	struct apusi_segment *all;
	uint32_t segment_bytes, count;
	size_t stride; /* off the powers of two, so that they do not share lines of the cache */
	uint32_t free_head; /* index + 1; the last one freed is the next one claimed */
	uint32_t free_count;
	uint32_t reserve; /* so many stay free: the others are the backend's to lend */
};

struct apus_io;

int apusi_segments_open(struct apus_io *io);
void apusi_segments_close(struct apus_io *io);

/* A free one, or -1. */
int apusi_segment_claim(struct apusi_segments *segments);

/* Whoever held it is done with it. */
void apusi_segment_free(struct apus_io *io, uint32_t index);

/* It is the user's now; the bytes. */
uint32_t apusi_segment_hand_out(struct apusi_segments *segments, uint32_t index,
	struct apus_segment *out);

static inline unsigned char *apusi_segment_at(const struct apusi_segments *segments, uint32_t index)
{
	return segments->memory + index * segments->stride;
}

#endif
