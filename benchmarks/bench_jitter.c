/*
 * Question   how late does a periodic task run?
 * Unit       ns from the deadline to a fresh clock read, first thing in the task, one
 *            task on a busy loop, SCHED_OTHER; half a second a repetition.
 * Rival      rivals/limit_jitter.c, a loop that does nothing but wait for the deadline;
 *            interleaved with ours, because the tail is the machine's and not the loop's.
 * Not shown  work beside the task; an isolated core.  The target is not a plain ratio:
 *            p50 within three idle turns of the limit's.
 */
#include "bench_jitter.h"

#include "bench_loop.h"

BENCH_ROW(jitter_1k, .name = "jitter/1khz", .unit = "ns", .budget_ns = JITTER_BUDGET_NS,
	.repeat_min = 10);
BENCH_ROW(jitter_10k, .name = "jitter/10khz", .unit = "ns", .budget_ns = JITTER_BUDGET_NS,
	.repeat_min = 10);
BENCH_ROW(jitter_20k, .name = "jitter/20khz", .unit = "ns", .budget_ns = JITTER_BUDGET_NS,
	.repeat_min = 10);

struct ticker {
	struct apus_frame frame;
	struct bench *b;
	struct apus_interval interval;
};

APUS_TASK(ticker, struct ticker)
{
	APUS_BEGIN(cx, self);
	while (!bench_stopping(self->b)) {
		APUS_WAIT(apus_tick(cx, &self->interval));
		bench_value(self->b,
			(double)(apus_clock_now(cx->loop) - self->interval.due_ns));
	}
	APUS_END(0);
}

static void jitter(struct bench *b)
{
	struct ticker init = { .b = b };
	int64_t period_ns = APUS_SEC / b->arg;
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	/* Like the limit's: first + k * period, the late ones delivered and counted. */
	apus_interval_init(&init.interval, apus_clock_now(loop) + period_ns, period_ns,
		APUS_MISSED_BURST);
	loop_check(b, apus_run(loop, ticker, &init));
	loop_close(b, loop);
}
BENCH_ENTRANT(jitter_1k_apus, .row = "jitter/1khz", .who = "apus", .run = jitter, .arg = 1000);
BENCH_ENTRANT(jitter_10k_apus, .row = "jitter/10khz", .who = "apus", .run = jitter,
	.arg = 10000);
BENCH_ENTRANT(jitter_20k_apus, .row = "jitter/20khz", .who = "apus", .run = jitter,
	.arg = 20000);
