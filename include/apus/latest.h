/*
 * apus/latest.h - the latest value: one writer overwrites it, any number of readers see the
 * newest; also between processes.
 *
 *   Units      counts of values; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     publish: -EPIPE, closed; the value was not even evaluated.  read: -EAGAIN,
 *              nothing was published yet.  recv: -EAGAIN (try_), nothing newer than what this
 *              reader saw last; -EPIPE, closed, and it has seen the last.  -ENOBUFS: no
 *              wait node or poller of the loop is left.  -ETIME: wait_ only.  attach:
 *              -EPROTO, the memory holds no such slot.  deinit: -EBUSY, somebody of another
 *              thread has not left yet.
 *   Ownership  the slot is the caller's memory; values are copied.  A reader is a value of
 *              its task's or thread's own, valid as long as the slot; it ends with that.
 *   Threads    publish: one thread or loop at a time.  read, reader_init: any.  recv: the
 *              reader's.  close: any.  init, deinit: alone.
 *   Order      a reader never sees an older value after a newer one.  What was written before
 *              a publish is seen by who reads its value.
 *   Cost       publish: wait-free, no locked instruction until a reader has slept.  read,
 *              recv: no store to what others see; lock-free: they begin anew when a value
 *              was published while they copied, and a writer that stands still, or has died,
 *              at whatever point, holds up nobody.
 *   Source     a sequence lock: C. Lameter, Effective synchronization on Linux/NUMA systems,
 *              2005; with two copies in turn, so that readers never wait for the writer:
 *              M. Desnoyers, Linux's raw_write_seqcount_latch, 2014.
 *
 *	what               who writes it        who reads it
 *	cells[at + 1]      writer, before [A]   nobody, or a reader that begins anew
 *	at                 writer [A]           readers [B], and again behind the copy [C]
 *
 * [C] finds at unchanged: then the writer was at most in the other cell meanwhile.  A value it
 * wrote over this one was stored behind the at that it follows, so who has seen some of it
 * sees at changed, too.
 *
 *   apus_latest_read                    the newest, seen before or not
 *   apus_latest_try_recv, recv, wait_recv   a newer one than this reader saw last
 *
 * Example:
 *
 *	#include <apus/task.h>
 *
 *	struct quote {
 *		int64_t bid, ask;
 *	};
 *
 *	APUS_LATEST(best, struct quote)
 *
 *	int quote_set(struct best *best, int64_t bid, int64_t ask)
 *	{
 *		return apus_latest_publish(best, (struct quote){ bid, ask });
 *	}
 *
 *	int64_t mid(const struct best *best)
 *	{
 *		struct quote quote;
 *
 *		return apus_latest_read(best, &quote) == 0 ? (quote.bid + quote.ask) / 2 : 0;
 *	}
 *
 *	struct follow {
 *		struct apus_frame frame;
 *		struct best *best;
 *		struct best_reader reader;
 *		struct quote quote;
 *		apus_poll err;
 *	};
 *
 *	APUS_TASK(follow, struct follow)
 *	{
 *		APUS_BEGIN(cx, self);
 *		apus_latest_reader_init(&self->reader, self->best);
 *		for (;;)
 *			APUS_TRY(self->err, apus_latest_recv(cx, &self->reader, &self->quote));
 *		APUS_END(0);
 *	}
 */
#ifndef APUS_LATEST_H
#define APUS_LATEST_H

#include "apus/channel_readers.h"

/*
 * APUS_LATEST(name, type) declares struct name, and struct name_reader.  A small value lies
 * in one cache line, both copies of it.
 */
#define APUS_LATEST(name, type)                                                      \
	struct name {                                                                \
		struct apus_readers readers;                                         \
		struct {                                                             \
			uint64_t at;                                                 \
			uint64_t cells[2][APUS_WORDS_(type)];                        \
		} value __attribute__((__aligned__(APUS_CACHE_LINE)));               \
		type *apus_type_[0]; /* takes no room: says the type */              \
	};                                                                           \
	struct name##_reader {                                                       \
		struct name *from;                                                   \
		struct apus_reader reader;                                           \
	};

APUS_BEGIN_DECLS

/* ---- the cold half ---------------------------------------------------------- */

APUS_API int apus_latest_setup(struct apus_readers *readers, uint64_t value_at,
	uint64_t capacity, uint64_t message_bytes, uint64_t first, uint32_t flags);
APUS_API int apus_latest_check(const struct apus_readers *readers, uint64_t value_at,
	uint64_t capacity, uint64_t message_bytes);
