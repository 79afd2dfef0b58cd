/*
 * apus/channel_local.h - a bounded ring within one loop: many senders, one receiver.
 *
 *   Units      counts of messages.
 *   Errors     -EAGAIN: full, or somebody waits in front of you (try_send); empty
 *              (try_recv).  -EPIPE: closed; the value was not even evaluated.
 *              -EBUSY: another task waits to receive.  -ENOBUFS: no wait node is left.
 *              -EINVAL: no slots, a count that is not a power of two, no room to batch.
 *   Ownership  the channel's memory is the caller's, the slots included; a channel is
 *              deinitialised before it goes.  A refused message stays the sender's, a
 *              sent one is the channel's until it is received or dropped by deinit.
 *   Threads    one thread; waiting needs its loop, the try_ half needs none.
 *   Order      first in, first out.  Messages of senders that had to wait go in in the
 *              order their senders came, and nobody overtakes them.
 *   Cost       send, receive: one compare, one copy, one store while nobody waits; no
 *              call, no atomic, no allocation.
 *
 * A sender says apus_send(cx, &channel, value): the value is assigned to the slot, so a
 * wrong type does not compile, and it is evaluated once, and only when there is room: not
 * in a poll that has to wait.  The value's expression must not use the same channel.
 *
 * Example:
 *
 *	#include <apus/task.h>
 *
 *	struct order {
 *		uint64_t id;
 *		int64_t price;
 *	};
 *
 *	APUS_CHANNEL(orders, struct order, 64)
 *
 *	struct source {
 *		struct apus_frame frame;
 *		struct orders_sender out;
 *		uint64_t id;
 *		apus_poll err;
 *	};
 *
 *	static void source_cleanup(struct apus_cx *cx, struct source *self)
 *	{
 *		(void)cx;
 *		apus_sender_drop(&self->out);
 *	}
 *
 *	APUS_TASK(source, struct source, source_cleanup)
 *	{
 *		APUS_BEGIN(cx, self);
 *		for (self->id = 1; self->id <= 1000; self->id++)
 *			APUS_TRY(self->err, apus_send(cx, self->out.to,
 *				(struct order){ self->id, 100 }));
 *		APUS_END(0);
 *	}
 *
 *	struct sink {
 *		struct apus_frame frame;
 *		struct orders *in;
 *		struct order order;
 *		apus_poll err;
 *	};
 *
 *	APUS_TASK(sink, struct sink)
 *	{
 *		APUS_BEGIN(cx, self);
 *		for (;;)
 *			APUS_TRY(self->err, apus_recv(cx, self->in, &self->order));
 *		APUS_END(0);
 *	}
 *
 *	int start(struct apus_loop *loop, struct orders *orders)
 *	{
 *		struct source source = { .id = 0 };
 *		struct sink sink = { .in = orders };
 *		int err = apus_sender_init(&source.out, orders);
 *
 *		if (!err)
 *			err = apus_spawn_slab(loop, source, &source, NULL);
 *		return err ? err : apus_spawn_slab(loop, sink, &sink, NULL);
 *	}
 */
#ifndef APUS_CHANNEL_LOCAL_H
#define APUS_CHANNEL_LOCAL_H

#include "apus/wait.h"

enum apus_channel_flags {
	APUS_CHANNEL_SEND_CLOSED = 1 << 0, /* nothing goes in any more */
	APUS_CHANNEL_RECV_CLOSED = 1 << 1, /* nothing comes out any more */
	APUS_CHANNEL_AWAITED = 1 << 2      /* the receiver waits and was not woken yet */
};

/*
 * A channel without its slots.  Written by this room only; anybody may ask through the
 * functions below.  head and tail run freely; a slot is their low bits.
 *
 * Sending is plain while fewer than send_limit messages are buffered, receiving while more
 * than recv_floor are: normally the capacity and 0.  When there is something to look at
 * first (it is closed, somebody waits) the limit is 0 and the floor is UINT64_MAX, so one
 * compare asks for everything.  One that stands so without need costs a slow call, which
 * puts it right.
 */
struct apus_channel {
	uint64_t head; /* the number of the message to receive next */
	uint64_t tail; /* the number of the message to send next */
	uint64_t send_limit;
	uint64_t recv_floor;
	uint32_t capacity; /* 0: not initialised */
	uint32_t mask;
	uint32_t sender_count;
	uint32_t flags;
	struct apus_waitq senders;
	struct apus_waitq receiver; /* one at most */
};

