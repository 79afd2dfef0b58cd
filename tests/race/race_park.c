/*
 * Parking against waking (P5), and what else may happen to a loop that sleeps: it is forked
 * (S12) or stopped (S14).
 */
#include "race.h"
#include "wait/port.h"


/* ---- the litmus -------------------------------------------------------------------- */

/*
 * The real turn, the real wakers and the real handshake; in the kernel's place a backend
 * that waits for the write to the eventfd by looking, and knows what it waits for.
 */
struct litmus {
	struct apus_waker waker;
	uint64_t asked;    /* wakes that were begun */
	uint64_t returned; /* ... and are over */
	uint64_t seen, count, parks, sleeps;
	uint64_t rung; /* writes to the eventfd that were read */
	uint32_t ready, lost;
	int wake_fd;
};

static struct litmus litmus;

static bool doorbell(void)
{
	uint64_t one;

	return read(litmus.wake_fd, &one, sizeof one) == (ssize_t)sizeof one;
}

/*
 * Sleeping.  A wake that has returned has either found the loop awake, which then must not be
 * here, or has rung: so with a wake returned that the loop has not seen, the bell has rung.
 */
static uint32_t litmus_reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	unsigned turns_waited = 0;

	(void)io, (void)budget;
	if (timeout_ns == 0)
		return 0;
	litmus.sleeps++;
	for (;;) {
		uint64_t returned = apus_load_acquire(&litmus.returned);

		if (doorbell()) {
			litmus.rung++;
			return 1;
		}
		if (returned > litmus.seen) {
			/* The bell may have rung after we looked and before we read `returned`. */
			litmus.lost += !doorbell();
			return 1;
		}
		if (++turns_waited % 64 == 0)
			sched_yield();
	}
}

static void litmus_close(struct apus_io *io)
{
	(void)io;
}

static int litmus_set_wake(struct apus_io *io, int fd)
{
	(void)io, (void)fd;
	return 0;
}

static const struct apusi_backend litmus_backend = {
	.name = "litmus",
	.reap = litmus_reap,
	.close = litmus_close,
	.set_wake = litmus_set_wake,
};

static apus_poll litmus_look(void)
{
	uint64_t asked = apus_load_acquire(&litmus.asked);

	if (asked == litmus.seen)
		return APUS_PENDING;
	apus_store_release(&litmus.seen, asked);
	return 0;
}

struct subject {
	struct apus_frame frame;
};

APUS_TASK(subject, struct subject)
{
	APUS_BEGIN(cx, self);
	APUS_ASSERT(apus_waker(cx, &litmus.waker) == 0);
	apus_store_release(&litmus.ready, 1);
	while (litmus.seen < litmus.count)
		APUS_WAIT(litmus_look());
	APUS_END(0);
}

/* So that it is about to park when it is woken; but where we share a processor, not for long. */
static void litmus_give_time(uint64_t n)
{
	int looks;

	for (looks = 0; looks < 500 && apus_load_acquire(&litmus.seen) != n; looks++)
		;
}

static void *litmus_wake(void *arg)
{
	struct test_random random = test_random_init((uint64_t)(uintptr_t)arg);
	uint64_t n;

	wait_until(apus_load_acquire(&litmus.ready));
	for (n = 1; n <= litmus.count; n++) {
		apus_store_release(&litmus.asked, n);
		apus_wake(litmus.waker);
		apus_store_release(&litmus.returned, n);
		litmus_give_time(n);
		dither(&random);
	}
	return NULL;
}

