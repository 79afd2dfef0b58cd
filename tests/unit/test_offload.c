#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#include "apus/offload.h"
#include "loop_test.h"
#include "wait/futex.h"

/* ---- functions that block -------------------------------------------------------- */

/* Closed, functions stay in it; the word is a futex. */
static uint32_t gate;

static void gate_open(void)
{
	apus_store_release(&gate, 1);
	apusi_futex_wake_all(&gate, false);
}

static void gate_pass(void)
{
	while (apus_load_acquire(&gate) == 0)
		apusi_futex_wait(&gate, 0, APUS_NEVER, false);
}

static uint32_t entered, left, discarded;
static int64_t discarded_result;
static pthread_t discarded_on;

static void reset(uint32_t open)
{
	apus_store_relaxed(&gate, open);
	apus_store_relaxed(&entered, 0);
	apus_store_relaxed(&left, 0);
	apus_store_relaxed(&discarded, 0);
}

struct job {
	int64_t in, out;
	pid_t thread;
	bool unwanted;
	uint32_t order;
};

/* What a function saw of the thread it ran on. */
static struct seen {
	char name[16];
	cpu_set_t affinity;
	sigset_t blocked;
	int policy;
} seen;

static void job_discard(struct job *self, apus_poll result)
{
	(void)self;
	apus_store_relaxed(&discarded_result, result);
	apus_store_relaxed(&discarded_on, pthread_self());
	__atomic_fetch_add(&discarded, 1, __ATOMIC_RELEASE);
}

/* At once. */
APUS_OFFLOAD(twice, struct job, job_discard)
{
	self->order = __atomic_fetch_add(&entered, 1, __ATOMIC_ACQ_REL);
	self->out = self->in * 2;
	self->thread = gettid();
	return self->in;
}

APUS_OFFLOAD(see, struct job)
{
	self->thread = gettid();
	pthread_getname_np(pthread_self(), seen.name, sizeof seen.name);
	sched_getaffinity(0, sizeof seen.affinity, &seen.affinity);
	pthread_sigmask(SIG_SETMASK, NULL, &seen.blocked);
	seen.policy = sched_getscheduler(0);
	return 0;
}

/* Behind the gate. */
APUS_OFFLOAD(gated, struct job, job_discard)
{
	self->order = __atomic_fetch_add(&entered, 1, __ATOMIC_ACQ_REL);
	gate_pass();
	self->out = self->in * 2;
	self->unwanted = apus_offload_is_unwanted(self);
	__atomic_fetch_add(&left, 1, __ATOMIC_ACQ_REL);
	return self->in;
}

/* Until nobody wants it. */
APUS_OFFLOAD(patient, struct job, job_discard)
{
	__atomic_fetch_add(&entered, 1, __ATOMIC_ACQ_REL);
	while (!apus_offload_is_unwanted(self))
		sched_yield();
	return 7;
}

APUS_OFFLOAD(pending, struct job)
{
	(void)self;
	return APUS_PENDING;
}

/* ---- loops ------------------------------------------------------------------------ */

static void config_real(struct apus_config *config)
{
	apus_config_init(config);
	config->slot_count = 64;
	config->log_fn = NULL;
	config->offload_count = 4;
	config->stall_ns = APUS_NEVER;
	reset(0);
}

static struct apus_loop *open_real(void)
{
	struct apus_config config;

	config_real(&config);
	return loop_open_with(&config);
}

static void *does_nothing(void *tid)
{
	*(pid_t *)tid = gettid();
	return NULL;
}

/* A sanitizer adds a thread of its own to the first: it is there before we count. */
static void first_thread(void)
{
	char path[64];
	pthread_t thread;
	pid_t tid;

	ck_assert_int_eq(pthread_create(&thread, NULL, does_nothing, &tid), 0);
	pthread_join(thread, NULL);
	snprintf(path, sizeof path, "/proc/self/task/%d", tid);
	while (access(path, F_OK) == 0)
		sched_yield();
}

