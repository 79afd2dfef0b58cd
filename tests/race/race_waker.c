/*
 * Wakers against the loop they wake: from threads, from signal handlers, late, and for ever.
 */
#include "race.h"
#include "wait/port.h"

#include <time.h>

/* ---- the inbox ---------------------------------------------------------------------- */

struct letter {
	struct apus_inbox_node node;
	uint64_t number;
	int writer;
};

static struct letter *letter_of(struct apus_inbox_node *node)
{
	return node != NULL ? apus_container_of(node, struct letter, node) : NULL;
}

/* S4: between exchange and link the inbox hides what is behind, but is never empty. */
START_TEST(an_inbox_is_not_empty_while_a_producer_has_not_linked_its_node)
{
	struct apusi_inbox inbox;
	struct letter a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };
	struct apus_inbox_node *before;

	apusi_inbox_init(&inbox);
	ck_assert(apusi_inbox_is_empty(&inbox));
	/* The first half of a push. */
	before = apus_exchange_full(&inbox.head, &a.node);
	ck_assert(!apusi_inbox_is_empty(&inbox));
	ck_assert_ptr_null(apusi_inbox_pop(&inbox));
	apusi_inbox_push(&inbox, &b.node);
	ck_assert_ptr_null(apusi_inbox_pop(&inbox));
	ck_assert(!apusi_inbox_is_empty(&inbox));
	apus_store_release(&before->next, &a.node); /* the second */
	ck_assert_ptr_eq(letter_of(apusi_inbox_pop(&inbox)), &a);
	ck_assert(!apusi_inbox_is_empty(&inbox));
	/* The half push again, behind the last node: the stub ends up behind it. */
	c.node.next = NULL;
	before = apus_exchange_full(&inbox.head, &c.node);
	ck_assert_ptr_null(apusi_inbox_pop(&inbox));
	ck_assert(!apusi_inbox_is_empty(&inbox));
	apus_store_release(&before->next, &c.node);
	ck_assert_ptr_eq(letter_of(apusi_inbox_pop(&inbox)), &b);
	ck_assert_ptr_eq(letter_of(apusi_inbox_pop(&inbox)), &c);
	ck_assert_ptr_null(apusi_inbox_pop(&inbox));
	ck_assert(apusi_inbox_is_empty(&inbox));
}
END_TEST

/* A drain that stops at its budget, or a close, must know that something is left. */
START_TEST(an_inbox_is_empty_only_when_every_node_was_taken)
{
	struct letter letters[5];
	struct apusi_inbox inbox;
	int count, i, taken;

	memset(letters, 0, sizeof letters);
	for (count = 1; count <= 5; count++) {
		apusi_inbox_init(&inbox);
		for (i = 0; i < count; i++)
			apusi_inbox_push(&inbox, &letters[i].node);
		for (taken = 0; taken < count; taken++) {
			ck_assert_msg(!apusi_inbox_is_empty(&inbox), "%d of %d", taken, count);
			ck_assert_ptr_eq(letter_of(apusi_inbox_pop(&inbox)), &letters[taken]);
		}
		ck_assert(apusi_inbox_is_empty(&inbox));
	}
}
END_TEST

enum { WRITERS = 3, LETTERS = 512 };

struct office {
	struct apusi_inbox inbox;
	struct letter letters[WRITERS][LETTERS];
	uint64_t written[WRITERS], read[WRITERS], count;
};

struct writer {
	struct office *office;
	int number;
	pthread_t thread;
};

static void *write_letters(void *arg)
{
	struct writer *writer = arg;
	struct office *office = writer->office;
	struct test_random random = test_random_init((uint64_t)writer->number);
	uint64_t n;

	for (n = 0; n < office->count; n++) {
		struct letter *letter = &office->letters[writer->number][n % LETTERS];

		wait_until(n - apus_load_acquire(&office->read[writer->number]) < LETTERS);
		letter->writer = writer->number;
		letter->number = n;
		apusi_inbox_push(&office->inbox, &letter->node);
		dither(&random);
	}
	return NULL;
}

