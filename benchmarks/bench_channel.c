/*
 * Question   what does a message cost between tasks of one loop?
 * Unit       local_try: ns a try_send and try_recv pair of 8 bytes, capacity 64.
 *            local_await: ns a message from a producer task to a consumer task, both
 *            awaiting, capacity 64.
 * Rival      rivals/limit_channel.c: a ring with the same checks, closed and full.
 *            local_await is aimed at a twelfth of tokio; its limit is for comparison.
 * Not shown  other threads: cross/.
 */
#include "bench_channel.h"

#include "bench_loop.h"

#include "apus/channel_local.h"

BENCH_ROW(local_try, .name = "channel/local_try", .unit = "ns", .batch = CHANNEL_BATCH,
	.target = 1.05);
BENCH_ROW(local_await, .name = "channel/local_await", .unit = "ns", .batch = CHANNEL_BATCH);

APUS_CHANNEL(numbers, uint64_t, CHANNEL_CAPACITY)

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
