#include <stdlib.h>

#include "wait/poller.h"

static struct apus_wait *wait_find(struct apus_task *task, const void *queue)
{
	struct apus_wait *wait;

	for (wait = task->waits; wait != NULL; wait = wait->task_next)
		if ((const void *)wait->queue == queue)
			return wait;
	return NULL;
}

static struct apus_wait *node_claim(struct apus_cx *cx)
{
	struct apus_wait *wait = &cx->task->wait;

	if (wait->state == APUS_WAIT_FREE)
		return wait;
	wait = cx->wait_free;
	if (wait != NULL)
		cx->wait_free = wait->task_next;
	return wait;
}

static void node_release(struct apus_cx *cx, struct apus_task *task, struct apus_wait *wait)
{
	wait->state = APUS_WAIT_FREE;
	if (wait == &task->wait)
		return;
	wait->task_next = cx->wait_free;
	cx->wait_free = wait;
}

static void queue_unlink(struct apus_waitq *queue, struct apus_wait *wait)
{
	if (queue->waiting == wait)
		queue->waiting = wait->next;
	if (wait->prev != NULL)
		wait->prev->next = wait->next;
	else
		queue->head = wait->next;
	if (wait->next != NULL)
		wait->next->prev = wait->prev;
	else
		queue->tail = wait->prev;
}

static void task_unlink(struct apus_task *task, struct apus_wait *wait)
{
	struct apus_wait **link = &task->waits;

	while (*link != wait)
		link = &(*link)->task_next;
	*link = wait->task_next;
	if (task->waits == NULL)
		task->flags &= ~(uint64_t)APUS_TASK_WAITS;
}

apus_poll apus_wait_pend_slow(struct apus_cx *cx, struct apus_waitq *queue)
{
	struct apus_task *task = cx->task;
	struct apus_wait *wait = wait_find(task, queue);

	/* Broken in this very poll: what it was for is over, and this is another queue. */
	if (wait != NULL && wait->state == APUS_WAIT_BROKEN && wait->stamp == apus_task_poll_seq(task)) {
		apus_wait_drop(cx, wait);
		wait = NULL;
	}
	if (wait == NULL) {
		wait = node_claim(cx);
		if (wait == NULL) {
			cx->counts.refusals++;
			cx->counts.wait_refusals++;
			return -ENOBUFS;
		}
		apus_wait_link(task, wait, queue);
	}
	if (wait->state == APUS_WAIT_BROKEN) {
		apus_wait_drop(cx, wait);
		return -EPIPE;
	}
	wait->stamp = apus_task_poll_seq(task);
	return APUS_PENDING;
}

/*
 * Unlinks a wait; a grant that it holds and nobody took passes to the next waiter.  Who is
 * first now, with a grant of its own, may have been waiting for just that: it is told.
 */
void apus_wait_drop(struct apus_cx *cx, struct apus_wait *wait)
{
	struct apus_task *task = wait->task;
	struct apus_waitq *queue = wait->queue;
	uint32_t state = wait->state;

	task_unlink(task, wait);
	if (state == APUS_WAIT_POLLED)
		apusi_poller_drop(cx, wait->poller);
	else if (state != APUS_WAIT_BROKEN)
		queue_unlink(queue, wait);
	node_release(cx, task, wait);
	if (state != APUS_WAIT_GRANTED)
		return;
	apus_waitq_grant(queue);
	if (queue->head != queue->waiting)
		apus_waitq_wake(queue);
}

bool apus_wait_take_slow(struct apus_cx *cx, struct apus_waitq *queue)
{
	struct apus_wait *wait = wait_find(cx->task, queue);

	if (wait == NULL || wait->state != APUS_WAIT_GRANTED)
		return false;
	wait->state = APUS_WAIT_QUEUED; /* the grant is ours: it must not pass on */
	apus_wait_drop(cx, wait);
	return true;
}

bool apus_wait_broken_slow(struct apus_cx *cx, const void *queue)
{
	struct apus_wait *wait = wait_find(cx->task, queue);

	if (wait == NULL || wait->state != APUS_WAIT_BROKEN ||
	    wait->stamp == apus_task_poll_seq(cx->task))
		return false;
	apus_wait_drop(cx, wait);
	return true;
}

bool apus_waitq_grant_slow(struct apus_waitq *queue)
{
	struct apus_wait *wait = queue->waiting;

	queue->waiting = wait->next;
	wait->state = APUS_WAIT_GRANTED;
	apus_task_wake(wait->task->cx, wait->task);
	return true;
}

void apus_waitq_wake_all_slow(struct apus_waitq *queue)
{
	struct apus_wait *wait;

	for (wait = queue->head; wait != NULL; wait = wait->next)
		apus_task_wake(wait->task->cx, wait->task);
}

/* It is in no queue any more. */
static void wait_spoil(struct apus_wait *wait)
{
	struct apus_task *task = wait->task;

	wait->state = APUS_WAIT_BROKEN;
	task->flags |= APUS_TASK_BROKEN;
	if (task->cx->task == task)
		task->cx->flags |= APUS_CX_BROKEN;
	apus_task_wake(task->cx, task);
}

