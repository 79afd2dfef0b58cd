/*
 * test_nest.c - a loop inside of poll(2), libev and libuv: timers, sockets, other threads, and
 * that the host sleeps while there is nothing to do.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>

#include "apus/channel_spsc.h"
#include "apus/remote.h"
#include "nest.h"
#include "sockets.h"

static const struct nest_host *const hosts[] = { &nest_poll, &nest_libev, &nest_libuv };

enum { HOSTS = sizeof hosts / sizeof *hosts };

/* Opens main_loop, unless this host cannot be had here. */
#define HOST_OR_SKIP(host_)                                                            \
	do {                                                                           \
		if ((host_)->run == NULL)                                              \
			TEST_SKIP("%s is not installed", (host_)->name);               \
		loop_open();                                                           \
		if (apus_loop_fd(main_loop) == -ENOTSUP) {                             \
			loop_close();                                                  \
			TEST_SKIP("the %s backend shows no descriptor", backend());    \
		}                                                                      \
	} while (0)

static const char *backend(void)
{
	const char *name = getenv("APUS_BACKEND");

	return name != NULL ? name : "default";
}

/* ---- what is done when ------------------------------------------------------------- */

static bool is_ended(void *arg)
{
	const struct apus_join *join = arg;

	return apus_join_is_finished(main_loop, *join) != 0;
}

static apus_poll result_of(struct apus_join join)
{
	apus_poll result;

	ck_assert_int_eq(apus_try_join(main_loop, join, &result), 0);
	return result;
}

/* ---- timers -------------------------------------------------------------------------- */

struct nap {
	struct apus_frame frame;
	int64_t ns, began_ns;
	uint32_t count;
};

/* Never early; how late, the host decides. */
APUS_TASK(nap, struct nap)
{
	APUS_BEGIN(cx, self);
	while (self->count-- > 0) {
		self->began_ns = cx->now_ns;
		APUS_WAIT(apus_sleep(cx, self->ns));
		if (apus_clock_now(cx->loop) - self->began_ns < self->ns)
			return -ERANGE;
	}
	APUS_END(7);
}

static struct apus_join nap_start(int64_t ns, uint32_t count)
{
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(main_loop, nap, (&(struct nap){ .ns = ns,
		.count = count }), &join), 0);
	return join;
}

START_TEST(timers_fire_and_the_host_sleeps_between_them)
{
	struct apus_join join;
	uint64_t waits;

	HOST_OR_SKIP(hosts[_i]);
	join = nap_start(3 * APUS_MSEC, 20);
	waits = hosts[_i]->run(main_loop, is_ended, &join);
	ck_assert_int_eq(result_of(join), 7);
	ck_assert_uint_ge(waits, 20);
	ck_assert_uint_le(waits, 20 * 6);
	loop_close();
}
END_TEST

/* A deadline ten years ahead, and none at all, are waits like others. */
START_TEST(far_deadlines_do_not_keep_the_host_awake)
{
	struct apus_join far, join;
	struct apus_fd fd;
	int ends[2];

	HOST_OR_SKIP(hosts[_i]);
	far = nap_start(10 * 365 * 86400 * APUS_SEC, 1);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_OWNED, &fd), 0);
	close(ends[1]); /* P11: bytes and a hangup that nobody reads */
	join = nap_start(50 * APUS_MSEC, 1);
	ck_assert_uint_le(hosts[_i]->run(main_loop, is_ended, &join), 20);
	ck_assert_int_eq(apus_abort(main_loop, far), 1);
	loop_close();
}
END_TEST

/* ---- sockets -------------------------------------------------------------------------- */

struct echo {
	struct apus_frame frame;
	struct apus_tcp tcp;
	char bytes[64];
	int64_t got;
};

APUS_TASK(echo, struct echo)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->got, apus_tcp_read(cx, self->tcp, self->bytes, sizeof self->bytes));
		if (self->got == 0)
			break;
		APUS_TRY(self->got, apus_tcp_write(cx, self->tcp, self->bytes, (size_t)self->got));
	}
	APUS_END(3);
}

