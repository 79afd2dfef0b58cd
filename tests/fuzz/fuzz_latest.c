/*
 * The latest value: a reader sees the newest or nothing, never an older one again, and counts
 * what it has not seen; see readers.h.
 */
#include "loop.h"

#define CHANNEL APUS_LATEST
#define RD(verb) apus_latest_##verb

#include "readers.h"

const char *const fuzz_name = "latest";

/* The value that there is counts as not seen, those before it do not. */
static void begin(struct place *place)
{
	apus_latest_reader_init(&place->reader, world.numbers);
	place->next = world.published > 0 ? world.published - 1 : 0;
	place->missed = 0;
}

static void check_newest(void)
{
	uint64_t newest = UINT64_MAX;
	int err = apus_latest_read(world.numbers, &newest);

	FUZZ_MUST(err == (world.published == 0 ? -EAGAIN : 0));
	FUZZ_MUST(err != 0 || newest == world.published - 1);
}

static void check_recv(struct place *place, int64_t got, uint64_t message)
{
	if (world.is_gone) {
		FUZZ_MUST(got == -EPIPE);
		return;
	}
	check_newest();
	if (got == 0) {
		FUZZ_MUST(message == world.published - 1 && message >= place->next);
		place->missed += message - place->next;
		place->next = world.published;
		FUZZ_MUST(apus_latest_missed(&place->reader) == place->missed);
	} else if (got != -ENOBUFS) {
		FUZZ_MUST(place->next == world.published);
		FUZZ_MUST(got == (world.is_closed ? -EPIPE : -EAGAIN));
	}
}