static void wait_break(struct apus_waitq *queue, struct apus_wait *wait)
{
	queue_unlink(queue, wait);
	wait_spoil(wait);
}

static bool wait_is_running(const struct apus_wait *wait)
{
	return wait->task->cx->task == wait->task;
}

/*
 * The running task ends a queue that it waited on itself: a wait that it has not renewed in
 * this poll was left behind, and broken would spoil the next queue at this address.
 */
void apus_waitq_deinit(struct apus_waitq *queue)
{
	struct apus_wait *wait;

	while ((wait = queue->head) != NULL) {
		if (wait_is_running(wait) && wait->stamp != apus_task_poll_seq(wait->task))
			apus_wait_drop(wait->task->cx, wait);
		else
			wait_break(queue, wait);
	}
}

/* One that was renewed may have been left since, too; the handle tells, and is asked again. */
void apus_waitq_retire(struct apus_waitq *queue)
{
	struct apus_wait *wait;

	while ((wait = queue->head) != NULL) {
		struct apus_task *task = wait->task;

		if (!wait_is_running(wait)) {
			wait_break(queue, wait);
			continue;
		}
		if (wait->stamp == apus_task_poll_seq(task))
			apus_task_wake(task->cx, task);
		apus_wait_drop(task->cx, wait);
	}
}

/* ---- pollers: waiting for other threads ------------------------------------------ */

static struct apusi_poller *poller_claim(struct apus_cx *cx, const void *key)
{
	struct apusi_poller *poller = cx->poller_free;
	struct apus_wait *wait = poller == NULL ? NULL : node_claim(cx);

	if (wait == NULL) {
		cx->counts.refusals++;
		cx->counts.wait_refusals++;
		return NULL;
	}
	cx->poller_free = poller->next;
	poller->next = cx->pollers;
	poller->prev = NULL;
	if (cx->pollers != NULL)
		cx->pollers->prev = poller;
	cx->pollers = poller;
	poller->wait = wait;
	wait->queue = (struct apus_waitq *)(uintptr_t)key;
	wait->task = cx->task;
	wait->task_next = cx->task->waits;
	cx->task->waits = wait;
	cx->task->flags |= APUS_TASK_WAITS;
	wait->state = APUS_WAIT_POLLED;
	wait->poller = poller;
	return poller;
}

static void poller_release(struct apus_cx *cx, struct apusi_poller *poller)
{
	if (poller->prev != NULL)
		poller->prev->next = poller->next;
	else
		cx->pollers = poller->next;
	if (poller->next != NULL)
		poller->next->prev = poller->prev;
	poller->next = cx->poller_free;
	cx->poller_free = poller;
}

struct apusi_poller *apusi_poller_find(struct apus_cx *cx, const void *key)
{
	struct apus_wait *wait = wait_find(cx->task, key);

	return wait != NULL && wait->state == APUS_WAIT_POLLED ? wait->poller : NULL;
}

struct apusi_poller *apusi_poller_pend(struct apus_cx *cx, const void *key,
	const struct apusi_poller_kind *kind, void *object)
{
	struct apusi_poller *poller = apusi_poller_find(cx, key);

	if (poller == NULL) {
		poller = poller_claim(cx, key);
		if (poller == NULL)
			return NULL;
		poller->kind = kind;
		poller->object = object;
	}
	poller->wait->stamp = apus_task_poll_seq(cx->task);
	return poller;
}

void apusi_poller_drop(struct apus_cx *cx, struct apusi_poller *poller)
{
	poller->kind->dropped(poller);
	poller_release(cx, poller);
}

void apusi_poller_break(struct apusi_poller *poller)
{
	struct apus_wait *wait = poller->wait;

	if (wait_is_running(wait) && wait->stamp != apus_task_poll_seq(wait->task)) {
		apus_wait_drop(poller->cx, wait);
		return;
	}
	poller->kind->dropped(poller);
	poller_release(poller->cx, poller);
	wait_spoil(wait);
}

void apusi_pollers_sweep_slow(struct apus_cx *cx)
{
	struct apusi_poller *poller;

	for (poller = cx->pollers; poller != NULL; poller = poller->next)
		if (poller->kind->ready(poller))
			apus_task_wake(cx, poller->wait->task);
}

bool apusi_pollers_arm(struct apus_cx *cx)
{
	struct apusi_poller *poller;

	for (poller = cx->pollers; poller != NULL; poller = poller->next)
		if (poller->kind->arm == NULL || !poller->kind->arm(poller))
			return false;
	return true;
}

void apusi_pollers_disarm(struct apus_cx *cx)
{
	struct apusi_poller *poller;

	for (poller = cx->pollers; poller != NULL; poller = poller->next)
		if (poller->kind->disarm != NULL)
			poller->kind->disarm(poller);
}

int apusi_pollers_open(struct apus_cx *cx, uint32_t count, void **pool)
{
	struct apusi_poller *pollers;
	uint32_t i;

	*pool = pollers = (struct apusi_poller *)calloc(count ? count : 1, sizeof *pollers);
	if (pollers == NULL)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		pollers[i].cx = cx;
		pollers[i].next = cx->poller_free;
		cx->poller_free = &pollers[i];
	}
	return 0;
}