enum { ECHOES = 500 };

/* A plain blocking client; now and then it lets the host fall asleep. */
static void *client(void *arg)
{
	int fd = *(int *)arg, i;
	char byte;

	for (i = 0; i < ECHOES; i++) {
		if (i % 50 == 0)
			usleep(2000);
		if (send(fd, "e", 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
			break;
	}
	close(fd);
	return NULL;
}

static void echo_run(const struct nest_host *host, bool hot)
{
	struct echo init = { .got = 0 };
	struct apus_join join;
	pthread_t thread;
	int theirs;

	init.tcp = pair_open(&theirs);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, init.tcp, hot), 0);
	ck_assert_int_eq(apus_spawn_slab(main_loop, echo, &init, &join), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, client, &theirs), 0);
	ck_assert_uint_ge(host->run(main_loop, is_ended, &join), ECHOES / 50);
	ck_assert_int_eq(result_of(join), 3);
	pthread_join(thread, NULL);
}

START_TEST(sockets_wake_the_host)
{
	HOST_OR_SKIP(hosts[_i]);
	echo_run(hosts[_i], false);
	loop_close();
}
END_TEST

/* A hot socket is in no queue of the kernel's until somebody wants to wait. */
START_TEST(hot_sockets_wake_the_host_too)
{
	HOST_OR_SKIP(hosts[_i]);
	echo_run(hosts[_i], true);
	loop_close();
}
END_TEST

/* ---- other threads ----------------------------------------------------------------------- */

APUS_SPSC(numbers, uint64_t, 8)

struct sum {
	struct apus_frame frame;
	struct numbers *numbers;
	uint64_t number, total;
	int64_t err;
};

APUS_TASK(sum, struct sum)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_spsc_recv(cx, self->numbers, &self->number));
		if (self->err == -EPIPE)
			break;
		if (self->err)
			return self->err;
		self->total += self->number;
	}
	APUS_END((apus_poll)self->total);
}

enum { NUMBERS = 20000 };

static void pause_now_and_then(struct test_random *random)
{
	volatile uint64_t left = test_random_below(random, 64) == 0 ?
		test_random_below(random, 30000) : test_random_below(random, 300);

	while (left > 0)
		left--;
}

static void *producer(void *arg)
{
	struct test_random random = test_random_init(42);
	struct numbers *numbers = arg;
	uint64_t i;

	for (i = 1; i <= NUMBERS; i++) {
		pause_now_and_then(&random);
		if (apus_spsc_wait_send(numbers, 60 * APUS_SEC, i) != 0)
			break;
	}
	apus_spsc_close(numbers);
	return NULL;
}

/* A channel rings a bell; a lost one is a hang. */
START_TEST(channels_between_threads_wake_the_host)
{
	static struct numbers numbers;
	struct sum init = { .numbers = &numbers };
	struct apus_join join;
	pthread_t thread;

	HOST_OR_SKIP(hosts[_i]);
	ck_assert_int_eq(apus_spsc_init(&numbers), 0);
	ck_assert_int_eq(apus_spawn_slab(main_loop, sum, &init, &join), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, producer, &numbers), 0);
	hosts[_i]->run(main_loop, is_ended, &join);
	pthread_join(thread, NULL);
	ck_assert_int_eq(result_of(join), (apus_poll)NUMBERS * (NUMBERS + 1) / 2);
	loop_close();
	apus_spsc_deinit(&numbers);
}
END_TEST

static uint32_t spawned;

APUS_TASK(one_more, struct nap)
{
	(void)cx, (void)self;
	spawned++;
	return 0;
}

enum { SPAWNS = 20000 };

