/*
 * Question   what does a task cost: to start, to run once more, to join?
 * Unit       spawn_join: ns a task, spawned ready by a task that awaits its join.
 *            spawn_batch: ns a task, 1000 spawned, run and joined.
 *            yield_1: ns a turn in which one task is polled and yields, clock included.
 *            yield_1000: ns a poll, 1000 tasks that yield each turn.
 *            scale/tasks: the same for 1 to 1,000,000 tasks.
 * Rival      rivals/limit_task.c, hand-written state machines in a FIFO.
 * Not shown  a task whose state is colder than the L2 cache, but for the crowds of scale/tasks,
 *            which no cache holds; those that wait while few run.
 */
#include "bench_task.h"

#include "bench_loop.h"

BENCH_ROW(spawn_join, .name = "task/spawn_join", .unit = "ns", .batch = TASK_BATCH);
BENCH_ROW(spawn_batch, .name = "task/spawn_batch", .unit = "ns", .batch = TASK_BATCH);
BENCH_ROW(yield_1, .name = "task/yield_1", .unit = "ns", .batch = TASK_BATCH);
BENCH_ROW(yield_1000, .name = "task/yield_1000", .unit = "ns", .batch = TASK_BATCH);
BENCH_ROW(tasks_1, .name = "scale/tasks/1", .unit = "ns", .batch = TASK_BATCH);
BENCH_ROW(tasks_1k, .name = "scale/tasks/1k", .unit = "ns", .batch = TASK_BATCH);
BENCH_ROW(tasks_10k, .name = "scale/tasks/10k", .unit = "ns", .batch = 10000);
BENCH_ROW(tasks_100k, .name = "scale/tasks/100k", .unit = "ns", .batch = 100000);
BENCH_ROW(tasks_1m, .name = "scale/tasks/1M", .unit = "ns", .batch = 1000000);

/* What a child is started with and answers: no frame, it ends in its first poll. */
struct child {
	apus_poll result;
};

APUS_TASK(child, struct child)
{
	(void)cx;
	return self->result;
}

static const struct child one = { 1 };

/* ---- spawn_join ----------------------------------------------------------- */

struct parent {
	struct apus_frame frame;
	struct bench *b;
	struct apus_join join;
	apus_poll outcome;
	apus_poll result;
	uint32_t count;
};

APUS_TASK(parent, struct parent)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count++) {
			if (apus_spawn_slab(cx->loop, child, &one, &self->join) != 0)
				return -ENOSPC;
			APUS_AWAIT(self->outcome, apus_join(cx, self->join, &self->result));
			if (self->outcome != 0 || self->result != 1)
				return -EINVAL;
		}
		bench_sample(self->b, self->b->batch);
	}
	APUS_END(0);
}

static void spawn_join(struct bench *b)
{
	struct parent init = { .b = b };
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	loop_check(b, apus_run(loop, parent, &init));
	loop_close(b, loop);
}
BENCH_ENTRANT(spawn_join_apus, .row = "task/spawn_join", .who = "apus", .run = spawn_join);

/* ---- spawn_batch ------------------------------------------------------------ */

struct crowd {
	struct apus_frame frame;
	struct bench *b;
	struct apus_join *joins;
	apus_poll outcome;
	apus_poll result;
	uint32_t count;
};

static int crowd_spawn(struct apus_cx *cx, struct crowd *self)
{
	int err = 0;

	for (uint32_t i = 0; i < TASK_BATCH; i++)
		err |= apus_spawn_slab(cx->loop, child, &one, &self->joins[i]);
	return err;
}

APUS_TASK(crowd, struct crowd)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		if (crowd_spawn(cx, self) != 0)
			return -ENOSPC;
		for (self->count = 0; self->count < TASK_BATCH; self->count++) {
			APUS_AWAIT(self->outcome,
				apus_join(cx, self->joins[self->count], &self->result));
			if (self->outcome != 0 || self->result != 1)
				return -EINVAL;
		}
		bench_sample(self->b, TASK_BATCH);
	}
	APUS_END(0);
}

static void spawn_batch(struct bench *b)
{
	struct apus_join joins[TASK_BATCH];
	struct crowd init = { .b = b, .joins = joins };
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	loop_check(b, apus_run(loop, crowd, &init));
	loop_close(b, loop);
}
BENCH_ENTRANT(spawn_batch_apus, .row = "task/spawn_batch", .who = "apus", .run = spawn_batch);

/* ---- yield ------------------------------------------------------------------- */

/* The root keeps the time; the others only yield. */
struct leader {
	struct apus_frame frame;
	struct bench *b;
	bool *stop;
	uint32_t crowd;
	uint32_t count;
};

APUS_TASK(leader, struct leader)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch / self->crowd; self->count++)
			APUS_WAIT(apus_yield(cx));
		bench_sample(self->b, self->count * self->crowd);
	}
	*self->stop = true;
	APUS_END(0);
}

struct yielder {
	struct apus_frame frame;
	bool *stop;
};

APUS_TASK(yielder, struct yielder)
{
	APUS_BEGIN(cx, self);
	while (!*self->stop)
		APUS_WAIT(apus_yield(cx));
	APUS_END(0);
}

static void yield_crowd(struct bench *b)
{
	bool stop = false;
	struct leader leader_init = { .b = b, .stop = &stop, .crowd = (uint32_t)b->arg };
	struct yielder yielder_init = { .stop = &stop };
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	if (b->arg >= config.slot_count) {
		config.slot_count = config.task_budget = (uint32_t)b->arg + 1;
		config.state_bytes = sizeof(struct leader);
	}
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	for (int64_t i = 1; i < b->arg; i++)
		if (apus_spawn_slab(loop, yielder, &yielder_init, NULL) != 0)
			bench_fail(b, "no slot for yielder %lld", (long long)i);
	loop_check(b, apus_run(loop, leader, &leader_init));
	loop_close(b, loop);
}
BENCH_ENTRANT(yield_1_apus, .row = "task/yield_1", .who = "apus", .run = yield_crowd, .arg = 1);
BENCH_ENTRANT(yield_1000_apus, .row = "task/yield_1000", .who = "apus", .run = yield_crowd,
	.arg = TASK_BATCH);
BENCH_ENTRANT(tasks_1_apus, .row = "scale/tasks/1", .who = "apus", .run = yield_crowd, .arg = 1);
BENCH_ENTRANT(tasks_1k_apus, .row = "scale/tasks/1k", .who = "apus", .run = yield_crowd,
	.arg = 1000);
BENCH_ENTRANT(tasks_10k_apus, .row = "scale/tasks/10k", .who = "apus", .run = yield_crowd,
	.arg = 10000);
BENCH_ENTRANT(tasks_100k_apus, .row = "scale/tasks/100k", .who = "apus", .run = yield_crowd,
	.arg = 100000);
BENCH_ENTRANT(tasks_1m_apus, .row = "scale/tasks/1M", .who = "apus", .run = yield_crowd,
	.arg = 1000000);
