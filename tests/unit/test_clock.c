#include "base/clock_source.h"
#include "test.h"

/* ---- a machine of our own: true time passes only as the test says ----------- */

struct fake {
	double true_ns;         /* the time that counter and clocks are seen against */
	double ticks_per_ns;
	double ticks_ahead;     /* steps of the counter */
	double mono_ns;         /* CLOCK_MONOTONIC, and its own rate */
	double mono_rate;
	double wall_ahead_ns;   /* steps of CLOCK_REALTIME */
	bool is_stopped;        /* the counter stands still */
	bool is_invariant;
	double stopped_ticks;
	unsigned reads;
	unsigned jitter_ns;     /* CLOCK_MONOTONIC is read by so much too late or too early */
	unsigned interrupt_at;  /* this read of CLOCK_MONOTONIC is followed by a long pause */
};

static struct fake fake;
static struct apus_clock the_clock;

static void pass(double ns)
{
	fake.true_ns += ns;
	fake.mono_ns += ns * fake.mono_rate;
}

static double fake_ticks_exact(void)
{
	if (fake.is_stopped)
		return fake.stopped_ticks;
	return fake.true_ns * fake.ticks_per_ns + fake.ticks_ahead;
}

static uint64_t fake_ticks(void *arg)
{
	if (arg != &fake)
		ck_abort_msg("not our machine");
	fake.reads++;
	pass(8);
	return (uint64_t)(int64_t)fake_ticks_exact();
}

static int64_t fake_monotonic_ns(void *arg)
{
	double ns;

	(void)arg;
	fake.reads++;
	pass(10);
	ns = fake.mono_ns;
	if (fake.jitter_ns > 0)
		ns += (int)(fake.reads * 2654435761u % (2 * fake.jitter_ns)) - (int)fake.jitter_ns;
	if (fake.interrupt_at > 0 && --fake.interrupt_at == 0)
		pass(3e6);
	pass(10);
	return (int64_t)ns;
}

static int64_t fake_wall_ns(void *arg)
{
	(void)arg;
	fake.reads++;
	pass(20);
	return (int64_t)(fake.mono_ns + fake.wall_ahead_ns);
}

static bool fake_is_invariant(void *arg)
{
	(void)arg;
	return fake.is_invariant;
}

static const struct apusi_clock_source source = {
	.ticks = fake_ticks,
	.monotonic_ns = fake_monotonic_ns,
	.wall_ns = fake_wall_ns,
	.ticks_are_invariant = fake_is_invariant,
	.arg = &fake,
};

static void fake_start(enum apus_clock_kind kind)
{
	fake = (struct fake){
		.true_ns = 1e9,
		.ticks_per_ns = 2.6,
		.mono_ns = 5e9,
		.mono_rate = 1,
		.wall_ahead_ns = 1.6e18,
		.is_invariant = true,
	};
	ck_assert_int_eq(apusi_clock_init(&the_clock, kind, &source), 0);
}

static void counter_stop(void)
{
	fake.stopped_ticks = fake_ticks_exact();
	fake.is_stopped = true;
}

/* How far the clock is ahead of CLOCK_MONOTONIC. */
static int64_t error_ns(void)
{
	int64_t now_ns = apus_clock_read(&the_clock);

	return now_ns - (int64_t)fake.mono_ns;
}

static void check_within(int64_t limit_ns)
{
	int64_t error = error_ns();

	ck_assert_int_le(error, limit_ns);
	ck_assert_int_ge(error, -limit_ns);
}

/* The same without check's record of each assertion, for a loop. */
static void check_roughly(int64_t limit_ns)
{
	int64_t error = error_ns();

	if (error > limit_ns || error < -limit_ns)
		ck_abort_msg("off by %" PRId64 " ns", error);
}

