/* strategy.c - lean with the book. */
#include "strategy.h"

#include <stdlib.h>
#include <string.h>

int strategy_init(struct strategy *strategy, const struct strategy_config *config)
{
	size_t count = (size_t)config->symbol_count + 1;

	memset(strategy, 0, sizeof(*strategy));
	if (config->symbol_count == 0 || config->symbol_count > BOOK_LOCATE_MAX ||
	    config->ratio == 0 || config->lot == 0)
		return -EINVAL;
	strategy->config = *config;
	strategy->symbols = malloc(count * sizeof(*strategy->symbols));
	strategy->touched = malloc(count * sizeof(*strategy->touched));
	if (strategy->symbols == NULL || strategy->touched == NULL) {
		strategy_deinit(strategy);
		return -ENOMEM;
	}
	memset(strategy->touched, 0, count * sizeof(*strategy->touched));
	for (size_t locate = 0; locate < count; locate++)
		strategy->symbols[locate] = (struct strategy_symbol){.quiet_until_ns = INT64_MIN};
	return 0;
}

void strategy_deinit(struct strategy *strategy)
{
	free(strategy->symbols);
	free(strategy->touched);
	memset(strategy, 0, sizeof(*strategy));
}

void strategy_resting(struct strategy *strategy, uint32_t locate, struct gateway_handle handle)
{
	strategy->symbols[locate].resting = handle;
}

void strategy_forget(struct strategy *strategy)
{
	while (strategy->touched_count > 0)
		strategy->symbols[strategy->touched[--strategy->touched_count]].is_touched = false;
}

/* Follows the best price with the order that rests, when others have gone ahead of it. */
static bool follow(const struct books *books, const struct gateway_order *order,
	struct strategy_decision *decision)
{
	enum book_side side = (enum book_side)order->side;
	const struct book_level *best = books_best(books, order->locate, side);

	if (order->state != GATEWAY_LIVE || order->partner != 0 || order->is_canceling)
		return false;
	if (best == NULL || best->price == order->price)
		return false;
	/* Behind it there is only our own order: it is the best, or the feed lags a moment. */
	if ((side == BOOK_BID) != (best->price > order->price))
		return false;
	decision->action = STRATEGY_REPLACE;
	decision->intent = (struct gateway_intent){.locate = order->locate, .side = side,
		.shares = order->shares, .price = best->price};
	return true;
}

static bool within_limit(const struct strategy *strategy, const struct gateway *gateway,
	uint32_t locate, enum book_side side)
{
	int64_t exposure = gateway_exposure(gateway, locate, side);
	int64_t lot = strategy->config.lot, limit = strategy->config.position_limit;

	return side == BOOK_BID ? exposure + lot <= limit : exposure - lot >= -limit;
}

/* Which way the book leans; false: neither. */
static bool lean(const struct strategy *strategy, const struct book_level *bid,
	const struct book_level *ask, enum book_side *side)
{
	uint32_t ratio = strategy->config.ratio;

	if (bid == NULL || ask == NULL || ask->price - bid->price > strategy->config.spread_max)
		return false;
	*side = bid->shares >= ask->shares ? BOOK_BID : BOOK_ASK;
	return *side == BOOK_BID ? bid->shares >= ask->shares * ratio :
		ask->shares >= bid->shares * ratio;
}

static bool enter(struct strategy *strategy, const struct books *books,
	const struct gateway *gateway, uint32_t locate, struct strategy_decision *decision)
{
	const struct book_level *best[2] = {books_best(books, locate, BOOK_BID),
		books_best(books, locate, BOOK_ASK)};
	uint32_t every = strategy->config.rest_every, lot = strategy->config.lot;
	enum book_side side;
	bool rests;

	if (!lean(strategy, best[BOOK_BID], best[BOOK_ASK], &side) ||
	    !within_limit(strategy, gateway, locate, side))
		return false;
	rests = every != 0 && ++strategy->signals % every == 0;
	decision->action = STRATEGY_ENTER;
	decision->intent = (struct gateway_intent){
		.locate = locate, .side = side,
		.shares = rests || best[!side]->shares > lot ? lot : (uint32_t)best[!side]->shares,
		.price = rests ? best[side]->price : best[!side]->price,
		.time_in_force = rests ? OUCH_MARKET_HOURS : OUCH_IMMEDIATE_OR_CANCEL,
	};
	return true;
}

static bool look(struct strategy *strategy, const struct books *books,
	const struct gateway *gateway, uint32_t locate, int64_t now_ns,
	struct strategy_decision *decision)
{
	struct strategy_symbol *symbol = &strategy->symbols[locate];
	const struct gateway_order *resting = gateway_find(gateway, symbol->resting);

	if (now_ns < symbol->quiet_until_ns)
		return false;
	decision->handle = symbol->resting;
	if (resting != NULL ? !follow(books, resting, decision) :
	    !enter(strategy, books, gateway, locate, decision))
		return false;
	symbol->quiet_until_ns = apus_ns_add(now_ns, strategy->config.quiet_ns);
	return true;
}

bool strategy_decide(struct strategy *strategy, const struct books *books,
	const struct gateway *gateway, int64_t now_ns, struct strategy_decision *decision)
{
	while (strategy->touched_count > 0) {
		uint32_t locate = strategy->touched[--strategy->touched_count];

		strategy->symbols[locate].is_touched = false;
		if (look(strategy, books, gateway, locate, now_ns, decision))
			return true;
	}
	return false;
}