static unsigned thread_count(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static unsigned threads_before(void)
{
	first_thread();
	return thread_count();
}

/* A thread that was joined may be listed for a moment more. */
static void expect_threads(unsigned count)
{
	while (thread_count() > count)
		sched_yield();
	ck_assert_uint_eq(thread_count(), count);
}

/* Turns until the word is that. */
static void turns_until(struct apus_loop *loop, const uint32_t *word, uint32_t value)
{
	while (apus_load_acquire(word) != value)
		apus_turn(loop);
}

/* ---- tasks ------------------------------------------------------------------------- */

struct user {
	struct apus_frame frame;
	struct apus_offload op;
	struct job job;
	apus_poll result;
};

APUS_TASK(asks, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, apus_offload_run(cx, &self->op, twice, &self->job));
	if (self->job.out != 2 * self->job.in || apus_offload_is_busy(&self->op))
		return -EBADMSG;
	APUS_END(self->result);
}

APUS_TASK(waits, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, apus_offload_run(cx, &self->op, gated, &self->job));
	APUS_END(self->result < 0 ? self->result : self->job.out);
}

static struct apus_join spawn_waits(struct apus_loop *loop, int64_t in)
{
	struct user init = { .job = { .in = in } };
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, waits, &init, &join), 0);
	return join;
}

static apus_poll join_turning(struct apus_loop *loop, struct apus_join join)
{
	apus_poll result = 0;
	int err;

	while ((err = apus_try_join(loop, join, &result)) == -EAGAIN)
		apus_turn(loop);
	return err ? err : result;
}

/* ---- answers ------------------------------------------------------------------------- */

START_TEST(a_function_answers_its_result_and_what_it_left_in_its_data)
{
	static const enum apus_idle idles[] = { APUS_IDLE_BUSY, APUS_IDLE_PARK };
	size_t i;

	/* P5, parked: the answer's wake ends the sleep. */
	for (i = 0; i < 2; i++) {
		struct apus_config config;
		struct apus_loop *loop;
		struct user init = { .job = { .in = 21 } };

		config_real(&config);
		config.idle = idles[i];
		loop = loop_open_with(&config);
		ck_assert_int_eq(apus_run(loop, asks, &init), 21);
		ck_assert_int_eq(apus_run(loop, asks, &init), 21);
		ck_assert_uint_eq(counters(loop).offload_done, 2);
		loop_close(loop);
	}
}
END_TEST

APUS_TASK(fails, struct user)
{
	APUS_BEGIN(cx, self);
	self->job.in = -ENOENT;
	APUS_AWAIT(self->result, apus_offload_run(cx, &self->op, twice, &self->job));
	APUS_END(self->result);
}

START_TEST(a_function_answers_its_errno)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, fails, NULL), -ENOENT);
	loop_close(loop);
}
END_TEST

struct several {
	struct apus_frame frame;
	struct apus_offload ops[3];
	struct job jobs[3];
	apus_poll result;
	int i;
};

APUS_TASK(starts_several, struct several)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 3; self->i++) {
		self->jobs[self->i].in = self->i + 1;
		if (apus_offload_start(cx, &self->ops[self->i], gated, &self->jobs[self->i]))
			return -EBADMSG;
	}
	gate_open();
	for (self->i = 2; self->i >= 0; self->i--) {
		APUS_AWAIT(self->result, apus_offload_run(cx, &self->ops[self->i], gated,
			&self->jobs[self->i]));
		if (self->result != self->i + 1 || self->jobs[self->i].out != 2 * (self->i + 1))
			return -EBADMSG;
	}
	APUS_END(0);
}

START_TEST(what_was_started_is_awaited_later_in_any_order)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, starts_several, NULL), 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(one_thread, struct several)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 3; self->i++)
		if (apus_offload_start(cx, &self->ops[self->i], gated, &self->jobs[self->i]))
			return -EBADMSG;
	gate_open();
	for (self->i = 0; self->i < 3; self->i++) {
		APUS_AWAIT(self->result, apus_offload_run(cx, &self->ops[self->i], gated,
			&self->jobs[self->i]));
		if (self->jobs[self->i].order != (uint32_t)self->i)
			return -EBADMSG;
	}
	APUS_END(0);
}

