/*
 * Reading a recording: any bytes at all, behind a good file header or not; and what was
 * written comes back as it was.
 */
#include <errno.h>

#include "../../examples/ttt/feed.h"
#include "../../examples/ttt/pcap.h"
#include "fuzz.h"

const char *const fuzz_name = "pcap";

enum { HEADER_BYTES = 24, TAPS_MAX = 16, TAP_BYTES = 200 };

static uint8_t memory[TAPS_MAX * 800];

static void read_anything(const uint8_t *data, size_t size)
{
	uint8_t *exact = fuzz_exact(data, size);
	struct pcap_reader reader;
	const uint8_t *bytes = NULL;
	struct tap tap;
	size_t at;
	int got = pcap_open(&reader, exact, size);

	FUZZ_MUST(got == 0 || got == -EPROTO);
	if (got == 0)
		got = 1;
	while (got == 1) {
		at = reader.at;
		got = pcap_next(&reader, &tap, &bytes);
		FUZZ_MUST(got == 1 || got == 0 || got == -EBADMSG);
		FUZZ_MUST(reader.at >= at && reader.at <= size);
		if (got == 1) {
			FUZZ_MUST(fuzz_is_within(bytes, tap.size, exact, reader.at));
			FUZZ_MUST(tap.kind < TAP_KINDS && tap.line < FEED_LINES);
		}
	}
	free(exact);
}

static void read_behind_a_header(const uint8_t *data, size_t size)
{
	struct sink sink = { .bytes = memory };
	struct pcap pcap;

	FUZZ_MUST(pcap_begin(&pcap, &sink) == 0 && sink.end == HEADER_BYTES);
	size = size < sizeof memory - HEADER_BYTES ? size : sizeof memory - HEADER_BYTES;
	memcpy(memory + HEADER_BYTES, data, size);
	read_anything(memory, HEADER_BYTES + size);
}

/* A hole that was given up is not on the wire, and an empty piece of a stream is none. */
static bool leaves_a_trace(const struct tap *tap)
{
	return tap->kind != TAP_GIVE_UP &&
	       ((tap->kind != TAP_RECEIVED && tap->kind != TAP_SENT) || tap->size > 0);
}

static void write_and_read(struct fuzz_program *program, const uint8_t *from, size_t size)
{
	struct sink sink = { .bytes = memory };
	unsigned count = fuzz_below(program, TAPS_MAX), kept = 0, i;
	struct tap taps[TAPS_MAX], tap;
	struct pcap_reader reader;
	const uint8_t *bytes;
	struct pcap pcap;

	FUZZ_MUST(pcap_begin(&pcap, &sink) == 0);
	for (i = 0; i < count; i++) {
		memset(&tap, 0, sizeof tap);
		tap.now_ns = (int64_t)fuzz_number(program, 5);
		tap.kind = (uint8_t)fuzz_below(program, TAP_KINDS);
		tap.size = (uint16_t)(fuzz_byte(program) % (size + 1));
		if (tap.kind == TAP_PACKET) {
			tap.line = (uint8_t)fuzz_below(program, FEED_LINES);
			tap.is_held = fuzz_byte(program) % 2;
		}
		if (tap.kind == TAP_CONNECT || tap.kind == TAP_HANG_UP)
			tap.size = 0;
		FUZZ_MUST(pcap_put(&pcap, &sink, &tap, from) == 0);
		if (leaves_a_trace(&tap))
			taps[kept++] = tap;
	}
	FUZZ_MUST(pcap_open(&reader, memory, sink.end) == 0);
	for (i = 0; i < kept; i++) {
		FUZZ_MUST(pcap_next(&reader, &tap, &bytes) == 1);
		FUZZ_MUST(tap.now_ns == taps[i].now_ns && tap.kind == taps[i].kind);
		FUZZ_MUST(tap.size == taps[i].size && memcmp(bytes, from, tap.size) == 0);
		if (tap.kind == TAP_PACKET)
			FUZZ_MUST(tap.line == taps[i].line && tap.is_held == taps[i].is_held);
	}
	FUZZ_MUST(pcap_next(&reader, &tap, &bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_program program = { data, size };

	read_anything(data, size);
	read_behind_a_header(data, size);
	write_and_read(&program, data, size < TAP_BYTES ? size : TAP_BYTES);
	return 0;
}