/* P5, promise 9: 10^7 rounds of the handshake, none lost. */
START_TEST(no_wake_is_lost_between_parking_and_waking)
{
	struct apus_config config;
	struct apus_loop *loop;
	pthread_t thread;

	memset(&litmus, 0, sizeof litmus);
	litmus.count = rounds(1e7);
	apus_config_init(&config);
	config.backend = APUS_IO_NONE;
	config.idle = APUS_IDLE_PARK;
	loop = loop_open_with(&config);
	litmus.wake_fd = apus_loop_cx(loop)->port->wake_fd;
	apus_loop_cx(loop)->io->backend = &litmus_backend;
	ck_assert_int_eq(pthread_create(&thread, NULL, litmus_wake, &litmus), 0);
	ck_assert_int_eq((int)apus_run(loop, subject, NULL), 0);
	pthread_join(thread, NULL);
	printf("%" PRIu64 " wakes, %" PRIu64 " parks, %" PRIu64 " sleeps, %" PRIu64 " rung\n",
		litmus.count, counters(loop).parks, litmus.sleeps, litmus.rung);
	loop_close(loop);
	ck_assert_uint_eq(litmus.lost, 0);
	ck_assert_uint_gt(litmus.sleeps, 0);
}
END_TEST

/* ---- two loops that wake each other ---------------------------------------------------- */

struct side {
	struct apus_waker waker;
	uint64_t turn; /* rounds that this side may begin */
	uint32_t ready;
};

struct player {
	struct apus_frame frame;
	struct side *own, *other;
	const uint64_t *count;
	uint64_t done, ahead; /* ahead: whom we wake begins the next round */
};

static apus_poll my_turn(struct player *self)
{
	return apus_load_acquire(&self->own->turn) > self->done ? 0 : APUS_PENDING;
}

APUS_TASK(player, struct player)
{
	APUS_BEGIN(cx, self);
	APUS_ASSERT(apus_waker(cx, &self->own->waker) == 0);
	apus_store_release(&self->own->ready, 1);
	while (self->done < apus_load_relaxed(self->count)) {
		APUS_WAIT(my_turn(self));
		self->done++;
		apus_store_release(&self->other->turn, self->done + self->ahead);
		apus_wake(self->other->waker);
	}
	APUS_END(0);
}

enum { LOOK_SECONDS = 5, LOOKS = 4 };

/*
 * Waits until the last round is over; on a loaded machine, where each wake takes as long as
 * the scheduler likes, for a while only.  False: nothing moved any more.
 */
static bool rounds_go_on(const struct side *side, struct apus_remote_join join)
{
	uint64_t before, now = 0;
	int looks = 0, err;

	do {
		before = now;
		err = apus_remote_join(join, LOOK_SECONDS * APUS_SEC, NULL);
		now = apus_load_acquire(&side->turn);
	} while (err == -ETIME && now != before &&
		 (++looks < LOOKS || getenv("APUS_RACE_SCALE") != NULL));
	return err == 0 || now != before;
}

static void ping_pong(enum apus_io_kind backend, uint64_t count)
{
	struct side sides[2];
	struct apus_remote_join joins[2];
	struct host hosts[2];
	uint64_t parks = 0, played;
	bool moves;
	int i;

	memset(sides, 0, sizeof sides);
	for (i = 0; i < 2; i++) {
		struct player init = { .own = &sides[i], .other = &sides[!i], .count = &count,
			.ahead = i == 1 };

		host_config(&hosts[i], APUS_IDLE_PARK);
		hosts[i].config.backend = backend;
		host_start(&hosts[i]);
		apus_remote_spawn(hosts[i].remote, player, &init, &joins[i]);
	}
	for (i = 0; i < 2; i++)
		wait_until(apus_load_acquire(&sides[i].ready));
	apus_store_release(&sides[0].turn, 1);
	apus_wake(sides[0].waker);
	/* The second answers the last round of the first. */
	moves = rounds_go_on(&sides[1], joins[1]);
	played = apus_load_acquire(&sides[1].turn);
	apus_store_relaxed(&count, 0);
	for (i = 0; i < 2; i++) {
		apus_store_release(&sides[i].turn, UINT64_MAX);
		apus_wake(sides[i].waker);
		apus_remote_join(joins[i], APUS_NEVER, NULL);
	}
	for (i = 0; i < 2; i++) {
		host_end(&hosts[i]);
		parks += hosts[i].final.parks;
	}
	printf("%" PRIu64 " rounds, %" PRIu64 " parks\n", played, parks);
	ck_assert(moves);
	ck_assert_uint_gt(parks, played / 2);
}

