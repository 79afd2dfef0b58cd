/*
 * resp_server - keys and values over the Redis protocol, pipelined, in memory of fixed size.
 *
 *   resp_server [--port N] [--backend NAME] [--cpu N] [--sessions N]
 *
 * PING, ECHO, SET, GET, MSET, MGET, INCR, DECR, DEL, EXISTS, DBSIZE, FLUSHALL, QUIT, and as
 * much of CONFIG, COMMAND and CLIENT as redis-benchmark and redis-cli ask for.  The store is a
 * resource of the loop's world.  One thread: a command is atomic without a lock.
 */
#include <apus.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/resp.h"
#include "serve/serve.h"
#include "serve/store.h"

APUS_RESOURCE(store, struct store)
APUS_RESOURCE_DEFINE(store)

enum { SILENCE_S = 300, KEYS = 1 << 17, IN_MAX = 16384, OUT_MAX = 16384 };
enum { REPLY_MAX = STORE_VALUE_MAX + 64 }; /* of most commands; MGET asks as it goes */

static uint64_t command_count;

struct session {
	struct apus_frame frame;
	struct apus_tcp conn;
	struct apus_write write;
	apus_poll bytes;
	size_t in_bytes;
	bool is_last;
	struct resp_out out;
	char in[IN_MAX], buffer[OUT_MAX];
};

static void session_cleanup(struct apus_cx *cx, struct session *self)
{
	apus_tcp_close(cx->loop, self->conn);
}

/* ---- commands ------------------------------------------------------------------------ */

struct asked {
	struct store *store;
	const struct resp_command *command;
	struct resp_out *out;
	bool ends; /* the connection ends after this reply */
};

static void reply_stored(struct asked *asked, int err)
{
	if (err == 0)
		resp_line(asked->out, '+', "OK");
	else
		resp_line(asked->out, '-', err == -ENOSPC ? "OOM every place is taken" :
							    "ERR key or value is too long");
}

static void do_ping(struct asked *asked)
{
	if (asked->command->count > 1)
		resp_bulk(asked->out, asked->command->words[1]);
	else
		resp_line(asked->out, '+', "PONG");
}

static void do_echo(struct asked *asked)
{
	resp_bulk(asked->out, asked->command->words[1]);
}

static int pair_set(struct asked *asked, size_t i)
{
	const struct text *words = asked->command->words;

	return store_set(asked->store, words[i].at, words[i].bytes, words[i + 1].at,
		words[i + 1].bytes);
}

static void do_set(struct asked *asked)
{
	reply_stored(asked, pair_set(asked, 1));
}

static void do_mset(struct asked *asked)
{
	int err = 0;
	size_t i;

	if (asked->command->count % 2 == 0) {
		resp_line(asked->out, '-', "ERR wrong number of arguments");
		return;
	}
	for (i = 1; i < asked->command->count && !err; i += 2)
		err = pair_set(asked, i);
	reply_stored(asked, err);
}

static void reply_value(struct asked *asked, struct text key)
{
	const struct store_entry *entry = store_find(asked->store, key.at, key.bytes);

	if (entry != NULL)
		resp_bulk(asked->out, (struct text){ entry->value, entry->value_bytes });
	else
		resp_nil(asked->out);
}

static void do_get(struct asked *asked)
{
	reply_value(asked, asked->command->words[1]);
}

static void do_mget(struct asked *asked)
{
	size_t i;

	resp_array(asked->out, asked->command->count - 1);
	for (i = 1; i < asked->command->count; i++)
		reply_value(asked, asked->command->words[i]);
}

static void add(struct asked *asked, int64_t by)
{
	struct text key = asked->command->words[1];
	const struct store_entry *entry = store_find(asked->store, key.at, key.bytes);
	int64_t number = 0;
	char text[24];
	int bytes, err;

	if (entry != NULL &&
	    !resp_number((struct text){ entry->value, entry->value_bytes }, &number)) {
		resp_line(asked->out, '-', "ERR value is not an integer or out of range");
		return;
	}
	if (__builtin_add_overflow(number, by, &number)) {
		resp_line(asked->out, '-', "ERR increment or decrement would overflow");
		return;
	}
	bytes = snprintf(text, sizeof text, "%" PRId64, number);
	err = store_set(asked->store, key.at, key.bytes, text, (size_t)bytes);
	if (err)
		reply_stored(asked, err);
	else
		resp_integer(asked->out, number);
}

static void do_incr(struct asked *asked)
{
	add(asked, 1);
}

static void do_decr(struct asked *asked)
{
	add(asked, -1);
}

static void do_del(struct asked *asked)
{
	int64_t count = 0;
	size_t i;

	for (i = 1; i < asked->command->count; i++)
		count += store_remove(asked->store, asked->command->words[i].at,
			asked->command->words[i].bytes);
	resp_integer(asked->out, count);
}

