/*
 * test_uring.c - the io_uring backend: refusals, full queues, cancelling, closing.
 *
 * What descriptors and sockets do over it is what the tests of io and net show; they run over
 * it too.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sockets.h"
#include "io/uring.h"

/* ---- over io_uring, where the machine has it ------------------------------------- */

static void plain(struct apus_config *config)
{
	config->backend = APUS_IO_URING;
	config->log_fn = NULL;
}

static struct apusi_uring *uring(void)
{
	return apusi_uring_of(loop_io());
}

/* Why there is none; NULL: there is one. */
static const char *missing(void)
{
	static char reason[192];
	struct apus_config config;
	struct apus_loop *loop;

	apus_config_init(&config);
	plain(&config);
	if (apus_open(&loop, &config) == 0) {
		ck_assert_int_eq(apus_close(loop, NULL), 0);
		return NULL;
	}
	strcpy(reason, config.reason);
	return reason;
}

#define NEEDS_URING()                                            \
	do {                                                     \
		if (missing() != NULL)                           \
			TEST_SKIP("no io_uring: %s", missing()); \
	} while (0)

/* ---- refusals ----------------------------------------------------------------------- */

/* From now on the call answers -err to this process. */
static bool forbid(int call, int err)
{
	struct sock_filter lines[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = sizeof lines / sizeof *lines, .filter = lines };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static char heard[512];

static void hear(void *arg, enum apus_log_level level, const char *line)
{
	(void)arg, (void)level;
	strncat(heard, line, sizeof heard - strlen(heard) - 1);
}

static int open_as(enum apus_io_kind kind, char reason[192], enum apus_io_kind *got)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.backend = kind;
	config.log_fn = hear;
	heard[0] = '\0';
	err = apus_open(&loop, &config);
	memcpy(reason, config.reason, 192);
	if (err)
		return err;
	*got = apus_loop_cx(loop)->io->kind;
	ck_assert_int_eq(apus_close(loop, NULL), 0);
	return 0;
}

/* S7: a kernel, a container or a limit without io_uring says why. */
START_TEST(a_kernel_without_io_uring_is_named)
{
	enum apus_io_kind got;
	char reason[192];

	if (!forbid(SYS_io_uring_setup, ENOSYS))
		TEST_SKIP("no seccomp here");
	ck_assert_int_eq(open_as(APUS_IO_URING, reason, &got), -ENOSYS);
	ck_assert_str_eq(reason, "io_uring_setup: this kernel, or a filter of system calls, has none");
}
END_TEST

START_TEST(a_policy_against_io_uring_is_named)
{
	enum apus_io_kind got;
	char reason[192];

	if (!forbid(SYS_io_uring_setup, EPERM))
		TEST_SKIP("no seccomp here");
	ck_assert_int_eq(open_as(APUS_IO_URING, reason, &got), -EPERM);
	ck_assert_str_eq(reason,
		"io_uring_setup: kernel.io_uring_disabled, or a filter of system calls, forbids it");
	/* Named by the environment it is as much a wish as in the configuration. */
	setenv("APUS_BACKEND", "uring", 1);
	ck_assert_int_eq(open_as(APUS_IO_AUTO, reason, &got), -EPERM);
	unsetenv("APUS_BACKEND");
	ck_assert_int_eq(open_as(APUS_IO_AUTO, reason, &got), 0);
	ck_assert_int_eq(got, APUS_IO_EPOLL);
}
END_TEST

START_TEST(no_memory_for_a_ring_is_named)
{
	enum apus_io_kind got;
	char reason[192];

	if (!forbid(SYS_io_uring_setup, ENOMEM))
		TEST_SKIP("no seccomp here");
	ck_assert_int_eq(open_as(APUS_IO_URING, reason, &got), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(reason, "RLIMIT_MEMLOCK"));
}
END_TEST

/* The best of the two falls back on the other, and says why in the log. */
START_TEST(auto_falls_back_and_says_why)
{
	enum apus_io_kind got;
	char reason[192];

	NEEDS_URING();
	unsetenv("APUS_BACKEND");
	if (!forbid(SYS_epoll_create1, EPERM))
		TEST_SKIP("no seccomp here");
	ck_assert_int_eq(open_as(APUS_IO_AUTO, reason, &got), 0);
	ck_assert_int_eq(got, APUS_IO_URING);
	ck_assert_str_eq(heard,
		"backend uring: epoll cannot be had: epoll_create1: Operation not permitted");
	if (!forbid(SYS_io_uring_setup, EPERM))
		TEST_SKIP("no second filter");
	ck_assert_int_eq(open_as(APUS_IO_AUTO, reason, &got), 0);
	ck_assert_int_ne(got, APUS_IO_URING);
}
END_TEST

/* A limit on locked memory of 64 KiB, or of nothing, is either enough or named. */
START_TEST(a_limit_on_locked_memory_is_survived_or_named)
{
	const struct rlimit limits[] = { { 65536, 65536 }, { 0, 0 } };
	enum apus_io_kind got;
	char reason[192];
	size_t i;
	int err;

	NEEDS_URING();
	for (i = 0; i < sizeof limits / sizeof *limits; i++) {
		ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limits[i]), 0);
		err = open_as(APUS_IO_URING, reason, &got);
		if (err) {
			ck_assert_int_eq(err, -ENOMEM);
			ck_assert_ptr_nonnull(strstr(reason, "RLIMIT_MEMLOCK"));
		}
	}
}
END_TEST

