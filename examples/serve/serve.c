#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

/* ---- the listener -------------------------------------------------------------- */

struct listening {
	struct apus_frame frame;
	const struct serve *serve;
	struct apus_address at;
	struct apus_listener listener;
	struct apus_tcp next;
	apus_poll which, answer;
};

static void listening_cleanup(struct apus_cx *cx, struct listening *self)
{
	apus_listener_close(cx->loop, self->listener); /* zero is no handle: nothing happens */
}

/* Full is an answer: then this connection is not served. */
static void admit(struct apus_cx *cx, struct listening *self)
{
	apus_tcp_set_nodelay(cx->loop, self->next, true);
	if (self->serve->start(cx->loop, self->next) != 0)
		apus_tcp_close(cx->loop, self->next);
}

static int listening_open(struct apus_cx *cx, struct listening *self)
{
	char text[APUS_ADDRESS_TEXT_BYTES];
	int err = self->serve->begin != NULL ? self->serve->begin(cx->loop) : 0;

	if (!err)
		err = apus_tcp_listen(cx->loop, &self->at, NULL, &self->listener);
	if (!err)
		err = apus_listener_local(cx->loop, self->listener, &self->at);
	if (err)
		return err;
	if (apus_address_format(&self->at, text, sizeof text) > 0)
		printf("%s on %s\n", self->serve->name, text);
	fflush(stdout);
	return 0;
}

APUS_TASK(listening, struct listening, listening_cleanup)
{
	APUS_BEGIN(cx, self);
	self->answer = listening_open(cx, self);
	if (self->answer < 0)
		return self->answer;
	for (;;) {
		APUS_AWAIT(self->which, APUS_SELECT(self->answer,
			apus_cancelled(cx, apus_loop_token(cx->loop)),
			apus_tcp_accept(cx, self->listener, &self->next, NULL)));
		if (self->which == 0)
			break;
		/* Out of descriptors is told once; the listener tries again by itself. */
		if (self->answer == 0)
			admit(cx, self);
	}
	APUS_END(0);
}

/* ---- reading ---------------------------------------------------------------------- */

static apus_poll read_or_end(struct apus_cx *cx, struct apus_tcp conn, void *data, size_t bytes)
{
	apus_poll answer = APUS_PENDING;
	apus_poll which = APUS_SELECT(answer,
		apus_tcp_read(cx, conn, data, bytes),
		apus_cancelled(cx, apus_loop_token(cx->loop)));

	if (which == APUS_PENDING)
		return APUS_PENDING;
	return which == 0 || answer < 0 ? answer : 0;
}

apus_poll serve_read(struct apus_cx *cx, struct apus_tcp conn, int64_t silence_ns, void *data,
	size_t bytes)
{
	return apus_timeout(cx, silence_ns, read_or_end(cx, conn, data, bytes));
}

/* ---- options ----------------------------------------------------------------------- */

struct options {
	long port, cpu, sessions;
	enum apus_io_kind backend;
};

static int usage(const struct serve *serve)
{
	fprintf(stderr, "usage: %s [--port N] [--backend NAME] [--cpu N] [--sessions N]\n",
		serve->name);
	return 2;
}

static bool number_parse(const char *text, long low, long high, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *out >= low && *out <= high;
}

static bool backend_parse(const char *text, enum apus_io_kind *out)
{
	int kind;

	for (kind = APUS_IO_AUTO; kind <= APUS_IO_NONE; kind++)
		if (strcmp(text, apus_io_kind_name((enum apus_io_kind)kind)) == 0) {
			*out = (enum apus_io_kind)kind;
			return true;
		}
	return false;
}

static bool option_parse(struct options *options, const char *name, const char *value)
{
	if (strcmp(name, "--port") == 0)
		return number_parse(value, 0, 65535, &options->port);
	if (strcmp(name, "--cpu") == 0)
		return number_parse(value, 0, 65535, &options->cpu);
	if (strcmp(name, "--sessions") == 0)
		return number_parse(value, 1, 1000000, &options->sessions);
	if (strcmp(name, "--backend") == 0)
		return backend_parse(value, &options->backend);
	return false;
}

static bool options_parse(struct options *options, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i += 2)
		if (i + 1 == argc || !option_parse(options, argv[i], argv[i + 1]))
			return false;
	return true;
}

/* ---- the program ---------------------------------------------------------------------- */

/* Ends as apus_main does, and looks at the counters last of all. */
static apus_poll run(const struct serve *serve, struct apus_config *config,
	const struct listening *init)
{
	struct apus_drain_report left;
	struct apus_counters counters;
	struct apus_loop *loop;
	apus_poll result = apus_main_open(&loop, config);

	if (result)
		return result;
	result = apus_run(loop, listening, init);
	apus_stop(loop);
	if (apus_drain(loop, config->stop_grace_ns, &left))
		fprintf(stderr, "%s: %u sessions did not end by themselves\n", serve->name,
			(unsigned)left.tasks_live);
	apus_close(loop, &counters);
	if (serve->report != NULL)
		serve->report(&counters);
	return result;
}

int serve_main(const struct serve *serve, int argc, char **argv)
{
	struct options options = { serve->port, -1, serve->session_count, APUS_IO_AUTO };
	struct listening init = { .serve = serve };
	struct apus_config config;
	apus_poll result;

	if (!options_parse(&options, argc, argv))
		return usage(serve);
	apus_address_parse(&init.at, "127.0.0.1:0");
	apus_address_set_port(&init.at, (uint16_t)options.port);
	apus_config_init(&config);
	config.world = serve->world;
	config.backend = options.backend;
	config.cpu = (int)options.cpu;
	config.idle = options.cpu < 0 ? APUS_IDLE_BACKOFF : APUS_IDLE_BUSY;
	config.slot_count = (uint32_t)options.sessions + 16;
	config.socket_count = (uint32_t)options.sessions + 16;
	config.state_bytes = (uint32_t)serve->state_bytes;
	if (config.state_bytes < sizeof init)
		config.state_bytes = sizeof init;
	result = run(serve, &config, &init);
	if (result < 0)
		fprintf(stderr, "%s: %s\n", serve->name, strerror((int)-result));
	return result < 0;
}
