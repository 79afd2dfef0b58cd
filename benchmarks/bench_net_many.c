/*
 * Question   what does a loop add where many connections talk, and where one has much to say?
 * Unit       tcp_echo_256: ns an echo of 64 bytes, 256 connections at once, each of which sends
 *            again when it has its answer; clients and servers on one loop.
 *            tcp_stream_4k_w32: ns a message of 4 KiB; for each the receiver answers a byte, and
 *            no more than 32 are on their way.
 * Rival      rivals/limit_net_many.c: the same system calls, made by hand.
 * Not shown  how long one of the 256 waits for its answer; a network.
 */
#include "bench_net_many.h"

#include "bench_loop.h"

#include "apus/net.h"

#include <fcntl.h>
#include <string.h>

BENCH_ROW(tcp_echo_256, .name = "net/tcp_echo_256", .unit = "ns", .batch = ECHO_CROWD);
BENCH_ROW(tcp_stream, .name = "net/tcp_stream_4k_w32", .unit = "ns", .batch = STREAM_WINDOW);

static struct apus_loop *many_open(struct bench *b)
{
	struct apus_config config;

	loop_config(&config);
	config.backend = APUS_IO_EPOLL;
	return loop_open_if(b, &config);
}

static bool many_adopt(struct bench *b, struct apus_loop *loop, int fd, struct apus_tcp *out)
{
	return !loop_refused(b, "adopt", apus_tcp_adopt(loop, fcntl(fd, F_DUPFD_CLOEXEC, 0),
		APUS_OWNED, out));
}

/* ---- 256 echoes ------------------------------------------------------------------ */

struct echoes {
	struct bench *b;
	uint32_t count;    /* answers since the last sample */
	bool is_over;
};

struct echo_end {
	struct apus_frame frame;
	struct echoes *all;
	struct apus_tcp stream;
	struct apus_write write;
	apus_poll bytes;
	char buf[2 * ECHO_BYTES];
};

/* Ends with its connection. */
APUS_TASK(echo_server, struct echo_end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->bytes, apus_tcp_read(cx, self->stream, self->buf,
			sizeof self->buf));
		if (self->bytes == 0)
			break;
		APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->stream, &self->write,
			self->buf, (size_t)self->bytes));
	}
	apus_tcp_close(cx->loop, self->stream);
	APUS_END(0);
}

static void echoes_count(struct echoes *all)
{
	if (++all->count < ECHO_CROWD)
		return;
	bench_sample(all->b, all->count);
	all->count = 0;
	all->is_over = !bench_more(all->b);
}

APUS_TASK(echo_client, struct echo_end)
{
	APUS_BEGIN(cx, self);
	while (!self->all->is_over) {
		APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->stream, &self->write,
			self->buf, ECHO_BYTES));
		APUS_TRY(self->bytes, apus_tcp_read(cx, self->stream, self->buf,
			sizeof self->buf));
		if (self->bytes != ECHO_BYTES)
			return -EBADMSG;
		echoes_count(self->all);
	}
	apus_tcp_close(cx->loop, self->stream);
	APUS_END(0);
}

/* The clients are there; ends when the last of them has. */
struct crowd {
	struct apus_frame frame;
	struct apus_join *joins;
	apus_poll outcome, result;
	uint32_t count;
};

APUS_TASK(crowd, struct crowd)
{
	APUS_BEGIN(cx, self);
	for (self->count = 0; self->count < ECHO_CROWD; self->count++) {
		APUS_TRY(self->outcome, apus_join(cx, self->joins[self->count], &self->result));
		if (self->result != 0)
			return self->result;
	}
	APUS_END(0);
}

