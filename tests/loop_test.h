/*
 * loop_test.h - what the tests of the scheduler share: loops under a virtual clock, turns,
 * and notes in the order they were made.
 *
 * LOOP_TEST_MAIN runs each test as check's loop test: _i is 0 in a release build; a debug
 * build runs it again with _i as a spurious_seed, so that pending tasks are polled for no
 * reason as well.  A test that counts polls opens its loop with 0 instead of _i.
 */
#ifndef APUS_LOOP_TEST_H
#define APUS_LOOP_TEST_H

#include "loop/loop.h"
#include "test.h"

/* ---- notes ----------------------------------------------------------------- */

static __thread char notes[8192]; /* a thread makes its own */

TEST_UNUSED __attribute__((__format__(__printf__, 1, 2)))
static void note(const char *format, ...)
{
	size_t used = strlen(notes);
	va_list args;

	va_start(args, format);
	vsnprintf(notes + used, sizeof notes - used, format, args);
	va_end(args);
}

/* What was noted since the last call. */
TEST_UNUSED static const char *noted(void)
{
	static __thread char last[sizeof notes];

	memcpy(last, notes, sizeof notes);
	notes[0] = '\0';
	return last;
}

#define expect_notes(text) ck_assert_str_eq(noted(), text)

/* ---- loops ------------------------------------------------------------------- */

TEST_UNUSED static void config_virtual(struct apus_config *config, int spurious)
{
	apus_config_init(config);
	config->clock = APUS_CLOCK_VIRTUAL;
	config->slot_count = 64;
	config->wait_count = 64;
	config->token_count = 64;
	config->log_fn = NULL;
	config->spurious_seed = APUS_DEBUG ? (uint64_t)spurious : 0;
}

TEST_UNUSED static struct apus_loop *loop_open_with(struct apus_config *config)
{
	struct apus_loop *loop;
	int err = apus_open(&loop, config);

	ck_assert_msg(err == 0, "open: %d: %s", err, config->reason);
	notes[0] = '\0';
	return loop;
}

TEST_UNUSED static struct apus_loop *loop_open(int spurious)
{
	struct apus_config config;

	config_virtual(&config, spurious);
	return loop_open_with(&config);
}

TEST_UNUSED static void loop_close(struct apus_loop *loop)
{
	ck_assert_int_eq(apus_close(loop, NULL), 0);
}

TEST_UNUSED static void turns(struct apus_loop *loop, int count)
{
	while (count-- > 0)
		apus_turn(loop);
}

TEST_UNUSED static struct apus_counters counters(struct apus_loop *loop)
{
	struct apus_counters now;

	apus_counters_read(loop, &now);
	return now;
}

/* Wait nodes in the pool: what was taken must come back. */
TEST_UNUSED static unsigned pool_count(struct apus_loop *loop)
{
	const struct apus_wait *wait;
	unsigned count = 0;

	for (wait = apus_loop_cx(loop)->wait_free; wait != NULL; wait = wait->task_next)
		count++;
	return count;
}

TEST_UNUSED static unsigned queue_count(const struct apus_waitq *queue)
{
	const struct apus_wait *wait;
	unsigned count = 0;

	for (wait = queue->head; wait != NULL; wait = wait->next)
		count++;
	return count;
}

/* Moves the virtual clock, also in the middle of a turn: what a slow poll does. */
TEST_UNUSED static void time_set(struct apus_loop *loop, int64_t now_ns)
{
	ck_assert_int_eq(apus_clock_set(&loop->clock, now_ns), 0);
}

TEST_UNUSED static void time_pass(struct apus_loop *loop, int64_t ns)
{
	ck_assert_int_eq(apus_clock_advance(&loop->clock, ns), 0);
}

/* ---- a semaphore: the smallest thing to wait for ------------------------------- */

struct sem {
	struct apus_waitq waiters;
	uint32_t units;
};

TEST_UNUSED static apus_poll sem_take(struct apus_cx *cx, struct sem *sem)
{
	if (apus_wait_is_broken(cx, &sem->waiters))
		return -EPIPE;
	if (apus_wait_take(cx, &sem->waiters))
		return 0;
	if (apus_waitq_is_busy(&sem->waiters) || sem->units == 0)
		return apus_wait_pend(cx, &sem->waiters);
	sem->units--;
	return 0;
}

TEST_UNUSED static void sem_put(struct sem *sem)
{
	if (!apus_waitq_grant(&sem->waiters))
		sem->units++;
}

/* A flag: it stays up. */
struct flag {
	struct apus_waitq waiters;
	bool up;
};

TEST_UNUSED static apus_poll flag_up(struct apus_cx *cx, struct flag *flag)
{
	return flag->up ? 0 : apus_wait_pend(cx, &flag->waiters);
}

TEST_UNUSED static void flag_raise(struct flag *flag)
{
	flag->up = true;
	apus_waitq_wake_all(&flag->waiters);
}

/* ---- running -------------------------------------------------------------------- */

#define LOOP_TEST_MAIN(noun, ...)                                                       \
	int main(int argc, char **argv)                                                 \
	{                                                                               \
		const TTest *const tests[] = { __VA_ARGS__ };                           \
		TCase *all = test_case(noun);                                           \
		size_t i;                                                               \
                                                                                        \
		for (i = 0; i < sizeof tests / sizeof *tests; i++)                      \
			tcase_add_loop_test(all, tests[i], 0, APUS_DEBUG ? 3 : 1);      \
		return test_run(argc, argv, all);                                       \
	}

#endif