APUS_API void apus_latest_begin(const struct apus_readers *readers, struct apus_reader *reader);
APUS_API apus_poll apus_latest_wait(struct apus_cx *cx, struct apus_readers *readers,
	struct apus_reader *reader);
APUS_API int apus_latest_block(struct apus_readers *readers, const struct apus_reader *reader,
	int64_t timeout_ns);

/* ---- the hot half ------------------------------------------------------------- */

APUS_INLINE void apus_latest_store(struct apus_readers *readers, uint64_t *at, uint64_t *cells,
	const void *message, size_t bytes)
{
	uint64_t next = apus_load_relaxed(at) + 1;

	apus_words_store(cells + (next & 1) * ((bytes + 7) / 8), message, bytes);
	apus_store_release(at, next); /* [A] */
	apus_readers_look(readers);
}

/* The newest into *out; seen: the at that it has.  Which at it is. */
APUS_INLINE uint64_t apus_latest_load(const uint64_t *at, const uint64_t *cells, uint64_t seen,
	void *out, size_t bytes)
{
	for (;;) {
		uint64_t before = seen;

		apus_words_load(cells + (before & 1) * ((bytes + 7) / 8), out, bytes);
		seen = apus_load_acquire(at); /* [C] */
		if (apus_likely(seen == before))
			return seen;
	}
}

APUS_INLINE int apus_latest_peek(const struct apus_readers *readers, const uint64_t *at,
	const uint64_t *cells, void *out, size_t bytes)
{
	uint64_t seen = apus_load_acquire(at); /* [B] */

	if (apus_unlikely(seen == readers->first))
		return -EAGAIN;
	apus_latest_load(at, cells, seen, out, bytes);
	return 0;
}

APUS_INLINE int apus_latest_take(const struct apus_readers *readers, struct apus_reader *reader,
	const uint64_t *at, const uint64_t *cells, void *out, size_t bytes)
{
	/* Before at: what was published before it was closed is seen. */
	uint32_t closed = apus_load_acquire(&readers->closed);
	uint64_t seen = apus_load_acquire(at); /* [B] */

	if (apus_likely(seen == reader->at))
		return apus_likely(!closed) ? -EAGAIN : -EPIPE;
	seen = apus_latest_load(at, cells, seen, out, bytes);
	reader->missed += seen - reader->at - 1;
	reader->at = seen;
	return 0;
}

/* The key of the wait is the reader: nothing of the channel is touched when it is broken. */
APUS_INLINE apus_poll apus_latest_poll(struct apus_cx *cx, struct apus_readers *readers,
	struct apus_reader *reader, const uint64_t *at, const uint64_t *cells, void *out,
	size_t bytes)
{
	int err;

	if (apus_wait_is_broken(cx, reader))
		return -EPIPE;
	err = apus_latest_take(readers, reader, at, cells, out, bytes);
	return apus_likely(err != -EAGAIN) ? err : apus_latest_wait(cx, readers, reader);
}

APUS_INLINE int apus_latest_take_block(struct apus_readers *readers, struct apus_reader *reader,
	const uint64_t *at, const uint64_t *cells, void *out, size_t bytes, int64_t timeout_ns)
{
	int err = apus_latest_take(readers, reader, at, cells, out, bytes);

	if (err != -EAGAIN)
		return err;
	err = apus_latest_block(readers, reader, timeout_ns);
	return err ? err : apus_latest_take(readers, reader, at, cells, out, bytes);
}

APUS_END_DECLS

/* ---- writing -------------------------------------------------------------------- */

/* apus_latest_publish(latest, value): 0 or -EPIPE. */
#define apus_latest_publish(latest_, ...)                                            \
	__extension__({                                                              \
		__typeof__(latest_) apus_to_ = (latest_);                            \
		int apus_err_ = -EPIPE;                                              \
		if (apus_likely(!apus_load_relaxed(&apus_to_->readers.closed))) {    \
			APUS_CHANNEL_STRICT_(__typeof__(*apus_to_->apus_type_[0])     \
				apus_message_ = (__VA_ARGS__);)                      \
			apus_latest_store(&apus_to_->readers, &apus_to_->value.at,   \
				&apus_to_->value.cells[0][0], &apus_message_,        \
				sizeof apus_message_);                               \
			apus_err_ = 0;                                               \
		}                                                                    \
		apus_err_;                                                           \
	})

/* ---- reading -------------------------------------------------------------------- */

