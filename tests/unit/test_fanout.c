#define _GNU_SOURCE

#include "apus/fanout.h"

#define CHANNEL(name, type) APUS_FANOUT(name, type, 8)
#define RD(verb) apus_fanout_##verb
#define READERS(of) (&(of)->channel.readers)
#define WRITTEN(of) (&(of)->channel.at)
#define START(reader, of) apus_fanout_reader_init(reader, of, 0)
#define FIRSTS { 0, UINT64_C(0xfffffff0), UINT64_C(0xffffffffffffff80) }
#include "readers.h"

APUS_FANOUT(single, uint64_t, 1)

static void publish(struct numbers *numbers, uint64_t from, uint64_t count)
{
	while (count-- > 0)
		ck_assert_int_eq(apus_fanout_publish(numbers, from++), 0);
}

static uint64_t take(struct numbers_reader *reader)
{
	uint64_t message = 0;

	ck_assert_int_eq(apus_fanout_try_recv(reader, &message), 0);
	return message;
}

START_TEST(every_message_is_seen_in_order_by_each_in_its_own_time)
{
	static struct numbers numbers;
	struct numbers_reader fast, slow;
	uint64_t i, message;

	apus_fanout_init(&numbers);
	apus_fanout_reader_init(&fast, &numbers, 0);
	apus_fanout_reader_init(&slow, &numbers, 0);
	for (i = 0; i < 80; i += 8) {
		uint64_t k;

		for (k = 0; k < 8; k++) {
			publish(&numbers, i + k, 1);
			ck_assert_uint_eq(take(&fast), i + k);
		}
		for (k = 0; k < 8; k++)
			ck_assert_uint_eq(take(&slow), i + k);
		ck_assert_int_eq(apus_fanout_try_recv(&slow, &message), -EAGAIN);
	}
	ck_assert_int_eq(apus_fanout_deinit(&numbers), 0);
}
END_TEST

/* The writer waits for nobody; who was lapped is told by how much, once, and goes on. */
START_TEST(who_was_lapped_is_told_by_how_many_and_goes_on_behind_them)
{
	static const uint64_t firsts[] = FIRSTS;
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t message, late, i;
	size_t f;

	for (f = 0; f < sizeof firsts / sizeof firsts[0]; f++)
		for (late = 9; late < 40; late++) {
			apus_fanout_init_at(&numbers, firsts[f], 0);
			apus_fanout_reader_init(&reader, &numbers, 0);
			publish(&numbers, 0, late);
			ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), -EOVERFLOW);
			ck_assert_uint_eq(apus_fanout_lapped(&reader), late - 4);
			for (i = late - 4; i < late; i++)
				ck_assert_uint_eq(take(&reader), i);
			ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), -EAGAIN);
			publish(&numbers, 0, 10);
			ck_assert_int_eq(apus_fanout_wait_recv(&reader, 0, &message), -EOVERFLOW);
			ck_assert_uint_eq(apus_fanout_lapped(&reader), 6);
			ck_assert_uint_eq(apus_fanout_missed(&reader), late - 4 + 6);
			ck_assert_int_eq(apus_fanout_deinit(&numbers), 0);
		}
}
END_TEST

/* As many as there is room for are kept: none of them is said to be lost. */
START_TEST(a_reader_that_is_a_whole_ring_behind_has_lost_nothing)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t i;

	apus_fanout_init(&numbers);
	apus_fanout_reader_init(&reader, &numbers, 0);
	publish(&numbers, 0, 8);
	for (i = 0; i < 8; i++)
		ck_assert_uint_eq(take(&reader), i);
	ck_assert_uint_eq(apus_fanout_missed(&reader), 0);
	ck_assert_int_eq(apus_fanout_deinit(&numbers), 0);
}
END_TEST

START_TEST(a_ring_of_one_holds_the_last)
{
	static struct single single;
	struct single_reader reader;
	uint64_t message = 0;

	apus_fanout_init(&single);
	ck_assert_uint_eq(apus_fanout_capacity(&single), 1);
	apus_fanout_reader_init(&reader, &single, 0);
	apus_fanout_publish(&single, 1);
	ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), 0);
	apus_fanout_publish(&single, 2);
	apus_fanout_publish(&single, 3);
	ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), -EOVERFLOW);
	ck_assert_uint_eq(apus_fanout_lapped(&reader), 1);
	ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), 0);
	ck_assert_uint_eq(message, 3);
	ck_assert_int_eq(apus_fanout_deinit(&single), 0);
}
END_TEST

