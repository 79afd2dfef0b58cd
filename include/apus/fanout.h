/*
 * apus/fanout.h - a ring with one writer and any number of readers, each of which sees every
 * message or is told how many it missed; also between processes.
 *
 *   Units      counts of messages; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     publish: -EPIPE, closed; the value was not even evaluated.  recv: -EAGAIN
 *              (try_), nothing is there yet; -EPIPE, closed, and it has read the last;
 *              -EOVERFLOW, the writer has lapped this reader: apus_fanout_lapped says by how
 *              many messages, and the next call goes on behind them.  -ENOBUFS: no wait node
 *              or poller of the loop is left.  -ETIME: wait_ only.  -EINVAL: no room to batch.
 *              attach: -EPROTO, the memory holds no such ring.  deinit: -EBUSY, somebody of
 *              another thread has not left yet.
 *   Ownership  the ring is the caller's memory; messages are copied.  A reader is a value of
 *              its task's or thread's own, valid as long as the ring; it ends with that.
 *   Threads    publish, resume: one thread or loop at a time.  reader_init: any.  recv: the
 *              reader's.  close: any.  init, deinit: alone.
 *   Order      each reader sees messages in the order they were published.  What was written
 *              before a publish is seen by who reads its message.
 *   Cost       publish: wait-free, also of the readers' number; no locked instruction until a
 *              reader has slept.  recv: wait-free, no store to what others see.
 *   Source     a turn in each slot: D. Vyukov, bounded MPMC queue, 2010; each slot a sequence
 *              lock as in latest.h; readers that find out by themselves: T. Montgomery,
 *              M. Thompson, Aeron's broadcast buffer, 2014.
 *
 *	what          who writes it                  who reads it
 *	at            writer, before the turn [W]    who begins to read, and who was lapped [L]
 *	slot.turn     writer: taken [T], full [A]    readers [B], and again behind the copy [C]
 *	slot.words    writer, behind [T]             readers, between [B] and [C]
 *
 * The turn of a slot is `place` while the message of that place is being written, or awaited,
 * and place + 1 once it stands there; places go in steps of two.  [C] finds the turn as it was:
 * then the copy is whole, for a word of a later message is stored behind [T].  at counts what
 * was begun, so who is lapped goes on at a place that is ahead of its own.
 *
 * Who was lapped goes on half a ring behind the writer: nearer it would miss more than it must,
 * further it would be lapped again at once.
 *
 * A writer that has died in the middle of a publish has left a place that will not be filled;
 * the next one calls apus_fanout_resume first, and begins at that place.
 *
 * Example:
 *
 *	#include <apus/task.h>
 *
 *	struct tick {
 *		uint64_t symbol;
 *		int64_t price;
 *	};
 *
 *	APUS_FANOUT(ticks, struct tick, 4096)
 *
 *	int feed(struct ticks *ticks, uint64_t symbol, int64_t price)
 *	{
 *		return apus_fanout_publish(ticks, (struct tick){ symbol, price });
 *	}
 *
 *	struct strategy {
 *		struct apus_frame frame;
 *		struct ticks *ticks;
 *		struct ticks_reader reader;
 *		struct tick tick;
 *		uint64_t lost;
 *		apus_poll err;
 *	};
 *
 *	APUS_TASK(strategy, struct strategy)
 *	{
 *		APUS_BEGIN(cx, self);
 *		apus_fanout_reader_init(&self->reader, self->ticks, 0);
 *		for (;;) {
 *			APUS_AWAIT(self->err, apus_fanout_recv(cx, &self->reader, &self->tick));
 *			if (self->err == -EOVERFLOW)
 *				self->lost += apus_fanout_lapped(&self->reader);
 *			else if (self->err)
 *				return self->err;
 *		}
 *		APUS_END(0);
 *	}
 */
#ifndef APUS_FANOUT_H
#define APUS_FANOUT_H

#include "apus/channel_readers.h"

struct apus_fanout {
	struct apus_readers readers;
	uint64_t at __attribute__((__aligned__(APUS_CACHE_LINE))); /* the place to write next */
};

/*
 * APUS_FANOUT(name, type, capacity) declares struct name, and struct name_reader.  capacity: a
 * power of two.
 */
#define APUS_FANOUT(name, type, capacity_)                                           \
	struct name {                                                                \
		APUS_POWER_ASSERT_(capacity_);                                       \
		struct apus_fanout channel;                                          \
		struct {                                                             \
			uint64_t turn;                                               \
			uint64_t words[APUS_WORDS_(type)];                           \
		} slots[(capacity_)] __attribute__((__aligned__(APUS_CACHE_LINE)));  \
		type *apus_type_[0]; /* takes no room: says the type */              \
	};                                                                           \
	struct name##_reader {                                                       \
		struct name *from;                                                   \
		struct apus_reader reader;                                           \
	};