START_TEST(functions_begin_first_in_first_out)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_real(&config);
	config.offload_threads = 1;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_run(loop, one_thread, NULL), 0);
	loop_close(loop);
}
END_TEST

/* ---- threads --------------------------------------------------------------------------- */

/* P14 */
START_TEST(there_are_as_many_threads_as_asked_for_and_none_before_the_first_use)
{
	struct apus_config config;
	struct apus_loop *loop;
	unsigned before = threads_before();
	struct apus_join joins[4];
	int i;

	config_real(&config);
	config.offload_threads = 3;
	loop = loop_open_with(&config);
	turns(loop, 10);
	ck_assert_uint_eq(thread_count(), before);
	for (i = 0; i < 4; i++) {
		joins[i] = spawn_waits(loop, i);
		turns(loop, 2);
		ck_assert_uint_eq(counters(loop).offload_threads, i < 3 ? i + 1 : 3);
		ck_assert_uint_eq(thread_count(), before + (i < 3 ? i + 1 : 3));
	}
	turns_until(loop, &entered, 3);
	ck_assert_uint_eq(counters(loop).offload_running, 3);
	ck_assert_uint_eq(counters(loop).offload_queued, 1);
	gate_open();
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(join_turning(loop, joins[i]), 2 * i);
	ck_assert_uint_eq(thread_count(), before + 3);
	loop_close(loop);
	expect_threads(before);
}
END_TEST

START_TEST(warming_starts_all_threads_and_one_at_work_takes_the_next_function_too)
{
	struct apus_loop *loop = open_real();
	unsigned before = threads_before();
	struct user init = { .job = { .in = 1 } };

	ck_assert_int_eq(apus_run(loop, asks, &init), 1);
	ck_assert_uint_eq(thread_count(), before + 1);
	ck_assert_int_eq(apus_run(loop, asks, &init), 1);
	ck_assert_uint_eq(thread_count(), before + 1);
	ck_assert_int_eq(apus_offload_warm(loop), 0);
	ck_assert_int_eq(apus_offload_warm(loop), 0);
	ck_assert_uint_eq(thread_count(), before + 2);
	loop_close(loop);
	expect_threads(before);
}
END_TEST

APUS_TASK(looks, struct user)
{
	apus_poll answer = apus_offload_run(cx, &self->op, see, &self->job);

	if (answer == APUS_PENDING)
		return answer;
	ck_assert_str_eq(seen.name, "apus-offload");
	ck_assert_int_ne(self->job.thread, gettid());
	ck_assert(CPU_EQUAL(&seen.affinity, (cpu_set_t *)(uintptr_t)self->job.in));
	ck_assert(sigismember(&seen.blocked, SIGINT) && sigismember(&seen.blocked, SIGTERM));
	ck_assert(sigismember(&seen.blocked, SIGCHLD) && sigismember(&seen.blocked, SIGUSR1));
	ck_assert(!sigismember(&seen.blocked, SIGSEGV));
	ck_assert_int_eq(seen.policy, SCHED_OTHER);
	return answer;
}

static void run_looks(struct apus_loop *loop, cpu_set_t *expected)
{
	struct user init = { .job = { .in = (intptr_t)expected } };

	ck_assert_int_eq(apus_run(loop, looks, &init), 0);
	loop_close(loop);
}

START_TEST(helpers_have_a_name_and_no_signals_and_where_the_process_was_allowed_to_run)
{
	TEST_LINUX_ONLY();
	cpu_set_t before;

	ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
	run_looks(open_real(), &before);
}
END_TEST