/* P5, with real parks: 10^5 of them, on either way to sleep. */
START_TEST(two_parked_loops_never_miss_each_others_wakes_on_epoll)
{
	ping_pong(APUS_IO_AUTO, rounds(5e4));
}
END_TEST

START_TEST(two_parked_loops_never_miss_each_others_wakes_without_descriptors)
{
	ping_pong(APUS_IO_NONE, rounds(5e4));
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------ */

static int thread_count(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	int count = -1;

	while (file != NULL && count < 0 && fgets(line, sizeof line, file) != NULL)
		sscanf(line, "Threads: %d", &count);
	if (file != NULL)
		fclose(file);
	return count;
}

/* P14: a loop has the thread that opened it, and no other. */
START_TEST(no_loop_has_a_hidden_thread)
{
	int before = thread_count(), i;
	struct host hosts[3];

	if (before < 0)
		TEST_SKIP("no /proc/self/status");
	if (TEST_TSAN)
		TEST_SKIP("no count: the sanitizer has threads of its own");
	for (i = 0; i < 3; i++) {
		host_config(&hosts[i], APUS_IDLE_PARK);
		hosts[i].config.signals = true;
		host_start(&hosts[i]);
		ck_assert_int_eq(thread_count(), before + 1 + i);
	}
	for (i = 0; i < 3; i++)
		host_end(&hosts[i]);
}
END_TEST

/* ---- fork (S12) ----------------------------------------------------------------------------- */

struct inherited {
	struct apus_loop *loop;
	struct apus_waker waker;
	struct apus_remote remote;
	struct apus_remote_join join, own;
	struct apus_remote_task node;
	uint64_t polls;
};

struct waits_for_ever {
	struct inherited *inherited;
};

APUS_TASK(waits_for_ever, struct waits_for_ever)
{
	if (self->inherited->waker.cell == NULL && apus_waker(cx, &self->inherited->waker) != 0)
		return -ENOBUFS;
	self->inherited->polls++;
	return APUS_PENDING;
}

static void inherited_open(struct inherited *inherited)
{
	struct waits_for_ever init = { inherited };
	struct apus_config config;

	memset(inherited, 0, sizeof *inherited);
	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	config.signals = true;
	inherited->loop = loop_open_with(&config);
	inherited->remote = apus_loop_remote(inherited->loop);
	apus_remote_spawn(inherited->remote, waits_for_ever, &init, &inherited->join);
	apus_remote_spawn_in(inherited->remote, waits_for_ever, &inherited->node, &init,
		&inherited->own);
	turns(inherited->loop, 1);
	/* As if the fork had met it asleep. */
	apus_store_relaxed(&apus_loop_cx(inherited->loop)->port->parked, 1);
}

static int eventfd_is_readable(struct apus_loop *loop)
{
	uint64_t count;

	return read(apus_loop_cx(loop)->port->wake_fd, &count, sizeof count) > 0;
}

static bool own_loop_works(void)
{
	struct apus_loop *loop;
	struct inherited mine;
	bool works;

	memset(&mine, 0, sizeof mine);
	if (apus_open(&loop, NULL) != 0)
		return false;
	mine.loop = loop;
	apus_spawn_slab(loop, waits_for_ever, (&(struct waits_for_ever){ &mine }), NULL);
	apus_turn(loop);
	works = mine.polls == 1 && apus_wake(mine.waker) == 0 && apus_turn(loop) > 0 &&
		mine.polls == 2;
	return apus_close(loop, NULL) == 0 && works;
}

/* The number of the first thing that is wrong in the child, or 0. */
static int child_tries(struct inherited *inherited)
{
	struct apus_counters counters;
	struct apus_join local;
	struct apus_token token = apus_loop_token(inherited->loop);

	if (apus_wake(inherited->waker) != -ESTALE || !apus_waker_is_stale(inherited->waker))
		return 1;
	if (apus_remote_stop(inherited->remote) != -ESHUTDOWN)
		return 2;
	if (apus_remote_cancel(inherited->remote, token) != -ESHUTDOWN)
		return 3;
	if (apus_remote_counters(inherited->remote, 0, &counters) != -ESHUTDOWN)
		return 4;
	if (apus_remote_spawn(inherited->remote, waits_for_ever, NULL, NULL) != -ESHUTDOWN)
		return 5;
	if (apus_remote_join(inherited->join, APUS_NEVER, NULL) != -ESTALE)
		return 6;
	if (apus_remote_join(inherited->own, APUS_NEVER, NULL) != -ESTALE)
		return 7;
	if (apus_remote_abort(inherited->join) != -ESTALE || apus_remote_abort(inherited->own) < -ESTALE)
		return 8;
	if (apus_run(inherited->loop, host_root, NULL) != -EPERM)
		return 9;
	if (apus_drain(inherited->loop, 0, NULL) != -EPERM)
		return 10;
	if (apus_close(inherited->loop, NULL) != -EPERM)
		return 11;
	memset(&local, 0, sizeof local);
	if (apus_abort(inherited->loop, local) != -EPERM)
		return 12;
	apus_stop(inherited->loop); /* answers nothing, and must do nothing */
	if (!own_loop_works() || !own_loop_works())
		return 13;
	return 0;
}

static int child_status(pid_t child)
{
	int status = 0;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

/*
 * S12: in the child everything inherited is stale, a loop of its own works, and the parent's
 * descriptors are left alone.
 */
START_TEST(a_forked_child_cannot_reach_its_parents_loop_and_opens_its_own)
{
	struct inherited inherited;
	int status;
	pid_t child;

	inherited_open(&inherited);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(child_tries(&inherited));
	status = child_status(child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert(!eventfd_is_readable(inherited.loop));
	/* The parent has noticed nothing. */
	ck_assert(!apus_is_stopping(inherited.loop));
	apus_store_relaxed(&apus_loop_cx(inherited.loop)->port->parked, 0);
	ck_assert_int_eq(apus_wake(inherited.waker), 0);
	ck_assert_uint_eq(inherited.polls, 2);
	turns(inherited.loop, 1);
	ck_assert_uint_eq(inherited.polls, 3);
	loop_close(inherited.loop);
	ck_assert_int_eq(apus_remote_join(inherited.join, 0, NULL), -ECANCELED);
	ck_assert_int_eq(apus_remote_join(inherited.own, 0, NULL), -ECANCELED);
}
END_TEST

static void turn_it(void *arg)
{
	apus_turn(arg);
}

/* S12: one turn would take events that are the parent's: it panics before. */
START_TEST(a_turn_of_an_inherited_loop_panics_by_name)
{
	struct inherited inherited;

	inherited_open(&inherited);
	test_expect_panic("a loop of the parent's", turn_it, inherited.loop);
	apus_store_relaxed(&apus_loop_cx(inherited.loop)->port->parked, 0);
	loop_close(inherited.loop);
}
END_TEST

/* ---- SIGSTOP (S14) ------------------------------------------------------------------------- */

enum { SLEEPERS = 200, BUDGET = 16 };

struct napper {
	struct apus_frame frame;
	int64_t *woke_ns;
	int64_t ns;
};

APUS_TASK(napper, struct napper)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, self->ns));
	*self->woke_ns = cx->now_ns - self->frame.since_ns - self->ns;
	APUS_END(0);
}

