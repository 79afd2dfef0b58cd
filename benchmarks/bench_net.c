/*
 * Question   what does the loop add to a message, and what does an idle connection cost?
 * Unit       echo: ns a round trip of 64 bytes over loopback, client and server on one
 *            loop.  hot: awaited sockets are read every turn; epoll: through the kernel's
 *            poll, each turn; uring: received by io_uring.
 *            idle_connections: ns a turn with its poll, one connection awaited and 0,
 *            1000 or 10,000 more of the same.
 * Rival      rivals/limit_net.c: the same system calls, made by hand.
 *            idle_connections: our own turn with the one alone.
 * Not shown  a network, a second core, larger messages.
 */
#include "bench_idle.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

BENCH_ROW(tcp_echo_hot, .name = "net/tcp_echo/hot", .unit = "ns", .batch = 1);
BENCH_ROW(tcp_echo_epoll, .name = "net/tcp_echo/epoll", .unit = "ns", .batch = 1);
BENCH_ROW(tcp_echo_uring, .name = "net/tcp_echo/uring", .unit = "ns", .batch = 1);
BENCH_ROW(udp_echo_hot, .name = "net/udp_echo/hot", .unit = "ns", .batch = 1);
BENCH_ROW(udp_echo_epoll, .name = "net/udp_echo/epoll", .unit = "ns", .batch = 1);
BENCH_ROW(udp_echo_uring, .name = "net/udp_echo/uring", .unit = "ns", .batch = 1);
BENCH_ROW(idle_connections_0, .name = "net/idle_connections/0", .unit = "ns", .batch = 100);
BENCH_ROW(idle_connections_1k, .name = "net/idle_connections/1k", .unit = "ns", .batch = 100);
BENCH_ROW(idle_connections_10k, .name = "net/idle_connections/10k", .unit = "ns",
	.batch = 100);

enum { OVER_HOT, OVER_EPOLL, OVER_URING };

/* Each row names its backend: it is the question. */
static struct apus_loop *echo_open(struct bench *b)
{
	struct apus_config config;

	loop_config(&config);
	config.backend = b->arg == OVER_URING ? APUS_IO_URING : APUS_IO_EPOLL;
	return loop_open_if(b, &config);
}

/* The loop's own, so that io_uring may receive for it; the pair keeps its descriptor. */
static int own(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* ---- TCP echo --------------------------------------------------------------- */

struct tcp_end {
	struct apus_frame frame;
	struct bench *b;
	struct apus_tcp stream;
	struct apus_write write;
	apus_poll bytes;
	char buf[2 * ECHO_BYTES]; /* a read that leaves room says that nothing is left */
};

APUS_TASK(tcp_server, struct tcp_end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->bytes, apus_tcp_read(cx, self->stream, self->buf,
			sizeof self->buf));
		APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->stream, &self->write,
			self->buf, (size_t)self->bytes));
	}
	APUS_END(0);
}

APUS_TASK(tcp_client, struct tcp_end)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->stream, &self->write,
			self->buf, ECHO_BYTES));
		APUS_TRY(self->bytes, apus_tcp_read(cx, self->stream, self->buf,
			sizeof self->buf));
		if (self->bytes != ECHO_BYTES)
			return -EBADMSG;
		bench_sample(self->b, 1);
	}
	APUS_END(0);
}

static int tcp_adopt(struct apus_loop *loop, int fd, bool hot, struct apus_tcp *out)
{
	int err = apus_tcp_adopt(loop, own(fd), APUS_OWNED, out);

	return err != 0 ? err : apus_tcp_set_hot(loop, *out, hot);
}

static void tcp_echo_on(struct bench *b, struct apus_loop *loop, const struct sockets *pair)
{
	struct tcp_end server = { .b = b }, client = { .b = b };
	bool hot = b->arg == OVER_HOT;

	if (loop_refused(b, "adopt", tcp_adopt(loop, pair->ours[0], hot, &server.stream)) ||
	    loop_refused(b, "adopt", tcp_adopt(loop, pair->theirs[0], hot, &client.stream)) ||
	    loop_refused(b, "spawn", apus_spawn_slab(loop, tcp_server, &server, NULL)))
		return;
	memset(client.buf, 'a', sizeof client.buf);
	loop_check(b, apus_run(loop, tcp_client, &client));
	apus_tcp_close(loop, client.stream);
	apus_tcp_close(loop, server.stream);
}

static void tcp_echo(struct bench *b)
{
	struct apus_loop *loop = echo_open(b);
	struct sockets pair;

	if (loop == NULL)
		return;
	if (sockets_open(b, &pair, 1) == 0)
		tcp_echo_on(b, loop, &pair);
	loop_close(b, loop);
	sockets_close(&pair);
}
BENCH_ENTRANT(tcp_echo_hot_apus, .row = "net/tcp_echo/hot", .who = "apus", .run = tcp_echo,
	.arg = OVER_HOT);
