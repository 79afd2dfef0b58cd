/*
 * test_uring.c - the io_uring backend: refusals, full queues, cancelling, closing.
 *
 * What descriptors and sockets do over it is what the tests of io and net show; they run over
 * it too.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sockets.h"
#include "apus/remote.h"
#include "io/native.h"
#include "io/uring.h"
#include "io/uring_kernel.h"

/* ---- over io_uring, where the machine has it ------------------------------------- */

static enum apus_uring_preset preset; /* each test runs with each */

static void plain(struct apus_config *config)
{
	config->backend = APUS_IO_URING;
	config->uring.preset = preset;
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
		preset = (enum apus_uring_preset)_i;             \
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

static enum apus_idle idle; /* of the loops that open_as opens */

static int open_as(enum apus_io_kind kind, char reason[192], enum apus_io_kind *got)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.idle = idle;
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

/* Who never parks asks every turn, which costs least over io_uring; who parks takes epoll. */
START_TEST(auto_takes_what_suits_how_the_loop_idles)
{
	enum apus_io_kind got;
	char reason[192];
	int i;

	NEEDS_URING();
	unsetenv("APUS_BACKEND");
	for (i = APUS_IDLE_BUSY; i <= APUS_IDLE_PARK; i++) {
		idle = (enum apus_idle)i;
		ck_assert_int_eq(open_as(APUS_IO_AUTO, reason, &got), 0);
		ck_assert_int_eq(got, idle >= APUS_IDLE_BACKOFF ? APUS_IO_EPOLL : APUS_IO_URING);
		ck_assert_str_eq(heard, "");
	}
}
END_TEST

/* Each of the two falls back on the other, and says why in the log. */
START_TEST(auto_falls_back_and_says_why)
{
	enum apus_io_kind got;
	char reason[192];

	NEEDS_URING();
	unsetenv("APUS_BACKEND");
	idle = APUS_IDLE_PARK;
	if (!forbid(SYS_epoll_create1, EPERM))
		TEST_SKIP("no seccomp here");
	ck_assert_int_eq(open_as(APUS_IO_AUTO, reason, &got), 0);
	ck_assert_int_eq(got, APUS_IO_URING);
	ck_assert_str_eq(heard,
		"backend uring: epoll cannot be had: epoll_create1: Operation not permitted");
}
END_TEST

START_TEST(auto_falls_back_where_io_uring_is_forbidden)
{
	enum apus_io_kind got;
	char reason[192];

	unsetenv("APUS_BACKEND");
	if (!forbid(SYS_io_uring_setup, EPERM))
		TEST_SKIP("no seccomp here");
	ck_assert_int_eq(open_as(APUS_IO_AUTO, reason, &got), 0);
	ck_assert_int_eq(got, APUS_IO_EPOLL);
	ck_assert_str_eq(heard, "backend epoll: uring cannot be had: io_uring_setup: "
		"kernel.io_uring_disabled, or a filter of system calls, forbids it");
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
	config.uring.preset = (enum apus_uring_preset)7;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_str_eq(config.reason, "config.uring.preset is neither latency nor throughput");
	config.uring.preset = preset;
	config.uring.entries = 64;
	config.uring.completions = 32;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_str_eq(config.reason, "config.uring.completions is less than config.uring.entries");
}
END_TEST

static void sqpoll(struct apus_config *config)
{
	plain(config);
	config->spurious_seed = 0;
	config->uring.sqpoll = true;
}

/* A thread of the kernel's submits: later, but the same, and closing still lets go at once. */
START_TEST(a_thread_of_the_kernels_submits)
{
	char buffer[8];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int theirs, i, round;

	NEEDS_URING();
	loop_open_with(sqpoll);
	for (round = 0; round < 5; round++) {
		call.tcp = pair_open(&theirs);
		for (i = 0; i < 20; i++) {
			call_start_pending(&call);
			raw_write(theirs, "ping", 4);
			ck_assert_int_eq(call_finish(&call), 4);
		}
		call_start_pending(&call);
		ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
		ck_assert_int_eq(call_finish(&call), -EPIPE);
		ck_assert_uint_eq(uring()->in_flight, 1);
		ck_assert_int_eq(recv(theirs, buffer, 1, 0), 0);
		close(theirs);
	}
	loop_close();
}
END_TEST

START_TEST(a_thread_on_a_core_that_is_not_there_is_refused)
{
	struct apus_config config;
	struct apus_loop *loop;

	NEEDS_URING();
	apus_config_init(&config);
	sqpoll(&config);
	config.uring.sqpoll_pin = true;
	config.uring.sqpoll_cpu = 8191;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_str_eq(config.reason, "config.uring.sqpoll_cpu: there is no CPU 8191 to submit on");
	config.uring.sqpoll = false;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_str_eq(config.reason, "config.uring.sqpoll_pin and sqpoll_idle_ms need sqpoll");
}
END_TEST

/* Set where the kernel has it, and read back from it; else refused, and why. */
START_TEST(spinning_on_the_device_is_set_or_refused)
{
	struct apusi_uring_napi napi = { 0 };
	struct apus_config config;
	int err;

	NEEDS_URING();
	apus_config_init(&config);
	plain(&config);
	config.uring.napi_usec = 37;
	err = apus_open(&main_loop, &config);
	if (err) {
		ck_assert_ptr_nonnull(strstr(config.reason, "config.uring.napi_usec: "));
		return;
	}
	ck_assert_int_eq(apusi_uring_register(loop_io(), APUSI_UNREGISTER_NAPI, &napi, 1), 0);
	ck_assert_uint_eq(napi.busy_poll_to_us, 37);
	loop_close();
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

static void parking(struct apus_config *config)
{
	plain(config);
	config->idle = APUS_IDLE_PARK;
}

/* That could not be made again when it ended: the kernel had no room.  Promise 9. */
START_TEST(a_loop_does_not_park_without_its_request_for_wakes)
{
	char byte;
	struct call call = { .poll = tcp_read_timeout, .data = &byte, .bytes = 1,
		.timeout_ns = APUS_MSEC };
	int theirs;

	NEEDS_URING();
	loop_open_with(parking);
	call.tcp = pair_open(&theirs);
	ck_assert_int_eq(call_run(&call), -ETIME);
	ck_assert(uring()->wakes);
	apusi_uring_cancel_wake(loop_io());
	ck_assert(!uring()->wakes);
	ck_assert_int_eq(call_run(&call), -ETIME);
	ck_assert(uring()->wakes);
	loop_close();
	close(theirs);
}
END_TEST

struct visitor {
	struct apus_frame frame;
};

APUS_TASK(visitor, struct visitor)
{
	(void)cx, (void)self;
	return 0;
}

/* The same of a loop that is nested in another: the host sleeps on its descriptor. */
START_TEST(a_host_does_not_wait_without_the_request_for_wakes)
{
	struct pollfd ours = { .events = POLLIN };

	NEEDS_URING();
	loop_open_with(plain);
	ours.fd = apus_loop_fd(main_loop);
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	apus_turn(main_loop);
	apusi_uring_cancel_wake(loop_io());
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	ck_assert(uring()->wakes);
	ck_assert_int_eq(poll(&ours, 1, 0), 0);
	ck_assert_int_eq(apus_remote_spawn(apus_loop_remote(main_loop), visitor, NULL, NULL), 0);
	ck_assert_int_eq(poll(&ours, 1, 10000), 1);
	turns();
	loop_close();
}
END_TEST

/* ---- a queue that the kernel does not take ------------------------------------------------- */

/* Full, and nothing of it goes to the kernel until unjam. */
static int jam(void)
{
	struct io_uring *ring = &uring()->ring;
	struct io_uring_sqe *sqe;
	int fd = ring->enter_ring_fd;

	while ((sqe = io_uring_get_sqe(ring)) != NULL) {
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, APUSI_URING_NONE);
	}
	ring->enter_ring_fd = -1;
	return fd;
}

static void unjam(int fd)
{
	uring()->ring.enter_ring_fd = fd;
}

/* Nor does a host wait while what it waits for is not with the kernel. */
START_TEST(a_host_does_not_wait_on_a_queue_that_is_full)
{
	int fd;

	NEEDS_URING();
	loop_open_with(plain);
	turns();
	fd = jam();
	ck_assert_int_eq(apus_loop_prepare(main_loop), 0);
	unjam(fd);
	ck_assert_int_eq(apus_loop_prepare(main_loop), APUS_NEVER);
	loop_close();
}
END_TEST

struct pipe_reader {
	struct apus_frame frame;
	struct apus_op op;
	int fd;
	char byte;
	apus_poll *answer;
};

static int read_begin(struct apus_cx *cx, struct pipe_reader *self)
{
	static const char verb;
	const struct apusi_call call = { .verb = &verb };
	const struct apusi_native native = { .opcode = APUSI_NATIVE_READ, .fd = self->fd,
		.data = &self->byte, .bytes = 1, .lent = &self->byte };

	return apusi_native_begin(cx, &self->op, &call, &native);
}

/* Of a pipe that nobody writes to: it ends when it is cancelled, and never else. */
APUS_TASK(pipe_reader, struct pipe_reader)
{
	int fd;

	APUS_BEGIN(cx, self);
	ck_assert_int_eq(read_begin(cx, self), 0);
	APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	fd = jam();
	ck_assert_int_eq(apus_op_cancel(cx, &self->op), APUS_PENDING);
	unjam(fd);
	APUS_AWAIT(*self->answer, apus_op_cancel(cx, &self->op));
	APUS_END(0);
}

/* Promise 5: the buffer comes back, though the queue had no room for the cancel. */
START_TEST(a_cancel_that_found_the_queue_full_is_made_later)
{
	apus_poll answer = APUS_PENDING;
	struct pipe_reader init = { .answer = &answer };
	struct apus_join join;
	int ends[2], parks;

	NEEDS_URING();
	for (parks = 0; parks < 2; parks++) {
		loop_open_with(parks ? parking : plain);
		ck_assert_int_eq(pipe(ends), 0);
		init.fd = ends[0];
		ck_assert_int_eq(apus_spawn_slab(main_loop, pipe_reader, &init, &join), 0);
		while (apus_join_is_finished(main_loop, join) == 0)
			apus_turn(main_loop);
		ck_assert_int_eq(answer, -ECANCELED);
		ck_assert(!uring()->owes);
		loop_close();
		close(ends[0]);
		close(ends[1]);
	}
}
END_TEST

/* ---- receiving ---------------------------------------------------------------------------- */

/* Every segment is with the kernel or free: none is lost, none is held. */
static void expect_segments_back(void)
{
	ck_assert_uint_eq(uring()->lent_count + loop_io()->segments.free_count,
		loop_io()->segments.count);
}

static bool is_armed(uint64_t token)
{
	return (apusi_uring_slot_of(slot_of(token))->armed & APUSI_URING_READS) != 0;
}

static uint32_t held(uint64_t token)
{
	return apusi_uring_slot_of(slot_of(token))->count;
}

/* The kernel brings the bytes; no receive is called, and none is refused. */
START_TEST(a_stream_of_ours_is_received_by_the_ring)
{
	char buffer[8];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	uint64_t before;
	int theirs, i;

	NEEDS_URING();
	loop_open_with(plain);
	if (uring()->lent == NULL)
		TEST_SKIP("no buffer rings in this kernel");
	call.tcp = pair_open(&theirs);
	call_start_pending(&call);
	before = uring()->counts.enters;
	for (i = 0; i < 100; i++) {
		raw_write(theirs, "ping", 4);
		ck_assert_int_eq(call_finish(&call), 4);
		ck_assert_int_eq(memcmp(buffer, "ping", 4), 0);
		call_start_pending(&call);
		ck_assert(is_armed(call.tcp.token));
	}
	/* A call of the kernel's a message, with all the turns between them. */
	ck_assert_uint_le(uring()->counts.enters - before, 100 + 1);
	call_abort(&call);
	expect_segments_back();
	loop_close();
	close(theirs);
}
END_TEST

/* Promise 5, and order: what came while nobody waited, the end and errors behind it. */
START_TEST(what_the_ring_brought_comes_before_the_end)
{
	char buffer[32] = "";
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = 3 };
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	int theirs, way;

	NEEDS_URING();
	loop_open_with(plain);
	for (way = 0; way < 2; way++) {
		call.bytes = 3;
		call.tcp = pair_open(&theirs);
		call_start_pending(&call);
		call_abort(&call);
		raw_write(theirs, "abcde", 5);
		turns();
		ck_assert_uint_eq(held(call.tcp.token), 1);
		if (way == 1)
			ck_assert_int_eq(setsockopt(theirs, SOL_SOCKET, SO_LINGER, &now,
				sizeof now), 0);
		close(theirs);
		turns();
		ck_assert(!is_armed(call.tcp.token));
		ck_assert_int_eq(call_run(&call), 3);
		ck_assert_int_eq(memcmp(buffer, "abc", 3), 0);
		call.bytes = sizeof buffer;
		ck_assert_int_eq(call_run(&call), 2);
		ck_assert_int_eq(memcmp(buffer, "de", 2), 0);
		if (way == 1)
			ck_assert_int_eq(call_run(&call), -ECONNRESET);
		ck_assert_int_eq(call_run(&call), 0);
		ck_assert_int_eq(call_run(&call), 0);
		ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
	}
	expect_segments_back();
	loop_close();
}
END_TEST

