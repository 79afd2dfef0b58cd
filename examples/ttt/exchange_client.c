/* exchange_client.c - the client's session: login, orders in, answers out. */
#include "exchange.h"

#include "wire.h"

static void send_bytes(struct apus_cx *cx, struct exchange *exchange, const uint8_t *bytes,
	size_t size)
{
	session_sent(&exchange->session, cx->now_ns);
	if (outbox_send(cx->loop, &exchange->outbox, bytes, size) != 0)
		apus_event_set(&exchange->client_gone);
}

/* From the packet that showed the client this symbol last, to its order here. */
static void time_order(struct apus_cx *cx, struct exchange *exchange, uint64_t before_count)
{
	const struct market *market = apus_get(cx->world, market);
	uint32_t locate = market->orders[market->order_count].locate;

	if (market->order_count != before_count && exchange->published_ns[locate] != 0)
		apus_histogram_record(exchange->latency,
			apus_clock_now(cx->loop) - exchange->published_ns[locate]);
}

static void on_order(struct apus_cx *cx, struct exchange *exchange,
	const struct soup_packet *packet)
{
	struct market *market = apus_get(cx->world, market);
	uint64_t before_count = market->order_count;

	market_request(market, packet->body, packet->body_size, cx->now_ns);
	time_order(cx, exchange, before_count);
	exchange_publish(cx, exchange);
}

static void on_login(struct apus_cx *cx, struct exchange *exchange,
	const struct soup_login *login)
{
	uint8_t bytes[SOUP_HEADER_SIZE + SOUP_LOGIN_ACCEPTED_SIZE];

	if (memcmp(login->username, "ENGINE", 6) != 0 || memcmp(login->password, "SECRET    ", 10)) {
		send_bytes(cx, exchange, bytes,
			soup_put_rejected(bytes, SOUP_REJECT_NOT_AUTHORIZED));
		return;
	}
	/* 0 asks for what is new from here on, a number for all since then. */
	exchange->answer_next = login->sequence != 0 ? login->sequence :
		apus_get(cx->world, market)->answers.next;
	send_bytes(cx, exchange, bytes, session_accept(&exchange->session, EXCHANGE_SESSION,
		exchange->answer_next, bytes, cx->now_ns));
	apus_event_set(&exchange->logged_in);
}

/* False: the connection is over. */
static bool on_packet(struct apus_cx *cx, struct exchange *exchange,
	const struct soup_packet *packet)
{
	struct soup_login login;

	switch (session_receive(&exchange->session, packet, cx->now_ns, &login)) {
	case SESSION_DATA:
		on_order(cx, exchange, packet);
		return true;
	case SESSION_LOGIN:
		on_login(cx, exchange, &login);
		return true;
	case SESSION_NONE:
		return true;
	default:
		return false;
	}
}

static bool take_packets(struct apus_cx *cx, struct exchange *exchange, size_t size)
{
	struct soup_packet packet;
	int got;

	soup_stream_add(&exchange->stream, size);
	while ((got = soup_stream_next(&exchange->stream, &packet)) == 1)
		if (!on_packet(cx, exchange, &packet))
			return false;
	return got == 0;
}

struct client {
	struct apus_frame frame;
	uint8_t *space;
	size_t space_bytes;
	apus_poll got;
};

APUS_TASK(client, struct client)
{
	struct exchange *exchange = apus_get(cx->world, exchange);

	APUS_BEGIN(cx, self);
	for (;;) {
		self->space = soup_stream_space(&exchange->stream, &self->space_bytes);
		APUS_AWAIT(self->got, apus_tcp_read(cx, exchange->tcp, self->space,
			self->space_bytes));
		if (self->got <= 0 || !take_packets(cx, exchange, (size_t)self->got))
			break;
	}
	exchange->session.state = SESSION_OVER;
	apus_event_set(&exchange->client_gone);
	APUS_END(self->got);
}

int exchange_start_client(struct exchange *exchange, struct apus_set *set)
{
	int err = outbox_start(&exchange->outbox, set);

	return err ? err : apus_set_spawn(set, client, NULL);
}
