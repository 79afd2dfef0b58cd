#include "channels/ring.h"

/* ---- holes ------------------------------------------------------------------- */

/* The reader gives it back to the senders. */
static uint64_t hole_close(struct apus_ring *ring, struct apus_ring_hole *hole)
{
	struct apus_ring_memory *memory = ring->memory;
	uint64_t size = apusi_hole_size(apus_load_relaxed(&hole->word));

	apus_store_release(&hole->word, 0);
	apus_store_release(&memory->hole_count, memory->hole_count - 1);
	apus_store_relaxed(&memory->held_bytes, memory->held_bytes - size);
	return size;
}

/*
 * Nobody will answer: the claimant's process is dead, or the record was not passed over after
 * all, because the reader before us died between the two.  The turn is the record's own until
 * senders have padded over the hole, which they cannot before a reader has gone on.
 */
static bool hole_is_forlorn(struct apus_ring *ring, const struct apus_ring_hole *hole)
{
	uint64_t at = apus_load_relaxed(&hole->at);
	uint64_t how = apus_load_acquire(&apusi_ring_at(ring, at)->turn) - at;

	return how == APUSI_CLAIMED || how == APUSI_COMMITTED || how == APUSI_PADDING ||
	       apusi_owner_is_dead(ring->memory, (uint32_t)hole->owner);
}

/* Those that were answered; with_dead: also those that nobody will answer. */
static uint64_t holes_close(struct apus_ring *ring, bool with_dead)
{
	struct apus_ring_memory *memory = ring->memory;
	uint64_t size = 0;
	uint32_t i;

	for (i = 0; i < APUS_RING_HOLES && memory->hole_count != 0; i++) {
		struct apus_ring_hole *hole = &memory->holes[i];
		uint64_t word = apus_load_acquire(&hole->word);

		if (word & APUSI_HOLE_ANSWERED || (word != 0 && with_dead && hole_is_forlorn(ring, hole)))
			size += hole_close(ring, hole);
	}
	if (size != 0)
		apus_bell_look(&memory->send_bell, &ring->send);
	return size;
}

/* ---- reading ----------------------------------------------------------------- */

static void head_publish(struct apus_ring *ring, uint64_t head)
{
	apus_store_release(&ring->memory->head, head); /* [C] */
	apus_bell_look(&ring->memory->send_bell, &ring->send);
}

/* Beyond what the reader skips nothing was read: it goes back at once. */
static void reader_skip(struct apus_ring *ring, uint64_t size)
{
	bool is_released = apus_load_relaxed(&ring->memory->head) == ring->next;

	ring->next += size;
	if (is_released)
		head_publish(ring, ring->next);
}

/* There is something between the reader and the tail. */
static bool reader_sees(struct apus_ring *ring)
{
	if (ring->next == ring->seen_tail)
		ring->seen_tail = apus_load_acquire(&ring->memory->tail); /* [U] */
	return ring->next != ring->seen_tail;
}

/* In memory that others write a size is not believed. */
static bool size_is_sound(const struct apus_ring *ring, uint64_t size)
{
	return size != 0 && size % APUSI_RING_UNIT == 0 && size <= ring->seen_tail - ring->next &&
	       size <= ring->mask + 1 - (ring->next & ring->mask);
}

static int reader_empty(struct apus_ring *ring)
{
	if (!apus_load_acquire(&ring->memory->closed))
		return -EAGAIN;
	/* It was claimed before it was closed. */
	return reader_sees(ring) ? -EAGAIN : -EPIPE;
}

int apus_ring_try_read(struct apus_ring *ring, struct apus_record *record)
{
	if (apus_unlikely(ring->memory->hole_count != 0))
		holes_close(ring, false);
	while (reader_sees(ring)) {
		struct apusi_ring_header *header = apusi_ring_at(ring, ring->next);
		uint64_t turn = apus_load_acquire(&header->turn); /* [B] */
		uint32_t bytes = apus_load_relaxed(&header->bytes); /* once: others write here */
		uint64_t size = apusi_ring_size(bytes), how = turn - ring->next;

		if (how == APUSI_CLAIMED)
			return -EAGAIN;
		if ((how != APUSI_COMMITTED && how != APUSI_PADDING) || !size_is_sound(ring, size))
			return -EBADMSG;
		if (how == APUSI_PADDING) {
			reader_skip(ring, size);
			continue;
		}
		record->data = header + 1;
		record->bytes = bytes;
		record->end = ring->last_end = ring->next += size;
		return 0;
	}
	return reader_empty(ring);
}

void apus_ring_release(struct apus_ring *ring, const struct apus_record *record)
{
	/* Behind the last record that was read there is nothing to keep. */
	uint64_t head = record->end == ring->last_end ? ring->next : record->end;

	APUS_DEBUG_ASSERT(head - apus_load_relaxed(&ring->memory->head) <= ring->mask + 1);
	head_publish(ring, head);
}

/* ---- waiting for a record ---------------------------------------------------- */

