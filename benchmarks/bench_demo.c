/*
 * Question   what does the runtime add to a trade?
 * Unit       tick_to_trade: ns from just before the receive call that returned the packet to
 *            the return of the send that carries the order, as the engine of examples/ttt
 *            takes them itself, through its own tasks; an event at a time, so nothing queues.
 *            receive_send: the two system calls alone, with as many bytes.
 * Rival      rivals/limit_demo.c: the same decoder, books, strategy and encoder called
 *            straight from a loop that spins on its receive; the same packets and orders.
 * Not shown  a network, the exchange on another core, bursts.
 */
#include "bench_demo.h"
#include "bench_loop.h"

#include "../examples/ttt/engine.h"

#include <stdlib.h>
#include <string.h>

BENCH_ROW(tick_to_trade, .name = "demo/tick_to_trade", .unit = "ns");
BENCH_ROW(receive_send, .name = "demo/receive_send", .unit = "ns");

APUS_RESOURCE_DEFINE(engine)
APUS_RESOURCE_DEFINE(desk)

#define TURNS_MAX 1000000

struct house {
	struct demo *demo;
	struct engine engine;
	struct options options;
	struct shared shared;
	struct apus_world world;
	struct apus_loop *loop;
	struct apus_set set;
};

void engine_fail(struct engine *engine, int error)
{
	engine->error = error;
}

/* There is no second connection. */
void engine_drop(struct engine *engine, int why)
{
	engine_fail(engine, why);
}

/* As engine.c does it on a core of its own. */
static void house_config(struct apus_config *config, struct apus_world *world)
{
	loop_config(config);
	config->world = world;
	config->state_bytes = (uint32_t)engine_state_bytes();
	config->slot_count = 512;
	config->io_interval_ns = 5 * APUS_USEC;
}

static int house_init(struct house *house)
{
	struct engine *engine = &house->engine;
	int err;

	house->options.is_unicast = true;
	house->options.line_count = 1;
	apus_address_parse(&house->options.feed[0], "127.0.0.1:0");
	apus_address_parse(&engine->server, "127.0.0.1:0");
	engine->options = &house->options;
	engine->shared = &house->shared;
	engine->latency = &house->demo->latency;
	engine->has_hot_sockets = true;
	apus_world_init(&house->world);
	err = apus_put(&house->world, engine, engine);
	return err != 0 ? err : apus_put(&house->world, desk, &house->demo->desk);
}

static int house_start(struct house *house)
{
	struct engine *engine = &house->engine;
	struct sockaddr_in *address = &house->demo->feed_address;
	int err = apus_set_init(&house->set, house->loop, apus_loop_token(house->loop));

	if (err == 0)
		err = engine_open_feed(house->loop, engine);
	if (err == 0)
		err = apus_tcp_adopt(house->loop, house->demo->orders.ours[0], APUS_BORROWED,
			&engine->tcp);
	engine->outbox.tcp = engine->tcp;
	if (err == 0)
		err = outbox_start(&engine->outbox, &house->set);
	if (err == 0)
		err = engine_start_feed(house->loop, engine, &house->set);
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address->sin_port = htons((uint16_t)house->shared.feed_ports[0]);
	return err;
}

static void house_take(struct house *house)
{
	for (int n = 0; n < TURNS_MAX && !demo_is_through(house->demo); n++)
		apus_turn(house->loop);
	if (!demo_is_through(house->demo) || house->engine.error != 0)
		bench_fail(house->demo->b, "the engine does not take the feed: %s",
			strerror(-house->engine.error));
}

static void house_trade(struct house *house)
{
	struct bench *b = house->demo->b;

	apus_turn(house->loop);
	demo_begin(house->demo);
	house_take(house);
	while (!bench_stopping(b)) {
		demo_publish(house->demo);
		house_take(house);
		demo_settle(house->demo);
	}
}

static void house_run(struct bench *b, struct house *house)
{
	struct apus_config config;

	house_config(&config, &house->world);
	house->loop = loop_open(b, &config);
	if (house->loop == NULL)
		return;
	if (!loop_refused(b, "engine", house_start(house)))
		house_trade(house);
	apus_set_deinit(&house->set);
	apus_tcp_close(house->loop, house->engine.tcp);
	apus_udp_close(house->loop, house->engine.feeds[0]);
	apus_udp_close(house->loop, house->engine.requests);
	loop_close(b, house->loop);
}

static void tick_to_trade(struct bench *b)
{
	struct house *house = calloc(1, sizeof *house);

	if (house == NULL)
		abort();
	house->demo = demo_open(b);
	if (house->demo != NULL) {
		if (!loop_refused(b, "world", house_init(house)))
			house_run(b, house);
		apus_world_deinit(&house->world);
		demo_close(house->demo);
	}
	free(house);
}
BENCH_ENTRANT(tick_to_trade_apus, .row = "demo/tick_to_trade", .who = "apus",
	.run = tick_to_trade);
