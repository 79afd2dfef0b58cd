#include "apus/timer.h"
#include "test.h"

/* ---- a wheel, and what its timers saw ------------------------------------- */

#define MANY 1000000u /* steps: as good as no budget */
#define YEAR (INT64_C(31556952) * APUS_SEC)

static struct apus_wheel wheel;
static int64_t now_ns; /* what the wheel was last advanced to */

struct probe {
	struct apus_timer timer;
	unsigned fired;
	uint64_t place;  /* the how manieth firing of all */
	int64_t delay_ns;
	struct probe *sibling;
};

static uint64_t fired_count;
static struct probe *last_fired;

static void note(struct apus_timer *timer)
{
	struct probe *probe = apus_container_of(timer, struct probe, timer);

	if (timer->deadline_ns > now_ns)
		ck_abort_msg("%" PRId64 " ns early", timer->deadline_ns - now_ns);
	if (apus_timer_is_armed(timer))
		ck_abort_msg("fired while armed");
	probe->fired++;
	probe->place = fired_count++;
	last_fired = probe;
}

static void on_fire(struct apus_cx *cx, struct apus_timer *timer)
{
	ck_assert_ptr_null(cx);
	note(timer);
}

static void probe_init(struct probe *probe, apus_timer_fn *fn)
{
	memset(probe, 0, sizeof *probe);
	apus_timer_init(&probe->timer, fn);
}

static void wheel_start(int64_t start_ns, int64_t resolution_ns)
{
	struct apus_wheel_config config = { resolution_ns, 0 };

	now_ns = start_ns;
	fired_count = 0;
	last_fired = NULL;
	ck_assert_int_eq(apus_wheel_init(&wheel, &config, start_ns), 0);
}

static void arm(struct probe *probe, int64_t deadline_ns)
{
	probe_init(probe, on_fire);
	apus_timer_arm(&wheel, &probe->timer, deadline_ns);
}

static uint32_t advance(int64_t to_ns, uint32_t budget)
{
	uint32_t work;

	now_ns = to_ns;
	work = apus_wheel_advance(&wheel, NULL, to_ns, budget);
	ck_assert_uint_le(work, budget);
	return work;
}

/* Advances to to_ns until there is nothing left to do there. */
static unsigned settle(int64_t to_ns, uint32_t budget)
{
	unsigned turns = 0;

	do
		turns++;
	while (advance(to_ns, budget) > 0 || apus_wheel_next_ns(&wheel) <= to_ns);
	return turns;
}

static struct probe *probes_new(size_t count)
{
	struct probe *probes = calloc(count, sizeof *probes);

	ck_assert_ptr_nonnull(probes);
	return probes;
}

/* ---- promise 1: never early, never lost ------------------------------------ */

static void check_to_the_nanosecond(int64_t start_ns, int64_t delay_ns, int64_t resolution_ns)
{
	struct probe probe;

	wheel_start(start_ns, resolution_ns);
	arm(&probe, start_ns + delay_ns);
	settle(start_ns + delay_ns / 2, MANY);
	settle(start_ns + delay_ns - 1, MANY);
	if (probe.fired != 0)
		ck_abort_msg("delay %" PRId64 " at %" PRId64 ": early", delay_ns, start_ns);
	settle(start_ns + delay_ns, MANY);
	if (probe.fired != 1)
		ck_abort_msg("delay %" PRId64 " at %" PRId64 ": lost", delay_ns, start_ns);
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
}

/* Promise 1, P2: the deadline is exact, whatever the width of a bucket. */
START_TEST(a_timer_fires_at_its_deadline_and_not_a_nanosecond_before)
{
	struct test_random random = test_random_init(test_seed());

	for (int i = 0; i < 3000; i++) {
		int64_t start_ns = (int64_t)(test_random_next(&random) >> test_random_between(&random, 2, 63));
		int64_t delay_ns = 1 + (int64_t)(test_random_next(&random) >> test_random_between(&random, 2, 63));

		check_to_the_nanosecond(start_ns, delay_ns, INT64_C(1) << test_random_below(&random, 33));
	}
}
END_TEST

/* S2: the edges of levels of 6 and of 8 bits, in buckets and in nanoseconds. */
START_TEST(a_level_edge_neither_fires_early_nor_loses)
{
	static const int64_t starts[] = { 0, 1, 1023, 1024, 262143, 262144, 12345678901 };

	for (unsigned bits = 1; bits < 62; bits++) {
		int64_t edge_ns = INT64_C(1) << bits;

		for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
			for (int64_t off = -1; off <= 1; off++)
				check_to_the_nanosecond(starts[i], edge_ns + off, 1024);
			check_to_the_nanosecond(edge_ns - 1, starts[i] + 1, 1024);
			check_to_the_nanosecond(edge_ns - 1024, starts[i] + 1023, 1024);
		}
	}
}
END_TEST

struct spread {
	struct probe *probes;
	size_t count;
	int64_t end_ns;
};

static struct spread spread_arm(size_t count, int64_t from_ns, int64_t width_ns)
{
	struct test_random random = test_random_init(test_seed());
	struct spread spread = { probes_new(count), count, from_ns + width_ns };

