/* exchange.c - the exchange's root task: a day, from the first socket to the last packet. */
#include "exchange.h"

#include "alloc_count.h"
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>

APUS_RESOURCE_DEFINE(exchange)
APUS_RESOURCE_DEFINE(market)

#define CLIENT_TIMEOUT_NS (10 * APUS_SEC) /* to come, where it was started with us; to log in */
/* Only an engine that is dead is waited for so long. */
#define LOGOUT_TIMEOUT_NS (10 * APUS_SEC) /* after the close */
#define LINGER_NS (10 * APUS_SEC)         /* the last packets can be asked for so long */
#define END_INTERVAL_NS (10 * APUS_MSEC)

struct root {
	struct apus_frame frame;
	struct apus_set set;
	bool has_set;
	struct apus_join flow;
	int64_t until_ns;
	apus_poll value;
};

static void root_cleanup(struct apus_cx *cx, struct root *self)
{
	struct exchange *exchange = apus_get(cx->world, exchange);

	if (self->has_set)
		apus_set_deinit(&self->set);
	apus_listener_close(cx->loop, exchange->listener);
	apus_udp_close(cx->loop, exchange->feed);
	apus_udp_close(cx->loop, exchange->requests);
}

/* ---- sockets ----------------------------------------------------------------------------------- */

static int open_feed(struct apus_loop *loop, struct exchange *exchange)
{
	const struct options *options = exchange->options;
	struct apus_udp_config config = {.send_buffer_bytes = 1 << 20};
	struct apus_address any;
	int err;

	apus_address_parse(&any, options->feed[0].any.sa_family == AF_INET6 ? "::" : "0.0.0.0");
	err = apus_udp_open(loop, &any, &config, &exchange->feed);
	if (!err && !options->is_unicast)
		err = apus_udp_set_multicast(loop, exchange->feed, options->interface, 1, true);
	return err;
}

static int open_sockets(struct apus_loop *loop, struct exchange *exchange)
{
	const struct options *options = exchange->options;
	struct shared *shared = exchange->shared;
	struct apus_address orders = options->orders, requests = options->requests, local;
	int err = open_feed(loop, exchange);

	/* Started again, it is where it was. */
	if (options->mode == TTT_BOTH) {
		apus_address_set_port(&orders, (uint16_t)shared->order_port);
		apus_address_set_port(&requests, (uint16_t)shared->request_port);
	}

	if (!err)
		err = apus_udp_open(loop, &requests, NULL, &exchange->requests);
	if (!err)
		err = apus_udp_local(loop, exchange->requests, &local);
	if (err)
		return err;
	apus_store_release(&shared->request_port, apus_address_port(&local));
	err = apus_tcp_listen(loop, &orders, NULL, &exchange->listener);
	if (!err)
		err = apus_listener_local(loop, exchange->listener, &local);
	if (!err)
		apus_store_release(&shared->order_port, apus_address_port(&local));
	return err;
}

/* The client has opened its end of the feed before it logs in. */
static void find_feed(struct exchange *exchange)
{
	for (int line = 0; line < 2; line++) {
		exchange->feed_addresses[line] = exchange->options->feed[line];
		if (exchange->options->mode == TTT_BOTH)
			apus_address_set_port(&exchange->feed_addresses[line], (uint16_t)
				apus_load_acquire(&exchange->shared->feed_ports[line]));
	}
}

/* ---- the day ------------------------------------------------------------------------------------ */

static int start(struct apus_cx *cx, struct exchange *exchange, struct root *self)
{
	int err = apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop));

	if (err)
		return err;
	self->has_set = true;
	find_feed(exchange);
	err = open_sockets(cx->loop, exchange);
	if (!err)
		err = exchange_open_door(exchange, &self->set);
	return err ? err : exchange_start_servers(exchange, &self->set);
}

/* A loop that is stopping starts no flow: then the day has only an opening and a close. */
static int start_flow(struct apus_cx *cx, struct exchange *exchange, struct root *self)
{
	int err;

	exchange->opened_ns = exchange->shared->closes_ns - exchange->options->duration_ns;
	pace_init(&exchange->pace, ~exchange->options->seed, exchange->options->rate, cx->now_ns);
	err = exchange_start_flow(exchange, &self->set);
	return err == -ESHUTDOWN ? 0 : err;
}

static int open_market(struct apus_cx *cx, struct exchange *exchange, struct root *self)
{
	day_take(&exchange->day, DAY_OPEN, NULL, 0, cx->now_ns);
	exchange_publish(cx, exchange);
	apus_store_release(&exchange->shared->closes_ns,
		cx->now_ns + exchange->options->duration_ns);
	return start_flow(cx, exchange, self);
}

