/*
 * libevent's events, and plain system calls in their callbacks.  Used as its documentation says
 * is fastest: a base without locks, a persistent event a socket, one receive an event; no
 * bufferevents, which copy.
 *
 * Echo: both ends on one base.  2t: the loop turns without waiting.
 *
 * Left out: partial sends (64 bytes are taken whole, or the row fails), time-outs.
 */
#include "../bench_net_2t.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>
#include <sys/socket.h>

struct echo {
	struct bench *b;
	struct event_base *base;
	struct event client;
	struct event server;
	char buf[ECHO_BYTES];
};

static struct event_base *base_open(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static void broke(struct echo *echo)
{
	bench_fail(echo->b, "an echo of %d bytes broke: %s", ECHO_BYTES, strerror(errno));
	event_base_loopbreak(echo->base);
}

static void send_from(struct echo *echo, int fd)
{
	if (send(fd, echo->buf, ECHO_BYTES, MSG_NOSIGNAL) != ECHO_BYTES)
		broke(echo);
}

static void on_server(evutil_socket_t fd, short what, void *arg)
{
	struct echo *echo = arg;

	(void)what;
	if (recv(fd, echo->buf, ECHO_BYTES, 0) != ECHO_BYTES)
		broke(echo);
	else
		send_from(echo, fd);
}

static void on_client(evutil_socket_t fd, short what, void *arg)
{
	struct echo *echo = arg;

	(void)what;
	if (recv(fd, echo->buf, ECHO_BYTES, 0) != ECHO_BYTES) {
		broke(echo);
		return;
	}
	bench_sample(echo->b, 1);
	if (bench_more(echo->b))
		send_from(echo, fd);
	else
		event_base_loopbreak(echo->base);
}

static void echo_on(struct bench *b, struct event_base *base, const struct echo_pair *pair)
{
	struct echo echo = { .b = b, .base = base };

	event_assign(&echo.client, base, pair->client, EV_READ | EV_PERSIST, on_client, &echo);
	event_assign(&echo.server, base, pair->server, EV_READ | EV_PERSIST, on_server, &echo);
	event_add(&echo.client, NULL);
	event_add(&echo.server, NULL);
	bench_more(b);
	send_from(&echo, pair->client);
	if (!bench_stopping(b))
		event_base_dispatch(base);
	event_del(&echo.client);
	event_del(&echo.server);
}

static void echo(struct bench *b)
{
	struct event_base *base = base_open();
	struct echo_pair pair;

	if (base == NULL) {
		bench_skip(b, "libevent opened no base");
		return;
	}
	if (echo_pair_open(b, &pair) == 0) {
		echo_on(b, base, &pair);
		echo_pair_close(b, &pair);
	}
	event_base_free(base);
}
NET_PEER("libevent", echo);

/* ---- a server on another processor -------------------------------------------- */

struct server {
	struct echo_2t *echo;
	bool over;
};

static void on_request(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	char buf[ECHO_BYTES];
	ssize_t got = recv(fd, buf, sizeof buf, 0);

	(void)what;
	server->over = got <= 0;
	if (got > 0 && send(fd, buf, (size_t)got, MSG_NOSIGNAL) != got) {
		server->echo->failed = "the echo";
		server->over = true;
	}
}

static void *serve(void *arg)
{
	struct server server = { .echo = arg };
	struct event_base *base = base_open();
	struct event event;

	if (base == NULL) {
		server.echo->failed = "libevent opened no base";
	} else {
		event_assign(&event, base, server.echo->server, EV_READ | EV_PERSIST, on_request,
			&server);
		event_add(&event, NULL);
		while (!server.over)
			event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		event_del(&event);
		event_base_free(base);
	}
	if (server.echo->failed != NULL)
		shutdown(server.echo->server, SHUT_RDWR);
	return NULL;
}

static void tcp_echo_2t(struct bench *b)
{
	echo_2t(b, serve);
}
BENCH_ENTRANT(tcp_echo_2t, .row = "net/tcp_echo_2t", .who = "libevent", .run = tcp_echo_2t);
