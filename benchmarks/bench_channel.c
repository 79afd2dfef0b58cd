/*
 * Question   what does a message cost between tasks of one loop?  And what do channels
 *            between threads cost where no other thread is there?
 * Unit       _try: ns a send and receive pair of 8 bytes; local: capacity 64, others 1024.
 *            local_await: ns a message from a producer task to a consumer task, both
 *            awaiting, capacity 64.
 * Rival      rivals/limit_channel.c, limit_queues.h: rings with the same checks, closed and
 *            full.  local_await is aimed at a twelfth of tokio; its limit is for comparison.
 * Not shown  other threads: cross/.
 */
#include "bench_channel.h"

#include "bench_loop.h"

#include "apus/channels.h"

BENCH_ROW(local_try, .name = "channel/local_try", .unit = "ns", .batch = CHANNEL_BATCH);
BENCH_ROW(local_await, .name = "channel/local_await", .unit = "ns", .batch = CHANNEL_BATCH);
BENCH_ROW(spsc_try, .name = "channel/spsc_try", .unit = "ns", .batch = CHANNEL_BATCH);
BENCH_ROW(stream_try, .name = "channel/stream_try", .unit = "ns", .batch = CHANNEL_BATCH);
BENCH_ROW(mpsc_try, .name = "channel/mpsc_try", .unit = "ns", .batch = CHANNEL_BATCH);
BENCH_ROW(latest_try, .name = "channel/latest_try", .unit = "ns", .batch = CHANNEL_BATCH);
BENCH_ROW(fanout_try, .name = "channel/fanout_try", .unit = "ns", .batch = CHANNEL_BATCH);

APUS_CHANNEL(numbers, uint64_t, CHANNEL_CAPACITY)
APUS_SPSC(lane, uint64_t, CROSS_CAPACITY)
APUS_STREAM(flow, uint64_t, CROSS_CAPACITY)
APUS_MPSC(crowd, uint64_t, CROSS_CAPACITY)
APUS_LATEST(newest, uint64_t)
APUS_FANOUT(cast, uint64_t, CROSS_CAPACITY)

static void local_try(struct bench *b)
{
	static struct numbers numbers;
	uint64_t sum = 0, message = 0;

	apus_channel_init(&numbers);
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			int err = apus_try_send(&numbers, i);

			bench_use(&numbers);
			err |= apus_try_recv(&numbers, &message);
			bench_use(&numbers);
			if (err != 0)
				bench_fail(b, "a send or a receive was refused");
			sum += message;
		}
		bench_sample(b, b->batch);
	}
	bench_use_value(sum);
	apus_channel_deinit(&numbers);
}
BENCH_ENTRANT(local_try_apus, .row = "channel/local_try", .who = "apus", .run = local_try);

/* ---- without another thread ------------------------------------------------------- */

CHANNEL_PAIR(spsc_try, "channel/spsc_try", "apus", struct lane, apus_spsc_init(channel),
	apus_spsc_try_send(channel, message), apus_spsc_try_recv(channel, &out));
CHANNEL_PAIR(stream_try, "channel/stream_try", "apus", struct flow, apus_stream_init(channel),
	apus_stream_try_send(channel, message), apus_stream_try_recv(channel, &out));
CHANNEL_PAIR(mpsc_try, "channel/mpsc_try", "apus", struct crowd, apus_mpsc_init(channel),
	apus_mpsc_try_send(channel, message), apus_mpsc_try_recv(channel, &out));

struct newest_pair {
	struct newest newest;
	struct newest_reader reader;
};
CHANNEL_PAIR(latest_try, "channel/latest_try", "apus", struct newest_pair,
	(apus_latest_init(&channel->newest),
		apus_latest_reader_init(&channel->reader, &channel->newest)),
	apus_latest_publish(&channel->newest, message), apus_latest_try_recv(&channel->reader, &out));

struct cast_pair {
	struct cast cast;
	struct cast_reader reader;
};
CHANNEL_PAIR(fanout_try, "channel/fanout_try", "apus", struct cast_pair,
	(apus_fanout_init(&channel->cast),
		apus_fanout_reader_init(&channel->reader, &channel->cast, 0)),
	apus_fanout_publish(&channel->cast, message), apus_fanout_try_recv(&channel->reader, &out));

/* ---- two tasks ---------------------------------------------------------------- */

struct producer {
	struct apus_frame frame;
	struct numbers *to;
	uint64_t next;
	apus_poll outcome;
};

/* Until the consumer closes. */
APUS_TASK(producer, struct producer)
{
	APUS_BEGIN(cx, self);
	for (;; self->next++)
		APUS_TRY(self->outcome, apus_send(cx, self->to, self->next));
	APUS_END(0);
}

struct consumer {
	struct apus_frame frame;
	struct bench *b;
	struct numbers *from;
	uint64_t want;
	uint64_t message;
	uint32_t count;
	apus_poll outcome;
};

APUS_TASK(consumer, struct consumer)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count++) {
			APUS_TRY(self->outcome, apus_recv(cx, self->from, &self->message));
			if (self->message != self->want++)
				return -EBADMSG;
		}
		bench_sample(self->b, self->b->batch);
	}
	apus_close_recv(self->from);
	APUS_END(0);
}

static void local_await(struct bench *b)
{
	static struct numbers numbers;
	struct producer producer_init = { .to = &numbers };
	struct consumer consumer_init = { .b = b, .from = &numbers };
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	apus_channel_init(&numbers);
	if (apus_spawn_slab(loop, producer, &producer_init, NULL) != 0)
		bench_fail(b, "no slot for the producer");
	loop_check(b, apus_run(loop, consumer, &consumer_init));
	loop_close(b, loop);
	apus_channel_deinit(&numbers);
}
BENCH_ENTRANT(local_await_apus, .row = "channel/local_await", .who = "apus",
	.run = local_await);
