/*
 * The limits of task/: hand-written state machines on the least scheduler.
 * What that leaves out: see limit_sched.h.
 */
#include "../bench_task.h"
#include "limit_sched.h"

/* ---- spawn_join ----------------------------------------------------------- */

static int64_t child_poll(struct sched *sched, struct task *task)
{
	(void)sched;
	return (int64_t)(intptr_t)task->state[0];
}

struct parent {
	struct task *task;
	struct join join;
	uint32_t count;
	bool waiting;
	int64_t sum;
};

static int64_t parent_spawn(struct sched *sched, struct parent *self)
{
	struct task *child = sched_spawn(sched, child_poll, false);

	if (child == NULL)
		return STALE;
	child->state[0] = (void *)1;
	self->join = (struct join){ child, child->serial };
	return 0;
}

static int64_t parent_poll(struct sched *sched, struct task *task)
{
	struct parent *self = task->state[0];
	struct bench *b = sched->b;

	for (;;) {
		int64_t result, outcome;

		if (!self->waiting && parent_spawn(sched, self) != 0)
			return STALE;
		self->waiting = true;
		outcome = sched_join(sched, self->join, task, &result);
		if (outcome != 0)
			return outcome;
		self->waiting = false;
		self->sum += result;
		if (++self->count < b->batch)
			continue;
		bench_sample(b, b->batch);
		self->count = 0;
		if (!bench_more(b))
			return 0;
	}
}

static void spawn_join(struct bench *b)
{
	struct parent parent = { 0 };
	struct sched sched;
	struct task *task;

	if (!sched_open(&sched, b, 8))
		return;
	task = sched_spawn(&sched, parent_poll, true);
	task->state[0] = &parent;
	bench_more(b);
	sched_run(&sched);
	if (sched.live != 0 || parent.sum == 0)
		bench_fail(b, "%u tasks left", sched.live);
	sched_close(&sched);
}
BENCH_ENTRANT(spawn_join_limit, .row = "task/spawn_join", .who = "limit", .run = spawn_join);

/* ---- spawn_batch ---------------------------------------------------------- */

struct crowd {
	struct join joins[TASK_BATCH];
	uint32_t joined;
	bool spawned;
	int64_t sum;
};

static int64_t crowd_spawn(struct sched *sched, struct crowd *self)
{
	for (uint32_t i = 0; i < TASK_BATCH; i++) {
		struct task *child = sched_spawn(sched, child_poll, false);

		if (child == NULL)
			return STALE;
		child->state[0] = (void *)1;
		self->joins[i] = (struct join){ child, child->serial };
	}
	self->spawned = true;
	self->joined = 0;
	return 0;
}

static int64_t crowd_poll(struct sched *sched, struct task *task)
{
	struct crowd *self = task->state[0];
	struct bench *b = sched->b;

	for (;;) {
		if (!self->spawned && crowd_spawn(sched, self) != 0)
			return STALE;
		for (; self->joined < TASK_BATCH; self->joined++) {
			struct join join = self->joins[self->joined];
			int64_t result, outcome = sched_join(sched, join, task, &result);

			if (outcome != 0)
				return outcome;
			self->sum += result;
		}
		bench_sample(b, TASK_BATCH);
		self->spawned = false;
		if (!bench_more(b))
			return 0;
	}
}

static void spawn_batch(struct bench *b)
{
	struct crowd crowd = { .spawned = false };
	struct sched sched;
	struct task *task;

	if (!sched_open(&sched, b, TASK_BATCH + 8))
		return;
	task = sched_spawn(&sched, crowd_poll, true);
	task->state[0] = &crowd;
	bench_more(b);
	sched_run(&sched);
	if (sched.live != 0 || crowd.sum == 0)
		bench_fail(b, "%u tasks left", sched.live);
	sched_close(&sched);
}
BENCH_ENTRANT(spawn_batch_limit, .row = "task/spawn_batch", .who = "limit", .run = spawn_batch);

/* ---- yield ----------------------------------------------------------------- */

/* Only the first task keeps the time; the others only yield. */
struct yielder {
	uint32_t count;
	uint32_t sample_polls;
	uint32_t crowd;
	bool leads;
	bool *stop;
};

static int64_t yielder_poll(struct sched *sched, struct task *task)
{
	struct yielder *self = task->state[0];

	if (*self->stop)
		return 0;
	if (self->leads && self->count++ == self->sample_polls) {
		bench_sample(sched->b, self->sample_polls * self->crowd);
		self->count = 1;
		if (!bench_more(sched->b)) {
			*self->stop = true;
			return 0;
		}
	}
	sched_yield_from(sched, task);
	return PENDING;
}

static void yield_crowd(struct bench *b)
{
	uint32_t crowd = (uint32_t)b->arg;
	struct yielder *yielders = bench_pages(b, crowd * sizeof *yielders);
	struct sched sched;
	bool stop = false;

	if (yielders == NULL)
		return;
	if (!sched_open(&sched, b, crowd)) {
		bench_pages_free(yielders, crowd * sizeof *yielders);
		return;
	}
	for (uint32_t i = 0; i < crowd; i++) {
		struct task *task = sched_spawn(&sched, yielder_poll, true);

		yielders[i] = (struct yielder){ .sample_polls = b->batch / crowd, .crowd = crowd,
			.leads = i == 0, .stop = &stop };
		task->state[0] = &yielders[i];
	}
	bench_more(b);
	sched_run(&sched);
	if (sched.live != 0)
		bench_fail(b, "%u tasks left", sched.live);
	sched_close(&sched);
	bench_pages_free(yielders, crowd * sizeof *yielders);
}
BENCH_ENTRANT(yield_1_limit, .row = "task/yield_1", .who = "limit", .run = yield_crowd, .arg = 1);
BENCH_ENTRANT(yield_1000_limit, .row = "task/yield_1000", .who = "limit", .run = yield_crowd,
	.arg = TASK_BATCH);
BENCH_ENTRANT(tasks_1_limit, .row = "scale/tasks/1", .who = "limit", .run = yield_crowd, .arg = 1);
BENCH_ENTRANT(tasks_1k_limit, .row = "scale/tasks/1k", .who = "limit", .run = yield_crowd,
	.arg = 1000);
BENCH_ENTRANT(tasks_10k_limit, .row = "scale/tasks/10k", .who = "limit", .run = yield_crowd,
	.arg = 10000);
BENCH_ENTRANT(tasks_100k_limit, .row = "scale/tasks/100k", .who = "limit", .run = yield_crowd,
	.arg = 100000);
BENCH_ENTRANT(tasks_1m_limit, .row = "scale/tasks/1M", .who = "limit", .run = yield_crowd,
	.arg = 1000000);
