/*
 * test_net_calls.c - the system calls that a message costs, each of them counted.
 *
 * The calls of libc that the library makes are replaced in this program, so that calls of
 * the library count, and nothing else does.
 */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "sockets.h"

enum call_name { CALL_CTL, CALL_WAIT, CALL_RECV, CALL_RECVMMSG, CALL_SEND, CALL_SENDMMSG, CALLS };

static int counts[CALLS], refused;

static ssize_t counted(enum call_name name, ssize_t answer)
{
	counts[name]++;
	refused += answer < 0 && errno == EAGAIN;
	return answer;
}

int epoll_ctl(int fd, int what, int other, struct epoll_event *event)
{
	return (int)counted(CALL_CTL, syscall(SYS_epoll_ctl, fd, what, other, event));
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	return (int)counted(CALL_WAIT,
		syscall(SYS_epoll_pwait, fd, events, count, timeout_ms, NULL, 8));
}

ssize_t recv(int fd, void *data, size_t bytes, int flags)
{
	return counted(CALL_RECV, syscall(SYS_recvfrom, fd, data, bytes, flags, NULL, NULL));
}

ssize_t send(int fd, const void *data, size_t bytes, int flags)
{
	return counted(CALL_SEND, syscall(SYS_sendto, fd, data, bytes, flags, NULL, 0));
}

int recvmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags, struct timespec *time)
{
	return (int)counted(CALL_RECVMMSG, syscall(SYS_recvmmsg, fd, headers, count, flags, time));
}

int sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
	return (int)counted(CALL_SENDMMSG, syscall(SYS_sendmmsg, fd, headers, count, flags));
}

static void counts_reset(void)
{
	memset(counts, 0, sizeof counts);
	refused = 0;
}

/* No spurious evaluations: they would cost calls of their own. */
static void plain(struct apus_config *config)
{
	config->spurious_seed = 0;
	config->backend = APUS_IO_EPOLL;
}

/* ---- an echo of 64 bytes, both ends on one loop ------------------------------------- */

enum { ECHOES = 100, ECHO_BYTES = 64 };

struct end {
	struct apus_frame frame;
	struct apus_tcp tcp;
	struct apus_write write;
	int64_t got;
	int left;
	char buffer[2 * ECHO_BYTES]; /* with room left, a read says that it took all */
};

static int ends_left;

APUS_TASK(server, struct end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->got, apus_tcp_read(cx, self->tcp, self->buffer, sizeof self->buffer));
		if (self->got == 0)
			return 0;
		APUS_TRY(self->got, apus_tcp_write_all(cx, self->tcp, &self->write, self->buffer,
			(size_t)self->got));
	}
	APUS_END(0);
}

APUS_TASK(client, struct end)
{
	APUS_BEGIN(cx, self);
	for (; self->left > 0; self->left--) {
		APUS_TRY(self->got, apus_tcp_write_all(cx, self->tcp, &self->write, self->buffer,
			ECHO_BYTES));
		APUS_TRY(self->got, apus_tcp_read(cx, self->tcp, self->buffer, sizeof self->buffer));
		ck_assert_int_eq(self->got, ECHO_BYTES);
	}
	ends_left--;
	APUS_END(0);
}

static void ends_open(struct apus_tcp *a, struct apus_tcp *b)
{
	struct call acceptor = { .poll = tcp_accept };
	struct call connector = { .poll = tcp_connect };

	acceptor.listener = listener_open("127.0.0.1:0", &connector.address);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &connector.tcp), 0);
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_run(&acceptor), 0);
	ck_assert_int_eq(apus_listener_close(main_loop, acceptor.listener), 0);
	*a = connector.tcp;
	*b = acceptor.tcp;
	ck_assert_int_eq(apus_tcp_set_nodelay(main_loop, *a, true), 0);
	ck_assert_int_eq(apus_tcp_set_nodelay(main_loop, *b, true), 0);
}

