/*
 * apus/offload.h - functions that block, run by helper threads and awaited by tasks.
 *
 *   Units      requests; bytes of data.
 *   Errors     -EAGAIN (all of config.offload_count requests are in use, or no thread can
 *              be had), -EMSGSIZE (the data is larger than config.offload_bytes), -EBUSY
 *              (the object is in flight with something else), -ECANCELED (cancelled before
 *              it was begun), -ESTALE (a copy of the object was answered before), -EPERM
 *              (another task's), -ENOTSUP (config.offload_threads is 0).  A refusal leaves
 *              the data as it was.
 *   Ownership  the function works on a copy of the data, in a request of the loop's own,
 *              and what it left there is copied back with the answer.  So nothing of the
 *              caller is lent: a task may lose interest, or end, while the function runs.
 *              What the data points to is the function's until it returns.
 *   Threads    the loop's; but the function runs on a helper, and apus_offload_is_unwanted
 *              is for the function.
 *   Order      begun first in, first out; answers come in the order the functions return.
 *   Cost       a copy, and a system call where a helper sleeps; of an answer, a copy.  No
 *              lock; no allocation, but that the first requests start a thread each.
 *
 * No thread is started before the first use; apus_offload_warm starts all of them ahead.
 * Helpers block all signals, run in the ordinary scheduling class, and on the CPUs that the
 * loop's thread was allowed before the loop was pinned, without the loop's own where others
 * are left.  Each has a megabyte of stack.
 *
 * struct apus_offload names an operation: it lies in the state of the task that awaits it,
 * and zero is idle.  Losing the wait (to a select, to a timeout) drops only the wait: the
 * function runs on, and evaluating the same again answers what it brought.  When the task
 * ends, a function that was not begun is dropped, and the answer of one that runs is
 * discarded.  Either it is answered or discard is called, once: for a result that owns
 * something, a descriptor perhaps.
 *
 * Under a virtual clock the function runs at once, on the loop's thread, and is answered in
 * the next turn: the same steps every time.
 *
 * Example, the size of a file on a slow disk:
 *
 *	#include <sys/stat.h>
 *	#include <apus/offload.h>
 *	#include <apus/task.h>
 *
 *	struct file_size {
 *		char path[256];
 *		int64_t bytes;
 *	};
 *
 *	APUS_OFFLOAD(file_size, struct file_size)
 *	{
 *		struct stat found;
 *
 *		if (stat(self->path, &found) != 0)
 *			return -errno;
 *		self->bytes = found.st_size;
 *		return 0;
 *	}
 *
 *	struct asker {
 *		struct apus_frame frame;
 *		struct apus_offload op;
 *		struct file_size file;
 *		apus_poll err;
 *	};
 *
 *	APUS_TASK(asker, struct asker)
 *	{
 *		APUS_BEGIN(cx, self);
 *		APUS_AWAIT(self->err, apus_timeout(cx, APUS_SEC,
 *			apus_offload_run(cx, &self->op, file_size, &self->file)));
 *		APUS_END(self->err ? self->err : self->file.bytes);
 *	}
 */
#ifndef APUS_OFFLOAD_H
#define APUS_OFFLOAD_H

#include "apus/op.h"

/* What is to be done: a function and its data; constant. */
struct apus_offload_kind {
	apus_poll (*run)(void *self); /* a result >= 0 or -errno; on a helper thread */
	/*
	 * Or NULL.  Nobody took the answer, which is -ECANCELED if the function never ran.  On
	 * the loop's thread; on the helper's if the loop has closed without it.
	 */
	void (*discard)(void *self, apus_poll result);
	const char *name;
	size_t bytes;
};

/* An operation that lends nothing, see apus/op.h; of zeros it is idle. */
struct apus_offload {
	struct apus_op op;
};

/*
 * APUS_OFFLOAD(name, type[, discard]) { body } defines a function that may block.  The body
 * gets type *self, a copy of the caller's, and answers an apus_poll that is not pending.
 * discard is void f(type *, apus_poll result).
 */