APUS_BEGIN_DECLS

/* ---- the cold half ---------------------------------------------------------- */

APUS_API int apus_fanout_setup(struct apus_fanout *channel, uint64_t slots_at,
	uint64_t capacity, uint64_t message_bytes, uint64_t first, uint32_t flags);
APUS_API int apus_fanout_check(const struct apus_fanout *channel, uint64_t slots_at,
	uint64_t capacity, uint64_t message_bytes);
APUS_API uint64_t apus_fanout_rewind(struct apus_fanout *channel);
APUS_API void apus_fanout_begin(const struct apus_fanout *channel, struct apus_reader *reader,
	uint64_t backlog);
APUS_API int apus_fanout_overflow(const struct apus_fanout *channel, struct apus_reader *reader);
APUS_API apus_poll apus_fanout_wait(struct apus_cx *cx, struct apus_fanout *channel,
	struct apus_reader *reader);
APUS_API int apus_fanout_block(struct apus_fanout *channel, const struct apus_reader *reader,
	int64_t timeout_ns);

/* ---- the hot half ------------------------------------------------------------- */

APUS_INLINE void apus_fanout_store(struct apus_fanout *channel, void *slots, size_t slot_bytes,
	uint64_t capacity, const void *message, size_t bytes)
{
	uint64_t at = apus_load_relaxed(&channel->at);
	uint64_t *turn = apus_slot_turn(slots, slot_bytes, capacity, at);

	apus_store_relaxed(&channel->at, at + 2); /* [W] */
	apus_store_release(turn, at); /* [T] */
	apus_words_store(turn + 1, message, bytes);
	apus_store_release(turn, at + 1); /* [A] */
	apus_readers_look(&channel->readers);
}

/* Many with one publish: the first turn is filled last, and nobody reads behind it before. */
APUS_INLINE int64_t apus_fanout_store_batch(struct apus_fanout *channel, void *slots,
	size_t slot_bytes, uint64_t capacity, const void *from, size_t bytes, size_t count)
{
	uint64_t at = apus_load_relaxed(&channel->at), place;
	size_t n = count < capacity ? count : (size_t)capacity, i;

	if (n == 0)
		return -EINVAL;
	if (apus_unlikely(apus_load_relaxed(&channel->readers.closed)))
		return -EPIPE;
	apus_store_relaxed(&channel->at, at + 2 * n); /* [W] */
	for (i = 0; i < n; i++) {
		uint64_t *turn;

		place = at + 2 * i;
		turn = apus_slot_turn(slots, slot_bytes, capacity, place);
		apus_store_release(turn, place); /* [T] */
		apus_words_store(turn + 1, (const char *)from + i * bytes, bytes);
	}
	for (i = n; i-- > 0;) {
		place = at + 2 * i;
		apus_store_release(apus_slot_turn(slots, slot_bytes, capacity, place), place + 1); /* [A] */
	}
	apus_readers_look(&channel->readers);
	return (int64_t)n;
}

/* True: the message of that place is copied, whole. */
APUS_INLINE bool apus_fanout_copy(const uint64_t *turn, uint64_t at, void *out, size_t bytes)
{
	if (apus_load_acquire(turn) != at + 1) /* [B] */
		return false;
	apus_words_load(turn + 1, out, bytes);
	return apus_likely(apus_load_acquire(turn) == at + 1); /* [C] */
}

/* Why the reader's next message could not be copied. */
APUS_INLINE int apus_fanout_refuse(const struct apus_fanout *channel, struct apus_reader *reader,
	const uint64_t *turn, uint32_t closed)
{
	int64_t ahead = (int64_t)(apus_load_acquire(turn) - reader->at);

	if (apus_unlikely(ahead > 1))
		return apus_fanout_overflow(channel, reader);
	/* 1: it has come since. */
	return apus_likely(!closed) || ahead == 1 ? -EAGAIN : -EPIPE;
}

APUS_INLINE int apus_fanout_take(const struct apus_fanout *channel, struct apus_reader *reader,
	const void *slots, size_t slot_bytes, uint64_t capacity, void *out, size_t bytes)
{
	const uint64_t *turn = apus_slot_turn((void *)(uintptr_t)slots, slot_bytes, capacity,
		reader->at);
	/* Before the turn: what was published before it was closed is seen. */
	uint32_t closed = apus_load_acquire(&channel->readers.closed);

	if (apus_unlikely(!apus_fanout_copy(turn, reader->at, out, bytes)))
		return apus_fanout_refuse(channel, reader, turn, closed);
	reader->at += 2;
	return 0;
}

