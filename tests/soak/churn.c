#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "churn.h"

enum {
	CLIENTS = 8, SLEEPERS = 16, QUARRELS = 4, FILERS = 3, OFFLOADERS = 4, DATAGRAMS = 2,
	MESSAGE_MAX = 256, MESSAGES_MAX = 16
};

#define PATIENCE_NS (20 * APUS_SEC)

/* ---- what tasks share ------------------------------------------------------------------ */

/* xorshift64* (Vigna, 2016); 0 <= answer < bound. */
static uint64_t random_below(struct churn *churn, uint64_t bound)
{
	uint64_t x = churn->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	churn->random = x;
	return (x * UINT64_C(0x2545f4914f6cdd1d) >> 8) % bound;
}

static bool is_over(const struct apus_cx *cx, const struct churn *churn)
{
	return cx->now_ns >= churn->until_ns || churn->failed != 0;
}

/* The first failure ends the round. */
static apus_poll fail(struct churn *churn, const char *what, apus_poll answer)
{
	if (answer >= 0)
		answer = -EBADMSG;
	if (churn->failed == 0)
		printf("soak: %s over %s: %s\n", what, apus_io_kind_name(churn->kind),
			strerror((int)-answer));
	churn->failed = (int)answer;
	return answer;
}

#define WANT(churn, what, answer)                       \
	do {                                            \
		if ((answer) < 0)                       \
			return fail(churn, what, answer); \
	} while (0)

struct member {
	struct apus_frame frame;
	struct churn *churn;
};

/* ---- connections --------------------------------------------------------------------------- */

struct session {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_tcp tcp;
	struct apus_write write;
	apus_poll got;
	char data[MESSAGE_MAX];
};

static void session_end(struct apus_cx *cx, struct session *self)
{
	apus_tcp_close(cx->loop, self->tcp);
	self->churn->live--;
}

/* The other end may leave at any time. */
APUS_TASK(session, struct session, session_end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->got, apus_timeout(cx, PATIENCE_NS,
			apus_tcp_read(cx, self->tcp, self->data, sizeof self->data)));
		if (self->got == 0)
			return 0;
		APUS_TRY(self->got, apus_tcp_write_all(cx, self->tcp, &self->write, self->data,
			(size_t)self->got));
	}
	APUS_END(0);
}

struct server {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_listener listener;
	struct apus_token token;
	struct apus_tcp next;
	apus_poll which, err;
};

static void server_end(struct apus_cx *cx, struct server *self)
{
	apus_listener_close(cx->loop, self->listener);
}

static int session_start(struct apus_cx *cx, struct server *self)
{
	const struct session init = { .churn = self->churn, .tcp = self->next };
	int err = apus_spawn_slab(cx->loop, session, &init, NULL);

	self->churn->live += err == 0;
	return err;
}

APUS_TASK(server, struct server, server_end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->which, APUS_SELECT(self->err,
			apus_tcp_accept(cx, self->listener, &self->next, NULL),
			apus_cancelled(cx, self->token)));
		if (self->which == 1)
			return 0;
		if (self->err == 0)
			self->err = session_start(cx, self);
		WANT(self->churn, "accept", self->err);
	}
	APUS_END(0);
}

struct exchange {
	struct apus_frame frame;
	struct apus_write write;
	apus_poll got;
	size_t bytes, back;
	char sent[MESSAGE_MAX], received[MESSAGE_MAX];
};

struct client {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_address at;
	struct apus_tcp tcp;
	struct exchange exchange;
	apus_poll got;
	uint32_t messages;
};

static void client_end(struct apus_cx *cx, struct client *self)
{
	apus_tcp_close(cx->loop, self->tcp);
}

static void message_make(struct churn *churn, struct exchange *self)
{
	size_t i;

	self->bytes = 1 + random_below(churn, MESSAGE_MAX);
	for (i = 0; i < self->bytes; i++)
		self->sent[i] = (char)random_below(churn, 256);
	self->back = 0;
}

