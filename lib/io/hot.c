/*
 * Hot descriptors: while a task waits at one it is tried every turn, without the kernel.
 */
#include "io/sockets.h"
#include "io/slot.h"

void apusi_hot_unlink(struct apus_io *io, struct apusi_slot *slot)
{
	if ((slot->flags & APUSI_HOT) == 0)
		return;
	if (slot->hot_prev != NULL)
		slot->hot_prev->hot_next = slot->hot_next;
	else
		io->hot = slot->hot_next;
	if (slot->hot_next != NULL)
		slot->hot_next->hot_prev = slot->hot_prev;
	slot->flags &= ~(uint32_t)APUSI_HOT;
	io->hot_count--;
}

static void hot_link(struct apus_io *io, struct apusi_slot *slot)
{
	if (slot->flags & APUSI_HOT)
		return;
	slot->hot_prev = NULL;
	slot->hot_next = io->hot;
	if (io->hot != NULL)
		io->hot->hot_prev = slot;
	io->hot = slot;
	slot->flags |= APUSI_HOT;
	io->hot_count++;
}

/* From now on the kernel tells whoever waits. */
static int watch_awaited(struct apus_io *io, struct apusi_slot *slot)
{
	int err = 0;

	if (slot->reader.head != NULL)
		err = apusi_slot_watch(io, slot, false);
	if (!err && slot->writer.head != NULL)
		err = apusi_slot_watch(io, slot, true);
	return err;
}

/* Before the kernel is asked to wait, what is tried directly must be able to end it. */
int apusi_hot_watch(struct apus_io *io)
{
	struct apusi_slot *slot;
	int err = 0;

	for (slot = io->hot; slot != NULL && !err; slot = slot->hot_next)
		err = watch_awaited(io, slot);
	return err;
}

static uint32_t hot_wake(struct apus_cx *cx, const struct apus_waitq *queue)
{
	struct apus_task *task = queue->head != NULL ? queue->head->task : NULL;

	if (task == NULL || (task->flags & APUS_TASK_NO_WAKE) != 0)
		return 0;
	task->flags |= APUS_TASK_HOT;
	apus_task_wake(cx, task);
	return 1;
}

uint32_t apusi_io_sweep_slow(struct apus_io *io)
{
	struct apusi_slot *slot;
	uint32_t woken = 0;

	for (slot = io->hot; slot != NULL; slot = slot->hot_next) {
		woken += hot_wake(io->cx, &slot->reader);
		woken += hot_wake(io->cx, &slot->writer);
	}
	return woken;
}

/* A task that waits when its socket cools must be found by the kernel from now on. */
static int cool(struct apus_io *io, struct apusi_slot *slot)
{
	int err = watch_awaited(io, slot);

	if (!err)
		apusi_hot_unlink(io, slot);
	return err;
}

int apus_io_set_hot(struct apus_loop *loop, uint64_t token, bool hot)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (err || apusi_is_sim(slot))
		return err; /* what is simulated is looked at in every turn */
	if (!hot)
		return cool(io, slot);
	hot_link(io, slot);
	apusi_slot_unwatch(io, slot);
	apusi_slot_unknown(io->cx, slot);
	return 0;
}
