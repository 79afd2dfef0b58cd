#include "apus/loop.h"
#include "apus/sync.h"
#include "test.h"

/*
 * Every test runs twice: plainly, and with every task polled again for no reason before
 * each turn (promise 3: a wait is renewed, a place in the queue is kept).
 */
static struct apus_loop *the_loop;
static struct apus_join tasks[16];
static uint32_t task_count;
static bool pestered;

static void loop_open(bool pester)
{
	struct apus_config config;

	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	config.backend = APUS_IO_NONE;
	config.slot_count = 64;
	config.wait_count = 16;
	config.spurious_seed = APUS_DEBUG && pester ? 1 + (uint64_t)time(NULL) : 0;
	ck_assert_msg(apus_open(&the_loop, &config) == 0, "%s", config.reason);
	task_count = 0;
	pestered = pester;
}

static void loop_close(void)
{
	ck_assert_int_eq(apus_close(the_loop, NULL), 0);
}

#define SPAWN(kind, ...) \
	ck_assert_int_eq(apus_spawn_slab(the_loop, kind, &(struct kind){ __VA_ARGS__ }, \
		&tasks[task_count++]), 0)

static void turns(uint32_t count)
{
	while (count-- > 0) {
		for (uint32_t i = 0; pestered && i < task_count; i++)
			if (apus_join_is_finished(the_loop, tasks[i]) == 0)
				apus_task_wake(apus_loop_cx(the_loop), tasks[i].task);
		apus_turn(the_loop);
	}
}

static void expect_result(uint32_t index, apus_poll expected)
{
	apus_poll result = 1234567;

	ck_assert_int_eq(apus_try_join(the_loop, tasks[index], &result), 0);
	ck_assert_int_eq(result, expected);
}

static void expect_waiting(uint32_t index)
{
	ck_assert_int_eq(apus_join_is_finished(the_loop, tasks[index]), 0);
}

/* Each answers what its awaitable answered. */
#define ONE_AWAIT(name, type, call)                    \
	struct name {                                  \
		struct apus_frame frame;               \
		type *object;                          \
		apus_poll answer;                      \
	};                                             \
	APUS_TASK(name, struct name)                   \
	{                                              \
		APUS_BEGIN(cx, self);                  \
		APUS_AWAIT(self->answer, call(cx, self->object)); \
		APUS_END(self->answer);                \
	}

ONE_AWAIT(notified, struct apus_notify, apus_notified)
ONE_AWAIT(awaiter, struct apus_event, apus_event_wait)
ONE_AWAIT(acquirer, struct apus_semaphore, apus_semaphore_acquire)

/* ---- notify ------------------------------------------------------------------- */

START_TEST(notify_one_wakes_one_and_in_order)
{
	struct apus_notify notify = { .is_stored = false };

	loop_open(_i);
	for (int i = 0; i < 3; i++)
		SPAWN(notified, .object = &notify);
	turns(2);
	for (uint32_t i = 0; i < 3; i++) {
		expect_waiting(i);
		apus_notify_one(&notify);
		turns(1);
		expect_result(i, 0);
	}
	loop_close();
}
END_TEST

START_TEST(notify_twice_wakes_two)
{
	struct apus_notify notify = { .is_stored = false };

	loop_open(_i);
	for (int i = 0; i < 3; i++)
		SPAWN(notified, .object = &notify);
	turns(2);
	apus_notify_one(&notify);
	apus_notify_one(&notify);
	turns(1);
	expect_result(0, 0);
	expect_result(1, 0);
	expect_waiting(2);
	loop_close();
}
END_TEST

START_TEST(one_notification_and_no_more_is_kept)
{
	struct apus_notify notify = { .is_stored = false };

	loop_open(_i);
	apus_notify_one(&notify);
	apus_notify_one(&notify);
	SPAWN(notified, .object = &notify);
	SPAWN(notified, .object = &notify);
	turns(3);
	expect_result(0, 0);
	expect_waiting(1);
	loop_close();
}
END_TEST

/* S5: it was given to a task that is gone. */
START_TEST(a_notification_passes_on)
{
	struct apus_notify notify = { .is_stored = false };

	loop_open(_i);
	SPAWN(notified, .object = &notify);
	SPAWN(notified, .object = &notify);
	turns(2);
	apus_notify_one(&notify);
	apus_abort(the_loop, tasks[0]);
	turns(1);
	expect_result(1, 0);
	loop_close();
}
END_TEST