/* Just after our read was refused, and before the kernel hears of the wait. */
static apus_poll read_and_let_go(struct apus_cx *cx, struct call *call)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };
	apus_poll answer = tcp_read(cx, call);
	int *theirs = call->arg;

	if (*theirs < 0)
		return answer;
	ck_assert_int_eq(answer, APUS_PENDING);
	ck_assert_int_eq(setsockopt(*theirs, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	raw_write(*theirs, "abcd", 4);
	close(*theirs);
	*theirs = -1;
	return answer;
}

START_TEST(a_reset_directly_behind_bytes_is_told)
{
	char buffer[8];
	int theirs;
	struct call call = { .data = buffer, .bytes = sizeof buffer, .arg = &theirs };

	NEEDS_URING();
	loop_open_with(plain);
	call.tcp = pair_open(&theirs);
	call.poll = read_and_let_go;
	ck_assert_int_eq(call_run(&call), 4);
	ck_assert_int_eq(call_run(&call), -ECONNRESET);
	ck_assert_int_eq(call_run(&call), 0);
	ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
	expect_segments_back();
	loop_close();
}
END_TEST

static void few_segments(struct apus_config *config)
{
	plain(config);
	config->spurious_seed = 0;
	config->segment_count = 32;
	config->segment_bytes = 64;
}

static size_t fill(int fd, unsigned char seed)
{
	unsigned char block[997];
	size_t sent = 0, i;
	ssize_t put;

	do {
		for (i = 0; i < sizeof block; i++)
			block[i] = (unsigned char)((sent + i) * 31 + seed);
		put = send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += put > 0 ? (size_t)put : 0;
	} while (put > 0 && sent < 300000);
	return sent;
}

static void expect_filled(struct apus_tcp tcp, size_t sent, unsigned char seed)
{
	static unsigned char block[777];
	struct call call = { .poll = tcp_read, .data = block, .bytes = sizeof block, .tcp = tcp };
	size_t done = 0;
	int64_t i;

	while (done < sent) {
		ck_assert_int_gt(call_run(&call), 0);
		for (i = 0; i < call.answer; i++, done++)
			if (block[i] != (unsigned char)(done * 31 + seed))
				ck_abort_msg("byte %zu of %zu is wrong", done, sent);
	}
	call_start_pending(&call);
	call_abort(&call);
}

/*
 * S7: connections that nobody reads take all the segments there are: the receives end for
 * want of them, others are read directly, and no byte is lost or out of its place.
 */
START_TEST(a_flood_that_nobody_reads_starves_nobody)
{
	enum { FLOODS = 24 };
	struct apus_tcp flooded[FLOODS];
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 }, once;
	size_t sent[FLOODS];
	int far[FLOODS], theirs, i;

	NEEDS_URING();
	loop_open_with(few_segments);
	for (i = 0; i < FLOODS; i++) {
		flooded[i] = pair_open(&far[i]);
		once = (struct call){ .poll = tcp_read, .data = &byte, .bytes = 1,
			.tcp = flooded[i] };
		call_start_pending(&once);
		call_abort(&once);
	}
	call.tcp = pair_open(&theirs);
	call_start_pending(&call);
	for (i = 0; i < FLOODS; i++)
		sent[i] = fill(far[i], (unsigned char)i);
	turns();
	ck_assert_uint_gt(uring()->counts.out_of_segments, 0);
	for (i = 0; i < 50; i++) {
		raw_write(theirs, &(char){ (char)i }, 1);
		ck_assert_int_eq(call_finish(&call), 1);
		ck_assert_int_eq(byte, (char)i);
		call_start_pending(&call);
	}
	call_abort(&call);
	for (i = 0; i < FLOODS; i++)
		expect_filled(flooded[i], sent[i], (unsigned char)i);
	expect_segments_back();
	ck_assert_uint_gt(uring()->lent_count, 0);
	loop_close();
}
END_TEST