	for (size_t i = 0; i < count; i++)
		arm(&spread.probes[i], from_ns + (int64_t)test_random_below(&random, (uint64_t)width_ns));
	return spread;
}

static void spread_check(struct spread *spread)
{
	for (size_t i = 0; i < spread->count; i++)
		ck_assert_uint_eq(spread->probes[i].fired, 1);
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
	ck_assert_uint_eq(apus_wheel_fired_count(&wheel), spread->count);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), APUS_NEVER);
	free(spread->probes);
}

/* Promise 1, P2: as a busy loop advances, by some nanoseconds a turn. */
START_TEST(every_deadline_is_met_by_a_loop_that_spins)
{
	struct spread spread;

	wheel_start(0, 0);
	spread = spread_arm(2000, 0, 20 * APUS_MSEC);
	for (int64_t at = 0; at < spread.end_ns; at += 37)
		advance(at, 4);
	settle(spread.end_ns, 4);
	spread_check(&spread);
}
END_TEST

/* Promise 1, P2: as a parking loop advances, from one next_ns to the next. */
START_TEST(every_deadline_is_met_on_time_by_a_loop_that_parks)
{
	struct spread spread;

	wheel_start(0, 0);
	spread = spread_arm(2000, 0, 100 * APUS_SEC);
	while (apus_wheel_pending_count(&wheel) > 0) {
		int64_t next_ns = apus_wheel_next_ns(&wheel);

		ck_assert_int_le(next_ns, spread.end_ns);
		if (next_ns < now_ns)
			next_ns = now_ns;
		advance(next_ns, MANY);
		if (last_fired != NULL && now_ns == next_ns)
			ck_assert_int_le(last_fired->timer.deadline_ns, now_ns);
	}
	spread_check(&spread);
}
END_TEST

/* Promise 1: what it fires late by is what the caller was late by. */
START_TEST(a_loop_that_parks_until_next_ns_is_never_late)
{
	struct spread spread;
	uint64_t seen = 0;

	wheel_start(0, 0);
	spread = spread_arm(500, 0, APUS_SEC);
	while (apus_wheel_pending_count(&wheel) > 0) {
		int64_t next_ns = apus_wheel_next_ns(&wheel);

		advance(next_ns > now_ns ? next_ns : now_ns, MANY);
		if (fired_count == seen)
			continue;
		seen = fired_count;
		ck_assert_int_eq(last_fired->timer.deadline_ns, now_ns);
	}
	spread_check(&spread);
}
END_TEST

/* P20, promise 1: not clamped to what some level holds. */
START_TEST(ten_years_and_a_century_are_not_clamped)
{
	check_to_the_nanosecond(0, 10 * YEAR, 0);
	check_to_the_nanosecond(0, 100 * YEAR, 0);
	check_to_the_nanosecond(56 * YEAR + 1, 10 * YEAR + 1, 0);
	check_to_the_nanosecond(56 * YEAR + 1, 100 * YEAR + 1, 1);
}
END_TEST

/* S2: huge durations do not overflow, and passed ones are due. */
START_TEST(the_ends_of_time_are_deadlines_too)
{
	struct probe never, last, first, minus;

	wheel_start(1000, 0);
	arm(&never, APUS_NEVER);
	arm(&last, APUS_NEVER - 1);
	arm(&first, INT64_MIN);
	arm(&minus, -1);
	ck_assert_int_le(apus_wheel_next_ns(&wheel), -APUS_NEVER / 2);
	ck_assert_int_lt(apus_wheel_next_ns(&wheel) - 100 * YEAR, 0);
	settle(1000, MANY);
	ck_assert_uint_eq(first.fired, 1);
	ck_assert_uint_eq(minus.fired, 1);
	ck_assert_uint_lt(first.place, minus.place);
	settle(APUS_NEVER - 2, MANY);
	ck_assert_uint_eq(last.fired, 0);
	advance(APUS_NEVER - 1, MANY);
	ck_assert_uint_eq(last.fired, 1);
	ck_assert_uint_eq(never.fired, 0);
	advance(APUS_NEVER, MANY);
	ck_assert_uint_eq(never.fired, 1);
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
}
END_TEST

/* A clock that starts below zero is odd, but no reason to be early. */
START_TEST(time_below_zero_is_time)
{
	struct probe probe;

	wheel_start(-5000, 0);
	arm(&probe, -2000);
	settle(-2001, MANY);
	ck_assert_uint_eq(probe.fired, 0);
	settle(-2000, MANY);
	ck_assert_uint_eq(probe.fired, 1);
}
END_TEST

/* Clocks here do not go backwards; if one does, deadlines still hold. */
START_TEST(time_that_goes_backwards_fires_nothing_early_and_loses_nothing)
{
	struct spread spread;

	wheel_start(APUS_SEC, 0);
	spread = spread_arm(1000, APUS_SEC, 10 * APUS_MSEC);
	for (int64_t at = APUS_SEC; at < spread.end_ns; at += 1000)
		advance(at - at % 7 * 3000, 3);
	settle(spread.end_ns, 3);
	spread_check(&spread);
}
END_TEST

