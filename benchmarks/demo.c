/*
 * demo.c - the exchange of examples/ttt, stepped by hand.
 */
#include "bench_demo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYMBOLS 200
#define DEMO_SESSION "TTTSESSION"
/* An order that rests is taken back after a while, as by the engine's time-out. */
#define EVENTS_A_CANCEL 16
/* So many events without a single order: something is wrong. */
#define EVENTS_MAX 1000000

static const struct market_config market_config = {
	.seed = BENCH_SEED, .symbol_count = SYMBOLS, .order_limit = SYMBOLS * 128 + 1024,
	.token_limit = 1 << 18, .tape_count = 1 << 12,
};

/* The engine's own, without what hangs on the clock: rate limit, quiet times, time-outs. */
static const struct desk_config desk_config = {
	.symbol_count = SYMBOLS, .order_limit = SYMBOLS * 128 + 1024,
	.feed = {
		.session = DEMO_SESSION, .early_limit = 1024, .request_limit = 1024,
		.retry_limit = 200, .jump_limit = 1 << 24, .timeout_ns = 10 * APUS_MSEC,
	},
	.gateway = {
		.symbol_count = SYMBOLS, .order_limit = 4096, .timeout_ns = 3600 * APUS_SEC,
		.firm = "APUS",
	},
	.strategy = {
		.symbol_count = SYMBOLS, .ratio = 3, .spread_max = 500, .lot = 100,
		.position_limit = 1000000, .rest_every = 3,
	},
};

static int open_feed(struct demo *demo)
{
	demo->feed = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (demo->feed >= 0)
		return 0;
	bench_skip(demo->b, "no UDP socket: %s", strerror(errno));
	return -1;
}

static int init(struct demo *demo)
{
	int err = market_init(&demo->market, &market_config);

	if (err == 0)
		err = desk_init(&demo->desk, &desk_config);
	if (err != 0)
		bench_fail(demo->b, "market or desk: %s", strerror(-err));
	publisher_init(&demo->publisher, &demo->market.feed, DEMO_SESSION, 0);
	apus_histogram_reset(&demo->latency);
	demo->answer_next = 1;
	return err;
}

struct demo *demo_open(struct bench *b)
{
	struct demo *demo = calloc(1, sizeof *demo);

	if (demo == NULL)
		abort();
	demo->b = b;
	demo->feed = -1;
	if (sockets_open(b, &demo->orders, 1) == 0 && open_feed(demo) == 0 && init(demo) == 0)
		return demo;
	demo_close(demo);
	return NULL;
}

void demo_close(struct demo *demo)
{
	sockets_close(&demo->orders);
	if (demo->feed >= 0)
		close(demo->feed);
	desk_deinit(&demo->desk);
	market_deinit(&demo->market);
	free(demo);
}

/* ---- the feed ----------------------------------------------------------------- */

static void send_packets(struct demo *demo)
{
	uint8_t bytes[MOLD_PACKET_MAX];
	size_t size;

	while ((size = publisher_packet(&demo->publisher, bytes, 0)) != 0)
		if (sendto(demo->feed, bytes, size, 0, (struct sockaddr *)&demo->feed_address,
			sizeof demo->feed_address) != (ssize_t)size)
			bench_fail(demo->b, "the feed: %s", strerror(errno));
}

void demo_begin(struct demo *demo)
{
	market_open(&demo->market, 0);
	send_packets(demo);
	demo->desk.is_trading = true;
}

void demo_publish(struct demo *demo)
{
	demo->event_count++;
	market_step(&demo->market, (int64_t)demo->event_count);
	send_packets(demo);
}

/* ---- orders, and their answers ---------------------------------------------------- */

static void take_orders(struct demo *demo)
{
	struct soup_packet packet;
	size_t room;
	uint8_t *space = soup_stream_space(&demo->stream, &room);
	ssize_t got = recv(demo->orders.theirs[0], space, room, 0);

	if (got <= 0) {
		bench_fail(demo->b, "orders: %s", got < 0 ? strerror(errno) : "hung up");
		return;
	}
	soup_stream_add(&demo->stream, (size_t)got);
	while (soup_stream_next(&demo->stream, &packet) == 1)
		market_request(&demo->market, packet.body, packet.body_size,
			(int64_t)demo->event_count);
}

static void cancel_oldest(struct demo *demo)
{
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length = desk_cancel_next(&demo->desk, 0, bytes);

	if (length > 0)
		market_request(&demo->market, bytes + SOUP_HEADER_SIZE,
			(size_t)length - SOUP_HEADER_SIZE, (int64_t)demo->event_count);
}

static void answer(struct demo *demo)
{
	const uint8_t *bytes;
	size_t size;

	while ((bytes = tape_at(&demo->market.answers, demo->answer_next, &size)) != NULL) {
		gateway_answer(&demo->desk.gateway, bytes + SOUP_HEADER_SIZE,
			size - SOUP_HEADER_SIZE);
		demo->answer_next++;
	}
}

void demo_settle(struct demo *demo)
{
	const struct order_counts *counts = &demo->desk.gateway.counts;
	uint64_t sent = counts->entered + counts->replaces - demo->order_count;

	if (sent > 0) {
		if (sent == 1)
			bench_value(demo->b, (double)apus_histogram_max(&demo->latency));
		apus_histogram_reset(&demo->latency);
		demo->order_count += sent;
		take_orders(demo);
	}
	if (demo->event_count % EVENTS_A_CANCEL == 0)
		cancel_oldest(demo);
	answer(demo);
	if (demo->event_count >= EVENTS_MAX && demo->order_count == 0)
		bench_fail(demo->b, "%d events, and no order", EVENTS_MAX);
}