#define APUS_CHANNEL_CAPACITY_MAX (UINT32_C(1) << 31)

#ifdef __cplusplus
#define APUS_CHANNEL_ASSERT_ static_assert
#define APUS_CHANNEL_ONLY_(type, pointer) (pointer)
#define APUS_CHANNEL_CONST_(type, pointer) (pointer)
#define APUS_CHANNEL_STRICT_(...) __VA_ARGS__
#else
#define APUS_CHANNEL_ASSERT_ _Static_assert
/* The pointer itself, if it points to exactly that type. */
#define APUS_CHANNEL_ONLY_(type, pointer) _Generic((pointer), type *: (pointer))
#define APUS_CHANNEL_CONST_(type, pointer)                                           \
	_Generic((pointer), type *: (pointer), const type *: (pointer))
/* In C a mismatch of pointers is only warned of; here it does not compile. */
#define APUS_CHANNEL_STRICT_(...)                                                    \
	_Pragma("GCC diagnostic push")                                               \
	_Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"")             \
	_Pragma("GCC diagnostic error \"-Wint-conversion\"")                         \
	__VA_ARGS__                                                                  \
	_Pragma("GCC diagnostic pop")
#endif

/* ---- declaring ------------------------------------------------------------ */

/* The next power of two: slots are found by a mask, whatever the capacity. */
#define APUS_CHANNEL_SLOTS_(count_) \
	((count_) < 2 ? 1 : 1ull << (64 - __builtin_clzll((unsigned long long)((count_) - 1) | 1)))

/*
 * APUS_CHANNEL(name, type, capacity) declares struct name, a channel of that type with
 * its slots in it, for apus_channel_init, and struct name_sender, a handle to send
 * through.  capacity is a constant, 1 or more; memory is that of the next power of two.
 */
#define APUS_CHANNEL(name, type, capacity_)                                          \
	struct name {                                                                \
		APUS_CHANNEL_ASSERT_((capacity_) >= 1 &&                             \
			(unsigned long long)(capacity_) <= APUS_CHANNEL_CAPACITY_MAX, \
			"a channel's capacity is 1 to 2^31");                        \
		struct apus_channel channel;                                         \
		/* Take no room; their sizes say what the compiler knows. */         \
		char apus_capacity_[0][(capacity_)];                                 \
		char apus_shape_[0][APUS_CHANNEL_SLOTS_(capacity_)];                 \
		type slots[APUS_CHANNEL_SLOTS_(capacity_)];                          \
	};                                                                           \
	APUS_CHANNEL_SENDER_(name)

/*
 * APUS_CHANNEL_SLOTS(name, type) declares the same with slots that apus_channel_init_slots
 * is given: their count is chosen at run time, a power of two.
 */
#define APUS_CHANNEL_SLOTS(name, type)                                               \
	struct name {                                                                \
		struct apus_channel channel;                                         \
		char apus_shape_[0][1];                                              \
		type *slots;                                                         \
	};                                                                           \
	APUS_CHANNEL_SENDER_(name)

#define APUS_CHANNEL_SENDER_(name)                                                   \
	struct name##_sender {                                                       \
		struct name *to; /* NULL: dropped */                                 \
	};

#define APUS_CHANNEL_SHAPE_(to_) sizeof((to_)->apus_shape_[0])
#define APUS_CHANNEL_SLOT_(to_, at_)                                                 \
	(to_)->slots[(at_) & (APUS_CHANNEL_SHAPE_(to_) > 1 ?                         \
			(uint64_t)(APUS_CHANNEL_SHAPE_(to_) - 1) : (to_)->channel.mask)]

APUS_BEGIN_DECLS

/* ---- the cold half --------------------------------------------------------- */

APUS_API int apus_channel_setup(struct apus_channel *channel, uint64_t capacity,
	uint64_t slot_count);
APUS_API int apus_channel_room_slow(struct apus_channel *channel);
APUS_API apus_poll apus_channel_room_wait(struct apus_cx *cx, struct apus_channel *channel);
APUS_API int apus_channel_message_slow(struct apus_channel *channel);
APUS_API apus_poll apus_channel_message_wait(struct apus_cx *cx, struct apus_channel *channel);
APUS_API void apus_channel_close_send(struct apus_channel *channel);
APUS_API void apus_channel_close_recv(struct apus_channel *channel);
APUS_API int apus_channel_sender_add(struct apus_channel *channel);
APUS_API void apus_channel_sender_remove(struct apus_channel *channel);
APUS_API int64_t apus_channel_send_batch(struct apus_channel *channel, void *slots,
	const void *from, size_t message_bytes, size_t count);
