/*
 * test_net.c - streams: listening, accepting, connecting, reading, writing, options.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "sockets.h"

/* ---- calls that we look at on their way to the kernel ------------------------------ */

static void (*on_recv_refused)(void);
static int recv_calls, refused_recvs, accept_calls;
static int interruptions; /* so many calls are interrupted before one succeeds */

static bool is_interrupted(void)
{
	if (interruptions == 0)
		return false;
	interruptions--;
	errno = EINTR;
	return true;
}

ssize_t recv(int fd, void *data, size_t bytes, int flags)
{
	ssize_t got;

	if (is_interrupted())
		return -1;
	got = syscall(SYS_recvfrom, fd, data, bytes, flags, NULL, NULL);
	recv_calls++;
	if (got < 0 && errno == EAGAIN) {
		void (*call)(void) = on_recv_refused;

		refused_recvs++;
		on_recv_refused = NULL;
		if (call != NULL)
			call();
		errno = EAGAIN;
	}
	return got;
}

ssize_t send(int fd, const void *data, size_t bytes, int flags)
{
	return is_interrupted() ? -1 : syscall(SYS_sendto, fd, data, bytes, flags, NULL, 0);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	return is_interrupted() ? -1 : syscall(SYS_recvmsg, fd, message, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return is_interrupted() ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}

int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
	if (is_interrupted())
		return -1;
	accept_calls++;
	return (int)syscall(SYS_accept4, fd, address, bytes, flags);
}

static int peer; /* the plain end of the connection under test */

static void peer_put(const char *text)
{
	raw_write(peer, text, strlen(text));
}

/* ---- accepting and connecting ----------------------------------------------------------- */

static void connect_and_accept(const char *at)
{
	struct apus_address where, from, seen;
	struct call acceptor = { .poll = tcp_accept };
	struct call connector = { .poll = tcp_connect };
	char text[APUS_ADDRESS_TEXT_BYTES], byte = 0;
	struct call reader = { .poll = tcp_read, .data = &byte, .bytes = 1 };

	loop_open();
	acceptor.listener = listener_open(at, &where);
	ck_assert_uint_ne(apus_address_port(&where), 0);
	call_start_pending(&acceptor);
	ck_assert_int_eq(apus_tcp_open(main_loop, where.any.sa_family, &connector.tcp), 0);
	connector.address = where;
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_finish(&acceptor), 0);
	ck_assert_int_eq(apus_tcp_local(main_loop, connector.tcp, &from), 0);
	ck_assert(apus_address_is_same(&from, &acceptor.address));
	ck_assert_int_eq(apus_tcp_peer(main_loop, connector.tcp, &seen), 0);
	ck_assert(apus_address_is_same(&seen, &where));
	ck_assert_int_eq(apus_tcp_local(main_loop, acceptor.tcp, &seen), 0);
	ck_assert(apus_address_is_same(&seen, &where));
	ck_assert_int_gt(apus_address_format(&from, text, sizeof text), 0);
	reader.tcp = acceptor.tcp;
	call_start_pending(&reader);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, connector.tcp, "x", 1), 1);
	ck_assert_int_eq(call_finish(&reader), 1);
	loop_close();
}

START_TEST(a_connection_over_ipv4_knows_both_its_addresses)
{
	connect_and_accept("127.0.0.1:0");
}
END_TEST

START_TEST(a_connection_over_ipv6_knows_both_its_addresses)
{
	if (!has_ip6())
		TEST_SKIP("no IPv6 on the loopback interface");
	connect_and_accept("[::1]:0");
}
END_TEST

START_TEST(a_refused_connection_says_so_and_may_be_tried_again)
{
	struct call connector = { .poll = tcp_connect };
	struct apus_listener listener;
	struct apus_address where;

	loop_open();
	listener = listener_open("127.0.0.1:0", &where);
	ck_assert_int_eq(apus_listener_close(main_loop, listener), 0);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &connector.tcp), 0);
	connector.address = where;
	ck_assert_int_eq(call_run(&connector), -ECONNREFUSED);
	ck_assert_int_eq(call_run(&connector), -ECONNREFUSED);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &where, NULL, &listener), 0);
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_run(&connector), -EISCONN);
	loop_close();
}
END_TEST

START_TEST(hot_sockets_connect_and_accept_too)
{
	struct call acceptor = { .poll = tcp_accept };
	struct call connector = { .poll = tcp_connect };

	loop_open();
	acceptor.listener = listener_open("127.0.0.1:0", &connector.address);
	ck_assert_int_eq(apus_listener_set_hot(main_loop, acceptor.listener, true), 0);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &connector.tcp), 0);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, connector.tcp, true), 0);
	call_start_pending(&acceptor);
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_finish(&acceptor), 0);
	ck_assert_uint_eq(loop_io()->counts.watches, 0);
	loop_close();
}
END_TEST

