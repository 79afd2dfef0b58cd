/*
 * test_io_libev.c - what is libev's alone: levels made into edges, budgets, and that it
 * leaves the process alone.  The other tests of io, net and loop run over it as well.
 */
#define _GNU_SOURCE
#include "sockets.h"

static void libev(struct apus_config *config)
{
	config->backend = APUS_IO_LIBEV;
}

static void libev_parked(struct apus_config *config)
{
	config->backend = APUS_IO_LIBEV;
	config->idle = APUS_IDLE_PARK;
}

static void libev_small_budget(struct apus_config *config)
{
	config->backend = APUS_IO_LIBEV;
	config->io_budget = 1;
}

static void sleep_for(int64_t ns)
{
	ck_assert_int_eq(apus_run(main_loop, doze, (&(struct doze){ .ns = ns })), 0);
}

/* Turns that a parked loop makes through a sleep in which nothing is to be done. */
static uint64_t turns_asleep(void)
{
	struct apus_counters before, after;

	sleep_for(APUS_MSEC); /* what was to be told is told */
	apus_counters_read(main_loop, &before);
	sleep_for(50 * APUS_MSEC);
	apus_counters_read(main_loop, &after);
	return after.turns - before.turns;
}

/* ---- levels and edges --------------------------------------------------------------- */

/* P11, with bytes and with a hangup: each is told once, and then costs nothing. */
START_TEST(what_nobody_reads_does_not_keep_a_parked_loop_awake)
{
	struct apus_tcp left, right, tcp;
	struct apus_fd fd;
	int ends[2], theirs;

	loop_open_with(libev_parked);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_OWNED, &fd), 0);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_uint_le(turns_asleep(), 20);
	close(ends[1]);
	ck_assert_uint_le(turns_asleep(), 20);
	ck_assert_int_eq(apus_unix_pair(main_loop, &left, &right), 0);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, left, "x", 1), 1);
	tcp = pair_open(&theirs);
	raw_write(theirs, "x", 1);
	close(theirs);
	ck_assert_uint_le(turns_asleep(), 20);
	ck_assert_int_eq(apus_tcp_close(main_loop, tcp), 0);
	loop_close();
}
END_TEST

/* A writer that waits has its descriptor watched for reading too, and there is something. */
START_TEST(a_writer_waits_asleep_beside_bytes_that_nobody_reads)
{
	static char block[4 << 20];
	struct call call = { .poll = tcp_write_all, .data = block, .bytes = sizeof block };
	struct apus_tcp other;

	loop_open_with(libev_parked);
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "unread", 6), 6);
	call_start(&call);
	ck_assert_uint_le(turns_asleep(), 20);
	ck_assert(!call.is_done);
	while (apus_tcp_try_read(main_loop, other, block, sizeof block / 8) > 0 || !call.is_done)
		sleep_for(APUS_USEC);
	ck_assert_int_eq(call.answer, sizeof block);
	ck_assert_int_eq(apus_tcp_try_read(main_loop, call.tcp, block, 100), 6);
	loop_close();
}
END_TEST

/* Each direction is told for itself: one that was served must not silence the other. */
START_TEST(a_busy_loop_serves_a_writer_whose_reader_was_told)
{
	static char block[4 << 20];
	struct call call = { .poll = tcp_write_all, .data = block, .bytes = sizeof block };
	struct apus_tcp other;

	loop_open_with(libev);
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	call_start_pending(&call);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1);
	turns(); /* the reading side is told, and watched no more */
	ck_assert(!apusi_io_is_idle(loop_io()));
	while (!call.is_done) {
		apus_tcp_try_read(main_loop, other, block, sizeof block / 8);
		apus_turn(main_loop);
	}
	ck_assert_int_eq(call.answer, sizeof block);
	turns();
	ck_assert(apusi_io_is_idle(loop_io()));
	loop_close();
}
END_TEST

/* ---- budgets ---------------------------------------------------------------------------- */

