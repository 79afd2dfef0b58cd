/*
 * http_server - HTTP/1.1 with keep-alive and pipelining, a task for each connection.
 *
 *   http_server [--port N] [--backend NAME] [--cpu N] [--sessions N]
 *
 *   GET /          says hello
 *   POST /echo     answers the body
 *   GET /counters  what the loop has counted
 *
 * Requests that came together are answered together, with one write.  On SIGTERM a session
 * answers what it has read and ends.
 */
#include <apus.h>
#include <stdio.h>
#include <string.h>

#include "serve/http.h"
#include "serve/serve.h"

enum { SILENCE_S = 30, HEAD_MAX = 4096, BODY_MAX = 2048, IN_MAX = HEAD_MAX + BODY_MAX };
enum { OUT_MAX = 8192, ANSWER_MAX = BODY_MAX + 256 };

static uint64_t request_count;

struct session {
	struct apus_frame frame;
	struct apus_tcp conn;
	struct apus_write write;
	apus_poll bytes;
	int64_t end_ns;
	size_t in_bytes, out_bytes;
	bool is_last; /* what is in `out` is the end of it */
	char in[IN_MAX], out[OUT_MAX];
};

static void session_cleanup(struct apus_cx *cx, struct session *self)
{
	apus_tcp_close(cx->loop, self->conn);
}

/* ---- what is answered ----------------------------------------------------------- */

static struct text counters_text(struct apus_cx *cx, char *text, size_t room)
{
	struct apus_counters counters;

	apus_counters_read(cx->loop, &counters);
	snprintf(text, room, "requests %llu\nsessions %llu\nturns %llu\nslots %llu of %llu\n",
		(unsigned long long)request_count, (unsigned long long)counters.sockets_open - 1,
		(unsigned long long)counters.turns, (unsigned long long)counters.slots_used,
		(unsigned long long)counters.slots_capacity);
	return text_of(text);
}

static int answer_find(struct apus_cx *cx, const struct http_request *request, char *text,
	size_t room, struct text *body)
{
	bool gets = request->is_head || text_is(request->method, "GET");

	*body = text_of("");
	if (text_is(request->target, "/"))
		*body = text_of("hello, world\n");
	else if (text_is(request->target, "/counters"))
		*body = counters_text(cx, text, room);
	else if (text_is(request->target, "/echo"))
		*body = request->body;
	else
		return 404;
	return gets != text_is(request->target, "/echo") ? 200 : 405;
}

static void request_answer(struct apus_cx *cx, struct session *self,
	const struct http_request *request)
{
	char text[256];
	struct text body;
	int status = answer_find(cx, request, text, sizeof text, &body);

	request_count++;
	if (status != 200)
		body = text_of("no\n");
	self->out_bytes += http_answer(self->out + self->out_bytes, OUT_MAX - self->out_bytes,
		status, body, request);
	self->is_last = !request->keeps_alive;
}

static void request_refuse(struct session *self, int status)
{
	struct http_request none = { .keeps_alive = false };

	self->out_bytes += http_answer(self->out + self->out_bytes, OUT_MAX - self->out_bytes,
		status, text_of("no\n"), &none);
	self->is_last = true;
}

/* Answers what has come whole, as long as there is room for one more. */
static void requests_answer(struct apus_cx *cx, struct session *self)
{
	size_t at = 0;

	while (!self->is_last && OUT_MAX - self->out_bytes >= ANSWER_MAX) {
		struct http_request request;
		ssize_t bytes = http_parse(self->in + at, self->in_bytes - at, HEAD_MAX, BODY_MAX,
			&request);

		if (bytes == 0)
			break;
		if (bytes < 0) {
			request_refuse(self, (int)-bytes);
			break;
		}
		request_answer(cx, self, &request);
		at += (size_t)bytes;
	}
	self->in_bytes -= at;
	memmove(self->in, self->in + at, self->in_bytes);
}

/* ---- a session -------------------------------------------------------------------- */

APUS_TASK(session, struct session, session_cleanup)
{
	APUS_BEGIN(cx, self);
	while (!self->is_last) {
		APUS_TRY(self->bytes, serve_read(cx, self->conn, SILENCE_S * APUS_SEC,
			self->in + self->in_bytes, IN_MAX - self->in_bytes));
		if (self->bytes == 0)
			break;
		self->in_bytes += (size_t)self->bytes;
		do {
			self->out_bytes = 0;
			requests_answer(cx, self);
			APUS_TRY(self->bytes, apus_timeout(cx, SILENCE_S * APUS_SEC,
				apus_tcp_write_all(cx, self->conn, &self->write, self->out,
					self->out_bytes)));
		} while (self->bytes != 0 && !self->is_last);
	}
	/* What the peer still sends is read and dropped, or a reset would overtake our answer. */
	apus_tcp_shutdown(cx->loop, self->conn, SHUT_WR);
	self->end_ns = apus_ns_add(cx->now_ns, APUS_SEC);
	do {
		APUS_TRY(self->bytes, apus_timeout_at(cx, self->end_ns,
			apus_tcp_read(cx, self->conn, self->in, IN_MAX)));
	} while (self->bytes > 0);
	APUS_END(0);
}

static int session_start(struct apus_loop *loop, struct apus_tcp conn)
{
	struct session *self;
	int err = apus_claim_slab(loop, session, &self);

	/* Built in place: its buffers need not be cleared, nor copied. */
	if (err)
		return err;
	memset(self, 0, offsetof(struct session, in));
	self->conn = conn;
	err = apus_claim_spawn(self, NULL);
	if (err)
		apus_claim_drop(self);
	return err;
}

static void report(const struct apus_counters *counters)
{
	printf("%llu requests, %llu sessions, %llu slots still used\n",
		(unsigned long long)request_count, (unsigned long long)counters->tasks_spawned - 1,
		(unsigned long long)counters->slots_used);
}

int main(int argc, char **argv)
{
	static const struct serve serve = {
		.name = "http_server",
		.state_bytes = sizeof(struct session),
		.session_count = 4096,
		.start = session_start,
		.report = report,
	};

	return serve_main(&serve, argc, argv);
}
