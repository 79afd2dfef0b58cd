/*
 * The least echo: the two ends of a connection in one loop, straight on the system calls.
 * hot: each end spins on its non-blocking receive.  epoll: each end waits for its event
 * with an epoll_wait that does not block, then receives once.
 *
 * Left out: tasks, time-outs, other connections, partial sends (64 bytes are taken whole,
 * or the row fails), the EAGAIN that a reader needs who does not know the length.
 */
#include "../bench_sockets.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct echo {
	struct bench *b;
	int client;
	int server;
	int epoll;     /* -1: spin on receive */
	char buf[ECHO_BYTES];
};

static bool spin_recv(struct echo *echo, int fd)
{
	ssize_t got;

	do
		got = recv(fd, echo->buf, sizeof echo->buf, 0);
	while (got < 0 && errno == EAGAIN);
	return got == ECHO_BYTES;
}

static bool wait_recv(struct echo *echo, int fd)
{
	struct epoll_event event;
	int count;

	do
		count = epoll_wait(echo->epoll, &event, 1, 0);
	while (count == 0);
	return count == 1 && event.data.fd == fd &&
		recv(fd, echo->buf, sizeof echo->buf, 0) == ECHO_BYTES;
}

static inline bool pass(struct echo *echo, int from, int to, bool wait)
{
	return send(from, echo->buf, sizeof echo->buf, MSG_NOSIGNAL) == ECHO_BYTES &&
		(wait ? wait_recv(echo, to) : spin_recv(echo, to));
}

static inline void echo_run(struct echo *echo, bool wait)
{
	memset(echo->buf, 'a', sizeof echo->buf);
	while (bench_more(echo->b)) {
		bool ok = pass(echo, echo->client, echo->server, wait) &&
			pass(echo, echo->server, echo->client, wait);

		bench_sample(echo->b, 1);
		if (!ok)
			bench_fail(echo->b, "an echo of %d bytes broke: %s", ECHO_BYTES,
				strerror(errno));
	}
}

static void echo_run_epoll(struct echo *echo)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	echo->epoll = epoll_create1(EPOLL_CLOEXEC);
	event.data.fd = echo->server;
	epoll_ctl(echo->epoll, EPOLL_CTL_ADD, echo->server, &event);
	event.data.fd = echo->client;
	epoll_ctl(echo->epoll, EPOLL_CTL_ADD, echo->client, &event);
	echo_run(echo, true);
	close(echo->epoll);
}

static void echo_any(struct echo *echo)
{
	if (echo->b->arg == 0)
		echo_run(echo, false);
	else
		echo_run_epoll(echo);
}

static void tcp_echo(struct bench *b)
{
	struct sockets pair;

	if (sockets_open(b, &pair, 1) == 0)
		echo_any(&(struct echo){ .b = b, .client = pair.theirs[0], .server = pair.ours[0] });
	sockets_close(&pair);
}
BENCH_ENTRANT(tcp_echo_hot_limit, .row = "net/tcp_echo/hot", .who = "limit", .run = tcp_echo,
	.arg = 0);
BENCH_ENTRANT(tcp_echo_epoll_limit, .row = "net/tcp_echo/epoll", .who = "limit",
	.run = tcp_echo, .arg = 1);

static void udp_echo(struct bench *b)
{
	int pair[2];

	if (udp_pair_open(b, pair) != 0)
		return;
	echo_any(&(struct echo){ .b = b, .client = pair[0], .server = pair[1] });
	close(pair[0]);
	close(pair[1]);
}
BENCH_ENTRANT(udp_echo_hot_limit, .row = "net/udp_echo/hot", .who = "limit", .run = udp_echo,
	.arg = 0);
BENCH_ENTRANT(udp_echo_epoll_limit, .row = "net/udp_echo/epoll", .who = "limit",
	.run = udp_echo, .arg = 1);
