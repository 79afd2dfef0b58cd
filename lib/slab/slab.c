#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apus/slab.h"
#include "slab/pages.h"

enum {
	ALIGN_DEFAULT = 16,
	ALIGN_MAX = 4096,
};

#define HUGE_BYTES ((size_t)2 << 20)

static int slab_fail(struct apus_slab *slab, int err, const char *reason)
{
	slab->reason = reason;
	return err;
}

/* ---- geometry ---------------------------------------------------------- */

/* Newton's iteration doubles the good bits; an odd number is its own inverse to three. */
static uint64_t inverse_of_odd(uint64_t odd)
{
	uint64_t inverse = odd;

	for (int bits = 3; bits < 64; bits *= 2)
		inverse *= 2 - odd * inverse;
	return inverse;
}

static bool round_up(size_t bytes, size_t unit, size_t *rounded)
{
	bool overflow = __builtin_add_overflow(bytes, unit - 1, rounded);

	*rounded &= ~(unit - 1);
	return !overflow;
}

static int stride_choose(struct apus_slab *slab)
{
	struct apus_slab_config *config = &slab->config;
	size_t bytes = config->slot_bytes;

	if (bytes == 0)
		return slab_fail(slab, -EINVAL, "slot_bytes is 0");
	if (config->slot_align == 0)
		config->slot_align = ALIGN_DEFAULT;
	if ((config->slot_align & (config->slot_align - 1)) != 0 || config->slot_align > ALIGN_MAX)
		return slab_fail(slab, -EINVAL, "slot_align is not a power of two up to 4096");
	if (config->slot_align < sizeof(void *))
		config->slot_align = sizeof(void *);
	if (!round_up(bytes, config->slot_align, &slab->stride))
		return slab_fail(slab, -EINVAL, "slot_bytes is beyond the address space");
	slab->stride_shift = (uint32_t)__builtin_ctzll(slab->stride);
	slab->stride_inverse = inverse_of_odd((uint64_t)slab->stride >> slab->stride_shift);
	return 0;
}

static int capacity_choose(struct apus_slab *slab)
{
	struct apus_slab_config *config = &slab->config;

	if (config->slot_count == 0)
		return slab_fail(slab, -EINVAL, "slot_count is 0");
	if (config->chunk_max == 0)
		config->chunk_max = 1;
	if (__builtin_mul_overflow(config->slot_count, config->chunk_max, &slab->capacity))
		return slab_fail(slab, -EINVAL, "slot_count x chunk_max is beyond 2^32 - 1 slots");
	return 0;
}

/* The bytes of the first `count` slots, in whole pages; false beyond the address space. */
static bool slots_bytes(const struct apus_slab *slab, uint32_t count, size_t *bytes)
{
	return !__builtin_mul_overflow(slab->stride, (size_t)count, bytes) &&
		round_up(*bytes, slab->page_bytes, bytes);
}

/* ---- memory ------------------------------------------------------------ */

/* Every page of a chunk is touched at once, and a chunk fills a huge one. */
static bool fills_huge(const struct apus_slab *slab)
{
	size_t bytes;

	return (slab->config.prefault || slab->config.lock) &&
		slots_bytes(slab, slab->config.slot_count, &bytes) && bytes >= HUGE_BYTES;
}

