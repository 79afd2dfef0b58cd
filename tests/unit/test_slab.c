#include "apus/slab.h"
#include "test.h"

#include <sys/syscall.h>

enum { SLOT_BYTES = 72, SLOT_COUNT = 100, POLICY_BIND = 2, POLICY_OF_ADDRESS = 2 };

static const struct apus_slab_config plain = { .slot_bytes = SLOT_BYTES, .slot_count = SLOT_COUNT };
static const struct apus_slab_config growing = {
	.slot_bytes = SLOT_BYTES, .slot_count = SLOT_COUNT, .chunk_max = 5,
};

static void slab_open(struct apus_slab *slab, const struct apus_slab_config *config)
{
	int err = apus_slab_init(slab, config);

	ck_assert_msg(err == 0, "init: %s: %s", strerror(-err), apus_slab_reason(slab));
}

static void *claim(struct apus_slab *slab)
{
	void *slot = apus_slab_claim(slab);

	ck_assert_ptr_nonnull(slot);
	return slot;
}

static void refused(const struct apus_slab_config *config, int err, const char *reason)
{
	struct apus_slab slab;

	ck_assert_int_eq(apus_slab_init(&slab, config), err);
	ck_assert_msg(strstr(apus_slab_reason(&slab), reason) != NULL, "the reason is \"%s\"",
		apus_slab_reason(&slab));
	ck_assert_ptr_null(apus_slab_at(&slab, 0));
	apus_slab_deinit(&slab);
}

/* ---- what init refuses ---------------------------------------------------- */

START_TEST(a_slot_of_no_bytes_is_refused)
{
	refused(&(struct apus_slab_config){ .slot_count = 1 }, -EINVAL, "slot_bytes");
}
END_TEST

START_TEST(a_slab_of_no_slots_is_refused)
{
	refused(&(struct apus_slab_config){ .slot_bytes = 64 }, -EINVAL, "slot_count");
}
END_TEST

START_TEST(size_times_count_beyond_the_address_space_is_refused)
{
	struct apus_slab_config config = { .slot_bytes = SIZE_MAX / 16, .slot_count = 17 };

	refused(&config, -EINVAL, "slot_bytes");
	config.slot_bytes = SIZE_MAX;
	refused(&config, -EINVAL, "slot_bytes");
	config.slot_bytes = SIZE_MAX / 2; /* the product wraps to something small */
	config.slot_count = 2;
	refused(&config, -EINVAL, "slot_bytes");
}
END_TEST

START_TEST(more_slots_than_an_index_names_are_refused)
{
	refused(&(struct apus_slab_config){ .slot_bytes = 8, .slot_count = 1u << 16,
			.chunk_max = 1u << 16 }, -EINVAL, "slot_count");
}
END_TEST

START_TEST(an_alignment_that_is_none_is_refused)
{
	struct apus_slab_config config = plain;

	config.slot_align = 24;
	refused(&config, -EINVAL, "slot_align");
	config.slot_align = 8192;
	refused(&config, -EINVAL, "slot_align");
}
END_TEST

START_TEST(more_memory_than_there_is_is_refused)
{
	refused(&(struct apus_slab_config){ .slot_bytes = (size_t)1 << 56, .slot_count = 1 },
		-ENOMEM, "address range");
}
END_TEST

/* ---- claim and release ------------------------------------------------------ */

