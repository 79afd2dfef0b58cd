/*
 * What a loop is told about itself: the budgets of its turn, its memory, its wheel; and the
 * counters that tell how it went.
 */
#define _GNU_SOURCE
#include <sys/eventfd.h>

#include "apus/sync.h"
#include "apus/waker.h"
#include "loop_test.h"

enum { CROWD = 6, BUDGET = 2 };

/* A loop with a clock that runs and descriptors, or NULL. */
static struct apus_loop *loop_open_real(struct apus_config *config)
{
	struct apus_loop *loop;

	config->clock = APUS_CLOCK_AUTO;
	config->backend = APUS_IO_EPOLL;
	config->idle = APUS_IDLE_BUSY;
	return apus_open(&loop, config) == 0 ? loop : NULL;
}

/* ---- budgets: promise 8 ---------------------------------------------------- */

struct crowd {
	struct apus_frame frame;
	struct apus_fd fd;
	struct apus_waker *waker;
	bool *woken;
	uint64_t value;
	int *done;
};

APUS_TASK(sleeper, struct crowd)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	++*self->done;
	APUS_END(0);
}

APUS_TASK(reader, struct crowd)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_fd_read(cx, self->fd, &self->value, sizeof self->value));
	++*self->done;
	APUS_END(0);
}

static apus_poll is_woken(bool woken)
{
	return woken ? 0 : APUS_PENDING;
}

APUS_TASK(woken, struct crowd)
{
	APUS_BEGIN(cx, self);
	ck_assert_int_eq(apus_waker(cx, self->waker), 0);
	APUS_WAIT(is_woken(*self->woken));
	++*self->done;
	APUS_END(0);
}

/* No turn brings more than BUDGET of the crowd, and every one comes. */
static void crowd_comes_a_budget_at_a_time(struct apus_loop *loop, int *done, int turn_limit)
{
	while (*done < CROWD && turn_limit-- > 0) {
		int before = *done;

		apus_turn(loop);
		ck_assert_int_le(*done - before, BUDGET);
	}
	ck_assert_int_eq(*done, CROWD);
}

START_TEST(timers_beyond_their_budget_fire_in_the_next_turns)
{
	struct apus_config config;
	struct apus_loop *loop;
	uint64_t full;
	int done = 0;

	config_virtual(&config, 0);
	config.timer_budget = BUDGET;
	loop = loop_open_with(&config);
	for (int i = 0; i < CROWD; i++)
		apus_spawn_slab(loop, sleeper, (&(struct crowd){ .done = &done }), NULL);
	apus_turn(loop);
	time_pass(loop, APUS_MSEC);
	ck_assert_uint_eq(counters(loop).full_timer_budgets, 0);
	crowd_comes_a_budget_at_a_time(loop, &done, 4 * CROWD);
	full = counters(loop).full_timer_budgets;
	ck_assert_uint_ge(full, CROWD / BUDGET);
	turns(loop, 3);
	ck_assert_uint_eq(counters(loop).full_timer_budgets, full);
	ck_assert_uint_eq(counters(loop).timers_fired, CROWD);
	loop_close(loop);
}
END_TEST

START_TEST(events_beyond_their_budget_are_reaped_in_the_next_turns)
{
	const uint64_t one = 1;
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_counters seen;
	int fds[CROWD], done = 0;

	config_virtual(&config, 0);
	config.io_budget = BUDGET;
	loop = loop_open_real(&config);
	if (loop == NULL)
		TEST_SKIP("%s", config.reason);
	for (int i = 0; i < CROWD; i++) {
		struct crowd init = { .done = &done };

		fds[i] = eventfd(0, EFD_NONBLOCK);
		ck_assert_int_eq(apus_fd_adopt(loop, fds[i], APUS_OWNED, &init.fd), 0);
		apus_spawn_slab(loop, reader, &init, NULL);
	}
	turns(loop, 4);
	seen = counters(loop);
	ck_assert_uint_eq(seen.full_io_budgets, 0);
	ck_assert_uint_eq(seen.sockets_open, CROWD);
	for (int i = 0; i < CROWD; i++)
		ck_assert_int_eq((int)write(fds[i], &one, sizeof one), 8);
	crowd_comes_a_budget_at_a_time(loop, &done, 4 * CROWD);
	ck_assert_uint_ge(counters(loop).full_io_budgets, CROWD / BUDGET);
	loop_close(loop);
}
END_TEST

