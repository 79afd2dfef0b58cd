/*
 * test_ttt_power.c - the journal of the tick-to-trade example on simulated files: the scribe is
 * ended at any step, by a power cut or by a kill, and begun again on what is left.
 *
 * What the scribe has said to be on the disk is there, each record is what was told, and what
 * is behind the last whole one is not believed.  Calls fail, take long and fall short, in the
 * weatherof the seed.
 */
#include "../../examples/ttt/scribe.h"

#include <fcntl.h>

#include "schedules.h"

enum { RING = 1 << 16, FILE_MAX = 1 << 18, BOOTS = 4, TELLS = 40 };

static struct {
	struct apus_loop *loop;
	struct test_random random;
	struct scribe scribe;
	struct apus_file file;
	uint8_t content[FILE_MAX];
	uint64_t told;    /* the next number */
	uint64_t durable; /* said to be on the disk, ever */
	/* of all schedules */
	uint64_t cuts, kills, lost, unsaid, torn, doubts, said;
} power;

static uint32_t draw(uint32_t bound)
{
	return (uint32_t)test_random_below(&power.random, bound);
}

/* Record n, whatever n: its size and bytes follow from it. */
static void record_make(uint64_t n, struct tap *tap, uint8_t *bytes)
{
	size_t size = n * 37 % 200;

	*tap = (struct tap){.now_ns = (int64_t)n, .kind = (uint8_t)(n % TAP_KINDS),
		.size = (uint16_t)size};
	for (size_t at = 0; at < size; at++)
		bytes[at] = (uint8_t)(n + at);
}

static void record_check(uint64_t n, const struct tap *tap, const uint8_t *bytes)
{
	uint8_t wanted[256];
	struct tap expected;

	record_make(n, &expected, wanted);
	expect(memcmp(tap, &expected, sizeof(expected)) == 0);
	expect(memcmp(bytes, wanted, tap->size) == 0);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void settle(void)
{
	struct apus_counters now;

	do {
		apus_turn(power.loop);
		apus_counters_read(power.loop, &now);
	} while (now.ops_in_flight != 0 || now.tasks_live != 0);
	expect(now.files_open == 0);
}

/* The task is gone, and mostly the power too, whatever they were at. */
static void end_life(struct apus_join join)
{
	bool is_cut = draw(4) != 0;

	if (is_cut)
		expect(apus_sim_power_cut(power.loop) == 0);
	power.cuts += is_cut;
	power.kills += !is_cut;
	(void)apus_abort(power.loop, join);
	(void)apus_detach(power.loop, join);
	settle();
}

/* ---- beginning again ------------------------------------------------------------------------ */

struct recovery {
	struct apus_frame frame;
	struct apus_op op;
	struct apus_file root, file;
	apus_poll got;
	size_t size, done;
	struct journal_reader reader;
};

/* What fails for once is tried again; nothing is to be lost by trying. */
#define INSIST(call)                                                                  \
	do {                                                                          \
		APUS_AWAIT(self->got, call);                                          \
		expect(self->got != -ENOSPC && self->got != -EAGAIN);                 \
	} while (self->got < 0)

static void records_read(struct recovery *self)
{
	const uint8_t *bytes;
	struct tap tap;
	int err;

	journal_open(&self->reader, power.content, self->size);
	while ((err = journal_next(&self->reader, &tap, &bytes)) == 1)
		record_check(self->reader.number - 1, &tap, bytes);
	power.torn += err < 0 || self->reader.is_cut;
}

static void recovery_end(struct apus_cx *cx, struct recovery *self)
{
	(void)apus_file_drop(cx->loop, self->root);
	(void)apus_file_drop(cx->loop, self->file);
}

/*
 * Reads what is to be believed, and writes that anew.  To cut off the rest and sync is not
 * enough: where a sync has failed before, what is read is in the page cache and nowhere else,
 * and no sync will write it.
 */
APUS_TASK(recovery, struct recovery, recovery_end)
{
	APUS_BEGIN(cx, self);
	INSIST(apus_file_open(cx, &self->op, "/", O_RDONLY, 0, &self->root));
	INSIST(apus_file_open(cx, &self->op, "/journal", O_RDONLY | O_CREAT, 0600, &self->file));
	INSIST(apus_file_read_at(cx, &self->op, self->file, power.content, FILE_MAX, 0));
	self->size = (size_t)self->got;
	expect(self->size < FILE_MAX);
	records_read(self);
	do {
		apus_file_drop(cx->loop, self->file);
		INSIST(apus_file_open(cx, &self->op, "/journal.new",
			O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600, &self->file));
		for (self->done = 0; self->done < self->reader.at; self->done += (size_t)self->got)
			INSIST(apus_file_append(cx, &self->op, self->file,
				power.content + self->done, self->reader.at - self->done));
		APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	} while (self->got < 0);
	INSIST(apus_path_rename(cx, &self->op, "/journal.new", "/journal"));
	INSIST(apus_file_sync(cx, &self->op, self->root));
	power.file = self->file;
	self->file = (struct apus_file){0};
	APUS_END((apus_poll)self->reader.number);
}

static void scribe_prepare(uint64_t number)
{
	struct scribe *scribe = &power.scribe;
	uint8_t *bytes = scribe->journal_sink.bytes;
	void *memory = scribe->memory;

	*scribe = (struct scribe){.syncs = true, .has_journal = true, .memory = memory};
	scribe->record_count = scribe->durable_count = number;
	scribe->journal_sink = (struct sink){.fd = -1, .bytes = bytes, .file = power.file};
	scribe->pcap_sink.fd = -1;
	expect(apus_ring_init(&scribe->ring, memory, RING, 0) == 0);
}

/* So many records; or -ECANCELED: it did not come to its end, after so many turns. */
static apus_poll recover(uint32_t turns)
{
	apus_poll number = -ECANCELED;
	struct apus_join join;
	int err;

	expect(apus_spawn_slab(power.loop, recovery, NULL, &join) == 0);
	while ((err = apus_try_join(power.loop, join, &number)) == -EAGAIN && turns-- > 0)
		apus_turn(power.loop);
	if (err == 0)
		return number;
	end_life(join);
	return -ECANCELED;
}

/* False: it has ended before it began. */
static bool boot(struct apus_join *scribing, uint32_t turns)
{
	apus_poll number = recover(turns);

	if (number == -ECANCELED)
		return false;
	expect(number >= 0);
	expect((uint64_t)number >= power.durable);
	expect((uint64_t)number <= power.told);
	power.lost += power.told - (uint64_t)number;
	power.unsaid += (uint64_t)number - power.durable;
	power.durable = power.told = (uint64_t)number;
	scribe_prepare(power.told);
	expect(scribe_begin(power.loop, &power.scribe, scribing) == 0);
	return true;
}

/* ---- a life, and its end ------------------------------------------------------------------------ */

static void tell(void)
{
	uint8_t bytes[256];
	struct tap tap;

	record_make(power.told, &tap, bytes);
	if (scribe_tap(&power.scribe, &tap, bytes) == 0)
		power.told++;
}

static void look(void)
{
	uint64_t durable = apus_load_acquire(&power.scribe.durable_count);

	expect(durable >= power.durable && durable <= power.told);
	power.said += durable - power.durable;
	power.durable = durable;
}

static void live(void)
{
	for (uint32_t turns = draw(300); turns > 0; turns--) {
		if (draw(TELLS) < 10)
			tell();
		apus_turn(power.loop);
		look();
	}
	power.doubts += power.scribe.is_in_doubt;
}

static void die(struct apus_join scribing)
{
	struct apus_file file = power.file;

	power.file = (struct apus_file){0};
	expect(apus_file_drop(power.loop, file) == 0);
	end_life(scribing);
	apus_ring_deinit(&power.scribe.ring);
}

/* In the end nothing fails any more, and all that is told is on the disk. */
static void retire(struct apus_join scribing)
{
	apus_poll result = -EAGAIN;

	for (uint32_t count = draw(50); count > 0; count--)
		tell();
	apus_store_release(&power.scribe.is_stopping, 1);
	while (apus_try_join(power.loop, scribing, &result) == -EAGAIN)
		apus_turn(power.loop);
	expect(result == 0 && power.scribe.error == 0);
	look();
	expect(power.durable == power.told);
	expect(apus_file_drop(power.loop, power.file) == 0);
	apus_ring_deinit(&power.scribe.ring);
	settle();
}

static struct apus_loop *open_loop(const struct apus_sim_config *sim)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.backend = APUS_IO_SIM;
	config.sim = sim;
	config.slot_count = 16;
	config.state_bytes = 512;
	config.log_fn = NULL;
#if APUS_DEBUG
	config.spurious_seed = sim->seed | 1; /* awaits are evaluated again for no reason */
#endif
	err = apus_open(&loop, &config);
	ck_assert_msg(err == 0, "open: %d: %s", err, config.reason);
	return loop;
}

