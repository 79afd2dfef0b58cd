/*
 * The least queues between two threads: u64, a constant capacity, full, empty and closed as
 * answers, the ends on lines of their own, buffered messages before the end.
 *
 * Left out: waiting in any way (whoever finds nothing looks again), batches of any size but
 * the stream's, messages of any other type, places that begin anywhere.
 */
#ifndef LIMIT_QUEUES_H
#define LIMIT_QUEUES_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LIMIT_LINE __attribute__((__aligned__(64)))
#define LIMIT_CAPACITY 1024

#define limit_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define limit_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

struct limit_slot {
	uint64_t turn; /* place + 1: the message of that place stands here */
	uint64_t message;
};

/* ---- a turn in each slot: one to one, and many to one ---------------------------- */

struct limit_turns {
	uint32_t closed LIMIT_LINE;
	uint64_t tail LIMIT_LINE;
	uint64_t head LIMIT_LINE;
	struct limit_slot slots[LIMIT_CAPACITY] LIMIT_LINE;
};

static inline void limit_turns_init(struct limit_turns *turns)
{
	uint64_t i;

	memset(turns, 0, sizeof *turns);
	for (i = 0; i < LIMIT_CAPACITY; i++)
		turns->slots[i].turn = i;
}

static inline int limit_spsc_send(struct limit_turns *turns, uint64_t message)
{
	uint64_t at = turns->tail;
	struct limit_slot *slot = &turns->slots[at % LIMIT_CAPACITY];

	if (__atomic_load_n(&turns->closed, __ATOMIC_RELAXED))
		return -EPIPE;
	if (limit_load(&slot->turn) != at)
		return -EAGAIN;
	slot->message = message;
	limit_store(&slot->turn, at + 1);
	turns->tail = at + 1;
	return 0;
}

