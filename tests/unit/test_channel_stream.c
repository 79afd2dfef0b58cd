#include "apus/channel_stream.h"

#define CHANNEL APUS_STREAM
#define CH(verb) apus_stream_##verb
#define FIRSTS { 0, UINT64_C(0xfffffff8), UINT64_C(0xfffffffffffffff8) }
#include "channel_pair.h"

/* Cached indices: an end that sees enough does not look at the other's line again. */
START_TEST(an_end_looks_at_the_other_only_when_what_it_saw_is_used_up)
{
	static struct numbers numbers;
	uint64_t message;

	apus_stream_init(&numbers);
	apus_stream_try_send(&numbers, 1);
	apus_stream_try_send(&numbers, 2);
	apus_stream_try_recv(&numbers, &message);
	ck_assert_uint_eq(numbers.channel.ends.recv.seen, 2);
	apus_stream_try_send(&numbers, 3);
	apus_stream_try_recv(&numbers, &message);
	ck_assert_uint_eq(numbers.channel.ends.recv.seen, 2);
	ck_assert_uint_eq(numbers.channel.ends.send.seen, 0);
	apus_stream_try_recv(&numbers, &message);
	ck_assert_uint_eq(numbers.channel.ends.recv.seen, 3);
	ck_assert_uint_eq(message, 3);
	ck_assert_int_eq(apus_stream_deinit(&numbers), 0);
}
END_TEST

LOOP_TEST_MAIN("channel_stream", PAIR_TESTS,
	an_end_looks_at_the_other_only_when_what_it_saw_is_used_up)
