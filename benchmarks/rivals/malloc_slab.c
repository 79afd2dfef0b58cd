/*
 * malloc and free of a slot's size, of the C library that the bench is linked with.
 */
#include "../bench_slab.h"

#include <stdlib.h>

static void hot(struct bench *b)
{
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			void *slot = malloc(SLAB_SLOT_BYTES);

			bench_use(slot);
			free(slot);
		}
		bench_sample(b, b->batch);
	}
}
BENCH_ENTRANT(slab_hot_malloc, .row = "slab/claim_release/hot", .who = "malloc", .run = hot);

static void deep(struct bench *b)
{
	void *held[SLAB_COUNT];

	while (bench_more(b)) {
		for (uint32_t i = 0; i < SLAB_COUNT; i++) {
			held[i] = malloc(SLAB_SLOT_BYTES);
			if (held[i] == NULL)
				abort();
			slab_slot_write(held[i]);
		}
		for (uint32_t i = 0; i < SLAB_COUNT; i++)
			free(held[i]);
		bench_sample(b, SLAB_COUNT);
	}
}
BENCH_ENTRANT(slab_deep_malloc, .row = "slab/claim_release/deep", .who = "malloc", .run = deep);