START_TEST(helpers_of_a_pinned_loop_leave_its_core_to_it)
{
	struct apus_config config;
	struct apus_loop *loop;
	cpu_set_t before;

	TEST_LINUX_ONLY();
	config_real(&config);
	ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
	for (config.cpu = 0; !CPU_ISSET(config.cpu, &before); config.cpu++)
		;
	if (CPU_COUNT(&before) > 1)
		CPU_CLR(config.cpu, &before);
	loop = loop_open_with(&config);
	run_looks(loop, &before);
}
END_TEST

START_TEST(helpers_of_a_real_time_loop_are_ordinary)
{
	struct apus_config config;
	struct apus_loop *loop;
	cpu_set_t before;

	TEST_LINUX_ONLY();
	config_real(&config);
	config.fifo_priority = 1;
	config.idle = APUS_IDLE_PARK;
	ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
	if (apus_open(&loop, &config) != 0)
		TEST_SKIP("no real-time class: %s", config.reason);
	run_looks(loop, &before);
}
END_TEST

/* ---- refusals ---------------------------------------------------------------------------- */

APUS_TASK(starts, struct user)
{
	return apus_offload_start(cx, &self->op, twice, &self->job);
}

/* Ends when the function has begun. */
APUS_TASK(starts_gated, struct user)
{
	APUS_BEGIN(cx, self);
	self->result = apus_offload_start(cx, &self->op, gated, &self->job);
	while (self->result == 0 && apus_load_acquire(&entered) == 0)
		APUS_WAIT(apus_yield(cx));
	APUS_END(self->result);
}

START_TEST(a_full_queue_refuses_and_the_data_stays_the_callers)
{
	struct apus_loop *loop = open_real();
	struct apus_join joins[4];
	int i;

	for (i = 0; i < 4; i++)
		joins[i] = spawn_waits(loop, i);
	ck_assert_int_eq(apus_run(loop, starts, NULL), -EAGAIN);
	ck_assert_int_eq(apus_run(loop, asks, NULL), -EAGAIN);
	ck_assert_uint_eq(counters(loop).offload_refused, 2);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 0);
	gate_open();
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(join_turning(loop, joins[i]), 2 * i);
	ck_assert_int_eq(apus_run(loop, asks, (&(struct user){ .job = { .in = 5 } })), 5);
	loop_close(loop);
}
END_TEST

START_TEST(data_beyond_offload_bytes_is_emsgsize_and_without_threads_it_is_enotsup)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_real(&config);
	config.offload_bytes = sizeof(struct job) - 1;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_run(loop, starts, NULL), -EMSGSIZE);
	loop_close(loop);
	config_real(&config);
	config.offload_threads = 0;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_run(loop, starts, NULL), -ENOTSUP);
	ck_assert_int_eq(apus_offload_warm(loop), -ENOTSUP);
	loop_close(loop);
}
END_TEST

struct busy {
	struct apus_frame frame;
	struct apus_offload op, copy;
	struct job job, other;
	struct apus_offload *foreign;
	apus_poll result;
};

APUS_TASK(steals, struct busy)
{
	return apus_offload_run(cx, self->foreign, gated, &self->job);
}

APUS_TASK(reuses, struct busy)
{
	APUS_BEGIN(cx, self);
	if (apus_offload_cancel(cx, &self->op, gated, &self->job) != -ESTALE ||
		apus_offload_start(cx, &self->op, gated, &self->job) != 0)
		return -EBADMSG;
	if (apus_offload_start(cx, &self->op, gated, &self->job) != -EBUSY ||
		apus_offload_run(cx, &self->op, gated, &self->other) != -EBUSY ||
		apus_offload_cancel(cx, &self->op, gated, &self->other) != -EBUSY ||
		apus_offload_run(cx, &self->op, twice, &self->job) != -EBUSY)
		return -EBADMSG;
	self->copy = self->op;
	if (apus_spawn_slab(cx->loop, steals, (&(struct busy){ .foreign = &self->op }), NULL))
		return -EBADMSG;
	APUS_WAIT(apus_yield(cx));
	gate_open();
	APUS_AWAIT(self->result, apus_offload_run(cx, &self->op, gated, &self->job));
	if (self->result != 0 || apus_offload_run(cx, &self->copy, gated, &self->job) != -ESTALE)
		return -EBADMSG;
	APUS_END(apus_offload_is_busy(&self->copy));
}

