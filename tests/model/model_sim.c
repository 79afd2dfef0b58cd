/*
 * model_sim.c - random programs of sessions over the simulated network, against what their
 * bytes must be.
 *
 * Byte i of a direction of a connection is a function of connection, direction and i, so a
 * byte that is lost, doubled or out of order is seen by who reads it.  What ended without a
 * fault on either side is complete; whatever happened, nothing is left at the end.  Half of the
 * programs that nothing cuts off wait without a limit: no wake is lost, or they hang.
 */
#include "apus/net.h"
#include "io/sim.h"
#include "schedules.h"

enum { CLIENTS = 4, RECORDS = 64, BYTES = 1500, SECOND_DIRECTION = 1 << 16 };

/* What both ends of a connection tell of it. */
struct record {
	uint32_t sent, received, answered, heard;
	bool is_broken;   /* an end gave it up, or was told that it broke */
	bool is_finished; /* the client has shut its half, after all it had to say */
	bool server_saw_end, client_saw_end;
};

static struct {
	struct apus_loop *loop;
	struct test_random random;
	struct apus_address at;
	struct record records[RECORDS];
	uint32_t record_count;
	uint32_t complete; /* connections, of all schedules */
	struct apus_join clients[CLIENTS], sessions[RECORDS];
	uint32_t client_count, session_count;
	uint32_t turns_left; /* before it hangs */
	bool is_patient;
} model;

static void turns_run(uint32_t count)
{
	while (count-- > 0) {
		expect(model.turns_left-- > 0);
		apus_turn(model.loop);
	}
}

static uint32_t waits_count(const struct apus_cx *cx)
{
	const struct apus_wait *wait;
	uint32_t count = 0;

	for (wait = cx->wait_free; wait != NULL; wait = wait->task_next)
		count++;
	return count;
}

static unsigned char byte_of(uint32_t record, uint32_t direction, uint32_t at)
{
	uint32_t x = (record + 1) * 2654435761u + direction + at * 40503u;

	return (unsigned char)(x >> 13 ^ x >> 3);
}

static uint32_t draw(uint32_t bound)
{
	return (uint32_t)test_random_below(&model.random, bound);
}

static bool one_in(uint32_t count)
{
	return draw(count) == 0;
}

static void bytes_make(unsigned char *to, uint32_t record, uint32_t direction, uint32_t at,
	uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i++)
		to[i] = byte_of(record, direction, at + i);
}

static void bytes_check(const unsigned char *got, uint32_t record, uint32_t direction,
	uint32_t at, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i++)
		expect(got[i] == byte_of(record, direction, at + i));
}

/* Until a wait is given up: soon, so that many are; or so late that it has lost its wake. */
static int64_t patience_ns(void)
{
	return model.is_patient ? 400 * APUS_SEC : (1 + draw(500)) * APUS_USEC;
}

/* ---- an end of a connection ---------------------------------------------------------------- */

struct end {
	struct apus_frame frame;
	struct apus_tcp tcp;
	struct apus_write write;
	struct apus_segment segment;
	int64_t timeout_ns, answer, which;
	uint32_t record, direction;
	uint32_t bytes, way;
	bool is_writing; /* write counts bytes that the record does not yet */
	unsigned char buffer[96];
};

/* What write_all has got rid of, whatever became of the rest. */
static void end_settle(struct end *end, uint32_t *done)
{
	if (end->is_writing)
		*done += (uint32_t)end->write.done_bytes;
	end->is_writing = false;
	end->write = (struct apus_write){ 0 };
}

static apus_poll end_write(struct apus_cx *cx, struct end *end)
{
	const struct iovec parts[2] = { { end->buffer, end->bytes / 3 },
		{ end->buffer + end->bytes / 3, end->bytes - end->bytes / 3 } };

	if (end->way == 0)
		return apus_tcp_write(cx, end->tcp, end->buffer, end->bytes);
	if (end->way == 1)
		return apus_tcp_writev(cx, end->tcp, parts, 2);
	end->is_writing = true;
	return apus_tcp_write_all(cx, end->tcp, &end->write, end->buffer, end->bytes);
}

/*
 * Says what is next, up to *done == until.  A wait that takes too long is given up and begun
 * again, which must not lose or double a byte; one that takes for ever is -ETIME.
 */
