/*
 * The least server of net/tcp_echo_2t: it spins on its receive, and sends what came.
 *
 * Left out: tasks, time-outs, other connections, partial sends.
 */
#include "../bench_net_2t.h"

#include <errno.h>
#include <sys/socket.h>

static void *serve(void *arg)
{
	struct echo_2t *echo = arg;
	char buf[ECHO_BYTES];
	ssize_t got;

	for (;;) {
		do
			got = recv(echo->server, buf, sizeof buf, 0);
		while (got < 0 && errno == EAGAIN);
		if (got <= 0)
			return NULL;
		if (send(echo->server, buf, (size_t)got, MSG_NOSIGNAL) != got)
			break;
	}
	echo->failed = "the echo";
	shutdown(echo->server, SHUT_RDWR);
	return NULL;
}

static void tcp_echo_2t(struct bench *b)
{
	echo_2t(b, serve);
}
BENCH_ENTRANT(tcp_echo_2t_limit, .row = "net/tcp_echo_2t", .who = "limit", .run = tcp_echo_2t);
