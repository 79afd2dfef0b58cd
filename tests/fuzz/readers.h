/*
 * readers.h - programs of one writer and several readers, from outside and by tasks.  A target
 * declares CHANNEL(name, type), names the verbs by RD(verb), and says by check_recv what a
 * reader may be answered that has seen all up to `next` of `published` numbers in a row.
 */

enum { READERS = 4, TURNS_MAX = 20000 };

CHANNEL(numbers, uint64_t)

struct place {
	struct numbers_reader reader;
	uint64_t next, missed; /* what it has yet to see; what it will not see any more */
};

static struct {
	struct fuzz_program program;
	struct apus_loop *loop;
	struct numbers *numbers;
	uint64_t published;
	struct place places[READERS];
	struct apus_join joins[READERS];
	bool is_alive[READERS];
	bool is_closed, is_gone;
} world;

static unsigned below(unsigned bound)
{
	return fuzz_below(&world.program, bound);
}

static void begin(struct place *place);
static void check_recv(struct place *place, int64_t got, uint64_t message);

/* ---- the writer ------------------------------------------------------------------------------ */

static uint64_t number(void)
{
	FUZZ_MUST(!world.is_closed);
	return world.published++;
}

static void publish(void)
{
	uint64_t before = world.published;
	int err = RD(publish)(world.numbers, number());

	FUZZ_MUST(err == (world.is_closed ? -EPIPE : 0) && world.published == before + (err == 0));
	FUZZ_MUST(RD(count)(world.numbers) == world.published);
}

/* ---- readers ----------------------------------------------------------------------------------- */

static void try_recv(struct place *place)
{
	uint64_t message = UINT64_MAX;
	int got = RD(try_recv)(&place->reader, &message);

	check_recv(place, got, message);
}

static apus_poll received(struct apus_cx *cx, struct place *place)
{
	uint64_t message = UINT64_MAX;
	apus_poll got = RD(recv)(cx, &place->reader, &message);

	check_recv(place, got == APUS_PENDING ? -EAGAIN : got, message);
	return got;
}

struct actor {
	struct apus_frame frame;
	unsigned id, other;
	int64_t ns;
	apus_poll value;
};

static void actor_cleanup(struct apus_cx *cx, struct actor *self)
{
	(void)cx;
	world.is_alive[self->id] = false;
}

APUS_TASK(actor, struct actor, actor_cleanup)
{
	struct place *place = &world.places[self->id];

	APUS_BEGIN(cx, self);
	while (!world.is_gone && fuzz_has_more(&world.program)) {
		self->ns = 1 + below(8) * 100;
		switch (below(4)) {
		case 0:
			APUS_WAIT(apus_timeout(cx, self->ns, received(cx, place)));
			break;
		case 1:
			APUS_WAIT(APUS_SELECT(self->value, received(cx, place),
				apus_sleep(cx, self->ns)));
			break;
		case 2:
			APUS_WAIT(apus_yield(cx));
			break;
		default:
			return 0;
		}
	}
	APUS_END(0);
}

static void spawn_one(unsigned id)
{
	struct actor init = { .id = id };
	int err;

	if (world.is_alive[id])
		return;
	err = apus_spawn_slab(world.loop, actor, &init, &world.joins[id]);
	FUZZ_MUST(err == 0 || err == -ENOSPC);
	if (err)
		return;
	FUZZ_MUST(apus_detach(world.loop, world.joins[id]) == 0);
	world.is_alive[id] = true;
}

static void step(void)
{
	unsigned id;

	switch (below(9)) {
	case 0: case 1: case 2:
		publish();
		break;
	case 3:
		try_recv(&world.places[below(READERS)]);
		break;
	case 4:
		spawn_one(below(READERS));
		break;
	case 5:
		id = below(READERS);
		if (world.is_alive[id])
			FUZZ_MUST(apus_abort(world.loop, world.joins[id]) >= 0);
		else
			begin(&world.places[id]);
		break;
	case 6:
		if (below(16) == 15) {
			RD(close)(world.numbers);
			world.is_closed = true;
		}
		break;
	default:
		apus_turn(world.loop);
	}
}

/* ---- the end --------------------------------------------------------------------------------------- */

static bool someone_lives(void)
{
	for (unsigned i = 0; i < READERS; i++)
		if (world.is_alive[i])
			return true;
	return false;
}

static void run_down(void)
{
	unsigned turns = 0;

	while (someone_lives()) {
		FUZZ_MUST(turns++ < TURNS_MAX);
		apus_turn(world.loop);
	}
}

static void open_loop(unsigned how)
{
	struct apus_config config;

	/* What was aborted while it was ready keeps its slot for a while. */
	fuzz_loop_config(&config, 2 * READERS, 1 + how % 4, how);
	FUZZ_MUST(apus_open(&world.loop, &config) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t firsts[] = { 0, UINT64_C(0xfffffffe), UINT64_C(0x7ffffffffffffffe),
		UINT64_MAX - 1 };
	unsigned i;

	memset(&world, 0, sizeof world);
	world.program = (struct fuzz_program){ data, size };
	open_loop(fuzz_byte(&world.program));
	world.numbers = (struct numbers *)aligned_alloc(APUS_CACHE_LINE, sizeof *world.numbers);
	FUZZ_MUST(world.numbers != NULL);
	FUZZ_MUST(RD(init_at)(world.numbers, firsts[below(4)], 0) == 0);
	for (i = 0; i < READERS; i++)
		begin(&world.places[i]);
	while (fuzz_has_more(&world.program))
		step();
	if (size % 2 == 0)
		run_down();
	/* Its memory goes at once: whoever waits is told, and does not look at it. */
	FUZZ_MUST(RD(is_closed)(world.numbers) == world.is_closed);
	world.is_closed = world.is_gone = true;
	FUZZ_MUST(RD(deinit)(world.numbers) == 0);
	free(world.numbers);
	run_down();
	FUZZ_MUST(apus_close(world.loop, NULL) == 0);
	return 0;
}