struct pump {
	struct apus_frame frame;
	struct apus_tcp tcp;
	int64_t got;
	char bytes[8];
	uint32_t rounds;
};

APUS_TASK(pump, struct pump)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, apus_tcp_read(cx, self->tcp, self->bytes, 1));
		if (self->got <= 0)
			return self->got;
		self->rounds++;
	}
	APUS_END(0);
}

/* [A]: with room for one event a turn, the lowest number does not get them all. */
START_TEST(a_budget_of_one_is_shared_by_all)
{
	enum { PAIRS = 5, ROUNDS = 300 };
	struct apus_tcp far[PAIRS];
	struct pump *pumps[PAIRS];
	uint32_t least = UINT32_MAX, most = 0;
	int i, round;

	loop_open_with(libev_small_budget);
	for (i = 0; i < PAIRS; i++) {
		struct pump pump = { .rounds = 0 };
		struct apus_join join;

		ck_assert_int_eq(apus_unix_pair(main_loop, &pump.tcp, &far[i]), 0);
		ck_assert_int_eq(apus_spawn_slab(main_loop, pump, &pump, &join), 0);
		pumps[i] = apus_task_state(join.task);
	}
	turns();
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < PAIRS; i++) /* all of them are ready, all of the time */
			ck_assert_int_eq(apus_tcp_try_write(main_loop, far[i], "x", 1), 1);
		apus_turn(main_loop);
	}
	for (i = 0; i < PAIRS; i++) {
		least = pumps[i]->rounds < least ? pumps[i]->rounds : least;
		most = pumps[i]->rounds > most ? pumps[i]->rounds : most;
	}
	ck_assert_msg(least > 0 && most - least <= most / 2 + 2, "%u to %u", least, most);
	loop_close();
}
END_TEST

/* What the budget left is an event of a descriptor that is closed before it is handed out. */
START_TEST(an_event_that_waits_for_its_turn_dies_with_its_descriptor)
{
	char byte;
	struct call calls[3];
	struct apus_tcp far[3], next, other;
	int i, closed = -1, done = 0;

	loop_open_with(libev);
	for (i = 0; i < 3; i++) {
		calls[i] = (struct call){ .poll = tcp_read, .data = &byte, .bytes = 1 };
		ck_assert_int_eq(apus_unix_pair(main_loop, &calls[i].tcp, &far[i]), 0);
		call_start_pending(&calls[i]);
	}
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(apus_tcp_try_write(main_loop, far[i], "x", 1), 1);
	ck_assert_uint_eq(apusi_io_reap(loop_io(), 0, 1), 1);
	for (i = 0; i < 3 && closed < 0; i++)
		if ((slot_of(calls[i].tcp.token)->ready & APUSI_IN) == 0)
			closed = i;
	ck_assert_int_ge(closed, 0);
	ck_assert_int_eq(apus_tcp_close(main_loop, calls[closed].tcp), 0);
	ck_assert_int_eq(apus_unix_pair(main_loop, &next, &other), 0);
	ck_assert_uint_eq(apusi_io_reap(loop_io(), 0, 3), 1);
	ck_assert_uint_eq(apusi_io_reap(loop_io(), 0, 3), 0);
	for (i = 0; i < 3; i++) {
		call_finish(&calls[i]);
		done += calls[i].answer == 1;
	}
	ck_assert_int_eq(done, 2);
	ck_assert_int_eq(calls[closed].answer, -EPIPE);
	loop_close();
}
END_TEST

/* ---- descriptors that go ----------------------------------------------------------------- */

/* The lender broke the contract: that is told, once, and nobody spins. */
START_TEST(a_borrowed_number_that_was_closed_is_told)
{
	char byte;
	struct call call = { .poll = fd_read, .data = &byte, .bytes = 1 };
	int ends[2];

	loop_open_with(libev_parked);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_BORROWED, &call.fd), 0);
	call_start(&call);
	apus_turn(main_loop);
	close(ends[0]);
	while (!call.is_done)
		sleep_for(APUS_USEC);
	ck_assert_int_eq(call.answer, -EBADF);
	ck_assert_uint_le(turns_asleep(), 20);
	ck_assert_int_eq(apus_fd_close(main_loop, call.fd), 0);
	close(ends[1]);
	loop_close();
}
END_TEST

