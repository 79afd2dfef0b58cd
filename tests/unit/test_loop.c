#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "loop_test.h"

/* ---- tasks ------------------------------------------------------------- */

struct some {
	struct apus_frame frame;
	struct apus_loop *loop;
	int64_t ns, got, value;
	int rounds;
	char name;
	int *polls;
	struct apus_fd fd;
	struct apus_token token;
};

static void some_cleanup(struct apus_cx *cx, struct some *self)
{
	(void)cx;
	if (self->name != '\0')
		note("%c! ", self->name);
}

/* Sleeps so many times so long. */
APUS_TASK(sleeps, struct some, some_cleanup)
{
	APUS_BEGIN(cx, self);
	while (self->rounds-- > 0)
		APUS_WAIT(apus_sleep(cx, self->ns));
	APUS_END(self->value);
}

/* Waits for the root token. */
APUS_TASK(hears, struct some, some_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_cancelled(cx, apus_loop_token(cx->loop)));
	note("%c%d ", self->name, (int)self->got);
	APUS_END(self->value);
}

/* Ends by no means of its own. */
APUS_TASK(deaf, struct some, some_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep_until(cx, APUS_NEVER));
	APUS_END(0);
}

APUS_TASK(spins, struct some)
{
	++*self->polls;
	return apus_again(cx);
}

static void spawn(struct apus_loop *loop, char name, int64_t ns, int rounds)
{
	struct some init = { .name = name, .ns = ns, .rounds = rounds };

	ck_assert_int_eq(apus_spawn_slab(loop, sleeps, &init, NULL), 0);
}

static struct apus_loop *open_real(enum apus_idle idle, enum apus_io_kind backend)
{
	struct apus_config config;

	config_virtual(&config, 0);
	config.clock = APUS_CLOCK_AUTO;
	config.idle = idle;
	config.backend = backend;
	config.backoff_turns = 4;
	return loop_open_with(&config);
}

/* ---- opening ----------------------------------------------------------- */

struct bad {
	const char *name;
	size_t at, bytes;
	int64_t value;
};

#define BAD(field, value) \
	{ #field, offsetof(struct apus_config, field), \
		sizeof(((struct apus_config *)0)->field), value }

/* Each field that has a wrong value says its name. */
START_TEST(a_wrong_configuration_names_its_field)
{
	static const struct bad bads[] = {
		BAD(slot_count, 0), BAD(slot_count, UINT32_MAX), BAD(chunk_max, 0),
		BAD(state_bytes, 0),
		BAD(socket_count, 0), BAD(task_budget, 0), BAD(timer_budget, 0), BAD(io_budget, 0),
		BAD(inbox_budget, 0), BAD(cancel_budget, 0), BAD(lane_ratio, 0), BAD(lane_ratio, 1),
		BAD(backoff_turns, 0), BAD(token_count, UINT32_MAX), BAD(task_quota_ns, -1),
		BAD(io_interval_ns, -1), BAD(timer_resolution_ns, -1),
		BAD(timer_resolution_ns, INT64_C(1) << 40), BAD(stop_grace_ns, -1),
		BAD(stall_ns, -1),
		BAD(idle, 17), BAD(clock, 17), BAD(backend, 17), BAD(fifo_priority, -1),
		BAD(fifo_priority, 100), BAD(cpu, -2),
		BAD(numa_node, -2),
#if !APUS_DEBUG
		BAD(spurious_seed, 1),
#endif
	};
	size_t i;

	for (i = 0; i < sizeof bads / sizeof *bads; i++) {
		struct apus_config config;
		struct apus_loop *loop = (struct apus_loop *)&config;

		apus_config_init(&config);
		memcpy((char *)&config + bads[i].at, &bads[i].value, bads[i].bytes);
		ck_assert_msg(apus_open(&loop, &config) == -EINVAL, "%s: %s", bads[i].name,
			config.reason);
		ck_assert_msg(strstr(config.reason, bads[i].name) != NULL, "%s: %s", bads[i].name,
			config.reason);
		ck_assert_ptr_null(loop);
	}
	loop_close(loop_open(0)); /* and the thread is free for a loop */
}
END_TEST

static void *open_own(void *arg)
{
	struct apus_loop *loop = loop_open(0);

	*(int *)arg = (int)apus_run(loop, sleeps, (&(struct some){ .value = 7 }));
	loop_close(loop);
	return NULL;
}

START_TEST(a_thread_has_one_loop_and_a_process_many)
{
	struct apus_loop *loop = loop_open(0), *second;
	struct apus_config config;
	pthread_t thread;
	int answer = 0;

	config_virtual(&config, 0);
	ck_assert_int_eq(apus_open(&second, &config), -EEXIST);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(config.reason, "thread"));
	ck_assert_int_eq(pthread_create(&thread, NULL, open_own, &answer), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(answer, 7);
	ck_assert_int_eq((int)apus_run(loop, sleeps, (&(struct some){ .value = 8 })), 8);
	loop_close(loop);
}
END_TEST

/* Decision "header and library disagree". */
START_TEST(another_abi_or_debug_flag_is_eproto_and_says_so)
{
	struct apus_config config;
	struct apus_loop *loop;

	apus_config_init(&config);
	ck_assert_int_eq(apus_open_abi(&loop, &config, APUS_ABI, !APUS_DEBUG, sizeof config),
		-EPROTO);
	ck_assert_ptr_null(loop);
	ck_assert_ptr_nonnull(strstr(config.reason, "debug"));
	ck_assert_int_eq(apus_open_abi(&loop, &config, APUS_ABI + 1, APUS_DEBUG, sizeof config),
		-EPROTO);
	ck_assert_int_eq(apus_open_abi(&loop, &config, APUS_ABI, APUS_DEBUG, sizeof config - 8),
		-EPROTO);
	ck_assert_int_eq(apus_open_abi(&loop, &config, APUS_ABI, APUS_DEBUG, sizeof config), 0);
	loop_close(loop);
}
END_TEST

/* Promise 13. */
START_TEST(a_virtual_clock_refuses_real_descriptors)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_virtual(&config, 0);
	config.backend = APUS_IO_EPOLL;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_ptr_nonnull(strstr(config.reason, "virtual"));
	config.backend = APUS_IO_NONE;
	loop_close(loop_open_with(&config));
}
END_TEST

/* ---- running ----------------------------------------------------------- */

