/*
 * Question   what does a time-out cost, alone and beside a crowd of far ones?
 * Unit       arm_disarm: ns a pair; 1 - 250 ms ahead.
 *            arm_fire: ns a timer, armed within the next millisecond and fired, 1000 at
 *            a time; the wait in between is not counted.
 *            turn_with_pending: ns a turn of a loop in which nothing is due.
 *            worst_turn: ns of the longest turn while 10^6 timers on one instant fire, each
 *            turn the shortest of three runs: the longest of two thousand turns would else
 *            be the machine's longest hiccup, and not the wheel's longest turn.
 * Rival      rivals/limit_timer.c; libev; for worst_turn 1024 of our own arm_fire, for
 *            turn_with_pending our own turn with no timer pending.
 * Not shown  the cascade of the far ones (an hour away); a wheel colder than the cache.
 */
#include "bench_timer.h"

#include "bench_loop.h"

#include <string.h>

/* A million timers are not armed in no time. */
#define TIMER_REPEAT 3

BENCH_ROW(arm_disarm_0, .name = "timer/arm_disarm/0", .unit = "ns", .batch = TIMER_BATCH);
BENCH_ROW(arm_disarm_10k, .name = "timer/arm_disarm/10k", .unit = "ns", .batch = TIMER_BATCH);
BENCH_ROW(arm_disarm_1m, .name = "timer/arm_disarm/1M", .unit = "ns", .batch = TIMER_BATCH,
	.repeat_max = TIMER_REPEAT);
BENCH_ROW(arm_disarm_10m, .name = "timer/arm_disarm/10M", .unit = "ns", .batch = TIMER_BATCH,
	.repeat_max = TIMER_REPEAT);
BENCH_ROW(arm_fire_0, .name = "timer/arm_fire/0", .unit = "ns", .batch = TIMER_BATCH,
	.against = "libev");
BENCH_ROW(arm_fire_10k, .name = "timer/arm_fire/10k", .unit = "ns", .batch = TIMER_BATCH,
	.against = "libev");
BENCH_ROW(arm_fire_1m, .name = "timer/arm_fire/1M", .unit = "ns", .batch = TIMER_BATCH,
	.repeat_max = TIMER_REPEAT, .against = "libev");
BENCH_ROW(arm_fire_10m, .name = "timer/arm_fire/10M", .unit = "ns", .batch = TIMER_BATCH,
	.repeat_max = TIMER_REPEAT, .against = "libev");
BENCH_ROW(turn_with_pending_10k, .name = "timer/turn_with_pending/10k", .unit = "ns",
	.batch = 1000);
BENCH_ROW(turn_with_pending_1m, .name = "timer/turn_with_pending/1M", .unit = "ns",
	.batch = 1000);
BENCH_ROW(worst_turn_1m, .name = "timer/worst_turn/1M", .unit = "ns", .batch = 1,
	.repeat_max = TIMER_REPEAT);

struct crowd {
	struct apus_wheel wheel;
	struct apus_timer *timers;
	size_t bytes;
	int64_t now_ns;
};

static void on_timer(struct apus_cx *cx, struct apus_timer *timer)
{
	(void)cx;
	(void)timer;
}

/* `count` far ones, then `more` that are not armed; the latter are returned. */
static struct apus_timer *crowd_open(struct bench *b, struct crowd *crowd, size_t count,
	size_t more)
{
	uint64_t state = BENCH_SEED;
	int err;

	crowd->now_ns = TIMER_HOUR;
	crowd->bytes = (count + more) * sizeof *crowd->timers;
	crowd->timers = bench_pages(b, crowd->bytes);
	if (crowd->timers == NULL)
		return NULL;
	err = apus_wheel_init(&crowd->wheel, NULL, crowd->now_ns);
	if (err != 0) {
		bench_fail(b, "apus_wheel_init: %s", strerror(-err));
		bench_pages_free(crowd->timers, crowd->bytes);
		return NULL;
	}
	for (size_t i = 0; i < count + more; i++)
		apus_timer_init(&crowd->timers[i], on_timer);
	for (size_t i = 0; i < count; i++)
		apus_timer_arm(&crowd->wheel, &crowd->timers[i],
			crowd->now_ns + timer_delay_far(&state));
	return &crowd->timers[count];
}