/* Back-pressure: what nobody reads stays with the kernel, and with the sender. */
START_TEST(one_that_nobody_reads_holds_little)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	size_t sent;
	int theirs;

	NEEDS_URING();
	loop_open_with(few_segments);
	call.tcp = pair_open(&theirs);
	call_start_pending(&call);
	call_abort(&call);
	raw_write(theirs, "a", 1);
	turns();
	ck_assert_int_eq(call_run(&call), 1);
	call_start_pending(&call);
	call_abort(&call);
	sent = fill(theirs, 9);
	turns();
	ck_assert_uint_le(held(call.tcp.token), loop_io()->segments.count);
	ck_assert(!is_armed(call.tcp.token));
	ck_assert_uint_ge(uring()->counts.held_back + uring()->counts.out_of_segments, 1);
	expect_filled(call.tcp, sent, 9);
	expect_segments_back();
	loop_close();
}
END_TEST

/* ... also where the queue was full when the request was to end. */
START_TEST(a_request_that_could_not_be_ended_is_ended_later)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	struct apus_io *io;
	struct apusi_slot *slot;
	int theirs, fd;

	NEEDS_URING();
	loop_open_with(plain);
	call.tcp = pair_open(&theirs);
	call_start_pending(&call);
	call_abort(&call);
	turns();
	ck_assert_int_eq(apusi_slot_enter(main_loop, call.tcp.token, &io, &slot), 0);
	ck_assert(is_armed(call.tcp.token));
	fd = jam();
	apusi_uring_stop(io, slot);
	unjam(fd);
	turns();
	ck_assert(!is_armed(call.tcp.token));
	raw_write(theirs, "a", 1);
	ck_assert_int_eq(call_run(&call), 1);
	loop_close();
	close(theirs);
}
END_TEST

/* A socket that is closed while the queue is full has let go of its file all the same. */
START_TEST(a_socket_is_closed_behind_a_full_queue)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	int theirs, fd;

	NEEDS_URING();
	loop_open_with(plain);
	call.tcp = pair_open(&theirs);
	call_start_pending(&call);
	turns();
	fd = jam();
	unjam(fd); /* full, but the kernel takes it */
	ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
	ck_assert_int_eq(recv(theirs, &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_int_eq(call_finish(&call), -EPIPE);
	ck_assert_uint_eq(uring()->in_flight, 1); /* the wake descriptor's */
	loop_close();
	close(theirs);
}
END_TEST

/* Closing, aborting and timing out with receives in flight and bytes that were not read. */
START_TEST(what_is_closed_gives_its_segments_back)
{
	char byte;
	struct call call = { .poll = tcp_read_timeout, .data = &byte, .bytes = 1,
		.timeout_ns = APUS_MSEC };
	int theirs, i;

	NEEDS_URING();
	loop_open_with(few_segments);
	for (i = 0; i < 200; i++) {
		call.tcp = pair_open(&theirs);
		ck_assert_int_eq(call_run(&call), -ETIME);
		fill(theirs, 1);
		if (i % 2 != 0)
			turns(); /* else the bytes are still on their way */
		ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
		expect_segments_back();
		ck_assert_uint_eq(uring()->in_flight, 1);
		close(theirs);
	}
	call.tcp = pair_open(&theirs);
	ck_assert_int_eq(call_run(&call), -ETIME);
	fill(theirs, 1);
	loop_close();
	close(theirs);
}
END_TEST

/* The descriptor leaves with every byte that was not read, or it does not leave. */
START_TEST(a_descriptor_with_unread_bytes_is_not_released)
{
	char buffer[8] = "";
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = 2 };
	int theirs, fd, i;

	NEEDS_URING();
	loop_open_with(plain);
	for (i = 0; i < 2; i++) {
		call.bytes = 2;
		call.tcp = pair_open(&theirs);
		call_start_pending(&call);
		call_abort(&call);
		raw_write(theirs, "abcd", 4);
		turns();
		ck_assert_int_eq(apus_tcp_release(main_loop, call.tcp), -EBUSY);
		ck_assert_int_eq(call_run(&call), 2);
		ck_assert_int_eq(apus_tcp_release(main_loop, call.tcp), -EBUSY);
		ck_assert_int_eq(call_run(&call), 2);
		ck_assert_int_eq(memcmp(buffer, "cd", 2), 0);
		call.bytes = sizeof buffer;
		call_start_pending(&call); /* it goes on, without holding anything */
		raw_write(theirs, "efgh", 4);
		ck_assert_int_eq(call_finish(&call), 4);
		raw_write(theirs, "ijkl", 4);
		turns();
		fd = apus_tcp_release(main_loop, call.tcp);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(recv(fd, buffer, sizeof buffer, MSG_DONTWAIT), 4);
		ck_assert_int_eq(memcmp(buffer, "ijkl", 4), 0);
		close(fd);
		close(theirs);
	}
	loop_close();
}
END_TEST

