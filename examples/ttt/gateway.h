/*
 * gateway.h - the engine's order book-keeping: tokens, open orders, the rate limit,
 * positions, and what has been sent, answered and filled.
 *
 *   Units      shares, prices in 1/10000 dollar, nanoseconds.
 *   Errors     enter, replace, cancel: the length of the packet to be sent, or -EAGAIN (the
 *              rate limit), -ENOSPC (no order slot), -ESTALE (that order is gone), -EBUSY
 *              (a replacement of it is under way), -ENOTCONN (no connection).
 *   Ownership  the gateway owns its memory; the bytes are the caller's, GATEWAY_PACKET_MAX
 *              long, and must be sent: they are counted.
 *   Threads    one.
 *   Order      a token is used once.  Orders time out in the order in which they were sent.
 *   Cost       O(1) each; resume, abandon, check: O(orders).  No malloc after init.
 *
 * When the connection breaks, what was sent last may or may not have arrived.  Nothing is
 * decided then: the orders stay open, and count against the limits.  The exchange cancels them
 * as it sees the break, and the next login brings every answer that was missed, those cancels
 * included.  Once the session has caught up, an order that was never answered has never arrived,
 * and gateway_resume closes it.  Where the exchange knows the session no more gateway_abandon
 * closes all of them.
 */
#ifndef TTT_GATEWAY_H
#define TTT_GATEWAY_H

#include "book.h"
#include "counts.h"
#include "faults.h"
#include "ouch.h"
#include "soup.h"

#include <apus/base.h>

#define GATEWAY_PACKET_MAX (SOUP_HEADER_SIZE + OUCH_REQUEST_MAX)

struct gateway_config {
	uint32_t symbol_count;
	uint32_t order_limit;    /* open at once */
	uint32_t rate;           /* new orders and replacements a second; 0: no limit */
	uint32_t burst;          /* of them at once */
	int64_t timeout_ns;      /* an order that is still open then is cancelled */
	char firm[5];
};

enum gateway_state { GATEWAY_FREE, GATEWAY_SENT, GATEWAY_LIVE };

/* Names an order; one that is gone answers -ESTALE, also when its slot is used again. */
struct gateway_handle {
	uint32_t slot, serial;
};

struct gateway_order {
	uint32_t serial;
	uint32_t older, newer;  /* by stamp; newer alone when free */
	uint32_t partner;       /* the slot that replaces this one, or that this one replaces */
	uint32_t shares;        /* as ordered, what has been executed included */
	uint32_t executed;
	uint32_t open;
	uint32_t price;
	int64_t stamp_ns;       /* when it, or a cancel for it, was last sent */
	uint16_t locate;
	uint8_t side;
	uint8_t state;
	bool is_canceling;
	bool is_replacement;    /* not answered yet: the partner is what it replaces */
};

struct gateway {
	struct gateway_config config;
	struct gateway_order *orders;  /* by slot; 0 is not used */
	int64_t *positions;            /* by locate */
	int64_t *working[2];           /* open shares by side and locate */
	char (*stocks)[8];             /* by locate, from the directory */
	uint32_t free_head, oldest, newest;
	uint32_t open_count;
	uint32_t serial;
	int64_t allowance_ns;          /* the token bucket, in time */
	int64_t allowance_at_ns;
	struct order_counts counts;
	bool is_connected;
	uint64_t throttled, timed_out, voided;
	uint64_t breaks;               /* of the connection */
	uint64_t never_entered, never_replaced; /* requests that have never arrived */
	uint64_t abandoned;            /* orders that ended with their session */
	uint64_t unknown;              /* answers that fit no order */
	struct faults faults;          /* answers that are not OUCH */
};

struct gateway_intent {
	uint32_t locate, shares, price, time_in_force;
	enum book_side side;
};

int gateway_init(struct gateway *gateway, const struct gateway_config *config);
void gateway_deinit(struct gateway *gateway);
void gateway_name_stock(struct gateway *gateway, uint32_t locate, const char *stock);

int gateway_enter(struct gateway *gateway, const struct gateway_intent *intent, int64_t now_ns,
	uint8_t *bytes, struct gateway_handle *handle);
/* A new price and size (executed shares included) under a new token. */
int gateway_replace(struct gateway *gateway, struct gateway_handle *handle, uint32_t shares,
	uint32_t price, int64_t now_ns, uint8_t *bytes);
int gateway_cancel(struct gateway *gateway, struct gateway_handle handle, int64_t now_ns,
	uint8_t *bytes);

/* The connection, taken to be there at first: it caught up; it is gone; it is to another session. */
void gateway_resume(struct gateway *gateway);
void gateway_break(struct gateway *gateway);
void gateway_abandon(struct gateway *gateway);

/* NULL, or what does not fit together, in words. */
const char *gateway_check(const struct gateway *gateway);

/* What the exchange answered: the body of a sequenced packet. */
void gateway_answer(struct gateway *gateway, const uint8_t *bytes, size_t size);

/* The oldest order that nobody asked to be cancelled yet, or whose time is up; false: none. */
bool gateway_oldest(const struct gateway *gateway, struct gateway_handle *handle);
bool gateway_expired(const struct gateway *gateway, int64_t now_ns,
	struct gateway_handle *handle);
int64_t gateway_deadline_ns(const struct gateway *gateway);

/* The order that a token of ours names, which may be gone; false: it names none. */
bool gateway_parse_token(const struct gateway *gateway, const char *token,
	struct gateway_handle *handle);

/* NULL when the order is gone. */
static inline const struct gateway_order *gateway_find(const struct gateway *gateway,
	struct gateway_handle handle)
{
	const struct gateway_order *order = &gateway->orders[handle.slot];

	return order->state != GATEWAY_FREE && order->serial == handle.serial ? order : NULL;
}

/* The position if every open order of that side were filled. */
static inline int64_t gateway_exposure(const struct gateway *gateway, uint32_t locate,
	enum book_side side)
{
	return side == BOOK_BID ? gateway->positions[locate] + gateway->working[side][locate] :
		gateway->positions[locate] - gateway->working[side][locate];
}

#endif
