#include "loop_test.h"

struct taker {
	struct apus_frame frame;
	struct sem *sem;
	struct flag *flag;
	char name;
	int64_t got, value;
	struct sem *more;
};

/* Takes one unit, and says so. */
APUS_TASK(take, struct taker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, sem_take(cx, self->sem));
	note("%c%d ", self->name, (int)self->got);
	APUS_END(self->got);
}

/* Whichever comes first, the flag before the semaphore; then stays until the end of time. */
APUS_TASK(flag_or_take, struct taker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, APUS_SELECT(self->value, flag_up(cx, self->flag), sem_take(cx,
		self->sem)));
	note("%c%d ", self->name, (int)self->got);
	APUS_WAIT(apus_sleep_until(cx, APUS_NEVER));
	APUS_END(0);
}

static struct apus_join spawn_take(struct apus_loop *loop, struct sem *sem, char name)
{
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, take, (&(struct taker){ .sem = sem,
		.name = name }), &join), 0);
	return join;
}

static struct apus_join spawn_flag_or_take(struct apus_loop *loop, struct flag *flag,
	struct sem *sem,
	char name)
{
	struct taker init = { .sem = sem, .flag = flag, .name = name };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, flag_or_take, &init, &join), 0);
	return join;
}

/* Promise 3. */
START_TEST(a_wait_that_a_poll_did_not_renew_is_unlinked_at_its_end)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct flag flag = { 0 };

	spawn_flag_or_take(loop, &flag, &sem, 'a');
	turns(loop, 2);
	ck_assert_uint_eq(queue_count(&sem.waiters), 1);
	ck_assert_uint_eq(queue_count(&flag.waiters), 1);
	flag_raise(&flag);
	turns(loop, 1);
	expect_notes("a0 ");
	ck_assert_ptr_null(sem.waiters.head);
	ck_assert_ptr_null(sem.waiters.tail);
	ck_assert_ptr_null(sem.waiters.waiting);
	ck_assert_ptr_null(flag.waiters.head);
	ck_assert_uint_eq(counters(loop).tasks_live, 1);
	loop_close(loop);
}
END_TEST

/* Promise 3: waking without giving does not cost a waiter its place. */
START_TEST(a_place_in_the_queue_is_kept_while_it_is_renewed)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	int i;

	spawn_take(loop, &sem, 'a');
	spawn_take(loop, &sem, 'b');
	spawn_take(loop, &sem, 'c');
	turns(loop, 1);
	for (i = 0; i < 5; i++) {
		apus_waitq_wake(&sem.waiters);
		turns(loop, 1);
	}
	for (i = 0; i < 5; i++) {
		apus_waitq_wake_all(&sem.waiters);
		turns(loop, 1);
	}
	ck_assert_uint_eq(queue_count(&sem.waiters), 3);
	expect_notes("");
	for (i = 0; i < 3; i++)
		sem_put(&sem);
	turns(loop, 1);
	expect_notes("a0 b0 c0 ");
	ck_assert_ptr_null(sem.waiters.head);
	loop_close(loop);
}
END_TEST

/* Promise 3. */
START_TEST(a_grant_passes_on_when_its_holder_loses_a_select)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct flag flag = { 0 };

	spawn_flag_or_take(loop, &flag, &sem, 'a');
	spawn_take(loop, &sem, 'b');
	turns(loop, 1);
	sem_put(&sem);
	flag_raise(&flag);
	turns(loop, 1);
	expect_notes("a0 b0 ");
	ck_assert_uint_eq(sem.units, 0);
	ck_assert_ptr_null(sem.waiters.head);
	loop_close(loop);
}
END_TEST

/* Promise 3: with nobody behind it, and several grants at once. */
START_TEST(grants_pass_over_all_who_went_away)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct flag flag = { 0 };

	spawn_flag_or_take(loop, &flag, &sem, 'a');
	spawn_flag_or_take(loop, &flag, &sem, 'b');
	spawn_take(loop, &sem, 'c');
	spawn_take(loop, &sem, 'd');
	turns(loop, 1);
	sem_put(&sem);
	sem_put(&sem);
	flag_raise(&flag);
	turns(loop, 1);
	expect_notes("a0 b0 c0 d0 ");
	loop_close(loop);
}
END_TEST