START_TEST(run_answers_the_roots_result_and_may_be_called_again)
{
	struct apus_loop *loop = loop_open(_i);

	spawn(loop, 'o', 1000, 3); /* outlives two roots */
	ck_assert_int_eq((int)apus_run(loop, sleeps, (&(struct some){ .ns = 10, .rounds = 1,
		.value = 5 })), 5);
	ck_assert_int_eq((int)apus_run(loop, sleeps, (&(struct some){ .value = -6 })), -6);
	expect_notes("");
	ck_assert_uint_eq(counters(loop).tasks_live, 1);
	ck_assert_int_eq((int)apus_run(loop, sleeps, (&(struct some){ .ns = 5000, .rounds = 1 })),
		0);
	expect_notes("o! ");
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(nests, struct some)
{
	(void)self;
	note("%d %d %d ", (int)apus_run(cx->loop, sleeps, NULL), apus_drain(cx->loop, 0, NULL),
		apus_close(cx->loop, NULL));
	return 0;
}

/* S15: nested run. */
START_TEST(run_drain_and_close_from_inside_a_turn_are_edeadlk)
{
	struct apus_loop *loop = loop_open(0);

	ck_assert_int_eq((int)apus_run(loop, nests, NULL), 0);
	ck_assert_str_eq(noted(), "-35 -35 -35 ");
	loop_close(loop);
}
END_TEST

static void closing_cleanup(struct apus_cx *cx, struct some *self)
{
	(void)self;
	note("%d %d %d ", apus_close(cx->loop, NULL), (int)apus_run(cx->loop, sleeps, NULL),
		apus_drain(cx->loop, 0, NULL));
}

APUS_TASK(closes_in_cleanup, struct some, closing_cleanup)
{
	(void)self;
	return apus_sleep_until(cx, APUS_NEVER);
}

/* S1, S15: a cleanup while the loop closes. */
START_TEST(close_from_a_cleanup_of_close_is_edeadlk)
{
	struct apus_loop *loop = loop_open(0);

	apus_spawn_slab(loop, closes_in_cleanup, NULL, NULL);
	apus_spawn_slab(loop, closes_in_cleanup, NULL, NULL);
	turns(loop, 1);
	loop_close(loop);
	ck_assert_str_eq(noted(), "-35 -35 -35 -35 -35 -35 ");
}
END_TEST

static void turn_in_turn(void *arg)
{
	apus_turn((struct apus_loop *)arg);
}

APUS_TASK(turns_in_turn, struct some)
{
	test_expect_panic("in_turn", turn_in_turn, cx->loop);
	(void)self;
	return 0;
}

/* Promise 12. */
START_TEST(a_turn_inside_a_turn_panics)
{
	struct apus_loop *loop = loop_open(0);

	ck_assert_int_eq((int)apus_run(loop, turns_in_turn, NULL), 0);
	loop_close(loop);
}
END_TEST

/* Promise 13: nothing can ever happen, and virtual time cannot pass. */
START_TEST(a_virtual_loop_that_can_never_go_on_answers_edeadlk)
{
	struct apus_loop *loop = loop_open(_i);

	ck_assert_int_eq((int)apus_run(loop, deaf, (&(struct some){ .name = 'd' })), -EDEADLK);
	expect_notes("d! ");
	ck_assert_int_eq((int)apus_run(loop, sleeps, (&(struct some){ .value = 1 })), 1);
	loop_close(loop);
}
END_TEST

/* ---- stopping ---------------------------------------------------------- */

APUS_TASK(stops, struct some, some_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, self->ns));
	apus_stop(cx->loop);
	apus_stop(cx->loop);
	note("stopping %d, spawn %d ", apus_is_stopping(cx->loop),
		apus_spawn_slab(cx->loop, sleeps, NULL, NULL));
	APUS_END(0);
}

/* Decision "stop": final, idempotent, from inside a callback; every waiter is told. */
START_TEST(stop_cancels_the_root_token_and_refuses_what_comes_later)
{
	struct apus_loop *loop = loop_open(_i);
	struct some init = { .ns = 100 };

	ck_assert(!apus_is_stopping(loop));
	apus_spawn_slab(loop, hears, (&(struct some){ .name = 'a' }), NULL);
	apus_spawn_slab(loop, hears, (&(struct some){ .name = 'b' }), NULL);
	apus_spawn_slab(loop, stops, &init, NULL);
	ck_assert_int_eq((int)apus_run(loop, hears, (&(struct some){ .name = 'r', .value = 3 })),
		3);
	ck_assert_str_eq(noted(), "stopping 1, spawn -108 a0 a! b0 b! r0 r! ");
	ck_assert_int_eq((int)apus_run(loop, sleeps, NULL), -ESHUTDOWN);
	ck_assert(apus_is_stopping(loop));
	ck_assert(apus_token_is_cancelled(loop, apus_loop_token(loop)));
	loop_close(loop);
}
END_TEST

/* A handler may have interrupted the tree's own work: stop only leaves a message. */
START_TEST(stop_touches_nothing_that_a_signal_may_have_interrupted)
{
	struct apus_loop *loop = loop_open(_i);

	apus_spawn_slab(loop, hears, (&(struct some){ .name = 'a' }), NULL);
	turns(loop, 1);
	apus_stop(loop);
	ck_assert_ptr_null(loop->cancel.walk_head);
	ck_assert(apus_is_stopping(loop));
	ck_assert(apus_token_is_cancelled(loop, apus_loop_token(loop)));
	turns(loop, 1);
	expect_notes("a0 a! ");
	loop_close(loop);
}
END_TEST

/* Decision "stop". */
START_TEST(a_root_that_does_not_end_is_aborted_when_the_grace_is_over)
{
	struct apus_config config;
	struct apus_loop *loop;
	int64_t now_ns;

	config_virtual(&config, _i);
	config.stop_grace_ns = 7000;
	loop = loop_open_with(&config);
	apus_spawn_slab(loop, stops, (&(struct some){ .ns = 500 }), NULL);
	ck_assert_int_eq((int)apus_run(loop, deaf, (&(struct some){ .name = 'd' })), -ECANCELED);
	now_ns = apus_loop_cx(loop)->now_ns;
	ck_assert_int_eq(now_ns, 7500);
	ck_assert_ptr_nonnull(strstr(notes, "d! "));
	loop_close(loop);
}
END_TEST

static void *stop_from_outside(void *arg)
{
	usleep(1000);
	apus_stop((struct apus_loop *)arg);
	return NULL;
}

/* Decision "stop": from any thread, whatever the loop does when idle (promise 9's half). */
START_TEST(stop_from_another_thread_ends_every_kind_of_idling)
{
	static const enum apus_io_kind backends[] = { APUS_IO_AUTO, APUS_IO_NONE };
	int idle, backend;

	for (idle = APUS_IDLE_BUSY; idle <= APUS_IDLE_PARK; idle++)
		for (backend = 0; backend < 2; backend++) {
			struct apus_loop *loop = open_real((enum apus_idle)idle, backends[backend]);
			pthread_t thread;

			ck_assert_int_eq(pthread_create(&thread, NULL, stop_from_outside, loop), 0);
			ck_assert_int_eq((int)apus_run(loop, hears,
				(&(struct some){ .name = 'r' })), 0);
			pthread_join(thread, NULL);
			loop_close(loop);
		}
}
END_TEST

static struct apus_loop *interrupted;

static void stop_in_handler(int number)
{
	(void)number;
	apus_stop(interrupted);
}

/* Decision "stop": from a signal handler, also one that ends a park. */
START_TEST(stop_from_a_signal_handler_ends_a_park)
{
	struct itimerval soon = { .it_value.tv_usec = 2000 };

	interrupted = open_real(APUS_IDLE_PARK, APUS_IO_AUTO);
	signal(SIGALRM, stop_in_handler);
	setitimer(ITIMER_REAL, &soon, NULL);
	ck_assert_int_eq((int)apus_run(interrupted, hears, (&(struct some){ .name = 'r' })), 0);
	loop_close(interrupted);
}
END_TEST

/* ---- draining and closing ---------------------------------------------- */

START_TEST(drain_runs_what_is_left_or_names_it)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_drain_report report;
	struct apus_join join;

	spawn(loop, 'a', 1000, 1);
	spawn(loop, 'b', 5000, 1);
	apus_spawn_slab(loop, deaf, (&(struct some){ .name = 'd' }), &join);
	ck_assert_int_eq(apus_drain(loop, 2000, &report), -ETIME);
	ck_assert_int_eq(apus_loop_cx(loop)->now_ns, 2000);
	expect_notes("a! ");
	ck_assert_uint_eq(report.tasks_live, 2);
	ck_assert_uint_eq(report.timers_pending, 1);
	ck_assert_uint_eq(report.named, 2);
	ck_assert_str_eq(report.tasks[0].name, "sleeps");
	ck_assert_str_eq(report.tasks[1].name, "deaf");
	ck_assert_ptr_nonnull(report.tasks[1].site);
	ck_assert_ptr_nonnull(strstr(report.tasks[1].site->file, "test_loop.c"));
	apus_abort(loop, join);
	ck_assert_int_eq(apus_drain(loop, APUS_NEVER, &report), 0);
	ck_assert_str_eq(noted(), "d! b! ");
	ck_assert_uint_eq(report.tasks_live, 0);
	ck_assert_uint_eq(report.tasks_unjoined, 1); /* reported, not waited for */
	ck_assert_int_eq(apus_drain(loop, 0, NULL), 0);
	loop_close(loop);
}
END_TEST

