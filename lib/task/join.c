/*
 * Handles: joining, detaching, aborting.
 */
#include "task/inner.h"

static struct apus_task *join_task(struct apus_cx *cx, struct apus_join join)
{
	if (join.loop_id != cx->loop_id || join.serial == 0 || join.task->serial != join.serial)
		return NULL;
	return join.task;
}

/* The task, if its end can still be taken through this handle. */
static struct apus_task *joinable_task(struct apus_cx *cx, struct apus_join join)
{
	struct apus_task *task = join_task(cx, join);

	return task != NULL && (task->flags & APUS_TASK_JOINABLE) ? task : NULL;
}

static int join_take(struct apus_cx *cx, struct apus_task *task, apus_poll *result)
{
	int outcome = task->flags & APUS_TASK_ABORTED ? -ECANCELED : 0;

	if (outcome == 0 && result != NULL)
		*result = task->result;
	apusi_slot_release(cx, task);
	return outcome;
}

/* Another task waits: its last poll asked for the end of this one. */
static bool joiner_is_another(const struct apus_cx *cx, const struct apus_task *task)
{
	const struct apus_task *joiner = task->joiner.task;

	return task->flags & APUS_TASK_JOINED && joiner != cx->task && joiner->serial == task->joiner.serial &&
	       apus_task_poll_seq(joiner) == task->joiner.stamp && !(joiner->flags & APUS_TASK_NO_POLL);
}

apus_poll apus_join_slow(struct apus_cx *cx, struct apus_task *task, uint64_t serial,
	apus_poll *result)
{
	struct apus_join join = { task, serial, cx->loop_id };

	if (joinable_task(cx, join) == NULL)
		return -ESTALE;
	if (task == cx->task)
		return -EDEADLK;
	if (joiner_is_another(cx, task))
		return -EBUSY;
	if (task->flags & APUS_TASK_ENDED)
		return join_take(cx, task, result);
	task->flags &= ~(uint64_t)APUS_TASK_JOINED;
	return apus_join(cx, join, result);
}

int apus_try_join(struct apus_loop *loop, struct apus_join join, apus_poll *result)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apus_task *task = joinable_task(cx, join);

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (task == NULL)
		return -ESTALE;
	if (!(task->flags & APUS_TASK_ENDED))
		return -EAGAIN;
	apusi_joiner_wake(cx, task);
	return join_take(cx, task, result);
}

int apus_join_is_finished(struct apus_loop *loop, struct apus_join join)
{
	struct apus_task *task = joinable_task(apus_loop_cx(loop), join);

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	return task == NULL ? -ESTALE : (task->flags & APUS_TASK_ENDED) != 0;
}

void *apus_join_state(struct apus_loop *loop, struct apus_join join)
{
	struct apus_task *task = join_task(apus_loop_cx(loop), join);

	return task == NULL || !apus_loop_is_mine(loop) ? NULL : apus_task_state(task);
}

int apus_detach(struct apus_loop *loop, struct apus_join join)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apus_task *task = joinable_task(cx, join);

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (task == NULL)
		return -ESTALE;
	if (task->flags & APUS_TASK_ENDED) {
		join_take(cx, task, NULL);
		return 0;
	}
	apusi_joiner_wake(cx, task);
	task->flags &= ~(uint64_t)APUS_TASK_JOINABLE;
	return 0;
}

int apus_abort(struct apus_loop *loop, struct apus_join join)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apus_task *task = join_task(cx, join);

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (task == NULL)
		return -ESTALE;
	if ((task->flags & (APUS_TASK_LIVE | APUS_TASK_ABORTED)) != APUS_TASK_LIVE)
		return 0;
	if (task != cx->task)
		apusi_task_abort(cx, task);
	else if (cx->flags & APUS_CX_ABORTED)
		return 0;
	cx->flags |= task == cx->task ? APUS_CX_ABORTED : 0;
	return 1;
}

struct apus_join apus_self(struct apus_cx *cx)
{
	struct apus_join none = { NULL, 0, 0 };
	struct apus_join self = { cx->task, cx->task ? cx->task->serial : 0, cx->loop_id };

	return cx->task != NULL ? self : none;
}
