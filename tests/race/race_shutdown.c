/*
 * Ending under fire (S1): loops that open and close while others wake, stop, signal and join;
 * and everything that is used after it is gone.
 */
#include "race.h"
#include "wait/port.h"

/* ---- wakes while loops open and close ---------------------------------------------------- */

enum { WAKERS = 16 };

/* What the threads know: wakers of loops that may have closed since. */
struct fire {
	pthread_mutex_t lock;
	struct apus_waker wakers[WAKERS];
	struct apus_remote remote;
	uint32_t over;
	uint64_t woken, stale;
};

static struct fire fire = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct target {
	struct apus_frame frame;
	uint32_t number;
	uint64_t polls;
};

APUS_TASK(target, struct target)
{
	struct apus_waker waker;

	APUS_BEGIN(cx, self);
	APUS_ASSERT(apus_waker(cx, &waker) == 0);
	pthread_mutex_lock(&fire.lock);
	fire.wakers[self->number] = waker;
	pthread_mutex_unlock(&fire.lock);
	/* Some end by themselves, the others by the loop's close. */
	APUS_WAIT(++self->polls > 3 && self->number % 4 == 0 ? 0 : APUS_PENDING);
	APUS_END(0);
}

static void *fire_away(void *arg)
{
	struct test_random random = test_random_init((uint64_t)(uintptr_t)arg);
	uint64_t stale = 0;

	while (!apus_load_acquire(&fire.over)) {
		uint64_t woken = 0, number = test_random_below(&random, WAKERS);
		struct apus_waker waker;
		struct apus_remote remote;
		int err, i;

		pthread_mutex_lock(&fire.lock);
		waker = fire.wakers[number];
		remote = fire.remote;
		pthread_mutex_unlock(&fire.lock);
		for (i = 0; i < 8; i++) {
			err = apus_wake(waker);
			woken += err == 0;
			stale += err == -ESTALE;
			dither(&random);
		}
		if (number == 0 && test_random_below(&random, 16) == 0)
			(void)apus_remote_cancel(remote, (struct apus_token){ NULL, 0, 0 });
		if (woken != 0)
			apus_add_relaxed(&fire.woken, woken);
	}
	__atomic_fetch_add(&fire.stale, stale, __ATOMIC_RELAXED);
	return NULL;
}

static struct apus_loop *open_under_fire(uint64_t n)
{
	struct apus_config config;
	struct apus_loop *loop;
	uint32_t i;

	apus_config_init(&config);
	config.idle = n % 2 ? APUS_IDLE_PARK : APUS_IDLE_BUSY;
	config.slot_count = WAKERS;
	config.waker_count = WAKERS;
	config.stall_ns = 3600 * APUS_SEC;
	loop = loop_open_with(&config);
	pthread_mutex_lock(&fire.lock);
	fire.remote = apus_loop_remote(loop);
	pthread_mutex_unlock(&fire.lock);
	for (i = 0; i < WAKERS; i++)
		apus_spawn_slab(loop, target, (&(struct target){ .number = i }), NULL);
	return loop;
}

/* S1, promise 4: late wakes are harmless; cells and ports are recycled and never pile up. */
START_TEST(loops_open_and_close_under_two_threads_that_wake)
{
	uint64_t n, count = rounds(1000), cells = 0, ports = 0;
	pthread_t threads[2];
	int i;

	if (count < 300)
		count = 300;
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, fire_away, (void *)(uintptr_t)(i + 1));
	for (n = 0; n < count; n++) {
		struct apus_loop *loop = open_under_fire(n);

		/* Never with an empty inbox for sure: a park ends by a wake that is under way. */
		for (i = 0; i < (int)(n % 8) + 1 && counters(loop).tasks_live > WAKERS / 2; i++) {
			apus_set_idle(loop, i == 0 ? APUS_IDLE_BUSY : APUS_IDLE_PAUSE);
			apus_turn(loop);
		}
		/* On a machine that is busy elsewhere the others may not get to it for long. */
		if (n % 128 == 0)
			wait_until(apus_load_relaxed(&fire.woken) > n / 128);
		loop_close(loop);
		if (n == 20) {
			cells = cells_made();
			ports = ports_made();
		}
	}
	apus_store_release(&fire.over, 1);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("%" PRIu64 " loops, %" PRIu64 " woken, %" PRIu64 " stale\n", count, fire.woken, fire.stale);
	ck_assert_uint_gt(fire.woken, 0);
	ck_assert_uint_gt(fire.stale, 0);
	/* A cell may be in the hands of a wake that is late: of each thread, one. */
	ck_assert_uint_le(cells_made(), cells + 64);
	ck_assert_uint_eq(ports_made(), ports);
	ck_assert_uint_le(ports, 2);
}
END_TEST