/* A turn with nothing to do would park, for as long as there is time. */
START_TEST(draining_nothing_does_not_park)
{
	struct apus_config config;
	struct apus_loop *loop;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	config.log_fn = NULL;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_drain(loop, APUS_NEVER, NULL), 0);
	ck_assert_uint_eq(counters(loop).parks, 0);
	loop_close(loop);
}
END_TEST

/* Promise 6, S1: every task, its cleanup, and the last counters. */
START_TEST(close_ends_every_task_and_its_counters_survive)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_counters last;
	uint64_t before;

	spawn(loop, 'a', 1000, 100);
	apus_spawn_slab(loop, hears, (&(struct some){ .name = 'h' }), NULL);
	spawn(loop, 'e', 0, 0);
	turns(loop, 10);
	spawn(loop, 'n', 1000, 100);
	before = counters(loop).turns;
	noted();
	ck_assert_int_eq(apus_close(loop, &last), 0);
	ck_assert_str_eq(noted(), "a! h! n! ");
	ck_assert_uint_eq(last.tasks_spawned, 4);
	ck_assert_uint_eq(last.tasks_ended, 4);
	ck_assert_uint_eq(last.tasks_live, 0);
	ck_assert_uint_eq(last.timers_pending, 0);
	ck_assert_uint_eq(last.turns, before);
}
END_TEST

/* ---- signals ----------------------------------------------------------- */

static void previous_handler(int number)
{
	note("previous%d ", number);
}

/* P6: every waiter wakes, several loops in a row work, the old handlers come back. */
START_TEST(signals_wake_every_waiter_and_are_given_back)
{
	int round;

	signal(SIGTERM, previous_handler);
	for (round = 0; round < 2; round++) {
		struct apus_config config;
		struct apus_loop *loop;

		config_virtual(&config, _i);
		config.signals = true;
		loop = loop_open_with(&config);
		apus_spawn_slab(loop, hears, (&(struct some){ .name = 'a' }), NULL);
		apus_spawn_slab(loop, hears, (&(struct some){ .name = 'b' }), NULL);
		turns(loop, 1);
		raise(round == 0 ? SIGTERM : SIGINT);
		expect_notes("");
		turns(loop, 1);
		expect_notes("a0 a! b0 b! ");
		ck_assert(apus_is_stopping(loop));
		raise(SIGTERM); /* stays a stop: only apus_main counts */
		raise(SIGTERM);
		turns(loop, 1);
		loop_close(loop);
		raise(SIGTERM);
		expect_notes("previous15 ");
	}
}
END_TEST

static void *signalled_loop(void *arg)
{
	struct apus_loop *loop;
	struct apus_config config;

	config_virtual(&config, 0);
	config.clock = APUS_CLOCK_AUTO;
	config.idle = APUS_IDLE_PARK;
	config.signals = true;
	if (apus_open(&loop, &config) != 0)
		return NULL;
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
	if (apus_run(loop, hears, (&(struct some){ .name = 'x' })) == 0)
		__atomic_fetch_add((int *)arg, 10, __ATOMIC_SEQ_CST);
	apus_close(loop, NULL);
	return NULL;
}

/* P6: several loops at once. */
START_TEST(a_signal_stops_every_loop_that_takes_it)
{
	pthread_t threads[3];
	int done = 0, i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, signalled_loop, &done), 0);
	while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) != 3)
		usleep(100);
	kill(getpid(), SIGINT);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(done, 33);
}
END_TEST

static int report_fd;

static void report(char what)
{
	ck_assert_int_eq((int)write(report_fd, &what, 1), 1);
}

APUS_TASK(tells_when_asked, struct some)
{
	APUS_BEGIN(cx, self);
	report('r');
	APUS_WAIT(apus_cancelled(cx, apus_loop_token(cx->loop)));
	report('c');
	APUS_END(0);
}

/* Root of a process that must be killed: ignores the token; with rounds it does not even poll. */
APUS_TASK(stubborn, struct some)
{
	APUS_BEGIN(cx, self);
	apus_spawn_slab(cx->loop, tells_when_asked, NULL, NULL);
	if (self->rounds == 0)
		APUS_WAIT(apus_sleep_until(cx, APUS_NEVER));
	APUS_WAIT(apus_cancelled(cx, apus_loop_token(cx->loop)));
	report('s');
	for (;;)
		pause();
	APUS_END(0);
}

static pid_t main_in_child(int rounds, int *from)
{
	struct some init = { .rounds = rounds };
	struct apus_config config;
	int ends[2];
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		alarm(TEST_HANG_SECONDS); /* nobody else ends it if the test fails */
		report_fd = ends[1];
		config_virtual(&config, 0);
		config.clock = APUS_CLOCK_AUTO;
		config.idle = APUS_IDLE_PARK;
		config.stop_grace_ns = 3600 * APUS_SEC;
		_exit((int)-apus_main(&config, stubborn, &init));
	}
	close(ends[1]);
	*from = ends[0];
	return child;
}

static void expect_report(int from, char what)
{
	char got = 0;

	ck_assert_int_eq((int)read(from, &got, 1), 1);
	ck_assert_int_eq(got, what);
}

/* Decision "stop": under apus_main a second signal aborts at once, a third is the default. */
START_TEST(a_second_signal_aborts_and_a_third_takes_its_default_action)
{
	int from, status;
	pid_t child = main_in_child(0, &from);

	expect_report(from, 'r');
	kill(child, SIGINT);
	expect_report(from, 'c');
	kill(child, SIGINT);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == ECANCELED, "%#x",
		(unsigned)status);
	close(from);

	child = main_in_child(1, &from);
	expect_report(from, 'r');
	kill(child, SIGINT);
	expect_report(from, 's'); /* and from here on it does not even turn */
	kill(child, SIGINT);
	kill(child, SIGTERM);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFSIGNALED(status), "%#x", (unsigned)status);
	close(from);
}
END_TEST

APUS_TASK(raises_twice, struct some)
{
	APUS_BEGIN(cx, self);
	raise(SIGINT);
	APUS_WAIT(apus_sleep(cx, APUS_SEC));
	raise(SIGTERM);
	for (;;)
		APUS_WAIT(apus_sleep(cx, APUS_SEC));
	APUS_END(0);
}

/* Decision "stop": "at once" is also while the loop drains. */
START_TEST(a_second_signal_ends_a_drain)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_virtual(&config, _i);
	ck_assert_int_eq(apus_main_open(&loop, &config), 0);
	apus_spawn_slab(loop, raises_twice, NULL, NULL);
	ck_assert_int_eq(apus_drain(loop, 3600 * APUS_SEC, NULL), -ETIME);
	ck_assert_int_le(apus_loop_cx(loop)->now_ns, 3 * APUS_SEC);
	apus_main_close(loop);
}
END_TEST

/* ---- idling ------------------------------------------------------------ */

/* S13: what is work and what is not. */
START_TEST(a_turn_is_idle_exactly_when_it_did_nothing)
{
	struct apus_loop *loop = loop_open(0);
	struct apus_join join;
	int polls = 0;

	ck_assert_uint_eq(apus_turn(loop), 0);
	turns(loop, 4);
	ck_assert_uint_eq(counters(loop).idle_turns, 5);
	apus_spawn_slab(loop, spins, (&(struct some){ .polls = &polls }), &join);
	ck_assert_uint_eq(apus_turn(loop), 1);
	turns(loop, 4);
	ck_assert_uint_eq(counters(loop).idle_turns, 5);
	apus_abort(loop, join);
	ck_assert_uint_gt(apus_turn(loop), 0); /* the cleanup is work */
	ck_assert_uint_eq(apus_turn(loop), 0);
	apus_cancel(loop, apus_loop_token(loop));
	ck_assert_uint_gt(apus_turn(loop), 0); /* the walk is */
	ck_assert_uint_eq(apus_turn(loop), 0);
	spawn(loop, 's', 1000, 1);
	ck_assert_uint_gt(apus_turn(loop), 0);
	ck_assert_uint_eq(apus_turn(loop), 0); /* jumps */
	ck_assert_uint_gt(apus_turn(loop), 0); /* the timer, and the task it woke */
	ck_assert_uint_eq(apus_turn(loop), 0);
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(reads_hot, struct some)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_fd_read(cx, self->fd, &self->value, sizeof self->value));
	APUS_END(self->got);
}