/* A message there and back: 1.  0: one in sixteen does not wait for what it sent. */
static apus_poll exchange(struct apus_cx *cx, struct churn *churn, struct apus_tcp tcp,
	struct exchange *self)
{
	APUS_BEGIN(cx, self);
	message_make(churn, self);
	APUS_TRY(self->got, apus_tcp_write_all(cx, tcp, &self->write, self->sent, self->bytes));
	if (random_below(churn, 16) == 0)
		return 0;
	while (self->back < self->bytes) {
		APUS_TRY(self->got, apus_timeout(cx, PATIENCE_NS, apus_tcp_read(cx, tcp,
			self->received + self->back, self->bytes - self->back)));
		if (self->got == 0)
			return -EPIPE;
		self->back += (size_t)self->got;
	}
	if (memcmp(self->sent, self->received, self->back) != 0)
		return -EBADMSG;
	churn->counts.bytes += self->back;
	APUS_END(1);
}

APUS_TASK(client, struct client, client_end)
{
	APUS_BEGIN(cx, self);
	while (!is_over(cx, self->churn)) {
		self->got = apus_tcp_open(cx->loop, AF_INET, &self->tcp);
		WANT(self->churn, "open", self->got);
		APUS_AWAIT(self->got, apus_timeout(cx, PATIENCE_NS,
			apus_tcp_connect(cx, self->tcp, &self->at)));
		WANT(self->churn, "connect", self->got);
		self->messages = (uint32_t)random_below(self->churn, MESSAGES_MAX);
		do {
			APUS_AWAIT(self->got, exchange(cx, self->churn, self->tcp, &self->exchange));
			WANT(self->churn, "echo", self->got);
		} while (self->got != 0 && self->messages-- != 0);
		self->churn->counts.connections++;
		apus_tcp_close(cx->loop, self->tcp);
		/* Each leaves its port behind for a minute: not more than the system has. */
		APUS_WAIT(apus_sleep(cx, (int64_t)random_below(self->churn, 20 * APUS_MSEC)));
	}
	APUS_END(0);
}

/* ---- datagrams -------------------------------------------------------------------------------- */

struct datagrams {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_udp a, b;
	apus_poll got;
	uint64_t sent, received;
};

static void datagrams_end(struct apus_cx *cx, struct datagrams *self)
{
	apus_udp_close(cx->loop, self->a);
	apus_udp_close(cx->loop, self->b);
}

APUS_TASK(datagrams, struct datagrams, datagrams_end)
{
	APUS_BEGIN(cx, self);
	while (!is_over(cx, self->churn)) {
		self->got = apus_unix_pair_datagram(cx->loop, &self->a, &self->b);
		WANT(self->churn, "pair", self->got);
		self->sent = random_below(self->churn, UINT32_MAX);
		APUS_AWAIT(self->got, apus_udp_send(cx, self->a, &self->sent, 8, NULL));
		WANT(self->churn, "send", self->got);
		APUS_AWAIT(self->got, apus_timeout(cx, PATIENCE_NS,
			apus_udp_recv(cx, self->b, &self->received, 8, NULL)));
		if (self->got != 8 || self->received != self->sent)
			return fail(self->churn, "receive", self->got);
		self->churn->counts.datagrams++;
		datagrams_end(cx, self);
		APUS_WAIT(apus_yield(cx)); /* all of it may be ready, and time passes between polls */
	}
	APUS_END(0);
}

/* ---- timers -------------------------------------------------------------------------------------- */

struct sleeper {
	struct apus_frame frame;
	struct churn *churn;
	int64_t ns;
};

APUS_TASK(sleeper, struct sleeper)
{
	APUS_BEGIN(cx, self);
	while (!is_over(cx, self->churn)) {
		self->ns = (int64_t)random_below(self->churn, 2 * APUS_MSEC);
		APUS_WAIT(apus_sleep(cx, self->ns));
		self->churn->counts.timers++;
	}
	APUS_END(0);
}

/* ---- tasks that end each other --------------------------------------------------------------------- */

struct victim {
	struct apus_frame frame;
	struct apus_token token;
};

APUS_TASK(victim, struct victim)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_timeout(cx, APUS_SEC * 3600, apus_cancelled(cx, self->token)));
	APUS_END(0);
}

struct quarrel {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_token token;
	struct apus_join join;
	apus_poll got, result;
	bool aborts;
};

static void quarrel_end(struct apus_cx *cx, struct quarrel *self)
{
	apus_token_release(cx->loop, self->token);
}

