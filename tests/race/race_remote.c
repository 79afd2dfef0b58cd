/*
 * The one door for other threads: spawn, join, abort, detach, cancel, look, in every order and
 * at the same time.
 */
#include "race.h"
#include "wait/port.h"

/* ---- tasks to be spawned ------------------------------------------------------------- */

struct adder {
	int64_t a, b;
};

APUS_TASK(adder, struct adder)
{
	(void)cx;
	return self->a + self->b;
}

struct stayer {
	struct apus_frame frame;
	uint32_t *cleaned; /* may be NULL */
	uint32_t *started;
};

static void stayer_cleanup(struct apus_cx *cx, struct stayer *self)
{
	(void)cx;
	if (self->cleaned != NULL)
		__atomic_fetch_add(self->cleaned, 1, __ATOMIC_RELEASE);
}

/* Stays until it is aborted. */
APUS_TASK(stayer, struct stayer, stayer_cleanup)
{
	APUS_BEGIN(cx, self);
	if (self->started != NULL)
		__atomic_fetch_add(self->started, 1, __ATOMIC_RELEASE);
	APUS_WAIT(apus_sleep_until(cx, APUS_NEVER));
	APUS_END(0);
}

struct large {
	char bytes[300]; /* more than a pool node carries, and fits a slot */
};

APUS_TASK(large, struct large)
{
	(void)cx;
	return self->bytes[0] + self->bytes[299];
}

struct huge {
	char bytes[100000]; /* fits no slot */
};

APUS_TASK(huge, struct huge)
{
	(void)cx;
	return self->bytes[0];
}

static struct apus_remote_join spawn_stayer(struct host *host, uint32_t *started, uint32_t *cleaned)
{
	struct stayer init = { .started = started, .cleaned = cleaned };
	struct apus_remote_join join;

	ck_assert_int_eq(apus_remote_spawn(host->remote, stayer, &init, &join), 0);
	return join;
}

/* ---- joining by a plain thread --------------------------------------------------------- */

START_TEST(a_thread_spawns_and_joins_on_every_kind_of_idling)
{
	enum apus_idle idle;

	for (idle = APUS_IDLE_BUSY; idle <= APUS_IDLE_PARK; idle++) {
		uint64_t n, count = rounds(2000);
		struct host host;

		host_begin(&host, idle);
		for (n = 0; n < count; n++) {
			struct adder init = { (int64_t)n, 1 };
			struct apus_remote_join join;
			apus_poll result = -1;

			ck_assert_int_eq(apus_remote_spawn(host.remote, adder, &init, &join), 0);
			ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), 0);
			ck_assert_int_eq(result, (int64_t)n + 1);
			ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), -ESTALE);
		}
		host_end(&host);
	}
}
END_TEST

START_TEST(a_join_gives_up_after_its_timeout_and_may_ask_again)
{
	struct apus_remote_join join;
	struct host host;
	apus_poll result = -7;

	host_begin(&host, APUS_IDLE_PARK);
	join = spawn_stayer(&host, NULL, NULL);
	ck_assert_int_eq(apus_remote_join(join, 0, &result), -ETIME);
	ck_assert_int_eq(apus_remote_join(join, -5, &result), -ETIME);
	ck_assert_int_eq(apus_remote_join(join, APUS_MSEC, &result), -ETIME);
	ck_assert_int_eq(apus_remote_is_finished(join), 0);
	ck_assert_int_eq(apus_remote_abort(join), 0);
	ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), -ECANCELED);
	ck_assert_int_eq(result, -7);
	ck_assert_int_eq(apus_remote_is_finished(join), -ESTALE);
	ck_assert_int_eq(apus_remote_abort(join), -ESTALE);
	ck_assert_int_eq(apus_remote_detach(join), -ESTALE);
	host_end(&host);
}
END_TEST

struct joiner {
	struct apus_remote_join join;
	int64_t timeout_ns;
	int outcome;
	uint32_t began;
	pthread_t thread;
};

static void *join_it(void *arg)
{
	struct joiner *joiner = arg;

	apus_store_release(&joiner->began, 1);
	joiner->outcome = apus_remote_join(joiner->join, joiner->timeout_ns, NULL);
	return NULL;
}

static void joiner_start(struct joiner *joiner, struct apus_remote_join join, int64_t timeout_ns)
{
	*joiner = (struct joiner){ .join = join, .timeout_ns = timeout_ns };
	pthread_create(&joiner->thread, NULL, join_it, joiner);
	wait_until(apus_load_acquire(&joiner->began));
}