/* S13: trying a hot descriptor again, in vain, is no work. */
START_TEST(a_hot_retry_that_found_nothing_is_no_work)
{
	struct apus_loop *loop;
	struct some init = { .rounds = 0 };
	const uint64_t one = 1;
	uint64_t idle;
	int fd = eventfd(0, EFD_NONBLOCK);
	struct apus_config config;

	config_virtual(&config, 0);
	config.clock = APUS_CLOCK_AUTO;
	if (apus_open(&loop, &config) != 0)
		TEST_SKIP("no loop with descriptors: %s", config.reason);
	if (apus_fd_adopt(loop, fd, APUS_OWNED, &init.fd) != 0) {
		loop_close(loop);
		TEST_SKIP("no backend for descriptors");
	}
	ck_assert_int_eq(apus_fd_set_hot(loop, init.fd, true), 0);
	ck_assert_int_eq(apus_spawn_slab(loop, reads_hot, &init, NULL), 0);
	turns(loop, 3);
	idle = counters(loop).idle_turns;
	turns(loop, 20);
	ck_assert_uint_eq(counters(loop).idle_turns, idle + 20);
	ck_assert_int_eq((int)write(fd, &one, sizeof one), 8);
	ck_assert_uint_gt(apus_turn(loop), 0);
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	loop_close(loop);
}
END_TEST

/* A descriptor is served at once however many tasks are ready. */
APUS_TASK(reads, struct some)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_fd_read(cx, self->fd, &self->value, sizeof self->value));
	note("read %d ", (int)self->got);
	APUS_END(self->got);
}

/* P19, promise 8. */
START_TEST(descriptors_are_served_while_tasks_fill_the_budget)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct some init = { .rounds = 0 };
	const uint64_t one = 1;
	int fd = eventfd(0, EFD_NONBLOCK), polls = 0, i;

	config_virtual(&config, 0);
	config.clock = APUS_CLOCK_AUTO;
	config.task_budget = 4;
	loop = loop_open_with(&config);
	if (apus_fd_adopt(loop, fd, APUS_OWNED, &init.fd) != 0) {
		loop_close(loop);
		TEST_SKIP("no backend for descriptors");
	}
	apus_spawn_slab(loop, reads, &init, NULL);
	for (i = 0; i < 12; i++)
		apus_spawn_slab(loop, spins, (&(struct some){ .polls = &polls }), NULL);
	turns(loop, 10);
	ck_assert_int_eq((int)write(fd, &one, sizeof one), 8);
	turns(loop, 4); /* 12 spinners, 4 a turn: three turns of left-overs before it */
	expect_notes("read 8 ");
	loop_close(loop);
}
END_TEST

/* What the kernel is asked to wait for; the library calls these. */
static struct {
	int64_t ns[256];
	int count;
	bool refuse; /* as a kernel without epoll_pwait2 */
} parked;

static void park_note(const struct timespec *time)
{
	if (time != NULL && parked.count < 256)
		parked.ns[parked.count++] = time->tv_sec * APUS_SEC + time->tv_nsec;
}

int epoll_pwait2(int fd, struct epoll_event *events, int count, const struct timespec *time,
	const sigset_t *mask)
{
	if (parked.refuse) {
		errno = ENOSYS;
		return -1;
	}
	if (time != NULL && (time->tv_sec | time->tv_nsec) != 0)
		park_note(time);
	return (int)syscall(SYS_epoll_pwait2, fd, events, count, time, mask, 8);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
	struct timespec copy = { 0, 0 };

	park_note(time);
	if (time != NULL)
		copy = *time;
	return (int)syscall(SYS_ppoll, fds, count, time ? &copy : NULL, mask, 8);
}

/* P12: neither rounded down to a spin, nor up to a millisecond. */
START_TEST(parking_counts_nanoseconds)
{
	TEST_LINUX_ONLY();
	/* The last is what this program runs over; io_uring has no call that we could see. */
	static const enum apus_io_kind kinds[] = { APUS_IO_EPOLL, APUS_IO_EPOLL, APUS_IO_NONE,
		APUS_IO_AUTO };
	int way;

	for (way = 0; way < 4; way++) {
		struct apus_loop *loop;
		struct apus_counters after;
		int i;

		parked.refuse = way == 1;
		loop = open_real(APUS_IDLE_PARK, apusi_backend_epoll.open != NULL ? kinds[way] :
			APUS_IO_NONE);
		parked.count = 0;
		ck_assert_int_eq((int)apus_run(loop, sleeps,
			(&(struct some){ .ns = 50 * APUS_USEC, .rounds = 20 })), 0);
		after = counters(loop);
		for (i = 0; i < parked.count; i++) {
			ck_assert_int_gt(parked.ns[i], 0);
			ck_assert_int_le(parked.ns[i], 50 * APUS_USEC);
		}
		/* A park a sleep, and as many turns before it and after it as the phases need. */
		ck_assert_uint_ge(after.parks, 1);
		ck_assert_uint_le(after.turns, 20 * 6 + 20);
		if (way < 3)
			ck_assert_uint_eq(after.parks, (uint64_t)parked.count);
		loop_close(loop);
	}
}
END_TEST

START_TEST(the_idle_strategy_can_be_switched_while_it_runs)
{
	struct apus_loop *loop = open_real(APUS_IDLE_BUSY, APUS_IO_AUTO);
	uint64_t parks;
	int idle;

	ck_assert_int_eq(apus_set_idle(loop, (enum apus_idle)17), -EINVAL);
	turns(loop, 100);
	ck_assert_uint_eq(counters(loop).parks, 0);
	for (idle = APUS_IDLE_PAUSE; idle >= APUS_IDLE_BUSY; idle--) {
		ck_assert_int_eq(apus_set_idle(loop, (enum apus_idle)idle), 0);
		turns(loop, 100);
		ck_assert_uint_eq(counters(loop).parks, 0);
	}
	spawn(loop, '\0', 10 * APUS_MSEC, 100000); /* what a park ends with */
	turns(loop, 1);
	apus_set_idle(loop, APUS_IDLE_PARK);
	while (counters(loop).parks == 0)
		turns(loop, 1);
	apus_set_idle(loop, APUS_IDLE_BUSY);
	parks = counters(loop).parks;
	turns(loop, 100);
	ck_assert_uint_eq(counters(loop).parks, parks);
	apus_set_idle(loop, APUS_IDLE_BACKOFF); /* backoff_turns 4: some busy, four pauses, parks */
	turns(loop, 5);
	ck_assert_uint_eq(counters(loop).parks, parks);
	while (counters(loop).parks == parks)
		turns(loop, 1);
	loop_close(loop);
}
END_TEST

/* Promise 13. */
START_TEST(an_idle_virtual_loop_jumps_to_the_next_deadline)
{
	struct apus_loop *loop = loop_open(0);

	spawn(loop, 's', 3600 * APUS_SEC, 24);
	ck_assert_int_eq(apus_drain(loop, APUS_NEVER, NULL), 0);
	ck_assert_int_eq(apus_loop_cx(loop)->now_ns, 24 * 3600 * APUS_SEC);
	ck_assert_uint_le(counters(loop).turns, 24 * 4);
	ck_assert_int_eq(counters(loop).turn_ns_longest, 0); /* a jump is no long turn */
	ck_assert_uint_eq(counters(loop).stalls, 0);
	loop_close(loop);
}
END_TEST

static uint64_t trace;

struct walker {
	struct apus_frame frame;
	struct test_random random;
	int id, left;
};

