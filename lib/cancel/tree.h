/*
 * The token tree of one loop, and the cancel phase's half of it.
 */
#ifndef CANCEL_TREE_H
#define CANCEL_TREE_H

#include "apus/cancel.h"

struct apus_cancel {
	struct apus_slab nodes;
	struct apus_token_node *walk_head, *walk_tail; /* cancelled, not yet expanded */
	uint64_t serial;
	struct apus_token root;
};

/* token_count includes the root.  0 or -errno. */
int apusi_cancel_open(struct apus_cancel *cancel, struct apus_cx *cx, uint32_t token_count);

/* Every task has ended by then. */
void apusi_cancel_close(struct apus_cancel *cancel);

/* Expands cancelled tokens to children and waiters, at most budget; the steps made. */
uint32_t apusi_cancel_walk(struct apus_cancel *cancel, uint32_t budget);

#endif