/* ---- promise 1: order ------------------------------------------------------- */

static int by_deadline_then_arming(const void *a, const void *b)
{
	const struct probe *left = a, *right = b;

	if (left->timer.deadline_ns != right->timer.deadline_ns)
		return left->timer.deadline_ns < right->timer.deadline_ns ? -1 : 1;
	return left->timer.seq < right->timer.seq ? -1 : 1;
}

static void check_exact_order(int64_t width_ns, int64_t step_ns)
{
	struct spread spread;

	wheel_start(0, 0);
	spread = spread_arm(5000, 0, width_ns);
	for (int64_t at = 0; at < spread.end_ns; at += step_ns)
		settle(at, 5000);
	settle(spread.end_ns, 5000);
	qsort(spread.probes, spread.count, sizeof *spread.probes, by_deadline_then_arming);
	for (size_t i = 0; i < spread.count; i++)
		ck_assert_uint_eq(spread.probes[i].place, i);
	spread_check(&spread);
}

START_TEST(timers_fire_by_deadline_and_ties_by_arming)
{
	check_exact_order(300, 100);           /* many ties, one bucket */
	check_exact_order(20000, 5000);
	check_exact_order(APUS_MSEC, 20000);
	check_exact_order(APUS_MSEC, APUS_MSEC); /* all in one jump */
	check_exact_order(APUS_SEC, APUS_SEC / 10);
}
END_TEST

/* Ties hold also where one timer comes down from above and the other is armed below it. */
START_TEST(ties_keep_arming_order_while_a_cascade_is_half_done)
{
	enum { CROWD = 64 };
	const int64_t deadline_ns = 400000; /* in the second bucket of level 1 */
	struct probe first[CROWD], second[CROWD];

	wheel_start(0, 0);
	for (int i = 0; i < CROWD; i++)
		arm(&first[i], deadline_ns);
	advance(deadline_ns - 2000, CROWD / 2); /* entered, not opened: nothing is due */
	for (int i = 0; i < CROWD / 2; i++)
		arm(&second[i], deadline_ns);
	advance(deadline_ns, CROWD / 4);
	for (int i = CROWD / 2; i < CROWD; i++)
		arm(&second[i], deadline_ns);
	settle(deadline_ns, 4 * CROWD);
	for (int i = 0; i < CROWD; i++) {
		ck_assert_uint_eq(first[i].place, (uint64_t)i);
		ck_assert_uint_eq(second[i].place, (uint64_t)(CROWD + i));
	}
}
END_TEST

/* What was disarmed in the due list makes room there: order stays exact. */
START_TEST(timers_that_left_the_due_list_do_not_fill_it)
{
	enum { BUDGET = 8 };
	struct probe gone[BUDGET], came[BUDGET];

	wheel_start(0, 0);
	for (int i = 0; i < BUDGET; i++)
		arm(&gone[i], 900);
	settle(100, BUDGET);
	for (int i = 1; i < BUDGET; i++)
		apus_timer_disarm(&wheel, &gone[i].timer);
	for (int i = 1; i < BUDGET; i++)
		arm(&came[i], 800 - i);
	settle(950, BUDGET);
	for (int i = 1; i < BUDGET; i++)
		ck_assert_uint_eq(came[i].place, (uint64_t)(BUDGET - 1 - i));
	ck_assert_uint_eq(gone[0].place, BUDGET - 1);
}
END_TEST

/* ---- promise 2: bounded turns ------------------------------------------------ */

/* P20: catching up does not go bucket by bucket. */
START_TEST(an_hour_in_one_jump_is_few_and_bounded_turns)
{
	struct probe *probes = probes_new(1000);

	wheel_start(0, 0);
	for (int i = 0; i < 1000; i++)
		arm(&probes[i], (i + 1) * 3600 * APUS_MSEC);
	ck_assert_uint_le(settle(3600 * APUS_SEC, 100), 1000u * 10 / 100);
	ck_assert_uint_eq(fired_count, 1000);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(probes[i].place, (uint64_t)i);
	free(probes);
}
END_TEST

START_TEST(an_empty_hour_is_no_work)
{
	wheel_start(0, 0);
	ck_assert_uint_eq(advance(3600 * APUS_SEC, MANY), 0);
	ck_assert_uint_eq(advance(100 * YEAR, MANY), 0);
}
END_TEST

/* S2, promise 2: a million on one instant; also ties beyond a budget keep their order. */
START_TEST(a_million_equal_deadlines_fire_a_budget_at_a_time)
{
	const unsigned count = TEST_MANY(1000000), budget = 1024;
	struct probe *probes = probes_new(count);

	wheel_start(0, 0);
	for (unsigned i = 0; i < count; i++)
		arm(&probes[i], 1500);
	/* Each is moved once and fired once; every turn but the last spends its budget. */
	ck_assert_uint_le(settle(1500, budget), 2 * count / budget + 3);
	for (unsigned i = 0; i < count; i++)
		ck_assert_uint_eq(probes[i].place, i);
	ck_assert_uint_eq(fired_count, count);
	free(probes);
}
END_TEST