/* Sleeps, yields, spawns and ends as its dice say; every step goes into the trace. */
APUS_TASK(walker, struct walker)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		trace = (trace ^ (uint64_t)(cx->now_ns * 31 + self->id)) * UINT64_C(1099511628211);
		if (test_random_below(&self->random, 4) == 0) {
			struct walker child = *self;

			memset(&child.frame, 0, sizeof child.frame);
			child.id = self->id * 7 + self->left;
			child.random.state ^= (uint64_t)child.id;
			child.left /= 2;
			(void)apus_spawn_slab(cx->loop, walker, &child, NULL);
		}
		if (test_random_below(&self->random, 2))
			APUS_WAIT(apus_yield(cx));
		else
			APUS_WAIT(apus_sleep(cx, (int64_t)test_random_below(&self->random, 5000)));
	}
	APUS_END(0);
}

static uint64_t walk(uint64_t seed, int spurious)
{
	struct apus_loop *loop = loop_open(spurious);
	struct walker init = { .left = 200, .random = test_random_init(seed) };

	trace = 14695981039346656037u;
	apus_spawn_slab(loop, walker, &init, NULL);
	ck_assert_int_eq(apus_drain(loop, APUS_NEVER, NULL), 0);
	trace ^= counters(loop).polls ^ counters(loop).turns << 32;
	loop_close(loop);
	return trace;
}

/* Promise 13. */
START_TEST(the_same_program_makes_the_same_steps_every_time)
{
	uint64_t seed = test_seed(), first = walk(seed, _i);
	int i;

	for (i = 0; i < 5; i++)
		ck_assert_uint_eq(walk(seed, _i), first);
	ck_assert_uint_ne(walk(seed + 1, _i), first);
}
END_TEST

/* ---- time -------------------------------------------------------------- */

/* A poll that takes 10 ns of the turn. */
APUS_TASK(takes_time, struct some)
{
	ck_assert_int_eq(cx->now_ns, self->value);
	time_pass(cx->loop, self->ns);
	ck_assert_int_eq(cx->now_ns, self->value);
	ck_assert_int_gt(apus_clock_now(cx->loop), cx->now_ns);
	if (self->rounds-- == 0)
		return 0;
	self->value += self->got; /* what all of them take in a turn */
	return apus_again(cx);
}

/* P17: under load a turn's time is fresh when the turn begins, and one for the whole turn. */
START_TEST(the_turns_time_is_read_anew_each_turn_also_under_load)
{
	struct apus_loop *loop = loop_open(0);
	int i;

	for (i = 0; i < 40; i++)
		apus_spawn_slab(loop, takes_time, (&(struct some){ .ns = 10, .got = 400,
			.rounds = 99 }),
			NULL);
	turns(loop, 100);
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	ck_assert_int_eq(apus_clock_now(loop), 100 * 400);
	loop_close(loop);
}
END_TEST

/* Promise 8: the quota ends the phase, the rest runs next turn. */
START_TEST(the_quota_bounds_a_tasks_phase)
{
	struct apus_config config;
	struct apus_loop *loop;
	int i;

	config_virtual(&config, 0);
	config.task_quota_ns = 100;
	loop = loop_open_with(&config);
	for (i = 0; i < 48; i++)
		apus_spawn_slab(loop, takes_time, (&(struct some){ .ns = 10,
			.value = i / 16 * 160 }), NULL);
	for (i = 1; i <= 3; i++) {
		turns(loop, 1);
		ck_assert_uint_eq(counters(loop).polls, (uint64_t)(16 * i));
		ck_assert_uint_eq(counters(loop).quota_turns, (uint64_t)i);
	}
	loop_close(loop);
}
END_TEST

/* ---- stalls ------------------------------------------------------------ */

static struct apus_stall stalls[8];
static int stall_count;

static void stall_see(void *arg, const struct apus_stall *stall)
{
	ck_assert_ptr_eq(arg, stalls);
	ck_assert_int_lt(stall_count, 8);
	ck_assert_uint_le(stall->kind_count, 16);
	stalls[stall_count++] = *stall;
}

APUS_TASK(quick, struct some)
{
	if (self->rounds-- <= 0)
		return 0;
	return apus_again(cx);
}

APUS_TASK(slow, struct some)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep_until(cx, self->value));
	time_pass(cx->loop, self->ns);
	APUS_END(0);
}

static struct apus_loop *open_stalls(bool detail, apus_stall_fn *fn)
{
	struct apus_config config;

	config_virtual(&config, 0);
	config.stall_ns = 1000;
	config.stall_fn = fn;
	config.stall_arg = stalls;
	config.stall_detail = detail;
	stall_count = 0;
	return loop_open_with(&config);
}

/* Counted without a hook too, from the turns' own clock reads. */
START_TEST(a_long_turn_is_counted_as_a_stall)
{
	struct apus_loop *loop = open_stalls(false, NULL);

	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 900 }), NULL);
	turns(loop, 2);
	ck_assert_uint_eq(counters(loop).stalls, 0);
	ck_assert_int_eq(counters(loop).turn_ns_longest, 900);
	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 1500 }), NULL);
	turns(loop, 2);
	ck_assert_uint_eq(counters(loop).stalls, 1);
	ck_assert_int_eq(counters(loop).turn_ns_longest, 1500);
	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 1200 }), NULL); /* not the longest */
	turns(loop, 5);
	ck_assert_uint_eq(counters(loop).stalls, 2);
	loop_close(loop);
}
END_TEST

/* Turns of a few polls each come before: the kinds are the stalled turn's, oldest first. */
START_TEST(a_stall_names_the_kinds_of_its_own_turn)
{
	struct apus_loop *loop = open_stalls(true, stall_see);
	uint64_t turn;

	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 800 }), NULL); /* the worst so far */
	apus_spawn_slab(loop, quick, (&(struct some){ .rounds = 101 }), NULL);
	turns(loop, 100);
	ck_assert_int_eq(stall_count, 0);
	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 600 }), NULL);
	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 700 }), NULL);
	turns(loop, 1);
	turn = counters(loop).turns;
	turns(loop, 1);
	ck_assert_int_eq(stall_count, 1);
	ck_assert_uint_eq(stalls[0].turn, turn);
	ck_assert_int_eq(stalls[0].duration_ns, 1300);
	ck_assert_uint_eq(stalls[0].kind_count, 3);
	ck_assert_str_eq(stalls[0].kinds[0]->name, "slow");
	ck_assert_str_eq(stalls[0].kinds[1]->name, "slow");
	ck_assert_str_eq(stalls[0].kinds[2]->name, "quick");
	ck_assert_str_eq(stalls[0].task_name, "slow");
	ck_assert_int_eq(stalls[0].poll_ns, 700);
	loop_close(loop);
}
END_TEST

/* In a turn of many polls a stall is told while it lasts, and once. */
START_TEST(a_stall_is_told_once_and_in_the_middle_of_its_turn)
{
	struct apus_loop *loop = open_stalls(false, stall_see);
	int i;

	for (i = 0; i < 50; i++)
		apus_spawn_slab(loop, slow, (&(struct some){ .ns = 100 }), NULL);
	turns(loop, 1);
	ck_assert_int_eq(stall_count, 1);
	ck_assert_uint_eq(stalls[0].turn, 1);
	ck_assert_int_eq(stalls[0].duration_ns, 1600);
	ck_assert_uint_eq(stalls[0].kind_count, 16);
	ck_assert_ptr_null(stalls[0].task_name);
	turns(loop, 2);
	ck_assert_int_eq(stall_count, 1);
	ck_assert_uint_eq(counters(loop).stalls, 1);
	ck_assert_int_eq(counters(loop).turn_ns_longest, 5000);
	loop_close(loop);
}
END_TEST

