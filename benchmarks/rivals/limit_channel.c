/*
 * The least channel: a ring of 64 u64 with two running counts.
 *
 * Left out: counted senders, a queue of waiting senders, abandoned waits.  Kept: closed
 * and full are answers, buffered messages drain before the end; for local_await one
 * waiter on each side, woken once.
 */
#include "../bench_channel.h"
#include "limit_queues.h"
#include "limit_sched.h"

#include <errno.h>

struct channel {
	uint64_t sent;
	uint64_t received;
	bool closed;
	struct task *sender;     /* waits for room */
	struct task *receiver;   /* waits for a message */
	uint64_t slots[CHANNEL_CAPACITY];
};

static inline int try_send(struct channel *channel, uint64_t message)
{
	if (channel->closed)
		return -EPIPE;
	if (channel->sent - channel->received == CHANNEL_CAPACITY)
		return -EAGAIN;
	channel->slots[channel->sent++ % CHANNEL_CAPACITY] = message;
	return 0;
}

static inline int try_recv(struct channel *channel, uint64_t *message)
{
	if (channel->sent == channel->received)
		return channel->closed ? -EPIPE : -EAGAIN;
	*message = channel->slots[channel->received++ % CHANNEL_CAPACITY];
	return 0;
}

static void local_try(struct bench *b)
{
	static struct channel channel;
	uint64_t sum = 0, message = 0;

	channel = (struct channel){ .closed = false };
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			int err = try_send(&channel, i);

			bench_use(&channel);
			err |= try_recv(&channel, &message);
			bench_use(&channel);
			if (err != 0)
				bench_fail(b, "a send or a receive was refused");
			sum += message;
		}
		bench_sample(b, b->batch);
	}
	bench_use_value(sum);
}
BENCH_ENTRANT(local_try_limit, .row = "channel/local_try", .who = "limit", .run = local_try);

/* ---- between threads, without another thread -------------------------------------- */

CHANNEL_PAIR(spsc_try, "channel/spsc_try", "limit", struct limit_turns, limit_turns_init(channel),
	limit_spsc_send(channel, message), limit_turns_recv(channel, &out));
CHANNEL_PAIR(mpsc_try, "channel/mpsc_try", "limit", struct limit_turns, limit_turns_init(channel),
	limit_mpsc_send(channel, message), limit_turns_recv(channel, &out));
CHANNEL_PAIR(stream_try, "channel/stream_try", "limit", struct limit_stream,
	memset(channel, 0, sizeof *channel), limit_stream_send(channel, &message, 1),
	limit_stream_recv(channel, &out, 1) - 1);

struct latest_pair {
	struct limit_latest latest;
	uint64_t seen;
};
CHANNEL_PAIR(latest_try, "channel/latest_try", "limit", struct latest_pair,
	memset(channel, 0, sizeof *channel), limit_latest_publish(&channel->latest, message),
	limit_latest_recv(&channel->latest, &channel->seen, &out));

struct fanout_pair {
	struct limit_fanout fanout;
	uint64_t at;
};
CHANNEL_PAIR(fanout_try, "channel/fanout_try", "limit", struct fanout_pair,
	(limit_fanout_init(&channel->fanout), channel->at = channel->fanout.at),
	limit_fanout_publish(&channel->fanout, message),
	limit_fanout_recv(&channel->fanout, &channel->at, &out));

/* ---- two tasks ---------------------------------------------------------------- */

struct pair {
	struct channel channel;
	uint64_t next;
	uint64_t sum;
	uint32_t count;
};

static void wake(struct sched *sched, struct task **waiter)
{
	if (*waiter == NULL)
		return;
	sched_wake(sched, *waiter);
	*waiter = NULL;
}

static int64_t producer_poll(struct sched *sched, struct task *task)
{
	struct pair *pair = task->state[0];
	struct channel *channel = &pair->channel;

	for (;;) {
		int err = try_send(channel, pair->next);

		if (err == -EAGAIN) {
			channel->sender = task;
			return PENDING;
		}
		if (err != 0)
			return err;
		pair->next++;
		wake(sched, &channel->receiver);
	}
}

static int64_t consumer_poll(struct sched *sched, struct task *task)
{
	struct pair *pair = task->state[0];
	struct channel *channel = &pair->channel;

	for (;;) {
		uint64_t message;

		if (try_recv(channel, &message) != 0) {
			channel->receiver = task;
			return PENDING;
		}
		wake(sched, &channel->sender);
		pair->sum += message;
		if (++pair->count < sched->b->batch)
			continue;
		bench_sample(sched->b, sched->b->batch);
		pair->count = 0;
		if (!bench_more(sched->b)) {
			channel->closed = true;
			return 0;
		}
	}
}

static void local_await(struct bench *b)
{
	static struct pair pair;
	struct sched sched;

	pair = (struct pair){ .next = 1 };
	if (!sched_open(&sched, b, 4))
		return;
	sched_spawn(&sched, producer_poll, true)->state[0] = &pair;
	sched_spawn(&sched, consumer_poll, true)->state[0] = &pair;
	bench_more(b);
	sched_run(&sched);
	if (sched.live != 0 || pair.sum == 0)
		bench_fail(b, "%u tasks left", sched.live);
	sched_close(&sched);
}
BENCH_ENTRANT(local_await_limit, .row = "channel/local_await", .who = "limit",
	.run = local_await);
