/*
 * Random programs of spawn, abort, cancel, join, detach, select, yield and sleep, against a
 * naive book of what each task has seen.  Checked at every step: no task is polled after its
 * abort or its end, each cleanup runs once, and joins answer what the book says.  Checked at
 * the end of a program: every slot, wait node, token and timer has come back.
 */
#include "loop_test.h"

enum { PROGRAMS = 150, STEPS = 400, TASKS = 24, GATES = 4, TOKENS = 4 };

/* The naive twin of one task: what happened to it, in plain words. */
struct fate {
	bool ended, aborted, cleaned, cleaning, detached, taken;
	int64_t result;
	struct apus_join join;
	unsigned polls;
};

static struct {
	struct fate fates[100000];
	unsigned count;
	struct sem gates[GATES];
	struct apus_token tokens[TOKENS];
	struct test_random random;
	struct apus_loop *loop;
} world;

static unsigned below(unsigned bound)
{
	return (unsigned)test_random_below(&world.random, bound);
}

struct actor {
	struct apus_frame frame;
	struct actor_sub {
		struct apus_frame frame;
		int gate;
	} sub;
	unsigned id, other;
	int left;
	int64_t got, value, result;
	int gate, token;
};

static void spawn_one(void);
static void act(void);

static void actor_cleanup(struct apus_cx *cx, struct actor *self)
{
	struct fate *fate = &world.fates[self->id];

	ck_assert_ptr_null(cx->task);
	ck_assert(!fate->cleaned);
	ck_assert(fate->aborted || fate->ended);
	fate->cleaned = fate->cleaning = true;
	if (below(8) == 0)
		spawn_one();
	if (below(4) == 0)
		act();
	fate->cleaning = false;
}

static apus_poll through_gate(struct apus_cx *cx, struct actor_sub *self)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(sem_take(cx, &world.gates[self->gate]));
	if (self->gate % 2)
		APUS_WAIT(apus_yield(cx));
	APUS_END(self->gate);
}

/* What a join may answer, and what it must, by the book. */
static void check_join(struct fate *fate, int64_t got, int64_t result)
{
	if (got == 0) {
		ck_assert(fate->ended && !fate->aborted && !fate->taken && !fate->detached);
		ck_assert_int_eq(result, fate->result);
		ck_assert(fate->cleaned);
		fate->taken = true;
	} else if (got == -ECANCELED) {
		ck_assert(fate->aborted && fate->cleaned && !fate->taken && !fate->detached);
		fate->taken = true;
	} else if (got == -ESTALE) {
		ck_assert(fate->taken || fate->detached);
	} else {
		ck_assert_msg(got == -EBUSY || got == -EDEADLK || got == -ENOBUFS, "join: %d",
			(int)got);
	}
}

static void check_poll(struct actor *self)
{
	struct fate *fate = &world.fates[self->id];

	ck_assert(!fate->aborted && !fate->ended && !fate->cleaned);
	fate->polls++;
}

static apus_poll actor_body(struct apus_cx *cx, struct actor *self);

APUS_TASK(actor, struct actor, actor_cleanup)
{
	struct fate *fate = &world.fates[self->id];
	apus_poll value;

	check_poll(self);
	value = actor_body(cx, self);
	if (value != APUS_PENDING && !fate->aborted) {
		fate->ended = true;
		fate->result = value;
	}
	return value;
}

