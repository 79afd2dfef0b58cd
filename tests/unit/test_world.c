#include "world_names.h"
#include "test.h"

APUS_RESOURCE_DEFINE(book)
APUS_RESOURCE_DEFINE(counts)
APUS_RESOURCE_DEFINE(rate)
APUS_RESOURCE_DEFINE(nobody_put_this)

static struct apus_world *current; /* what the destructors below look at */
static char ended[64];             /* a letter for each destructor that ran */
static int put_in_destructor;

static void note(char letter)
{
	ended[strlen(ended)] = letter;
}

static void end_book(struct book *book)
{
	(void)book;
	note('b');
	ck_assert_ptr_null(apus_find(current, book));
}

static void end_counts(count_array *counts)
{
	note((char)('0' + (*counts)[0]));
	/* What was put earlier is there to the end of what was put later. */
	ck_assert_ptr_nonnull(apus_find(current, book));
	ck_assert_ptr_null(apus_find(current, counts));
	put_in_destructor = apus_put(current, counts, counts);
}

static void end_other(struct book *book)
{
	note('o');
	ck_assert_int_eq(book->orders, 5);
	ck_assert_ptr_nonnull(apus_find(current, counts));
}

static void world_open(struct apus_world *world)
{
	apus_world_init(world);
	current = world;
	memset(ended, 0, sizeof ended);
}

START_TEST(find_in_an_empty_world_is_null)
{
	static struct apus_world zero_bytes;
	struct apus_world world;

	world_open(&world);
	ck_assert_ptr_null(apus_find(&world, book));
	ck_assert_ptr_null(apus_find(&zero_bytes, book));
	ck_assert_ptr_null(apus_take(&world, book));
	apus_world_deinit(&world);
}
END_TEST

START_TEST(find_without_a_world_is_null)
{
	ck_assert_ptr_null(apus_find(NULL, book));
}
END_TEST

static void get_missing(void *world)
{
	apus_get((struct apus_world *)world, nobody_put_this);
}

START_TEST(get_of_what_is_missing_panics_by_name_and_place)
{
	struct apus_world world;
	struct book book = { 1 };

	world_open(&world);
	ck_assert_int_eq(apus_put(&world, book, &book), 0);
	test_expect_panic("no resource \"nobody_put_this\"", get_missing, &world);
	test_expect_panic("test_world.c:", get_missing, &world);
	test_expect_panic("no resource \"nobody_put_this\"", get_missing, NULL);
	apus_world_deinit(&world);
}
END_TEST

START_TEST(what_was_put_is_what_is_got)
{
	struct apus_world world;
	struct book book = { 1 };
	count_array counts = { 4, 3, 2, 1 };
	const double rate = 0.5;

	world_open(&world);
	ck_assert_int_eq(apus_put(&world, book, &book), 0);
	ck_assert_int_eq(apus_put(&world, counts, &counts), 0);
	ck_assert_int_eq(apus_put(&world, rate, &rate), 0);
	apus_get(&world, book)->orders++;
	ck_assert_int_eq(book.orders, 2);
	ck_assert_ptr_eq(apus_find(&world, counts), &counts);
	ck_assert(*apus_get(&world, rate) == 0.5);
	apus_world_deinit(&world);
	ck_assert_ptr_null(apus_find(&world, book));
}
END_TEST

START_TEST(a_second_of_the_same_name_is_refused_and_the_first_stays)
{
	struct apus_world world;
	struct book first = { 1 }, second = { 2 };

	world_open(&world);
	ck_assert_int_eq(apus_put_with(&world, book, &first, end_book), 0);
	ck_assert_int_eq(apus_put(&world, book, &second), -EEXIST);
	ck_assert_int_eq(apus_put(&world, book, &first), -EEXIST);
	ck_assert_ptr_eq(apus_get(&world, book), &first);
	apus_world_deinit(&world);
	ck_assert_str_eq(ended, "b");
}
END_TEST

START_TEST(an_object_that_is_null_is_refused)
{
	struct apus_world world;

	world_open(&world);
	ck_assert_int_eq(apus_put(&world, book, (struct book *)NULL), -EINVAL);
	apus_world_deinit(&world);
}
END_TEST

/* The destructors themselves check what they can still find. */
START_TEST(destructors_run_once_in_reverse_order_of_registration)
{
	struct apus_world world;
	struct book book = { 1 }, other = { 5 };
	count_array counts = { 7 };

	world_open(&world);
	ck_assert_int_eq(apus_put_with(&world, book, &book, end_book), 0);
	ck_assert_int_eq(apus_put_with(&world, counts, &counts, end_counts), 0);
	ck_assert_int_eq(apus_put_with(&world, other_book, &other, end_other), 0);
	apus_world_deinit(&world);
	ck_assert_str_eq(ended, "o7b");
	ck_assert_int_eq(put_in_destructor, -ESHUTDOWN);
	apus_world_deinit(&world);
	ck_assert_str_eq(ended, "o7b");
	ck_assert_int_eq(apus_put(&world, counts, &counts), 0);
	apus_world_deinit(&world);
}
END_TEST