static void crowd_close(struct bench *b, struct crowd *crowd, size_t count)
{
	uint64_t pending = apus_wheel_pending_count(&crowd->wheel);

	if (pending != count)
		bench_fail(b, "%llu timers pending, not %zu", (unsigned long long)pending, count);
	apus_wheel_deinit(&crowd->wheel);
	bench_pages_free(crowd->timers, crowd->bytes);
}

static void arm_disarm(struct bench *b)
{
	static struct crowd crowd;
	size_t count = (size_t)b->arg;
	struct apus_timer *timer = crowd_open(b, &crowd, count, 1);
	int64_t delays[TIMER_DELAYS];

	if (timer == NULL)
		return;
	timer_delays_near(delays);
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			apus_timer_arm(&crowd.wheel, timer, crowd.now_ns + delays[i % TIMER_DELAYS]);
			bench_use(timer);
			apus_timer_disarm(&crowd.wheel, timer);
			bench_use(&crowd.wheel);
		}
		bench_sample(b, b->batch);
	}
	crowd_close(b, &crowd, count);
}
BENCH_ENTRANT(arm_disarm_0_apus, .row = "timer/arm_disarm/0", .who = "apus",
	.run = arm_disarm, .arg = 0);
BENCH_ENTRANT(arm_disarm_10k_apus, .row = "timer/arm_disarm/10k", .who = "apus",
	.run = arm_disarm, .arg = 10000);
BENCH_ENTRANT(arm_disarm_1m_apus, .row = "timer/arm_disarm/1M", .who = "apus",
	.run = arm_disarm, .arg = 1000000);
BENCH_ENTRANT(arm_disarm_10m_apus, .row = "timer/arm_disarm/10M", .who = "apus",
	.run = arm_disarm, .arg = 10000000);

static void arm_batch(struct crowd *crowd, struct apus_timer *timers, uint32_t count,
	const int64_t *delays)
{
	for (uint32_t i = 0; i < count; i++)
		apus_timer_arm(&crowd->wheel, &timers[i], crowd->now_ns + delays[i]);
}

/* The clock is ours: a millisecond later everything of the batch is due. */
static void fire_batch(struct crowd *crowd)
{
	crowd->now_ns += TIMER_MS;
	while (apus_wheel_advance(&crowd->wheel, NULL, crowd->now_ns, TIMER_BUDGET) == TIMER_BUDGET)
		;
}

static void arm_fire(struct bench *b)
{
	static struct crowd crowd;
	size_t count = (size_t)b->arg;
	struct apus_timer *timers = crowd_open(b, &crowd, count, TIMER_BATCH);
	int64_t delays[TIMER_DELAYS];

	if (timers == NULL)
		return;
	timer_delays_soon(delays);
	while (bench_more(b)) {
		arm_batch(&crowd, timers, TIMER_BATCH, delays);
		/* Where libev waits; the stamps are the same for both. */
		bench_pause(b);
		bench_resume(b);
		fire_batch(&crowd);
		bench_sample(b, TIMER_BATCH);
	}
	crowd_close(b, &crowd, count);
}
BENCH_ENTRANT(arm_fire_0_apus, .row = "timer/arm_fire/0", .who = "apus", .run = arm_fire,
	.arg = 0);
BENCH_ENTRANT(arm_fire_10k_apus, .row = "timer/arm_fire/10k", .who = "apus", .run = arm_fire,
	.arg = 10000);
BENCH_ENTRANT(arm_fire_1m_apus, .row = "timer/arm_fire/1M", .who = "apus", .run = arm_fire,
	.arg = 1000000);
BENCH_ENTRANT(arm_fire_10m_apus, .row = "timer/arm_fire/10M", .who = "apus", .run = arm_fire,
	.arg = 10000000);

/* What a turn's budget of timers costs where nothing else is pending: the ceiling's unit. */
static void budget_of_arm_fire(struct bench *b)
{
	static struct crowd crowd;
	struct apus_timer *timers = crowd_open(b, &crowd, 0, TIMER_BUDGET);
	int64_t delays[TIMER_DELAYS];

	if (timers == NULL)
		return;
	timer_delays_soon(delays);
	while (bench_more(b)) {
		arm_batch(&crowd, timers, TIMER_BUDGET, delays);
		fire_batch(&crowd);
		bench_sample(b, 1);
	}
	crowd_close(b, &crowd, 0);
}
BENCH_ENTRANT(worst_turn_1m_limit, .row = "timer/worst_turn/1M", .who = "limit",
	.run = budget_of_arm_fire);

