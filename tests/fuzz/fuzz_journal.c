/*
 * Reading a journal: any bytes at all, and a good one that was cut or damaged somewhere.  Of
 * that, the records in front of the damage are read as they were written, and nothing behind.
 */
#include <errno.h>

#include "../../examples/ttt/journal.h"
#include "fuzz.h"

const char *const fuzz_name = "journal";

enum { RECORDS_MAX = 16 };

static void read_anything(const uint8_t *data, size_t size)
{
	uint8_t *exact = fuzz_exact(data, size);
	struct journal_reader reader;
	const uint8_t *bytes;
	struct tap tap;
	size_t at;
	int got;

	journal_open(&reader, exact, size);
	do {
		at = reader.at;
		got = journal_next(&reader, &tap, &bytes);
		FUZZ_MUST(got == 1 || got == 0 || got == -EBADMSG || got == -EPROTO);
		if (got == 1) {
			FUZZ_MUST(fuzz_is_within(bytes, tap.size, exact, reader.at));
			FUZZ_MUST(reader.at > at && reader.at <= size && tap.kind < TAP_KINDS);
		} else {
			FUZZ_MUST(reader.at == at && (got != 0 || reader.is_cut == (at < size)));
		}
	} while (got == 1);
	free(exact);
}

struct written {
	struct sink sink;
	size_t ends[RECORDS_MAX];
	struct tap taps[RECORDS_MAX];
	unsigned count;
};

static void write_some(struct written *written, struct fuzz_program *program, const uint8_t *from,
	size_t size)
{
	unsigned count = fuzz_below(program, RECORDS_MAX), i;

	for (i = 0; i < count; i++) {
		struct tap *tap = &written->taps[i];

		memset(tap, 0, sizeof *tap);
		tap->now_ns = (int64_t)fuzz_number(program, 3);
		tap->kind = (uint8_t)fuzz_below(program, TAP_KINDS);
		tap->size = (uint16_t)(fuzz_byte(program) % (size + 1));
		FUZZ_MUST(journal_put(&written->sink, i, tap, from) == 0);
		written->ends[i] = written->sink.end;
	}
	written->count = count;
}

/* Cut at `size`, one bit turned at `damage` unless that is behind it. */
static void read_back(const struct written *written, size_t size, size_t damage, unsigned bit)
{
	uint8_t *exact = fuzz_exact(written->sink.bytes, size);
	struct journal_reader reader;
	const uint8_t *bytes;
	struct tap tap;
	unsigned whole = 0, i;

	if (damage < size)
		exact[damage] ^= (uint8_t)(1u << bit % 8);
	while (whole < written->count && written->ends[whole] <= size && written->ends[whole] <= damage)
		whole++;
	journal_open(&reader, exact, size);
	for (i = 0; i < whole; i++) {
		FUZZ_MUST(journal_next(&reader, &tap, &bytes) == 1);
		FUZZ_MUST(memcmp(&tap, &written->taps[i], sizeof tap) == 0);
		FUZZ_MUST(memcmp(bytes, written->sink.bytes + written->ends[i] - tap.size,
			tap.size) == 0);
	}
	FUZZ_MUST(journal_next(&reader, &tap, &bytes) != 1);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t memory[RECORDS_MAX * (JOURNAL_HEADER_SIZE + 256)];
	struct fuzz_program program = { data, size };
	struct written written;
	size_t cut, damage;

	read_anything(data, size);
	memset(&written, 0, sizeof written);
	written.sink.bytes = memory;
	write_some(&written, &program, data, size < 255 ? size : 255);
	if (written.count == 0)
		return 0;
	cut = (size_t)fuzz_number(&program, 2) % (written.sink.end + 1);
	damage = (size_t)fuzz_number(&program, 2) % (written.sink.end + 1);
	read_back(&written, written.sink.end, written.sink.end, 0);
	read_back(&written, cut, written.sink.end, 0);
	read_back(&written, written.sink.end, damage, fuzz_byte(&program));
	return 0;
}
