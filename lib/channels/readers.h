/*
 * What a latest value and a fan-out ring share beyond their headers: beginning, and waiting.
 */
#ifndef CHANNELS_READERS_H
#define CHANNELS_READERS_H

#include "apus/channel_readers.h"
#include "channels/ends.h"

/* What a kind says of itself. */
struct apusi_shape {
	uint64_t magic;
	uint64_t slots_at, capacity, message_bytes;
};

/* 0 or -EINVAL. */
int apusi_readers_init(struct apus_readers *readers, const struct apusi_shape *shape,
	uint64_t first, uint32_t flags);
/* 0 or -EPROTO. */
int apusi_readers_check(const struct apus_readers *readers, const struct apusi_shape *shape);

/* How tasks wait: in memory of one process, and of several. */
struct apusi_readers_kind {
	struct apusi_poller_kind own, shared;
};

/* For a kind of which is_fresh(poller) says whether there is something to look at. */
#define APUSI_READERS_KIND(is_fresh)                                         \
	{                                                                    \
		{ is_fresh, apusi_readers_arm, NULL, apusi_readers_dropped }, \
		{ is_fresh, NULL, NULL, apusi_readers_dropped },              \
	}

/* A poller's object is the channel, its place.need where the reader stands. */
bool apusi_readers_arm(struct apusi_poller *poller);
void apusi_readers_dropped(struct apusi_poller *poller);

/* The running task waits, under the reader's address: APUS_PENDING or -ENOBUFS. */
apus_poll apusi_readers_pend(struct apus_cx *cx, struct apus_readers *readers,
	const struct apus_reader *reader, const struct apusi_readers_kind *kind);

/* Blocks the calling thread until is_fresh(readers, at): 0 or -ETIME. */
int apusi_readers_block(struct apus_readers *readers, uint64_t at, apusi_need_fn *is_fresh,
	int64_t timeout_ns);

#endif