/* After a restart: whoever was logged in is not any more. */
static int resume_market(struct apus_cx *cx, struct exchange *exchange, struct root *self)
{
	day_take(&exchange->day, DAY_CANCEL_ALL, NULL, 0, cx->now_ns);
	exchange_publish(cx, exchange);
	return start_flow(cx, exchange, self);
}

/* Nothing is flowing any more; from here on orders can only be cancelled. */
static void halt_market(struct apus_cx *cx, struct exchange *exchange)
{
	exchange->pace.next_ns = APUS_NEVER;
	day_take(&exchange->day, DAY_HALT, NULL, 0, cx->now_ns);
	exchange_publish(cx, exchange);
}

static void close_market(struct apus_cx *cx, struct exchange *exchange)
{
	day_take(&exchange->day, DAY_CANCEL_ALL, NULL, 0, cx->now_ns);
	day_take(&exchange->day, DAY_FINISH, NULL, 0, cx->now_ns);
	exchange_publish(cx, exchange);
}

static void send_end(struct apus_cx *cx, struct exchange *exchange)
{
	uint8_t bytes[MOLD_HEADER_SIZE];

	exchange_send_packet(cx, exchange, bytes,
		publisher_end(&exchange->publisher, bytes, cx->now_ns));
}

static void count_turns(struct apus_cx *cx, struct exchange *exchange)
{
	struct side *side = &exchange->shared->exchange;
	struct apus_counters counters;

	apus_counters_read(cx->loop, &counters);
	side->turns = counters.turns;
	side->longest_turn_ns = counters.turn_ns_longest;
	side->allocations = alloc_count() - exchange->allocations_at_start;
	side->allocations_counted = alloc_is_counted();
}

APUS_TASK(exchange_root, struct root, root_cleanup)
{
	struct exchange *exchange = apus_get(cx->world, exchange);
	struct apus_token token = apus_loop_token(cx->loop);
	bool is_alone = exchange->options->mode != TTT_BOTH;

	APUS_BEGIN(cx, self);
	stop_unblock();
	self->value = start(cx, exchange, self);
	if (self->value)
		return stop_excuses(cx, exchange->shared, self->value);
	APUS_WAIT(apus_yield(cx));
	exchange->allocations_at_start = alloc_count();

	if (exchange->shared->closes_ns == 0) {
		self->until_ns = is_alone ? APUS_NEVER : cx->now_ns + CLIENT_TIMEOUT_NS;
		APUS_AWAIT(self->value, apus_timeout_at(cx, self->until_ns, APUS_SELECT(self->value,
			apus_event_wait(cx, &exchange->logged_in), apus_cancelled(cx, token))));
		if (self->value != 0)
			return stop_excuses(cx, exchange->shared, self->value);
		find_feed(exchange);
		self->value = open_market(cx, exchange, self);
	} else {
		self->value = resume_market(cx, exchange, self);
	}
	if (self->value)
		return self->value;
	APUS_WAIT(APUS_SELECT(self->value, apus_sleep_until(cx, exchange->shared->closes_ns),
		apus_event_wait(cx, &exchange->client_left), apus_cancelled(cx, token)));
	halt_market(cx, exchange);
	/* Answers that found the connection full have no flow any more that sends them. */
	self->until_ns = cx->now_ns + LOGOUT_TIMEOUT_NS;
	do {
		exchange_publish(cx, exchange);
		APUS_AWAIT(self->value, apus_timeout(cx, END_INTERVAL_NS,
			apus_event_wait(cx, &exchange->client_left)));
	} while (self->value != 0 && cx->now_ns < self->until_ns &&
		 !apus_load_acquire(&exchange->shared->engine.is_done));
	close_market(cx, exchange);

	/* The end of the session again and again, until the client has all, or had the time. */
	self->until_ns = cx->now_ns + (is_alone ? APUS_SEC : LINGER_NS);
	while (cx->now_ns < self->until_ns &&
	       !apus_load_acquire(&exchange->shared->engine.is_done)) {
		send_end(cx, exchange);
		APUS_WAIT(apus_sleep(cx, END_INTERVAL_NS));
	}
	count_turns(cx, exchange);
	APUS_END(0);
}

/* ---- before and after the loop ---------------------------------------------------------------------- */

static uint32_t tape_count(const struct options *options)
{
	/* Twenty seconds of the flow, so that what was lost can be had again for that long. */
	uint64_t wanted = options->rate * 20;
	uint32_t count = 1 << 16;

	while (count < wanted && count < 1 << 21)
		count *= 2;
	return count;
}

