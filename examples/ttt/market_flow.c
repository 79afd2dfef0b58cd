/*
 * market_flow.c - order flow that looks like a market's: most orders are added near the
 * touch and deleted again, some are reduced or replaced, few trade.
 */
#include "market.h"

/* A symbol's book is filled up below the first and thinned out above the second. */
#define POPULATION_LOW 24
#define POPULATION_HIGH 72

enum flow_action {
	FLOW_ADD, FLOW_DELETE, FLOW_CANCEL, FLOW_REPLACE, FLOW_EXECUTE, FLOW_EXECUTE_PRICE,
	FLOW_TRADE,
};

/* Of a thousand events; adds and deletes make up most of a real feed too. */
static const struct {
	uint16_t share;
	uint8_t action;
} mix[] = {
	{430, FLOW_ADD}, {300, FLOW_DELETE}, {60, FLOW_CANCEL}, {90, FLOW_REPLACE},
	{85, FLOW_EXECUTE}, {15, FLOW_EXECUTE_PRICE}, {20, FLOW_TRADE},
};

static enum flow_action draw_action(struct market *market, uint32_t locate)
{
	uint32_t population = market->books.books[locate].order_count;
	uint32_t draw = rng_below(&market->rng, 1000);

	if (population < POPULATION_LOW)
		return FLOW_ADD;
	if (population > POPULATION_HIGH)
		return FLOW_DELETE;
	for (size_t at = 0;; at++) {
		if (draw < mix[at].share)
			return (enum flow_action)mix[at].action;
		draw -= mix[at].share;
	}
}

/* Low numbers are busier, as if they were the popular stocks. */
static uint32_t draw_symbol(struct market *market)
{
	uint32_t count = market->books.symbol_count;
	uint32_t a = rng_below(&market->rng, count), b = rng_below(&market->rng, count);

	return 1 + (a < b ? a : b);
}

static enum book_side draw_side(struct market *market)
{
	return rng_one_in(&market->rng, 2) ? BOOK_BID : BOOK_ASK;
}

/* Round lots mostly. */
static uint32_t draw_shares(struct market *market)
{
	if (rng_one_in(&market->rng, 10))
		return 1 + rng_below(&market->rng, 99);
	return 100 * (1 + rng_halving(&market->rng, 9));
}

/* Near the anchor, never through the other side: what would trade is drawn as a trade. */
static uint32_t draw_price(struct market *market, uint32_t locate, enum book_side side)
{
	const struct book_level *other = books_best(&market->books, locate, (enum book_side)!side);
	uint32_t away = MARKET_TICK * (1 + rng_halving(&market->rng, 8) + rng_below(&market->rng, 4));
	uint32_t anchor = market->symbols[locate].anchor;

	if (side == BOOK_BID) {
		uint32_t price = anchor - away;

		return other != NULL && price >= other->price ? other->price - MARKET_TICK : price;
	}
	if (other != NULL && anchor + away <= other->price)
		return other->price + MARKET_TICK;
	return anchor + away;
}

static void drift(struct market *market, uint32_t locate)
{
	uint32_t *anchor = &market->symbols[locate].anchor;

	if (!rng_one_in(&market->rng, 64))
		return;
	/* Held between two dollars and ten thousand. */
	if (rng_one_in(&market->rng, 2) && *anchor > 200 * MARKET_TICK)
		*anchor -= MARKET_TICK;
	else if (*anchor < 1000000 * MARKET_TICK)
		*anchor += MARKET_TICK;
}

/* Some order not far from the touch that is not the client's, or NULL. */
static struct book_order *draw_order(struct market *market, uint32_t locate)
{
	const struct books *books = &market->books;
	enum book_side side = draw_side(market);
	const struct book_level *level = books_level(books, locate, side,
		rng_below(&market->rng, books->books[locate].ladder[side].level_count));
	struct book_order *order;

	if (level == NULL)
		return NULL;
	order = books_first(books, level);
	for (uint32_t skip = rng_halving(&market->rng, 4); skip > 0 && order->next != 0; skip--)
		order = books_order(books, order->next);
	return order->tag == 0 ? order : NULL;
}

/* ---- the events ---------------------------------------------------------------------- */

static void flow_add(struct market *market, uint32_t locate, int64_t now_ns)
{
	static const char firms[4][4] = {"APUS", "SWFT", "LARK", "WREN"};
	enum book_side side = draw_side(market);
	struct itch_message message = {
		.type = rng_one_in(&market->rng, 8) ? ITCH_ADD_ATTRIBUTED : ITCH_ADD,
		.locate = (uint16_t)locate,
		.side = market_side_code(side),
		.shares = draw_shares(market),
		.price = draw_price(market, locate, side),
	};

	if (!books_has_room(&market->books, locate, side, message.price))
		return;
	message.ref = market->next_ref++;
	memcpy(message.stock, market->symbols[locate].stock, 8);
	memcpy(message.attribution, firms[message.ref % 4], 4);
	market_publish(market, &message, now_ns);
}

