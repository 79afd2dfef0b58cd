#include "apus/channels.h"
#include "apus/loop.h"
#include "test.h"

APUS_CHANNEL(numbers, uint64_t, 4)
APUS_CHANNEL(fives, uint64_t, 5)
APUS_CHANNEL(ones, uint64_t, 1)
APUS_CHANNEL_SLOTS(lots, uint64_t)

struct order {
	uint64_t id;
	int64_t price;
	char symbol[8];
};
APUS_CHANNEL(orders, struct order, 8)

/* What happened, in order. */
struct trace {
	uint64_t values[256];
	uint32_t count;
};

static void note(struct trace *trace, uint64_t value)
{
	ck_assert_uint_lt(trace->count, 256);
	trace->values[trace->count++] = value;
}

static void trace_expect(const struct trace *trace, uint32_t count, uint64_t first)
{
	uint32_t i;

	ck_assert_uint_eq(trace->count, count);
	for (i = 0; i < count; i++)
		ck_assert_uint_eq(trace->values[i], first + i);
}

/* ---- without a loop: the try_ half --------------------------------------------- */

START_TEST(messages_come_out_in_the_order_they_went_in)
{
	struct numbers ch;
	uint64_t in = 0, out = 0, got;

	ck_assert_int_eq(apus_channel_init(&ch), 0);
	/* The numbers of messages wrap on the way. */
	ch.channel.head = ch.channel.tail = UINT64_MAX - 9;
	while (out < 40) {
		while (apus_try_send(&ch, in) == 0)
			in++;
		ck_assert_uint_eq(apus_channel_length(&ch), 4);
		for (; in - out > out % 3; out++) {
			ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
			ck_assert_uint_eq(got, out);
		}
	}
}
END_TEST

static int evaluations;

static uint64_t count_evaluation(void)
{
	evaluations++;
	return 7;
}

/* Promise 11: refused, the message stays with the caller, who need not even make it. */
START_TEST(a_value_is_evaluated_once_and_only_when_it_is_sent)
{
	struct ones ch;
	uint64_t got = 0;

	apus_channel_init(&ch);
	evaluations = 0;
	ck_assert_int_eq(apus_try_send(&ch, count_evaluation()), 0);
	ck_assert_int_eq(evaluations, 1);
	ck_assert_int_eq(apus_try_send(&ch, count_evaluation()), -EAGAIN);
	apus_close_send(&ch);
	ck_assert_int_eq(apus_try_send(&ch, count_evaluation()), -EPIPE);
	ck_assert_int_eq(evaluations, 1);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got, 7);
}
END_TEST

START_TEST(an_empty_channel_is_not_an_ended_one)
{
	struct ones ch;
	uint64_t got = 3;

	apus_channel_init(&ch);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EAGAIN);
	apus_close_send(&ch);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EPIPE);
	ck_assert_uint_eq(got, 3);
}
END_TEST

START_TEST(a_value_may_be_a_compound_literal)
{
	struct orders ch;
	struct order got;

	apus_channel_init(&ch);
	ck_assert_int_eq(apus_try_send(&ch, (struct order){ 7, -100, "AAPL" }), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got.id, 7);
	ck_assert_int_eq(got.price, -100);
	ck_assert_str_eq(got.symbol, "AAPL");
}
END_TEST

START_TEST(a_capacity_is_exact_also_when_it_is_no_power_of_two)
{
	struct fives ch;
	uint64_t i, round, got;

	apus_channel_init(&ch);
	ck_assert_uint_eq(apus_channel_capacity(&ch), 5);
	for (round = 0; round < 9; round++) {
		for (i = 0; i < 5; i++)
			ck_assert_int_eq(apus_try_send(&ch, i), 0);
		ck_assert_int_eq(apus_try_send(&ch, i), -EAGAIN);
		for (i = 0; i < 5; i++) {
			ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
			ck_assert_uint_eq(got, i);
		}
		ck_assert(apus_channel_is_empty(&ch));
	}
}
END_TEST

