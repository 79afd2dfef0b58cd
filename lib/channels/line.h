/*
 * The line in which senders wait for room, tasks of any loop and threads alike.
 *
 * The first of it looks for room, by itself or woken by the bell; the others wait until they
 * are the first.  Whoever leaves, served or not, hands the front on: no room is promised to
 * anybody, so none is lost with somebody who goes away.
 */
#ifndef CHANNELS_LINE_H
#define CHANNELS_LINE_H

#include "channels/ends.h"

/* What a place in the line is told; written under the lock. */
enum apusi_place_bits { APUSI_PLACE_FIRST = 1, APUSI_PLACE_CLOSED = 2 };

/* A channel, as its line sees it: put together for a cold call. */
struct apusi_line_view {
	struct apus_line *line;
	uint32_t *queued;      /* somebody stands in it */
	const uint32_t *closed;
	struct apusi_side side; /* where the first sleeps */
	void *channel;
	/* Takes what `want` says: > 0, or -EAGAIN, or why not; is_first: whoever may wait. */
	int64_t (*claim)(void *channel, bool is_first, void *want);
	bool (*has_room)(const void *channel, uint64_t need);
};

void apusi_line_lock(struct apus_line *line);
void apusi_line_unlock(struct apus_line *line);

/* In a task: what claim answers, APUS_PENDING or -ENOBUFS.  The key of the wait is the line. */
apus_poll apusi_line_wait(struct apus_cx *cx, const struct apusi_line_view *view,
	const struct apusi_poller_kind *kind, uint64_t need, void *want);
/* In a thread: what claim answers, or -ETIME. */
int64_t apusi_line_block(const struct apusi_line_view *view, int64_t timeout_ns, uint64_t need,
	void *want);

/* What a kind is made of, for a poller whose object is the channel. */
bool apusi_line_ready(const struct apusi_line_view *view, const struct apusi_place *place);
bool apusi_line_arm(const struct apusi_line_view *view, struct apusi_poller *poller);
void apusi_line_disarm(const struct apusi_line_view *view, struct apusi_poller *poller);
void apusi_line_leave(const struct apusi_line_view *view, struct apusi_place *place);

/* Under the lock, when closed is published. */
void apusi_line_tell_closed(struct apus_line *line);

/* Breaks the waits of this thread's loop: 0, or -EBUSY: others have not left yet. */
int apusi_line_unlink(struct apus_line *line);

#endif
