/* engine_orders.c - the session with the exchange: answers, heartbeats, time-outs. */
#include "engine.h"

void engine_send(struct apus_cx *cx, struct engine *engine, const uint8_t *bytes, size_t size)
{
	struct tap tap = {.now_ns = cx->now_ns, .kind = TAP_SENT, .size = (uint16_t)size};
	/* What cannot be written down is not done. */
	int err = engine_tap(engine, &tap, bytes);

	if (!err)
		err = outbox_send(cx->loop, &engine->outbox, bytes, size);
	session_sent(&engine->session, cx->now_ns);
	if (err)
		engine_drop(engine, err);
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Every answer of before is here: what is open is known, and trading may go on. */
static void on_caught_up(struct engine *engine, struct desk *desk)
{
	gateway_resume(&desk->gateway);
	backoff_reset(&engine->backoff);
	desk->is_trading = engine->may_trade;
	apus_event_set(&engine->session_up);
	apus_notify_one(&engine->sent);
}

/* A session that the exchange does not know any more is given up; a password is not. */
static void on_rejected(struct engine *engine)
{
	if (engine->session.reject_reason != SOUP_REJECT_NO_SESSION) {
		engine_fail(engine, -EACCES);
		return;
	}
	session_forget(&engine->session);
	session_lost(&engine->session);
	engine_drop(engine, -EACCES);
}

static void on_event(struct engine *engine, struct desk *desk, enum session_event event,
	const struct soup_packet *packet)
{
	switch (event) {
	case SESSION_DATA:
		gateway_answer(&desk->gateway, packet->body, packet->body_size);
		return;
	case SESSION_OTHER:
		gateway_abandon(&desk->gateway);
		return;
	case SESSION_CAUGHT_UP:
		on_caught_up(engine, desk);
		return;
	case SESSION_MISSED:
		engine_fail(engine, -ENODATA); /* who knows what we own now */
		return;
	case SESSION_REJECTED:
		on_rejected(engine);
		return;
	case SESSION_ENDED:
		engine_fail(engine, -ESHUTDOWN);
		return;
	case SESSION_ACCEPTED:
	case SESSION_REPEATED:
	case SESSION_NONE:
		return;
	default:
		faults_count(&engine->faults, -EPROTO);
		engine_drop(engine, -EPROTO);
	}
}

static void take_answers(struct apus_cx *cx, struct engine *engine, const uint8_t *bytes,
	size_t size)
{
	struct tap tap = {.now_ns = cx->now_ns, .kind = TAP_RECEIVED, .size = (uint16_t)size};
	struct desk *desk = apus_get(cx->world, desk);
	struct soup_packet packet;
	int got;

	/* There was room for all of it, or it would not have been read. */
	engine_tap(engine, &tap, bytes);
	soup_stream_add(&engine->stream, size);
	while ((got = soup_stream_next(&engine->stream, &packet)) == 1)
		on_event(engine, desk, session_receive(&engine->session, &packet, cx->now_ns, NULL),
			&packet);
	/* Where one packet is wrong nobody knows where the next begins. */
	if (got < 0) {
		faults_count(&engine->faults, got);
		engine_drop(engine, got);
	}
	apus_notify_one(&engine->answered);
}

struct answers {
	struct apus_frame frame;
	uint8_t *space;
	size_t space_bytes;
	apus_poll got;
};

APUS_TASK(answers, struct answers)
{
	struct engine *engine = apus_get(cx->world, engine);

	APUS_BEGIN(cx, self);
	for (;;) {
		/* A full journal pushes back: what is not read stays in the exchange's socket. */
		while (engine_is_behind(engine))
			APUS_WAIT(apus_sleep(cx, APUS_MSEC));
		self->space = soup_stream_space(&engine->stream, &self->space_bytes);
		APUS_AWAIT(self->got, apus_tcp_read(cx, engine->tcp, self->space,
			self->space_bytes));
		if (self->got <= 0)
			break;
		take_answers(cx, engine, self->space, (size_t)self->got);
	}
	engine_drop(engine, self->got < 0 ? (int)self->got : -ECONNRESET);
	APUS_END(self->got);
}

/* ---- heartbeats ---------------------------------------------------------------------------- */

struct heartbeat {
	struct apus_frame frame;
	int64_t deadline_ns;
};

APUS_TASK(heartbeat, struct heartbeat)
{
	struct engine *engine = apus_get(cx->world, engine);
	uint8_t bytes[SOUP_HEADER_SIZE];

	APUS_BEGIN(cx, self);
	for (;;) {
		/* What is sent or heard meanwhile moves the deadline: it is looked at again then. */
		self->deadline_ns = session_deadline_ns(&engine->session);
		APUS_WAIT(apus_sleep_until(cx, self->deadline_ns));
		if (session_is_silent(&engine->session, cx->now_ns)) {
			engine_drop(engine, -ETIMEDOUT);
			return -ETIMEDOUT;
		}
		if (session_heartbeat_is_due(&engine->session, cx->now_ns))
			engine_send(cx, engine, bytes, session_heartbeat(&engine->session, bytes,
				cx->now_ns));
	}
	APUS_END(0);
}

/* ---- orders whose time is up ------------------------------------------------------------------ */

struct expiry {
	struct apus_frame frame;
	int64_t deadline_ns;
	apus_poll value;
};

APUS_TASK(expiry, struct expiry)
{
	struct engine *engine = apus_get(cx->world, engine);
	struct desk *desk = apus_get(cx->world, desk);
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length;

	APUS_BEGIN(cx, self);
	for (;;) {
		while (outbox_room(&engine->outbox) >= sizeof(bytes) && !engine_is_behind(engine) &&
		       (length = desk_expire(desk, cx->now_ns, bytes)) > 0)
			engine_send(cx, engine, bytes, (size_t)length);
		self->deadline_ns = gateway_deadline_ns(&desk->gateway);
		/* Full: not again in this very moment. */
		if (self->deadline_ns <= cx->now_ns)
			self->deadline_ns = cx->now_ns + APUS_MSEC;
		APUS_WAIT(APUS_SELECT(self->value, apus_notified(cx, &engine->sent),
			apus_sleep_until(cx, self->deadline_ns)));
	}
	APUS_END(0);
}

int engine_start_connection(struct engine *engine, struct apus_set *set)
{
	int err = outbox_start(&engine->outbox, set);

	if (!err)
		err = apus_set_spawn(set, answers, NULL);
	return err ? err : apus_set_spawn(set, heartbeat, NULL);
}

int engine_start_orders(struct apus_set *set)
{
	return apus_set_spawn(set, expiry, NULL);
}
