/*
 * engine_link.c - the connection to the exchange: made, lost, and made again.
 *
 * Each connection has a set of tasks of its own, and dies with all of them.  What outlives it
 * is the session, which knows the next answer to ask for, and the gateway's orders.
 */
#include "engine.h"


#define CONNECT_TIMEOUT_NS (2 * APUS_SEC)

void engine_drop(struct engine *engine, int why)
{
	if (engine->link_error == 0)
		engine->link_error = why;
	apus_event_set(&engine->link_down);
}

/* Where two started together, the exchange tells its ports; else they are on the command line. */
static bool find_exchange(struct engine *engine, struct apus_address *exchange)
{
	const struct options *options = engine->options;
	uint32_t orders = apus_load_acquire(&engine->shared->order_port);
	uint32_t requests = apus_load_acquire(&engine->shared->request_port);

	*exchange = options->orders;
	engine->server = options->requests;
	if (options->mode != TTT_BOTH)
		return true;
	apus_address_set_port(exchange, (uint16_t)orders);
	apus_address_set_port(&engine->server, (uint16_t)requests);
	return orders != 0 && requests != 0;
}

struct link {
	struct apus_frame frame;
	struct apus_set set;
	bool has_set;
	struct apus_address exchange;
	int64_t wait_ns;
	apus_poll value;
};

/* ---- one connection ------------------------------------------------------------------------- */

static int open_socket(struct apus_cx *cx, struct engine *engine, struct link *self)
{
	if (!find_exchange(engine, &self->exchange))
		return -EAGAIN;
	return apus_tcp_open(cx->loop, self->exchange.any.sa_family, &engine->tcp);
}

static int tap_link(struct apus_cx *cx, struct engine *engine, enum tap_kind kind)
{
	struct tap tap = {.now_ns = cx->now_ns, .kind = (uint8_t)kind};

	return engine_tap(engine, &tap, "");
}

static int login(struct apus_cx *cx, struct engine *engine, struct link *self)
{
	uint8_t bytes[SOUP_HEADER_SIZE + SOUP_LOGIN_REQUEST_SIZE];
	int err = apus_tcp_set_nodelay(cx->loop, engine->tcp, true);

	if (!err)
		err = apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop));
	self->has_set = err == 0;
	engine->outbox.tcp = engine->tcp;
	engine->outbox.begin = engine->outbox.end = 0;
	engine->stream.begin = engine->stream.end = 0;
	engine->link_error = 0;
	apus_event_clear(&engine->link_down);
	if (!err)
		err = tap_link(cx, engine, TAP_CONNECT);
	engine->is_linked = err == 0;
	if (!err)
		err = engine_start_connection(engine, &self->set);
	if (!err)
		engine_send(cx, engine, bytes, session_login(&engine->session, "ENGINE", "SECRET",
			bytes, cx->now_ns));
	return err;
}

/* Also of one that has not come about. */
static void hang_up(struct apus_cx *cx, struct engine *engine, struct link *self)
{
	struct desk *desk = apus_get(cx->world, desk);

	if (self->has_set)
		apus_set_deinit(&self->set);
	self->has_set = false;
	if (engine->is_linked)
		tap_link(cx, engine, TAP_HANG_UP);
	engine->is_linked = false;
	apus_tcp_close(cx->loop, engine->tcp);
	desk->is_trading = false;
	if (engine->session.state == SESSION_OVER) {
		desk->gateway.is_connected = false; /* after our logout: that is no break */
		return;
	}
	session_lost(&engine->session);
	gateway_break(&desk->gateway);
}

static void link_cleanup(struct apus_cx *cx, struct link *self)
{
	hang_up(cx, apus_get(cx->world, engine), self);
}

APUS_TASK(link, struct link, link_cleanup)
{
	struct engine *engine = apus_get(cx->world, engine);

	APUS_BEGIN(cx, self);
	for (;;) {
		self->value = open_socket(cx, engine, self);
		if (!self->value)
			APUS_AWAIT(self->value, apus_timeout(cx, CONNECT_TIMEOUT_NS,
				apus_tcp_connect(cx, engine->tcp, &self->exchange)));
		if (!self->value)
			self->value = login(cx, engine, self);
		if (!self->value)
			APUS_WAIT(apus_event_wait(cx, &engine->link_down));
		hang_up(cx, engine, self);
		if (engine->is_leaving || engine->error)
			return 0;
		if (apus_is_stopping(cx->loop)) {
			engine_fail(engine, engine->link_error ? engine->link_error :
				(int)self->value);
			return 0; /* a loop that stops starts no tasks for another */
		}
		self->wait_ns = backoff_next_ns(&engine->backoff);
		APUS_WAIT(apus_sleep(cx, self->wait_ns));
	}
	APUS_END(0);
}

int engine_start_link(struct engine *engine, struct apus_set *set)
{
	backoff_init(&engine->backoff, 2 * APUS_MSEC, 500 * APUS_MSEC, engine->options->seed);
	return apus_set_spawn(set, link, NULL);
}
