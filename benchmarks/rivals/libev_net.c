/*
 * libev's I/O watchers, and plain system calls in their callbacks.  Used as its documentation
 * says is fastest: epoll, a watcher a socket that stays started, one receive an event.
 *
 * Echo: both ends on one loop.  2t: the loop turns without waiting.
 *
 * Left out: partial sends (64 bytes are taken whole, or the row fails), time-outs.
 */
#include "../bench_net_2t.h"

#include <errno.h>
#include <ev.h>
#include <string.h>
#include <sys/socket.h>

struct echo {
	struct bench *b;
	ev_io client;
	ev_io server;
	char buf[ECHO_BYTES];
};

static void broke(struct ev_loop *loop, struct echo *echo)
{
	bench_fail(echo->b, "an echo of %d bytes broke: %s", ECHO_BYTES, strerror(errno));
	ev_break(loop, EVBREAK_ALL);
}

static void send_from(struct ev_loop *loop, struct echo *echo, int fd)
{
	if (send(fd, echo->buf, ECHO_BYTES, MSG_NOSIGNAL) != ECHO_BYTES)
		broke(loop, echo);
}

static void on_server(struct ev_loop *loop, ev_io *io, int events)
{
	struct echo *echo = io->data;

	(void)events;
	if (recv(io->fd, echo->buf, ECHO_BYTES, 0) != ECHO_BYTES)
		broke(loop, echo);
	else
		send_from(loop, echo, io->fd);
}

static void on_client(struct ev_loop *loop, ev_io *io, int events)
{
	struct echo *echo = io->data;

	(void)events;
	if (recv(io->fd, echo->buf, ECHO_BYTES, 0) != ECHO_BYTES) {
		broke(loop, echo);
		return;
	}
	bench_sample(echo->b, 1);
	if (bench_more(echo->b))
		send_from(loop, echo, io->fd);
	else
		ev_break(loop, EVBREAK_ALL);
}

static void echo_on(struct bench *b, struct ev_loop *loop, const struct echo_pair *pair)
{
	struct echo echo = { .b = b };

	ev_io_init(&echo.client, on_client, pair->client, EV_READ);
	ev_io_init(&echo.server, on_server, pair->server, EV_READ);
	echo.client.data = echo.server.data = &echo;
	ev_io_start(loop, &echo.client);
	ev_io_start(loop, &echo.server);
	bench_more(b);
	send_from(loop, &echo, pair->client);
	if (!bench_stopping(b))
		ev_run(loop, 0);
}

static void echo(struct bench *b)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct echo_pair pair;

	if (loop == NULL) {
		bench_skip(b, "libev opened no loop");
		return;
	}
	if (echo_pair_open(b, &pair) == 0) {
		echo_on(b, loop, &pair);
		echo_pair_close(b, &pair);
	}
	ev_loop_destroy(loop);
}
NET_PEER("libev", echo);

/* ---- a server on another processor -------------------------------------------- */

struct server {
	struct echo_2t *echo;
	bool over;
};

static void on_request(struct ev_loop *loop, ev_io *io, int events)
{
	struct server *server = io->data;
	char buf[ECHO_BYTES];
	ssize_t got = recv(io->fd, buf, sizeof buf, 0);

	(void)loop;
	(void)events;
	server->over = got <= 0;
	if (got > 0 && send(io->fd, buf, (size_t)got, MSG_NOSIGNAL) != got) {
		server->echo->failed = "the echo";
		server->over = true;
	}
}

static void *serve(void *arg)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct server server = { .echo = arg };
	ev_io io;

	if (loop == NULL) {
		server.echo->failed = "libev opened no loop";
	} else {
		ev_io_init(&io, on_request, server.echo->server, EV_READ);
		io.data = &server;
		ev_io_start(loop, &io);
		while (!server.over)
			ev_run(loop, EVRUN_NOWAIT);
		ev_loop_destroy(loop);
	}
	if (server.echo->failed != NULL)
		shutdown(server.echo->server, SHUT_RDWR);
	return NULL;
}

static void tcp_echo_2t(struct bench *b)
{
	echo_2t(b, serve);
}
BENCH_ENTRANT(tcp_echo_2t, .row = "net/tcp_echo_2t", .who = "libev", .run = tcp_echo_2t);
