/*
 * apus/channel_mpsc.h - from any number of threads and loops to one.
 *
 *   Units      counts of messages; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     -EAGAIN: full, or somebody waits in front of you (try_send); empty
 *              (try_recv).  -EPIPE: closed; the value was not even evaluated.  -EBUSY:
 *              another waits to receive.  -ENOBUFS: no wait node or poller of the loop is
 *              left.  -ETIME: wait_ only.  -EINVAL: no room to batch.  deinit: -EBUSY,
 *              somebody of another thread has not left yet.
 *   Ownership  the channel is the caller's memory; a refused message stays the sender's.
 *   Threads    send, close: any.  recv: one thread or loop.  init, deinit: alone, when all
 *              others have returned from their last call.
 *   Order      first in, first out per sender.  Waiting senders, tasks and threads alike,
 *              are served in the order they came, and nobody overtakes them.
 *   Cost       try_send: lock-free, one locked instruction.  try_recv: wait-free, none;
 *              reports empty while the sender of the next message is descheduled between
 *              its two steps.  Waiting for room takes a lock; nothing else does.
 *   Source     D. Vyukov, bounded MPMC queue, 2010, with one consumer.
 *
 *	what             who writes it               who reads it
 *	send.at          senders, by swap; close     senders; the receiver once it is closed
 *	slot.message     who won the swap, till [A]  receiver, after [B]
 *	slot.turn        sender [A]                  receiver [B]
 *	                 receiver [C]                senders [D]
 *	gate.queued      under the line's lock       senders
 *	line             under its lock              under its lock
 *	recv             receiver                    receiver
 *
 * The lowest bit of send.at says that it is closed, so no place is given out after that, and
 * every message whose sender was answered 0 comes before the end.
 *
 * The verbs are those of channel_spsc.h.  The value's expression is evaluated when its place
 * is taken already: it must not leave (longjmp), and others wait behind it.
 *
 * Example:
 *
 *	#include <apus/task.h>
 *
 *	struct request {
 *		uint64_t client;
 *		uint64_t id;
 *	};
 *
 *	APUS_MPSC(requests, struct request, 256)
 *
 *	int ask(struct requests *requests, uint64_t client, uint64_t id)
 *	{
 *		return apus_mpsc_wait_send(requests, APUS_SEC, (struct request){ client, id });
 *	}
 *
 *	struct server {
 *		struct apus_frame frame;
 *		struct requests *requests;
 *		struct request request;
 *		apus_poll err;
 *	};
 *
 *	APUS_TASK(server, struct server)
 *	{
 *		APUS_BEGIN(cx, self);
 *		for (;;)
 *			APUS_TRY(self->err, apus_mpsc_recv(cx, self->requests, &self->request));
 *		APUS_END(0);
 *	}
 */
#ifndef APUS_CHANNEL_MPSC_H
#define APUS_CHANNEL_MPSC_H

#include <string.h>

#include "apus/channel_ends.h"

struct apus_mpsc {
	struct apus_ends ends; /* send.at: the next place, and whether it is closed */
	struct apus_line line;
};

/* APUS_MPSC(name, type, capacity) declares struct name.  capacity: a power of two. */
#define APUS_MPSC(name, type, capacity_) APUS_TURN_CHANNEL_(name, apus_mpsc, type, capacity_)

APUS_BEGIN_DECLS

/* ---- the cold half ---------------------------------------------------------- */

APUS_API int apus_mpsc_setup(struct apus_mpsc *channel, uint64_t slots_at, uint64_t slot_bytes,
	uint64_t capacity, uint64_t first);
APUS_API apus_poll apus_mpsc_claim_wait(struct apus_cx *cx, struct apus_mpsc *channel,
	size_t count, uint64_t *at);
APUS_API apus_poll apus_mpsc_message_wait(struct apus_cx *cx, struct apus_mpsc *channel);
APUS_API int64_t apus_mpsc_claim_block(struct apus_mpsc *channel, int64_t timeout_ns,
	size_t count, uint64_t *at);