/* S5: and when nobody else waits, it is kept. */
START_TEST(a_notification_that_nobody_took_is_kept)
{
	struct apus_notify notify = { .is_stored = false };

	loop_open(_i);
	SPAWN(notified, .object = &notify);
	SPAWN(notified, .object = &notify);
	turns(2);
	apus_notify_one(&notify);
	apus_notify_one(&notify);
	apus_abort(the_loop, tasks[0]);
	apus_abort(the_loop, tasks[1]);
	turns(1);
	SPAWN(notified, .object = &notify);
	SPAWN(notified, .object = &notify);
	turns(2);
	expect_result(2, 0);
	expect_waiting(3); /* of two that nobody took one is kept */
	loop_close();
}
END_TEST

struct eager {
	struct apus_frame frame;
	struct apus_notify *object;
	apus_poll answer;
};

APUS_TASK_URGENT(eager, struct eager)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->answer, apus_notified(cx, self->object));
	APUS_END(self->answer);
}

/*
 * Two are notified, one of them goes away with nobody to pass it on to; then a third comes
 * while the other still holds its grant.  What was left must reach it.
 */
START_TEST(a_notification_left_over_reaches_who_came_meanwhile)
{
	struct apus_notify notify = { .is_stored = false };

	loop_open(_i);
	SPAWN(notified, .object = &notify);
	SPAWN(notified, .object = &notify);
	turns(2);
	apus_notify_one(&notify);
	apus_notify_one(&notify);
	apus_abort(the_loop, tasks[0]);
	SPAWN(eager, .object = &notify);
	turns(1);
	expect_result(1, 0);
	expect_result(2, 0);
	loop_close();
}
END_TEST

START_TEST(notify_all_wakes_who_waits_and_keeps_nothing)
{
	struct apus_notify notify = { .is_stored = false };

	loop_open(_i);
	SPAWN(notified, .object = &notify);
	SPAWN(notified, .object = &notify);
	SPAWN(notified, .object = &notify);
	turns(2);
	apus_notify_one(&notify);
	apus_notify_all(&notify);
	apus_abort(the_loop, tasks[1]); /* its share passes on to nobody */
	SPAWN(notified, .object = &notify);
	turns(2);
	expect_result(0, 0);
	expect_result(2, 0);
	expect_waiting(3);
	loop_close();
}
END_TEST

/* Promise 3: and the memory may go at once. */
START_TEST(notify_deinit_wakes_with_epipe)
{
	struct apus_notify *notify = calloc(1, sizeof *notify);

	loop_open(_i);
	for (int i = 0; i < 3; i++)
		SPAWN(notified, .object = notify);
	turns(2);
	apus_notify_one(notify);
	apus_notify_all(notify);
	SPAWN(notified, .object = notify);
	apus_notify_deinit(notify);
	free(notify);
	apus_abort(the_loop, tasks[3]); /* it has not asked yet: it would ask freed memory */
	turns(1);
	for (uint32_t i = 0; i < 3; i++)
		expect_result(i, -EPIPE);
	loop_close();
}
END_TEST

/* ---- event ---------------------------------------------------------------------- */

START_TEST(an_event_lets_all_go_on_until_it_is_cleared)
{
	struct apus_event event = { .is_set = false };

	loop_open(_i);
	SPAWN(awaiter, .object = &event);
	SPAWN(awaiter, .object = &event);
	turns(2);
	expect_waiting(0);
	apus_event_set(&event);
	ck_assert(apus_event_is_set(&event));
	SPAWN(awaiter, .object = &event);
	turns(1);
	for (uint32_t i = 0; i < 3; i++)
		expect_result(i, 0);
	apus_event_clear(&event);
	SPAWN(awaiter, .object = &event);
	turns(2);
	expect_waiting(3);
	loop_close();
}
END_TEST

/* Never lost: whoever waited when it was set goes on, and nobody else. */
START_TEST(an_event_cleared_at_once_reached_who_waited)
{
	struct apus_event event = { .is_set = false };

	loop_open(_i);
	SPAWN(awaiter, .object = &event);
	SPAWN(awaiter, .object = &event);
	turns(2);
	apus_event_set(&event);
	apus_event_clear(&event);
	apus_abort(the_loop, tasks[0]);
	SPAWN(awaiter, .object = &event);
	turns(2);
	expect_result(1, 0);
	expect_waiting(2);
	loop_close();
}
END_TEST

struct drummer {
	struct apus_frame frame;
	struct apus_event *event;
	uint32_t beats;
};

