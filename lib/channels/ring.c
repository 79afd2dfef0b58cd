#include <string.h>

#include "channels/ring.h"
#include "wait/process.h"

/* "apusring", and the layout's number. */
static const uint64_t MAGIC = UINT64_C(0x676e697273757061) + 1;

/* ---- the lock of senders ----------------------------------------------------- */

/*
 * What a sender does under it shows only in its last store, to the tail: whoever finds that
 * the holder has died begins anew.
 */
static void senders_lock(struct apus_ring *ring)
{
	uint32_t *lock = &ring->memory->lock, holder = 0, turns = 0;

	if (!(ring->flags & APUS_RING_MPSC))
		return;
	while (!apus_swap_acq_rel(lock, &holder, ring->id)) {
		if (holder != 0 && ((ring->flags & APUS_RING_SHARED) == 0 || turns < 8 ||
				    !apusi_owner_is_dead(ring->memory, holder))) {
			apusi_back_off(&turns);
			holder = 0;
		}
	}
}

static void senders_unlock(struct apus_ring *ring)
{
	if (ring->flags & APUS_RING_MPSC)
		apus_store_release(&ring->memory->lock, 0);
}

/* ---- holes ------------------------------------------------------------------- */

/* The claimant's answer to a record that was passed over. */
static int hole_answer(struct apus_ring *ring, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < APUS_RING_HOLES; i++) {
		struct apus_ring_hole *hole = &ring->memory->holes[i];
		uint64_t word = apus_load_acquire(&hole->word);

		if (word != 0 && apus_load_relaxed(&hole->at) == at) {
			/* [F] What we wrote into the bytes is before whoever has them next. */
			apus_swap_acq_rel(&hole->word, &word, word | APUSI_HOLE_ANSWERED);
			break;
		}
	}
	return -ESTALE;
}

/*
 * How far a record at `at` may reach: to the end of the ring, or to a hole.  *skip is the
 * size of the hole.
 */
static uint64_t reach(const struct apus_ring *ring, uint64_t at, uint64_t *skip)
{
	uint64_t offset = at & ring->mask, best = ring->mask + 1 - offset;
	uint32_t i;

	*skip = 0;
	if (apus_likely(apus_load_acquire(&ring->memory->hole_count) == 0))
		return best;
	for (i = 0; i < APUS_RING_HOLES; i++) {
		uint64_t word = apus_load_acquire(&ring->memory->holes[i].word);
		uint64_t distance = apusi_hole_offset(word) - offset;

		if (apusi_hole_size(word) != 0 && distance < best) {
			best = distance;
			*skip = apusi_hole_size(word);
		}
	}
	return best;
}

/* ---- claiming ---------------------------------------------------------------- */

static void pad(struct apus_ring *ring, uint64_t at, uint64_t size)
{
	struct apusi_ring_header *header = apusi_ring_at(ring, at);

	header->bytes = (uint32_t)(size - sizeof *header);
	apus_store_relaxed(&header->turn, at | APUSI_PADDING);
}

/*
 * Where a record of that size goes, up to `limit`: *at.  Pads over what is left out; nobody
 * sees that before the tail is behind it.  writes: else it only looks.
 */
static bool place_find(struct apus_ring *ring, uint64_t size, uint64_t limit, uint64_t *at,
	bool writes)
{
	uint64_t skip, free_size;

	for (;;) {
		/* Below 0 where another process has seen more of the head than we have. */
		int64_t left = (int64_t)(limit - *at);

		free_size = reach(ring, *at, &skip);
		if (free_size >= size)
			return left >= (int64_t)size;
		/* No head is a ring or more ahead: whoever follows such a one does not come back. */
		if (left < (int64_t)(free_size + skip) || left > (int64_t)ring->mask + 1)
			return false;
		if (writes && free_size != 0)
			pad(ring, *at, free_size);
		if (writes && skip != 0)
			pad(ring, *at + free_size, skip);
		*at += free_size + skip;
	}
}

/* [D] The senders' view of the head is refreshed only when it does not do. */
static bool place_claim(struct apus_ring *ring, uint64_t size, uint64_t *at)
{
	uint64_t tail = *at;

	if (place_find(ring, size, ring->seen_head + ring->mask + 1, at, true))
		return true;
	ring->seen_head = apus_load_acquire(&ring->memory->head);
	*at = tail;
	return place_find(ring, size, ring->seen_head + ring->mask + 1, at, true);
}

/* The tail is the senders', so a head behind it by more than a ring is nobody's of ours. */
static bool holds_a_ring(const struct apus_ring *ring)
{
	return apus_load_relaxed(&ring->memory->tail) - ring->seen_head <= ring->mask + 1;
}

