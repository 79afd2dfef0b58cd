/* engine.c - the engine's root task, from the first socket to the logout. */
#include "engine.h"

#include "alloc_count.h"
#include "bound.h"
#include "report.h"
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

APUS_RESOURCE_DEFINE(engine)
APUS_RESOURCE_DEFINE(desk)
APUS_RESOURCE_DEFINE(books)

#define START_TIMEOUT_NS (10 * APUS_SEC) /* for the exchange to be there */
/* Only an exchange that is dead is waited for so long. */
#define ANSWER_TIMEOUT_NS (5 * APUS_SEC) /* for the last orders' answers */
#define CLOSE_TIMEOUT_NS (10 * APUS_SEC) /* for the last of the feed */

void engine_fail(struct engine *engine, int error)
{
	if (engine->error == 0)
		engine->error = error;
	apus_event_set(&engine->over);
}

/* ---- what it tells of itself ----------------------------------------------------------------------- */

static void count_turns(struct apus_cx *cx, struct engine *engine)
{
	struct side *side = &engine->shared->engine;
	struct apus_counters counters;
	int64_t drops;

	side->kernel_drops = 0;
	for (uint32_t line = 0; line < engine->options->line_count; line++) {
		drops = apus_udp_drops(cx->loop, engine->feeds[line]);
		side->kernel_drops += drops > 0 ? (uint64_t)drops : 0;
	}
	apus_counters_read(cx->loop, &counters);
	side->turns = counters.turns;
	side->longest_turn_ns = counters.turn_ns_longest;
	side->allocations = alloc_count() - engine->allocations_at_start;
	side->allocations_counted = alloc_is_counted();
}

void engine_fill_side(struct side *side, const struct desk *desk, const struct options *options)
{
	const struct gateway *gateway = &desk->gateway;

	side->packets = desk->feed.counts.packets;
	side->messages = desk->feed.counts.messages;
	side->feed = desk->feed.counts;
	side->book_changes = desk->books.counts.changes;
	side->resting_orders = desk->books.order_count;
	side->orders = gateway->counts;
	memcpy(side->positions, gateway->positions,
		(options->symbol_count + 1) * sizeof(*side->positions));
	side->throttled = gateway->throttled;
	side->timed_out = gateway->timed_out;
	side->voided = gateway->voided;
	side->breaks = gateway->breaks;
	side->never_entered = gateway->never_entered;
	side->never_replaced = gateway->never_replaced;
	side->abandoned = gateway->abandoned;
	side->unknown = gateway->unknown;
	side->faults[SIDE_MESSAGES] = gateway->faults;
}

/* ---- progress ---------------------------------------------------------------------------------- */

struct progress {
	struct apus_frame frame;
	struct apus_interval interval;
	uint64_t messages;
};

/* Snprintf and one write: neither allocates. */
static void print_progress(struct apus_cx *cx, uint64_t messages)
{
	const struct engine *engine = apus_get(cx->world, engine);
	const struct desk *desk = apus_get(cx->world, desk);
	const struct order_counts *orders = &desk->gateway.counts;
	char line[240];
	int length = snprintf(line, sizeof(line), "engine: %llu messages/s, %llu gaps, "
		"orders %llu sent %llu accepted %llu executed, tick to trade p50 %lld p99 %lld ns\n",
		(unsigned long long)messages, (unsigned long long)desk->feed.counts.gaps,
		(unsigned long long)orders->entered, (unsigned long long)orders->accepted,
		(unsigned long long)orders->executed,
		(long long)apus_histogram_percentile(engine->latency, 50),
		(long long)apus_histogram_percentile(engine->latency, 99));

	if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
		return; /* nobody looks */
}

static void print_report(struct apus_cx *cx)
{
	struct engine *engine = apus_get(cx->world, engine);

	count_turns(cx, engine);
	engine_fill_side(&engine->shared->engine, apus_get(cx->world, desk), engine->options);
	report_print_engine(engine->shared, engine->options, stdout);
}

APUS_TASK(progress, struct progress)
{
	const struct options *options = apus_get(cx->world, engine)->options;
	struct desk *desk = apus_get(cx->world, desk);

	APUS_BEGIN(cx, self);
	apus_interval_init(&self->interval, cx->now_ns + APUS_SEC, APUS_SEC, APUS_MISSED_SKIP);
	for (;;) {
		APUS_WAIT(apus_tick(cx, &self->interval));
		if (options->has_progress)
			print_progress(cx, desk->feed.counts.messages - self->messages);
		if (options->has_reports)
			print_report(cx);
		self->messages = desk->feed.counts.messages;
	}
	APUS_END(0);
}