/* Of several who wait for one task, one gets it; none hangs. */
START_TEST(a_second_joiner_is_told_that_another_waits)
{
	struct joiner joiners[3];
	struct apus_remote_join join;
	int i, taken = 0, busy = 0;
	struct host host;

	host_begin(&host, APUS_IDLE_PARK);
	join = spawn_stayer(&host, NULL, NULL);
	for (i = 0; i < 3; i++)
		joiner_start(&joiners[i], join, APUS_NEVER);
	/* Two return by themselves; the last by the abort. */
	wait_until(apus_load_acquire(&join.task->status) & 2); /* THREAD_WAITS */
	apus_remote_abort(join);
	for (i = 0; i < 3; i++) {
		pthread_join(joiners[i].thread, NULL);
		taken += joiners[i].outcome == -ECANCELED;
		busy += joiners[i].outcome == -EBUSY || joiners[i].outcome == -ESTALE;
	}
	ck_assert_int_eq(taken, 1);
	ck_assert_int_eq(busy, 2);
	host_end(&host);
}
END_TEST

/* P21: every teardown path answers. */
START_TEST(a_thread_that_joins_while_the_loop_closes_gets_ecanceled)
{
	uint64_t n, count = rounds(200);

	for (n = 0; n < count; n++) {
		uint32_t cleaned = 0;
		struct joiner joiner;
		struct host host;

		host_begin(&host, n % 2 ? APUS_IDLE_PARK : APUS_IDLE_BUSY);
		joiner_start(&joiner, spawn_stayer(&host, NULL, &cleaned), APUS_NEVER);
		host_end(&host);
		pthread_join(joiner.thread, NULL);
		ck_assert_int_eq(joiner.outcome, -ECANCELED);
		ck_assert_uint_le(cleaned, 1);
		ck_assert_int_eq(apus_remote_join(joiner.join, 0, NULL), -ESTALE);
	}
}
END_TEST

/* A loop has closed: remotes -ESHUTDOWN, joins what became of the task. */
START_TEST(a_remote_of_a_loop_that_has_closed_answers_eshutdown)
{
	struct apus_remote zero = { NULL, 0 };
	struct apus_remote_task node;
	struct apus_counters counters;
	struct apus_remote_join ended, lost;
	struct adder init = { 1, 2 };
	struct apus_token token;
	struct host host, next;
	apus_poll result = 0;

	memset(&node, 0, sizeof node);
	host_begin(&host, APUS_IDLE_PARK);
	token = apus_loop_token(host.loop);
	ck_assert_int_eq(apus_remote_spawn(host.remote, adder, &init, &ended), 0);
	wait_until(apus_remote_is_finished(ended) == 1);
	lost = spawn_stayer(&host, NULL, NULL);
	host_end(&host);
	/* Again after another loop has got the port: it is not reached. */
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(apus_remote_stop(host.remote), -ESHUTDOWN);
		ck_assert_int_eq(apus_remote_cancel(host.remote, token), -ESHUTDOWN);
		ck_assert_int_eq(apus_remote_counters(host.remote, 0, &counters), -ESHUTDOWN);
		ck_assert_int_eq(apus_remote_spawn(host.remote, adder, &init, NULL), -ESHUTDOWN);
		ck_assert_int_eq(apus_remote_spawn_in(host.remote, adder, &node, &init, NULL), -ESHUTDOWN);
		if (round == 0)
			host_begin(&next, APUS_IDLE_PARK);
	}
	ck_assert_ptr_eq(next.remote.port, host.remote.port);
	ck_assert_int_eq(apus_remote_join(ended, 0, &result), 0);
	ck_assert_int_eq(result, 3);
	ck_assert_int_eq(apus_remote_abort(lost), 0);
	ck_assert_int_eq(apus_remote_join(lost, 0, &result), -ECANCELED);
	ck_assert_int_eq(apus_remote_stop(zero), -ESHUTDOWN);
	ck_assert_int_eq(apus_remote_spawn(zero, adder, &init, NULL), -ESHUTDOWN);
	host_end(&next);
	ck_assert_uint_eq(next.final.tasks_spawned, 1);
}
END_TEST