/* A loop: reads every step_ns, recalibrates when due, and sees time go forwards only. */
static void run(double ns, double step_ns)
{
	double until_ns = fake.true_ns + ns;
	int64_t last_ns = apus_clock_read(&the_clock);

	while (fake.true_ns < until_ns) {
		int64_t now_ns;

		pass(step_ns);
		now_ns = apus_clock_read(&the_clock);
		if (now_ns < last_ns)
			ck_abort_msg("went back by %" PRId64 " ns", last_ns - now_ns);
		last_ns = now_ns;
		if (apus_clock_is_due(&the_clock, now_ns))
			apus_clock_recalibrate(&the_clock);
	}
}

/* ---- the counter held to CLOCK_MONOTONIC -------------------------------------- */

/* S11: drift without re-calibration. */
START_TEST(an_hour_on_the_counter_does_not_drift)
{
	fake_start(APUS_CLOCK_TSC);
	run(10e9, 1e6);
	for (int i = 0; i < 360; i++) {
		run(10e9, 10e6);
		check_within(200);
	}
	ck_assert_int_eq(apus_clock_kind_of(&the_clock), APUS_CLOCK_TSC);
}
END_TEST

/* S11: NTP speeds CLOCK_MONOTONIC up and slows it down; the clock follows. */
START_TEST(a_change_of_rate_is_followed)
{
	static const double rates[] = { 1.0001, 0.9999, 1.0004, 0.9996, 1 };

	fake_start(APUS_CLOCK_TSC);
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		fake.mono_rate = rates[i];
		run(20e9, 1e6);
		check_within(1000);
	}
	ck_assert_int_eq(apus_clock_kind_of(&the_clock), APUS_CLOCK_TSC);
}
END_TEST

/* An error is slewed away: no step, and never faster or slower than 1/1024 beyond the rate. */
START_TEST(an_error_is_slewed_and_not_stepped)
{
	for (int sign = -1; sign <= 1; sign += 2) {
		fake_start(APUS_CLOCK_TSC);
		run(10e9, 1e6);
		fake.mono_ns += sign * 300e3; /* 300 ppm of the interval: still sound */
		run(1.1e9, 1e6);
		for (int i = 0; i < 2000; i++) {
			double mono_ns = fake.mono_ns;
			int64_t before_ns = apus_clock_read(&the_clock);
			double passed_ns;

			pass(1e6);
			apus_clock_recalibrate(&the_clock);
			passed_ns = (double)(apus_clock_read(&the_clock) - before_ns);
			mono_ns = fake.mono_ns - mono_ns;
			ck_assert(passed_ns > mono_ns * (1 - 2.0 / 1024) - 50);
			ck_assert(passed_ns < mono_ns * (1 + 2.0 / 1024) + 50);
		}
		run(20e9, 1e6);
		check_within(1000);
		ck_assert_int_eq(apus_clock_kind_of(&the_clock), APUS_CLOCK_TSC);
	}
}
END_TEST

/* Also not after an hour in which CLOCK_MONOTONIC ran at another rate: more than a second. */
START_TEST(a_large_error_is_slewed_slowly_too)
{
	fake_start(APUS_CLOCK_TSC);
	run(10e9, 1e6);
	fake.mono_rate = 1.0004;
	pass(3600e9);
	ck_assert_int_lt(error_ns(), -APUS_SEC);
	for (int i = 0; i < 5000; i++) {
		double mono_ns = fake.mono_ns;
		int64_t before_ns = apus_clock_read(&the_clock);
		double passed_ns;

		pass(1e6);
		passed_ns = (double)(apus_clock_read(&the_clock) - before_ns);
		mono_ns = fake.mono_ns - mono_ns;
		ck_assert(passed_ns < mono_ns * (1 + 2.0 / 1024) + 50);
	}
	run(2000e9, 10e6);
	check_within(1000);
}
END_TEST

