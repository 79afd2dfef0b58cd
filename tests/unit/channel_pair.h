/*
 * The promises that all channels between threads make, held against each kind: a test file
 * declares CHANNEL(name, type, capacity), names the verbs by CH(verb) and FIRSTS, where the
 * counting starts, and includes this.
 */
#include "loop_test.h"
#include "wait/poller.h"

#include <pthread.h>
#include <sched.h>

CHANNEL(numbers, uint64_t, 8)
CHANNEL(single, uint64_t, 1)

struct odd {
	char text[13];
};
CHANNEL(odds, struct odd, 4)

/* ---- without a loop ---------------------------------------------------------- */

/* S4: counting goes on over 2^32 and 2^64. */
START_TEST(messages_come_in_the_order_they_were_sent_also_over_the_wrap)
{
	static const uint64_t firsts[] = FIRSTS;
	static struct numbers numbers;
	uint64_t sent, got, message;
	size_t i, n;

	for (i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		ck_assert_int_eq(CH(init_at)(&numbers, firsts[i]), 0);
		for (sent = got = 0; got < 100;) {
			for (n = 0; n < 1 + sent % 8; n++)
				sent += CH(try_send)(&numbers, sent) == 0;
			for (n = 0; n < 1 + sent % 5; n++)
				if (CH(try_recv)(&numbers, &message) == 0)
					ck_assert_uint_eq(message, got++);
			ck_assert_uint_eq(CH(length)(&numbers), sent - got);
		}
		ck_assert_int_eq(CH(deinit)(&numbers), 0);
	}
}
END_TEST

/* Promise 11: full is a value, the message stays with the caller. */
START_TEST(a_full_channel_refuses_and_does_not_evaluate_the_value)
{
	static struct numbers numbers;
	uint64_t message, count = 0;
	int i;

	CH(init)(&numbers);
	ck_assert_uint_eq(CH(capacity)(&numbers), 8);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(CH(try_send)(&numbers, count++), 0);
	ck_assert_int_eq(CH(try_send)(&numbers, count++), -EAGAIN);
	ck_assert_uint_eq(count, 8);
	ck_assert_int_eq(CH(try_recv)(&numbers, &message), 0);
	ck_assert_int_eq(CH(try_send)(&numbers, count++), 0);
	ck_assert_int_eq(CH(try_send)(&numbers, count++), -EAGAIN);
	ck_assert_uint_eq(CH(length)(&numbers), 8);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

START_TEST(a_channel_of_one_holds_one)
{
	static struct single single;
	uint64_t message, i;

	CH(init)(&single);
	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(CH(try_recv)(&single, &message), -EAGAIN);
		ck_assert_int_eq(CH(try_send)(&single, i), 0);
		ck_assert_int_eq(CH(try_send)(&single, 99), -EAGAIN);
		ck_assert_int_eq(CH(try_recv)(&single, &message), 0);
		ck_assert_uint_eq(message, i);
	}
	ck_assert_int_eq(CH(deinit)(&single), 0);
}
END_TEST

START_TEST(messages_of_any_size_are_copied_whole)
{
	static struct odds odds;
	struct odd odd = { "twelve chars" }, got;

	CH(init)(&odds);
	ck_assert_int_eq(CH(try_send)(&odds, odd), 0);
	ck_assert_int_eq(CH(try_send_many)(&odds, &odd, 1), 1);
	ck_assert_int_eq(CH(try_recv)(&odds, &got), 0);
	ck_assert_str_eq(got.text, "twelve chars");
	memset(&got, 0, sizeof got);
	ck_assert_int_eq(CH(try_recv_many)(&odds, &got, 1), 1);
	ck_assert_str_eq(got.text, "twelve chars");
	ck_assert_int_eq(CH(deinit)(&odds), 0);
}
END_TEST