/* S4, P23: every node once, in order per producer, with the node reused once it was taken. */
START_TEST(an_inbox_hands_over_every_node_once_and_in_order)
{
	static struct office office;
	struct writer writers[WRITERS];
	uint64_t left = 0, wrong = 0;
	struct letter *letter;
	int i;

	office.count = rounds(1e6);
	apusi_inbox_init(&office.inbox);
	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .office = &office, .number = i };
		left += office.count;
		pthread_create(&writers[i].thread, NULL, write_letters, &writers[i]);
	}
	while (left > 0) {
		wait_until((letter = letter_of(apusi_inbox_pop(&office.inbox))) != NULL);
		wrong += letter->number != office.read[letter->writer];
		apus_store_release(&office.read[letter->writer], letter->number + 1);
		left--;
	}
	for (i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	ck_assert_uint_eq(wrong, 0);
	ck_assert(apusi_inbox_is_empty(&office.inbox));
}
END_TEST

/* ---- waking --------------------------------------------------------------------------- */

/* What a thread asks of a task: the task has seen up to `seen` of `asked`. */
struct bell {
	struct apus_waker waker;
	uint64_t asked, seen, polls;
	uint32_t ready, over;
};

struct listener {
	struct apus_frame frame;
	struct bell *bell;
};

static apus_poll bell_rung(struct bell *bell)
{
	uint64_t asked = apus_load_acquire(&bell->asked);

	bell->polls++;
	if (asked == bell->seen)
		return APUS_PENDING;
	apus_store_release(&bell->seen, asked);
	return 0;
}

APUS_TASK(listener, struct listener)
{
	int err;

	APUS_BEGIN(cx, self);
	err = apus_waker(cx, &self->bell->waker);
	if (err)
		return err;
	apus_store_release(&self->bell->ready, 1);
	while (!apus_load_acquire(&self->bell->over))
		APUS_WAIT(bell_rung(self->bell));
	APUS_END(0);
}

static void ring(struct bell *bell)
{
	__atomic_fetch_add(&bell->asked, 1, __ATOMIC_RELEASE);
	apus_wake(bell->waker);
}

static void listen_on(struct host *host, struct bell *bell, struct apus_remote_join *join)
{
	struct listener init = { .bell = bell };

	ck_assert_int_eq(apus_remote_spawn(host->remote, listener, &init, join), 0);
	wait_until(apus_load_acquire(&bell->ready));
}

static void hang_up(struct bell *bell, struct apus_remote_join join)
{
	apus_store_release(&bell->over, 1);
	ring(bell);
	ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, NULL), 0);
	ck_assert_int_eq(apus_wake(bell->waker), -ESTALE);
}

enum { BELLS = 8, RINGERS = 2 };

struct ringer {
	struct bell *bells;
	uint64_t count;
	int number;
	pthread_t thread;
};

static void *ring_bells(void *arg)
{
	struct ringer *ringer = arg;
	struct test_random random = test_random_init((uint64_t)ringer->number);
	uint64_t n;

	for (n = 0; n < ringer->count; n++) {
		ring(&ringer->bells[test_random_below(&random, BELLS)]);
		dither(&random);
	}
	return NULL;
}

static void race_wakes(enum apus_idle idle, uint64_t count)
{
	struct bell bells[BELLS];
	struct apus_remote_join joins[BELLS];
	struct ringer ringers[RINGERS];
	uint64_t cells;
	struct host host;
	int i;

	memset(bells, 0, sizeof bells);
	host_begin(&host, idle);
	cells = cells_made();
	for (i = 0; i < BELLS; i++)
		listen_on(&host, &bells[i], &joins[i]);
	for (i = 0; i < RINGERS; i++) {
		ringers[i] = (struct ringer){ .bells = bells, .count = count, .number = i };
		pthread_create(&ringers[i].thread, NULL, ring_bells, &ringers[i]);
	}
	for (i = 0; i < RINGERS; i++)
		pthread_join(ringers[i].thread, NULL);
	for (i = 0; i < BELLS; i++)
		wait_until(apus_load_acquire(&bells[i].seen) == bells[i].asked);
	for (i = 0; i < BELLS; i++)
		hang_up(&bells[i], joins[i]);
	host_end(&host);
	ck_assert_uint_eq(cells_made(), cells);
	/* A node that was inserted twice would have made the inbox a cycle. */
	for (i = 0; i < BELLS; i++)
		ck_assert_uint_le(bells[i].polls, 2 * bells[i].asked + 8);
}

/* P23, promise 9: wakes against the drain of the inbox. */
START_TEST(a_waker_is_in_the_inbox_once_and_no_wake_is_lost_busy)
{
	race_wakes(APUS_IDLE_BUSY, rounds(1e6));
}
END_TEST

