/*
 * The least periodic task: a loop that reads the TSC until the deadline has passed.  What
 * it shows beyond a read or two is the machine: interrupts, the host, other threads.
 *
 * Left out: everything else that a loop is for.  Deadlines are first + k * period: what
 * was missed in a hiccup is late, and counted, not left out (no coordinated omission).
 */
#include "../bench_jitter.h"

static void jitter(struct bench *b)
{
	uint64_t period = (uint64_t)(1e9 / (double)b->arg / b->ns_per_tick);
	uint64_t deadline = bench_ticks() + period;

	for (; !bench_stopping(b); deadline += period) {
		uint64_t now;

		do
			now = bench_ticks();
		while (now < deadline);
		bench_value(b, bench_ns(b, now - deadline));
	}
}
BENCH_ENTRANT(jitter_1k_limit, .row = "jitter/1khz", .who = "limit", .run = jitter, .arg = 1000);
BENCH_ENTRANT(jitter_10k_limit, .row = "jitter/10khz", .who = "limit", .run = jitter,
	.arg = 10000);
BENCH_ENTRANT(jitter_20k_limit, .row = "jitter/20khz", .who = "limit", .run = jitter,
	.arg = 20000);