START_TEST(a_socket_is_bound_before_it_connects)
{
	struct call acceptor = { .poll = tcp_accept };
	struct call connector = { .poll = tcp_connect };
	struct apus_address local = address_of("127.0.0.7:0"), bound;

	loop_open();
	acceptor.listener = listener_open("127.0.0.1:0", &connector.address);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &connector.tcp), 0);
	ck_assert_int_eq(apus_tcp_bind(main_loop, connector.tcp, &local), 0);
	ck_assert_int_eq(apus_tcp_local(main_loop, connector.tcp, &bound), 0);
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_run(&acceptor), 0);
	ck_assert(apus_address_is_same(&acceptor.address, &bound));
	loop_close();
}
END_TEST

START_TEST(many_connections_in_one_backlog_are_all_accepted)
{
	struct call acceptor = { .poll = tcp_accept };
	int clients[50], i;

	loop_open();
	acceptor.listener = listener_open("127.0.0.1:0", &acceptor.address);
	turns();
	call_start_pending(&acceptor);
	call_abort(&acceptor);
	for (i = 0; i < 50; i++)
		clients[i] = raw_connect(&acceptor.address);
	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(call_run(&acceptor), 0);
		raw_close(clients[i]);
	}
	loop_close();
}
END_TEST

static void descriptors_limit(bool none_left)
{
	struct rlimit limit;
	int lowest;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	lowest = none_left ? dup(0) : 0;
	limit.rlim_cur = none_left ? (rlim_t)lowest : limit.rlim_max;
	if (none_left)
		close(lowest);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

struct naive {
	struct apus_frame frame;
	struct apus_listener listener;
	struct apus_tcp tcp;
	apus_poll answer;
	int64_t began_ns;
	int refused;
};

/* Calls again at once, whatever the answer was. */
APUS_TASK(naive, struct naive)
{
	APUS_BEGIN(cx, self);
	self->began_ns = cx->now_ns;
	while (self->refused < 4) {
		APUS_AWAIT(self->answer, apus_tcp_accept(cx, self->listener, &self->tcp, NULL));
		ck_assert_int_eq(self->answer, -EMFILE);
		self->refused++;
	}
	/* By the loop's clock, which is never early. */
	ck_assert_int_ge(cx->now_ns - self->began_ns, 3 * 10 * APUS_MSEC);
	descriptors_limit(false);
	APUS_AWAIT(self->answer, apus_tcp_accept(cx, self->listener, &self->tcp, NULL));
	ck_assert_int_eq(self->answer, 0);
	APUS_END(0);
}

/* S9: told once a try, no spin, and on when descriptors are back. */
START_TEST(accept_without_descriptors_neither_spins_nor_loses_the_listener)
{
	struct naive init = { .refused = 0 };
	struct apus_address where;

	TEST_KERNEL_ONLY("it lowers the limit of real descriptors");
	TEST_LINUX_ONLY();
	loop_open();
	init.listener = listener_open("127.0.0.1:0", &where);
	raw_connect(&where);
	descriptors_limit(true);
	ck_assert_int_eq(apus_run(main_loop, naive, &init), 0);
	ck_assert_int_eq(accept_calls, 5);
	loop_close();
}
END_TEST

static void three_sockets(struct apus_config *config)
{
	config->socket_count = 3;
	config->idle = APUS_IDLE_PARK;
}

/* S9: no slot is as no descriptor; here the loop parks between the tries. */
START_TEST(accept_without_a_slot_keeps_the_connection_in_the_backlog)
{
	struct call acceptor = { .poll = tcp_accept };
	struct apus_address where;
	struct apus_tcp a, b;

	TEST_KERNEL_ONLY("both ends would need a slot of the one table");
	loop_open_with(three_sockets);
	acceptor.listener = listener_open("127.0.0.1:0", &where);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &a), 0);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &b), 0);
	raw_connect(&where);
	ck_assert_int_eq(call_run(&acceptor), -ENOSPC);
	ck_assert_int_eq(call_run(&acceptor), -ENOSPC);
	ck_assert_int_eq(apus_tcp_close(main_loop, a), 0);
	ck_assert_int_eq(call_run(&acceptor), 0);
	loop_close();
}
END_TEST

START_TEST(two_listeners_share_a_port_if_both_ask)
{
	const struct apus_listen_config config = { .reuse_port = true, .backlog = 8 };
	struct apus_address at = address_of("127.0.0.1:0");
	struct apus_listener a, b, c;

	loop_open();
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &config, &a), 0);
	ck_assert_int_eq(apus_listener_local(main_loop, a, &at), 0);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &config, &b), 0);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, NULL, &c), -EADDRINUSE);
	ck_assert_uint_eq(apusi_io_socket_count(loop_io()), 2);
	loop_close();
}
END_TEST