/* Bytes on their way when it is released are either held, and it stays, or leave with it. */
START_TEST(a_release_that_races_with_bytes_loses_none)
{
	char buffer[8] = "";
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = 4 };
	int theirs, fd, i;

	NEEDS_URING();
	loop_open_with(plain);
	for (i = 0; i < 20; i++) {
		call.tcp = pair_open(&theirs);
		call_start_pending(&call);
		call_abort(&call);
		raw_write(theirs, "abcd", 4);
		fd = apus_tcp_release(main_loop, call.tcp);
		if (fd < 0) {
			ck_assert_int_eq(fd, -EBUSY);
			ck_assert_int_eq(call_run(&call), 4);
			fd = apus_tcp_release(main_loop, call.tcp);
		} else {
			ck_assert_int_eq(recv(fd, buffer, 4, MSG_DONTWAIT), 4);
		}
		ck_assert_int_eq(memcmp(buffer, "abcd", 4), 0);
		close(fd);
		close(theirs);
	}
	loop_close();
}
END_TEST

START_TEST(bytes_that_were_held_are_read_first_when_it_is_hot)
{
	char buffer[8] = "";
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = 4 };
	int theirs, i;

	NEEDS_URING();
	loop_open_with(plain);
	call.tcp = pair_open(&theirs);
	for (i = 0; i < 4; i++) {
		call_start_pending(&call);
		call_abort(&call);
		raw_write(theirs, "held", 4);
		if (i % 2 == 0)
			turns();
		ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, true), 0);
		raw_write(theirs, "next", 4);
		ck_assert_int_eq(call_run(&call), 4);
		ck_assert_int_eq(memcmp(buffer, "held", 4), 0);
		ck_assert_int_eq(call_run(&call), 4);
		ck_assert_int_eq(memcmp(buffer, "next", 4), 0);
		call_start_pending(&call);
		ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, false), 0);
		raw_write(theirs, "cool", 4);
		ck_assert_int_eq(call_finish(&call), 4);
		ck_assert_int_eq(memcmp(buffer, "cool", 4), 0);
	}
	loop_close();
}
END_TEST

/* ---- accepting ------------------------------------------------------------------------------- */

static int open_descriptors(void)
{
	int count = 0, fd;

	for (fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* S7: an accept that was abandoned still brings a connection: it is the next one's. */
START_TEST(a_connection_that_an_abandoned_accept_brought_is_the_next_ones)
{
	struct apus_address where;
	struct call call = { .poll = tcp_accept };
	int theirs, i;

	NEEDS_URING();
	loop_open_with(plain);
	call.listener = listener_open("127.0.0.1:0", &where);
	for (i = 0; i < 5; i++) {
		call_start_pending(&call);
		call_abort(&call);
		theirs = raw_connect(&where);
		turns();
		ck_assert_uint_eq(held(call.listener.token), 1);
		ck_assert_int_eq(call_run(&call), 0);
		ck_assert_uint_eq(apus_address_port(&call.address) != 0, 1);
		ck_assert_int_eq(apus_tcp_try_write(main_loop, call.tcp, "x", 1), 1);
		ck_assert_int_eq(recv(theirs, &(char){ 0 }, 1, 0), 1);
		ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
		close(theirs);
	}
	loop_close();
}
END_TEST

/* S7: what a cancelled accept brought is closed and never leaked, and its peer sees the end. */
START_TEST(a_closed_listener_closes_what_nobody_took)
{
	struct apus_address where;
	struct call call = { .poll = tcp_accept };
	int theirs[10], before, i, way;
	char byte;

	NEEDS_URING();
	loop_open_with(plain);
	before = open_descriptors();
	for (way = 0; way < 2; way++) {
		call.listener = listener_open("127.0.0.1:0", &where);
		call_start_pending(&call);
		call_abort(&call);
		for (i = 0; i < 10; i++)
			theirs[i] = raw_connect(&where);
		if (way == 0)
			turns(); /* else the completions are still on their way */
		ck_assert_int_eq(apus_listener_close(main_loop, call.listener), 0);
		ck_assert_int_eq(open_descriptors(), before + 10);
		for (i = 0; i < 10; i++) {
			ck_assert_int_le(recv(theirs[i], &byte, 1, MSG_DONTWAIT), 0);
			close(theirs[i]);
		}
		ck_assert_uint_eq(uring()->accepted_free, 4096);
	}
	loop_close();
}
END_TEST

/* Who does not accept means the backlog to fill: few are held, and none is lost. */
START_TEST(connections_that_nobody_accepts_stay_in_the_backlog)
{
	enum { CONNECTIONS = 100 };
	struct apus_address where;
	struct call call = { .poll = tcp_accept };
	int theirs[CONNECTIONS], i;

	NEEDS_URING();
	loop_open_with(plain);
	call.listener = listener_open("127.0.0.1:0", &where);
	call_start_pending(&call);
	call_abort(&call);
	for (i = 0; i < CONNECTIONS; i++) {
		theirs[i] = raw_connect(&where);
		apus_turn(main_loop);
	}
	ck_assert_uint_le(held(call.listener.token), 20);
	ck_assert_uint_ge(uring()->counts.held_back, 1);
	for (i = 0; i < CONNECTIONS; i++) {
		ck_assert_int_eq(call_run(&call), 0);
		ck_assert_int_eq(apus_tcp_try_write(main_loop, call.tcp, "x", 1), 1);
	}
	for (i = 0; i < CONNECTIONS; i++)
		ck_assert_int_eq(recv(theirs[i], &(char){ 0 }, 1, 0), 1);
	call_start_pending(&call);
	ck_assert_uint_eq(uring()->counts.accepts_closed, 0);
	loop_close();
}
END_TEST

/* S9: a limit on descriptors ends the request; the next accept is told, and it goes on. */
START_TEST(an_accept_request_that_ran_out_of_descriptors_goes_on)
{
	struct apus_address where;
	struct call call = { .poll = tcp_accept };
	struct rlimit limit, one_left;
	int theirs, last, i;

	NEEDS_URING();
	loop_open_with(plain);
	call.listener = listener_open("127.0.0.1:0", &where);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (i = 0; i < 3; i++) {
		theirs = socket(AF_INET, SOCK_STREAM, 0);
		last = dup(theirs);
		close(last);
		one_left = limit;
		one_left.rlim_cur = (rlim_t)last + 1; /* the kernel looks at it when it is armed */
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &one_left), 0);
		call_start_pending(&call);
		ck_assert(is_armed(call.listener.token));
		ck_assert_int_eq(dup(theirs), last);
		ck_assert_int_eq(connect(theirs, &where.any, where.bytes), 0);
		ck_assert_int_eq(call_finish(&call), -EMFILE);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		close(last);
		ck_assert_int_eq(call_run(&call), 0);
		ck_assert_int_eq(apus_tcp_close(main_loop, call.tcp), 0);
		close(theirs);
	}
	loop_close();
}
END_TEST

/* ---- datagrams ------------------------------------------------------------------------------- */

static struct apus_udp udp_at(const struct apus_udp_config *config, struct apus_address *where)
{
	struct apus_address any = address_of("127.0.0.1:0");
	struct apus_udp udp;

