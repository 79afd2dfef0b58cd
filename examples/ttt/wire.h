/*
 * wire.h - big-endian integers, padded text and ASCII numbers, as NASDAQ's
 * protocols write them.
 *
 *   Units      bytes; integers on the wire are big-endian and unaligned.
 *   Errors     wire_get_number: 0 or -EBADMSG.  The others cannot fail.
 *   Ownership  none.
 *   Cost       a load and a swap; the caller has checked the length before.
 */
#ifndef TTT_WIRE_H
#define TTT_WIRE_H

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t wire_get16(const uint8_t *bytes)
{
	uint16_t value;

	memcpy(&value, bytes, sizeof(value));
	return be16toh(value);
}

static inline uint32_t wire_get32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

static inline uint64_t wire_get48(const uint8_t *bytes)
{
	return (uint64_t)wire_get16(bytes) << 32 | wire_get32(bytes + 2);
}

static inline uint64_t wire_get64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

static inline void wire_put16(uint8_t *bytes, uint16_t value)
{
	value = htobe16(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void wire_put32(uint8_t *bytes, uint32_t value)
{
	value = htobe32(value);
	memcpy(bytes, &value, sizeof(value));
}

static inline void wire_put48(uint8_t *bytes, uint64_t value)
{
	wire_put16(bytes, (uint16_t)(value >> 32));
	wire_put32(bytes + 2, (uint32_t)value);
}

static inline void wire_put64(uint8_t *bytes, uint64_t value)
{
	value = htobe64(value);
	memcpy(bytes, &value, sizeof(value));
}

/* Left-justified, filled up with spaces; what does not fit is cut. */
static inline void wire_put_text(uint8_t *bytes, size_t size, const char *text)
{
	size_t at = 0;

	for (; at < size && text[at] != '\0'; at++)
		bytes[at] = (uint8_t)text[at];
	memset(bytes + at, ' ', size - at);
}

/* Decimal digits, right-justified, filled up with spaces on the left. */
static inline void wire_put_number(uint8_t *bytes, size_t size, uint64_t value)
{
	size_t at = size;

	memset(bytes, ' ', size);
	do {
		bytes[--at] = (uint8_t)('0' + value % 10);
		value /= 10;
	} while (value != 0 && at > 0);
}

/* Spaces on either side are allowed, and nothing but spaces reads as 0. */
static inline int wire_get_number(const uint8_t *bytes, size_t size, uint64_t *number)
{
	uint64_t value = 0;
	size_t at = 0;

	while (at < size && bytes[at] == ' ')
		at++;
	for (; at < size && bytes[at] >= '0' && bytes[at] <= '9'; at++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(bytes[at] - '0'), &value))
			return -EBADMSG;
	while (at < size && bytes[at] == ' ')
		at++;
	*number = value;
	return at == size ? 0 : -EBADMSG;
}

#endif
