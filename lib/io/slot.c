/*
 * A descriptor's place in the table: opened, watched, waited at, told of events, ended.
 */
#include <string.h>
#include <unistd.h>

#include "io/sockets.h"
#include "io/slot.h"

/* ---- opening and watching ---------------------------------------------------------- */

bool apusi_slot_is_left(struct apus_io *io)
{
	if (apus_likely(io->slots.live_count < io->slots.capacity))
		return true;
	io->counts.refusals++;
	return false;
}

/* The generation moved on when the slot was last closed; 0 never names a slot. */
static void slot_init(struct apus_io *io, struct apusi_slot *slot, int fd, uint32_t flags)
{
	uint32_t generation = slot->generation != 0 ? slot->generation : 1;

	memset(slot, 0, sizeof *slot);
	slot->generation = generation;
	slot->index = apus_slab_index(&io->slots, slot);
	slot->fd = fd;
	slot->flags = flags;
	apusi_slot_unknown(io->cx, slot);
}

int apusi_slot_open(struct apus_io *io, int fd, uint32_t flags, struct apusi_slot **out)
{
	struct apusi_slot *slot;
	int err;

	if (!apusi_slot_is_left(io))
		return -ENOSPC;
	slot = apus_slab_claim(&io->slots);
	if (apus_unlikely(slot == NULL))
		return -ENOMEM;
	slot_init(io, slot, fd, flags);
	err = io->backend->attach != NULL ? io->backend->attach(io, slot) : 0;
	if (err) {
		slot->fd = -1;
		apus_slab_release(&io->slots, slot);
		return err;
	}
	io->counts.opened++;
	*out = slot;
	return 0;
}

/* In a direction or both. */
static inline bool is_watched_at_all(const struct apusi_slot *slot)
{
	return (slot->flags & (APUSI_WATCHED | APUSI_WATCHED_OUT)) != 0;
}

void apusi_slot_unwatched(struct apus_io *io, struct apusi_slot *slot, uint32_t flags)
{
	if (!is_watched_at_all(slot))
		return;
	slot->flags &= ~(flags | APUSI_LEVEL);
	if (!is_watched_at_all(slot) && (slot->flags & APUSI_PARKS) == 0)
		io->watched_count--;
}

bool apusi_slot_is_twice(struct apus_io *io, const struct apusi_slot *slot)
{
	uint32_t i;

	for (i = 0; i < io->slots.used_count; i++) {
		const struct apusi_slot *other = apus_slab_at(&io->slots, i);

		if (other != slot && other->fd == slot->fd &&
		    (io->backend->check != NULL || is_watched_at_all(other)))
			return true;
	}
	return false;
}

void apusi_slot_unwatch(struct apus_io *io, struct apusi_slot *slot)
{
	if (!is_watched_at_all(slot) && (slot->flags & APUSI_LINGERS) == 0)
		return;
	io->backend->remove(io, slot);
	apusi_slot_unwatched(io, slot, APUSI_WATCHED | APUSI_WATCHED_OUT);
}

static inline bool is_watched(const struct apusi_slot *slot, bool writer)
{
	return (slot->flags & (writer ? APUSI_WATCHED_OUT : APUSI_WATCHED)) != 0;
}

int apusi_slot_watch(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	int err;

	if (is_watched(slot, writer))
		return 0;
	err = io->backend->watch(io, slot, writer);
	if (err)
		return err;
	if (!is_watched_at_all(slot) && (slot->flags & APUSI_PARKS) == 0)
		io->watched_count++;
	if (!writer || !io->backend->watches_apart)
		slot->flags |= APUSI_WATCHED;
	if (writer)
		slot->flags |= APUSI_WATCHED_OUT;
	io->counts.watches++;
	return 0;
}

/* If the kernel refuses it, the next event of the slot asks again. */
void apusi_slot_make_edge(struct apus_io *io, struct apusi_slot *slot)
{
	slot->flags &= ~(uint32_t)APUSI_MAY_LEVEL;
	if ((slot->flags & APUSI_LEVEL) != 0 && io->backend->watch(io, slot, false) != 0)
		slot->flags |= APUSI_MAY_LEVEL;
}