/* Promise 11: what is buffered drains before the end. */
START_TEST(a_closed_channel_drains_and_then_ends)
{
	static struct numbers numbers;
	uint64_t message, count = 2, batch[4] = { 0 };

	CH(init)(&numbers);
	ck_assert_int_eq(CH(try_send)(&numbers, 1), 0);
	ck_assert_int_eq(CH(try_send)(&numbers, 2), 0);
	ck_assert(!CH(is_closed)(&numbers));
	CH(close)(&numbers);
	CH(close)(&numbers);
	ck_assert(CH(is_closed)(&numbers));
	ck_assert_int_eq(CH(try_send)(&numbers, ++count), -EPIPE);
	ck_assert_int_eq(CH(try_send_many)(&numbers, batch, 4), -EPIPE);
	ck_assert_int_eq(CH(wait_send)(&numbers, APUS_NEVER, ++count), -EPIPE);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(CH(try_recv)(&numbers, &message), 0);
	ck_assert_int_eq(CH(try_recv_many)(&numbers, batch, 4), 1);
	ck_assert_uint_eq(batch[0], 2);
	ck_assert_int_eq(CH(try_recv)(&numbers, &message), -EPIPE);
	ck_assert_int_eq(CH(try_recv_many)(&numbers, batch, 4), -EPIPE);
	ck_assert_int_eq(CH(wait_recv)(&numbers, APUS_NEVER, &message), -EPIPE);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

START_TEST(batches_take_what_there_is_room_for_and_answer_how_many)
{
	static const uint64_t firsts[] = FIRSTS;
	static struct numbers numbers;
	uint64_t in[16], out[16], sent = 0, got = 0, i;
	size_t f;

	for (f = 0; f < sizeof firsts / sizeof firsts[0]; f++) {
		CH(init_at)(&numbers, firsts[f]);
		ck_assert_int_eq(CH(try_send_many)(&numbers, in, 0), -EINVAL);
		ck_assert_int_eq(CH(try_recv_many)(&numbers, out, 0), -EINVAL);
		ck_assert_int_eq(CH(try_recv_many)(&numbers, out, 4), -EAGAIN);
		for (sent = got = 0; got < 200;) {
			uint64_t want = 1 + sent % 11, room = 8 - (sent - got);
			int64_t n;

			for (i = 0; i < 16; i++)
				in[i] = sent + i;
			n = CH(try_send_many)(&numbers, in, want);
			ck_assert_int_eq(n, room == 0 ? -EAGAIN : (int64_t)(want < room ? want : room));
			sent += n > 0 ? (uint64_t)n : 0;
			want = 1 + got % 7;
			n = CH(try_recv_many)(&numbers, out, want);
			ck_assert_int_eq(n, sent - got < want ? (int64_t)(sent - got) : (int64_t)want);
			for (i = 0; i < (uint64_t)n; i++)
				ck_assert_uint_eq(out[i], got++);
		}
		ck_assert_int_eq(CH(deinit)(&numbers), 0);
	}
}
END_TEST

/* ---- tasks ------------------------------------------------------------------- */

struct reader {
	struct apus_frame frame;
	struct numbers *from;
	const char *name;
	int count;
	int64_t timeout_ns;
	uint64_t message;
	apus_poll err;
};

APUS_TASK(reader, struct reader)
{
	APUS_BEGIN(cx, self);
	while (self->count-- > 0) {
		APUS_AWAIT(self->err, apus_timeout(cx, self->timeout_ns,
			CH(recv)(cx, self->from, &self->message)));
		if (self->err < 0) {
			note("%s!%s ", self->name, self->err == -EPIPE ? "end" :
				self->err == -EBUSY ? "busy" :
				self->err == -ENOBUFS ? "none" : "time");
			return self->err;
		}
		note("%s%d ", self->name, (int)self->message);
	}
	/* Alive, but no longer waiting. */
	APUS_WAIT(apus_sleep(cx, APUS_SEC));
	APUS_END(0);
}

struct writer {
	struct apus_frame frame;
	struct numbers *to;
	const char *name;
	uint64_t next, count;
	int64_t timeout_ns;
	apus_poll err;
};

APUS_TASK(writer, struct writer)
{
	APUS_BEGIN(cx, self);
	for (; self->count > 0; self->count--) {
		APUS_AWAIT(self->err, apus_timeout(cx, self->timeout_ns,
			CH(send)(cx, self->to, self->next++)));
		if (self->err < 0) {
			note("%s!%s ", self->name, self->err == -EPIPE ? "end" :
				self->err == -EBUSY ? "busy" :
				self->err == -ENOBUFS ? "none" : "time");
			return self->err;
		}
		note("%s. ", self->name);
	}
	APUS_WAIT(apus_sleep(cx, APUS_SEC));
	APUS_END(0);
}

TEST_UNUSED static struct apus_join reader_start(struct apus_loop *loop, struct numbers *from,
	const char *name, int count, int64_t timeout_ns)
{
	struct reader reader = { .from = from, .name = name, .count = count,
		.timeout_ns = timeout_ns };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, reader, &reader, &join), 0);
	turns(loop, 1);
	return join;
}