/* The child: what is wrong when it was stopped while its timers came due, or 0. */
static int stopped_child(int ready_fd, int go_fd)
{
	static int64_t late_ns[SLEEPERS];
	struct apus_config config;
	struct apus_counters before, after;
	struct apus_loop *loop;
	int i, turn_count = 0;
	char byte = 0;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	config.timer_budget = BUDGET;
	config.task_budget = BUDGET;
	config.stall_ns = 3600 * APUS_SEC;
	if (apus_open(&loop, &config) != 0)
		return 1;
	for (i = 0; i < SLEEPERS; i++) {
		struct napper init = { .woke_ns = &late_ns[i], .ns = 20 * APUS_MSEC + i };

		late_ns[i] = -1;
		apus_spawn_slab(loop, napper, &init, NULL);
	}
	for (i = 0; i < SLEEPERS / BUDGET + 1; i++)
		apus_turn(loop);
	/* From here to the answer it is stopped, and the timers come due. */
	if (write(ready_fd, &byte, 1) != 1 || read(go_fd, &byte, 1) != 1)
		return 2;
	apus_counters_read(loop, &before);
	if (before.timers_fired != 0)
		return 3;
	for (after = before; after.tasks_live > 0; turn_count++) {
		uint64_t fired = after.timers_fired;

		apus_turn(loop);
		apus_counters_read(loop, &after);
		if (after.timers_fired - fired > BUDGET)
			return 4;
		/* A timer moves down a few levels before it fires, each under the budget, too. */
		if (turn_count > 6 * (SLEEPERS / BUDGET + 1))
			return 5;
	}
	for (i = 0; i < SLEEPERS; i++)
		if (late_ns[i] < 0)
			return 6;
	apus_close(loop, NULL);
	return 0;
}