/* ---- what can be seen of it ------------------------------------------------------------------------- */

/* The largest positions, by insertion: there are few places, and few symbols that get into one. */
static void find_positions(struct sight *sight, const struct gateway *gateway)
{
	for (uint32_t locate = 1; locate <= gateway->config.symbol_count; locate++) {
		int64_t shares = gateway->positions[locate];
		int at = WATCH_POSITIONS;

		while (at > 0 && llabs(shares) > llabs(sight->positions[at - 1].shares)) {
			if (at < WATCH_POSITIONS)
				sight->positions[at] = sight->positions[at - 1];
			at--;
		}
		if (at == WATCH_POSITIONS)
			continue;
		memcpy(sight->positions[at].stock, gateway->stocks[locate], 8);
		sight->positions[at].shares = shares;
	}
}

static void look(struct apus_cx *cx, struct sight *sight)
{
	const struct engine *engine = apus_get(cx->world, engine);
	const struct desk *desk = apus_get(cx->world, desk);
	const struct feed *feed = &desk->feed;

	*sight = (struct sight){
		.now_ns = cx->now_ns, .packets = feed->counts.packets,
		.messages = feed->counts.messages, .gaps = feed->counts.gaps,
		.refused = feed_refused_count(feed->counts.verdicts),
		.requests = feed->counts.requests, .lost = feed->counts.lost,
		.missing_now = feed->high - feed->next, .open_orders = desk->gateway.open_count,
		.breaks = desk->gateway.breaks, .orders = desk->gateway.counts,
		.held_packets = engine->shared->engine.held_packets,
		.p50_ns = apus_histogram_percentile(engine->latency, 50),
		.p90_ns = apus_histogram_percentile(engine->latency, 90),
		.p99_ns = apus_histogram_percentile(engine->latency, 99),
		.p999_ns = apus_histogram_percentile(engine->latency, 99.9),
		.max_ns = apus_histogram_max(engine->latency),
		.is_connected = desk->gateway.is_connected, .is_trading = desk->is_trading,
		.is_disk_full = engine->scribe != NULL &&
			apus_load_acquire(&engine->scribe->is_full) != 0,
	};
	find_positions(sight, &desk->gateway);
}

struct show {
	struct apus_frame frame;
	struct apus_interval interval;
};

APUS_TASK(show, struct show)
{
	struct engine *engine = apus_get(cx->world, engine);
	struct sight sight;

	APUS_BEGIN(cx, self);
	apus_interval_init(&self->interval, cx->now_ns, WATCH_INTERVAL_NS, APUS_MISSED_SKIP);
	for (;;) {
		APUS_WAIT(apus_tick(cx, &self->interval));
		look(cx, &sight);
		apus_latest_publish(&engine->shared->sights, sight);
	}
	APUS_END(0);
}

/* ---- the root ------------------------------------------------------------------------------------ */

struct root {
	struct apus_frame frame;
	struct apus_set set;
	bool has_set;
	int64_t until_ns;
	apus_poll value;
};

static void root_cleanup(struct apus_cx *cx, struct root *self)
{
	struct engine *engine = apus_get(cx->world, engine);

	if (self->has_set)
		apus_set_deinit(&self->set);
	apus_udp_close(cx->loop, engine->feeds[0]);
	apus_udp_close(cx->loop, engine->feeds[1]);
	apus_udp_close(cx->loop, engine->requests);
}

/* Cancels are not many more than an outbox holds; what does not fit goes the next time. */
static void cancel_all(struct apus_cx *cx, struct engine *engine, struct desk *desk)
{
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length;

	engine->may_trade = desk->is_trading = false;
	while (outbox_room(&engine->outbox) >= sizeof(bytes) && !engine_is_behind(engine) &&
	       (length = desk_cancel_next(desk, cx->now_ns, bytes)) > 0)
		engine_send(cx, engine, bytes, (size_t)length);
}

static void logout(struct apus_cx *cx, struct engine *engine)
{
	uint8_t bytes[SOUP_HEADER_SIZE];

	engine_send(cx, engine, bytes, session_leave(&engine->session, bytes, cx->now_ns));
}