static apus_poll actor_body(struct apus_cx *cx, struct actor *self)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		act();
		self->gate = (int)below(GATES);
		self->token = (int)below(TOKENS);
		self->other = below(world.count);
		self->sub.gate = self->gate;
		memset(&self->sub.frame, 0, sizeof self->sub.frame);
		switch (below(9)) {
		case 0:
			APUS_WAIT(apus_yield(cx));
			break;
		case 1:
			APUS_WAIT(apus_sleep(cx, self->gate * 100));
			break;
		case 2:
			APUS_AWAIT(self->got, APUS_SELECT(self->value,
				sem_take(cx, &world.gates[self->gate]), apus_sleep(cx, 300)));
			break;
		case 3:
			APUS_AWAIT(self->got, APUS_SELECT_FAIR(cx, self->value, apus_yield(cx),
				sem_take(cx, &world.gates[self->gate]),
				apus_cancelled(cx, world.tokens[self->token])));
			break;
		case 4:
			APUS_AWAIT(self->got, apus_timeout(cx, 500, through_gate(cx, &self->sub)));
			break;
		case 5:
			APUS_AWAIT(self->got, apus_timeout(cx, 700,
				apus_join(cx, world.fates[self->other].join, &self->result)));
			if (self->got != -ETIME)
				check_join(&world.fates[self->other], self->got, self->result);
			break;
		case 6:
			APUS_AWAIT(self->got, APUS_SELECT(self->value, apus_sleep(cx, 400),
				apus_join(cx, world.fates[self->other].join, &self->result)));
			if (self->got == 1)
				check_join(&world.fates[self->other], self->value, self->result);
			break;
		case 7:
			APUS_WAIT(apus_timeout(cx, 900, apus_cancelled(cx,
				world.tokens[self->token])));
			break;
		default:
			APUS_AWAIT(self->got, APUS_SELECT(self->value, apus_cancelled(cx,
				world.tokens[self->token]), sem_take(cx, &world.gates[self->gate]),
				apus_sleep(cx, 200), apus_join(cx, world.fates[self->other].join,
				&self->result)));
			if (self->got == 3)
				check_join(&world.fates[self->other], self->value, self->result);
		}
	}
	APUS_END((int64_t)self->id * 3);
}

static void spawn_one(void)
{
	struct fate *fate = &world.fates[world.count];
	struct actor init = { .id = world.count, .left = (int)below(6) };
	bool boxed = below(4) == 0, joinable = below(4) != 0;
	struct apus_join *join = joinable ? &fate->join : NULL;
	int err;

	if (world.count == sizeof world.fates / sizeof world.fates[0])
		return;
	memset(fate, 0, sizeof *fate);
	err = boxed ? apus_spawn_boxed(world.loop, actor, &init, join) :
		      apus_spawn_slab(world.loop, actor, &init, join);
	if (err) {
		ck_assert(err == -ENOSPC || err == -ESHUTDOWN);
		return;
	}
	fate->detached = !joinable;
	world.count++;
}

static void abort_one(struct fate *fate)
{
	int got = apus_abort(world.loop, fate->join);

	if (fate->join.serial == 0) /* detached from the start: there is no handle */
		ck_assert_int_eq(got, -ESTALE);
	else if (!fate->ended && !fate->aborted)
		ck_assert_int_eq(got, 1);
	else
		ck_assert(got == 0 || (got == -ESTALE && (fate->taken || fate->detached)));
	if (got == 1)
		fate->aborted = true;
}

static void detach_one(struct fate *fate)
{
	int got = apus_detach(world.loop, fate->join);

	ck_assert_int_eq(got, fate->taken || fate->detached ? -ESTALE : 0);
	fate->detached = true;
}

static void try_join_one(struct fate *fate)
{
	apus_poll result = 0;
	int got = apus_try_join(world.loop, fate->join, &result);

	if (got == -EAGAIN)
		ck_assert(!fate->taken && !fate->detached && (!fate->cleaned || fate->cleaning));
	else
		check_join(fate, got, result);
}

static void token_anew(unsigned token)
{
	if (below(2))
		(void)apus_cancel(world.loop, world.tokens[token]);
	(void)apus_token_release(world.loop, world.tokens[token]);
	(void)apus_token_child(world.loop, apus_loop_token(world.loop), &world.tokens[token]);
}

/* One random deed, from outside, from inside a poll or from a cleanup. */
static void act(void)
{
	struct fate *fate;

	if (world.count == 0)
		return;
	fate = &world.fates[below(world.count)];
	switch (below(9)) {
	case 0:
		abort_one(fate);
		break;
	case 1:
		detach_one(fate);
		break;
	case 2:
		try_join_one(fate);
		break;
	case 3:
		token_anew(below(TOKENS));
		break;
	case 4:
		if (below(8) == 0)
			apus_waitq_deinit(&world.gates[below(GATES)].waiters);
		break;
	case 5:
		apus_waitq_wake_all(&world.gates[below(GATES)].waiters);
		break;
	case 6:
		spawn_one();
		break;
	default:
		sem_put(&world.gates[below(GATES)]);
	}
}