/* Addresses for every chunk.  They cost nothing until a chunk is opened. */
static int range_reserve(struct apus_slab *slab, size_t page_bytes, int flags)
{
	size_t align;
	void *map;

	slab->page_bytes = page_bytes;
	align = fills_huge(slab) ? HUGE_BYTES : page_bytes;
	if (!slots_bytes(slab, slab->capacity, &slab->map_bytes) ||
		__builtin_add_overflow(slab->map_bytes, align, &slab->map_bytes))
		return slab_fail(slab, -EINVAL, "slots x slot_bytes is beyond the address space");
	map = mmap(NULL, slab->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (map == MAP_FAILED)
		return slab_fail(slab, -ENOMEM, flags != 0 ? "huge_pages: the kernel has no pool"
			: "no address range of this size");
	slab->map = (unsigned char *)map;
	slab->base = slab->map + (-(uintptr_t)map & (align - 1));
	return 0;
}

static void range_free(struct apus_slab *slab)
{
	if (slab->map != NULL)
		munmap(slab->map, slab->map_bytes);
	slab->map = NULL;
	slab->base = NULL;
	slab->open_bytes = 0;
	slab->open_count = 0;
	slab->chunk_count = 0;
}

static int range_bind(struct apus_slab *slab)
{
	int err;

	if (!slab->config.numa_bind)
		return 0;
	err = apusi_pages_bind(slab->map, slab->map_bytes, slab->config.numa_node);
	if (!err)
		return 0;
	if (err == -EINVAL)
		return slab_fail(slab, -ENODEV, "numa_node: there is no such node");
	if (err == -EPERM)
		return slab_fail(slab, -EPERM, "numa_node: binding memory is not allowed here");
	return slab_fail(slab, err, "numa_node: the kernel cannot bind memory");
}

/* Fresh pages are zero already; storing zero makes them real. */
static void pages_touch(unsigned char *bytes, size_t count, size_t page_bytes)
{
	for (size_t at = 0; at < count; at += page_bytes)
		*(volatile unsigned char *)(bytes + at) = 0;
}

static int pages_lock(struct apus_slab *slab, const void *bytes, size_t count)
{
	if (mlock(bytes, count) == 0)
		return 0;
	if (errno == EPERM)
		return slab_fail(slab, -EPERM, "lock: locked memory is forbidden (RLIMIT_MEMLOCK is 0)");
	return slab_fail(slab, -ENOMEM, "lock: over the limit of locked memory (RLIMIT_MEMLOCK)");
}

/* Pages of the huge pool are taken here, or a later touch would be a SIGBUS. */
static int pages_open(struct apus_slab *slab, unsigned char *bytes, size_t count)
{
	const struct apus_slab_config *config = &slab->config;
	int err = 0;

	if (mprotect(bytes, count, PROT_READ | PROT_WRITE) != 0)
		return slab_fail(slab, -ENOMEM, "no memory");
	if (config->huge_pages && apusi_pages_populate(bytes, count) != 0)
		return slab_fail(slab, -ENOMEM, "huge_pages: the pool (vm.nr_hugepages) has too few");
	if (config->lock)
		err = pages_lock(slab, bytes, count);
	else if (config->prefault)
		pages_touch(bytes, count, (size_t)sysconf(_SC_PAGESIZE));
	/* Where the kernel had none it would move the slots later, under who uses them. */
	if (fills_huge(slab) && !config->huge_pages && !config->huge_try)
		apusi_pages_settle(bytes, count);
	return err;
}

static int chunk_open(struct apus_slab *slab)
{
	uint32_t open_count = slab->open_count + slab->config.slot_count;
	unsigned char *fresh = slab->base + slab->open_bytes;
	size_t open_bytes = 0;
	int err = 0;

	slots_bytes(slab, open_count, &open_bytes);
	if (open_bytes > slab->open_bytes)
		err = pages_open(slab, fresh, open_bytes - slab->open_bytes);
	if (err != 0)
		return err;
	slab->open_bytes = open_bytes;
	slab->open_count = open_count;
	slab->chunk_count++;
	return 0;
}

/* ---- open and close ---------------------------------------------------- */

static int range_open(struct apus_slab *slab, size_t page_bytes, int flags)
{
	int err = range_reserve(slab, page_bytes, flags);

	if (err != 0)
		return err;
	if ((slab->config.huge_try || fills_huge(slab)) && !slab->config.huge_pages)
		apusi_pages_prefer_huge(slab->map, slab->map_bytes);
	err = range_bind(slab);
	if (err == 0)
		err = chunk_open(slab);
	if (err != 0)
		range_free(slab);
	return err;
}

static int memory_open(struct apus_slab *slab)
{
	struct apus_slab_config *config = &slab->config;
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	bool may_fall_back = config->huge_try;
	int err;

	if (!config->huge_pages && !config->huge_try)
		return range_open(slab, page_bytes, 0);
	config->huge_pages = true;
	err = apusi_pages_huge_flags() == -1 ?
		slab_fail(slab, -ENOTSUP, "huge_pages: this system has no pool") :
		range_open(slab, HUGE_BYTES, apusi_pages_huge_flags());
	if (err == 0 || !may_fall_back)
		return err;
	config->huge_pages = false;
	slab->reason = NULL;
	return range_open(slab, HUGE_BYTES, 0);
}

/* A bit a slot, for the growing ones too: pages of it that are never used are never real. */
static int debug_open(struct apus_slab *slab)
{
	void *bits;

	if (!APUS_DEBUG)
		return 0;
	bits = mmap(NULL, ((size_t)slab->capacity + 63) / 64 * 8, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bits == MAP_FAILED)
		return slab_fail(slab, -ENOMEM, "no memory for the debug bits");
	slab->debug_live = (uint64_t *)bits;
	return 0;
}

int apus_slab_init(struct apus_slab *slab, const struct apus_slab_config *config)
{
	int err;

	memset(slab, 0, sizeof *slab);
	slab->config = *config;
	err = stride_choose(slab);
	if (err == 0)
		err = capacity_choose(slab);
	if (err == 0)
		err = memory_open(slab);
	if (err == 0)
		err = debug_open(slab);
	if (err != 0)
		range_free(slab);
	return err;
}

void apus_slab_deinit(struct apus_slab *slab)
{
	if (slab->debug_live != NULL)
		munmap(slab->debug_live, ((size_t)slab->capacity + 63) / 64 * 8);
	range_free(slab);
	memset(slab, 0, sizeof *slab);
}

/* ---- the cold half of claim -------------------------------------------- */

/*
 * Fresh slots are handed out one a call and never threaded ahead: a slot nobody
 * claimed has no byte written, and used_count is exact.
 */
void *apus_slab_refill(struct apus_slab *slab)
{
	unsigned char *slot;

	if (slab->used_count == slab->open_count) {
		if (slab->used_count == slab->capacity || chunk_open(slab) != 0)
			return NULL;
	}
	slot = slab->base + slab->used_count * slab->stride;
	if (slab->debug_live != NULL)
		apus_slab_debug_claim(slab, slot);
	slab->used_count++;
	slab->live_count++;
	return slot;
}

/* ---- debug ------------------------------------------------------------- */

void apus_slab_debug_claim(struct apus_slab *slab, const void *slot)
{
	uint64_t index = apus_slab_quotient(slab, slot);

	if (index >= slab->open_count)
		apus_panic(__FILE__, __LINE__, "slab: %p in the free list is not a slot "
			"(written after its release)", slot);
	if (slab->debug_live == NULL)
		return;
	if (slab->debug_live[index / 64] >> index % 64 & 1)
		apus_panic(__FILE__, __LINE__, "slab: slot %p is in the free list and in use "
			"(written after its release)", slot);
	slab->debug_live[index / 64] |= UINT64_C(1) << index % 64;
}

void apus_slab_debug_release(struct apus_slab *slab, const void *slot)
{
	uint64_t index = apus_slab_quotient(slab, slot);

	if (index >= slab->open_count)
		apus_panic(__FILE__, __LINE__, "slab: release of %p, which is not a slot", slot);
	if (slab->debug_live == NULL)
		return;
	if (!(slab->debug_live[index / 64] >> index % 64 & 1))
		apus_panic(__FILE__, __LINE__, "slab: slot %p released twice", slot);
	slab->debug_live[index / 64] &= ~(UINT64_C(1) << index % 64);
}