START_TEST(an_ipv6_listener_takes_ipv4_unless_told_not_to)
{
	const struct apus_listen_config only = { .ip6_only = true };
	struct apus_address at = address_of("[::]:0"), ip4 = address_of("127.0.0.1:0");
	struct call acceptor = { .poll = tcp_accept };
	struct apus_listener other;
	int fd;

	if (!has_ip6())
		TEST_SKIP("no IPv6 on the loopback interface");
	loop_open();
	acceptor.listener = listener_open("[::]:0", &at);
	apus_address_set_port(&ip4, apus_address_port(&at));
	raw_connect(&ip4);
	ck_assert_int_eq(call_run(&acceptor), 0);
	at = address_of("[::]:0");
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &only, &other), 0);
	ck_assert_int_eq(apus_listener_local(main_loop, other, &at), 0);
	apus_address_set_port(&ip4, apus_address_port(&at));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, &ip4.any, ip4.bytes), -1);
	loop_close();
}
END_TEST

/* ---- reading --------------------------------------------------------------------------------- */

START_TEST(a_read_answers_what_came_and_then_the_end)
{
	char buffer[16];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };

	loop_open();
	call.tcp = pair_open(&peer);
	call_start_pending(&call);
	peer_put("hello");
	ck_assert_int_eq(call_finish(&call), 5);
	ck_assert_int_eq(memcmp(buffer, "hello", 5), 0);
	peer_put("hello");
	raw_close(peer);
	ck_assert_int_eq(call_run(&call), 5);
	ck_assert_int_eq(call_run(&call), 0);
	ck_assert_int_eq(call_run(&call), 0);
	call.bytes = 0;
	ck_assert_int_eq(call_run(&call), -EINVAL);
	loop_close();
}
END_TEST

/* Bytes and the end in one event: the end must be found after the short read. */
START_TEST(the_end_behind_a_short_read_is_found)
{
	char buffer[16];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int i;

	loop_open();
	for (i = 0; i < 2; i++) {
		call.tcp = pair_open(&peer);
		call_start_pending(&call);
		peer_put("a");
		ck_assert_int_eq(call_finish(&call), 1);
		if (i == 0) {
			call_start_pending(&call);
			peer_put("b");
			raw_close(peer);
		} else {
			peer_put("b");
			raw_close(peer);
			turns(); /* the event comes while nobody waits */
			call_start(&call);
		}
		ck_assert_int_eq(call_finish(&call), 1);
		ck_assert_int_eq(call_run(&call), 0);
	}
	loop_close();
}
END_TEST

static void over_epoll(struct apus_config *config)
{
	config->backend = APUS_IO_EPOLL;
}

/* The short read says that nothing is left; no call asks for EAGAIN. */
START_TEST(a_short_read_saves_the_read_that_would_be_refused)
{
	char buffer[16];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int i, adopted;

	TEST_KERNEL_ONLY("it counts system calls");
	TEST_LINUX_ONLY();
	loop_open_with(over_epoll);
	call.tcp = pair_open(&peer);
	for (adopted = 0; adopted < 2; adopted++) {
		call_start_pending(&call);
		refused_recvs = recv_calls = 0;
		for (i = 0; i < 5; i++) {
			peer_put("hello");
			ck_assert_int_eq(call_finish(&call), 5);
			call_start_pending(&call);
		}
		ck_assert_int_eq(refused_recvs, 0);
		ck_assert_int_eq(recv_calls, 5);
		call_abort(&call);
		ck_assert_int_eq(apus_tcp_adopt(main_loop, apus_tcp_release(main_loop, call.tcp),
			APUS_OWNED, &call.tcp), 0);
	}
	loop_close();
}
END_TEST

/* S10: a read stops short at urgent data, and more is left behind it. */
START_TEST(a_read_that_stops_at_urgent_data_does_not_lose_the_rest)
{
	char buffer[16];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int i, waiting;

	TEST_KERNEL_ONLY("no urgent data");
	loop_open();
	for (waiting = 0; waiting < 2; waiting++) {
		int64_t got = 0;

		call.tcp = pair_open(&peer);
		call_start_pending(&call);
		if (!waiting)
			call_abort(&call);
		peer_put("abc");
		ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
		peer_put("def");
		for (i = 0; got < 6; i++) {
			if (!waiting || i > 0)
				call_start(&call);
			got += call_finish(&call);
			ck_assert_int_gt(call.answer, 0);
		}
	}
	loop_close();
}
END_TEST

static void peer_put_late(void)
{
	peer_put("late");
}

