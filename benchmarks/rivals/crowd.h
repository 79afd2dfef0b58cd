/*
 * crowd.h - many connections that echo, and one that streams, over a loop that calls back when a
 * socket is ready; the same for every peer of that kind.  Included by a file that has defined
 *
 *	PEER                                  its name
 *	struct peer                           a loop
 *	struct ready                          a socket that it watches
 *	bool peer_open(peer)
 *	void peer_reads(peer, ready, fd, fn, arg)   fn(arg) whenever fd can be read, from now on
 *	void peer_room(peer, ready, fd, fn, arg)    fn(arg) once, when fd can be written to
 *	void peer_run(peer)                   until peer_stop is called, from inside a callback
 *	void peer_stop(peer)
 *	void peer_ends(peer, ready)           watched no more
 *	void peer_close(peer)
 *
 * Plain system calls in the callbacks, one receive an event.
 *
 * Left out: partial sends of an echo (64 bytes are taken whole, or the row fails), time-outs.
 */
#ifndef RIVAL_CROWD_H
#define RIVAL_CROWD_H

#include "../bench_net_many.h"

#include <string.h>
#include <sys/socket.h>

/* ---- 256 echoes ------------------------------------------------------------------ */

struct echoes {
	struct bench *b;
	struct peer peer;
	uint32_t count; /* answers since the last sample */
	bool is_over;
	char buf[ECHO_BYTES];
};

struct echo_end {
	struct echoes *all;
	struct ready ready;
	int fd;
};

static void echoes_end(struct echoes *all)
{
	all->is_over = true;
	peer_stop(&all->peer);
}

static void echo_send(struct echo_end *end)
{
	if (send(end->fd, end->all->buf, ECHO_BYTES, MSG_NOSIGNAL) == ECHO_BYTES)
		return;
	bench_fail(end->all->b, "an echo of %d bytes broke: %s", ECHO_BYTES, strerror(errno));
	echoes_end(end->all);
}

static bool echo_receive(struct echo_end *end)
{
	if (recv(end->fd, end->all->buf, ECHO_BYTES, 0) == ECHO_BYTES)
		return true;
	bench_fail(end->all->b, "an echo of %d bytes broke: %s", ECHO_BYTES, strerror(errno));
	echoes_end(end->all);
	return false;
}

static void echo_server(void *arg)
{
	struct echo_end *end = (struct echo_end *)arg;

	if (!end->all->is_over && echo_receive(end))
		echo_send(end);
}

static void echo_client(void *arg)
{
	struct echo_end *end = (struct echo_end *)arg;
	struct echoes *all = end->all;

	if (all->is_over || !echo_receive(end))
		return;
	if (++all->count == ECHO_CROWD) {
		bench_sample(all->b, all->count);
		all->count = 0;
		if (!bench_more(all->b)) {
			echoes_end(all);
			return;
		}
	}
	echo_send(end);
}

static void echoes_run(struct echoes *all, struct echo_end *servers, struct echo_end *clients,
	const struct sockets *pairs)
{
	uint32_t i;

	memset(all->buf, 'a', sizeof all->buf);
	for (i = 0; i < ECHO_CROWD; i++) {
		servers[i].all = clients[i].all = all;
		servers[i].fd = pairs->ours[i];
		clients[i].fd = pairs->theirs[i];
		peer_reads(&all->peer, &servers[i].ready, servers[i].fd, echo_server, &servers[i]);
		peer_reads(&all->peer, &clients[i].ready, clients[i].fd, echo_client, &clients[i]);
	}
	bench_more(all->b);
	for (i = 0; i < ECHO_CROWD; i++)
		echo_send(&clients[i]);
	if (!all->is_over)
		peer_run(&all->peer);
	for (i = 0; i < ECHO_CROWD; i++) {
		peer_ends(&all->peer, &servers[i].ready);
		peer_ends(&all->peer, &clients[i].ready);
	}
}

