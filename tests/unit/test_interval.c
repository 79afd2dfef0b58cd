#include "loop_test.h"

struct ticker {
	struct apus_frame frame;
	struct apus_interval interval;
	int64_t late;
	int rounds;
	int64_t busy_ns; /* what the first tick takes */
};

/* Notes each tick as deadline+periods late. */
APUS_TASK(ticker, struct ticker)
{
	APUS_BEGIN(cx, self);
	while (self->rounds-- > 0) {
		APUS_AWAIT(self->late, apus_tick(cx, &self->interval));
		note("%d+%d ", (int)self->interval.due_ns, (int)self->late);
		if (self->busy_ns) {
			time_pass(cx->loop, self->busy_ns);
			self->busy_ns = 0;
		}
	}
	note("overruns %d", (int)self->interval.overruns);
	APUS_END(0);
}

static void run_ticker(int spurious, int64_t first_ns, enum apus_missed missed, int64_t busy_ns,
	int rounds)
{
	struct apus_loop *loop = loop_open(spurious);
	struct ticker init = { .rounds = rounds, .busy_ns = busy_ns };

	ck_assert_int_eq(apus_interval_init(&init.interval, first_ns, 100, missed), 0);
	ck_assert_int_eq((int)apus_run(loop, ticker, &init), 0);
	loop_close(loop);
}

/* Decision "first tick": the caller says when, also in the past or at once. */
START_TEST(the_first_tick_is_where_the_caller_puts_it)
{
	run_ticker(_i, 250, APUS_MISSED_BURST, 0, 3);
	expect_notes("250+0 350+0 450+0 overruns 0");
	run_ticker(_i, 0, APUS_MISSED_SKIP, 0, 3);
	expect_notes("0+0 100+0 200+0 overruns 0");
	run_ticker(_i, -150, APUS_MISSED_SKIP, 0, 2);
	expect_notes("-50+1 50+0 overruns 1");
}
END_TEST

/* Decision "missed ticks", S2. */
START_TEST(burst_delivers_every_missed_tick_at_once)
{
	run_ticker(_i, 100, APUS_MISSED_BURST, 350, 6);
	expect_notes("100+0 200+2 300+1 400+0 500+0 600+0 overruns 2");
}
END_TEST

START_TEST(skip_leaves_the_missed_out_and_stays_aligned)
{
	run_ticker(_i, 100, APUS_MISSED_SKIP, 350, 4);
	expect_notes("100+0 400+2 500+0 600+0 overruns 2");
}
END_TEST

START_TEST(delay_goes_on_one_period_after_the_late_tick)
{
	run_ticker(_i, 100, APUS_MISSED_DELAY, 350, 4);
	expect_notes("100+0 200+2 550+0 650+0 overruns 2");
}
END_TEST

/* Decision: first + k * period.  A tick that is taken some nanoseconds late moves nothing. */
START_TEST(a_little_lateness_does_not_become_drift)
{
	int missed;

	for (missed = APUS_MISSED_BURST; missed <= APUS_MISSED_SKIP; missed++) {
		struct apus_loop *loop = loop_open(_i);
		struct apus_cx *cx = apus_loop_cx(loop);
		struct apus_interval interval;
		int i;

		apus_interval_init(&interval, 1000, 100, (enum apus_missed)missed);
		for (i = 0; i < 1000; i++) {
			cx->now_ns = 1000 + 100 * i + i % 100; /* up to a period minus one */
			ck_assert_int_eq((int)apus_tick(cx, &interval), 0);
			ck_assert_int_eq(interval.due_ns, 1000 + 100 * i);
		}
		ck_assert_uint_eq(interval.overruns, 0);
		ck_assert_uint_eq(interval.ticks, 1000);
		cx->now_ns = 0;
		loop_close(loop);
	}
}
END_TEST

START_TEST(the_phase_can_be_shifted_either_way)
{
	struct apus_interval interval;

	ck_assert_int_eq(apus_interval_init(&interval, 1000, 100, APUS_MISSED_SKIP), 0);
	apus_interval_shift(&interval, 30);
	ck_assert_int_eq(interval.next_ns, 1030);
	apus_interval_shift(&interval, -50);
	ck_assert_int_eq(interval.next_ns, 980);
	apus_interval_shift(&interval, INT64_MAX);
	ck_assert(interval.next_ns == APUS_NEVER);
}
END_TEST

/* Decision "zero period": a refusal, not a hang. */
START_TEST(a_period_of_nothing_or_less_is_einval)
{
	struct apus_interval interval;

	ck_assert_int_eq(apus_interval_init(&interval, 0, 0, APUS_MISSED_BURST), -EINVAL);
	ck_assert_int_eq(apus_interval_init(&interval, 0, -1, APUS_MISSED_SKIP), -EINVAL);
	ck_assert_int_eq(apus_interval_init(&interval, 0, 1, (enum apus_missed)3), -EINVAL);
}
END_TEST

struct sleeper {
	struct apus_frame frame;
	int64_t ns, until_ns;
};

APUS_TASK(sleeper, struct sleeper)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, self->ns));
	note("%d ", (int)cx->now_ns);
	APUS_WAIT(apus_sleep_until(cx, self->until_ns));
	note("%d ", (int)cx->now_ns);
	APUS_END(0);
}

/* S2: zero and negative sleeps are over at once; huge ones do not overflow. */
START_TEST(sleeps_end_at_their_deadline_or_at_once)
{
	struct apus_loop *loop = loop_open(_i);

	ck_assert_int_eq((int)apus_run(loop, sleeper, (&(struct sleeper){ .ns = 70,
		.until_ns = 90 })), 0);
	expect_notes("70 90 ");
	ck_assert_int_eq((int)apus_run(loop, sleeper, (&(struct sleeper){ .ns = 0,
		.until_ns = 90 })), 0);
	expect_notes("90 90 ");
	ck_assert_int_eq((int)apus_run(loop, sleeper, (&(struct sleeper){ .ns = -5,
		.until_ns = -1 })), 0);
	expect_notes("90 90 ");
	ck_assert_int_eq((int)apus_run(loop, sleeper, (&(struct sleeper){ .ns = INT64_MAX - 1 })),
		-EDEADLK);
	expect_notes("");
	loop_close(loop);
}
END_TEST

LOOP_TEST_MAIN("interval",
	the_first_tick_is_where_the_caller_puts_it,
	burst_delivers_every_missed_tick_at_once,
	skip_leaves_the_missed_out_and_stays_aligned,
	delay_goes_on_one_period_after_the_late_tick,
	a_little_lateness_does_not_become_drift,
	the_phase_can_be_shifted_either_way,
	a_period_of_nothing_or_less_is_einval,
	sleeps_end_at_their_deadline_or_at_once)
