/* journal.c - records under checksums. */
#include "journal.h"

#include <errno.h>
#include <string.h>

/* Bit by bit, four bits at a time: the table fits two cache lines. */
uint32_t journal_crc(uint32_t crc, const void *bytes, size_t size)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362,
		0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab,
		0xe330a81a, 0xf36e6f75,
	};
	const uint8_t *at = bytes;

	crc = ~crc;
	while (size-- > 0) {
		crc ^= *at++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

int journal_put(struct sink *sink, uint64_t number, const struct tap *tap, const void *bytes)
{
	uint8_t header[JOURNAL_HEADER_SIZE];
	uint32_t magic = JOURNAL_MAGIC, crc;

	if (sink_room(sink) < sizeof(header) + tap->size)
		return -EAGAIN;
	memcpy(header, &magic, 4);
	memcpy(header + 8, &number, 8);
	memcpy(header + 16, tap, 16);
	crc = journal_crc(0, header + 8, sizeof(header) - 8);
	crc = journal_crc(crc, bytes, tap->size);
	memcpy(header + 4, &crc, 4);
	sink_put(sink, header, sizeof(header));
	return sink_put(sink, bytes, tap->size);
}

void journal_open(struct journal_reader *reader, const void *bytes, size_t size)
{
	*reader = (struct journal_reader){.bytes = bytes, .size = size};
}

/* The record at the reader's place is whole, and what it says it is. */
static int check(const struct journal_reader *reader, const struct tap *tap, const uint8_t *at)
{
	uint32_t crc;
	uint64_t number;

	memcpy(&crc, at + 4, 4);
	memcpy(&number, at + 8, 8);
	if (journal_crc(0, at + 8, JOURNAL_HEADER_SIZE - 8 + tap->size) != crc)
		return -EBADMSG;
	return number == reader->number && tap->kind < TAP_KINDS ? 0 : -EBADMSG;
}

int journal_next(struct journal_reader *reader, struct tap *tap, const uint8_t **bytes)
{
	const uint8_t *at = reader->bytes + reader->at;
	size_t left = reader->size - reader->at;
	uint32_t magic;
	int err;

	if (left == 0)
		return 0;
	reader->is_cut = left < JOURNAL_HEADER_SIZE;
	if (reader->is_cut)
		return 0;
	memcpy(&magic, at, 4);
	memcpy(tap, at + 16, 16);
	if (magic != JOURNAL_MAGIC)
		return reader->at == 0 ? -EPROTO : -EBADMSG;
	reader->is_cut = left - JOURNAL_HEADER_SIZE < tap->size;
	if (reader->is_cut)
		return 0;
	err = check(reader, tap, at);
	if (err)
		return err;
	*bytes = at + JOURNAL_HEADER_SIZE;
	reader->at += JOURNAL_HEADER_SIZE + tap->size;
	reader->number++;
	return 1;
}
