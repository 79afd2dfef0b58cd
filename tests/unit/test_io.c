/*
 * test_io.c - the socket table, bare descriptors, edges, hot descriptors, parking.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "sockets.h"

/* ---- calls that we look at on their way to the kernel ------------------------------ */

static void (*on_read_refused)(void); /* called once, when a read would block */
static int wait_calls;                /* epoll_wait, epoll_pwait2, ppoll, select */
static int wait_ms = INT32_MIN;       /* what epoll_wait was last asked to wait */
static struct timespec wait_time;     /* what the others were */

ssize_t read(int fd, void *data, size_t bytes)
{
	ssize_t got = syscall(SYS_read, fd, data, bytes);

	if (got < 0 && errno == EAGAIN && on_read_refused != NULL) {
		void (*call)(void) = on_read_refused;

		on_read_refused = NULL;
		call();
		errno = EAGAIN;
	}
	return got;
}

/* libev's calls go through the dynamic linker. */
#define SEEN_BY_LIBRARIES __attribute__((__visibility__("default")))

SEEN_BY_LIBRARIES int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	wait_calls++;
	wait_ms = timeout_ms;
	return (int)syscall(SYS_epoll_pwait, fd, events, count, timeout_ms, NULL, 8);
}

int epoll_pwait2(int fd, struct epoll_event *events, int count, const struct timespec *time,
	const sigset_t *mask)
{
	wait_calls++;
	wait_time = *time;
	return (int)syscall(SYS_epoll_pwait2, fd, events, count, time, mask, 8);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
	struct timespec copy = { 0 };

	wait_calls++;
	if (time != NULL)
		wait_time = copy = *time;
	return (int)syscall(SYS_ppoll, fds, count, time != NULL ? &copy : NULL, mask, 8);
}

SEEN_BY_LIBRARIES int select(int count, fd_set *in, fd_set *out, fd_set *error,
	struct timeval *time)
{
	struct timespec copy = { 0 };

	wait_calls++;
	if (time != NULL)
		wait_time = copy = (struct timespec){ time->tv_sec, time->tv_usec * 1000 };
	return pselect(count, in, out, error, time != NULL ? &copy : NULL, NULL);
}

static uint64_t reaps(void)
{
	return loop_io()->counts.reaps;
}

/* ---- a pipe of which one end is ours ------------------------------------------------- */

static int ends[2];

static struct apus_fd pipe_adopt(int end, enum apus_owner owner)
{
	struct apus_fd fd;

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[end], owner, &fd), 0);
	return fd;
}

static void pipe_put(const char *text)
{
	ck_assert_int_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* ---- tokens ----------------------------------------------------------------------------- */

/* Zero is what a handle is before it was given: it must reach nobody, ever. */
START_TEST(the_zero_handle_and_made_up_ones_are_stale)
{
	struct apus_fd none = { 0 }, far = { UINT64_C(1) << 32 | 999999 }, fd;
	struct call call = { .poll = fd_readable };

	loop_open();
	ck_assert_int_eq(apus_fd_close(main_loop, none), -ESTALE);
	ck_assert_int_eq(apus_fd_close(main_loop, (struct apus_fd){ 5 }), -ESTALE);
	fd = pipe_adopt(0, APUS_BORROWED);
	ck_assert(fd.token != 0);
	ck_assert_int_eq(apus_fd_close(main_loop, none), -ESTALE);
	ck_assert_int_eq(apus_fd_close(main_loop, far), -ESTALE);
	ck_assert_int_eq(call_run(&call), -ESTALE);
	ck_assert_int_eq(apus_fd_close(main_loop, fd), 0);
	ck_assert_int_eq(apus_fd_close(main_loop, fd), -ESTALE);
	ck_assert_int_eq(apus_fd_number(main_loop, fd), -ESTALE);
	ck_assert_int_eq(apus_fd_release(main_loop, fd), -ESTALE);
	ck_assert_int_eq(apus_fd_set_hot(main_loop, fd, true), -ESTALE);
	loop_close();
}
END_TEST

START_TEST(the_generation_wraps_past_zero)
{
	struct apus_fd fd, next;

	loop_open();
	fd = pipe_adopt(0, APUS_BORROWED);
	slot_of(fd.token)->generation = UINT32_MAX;
	fd.token |= UINT64_C(0xffffffff) << 32;
	ck_assert_int_eq(apus_fd_close(main_loop, fd), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_BORROWED, &next), 0);
	ck_assert_uint_eq(next.token >> 32, 1);
	ck_assert_uint_eq((uint32_t)next.token, (uint32_t)fd.token);
	ck_assert_int_eq(apus_fd_close(main_loop, fd), -ESTALE);
	ck_assert_int_eq(apus_fd_close(main_loop, (struct apus_fd){ (uint32_t)fd.token }), -ESTALE);
	ck_assert_int_eq(apus_fd_close(main_loop, next), 0);
	loop_close();
}
END_TEST

