/*
 * test_ttt_stop.c - the engine's half of the feed in the tick-to-trade example, on a loop and
 * real sockets, told to stop at each point of a session: it reads the feed to its end.
 *
 * What leaves a plain socket on loopback is in the engine's when the call returns, so each
 * turn finds what the test put there, and nothing waits for time to pass.
 */
#include "../../examples/ttt/engine.h"
#include "../../examples/ttt/market.h"
#include "../../examples/ttt/publisher.h"

#include <sys/socket.h>

#include "test.h"

APUS_RESOURCE_DEFINE(engine)
APUS_RESOURCE_DEFINE(desk)

enum { SYMBOLS = 8, PACKETS = 12, TURNS_MAX = 1 << 20 };

#define SESSION "TTTSESSION"

static const struct market_config market_config = {
	.seed = 1, .symbol_count = SYMBOLS, .order_limit = 1 << 10, .token_limit = 1 << 10,
	.tape_count = 1 << 12,
};

static const struct desk_config desk_config = {
	.symbol_count = SYMBOLS, .order_limit = 1 << 10,
	.feed = {
		.session = SESSION, .early_limit = 64, .request_limit = 256, .retry_limit = 500,
		.jump_limit = 1 << 20, .timeout_ns = 10 * APUS_MSEC,
	},
	.gateway = {.symbol_count = SYMBOLS, .order_limit = 64, .timeout_ns = APUS_SEC},
	.strategy = {.symbol_count = SYMBOLS, .ratio = 2, .lot = 100, .position_limit = 100},
};

/* Nobody trades here. */
void engine_send(struct apus_cx *cx, struct engine *engine, const uint8_t *bytes, size_t size)
{
	(void)cx, (void)engine, (void)bytes;
	ck_abort_msg("an order of %zu bytes", size);
}

/* ---- an engine without orders, and an exchange on plain sockets --------------------------- */

struct stage {
	struct options options;
	struct shared shared;
	struct engine engine;
	struct desk desk;
	struct apus_world world;
	struct apus_loop *loop;
	struct apus_set set;
	struct market market;
	struct publisher publisher;
	int feed, server;               /* the exchange's descriptors */
	struct sockaddr_in engine_address;
};

static int open_plain(struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, &size), 0);
	return fd;
}

static void open_exchange(struct stage *stage)
{
	struct sockaddr_in address;

	stage->feed = open_plain(&address);
	stage->server = open_plain(&address);
	apus_address_parse(&stage->engine.server, "127.0.0.1:0");
	apus_address_set_port(&stage->engine.server, ntohs(address.sin_port));
	ck_assert_int_eq(market_init(&stage->market, &market_config), 0);
	publisher_init(&stage->publisher, &stage->market.feed, SESSION, 0);
}

static void open_engine(struct stage *stage, bool is_hot)
{
	struct engine *engine = &stage->engine;
	struct apus_config config;

	stage->options.is_unicast = true;
	stage->options.line_count = 1;
	apus_address_parse(&stage->options.feed[0], "127.0.0.1:0");
	engine->options = &stage->options;
	engine->shared = &stage->shared;
	engine->latency = &stage->shared.engine.latency;
	engine->has_hot_sockets = is_hot;
	ck_assert_int_eq(desk_init(&stage->desk, &desk_config), 0);
	apus_world_init(&stage->world);
	ck_assert_int_eq(apus_put(&stage->world, engine, engine), 0);
	ck_assert_int_eq(apus_put(&stage->world, desk, &stage->desk), 0);
	apus_config_init(&config);
	config.world = &stage->world;
	config.state_bytes = (uint32_t)engine_state_bytes();
	config.stall_ns = APUS_NEVER;
	ck_assert_int_eq(apus_open(&stage->loop, &config), 0);
	ck_assert_int_eq(apus_set_init(&stage->set, stage->loop, apus_loop_token(stage->loop)), 0);
	ck_assert_int_eq(engine_open_feed(stage->loop, engine), 0);
	ck_assert_int_eq(engine_start_feed(stage->loop, engine, &stage->set), 0);
	stage->engine_address = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)stage->shared.feed_ports[0])};
}

static struct stage *stage_open(bool is_hot)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	ck_assert_ptr_nonnull(stage);
	open_exchange(stage);
	open_engine(stage, is_hot);
	apus_turn(stage->loop);
	return stage;
}

static void stage_close(struct stage *stage)
{
	apus_set_deinit(&stage->set);
	ck_assert_int_eq(apus_close(stage->loop, NULL), 0);
	apus_world_deinit(&stage->world);
	desk_deinit(&stage->desk);
	market_deinit(&stage->market);
	close(stage->feed);
	close(stage->server);
	free(stage);
}