START_TEST(slots_given_at_run_time_are_a_power_of_two)
{
	uint64_t slots[8], got;
	struct lots ch;

	ck_assert_int_eq(apus_channel_init_slots(&ch, slots, 0), -EINVAL);
	ck_assert_int_eq(apus_channel_init_slots(&ch, slots, 6), -EINVAL);
	ck_assert_int_eq(apus_channel_init_slots(&ch, slots, UINT64_C(1) << 32), -EINVAL);
	ck_assert_int_eq(apus_channel_init_slots(&ch, NULL, 8), -EINVAL);
	ck_assert_int_eq(apus_channel_init_slots(&ch, slots, 8), 0);
	ck_assert_uint_eq(apus_channel_capacity(&ch), 8);
	for (uint64_t i = 0; i < 20; i++) {
		ck_assert_int_eq(apus_try_send(&ch, i), 0);
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
		ck_assert_uint_eq(got, i);
	}
}
END_TEST

static void send_uninitialised(void *arg)
{
	struct numbers *ch = (struct numbers *)arg;

	(void)apus_try_send(ch, 1);
}

/* Promise 12: it would be full for ever. */
START_TEST(a_channel_without_init_panics)
{
	struct numbers ch;

	memset(&ch, 0, sizeof ch);
	test_expect_panic("capacity != 0", send_uninitialised, &ch);
}
END_TEST

/* Promise 11: buffered messages drain before the end of the channel. */
START_TEST(what_was_sent_drains_before_the_end_is_told)
{
	struct numbers ch;
	uint64_t got = 0;

	apus_channel_init(&ch);
	apus_try_send(&ch, 1);
	apus_try_send(&ch, 2);
	apus_close_send(&ch);
	apus_close_send(&ch);
	ck_assert(apus_channel_is_closed(&ch));
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got, 2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EPIPE);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EPIPE);
}
END_TEST

static void drop_noted(void *arg, uint64_t *message)
{
	note((struct trace *)arg, *message);
}

START_TEST(what_the_receiver_left_is_counted_and_dropped_in_order)
{
	struct trace dropped = { .count = 0 };
	struct numbers ch;
	uint64_t got = 0;

	apus_channel_init(&ch);
	for (uint64_t i = 1; i <= 4; i++)
		apus_try_send(&ch, i);
	apus_try_recv(&ch, &got);
	apus_close_recv(&ch);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EPIPE);
	ck_assert_int_eq(apus_try_send(&ch, 9), -EPIPE);
	ck_assert_uint_eq(apus_channel_length(&ch), 3);
	ck_assert_uint_eq(apus_channel_deinit_with(&ch, drop_noted, &dropped), 3);
	trace_expect(&dropped, 3, 2);
	ck_assert_uint_eq(apus_channel_deinit(&ch), 0);
	ck_assert_int_eq(apus_try_send(&ch, 9), -EPIPE);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EPIPE);
}
END_TEST

START_TEST(the_last_sender_dropped_ends_the_channel)
{
	struct numbers_sender first, second, third;
	struct numbers ch;
	uint64_t got = 0;

	apus_channel_init(&ch);
	ck_assert_int_eq(apus_sender_init(&first, &ch), 0);
	ck_assert_int_eq(apus_sender_clone(&second, &first), 0);
	ck_assert_uint_eq(apus_channel_sender_count(&ch), 2);
	ck_assert_int_eq(apus_try_send(first.to, 5), 0);
	apus_sender_drop(&first);
	apus_sender_drop(&first);
	ck_assert_int_eq(apus_sender_clone(&third, &first), -EPIPE);
	apus_sender_drop(&third);
	ck_assert(!apus_channel_is_closed(&ch));
	ck_assert_int_eq(apus_try_send(second.to, 6), 0);
	apus_sender_drop(&second);
	ck_assert(apus_channel_is_closed(&ch));
	ck_assert_int_eq(apus_sender_init(&first, &ch), -EPIPE);
	apus_sender_drop(&first);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EPIPE);
}
END_TEST