START_TEST(a_waker_is_in_the_inbox_once_and_no_wake_is_lost_parked)
{
	race_wakes(APUS_IDLE_PARK, rounds(2e5));
}
END_TEST

START_TEST(a_waker_is_in_the_inbox_once_and_no_wake_is_lost_backing_off)
{
	race_wakes(APUS_IDLE_BACKOFF, rounds(2e5));
}
END_TEST

/* ---- in the middle of a poll ------------------------------------------------------------ */

struct middle {
	struct apus_waker waker;
	uint64_t in_poll, woken; /* rounds */
	uint64_t polls;
};

struct sleeper {
	struct middle *middle;
	uint64_t count;
};

/* Answers pending although it was woken meanwhile: only another poll brings the next round. */
APUS_TASK(sleeper, struct sleeper)
{
	struct middle *middle = self->middle;

	if (middle->polls == 0 && apus_waker(cx, &middle->waker) != 0)
		return -ENOBUFS;
	if (middle->polls++ == self->count)
		return 0;
	apus_store_release(&middle->in_poll, middle->polls);
	wait_until(apus_load_acquire(&middle->woken) == middle->polls);
	return APUS_PENDING;
}

/* P7: a wake during the poll. */
START_TEST(a_wake_in_the_middle_of_a_poll_runs_the_task_again)
{
	struct middle middle = { .polls = 0 };
	struct sleeper init = { &middle, rounds(20000) };
	struct apus_remote_join join;
	struct host host;
	uint64_t n;

	host_begin(&host, APUS_IDLE_PARK);
	ck_assert_int_eq(apus_remote_spawn(host.remote, sleeper, &init, &join), 0);
	for (n = 1; n <= init.count; n++) {
		wait_until(apus_load_acquire(&middle.in_poll) == n);
		ck_assert_int_eq(apus_wake(middle.waker), 0);
		apus_store_release(&middle.woken, n);
	}
	ck_assert_int_eq(apus_remote_join(join, APUS_NEVER, NULL), 0);
	ck_assert_uint_eq(middle.polls, init.count + 1);
	host_end(&host);
}
END_TEST

/* ---- stale ones ----------------------------------------------------------------------------- */

struct keeper {
	struct apus_waker *waker;
	uint64_t *polls;
	bool ends;
};

APUS_TASK(keeper, struct keeper)
{
	if (self->polls != NULL)
		++*self->polls;
	if (self->waker != NULL && apus_waker(cx, self->waker) != 0)
		return -ENOBUFS;
	return self->ends ? 0 : APUS_PENDING;
}

static struct apus_loop *small_loop(uint32_t waker_count)
{
	struct apus_config config;

	config_virtual(&config, 0);
	config.waker_count = waker_count;
	return loop_open_with(&config);
}

/* Promise 4: after completion, abort, reuse and close, and of zeros. */
START_TEST(a_waker_of_what_is_over_is_stale_and_wakes_nobody)
{
	struct apus_waker zero = { NULL, 0 }, ended = zero, aborted = zero, reused = zero;
	struct apus_loop *loop = small_loop(1);
	uint64_t polls = 0, cells = cells_made();
	struct apus_join join;

	ck_assert_int_eq(apus_wake(zero), -ESTALE);
	ck_assert(apus_waker_is_stale(zero));
	apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &ended, .ends = true }), NULL);
	turns(loop, 1);
	ck_assert_int_eq(apus_wake(ended), -ESTALE);
	apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &aborted }), &join);
	turns(loop, 1);
	ck_assert(!apus_waker_is_stale(aborted));
	ck_assert_int_eq(apus_wake(aborted), 0);
	apus_abort(loop, join);
	turns(loop, 2);
	ck_assert_int_eq(apus_wake(aborted), -ESTALE);
	/* One cell in all: the next task has it, and the old wakers are of another serial. */
	apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &reused, .polls = &polls }), NULL);
	turns(loop, 1);
	ck_assert_ptr_eq(reused.cell, aborted.cell);
	ck_assert_int_eq(apus_wake(ended), -ESTALE);
	ck_assert_int_eq(apus_wake(aborted), -ESTALE);
	turns(loop, 2);
	ck_assert_uint_eq(polls, 1);
	ck_assert_int_eq(apus_wake(reused), 0);
	turns(loop, 2);
	ck_assert_uint_eq(polls, 2);
	loop_close(loop);
	ck_assert_int_eq(apus_wake(reused), -ESTALE);
	ck_assert(apus_waker_is_stale(reused));
	ck_assert_uint_eq(cells_made(), cells);
}
END_TEST

