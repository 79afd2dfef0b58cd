/* exchange_flow.c - the feed: the flow, its packets, what is asked for again, heartbeats. */
#include "exchange.h"

#define FEED_HEARTBEAT_NS (50 * APUS_MSEC)
/* Events taken at once: a packet is not made to wait for more. */
#define EVENTS_AT_ONCE 64

/* ---- packets out ------------------------------------------------------------------------------ */

static void stamp_symbols(struct apus_cx *cx, struct exchange *exchange, const uint8_t *bytes,
	size_t size)
{
	int64_t now_ns = apus_clock_now(cx->loop);
	size_t length, offset = MOLD_HEADER_SIZE;
	const uint8_t *message;

	while ((message = mold_next(bytes, size, &offset, &length)) != NULL)
		exchange->published_ns[wire_get16(message + 1)] = now_ns;
}

/* A line, as the weather is given it: what it lets through leaves here. */
struct line {
	struct apus_cx *cx;
	struct exchange *exchange;
	const struct apus_address *address;
};

static void send_on_line(void *context, const uint8_t *bytes, size_t size)
{
	const struct line *line = context;
	int64_t sent = apus_udp_try_send(line->cx->loop, line->exchange->feed, bytes, size,
		line->address);

	/* As with a full switch: the packet is lost, and will be asked for. */
	line->exchange->shared->exchange.packets_refused += sent < 0;
}

/* For that while of the day nothing gets through. */
static bool feed_is_silenced(const struct apus_cx *cx, const struct exchange *exchange)
{
	const struct mishap *mishap = &exchange->options->feed_silent;
	int64_t since_ns = cx->now_ns - exchange->opened_ns;

	return exchange->opened_ns != 0 && since_ns >= mishap->at_ns &&
		since_ns < apus_ns_add(mishap->at_ns, mishap->for_ns);
}

void exchange_send_packet(struct apus_cx *cx, struct exchange *exchange, const uint8_t *bytes,
	size_t size)
{
	struct side *side = &exchange->shared->exchange;
	uint32_t every = exchange->options->drop_every;

	side->packets++;
	if ((every != 0 && side->packets % every == 0) || feed_is_silenced(cx, exchange)) {
		side->packets_dropped++;
		return;
	}
	for (uint32_t n = 0; n < exchange->options->line_count; n++)
		weather_pass(&exchange->weather[n], bytes, size, send_on_line, &(struct line){
			cx, exchange, &exchange->feed_addresses[n]});
	stamp_symbols(cx, exchange, bytes, size);
}

void exchange_publish(struct apus_cx *cx, struct exchange *exchange)
{
	uint8_t bytes[MOLD_PACKET_MAX];
	size_t size;

	while ((size = publisher_packet(&exchange->publisher, bytes, cx->now_ns)) != 0)
		exchange_send_packet(cx, exchange, bytes, size);
	exchange_send_answers(cx, exchange);
}

/* ---- the flow ------------------------------------------------------------------------------------ */

struct flow {
	struct apus_frame frame;
};

APUS_TASK(flow, struct flow)
{
	struct exchange *exchange = apus_get(cx->world, exchange);

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_WAIT(apus_sleep_until(cx, exchange->pace.next_ns));
		for (int n = 0; n < EVENTS_AT_ONCE && pace_take(&exchange->pace, cx->now_ns); n++)
			day_take(&exchange->day, DAY_STEP, NULL, 0, cx->now_ns);
		exchange_publish(cx, exchange);
		/* A flow that is behind lets the others run. */
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(0);
}

int exchange_start_flow(struct exchange *exchange, struct apus_set *set)
{
	(void)exchange;
	return apus_set_spawn(set, flow, NULL);
}

/* ---- retransmission --------------------------------------------------------------------------------- */

struct retransmitter {
	struct apus_frame frame;
	struct apus_packet request;
	uint8_t bytes[MOLD_HEADER_SIZE];
	uint8_t answer[MOLD_PACKET_MAX];
	size_t size;
	apus_poll got;
};