APUS_API int64_t apus_channel_recv_batch(struct apus_channel *channel, const void *slots,
	void *out, size_t message_bytes, size_t count);
APUS_API void apus_channel_unlink(struct apus_channel *channel);

/* ---- the hot half ------------------------------------------------------------ */

APUS_INLINE uint32_t apus_channel_used(const struct apus_channel *channel)
{
	return (uint32_t)(channel->tail - channel->head);
}

/* 0 if one message may go in now. */
APUS_INLINE int apus_channel_room_try(struct apus_channel *channel)
{
	if (apus_likely(channel->tail - channel->head < channel->send_limit))
		return 0;
	return apus_channel_room_slow(channel);
}

APUS_INLINE apus_poll apus_channel_room(struct apus_cx *cx, struct apus_channel *channel)
{
	if (apus_wait_is_broken(cx, &channel->senders))
		return -EPIPE;
	if (apus_likely(channel->tail - channel->head < channel->send_limit))
		return 0;
	return apus_channel_room_wait(cx, channel);
}

APUS_INLINE void apus_channel_sent(struct apus_channel *channel, uint64_t at)
{
	/* The value's expression has not used the channel itself. */
	APUS_DEBUG_ASSERT(channel->tail == at);
	channel->tail = at + 1;
}

/* 0 if one message may come out now. */
APUS_INLINE int apus_channel_message_try(struct apus_channel *channel)
{
	if (apus_likely(channel->tail - channel->head > channel->recv_floor))
		return 0;
	return apus_channel_message_slow(channel);
}

APUS_INLINE apus_poll apus_channel_message(struct apus_cx *cx, struct apus_channel *channel)
{
	if (apus_wait_is_broken(cx, &channel->receiver))
		return -EPIPE;
	if (apus_likely(channel->tail - channel->head > channel->recv_floor))
		return 0;
	return apus_channel_message_wait(cx, channel);
}

APUS_INLINE apus_poll apus_channel_messages(struct apus_cx *cx, struct apus_channel *channel,
	const void *slots, void *out, size_t message_bytes, size_t count)
{
	int64_t taken;

	if (apus_wait_is_broken(cx, &channel->receiver))
		return -EPIPE;
	taken = apus_channel_recv_batch(channel, slots, out, message_bytes, count);
	return taken == -EAGAIN ? apus_channel_message_wait(cx, channel) : taken;
}

APUS_END_DECLS

/* ---- sending ------------------------------------------------------------------ */

/*
 * apus_try_send(channel, value): 0, or -EAGAIN: full, or a sender waits (no barging), or
 * -EPIPE.
 */
#define apus_try_send(channel_, ...)                                                 \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		int apus_err_ = apus_channel_room_try(&apus_to_->channel);           \
		if (apus_likely(apus_err_ == 0))                                     \
			APUS_CHANNEL_PUT_(apus_to_, __VA_ARGS__)                     \
		apus_err_;                                                           \
	})

/* apus_send(cx, channel, value): an awaitable; 0, -EPIPE or -ENOBUFS. */
#define apus_send(cx_, channel_, ...)                                                \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		apus_poll apus_err_ = apus_channel_room((cx_), &apus_to_->channel);  \
		if (apus_likely(apus_err_ == 0))                                     \
			APUS_CHANNEL_PUT_(apus_to_, __VA_ARGS__)                     \
		apus_err_;                                                           \
	})

#define APUS_CHANNEL_PUT_(to_, ...)                                                  \
	{                                                                            \
		const uint64_t apus_at_ = (to_)->channel.tail;                       \
		APUS_CHANNEL_STRICT_(APUS_CHANNEL_SLOT_(to_, apus_at_) = (__VA_ARGS__);) \
		apus_channel_sent(&(to_)->channel, apus_at_);                        \
	}

/*
 * apus_try_send_many(channel, const type *from, count): the number sent, first ones
 * first, or what apus_try_send answers; -EINVAL for a count of 0.
 */