APUS_TASK(quarrel, struct quarrel, quarrel_end)
{
	APUS_BEGIN(cx, self);
	while (!is_over(cx, self->churn)) {
		self->got = apus_token_child(cx->loop, apus_loop_token(cx->loop), &self->token);
		WANT(self->churn, "token", self->got);
		self->got = apus_spawn_slab(cx->loop, victim,
			(&(struct victim){ .token = self->token }), &self->join);
		WANT(self->churn, "spawn", self->got);
		APUS_WAIT(apus_sleep(cx, (int64_t)random_below(self->churn, 100 * APUS_USEC)));
		self->aborts = random_below(self->churn, 2) != 0;
		if (self->aborts)
			apus_abort(cx->loop, self->join);
		else
			apus_cancel(cx->loop, self->token);
		APUS_AWAIT(self->got, apus_join(cx, self->join, &self->result));
		if (self->got != (self->aborts ? -ECANCELED : 0))
			return fail(self->churn, "join", self->got);
		self->churn->counts.aborts += self->aborts;
		self->churn->counts.tasks++;
		apus_token_release(cx->loop, self->token);
	}
	APUS_END(0);
}

/* ---- files -------------------------------------------------------------------------------------------- */

struct filer {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_op op;
	struct apus_file file;
	struct apus_stat stat;
	apus_poll got;
	char path[96], written[64], read[64];
};

/* What it may have left is the next one's to truncate, and the folder's owner's to remove. */
static void filer_end(struct apus_cx *cx, struct filer *self)
{
	apus_file_drop(cx->loop, self->file);
	unlink(self->path);
}

APUS_TASK(filer, struct filer, filer_end)
{
	APUS_BEGIN(cx, self);
	while (!is_over(cx, self->churn)) {
		APUS_AWAIT(self->got, apus_file_open(cx, &self->op, self->path,
			O_RDWR | O_CREAT | O_TRUNC, 0600, &self->file));
		WANT(self->churn, "file open", self->got);
		memset(self->written, (int)random_below(self->churn, 256), sizeof self->written);
		APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, self->written,
			sizeof self->written, 0));
		WANT(self->churn, "file write", self->got);
		APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->read,
			sizeof self->read, 0));
		if (self->got != sizeof self->read || memcmp(self->read, self->written, 64) != 0)
			return fail(self->churn, "file read", self->got);
		APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
		if (self->got < 0 || self->stat.bytes != 64)
			return fail(self->churn, "file stat", self->got);
		APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->file));
		WANT(self->churn, "file close", self->got);
		APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, self->path));
		WANT(self->churn, "unlink", self->got);
		self->churn->counts.files++;
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(0);
}

/* ---- helpers --------------------------------------------------------------------------------------------- */

APUS_OFFLOAD(square, uint64_t)
{
	*self *= *self;
	return 0;
}

struct offloader {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_offload op;
	apus_poll got;
	uint64_t value, was;
};

/* One in two loses its wait, and awaits the same again. */
APUS_TASK(offloader, struct offloader)
{
	APUS_BEGIN(cx, self);
	while (!is_over(cx, self->churn)) {
		self->value = self->was = random_below(self->churn, 1000000);
		self->got = -ETIME;
		if (random_below(self->churn, 2) != 0)
			APUS_AWAIT(self->got, apus_timeout(cx, APUS_USEC,
				apus_offload_run(cx, &self->op, square, &self->value)));
		if (self->got == -ETIME)
			APUS_AWAIT(self->got, apus_offload_run(cx, &self->op, square, &self->value));
		if (self->got != 0 || self->value != self->was * self->was)
			return fail(self->churn, "offload", self->got);
		self->churn->counts.offloads++;
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(0);
}

/* ---- from outside -------------------------------------------------------------------------------------- */

struct errand {
	struct apus_frame frame;
	uint64_t value;
};

APUS_TASK(errand, struct errand)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_yield(cx));
	APUS_END((apus_poll)self->value + 1);
}

static int errand_run(struct churn *churn, uint64_t value)
{
	struct apus_remote_join join;
	apus_poll result;
	int err = apus_remote_spawn(churn->remote, errand, (&(struct errand){ .value = value }), &join);

	if (!err)
		err = apus_remote_join(join, PATIENCE_NS, &result);
	return err ? err : result == (apus_poll)value + 1 ? 0 : -EBADMSG;
}

