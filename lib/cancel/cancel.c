#include <string.h>

#include "cancel/tree.h"

enum { NODE_CANCELLED = 1, NODE_WALKED_SOON = 2, NODE_RELEASED = 4 };

/* A released node stays in the tree, without its handle, while it has children. */
struct apus_token_node {
	struct apus_token_node *walk_next; /* and the slab's free list */
	uint64_t serial;                   /* 0: the handle was released, or the node is free */
	struct apus_token_node *parent, *children, *next, *prev;
	struct apus_waitq waiters;
	uint32_t flags;
};

static struct apus_token_node *token_node(const struct apus_cx *cx, struct apus_token token)
{
	if (token.serial == 0 || token.loop_id != cx->loop_id || token.node->serial != token.serial)
		return NULL;
	return token.node;
}

/* Stopping is said at once, by a flag; the walk from the root begins in the next inbox phase. */
static bool is_cancelled(const struct apus_cx *cx, const struct apus_token_node *node)
{
	return node->flags & NODE_CANCELLED || (cx->stopping && node == cx->cancel->root.node);
}

/* ---- the tree -------------------------------------------------------------- */

static void child_link(struct apus_token_node *parent, struct apus_token_node *node)
{
	node->parent = parent;
	node->prev = NULL;
	node->next = parent->children;
	if (parent->children != NULL)
		parent->children->prev = node;
	parent->children = node;
}

static void child_unlink(struct apus_token_node *node)
{
	if (node->prev != NULL)
		node->prev->next = node->next;
	else
		node->parent->children = node->next;
	if (node->next != NULL)
		node->next->prev = node->prev;
	node->parent = NULL;
}

/*
 * Frees a released node that holds nothing any more, and what that frees above it.  One that
 * stands between its parent and a single child is not needed: released nodes are fewer than
 * the others, however long a line of tokens gets.
 */
static void node_collect(struct apus_cancel *cancel, struct apus_token_node *node)
{
	while (node != NULL && node->flags & NODE_RELEASED && !(node->flags & NODE_WALKED_SOON)) {
		struct apus_token_node *parent = node->parent, *child = node->children;

		if (child != NULL && (child->next != NULL || parent == NULL))
			break;
		if (child != NULL) {
			child_unlink(child);
			child_link(parent, child);
		}
		if (parent != NULL)
			child_unlink(node);
		apus_slab_release(&cancel->nodes, node);
		node = parent;
	}
}

static int node_new(struct apus_cancel *cancel, uint64_t loop_id, struct apus_token *out)
{
	struct apus_token_node *node = (struct apus_token_node *)apus_slab_claim(&cancel->nodes);

	if (node == NULL)
		return -ENOSPC;
	memset(node, 0, sizeof *node);
	node->serial = ++cancel->serial;
	out->node = node;
	out->serial = node->serial;
	out->loop_id = loop_id;
	return 0;
}

int apusi_cancel_open(struct apus_cancel *cancel, struct apus_cx *cx, uint32_t token_count)
{
	struct apus_slab_config config = {
		.slot_bytes = sizeof(struct apus_token_node),
		.slot_count = token_count,
	};
	int err;

	memset(cancel, 0, sizeof *cancel);
	err = apus_slab_init(&cancel->nodes, &config);
	return err ? err : node_new(cancel, cx->loop_id, &cancel->root);
}

void apusi_cancel_close(struct apus_cancel *cancel)
{
	apus_slab_deinit(&cancel->nodes);
}

int apus_token_child(struct apus_loop *loop, struct apus_token parent, struct apus_token *child)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apus_token_node *above = token_node(cx, parent);
	int err;

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (above == NULL)
		return -ESTALE;
	err = node_new(cx->cancel, cx->loop_id, child);
	if (err)
		return err;
	if (is_cancelled(cx, above))
		child->node->flags = NODE_CANCELLED;
	else
		child_link(above, child->node);
	return 0;
}

int apus_token_release(struct apus_loop *loop, struct apus_token token)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apus_token_node *node = token_node(cx, token);

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (node == NULL)
		return -ESTALE;
	if (node == cx->cancel->root.node)
		return -EINVAL;
	apus_waitq_retire(&node->waiters);
	node->serial = 0;
	node->flags |= NODE_RELEASED;
	node_collect(cx->cancel, node);
	return 0;
}

/* ---- cancelling -------------------------------------------------------------- */

static void node_cancel(struct apus_cancel *cancel, struct apus_token_node *node)
{
	node->flags |= NODE_CANCELLED | NODE_WALKED_SOON;
	node->walk_next = NULL;
	if (cancel->walk_head == NULL)
		cancel->walk_head = node;
	else
		cancel->walk_tail->walk_next = node;
	cancel->walk_tail = node;
}

int apus_cancel(struct apus_loop *loop, struct apus_token token)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apus_token_node *node = token_node(cx, token);

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (node == NULL)
		return -ESTALE;
	if (node->flags & NODE_CANCELLED)
		return 0;
	node_cancel(cx->cancel, node);
	return 1;
}

/*
 * One child or one waiter.  A child leaves its cancelled parent, so that the place in the
 * walk is the list itself and survives whatever is linked or released meanwhile.
 */
static bool node_step(struct apus_cancel *cancel, struct apus_token_node *node)
{
	struct apus_token_node *child = node->children;

	if (child == NULL)
		return apus_waitq_grant(&node->waiters);
	child_unlink(child);
	if (!(child->flags & NODE_CANCELLED))
		node_cancel(cancel, child);
	else
		node_collect(cancel, child);
	return true;
}

uint32_t apusi_cancel_walk(struct apus_cancel *cancel, uint32_t budget)
{
	struct apus_token_node *node;
	uint32_t steps = 0;

	while (steps < budget && (node = cancel->walk_head) != NULL) {
		steps++;
		if (node_step(cancel, node))
			continue;
		cancel->walk_head = node->walk_next;
		node->flags &= ~(uint32_t)NODE_WALKED_SOON;
		node_collect(cancel, node);
	}
	return steps;
}

bool apus_token_is_cancelled(struct apus_loop *loop, struct apus_token token)
{
	const struct apus_cx *cx = apus_loop_cx(loop);
	const struct apus_token_node *node = token_node(cx, token);

	return node == NULL || is_cancelled(cx, node);
}

apus_poll apus_cancelled(struct apus_cx *cx, struct apus_token token)
{
	struct apus_token_node *node;

	if (token.node != NULL && apus_wait_is_broken(cx, &token.node->waiters))
		return -EPIPE;
	node = token_node(cx, token);
	if (node == NULL)
		return -ESTALE;
	if (is_cancelled(cx, node))
		return 0;
	return apus_wait_pend(cx, &node->waiters);
}

/* ---- guards -------------------------------------------------------------------- */

void apus_guard_arm(struct apus_cx *cx, struct apus_guard *guard, struct apus_token token)
{
	struct apus_guard *other;

	APUS_ASSERT(cx->task != NULL);
	guard->token = token;
	guard->armed = true;
	apus_task_extend(cx->task);
	for (other = cx->task->guards; other != NULL; other = other->next)
		if (other == guard)
			return;
	guard->next = cx->task->guards;
	cx->task->guards = guard;
}

void apus_guard_disarm(struct apus_guard *guard)
{
	guard->armed = false;
}