APUS_API int apus_mpsc_message_block(struct apus_mpsc *channel, int64_t timeout_ns, uint64_t *at);
APUS_API void apus_mpsc_finish(struct apus_mpsc *channel);
APUS_API int apus_mpsc_unlink(struct apus_mpsc *channel);

/* ---- the hot half ------------------------------------------------------------- */

/*
 * Takes up to count places in a row from *at on, whoever may wait: how many, -EAGAIN: full,
 * or -EPIPE.
 */
APUS_INLINE int64_t apus_mpsc_claim_any(struct apus_mpsc *channel, void *slots,
	size_t slot_bytes, uint64_t capacity, size_t count, uint64_t *at)
{
	uint64_t tail = apus_load_relaxed(&channel->ends.send.at), turn;
	size_t n;

	for (;;) {
		if (apus_unlikely(tail & 1))
			return -EPIPE;
		turn = apus_load_acquire(apus_slot_turn(slots, slot_bytes, capacity, tail)); /* [D] */
		if (apus_unlikely(turn != tail)) {
			/* A message of a round before stands there still; or others were faster. */
			if ((int64_t)(turn - tail) < 0)
				return -EAGAIN;
			tail = apus_load_relaxed(&channel->ends.send.at);
			continue;
		}
		for (n = 1; n < count && n < capacity; n++)
			if (apus_load_acquire(apus_slot_turn(slots, slot_bytes, capacity, /* [D] */
				    tail + 2 * n)) != tail + 2 * n)
				break;
		/* Relaxed: winning the places publishes nothing; [A] does. */
		if (apus_likely(apus_swap_relaxed(&channel->ends.send.at, &tail, tail + 2 * n))) {
			*at = tail;
			return (int64_t)n;
		}
	}
}

/* The same, behind those who wait. */
APUS_INLINE int64_t apus_mpsc_claim(struct apus_mpsc *channel, void *slots, size_t slot_bytes,
	uint64_t capacity, size_t count, uint64_t *at)
{
	if (apus_unlikely(apus_load_relaxed(&channel->ends.gate.queued)))
		return apus_load_relaxed(&channel->ends.send.at) & 1 ? -EPIPE : -EAGAIN;
	return apus_mpsc_claim_any(channel, slots, slot_bytes, capacity, count, at);
}

APUS_INLINE apus_poll apus_mpsc_claim_poll(struct apus_cx *cx, struct apus_mpsc *channel,
	void *slots, size_t slot_bytes, uint64_t capacity, size_t count, uint64_t *at)
{
	int64_t n;

	if (apus_wait_is_broken(cx, &channel->line))
		return -EPIPE;
	/* A task that waits for something may stand in this line. */
	if (apus_likely(cx->task->waits == NULL)) {
		n = apus_mpsc_claim(channel, slots, slot_bytes, capacity, count, at);
		if (apus_likely(n != -EAGAIN))
			return n;
	}
	return apus_mpsc_claim_wait(cx, channel, count, at);
}

/* The message stands in its slot. */
APUS_INLINE void apus_mpsc_sent(struct apus_mpsc *channel, uint64_t *turn, uint64_t at)
{
	apus_store_release(turn, at + 1); /* [A] */
	apus_bell_look(&channel->ends.gate.recv_bell, &channel->ends.recv);
}

/* Many with one publish: the first slot's turn is written last. */
APUS_INLINE void apus_mpsc_sent_many(struct apus_mpsc *channel, void *slots, size_t slot_bytes,
	uint64_t capacity, size_t message_at, const void *from, size_t message_bytes,
	uint64_t at, int64_t count)
{
	int64_t i;

	for (i = count; i-- > 0;) {
		uint64_t place = at + 2 * (uint64_t)i;
		uint64_t *turn = apus_slot_turn(slots, slot_bytes, capacity, place);

		memcpy((char *)turn + message_at,
			(const char *)from + (size_t)i * message_bytes, message_bytes);
		if (i > 0)
			apus_store_relaxed(turn, place + 1);
		else
			apus_mpsc_sent(channel, turn, place);
	}
}