static void check_end(struct apus_loop *loop)
{
	unsigned i, unjoined = 0;

	for (i = 0; i < world.count; i++) {
		struct fate *fate = &world.fates[i];

		ck_assert(fate->ended || fate->aborted);
		ck_assert_msg(fate->cleaned, "task %u has had no cleanup", i);
		unjoined += !fate->taken && !fate->detached;
	}
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	ck_assert_uint_eq(counters(loop).tasks_unjoined, unjoined);
	ck_assert_uint_eq(counters(loop).slots_used, unjoined);
	ck_assert_uint_eq(counters(loop).tasks_spawned, world.count);
	ck_assert_uint_eq(counters(loop).timers_pending, 0);
	ck_assert_uint_eq(pool_count(loop), 12);
	for (i = 0; i < GATES; i++)
		ck_assert_ptr_null(world.gates[i].waiters.head);
}

static void run_program(uint64_t seed, int spurious)
{
	struct apus_config config;
	unsigned i;

	memset(&world.gates, 0, sizeof world.gates);
	world.count = 0;
	world.random = test_random_init(seed);
	config_virtual(&config, spurious);
	config.slot_count = TASKS;
	config.wait_count = 12;
	config.token_count = 8;
	config.task_budget = 1 + below(20);
	config.cancel_budget = 1 + below(10);
	world.loop = loop_open_with(&config);
	for (i = 0; i < TOKENS; i++)
		apus_token_child(world.loop, apus_loop_token(world.loop), &world.tokens[i]);
	for (i = 0; i < STEPS; i++) {
		if (below(3) == 0)
			spawn_one();
		act();
		turns(world.loop, (int)below(3));
	}
	while (counters(world.loop).tasks_live != 0) {
		for (i = 0; i < world.count; i++)
			if (!world.fates[i].ended && !world.fates[i].aborted &&
				world.fates[i].join.serial)
				abort_one(&world.fates[i]);
		for (i = 0; i < GATES; i++)
			sem_put(&world.gates[i]);
		turns(world.loop, 1);
	}
	turns(world.loop, 2 * TASKS); /* what was released while it was ready */
	check_end(world.loop);
	for (i = 0; i < TOKENS; i++)
		(void)apus_token_release(world.loop, world.tokens[i]);
	turns(world.loop, 20);
	ck_assert_uint_eq(counters(world.loop).tokens_used, 0);
	loop_close(world.loop);
}

START_TEST(random_programs_end_as_the_book_says)
{
	uint64_t seed = test_seed();
	int i;

	for (i = 0; i < PROGRAMS; i++)
		run_program(seed + (uint64_t)i, _i);
}
END_TEST

/* The same, closed in the middle: every cleanup once, whatever state its task was in. */
START_TEST(close_in_the_middle_of_a_random_program_cleans_up_all)
{
	uint64_t seed = test_seed();
	unsigned i, step;

	for (i = 0; i < PROGRAMS; i++) {
		world.random = test_random_init(seed + i);
		memset(&world.gates, 0, sizeof world.gates);
		memset(&world.tokens, 0, sizeof world.tokens);
		world.count = 0;
		world.loop = loop_open(_i);
		for (step = below(100); step > 0; step--) {
			spawn_one();
			act();
			turns(world.loop, (int)below(2));
		}
		for (step = 0; step < world.count; step++)
			if (!world.fates[step].ended)
				world.fates[step].aborted = true; /* by close */
		loop_close(world.loop);
		for (step = 0; step < world.count; step++)
			ck_assert(world.fates[step].cleaned);
	}
}
END_TEST

LOOP_TEST_MAIN("task model",
	random_programs_end_as_the_book_says,
	close_in_the_middle_of_a_random_program_cleans_up_all)