/* Promise 5: reusing it busy. */
START_TEST(an_object_in_flight_is_ebusy_to_anything_else_and_a_copy_of_it_goes_stale)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, reuses, NULL), 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(asks_of_another, struct busy)
{
	apus_poll answer = apus_offload_run(cx, self->foreign, gated, &self->job);

	return answer == -EPERM && apus_offload_is_busy(self->foreign) ? 0 : -EBADMSG;
}

START_TEST(another_tasks_object_is_eperm)
{
	struct apus_loop *loop = open_real();
	struct apus_join join = spawn_waits(loop, 1);
	struct busy init = { .result = 0 };

	turns(loop, 2);
	init.foreign = &((struct user *)apus_join_state(loop, join))->op;
	ck_assert_int_eq(apus_run(loop, asks_of_another, &init), 0);
	gate_open();
	ck_assert_int_eq(join_turning(loop, join), 2);
	loop_close(loop);
}
END_TEST

/* ---- losing, cancelling, dropping -------------------------------------------------------------- */

APUS_TASK(loses, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, apus_timeout(cx, APUS_USEC,
		apus_offload_run(cx, &self->op, gated, &self->job)));
	if (self->result != -ETIME || !apus_offload_is_busy(&self->op))
		return -EBADMSG;
	APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	gate_open();
	APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	APUS_AWAIT(self->result, apus_offload_run(cx, &self->op, gated, &self->job));
	APUS_END(self->result == 3 && self->job.out == 6 ? 0 : -EBADMSG);
}

/* Promise 5 */
START_TEST(a_wait_that_loses_is_all_that_is_lost)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, loses, (&(struct user){ .job = { .in = 3 } })), 0);
	ck_assert_uint_eq(apus_load_acquire(&entered), 1);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(cancels_queued, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, apus_timeout(cx, APUS_USEC,
		apus_offload_run(cx, &self->op, gated, &self->job)));
	self->job.out = 99;
	self->result = apus_offload_cancel(cx, &self->op, gated, &self->job);
	APUS_END(self->result == -ECANCELED && self->job.out == 99 ? 0 : -EBADMSG);
}

START_TEST(cancelling_what_was_not_begun_is_ecanceled_at_once_and_it_never_runs)
{
	struct apus_loop *loop = open_real();
	struct apus_join joins[2];
	int i;

	for (i = 0; i < 2; i++)
		joins[i] = spawn_waits(loop, i);
	turns_until(loop, &entered, 2);
	/* More often than there are requests: their places come back while the helpers are stuck. */
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(apus_run(loop, cancels_queued, NULL), 0);
	gate_open();
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(join_turning(loop, joins[i]), 2 * i);
	ck_assert_uint_eq(counters(loop).offload_dropped, 20);
	ck_assert_uint_eq(counters(loop).offload_queued, 0);
	loop_close(loop);
	ck_assert_uint_eq(apus_load_acquire(&entered), 2);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 0);
}
END_TEST

APUS_TASK(cancels_running, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, apus_timeout(cx, APUS_MSEC,
		apus_offload_run(cx, &self->op, patient, &self->job)));
	while (apus_load_acquire(&entered) == 0)
		APUS_WAIT(apus_yield(cx));
	APUS_AWAIT(self->result, apus_offload_cancel(cx, &self->op, patient, &self->job));
	APUS_END(self->result);
}

