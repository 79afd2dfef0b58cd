/*
 * day.h - the market's day as a list of what came in, so that an exchange that was killed can
 * be where it was.
 *
 * The market is a machine without a clock, a socket or chance of its own: the same inputs at
 * the same times make the same books, the same feed and the same answers, byte for byte.  So
 * each input is written down before the market hears of it, in memory that outlives the
 * process; the next one runs through the list and goes on.
 *
 *   Units      nanoseconds, bytes.
 *   Errors     replay: 0 or -EBADMSG.  A list that is full says so in is_full, and is of no
 *              use to a replay any more; the day goes on.
 *   Ownership  the memory is the caller's; a day without memory (log NULL) keeps no list.
 *   Threads    one; whoever replays does so when the writer is dead.
 *   Cost       a copy of the input, and a store that releases it.
 */
#ifndef TTT_DAY_H
#define TTT_DAY_H

#include "market.h"

#include <apus/base.h>

enum day_input {
	DAY_OPEN, DAY_STEP, DAY_REQUEST, DAY_CANCEL_ALL, DAY_HALT, DAY_FINISH, DAY_INPUTS,
};

struct day_log {
	uint64_t bytes;      /* written in full */
	uint64_t limit;
	uint32_t is_full;
	uint8_t data[];
};

struct day {
	struct day_log *log;
	struct market *market;
};

/* The market hears of it, and it is written down before; bytes are those of a request. */
void day_take(struct day *day, enum day_input input, const uint8_t *bytes, size_t size,
	int64_t now_ns);

/* The market, as new, takes everything on the list. */
int day_replay(const struct day_log *log, struct market *market);

#endif