static void two_sockets(struct apus_config *config)
{
	config->socket_count = 2;
}

START_TEST(a_full_table_refuses_and_recovers)
{
	struct apus_fd fds[3];
	int i;

	loop_open_with(two_sockets);
	for (i = 0; i < 2; i++)
		fds[i] = pipe_adopt(0, APUS_BORROWED);
	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_OWNED, &fds[2]), -ENOSPC);
	ck_assert(is_open(ends[0]));
	ck_assert_uint_eq(loop_io()->counts.refusals, 1);
	ck_assert_int_eq(apus_fd_close(main_loop, fds[0]), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_OWNED, &fds[2]), 0);
	ck_assert_int_eq(apus_fd_close(main_loop, fds[2]), 0);
	ck_assert(!is_open(ends[0]));
	loop_close();
}
END_TEST

/* P10: the number and the slot have a new owner, and an event for the old one still comes. */
START_TEST(an_event_for_a_closed_descriptor_never_reaches_the_next_owner)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	struct apus_tcp ours, other, next, far;
	int number, copy;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &ours, &other), 0);
	call.tcp = ours;
	call_start_pending(&call);
	number = slot_of(ours.token)->fd;
	copy = dup(number); /* keeps the open file, and so its place in the kernel's queue */
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1); /* an event is queued */
	ck_assert_int_eq(apus_tcp_close(main_loop, ours), 0);
	ck_assert_int_eq(apus_unix_pair(main_loop, &next, &far), 0);
	ck_assert_int_eq(slot_of(next.token)->fd, number);
	ck_assert_uint_eq((uint32_t)next.token, (uint32_t)ours.token);
	ck_assert_int_eq(call_finish(&call), -EPIPE);
	call.tcp = next;
	call_start_pending(&call);
	/* The kernel's queue keeps it; others forget a descriptor when they are told to. */
	ck_assert_uint_eq(loop_io()->counts.stale_events, loop_io()->backend->close_removes);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, far, "y", 1), 1);
	ck_assert_int_eq(call_finish(&call), 1);
	ck_assert_int_eq(byte, 'y');
	close(copy);
	loop_close();
}
END_TEST

/* ---- adopting --------------------------------------------------------------------------------- */

/* S8: what the kernel cannot queue is refused, and stays the caller's. */
START_TEST(regular_files_and_bad_numbers_are_refused)
{
	char path[] = "/tmp/apus_io_XXXXXX";
	struct apus_fd fd;
	int file = mkstemp(path), folder = open("/", O_RDONLY), closed;

	loop_open();
	closed = dup(file);
	close(closed);
	ck_assert_int_eq(apus_fd_adopt(main_loop, file, APUS_OWNED, &fd), -EPERM);
	ck_assert_int_eq(apus_fd_adopt(main_loop, folder, APUS_OWNED, &fd), -EPERM);
	ck_assert_int_eq(apus_fd_adopt(main_loop, closed, APUS_OWNED, &fd), -EBADF);
	ck_assert_int_eq(apus_fd_adopt(main_loop, -1, APUS_OWNED, &fd), -EBADF);
	ck_assert(is_open(file) && is_open(folder));
	ck_assert_uint_eq(apusi_io_socket_count(loop_io()), 0);
	loop_close();
	close(file);
	close(folder);
	unlink(path);
}
END_TEST

/* S8: EEXIST and ENOENT. */
START_TEST(a_descriptor_is_adopted_once_and_again_after_release)
{
	struct apus_fd fd, twice;
	char byte;
	struct call call = { .poll = fd_read, .data = &byte, .bytes = 1 };
	int i;

	loop_open();
	fd = pipe_adopt(0, APUS_BORROWED);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_BORROWED, &twice), -EEXIST);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(apus_fd_release(main_loop, fd), ends[0]);
		ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_BORROWED, &fd), 0);
	}
	call.fd = fd;
	call_start_pending(&call);
	pipe_put("x");
	ck_assert_int_eq(call_finish(&call), 1);
	loop_close();
}
END_TEST

/* S8: the file is back under the same number, and the kernel still knows its old token. */
START_TEST(a_duplicate_put_back_under_the_old_number_is_a_new_handle)
{
	struct apus_tcp ours, other, again;
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	int number, copy;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &ours, &other), 0);
	call.tcp = ours;
	call_start_pending(&call);
	number = slot_of(ours.token)->fd;
	copy = dup(number);
	ck_assert_int_eq(apus_tcp_close(main_loop, ours), 0);
	ck_assert_int_eq(call_finish(&call), -EPIPE);
	ck_assert_int_eq(dup2(copy, number), number);
	ck_assert_int_eq(apus_tcp_adopt(main_loop, number, APUS_OWNED, &again), 0);
	call.tcp = again;
	call_start_pending(&call);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1);
	ck_assert_int_eq(call_finish(&call), 1);
	close(copy);
	loop_close();
}
END_TEST