/* apus_latest_read(latest, type *out): 0, and the newest in *out, or -EAGAIN. */
#define apus_latest_read(latest_, out_)                                              \
	__extension__({                                                              \
		__typeof__(latest_) apus_from_ = (latest_);                          \
		__typeof__(*apus_from_->apus_type_[0]) *apus_out_ = APUS_CHANNEL_ONLY_( \
			__typeof__(*apus_from_->apus_type_[0]), out_);                \
		apus_latest_peek(&apus_from_->readers, &apus_from_->value.at,        \
			&apus_from_->value.cells[0][0], apus_out_, sizeof *apus_out_); \
	})

/* The value that there is, if there is one, is the first it receives. */
#define apus_latest_reader_init(reader_, latest_)                                    \
	__extension__({                                                              \
		__typeof__(reader_) apus_new_ = (reader_);                           \
		APUS_CHANNEL_STRICT_(apus_new_->from = (latest_);)                   \
		apus_latest_begin(&apus_new_->from->readers, &apus_new_->reader);    \
	})

/* apus_latest_try_recv(reader, type *out): 0 and *out, -EAGAIN, -EPIPE. */
#define apus_latest_try_recv(reader_, out_)                                          \
	APUS_LATEST_RECV_(reader_, out_, apus_latest_take(                           \
		&apus_from_->readers, &apus_reader_->reader, APUS_LATEST_VALUE_))

/* apus_latest_recv(cx, reader, type *out): an awaitable; 0, -EPIPE, -ENOBUFS. */
#define apus_latest_recv(cx_, reader_, out_)                                         \
	APUS_LATEST_RECV_(reader_, out_, apus_latest_poll((cx_),                     \
		&apus_from_->readers, &apus_reader_->reader, APUS_LATEST_VALUE_))

/* apus_latest_wait_recv(reader, timeout_ns, type *out): blocks; 0, -EPIPE, -ETIME. */
#define apus_latest_wait_recv(reader_, timeout_ns_, out_)                            \
	APUS_LATEST_RECV_(reader_, out_, apus_latest_take_block(                     \
		&apus_from_->readers, &apus_reader_->reader, APUS_LATEST_VALUE_, (timeout_ns_)))

#define APUS_LATEST_VALUE_                                                           \
	&apus_from_->value.at, &apus_from_->value.cells[0][0], apus_out_, sizeof *apus_out_

#define APUS_LATEST_RECV_(reader_, out_, take_)                                      \
	__extension__({                                                              \
		__typeof__(reader_) apus_reader_ = (reader_);                        \
		__typeof__(apus_reader_->from) apus_from_ = apus_reader_->from;      \
		__typeof__(*apus_from_->apus_type_[0]) *apus_out_ = APUS_CHANNEL_ONLY_( \
			__typeof__(*apus_from_->apus_type_[0]), out_);                \
		(take_);                                                             \
	})

/* Values that were overwritten before this reader saw them, since it began. */
#define apus_latest_missed(reader_) ((uint64_t)(reader_)->reader.missed)

/* ---- beginning and ending ------------------------------------------------------------ */

/* 0. */
#define apus_latest_init(latest_) apus_latest_init_at(latest_, 0, 0)
/* In memory that other processes map, too, and attach. */
#define apus_latest_init_shared(latest_)                                             \
	apus_latest_init_at(latest_, 0, APUS_READERS_SHARED)
/* The same, counting from `first`: for tests of the wrap. */
#define apus_latest_init_at(latest_, first_, flags_)                                 \
	__extension__({                                                              \
		__typeof__(latest_) apus_init_ = (latest_);                          \
		apus_latest_setup(&apus_init_->readers, APUS_READERS_SHAPE_(apus_init_, \
			&apus_init_->value, 2), (first_), (flags_));                 \
	})

/* In the process that mapped it: 0, or -EPROTO: it is none, or one of another type. */
#define apus_latest_attach(latest_)                                                  \
	apus_latest_check(&(latest_)->readers, APUS_READERS_SHAPE_((latest_),        \
		&(latest_)->value, 2))

/* Nothing more is published; the last value stays.  From any thread, more than once. */
#define apus_latest_close(latest_) apus_readers_close(&(latest_)->readers)

/*
 * Closes; tasks of this thread's loop that wait wake with -EPIPE and are unlinked.  0: the
 * memory may go.  -EBUSY: somebody of another thread has yet to leave.
 */
#define apus_latest_deinit(latest_) apus_readers_deinit(&(latest_)->readers)

/* How many were published so far; from any thread. */
#define apus_latest_count(latest_)                                                   \
	((uint64_t)(apus_load_acquire(&(latest_)->value.at) - (latest_)->readers.first))
#define apus_latest_is_closed(latest_) (apus_load_acquire(&(latest_)->readers.closed) != 0)

#endif