static void *outsider(void *arg)
{
	struct churn *churn = arg;
	const struct timespec pause = { .tv_nsec = 200 * APUS_USEC };
	int err = 0;

	while (apus_load_acquire(&churn->stop) == 0 && !err) {
		err = errand_run(churn, churn->sent);
		if (!err)
			err = apus_mpsc_wait_send(&churn->mail, PATIENCE_NS, churn->sent + 1);
		churn->sent += err == 0;
		nanosleep(&pause, NULL);
	}
	if (err)
		printf("soak: from outside, over %s: %s\n", apus_io_kind_name(churn->kind),
			strerror(-err));
	apus_store_release(&churn->stop, err ? 3 : 2);
	return NULL;
}

/* In order, and none lost: the round waits for what was sent. */
APUS_TASK(mailbox, struct member)
{
	uint64_t number;
	apus_poll got;

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(got, apus_timeout(cx, APUS_MSEC,
			apus_mpsc_recv(cx, &self->churn->mail, &number)));
		if (got == 0 && number != self->churn->received + 1)
			return fail(self->churn, "mail", -EBADMSG);
		self->churn->received += got == 0;
		self->churn->counts.wakes += got == 0 ? 2 : 0;
		if (got == -ETIME && apus_load_acquire(&self->churn->stop) >= 2 &&
		    self->churn->received == self->churn->sent)
			return 0;
		if (got != -ETIME)
			WANT(self->churn, "mail", got);
		if (self->churn->failed)
			return 0;
	}
	APUS_END(0);
}

/* ---- a round --------------------------------------------------------------------------------------------- */

struct round {
	struct apus_frame frame;
	struct churn *churn;
	struct apus_set set;
	struct apus_address at;
	struct apus_listener listener;
	apus_poll got;
	bool has_set;
};

static void round_end(struct apus_cx *cx, struct round *self)
{
	(void)cx;
	if (self->has_set)
		apus_set_deinit(&self->set);
}

static int round_listen(struct apus_cx *cx, struct round *self)
{
	struct server init = { .churn = self->churn, .token = self->set.token };
	int err = apus_address_parse(&self->at, "127.0.0.1:0");

	if (!err)
		err = apus_tcp_listen(cx->loop, &self->at, NULL, &init.listener);
	if (!err)
		err = apus_listener_local(cx->loop, init.listener, &self->at);
	return err ? err : apus_set_spawn(&self->set, server, &init);
}

static int round_spawn(struct round *self)
{
	struct churn *churn = self->churn;
	struct filer file = { .churn = churn };
	int i, err = apus_set_spawn(&self->set, mailbox, (&(struct member){ .churn = churn }));

	for (i = 0; i < CLIENTS && !err; i++)
		err = apus_set_spawn(&self->set, client,
			(&(struct client){ .churn = churn, .at = self->at }));
	for (i = 0; i < DATAGRAMS && !err; i++)
		err = apus_set_spawn(&self->set, datagrams, (&(struct datagrams){ .churn = churn }));
	for (i = 0; i < SLEEPERS && !err; i++)
		err = apus_set_spawn(&self->set, sleeper, (&(struct sleeper){ .churn = churn }));
	for (i = 0; i < QUARRELS && !err; i++)
		err = apus_set_spawn(&self->set, quarrel, (&(struct quarrel){ .churn = churn }));
	for (i = 0; i < OFFLOADERS && !err; i++)
		err = apus_set_spawn(&self->set, offloader, (&(struct offloader){ .churn = churn }));
	for (i = 0; i < FILERS && !err; i++) {
		snprintf(file.path, sizeof file.path, "%s/%s-%d", churn->folder,
			apus_io_kind_name(churn->kind), i);
		err = apus_set_spawn(&self->set, filer, &file);
	}
	return err;
}

/* The server alone looks at the set's token: the others end by the time. */
APUS_TASK(round, struct round, round_end)
{
	APUS_BEGIN(cx, self);
	self->got = apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop));
	WANT(self->churn, "set", self->got);
	self->has_set = true;
	self->got = round_listen(cx, self);
	WANT(self->churn, "listen", self->got);
	self->got = round_spawn(self);
	WANT(self->churn, "spawn", self->got);
	APUS_WAIT(apus_sleep_until(cx, self->churn->until_ns));
	apus_store_release(&self->churn->stop, 1);
	while (self->set.live_count > 1)
		APUS_WAIT(apus_sleep(cx, 100 * APUS_USEC));
	apus_set_cancel(&self->set);
	APUS_AWAIT(self->got, apus_timeout(cx, PATIENCE_NS, apus_set_all(cx, &self->set)));
	WANT(self->churn, "end of all", self->got);
	while (self->churn->live != 0)
		APUS_WAIT(apus_sleep(cx, 100 * APUS_USEC));
	APUS_END(0);
}

