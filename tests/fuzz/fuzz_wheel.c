/*
 * The wheel against a sorted list: arming, re-arming, disarming, budgets and jumps of time,
 * also from within callbacks.  Nothing fires early, twice, in a wrong order or not at all
 * (promises 1 and 2).
 */
#include "apus/timer.h"
#include "fuzz.h"

const char *const fuzz_name = "wheel";

enum { TIMERS = 16, PLENTY = TIMERS * 64 };

struct twin {
	struct apus_timer timer;
	bool is_armed;
	int64_t deadline_ns;
	uint64_t since;  /* the advance in or before which it was armed */
	int64_t bucket;  /* in which it waits, once an advance has seen it; else INT64_MIN */
};

struct run {
	struct apus_wheel wheel;
	struct twin twins[TIMERS];
	struct twin *list[TIMERS]; /* what is armed, by deadline, then by arming */
	unsigned list_count;
	struct fuzz_program program;
	int64_t now_ns, floor_ns;
	uint64_t advances, fired;
	bool is_advancing, is_exact;
};

static struct run run;

/* ---- the list ----------------------------------------------------------------------- */

static void list_remove(struct twin *twin)
{
	unsigned i;

	for (i = 0; run.list[i] != twin; i++)
		;
	run.list_count--;
	memmove(&run.list[i], &run.list[i + 1], (run.list_count - i) * sizeof run.list[0]);
	twin->is_armed = false;
}

static void list_insert(struct twin *twin)
{
	unsigned i = run.list_count++;

	for (; i > 0 && run.list[i - 1]->deadline_ns > twin->deadline_ns; i--)
		run.list[i] = run.list[i - 1];
	run.list[i] = twin;
	twin->is_armed = true;
}

/* ---- deeds -------------------------------------------------------------------------- */

static struct twin *some_twin(void)
{
	return &run.twins[fuzz_below(&run.program, TIMERS)];
}

static int64_t some_deadline(void)
{
	int64_t span;

	switch (fuzz_below(&run.program, 6)) {
	case 0: /* anything at all */
		return (int64_t)fuzz_number(&run.program, 8);
	case 1: /* past, or now */
		return run.now_ns - (int64_t)fuzz_number(&run.program, 2);
	case 2: /* as another one */
		return some_twin()->deadline_ns;
	case 3: /* around the edge of a level, counted from 0 */
		span = INT64_C(1) << fuzz_below(&run.program, 63);
		return apus_ns_add(run.now_ns / span * span, span) - fuzz_below(&run.program, 2);
	case 4: /* soon */
		return apus_ns_add(run.now_ns, (int64_t)fuzz_number(&run.program, 2));
	default:
		return apus_ns_add(run.now_ns, fuzz_span(&run.program));
	}
}

static void arm(struct twin *twin, int64_t deadline_ns)
{
	if (twin->is_armed)
		list_remove(twin);
	apus_timer_arm(&run.wheel, &twin->timer, deadline_ns);
	twin->deadline_ns = deadline_ns;
	twin->since = run.advances;
	twin->bucket = INT64_MIN;
	list_insert(twin);
}

static void disarm(struct twin *twin)
{
	apus_timer_disarm(&run.wheel, &twin->timer);
	if (twin->is_armed)
		list_remove(twin);
}

/* ---- firing --------------------------------------------------------------------------- */

/* What was armed in this advance with a passed deadline has to wait for the next. */
static bool is_next_turns(const struct twin *twin)
{
	return twin->since == run.advances && twin->deadline_ns <= run.floor_ns;
}

/* Those in front of it in the list wait for the next turn, or for a budget in another bucket. */
static void check_order(const struct twin *fired)
{
	for (unsigned i = 0; run.list[i] != fired; i++) {
		const struct twin *other = run.list[i];

		if (is_next_turns(other))
			continue;
		FUZZ_MUST(!run.is_exact);
		if (other->bucket != INT64_MIN && fired->bucket != INT64_MIN)
			FUZZ_MUST(other->bucket >= fired->bucket);
	}
}

static void on_fire(struct apus_cx *cx, struct apus_timer *timer)
{
	struct twin *twin = apus_container_of(timer, struct twin, timer);

	FUZZ_MUST(cx == NULL && run.is_advancing && twin->is_armed);
	FUZZ_MUST(!apus_timer_is_armed(timer));
	FUZZ_MUST(twin->deadline_ns <= run.now_ns && !is_next_turns(twin));
	check_order(twin);
	list_remove(twin);
	run.fired++;
	switch (fuzz_below(&run.program, 8)) {
	case 1:
		arm(twin, some_deadline());
		break;
	case 2:
		arm(some_twin(), some_deadline());
		break;
	case 3:
		disarm(some_twin());
		break;
	}
}