/* Promise 3, S5: a value must not be lost with the waiter it was for. */
START_TEST(a_grant_passes_on_when_its_holder_is_aborted)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct apus_join first;

	first = spawn_take(loop, &sem, 'a');
	spawn_take(loop, &sem, 'b');
	turns(loop, 1);
	sem_put(&sem);
	ck_assert_int_eq(apus_abort(loop, first), 1);
	turns(loop, 2);
	expect_notes("b0 ");
	loop_close(loop);
}
END_TEST

/* Its deadline comes in the very turn of the grant, and is looked at first. */
APUS_TASK(sleep_or_take, struct taker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, APUS_SELECT(self->value, apus_sleep(cx, APUS_MSEC), sem_take(cx,
		self->sem)));
	note("%c%d ", self->name, (int)self->got);
	APUS_END(0);
}

/* Promise 3. */
START_TEST(a_grant_passes_on_when_its_holder_times_out)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct taker init = { .sem = &sem, .name = 'a' };

	apus_spawn_slab(loop, sleep_or_take, &init, NULL);
	spawn_take(loop, &sem, 'b');
	turns(loop, 1);
	sem_put(&sem);
	time_set(loop, APUS_MSEC);
	turns(loop, 1);
	expect_notes("a0 b0 ");
	loop_close(loop);
}
END_TEST

/* Promise 3: the memory of the queue is gone at once, and nobody looks at it. */
START_TEST(deinit_wakes_every_waiter_with_epipe_and_the_memory_may_be_freed)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem *sem = calloc(1, sizeof *sem);

	spawn_take(loop, sem, 'a');
	spawn_take(loop, sem, 'b');
	spawn_take(loop, sem, 'c');
	turns(loop, 1);
	sem_put(sem); /* one of them holds a grant */
	apus_waitq_deinit(&sem->waiters);
	ck_assert_ptr_null(sem->waiters.head);
	memset(sem, 0xa5, sizeof *sem);
	free(sem);
	turns(loop, 2);
	ck_assert_str_eq(noted(), "a-32 b-32 c-32 ");
	ck_assert_uint_eq(pool_count(loop), 64);
	loop_close(loop);
}
END_TEST

/* Promise 3: the wake of a deinit finds a task that no longer cares, or none. */
START_TEST(deinit_harms_neither_the_aborted_nor_who_lost_interest)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem *sem = calloc(1, sizeof *sem);
	struct flag flag = { 0 };
	struct apus_join aborted;

	spawn_flag_or_take(loop, &flag, sem, 'a');
	aborted = spawn_take(loop, sem, 'b');
	turns(loop, 1);
	flag_raise(&flag);
	apus_waitq_deinit(&sem->waiters);
	free(sem);
	ck_assert_int_eq(apus_abort(loop, aborted), 1);
	turns(loop, 2);
	expect_notes("a0 ");
	ck_assert_uint_eq(pool_count(loop), 64);
	loop_close(loop);
}
END_TEST

/* Loses the semaphore's arm, makes the semaphore anew, and awaits that, in one poll. */
APUS_TASK(remake, struct taker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, APUS_SELECT(self->value, flag_up(cx, self->flag), sem_take(cx,
		self->sem)));
	apus_waitq_deinit(&self->sem->waiters);
	memset(self->sem, 0, sizeof *self->sem);
	APUS_AWAIT(self->got, sem_take(cx, self->sem));
	note("%d ", (int)self->got);
	APUS_END(0);
}

/* The same with the arms the other way round: the wait is renewed in the poll that loses it. */
APUS_TASK(remake_renewed, struct taker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, APUS_SELECT(self->value, sem_take(cx, self->sem), flag_up(cx,
		self->flag)));
	apus_waitq_deinit(&self->sem->waiters);
	memset(self->sem, 0, sizeof *self->sem);
	APUS_AWAIT(self->got, sem_take(cx, self->sem));
	note("%d ", (int)self->got);
	APUS_END(0);
}

START_TEST(a_queue_made_anew_in_the_poll_that_renewed_and_lost_the_old_one_is_not_broken)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct flag flag = { 0 };

	apus_spawn_slab(loop, remake_renewed, (&(struct taker){ .sem = &sem, .flag = &flag }),
		NULL);
	turns(loop, 1);
	flag_raise(&flag);
	turns(loop, 2);
	expect_notes("");
	sem_put(&sem);
	turns(loop, 1);
	expect_notes("0 ");
	ck_assert_uint_eq(pool_count(loop), 64);
	loop_close(loop);
}
END_TEST

