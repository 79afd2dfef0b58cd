/*
 * channel.h - programs of senders and receivers on a channel: from outside and by tasks, one
 * message or several, with time-outs and selects, closed, aborted, and deinitialised while
 * tasks wait.  A target declares CHANNEL(name, type, capacity), names the verbs by CH(verb),
 * says how to DEINIT(channel, messages left), from which FIRSTS to count and whether senders
 * wait in a LINE that nobody passes by, and includes this.
 *
 * Messages are numbers in a row, drawn when they are asked for.  So no message is lost,
 * doubled or overtaken if each that is received is the next (promises 3 and 11).
 */
#include "loop.h"

enum { CAPACITY = 4, ACTORS = 5, BATCH = 6, TURNS_MAX = 20000 };

CHANNEL(letters, uint64_t, CAPACITY)

static struct {
	struct fuzz_program program;
	struct apus_loop *loop;
	struct letters *letters;
	uint64_t sent, received;
	struct apus_join joins[ACTORS];
	bool is_alive[ACTORS];
	bool waits_to_send[ACTORS], waits_to_recv[ACTORS]; /* as their last polls ended */
	bool is_closed, is_gone, found_no_room, found_nothing;
} world;

static unsigned below(unsigned bound)
{
	return fuzz_below(&world.program, bound);
}

/* ---- what must hold of each answer -------------------------------------------------------- */

static bool is_any(const bool *flags)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (flags[i])
			return true;
	return false;
}

static uint64_t letter(void)
{
	FUZZ_MUST(!world.is_closed);
	return world.sent++;
}

/* Refused, or told to wait: it is full, or somebody is in front. */
static void check_send(int64_t got, uint64_t before)
{
	bool is_full = before - world.received == CAPACITY;

	FUZZ_MUST(world.sent == before + (got > 0 ? (uint64_t)got : 0));
	FUZZ_MUST(world.sent - world.received <= CAPACITY);
	if (got == -EAGAIN || got == APUS_PENDING)
		FUZZ_MUST(is_full || (LINE && is_any(world.is_alive)));
	else if (got < 0)
		FUZZ_MUST((got == -EPIPE && world.is_closed) || (got == -EBUSY && !LINE) ||
			got == -ENOBUFS);
}

static void check_recv(int64_t got, const uint64_t *messages)
{
	int64_t i;

	for (i = 0; i < got; i++)
		FUZZ_MUST(world.received < world.sent && messages[i] == world.received++);
	if (got == -EAGAIN || got == APUS_PENDING)
		FUZZ_MUST(world.received == world.sent && !world.is_closed);
	else if (got == -EPIPE && !world.is_gone)
		FUZZ_MUST(world.received == world.sent && world.is_closed);
	else if (got < 0)
		FUZZ_MUST(got == -EBUSY || got == -ENOBUFS || got == -EPIPE);
}

/* After a turn that found nothing to do: nobody waits for what is there. */
static void check_rest(void)
{
	uint64_t count = world.sent - world.received;

	FUZZ_MUST(!is_any(world.waits_to_send) || (count == CAPACITY && !world.is_closed));
	FUZZ_MUST(!is_any(world.waits_to_recv) || (count == 0 && !world.is_closed));
}

static void turn(void)
{
	if (apus_turn(world.loop) == 0 && !world.is_gone)
		check_rest();
}

/* ---- from outside ---------------------------------------------------------------------------- */

static void try_send(void)
{
	uint64_t before = world.sent, batch[BATCH], room, i;
	unsigned count = below(BATCH + 1);
	int64_t got;

	if (count <= 1) {
		got = CH(try_send)(world.letters, letter());
		got = got == 0 ? 1 : got;
	} else {
		for (i = 0; i < count; i++)
			batch[i] = before + i;
		got = CH(try_send_many)(world.letters, batch, count);
		world.sent += got > 0 ? (uint64_t)got : 0;
		room = CAPACITY - (before - world.received);
		FUZZ_MUST(got <= 0 || (uint64_t)got == (count < room ? count : room));
	}
	check_send(got, before);
	if (LINE && is_any(world.waits_to_send))
		FUZZ_MUST(got == (world.is_closed ? -EPIPE : -EAGAIN));
}

static void try_recv(void)
{
	unsigned count = below(BATCH + 1);
	uint64_t batch[BATCH], there = world.sent - world.received;
	int64_t got;

	if (count <= 1) {
		got = CH(try_recv)(world.letters, &batch[0]);
		got = got == 0 ? 1 : got;
	} else {
		got = CH(try_recv_many)(world.letters, batch, count);
		FUZZ_MUST(got <= 0 || (uint64_t)got == (count < there ? count : there));
	}
	check_recv(got, batch);
}

/* ---- awaited ------------------------------------------------------------------------------------ */

static apus_poll sent(struct apus_cx *cx)
{
	uint64_t before = world.sent;
	apus_poll got = CH(send)(cx, world.letters, letter());

	check_send(got == 0 ? 1 : got, before);
	world.found_no_room = got == APUS_PENDING;
	return got;
}

static apus_poll received(struct apus_cx *cx)
{
	uint64_t message = UINT64_MAX;
	apus_poll got = CH(recv)(cx, world.letters, &message);

	check_recv(got == 0 ? 1 : got, &message);
	world.found_nothing = got == APUS_PENDING;
	return got;
}

