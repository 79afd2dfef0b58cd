#include <stdlib.h>
#include <string.h>

#include "wait/op.h"

enum { BUCKETS_MIN = 64 };

/* ---- whose it is --------------------------------------------------------------- */

/*
 * A task's header has no room for a list of its operations, and most tasks have none: they
 * hang in a table by their owner's address, so that a task that ends meets its own, and few
 * of others'.
 */
static struct apusi_op **bucket_of(const struct apusi_ops *ops, const struct apus_task *task)
{
	uint64_t key = ((uintptr_t)task / APUS_CACHE_LINE) * UINT64_C(0x9e3779b97f4a7c15);

	return (struct apusi_op **)&ops->buckets[(key >> 32) & ops->bucket_mask];
}

static void bucket_link(struct apusi_ops *ops, struct apusi_op *request)
{
	struct apusi_op **head = bucket_of(ops, request->owner);

	request->prev = NULL;
	request->next = *head;
	if (request->next != NULL)
		request->next->prev = request;
	*head = request;
}

static void bucket_unlink(struct apusi_ops *ops, struct apusi_op *request)
{
	if (request->prev != NULL)
		request->prev->next = request->next;
	else
		*bucket_of(ops, request->owner) = request->next;
	if (request->next != NULL)
		request->next->prev = request->prev;
}

static struct apusi_op *bucket_find(const struct apusi_ops *ops, const struct apus_task *task)
{
	struct apusi_op *request = *bucket_of(ops, task);

	while (request != NULL && request->owner != task)
		request = request->next;
	return request;
}

/* No object names it any more: a copy of one is stale. */
static void disown(struct apusi_ops *ops, struct apusi_op *request)
{
	bucket_unlink(ops, request);
	request->owner = NULL;
	request->serial = 0;
}

static void object_reset(struct apus_op *op)
{
	memset(op, 0, sizeof *op);
}

/* ---- engines --------------------------------------------------------------------- */

void apusi_op_begin(struct apus_cx *cx, struct apus_op *op, struct apusi_op *request,
	const struct apusi_op_verbs *verbs, const struct apusi_call *call)
{
	struct apusi_ops *ops = cx->ops;

	request->serial = ++ops->serial;
	request->owner = cx->task;
	request->verbs = verbs;
	request->call = *call;
	request->stamp = apus_task_poll_seq(cx->task) - 1; /* it has not asked yet */
	request->lends = request->owns = request->answered = false;
	request->cancelled = request->held = false;
	ops->in_flight++;
	bucket_link(ops, request);
	apus_task_extend(cx->task);
	cx->task->flags |= APUS_TASK_OPS;
	op->request = request;
	op->serial = request->serial;
	op->loop_id = cx->loop_id;
}

/*
 * Between the frame of the scheduler and this one lies what goes when the poll returns.  What
 * the loop's caller has on its stack stays, and may be lent.
 */
static bool is_on_stack(const struct apus_cx *cx, const void *data)
{
	uintptr_t at = (uintptr_t)data;

	return at < (uintptr_t)cx->stack && at > (uintptr_t)__builtin_frame_address(0);
}

void apusi_op_lend(const struct apus_cx *cx, struct apusi_op *request, const void *data)
{
	if (APUS_DEBUG && is_on_stack(cx, data))
		apus_panic(__FILE__, __LINE__, "task %s lends a buffer on the stack, "
			"which is gone when the poll returns", cx->task->kind->name);
	request->lends = true;
}

void apusi_op_withdraw(struct apus_cx *cx, struct apus_op *op)
{
	cx->ops->in_flight--;
	disown(cx->ops, op->request);
	object_reset(op);
}

/* The last of them: the cleanup is due, in this turn if its cancel phase is yet to come. */
static void hold_end(struct apus_cx *cx, struct apus_task *task)
{
	if (--task->wait.stamp != 0 || !(task->flags & APUS_TASK_HELD))
		return;
	task->wait.stamp = (uint32_t)cx->turn - 1;
	cx->ops->held_tasks--;
	apusi_cleanup_push(cx, task);
}

void apusi_op_answer(struct apus_cx *cx, struct apusi_op *request, apus_poll result)
{
	struct apus_task *owner = request->owner;

	APUS_ASSERT(!request->answered && result != APUS_PENDING);
	request->result = result;
	request->answered = true;
	cx->ops->in_flight--;
	if (owner == NULL)
		return;
	if (request->held) {
		request->owner = NULL;
		request->verbs->abandon(cx, request);
		hold_end(cx, owner);
	} else if (apus_task_poll_seq(owner) == request->stamp) {
		apus_task_wake(cx, owner);
	}
}