/* A wake that stood between its two steps while its loop closed: the next one takes it. */
START_TEST(a_wake_that_is_late_is_recycled_by_the_next_loop_that_has_the_port)
{
	struct apus_waker waker;
	struct apus_loop *loop;
	struct apusi_port *port;
	struct apus_inbox_node *node;
	uint64_t cells;
	int i;

	fire.over = 0;
	loop = open_under_fire(0);
	turns(loop, 1);
	port = apus_loop_cx(loop)->port;
	cells = cells_made();
	for (i = 0; i < 20; i++) {
		struct apus_loop *next;
		uint64_t queued = 1;

		waker = fire.wakers[1];
		/* The first step of apus_wake: the cell is ours now. */
		node = (struct apus_inbox_node *)(void *)waker.cell;
		queued = __atomic_fetch_or((uint64_t *)(void *)(node + 1), queued, __ATOMIC_ACQ_REL);
		ck_assert_uint_eq(queued, waker.serial << 1);
		loop_close(loop);
		ck_assert_int_eq(apus_wake(waker), -ESTALE);
		if (i % 2)
			apusi_port_push(port, node); /* the second, to a port that has no loop */
		next = open_under_fire(1);
		ck_assert_ptr_eq(apus_loop_cx(next)->port, port);
		if (i % 2 == 0)
			apusi_port_push(port, node); /* or to the next loop */
		apus_set_idle(next, APUS_IDLE_BUSY);
		turns(next, 2);
		loop = next;
	}
	loop_close(loop);
	ck_assert_uint_eq(cells_made(), cells);
}
END_TEST

/* ---- stopping from everywhere --------------------------------------------------------------- */

static void *stop_it(void *arg)
{
	struct host *host = arg;
	int i;

	for (i = 0; i < 50; i++)
		if (apus_remote_stop(host->remote) == -ESHUTDOWN)
			return NULL;
	wait_until(apus_remote_stop(host->remote) == -ESHUTDOWN);
	return NULL;
}

START_TEST(many_threads_stop_a_loop_at_once)
{
	uint64_t n, count = rounds(300);

	for (n = 0; n < count; n++) {
		pthread_t threads[3];
		struct host host;
		int i;

		host_begin(&host, (enum apus_idle)(n % 4));
		for (i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, stop_it, &host);
		for (i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		pthread_join(host.thread, NULL);
		ck_assert_int_eq((int)host.result, 0);
	}
}
END_TEST

static struct apus_remote handler_remote;
static uint32_t handled;

static void stop_by_remote(int number)
{
	(void)number;
	apus_remote_stop(handler_remote);
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELEASE);
}

/* From a handler that may have interrupted the loop anywhere, its close included. */
START_TEST(a_remote_stops_its_loop_from_a_signal_handler)
{
	uint64_t n, count = rounds(200);

	signal(SIGUSR1, stop_by_remote);
	for (n = 0; n < count; n++) {
		struct host host;

		host_begin(&host, n % 2 || TEST_TSAN ? APUS_IDLE_PARK : APUS_IDLE_BUSY);
		handler_remote = host.remote;
		apus_store_release(&handled, 0);
		signal_until(n % 4 < 2 ? host.thread : pthread_self(), SIGUSR1,
			apus_load_acquire(&handled));
		pthread_join(host.thread, NULL);
		ck_assert_int_eq((int)host.result, 0);
		raise(SIGUSR1); /* closed: harmless */
	}
}
END_TEST

/* ---- signals ------------------------------------------------------------------------------------ */

struct hup_count {
	uint32_t ready, hups, usrs;
};

struct reloader {
	struct apus_frame frame;
	struct hup_count *count;
	apus_poll number;
	apus_poll which;
};

static const uint64_t reload_set = APUS_SIGNAL(SIGHUP) | APUS_SIGNAL(SIGUSR2);

/* Counts what it awaits, until the loop stops. */
APUS_TASK(reloader, struct reloader)
{
	APUS_BEGIN(cx, self);
	__atomic_fetch_add(&self->count->ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		APUS_AWAIT(self->which, APUS_SELECT(self->number, apus_signal(cx, reload_set),
			apus_cancelled(cx, apus_loop_token(cx->loop))));
		if (self->which == 1)
			break;
		if (self->number == SIGHUP)
			__atomic_fetch_add(&self->count->hups, 1, __ATOMIC_RELEASE);
		else if (self->number == SIGUSR2)
			__atomic_fetch_add(&self->count->usrs, 1, __ATOMIC_RELEASE);
		else
			break;
	}
	APUS_END(self->which == 1 ? 0 : -EBADMSG);
}

static uint32_t old_hups;

static void old_handler(int number)
{
	(void)number;
	__atomic_fetch_add(&old_hups, 1, __ATOMIC_RELEASE);
}

