/*
 * The promises that channels with many readers make, held against each kind: a test file
 * declares CHANNEL(name, type), names the verbs by RD(verb) and READERS(channel), where it has
 * its struct apus_readers, and START(reader, channel), FIRSTS, and includes this.
 */
#include "loop_test.h"
#include "wait/poller.h"

#include <pthread.h>
#include <sched.h>

CHANNEL(numbers, uint64_t)
CHANNEL(narrow, uint32_t)

struct odd {
	char text[13];
};
CHANNEL(odds, struct odd)

static unsigned waiting(struct numbers *numbers)
{
	struct apusi_place *place;
	unsigned count = 0;

	for (place = READERS(numbers)->line.head; place != NULL; place = place->next)
		count++;
	return count;
}

/* ---- without a loop ---------------------------------------------------------- */

/* S4: counting goes on over 2^32 and 2^64. */
START_TEST(each_reader_sees_each_message_also_over_the_wrap)
{
	static const uint64_t firsts[] = FIRSTS;
	static struct numbers numbers;
	struct numbers_reader a, b;
	uint64_t sent, message = 0;
	size_t i;

	for (i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		ck_assert_int_eq(RD(init_at)(&numbers, firsts[i], 0), 0);
		START(&a, &numbers);
		START(&b, &numbers);
		ck_assert_int_eq(RD(try_recv)(&a, &message), -EAGAIN);
		for (sent = 0; sent < 100; sent++) {
			ck_assert_int_eq(RD(publish)(&numbers, sent), 0);
			ck_assert_uint_eq(RD(count)(&numbers), sent + 1);
			ck_assert_int_eq(RD(try_recv)(&a, &message), 0);
			ck_assert_uint_eq(message, sent);
			ck_assert_int_eq(RD(try_recv)(&a, &message), -EAGAIN);
			message = 0;
			ck_assert_int_eq(RD(try_recv)(&b, &message), 0);
			ck_assert_uint_eq(message, sent);
		}
		ck_assert_uint_eq(RD(missed)(&a) + RD(missed)(&b), 0);
		ck_assert_int_eq(RD(deinit)(&numbers), 0);
	}
}
END_TEST

START_TEST(messages_of_any_size_are_copied_whole)
{
	static struct odds odds;
	struct odds_reader reader;
	struct odd odd = { "twelve chars" }, got[2];

	RD(init)(&odds);
	START(&reader, &odds);
	memset(got, 0x7f, sizeof got);
	ck_assert_int_eq(RD(publish)(&odds, odd), 0);
	ck_assert_int_eq(RD(try_recv)(&reader, &got[0]), 0);
	ck_assert_str_eq(got[0].text, "twelve chars");
	/* And nothing behind them. */
	ck_assert_int_eq(got[1].text[0], 0x7f);
	ck_assert_int_eq(RD(deinit)(&odds), 0);
}
END_TEST

/* Promise 11: the last message comes before the end; a refused value is not evaluated. */
START_TEST(a_closed_channel_is_read_and_then_ends)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t message = 0, next = 7;

	RD(init)(&numbers);
	START(&reader, &numbers);
	ck_assert_int_eq(RD(publish)(&numbers, next++), 0);
	ck_assert(!RD(is_closed)(&numbers));
	RD(close)(&numbers);
	RD(close)(&numbers);
	ck_assert(RD(is_closed)(&numbers));
	ck_assert_int_eq(RD(publish)(&numbers, next++), -EPIPE);
	ck_assert_uint_eq(next, 8);
	ck_assert_int_eq(RD(try_recv)(&reader, &message), 0);
	ck_assert_uint_eq(message, 7);
	ck_assert_int_eq(RD(try_recv)(&reader, &message), -EPIPE);
	ck_assert_int_eq(RD(wait_recv)(&reader, APUS_NEVER, &message), -EPIPE);
	START(&reader, &numbers);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	static struct numbers numbers;

	ck_assert_int_eq(RD(init_at)(&numbers, 0, 2), -EINVAL);
	/* Not on a cache line. */
	ck_assert_int_eq(RD(setup)((void *)((char *)&numbers + 8), 192, 2, 8, 0, 0), -EINVAL);
}
END_TEST