START_TEST(wakes_beyond_their_budget_are_taken_in_the_next_turns)
{
	struct apus_waker wakers[CROWD];
	struct apus_config config;
	struct apus_loop *loop;
	bool up = false;
	int done = 0;

	config_virtual(&config, 0);
	config.inbox_budget = BUDGET;
	loop = loop_open_with(&config);
	for (int i = 0; i < CROWD; i++)
		apus_spawn_slab(loop, woken, (&(struct crowd){ .done = &done, .woken = &up,
			.waker = &wakers[i] }), NULL);
	turns(loop, 2);
	ck_assert_uint_eq(counters(loop).full_inbox_budgets, 0);
	up = true;
	for (int i = 0; i < CROWD; i++)
		ck_assert_int_eq(apus_wake(wakers[i]), 0);
	crowd_comes_a_budget_at_a_time(loop, &done, 4 * CROWD);
	ck_assert_uint_ge(counters(loop).full_inbox_budgets, CROWD / BUDGET);
	loop_close(loop);
}
END_TEST

static void aborted_cleanup(struct apus_cx *cx, struct crowd *self)
{
	(void)cx;
	++*self->done;
}

APUS_TASK(aborted, struct crowd, aborted_cleanup)
{
	(void)cx;
	(void)self;
	return APUS_PENDING;
}

enum { CANCEL_BUDGET = 8, ABORTED = 20, TOKENS = 100 };

/* So many cleanups are due, and the walk of so many tokens. */
static struct apus_loop *loop_open_cancelling(uint32_t tokens, int *done)
{
	struct apus_join joins[ABORTED];
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_token child;

	config_virtual(&config, 0);
	config.cancel_budget = CANCEL_BUDGET;
	config.token_count = TOKENS;
	loop = loop_open_with(&config);
	for (int i = 0; i < ABORTED; i++)
		ck_assert_int_eq(apus_spawn_slab(loop, aborted, (&(struct crowd){ .done = done }),
			&joins[i]), 0);
	apus_turn(loop);
	for (int i = 0; i < ABORTED; i++)
		ck_assert_int_eq(apus_abort(loop, joins[i]), 1);
	for (uint32_t i = 0; i < tokens; i++)
		ck_assert_int_eq(apus_token_child(loop, apus_loop_token(loop), &child), 0);
	apus_cancel(loop, apus_loop_token(loop));
	return loop;
}

START_TEST(cleanups_alone_have_the_whole_cancel_budget)
{
	int done = 0;
	struct apus_loop *loop = loop_open_cancelling(0, &done);

	turns(loop, 1); /* the walk of the root alone is a step or two */
	ck_assert_int_ge(done, CANCEL_BUDGET - 2);
	ck_assert_int_le(done, CANCEL_BUDGET);
	turns(loop, 1);
	ck_assert_int_ge(done, 2 * CANCEL_BUDGET - 2);
	ck_assert_int_le(done, 2 * CANCEL_BUDGET);
	loop_close(loop);
}
END_TEST

START_TEST(walks_and_cleanups_have_half_of_the_cancel_budget_each)
{
	int done = 0;
	struct apus_loop *loop = loop_open_cancelling(TOKENS, &done);

	for (int turn = 1; turn <= 4; turn++) {
		apus_turn(loop);
		ck_assert_int_eq(done, turn * CANCEL_BUDGET / 2);
	}
	ck_assert_uint_eq(counters(loop).full_cancel_budgets, 4);
	loop_close(loop);
}
END_TEST

/* ---- when the kernel is asked ------------------------------------------------ */

/* How often the kernel was asked in so many turns, with a descriptor that somebody awaits. */
static uint64_t reaps_in(struct apus_loop *loop, int count)
{
	uint64_t before = counters(loop).io_reaps;

	turns(loop, count);
	return counters(loop).io_reaps - before;
}