/* S8: whoever asks for the number may duplicate it; no event outlives the handle then. */
START_TEST(a_duplicate_of_a_number_that_was_asked_for_sends_no_events)
{
	struct apus_tcp ours, other;
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	int copy;

	loop_open();
	pipe_adopt(0, APUS_OWNED); /* so that the kernel is asked */
	ck_assert_int_eq(apus_unix_pair(main_loop, &ours, &other), 0);
	call.tcp = ours;
	call_start_pending(&call);
	copy = dup(apus_tcp_number(main_loop, ours));
	ck_assert_int_eq(apus_tcp_close(main_loop, ours), 0);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1);
	turns();
	ck_assert_uint_eq(loop_io()->counts.stale_events, 0);
	close(copy);
	loop_close();
}
END_TEST

START_TEST(owned_is_closed_with_its_handle_and_borrowed_is_not)
{
	struct apus_fd fd;

	loop_open();
	fd = pipe_adopt(0, APUS_OWNED);
	ck_assert_int_eq(apus_fd_close(main_loop, fd), 0);
	ck_assert(!is_open(ends[0]));
	fd = pipe_adopt(0, APUS_BORROWED);
	ck_assert_int_eq(apus_fd_close(main_loop, fd), 0);
	ck_assert(is_open(ends[0]));
	fd = pipe_adopt(0, APUS_OWNED);
	ck_assert_int_eq(apus_fd_release(main_loop, fd), ends[0]);
	ck_assert(is_open(ends[0]));
	loop_close();
}
END_TEST

START_TEST(closing_the_loop_closes_what_it_owns)
{
	int owned, borrowed;

	loop_open();
	pipe_adopt(0, APUS_OWNED);
	owned = ends[0];
	pipe_adopt(0, APUS_BORROWED);
	borrowed = ends[0];
	loop_close();
	ck_assert(!is_open(owned));
	ck_assert(is_open(borrowed));
}
END_TEST

START_TEST(adopting_makes_a_descriptor_non_blocking)
{
	struct apus_fd fd;

	loop_open();
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_OWNED, &fd), 0);
	ck_assert(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
	loop_close();
}
END_TEST

/* ---- awaiting ------------------------------------------------------------------------------------ */

START_TEST(a_read_waits_for_bytes_and_for_the_end)
{
	char buffer[8];
	struct call call = { .poll = fd_read, .data = buffer, .bytes = sizeof buffer };

	loop_open();
	call.fd = pipe_adopt(0, APUS_OWNED);
	call_start_pending(&call);
	pipe_put("abc");
	ck_assert_int_eq(call_finish(&call), 3);
	ck_assert_int_eq(memcmp(buffer, "abc", 3), 0);
	call_start_pending(&call);
	close(ends[1]);
	ck_assert_int_eq(call_finish(&call), 0);
	ck_assert_int_eq(call_run(&call), 0);
	call.bytes = 0;
	ck_assert_int_eq(call_run(&call), -EINVAL);
	loop_close();
}
END_TEST

/* Whoever read from it before, and how much, does not matter. */
START_TEST(readable_tells_what_is_so_and_not_what_changed)
{
	struct call call = { .poll = fd_readable };
	char byte;

	loop_open();
	call.fd = pipe_adopt(0, APUS_OWNED);
	call_start_pending(&call);
	pipe_put("ab");
	ck_assert_int_eq(call_finish(&call), 0);
	ck_assert_int_eq(call_run(&call), 0);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	ck_assert_int_eq(call_run(&call), 0);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	call_start_pending(&call);
	pipe_put("c");
	ck_assert_int_eq(call_finish(&call), 0);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	ck_assert_int_eq(call_run(&call), 0);
	loop_close();
}
END_TEST

START_TEST(a_write_waits_for_room)
{
	static char block[65536];
	struct call call = { .poll = fd_write, .data = block, .bytes = sizeof block };
	struct call writable = { .poll = fd_writable };
	int i;

	loop_open();
	call.fd = writable.fd = pipe_adopt(1, APUS_OWNED);
	ck_assert_int_eq(call_run(&writable), 0);
	while (write(ends[1], block, sizeof block) > 0)
		;
	call_start_pending(&writable);
	for (i = 0; i < 16; i++)
		ck_assert_int_gt(read(ends[0], block, 4096), 0);
	ck_assert_int_eq(call_finish(&writable), 0);
	ck_assert_int_gt(call_run(&call), 0);
	loop_close();
}
END_TEST

