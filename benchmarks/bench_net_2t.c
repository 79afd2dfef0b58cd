/*
 * Question   what does a loop add to an echo, where the client is on another processor?
 * Unit       ns a round trip of 64 bytes over loopback, both sides spinning.
 * Rival      rivals/limit_net_2t.c: the server as a loop around recv and send.
 * Not shown  a network; a server with more than one connection.
 */
#include "bench_net_2t.h"

#include "bench_loop.h"
#include "bench_wake.h"

#include "apus/net.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

BENCH_ROW(tcp_echo_2t, .name = "net/tcp_echo_2t", .unit = "ns", .batch = 1);

/* ---- the client ------------------------------------------------------------ */

static bool round_trip(int fd, char *buf)
{
	ssize_t got;

	if (send(fd, buf, ECHO_BYTES, MSG_NOSIGNAL) != ECHO_BYTES)
		return false;
	do
		got = recv(fd, buf, ECHO_BYTES, 0);
	while (got < 0 && errno == EAGAIN);
	return got == ECHO_BYTES;
}

static void client_run(struct bench *b, int fd)
{
	char buf[ECHO_BYTES];

	memset(buf, 'a', sizeof buf);
	while (bench_more(b)) {
		if (!round_trip(fd, buf)) {
			bench_fail(b, "the server is gone, or answered with less");
			return;
		}
		bench_sample(b, 1);
	}
}

void echo_2t(struct bench *b, void *(*serve)(void *arg))
{
	struct echo_2t echo = { .b = b };
	struct sockets pair;
	pthread_t thread;

	if (sockets_open(b, &pair, 1) == 0) {
		echo.server = pair.ours[0];
		if (wake_thread(b, &thread, serve, &echo)) {
			client_run(b, pair.theirs[0]);
			shutdown(pair.theirs[0], SHUT_RDWR);
			pthread_join(thread, NULL);
		}
		if (echo.failed != NULL)
			bench_fail(b, "the server: %s", echo.failed);
	}
	sockets_close(&pair);
}

/* ---- our server -------------------------------------------------------------- */

struct server {
	struct apus_frame frame;
	struct apus_tcp stream;
	struct apus_write write;
	apus_poll bytes;
	char buf[2 * ECHO_BYTES];
};

APUS_TASK(server, struct server)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->bytes, apus_tcp_read(cx, self->stream, self->buf,
			sizeof self->buf));
		if (self->bytes == 0)
			return 0;
		APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->stream, &self->write,
			self->buf, (size_t)self->bytes));
	}
	APUS_END(0);
}

static void server_run(struct apus_loop *loop, struct echo_2t *echo)
{
	struct server init = { .bytes = 0 };
	int fd = fcntl(echo->server, F_DUPFD_CLOEXEC, 0);

	if (apus_tcp_adopt(loop, fd, APUS_OWNED, &init.stream) != 0 ||
	    apus_tcp_set_hot(loop, init.stream, true) != 0)
		echo->failed = "adopt";
	else if (apus_run(loop, server, &init) != 0)
		echo->failed = "the echo";
}

static void server_config(struct apus_config *config)
{
	loop_config(config);
	config->backend = APUS_IO_EPOLL;
}

static void *serve(void *arg)
{
	struct echo_2t *echo = arg;
	struct apus_config config;
	struct apus_loop *loop;

	server_config(&config);
	if (apus_open(&loop, &config) != 0) {
		echo->failed = "apus_open";
	} else {
		server_run(loop, echo);
		apus_close(loop, NULL);
	}
	/* A client that still waits for an answer has to hear of it. */
	if (echo->failed != NULL)
		shutdown(echo->server, SHUT_RDWR);
	return NULL;
}

static void tcp_echo_2t(struct bench *b)
{
	struct apus_config config;
	struct apus_loop *loop;

	/* A backend that is missing is said here, where a row can be skipped. */
	server_config(&config);
	loop = loop_open_if(b, &config);
	if (loop == NULL)
		return;
	loop_close(b, loop);
	echo_2t(b, serve);
}
BENCH_ENTRANT(tcp_echo_2t_apus, .row = "net/tcp_echo_2t", .who = "apus", .run = tcp_echo_2t);