static void do_exists(struct asked *asked)
{
	int64_t count = 0;
	size_t i;

	for (i = 1; i < asked->command->count; i++)
		count += store_find(asked->store, asked->command->words[i].at,
			asked->command->words[i].bytes) != NULL;
	resp_integer(asked->out, count);
}

static void do_dbsize(struct asked *asked)
{
	resp_integer(asked->out, asked->store->entries.live_count);
}

static void do_flushall(struct asked *asked)
{
	store_clear(asked->store);
	resp_line(asked->out, '+', "OK");
}

/* What is not set here has no value: clients take that for an answer. */
static void do_config(struct asked *asked)
{
	resp_array(asked->out, 0);
}

static void do_ok(struct asked *asked)
{
	resp_line(asked->out, '+', "OK");
}

static void do_quit(struct asked *asked)
{
	asked->ends = true;
	resp_line(asked->out, '+', "OK");
}

static const struct verb {
	const char *name;
	size_t words_min;
	void (*run)(struct asked *asked);
} verbs[] = {
	{ "GET", 2, do_get },
	{ "SET", 3, do_set },
	{ "PING", 1, do_ping },
	{ "INCR", 2, do_incr },
	{ "DECR", 2, do_decr },
	{ "MGET", 2, do_mget },
	{ "MSET", 3, do_mset },
	{ "DEL", 2, do_del },
	{ "EXISTS", 2, do_exists },
	{ "ECHO", 2, do_echo },
	{ "DBSIZE", 1, do_dbsize },
	{ "FLUSHALL", 1, do_flushall },
	{ "CONFIG", 2, do_config },
	{ "COMMAND", 1, do_config },
	{ "CLIENT", 2, do_ok },
	{ "SELECT", 2, do_ok },
	{ "QUIT", 1, do_quit },
};

static void command_run(struct asked *asked)
{
	const struct resp_command *command = asked->command;
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (!text_is_nocase(command->words[0], verbs[i].name))
			continue;
		if (command->count < verbs[i].words_min)
			resp_line(asked->out, '-', "ERR wrong number of arguments");
		else
			verbs[i].run(asked);
		return;
	}
	resp_line(asked->out, '-', "ERR unknown command");
}

/* ---- a session ----------------------------------------------------------------------- */

/* The room that the reply to a command may take. */
static size_t reply_room(const struct resp_command *command)
{
	return text_is_nocase(command->words[0], "MGET") ? command->count * REPLY_MAX :
		command->count > 1 && command->words[1].bytes > STORE_VALUE_MAX ?
		command->words[1].bytes + 64 : REPLY_MAX;
}

/* Runs what has come whole, as long as there is room for one more reply. */
static void commands_run(struct apus_cx *cx, struct session *self)
{
	struct resp_command command;
	struct asked asked = { apus_get(cx->world, store), &command, &self->out, false };
	size_t at = 0;

	while (!self->is_last) {
		ssize_t bytes = resp_parse(self->in + at, self->in_bytes - at, &command);

		if (bytes == 0 && at == 0 && self->in_bytes == IN_MAX)
			bytes = -1; /* it will never be there whole */
		if (bytes == 0)
			break;
		if (bytes < 0) {
			resp_line(&self->out, '-', "ERR Protocol error");
			self->is_last = true;
			break;
		}
		if (command.count > 0 && OUT_MAX - self->out.bytes < reply_room(&command)) {
			if (self->out.bytes > 0)
				break;
			resp_line(&self->out, '-', "ERR the reply would be too long");
		} else if (command.count > 0) {
			command_run(&asked);
		}
		command_count++;
		self->is_last = asked.ends;
		at += (size_t)bytes;
	}
	self->in_bytes -= at;
	memmove(self->in, self->in + at, self->in_bytes);
}

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
			self->out = (struct resp_out){ self->buffer, 0, OUT_MAX, false };
			commands_run(cx, self);
			APUS_TRY(self->bytes, apus_timeout(cx, SILENCE_S * APUS_SEC,
				apus_tcp_write_all(cx, self->conn, &self->write, self->buffer,
					self->out.bytes)));
		} while (self->bytes != 0 && !self->is_last);
	}
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
	printf("%" PRIu64 " commands, %" PRIu64 " sessions, %" PRIu64 " slots still used\n",
		command_count, counters->tasks_spawned - 1, counters->slots_used);
}

int main(int argc, char **argv)
{
	static struct apus_world world;
	static struct store keys;
	const struct serve serve = {
		.name = "resp_server",
		.state_bytes = sizeof(struct session),
		.session_count = 2048,
		.world = &world,
		.start = session_start,
		.report = report,
	};
	int status = 1;

	apus_world_init(&world);
	if (store_init(&keys, KEYS) == 0 && apus_put_with(&world, store, &keys, store_deinit) == 0)
		status = serve_main(&serve, argc, argv);
	apus_world_deinit(&world);
	return status;
}