static void echo_256_peer(struct bench *b)
{
	static struct echo_end servers[ECHO_CROWD], clients[ECHO_CROWD];
	struct echoes all = { .b = b };
	struct sockets pairs;

	if (!peer_open(&all.peer)) {
		bench_skip(b, PEER " opened no loop");
		return;
	}
	if (sockets_open(b, &pairs, ECHO_CROWD) == 0)
		echoes_run(&all, servers, clients, &pairs);
	peer_close(&all.peer);
	sockets_close(&pairs);
}
BENCH_ENTRANT(echo_256_of_peer, .row = "net/tcp_echo_256", .who = PEER, .run = echo_256_peer);

/* ---- a stream with a window --------------------------------------------------------- */

struct stream {
	struct bench *b;
	struct peer peer;
	struct ready sends, receives, room;
	int sender, receiver;
	size_t sent; /* of a message that was not taken whole */
	uint32_t flying, count;
	struct stream_count counted;
	bool is_over;
	char message[STREAM_BYTES], buffer[STREAM_READ], acks[STREAM_WINDOW];
};

static void stream_end(struct stream *stream, const char *why)
{
	if (why != NULL)
		bench_fail(stream->b, "the stream broke: %s", why);
	stream->is_over = true;
	peer_stop(&stream->peer);
}

static void stream_counts(struct stream *stream)
{
	stream->flying++;
	if (++stream->count < stream->b->batch)
		return;
	bench_sample(stream->b, stream->count);
	stream->count = 0;
	if (!bench_more(stream->b))
		stream_end(stream, NULL);
}

/* Up to the window, or to what the socket takes: the rest when there is room. */
static void stream_send(void *arg)
{
	struct stream *stream = (struct stream *)arg;
	ssize_t n;

	while (!stream->is_over && stream->flying < STREAM_WINDOW) {
		n = send(stream->sender, stream->message + stream->sent,
			STREAM_BYTES - stream->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			peer_room(&stream->peer, &stream->room, stream->sender, stream_send, stream);
			return;
		}
		if (n < 0) {
			stream_end(stream, strerror(errno));
			return;
		}
		stream->sent = (stream->sent + (size_t)n) % STREAM_BYTES;
		if (stream->sent == 0)
			stream_counts(stream);
	}
}

static void stream_acked(void *arg)
{
	struct stream *stream = (struct stream *)arg;
	ssize_t n = recv(stream->sender, stream->acks, sizeof stream->acks, 0);

	if (n <= 0) {
		stream_end(stream, n == 0 ? "its end" : strerror(errno));
		return;
	}
	stream->flying -= (uint32_t)n;
	stream_send(stream);
}

static void stream_receive(void *arg)
{
	struct stream *stream = (struct stream *)arg;
	ssize_t n = recv(stream->receiver, stream->buffer, STREAM_READ, 0);
	uint32_t whole = n > 0 ? stream_count(&stream->counted, (size_t)n) : 0;

	if (n <= 0)
		stream_end(stream, n == 0 ? "its end" : strerror(errno));
	else if (whole > 0 && send(stream->receiver, stream->acks, whole, MSG_NOSIGNAL) !=
			(ssize_t)whole)
		stream_end(stream, strerror(errno));
}

static void stream_run(struct stream *stream, const struct sockets *pair)
{
	stream->sender = pair->theirs[0];
	stream->receiver = pair->ours[0];
	peer_reads(&stream->peer, &stream->sends, stream->sender, stream_acked, stream);
	peer_reads(&stream->peer, &stream->receives, stream->receiver, stream_receive, stream);
	if (bench_more(stream->b))
		stream_send(stream);
	if (!stream->is_over)
		peer_run(&stream->peer);
	peer_ends(&stream->peer, &stream->sends);
	peer_ends(&stream->peer, &stream->receives);
	peer_ends(&stream->peer, &stream->room);
}

static void stream_peer(struct bench *b)
{
	static struct stream stream;
	struct sockets pair;

	memset(&stream, 0, sizeof stream);
	stream.b = b;
	if (!peer_open(&stream.peer)) {
		bench_skip(b, PEER " opened no loop");
		return;
	}
	if (sockets_open(b, &pair, 1) == 0)
		stream_run(&stream, &pair);
	peer_close(&stream.peer);
	sockets_close(&pair);
}
BENCH_ENTRANT(stream_of_peer, .row = "net/tcp_stream_4k_w32", .who = PEER, .run = stream_peer);

#endif
