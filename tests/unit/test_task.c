#include "loop_test.h"

/* ---- a task that does what its state says ------------------------------ */

struct actor {
	struct apus_frame frame;
	char name;
	int rounds;  /* yields before it ends */
	int64_t answer;
	struct apus_loop *loop;
	struct apus_join *other;
	struct flag *flag;
	int64_t got, value;
};

static void actor_cleanup(struct apus_cx *cx, struct actor *self)
{
	(void)cx;
	note("%c! ", self->name);
}

/* Yields so many times, noting each round, and ends. */
APUS_TASK(yielder, struct actor, actor_cleanup)
{
	APUS_BEGIN(cx, self);
	while (self->rounds-- > 0) {
		note("%c ", self->name);
		APUS_WAIT(apus_yield(cx));
	}
	note("%c. ", self->name);
	APUS_END(self->answer);
}

APUS_TASK_URGENT(urgent_yielder, struct actor)
{
	APUS_BEGIN(cx, self);
	while (self->rounds-- > 0) {
		note("%c ", self->name);
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(self->answer);
}

/* Waits for a flag. */
APUS_TASK(waiter, struct actor, actor_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(flag_up(cx, self->flag));
	note("%c. ", self->name);
	APUS_END(self->answer);
}

/* Sleeps for ever. */
APUS_TASK(sleeper, struct actor, actor_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, APUS_SEC));
	note("%c. ", self->name);
	APUS_END(self->answer);
}

/* Joins another. */
APUS_TASK(joiner, struct actor, actor_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_join(cx, *self->other, &self->value));
	note("%c=%d,%d ", self->name, (int)self->got, (int)self->value);
	APUS_END(self->got);
}

static struct apus_join spawn_yielder(struct apus_loop *loop, char name, int rounds, int64_t answer)
{
	struct actor init = { .name = name, .rounds = rounds, .answer = answer };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, yielder, &init, &join), 0);
	return join;
}

static struct apus_join spawn_waiter(struct apus_loop *loop, char name, struct flag *flag)
{
	struct actor init = { .name = name, .flag = flag };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, waiter, &init, &join), 0);
	return join;
}

static struct apus_join spawn_joiner(struct apus_loop *loop, char name, struct apus_join *other)
{
	struct actor init = { .name = name, .other = other, .value = -1 };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, joiner, &init, &join), 0);
	return join;
}

/* ---- promise 7: order -------------------------------------------------- */

/* Promise 7. */
START_TEST(ready_tasks_run_in_the_order_they_became_ready)
{
	struct apus_loop *loop = loop_open(0);
	struct flag first = { 0 }, second = { 0 };

	spawn_waiter(loop, 'a', &first);
	spawn_waiter(loop, 'b', &second);
	spawn_waiter(loop, 'c', &first);
	turns(loop, 1);
	flag_raise(&second);
	flag_raise(&first);
	turns(loop, 1);
	expect_notes("b. b! a. a! c. c! ");
	loop_close(loop);
}
END_TEST

static apus_poll poll_chain(struct apus_cx *cx, struct actor *self);

APUS_TASK(chain, struct actor)
{
	return poll_chain(cx, self);
}

static apus_poll poll_chain(struct apus_cx *cx, struct actor *self)
{
	note("%d ", self->rounds);
	if (self->rounds-- > 0)
		ck_assert_int_eq(apus_spawn_slab(cx->loop, chain, self, NULL), 0);
	return 0;
}

/* Promise 7: what is spawned or woken in a turn runs in it. */
START_TEST(spawns_and_wakes_join_this_turns_queue)
{
	struct apus_loop *loop = loop_open(0);

	apus_spawn_slab(loop, chain, (&(struct actor){ .rounds = 5 }), NULL);
	turns(loop, 1);
	expect_notes("5 4 3 2 1 0 ");
	loop_close(loop);
}
END_TEST

/* Promise 7. */
START_TEST(a_yielder_is_ready_again_in_the_next_turn_and_not_in_this_one)
{
	struct apus_loop *loop = loop_open(0);

	spawn_yielder(loop, 'a', 2, 0);
	spawn_yielder(loop, 'b', 1, 0);
	turns(loop, 1);
	expect_notes("a b ");
	turns(loop, 1);
	expect_notes("a b. b! ");
	turns(loop, 1);
	expect_notes("a. a! ");
	loop_close(loop);
}
END_TEST

static struct apus_loop *open_budget(uint32_t budget, uint32_t ratio)
{
	struct apus_config config;

	config_virtual(&config, 0);
	config.task_budget = budget;
	config.lane_ratio = ratio;
	return loop_open_with(&config);
}

/* Promise 7: what the budget left over runs before anything that was woken later. */
START_TEST(leftovers_run_before_newcomers)
{
	struct apus_loop *loop = open_budget(2, 8);
	struct flag flag = { 0 };

	spawn_waiter(loop, 'w', &flag);
	turns(loop, 1);
	spawn_yielder(loop, 'a', 0, 0);
	spawn_yielder(loop, 'b', 0, 0);
	spawn_yielder(loop, 'c', 0, 0);
	spawn_yielder(loop, 'd', 0, 0);
	turns(loop, 1);
	expect_notes("a. a! b. b! ");
	flag_raise(&flag);
	spawn_yielder(loop, 'e', 0, 0);
	turns(loop, 1);
	expect_notes("c. c! d. d! ");
	turns(loop, 1);
	expect_notes("w. w! e. e! ");
	loop_close(loop);
}
END_TEST

/* Promise 7: two lanes, and the ratio that keeps the lower one alive. */
START_TEST(urgent_runs_first_but_one_poll_in_lane_ratio_is_normal)
{
	struct apus_loop *loop = open_budget(256, 3);
	int i;

	for (i = 0; i < 3; i++)
		spawn_yielder(loop, 'n', 0, 0);
	for (i = 0; i < 8; i++)
		apus_spawn_slab(loop, urgent_yielder, (&(struct actor){ .name = 'u',
			.rounds = 1 }), NULL);
	turns(loop, 1);
	expect_notes("u u n. n! u u n. n! u u n. n! u u ");
	loop_close(loop);
}
END_TEST

/* Promise 7: who ran between urgent ones is not run again when the lane has its turn. */
START_TEST(normal_goes_on_where_lane_ratio_left_it_when_urgent_runs_empty)
{
	struct apus_loop *loop = open_budget(256, 3);
	char name;

	for (name = 'a'; name <= 'e'; name++)
		spawn_yielder(loop, name, 1, 0);
	for (int i = 0; i < 4; i++)
		apus_spawn_slab(loop, urgent_yielder, (&(struct actor){ .name = 'u',
			.rounds = 1 }), NULL);
	turns(loop, 1);
	expect_notes("u u a u u b c d e ");
	ck_assert_uint_eq(counters(loop).polls, 9);
	ck_assert_uint_eq(counters(loop).tasks_ready, 9);
	loop_close(loop);
}
END_TEST

/* Promise 7: also when a turn is too short for lane_ratio polls. */
START_TEST(urgent_yielders_do_not_starve_normal_tasks_under_a_small_budget)
{
	struct apus_loop *loop = open_budget(2, 5);
	int i;

	spawn_yielder(loop, 'n', 1, 0);
	for (i = 0; i < 4; i++)
		apus_spawn_slab(loop, urgent_yielder, (&(struct actor){ .name = 'u',
			.rounds = 1000 }),
			NULL);
	turns(loop, 6);
	ck_assert_str_eq(noted(), "u u u u n u u u u n. n! u u ");
	loop_close(loop);
}
END_TEST

struct counting {
	int *polls;
};

APUS_TASK(spinner, struct counting)
{
	++*self->polls;
	return apus_again(cx);
}

/* P1: with three budgets of yielders, each progresses within three turns. */
START_TEST(yielders_beyond_the_budget_all_make_progress)
{
	enum { BUDGET = 16, N = 3 * BUDGET };
	struct apus_loop *loop = open_budget(BUDGET, 8);
	int polls[N] = { 0 };
	int i, round;

	for (i = 0; i < N; i++)
		apus_spawn_slab(loop, spinner, (&(struct counting){ &polls[i] }), NULL);
	for (round = 1; round <= 10; round++) {
		turns(loop, N / BUDGET);
		for (i = 0; i < N; i++)
			ck_assert_int_eq(polls[i], round);
	}
	loop_close(loop);
}
END_TEST

/* P1 with newcomers each turn: the left-overs are not queued behind them. */
APUS_TASK(breeder, struct counting)
{
	int i;

	for (i = 0; i < 8; i++)
		(void)apus_spawn_slab(cx->loop, yielder, (&(struct actor){ .name = 'x' }), NULL);
	++*self->polls;
	return apus_again(cx);
}

/* P1, S3. */
START_TEST(newcomers_each_turn_do_not_starve_the_left_over)
{
	struct apus_loop *loop = open_budget(4, 8);
	int bred = 0, polls[3] = { 0 };
	int i;

	apus_spawn_slab(loop, breeder, (&(struct counting){ &bred }), NULL);
	for (i = 0; i < 3; i++)
		apus_spawn_slab(loop, spinner, (&(struct counting){ &polls[i] }), NULL);
	for (i = 0; i < 200; i++) {
		turns(loop, 1);
		noted();
	}
	for (i = 0; i < 3; i++)
		ck_assert_int_ge(polls[i], 6); /* 64 slots are at most 17 turns of 4 */
	ck_assert_int_ge(bred, 6);
	loop_close(loop);
}
END_TEST

struct pingpong {
	struct apus_frame frame;
	struct apus_waitq *mine, *others;
	int count;
};

APUS_TASK(pingpong, struct pingpong)
{
	self->count++;
	apus_waitq_wake_all(self->others);
	return apus_wait_pend(cx, self->mine);
}