/* ---- advancing ------------------------------------------------------------------------ */

static void see_buckets(void)
{
	int64_t elapsed = run.wheel.elapsed_ns >> run.wheel.shift, bucket;

	for (unsigned i = 0; i < run.list_count; i++) {
		bucket = run.list[i]->deadline_ns >> run.wheel.shift;
		if (run.list[i]->bucket == INT64_MIN)
			run.list[i]->bucket = bucket > elapsed ? bucket : elapsed;
	}
}

static void advance(uint32_t budget)
{
	uint64_t before = run.fired;
	uint32_t work;

	run.advances++;
	run.floor_ns = run.now_ns > run.wheel.floor_ns ? run.now_ns | run.wheel.bucket_mask_ns :
							 run.wheel.floor_ns;
	run.is_exact = run.is_exact && run.list_count <= budget;
	see_buckets();
	run.is_advancing = true;
	work = apus_wheel_advance(&run.wheel, NULL, run.now_ns, budget);
	run.is_advancing = false;
	FUZZ_MUST(work <= budget && work >= run.fired - before);
}

static bool something_is_due(void)
{
	return run.list_count > 0 && run.list[0]->deadline_ns <= run.now_ns;
}

/* Until all that is due has fired; callbacks may arm more for the next turn, but not for ever. */
static void catch_up(void)
{
	unsigned turns = 0;

	do {
		advance(PLENTY);
		FUZZ_MUST(turns++ < FUZZ_BYTES_MAX + TIMERS);
	} while (something_is_due());
	advance(PLENTY);
	run.is_exact = true;
}

static void pass_time(int64_t ns)
{
	run.now_ns = apus_ns_add(run.now_ns, ns);
	if (run.now_ns == APUS_NEVER)
		run.now_ns--;
}

static void pass_time_to_the_next(void)
{
	int64_t next_ns = apus_wheel_next_ns(&run.wheel);

	if (next_ns > run.now_ns && next_ns != APUS_NEVER)
		run.now_ns = next_ns;
}

/* ---- what must hold ---------------------------------------------------------------------- */

static void check(void)
{
	int64_t next_ns = apus_wheel_next_ns(&run.wheel);

	FUZZ_MUST(apus_wheel_pending_count(&run.wheel) == run.list_count);
	FUZZ_MUST(apus_wheel_fired_count(&run.wheel) == run.fired);
	for (unsigned i = 0; i < TIMERS; i++)
		FUZZ_MUST(apus_timer_is_armed(&run.twins[i].timer) == run.twins[i].is_armed);
	if (run.list_count == 0)
		FUZZ_MUST(next_ns == APUS_NEVER);
	else
		FUZZ_MUST(next_ns <= run.list[0]->deadline_ns || next_ns == INT64_MIN / 2);
}

static void step(void)
{
	switch (fuzz_below(&run.program, 10)) {
	case 0: case 1: case 2:
		arm(some_twin(), some_deadline());
		break;
	case 3:
		disarm(some_twin());
		break;
	case 4:
		pass_time((int64_t)fuzz_number(&run.program, 2));
		advance(1 + fuzz_below(&run.program, 12));
		break;
	case 5:
		pass_time(fuzz_span(&run.program));
		advance(1 + fuzz_below(&run.program, 12));
		break;
	case 6:
		pass_time_to_the_next();
		advance(PLENTY);
		break;
	case 7:
		pass_time(fuzz_span(&run.program));
		catch_up();
		break;
	case 8:
		advance(1);
		break;
	case 9:
		catch_up();
		break;
	}
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct apus_wheel_config config = { 0, 0 };

	memset(&run, 0, sizeof run);
	run.program = (struct fuzz_program){ data, size };
	run.is_exact = true;
	config.resolution_ns = INT64_C(1) << fuzz_below(&run.program, 33);
	run.now_ns = fuzz_span(&run.program);
	FUZZ_MUST(apus_wheel_init(&run.wheel, &config, run.now_ns) == 0);
	for (unsigned i = 0; i < TIMERS; i++)
		apus_timer_init(&run.twins[i].timer, on_fire);
	while (fuzz_has_more(&run.program))
		step();
	/* At the end of days everything fires that can. */
	run.now_ns = APUS_NEVER - 1;
	catch_up();
	FUZZ_MUST(!something_is_due());
	apus_wheel_deinit(&run.wheel);
	return 0;
}
