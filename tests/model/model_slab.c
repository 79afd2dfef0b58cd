/*
 * Random claims and releases against a twin that remembers everything: which slots are
 * live, in which order the others were released, and every byte of every slot.
 */
#include "apus/slab.h"
#include "test.h"

enum { ROUNDS = 60, STEPS = 4000, SLOTS_MAX = 200 * 8, BYTES_MAX = 300 };

struct twin {
	struct apus_slab slab;
	struct apus_slab_config config;
	uint32_t capacity;
	uint32_t used;
	uint32_t free[SLOTS_MAX], free_count; /* the last released last */
	uint32_t live[SLOTS_MAX], live_count;
	void *address[SLOTS_MAX];
	unsigned char bytes[SLOTS_MAX][BYTES_MAX];
};

static void config_draw(struct twin *twin, struct test_random *random)
{
	static const size_t aligns[] = { 0, 1, 8, 16, 64, 256 };
	struct apus_slab_config *config = &twin->config;

	memset(twin, 0, sizeof *twin);
	config->slot_bytes = 1 + test_random_below(random, BYTES_MAX);
	config->slot_align = aligns[test_random_below(random, 6)];
	config->slot_count = 1 + (uint32_t)test_random_below(random, 200);
	config->chunk_max = (uint32_t)test_random_below(random, 9);
	config->prefault = test_random_below(random, 4) == 0;
	config->huge_try = test_random_below(random, 8) == 0;
	twin->capacity = config->slot_count * (config->chunk_max ? config->chunk_max : 1);
}

/* The bytes that a slot keeps: all of a live one, all but eight of a free one. */
static void slot_verify(const struct twin *twin, uint32_t index, size_t from)
{
	const unsigned char *slot = twin->address[index];

	if (from < twin->config.slot_bytes)
		ck_assert_mem_eq(slot + from, twin->bytes[index] + from,
			twin->config.slot_bytes - from);
}

static void twin_claim(struct twin *twin, struct test_random *random)
{
	unsigned char *slot = apus_slab_claim(&twin->slab);
	uint32_t index;
	size_t byte;

	if (twin->free_count == 0 && twin->used == twin->capacity) {
		ck_assert_ptr_null(slot);
		return;
	}
	ck_assert_ptr_nonnull(slot);
	index = twin->free_count > 0 ? twin->free[--twin->free_count] : twin->used++;
	ck_assert_uint_eq(apus_slab_index(&twin->slab, slot), index);
	ck_assert(twin->address[index] == NULL || twin->address[index] == slot);
	twin->address[index] = slot;
	slot_verify(twin, index, 8);
	for (byte = 0; byte < twin->config.slot_bytes; byte++)
		slot[byte] = twin->bytes[index][byte] = (unsigned char)test_random_next(random);
	twin->live[twin->live_count++] = index;
}

static void twin_release(struct twin *twin, struct test_random *random)
{
	uint32_t at, index;

	if (twin->live_count == 0)
		return;
	at = (uint32_t)test_random_below(random, twin->live_count);
	index = twin->live[at];
	slot_verify(twin, index, 0);
	apus_slab_release(&twin->slab, twin->address[index]);
	twin->live[at] = twin->live[--twin->live_count];
	twin->free[twin->free_count++] = index;
}

static void counts_verify(const struct twin *twin)
{
	uint32_t chunks = (twin->used + twin->config.slot_count - 1) / twin->config.slot_count;

	ck_assert_uint_eq(twin->slab.live_count, twin->live_count);
	ck_assert_uint_eq(twin->slab.used_count, twin->used);
	ck_assert_uint_eq(twin->slab.capacity, twin->capacity);
	ck_assert_uint_eq(twin->slab.chunk_count, chunks > 0 ? chunks : 1);
}

static void all_verify(const struct twin *twin)
{
	uint32_t i;

	for (i = 0; i < twin->live_count; i++)
		slot_verify(twin, twin->live[i], 0);
	for (i = 0; i < twin->free_count; i++)
		slot_verify(twin, twin->free[i], 8);
	for (i = 0; i < twin->used; i++)
		ck_assert_ptr_eq(apus_slab_at(&twin->slab, i), twin->address[i]);
}

/* Claims prevail in one half of the round and releases in the other, so both ends are seen. */
static void round_run(struct twin *twin, struct test_random *random)
{
	int step;

	config_draw(twin, random);
	ck_assert_int_eq(apus_slab_init(&twin->slab, &twin->config), 0);
	for (step = 0; step < STEPS; step++) {
		if (test_random_below(random, 10) < (step < STEPS / 2 ? 7u : 3u))
			twin_claim(twin, random);
		else
			twin_release(twin, random);
		counts_verify(twin);
		if (step % 500 == 0)
			all_verify(twin);
	}
	all_verify(twin);
	apus_slab_deinit(&twin->slab);
}

START_TEST(random_claims_and_releases_agree_with_the_twin)
{
	static struct twin twin;
	struct test_random random = test_random_init(test_seed());

	for (int i = 0; i < ROUNDS; i++)
		round_run(&twin, &random);
}
END_TEST

TEST_MAIN("slab", random_claims_and_releases_agree_with_the_twin)
