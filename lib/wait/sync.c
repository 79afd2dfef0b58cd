#include "apus/sync.h"

/* No grant is out: the first in the queue, if there is one, waits for it. */
static bool is_settled(const struct apus_waitq *queue)
{
	return queue->head == queue->waiting;
}

/*
 * Lets all go that wait without a grant: they move to the end of `released` with one that
 * does not come back, since nobody ever waits there.
 */
static void release_all(struct apus_waitq *queue, struct apus_waitq *released)
{
	struct apus_wait *first = queue->waiting, *last = queue->tail, *wait;

	if (first == NULL)
		return;
	queue->waiting = NULL;
	queue->tail = first->prev;
	if (first->prev != NULL)
		first->prev->next = NULL;
	else
		queue->head = NULL;
	first->prev = released->tail;
	if (released->tail != NULL)
		released->tail->next = first;
	else
		released->head = first;
	released->tail = last;
	for (wait = first; wait != NULL; wait = wait->next) {
		wait->queue = released;
		wait->state = APUS_WAIT_GRANTED;
		apus_task_wake(wait->task->cx, wait->task);
	}
}

/* ---- notify --------------------------------------------------------------- */

/*
 * Notifications whose taker went away while nobody else waited were granted and are in no
 * queue: they are one notification that nobody waited for.
 */
static void notify_settle(struct apus_notify *notify)
{
	if (notify->granted == 0 || !is_settled(&notify->waiters))
		return;
	notify->granted = 0;
	apus_notify_one(notify);
}

/* The one that is kept, and with it those that nobody holds any more: they are not one more. */
static void notify_take_stored(struct apus_notify *notify)
{
	const struct apus_wait *wait;

	notify->is_stored = false;
	notify->granted = 0;
	for (wait = notify->waiters.head; wait != notify->waiters.waiting; wait = wait->next)
		notify->granted++;
}

void apus_notify_one(struct apus_notify *notify)
{
	notify_settle(notify);
	if (apus_waitq_grant(&notify->waiters))
		notify->granted++;
	else
		notify->is_stored = true;
}

void apus_notify_all(struct apus_notify *notify)
{
	release_all(&notify->waiters, &notify->released);
}

apus_poll apus_notified(struct apus_cx *cx, struct apus_notify *notify)
{
	if (apus_wait_is_broken(cx, &notify->waiters) ||
	    apus_wait_is_broken(cx, &notify->released))
		return -EPIPE;
	if (apus_wait_take(cx, &notify->released))
		return 0;
	if (apus_wait_take(cx, &notify->waiters)) {
		notify->granted--;
		notify_settle(notify);
		return 0;
	}
	notify_settle(notify);
	/* Kept ones are there only while nobody waits for them: nobody is overtaken. */
	if (notify->is_stored) {
		notify_take_stored(notify);
		return 0;
	}
	return apus_wait_pend(cx, &notify->waiters);
}

void apus_notify_deinit(struct apus_notify *notify)
{
	apus_waitq_deinit(&notify->waiters);
	apus_waitq_deinit(&notify->released);
	notify->granted = 0;
	notify->is_stored = false;
}

/* ---- event ------------------------------------------------------------------ */

void apus_event_set(struct apus_event *event)
{
	event->is_set = true;
	release_all(&event->waiters, &event->released);
}

apus_poll apus_event_wait_slow(struct apus_cx *cx, struct apus_event *event)
{
	/* Taken even while it is set, or a later wait of the same poll would find it. */
	if (apus_wait_take(cx, &event->released) || event->is_set)
		return 0;
	return apus_wait_pend(cx, &event->waiters);
}

void apus_event_deinit(struct apus_event *event)
{
	apus_waitq_deinit(&event->waiters);
	apus_waitq_deinit(&event->released);
}

/* ---- semaphore ---------------------------------------------------------------- */

/*
 * Who came while a grant was out queues without one, although there may be more permits
 * than grants: the last to take its grant hands on what is left.
 */
static void permits_refill(struct apus_semaphore *semaphore)
{
	uint64_t permits = semaphore->permits;

	if (!is_settled(&semaphore->waiters))
		return;
	while (permits != 0 && apus_waitq_grant(&semaphore->waiters))
		permits--;
}

apus_poll apus_semaphore_acquire_slow(struct apus_cx *cx, struct apus_semaphore *semaphore)
{
	if (!apus_wait_take(cx, &semaphore->waiters))
		return apus_wait_pend(cx, &semaphore->waiters);
	semaphore->permits--;
	permits_refill(semaphore);
	return 0;
}

int apus_semaphore_release(struct apus_semaphore *semaphore, uint64_t permits)
{
	uint64_t sum;

	if (__builtin_add_overflow(semaphore->permits, permits, &sum))
		return -EOVERFLOW;
	semaphore->permits = sum;
	while (permits != 0 && apus_waitq_grant(&semaphore->waiters))
		permits--;
	return 0;
}

uint64_t apus_semaphore_available(const struct apus_semaphore *semaphore)
{
	uint64_t available = semaphore->permits;
	const struct apus_wait *wait;

	for (wait = semaphore->waiters.head; wait != semaphore->waiters.waiting; wait = wait->next)
		available--;
	return available;
}

void apus_semaphore_close(struct apus_semaphore *semaphore)
{
	semaphore->is_closed = true;
	apus_waitq_wake_all(&semaphore->waiters);
}

void apus_semaphore_deinit(struct apus_semaphore *semaphore)
{
	semaphore->is_closed = true;
	apus_waitq_deinit(&semaphore->waiters);
}
