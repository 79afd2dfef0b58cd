/*
 * engine_feed.c - the path from tick to trade, and the recovery beside it.
 */
#include "engine.h"

/* The slot that the kernel receives into is the task's own state: nothing is copied. */
struct packet {
	int64_t before_ns;   /* just before the receive call; 0: it was asked for again */
	uint16_t size;
	uint16_t line;       /* enum feed_line */
	uint8_t bytes[MOLD_PACKET_MAX];
};

size_t engine_state_bytes(void)
{
	return sizeof(struct packet);
}

/* ---- one packet ----------------------------------------------------------------------------- */

/* What the books ask for now goes out, an order at a time. */
static void trade(struct apus_cx *cx, struct engine *engine, struct desk *desk, int64_t before_ns)
{
	bool was_idle = desk->gateway.open_count == 0;
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length, count = 0;

	while (outbox_room(&engine->outbox) >= sizeof(bytes) &&
	       (length = desk_order(desk, cx->now_ns, bytes)) > 0) {
		engine_send(cx, engine, bytes, (size_t)length);
		if (before_ns != 0)
			apus_histogram_record(engine->latency,
				apus_clock_now(cx->loop) - before_ns);
		count++;
	}
	/* The first open order sets a clock going. */
	if (count > 0 && was_idle)
		apus_notify_one(&engine->sent);
}

/* What cannot be written down has not been seen: it is missing then, and comes again. */
static bool tap_packet(struct apus_cx *cx, struct engine *engine, struct desk *desk,
	const struct packet *packet)
{
	struct tap tap = {.now_ns = cx->now_ns, .kind = TAP_PACKET, .line = (uint8_t)packet->line,
		.size = packet->size};

	if (engine_is_behind(engine)) {
		engine->shared->engine.held_packets++;
		return false;
	}
	desk->is_held = !engine->may_trade || scribe_room(engine->scribe) < 2 * SCRIBE_RESERVE;
	tap.is_held = desk->is_held;
	return engine_tap(engine, &tap, packet->bytes) == 0;
}

static void on_packet(struct apus_cx *cx, const struct packet *packet)
{
	struct engine *engine = apus_get(cx->world, engine);
	struct desk *desk = apus_get(cx->world, desk);
	bool was_open = desk->is_market_open;

	engine->shared->engine.feed_bytes += packet->size;
	if (engine->scribe != NULL && !tap_packet(cx, engine, desk, packet))
		return;
	desk_packet(desk, (enum feed_line)packet->line, packet->bytes, packet->size, cx->now_ns);
	trade(cx, engine, desk, packet->before_ns);
	if (!feed_is_current(&desk->feed))
		apus_notify_one(&engine->gap);
	if (was_open && !desk->is_market_open)
		apus_event_set(&engine->market_closed);
	if (feed_is_complete(&desk->feed))
		apus_event_set(&engine->feed_done);
}

APUS_TASK(packet, struct packet)
{
	on_packet(cx, self);
	return 0;
}

/* ---- the listener ---------------------------------------------------------------------------- */

struct listener {
	struct apus_frame frame;
	struct apus_udp udp;
	enum feed_line line;     /* packets of the feed itself are timed */
	struct packet *claim;    /* the slot for the next packet: there always is one */
	apus_poll got;
};

static void listener_cleanup(struct apus_cx *cx, struct listener *self)
{
	(void)cx;
	apus_claim_drop(self->claim);
}

/* The stamp is taken each time anew, just before the call that may bring the packet. */
static apus_poll receive(struct apus_cx *cx, struct listener *self)
{
	self->claim->before_ns = self->line == FEED_LINE_REQUESTED ? 0 :
		apus_clock_now(cx->loop);
	return apus_udp_recv(cx, self->udp, self->claim->bytes, sizeof(self->claim->bytes), NULL);
}

/*
 * The next slot is claimed before this one is given away.  A loop that is stopping gives no
 * slot any more, and the feed has still to be read to its end: so the listener keeps the one
 * it has, and looks at the packet right here.  A stop may also come between the two calls.
 */
static void hand_over(struct apus_cx *cx, struct listener *self)
{
	struct packet *got = self->claim, *next;

	got->size = (uint16_t)self->got;
	got->line = (uint16_t)self->line;
	if (apus_claim_slab(cx->loop, packet, &next) != 0) {
		on_packet(cx, got);
		return;
	}
	self->claim = next;
	if (apus_claim_spawn(got, NULL) != 0) {
		on_packet(cx, got);
		apus_claim_drop(got);
	}
}