/* Promise 3: an abandoned wait of the old queue says nothing about the new one. */
START_TEST(a_queue_made_anew_in_the_poll_that_lost_the_old_one_is_not_broken)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct flag flag = { 0 };

	apus_spawn_slab(loop, remake, (&(struct taker){ .sem = &sem, .flag = &flag }), NULL);
	turns(loop, 1);
	flag_raise(&flag);
	turns(loop, 2);
	expect_notes("");
	sem_put(&sem);
	turns(loop, 1);
	expect_notes("0 ");
	loop_close(loop);
}
END_TEST

static apus_poll deinit_once(struct apus_cx *cx, struct taker *self)
{
	(void)cx;
	if (self->value == 0) {
		self->value = 1;
		apus_waitq_deinit(&self->sem->waiters);
		memset(self->sem, 0xa5, sizeof *self->sem);
	}
	return APUS_PENDING;
}

/* The queue goes after this poll has waited on it, by the waiter's own hand. */
APUS_TASK(deinit_own, struct taker)
{
	apus_poll ignored;

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, APUS_SELECT(ignored, sem_take(cx, self->sem), deinit_once(cx, self)));
	note("%d,%d ", (int)self->got, (int)ignored);
	APUS_END(0);
}

/* Promise 3. */
START_TEST(deinit_of_a_queue_in_the_poll_that_waits_on_it_answers_epipe_in_the_next)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };

	apus_spawn_slab(loop, deinit_own, (&(struct taker){ .sem = &sem }), NULL);
	turns(loop, 2);
	expect_notes("0,-32 ");
	loop_close(loop);
}
END_TEST

struct many {
	struct apus_frame frame;
	struct sem *sems;
	int64_t which, value;
};

APUS_TASK(take_any, struct many)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, sem_take(cx, &self->sems[0]),
		sem_take(cx, &self->sems[1]), sem_take(cx, &self->sems[2])));
	note("%d,%d ", (int)self->which, (int)self->value);
	APUS_END(0);
}

/* Refused for want of a node: an answer, counted, that consumed nothing. */
START_TEST(without_a_wait_node_the_answer_is_enobufs_and_nothing_is_consumed)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct sem sems[3] = { { { 0 }, 0 } };
	uint64_t before;

	config_virtual(&config, _i);
	config.wait_count = 1;
	loop = loop_open_with(&config);
	before = counters(loop).wait_refusals;
	apus_spawn_slab(loop, take_any, (&(struct many){ .sems = sems }), NULL);
	turns(loop, 1);
	ck_assert_str_eq(noted(), "2,-105 ");
	ck_assert_uint_eq(counters(loop).wait_refusals, before + 1);
	ck_assert_uint_ge(counters(loop).refusals, before + 1);
	ck_assert_ptr_null(sems[0].waiters.head);
	ck_assert_ptr_null(sems[1].waiters.head);
	ck_assert_ptr_null(sems[2].waiters.head);
	ck_assert_uint_eq(pool_count(loop), 1);
	/* What is there needs no node. */
	sem_put(&sems[2]);
	apus_spawn_slab(loop, take_any, (&(struct many){ .sems = sems }), NULL);
	turns(loop, 1);
	expect_notes("2,0 ");
	loop_close(loop);
}
END_TEST

/* Promise 4's half: the first node lies in the header, the others go back to the pool. */
START_TEST(wait_nodes_come_back_to_the_pool_on_every_way_out)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sems[3] = { { { 0 }, 0 } };
	struct apus_join join;
	int i;

	for (i = 0; i < 3; i++) {
		apus_spawn_slab(loop, take_any, (&(struct many){ .sems = sems }), NULL);
		turns(loop, 2);
		ck_assert_uint_eq(pool_count(loop), 62);
		sem_put(&sems[i]);
		turns(loop, 1);
		ck_assert_uint_eq(pool_count(loop), 64);
	}
	expect_notes("0,0 1,0 2,0 ");
	apus_spawn_slab(loop, take_any, (&(struct many){ .sems = sems }), &join);
	turns(loop, 1);
	ck_assert_uint_eq(pool_count(loop), 62);
	apus_abort(loop, join);
	ck_assert_uint_eq(pool_count(loop), 64);
	for (i = 0; i < 3; i++)
		ck_assert_ptr_null(sems[i].waiters.head);
	loop_close(loop);
}
END_TEST