	ck_assert_int_eq(apus_udp_open(main_loop, &any, config, &udp), 0);
	ck_assert_int_eq(apus_udp_local(main_loop, udp, where), 0);
	return udp;
}

static int64_t put(struct apus_udp from, const struct apus_address *to, const char *text)
{
	return apus_udp_try_send(main_loop, from, text, strlen(text), to);
}

static void expect_text(struct call *call, const char *text)
{
	ck_assert_int_eq(call_run(call), (int64_t)strlen(text));
	ck_assert_int_eq(memcmp(call->data, text, strlen(text)), 0);
}

/* Waits for a datagram, and gives up. */
static void wait_in_vain(struct call *call)
{
	call_start_pending(call);
	call_abort(call);
}

static void open_for_datagrams(void (*change)(struct apus_config *config))
{
	loop_open_with(change);
	if (loop_io()->datagram_bytes == 0)
		TEST_SKIP("no buffer rings in this kernel");
}

/* The kernel brings them, and from whom; no receive is called, and none is refused. */
START_TEST(datagrams_of_ours_are_received_by_the_ring)
{
	struct apus_address here, there;
	char buffer[64];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp from;
	uint64_t before;
	int i;

	NEEDS_URING();
	open_for_datagrams(plain);
	call.udp = udp_at(NULL, &here);
	from = udp_at(NULL, &there);
	call_start_pending(&call);
	before = uring()->counts.enters;
	for (i = 0; i < 100; i++) {
		ck_assert(is_armed(call.udp.token));
		ck_assert_int_eq(put(from, &here, "ping"), 4);
		ck_assert_int_eq(call_finish(&call), 4);
		ck_assert_int_eq(memcmp(buffer, "ping", 4), 0);
		ck_assert_uint_eq(call.packet.bytes, 4);
		ck_assert_uint_eq(call.packet.full_bytes, 4);
		ck_assert(!call.packet.is_truncated);
		ck_assert_int_eq(call.packet.stamp_ns, 0);
		ck_assert(apus_address_is_same(&call.packet.address, &there));
		call_start_pending(&call);
	}
	/* A call of the kernel's a datagram, and one more in some thirty, when it lets others run. */
	ck_assert_uint_le(uring()->counts.enters - before, 100 + 100 / 10);
	call_abort(&call);
	expect_segments_back();
	loop_close();
}
END_TEST

/* Promise 5, and order, by each way to receive: nothing is a datagram too. */
START_TEST(a_datagram_of_a_lost_receive_is_the_next_calls)
{
	const struct apus_udp_config config = { .timestamps = true, .drops = true };
	struct apus_address here;
	char buffer[4];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	int round;

	NEEDS_URING();
	open_for_datagrams(plain);
	call.udp = udp_at(&config, &here);
	for (round = 0; round < 3; round++) {
		call.poll = udp_recv;
		wait_in_vain(&call);
		ck_assert_int_eq(put(call.udp, &here, "one"), 3);
		ck_assert_int_eq(put(call.udp, &here, "two is long"), 11);
		ck_assert_int_eq(put(call.udp, &here, "three"), 5);
		ck_assert_int_eq(put(call.udp, &here, "4"), 1);
		ck_assert_int_eq(put(call.udp, &here, ""), 0);
		turns();
		ck_assert_uint_eq(held(call.udp.token), 5);
		ck_assert(!is_armed(call.udp.token));
		ck_assert_int_eq(put(call.udp, &here, "last"), 4);
		expect_text(&call, "one");
		ck_assert_int_ne(call.packet.stamp_ns, 0);
		ck_assert_uint_eq(call.packet.drops, 0);
		ck_assert_int_eq(call_run(&call), 4);
		ck_assert(call.packet.is_truncated);
		ck_assert_uint_eq(call.packet.bytes, 4);
		ck_assert_uint_eq(call.packet.full_bytes, 11);
		call.poll = udp_recv_plain;
		ck_assert_int_eq(call_run(&call), -EMSGSIZE);
		ck_assert_int_eq(apus_udp_try_recv(main_loop, call.udp, buffer, 4, NULL), 1);
		ck_assert_int_eq(buffer[0], '4');
		ck_assert_int_eq(apus_udp_try_recv(main_loop, call.udp, NULL, 0, &call.packet), 0);
		ck_assert_uint_eq(call.packet.full_bytes, 0);
		ck_assert(apus_address_is_same(&call.packet.address, &here));
		expect_text(&call, "last");
		expect_segments_back();
	}
	loop_close();
}
END_TEST

/* A batch takes what is held, as far as it has room, and then the socket's. */
START_TEST(a_batch_takes_what_is_held_first)
{
	const struct apus_udp_config config = { .timestamps = true };
	struct apus_address here;
	struct apus_batch batch;
	struct call call = { .poll = udp_recv_batch, .batch = &batch };
	char text[] = "0 and more";
	int round, i;

	NEEDS_URING();
	open_for_datagrams(plain);
	ck_assert_int_eq(apus_batch_init(&batch, 4, 6), 0);
	call.udp = udp_at(&config, &here);
	for (round = 0; round < 3; round++) {
		wait_in_vain(&call);
		for (i = 0; i < 7; i++) {
			text[0] = (char)('0' + i);
			text[1 + i] = '\0';
			ck_assert_int_eq(put(call.udp, &here, text), i + 1);
			memcpy(text, "0 and more", sizeof text);
		}
		turns();
		ck_assert_uint_eq(held(call.udp.token), 7);
		ck_assert_int_eq(call_run(&call), 4);
		for (i = 0; i < 4; i++) {
			ck_assert_uint_eq(batch.packets[i].bytes, (uint32_t)i + 1);
			ck_assert_int_eq(*(char *)batch.packets[i].data, '0' + i);
			ck_assert_int_ne(batch.packets[i].stamp_ns, 0);
			ck_assert(apus_address_is_same(&batch.packets[i].address, &here));
		}
		ck_assert_int_eq(call_run(&call), 3);
		ck_assert_int_eq(*(char *)batch.packets[2].data, '6');
		ck_assert_uint_eq(batch.packets[2].bytes, 6);
		ck_assert_uint_eq(batch.packets[2].full_bytes, 7);
		ck_assert(batch.packets[2].is_truncated);
		expect_segments_back();
	}
	apus_batch_deinit(&batch);
	loop_close();
}
END_TEST

static void short_segments(struct apus_config *config)
{
	plain(config);
	config->spurious_seed = 0;
	config->segment_count = 32;
	config->segment_bytes = 256;
}

/* What no segment holds comes whole, for who asks for so much before it waits. */
START_TEST(a_datagram_longer_than_a_segment_comes_whole)
{
	static char text[1001], buffer[2000];
	struct apus_address here;
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	int i;

	NEEDS_URING();
	open_for_datagrams(short_segments);
	memset(text, 'x', 1000);
	call.udp = udp_at(NULL, &here);
	for (i = 0; i < 3; i++) {
		call_start_pending(&call);
		ck_assert_int_eq(put(call.udp, &here, text), 1000);
		ck_assert_int_eq(call_finish(&call), 1000);
		ck_assert_int_eq(memcmp(buffer, text, 1000), 0);
		ck_assert_uint_eq(uring()->counts.out_of_segments, 0);
	}
	loop_close();
}
END_TEST