static void loop_configure(struct apus_config *config, const struct options *options,
	struct apus_world *world, bool has_core)
{
	apus_config_init(config);
	config->world = world;
	config->slot_count = 64;
	config->state_bytes = 2048;
	config->socket_count = 16;
	config->prefault = true;
	config->backend = options->backend;
	config->cpu = options->exchange_cpu;
	config->stop_grace_ns = CLIENT_TIMEOUT_NS + LOGOUT_TIMEOUT_NS + LINGER_NS;
	config->io_interval_ns = has_core ? 5 * APUS_USEC : 0;
	config->idle = has_core ? APUS_IDLE_BUSY : APUS_IDLE_PARK;
}

static void fill_faults(struct side *side, const struct exchange *exchange,
	const struct market *market)
{
	side->faults[SIDE_ORDERS] = exchange->faults;
	side->faults[SIDE_MESSAGES] = market->faults;
	side->faults[SIDE_REQUESTS] = exchange->publisher.faults;
}

static void fill_weather(struct side *side, const struct exchange *exchange)
{
	for (int line = 0; line < 2; line++) {
		side->line_lost[line] = exchange->weather[line].lost;
		side->line_doubled[line] = exchange->weather[line].doubled;
		side->line_delayed[line] = exchange->weather[line].delayed;
	}
}

static void fill_side(struct side *side, const struct market *market,
	const struct options *options)
{
	side->messages = market->feed.next - 1;
	side->books_checksum = books_checksum(&market->books);
	side->book_changes = market->books.counts.changes;
	side->resting_orders = market->books.order_count;
	side->orders = market->counts;
	memcpy(side->positions, market->positions,
		(options->symbol_count + 1) * sizeof(*side->positions));
}

int exchange_prepare(struct exchange *exchange, struct market *market,
	const struct options *options, struct shared *shared, struct apus_world *world)
{
	int err;

	exchange->options = options;
	exchange->shared = shared;
	exchange->latency = &shared->exchange.latency;
	exchange->has_hot_sockets = options->exchange_cpu >= 0;
	exchange->day = (struct day){shared->day, market};
	for (unsigned int line = 0; line < 2; line++)
		weather_init(&exchange->weather[line], &options->weather[line],
			options->seed * 2 + line);
	publisher_init(&exchange->publisher, &market->feed, EXCHANGE_SESSION, 0);
	/* What was on the tapes of the one before has been sent, or has been lost with it. */
	if (shared->day != NULL && day_replay(shared->day, market) != 0)
		return -EBADMSG;
	exchange->publisher.next = market->feed.next;
	err = apus_put(world, exchange, exchange);
	return err ? err : apus_put_with(world, market, market, market_deinit);
}

int exchange_begin(struct apus_loop *loop, struct apus_join *root)
{
	return apus_spawn_slab(loop, exchange_root, NULL, root);
}

void exchange_finish(const struct exchange *exchange, const struct market *market)
{
	struct side *side = &exchange->shared->exchange;

	fill_side(side, market, exchange->options);
	fill_weather(side, exchange);
	fill_faults(side, exchange, market);
}

static int run(const struct options *options, struct shared *shared, struct exchange *exchange,
	struct market *market)
{
	static struct apus_world world;
	struct apus_config config;
	int err;

	apus_world_init(&world);
	err = exchange_prepare(exchange, market, options, shared, &world);
	if (!err) {
		loop_configure(&config, options, &world, exchange->has_hot_sockets);
		err = (int)apus_main(&config, exchange_root, NULL);
		exchange_finish(exchange, market);
	}
	apus_world_deinit(&world);
	return err;
}

void exchange_market_config(struct market_config *config, const struct options *options)
{
	*config = (struct market_config){
		.seed = options->seed, .symbol_count = options->symbol_count,
		.order_limit = options->symbol_count * 128 + 1024, .token_limit = 1 << 18,
		.tape_count = tape_count(options),
	};
}

int exchange_run(const struct options *options, struct shared *shared)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	struct market *market = calloc(1, sizeof(*market));
	struct market_config config;
	int err = -ENOMEM;

	exchange_market_config(&config, options);

	if (exchange != NULL)
		exchange->published_ns = calloc(UINT16_MAX + 1, sizeof(*exchange->published_ns));
	if (market != NULL && exchange != NULL && exchange->published_ns != NULL) {
		err = market_init(market, &config);
		if (!err)
			err = run(options, shared, exchange, market);
	}
	shared->exchange.status = err;
	apus_store_release(&shared->exchange.is_done, 1);
	if (exchange != NULL)
		free(exchange->published_ns);
	free(exchange);
	free(market);
	return err;
}