/* S8: a hangup or an error comes without IN and without OUT. */
START_TEST(a_hangup_alone_wakes_both_directions)
{
	static char block[65536];
	char byte;
	struct call reader = { .poll = fd_read, .data = &byte, .bytes = 1 };
	struct call writer = { .poll = fd_write, .data = block, .bytes = sizeof block };

	signal(SIGPIPE, SIG_IGN);
	loop_open();
	reader.fd = pipe_adopt(0, APUS_OWNED);
	call_start_pending(&reader);
	close(ends[1]);
	ck_assert_int_eq(call_finish(&reader), 0);
	writer.fd = pipe_adopt(1, APUS_OWNED);
	while (write(ends[1], block, sizeof block) > 0)
		;
	call_start_pending(&writer);
	close(ends[0]);
	ck_assert_int_eq(call_finish(&writer), -EPIPE);
	loop_close();
}
END_TEST

START_TEST(a_timerfd_is_awaited)
{
	struct itimerspec at = { .it_value.tv_nsec = 1000000 };
	uint64_t count = 0;
	struct call call = { .poll = fd_read, .data = &count, .bytes = sizeof count };
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);

	loop_open();
	ck_assert_int_eq(apus_fd_adopt(main_loop, timer, APUS_OWNED, &call.fd), 0);
	ck_assert_int_eq(timerfd_settime(timer, 0, &at, NULL), 0);
	ck_assert_int_eq(call_run(&call), sizeof count);
	ck_assert_uint_ge(count, 1);
	loop_close();
}
END_TEST

START_TEST(a_second_waiter_is_busy_and_the_directions_are_independent)
{
	char a, b;
	struct call first = { .poll = tcp_read, .data = &a, .bytes = 1 };
	struct call second = { .poll = tcp_read, .data = &b, .bytes = 1 };
	struct call writer = { .poll = tcp_write, .data = &a, .bytes = 1 };
	struct apus_tcp other;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &first.tcp, &other), 0);
	second.tcp = writer.tcp = first.tcp;
	call_start_pending(&first);
	ck_assert_int_eq(call_run(&second), -EBUSY);
	ck_assert_int_eq(apus_tcp_try_read(main_loop, first.tcp, &b, 1), -EBUSY);
	ck_assert_int_eq(call_run(&writer), 1);
	/* What came for the first is not the second's, though that one is asked sooner. */
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1);
	ck_assert_int_eq(apus_tcp_try_read(main_loop, first.tcp, &b, 1), -EBUSY);
	ck_assert_int_eq(call_finish(&first), 1);
	/* The place is free once the first is gone. */
	call_start_pending(&first);
	call_abort(&first);
	call_start_pending(&second);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "y", 1), 1);
	ck_assert_int_eq(call_finish(&second), 1);
	loop_close();
}
END_TEST

/* Promise 3: whoever waits on what is closed is woken, and the memory is left alone. */
START_TEST(closing_wakes_the_waiters_of_both_directions)
{
	static char block[1 << 20];
	char byte;
	struct call reader = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	struct call writer = { .poll = tcp_write_all, .data = block, .bytes = sizeof block };
	struct apus_tcp other;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &reader.tcp, &other), 0);
	writer.tcp = reader.tcp;
	call_start_pending(&reader);
	call_start_pending(&writer);
	ck_assert_int_eq(apus_tcp_close(main_loop, reader.tcp), 0);
	ck_assert_int_eq(call_finish(&reader), -EPIPE);
	ck_assert_int_eq(call_finish(&writer), -EPIPE);
	ck_assert_int_eq(call_run(&reader), -ESTALE);
	ck_assert_int_eq(call_run(&writer), -ESTALE);
	loop_close();
}
END_TEST

struct swap {
	struct apus_frame frame;
	struct apus_tcp first, next;
	struct apus_waitq note;
	char byte;
	apus_poll got;
	apus_poll which;
};

static struct swap *swapped;

static apus_poll swap_note(struct apus_cx *cx, struct swap *self)
{
	return self->next.token != 0 ? 0 : apus_wait_pend(cx, &self->note);
}

/* Waits on a note and a socket; the note says that another socket is to be read instead. */
APUS_TASK(swap, struct swap)
{
	APUS_BEGIN(cx, self);
	swapped = self;
	APUS_AWAIT(self->which, APUS_SELECT(self->got, swap_note(cx, self),
		apus_tcp_read(cx, self->first, &self->byte, 1)));
	APUS_AWAIT(self->got, apus_tcp_read(cx, self->next, &self->byte, 1));
	swapped = NULL;
	APUS_END(self->got);
}

/* The wait that broke was on the slot's last owner, and says nothing about the next. */
START_TEST(the_next_owner_of_a_slot_does_not_inherit_a_broken_wait)
{
	struct apus_tcp first, other, next, far;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &first, &other), 0);
	ck_assert_int_eq(apus_spawn_slab(main_loop, swap, (&(struct swap){ .first = first }), NULL), 0);
	turns();
	ck_assert_int_eq(apus_tcp_close(main_loop, first), 0);
	ck_assert_int_eq(apus_unix_pair(main_loop, &next, &far), 0);
	ck_assert_uint_eq((uint32_t)next.token, (uint32_t)first.token);
	swapped->next = next;
	turns();
	ck_assert_ptr_nonnull(swapped);
	ck_assert_int_eq(swapped->which, 0);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, far, "x", 1), 1);
	while (swapped != NULL)
		apus_turn(main_loop);
	loop_close();
}
END_TEST