/* S3: two tasks that wake each other for ever are charged, and others run. */
START_TEST(a_ping_pong_in_a_turn_ends_with_the_budget)
{
	struct apus_loop *loop = open_budget(32, 8);
	struct apus_waitq queues[2] = { { 0 } };
	int polls = 0;
	int i;

	for (i = 0; i < 2; i++)
		apus_spawn_slab(loop, pingpong,
			(&(struct pingpong){ .mine = &queues[i], .others = &queues[!i] }), NULL);
	apus_spawn_slab(loop, spinner, (&(struct counting){ &polls }), NULL);
	turns(loop, 10);
	ck_assert_int_eq(polls, 10);
	ck_assert_uint_eq(counters(loop).polls, 320);
	ck_assert_uint_eq(counters(loop).full_task_budgets, 10);
	loop_close(loop);
}
END_TEST

/* Promise 8: a sleeper is served while yielders fill every turn. */
START_TEST(timers_are_served_while_tasks_fill_the_budget)
{
	struct apus_loop *loop = open_budget(4, 8);
	struct apus_join join;
	int polls = 0, i;

	for (i = 0; i < 12; i++)
		apus_spawn_slab(loop, spinner, (&(struct counting){ &polls }), NULL);
	apus_spawn_slab(loop, sleeper, (&(struct actor){ .name = 's' }), &join);
	turns(loop, 4);
	time_set(loop, APUS_SEC);
	turns(loop, 4);
	expect_notes("s. s! ");
	ck_assert_int_eq(polls, 8 * 4 - 2);
	loop_close(loop);
}
END_TEST

/* ---- promise 6: cleanup ------------------------------------------------ */

/* Promise 6. */
START_TEST(cleanup_runs_once_on_return)
{
	struct apus_loop *loop = loop_open(_i);

	apus_spawn_slab(loop, yielder, (&(struct actor){ .name = 'a' }), NULL);
	spawn_yielder(loop, 'b', 0, 7); /* nobody joins it */
	turns(loop, 3);
	expect_notes("a. a! b. b! ");
	loop_close(loop);
	expect_notes("");
}
END_TEST

/* Promise 6, P3: a parked task's resources do not live on until somebody wakes it. */
START_TEST(cleanup_runs_once_after_abort_in_the_next_turn)
{
	struct apus_loop *loop = loop_open(_i);
	struct flag flag = { 0 };
	struct apus_join waits, ready;

	waits = spawn_waiter(loop, 'w', &flag);
	turns(loop, 1);
	ready = spawn_yielder(loop, 'r', 5, 0);
	ck_assert_int_eq(apus_abort(loop, ready), 1);
	ck_assert_int_eq(apus_abort(loop, waits), 1);
	expect_notes("");
	turns(loop, 1);
	expect_notes("r! w! ");
	flag_raise(&flag);
	turns(loop, 3);
	loop_close(loop);
	expect_notes("");
}
END_TEST

/* Promise 6: also of those that were spawned and never polled. */
START_TEST(close_cleans_up_every_task_once)
{
	struct apus_loop *loop = loop_open(_i);
	struct flag flag = { 0 };
	struct apus_join aborted;
	struct apus_counters last;

	spawn_waiter(loop, 'w', &flag);
	spawn_yielder(loop, 'y', 1000, 0);
	aborted = spawn_waiter(loop, 'a', &flag);
	spawn_yielder(loop, 'e', 0, 0);
	turns(loop, 1);
	apus_abort(loop, aborted);
	spawn_yielder(loop, 'n', 5, 0);
	noted();
	ck_assert_int_eq(apus_close(loop, &last), 0);
	ck_assert_str_eq(noted(), "a! w! y! n! ");
	ck_assert_uint_eq(last.tasks_live, 0);
	ck_assert_uint_eq(last.tasks_spawned, 5);
	ck_assert_uint_eq(last.tasks_ended, 5);
	ck_assert_ptr_null(flag.waiters.head);
}
END_TEST

/* Promise 6: in the order of abort, so many a turn. */
START_TEST(cleanups_run_in_the_order_of_abort_under_the_cancel_budget)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_join joins[5];
	struct flag flag = { 0 };
	int i;

	config_virtual(&config, _i);
	config.cancel_budget = 2;
	loop = loop_open_with(&config);
	for (i = 0; i < 5; i++)
		joins[i] = spawn_waiter(loop, (char)('a' + i), &flag);
	turns(loop, 1);
	apus_abort(loop, joins[3]);
	apus_abort(loop, joins[0]);
	apus_abort(loop, joins[4]);
	apus_abort(loop, joins[1]);
	apus_abort(loop, joins[2]);
	turns(loop, 1);
	expect_notes("d! a! ");
	turns(loop, 1);
	expect_notes("e! b! ");
	turns(loop, 1);
	expect_notes("c! ");
	ck_assert_uint_eq(counters(loop).full_cancel_budgets, 2);
	loop_close(loop);
}
END_TEST

APUS_TASK(aborts_itself, struct actor, actor_cleanup)
{
	APUS_BEGIN(cx, self);
	ck_assert_int_eq(apus_abort(cx->loop, apus_self(cx)), 1);
	ck_assert_int_eq(apus_abort(cx->loop, apus_self(cx)), 0);
	note("on ");
	if (self->rounds)
		return 5;
	APUS_WAIT(apus_sleep(cx, 1));
	note("never ");
	APUS_END(0);
}

/* Promise 6, S15: from inside its own poll: after that poll, whatever it answers. */
START_TEST(a_task_that_aborts_itself_finishes_its_poll_and_is_not_polled_again)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join joins[2];
	apus_poll result = 77;
	int i;

	for (i = 0; i < 2; i++) {
		struct actor init = { .name = 's', .rounds = i };

		apus_spawn_slab(loop, aborts_itself, &init, &joins[i]);
	}
	turns(loop, 1);
	expect_notes("on on ");
	ck_assert_uint_eq(counters(loop).timers_pending, 0);
	turns(loop, 3);
	expect_notes("s! s! ");
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(apus_try_join(loop, joins[i], &result), -ECANCELED);
	ck_assert_int_eq(result, 77);
	loop_close(loop);
}
END_TEST

static void spawning_cleanup(struct apus_cx *cx, struct actor *self)
{
	struct actor init = { .name = 'n' };

	note("%c!%d ", self->name, apus_spawn_slab(cx->loop, yielder, &init, NULL));
}

APUS_TASK(spawns_in_cleanup, struct actor, spawning_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, self->rounds));
	APUS_END(0);
}

/* Promise 6, S15. */
START_TEST(a_cleanup_may_spawn_but_not_once_the_loop_closes)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join join;

	apus_spawn_slab(loop, spawns_in_cleanup, (&(struct actor){ .name = 'a' }), NULL);
	turns(loop, 1);
	expect_notes("a!0 n. n! ");
	apus_spawn_slab(loop, spawns_in_cleanup, (&(struct actor){ .name = 'b', .rounds = 9 }),
		&join);
	turns(loop, 1);
	apus_abort(loop, join);
	turns(loop, 1);
	expect_notes("b!0 n. n! ");
	apus_spawn_slab(loop, spawns_in_cleanup, (&(struct actor){ .name = 'c', .rounds = 9 }),
		NULL);
	loop_close(loop);
	ck_assert_str_eq(noted(), "c!-108 ");
}
END_TEST

static void aborting_cleanup(struct apus_cx *cx, struct actor *self)
{
	note("%c!%d ", self->name, apus_abort(cx->loop, *self->other));
}

APUS_TASK(aborts_in_cleanup, struct actor, aborting_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, self->rounds));
	APUS_END(0);
}

/* Promise 6, S15: what a cleanup aborts has its own cleanup in the next turn. */
START_TEST(a_cleanup_may_abort_others)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join chained[3], victim;
	int i;

	victim = spawn_yielder(loop, 'v', 1000, 0);
	for (i = 0; i < 3; i++) {
		struct actor init = { .name = (char)('0' + i), .rounds = 1000,
			.other = i == 0 ? &victim : &chained[i - 1] };

		apus_spawn_slab(loop, aborts_in_cleanup, &init, &chained[i]);
	}
	turns(loop, 1);
	noted();
	apus_abort(loop, chained[2]);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "2!1 "));
	ck_assert_ptr_null(strstr(notes, "1!1 "));
	turns(loop, 4);
	ck_assert_ptr_nonnull(strstr(notes, "2!1 "));
	ck_assert_ptr_nonnull(strstr(notes, "1!1 "));
	ck_assert_ptr_nonnull(strstr(notes, "0!1 "));
	ck_assert_ptr_nonnull(strstr(notes, "v! "));
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	loop_close(loop);
}
END_TEST

/* Promise 6, S15: the task whose cleanup runs has ended already. */
START_TEST(a_cleanup_that_aborts_its_own_task_runs_once)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join self;

	apus_spawn_slab(loop, aborts_in_cleanup, (&(struct actor){ .name = 'r', .other = &self }),
		&self);
	turns(loop, 3);
	expect_notes("r!0 ");
	ck_assert_int_eq(apus_try_join(loop, self, NULL), 0);
	apus_spawn_slab(loop, aborts_in_cleanup, (&(struct actor){ .name = 'd', .other = &self }),
		&self);
	ck_assert_int_eq(apus_detach(loop, self), 0);
	turns(loop, 3);
	expect_notes("d!0 ");
	apus_spawn_slab(loop, aborts_in_cleanup,
		(&(struct actor){ .name = 'a', .rounds = 9, .other = &self }), &self);
	ck_assert_int_eq(apus_abort(loop, self), 1);
	turns(loop, 3);
	expect_notes("a!0 ");
	ck_assert_uint_eq(counters(loop).slots_used, 1);
	loop_close(loop);
}
END_TEST

static uint32_t abort_from_source(struct apus_cx *cx, struct apus_source *source);

struct aborting_source {
	struct apus_source source;
	struct apus_join victim;
};

static uint32_t abort_from_source(struct apus_cx *cx, struct apus_source *source)
{
	struct aborting_source *self = (struct aborting_source *)source;

	ck_assert_int_eq(apus_abort(cx->loop, self->victim), 1);
	ck_assert_int_eq(apus_source_remove(cx->loop, source), 0);
	return 1;
}

