/*
 * exchange_client.c - the door, and who comes in by it: logins, orders in, answers out.
 *
 * Anyone may connect, and whoever says nothing useful in time is shown out; one client at a
 * time is logged in.  A login ends the connection that was logged in before: it is the same
 * client, back before we have seen it go.
 */
#include "exchange.h"

#include "wire.h"

#define LOGIN_TIMEOUT_NS (5 * APUS_SEC)

/* Its read ends by this, and its task with that. */
static void hang_up(struct apus_cx *cx, struct client *client)
{
	apus_tcp_close(cx->loop, client->tcp);
}

static void send_bytes(struct apus_cx *cx, struct client *client, const uint8_t *bytes,
	size_t size)
{
	session_sent(&client->session, cx->now_ns);
	if (outbox_send(cx->loop, &client->outbox, bytes, size) != 0)
		hang_up(cx, client);
}

/* ---- answers ---------------------------------------------------------------------------- */

/* After a login: now the client has all that was there when it came. */
static void say_that_is_all(struct apus_cx *cx, struct client *client)
{
	uint8_t bytes[SOUP_HEADER_SIZE];

	client->owes_heartbeat = false;
	send_bytes(cx, client, bytes, session_heartbeat(&client->session, bytes, cx->now_ns));
}

void exchange_send_answers(struct apus_cx *cx, struct exchange *exchange)
{
	const struct market *market = apus_get(cx->world, market);
	struct client *client = exchange->client;
	const uint8_t *bytes;
	size_t size;

	if (client == NULL)
		return;
	while ((bytes = tape_at(&market->answers, client->answer_next, &size)) != NULL &&
	       outbox_room(&client->outbox) >= size) {
		if (outbox_send(cx->loop, &client->outbox, bytes, size) != 0) {
			hang_up(cx, client);
			return;
		}
		client->answer_next++;
		session_sent(&client->session, cx->now_ns);
	}
	if (client->owes_heartbeat && bytes == NULL)
		say_that_is_all(cx, client);
}

/* ---- what a client says ------------------------------------------------------------------ */

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

	day_take(&exchange->day, DAY_REQUEST, packet->body, packet->body_size, cx->now_ns);
	time_order(cx, exchange, before_count);
	exchange_publish(cx, exchange);
}

/* Why a login is refused, or 0. */
static char find_fault(const struct market *market, const struct soup_login *login)
{
	if (memcmp(login->username, "ENGINE", 6) != 0 || memcmp(login->password, "SECRET    ", 10))
		return SOUP_REJECT_NOT_AUTHORIZED;
	if (login->session[0] != ' ' && memcmp(login->session, EXCHANGE_SESSION, 10) != 0)
		return SOUP_REJECT_NO_SESSION;
	return login->sequence > market->answers.next ? SOUP_REJECT_NO_SESSION : 0;
}

/* 0 asks for what is new from here on; what has left the tape cannot be had any more. */
static uint64_t first_answer(const struct market *market, uint64_t asked)
{
	uint64_t oldest = tape_oldest(&market->answers);

	return asked == 0 ? market->answers.next : asked < oldest ? oldest : asked;
}

/* False: it is not let in. */
static bool on_login(struct apus_cx *cx, struct exchange *exchange, struct client *client,
	const struct soup_login *login)
{
	const struct market *market = apus_get(cx->world, market);
	uint8_t bytes[SOUP_HEADER_SIZE + SOUP_LOGIN_ACCEPTED_SIZE];
	char fault = find_fault(market, login);

	if (fault != 0) {
		faults_count(&exchange->faults, -EACCES);
		send_bytes(cx, client, bytes, soup_put_rejected(bytes, fault));
		return false;
	}
	if (exchange->client != NULL)
		exchange_show_out(cx, exchange);
	exchange->client = client;
	client->answer_next = first_answer(market, login->sequence);
	client->owes_heartbeat = true;
	send_bytes(cx, client, bytes, session_accept(&client->session, EXCHANGE_SESSION,
		client->answer_next, bytes, cx->now_ns));
	exchange_send_answers(cx, exchange);
	apus_event_set(&exchange->logged_in);
	return true;
}

/* False: the connection is over. */
static bool on_packet(struct apus_cx *cx, struct exchange *exchange, struct client *client,
	const struct soup_packet *packet)
{
	struct soup_login login;

	switch (session_receive(&client->session, packet, cx->now_ns, &login)) {
	case SESSION_DATA:
		on_order(cx, exchange, packet);
		return true;
	case SESSION_LOGIN:
		return on_login(cx, exchange, client, &login);
	case SESSION_NONE:
		return true;
	case SESSION_LOGOUT:
		apus_event_set(&exchange->client_left);
		return false;
	default:
		faults_count(&exchange->faults, -EPROTO);
		return false;
	}
}