static void flow_delete(struct market *market, uint32_t locate, int64_t now_ns)
{
	const struct book_order *order = draw_order(market, locate);
	struct itch_message message = {.type = ITCH_DELETE, .locate = (uint16_t)locate};

	if (order == NULL)
		return;
	message.ref = order->ref;
	market_publish(market, &message, now_ns);
}

static void flow_cancel(struct market *market, uint32_t locate, int64_t now_ns)
{
	const struct book_order *order = draw_order(market, locate);
	struct itch_message message = {.type = ITCH_CANCEL, .locate = (uint16_t)locate};

	/* A cancel leaves some; the last shares go by delete. */
	if (order == NULL || order->shares < 2)
		return;
	message.ref = order->ref;
	message.shares = 1 + rng_below(&market->rng, order->shares - 1);
	market_publish(market, &message, now_ns);
}

static void flow_replace(struct market *market, uint32_t locate, int64_t now_ns)
{
	const struct book_order *order = draw_order(market, locate);
	struct itch_message message = {.type = ITCH_REPLACE, .locate = (uint16_t)locate};

	if (order == NULL)
		return;
	message.ref = order->ref;
	message.shares = draw_shares(market);
	message.price = draw_price(market, locate, (enum book_side)order->side);
	if (!books_has_room(&market->books, locate, (enum book_side)order->side, message.price))
		return;
	message.new_ref = market->next_ref++;
	market_publish(market, &message, now_ns);
}

/* The side that the anchor has run into, else either. */
static const struct book_level *draw_prey(struct market *market, uint32_t locate)
{
	const struct book_level *bid = books_best(&market->books, locate, BOOK_BID);
	const struct book_level *ask = books_best(&market->books, locate, BOOK_ASK);
	uint32_t anchor = market->symbols[locate].anchor;

	if (ask != NULL && ask->price <= anchor)
		return ask;
	if (bid != NULL && bid->price >= anchor)
		return bid;
	return draw_side(market) == BOOK_BID ? bid : ask;
}

/* A marketable order meets one price level, whoever rests there. */
static void flow_execute(struct market *market, uint32_t locate, int64_t now_ns)
{
	const struct book_level *level = draw_prey(market, locate);
	uint32_t shares = draw_shares(market);
	uint32_t orders = level != NULL ? level->order_count : 0;

	for (; orders > 0 && shares > 0; orders--) {
		const struct book_order *order = books_first(&market->books, level);
		uint32_t part = order->shares < shares ? order->shares : shares;

		/* The level goes with its last order, and is not looked at again. */
		market_hit(market, order, part, now_ns);
		shares -= part;
	}
}

/* Executed at another price than it shows, as in a cross. */
static void flow_execute_price(struct market *market, uint32_t locate, int64_t now_ns)
{
	const struct book_order *order = draw_order(market, locate);
	struct itch_message message = {.type = ITCH_EXECUTED_PRICE, .locate = (uint16_t)locate};

	if (order == NULL)
		return;
	message.ref = order->ref;
	message.shares = 1 + rng_below(&market->rng, order->shares);
	message.price = market->symbols[locate].anchor;
	message.printable = rng_one_in(&market->rng, 4) ? 'N' : 'Y';
	message.match = market->next_match++;
	market_publish(market, &message, now_ns);
}

/* Two that nobody saw meet: no book changes, and the reference is 0 since 2014. */
static void flow_trade(struct market *market, uint32_t locate, int64_t now_ns)
{
	struct itch_message message = {
		.type = ITCH_TRADE,
		.locate = (uint16_t)locate,
		.side = market_side_code(draw_side(market)),
		.shares = draw_shares(market),
		.price = market->symbols[locate].anchor,
		.match = market->next_match++,
	};

	memcpy(message.stock, market->symbols[locate].stock, 8);
	market_publish(market, &message, now_ns);
}

void market_step(struct market *market, int64_t now_ns)
{
	static void (*const events[])(struct market *, uint32_t, int64_t) = {
		[FLOW_ADD] = flow_add, [FLOW_DELETE] = flow_delete, [FLOW_CANCEL] = flow_cancel,
		[FLOW_REPLACE] = flow_replace, [FLOW_EXECUTE] = flow_execute,
		[FLOW_EXECUTE_PRICE] = flow_execute_price, [FLOW_TRADE] = flow_trade,
	};
	uint32_t locate = draw_symbol(market);

	market->flow_count++;
	drift(market, locate);
	events[draw_action(market, locate)](market, locate, now_ns);
}
