/*
 * apus/channel_spsc.h - from one thread to one other, as early as possible.
 *
 *   Units      counts of messages; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     -EAGAIN: full (try_send), empty (try_recv).  -EPIPE: closed; the value was
 *              not even evaluated.  -EBUSY: another waits at this end.  -ENOBUFS: no wait
 *              node or poller of the loop is left.  -ETIME: wait_ only.  -EINVAL: no room
 *              to batch.  deinit: -EBUSY, somebody of another thread has not left yet.
 *   Ownership  the channel is the caller's memory; a refused message stays the sender's.
 *   Threads    send: one thread or loop.  recv: one thread or loop.  close: either end's.
 *              init, deinit: alone, when both ends have returned from their last call; an
 *              end that changes hands does so as any object does.
 *   Order      first in, first out.  What was written before a send is seen after its
 *              receive.
 *   Cost       try_: wait-free, no locked instruction while who waits at the other end does
 *              not sleep; one cache line goes from sender to receiver, and back.
 *   Source     a turn in each slot: D. Vyukov, bounded MPMC queue, 2010, with one of each.
 *
 *	what          who writes it          who reads it
 *	slot.message  sender, before [A]     receiver, after [B]
 *	slot.turn     sender [A]             receiver [B]
 *	              receiver [C]           sender [D]
 *	send, recv    that end               that end
 *
 * One slot's line is all that moves for a message: least latency.  For most messages a
 * second see channel_stream.h.
 *
 *   try_send, try_recv     answer at once; anywhere
 *   send, recv             awaitables, in a task
 *   wait_send, wait_recv   block a plain thread, at most timeout_ns: spin, then sleep
 *
 * Example:
 *
 *	#include <apus/task.h>
 *
 *	struct quote {
 *		uint64_t symbol;
 *		int64_t price;
 *	};
 *
 *	APUS_SPSC(quotes, struct quote, 1024)
 *
 *	int feed(struct quotes *quotes, uint64_t symbol, int64_t price)
 *	{
 *		return apus_spsc_try_send(quotes, (struct quote){ symbol, price });
 *	}
 *
 *	struct book {
 *		struct apus_frame frame;
 *		struct quotes *quotes;
 *		struct quote quote;
 *		apus_poll err;
 *	};
 *
 *	APUS_TASK(book, struct book)
 *	{
 *		APUS_BEGIN(cx, self);
 *		for (;;)
 *			APUS_TRY(self->err, apus_spsc_recv(cx, self->quotes, &self->quote));
 *		APUS_END(0);
 *	}
 */
#ifndef APUS_CHANNEL_SPSC_H
#define APUS_CHANNEL_SPSC_H

#include <string.h>

#include "apus/channel_ends.h"

struct apus_spsc {
	struct apus_ends ends;
};

/* APUS_SPSC(name, type, capacity) declares struct name.  capacity: a power of two. */
#define APUS_SPSC(name, type, capacity_) APUS_TURN_CHANNEL_(name, apus_spsc, type, capacity_)

APUS_BEGIN_DECLS

/* ---- the cold half ---------------------------------------------------------- */

APUS_API int apus_spsc_setup(struct apus_spsc *channel, uint64_t slots_at, uint64_t slot_bytes,
	uint64_t capacity, uint64_t first);
APUS_API apus_poll apus_spsc_room_wait(struct apus_cx *cx, struct apus_spsc *channel);
APUS_API apus_poll apus_spsc_message_wait(struct apus_cx *cx, struct apus_spsc *channel);
APUS_API int apus_spsc_room_block(struct apus_spsc *channel, int64_t timeout_ns, uint64_t *at);
APUS_API int apus_spsc_message_block(struct apus_spsc *channel, int64_t timeout_ns, uint64_t *at);

/* ---- the hot half ------------------------------------------------------------- */

/* 0 and the place to send to, -EAGAIN or -EPIPE. */
APUS_INLINE int apus_spsc_room(struct apus_spsc *channel, void *slots, size_t slot_bytes,
	uint64_t capacity, uint64_t *at)
{
	if (apus_unlikely(apus_load_relaxed(&channel->ends.gate.closed)))
		return -EPIPE;
	*at = channel->ends.send.at;
	return apus_likely(apus_load_acquire(apus_slot_turn(slots, slot_bytes, capacity, *at)) ==
			*at) ? 0 : -EAGAIN; /* [D] */
}