/* TARGETS: what the writer writes and what all read lies on different lines. */
START_TEST(what_is_written_and_what_is_only_read_have_lines_of_their_own)
{
	static struct numbers numbers;
	struct apus_readers *readers = READERS(&numbers);

	ck_assert_uint_eq((uintptr_t)readers % 64, 0);
	ck_assert_int_ge((char *)&readers->line - (char *)readers, 64);
	ck_assert_int_ge((char *)WRITTEN(&numbers) - (char *)&readers->line, 64);
	ck_assert_uint_eq((uintptr_t)WRITTEN(&numbers) % 64, 0);
}
END_TEST

/* ---- tasks ------------------------------------------------------------------- */

struct watcher {
	struct apus_frame frame;
	struct numbers *from;
	struct numbers_reader reader;
	const char *name;
	int count;
	int64_t timeout_ns;
	uint64_t message;
	apus_poll err;
};

APUS_TASK(watcher, struct watcher)
{
	APUS_BEGIN(cx, self);
	START(&self->reader, self->from);
	while (self->count-- > 0) {
		APUS_AWAIT(self->err, apus_timeout(cx, self->timeout_ns,
			RD(recv)(cx, &self->reader, &self->message)));
		if (self->err < 0) {
			note("%s!%s ", self->name, self->err == -EPIPE ? "end" :
				self->err == -ENOBUFS ? "none" :
				self->err == -EOVERFLOW ? "lapped" : "time");
			return self->err;
		}
		note("%s%d ", self->name, (int)self->message);
	}
	/* Alive, but no longer waiting. */
	APUS_WAIT(apus_sleep(cx, APUS_SEC));
	APUS_END(0);
}

static struct apus_join watcher_start(struct apus_loop *loop, struct numbers *from,
	const char *name, int count, int64_t timeout_ns)
{
	struct watcher watcher = { .from = from, .name = name, .count = count,
		.timeout_ns = timeout_ns };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, watcher, &watcher, &join), 0);
	turns(loop, 1);
	return join;
}

/* No wake call: the writer publishes, the loop looks. */
START_TEST(a_busy_loop_sees_it_in_its_next_turn_and_is_not_rung)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;

	RD(init)(&numbers);
	watcher_start(loop, &numbers, "a", 2, APUS_NEVER);
	watcher_start(loop, &numbers, "b", 2, APUS_NEVER);
	turns(loop, 5);
	expect_notes("");
	ck_assert_uint_eq(waiting(&numbers), 2);
	ck_assert_uint_eq(READERS(&numbers)->bell, READERS(&numbers)->always);
	RD(publish)(&numbers, 1);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "a1 "));
	ck_assert_ptr_nonnull(strstr(notes, "b1 "));
	RD(publish)(&numbers, 2);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "a2 "));
	ck_assert_ptr_nonnull(strstr(notes, "b2 "));
	ck_assert_uint_eq(waiting(&numbers), 0);
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	loop_close(loop);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

/* Promise 3: what a poll does not renew is gone at its end; so is what an aborted task had. */
START_TEST(a_wait_that_is_over_is_unlinked)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	unsigned nodes = pool_count(loop);
	struct apus_join join;

	RD(init)(&numbers);
	watcher_start(loop, &numbers, "r", 1, APUS_MSEC);
	ck_assert_uint_eq(waiting(&numbers), 1);
	time_pass(loop, APUS_MSEC);
	turns(loop, 1);
	expect_notes("r!time ");
	ck_assert_uint_eq(waiting(&numbers), 0);
	join = watcher_start(loop, &numbers, "r", 1, APUS_SEC);
	ck_assert_int_eq(apus_abort(loop, join), 1);
	ck_assert_uint_eq(waiting(&numbers), 0);
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	turns(loop, 2);
	ck_assert_uint_eq(pool_count(loop), nodes);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
	memset(&numbers, 0xff, sizeof numbers);
	turns(loop, 3);
	loop_close(loop);
}
END_TEST