static void put_late(void)
{
	pipe_put("late");
}

/* P8: the edge comes after the refused read, and before anybody waits. */
START_TEST(an_edge_between_the_refusal_and_the_wait_is_not_lost)
{
	char buffer[8];
	struct call call = { .poll = fd_read, .data = buffer, .bytes = sizeof buffer };
	int i;

	loop_open();
	call.fd = pipe_adopt(0, APUS_OWNED);
	for (i = 0; i < 3; i++) {
		/* Opens the bit, so that the read is tried. */
		slot_of(call.fd.token)->ready |= APUSI_IN;
		on_read_refused = put_late;
		ck_assert_int_eq(call_run(&call), 4);
		ck_assert_ptr_null(on_read_refused);
	}
	loop_close();
}
END_TEST

/* ---- reaping and parking ----------------------------------------------------------------------------- */

static void park(struct apus_config *config)
{
	config->idle = APUS_IDLE_PARK;
}

struct nap {
	struct apus_frame frame;
	int64_t ns;
	int count;
};

APUS_TASK(nap, struct nap)
{
	APUS_BEGIN(cx, self);
	while (self->count-- > 0)
		APUS_WAIT(apus_sleep(cx, self->ns));
	APUS_END(0);
}

/* P11: nobody reads, the peer is gone, and a parked loop sleeps on. */
START_TEST(a_hangup_that_nobody_reads_does_not_keep_a_parked_loop_awake)
{
	struct apus_counters before, after;
	struct apus_tcp tcp;
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	int theirs;

	loop_open_with(park);
	pipe_adopt(0, APUS_OWNED);
	close(ends[1]);
	call.tcp = tcp = pair_open(&theirs);
	call_start(&call); /* registers it */
	ck_assert_int_eq(apus_run(main_loop, nap, (&(struct nap){ .ns = APUS_MSEC, .count = 1 })), 0);
	ck_assert(!call.is_done);
	ck_assert_int_eq(apus_abort(main_loop, call.join), 1);
	close(theirs);
	ck_assert_int_eq(apus_run(main_loop, nap, (&(struct nap){ .ns = APUS_MSEC, .count = 1 })), 0);
	apus_counters_read(main_loop, &before);
	ck_assert_int_eq(apus_run(main_loop, nap, (&(struct nap){ .ns = 50 * APUS_MSEC, .count = 1 })), 0);
	apus_counters_read(main_loop, &after);
	ck_assert_uint_le(after.turns - before.turns, 20);
	loop_close();
}
END_TEST

/* NULL: it is not built in. */
static struct apus_io *bare_open(struct apus_cx *cx, const struct apus_io_config *config)
{
	struct apus_io *io;
	char reason[128] = "";
	int err = apusi_io_open(&io, cx, config, reason, sizeof reason);

	ck_assert_msg(err == 0 || err == -ENOTSUP, "%s", reason);
	return io;
}

/* P12: 50 us are 50 us, neither 0 nor a millisecond, with epoll_pwait2 and without. */
START_TEST(parking_hands_the_kernel_nanoseconds)
{
	const struct apus_io_config configs[] = {
		{ .kind = APUS_IO_EPOLL },
		{ .kind = APUS_IO_EPOLL, .plain_wait = true },
		{ .kind = APUS_IO_NONE },
	};
	size_t i;

	TEST_LINUX_ONLY();
	for (i = 0; i < sizeof configs / sizeof *configs; i++) {
		struct apus_cx cx = { 0 };
		struct apus_io *io = bare_open(&cx, &configs[i]);

		if (io == NULL)
			continue;
		wait_calls = 0;
		wait_ms = INT32_MIN;
		wait_time = (struct timespec){ 0 };
		ck_assert_uint_eq(apusi_io_reap(io, 50 * APUS_USEC, 100), 0);
		ck_assert_int_eq(wait_calls, 1);
		ck_assert_int_eq(wait_ms, INT32_MIN);
		ck_assert_int_eq(wait_time.tv_sec, 0);
		ck_assert_int_eq(wait_time.tv_nsec, 50000);
		apusi_io_close(io);
	}
}
END_TEST