enum { WORST_RUNS = 3, WORST_TURNS = 4096 };

/* The same turn of each run does the same work: what is longer in one was interrupted. */
static size_t advance_all(struct crowd *crowd, uint64_t *turns)
{
	size_t count = 0;

	crowd->now_ns += TIMER_MS;
	while (apus_wheel_pending_count(&crowd->wheel) != 0 && count < WORST_TURNS) {
		uint64_t start = bench_ticks_begin();

		apus_wheel_advance(&crowd->wheel, NULL, crowd->now_ns, TIMER_BUDGET);
		start = bench_ticks_end() - start;
		turns[count] = start < turns[count] ? start : turns[count];
		count++;
	}
	return count;
}

static uint64_t longest_turn(struct crowd *crowd, struct apus_timer *timers, size_t timer_count)
{
	static uint64_t turns[WORST_TURNS];
	uint64_t longest = 0;
	size_t count = 0;

	memset(turns, 0xff, sizeof turns);
	for (int run = 0; run < WORST_RUNS; run++) {
		for (size_t i = 0; i < timer_count; i++)
			apus_timer_arm(&crowd->wheel, &timers[i], crowd->now_ns + TIMER_MS);
		count = advance_all(crowd, turns);
	}
	for (size_t i = 0; i < count; i++)
		longest = turns[i] > longest ? turns[i] : longest;
	return longest;
}

static void worst_turn(struct bench *b)
{
	static struct crowd crowd;
	size_t count = (size_t)b->arg;
	struct apus_timer *timers = crowd_open(b, &crowd, 0, count);

	if (timers == NULL)
		return;
	while (!bench_stopping(b))
		bench_value(b, bench_ns(b, longest_turn(&crowd, timers, count)));
	crowd_close(b, &crowd, 0);
}
BENCH_ENTRANT(worst_turn_1m_apus, .row = "timer/worst_turn/1M", .who = "apus",
	.run = worst_turn, .arg = 1000000);

/* ---- a turn in which nothing is due -------------------------------------------- */

static void far_arm(struct apus_loop *loop, struct apus_timer *timers, size_t count)
{
	struct apus_wheel *wheel = apus_loop_cx(loop)->wheel;
	int64_t now_ns = apus_clock_now(loop);
	uint64_t state = BENCH_SEED;

	for (size_t i = 0; i < count; i++) {
		apus_timer_init(&timers[i], on_timer);
		apus_timer_arm(wheel, &timers[i], now_ns + timer_delay_far(&state));
	}
}

static void turn_with_pending(struct bench *b)
{
	size_t count = (size_t)b->arg;
	struct apus_timer *timers = bench_pages(b, (count + 1) * sizeof *timers);
	struct apus_config config;
	struct apus_loop *loop;

	if (timers == NULL)
		return;
	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop != NULL) {
		far_arm(loop, timers, count);
		loop_turns(b, loop);
		for (size_t i = 0; i < count; i++)
			apus_timer_disarm(apus_loop_cx(loop)->wheel, &timers[i]);
		loop_close(b, loop);
	}
	bench_pages_free(timers, (count + 1) * sizeof *timers);
}
BENCH_ENTRANT(turn_with_10k_apus, .row = "timer/turn_with_pending/10k", .who = "apus",
	.run = turn_with_pending, .arg = 10000);
BENCH_ENTRANT(turn_with_1m_apus, .row = "timer/turn_with_pending/1M", .who = "apus",
	.run = turn_with_pending, .arg = 1000000);
/* Measured against itself: the turn with nothing pending. */
BENCH_ENTRANT(turn_with_10k_limit, .row = "timer/turn_with_pending/10k", .who = "limit",
	.run = turn_with_pending, .arg = 0);
BENCH_ENTRANT(turn_with_1m_limit, .row = "timer/turn_with_pending/1M", .who = "limit",
	.run = turn_with_pending, .arg = 0);
