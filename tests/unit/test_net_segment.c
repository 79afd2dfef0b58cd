/*
 * test_net_segment.c - receives that name no buffer: the loop's segments, over each backend.
 */
#define _GNU_SOURCE
#include "sockets.h"

struct taker {
	struct apus_frame frame;
	struct apus_tcp tcp;
	struct apus_segment *segment;
	int64_t timeout_ns;
	apus_poll *answer;
};

APUS_TASK(taker, struct taker)
{
	apus_poll got;

	APUS_BEGIN(cx, self);
	*self->answer = APUS_PENDING;
	APUS_AWAIT(got, apus_timeout(cx, self->timeout_ns,
		apus_tcp_read_segment(cx, self->tcp, self->segment)));
	*self->answer = got;
	APUS_END(0);
}

static apus_poll answer;

static struct apus_join take_start(struct apus_tcp tcp, struct apus_segment *segment,
	int64_t timeout_ns)
{
	struct taker init = { .tcp = tcp, .segment = segment, .timeout_ns = timeout_ns,
		.answer = &answer };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(main_loop, taker, &init, &join), 0);
	apus_turn(main_loop);
	return join;
}

static apus_poll take_within(struct apus_tcp tcp, struct apus_segment *segment, int64_t timeout_ns)
{
	struct apus_join join = take_start(tcp, segment, timeout_ns);

	while (answer == APUS_PENDING)
		apus_turn(main_loop);
	apus_turn(main_loop);
	ck_assert_int_eq(apus_try_join(main_loop, join, NULL), 0);
	return answer;
}

static apus_poll take(struct apus_tcp tcp, struct apus_segment *segment)
{
	return take_within(tcp, segment, 30 * APUS_SEC);
}

#define expect_segment(segment, text)                                      \
	do {                                                               \
		ck_assert_uint_eq((segment).bytes, strlen(text));          \
		ck_assert_int_eq(memcmp((segment).data, text, strlen(text)), 0); \
	} while (0)

START_TEST(a_segment_is_held_until_it_is_released)
{
	struct apus_segment first, next;
	struct apus_tcp tcp;
	int theirs;

	TEST_KERNEL_ONLY("it waits for a time in which nothing happens");
	loop_open();
	tcp = pair_open(&theirs);
	raw_write(theirs, "hello", 5);
	ck_assert_int_eq(take(tcp, &first), 5);
	expect_segment(first, "hello");
	take_start(tcp, &next, APUS_SEC);
	turns();
	raw_write(theirs, "world!", 6);
	while (answer == APUS_PENDING)
		apus_turn(main_loop);
	ck_assert_int_eq(answer, 6);
	expect_segment(next, "world!");
	expect_segment(first, "hello");
	first.data[0] = 'j'; /* it is ours */
	ck_assert_int_eq(apus_segment_release(main_loop, &first), 0);
	ck_assert_ptr_null(first.data);
	expect_segment(next, "world!");
	ck_assert_int_eq(apus_segment_release(main_loop, &next), 0);
	close(theirs);
	ck_assert_int_eq(take(tcp, &next), 0);
	ck_assert_int_eq(take(tcp, &next), 0);
	loop_close();
}
END_TEST

/* A copy of the handle, and one that never was, reach nobody. */
START_TEST(a_segment_is_released_once)
{
	struct apus_segment segment, copy, next;
	struct apus_tcp tcp;
	int theirs, i;

	loop_open();
	tcp = pair_open(&theirs);
	raw_write(theirs, "a", 1);
	ck_assert_int_eq(take(tcp, &segment), 1);
	copy = segment;
	ck_assert_int_eq(apus_segment_release(main_loop, &segment), 0);
	ck_assert_int_eq(apus_segment_release(main_loop, &segment), -ESTALE);
	ck_assert_int_eq(apus_segment_release(main_loop, &copy), -ESTALE);
	/* Nor the next who has it. */
	for (i = 0; i < 600; i++) {
		raw_write(theirs, "b", 1);
		ck_assert_int_eq(take(tcp, &next), 1);
		ck_assert_int_eq(apus_segment_release(main_loop, &copy), -ESTALE);
		ck_assert_int_eq(apus_segment_release(main_loop, &next), 0);
	}
	copy.index = 1u << 20;
	ck_assert_int_eq(apus_segment_release(main_loop, &copy), -ESTALE);
	loop_close();
}
END_TEST

