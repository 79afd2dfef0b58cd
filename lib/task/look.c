/*
 * All of them: counting, closing and dumping the tasks of a loop.
 */
#include <stdlib.h>

#include "task/inner.h"

uint64_t apusi_tasks_live(const struct apus_cx *cx)
{
	return cx->serial - cx->counts.ended;
}

/* What still has its slot is live, or claimed, or lingers in a ready queue, or is this. */
uint64_t apusi_tasks_unjoined(const struct apus_cx *cx)
{
	return cx->tasks.live_count - apusi_tasks_live(cx) - cx->counts.claimed -
	       cx->counts.lingering;
}

void apusi_tasks_abort_all(struct apus_cx *cx)
{
	uint32_t index;

	for (index = 0; index < cx->tasks.used_count; index++) {
		struct apus_task *task = (struct apus_task *)apus_slab_at(&cx->tasks, index);

		if ((task->flags & (APUS_TASK_LIVE | APUS_TASK_ABORTED)) == APUS_TASK_LIVE)
			apusi_task_abort(cx, task);
	}
}

void apusi_tasks_free_boxed(struct apus_cx *cx)
{
	uint32_t index;

	for (index = 0; index < cx->tasks.used_count; index++) {
		struct apus_task *task = (struct apus_task *)apus_slab_at(&cx->tasks, index);

		/* A held one is leaked: somebody still writes there. */
		if (task->serial != 0 && (task->flags & (APUS_TASK_BOXED | APUS_TASK_HELD)) == APUS_TASK_BOXED)
			free(apus_task_state(task));
	}
}

static enum apus_task_status task_status(const struct apus_task *task)
{
	if (task->flags & APUS_TASK_ENDED)
		return APUS_STATUS_ENDED;
	if (task->flags & APUS_TASK_HELD)
		return APUS_STATUS_HELD;
	if (task->flags & APUS_TASK_ABORTED)
		return APUS_STATUS_ABORTED;
	if (task->cx->task == task)
		return APUS_STATUS_RUNNING;
	return task->flags & APUS_TASK_QUEUED ? APUS_STATUS_READY : APUS_STATUS_WAITING;
}

void apusi_task_info(const struct apus_task *task, struct apus_task_info *info)
{
	enum apus_task_status status = task_status(task);
	/* One that runs or has ended does not wait; what it waited for may be gone. */
	const struct apus_frame *frame =
		status == APUS_STATUS_READY || status == APUS_STATUS_WAITING ? task->frame : NULL;
	const struct apus_wait *wait;

	info->name = task->kind->name;
	info->serial = task->serial;
	info->status = status;
	info->site = frame ? frame->site : NULL;
	info->age_ns = task->cx->now_ns - task->spawned_ns;
	info->waiting_ns = frame ? task->cx->now_ns - frame->since_ns : 0;
	info->deadline_ns = task->flags & APUS_TASK_TIMED ? task->timer.deadline_ns : APUS_NEVER;
	info->waits = 0;
	for (wait = task->waits; wait != NULL; wait = wait->task_next)
		info->waits++;
}

void apus_dump(struct apus_loop *loop, void (*see)(void *arg, const struct apus_task_info *info),
	void *arg)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apus_task_info info;
	uint32_t index;

	for (index = 0; index < cx->tasks.used_count; index++) {
		struct apus_task *task = (struct apus_task *)apus_slab_at(&cx->tasks, index);

		if (task->serial == 0)
			continue;
		apusi_task_info(task, &info);
		see(arg, &info);
	}
}