/* S11: a loop that was parked or stopped for long neither leaps nor stays wrong. */
START_TEST(an_hour_without_a_read_is_no_error)
{
	fake_start(APUS_CLOCK_TSC);
	run(3e9, 1e6);
	pass(3600e9);
	check_within(5000);
	run(5e9, 1e6);
	check_within(200);
	ck_assert(!apus_clock_has_fallen_back(&the_clock));
}
END_TEST

/* Reading alone recalibrates, before an error can grow. */
START_TEST(a_clock_that_nobody_recalibrates_follows_all_the_same)
{
	fake_start(APUS_CLOCK_TSC);
	fake.mono_rate = 1.0003;
	for (int i = 0; i < 60000; i++) {
		pass(1e6);
		apus_clock_read(&the_clock);
	}
	check_within(10000);
}
END_TEST

/* An interrupt in the middle of a sample does not spoil it. */
START_TEST(an_interrupted_sample_is_not_believed)
{
	fake_start(APUS_CLOCK_TSC);
	run(3e9, 1e6);
	for (unsigned at = 1; at <= 4; at++) {
		pass(1e9);
		fake.interrupt_at = at;
		apus_clock_recalibrate(&the_clock);
		check_within(500);
		run(1e9, 1e6);
		check_within(500);
	}
	ck_assert(!apus_clock_has_fallen_back(&the_clock));
}
END_TEST

START_TEST(an_interrupted_calibration_is_not_believed)
{
	for (unsigned at = 1; at < 20; at++) {
		fake_start(APUS_CLOCK_TSC);
		fake.interrupt_at = at;
		ck_assert_int_eq(apusi_clock_init(&the_clock, APUS_CLOCK_TSC, &source), 0);
		check_within(500);
		pass(10e6);
		check_within(500);
	}
}
END_TEST

/* The slew ends where the error does, however late the next recalibration is. */
START_TEST(an_error_that_is_slewed_does_not_overshoot)
{
	fake_start(APUS_CLOCK_TSC);
	run(10e9, 1e6);
	fake.mono_ns += 300e3;
	pass(1e9);
	apus_clock_recalibrate(&the_clock); /* takes the step for a change of rate, too */
	pass(1e9);
	apus_clock_recalibrate(&the_clock);
	pass(100e9);
	check_within(1000000);
	run(20e9, 1e6);
	check_within(1000);
}
END_TEST

START_TEST(recalibrating_is_of_bounded_cost)
{
	static const enum apus_clock_kind kinds[] = { APUS_CLOCK_TSC, APUS_CLOCK_MONOTONIC };

	for (int k = 0; k < 2; k++) {
		fake_start(kinds[k]);
		for (int i = 0; i < 100; i++) {
			pass(i * 1e7);
			fake.reads = 0;
			apus_clock_recalibrate(&the_clock);
			ck_assert_uint_le(fake.reads, 40);
		}
	}
}
END_TEST

/* Called every turn it does nothing until there is something to measure. */
START_TEST(recalibrating_too_often_is_harmless)
{
	fake_start(APUS_CLOCK_TSC);
	fake.jitter_ns = 15;
	for (int i = 0; i < 200000; i++) {
		pass(100);
		apus_clock_recalibrate(&the_clock);
		check_roughly(1000);
	}
	ck_assert(!apus_clock_has_fallen_back(&the_clock));
	run(3e9, 1e6);
	check_within(200);
}
END_TEST

/* ---- a counter that is not sound: S11 --------------------------------------------- */

static void check_fallen_back(int64_t last_ns)
{
	int64_t now_ns = apus_clock_read(&the_clock);

	ck_assert(apus_clock_has_fallen_back(&the_clock));
	ck_assert_int_eq(apus_clock_kind_of(&the_clock), APUS_CLOCK_MONOTONIC);
	ck_assert_int_ge(now_ns, last_ns);
	run(3e9, 1e6);
}