/* ... and who asks for more than before is told of what was cut off, once: from then on whole. */
START_TEST(who_asks_for_longer_datagrams_is_received_directly)
{
	static char text[1001], buffer[2000];
	struct apus_address here;
	struct call call = { .poll = udp_recv, .data = buffer };
	uint32_t most;

	NEEDS_URING();
	open_for_datagrams(short_segments);
	most = loop_io()->datagram_bytes;
	memset(text, 'x', 1000);
	call.udp = udp_at(NULL, &here);
	call.bytes = most;
	wait_in_vain(&call);
	ck_assert_int_eq(put(call.udp, &here, text), 1000);
	turns();
	ck_assert_uint_eq(held(call.udp.token), 1);
	call.bytes = sizeof buffer;
	ck_assert_int_eq(call_run(&call), most);
	ck_assert(call.packet.is_truncated);
	ck_assert_uint_eq(call.packet.bytes, most);
	ck_assert_uint_eq(call.packet.full_bytes, 1000);
	ck_assert(!is_armed(call.udp.token));
	ck_assert_int_eq(put(call.udp, &here, text), 1000);
	ck_assert_int_eq(call_run(&call), 1000);
	call_start_pending(&call);
	ck_assert_int_eq(put(call.udp, &here, text), 1000);
	ck_assert_int_eq(call_finish(&call), 1000);
	ck_assert(!call.packet.is_truncated);
	call.bytes = most;
	wait_in_vain(&call);
	ck_assert_int_eq(put(call.udp, &here, text), 1000);
	turns();
	ck_assert_uint_eq(held(call.udp.token), 0);
	expect_segments_back();
	loop_close();
}
END_TEST

/* S7: what nobody reads takes no more than its share; nothing is lost or out of its place. */
START_TEST(datagrams_that_nobody_reads_stay_with_the_kernel)
{
	enum { FLOODS = 10, EACH = 20 };
	struct apus_address here[FLOODS];
	char buffer[32], text[32];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp flooded[FLOODS];
	int i, j;

	NEEDS_URING();
	open_for_datagrams(short_segments);
	for (i = 0; i < FLOODS; i++) {
		call.udp = flooded[i] = udp_at(NULL, &here[i]);
		wait_in_vain(&call);
	}
	for (i = 0; i < FLOODS; i++)
		for (j = 0; j < EACH; j++) {
			snprintf(text, sizeof text, "%d of %d", j, i);
			ck_assert_int_gt(put(flooded[i], &here[i], text), 0);
			apus_turn(main_loop);
		}
	turns();
	ck_assert_uint_gt(uring()->counts.held_back, 0);
	ck_assert_uint_gt(uring()->counts.out_of_segments, 0);
	for (i = 0; i < FLOODS; i++) {
		call.udp = flooded[i];
		for (j = 0; j < EACH; j++) {
			snprintf(text, sizeof text, "%d of %d", j, i);
			expect_text(&call, text);
		}
		wait_in_vain(&call);
		ck_assert(is_armed(call.udp.token));
	}
	expect_segments_back();
	loop_close();
}
END_TEST

/* A full buffer's losses are told by what comes through the ring afterwards. */
START_TEST(what_was_lost_is_told_by_the_next_that_is_held)
{
	const struct apus_udp_config config = { .drops = true, .receive_buffer_bytes = 4096 };
	struct apus_address here;
	char buffer[64];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };

	NEEDS_URING();
	open_for_datagrams(short_segments);
	call.udp = udp_at(&config, &here);
	wait_in_vain(&call);
	while (apus_udp_drops(main_loop, call.udp) < 10)
		ck_assert_int_eq(put(call.udp, &here, "x"), 1);
	turns();
	while (apus_udp_try_recv(main_loop, call.udp, buffer, sizeof buffer, NULL) >= 0)
		continue;
	wait_in_vain(&call);
	ck_assert_int_eq(put(call.udp, &here, "after"), 5);
	turns();
	ck_assert_uint_eq(held(call.udp.token), 1);
	expect_text(&call, "after");
	ck_assert_uint_ge(call.packet.drops, 10);
	ck_assert_int_eq(call.packet.drops, apus_udp_drops(main_loop, call.udp));
	loop_close();
}
END_TEST

/* Behind what is held, once; and the socket goes on. */
START_TEST(a_refusal_comes_behind_what_is_held)
{
	struct apus_address here, there;
	char buffer[8];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp peer;

	NEEDS_URING();
	open_for_datagrams(plain);
	call.udp = udp_at(NULL, &here);
	peer = udp_at(NULL, &there);
	ck_assert_int_eq(apus_udp_connect(main_loop, call.udp, &there), 0);
	wait_in_vain(&call);
	ck_assert_int_eq(put(peer, &here, "held"), 4);
	turns();
	ck_assert_int_eq(apus_udp_close(main_loop, peer), 0);
	ck_assert_int_eq(put(call.udp, NULL, "x"), 1);
	turns();
	expect_text(&call, "held");
	ck_assert_int_eq(call_run(&call), -ECONNREFUSED);
	call_start_pending(&call);
	ck_assert_int_eq(apus_udp_open(main_loop, &there, NULL, &peer), 0);
	ck_assert_int_eq(put(peer, &here, "again"), 5);
	ck_assert_int_eq(call_finish(&call), 5);
	loop_close();
}
END_TEST

/* With each state of a request: the descriptor leaves with what was not read, or stays. */
START_TEST(a_socket_with_unread_datagrams_is_not_released)
{
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	int fd, i;

	NEEDS_URING();
	open_for_datagrams(plain);
	for (i = 0; i < 10; i++) {
		call.udp = udp_at(NULL, &here);
		wait_in_vain(&call);
		ck_assert_int_eq(put(call.udp, &here, "mine"), 4);
		if (i % 2 != 0)
			turns();
		fd = apus_udp_release(main_loop, call.udp);
		if (fd < 0) {
			ck_assert_int_eq(fd, -EBUSY);
			expect_text(&call, "mine");
			wait_in_vain(&call); /* it goes on, without holding anything */
			ck_assert_int_eq(put(call.udp, &here, "mine"), 4);
			turns();
			fd = apus_udp_release(main_loop, call.udp);
		} else {
			ck_assert_int_eq(i % 2, 0);
		}
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(recv(fd, buffer, sizeof buffer, MSG_DONTWAIT), 4);
		/* Adopted again it is fed again; borrowed it is not. */
		ck_assert_int_eq(apus_udp_adopt(main_loop, fd, i % 4 < 2 ? APUS_OWNED : APUS_BORROWED,
			&call.udp), 0);
		wait_in_vain(&call);
		ck_assert_int_eq(put(call.udp, &here, "next"), 4);
		turns();
		ck_assert_uint_eq(held(call.udp.token), i % 4 < 2 ? 1 : 0);
		expect_text(&call, "next");
		ck_assert_int_eq(apus_udp_close(main_loop, call.udp), 0);
		if (i % 4 >= 2)
			close(fd);
		expect_segments_back();
		ck_assert_uint_eq(uring()->in_flight, 1);
	}
	loop_close();
}
END_TEST