/* Promise 1 and 2: more than a budget in a bucket that time is still in. */
START_TEST(a_crowd_in_the_current_bucket_is_neither_early_nor_lost)
{
	struct spread spread;

	wheel_start(0, 1 << 20);
	spread = spread_arm(5000, 0, 1 << 20);
	for (int64_t at = 0; at < spread.end_ns; at += 10000)
		settle(at, 64);
	settle(spread.end_ns, 64);
	spread_check(&spread);
}
END_TEST

/* Promise 1: lateness is not the width of a bucket, even in a crowd. */
START_TEST(a_crowd_in_the_current_bucket_is_not_late)
{
	struct spread spread;
	struct probe probe;

	wheel_start(0, 1 << 20);
	spread = spread_arm(5000, 500000, 500000);
	settle(400000, 64);
	arm(&probe, 450000);
	settle(450000, 64);
	ck_assert_uint_eq(probe.fired, 1);
	ck_assert_uint_eq(fired_count, 1);
	settle(spread.end_ns, 64);
	fired_count--;
	ck_assert_uint_eq(apus_wheel_fired_count(&wheel), spread.count + 1);
	free(spread.probes);
}
END_TEST

/* An advance without a budget has nothing to spend, and loses nothing. */
START_TEST(no_budget_is_no_step)
{
	struct probe probe;

	wheel_start(0, 0);
	arm(&probe, 10);
	ck_assert_uint_eq(advance(20, 0), 0);
	ck_assert_uint_eq(probe.fired, 0);
	settle(20, 1);
	ck_assert_uint_eq(probe.fired, 1);
}
END_TEST

enum { FAR_COUNT = TEST_MANY(1000000) };

/* A million timers an hour away, in memory that can be taken from the wheel's sight. */
static struct probe *far_arm(void)
{
	struct probe *probes = mmap(NULL, FAR_COUNT * sizeof *probes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(probes, MAP_FAILED);
	for (unsigned i = 0; i < FAR_COUNT; i++)
		arm(&probes[i], 3600 * APUS_SEC + i * APUS_MSEC);
	return probes;
}

/* Whoever looks at one of them from now on dies of it. */
static void far_hide(struct probe *probes, bool hidden)
{
	ck_assert_int_eq(mprotect(probes, FAR_COUNT * sizeof *probes,
		hidden ? PROT_NONE : PROT_READ | PROT_WRITE), 0);
}

static void far_free(struct probe *probes)
{
	ck_assert_int_eq(munmap(probes, FAR_COUNT * sizeof *probes), 0);
}

/* P22: a population that is not due costs a turn nothing: not one of them is looked at. */
START_TEST(an_idle_turn_with_a_million_far_timers_is_no_step)
{
	struct probe *probes;
	int64_t next_ns;

	wheel_start(0, 0);
	probes = far_arm();
	next_ns = apus_wheel_next_ns(&wheel);
	ck_assert_int_eq(next_ns, 3600 * APUS_SEC);
	far_hide(probes, true);
	for (int64_t at = 0; at < next_ns; at += APUS_SEC / 16)
		ck_assert_uint_eq(advance(at, MANY), 0);
	far_hide(probes, false);
	ck_assert_uint_gt(advance(next_ns, MANY), 0);
	far_free(probes);
}
END_TEST

/* Promise 2: the work for one timer does not grow with those pending, nor touch them. */
START_TEST(the_work_for_a_timer_is_the_same_beside_a_million)
{
	struct probe *probes;
	struct probe probe;
	uint32_t alone, beside;

	wheel_start(0, 0);
	arm(&probe, 100 * APUS_MSEC);
	alone = advance(100 * APUS_MSEC, MANY);
	probes = far_arm();
	far_hide(probes, true);
	arm(&probe, 200 * APUS_MSEC);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), 200 * APUS_MSEC);
	beside = advance(200 * APUS_MSEC, MANY);
	ck_assert_uint_eq(probe.fired, 1);
	ck_assert_uint_eq(beside, alone);
	far_hide(probes, false);
	far_free(probes);
}
END_TEST

/* Promise 2: buckets that were emptied by disarming are looked at within the budget too. */
START_TEST(emptied_buckets_are_cleared_a_budget_at_a_time)
{
	struct probe won, due;
	unsigned turns = 0;

	wheel_start(0, 0);
	probe_init(&won, on_fire);
	for (int i = 1; i < 200; i++)
		apus_timer_arm(&wheel, &won.timer, i * APUS_WHEEL_RESOLUTION_NS);
	apus_timer_disarm(&wheel, &won.timer);
	arm(&due, 200 * APUS_WHEEL_RESOLUTION_NS);
	while (due.fired == 0) {
		advance(200 * APUS_WHEEL_RESOLUTION_NS, 4);
		ck_assert_uint_lt(turns++, 1000);
	}
	ck_assert_uint_ge(turns, 198 / 4);
	ck_assert_uint_eq(won.fired, 0);
}
END_TEST

