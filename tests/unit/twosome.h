/*
 * twosome.h - exchange and engine of the tick-to-trade example joined in memory: between them
 * a feed of two lines whose packets are lost, doubled and re-ordered as a seed says, and a
 * connection, on a clock of our own.
 */
#ifndef TEST_TWOSOME_H
#define TEST_TWOSOME_H

#include "../../examples/ttt/desk.h"
#include "../../examples/ttt/market.h"
#include "../../examples/ttt/publisher.h"
#include "../../examples/ttt/session.h"
#include "../../examples/ttt/tap.h"
#include "../../examples/ttt/weather.h"

#include "test.h"

enum { SYMBOLS = 40, STEP_NS = 20000 };

#define SESSION "TTTSESSION"

TEST_UNUSED static const struct market_config market_config = {
	.seed = 1, .symbol_count = SYMBOLS, .order_limit = 1 << 13, .token_limit = 1 << 14,
	.tape_count = 1 << 15,
};

TEST_UNUSED static const struct desk_config desk_config = {
	.symbol_count = SYMBOLS,
	.order_limit = 1 << 13,
	.feed = {
		.session = SESSION, .early_limit = 64, .request_limit = 256, .retry_limit = 8,
		.jump_limit = 1 << 20, .patience_ns = 0, .timeout_ns = APUS_MSEC,
	},
	.gateway = {
		.symbol_count = SYMBOLS, .order_limit = 256, .rate = 5000, .burst = 20,
		.timeout_ns = 20 * APUS_MSEC, .firm = "APUS",
	},
	.strategy = {
		.symbol_count = SYMBOLS, .ratio = 2, .spread_max = 5 * MARKET_TICK, .lot = 100,
		.position_limit = 500, .quiet_ns = APUS_MSEC, .rest_every = 2,
	},
};

/* ---- the two of them, and what is between ------------------------------------------------ */

struct climate {
	struct weather_config line[2];
	uint32_t lost_answers;           /* of the retransmission server, one in so many */
	bool is_server_dead;
	bool has_two_lines;
	uint32_t breaks;                 /* of the connection, one step in so many */
	bool is_short;                   /* a day of some hundred steps: less memory to touch */
	bool is_forgetful;               /* the server sends more again than was asked for */
};

struct twosome {
	struct market market;
	struct publisher publisher;
	struct desk desk;
	struct session client, server;
	struct soup_stream to_client, to_server;
	struct rng rng;
	struct climate climate;
	struct weather weather[2];       /* of line A and line B */
	enum feed_line line;             /* that a packet is coming on */
	uint64_t answer_cursor;
	int64_t back_ns;                 /* when the client connects again; APUS_NEVER: it is */
	/* What the engine was told and said; taps_room 0: nobody writes it down. */
	uint8_t *taps;
	size_t taps_size, taps_room;
	bool owes_heartbeat;             /* the server, once it has sent all it had */
	int64_t now_ns;
};

TEST_UNUSED static struct twosome *twosome_open(uint64_t seed, struct climate climate,
	const struct desk_config *config)
{
	struct twosome *two = calloc(1, sizeof(*two));
	struct market_config market = market_config;
	struct desk_config desk = *config;

	ck_assert_ptr_nonnull(two);
	market.seed = seed;
	if (climate.is_short) {
		market.tape_count = 1 << 11;
		market.token_limit = 1 << 10;
		market.order_limit = desk.order_limit = 1 << 11;
	}
	two->rng.state = ~seed;
	two->climate = climate;
	weather_init(&two->weather[0], &climate.line[0], seed * 3);
	weather_init(&two->weather[1], &climate.line[1], seed * 5);
	two->now_ns = APUS_SEC;
	ck_assert_int_eq(market_init(&two->market, &market), 0);
	ck_assert_int_eq(desk_init(&two->desk, &desk), 0);
	publisher_init(&two->publisher, &two->market.feed, SESSION, two->now_ns);
	session_init(&two->client, SESSION_CLIENT, two->now_ns);
	session_init(&two->server, SESSION_SERVER, two->now_ns);
	two->answer_cursor = 1;
	two->back_ns = APUS_NEVER;
	return two;
}

TEST_UNUSED static void twosome_close(struct twosome *two)
{
	desk_deinit(&two->desk);
	market_deinit(&two->market);
	free(two->taps);
	free(two);
}