static void *spawner(void *arg)
{
	const struct apus_remote *remote = arg;
	struct test_random random = test_random_init(43);
	int i;

	for (i = 0; i < SPAWNS; i++) {
		pause_now_and_then(&random);
		while (apus_remote_spawn(*remote, one_more, NULL, NULL) != 0)
			usleep(100); /* full: back-pressure */
	}
	return NULL;
}

static bool all_spawned(void *arg)
{
	(void)arg;
	return spawned == SPAWNS;
}

/* The inbox, and the last wake of all must not be lost either. */
START_TEST(remote_spawns_wake_the_host)
{
	struct apus_remote remote;
	pthread_t thread;

	HOST_OR_SKIP(hosts[_i]);
	spawned = 0;
	remote = apus_loop_remote(main_loop);
	ck_assert_int_eq(pthread_create(&thread, NULL, spawner, &remote), 0);
	hosts[_i]->run(main_loop, all_spawned, NULL);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(spawned, SPAWNS);
	loop_close();
}
END_TEST

static bool is_stopping(void *arg)
{
	(void)arg;
	return apus_is_stopping(main_loop);
}

static void with_signals(struct apus_config *config)
{
	config->signals = true;
}

static void *terminate(void *arg)
{
	usleep(5000);
	pthread_kill(*(pthread_t *)arg, SIGTERM);
	return NULL;
}

START_TEST(a_signal_wakes_the_host)
{
	pthread_t self = pthread_self(), thread;

	HOST_OR_SKIP(hosts[_i]);
	loop_close();
	loop_open_with(with_signals);
	ck_assert_int_eq(pthread_create(&thread, NULL, terminate, &self), 0);
	ck_assert_uint_le(hosts[_i]->run(main_loop, is_stopping, NULL), 20);
	pthread_join(thread, NULL);
	loop_close();
}
END_TEST

/* ---- the calls ------------------------------------------------------------------------------ */

static bool is_readable(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLIN };

	return poll(&ask, 1, 0) == 1;
}

static apus_poll prepare_inside(struct apus_cx *cx, struct call *call)
{
	(void)call;
	return apus_loop_prepare(cx->loop);
}

START_TEST(prepare_tells_how_long_there_is_nothing_to_do)
{
	struct apus_join join;
	struct call call = { .poll = prepare_inside };

	loop_open();
	turns();
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	ck_assert_int_eq(apus_loop_next_ns(main_loop), APUS_NEVER);
	join = nap_start(3600 * APUS_SEC, 1);
	/* What is ready is work, also where the loop was prepared before. */
	ck_assert_int_eq(apus_loop_prepare(main_loop), 0);
	ck_assert_int_le(apus_loop_next_ns(main_loop), apus_clock_now(main_loop));
	apus_turn(main_loop);
	ck_assert_int_gt(apus_loop_prepare(main_loop), 3500 * APUS_SEC);
	ck_assert_int_le(apus_loop_prepare(main_loop), 3600 * APUS_SEC);
	ck_assert_int_gt(apus_loop_next_ns(main_loop),
		apus_clock_now(main_loop) + 3500 * APUS_SEC);
	ck_assert_int_eq(apus_abort(main_loop, join), 1);
	ck_assert_int_eq(apus_loop_prepare(main_loop), 0); /* a cleanup is due */
	turns();
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	ck_assert_int_eq(call_run(&call), -EDEADLK);
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	loop_close();
}
END_TEST

static bool source_allows;

static uint32_t source_poll(struct apus_cx *cx, struct apus_source *source)
{
	(void)cx, (void)source;
	return 0;
}

static bool source_may_park(struct apus_source *source)
{
	(void)source;
	return source_allows;
}

START_TEST(a_source_vetoes_the_wait)
{
	struct apus_source source = { .poll = source_poll, .may_park = source_may_park };

	loop_open();
	ck_assert_int_eq(apus_source_add(main_loop, &source), 0);
	ck_assert_int_eq(apus_loop_prepare(main_loop), 0);
	source_allows = true;
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	ck_assert_int_eq(apus_source_remove(main_loop, &source), 0);
	loop_close();
}
END_TEST

