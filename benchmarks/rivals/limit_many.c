/*
 * The limits of bench_many.c: the queues of limit_queues.h, and at each end a thread that
 * looks at them in a loop.  Eight producers share a queue as ours do; eight workers are one
 * thread that looks at eight queues in turn.
 *
 * Left out: tasks, waiting, anything else that either end might have to do.
 */
#include "../bench_many.h"
#include "limit_queues.h"

/* ---- many producers -------------------------------------------------------------- */

static void *producer_run(void *arg)
{
	struct many_producer *producer = arg;
	uint64_t next = producer->first;
	int err;

	while ((err = limit_mpsc_send(producer->crowd, next)) != -EPIPE)
		next += err == 0;
	return NULL;
}

static void crowd_take(struct bench *b, struct limit_turns *crowd)
{
	uint64_t message, want[MANY_PRODUCERS] = { 0 };
	uint32_t count;

	while (bench_more(b)) {
		for (count = 0; count < b->batch;) {
			if (limit_turns_recv(crowd, &message) != 0)
				continue;
			if ((message & MANY_MASK) != want[message >> MANY_SHIFT]++)
				bench_fail(b, "a message was lost");
			count++;
		}
		bench_sample(b, b->batch);
	}
}

static void producers(struct bench *b)
{
	static struct limit_turns crowd;
	struct many_producer all[MANY_PRODUCERS];
	uint32_t count;

	limit_turns_init(&crowd);
	count = many_begin(b, all, &crowd, producer_run);
	if (count == (uint32_t)b->arg)
		crowd_take(b, &crowd);
	limit_store(&crowd.closed, 1);
	many_end(all, count);
}
MANY_ENTRANTS(limit, producers);

/* ---- out to many, and back --------------------------------------------------------- */

struct office {
	struct limit_turns desks[MANY_WORKERS];
	struct limit_turns answers;
};

static void *office_run(void *arg)
{
	struct office *office = arg;
	uint64_t item;
	int err = 0;

	while (err != -EPIPE)
		for (int i = 0; i < MANY_WORKERS; i++)
			if ((err = limit_turns_recv(&office->desks[i], &item)) == 0)
				limit_mpsc_send(&office->answers, item);
	return NULL;
}

static uint64_t office_ask(struct office *office, int64_t skewed)
{
	uint64_t item, sum = 0;
	uint32_t i;

	for (i = 0; i < MANY_ITEMS; i++)
		limit_spsc_send(&office->desks[many_pick(i, skewed)], i);
	for (i = 0; i < MANY_ITEMS;)
		if (limit_turns_recv(&office->answers, &item) == 0) {
			sum += item;
			i++;
		}
	return sum;
}

static void fanout_fanin(struct bench *b)
{
	static struct office office;
	pthread_t thread;

	for (int i = 0; i < MANY_WORKERS; i++)
		limit_turns_init(&office.desks[i]);
	limit_turns_init(&office.answers);
	if (!wake_thread(b, &thread, office_run, &office))
		return;
	while (bench_more(b)) {
		if (office_ask(&office, b->arg) != MANY_SUM)
			bench_fail(b, "an item was lost");
		bench_sample(b, MANY_ITEMS);
	}
	for (int i = 0; i < MANY_WORKERS; i++)
		limit_store(&office.desks[i].closed, 1);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(fan_balanced_limit, .row = "cross/fanout_fanin/balanced", .who = "limit",
	.run = fanout_fanin, .arg = 0);
BENCH_ENTRANT(fan_skewed_limit, .row = "cross/fanout_fanin/skewed", .who = "limit",
	.run = fanout_fanin, .arg = 1);