TEST_UNUSED static void tap(struct twosome *two, enum tap_kind kind, const uint8_t *bytes,
	size_t size)
{
	struct tap tap = {.now_ns = two->now_ns, .kind = (uint8_t)kind, .size = (uint16_t)size,
		.line = (uint8_t)two->line, .is_held = two->desk.is_held};

	if (two->taps_room == 0)
		return;
	ck_assert_uint_le(size, TAP_BYTES_MAX);
	while (two->taps_room - two->taps_size < sizeof(tap) + size) {
		two->taps_room *= 2;
		two->taps = realloc(two->taps, two->taps_room);
		ck_assert_ptr_nonnull(two->taps);
	}
	memcpy(two->taps + two->taps_size, &tap, sizeof(tap));
	if (size > 0)
		memcpy(two->taps + two->taps_size + sizeof(tap), bytes, size);
	two->taps_size += sizeof(tap) + size;
}

/* One in count, and never when count is 0. */
TEST_UNUSED static bool chance(struct twosome *two, uint32_t count)
{
	return count != 0 && rng_one_in(&two->rng, count);
}

TEST_UNUSED static void put(struct soup_stream *stream, const uint8_t *bytes, size_t size)
{
	size_t room;
	uint8_t *at = soup_stream_space(stream, &room);

	ck_assert_uint_ge(room, size);
	memcpy(at, bytes, size);
	soup_stream_add(stream, size);
}

/* What the client says. */
TEST_UNUSED static void say(struct twosome *two, const uint8_t *bytes, size_t size)
{
	tap(two, TAP_SENT, bytes, size);
	put(&two->to_server, bytes, size);
}

/* What the server hears: orders, a login, the logout. */
TEST_UNUSED static void serve(struct twosome *two)
{
	struct soup_packet packet;
	struct soup_login login;
	uint8_t bytes[64];

	while (soup_stream_next(&two->to_server, &packet) == 1)
		switch (session_receive(&two->server, &packet, two->now_ns, &login)) {
		case SESSION_LOGIN:
			two->answer_cursor = login.sequence;
			if (two->climate.is_forgetful)
				two->answer_cursor -= rng_below(&two->rng, (uint32_t)login.sequence);
			put(&two->to_client, bytes, session_accept(&two->server, SESSION,
				two->answer_cursor, bytes, two->now_ns));
			two->owes_heartbeat = true;
			break;
		case SESSION_DATA:
			market_request(&two->market, packet.body, packet.body_size, two->now_ns);
			break;
		case SESSION_LOGOUT:
		case SESSION_NONE:
			break;
		default:
			ck_abort_msg("the server does not understand the client");
		}
}

TEST_UNUSED static void hear(struct twosome *two)
{
	struct soup_stream *stream = &two->to_client;
	struct soup_packet packet;

	if (stream->begin < stream->end)
		tap(two, TAP_RECEIVED, stream->bytes + stream->begin, stream->end - stream->begin);
	while (soup_stream_next(&two->to_client, &packet) == 1)
		switch (session_receive(&two->client, &packet, two->now_ns, NULL)) {
		case SESSION_CAUGHT_UP:
			gateway_resume(&two->desk.gateway);
			two->desk.is_trading = true;
			break;
		case SESSION_DATA:
			gateway_answer(&two->desk.gateway, packet.body, packet.body_size);
			break;
		case SESSION_ACCEPTED:
		case SESSION_REPEATED:
		case SESSION_NONE:
			break;
		default:
			ck_abort_msg("the client does not understand the server");
		}
}

/* The TCP connection: all that is on its way arrives, in order. */
TEST_UNUSED static void connection(struct twosome *two)
{
	size_t size;
	const uint8_t *bytes;
	uint8_t beat[SOUP_HEADER_SIZE];

	serve(two);
	while (two->server.state == SESSION_UP &&
	       (bytes = tape_at(&two->market.answers, two->answer_cursor, &size)) != NULL) {
		put(&two->to_client, bytes, size);
		two->answer_cursor++;
		hear(two);
	}
	if (two->owes_heartbeat && two->server.state == SESSION_UP)
		put(&two->to_client, beat, session_heartbeat(&two->server, beat, two->now_ns));
	two->owes_heartbeat = false;
	hear(two);
}

/* Some of the bytes that are on their way arrive, the rest never will. */
TEST_UNUSED static void cut(struct twosome *two, struct soup_stream *stream)
{
	stream->end -= rng_below(&two->rng, stream->end - stream->begin + 1);
}