TEST_UNUSED static struct apus_join writer_start(struct apus_loop *loop, struct numbers *to,
	const char *name, uint64_t next, uint64_t count, int64_t timeout_ns)
{
	struct writer writer = { .to = to, .name = name, .next = next, .count = count,
		.timeout_ns = timeout_ns };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, writer, &writer, &join), 0);
	turns(loop, 1);
	return join;
}

static void fill(struct numbers *numbers)
{
	uint64_t message;

	for (message = 0; CH(try_send)(numbers, message) == 0; message++)
		;
}

/* No wake call: the sender publishes, the loop looks. */
START_TEST(a_busy_loop_sees_the_message_in_its_next_turn_and_is_not_rung)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;

	CH(init)(&numbers);
	reader_start(loop, &numbers, "r", 3, APUS_NEVER);
	turns(loop, 5);
	expect_notes("");
	ck_assert_uint_eq(numbers.channel.ends.gate.recv_bell, numbers.channel.ends.gate.always);
	CH(try_send)(&numbers, 1);
	turns(loop, 1);
	expect_notes("r1 ");
	CH(try_send)(&numbers, 2);
	CH(try_send)(&numbers, 3);
	turns(loop, 1);
	expect_notes("r2 r3 ");
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

START_TEST(a_sender_waits_for_room)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	uint64_t message;

	CH(init)(&numbers);
	fill(&numbers);
	writer_start(loop, &numbers, "w", 100, 2, APUS_NEVER);
	turns(loop, 3);
	expect_notes("");
	CH(try_recv)(&numbers, &message);
	turns(loop, 1);
	expect_notes("w. ");
	CH(try_recv)(&numbers, &message);
	turns(loop, 1);
	expect_notes("w. ");
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

START_TEST(a_second_receiver_is_refused)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;

	CH(init)(&numbers);
	reader_start(loop, &numbers, "a", 1, APUS_SEC);
	reader_start(loop, &numbers, "b", 1, APUS_SEC);
	expect_notes("b!busy ");
	CH(try_send)(&numbers, 1);
	turns(loop, 1);
	expect_notes("a1 ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

/* Promise 3: what a poll does not renew is gone at its end. */
START_TEST(a_wait_that_timed_out_is_unlinked)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	unsigned nodes = pool_count(loop);

	CH(init)(&numbers);
	reader_start(loop, &numbers, "r", 1, APUS_MSEC);
	ck_assert_ptr_nonnull(apus_loop_cx(loop)->pollers);
	time_pass(loop, APUS_MSEC);
	turns(loop, 1);
	expect_notes("r!time ");
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	ck_assert_uint_eq(pool_count(loop), nodes);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
	memset(&numbers, 0xff, sizeof numbers);
	turns(loop, 3);
	loop_close(loop);
}
END_TEST

/* Promise 3, P3: with no user code. */
START_TEST(an_aborted_task_waits_no_more_at_either_end)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers empty, full;
	struct apus_join reader, writer;

	CH(init)(&empty);
	CH(init)(&full);
	fill(&full);
	reader = reader_start(loop, &empty, "r", 1, APUS_SEC);
	writer = writer_start(loop, &full, "w", 0, 1, APUS_SEC);
	ck_assert_int_eq(apus_abort(loop, reader), 1);
	ck_assert_int_eq(apus_abort(loop, writer), 1);
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	ck_assert_int_eq(CH(deinit)(&empty), 0);
	ck_assert_int_eq(CH(deinit)(&full), 0);
	memset(&empty, 0xff, sizeof empty);
	memset(&full, 0xff, sizeof full);
	turns(loop, 3);
	loop_close(loop);
}
END_TEST