START_TEST(a_configuration_that_cannot_be_is_refused)
{
	struct apus_config config;
	struct apus_loop *loop;

	NEEDS_URING();
	apus_config_init(&config);
	plain(&config);
	config.uring.entries = 64;
	config.uring.completions = 32;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_str_eq(config.reason, "config.uring.completions is less than config.uring.entries");
}
END_TEST

/* ---- full queues ----------------------------------------------------------------------- */

enum { PAIRS = 200 };

static void tiny(struct apus_config *config)
{
	plain(config);
	config->uring.entries = 8;
	config->uring.completions = 8;
	config->slot_count = 1024;
}

static void tiny_with(struct apus_config *config)
{
	tiny(config);
	config->spurious_seed = 0;
}

/*
 * P15: ten thousand waits on a ring of eight, two hundred at once.  More requests than the
 * submission queue takes, and more completions than theirs: none is lost.
 */
START_TEST(a_ring_of_8_carries_10_000_operations)
{
	static struct call readers[PAIRS];
	static char bytes[PAIRS];
	struct apus_tcp far[PAIRS];
	int round, i;

	NEEDS_URING();
	loop_open_with(tiny_with);
	for (i = 0; i < PAIRS; i++) {
		readers[i] = (struct call){ .poll = tcp_read, .data = &bytes[i], .bytes = 1 };
		ck_assert_int_eq(apus_unix_pair(main_loop, &readers[i].tcp, &far[i]), 0);
	}
	for (round = 0; round < 10000 / PAIRS; round++) {
		for (i = 0; i < PAIRS; i++)
			call_start(&readers[i]);
		apus_turn(main_loop);
		for (i = 0; i < PAIRS; i++) {
			char byte = (char)(i + round);

			ck_assert_int_eq(apus_tcp_try_write(main_loop, far[i], &byte, 1), 1);
		}
		for (i = 0; i < PAIRS; i++) {
			ck_assert_int_eq(call_finish(&readers[i]), 1);
			ck_assert_int_eq(bytes[i], (char)(i + round));
		}
	}
	loop_close();
}
END_TEST

/* S7: completions past the queue are kept by the kernel, and a reap asks for them. */
START_TEST(completions_that_overflow_their_queue_all_come)
{
	static struct call readers[PAIRS];
	static uint64_t counts[PAIRS];
	int fds[PAIRS], i;
	uint32_t got = 0;

	NEEDS_URING();
	loop_open_with(tiny_with);
	for (i = 0; i < PAIRS; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK);
		readers[i] = (struct call){ .poll = fd_read, .data = &counts[i], .bytes = 8 };
		ck_assert_int_eq(apus_fd_adopt(main_loop, fds[i], APUS_OWNED, &readers[i].fd), 0);
		call_start(&readers[i]);
	}
	turns();
	for (i = 0; i < PAIRS; i++)
		ck_assert_int_eq(eventfd_write(fds[i], (uint64_t)i + 1), 0);
	ck_assert_uint_gt(uring()->ring.cq.ring_entries, 0);
	ck_assert_uint_lt(uring()->ring.cq.ring_entries, PAIRS / 2);
	for (i = 0; i < 1000 && got < PAIRS; i++)
		got += apusi_io_reap(loop_io(), 0, 3);
	for (i = 0; i < PAIRS; i++) {
		ck_assert_int_eq(call_finish(&readers[i]), 8);
		ck_assert_uint_eq(counts[i], (uint64_t)i + 1);
	}
	loop_close();
}
END_TEST

/* ---- closing ------------------------------------------------------------------------------ */

/* A request holds the file: closing lets go of it at once, not some time later. */
START_TEST(the_peer_of_a_closed_socket_sees_the_end_at_once)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	int theirs;

	NEEDS_URING();
	loop_open_with(plain);
	call.tcp = pair_open(&theirs);
	call_start_pending(&call);
	ck_assert_int_eq(recv(theirs, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
	ck_assert_int_eq(recv(theirs, &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_int_eq(call_finish(&call), -EPIPE);
	ck_assert_uint_eq(uring()->in_flight, 1); /* the wake descriptor's */
	loop_close();
	close(theirs);
}
END_TEST

/* ... and so does closing the loop: the port can be had again by the next. */
START_TEST(a_closed_loop_holds_no_file)
{
	struct apus_address where, again;
	struct call calls[2] = { { .poll = tcp_accept }, { .poll = tcp_read } };
	struct apus_listen_config strict = { .no_reuse_address = true };
	struct apus_listener listener;
	char byte;
	int theirs;

	NEEDS_URING();
	loop_open_with(plain);
	calls[0].listener = listener_open("127.0.0.1:0", &where);
	calls[1].data = &byte;
	calls[1].bytes = 1;
	calls[1].tcp = pair_open(&theirs);
	call_start_pending(&calls[0]);
	call_start_pending(&calls[1]);
	loop_close();
	ck_assert_int_eq(recv(theirs, &byte, 1, MSG_DONTWAIT), 0);
	close(theirs);
	again = where;
	loop_open_with(plain);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &again, &strict, &listener), 0);
	loop_close();
}
END_TEST

TEST_MAIN("uring",
	a_kernel_without_io_uring_is_named,
	a_policy_against_io_uring_is_named,
	no_memory_for_a_ring_is_named,
	auto_falls_back_and_says_why,
	a_limit_on_locked_memory_is_survived_or_named,
	a_configuration_that_cannot_be_is_refused,
	a_ring_of_8_carries_10_000_operations,
	completions_that_overflow_their_queue_all_come,
	the_peer_of_a_closed_socket_sees_the_end_at_once,
	a_closed_loop_holds_no_file)