/* S14: after a long stop everything catches up, each turn within its budgets, none early. */
START_TEST(a_loop_that_was_stopped_catches_up_in_bounded_turns)
{
	const struct timespec nap = { 0, 300 * 1000 * 1000 };
	int ready[2], go[2], status;
	char byte;
	pid_t child;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(go), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(stopped_child(ready[1], go[0]));
	if (read(ready[0], &byte, 1) != 1)
		ck_abort_msg("the child ended: %#x", (unsigned)child_status(child));
	kill(child, SIGSTOP);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	nanosleep(&nap, NULL);
	kill(child, SIGCONT);
	ck_assert_int_eq(write(go[1], &byte, 1), 1);
	status = child_status(child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* S14: stopped in the middle of a park: it wakes, and goes on with what came meanwhile. */
static int parked_child(int ready_fd)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct napper init = { .ns = 50 * APUS_MSEC };
	int64_t late_ns = -1;
	char byte = 0;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	if (apus_open(&loop, &config) != 0 || write(ready_fd, &byte, 1) != 1)
		return 1;
	init.woke_ns = &late_ns;
	if (apus_run(loop, napper, &init) != 0 || late_ns < 0)
		return 2;
	apus_close(loop, NULL);
	return 0;
}

START_TEST(a_loop_that_was_stopped_in_its_sleep_wakes)
{
	const struct timespec nap = { 0, 100 * 1000 * 1000 };
	int ready[2], status;
	char byte;
	pid_t child;

	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(parked_child(ready[1]));
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	sched_yield();
	kill(child, SIGSTOP);
	nanosleep(&nap, NULL);
	kill(child, SIGCONT);
	status = child_status(child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

TEST_MAIN("park", no_wake_is_lost_between_parking_and_waking,
	two_parked_loops_never_miss_each_others_wakes_on_epoll,
	two_parked_loops_never_miss_each_others_wakes_without_descriptors,
	no_loop_has_a_hidden_thread,
	a_forked_child_cannot_reach_its_parents_loop_and_opens_its_own,
	a_turn_of_an_inherited_loop_panics_by_name,
	a_loop_that_was_stopped_catches_up_in_bounded_turns,
	a_loop_that_was_stopped_in_its_sleep_wakes)
