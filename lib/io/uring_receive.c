#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "io/uring.h"

/*
 * A socket of ours, plain TCP or UDP, is received from by one request that goes on until it is
 * cancelled.  The kernel takes a segment for what comes, and tells which; the slot holds it until
 * it is read, so a receive that loses its wait has lost nothing.
 *
 * Order: while the request is armed, what the slot holds is all there is, and nobody reads
 * from the socket.  When it has ended (at the end of the stream, with an error, for want of
 * segments, or cancelled), what is held comes first, the error next, and then the socket
 * itself is asked, until a wait arms another.
 *
 * A slot that nobody reads holds few segments only: then its request is cancelled, and what
 * else comes stays with the kernel, and with the sender.
 *
 * The kernel's habit (6.18, and before): one run of the request receives what is there once,
 * and then waits for the next wake-up.  After a reset there is none.  Where bytes with a reset
 * directly behind them were there before it ran, the bytes are told, and the end never is.  So
 * a poll for the end stands beside the request; when that is answered, the request is cancelled,
 * and what there is, bytes and the end, is read from the socket.
 */

enum { GROUP = 0, HELD_SHARE = 8, HELD_MIN = 2, LENT_SHARE = 4 };

/* ---- segments that the kernel has ---------------------------------------------------- */

/*
 * The kernel takes them in the order in which it was given them, so what it has at once is
 * what the cache has to hold: a part of them all, filled up as it takes them.
 */
bool apusi_uring_lend(struct apus_io *io, uint32_t index)
{
	struct apusi_uring *uring = apusi_uring_of(io);

	if (apus_unlikely(uring->lent_count >= uring->lent_max))
		return false;
	io_uring_buf_ring_add(uring->lent, apusi_segment_at(&io->segments, index),
		io->segments.segment_bytes, (unsigned short)index, (int)uring->lent_mask, 0);
	io_uring_buf_ring_advance(uring->lent, 1);
	uring->lent_count++;
	return true;
}

static uint32_t ring_entries(uint32_t count)
{
	uint32_t entries = 1;

	while (entries < count)
		entries *= 2;
	return entries;
}

static size_t ring_bytes(const struct apusi_uring *uring)
{
	return (uring->lent_mask + (size_t)1) * sizeof(struct io_uring_buf);
}

static int ring_register(struct apusi_uring *uring)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)uring->lent,
		.ring_entries = uring->lent_mask + 1,
		.bgid = GROUP,
	};

	return io_uring_register_buf_ring(&uring->ring, &reg, 0);
}

/* What is in reserve is for those who read directly. */
static inline void fill_up(struct apus_io *io)
{
	const struct apusi_uring *uring = apusi_uring_of(io);

	while (uring->lent_count < uring->lent_max &&
	       io->segments.free_count > io->segments.reserve)
		(void)apusi_uring_lend(io, (uint32_t)apusi_segment_claim(&io->segments));
}

/* Without it every socket is polled and read directly: not an error. */
void apusi_uring_receive_open(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	void *memory;

	uring->lent_mask = ring_entries(io->segments.count) - 1;
	memory = mmap(NULL, ring_bytes(uring), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return;
	uring->lent = memory;
	if (ring_register(uring) != 0) {
		munmap(memory, ring_bytes(uring));
		uring->lent = NULL;
		return;
	}
	uring->held_max = io->segments.count / HELD_SHARE;
	if (uring->held_max < HELD_MIN)
		uring->held_max = HELD_MIN;
	uring->lent_max = io->segments.count / LENT_SHARE + 1;
	apusi_uring_datagram_open(io);
	io_uring_buf_ring_init(uring->lent);
	fill_up(io);
}

/* After the ring: until then the kernel may write here. */
void apusi_uring_receive_close(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);

	if (uring->lent != NULL)
		munmap(uring->lent, ring_bytes(uring));
}

/* ---- what a slot holds --------------------------------------------------------------- */