/* A cell that is woken and retired before the inbox is drained is recycled by the drain. */
START_TEST(a_cell_that_retires_in_the_inbox_comes_back_by_it)
{
	struct apus_waker waker = { NULL, 0 }, next = waker;
	struct apus_loop *loop = small_loop(1);
	struct apus_join join;
	int i;

	for (i = 0; i < 100; i++) {
		apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &waker }), &join);
		turns(loop, 1);
		ck_assert_int_eq(apus_wake(waker), 0);
		apus_abort(loop, join);
		if (i % 2 == 0)
			ck_assert_int_eq(apus_wake(waker), 0); /* its cleanup is due: not stale yet */
		ck_assert_int_eq(apus_detach(loop, join), 0);
		turns(loop, 3);
		ck_assert_int_eq(apus_wake(waker), -ESTALE);
	}
	/* Retired by the loop's close, and still in the inbox. */
	apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &waker }), NULL);
	turns(loop, 1);
	ck_assert_int_eq(apus_wake(waker), 0);
	loop_close(loop);
	ck_assert_int_eq(apus_wake(waker), -ESTALE);
	loop = small_loop(1);
	apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &next }), NULL);
	turns(loop, 2);
	ck_assert_ptr_nonnull(next.cell);
	ck_assert_ptr_null(apus_loop_cx(loop)->cells); /* the one cell it asked for, not two */
	loop_close(loop);
}
END_TEST

/* Exhaustion: -ENOBUFS, counted, and over when a task ends. */
START_TEST(wakers_run_out_as_a_value_and_come_back)
{
	struct apus_waker wakers[3] = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	struct apus_loop *loop = small_loop(2);
	struct apus_join joins[3];
	apus_poll result = 0;
	int i;

	for (i = 0; i < 3; i++)
		apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &wakers[i] }), &joins[i]);
	turns(loop, 1);
	ck_assert_int_eq(apus_try_join(loop, joins[2], &result), 0);
	ck_assert_int_eq((int)result, -ENOBUFS);
	ck_assert_uint_eq(counters(loop).refusals, 1);
	apus_abort(loop, joins[0]);
	turns(loop, 2);
	apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &wakers[2] }), &joins[2]);
	turns(loop, 1);
	ck_assert_int_eq(apus_join_is_finished(loop, joins[2]), 0);
	ck_assert_int_eq(apus_wake(wakers[2]), 0);
	loop_close(loop);
}
END_TEST

/* ---- the eventfd -------------------------------------------------------------------------- */

static uint64_t eventfd_take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof count) == (ssize_t)sizeof count ? count : 0;
}

/* S6: however many wakes, a parked loop is written to once; one that is awake, never. */
START_TEST(a_burst_of_wakes_is_one_write)
{
	struct apus_waker wakers[64];
	struct apus_loop *loop = small_loop(64);
	struct apusi_port *port = apus_loop_cx(loop)->port;
	int i;

	for (i = 0; i < 64; i++)
		apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &wakers[i] }), NULL);
	turns(loop, 2);
	eventfd_take(port->wake_fd);
	for (i = 0; i < 64; i++)
		ck_assert_int_eq(apus_wake(wakers[i]), 0);
	ck_assert_uint_eq(eventfd_take(port->wake_fd), 0);
	turns(loop, 2);
	apus_store_relaxed(&port->parked, 1);
	for (i = 0; i < 64; i++)
		ck_assert_int_eq(apus_wake(wakers[i]), 0);
	ck_assert_uint_eq(eventfd_take(port->wake_fd), 1);
	ck_assert_uint_eq(apus_load_relaxed(&port->parked), 0);
	loop_close(loop);
}
END_TEST

/* Until it takes no more: an eventfd by one write, a pipe by many. */
static void wake_fill(const struct apusi_port *port)
{
	const uint64_t full = UINT64_MAX - 1;

	ck_assert_int_eq(write(port->ring_fd, &full, sizeof full), (int)sizeof full);
	if (port->ring_fd != port->wake_fd)
		while (write(port->ring_fd, &full, sizeof full) > 0)
			continue;
}

