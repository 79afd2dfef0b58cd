/*
 * test_faults.c - every system call of the library fails once, in every way that its manual
 * lists, in the middle of a story: see story.h.
 */
#include "story.h"

static const struct story *const books[] = { stories_loop, stories_net, stories_file };
static const enum apus_io_kind kinds[] = {
	APUS_IO_EPOLL, APUS_IO_URING, APUS_IO_LIBEV, APUS_IO_SIM, APUS_IO_NONE
};

enum { BOOKS = sizeof books / sizeof *books, KINDS = sizeof kinds / sizeof *kinds };

/* The i-th of all books. */
static const struct story *story_at(int i)
{
	const struct story *story;
	int book;

	for (book = 0; book < BOOKS; book++)
		for (story = books[book]; story->name != NULL; story++)
			if (i-- == 0)
				return story;
	return NULL;
}

START_TEST(each_call_of_a_story_fails_once)
{
	story_tell(__func__, story_at(_i / KINDS), kinds[_i % KINDS]);
}
END_TEST

START_TEST(each_call_of_the_table_was_failed)
{
	int call, missing = 0;

	for (call = 0; call < FAULT_CALLS; call++)
		if (story_failures((enum fault_call)call) == 0) {
			printf("no story calls %s\n", fault_name((enum fault_call)call));
			missing++;
		}
	ck_assert_int_eq(missing, 0);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = test_case("faults");
	int count = 0, status;

	setvbuf(stdout, NULL, _IOLBF, 0); /* nothing is lost with a child */
	while (story_at(count) != NULL)
		count++;
	if (story_init() != 0)
		return 99;
	tcase_add_loop_test(all, each_call_of_a_story_fails_once, 0, count * KINDS);
	tcase_add_test(all, each_call_of_the_table_was_failed);
	status = test_run(argc, argv, all);
	story_deinit();
	return status;
}
