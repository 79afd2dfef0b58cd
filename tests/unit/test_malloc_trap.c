/*
 * test_malloc_trap.c - promise 10: after the first turn the promised paths allocate nothing.
 *
 * malloc and its kin are replaced in this program, so that calls of the library and of libc
 * count, in all threads.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "apus/channel_local.h"
#include "loop_test.h"

#define TRAPPED (!TEST_ASAN && !TEST_TSAN)

static uint64_t allocations;

#if TRAPPED

/* Visible, so that libc takes them too: the build hides what does not say so. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static void counted(void)
{
	__atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

APUS_API void *malloc(size_t bytes)
{
	counted();
	return __libc_malloc(bytes);
}

APUS_API void *calloc(size_t count, size_t bytes)
{
	counted();
	return __libc_calloc(count, bytes);
}

APUS_API void *realloc(void *memory, size_t bytes)
{
	counted();
	return __libc_realloc(memory, bytes);
}

APUS_API void *aligned_alloc(size_t align, size_t bytes)
{
	counted();
	return __libc_memalign(align, bytes);
}

APUS_API int posix_memalign(void **memory, size_t align, size_t bytes)
{
	counted();
	*memory = __libc_memalign(align, bytes);
	return *memory != NULL ? 0 : ENOMEM;
}

#endif

static uint64_t seen(void)
{
	return __atomic_load_n(&allocations, __ATOMIC_RELAXED);
}

#define NEED_TRAP() \
	if (!TRAPPED) \
	TEST_SKIP("a sanitizer has replaced malloc already")

static void *allocate_elsewhere(void *arg)
{
	uint64_t before = seen();
	void *volatile memory = malloc(10);

	*(uint64_t *)arg = seen() - before;
	free(memory);
	return NULL;
}

/* The trap itself: each of its doors, libc, and another thread. */
START_TEST(self_test_an_allocation_on_purpose_is_seen)
{
	void *volatile memory;
	void *aligned = NULL;
	uint64_t marks[8];
	pthread_t thread;
	int i;

	NEED_TRAP();
	marks[0] = seen();
	memory = malloc(1);
	marks[1] = seen();
	memory = realloc(memory, 100);
	marks[2] = seen();
	free(memory);
	memory = calloc(1, 1);
	marks[3] = seen();
	free(memory);
	memory = aligned_alloc(64, 64);
	marks[4] = seen();
	free(memory);
	(void)!posix_memalign(&aligned, 64, 64);
	marks[5] = seen();
	free(aligned);
	memory = strdup("libc's own");
	marks[6] = seen();
	free(memory);
	marks[7] = seen();
	for (i = 1; i <= 6; i++)
		ck_assert_uint_eq(marks[i], marks[i - 1] + 1);
	ck_assert_uint_eq(marks[7], marks[6]);
	ck_assert_int_eq(pthread_create(&thread, NULL, allocate_elsewhere, &marks[7]), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(marks[7], 1);
}
END_TEST

/* Inside what is counted a claim is an APUS_ASSERT: check's own allocate. */
static struct apus_loop *open_hot(void)
{
	struct apus_config config;
	struct apus_loop *loop;

	apus_config_init(&config);
	config.slot_count = 64;
	config.log_fn = NULL;
	loop = loop_open_with(&config);
	apus_turn(loop);
	return loop;
}

struct work {
	struct apus_frame frame;
	struct apus_join join;
	struct apus_set set;
	struct apus_token token;
	struct apus_interval interval;
	struct sem *sem;
	int64_t got, value;
	int rounds, i;
};

APUS_TASK(little, struct work)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_yield(cx));
	if (self->sem != NULL)
		sem_put(self->sem);
	APUS_END(1);
}

APUS_TASK(endless, struct work)
{
	(void)self;
	return apus_sleep_until(cx, APUS_NEVER);
}

/* Spawn, join, wake, sleep, time out, select, cancel, abort, sets: a thousand times. */
APUS_TASK(all_of_it, struct work)
{
	struct work init = { .sem = self->sem };

	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < self->rounds; self->i++) {
		APUS_ASSERT(apus_spawn_slab(cx->loop, little, &init, &self->join) == 0);
		APUS_AWAIT(self->got, apus_timeout(cx, APUS_SEC, sem_take(cx, self->sem)));
		APUS_AWAIT(self->got, apus_join(cx, self->join, NULL));
		APUS_WAIT(apus_sleep(cx, 100));
		APUS_AWAIT(self->got, APUS_SELECT(self->value, sem_take(cx, self->sem),
			apus_cancelled(cx, apus_loop_token(cx->loop)), apus_sleep(cx, 100)));
		APUS_ASSERT(apus_token_child(cx->loop, apus_loop_token(cx->loop),
			&self->token) == 0);
		apus_cancel(cx->loop, self->token);
		APUS_WAIT(apus_cancelled(cx, self->token));
		apus_token_release(cx->loop, self->token);
		APUS_ASSERT(apus_spawn_slab(cx->loop, endless, NULL, &self->join) == 0);
		APUS_WAIT(apus_yield(cx));
		apus_abort(cx->loop, self->join);
		APUS_WAIT(apus_join(cx, self->join, NULL));
		APUS_ASSERT(apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop)) == 0);
		APUS_ASSERT(apus_set_spawn(&self->set, endless, NULL) == 0);
		APUS_ASSERT(apus_set_spawn(&self->set, little, NULL) == 0);
		APUS_WAIT(apus_set_next(cx, &self->set, NULL));
		apus_set_deinit(&self->set);
	}
	APUS_END(0);
}

