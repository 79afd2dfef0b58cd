/*
 * modbus.h - Modbus TCP requests out of a stream of bytes, answered from tables of registers.
 *
 * Functions 3 (read holding registers), 4 (read input registers), 6 (write one) and 16 (write
 * several); all else is exception 1.  Modbus Application Protocol V1.1b3, 2012.
 */
#ifndef SERVE_MODBUS_H
#define SERVE_MODBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MODBUS_FRAME_MAX = 260 };

struct modbus_tables {
	uint16_t *holding;     /* the masters' to write */
	const uint16_t *input; /* ours */
	uint16_t holding_count, input_count;
};

/*
 * The bytes that the first request takes; 0: it is not all there yet; -1: these are not
 * Modbus frames.  Its answer, at most MODBUS_FRAME_MAX bytes, goes to `out`.
 */
ssize_t modbus_answer(const struct modbus_tables *tables, const uint8_t *data, size_t bytes,
	uint8_t *out, size_t *out_bytes);

#endif
