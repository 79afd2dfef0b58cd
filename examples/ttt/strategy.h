/*
 * strategy.h - a simple one, so that ticks turn into orders: it leans with the book.  Where
 * one side shows several times the shares of the other, and the spread is narrow, it takes
 * the thin side; every so often it joins the thick side instead, and follows the price.
 *
 *   Units      shares, prices in 1/10000 dollar, nanoseconds.
 *   Errors     init: 0 or -errno; decisions are values.
 *   Ownership  it owns its memory; books and gateway are read, never changed.
 *   Cost       O(1) a symbol that was touched.  No malloc after init.
 */
#ifndef TTT_STRATEGY_H
#define TTT_STRATEGY_H

#include "book.h"
#include "gateway.h"

struct strategy_config {
	uint32_t symbol_count;
	uint32_t ratio;          /* the thick side shows at least so many times the thin one */
	uint32_t spread_max;     /* in price units */
	uint32_t lot;            /* shares an order */
	int64_t position_limit;  /* shares a symbol, open orders included */
	int64_t quiet_ns;        /* between two orders in a symbol */
	uint32_t rest_every;     /* one order in so many rests; 0: none */
};

enum strategy_action { STRATEGY_ENTER, STRATEGY_REPLACE };

struct strategy_decision {
	enum strategy_action action;
	struct gateway_intent intent;
	struct gateway_handle handle; /* replace: of the order; enter that rests: put it there */
};

struct strategy_symbol {
	struct gateway_handle resting;
	int64_t quiet_until_ns;
	bool is_touched;
};

struct strategy {
	struct strategy_config config;
	struct strategy_symbol *symbols; /* by locate */
	uint16_t *touched;               /* locates whose book has changed, each once */
	uint32_t touched_count;
	uint64_t signals;
};

int strategy_init(struct strategy *strategy, const struct strategy_config *config);
void strategy_deinit(struct strategy *strategy);

/* A message has changed that book. */
static inline void strategy_touch(struct strategy *strategy, uint32_t locate)
{
	struct strategy_symbol *symbol = &strategy->symbols[locate];

	if (locate == 0 || locate > strategy->config.symbol_count || symbol->is_touched)
		return;
	symbol->is_touched = true;
	strategy->touched[strategy->touched_count++] = (uint16_t)locate;
}

/* The next decision over what was touched, each symbol once; false: no more. */
bool strategy_decide(struct strategy *strategy, const struct books *books,
	const struct gateway *gateway, int64_t now_ns, struct strategy_decision *decision);

/* The books are not current: what was touched is forgotten. */
void strategy_forget(struct strategy *strategy);

/* What became of a decision: the order that rests now. */
void strategy_resting(struct strategy *strategy, uint32_t locate, struct gateway_handle handle);

#endif