/* Promise 6: the cleanup of what an early phase aborts is the next turn's as well. */
START_TEST(an_abort_from_a_source_is_cleaned_up_in_the_next_turn)
{
	struct apus_loop *loop = loop_open(_i);
	struct flag flag = { 0 };
	struct aborting_source source = { .source.poll = abort_from_source };

	source.victim = spawn_waiter(loop, 'w', &flag);
	turns(loop, 1);
	apus_source_add(loop, &source.source);
	turns(loop, 1);
	expect_notes("");
	turns(loop, 1);
	expect_notes("w! ");
	loop_close(loop);
}
END_TEST

/* S3: a walk that never ends does not keep cleanups from running. */
APUS_TASK(canceller, struct actor)
{
	struct apus_token parent, child;
	int i;

	(void)self;
	ck_assert_int_eq(apus_token_child(cx->loop, apus_loop_token(cx->loop), &parent), 0);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(apus_token_child(cx->loop, parent, &child), 0);
		apus_token_release(cx->loop, child);
	}
	apus_cancel(cx->loop, parent);
	apus_token_release(cx->loop, parent);
	return apus_again(cx);
}

/* S3, promise 8. */
START_TEST(cancellation_walks_do_not_starve_cleanups)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_join victim, walks;
	struct flag flag = { 0 };

	config_virtual(&config, 0);
	config.cancel_budget = 1;
	config.token_count = 10000;
	loop = loop_open_with(&config);
	apus_spawn_slab(loop, canceller, NULL, &walks);
	victim = spawn_waiter(loop, 'v', &flag);
	turns(loop, 3);
	apus_abort(loop, victim);
	turns(loop, 4);
	expect_notes("v! ");
	loop_close(loop);
}
END_TEST

/* ---- refusals ---------------------------------------------------------- */

struct large {
	struct apus_frame frame;
	char bytes[100000];
	int64_t sum;
};

static void large_cleanup(struct apus_cx *cx, struct large *self)
{
	(void)cx;
	note("large%d ", (int)self->bytes[99999]);
}

APUS_TASK(large, struct large, large_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_yield(cx));
	APUS_END(self->bytes[99999]);
}

static struct apus_loop *open_slots(uint32_t slots, uint32_t chunks)
{
	struct apus_config config;

	config_virtual(&config, 0);
	config.slot_count = slots;
	config.chunk_max = chunks;
	return loop_open_with(&config);
}

/* Promise 12: full is an answer; the state stays the caller's, the join is not written. */
START_TEST(a_full_slab_answers_enospc_and_leaves_init_alone)
{
	struct apus_loop *loop = open_slots(2, 1);
	struct actor init = { .name = 'x', .rounds = 3 }, copy = init;
	struct apus_join join = { NULL, 0, 0 };

	spawn_yielder(loop, 'a', 1, 0);
	spawn_yielder(loop, 'b', 1, 0);
	ck_assert_int_eq(apus_spawn_slab(loop, yielder, &init, &join), -ENOSPC);
	ck_assert_mem_eq(&init, &copy, sizeof init);
	ck_assert_uint_eq(join.serial, 0);
	ck_assert_uint_eq(counters(loop).refusals, 1);
	ck_assert_uint_eq(counters(loop).tasks_spawned, 2);
	loop_close(loop);
}
END_TEST

/* Promise 12. */
START_TEST(a_state_too_large_answers_emsgsize_and_fits_a_box)
{
	struct apus_loop *loop = loop_open(_i);
	struct large *init = calloc(1, sizeof *init);
	struct apus_join join;
	apus_poll result = 0;

	init->bytes[99999] = 42;
	ck_assert_int_eq(apus_spawn_slab(loop, large, init, &join), -EMSGSIZE);
	ck_assert_uint_eq(counters(loop).refusals, 1);
	ck_assert_int_eq(apus_spawn_boxed(loop, large, init, &join), 0);
	memset(init, 0, sizeof *init);
	turns(loop, 1);
	ck_assert_int_eq(((struct large *)apus_join_state(loop, join))->bytes[99999], 42);
	turns(loop, 1);
	expect_notes("large42 ");
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 42);
	/* Aborted, and left behind at close: the box is freed (or ASan tells). */
	apus_spawn_boxed(loop, large, NULL, &join);
	apus_abort(loop, join);
	apus_spawn_boxed(loop, large, NULL, NULL);
	apus_spawn_boxed(loop, large, NULL, &join);
	turns(loop, 3);
	apus_spawn_boxed(loop, large, NULL, NULL);
	loop_close(loop);
	free(init);
}
END_TEST

struct wide {
	char bytes[64];
} __attribute__((__aligned__(64)));

APUS_TASK(wide, struct wide)
{
	(void)cx;
	note("%d ", (int)((uintptr_t)self % 64));
	return 0;
}

/* A state may ask for a cache line's alignment, in a slot and in a box. */
START_TEST(a_state_is_aligned_in_a_slot_and_in_a_box)
{
	struct apus_loop *loop = loop_open(_i);
	int i;

	for (i = 0; i < 3; i++) {
		apus_spawn_boxed(loop, wide, NULL, NULL);
		apus_spawn_slab(loop, wide, NULL, NULL);
	}
	turns(loop, 1);
	expect_notes("0 0 0 0 0 0 ");
	loop_close(loop);
}
END_TEST

/* Decision "slab full": addresses never move while it grows, and growth is counted. */
START_TEST(a_growing_slab_opens_chunks_that_are_counted)
{
	struct apus_loop *loop = open_slots(4, 3);
	void *states[12];
	struct apus_join joins[12];
	int i;

	for (i = 0; i < 12; i++) {
		joins[i] = spawn_yielder(loop, 'a', 100, 0);
		states[i] = apus_join_state(loop, joins[i]);
	}
	ck_assert_uint_eq(counters(loop).slab_chunks, 3);
	ck_assert_int_eq(apus_spawn_slab(loop, yielder, NULL, NULL), -ENOSPC);
	turns(loop, 2);
	for (i = 0; i < 12; i++)
		ck_assert_ptr_eq(apus_join_state(loop, joins[i]), states[i]);
	loop_close(loop);
}
END_TEST

/* S1, decision "stop": spawning answers -ESHUTDOWN, a claim is still held. */
START_TEST(after_stop_spawning_is_refused_and_claims_can_be_dropped)
{
	struct apus_loop *loop = loop_open(_i);
	struct actor init = { .name = 'x' }, *claim = NULL;
	struct apus_set set;

	ck_assert_int_eq(apus_claim_slab(loop, yielder, &claim), 0);
	ck_assert_int_eq(apus_set_init(&set, loop, apus_loop_token(loop)), 0);
	apus_stop(loop);
	ck_assert_int_eq(apus_spawn_slab(loop, yielder, &init, NULL), -ESHUTDOWN);
	ck_assert_int_eq(apus_spawn_boxed(loop, yielder, &init, NULL), -ESHUTDOWN);
	ck_assert_int_eq(apus_set_spawn(&set, yielder, &init), -ESHUTDOWN);
	ck_assert_int_eq(apus_run(loop, yielder, &init), -ESHUTDOWN);
	*claim = init;
	ck_assert_int_eq(apus_claim_spawn(claim, NULL), -ESHUTDOWN);
	ck_assert_uint_eq(counters(loop).slots_used, 1);
	apus_claim_drop(claim);
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	apus_set_deinit(&set);
	loop_close(loop);
	expect_notes("");
}
END_TEST

/* ---- claims ------------------------------------------------------------ */

START_TEST(a_claim_is_built_in_place_and_spawned_or_dropped)
{
	struct apus_loop *loop = open_slots(2, 1);
	struct actor *claims[3] = { NULL };
	struct apus_join join;
	apus_poll result = 0;

	ck_assert_int_eq(apus_claim_slab(loop, yielder, &claims[0]), 0);
	ck_assert_int_eq(apus_claim_slab(loop, yielder, &claims[1]), 0);
	ck_assert_int_eq(apus_claim_slab(loop, yielder, &claims[2]), -ENOSPC);
	ck_assert_ptr_null(claims[2]);
	turns(loop, 2); /* a claim is no task yet */
	expect_notes("");
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	*claims[0] = (struct actor){ .name = 'c', .answer = 5 };
	ck_assert_int_eq(apus_claim_spawn(claims[0], &join), 0);
	apus_claim_drop(claims[1]);
	turns(loop, 1);
	expect_notes("c. c! ");
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 5);
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	loop_close(loop);
}
END_TEST

static void spawn_a_claim_again(void *state)
{
	apus_claim_spawn(state, NULL);
}

/* Promise 12. */
START_TEST(spawning_a_claim_twice_panics)
{
	struct apus_loop *loop = loop_open(_i);
	struct actor *claim;

	apus_claim_slab(loop, yielder, &claim);
	memset(claim, 0, sizeof *claim);
	/* Here, since a forked child is not the loop's thread. */
	ck_assert_int_eq(apus_claim_spawn(claim, NULL), 0);
	test_expect_panic("APUS_TASK_CLAIMED", spawn_a_claim_again, claim);
	loop_close(loop);
}
END_TEST

/* ---- joins ------------------------------------------------------------- */

START_TEST(join_answers_the_outcome_and_gives_the_result)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join ready, later, aborted, negative;

	ready = spawn_yielder(loop, 'r', 0, 1);
	later = spawn_yielder(loop, 'l', 2, 2);
	aborted = spawn_yielder(loop, 'x', 100, 3);
	negative = spawn_yielder(loop, 'n', 0, -5);
	turns(loop, 1);
	noted();
	spawn_joiner(loop, '1', &ready);
	spawn_joiner(loop, '2', &later);
	spawn_joiner(loop, '3', &aborted);
	spawn_joiner(loop, '4', &negative);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "1=0,1 "));
	ck_assert_ptr_nonnull(strstr(notes, "4=0,-5 "));
	ck_assert_ptr_null(strstr(notes, "2="));
	turns(loop, 2);
	ck_assert_ptr_nonnull(strstr(notes, "2=0,2 "));
	ck_assert_ptr_null(strstr(notes, "3="));
	apus_abort(loop, aborted);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "x! 3=-125,-1 "));
	turns(loop, 1);
	ck_assert_uint_eq(counters(loop).slots_used, 4); /* the joiners, whom nobody joined */
	loop_close(loop);
}
END_TEST