#define apus_try_send_many(channel_, from_, count_)                                  \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		const __typeof__(apus_to_->slots[0]) *apus_from_ =                   \
			APUS_CHANNEL_CONST_(__typeof__(apus_to_->slots[0]), from_);  \
		apus_channel_send_batch(&apus_to_->channel, &apus_to_->slots[0],     \
			apus_from_, sizeof *apus_from_, (count_));                   \
	})

/* ---- receiving ------------------------------------------------------------------ */

/* apus_try_recv(channel, type *out): 0 and *out; -EAGAIN: empty; -EPIPE: ended. */
#define apus_try_recv(channel_, out_)                                                \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0]) *apus_out_ =                        \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0]), out_);  \
		int apus_err_ = apus_channel_message_try(&apus_from_->channel);      \
		if (apus_likely(apus_err_ == 0))                                     \
			APUS_CHANNEL_TAKE_(apus_from_, *apus_out_)                   \
		apus_err_;                                                           \
	})

/*
 * apus_recv(cx, channel, type *out): an awaitable; 0 and *out, -EPIPE: ended, -EBUSY:
 * another task waits to receive, or -ENOBUFS.
 */
#define apus_recv(cx_, channel_, out_)                                               \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0]) *apus_out_ =                        \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0]), out_);  \
		apus_poll apus_err_ = apus_channel_message((cx_), &apus_from_->channel); \
		if (apus_likely(apus_err_ == 0))                                     \
			APUS_CHANNEL_TAKE_(apus_from_, *apus_out_)                   \
		apus_err_;                                                           \
	})

#define APUS_CHANNEL_TAKE_(from_, to_)                                               \
	{                                                                            \
		const uint64_t apus_at_ = (from_)->channel.head;                     \
		(from_)->channel.head = apus_at_ + 1;                                \
		(to_) = APUS_CHANNEL_SLOT_(from_, apus_at_);                         \
	}

/*
 * apus_try_recv_many(channel, type *out, count): the number received, or what
 * apus_try_recv answers; -EINVAL for a count of 0.
 */
#define apus_try_recv_many(channel_, out_, count_)                                   \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0]) *apus_out_ =                        \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0]), out_);  \
		apus_channel_recv_batch(&apus_from_->channel, &apus_from_->slots[0], \
			apus_out_, sizeof *apus_out_, (count_));                     \
	})

/* apus_recv_many(cx, channel, type *out, count): the same, awaiting the first. */
#define apus_recv_many(cx_, channel_, out_, count_)                                  \
	__extension__({                                                              \
		__typeof__(channel_) apus_from_ = (channel_);                        \
		__typeof__(apus_from_->slots[0]) *apus_out_ =                        \
			APUS_CHANNEL_ONLY_(__typeof__(apus_from_->slots[0]), out_);  \
		apus_channel_messages((cx_), &apus_from_->channel, &apus_from_->slots[0], \
			apus_out_, sizeof *apus_out_, (count_));                     \
	})

/* ---- beginning and ending ---------------------------------------------------------- */

/* For APUS_CHANNEL.  0. */
#define apus_channel_init(channel_)                                                  \
	__extension__({                                                              \
		__typeof__(channel_) apus_init_ = (channel_);                        \
		apus_channel_setup(&apus_init_->channel,                             \
			sizeof(apus_init_->apus_capacity_[0]), APUS_CHANNEL_SHAPE_(apus_init_)); \
	})

/*
 * For APUS_CHANNEL_SLOTS: apus_channel_init_slots(channel, type *slots, count).  0, or
 * -EINVAL: no slots, or a count that is not a power of two up to 2^31.
 */
#define apus_channel_init_slots(channel_, slots_, count_)                            \
	__extension__({                                                              \
		__typeof__(channel_) apus_init_ = (channel_);                        \
		const uint64_t apus_count_ = (count_);                               \
		APUS_CHANNEL_STRICT_(apus_init_->slots = (slots_);)                  \
		apus_channel_setup(&apus_init_->channel,                             \
			apus_init_->slots != NULL ? apus_count_ : 0, apus_count_);   \
	})

/*
 * Unlinks every wait and wakes those tasks with -EPIPE; from then on the memory may go.
 * Answers how many messages nobody received.
 */
#define apus_channel_deinit(channel_)                                                \
	__extension__({                                                              \
		struct apus_channel *apus_gone_ = &(channel_)->channel;              \
		const uint32_t apus_left_ = apus_channel_used(apus_gone_);           \
		apus_channel_unlink(apus_gone_);                                     \
		apus_gone_->head = apus_gone_->tail;                                 \
		apus_left_;                                                          \
	})

