/*
 * desk.h - the engine without its sockets: a packet of the feed goes in, orders come out.
 *
 *	desk_packet(&desk, FEED_LINE_A, packet, size, now_ns);
 *	while ((length = desk_order(&desk, now_ns, bytes)) > 0)
 *		send bytes
 *
 *   Units      nanoseconds, bytes.
 *   Errors     init: 0 or -errno.  A message that is not ITCH is counted and skipped.
 *   Ownership  feed, books, strategy and gateway are the desk's.
 *   Threads    one.
 *   Cost       the path from tick to order: no copy but into the order, no malloc.
 */
#ifndef TTT_DESK_H
#define TTT_DESK_H

#include "book.h"
#include "feed.h"
#include "gateway.h"
#include "strategy.h"

struct desk_config {
	uint32_t symbol_count;
	uint32_t order_limit;    /* in all books */
	struct feed_config feed;
	struct gateway_config gateway;
	struct strategy_config strategy;
};

struct desk {
	struct feed feed;
	struct books books;
	struct strategy strategy;
	struct gateway gateway;
	bool is_trading;         /* set by the owner once the session is up */
	bool is_held;            /* set by the owner: no orders now, whatever the books say */
	bool is_market_open;     /* between the system events that say so */
	uint64_t malformed;      /* messages that are not ITCH: the feed lets none through */
	uint64_t resets;         /* of the feed, as far as the books have followed */
};

int desk_init(struct desk *desk, const struct desk_config *config);
void desk_deinit(struct desk *desk);

/* Applies what is in sequence: this packet's messages and those that waited for them. */
enum feed_verdict desk_packet(struct desk *desk, enum feed_line line, const uint8_t *packet,
	size_t size, int64_t now_ns);

/* A request for what is missing, of MOLD_HEADER_SIZE bytes, when one is due. */
bool desk_request(struct desk *desk, int64_t now_ns, uint8_t *request);

/* The length of the next packet to send of those that the books ask for; 0: no more. */
int desk_order(struct desk *desk, int64_t now_ns, uint8_t *bytes);

/* Cancels: of an order whose time is up; at the end, of every order that is left. */
int desk_expire(struct desk *desk, int64_t now_ns, uint8_t *bytes);
int desk_cancel_next(struct desk *desk, int64_t now_ns, uint8_t *bytes);

#endif
