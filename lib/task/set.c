#include "task/inner.h"

int apus_set_init(struct apus_set *set, struct apus_loop *loop, struct apus_token parent)
{
	memset(set, 0, sizeof *set);
	set->loop = loop;
	return apus_token_child(loop, parent, &set->token);
}

static void live_link(struct apus_set *set, struct apus_task *task)
{
	task->member.prev = NULL;
	task->member.next = set->live;
	if (set->live != NULL)
		set->live->member.prev = task;
	set->live = task;
	set->live_count++;
}

static void live_unlink(struct apus_set *set, struct apus_task *task)
{
	if (task->member.prev != NULL)
		task->member.prev->member.next = task->member.next;
	else
		set->live = task->member.next;
	if (task->member.next != NULL)
		task->member.next->member.prev = task->member.prev;
	set->live_count--;
}

static void ended_push(struct apus_set *set, struct apus_task *task)
{
	task->member.next = NULL;
	if (set->ended == NULL)
		set->ended = task;
	else
		set->ended_tail->member.next = task;
	set->ended_tail = task;
	set->ended_count++;
}

/* From here on the handle that spawn gave is the set's: an ordinary join, taken by it. */
static struct apus_join member_leave(struct apus_task *task)
{
	struct apus_join join = { task, task->serial, task->cx->loop_id };

	task->flags &= ~(uint64_t)APUS_TASK_IN_SET;
	task->flags |= APUS_TASK_JOINABLE;
	return join;
}

int apus_set_adopt(struct apus_set *set, struct apus_join join)
{
	struct apus_task *task = join.task;
	int finished = apus_join_is_finished(set->loop, join);

	if (finished < 0)
		return finished;
	apusi_joiner_wake(task->cx, task);
	task->flags &= ~(uint64_t)(APUS_TASK_JOINABLE | APUS_TASK_JOINED);
	task->flags |= APUS_TASK_IN_SET;
	task->member.set = set;
	if (!finished) {
		live_link(set, task);
		return 0;
	}
	live_link(set, task);
	apusi_set_member_ended(task);
	return 0;
}

void apusi_set_member_ended(struct apus_task *task)
{
	struct apus_set *set = task->member.set;

	live_unlink(set, task);
	ended_push(set, task);
	apus_waitq_wake_all(&set->waiters);
}

static struct apus_join ended_pop(struct apus_set *set)
{
	struct apus_task *task = set->ended;

	set->ended = task->member.next;
	set->ended_count--;
	return member_leave(task);
}

apus_poll apus_set_next(struct apus_cx *cx, struct apus_set *set, apus_poll *result)
{
	if (apus_wait_is_broken(cx, &set->waiters))
		return -EPIPE;
	if (set->ended != NULL)
		return apus_try_join(set->loop, ended_pop(set), result);
	return set->live == NULL ? -ENOENT : apus_wait_pend(cx, &set->waiters);
}

apus_poll apus_set_all(struct apus_cx *cx, struct apus_set *set)
{
	uint64_t count;

	if (apus_wait_is_broken(cx, &set->waiters))
		return -EPIPE;
	if (set->live != NULL)
		return apus_wait_pend(cx, &set->waiters);
	for (count = 0; set->ended != NULL; count++)
		apus_try_join(set->loop, ended_pop(set), NULL);
	return (apus_poll)count;
}

void apus_set_cancel(struct apus_set *set)
{
	apus_cancel(set->loop, set->token);
}

uint64_t apus_set_abort(struct apus_set *set)
{
	struct apus_task *task;
	uint64_t count = 0;

	for (task = set->live; task != NULL; task = task->member.next) {
		struct apus_join join = { task, task->serial, task->cx->loop_id };

		count += apus_abort(set->loop, join) == 1;
	}
	return count;
}

void apus_set_deinit(struct apus_set *set)
{
	apus_set_abort(set);
	while (set->live != NULL) {
		struct apus_task *task = set->live;

		live_unlink(set, task);
		apus_detach(set->loop, member_leave(task));
	}
	while (set->ended != NULL)
		apus_detach(set->loop, ended_pop(set));
	apus_waitq_retire(&set->waiters);
	apus_token_release(set->loop, set->token);
	set->token.serial = 0;
}