/* ---- what happens ----------------------------------------------------------------------------- */

static void transmit(struct stage *stage, const uint8_t *bytes, size_t size)
{
	ck_assert_int_eq(sendto(stage->feed, bytes, size, 0,
		(struct sockaddr *)&stage->engine_address, sizeof(stage->engine_address)),
		(ssize_t)size);
}

/* The market's next event as packets, which may be lost on the way. */
static void publish(struct stage *stage, bool is_lost)
{
	uint8_t bytes[MOLD_PACKET_MAX];
	size_t size;

	market_step(&stage->market, 0);
	while ((size = publisher_packet(&stage->publisher, bytes, 0)) != 0)
		if (!is_lost)
			transmit(stage, bytes, size);
}

static void publish_end(struct stage *stage)
{
	uint8_t bytes[MOLD_HEADER_SIZE];

	market_finish(&stage->market, 0);
	publish(stage, false);
	transmit(stage, bytes, publisher_end(&stage->publisher, bytes, 0));
}

/* The retransmission server, as far as it has been asked. */
static void serve(struct stage *stage)
{
	uint8_t request[MOLD_HEADER_SIZE], answer[MOLD_PACKET_MAX];
	struct sockaddr_in from;
	socklen_t from_size = sizeof(from);
	ssize_t got;

	while ((got = recvfrom(stage->server, request, sizeof(request), MSG_DONTWAIT,
		(struct sockaddr *)&from, &from_size)) >= 0) {
		size_t size = publisher_answer(&stage->publisher, request, (size_t)got, answer);

		if (size != 0)
			ck_assert_int_eq(sendto(stage->server, answer, size, 0,
				(struct sockaddr *)&from, from_size), (ssize_t)size);
	}
}

/* Turns until the engine says that it has all of the feed. */
static void read_to_the_end(struct stage *stage)
{
	for (int n = 0; n < TURNS_MAX && !stage->engine.feed_done.is_set; n++) {
		apus_turn(stage->loop);
		serve(stage);
	}
	ck_assert(stage->engine.feed_done.is_set);
	ck_assert_uint_eq(stage->desk.feed.counts.messages, stage->market.feed.next - 1);
	ck_assert_uint_eq(stage->desk.feed.counts.lost, 0);
	ck_assert_uint_eq(books_checksum(&stage->desk.books),
		books_checksum(&stage->market.books));
}

/*
 * A day of PACKETS packets and a stop after stop_at of them; that many turns later, none or
 * some, the rest comes.  From lost_from on the packets are lost.
 */
static struct stage *day(bool is_hot, int stop_at, int turns, int lost_from)
{
	struct stage *stage = stage_open(is_hot);

	market_open(&stage->market, 0);
	for (int n = 0; n < PACKETS; n++) {
		if (n == stop_at) {
			apus_stop(stage->loop);
			for (int turn = 0; turn < turns; turn++)
				apus_turn(stage->loop);
		}
		publish(stage, n >= lost_from);
		apus_turn(stage->loop);
	}
	if (stop_at == PACKETS)
		apus_stop(stage->loop);
	publish_end(stage);
	return stage;
}

/* ---- the tests: _i is a socket that is hot, or not --------------------------------------------- */

START_TEST(a_stop_after_any_packet_leaves_the_feed_to_be_read)
{
	for (int stop_at = 0; stop_at <= PACKETS; stop_at++)
		for (int turns = 0; turns < 3; turns++) {
			struct stage *stage = day(_i, stop_at, turns, PACKETS);

			read_to_the_end(stage);
			ck_assert_uint_eq(stage->desk.feed.counts.gaps, 0);
			stage_close(stage);
		}
}
END_TEST

START_TEST(a_tail_that_was_lost_is_asked_for_after_a_stop)
{
	for (int lost_from = 1; lost_from < PACKETS; lost_from++)
		for (int stop_at = 0; stop_at <= PACKETS; stop_at++) {
			struct stage *stage = day(_i, stop_at, 1, lost_from);

			read_to_the_end(stage);
			ck_assert_uint_gt(stage->desk.feed.counts.requests, 0);
			stage_close(stage);
		}
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = test_case("ttt_stop");

	tcase_add_loop_test(all, a_stop_after_any_packet_leaves_the_feed_to_be_read, 0, 2);
	tcase_add_loop_test(all, a_tail_that_was_lost_is_asked_for_after_a_stop, 0, 2);
	return test_run(argc, argv, all);
}