static bool handler_is(int number, void (*handler)(int))
{
	struct sigaction now;

	sigaction(number, NULL, &now);
	return now.sa_handler == handler;
}

/* P6: a set that the user lists, several loops at once, the previous handlers back at the end. */
START_TEST(every_loop_awaits_the_signals_that_it_listed)
{
	enum { LOOPS = 3 };
	struct hup_count count[LOOPS];
	struct host hosts[LOOPS];
	struct apus_remote_join joins[LOOPS];
	uint32_t n, total = (uint32_t)rounds(300);
	int i;

	memset(count, 0, sizeof count);
	signal(SIGHUP, old_handler);
	signal(SIGUSR2, SIG_IGN);
	for (i = 0; i < LOOPS; i++) {
		struct reloader init = { .count = &count[i] };

		host_config(&hosts[i], APUS_IDLE_PARK);
		hosts[i].config.signal_set = reload_set;
		host_start(&hosts[i]);
		ck_assert_int_eq(apus_remote_spawn(hosts[i].remote, reloader, &init, &joins[i]), 0);
		wait_until(apus_load_acquire(&count[i].ready));
	}
	for (n = 1; n <= total; n++) {
		kill(getpid(), SIGHUP);
		for (i = 0; i < LOOPS; i++)
			wait_until(apus_load_acquire(&count[i].hups) == n);
	}
	kill(getpid(), SIGUSR2);
	for (i = 0; i < LOOPS; i++) {
		wait_until(apus_load_acquire(&count[i].usrs) == 1);
		host_end(&hosts[i]);
		ck_assert(handler_is(SIGHUP, old_handler) == (i == LOOPS - 1));
		ck_assert(handler_is(SIGUSR2, SIG_IGN) == (i == LOOPS - 1));
	}
	ck_assert_uint_eq(old_hups, 0);
	raise(SIGHUP);
	ck_assert_uint_eq(old_hups, 1);
	for (i = 0; i < LOOPS; i++) {
		apus_poll result = -1;
		int err = apus_remote_join(joins[i], 0, &result);

		ck_assert(err == -ECANCELED || (err == 0 && result == 0));
	}
}
END_TEST

/* One that came before anybody awaited it is not lost; twice is once; a wrong set is an error. */
START_TEST(a_signal_waits_for_who_awaits_it)
{
	struct hup_count count = { 0, 0, 0 };
	struct apus_config config;
	struct apus_loop *loop;

	signal(SIGHUP, SIG_DFL); /* nohup has it ignored */
	config_virtual(&config, 0);
	config.signal_set = APUS_SIGNAL(SIGHUP) | APUS_SIGNAL(SIGUSR2);
	loop = loop_open_with(&config);
	raise(SIGHUP);
	raise(SIGHUP);
	turns(loop, 1);
	raise(SIGUSR2);
	apus_spawn_slab(loop, reloader, (&(struct reloader){ .count = &count }), NULL);
	turns(loop, 3);
	ck_assert_uint_eq(count.hups, 1);
	ck_assert_uint_eq(count.usrs, 1);
	ck_assert(!apus_is_stopping(loop));
	ck_assert_int_eq((int)apus_signal(apus_loop_cx(loop), APUS_SIGNAL(SIGINT)), -EINVAL);
	ck_assert_int_eq((int)apus_signal(apus_loop_cx(loop), 0), -EINVAL);
	loop_close(loop);
	config.signal_set = APUS_SIGNAL(SIGKILL);
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_ptr_nonnull(strstr(config.reason, "signal_set"));
	ck_assert(handler_is(SIGHUP, SIG_DFL));
}
END_TEST

static void *hold_signals(void *arg)
{
	struct host *host = arg;
	int err = apus_open(&host->loop, &host->config);

	host->result = err;
	apus_store_release(&host->open, 1);
	wait_until(apus_load_acquire(&host->open) == 2);
	if (!err)
		apus_close(host->loop, NULL);
	return NULL;
}

/* Exhaustion: as many loops as the table has rows, and -ENOSPC for the next. */
START_TEST(signals_run_out_of_rows_as_a_value)
{
	enum { TOO_MANY = APUSI_SIGNAL_LOOPS + 1 };
	static struct host hosts[TOO_MANY];
	int i, j;

	signal(SIGINT, old_handler);
	for (i = 0; i < TOO_MANY; i++) {
		host_config(&hosts[i], APUS_IDLE_PARK);
		hosts[i].config.signals = true;
		hosts[i].config.slot_count = 1;
		hosts[i].config.socket_count = 1;
		pthread_create(&hosts[i].thread, NULL, hold_signals, &hosts[i]);
		wait_until(apus_load_acquire(&hosts[i].open) == 1);
		ck_assert_int_eq((int)hosts[i].result, i < APUSI_SIGNAL_LOOPS ? 0 : -ENOSPC);
	}
	ck_assert_ptr_nonnull(strstr(hosts[TOO_MANY - 1].config.reason, "signals"));
	for (j = 0; j < TOO_MANY; j++) {
		apus_store_release(&hosts[j].open, 2);
		pthread_join(hosts[j].thread, NULL);
	}
	ck_assert(handler_is(SIGINT, old_handler));
}
END_TEST