/* P9: a result is taken once. */
START_TEST(a_second_join_answers_estale)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join join = spawn_yielder(loop, 'a', 0, 9);
	apus_poll result = 0;

	turns(loop, 1);
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 9);
	result = 0;
	ck_assert_int_eq(apus_try_join(loop, join, &result), -ESTALE);
	ck_assert_int_eq(result, 0);
	noted();
	spawn_joiner(loop, 'j', &join);
	turns(loop, 1);
	expect_notes("j=-116,-1 j! ");
	loop_close(loop);
}
END_TEST

/* Promise 4: the handle of a task whose slot has another owner now reaches nobody. */
START_TEST(a_join_never_reaches_the_next_owner_of_the_slot)
{
	struct apus_loop *loop = open_slots(1, 1);
	struct apus_join old = spawn_yielder(loop, 'a', 0, 1), new;

	turns(loop, 1);
	ck_assert_int_eq(apus_try_join(loop, old, NULL), 0);
	new = spawn_yielder(loop, 'b', 1, 2);
	ck_assert_ptr_eq(old.task, new.task);
	ck_assert_int_eq(apus_try_join(loop, old, NULL), -ESTALE);
	ck_assert_int_eq(apus_join_is_finished(loop, old), -ESTALE);
	ck_assert_int_eq(apus_abort(loop, old), -ESTALE);
	ck_assert_int_eq(apus_detach(loop, old), -ESTALE);
	ck_assert_ptr_null(apus_join_state(loop, old));
	ck_assert_int_eq(apus_join_is_finished(loop, new), 0);
	turns(loop, 2);
	ck_assert_int_eq(apus_join_is_finished(loop, new), 1);
	loop_close(loop);
}
END_TEST

/* Promise 4: serials are the loop's; a join of a loop that closed is stale in the next. */
START_TEST(a_join_of_a_closed_loop_is_stale)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join join = spawn_yielder(loop, 'a', 5, 1);

	turns(loop, 1);
	loop_close(loop);
	loop = loop_open(_i);
	spawn_yielder(loop, 'b', 5, 1);
	ck_assert_int_eq(apus_try_join(loop, join, NULL), -ESTALE);
	ck_assert_int_eq(apus_abort(loop, join), -ESTALE);
	ck_assert_int_eq(apus_detach(loop, join), -ESTALE);
	ck_assert_ptr_null(apus_join_state(loop, join));
	spawn_joiner(loop, 'j', &join);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "j=-116,-1 "));
	loop_close(loop);
}
END_TEST

/* A zero join is no join, and outside a poll there is no self. */
START_TEST(a_join_of_zeros_is_stale)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join none = { NULL, 0, 0 };
	struct apus_join nobody = apus_self(apus_loop_cx(loop));

	spawn_joiner(loop, 's', &nobody);
	turns(loop, 1);
	expect_notes("s=-116,-1 s! ");
	ck_assert_int_eq(apus_try_join(loop, none, NULL), -ESTALE);
	ck_assert_int_eq(apus_abort(loop, none), -ESTALE);
	ck_assert_int_eq(apus_detach(loop, none), -ESTALE);
	ck_assert_ptr_null(apus_join_state(loop, none));
	spawn_joiner(loop, 'j', &none);
	turns(loop, 1);
	expect_notes("j=-116,-1 j! ");
	loop_close(loop);
}
END_TEST

/* Decision "joining": an ended task keeps its slot, and its state, until it is taken. */
START_TEST(an_ended_tasks_state_can_be_read_until_it_is_taken)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join join = spawn_yielder(loop, 'a', 3, 0);
	struct actor *state;

	turns(loop, 5);
	state = (struct actor *)apus_join_state(loop, join);
	ck_assert_ptr_nonnull(state);
	ck_assert_int_eq(state->rounds, -1);
	ck_assert_uint_eq(counters(loop).tasks_unjoined, 1);
	ck_assert_uint_eq(counters(loop).slots_used, 1);
	ck_assert_int_eq(apus_detach(loop, join), 0);
	ck_assert_uint_eq(counters(loop).tasks_unjoined, 0);
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	ck_assert_ptr_null(apus_join_state(loop, join));
	loop_close(loop);
}
END_TEST

APUS_TASK(joins_itself, struct actor)
{
	struct apus_join self_join = apus_self(cx);

	(void)self;
	note("%d %d ", (int)apus_join(cx, self_join, NULL), apus_try_join(cx->loop, self_join,
		NULL));
	return 0;
}

/* S15. */
START_TEST(joining_oneself_is_edeadlk)
{
	struct apus_loop *loop = loop_open(0);
	struct apus_join join;

	apus_spawn_slab(loop, joins_itself, NULL, &join);
	turns(loop, 1);
	ck_assert_str_eq(noted(), "-35 -11 ");
	ck_assert_uint_eq(apus_self(apus_loop_cx(loop)).serial, 0);
	loop_close(loop);
}
END_TEST

/* Decision "joining". */
START_TEST(a_second_joiner_is_refused_with_ebusy)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join join = spawn_yielder(loop, 'a', 3, 4), first;

	first = spawn_joiner(loop, '1', &join);
	spawn_joiner(loop, '2', &join);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "2=-16,-1 "));
	ck_assert_int_eq(apus_abort(loop, first), 1);
	spawn_joiner(loop, '3', &join); /* the place is free again */
	turns(loop, 5);
	ck_assert_ptr_nonnull(strstr(notes, "3=0,4 "));
	loop_close(loop);
}
END_TEST

/* Decision "dropping a join": the task runs on; whoever waited for it is told. */
START_TEST(a_detached_task_runs_on_and_its_joiner_wakes_with_estale)
{
	struct apus_loop *loop = open_slots(8, 1);
	struct apus_join join = spawn_yielder(loop, 'a', 3, 4);
	struct apus_join joiner = spawn_joiner(loop, 'j', &join);

	turns(loop, 1);
	ck_assert_int_eq(apus_detach(loop, join), 0);
	ck_assert_int_eq(apus_detach(loop, join), -ESTALE);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "j=-116,-1 "));
	turns(loop, 3);
	ck_assert_ptr_nonnull(strstr(notes, "a. a! "));
	ck_assert_int_eq(apus_try_join(loop, joiner, NULL), 0);
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(takes_and_spawns, struct actor)
{
	struct apus_task *slot = self->other->task;

	ck_assert_int_eq(apus_try_join(cx->loop, *self->other, NULL), -ECANCELED);
	ck_assert_ptr_eq(spawn_yielder(cx->loop, 'n', 5, 0).task, slot);
	return 0;
}

/* Someone else takes what a joiner waits for, and the slot has a new owner before it looks. */
START_TEST(a_joiner_whose_task_was_taken_by_another_wakes_with_estale)
{
	struct apus_loop *loop = open_slots(3, 1);
	struct flag flag = { 0 };
	struct apus_join join = spawn_waiter(loop, 'w', &flag);

	spawn_joiner(loop, 'j', &join);
	turns(loop, 1);
	/* Ready before the joiner is: its cleanup, which wakes it, is in the same turn. */
	apus_abort(loop, join);
	apus_spawn_slab(loop, takes_and_spawns, (&(struct actor){ .other = &join }), NULL);
	turns(loop, 1);
	ck_assert_str_eq(noted(), "w! j=-116,-1 j! n ");
	loop_close(loop);
}
END_TEST

struct rejoin {
	struct apus_frame frame;
	struct apus_join child;
	struct flag *flag;
	int64_t which, value, result;
	bool detach;
};

/* Loses the arm that joins, takes the ended task otherwise, and joins its slot's next owner. */
APUS_TASK(rejoin, struct rejoin)
{
	struct actor init = { .name = 'n', .rounds = 1, .answer = 8 };

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, flag_up(cx, self->flag),
		apus_join(cx, self->child, NULL)));
	ck_assert_int_eq(self->which, 0);
	if (self->detach)
		ck_assert_int_eq(apus_detach(cx->loop, self->child), 0);
	else
		ck_assert_int_eq(apus_try_join(cx->loop, self->child, NULL), 0);
	ck_assert_int_eq(apus_spawn_slab(cx->loop, yielder, &init, &self->child), 0);
	APUS_AWAIT(self->value, apus_join(cx, self->child, &self->result));
	note("%d,%d ", (int)self->value, (int)self->result);
	APUS_END(0);
}

/* Promises 3 and 4: a lost join of the slot's last owner is not a join of the next. */
START_TEST(a_lost_join_does_not_spoil_that_of_the_slots_next_owner)
{
	int detach;

	for (detach = 0; detach < 2; detach++) {
		struct apus_loop *loop = open_slots(2, 1);
		struct flag flag = { 0 }, child_flag = { 0 };
		struct rejoin init = { .flag = &flag, .detach = detach };

		init.child = spawn_waiter(loop, 'c', &child_flag);
		apus_spawn_slab(loop, rejoin, &init, NULL);
		turns(loop, 1);
		flag_raise(&child_flag);
		flag_raise(&flag);
		turns(loop, 1);
		ck_assert_str_eq(noted(), "c. c! n ");
		turns(loop, 1);
		ck_assert_str_eq(noted(), "n. n! 0,8 ");
		loop_close(loop);
	}
}
END_TEST

/* ---- S15: every verb in every state ------------------------------------ */

enum state { QUEUED, RUNNING, WAITING, ABORTED, DONE, TAKEN, REUSED, STATES };
enum verb { ABORT, DETACH, TRY_JOIN, IS_FINISHED, VERBS };

static int verb_do(struct apus_loop *loop, enum verb verb, struct apus_join join)
{
	switch (verb) {
	case ABORT:
		return apus_abort(loop, join);
	case DETACH:
		return apus_detach(loop, join);
	case TRY_JOIN:
		return apus_try_join(loop, join, NULL);
	default:
		return apus_join_is_finished(loop, join);
	}
}

struct doer {
	enum verb verb;
	int *answer;
};