static apus_poll end_say(struct apus_cx *cx, struct end *end, uint32_t *done, uint32_t until)
{
	APUS_BEGIN(cx, end);
	while (*done < until) {
		end->bytes = 1 + draw(sizeof end->buffer);
		if (end->bytes > until - *done)
			end->bytes = until - *done;
		bytes_make(end->buffer, end->record, end->direction, *done, end->bytes);
		end->way = draw(3);
		for (end->timeout_ns = patience_ns();; end->timeout_ns *= 2) {
			APUS_AWAIT(end->answer, apus_timeout(cx, end->timeout_ns,
				end_write(cx, end)));
			expect(end->answer != -ETIME || !model.is_patient);
			if (end->answer != -ETIME || end->timeout_ns > 40 * APUS_SEC)
				break;
		}
		if (end->way == 2)
			end_settle(end, done);
		else
			*done += end->answer > 0 ? (uint32_t)end->answer : 0;
		if (end->answer < 0)
			return end->answer;
	}
	APUS_END(0);
}

static apus_poll end_read(struct apus_cx *cx, struct end *end)
{
	const struct iovec parts[2] = { { end->buffer, 5 }, { end->buffer + 5,
		sizeof end->buffer - 5 } };

	if (end->way == 0)
		return apus_tcp_read(cx, end->tcp, end->buffer, sizeof end->buffer);
	if (end->way == 1)
		return apus_tcp_readv(cx, end->tcp, parts, 2);
	return apus_tcp_read_segment(cx, end->tcp, &end->segment);
}

/* Hears what comes next, if it is what must come next: its bytes; 0: the end; -errno. */
static apus_poll end_hear(struct apus_cx *cx, struct end *end, uint32_t done)
{
	APUS_BEGIN(cx, end);
	end->way = draw(3);
	for (end->timeout_ns = patience_ns();; end->timeout_ns *= 2) {
		if (one_in(2))
			APUS_AWAIT(end->answer, apus_timeout(cx, end->timeout_ns, end_read(cx, end)));
		else
			APUS_AWAIT(end->which, APUS_SELECT(end->answer, end_read(cx, end),
				apus_sleep(cx, end->timeout_ns)));
		if (end->which == 1)
			end->answer = -ETIME;
		end->which = 0;
		expect(end->answer != -ETIME || !model.is_patient);
		if ((end->answer != -ETIME && end->answer != -ENOBUFS) ||
		    end->timeout_ns > 80 * APUS_SEC)
			break;
	}
	if (end->answer > 0 && end->way == 2) {
		bytes_check(end->segment.data, end->record, end->direction, done,
			(uint32_t)end->answer);
		expect(apus_segment_release(cx->loop, &end->segment) == 0);
	} else if (end->answer > 0) {
		bytes_check(end->buffer, end->record, end->direction, done, (uint32_t)end->answer);
	}
	APUS_END(end->answer);
}

/* ---- the server's half: it answers as many bytes as it has heard -------------------------------- */

struct session {
	struct apus_frame frame;
	struct end end;
	struct record *record;
	int64_t got;
};

static void session_close(struct apus_cx *cx, struct session *self)
{
	end_settle(&self->end, &self->record->answered);
	if (!self->record->server_saw_end)
		self->record->is_broken = true;
	apus_tcp_close(cx->loop, self->end.tcp);
}

APUS_TASK(session, struct session, session_close)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		self->end.direction = 0;
		APUS_TRY(self->got, end_hear(cx, &self->end, self->record->received));
		if (self->got == 0)
			break;
		self->record->received += (uint32_t)self->got;
		expect(self->record->received <= BYTES);
		if (one_in(200))
			return -ECANCELED; /* it has had enough */
		self->end.direction = SECOND_DIRECTION;
		APUS_TRY(self->got, end_say(cx, &self->end, &self->record->answered,
			self->record->received));
	}
	self->record->server_saw_end = true;
	APUS_END(0);
}

struct server {
	struct apus_frame frame;
	struct apus_listener listener;
	struct apus_tcp tcp;
	struct apus_address peer;
	int64_t err;
};

static void server_close(struct apus_cx *cx, struct server *self)
{
	apus_listener_close(cx->loop, self->listener);
}