static inline int limit_mpsc_send(struct limit_turns *turns, uint64_t message)
{
	uint64_t at = __atomic_load_n(&turns->tail, __ATOMIC_RELAXED), turn;
	struct limit_slot *slot;

	if (__atomic_load_n(&turns->closed, __ATOMIC_RELAXED))
		return -EPIPE;
	for (;;) {
		slot = &turns->slots[at % LIMIT_CAPACITY];
		turn = limit_load(&slot->turn);
		if ((int64_t)(turn - at) < 0)
			return -EAGAIN;
		if (turn != at)
			at = __atomic_load_n(&turns->tail, __ATOMIC_RELAXED);
		else if (__atomic_compare_exchange_n(&turns->tail, &at, at + 1, true,
				 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
	}
	slot->message = message;
	limit_store(&slot->turn, at + 1);
	return 0;
}

static inline int limit_turns_recv(struct limit_turns *turns, uint64_t *message)
{
	uint64_t at = turns->head;
	struct limit_slot *slot = &turns->slots[at % LIMIT_CAPACITY];

	if (limit_load(&slot->turn) != at + 1) {
		if (!limit_load(&turns->closed))
			return -EAGAIN;
		if (limit_load(&slot->turn) != at + 1)
			return -EPIPE;
	}
	*message = slot->message;
	limit_store(&slot->turn, at + LIMIT_CAPACITY);
	turns->head = at + 1;
	return 0;
}

/* ---- two indices, each end with a copy of the other's ------------------------------ */

struct limit_stream {
	uint32_t closed LIMIT_LINE;
	uint64_t tail LIMIT_LINE;
	uint64_t seen_head;
	uint64_t head LIMIT_LINE;
	uint64_t seen_tail;
	uint64_t slots[LIMIT_CAPACITY] LIMIT_LINE;
};

/* All of them or none. */
static inline int limit_stream_send(struct limit_stream *stream, const uint64_t *from, uint64_t count)
{
	uint64_t tail = stream->tail, i;

	if (__atomic_load_n(&stream->closed, __ATOMIC_RELAXED))
		return -EPIPE;
	if (tail + count - stream->seen_head > LIMIT_CAPACITY) {
		stream->seen_head = limit_load(&stream->head);
		if (tail + count - stream->seen_head > LIMIT_CAPACITY)
			return -EAGAIN;
	}
	for (i = 0; i < count; i++)
		stream->slots[(tail + i) % LIMIT_CAPACITY] = from[i];
	limit_store(&stream->tail, tail + count);
	return 0;
}

/* As many as there are, up to count. */
static inline int64_t limit_stream_recv(struct limit_stream *stream, uint64_t *out, uint64_t count)
{
	uint64_t head = stream->head, used = stream->seen_tail - head, i;

	if (used < count) {
		used = (stream->seen_tail = limit_load(&stream->tail)) - head;
		if (used == 0)
			return limit_load(&stream->closed) &&
				limit_load(&stream->tail) == head ? -EPIPE : -EAGAIN;
	}
	if (used > count)
		used = count;
	for (i = 0; i < used; i++)
		out[i] = stream->slots[(head + i) % LIMIT_CAPACITY];
	limit_store(&stream->head, head + used);
	return (int64_t)used;
}

/* ---- one writer, many readers ------------------------------------------------------- */

/* Two copies in turn. */
struct limit_latest {
	uint32_t closed LIMIT_LINE;
	uint64_t at LIMIT_LINE;
	uint64_t values[2];
};

static inline int limit_latest_publish(struct limit_latest *latest, uint64_t value)
{
	uint64_t next = latest->at + 1;

	if (__atomic_load_n(&latest->closed, __ATOMIC_RELAXED))
		return -EPIPE;
	limit_store(&latest->values[next & 1], value);
	limit_store(&latest->at, next);
	return 0;
}

static inline int limit_latest_recv(struct limit_latest *latest, uint64_t *seen, uint64_t *value)
{
	uint64_t at = limit_load(&latest->at), again;

	if (at == *seen)
		return limit_load(&latest->closed) ? -EPIPE : -EAGAIN;
	for (;; at = again) {
		*value = limit_load(&latest->values[at & 1]);
		again = limit_load(&latest->at);
		if (again == at)
			break;
	}
	*seen = at;
	return 0;
}

/* A sequence lock a slot. */
struct limit_fanout {
	uint32_t closed LIMIT_LINE;
	uint64_t at LIMIT_LINE;
	struct limit_slot slots[LIMIT_CAPACITY] LIMIT_LINE;
};

static inline void limit_fanout_init(struct limit_fanout *fanout)
{
	memset(fanout, 0, sizeof *fanout);
	fanout->at = 2 * LIMIT_CAPACITY; /* no turn of it is 0 */
}

static inline int limit_fanout_publish(struct limit_fanout *fanout, uint64_t message)
{
	uint64_t at = fanout->at;
	struct limit_slot *slot = &fanout->slots[at / 2 % LIMIT_CAPACITY];

	if (__atomic_load_n(&fanout->closed, __ATOMIC_RELAXED))
		return -EPIPE;
	limit_store(&slot->turn, at);
	limit_store(&slot->message, message);
	limit_store(&slot->turn, at + 1);
	limit_store(&fanout->at, at + 2);
	return 0;
}

static inline int limit_fanout_recv(struct limit_fanout *fanout, uint64_t *at, uint64_t *message)
{
	struct limit_slot *slot = &fanout->slots[*at / 2 % LIMIT_CAPACITY];

	if (limit_load(&slot->turn) == *at + 1) {
		*message = limit_load(&slot->message);
		if (limit_load(&slot->turn) == *at + 1) {
			*at += 2;
			return 0;
		}
	}
	if ((int64_t)(limit_load(&slot->turn) - *at) > 1)
		return -EOVERFLOW;
	return limit_load(&fanout->closed) ? -EPIPE : -EAGAIN;
}

#endif