START_TEST(reads_and_segments_take_turns_in_order)
{
	struct apus_segment segment;
	char buffer[4] = "";
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = 3 };
	int theirs, i;

	loop_open();
	call.tcp = pair_open(&theirs);
	for (i = 0; i < 3; i++) {
		call_start_pending(&call);
		raw_write(theirs, "abcdef", 6);
		ck_assert_int_eq(call_finish(&call), 3);
		ck_assert_str_eq(buffer, "abc");
		ck_assert_int_eq(take(call.tcp, &segment), 3);
		expect_segment(segment, "def");
		ck_assert_int_eq(apus_segment_release(main_loop, &segment), 0);
	}
	loop_close();
}
END_TEST

/* Promise 5: what a receive that lost had brought is the next one's. */
START_TEST(a_receive_that_loses_its_wait_has_lost_nothing)
{
	struct apus_segment segment;
	struct apus_join join;
	struct apus_tcp tcp;
	int theirs, i;

	TEST_KERNEL_ONLY("it waits for a time in which nothing happens");
	loop_open();
	tcp = pair_open(&theirs);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(take_within(tcp, &segment, APUS_MSEC), -ETIME);
		raw_write(theirs, "late", 4);
		turns();
		ck_assert_int_eq(take(tcp, &segment), 4);
		expect_segment(segment, "late");
		ck_assert_int_eq(apus_segment_release(main_loop, &segment), 0);
		join = take_start(tcp, &segment, APUS_SEC);
		raw_write(theirs, "gone", 4);
		ck_assert_int_eq(apus_abort(main_loop, join), 1);
		turns();
		ck_assert_int_eq(take(tcp, &segment), 4);
		expect_segment(segment, "gone");
		ck_assert_int_eq(apus_segment_release(main_loop, &segment), 0);
	}
	loop_close();
}
END_TEST

enum { FEW = 8 };

static void few_segments(struct apus_config *config)
{
	config->segment_count = FEW;
	config->segment_bytes = 16;
}

/* All are out: -ENOBUFS, nothing was taken, and one that comes back goes on. */
START_TEST(segments_that_are_all_out_are_a_value)
{
	struct apus_segment segments[FEW + 1];
	struct apus_tcp tcp;
	char data[16 * (FEW + 8)], got[sizeof data];
	size_t done = 0, out = 0, i;
	apus_poll bytes;
	int theirs;

	loop_open_with(few_segments);
	tcp = pair_open(&theirs);
	for (i = 0; i < sizeof data; i++)
		data[i] = (char)i;
	raw_write(theirs, data, sizeof data);
	turns();
	while ((bytes = take(tcp, &segments[out])) > 0) {
		ck_assert_uint_lt(out, FEW);
		memcpy(got + done, segments[out].data, segments[out].bytes);
		done += segments[out++].bytes;
	}
	ck_assert_int_eq(bytes, -ENOBUFS);
	ck_assert_int_eq(take(tcp, &segments[out]), -ENOBUFS);
	ck_assert_uint_gt(out, 0);
	while (done < sizeof data) {
		ck_assert_int_eq(apus_segment_release(main_loop, &segments[0]), 0);
		ck_assert_int_gt(take(tcp, &segments[0]), 0);
		memcpy(got + done, segments[0].data, segments[0].bytes);
		done += segments[0].bytes;
	}
	ck_assert_int_eq(memcmp(data, got, sizeof data), 0);
	loop_close();
}
END_TEST

/* A task that ends, a socket that is closed and a loop that is closed with segments out. */
START_TEST(segments_outlive_their_socket)
{
	struct apus_segment segment;
	struct apus_tcp tcp;
	int theirs;

	loop_open();
	tcp = pair_open(&theirs);
	raw_write(theirs, "kept", 4);
	ck_assert_int_eq(take(tcp, &segment), 4);
	ck_assert_int_eq(apus_tcp_close(main_loop, tcp), 0);
	turns();
	expect_segment(segment, "kept");
	ck_assert_int_eq(take(tcp, &segment), -ESTALE);
	expect_segment(segment, "kept");
	loop_close();
}
END_TEST

TEST_MAIN("net_segment",
	a_segment_is_held_until_it_is_released,
	a_segment_is_released_once,
	reads_and_segments_take_turns_in_order,
	a_receive_that_loses_its_wait_has_lost_nothing,
	segments_that_are_all_out_are_a_value,
	segments_outlive_their_socket)
