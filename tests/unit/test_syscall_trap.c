/*
 * test_syscall_trap.c - promise 10: idle busy turns and the hot path do not call the kernel.
 *
 * A child runs the loop, its parent counts the system calls between two marks.
 */
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "loop_test.h"

enum { TURNS = 10000 };

/* A call that nobody else makes: the child's mark. */
static void mark(void)
{
	syscall(SYS_getppid);
}

/* The system calls that body makes between its two marks; -1: tracing is not allowed. */
static long calls_of(void (*body)(void))
{
	long calls = 0;
	int status, marks = 0;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(99);
		raise(SIGSTOP);
		body();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		return -1;
	ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	for (;;) {
		struct __ptrace_syscall_info info = { 0 };

		if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0 || waitpid(child, &status,
			0) != child)
			ck_abort_msg("the child is lost");
		if (WIFEXITED(status) || WIFSIGNALED(status))
			break;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) <= 0) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return -1;
		}
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (info.entry.nr == SYS_getppid)
			marks++;
		else if (marks == 1 && info.entry.nr != SYS_clock_gettime) /* no vDSO here */
			calls++;
	}
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child failed: %#x",
		(unsigned)status);
	ck_assert_int_eq(marks, 2);
	return calls;
}

static struct apus_loop *open_busy(uint32_t interval_turns)
{
	struct apus_config config;

	apus_config_init(&config);
	config.log_fn = NULL;
	config.io_interval_turns = interval_turns;
	return loop_open_with(&config);
}

static void call_three_times(void)
{
	mark();
	syscall(SYS_getpid);
	syscall(SYS_getpid);
	syscall(SYS_getpid);
	mark();
}

START_TEST(self_test_three_calls_are_three)
{
	long calls = calls_of(call_three_times);

	if (calls < 0)
		TEST_SKIP("tracing is not allowed here");
	ck_assert_int_eq(calls, 3);
}
END_TEST

static void turn_idle(void)
{
	struct apus_loop *loop = open_busy(0);

	apus_turn(loop);
	mark();
	turns(loop, TURNS);
	mark();
}

/* Promise 10. */
START_TEST(an_idle_busy_turn_does_not_call_the_kernel)
{
	long calls = calls_of(turn_idle);

	if (calls < 0)
		TEST_SKIP("tracing is not allowed here");
	ck_assert_int_eq(calls, 0);
}
END_TEST

struct some {
	struct apus_frame frame;
	struct apus_join join;
	struct apus_fd fd;
	uint64_t value;
	int i;
};

APUS_TASK(ends, struct some)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_yield(cx));
	APUS_END(0);
}

/* Far from idle: spawn, join, sleep, yield. */
APUS_TASK(works, struct some)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 1000; self->i++) {
		APUS_ASSERT(apus_spawn_slab(cx->loop, ends, NULL, &self->join) == 0);
		APUS_WAIT(apus_timeout(cx, APUS_SEC, apus_join(cx, self->join, NULL)));
		APUS_WAIT(apus_sleep(cx, 100));
	}
	APUS_END(0);
}

static void work(void)
{
	struct apus_loop *loop = open_busy(0);

	apus_run(loop, ends, NULL);
	mark();
	apus_run(loop, works, NULL);
	mark();
}

/* Promise 10. */
START_TEST(tasks_and_timers_do_not_call_the_kernel)
{
	long calls = calls_of(work);

	if (calls < 0)
		TEST_SKIP("tracing is not allowed here");
	ck_assert_int_eq(calls, 0);
}
END_TEST

APUS_TASK(reads, struct some)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_fd_read(cx, self->fd, &self->value, sizeof self->value));
	APUS_END(0);
}

static void turn_with_descriptor(uint32_t interval_turns)
{
	struct apus_loop *loop = open_busy(interval_turns);
	struct some init = { .i = 0 };

	/* Nothing to adopt it to: what follows counts 0 calls, and the test skips. */
	if (apus_fd_adopt(loop, eventfd(0, EFD_NONBLOCK), APUS_OWNED, &init.fd) == 0)
		APUS_ASSERT(apus_spawn_slab(loop, reads, &init, NULL) == 0);
	turns(loop, 10);
	mark();
	turns(loop, TURNS);
	mark();
}

static void turn_with_interval(void)
{
	turn_with_descriptor(100);
}

static void turn_without_interval(void)
{
	turn_with_descriptor(0);
}

static enum apus_io_kind kind_of_loops(void)
{
	struct apus_loop *loop = open_busy(0);
	enum apus_io_kind kind = apus_loop_cx(loop)->io->kind;

	loop_close(loop);
	return kind;
}

/* Promise 10's exception: I/O polls that are due, and no other call. */
START_TEST(idle_turns_with_descriptors_make_the_polls_that_are_due)
{
	long calls = calls_of(turn_with_interval);

	enum apus_io_kind kind = kind_of_loops();

	if (calls < 0)
		TEST_SKIP("tracing is not allowed here");
	if (kind == APUS_IO_NONE)
		TEST_SKIP("no backend for descriptors");
	/* To io_uring a poll is a look at memory. */
	ck_assert_int_eq(calls, kind == APUS_IO_URING ? 0 : TURNS / 100);
	ck_assert_int_eq(calls_of(turn_without_interval), kind == APUS_IO_URING ? 0 : TURNS);
}
END_TEST

TEST_MAIN("syscall trap",
	self_test_three_calls_are_three,
	an_idle_busy_turn_does_not_call_the_kernel,
	tasks_and_timers_do_not_call_the_kernel,
	idle_turns_with_descriptors_make_the_polls_that_are_due)