/* A stop comes before a spawn: the task is refused on the loop, and the join says so. */
START_TEST(a_spawn_on_a_stopping_loop_is_refused_through_the_join)
{
	struct apus_config config;
	struct apus_remote_join join;
	struct apus_remote remote;
	struct apus_loop *loop;

	config_virtual(&config, 0);
	loop = loop_open_with(&config);
	remote = apus_loop_remote(loop);
	ck_assert_int_eq(apus_remote_stop(remote), 0);
	ck_assert_int_eq(apus_remote_spawn(remote, adder, NULL, &join), 0);
	turns(loop, 1);
	ck_assert_int_eq(apus_remote_join(join, 0, NULL), -ESHUTDOWN);
	loop_close(loop);
}
END_TEST

/* A loop that waited for itself would do so for ever. */
START_TEST(a_thread_does_not_join_a_task_of_its_own_loop)
{
	struct apus_loop *loop = loop_open(0);
	struct apus_counters counters;
	struct apus_remote_join join;
	struct adder init = { 4, 5 };
	apus_poll result = 0;

	ck_assert_int_eq(apus_remote_spawn(apus_loop_remote(loop), adder, &init, &join), 0);
	ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), -EDEADLK);
	ck_assert_int_eq(apus_remote_counters(apus_loop_remote(loop), APUS_NEVER, &counters), 0);
	ck_assert_uint_eq(counters.tasks_spawned, 0);
	turns(loop, 1);
	ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), 0);
	ck_assert_int_eq(result, 9);
	loop_close(loop);
}
END_TEST

/* ---- bounds ------------------------------------------------------------------------------- */

START_TEST(a_pool_that_is_used_up_answers_eagain_until_a_node_comes_back)
{
	struct apus_remote_join joins[4];
	struct apus_config config;
	struct apus_remote remote;
	struct apus_loop *loop;
	int i;

	config_virtual(&config, 0);
	config.remote_count = 4;
	loop = loop_open_with(&config);
	remote = apus_loop_remote(loop);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(apus_remote_spawn(remote, stayer, NULL, &joins[i]), 0);
	ck_assert_int_eq(apus_remote_spawn(remote, stayer, NULL, NULL), -EAGAIN);
	ck_assert_int_eq(apus_remote_cancel(remote, apus_loop_token(loop)), -EAGAIN);
	turns(loop, 1);
	ck_assert_int_eq(apus_remote_spawn(remote, stayer, NULL, NULL), -EAGAIN);
	/* A detached one gives its node back at its end, an aborted one when it is joined. */
	ck_assert_int_eq(apus_remote_abort(joins[0]), 0);
	ck_assert_int_eq(apus_remote_detach(joins[0]), 0);
	ck_assert_int_eq(apus_remote_abort(joins[1]), 0);
	turns(loop, 2);
	ck_assert_int_eq(apus_remote_spawn(remote, adder, NULL, NULL), 0);
	ck_assert_int_eq(apus_remote_spawn(remote, adder, NULL, NULL), -EAGAIN);
	ck_assert_int_eq(apus_remote_join(joins[1], 0, NULL), -ECANCELED);
	ck_assert_int_eq(apus_remote_spawn(remote, adder, NULL, NULL), 0);
	turns(loop, 1);
	ck_assert_int_eq(apus_remote_spawn(remote, adder, NULL, NULL), 0);
	loop_close(loop);
	for (i = 2; i < 4; i++)
		ck_assert_int_eq(apus_remote_join(joins[i], 0, NULL), -ECANCELED);
}
END_TEST

START_TEST(a_full_slab_and_a_state_too_large_are_told_through_the_join)
{
	struct apus_remote_join join;
	struct apus_remote_task node;
	struct apus_config config;
	struct apus_remote remote;
	struct apus_loop *loop;
	static struct huge too_large;
	struct large init;
	apus_poll result = 0;

	memset(&node, 0, sizeof node);
	memset(&init, 3, sizeof init);
	config_virtual(&config, 0);
	config.slot_count = 1;
	loop = loop_open_with(&config);
	remote = apus_loop_remote(loop);
	ck_assert_int_eq(apus_remote_spawn(remote, large, &init, &join), -EMSGSIZE);
	ck_assert_int_eq(apus_remote_spawn_in(remote, large, &node, &init, &join), 0);
	ck_assert_int_eq(apus_remote_spawn_in(remote, large, &node, &init, &join), -EBUSY);
	turns(loop, 1);
	ck_assert_int_eq(apus_remote_join(join, 0, &result), 0);
	ck_assert_int_eq(result, 6);
	ck_assert_int_eq(apus_remote_spawn_in(remote, huge, &node, &too_large, &join), 0);
	turns(loop, 1);
	ck_assert_int_eq(apus_remote_join(join, 0, &result), -EMSGSIZE);
	apus_spawn_slab(loop, stayer, NULL, NULL);
	ck_assert_int_eq(apus_remote_spawn(remote, adder, NULL, &join), 0);
	turns(loop, 1);
	ck_assert_int_eq(apus_remote_join(join, 0, &result), -ENOSPC);
	loop_close(loop);
}
END_TEST