/* What the owner of the thread does between two runs is no turn. */
START_TEST(the_time_between_two_runs_is_no_stall)
{
	struct apus_loop *loop = open_stalls(false, NULL);

	ck_assert_int_eq((int)apus_run(loop, quick, (&(struct some){ .rounds = 2 })), 0);
	time_pass(loop, APUS_SEC);
	ck_assert_int_eq((int)apus_run(loop, quick, (&(struct some){ .rounds = 2 })), 0);
	time_pass(loop, APUS_SEC);
	ck_assert_int_eq(apus_drain(loop, 0, NULL), 0);
	ck_assert_uint_eq(counters(loop).stalls, 0);
	ck_assert_int_eq(counters(loop).turn_ns_longest, 0);
	loop_close(loop);
}
END_TEST

static struct apus_join stalled;

static void abort_the_stalled(void *arg, const struct apus_stall *stall)
{
	struct apus_loop *loop = (struct apus_loop *)arg;

	(void)stall;
	note("%d ", apus_abort(*(struct apus_loop **)(void *)loop, stalled));
}

APUS_TASK(stalls_for_ever, struct some, some_cleanup)
{
	time_pass(cx->loop, self->ns);
	return apus_again(cx);
}

/* S15: the hook aborts the task that was polled last, which is not being polled any more. */
START_TEST(the_stall_hook_may_abort_the_task_that_stalls)
{
	struct apus_config config;
	struct apus_loop *loop = NULL;
	int i;

	config_virtual(&config, 0);
	config.stall_ns = 1000;
	config.stall_fn = abort_the_stalled;
	config.stall_arg = &loop;
	loop = loop_open_with(&config);
	for (i = 0; i < 15; i++)
		spawn(loop, '\0', 1, 1);
	apus_spawn_slab(loop, stalls_for_ever, (&(struct some){ .name = 's', .ns = 2000 }),
		&stalled);
	turns(loop, 1);
	expect_notes("1 ");
	turns(loop, 1);
	expect_notes("s! ");
	loop_close(loop);
}
END_TEST

static void worst_see(void *arg, const char *name, int64_t poll_ns)
{
	(void)arg;
	note("%s %d ", name, (int)poll_ns);
}

START_TEST(the_worst_poll_of_each_kind_is_kept)
{
	struct apus_loop *loop = open_stalls(true, NULL);

	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 300 }), NULL);
	apus_spawn_slab(loop, slow, (&(struct some){ .ns = 200 }), NULL);
	turns(loop, 1);
	apus_worst_polls(loop, worst_see, NULL);
	expect_notes("slow 300 ");
	loop_close(loop);
}
END_TEST

/* ---- sources ----------------------------------------------------------- */

struct counted_source {
	struct apus_source source;
	int polls, leave_after;
	uint32_t work;
	bool may_park;
};

static uint32_t source_poll(struct apus_cx *cx, struct apus_source *source)
{
	struct counted_source *self = (struct counted_source *)source;

	if (++self->polls == self->leave_after)
		ck_assert_int_eq(apus_source_remove(cx->loop, source), 0);
	return self->work;
}

static bool source_may_park(struct apus_source *source)
{
	return ((struct counted_source *)source)->may_park;
}

START_TEST(sources_are_polled_every_turn_and_may_leave_from_inside)
{
	struct apus_loop *loop = loop_open(0);
	struct counted_source a = { .source.poll = source_poll }, b = a, c = a;
	struct apus_source none = { .poll = NULL };

	a.leave_after = 3;
	b.work = 2;
	ck_assert_int_eq(apus_source_add(loop, &none), -EINVAL);
	ck_assert_int_eq(apus_source_add(loop, &a.source), 0);
	ck_assert_int_eq(apus_source_add(loop, &b.source), 0);
	ck_assert_int_eq(apus_source_add(loop, &c.source), 0);
	ck_assert_int_eq(apus_source_add(loop, &b.source), -EBUSY);
	ck_assert_uint_eq(apus_turn(loop), 2);
	turns(loop, 4);
	ck_assert_int_eq(a.polls, 3);
	ck_assert_int_eq(b.polls, 5);
	ck_assert_int_eq(c.polls, 5);
	ck_assert_int_eq(apus_source_remove(loop, &a.source), -ENOENT);
	ck_assert_int_eq(apus_source_remove(loop, &b.source), 0);
	ck_assert_uint_eq(apus_turn(loop), 0);
	ck_assert_int_eq(b.polls, 5);
	ck_assert_int_eq(c.polls, 6);
	loop_close(loop);
}
END_TEST

static uint32_t removes_next(struct apus_cx *cx, struct apus_source *source)
{
	if (source->next != NULL)
		ck_assert_int_eq(apus_source_remove(cx->loop, source->next), 0);
	return 0;
}

START_TEST(a_source_may_remove_the_one_behind_it)
{
	struct apus_loop *loop = loop_open(0);
	struct apus_source first = { .poll = removes_next };
	struct counted_source a = { .source.poll = source_poll }, b = a;

	apus_source_add(loop, &first);
	apus_source_add(loop, &a.source);
	apus_source_add(loop, &b.source);
	turns(loop, 1);
	ck_assert_int_eq(a.polls, 0);
	ck_assert_int_eq(b.polls, 1);
	turns(loop, 1);
	ck_assert_int_eq(b.polls, 1);
	loop_close(loop);
}
END_TEST

/* Decision: a source may veto parking. */
START_TEST(a_loop_with_a_source_parks_only_if_all_allow_it)
{
	struct apus_loop *loop = open_real(APUS_IDLE_PARK, APUS_IO_AUTO);
	struct counted_source mute = { .source.poll = source_poll };
	struct counted_source asked = { .source.poll = source_poll,
		.source.may_park = source_may_park };

	spawn(loop, '\0', 3600 * APUS_SEC, 1);
	apus_source_add(loop, &asked.source);
	apus_source_add(loop, &mute.source);
	asked.may_park = true;
	turns(loop, 20);
	ck_assert_uint_eq(counters(loop).parks, 0);
	apus_source_remove(loop, &mute.source);
	asked.may_park = false;
	turns(loop, 20);
	ck_assert_uint_eq(counters(loop).parks, 0);
	asked.may_park = true;
	spawn(loop, '\0', 10 * APUS_MSEC, 100000); /* what a park ends with */
	while (counters(loop).parks == 0)
		turns(loop, 1);
	loop_close(loop);
}
END_TEST

/* ---- lending a descriptor to park on --------------------------------------- */

/* Reads at most one byte a poll, and says that it was no work; but for what is enough. */
struct lender {
	struct apus_source source;
	int fd;
	uint32_t got, enough;
};

static uint32_t lender_poll(struct apus_cx *cx, struct apus_source *source)
{
	struct lender *self = (struct lender *)source;
	char byte;

	(void)cx;
	if (read(self->fd, &byte, 1) == 1)
		apus_store_release(&self->got, self->got + 1);
	return self->got == self->enough; /* or the turn would park, and nobody comes any more */
}

static struct lender lender_of(int fd, uint32_t enough)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return (struct lender){ .source.poll = lender_poll, .fd = fd, .enough = enough };
}

struct giver {
	struct lender *to;
	int fd;
};

enum { GIFTS = 300 };

/* Each time when the loop is about to park, or has. */
static void *giver_run(void *arg)
{
	struct giver *self = arg;
	uint32_t n;

	for (n = 0; n < GIFTS; n++) {
		while (apus_load_acquire(&self->to->got) != n)
			sched_yield();
		if (n % 3)
			usleep(n % 50);
		ck_assert_int_eq(write(self->fd, "x", 1), 1);
	}
	return NULL;
}

static const enum apus_io_kind park_kinds[] = { APUS_IO_AUTO, APUS_IO_NONE };

