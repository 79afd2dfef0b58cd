/*
 * journal.h - the taps in a file, each under a checksum, so that what was written before a
 * crash can be told from what was not.
 *
 *   Units      bytes; little-endian as the machine writes it, for the machine that wrote it.
 *   Errors     put: 0 or -EAGAIN, as sink_put.  next: 1: a record; 0: the end; -EBADMSG: from
 *              here on nothing can be believed; -EPROTO: no journal.
 *   Ownership  a record read is a view into the reader's bytes.
 *   Order      as written; each record has the next number.
 *   Source     CRC-32C (Castagnoli, 1993).
 *
 * A record is magic[4] crc[4] number[8] tap[16] bytes[tap.size]; the checksum covers what is
 * behind it.  A file that ends within a record was cut by a crash: that record was never
 * written.  A record whose checksum is wrong is a damaged disk, or a cut one that was filled up
 * with something: reading ends there too, and says which.
 */
#ifndef TTT_JOURNAL_H
#define TTT_JOURNAL_H

#include "sink.h"
#include "tap.h"

#include <stdbool.h>

#define JOURNAL_HEADER_SIZE 32
#define JOURNAL_MAGIC UINT32_C(0x314a5054) /* "TPJ1" */

uint32_t journal_crc(uint32_t crc, const void *bytes, size_t size);

int journal_put(struct sink *sink, uint64_t number, const struct tap *tap, const void *bytes);

struct journal_reader {
	const uint8_t *bytes;
	size_t size, at;
	uint64_t number;     /* of the next record */
	bool is_cut;         /* the file ended within a record */
};

void journal_open(struct journal_reader *reader, const void *bytes, size_t size);
int journal_next(struct journal_reader *reader, struct tap *tap, const uint8_t **bytes);

#endif