static void *raise_often(void *arg)
{
	uint32_t *over = arg;

	while (!apus_load_acquire(over)) {
		kill(getpid(), SIGHUP); /* to the main thread, mostly */
		raise(SIGHUP);
		sched_yield();
	}
	return NULL;
}

/*
 * P6: a handler that is late must not post to the next loop that has the port, nor put back
 * the previous handler over one that the next loop has installed.
 */
START_TEST(loops_open_and_close_under_signals_and_none_reaches_a_stranger)
{
	uint64_t n, count = rounds(500);
	uint32_t over = 0;
	pthread_t thread;

	signal(SIGHUP, old_handler);
	pthread_create(&thread, NULL, raise_often, &over);
	for (n = 0; n < count; n++) {
		struct apus_config config;
		struct apus_loop *loop;

		config_virtual(&config, 0);
		config.signal_set = n % 2 ? 0 : APUS_SIGNAL(SIGHUP);
		loop = loop_open_with(&config);
		turns(loop, 2);
		ck_assert_int_eq(handler_is(SIGHUP, old_handler), n % 2);
		if (n % 2)
			ck_assert_uint_eq(apus_load_relaxed(&apus_loop_cx(loop)->port->pending), 0);
		loop_close(loop);
	}
	apus_store_release(&over, 1);
	pthread_join(thread, NULL);
	ck_assert(handler_is(SIGHUP, old_handler));
}
END_TEST

static int signalled_child(void)
{
	kill(getpid(), SIGTERM);
	return 1; /* not reached */
}

/* S12: a child inherits the handler, but not what it is for. */
START_TEST(a_forked_child_dies_of_the_signals_that_stop_its_parents_loop)
{
	struct apus_config config;
	struct apus_loop *loop;
	int status;
	pid_t child;

	signal(SIGTERM, SIG_DFL);
	config_virtual(&config, 0);
	config.signals = true;
	loop = loop_open_with(&config);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(signalled_child());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGTERM);
	turns(loop, 1);
	ck_assert(!apus_is_stopping(loop));
	raise(SIGTERM);
	turns(loop, 1);
	ck_assert(apus_is_stopping(loop));
	loop_close(loop);
}
END_TEST

/* ---- virtual clocks ------------------------------------------------------------------------------ */

static void *wake_later(void *arg)
{
	struct apus_waker *waker = arg;

	usleep(2000);
	apus_wake(*waker);
	return NULL;
}

struct patient {
	struct apus_frame frame;
	struct apus_waker *waker;
	pthread_t *thread;
	int wakes;
};

APUS_TASK(patient, struct patient)
{
	APUS_BEGIN(cx, self);
	APUS_ASSERT(apus_waker(cx, self->waker) == 0);
	pthread_create(self->thread, NULL, wake_later, self->waker);
	APUS_WAIT(self->wakes++ > 0 ? 0 : APUS_PENDING);
	APUS_END(7);
}

/* Promise 13: what another thread may still wake is not stuck. */
START_TEST(a_virtual_loop_waits_for_who_has_a_waker)
{
	struct apus_loop *loop = loop_open(0);
	struct apus_waker waker;
	pthread_t thread;

	ck_assert_int_eq((int)apus_run(loop, patient,
		(&(struct patient){ .waker = &waker, .thread = &thread })), 7);
	pthread_join(thread, NULL);
	/* With the task its waker is gone: now nobody can come. */
	ck_assert_int_eq((int)apus_run(loop, host_root, NULL), -EDEADLK);
	loop_close(loop);
}
END_TEST

TEST_MAIN("shutdown", loops_open_and_close_under_two_threads_that_wake,
	a_wake_that_is_late_is_recycled_by_the_next_loop_that_has_the_port,
	many_threads_stop_a_loop_at_once, a_remote_stops_its_loop_from_a_signal_handler,
	every_loop_awaits_the_signals_that_it_listed, a_signal_waits_for_who_awaits_it,
	signals_run_out_of_rows_as_a_value,
	loops_open_and_close_under_signals_and_none_reaches_a_stranger,
	a_forked_child_dies_of_the_signals_that_stop_its_parents_loop,
	a_virtual_loop_waits_for_who_has_a_waker)
