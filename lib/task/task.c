/*
 * Slots and ends: how a task comes to be, and how it goes.
 */
#include <stdlib.h>

#include "task/inner.h"
#include "wait/op.h"
#include "wait/port.h"

/* ---- slots --------------------------------------------------------------- */

int apus_task_refuse(struct apus_cx *cx, const struct apus_kind *kind)
{
	cx->counts.refusals++;
	if (cx->stopping)
		return -ESHUTDOWN;
	return kind->state_bytes >= cx->state_bytes_end ? -EMSGSIZE : -ENOSPC;
}

int apus_task_claim_boxed(struct apus_cx *cx, const struct apus_kind *kind,
	struct apus_task **out)
{
	struct apus_kind header = *kind;
	void *state;
	int err;

	if (!apus_loop_is_mine(cx->loop))
		return -EPERM;
	header.state_bytes = sizeof state;
	err = apus_task_claim(cx, &header, out);
	if (err)
		return err;
	/* Aligned as in a slot: a state may hold what wants a cache line of its own. */
	if (posix_memalign(&state, APUS_CACHE_LINE, kind->state_bytes ? kind->state_bytes : 1)) {
		(*out)->flags = 0;
		apus_slab_release(&cx->tasks, *out);
		return -ENOMEM;
	}
	memcpy(*out + 1, &state, sizeof state);
	(*out)->kind = kind;
	(*out)->flags |= APUS_TASK_BOXED;
	return 0;
}

void apusi_slot_release(struct apus_cx *cx, struct apus_task *task)
{
	task->serial = 0;
	if (apus_unlikely(task->flags & APUS_TASK_BOXED))
		free(apus_task_state(task));
	if (apus_unlikely(task->flags & APUS_TASK_QUEUED)) {
		task->flags = APUS_TASK_RELEASED | APUS_TASK_QUEUED;
		cx->counts.lingering++;
		return;
	}
	task->flags = 0;
	apus_slab_release(&cx->tasks, task);
}

static struct apus_task *state_task(void *state)
{
	struct apus_task *task = (struct apus_task *)state - 1;

	APUS_ASSERT(task->flags & APUS_TASK_CLAIMED);
	return task;
}

int apus_claim_spawn(void *state, struct apus_join *join)
{
	struct apus_task *task = state_task(state);
	struct apus_cx *cx = task->cx;

	if (APUS_DEBUG && !apus_loop_is_mine(cx->loop))
		return -EPERM;
	if (cx->stopping)
		return apus_task_refuse(cx, task->kind);
	cx->counts.claimed--;
	apus_task_start(cx, task, join);
	return 0;
}

void apus_claim_drop(void *state)
{
	struct apus_task *task = state_task(state);

	task->cx->counts.claimed--;
	apus_task_free(task->cx, task);
}

/* ---- ending ---------------------------------------------------------------- */

/* All its waits and its timer: gone, with no user code. */
static void task_unhook(struct apus_cx *cx, struct apus_task *task)
{
	while (task->waits != NULL)
		apus_wait_drop(cx, task->waits);
	if (task->flags & APUS_TASK_TIMED)
		apusi_timer_drop(cx, task);
	task->frame = NULL;
}

static void guards_fire(struct apus_cx *cx, struct apus_task *task)
{
	struct apus_guard *guard;

	for (guard = task->guards; guard != NULL; guard = guard->next)
		if (guard->armed)
			apus_cancel(cx->loop, guard->token);
	task->guards = NULL;
}

/* The cleanup has run and the result stands: now whoever joins may have it. */
static void task_settle(struct apus_cx *cx, struct apus_task *task)
{
	if (task->flags & APUS_TASK_HOOKED) {
		task->hook->ended(cx, task, task->hook);
		apusi_slot_release(cx, task);
	} else if (task->flags & APUS_TASK_IN_SET) {
		apusi_set_member_ended(task);
	} else if (task->flags & APUS_TASK_JOINABLE) {
		apusi_joiner_wake(cx, task);
	} else {
		apusi_slot_release(cx, task);
	}
}

static void extra_end(struct apus_cx *cx, struct apus_task *task)
{
	if (task->waker != NULL)
		apusi_waker_retire(cx, task->waker);
	guards_fire(cx, task);
}

/* Nothing of it is with anybody else any more. */
static void task_finish(struct apus_cx *cx, struct apus_task *task, apus_poll result)
{
	if (task->kind->cleanup != NULL)
		task->kind->cleanup(cx, apus_task_state(task));
	task->flags |= APUS_TASK_ENDED;
	task->result = result;
	cx->counts.ended++;
	task_settle(cx, task);
}

void apusi_task_end(struct apus_cx *cx, struct apus_task *task, apus_poll result)
{
	task_unhook(cx, task);
	if (task->flags & APUS_TASK_EXTRA)
		extra_end(cx, task);
	/* No longer live: its cleanup cannot abort it into a second one. */
	task->flags &= ~(uint64_t)(APUS_TASK_LIVE | APUS_TASK_BROKEN);
	task->result = result;
	if (!(task->flags & APUS_TASK_OPS) || !apusi_ops_end(cx, task))
		task_finish(cx, task, result);
}

/* What held it is back. */
static void task_let_go(struct apus_cx *cx, struct apus_task *task)
{
	task->flags &= ~(uint64_t)APUS_TASK_HELD;
	task_finish(cx, task, task->result);
}

void apusi_task_abort(struct apus_cx *cx, struct apus_task *task)
{
	task->flags |= APUS_TASK_ABORTED;
	task_unhook(cx, task);
	task->wait.stamp = (uint32_t)cx->turn; /* of the node, which is free from here on */
	apusi_cleanup_push(cx, task);
}

uint32_t apusi_tasks_cleanup(struct apus_cx *cx, uint32_t budget, uint64_t turn)
{
	uint32_t done;

	for (done = 0; done < budget; done++) {
		struct apus_task *task = cx->aborted_head;

		if (task == NULL || task->wait.stamp == (uint32_t)turn)
			break;
		cx->aborted_head = task->next;
		if (task->flags & APUS_TASK_HELD)
			task_let_go(cx, task);
		else
			apusi_task_end(cx, task, -ECANCELED);
	}
	return done;
}