/* S5: a sender waits while the receiver goes away, and the reverse. */
START_TEST(closing_wakes_who_waits_at_either_end)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers empty, full;

	CH(init)(&empty);
	CH(init)(&full);
	fill(&full);
	reader_start(loop, &empty, "r", 1, APUS_SEC);
	writer_start(loop, &full, "w", 0, 1, APUS_SEC);
	CH(close)(&empty);
	turns(loop, 1);
	expect_notes("r!end ");
	CH(close)(&full);
	turns(loop, 1);
	expect_notes("w!end ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&empty), 0);
	ck_assert_int_eq(CH(deinit)(&full), 0);
}
END_TEST

/* Promise 3: deinit unlinks and wakes; afterwards nothing looks at the memory. */
START_TEST(deinit_wakes_the_tasks_of_this_loop_and_the_memory_may_go)
{
	struct apus_loop *loop = loop_open(_i);
	struct numbers *empty = aligned_alloc(64, sizeof *empty);
	struct numbers *full = aligned_alloc(64, sizeof *full);

	CH(init)(empty);
	CH(init)(full);
	fill(full);
	reader_start(loop, empty, "r", 1, APUS_SEC);
	writer_start(loop, full, "w", 0, 1, APUS_SEC);
	ck_assert_int_eq(CH(deinit)(empty), 0);
	ck_assert_int_eq(CH(deinit)(full), 0);
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	free(empty);
	free(full);
	turns(loop, 1);
	expect_notes("r!end w!end ");
	loop_close(loop);
}
END_TEST