/* Closing, with a request in flight and datagrams that nobody read. */
START_TEST(a_closed_socket_gives_its_datagrams_back)
{
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	int i, j;

	NEEDS_URING();
	open_for_datagrams(short_segments);
	for (i = 0; i < 100; i++) {
		call.udp = udp_at(NULL, &here);
		wait_in_vain(&call);
		for (j = 0; j < i % 8; j++)
			ck_assert_int_eq(put(call.udp, &here, "x"), 1);
		if (i % 2 != 0)
			turns(); /* else they are still on their way */
		ck_assert_int_eq(apus_udp_close(main_loop, call.udp), 0);
		expect_segments_back();
		ck_assert_uint_eq(uring()->in_flight, 1);
	}
	call.udp = udp_at(NULL, &here);
	wait_in_vain(&call);
	ck_assert_int_eq(put(call.udp, &here, "x"), 1);
	loop_close();
}
END_TEST

START_TEST(held_datagrams_are_received_first_when_it_is_hot)
{
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	int i;

	NEEDS_URING();
	open_for_datagrams(plain);
	call.udp = udp_at(NULL, &here);
	for (i = 0; i < 4; i++) {
		wait_in_vain(&call);
		ck_assert_int_eq(put(call.udp, &here, "held"), 4);
		if (i % 2 == 0)
			turns();
		ck_assert_int_eq(apus_udp_set_hot(main_loop, call.udp, true), 0);
		ck_assert_int_eq(put(call.udp, &here, "next"), 4);
		expect_text(&call, "held");
		expect_text(&call, "next");
		call_start_pending(&call);
		ck_assert(!is_armed(call.udp.token));
		ck_assert_int_eq(apus_udp_set_hot(main_loop, call.udp, false), 0);
		ck_assert_int_eq(put(call.udp, &here, "cool"), 4);
		ck_assert_int_eq(call_finish(&call), 4);
	}
	loop_close();
}
END_TEST

static apus_poll udp_sent(struct apus_cx *cx, struct call *call)
{
	struct apus_sent sent;

	return apus_udp_sent(cx, call->udp, &sent);
}

/* A stamp is no event to a request that receives; what it brought is not lost. */
START_TEST(who_waits_for_a_stamp_ends_the_feeding)
{
	const struct apus_udp_config config = { .sent_stamps = true };
	struct apus_address here, there;
	char buffer[8];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	struct call stamp = { .poll = udp_sent };
	struct apus_udp from;

	NEEDS_URING();
	open_for_datagrams(plain);
	stamp.udp = call.udp = udp_at(&config, &here);
	from = udp_at(NULL, &there);
	wait_in_vain(&call);
	ck_assert_int_eq(put(from, &here, "one"), 3);
	turns();
	ck_assert_uint_eq(held(call.udp.token), 1);
	call_start_pending(&stamp);
	ck_assert_int_eq(put(call.udp, &there, "out"), 3);
	ck_assert_int_eq(call_finish(&stamp), 0);
	call_start_pending(&stamp);
	call_abort(&stamp);
	ck_assert_int_eq(put(from, &here, "two"), 3);
	expect_text(&call, "one");
	expect_text(&call, "two");
	call_start_pending(&call);
	ck_assert_int_eq(put(from, &here, "three"), 5);
	ck_assert_int_eq(call_finish(&call), 5);
	expect_segments_back();
	loop_close();
}
END_TEST

/* Descriptors may come with them: a Unix socket is polled, and they are not taken unasked. */
START_TEST(unix_datagrams_are_polled)
{
	struct apus_address here, unnamed = address_of("unix:");
	char buffer[8], name[64];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp far;

	NEEDS_URING();
	open_for_datagrams(plain);
	snprintf(name, sizeof name, "unix:@apus-test-uring-%d", (int)getpid());
	here = address_of(name);
	ck_assert_int_eq(apus_udp_open(main_loop, &here, NULL, &call.udp), 0);
	ck_assert_int_eq(apus_udp_open(main_loop, &unnamed, NULL, &far), 0);
	wait_in_vain(&call);
	ck_assert_int_eq(put(far, &here, "hello"), 5);
	turns();
	ck_assert_uint_eq(held(call.udp.token), 0);
	expect_text(&call, "hello");
	loop_close();
}
END_TEST

/* ---- sending without a copy -------------------------------------------------------------------- */

enum { BIG = 8 << 20 };

static unsigned char big[BIG];
static int cleanups;

struct sender {
	struct apus_frame frame;
	struct apus_op op;
	struct apus_tcp tcp;
	unsigned char *data;
	size_t bytes;
	apus_poll *answer;
	bool twice, cancels;
	int64_t timeout_ns;
};

static void sender_cleanup(struct apus_cx *cx, struct sender *self)
{
	(void)cx;
	/* Promise 5: whoever reads it afterwards reads this. */
	memset(self->data, 0xee, self->bytes);
	cleanups++;
}

APUS_TASK(sender, struct sender, sender_cleanup)
{
	apus_poll put;

	APUS_BEGIN(cx, self);
	*self->answer = APUS_PENDING;
	APUS_AWAIT(put, apus_timeout(cx, self->timeout_ns, apus_tcp_write_zero_copy(cx, self->tcp,
		&self->op, self->data, self->bytes)));
	if (put == -ETIME && self->twice) {
		ck_assert_int_eq(apus_tcp_write_zero_copy(cx, self->tcp, &self->op, self->data, 1),
			-EBUSY);
		APUS_AWAIT(put, apus_tcp_write_zero_copy(cx, self->tcp, &self->op, self->data,
			self->bytes));
	}
	if (put == -ETIME && self->cancels)
		APUS_AWAIT(put, apus_op_cancel(cx, &self->op));
	ck_assert(put == -ETIME || !apus_op_is_busy(&self->op));
	*self->answer = put;
	APUS_END(0);
}

static void zero_copy(struct apus_config *config)
{
	plain(config);
	config->spurious_seed = 0;
	config->uring.zero_copy_bytes = 4096;
	config->close_wait_ns = 50 * APUS_MSEC;
}

static struct apus_join send_start(struct sender *init, apus_poll *sent)
{
	struct apus_join join;

	memset(big, 'z', sizeof big);
	init->data = big;
	init->bytes = sizeof big;
	init->answer = sent;
	cleanups = 0;
	ck_assert_int_eq(apus_spawn_slab(main_loop, sender, init, &join), 0);
	turns();
	return join;
}

/* Reads what has come, and sees that each byte is as it was when it was lent. */
static size_t read_back(int theirs)
{
	static unsigned char block[65536], as_lent[65536];
	ssize_t got;

	memset(as_lent, 'z', sizeof as_lent);
	apus_turn(main_loop);
	got = recv(theirs, block, sizeof block, MSG_DONTWAIT);
	if (got > 0 && memcmp(block, as_lent, (size_t)got) != 0)
		ck_abort_msg("what was lent has changed");
	return got > 0 ? (size_t)got : 0;
}

#define NEEDS_ZERO_COPY()                                                           \
	do {                                                                        \
		NEEDS_URING();                                                      \
		loop_open_with(zero_copy);                                          \
	} while (0)

