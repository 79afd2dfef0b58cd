/* market_orders.c - the client's orders: check, match, rest, replace, cancel. */
#include "market.h"

#include "wire.h"

/* ---- tokens and stocks ------------------------------------------------------------- */

static uint32_t token_seek(const struct market *market, const char *token)
{
	uint64_t head, tail;
	uint32_t at, index;

	memcpy(&head, token, 8);
	memcpy(&tail, token + OUCH_TOKEN_SIZE - 8, 8);
	at = (uint32_t)rng_mix(head * 3 + tail) & market->token_mask;
	while ((index = market->token_table[at]) != 0 &&
	       memcmp(market->orders[index].request.token, token, OUCH_TOKEN_SIZE) != 0)
		at = (at + 1) & market->token_mask;
	return at;
}

static struct market_order *order_find(struct market *market, const char *token)
{
	uint32_t index = market->token_table[token_seek(market, token)];

	return index != 0 ? &market->orders[index] : NULL;
}

/* NULL when the session has used up its tokens. */
static struct market_order *order_claim(struct market *market, const char *token)
{
	struct market_order *order;

	if (market->order_count == market->order_limit)
		return NULL;
	order = &market->orders[++market->order_count];
	memset(order, 0, sizeof(*order));
	memcpy(order->request.token, token, OUCH_TOKEN_SIZE);
	market->token_table[token_seek(market, token)] = market->order_count;
	return order;
}

static uint32_t stock_find(const struct market *market, const char *stock)
{
	uint32_t at = (uint32_t)rng_mix(wire_get64((const uint8_t *)stock));
	uint32_t locate;

	for (; (locate = market->stock_table[at & market->stock_mask]) != 0; at++)
		if (memcmp(market->symbols[locate].stock, stock, 8) == 0)
			return locate;
	return 0;
}

/* ---- answers ------------------------------------------------------------------------- */

static void answer_rejected(struct market *market, const char *token, char reason, int64_t now_ns)
{
	struct ouch_answer answer = {.type = OUCH_REJECTED, .reason = reason};

	memcpy(answer.token, token, OUCH_TOKEN_SIZE);
	market->counts.rejected++;
	market_answer(market, &answer, now_ns);
}

static void answer_canceled(struct market *market, const struct market_order *order,
	uint32_t shares, char reason, int64_t now_ns)
{
	struct ouch_answer answer = {.type = OUCH_CANCELED, .shares = shares, .reason = reason};

	memcpy(answer.token, order->request.token, OUCH_TOKEN_SIZE);
	market->counts.canceled++;
	market_answer(market, &answer, now_ns);
}

/* Accepted, or replaced where there is a previous token. */
static void answer_live(struct market *market, const struct market_order *order,
	const char *previous_token, int64_t now_ns)
{
	const struct ouch_request *request = &order->request;
	struct ouch_answer answer = {
		.type = previous_token != NULL ? OUCH_REPLACED : OUCH_ACCEPTED,
		.side = request->side, .ref = order->ref, .shares = order->open,
		.price = request->price, .time_in_force = request->time_in_force,
		.minimum_shares = request->minimum_shares, .display = request->display,
		.capacity = request->capacity, .iso = request->iso, .cross = request->cross,
		.state = 'L', .bbo_weight = ' ',
	};

	memcpy(answer.token, request->token, OUCH_TOKEN_SIZE);
	memcpy(answer.stock, request->stock, 8);
	memcpy(answer.firm, request->firm, 4);
	if (previous_token != NULL) {
		memcpy(answer.previous_token, previous_token, OUCH_TOKEN_SIZE);
		market->counts.replaced++;
	} else {
		market->counts.accepted++;
	}
	market_answer(market, &answer, now_ns);
}

/* ---- executions ------------------------------------------------------------------------ */

void market_fill(struct market *market, struct market_order *order, uint32_t shares,
	uint32_t price, char liquidity, uint64_t match, int64_t now_ns)
{
	struct ouch_answer answer = {.type = OUCH_EXECUTED, .shares = shares, .price = price,
		.liquidity = liquidity, .match = match};

	order->executed += shares;
	order->open -= shares;
	if (order->side == BOOK_BID) {
		market->positions[order->locate] += shares;
		market->counts.shares_bought += shares;
	} else {
		market->positions[order->locate] -= shares;
		market->counts.shares_sold += shares;
	}
	market->counts.executed++;
	memcpy(answer.token, order->request.token, OUCH_TOKEN_SIZE);
	market_answer(market, &answer, now_ns);
}

