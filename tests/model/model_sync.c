/*
 * Random operations on a notify, an event and a semaphore, against a naive twin: lists of who
 * came when.  Waiters give up (another arm wins) and are aborted while something is already
 * reserved for them; newcomers come while reservations are out; now and then the object goes.
 *
 * Between two looks a few operations are made, then the tasks run until nothing moves, and
 * the twin says who got what: S5, promises 3 and 11.
 */
#include "apus/sync.h"
#include "loop_test.h"

enum { STEPS = 20000, WAITERS_MAX = 20, OPERATIONS_MAX = 8, SETTLE_TURNS = 6 };

enum kind { NOTIFY, EVENT, SEMAPHORE, KINDS };

/* What became of a waiter; values >= 0 and -EPIPE are what its wait answered. */
enum { WAITS = 1000, GAVE_UP, ABORTED };

/* What the twin expects of a waiter before anybody has run. */
enum promise { NOTHING, ONE, ALL };

struct waiter {
	struct flag poke; /* makes it give up */
	struct apus_join join;
	enum promise promise;
	bool has_come; /* its task has run, so it is in the queue */
	bool poked, broken;
	int64_t outcome; /* written by its task */
};

struct model {
	struct apus_loop *loop;
	struct test_random random;
	struct apus_notify notify;
	struct apus_event event;
	struct apus_semaphore semaphore;

	/* the twin: waiters in the order they came */
	struct waiter *line[WAITERS_MAX];
	unsigned count;
	uint64_t permits;
	bool is_stored, is_set, came, is_over;
	enum kind kind;
	bool is_pestered; /* by spurious_seed */
	unsigned outcomes[3]; /* how often 0, -EPIPE, gave up: a model of nothing shows nothing */
};

static unsigned draw(struct model *model, unsigned bound)
{
	return (unsigned)test_random_below(&model->random, bound);
}

/* ---- the tasks ------------------------------------------------------------------------ */

struct wait_state {
	struct apus_frame frame;
	struct model *model;
	struct waiter *waiter;
	apus_poll which, value;
};

static apus_poll await_kind(struct apus_cx *cx, struct model *model)
{
	switch (model->kind) {
	case NOTIFY:
		return apus_notified(cx, &model->notify);
	case EVENT:
		return apus_event_wait(cx, &model->event);
	default:
		return apus_semaphore_acquire(cx, &model->semaphore);
	}
}

APUS_TASK(waiting, struct wait_state)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, flag_up(cx, &self->waiter->poke),
		await_kind(cx, self->model)));
	self->waiter->outcome = self->which == 0 ? GAVE_UP : self->value;
	APUS_END(0);
}

/* ---- operations, and what the twin thinks of them --------------------------------------- */

static void line_remove(struct model *model, unsigned at)
{
	free(model->line[at]);
	model->count--;
	memmove(&model->line[at], &model->line[at + 1],
		(model->count - at) * sizeof model->line[0]);
}

/* A notification for the first that has none; with nobody there it is kept, but only one. */
static void twin_notify(struct model *model, bool newcomers_too)
{
	unsigned i;

	for (i = 0; i < model->count; i++) {
		if (model->line[i]->promise != NOTHING ||
		    !(newcomers_too || model->line[i]->has_come))
			continue;
		model->line[i]->promise = ONE;
		return;
	}
	model->is_stored = true;
}

static void twin_promise_all(struct model *model)
{
	unsigned i;

	for (i = 0; i < model->count; i++)
		if (model->line[i]->has_come && model->line[i]->promise == NOTHING)
			model->line[i]->promise = ALL;
}

static void come(struct model *model)
{
	struct wait_state init = { .model = model };

	if (model->count == WAITERS_MAX)
		return;
	init.waiter = calloc(1, sizeof *init.waiter);
	init.waiter->outcome = WAITS;
	ck_assert_int_eq(apus_spawn_slab(model->loop, waiting, &init, &init.waiter->join), 0);
	model->line[model->count++] = init.waiter;
	model->came = true;
}

static void give_up(struct model *model)
{
	struct waiter *waiter;

	if (model->count == 0)
		return;
	waiter = model->line[draw(model, model->count)];
	flag_raise(&waiter->poke);
	waiter->poked = true;
}

static void abort_one(struct model *model)
{
	struct waiter *waiter;
	enum promise promise;
	unsigned at;

	if (model->count == 0)
		return;
	at = draw(model, model->count);
	waiter = model->line[at];
	promise = waiter->promise;
	ck_assert_int_eq(apus_abort(model->loop, waiter->join), 1);
	ck_assert_int_eq(apus_detach(model->loop, waiter->join), 0);
	line_remove(model, at);
	if (model->kind == NOTIFY && promise == ONE)
		twin_notify(model, false);
}

static void operate_notify(struct model *model)
{
	if (draw(model, 4) != 0) {
		apus_notify_one(&model->notify);
		twin_notify(model, false);
	} else {
		apus_notify_all(&model->notify);
		twin_promise_all(model);
	}
}

static void operate_event(struct model *model)
{
	ck_assert_int_eq(apus_event_is_set(&model->event), model->is_set);
	if (draw(model, 2)) {
		apus_event_set(&model->event);
		twin_promise_all(model);
		model->is_set = true;
	} else {
		apus_event_clear(&model->event);
		model->is_set = false;
	}
}