/* ---- a node of the caller's --------------------------------------------------------------- */

struct freed {
	struct apus_remote_task node;
	struct adder init;
	uint32_t *freed;
};

static void free_it(struct apus_remote_task *node)
{
	struct freed *freed = apus_container_of(node, struct freed, node);

	__atomic_fetch_add(freed->freed, 1, __ATOMIC_RELEASE);
	free(freed);
}

/* Joined it may be gone at once; detached it goes by `released`. */
START_TEST(a_callers_node_is_free_to_go_when_it_is_joined_or_released)
{
	uint64_t n, count = rounds(3000), detached = 0;
	uint32_t freed = 0;
	struct host host;

	host_begin(&host, APUS_IDLE_BUSY);
	for (n = 0; n < count; n++) {
		struct freed *one = calloc(1, sizeof *one);
		struct apus_remote_join join;
		apus_poll result = 0;

		one->init = (struct adder){ 1, 1 };
		one->freed = &freed;
		if (n % 2) {
			one->node.released = free_it;
			detached++;
		}
		ck_assert_int_eq(apus_remote_spawn_in(host.remote, adder, &one->node, &one->init,
			n % 4 == 1 ? NULL : &join), 0);
		if (n % 4 == 1)
			continue;
		if (n % 8 >= 4)
			ck_assert_int_eq(apus_remote_abort(join), 0);
		if (n % 2) {
			ck_assert_int_eq(apus_remote_detach(join), 0);
			continue;
		}
		ck_assert_int_le(apus_remote_join(join, APUS_NEVER, &result), 0);
		/* An abort that came too late is not in the inbox any more. */
		memset(one, 0xee, sizeof *one);
		free(one);
	}
	wait_until(apus_load_acquire(&freed) == detached);
	host_end(&host);
}
END_TEST

/* ---- aborting and detaching ------------------------------------------------------------------ */

START_TEST(an_abort_runs_the_cleanup_once_whenever_it_comes)
{
	uint64_t n, count = rounds(3000);
	uint32_t cleaned = 0, started = 0;
	struct test_random random = test_random_init(1);
	struct host host;

	host_begin(&host, APUS_IDLE_BACKOFF);
	for (n = 0; n < count; n++) {
		uint32_t before = apus_load_acquire(&started);
		struct apus_remote_join join = spawn_stayer(&host, &started, &cleaned);
		int i;

		if (n % 4 == 1)
			wait_until(apus_load_acquire(&started) != before);
		dither(&random);
		for (i = 0; i < 1 + (int)(n % 3); i++)
			ck_assert_int_eq(apus_remote_abort(join), 0);
		ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, NULL), -ECANCELED);
	}
	host_end(&host);
	ck_assert_uint_eq(cleaned, count);
}
END_TEST

struct meddler {
	struct apus_remote_join *joins; /* published one after the other */
	uint64_t *published, count;
	uint64_t aborted, stale;
	pthread_t thread;
};

static void *meddle(void *arg)
{
	struct meddler *meddler = arg;
	uint64_t n;

	for (n = 0; n < meddler->count; n++) {
		wait_until(apus_load_acquire(meddler->published) > n);
		if (apus_remote_abort(meddler->joins[n]) == 0)
			meddler->aborted++;
		else
			meddler->stale++;
		(void)apus_remote_is_finished(meddler->joins[n]);
	}
	return NULL;
}

/*
 * Promise 4: another thread aborts through a copy of a join that is being taken; the node goes
 * to the next task at once, which must not be the one that is aborted.
 */