uint64_t market_hit(struct market *market, const struct book_order *resting, uint32_t shares,
	int64_t now_ns)
{
	uint32_t owner = resting->tag, price = resting->price;
	struct itch_message message = {.type = ITCH_EXECUTED, .locate = resting->locate,
		.ref = resting->ref, .shares = shares, .match = market->next_match++};

	market_publish(market, &message, now_ns);
	if (owner != 0)
		market_fill(market, &market->orders[owner], shares, price, 'A', message.match,
			now_ns);
	return message.match;
}

/* Trades while the other side meets the price.  False: it met an order of its own client. */
static bool match(struct market *market, struct market_order *order, int64_t now_ns)
{
	enum book_side other = (enum book_side)!order->side;

	while (order->open > 0 && market_crosses(market, order->locate,
		(enum book_side)order->side, order->request.price)) {
		const struct book_order *resting = books_first(&market->books,
			books_best(&market->books, order->locate, other));
		uint32_t shares = resting->shares < order->open ? resting->shares : order->open;
		uint32_t price = resting->price;
		uint64_t number;

		if (resting->tag != 0)
			return false;
		number = market_hit(market, resting, shares, now_ns);
		market_fill(market, order, shares, price, 'R', number, now_ns);
	}
	return true;
}

/* What is left of an order dies. */
static void cancel_rest(struct market *market, struct market_order *order, char reason,
	int64_t now_ns)
{
	uint32_t open = order->open;

	order->open = 0;
	answer_canceled(market, order, open, reason, now_ns);
}

static void rest(struct market *market, struct market_order *order, int64_t now_ns)
{
	struct itch_message message = {.type = ITCH_ADD, .locate = order->locate,
		.side = market_side_code((enum book_side)order->side), .ref = order->ref,
		.shares = order->open, .price = order->request.price};

	memcpy(message.stock, order->request.stock, 8);
	market_publish(market, &message, now_ns);
	books_find(&market->books, order->ref)->tag = (uint32_t)(order - market->orders);
}

/* From accepted to filled, resting or canceled. */
static void work(struct market *market, struct market_order *order, int64_t now_ns)
{
	if (!match(market, order, now_ns))
		cancel_rest(market, order, 'Q', now_ns);
	else if (order->open == 0)
		return;
	else if (order->request.time_in_force == OUCH_IMMEDIATE_OR_CANCEL)
		cancel_rest(market, order, 'I', now_ns);
	else if (!books_has_room(&market->books, order->locate, (enum book_side)order->side,
		order->request.price))
		cancel_rest(market, order, 'Z', now_ns);
	else
		rest(market, order, now_ns);
}

/* ---- requests --------------------------------------------------------------------------- */

/* Why it is refused, or 0: prices far off the market are errors; no minimum quantities here. */
static char find_fault(const struct market *market, uint32_t locate,
	const struct ouch_request *request)
{
	uint32_t anchor = market->symbols[locate].anchor, price = request->price;

	if (!market->is_open)
		return 'C';
	if (request->shares == 0 || request->shares > MARKET_SHARES_MAX)
		return 'Z';
	if (request->minimum_shares != 0)
		return 'N';
	if (price > MARKET_PRICE_MAX || price % MARKET_TICK != 0)
		return 'X';
	return price < anchor / 2 || price > anchor * 2 ? 'X' : 0;
}

static void enter(struct market *market, const struct ouch_request *request, int64_t now_ns)
{
	uint32_t locate = stock_find(market, request->stock);
	char fault = locate == 0 ? 'S' : find_fault(market, locate, request);
	struct market_order *order;

	market->counts.entered++;
	if (order_find(market, request->token) != NULL) {
		market->ignored++;
		return;
	}
	order = order_claim(market, request->token);
	if (order == NULL || fault != 0) {
		answer_rejected(market, request->token, order == NULL ? 'O' : fault, now_ns);
		return;
	}
	order->request = *request;
	order->ref = market->next_ref++;
	order->locate = (uint16_t)locate;
	order->side = request->side == 'B' ? BOOK_BID : BOOK_ASK;
	order->open = request->shares;
	answer_live(market, order, NULL, now_ns);
	work(market, order, now_ns);
}