START_TEST(without_a_poller_nothing_is_consumed)
{
	struct apus_config config;
	struct apus_loop *loop;
	static struct numbers a, b;

	config_virtual(&config, _i);
	config.waker_count = 1;
	loop = loop_open_with(&config);
	CH(init)(&a);
	CH(init)(&b);
	reader_start(loop, &a, "a", 1, APUS_SEC);
	reader_start(loop, &b, "b", 1, APUS_SEC);
	expect_notes("b!none ");
	ck_assert_uint_ge(counters(loop).wait_refusals, 1);
	CH(try_send)(&a, 1);
	turns(loop, 1);
	expect_notes("a1 ");
	reader_start(loop, &b, "b", 1, APUS_SEC);
	CH(try_send)(&b, 2);
	turns(loop, 1);
	expect_notes("b2 ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&a), 0);
	ck_assert_int_eq(CH(deinit)(&b), 0);
}
END_TEST

START_TEST(a_sender_without_a_poller_sends_nothing_and_evaluates_nothing)
{
	struct apus_config config;
	struct apus_loop *loop;
	static struct numbers a, b;
	uint64_t message;

	config_virtual(&config, _i);
	config.waker_count = 1;
	loop = loop_open_with(&config);
	CH(init)(&a);
	CH(init)(&b);
	fill(&a);
	fill(&b);
	writer_start(loop, &a, "a", 100, 1, APUS_SEC);
	writer_start(loop, &b, "b", 200, 1, APUS_SEC);
	expect_notes("b!none ");
	ck_assert_uint_eq(CH(length)(&b), 8);
	CH(try_recv)(&b, &message);
	ck_assert_int_eq(CH(try_send)(&b, 9), 0); /* nobody is in front */
	CH(try_recv)(&a, &message);
	turns(loop, 1);
	expect_notes("a. ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&a), 0);
	ck_assert_int_eq(CH(deinit)(&b), 0);
}
END_TEST

/* S5: what arrives for a waiter that is gone by the time it would be polled stays for the next. */
START_TEST(a_message_for_a_receiver_that_is_aborted_goes_to_the_next)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	struct apus_join first;

	CH(init)(&numbers);
	first = reader_start(loop, &numbers, "a", 1, APUS_SEC);
	CH(try_send)(&numbers, 1);
	ck_assert_int_eq(apus_abort(loop, first), 1);
	ck_assert_uint_eq(CH(length)(&numbers), 1);
	reader_start(loop, &numbers, "b", 1, APUS_SEC);
	turns(loop, 1);
	expect_notes("b1 ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

START_TEST(room_for_a_sender_that_is_aborted_goes_to_the_next)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	struct apus_join first;
	uint64_t message;

	CH(init)(&numbers);
	fill(&numbers);
	first = writer_start(loop, &numbers, "a", 100, 1, APUS_SEC);
	CH(try_recv)(&numbers, &message);
	ck_assert_int_eq(apus_abort(loop, first), 1);
	ck_assert_uint_eq(CH(length)(&numbers), 7);
	writer_start(loop, &numbers, "b", 200, 1, APUS_SEC);
	turns(loop, 1);
	expect_notes("b. ");
	ck_assert_uint_eq(CH(length)(&numbers), 8);
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

/* DESIGN, 5: in the same turn the value wins, and what loses has consumed nothing. */
START_TEST(a_message_that_comes_in_the_turn_of_the_deadline_wins)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	uint64_t message;

	CH(init)(&numbers);
	reader_start(loop, &numbers, "r", 1, APUS_MSEC);
	CH(try_send)(&numbers, 5);
	time_pass(loop, 2 * APUS_MSEC);
	turns(loop, 1);
	expect_notes("r5 ");
	fill(&numbers);
	writer_start(loop, &numbers, "w", 100, 1, APUS_MSEC);
	CH(try_recv)(&numbers, &message);
	time_pass(loop, 2 * APUS_MSEC);
	turns(loop, 1);
	expect_notes("w. ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

/*
 * S5, promise 11: closed in any state, by whichever end, all that was sent comes out, and then
 * the end; nothing more goes in.
 */
START_TEST(closed_with_any_number_of_messages_it_ends_behind_them)
{
	static const uint64_t firsts[] = FIRSTS;
	static struct numbers numbers;
	uint64_t message, sent, taken, got, i;
	size_t f;

	for (f = 0; f < sizeof firsts / sizeof firsts[0]; f++)
		for (sent = 0; sent <= 8; sent++)
			for (taken = 0; taken <= sent; taken++) {
				CH(init_at)(&numbers, firsts[f]);
				for (i = 0; i < sent; i++)
					CH(try_send)(&numbers, i);
				for (got = 0; got < taken; got++)
					CH(try_recv)(&numbers, &message);
				CH(close)(&numbers);
				ck_assert_int_eq(CH(try_send)(&numbers, 99), -EPIPE);
				while (CH(try_recv)(&numbers, &message) == 0)
					ck_assert_uint_eq(message, got++);
				ck_assert_uint_eq(got, sent);
				ck_assert_int_eq(CH(try_recv)(&numbers, &message), -EPIPE);
				ck_assert_int_eq(CH(wait_send)(&numbers, APUS_NEVER, 99), -EPIPE);
				ck_assert_int_eq(CH(deinit)(&numbers), 0);
			}
}
END_TEST

struct chooser {
	struct apus_frame frame;
	struct numbers *a, *b;
	uint64_t from_a, from_b;
	apus_poll which, value;
};

APUS_TASK(chooser, struct chooser)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->which, APUS_SELECT(self->value,
			CH(recv)(cx, self->a, &self->from_a), CH(recv)(cx, self->b, &self->from_b)));
		if (self->value < 0)
			return self->value;
		note("%c%d ", self->which == 0 ? 'a' : 'b',
			(int)(self->which == 0 ? self->from_a : self->from_b));
	}
	APUS_END(0);
}

/* S5: a value is not lost when an arm loses. */
START_TEST(select_over_two_channels_loses_nothing)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers a, b;
	struct chooser chooser = { .a = &a, .b = &b };

	CH(init)(&a);
	CH(init)(&b);
	ck_assert_int_eq(apus_spawn_slab(loop, chooser, &chooser, NULL), 0);
	turns(loop, 2);
	CH(try_send)(&b, 1);
	turns(loop, 1);
	expect_notes("b1 ");
	CH(try_send)(&b, 2);
	CH(try_send)(&a, 3);
	turns(loop, 2);
	expect_notes("a3 b2 ");
	ck_assert_int_eq(CH(deinit)(&a), 0);
	turns(loop, 2);
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&b), 0);
}
END_TEST