static int64_t drained(struct churn *churn)
{
	struct apus_drain_report report;
	int err = apus_drain(churn->loop, APUS_SEC / 4, &report);

	if (err)
		printf("soak: over %s %" PRIu64 " tasks are left, the first is %s\n",
			apus_io_kind_name(churn->kind), report.tasks_live,
			report.named != 0 ? report.tasks[0].name : "not named");
	return err;
}

/* What the loop still counts, though nothing is on. */
static int64_t counters_check(struct churn *churn)
{
	struct apus_counters now;
	uint64_t left;

	apus_counters_read(churn->loop, &now);
	left = now.tasks_live + now.tasks_unjoined + now.slots_used + now.sockets_open +
		now.files_open + now.timers_pending + now.tokens_used + now.ops_in_flight +
		now.offload_queued + now.offload_running;
	if (left != 0)
		printf("soak: over %s are left: %" PRIu64 " tasks, %" PRIu64 " slots, %" PRIu64
			" sockets, %" PRIu64 " files, %" PRIu64 " timers, %" PRIu64 " tokens, %"
			PRIu64 " operations\n", apus_io_kind_name(churn->kind), now.tasks_live,
			now.slots_used, now.sockets_open, now.files_open, now.timers_pending,
			now.tokens_used, now.ops_in_flight);
	return left != 0 ? -EBUSY : 0;
}

static void leak_some(struct churn *churn)
{
	enum { BYTES = 32768 };
	static void *volatile leaked;
	struct churn forever = { .until_ns = APUS_NEVER, .random = 1 };
	static struct churn elsewhere;

	if (churn->leak == CHURN_LEAK_MEMORY) {
		leaked = malloc(BYTES);
		if (leaked != NULL)
			memset(leaked, 1, BYTES);
	}
	if (churn->leak == CHURN_LEAK_DESCRIPTOR)
		(void)!dup(STDERR_FILENO);
	if (churn->leak != CHURN_LEAK_TASK)
		return;
	elsewhere = forever;
	(void)apus_spawn_slab(churn->loop, sleeper, (&(struct sleeper){ .churn = &elsewhere }), NULL);
}

int churn_round(struct churn *churn, int64_t round_ns)
{
	const struct round init = { .churn = churn };
	int64_t err = apus_mpsc_init(&churn->mail);

	if (err)
		return (int)err;
	apus_store_release(&churn->stop, 0);
	churn->sent = churn->received = 0;
	churn->until_ns = apus_clock_now(churn->loop) + round_ns;
	err = -pthread_create(&churn->outsider, NULL, outsider, churn);
	if (err)
		return (int)err;
	err = apus_run(churn->loop, round, &init);
	apus_store_release(&churn->stop, 1);
	pthread_join(churn->outsider, NULL);
	apus_mpsc_deinit(&churn->mail);
	leak_some(churn);
	if (!err)
		err = drained(churn);
	if (!err)
		err = counters_check(churn);
	return churn->failed ? churn->failed : (int)err;
}

/* ---- opening and closing ------------------------------------------------------------------------------------- */

int churn_open(struct churn *churn, enum apus_io_kind kind, const char *folder,
	char *reason, size_t reason_bytes)
{
	struct apus_config config;
	int err;

	apus_config_init(&config);
	config.backend = kind;
	config.idle = APUS_IDLE_PARK;
	config.slot_count = 256;
	config.state_bytes = 1024;
	config.stall_ns = APUS_NEVER;
	config.log_fn = NULL;
	err = apus_open(&churn->loop, &config);
	if (err)
		snprintf(reason, reason_bytes, "%s", config.reason);
	churn->kind = kind;
	churn->random = churn->random != 0 ? churn->random : UINT64_C(88172645463325252) + kind;
	snprintf(churn->folder, sizeof churn->folder, "%s", folder);
	if (!err)
		churn->remote = apus_loop_remote(churn->loop);
	return err;
}

int churn_close(struct churn *churn)
{
	int err = apus_close(churn->loop, NULL);

	if (err)
		printf("soak: closing over %s: %s\n", apus_io_kind_name(churn->kind), strerror(-err));
	return err;
}
