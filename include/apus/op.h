/*
 * apus/op.h - operation objects: who lends the kernel a buffer names one.
 *
 *   Units      none of its own.
 *   Errors     -EBUSY (the object is in flight with something else), -ESTALE (a copy of the
 *              object was answered before; cancel: nothing is in flight), -EPERM (another
 *              task's), -ECANCELED (cancelled before it did anything), -EAGAIN (all requests
 *              are in use; nothing was begun).
 *   Ownership  from when an awaitable answers APUS_PENDING until it, or apus_op_cancel, has
 *              answered anything else, the buffer is the kernel's, and must neither go nor
 *              be touched.
 *   Threads    the loop's thread only.
 *   Cost       an operation that is done at once takes no request.  One that is not takes one
 *              from a pool that was made when the loop was opened.
 *
 * An object lies in the state of the task that awaits it, and zero is idle.  One object, one
 * operation at a time: evaluated again with the same arguments the call awaits what it began,
 * and with other ones it is -EBUSY.
 *
 * Losing the wait, to a select or to a timeout, drops only the wait: the operation runs on,
 * and evaluating the same again answers what it brought.  To have the buffer back before it
 * is through, await its cancel.  A task that ends, or is aborted, with one in flight keeps its
 * slot, and its cleanup runs once the kernel has let go: so a buffer in the task's state, or
 * one that the cleanup frees, is safe on every way out.  A buffer on the stack is not: in a
 * debug build lending it panics.
 *
 * A loop that closes waits config.close_wait_ns for what is in flight.  A task whose buffer
 * does not come back by then is left as it is: no cleanup, its slot is leaked and counted, and
 * apus_close answers -EBUSY.
 *
 * Example, a read that is given up after a second, and its buffer with it:
 *
 *	#include <apus/op.h>
 *	#include <apus/task.h>
 *
 *	apus_poll begin(struct apus_cx *cx, struct apus_op *op, char *buffer, size_t bytes);
 *
 *	struct reader {
 *		struct apus_frame frame;
 *		struct apus_op op;
 *		apus_poll bytes;
 *		char *buffer;
 *	};
 *
 *	APUS_TASK(reader, struct reader)
 *	{
 *		APUS_BEGIN(cx, self);
 *		APUS_AWAIT(self->bytes, apus_timeout(cx, APUS_SEC,
 *			begin(cx, &self->op, self->buffer, 4096)));
 *		if (self->bytes == -ETIME)
 *			APUS_AWAIT(self->bytes, apus_op_cancel(cx, &self->op));
 *		APUS_END(self->bytes);
 *	}
 */
#ifndef APUS_OP_H
#define APUS_OP_H

#include "apus/wait.h"

struct apusi_op;

/* An operation; of zeros it is idle. */
struct apus_op {
	struct apusi_op *request;
	uint64_t serial;
	uint64_t loop_id;
};

APUS_BEGIN_DECLS

/*
 * Asks that the operation be given up, and awaits its end: then the buffer is the caller's
 * again and the object is idle.  -ECANCELED, or what it brought all the same; -ESTALE: nothing
 * is in flight.
 */
APUS_API apus_poll apus_op_cancel(struct apus_cx *cx, struct apus_op *op);

APUS_END_DECLS

/* The object names an operation that has not been answered. */
APUS_INLINE bool apus_op_is_busy(const struct apus_op *op)
{
	return op->request != NULL;
}

#endif
