/*
 * The inbox: an intrusive queue from any thread to one.
 *
 *   Threads    push: any, and signal handlers.  pop, is_empty: the consumer.
 *   Order      first in, first out per producer; none promised between producers.
 *   Cost       push: wait-free, one exchange.  pop: no locked instruction but for the last
 *              node; answers NULL while a producer stands between its two steps.
 *   Source     D. Vyukov, intrusive MPSC node-based queue, 2010.
 */
#ifndef WAIT_INBOX_H
#define WAIT_INBOX_H

#include "apus/waker.h"

struct apusi_inbox {
	struct apus_inbox_node *head; /* producers exchange it */
	struct apus_inbox_node *tail __attribute__((__aligned__(APUS_CACHE_LINE))); /* consumer's */
	struct apus_inbox_node stub;
};

static inline void apusi_inbox_init(struct apusi_inbox *inbox)
{
	inbox->stub.next = NULL;
	inbox->head = inbox->tail = &inbox->stub;
}

static inline void apusi_inbox_push(struct apusi_inbox *inbox, struct apus_inbox_node *node)
{
	struct apus_inbox_node *before;

	apus_store_relaxed(&node->next, NULL);
	/* [A] A full exchange: what the pusher looks at next (is it parked?) comes after it. */
	before = apus_exchange_full(&inbox->head, node);
	/* Until this store the queue ends at `before`; is_empty knows better. */
	apus_store_release(&before->next, node); /* [C], read by [D] */
}

/*
 * False also while a producer has not linked its node yet: one load of a shared line.  Only
 * a tail at the stub is a node that was taken: at any other it is the next to be taken, also
 * where it is the last.  A head at the stub alone says nothing: see pop.
 */
static inline bool apusi_inbox_is_empty(const struct apusi_inbox *inbox)
{
	return apus_load_full(&inbox->head) == &inbox->stub && inbox->tail == &inbox->stub;
}

/*
 * The oldest node, which is then nowhere in the queue, or NULL: empty, or the next node is
 * not linked yet.
 */
static inline struct apus_inbox_node *apusi_inbox_pop(struct apusi_inbox *inbox)
{
	struct apus_inbox_node *tail = inbox->tail;
	struct apus_inbox_node *next = apus_load_acquire(&tail->next); /* [D] */

	if (tail == &inbox->stub) {
		if (next == NULL)
			return NULL;
		inbox->tail = tail = next;
		next = apus_load_acquire(&tail->next); /* [D] */
	}
	if (next == NULL) {
		/* The last one: the stub goes behind it, so that it can leave. */
		if (tail != apus_load_acquire(&inbox->head))
			return NULL;
		apusi_inbox_push(inbox, &inbox->stub);
		next = apus_load_acquire(&tail->next); /* [D] */
		if (next == NULL)
			return NULL;
	}
	inbox->tail = next;
	return tail;
}

#endif
