/*
 * apus/channel_stream.h - from one thread to one other, as many as possible a second.
 *
 *   Units      counts of messages; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     as channel_spsc.h.
 *   Ownership  the channel is the caller's memory; a refused message stays the sender's.
 *   Threads    send: one thread or loop.  recv: one thread or loop.  close: either end's.
 *              init, deinit: alone, when both ends have returned from their last call.
 *   Order      first in, first out.  What was written before a send is seen after its
 *              receive.
 *   Cost       try_: wait-free, no locked instruction while who waits at the other end does
 *              not sleep.  An end looks at the other's index only when what it saw of it
 *              last is used up; a batch is one publish.
 *   Source     L. Lamport, 1977; cached indices: P. Lee et al., MCRingBuffer, 2010.
 *
 *	what          who writes it          who reads it
 *	slots         sender, before [A]     receiver, after [B]
 *	send.at       sender [A]             receiver [B]
 *	recv.at       receiver [C]           sender [D]
 *	send.seen     sender                 sender
 *	recv.seen     receiver               receiver
 *
 * Messages lie close together and two lines more move at times: the best stream, above all
 * in batches, but not the shortest way for a single message; for that see channel_spsc.h.
 * The verbs are the same.
 *
 * Example:
 *
 *	#include <apus/base.h>
 *
 *	APUS_STREAM(samples, uint64_t, 4096)
 *
 *	int64_t drain(struct samples *samples)
 *	{
 *		uint64_t batch[32];
 *		int64_t sum = 0, count, i;
 *
 *		while ((count = apus_stream_try_recv_many(samples, batch, 32)) > 0)
 *			for (i = 0; i < count; i++)
 *				sum += (int64_t)batch[i];
 *		return sum;
 *	}
 */
#ifndef APUS_CHANNEL_STREAM_H
#define APUS_CHANNEL_STREAM_H

#include <string.h>

#include "apus/channel_ends.h"

struct apus_stream {
	struct apus_ends ends;
};

/* APUS_STREAM(name, type, capacity) declares struct name.  capacity: a power of two. */
#define APUS_STREAM(name, type, capacity_)                                           \
	struct name {                                                                \
		APUS_POWER_ASSERT_(capacity_);                                       \
		struct apus_stream channel;                                          \
		type slots[(capacity_)] __attribute__((__aligned__(APUS_CACHE_LINE))); \
	};

APUS_BEGIN_DECLS

/* ---- the cold half ---------------------------------------------------------- */

APUS_API int apus_stream_setup(struct apus_stream *channel, uint64_t slots_at,
	uint64_t slot_bytes, uint64_t capacity, uint64_t first);
APUS_API apus_poll apus_stream_room_wait(struct apus_cx *cx, struct apus_stream *channel);
APUS_API apus_poll apus_stream_message_wait(struct apus_cx *cx, struct apus_stream *channel);
APUS_API int apus_stream_room_block(struct apus_stream *channel, int64_t timeout_ns);
APUS_API int apus_stream_message_block(struct apus_stream *channel, int64_t timeout_ns);

/* ---- the hot half ------------------------------------------------------------- */

/* How many may go in now, at least `enough` of them if there are so many; 0: it is full. */
APUS_INLINE uint64_t apus_stream_free(struct apus_stream *channel, uint64_t capacity,
	uint64_t enough)
{
	struct apus_end *send = &channel->ends.send;

	if (apus_unlikely(capacity - (send->at - send->seen) < enough))
		send->seen = apus_load_acquire(&channel->ends.recv.at); /* [D] */
	return capacity - (send->at - send->seen);
}

/* How many may come out now. */
APUS_INLINE uint64_t apus_stream_used(struct apus_stream *channel, uint64_t enough)
{
	struct apus_end *recv = &channel->ends.recv;

	if (apus_unlikely(recv->seen - recv->at < enough))
		recv->seen = apus_load_acquire(&channel->ends.send.at); /* [B] */
	return recv->seen - recv->at;
}