static int start(struct apus_cx *cx, struct engine *engine, struct root *self)
{
	int err = apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop));

	if (err)
		return err;
	self->has_set = true;
	err = engine_open_feed(cx->loop, engine);
	if (!err)
		err = engine_start_feed(cx->loop, engine, &self->set);
	if (!err)
		err = engine_start_link(engine, &self->set);
	if (!err)
		err = engine_start_orders(&self->set);
	if (!err && engine->options->has_watch)
		err = apus_set_spawn(&self->set, show, NULL);
	if (!err && (engine->options->has_progress || engine->options->has_reports))
		err = apus_set_spawn(&self->set, progress, NULL);
	return err;
}

APUS_TASK(engine_root, struct root, root_cleanup)
{
	struct engine *engine = apus_get(cx->world, engine);
	struct desk *desk = apus_get(cx->world, desk);
	struct apus_token token = apus_loop_token(cx->loop);

	APUS_BEGIN(cx, self);
	stop_unblock();
	self->value = start(cx, engine, self);
	if (self->value)
		return stop_excuses(cx, engine->shared, self->value);
	engine->may_trade = true;
	APUS_WAIT(apus_yield(cx));
	engine->allocations_at_start = alloc_count();

	APUS_AWAIT(self->value, apus_timeout(cx, START_TIMEOUT_NS, APUS_SELECT(self->value,
		apus_event_wait(cx, &engine->session_up), apus_event_wait(cx, &engine->over),
		apus_cancelled(cx, token))));
	if (self->value != 0)
		return stop_excuses(cx, engine->shared,
			engine->error ? engine->error : self->value);

	APUS_WAIT(APUS_SELECT(self->value, apus_event_wait(cx, &engine->market_closed),
		apus_event_wait(cx, &engine->over), apus_cancelled(cx, token)));

	/* The close, or Ctrl-C: no order of ours stays behind, and no answer is missing. */
	self->until_ns = cx->now_ns + ANSWER_TIMEOUT_NS;
	for (;;) {
		cancel_all(cx, engine, desk);
		if ((desk->gateway.open_count == 0 && engine->session.is_caught_up) ||
		    engine->error || cx->now_ns >= self->until_ns)
			break;
		/* Not for ever: a scribe that was behind tells nobody when it is not any more. */
		APUS_WAIT(apus_timeout(cx, 10 * APUS_MSEC, apus_notified(cx, &engine->answered)));
	}
	engine->is_leaving = true;
	if (!engine->error && engine->session.is_caught_up)
		logout(cx, engine);
	/* The day's last messages; an engine by itself that is told to stop does not wait. */
	self->value = 0;
	if (engine->options->mode == TTT_BOTH || !apus_token_is_cancelled(cx->loop, token))
		APUS_AWAIT(self->value, apus_timeout(cx, CLOSE_TIMEOUT_NS,
			apus_event_wait(cx, &engine->feed_done)));
	count_turns(cx, engine);
	/* After the logout the exchange hangs up, as it should. */
	if (engine->session.state == SESSION_OVER && desk->gateway.open_count == 0)
		return self->value;
	APUS_END(engine->error ? engine->error : -ETIMEDOUT);
}

/* ---- before and after the loop ---------------------------------------------------------------------- */

void engine_desk_config(struct desk_config *config, const struct options *options)
{
	*config = (struct desk_config){
		.symbol_count = options->symbol_count,
		.order_limit = options->symbol_count * 128 + 1024,
		.feed = {
			.session = "TTTSESSION", .early_limit = 1024, .request_limit = 1024,
			.jump_limit = 1 << 24, .silence_ns = 2 * APUS_SEC,
			/* Line B is that much later at most, where both are well. */
			.patience_ns = options->line_count > 1 ? 200 * APUS_USEC : 0,
			/* Together longer than a busy machine holds a process up. */
			.retry_limit = 500, .timeout_ns = 10 * APUS_MSEC,
		},
		.gateway = {
			.symbol_count = options->symbol_count, .order_limit = 4096,
			.rate = options->order_rate, .burst = 64, .timeout_ns = 250 * APUS_MSEC,
			.firm = "APUS",
		},
		.strategy = {
			.symbol_count = options->symbol_count, .ratio = 3, .spread_max = 500,
			.lot = 100, .position_limit = 1000, .quiet_ns = 20 * APUS_MSEC,
			.rest_every = 3,
		},
	};
}