START_TEST(a_lent_descriptor_ends_every_park)
{
	struct giver giver;
	struct lender lender;
	pthread_t thread;
	int i, ends[2];

	for (i = 0; i < 2; i++) {
		struct apus_loop *loop = open_real(APUS_IDLE_PARK, park_kinds[i]);

		ck_assert_int_eq(pipe(ends), 0);
		lender = lender_of(ends[0], GIFTS);
		giver = (struct giver){ &lender, ends[1] };
		ck_assert_int_eq(apus_source_add(loop, &lender.source), 0);
		ck_assert_int_eq(apus_source_lend(loop, &lender.source, ends[0]), 0);
		pthread_create(&thread, NULL, giver_run, &giver);
		while (lender.got < GIFTS) /* nothing else ends a park */
			turns(loop, 1);
		pthread_join(thread, NULL);
		ck_assert_uint_gt(counters(loop).parks, 0);
		loop_close(loop);
		close(ends[0]);
		close(ends[1]);
	}
}
END_TEST

/* Not what changed ends the park, but what is so: the source takes a byte each time. */
START_TEST(what_stays_readable_keeps_the_loop_awake)
{
	struct lender lender;
	int i, ends[2];

	for (i = 0; i < 2; i++) {
		struct apus_loop *loop = open_real(APUS_IDLE_PARK, park_kinds[i]);

		ck_assert_int_eq(pipe(ends), 0);
		lender = lender_of(ends[0], 7);
		ck_assert_int_eq(apus_source_add(loop, &lender.source), 0);
		ck_assert_int_eq(write(ends[1], "1234567", 7), 7);
		ck_assert_int_eq(apus_source_lend(loop, &lender.source, ends[0]), 0);
		while (lender.got < 7)
			turns(loop, 1);
		lender.enough = 14;
		ck_assert_int_eq(write(ends[1], "1234567", 7), 7);
		while (lender.got < 14)
			turns(loop, 1);
		loop_close(loop);
		close(ends[0]);
		close(ends[1]);
	}
}
END_TEST

START_TEST(a_lent_descriptor_is_given_back_and_may_be_vetoed)
{
	struct apus_loop *loop = open_real(APUS_IDLE_PARK, APUS_IO_AUTO);
	struct counted_source source = { .source.poll = source_poll }, other = source;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	spawn(loop, '\0', APUS_MSEC, 100000); /* what a park ends with */
	apus_source_add(loop, &source.source);
	ck_assert_int_eq(apus_source_lend(loop, &other.source, ends[0]), -ENOENT);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, 1000000), -EBADF);
	ck_assert_uint_eq(counters(loop).sockets_open, 0);
	turns(loop, 20);
	ck_assert_uint_eq(counters(loop).parks, 0);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, ends[0]), 0);
	ck_assert_uint_eq(counters(loop).sockets_open, 1);
	while (counters(loop).parks == 0)
		turns(loop, 1);
	/* A veto is a veto. */
	source.source.may_park = source_may_park;
	source.may_park = false;
	other.polls = (int)counters(loop).parks;
	turns(loop, 20);
	ck_assert_uint_eq(counters(loop).parks, (unsigned)other.polls);
	source.source.may_park = NULL;
	/* Another one takes its place; -1 takes it back. */
	ck_assert_int_eq(apus_source_lend(loop, &source.source, ends[1]), 0);
	ck_assert_uint_eq(counters(loop).sockets_open, 1);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, -1), 0);
	ck_assert_uint_eq(counters(loop).sockets_open, 0);
	turns(loop, 20);
	ck_assert_uint_eq(counters(loop).parks, (unsigned)other.polls);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, ends[0]), 0);
	ck_assert_int_eq(apus_source_remove(loop, &source.source), 0);
	ck_assert_uint_eq(counters(loop).sockets_open, 0);
	/* And again; the loop's end gives it back, too. */
	ck_assert_int_eq(apus_source_add(loop, &source.source), 0);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, ends[0]), 0);
	loop_close(loop);
	ck_assert_int_ge(fcntl(ends[0], F_GETFD), 0);
	loop = loop_open(0);
	apus_source_add(loop, &source.source);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, ends[0]), -EINVAL); /* virtual */
	loop_close(loop);
}
END_TEST

/* A busy loop pays nothing for a descriptor that it never parks on. */
START_TEST(a_busy_loop_never_asks_the_kernel_about_a_lent_descriptor)
{
	struct apus_loop *loop = open_real(APUS_IDLE_BUSY, APUS_IO_AUTO);
	struct counted_source source = { .source.poll = source_poll };
	uint64_t reaps;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	apus_source_add(loop, &source.source);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, ends[0]), 0);
	reaps = counters(loop).io_reaps;
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	turns(loop, 100);
	ck_assert_uint_eq(counters(loop).io_reaps, reaps);
	loop_close(loop);
}
END_TEST

START_TEST(descriptors_to_park_on_run_out_as_a_value)
{
	struct apus_loop *loop = open_real(APUS_IDLE_PARK, APUS_IO_NONE);
	static struct counted_source sources[64];
	int ends[2], i;

	ck_assert_int_eq(pipe(ends), 0);
	for (i = 0; i < 64; i++) {
		sources[i].source.poll = source_poll;
		apus_source_add(loop, &sources[i].source);
		ck_assert_int_eq(apus_source_lend(loop, &sources[i].source, ends[0]),
			i < 63 ? 0 : -ENOSPC);
	}
	apus_source_remove(loop, &sources[7].source);
	ck_assert_int_eq(apus_source_lend(loop, &sources[63].source, ends[0]), 0);
	loop_close(loop);
}
END_TEST

/* ---- the machine ------------------------------------------------------- */

static int open_machine(struct apus_config *config, struct apus_loop **loop)
{
	config->clock = APUS_CLOCK_AUTO;
	config->log_fn = NULL;
	return apus_open(loop, config);
}

/* P16. */
START_TEST(a_cpu_that_does_not_exist_is_an_error_with_the_reason)
{
	static const int absent[] = { 1023, 1024, INT_MAX };
	cpu_set_t before, after;
	size_t i;

	TEST_LINUX_ONLY();
	sched_getaffinity(0, sizeof before, &before);
	if (CPU_ISSET(1023, &before))
		TEST_SKIP("no CPU is missing");
	for (i = 0; i < 3; i++) {
		struct apus_config config;
		struct apus_loop *loop;

		apus_config_init(&config);
		config.cpu = absent[i];
		ck_assert_int_eq(open_machine(&config, &loop), -EINVAL);
		ck_assert_ptr_nonnull(strstr(config.reason, "cpu"));
		sched_getaffinity(0, sizeof after, &after);
		ck_assert(CPU_EQUAL(&before, &after));
	}
}
END_TEST

/* The README's `taskset -c N`: without the option the affinity is what was inherited. */
START_TEST(affinity_is_kept_without_the_option_and_restored_with_it)
{
	TEST_LINUX_ONLY();
	cpu_set_t before, during, after;
	struct apus_config config;
	struct apus_loop *loop;
	int cpu = 0;

	sched_getaffinity(0, sizeof before, &before);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	apus_config_init(&config);
	ck_assert_int_eq(open_machine(&config, &loop), 0);
	sched_getaffinity(0, sizeof during, &during);
	ck_assert(CPU_EQUAL(&before, &during));
	loop_close(loop);
	config.cpu = cpu;
	ck_assert_int_eq(open_machine(&config, &loop), 0);
	sched_getaffinity(0, sizeof during, &during);
	ck_assert_int_eq(CPU_COUNT(&during), 1);
	ck_assert(CPU_ISSET(cpu, &during));
	loop_close(loop);
	sched_getaffinity(0, sizeof after, &after);
	ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

static long throttled_us(void)
{
	FILE *file = fopen("/proc/sys/kernel/sched_rt_runtime_us", "r");
	long us = -1;

	if (file == NULL)
		return -1;
	if (fscanf(file, "%ld", &us) != 1)
		us = -1;
	fclose(file);
	return us;
}

/* Decision "SCHED_FIFO for a busy loop under throttling". */
START_TEST(fifo_is_refused_to_a_busy_loop_under_throttling_unless_forced)
{
	struct apus_config config;
	struct apus_loop *loop;

	TEST_LINUX_ONLY();
	if (throttled_us() < 0)
		TEST_SKIP("real-time tasks are not throttled here");
	apus_config_init(&config);
	config.fifo_priority = 1;
	ck_assert_int_eq(open_machine(&config, &loop), -EBUSY);
	ck_assert_ptr_nonnull(strstr(config.reason, "throttling"));
	config.fifo_force = true;
	if (open_machine(&config, &loop) != 0) {
		ck_assert_ptr_nonnull(strstr(config.reason, "SCHED_FIFO"));
		ck_assert_int_eq(sched_getscheduler(0), SCHED_OTHER);
		TEST_SKIP("not allowed: %s", config.reason);
	}
	ck_assert_int_eq(sched_getscheduler(0), SCHED_FIFO);
	loop_close(loop);
	ck_assert_int_eq(sched_getscheduler(0), SCHED_OTHER);
}
END_TEST

START_TEST(memory_is_locked_or_the_reason_is_given)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.lock_memory = true;
	err = open_machine(&config, &loop);
	if (err != 0) {
		ck_assert_msg(strstr(config.reason, "lock") != NULL, "%d: %s", err, config.reason);
		TEST_SKIP("not allowed: %s", config.reason);
	}
	loop_close(loop);
	munlockall();
}
END_TEST

