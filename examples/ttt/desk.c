/* desk.c - from tick to order. */
#include "desk.h"

#include "itch.h"

static int init_feed(struct desk *desk, const struct desk_config *config)
{
	struct feed_config feed = config->feed;

	/* What is not ITCH is refused before it can use up a sequence number. */
	feed.check = itch_check;
	return feed_init(&desk->feed, &feed);
}

int desk_init(struct desk *desk, const struct desk_config *config)
{
	int err;

	memset(desk, 0, sizeof(*desk));
	err = books_init(&desk->books, config->symbol_count, config->order_limit);
	if (err == 0)
		err = init_feed(desk, config);
	if (err == 0)
		err = gateway_init(&desk->gateway, &config->gateway);
	if (err == 0)
		err = strategy_init(&desk->strategy, &config->strategy);
	if (err)
		desk_deinit(desk);
	return err;
}

void desk_deinit(struct desk *desk)
{
	strategy_deinit(&desk->strategy);
	gateway_deinit(&desk->gateway);
	feed_deinit(&desk->feed);
	books_deinit(&desk->books);
}

static void on_event(struct desk *desk, char event)
{
	if (event == ITCH_START_OF_MARKET_HOURS)
		desk->is_market_open = true;
	else if (event == ITCH_END_OF_MARKET_HOURS)
		desk->is_market_open = false;
}

/* Executions and the like name the order alone; its symbol is in the locate of all. */
static void on_message(struct desk *desk, const uint8_t *bytes, size_t size)
{
	struct itch_message message;
	int err = itch_decode(bytes, size, &message);

	if (err) {
		desk->malformed += err != -ENOMSG;
		return;
	}
	books_apply(&desk->books, &message);
	if (message.type == ITCH_DIRECTORY)
		gateway_name_stock(&desk->gateway, message.locate, message.stock);
	else if (message.type == ITCH_SYSTEM_EVENT)
		on_event(desk, message.event);
	else
		strategy_touch(&desk->strategy, message.locate);
}

static void take_all(struct desk *desk)
{
	const uint8_t *message;
	size_t size;

	while ((message = feed_take(&desk->feed, &size)) != NULL)
		on_message(desk, message, size);
}

/* Another session has begun: its first messages build the books anew. */
static void start_again(struct desk *desk)
{
	books_clear(&desk->books);
	strategy_forget(&desk->strategy);
	desk->is_market_open = false;
	desk->resets = desk->feed.counts.resets;
}

enum feed_verdict desk_packet(struct desk *desk, enum feed_line line, const uint8_t *packet,
	size_t size, int64_t now_ns)
{
	enum feed_verdict verdict = feed_offer(&desk->feed, line, packet, size, now_ns);

	if (apus_unlikely(desk->resets != desk->feed.counts.resets))
		start_again(desk);
	if (verdict == FEED_READY)
		take_all(desk);
	return verdict;
}

bool desk_request(struct desk *desk, int64_t now_ns, uint8_t *request)
{
	bool is_due = feed_request(&desk->feed, now_ns, request);

	/* It may have given a hole up: then those that waited behind it can be taken. */
	if (!is_due)
		take_all(desk);
	return is_due;
}

static int act(struct desk *desk, struct strategy_decision *decision, int64_t now_ns,
	uint8_t *bytes)
{
	struct gateway_intent *intent = &decision->intent;
	bool rests = intent->time_in_force != OUCH_IMMEDIATE_OR_CANCEL;
	int length;

	if (decision->action == STRATEGY_REPLACE) {
		length = gateway_replace(&desk->gateway, &decision->handle, intent->shares,
			intent->price, now_ns, bytes);
		rests = true;
	} else {
		length = gateway_enter(&desk->gateway, intent, now_ns, bytes, &decision->handle);
	}
	if (length > 0 && rests)
		strategy_resting(&desk->strategy, intent->locate, decision->handle);
	return length;
}

int desk_order(struct desk *desk, int64_t now_ns, uint8_t *bytes)
{
	struct strategy_decision decision;

	/* While something is missing the books are of no use to trade on. */
	if (!desk->is_trading || desk->is_held || !desk->is_market_open || !feed_is_current(&desk->feed)) {
		strategy_forget(&desk->strategy);
		return 0;
	}
	while (strategy_decide(&desk->strategy, &desk->books, &desk->gateway, now_ns, &decision)) {
		int length = act(desk, &decision, now_ns, bytes);

		/* One that the rate limit or a full table refuses is a chance gone by. */
		if (length > 0)
			return length;
	}
	return 0;
}

int desk_expire(struct desk *desk, int64_t now_ns, uint8_t *bytes)
{
	struct gateway_handle handle;

	if (!gateway_expired(&desk->gateway, now_ns, &handle))
		return 0;
	return gateway_cancel(&desk->gateway, handle, now_ns, bytes);
}

int desk_cancel_next(struct desk *desk, int64_t now_ns, uint8_t *bytes)
{
	struct gateway_handle handle;

	if (!gateway_oldest(&desk->gateway, &handle))
		return 0;
	return gateway_cancel(&desk->gateway, handle, now_ns, bytes);
}