/* The connection breaks, at any byte; the server sees it at once, and cancels our orders. */
TEST_UNUSED static void sever(struct twosome *two)
{
	const uint8_t *bytes;
	size_t size;

	cut(two, &two->to_server);
	serve(two);
	for (uint32_t n = rng_below(&two->rng, 4); n > 0 && two->server.state == SESSION_UP &&
	     (bytes = tape_at(&two->market.answers, two->answer_cursor, &size)) != NULL; n--) {
		put(&two->to_client, bytes, size);
		two->answer_cursor++;
	}
	cut(two, &two->to_client);
	hear(two);
	memset(&two->to_server, 0, sizeof(two->to_server));
	memset(&two->to_client, 0, sizeof(two->to_client));
	market_cancel_all(&two->market, two->now_ns);
	session_init(&two->server, SESSION_SERVER, two->now_ns);
	two->owes_heartbeat = false;
	tap(two, TAP_HANG_UP, NULL, 0);
	session_lost(&two->client);
	gateway_break(&two->desk.gateway);
	two->desk.is_trading = false;
	two->back_ns = two->now_ns + rng_below(&two->rng, 50) * (int64_t)STEP_NS;
}

TEST_UNUSED static void connect_again(struct twosome *two)
{
	uint8_t bytes[64];

	if (two->now_ns < two->back_ns)
		return;
	two->back_ns = APUS_NEVER;
	tap(two, TAP_CONNECT, NULL, 0);
	say(two, bytes, session_login(&two->client, "ENGINE", "SECRET", bytes,
		two->now_ns));
}

TEST_UNUSED static void send_orders(struct twosome *two)
{
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length;

	while ((length = desk_order(&two->desk, two->now_ns, bytes)) > 0) {
		/* Nobody trades on books that something is missing from. */
		ck_assert(feed_is_current(&two->desk.feed));
		say(two, bytes, (size_t)length);
		/* At times the market moves on before the order is there. */
		if (!chance(two, 3))
			serve(two);
	}
}

TEST_UNUSED static void offer_packet(struct twosome *two, enum feed_line line, const uint8_t *bytes,
	size_t size)
{
	two->line = line;
	tap(two, TAP_PACKET, bytes, size);
	desk_packet(&two->desk, line, bytes, size, two->now_ns);
	send_orders(two);
}

static void deliver(void *context, const uint8_t *bytes, size_t size)
{
	struct twosome *two = context;

	offer_packet(two, two->line, bytes, size);
}

/* Both lines carry every packet, each through its own weather. */
TEST_UNUSED static void transmit(struct twosome *two, const uint8_t *bytes, size_t size)
{
	for (int line = 0; line <= two->climate.has_two_lines; line++) {
		two->line = (enum feed_line)line;
		weather_pass(&two->weather[line], bytes, size, deliver, two);
	}
}

TEST_UNUSED static bool ask(struct twosome *two, uint8_t *request)
{
	uint64_t lost = two->desk.feed.counts.lost;
	bool is_due = desk_request(&two->desk, two->now_ns, request);

	if (is_due)
		tap(two, TAP_REQUEST, request, MOLD_HEADER_SIZE);
	if (lost != two->desk.feed.counts.lost)
		tap(two, TAP_GIVE_UP, NULL, 0);
	return is_due;
}

TEST_UNUSED static void recover(struct twosome *two)
{
	uint8_t request[MOLD_HEADER_SIZE], answer[MOLD_PACKET_MAX];

	while (ask(two, request)) {
		size_t size = publisher_answer(&two->publisher, request, sizeof(request), answer);

		if (size == 0 || two->climate.is_server_dead || chance(two, two->climate.lost_answers))
			continue;
		offer_packet(two, FEED_LINE_REQUESTED, answer, size);
	}
}

TEST_UNUSED static void publish(struct twosome *two)
{
	uint8_t bytes[MOLD_PACKET_MAX];
	size_t size;

	while ((size = publisher_packet(&two->publisher, bytes, two->now_ns)) != 0)
		transmit(two, bytes, size);
}

TEST_UNUSED static void tick(struct twosome *two)
{
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length;

	two->now_ns += STEP_NS;
	publish(two);
	recover(two);
	while ((length = desk_expire(&two->desk, two->now_ns, bytes)) > 0)
		say(two, bytes, (size_t)length);
	if (chance(two, two->climate.breaks))
		sever(two);
	connect_again(two);
	connection(two);
	ck_assert_ptr_null(gateway_check(&two->desk.gateway));
}