/* Suspend and resume: the counter begins at 0 again. */
START_TEST(a_counter_that_was_reset_is_left_at_the_next_read)
{
	int64_t last_ns;

	fake_start(APUS_CLOCK_AUTO);
	run(3e9, 1e6);
	last_ns = apus_clock_read(&the_clock);
	fake.ticks_ahead = -fake.true_ns * fake.ticks_per_ns + 1000;
	apus_clock_read(&the_clock);
	check_fallen_back(last_ns);
	check_within(100);
}
END_TEST

START_TEST(a_counter_that_stopped_is_left_at_the_next_recalibration)
{
	int64_t last_ns;

	fake_start(APUS_CLOCK_TSC);
	run(3e9, 1e6);
	last_ns = apus_clock_read(&the_clock);
	counter_stop();
	pass(0.5e9);
	ck_assert_int_eq(apus_clock_recalibrate(&the_clock), -ENOTSUP);
	check_fallen_back(last_ns);
	check_within(100);
}
END_TEST

/* Suspended with the counter running on while CLOCK_MONOTONIC stood still, or a leap. */
START_TEST(a_counter_that_leapt_is_not_followed)
{
	int64_t last_ns;

	fake_start(APUS_CLOCK_TSC);
	run(3e9, 1e6);
	last_ns = apus_clock_read(&the_clock);
	fake.ticks_ahead += 3600e9 * fake.ticks_per_ns;
	pass(1e6);
	ck_assert_int_le(apus_clock_read(&the_clock), last_ns + APUS_SEC);
	check_fallen_back(last_ns);
	check_within(100);
}
END_TEST

/* A short leap is only seen when recalibrating: then the clock goes on from there, slower. */
START_TEST(after_a_short_leap_time_goes_on_and_comes_back)
{
	int64_t last_ns;

	fake_start(APUS_CLOCK_TSC);
	run(3e9, 1e6);
	fake.ticks_ahead += 50e6 * fake.ticks_per_ns;
	pass(1e6);
	last_ns = apus_clock_read(&the_clock);
	ck_assert_int_ge(error_ns(), 49000000);
	pass(10e6);
	ck_assert_int_eq(apus_clock_recalibrate(&the_clock), -ENOTSUP);
	check_fallen_back(last_ns);
	ck_assert_int_gt(error_ns(), 1000000);
	run(60e9, 1e6);
	check_within(100);
}
END_TEST

/* Cores whose counters differ by less than a migration takes: held still, not left. */
START_TEST(a_counter_a_little_behind_on_another_core_is_held)
{
	fake_start(APUS_CLOCK_TSC);
	run(3e9, 1e6);
	for (int i = 0; i < 1000; i++) {
		int64_t last_ns;

		if (i % 4 == 0) {
			pass(2e6);
			apus_clock_recalibrate(&the_clock);
		}
		last_ns = apus_clock_read(&the_clock);
		fake.ticks_ahead = i % 2 ? 0 : -1500;
		ck_assert_int_ge(apus_clock_read(&the_clock), last_ns);
	}
	fake.ticks_ahead = 0;
	ck_assert(!apus_clock_has_fallen_back(&the_clock));
	run(3e9, 1e6);
	check_within(1000);
}
END_TEST

START_TEST(a_counter_of_another_rate_is_left)
{
	fake_start(APUS_CLOCK_TSC);
	run(3e9, 1e6);
	fake.ticks_ahead = fake.true_ns * fake.ticks_per_ns * (1 - 0.9);
	fake.ticks_per_ns *= 0.9;
	pass(0.5e9);
	ck_assert_int_eq(apus_clock_recalibrate(&the_clock), -ENOTSUP);
	check_fallen_back(0);
}
END_TEST