/* P4: a time-out that was won leaves nothing behind. */
START_TEST(ten_million_timeouts_that_were_won_leave_the_wheel_empty)
{
	struct probe probe;

	wheel_start(0, 0);
	probe_init(&probe, on_fire);
	for (int64_t i = 0; i < TEST_MANY(10000000); i++) {
		apus_timer_arm(&wheel, &probe.timer, i * 100 + 3600 * APUS_SEC);
		apus_timer_disarm(&wheel, &probe.timer);
		if (i % 1000 == 0)
			ck_assert_uint_eq(advance(i * 100, MANY), 0);
	}
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), APUS_NEVER);
	ck_assert_uint_eq(advance(2 * 3600 * APUS_SEC, MANY), 0);
	ck_assert_uint_eq(probe.fired, 0);
}
END_TEST

/* ---- arming and disarming ------------------------------------------------------ */

START_TEST(a_disarmed_timer_does_not_fire_and_may_be_disarmed_again)
{
	struct probe probe;

	wheel_start(0, 0);
	arm(&probe, 5000);
	ck_assert(apus_timer_is_armed(&probe.timer));
	apus_timer_disarm(&wheel, &probe.timer);
	apus_timer_disarm(&wheel, &probe.timer);
	ck_assert(!apus_timer_is_armed(&probe.timer));
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
	settle(APUS_SEC, MANY);
	ck_assert_uint_eq(probe.fired, 0);
}
END_TEST

START_TEST(arming_again_moves_the_deadline_both_ways)
{
	struct probe probe;

	wheel_start(0, 0);
	arm(&probe, 5000);
	apus_timer_arm(&wheel, &probe.timer, APUS_SEC);
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 1);
	settle(APUS_SEC - 1, MANY);
	ck_assert_uint_eq(probe.fired, 0);
	apus_timer_arm(&wheel, &probe.timer, 2 * APUS_SEC);
	apus_timer_arm(&wheel, &probe.timer, APUS_SEC + 10);
	settle(APUS_SEC + 10, MANY);
	ck_assert_uint_eq(probe.fired, 1);
	settle(3 * APUS_SEC, MANY);
	ck_assert_uint_eq(probe.fired, 1);
}
END_TEST

/* Every list that a timer can wait in lets it go: S2, cancel racing insert. */
START_TEST(a_timer_can_be_disarmed_wherever_it_waits)
{
	struct probe probes[200];
	struct probe far;

	for (unsigned budget = 1; budget < 120; budget++) {
		wheel_start(0, 0);
		arm(&far, APUS_SEC);
		for (int i = 0; i < 200; i++)
			arm(&probes[i], i % 2 ? 300000 + i : 300000 - i);
		advance(300000, budget);
		for (int i = 0; i < 200; i++)
			apus_timer_disarm(&wheel, &probes[i].timer);
		ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 1);
		settle(APUS_SEC, budget);
		ck_assert_uint_eq(far.fired, 1);
		ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
		ck_assert_int_eq(apus_wheel_next_ns(&wheel), APUS_NEVER);
	}
}
END_TEST

/* ---- in callbacks ----------------------------------------------------------------- */

static void rearm_at_once(struct apus_cx *cx, struct apus_timer *timer)
{
	(void)cx;
	note(timer);
	apus_timer_arm(&wheel, timer, now_ns);
}

/* S2: zero delay does not repeat for ever within a turn, nor twice. */
START_TEST(a_zero_delay_rearmed_in_its_callback_fires_once_an_advance)
{
	struct probe probe;

	wheel_start(0, 0);
	probe_init(&probe, rearm_at_once);
	apus_timer_arm(&wheel, &probe.timer, 0);
	for (unsigned i = 1; i <= 100; i++) {
		advance(i % 3 ? now_ns : now_ns + 10 * APUS_MSEC, MANY);
		ck_assert_uint_eq(probe.fired, i);
	}
}
END_TEST

/* S2: nor does it starve what was due before. */
START_TEST(zero_delays_rearmed_do_not_starve_others)
{
	struct probe always[4], once;

	wheel_start(0, 0);
	for (int i = 0; i < 4; i++) {
		probe_init(&always[i], rearm_at_once);
		apus_timer_arm(&wheel, &always[i].timer, 0);
	}
	arm(&once, 5000);
	for (int i = 0; i < 40; i++)
		advance(5000 + i * 2000, 3);
	ck_assert_uint_eq(once.fired, 1);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_ge(always[i].fired, 5);
}
END_TEST

static void rearm_by_period(struct apus_cx *cx, struct apus_timer *timer)
{
	struct probe *probe = apus_container_of(timer, struct probe, timer);

	(void)cx;
	note(timer);
	apus_timer_arm(&wheel, timer, timer->deadline_ns + probe->delay_ns);
}

/* S2: missed ticks after a stall; one an advance, so a turn stays bounded, none forgotten. */
START_TEST(a_period_rearmed_in_its_callback_does_not_drift)
{
	struct probe probe;

	wheel_start(0, 0);
	probe_init(&probe, rearm_by_period);
	probe.delay_ns = 50 * APUS_USEC;
	apus_timer_arm(&wheel, &probe.timer, probe.delay_ns);
	for (int64_t at = 0; at <= APUS_SEC / 10; at += 7777)
		settle(at, MANY);
	ck_assert_uint_eq(probe.fired, (unsigned)(now_ns / probe.delay_ns));
	settle(APUS_SEC, MANY);
	ck_assert_uint_eq(probe.fired, APUS_SEC / probe.delay_ns);
}
END_TEST