static void doer_cleanup(struct apus_cx *cx, struct doer *self)
{
	(void)cx, (void)self;
	note("! ");
}

APUS_TASK(does_to_itself, struct doer, doer_cleanup)
{
	*self->answer = verb_do(cx->loop, self->verb, apus_self(cx));
	return 3;
}

static struct apus_join bring_into(struct apus_loop *loop, enum state state, struct flag *flag)
{
	struct apus_join join = state == WAITING ? spawn_waiter(loop, 'v', flag) :
						   spawn_yielder(loop, 'v', state < WAITING, 0);

	if (state != QUEUED)
		turns(loop, state == ABORTED ? 0 : 1);
	if (state == ABORTED)
		apus_abort(loop, join);
	if (state >= TAKEN)
		apus_try_join(loop, join, NULL);
	if (state == REUSED)
		ck_assert_ptr_eq(spawn_yielder(loop, 'u', 1, 0).task, join.task);
	noted();
	return join;
}

static int times_noted(const char *what)
{
	const char *at = notes;
	int times = 0;

	for (; (at = strstr(at, what)) != NULL; at++)
		times++;
	return times;
}

/* S15: abort, detach, join, finished? x every state; nothing but the state decides. */
START_TEST(every_verb_has_its_answer_in_every_state)
{
	static const int answers[STATES][VERBS] = {
		[QUEUED] = { 1, 0, -EAGAIN, 0 },
		[RUNNING] = { 1, 0, -EAGAIN, 0 },
		[WAITING] = { 1, 0, -EAGAIN, 0 },
		[ABORTED] = { 0, 0, -EAGAIN, 0 },
		[DONE] = { 0, 0, 0, 1 },
		[TAKEN] = { -ESTALE, -ESTALE, -ESTALE, -ESTALE },
		[REUSED] = { -ESTALE, -ESTALE, -ESTALE, -ESTALE },
	};
	int state, verb;

	for (state = 0; state < STATES; state++)
		for (verb = 0; verb < VERBS; verb++) {
			struct apus_loop *loop = open_slots(2, 1);
			struct flag flag = { 0 };
			int answer = 99;

			if (state == RUNNING) {
				struct doer init = { (enum verb)verb, &answer };
				struct apus_join join;

				apus_spawn_slab(loop, does_to_itself, &init, &join);
				turns(loop, 3);
				expect_notes("! ");
			} else {
				struct apus_join join = bring_into(loop, (enum state)state, &flag);

				answer = verb_do(loop, (enum verb)verb, join);
				flag_raise(&flag);
				turns(loop, 3);
				ck_assert_msg(times_noted("v! ") == (state < DONE),
					"state %d verb %d: %s",
					state, verb, notes);
				noted();
			}
			ck_assert_msg(answer == answers[state][verb],
				"state %d verb %d: %d, not %d",
				state, verb, answer, answers[state][verb]);
			loop_close(loop);
			ck_assert_ptr_null(strstr(noted(), "v!"));
		}
}
END_TEST

/* S15: done from a cleanup to the task itself, in every verb. */
static void doing_cleanup(struct apus_cx *cx, struct actor *self)
{
	note("%d! ", verb_do(cx->loop, (enum verb)self->value, *self->other));
}

APUS_TASK(does_in_cleanup, struct actor, doing_cleanup)
{
	(void)cx, (void)self;
	return 3;
}

/* S15. */
START_TEST(every_verb_on_oneself_from_the_own_cleanup_is_harmless)
{
	static const char *const answers[VERBS] = { "0! ", "0! ", "-11! ", "0! " };
	int verb, aborted;

	for (verb = 0; verb < VERBS; verb++)
		for (aborted = 0; aborted < 2; aborted++) {
			struct apus_loop *loop = open_slots(2, 1);
			struct apus_join self;
			struct actor init = { .value = verb, .other = &self };
			int expected = verb == DETACH ? -ESTALE : aborted ? -ECANCELED : 0;

			apus_spawn_slab(loop, does_in_cleanup, &init, &self);
			if (aborted)
				apus_abort(loop, self);
			turns(loop, 3);
			ck_assert_str_eq(noted(), answers[verb]);
			ck_assert_int_eq(apus_try_join(loop, self, NULL), expected);
			ck_assert_uint_eq(counters(loop).slots_used, 0);
			ck_assert_uint_eq(counters(loop).tasks_live, 0);
			ck_assert_uint_eq(counters(loop).tasks_unjoined, 0);
			loop_close(loop);
		}
}
END_TEST

/* ---- sets -------------------------------------------------------------- */

struct owner {
	struct apus_frame frame;
	struct apus_set set;
	int64_t got, result;
	struct flag *flag;
	int rounds;
};

static void owner_cleanup(struct apus_cx *cx, struct owner *self)
{
	(void)cx;
	note("owner! ");
	apus_set_deinit(&self->set);
}

static void set_fill(struct apus_cx *cx, struct owner *self)
{
	int i;

	ck_assert_int_eq(apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop)), 0);
	for (i = 0; i < self->rounds; i++) {
		struct actor init = { .name = (char)('a' + i), .rounds = self->rounds - i,
			.answer = i };

		ck_assert_int_eq(apus_set_spawn(&self->set, yielder, &init), 0);
	}
}

APUS_TASK(takes_next, struct owner, owner_cleanup)
{
	APUS_BEGIN(cx, self);
	set_fill(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, apus_set_next(cx, &self->set, &self->result));
		if (self->got == -ENOENT)
			break;
		note("[%d,%d] ", (int)self->got, (int)self->result);
	}
	APUS_END(0);
}

APUS_TASK(takes_all, struct owner, owner_cleanup)
{
	APUS_BEGIN(cx, self);
	set_fill(cx, self);
	APUS_AWAIT(self->got, apus_set_all(cx, &self->set));
	note("all %d ", (int)self->got);
	APUS_AWAIT(self->got, apus_set_all(cx, &self->set));
	note("again %d ", (int)self->got);
	APUS_END(0);
}

static void turn_out(struct apus_loop *loop)
{
	int left = 1000;

	while (counters(loop).tasks_live != 0 && left-- > 0)
		apus_turn(loop);
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
}

START_TEST(a_set_answers_its_members_in_the_order_they_end)
{
	struct apus_loop *loop = loop_open(_i);

	apus_spawn_slab(loop, takes_next, (&(struct owner){ .rounds = 3 }), NULL);
	turn_out(loop);
	expect_notes("a b c a b c. c! [0,2] a b. b! [0,1] a. a! [0,0] owner! ");
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	ck_assert_uint_eq(counters(loop).tasks_unjoined, 0);
	ck_assert_uint_eq(counters(loop).tokens_used, 0);
	loop_close(loop);
}
END_TEST

START_TEST(a_set_can_be_awaited_as_a_whole)
{
	struct apus_loop *loop = loop_open(_i);

	apus_spawn_slab(loop, takes_all, (&(struct owner){ .rounds = 2 }), NULL);
	turn_out(loop);
	expect_notes("a b a b. b! a. a! all 2 again 0 owner! ");
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	loop_close(loop);
}
END_TEST

/* Whoever owns the set is aborted: its members go with it. */
START_TEST(deinit_of_a_set_aborts_its_live_members)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join join;

	apus_spawn_slab(loop, takes_next, (&(struct owner){ .rounds = 3 }), &join);
	turns(loop, 1);
	noted();
	apus_abort(loop, join);
	turns(loop, 1);
	ck_assert_ptr_eq(strstr(notes, "owner! "), notes);
	turn_out(loop);
	ck_assert_ptr_nonnull(strstr(notes, "a! "));
	ck_assert_ptr_nonnull(strstr(notes, "b! "));
	ck_assert_ptr_nonnull(strstr(notes, "c! "));
	ck_assert_ptr_null(strstr(notes, "["));
	ck_assert_int_eq(apus_try_join(loop, join, NULL), -ECANCELED);
	turns(loop, 1);
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	ck_assert_uint_eq(counters(loop).tokens_used, 0);
	loop_close(loop);
}
END_TEST

static void set_ending_cleanup(struct apus_cx *cx, struct actor *self)
{
	(void)cx;
	note("%c! ", self->name);
	apus_set_deinit((struct apus_set *)(void *)self->flag);
}

APUS_TASK(ends_its_set, struct actor, set_ending_cleanup)
{
	(void)cx, (void)self;
	return 0;
}

/* S15: the set ends by the hand of a member that is ending itself. */
START_TEST(a_members_cleanup_may_deinit_its_own_set)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_set set;
	struct actor other = { .name = 'o', .rounds = 1000 };
	struct actor init = { .name = 'm', .flag = (struct flag *)(void *)&set };

	ck_assert_int_eq(apus_set_init(&set, loop, apus_loop_token(loop)), 0);
	ck_assert_int_eq(apus_set_spawn(&set, ends_its_set, &init), 0);
	ck_assert_int_eq(apus_set_spawn(&set, yielder, &other), 0);
	turns(loop, 4);
	ck_assert_str_eq(noted(), "m! o! ");
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(until_cancelled, struct owner)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_cancelled(cx, self->set.token));
	note("asked ");
	APUS_END(0);
}

START_TEST(cancel_asks_the_members_and_abort_ends_them)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_set set;
	struct owner look = { .rounds = 0 };
	struct actor deaf = { .name = 'd', .rounds = 1000 };
	apus_poll results[3];

	ck_assert_int_eq(apus_set_init(&set, loop, apus_loop_token(loop)), 0);
	look.set.token = set.token;
	ck_assert_int_eq(apus_set_spawn(&set, until_cancelled, &look), 0);
	ck_assert_int_eq(apus_set_spawn(&set, until_cancelled, &look), 0);
	ck_assert_int_eq(apus_set_spawn(&set, yielder, &deaf), 0);
	turns(loop, 1);
	noted();
	apus_set_cancel(&set);
	turns(loop, 2);
	ck_assert_ptr_nonnull(strstr(notes, "asked asked "));
	ck_assert_uint_eq(set.live_count, 1);
	ck_assert_uint_eq(set.ended_count, 2);
	ck_assert_uint_eq(apus_set_abort(&set), 1);
	ck_assert_uint_eq(apus_set_abort(&set), 0);
	turns(loop, 2);
	ck_assert_uint_eq(set.live_count, 0);
	ck_assert_int_eq(apus_set_next(apus_loop_cx(loop), &set, &results[0]), 0);
	ck_assert_int_eq(apus_set_next(apus_loop_cx(loop), &set, &results[1]), 0);
	ck_assert_int_eq(apus_set_next(apus_loop_cx(loop), &set, &results[2]), -ECANCELED);
	ck_assert_int_eq(apus_set_next(apus_loop_cx(loop), &set, &results[2]), -ENOENT);
	apus_set_deinit(&set);
	turns(loop, 1);
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	loop_close(loop);
}
END_TEST

