/*
 * tape.h - the last so many messages by sequence number, ready for the wire.
 *
 * The exchange writes two: ITCH messages as MoldUDP64 blocks, OUCH answers as
 * SoupBinTCP packets.  Sending is a cursor on the tape, and so is sending again.
 *
 *   Units      sequence numbers start at 1; sizes in bytes.
 *   Errors     init: 0 or -errno.  at: NULL when overwritten or not written yet.
 *   Ownership  the tape owns its memory; what `at` answers is valid until the tape
 *              has gone round.
 *   Cost       append: a copy of the message.  at: a compare and a shift.  No malloc.
 */
#ifndef TTT_TAPE_H
#define TTT_TAPE_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct tape {
	uint8_t *slots;
	uint64_t next;        /* the sequence number that the next message will get */
	uint32_t slot_bytes;  /* two bytes of length, then the message */
	uint32_t mask;
};

/* count is a power of two; touches every page, so that none faults later. */
static inline int tape_init(struct tape *tape, uint32_t count, uint32_t message_size_max)
{
	uint32_t slot_bytes = (message_size_max + 2 + 7) & ~UINT32_C(7);

	if (count == 0 || (count & (count - 1)) != 0 || message_size_max > UINT16_MAX)
		return -EINVAL;
	tape->slots = (uint8_t *)malloc((size_t)count * slot_bytes);
	if (tape->slots == NULL)
		return -ENOMEM;
	memset(tape->slots, 0xff, (size_t)count * slot_bytes);
	tape->next = 1;
	tape->slot_bytes = slot_bytes;
	tape->mask = count - 1;
	return 0;
}

static inline void tape_deinit(struct tape *tape)
{
	free(tape->slots);
	tape->slots = NULL;
}

static inline uint8_t *tape_slot(const struct tape *tape, uint64_t sequence)
{
	return tape->slots + (size_t)(sequence & tape->mask) * tape->slot_bytes;
}

/* Where the next message may be built in place; tape_commit then appends it. */
static inline uint8_t *tape_reserve(struct tape *tape, size_t *size)
{
	*size = tape->slot_bytes - 2;
	return tape_slot(tape, tape->next) + 2;
}

static inline uint64_t tape_commit(struct tape *tape, size_t size)
{
	uint16_t length = (uint16_t)size;

	memcpy(tape_slot(tape, tape->next), &length, sizeof(length));
	return tape->next++;
}

static inline uint64_t tape_oldest(const struct tape *tape)
{
	uint64_t count = (uint64_t)tape->mask + 1;

	return tape->next > count ? tape->next - count : 1;
}

static inline const uint8_t *tape_at(const struct tape *tape, uint64_t sequence, size_t *size)
{
	const uint8_t *slot = tape_slot(tape, sequence);
	uint16_t length;

	if (sequence >= tape->next || sequence < tape_oldest(tape))
		return NULL;
	memcpy(&length, slot, sizeof(length));
	*size = length;
	return slot + 2;
}

#endif
