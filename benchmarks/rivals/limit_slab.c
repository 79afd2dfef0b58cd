/*
 * The least slab: a list through the free slots, and a live count.
 *
 * Left out: growing, an index for a slot, its owner's check, any option of where the
 * memory comes from.  Kept: full is an answer, and the count.
 */
#include "../bench_slab.h"

struct slot {
	struct slot *next;
	char rest[SLAB_SLOT_BYTES - sizeof(struct slot *)];
};

struct slab {
	struct slot *free;
	uint32_t live;
};

static inline struct slot *claim(struct slab *slab)
{
	struct slot *slot = slab->free;

	if (slot == NULL)
		return NULL;
	slab->free = slot->next;
	slab->live++;
	return slot;
}

static inline void release(struct slab *slab, struct slot *slot)
{
	slot->next = slab->free;
	slab->free = slot;
	slab->live--;
}

static struct slot *slab_open(struct bench *b, struct slab *slab)
{
	struct slot *slots = bench_pages(b, SLAB_COUNT * sizeof *slots);

	slab->free = NULL;
	slab->live = SLAB_COUNT;
	for (uint32_t i = SLAB_COUNT; slots != NULL && i > 0; i--)
		release(slab, &slots[i - 1]);
	return slots;
}

static void hot(struct bench *b)
{
	struct slab slab;
	struct slot *slots = slab_open(b, &slab);

	if (slots == NULL)
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			struct slot *slot = claim(&slab);

			bench_use(slot);
			release(&slab, slot);
			bench_use(&slab);
		}
		bench_sample(b, b->batch);
	}
	bench_pages_free(slots, SLAB_COUNT * sizeof *slots);
}
BENCH_ENTRANT(slab_hot_limit, .row = "slab/claim_release/hot", .who = "limit", .run = hot);

static void deep(struct bench *b)
{
	struct slot *held[SLAB_COUNT];
	struct slab slab;
	struct slot *slots = slab_open(b, &slab);

	if (slots == NULL)
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < SLAB_COUNT; i++) {
			held[i] = claim(&slab);
			slab_slot_write(held[i]);
		}
		for (uint32_t i = 0; i < SLAB_COUNT; i++)
			release(&slab, held[i]);
		bench_sample(b, SLAB_COUNT);
	}
	bench_use(&slab);
	bench_pages_free(slots, SLAB_COUNT * sizeof *slots);
}
BENCH_ENTRANT(slab_deep_limit, .row = "slab/claim_release/deep", .who = "limit", .run = deep);