/* Who it is says the port that the client has bound. */
static void session_begin(struct apus_cx *cx, struct server *self)
{
	uint32_t record = apus_address_port(&self->peer) - 20000u;
	struct session init = { .end.tcp = self->tcp, .end.record = record };

	expect(record < model.record_count);
	init.record = &model.records[record];
	if (model.session_count == RECORDS ||
	    apus_spawn_slab(cx->loop, session, &init, &model.sessions[model.session_count]) != 0) {
		init.record->is_broken = true;
		apus_tcp_close(cx->loop, self->tcp);
		return;
	}
	model.session_count++;
}

APUS_TASK(server, struct server, server_close)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_tcp_accept(cx, self->listener, &self->tcp, &self->peer));
		expect(self->err == 0 || self->err == -EMFILE || self->err == -ENFILE ||
			self->err == -ENOBUFS || self->err == -ENOMEM);
		if (self->err == 0)
			session_begin(cx, self);
	}
	APUS_END(0);
}

/* ---- the client's half: one task says, another hears --------------------------------------------- */

struct hearer {
	struct apus_frame frame;
	struct end end;
	struct record *record;
	int64_t got;
};

APUS_TASK(hearer, struct hearer)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->got, end_hear(cx, &self->end, self->record->heard));
		if (self->got == 0)
			break;
		self->record->heard += (uint32_t)self->got;
		expect(self->record->heard <= self->record->received);
	}
	self->record->client_saw_end = true;
	APUS_END(0);
}

struct client {
	struct apus_frame frame;
	struct end end;
	struct record *record; /* NULL: no connection */
	struct apus_join hearer;
	int64_t answer, wait_ns;
	uint32_t until;
	int left;
	bool is_heard;
};

static void connection_end(struct apus_loop *loop, struct client *self)
{
	if (self->record == NULL)
		return;
	if (self->is_heard) {
		(void)apus_abort(loop, self->hearer);
		(void)apus_detach(loop, self->hearer);
	}
	self->is_heard = false;
	end_settle(&self->end, &self->record->sent);
	if (!self->record->is_finished || !self->record->client_saw_end)
		self->record->is_broken = true;
	apus_tcp_close(loop, self->end.tcp);
	self->record = NULL;
}

static void client_close(struct apus_cx *cx, struct client *self)
{
	connection_end(cx->loop, self);
}

static bool connection_open(struct apus_cx *cx, struct client *self)
{
	uint32_t record = model.record_count;
	struct apus_address own = model.at;

	if (record == RECORDS || apus_tcp_open(cx->loop, AF_INET, &self->end.tcp) != 0)
		return false;
	apus_address_set_port(&own, (uint16_t)(20000 + record));
	expect(apus_tcp_bind(cx->loop, self->end.tcp, &own) == 0);
	self->record = &model.records[record];
	self->end.record = record;
	self->end.direction = 0;
	model.record_count++;
	return true;
}

static bool hearer_begin(struct apus_cx *cx, struct client *self)
{
	struct hearer init = { .record = self->record, .end.tcp = self->end.tcp,
		.end.record = self->end.record, .end.direction = SECOND_DIRECTION };

	self->is_heard = apus_spawn_slab(cx->loop, hearer, &init, &self->hearer) == 0;
	return self->is_heard;
}

APUS_TASK(client, struct client, client_close)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		self->wait_ns = (int64_t)draw(3000) * APUS_USEC;
		APUS_AWAIT(self->answer, apus_sleep(cx, self->wait_ns));
		if (!connection_open(cx, self))
			continue;
		APUS_AWAIT(self->answer, apus_timeout(cx, 100 * APUS_SEC,
			apus_tcp_connect(cx, self->end.tcp, &model.at)));
		if (self->answer == 0 && hearer_begin(cx, self)) {
			self->until = draw(BYTES);
			APUS_AWAIT(self->answer, end_say(cx, &self->end, &self->record->sent,
				self->until));
			if (self->answer == 0 && !one_in(20)) {
				self->record->is_finished = apus_tcp_shutdown(cx->loop,
					self->end.tcp, SHUT_WR) == 0;
				APUS_AWAIT(self->answer, apus_timeout(cx, 200 * APUS_SEC,
					apus_join(cx, self->hearer, NULL)));
				self->is_heard = self->answer == -ETIME;
				expect(!self->is_heard || !model.is_patient);
			}
		}
		connection_end(cx->loop, self);
	}
	APUS_END(0);
}

