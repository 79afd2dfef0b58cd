/*
 * The Modbus example's server on any bytes: a request is taken whole or not at all, its answer
 * is a frame, and registers change only where a request says so.
 */
#include "../../examples/serve/modbus.h"
#include "fuzz.h"

const char *const fuzz_name = "modbus";

enum { HOLDING = 40, INPUT = 24 };

static void frame_check(const uint8_t *request, const uint8_t *out, size_t bytes)
{
	FUZZ_MUST(bytes >= 9 && bytes <= MODBUS_FRAME_MAX);
	FUZZ_MUST(memcmp(out, request, 4) == 0 && out[6] == request[6]);
	FUZZ_MUST((size_t)(out[4] << 8 | out[5]) == bytes - 6);
	FUZZ_MUST((out[7] & 0x7f) == (request[7] & 0x7f));
	if (out[7] & 0x80 && !(request[7] & 0x80))
		FUZZ_MUST(bytes == 9 && out[8] >= 1 && out[8] <= 3);
}

static bool is_write(const uint8_t *request)
{
	return request[7] == 6 || request[7] == 16;
}

/* One request of the stream: the bytes that it took, or what refuses it. */
static ssize_t one(struct modbus_tables *tables, const uint8_t *data, size_t size)
{
	uint8_t *exact = fuzz_exact(data, size), *out = (uint8_t *)malloc(MODBUS_FRAME_MAX);
	uint16_t before[HOLDING];
	size_t out_bytes = 0;
	ssize_t bytes;

	memcpy(before, tables->holding, sizeof before);
	bytes = modbus_answer(tables, exact, size, out, &out_bytes);
	FUZZ_MUST(bytes >= -1 && bytes <= (ssize_t)size);
	if (bytes > 0)
		frame_check(data, out, out_bytes);
	if (bytes <= 0 || !is_write(data) || out[7] & 0x80)
		FUZZ_MUST(memcmp(before, tables->holding, sizeof before) == 0);
	free(exact);
	free(out);
	return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t *holding = (uint16_t *)calloc(HOLDING, sizeof *holding);
	uint16_t *input = (uint16_t *)calloc(INPUT, sizeof *input);
	struct modbus_tables tables = { holding, input, HOLDING, INPUT };
	ssize_t bytes;

	while ((bytes = one(&tables, data, size)) > 0) {
		FUZZ_MUST(one(&tables, data, (size_t)bytes - 1) == 0);
		data += bytes;
		size -= (size_t)bytes;
	}
	free(holding);
	free(input);
	return 0;
}
