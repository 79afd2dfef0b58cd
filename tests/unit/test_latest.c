#define _GNU_SOURCE

#include "apus/latest.h"

#define CHANNEL APUS_LATEST
#define RD(verb) apus_latest_##verb
#define READERS(channel) (&(channel)->readers)
#define WRITTEN(channel) (&(channel)->value)
#define START(reader, channel) apus_latest_reader_init(reader, channel)
#define FIRSTS { 0, UINT64_C(0xffffffc1), UINT64_C(0xffffffffffffffc2) }
#include "readers.h"

START_TEST(only_the_newest_is_seen_and_what_was_missed_is_counted)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t message = 0, i;

	apus_latest_init(&numbers);
	apus_latest_reader_init(&reader, &numbers);
	for (i = 1; i <= 10; i++)
		apus_latest_publish(&numbers, i);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), 0);
	ck_assert_uint_eq(message, 10);
	ck_assert_uint_eq(apus_latest_missed(&reader), 9);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), -EAGAIN);
	apus_latest_publish(&numbers, 11);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), 0);
	ck_assert_uint_eq(message, 11);
	ck_assert_uint_eq(apus_latest_missed(&reader), 9);
	apus_latest_publish(&numbers, 12);
	apus_latest_publish(&numbers, 13);
	ck_assert_int_eq(apus_latest_wait_recv(&reader, 0, &message), 0);
	ck_assert_uint_eq(message, 13);
	ck_assert_uint_eq(apus_latest_missed(&reader), 10);
	ck_assert_int_eq(apus_latest_deinit(&numbers), 0);
}
END_TEST

/* Reading takes nothing away, and needs no reader. */
START_TEST(the_newest_can_be_read_again_and_again_also_when_closed)
{
	static struct numbers numbers;
	const struct numbers *view = &numbers;
	uint64_t message = 0;
	int i;

	apus_latest_init(&numbers);
	ck_assert_int_eq(apus_latest_read(view, &message), -EAGAIN);
	ck_assert_uint_eq(apus_latest_count(&numbers), 0);
	apus_latest_publish(&numbers, 1);
	apus_latest_publish(&numbers, 2);
	for (i = 0; i < 4; i++) {
		message = 0;
		ck_assert_int_eq(apus_latest_read(view, &message), 0);
		ck_assert_uint_eq(message, 2);
		apus_latest_close(&numbers);
	}
	ck_assert_int_eq(apus_latest_deinit(&numbers), 0);
}
END_TEST

START_TEST(a_reader_begins_with_the_value_that_there_is)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t message = 0;

	apus_latest_init(&numbers);
	apus_latest_publish(&numbers, 1);
	apus_latest_publish(&numbers, 2);
	apus_latest_reader_init(&reader, &numbers);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), 0);
	ck_assert_uint_eq(message, 2);
	ck_assert_uint_eq(apus_latest_missed(&reader), 0);
	ck_assert_int_eq(apus_latest_deinit(&numbers), 0);
}
END_TEST

START_TEST(closed_before_anything_was_published_it_ends_at_once)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t message;

	apus_latest_init(&numbers);
	apus_latest_reader_init(&reader, &numbers);
	apus_latest_close(&numbers);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), -EPIPE);
	ck_assert_int_eq(apus_latest_read(&numbers, &message), -EAGAIN);
	ck_assert_int_eq(apus_latest_deinit(&numbers), 0);
}
END_TEST

/* Both copies of a small value, and its count, move as one line. */
START_TEST(a_small_value_lies_in_one_cache_line)
{
	static struct numbers numbers;

	ck_assert_uint_eq((uintptr_t)&numbers.value / 64,
		((uintptr_t)&numbers.value.cells[1][0] + 7) / 64);
	ck_assert_uint_eq(sizeof numbers, 3 * 64);
}
END_TEST

/* A writer that has died, at whatever point, holds up nobody; another goes on. */
START_TEST(a_writer_killed_in_the_middle_leaves_the_value_before)
{
	struct numbers *numbers = shared_make();
	struct numbers_reader reader;
	uint64_t message = 0;
	pid_t child;

	apus_latest_reader_init(&reader, numbers);
	ck_assert_int_eq(apus_latest_publish(numbers, 1), 0);
	child = fork();
	if (child == 0) {
		struct numbers *own = child_attach();
		uint64_t next = own->value.at + 1;

		/* What publishing does before its last store. */
		apus_store_release(&own->value.cells[next & 1][0], 99);
		for (;;)
			pause();
	}
	while (apus_load_acquire(&numbers->value.cells[0][0]) != 99)
		sched_yield();
	kill(child, SIGKILL);
	child_end(child, SIGKILL);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), 0);
	ck_assert_uint_eq(message, 1);
	ck_assert_int_eq(apus_latest_read(numbers, &message), 0);
	ck_assert_uint_eq(message, 1);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), -EAGAIN);
	ck_assert_int_eq(apus_latest_publish(numbers, 2), 0);
	ck_assert_int_eq(apus_latest_try_recv(&reader, &message), 0);
	ck_assert_uint_eq(message, 2);
	ck_assert_int_eq(apus_latest_deinit(numbers), 0);
}
END_TEST

LOOP_TEST_MAIN("latest", READERS_TESTS,
	only_the_newest_is_seen_and_what_was_missed_is_counted,
	the_newest_can_be_read_again_and_again_also_when_closed,
	a_reader_begins_with_the_value_that_there_is,
	closed_before_anything_was_published_it_ends_at_once,
	a_small_value_lies_in_one_cache_line,
	a_writer_killed_in_the_middle_leaves_the_value_before)