START_TEST(cancelling_what_runs_tells_the_function_and_answers_when_it_returns)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, cancels_running, NULL), 7);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(cancels_answered, struct user)
{
	APUS_BEGIN(cx, self);
	gate_open();
	self->result = apus_offload_start(cx, &self->op, gated, &self->job);
	APUS_WAIT(apus_sleep(cx, 2 * APUS_MSEC));
	while (apus_load_acquire(&left) == 0)
		APUS_WAIT(apus_yield(cx));
	APUS_AWAIT(self->result, apus_offload_cancel(cx, &self->op, gated, &self->job));
	APUS_END(self->result == 4 && self->job.out == 8 ? 0 : -EBADMSG);
}

START_TEST(cancelling_what_has_returned_answers_it)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, cancels_answered, (&(struct user){ .job = { .in = 4 } })), 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(drops, struct user)
{
	APUS_BEGIN(cx, self);
	apus_offload_drop(cx, &self->op); /* idle: nothing */
	self->result = apus_offload_start(cx, &self->op, gated, &self->job);
	while (apus_load_acquire(&entered) == 0)
		APUS_WAIT(apus_yield(cx));
	apus_offload_drop(cx, &self->op);
	if (apus_offload_is_busy(&self->op) || discarded != 0)
		return -EBADMSG;
	self->result = apus_offload_start(cx, &self->op, gated, &self->job);
	if (self->result != 0)
		return self->result;
	gate_open();
	APUS_AWAIT(self->result, apus_offload_run(cx, &self->op, gated, &self->job));
	while (discarded == 0)
		APUS_WAIT(apus_yield(cx));
	APUS_END(discarded == 1 && discarded_result == 6 ? 0 : -EBADMSG);
}

START_TEST(a_dropped_object_is_idle_and_its_answer_is_discarded)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, drops, (&(struct user){ .job = { .in = 6 } })), 0);
	ck_assert(pthread_equal(discarded_on, pthread_self()));
	loop_close(loop);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 1);
}
END_TEST

/* ---- tasks that end --------------------------------------------------------------------------- */

START_TEST(a_task_that_returns_leaves_its_answer_to_discard)
{
	struct apus_loop *loop = open_real();

	ck_assert_int_eq(apus_run(loop, starts_gated, (&(struct user){ .job = { .in = 8 } })), 0);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 0);
	gate_open();
	turns_until(loop, &discarded, 1);
	ck_assert_int_eq(discarded_result, 8);
	ck_assert(pthread_equal(discarded_on, pthread_self()));
	loop_close(loop);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 1);
}
END_TEST

/* Promise 3, P3: with no user code. */
START_TEST(an_aborted_task_drops_what_was_not_begun_and_discards_what_runs)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_join running, queued;

	config_real(&config);
	config.offload_threads = 1;
	loop = loop_open_with(&config);
	running = spawn_waits(loop, 1);
	queued = spawn_waits(loop, 2);
	turns_until(loop, &entered, 1);
	ck_assert_int_eq(apus_abort(loop, queued), 1);
	ck_assert_int_eq(join_turning(loop, queued), -ECANCELED);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 1);
	ck_assert_int_eq(discarded_result, -ECANCELED);
	ck_assert_int_eq(apus_abort(loop, running), 1);
	ck_assert_int_eq(join_turning(loop, running), -ECANCELED);
	turns(loop, 10);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 1);
	gate_open();
	turns_until(loop, &discarded, 2);
	ck_assert_int_eq(discarded_result, 1);
	ck_assert_uint_eq(apus_load_acquire(&entered), 1);
	loop_close(loop);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 2);
}
END_TEST

START_TEST(an_answer_that_a_task_did_not_take_is_discarded_with_the_task)
{
	struct apus_loop *loop = open_real();
	struct apus_join join = spawn_waits(loop, 1);

	turns_until(loop, &entered, 1);
	gate_open();
	while (apus_load_acquire(&left) == 0)
		;
	/* The answer may be in the inbox, or taken out of it by this turn and not by the task. */
	ck_assert_int_eq(apus_abort(loop, join), 1);
	ck_assert_int_eq(join_turning(loop, join), -ECANCELED);
	turns_until(loop, &discarded, 1);
	loop_close(loop);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 1);
}
END_TEST

