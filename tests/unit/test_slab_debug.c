/*
 * The slab of a debug build, whatever the build around this file is: the room is compiled
 * in here, and the library's copy is not linked.
 */
#undef APUS_DEBUG
#define APUS_DEBUG 1

#include "slab/slab.c"

#include "test.h"

struct fixture {
	struct apus_slab slab;
	unsigned char *first, *second;
};

static void setup(struct fixture *fixture)
{
	const struct apus_slab_config config = { .slot_bytes = 64, .slot_count = 100, .chunk_max = 3 };

	ck_assert_int_eq(apus_slab_init(&fixture->slab, &config), 0);
	fixture->first = apus_slab_claim(&fixture->slab);
	fixture->second = apus_slab_claim(&fixture->slab);
}

static void release_twice(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_release(&fixture->slab, fixture->first);
	apus_slab_release(&fixture->slab, fixture->second);
	apus_slab_release(&fixture->slab, fixture->first);
}

static void release_never_claimed(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_release(&fixture->slab, fixture->second + 64);
}

static void release_misaligned(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_release(&fixture->slab, fixture->first + 16);
}

static void release_foreign(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_release(&fixture->slab, fixture);
}

static void release_null(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_release(&fixture->slab, NULL);
}

static void write_after_release(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_release(&fixture->slab, fixture->first);
	memset(fixture->first, 0x5a, 8);
	apus_slab_claim(&fixture->slab);
	apus_slab_claim(&fixture->slab);
}

static void link_to_a_live_slot(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_release(&fixture->slab, fixture->first);
	memcpy(fixture->first, &fixture->second, sizeof fixture->second);
	apus_slab_claim(&fixture->slab);
	apus_slab_claim(&fixture->slab);
}

static void index_of_a_stranger(void *arg)
{
	struct fixture *fixture = arg;

	apus_slab_index(&fixture->slab, fixture);
}

static void expect_panic(const char *text, void (*call)(void *arg))
{
	struct fixture fixture;

	setup(&fixture);
	test_expect_panic(text, call, &fixture);
	apus_slab_deinit(&fixture.slab);
}

/* Promise 12: before it corrupts a neighbour. */
START_TEST(a_slot_released_twice_panics)
{
	expect_panic("released twice", release_twice);
	expect_panic("released twice", release_never_claimed);
}
END_TEST

START_TEST(the_release_of_what_is_no_slot_panics)
{
	expect_panic("not a slot", release_misaligned);
	expect_panic("not a slot", release_foreign);
	expect_panic("not a slot", release_null);
}
END_TEST

START_TEST(a_free_list_that_was_written_over_panics_at_the_next_claim)
{
	expect_panic("written after its release", write_after_release);
	expect_panic("written after its release", link_to_a_live_slot);
}
END_TEST

START_TEST(the_index_of_a_foreign_pointer_panics)
{
	expect_panic("apus_slab_owns", index_of_a_stranger);
}
END_TEST

START_TEST(what_is_used_rightly_never_panics)
{
	struct fixture fixture;
	void *slot;
	uint32_t i;

	setup(&fixture);
	while (apus_slab_claim(&fixture.slab) != NULL)
		;
	for (i = 0; (slot = apus_slab_at(&fixture.slab, i)) != NULL; i++)
		apus_slab_release(&fixture.slab, slot);
	ck_assert_uint_eq(i, 300);
	ck_assert_uint_eq(fixture.slab.live_count, 0);
	while (apus_slab_claim(&fixture.slab) != NULL)
		;
	ck_assert_uint_eq(fixture.slab.live_count, 300);
	apus_slab_deinit(&fixture.slab);
}
END_TEST

TEST_MAIN("slab_debug",
	a_slot_released_twice_panics,
	the_release_of_what_is_no_slot_panics,
	a_free_list_that_was_written_over_panics_at_the_next_claim,
	the_index_of_a_foreign_pointer_panics,
	what_is_used_rightly_never_panics)