static apus_poll received_many(struct apus_cx *cx)
{
	uint64_t batch[3];
	apus_poll got = CH(recv_many)(cx, world.letters, batch, 3);

	check_recv(got, batch);
	world.found_nothing = got == APUS_PENDING;
	return got;
}

struct actor {
	struct apus_frame frame;
	unsigned id;
	int64_t ns;
	apus_poll value;
};

static void actor_cleanup(struct apus_cx *cx, struct actor *self)
{
	(void)cx;
	world.is_alive[self->id] = false;
}

static apus_poll actor_body(struct apus_cx *cx, struct actor *self);

APUS_TASK(actor, struct actor, actor_cleanup)
{
	apus_poll got;

	world.found_no_room = world.found_nothing = false;
	got = actor_body(cx, self);
	world.waits_to_send[self->id] = got == APUS_PENDING && world.found_no_room;
	world.waits_to_recv[self->id] = got == APUS_PENDING && world.found_nothing;
	return got;
}

static apus_poll actor_body(struct apus_cx *cx, struct actor *self)
{
	APUS_BEGIN(cx, self);
	while (!world.is_gone && fuzz_has_more(&world.program)) {
		world.found_no_room = world.found_nothing = false;
		self->ns = 1 + below(8) * 100;
		switch (below(7)) {
		case 0:
			APUS_WAIT(apus_timeout(cx, self->ns, sent(cx)));
			break;
		case 1:
			APUS_WAIT(apus_timeout(cx, self->ns, received(cx)));
			break;
		case 2:
			APUS_WAIT(APUS_SELECT(self->value, sent(cx), received(cx),
				apus_sleep(cx, self->ns)));
			break;
		case 3:
			APUS_WAIT(APUS_SELECT(self->value, received_many(cx), sent(cx),
				apus_sleep(cx, self->ns)));
			break;
		case 4:
			APUS_WAIT(apus_yield(cx));
			break;
		case 5:
			APUS_WAIT(apus_timeout(cx, self->ns, received_many(cx)));
			break;
		default:
			return 0;
		}
	}
	APUS_END(0);
}

static void spawn_one(void)
{
	struct actor init = { .id = below(ACTORS) };
	int err;

	if (world.is_alive[init.id])
		return;
	err = apus_spawn_slab(world.loop, actor, &init, &world.joins[init.id]);
	FUZZ_MUST(err == 0 || err == -ENOSPC);
	if (err)
		return;
	FUZZ_MUST(apus_detach(world.loop, world.joins[init.id]) == 0);
	world.is_alive[init.id] = true;
}

static void step(void)
{
	unsigned id;

	switch (below(10)) {
	case 0: case 1:
		try_send();
		break;
	case 2: case 3:
		try_recv();
		break;
	case 4: case 5:
		spawn_one();
		break;
	case 6:
		id = below(ACTORS);
		world.waits_to_send[id] = world.waits_to_recv[id] = false;
		if (world.is_alive[id])
			FUZZ_MUST(apus_abort(world.loop, world.joins[id]) >= 0);
		break;
	case 7:
		if (below(16) == 15) {
			CH(close)(world.letters);
			world.is_closed = true;
		}
		break;
	default:
		turn();
	}
}

/* ---- the end --------------------------------------------------------------------------------------- */

static void run_down(void)
{
	unsigned turns = 0;

	while (is_any(world.is_alive)) {
		FUZZ_MUST(turns++ < TURNS_MAX);
		turn();
	}
}

/* Its memory goes at once: whoever waits is told, and does not look at it. */
static void drop(void)
{
	struct apus_counters counters;
	unsigned told = 0, i;

	FUZZ_MUST(CH(length)(world.letters) == world.sent - world.received);
	FUZZ_MUST(CH(is_closed)(world.letters) == world.is_closed);
	world.is_closed = world.is_gone = true;
	for (i = 0; i < ACTORS; i++)
		told += world.waits_to_send[i] || world.waits_to_recv[i];
	DEINIT(world.letters, world.sent - world.received);
	free(world.letters);
	apus_counters_read(world.loop, &counters);
	FUZZ_MUST(counters.tasks_ready >= told);
}

static void open_loop(unsigned how)
{
	struct apus_config config;

	/* What was aborted while it was ready keeps its slot for a while. */
	fuzz_loop_config(&config, 2 * ACTORS, 2 + how % 8, how);
	FUZZ_MUST(apus_open(&world.loop, &config) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t firsts[] = FIRSTS;

	memset(&world, 0, sizeof world);
	world.program = (struct fuzz_program){ data, size };
	open_loop(fuzz_byte(&world.program));
	world.letters = (struct letters *)aligned_alloc(APUS_CACHE_LINE, sizeof *world.letters);
	FUZZ_MUST(world.letters != NULL);
	FUZZ_MUST(CH(init_at)(world.letters,
		firsts[below(sizeof firsts / sizeof firsts[0])]) == 0);
	while (fuzz_has_more(&world.program))
		step();
	if (size % 2 == 0)
		run_down();
	drop();
	run_down();
	FUZZ_MUST(apus_close(world.loop, NULL) == 0);
	return 0;
}
