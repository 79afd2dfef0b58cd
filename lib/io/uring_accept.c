#include <stdlib.h>
#include <unistd.h>

#include "io/uring.h"

/*
 * A listener of ours is accepted from by one request that goes on until it is cancelled.  The
 * descriptors that nobody has asked for yet are held by the slot; closing it closes them.
 *
 * A program that stops accepting means its backlog to fill: at so many held, the request is
 * cancelled, and the kernel keeps the others.
 */

enum { HELD_MAX = 16, NODES = 4096, NODES_ARM = NODES / 4 };

int apusi_uring_accept_open(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	uint32_t i;

	uring->accepted = calloc(NODES, sizeof *uring->accepted);
	if (uring->accepted == NULL)
		return -ENOMEM;
	for (i = 0; i + 1 < NODES; i++)
		uring->accepted[i].next = (uint16_t)(i + 1);
	uring->accepted_free = NODES;
	return 0;
}

void apusi_uring_accept_close(struct apus_io *io)
{
	free(apusi_uring_of(io)->accepted);
}

/* ---- what a slot holds --------------------------------------------------------------- */

/* A ring of which the slot knows the last: its next is the first. */
static bool held_append(struct apusi_uring *uring, struct apusi_uring_slot *own, int fd)
{
	struct apusi_uring_accepted *all = uring->accepted;
	uint16_t node = uring->accepted_head;

	if (uring->accepted_free == 0)
		return false;
	uring->accepted_head = all[node].next;
	uring->accepted_free--;
	all[node].fd = fd;
	all[node].next = own->count != 0 ? all[own->last].next : node;
	if (own->count != 0)
		all[own->last].next = node;
	own->last = node;
	own->count++;
	return true;
}

static int held_take(struct apusi_uring *uring, struct apusi_uring_slot *own)
{
	struct apusi_uring_accepted *all = uring->accepted;
	uint16_t first = all[own->last].next;

	all[own->last].next = all[first].next;
	own->count--;
	all[first].next = uring->accepted_head;
	uring->accepted_head = first;
	uring->accepted_free++;
	return all[first].fd;
}

void apusi_uring_accept_drop(struct apus_io *io, struct apusi_uring_slot *own)
{
	while (own->count != 0)
		close(held_take(apusi_uring_of(io), own));
}

/* ---- arming and completions -------------------------------------------------------------- */

bool apusi_uring_can_accept(const struct apus_io *io, struct apusi_slot *slot)
{
	const uint32_t ours = APUSI_OWNED | APUSI_LISTENS;

	return (slot->flags & ours) == ours && apusi_uring_of(io)->accepted_free > NODES_ARM &&
	       (apusi_uring_slot_of(slot)->how & APUSI_URING_DIRECT) == 0;
}

int apusi_uring_arm_accept(struct apus_io *io, struct apusi_slot *slot)
{
	struct io_uring_sqe *sqe = apusi_uring_claim(io);

	if (apus_unlikely(sqe == NULL))
		return -EAGAIN;
	io_uring_prep_multishot_accept(sqe, slot->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, apusi_uring_data(slot, APUSI_URING_ACCEPT));
	apusi_uring_of(io)->in_flight++;
	apusi_uring_slot_of(slot)->how |= APUSI_URING_FEEDS;
	slot->flags |= APUSI_FED;
	return 0;
}

/* An error is not kept: the next accept is made directly, and is told by the kernel itself. */
static void accepted(struct apus_io *io, struct apusi_slot *slot, const struct io_uring_cqe *cqe)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);

	if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
		own->armed &= (uint8_t)~APUSI_URING_READS;
		own->how &= (uint8_t)~(APUSI_URING_FEEDS | APUSI_URING_STOPPING | APUSI_URING_OWES);
		apusi_slot_unwatched(io, slot, APUSI_WATCHED);
	} else if (own->count >= HELD_MAX && (own->how & APUSI_URING_STOPPING) == 0) {
		apusi_uring_of(io)->counts.held_back++;
		apusi_uring_stop(io, slot);
	}
	apusi_io_event(io, apusi_slot_token(slot), APUSI_IN);
}

/* A descriptor that nobody can hold is closed and never leaked. */
void apusi_uring_accepted(struct apus_io *io, const struct io_uring_cqe *cqe)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	struct apusi_slot *slot = apusi_slot_find(io, apusi_uring_token(cqe->user_data));

	if ((cqe->flags & IORING_CQE_F_MORE) == 0)
		uring->in_flight--;
	if (cqe->res >= 0 &&
	    (slot == NULL || !held_append(uring, apusi_uring_slot_of(slot), cqe->res))) {
		uring->counts.accepts_closed++;
		close(cqe->res);
	}
	if (apus_likely(slot != NULL))
		accepted(io, slot, cqe);
	else
		io->counts.stale_events++;
}

int apusi_uring_accept(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);

	if (own->count != 0)
		return held_take(apusi_uring_of(io), own);
	if ((own->armed & APUSI_URING_READS) == 0) {
		slot->flags &= ~(uint32_t)APUSI_FED;
		slot->ready |= APUSI_IN;
	}
	return -EAGAIN;
}
