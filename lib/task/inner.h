/*
 * What the files of this room share: how a task comes to its end.
 */
#ifndef TASK_INNER_H
#define TASK_INNER_H

#include "task/run.h"

/* Gives the slot back; a slot that is still in a ready queue is freed by whoever pops it. */
void apusi_slot_release(struct apus_cx *cx, struct apus_task *task);

/* Unhooks the task, runs its cleanup, and hands its result to whoever joins. */
void apusi_task_end(struct apus_cx *cx, struct apus_task *task, apus_poll result);

/* Unhooks the task now; its cleanup is due from the next turn on. */
void apusi_task_abort(struct apus_cx *cx, struct apus_task *task);

static inline void apusi_timer_drop(struct apus_cx *cx, struct apus_task *task)
{
	apus_timer_disarm(cx->wheel, &task->timer);
	task->flags &= ~(uint64_t)APUS_TASK_TIMED;
}

/* Wakes who awaits the task's end, if its last poll asked for that. */
static inline void apusi_joiner_wake(struct apus_cx *cx, struct apus_task *task)
{
	struct apus_task *joiner = task->joiner.task;

	if (task->flags & APUS_TASK_JOINED && joiner->serial == task->joiner.serial &&
	    apus_task_poll_seq(joiner) == task->joiner.stamp)
		apus_task_wake(cx, joiner);
}

/* set.c: a member's cleanup has run; it is among the ended, and whoever awaits them wakes. */
void apusi_set_member_ended(struct apus_task *task);

#endif