START_TEST(a_sender_may_be_dropped_after_deinit)
{
	struct numbers_sender sender;
	struct numbers ch;

	apus_channel_init(&ch);
	apus_sender_init(&sender, &ch);
	apus_channel_deinit(&ch);
	apus_sender_drop(&sender);
	ck_assert_uint_eq(apus_channel_sender_count(&ch), 0);
}
END_TEST

START_TEST(a_batch_takes_what_there_is)
{
	const uint64_t in[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct fives ch;
	uint64_t out[8] = { 0 };

	apus_channel_init(&ch);
	ch.channel.head = ch.channel.tail = 6; /* both batches lie in two pieces */
	ck_assert_int_eq(apus_try_send_many(&ch, in, 0), -EINVAL);
	ck_assert_int_eq(apus_try_recv_many(&ch, out, 0), -EINVAL);
	ck_assert_int_eq(apus_try_recv_many(&ch, out, 8), -EAGAIN);
	ck_assert_int_eq(apus_try_send_many(&ch, in, 3), 3);
	ck_assert_int_eq(apus_try_send_many(&ch, in + 3, 5), 2);
	ck_assert_int_eq(apus_try_send_many(&ch, in + 5, 3), -EAGAIN);
	ck_assert_int_eq(apus_try_recv_many(&ch, out, 4), 4);
	apus_close_send(&ch);
	ck_assert_int_eq(apus_try_send_many(&ch, in, 1), -EPIPE);
	ck_assert_int_eq(apus_try_recv_many(&ch, out + 4, 4), 1);
	ck_assert_int_eq(apus_try_recv_many(&ch, out, 4), -EPIPE);
	ck_assert_mem_eq(out, in, 5 * sizeof *in);
}
END_TEST

/* ---- on a loop --------------------------------------------------------------------- */

/*
 * Every test of these runs twice: plainly, and with every task polled again for no reason
 * before each turn (promise 3: a wait is renewed, a place in the queue is kept).
 */
static struct apus_loop *the_loop;
static struct apus_join tasks[32];
static uint32_t task_count;
static bool pestered;

static void loop_open(uint32_t wait_count, bool pester)
{
	struct apus_config config;

	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	config.backend = APUS_IO_NONE;
	config.slot_count = 64;
	config.wait_count = wait_count;
	config.spurious_seed = APUS_DEBUG && pester ? 1 + (uint64_t)time(NULL) : 0;
	ck_assert_msg(apus_open(&the_loop, &config) == 0, "%s", config.reason);
	task_count = 0;
	pestered = pester;
}

static void loop_close(void)
{
	ck_assert_int_eq(apus_close(the_loop, NULL), 0);
}

static struct apus_join *next_task(void)
{
	ck_assert_uint_lt(task_count, 32);
	return &tasks[task_count++];
}

#define SPAWN(kind, ...) \
	ck_assert_int_eq(apus_spawn_slab(the_loop, kind, &(struct kind){ __VA_ARGS__ }, next_task()), 0)

static void turns(uint32_t count)
{
	while (count-- > 0) {
		for (uint32_t i = 0; pestered && i < task_count; i++)
			if (apus_join_is_finished(the_loop, tasks[i]) == 0)
				apus_task_wake(apus_loop_cx(the_loop), tasks[i].task);
		apus_turn(the_loop);
	}
}

/* Idle turns, in which the virtual clock jumps, bucket by bucket, to the next deadline. */
static void pass_time(void)
{
	for (uint32_t i = 0; i < 40; i++)
		apus_turn(the_loop);
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

/* Sends first, first + 1, ... and answers 0, or the error that ended it. */
struct sender {
	struct apus_frame frame;
	apus_poll err;
	struct numbers *to;
	uint64_t first, count;
	struct trace *sent; /* may be NULL */
	uint64_t done;
};

APUS_TASK(sender, struct sender)
{
	APUS_BEGIN(cx, self);
	for (self->done = 0; self->done < self->count; self->done++) {
		APUS_TRY(self->err, apus_send(cx, self->to, self->first + self->done));
		if (self->sent != NULL)
			note(self->sent, self->first + self->done);
	}
	APUS_END(0);
}

/* Receives count messages, or until the end. */
struct receiver {
	struct apus_frame frame;
	apus_poll err;
	struct numbers *from;
	struct trace *seen;
	uint64_t count, message;
};

APUS_TASK(receiver, struct receiver)
{
	APUS_BEGIN(cx, self);
	for (; self->count > 0; self->count--) {
		APUS_TRY(self->err, apus_recv(cx, self->from, &self->message));
		note(self->seen, self->message);
	}
	APUS_END(0);
}

START_TEST(a_waiting_receiver_wakes_for_each_message)
{
	struct trace seen = { .count = 0 };
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 3);
	turns(2);
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(apus_try_send(&ch, i), 0);
		turns(1);
		trace_expect(&seen, (uint32_t)i, 1);
	}
	expect_result(0, 0);
	loop_close();
}
END_TEST