/* 0 and the place to receive from, -EAGAIN or -EPIPE. */
APUS_INLINE int apus_spsc_message(struct apus_spsc *channel, void *slots, size_t slot_bytes,
	uint64_t capacity, uint64_t *at)
{
	const uint64_t *turn;

	*at = channel->ends.recv.at;
	turn = apus_slot_turn(slots, slot_bytes, capacity, *at);
	if (apus_likely(apus_load_acquire(turn) == *at + 1)) /* [B] */
		return 0;
	if (apus_likely(!apus_load_acquire(&channel->ends.gate.closed)))
		return -EAGAIN;
	/* It was sent before it was closed. */
	return apus_load_acquire(turn) == *at + 1 ? 0 : -EPIPE;
}

/* The message stands in its slot. */
APUS_INLINE void apus_spsc_sent(struct apus_spsc *channel, uint64_t *turn, uint64_t at)
{
	apus_store_release(turn, at + 1); /* [A] */
	apus_store_relaxed(&channel->ends.send.at, at + 2);
	apus_bell_look(&channel->ends.gate.recv_bell, &channel->ends.recv);
}

APUS_INLINE void apus_spsc_received(struct apus_spsc *channel, uint64_t *turn, uint64_t at,
	uint64_t capacity)
{
	apus_store_release(turn, at + capacity * 2); /* [C] */
	apus_store_relaxed(&channel->ends.recv.at, at + 2);
	apus_bell_look(&channel->ends.gate.send_bell, &channel->ends.send);
}

/*
 * Many with one publish: the first slot's turn is written last, and who looks for a message
 * or for room looks there first.
 */
APUS_INLINE int64_t apus_spsc_send_batch(struct apus_spsc *channel, void *slots,
	size_t slot_bytes, uint64_t capacity, size_t message_at, const void *from,
	size_t message_bytes, size_t count)
{
	uint64_t at = channel->ends.send.at;
	size_t n, i;

	if (count == 0)
		return -EINVAL;
	if (apus_load_relaxed(&channel->ends.gate.closed))
		return -EPIPE;
	for (n = 0; n < count && n < capacity; n++) {
		uint64_t *turn = apus_slot_turn(slots, slot_bytes, capacity, at + 2 * n);

		if (apus_load_acquire(turn) != at + 2 * n) /* [D] */
			break;
		memcpy((char *)turn + message_at, (const char *)from + n * message_bytes,
			message_bytes);
	}
	if (n == 0)
		return -EAGAIN;
	for (i = n; --i > 0;)
		apus_store_relaxed(apus_slot_turn(slots, slot_bytes, capacity, at + 2 * i),
			at + 2 * i + 1);
	apus_store_release(apus_slot_turn(slots, slot_bytes, capacity, at), at + 1); /* [A] */
	apus_store_relaxed(&channel->ends.send.at, at + 2 * n);
	apus_bell_look(&channel->ends.gate.recv_bell, &channel->ends.recv);
	return (int64_t)n;
}

APUS_INLINE int64_t apus_spsc_recv_batch(struct apus_spsc *channel, void *slots,
	size_t slot_bytes, uint64_t capacity, size_t message_at, void *out,
	size_t message_bytes, size_t count)
{
	uint64_t at;
	size_t n, i;
	int err;

	if (count == 0)
		return -EINVAL;
	err = apus_spsc_message(channel, slots, slot_bytes, capacity, &at);
	if (err)
		return err;
	for (n = 0; n < count && n < capacity; n++) {
		uint64_t *turn = apus_slot_turn(slots, slot_bytes, capacity, at + 2 * n);

		if (apus_load_acquire(turn) != at + 2 * n + 1) /* [B] */
			break;
		memcpy((char *)out + n * message_bytes, (char *)turn + message_at, message_bytes);
	}
	for (i = n; --i > 0;)
		apus_store_relaxed(apus_slot_turn(slots, slot_bytes, capacity, at + 2 * i),
			at + 2 * (i + capacity));
	apus_store_release(apus_slot_turn(slots, slot_bytes, capacity, at), /* [C] */
		at + 2 * capacity);
	apus_store_relaxed(&channel->ends.recv.at, at + 2 * n);
	apus_bell_look(&channel->ends.gate.send_bell, &channel->ends.send);
	return (int64_t)n;
}

APUS_INLINE apus_poll apus_spsc_room_poll(struct apus_cx *cx, struct apus_spsc *channel,
	void *slots, size_t slot_bytes, uint64_t capacity, uint64_t *at)
{
	int err;

	if (apus_wait_is_broken(cx, &channel->ends.send))
		return -EPIPE;
	err = apus_spsc_room(channel, slots, slot_bytes, capacity, at);
	return apus_likely(err != -EAGAIN) ? err : apus_spsc_room_wait(cx, channel);
}