static void disarm_sibling(struct apus_cx *cx, struct apus_timer *timer)
{
	struct probe *probe = apus_container_of(timer, struct probe, timer);

	(void)cx;
	note(timer);
	apus_timer_disarm(&wheel, &probe->sibling->timer);
}

/* S2: cancel a sibling of the same batch, next to it and further off. */
START_TEST(a_callback_can_disarm_a_sibling_of_its_batch)
{
	struct probe probes[100];

	wheel_start(0, 0);
	for (int i = 0; i < 100; i++) {
		probe_init(&probes[i], disarm_sibling);
		probes[i].sibling = &probes[i % 2 ? i : i + 1];
		apus_timer_arm(&wheel, &probes[i].timer, 700);
	}
	settle(700, MANY);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(probes[i].fired, i % 2 ? 0 : 1);
}
END_TEST

static void arm_sibling(struct apus_cx *cx, struct apus_timer *timer)
{
	struct probe *probe = apus_container_of(timer, struct probe, timer);

	(void)cx;
	note(timer);
	apus_timer_arm(&wheel, &probe->sibling->timer, now_ns + probe->delay_ns);
}

START_TEST(a_callback_can_arm_others_near_and_far)
{
	for (int64_t delay_ns = 0; delay_ns < YEAR; delay_ns = delay_ns * 3 + 1) {
		struct probe first, second;

		wheel_start(0, 0);
		probe_init(&first, arm_sibling);
		probe_init(&second, on_fire);
		first.sibling = &second;
		first.delay_ns = delay_ns;
		apus_timer_arm(&wheel, &first.timer, APUS_SEC);
		advance(2 * APUS_SEC, MANY);
		ck_assert_uint_eq(first.fired, 1);
		ck_assert_uint_eq(second.fired, 0);
		settle(2 * APUS_SEC + delay_ns - 1, MANY);
		ck_assert_uint_eq(second.fired, 0);
		settle(2 * APUS_SEC + delay_ns, MANY);
		ck_assert_uint_eq(second.fired, 1);
	}
}
END_TEST

static void free_probe(struct apus_cx *cx, struct apus_timer *timer)
{
	(void)cx;
	note(timer);
	free(apus_container_of(timer, struct probe, timer));
}

/* Ownership: the wheel does not look at a timer that it has handed to its callback. */
START_TEST(a_callback_may_free_its_timer)
{
	wheel_start(0, 0);
	for (int i = 0; i < 100; i++) {
		struct probe *probe = probes_new(1);

		probe_init(probe, free_probe);
		apus_timer_arm(&wheel, &probe->timer, 1000 + i / 2);
	}
	settle(2000, 7);
	ck_assert_uint_eq(fired_count, 100);
}
END_TEST

static void advance_later(struct apus_cx *cx, struct apus_timer *timer)
{
	(void)timer;
	apus_wheel_advance(&wheel, cx, now_ns + APUS_SEC, MANY);
}

static void advance_now(struct apus_cx *cx, struct apus_timer *timer)
{
	apus_timer_arm(&wheel, timer, now_ns);
	apus_wheel_advance(&wheel, cx, now_ns, MANY);
}

static void fire_one(void *arg)
{
	apus_timer_fn **fn = arg;
	struct probe probe;

	wheel_start(0, 0);
	probe_init(&probe, *fn);
	apus_timer_arm(&wheel, &probe.timer, 0);
	advance(0, MANY);
}

/* What would leap over a bucket panics before it does. */
START_TEST(an_advance_within_an_advance_panics)
{
	apus_timer_fn *later = advance_later, *now = advance_now;

	test_expect_panic("floor_ns", fire_one, &later);
	test_expect_panic("is_advancing", fire_one, &now);
}
END_TEST

/* ---- the next deadline ---------------------------------------------------------------- */

START_TEST(next_is_never_when_nothing_is_pending)
{
	struct probe probe;

	wheel_start(77, 0);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), APUS_NEVER);
	arm(&probe, 78);
	apus_timer_disarm(&wheel, &probe.timer);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), APUS_NEVER);
}
END_TEST

START_TEST(next_is_exact_for_the_one_armed_as_the_earliest)
{
	struct probe probe, far;

	wheel_start(0, 0);
	arm(&far, 3600 * APUS_SEC);
	arm(&probe, 123456789);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), 123456789);
	advance(123456788, MANY);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), 123456789);
}
END_TEST

/* Promise 1: exact in the current bucket, also when the earliest one was disarmed. */
START_TEST(next_is_exact_in_the_current_bucket)
{
	struct probe first, second, third;

	wheel_start(0, 0);
	arm(&third, 900);
	arm(&first, 300);
	arm(&second, 500);
	apus_timer_disarm(&wheel, &first.timer);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), 500);
	settle(500, MANY);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), 900);
}
END_TEST