START_TEST(many_tasks_to_one_lose_and_double_nothing)
{
	struct trace seen = { .count = 0 };
	uint64_t next[4] = { 0, 1000, 2000, 3000 };
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	for (uint64_t i = 0; i < 4; i++)
		SPAWN(sender, .to = &ch, .first = i * 1000, .count = 50);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 200);
	turns(200);
	expect_result(4, 0);
	ck_assert_uint_eq(seen.count, 200);
	for (uint32_t i = 0; i < 200; i++)
		ck_assert_uint_eq(seen.values[i], next[seen.values[i] / 1000]++);
	loop_close();
}
END_TEST

/* Promise 11: full makes the sender wait, and the messages of waiters come in their order. */
START_TEST(waiting_senders_are_served_in_the_order_they_came)
{
	struct trace seen = { .count = 0 };
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	for (uint64_t i = 0; i < 10; i++)
		SPAWN(sender, .to = &ch, .first = i, .count = 1);
	turns(2);
	ck_assert_uint_eq(apus_channel_length(&ch), 4);
	for (uint64_t i = 0; i < 10; i++) {
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
		note(&seen, got);
		turns(1 + i % 2);
	}
	trace_expect(&seen, 10, 0);
	loop_close();
}
END_TEST

/* Promise 11: no barging, neither while a sender queues nor while it holds a grant. */
START_TEST(try_send_does_not_overtake_a_waiting_sender)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	turns(2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(apus_channel_length(&ch), 3);
	ck_assert_int_eq(apus_try_send(&ch, 99), -EAGAIN);
	turns(1);
	expect_result(0, 0);
	for (uint64_t i = 1; i < 5; i++) {
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
		ck_assert_uint_eq(got, i);
	}
	ck_assert_int_eq(apus_try_send(&ch, 99), 0);
	loop_close();
}
END_TEST

/* Urgent, so it is polled while those that were woken before it still hold their grants. */
struct hasty {
	struct apus_frame frame;
	apus_poll err;
	struct numbers *to;
};

APUS_TASK_URGENT(hasty, struct hasty)
{
	APUS_BEGIN(cx, self);
	APUS_TRY(self->err, apus_send(cx, self->to, 77));
	APUS_END(0);
}

/*
 * A sender that comes while a grant is out queues, although a slot is free; the one before
 * it hands the slot on when it takes its own.
 */
START_TEST(a_sender_behind_a_grant_is_not_forgotten)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	turns(2);
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	/* The first task holds one grant, two slots more are free: both arrivals fit. */
	SPAWN(hasty, .to = &ch);
	SPAWN(hasty, .to = &ch);
	turns(1);
	expect_result(0, 0);
	expect_result(1, 0);
	expect_result(2, 0);
	ck_assert_uint_eq(apus_channel_length(&ch), 4);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got, 4);
	loop_close();
}
END_TEST