static void loop_configure(struct apus_config *config, const struct options *options,
	struct apus_world *world, bool has_core)
{
	apus_config_init(config);
	config->world = world;
	config->state_bytes = (uint32_t)engine_state_bytes();
	config->slot_count = 512;
	config->socket_count = 16;
	config->prefault = true;
	config->stop_grace_ns = START_TIMEOUT_NS + ANSWER_TIMEOUT_NS + CLOSE_TIMEOUT_NS;
	config->backend = options->backend;
	config->cpu = options->engine_cpu;
	/* The feed is hot, and read every turn; the kernel is asked for the rest. */
	config->io_interval_ns = has_core ? 5 * APUS_USEC : 0;
	/* Two that spin on one core would only keep each other waiting. */
	config->idle = has_core ? APUS_IDLE_BUSY : APUS_IDLE_PARK;
}

int engine_prepare(struct engine *engine, struct desk *desk, const struct options *options,
	struct shared *shared, struct apus_world *world)
{
	int err;

	engine->options = options;
	engine->shared = shared;
	engine->latency = &shared->engine.latency;
	engine->has_hot_sockets = options->engine_cpu >= 0;
	session_init(&engine->session, SESSION_CLIENT, 0);
	engine->session.silence_ns = options->silence_ns;
	desk->gateway.is_connected = false;
	err = apus_put(world, engine, engine);
	if (!err)
		err = apus_put(world, books, &desk->books);
	return err ? err : apus_put_with(world, desk, desk, desk_deinit);
}

int engine_begin(struct apus_loop *loop, struct apus_join *root)
{
	return apus_spawn_slab(loop, engine_root, NULL, root);
}

void engine_finish(const struct engine *engine, const struct desk *desk)
{
	struct side *side = &engine->shared->engine;

	engine_fill_side(side, desk, engine->options);
	side->faults[SIDE_ORDERS] = engine->faults;
	side->repeated = engine->session.repeated;
	side->books_checksum = books_checksum(&desk->books);
}

static int run(const struct options *options, struct shared *shared, struct engine *engine,
	struct desk *desk, struct scribe *scribe)
{
	static struct apus_world world;
	struct apus_config config;
	int err;

	engine->scribe = scribe;
	apus_world_init(&world);
	err = engine_prepare(engine, desk, options, shared, &world);
	if (!err) {
		loop_configure(&config, options, &world, engine->has_hot_sockets);
		err = (int)apus_main(&config, engine_root, NULL);
		engine_finish(engine, desk);
	}
	apus_world_deinit(&world);
	return err;
}

/* With a scribe beside it, where one was asked for. */
static int run_written_down(const struct options *options, struct shared *shared,
	struct engine *engine, struct desk *desk)
{
	static struct scribe scribe;
	struct scribe_config config = {
		.journal = options->journal, .pcap = options->pcap,
		.ring_bytes = options->ring_bytes, .cpu = options->scribe_cpu,
		.patience_ns = ANSWER_TIMEOUT_NS, .syncs = options->has_sync,
	};
	struct side *side = &shared->engine;
	int err, other;

	if (options->journal == NULL && options->pcap == NULL)
		return run(options, shared, engine, desk, NULL);
	err = scribe_start(&scribe, &config);
	if (err) {
		desk_deinit(desk);
		return err;
	}
	err = run(options, shared, engine, desk, &scribe);
	other = scribe_stop(&scribe);
	side->records = scribe.record_count;
	side->disk_full = scribe.full_count;
	return err ? err : other;
}

/* On the engine's core, with packets and orders as large as the day's were on average. */
static void measure_bound(struct side *side)
{
	uint64_t packet_bytes = side->packets > 0 ? side->feed_bytes / side->packets : 0;

	if (packet_bytes > 0)
		bound_measure(&side->bound, packet_bytes, GATEWAY_PACKET_MAX, 5000);
}

int engine_run(const struct options *options, struct shared *shared)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct desk *desk = calloc(1, sizeof(*desk));
	struct desk_config config;
	int err = -ENOMEM;

	if (engine != NULL && desk != NULL) {
		engine_desk_config(&config, options);
		err = desk_init(desk, &config);
		if (!err)
			err = run_written_down(options, shared, engine, desk);
		measure_bound(&shared->engine);
	}
	shared->engine.status = err;
	apus_store_release(&shared->engine.is_done, 1);
	free(engine);
	free(desk);
	return err;
}
