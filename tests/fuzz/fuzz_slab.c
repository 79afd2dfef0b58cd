/*
 * Claims and releases of a slab against a list of what is free: full is NULL, slots never
 * move, a slot keeps its bytes until it is another's, and what is no slot is known as none.
 */
#include "apus/slab.h"
#include "fuzz.h"

const char *const fuzz_name = "slab";

enum { SLOTS_MAX = 64, BYTES_MAX = 80 };

struct run {
	struct apus_slab slab;
	struct apus_slab_config config;
	struct fuzz_program program;
	uint32_t capacity, used;
	uint32_t free[SLOTS_MAX], free_count; /* the last released last */
	bool is_live[SLOTS_MAX];
	unsigned char *address[SLOTS_MAX];
	unsigned char bytes[SLOTS_MAX]; /* what each was filled with */
};

static struct run run;

static bool has_bytes(uint32_t index, size_t from)
{
	for (size_t i = from; i < run.config.slot_bytes; i++)
		if (run.address[index][i] != run.bytes[index])
			return false;
	return true;
}

static void claim(void)
{
	unsigned char *slot = apus_slab_claim(&run.slab);
	uint32_t index;

	if (run.free_count == 0 && run.used == run.capacity) {
		FUZZ_MUST(slot == NULL);
		return;
	}
	index = run.free_count > 0 ? run.free[--run.free_count] : run.used++;
	FUZZ_MUST(slot != NULL && apus_slab_owns(&run.slab, slot));
	FUZZ_MUST(apus_slab_index(&run.slab, slot) == index);
	FUZZ_MUST(apus_slab_at(&run.slab, index) == slot);
	FUZZ_MUST(run.address[index] == NULL || run.address[index] == slot);
	run.address[index] = slot;
	FUZZ_MUST(has_bytes(index, 8));
	run.bytes[index] = fuzz_byte(&run.program);
	memset(slot, run.bytes[index], run.config.slot_bytes);
	run.is_live[index] = true;
}

static void release(void)
{
	uint32_t index = fuzz_below(&run.program, SLOTS_MAX);

	if (!run.is_live[index])
		return;
	FUZZ_MUST(has_bytes(index, 0));
	apus_slab_release(&run.slab, run.address[index]);
	run.is_live[index] = false;
	run.free[run.free_count++] = index;
}

/* Addresses within the slab that are no slot's. */
static void ask_about_none(void)
{
	uint32_t index = fuzz_below(&run.program, SLOTS_MAX);
	size_t offset = fuzz_below(&run.program, 255) + 1;

	if (run.address[index] != NULL && offset % run.slab.stride != 0)
		FUZZ_MUST(!apus_slab_owns(&run.slab, run.address[index] + offset));
	FUZZ_MUST(apus_slab_at(&run.slab, run.slab.open_count + index) == NULL);
	FUZZ_MUST(!apus_slab_owns(&run.slab, (const void *)((uintptr_t)run.slab.base +
		(size_t)(run.slab.open_count + index) * run.slab.stride)));
	FUZZ_MUST(!apus_slab_owns(&run.slab,
		(const void *)((uintptr_t)run.slab.base - run.slab.stride)));
	FUZZ_MUST(!apus_slab_owns(&run.slab, &run) && !apus_slab_owns(&run.slab, NULL));
}

static void check(void)
{
	uint32_t i;

	FUZZ_MUST(run.slab.capacity == run.capacity && run.slab.used_count == run.used);
	FUZZ_MUST(run.slab.live_count == run.used - run.free_count);
	for (i = 0; i < run.used; i++)
		FUZZ_MUST(apus_slab_at(&run.slab, i) == run.address[i]);
	for (i = 0; i < run.free_count; i++)
		FUZZ_MUST(has_bytes(run.free[i], 8));
}

static int draw_and_init(void)
{
	static const size_t aligns[] = { 0, 1, 8, 16, 64, 3, 4096, 8192 };
	struct apus_slab_config *config = &run.config;

	config->slot_bytes = fuzz_below(&run.program, BYTES_MAX + 1);
	config->slot_align = aligns[fuzz_below(&run.program, 8)];
	config->slot_count = fuzz_below(&run.program, 9);
	config->chunk_max = fuzz_below(&run.program, 9);
	config->prefault = fuzz_below(&run.program, 4) == 1;
	config->huge_try = fuzz_below(&run.program, 16) == 1;
	run.capacity = config->slot_count * (config->chunk_max != 0 ? config->chunk_max : 1);
	return apus_slab_init(&run.slab, config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&run, 0, sizeof run);
	run.program = (struct fuzz_program){ data, size };
	if (draw_and_init() != 0) {
		FUZZ_MUST(run.config.slot_bytes == 0 || run.config.slot_count == 0 ||
			run.config.slot_align == 3 || run.config.slot_align == 8192);
		FUZZ_MUST(apus_slab_reason(&run.slab)[0] != '\0');
		apus_slab_deinit(&run.slab);
		return 0;
	}
	while (fuzz_has_more(&run.program)) {
		switch (fuzz_below(&run.program, 4)) {
		case 0: case 1:
			claim();
			break;
		case 2:
			release();
			break;
		default:
			ask_about_none();
		}
	}
	check();
	apus_slab_deinit(&run.slab);
	return 0;
}