/* But it must not take its slot before the one that holds the grant takes his. */
START_TEST(an_urgent_sender_does_not_overtake_a_grant)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	turns(2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	SPAWN(hasty, .to = &ch);
	turns(1);
	for (uint64_t i = 2; i < 5; i++) {
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
		ck_assert_uint_eq(got, i);
	}
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got, 77);
	loop_close();
}
END_TEST

/* Promise 11: nor when both hold a grant, and the urgent one is polled first. */
START_TEST(messages_keep_the_order_in_which_their_senders_came)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	turns(2);
	SPAWN(hasty, .to = &ch);
	turns(2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	turns(1);
	expect_result(0, 0);
	expect_result(1, 0);
	for (uint64_t i = 2; i < 5; i++) {
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
		ck_assert_uint_eq(got, i);
	}
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got, 77);
	loop_close();
}
END_TEST

struct assassin {
	struct apus_frame frame;
	struct apus_join victim;
};

APUS_TASK_URGENT(assassin, struct assassin)
{
	return apus_abort(cx->loop, self->victim);
}

/* S5: the second of two granted was polled before the first, which then goes away. */
START_TEST(a_granted_sender_goes_on_when_the_one_before_it_is_gone)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	turns(2);
	SPAWN(hasty, .to = &ch);
	turns(2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	SPAWN(assassin, .victim = tasks[0]); /* runs between the two */
	turns(1);
	expect_result(1, 0);
	expect_result(2, 1);
	ck_assert_uint_eq(apus_channel_length(&ch), 3);
	loop_close();
}
END_TEST

/* S5, promise 3: the slot was reserved for a task that is gone; the next one gets it. */
START_TEST(an_aborted_sender_passes_its_grant_on)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	SPAWN(sender, .to = &ch, .first = 50, .count = 1);
	turns(2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_abort(the_loop, tasks[0]), 1);
	turns(1);
	expect_result(1, 0);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got, 50);
	loop_close();
}
END_TEST

/* S5: nobody else waits, so the slot is simply free again. */
START_TEST(a_grant_that_nobody_takes_frees_its_slot)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	turns(2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_abort(the_loop, tasks[0]), 1);
	ck_assert_int_eq(apus_try_send(&ch, 60), 0);
	ck_assert_int_eq(apus_try_send(&ch, 61), -EAGAIN);
	loop_close();
}
END_TEST

static uint64_t noted_value(struct trace *trace, uint64_t value)
{
	note(trace, value);
	return value;
}

/* Sends one value, unless another channel has a message first: two arms of a select. */
struct torn {
	struct apus_frame frame;
	struct numbers *to, *other;
	struct trace *evaluated;
	uint64_t value, message;
	apus_poll arm;
};

APUS_TASK(torn, struct torn)
{
	apus_poll which;

	APUS_BEGIN(cx, self);
	APUS_AWAIT(which, APUS_SELECT(self->arm, apus_recv(cx, self->other, &self->message),
		apus_send(cx, self->to, noted_value(self->evaluated, self->value))));
	APUS_END(which);
}

/* S5, promise 3: granted, but another arm won: the value was not made, the grant passes on. */
START_TEST(a_sender_that_loses_a_select_passes_its_grant_on)
{
	struct trace evaluated = { .count = 0 };
	struct numbers ch, other;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	apus_channel_init(&other);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(apus_try_send(&ch, i), 0);
	SPAWN(torn, .to = &ch, .other = &other, .evaluated = &evaluated, .value = 40);
	SPAWN(sender, .to = &ch, .first = 41, .count = 1);
	turns(3);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_int_eq(apus_try_send(&other, 1), 0);
	turns(1);
	expect_result(0, 0); /* the first arm */
	expect_result(1, 0);
	ck_assert_uint_eq(evaluated.count, 0);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	ck_assert_uint_eq(got, 41);
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EAGAIN);
	loop_close();
}
END_TEST

