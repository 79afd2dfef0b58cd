/*
 * echo - a TCP server: a task for every session, a time limit on silence, a graceful end.
 *
 *   echo --port N    serves on 127.0.0.1 until Ctrl-C
 *   echo             tests itself: four clients and the server on one loop
 *
 * On Ctrl-C the loop's root token is cancelled.  The listener leaves; a session that is about
 * to answer finishes its answer; then the program drains and leaves with 0.
 */
#include <apus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SILENCE_S = 30, CLIENTS = 4, ROUNDS = 250 };

/* ---- the server ------------------------------------------------------------- */

struct session {
	struct apus_frame frame;
	struct apus_tcp conn;
	struct apus_write write; /* how far write_all has come */
	apus_poll which, bytes;
	char buffer[240];
};

static void session_cleanup(struct apus_cx *cx, struct session *self)
{
	apus_tcp_close(cx->loop, self->conn);
}

/* Bytes to echo, 0: the peer has finished, or we are asked to; or -errno. */
static apus_poll session_read(struct apus_cx *cx, struct session *self)
{
	self->which = APUS_SELECT(self->bytes,
		apus_tcp_read(cx, self->conn, self->buffer, sizeof self->buffer),
		apus_cancelled(cx, apus_loop_token(cx->loop)));
	if (self->which == APUS_PENDING)
		return APUS_PENDING;
	return self->which == 0 ? self->bytes : 0;
}

APUS_TASK(session, struct session, session_cleanup)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->bytes, apus_timeout(cx, SILENCE_S * APUS_SEC,
			session_read(cx, self)));
		if (self->bytes == 0)
			return 0;
		APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->conn, &self->write,
			self->buffer, (size_t)self->bytes));
	}
	APUS_END(0);
}

struct server {
	struct apus_frame frame;
	struct apus_listener listener;
	struct apus_tcp next;
	apus_poll which, answer;
};

static void server_cleanup(struct apus_cx *cx, struct server *self)
{
	apus_listener_close(cx->loop, self->listener);
}

/* One task a connection.  Full is an answer: then this one is not served. */
static void server_admit(struct apus_cx *cx, struct server *self)
{
	struct session init = { .conn = self->next };

	apus_tcp_set_nodelay(cx->loop, self->next, true);
	if (apus_spawn_slab(cx->loop, session, &init, NULL) != 0)
		apus_tcp_close(cx->loop, self->next); /* still ours */
}

APUS_TASK(server, struct server, server_cleanup)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->which, APUS_SELECT(self->answer,
			apus_cancelled(cx, apus_loop_token(cx->loop)),
			apus_tcp_accept(cx, self->listener, &self->next, NULL)));
		if (self->which == 0)
			break;
		/* Out of descriptors is told once; the listener tries again by itself. */
		if (self->answer == 0)
			server_admit(cx, self);
	}
	APUS_END(0);
}

/* Listens, and starts the server; the port that it got is in *at. */
static int server_start(struct apus_loop *loop, struct apus_address *at, struct apus_join *join)
{
	struct server init = { .which = 0 };
	int err = apus_tcp_listen(loop, at, NULL, &init.listener);

	if (err)
		return err;
	err = apus_listener_local(loop, init.listener, at);
	if (!err)
		err = apus_spawn_slab(loop, server, &init, join);
	if (err)
		apus_listener_close(loop, init.listener);
	return err;
}

/* ---- the client -------------------------------------------------------------- */

struct client {
	struct apus_frame frame;
	struct apus_address to;
	struct apus_tcp conn;
	struct apus_write write;
	apus_poll bytes;
	int number, round;
	char sent[32], received[32];
	size_t sent_bytes, received_bytes;
};

static void client_cleanup(struct apus_cx *cx, struct client *self)
{
	apus_tcp_close(cx->loop, self->conn); /* zero is no handle: nothing happens */
}

static void client_message(struct client *self)
{
	self->sent_bytes = (size_t)snprintf(self->sent, sizeof self->sent, "client %d round %d",
		self->number, self->round);
	self->received_bytes = 0;
}

APUS_TASK(client, struct client, client_cleanup)
{
	APUS_BEGIN(cx, self);
	self->bytes = apus_tcp_open(cx->loop, self->to.any.sa_family, &self->conn);
	if (self->bytes < 0)
		return self->bytes;
	APUS_TRY(self->bytes, apus_tcp_connect(cx, self->conn, &self->to));
	for (self->round = 0; self->round < ROUNDS; self->round++) {
		client_message(self);
		APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->conn, &self->write, self->sent,
			self->sent_bytes));
		/* A stream has no message boundaries: read until all of it is back. */
		while (self->received_bytes < self->sent_bytes) {
			APUS_TRY(self->bytes, apus_tcp_read(cx, self->conn,
				self->received + self->received_bytes,
				self->sent_bytes - self->received_bytes));
			if (self->bytes == 0)
				return -ECONNRESET;
			self->received_bytes += (size_t)self->bytes;
		}
		if (memcmp(self->sent, self->received, self->sent_bytes) != 0)
			return -EBADMSG;
	}
	APUS_END(0);
}

/* ---- the root ------------------------------------------------------------------ */

struct root {
	struct apus_frame frame;
	struct apus_address at;
	struct apus_join server;
	struct apus_set clients;
	bool is_test;
	apus_poll err, answer;
	int done;
};

static void root_cleanup(struct apus_cx *cx, struct root *self)
{
	(void)cx;
	if (self->clients.loop != NULL)
		apus_set_deinit(&self->clients);
}

static int clients_start(struct apus_cx *cx, struct root *self)
{
	int err = apus_set_init(&self->clients, cx->loop, apus_loop_token(cx->loop));
	int number;

	for (number = 0; number < CLIENTS && !err; number++) {
		struct client init = { .to = self->at, .number = number };

		err = apus_set_spawn(&self->clients, client, &init);
	}
	return err;
}

static void where_print(const struct apus_address *at)
{
	char text[APUS_ADDRESS_TEXT_BYTES];

	if (apus_address_format(at, text, sizeof text) > 0)
		printf("echo on %s\n", text);
	fflush(stdout);
}

APUS_TASK(root, struct root, root_cleanup)
{
	APUS_BEGIN(cx, self);
	self->err = server_start(cx->loop, &self->at, &self->server);
	if (self->err)
		return self->err;
	where_print(&self->at);
	if (self->is_test) {
		self->err = clients_start(cx, self);
		if (self->err)
			return self->err;
		for (; self->done < CLIENTS; self->done++) {
			APUS_TRY(self->err, apus_set_next(cx, &self->clients, &self->answer));
			if (self->answer != 0)
				return self->answer;
		}
		printf("%d clients, %d round trips each\n", self->done, ROUNDS);
		apus_stop(cx->loop); /* what Ctrl-C does */
	}
	APUS_TRY(self->err, apus_join(cx, self->server, &self->answer));
	APUS_END(self->answer);
}

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [--port N]\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	struct root init = { .is_test = argc == 1 };
	struct apus_config config;
	apus_poll result;

	if (argc != 1 && (argc != 3 || strcmp(argv[1], "--port") != 0))
		return usage(argv[0]);
	apus_address_parse(&init.at, "127.0.0.1:0");
	if (argc == 3)
		apus_address_set_port(&init.at, (uint16_t)atoi(argv[2]));
	apus_config_init(&config);
	config.idle = init.is_test ? APUS_IDLE_BUSY : APUS_IDLE_BACKOFF;
	result = apus_main(&config, root, &init);
	if (result < 0)
		fprintf(stderr, "echo: %s\n", strerror((int)-result));
	return result < 0;
}
