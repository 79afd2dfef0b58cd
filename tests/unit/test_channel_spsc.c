#include "apus/channel_spsc.h"

#define CHANNEL APUS_SPSC
#define CH(verb) apus_spsc_##verb
/* Places go in steps of two: over 2^32 and over 2^64, soon. */
#define FIRSTS { 0, UINT64_C(0xfffffff0), UINT64_C(0xfffffffffffffff0) }
#include "channel_pair.h"

START_TEST(an_odd_first_place_is_refused)
{
	static struct numbers numbers;

	ck_assert_int_eq(apus_spsc_init_at(&numbers, 1), -EINVAL);
}
END_TEST

/* TARGETS: the two ends' fields on different lines. */
START_TEST(the_ends_and_the_slots_have_lines_of_their_own)
{
	static struct numbers numbers;
	struct apus_ends *ends = &numbers.channel.ends;

	ck_assert_uint_eq((uintptr_t)&numbers % 64, 0);
	ck_assert_int_ge((char *)&ends->send - (char *)&ends->gate, 64);
	ck_assert_int_ge((char *)&ends->recv - (char *)&ends->send, 64);
	ck_assert_int_ge((char *)&numbers.slots[0] - (char *)&ends->recv, 64);
}
END_TEST

LOOP_TEST_MAIN("channel_spsc", PAIR_TESTS, an_odd_first_place_is_refused,
	the_ends_and_the_slots_have_lines_of_their_own)