static void echo(struct apus_tcp a, struct apus_tcp b)
{
	ends_left = 1;
	ck_assert_int_eq(apus_spawn_slab(main_loop, server, (&(struct end){ .tcp = b }), NULL), 0);
	apus_turn(main_loop);
	apus_turn(main_loop);
	counts_reset();
	ck_assert_int_eq(apus_spawn_slab(main_loop, client,
		(&(struct end){ .tcp = a, .left = ECHOES }), NULL), 0);
	while (ends_left > 0)
		apus_turn(main_loop);
}

/* A receive and a send a message, and nothing that is refused. */
START_TEST(an_echo_over_epoll_is_a_receive_and_a_send_an_end)
{
	struct apus_tcp a, b;

	loop_open_with(plain);
	ends_open(&a, &b);
	echo(a, b);
	ck_assert_int_eq(counts[CALL_SEND], 2 * ECHOES);
	/* But for the client's first, which is tried before anything is known. */
	ck_assert_int_le(refused, 1);
	ck_assert_int_eq(counts[CALL_RECV], 2 * ECHOES + refused);
	ck_assert_int_le(counts[CALL_CTL], 1); /* the client's first wait */
	loop_close();
}
END_TEST

START_TEST(a_hot_echo_asks_the_backend_nothing)
{
	struct apus_tcp a, b;

	loop_open_with(plain);
	ends_open(&a, &b);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, a, true), 0);
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, b, true), 0);
	echo(a, b);
	ck_assert_int_eq(counts[CALL_SEND], 2 * ECHOES);
	ck_assert_int_eq(counts[CALL_RECV] - refused, 2 * ECHOES);
	/* After an answer it is not asked again in the same turn, which would be for nothing. */
	ck_assert_int_lt(refused, ECHOES);
	ck_assert_int_eq(counts[CALL_WAIT], 0);
	ck_assert_int_eq(counts[CALL_CTL], 0);
	loop_close();
}
END_TEST

/* Opened, connected, read, written and closed: the kernel's queue is told once. */
START_TEST(a_connection_is_registered_once)
{
	struct apus_tcp a, b;
	struct call reader = { .poll = tcp_read, .bytes = 8 };
	char buffer[8];
	int i;

	loop_open_with(plain);
	ends_open(&a, &b);
	counts_reset();
	reader.data = buffer;
	reader.tcp = b;
	for (i = 0; i < 10; i++) {
		call_start_pending(&reader);
		ck_assert_int_eq(apus_tcp_try_write(main_loop, a, "x", 1), 1);
		ck_assert_int_eq(call_finish(&reader), 1);
	}
	ck_assert_int_eq(apus_tcp_close(main_loop, b), 0);
	ck_assert_int_eq(counts[CALL_CTL], 1);
	loop_close();
}
END_TEST

START_TEST(idle_connections_cost_a_turn_nothing)
{
	enum { PAIRS = 50 };
	static struct call readers[2 * PAIRS];
	char byte;
	int i;

	loop_open_with(plain);
	for (i = 0; i < 2 * PAIRS; i++)
		readers[i] = (struct call){ .poll = tcp_read, .data = &byte, .bytes = 1 };
	for (i = 0; i < 2 * PAIRS; i += 2) {
		ck_assert_int_eq(apus_unix_pair(main_loop, &readers[i].tcp, &readers[i + 1].tcp), 0);
		call_start(&readers[i]);
		call_start(&readers[i + 1]);
	}
	turns();
	counts_reset();
	for (i = 0; i < 100; i++)
		apus_turn(main_loop);
	ck_assert_int_eq(counts[CALL_WAIT], 100);
	for (i = 0; i < CALLS; i++)
		ck_assert_int_eq(counts[i], i == CALL_WAIT ? 100 : 0);
	loop_close();
}
END_TEST