/* S11, whatever happens to the counter: what was read is never taken back. */
START_TEST(no_accident_makes_time_go_backwards)
{
	struct test_random random = test_random_init(test_seed());

	for (int round = 0; round < 300; round++) {
		int64_t last_ns;

		fake_start(APUS_CLOCK_AUTO);
		last_ns = apus_clock_read(&the_clock);
		for (int i = 0; i < 300; i++) {
			int64_t now_ns;

			switch (test_random_below(&random, 12)) {
			case 0:
				fake.ticks_ahead += (double)test_random_between(&random, -1000000, 1000000);
				break;
			case 1:
				fake.ticks_ahead += (double)test_random_between(&random, -300, 300);
				break;
			case 2:
				fake.mono_rate = 1 + (double)test_random_between(&random, -500, 500) * 1e-6;
				break;
			case 3:
				apus_clock_recalibrate(&the_clock);
				break;
			default:
				pass((double)(test_random_next(&random) >> test_random_between(&random, 34, 63)));
			}
			now_ns = apus_clock_read(&the_clock);
			if (now_ns < last_ns)
				ck_abort_msg("round %d: back by %" PRId64, round, last_ns - now_ns);
			last_ns = now_ns;
		}
	}
}
END_TEST

/* ---- kinds ---------------------------------------------------------------------------- */

START_TEST(a_counter_that_is_not_invariant_is_refused_or_passed_over)
{
	fake_start(APUS_CLOCK_TSC);
	fake.is_invariant = false;
	ck_assert_int_eq(apusi_clock_init(&the_clock, APUS_CLOCK_TSC, &source), -ENOTSUP);
	ck_assert_int_eq(apusi_clock_init(&the_clock, APUS_CLOCK_AUTO, &source), 0);
	ck_assert_int_eq(apus_clock_kind_of(&the_clock), APUS_CLOCK_MONOTONIC);
	ck_assert(!apus_clock_has_fallen_back(&the_clock));
	check_within(100);
}
END_TEST

START_TEST(a_counter_that_stands_still_is_refused_or_passed_over)
{
	fake_start(APUS_CLOCK_TSC);
	counter_stop();
	ck_assert_int_eq(apusi_clock_init(&the_clock, APUS_CLOCK_TSC, &source), -ENOTSUP);
	ck_assert_int_eq(apusi_clock_init(&the_clock, APUS_CLOCK_AUTO, &source), 0);
	ck_assert_int_eq(apus_clock_kind_of(&the_clock), APUS_CLOCK_MONOTONIC);
}
END_TEST

/* Nothing to calibrate against is no reason to wait for ever. */
START_TEST(a_reference_that_stands_still_is_no_reference)
{
	fake_start(APUS_CLOCK_TSC);
	fake.mono_rate = 0;
	ck_assert_int_eq(apusi_clock_init(&the_clock, APUS_CLOCK_TSC, &source), -ENOTSUP);
}
END_TEST

START_TEST(a_kind_that_is_none_is_refused)
{
	ck_assert_int_eq(apus_clock_init(&the_clock, (enum apus_clock_kind)99), -EINVAL);
}
END_TEST

START_TEST(monotonic_is_clock_monotonic)
{
	fake_start(APUS_CLOCK_MONOTONIC);
	run(3e9, 1e6);
	check_within(20);
}
END_TEST

/* S11, P17: this machine's own; the bracket makes the speed of the machine irrelevant. */
START_TEST(the_machines_clock_agrees_with_clock_monotonic_and_realtime)
{
	for (int kind = APUS_CLOCK_AUTO; kind <= APUS_CLOCK_MONOTONIC; kind++) {
		struct timespec before, after, wall_before, wall_after;
		int64_t now_ns, wall_ns;

		if (apus_clock_init(&the_clock, (enum apus_clock_kind)kind) == -ENOTSUP)
			continue; /* TSC, where it is not invariant */
		clock_gettime(CLOCK_MONOTONIC, &before);
		now_ns = apus_clock_read(&the_clock);
		clock_gettime(CLOCK_MONOTONIC, &after);
		ck_assert_int_ge(now_ns, before.tv_sec * APUS_SEC + before.tv_nsec - APUS_MSEC);
		ck_assert_int_le(now_ns, after.tv_sec * APUS_SEC + after.tv_nsec + APUS_MSEC);
		clock_gettime(CLOCK_REALTIME, &wall_before);
		wall_ns = apus_clock_wall(&the_clock);
		clock_gettime(CLOCK_REALTIME, &wall_after);
		ck_assert_int_ge(wall_ns, wall_before.tv_sec * APUS_SEC + wall_before.tv_nsec - APUS_MSEC);
		ck_assert_int_le(wall_ns, wall_after.tv_sec * APUS_SEC + wall_after.tv_nsec + APUS_MSEC);
	}
}
END_TEST