/* ---- the process ------------------------------------------------------------------------- */

static int select_calls;

/* Seen by libev, whose calls go through the dynamic linker. */
__attribute__((__visibility__("default"))) int select(int count,
	fd_set *in, fd_set *out, fd_set *error, struct timeval *time)
{
	struct timespec copy = { 0 };

	select_calls++;
	if (time != NULL)
		copy = (struct timespec){ time->tv_sec, time->tv_usec * 1000 };
	return pselect(count, in, out, error, time != NULL ? &copy : NULL, NULL);
}

static void on_child(int number)
{
	(void)number;
}

START_TEST(signals_and_the_environment_are_left_alone)
{
	struct sigaction ours = { .sa_handler = on_child }, after;
	sigset_t before_mask, after_mask;
	int number;

	setenv("LIBEV_FLAGS", "2", 1); /* poll, if libev looked */
	sigaction(SIGCHLD, &ours, NULL);
	sigprocmask(SIG_SETMASK, NULL, &before_mask);
	loop_open_with(libev_parked);
	sigaction(SIGCHLD, NULL, &after);
	ck_assert_ptr_eq(after.sa_handler, on_child);
	sleep_for(APUS_MSEC);
	ck_assert_int_gt(select_calls, 0);
	loop_close();
	sigaction(SIGCHLD, NULL, &after);
	ck_assert_ptr_eq(after.sa_handler, on_child);
	sigprocmask(SIG_SETMASK, NULL, &after_mask);
	for (number = 1; number < 32; number++)
		ck_assert_int_eq(sigismember(&before_mask, number), sigismember(&after_mask, number));
	unsetenv("LIBEV_FLAGS");
}
END_TEST

static void libev_many(struct apus_config *config)
{
	libev_parked(config);
	config->socket_count = 5000;
}

/* P12: a table too large for select is waited for in milliseconds: late, and never early. */
START_TEST(a_large_table_wakes_late_and_not_early)
{
	int64_t began_ns;
	int i;

	loop_open_with(libev_many);
	for (i = 0; i < 20; i++) {
		began_ns = apus_clock_now(main_loop);
		sleep_for(300 * APUS_USEC);
		ck_assert_int_ge(apus_clock_now(main_loop) - began_ns, 300 * APUS_USEC);
	}
	ck_assert_int_eq(select_calls, 0);
	loop_close();
}
END_TEST

static char logged[256];

static void log_keep(void *arg, enum apus_log_level level, const char *text)
{
	(void)arg, (void)level;
	snprintf(logged, sizeof logged, "%s", text);
}

static void auto_logged(struct apus_config *config)
{
	config->log_fn = log_keep;
}

START_TEST(the_environments_choice_is_logged)
{
	setenv("APUS_BACKEND", "libev", 1);
	loop_open_with(auto_logged);
	ck_assert_str_eq(logged, "backend libev, from APUS_BACKEND");
	ck_assert_str_eq(apusi_io_name(loop_io()), "libev");
	loop_close();
	unsetenv("APUS_BACKEND");
}
END_TEST

TEST_MAIN("io_libev",
	what_nobody_reads_does_not_keep_a_parked_loop_awake,
	a_writer_waits_asleep_beside_bytes_that_nobody_reads,
	a_busy_loop_serves_a_writer_whose_reader_was_told,
	a_budget_of_one_is_shared_by_all,
	an_event_that_waits_for_its_turn_dies_with_its_descriptor,
	a_borrowed_number_that_was_closed_is_told,
	signals_and_the_environment_are_left_alone,
	a_large_table_wakes_late_and_not_early,
	the_environments_choice_is_logged)
