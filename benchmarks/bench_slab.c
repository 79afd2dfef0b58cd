/*
 * Question   what does a slot cost, claimed and released?
 * Unit       ns a claim and release pair, the live count kept.
 *            hot: the same slot again and again.
 *            deep: 1000 slots claimed, then released in the order of claiming.
 * Rival      rivals/limit_slab.c; malloc and free of the same size.
 * Not shown  the first claim of a slot, and a slab colder than the L2 cache.
 */
#include "bench_slab.h"

#include "apus/slab.h"

#include <string.h>

BENCH_ROW(slab_hot, .name = "slab/claim_release/hot", .unit = "ns", .batch = SLAB_COUNT);
BENCH_ROW(slab_deep, .name = "slab/claim_release/deep", .unit = "ns", .batch = SLAB_COUNT);

static int slab_open(struct bench *b, struct apus_slab *slab)
{
	struct apus_slab_config config = {
		.slot_bytes = SLAB_SLOT_BYTES, .slot_count = SLAB_COUNT, .prefault = true,
	};
	int err = apus_slab_init(slab, &config);

	if (err != 0)
		bench_fail(b, "apus_slab_init: %s: %s", strerror(-err), apus_slab_reason(slab));
	return err;
}

static void hot(struct bench *b)
{
	struct apus_slab slab;

	if (slab_open(b, &slab) != 0)
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			void *slot = apus_slab_claim(&slab);

			bench_use(slot);
			apus_slab_release(&slab, slot);
			bench_use(&slab);
		}
		bench_sample(b, b->batch);
	}
	apus_slab_deinit(&slab);
}
BENCH_ENTRANT(slab_hot_apus, .row = "slab/claim_release/hot", .who = "apus", .run = hot);

static void deep(struct bench *b)
{
	void *held[SLAB_COUNT];
	struct apus_slab slab;

	if (slab_open(b, &slab) != 0)
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < SLAB_COUNT; i++) {
			held[i] = apus_slab_claim(&slab);
			slab_slot_write(held[i]);
		}
		for (uint32_t i = 0; i < SLAB_COUNT; i++)
			apus_slab_release(&slab, held[i]);
		bench_sample(b, SLAB_COUNT);
	}
	apus_slab_deinit(&slab);
}
BENCH_ENTRANT(slab_deep_apus, .row = "slab/claim_release/deep", .who = "apus", .run = deep);