/* Promise 11's root: what is reserved for a waiter is not there for a newcomer. */
START_TEST(a_newcomer_queues_behind_a_grant_that_was_not_taken_yet)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };

	spawn_take(loop, &sem, 'a');
	spawn_take(loop, &sem, 'b');
	turns(loop, 1);
	spawn_take(loop, &sem, 'n'); /* will be polled before the woken */
	sem_put(&sem);
	turns(loop, 1);
	expect_notes("a0 ");
	sem_put(&sem);
	sem_put(&sem);
	turns(loop, 1);
	expect_notes("b0 n0 ");
	loop_close(loop);
}
END_TEST

static apus_poll wake_self(struct apus_cx *cx, struct apus_waitq *queue, int *evaluated)
{
	apus_poll answer = apus_wait_pend(cx, queue);

	if (++*evaluated == 1)
		apus_waitq_wake_all(queue);
	return *evaluated > 1 ? 0 : answer;
}

struct self_waker {
	struct apus_frame frame;
	struct apus_waitq queue;
	int evaluated;
};

APUS_TASK(wakes_itself, struct self_waker)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(wake_self(cx, &self->queue, &self->evaluated));
	note("again ");
	APUS_END(0);
}

/* Promise 9, P7: a wake in the middle of the poll that it is for is not lost. */
START_TEST(a_wake_during_the_poll_makes_the_task_ready_again)
{
	struct apus_loop *loop = loop_open(0);

	apus_spawn_slab(loop, wakes_itself, NULL, NULL);
	turns(loop, 1);
	expect_notes("again ");
	loop_close(loop);
}
END_TEST

/* Promise 3: when abort has returned, no queue knows the task. */
START_TEST(an_aborted_tasks_waits_and_timer_are_gone_at_once)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sem = { 0 };
	struct taker init = { .sem = &sem, .name = 'a' };
	struct apus_join join;

	apus_spawn_slab(loop, sleep_or_take, &init, &join);
	turns(loop, 1);
	ck_assert_ptr_nonnull(sem.waiters.head);
	ck_assert_uint_eq(counters(loop).timers_pending, 1);
	ck_assert_int_eq(apus_abort(loop, join), 1);
	ck_assert_ptr_null(sem.waiters.head);
	ck_assert_uint_eq(counters(loop).timers_pending, 0);
	turns(loop, 3);
	expect_notes("");
	loop_close(loop);
}
END_TEST

/* Promise 3: the loop's end is an end like any other. */
START_TEST(close_leaves_nothing_of_the_loop_in_a_queue)
{
	struct apus_loop *loop = loop_open(_i);
	struct sem sems[3] = { { { 0 }, 0 } };
	int i;

	apus_spawn_slab(loop, take_any, (&(struct many){ .sems = sems }), NULL);
	spawn_take(loop, &sems[0], 'a');
	turns(loop, 1);
	sem_put(&sems[0]);
	loop_close(loop);
	for (i = 0; i < 3; i++)
		ck_assert_ptr_null(sems[i].waiters.head);
	expect_notes("");
}
END_TEST

LOOP_TEST_MAIN("wait",
	a_wait_that_a_poll_did_not_renew_is_unlinked_at_its_end,
	a_place_in_the_queue_is_kept_while_it_is_renewed,
	a_grant_passes_on_when_its_holder_loses_a_select,
	grants_pass_over_all_who_went_away,
	a_grant_passes_on_when_its_holder_is_aborted,
	a_grant_passes_on_when_its_holder_times_out,
	deinit_wakes_every_waiter_with_epipe_and_the_memory_may_be_freed,
	deinit_harms_neither_the_aborted_nor_who_lost_interest,
	a_queue_made_anew_in_the_poll_that_lost_the_old_one_is_not_broken,
	a_queue_made_anew_in_the_poll_that_renewed_and_lost_the_old_one_is_not_broken,
	deinit_of_a_queue_in_the_poll_that_waits_on_it_answers_epipe_in_the_next,
	without_a_wait_node_the_answer_is_enobufs_and_nothing_is_consumed,
	wait_nodes_come_back_to_the_pool_on_every_way_out,
	a_newcomer_queues_behind_a_grant_that_was_not_taken_yet,
	a_wake_during_the_poll_makes_the_task_ready_again,
	an_aborted_tasks_waits_and_timer_are_gone_at_once,
	close_leaves_nothing_of_the_loop_in_a_queue)