/* The value of a waiting send is made when its slot is there, not when it is polled. */
START_TEST(a_waiting_value_is_evaluated_when_its_turn_comes)
{
	struct trace evaluated = { .count = 0 };
	struct numbers ch, other;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	apus_channel_init(&other);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(apus_try_send(&ch, i), 0);
	SPAWN(torn, .to = &ch, .other = &other, .evaluated = &evaluated, .value = 40);
	turns(5);
	ck_assert_uint_eq(evaluated.count, 0);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	turns(2);
	ck_assert_uint_eq(evaluated.count, 1);
	expect_result(0, 1);
	loop_close();
}
END_TEST

struct hurried {
	struct apus_frame frame;
	struct numbers *to;
};

APUS_TASK(hurried, struct hurried)
{
	apus_poll err;

	APUS_BEGIN(cx, self);
	APUS_AWAIT(err, apus_timeout(cx, APUS_MSEC, apus_send(cx, self->to, 88)));
	if (err != -ETIME)
		return err;
	APUS_WAIT(apus_sleep_until(cx, APUS_NEVER));
	APUS_END(0);
}

/*
 * Promise 3: a wait that an expired timeout abandoned may still be granted a slot, once; that
 * wakes the task, which no longer cares, and the slot passes on.  The message never comes.
 */
START_TEST(a_send_that_timed_out_is_gone)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(apus_try_send(&ch, i), 0);
	SPAWN(hurried, .to = &ch);
	pass_time();
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	turns(1);
	ck_assert(!apus_waitq_is_busy(&ch.channel.senders));
	ck_assert_int_eq(apus_try_send(&ch, 4), 0);
	for (uint64_t i = 1; i < 5; i++) {
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
		ck_assert_uint_eq(got, i);
	}
	turns(5);
	ck_assert(apus_channel_is_empty(&ch));
	expect_waiting(0);
	loop_close();
}
END_TEST

/* S5: the receiver goes away while senders wait. */
START_TEST(senders_that_wait_wake_when_the_receiver_closes)
{
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 9);
	SPAWN(sender, .to = &ch, .first = 10, .count = 9);
	turns(2);
	apus_close_recv(&ch);
	turns(1);
	expect_result(0, -EPIPE);
	expect_result(1, -EPIPE);
	ck_assert_uint_eq(apus_channel_deinit(&ch), 4);
	loop_close();
}
END_TEST

/* S5: it closed after it had granted a slot. */
START_TEST(a_granted_sender_finds_the_channel_closed)
{
	struct numbers ch;
	uint64_t got = 0;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(sender, .to = &ch, .first = 0, .count = 5);
	turns(2);
	ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
	apus_close_send(&ch);
	turns(1);
	expect_result(0, -EPIPE);
	for (uint64_t i = 1; i < 4; i++) {
		ck_assert_int_eq(apus_try_recv(&ch, &got), 0);
		ck_assert_uint_eq(got, i);
	}
	ck_assert_int_eq(apus_try_recv(&ch, &got), -EPIPE);
	loop_close();
}
END_TEST

struct owner {
	struct apus_frame frame;
	apus_poll err;
	struct numbers_sender out;
};

static void owner_cleanup(struct apus_cx *cx, struct owner *self)
{
	(void)cx;
	apus_sender_drop(&self->out);
}

APUS_TASK(owner, struct owner, owner_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_TRY(self->err, apus_send(cx, self->out.to, 1));
	APUS_WAIT(apus_sleep_until(cx, APUS_NEVER));
	APUS_END(0);
}

