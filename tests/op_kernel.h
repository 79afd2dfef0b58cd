/*
 * op_kernel.h - an engine for tests of operations: a kernel that does nothing by itself.
 *
 * A test says when it writes into what it was lent, when it answers, and whether it heeds a
 * request to give up.  What it holds is a list, so that nothing but the answer ends it.
 */
#ifndef APUS_OP_KERNEL_H
#define APUS_OP_KERNEL_H

#include "loop_test.h"
#include "wait/op.h"

enum { KERNEL_REQUESTS = 8 };

enum kernel_manner {
	KERNEL_DEAF,     /* what was asked to give up is answered by the test */
	KERNEL_PROMPT,   /* gives up at once, from inside the request */
	KERNEL_TOO_LATE  /* has done it all already */
};

struct kernel_request {
	struct apusi_op op;
	char *buffer;
	size_t bytes;
	bool busy, owning;
};

static struct kernel {
	struct kernel_request requests[KERNEL_REQUESTS];
	enum kernel_manner manner;
	unsigned cancels, abandoned, released;
	apus_poll abandoned_result;
} kernel;

TEST_UNUSED static void kernel_reset(enum kernel_manner manner)
{
	memset(&kernel, 0, sizeof kernel);
	kernel.manner = manner;
}

TEST_UNUSED static struct kernel_request *kernel_at(struct apusi_op *op)
{
	return apus_container_of(op, struct kernel_request, op);
}

/* Writes into what it was lent, and lets go of it. */
TEST_UNUSED static void kernel_answer(struct apus_loop *loop, struct kernel_request *request,
	apus_poll result)
{
	ck_assert(request->busy && !request->op.answered);
	memset(request->buffer, 'k', request->bytes);
	apusi_op_answer(apus_loop_cx(loop), &request->op, result);
}

static void kernel_cancel(struct apus_cx *cx, struct apusi_op *op)
{
	kernel.cancels++;
	if (kernel.manner == KERNEL_PROMPT)
		apusi_op_answer(cx, op, -ECANCELED);
	else if (kernel.manner == KERNEL_TOO_LATE)
		kernel_answer(cx->loop, kernel_at(op), (apus_poll)kernel_at(op)->bytes);
}

static void kernel_free(struct apusi_op *op)
{
	ck_assert(kernel_at(op)->busy && op->owner == NULL && op->serial == 0);
	kernel_at(op)->busy = false;
}

static void kernel_abandon(struct apus_cx *cx, struct apusi_op *op)
{
	(void)cx;
	ck_assert(op->answered);
	kernel.abandoned++;
	kernel.abandoned_result = op->result;
	kernel_free(op);
}

static void kernel_release(struct apus_cx *cx, struct apusi_op *op)
{
	(void)cx;
	kernel.released++;
	kernel_free(op);
}

static const struct apusi_op_verbs kernel_verbs = { kernel_cancel, kernel_abandon, kernel_release };

/* The oldest that is in flight, or NULL. */
TEST_UNUSED static struct kernel_request *kernel_first(void)
{
	struct kernel_request *first = NULL;
	int i;

	for (i = 0; i < KERNEL_REQUESTS; i++) {
		struct kernel_request *request = &kernel.requests[i];

		if (request->busy && !request->op.answered &&
		    (first == NULL || request - kernel.requests < first - kernel.requests))
			first = request;
	}
	return first;
}

TEST_UNUSED static unsigned kernel_busy(void)
{
	unsigned count = 0;
	int i;

	for (i = 0; i < KERNEL_REQUESTS; i++)
		count += kernel.requests[i].busy;
	return count;
}

static int kernel_begin(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call)
{
	struct kernel_request *request = kernel.requests;

	while (request->busy)
		if (++request == kernel.requests + KERNEL_REQUESTS)
			return -EAGAIN;
	request->busy = true;
	request->buffer = (char *)(uintptr_t)call->data;
	request->bytes = (size_t)call->bytes;
	apusi_op_begin(cx, op, &request->op, &kernel_verbs, call);
	apusi_op_lend(cx, &request->op, call->data);
	request->op.owns = call->object != 0;
	return 0;
}

/* The awaitable: the bytes read.  With `object` not 0 the result owns something. */
TEST_UNUSED static apus_poll kernel_read(struct apus_cx *cx, struct apus_op *op, void *data,
	size_t bytes, uint64_t object)
{
	const struct apusi_call call = { &kernel_verbs, object, data, bytes, 0 };
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &call, &answered);

	if (answer == APUSI_OP_IDLE) {
		int err = kernel_begin(cx, op, &call);

		if (err)
			return err;
		answer = apusi_op_look(cx, op, &call, &answered);
	}
	if (answered)
		apusi_op_release(cx, op);
	return answer;
}

#endif