APUS_INLINE int apus_stream_room(struct apus_stream *channel, uint64_t capacity)
{
	if (apus_unlikely(apus_load_relaxed(&channel->ends.gate.closed)))
		return -EPIPE;
	return apus_likely(apus_stream_free(channel, capacity, 1) != 0) ? 0 : -EAGAIN;
}

APUS_INLINE int apus_stream_message(struct apus_stream *channel)
{
	if (apus_likely(apus_stream_used(channel, 1) != 0))
		return 0;
	if (apus_likely(!apus_load_acquire(&channel->ends.gate.closed)))
		return -EAGAIN;
	/* It was sent before it was closed. */
	return apus_stream_used(channel, 1) != 0 ? 0 : -EPIPE;
}

APUS_INLINE void apus_stream_sent(struct apus_stream *channel, uint64_t at, uint64_t count)
{
	apus_store_release(&channel->ends.send.at, at + count); /* [A] */
	apus_bell_look(&channel->ends.gate.recv_bell, &channel->ends.recv);
}

APUS_INLINE void apus_stream_received(struct apus_stream *channel, uint64_t at, uint64_t count)
{
	apus_store_release(&channel->ends.recv.at, at + count); /* [C] */
	apus_bell_look(&channel->ends.gate.send_bell, &channel->ends.send);
}

/* Of count messages from place `at` on, how many lie in one piece. */
APUS_INLINE uint64_t apus_stream_piece(uint64_t at, uint64_t capacity, uint64_t count)
{
	uint64_t piece = capacity - (at & (capacity - 1));

	return count < piece ? count : piece;
}

APUS_INLINE int64_t apus_stream_send_batch(struct apus_stream *channel, void *slots,
	uint64_t capacity, const void *from, size_t message_bytes, size_t count)
{
	uint64_t at = channel->ends.send.at, room, first;

	if (count == 0)
		return -EINVAL;
	if (apus_unlikely(apus_load_relaxed(&channel->ends.gate.closed)))
		return -EPIPE;
	room = apus_stream_free(channel, capacity, count);
	if (room == 0)
		return -EAGAIN;
	if (count > room)
		count = room;
	first = apus_stream_piece(at, capacity, count);
	memcpy((char *)slots + (at & (capacity - 1)) * message_bytes, from,
		first * message_bytes);
	if (first < count)
		memcpy(slots, (const char *)from + first * message_bytes,
			(count - first) * message_bytes);
	apus_stream_sent(channel, at, count);
	return (int64_t)count;
}

APUS_INLINE int64_t apus_stream_recv_batch(struct apus_stream *channel, const void *slots,
	uint64_t capacity, void *out, size_t message_bytes, size_t count)
{
	uint64_t at = channel->ends.recv.at, used, first;
	int err;

	if (count == 0)
		return -EINVAL;
	used = apus_stream_used(channel, count);
	if (used == 0) {
		err = apus_stream_message(channel);
		if (err)
			return err;
		used = apus_stream_used(channel, 1);
	}
	if (count > used)
		count = used;
	first = apus_stream_piece(at, capacity, count);
	memcpy(out, (const char *)slots + (at & (capacity - 1)) * message_bytes,
		first * message_bytes);
	if (first < count)
		memcpy((char *)out + first * message_bytes, slots,
			(count - first) * message_bytes);
	apus_stream_received(channel, at, count);
	return (int64_t)count;
}

APUS_INLINE apus_poll apus_stream_room_poll(struct apus_cx *cx, struct apus_stream *channel,
	uint64_t capacity)
{
	int err;

	if (apus_wait_is_broken(cx, &channel->ends.send))
		return -EPIPE;
	err = apus_stream_room(channel, capacity);
	return apus_likely(err != -EAGAIN) ? err : apus_stream_room_wait(cx, channel);
}

APUS_INLINE apus_poll apus_stream_message_poll(struct apus_cx *cx, struct apus_stream *channel)
{
	int err;

	if (apus_wait_is_broken(cx, &channel->ends.recv))
		return -EPIPE;
	err = apus_stream_message(channel);
	return apus_likely(err != -EAGAIN) ? err : apus_stream_message_wait(cx, channel);
}