/* P8: bytes come after the refused read and before the wait, registered before or not. */
START_TEST(bytes_between_the_refusal_and_the_wait_are_not_lost)
{
	char buffer[16];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int i;

	TEST_KERNEL_ONLY("it looks at system calls");
	loop_open();
	for (i = 0; i < 4; i++) {
		/* One that the backend reads for us is refused nothing after its first wait. */
		if (i == 0 || (slot_of(call.tcp.token)->flags & APUSI_FED) != 0)
			call.tcp = pair_open(&peer);
		on_recv_refused = peer_put_late;
		slot_of(call.tcp.token)->ready |= APUSI_IN;
		ck_assert_int_eq(call_run(&call), 4);
		ck_assert_ptr_null(on_recv_refused);
	}
	loop_close();
}
END_TEST

/* Promise 5: a read that lost its race has taken nothing. */
START_TEST(an_abandoned_read_loses_no_byte)
{
	char buffer[16] = { 0 };
	struct call call = { .poll = tcp_read_timeout, .data = buffer, .bytes = sizeof buffer,
		.timeout_ns = APUS_MSEC };

	loop_open();
	call.tcp = pair_open(&peer);
	ck_assert_int_eq(call_run(&call), -ETIME);
	peer_put("abc");
	turns();
	ck_assert_int_eq(buffer[0], 0);
	call.poll = tcp_read;
	ck_assert_int_eq(call_run(&call), 3);
	call_start_pending(&call);
	call_abort(&call);
	memset(buffer, 0, sizeof buffer);
	peer_put("def");
	turns();
	ck_assert_int_eq(buffer[0], 0);
	ck_assert_int_eq(call_run(&call), 3);
	loop_close();
}
END_TEST

START_TEST(a_reset_is_told)
{
	char byte;
	struct call call = { .poll = tcp_read, .data = &byte, .bytes = 1 };

	loop_open();
	call.tcp = pair_open(&peer);
	call_start_pending(&call);
	raw_reset(peer);
	ck_assert_int_eq(call_finish(&call), -ECONNRESET);
	loop_close();
}
END_TEST

START_TEST(readv_fills_its_parts_in_order)
{
	char a[3], b[4], c[16];
	const struct iovec parts[] = { { a, 3 }, { b, 4 }, { c, 16 } };
	struct call call = { .poll = tcp_readv, .parts = parts, .bytes = 3 };

	loop_open();
	call.tcp = pair_open(&peer);
	call_start_pending(&call);
	peer_put("abcdefghij");
	ck_assert_int_eq(call_finish(&call), 10);
	ck_assert(memcmp(a, "abc", 3) == 0 && memcmp(b, "defg", 4) == 0 && memcmp(c, "hij", 3) == 0);
	call.bytes = 0;
	ck_assert_int_eq(call_run(&call), -EINVAL);
	loop_close();
}
END_TEST

/* ---- writing ----------------------------------------------------------------------------------- */

enum { BIG = 8 << 20 };

static char *big_block(void)
{
	char *block = malloc(BIG);
	size_t i;

	for (i = 0; i < BIG; i++)
		block[i] = (char)(i * 2654435761u >> 13);
	return block;
}

/* Reads what the peer has now; checks it against the block from *done on. */
static void peer_take(const char *block, size_t *done)
{
	char buffer[65536];
	ssize_t got = raw_try_read(peer, buffer, sizeof buffer);

	if (got <= 0)
		return;
	ck_assert_int_eq(memcmp(buffer, block + *done, (size_t)got), 0);
	*done += (size_t)got;
}

/* S10: short sends, with a peer that takes its time. */
START_TEST(write_all_writes_all_of_it)
{
	char *block = big_block();
	struct call call = { .poll = tcp_write_all, .data = block, .bytes = BIG };
	size_t done = 0;
	int round;

	loop_open();
	call.tcp = pair_open(&peer);
	for (round = 0; round < 2; round++) { /* the object is as new after the first */
		call_start_pending(&call);
		for (done = 0; done < BIG;) {
			apus_turn(main_loop);
			peer_take(block, &done);
		}
		ck_assert_int_eq(call_finish(&call), BIG);
		ck_assert_uint_eq(call.write.done_bytes, BIG);
	}
	call.bytes = 0;
	ck_assert_int_eq(call_run(&call), 0);
	loop_close();
	free(block);
}
END_TEST

static void park(struct apus_config *config)
{
	config->idle = APUS_IDLE_PARK;
}

static void *slow_taker(void *arg)
{
	char *block = arg;
	size_t done = 0;

	while (done < BIG) {
		peer_take(block, &done);
		usleep(50);
	}
	return NULL;
}

/* The storm hits either thread. */
static uint32_t ticks;

static void tick(int signal_number)
{
	(void)signal_number;
	apus_add_relaxed(&ticks, 1);
}