static struct apus_loop *loop_open_interval(struct apus_config *config, int64_t interval_ns,
	uint32_t interval_turns, int *done)
{
	struct crowd init = { .done = done };
	struct apus_loop *loop;

	config_virtual(config, 0);
	config->io_interval_ns = interval_ns;
	config->io_interval_turns = interval_turns;
	loop = loop_open_real(config);
	if (loop == NULL)
		return NULL;
	ck_assert_int_eq(apus_fd_adopt(loop, eventfd(0, EFD_NONBLOCK), APUS_OWNED, &init.fd), 0);
	apus_spawn_slab(loop, reader, &init, NULL);
	turns(loop, 4);
	return loop;
}

START_TEST(the_kernel_is_asked_every_turn_by_default)
{
	struct apus_config config;
	int done = 0;
	struct apus_loop *loop = loop_open_interval(&config, 0, 0, &done);

	if (loop == NULL)
		TEST_SKIP("%s", config.reason);
	ck_assert_uint_eq(reaps_in(loop, 30), 30);
	loop_close(loop);
}
END_TEST

START_TEST(the_kernel_is_asked_when_so_many_turns_have_passed)
{
	struct apus_config config;
	int done = 0;
	struct apus_loop *loop = loop_open_interval(&config, 0, 10, &done);

	if (loop == NULL)
		TEST_SKIP("%s", config.reason);
	ck_assert_uint_eq(reaps_in(loop, 30), 3);
	loop_close(loop);
}
END_TEST

/* The time since is set back by hand: no test waits an hour. */
START_TEST(the_kernel_is_asked_when_so_much_time_has_passed)
{
	struct apus_config config;
	int done = 0;
	struct apus_loop *loop = loop_open_interval(&config, 3600 * APUS_SEC, 0, &done);

	if (loop == NULL)
		TEST_SKIP("%s", config.reason);
	apus_turn(loop);
	ck_assert_uint_eq(reaps_in(loop, 30), 0);
	loop->io_ns = loop->cx.now_ns - 3600 * APUS_SEC;
	ck_assert_uint_eq(reaps_in(loop, 30), 1);
	loop_close(loop);
}
END_TEST

START_TEST(the_first_of_the_two_intervals_to_pass_counts)
{
	struct apus_config config;
	int done = 0;
	struct apus_loop *loop = loop_open_interval(&config, 3600 * APUS_SEC, 10, &done);

	if (loop == NULL)
		TEST_SKIP("%s", config.reason);
	ck_assert_uint_eq(reaps_in(loop, 30), 3);
	loop->io_ns = loop->cx.now_ns - 3600 * APUS_SEC;
	ck_assert_uint_eq(reaps_in(loop, 1), 1);
	loop_close(loop);
}
END_TEST

/* ---- what a turn leads to ------------------------------------------------------------ */

START_TEST(idle_turns_are_counted_in_a_row_and_work_ends_the_row)
{
	struct apus_config config;
	struct apus_loop *loop;
	int done = 0;

	config_virtual(&config, 0);
	config.clock = APUS_CLOCK_AUTO;
	config.backend = APUS_IO_NONE;
	config.idle = APUS_IDLE_BACKOFF;
	config.backoff_turns = 1000;
	loop = loop_open_with(&config);
	turns(loop, 5);
	ck_assert_uint_eq(loop->idle_streak, 5);
	apus_spawn_slab(loop, sleeper, (&(struct crowd){ .done = &done }), NULL);
	apus_turn(loop);
	ck_assert_uint_eq(loop->idle_streak, 0);
	loop_close(loop);
}
END_TEST

struct aborter {
	struct apus_source source; /* first */
	struct apus_join victim;
	bool armed;
};

/* Aborts its victim, once, and calls that no work. */
static uint32_t aborter_poll(struct apus_cx *cx, struct apus_source *source)
{
	struct aborter *aborter = (struct aborter *)source;

	if (aborter->armed)
		ck_assert_int_eq(apus_abort(cx->loop, aborter->victim), 1);
	aborter->armed = false;
	return 0;
}