static void operate_semaphore(struct model *model)
{
	uint64_t more = draw(model, 4);
	int err;

	if (draw(model, 2)) {
		ck_assert_int_eq(apus_semaphore_release(&model->semaphore, more), 0);
		model->permits += more;
		return;
	}
	/* Newcomers of this batch have not run: they are not in front of anybody yet. */
	if (model->came)
		return;
	err = apus_semaphore_try_acquire(&model->semaphore);
	ck_assert_int_eq(err, model->permits != 0 && model->count == 0 ? 0 : -EAGAIN);
	model->permits -= err == 0;
}

/* The object goes, and with it all that was reserved; who has not come yet finds a new one. */
static void go(struct model *model)
{
	unsigned i;

	if (model->came)
		return;
	for (i = 0; i < model->count; i++)
		model->line[i]->broken = true;
	apus_notify_deinit(&model->notify);
	apus_event_deinit(&model->event);
	if (model->kind == SEMAPHORE && draw(model, 2))
		apus_semaphore_close(&model->semaphore);
	else
		apus_semaphore_deinit(&model->semaphore);
	model->is_over = true;
}

static void operate(struct model *model)
{
	static void (*const own[])(struct model *) = { operate_notify, operate_event,
		operate_semaphore };
	unsigned what = draw(model, 100);

	if (what < 55)
		own[model->kind](model);
	else if (what < 75)
		give_up(model);
	else if (what < 90)
		abort_one(model);
	else if (what < 98 && model->kind != NOTIFY) /* see step */
		come(model);
	else if (what == 99 && draw(model, 4) == 0)
		go(model);
}

/* ---- looking ------------------------------------------------------------------------------ */

/* What passes on when those who gave up have run. */
static void twin_pass_on(struct model *model)
{
	unsigned i, passed = 0;

	for (i = 0; i < model->count; i++) {
		passed += model->line[i]->poked && model->line[i]->promise == ONE;
		if (model->line[i]->poked)
			model->line[i]->promise = ALL; /* out of the way of what passes on */
	}
	while (passed-- != 0)
		twin_notify(model, true);
}

static int64_t twin_outcome(struct model *model, struct waiter *waiter)
{
	if (waiter->poked)
		return GAVE_UP;
	if (waiter->broken)
		return -EPIPE;
	if (waiter->promise != NOTHING)
		return 0;
	if (model->kind == EVENT)
		return model->is_set ? 0 : WAITS;
	if (model->kind == NOTIFY && model->is_stored) {
		model->is_stored = false;
		return 0;
	}
	if (model->kind == SEMAPHORE && model->permits != 0) {
		model->permits--;
		return 0;
	}
	return WAITS;
}

static void settle(struct model *model)
{
	unsigned i;

	turns(model->loop, SETTLE_TURNS);
	if (model->kind == NOTIFY && !model->is_over)
		twin_pass_on(model);
	for (i = 0; i < model->count;) {
		struct waiter *waiter = model->line[i];
		int64_t expected = twin_outcome(model, waiter);

		ck_assert_msg(waiter->outcome == expected, "kind %d, waiter %u of %u: %" PRId64
			", the twin says %" PRId64, (int)model->kind, i, model->count, waiter->outcome,
			expected);
		if (expected == WAITS) {
			waiter->has_come = true;
			i++;
			continue;
		}
		model->outcomes[expected == 0 ? 0 : expected == -EPIPE ? 1 : 2]++;
		ck_assert_int_eq(apus_try_join(model->loop, waiter->join, NULL), 0);
		line_remove(model, i);
	}
	model->came = false;
}

/* Another object, or the same kind anew. */
static void begin(struct model *model)
{
	memset(&model->notify, 0, sizeof model->notify);
	memset(&model->event, 0, sizeof model->event);
	model->permits = draw(model, 3);
	apus_semaphore_init(&model->semaphore, model->permits);
	model->is_stored = model->is_set = model->is_over = false;
	model->kind = (enum kind)draw(model, KINDS);
}

static void step(struct model *model)
{
	unsigned newcomers = draw(model, 4), operations = draw(model, OPERATIONS_MAX);

	while (newcomers-- > 0)
		come(model);
	settle(model);
	/*
	 * Notifications that nobody waits for are one, so how many newcomers get hangs on who runs
	 * first.  These do, as long as the loop wakes nobody for no reason.
	 */
	if (model->kind == NOTIFY && !model->is_pestered)
		for (newcomers = draw(model, 3); newcomers > 0; newcomers--)
			come(model);
	while (operations-- > 0 && !model->is_over)
		operate(model);
	settle(model);
	if (model->kind == SEMAPHORE && !model->is_over)
		ck_assert_uint_eq(apus_semaphore_available(&model->semaphore), model->permits);
	if (model->is_over) {
		ck_assert_uint_eq(model->count, 0);
		begin(model);
	}
}

START_TEST(everybody_gets_what_the_twin_says)
{
	struct model model = { .random = test_random_init(test_seed()) };
	struct apus_config config;
	int i;

	config_virtual(&config, 0);
	config.spurious_seed = APUS_DEBUG && draw(&model, 2) ? test_random_next(&model.random) : 0;
	model.is_pestered = config.spurious_seed != 0;
	model.loop = loop_open_with(&config);
	begin(&model);
	for (i = 0; i < STEPS; i++)
		step(&model);
	for (i = 0; i < 3; i++)
		ck_assert_uint_gt(model.outcomes[i], 20);
	loop_close(model.loop);
	while (model.count != 0)
		line_remove(&model, 0);
}
END_TEST

TEST_MAIN("sync", everybody_gets_what_the_twin_says)