static void cancel(struct market *market, const struct ouch_request *request, int64_t now_ns)
{
	struct market_order *order = order_find(market, request->token);
	struct itch_message message = {.type = ITCH_DELETE};
	uint32_t keep, shares;

	market->counts.cancels++;
	if (order == NULL || order->open == 0) {
		market->ignored++;
		return;
	}
	keep = request->shares > order->executed ? request->shares - order->executed : 0;
	if (keep >= order->open) {
		market->ignored++;
		return;
	}
	shares = order->open - keep;
	message.type = keep > 0 ? ITCH_CANCEL : ITCH_DELETE;
	message.locate = order->locate;
	message.ref = order->ref;
	message.shares = shares;
	market_publish(market, &message, now_ns);
	order->open = keep;
	answer_canceled(market, order, shares, 'U', now_ns);
}

/* The order that takes another's place; what that one has executed counts on. */
static void succeed(struct market_order *order, const struct market_order *old,
	const struct ouch_request *request)
{
	order->request = old->request;
	memcpy(order->request.token, request->new_token, OUCH_TOKEN_SIZE);
	order->request.shares = request->shares;
	order->request.price = request->price;
	order->request.time_in_force = request->time_in_force;
	order->request.minimum_shares = request->minimum_shares;
	order->request.display = request->display;
	order->request.iso = request->iso;
	order->locate = old->locate;
	order->side = old->side;
	order->executed = old->executed;
	order->open = request->shares - old->executed;
}

/* In the books: in one message where it goes on resting, else out, and in like a new one. */
static void replace_in_books(struct market *market, struct market_order *old,
	struct market_order *order, int64_t now_ns)
{
	struct itch_message message = {.type = ITCH_REPLACE, .locate = order->locate,
		.ref = old->ref, .new_ref = order->ref, .shares = order->open,
		.price = order->request.price};

	if (order->request.time_in_force == OUCH_IMMEDIATE_OR_CANCEL ||
	    market_crosses(market, order->locate, (enum book_side)order->side,
		order->request.price)) {
		message.type = ITCH_DELETE;
		market_publish(market, &message, now_ns);
		work(market, order, now_ns);
		return;
	}
	market_publish(market, &message, now_ns);
	books_find(&market->books, order->ref)->tag = (uint32_t)(order - market->orders);
}

/* A replacement that cannot be is rejected, and the order it was for lives on. */
static void replace_live(struct market *market, struct market_order *old,
	const struct ouch_request *request, int64_t now_ns)
{
	char fault = find_fault(market, old->locate, request);
	struct market_order *order = order_claim(market, request->new_token);

	if (order == NULL || !books_has_room(&market->books, old->locate,
		(enum book_side)old->side, request->price))
		fault = 'O';
	if (fault != 0) {
		answer_rejected(market, request->new_token, fault, now_ns);
		return;
	}
	succeed(order, old, request);
	order->ref = market->next_ref++;
	old->open = 0;
	answer_live(market, order, old->request.token, now_ns);
	replace_in_books(market, old, order, now_ns);
}

static void replace(struct market *market, const struct ouch_request *request, int64_t now_ns)
{
	struct market_order *old = order_find(market, request->token);
	struct itch_message message = {.type = ITCH_DELETE};

	market->counts.replaces++;
	if (old == NULL || old->open == 0 || order_find(market, request->new_token) != NULL) {
		market->ignored++;
		return;
	}
	if (request->shares > old->executed) {
		replace_live(market, old, request, now_ns);
		return;
	}
	/* Nothing would be left of it: that is a cancel. */
	message.locate = old->locate;
	message.ref = old->ref;
	market_publish(market, &message, now_ns);
	cancel_rest(market, old, 'U', now_ns);
}

void market_request(struct market *market, const uint8_t *bytes, size_t size, int64_t now_ns)
{
	struct ouch_request request;
	int err;

	err = ouch_decode_request(bytes, size, &request);
	if (err) {
		faults_count(&market->faults, err);
		return;
	}
	if (request.type == OUCH_ENTER)
		enter(market, &request, now_ns);
	else if (request.type == OUCH_CANCEL)
		cancel(market, &request, now_ns);
	else
		replace(market, &request, now_ns);
}

void market_cancel_all(struct market *market, int64_t now_ns)
{
	struct itch_message message = {.type = ITCH_DELETE};

	for (uint32_t index = 1; index <= market->order_count; index++) {
		struct market_order *order = &market->orders[index];

		if (order->open == 0)
			continue;
		message.locate = order->locate;
		message.ref = order->ref;
		market_publish(market, &message, now_ns);
		cancel_rest(market, order, 'S', now_ns);
	}
}