static bool aborter_may_park(struct apus_source *source)
{
	(void)source;
	return true;
}

/* A turn may do nothing and leave work for the next one all the same. */
START_TEST(a_loop_does_not_park_while_a_cleanup_is_due)
{
	struct aborter aborter = { .source = { .poll = aborter_poll,
		.may_park = aborter_may_park } };
	struct apus_config config;
	struct apus_loop *loop;
	int done = 0;

	config_virtual(&config, 0);
	config.clock = APUS_CLOCK_AUTO;
	config.idle = APUS_IDLE_BUSY;
	loop = loop_open_with(&config);
	apus_spawn_slab(loop, aborted, (&(struct crowd){ .done = &done }), &aborter.victim);
	ck_assert_int_eq(apus_source_add(loop, &aborter.source), 0);
	turns(loop, 2);
	ck_assert_int_eq(apus_set_idle(loop, APUS_IDLE_PARK), 0);
	loop->drain_ns = apus_clock_now(loop) + APUS_SEC; /* it would park until then */
	aborter.armed = true;
	apus_turn(loop);
	ck_assert_uint_eq(counters(loop).parks, 0);
	apus_turn(loop);
	ck_assert_int_eq(done, 1);
	loop->drain_ns = APUS_NEVER;
	loop_close(loop);
}
END_TEST

/* S11: a counter that stands still never comes to the time at which it would be looked at. */
START_TEST(the_clock_is_looked_at_after_so_many_turns_too)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_virtual(&config, 0);
	config.clock = APUS_CLOCK_AUTO;
	config.backend = APUS_IO_NONE;
	loop = loop_open_with(&config);
	if (apus_clock_kind_of(&loop->clock) != APUS_CLOCK_TSC) {
		loop_close(loop);
		TEST_SKIP("no TSC that can be trusted");
	}
	/* Ten seconds and hardly a tick: it stopped. */
	loop->clock.sampled_ns -= 10 * APUS_SEC;
	loop->clock.due_ns = APUS_NEVER;
	loop->cx.turn = (1 << 20) - 3;
	turns(loop, 2);
	ck_assert(!apus_clock_has_fallen_back(&loop->clock));
	turns(loop, 1);
	ck_assert(apus_clock_has_fallen_back(&loop->clock));
	loop_close(loop);
}
END_TEST

/* ---- the wheel ------------------------------------------------------------------ */

START_TEST(a_bucket_is_as_wide_as_the_resolution_rounded_up)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_virtual(&config, 0);
	loop = loop_open_with(&config);
	ck_assert_int_eq(loop->wheel.bucket_mask_ns + 1, APUS_WHEEL_RESOLUTION_NS);
	loop_close(loop);
	config_virtual(&config, 0);
	config.timer_resolution_ns = 9000;
	loop = loop_open_with(&config);
	ck_assert_int_eq(loop->wheel.bucket_mask_ns + 1, 16384);
	loop_close(loop);
}
END_TEST

static void post_note(struct apus_cx *cx, void *arg)
{
	note("%s at %d ", (const char *)arg, (int)cx->now_ns);
}

START_TEST(a_loop_has_as_many_timers_without_an_owner_as_it_was_told)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_wheel *wheel;

	config_virtual(&config, 0);
	config.unowned_timers = 2;
	loop = loop_open_with(&config);
	wheel = apus_loop_cx(loop)->wheel;
	ck_assert_int_eq(apus_timer_post(wheel, 20, post_note, (void *)"second", NULL), 0);
	ck_assert_int_eq(apus_timer_post(wheel, 10, post_note, (void *)"first", NULL), 0);
	ck_assert_int_eq(apus_timer_post(wheel, 30, post_note, (void *)"third", NULL), -ENOSPC);
	turns(loop, 6);
	expect_notes("first at 10 second at 20 ");
	loop_close(loop);
}
END_TEST

/* ---- memory ------------------------------------------------------------------------ */

static size_t pages_in_memory(void *memory, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / page, in = 0;
	unsigned char *resident = (unsigned char *)calloc(pages, 1);

	ck_assert_ptr_nonnull(resident);
	ck_assert_int_eq(mincore(memory, pages * page, resident), 0);
	for (size_t i = 0; i < pages; i++)
		in += resident[i] & 1;
	free(resident);
	return in;
}