/* Promise 10. */
START_TEST(tasks_wakes_timers_and_tokens_allocate_nothing)
{
	struct apus_loop *loop;
	struct sem sem = { 0 };
	uint64_t before, after;

	NEED_TRAP();
	loop = open_hot();
	before = seen();
	APUS_ASSERT(apus_run(loop, all_of_it, (&(struct work){ .rounds = 1000,
		.sem = &sem })) == 0);
	after = seen();
	ck_assert_uint_eq(after, before);
	loop_close(loop);
}
END_TEST

/* Promise 10. */
START_TEST(idle_turns_of_every_kind_allocate_nothing)
{
	struct apus_loop *loop;
	uint64_t before, after;
	int idle;

	NEED_TRAP();
	loop = open_hot();
	ck_assert_int_eq(apus_spawn_slab(loop, all_of_it, (&(struct work){ .rounds = 0 }), NULL),
		0);
	before = seen();
	for (idle = APUS_IDLE_BUSY; idle <= APUS_IDLE_PAUSE; idle++) {
		apus_set_idle(loop, (enum apus_idle)idle);
		turns(loop, 10000);
	}
	after = seen();
	ck_assert_uint_eq(after, before);
	loop_close(loop);
}
END_TEST

APUS_CHANNEL(numbers, uint64_t, 8)

struct channel_work {
	struct apus_frame frame;
	struct numbers *numbers;
	uint64_t number;
	int64_t got;
	int left;
};

APUS_TASK(sender, struct channel_work)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0)
		APUS_WAIT(apus_send(cx, self->numbers, (uint64_t)self->left));
	APUS_END(0);
}

APUS_TASK(receiver, struct channel_work)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0)
		APUS_AWAIT(self->got, apus_recv(cx, self->numbers, &self->number));
	APUS_END(0);
}

/* Promise 10. */
START_TEST(a_channel_allocates_nothing)
{
	struct apus_loop *loop;
	struct numbers numbers;
	struct channel_work init = { .numbers = &numbers, .left = 5000 };
	uint64_t before, after;

	NEED_TRAP();
	loop = open_hot();
	apus_channel_init(&numbers);
	before = seen();
	APUS_ASSERT(apus_spawn_slab(loop, sender, &init, NULL) == 0);
	APUS_ASSERT(apus_run(loop, receiver, &init) == 0);
	after = seen();
	ck_assert_uint_eq(after, before);
	apus_channel_deinit(&numbers);
	loop_close(loop);
}
END_TEST

struct pipe_work {
	struct apus_frame frame;
	struct apus_fd fd;
	char bytes[64];
	int64_t got;
	int left;
	bool first;
};

APUS_TASK(bounces, struct pipe_work)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		if (self->first) {
			APUS_AWAIT(self->got, apus_fd_write(cx, self->fd, self->bytes, 64));
			APUS_ASSERT(self->got == 64);
		}
		APUS_AWAIT(self->got, apus_fd_read(cx, self->fd, self->bytes, 64));
		APUS_ASSERT(self->got == 64);
		if (!self->first)
			APUS_WAIT(apus_fd_write(cx, self->fd, self->bytes, 64));
	}
	APUS_END(0);
}

/* Promise 10: descriptors too, through the kernel's queue and hot. */
START_TEST(descriptors_allocate_nothing)
{
	int hot;

	TEST_LINUX_ONLY(); /* libev allocates */
	NEED_TRAP();
	for (hot = 0; hot < 2; hot++) {
		struct apus_loop *loop = open_hot();
		struct pipe_work near = { .left = 1000, .first = true }, far = { .left = 1000 };
		uint64_t before, after;
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		if (apus_fd_adopt(loop, ends[0], APUS_OWNED, &near.fd) != 0)
			TEST_SKIP("no backend for descriptors");
		ck_assert_int_eq(apus_fd_adopt(loop, ends[1], APUS_OWNED, &far.fd), 0);
		apus_fd_set_hot(loop, near.fd, hot);
		apus_fd_set_hot(loop, far.fd, hot);
		before = seen();
		APUS_ASSERT(apus_spawn_slab(loop, bounces, &far, NULL) == 0);
		APUS_ASSERT(apus_run(loop, bounces, &near) == 0);
		after = seen();
		ck_assert_uint_eq(after, before);
		loop_close(loop);
	}
}
END_TEST

/* Growing is an option that leaves the promise; a box is by its name. */
START_TEST(a_boxed_state_allocates_once)
{
	struct apus_loop *loop;
	uint64_t before, after;

	NEED_TRAP();
	loop = open_hot();
	before = seen();
	APUS_ASSERT(apus_spawn_boxed(loop, little, NULL, NULL) == 0);
	after = seen();
	ck_assert_uint_eq(after, before + 1);
	loop_close(loop);
}
END_TEST

TEST_MAIN("malloc trap",
	self_test_an_allocation_on_purpose_is_seen,
	tasks_wakes_timers_and_tokens_allocate_nothing,
	idle_turns_of_every_kind_allocate_nothing,
	a_channel_allocates_nothing,
	descriptors_allocate_nothing,
	a_boxed_state_allocates_once)
