/*
 * mold.h - MoldUDP64: messages with sequence numbers in UDP packets.
 *
 *   Units      bytes; a sequence number names a message, the first is 1.
 *   Errors     -EMSGSIZE: truncated; -E2BIG: bytes left over; -ERANGE: a number that no
 *              packet has.
 *   Ownership  views into the caller's packet, valid as long as that is.
 *   Order      a packet's messages are numbered sequence, sequence + 1, ...
 *   Cost       mold_check walks the lengths of all blocks; mold_next is two loads.
 *   Source     "MoldUDP64 Protocol Specification" 1.00, Nasdaq.
 */
#ifndef TTT_MOLD_H
#define TTT_MOLD_H

#include "wire.h"

#include <stdbool.h>

#define MOLD_SESSION_SIZE 10
#define MOLD_HEADER_SIZE 20
#define MOLD_BLOCK_SIZE 2          /* the length before each message */
#define MOLD_HEARTBEAT 0           /* as count: nothing new; sequence is the next one */
#define MOLD_END_OF_SESSION 0xffff /* as count: nothing will follow */
#define MOLD_COUNT_MAX 0xfffe
/* What fits into an Ethernet frame beside the IP and UDP headers. */
#define MOLD_PACKET_MAX 1472

struct mold_header {
	char session[MOLD_SESSION_SIZE];
	uint64_t sequence;
	uint16_t count;
};

static inline void mold_put_header(uint8_t *bytes, const struct mold_header *header)
{
	memcpy(bytes, header->session, MOLD_SESSION_SIZE);
	wire_put64(bytes + 10, header->sequence);
	wire_put16(bytes + 18, header->count);
}

static inline void mold_get_header(const uint8_t *bytes, struct mold_header *header)
{
	memcpy(header->session, bytes, MOLD_SESSION_SIZE);
	header->sequence = wire_get64(bytes + 10);
	header->count = wire_get16(bytes + 18);
}

/* How many messages a packet carries: heartbeats and the end of session none. */
static inline uint16_t mold_message_count(const struct mold_header *header)
{
	return header->count == MOLD_END_OF_SESSION ? 0 : header->count;
}

/*
 * The next message at *offset (which starts at MOLD_HEADER_SIZE), or NULL where the
 * packet has no whole one left.
 */
static inline const uint8_t *mold_next(const uint8_t *bytes, size_t size, size_t *offset,
	size_t *message_size)
{
	size_t length, at = *offset;

	if (size - at < MOLD_BLOCK_SIZE)
		return NULL;
	length = wire_get16(bytes + at);
	at += MOLD_BLOCK_SIZE;
	if (size - at < length)
		return NULL;
	*offset = at + length;
	*message_size = length;
	return bytes + at;
}

/* Reads and checks a downstream packet whole, so that it is taken whole or not at all. */
static inline int mold_check(const uint8_t *bytes, size_t size, struct mold_header *header)
{
	size_t length, offset = MOLD_HEADER_SIZE;

	if (size < MOLD_HEADER_SIZE)
		return -EMSGSIZE;
	mold_get_header(bytes, header);
	if (header->sequence == 0 || header->sequence > UINT64_MAX - MOLD_COUNT_MAX)
		return -ERANGE;
	for (uint16_t left = mold_message_count(header); left > 0; left--)
		if (mold_next(bytes, size, &offset, &length) == NULL)
			return -EMSGSIZE;
	return offset == size ? 0 : -E2BIG;
}

/* A request has the header's layout, nothing after it, and asks for one message at least. */
static inline int mold_check_request(const uint8_t *bytes, size_t size,
	struct mold_header *request)
{
	if (size != MOLD_HEADER_SIZE)
		return size < MOLD_HEADER_SIZE ? -EMSGSIZE : -E2BIG;
	mold_get_header(bytes, request);
	if (request->sequence == 0 || request->count == 0 || request->count == MOLD_END_OF_SESSION)
		return -ERANGE;
	return 0;
}

#endif