/* ---- awaitables --------------------------------------------------------------------- */

static bool call_is(const struct apusi_call *a, const struct apusi_call *b)
{
	return a->verb == b->verb && a->object == b->object && a->data == b->data &&
	       a->bytes == b->bytes && a->offset == b->offset;
}

apus_poll apusi_op_look(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	bool *answered)
{
	struct apusi_op *request = apusi_op_request(cx, op);

	*answered = false;
	if (op->request == NULL)
		return APUSI_OP_IDLE;
	if (request == NULL) {
		object_reset(op);
		return -ESTALE;
	}
	if (request->owner != cx->task)
		return -EPERM;
	if (call != NULL && !call_is(&request->call, call))
		return -EBUSY;
	*answered = request->answered;
	if (request->answered)
		return request->result;
	request->stamp = apus_task_poll_seq(cx->task);
	return APUS_PENDING;
}

void apusi_op_release(struct apus_cx *cx, struct apus_op *op)
{
	struct apusi_op *request = op->request;

	disown(cx->ops, request);
	object_reset(op);
	request->verbs->release(cx, request);
}

void apusi_op_abandon(struct apus_cx *cx, struct apus_op *op)
{
	struct apusi_op *request = op->request;

	APUS_ASSERT(request->answered || !request->lends);
	disown(cx->ops, request);
	object_reset(op);
	request->verbs->abandon(cx, request);
}

/* Who gives up a result that would own something does not get it: it is undone. */
static apus_poll cancelled_take(struct apus_cx *cx, struct apus_op *op)
{
	apus_poll result = op->request->result;

	if (op->request->owns && result >= 0) {
		apusi_op_abandon(cx, op);
		return -ECANCELED;
	}
	apusi_op_release(cx, op);
	return result;
}

apus_poll apus_op_cancel(struct apus_cx *cx, struct apus_op *op)
{
	struct apusi_op *request = apusi_op_request(cx, op);
	bool answered;
	apus_poll answer;

	if (request != NULL && request->owner == cx->task && !request->answered &&
	    !request->cancelled) {
		request->cancelled = true;
		request->verbs->cancel(cx, request);
	}
	answer = apusi_op_look(cx, op, NULL, &answered);
	if (answer == APUSI_OP_IDLE)
		return -ESTALE;
	return answered ? cancelled_take(cx, op) : answer;
}

/* ---- a task that ends ------------------------------------------------------------------ */

/* Its slot stays; the wait node of a task that is over is free, and counts. */
static void hold(struct apus_cx *cx, struct apus_task *task, struct apusi_op *request)
{
	request->serial = 0;
	request->held = true;
	task->wait.stamp++;
	if (request->cancelled)
		return;
	request->cancelled = true;
	request->verbs->cancel(cx, request);
}

/* What is abandoned may begin or drop more: each time from the beginning. */
bool apusi_ops_end(struct apus_cx *cx, struct apus_task *task)
{
	struct apusi_op *request;

	task->wait.stamp = 0;
	while ((request = bucket_find(cx->ops, task)) != NULL) {
		bucket_unlink(cx->ops, request);
		if (request->lends && !request->answered) {
			hold(cx, task, request);
			continue;
		}
		request->owner = NULL;
		request->serial = 0;
		request->verbs->abandon(cx, request);
	}
	if (task->wait.stamp == 0)
		return false;
	task->flags |= APUS_TASK_HELD;
	cx->ops->held_tasks++;
	return true;
}

/* ---- opening and closing ------------------------------------------------------------------ */

int apusi_ops_open(struct apus_cx *cx, uint32_t count)
{
	uint32_t buckets = BUCKETS_MIN;

	while (buckets < count)
		buckets <<= 1;
	cx->ops = (struct apusi_ops *)calloc(1, sizeof *cx->ops +
		buckets * sizeof cx->ops->buckets[0]);
	if (cx->ops == NULL)
		return -ENOMEM;
	cx->ops->bucket_mask = buckets - 1;
	return 0;
}

void apusi_ops_close(struct apus_cx *cx)
{
	free(cx->ops);
	cx->ops = NULL;
}