APUS_TASK(listener, struct listener, listener_cleanup)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, receive(cx, self));
		if (self->got == -ESTALE || self->got == -EPIPE)
			return self->got;
		if (self->got == -EMSGSIZE)
			feed_refuse(&apus_get(cx->world, desk)->feed, self->line, FEED_OVERSIZED);
		if (self->got < 0)
			continue; /* that, or an ICMP error: not ours */
		hand_over(cx, self);
		/* The packet's task first, before another system call. */
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(0);
}

/* ---- recovery ----------------------------------------------------------------------------------- */

struct recovery {
	struct apus_frame frame;
	uint8_t request[MOLD_HEADER_SIZE];
	int64_t deadline_ns;
	apus_poll value;
};

static bool request(struct apus_cx *cx, struct engine *engine, struct desk *desk, uint8_t *bytes)
{
	struct tap tap = {.now_ns = cx->now_ns, .kind = TAP_REQUEST, .size = MOLD_HEADER_SIZE};
	uint64_t lost = desk->feed.counts.lost;
	bool is_due = !engine_is_behind(engine) && desk_request(desk, cx->now_ns, bytes);

	if (is_due)
		engine_tap(engine, &tap, bytes);
	tap.kind = TAP_GIVE_UP;
	tap.size = 0;
	if (lost != desk->feed.counts.lost)
		engine_tap(engine, &tap, "");
	return is_due;
}

APUS_TASK(recovery, struct recovery)
{
	struct engine *engine = apus_get(cx->world, engine);
	struct desk *desk = apus_get(cx->world, desk);

	APUS_BEGIN(cx, self);
	for (;;) {
		/* A request that cannot be sent is like one that is lost: the time-out sees to it. */
		while (request(cx, engine, desk, self->request))
			APUS_AWAIT(self->value, apus_udp_send(cx, engine->requests, self->request,
				sizeof(self->request), &engine->server));
		if (feed_is_complete(&desk->feed))
			apus_event_set(&engine->feed_done);
		self->deadline_ns = feed_deadline_ns(&desk->feed);
		if (engine_is_behind(engine))
			self->deadline_ns = cx->now_ns + APUS_MSEC;
		APUS_WAIT(APUS_SELECT(self->value, apus_notified(cx, &engine->gap),
			apus_sleep_until(cx, self->deadline_ns)));
	}
	APUS_END(0);
}

/* ---- sockets -------------------------------------------------------------------------------------- */

static int open_feed_socket(struct apus_loop *loop, struct engine *engine, uint32_t line)
{
	const struct options *options = engine->options;
	const struct apus_address *address = &options->feed[line];
	struct apus_udp_config config = {.receive_buffer_bytes = 1 << 22,
		.reuse_address = !options->is_unicast};
	struct apus_udp *udp = &engine->feeds[line];
	struct apus_address local;
	int err = apus_udp_open(loop, address, &config, udp);

	if (!err && !options->is_unicast)
		err = apus_udp_join(loop, *udp, address, NULL, options->interface);
	if (!err)
		err = apus_udp_local(loop, *udp, &local);
	if (err)
		return err;
	engine->shared->engine.receive_buffer_bytes = apus_udp_set_receive_buffer(loop, *udp, 0);
	apus_store_release(&engine->shared->feed_ports[line], apus_address_port(&local));
	return engine->has_hot_sockets ? apus_udp_set_hot(loop, *udp, true) : 0;
}

int engine_open_feed(struct apus_loop *loop, struct engine *engine)
{
	struct apus_address any;
	int err = 0;

	for (uint32_t line = 0; line < engine->options->line_count && !err; line++)
		err = open_feed_socket(loop, engine, line);
	if (err)
		return err;
	apus_address_parse(&any, engine->server.any.sa_family == AF_INET6 ? "::" : "0.0.0.0");
	err = apus_udp_open(loop, &any, NULL, &engine->requests);
	if (!err)
		err = apus_udp_local(loop, engine->requests, &any);
	if (!err)
		apus_store_release(&engine->shared->recovery_port, apus_address_port(&any));
	return err;
}

static int start_listener(struct apus_loop *loop, struct apus_set *set, struct apus_udp udp,
	enum feed_line line)
{
	struct listener init = {.udp = udp, .line = line};
	int err = apus_claim_slab(loop, packet, &init.claim);

	if (err)
		return err;
	err = apus_set_spawn(set, listener, &init);
	if (err)
		apus_claim_drop(init.claim);
	return err;
}

int engine_start_feed(struct apus_loop *loop, struct engine *engine, struct apus_set *set)
{
	int err = start_listener(loop, set, engine->requests, FEED_LINE_REQUESTED);

	for (uint32_t line = 0; line < engine->options->line_count && !err; line++)
		err = start_listener(loop, set, engine->feeds[line], (enum feed_line)line);
	return err ? err : apus_set_spawn(set, recovery, NULL);
}