APUS_INLINE apus_poll apus_spsc_message_poll(struct apus_cx *cx, struct apus_spsc *channel,
	void *slots, size_t slot_bytes, uint64_t capacity, uint64_t *at)
{
	int err;

	if (apus_wait_is_broken(cx, &channel->ends.recv))
		return -EPIPE;
	err = apus_spsc_message(channel, slots, slot_bytes, capacity, at);
	return apus_likely(err != -EAGAIN) ? err : apus_spsc_message_wait(cx, channel);
}

APUS_END_DECLS

/* ---- sending -------------------------------------------------------------------- */

/* apus_spsc_try_send(channel, value): 0, -EAGAIN, -EPIPE. */
#define apus_spsc_try_send(channel_, ...)                                            \
	APUS_SPSC_SEND_(int, channel_, apus_spsc_room(&apus_to_->channel,            \
		APUS_SLOTS_(apus_to_), &apus_at_), __VA_ARGS__)

/* apus_spsc_send(cx, channel, value): an awaitable; 0, -EPIPE, -EBUSY, -ENOBUFS. */
#define apus_spsc_send(cx_, channel_, ...)                                           \
	APUS_SPSC_SEND_(apus_poll, channel_, apus_spsc_room_poll((cx_),              \
		&apus_to_->channel, APUS_SLOTS_(apus_to_), &apus_at_), __VA_ARGS__)

/* apus_spsc_wait_send(channel, timeout_ns, value): blocks; 0, -EPIPE, -ETIME, -EBUSY. */
#define apus_spsc_wait_send(channel_, timeout_ns_, ...)                              \
	APUS_SPSC_SEND_(int, channel_, apus_spsc_room_block(&apus_to_->channel,      \
		(timeout_ns_), &apus_at_), __VA_ARGS__)

#define APUS_SPSC_SEND_(answer_, channel_, room_, ...)                               \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		uint64_t apus_at_ = 0;                                               \
		answer_ apus_err_ = (room_);                                         \
		if (apus_likely(apus_err_ == 0)) {                                   \
			__typeof__(&apus_to_->slots[0]) apus_slot_ =                 \
				APUS_TURN_SLOT_(apus_to_, apus_at_);                 \
			APUS_CHANNEL_STRICT_(apus_slot_->message = (__VA_ARGS__);)   \
			apus_spsc_sent(&apus_to_->channel, &apus_slot_->turn, apus_at_); \
		}                                                                    \
		apus_err_;                                                           \
	})

/*
 * apus_spsc_try_send_many(channel, const type *from, count): the number sent, first ones
 * first, with one publish; or what apus_spsc_try_send answers; -EINVAL for a count of 0.
 */
#define apus_spsc_try_send_many(channel_, from_, count_)                             \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		const __typeof__(apus_to_->slots[0].message) *apus_from_ =           \
			APUS_CHANNEL_CONST_(__typeof__(apus_to_->slots[0].message), from_); \
		apus_spsc_send_batch(&apus_to_->channel, APUS_SLOTS_(apus_to_),      \
			APUS_MESSAGE_AT_(apus_to_), apus_from_, sizeof *apus_from_, (count_)); \
	})

/* apus_spsc_send_many(cx, channel, const type *from, count): the same, awaiting room. */
#define apus_spsc_send_many(cx_, channel_, from_, count_)                            \
	__extension__({                                                              \
		__typeof__(channel_) apus_many_ = (channel_);                        \
		const size_t apus_some_ = (count_);                                  \
		uint64_t apus_at_;                                                   \
		apus_poll apus_count_ = apus_some_ == 0 ? -EINVAL :                  \
			apus_spsc_room_poll((cx_), &apus_many_->channel,             \
				APUS_SLOTS_(apus_many_), &apus_at_);                 \
		if (apus_likely(apus_count_ == 0))                                   \
			apus_count_ = apus_spsc_try_send_many(apus_many_, from_, apus_some_); \
		apus_count_;                                                         \
	})

/* ---- receiving -------------------------------------------------------------------- */

/* apus_spsc_try_recv(channel, type *out): 0 and *out, -EAGAIN, -EPIPE. */
#define apus_spsc_try_recv(channel_, out_)                                           \
	APUS_SPSC_RECV_(int, channel_, out_, apus_spsc_message(&apus_from_->channel, \
		APUS_SLOTS_(apus_from_), &apus_at_))

