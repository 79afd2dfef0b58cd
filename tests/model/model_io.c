/*
 * model_io.c - random traffic on streams of three kinds against a count of bytes.
 *
 * Each end carries a byte sequence both ways.  The naive twin knows how many bytes were put
 * in; after every storm of operations the loop is turned until all of them are out, in
 * order, whatever was switched, aborted, abandoned or closed meanwhile (P8, P10, promise 5).
 * A lost edge is a hang, and check ends it.
 */
#define _GNU_SOURCE
#include "../unit/sockets.h"

enum kind { KIND_TCP, KIND_UNIX, KIND_ADOPTED, KINDS };
enum { ENDS = 12, STEPS = 6000, CHUNK_MAX = 3000 };

/* One stream: our end with its tasks, the other end a plain socket. */
struct end {
	struct apus_tcp tcp;
	int theirs;
	uint64_t in_put, in_got;   /* towards us */
	uint64_t out_put, out_got; /* from us; out_put counts what was handed to a writer */
	uint64_t out_done;         /* of this, by writers that ended */
	bool is_hot, ended, writer_lives;
	struct apus_join reader, writer;
};

static struct end ends[ENDS];
static struct test_random random_state;

static uint64_t below(uint64_t bound)
{
	return test_random_below(&random_state, bound);
}

static unsigned char byte_at(uint64_t position)
{
	return (unsigned char)(position * 167 ^ position >> 8);
}

static void fill(unsigned char *bytes, uint64_t position, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		bytes[i] = byte_at(position + i);
}

static void check(const unsigned char *bytes, uint64_t position, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (bytes[i] != byte_at(position + i))
			ck_abort_msg("byte %" PRIu64 " is wrong", position + i);
}

/* ---- our tasks ------------------------------------------------------------------------ */

struct reader {
	struct apus_frame frame;
	struct end *end;
	int64_t got;
	size_t bytes;
	unsigned char buffer[2 * CHUNK_MAX];
};

/* Reads all there is, in pieces of any size, now and then giving up for a moment. */
APUS_TASK(reader, struct reader)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		self->bytes = 1 + below(sizeof self->buffer);
		if (below(4) == 0)
			APUS_AWAIT(self->got, apus_timeout(cx, (int64_t)below(20000), apus_tcp_read(cx,
				self->end->tcp, self->buffer, self->bytes)));
		else
			APUS_AWAIT(self->got, apus_tcp_read(cx, self->end->tcp, self->buffer,
				self->bytes));
		if (self->got == -ETIME)
			continue;
		if (self->got <= 0)
			break;
		check(self->buffer, self->end->in_got, (size_t)self->got);
		self->end->in_got += (uint64_t)self->got;
	}
	self->end->ended = self->got == 0;
	APUS_END(self->got);
}

struct writer {
	struct apus_frame frame;
	struct end *end;
	struct apus_write write;
	int64_t put;
	size_t bytes;
	unsigned char buffer[64 * CHUNK_MAX];
};

APUS_TASK(writer, struct writer)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->put, apus_tcp_write_all(cx, self->end->tcp, &self->write, self->buffer,
		self->bytes));
	self->end->out_done += self->write.done_bytes;
	self->end->writer_lives = false;
	APUS_END(self->put);
}

static void reader_start(struct end *end)
{
	end->ended = false;
	ck_assert_int_eq(apus_spawn_boxed(main_loop, reader, (&(struct reader){ .end = end }),
		&end->reader), 0);
}

static void writer_start(struct end *end)
{
	static struct writer init;

	if (end->writer_lives)
		return;
	memset(&init, 0, sizeof init);
	init.end = end;
	init.bytes = 1 + below(sizeof init.buffer);
	fill(init.buffer, end->out_put, init.bytes);
	end->out_put += init.bytes;
	end->writer_lives = true;
	ck_assert_int_eq(apus_spawn_boxed(main_loop, writer, &init, &end->writer), 0);
	apus_detach(main_loop, end->writer);
}

/* ---- opening and closing ------------------------------------------------------------------ */

static void end_open(struct end *end)
{
	struct apus_tcp other;
	int pair[2];

	memset(end, 0, sizeof *end);
	switch ((enum kind)below(KINDS)) {
	case KIND_TCP:
		end->tcp = pair_open(&end->theirs);
		break;
	case KIND_UNIX:
		ck_assert_int_eq(apus_unix_pair(main_loop, &end->tcp, &other), 0);
		end->theirs = apus_tcp_release(main_loop, other);
		break;
	default:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		ck_assert_int_eq(apus_tcp_adopt(main_loop, pair[0], APUS_OWNED, &end->tcp), 0);
		end->theirs = pair[1];
	}
	ck_assert_int_eq(fcntl(end->theirs, F_SETFL, O_NONBLOCK), 0);
	reader_start(end);
}

