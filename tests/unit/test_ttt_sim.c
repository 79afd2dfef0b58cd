/*
 * test_ttt_sim.c - the exchange and the engine, both whole, on one loop over the simulated
 * network: whatever it does to them, books and positions are the market's own at the end.
 *
 * The market is the reference: it has no socket, no clock and no chance of its own.  Its day
 * runs in the weather of a seed; when it is over the weather turns calm, so that what is still
 * missing can be had.
 */
#include "../../examples/ttt/engine.h"
#include "../../examples/ttt/exchange.h"
#include "../../examples/ttt/report.h"

#include "schedules.h"

static struct options options;

/* Losses, resets, stalls and partitions, each of them or not; and calls that do less. */
static void weather_draw(struct apus_sim_config *sim, uint64_t seed)
{
	apus_sim_config_rough(sim, seed);
	sim->stream_bytes = 4096 << seed % 5;
	/* What a program is not told to try again is a failure to start, and no weather. */
	sim->socket_ppm = 0;
	/* A day of a tenth of a second: what takes seconds would only be its end. */
	sim->cut_ns %= 50 * APUS_MSEC;
	sim->stall_ns %= 50 * APUS_MSEC;
	sim->cut_ppm /= 2;
}

struct both {
	struct engine engine;
	struct desk desk;
	struct exchange exchange;
	struct market market;
	struct shared shared;
	struct apus_world world;
	struct apus_join roots[2];
	apus_poll results[2];
};

static void prepare(struct both *both)
{
	struct market_config market;
	struct desk_config desk;

	engine_desk_config(&desk, &options);
	exchange_market_config(&market, &options);
	apus_latest_init_shared(&both->shared.sights);
	apus_world_init(&both->world);
	both->exchange.published_ns = calloc(UINT16_MAX + 1, sizeof(int64_t));
	expect(both->exchange.published_ns != NULL);
	expect(desk_init(&both->desk, &desk) == 0);
	expect(market_init(&both->market, &market) == 0);
	expect(engine_prepare(&both->engine, &both->desk, &options, &both->shared,
		&both->world) == 0);
	expect(exchange_prepare(&both->exchange, &both->market, &options, &both->shared,
		&both->world) == 0);
}

static struct apus_loop *open_loop(struct both *both, const struct apus_sim_config *sim)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.world = &both->world;
	config.backend = APUS_IO_SIM;
	config.sim = sim;
	config.slot_count = 512;
	config.state_bytes = (uint32_t)(engine_state_bytes() < 2048 ? 2048 : engine_state_bytes());
	config.socket_count = 32;
	config.log_fn = NULL;
	err = apus_open(&loop, &config);
	ck_assert_msg(err == 0, "open: %d: %s", err, config.reason);
	return loop;
}

/* The engine tells the exchange when it is done, as its process would. */
static bool has_ended(struct apus_loop *loop, struct both *both, int side)
{
	if (both->results[side] != APUS_PENDING)
		return true;
	if (apus_try_join(loop, both->roots[side], &both->results[side]) == -EAGAIN)
		return false;
	if (side == 0)
		apus_store_release(&both->shared.engine.is_done, 1);
	return true;
}

static bool have_ended(struct apus_loop *loop, struct both *both)
{
	bool engine = has_ended(loop, both, 0), exchange = has_ended(loop, both, 1);

	return engine && exchange;
}

static void run_day(struct apus_loop *loop, struct both *both)
{
	struct apus_sim_config calm;
	bool was_open = false, is_calm = false;
	uint32_t turns = 0;

	apus_sim_config_init(&calm, 0);
	both->results[0] = both->results[1] = APUS_PENDING;
	expect(engine_begin(loop, &both->roots[0]) == 0);
	expect(exchange_begin(loop, &both->roots[1]) == 0);
	while (!have_ended(loop, both)) {
		expect(++turns < 10000000);
		apus_turn(loop);
		was_open = was_open || both->shared.closes_ns != 0;
		if (was_open && !is_calm && apus_loop_cx(loop)->now_ns >= both->shared.closes_ns) {
			expect(apus_sim_change(loop, &calm) == 0);
			expect(apus_sim_heal(loop) == 0);
			is_calm = true;
		}
	}
}

