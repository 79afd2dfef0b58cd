/*
 * interval - ticks without drift, and what becomes of those that nobody was there for.
 *
 * Each tick is due at first + k * period.  The task below is away for three and a half periods
 * after its second tick; the three ways to go on:
 *
 *   burst   the missed ticks are delivered at once, one after the other
 *   delay   one late tick, and a period from then to the next
 *   skip    one late tick, and then the next that is aligned to the first
 *
 * The clock is virtual, so the times printed are exact, each time.
 */
#include <apus.h>
#include <stdio.h>

enum { TICKS = 6 };

struct ticker {
	struct apus_frame frame;
	struct apus_interval interval;
	apus_poll late;
	int64_t at_ms[TICKS];
	int count;
};

APUS_TASK(ticker, struct ticker)
{
	APUS_BEGIN(cx, self);
	for (self->count = 0; self->count < TICKS; self->count++) {
		APUS_AWAIT(self->late, apus_tick(cx, &self->interval));
		self->at_ms[self->count] = cx->now_ns / APUS_MSEC;
		if (self->count == 1)
			APUS_WAIT(apus_sleep(cx, 35 * APUS_MSEC));
	}
	APUS_END(0);
}

static int tick(struct apus_loop *loop, const char *name, enum apus_missed missed,
	const int64_t *expected_ms)
{
	struct ticker init = { .count = 0 }, *self;
	struct apus_join join;
	int64_t began_ms = apus_clock_now(loop) / APUS_MSEC;
	int i, failed = 0;

	/* The first tick is ours to choose; here ten milliseconds from now. */
	apus_interval_init(&init.interval, (began_ms + 10) * APUS_MSEC, 10 * APUS_MSEC, missed);
	if (apus_spawn_slab(loop, ticker, &init, &join) != 0)
		return 1;
	while (apus_join_is_finished(loop, join) == 0)
		apus_turn(loop);
	/* Until it is joined an ended task's state can be read. */
	self = apus_join_state(loop, join);
	printf("%-6s", name);
	for (i = 0; i < TICKS; i++) {
		printf(" %3d", (int)(self->at_ms[i] - began_ms));
		failed |= self->at_ms[i] - began_ms != expected_ms[i];
	}
	printf("  overruns %d\n", (int)self->interval.overruns);
	return failed | apus_try_join(loop, join, NULL);
}

int main(void)
{
	static const int64_t burst[TICKS] = { 10, 20, 55, 55, 55, 60 };
	static const int64_t delay[TICKS] = { 10, 20, 55, 65, 75, 85 };
	static const int64_t skip[TICKS] = { 10, 20, 55, 60, 70, 80 };
	struct apus_config config;
	struct apus_loop *loop;
	int failed;

	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	if (apus_open(&loop, &config) != 0)
		return 1;
	failed = tick(loop, "burst", APUS_MISSED_BURST, burst);
	failed |= tick(loop, "delay", APUS_MISSED_DELAY, delay);
	failed |= tick(loop, "skip", APUS_MISSED_SKIP, skip);
	apus_close(loop, NULL);
	return failed;
}