/* S5. */
START_TEST(closing_wakes_all_who_wait)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;

	RD(init)(&numbers);
	watcher_start(loop, &numbers, "a", 1, APUS_SEC);
	watcher_start(loop, &numbers, "b", 1, APUS_SEC);
	RD(close)(&numbers);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "a!end "));
	ck_assert_ptr_nonnull(strstr(notes, "b!end "));
	loop_close(loop);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

/* Promise 3: afterwards nothing looks at the memory. */
START_TEST(deinit_wakes_the_tasks_of_this_loop_and_the_memory_may_go)
{
	struct apus_loop *loop = loop_open(_i);
	struct numbers *numbers = aligned_alloc(64, sizeof *numbers);

	RD(init)(numbers);
	watcher_start(loop, numbers, "a", 1, APUS_SEC);
	watcher_start(loop, numbers, "b", 1, APUS_SEC);
	ck_assert_int_eq(RD(deinit)(numbers), 0);
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	memset(numbers, 0xff, sizeof *numbers);
	free(numbers);
	turns(loop, 1);
	ck_assert_ptr_nonnull(strstr(notes, "a!end "));
	ck_assert_ptr_nonnull(strstr(notes, "b!end "));
	loop_close(loop);
}
END_TEST

/* Exhaustion: the bound is a refusal, and counted. */
START_TEST(without_a_poller_nothing_is_consumed)
{
	struct apus_config config;
	struct apus_loop *loop;
	static struct numbers numbers;

	config_virtual(&config, _i);
	config.waker_count = 1;
	loop = loop_open_with(&config);
	RD(init)(&numbers);
	watcher_start(loop, &numbers, "a", 1, APUS_SEC);
	watcher_start(loop, &numbers, "b", 1, APUS_SEC);
	expect_notes("b!none ");
	ck_assert_uint_ge(counters(loop).wait_refusals, 1);
	ck_assert_uint_eq(waiting(&numbers), 1);
	RD(publish)(&numbers, 1);
	turns(loop, 1);
	expect_notes("a1 ");
	loop_close(loop);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

struct chooser {
	struct apus_frame frame;
	struct numbers *a, *b;
	struct numbers_reader of_a, of_b;
	uint64_t from_a, from_b;
	apus_poll which, value;
};

APUS_TASK(chooser, struct chooser)
{
	APUS_BEGIN(cx, self);
	START(&self->of_a, self->a);
	START(&self->of_b, self->b);
	for (;;) {
		APUS_AWAIT(self->which, APUS_SELECT(self->value,
			RD(recv)(cx, &self->of_a, &self->from_a),
			RD(recv)(cx, &self->of_b, &self->from_b)));
		if (self->value < 0)
			return self->value;
		note("%c%d ", self->which == 0 ? 'a' : 'b',
			(int)(self->which == 0 ? self->from_a : self->from_b));
	}
	APUS_END(0);
}

/* S5: a value is not lost when an arm loses. */
START_TEST(select_over_two_loses_nothing)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers a, b;
	struct chooser chooser = { .a = &a, .b = &b };

	RD(init)(&a);
	RD(init)(&b);
	ck_assert_int_eq(apus_spawn_slab(loop, chooser, &chooser, NULL), 0);
	turns(loop, 2);
	RD(publish)(&b, 1);
	turns(loop, 1);
	expect_notes("b1 ");
	RD(publish)(&b, 2);
	RD(publish)(&a, 3);
	turns(loop, 2);
	expect_notes("a3 b2 ");
	ck_assert_int_eq(RD(deinit)(&a), 0);
	turns(loop, 2);
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	loop_close(loop);
	ck_assert_int_eq(RD(deinit)(&b), 0);
}
END_TEST

