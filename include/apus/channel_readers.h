/*
 * apus/channel_readers.h - what channels with one writer and many readers are made of: the
 * writer never waits, and each reader knows for itself where it stands.
 *
 *   Units      counts of messages; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     attach: -EPROTO, the memory holds no such channel.  deinit: -EBUSY, another
 *              thread or another loop's task has not left yet: it was woken, ask again.
 *   Ownership  the caller's memory; nothing of the library points to it after deinit.  A
 *              reader is a value of its task's or thread's own; it ends with that.
 *   Threads    publish: one thread or loop at a time.  A reader: one task or thread at a time.
 *              close: any.  init, deinit: alone.
 *   Order      [G] and [H] as in channel_ends.h, with one bell for all readers.
 *   Cost       publish: one load of the bell, and of whether it is closed; once a reader has
 *              slept (or with APUS_READERS_SHARED) a locked instruction, too.  A reader that
 *              waits and does not sleep costs the writer nothing.
 *   Source     words in place of bytes, so that reading while somebody writes is defined:
 *              H.-J. Boehm, Can seqlocks get along with programming language memory
 *              models?, 2012.
 *
 *	what                  who writes it                     who reads it
 *	readers.closed        any, once                         all
 *	readers.bell          who sleeps, and who rings         the writer, after each publish
 *	readers.line          loops that wait, under its lock   who rings
 *	readers, the rest     init                              all
 *	messages              the writer                        readers
 *
 * A message is copied word by word, each stored with release and loaded with acquire: on x86
 * that costs nothing, and a reader that has seen any word of a later message also sees, in what
 * it looks at next, that its own is gone.
 *
 * In memory that processes share (APUS_READERS_SHARED) there is no pointer that another would
 * follow; what it says of its own size is believed.  A process that maps it attaches; a loop does not park while a task of its waits
 * there; deinit only closes, and who waits must have left before the memory is unmapped.
 */
#ifndef APUS_CHANNEL_READERS_H
#define APUS_CHANNEL_READERS_H

#include <string.h>

#include "apus/channel_ends.h"

enum apus_readers_flags {
	APUS_READERS_SHARED = 1 << 0 /* the memory is mapped by several processes */
};

/* Read by all for each message, and hardly ever written. */
struct apus_readers {
	uint64_t magic; /* says the kind, too */
	uint64_t first; /* the place that counting began with */
	uint64_t slots_at; /* bytes from here to the messages */
	uint32_t capacity;
	uint32_t message_bytes;
	uint32_t closed;
	uint32_t bell;
	uint32_t always;  /* bits of the bell that are never taken back */
	uint32_t blocked; /* threads that wait */
	struct apus_line line; /* loops that wait */
} __attribute__((__aligned__(APUS_CACHE_LINE)));

/* Where a reader stands. */
struct apus_reader {
	uint64_t at;
	uint64_t missed; /* messages that it did not see, in all */
	uint64_t lapped; /* fan-out: when it was last told of some, how many */
};

#define APUS_WORDS_(type_) ((sizeof(type_) + 7) / 8)

APUS_BEGIN_DECLS

APUS_API void apus_readers_ring(struct apus_readers *readers);
APUS_API void apus_readers_close(struct apus_readers *readers);
APUS_API int apus_readers_deinit(struct apus_readers *readers);

/* After a publish: wakes who sleeps. */
APUS_INLINE void apus_readers_look(struct apus_readers *readers)
{
	apus_order_compiler(); /* [G] */
	if (apus_unlikely(apus_load_relaxed(&readers->bell) != 0))
		apus_readers_ring(readers);
}

/* A message into its words, and out of them. */
APUS_INLINE void apus_words_store(uint64_t *words, const void *message, size_t bytes)
{
	uint64_t word = 0;
	size_t i;

	for (i = 0; i < bytes / 8; i++) {
		memcpy(&word, (const char *)message + 8 * i, 8);
		apus_store_release(&words[i], word);
	}
	if (bytes % 8 == 0)
		return;
	word = 0;
	memcpy(&word, (const char *)message + 8 * i, bytes % 8);
	apus_store_release(&words[i], word);
}

APUS_INLINE void apus_words_load(const uint64_t *words, void *message, size_t bytes)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < bytes / 8; i++) {
		word = apus_load_acquire(&words[i]);
		memcpy((char *)message + 8 * i, &word, 8);
	}
	if (bytes % 8 == 0)
		return;
	word = apus_load_acquire(&words[i]);
	memcpy((char *)message + 8 * i, &word, bytes % 8);
}

APUS_END_DECLS

/* What the cold half of a kind is told: where the messages lie, how many and how long. */
#define APUS_READERS_SHAPE_(to_, slots_, capacity_)                                  \
	(uint64_t)((char *)(slots_) - (char *)(to_)), (capacity_),                   \
	sizeof *(to_)->apus_type_[0]

#endif