APUS_TASK(retransmitter, struct retransmitter)
{
	struct exchange *exchange = apus_get(cx->world, exchange);

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, apus_udp_recv(cx, exchange->requests, self->bytes,
			sizeof(self->bytes), &self->request));
		if (self->got == -ESTALE || self->got == -EPIPE)
			return self->got;
		if (self->got < 0)
			continue;
		if (self->request.is_truncated) {
			faults_count(&exchange->publisher.faults, -E2BIG);
			continue;
		}
		self->size = publisher_answer(&exchange->publisher, self->bytes,
			(size_t)self->got, self->answer);
		if (self->size == 0)
			continue;
		APUS_AWAIT(self->got, apus_udp_send(cx, exchange->requests, self->answer,
			self->size, &self->request.address));
		exchange->shared->exchange.requests_answered += self->got >= 0;
	}
	APUS_END(0);
}

/* ---- heartbeats ---------------------------------------------------------------------------------------- */

struct beat {
	struct apus_frame frame;
	int64_t deadline_ns;
};

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void beat_feed(struct apus_cx *cx, struct exchange *exchange)
{
	uint8_t bytes[MOLD_HEADER_SIZE];

	if (cx->now_ns < publisher_heartbeat_ns(&exchange->publisher, FEED_HEARTBEAT_NS))
		return;
	exchange_send_packet(cx, exchange, bytes,
		publisher_heartbeat(&exchange->publisher, bytes, cx->now_ns));
}

static void beat_session(struct apus_cx *cx, struct exchange *exchange)
{
	struct client *client = exchange->client;
	uint8_t bytes[SOUP_HEADER_SIZE];

	if (client == NULL)
		return;
	if (session_is_silent(&client->session, cx->now_ns))
		exchange_show_out(cx, exchange);
	else if (session_heartbeat_is_due(&client->session, cx->now_ns))
		outbox_send(cx->loop, &client->outbox, bytes,
			session_heartbeat(&client->session, bytes, cx->now_ns));
}

static int64_t beat_deadline_ns(const struct exchange *exchange)
{
	int64_t feed_ns = publisher_heartbeat_ns(&exchange->publisher, FEED_HEARTBEAT_NS);

	/* A client that comes meanwhile is looked at by the next beat of the feed. */
	return exchange->client == NULL ? feed_ns :
		earlier(session_deadline_ns(&exchange->client->session), feed_ns);
}

APUS_TASK(beat, struct beat)
{
	struct exchange *exchange = apus_get(cx->world, exchange);

	APUS_BEGIN(cx, self);
	for (;;) {
		self->deadline_ns = beat_deadline_ns(exchange);
		APUS_WAIT(apus_sleep_until(cx, self->deadline_ns));
		beat_feed(cx, exchange);
		beat_session(cx, exchange);
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(0);
}

/* ---- what goes wrong on purpose --------------------------------------------------------------------- */

struct mischief {
	struct apus_frame frame;
};

/* Says to the client what no exchange says: answers that are none, then no packet at all. */
static void babble(struct apus_cx *cx, struct client *client)
{
	static const uint8_t words[] = "\x00\x03U?!" "\x00\x05UJxyz"
		"\x00\x29UE12345678E0BAD0BAD00001\x00\x00\x00\x64\x00\x00\x00\x64" "A12345678"
		"\x00\x02H!";

	outbox_send(cx->loop, &client->outbox, words, sizeof(words) - 1);
}

/* Talks nonsense to whoever is logged in, or hangs up, again and again. */
APUS_TASK(mischief, struct mischief)
{
	struct exchange *exchange = apus_get(cx->world, exchange);

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_WAIT(apus_sleep(cx, exchange->options->has_vandal ? 200 * APUS_MSEC :
			exchange->options->hang_up_every_ns));
		if (exchange->client == NULL)
			continue;
		if (exchange->options->has_vandal)
			babble(cx, exchange->client);
		else
			exchange_show_out(cx, exchange);
	}
	APUS_END(0);
}

int exchange_start_servers(struct exchange *exchange, struct apus_set *set)
{
	int err = apus_set_spawn(set, retransmitter, NULL);

	if (!err)
		err = apus_set_spawn(set, beat, NULL);
	if (!err && (exchange->options->hang_up_every_ns != 0 || exchange->options->has_vandal))
		err = apus_set_spawn(set, mischief, NULL);
	return err;
}