#define APUS_OFFLOAD(...) \
	APUS_OFFLOAD_PICK_(__VA_ARGS__, APUS_OFFLOAD3_, APUS_OFFLOAD2_, )(__VA_ARGS__)
#define APUS_OFFLOAD_PICK_(a, b, c, d, ...) d

#define APUS_OFFLOAD2_(name, type)                                                    \
	static apus_poll apus_offload_body_##name(type *self);                        \
	APUS_OFFLOAD_KIND_(name, type, NULL)                                          \
	static apus_poll apus_offload_body_##name(type *self)

#define APUS_OFFLOAD3_(name, type, discard_)                                          \
	static apus_poll apus_offload_body_##name(type *self);                        \
	static void apus_offload_discard_##name(void *self, apus_poll result)         \
	{                                                                             \
		void (*const typed)(type *, apus_poll) = discard_;                    \
		typed((type *)self, result);                                          \
	}                                                                             \
	APUS_OFFLOAD_KIND_(name, type, apus_offload_discard_##name)                   \
	static apus_poll apus_offload_body_##name(type *self)

#define APUS_OFFLOAD_KIND_(name, type, discard_)                                      \
	static apus_poll apus_offload_call_##name(void *self)                         \
	{                                                                             \
		return apus_offload_body_##name((type *)self);                        \
	}                                                                             \
	static const struct apus_offload_kind apus_offload_kind_##name                \
		__attribute__((__unused__)) =                                         \
		{ apus_offload_call_##name, discard_, #name, sizeof(type) };          \
	APUS_OFFLOAD_TYPED_(apus_poll, run, name, type)                               \
	APUS_OFFLOAD_TYPED_(int, start, name, const type)                             \
	APUS_OFFLOAD_TYPED_(apus_poll, cancel, name, type)

/* Typed calls per kind: data of another type does not compile. */
#define APUS_OFFLOAD_TYPED_(answer, verb, name, type)                                 \
	static __inline__ __attribute__((__unused__)) answer apus_offload_##verb##_##name( \
		struct apus_cx *cx, struct apus_offload *op, type *data)              \
	{                                                                             \
		return apus_offload_##verb##_kind(cx, op, &apus_offload_kind_##name, data); \
	}

/*
 * apus_offload_run(cx, op, name, type *data): starts it if op is idle, and awaits it: what
 * the function returned, and *data is as the function left it.  Evaluated with other data,
 * or of another kind, while op is in flight, it answers -EBUSY.
 */
#define apus_offload_run(cx, op, name, ...)                                           \
	APUS_TYPED_(apus_offload_run_##name(cx, op, __VA_ARGS__))

/* The same without waiting: 0, and later apus_offload_run with the same data awaits it. */
#define apus_offload_start(cx, op, name, ...)                                         \
	APUS_TYPED_(apus_offload_start_##name(cx, op, __VA_ARGS__))

/*
 * Gives it up, and awaits that: -ECANCELED at once if the function was not begun; else what
 * the function returns, when it does, with its data.  -ESTALE: nothing is in flight.
 */
#define apus_offload_cancel(cx, op, name, ...)                                        \
	APUS_TYPED_(apus_offload_cancel_##name(cx, op, __VA_ARGS__))

APUS_BEGIN_DECLS

APUS_API apus_poll apus_offload_run_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data);
APUS_API int apus_offload_start_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, const void *data);
APUS_API apus_poll apus_offload_cancel_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data);

/*
 * Gives it up without waiting: what was not begun is not run, what runs is discarded when it
 * returns.  The object is idle again.
 */
APUS_API void apus_offload_drop(struct apus_cx *cx, struct apus_offload *op);

/*
 * For the function, with its own data: true once nobody waits for the answer any more, since
 * it was cancelled or dropped, its task has ended, or the loop is closing.
 */
APUS_API bool apus_offload_is_unwanted(const void *self);

/* Starts all threads now.  0, -ENOTSUP, -EPERM (another thread's loop), or -errno. */
APUS_API int apus_offload_warm(struct apus_loop *loop);

APUS_END_DECLS

APUS_INLINE bool apus_offload_is_busy(const struct apus_offload *op)
{
	return apus_op_is_busy(&op->op);
}

#endif