START_TEST(the_machines_clock_does_not_go_backwards)
{
	int64_t last_ns;

	ck_assert_int_eq(apus_clock_init(&the_clock, APUS_CLOCK_AUTO), 0);
	last_ns = apus_clock_read(&the_clock);
	for (int i = 0; i < 2000000; i++) {
		int64_t now_ns = apus_clock_read(&the_clock);

		if (now_ns < last_ns)
			ck_abort_msg("back by %" PRId64 " ns", last_ns - now_ns);
		last_ns = now_ns;
		if (i % 10000 == 0)
			apus_clock_recalibrate(&the_clock);
	}
}
END_TEST

/* The inline half, on the machine's own counter, behind what was answered and behind its base. */
START_TEST(an_inline_read_is_held_to_what_was_answered)
{
	int64_t now_ns;

	if (apus_clock_init(&the_clock, APUS_CLOCK_TSC) == -ENOTSUP)
		TEST_SKIP("no invariant counter");
	now_ns = the_clock.last_ns += 3600 * APUS_SEC;
	ck_assert_int_eq(apus_clock_read(&the_clock), now_ns);
	ck_assert_int_eq(apus_clock_read(&the_clock), now_ns);
}
END_TEST

START_TEST(an_inline_read_finds_a_counter_that_was_reset)
{
	int64_t last_ns;

	if (apus_clock_init(&the_clock, APUS_CLOCK_TSC) == -ENOTSUP)
		TEST_SKIP("no invariant counter");
	last_ns = apus_clock_read(&the_clock);
	the_clock.base_ticks += UINT64_C(1) << 50;
	ck_assert_int_ge(apus_clock_read(&the_clock), last_ns);
	ck_assert(apus_clock_has_fallen_back(&the_clock));
}
END_TEST

/* ---- wall time ---------------------------------------------------------------------------- */

START_TEST(wall_time_follows_steps_of_realtime_both_ways)
{
	static const enum apus_clock_kind kinds[] = { APUS_CLOCK_TSC, APUS_CLOCK_MONOTONIC };

	for (int k = 0; k < 2; k++) {
		fake_start(kinds[k]);
		for (int i = 0; i < 4; i++) {
			int64_t wall_ns, realtime_ns;

			fake.wall_ahead_ns += i % 2 ? -7200e9 : 3600e9;
			run(2e9, 1e6);
			wall_ns = apus_clock_wall(&the_clock);
			realtime_ns = (int64_t)(fake.mono_ns + fake.wall_ahead_ns);
			ck_assert_int_le(wall_ns, realtime_ns + 2000);
			ck_assert_int_ge(wall_ns, realtime_ns - 2000);
		}
	}
}
END_TEST

START_TEST(a_time_that_was_read_can_be_told_as_wall_time)
{
	int64_t now_ns;

	fake_start(APUS_CLOCK_TSC);
	now_ns = apus_clock_read(&the_clock);
	ck_assert_int_eq(apus_clock_wall_at(&the_clock, now_ns + 5),
		apus_clock_wall_at(&the_clock, now_ns) + 5);
}
END_TEST

/* ---- virtual time --------------------------------------------------------------------------- */