/* A set takes over joins, ended ones as well; the handles are used up. */
START_TEST(adopting_uses_up_the_join_and_wakes_who_waited_for_it)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_set set;
	struct apus_join live = spawn_yielder(loop, 'l', 3, 1), ended = spawn_yielder(loop, 'e',
		0, 2);
	apus_poll result = 0;

	ck_assert_int_eq(apus_set_init(&set, loop, apus_loop_token(loop)), 0);
	spawn_joiner(loop, 'j', &live);
	turns(loop, 1);
	noted();
	ck_assert_int_eq(apus_set_adopt(&set, live), 0);
	ck_assert_int_eq(apus_set_adopt(&set, ended), 0);
	ck_assert_int_eq(apus_set_adopt(&set, live), -ESTALE);
	ck_assert_int_eq(apus_try_join(loop, live, NULL), -ESTALE);
	ck_assert_int_eq(apus_detach(loop, ended), -ESTALE);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "j=-116,-1 "));
	ck_assert_int_eq(apus_set_next(apus_loop_cx(loop), &set, &result), 0);
	ck_assert_int_eq(result, 2);
	turns(loop, 5);
	ck_assert_int_eq(apus_set_next(apus_loop_cx(loop), &set, &result), 0);
	ck_assert_int_eq(result, 1);
	apus_set_deinit(&set);
	loop_close(loop);
}
END_TEST

/* ---- guards ------------------------------------------------------------ */

struct guarded {
	struct apus_frame frame;
	struct apus_guard guard, disarmed;
	struct apus_token token, kept;
	int64_t rounds;
};

APUS_TASK(guarded, struct guarded)
{
	APUS_BEGIN(cx, self);
	apus_guard_arm(cx, &self->guard, self->kept);
	apus_guard_arm(cx, &self->guard, self->token); /* changes its mind */
	apus_guard_arm(cx, &self->disarmed, self->kept);
	apus_guard_disarm(&self->disarmed);
	APUS_WAIT(apus_sleep(cx, self->rounds));
	APUS_END(0);
}

START_TEST(a_guard_cancels_its_token_however_its_task_ends)
{
	int way;

	for (way = 0; way < 2; way++) {
		struct apus_loop *loop = loop_open(_i);
		struct guarded init = { .rounds = way == 0 ? 1 : APUS_NEVER };
		struct apus_join join;

		apus_token_child(loop, apus_loop_token(loop), &init.token);
		apus_token_child(loop, apus_loop_token(loop), &init.kept);
		apus_spawn_slab(loop, guarded, &init, &join);
		turns(loop, 1);
		ck_assert(!apus_token_is_cancelled(loop, init.token));
		if (way == 1)
			apus_abort(loop, join);
		turns(loop, 3);
		ck_assert(apus_token_is_cancelled(loop, init.token));
		ck_assert(!apus_token_is_cancelled(loop, init.kept));
		loop_close(loop);
	}
}
END_TEST

/* ---- looking ----------------------------------------------------------- */

struct seen {
	char text[2048];
};

static void see(void *arg, const struct apus_task_info *info)
{
	struct seen *seen = (struct seen *)arg;
	size_t used = strlen(seen->text);
	const char *file = info->site ? strrchr(info->site->file, '/') : NULL;

	snprintf(seen->text + used, sizeof seen->text - used, "%s %d %s:%d %s|", info->name,
		info->status,
		file ? file + 1 : info->site ? info->site->file : "-",
			info->site ? info->site->line : 0,
		info->site ? info->site->function : "-");
}

struct outer {
	struct apus_frame frame;
	struct inner {
		struct apus_frame frame;
		int line;
	} inner;
};

static apus_poll inner_wait(struct apus_cx *cx, struct inner *self)
{
	APUS_BEGIN(cx, self);
	self->line = __LINE__; APUS_WAIT(apus_sleep(cx, APUS_SEC));
	APUS_END(1);
}

APUS_TASK(dumped, struct outer)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(inner_wait(cx, &self->inner));
	APUS_END(0);
}

/* The dump names each task, its state and the innermost file:line where it waits. */
START_TEST(the_dump_names_where_each_task_waits)
{
	struct apus_loop *loop = loop_open(0);
	struct seen seen = { "" };
	struct apus_join join, aborted;
	struct outer *outer;
	char expected[1024];

	apus_spawn_slab(loop, dumped, NULL, &join);
	spawn_yielder(loop, 'e', 0, 0);
	aborted = spawn_yielder(loop, 'b', 9, 0);
	turns(loop, 1);
	spawn_yielder(loop, 'r', 0, 0);
	apus_abort(loop, aborted);
	outer = (struct outer *)apus_join_state(loop, join);
	snprintf(expected, sizeof expected, "dumped %d test_task.c:%d inner_wait|yielder %d -:0 -|"
		"yielder %d -:0 -|yielder %d -:0 -|", APUS_STATUS_WAITING, outer->inner.line,
		APUS_STATUS_ENDED, APUS_STATUS_ABORTED, APUS_STATUS_READY);
	apus_dump(loop, see, &seen);
	ck_assert_str_eq(seen.text, expected);
	loop_close(loop);
}
END_TEST

struct loser {
	struct apus_frame frame;
	struct inner *inner;
	struct flag *flag;
	int64_t which, value;
	int line;
};

/* Its sub-task loses, and is freed: nothing may remember its frame. */
APUS_TASK(frees_the_loser, struct loser)
{
	APUS_BEGIN(cx, self);
	self->inner = calloc(1, sizeof *self->inner);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, inner_wait(cx, self->inner),
		flag_up(cx, self->flag)));
	memset(self->inner, 0xa5, sizeof *self->inner);
	free(self->inner);
	self->line = __LINE__; APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	APUS_END(0);
}

/* Promise 3's spirit: the dump does not look into a sub-task that was abandoned and freed. */
START_TEST(the_dump_does_not_name_an_abandoned_sub_task)
{
	struct apus_loop *loop = loop_open(0);
	struct flag flag = { 0 };
	struct seen seen = { "" };
	struct apus_join join;
	char expected[256];

	apus_spawn_slab(loop, frees_the_loser, (&(struct loser){ .flag = &flag }), &join);
	turns(loop, 1);
	flag_raise(&flag);
	turns(loop, 1);
	snprintf(expected, sizeof expected,
		"frees_the_loser %d test_task.c:%d apus_body_frees_the_loser|",
		APUS_STATUS_WAITING, ((struct loser *)apus_join_state(loop, join))->line);
	apus_dump(loop, see, &seen);
	ck_assert_str_eq(seen.text, expected);
	loop_close(loop);
}
END_TEST

APUS_TASK(dumps_itself, struct loser)
{
	struct seen seen = { "" };

	APUS_BEGIN(cx, self);
	self->inner = calloc(1, sizeof *self->inner);
	APUS_WAIT(inner_wait(cx, self->inner));
	memset(self->inner, 0xa5, sizeof *self->inner);
	free(self->inner);
	apus_dump(cx->loop, see, &seen);
	note("%s", seen.text);
	APUS_END(0);
}

/* Suspends in a sub-task first, and then without a frame. */
APUS_TASK(goes_on_without_a_frame, struct loser)
{
	APUS_BEGIN(cx, self);
	if (self->line++ > 0)
		return apus_again(cx);
	self->inner = calloc(1, sizeof *self->inner);
	APUS_WAIT(inner_wait(cx, self->inner));
	memset(self->inner, 0xa5, sizeof *self->inner);
	free(self->inner);
	return apus_again(cx);
	APUS_END(0);
}

START_TEST(the_dump_follows_no_frame_of_a_poll_before_the_last)
{
	struct apus_loop *loop = loop_open(0);
	struct seen seen = { "" };

	apus_spawn_slab(loop, goes_on_without_a_frame, NULL, NULL);
	turns(loop, 1);
	time_pass(loop, APUS_SEC);
	turns(loop, 2);
	apus_dump(loop, see, &seen);
	ck_assert_str_eq(seen.text, "goes_on_without_a_frame 0 -:0 -|");
	loop_close(loop);
}
END_TEST

/* Nor into one of the slot's last owner, nor into one that has just ended. */
START_TEST(the_dump_does_not_look_into_frames_that_are_over)
{
	struct apus_loop *loop = open_slots(1, 1);
	struct seen seen = { "" };

	apus_spawn_slab(loop, dumps_itself, NULL, NULL);
	turns(loop, 1);
	time_pass(loop, APUS_SEC);
	turns(loop, 1);
	expect_notes("dumps_itself 1 -:0 -|");
	spawn_yielder(loop, 'n', 0, 0);
	apus_dump(loop, see, &seen);
	ck_assert_str_eq(seen.text, "yielder 0 -:0 -|");
	loop_close(loop);
}
END_TEST

/* ---- frames ------------------------------------------------------------ */

#if APUS_DEBUG
struct frameless {
	int polls;
};

APUS_TASK(frameless, struct frameless)
{
	self->polls++;
	return apus_sleep(cx, APUS_SEC);
}

static void sleep_without_a_frame(void *arg)
{
	struct apus_loop *loop = loop_open(0);

	(void)arg;
	spawn_yielder(loop, 'n', 0, 5); /* leaves a frame of its own behind */
	apus_spawn_slab(loop, frameless, NULL, NULL);
	turns(loop, 1);
}

