/*
 * The least scheduler: a FIFO of function pointers with their state, a slab of tasks, a
 * clock read a turn.
 *
 * Left out: cleanups, abort, cancellation, waits that unlink themselves, timers, lanes,
 * budgets, I/O, names, counters, other threads.
 * Kept: full is an answer; a task that is queued is not queued twice; a join names a
 * serial, and a stale one does not reach the slot's next owner; the clock is in
 * nanoseconds; a yielder is ready again in the next turn, not in this one.
 */
#ifndef LIMIT_SCHED_H
#define LIMIT_SCHED_H

#include "../bench.h"

#define PENDING INT64_MIN
#define STALE (-1)

struct sched;
struct task;
typedef int64_t poll_fn(struct sched *sched, struct task *task);

struct task {
	struct task *next;
	poll_fn *poll;
	struct task *waiter;
	uint64_t serial;
	int64_t result;
	bool queued;
	bool done;
	bool detached;
	void *state[5];
};

struct fifo {
	struct task *head;
	struct task **tail;
};

struct sched {
	struct fifo ready;
	struct fifo later;
	struct task *free;
	uint64_t serial;
	uint32_t live;
	uint64_t clock_base;
	uint64_t clock_scale;   /* ns a tick, 32.32 */
	int64_t now_ns;
	struct bench *b;
	struct task *tasks;
	uint32_t task_count;
};

struct join {
	struct task *task;
	uint64_t serial;
};

static inline void fifo_init(struct fifo *fifo)
{
	fifo->head = NULL;
	fifo->tail = &fifo->head;
}

static inline void fifo_push(struct fifo *fifo, struct task *task)
{
	task->next = NULL;
	*fifo->tail = task;
	fifo->tail = &task->next;
}

static inline struct task *fifo_pop(struct fifo *fifo)
{
	struct task *task = fifo->head;

	fifo->head = task->next;
	if (fifo->head == NULL)
		fifo->tail = &fifo->head;
	return task;
}

static inline void sched_wake(struct sched *sched, struct task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	fifo_push(&sched->ready, task);
}

static inline void sched_yield_from(struct sched *sched, struct task *task)
{
	task->queued = true;
	fifo_push(&sched->later, task);
}

/* NULL when full. */
static inline struct task *sched_spawn(struct sched *sched, poll_fn *poll, bool detached)
{
	struct task *task = sched->free;

	if (task == NULL)
		return NULL;
	sched->free = task->next;
	sched->live++;
	task->poll = poll;
	task->waiter = NULL;
	task->serial = ++sched->serial;
	task->done = false;
	task->detached = detached;
	task->queued = true;
	fifo_push(&sched->ready, task);
	return task;
}

static inline void sched_release(struct sched *sched, struct task *task)
{
	task->serial = 0;
	task->next = sched->free;
	sched->free = task;
	sched->live--;
}

/* PENDING, and the waiter is woken at the end; or 0 and the result. */
static inline int64_t sched_join(struct sched *sched, struct join join, struct task *waiter,
	int64_t *result)
{
	if (join.task->serial != join.serial)
		return STALE;
	if (!join.task->done) {
		join.task->waiter = waiter;
		return PENDING;
	}
	*result = join.task->result;
	sched_release(sched, join.task);
	return 0;
}

static inline void sched_finish(struct sched *sched, struct task *task, int64_t result)
{
	task->result = result;
	task->done = true;
	if (task->waiter != NULL)
		sched_wake(sched, task->waiter);
	if (task->detached)
		sched_release(sched, task);
}

static inline void sched_run_ready(struct sched *sched)
{
	while (sched->ready.head != NULL) {
		struct task *task = fifo_pop(&sched->ready);
		int64_t result;

		task->queued = false;
		result = task->poll(sched, task);
		if (result != PENDING)
			sched_finish(sched, task, result);
	}
}

static inline void sched_turn(struct sched *sched)
{
	uint64_t ticks = bench_ticks() - sched->clock_base;

	sched->now_ns = (int64_t)(((unsigned __int128)ticks * sched->clock_scale) >> 32);
	sched_run_ready(sched);
	if (sched->later.head != NULL) {
		sched->ready = sched->later;
		fifo_init(&sched->later);
	}
}

/* Turns until nobody is ready: the entrant's tasks stop when the bench has enough. */
static inline void sched_run(struct sched *sched)
{
	while (sched->ready.head != NULL)
		sched_turn(sched);
}

static inline bool sched_open(struct sched *sched, struct bench *b, uint32_t task_count)
{
	fifo_init(&sched->ready);
	fifo_init(&sched->later);
	sched->free = NULL;
	sched->serial = 0;
	sched->live = task_count;
	sched->b = b;
	sched->clock_base = bench_ticks();
	sched->clock_scale = (uint64_t)(b->ns_per_tick * 4294967296.0);
	sched->task_count = task_count;
	sched->tasks = bench_pages(b, task_count * sizeof *sched->tasks);
	for (uint32_t i = task_count; sched->tasks != NULL && i > 0; i--)
		sched_release(sched, &sched->tasks[i - 1]);
	return sched->tasks != NULL;
}

static inline void sched_close(struct sched *sched)
{
	bench_pages_free(sched->tasks, sched->task_count * sizeof *sched->tasks);
}

#endif