/* S2: it stays a bound where time has entered a high bucket without opening it. */
START_TEST(next_is_no_later_than_what_waits_in_a_bucket_that_was_entered)
{
	struct probe early, late;

	wheel_start(0, 0);
	arm(&early, 300000);
	advance(299000, MANY);
	arm(&late, 305000);
	ck_assert_int_le(apus_wheel_next_ns(&wheel), 300000);
	settle(300000, MANY);
	ck_assert_uint_eq(early.fired, 1);
	ck_assert_uint_eq(late.fired, 0);
	ck_assert_int_le(apus_wheel_next_ns(&wheel), 305000);
}
END_TEST

/* An advance that ran out of budget is to be repeated at once, not slept upon. */
START_TEST(next_is_at_once_while_work_is_left)
{
	struct probe probes[10];

	wheel_start(0, 0);
	for (int i = 0; i < 10; i++)
		arm(&probes[i], 5000);
	advance(5000, 3);
	ck_assert_int_le(apus_wheel_next_ns(&wheel), 5000);
	settle(5000, 3);
	ck_assert_int_eq(apus_wheel_next_ns(&wheel), APUS_NEVER);
}
END_TEST

/* ---- init and deinit -------------------------------------------------------------------- */

START_TEST(a_resolution_that_is_none_is_refused)
{
	struct apus_wheel_config config = { -1, 0 };

	ck_assert_int_eq(apus_wheel_init(&wheel, &config, 0), -EINVAL);
	config.resolution_ns = (INT64_C(1) << 32) + 1;
	ck_assert_int_eq(apus_wheel_init(&wheel, &config, 0), -EINVAL);
	ck_assert_int_eq(apus_wheel_init(&wheel, NULL, 0), 0);
}
END_TEST

START_TEST(a_resolution_is_rounded_up_to_a_power_of_two)
{
	static const int64_t asked[] = { 0, 1, 2, 3, 1000, 1024, 1025, INT64_C(1) << 32 };
	static const int64_t got[] = { 4096, 1, 2, 4, 1024, 1024, 2048, INT64_C(1) << 32 };

	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		wheel_start(0, asked[i]);
		ck_assert_int_eq(wheel.bucket_mask_ns + 1, got[i]);
	}
}
END_TEST

START_TEST(deinit_disarms_what_is_pending)
{
	struct probe probes[4];

	wheel_start(0, 0);
	arm(&probes[0], 0);
	arm(&probes[1], 5000);
	arm(&probes[2], APUS_SEC);
	arm(&probes[3], 100 * YEAR);
	apus_wheel_deinit(&wheel);
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert(!apus_timer_is_armed(&probes[i].timer));
		apus_timer_disarm(&wheel, &probes[i].timer);
		ck_assert_uint_eq(probes[i].fired, 0);
	}
}
END_TEST

/* memory/timer of the targets. */
START_TEST(a_timer_is_forty_bytes)
{
	ck_assert_uint_le(sizeof(struct apus_timer), 40);
	ck_assert_uint_eq(offsetof(struct apus_timer, deadline_ns), 16);
}
END_TEST

/* ---- timers without an owner ---------------------------------------------------------------- */

static void unowned_start(uint32_t count)
{
	struct apus_wheel_config config = { 0, count };

	now_ns = 0;
	ck_assert_int_eq(apus_wheel_init(&wheel, &config, 0), 0);
}

static void count_up(struct apus_cx *cx, void *arg)
{
	ck_assert_ptr_null(cx);
	++*(int *)arg;
}

START_TEST(a_posted_callback_is_called_once_with_its_argument)
{
	int calls = 0;
	uint64_t handle;

	unowned_start(2);
	ck_assert_int_eq(apus_timer_post(&wheel, 3000, count_up, &calls, &handle), 0);
	ck_assert_uint_ne(handle, 0);
	settle(2999, MANY);
	ck_assert_int_eq(calls, 0);
	settle(3000, MANY);
	settle(9000, MANY);
	ck_assert_int_eq(calls, 1);
	apus_wheel_deinit(&wheel);
}
END_TEST

START_TEST(a_cancelled_post_is_not_called_and_cancels_once)
{
	int calls = 0;
	uint64_t handle;

	unowned_start(1);
	ck_assert_int_eq(apus_timer_post(&wheel, 3000, count_up, &calls, &handle), 0);
	ck_assert_int_eq(apus_timer_cancel(&wheel, handle), 0);
	ck_assert_int_eq(apus_timer_cancel(&wheel, handle), -ESTALE);
	ck_assert_uint_eq(apus_wheel_pending_count(&wheel), 0);
	settle(APUS_SEC, MANY);
	ck_assert_int_eq(calls, 0);
	apus_wheel_deinit(&wheel);
}
END_TEST