/* S10: a storm of signals without SA_RESTART, on a loop that parks. */
START_TEST(interrupted_calls_go_on)
{
	struct sigaction action = { .sa_handler = tick };
	struct itimerval storm = { { 0, 300 }, { 0, 300 } }, calm = { { 0, 0 }, { 0, 0 } };
	struct call call = { .poll = tcp_write_all, .bytes = BIG };
	char *block;
	pthread_t taker;

	TEST_KERNEL_ONLY("nothing is interrupted");
	call.data = block = big_block();
	loop_open_with(park);
	call.tcp = pair_open(&peer);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(pthread_create(&taker, NULL, slow_taker, block), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &storm, NULL), 0);
	ck_assert_int_eq(call_run(&call), BIG);
	pthread_join(taker, NULL);
	setitimer(ITIMER_REAL, &calm, NULL);
	ck_assert_uint_gt(apus_load_relaxed(&ticks), 0);
	loop_close();
	free(block);
}
END_TEST

/* S10: each call that a signal interrupts is made again. */
START_TEST(every_call_is_made_again_after_eintr)
{
	char buffer[8];
	struct iovec part = { buffer, 4 };
	struct call calls[] = {
		{ .poll = tcp_write, .data = buffer, .bytes = 4 },
		{ .poll = tcp_writev, .parts = &part, .bytes = 1 },
		{ .poll = tcp_read, .data = buffer, .bytes = 4 },
		{ .poll = tcp_readv, .parts = &part, .bytes = 1 },
	};
	struct call acceptor = { .poll = tcp_accept };
	size_t i;

	TEST_KERNEL_ONLY("nothing is interrupted");
	TEST_LINUX_ONLY();
	loop_open();
	acceptor.listener = listener_open("127.0.0.1:0", &acceptor.address);
	peer = raw_connect(&acceptor.address);
	interruptions = 3;
	ck_assert_int_eq(call_run(&acceptor), 0);
	ck_assert_int_eq(interruptions, 0);
	peer_put("12345678");
	for (i = 0; i < sizeof calls / sizeof *calls; i++) {
		calls[i].tcp = acceptor.tcp;
		interruptions = 3;
		ck_assert_int_eq(call_run(&calls[i]), 4);
		ck_assert_int_eq(interruptions, 0);
	}
	loop_close();
}
END_TEST

START_TEST(writev_writes_its_parts_in_order)
{
	char abc[] = "abc", def[] = "defg", got[8] = "";
	const struct iovec parts[] = { { abc, 3 }, { def, 0 }, { def, 4 } };
	struct call call = { .poll = tcp_writev, .parts = parts, .bytes = 3 };

	loop_open();
	call.tcp = pair_open(&peer);
	ck_assert_int_eq(call_run(&call), 7);
	ck_assert_int_eq(raw_read(peer, got, 7), 7);
	ck_assert_str_eq(got, "abcdefg");
	call.bytes = 0;
	ck_assert_int_eq(call_run(&call), 0);
	loop_close();
}
END_TEST

/* S10: more parts than the system takes in one call. */
START_TEST(parts_beyond_the_systems_limit_are_left_for_the_next_call)
{
	enum { PARTS = IOV_MAX + 100 };
	static struct iovec parts[PARTS];
	static char bytes[PARTS], got[PARTS];
	struct call writer = { .poll = tcp_writev, .parts = parts, .bytes = PARTS };
	struct call reader = { .poll = tcp_readv, .parts = parts, .bytes = PARTS };
	int i;

	for (i = 0; i < PARTS; i++)
		parts[i] = (struct iovec){ &bytes[i], 1 };
	loop_open();
	writer.tcp = reader.tcp = pair_open(&peer);
	ck_assert_int_eq(call_run(&writer), IOV_MAX);
	ck_assert_int_eq(raw_read(peer, got, IOV_MAX), IOV_MAX);
	raw_write(peer, got, PARTS);
	ck_assert_int_eq(call_run(&reader), IOV_MAX);
	loop_close();
}
END_TEST

/* S10: neither a signal nor a call for nothing. */
START_TEST(a_write_of_nothing_is_nothing)
{
	struct call call = { .poll = tcp_write, .data = (char[]){ "" }, .bytes = 0 };

	loop_open();
	call.tcp = pair_open(&peer);
	ck_assert_int_eq(call_run(&call), 0);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, call.tcp, "", 0), 0);
	loop_close();
}
END_TEST