/* Every page of the task slots is there before the first of them is claimed, or none is. */
struct torn {
	struct apus_frame frame;
	struct apus_event *left, *right;
	apus_poll which, answer;
};

APUS_TASK(torn, struct torn)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->answer,
		apus_event_wait(cx, self->left), apus_event_wait(cx, self->right)));
	APUS_END(self->answer);
}

/* Each of as many tasks as there can be waits in two queues, by default. */
START_TEST(every_slot_has_a_second_wait_node)
{
	enum { SLOTS = 3000 };
	struct apus_event left = { .is_set = false }, right = { .is_set = false };
	const struct torn init = { .left = &left, .right = &right };
	struct apus_counters counters;
	struct apus_config config;
	struct apus_loop *loop;
	int i;

	apus_config_init(&config);
	config.slot_count = SLOTS;
	ck_assert_int_eq(apus_open(&loop, &config), 0);
	for (i = 0; i < SLOTS; i++)
		if (apus_spawn_slab(loop, torn, &init, NULL) != 0)
			ck_abort_msg("no slot for task %d", i);
	for (i = 0; i < SLOTS; i++)
		apus_turn(loop);
	apus_counters_read(loop, &counters);
	ck_assert_uint_eq(counters.tasks_live, SLOTS);
	ck_assert_uint_eq(counters.refusals + counters.wait_refusals, 0);
	ck_assert_int_eq(apus_close(loop, NULL), 0);
}
END_TEST

START_TEST(prefault_touches_the_slots_at_open)
{
	for (int prefault = 0; prefault < 2; prefault++) {
		struct apus_config config;
		struct apus_loop *loop;
		struct apus_slab *tasks;
		size_t in;

		config_virtual(&config, 0);
		config.slot_count = 4096;
		config.prefault = prefault;
		loop = loop_open_with(&config);
		tasks = &apus_loop_cx(loop)->tasks;
		in = pages_in_memory(tasks->base, tasks->stride * tasks->capacity);
		ck_assert_uint_eq(in, prefault ? tasks->stride * tasks->capacity /
			(size_t)sysconf(_SC_PAGESIZE) : 0);
		loop_close(loop);
	}
}
END_TEST

START_TEST(huge_pages_that_are_not_there_are_an_error_with_the_reason)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_virtual(&config, 0);
	config.huge_pages = true;
	if (apus_open(&loop, &config) == 0) {
		loop_close(loop);
		TEST_SKIP("this kernel has a pool of huge pages");
	}
	ck_assert_msg(strstr(config.reason, "huge_pages") != NULL, "%s", config.reason);
	ck_assert_ptr_null(apusi_thread_loop());
}
END_TEST

START_TEST(a_node_that_is_not_there_is_an_error_with_the_reason)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	config_virtual(&config, 0);
	config.numa_node = 1023;
	err = apus_open(&loop, &config);
	ck_assert_msg(err == -ENODEV || err == -EPERM || err == -ENOSYS || err == -ENOTSUP, "%d", err);
	ck_assert_msg(strstr(config.reason, "numa_node") != NULL, "%s", config.reason);
	ck_assert_ptr_null(apusi_thread_loop());
}
END_TEST

/* ---- counters ------------------------------------------------------------------------ */

APUS_TASK(yields, struct crowd)
{
	APUS_BEGIN(cx, self);
	for (;;)
		APUS_WAIT(apus_yield(cx));
	APUS_END(0);
}