START_TEST(a_reader_begins_with_what_comes_or_as_far_back_as_there_is_something)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t message;

	apus_fanout_init(&numbers);
	publish(&numbers, 0, 3);
	apus_fanout_reader_init(&reader, &numbers, 0);
	ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), -EAGAIN);
	apus_fanout_reader_init(&reader, &numbers, 2);
	ck_assert_uint_eq(take(&reader), 1);
	apus_fanout_reader_init(&reader, &numbers, UINT64_MAX);
	ck_assert_uint_eq(take(&reader), 0);
	publish(&numbers, 3, 20);
	apus_fanout_reader_init(&reader, &numbers, UINT64_MAX);
	ck_assert_uint_eq(take(&reader), 15);
	ck_assert_uint_eq(apus_fanout_missed(&reader), 0);
	ck_assert_int_eq(apus_fanout_deinit(&numbers), 0);
}
END_TEST

START_TEST(batches_are_published_and_read_at_once)
{
	static const uint64_t firsts[] = FIRSTS;
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t in[12], out[12], sent, got, i;
	size_t f;

	for (f = 0; f < sizeof firsts / sizeof firsts[0]; f++) {
		apus_fanout_init_at(&numbers, firsts[f], 0);
		apus_fanout_reader_init(&reader, &numbers, 0);
		ck_assert_int_eq(apus_fanout_publish_many(&numbers, in, 0), -EINVAL);
		ck_assert_int_eq(apus_fanout_try_recv_many(&reader, out, 0), -EINVAL);
		ck_assert_int_eq(apus_fanout_try_recv_many(&reader, out, 4), -EAGAIN);
		for (sent = got = 0; sent < 200;) {
			uint64_t want = 1 + sent % 8;

			for (i = 0; i < 12; i++)
				in[i] = sent + i;
			ck_assert_int_eq(apus_fanout_publish_many(&numbers, in, want), (int64_t)want);
			sent += want;
			while (got < sent) {
				int64_t n = apus_fanout_try_recv_many(&reader, out, 5);

				ck_assert_int_eq(n, sent - got < 5 ? (int64_t)(sent - got) : 5);
				for (i = 0; i < (uint64_t)n; i++)
					ck_assert_uint_eq(out[i], got++);
			}
		}
		/* No more than the ring holds. */
		ck_assert_int_eq(apus_fanout_publish_many(&numbers, in, 12), 8);
		ck_assert_int_eq(apus_fanout_try_recv_many(&reader, out, 12), 8);
		apus_fanout_close(&numbers);
		ck_assert_int_eq(apus_fanout_publish_many(&numbers, in, 1), -EPIPE);
		ck_assert_int_eq(apus_fanout_try_recv_many(&reader, out, 12), -EPIPE);
		ck_assert_int_eq(apus_fanout_deinit(&numbers), 0);
	}
}
END_TEST

/* What is told is told: a batch does not step over a gap. */
START_TEST(a_batch_stops_in_front_of_what_was_missed)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t out[8];

	apus_fanout_init(&numbers);
	apus_fanout_reader_init(&reader, &numbers, 0);
	publish(&numbers, 0, 8);
	ck_assert_uint_eq(take(&reader), 0);
	/* The writer is about to overwrite the third: only the second is left. */
	apus_store_release(&numbers.slots[2].turn, numbers.slots[2].turn + 15);
	ck_assert_int_eq(apus_fanout_try_recv_many(&reader, out, 8), 1);
	ck_assert_uint_eq(out[0], 1);
	apus_store_release(&numbers.channel.at, numbers.channel.at + 6);
	ck_assert_int_eq(apus_fanout_try_recv_many(&reader, out, 8), -EOVERFLOW);
	ck_assert_uint_eq(apus_fanout_lapped(&reader), 5);
	ck_assert_int_eq(apus_fanout_deinit(&numbers), 0);
}
END_TEST

START_TEST(a_task_that_was_lapped_is_told)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;

	apus_fanout_init(&numbers);
	watcher_start(loop, &numbers, "r", 3, APUS_NEVER);
	publish(&numbers, 0, 20);
	turns(loop, 1);
	expect_notes("r!lapped ");
	loop_close(loop);
	ck_assert_int_eq(apus_fanout_deinit(&numbers), 0);
}
END_TEST

START_TEST(an_odd_first_place_is_refused)
{
	static struct numbers numbers;

	ck_assert_int_eq(apus_fanout_init_at(&numbers, 1, 0), -EINVAL);
}
END_TEST