/* S10: SIGPIPE has its default action here, and would end the process. */
START_TEST(writing_to_a_peer_that_is_gone_is_a_value)
{
	struct iovec part = { (char[]){ "x" }, 1 };
	struct call call = { .poll = tcp_write, .data = (char[]){ "x" }, .bytes = 1 };
	struct call vectored = { .poll = tcp_writev, .parts = &part, .bytes = 1 };
	struct call all = { .poll = tcp_write_all, .data = (char[]){ "x" }, .bytes = 1 };
	int i;

	signal(SIGPIPE, SIG_DFL);
	loop_open();
	call.tcp = vectored.tcp = all.tcp = pair_open(&peer);
	raw_close(peer);
	for (i = 0; i < 100 && call_run(&call) == 1; i++)
		turns();
	ck_assert(call.answer == -EPIPE || call.answer == -ECONNRESET);
	ck_assert_int_eq(call_run(&vectored), -EPIPE);
	ck_assert_int_eq(call_run(&all), -EPIPE);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, all.tcp, "x", 1), -EPIPE);
	loop_close();
}
END_TEST

START_TEST(a_failed_write_all_says_how_far_it_came)
{
	char *block = big_block();
	struct call call = { .poll = tcp_write_all, .data = block, .bytes = BIG };

	loop_open();
	call.tcp = pair_open(&peer);
	call_start_pending(&call);
	ck_assert(call.write.is_begun);
	raw_close(peer); /* with unread bytes: a reset */
	ck_assert_int_lt(call_finish(&call), 0);
	ck_assert_uint_gt(call.write.done_bytes, 0);
	ck_assert_uint_lt(call.write.done_bytes, BIG);
	ck_assert(!call.write.is_begun);
	loop_close();
	free(block);
}
END_TEST

START_TEST(the_two_directions_do_not_wait_for_each_other)
{
	char *block = big_block(), byte;
	struct call writer = { .poll = tcp_write_all, .data = block, .bytes = BIG };
	struct call reader = { .poll = tcp_read, .data = &byte, .bytes = 1 };
	size_t done = 0;
	int i;

	loop_open();
	writer.tcp = reader.tcp = pair_open(&peer);
	call_start_pending(&writer);
	for (i = 0; i < 3; i++) { /* while the writer is stuck */
		call_start_pending(&reader);
		peer_put("x");
		ck_assert_int_eq(call_finish(&reader), 1);
	}
	call_start_pending(&reader);
	while (done < BIG) { /* while the reader waits */
		apus_turn(main_loop);
		peer_take(block, &done);
	}
	ck_assert_int_eq(call_finish(&writer), BIG);
	ck_assert(!reader.is_done);
	loop_close();
	free(block);
}
END_TEST

/* No event tells of room to who only tries, whatever is watched for a reader. */
START_TEST(a_try_to_write_finds_room_beside_a_reader_that_waits)
{
	static char block[1 << 16];
	char buffer[8];
	struct call reader = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int64_t put;

	loop_open();
	reader.tcp = pair_open(&peer);
	call_start_pending(&reader);
	do
		put = apus_tcp_try_write(main_loop, reader.tcp, block, sizeof block);
	while (put > 0);
	ck_assert_int_eq(put, -EAGAIN);
	while (put == -EAGAIN) {
		(void)raw_try_read(peer, block, sizeof block);
		apus_turn(main_loop);
		put = apus_tcp_try_write(main_loop, reader.tcp, block, sizeof block);
	}
	ck_assert_int_gt(put, 0);
	ck_assert(!reader.is_done);
	loop_close();
}
END_TEST

START_TEST(shutdown_ends_one_direction)
{
	char buffer[8];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };

	loop_open();
	call.tcp = pair_open(&peer);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, call.tcp, "bye", 3), 3);
	ck_assert_int_eq(apus_tcp_shutdown(main_loop, call.tcp, SHUT_WR), 0);
	ck_assert_int_eq(raw_read(peer, buffer, sizeof buffer), 3);
	ck_assert_int_eq(raw_read(peer, buffer, sizeof buffer), 0);
	peer_put("still");
	ck_assert_int_eq(call_run(&call), 5);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, call.tcp, "x", 1), -EPIPE);
	loop_close();
}
END_TEST

START_TEST(a_try_answers_at_once)
{
	struct apus_tcp tcp;
	char byte;
	int i;

	loop_open();
	tcp = pair_open(&peer);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(apus_tcp_try_read(main_loop, tcp, &byte, 1), -EAGAIN);
		peer_put("x");
		while (apus_tcp_try_read(main_loop, tcp, &byte, 1) == -EAGAIN)
			;
		ck_assert_int_eq(byte, 'x');
		byte = 0;
	}
	loop_close();
}
END_TEST

/* ---- adopting ------------------------------------------------------------------------------------- */