static void end_close(struct end *end)
{
	bool first = below(2);

	if (first)
		close(end->theirs);
	ck_assert_int_eq(apus_tcp_close(main_loop, end->tcp), 0);
	ck_assert_int_eq(apus_tcp_close(main_loop, end->tcp), -ESTALE);
	if (!first)
		close(end->theirs);
	while (apus_join_is_finished(main_loop, end->reader) == 0 || end->writer_lives)
		apus_turn(main_loop);
	apus_try_join(main_loop, end->reader, NULL);
}

/* ---- the other end --------------------------------------------------------------------------- */

static void peer_write(struct end *end)
{
	unsigned char bytes[CHUNK_MAX];
	size_t count = 1 + below(below(2) ? 40 : CHUNK_MAX);
	ssize_t put;

	fill(bytes, end->in_put, count);
	put = send(end->theirs, bytes, count, MSG_NOSIGNAL);
	if (put > 0)
		end->in_put += (uint64_t)put;
}

static void peer_read(struct end *end)
{
	unsigned char bytes[16 * CHUNK_MAX];
	ssize_t got = recv(end->theirs, bytes, 1 + below(sizeof bytes), 0);

	if (got > 0) {
		check(bytes, end->out_got, (size_t)got);
		end->out_got += (uint64_t)got;
	}
}

/* ---- operations --------------------------------------------------------------------------------- */

static void switch_hot(struct end *end)
{
	end->is_hot = !end->is_hot;
	ck_assert_int_eq(apus_tcp_set_hot(main_loop, end->tcp, end->is_hot), 0);
}

static void reader_replace(struct end *end)
{
	ck_assert_int_eq(apus_abort(main_loop, end->reader), 1);
	apus_turn(main_loop);
	apus_turn(main_loop);
	apus_try_join(main_loop, end->reader, NULL);
	reader_start(end);
}

static void turn_some(void)
{
	uint64_t count = below(4);

	while (count-- > 0)
		apus_turn(main_loop);
}

static void step(void)
{
	struct end *end = &ends[below(ENDS)];

	switch (below(12)) {
	case 0: case 1: case 2: case 3:
		peer_write(end);
		break;
	case 4: case 5:
		peer_read(end);
		break;
	case 6:
		writer_start(end);
		break;
	case 7:
		switch_hot(end);
		break;
	case 8:
		reader_replace(end);
		break;
	case 9:
		if (below(8) == 0) {
			end_close(end);
			end_open(end);
		}
		break;
	default:
		turn_some();
	}
}

/* All that was put in is out, on every end; whoever reads still waits. */
static void settle(void)
{
	struct end *end;

	for (end = ends; end < ends + ENDS; end++) {
		while (end->in_got < end->in_put)
			apus_turn(main_loop);
		while (end->out_got < end->out_put) {
			peer_read(end);
			apus_turn(main_loop);
		}
		while (end->writer_lives)
			apus_turn(main_loop);
		ck_assert_uint_eq(end->in_got, end->in_put);
		ck_assert_uint_eq(end->out_done, end->out_put);
		ck_assert(!end->ended);
	}
}

static void run(void (*change)(struct apus_config *config))
{
	int i;

	random_state = test_random_init(test_seed());
	loop_open_with(change);
	for (i = 0; i < ENDS; i++)
		end_open(&ends[i]);
	for (i = 0; i < STEPS; i++) {
		step();
		if (below(50) == 0)
			settle();
	}
	settle();
	for (i = 0; i < ENDS; i++) { /* the end comes after the last byte */
		peer_write(&ends[i]);
		ck_assert_int_eq(shutdown(ends[i].theirs, SHUT_WR), 0);
		while (!ends[i].ended)
			apus_turn(main_loop);
		ck_assert_uint_eq(ends[i].in_got, ends[i].in_put);
		end_close(&ends[i]);
	}
	ck_assert_uint_eq(apusi_io_socket_count(loop_io()), 0);
	ck_assert_uint_eq(apusi_io_hot_count(loop_io()), 0);
	ck_assert(apusi_io_is_idle(loop_io()));
	loop_close();
}

static void small_budget(struct apus_config *config)
{
	config->io_budget = 2;
	config->socket_count = ENDS + 2;
	config->io_interval_turns = 3;
}

START_TEST(no_byte_is_lost_in_any_traffic)
{
	run(NULL);
}
END_TEST

START_TEST(no_byte_is_lost_where_events_are_taken_two_at_a_time)
{
	run(small_budget);
}
END_TEST

TEST_MAIN("io", no_byte_is_lost_in_any_traffic, no_byte_is_lost_where_events_are_taken_two_at_a_time)
