#include "apus/base.h"
#include "test.h"

START_TEST(adding_to_a_deadline_stops_at_never)
{
	ck_assert_int_eq(apus_ns_add(40, 2), 42);
	ck_assert(apus_ns_add(INT64_MAX - 1, 1) == APUS_NEVER);
	ck_assert(apus_ns_add(INT64_MAX - 1, 2) == APUS_NEVER);
	ck_assert(apus_ns_add(APUS_NEVER, APUS_NEVER) == APUS_NEVER);
}
END_TEST

static void break_an_invariant(void *arg)
{
	int *answer = (int *)arg;

	APUS_ASSERT(*answer == 42);
}

/* Promise 12: file, line and the claim. */
START_TEST(a_broken_invariant_panics_with_its_file_and_claim)
{
	int answer = 41;

	test_expect_panic("test_base.c:", break_an_invariant, &answer);
	test_expect_panic("*answer == 42", break_an_invariant, &answer);
}
END_TEST

struct heard {
	enum apus_log_level level;
	char line[1024];
};

static void hear(void *arg, enum apus_log_level level, const char *line)
{
	struct heard *heard = (struct heard *)arg;

	heard->level = level;
	snprintf(heard->line, sizeof heard->line, "%s", line);
}

START_TEST(a_log_line_reaches_the_hook_formatted_and_without_a_newline)
{
	struct heard heard = { APUS_LOG_ERROR, "" };

	apus_log(hear, &heard, APUS_LOG_WARN, "%d of %s", 3, "four");
	ck_assert_int_eq(heard.level, APUS_LOG_WARN);
	ck_assert_str_eq(heard.line, "3 of four");
	apus_log(NULL, &heard, APUS_LOG_WARN, "nobody hears");
	ck_assert_str_eq(heard.line, "3 of four");
}
END_TEST

TEST_MAIN("base",
	adding_to_a_deadline_stops_at_never,
	a_broken_invariant_panics_with_its_file_and_claim,
	a_log_line_reaches_the_hook_formatted_and_without_a_newline)