/* The buffer stays lent until the peer has made room for it; the same call takes the answer. */
START_TEST(a_write_without_a_copy_lends_until_the_kernel_lets_go)
{
	struct sender init = { .timeout_ns = 20 * APUS_MSEC, .twice = true };
	struct apus_counters now;
	apus_poll sent;
	int theirs;

	NEEDS_ZERO_COPY();
	init.tcp = pair_open(&theirs);
	send_start(&init, &sent);
	ck_assert_int_eq(sent, APUS_PENDING);
	apus_counters_read(main_loop, &now);
	ck_assert_uint_eq(now.ops_in_flight, 1);
	while (now.tasks_live != 0 && sent == APUS_PENDING) {
		read_back(theirs);
		apus_counters_read(main_loop, &now);
	}
	ck_assert_int_gt(sent, 65536);
	turns();
	ck_assert_int_eq(cleanups, 1);
	loop_close();
	close(theirs);
}
END_TEST

/* ... and a smaller one is copied, at once. */
START_TEST(a_small_write_is_copied)
{
	struct sender init = { .timeout_ns = APUS_SEC };
	struct apus_join join;
	apus_poll sent;
	int theirs;

	NEEDS_ZERO_COPY();
	init.tcp = pair_open(&theirs);
	init.data = big;
	init.bytes = 4095;
	init.answer = &sent;
	memset(big, 'z', sizeof big);
	ck_assert_int_eq(apus_spawn_slab(main_loop, sender, &init, &join), 0);
	apus_turn(main_loop);
	ck_assert_int_eq(sent, 4095);
	ck_assert_uint_eq(read_back(theirs), 4095);
	loop_close();
}
END_TEST

/* Promise 5: an aborted task keeps its slot, and its cleanup waits, until the kernel lets go. */
START_TEST(a_task_that_is_aborted_keeps_what_it_lent)
{
	struct sender init = { .timeout_ns = APUS_SEC };
	struct apus_counters now;
	struct apus_join join;
	apus_poll sent;
	int theirs;

	NEEDS_ZERO_COPY();
	init.tcp = pair_open(&theirs);
	join = send_start(&init, &sent);
	ck_assert_int_eq(apus_abort(main_loop, join), 1);
	turns();
	apus_counters_read(main_loop, &now);
	ck_assert_int_eq(cleanups == 1, now.tasks_held == 0);
	while (cleanups == 0)
		read_back(theirs);
	apus_counters_read(main_loop, &now);
	ck_assert_uint_eq(now.ops_in_flight, 0);
	ck_assert_uint_eq(now.tasks_held, 0);
	loop_close();
	close(theirs);
}
END_TEST

START_TEST(awaiting_its_cancel_returns_the_buffer)
{
	struct sender init = { .timeout_ns = 5 * APUS_MSEC, .cancels = true };
	apus_poll sent;
	int theirs;

	NEEDS_ZERO_COPY();
	init.tcp = pair_open(&theirs);
	send_start(&init, &sent);
	while (sent == APUS_PENDING)
		read_back(theirs);
	ck_assert(sent == -ECANCELED || sent > 0);
	turns();
	ck_assert_int_eq(cleanups, 1);
	loop_close();
	close(theirs);
}
END_TEST

/* The peer is gone: the send fails, and the buffer comes back. */
START_TEST(a_broken_connection_returns_the_buffer)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct sender init = { .timeout_ns = 5 * APUS_SEC };
	apus_poll sent;
	int theirs;

	NEEDS_ZERO_COPY();
	init.tcp = pair_open(&theirs);
	send_start(&init, &sent);
	ck_assert_int_eq(setsockopt(theirs, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	close(theirs);
	while (sent == APUS_PENDING)
		apus_turn(main_loop);
	ck_assert(sent == -ECONNRESET || sent == -EPIPE || sent > 0);
	turns();
	ck_assert_int_eq(cleanups, 1);
	loop_close();
}
END_TEST

/* Closing waits for what is lent; what does not come back is leaked, counted, and told. */
START_TEST(a_loop_that_closes_waits_for_what_is_lent)
{
	struct sender init = { .timeout_ns = 5 * APUS_SEC };
	struct apus_counters final;
	apus_poll sent;
	int theirs, err;

	NEEDS_ZERO_COPY();
	init.tcp = pair_open(&theirs);
	send_start(&init, &sent);
	err = apus_close(main_loop, &final);
	if (err == 0)
		ck_assert_int_eq(cleanups, 1);
	else
		ck_assert_int_eq(err, -EBUSY);
	ck_assert_int_eq(err == 0, final.slots_leaked == 0);
	close(theirs);
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = {
		a_kernel_without_io_uring_is_named,
		a_policy_against_io_uring_is_named,
		no_memory_for_a_ring_is_named,
		auto_takes_what_suits_how_the_loop_idles,
		auto_falls_back_and_says_why,
		auto_falls_back_where_io_uring_is_forbidden,
		a_limit_on_locked_memory_is_survived_or_named,
		a_configuration_that_cannot_be_is_refused,
		a_thread_of_the_kernels_submits,
		a_thread_on_a_core_that_is_not_there_is_refused,
		spinning_on_the_device_is_set_or_refused,
		a_ring_of_8_carries_10_000_operations,
		completions_that_overflow_their_queue_all_come,
		the_peer_of_a_closed_socket_sees_the_end_at_once,
		a_closed_loop_holds_no_file,
		a_loop_does_not_park_without_its_request_for_wakes,
		a_host_does_not_wait_without_the_request_for_wakes,
		a_host_does_not_wait_on_a_queue_that_is_full,
		a_cancel_that_found_the_queue_full_is_made_later,
		a_stream_of_ours_is_received_by_the_ring,
		what_the_ring_brought_comes_before_the_end,
		a_reset_directly_behind_bytes_is_told,
		a_flood_that_nobody_reads_starves_nobody,
		one_that_nobody_reads_holds_little,
		a_request_that_could_not_be_ended_is_ended_later,
		a_socket_is_closed_behind_a_full_queue,
		what_is_closed_gives_its_segments_back,
		a_descriptor_with_unread_bytes_is_not_released,
		a_release_that_races_with_bytes_loses_none,
		bytes_that_were_held_are_read_first_when_it_is_hot,
		a_connection_that_an_abandoned_accept_brought_is_the_next_ones,
		a_closed_listener_closes_what_nobody_took,
		connections_that_nobody_accepts_stay_in_the_backlog,
		an_accept_request_that_ran_out_of_descriptors_goes_on,
		datagrams_of_ours_are_received_by_the_ring,
		a_datagram_of_a_lost_receive_is_the_next_calls,
		a_batch_takes_what_is_held_first,
		a_datagram_longer_than_a_segment_comes_whole,
		who_asks_for_longer_datagrams_is_received_directly,
		datagrams_that_nobody_reads_stay_with_the_kernel,
		what_was_lost_is_told_by_the_next_that_is_held,
		a_refusal_comes_behind_what_is_held,
		a_socket_with_unread_datagrams_is_not_released,
		a_closed_socket_gives_its_datagrams_back,
		held_datagrams_are_received_first_when_it_is_hot,
		who_waits_for_a_stamp_ends_the_feeding,
		unix_datagrams_are_polled,
		a_write_without_a_copy_lends_until_the_kernel_lets_go,
		a_small_write_is_copied,
		a_task_that_is_aborted_keeps_what_it_lent,
		awaiting_its_cancel_returns_the_buffer,
		a_broken_connection_returns_the_buffer,
		a_loop_that_closes_waits_for_what_is_lent,
	};
	TCase *all = test_case("uring");
	size_t i;

	for (i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_loop_test(all, tests[i], APUS_URING_LATENCY, APUS_URING_THROUGHPUT + 1);
	return test_run(argc, argv, all);
}