/* S5, the reverse: the senders go away while the receiver waits. */
START_TEST(the_receiver_wakes_when_the_last_sender_is_gone)
{
	struct trace seen = { .count = 0 };
	struct numbers_sender first, second;
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	ck_assert_int_eq(apus_sender_init(&first, &ch), 0);
	ck_assert_int_eq(apus_sender_clone(&second, &first), 0);
	SPAWN(owner, .out = first);
	SPAWN(owner, .out = second);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 9);
	turns(2);
	apus_abort(the_loop, tasks[0]);
	turns(1);
	expect_waiting(2);
	apus_abort(the_loop, tasks[1]);
	turns(2);
	expect_result(2, -EPIPE);
	ck_assert_uint_eq(seen.count, 2);
	loop_close();
}
END_TEST

START_TEST(a_second_receiver_that_would_wait_is_busy)
{
	struct trace seen = { .count = 0 };
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 2);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 1);
	turns(1);
	expect_result(1, -EBUSY);
	ck_assert_int_eq(apus_try_send(&ch, 1), 0);
	turns(1);
	expect_waiting(0);
	apus_abort(the_loop, tasks[0]);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 1);
	turns(1);
	ck_assert_int_eq(apus_try_send(&ch, 2), 0);
	turns(1);
	expect_result(2, 0);
	trace_expect(&seen, 2, 1);
	loop_close();
}
END_TEST

/* S5: the wake went to a receiver that is gone; the message is still there, the channel works. */
START_TEST(a_message_for_an_aborted_receiver_is_kept)
{
	struct trace seen = { .count = 0 };
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 9);
	turns(1);
	ck_assert_int_eq(apus_try_send(&ch, 1), 0);
	apus_abort(the_loop, tasks[0]);
	turns(1);
	ck_assert_uint_eq(seen.count, 0);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 2);
	turns(1);
	ck_assert_int_eq(apus_try_send(&ch, 2), 0);
	turns(1);
	expect_result(1, 0);
	trace_expect(&seen, 2, 1);
	loop_close();
}
END_TEST

/*
 * Promise 3: deinit wakes who waits with -EPIPE, and the memory may go at once (the
 * sanitizer would see it touched).
 */
START_TEST(deinit_wakes_everybody_and_leaves_nothing_behind)
{
	struct numbers *full = malloc(sizeof *full), *empty = malloc(sizeof *empty);
	struct trace seen = { .count = 0 };

	loop_open(16, _i);
	apus_channel_init(full);
	apus_channel_init(empty);
	SPAWN(sender, .to = full, .first = 0, .count = 9);
	SPAWN(sender, .to = full, .first = 10, .count = 9);
	SPAWN(receiver, .from = empty, .seen = &seen, .count = 9);
	turns(2);
	ck_assert_uint_eq(apus_channel_deinit(full), 4);
	ck_assert_uint_eq(apus_channel_deinit(empty), 0);
	memset(full, 0xee, sizeof *full);
	memset(empty, 0xee, sizeof *empty);
	free(full);
	free(empty);
	turns(1);
	expect_result(0, -EPIPE);
	expect_result(1, -EPIPE);
	expect_result(2, -EPIPE);
	loop_close();
}
END_TEST

/* A task that waits and is aborted, then its channel goes, then its loop. */
START_TEST(a_channel_may_outlive_its_loop)
{
	struct trace seen = { .count = 0 };
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	SPAWN(receiver, .from = &ch, .seen = &seen, .count = 9);
	turns(1);
	loop_close();
	ck_assert_int_eq(apus_try_send(&ch, 1), 0);
	ck_assert_uint_eq(apus_channel_deinit(&ch), 1);
}
END_TEST

/* No wait node is left for the second arm: -ENOBUFS, and nothing was consumed. */
START_TEST(a_send_without_a_wait_node_is_refused)
{
	struct trace evaluated = { .count = 0 };
	struct numbers ch, other;

	loop_open(0, _i);
	apus_channel_init(&ch);
	apus_channel_init(&other);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(apus_try_send(&ch, i), 0);
	SPAWN(torn, .to = &ch, .other = &other, .evaluated = &evaluated, .value = 40);
	turns(2);
	ck_assert_ptr_eq(((struct torn *)apus_join_state(the_loop, tasks[0]))->to, &ch);
	ck_assert_int_eq(((struct torn *)apus_join_state(the_loop, tasks[0]))->arm, -ENOBUFS);
	expect_result(0, 1);
	ck_assert_uint_eq(evaluated.count, 0);
	ck_assert_uint_eq(apus_channel_length(&ch), 4);
	loop_close();
}
END_TEST