/*
 * An edge for writing that nobody waits for: unless it is TCP, which sends them only to one
 * that was refused, each send would bring another.
 */
static void slot_unwatch_out(struct apus_io *io, struct apusi_slot *slot)
{
	if (io->backend->watches_apart)
		return; /* and for one edge */
	if ((slot->flags & APUSI_SHORT) == 0 && io->backend->watch(io, slot, false) == 0)
		slot->flags &= ~(uint32_t)APUSI_WATCHED_OUT;
}

/* ---- ending ------------------------------------------------------------------------- */

/*
 * Ends the slot but not its descriptor.  Where the last close takes a descriptor out of the
 * kernel's queue by itself, that saves the call; not so if others hold the open file.
 */
int apusi_slot_end(struct apus_io *io, struct apusi_slot *slot, bool closes)
{
	int fd = slot->fd;

	apus_waitq_retire(&slot->reader);
	apus_waitq_retire(&slot->writer);
	apusi_hot_unlink(io, slot);
	if (!closes || (slot->flags & (APUSI_SHARED | APUSI_LEVEL)) != 0 ||
	    !io->backend->close_removes)
		apusi_slot_unwatch(io, slot);
	else
		apusi_slot_unwatched(io, slot, APUSI_WATCHED | APUSI_WATCHED_OUT);
	if (slot->flags & APUSI_FED)
		io->backend->drop(io, slot);
	slot->flags = 0;
	slot->fd = -1;
	slot->generation++;
	apus_slab_release(&io->slots, slot);
	return fd;
}

void apusi_slot_close(struct apus_io *io, struct apusi_slot *slot)
{
	bool owned = (slot->flags & APUSI_OWNED) != 0;
	int fd = apusi_slot_end(io, slot, owned);

	if (owned && apusi_io_is_sim(io))
		apusi_sim_close(io, fd);
	else if (owned)
		close(fd);
}

/* ---- waiting --------------------------------------------------------------------------------- */

int apusi_slot_enter(struct apus_loop *loop, uint64_t token, struct apus_io **io,
	struct apusi_slot **slot)
{
	int err = apusi_io_enter(loop, io);

	if (err)
		return err;
	*slot = apusi_slot_find(*io, token);
	return *slot != NULL ? 0 : -ESTALE;
}

apus_poll apusi_slot_stale(struct apus_cx *cx, uint64_t token, bool writer)
{
	struct apusi_slot *slot = apus_slab_at(&cx->io->slots, (uint32_t)token);

	/* Only the address is used: the slot may have its next owner. */
	if (slot != NULL && cx->task != NULL &&
		apus_wait_is_broken(cx, writer ? &slot->writer : &slot->reader))
		return -EPIPE;
	return -ESTALE;
}

apus_poll apusi_slot_pend_slow(struct apus_cx *cx, struct apusi_slot *slot,
	struct apus_waitq *queue)
{
	bool writer = queue == &slot->writer;
	int err;

	/* A wait on the slot's last owner that broke is not ours: forget it. */
	(void)apus_wait_is_broken(cx, queue);
	if (!is_watched(slot, writer) && (slot->flags & APUSI_HOT) == 0) {
		err = apusi_slot_watch(cx->io, slot, writer);
		if (err)
			return err;
	}
	return apus_wait_pend(cx, queue);
}

/* ---- events --------------------------------------------------------------------------- */

void apusi_io_event_rare(struct apus_io *io, struct apusi_slot *slot, uint32_t ready)
{
	if (slot->flags & APUSI_LEVEL)
		apusi_slot_make_edge(io, slot); /* an error may stay where no read takes it away */
	/* An error or a hangup is found by trying, in either direction. */
	if (ready & (APUSI_HUP | APUSI_ERR))
		ready |= APUSI_IN | APUSI_OUT;
	if (ready & APUSI_READ_WAKES) {
		ready |= APUSI_IN;
		apus_waitq_wake(&slot->reader);
	}
	if (ready & APUSI_OUT) {
		if (slot->writer.head == NULL && (slot->flags & APUSI_WATCHED_OUT) != 0)
			slot_unwatch_out(io, slot);
		apus_waitq_wake(&slot->writer);
	}
	slot->ready |= ready;
}