APUS_END_DECLS

/* ---- sending -------------------------------------------------------------------- */

/* apus_stream_try_send(channel, value): 0, -EAGAIN, -EPIPE. */
#define apus_stream_try_send(channel_, ...)                                          \
	APUS_STREAM_SEND_(int, channel_, apus_stream_room(&apus_to_->channel,        \
		APUS_SLOT_COUNT_(apus_to_)), __VA_ARGS__)

/* apus_stream_send(cx, channel, value): an awaitable; 0, -EPIPE, -EBUSY, -ENOBUFS. */
#define apus_stream_send(cx_, channel_, ...)                                         \
	APUS_STREAM_SEND_(apus_poll, channel_, apus_stream_room_poll((cx_),          \
		&apus_to_->channel, APUS_SLOT_COUNT_(apus_to_)), __VA_ARGS__)

/* apus_stream_wait_send(channel, timeout_ns, value): blocks; 0, -EPIPE, -ETIME, -EBUSY. */
#define apus_stream_wait_send(channel_, timeout_ns_, ...)                            \
	APUS_STREAM_SEND_(int, channel_, apus_stream_room_block(&apus_to_->channel,  \
		(timeout_ns_)), __VA_ARGS__)

#define APUS_STREAM_SLOT_(to_, at_) (to_)->slots[(at_) & (APUS_SLOT_COUNT_(to_) - 1)]

#define APUS_STREAM_SEND_(answer_, channel_, room_, ...)                             \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		answer_ apus_err_ = (room_);                                         \
		if (apus_likely(apus_err_ == 0)) {                                   \
			const uint64_t apus_at_ = apus_to_->channel.ends.send.at;    \
			APUS_CHANNEL_STRICT_(                                        \
				APUS_STREAM_SLOT_(apus_to_, apus_at_) = (__VA_ARGS__);) \
			apus_stream_sent(&apus_to_->channel, apus_at_, 1);           \
		}                                                                    \
		apus_err_;                                                           \
	})

/*
 * apus_stream_try_send_many(channel, const type *from, count): the number sent, first ones
 * first, with one publish; or what apus_stream_try_send answers; -EINVAL for a count of 0.
 */
#define apus_stream_try_send_many(channel_, from_, count_)                           \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		const __typeof__(apus_to_->slots[0]) *apus_from_ =                   \
			APUS_CHANNEL_CONST_(__typeof__(apus_to_->slots[0]), from_);  \
		apus_stream_send_batch(&apus_to_->channel, &apus_to_->slots[0],      \
			APUS_SLOT_COUNT_(apus_to_), apus_from_, sizeof *apus_from_, (count_)); \
	})

/* apus_stream_send_many(cx, channel, const type *from, count): the same, awaiting room. */
#define apus_stream_send_many(cx_, channel_, from_, count_)                          \
	__extension__({                                                              \
		__typeof__(channel_) apus_many_ = (channel_);                        \
		const size_t apus_some_ = (count_);                                  \
		apus_poll apus_count_ = apus_some_ == 0 ? -EINVAL :                  \
			apus_stream_room_poll((cx_), &apus_many_->channel, APUS_SLOT_COUNT_(apus_many_)); \
		if (apus_likely(apus_count_ == 0))                                   \
			apus_count_ = apus_stream_try_send_many(apus_many_, from_, apus_some_); \
		apus_count_;                                                         \
	})

/* ---- receiving -------------------------------------------------------------------- */

/* apus_stream_try_recv(channel, type *out): 0 and *out, -EAGAIN, -EPIPE. */
#define apus_stream_try_recv(channel_, out_)                                         \
	APUS_STREAM_RECV_(int, channel_, out_, apus_stream_message(&apus_from_->channel))

/* apus_stream_recv(cx, channel, type *out): an awaitable; 0, -EPIPE, -EBUSY, -ENOBUFS. */
#define apus_stream_recv(cx_, channel_, out_)                                        \
	APUS_STREAM_RECV_(apus_poll, channel_, out_, apus_stream_message_poll((cx_), \
		&apus_from_->channel))