START_TEST(an_abort_through_a_stale_copy_never_reaches_the_nodes_next_task)
{
	uint64_t n, count = rounds(20000), published = 0, aborted = 0;
	struct apus_remote_join *joins = calloc(count, sizeof *joins);
	struct meddler meddler = { .joins = joins, .published = &published, .count = count };
	struct host host;

	host_config(&host, APUS_IDLE_BUSY);
	host.config.remote_count = 1;
	host_start(&host);
	pthread_create(&meddler.thread, NULL, meddle, &meddler);
	for (n = 0; n < count; n++) {
		struct adder init = { 1, 2 };
		struct apus_remote_join join;
		apus_poll result = 0;
		int err;

		/* This one nobody else knows. */
		wait_until(apus_remote_spawn(host.remote, adder, &init, &join) == 0);
		ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), 0);
		ck_assert_int_eq(result, 3);
		wait_until(apus_remote_spawn(host.remote, adder, &init, &joins[n]) == 0);
		apus_store_release(&published, n + 1);
		err = apus_remote_join(joins[n], APUS_NEVER, &result);
		ck_assert(err == 0 || err == -ECANCELED);
		aborted += err != 0;
	}
	pthread_join(meddler.thread, NULL);
	host_end(&host);
	ck_assert_uint_ge(meddler.aborted, aborted);
	ck_assert_uint_eq(meddler.aborted + meddler.stale, count);
	free(joins);
}
END_TEST

START_TEST(a_detached_task_runs_on_and_its_node_comes_back)
{
	uint64_t n, count = rounds(20000);
	struct apus_counters counters;
	struct host host;

	host_config(&host, APUS_IDLE_BUSY);
	host.config.remote_count = 3;
	host_start(&host);
	for (n = 0; n < count; n++) {
		struct adder init = { 1, 2 };
		struct apus_remote_join join;

		wait_until(apus_remote_spawn(host.remote, adder, &init, n % 2 ? &join : NULL) == 0);
		if (n % 2)
			ck_assert_int_eq(apus_remote_detach(join), 0);
	}
	do
		ck_assert_int_eq(apus_remote_counters(host.remote, APUS_NEVER, &counters), 0);
	while (counters.tasks_ended < count);
	host_end(&host);
	ck_assert_uint_eq(host.final.tasks_spawned, count + 1);
}
END_TEST

/* Order: what one thread asks of one loop is done in the order it was asked. */
static uint64_t order_next, order_wrong;

struct ordered {
	uint64_t number;
};

APUS_TASK(ordered, struct ordered)
{
	(void)cx;
	order_wrong += self->number != order_next;
	order_next = self->number + 1;
	return 0;
}

START_TEST(what_one_thread_asks_is_done_in_order)
{
	uint64_t n, count = rounds(20000);
	struct apus_remote_join join;
	struct host host;

	host_begin(&host, APUS_IDLE_BACKOFF);
	for (n = 0; n < count; n++) {
		struct ordered init = { n };

		wait_until(apus_remote_spawn(host.remote, ordered, &init,
			n + 1 == count ? &join : NULL) == 0);
	}
	ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, NULL), 0);
	host_end(&host);
	ck_assert_uint_eq(order_wrong, 0);
	ck_assert_uint_eq(order_next, count);
}
END_TEST

/* ---- tasks of another loop ---------------------------------------------------------------- */

struct asker {
	struct apus_frame frame;
	struct apus_remote remote;
	struct apus_remote_join join;
	struct adder init;
	uint64_t count, n;
	apus_poll result;
	int err;
};

APUS_TASK(asker, struct asker)
{
	APUS_BEGIN(cx, self);
	for (self->n = 0; self->n < self->count; self->n++) {
		self->init = (struct adder){ (int64_t)self->n, 3 };
		self->err = apus_remote_spawn(self->remote, adder, &self->init, &self->join);
		if (self->err)
			return self->err;
		APUS_AWAIT(self->err, apus_remote_await(cx, self->join, &self->result));
		if (self->err || self->result != (int64_t)self->n + 3)
			return -EBADMSG;
		APUS_AWAIT(self->err, apus_remote_await(cx, self->join, &self->result));
		if (self->err != -ESTALE)
			return -EBADMSG;
	}
	APUS_END((apus_poll)self->n);
}

START_TEST(a_task_of_another_loop_awaits_a_remote_task)
{
	enum apus_idle idle;

	for (idle = APUS_IDLE_BUSY; idle <= APUS_IDLE_PARK; idle++) {
		struct host hosts[2];
		struct asker init = { .count = rounds(2000) };
		struct apus_remote_join join;
		apus_poll result = 0;

		host_begin(&hosts[0], idle);
		host_begin(&hosts[1], APUS_IDLE_PARK);
		init.remote = hosts[1].remote;
		ck_assert_int_eq(apus_remote_spawn(hosts[0].remote, asker, &init, &join), 0);
		ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), 0);
		ck_assert_int_eq(result, (int64_t)init.count);
		host_end(&hosts[1]);
		host_end(&hosts[0]);
	}
}
END_TEST