struct batcher {
	struct apus_frame frame;
	struct numbers *from, *to;
	uint64_t in[8];
	apus_poll count, sent;
};

APUS_TASK(batcher, struct batcher)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->count, CH(recv_many)(cx, self->from, self->in, 0));
	note("%d ", (int)self->count == -EINVAL);
	for (;;) {
		APUS_TRY(self->count, CH(recv_many)(cx, self->from, self->in, 8));
		APUS_TRY(self->sent, CH(send_many)(cx, self->to, self->in, (size_t)self->count));
		note("%d-%d ", (int)self->count, (int)self->sent);
	}
	APUS_END(0);
}

START_TEST(a_task_awaits_batches)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers a, b;
	struct batcher batcher = { .from = &a, .to = &b };
	uint64_t in[5] = { 1, 2, 3, 4, 5 }, out[8];

	CH(init)(&a);
	CH(init)(&b);
	ck_assert_int_eq(apus_spawn_slab(loop, batcher, &batcher, NULL), 0);
	turns(loop, 2);
	CH(try_send_many)(&a, in, 5);
	turns(loop, 2);
	expect_notes("1 5-5 ");
	CH(try_send_many)(&a, in, 5);
	turns(loop, 2);
	expect_notes("5-3 ");
	CH(try_send_many)(&a, in, 2);
	turns(loop, 2);
	expect_notes("");
	ck_assert_int_eq(CH(try_recv_many)(&b, out, 8), 8);
	ck_assert_uint_eq(out[4], 5);
	ck_assert_uint_eq(out[7], 3);
	turns(loop, 1);
	expect_notes("2-2 ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&a), 0);
	ck_assert_int_eq(CH(deinit)(&b), 0);
}
END_TEST

/* ---- threads ----------------------------------------------------------------- */