APUS_TASK(drummer, struct drummer)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_WAIT(apus_event_wait(cx, self->event));
		self->beats++;
		apus_event_clear(self->event);
	}
	APUS_END(0);
}

START_TEST(an_event_set_once_is_seen_once)
{
	struct apus_event event = { .is_set = false };

	loop_open(_i);
	SPAWN(drummer, .event = &event);
	turns(2);
	for (uint32_t i = 1; i < 4; i++) {
		apus_event_set(&event);
		turns(2);
		ck_assert_uint_eq(((struct drummer *)apus_join_state(the_loop, tasks[0]))->beats, i);
	}
	loop_close();
}
END_TEST

START_TEST(event_deinit_wakes_with_epipe)
{
	struct apus_event *event = calloc(1, sizeof *event);

	loop_open(_i);
	SPAWN(awaiter, .object = event);
	SPAWN(awaiter, .object = event);
	turns(2);
	apus_event_deinit(event);
	free(event);
	turns(1);
	expect_result(0, -EPIPE);
	expect_result(1, -EPIPE);
	loop_close();
}
END_TEST

/* ---- semaphore --------------------------------------------------------------------- */

START_TEST(permits_are_taken_and_given_back)
{
	struct apus_semaphore semaphore;

	apus_semaphore_init(&semaphore, 2);
	ck_assert_int_eq(apus_semaphore_try_acquire(&semaphore), 0);
	ck_assert_int_eq(apus_semaphore_try_acquire(&semaphore), 0);
	ck_assert_int_eq(apus_semaphore_try_acquire(&semaphore), -EAGAIN);
	ck_assert_int_eq(apus_semaphore_release(&semaphore, 1), 0);
	ck_assert_uint_eq(apus_semaphore_available(&semaphore), 1);
	ck_assert_int_eq(apus_semaphore_release(&semaphore, UINT64_MAX), -EOVERFLOW);
	ck_assert_uint_eq(apus_semaphore_available(&semaphore), 1);
	apus_semaphore_close(&semaphore);
	ck_assert_int_eq(apus_semaphore_try_acquire(&semaphore), -EPIPE);
	ck_assert_int_eq(apus_semaphore_release(&semaphore, 1), 0);
}
END_TEST

START_TEST(who_waits_for_a_permit_is_served_in_order)
{
	struct apus_semaphore semaphore = { .permits = 0 };

	loop_open(_i);
	for (int i = 0; i < 4; i++)
		SPAWN(acquirer, .object = &semaphore);
	turns(2);
	apus_semaphore_release(&semaphore, 1);
	turns(1);
	expect_result(0, 0);
	expect_waiting(1);
	apus_semaphore_release(&semaphore, 5);
	ck_assert_uint_eq(apus_semaphore_available(&semaphore), 2);
	turns(1);
	for (uint32_t i = 1; i < 4; i++)
		expect_result(i, 0);
	ck_assert_uint_eq(apus_semaphore_available(&semaphore), 2);
	loop_close();
}
END_TEST

/* Promise 11: no barging, neither while somebody queues nor while a grant is out. */
START_TEST(try_acquire_does_not_overtake_who_waits)
{
	struct apus_semaphore semaphore = { .permits = 0 };

	loop_open(_i);
	SPAWN(acquirer, .object = &semaphore);
	turns(2);
	apus_semaphore_release(&semaphore, 1);
	ck_assert_int_eq(apus_semaphore_try_acquire(&semaphore), -EAGAIN);
	turns(1);
	expect_result(0, 0);
	loop_close();
}
END_TEST

/* S5: given to a task that is gone. */
START_TEST(a_permit_passes_on_or_is_kept)
{
	struct apus_semaphore semaphore = { .permits = 0 };

	loop_open(_i);
	SPAWN(acquirer, .object = &semaphore);
	SPAWN(acquirer, .object = &semaphore);
	turns(2);
	apus_semaphore_release(&semaphore, 2);
	apus_abort(the_loop, tasks[0]);
	ck_assert_uint_eq(apus_semaphore_available(&semaphore), 1);
	apus_semaphore_release(&semaphore, 0);
	turns(1);
	expect_result(1, 0);
	ck_assert_int_eq(apus_semaphore_try_acquire(&semaphore), 0);
	ck_assert_int_eq(apus_semaphore_try_acquire(&semaphore), -EAGAIN);
	loop_close();
}
END_TEST

struct grabber {
	struct apus_frame frame;
	struct apus_semaphore *object;
	apus_poll answer;
};

APUS_TASK_URGENT(grabber, struct grabber)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->answer, apus_semaphore_acquire(cx, self->object));
	APUS_END(self->answer);
}

