#include "apus/channel_mpsc.h"

#define CHANNEL APUS_MPSC
#define CH(verb) apus_mpsc_##verb
#define FIRSTS { 0, UINT64_C(0xfffffff0), UINT64_C(0xfffffffffffffff0) }
#include "channel_pair.h"

START_TEST(an_odd_first_place_is_refused)
{
	static struct numbers numbers;

	ck_assert_int_eq(apus_mpsc_init_at(&numbers, 1), -EINVAL);
}
END_TEST

/* As the library locks it; nobody waits for the lock for long. */
static void line_lock(struct numbers *numbers)
{
	uint32_t word = 0;

	while (!apus_swap_acq_rel(&numbers->channel.line.lock, &word, 1)) {
		word = 0;
		sched_yield();
	}
}

static void line_unlock(struct numbers *numbers)
{
	apus_exchange_full(&numbers->channel.line.lock, 0);
}

/* Places in the line of waiting senders. */
static unsigned line_count(struct numbers *numbers)
{
	struct apusi_place *place;
	unsigned count = 0;

	line_lock(numbers);
	for (place = numbers->channel.line.head; place != NULL; place = place->next)
		count++;
	line_unlock(numbers);
	return count;
}

static const struct apusi_place *line_last(struct numbers *numbers)
{
	const struct apusi_place *last;

	line_lock(numbers);
	last = numbers->channel.line.tail;
	line_unlock(numbers);
	return last;
}

/* Promise 11: no barging. */
START_TEST(try_send_is_refused_while_somebody_waits)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	uint64_t message, batch[2] = { 0 };

	apus_mpsc_init(&numbers);
	fill(&numbers);
	writer_start(loop, &numbers, "w", 100, 1, APUS_NEVER);
	ck_assert_uint_eq(line_count(&numbers), 1);
	apus_mpsc_try_recv(&numbers, &message);
	apus_mpsc_try_recv(&numbers, &message);
	/* There is room for two, but somebody was there before. */
	ck_assert_int_eq(apus_mpsc_try_send(&numbers, 1), -EAGAIN);
	ck_assert_int_eq(apus_mpsc_try_send_many(&numbers, batch, 2), -EAGAIN);
	turns(loop, 1);
	expect_notes("w. ");
	ck_assert_int_eq(apus_mpsc_try_send(&numbers, 1), 0);
	ck_assert_uint_eq(line_count(&numbers), 0);
	loop_close(loop);
	ck_assert_int_eq(apus_mpsc_deinit(&numbers), 0);
}
END_TEST

/* Promise 11: first come, first served; one message each, then to the end of the line. */
START_TEST(waiting_senders_are_served_in_the_order_they_came)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	uint64_t message, i;

	apus_mpsc_init(&numbers);
	fill(&numbers);
	writer_start(loop, &numbers, "a", 100, 2, APUS_NEVER);
	writer_start(loop, &numbers, "b", 200, 2, APUS_NEVER);
	writer_start(loop, &numbers, "c", 300, 2, APUS_NEVER);
	for (i = 0; i < 6; i++) {
		apus_mpsc_try_recv(&numbers, &message);
		turns(loop, 3);
	}
	expect_notes("a. b. c. a. b. c. ");
	loop_close(loop);
	ck_assert_int_eq(apus_mpsc_deinit(&numbers), 0);
}
END_TEST

/* S5: room is not given to a waiter that no longer cares. */
START_TEST(who_gives_up_hands_its_place_on)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	struct apus_join first;
	uint64_t message;

	apus_mpsc_init(&numbers);
	fill(&numbers);
	first = writer_start(loop, &numbers, "a", 100, 1, APUS_NEVER);
	writer_start(loop, &numbers, "b", 200, 1, APUS_MSEC);
	writer_start(loop, &numbers, "c", 300, 1, APUS_NEVER);
	apus_mpsc_try_recv(&numbers, &message);
	/* It has room and does not know it yet. */
	ck_assert_int_eq(apus_abort(loop, first), 1);
	turns(loop, 1);
	expect_notes("b. ");
	apus_mpsc_try_recv(&numbers, &message);
	turns(loop, 1);
	expect_notes("c. ");
	ck_assert_uint_eq(line_count(&numbers), 0);
	loop_close(loop);
	ck_assert_int_eq(apus_mpsc_deinit(&numbers), 0);
}
END_TEST

START_TEST(who_gives_up_in_the_middle_is_passed_over)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	uint64_t message;

	apus_mpsc_init(&numbers);
	fill(&numbers);
	writer_start(loop, &numbers, "a", 100, 1, APUS_NEVER);
	writer_start(loop, &numbers, "b", 200, 1, APUS_MSEC);
	writer_start(loop, &numbers, "c", 300, 1, APUS_NEVER);
	time_pass(loop, APUS_MSEC);
	turns(loop, 1);
	expect_notes("b!time ");
	ck_assert_uint_eq(line_count(&numbers), 2);
	apus_mpsc_try_recv(&numbers, &message);
	apus_mpsc_try_recv(&numbers, &message);
	turns(loop, 3);
	expect_notes("a. c. ");
	loop_close(loop);
	ck_assert_int_eq(apus_mpsc_deinit(&numbers), 0);
}
END_TEST

struct sleeper {
	struct numbers *numbers;
	uint64_t message;
	int64_t timeout_ns;
	int err;
	pthread_t thread;
};

static void *sleeper_run(void *arg)
{
	struct sleeper *sleeper = arg;

	int err = apus_mpsc_wait_send(sleeper->numbers, sleeper->timeout_ns, sleeper->message);

	apus_store_release(&sleeper->err, err);
	return NULL;
}

