/*
 * libuv's streams and datagrams.  Used as its documentation says is fastest: reading goes on
 * until it is stopped, into a buffer that is always the same, and writes are tried at once
 * (uv_try_write, uv_udp_try_send), without a request.
 *
 * Echo: both ends on one loop.  2t: the loop turns without waiting.
 *
 * What differs: after a receive that filled less than its buffer a stream reads no more, but a
 * datagram handle reads until there is nothing.
 * Left out: partial sends (64 bytes are taken whole, or the row fails), time-outs.
 */
#include "../bench_net_2t.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

union end {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_udp_t udp;
};

struct echo {
	struct bench *b;
	uv_loop_t loop;
	union end client;
	union end server;
	char buf[2 * ECHO_BYTES];
	bool over;
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct echo *echo = handle->data;

	(void)suggested;
	*buf = uv_buf_init(echo->buf, sizeof echo->buf);
}

static void end_echo(struct echo *echo)
{
	echo->over = true;
	uv_close(&echo->client.handle, NULL);
	uv_close(&echo->server.handle, NULL);
}

static void broke(struct echo *echo, ssize_t err)
{
	bench_fail(echo->b, "an echo of %d bytes broke: %s", ECHO_BYTES,
		err < 0 ? uv_strerror((int)err) : "not all of it");
	end_echo(echo);
}

static void send_from(struct echo *echo, union end *end)
{
	uv_buf_t buf = uv_buf_init(echo->buf, ECHO_BYTES);
	int sent = echo->b->arg == ECHO_UDP ? uv_udp_try_send(&end->udp, &buf, 1, NULL) :
					      uv_try_write(&end->stream, &buf, 1);

	if (sent != ECHO_BYTES)
		broke(echo, sent);
}

/* What has come to an end: the server sends it back, the client has its sample. */
static void came(struct echo *echo, union end *end, ssize_t got)
{
	if (echo->over)
		return;
	if (got != ECHO_BYTES) {
		broke(echo, got);
		return;
	}
	if (end == &echo->client) {
		bench_sample(echo->b, 1);
		if (!bench_more(echo->b)) {
			end_echo(echo);
			return;
		}
	}
	send_from(echo, end);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	(void)buf;
	if (got != 0)
		came(stream->data, (union end *)stream, got);
}

static void on_recv(uv_udp_t *udp, ssize_t got, const uv_buf_t *buf,
	const struct sockaddr *from, unsigned int flags)
{
	(void)buf;
	(void)flags;
	if (got != 0 || from != NULL)
		came(udp->data, (union end *)udp, got);
}

/* The pair keeps its descriptor; libuv closes its own. */
static int end_open(struct echo *echo, union end *end, int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int err;

	if (echo->b->arg == ECHO_UDP) {
		uv_udp_init(&echo->loop, &end->udp);
		end->handle.data = echo;
		err = uv_udp_open(&end->udp, own);
		return err != 0 ? err : uv_udp_recv_start(&end->udp, on_alloc, on_recv);
	}
	uv_tcp_init(&echo->loop, &end->tcp);
	end->handle.data = echo;
	err = uv_tcp_open(&end->tcp, own);
	return err != 0 ? err : uv_read_start(&end->stream, on_alloc, on_read);
}

static void echo_on(struct echo *echo, const struct echo_pair *pair)
{
	int err = end_open(echo, &echo->client, pair->client);

	err |= end_open(echo, &echo->server, pair->server);
	if (err != 0) {
		broke(echo, err);
	} else {
		bench_more(echo->b);
		send_from(echo, &echo->client);
	}
	uv_run(&echo->loop, UV_RUN_DEFAULT);
}

static void echo(struct bench *b)
{
	struct echo echo = { .b = b };
	struct echo_pair pair;

	if (uv_loop_init(&echo.loop) != 0) {
		bench_skip(b, "libuv opened no loop");
		return;
	}
	if (echo_pair_open(b, &pair) == 0) {
		echo_on(&echo, &pair);
		echo_pair_close(b, &pair);
	}
	if (uv_loop_close(&echo.loop) != 0)
		bench_fail(b, "libuv's loop is still in use");
}
NET_PEER("libuv", echo);

/* ---- a server on another processor -------------------------------------------- */

struct server {
	struct echo_2t *echo;
	uv_loop_t loop;
	uv_tcp_t tcp;
	char buf[2 * ECHO_BYTES];
};

static void on_server_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct server *server = handle->data;

	(void)suggested;
	*buf = uv_buf_init(server->buf, sizeof server->buf);
}

static void on_request(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct server *server = stream->data;
	uv_buf_t answer = uv_buf_init(buf->base, got > 0 ? (unsigned int)got : 0);

	if (got == 0)
		return;
	if (got > 0 && uv_try_write(stream, &answer, 1) == got)
		return;
	if (got > 0)
		server->echo->failed = "the echo";
	uv_close((uv_handle_t *)stream, NULL);
}

static void server_run(struct server *server)
{
	int err;

	uv_tcp_init(&server->loop, &server->tcp);
	server->tcp.data = server;
	err = uv_tcp_open(&server->tcp, fcntl(server->echo->server, F_DUPFD_CLOEXEC, 0));
	if (err == 0)
		err = uv_read_start((uv_stream_t *)&server->tcp, on_server_alloc, on_request);
	if (err != 0) {
		server->echo->failed = uv_strerror(err);
		uv_close((uv_handle_t *)&server->tcp, NULL);
	}
	while (uv_run(&server->loop, UV_RUN_NOWAIT) != 0)
		;
}

static void *serve(void *arg)
{
	struct server server = { .echo = arg };

	if (uv_loop_init(&server.loop) != 0) {
		server.echo->failed = "libuv opened no loop";
	} else {
		server_run(&server);
		uv_loop_close(&server.loop);
	}
	if (server.echo->failed != NULL)
		shutdown(server.echo->server, SHUT_RDWR);
	return NULL;
}

static void tcp_echo_2t(struct bench *b)
{
	echo_2t(b, serve);
}
BENCH_ENTRANT(tcp_echo_2t, .row = "net/tcp_echo_2t", .who = "libuv", .run = tcp_echo_2t);