/* A stale handle never reaches the slot's new owner. */
START_TEST(a_stale_handle_cancels_nobody_else)
{
	int calls = 0;
	uint64_t old, new;

	unowned_start(1);
	ck_assert_int_eq(apus_timer_post(&wheel, 1000, count_up, &calls, &old), 0);
	settle(1000, MANY);
	ck_assert_int_eq(apus_timer_post(&wheel, 2000, count_up, &calls, &new), 0);
	ck_assert_uint_ne(old, new);
	ck_assert_int_eq(apus_timer_cancel(&wheel, old), -ESTALE);
	ck_assert_int_eq(apus_timer_cancel(&wheel, 0), -ESTALE);
	ck_assert_int_eq(apus_timer_cancel(&wheel, UINT64_MAX), -ESTALE);
	ck_assert_int_eq(apus_timer_cancel(&wheel, new + 1), -ESTALE);
	settle(2000, MANY);
	ck_assert_int_eq(calls, 2);
	apus_wheel_deinit(&wheel);
}
END_TEST

START_TEST(posting_to_full_slots_is_refused_and_harmless)
{
	int calls = 0;

	unowned_start(2);
	ck_assert_int_eq(apus_timer_post(&wheel, 1000, count_up, &calls, NULL), 0);
	ck_assert_int_eq(apus_timer_post(&wheel, 1000, count_up, &calls, NULL), 0);
	ck_assert_int_eq(apus_timer_post(&wheel, 1000, count_up, &calls, NULL), -ENOSPC);
	settle(1000, MANY);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(apus_timer_post(&wheel, 1000, count_up, &calls, NULL), 0);
	apus_wheel_deinit(&wheel);
	unowned_start(0);
	ck_assert_int_eq(apus_timer_post(&wheel, 1000, count_up, &calls, NULL), -ENOSPC);
	ck_assert_int_eq(apus_timer_cancel(&wheel, UINT64_C(1) << 32), -ESTALE);
	apus_wheel_deinit(&wheel);
}
END_TEST

static void post_again(struct apus_cx *cx, void *arg)
{
	count_up(cx, arg);
	ck_assert_int_eq(apus_timer_post(&wheel, now_ns + 1000, post_again, arg, NULL), 0);
}

START_TEST(what_is_called_may_post_into_its_own_slot)
{
	int calls = 0;

	unowned_start(1);
	ck_assert_int_eq(apus_timer_post(&wheel, 0, post_again, &calls, NULL), 0);
	for (int i = 0; i <= 10; i++)
		settle(i * 1000, MANY);
	ck_assert_int_eq(calls, 11);
	apus_wheel_deinit(&wheel);
}
END_TEST

TEST_MAIN("timer",
	a_timer_fires_at_its_deadline_and_not_a_nanosecond_before,
	a_level_edge_neither_fires_early_nor_loses,
	every_deadline_is_met_by_a_loop_that_spins,
	every_deadline_is_met_on_time_by_a_loop_that_parks,
	a_loop_that_parks_until_next_ns_is_never_late,
	ten_years_and_a_century_are_not_clamped,
	the_ends_of_time_are_deadlines_too,
	time_below_zero_is_time,
	time_that_goes_backwards_fires_nothing_early_and_loses_nothing,
	timers_fire_by_deadline_and_ties_by_arming,
	ties_keep_arming_order_while_a_cascade_is_half_done,
	timers_that_left_the_due_list_do_not_fill_it,
	an_hour_in_one_jump_is_few_and_bounded_turns,
	an_empty_hour_is_no_work,
	a_million_equal_deadlines_fire_a_budget_at_a_time,
	a_crowd_in_the_current_bucket_is_neither_early_nor_lost,
	a_crowd_in_the_current_bucket_is_not_late,
	no_budget_is_no_step,
	an_idle_turn_with_a_million_far_timers_is_no_step,
	the_work_for_a_timer_is_the_same_beside_a_million,
	emptied_buckets_are_cleared_a_budget_at_a_time,
	ten_million_timeouts_that_were_won_leave_the_wheel_empty,
	a_disarmed_timer_does_not_fire_and_may_be_disarmed_again,
	arming_again_moves_the_deadline_both_ways,
	a_timer_can_be_disarmed_wherever_it_waits,
	a_zero_delay_rearmed_in_its_callback_fires_once_an_advance,
	zero_delays_rearmed_do_not_starve_others,
	a_period_rearmed_in_its_callback_does_not_drift,
	a_callback_can_disarm_a_sibling_of_its_batch,
	a_callback_can_arm_others_near_and_far,
	a_callback_may_free_its_timer,
	an_advance_within_an_advance_panics,
	next_is_never_when_nothing_is_pending,
	next_is_exact_for_the_one_armed_as_the_earliest,
	next_is_exact_in_the_current_bucket,
	next_is_no_later_than_what_waits_in_a_bucket_that_was_entered,
	next_is_at_once_while_work_is_left,
	a_resolution_that_is_none_is_refused,
	a_resolution_is_rounded_up_to_a_power_of_two,
	deinit_disarms_what_is_pending,
	a_timer_is_forty_bytes,
	a_posted_callback_is_called_once_with_its_argument,
	a_cancelled_post_is_not_called_and_cancels_once,
	a_stale_handle_cancels_nobody_else,
	posting_to_full_slots_is_refused_and_harmless,
	what_is_called_may_post_into_its_own_slot)
