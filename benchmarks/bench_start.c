/*
 * Question   how long from nothing to a loop that has run its first task?
 * Unit       ns: a loop is opened as it comes, but over epoll, runs a root task that ends at
 *            once, and is closed.  Most of it is the clock: each open measures its rate against
 *            the kernel's for a millisecond.
 * Rival      rivals/limit_start.c: the kernel's objects that such a loop needs, the same
 *            memory, one task of the least scheduler.
 * Not shown  the first open of a process; io_uring, whose rings the kernel makes; a loop whose
 *            memory is touched beforehand (prefault).
 */
#include "bench_loop.h"

BENCH_ROW(cold_start, .name = "loop/cold_start", .unit = "ns");

struct first {
	apus_poll result;
};

APUS_TASK(first, struct first)
{
	(void)cx;
	return self->result;
}

static void cold_start(struct bench *b)
{
	while (bench_more(b)) {
		struct first init = { 0 };
		struct apus_config config;
		struct apus_loop *loop;

		apus_config_init(&config);
		config.idle = APUS_IDLE_BUSY;
		config.backend = APUS_IO_EPOLL;
		if (apus_open(&loop, &config) != 0) {
			bench_skip(b, "apus_open: %s", config.reason);
			return;
		}
		loop_check(b, apus_run(loop, first, &init));
		apus_close(loop, NULL);
		bench_sample(b, 1);
	}
}
BENCH_ENTRANT(cold_start_apus, .row = "loop/cold_start", .who = "apus", .run = cold_start);