static bool take_packets(struct apus_cx *cx, struct exchange *exchange, struct client *client,
	size_t size)
{
	struct soup_packet packet;
	int got;

	soup_stream_add(&client->stream, size);
	while ((got = soup_stream_next(&client->stream, &packet)) == 1)
		if (!on_packet(cx, exchange, client, &packet))
			return false;
	if (got < 0)
		faults_count(&exchange->faults, got);
	return got == 0;
}

/* ---- connections --------------------------------------------------------------------------- */

struct serve {
	struct apus_frame frame;
	struct client *client;
	struct apus_set set;      /* its writer */
	bool has_set;
	uint8_t *space;
	size_t space_bytes;
	apus_poll got;
};

static void serve_cleanup(struct apus_cx *cx, struct serve *self)
{
	if (self->has_set)
		apus_set_deinit(&self->set);
	apus_tcp_close(cx->loop, self->client->tcp);
	self->client->is_used = false;
}

/* The one that was logged in is gone: its orders go too, so that nobody is left to ask. */
void exchange_show_out(struct apus_cx *cx, struct exchange *exchange)
{
	struct client *client = exchange->client;

	exchange->client = NULL;
	exchange->shared->exchange.disconnects += client->session.state != SESSION_OVER;
	hang_up(cx, client);
	day_take(&exchange->day, DAY_CANCEL_ALL, NULL, 0, cx->now_ns);
	exchange_publish(cx, exchange);
}

static int begin(struct apus_cx *cx, struct exchange *exchange, struct serve *self)
{
	struct client *client = self->client;
	int err = apus_tcp_set_nodelay(cx->loop, client->tcp, true);

	if (!err && exchange->has_hot_sockets)
		err = apus_tcp_set_hot(cx->loop, client->tcp, true);
	if (!err)
		err = apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop));
	self->has_set = err == 0;
	return err ? err : outbox_start(&client->outbox, &self->set);
}

APUS_TASK(serve, struct serve, serve_cleanup)
{
	struct exchange *exchange = apus_get(cx->world, exchange);
	struct client *client = self->client;

	APUS_BEGIN(cx, self);
	self->got = begin(cx, exchange, self);
	if (self->got)
		return self->got;
	for (;;) {
		self->space = soup_stream_space(&client->stream, &self->space_bytes);
		APUS_AWAIT(self->got, apus_timeout(cx,
			client == exchange->client ? APUS_NEVER : LOGIN_TIMEOUT_NS,
			apus_tcp_read(cx, client->tcp, self->space, self->space_bytes)));
		if (self->got <= 0 || !take_packets(cx, exchange, client, (size_t)self->got))
			break;
	}
	if (client == exchange->client)
		exchange_show_out(cx, exchange);
	APUS_END(self->got);
}

struct door {
	struct apus_frame frame;
	struct apus_tcp tcp;
	apus_poll value;
};

static struct client *free_client(struct exchange *exchange)
{
	for (int at = 0; at < EXCHANGE_CLIENTS; at++)
		if (!exchange->clients[at].is_used)
			return &exchange->clients[at];
	return NULL;
}

static int let_in(struct apus_cx *cx, struct exchange *exchange, struct door *self)
{
	struct client *client = free_client(exchange);
	int err;

	if (client == NULL)
		return -ENOSPC;
	client->is_used = true;
	client->owes_heartbeat = false;
	client->tcp = client->outbox.tcp = self->tcp;
	client->outbox.begin = client->outbox.end = 0;
	client->stream.begin = client->stream.end = 0;
	session_init(&client->session, SESSION_SERVER, cx->now_ns);
	client->session.silence_ns = exchange->options->silence_ns;
	/* Not into a set: nobody waits for it, so its slot is free as soon as it ends. */
	err = apus_spawn_slab(cx->loop, serve, &(struct serve){.client = client}, NULL);
	if (err)
		client->is_used = false;
	return err;
}

APUS_TASK(door, struct door)
{
	struct exchange *exchange = apus_get(cx->world, exchange);

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->value, apus_tcp_accept(cx, exchange->listener, &self->tcp, NULL));
		if (self->value == -ESTALE || self->value == -EPIPE)
			return self->value;
		if (self->value < 0)
			continue; /* no descriptor is left for it, or it is gone again */
		if (let_in(cx, exchange, self) != 0) {
			exchange->shared->exchange.turned_away++;
			apus_tcp_close(cx->loop, self->tcp);
		}
	}
	APUS_END(0);
}

int exchange_open_door(struct exchange *exchange, struct apus_set *set)
{
	(void)exchange;
	return apus_set_spawn(set, door, NULL);
}
