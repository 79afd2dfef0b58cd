/* gateway.c - orders out, answers in. */
#include "gateway.h"

#include "wire.h"

#include <stdlib.h>

/* ---- memory ------------------------------------------------------------------------------ */

static void *touched(size_t count, size_t size)
{
	void *memory = malloc(count * size);

	/* Twice, or the compiler makes it a calloc, whose pages fault later. */
	if (memory != NULL)
		memset(memory, 0xff, count * size);
	return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

int gateway_init(struct gateway *gateway, const struct gateway_config *config)
{
	size_t symbols = (size_t)config->symbol_count + 1;

	memset(gateway, 0, sizeof(*gateway));
	/* A token names the slot by five hexadecimal digits. */
	if (config->order_limit == 0 || config->order_limit > 0xfffff || config->timeout_ns <= 0 ||
	    (config->rate != 0 && config->burst == 0))
		return -EINVAL;
	gateway->config = *config;
	gateway->is_connected = true;
	gateway->orders = touched((size_t)config->order_limit + 1, sizeof(*gateway->orders));
	gateway->positions = touched(symbols, sizeof(*gateway->positions));
	gateway->working[0] = touched(symbols, sizeof(*gateway->working[0]));
	gateway->working[1] = touched(symbols, sizeof(*gateway->working[1]));
	gateway->stocks = touched(symbols, sizeof(*gateway->stocks));
	if (gateway->orders == NULL || gateway->positions == NULL || gateway->working[0] == NULL ||
	    gateway->working[1] == NULL || gateway->stocks == NULL) {
		gateway_deinit(gateway);
		return -ENOMEM;
	}
	for (uint32_t slot = config->order_limit; slot > 0; slot--) {
		gateway->orders[slot].newer = gateway->free_head;
		gateway->free_head = slot;
	}
	return 0;
}

void gateway_deinit(struct gateway *gateway)
{
	free(gateway->orders);
	free(gateway->positions);
	free(gateway->working[0]);
	free(gateway->working[1]);
	free(gateway->stocks);
	memset(gateway, 0, sizeof(*gateway));
}

void gateway_name_stock(struct gateway *gateway, uint32_t locate, const char *stock)
{
	if (locate <= gateway->config.symbol_count)
		memcpy(gateway->stocks[locate], stock, 8);
}

/* ---- tokens: 'E', the serial in eight hexadecimal digits, the slot in five ----------------- */

static void put_hex(char *text, int digits, uint32_t value)
{
	for (int at = digits - 1; at >= 0; at--, value >>= 4)
		text[at] = "0123456789ABCDEF"[value & 15];
}

static bool get_hex(const char *text, int digits, uint32_t *value)
{
	*value = 0;
	for (int at = 0; at < digits; at++) {
		char digit = text[at];

		if (digit >= '0' && digit <= '9')
			*value = *value << 4 | (uint32_t)(digit - '0');
		else if (digit >= 'A' && digit <= 'F')
			*value = *value << 4 | (uint32_t)(digit - 'A' + 10);
		else
			return false;
	}
	return true;
}

static void put_token(char *token, struct gateway_handle handle)
{
	token[0] = 'E';
	put_hex(token + 1, 8, handle.serial);
	put_hex(token + 9, 5, handle.slot);
}

bool gateway_parse_token(const struct gateway *gateway, const char *token,
	struct gateway_handle *handle)
{
	return token[0] == 'E' && get_hex(token + 1, 8, &handle->serial) &&
		get_hex(token + 9, 5, &handle->slot) && handle->slot <= gateway->config.order_limit;
}

static struct gateway_order *find_token(struct gateway *gateway, const char *token)
{
	struct gateway_handle handle;

	if (!gateway_parse_token(gateway, token, &handle))
		return NULL;
	return (struct gateway_order *)gateway_find(gateway, handle);
}

/* ---- slots, and their list by age ------------------------------------------------------------ */

static void age_append(struct gateway *gateway, uint32_t slot, int64_t now_ns)
{
	struct gateway_order *order = &gateway->orders[slot];

	order->stamp_ns = now_ns;
	order->newer = 0;
	order->older = gateway->newest;
	if (gateway->newest != 0)
		gateway->orders[gateway->newest].newer = slot;
	else
		gateway->oldest = slot;
	gateway->newest = slot;
}

static void age_unlink(struct gateway *gateway, const struct gateway_order *order)
{
	if (order->older != 0)
		gateway->orders[order->older].newer = order->newer;
	else
		gateway->oldest = order->newer;
	if (order->newer != 0)
		gateway->orders[order->newer].older = order->older;
	else
		gateway->newest = order->older;
}

static struct gateway_order *claim(struct gateway *gateway, int64_t now_ns,
	struct gateway_handle *handle)
{
	uint32_t slot = gateway->free_head;
	struct gateway_order *order = &gateway->orders[slot];

	if (slot == 0)
		return NULL;
	gateway->free_head = order->newer;
	gateway->open_count++;
	*order = (struct gateway_order){.serial = ++gateway->serial, .state = GATEWAY_SENT};
	age_append(gateway, slot, now_ns);
	*handle = (struct gateway_handle){.slot = slot, .serial = order->serial};
	return order;
}

static void free_slot(struct gateway *gateway, struct gateway_order *order)
{
	age_unlink(gateway, order);
	gateway->working[order->side][order->locate] -= order->open;
	gateway->open_count--;
	order->state = GATEWAY_FREE;
	order->newer = gateway->free_head;
	gateway->free_head = (uint32_t)(order - gateway->orders);
}

/*
 * An order is dead.  If a replacement of it is under way, that one will be ignored, without
 * an answer: had it been taken, we would have heard so before we heard of this death.
 */
static void release(struct gateway *gateway, struct gateway_order *order)
{
	struct gateway_order *partner = &gateway->orders[order->partner];

	if (order->partner != 0) {
		partner->partner = 0;
		if (!order->is_replacement) {
			gateway->voided++;
			free_slot(gateway, partner);
		}
	}
	free_slot(gateway, order);
}

/* ---- the rate limit: a token bucket, held in nanoseconds --------------------------------------- */

static bool rate_allows(struct gateway *gateway, int64_t now_ns)
{
	int64_t cost_ns, full_ns;

	if (gateway->config.rate == 0)
		return true;
	cost_ns = APUS_SEC / gateway->config.rate;
	full_ns = cost_ns * gateway->config.burst;
	/* It starts full. */
	if (gateway->serial == 0)
		gateway->allowance_ns = full_ns;
	else
		gateway->allowance_ns += now_ns - gateway->allowance_at_ns;
	gateway->allowance_at_ns = now_ns;
	if (gateway->allowance_ns > full_ns)
		gateway->allowance_ns = full_ns;
	if (gateway->allowance_ns < cost_ns) {
		gateway->throttled++;
		return false;
	}
	gateway->allowance_ns -= cost_ns;
	return true;
}

/* ---- requests -------------------------------------------------------------------------------------- */

static int put_request(const struct ouch_request *request, uint8_t *bytes)
{
	int size = ouch_encode_request(request, bytes + SOUP_HEADER_SIZE, OUCH_REQUEST_MAX);

	APUS_ASSERT(size > 0);
	soup_put_header(bytes, SOUP_UNSEQUENCED, (uint16_t)size);
	return SOUP_HEADER_SIZE + size;
}

static void start_working(struct gateway *gateway, struct gateway_order *order, uint32_t open)
{
	order->open = open;
	gateway->working[order->side][order->locate] += open;
}

int gateway_enter(struct gateway *gateway, const struct gateway_intent *intent, int64_t now_ns,
	uint8_t *bytes, struct gateway_handle *handle)
{
	struct ouch_request request = {
		.type = OUCH_ENTER, .side = intent->side == BOOK_BID ? 'B' : 'S',
		.shares = intent->shares, .price = intent->price,
		.time_in_force = intent->time_in_force, .display = 'Y', .capacity = 'P', .iso = 'N',
		.cross = 'N', .customer = 'N',
	};
	struct gateway_order *order;

	if (!gateway->is_connected)
		return -ENOTCONN;
	if (gateway->free_head == 0)
		return -ENOSPC;
	if (!rate_allows(gateway, now_ns))
		return -EAGAIN;
	order = claim(gateway, now_ns, handle);
	order->locate = (uint16_t)intent->locate;
	order->side = (uint8_t)intent->side;
	order->shares = intent->shares;
	order->price = intent->price;
	start_working(gateway, order, intent->shares);
	put_token(request.token, *handle);
	memcpy(request.stock, gateway->stocks[intent->locate], 8);
	memcpy(request.firm, gateway->config.firm, 4);
	gateway->counts.entered++;
	return put_request(&request, bytes);
}

/* Shares that the replacement will have open, if nothing is executed until it is taken. */
static uint32_t shares_left(uint32_t shares, uint32_t executed)
{
	return shares > executed ? shares - executed : 0;
}

int gateway_replace(struct gateway *gateway, struct gateway_handle *handle, uint32_t shares,
	uint32_t price, int64_t now_ns, uint8_t *bytes)
{
	struct gateway_order *old = (struct gateway_order *)gateway_find(gateway, *handle);
	struct ouch_request request = {
		.type = OUCH_REPLACE, .shares = shares, .price = price,
		.time_in_force = OUCH_MARKET_HOURS, .display = 'Y', .iso = 'N',
	};
	struct gateway_order *order;

	if (!gateway->is_connected)
		return -ENOTCONN;
	if (old == NULL)
		return -ESTALE;
	if (old->partner != 0 || old->is_canceling || old->state != GATEWAY_LIVE)
		return -EBUSY;
	if (gateway->free_head == 0)
		return -ENOSPC;
	if (!rate_allows(gateway, now_ns))
		return -EAGAIN;
	put_token(request.token, *handle);
	old->partner = gateway->free_head;
	order = claim(gateway, now_ns, &(struct gateway_handle){0});
	order->partner = handle->slot;
	order->is_replacement = true;
	order->locate = old->locate;
	order->side = old->side;
	order->shares = shares;
	order->price = price;
	start_working(gateway, order, shares_left(shares, old->executed));
	*handle = (struct gateway_handle){.slot = old->partner, .serial = order->serial};
	put_token(request.new_token, *handle);
	gateway->counts.replaces++;
	return put_request(&request, bytes);
}

/* Never held back by the rate limit: a cancel takes risk away. */
int gateway_cancel(struct gateway *gateway, struct gateway_handle handle, int64_t now_ns,
	uint8_t *bytes)
{
	struct gateway_order *order = (struct gateway_order *)gateway_find(gateway, handle);
	struct ouch_request request = {.type = OUCH_CANCEL};

	if (!gateway->is_connected)
		return -ENOTCONN;
	if (order == NULL)
		return -ESTALE;
	if (now_ns - order->stamp_ns >= gateway->config.timeout_ns)
		gateway->timed_out++;
	order->is_canceling = true;
	age_unlink(gateway, order);
	age_append(gateway, handle.slot, now_ns);
	put_token(request.token, handle);
	gateway->counts.cancels++;
	return put_request(&request, bytes);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

/* The replacement has been taken: the order it was for is history. */
static void on_replaced(struct gateway *gateway, struct gateway_order *order,
	const struct ouch_answer *answer)
{
	struct gateway_order *old = &gateway->orders[order->partner];

	gateway->counts.replaced++;
	if (order->partner == 0)
		return;
	order->executed = old->executed;
	old->partner = 0;
	order->partner = 0;
	order->is_replacement = false;
	free_slot(gateway, old);
	gateway->working[order->side][order->locate] += (int64_t)answer->shares - order->open;
	order->open = answer->shares;
	order->state = GATEWAY_LIVE;
}

static void on_executed(struct gateway *gateway, struct gateway_order *order,
	const struct ouch_answer *answer)
{
	uint32_t closed = answer->shares < order->open ? answer->shares : order->open;

	gateway->counts.executed++;
	if (order->side == BOOK_BID) {
		gateway->positions[order->locate] += answer->shares;
		gateway->counts.shares_bought += answer->shares;
	} else {
		gateway->positions[order->locate] -= answer->shares;
		gateway->counts.shares_sold += answer->shares;
	}
	order->executed += answer->shares;
	order->open -= closed;
	gateway->working[order->side][order->locate] -= closed;
	if (order->open == 0)
		release(gateway, order);
}

static void on_canceled(struct gateway *gateway, struct gateway_order *order,
	const struct ouch_answer *answer)
{
	uint32_t closed = answer->shares < order->open ? answer->shares : order->open;

	gateway->counts.canceled++;
	order->open -= closed;
	gateway->working[order->side][order->locate] -= closed;
	if (order->open == 0)
		release(gateway, order);
}

static void on_order_answer(struct gateway *gateway, struct gateway_order *order,
	const struct ouch_answer *answer)
{
	switch (answer->type) {
	case OUCH_ACCEPTED:
		gateway->counts.accepted++;
		order->state = GATEWAY_LIVE;
		if (answer->state == 'D')
			release(gateway, order);
		return;
	case OUCH_EXECUTED:
		on_executed(gateway, order, answer);
		return;
	case OUCH_CANCELED:
		on_canceled(gateway, order, answer);
		return;
	case OUCH_REPLACED:
		on_replaced(gateway, order, answer);
		return;
	case OUCH_REJECTED:
		gateway->counts.rejected++;
		release(gateway, order);
		return;
	}
}

void gateway_answer(struct gateway *gateway, const uint8_t *bytes, size_t size)
{
	struct ouch_answer answer;
	struct gateway_order *order;
	int err;

	err = ouch_decode_answer(bytes, size, &answer);
	if (err) {
		faults_count(&gateway->faults, err);
		return;
	}
	if (answer.type == OUCH_SYSTEM_EVENT)
		return;
	order = find_token(gateway, answer.token);
	if (order == NULL)
		gateway->unknown++;
	else
		on_order_answer(gateway, order, &answer);
}

/* ---- the connection ----------------------------------------------------------------------------------- */

void gateway_break(struct gateway *gateway)
{
	gateway->breaks += gateway->is_connected;
	gateway->is_connected = false;
}

/* Not answered, though every answer is here: it has not arrived. */
static void close_unanswered(struct gateway *gateway, struct gateway_order *order)
{
	struct gateway_order *old = &gateway->orders[order->partner];

	if (order->is_replacement) {
		gateway->never_replaced++;
		old->partner = 0;
	} else {
		gateway->never_entered++;
	}
	order->partner = 0;
	free_slot(gateway, order);
}

void gateway_resume(struct gateway *gateway)
{
	for (uint32_t slot = 1; slot <= gateway->config.order_limit; slot++) {
		struct gateway_order *order = &gateway->orders[slot];

		if (order->state == GATEWAY_SENT)
			close_unanswered(gateway, order);
		/* A cancel of before is no use now: it may be sent again. */
		else if (order->state == GATEWAY_LIVE)
			order->is_canceling = false;
	}
	gateway->is_connected = true;
}

void gateway_abandon(struct gateway *gateway)
{
	while (gateway->oldest != 0) {
		struct gateway_order *order = &gateway->orders[gateway->oldest];

		order->partner = 0;
		gateway->abandoned++;
		free_slot(gateway, order);
	}
}

/* ---- time and the end ------------------------------------------------------------------------------------ */

static struct gateway_handle handle_of(const struct gateway *gateway, uint32_t slot)
{
	return (struct gateway_handle){.slot = slot, .serial = gateway->orders[slot].serial};
}

bool gateway_oldest(const struct gateway *gateway, struct gateway_handle *handle)
{
	uint32_t slot = gateway->oldest;

	while (slot != 0 && gateway->orders[slot].is_canceling)
		slot = gateway->orders[slot].newer;
	*handle = handle_of(gateway, slot);
	return slot != 0;
}

int64_t gateway_deadline_ns(const struct gateway *gateway)
{
	if (gateway->oldest == 0 || !gateway->is_connected)
		return APUS_NEVER;
	return apus_ns_add(gateway->orders[gateway->oldest].stamp_ns, gateway->config.timeout_ns);
}

bool gateway_expired(const struct gateway *gateway, int64_t now_ns,
	struct gateway_handle *handle)
{
	*handle = handle_of(gateway, gateway->oldest);
	return now_ns >= gateway_deadline_ns(gateway);
}

/* ---- does it fit together? ------------------------------------------------------------------------------- */

static const char *check_order(const struct gateway *gateway, const struct gateway_order *order)
{
	const struct gateway_order *partner = &gateway->orders[order->partner];
	uint32_t slot = (uint32_t)(order - gateway->orders);

	if (order->state == GATEWAY_FREE)
		return "a free order is in the list";
	if (order->is_replacement && order->state != GATEWAY_SENT)
		return "a replacement that was answered is one still";
	if (order->is_replacement && order->partner == 0)
		return "a replacement of nothing";
	if (order->partner != 0 && partner->partner != slot)
		return "an order and its replacement do not know each other";
	if (order->partner != 0 && order->is_replacement == partner->is_replacement)
		return "an order and its replacement are of one kind";
	return NULL;
}

static const char *check_free(const struct gateway *gateway)
{
	uint32_t count = 0;

	for (uint32_t slot = gateway->free_head; slot != 0; slot = gateway->orders[slot].newer) {
		if (gateway->orders[slot].state != GATEWAY_FREE)
			return "an order in use is free";
		if (++count > gateway->config.order_limit)
			return "the free orders go round";
	}
	return count + gateway->open_count == gateway->config.order_limit ? NULL :
		"an order is neither free nor open";
}

/* By side and locate, the shares of the open orders: taken off what the gateway keeps. */
static const char *check_working(const struct gateway *gateway, int64_t sign)
{
	for (uint32_t slot = gateway->oldest; slot != 0; slot = gateway->orders[slot].newer) {
		const struct gateway_order *order = &gateway->orders[slot];

		gateway->working[order->side][order->locate] += sign * order->open;
	}
	if (sign > 0)
		return NULL;
	for (uint32_t locate = 0; locate <= gateway->config.symbol_count; locate++)
		if (gateway->working[0][locate] != 0 || gateway->working[1][locate] != 0)
			return "the open shares are not those of the open orders";
	return NULL;
}

const char *gateway_check(const struct gateway *gateway)
{
	const char *fault = check_free(gateway);
	uint32_t count = 0, older = 0;

	for (uint32_t slot = gateway->oldest; slot != 0 && fault == NULL;
	     slot = gateway->orders[slot].newer) {
		fault = check_order(gateway, &gateway->orders[slot]);
		if (gateway->orders[slot].older != older)
			return "the list by age is torn";
		older = slot;
		if (++count > gateway->config.order_limit)
			return "the list by age goes round";
	}
	if (fault == NULL && (older != gateway->newest || count != gateway->open_count))
		return "the list by age is not that of the open orders";
	if (fault != NULL)
		return fault;
	fault = check_working(gateway, -1);
	check_working(gateway, 1);
	return fault;
}