/* apus_spsc_recv(cx, channel, type *out): an awaitable; 0, -EPIPE, -EBUSY, -ENOBUFS. */
#define apus_spsc_recv(cx_, channel_, out_)                                          \
	APUS_SPSC_RECV_(apus_poll, channel_, out_, apus_spsc_message_poll((cx_),     \
		&apus_from_->channel, APUS_SLOTS_(apus_from_), &apus_at_))

/* apus_spsc_wait_recv(channel, timeout_ns, type *out): blocks; 0, -EPIPE, -ETIME, -EBUSY. */
#define apus_spsc_wait_recv(channel_, timeout_ns_, out_)                             \
	APUS_SPSC_RECV_(int, channel_, out_, apus_spsc_message_block(&apus_from_->channel, \
		(timeout_ns_), &apus_at_))

#define APUS_SPSC_RECV_(answer_, channel_, out_, message_)                           \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0].message) *apus_out_ =                \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0].message), out_); \
		uint64_t apus_at_ = 0;                                               \
		answer_ apus_err_ = (message_);                                      \
		if (apus_likely(apus_err_ == 0)) {                                   \
			__typeof__(&apus_from_->slots[0]) apus_slot_ =               \
				APUS_TURN_SLOT_(apus_from_, apus_at_);               \
			*apus_out_ = apus_slot_->message;                            \
			apus_spsc_received(&apus_from_->channel, &apus_slot_->turn,  \
				apus_at_, APUS_SLOT_COUNT_(apus_from_));             \
		}                                                                    \
		apus_err_;                                                           \
	})

/*
 * apus_spsc_try_recv_many(channel, type *out, count): the number received, or what
 * apus_spsc_try_recv answers; -EINVAL for a count of 0.
 */
#define apus_spsc_try_recv_many(channel_, out_, count_)                              \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0].message) *apus_out_ =                \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0].message), out_); \
		apus_spsc_recv_batch(&apus_from_->channel, APUS_SLOTS_(apus_from_),  \
			APUS_MESSAGE_AT_(apus_from_), apus_out_, sizeof *apus_out_, (count_)); \
	})

/* apus_spsc_recv_many(cx, channel, type *out, count): the same, awaiting the first. */
#define apus_spsc_recv_many(cx_, channel_, out_, count_)                             \
	__extension__({                                                              \
		__typeof__(channel_) apus_many_ = (channel_);                        \
		const size_t apus_some_ = (count_);                                  \
		uint64_t apus_at_;                                                   \
		apus_poll apus_count_ = apus_some_ == 0 ? -EINVAL :                  \
			apus_spsc_message_poll((cx_), &apus_many_->channel,          \
				APUS_SLOTS_(apus_many_), &apus_at_);                 \
		if (apus_likely(apus_count_ == 0))                                   \
			apus_count_ = apus_spsc_try_recv_many(apus_many_, out_, apus_some_); \
		apus_count_;                                                         \
	})

/* ---- beginning and ending ------------------------------------------------------------ */

/* 0. */
#define apus_spsc_init(channel_) apus_spsc_init_at(channel_, 0)

/* The same, counting from place `first`, an even number: for tests of the wrap. */
#define apus_spsc_init_at(channel_, first_)                                          \
	__extension__({                                                              \
		__typeof__(channel_) apus_init_ = (channel_);                        \
		apus_spsc_setup(&apus_init_->channel,                                \
			(uint64_t)((char *)&apus_init_->slots[0] - (char *)apus_init_), \
			sizeof apus_init_->slots[0], APUS_SLOT_COUNT_(apus_init_), (first_)); \
	})

/*
 * No more messages go in; what is there drains, then receiving answers -EPIPE.  From either
 * end, more than once.  What a sender on another thread puts in meanwhile may stay.
 */
#define apus_spsc_close(channel_) apus_ends_close(&(channel_)->channel.ends)

/*
 * Closes; tasks of this thread's loop that wait wake with -EPIPE and are unlinked.  0: the
 * memory may go.  -EBUSY: somebody of another thread has yet to leave.
 */
#define apus_spsc_deinit(channel_) apus_ends_deinit(&(channel_)->channel.ends)

/* As it was a moment ago, from any thread. */
#define apus_spsc_length(channel_)                                                   \
	((uint32_t)((apus_load_relaxed(&(channel_)->channel.ends.send.at) -          \
		apus_load_relaxed(&(channel_)->channel.ends.recv.at)) / 2))
#define apus_spsc_capacity(channel_) ((uint32_t)APUS_SLOT_COUNT_(channel_))
#define apus_spsc_is_closed(channel_) \
	(apus_load_acquire(&(channel_)->channel.ends.gate.closed) != 0)

#endif