BENCH_ENTRANT(tcp_echo_epoll_apus, .row = "net/tcp_echo/epoll", .who = "apus",
	.run = tcp_echo, .arg = OVER_EPOLL);
BENCH_ENTRANT(tcp_echo_uring_apus, .row = "net/tcp_echo/uring", .who = "apus",
	.run = tcp_echo, .arg = OVER_URING);

/* ---- UDP echo --------------------------------------------------------------- */

struct udp_end {
	struct apus_frame frame;
	struct bench *b;
	struct apus_udp socket;
	apus_poll bytes;
	char buf[ECHO_BYTES];
};

APUS_TASK(udp_server, struct udp_end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->bytes, apus_udp_recv(cx, self->socket, self->buf,
			sizeof self->buf, NULL));
		APUS_TRY(self->bytes, apus_udp_send(cx, self->socket, self->buf,
			(size_t)self->bytes, NULL));
	}
	APUS_END(0);
}

APUS_TASK(udp_client, struct udp_end)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		APUS_TRY(self->bytes, apus_udp_send(cx, self->socket, self->buf,
			sizeof self->buf, NULL));
		APUS_TRY(self->bytes, apus_udp_recv(cx, self->socket, self->buf,
			sizeof self->buf, NULL));
		if (self->bytes != ECHO_BYTES)
			return -EBADMSG;
		bench_sample(self->b, 1);
	}
	APUS_END(0);
}

static int udp_adopt(struct apus_loop *loop, int fd, bool hot, struct apus_udp *out)
{
	int err = apus_udp_adopt(loop, own(fd), APUS_OWNED, out);

	return err != 0 ? err : apus_udp_set_hot(loop, *out, hot);
}

static void udp_echo_on(struct bench *b, struct apus_loop *loop, const int pair[2])
{
	struct udp_end server = { .b = b }, client = { .b = b };
	bool hot = b->arg == OVER_HOT;

	if (loop_refused(b, "adopt", udp_adopt(loop, pair[1], hot, &server.socket)) ||
	    loop_refused(b, "adopt", udp_adopt(loop, pair[0], hot, &client.socket)) ||
	    loop_refused(b, "spawn", apus_spawn_slab(loop, udp_server, &server, NULL)))
		return;
	memset(client.buf, 'a', sizeof client.buf);
	loop_check(b, apus_run(loop, udp_client, &client));
	apus_udp_close(loop, client.socket);
	apus_udp_close(loop, server.socket);
}

static void udp_echo(struct bench *b)
{
	struct apus_loop *loop = echo_open(b);
	int pair[2];

	if (loop == NULL)
		return;
	if (udp_pair_open(b, pair) == 0)
		udp_echo_on(b, loop, pair);
	loop_close(b, loop);
	close(pair[0]);
	close(pair[1]);
}
BENCH_ENTRANT(udp_echo_hot_apus, .row = "net/udp_echo/hot", .who = "apus", .run = udp_echo,
	.arg = OVER_HOT);
BENCH_ENTRANT(udp_echo_epoll_apus, .row = "net/udp_echo/epoll", .who = "apus",
	.run = udp_echo, .arg = OVER_EPOLL);
BENCH_ENTRANT(udp_echo_uring_apus, .row = "net/udp_echo/uring", .who = "apus",
	.run = udp_echo, .arg = OVER_URING);

/* ---- idle connections ------------------------------------------------------- */

static void idle_connections(struct bench *b)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct loop_idle idle;

	loop_config(&config);
	config.slot_count = config.socket_count = 16384;
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	if (loop_idle_open(b, &idle, loop, 1 + (uint32_t)b->arg) == 0)
		loop_turns(b, loop);
	loop_idle_close(&idle, loop);
	loop_close(b, loop);
}
BENCH_ENTRANT(idle_connections_0_apus, .row = "net/idle_connections/0", .who = "apus",
	.run = idle_connections, .arg = 0);
BENCH_ENTRANT(idle_connections_1k_apus, .row = "net/idle_connections/1k", .who = "apus",
	.run = idle_connections, .arg = 1000);
BENCH_ENTRANT(idle_connections_10k_apus, .row = "net/idle_connections/10k", .who = "apus",
	.run = idle_connections, .arg = 10000);
/* Measured against itself: the turn without them. */
BENCH_ENTRANT(idle_connections_1k_limit, .row = "net/idle_connections/1k", .who = "limit",
	.run = idle_connections, .arg = 0);
BENCH_ENTRANT(idle_connections_10k_limit, .row = "net/idle_connections/10k", .who = "limit",
	.run = idle_connections, .arg = 0);