/* A ring of which the slot knows the last: its next is the first. */
static void held_append(struct apus_io *io, struct apusi_uring_slot *own, uint32_t index,
	uint32_t bytes)
{
	struct apusi_segment *all = io->segments.all, *segment = &all[index];

	segment->offset = 0;
	segment->bytes = bytes;
	segment->next = own->count != 0 ? all[own->last].next : (uint16_t)index;
	if (own->count != 0)
		all[own->last].next = (uint16_t)index;
	own->last = (uint16_t)index;
	own->count++;
}

uint32_t apusi_uring_held_first(const struct apus_io *io, const struct apusi_uring_slot *own)
{
	return io->segments.all[own->last].next;
}

static void held_remove_first(struct apus_io *io, struct apusi_uring_slot *own)
{
	uint32_t first = apusi_uring_held_first(io, own);

	io->segments.all[own->last].next = io->segments.all[first].next;
	own->count--;
}

void apusi_uring_held_free(struct apus_io *io, struct apusi_uring_slot *own)
{
	uint32_t first = apusi_uring_held_first(io, own);

	held_remove_first(io, own);
	apusi_segment_free(io, first);
}

void apusi_uring_receive_drop(struct apus_io *io, struct apusi_uring_slot *own)
{
	while (own->count != 0)
		apusi_uring_held_free(io, own);
}

/* ---- arming ---------------------------------------------------------------------------- */

bool apusi_uring_can_receive(const struct apus_io *io, struct apusi_slot *slot)
{
	const struct apusi_uring *uring = apusi_uring_of(io);

	return uring->lent_count != 0 && (slot->flags & APUSI_OWNED) != 0 &&
	       (slot->flags & (APUSI_SHORT | APUSI_BRIEF)) != 0 &&
	       (slot->flags & APUSI_CONNECTING) == 0 &&
	       (apusi_uring_slot_of(slot)->how & APUSI_URING_DIRECT) == 0;
}

static int arm_hangup(struct apus_io *io, struct apusi_slot *slot)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	struct io_uring_sqe *sqe;

	if (own->armed & APUSI_URING_HANGUPS)
		return 0;
	sqe = apusi_uring_claim(io);
	if (apus_unlikely(sqe == NULL))
		return -EAGAIN;
	io_uring_prep_poll_add(sqe, slot->fd, POLLRDHUP);
	io_uring_sqe_set_data64(sqe, apusi_uring_data(slot, APUSI_URING_HANGUP));
	apusi_uring_of(io)->in_flight++;
	own->armed |= APUSI_URING_HANGUPS;
	slot->flags |= APUSI_LINGERS;
	return 0;
}

int apusi_uring_arm_receive(struct apus_io *io, struct apusi_slot *slot)
{
	int err = slot->flags & APUSI_BRIEF ? 0 : arm_hangup(io, slot);
	struct io_uring_sqe *sqe = err ? NULL : apusi_uring_claim(io);

	if (apus_unlikely(sqe == NULL))
		return -EAGAIN;
	if (slot->flags & APUSI_BRIEF)
		apusi_uring_datagram_prep(io, sqe, slot->fd);
	else
		io_uring_prep_recv_multishot(sqe, slot->fd, NULL, 0, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST; /* it was just refused */
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, apusi_uring_data(slot, APUSI_URING_RECEIVE));
	apusi_uring_of(io)->in_flight++;
	apusi_uring_slot_of(slot)->how |= APUSI_URING_FEEDS;
	slot->flags |= APUSI_FED;
	return 0;
}

/* ---- completions ------------------------------------------------------------------------- */

static inline bool can_stop(const struct apusi_uring_slot *own)
{
	return (own->how & (APUSI_URING_FEEDS | APUSI_URING_STOPPING)) == APUSI_URING_FEEDS;
}