/* Also the end, and what must not be: there is something to be told. */
static bool reader_is_ready(const void *object, uint64_t need)
{
	const struct apus_ring *ring = object;
	uint64_t next = ring->next;

	(void)need;
	if (apus_load_acquire(&ring->memory->tail) == next)
		return apus_load_acquire(&ring->memory->closed) != 0;
	return apus_load_acquire(&apusi_ring_at(ring, next)->turn) != (next | APUSI_CLAIMED);
}

static bool reader_poll(const struct apusi_poller *poller)
{
	return reader_is_ready(poller->object, 1);
}

static bool reader_arm(struct apusi_poller *poller)
{
	struct apus_ring *ring = poller->object;

	return apusi_bell_set(&ring->memory->recv_bell, APUS_BELL_ASLEEP) &&
	       !reader_is_ready(ring, 1);
}

static void reader_disarm(struct apusi_poller *poller)
{
	apusi_bell_clear(&((struct apus_ring *)poller->object)->memory->recv_bell);
}

static void reader_dropped(struct apusi_poller *poller)
{
	apus_store_release(&((struct apus_ring *)poller->object)->recv.waiter, NULL);
}

static const struct apusi_poller_kind reader_kind = {
	reader_poll, reader_arm, reader_disarm, reader_dropped
};
static const struct apusi_poller_kind shared_reader_kind = {
	reader_poll, NULL, NULL, reader_dropped
};

static struct apusi_side reader_side(struct apus_ring *ring)
{
	return (struct apusi_side){ &ring->recv, &ring->memory->recv_bell, ring->always };
}

apus_poll apus_ring_read(struct apus_cx *cx, struct apus_ring *ring, struct apus_record *record)
{
	struct apusi_side side;
	int err;

	if (apus_wait_is_broken(cx, &ring->recv))
		return -EPIPE;
	err = apus_ring_try_read(ring, record);
	if (err != -EAGAIN)
		return err;
	side = reader_side(ring);
	return apusi_side_pend(cx, &side,
		ring->flags & APUS_RING_SHARED ? &shared_reader_kind : &reader_kind, ring);
}

int apus_ring_wait_read(struct apus_ring *ring, int64_t timeout_ns, struct apus_record *record)
{
	const struct apusi_side side = reader_side(ring);
	int64_t end_ns = 0;
	int err;

	while ((err = apus_ring_try_read(ring, record)) == -EAGAIN) {
		if (end_ns == 0)
			end_ns = apusi_end_ns(timeout_ns);
		err = apusi_side_block(&side, reader_is_ready, ring, 1, apusi_left_ns(end_ns));
		if (err)
			return err;
	}
	return err;
}

/* ---- passing over ------------------------------------------------------------ */

bool apus_ring_is_stuck(const struct apus_ring *ring)
{
	return apus_load_acquire(&ring->memory->tail) != ring->next &&
	       apus_load_acquire(&apusi_ring_at(ring, ring->next)->turn) == (ring->next | APUSI_CLAIMED);
}

static struct apus_ring_hole *hole_open(struct apus_ring *ring, uint64_t at, uint64_t size,
	uint32_t owner)
{
	struct apus_ring_memory *memory = ring->memory;
	uint32_t i;

	for (i = 0; i < APUS_RING_HOLES; i++) {
		struct apus_ring_hole *hole = &memory->holes[i];

		if (apus_load_relaxed(&hole->word) != 0)
			continue;
		apus_store_relaxed(&hole->at, at);
		hole->owner = owner;
		apus_store_release(&memory->hole_count, memory->hole_count + 1);
		apus_store_release(&hole->word, apusi_hole_word(ring, at, size));
		apus_store_relaxed(&memory->held_bytes, memory->held_bytes + size);
		return hole;
	}
	return NULL;
}

int apus_ring_pass(struct apus_ring *ring)
{
	struct apus_ring_memory *memory = ring->memory;
	struct apusi_ring_header *header = apusi_ring_at(ring, ring->next);
	uint64_t turn = ring->next | APUSI_CLAIMED, size;
	struct apus_ring_hole *hole;
	uint32_t owner;

	holes_close(ring, false);
	if (!reader_sees(ring) || apus_load_acquire(&header->turn) != turn)
		return -ENOENT;
	size = apusi_ring_size(apus_load_relaxed(&header->bytes));
	owner = apus_load_relaxed(&header->owner);
	if (!size_is_sound(ring, size))
		return -EBADMSG;
	hole = hole_open(ring, ring->next, size, owner);
	if (hole == NULL)
		return -ENOBUFS;
	/* [P] Who is answered -ESTALE finds the hole, and who comes by does not step into it. */
	if (!apus_swap_acq_rel(&header->turn, &turn, ring->next | APUSI_PASSED)) {
		hole_close(ring, hole);
		return -ENOENT;
	}
	apus_store_relaxed(&memory->passed_count, memory->passed_count + 1);
	if ((ring->flags & APUS_RING_SHARED) && apusi_owner_is_dead(memory, owner))
		hole_close(ring, hole);
	reader_skip(ring, size);
	return 0;
}

uint64_t apus_ring_reap(struct apus_ring *ring)
{
	return holes_close(ring, (ring->flags & APUS_RING_SHARED) != 0);
}