/*
 * apus_channel_deinit_with(channel, drop, arg): the same, and each message that nobody
 * received is handed to void drop(void *arg, type *message), oldest first.
 */
#define apus_channel_deinit_with(channel_, drop_, arg_)                              \
	__extension__({                                                              \
		__typeof__(channel_) apus_gone_ = (channel_);                        \
		void *const apus_arg_ = (arg_);                                      \
		void (*apus_drop_)(void *, __typeof__(apus_gone_->slots[0]) *);      \
		const uint32_t apus_left_ = apus_channel_used(&apus_gone_->channel); \
		APUS_CHANNEL_STRICT_(apus_drop_ = (drop_);)                          \
		apus_channel_unlink(&apus_gone_->channel);                           \
		for (; apus_channel_used(&apus_gone_->channel) != 0; apus_gone_->channel.head++) \
			apus_drop_(apus_arg_,                                        \
				&APUS_CHANNEL_SLOT_(apus_gone_, apus_gone_->channel.head)); \
		apus_left_;                                                          \
	})

/*
 * No more messages go in: senders that wait wake with -EPIPE; what is buffered drains,
 * then receiving answers -EPIPE.  Either end may say so, more than once.
 */
#define apus_close_send(channel_) apus_channel_close_send(&(channel_)->channel)

/*
 * Nobody receives any more: as above, and receiving answers -EPIPE at once.  What is
 * buffered stays, to be counted by apus_channel_length and dropped by deinit.
 */
#define apus_close_recv(channel_) apus_channel_close_recv(&(channel_)->channel)

/* ---- counted senders ------------------------------------------------------------------ */

/*
 * A struct name_sender is a value: copy it into a task's state, send through its `to`, and
 * drop it in the task's cleanup.  When the last one is dropped the channel is closed for
 * sending.  A channel that nobody counts senders of is closed by apus_close_send alone.  A
 * handle may be dropped after deinit, but not after the channel's memory is gone.
 */

/* The first, or one more, made from the channel: 0, or -EPIPE: it is closed. */
#define apus_sender_init(sender_, channel_)                                          \
	__extension__({                                                              \
		__typeof__(sender_) apus_sender_ = (sender_);                        \
		int apus_err_;                                                       \
		APUS_CHANNEL_STRICT_(apus_sender_->to = (channel_);)                 \
		apus_err_ = apus_channel_sender_add(&apus_sender_->to->channel);     \
		if (apus_err_)                                                       \
			apus_sender_->to = NULL;                                     \
		apus_err_;                                                           \
	})

/* apus_sender_clone(copy, sender): 0, or -EPIPE: closed, or the handle was dropped. */
#define apus_sender_clone(copy_, sender_)                                            \
	__extension__({                                                              \
		__typeof__(copy_) apus_copy_ = (copy_);                              \
		int apus_err_ = -EPIPE;                                              \
		APUS_CHANNEL_STRICT_(apus_copy_->to = (sender_)->to;)                \
		if (apus_copy_->to != NULL)                                          \
			apus_err_ = apus_channel_sender_add(&apus_copy_->to->channel); \
		if (apus_err_)                                                       \
			apus_copy_->to = NULL;                                       \
		apus_err_;                                                           \
	})

/* Nothing happens to a handle that is zero or was dropped. */
#define apus_sender_drop(sender_)                                                    \
	__extension__({                                                              \
		__typeof__(sender_) apus_sender_ = (sender_);                        \
		if (apus_sender_->to != NULL)                                        \
			apus_channel_sender_remove(&apus_sender_->to->channel);      \
		apus_sender_->to = NULL;                                             \
	})

/* ---- asking ------------------------------------------------------------------------------ */

#define apus_channel_length(channel_) apus_channel_used(&(channel_)->channel)
#define apus_channel_capacity(channel_) ((channel_)->channel.capacity)
#define apus_channel_is_empty(channel_) (apus_channel_length(channel_) == 0)
/* Nothing goes in any more; there may still be messages to receive. */
#define apus_channel_is_closed(channel_)                                             \
	(((channel_)->channel.flags & APUS_CHANNEL_SEND_CLOSED) != 0)
#define apus_channel_sender_count(channel_) ((channel_)->channel.sender_count)

#endif