static void schedule(uint64_t seed)
{
	struct apus_sim_config weather, calm;
	struct apus_join scribing;

	power.random = test_random_init(seed);
	power.told = power.durable = 0;
	apus_sim_config_rough(&weather, seed);
	apus_sim_config_init(&calm, seed);
	power.loop = open_loop(&weather);
	for (uint32_t boots = 1 + draw(BOOTS); boots > 0; boots--) {
		if (!boot(&scribing, draw(4) == 0 ? draw(60) : UINT32_MAX))
			continue;
		live();
		die(scribing);
	}
	expect(apus_sim_change(power.loop, &calm) == 0);
	expect(boot(&scribing, UINT32_MAX));
	retire(scribing);
	expect(apus_sim_power_cut(power.loop) == 0);
	expect(recover(UINT32_MAX) == (apus_poll)power.told);
	expect(apus_file_drop(power.loop, power.file) == 0);
	expect(apus_close(power.loop, NULL) == 0);
}

START_TEST(what_was_said_to_be_on_the_disk_is_there_and_nothing_torn_is_believed)
{
	uint64_t count;

	power.scribe.journal_sink.bytes = malloc(SINK_BYTES);
	expect(power.scribe.journal_sink.bytes != NULL);
	expect(posix_memalign(&power.scribe.memory, APUS_CACHE_LINE, APUS_RING_BYTES(RING)) == 0);
	count = schedules_run(400, schedule);
	printf("%" PRIu64 " schedules, %" PRIu64 " cuts, %" PRIu64 " kills, %" PRIu64
		" journals torn, %" PRIu64 " records lost, %" PRIu64 " there and never said, %" PRIu64
		" said, %" PRIu64 " syncs failed\n", count, power.cuts, power.kills, power.torn,
		power.lost, power.unsaid, power.said, power.doubts);
	/* What can come has come. */
	expect(count < 50 || (power.torn > count / 20 && power.lost > count && power.said > count &&
		power.unsaid > 0 && power.doubts > 0));
	free(power.scribe.memory);
	free(power.scribe.journal_sink.bytes);
}
END_TEST

TEST_MAIN("ttt_power", what_was_said_to_be_on_the_disk_is_there_and_nothing_torn_is_believed)
