/*
 * test.h - the little that our tests add to check.
 *
 * A test file of the standard form:
 *
 *     #include "apus/slab.h"
 *     #include "test.h"
 *
 *     START_TEST(claim_on_a_full_slab_is_null)
 *     {
 *             ...
 *     }
 *     END_TEST
 *
 *     TEST_MAIN("slab", claim_on_a_full_slab_is_null)
 *
 * One with fixtures or loops writes its own main from test_case() and test_run().
 * A test that lacks a route, a privilege or a kernel feature says TEST_SKIP("no ...")
 * and ends; a program whose every test did so exits with 77.  Each test is ended after
 * a minute (CK_TIMEOUT_MULTIPLIER stretches it).  CK_FORK=no keeps all in one process,
 * for a debugger.
 */
#ifndef APUS_TEST_H
#define APUS_TEST_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEST_UNUSED __attribute__((__unused__))

enum { TEST_HANG_SECONDS = 60 };

/* gcc defines a name for a sanitizer, clang has to be asked. */
#ifdef __has_feature
#define TEST_CLANG_ASAN __has_feature(address_sanitizer)
#define TEST_CLANG_TSAN __has_feature(thread_sanitizer)
#else
#define TEST_CLANG_ASAN 0
#define TEST_CLANG_TSAN 0
#endif
#ifdef __SANITIZE_ADDRESS__
#define TEST_ASAN 1
#else
#define TEST_ASAN TEST_CLANG_ASAN
#endif
#ifdef __SANITIZE_THREAD__
#define TEST_TSAN 1
#else
#define TEST_TSAN TEST_CLANG_TSAN
#endif

/* Each step takes ten times as long there, and a tenth of a million shows all that it can see. */
#define TEST_MANY(count) ((TEST_ASAN || TEST_TSAN) ? (count) / 10 : (count))

/* ---- seeds and random numbers ----------------------------------------- */

struct test_random {
	uint64_t state;
};

/* Set by TEST_MAIN and test_run; the same in the process that each test forks. */
static const char *test_seed_text TEST_UNUSED;

/*
 * The seed of this run: argv[1], or APUS_TEST_SEED, or the time.  Printed, so that
 * what failed can be run again.
 */
TEST_UNUSED static uint64_t test_seed(void)
{
	struct timespec now;
	uint64_t seed;

	if (test_seed_text != NULL) {
		seed = strtoull(test_seed_text, NULL, 0);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		seed = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
	}
	printf("seed: %" PRIu64 " (again with APUS_TEST_SEED=%" PRIu64 ")\n", seed, seed);
	fflush(stdout);
	return seed;
}

/* Any seed will do: a step of splitmix64 (Steele et al., 2014) spreads it, never to 0. */
TEST_UNUSED static struct test_random test_random_init(uint64_t seed)
{
	uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (struct test_random){ z != 0 ? z : 1 };
}

