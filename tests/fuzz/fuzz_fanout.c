/*
 * The fan-out ring: each reader sees every message in order, or is told how many it missed,
 * and that only when there was no other way; see readers.h.
 */
#include "loop.h"

enum { CAPACITY = 4 };

#define CHANNEL(name, type) APUS_FANOUT(name, type, CAPACITY)
#define RD(verb) apus_fanout_##verb

#include "readers.h"

const char *const fuzz_name = "fanout";

static void begin(struct place *place)
{
	uint64_t backlog = below(CAPACITY + 2), there = world.published;

	there = there < CAPACITY ? there : CAPACITY;
	apus_fanout_reader_init(&place->reader, world.numbers, backlog);
	place->next = world.published - (backlog < there ? backlog : there);
	place->missed = 0;
}

static void check_recv(struct place *place, int64_t got, uint64_t message)
{
	uint64_t behind = world.published - place->next;

	if (world.is_gone) {
		FUZZ_MUST(got == -EPIPE);
	} else if (got == 0) {
		FUZZ_MUST(behind > 0 && behind <= CAPACITY && message == place->next++);
	} else if (got == -EOVERFLOW) {
		FUZZ_MUST(behind > CAPACITY);
		FUZZ_MUST(apus_fanout_lapped(&place->reader) >= behind - CAPACITY);
		FUZZ_MUST(apus_fanout_lapped(&place->reader) <= behind);
		place->next += apus_fanout_lapped(&place->reader);
		place->missed += apus_fanout_lapped(&place->reader);
		FUZZ_MUST(apus_fanout_missed(&place->reader) == place->missed);
	} else if (got != -ENOBUFS) {
		FUZZ_MUST(behind == 0 && got == (world.is_closed ? -EPIPE : -EAGAIN));
	}
}