TEST_UNUSED static void check_limits(struct twosome *two)
{
	for (uint32_t locate = 1; locate <= SYMBOLS; locate++) {
		int64_t position = two->desk.gateway.positions[locate];

		ck_assert_int_le(position, desk_config.strategy.position_limit);
		ck_assert_int_ge(position, -desk_config.strategy.position_limit);
	}
}

TEST_UNUSED static void begin(struct twosome *two)
{
	uint8_t bytes[64];

	tap(two, TAP_CONNECT, NULL, 0);
	say(two, bytes, session_login(&two->client, "ENGINE", "SECRET", bytes,
		two->now_ns));
	market_open(&two->market, two->now_ns);
	connection(two);
}

TEST_UNUSED static void trade(struct twosome *two, int steps)
{
	for (int step = 0; step < steps; step++) {
		market_step(&two->market, two->now_ns);
		tick(two);
		if (step % 256 == 0)
			check_limits(two);
	}
}

/* The close: all orders are cancelled and answered, the last packets arrive at last. */
TEST_UNUSED static void finish(struct twosome *two)
{
	uint8_t bytes[MOLD_PACKET_MAX];
	int length;

	market_halt(&two->market, two->now_ns);
	two->climate.breaks = 0;
	do
		tick(two);
	while (!two->client.is_caught_up);
	two->desk.is_trading = false;
	two->desk.is_held = true;
	while ((length = desk_cancel_next(&two->desk, two->now_ns, bytes)) > 0) {
		say(two, bytes, (size_t)length);
		connection(two);
	}
	tick(two);
	ck_assert_uint_eq(two->desk.gateway.open_count, 0);
	say(two, bytes, session_leave(&two->client, bytes, two->now_ns));
	connection(two);
	ck_assert_int_eq(two->server.state, SESSION_OVER);
	market_finish(&two->market, two->now_ns);
	for (int round = 0; round < 2000 && !feed_is_complete(&two->desk.feed); round++) {
		tick(two);
		offer_packet(two, FEED_LINE_A, bytes, publisher_end(&two->publisher, bytes,
			two->now_ns));
	}
}

/* What was sent into a break may have arrived or not; what was answered is known for sure. */
TEST_UNUSED static void check_counts(const struct gateway *gateway,
	const struct order_counts *market)
{
	struct order_counts ours = gateway->counts;

	if (gateway->breaks > 0) {
		ours.entered -= gateway->never_entered;
		ck_assert_uint_ge(ours.replaces, market->replaces);
		ck_assert_uint_ge(ours.cancels, market->cancels);
		ours.replaces = market->replaces;
		ours.cancels = market->cancels;
	}
	ck_assert(order_counts_equal(&ours, market));
}

TEST_UNUSED static void check_agreement(struct twosome *two)
{
	struct gateway *gateway = &two->desk.gateway;

	ck_assert(feed_is_complete(&two->desk.feed));
	ck_assert_uint_eq(two->desk.feed.next, two->market.feed.next);
	ck_assert_uint_eq(two->desk.feed.counts.messages, two->market.feed.next - 1);
	ck_assert_uint_eq(two->desk.feed.counts.lost, 0);
	ck_assert_uint_eq(two->desk.malformed, 0);
	ck_assert_uint_eq(books_checksum(&two->desk.books), books_checksum(&two->market.books));
	ck_assert_uint_eq(two->desk.books.counts.changes, two->market.books.counts.changes);
	check_counts(gateway, &two->market.counts);
	ck_assert_mem_eq(gateway->positions, two->market.positions,
		(SYMBOLS + 1) * sizeof(*gateway->positions));
	ck_assert_uint_eq(gateway->unknown + faults_total(&gateway->faults) +
		faults_total(&two->market.faults), 0);
	for (uint32_t locate = 1; locate <= SYMBOLS; locate++) {
		ck_assert_int_eq(gateway->working[0][locate], 0);
		ck_assert_int_eq(gateway->working[1][locate], 0);
	}
	ck_assert_uint_eq(two->client.next, two->answer_cursor);
}

TEST_UNUSED static struct twosome *whole_session(uint64_t seed, struct climate climate, int steps)
{
	struct twosome *two = twosome_open(seed, climate, &desk_config);

	begin(two);
	trade(two, steps);
	finish(two);
	return two;
}

#endif