/* xorshift64* (Vigna, 2016). */
TEST_UNUSED static uint64_t test_random_next(struct test_random *random)
{
	uint64_t x = random->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random->state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 <= answer < bound; the bias of the remainder does not matter to a test. */
TEST_UNUSED static uint64_t test_random_below(struct test_random *random, uint64_t bound)
{
	return (test_random_next(random) >> 8) % bound;
}

/* low <= answer <= high. */
TEST_UNUSED static int64_t test_random_between(struct test_random *random, int64_t low, int64_t high)
{
	uint64_t span = (uint64_t)high - (uint64_t)low + 1;
	uint64_t step = span == 0 ? test_random_next(random) : test_random_next(random) % span;

	return (int64_t)((uint64_t)low + step);
}

/* ---- skipping ------------------------------------------------------------- */

/* Shared with the processes that check forks, so that their skips are counted. */
static int *test_skip_count TEST_UNUSED;

TEST_UNUSED __attribute__((__format__(__printf__, 2, 3)))
static void test_skip(const char *name, const char *format, ...)
{
	size_t length = strlen(name); /* check calls a test's function NAME_fn */
	char reason[256];
	va_list args;

	if (length > 3 && strcmp(name + length - 3, "_fn") == 0)
		length -= 3;
	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	printf("SKIP: %.*s: %s\n", (int)length, name, reason);
	fflush(stdout);
	if (test_skip_count != NULL)
		__atomic_fetch_add(test_skip_count, 1, __ATOMIC_RELAXED);
}

/* In the body of a test: names what is missing and ends the test, counted as skipped. */
#define TEST_SKIP(...)                                   \
	do {                                             \
		test_skip(__func__, __VA_ARGS__);        \
		return;                                  \
	} while (0)

/* In the body of a test of what a build without Linux's calls (--disable-linux) lacks. */
#ifndef APUS_WITH_LINUX
#define APUS_WITH_LINUX 1
#endif
#define TEST_LINUX_ONLY()                                                          \
	do {                                                                       \
		if (!APUS_WITH_LINUX)                                              \
			TEST_SKIP("this build makes no calls that only Linux has"); \
	} while (0)

/* ---- panics --------------------------------------------------------------- */

/* Runs call(arg) in a child; fails unless it aborts with `text` on its stderr. */
TEST_UNUSED static void test_expect_panic(const char *text, void (*call)(void *arg), void *arg)
{
	const struct rlimit no_core = { 0, 0 };
	char output[4096];
	size_t used = 0;
	ssize_t got;
	int ends[2];
	int status;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		call(arg);
		_exit(0);
	}
	close(ends[1]);
	while (used < sizeof output - 1 && (got = read(ends[0], output + used, sizeof output - 1 - used)) > 0)
		used += (size_t)got;
	output[used] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
		"no panic (wait status %#x); stderr was: %s", (unsigned)status, output);
	ck_assert_msg(strstr(output, text) != NULL, "panicked without \"%s\": %s", text, output);
}

/* ---- running ---------------------------------------------------------------- */

TEST_UNUSED static TCase *test_case(const char *name)
{
	TCase *tests = tcase_create(name);

	tcase_set_timeout(tests, TEST_HANG_SECONDS);
	return tests;
}

/* Runs the case; the exit status: 0, 1, or 77 when all that ran were skipped. */
TEST_UNUSED static int test_run(int argc, char **argv, TCase *tests)
{
	Suite *suite = suite_create("apus");
	SRunner *runner = srunner_create(suite);
	int ran, failed, skipped;

	test_seed_text = argc > 1 ? argv[1] : getenv("APUS_TEST_SEED");
	test_skip_count = mmap(NULL, sizeof *test_skip_count, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (test_skip_count == MAP_FAILED)
		return 99;
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, getenv("CK_VERBOSITY") != NULL ? CK_ENV : CK_VERBOSE);
	ran = srunner_ntests_run(runner);
	failed = srunner_ntests_failed(runner);
	skipped = *test_skip_count;
	srunner_free(runner);
	munmap(test_skip_count, sizeof *test_skip_count);
	printf("counts: %d passed, %d failed, %d skipped\n", ran - failed - skipped, failed, skipped);
	if (ran == 0)
		return 1; /* a suite without a test proves nothing */
	return failed != 0 ? 1 : skipped == ran ? 77 : 0;
}

/* TEST_MAIN(noun, test, ...): a main that runs the tests in the order given. */
#define TEST_MAIN(noun, ...)                                                    \
	int main(int argc, char **argv)                                         \
	{                                                                       \
		const TTest *const tests[] = { __VA_ARGS__ };                   \
		TCase *all = test_case(noun);                                   \
		size_t i;                                                       \
                                                                                \
		for (i = 0; i < sizeof tests / sizeof *tests; i++)              \
			tcase_add_test(all, tests[i]);                          \
		return test_run(argc, argv, all);                               \
	}

#endif