/* Also of the same loop, through the inbox. */
START_TEST(a_task_of_the_same_loop_awaits_a_remote_task)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct asker init = { .count = 100 };

	config_virtual(&config, 0);
	loop = loop_open_with(&config);
	init.remote = apus_loop_remote(loop);
	ck_assert_int_eq(apus_run(loop, asker, &init), 100);
	loop_close(loop);
}
END_TEST

struct waiter {
	struct apus_frame frame;
	struct apus_remote_join join;
	int64_t timeout_ns;
	uint32_t *waiting;
	apus_poll value;
};

static apus_poll waiter_look(struct apus_cx *cx, struct waiter *self)
{
	apus_poll value = apus_remote_await(cx, self->join, NULL);

	if (value == APUS_PENDING && self->waiting != NULL)
		apus_store_release(self->waiting, 1);
	return value;
}

APUS_TASK(waiter, struct waiter)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->value, apus_timeout(cx, self->timeout_ns, waiter_look(cx, self)));
	APUS_END(-self->value);
}

static struct apus_remote_join start_waiter(struct host *host, struct apus_remote_join join,
	int64_t timeout_ns, uint32_t *waiting)
{
	struct waiter init = { .join = join, .timeout_ns = timeout_ns, .waiting = waiting };
	struct apus_remote_join own;

	ck_assert_int_eq(apus_remote_spawn(host->remote, waiter, &init, &own), 0);
	return own;
}

/* -EBUSY while one waits; the place is free when the task that had it has ended. */
START_TEST(an_awaiter_that_has_ended_is_not_in_the_way)
{
	struct apus_remote_join join, first, second, third;
	uint32_t waiting = 0;
	struct host hosts[2];
	apus_poll value = 0;

	host_begin(&hosts[0], APUS_IDLE_PARK);
	host_begin(&hosts[1], APUS_IDLE_PARK);
	join = spawn_stayer(&hosts[1], NULL, NULL);
	first = start_waiter(&hosts[0], join, APUS_NEVER, &waiting);
	wait_until(apus_load_acquire(&waiting));
	second = start_waiter(&hosts[0], join, APUS_NEVER, NULL);
	ck_assert_int_eq(apus_remote_join(second, APUS_NEVER, &value), 0);
	ck_assert_int_eq(value, EBUSY);
	ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, NULL), -EBUSY);
	apus_remote_abort(first);
	ck_assert_int_eq(apus_remote_join(first, APUS_NEVER, NULL), -ECANCELED);
	third = start_waiter(&hosts[0], join, APUS_MSEC, NULL);
	ck_assert_int_eq(apus_remote_join(third, APUS_NEVER, &value), 0);
	ck_assert_int_eq(value, ETIME);
	/* And a thread may have it then. */
	ck_assert_int_eq(apus_remote_join(join, APUS_MSEC, NULL), -ETIME);
	waiting = 0;
	first = start_waiter(&hosts[0], join, APUS_NEVER, &waiting);
	wait_until(apus_load_acquire(&waiting));
	apus_remote_abort(join);
	ck_assert_int_eq(apus_remote_join(first, APUS_NEVER, &value), 0);
	ck_assert_int_eq(value, ECANCELED);
	host_end(&hosts[0]);
	host_end(&hosts[1]);
}
END_TEST

/* P21: two loops, the awaiting one ends first, or the awaited. */
START_TEST(loops_that_wait_for_each_other_may_close_in_any_order)
{
	uint64_t n, count = rounds(200);

	for (n = 0; n < count; n++) {
		struct apus_remote_join join, own;
		uint32_t waiting = 0, cleaned = 0;
		struct host hosts[2];
		apus_poll value = 0;

		host_begin(&hosts[0], n & 1 ? APUS_IDLE_PARK : APUS_IDLE_BUSY);
		host_begin(&hosts[1], n & 2 ? APUS_IDLE_PARK : APUS_IDLE_BUSY);
		join = spawn_stayer(&hosts[1], NULL, &cleaned);
		own = start_waiter(&hosts[0], join, APUS_NEVER, &waiting);
		if (n & 4)
			wait_until(apus_load_acquire(&waiting));
		if (n & 8) {
			/* The awaiting loop first: the task it awaited lives on. */
			host_end(&hosts[0]);
			ck_assert_int_eq(apus_remote_join(own, 0, NULL), -ECANCELED);
			if (n & 4)
				ck_assert_int_eq(apus_remote_is_finished(join), 0);
			host_end(&hosts[1]);
			ck_assert_int_eq(apus_remote_join(join, 0, NULL), -ECANCELED);
		} else {
			host_end(&hosts[1]);
			ck_assert_int_eq(apus_remote_join(own, APUS_NEVER, &value), 0);
			ck_assert_int_eq(value, ECANCELED);
			host_end(&hosts[0]);
		}
	}
}
END_TEST