static int claim_locked(struct apus_ring *ring, size_t bytes, struct apus_claim *claim)
{
	struct apus_ring_memory *memory = ring->memory;
	uint64_t size = apusi_ring_size(bytes), at = apus_load_relaxed(&memory->tail);
	struct apusi_ring_header *header;

	if (apus_load_relaxed(&memory->closed))
		return -EPIPE;
	if (!place_claim(ring, size, &at))
		return holds_a_ring(ring) ? -EAGAIN : -EBADMSG;
	header = apusi_ring_at(ring, at);
	header->bytes = (uint32_t)bytes;
	header->owner = ring->id;
	apus_store_relaxed(&header->turn, at | APUSI_CLAIMED);
	apus_store_release(&memory->tail, at + size); /* [T] */
	claim->data = header + 1;
	claim->bytes = bytes;
	claim->at = at;
	return 0;
}

struct want {
	size_t bytes;
	struct apus_claim *claim;
};

static int64_t claim_want(void *object, bool is_first, void *arg)
{
	struct apus_ring *ring = object;
	struct want *want = arg;
	int err;

	if (!is_first && apus_load_relaxed(&ring->queued))
		return apus_load_relaxed(&ring->memory->closed) ? -EPIPE : -EAGAIN;
	senders_lock(ring);
	err = claim_locked(ring, want->bytes, want->claim);
	senders_unlock(ring);
	return err;
}

static int claim_check(const struct apus_ring *ring, size_t bytes)
{
	if (bytes == 0)
		return -EINVAL;
	return bytes > apus_ring_record_bytes_max(ring) ? -EMSGSIZE : 0;
}

int apus_ring_try_claim(struct apus_ring *ring, size_t bytes, struct apus_claim *claim)
{
	struct want want = { bytes, claim };
	int err = claim_check(ring, bytes);

	return err ? err : (int)claim_want(ring, false, &want);
}

/* ---- waiting for room -------------------------------------------------------- */

/* Also where it is closed: there is something to be told. */
static bool has_room(const void *object, uint64_t need)
{
	struct apus_ring *ring = (struct apus_ring *)(uintptr_t)object;
	uint64_t head = apus_load_acquire(&ring->memory->head);
	uint64_t at = apus_load_acquire(&ring->memory->tail);

	/* Others claim and the reader releases meanwhile. */
	if (at - head > ring->mask + 1)
		return true;
	return apus_load_acquire(&ring->memory->closed) ||
	       place_find(ring, need, head + ring->mask + 1, &at, false);
}

static struct apusi_line_view view_of(struct apus_ring *ring)
{
	struct apus_ring_memory *memory = ring->memory;

	return (struct apusi_line_view){ &ring->line, &ring->queued, &memory->closed,
		{ &ring->send, &memory->send_bell, ring->always }, ring, claim_want, has_room };
}

static bool sender_ready(const struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	return apusi_line_ready(&view, &poller->place);
}

static bool sender_arm(struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	return apusi_line_arm(&view, poller);
}

static void sender_disarm(struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	apusi_line_disarm(&view, poller);
}

static void sender_dropped(struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	apusi_line_leave(&view, &poller->place);
}

static const struct apusi_poller_kind sender_kind = {
	sender_ready, sender_arm, sender_disarm, sender_dropped
};
/* Another process cannot ring our loop: it must not park. */
static const struct apusi_poller_kind shared_sender_kind = {
	sender_ready, NULL, NULL, sender_dropped
};

apus_poll apus_ring_claim(struct apus_cx *cx, struct apus_ring *ring, size_t bytes,
	struct apus_claim *claim)
{
	struct want want = { bytes, claim };
	struct apusi_line_view view;
	int64_t err;

	if (apus_wait_is_broken(cx, &ring->line))
		return -EPIPE;
	err = claim_check(ring, bytes);
	if (err == 0 && cx->task->waits == NULL) {
		err = claim_want(ring, false, &want);
		if (err != -EAGAIN)
			return err;
	} else if (err) {
		return err;
	}
	view = view_of(ring);
	return apusi_line_wait(cx, &view,
		ring->flags & APUS_RING_SHARED ? &shared_sender_kind : &sender_kind,
		apusi_ring_size(bytes), &want);
}

int apus_ring_wait_claim(struct apus_ring *ring, int64_t timeout_ns, size_t bytes,
	struct apus_claim *claim)
{
	struct want want = { bytes, claim };
	int err = claim_check(ring, bytes);
	struct apusi_line_view view;

	if (err)
		return err;
	view = view_of(ring);
	return (int)apusi_line_block(&view, timeout_ns, apusi_ring_size(bytes), &want);
}

/* ---- committing -------------------------------------------------------------- */