START_TEST(claim_on_a_full_slab_is_null_and_harmless)
{
	struct apus_slab slab;
	void *last = NULL;
	int i;

	slab_open(&slab, &plain);
	for (i = 0; i < SLOT_COUNT; i++)
		last = claim(&slab);
	for (i = 0; i < 3; i++)
		ck_assert_ptr_null(apus_slab_claim(&slab));
	ck_assert_uint_eq(slab.live_count, SLOT_COUNT);
	apus_slab_release(&slab, last);
	ck_assert_ptr_eq(apus_slab_claim(&slab), last);
	ck_assert_ptr_null(apus_slab_claim(&slab));
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(the_last_released_is_the_first_claimed)
{
	struct apus_slab slab;
	void *a, *b, *c;

	slab_open(&slab, &plain);
	a = claim(&slab);
	b = claim(&slab);
	c = claim(&slab);
	apus_slab_release(&slab, b);
	apus_slab_release(&slab, c);
	apus_slab_release(&slab, a);
	ck_assert_ptr_eq(claim(&slab), a);
	ck_assert_ptr_eq(claim(&slab), c);
	ck_assert_ptr_eq(claim(&slab), b);
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(fresh_slots_come_by_rising_index)
{
	struct apus_slab slab;
	uint32_t i;

	slab_open(&slab, &growing);
	for (i = 0; i < slab.capacity; i++)
		ck_assert_uint_eq(apus_slab_index(&slab, claim(&slab)), i);
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(live_counts_now_and_used_counts_the_high_water)
{
	struct apus_slab slab;
	void *a, *b;

	slab_open(&slab, &growing);
	ck_assert_uint_eq(slab.capacity, 5 * SLOT_COUNT);
	a = claim(&slab);
	b = claim(&slab);
	ck_assert_uint_eq(slab.live_count, 2);
	ck_assert_uint_eq(slab.used_count, 2);
	apus_slab_release(&slab, a);
	apus_slab_release(&slab, b);
	claim(&slab);
	ck_assert_uint_eq(slab.live_count, 1);
	ck_assert_uint_eq(slab.used_count, 2);
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(slots_do_not_overlap_and_lie_as_aligned_as_asked)
{
	static const size_t aligns[] = { 0, 1, 8, 16, 64, 4096 };
	struct apus_slab_config config = growing;
	struct apus_slab slab;
	unsigned char *slot, *before;

	for (size_t i = 0; i < sizeof aligns / sizeof *aligns; i++) {
		config.slot_align = aligns[i];
		slab_open(&slab, &config);
		before = NULL;
		while ((slot = apus_slab_claim(&slab)) != NULL) {
			ck_assert_uint_eq((uintptr_t)slot % (aligns[i] ? aligns[i] : 16), 0);
			ck_assert(before == NULL || slot - before >= SLOT_BYTES);
			memset(slot, 0xff, SLOT_BYTES);
			before = slot;
		}
		apus_slab_deinit(&slab);
	}
}
END_TEST

START_TEST(a_slot_of_one_byte_still_holds_the_free_list)
{
	const struct apus_slab_config config = { .slot_bytes = 1, .slot_align = 1, .slot_count = 3 };
	struct apus_slab slab;
	unsigned char *a, *b;

	slab_open(&slab, &config);
	a = claim(&slab);
	b = claim(&slab);
	*b = 7;
	apus_slab_release(&slab, a);
	ck_assert_int_eq(*b, 7);
	ck_assert_ptr_eq(claim(&slab), a);
	apus_slab_deinit(&slab);
}
END_TEST

/* ---- type-stable memory: promise 4 ------------------------------------------- */

START_TEST(a_released_slot_keeps_all_but_its_first_eight_bytes)
{
	struct apus_slab slab;
	unsigned char *slots[SLOT_COUNT];
	int i, byte;

	slab_open(&slab, &plain);
	for (i = 0; i < SLOT_COUNT; i++) {
		slots[i] = claim(&slab);
		memset(slots[i], i + 1, slab.stride);
	}
	for (i = 0; i < SLOT_COUNT; i++)
		apus_slab_release(&slab, slots[i]);
	for (i = 0; i < SLOT_COUNT; i++)
		for (byte = 8; byte < (int)slab.stride; byte++)
			ck_assert_int_eq(slots[i][byte], i + 1);
	for (i = SLOT_COUNT - 1; i >= 0; i--) {
		ck_assert_ptr_eq(claim(&slab), slots[i]);
		ck_assert_int_eq(slots[i][8], i + 1);
	}
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(a_slot_that_nobody_claimed_reads_as_zero)
{
	struct apus_slab slab;
	const unsigned char *slot;
	uint32_t i;
	size_t byte;

	slab_open(&slab, &plain);
	memset(claim(&slab), 0xff, slab.stride);
	for (i = 1; i < SLOT_COUNT; i++) {
		slot = apus_slab_at(&slab, i);
		for (byte = 0; byte < slab.stride; byte++)
			ck_assert_int_eq(slot[byte], 0);
		ck_assert_ptr_eq(claim(&slab), slot);
		for (byte = 0; byte < slab.stride; byte++)
			ck_assert_int_eq(slot[byte], 0);
	}
	apus_slab_deinit(&slab);
}
END_TEST

/* ---- indices -------------------------------------------------------------------- */

/* Every stride has its own inverse to multiply with. */
START_TEST(an_index_and_its_slot_name_each_other)
{
	struct apus_slab_config config = { .slot_align = 8, .slot_count = 37, .chunk_max = 3 };
	struct apus_slab slab;
	unsigned char *slot;

	for (config.slot_bytes = 8; config.slot_bytes <= 2048; config.slot_bytes += 8) {
		slab_open(&slab, &config);
		while ((slot = apus_slab_claim(&slab)) != NULL)
			ck_assert_ptr_eq(apus_slab_at(&slab, apus_slab_index(&slab, slot)), slot);
		ck_assert_ptr_eq(apus_slab_at(&slab, 0), slab.base);
		ck_assert_uint_eq(apus_slab_index(&slab, slab.base + 110 * config.slot_bytes), 110);
		apus_slab_deinit(&slab);
	}
}
END_TEST

START_TEST(an_index_beyond_the_opened_chunks_is_null)
{
	struct apus_slab slab;

	slab_open(&slab, &growing);
	ck_assert_ptr_nonnull(apus_slab_at(&slab, SLOT_COUNT - 1));
	ck_assert_ptr_null(apus_slab_at(&slab, SLOT_COUNT));
	ck_assert_ptr_null(apus_slab_at(&slab, UINT32_MAX));
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(a_slab_owns_its_slots_and_nothing_else)
{
	struct apus_slab slab, other;
	unsigned char *slot;
	size_t byte;

	slab_open(&slab, &growing);
	slab_open(&other, &growing);
	slot = claim(&slab);
	ck_assert(apus_slab_owns(&slab, slot));
	ck_assert(!apus_slab_owns(&other, slot));
	for (byte = 1; byte < slab.stride; byte++)
		ck_assert(!apus_slab_owns(&slab, slot + byte));
	ck_assert(apus_slab_owns(&slab, slab.base + (SLOT_COUNT - 1) * slab.stride));
	ck_assert(!apus_slab_owns(&slab, slab.base + SLOT_COUNT * slab.stride));
	ck_assert(!apus_slab_owns(&slab, (void *)((uintptr_t)slab.base - slab.stride)));
	ck_assert(!apus_slab_owns(&slab, &slab));
	ck_assert(!apus_slab_owns(&slab, NULL));
	apus_slab_deinit(&slab);
	apus_slab_deinit(&other);
}
END_TEST

/* ---- growing ---------------------------------------------------------------------- */

START_TEST(growing_moves_no_slot)
{
	struct apus_slab slab;
	unsigned char *slots[5 * SLOT_COUNT];
	int i;

	slab_open(&slab, &growing);
	for (i = 0; i < 5 * SLOT_COUNT; i++) {
		slots[i] = claim(&slab);
		memset(slots[i], i % 251, SLOT_BYTES);
		ck_assert_uint_eq(slab.chunk_count, i / SLOT_COUNT + 1);
	}
	for (i = 0; i < 5 * SLOT_COUNT; i++) {
		ck_assert_ptr_eq(apus_slab_at(&slab, (uint32_t)i), slots[i]);
		ck_assert_int_eq(slots[i][0], i % 251);
		ck_assert_int_eq(slots[i][SLOT_BYTES - 1], i % 251);
	}
	ck_assert_ptr_null(apus_slab_claim(&slab));
	apus_slab_deinit(&slab);
}
END_TEST

static int grow_without_memory(void)
{
	const struct rlimit none = { 4096, RLIM_INFINITY }; /* the kernel takes 0 for no limit */
	struct apus_slab_config config = { .slot_bytes = 4096, .slot_count = 512, .chunk_max = 2 };
	struct rlimit before;
	struct apus_slab slab;
	int i;

	if (apus_slab_init(&slab, &config) != 0 || getrlimit(RLIMIT_DATA, &before) != 0)
		return 1;
	for (i = 0; i < 512; i++)
		apus_slab_claim(&slab);
	if (setrlimit(RLIMIT_DATA, &none) != 0)
		return 2;
	if (apus_slab_claim(&slab) != NULL || slab.live_count != 512 || slab.chunk_count != 1)
		return 3;
	if (strstr(apus_slab_reason(&slab), "no memory") == NULL)
		return 4;
	setrlimit(RLIMIT_DATA, &before);
	return apus_slab_claim(&slab) == NULL || slab.chunk_count != 2 ? 5 : 0;
}

/* In a child, whose limits and privileges are its own. */
static int in_child(int (*call)(void))
{
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(call());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(a_slab_that_cannot_grow_says_why_and_grows_when_it_can)
{
	ck_assert_int_eq(in_child(grow_without_memory), 0);
}
END_TEST

/* ---- pages ---------------------------------------------------------------------------- */

static size_t pages_resident(const void *from, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / page, resident = 0;
	unsigned char *map = malloc(pages);

	ck_assert_ptr_nonnull(map);
	ck_assert_int_eq(mincore((void *)(uintptr_t)from, pages * page, map), 0);
	for (size_t i = 0; i < pages; i++)
		resident += map[i] & 1;
	free(map);
	return resident;
}

START_TEST(ten_million_slots_open_without_touching_a_page)
{
	const struct apus_slab_config config = { .slot_bytes = 192, .slot_count = 10000000 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct apus_slab slab;

	if (apus_slab_init(&slab, &config) == -ENOMEM)
		TEST_SKIP("no 2 GB of memory to promise: %s", apus_slab_reason(&slab));
	ck_assert_uint_eq(pages_resident(slab.base, slab.open_bytes), 0);
	memset(claim(&slab), 1, 192);
	/* One page, or what the kernel calls a huge one. */
	ck_assert_uint_le(pages_resident(slab.base, slab.open_bytes), ((size_t)2 << 20) / page);
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(prefault_touches_every_page_of_a_chunk_as_it_opens)
{
	struct apus_slab_config config = { .slot_bytes = 1000, .slot_count = 5000, .chunk_max = 2 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct apus_slab slab;
	int i;

	config.prefault = true;
	slab_open(&slab, &config);
	ck_assert_uint_eq(pages_resident(slab.base, slab.open_bytes), slab.open_bytes / page);
	for (i = 0; i <= 5000; i++)
		claim(&slab);
	ck_assert_uint_eq(slab.chunk_count, 2);
	ck_assert_uint_eq(pages_resident(slab.base, slab.open_bytes), slab.open_bytes / page);
	apus_slab_deinit(&slab);
}
END_TEST

/* A "NAME:   123 kB" of a /proc file, in bytes; -1 without such a line. */
static long proc_bytes(const char *file, const char *name)
{
	FILE *lines = fopen(file, "r");
	char line[256];
	long answer = -1;

	while (lines != NULL && fgets(line, sizeof line, lines) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			answer = strtol(line + strlen(name), NULL, 10);
	if (lines != NULL)
		fclose(lines);
	return answer < 0 ? -1 : answer * 1024;
}

static long locked_bytes(void)
{
	return proc_bytes("/proc/self/status", "VmLck:");
}

/* Sanitizers replace mlock by one that does nothing. */
static bool mlock_is_seen(void)
{
	long before = locked_bytes(), page = sysconf(_SC_PAGESIZE);
	void *memory = aligned_alloc((size_t)page, (size_t)page);
	bool seen;

	seen = memory != NULL && mlock(memory, (size_t)page) == 0 && locked_bytes() - before == page;
	munlock(memory, (size_t)page);
	free(memory);
	return seen;
}

START_TEST(lock_keeps_every_chunk_in_memory)
{
	struct apus_slab_config config = { .slot_bytes = 64, .slot_count = 1024, .chunk_max = 2 };
	long before = locked_bytes();
	struct apus_slab slab;
	int i, err;

	if (!mlock_is_seen())
		TEST_SKIP("no mlock whose effect is seen in /proc/self/status");
	config.lock = true;
	err = apus_slab_init(&slab, &config);
	if (err == -ENOMEM || err == -EPERM)
		TEST_SKIP("%s", apus_slab_reason(&slab));
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(locked_bytes() - before, 64 * 1024);
	for (i = 0; i <= 1024; i++)
		claim(&slab);
	ck_assert_int_eq(locked_bytes() - before, 2 * 64 * 1024);
	apus_slab_deinit(&slab);
	ck_assert_int_eq(locked_bytes(), before);
}
END_TEST

/* Without privileges, at the limit `bytes`: init's answer, unless the reason is missing. */
static int lock_under_limit(rlim_t bytes)
{
	struct apus_slab_config config = { .slot_bytes = 64, .slot_count = 1024, .lock = true };
	const struct rlimit limit = { bytes, bytes };
	struct apus_slab slab;
	int err;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (getuid() == 0 && setuid(65534) != 0))
		return 1;
	err = apus_slab_init(&slab, &config);
	return strstr(apus_slab_reason(&slab), "RLIMIT_MEMLOCK") == NULL ? 2 : -err;
}

static int lock_under_a_small_limit(void)
{
	return lock_under_limit(16384);
}

static int lock_under_no_limit_at_all(void)
{
	return lock_under_limit(0);
}

START_TEST(memory_that_may_not_be_locked_is_an_error_with_its_reason)
{
	int small;

	if (!mlock_is_seen())
		TEST_SKIP("no mlock whose effect is seen in /proc/self/status");
	small = in_child(lock_under_a_small_limit);
	if (small == 1)
		TEST_SKIP("no way to give up the privilege to lock memory");
	ck_assert_int_eq(small, ENOMEM);
	ck_assert_int_eq(in_child(lock_under_no_limit_at_all), EPERM);
}
END_TEST

/* ---- huge pages -------------------------------------------------------------------------- */

static const struct apus_slab_config huge = {
	.slot_bytes = 4096, .slot_count = 512, .chunk_max = 2, .huge_pages = true,
};

START_TEST(huge_pages_come_from_the_pool)
{
	long before = proc_bytes("/proc/meminfo", "HugePages_Free:") / 1024;
	struct apus_slab slab;
	int i;

	if (before < 2 || proc_bytes("/proc/meminfo", "Hugepagesize:") != 2 << 20)
		TEST_SKIP("no pool of huge pages (vm.nr_hugepages)");
	slab_open(&slab, &huge);
	ck_assert_int_lt(proc_bytes("/proc/meminfo", "HugePages_Free:") / 1024, before);
	ck_assert_uint_eq((uintptr_t)slab.base % (2 << 20), 0);
	for (i = 0; i < 1024; i++)
		memset(claim(&slab), i, 4096);
	ck_assert_uint_eq(slab.chunk_count, 2);
	apus_slab_deinit(&slab);
	ck_assert_int_eq(proc_bytes("/proc/meminfo", "HugePages_Free:") / 1024, before);
}
END_TEST

START_TEST(huge_pages_without_a_pool_are_an_error)
{
	TEST_LINUX_ONLY();
	if (proc_bytes("/proc/meminfo", "HugePages_Total:") > 0)
		TEST_SKIP("this machine has a pool of huge pages");
	refused(&huge, -ENOMEM, "huge_pages");
}
END_TEST

START_TEST(huge_try_takes_what_there_is)
{
	struct apus_slab_config config = huge;
	struct apus_slab slab;
	int i;

	config.huge_pages = false;
	config.huge_try = true;
	slab_open(&slab, &config);
	for (i = 0; i < 512; i++)
		memset(claim(&slab), i, 4096);
	apus_slab_deinit(&slab);
}
END_TEST

/* What smaps says of the mapping at the address: kB behind the name, or whether a flag is there. */
static long smaps_of(const void *address, const char *name, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	unsigned long from, to, at = (unsigned long)(uintptr_t)address;
	bool is_here = false;
	long found = -1;
	char line[512];

	while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			is_here = from <= at && at < to;
		else if (is_here && strncmp(line, name, strlen(name)) == 0)
			found = flag != NULL ? strstr(line, flag) != NULL : atol(line + strlen(name));
	}
	if (maps != NULL)
		fclose(maps);
	return found;
}

/* Whether the kernel has a huge page now for who asks for one. */
static bool huge_is_free(void)
{
	const size_t bytes = (size_t)2 << 20;
	unsigned char *map = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *at;
	bool got;

	ck_assert_ptr_ne(map, MAP_FAILED);
	at = map + (-(uintptr_t)map & (bytes - 1));
	got = madvise(at, bytes, MADV_HUGEPAGE) == 0;
	*(volatile unsigned char *)at = 0;
	got = got && smaps_of(at, "AnonHugePages:", NULL) == 2048;
	munmap(map, 2 * bytes);
	return got;
}

START_TEST(what_is_touched_at_once_and_fills_a_huge_page_lies_in_one)
{
	struct apus_slab_config config = { .slot_bytes = 4096, .slot_count = 512, .prefault = true };
	struct apus_slab slab;
	bool is_free;
	long kilobytes;

	TEST_LINUX_ONLY();
	if (!huge_is_free())
		TEST_SKIP("this kernel has no transparent huge page to give");
	slab_open(&slab, &config);
	kilobytes = smaps_of(slab.base, "AnonHugePages:", NULL);
	is_free = huge_is_free();
	ck_assert(kilobytes == 2048 || !is_free);
	/* And where it had none, the kernel does not make one later, under who uses it. */
	ck_assert_int_eq(smaps_of(slab.base, "VmFlags:", " nh"), 1);
	ck_assert_int_eq(smaps_of(slab.base, "VmFlags:", " hg"), 0);
	apus_slab_deinit(&slab);
}
END_TEST

START_TEST(what_is_not_touched_or_smaller_asks_for_no_huge_page)
{
	struct apus_slab_config config = { .slot_bytes = 4096, .slot_count = 512 };
	struct apus_slab slab;

	TEST_LINUX_ONLY();
	slab_open(&slab, &config);
	ck_assert_int_ne(smaps_of(slab.base, "VmFlags:", " hg"), 1);
	apus_slab_deinit(&slab);
	config.prefault = true;
	config.slot_count = 511;
	slab_open(&slab, &config);
	ck_assert_int_ne(smaps_of(slab.base, "VmFlags:", " hg"), 1);
	ck_assert_int_ne(smaps_of(slab.base, "VmFlags:", " nh"), 1);
	apus_slab_deinit(&slab);
}
END_TEST

/* ---- NUMA ------------------------------------------------------------------------------------ */

START_TEST(a_node_that_does_not_exist_is_an_error)
{
	struct apus_slab_config config = plain;
	struct apus_slab slab;
	int err;

	TEST_LINUX_ONLY();
	config.numa_bind = true;
	config.numa_node = 1000;
	err = apus_slab_init(&slab, &config);
	if (err == -EPERM || err == -ENOSYS)
		TEST_SKIP("%s", apus_slab_reason(&slab));
	refused(&config, -ENODEV, "no such node");
	config.numa_node = -1;
	refused(&config, -ENODEV, "no such node");
	config.numa_node = 1 << 20;
	refused(&config, -ENODEV, "no such node");
}
END_TEST

START_TEST(numa_bind_binds_every_chunk_to_its_node)
{
	struct apus_slab_config config = growing;
	unsigned long nodes[1024 / (8 * sizeof(long))] = { 0 };
	struct apus_slab slab;
	unsigned char *slot;
	int err, mode = -1;

	TEST_LINUX_ONLY();
	config.numa_bind = true;
	config.numa_node = 0;
	err = apus_slab_init(&slab, &config);
	if (err == -EPERM || err == -ENOSYS || err == -ENODEV)
		TEST_SKIP("%s", apus_slab_reason(&slab));
	ck_assert_int_eq(err, 0);
	while ((slot = apus_slab_claim(&slab)) != NULL)
		*slot = 1;
	if (syscall(SYS_get_mempolicy, &mode, nodes, 1024, apus_slab_at(&slab, 4 * SLOT_COUNT),
			POLICY_OF_ADDRESS) != 0)
		TEST_SKIP("get_mempolicy is not allowed here");
	ck_assert_int_eq(mode, POLICY_BIND);
	ck_assert_uint_eq(nodes[0], 1);
	apus_slab_deinit(&slab);
}
END_TEST

/* -1 is what a caller writes who wants none; without numa_bind it is not even read. */
START_TEST(numa_node_without_numa_bind_binds_nothing)
{
	struct apus_slab_config config = plain;
	struct apus_slab slab;

	config.numa_node = -1;
	slab_open(&slab, &config);
	claim(&slab);
	apus_slab_deinit(&slab);
}
END_TEST

TEST_MAIN("slab",
	a_slot_of_no_bytes_is_refused,
	a_slab_of_no_slots_is_refused,
	size_times_count_beyond_the_address_space_is_refused,
	more_slots_than_an_index_names_are_refused,
	an_alignment_that_is_none_is_refused,
	more_memory_than_there_is_is_refused,
	claim_on_a_full_slab_is_null_and_harmless,
	the_last_released_is_the_first_claimed,
	fresh_slots_come_by_rising_index,
	live_counts_now_and_used_counts_the_high_water,
	slots_do_not_overlap_and_lie_as_aligned_as_asked,
	a_slot_of_one_byte_still_holds_the_free_list,
	a_released_slot_keeps_all_but_its_first_eight_bytes,
	a_slot_that_nobody_claimed_reads_as_zero,
	an_index_and_its_slot_name_each_other,
	an_index_beyond_the_opened_chunks_is_null,
	a_slab_owns_its_slots_and_nothing_else,
	growing_moves_no_slot,
	a_slab_that_cannot_grow_says_why_and_grows_when_it_can,
	ten_million_slots_open_without_touching_a_page,
	prefault_touches_every_page_of_a_chunk_as_it_opens,
	lock_keeps_every_chunk_in_memory,
	memory_that_may_not_be_locked_is_an_error_with_its_reason,
	huge_pages_come_from_the_pool,
	huge_pages_without_a_pool_are_an_error,
	huge_try_takes_what_there_is,
	what_is_touched_at_once_and_fills_a_huge_page_lies_in_one,
	what_is_not_touched_or_smaller_asks_for_no_huge_page,
	a_node_that_does_not_exist_is_an_error,
	numa_bind_binds_every_chunk_to_its_node,
	numa_node_without_numa_bind_binds_nothing)
