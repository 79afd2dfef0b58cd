/*
 * libuv's uv_async, the one call of it that another thread may make: a flag, and a byte to an
 * eventfd.  The loop is turned without waiting but in wake_parked.  For the message itself libuv
 * has nothing: where one is on its way at a time, see waking.h; for mpsc_stream a queue under a
 * mutex of libuv's, of which the loop takes all there is at once.
 */
#include <stdbool.h>
#include <uv.h>

#define PEER "libuv"

struct peer {
	uv_loop_t loop;
	uv_async_t async;
	void (*fn)(void *arg);
	void *arg;
};

static void on_async(uv_async_t *async)
{
	struct peer *peer = async->data;

	peer->fn(peer->arg);
}

static bool peer_open(struct peer *peer, void (*fn)(void *arg), void *arg)
{
	peer->fn = fn;
	peer->arg = arg;
	if (uv_loop_init(&peer->loop) != 0)
		return false;
	peer->async.data = peer;
	return uv_async_init(&peer->loop, &peer->async, on_async) == 0;
}

static void peer_wake(struct peer *peer)
{
	uv_async_send(&peer->async);
}

static void peer_turn(struct peer *peer)
{
	uv_run(&peer->loop, UV_RUN_NOWAIT);
}

static void peer_sleep(struct peer *peer)
{
	uv_run(&peer->loop, UV_RUN_ONCE);
}

static void peer_close(struct peer *peer)
{
	uv_close((uv_handle_t *)&peer->async, NULL);
	uv_run(&peer->loop, UV_RUN_DEFAULT);
	uv_loop_close(&peer->loop);
}

#include "waking.h"

/* ---- many to one -------------------------------------------------------------------- */

struct stream {
	struct peer peer;
	struct bench *b;
	uv_mutex_t mutex;
	uint64_t queue[CROSS_CAPACITY]; /* and how many wait in it: under the mutex */
	uint32_t waiting;
	bool over;
	uint64_t taken[CROSS_CAPACITY]; /* the loop's own, from here */
	uint64_t want;
	uint32_t count;
};

/* 1: sent; 0: full; -1: the receiver has enough. */
static int stream_send(struct stream *stream, uint64_t message)
{
	int sent = -1;

	uv_mutex_lock(&stream->mutex);
	if (!stream->over) {
		sent = stream->waiting < CROSS_CAPACITY;
		if (sent)
			stream->queue[stream->waiting++] = message;
	}
	uv_mutex_unlock(&stream->mutex);
	if (sent > 0)
		peer_wake(&stream->peer);
	return sent;
}

static void *stream_feed(void *arg)
{
	struct stream *stream = arg;
	uint64_t next = 0;
	int sent;

	while ((sent = stream_send(stream, next)) >= 0)
		next += (uint64_t)sent;
	return NULL;
}

static void stream_take(void *arg)
{
	struct stream *stream = arg;
	uint32_t count;

	uv_mutex_lock(&stream->mutex);
	count = stream->waiting;
	memcpy(stream->taken, stream->queue, count * sizeof *stream->taken);
	stream->waiting = 0;
	uv_mutex_unlock(&stream->mutex);
	for (uint32_t i = 0; i < count; i++)
		if (stream->taken[i] != stream->want++)
			bench_fail(stream->b, "a message was lost");
	stream->count += count;
}

static void stream_run(struct stream *stream)
{
	struct bench *b = stream->b;

	while (bench_more(b)) {
		for (stream->count = 0; stream->count < b->batch;)
			peer_turn(&stream->peer);
		bench_sample(b, stream->count);
	}
	uv_mutex_lock(&stream->mutex);
	stream->over = true;
	uv_mutex_unlock(&stream->mutex);
}

static void mpsc_stream(struct bench *b)
{
	static struct stream stream;
	pthread_t thread;

	memset(&stream, 0, sizeof stream);
	stream.b = b;
	uv_mutex_init(&stream.mutex);
	if (!peer_open(&stream.peer, stream_take, &stream)) {
		bench_skip(b, "libuv opened no loop");
	} else {
		if (wake_thread(b, &thread, stream_feed, &stream)) {
			stream_run(&stream);
			pthread_join(thread, NULL);
		}
		peer_close(&stream.peer);
	}
	uv_mutex_destroy(&stream.mutex);
}
BENCH_ENTRANT(mpsc_stream, .row = "cross/mpsc_stream", .who = "libuv", .run = mpsc_stream);