START_TEST(waiting_in_a_thread_times_out)
{
	static struct numbers numbers;
	uint64_t message, count = 0;

	CH(init)(&numbers);
	ck_assert_int_eq(CH(wait_recv)(&numbers, 2 * APUS_MSEC, &message), -ETIME);
	ck_assert_int_eq(CH(wait_recv)(&numbers, 0, &message), -ETIME);
	ck_assert_int_eq(CH(wait_recv)(&numbers, -1, &message), -ETIME);
	fill(&numbers);
	ck_assert_int_eq(CH(wait_send)(&numbers, 2 * APUS_MSEC, count++), -ETIME);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(CH(wait_recv)(&numbers, 0, &message), 0);
	ck_assert_int_eq(CH(wait_send)(&numbers, 0, count++), 0);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

static bool is_asleep(const uint32_t *bell)
{
	return (apus_load_acquire(bell) & APUS_BELL_THREAD) != 0;
}

static void *thread_recv(void *arg)
{
	struct numbers *numbers = arg;
	uint64_t message = 0;

	return (void *)(intptr_t)(CH(wait_recv)(numbers, APUS_NEVER, &message) ?: (int)message);
}

START_TEST(a_sleeping_receiver_is_woken_by_a_message)
{
	static struct numbers numbers;
	pthread_t thread;
	void *got;

	CH(init)(&numbers);
	pthread_create(&thread, NULL, thread_recv, &numbers);
	while (!is_asleep(&numbers.channel.ends.gate.recv_bell))
		sched_yield();
	ck_assert_int_eq(CH(try_send)(&numbers, 42), 0);
	pthread_join(thread, &got);
	ck_assert_int_eq((intptr_t)got, 42);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

static void *thread_send(void *arg)
{
	struct numbers *numbers = arg;

	return (void *)(intptr_t)CH(wait_send)(numbers, APUS_NEVER, 42);
}

START_TEST(a_sleeping_sender_is_woken_by_room)
{
	static struct numbers numbers;
	uint64_t message = 0;
	pthread_t thread;
	void *sent;
	int i;

	CH(init)(&numbers);
	fill(&numbers);
	pthread_create(&thread, NULL, thread_send, &numbers);
	while (!is_asleep(&numbers.channel.ends.gate.send_bell))
		sched_yield();
	ck_assert_int_eq(CH(try_recv)(&numbers, &message), 0);
	pthread_join(thread, &sent);
	ck_assert_int_eq((intptr_t)sent, 0);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(CH(try_recv)(&numbers, &message), 0);
	ck_assert_uint_eq(message, 42);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

/* S5: whichever end closes, a thread that sleeps at the other wakes. */
START_TEST(closing_wakes_a_thread_that_sleeps_at_either_end)
{
	static struct numbers empty, full;
	pthread_t receiver, sender;
	void *got, *sent;

	CH(init)(&empty);
	CH(init)(&full);
	fill(&full);
	pthread_create(&receiver, NULL, thread_recv, &empty);
	pthread_create(&sender, NULL, thread_send, &full);
	while (!is_asleep(&empty.channel.ends.gate.recv_bell) ||
	       !is_asleep(&full.channel.ends.gate.send_bell))
		sched_yield();
	CH(close)(&empty);
	CH(close)(&full);
	pthread_join(receiver, &got);
	pthread_join(sender, &sent);
	ck_assert_int_eq((intptr_t)got, -EPIPE);
	ck_assert_int_eq((intptr_t)sent, -EPIPE);
	ck_assert_int_eq(CH(deinit)(&empty), 0);
	ck_assert_int_eq(CH(deinit)(&full), 0);
}
END_TEST

/* Promise 3: deinit wakes with -EPIPE, and says when the memory may go. */
START_TEST(deinit_wakes_a_sleeping_thread_and_says_that_it_has_not_left)
{
	static struct numbers numbers;
	pthread_t thread;
	void *got;
	int err;

	CH(init)(&numbers);
	pthread_create(&thread, NULL, thread_recv, &numbers);
	while (!is_asleep(&numbers.channel.ends.gate.recv_bell))
		sched_yield();
	while ((err = CH(deinit)(&numbers)) == -EBUSY)
		sched_yield();
	ck_assert_int_eq(err, 0);
	pthread_join(thread, &got);
	ck_assert_int_eq((intptr_t)got, -EPIPE);
}
END_TEST

struct other_loop {
	struct numbers *numbers;
	uint32_t waits, may_turn;
	char noted[64];
};

static void *other_loop_run(void *arg)
{
	struct other_loop *other = arg;
	struct apus_loop *loop = loop_open(0);

	reader_start(loop, other->numbers, "r", 1, APUS_SEC);
	apus_store_release(&other->waits, 1);
	while (!apus_load_acquire(&other->may_turn))
		sched_yield();
	turns(loop, 2);
	strcpy(other->noted, noted());
	loop_close(loop);
	return NULL;
}

START_TEST(deinit_says_that_another_loops_task_has_not_left)
{
	static struct numbers numbers;
	struct other_loop other = { .numbers = &numbers };
	pthread_t thread;

	CH(init)(&numbers);
	pthread_create(&thread, NULL, other_loop_run, &other);
	while (!apus_load_acquire(&other.waits))
		sched_yield();
	ck_assert_int_eq(CH(deinit)(&numbers), -EBUSY);
	ck_assert_int_eq(CH(deinit)(&numbers), -EBUSY);
	apus_store_release(&other.may_turn, 1);
	while (CH(deinit)(&numbers) != 0)
		sched_yield();
	pthread_join(thread, NULL);
	ck_assert_str_eq(other.noted, "r!end ");
}
END_TEST

struct ticker {
	struct apus_frame frame;
};

/* Ends each park. */
APUS_TASK(ticker, struct ticker)
{
	APUS_BEGIN(cx, self);
	for (;;)
		APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	APUS_END(0);
}

/* The bell stays set while a loop parks, and is taken back where one is busy. */
START_TEST(a_loop_that_parked_and_is_busy_again_needs_no_ringing)
{
	struct apus_config config;
	struct apus_loop *loop;
	static struct numbers numbers;
	uint32_t *bell = &numbers.channel.ends.gate.recv_bell;

	if (CH(init)(&numbers), numbers.channel.ends.gate.always != 0)
		TEST_SKIP("no membarrier");
	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_spawn_slab(loop, ticker, NULL, NULL), 0);
	reader_start(loop, &numbers, "r", 1, APUS_NEVER);
	while (counters(loop).parks == 0)
		apus_turn(loop);
	ck_assert_uint_eq(apus_load_relaxed(bell), APUS_BELL_RINGS);
	CH(try_send)(&numbers, 1);
	while (strcmp(notes, "r1 ") != 0)
		apus_turn(loop);
	ck_assert_uint_eq(apus_load_relaxed(bell), APUS_BELL_RINGS);
	apus_set_idle(loop, APUS_IDLE_BUSY);
	reader_start(loop, &numbers, "r", 1, APUS_NEVER);
	ck_assert_uint_eq(apus_load_relaxed(bell), 0);
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&numbers), 0);
}
END_TEST