START_TEST(what_is_taken_is_not_ended_and_leaves_the_others_in_order)
{
	struct apus_world world;
	struct book book = { 1 }, other = { 5 };
	count_array counts = { 7 };

	world_open(&world);
	ck_assert_int_eq(apus_put_with(&world, book, &book, end_book), 0);
	ck_assert_int_eq(apus_put_with(&world, other_book, &other, end_other), 0);
	ck_assert_int_eq(apus_put_with(&world, counts, &counts, end_counts), 0);
	ck_assert_ptr_eq(apus_take(&world, other_book), &other);
	ck_assert_ptr_null(apus_find(&world, other_book));
	ck_assert_ptr_null(apus_take(&world, other_book));
	apus_world_deinit(&world);
	ck_assert_str_eq(ended, "7b");
}
END_TEST

START_TEST(a_name_that_was_taken_can_be_put_again)
{
	struct apus_world world;
	struct book first = { 1 }, second = { 2 };

	world_open(&world);
	ck_assert_int_eq(apus_put(&world, book, &first), 0);
	apus_take(&world, book);
	ck_assert_int_eq(apus_put(&world, book, &second), 0);
	ck_assert_ptr_eq(apus_get(&world, book), &second);
	apus_world_deinit(&world);
}
END_TEST

START_TEST(worlds_share_names_but_no_objects)
{
	struct apus_world one, two;
	struct book book = { 1 };

	world_open(&one);
	world_open(&two);
	ck_assert_int_eq(apus_put(&one, book, &book), 0);
	ck_assert_ptr_null(apus_find(&two, book));
	ck_assert_int_eq(apus_put(&two, book, &book), 0);
	apus_world_deinit(&one);
	ck_assert_ptr_eq(apus_get(&two, book), &book);
	apus_world_deinit(&two);
}
END_TEST

START_TEST(translation_units_see_the_same_resource)
{
	struct apus_world world;
	struct book mine = { 1 }, theirs = { 2 };

	world_open(&world);
	ck_assert_int_eq(apus_put(&world, book, &mine), 0);
	ck_assert_int_eq(other_put(&world, &theirs), 0);
	ck_assert_ptr_eq(other_find_book(&world), &mine);
	ck_assert_ptr_eq(apus_get(&world, other_book), &theirs);
	ck_assert_ptr_eq(other_get(&world), &theirs);
	apus_world_deinit(&world);
}
END_TEST

/* ---- ids --------------------------------------------------------------------- */

/* Last: after it the process has no id left, should check not fork. */
START_TEST(more_names_than_a_world_holds_are_refused)
{
	static struct apus_resource names[APUS_RESOURCE_MAX + 1];
	struct apus_world world;
	struct book book = { 1 };
	int i, held = 0;

	world_open(&world);
	for (i = 0; i <= APUS_RESOURCE_MAX; i++) {
		names[i].name = "one of many";
		held += apus_world_put(&world, &names[i], &book, NULL, NULL) == 0;
	}
	ck_assert_int_le(held, APUS_RESOURCE_MAX);
	ck_assert_int_ge(held, APUS_RESOURCE_MAX - 4); /* the names above may have one each */
	for (i = 0; i < held; i++)
		ck_assert_ptr_eq(apus_world_find(&world, &names[i]), &book);
	ck_assert_int_eq(apus_world_put(&world, &names[held], &book, NULL, NULL), -ENOSPC);
	ck_assert_ptr_null(apus_world_find(&world, &names[held]));
	ck_assert_ptr_eq(apus_world_take(&world, &names[0]), &book);
	ck_assert_int_eq(apus_world_put(&world, &names[0], &book, NULL, NULL), 0);
	apus_world_deinit(&world);
}
END_TEST

TEST_MAIN("world",
	find_in_an_empty_world_is_null,
	find_without_a_world_is_null,
	get_of_what_is_missing_panics_by_name_and_place,
	what_was_put_is_what_is_got,
	a_second_of_the_same_name_is_refused_and_the_first_stays,
	an_object_that_is_null_is_refused,
	destructors_run_once_in_reverse_order_of_registration,
	what_is_taken_is_not_ended_and_leaves_the_others_in_order,
	a_name_that_was_taken_can_be_put_again,
	worlds_share_names_but_no_objects,
	translation_units_see_the_same_resource,
	more_names_than_a_world_holds_are_refused)