/* S6: a counter that is full answers EAGAIN, which is no edge: the loop wakes all the same. */
START_TEST(a_full_eventfd_neither_blocks_nor_loses_a_wake)
{
	struct apus_waker waker = { NULL, 0 };
	struct apus_config config;
	struct apus_loop *loop;
	struct apusi_port *port;
	uint64_t polls = 0;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	loop = loop_open_with(&config);
	port = apus_loop_cx(loop)->port;
	apus_spawn_slab(loop, keeper, (&(struct keeper){ .waker = &waker, .polls = &polls }), NULL);
	turns(loop, 1);
	eventfd_take(port->wake_fd);
	wake_fill(port);
	if (apus_loop_cx(loop)->io->kind == APUS_IO_EPOLL)
		turns(loop, 1); /* parks until the fill, and leaves it: the next write is refused */
	apus_store_relaxed(&port->parked, 1);
	errno = 1234;
	ck_assert_int_eq(apus_wake(waker), 0);
	ck_assert_int_eq(errno, 1234);
	turns(loop, 1);
	ck_assert_uint_eq(polls, 2);
	turns(loop, 1); /* parks, and the counter ends that */
	if (APUS_WITH_LINUX) /* a pipe is emptied bit by bit */
		ck_assert_uint_le(eventfd_take(port->wake_fd), 1);
	loop_close(loop);
}
END_TEST

/* ---- signal handlers ------------------------------------------------------------------------ */

static struct bell signal_bell;

static void ring_in_handler(int number)
{
	(void)number;
	ring(&signal_bell);
}

/*
 * From a handler, on the loop's own thread or on another, whatever it interrupted.  Where two
 * spinning threads have a small part of a processor between them each round takes many time
 * slices, and fewer of them have to do.
 */
static void ring_by_signals(pthread_t victim, uint64_t count)
{
	struct test_random random = test_random_init(count);
	time_t end = time(NULL) + TEST_HANG_SECONDS / 5;
	uint64_t n;

	for (n = 0; n < count && time(NULL) < end; n++) {
		uint64_t before = apus_load_acquire(&signal_bell.asked);

		if (test_random_below(&random, 4) == 0)
			pthread_kill(victim, SIGUSR1); /* the next comes inside this, or with it */
		signal_until(victim, SIGUSR1, apus_load_acquire(&signal_bell.asked) != before);
		wait_until(apus_load_acquire(&signal_bell.seen) ==
			   apus_load_acquire(&signal_bell.asked));
	}
}

static void wake_from_handlers(enum apus_idle idle, uint64_t count)
{
	struct apus_remote_join join;
	struct host host;

	memset(&signal_bell, 0, sizeof signal_bell);
	signal(SIGUSR1, ring_in_handler);
	host_begin(&host, idle);
	listen_on(&host, &signal_bell, &join);
	/* TSan keeps signals back until a thread calls libc, which a busy loop never does. */
	if (!TEST_TSAN || idle == APUS_IDLE_PARK)
		ring_by_signals(host.thread, count);
	ring_by_signals(pthread_self(), count);
	hang_up(&signal_bell, join);
	host_end(&host);
}

START_TEST(a_wake_from_a_signal_handler_reaches_a_busy_loop)
{
	wake_from_handlers(APUS_IDLE_BUSY, rounds(5000));
}
END_TEST

START_TEST(a_wake_from_a_signal_handler_reaches_a_parked_loop)
{
	wake_from_handlers(APUS_IDLE_PARK, rounds(5000));
}
END_TEST

TEST_MAIN("waker", an_inbox_is_not_empty_while_a_producer_has_not_linked_its_node,
	an_inbox_is_empty_only_when_every_node_was_taken,
	an_inbox_hands_over_every_node_once_and_in_order,
	a_waker_is_in_the_inbox_once_and_no_wake_is_lost_busy,
	a_waker_is_in_the_inbox_once_and_no_wake_is_lost_parked,
	a_waker_is_in_the_inbox_once_and_no_wake_is_lost_backing_off,
	a_wake_in_the_middle_of_a_poll_runs_the_task_again,
	a_waker_of_what_is_over_is_stale_and_wakes_nobody,
	a_cell_that_retires_in_the_inbox_comes_back_by_it,
	wakers_run_out_as_a_value_and_come_back, a_burst_of_wakes_is_one_write,
	a_full_eventfd_neither_blocks_nor_loses_a_wake,
	a_wake_from_a_signal_handler_reaches_a_busy_loop,
	a_wake_from_a_signal_handler_reaches_a_parked_loop)