static void sleeper_start(struct sleeper *sleeper, struct numbers *numbers, uint64_t message,
	int64_t timeout_ns)
{
	const struct apusi_place *last = line_last(numbers);

	*sleeper = (struct sleeper){ numbers, message, timeout_ns, 1, 0 };
	ck_assert_int_eq(pthread_create(&sleeper->thread, NULL, sleeper_run, sleeper), 0);
	/*
	 * It stands at the end, or has given up already.  Not by the line's length: another may
	 * leave while this one comes.
	 */
	while (line_last(numbers) == last && apus_load_acquire(&sleeper->err) == 1)
		sched_yield();
}

/* Tasks and threads alike. */
START_TEST(threads_and_tasks_stand_in_one_line)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	struct sleeper one, two, late;
	uint64_t message = 0, i, order[4];

	apus_mpsc_init(&numbers);
	fill(&numbers);
	sleeper_start(&one, &numbers, 1, APUS_NEVER);
	writer_start(loop, &numbers, "w", 2, 1, APUS_NEVER);
	sleeper_start(&late, &numbers, 99, APUS_MSEC);
	sleeper_start(&two, &numbers, 3, APUS_NEVER);
	pthread_join(late.thread, NULL);
	ck_assert_int_eq(late.err, -ETIME);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(apus_mpsc_try_recv(&numbers, &message), 0);
	for (i = 0; i < 3;) {
		turns(loop, 1);
		if (apus_mpsc_try_recv(&numbers, &message) == 0)
			order[i++] = message;
		else
			sched_yield();
	}
	ck_assert_uint_eq(order[0], 1);
	ck_assert_uint_eq(order[1], 2);
	ck_assert_uint_eq(order[2], 3);
	pthread_join(one.thread, NULL);
	pthread_join(two.thread, NULL);
	ck_assert_int_eq(one.err | two.err, 0);
	loop_close(loop);
	ck_assert_int_eq(apus_mpsc_deinit(&numbers), 0);
}
END_TEST

START_TEST(closing_wakes_the_whole_line)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	struct sleeper one, two;
	int err;

	apus_mpsc_init(&numbers);
	fill(&numbers);
	writer_start(loop, &numbers, "a", 2, 1, APUS_NEVER);
	sleeper_start(&one, &numbers, 1, APUS_NEVER);
	writer_start(loop, &numbers, "b", 2, 1, APUS_NEVER);
	sleeper_start(&two, &numbers, 1, APUS_NEVER);
	apus_mpsc_close(&numbers);
	pthread_join(one.thread, NULL);
	pthread_join(two.thread, NULL);
	ck_assert_int_eq(one.err, -EPIPE);
	ck_assert_int_eq(two.err, -EPIPE);
	err = apus_mpsc_deinit(&numbers);
	ck_assert_int_eq(err, 0);
	memset(&numbers, 0xff, sizeof numbers);
	turns(loop, 2);
	expect_notes("a!end b!end ");
	loop_close(loop);
}
END_TEST

static uint64_t close_meanwhile(struct numbers *numbers, int *err)
{
	uint64_t message;

	apus_mpsc_close(numbers);
	*err = apus_mpsc_try_recv(numbers, &message);
	return 7;
}

/*
 * A place that was given out before it was closed comes before the end, however late its
 * sender is: the value's expression closes the channel.
 */
START_TEST(a_message_on_its_way_comes_before_the_end)
{
	static struct numbers numbers;
	uint64_t message;
	int during = 0;

	apus_mpsc_init(&numbers);
	ck_assert_int_eq(apus_mpsc_try_send(&numbers, close_meanwhile(&numbers, &during)), 0);
	ck_assert_int_eq(during, -EAGAIN);
	ck_assert_int_eq(apus_mpsc_try_recv(&numbers, &message), 0);
	ck_assert_uint_eq(message, 7);
	ck_assert_int_eq(apus_mpsc_try_recv(&numbers, &message), -EPIPE);
	ck_assert_int_eq(apus_mpsc_deinit(&numbers), 0);
}
END_TEST

static uint64_t overtake_meanwhile(struct numbers *numbers)
{
	uint64_t message;

	ck_assert_int_eq(apus_mpsc_try_send(numbers, 2), 0);
	ck_assert_int_eq(apus_mpsc_try_recv(numbers, &message), -EAGAIN);
	ck_assert_uint_eq(apus_mpsc_length(numbers), 2);
	return 1;
}

/* S4: the queue looks empty while a sender is between its two steps; nothing is lost. */
START_TEST(a_sender_between_its_two_steps_hides_those_behind_it)
{
	static struct numbers numbers;
	uint64_t message = 0;

	apus_mpsc_init(&numbers);
	ck_assert_int_eq(apus_mpsc_try_send(&numbers, overtake_meanwhile(&numbers)), 0);
	ck_assert_int_eq(apus_mpsc_try_recv(&numbers, &message), 0);
	ck_assert_uint_eq(message, 1);
	ck_assert_int_eq(apus_mpsc_try_recv(&numbers, &message), 0);
	ck_assert_uint_eq(message, 2);
	ck_assert_int_eq(apus_mpsc_deinit(&numbers), 0);
}
END_TEST

LOOP_TEST_MAIN("channel_mpsc", PAIR_TESTS, an_odd_first_place_is_refused,
	try_send_is_refused_while_somebody_waits,
	waiting_senders_are_served_in_the_order_they_came, who_gives_up_hands_its_place_on,
	who_gives_up_in_the_middle_is_passed_over, threads_and_tasks_stand_in_one_line,
	closing_wakes_the_whole_line, a_message_on_its_way_comes_before_the_end,
	a_sender_between_its_two_steps_hides_those_behind_it)