/* Stops in front of what was missed: the next call tells. */
APUS_INLINE int64_t apus_fanout_take_batch(const struct apus_fanout *channel,
	struct apus_reader *reader, const void *slots, size_t slot_bytes, uint64_t capacity,
	void *out, size_t bytes, size_t count)
{
	size_t n;
	int err;

	if (count == 0)
		return -EINVAL;
	err = apus_fanout_take(channel, reader, slots, slot_bytes, capacity, out, bytes);
	if (err)
		return err;
	for (n = 1; n < count; n++) {
		if (!apus_fanout_copy(apus_slot_turn((void *)(uintptr_t)slots, slot_bytes, capacity,
				reader->at), reader->at, (char *)out + n * bytes, bytes))
			break;
		reader->at += 2;
	}
	return (int64_t)n;
}

/* The key of the wait is the reader: nothing of the channel is touched when it is broken. */
APUS_INLINE apus_poll apus_fanout_poll(struct apus_cx *cx, struct apus_fanout *channel,
	struct apus_reader *reader, const void *slots, size_t slot_bytes, uint64_t capacity,
	void *out, size_t bytes, size_t count)
{
	int64_t n;

	if (apus_wait_is_broken(cx, reader))
		return -EPIPE;
	n = apus_fanout_take_batch(channel, reader, slots, slot_bytes, capacity, out, bytes, count);
	return apus_likely(n != -EAGAIN) ? n : apus_fanout_wait(cx, channel, reader);
}

APUS_INLINE int apus_fanout_take_block(struct apus_fanout *channel, struct apus_reader *reader,
	const void *slots, size_t slot_bytes, uint64_t capacity, void *out, size_t bytes,
	int64_t timeout_ns)
{
	int err = apus_fanout_take(channel, reader, slots, slot_bytes, capacity, out, bytes);

	if (err != -EAGAIN)
		return err;
	err = apus_fanout_block(channel, reader, timeout_ns);
	if (err)
		return err;
	return apus_fanout_take(channel, reader, slots, slot_bytes, capacity, out, bytes);
}

APUS_END_DECLS

/* ---- writing -------------------------------------------------------------------- */

/* apus_fanout_publish(channel, value): 0 or -EPIPE; never waits for a reader. */
#define apus_fanout_publish(channel_, ...)                                           \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		int apus_err_ = -EPIPE;                                              \
		if (apus_likely(!apus_load_relaxed(&apus_to_->channel.readers.closed))) { \
			APUS_CHANNEL_STRICT_(__typeof__(*apus_to_->apus_type_[0])     \
				apus_message_ = (__VA_ARGS__);)                      \
			apus_fanout_store(&apus_to_->channel, APUS_SLOTS_(apus_to_), \
				&apus_message_, sizeof apus_message_);               \
			apus_err_ = 0;                                               \
		}                                                                    \
		apus_err_;                                                           \
	})

/*
 * apus_fanout_publish_many(channel, const type *from, count): how many, first ones first, with
 * one publish, at most the capacity; -EPIPE; -EINVAL for a count of 0.
 */
#define apus_fanout_publish_many(channel_, from_, count_)                            \
	__extension__({                                                              \
		__typeof__(channel_) apus_to_ = (channel_);                          \
		const __typeof__(*apus_to_->apus_type_[0]) *apus_from_ =              \
			APUS_CHANNEL_CONST_(__typeof__(*apus_to_->apus_type_[0]), from_); \
		apus_fanout_store_batch(&apus_to_->channel, APUS_SLOTS_(apus_to_),   \
			apus_from_, sizeof *apus_from_, (count_));                   \
	})

/* The writer before is no more: how many messages it had begun, which are begun anew. */
#define apus_fanout_resume(channel_) apus_fanout_rewind(&(channel_)->channel)

/* ---- reading -------------------------------------------------------------------- */

/* Begins with the message that comes next, or up to backlog before it. */
#define apus_fanout_reader_init(reader_, channel_, backlog_)                         \
	__extension__({                                                              \
		__typeof__(reader_) apus_new_ = (reader_);                           \
		APUS_CHANNEL_STRICT_(apus_new_->from = (channel_);)                  \
		apus_fanout_begin(&apus_new_->from->channel, &apus_new_->reader, (backlog_)); \
	})

/* apus_fanout_try_recv(reader, type *out): 0 and *out, -EAGAIN, -EPIPE, -EOVERFLOW. */
#define apus_fanout_try_recv(reader_, out_)                                          \
	APUS_FANOUT_RECV_(reader_, out_, apus_fanout_take(APUS_FANOUT_FROM_))

