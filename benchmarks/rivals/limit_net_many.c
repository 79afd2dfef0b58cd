/*
 * The least that echoes for many, and that streams with a window: one loop around an
 * epoll_wait that does not block, edge-triggered, and straight on the system calls.
 *
 * Left out: tasks, time-outs, partial sends of an echo (64 bytes are taken whole, or the row
 * fails), the EAGAIN that a reader needs who does not know the length.
 */
#include "../bench_net_many.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static bool watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events | EPOLLET, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* ---- 256 echoes ------------------------------------------------------------------ */

struct echoes {
	struct bench *b;
	int epoll;
	uint32_t count;
	bool is_over;
	bool *is_client; /* by descriptor */
	char buf[ECHO_BYTES];
};

static bool echo_send(struct echoes *all, int fd)
{
	return send(fd, all->buf, ECHO_BYTES, MSG_NOSIGNAL) == ECHO_BYTES;
}

/* Of a client's answer, a sample when everybody has had one on average. */
static void echo_count(struct echoes *all)
{
	if (++all->count < ECHO_CROWD)
		return;
	bench_sample(all->b, all->count);
	all->count = 0;
	all->is_over = !bench_more(all->b);
}

static bool echo_event(struct echoes *all, int fd)
{
	if (recv(fd, all->buf, ECHO_BYTES, 0) != ECHO_BYTES)
		return false;
	if (all->is_client[fd])
		echo_count(all);
	return echo_send(all, fd);
}

static void echoes_turn(struct echoes *all)
{
	struct epoll_event events[ECHO_CROWD];
	int count = epoll_wait(all->epoll, events, ECHO_CROWD, 0);

	for (int i = 0; i < count && !all->is_over; i++)
		if (!echo_event(all, events[i].data.fd)) {
			bench_fail(all->b, "an echo of %d bytes broke: %s", ECHO_BYTES,
				strerror(errno));
			all->is_over = true;
		}
}

static bool echoes_begin(struct echoes *all, const struct sockets *pairs)
{
	bool ok = true;

	memset(all->buf, 'a', sizeof all->buf);
	for (uint32_t i = 0; i < ECHO_CROWD; i++) {
		all->is_client[pairs->theirs[i]] = true;
		ok &= watch(all->epoll, pairs->ours[i], EPOLLIN) &&
			watch(all->epoll, pairs->theirs[i], EPOLLIN);
	}
	bench_more(all->b);
	for (uint32_t i = 0; i < ECHO_CROWD; i++)
		ok &= echo_send(all, pairs->theirs[i]);
	return ok;
}

static void tcp_echo_256(struct bench *b)
{
	static bool is_client[65536];
	struct echoes all = { .b = b, .is_client = is_client };
	struct sockets pairs;

	memset(is_client, 0, sizeof is_client);
	if (sockets_open(b, &pairs, ECHO_CROWD) == 0) {
		all.epoll = epoll_create1(EPOLL_CLOEXEC);
		if (!echoes_begin(&all, &pairs))
			bench_fail(b, "no echo could be begun: %s", strerror(errno));
		while (!all.is_over && !bench_stopping(b))
			echoes_turn(&all);
		close(all.epoll);
	}
	sockets_close(&pairs);
}
BENCH_ENTRANT(tcp_echo_256_limit, .row = "net/tcp_echo_256", .who = "limit",
	.run = tcp_echo_256);

/* ---- a stream with a window --------------------------------------------------------- */

struct stream {
	struct bench *b;
	int sender, receiver, epoll;
	size_t sent;          /* of a message that was not taken whole */
	uint32_t flying, count;
	struct stream_count counted;
	bool is_broken, is_over;
	char message[STREAM_BYTES], buffer[STREAM_READ], acks[STREAM_WINDOW];
};

/* A message more, or what is left of one; false: no more now. */
static bool stream_send(struct stream *stream)
{
	ssize_t n;

	if (stream->flying == STREAM_WINDOW)
		return false;
	n = send(stream->sender, stream->message + stream->sent, STREAM_BYTES - stream->sent,
		MSG_NOSIGNAL);
	if (n < 0) {
		stream->is_broken |= errno != EAGAIN;
		return false;
	}
	stream->sent += (size_t)n;
	if (stream->sent < STREAM_BYTES)
		return false;
	stream->sent = 0;
	stream->flying++;
	if (++stream->count == stream->b->batch) {
		bench_sample(stream->b, stream->count);
		stream->count = 0;
		stream->is_over = !bench_more(stream->b);
	}
	return !stream->is_over;
}

static void stream_receive(struct stream *stream)
{
	ssize_t n;

	while ((n = recv(stream->receiver, stream->buffer, STREAM_READ, 0)) > 0) {
		uint32_t whole = stream_count(&stream->counted, (size_t)n);

		if (whole > 0 && send(stream->receiver, stream->acks, whole, MSG_NOSIGNAL) !=
				(ssize_t)whole)
			stream->is_broken = true;
		if (n < STREAM_READ)
			return;
	}
	stream->is_broken |= n == 0 || errno != EAGAIN;
}

static void stream_turn(struct stream *stream)
{
	struct epoll_event events[2];
	int count = epoll_wait(stream->epoll, events, 2, 0);
	ssize_t n;

	for (int i = 0; i < count; i++) {
		if (events[i].data.fd == stream->receiver) {
			stream_receive(stream);
			continue;
		}
		n = recv(stream->sender, stream->acks, sizeof stream->acks, 0);
		if (n > 0)
			stream->flying -= (uint32_t)n;
		else
			stream->is_broken |= n == 0 || errno != EAGAIN;
	}
	while (!stream->is_over && stream_send(stream))
		;
}

static void tcp_stream(struct bench *b)
{
	static struct stream stream;
	struct sockets pair;

	memset(&stream, 0, sizeof stream);
	stream.b = b;
	if (sockets_open(b, &pair, 1) == 0) {
		stream.sender = pair.theirs[0];
		stream.receiver = pair.ours[0];
		stream.epoll = epoll_create1(EPOLL_CLOEXEC);
		stream.is_broken = !watch(stream.epoll, stream.sender, EPOLLIN | EPOLLOUT) ||
			!watch(stream.epoll, stream.receiver, EPOLLIN);
		stream.is_over = !bench_more(b);
		while (!stream.is_over && !stream.is_broken)
			stream_turn(&stream);
		if (stream.is_broken)
			bench_fail(b, "the stream broke: %s", strerror(errno));
		close(stream.epoll);
	}
	sockets_close(&pair);
}
BENCH_ENTRANT(tcp_stream_limit, .row = "net/tcp_stream_4k_w32", .who = "limit",
	.run = tcp_stream);