START_TEST(a_stream_is_adopted_as_what_it_is)
{
	struct apus_listener listener;
	struct apus_address where;
	struct apus_tcp tcp;
	struct apus_udp udp;
	char buffer[8];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int pair[2], server = socket(AF_INET, SOCK_STREAM, 0), file = open("/dev/null", O_RDONLY);

	TEST_KERNEL_ONLY("it adopts real descriptors");
	loop_open();
	ck_assert_int_eq(listen(server, 1), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(apus_tcp_adopt(main_loop, server, APUS_BORROWED, &tcp), -EPROTOTYPE);
	ck_assert_int_eq(apus_udp_adopt(main_loop, pair[0], APUS_BORROWED, &udp), -EPROTOTYPE);
	ck_assert_int_eq(apus_listener_adopt(main_loop, pair[0], APUS_BORROWED, &listener), -EPROTOTYPE);
	ck_assert_int_eq(apus_tcp_adopt(main_loop, file, APUS_BORROWED, &tcp), -ENOTSOCK);
	ck_assert_int_eq(apus_listener_adopt(main_loop, server, APUS_OWNED, &listener), 0);
	ck_assert_int_eq(apus_listener_local(main_loop, listener, &where), 0);
	ck_assert_int_eq(apus_tcp_adopt(main_loop, pair[0], APUS_OWNED, &call.tcp), 0);
	call_start_pending(&call);
	raw_write(pair[1], "abc", 3);
	ck_assert_int_eq(call_finish(&call), 3);
	ck_assert_int_eq(apus_tcp_release(main_loop, call.tcp), pair[0]);
	raw_write(pair[0], "d", 1);
	loop_close();
}
END_TEST

/* ---- options ---------------------------------------------------------------------------------------- */

static int option_of(struct apus_tcp tcp, int level, int name)
{
	int value = -1;

	ck_assert_int_eq(apus_socket_get(main_loop, tcp.token, level, name, &value), 0);
	return value;
}

START_TEST(options_arrive_at_the_kernel)
{
	struct apus_tcp tcp;

	TEST_KERNEL_ONLY("options arrive nowhere");
	loop_open();
	tcp = pair_open(&peer);
	ck_assert_int_eq(option_of(tcp, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(apus_tcp_set_nodelay(main_loop, tcp, true), 0);
	ck_assert_int_ne(option_of(tcp, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(apus_tcp_set_nodelay(main_loop, tcp, false), 0);
	ck_assert_int_eq(option_of(tcp, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(apus_tcp_set_cork(main_loop, tcp, true), 0);
	ck_assert_int_ne(option_of(tcp, IPPROTO_TCP, TCP_CORK), 0);
	ck_assert_int_eq(apus_tcp_set_quickack(main_loop, tcp, false), 0);
	ck_assert_int_eq(option_of(tcp, IPPROTO_TCP, TCP_QUICKACK), 0);
	ck_assert_int_eq(apus_tcp_set_quickack(main_loop, tcp, true), 0);
	ck_assert_int_ne(option_of(tcp, IPPROTO_TCP, TCP_QUICKACK), 0);
	ck_assert_int_eq(apus_tcp_set_keepalive(main_loop, tcp, 7, 3, 4), 0);
	ck_assert_int_ne(option_of(tcp, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(option_of(tcp, IPPROTO_TCP, TCP_KEEPIDLE), 7);
	ck_assert_int_eq(option_of(tcp, IPPROTO_TCP, TCP_KEEPINTVL), 3);
	ck_assert_int_eq(option_of(tcp, IPPROTO_TCP, TCP_KEEPCNT), 4);
	ck_assert_int_eq(apus_tcp_set_keepalive(main_loop, tcp, 0, 0, 0), 0);
	ck_assert_int_eq(option_of(tcp, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(apus_tcp_set_keepalive(main_loop, tcp, 1, 3, 1000), -EINVAL);
	ck_assert_int_eq(apus_tcp_set_nodelay(main_loop, (struct apus_tcp){ 0 }, true), -ESTALE);
	loop_close();
}
END_TEST

START_TEST(a_corked_write_leaves_when_the_cork_is_drawn)
{
	struct apus_tcp tcp;
	char buffer[8];

	loop_open();
	tcp = pair_open(&peer);
	ck_assert_int_eq(apus_tcp_set_cork(main_loop, tcp, true), 0);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, tcp, "ab", 2), 2);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, tcp, "cd", 2), 2);
	ck_assert_int_eq(apus_tcp_set_cork(main_loop, tcp, false), 0);
	ck_assert_int_eq(raw_read(peer, buffer, 4), 4);
	loop_close();
}
END_TEST

START_TEST(the_buffer_that_was_granted_is_read_back)
{
	struct apus_tcp tcp;
	int granted;

	TEST_KERNEL_ONLY("it reads what a kernel books");
	TEST_LINUX_ONLY();
	loop_open();
	tcp = pair_open(&peer);
	granted = apus_tcp_set_receive_buffer(main_loop, tcp, 65536);
	ck_assert_int_eq(granted, 65536);
	ck_assert_int_eq(option_of(tcp, SOL_SOCKET, SO_RCVBUF), 2 * granted);
	ck_assert_int_eq(apus_tcp_set_receive_buffer(main_loop, tcp, 0), granted);
	granted = apus_tcp_set_send_buffer(main_loop, tcp, 131072);
	ck_assert_int_eq(option_of(tcp, SOL_SOCKET, SO_SNDBUF), 2 * granted);
	/* More than there is: what was granted is less, and told. */
	granted = apus_tcp_set_receive_buffer(main_loop, tcp, INT_MAX);
	ck_assert_int_gt(granted, 0);
	ck_assert_int_eq(option_of(tcp, SOL_SOCKET, SO_RCVBUF), 2 * granted);
	ck_assert_int_eq(apus_tcp_set_receive_buffer(main_loop, tcp, -1), -EINVAL);
	loop_close();
}
END_TEST

START_TEST(a_refused_busy_poll_says_why)
{
	char reason[128] = "";
	struct apus_tcp tcp;
	int err;

	loop_open();
	tcp = pair_open(&peer);
	err = apus_tcp_set_busy_poll(main_loop, tcp, 50, reason, sizeof reason);
	if (err == 0)
		ck_assert_int_eq(option_of(tcp, SOL_SOCKET, SO_BUSY_POLL), 50);
	else
		ck_assert_ptr_nonnull(strstr(reason, "SO_BUSY_POLL 50 us: "));
	ck_assert_int_eq(apus_tcp_set_busy_poll(main_loop, tcp, -1, reason, sizeof reason),
		err == -ENOPROTOOPT ? -ENOPROTOOPT : -EINVAL);
	ck_assert_ptr_nonnull(strstr(reason, "SO_BUSY_POLL -1 us: "));
	loop_close();
}
END_TEST

struct wrong_thread {
	struct apus_tcp tcp;
	int close, open;
	int64_t put;
};

static void *on_another_thread(void *arg)
{
	struct wrong_thread *wrong = arg;
	struct apus_tcp other;

	wrong->close = apus_tcp_close(main_loop, wrong->tcp);
	wrong->open = apus_tcp_open(main_loop, AF_INET, &other);
	wrong->put = apus_tcp_try_write(main_loop, wrong->tcp, "x", 1);
	return NULL;
}

START_TEST(another_thread_is_refused)
{
	struct wrong_thread wrong = { { 0 }, 0, 0, 0 };
	pthread_t thread;

	loop_open();
	wrong.tcp = pair_open(&peer);
	ck_assert_int_eq(pthread_create(&thread, NULL, on_another_thread, &wrong), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(wrong.close, -EPERM);
	ck_assert_int_eq(wrong.open, -EPERM);
	ck_assert_int_eq(wrong.put, -EPERM);
	loop_close();
}
END_TEST

TEST_MAIN("net",
	a_connection_over_ipv4_knows_both_its_addresses,
	a_connection_over_ipv6_knows_both_its_addresses,
	a_refused_connection_says_so_and_may_be_tried_again,
	hot_sockets_connect_and_accept_too,
	a_socket_is_bound_before_it_connects,
	many_connections_in_one_backlog_are_all_accepted,
	accept_without_descriptors_neither_spins_nor_loses_the_listener,
	accept_without_a_slot_keeps_the_connection_in_the_backlog,
	two_listeners_share_a_port_if_both_ask,
	an_ipv6_listener_takes_ipv4_unless_told_not_to,
	a_read_answers_what_came_and_then_the_end,
	the_end_behind_a_short_read_is_found,
	a_short_read_saves_the_read_that_would_be_refused,
	a_read_that_stops_at_urgent_data_does_not_lose_the_rest,
	bytes_between_the_refusal_and_the_wait_are_not_lost,
	an_abandoned_read_loses_no_byte,
	a_reset_is_told,
	readv_fills_its_parts_in_order,
	write_all_writes_all_of_it,
	interrupted_calls_go_on,
	every_call_is_made_again_after_eintr,
	writev_writes_its_parts_in_order,
	parts_beyond_the_systems_limit_are_left_for_the_next_call,
	a_write_of_nothing_is_nothing,
	writing_to_a_peer_that_is_gone_is_a_value,
	a_failed_write_all_says_how_far_it_came,
	the_two_directions_do_not_wait_for_each_other,
	a_try_to_write_finds_room_beside_a_reader_that_waits,
	shutdown_ends_one_direction,
	a_try_answers_at_once,
	a_stream_is_adopted_as_what_it_is,
	options_arrive_at_the_kernel,
	a_corked_write_leaves_when_the_cork_is_drawn,
	the_buffer_that_was_granted_is_read_back,
	a_refused_busy_poll_says_why,
	another_thread_is_refused)