/* It comes while a grant is out and queues, although there is a permit for it, too. */
START_TEST(who_comes_behind_a_grant_is_not_forgotten)
{
	struct apus_semaphore semaphore = { .permits = 0 };

	loop_open(_i);
	SPAWN(acquirer, .object = &semaphore);
	turns(2);
	apus_semaphore_release(&semaphore, 3);
	SPAWN(grabber, .object = &semaphore);
	SPAWN(grabber, .object = &semaphore);
	turns(1);
	for (uint32_t i = 0; i < 3; i++)
		expect_result(i, 0);
	loop_close();
}
END_TEST

START_TEST(a_closed_semaphore_wakes_who_waits)
{
	struct apus_semaphore semaphore = { .permits = 0 };

	loop_open(_i);
	SPAWN(acquirer, .object = &semaphore);
	SPAWN(acquirer, .object = &semaphore);
	turns(2);
	apus_semaphore_close(&semaphore);
	turns(1);
	expect_result(0, -EPIPE);
	expect_result(1, -EPIPE);
	loop_close();
}
END_TEST

/* And the one who was given a permit does not get it any more. */
START_TEST(a_permit_given_before_the_close_stays)
{
	struct apus_semaphore semaphore = { .permits = 0 };

	loop_open(_i);
	SPAWN(acquirer, .object = &semaphore);
	turns(2);
	apus_semaphore_release(&semaphore, 1);
	apus_semaphore_close(&semaphore);
	turns(1);
	expect_result(0, -EPIPE);
	ck_assert_uint_eq(apus_semaphore_available(&semaphore), 1);
	loop_close();
}
END_TEST

START_TEST(semaphore_deinit_wakes_with_epipe)
{
	struct apus_semaphore *semaphore = calloc(1, sizeof *semaphore);

	loop_open(_i);
	SPAWN(acquirer, .object = semaphore);
	SPAWN(acquirer, .object = semaphore);
	turns(2);
	apus_semaphore_release(semaphore, 1);
	apus_semaphore_deinit(semaphore);
	free(semaphore);
	turns(1);
	expect_result(0, -EPIPE);
	expect_result(1, -EPIPE);
	loop_close();
}
END_TEST

/* ---- two at a time -------------------------------------------------------------------- */

struct either {
	struct apus_frame frame;
	struct apus_event *event;
	struct apus_semaphore *semaphore;
	apus_poll value, which;
};

APUS_TASK(either, struct either)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->value, apus_event_wait(cx, self->event),
		apus_semaphore_acquire(cx, self->semaphore)));
	APUS_END(self->which);
}

/* S5, promise 3: the arm that lost has taken nothing. */
START_TEST(a_permit_of_a_losing_arm_passes_on)
{
	struct apus_semaphore semaphore = { .permits = 0 };
	struct apus_event event = { .is_set = false };

	loop_open(_i);
	SPAWN(either, .event = &event, .semaphore = &semaphore);
	SPAWN(acquirer, .object = &semaphore);
	turns(2);
	apus_semaphore_release(&semaphore, 1);
	apus_event_set(&event);
	turns(1);
	expect_result(0, 0);
	expect_result(1, 0);
	ck_assert_uint_eq(apus_semaphore_available(&semaphore), 0);
	loop_close();
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = {
		notify_one_wakes_one_and_in_order,
		notify_twice_wakes_two,
		one_notification_and_no_more_is_kept,
		a_notification_passes_on,
		a_notification_that_nobody_took_is_kept,
		a_notification_left_over_reaches_who_came_meanwhile,
		notify_all_wakes_who_waits_and_keeps_nothing,
		notify_deinit_wakes_with_epipe,
		an_event_lets_all_go_on_until_it_is_cleared,
		an_event_cleared_at_once_reached_who_waited,
		an_event_set_once_is_seen_once,
		event_deinit_wakes_with_epipe,
		permits_are_taken_and_given_back,
		who_waits_for_a_permit_is_served_in_order,
		try_acquire_does_not_overtake_who_waits,
		a_permit_passes_on_or_is_kept,
		who_comes_behind_a_grant_is_not_forgotten,
		a_closed_semaphore_wakes_who_waits,
		a_permit_given_before_the_close_stays,
		semaphore_deinit_wakes_with_epipe,
		a_permit_of_a_losing_arm_passes_on,
	};
	TCase *all = test_case("sync");

	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_loop_test(all, tests[i], 0, 2);
	return test_run(argc, argv, all);
}