/* P12: libev's select has microseconds; what else it has here has milliseconds, rounded up. */
START_TEST(libev_is_never_handed_a_wait_of_nothing)
{
	struct apus_io_config config = { .kind = APUS_IO_LIBEV };
	struct apus_cx cx = { 0 };
	struct apus_io *io = bare_open(&cx, &config);

	if (io == NULL)
		TEST_SKIP("no libev backend in this build");
	wait_calls = 0;
	ck_assert_uint_eq(apusi_io_reap(io, 50 * APUS_USEC, 100), 0);
	ck_assert_int_eq(wait_calls, 1);
	ck_assert_int_eq(wait_time.tv_sec, 0);
	ck_assert_int_ge(wait_time.tv_nsec, 1000); /* what is left of it */
	ck_assert_int_le(wait_time.tv_nsec, 50000);
	ck_assert_uint_eq(apusi_io_reap(io, 1, 100), 0);
	ck_assert_int_le(wait_time.tv_nsec, 1000); /* 0: it was over before */
	apusi_io_close(io);
	config.plain_wait = true;
	io = bare_open(&cx, &config);
	ck_assert_uint_eq(apusi_io_reap(io, 50 * APUS_USEC, 100), 0);
	ck_assert_int_eq(wait_calls, 3);
	ck_assert_int_eq(wait_ms, 1);
	apusi_io_close(io);
}
END_TEST

/* P12: it neither spins through the wait nor wakes early. */
START_TEST(a_sleep_of_50_us_parks_once_or_so)
{
	struct apus_counters before, after;

	loop_open_with(park);
	apus_counters_read(main_loop, &before);
	ck_assert_int_eq(apus_run(main_loop, nap, (&(struct nap){ .ns = 50 * APUS_USEC, .count = 100 })), 0);
	apus_counters_read(main_loop, &after);
	/* A late park ends after the deadline, and an early one would need another. */
	ck_assert_uint_le(after.parks - before.parks, 200);
	ck_assert_uint_le(after.turns - before.turns, 500);
	loop_close();
}
END_TEST

START_TEST(every_way_of_waiting_ends_with_an_event)
{
	const struct apus_io_config configs[] = {
		{ .kind = APUS_IO_EPOLL },
		{ .kind = APUS_IO_EPOLL, .plain_wait = true },
		{ .kind = APUS_IO_LIBEV },
		{ .kind = APUS_IO_LIBEV, .plain_wait = true },
		{ .kind = APUS_IO_NONE },
		{ .kind = APUS_IO_AUTO }, /* what this program runs over */
	};
	const int64_t timeouts[] = { 0, 3600 * APUS_SEC, APUS_NEVER };
	size_t i, j;

	for (i = 0; i < sizeof configs / sizeof *configs; i++) {
		struct apus_cx cx = { 0 };
		struct apus_io *io = bare_open(&cx, &configs[i]);
		int wake = eventfd(0, EFD_NONBLOCK);

		if (io == NULL)
			continue;
		ck_assert_int_eq(apusi_io_set_wake(io, wake), 0);
		for (j = 0; j < sizeof timeouts / sizeof *timeouts; j++) {
			ck_assert_int_eq(eventfd_write(wake, 1), 0);
			ck_assert_int_eq(eventfd_write(wake, 1), 0);
			/* One event for both, or one each; both are drained. */
			ck_assert_uint_ge(apusi_io_reap(io, timeouts[j], 100), 1);
			ck_assert_uint_eq(apusi_io_reap(io, 0, 100), 0);
		}
		ck_assert_int_eq(apusi_io_set_wake(io, -1), 0);
		ck_assert_int_eq(eventfd_write(wake, 1), 0);
		ck_assert_uint_eq(apusi_io_reap(io, 0, 100), 0);
		apusi_io_close(io);
		close(wake);
	}
}
END_TEST

START_TEST(what_a_budget_leaves_is_reaped_next)
{
	char bytes[3];
	struct call calls[3];
	int puts[3], i, done;

	loop_open();
	for (i = 0; i < 3; i++) {
		calls[i] = (struct call){ .poll = fd_read, .data = &bytes[i], .bytes = 1 };
		calls[i].fd = pipe_adopt(0, APUS_OWNED);
		puts[i] = ends[1];
	}
	turns();
	for (i = 0; i < 3; i++)
		call_start_pending(&calls[i]);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(write(puts[i], "x", 1), 1);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(apusi_io_reap(loop_io(), 0, 1), 1);
	ck_assert_uint_eq(apusi_io_reap(loop_io(), 0, 1), 0);
	apus_turn(main_loop);
	for (i = done = 0; i < 3; i++)
		done += calls[i].is_done;
	ck_assert_int_eq(done, 3);
	loop_close();
}
END_TEST

START_TEST(a_loop_without_descriptors_never_asks_the_kernel)
{
	struct call call = { .poll = fd_readable };
	uint64_t before;

	loop_open();
	turns();
	ck_assert_uint_eq(reaps(), 0);
	call.fd = pipe_adopt(0, APUS_OWNED);
	call_start(&call);
	apus_turn(main_loop);
	before = reaps();
	apus_turn(main_loop);
	ck_assert_uint_eq(reaps(), before + 1);
	ck_assert_int_eq(apus_fd_close(main_loop, call.fd), 0);
	turns();
	ck_assert_uint_eq(reaps(), before + 1);
	loop_close();
}
END_TEST