/* Promise 12: nothing says when its await began. */
START_TEST(a_relative_time_without_a_frame_panics_in_a_debug_build)
{
	test_expect_panic("cx->frame", sleep_without_a_frame, NULL);
}
END_TEST
#endif

struct deep {
	struct apus_frame frame;
	struct deep_sub {
		struct apus_frame frame;
		struct deep_sub2 {
			struct apus_frame frame;
			int i;
		} sub;
		int i;
	} sub;
	int64_t got;
	int i;
};

static apus_poll deep_sub2(struct apus_cx *cx, struct deep_sub2 *self)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 2; self->i++) {
		APUS_WAIT(apus_yield(cx));
		note("2 ");
	}
	APUS_END(20);
}

static apus_poll deep_sub1(struct apus_cx *cx, struct deep_sub *self)
{
	apus_poll got;

	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 2; self->i++) {
		APUS_AWAIT(got, deep_sub2(cx, &self->sub));
		note("1:%d ", (int)got);
	}
	APUS_END(10);
}

APUS_TASK(deep, struct deep)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 2; self->i++) {
		APUS_AWAIT(self->got, deep_sub1(cx, &self->sub));
		note("0:%d ", (int)self->got);
	}
	APUS_END(0);
}

START_TEST(sub_tasks_nest_and_begin_anew_each_time)
{
	struct apus_loop *loop = loop_open(_i);

	apus_spawn_slab(loop, deep, NULL, NULL);
	turns(loop, 10);
	expect_notes("2 2 1:20 2 2 1:20 0:10 2 2 1:20 2 2 1:20 0:10 ");
	loop_close(loop);
}
END_TEST

struct switching {
	struct apus_frame frame;
	int step;
};

APUS_TASK(switching, struct switching)
{
	APUS_BEGIN(cx, self);
	for (self->step = 0; self->step < 4; self->step++) {
		switch (self->step) {
		case 0:
			APUS_WAIT(apus_yield(cx));
			note("zero ");
			break;
		case 1:
			note("one ");
			/* fall through */
		case 2:
			APUS_WAIT(apus_sleep(cx, 1));
			note("two ");
			break;
		default:
			APUS_WAIT(apus_yield(cx));
			note("more ");
		}
	}
	APUS_END(0);
}

START_TEST(an_await_may_stand_inside_a_switch)
{
	struct apus_loop *loop = loop_open(_i);

	apus_spawn_slab(loop, switching, NULL, NULL);
	turn_out(loop);
	expect_notes("zero one two two more ");
	loop_close(loop);
}
END_TEST

struct early {
	struct apus_frame frame;
	int rounds;
	struct early_sub {
		struct apus_frame frame;
		int leave;
	} sub;
	int64_t got;
};

static apus_poll early_sub(struct apus_cx *cx, struct early_sub *self)
{
	APUS_BEGIN(cx, self);
	note("begin ");
	APUS_WAIT(apus_yield(cx));
	if (self->leave)
		return -7;
	APUS_WAIT(apus_yield(cx));
	APUS_END(7);
}

APUS_TASK(early, struct early)
{
	APUS_BEGIN(cx, self);
	self->sub.leave = 1;
	APUS_AWAIT(self->got, early_sub(cx, &self->sub));
	note("%d ", (int)self->got);
	self->sub.leave = 0;
	APUS_AWAIT(self->got, early_sub(cx, &self->sub));
	note("%d ", (int)self->got);
	self->sub.leave = 1;
	APUS_TRY(self->got, early_sub(cx, &self->sub));
	note("never ");
	APUS_END(0);
}

/* A return in the middle resets the frame; APUS_TRY passes a negative answer on. */
START_TEST(a_plain_return_resets_the_frame)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_join join;
	apus_poll result = 0;

	apus_spawn_slab(loop, early, NULL, &join);
	turn_out(loop);
	expect_notes("begin -7 begin 7 begin ");
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, -7);
	loop_close(loop);
}
END_TEST

struct narrow {
	struct apus_frame frame;
	int got;
};

APUS_TASK(narrow, struct narrow)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_sleep(cx, APUS_MSEC));
	note("%d at %d ", self->got, (int)(cx->now_ns / APUS_USEC));
	APUS_END(0);
}

/* API.md: an int truncates APUS_PENDING to 0; the macro must test before it assigns. */
START_TEST(a_narrow_result_does_not_run_past_a_pending_await)
{
	struct apus_loop *loop = loop_open(_i);

	apus_spawn_slab(loop, narrow, NULL, NULL);
	turn_out(loop);
	expect_notes("0 at 1000 ");
	loop_close(loop);
}
END_TEST

/* ---- select and timeout ------------------------------------------------ */

struct choice {
	struct apus_frame frame;
	struct sem *sems;
	int64_t which, value;
	int rounds;
	int won[8];
};

APUS_TASK(first_of_two, struct choice)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, sem_take(cx, &self->sems[0]),
		sem_take(cx, &self->sems[1])));
	note("%d ", (int)self->which);
	APUS_END(0);
}

START_TEST(select_stops_at_the_first_ready_arm_and_the_rest_consume_nothing)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sems[2] = { { .units = 1 }, { .units = 1 } };

	apus_spawn_slab(loop, first_of_two, (&(struct choice){ .sems = sems }), NULL);
	turns(loop, 1);
	expect_notes("0 ");
	ck_assert_uint_eq(sems[0].units, 0);
	ck_assert_uint_eq(sems[1].units, 1);
	apus_spawn_slab(loop, first_of_two, (&(struct choice){ .sems = sems }), NULL);
	turns(loop, 1);
	expect_notes("1 ");
	loop_close(loop);
}
END_TEST

#define S(i) sem_take(cx, &self->sems[i])

APUS_TASK(eight_ways, struct choice)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, S(0), S(1)));
	note("%d ", (int)self->which);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, S(0), S(1), S(2)));
	note("%d ", (int)self->which);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, S(0), S(1), S(2), S(3)));
	note("%d ", (int)self->which);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, S(0), S(1), S(2), S(3), S(4)));
	note("%d ", (int)self->which);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, S(0), S(1), S(2), S(3), S(4), S(5)));
	note("%d ", (int)self->which);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, S(0), S(1), S(2), S(3), S(4), S(5), S(6)));
	note("%d ", (int)self->which);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, S(0), S(1), S(2), S(3), S(4), S(5), S(6),
		S(7)));
	note("%d ", (int)self->which);
	APUS_AWAIT(self->which,
		APUS_SELECT_FAIR(cx, self->value, S(0), S(1), S(2), S(3), S(4), S(5), S(6), S(7)));
	note("fair %d ", (int)self->which);
	APUS_END(0);
}

START_TEST(select_takes_two_to_eight_arms)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sems[8] = { { { 0 }, 0 } };
	int i;

	apus_spawn_slab(loop, eight_ways, (&(struct choice){ .sems = sems }), NULL);
	turns(loop, 1);
	for (i = 1; i < 8; i++) {
		sem_put(&sems[i]);
		turns(loop, 1);
	}
	sem_put(&sems[5]);
	turns(loop, 1);
	expect_notes("1 2 3 4 5 6 7 fair 5 ");
	for (i = 0; i < 8; i++) {
		ck_assert_ptr_null(sems[i].waiters.head);
		ck_assert_uint_eq(sems[i].units, 0);
	}
	loop_close(loop);
}
END_TEST

APUS_TASK(fairly, struct choice)
{
	APUS_BEGIN(cx, self);
	while (self->rounds-- > 0) {
		APUS_AWAIT(self->which, APUS_SELECT_FAIR(cx, self->value, S(0), S(1), S(2)));
		self->won[self->which]++;
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(0);
}

/* S3: with every arm ready all the time, each wins its share. */
START_TEST(the_fair_select_favours_no_arm)
{
	struct apus_loop *loop = loop_open(0);
	struct sem sems[3] = { { .units = 1000 }, { .units = 1000 }, { .units = 1000 } };
	struct apus_join join;
	struct choice *state;

	apus_spawn_slab(loop, fairly, (&(struct choice){ .sems = sems, .rounds = 300 }), &join);
	turn_out(loop);
	state = (struct choice *)apus_join_state(loop, join);
	ck_assert_int_eq(state->won[0], 100);
	ck_assert_int_eq(state->won[1], 100);
	ck_assert_int_eq(state->won[2], 100);
	ck_assert_uint_eq(sems[0].units, 900);
	loop_close(loop);
}
END_TEST

#undef S

struct timed {
	struct apus_frame frame;
	struct sem *sem;
	int64_t got, which, value, ns;
	struct apus_join *other;
	struct inner inner;
};

APUS_TASK(timed, struct timed)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_timeout(cx, self->ns, sem_take(cx, self->sem)));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_END(0);
}

START_TEST(a_timeout_answers_etime_at_its_deadline_and_not_before)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };

	apus_spawn_slab(loop, timed, (&(struct timed){ .sem = &sem, .ns = 1000 }), NULL);
	turn_out(loop);
	ck_assert_str_eq(noted(), "-62@1000 ");
	ck_assert_ptr_null(sem.waiters.head);
	ck_assert_uint_eq(counters(loop).timers_pending, 0);
	loop_close(loop);
}
END_TEST

/* Decision "deadline and value ready in the same turn". */
START_TEST(the_value_wins_over_a_deadline_of_the_same_turn)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };

	apus_spawn_slab(loop, timed, (&(struct timed){ .sem = &sem, .ns = 1000 }), NULL);
	turns(loop, 1);
	sem_put(&sem);
	time_set(loop, 5000);
	turns(loop, 1);
	expect_notes("0@5000 ");
	loop_close(loop);
}
END_TEST

/* Decision "relative timeout": counted from when the await began, however often it is looked at. */
START_TEST(a_timeout_does_not_restart_when_it_is_evaluated_again)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	int i;

	apus_spawn_slab(loop, timed, (&(struct timed){ .sem = &sem, .ns = 1000 }), NULL);
	turns(loop, 1);
	for (i = 1; i <= 9; i++) {
		time_set(loop, i * 100);
		apus_waitq_wake(&sem.waiters);
		turns(loop, 1);
	}
	expect_notes("");
	turn_out(loop);
	ck_assert_str_eq(noted(), "-62@1000 ");
	loop_close(loop);
}
END_TEST

