/*
 * Question   what does a message cost where many producers send to one task, and where one task
 *            shares work out to many and collects what they answer?
 * Unit       scale/producers: ns a message of 8 bytes from 1, 2, 4 or 8 plain threads to a task
 *            on a busy loop, through one channel, as fast as it goes.
 *            fanout_fanin: ns an item there and back.  A task gives 64 items to 8 tasks of
 *            another busy loop, each through a channel of its own, and waits until all have
 *            come back through one.  balanced: 8 items each; skewed: one of them gets half.
 * Rival      rivals/limit_many.c: the same slots; threads that look at them in a loop.
 * Not shown  producers with a processor each, where there are fewer: here they share what
 *            processors there are beside the loop's.
 */
#include "bench_many.h"

#include "bench_loop.h"

#include "apus/channels.h"

BENCH_ROW(producers_1, .name = "scale/producers/1", .unit = "ns", .batch = CROSS_BATCH);
BENCH_ROW(producers_2, .name = "scale/producers/2", .unit = "ns", .batch = CROSS_BATCH);
BENCH_ROW(producers_4, .name = "scale/producers/4", .unit = "ns", .batch = CROSS_BATCH);
BENCH_ROW(producers_8, .name = "scale/producers/8", .unit = "ns", .batch = CROSS_BATCH);
BENCH_ROW(fan_balanced, .name = "cross/fanout_fanin/balanced", .unit = "ns", .batch = MANY_ITEMS);
BENCH_ROW(fan_skewed, .name = "cross/fanout_fanin/skewed", .unit = "ns", .batch = MANY_ITEMS);

APUS_MPSC(crowd, uint64_t, CROSS_CAPACITY)
APUS_SPSC(work, uint64_t, MANY_ITEMS)

/* ---- many producers -------------------------------------------------------------- */

static void *producer_run(void *arg)
{
	struct many_producer *producer = arg;
	struct crowd *crowd = producer->crowd;
	uint64_t next = producer->first;
	int err;

	while ((err = apus_mpsc_try_send(crowd, next)) != -EPIPE)
		next += err == 0;
	return NULL;
}

struct sink {
	struct apus_frame frame;
	struct bench *b;
	struct crowd *crowd;
	uint64_t want[MANY_PRODUCERS], message;
	uint32_t count;
	apus_poll got;
};

/* In order from each: false for one that was lost, or came twice. */
static bool sink_saw(struct sink *self)
{
	uint64_t *want = &self->want[self->message >> MANY_SHIFT];

	return (self->message & MANY_MASK) == (*want)++;
}

APUS_TASK(sink, struct sink)
{
	struct crowd *crowd = self->crowd;

	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count++) {
			APUS_TRY(self->got, apus_mpsc_recv(cx, crowd, &self->message));
			if (!sink_saw(self))
				return -EBADMSG;
		}
		bench_sample(self->b, self->b->batch);
	}
	apus_mpsc_close(crowd);
	APUS_END(0);
}

static void producers(struct bench *b)
{
	static struct crowd crowd;
	struct many_producer all[MANY_PRODUCERS];
	struct sink init = { .b = b, .crowd = &crowd };
	struct apus_config config;
	struct apus_loop *loop;
	uint32_t count;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	apus_mpsc_init(&crowd);
	count = many_begin(b, all, &crowd, producer_run);
	if (count == (uint32_t)b->arg)
		loop_check(b, apus_run(loop, sink, &init));
	apus_mpsc_close(&crowd);
	many_end(all, count);
	loop_close(b, loop);
}
MANY_ENTRANTS(apus, producers);

/* ---- out to many, and back --------------------------------------------------------- */

struct office {
	struct work desks[MANY_WORKERS];
	struct crowd answers;
	struct bench *b;
	pthread_t thread;
	uint32_t open; /* 1: its workers wait; 2: they could not be started */
	uint32_t over;
};

struct worker {
	struct apus_frame frame;
	struct work *desk;
	struct crowd *answers;
	uint64_t item;
	apus_poll got;
};

APUS_TASK(worker, struct worker)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, apus_spsc_recv(cx, self->desk, &self->item));
		if (self->got == -EPIPE)
			break;
		APUS_TRY(self->got, apus_mpsc_send(cx, self->answers, self->item));
	}
	APUS_END(0);
}

static bool office_staff(struct office *office, struct apus_loop *loop)
{
	for (int i = 0; i < MANY_WORKERS; i++) {
		struct worker init = { .desk = &office->desks[i], .answers = &office->answers };

		if (apus_spawn_slab(loop, worker, &init, NULL) != 0)
			return false;
	}
	return true;
}

static void *office_run(void *arg)
{
	struct office *office = arg;
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(office->b, &config);
	apus_store_release(&office->open, loop != NULL && office_staff(office, loop) ? 1 : 2);
	if (loop == NULL)
		return NULL;
	while (!apus_load_acquire(&office->over))
		apus_turn(loop);
	loop_close(office->b, loop);
	return NULL;
}

struct chief {
	struct apus_frame frame;
	struct bench *b;
	struct office *office;
	uint64_t item, sum;
	uint32_t count;
	apus_poll got;
};

static struct work *chief_picks(struct chief *self)
{
	return &self->office->desks[many_pick(self->count, self->b->arg)];
}

APUS_TASK(chief, struct chief)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < MANY_ITEMS; self->count++)
			APUS_TRY(self->got, apus_spsc_send(cx, chief_picks(self), self->count));
		self->sum = 0;
		for (self->count = 0; self->count < MANY_ITEMS; self->count++) {
			APUS_TRY(self->got, apus_mpsc_recv(cx, &self->office->answers, &self->item));
			self->sum += self->item;
		}
		if (self->sum != MANY_SUM)
			return -EBADMSG;
		bench_sample(self->b, MANY_ITEMS);
	}
	APUS_END(0);
}

static bool office_open(struct bench *b, struct office *office)
{
	office->b = b;
	office->open = office->over = 0;
	for (int i = 0; i < MANY_WORKERS; i++)
		apus_spsc_init(&office->desks[i]);
	apus_mpsc_init(&office->answers);
	return wake_thread(b, &office->thread, office_run, office);
}

/* Workers end with their desks: the other loop then drains. */
static void office_close(struct office *office)
{
	for (int i = 0; i < MANY_WORKERS; i++)
		apus_spsc_close(&office->desks[i]);
	apus_mpsc_close(&office->answers);
	apus_store_release(&office->over, 1);
	pthread_join(office->thread, NULL);
}

/* arg: skewed. */
static void fanout_fanin(struct bench *b)
{
	static struct office office;
	struct chief init = { .b = b, .office = &office };
	struct apus_config config;
	struct apus_loop *loop;
	uint32_t open;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	if (office_open(b, &office)) {
		while ((open = apus_load_acquire(&office.open)) == 0)
			;
		if (open == 1)
			loop_check(b, apus_run(loop, chief, &init));
		else
			bench_fail(b, "the other loop has no workers");
		office_close(&office);
	}
	loop_close(b, loop);
}
BENCH_ENTRANT(fan_balanced_apus, .row = "cross/fanout_fanin/balanced", .who = "apus",
	.run = fanout_fanin, .arg = 0);
BENCH_ENTRANT(fan_skewed_apus, .row = "cross/fanout_fanin/skewed", .who = "apus",
	.run = fanout_fanin, .arg = 1);
