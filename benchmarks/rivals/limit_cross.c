/*
 * The least that brings a message from one thread to another: both look at the same slots, in
 * a loop that does nothing else.
 */
#include "../bench_cross.h"
#include "limit_queues.h"

/* ---- streams ------------------------------------------------------------------- */

static void *flow_send(void *arg)
{
	struct limit_stream *flow = arg;
	uint64_t next = 0;
	int err;

	while ((err = limit_stream_send(flow, &next, 1)) != -EPIPE)
		next += err == 0;
	return NULL;
}

static void *flow_send_many(void *arg)
{
	struct limit_stream *flow = arg;
	uint64_t batch[CROSS_MANY], next = 0;
	uint32_t i;
	int err;

	do {
		for (i = 0; i < CROSS_MANY; i++)
			batch[i] = next++;
		while ((err = limit_stream_send(flow, batch, CROSS_MANY)) == -EAGAIN)
			;
	} while (err != -EPIPE);
	return NULL;
}

static void *crowd_send(void *arg)
{
	struct limit_turns *crowd = arg;
	uint64_t next = 0;
	int err;

	while ((err = limit_mpsc_send(crowd, next)) != -EPIPE)
		next += err == 0;
	return NULL;
}

/* Up to many at a time, a batch a sample. */
static void flow_take(struct bench *b, struct limit_stream *flow, uint32_t many)
{
	uint64_t batch[CROSS_MANY], want = 0;
	uint32_t count, i;
	int64_t n;

	while (bench_more(b)) {
		for (count = 0; count < b->batch;) {
			n = limit_stream_recv(flow, batch, many);
			for (i = 0; n > 0 && i < (uint32_t)n; i++)
				if (batch[i] != want++)
					bench_fail(b, "a message was lost");
			count += n > 0 ? (uint32_t)n : 0;
		}
		bench_sample(b, count);
	}
	limit_store(&flow->closed, 1);
}

static void crowd_take(struct bench *b, struct limit_turns *crowd)
{
	uint64_t message = 0, want = 0;
	uint32_t count;

	while (bench_more(b)) {
		for (count = 0; count < b->batch;) {
			if (limit_turns_recv(crowd, &message) != 0)
				continue;
			if (message != want++)
				bench_fail(b, "a message was lost");
			count++;
		}
		bench_sample(b, b->batch);
	}
	limit_store(&crowd->closed, 1);
}

static void stream(struct bench *b)
{
	static void *(*const sends[])(void *) = { flow_send, flow_send_many, crowd_send };
	static struct limit_stream flow;
	static struct limit_turns crowd;
	pthread_t thread;

	memset(&flow, 0, sizeof flow);
	limit_turns_init(&crowd);
	if (!wake_thread(b, &thread, sends[b->arg], b->arg == 2 ? (void *)&crowd : (void *)&flow))
		return;
	if (b->arg == 2)
		crowd_take(b, &crowd);
	else
		flow_take(b, &flow, b->arg == 1 ? CROSS_MANY : 1);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(spsc_single_limit, .row = "cross/spsc_stream/single", .who = "limit",
	.run = stream, .arg = 0);
BENCH_ENTRANT(spsc_batch_limit, .row = "cross/spsc_stream/batch32", .who = "limit",
	.run = stream, .arg = 1);
BENCH_ENTRANT(mpsc_stream_limit, .row = "cross/mpsc_stream", .who = "limit",
	.run = stream, .arg = 2);

/* ---- one way --------------------------------------------------------------------- */

static int lane_send(struct oneway *oneway, uint64_t stamp)
{
	return limit_spsc_send(oneway->channel, stamp);
}

static void lane_catch(struct oneway *oneway)
{
	uint64_t stamp;

	while (!bench_stopping(oneway->b))
		if (limit_turns_recv(oneway->channel, &stamp) == 0)
			oneway_saw(oneway, stamp);
}

static int newest_send(struct oneway *oneway, uint64_t stamp)
{
	return limit_latest_publish(oneway->channel, stamp);
}

static void newest_catch(struct oneway *oneway)
{
	uint64_t seen = 0, stamp;

	while (!bench_stopping(oneway->b))
		if (limit_latest_recv(oneway->channel, &seen, &stamp) == 0)
			oneway_saw(oneway, stamp);
}

static int cast_send(struct oneway *oneway, uint64_t stamp)
{
	return limit_fanout_publish(oneway->channel, stamp);
}

static void cast_catch(struct oneway *oneway)
{
	uint64_t at = 2 * LIMIT_CAPACITY, stamp;

	while (!bench_stopping(oneway->b))
		if (limit_fanout_recv(oneway->channel, &at, &stamp) == 0)
			oneway_saw(oneway, stamp);
}

static void oneway(struct bench *b)
{
	static int (*const sends[])(struct oneway *, uint64_t) = { lane_send, newest_send, cast_send };
	static void (*const catches[])(struct oneway *) = { lane_catch, newest_catch, cast_catch };
	static struct limit_turns lane;
	static struct limit_latest newest;
	static struct limit_fanout cast;
	void *const channels[] = { &lane, &newest, &cast };
	struct oneway way = { .b = b, .send = sends[b->arg], .channel = channels[b->arg] };

	limit_turns_init(&lane);
	memset(&newest, 0, sizeof newest);
	limit_fanout_init(&cast);
	if (!oneway_begin(&way))
		return;
	catches[b->arg](&way);
	oneway_end(&way);
}
BENCH_ENTRANT(oneway_limit, .row = "cross/oneway", .who = "limit", .run = oneway, .arg = 0);
BENCH_ENTRANT(oneway_latest_limit, .row = "cross/oneway_latest", .who = "limit", .run = oneway,
	.arg = 1);
BENCH_ENTRANT(oneway_fanout_limit, .row = "cross/oneway_fanout", .who = "limit", .run = oneway,
	.arg = 2);

/* ---- there and back ---------------------------------------------------------------- */

struct court {
	struct limit_turns there, back;
};

static void *court_side(void *arg)
{
	struct court *court = arg;
	uint64_t ball;
	int err;

	while ((err = limit_turns_recv(&court->there, &ball)) != -EPIPE)
		if (err == 0)
			limit_spsc_send(&court->back, ball);
	return NULL;
}

static void pingpong(struct bench *b)
{
	static struct court court;
	uint64_t ball, want = 0;
	pthread_t thread;

	limit_turns_init(&court.there);
	limit_turns_init(&court.back);
	if (!wake_thread(b, &thread, court_side, &court))
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			limit_spsc_send(&court.there, ++want);
			while (limit_turns_recv(&court.back, &ball) != 0)
				;
			if (ball != want)
				bench_fail(b, "a message was lost");
		}
		bench_sample(b, b->batch);
	}
	limit_store(&court.there.closed, 1);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(pingpong_limit, .row = "cross/pingpong", .who = "limit", .run = pingpong);
