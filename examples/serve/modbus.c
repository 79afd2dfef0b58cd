#include <string.h>

#include "modbus.h"

enum { HEADER = 7, READ_MAX = 125, WRITE_MAX = 123 };
enum { ILLEGAL_FUNCTION = 1, ILLEGAL_ADDRESS = 2, ILLEGAL_VALUE = 3 };

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Function code and data: what stands behind the header. */
struct pdu {
	const uint8_t *at;
	size_t bytes;
	uint8_t *out;     /* begins with the function code */
	size_t out_bytes;
};

static bool is_within(uint16_t first, uint16_t count, uint16_t table_count)
{
	return (uint32_t)first + count <= table_count;
}

static int read_registers(struct pdu *pdu, const uint16_t *table, uint16_t table_count)
{
	uint16_t first, count, i;

	if (pdu->bytes != 5)
		return ILLEGAL_VALUE;
	first = get16(pdu->at + 1);
	count = get16(pdu->at + 3);
	if (count == 0 || count > READ_MAX)
		return ILLEGAL_VALUE;
	if (!is_within(first, count, table_count))
		return ILLEGAL_ADDRESS;
	pdu->out[1] = (uint8_t)(2 * count);
	for (i = 0; i < count; i++)
		put16(pdu->out + 2 + 2 * i, table[first + i]);
	pdu->out_bytes = 2 + 2 * (size_t)count;
	return 0;
}

static int write_one(struct pdu *pdu, const struct modbus_tables *tables)
{
	if (pdu->bytes != 5)
		return ILLEGAL_VALUE;
	if (!is_within(get16(pdu->at + 1), 1, tables->holding_count))
		return ILLEGAL_ADDRESS;
	tables->holding[get16(pdu->at + 1)] = get16(pdu->at + 3);
	memcpy(pdu->out + 1, pdu->at + 1, 4);
	pdu->out_bytes = 5;
	return 0;
}

static int write_several(struct pdu *pdu, const struct modbus_tables *tables)
{
	uint16_t first, count, i;

	if (pdu->bytes < 6)
		return ILLEGAL_VALUE;
	first = get16(pdu->at + 1);
	count = get16(pdu->at + 3);
	if (count == 0 || count > WRITE_MAX || pdu->at[5] != 2 * count ||
	    pdu->bytes != 6 + 2 * (size_t)count)
		return ILLEGAL_VALUE;
	if (!is_within(first, count, tables->holding_count))
		return ILLEGAL_ADDRESS;
	for (i = 0; i < count; i++)
		tables->holding[first + i] = get16(pdu->at + 6 + 2 * i);
	memcpy(pdu->out + 1, pdu->at + 1, 4);
	pdu->out_bytes = 5;
	return 0;
}

static int function_run(struct pdu *pdu, const struct modbus_tables *tables)
{
	switch (pdu->at[0]) {
	case 3: return read_registers(pdu, tables->holding, tables->holding_count);
	case 4: return read_registers(pdu, tables->input, tables->input_count);
	case 6: return write_one(pdu, tables);
	case 16: return write_several(pdu, tables);
	default: return ILLEGAL_FUNCTION;
	}
}

ssize_t modbus_answer(const struct modbus_tables *tables, const uint8_t *data, size_t bytes,
	uint8_t *out, size_t *out_bytes)
{
	struct pdu pdu = { data + HEADER, 0, out + HEADER, 0 };
	size_t length;
	int exception;

	if (bytes < HEADER)
		return 0;
	length = get16(data + 4); /* with the unit, which is the header's last byte */
	if (get16(data + 2) != 0 || length < 2 || length > MODBUS_FRAME_MAX - HEADER + 1)
		return -1;
	if (bytes < HEADER - 1 + length)
		return 0;
	pdu.bytes = length - 1;
	memcpy(out, data, HEADER);
	pdu.out[0] = pdu.at[0];
	exception = function_run(&pdu, tables);
	if (exception) {
		pdu.out[0] |= 0x80;
		pdu.out[1] = (uint8_t)exception;
		pdu.out_bytes = 2;
	}
	put16(out + 4, (uint16_t)(pdu.out_bytes + 1));
	*out_bytes = HEADER + pdu.out_bytes;
	return (ssize_t)(HEADER - 1 + length);
}
