/*
 * Operations: what a task has begun and somebody else carries out, the kernel or a helper
 * thread.  This is the half that all of them share: whose it is, who takes the answer, and
 * what becomes of it when its task ends.  An engine's request begins with a struct apusi_op
 * and lies in a pool of the engine's, whose memory stays until the loop has closed:
 *
 *	claim a request from the pool; none is left: -EAGAIN
 *	apusi_op_begin, then hand it to whoever carries it out
 *	apusi_op_answer, on the loop's thread, exactly once
 *
 * A request is given back by verbs->release once its answer was taken, or by verbs->abandon
 * when nobody takes it.
 *
 *   Threads    the loop's thread only: what comes from others comes through the inbox.
 *   Cost       begin, answer, take: a few dozen instructions, no allocation.
 */
#ifndef WAIT_OP_H
#define WAIT_OP_H

#include "apus/op.h"

/*
 * What was asked for: an object that is in flight answers only to the same again.  `verb` is
 * the address of something constant.
 */
struct apusi_call {
	const void *verb;
	uint64_t object; /* a token, or whatever tells two objects apart */
	const void *data;
	uint64_t bytes, offset;
};

struct apusi_op_verbs {
	/*
	 * Give it up.  It is answered all the same, perhaps from inside this call, as soon as
	 * nobody touches what was lent any more.  Called once an operation, not after its answer.
	 */
	void (*cancel)(struct apus_cx *cx, struct apusi_op *op);
	/*
	 * Nobody takes the answer: undo what it owns, and give the request back.  Of one that
	 * lends nothing also before the answer has come, which may then be dropped.
	 */
	void (*abandon)(struct apus_cx *cx, struct apusi_op *op);
	/* The answer was taken: give the request back. */
	void (*release)(struct apus_cx *cx, struct apusi_op *op);
};

struct apusi_op {
	void *slab_link;              /* the pool's, while free */
	uint64_t serial;              /* identifies the use; 0: no object names it any more */
	struct apus_task *owner;      /* NULL: nobody takes the answer */
	struct apusi_op *next, *prev; /* of the owner's bucket */
	const struct apusi_op_verbs *verbs;
	struct apusi_call call;
	apus_poll result;
	uint32_t stamp; /* the owner's last poll that asked */
	bool lends;     /* it has the caller's memory: its task keeps its slot until the answer */
	bool owns;      /* a result >= 0 is something that abandon gives back: a descriptor */
	bool answered;
	bool cancelled; /* somebody asked for its end */
	bool held;      /* its task is over, and waits for it */
};

struct apusi_ops {
	uint64_t serial;
	uint32_t in_flight;  /* begun and not answered */
	uint32_t held_tasks; /* over, and waiting for their operations */
	uint32_t bucket_mask;
	struct apusi_op *buckets[]; /* by owner */
};

/* The table of a loop that has about so many at once.  0 or -ENOMEM. */
int apusi_ops_open(struct apus_cx *cx, uint32_t count);
void apusi_ops_close(struct apus_cx *cx);

/* ---- for engines ------------------------------------------------------------ */

/*
 * The request becomes the running task's, and `op` names it.  `op` is idle: apusi_op_look
 * said so.
 */
void apusi_op_begin(struct apus_cx *cx, struct apus_op *op, struct apusi_op *request,
	const struct apusi_op_verbs *verbs, const struct apusi_call *call);

/* From here on the task keeps its slot until the answer; panics if `data` is on the stack. */
void apusi_op_lend(const struct apus_cx *cx, struct apusi_op *request, const void *data);

/* Undoes begin, of what could not be handed over after all. */
void apusi_op_withdraw(struct apus_cx *cx, struct apus_op *op);

/* It is through; nobody else touches what was lent.  Wakes the task if it waits for this. */
void apusi_op_answer(struct apus_cx *cx, struct apusi_op *request, apus_poll result);

/* ---- for awaitables ----------------------------------------------------------- */

/* What look answers of an idle object: the call is to be begun. */
#define APUSI_OP_IDLE (APUS_PENDING + 1)

/*
 * APUSI_OP_IDLE; APUS_PENDING; -EBUSY, -ESTALE or -EPERM with *answered false; or the answer,
 * with *answered true, which stays until it is released or abandoned.
 */
apus_poll apusi_op_look(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	bool *answered);
void apusi_op_release(struct apus_cx *cx, struct apus_op *op);
void apusi_op_abandon(struct apus_cx *cx, struct apus_op *op);

/* The request that the object names, or NULL. */
static inline struct apusi_op *apusi_op_request(const struct apus_cx *cx, const struct apus_op *op)
{
	struct apusi_op *request = op->request;

	if (request == NULL || op->loop_id != cx->loop_id || request->serial != op->serial)
		return NULL;
	return request;
}

/* ---- for the task room ---------------------------------------------------------- */

/*
 * The task is over.  True: it has lent what is not back yet, and is put on the list of
 * cleanups when it is.
 */
bool apusi_ops_end(struct apus_cx *cx, struct apus_task *task);

/* The cleanup of a task is due: in the order in which they came to their ends. */
static inline void apusi_cleanup_push(struct apus_cx *cx, struct apus_task *task)
{
	task->next = NULL;
	if (cx->aborted_head == NULL)
		cx->aborted_head = task;
	else
		cx->aborted_tail->next = task;
	cx->aborted_tail = task;
}

#endif