START_TEST(a_latency_that_cannot_be_held_is_an_error_with_the_reason)
{
	struct apus_config config;
	struct apus_loop *loop;

	TEST_LINUX_ONLY();
	apus_config_init(&config);
	config.hold_latency = true;
	if (open_machine(&config, &loop) != 0) {
		ck_assert_ptr_nonnull(strstr(config.reason, "/dev/cpu_dma_latency"));
		TEST_SKIP("%s", config.reason);
	}
	ck_assert_int_ge(loop->machine.latency_fd, 0);
	loop_close(loop);
}
END_TEST

START_TEST(describe_tells_what_the_loop_runs_on)
{
	static const char *const lines[] = { "cpu ", "isolation ", "clock ", "scheduling ",
		"throttling", "memory ", "idle ", "backend " };
	struct apus_loop *loop = loop_open(0);
	char text[2048], shortened[10];
	size_t bytes = apus_loop_describe(loop, text, sizeof text), i;

	TEST_LINUX_ONLY();
	ck_assert_uint_eq(bytes, strlen(text));
	for (i = 0; i < sizeof lines / sizeof *lines; i++)
		ck_assert_msg(strstr(text, lines[i]) != NULL, "%s: %s", lines[i], text);
	ck_assert_uint_eq(apus_loop_describe(loop, shortened, sizeof shortened), bytes);
	ck_assert_uint_eq(strlen(shortened), 9);
	ck_assert_uint_eq(apus_loop_describe(loop, NULL, 0), bytes);
	loop_close(loop);
}
END_TEST

/* ---- other threads ----------------------------------------------------- */

struct outside {
	struct apus_loop *loop;
	struct apus_join join;
};

static void *call_from_outside(void *arg)
{
	struct outside *outside = (struct outside *)arg;
	struct apus_loop *loop = outside->loop;
	struct counted_source source = { .source.poll = source_poll };

	ck_assert_int_eq((int)apus_run(loop, sleeps, NULL), -EPERM);
	ck_assert_int_eq(apus_drain(loop, 0, NULL), -EPERM);
	ck_assert_int_eq(apus_close(loop, NULL), -EPERM);
	ck_assert_int_eq(apus_source_add(loop, &source.source), -EPERM);
	ck_assert_int_eq(apus_source_remove(loop, &source.source), -EPERM);
	ck_assert_int_eq(apus_source_lend(loop, &source.source, 0), -EPERM);
	ck_assert_int_eq(apus_set_idle(loop, APUS_IDLE_BUSY), -EPERM);
	ck_assert_int_eq(apus_abort(loop, outside->join), -EPERM);
	ck_assert_int_eq(apus_detach(loop, outside->join), -EPERM);
	ck_assert_int_eq(apus_try_join(loop, outside->join, NULL), -EPERM);
	ck_assert_int_eq(apus_join_is_finished(loop, outside->join), -EPERM);
	ck_assert_ptr_null(apus_join_state(loop, outside->join));
	ck_assert_int_eq(apus_spawn_boxed(loop, sleeps, NULL, NULL), -EPERM);
#if APUS_DEBUG
	ck_assert_int_eq(apus_spawn_slab(loop, sleeps, NULL, NULL), -EPERM);
#endif
	return NULL;
}

/* Decision "foreign thread". */
START_TEST(cold_calls_from_another_thread_are_eperm)
{
	struct apus_loop *loop = loop_open(_i);
	struct outside outside = { loop, { NULL, 0, 0 } };
	pthread_t thread;

	apus_spawn_slab(loop, deaf, (&(struct some){ .name = 'd' }), &outside.join);
	turns(loop, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, call_from_outside, &outside), 0);
	pthread_join(thread, NULL);
	turns(loop, 2);
	expect_notes("");
	loop_close(loop);
	expect_notes("d! ");
}
END_TEST

LOOP_TEST_MAIN("loop",
	a_wrong_configuration_names_its_field,
	a_thread_has_one_loop_and_a_process_many,
	another_abi_or_debug_flag_is_eproto_and_says_so,
	a_virtual_clock_refuses_real_descriptors,
	run_answers_the_roots_result_and_may_be_called_again,
	run_drain_and_close_from_inside_a_turn_are_edeadlk,
	close_from_a_cleanup_of_close_is_edeadlk,
	a_turn_inside_a_turn_panics,
	a_virtual_loop_that_can_never_go_on_answers_edeadlk,
	stop_cancels_the_root_token_and_refuses_what_comes_later,
	stop_touches_nothing_that_a_signal_may_have_interrupted,
	a_root_that_does_not_end_is_aborted_when_the_grace_is_over,
	stop_from_another_thread_ends_every_kind_of_idling,
	stop_from_a_signal_handler_ends_a_park,
	drain_runs_what_is_left_or_names_it,
	draining_nothing_does_not_park,
	close_ends_every_task_and_its_counters_survive,
	signals_wake_every_waiter_and_are_given_back,
	a_signal_stops_every_loop_that_takes_it,
	a_second_signal_aborts_and_a_third_takes_its_default_action,
	a_second_signal_ends_a_drain,
	a_turn_is_idle_exactly_when_it_did_nothing,
	a_hot_retry_that_found_nothing_is_no_work,
	descriptors_are_served_while_tasks_fill_the_budget,
	parking_counts_nanoseconds,
	the_idle_strategy_can_be_switched_while_it_runs,
	an_idle_virtual_loop_jumps_to_the_next_deadline,
	the_same_program_makes_the_same_steps_every_time,
	the_turns_time_is_read_anew_each_turn_also_under_load,
	the_quota_bounds_a_tasks_phase,
	a_long_turn_is_counted_as_a_stall,
	a_stall_names_the_kinds_of_its_own_turn,
	a_stall_is_told_once_and_in_the_middle_of_its_turn,
	the_time_between_two_runs_is_no_stall,
	the_stall_hook_may_abort_the_task_that_stalls,
	the_worst_poll_of_each_kind_is_kept,
	sources_are_polled_every_turn_and_may_leave_from_inside,
	a_source_may_remove_the_one_behind_it,
	a_loop_with_a_source_parks_only_if_all_allow_it,
	a_lent_descriptor_ends_every_park, what_stays_readable_keeps_the_loop_awake,
	a_lent_descriptor_is_given_back_and_may_be_vetoed,
	a_busy_loop_never_asks_the_kernel_about_a_lent_descriptor,
	descriptors_to_park_on_run_out_as_a_value,
	a_cpu_that_does_not_exist_is_an_error_with_the_reason,
	affinity_is_kept_without_the_option_and_restored_with_it,
	fifo_is_refused_to_a_busy_loop_under_throttling_unless_forced,
	memory_is_locked_or_the_reason_is_given,
	a_latency_that_cannot_be_held_is_an_error_with_the_reason,
	describe_tells_what_the_loop_runs_on,
	cold_calls_from_another_thread_are_eperm)