/* ---- cancelling and looking ------------------------------------------------------------------ */

struct token_of {
	struct apus_frame frame;
	struct apus_token *token;
	uint32_t *ready;
};

/* Makes a token for other threads, and ends when it is cancelled. */
APUS_TASK(token_of, struct token_of)
{
	APUS_BEGIN(cx, self);
	if (apus_token_child(cx->loop, apus_loop_token(cx->loop), self->token) != 0)
		return -ENOSPC;
	apus_store_release(self->ready, 1);
	APUS_WAIT(apus_cancelled(cx, *self->token));
	apus_token_release(cx->loop, *self->token);
	APUS_END(1);
}

/* By handle, never by pointer: a token that was released is stale, whoever has its node. */
START_TEST(a_token_is_cancelled_by_handle_from_another_thread)
{
	uint64_t n, count = rounds(500);
	struct apus_token old = { NULL, 0, 0 };
	struct host host;

	host_begin(&host, APUS_IDLE_PARK);
	for (n = 0; n < count; n++) {
		struct apus_remote_join join;
		struct apus_token token;
		uint32_t ready = 0;
		struct token_of init = { .token = &token, .ready = &ready };
		apus_poll result = 0;

		ck_assert_int_eq(apus_remote_spawn(host.remote, token_of, &init, &join), 0);
		wait_until(apus_load_acquire(&ready));
		ck_assert_int_eq(apus_remote_cancel(host.remote, old), 0); /* the one before: stale */
		if (n > 0 && n % 16 == 0)
			ck_assert_int_eq(apus_remote_join(join, 100 * APUS_USEC, NULL), -ETIME);
		ck_assert_int_eq(apus_remote_cancel(host.remote, token), 0);
		ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, &result), 0);
		ck_assert_int_eq(result, 1);
		old = token;
	}
	host_end(&host);
	ck_assert_uint_eq(host.final.tokens_used, 0);
}
END_TEST

static void *look(void *arg)
{
	struct host *host = arg;
	struct apus_counters counters;
	uint64_t turns_seen = 0;
	int err;

	while ((err = apus_remote_counters(host->remote, APUS_NEVER, &counters)) == 0) {
		if (counters.turns < turns_seen)
			return (void *)1;
		turns_seen = counters.turns;
	}
	return err == -ESHUTDOWN ? NULL : (void *)2;
}

/* The snapshot from any thread, until the loop closes under it. */
START_TEST(counters_are_read_from_any_thread_until_the_loop_has_closed)
{
	enum apus_idle idle;

	for (idle = APUS_IDLE_BUSY; idle <= APUS_IDLE_PARK; idle++) {
		struct apus_counters counters;
		pthread_t lookers[2];
		struct host host;
		uint64_t n;
		void *wrong;
		int i;

		host_begin(&host, idle);
		for (i = 0; i < 2; i++)
			pthread_create(&lookers[i], NULL, look, &host);
		for (n = 0; n < rounds(500); n++)
			ck_assert_int_eq(apus_remote_counters(host.remote, APUS_NEVER, &counters), 0);
		host_end(&host);
		for (i = 0; i < 2; i++) {
			pthread_join(lookers[i], &wrong);
			ck_assert_ptr_null(wrong);
		}
	}
}
END_TEST

/* The asker gives up; the answer comes later and finds nobody. */
START_TEST(counters_that_nobody_waits_for_are_let_go)
{
	struct apus_counters counters;
	struct apus_remote remote;
	struct apus_loop *loop = loop_open(0);
	pthread_t thread;
	struct host host;
	void *wrong;

	remote = apus_loop_remote(loop);
	memset(&host, 0, sizeof host);
	host.remote = remote;
	pthread_create(&thread, NULL, look, &host);
	/* Its question is in the inbox when the loop closes. */
	wait_until(!apusi_inbox_is_empty(&apus_loop_cx(loop)->port->inbox));
	loop_close(loop);
	pthread_join(thread, &wrong);
	ck_assert_ptr_null(wrong);
	host_begin(&host, APUS_IDLE_PARK);
	for (int i = 0; i < 100; i++) {
		int err = apus_remote_counters(host.remote, i % 2 ? 1 : 0, &counters);

		ck_assert(err == 0 || err == -ETIME);
	}
	host_end(&host);
}
END_TEST