/* Promise 9, P5: the bell is set before the loop sleeps, and who publishes rings. */
START_TEST(a_parked_loop_is_rung)
{
	struct apus_config config;
	struct apus_loop *loop;
	static struct numbers numbers;

	RD(init)(&numbers);
	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	loop = loop_open_with(&config);
	watcher_start(loop, &numbers, "r", 2, 20 * APUS_MSEC);
	while (counters(loop).parks == 0)
		apus_turn(loop);
	ck_assert(READERS(&numbers)->bell & APUS_BELL_RINGS);
	RD(publish)(&numbers, 1);
	/* Rung or not, whoever rings has taken the bit back. */
	ck_assert(!(READERS(&numbers)->bell & APUS_BELL_ASLEEP));
	while (strstr(notes, "r!time ") == NULL)
		apus_turn(loop);
	loop_close(loop);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

/* P5: what was published before the bell was set is seen by the look behind it. */
START_TEST(a_loop_about_to_sleep_looks_again)
{
	struct apus_loop *loop = loop_open(0);
	static struct numbers numbers;
	struct apusi_poller *poller;

	RD(init)(&numbers);
	watcher_start(loop, &numbers, "r", 1, APUS_SEC);
	poller = apus_loop_cx(loop)->pollers;
	ck_assert(poller->kind->arm(poller));
	RD(publish)(&numbers, 1);
	ck_assert(!poller->kind->arm(poller));
	turns(loop, 1);
	expect_notes("r1 ");
	loop_close(loop);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

/* ---- threads ----------------------------------------------------------------- */

START_TEST(waiting_in_a_thread_times_out)
{
	static struct numbers numbers;
	struct numbers_reader reader;
	uint64_t message;

	RD(init)(&numbers);
	START(&reader, &numbers);
	ck_assert_int_eq(RD(wait_recv)(&reader, 2 * APUS_MSEC, &message), -ETIME);
	ck_assert_int_eq(RD(wait_recv)(&reader, 0, &message), -ETIME);
	ck_assert_int_eq(RD(wait_recv)(&reader, -1, &message), -ETIME);
	RD(publish)(&numbers, 5);
	ck_assert_int_eq(RD(wait_recv)(&reader, 0, &message), 0);
	ck_assert_uint_eq(message, 5);
	ck_assert_uint_eq(READERS(&numbers)->blocked, 0);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

struct sleeper {
	struct numbers *numbers;
	pthread_t thread;
	uint64_t message;
	int err;
};

static void *sleeper_run(void *arg)
{
	struct sleeper *sleeper = arg;
	struct numbers_reader reader;

	START(&reader, sleeper->numbers);
	sleeper->err = RD(wait_recv)(&reader, APUS_NEVER, &sleeper->message);
	return NULL;
}

static void sleepers_start(struct numbers *numbers, struct sleeper *sleepers, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		sleepers[i] = (struct sleeper){ .numbers = numbers };
		ck_assert_int_eq(pthread_create(&sleepers[i].thread, NULL, sleeper_run,
			&sleepers[i]), 0);
	}
	while (apus_load_acquire(&READERS(numbers)->blocked) != count ||
	       !(apus_load_acquire(&READERS(numbers)->bell) & APUS_BELL_THREAD))
		sched_yield();
}

START_TEST(one_publish_wakes_every_sleeping_thread)
{
	static struct numbers numbers;
	struct sleeper sleepers[3];
	int i;

	RD(init)(&numbers);
	sleepers_start(&numbers, sleepers, 3);
	ck_assert_int_eq(RD(publish)(&numbers, 42), 0);
	for (i = 0; i < 3; i++) {
		pthread_join(sleepers[i].thread, NULL);
		ck_assert_int_eq(sleepers[i].err, 0);
		ck_assert_uint_eq(sleepers[i].message, 42);
	}
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

START_TEST(deinit_wakes_sleeping_threads_and_says_that_they_have_not_left)
{
	static struct numbers numbers;
	struct sleeper sleepers[2];
	int i, err;

	RD(init)(&numbers);
	sleepers_start(&numbers, sleepers, 2);
	while ((err = RD(deinit)(&numbers)) == -EBUSY)
		sched_yield();
	ck_assert_int_eq(err, 0);
	for (i = 0; i < 2; i++) {
		pthread_join(sleepers[i].thread, NULL);
		ck_assert_int_eq(sleepers[i].err, -EPIPE);
	}
}
END_TEST

/* As it stands while a thread has not left: the memory must not go. */
START_TEST(deinit_waits_for_the_last_thread)
{
	static struct numbers numbers;

	RD(init)(&numbers);
	READERS(&numbers)->blocked = 1;
	ck_assert_int_eq(RD(deinit)(&numbers), -EBUSY);
	READERS(&numbers)->blocked = 0;
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

/*
 * One that was rung before it slept finds another word in the futex than the one it noted,
 * also where another reader has set the bits again meanwhile.
 */
START_TEST(ringing_changes_the_word_for_good)
{
	static struct numbers numbers;
	uint32_t *bell = &READERS(&numbers)->bell, noted_word;

	RD(init)(&numbers);
	*bell |= APUS_BELL_RINGS | APUS_BELL_THREAD;
	noted_word = *bell;
	RD(publish)(&numbers, 1);
	ck_assert_uint_eq(*bell & APUS_BELL_THREAD, 0);
	*bell |= APUS_BELL_THREAD;
	ck_assert_uint_ne(*bell, noted_word);
	ck_assert_int_eq(RD(deinit)(&numbers), 0);
}
END_TEST

struct other_loop {
	struct numbers *numbers;
	uint32_t waits, may_turn;
	char noted[64];
};

static void *other_loop_run(void *arg)
{
	struct other_loop *other = arg;
	struct apus_loop *loop = loop_open(0);

	watcher_start(loop, other->numbers, "r", 1, APUS_SEC);
	apus_store_release(&other->waits, 1);
	while (!apus_load_acquire(&other->may_turn))
		sched_yield();
	turns(loop, 2);
	strcpy(other->noted, noted());
	loop_close(loop);
	return NULL;
}

START_TEST(deinit_says_that_another_loops_task_has_not_left)
{
	struct apus_loop *loop = loop_open(_i);
	static struct numbers numbers;
	struct other_loop other = { .numbers = &numbers };
	pthread_t thread;

	RD(init)(&numbers);
	pthread_create(&thread, NULL, other_loop_run, &other);
	while (!apus_load_acquire(&other.waits))
		sched_yield();
	watcher_start(loop, &numbers, "m", 1, APUS_SEC);
	ck_assert_int_eq(RD(deinit)(&numbers), -EBUSY);
	/* Our own has left nevertheless. */
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	apus_store_release(&other.may_turn, 1);
	while (RD(deinit)(&numbers) != 0)
		sched_yield();
	pthread_join(thread, NULL);
	ck_assert_str_eq(other.noted, "r!end ");
	turns(loop, 1);
	expect_notes("m!end ");
	loop_close(loop);
}
END_TEST

/* ---- processes --------------------------------------------------------------- */

static int shared_fd;

/* Another place in the address space each time. */
static struct numbers *shared_map(void)
{
	void *at = mmap(NULL, sizeof(struct numbers), PROT_READ | PROT_WRITE, MAP_SHARED,
		shared_fd, 0);

	ck_assert(at != MAP_FAILED);
	return at;
}

static struct numbers *shared_make(void)
{
	struct numbers *numbers;

	shared_fd = memfd_create("readers", MFD_CLOEXEC);
	ck_assert_int_ge(shared_fd, 0);
	ck_assert_int_eq(ftruncate(shared_fd, sizeof *numbers), 0);
	numbers = shared_map();
	ck_assert_int_eq(RD(attach)(numbers), -EPROTO);
	ck_assert_int_eq(RD(init_shared)(numbers), 0);
	return numbers;
}

/* In a child: the channel as another process sees it. */
static struct numbers *child_attach(void)
{
	struct numbers *own = shared_map();

	if (RD(attach)(own) != 0)
		_exit(10);
	return own;
}

static void child_end(pid_t child, int sig)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (sig != 0)
		ck_assert_int_eq(WTERMSIG(status), sig);
	else
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(what_another_process_made_is_attached_and_what_it_is_not_is_refused)
{
	struct numbers *numbers = shared_make(), *other = shared_map();
	static struct numbers private;

	ck_assert_int_eq(RD(attach)(other), 0);
	/* Of another type. */
	ck_assert_int_eq(RD(attach)((struct narrow *)(void *)other), -EPROTO);
	/* Not to be shared. */
	RD(init)(&private);
	ck_assert_int_eq(RD(attach)(&private), -EPROTO);
	ck_assert_int_eq(RD(deinit)(numbers), 0);
	ck_assert_int_eq(RD(deinit)(&private), 0);
}
END_TEST

/* The reader sleeps in its process; the answer comes back by a second message. */
START_TEST(a_process_sees_what_another_publishes)
{
	struct numbers *numbers = shared_make();
	struct numbers_reader reader;
	uint64_t message = 0;
	pid_t child;

	START(&reader, numbers);
	child = fork();
	if (child == 0) {
		struct numbers *own = child_attach();
		uint64_t i;

		for (i = 1; i <= 2000; i++) {
			RD(publish)(own, i);
			if (i % 100 == 0)
				usleep(100);
		}
		RD(close)(own);
		_exit(0);
	}
	for (;;) {
		uint64_t before = message;
		int err = RD(wait_recv)(&reader, APUS_NEVER, &message);

		if (err == -EPIPE)
			break;
		if (err != -EOVERFLOW)
			ck_assert_uint_gt(message, before);
		else
			message = before;
	}
	ck_assert_uint_eq(message, 2000);
	child_end(child, 0);
	ck_assert_int_eq(RD(deinit)(numbers), 0);
}
END_TEST

/* Nobody can ring a loop of another process: it stays awake and looks. */
START_TEST(a_loop_does_not_park_on_memory_of_several_processes)
{
	struct numbers *numbers = shared_make();
	struct apus_config config;
	struct apus_loop *loop;
	int i;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	loop = loop_open_with(&config);
	watcher_start(loop, numbers, "r", 1, APUS_NEVER);
	for (i = 0; i < 100; i++)
		apus_turn(loop);
	ck_assert_uint_eq(waiting(numbers), 0);
	RD(publish)(numbers, 1);
	turns(loop, 2);
	expect_notes("r1 ");
	loop_close(loop);
	ck_assert_int_eq(RD(deinit)(numbers), 0);
}
END_TEST

#define READERS_TESTS                                                                \
	each_reader_sees_each_message_also_over_the_wrap,                            \
	messages_of_any_size_are_copied_whole, a_closed_channel_is_read_and_then_ends, \
	what_cannot_be_is_refused,                                                   \
	what_is_written_and_what_is_only_read_have_lines_of_their_own,               \
	a_busy_loop_sees_it_in_its_next_turn_and_is_not_rung,                        \
	a_wait_that_is_over_is_unlinked, closing_wakes_all_who_wait,                 \
	deinit_wakes_the_tasks_of_this_loop_and_the_memory_may_go,                   \
	without_a_poller_nothing_is_consumed, select_over_two_loses_nothing,         \
	a_parked_loop_is_rung, a_loop_about_to_sleep_looks_again,                    \
	waiting_in_a_thread_times_out,                                               \
	one_publish_wakes_every_sleeping_thread,                                     \
	deinit_wakes_sleeping_threads_and_says_that_they_have_not_left,              \
	deinit_says_that_another_loops_task_has_not_left,                            \
	deinit_waits_for_the_last_thread, ringing_changes_the_word_for_good,         \
	what_another_process_made_is_attached_and_what_it_is_not_is_refused,         \
	a_process_sees_what_another_publishes,                                       \
	a_loop_does_not_park_on_memory_of_several_processes