struct gulper {
	struct apus_frame frame;
	struct numbers *from;
	struct trace *seen;
	uint64_t batch[8];
};

APUS_TASK(gulper, struct gulper)
{
	apus_poll got;

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(got, apus_recv_many(cx, self->from, self->batch, 8));
		for (apus_poll i = 0; i < got; i++)
			note(self->seen, self->batch[i]);
	}
	APUS_END(0);
}

START_TEST(a_batch_received_lets_as_many_senders_go_on)
{
	struct trace seen = { .count = 0 };
	struct numbers ch;

	loop_open(16, _i);
	apus_channel_init(&ch);
	for (uint64_t i = 0; i < 10; i++)
		SPAWN(sender, .to = &ch, .first = i, .count = 1);
	turns(2);
	SPAWN(gulper, .from = &ch, .seen = &seen);
	turns(4);
	trace_expect(&seen, 10, 0);
	ck_assert_int_eq(apus_try_send_many(&ch, seen.values, 3), 3);
	turns(1);
	ck_assert_uint_eq(seen.count, 13);
	apus_close_send(&ch);
	turns(1);
	expect_result(10, -EPIPE);
	loop_close();
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const plain[] = {
		messages_come_out_in_the_order_they_went_in,
		a_value_is_evaluated_once_and_only_when_it_is_sent,
		an_empty_channel_is_not_an_ended_one,
		a_value_may_be_a_compound_literal,
		a_capacity_is_exact_also_when_it_is_no_power_of_two,
		slots_given_at_run_time_are_a_power_of_two,
		a_channel_without_init_panics,
		what_was_sent_drains_before_the_end_is_told,
		what_the_receiver_left_is_counted_and_dropped_in_order,
		the_last_sender_dropped_ends_the_channel,
		a_sender_may_be_dropped_after_deinit,
		a_batch_takes_what_there_is,
	};
	const TTest *const with_loop[] = {
		a_waiting_receiver_wakes_for_each_message,
		many_tasks_to_one_lose_and_double_nothing,
		waiting_senders_are_served_in_the_order_they_came,
		try_send_does_not_overtake_a_waiting_sender,
		a_sender_behind_a_grant_is_not_forgotten,
		an_urgent_sender_does_not_overtake_a_grant,
		messages_keep_the_order_in_which_their_senders_came,
		a_granted_sender_goes_on_when_the_one_before_it_is_gone,
		an_aborted_sender_passes_its_grant_on,
		a_grant_that_nobody_takes_frees_its_slot,
		a_sender_that_loses_a_select_passes_its_grant_on,
		a_waiting_value_is_evaluated_when_its_turn_comes,
		a_send_that_timed_out_is_gone,
		senders_that_wait_wake_when_the_receiver_closes,
		a_granted_sender_finds_the_channel_closed,
		the_receiver_wakes_when_the_last_sender_is_gone,
		a_second_receiver_that_would_wait_is_busy,
		a_message_for_an_aborted_receiver_is_kept,
		deinit_wakes_everybody_and_leaves_nothing_behind,
		a_channel_may_outlive_its_loop,
		a_send_without_a_wait_node_is_refused,
		a_batch_received_lets_as_many_senders_go_on,
	};
	TCase *all = test_case("channel_local");

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		tcase_add_test(all, plain[i]);
	for (size_t i = 0; i < sizeof with_loop / sizeof *with_loop; i++)
		tcase_add_loop_test(all, with_loop[i], 0, 2);
	return test_run(argc, argv, all);
}