/* ---- everything at once --------------------------------------------------------------------- */

struct storm {
	struct host *host;
	uint64_t count, seed, ended, refused, cancelled;
	pthread_t thread;
};

static void storm_one(struct storm *storm, struct test_random *random)
{
	struct apus_remote_join join;
	uint64_t what = test_random_below(random, 8);
	struct adder init = { (int64_t)what, 1 };
	apus_poll result = 0;
	int err;

	if (what < 6)
		err = apus_remote_spawn(storm->host->remote, adder, &init, what == 5 ? NULL : &join);
	else
		err = apus_remote_spawn(storm->host->remote, stayer, NULL, &join);
	if (err) {
		storm->refused += err == -EAGAIN || err == -ESHUTDOWN;
		return;
	}
	dither(random);
	if (what == 5)
		return;
	if (what >= 3)
		apus_remote_abort(join);
	if (what == 4) {
		apus_remote_detach(join);
		return;
	}
	err = apus_remote_join(join, APUS_NEVER, &result);
	if (err == 0 && result == init.a + 1)
		storm->ended++;
	else if (err == -ECANCELED || err == -ENOSPC || err == -ESHUTDOWN)
		storm->cancelled++;
	else
		abort();
}

static void *storm_rages(void *arg)
{
	struct storm *storm = arg;
	struct test_random random = test_random_init(storm->seed);
	uint64_t n;

	for (n = 0; n < storm->count; n++)
		storm_one(storm, &random);
	return NULL;
}

/* Spawn, join, abort, detach from three threads, and the loop stops and closes under them. */
START_TEST(a_loop_stops_and_closes_under_a_storm_of_requests)
{
	uint64_t n, count = rounds(100), seed = test_seed(), ports = 0;

	for (n = 0; n < count; n++) {
		struct storm storms[3];
		struct host host;
		int i;

		host_config(&host, n & 1 ? APUS_IDLE_PARK : APUS_IDLE_BACKOFF);
		host.config.slot_count = 8;
		host.config.remote_count = 8;
		host_start(&host);
		for (i = 0; i < 3; i++) {
			storms[i] = (struct storm){ .host = &host, .count = 300, .seed = seed + n * 3 + (uint64_t)i };
			pthread_create(&storms[i].thread, NULL, storm_rages, &storms[i]);
		}
		usleep((useconds_t)(n % 4) * 300);
		host_end(&host);
		for (i = 0; i < 3; i++)
			pthread_join(storms[i].thread, NULL);
		if (n == 0)
			ports = ports_made();
	}
	ck_assert_uint_eq(ports_made(), ports);
}
END_TEST

TEST_MAIN("remote", a_thread_spawns_and_joins_on_every_kind_of_idling,
	a_join_gives_up_after_its_timeout_and_may_ask_again,
	a_second_joiner_is_told_that_another_waits,
	a_thread_that_joins_while_the_loop_closes_gets_ecanceled,
	a_remote_of_a_loop_that_has_closed_answers_eshutdown,
	a_spawn_on_a_stopping_loop_is_refused_through_the_join,
	a_thread_does_not_join_a_task_of_its_own_loop,
	a_pool_that_is_used_up_answers_eagain_until_a_node_comes_back,
	a_full_slab_and_a_state_too_large_are_told_through_the_join,
	a_callers_node_is_free_to_go_when_it_is_joined_or_released,
	an_abort_runs_the_cleanup_once_whenever_it_comes,
	an_abort_through_a_stale_copy_never_reaches_the_nodes_next_task,
	a_detached_task_runs_on_and_its_node_comes_back,
	what_one_thread_asks_is_done_in_order,
	a_task_of_another_loop_awaits_a_remote_task,
	a_task_of_the_same_loop_awaits_a_remote_task,
	an_awaiter_that_has_ended_is_not_in_the_way,
	loops_that_wait_for_each_other_may_close_in_any_order,
	a_token_is_cancelled_by_handle_from_another_thread,
	counters_are_read_from_any_thread_until_the_loop_has_closed,
	counters_that_nobody_waits_for_are_let_go,
	a_loop_stops_and_closes_under_a_storm_of_requests)