START_TEST(ready_tasks_and_slots_are_counted)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_join joins[3];
	struct apus_counters seen;

	config_virtual(&config, 0);
	config.task_budget = 2;
	loop = loop_open_with(&config);
	seen = counters(loop);
	ck_assert_uint_eq(seen.slots_capacity, 64);
	ck_assert_uint_eq(seen.slots_high_water, 0);
	for (int i = 0; i < 3; i++)
		apus_spawn_slab(loop, yields, NULL, &joins[i]);
	ck_assert_uint_eq(counters(loop).tasks_ready, 3);
	apus_turn(loop); /* one was left over, two are ready again in the next turn */
	seen = counters(loop);
	ck_assert_uint_eq(seen.tasks_ready, 3);
	ck_assert_uint_eq(seen.slots_used, 3);
	for (int i = 0; i < 3; i++)
		apus_abort(loop, joins[i]);
	turns(loop, 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(apus_try_join(loop, joins[i], NULL), -ECANCELED);
	turns(loop, 3);
	seen = counters(loop);
	ck_assert_uint_eq(seen.tasks_ready, 0);
	ck_assert_uint_eq(seen.slots_used, 0);
	ck_assert_uint_eq(seen.slots_high_water, 3);
	loop_close(loop);
}
END_TEST

START_TEST(a_wake_is_counted_once_for_each_time_it_made_a_task_ready)
{
	struct apus_loop *loop = loop_open(0);
	struct apus_waker waker;
	bool up = false;
	uint64_t before;
	int done = 0;

	apus_spawn_slab(loop, woken, (&(struct crowd){ .done = &done, .woken = &up,
		.waker = &waker }), NULL);
	turns(loop, 2);
	before = counters(loop).wakes;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(apus_wake(waker), 0);
		ck_assert_int_eq(apus_wake(waker), 0); /* not polled since: the same wake */
		apus_turn(loop);
		ck_assert_uint_eq(counters(loop).wakes - before, (uint64_t)i + 1);
	}
	ck_assert_int_eq(done, 0);
	loop_close(loop);
}
END_TEST

struct outer {
	struct apus_frame frame;
	struct crowd inner;
	int done;
};

static apus_poll inner(struct apus_cx *cx, struct crowd *self)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, APUS_SEC));
	APUS_END(0);
}

APUS_TASK(abandons, struct outer)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_timeout(cx, APUS_MSEC, inner(cx, &self->inner)));
	APUS_END(0);
}

/* A sub-task that lost its time-out and was left suspended; release builds do not count. */
START_TEST(a_sub_task_that_its_task_leaves_suspended_is_counted_in_debug_builds)
{
	struct apus_loop *loop = loop_open(0);
	int done = 0;

	ck_assert_int_eq((int)apus_run(loop, abandons, NULL), 0);
	ck_assert_uint_eq(counters(loop).frames_abandoned, APUS_DEBUG ? 1 : 0);
	ck_assert_int_eq((int)apus_run(loop, sleeper, (&(struct crowd){ .done = &done })), 0);
	ck_assert_uint_eq(counters(loop).frames_abandoned, APUS_DEBUG ? 1 : 0);
	loop_close(loop);
}
END_TEST

TEST_MAIN("loop limits",
	timers_beyond_their_budget_fire_in_the_next_turns,
	events_beyond_their_budget_are_reaped_in_the_next_turns,
	wakes_beyond_their_budget_are_taken_in_the_next_turns,
	cleanups_alone_have_the_whole_cancel_budget,
	walks_and_cleanups_have_half_of_the_cancel_budget_each,
	the_kernel_is_asked_every_turn_by_default,
	the_kernel_is_asked_when_so_many_turns_have_passed,
	the_kernel_is_asked_when_so_much_time_has_passed,
	the_first_of_the_two_intervals_to_pass_counts,
	idle_turns_are_counted_in_a_row_and_work_ends_the_row,
	a_loop_does_not_park_while_a_cleanup_is_due,
	the_clock_is_looked_at_after_so_many_turns_too,
	a_bucket_is_as_wide_as_the_resolution_rounded_up,
	a_loop_has_as_many_timers_without_an_owner_as_it_was_told,
	every_slot_has_a_second_wait_node,
	prefault_touches_the_slots_at_open,
	huge_pages_that_are_not_there_are_an_error_with_the_reason,
	a_node_that_is_not_there_is_an_error_with_the_reason,
	ready_tasks_and_slots_are_counted,
	a_wake_is_counted_once_for_each_time_it_made_a_task_ready,
	a_sub_task_that_its_task_leaves_suspended_is_counted_in_debug_builds)