/* ---- somebody who ends others --------------------------------------------------------------------- */

struct reaper {
	struct apus_frame frame;
	int64_t answer, wait_ns;
	int left;
};

APUS_TASK(reaper, struct reaper)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		self->wait_ns = (int64_t)draw(20000) * APUS_USEC;
		APUS_AWAIT(self->answer, apus_sleep(cx, self->wait_ns));
		if (one_in(2) && model.session_count > 0)
			(void)apus_abort(cx->loop, model.sessions[draw(model.session_count)]);
		else
			(void)apus_abort(cx->loop, model.clients[draw(model.client_count)]);
	}
	APUS_END(0);
}

/* ---- a schedule ------------------------------------------------------------------------------------ */

static void spawn_all(void)
{
	struct server serve = { .err = 0 };
	struct apus_join server_join;
	uint32_t i;
	int tries = 0;

	while (apus_tcp_listen(model.loop, &model.at, NULL, &serve.listener) != 0)
		expect(++tries < 1000);
	expect(apus_spawn_slab(model.loop, server, &serve, &server_join) == 0);
	model.client_count = 1 + draw(CLIENTS);
	for (i = 0; i < model.client_count; i++)
		expect(apus_spawn_slab(model.loop, client,
			(&(struct client){ .left = 1 + (int)draw(4) }), &model.clients[i]) == 0);
	if (one_in(3))
		expect(apus_spawn_slab(model.loop, reaper,
			(&(struct reaper){ .left = 1 + (int)draw(6) }), NULL) == 0);
	if (one_in(4))
		turns_run(draw(2000));
	for (i = 0; i < model.client_count; i++)
		while (apus_try_join(model.loop, model.clients[i], NULL) == -EAGAIN)
			turns_run(1);
	expect(apus_abort(model.loop, server_join) == 1);
	(void)apus_detach(model.loop, server_join);
}

static void check_record(const struct record *record)
{
	expect(record->received <= record->sent);
	expect(record->answered <= record->received);
	expect(record->heard <= record->answered);
	if (record->is_broken || !record->server_saw_end)
		return;
	expect(record->received == record->sent);
	expect(record->answered == record->received);
	expect(record->heard == record->answered);
	model.complete++;
}

/* Tasks, sockets, timers, wait nodes, segments, numbers: all are back. */
static void check_nothing_is_left(uint32_t wait_count)
{
	const struct apus_cx *cx = apus_loop_cx(model.loop);
	struct apus_drain_report report;
	struct apus_counters now;
	int err = apus_drain(model.loop, 1000 * APUS_SEC, &report);

	expect(err == 0);
	expect(report.tasks_live == 0);
	expect(report.sockets_open == 0);
	expect(report.timers_pending == 0);
	expect(waits_count(cx) == wait_count);
	expect(cx->io->segments.free_count == cx->io->segments.count);
	expect(apusi_sim_world_of(cx->io)->open_count == 0);
	expect(cx->io->watched_count == 0);
	apus_counters_read(model.loop, &now);
	expect(now.wait_refusals == 0);
}

static void schedule(uint64_t seed)
{
	struct apus_sim_config weather;
	uint32_t complete = model.complete, wait_count, i;

	memset(&model, 0, sizeof model);
	model.complete = complete;
	model.random = test_random_init(seed);
	apus_sim_config_rough(&weather, seed);
	model.is_patient = weather.cut_ppm == 0 && one_in(2);
	expect(apus_address_parse(&model.at, "127.0.0.1:1000") == 0);
	model.loop = schedule_open(&weather);
	model.turns_left = 1000000;
	wait_count = waits_count(apus_loop_cx(model.loop));
	spawn_all();
	check_nothing_is_left(wait_count);
	for (i = 0; i < model.record_count; i++)
		check_record(&model.records[i]);
	expect(apus_close(model.loop, NULL) == 0);
}

START_TEST(whatever_a_network_does_no_byte_is_lost_doubled_or_out_of_order)
{
	uint64_t count = schedules_run(10000, schedule);

	printf("%" PRIu64 " schedules, %u connections were complete\n", count, model.complete);
	expect(count < 100 || model.complete > count / 10);
}
END_TEST

TEST_MAIN("sim", whatever_a_network_does_no_byte_is_lost_doubled_or_out_of_order)