/* 0 and the place to receive from, -EAGAIN or -EPIPE. */
APUS_INLINE int apus_mpsc_message(struct apus_mpsc *channel, void *slots, size_t slot_bytes,
	uint64_t capacity, uint64_t *at)
{
	const uint64_t *turn;

	*at = channel->ends.recv.at;
	turn = apus_slot_turn(slots, slot_bytes, capacity, *at);
	if (apus_likely(apus_load_acquire(turn) == *at + 1)) /* [B] */
		return 0;
	if (apus_likely(!apus_load_acquire(&channel->ends.gate.closed)))
		return -EAGAIN;
	/* Places that were given out before it was closed come before the end. */
	if (apus_load_acquire(turn) == *at + 1)
		return 0;
	return apus_load_acquire(&channel->ends.send.at) == (*at | 1) ? -EPIPE : -EAGAIN;
}

APUS_INLINE void apus_mpsc_received(struct apus_mpsc *channel, uint64_t *turn, uint64_t at,
	uint64_t capacity)
{
	apus_store_release(turn, at + capacity * 2); /* [C] */
	apus_store_relaxed(&channel->ends.recv.at, at + 2);
	apus_bell_look(&channel->ends.gate.send_bell, &channel->ends.send);
}

APUS_INLINE int64_t apus_mpsc_recv_batch(struct apus_mpsc *channel, void *slots,
	size_t slot_bytes, uint64_t capacity, size_t message_at, void *out,
	size_t message_bytes, size_t count)
{
	uint64_t at;
	size_t n, i;
	int err;

	if (count == 0)
		return -EINVAL;
	err = apus_mpsc_message(channel, slots, slot_bytes, capacity, &at);
	if (err)
		return err;
	for (n = 0; n < count && n < capacity; n++) {
		uint64_t *turn = apus_slot_turn(slots, slot_bytes, capacity, at + 2 * n);

		if (apus_load_acquire(turn) != at + 2 * n + 1) /* [B] */
			break;
		memcpy((char *)out + n * message_bytes, (char *)turn + message_at, message_bytes);
	}
	/* The first is freed last: until then nobody sees room.  Each for a sender of its own. */
	for (i = n; i-- > 0;)
		apus_store_release(apus_slot_turn(slots, slot_bytes, capacity, at + 2 * i), /* [C] */
			at + 2 * (i + capacity));
	apus_store_relaxed(&channel->ends.recv.at, at + 2 * n);
	apus_bell_look(&channel->ends.gate.send_bell, &channel->ends.send);
	return (int64_t)n;
}

APUS_INLINE apus_poll apus_mpsc_message_poll(struct apus_cx *cx, struct apus_mpsc *channel,
	void *slots, size_t slot_bytes, uint64_t capacity, uint64_t *at)
{
	int err;

	if (apus_wait_is_broken(cx, &channel->ends.recv))
		return -EPIPE;
	err = apus_mpsc_message(channel, slots, slot_bytes, capacity, at);
	return apus_likely(err != -EAGAIN) ? err : apus_mpsc_message_wait(cx, channel);
}

APUS_END_DECLS

/* ---- sending -------------------------------------------------------------------- */

/* apus_mpsc_try_send(channel, value): 0, -EAGAIN, -EPIPE. */
#define apus_mpsc_try_send(channel_, ...)                                            \
	APUS_MPSC_SEND_(int, channel_, apus_mpsc_claim(&apus_to_->channel,           \
		APUS_SLOTS_(apus_to_), 1, &apus_at_), __VA_ARGS__)