/* P5: what the other end did before the bell was set is seen by the look behind it. */
START_TEST(a_loop_about_to_sleep_looks_again)
{
	struct apus_loop *loop = loop_open(0);
	static struct numbers empty, full;
	struct apusi_poller *poller;
	uint64_t message;

	CH(init)(&empty);
	CH(init)(&full);
	fill(&full);
	reader_start(loop, &empty, "r", 1, APUS_SEC);
	poller = apus_loop_cx(loop)->pollers;
	ck_assert(poller->kind->arm(poller));
	CH(try_send)(&empty, 1);
	ck_assert(!poller->kind->arm(poller));
	poller->kind->disarm(poller);
	turns(loop, 1);
	writer_start(loop, &full, "w", 100, 1, APUS_SEC);
	poller = apus_loop_cx(loop)->pollers;
	ck_assert(poller->kind->arm(poller));
	CH(try_recv)(&full, &message);
	ck_assert(!poller->kind->arm(poller));
	poller->kind->disarm(poller);
	turns(loop, 1);
	expect_notes("r1 w. ");
	loop_close(loop);
	ck_assert_int_eq(CH(deinit)(&empty), 0);
	ck_assert_int_eq(CH(deinit)(&full), 0);
}
END_TEST

#define PAIR_TESTS                                                                   \
	messages_come_in_the_order_they_were_sent_also_over_the_wrap,                \
	a_full_channel_refuses_and_does_not_evaluate_the_value,                      \
	a_channel_of_one_holds_one, messages_of_any_size_are_copied_whole,           \
	a_closed_channel_drains_and_then_ends,                                       \
	batches_take_what_there_is_room_for_and_answer_how_many,                     \
	a_busy_loop_sees_the_message_in_its_next_turn_and_is_not_rung,               \
	a_sender_waits_for_room, a_second_receiver_is_refused,                       \
	a_wait_that_timed_out_is_unlinked, an_aborted_task_waits_no_more_at_either_end, \
	closing_wakes_who_waits_at_either_end,                                       \
	deinit_wakes_the_tasks_of_this_loop_and_the_memory_may_go,                   \
	without_a_poller_nothing_is_consumed, select_over_two_channels_loses_nothing, \
	a_task_awaits_batches, waiting_in_a_thread_times_out,                        \
	a_sender_without_a_poller_sends_nothing_and_evaluates_nothing,               \
	a_message_for_a_receiver_that_is_aborted_goes_to_the_next,                   \
	room_for_a_sender_that_is_aborted_goes_to_the_next,                          \
	a_message_that_comes_in_the_turn_of_the_deadline_wins,                       \
	closed_with_any_number_of_messages_it_ends_behind_them,                      \
	a_sleeping_receiver_is_woken_by_a_message, a_sleeping_sender_is_woken_by_room, \
	closing_wakes_a_thread_that_sleeps_at_either_end,                            \
	deinit_wakes_a_sleeping_thread_and_says_that_it_has_not_left,                \
	deinit_says_that_another_loops_task_has_not_left,                            \
	a_loop_about_to_sleep_looks_again,                                           \
	a_loop_that_parked_and_is_busy_again_needs_no_ringing
