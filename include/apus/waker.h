/*
 * apus/waker.h - waking a task from any thread, and from signal handlers.
 *
 *   Units      none.
 *   Errors     apus_waker: -ENOBUFS, every waker cell of the loop is in use.
 *              apus_wake: -ESTALE, the task has ended or its loop has closed.
 *   Ownership  a waker is a value of 16 bytes, copied freely; it outlives its task and its
 *              loop, and is harmless then: cells are recycled and never freed.
 *   Threads    apus_waker: the loop's.  apus_wake: any, and signal handlers.
 *   Order      what was written before a wake is seen by the poll that the wake brings.
 *   Cost       wake: lock-free, one compare-and-swap; if the task was not woken already,
 *              one exchange more; the kernel is called only if the loop is parked.
 *   Source     the inbox is D. Vyukov's intrusive MPSC queue, 2010.
 *
 * Example, a completion that arrives on another thread:
 *
 *	#include <apus/task.h>
 *	#include <apus/waker.h>
 *
 *	struct answer {
 *		struct apus_waker waker;
 *		uint32_t ready;
 *		int value;
 *	};
 *
 *	void answer_set(struct answer *answer, int value)
 *	{
 *		answer->value = value;
 *		apus_store_release(&answer->ready, 1);
 *		apus_wake(answer->waker);
 *	}
 *
 *	apus_poll answer_await(struct apus_cx *cx, struct answer *answer)
 *	{
 *		(void)cx;
 *		return apus_load_acquire(&answer->ready) ? answer->value : APUS_PENDING;
 *	}
 *
 * The task takes its waker with apus_waker(cx, &answer->waker) before it hands the answer
 * to the thread, and then awaits answer_await.
 */
#ifndef APUS_WAKER_H
#define APUS_WAKER_H

#include "apus/wait.h"

struct apus_waker_cell;

/*
 * What the loop takes from its inbox; for those who build on it, as channels do.  take runs
 * on the loop's thread; with cx NULL the loop is closing: answer and let go.
 */
struct apus_inbox_node {
	struct apus_inbox_node *next;
	void (*take)(struct apus_cx *cx, struct apus_inbox_node *node);
};

struct apus_waker {
	struct apus_waker_cell *cell;
	uint64_t serial;
};

APUS_BEGIN_DECLS

/* The running task's waker; the same one each time.  0 or -ENOBUFS. */
APUS_API int apus_waker(struct apus_cx *cx, struct apus_waker *waker);

/* Makes the task ready; coalesced while it has not been polled since.  0 or -ESTALE. */
APUS_API int apus_wake(struct apus_waker waker);

/* The task has ended, or its loop has closed, or the waker is of zeros. */
APUS_API bool apus_waker_is_stale(struct apus_waker waker);

APUS_END_DECLS

#endif