/* ---- hot descriptors ---------------------------------------------------------------------------------- */

START_TEST(an_awaited_hot_descriptor_is_read_without_the_backend)
{
	char byte = 0;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	struct apus_tcp other;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, true), 0);
	ck_assert_uint_eq(apusi_io_hot_count(loop_io()), 1);
	call_start_pending(&call);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1);
	ck_assert_int_eq(call_finish(&call), 1);
	ck_assert_int_eq(byte, 'x');
	ck_assert_uint_eq(reaps(), 0);
	ck_assert_uint_eq(loop_io()->counts.watches, 0);
	/* Nobody waits: nobody is woken. */
	ck_assert_uint_eq(apusi_io_sweep_hot(loop_io()), 0);
	loop_close();
}
END_TEST

START_TEST(a_hot_writer_is_tried_every_turn)
{
	static char block[4 << 20];
	struct call call = { .poll = tcp_write_all, .data = block, .bytes = sizeof block };
	struct apus_tcp other;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, true), 0);
	call_start_pending(&call);
	while (!call.is_done) {
		apus_tcp_try_read(main_loop, other, block, sizeof block / 64);
		apus_turn(main_loop);
	}
	ck_assert_int_eq(call.answer, sizeof block);
	ck_assert_uint_eq(reaps(), 0);
	loop_close();
}
END_TEST

/* In both directions of the switch, with a task that waits through it. */
START_TEST(a_waiter_is_served_when_its_descriptor_becomes_hot_or_cools)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	struct apus_tcp other;
	int i;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	for (i = 0; i < 6; i++) {
		call_start_pending(&call);
		ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, i % 2 == 0), 0);
		turns();
		ck_assert(!call.is_done);
		ck_assert_int_eq(apusi_io_is_idle(loop_io()), i % 2 == 0);
		ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1);
		ck_assert_int_eq(call_finish(&call), 1);
	}
	loop_close();
}
END_TEST

/* Data that came while nobody waited, and while it was hot. */
START_TEST(what_came_while_hot_is_found_when_cool)
{
	char bytes[4];
	struct call call = { .poll = tcp_read, .data = bytes, .bytes = 2 };
	struct apus_tcp other;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	call_start_pending(&call);
	call_abort(&call);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, true), 0);
	call_start_pending(&call);
	call_abort(&call);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "abc", 3), 3);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, false), 0);
	turns();
	ck_assert_int_eq(call_run(&call), 2);
	ck_assert_int_eq(call_run(&call), 1);
	loop_close();
}
END_TEST

START_TEST(hot_descriptors_are_closed_in_any_order)
{
	struct apus_tcp ends_of[6];
	int order[] = { 2, 0, 5, 1, 4, 3 };
	int i;

	loop_open();
	for (i = 0; i < 6; i += 2)
		ck_assert_int_eq(apus_unix_pair(main_loop, &ends_of[i], &ends_of[i + 1]), 0);
	for (i = 0; i < 6; i++) {
		ck_assert_int_eq(apus_tcp_set_hot(main_loop, ends_of[i], true), 0);
		ck_assert_int_eq(apus_tcp_set_hot(main_loop, ends_of[i], true), 0);
	}
	for (i = 0; i < 6; i++) {
		struct apusi_slot *slot;
		uint32_t count = 0;

		ck_assert_uint_eq(apusi_io_hot_count(loop_io()), 6 - (uint32_t)i);
		for (slot = loop_io()->hot; slot != NULL; slot = slot->hot_next)
			count++;
		ck_assert_uint_eq(count, 6 - (uint32_t)i);
		ck_assert_int_eq(apus_tcp_close(main_loop, ends_of[order[i]]), 0);
	}
	ck_assert_ptr_null(loop_io()->hot);
	loop_close();
}
END_TEST

/* Before the kernel is asked to wait, it is told of what was read directly. */
START_TEST(a_wait_in_the_kernel_ends_with_a_hot_descriptor)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	struct apus_tcp other;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, call.tcp, true), 0);
	call_start_pending(&call);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, other, "x", 1), 1);
	ck_assert_uint_ge(apusi_io_reap(loop_io(), APUS_NEVER, 100), 1);
	ck_assert_int_eq(call_finish(&call), 1);
	loop_close();
}
END_TEST

/* ---- backends --------------------------------------------------------------------------------------------- */

static int open_kind(enum apus_io_kind kind, char *reason)
{
	const struct apus_io_config config = { .kind = kind, .parks = true };
	struct apus_cx cx = { 0 };
	struct apus_io *io;
	int err = apusi_io_open(&io, &cx, &config, reason, 128);

	if (err) {
		ck_assert_ptr_null(io);
		return err;
	}
	strcpy(reason, apusi_io_name(io));
	apusi_io_close(io);
	return 0;
}