/* apus_fanout_recv(cx, reader, type *out): an awaitable; 0, -EPIPE, -EOVERFLOW, -ENOBUFS. */
#define apus_fanout_recv(cx_, reader_, out_)                                         \
	__extension__({                                                              \
		apus_poll apus_one_ = APUS_FANOUT_RECV_(reader_, out_,               \
			apus_fanout_poll((cx_), APUS_FANOUT_FROM_, 1));              \
		apus_one_ == 1 ? 0 : apus_one_;                                      \
	})

/* apus_fanout_wait_recv(reader, timeout_ns, type *out): blocks; or -ETIME. */
#define apus_fanout_wait_recv(reader_, timeout_ns_, out_)                            \
	APUS_FANOUT_RECV_(reader_, out_, apus_fanout_take_block(APUS_FANOUT_FROM_, (timeout_ns_)))

/*
 * apus_fanout_try_recv_many(reader, type *out, count): how many, or what apus_fanout_try_recv
 * answers; -EINVAL for a count of 0.
 */
#define apus_fanout_try_recv_many(reader_, out_, count_)                             \
	APUS_FANOUT_RECV_(reader_, out_, apus_fanout_take_batch(APUS_FANOUT_FROM_, (count_)))

/* apus_fanout_recv_many(cx, reader, type *out, count): the same, awaiting the first. */
#define apus_fanout_recv_many(cx_, reader_, out_, count_)                            \
	APUS_FANOUT_RECV_(reader_, out_, apus_fanout_poll((cx_), APUS_FANOUT_FROM_, (count_)))

#define APUS_FANOUT_FROM_                                                            \
	&apus_from_->channel, &apus_reader_->reader, APUS_SLOTS_(apus_from_), apus_out_, \
	sizeof *apus_out_

#define APUS_FANOUT_RECV_(reader_, out_, take_)                                      \
	__extension__({                                                              \
		__typeof__(reader_) apus_reader_ = (reader_);                        \
		__typeof__(apus_reader_->from) apus_from_ = apus_reader_->from;      \
		__typeof__(*apus_from_->apus_type_[0]) *apus_out_ = APUS_CHANNEL_ONLY_( \
			__typeof__(*apus_from_->apus_type_[0]), out_);                \
		(take_);                                                             \
	})

/* Behind -EOVERFLOW: how many messages it missed; and in all, since it began. */
#define apus_fanout_lapped(reader_) ((uint64_t)(reader_)->reader.lapped)
#define apus_fanout_missed(reader_) ((uint64_t)(reader_)->reader.missed)

/* ---- beginning and ending ------------------------------------------------------------ */

/* 0. */
#define apus_fanout_init(channel_) apus_fanout_init_at(channel_, 0, 0)
/* In memory that other processes map, too, and attach. */
#define apus_fanout_init_shared(channel_)                                            \
	apus_fanout_init_at(channel_, 0, APUS_READERS_SHARED)
/* The same, counting from place `first`, an even number: for tests of the wrap. */
#define apus_fanout_init_at(channel_, first_, flags_)                                \
	__extension__({                                                              \
		__typeof__(channel_) apus_init_ = (channel_);                        \
		apus_fanout_setup(&apus_init_->channel, APUS_READERS_SHAPE_(apus_init_, \
			&apus_init_->slots[0], APUS_SLOT_COUNT_(apus_init_)), (first_), (flags_)); \
	})

/* In the process that mapped it: 0, or -EPROTO: it is none, or one of another type or size. */
#define apus_fanout_attach(channel_)                                                 \
	apus_fanout_check(&(channel_)->channel, APUS_READERS_SHAPE_((channel_),      \
		&(channel_)->slots[0], APUS_SLOT_COUNT_(channel_)))

/* Nothing more is published; what is there is read, and then -EPIPE.  More than once. */
#define apus_fanout_close(channel_) apus_readers_close(&(channel_)->channel.readers)

/*
 * Closes; tasks of this thread's loop that wait wake with -EPIPE and are unlinked.  0: the
 * memory may go.  -EBUSY: somebody of another thread has yet to leave.
 */
#define apus_fanout_deinit(channel_) apus_readers_deinit(&(channel_)->channel.readers)

/* How many were published so far, or begun; from any thread. */
#define apus_fanout_count(channel_)                                                  \
	((uint64_t)(apus_load_relaxed(&(channel_)->channel.at) -                     \
		(channel_)->channel.readers.first) / 2)
#define apus_fanout_capacity(channel_) ((uint32_t)APUS_SLOT_COUNT_(channel_))
#define apus_fanout_is_closed(channel_) \
	(apus_load_acquire(&(channel_)->channel.readers.closed) != 0)

#endif