/* Begins as publishing a batch of count does, and stands still after `filled` of them. */
static void begin_and_die(uint64_t count, uint64_t filled)
{
	struct numbers *own = child_attach();
	uint64_t at = own->channel.at, i;

	apus_store_relaxed(&own->channel.at, at + 2 * count);
	for (i = 0; i < count; i++)
		apus_store_release(&own->slots[(at / 2 + i) % 8].turn, at + 2 * i);
	for (i = count; i-- > count - filled;)
		apus_store_release(&own->slots[(at / 2 + i) % 8].turn, at + 2 * i + 1);
	apus_store_release(&own->slots[0].words[0], 1000);
	for (;;)
		pause();
}

/* S4: a dead writer.  The next one fills the place that it left, and no reader misses it. */
START_TEST(a_writer_killed_in_the_middle_is_followed_by_another)
{
	struct numbers *numbers = shared_make();
	struct numbers_reader reader, late;
	uint64_t message, count = (uint64_t)_i / 2 + 1, i;
	pid_t child;

	apus_fanout_reader_init(&reader, numbers, 0);
	publish(numbers, 0, 13);
	apus_fanout_reader_init(&reader, numbers, 1);
	child = fork();
	if (child == 0)
		begin_and_die(count, (uint64_t)_i % 2 * (count - 1));
	while (apus_load_acquire(&numbers->slots[0].words[0]) != 1000)
		sched_yield();
	kill(child, SIGKILL);
	child_end(child, SIGKILL);
	apus_fanout_reader_init(&late, numbers, 0);
	ck_assert_uint_eq(take(&reader), 12);
	ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), -EAGAIN);
	ck_assert_uint_eq(apus_fanout_resume(numbers), count);
	ck_assert_uint_eq(apus_fanout_resume(numbers), 0);
	ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), -EAGAIN);
	for (i = 13; i < 25; i++) {
		publish(numbers, i, 1);
		ck_assert_uint_eq(take(&reader), i);
		/* What the dead one had filled behind it is not there. */
		ck_assert_int_eq(apus_fanout_try_recv(&reader, &message), -EAGAIN);
		if (i < 13 + count)
			ck_assert_int_eq(apus_fanout_try_recv(&late, &message), -EAGAIN);
		else
			ck_assert_uint_eq(take(&late), i);
	}
	ck_assert_int_eq(apus_fanout_deinit(numbers), 0);
}
END_TEST

/* Also one that stood where the dead writer had begun a batch. */
START_TEST(whoever_a_dead_writer_has_lapped_goes_on_forwards)
{
	struct numbers *numbers = shared_make();
	struct numbers_reader reader;
	uint64_t message = 0, last = 0, i, got = 0, missed = 0;
	pid_t child;
	int err;

	publish(numbers, 0, 16);
	apus_fanout_reader_init(&reader, numbers, 3);
	child = fork();
	if (child == 0)
		begin_and_die(8, 0);
	while (apus_load_acquire(&numbers->slots[0].words[0]) != 1000)
		sched_yield();
	kill(child, SIGKILL);
	child_end(child, SIGKILL);
	ck_assert_uint_eq(apus_fanout_resume(numbers), 8);
	for (i = 0; i < 20; i++) {
		while ((err = apus_fanout_try_recv(&reader, &message)) != -EAGAIN) {
			if (err == -EOVERFLOW) {
				missed += apus_fanout_lapped(&reader);
				continue;
			}
			ck_assert_uint_gt(message, last);
			last = message;
			got++;
		}
		publish(numbers, 16 + i, 1);
	}
	/* Messages 13 to 34. */
	ck_assert_uint_eq(last, 34);
	ck_assert_uint_eq(got + missed, 22);
	ck_assert_int_eq(apus_fanout_deinit(numbers), 0);
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = { READERS_TESTS,
		every_message_is_seen_in_order_by_each_in_its_own_time,
		who_was_lapped_is_told_by_how_many_and_goes_on_behind_them,
		a_reader_that_is_a_whole_ring_behind_has_lost_nothing, a_ring_of_one_holds_the_last,
		a_reader_begins_with_what_comes_or_as_far_back_as_there_is_something,
		batches_are_published_and_read_at_once, a_batch_stops_in_front_of_what_was_missed,
		a_task_that_was_lapped_is_told, an_odd_first_place_is_refused,
		whoever_a_dead_writer_has_lapped_goes_on_forwards };
	TCase *all = test_case("fanout");
	size_t i;

	for (i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_loop_test(all, tests[i], 0, APUS_DEBUG ? 3 : 1);
	tcase_add_loop_test(all, a_writer_killed_in_the_middle_is_followed_by_another, 0, 8);
	return test_run(argc, argv, all);
}