/* P4: a timeout that was won leaves the wheel at once. */
START_TEST(a_timeout_that_was_won_is_not_in_the_wheel_any_more)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { .units = 1 };
	int i;

	for (i = 0; i < 10000; i++) {
		struct timed init = { .sem = &sem, .ns = 3600 * APUS_SEC };

		if (i % 2)
			sem.units = 0;
		apus_spawn_slab(loop, timed, &init, NULL);
		turns(loop, 1);
		if (i % 2) {
			ck_assert_uint_eq(counters(loop).timers_pending, 1);
			sem_put(&sem);
			turns(loop, 1);
			sem.units = 1;
		}
		ck_assert_uint_eq(counters(loop).timers_pending, 0);
		noted();
	}
	ck_assert_uint_eq(counters(loop).timers_fired, 0);
	loop_close(loop);
}
END_TEST

/* Its time-out is won, and then it awaits what has another deadline, or none. */
APUS_TASK(timed_twice, struct timed)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_timeout(cx, 1000, sem_take(cx, self->sem)));
	APUS_WAIT(apus_sleep_until(cx, self->ns));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_END(0);
}

/* A task has won its time-out of 1000 at 100, and now waits until ns. */
static struct apus_loop *open_timed_twice(int spurious, int64_t ns)
{
	struct apus_loop *loop = loop_open(spurious);
	struct sem sem = { 0 };

	apus_spawn_slab(loop, timed_twice, (&(struct timed){ .sem = &sem, .ns = ns }), NULL);
	turns(loop, 1);
	ck_assert_uint_eq(counters(loop).timers_pending, 1);
	time_set(loop, 100);
	sem_put(&sem);
	apus_turn(loop);
	return loop;
}

/* P4: nor does it stay while its task lives on, and waits for something without a deadline. */
START_TEST(a_timeout_that_was_won_is_gone_while_its_task_waits_on)
{
	struct apus_loop *loop = open_timed_twice(_i, APUS_NEVER);

	ck_assert_uint_eq(counters(loop).tasks_live, 1);
	ck_assert_uint_eq(counters(loop).timers_pending, 0);
	loop_close(loop);
}
END_TEST

/* Promise 1: a task has one timer, and it stands where the last poll asked for it. */
START_TEST(a_timer_moves_to_an_earlier_deadline)
{
	struct apus_loop *loop = open_timed_twice(_i, 150);

	turn_out(loop);
	expect_notes("0@150 ");
	ck_assert_uint_eq(counters(loop).timers_fired, 1);
	loop_close(loop);
}
END_TEST

START_TEST(a_timer_moves_to_a_later_deadline)
{
	struct apus_loop *loop = open_timed_twice(_i, 5000);

	turn_out(loop);
	expect_notes("0@5000 ");
	ck_assert_uint_eq(counters(loop).timers_fired, 1);
	loop_close(loop);
}
END_TEST

static apus_poll slow_sub(struct apus_cx *cx, struct inner *self)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, 100));
	APUS_WAIT(apus_timeout(cx, 100, apus_sleep(cx, 1000)));
	APUS_END(9);
}

APUS_TASK(times_all, struct timed)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_timeout(cx, 10, apus_sleep(cx, 20)));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_AWAIT(self->got, apus_timeout(cx, 10, apus_join(cx, *self->other, NULL)));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_AWAIT(self->got, apus_timeout(cx, 10, slow_sub(cx, &self->inner)));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	memset(&self->inner, 0, sizeof self->inner);
	APUS_AWAIT(self->got, apus_timeout(cx, 1000, slow_sub(cx, &self->inner)));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_AWAIT(self->got, apus_timeout(cx, 10, APUS_SELECT(self->value, apus_sleep(cx, 50),
		sem_take(cx, self->sem))));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_AWAIT(self->got, apus_timeout(cx, 50, apus_timeout(cx, 10, sem_take(cx, self->sem))));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_AWAIT(self->got, apus_timeout(cx, 10, apus_yield(cx)));
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_AWAIT(self->got, apus_timeout_at(cx, 5, sem_take(cx, self->sem))); /* long past */
	note("%d@%d ", (int)self->got, (int)cx->now_ns);
	APUS_END(0);
}

START_TEST(timeout_wraps_any_awaitable)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct flag flag = { 0 };
	struct apus_join other = spawn_waiter(loop, 'w', &flag), timed_task;
	int i;

	apus_spawn_slab(loop, times_all, (&(struct timed){ .sem = &sem, .other = &other }),
		&timed_task);
	for (i = 0; i < 100; i++)
		turns(loop, 1);
	ck_assert_str_eq(noted(),
		"-62@10 -62@20 -62@30 9@230 -62@240 -62@250 0@250 -62@250 ");
	loop_close(loop);
}
END_TEST

/* ---- waking the right one ---------------------------------------------- */

/* Decision "close": a join that waits while its loop closes is told, in the cleanup it gets. */
static void last_look(struct apus_cx *cx, struct actor *self)
{
	note("%d ", apus_try_join(cx->loop, *self->other, NULL));
}

APUS_TASK(looks_at_the_end, struct actor, last_look)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_join(cx, *self->other, NULL));
	note("never ");
	APUS_END(0);
}

/* P21. */
START_TEST(a_join_that_waits_while_the_loop_closes_is_cancelled)
{
	struct apus_loop *loop = loop_open(_i);
	struct flag flag = { 0 };
	struct apus_join other = spawn_waiter(loop, 'w', &flag);

	apus_spawn_slab(loop, looks_at_the_end, (&(struct actor){ .other = &other }), NULL);
	turns(loop, 2);
	loop_close(loop);
	ck_assert_str_eq(noted(), "w! -125 ");
}
END_TEST

LOOP_TEST_MAIN("task",
	ready_tasks_run_in_the_order_they_became_ready,
	spawns_and_wakes_join_this_turns_queue,
	a_yielder_is_ready_again_in_the_next_turn_and_not_in_this_one,
	leftovers_run_before_newcomers,
	urgent_runs_first_but_one_poll_in_lane_ratio_is_normal,
	normal_goes_on_where_lane_ratio_left_it_when_urgent_runs_empty,
	urgent_yielders_do_not_starve_normal_tasks_under_a_small_budget,
	yielders_beyond_the_budget_all_make_progress,
	newcomers_each_turn_do_not_starve_the_left_over,
	a_ping_pong_in_a_turn_ends_with_the_budget,
	timers_are_served_while_tasks_fill_the_budget,
	cleanup_runs_once_on_return,
	cleanup_runs_once_after_abort_in_the_next_turn,
	close_cleans_up_every_task_once,
	cleanups_run_in_the_order_of_abort_under_the_cancel_budget,
	a_task_that_aborts_itself_finishes_its_poll_and_is_not_polled_again,
	a_cleanup_may_spawn_but_not_once_the_loop_closes,
	a_cleanup_may_abort_others,
	a_cleanup_that_aborts_its_own_task_runs_once,
	an_abort_from_a_source_is_cleaned_up_in_the_next_turn,
	cancellation_walks_do_not_starve_cleanups,
	a_full_slab_answers_enospc_and_leaves_init_alone,
	a_state_too_large_answers_emsgsize_and_fits_a_box,
	a_state_is_aligned_in_a_slot_and_in_a_box,
	a_growing_slab_opens_chunks_that_are_counted,
	after_stop_spawning_is_refused_and_claims_can_be_dropped,
	a_claim_is_built_in_place_and_spawned_or_dropped,
	spawning_a_claim_twice_panics,
#if APUS_DEBUG
	a_relative_time_without_a_frame_panics_in_a_debug_build,
#endif
	join_answers_the_outcome_and_gives_the_result,
	a_second_join_answers_estale,
	a_join_never_reaches_the_next_owner_of_the_slot,
	a_join_of_a_closed_loop_is_stale,
	a_join_of_zeros_is_stale,
	an_ended_tasks_state_can_be_read_until_it_is_taken,
	joining_oneself_is_edeadlk,
	a_second_joiner_is_refused_with_ebusy,
	a_detached_task_runs_on_and_its_joiner_wakes_with_estale,
	a_joiner_whose_task_was_taken_by_another_wakes_with_estale,
	a_lost_join_does_not_spoil_that_of_the_slots_next_owner,
	every_verb_has_its_answer_in_every_state,
	every_verb_on_oneself_from_the_own_cleanup_is_harmless,
	a_set_answers_its_members_in_the_order_they_end,
	a_set_can_be_awaited_as_a_whole,
	deinit_of_a_set_aborts_its_live_members,
	a_members_cleanup_may_deinit_its_own_set,
	cancel_asks_the_members_and_abort_ends_them,
	adopting_uses_up_the_join_and_wakes_who_waited_for_it,
	a_guard_cancels_its_token_however_its_task_ends,
	the_dump_names_where_each_task_waits,
	the_dump_does_not_name_an_abandoned_sub_task,
	the_dump_does_not_look_into_frames_that_are_over,
	the_dump_follows_no_frame_of_a_poll_before_the_last,
	sub_tasks_nest_and_begin_anew_each_time,
	an_await_may_stand_inside_a_switch,
	a_plain_return_resets_the_frame,
	a_narrow_result_does_not_run_past_a_pending_await,
	select_stops_at_the_first_ready_arm_and_the_rest_consume_nothing,
	select_takes_two_to_eight_arms,
	the_fair_select_favours_no_arm,
	a_timeout_answers_etime_at_its_deadline_and_not_before,
	the_value_wins_over_a_deadline_of_the_same_turn,
	a_timeout_does_not_restart_when_it_is_evaluated_again,
	a_timeout_that_was_won_is_not_in_the_wheel_any_more,
	a_timeout_that_was_won_is_gone_while_its_task_waits_on,
	a_timer_moves_to_an_earlier_deadline,
	a_timer_moves_to_a_later_deadline,
	timeout_wraps_any_awaitable,
	a_join_that_waits_while_the_loop_closes_is_cancelled)
