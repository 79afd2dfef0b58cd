/*
 * The wheel against a table that is searched: random arming, re-arming, disarming, budgets
 * and jumps of time, also from within callbacks.  After every step: nothing fired early,
 * twice or in a wrong order, nothing that was due is left, and next_ns is no later than the
 * earliest deadline (promises 1 and 2; P2, P20, S2).
 */
#include "apus/timer.h"
#include "test.h"

enum { TIMER_COUNT = 160, STEPS = 3000, ROUNDS = 60 };

/* check's own assertions write a record each: too dear for some ten million of them. */
#define MUST(claim)                                          \
	do {                                                 \
		if (!(claim))                                \
			ck_abort_msg("broken: %s", #claim);  \
	} while (0)

struct twin {
	struct apus_timer timer;
	bool is_armed;
	int64_t deadline_ns;
	uint64_t order;       /* of arming */
	uint64_t since;       /* the advance in or before which it was armed */
	int64_t bucket;       /* in which it waits, once an advance has seen it */
};

static struct apus_wheel wheel;
static struct twin twins[TIMER_COUNT];
static struct test_random rng;
static uint64_t arm_count, advance_count, fired_count, armed_count;
static int64_t now_ns, floor_ns;
static uint32_t budget, fired_in_advance;
static bool is_advancing, is_exact;

static int64_t bucket_of(int64_t ns)
{
	return ns >> wheel.shift;
}

/* ---- the twin ---------------------------------------------------------- */

/* Of any magnitude alike. */
static int64_t random_span(void)
{
	uint64_t bits = 1 + test_random_below(&rng, 62);

	return (int64_t)(test_random_next(&rng) >> (64 - bits));
}

static int64_t random_deadline(void)
{
	int64_t edge;

	switch (test_random_below(&rng, 10)) {
	case 0: /* past, or now */
		return now_ns - (int64_t)test_random_below(&rng, 5000);
	case 1: /* around the edge of a level */
		edge = INT64_C(1) << (wheel.shift + test_random_below(&rng, 63 - wheel.shift));
		edge = apus_ns_add((now_ns / edge) * edge, edge);
		return edge - 1 + (int64_t)test_random_below(&rng, edge == APUS_NEVER ? 2 : 3);
	case 2: /* as another one */
		return twins[test_random_below(&rng, TIMER_COUNT)].deadline_ns;
	case 3: /* anything at all */
		return (int64_t)test_random_next(&rng);
	case 4: /* the current bucket */
		return apus_ns_add(now_ns, (int64_t)test_random_below(&rng, UINT64_C(1) << wheel.shift));
	default:
		return apus_ns_add(now_ns, random_span());
	}
}

static void twin_arm(struct twin *twin, int64_t deadline_ns)
{
	apus_timer_arm(&wheel, &twin->timer, deadline_ns);
	armed_count += !twin->is_armed;
	twin->is_armed = true;
	twin->deadline_ns = deadline_ns;
	twin->order = arm_count++;
	twin->since = advance_count;
	twin->bucket = INT64_MIN;
}

static void twin_disarm(struct twin *twin)
{
	apus_timer_disarm(&wheel, &twin->timer);
	armed_count -= twin->is_armed;
	twin->is_armed = false;
}

static struct twin *random_twin(void)
{
	return &twins[test_random_below(&rng, TIMER_COUNT)];
}

static void arm_one(void)
{
	struct twin *twin = random_twin();

	twin_arm(twin, random_deadline());
}

static bool is_before(const struct twin *a, const struct twin *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->order < b->order;
}

/* What was armed in this advance with a passed deadline has to wait for the next. */
static bool is_next_turns(const struct twin *twin)
{
	return twin->since == advance_count && twin->deadline_ns <= floor_ns;
}

static void check_order(const struct twin *fired)
{
	for (unsigned i = 0; i < TIMER_COUNT; i++) {
		const struct twin *other = &twins[i];

		if (!other->is_armed || other == fired || is_next_turns(other))
			continue;
		if (is_exact)
			MUST(!is_before(other, fired));
		else if (other->bucket != INT64_MIN && fired->bucket != INT64_MIN)
			MUST(other->bucket >= fired->bucket || !is_before(other, fired));
	}
}

static void act_in_callback(struct twin *self)
{
	switch (test_random_below(&rng, 6)) {
	case 0:
		twin_arm(self, now_ns - (int64_t)test_random_below(&rng, 2));
		break;
	case 1:
		twin_arm(self, random_deadline());
		break;
	case 2:
		arm_one();
		break;
	case 3:
		twin_disarm(random_twin());
		break;
	}
}

static void on_fire(struct apus_cx *cx, struct apus_timer *timer)
{
	struct twin *twin = apus_container_of(timer, struct twin, timer);

	MUST(cx == NULL);
	MUST(is_advancing);
	MUST(twin->is_armed);
	MUST(!apus_timer_is_armed(timer));
	MUST(twin->deadline_ns <= now_ns);
	MUST(!is_next_turns(twin));
	check_order(twin);
	twin->is_armed = false;
	armed_count--;
	fired_count++;
	fired_in_advance++;
	act_in_callback(twin);
}

/* ---- steps ---------------------------------------------------------------- */

static int64_t earliest_ns(void)
{
	int64_t earliest = APUS_NEVER;

	for (unsigned i = 0; i < TIMER_COUNT; i++) {
		if (twins[i].is_armed && twins[i].deadline_ns < earliest)
			earliest = twins[i].deadline_ns;
	}
	return earliest;
}

static void check_rest(void)
{
	MUST(apus_wheel_pending_count(&wheel) == armed_count);
	MUST(apus_wheel_fired_count(&wheel) == fired_count);
	for (unsigned i = 0; i < TIMER_COUNT; i++)
		MUST(apus_timer_is_armed(&twins[i].timer) == twins[i].is_armed);
}

static void check_next(void)
{
	int64_t next_ns = apus_wheel_next_ns(&wheel);

	MUST(next_ns <= earliest_ns() || next_ns == INT64_MIN / 2);
	if (armed_count == 0)
		MUST(next_ns == APUS_NEVER);
}

static void advance(uint32_t steps_max)
{
	uint32_t work;

	budget = steps_max;
	advance_count++;
	fired_in_advance = 0;
	floor_ns = now_ns > wheel.floor_ns ? now_ns | wheel.bucket_mask_ns : wheel.floor_ns;
	is_exact = is_exact && armed_count <= budget;
	for (unsigned i = 0; i < TIMER_COUNT; i++) {
		int64_t bucket = bucket_of(twins[i].deadline_ns);

		if (twins[i].is_armed && twins[i].bucket == INT64_MIN)
			twins[i].bucket = bucket > bucket_of(wheel.elapsed_ns) ? bucket :
				bucket_of(wheel.elapsed_ns);
	}
	is_advancing = true;
	work = apus_wheel_advance(&wheel, NULL, now_ns, budget);
	is_advancing = false;
	MUST(work <= budget);
	MUST(work >= fired_in_advance);
}

/* Until all that is due has fired; from then on order is exact again. */
static void catch_up(void)
{
	unsigned turns = 0;

	while (earliest_ns() <= now_ns) {
		advance(TIMER_COUNT * 64);
		MUST(turns++ < 1000);
	}
	advance(TIMER_COUNT * 64);
	is_exact = true;
	if (earliest_ns() > now_ns && bucket_of(earliest_ns()) == bucket_of(now_ns))
		MUST(apus_wheel_next_ns(&wheel) == earliest_ns());
}

static void pass_time(void)
{
	int64_t next_ns;

	switch (test_random_below(&rng, 6)) {
	case 0:
		now_ns = apus_ns_add(now_ns, random_span());
		break;
	case 1:
		next_ns = apus_wheel_next_ns(&wheel);
		if (next_ns > now_ns)
			now_ns = next_ns;
		break;
	case 2:
		next_ns = earliest_ns();
		if (next_ns > now_ns)
			now_ns = next_ns - (int64_t)test_random_below(&rng, 2);
		break;
	default:
		now_ns = apus_ns_add(now_ns, (int64_t)test_random_below(&rng, 3000));
	}
	if (now_ns == APUS_NEVER) /* so that a search that finds nothing is no match */
		now_ns--;
}

static void step(void)
{
	switch (test_random_below(&rng, 12)) {
	case 0: case 1: case 2: case 3: case 4:
		arm_one();
		break;
	case 5:
		twin_disarm(random_twin());
		break;
	case 6: case 7: case 8:
		pass_time();
		advance(1 + (uint32_t)test_random_below(&rng, 12));
		break;
	case 9:
		pass_time();
		advance(TIMER_COUNT * 64);
		break;
	case 10:
		catch_up();
		break;
	case 11:
		check_next();
		break;
	}
}

static void round_begin(void)
{
	struct apus_wheel_config config = { 0, 0 };

	config.resolution_ns = INT64_C(1) << test_random_below(&rng, 21);
	now_ns = random_span();
	ck_assert_int_eq(apus_wheel_init(&wheel, &config, now_ns), 0);
	arm_count = advance_count = fired_count = armed_count = 0;
	is_exact = true;
	for (unsigned i = 0; i < TIMER_COUNT; i++) {
		memset(&twins[i], 0, sizeof twins[i]);
		apus_timer_init(&twins[i].timer, on_fire);
	}
}

START_TEST(wheel_does_what_a_searched_table_does)
{
	rng = test_random_init(test_seed());
	for (unsigned round = 0; round < ROUNDS; round++) {
		round_begin();
		for (unsigned i = 0; i < STEPS; i++) {
			step();
			check_rest();
		}
		apus_wheel_deinit(&wheel);
	}
}
END_TEST

TEST_MAIN("timer", wheel_does_what_a_searched_table_does)