START_TEST(a_backend_that_is_not_built_says_so)
{
	char reason[128] = "";

	TEST_LINUX_ONLY();
	ck_assert_int_eq(open_kind(APUS_IO_SIM, reason), 0);
	ck_assert_str_eq(reason, "sim");
	ck_assert_int_eq(open_kind((enum apus_io_kind)99, reason), -ENOTSUP);
	ck_assert_int_eq(open_kind(APUS_IO_EPOLL, reason), 0);
	ck_assert_str_eq(reason, "epoll");
	ck_assert_str_eq(apus_io_kind_name(APUS_IO_LIBEV), "libev");
	ck_assert_str_eq(apus_io_kind_name((enum apus_io_kind)99), "unknown");
}
END_TEST

START_TEST(the_environment_replaces_auto_only)
{
	char reason[128] = "";

	TEST_LINUX_ONLY();
	unsetenv("APUS_BACKEND");
	ck_assert_int_eq(open_kind(APUS_IO_AUTO, reason), 0);
	ck_assert_str_eq(reason, "epoll");
	setenv("APUS_BACKEND", "none", 1);
	ck_assert_int_eq(open_kind(APUS_IO_AUTO, reason), 0);
	ck_assert_str_eq(reason, "none");
	ck_assert_int_eq(open_kind(APUS_IO_EPOLL, reason), 0);
	ck_assert_str_eq(reason, "epoll");
	setenv("APUS_BACKEND", "kqueue", 1);
	ck_assert_int_eq(open_kind(APUS_IO_AUTO, reason), -EINVAL);
	ck_assert_str_eq(reason, "APUS_BACKEND=kqueue names no backend");
	setenv("APUS_BACKEND", "sim", 1);
	ck_assert_int_eq(open_kind(APUS_IO_AUTO, reason), 0);
	ck_assert_str_eq(reason, "sim");
	setenv("APUS_BACKEND", "libev", 1);
	if (apusi_backend_libev.open != NULL) {
		ck_assert_int_eq(open_kind(APUS_IO_AUTO, reason), 0);
		ck_assert_str_eq(reason, "libev");
	} else {
		ck_assert_int_eq(open_kind(APUS_IO_AUTO, reason), -ENOTSUP);
		ck_assert_str_eq(reason, "the libev backend is not built in");
	}
	unsetenv("APUS_BACKEND");
}
END_TEST

static void no_backend(struct apus_config *config)
{
	config->backend = APUS_IO_NONE;
}

START_TEST(without_a_backend_descriptors_are_refused)
{
	struct apus_fd fd;

	loop_open_with(no_backend);
	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	ck_assert_int_eq(apus_fd_adopt(main_loop, ends[0], APUS_BORROWED, &fd), -ENOTSUP);
	ck_assert_uint_eq(apusi_io_socket_count(loop_io()), 0);
	loop_close();
}
END_TEST

TEST_MAIN("io",
	the_zero_handle_and_made_up_ones_are_stale,
	the_generation_wraps_past_zero,
	a_full_table_refuses_and_recovers,
	an_event_for_a_closed_descriptor_never_reaches_the_next_owner,
	regular_files_and_bad_numbers_are_refused,
	a_descriptor_is_adopted_once_and_again_after_release,
	a_duplicate_put_back_under_the_old_number_is_a_new_handle,
	a_duplicate_of_a_number_that_was_asked_for_sends_no_events,
	owned_is_closed_with_its_handle_and_borrowed_is_not,
	closing_the_loop_closes_what_it_owns,
	adopting_makes_a_descriptor_non_blocking,
	a_read_waits_for_bytes_and_for_the_end,
	readable_tells_what_is_so_and_not_what_changed,
	a_write_waits_for_room,
	a_hangup_alone_wakes_both_directions,
	a_timerfd_is_awaited,
	a_second_waiter_is_busy_and_the_directions_are_independent,
	closing_wakes_the_waiters_of_both_directions,
	the_next_owner_of_a_slot_does_not_inherit_a_broken_wait,
	an_edge_between_the_refusal_and_the_wait_is_not_lost,
	a_hangup_that_nobody_reads_does_not_keep_a_parked_loop_awake,
	parking_hands_the_kernel_nanoseconds,
	libev_is_never_handed_a_wait_of_nothing,
	a_sleep_of_50_us_parks_once_or_so,
	every_way_of_waiting_ends_with_an_event,
	what_a_budget_leaves_is_reaped_next,
	a_loop_without_descriptors_never_asks_the_kernel,
	an_awaited_hot_descriptor_is_read_without_the_backend,
	a_hot_writer_is_tried_every_turn,
	a_waiter_is_served_when_its_descriptor_becomes_hot_or_cools,
	what_came_while_hot_is_found_when_cool,
	hot_descriptors_are_closed_in_any_order,
	a_wait_in_the_kernel_ends_with_a_hot_descriptor,
	a_backend_that_is_not_built_says_so,
	the_environment_replaces_auto_only,
	without_a_backend_descriptors_are_refused)