/* What leaves a datagram or Unix socket is an edge for writing: nobody asked for it. */
START_TEST(what_leaves_a_socket_is_no_event)
{
	static char block[4096], buffer[64];
	struct call reader = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct call sender = { .poll = udp_send, .data = block, .bytes = sizeof block };
	struct apus_udp other;
	uint64_t events;
	int round, i;

	loop_open_with(plain);
	ck_assert_int_eq(apus_unix_pair_datagram(main_loop, &reader.udp, &other), 0);
	sender.udp = reader.udp;
	call_start_pending(&reader);
	for (round = 0; round < 3; round++) {
		events = loop_io()->counts.events;
		for (i = 0; i < 10; i++) {
			ck_assert_int_eq(call_run(&sender), sizeof block);
			ck_assert_int_eq(apus_udp_try_recv(main_loop, other, block, sizeof block, NULL),
				sizeof block);
			apus_turn(main_loop);
		}
		ck_assert_uint_le(loop_io()->counts.events, events + (round == 0 ? 0 : 1));
		/* One that had to wait is told, and no more of it afterwards. */
		while (apus_udp_try_send(main_loop, sender.udp, block, sizeof block, NULL) > 0)
			;
		call_start_pending(&sender);
		while (apus_udp_try_recv(main_loop, other, block, sizeof block, NULL) > 0)
			;
		ck_assert_int_eq(call_finish(&sender), sizeof block);
		ck_assert_int_eq(apus_udp_try_recv(main_loop, other, block, sizeof block, NULL),
			sizeof block);
	}
	ck_assert(!reader.is_done);
	loop_close();
}
END_TEST

struct selecting {
	struct apus_frame frame;
	struct apus_tcp busy, quiet;
	apus_poll which, got;
	int left;
	char a, b;
};

APUS_TASK(selecting, struct selecting)
{
	APUS_BEGIN(cx, self);
	while (self->left > 0) {
		APUS_AWAIT(self->which, APUS_SELECT(self->got,
			apus_tcp_read(cx, self->quiet, &self->a, 1),
			apus_tcp_read(cx, self->busy, &self->b, 1)));
		self->left--;
	}
	ends_left--;
	APUS_END(0);
}

/* What was refused is not asked again before an event says so. */
START_TEST(an_arm_that_is_not_ready_costs_no_call)
{
	struct selecting init = { .left = 20 };
	struct apus_tcp a, b;
	int i;

	loop_open_with(plain);
	ck_assert_int_eq(apus_unix_pair(main_loop, &init.busy, &a), 0);
	ck_assert_int_eq(apus_unix_pair(main_loop, &init.quiet, &b), 0);
	ends_left = 1;
	ck_assert_int_eq(apus_spawn_slab(main_loop, selecting, &init, NULL), 0);
	turns();
	counts_reset();
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(apus_tcp_try_write(main_loop, a, "x", 1), 1);
		turns();
	}
	ck_assert_int_eq(ends_left, 0);
	ck_assert_int_eq(counts[CALL_RECV] - refused, 20);
	ck_assert_int_le(refused, 20); /* the busy one's, since each read was a full one */
	loop_close();
}
END_TEST

/* A batch that was not full says that nothing is left. */
START_TEST(a_batch_is_one_call_each_way)
{
	struct apus_address here, at = address_of("127.0.0.1:0");
	struct apus_batch batch;
	struct call call = { .poll = udp_recv_batch, .batch = &batch };
	int round, i;

	loop_open_with(plain);
	ck_assert_int_eq(apus_batch_init(&batch, 8, 64), 0);
	ck_assert_int_eq(apus_udp_open(main_loop, &at, NULL, &call.udp), 0);
	ck_assert_int_eq(apus_udp_local(main_loop, call.udp, &here), 0);
	call_start_pending(&call);
	counts_reset();
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 5; i++)
			ck_assert_int_eq(apus_udp_try_send(main_loop, call.udp, "x", 1, &here), 1);
		ck_assert_int_eq(call_finish(&call), 5);
		call_start_pending(&call);
	}
	ck_assert_int_eq(counts[CALL_RECVMMSG], 10);
	ck_assert_int_eq(refused, 0);
	apus_batch_deinit(&batch);
	loop_close();
}
END_TEST

TEST_MAIN("net_calls",
	an_echo_over_epoll_is_a_receive_and_a_send_an_end,
	a_hot_echo_asks_the_backend_nothing,
	a_connection_is_registered_once,
	idle_connections_cost_a_turn_nothing,
	what_leaves_a_socket_is_no_event,
	an_arm_that_is_not_ready_costs_no_call,
	a_batch_is_one_call_each_way)