static int claim_end(struct apus_ring *ring, const struct apus_claim *claim, uint64_t how)
{
	struct apusi_ring_header *header = apusi_ring_at(ring, claim->at);
	uint64_t turn = claim->at | APUSI_CLAIMED;

	/* [A], or [P] was faster. */
	if (!apus_swap_acq_rel(&header->turn, &turn, claim->at | how))
		return hole_answer(ring, claim->at);
	apus_bell_look(&ring->memory->recv_bell, &ring->recv);
	return 0;
}

int apus_ring_commit(struct apus_ring *ring, const struct apus_claim *claim)
{
	return claim_end(ring, claim, APUSI_COMMITTED);
}

/* What is left is padding, of the record's size. */
int apus_ring_abort(struct apus_ring *ring, const struct apus_claim *claim)
{
	return claim_end(ring, claim, APUSI_PADDING);
}

/* ---- beginning and ending ---------------------------------------------------- */

static int ring_bind(struct apus_ring *ring, struct apus_ring_memory *memory, uint64_t capacity)
{
	int64_t id = 1;

	memset(ring, 0, sizeof *ring);
	ring->memory = memory;
	ring->data = (char *)(memory + 1);
	ring->mask = capacity - 1;
	ring->flags = memory->flags;
	ring->always = memory->flags & APUS_RING_SHARED ?
		APUS_BELL_ALWAYS | APUS_BELL_RINGS | APUS_BELL_SHARED : apusi_bell_always();
	ring->seen_head = ring->next = ring->last_end = apus_load_acquire(&memory->head);
	ring->seen_tail = ring->next;
	if (ring->flags & APUS_RING_SHARED)
		id = apusi_owner_attach(memory);
	ring->id = (uint32_t)id;
	return id < 0 ? (int)id : 0;
}

static bool capacity_is_sound(uint64_t capacity)
{
	return capacity >= 256 && capacity <= APUS_CHANNEL_CAPACITY_MAX &&
	       (capacity & (capacity - 1)) == 0;
}

int apus_ring_init_at(struct apus_ring *ring, void *memory_, uint64_t capacity, uint32_t flags,
	uint64_t first)
{
	struct apus_ring_memory *memory = memory_;
	int err;

	if (!capacity_is_sound(capacity) || (uintptr_t)memory % APUS_CACHE_LINE != 0 ||
	    first % APUSI_RING_UNIT != 0)
		return -EINVAL;
	memset(memory, 0, sizeof *memory);
	memory->capacity = capacity;
	memory->flags = flags;
	memory->head = memory->tail = first;
	err = ring_bind(ring, memory, capacity);
	if (err)
		return err;
	memory->send_bell = memory->recv_bell = ring->always;
	apus_store_release(&memory->magic, MAGIC);
	return 0;
}

int apus_ring_init(struct apus_ring *ring, void *memory, uint64_t capacity, uint32_t flags)
{
	return apus_ring_init_at(ring, memory, capacity, flags, 0);
}

int apus_ring_attach(struct apus_ring *ring, void *memory_, size_t memory_bytes)
{
	struct apus_ring_memory *memory = memory_;
	uint64_t capacity;

	if (memory_bytes < sizeof *memory || (uintptr_t)memory % APUS_CACHE_LINE != 0)
		return -EINVAL;
	if (apus_load_acquire(&memory->magic) != MAGIC || !(memory->flags & APUS_RING_SHARED))
		return -EPROTO;
	capacity = apus_load_relaxed(&memory->capacity); /* once, as above */
	if (!capacity_is_sound(capacity) || memory_bytes < APUS_RING_BYTES(capacity) ||
	    apus_load_relaxed(&memory->head) % APUSI_RING_UNIT != 0)
		return -EPROTO;
	return ring_bind(ring, memory, capacity);
}

void apus_ring_close(struct apus_ring *ring)
{
	struct apus_ring_memory *memory = ring->memory;

	/* Under the lock: no sender stands between its look at closed and its claim. */
	senders_lock(ring);
	apus_exchange_full(&memory->closed, 1);
	senders_unlock(ring);
	apusi_line_lock(&ring->line);
	apusi_line_tell_closed(&ring->line);
	apusi_line_unlock(&ring->line);
	apus_bell_ring(&memory->send_bell, &ring->send);
	apus_bell_ring(&memory->recv_bell, &ring->recv);
}

int apus_ring_deinit(struct apus_ring *ring)
{
	bool has_left;

	if (!(ring->flags & APUS_RING_SHARED))
		apus_ring_close(ring);
	has_left = apusi_end_leave(&ring->recv);
	if (apusi_line_unlink(&ring->line) != 0 || !has_left)
		return -EBUSY;
	if (ring->flags & APUS_RING_SHARED && ring->id != 0)
		apusi_owner_detach(ring->memory, ring->id);
	ring->id = 0;
	return 0;
}