static bool echo_start(struct bench *b, struct apus_loop *loop, struct echoes *all,
	const struct sockets *pairs, struct apus_join *joins)
{
	for (uint32_t i = 0; i < ECHO_CROWD; i++) {
		struct echo_end server = { .all = all }, client = { .all = all };

		memset(client.buf, 'a', sizeof client.buf);
		if (!many_adopt(b, loop, pairs->ours[i], &server.stream) ||
		    !many_adopt(b, loop, pairs->theirs[i], &client.stream) ||
		    loop_refused(b, "spawn", apus_spawn_slab(loop, echo_server, &server, NULL)) ||
		    loop_refused(b, "spawn", apus_spawn_slab(loop, echo_client, &client,
			&joins[i])))
			return false;
	}
	return true;
}

static void tcp_echo_256(struct bench *b)
{
	struct echoes all = { .b = b };
	struct apus_join joins[ECHO_CROWD];
	struct crowd root = { .joins = joins };
	struct apus_loop *loop = many_open(b);
	struct sockets pairs;

	if (loop == NULL)
		return;
	if (sockets_open(b, &pairs, ECHO_CROWD) == 0 && echo_start(b, loop, &all, &pairs, joins)) {
		sockets_forget(&pairs);
		bench_more(b);
		loop_check(b, apus_run(loop, crowd, &root));
	}
	loop_close(b, loop);
	sockets_close(&pairs);
}
BENCH_ENTRANT(tcp_echo_256_apus, .row = "net/tcp_echo_256", .who = "apus", .run = tcp_echo_256);

/* ---- a stream with a window --------------------------------------------------------- */

struct stream_end {
	struct apus_frame frame;
	struct bench *b;
	char *bytes;          /* the sender's message, what the receiver receives into */
	struct apus_tcp stream;
	struct apus_write write;
	struct stream_count counted;
	apus_poll got;
	uint32_t count, flying;
	char acks[STREAM_WINDOW];
};

APUS_TASK(stream_receiver, struct stream_end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->got, apus_tcp_read(cx, self->stream, self->bytes, STREAM_READ));
		if (self->got == 0)
			break;
		self->count = stream_count(&self->counted, (size_t)self->got);
		if (self->count > 0)
			APUS_TRY(self->got, apus_tcp_write_all(cx, self->stream, &self->write,
				self->acks, self->count));
	}
	apus_tcp_close(cx->loop, self->stream);
	APUS_END(0);
}

APUS_TASK(stream_sender, struct stream_end)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count++) {
			APUS_TRY(self->got, apus_tcp_write_all(cx, self->stream, &self->write,
				self->bytes, STREAM_BYTES));
			for (self->flying++; self->flying == STREAM_WINDOW;
			     self->flying -= (uint32_t)self->got) {
				APUS_TRY(self->got, apus_tcp_read(cx, self->stream, self->acks,
					sizeof self->acks));
				if (self->got == 0)
					return -EPIPE;
			}
		}
		bench_sample(self->b, self->b->batch);
	}
	apus_tcp_close(cx->loop, self->stream);
	APUS_END(0);
}

static void tcp_stream(struct bench *b)
{
	static char message[STREAM_BYTES], buffer[STREAM_READ];
	struct stream_end sender = { .b = b, .bytes = message };
	struct stream_end receiver = { .b = b, .bytes = buffer };
	struct apus_loop *loop = many_open(b);
	struct sockets pair;

	if (loop == NULL)
		return;
	if (sockets_open(b, &pair, 1) == 0 &&
	    many_adopt(b, loop, pair.theirs[0], &sender.stream) &&
	    many_adopt(b, loop, pair.ours[0], &receiver.stream) &&
	    !loop_refused(b, "spawn", apus_spawn_slab(loop, stream_receiver, &receiver, NULL))) {
		sockets_forget(&pair);
		loop_check(b, apus_run(loop, stream_sender, &sender));
	}
	loop_close(b, loop);
	sockets_close(&pair);
}
BENCH_ENTRANT(tcp_stream_apus, .row = "net/tcp_stream_4k_w32", .who = "apus", .run = tcp_stream);
