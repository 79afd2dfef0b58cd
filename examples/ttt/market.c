/* market.c - the market's memory, its day, and the two tapes. */
#include "market.h"

#include "soup.h"
#include "wire.h"

#include <apus/base.h>
#include <stdlib.h>

#define DAY_NS (INT64_C(86400) * APUS_SEC)

/* ---- memory ------------------------------------------------------------------- */

static uint32_t power_of_two(uint32_t at_least)
{
	uint32_t size = 16;

	while (size < at_least)
		size *= 2;
	return size;
}

/* Written to, so that no page faults in the middle of a session. */
static void *touched(size_t count, size_t size)
{
	void *memory = malloc(count * size);

	if (memory != NULL)
		memset(memory, 0xff, count * size);
	return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

static int allocate(struct market *market, const struct market_config *config)
{
	int err = books_init(&market->books, config->symbol_count, config->order_limit);

	if (err)
		return err;
	/* A block is its length and the message; a packet of answers has a header of three. */
	err = tape_init(&market->feed, config->tape_count, 2 + ITCH_SIZE_MAX);
	if (err)
		return err;
	err = tape_init(&market->answers, config->tape_count, SOUP_HEADER_SIZE + OUCH_ANSWER_MAX);
	if (err)
		return err;
	market->stock_mask = power_of_two(2 * config->symbol_count) - 1;
	market->token_mask = power_of_two(2 * config->token_limit) - 1;
	market->symbols = touched(config->symbol_count + 1, sizeof(*market->symbols));
	market->stock_table = touched(market->stock_mask + 1, sizeof(*market->stock_table));
	market->positions = touched(config->symbol_count + 1, sizeof(*market->positions));
	market->orders = touched((size_t)config->token_limit + 1, sizeof(*market->orders));
	market->token_table = touched(market->token_mask + 1, sizeof(*market->token_table));
	if (market->symbols == NULL || market->stock_table == NULL || market->positions == NULL ||
	    market->orders == NULL || market->token_table == NULL)
		return -ENOMEM;
	return 0;
}

/* Four letters, and each its own: AAAA, AAAB, ... in an order that looks like a market's. */
static void name_symbol(struct market *market, uint32_t locate)
{
	uint32_t number = locate * 17573u % 456976u; /* 26^4; the factor shares no divisor */
	char text[9] = "";

	for (int at = 3; at >= 0; at--, number /= 26)
		text[at] = (char)('A' + number % 26);
	wire_put_text((uint8_t *)market->symbols[locate].stock, 8, text);
}

static void list_symbol(struct market *market, uint32_t locate)
{
	uint32_t at;

	name_symbol(market, locate);
	/* Ten to five hundred dollars. */
	market->symbols[locate].anchor = MARKET_TICK * (1000 + rng_below(&market->rng, 49000));
	at = (uint32_t)rng_mix(wire_get64((uint8_t *)market->symbols[locate].stock));
	while (market->stock_table[at & market->stock_mask] != 0)
		at++;
	market->stock_table[at & market->stock_mask] = (uint16_t)locate;
}

int market_init(struct market *market, const struct market_config *config)
{
	int err;

	memset(market, 0, sizeof(*market));
	if (config->token_limit == 0 || config->token_limit > UINT32_C(1) << 24)
		return -EINVAL;
	err = allocate(market, config);
	if (err) {
		market_deinit(market);
		return err;
	}
	market->rng.state = config->seed;
	market->order_limit = config->token_limit;
	market->next_ref = 1;
	market->next_match = 1;
	for (uint32_t locate = 1; locate <= config->symbol_count; locate++)
		list_symbol(market, locate);
	return 0;
}

void market_deinit(struct market *market)
{
	books_deinit(&market->books);
	tape_deinit(&market->feed);
	tape_deinit(&market->answers);
	free(market->symbols);
	free(market->stock_table);
	free(market->positions);
	free(market->orders);
	free(market->token_table);
	memset(market, 0, sizeof(*market));
}

/* ---- the tapes ------------------------------------------------------------------ */

void market_publish(struct market *market, struct itch_message *message, int64_t now_ns)
{
	size_t room;
	uint8_t *at = tape_reserve(&market->feed, &room);
	int size, err;

	message->timestamp_ns = (uint64_t)(now_ns % DAY_NS);
	size = itch_encode(message, at + 2, room - 2);
	APUS_ASSERT(size > 0);
	wire_put16(at, (uint16_t)size);
	tape_commit(&market->feed, 2 + (size_t)size);
	/* The flow and the matching ask first, so their own books never refuse. */
	err = books_apply(&market->books, message);
	APUS_ASSERT(err == 0);
}

void market_answer(struct market *market, struct ouch_answer *answer, int64_t now_ns)
{
	size_t room;
	uint8_t *at = tape_reserve(&market->answers, &room);
	int size;

	answer->timestamp_ns = (uint64_t)(now_ns % DAY_NS);
	size = ouch_encode_answer(answer, at + SOUP_HEADER_SIZE, room - SOUP_HEADER_SIZE);
	APUS_ASSERT(size > 0);
	soup_put_header(at, SOUP_SEQUENCED, (uint16_t)size);
	tape_commit(&market->answers, SOUP_HEADER_SIZE + (size_t)size);
}

/* ---- the day ---------------------------------------------------------------------- */

static void system_event(struct market *market, char event, int64_t now_ns)
{
	struct itch_message message = {.type = ITCH_SYSTEM_EVENT, .event = event};

	market_publish(market, &message, now_ns);
}

static void directory_entry(struct market *market, uint32_t locate, int64_t now_ns)
{
	struct itch_message message = {
		.type = ITCH_DIRECTORY,
		.locate = (uint16_t)locate,
		.directory = {
			.market_category = 'Q', .financial_status = 'N', .round_lot_size = 100,
			.round_lots_only = 'N', .classification = 'C', .sub_type = {'Z', ' '},
			.authenticity = 'T', .short_sale_threshold = 'N', .ipo = 'N',
			.luld_tier = '1', .etp = 'N', .etp_leverage = 0, .inverse = 'N',
		},
	};

	memcpy(message.stock, market->symbols[locate].stock, 8);
	market_publish(market, &message, now_ns);
}

void market_open(struct market *market, int64_t now_ns)
{
	struct ouch_answer start = {.type = OUCH_SYSTEM_EVENT, .event = 'S'};

	system_event(market, ITCH_START_OF_MESSAGES, now_ns);
	for (uint32_t locate = 1; locate <= market->books.symbol_count; locate++)
		directory_entry(market, locate, now_ns);
	system_event(market, ITCH_START_OF_SYSTEM_HOURS, now_ns);
	system_event(market, ITCH_START_OF_MARKET_HOURS, now_ns);
	market_answer(market, &start, now_ns);
	market->is_open = true;
}

void market_halt(struct market *market, int64_t now_ns)
{
	market->is_open = false;
	system_event(market, ITCH_END_OF_MARKET_HOURS, now_ns);
}

void market_finish(struct market *market, int64_t now_ns)
{
	struct ouch_answer end = {.type = OUCH_SYSTEM_EVENT, .event = 'E'};

	system_event(market, ITCH_END_OF_SYSTEM_HOURS, now_ns);
	system_event(market, ITCH_END_OF_MESSAGES, now_ns);
	market_answer(market, &end, now_ns);
}