/* Rung while prepared: readable until the next turn, and no longer. */
START_TEST(the_descriptor_tells_and_is_silent_after_the_turn)
{
	struct apus_remote remote;
	int fd, i;

	loop_open();
	spawned = 0;
	fd = apus_loop_fd(main_loop);
	if (fd == -ENOTSUP) {
		loop_close();
		TEST_SKIP("the %s backend shows no descriptor", backend());
	}
	remote = apus_loop_remote(main_loop);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
		ck_assert(!is_readable(fd));
		ck_assert_int_eq(apus_remote_spawn(remote, one_more, NULL, NULL), 0);
		ck_assert(is_readable(fd));
		ck_assert_int_eq(apus_loop_prepare(main_loop), 0);
		apus_turn(main_loop);
		/* The ring is drained by the turn that follows a prepare. */
		ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
		apus_turn(main_loop);
		ck_assert(!is_readable(fd));
		/* A loop that is not prepared is not rung. */
		ck_assert_int_eq(apus_remote_spawn(remote, one_more, NULL, NULL), 0);
		ck_assert(!is_readable(fd));
		apus_turn(main_loop);
	}
	ck_assert_int_eq(apus_loop_fd(main_loop), fd);
	ck_assert_uint_eq(spawned, 6);
	loop_close();
}
END_TEST

static void no_backend(struct apus_config *config)
{
	config->backend = APUS_IO_NONE;
}

static void virtual_clock(struct apus_config *config)
{
	config->clock = APUS_CLOCK_VIRTUAL;
}

START_TEST(a_loop_without_descriptors_nests_and_a_virtual_clock_does_not)
{
	struct apus_remote remote;

	loop_open_with(no_backend);
	remote = apus_loop_remote(main_loop);
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	ck_assert_int_eq(apus_remote_spawn(remote, one_more, NULL, NULL), 0);
	ck_assert(is_readable(apus_loop_fd(main_loop)));
	apus_turn(main_loop);
	ck_assert(!is_readable(apus_loop_fd(main_loop)));
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	loop_close(); /* prepared: its port goes to the next loop */
	loop_open_with(virtual_clock);
	ck_assert_int_eq(apus_loop_prepare(main_loop), -EINVAL);
	loop_close();
}
END_TEST

static void *calls_from_outside(void *arg)
{
	int *refusals = arg;

	*refusals = (apus_loop_prepare(main_loop) == -EPERM) +
		(apus_loop_fd(main_loop) == -EPERM) + (apus_loop_next_ns(main_loop) == -EPERM);
	return NULL;
}

START_TEST(another_thread_is_refused)
{
	pthread_t thread;
	int refusals = 0;

	loop_open();
	ck_assert_int_eq(pthread_create(&thread, NULL, calls_from_outside, &refusals), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(refusals, 3);
	loop_close();
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const hosted[] = { timers_fire_and_the_host_sleeps_between_them,
		far_deadlines_do_not_keep_the_host_awake, sockets_wake_the_host,
		hot_sockets_wake_the_host_too, channels_between_threads_wake_the_host,
		remote_spawns_wake_the_host, a_signal_wakes_the_host };
	const TTest *const calls[] = { prepare_tells_how_long_there_is_nothing_to_do,
		a_source_vetoes_the_wait, the_descriptor_tells_and_is_silent_after_the_turn,
		a_loop_without_descriptors_nests_and_a_virtual_clock_does_not,
		another_thread_is_refused };
	TCase *all = test_case("nest");
	size_t i;

	for (i = 0; i < sizeof hosted / sizeof *hosted; i++)
		tcase_add_loop_test(all, hosted[i], 0, HOSTS);
	for (i = 0; i < sizeof calls / sizeof *calls; i++)
		tcase_add_test(all, calls[i]);
	return test_run(argc, argv, all);
}