/* What came is told by the slot's next read; see the head of this file. */
static void received(struct apus_io *io, struct apusi_slot *slot, const struct io_uring_cqe *cqe)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);

	if (cqe->res > 0)
		held_append(io, own, cqe->flags >> IORING_CQE_BUFFER_SHIFT, (uint32_t)cqe->res);
	else if (cqe->res == -ENOBUFS)
		uring->counts.out_of_segments++;
	else if (cqe->res < 0 && cqe->res != -ECANCELED)
		own->error = (int16_t)cqe->res;
	if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
		own->armed &= (uint8_t)~APUSI_URING_READS;
		own->how &= (uint8_t)~(APUSI_URING_FEEDS | APUSI_URING_STOPPING | APUSI_URING_OWES);
		apusi_slot_unwatched(io, slot, APUSI_WATCHED);
	} else if (own->count >= uring->held_max && can_stop(own)) {
		uring->counts.held_back++;
		apusi_uring_stop(io, slot);
	}
	apusi_io_event(io, apusi_slot_token(slot), APUSI_IN);
}

void apusi_uring_received(struct apus_io *io, const struct io_uring_cqe *cqe)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	struct apusi_slot *slot = apusi_slot_find(io, apusi_uring_token(cqe->user_data));
	bool has_segment = (cqe->flags & IORING_CQE_F_BUFFER) != 0;

	if ((cqe->flags & IORING_CQE_F_MORE) == 0)
		uring->in_flight--;
	if (has_segment) {
		uring->lent_count--;
		fill_up(io);
	}
	if (apus_likely(slot != NULL))
		received(io, slot, cqe);
	else
		io->counts.stale_events++;
	if (apus_unlikely(has_segment && (slot == NULL || cqe->res <= 0)))
		apusi_segment_free(io, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

/* See the kernel's habit at the head of this file. */
void apusi_uring_hung_up(struct apus_io *io, const struct io_uring_cqe *cqe)
{
	struct apusi_slot *slot = apusi_slot_find(io, apusi_uring_token(cqe->user_data));
	struct apusi_uring_slot *own;

	apusi_uring_of(io)->in_flight--;
	if (slot == NULL)
		return;
	own = apusi_uring_slot_of(slot);
	own->armed &= (uint8_t)~APUSI_URING_HANGUPS;
	slot->flags &= ~(uint32_t)APUSI_LINGERS;
	if (cqe->res != -ECANCELED && can_stop(own))
		apusi_uring_stop(io, slot);
}

/* ---- reading ----------------------------------------------------------------------------- */

int64_t apusi_uring_nothing_held(struct apusi_slot *slot, struct apusi_uring_slot *own)
{
	int64_t error = own->error;

	if (error != 0) {
		own->error = 0;
		return error;
	}
	if ((own->how & APUSI_URING_FEEDS) == 0) {
		slot->flags &= ~(uint32_t)APUSI_FED;
		slot->ready |= APUSI_IN;
	}
	return -EAGAIN;
}

static size_t take_some(struct apus_io *io, struct apusi_uring_slot *own, void *data, size_t bytes)
{
	uint32_t first = apusi_uring_held_first(io, own);
	struct apusi_segment *segment = &io->segments.all[first];
	size_t left = segment->bytes - segment->offset;

	if (bytes > left)
		bytes = left;
	memcpy(data, apusi_segment_at(&io->segments, first) + segment->offset, bytes);
	segment->offset += (uint32_t)bytes;
	if (bytes == left)
		apusi_uring_held_free(io, own);
	return bytes;
}

int64_t apusi_uring_read(struct apus_io *io, struct apusi_slot *slot, void *data, size_t bytes)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	size_t done = 0;

	if (own->count == 0)
		return apusi_uring_nothing_held(slot, own);
	while (done < bytes && own->count != 0)
		done += take_some(io, own, (char *)data + done, bytes - done);
	return (int64_t)done;
}

bool apusi_uring_has(struct apusi_slot *slot)
{
	return apusi_uring_slot_of(slot)->count != 0;
}

int64_t apusi_uring_read_segment(struct apus_io *io, struct apusi_slot *slot,
	struct apus_segment *out)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	uint32_t first;

	if (own->count == 0)
		return apusi_uring_nothing_held(slot, own);
	first = apusi_uring_held_first(io, own);
	held_remove_first(io, own);
	return apusi_segment_hand_out(&io->segments, first, out);
}