static uint64_t hash_last, orders_executed, breaks, gaps, requests, cut_count;

static void count(struct apus_loop *loop, const struct both *both)
{
	struct apus_sim_counts counts;

	expect(apus_sim_counts_read(loop, &counts) == 0);
	hash_last = apus_sim_hash(loop);
	orders_executed += both->market.counts.executed;
	breaks += both->shared.engine.breaks;
	gaps += both->shared.engine.feed.gaps;
	requests += both->shared.engine.feed.requests;
	cut_count += counts.cuts;
}

static void judge(struct both *both)
{
	const struct side *engine = &both->shared.engine;

	ck_assert_msg(both->results[0] == 0, "seed %" PRIu64 ": the engine ended with %s",
		schedule_seed, strerror((int)-both->results[0]));
	ck_assert_msg(both->results[1] == 0, "seed %" PRIu64 ": the exchange ended with %s",
		schedule_seed, strerror((int)-both->results[1]));
	expect(report_compare(&both->shared, options.symbol_count, stderr));
	expect(engine->feed.lost == 0);
	expect(engine->unknown == 0);
	expect(both->desk.malformed == 0);
	expect(gateway_check(&both->desk.gateway) == NULL);
	expect(both->desk.gateway.open_count == 0);
	expect(engine->messages > 100);
}

static void day(uint64_t seed)
{
	struct both *both = calloc(1, sizeof(*both));
	struct apus_sim_config sim;
	struct apus_drain_report left;
	struct apus_loop *loop;

	expect(both != NULL);
	options.seed = seed;
	weather_draw(&sim, seed);
	prepare(both);
	loop = open_loop(both, &sim);
	run_day(loop, both);
	engine_finish(&both->engine, &both->desk);
	exchange_finish(&both->exchange, &both->market);
	count(loop, both);
	judge(both);
	apus_stop(loop);
	expect(apus_drain(loop, 100 * APUS_SEC, &left) == 0);
	expect(left.sockets_open == 0);
	expect(apus_close(loop, NULL) == 0);
	apus_world_deinit(&both->world);
	free(both->exchange.published_ns);
	free(both);
}

static void options_set(void)
{
	static char words[][24] = { "tick_to_trade", "--seconds=0.1", "--rate=10000",
		"--symbols=4", "--engine-cpu=-1", "--exchange-cpu=-1" };
	enum { WORDS = sizeof words / sizeof *words };
	char *argv[WORDS + 1] = { NULL };
	int i;

	for (i = 0; i < WORDS; i++)
		argv[i] = words[i];
	ck_assert_int_eq(options_parse(&options, WORDS, argv), 0);
	options.interface = NULL; /* any: there is only one network */
}

START_TEST(whatever_a_network_does_books_and_positions_are_the_markets)
{
	uint64_t ran;

	options_set();
	ran = schedules_run(120, day);
	printf("%" PRIu64 " days: %" PRIu64 " orders executed, %" PRIu64 " gaps, %" PRIu64
		" requests, %" PRIu64 " breaks, %" PRIu64 " cuts\n", ran, orders_executed, gaps,
		requests, breaks, cut_count);
	if (ran < 100)
		return;
	expect(orders_executed > ran);
	expect(gaps > ran);
	expect(breaks > ran / 10);
	expect(cut_count > ran / 10);
}
END_TEST

START_TEST(a_day_in_the_same_weather_is_the_same_day)
{
	uint64_t seed, first;

	options_set();
	for (seed = 1; seed < 5; seed++) {
		schedule_seed = seed;
		day(seed);
		first = hash_last;
		day(seed);
		expect(hash_last == first);
	}
}
END_TEST

TEST_MAIN("tick_to_trade", whatever_a_network_does_books_and_positions_are_the_markets,
	a_day_in_the_same_weather_is_the_same_day)