/* Promise 13 rests on it: nothing but advance and set moves it. */
START_TEST(virtual_time_stands_still_until_it_is_moved)
{
	ck_assert_int_eq(apus_clock_init(&the_clock, APUS_CLOCK_VIRTUAL), 0);
	ck_assert_int_eq(apus_clock_read(&the_clock), 0);
	ck_assert_int_eq(apus_clock_recalibrate(&the_clock), 0);
	ck_assert_int_eq(apus_clock_read(&the_clock), 0);
	ck_assert_int_eq(apus_clock_advance(&the_clock, 5), 0);
	ck_assert_int_eq(apus_clock_read(&the_clock), 5);
	ck_assert_int_eq(apus_clock_set(&the_clock, APUS_SEC), 0);
	ck_assert_int_eq(apus_clock_read(&the_clock), APUS_SEC);
	ck_assert_int_eq(apus_clock_wall(&the_clock), APUS_SEC);
	ck_assert(!apus_clock_is_due(&the_clock, APUS_SEC));
}
END_TEST

START_TEST(virtual_time_refuses_to_go_backwards)
{
	ck_assert_int_eq(apus_clock_init(&the_clock, APUS_CLOCK_VIRTUAL), 0);
	ck_assert_int_eq(apus_clock_set(&the_clock, 1000), 0);
	ck_assert_int_eq(apus_clock_set(&the_clock, 999), -EINVAL);
	ck_assert_int_eq(apus_clock_advance(&the_clock, -1), -EINVAL);
	ck_assert_int_eq(apus_clock_read(&the_clock), 1000);
	ck_assert_int_eq(apus_clock_advance(&the_clock, APUS_NEVER), 0);
	ck_assert_int_eq(apus_clock_read(&the_clock), APUS_NEVER);
}
END_TEST

START_TEST(real_time_is_not_to_be_moved)
{
	fake_start(APUS_CLOCK_TSC);
	ck_assert_int_eq(apus_clock_set(&the_clock, APUS_NEVER), -EINVAL);
	ck_assert_int_eq(apus_clock_advance(&the_clock, 1), -EINVAL);
	fake_start(APUS_CLOCK_MONOTONIC);
	ck_assert_int_eq(apus_clock_advance(&the_clock, 1), -EINVAL);
}
END_TEST

TEST_MAIN("clock",
	an_hour_on_the_counter_does_not_drift,
	a_change_of_rate_is_followed,
	an_error_is_slewed_and_not_stepped,
	a_large_error_is_slewed_slowly_too,
	an_hour_without_a_read_is_no_error,
	a_clock_that_nobody_recalibrates_follows_all_the_same,
	an_interrupted_sample_is_not_believed,
	an_interrupted_calibration_is_not_believed,
	an_error_that_is_slewed_does_not_overshoot,
	recalibrating_is_of_bounded_cost,
	recalibrating_too_often_is_harmless,
	a_counter_that_was_reset_is_left_at_the_next_read,
	a_counter_that_stopped_is_left_at_the_next_recalibration,
	a_counter_that_leapt_is_not_followed,
	after_a_short_leap_time_goes_on_and_comes_back,
	a_counter_a_little_behind_on_another_core_is_held,
	a_counter_of_another_rate_is_left,
	no_accident_makes_time_go_backwards,
	a_counter_that_is_not_invariant_is_refused_or_passed_over,
	a_counter_that_stands_still_is_refused_or_passed_over,
	a_reference_that_stands_still_is_no_reference,
	a_kind_that_is_none_is_refused,
	monotonic_is_clock_monotonic,
	the_machines_clock_agrees_with_clock_monotonic_and_realtime,
	the_machines_clock_does_not_go_backwards,
	an_inline_read_is_held_to_what_was_answered,
	an_inline_read_finds_a_counter_that_was_reset,
	wall_time_follows_steps_of_realtime_both_ways,
	a_time_that_was_read_can_be_told_as_wall_time,
	virtual_time_stands_still_until_it_is_moved,
	virtual_time_refuses_to_go_backwards,
	real_time_is_not_to_be_moved)