/* apus_mpsc_send(cx, channel, value): an awaitable; 0, -EPIPE, -ENOBUFS. */
#define apus_mpsc_send(cx_, channel_, ...)                                           \
	APUS_MPSC_SEND_(apus_poll, channel_, apus_mpsc_claim_poll((cx_), &apus_to_->channel, \
		APUS_SLOTS_(apus_to_), 1, &apus_at_), __VA_ARGS__)

/* apus_mpsc_wait_send(channel, timeout_ns, value): blocks; 0, -EPIPE, -ETIME. */
#define apus_mpsc_wait_send(channel_, timeout_ns_, ...)                              \
	APUS_MPSC_SEND_(int, channel_, apus_mpsc_claim_block(&apus_to_->channel,     \
		(timeout_ns_), 1, &apus_at_), __VA_ARGS__)

#define APUS_MPSC_SEND_(answer_, channel_, claim_, ...)                              \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		uint64_t apus_at_ = 0;                                               \
		apus_poll apus_claimed_ = (claim_);                                  \
		if (apus_likely(apus_claimed_ == 1)) {                               \
			__typeof__(&apus_to_->slots[0]) apus_slot_ =                 \
				APUS_TURN_SLOT_(apus_to_, apus_at_);                 \
			APUS_CHANNEL_STRICT_(apus_slot_->message = (__VA_ARGS__);)   \
			apus_mpsc_sent(&apus_to_->channel, &apus_slot_->turn, apus_at_); \
			apus_claimed_ = 0;                                           \
		}                                                                    \
		(answer_)apus_claimed_;                                              \
	})

/*
 * apus_mpsc_try_send_many(channel, const type *from, count): the number sent, first ones
 * first, with one publish and nobody's between; or what apus_mpsc_try_send answers; -EINVAL
 * for a count of 0.
 */
#define apus_mpsc_try_send_many(channel_, from_, count_)                             \
	APUS_MPSC_SEND_MANY_(channel_, from_, count_, apus_mpsc_claim(&apus_to_->channel, \
		APUS_SLOTS_(apus_to_), apus_some_, &apus_at_))

/* apus_mpsc_send_many(cx, channel, const type *from, count): the same, awaiting room. */
#define apus_mpsc_send_many(cx_, channel_, from_, count_)                            \
	APUS_MPSC_SEND_MANY_(channel_, from_, count_, apus_mpsc_claim_poll((cx_),    \
		&apus_to_->channel, APUS_SLOTS_(apus_to_), apus_some_, &apus_at_))

#define APUS_MPSC_SEND_MANY_(channel_, from_, count_, claim_)                        \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		const __typeof__(apus_to_->slots[0].message) *apus_from_ =           \
			APUS_CHANNEL_CONST_(__typeof__(apus_to_->slots[0].message), from_); \
		const size_t apus_some_ = (count_);                                  \
		uint64_t apus_at_ = 0;                                               \
		apus_poll apus_claimed_ = apus_some_ == 0 ? -EINVAL : (claim_);      \
		if (apus_claimed_ > 0)                                               \
			apus_mpsc_sent_many(&apus_to_->channel, APUS_SLOTS_(apus_to_), \
				APUS_MESSAGE_AT_(apus_to_), apus_from_, sizeof *apus_from_, \
				apus_at_, apus_claimed_);                            \
		apus_claimed_;                                                       \
	})

/* ---- receiving -------------------------------------------------------------------- */

/* apus_mpsc_try_recv(channel, type *out): 0 and *out, -EAGAIN, -EPIPE. */
#define apus_mpsc_try_recv(channel_, out_)                                           \
	APUS_MPSC_RECV_(int, channel_, out_, apus_mpsc_message(&apus_from_->channel, \
		APUS_SLOTS_(apus_from_), &apus_at_))

/* apus_mpsc_recv(cx, channel, type *out): an awaitable; 0, -EPIPE, -EBUSY, -ENOBUFS. */
#define apus_mpsc_recv(cx_, channel_, out_)                                          \
	APUS_MPSC_RECV_(apus_poll, channel_, out_, apus_mpsc_message_poll((cx_),     \
		&apus_from_->channel, APUS_SLOTS_(apus_from_), &apus_at_))

