/*
 * market.h - the exchange without its sockets: books, seeded order flow, matching of
 * the orders that come in, and the two tapes of what it says.
 *
 *   Units      prices in 1/10000 dollar, times in nanoseconds on the caller's clock.
 *   Errors     init: 0 or -errno.  A request that is not OUCH is counted and dropped, one
 *              that the rules refuse is answered or, where OUCH says so, ignored.
 *   Ownership  the market owns its memory, all of it from init on.
 *   Threads    one.
 *   Order      the same seed, calls and times give the same tapes, byte for byte.
 *   Cost       a step or a request: some probes and a few messages.  No malloc.
 */
#ifndef TTT_MARKET_H
#define TTT_MARKET_H

#include "book.h"
#include "counts.h"
#include "faults.h"
#include "itch.h"
#include "ouch.h"
#include "rng.h"
#include "tape.h"

#define MARKET_TICK 100                /* a cent */
#define MARKET_PRICE_MAX 1999999900u   /* OUCH: 199,999.99 dollars */
#define MARKET_SHARES_MAX 999999u      /* OUCH: below one million */

struct market_config {
	uint64_t seed;
	uint32_t symbol_count;
	uint32_t order_limit;  /* orders in all books together */
	uint32_t token_limit;  /* orders that the client may enter in a session */
	uint32_t tape_count;   /* messages that can be sent again; a power of two */
};

struct market_symbol {
	char stock[8];
	uint32_t anchor;       /* the price that the flow trades around */
};

/* An order that came in by OUCH.  It stays when dead: its token may not come again. */
struct market_order {
	struct ouch_request request; /* as entered, or as replaced */
	uint64_t ref;
	uint32_t executed;     /* in the lives of those it replaced too */
	uint32_t open;         /* 0: dead */
	uint16_t locate;
	uint8_t side;
};

struct market {
	struct books books;
	struct tape feed;      /* ITCH, as MoldUDP64 blocks */
	struct tape answers;   /* OUCH, as SoupBinTCP packets */
	struct rng rng;
	struct market_symbol *symbols;  /* by locate */
	uint16_t *stock_table;          /* open addressing: locate by stock */
	int64_t *positions;             /* the client's, in shares, by locate */
	struct market_order *orders;    /* 1 .. order_count */
	uint32_t *token_table;          /* open addressing: order by token */
	uint32_t token_mask, stock_mask;
	uint32_t order_count, order_limit;
	uint64_t next_ref, next_match;
	bool is_open;
	struct order_counts counts;
	uint64_t ignored;               /* requests that were void by the rules of OUCH */
	struct faults faults;           /* requests that were not OUCH */
	uint64_t flow_count;            /* steps taken */
};

int market_init(struct market *market, const struct market_config *config);
void market_deinit(struct market *market);

/* Start of the day: system events and the stock directory. */
void market_open(struct market *market, int64_t now_ns);
/* One event of the order flow: some messages on the feed, answers where it met the client. */
void market_step(struct market *market, int64_t now_ns);
/* What the client sent: the body of an unsequenced packet. */
void market_request(struct market *market, const uint8_t *bytes, size_t size, int64_t now_ns);
/* The client is gone: its open orders go too. */
void market_cancel_all(struct market *market, int64_t now_ns);
/* The market closes: no orders from here on; and the last messages of the day. */
void market_halt(struct market *market, int64_t now_ns);
void market_finish(struct market *market, int64_t now_ns);

/* ---- between the market's files ------------------------------------------------- */

/* Publishes a message and does to the books what it says. */
void market_publish(struct market *market, struct itch_message *message, int64_t now_ns);
void market_answer(struct market *market, struct ouch_answer *answer, int64_t now_ns);
/* Trades against a resting order, the client's included; answers the match number. */
uint64_t market_hit(struct market *market, const struct book_order *resting, uint32_t shares,
	int64_t now_ns);
/* The client's side of an execution. */
void market_fill(struct market *market, struct market_order *order, uint32_t shares,
	uint32_t price, char liquidity, uint64_t match, int64_t now_ns);

/* Whether a price on side meets the best of the other side. */
static inline bool market_crosses(const struct market *market, uint32_t locate,
	enum book_side side, uint32_t price)
{
	const struct book_level *best = books_best(&market->books, locate, (enum book_side)!side);

	if (best == NULL)
		return false;
	return side == BOOK_BID ? price >= best->price : price <= best->price;
}

static inline char market_side_code(enum book_side side)
{
	return side == BOOK_BID ? 'B' : 'S';
}

#endif