/* apus_stream_wait_recv(channel, timeout_ns, type *out): blocks; 0, -EPIPE, -ETIME, -EBUSY. */
#define apus_stream_wait_recv(channel_, timeout_ns_, out_)                           \
	APUS_STREAM_RECV_(int, channel_, out_, apus_stream_message_block(&apus_from_->channel, \
		(timeout_ns_)))

#define APUS_STREAM_RECV_(answer_, channel_, out_, message_)                         \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0]) *apus_out_ =                        \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0]), out_);  \
		answer_ apus_err_ = (message_);                                      \
		if (apus_likely(apus_err_ == 0)) {                                   \
			const uint64_t apus_at_ = apus_from_->channel.ends.recv.at;  \
			*apus_out_ = APUS_STREAM_SLOT_(apus_from_, apus_at_);        \
			apus_stream_received(&apus_from_->channel, apus_at_, 1);     \
		}                                                                    \
		apus_err_;                                                           \
	})

/*
 * apus_stream_try_recv_many(channel, type *out, count): the number received, or what
 * apus_stream_try_recv answers; -EINVAL for a count of 0.
 */
#define apus_stream_try_recv_many(channel_, out_, count_)                            \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0]) *apus_out_ =                        \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0]), out_);  \
		apus_stream_recv_batch(&apus_from_->channel, &apus_from_->slots[0],  \
			APUS_SLOT_COUNT_(apus_from_), apus_out_, sizeof *apus_out_, (count_)); \
	})

/* apus_stream_recv_many(cx, channel, type *out, count): the same, awaiting the first. */
#define apus_stream_recv_many(cx_, channel_, out_, count_)                           \
	__extension__({                                                              \
		__typeof__(channel_) apus_many_ = (channel_);                        \
		const size_t apus_some_ = (count_);                                  \
		apus_poll apus_count_ = apus_some_ == 0 ? -EINVAL :                  \
			apus_stream_message_poll((cx_), &apus_many_->channel);       \
		if (apus_likely(apus_count_ == 0))                                   \
			apus_count_ = apus_stream_try_recv_many(apus_many_, out_, apus_some_); \
		apus_count_;                                                         \
	})

/* ---- beginning and ending ------------------------------------------------------------ */

/* 0. */
#define apus_stream_init(channel_) apus_stream_init_at(channel_, 0)

/* The same, counting from place `first`: for tests of the wrap. */
#define apus_stream_init_at(channel_, first_)                                        \
	__extension__({                                                              \
		__typeof__(channel_) apus_init_ = (channel_);                        \
		apus_stream_setup(&apus_init_->channel,                              \
			(uint64_t)((char *)&apus_init_->slots[0] - (char *)apus_init_), \
			sizeof apus_init_->slots[0], APUS_SLOT_COUNT_(apus_init_), (first_)); \
	})

/*
 * No more messages go in; what is there drains, then receiving answers -EPIPE.  From either
 * end, more than once.  What a sender on another thread puts in meanwhile may stay.
 */
#define apus_stream_close(channel_) apus_ends_close(&(channel_)->channel.ends)

/*
 * Closes; tasks of this thread's loop that wait wake with -EPIPE and are unlinked.  0: the
 * memory may go.  -EBUSY: somebody of another thread has yet to leave.
 */
#define apus_stream_deinit(channel_) apus_ends_deinit(&(channel_)->channel.ends)

/* As it was a moment ago, from any thread. */
#define apus_stream_length(channel_)                                                 \
	((uint32_t)(apus_load_relaxed(&(channel_)->channel.ends.send.at) -           \
		apus_load_relaxed(&(channel_)->channel.ends.recv.at)))
#define apus_stream_capacity(channel_) ((uint32_t)APUS_SLOT_COUNT_(channel_))
#define apus_stream_is_closed(channel_) \
	(apus_load_acquire(&(channel_)->channel.ends.gate.closed) != 0)

#endif