/* The state is gone, the slot somebody else's: nothing of it may be touched. */
START_TEST(the_next_task_in_the_slot_is_not_touched)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_join join, next;
	struct user *state, zero = { .result = 0 };

	config_real(&config);
	config.slot_count = 1;
	loop = loop_open_with(&config);
	join = spawn_waits(loop, 1);
	turns_until(loop, &entered, 1);
	ck_assert_int_eq(apus_abort(loop, join), 1);
	ck_assert_int_eq(join_turning(loop, join), -ECANCELED);
	next = spawn_waits(loop, 2);
	turns_until(loop, &entered, 2);
	state = (struct user *)apus_join_state(loop, next);
	zero = *state;
	gate_open();
	turns_until(loop, &discarded, 1);
	ck_assert_int_eq(join_turning(loop, next), 4);
	ck_assert_int_eq(zero.job.in, 2);
	loop_close(loop);
}
END_TEST

/* ---- closing ------------------------------------------------------------------------------------ */

static void *opens_the_gate(void *arg)
{
	(void)arg;
	usleep(20000);
	gate_open();
	return NULL;
}

START_TEST(close_waits_for_what_runs_and_drops_what_does_not)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_counters final;
	pthread_t thread;
	unsigned before = threads_before();
	int i;

	config_real(&config);
	config.close_wait_ns = 100 * APUS_SEC;
	loop = loop_open_with(&config);
	for (i = 0; i < 4; i++)
		spawn_waits(loop, i);
	turns_until(loop, &entered, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, opens_the_gate, NULL), 0);
	ck_assert_int_eq(apus_close(loop, &final), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(final.offload_leaked, 0);
	ck_assert_uint_eq(final.offload_dropped, 2);
	ck_assert_uint_eq(apus_load_acquire(&left), 2);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 4);
	expect_threads(before);
}
END_TEST

/* DESIGN, shutdown: waits a configured time, then leaks and counts. */
START_TEST(close_gives_up_what_runs_on_and_says_so_and_the_loop_is_closed)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_counters final;
	unsigned before = threads_before();
	int64_t wait_ns;

	for (wait_ns = 0; wait_ns <= APUS_MSEC; wait_ns += APUS_MSEC) {
		config_real(&config);
		config.close_wait_ns = wait_ns;
		loop = loop_open_with(&config);
		spawn_waits(loop, 1);
		spawn_waits(loop, 2);
		turns_until(loop, &entered, 2);
		ck_assert_int_eq(apus_close(loop, &final), -EBUSY);
		ck_assert_uint_eq(final.offload_leaked, 2);
		ck_assert_uint_eq(apus_load_acquire(&discarded), 0);
		/* Another loop, in the same port, is not disturbed by what comes late. */
		loop = loop_open(0);
		gate_open();
		expect_threads(before);
		ck_assert_uint_eq(apus_load_acquire(&discarded), 2);
		turns(loop, 10);
		loop_close(loop);
	}
}
END_TEST

START_TEST(close_without_time_to_wait_leaks_no_thread_that_is_idle)
{
	struct apus_config config;
	struct apus_loop *loop;
	unsigned before = threads_before();
	int i;

	for (i = 0; i < 50; i++) {
		config_real(&config);
		config.close_wait_ns = 0;
		loop = loop_open_with(&config);
		ck_assert_int_eq(apus_run(loop, asks, (&(struct user){ .job = { .in = i } })), i);
		ck_assert_int_eq(apus_offload_warm(loop), 0);
		loop_close(loop);
	}
	expect_threads(before);
}
END_TEST

START_TEST(a_loop_that_stops_still_offloads)
{
	struct apus_loop *loop = open_real();
	struct apus_join join = spawn_waits(loop, 1);

	apus_stop(loop);
	turns_until(loop, &entered, 1);
	gate_open();
	ck_assert_int_eq(join_turning(loop, join), 2);
	loop_close(loop);
}
END_TEST

