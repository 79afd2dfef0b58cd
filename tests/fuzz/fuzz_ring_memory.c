/*
 * A ring in memory that others write: any bytes at all where a ring should be.  It is refused,
 * or used without a step outside; what it says is not believed.
 */
#include "apus/ring.h"
#include "fuzz.h"

const char *const fuzz_name = "ring_memory";

enum { CAPACITY = 256, STEPS = 64 };

static void use(struct apus_ring *ring, struct fuzz_program *program)
{
	const char *block = (const char *)ring->memory;
	struct apus_record record;
	struct apus_claim claim;

	for (unsigned i = 0; i < STEPS; i++) {
		switch (fuzz_below(program, 6)) {
		case 0: case 1:
			if (apus_ring_try_read(ring, &record) == 0) {
				FUZZ_MUST(fuzz_is_within(record.data, record.bytes, block,
					APUS_RING_BYTES(CAPACITY)));
				apus_ring_release(ring, &record);
			}
			break;
		case 2:
			(void)apus_ring_pass(ring);
			break;
		case 3:
			(void)apus_ring_reap(ring);
			break;
		case 4:
			if (apus_ring_try_claim(ring, 1 + fuzz_below(program, 100), &claim) == 0) {
				FUZZ_MUST(fuzz_is_within(claim.data, claim.bytes, block,
					APUS_RING_BYTES(CAPACITY)));
				memset(claim.data, 0x55, claim.bytes);
				(void)apus_ring_commit(ring, &claim);
			}
			break;
		default:
			(void)apus_ring_is_stuck(ring);
		}
	}
}

/*
 * What is there is the input's, and what is not is a good ring's, so that the way past the
 * first look is short.  The lock and its owners are left alone: a lock that nobody holds who
 * lives is taken, and one that is held by somebody who does is waited for.
 */
static void spoil(struct apus_ring_memory *memory, struct fuzz_program *program)
{
	unsigned i;

	memory->head = fuzz_number(program, 2) << 4;
	memory->tail = memory->head + (fuzz_number(program, 1) << 4);
	while (fuzz_below(program, 8) != 0) {
		struct apus_ring_hole *hole = &memory->holes[fuzz_below(program, APUS_RING_HOLES)];

		switch (fuzz_below(program, 7)) {
		case 0:
			memory->head = fuzz_number(program, 8);
			break;
		case 1:
			memory->tail = fuzz_number(program, 8);
			break;
		case 2:
			memory->hole_count = (uint32_t)fuzz_number(program, 4);
			break;
		case 3:
			hole->word = fuzz_number(program, 8);
			break;
		case 4:
			hole->at = fuzz_number(program, 8);
			break;
		case 5:
			memory->closed = fuzz_byte(program);
			break;
		default:
			memory->capacity = fuzz_number(program, 8);
		}
	}
	for (i = 0; i < CAPACITY; i++)
		((uint8_t *)(memory + 1))[i] = fuzz_byte(program);
	/* A few turns that are right. */
	for (i = fuzz_below(program, 8); i > 0; i--) {
		uint64_t at = memory->head + 16 * (uint64_t)fuzz_below(program, 16);
		uint64_t word = at | (1 + fuzz_below(program, 4));

		memcpy((char *)(memory + 1) + (at & (CAPACITY - 16)), &word, sizeof word);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_program program = { data, size };
	void *memory = aligned_alloc(APUS_CACHE_LINE, APUS_RING_BYTES(CAPACITY));
	struct apus_ring first, ring;

	FUZZ_MUST(memory != NULL);
	FUZZ_MUST(apus_ring_init(&first, memory, CAPACITY, APUS_RING_SHARED | APUS_RING_MPSC) == 0);
	spoil((struct apus_ring_memory *)memory, &program);
	if (apus_ring_attach(&ring, memory, APUS_RING_BYTES(CAPACITY)) == 0)
		use(&ring, &program);
	free(memory);
	return 0;
}