/* apus_mpsc_wait_recv(channel, timeout_ns, type *out): blocks; 0, -EPIPE, -ETIME, -EBUSY. */
#define apus_mpsc_wait_recv(channel_, timeout_ns_, out_)                             \
	APUS_MPSC_RECV_(int, channel_, out_, apus_mpsc_message_block(&apus_from_->channel, \
		(timeout_ns_), &apus_at_))

#define APUS_MPSC_RECV_(answer_, channel_, out_, message_)                           \
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
			apus_mpsc_received(&apus_from_->channel, &apus_slot_->turn,  \
				apus_at_, APUS_SLOT_COUNT_(apus_from_));             \
		}                                                                    \
		apus_err_;                                                           \
	})

/*
 * apus_mpsc_try_recv_many(channel, type *out, count): the number received, or what
 * apus_mpsc_try_recv answers; -EINVAL for a count of 0.
 */
#define apus_mpsc_try_recv_many(channel_, out_, count_)                              \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0].message) *apus_out_ =                \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0].message), out_); \
		apus_mpsc_recv_batch(&apus_from_->channel, APUS_SLOTS_(apus_from_),  \
			APUS_MESSAGE_AT_(apus_from_), apus_out_, sizeof *apus_out_, (count_)); \
	})

/* apus_mpsc_recv_many(cx, channel, type *out, count): the same, awaiting the first. */
#define apus_mpsc_recv_many(cx_, channel_, out_, count_)                             \
	__extension__({                                                              \
		__typeof__(channel_) apus_many_ = (channel_);                        \
		const size_t apus_some_ = (count_);                                  \
		uint64_t apus_at_;                                                   \
		apus_poll apus_count_ = apus_some_ == 0 ? -EINVAL :                  \
			apus_mpsc_message_poll((cx_), &apus_many_->channel,          \
				APUS_SLOTS_(apus_many_), &apus_at_);                 \
		if (apus_likely(apus_count_ == 0))                                   \
			apus_count_ = apus_mpsc_try_recv_many(apus_many_, out_, apus_some_); \
		apus_count_;                                                         \
	})

/* ---- beginning and ending ------------------------------------------------------------ */

/* 0. */
#define apus_mpsc_init(channel_) apus_mpsc_init_at(channel_, 0)

/* The same, counting from place `first`, an even number: for tests of the wrap. */
#define apus_mpsc_init_at(channel_, first_)                                          \
	__extension__({                                                              \
		__typeof__(channel_) apus_init_ = (channel_);                        \
		apus_mpsc_setup(&apus_init_->channel,                                \
			(uint64_t)((char *)&apus_init_->slots[0] - (char *)apus_init_), \
			sizeof apus_init_->slots[0], APUS_SLOT_COUNT_(apus_init_), (first_)); \
	})

/*
 * No more messages go in; what is there drains, then receiving answers -EPIPE.  From any
 * thread, more than once.
 */
#define apus_mpsc_close(channel_) apus_mpsc_finish(&(channel_)->channel)

/*
 * Closes; tasks of this thread's loop that wait wake with -EPIPE and are unlinked.  0: the
 * memory may go.  -EBUSY: somebody of another thread has yet to leave.
 */
#define apus_mpsc_deinit(channel_) apus_mpsc_unlink(&(channel_)->channel)

/* As it was a moment ago, from any thread; places whose message is on its way count. */
#define apus_mpsc_length(channel_)                                                   \
	((uint32_t)((apus_load_relaxed(&(channel_)->channel.ends.send.at) -          \
		apus_load_relaxed(&(channel_)->channel.ends.recv.at)) / 2))
#define apus_mpsc_capacity(channel_) ((uint32_t)APUS_SLOT_COUNT_(channel_))
#define apus_mpsc_is_closed(channel_) \
	(apus_load_acquire(&(channel_)->channel.ends.gate.closed) != 0)

#endif