/* ---- a virtual clock ------------------------------------------------------------------------------ */

APUS_TASK(virtual, struct user)
{
	APUS_BEGIN(cx, self);
	self->job.in = 5;
	APUS_AWAIT(self->result, apus_timeout(cx, APUS_SEC,
		apus_offload_run(cx, &self->op, twice, &self->job)));
	if (self->result != 5 || self->job.out != 10 || self->job.thread != gettid())
		return -EBADMSG;
	APUS_END(cx->now_ns);
}

/* Promise 13 */
START_TEST(under_a_virtual_clock_a_function_takes_no_time_and_no_thread)
{
	struct apus_loop *loop = loop_open(_i);
	unsigned before = threads_before();
	int64_t now_ns = apus_clock_now(loop);

	ck_assert_int_eq(apus_run(loop, virtual, NULL), now_ns);
	ck_assert_uint_eq(thread_count(), before);
	ck_assert_int_eq(apus_offload_warm(loop), 0);
	ck_assert_uint_eq(thread_count(), before);
	loop_close(loop);
}
END_TEST

START_TEST(under_a_virtual_clock_an_answer_nobody_takes_is_discarded_too)
{
	struct apus_loop *loop = loop_open(_i);

	reset(1);
	ck_assert_int_eq(apus_run(loop, starts_gated, NULL), 0);
	loop_close(loop);
	ck_assert_uint_eq(apus_load_acquire(&discarded), 1);
}
END_TEST

APUS_TASK(asks_pending, struct user)
{
	return apus_offload_run(cx, &self->op, pending, &self->job);
}

static void call_pending(void *arg)
{
	struct apus_loop *loop = loop_open(0);

	(void)arg;
	apus_run(loop, asks_pending, NULL);
}

START_TEST(a_function_that_answers_pending_panics)
{
	test_expect_panic("pending answers pending", call_pending, NULL);
}
END_TEST

LOOP_TEST_MAIN("offload",
	a_function_answers_its_result_and_what_it_left_in_its_data,
	a_function_answers_its_errno,
	what_was_started_is_awaited_later_in_any_order,
	functions_begin_first_in_first_out,
	there_are_as_many_threads_as_asked_for_and_none_before_the_first_use,
	warming_starts_all_threads_and_one_at_work_takes_the_next_function_too,
	helpers_have_a_name_and_no_signals_and_where_the_process_was_allowed_to_run,
	helpers_of_a_pinned_loop_leave_its_core_to_it,
	helpers_of_a_real_time_loop_are_ordinary,
	a_full_queue_refuses_and_the_data_stays_the_callers,
	data_beyond_offload_bytes_is_emsgsize_and_without_threads_it_is_enotsup,
	an_object_in_flight_is_ebusy_to_anything_else_and_a_copy_of_it_goes_stale,
	another_tasks_object_is_eperm,
	a_wait_that_loses_is_all_that_is_lost,
	cancelling_what_was_not_begun_is_ecanceled_at_once_and_it_never_runs,
	cancelling_what_runs_tells_the_function_and_answers_when_it_returns,
	cancelling_what_has_returned_answers_it,
	a_dropped_object_is_idle_and_its_answer_is_discarded,
	a_task_that_returns_leaves_its_answer_to_discard,
	an_aborted_task_drops_what_was_not_begun_and_discards_what_runs,
	an_answer_that_a_task_did_not_take_is_discarded_with_the_task,
	the_next_task_in_the_slot_is_not_touched,
	close_waits_for_what_runs_and_drops_what_does_not,
	close_gives_up_what_runs_on_and_says_so_and_the_loop_is_closed,
	close_without_time_to_wait_leaks_no_thread_that_is_idle,
	a_loop_that_stops_still_offloads,
	under_a_virtual_clock_a_function_takes_no_time_and_no_thread,
	under_a_virtual_clock_an_answer_nobody_takes_is_discarded_too,
	a_function_that_answers_pending_panics)
