/*
 * Random claims, commits, aborts, reads, releases and passes of a byte ring, against a naive
 * twin: a list of records in the order they were claimed.  No byte of a claim that is out, or
 * of a record that is read, may change meanwhile.
 */
#include "apus/ring.h"
#include "test.h"

enum { STEPS = 100000, OUT = 40 };

enum state { GONE, CLAIMED, COMMITTED, READ, PASSED };

struct entry {
	enum state state;
	struct apus_claim claim;
	struct apus_record record;
	size_t bytes;
	unsigned char byte;
};

static struct apus_ring ring;
static struct entry entries[OUT]; /* in the order of claiming */
static unsigned entry_count;

static void entry_check(const struct entry *entry)
{
	const unsigned char *at = entry->claim.data;
	size_t i;

	for (i = 0; i < entry->bytes && at[i] == entry->byte; i++)
		;
	ck_assert_uint_eq(i, entry->bytes);
}

/* The first that the reader has not come to. */
static struct entry *entry_next(void)
{
	unsigned i;

	for (i = 0; i < entry_count; i++)
		if (entries[i].state == CLAIMED || entries[i].state == COMMITTED)
			return &entries[i];
	return NULL;
}

static void read_one(void)
{
	struct entry *entry = entry_next();
	struct apus_record record;
	int err = apus_ring_try_read(&ring, &record);

	if (entry == NULL || entry->state == CLAIMED) {
		ck_assert_int_eq(err, -EAGAIN);
		ck_assert_int_eq(apus_ring_is_stuck(&ring), entry != NULL);
		return;
	}
	ck_assert_int_eq(err, 0);
	ck_assert_uint_eq(record.bytes, entry->bytes);
	ck_assert_ptr_eq(record.data, entry->claim.data);
	entry->record = record;
	entry->state = READ;
	entry_check(entry);
}

static void claim(struct test_random *random, size_t max)
{
	struct entry *entry = &entries[entry_count];
	size_t bytes = (size_t)test_random_below(random, max + 2);
	int err;

	if (entry_count == OUT)
		return;
	if (test_random_below(random, 3) != 0)
		bytes %= 64;
	err = apus_ring_try_claim(&ring, bytes, &entry->claim);
	if (bytes == 0 || bytes > max) {
		ck_assert_int_eq(err, bytes == 0 ? -EINVAL : -EMSGSIZE);
		return;
	}
	if (err == -EAGAIN && entry_count == 0) {
		/* Once the reader has skipped what was aborted, an empty ring takes anything. */
		read_one();
		err = apus_ring_try_claim(&ring, bytes, &entry->claim);
		ck_assert_int_eq(err, 0);
	}
	if (err != 0) {
		ck_assert_int_eq(err, -EAGAIN);
		return;
	}
	entry->state = CLAIMED;
	entry->bytes = bytes;
	entry->byte = (unsigned char)test_random_next(random);
	memset(entry->claim.data, entry->byte, bytes);
	entry_count++;
}

static void answer(struct test_random *random)
{
	struct entry *entry;
	bool commits = test_random_below(random, 3) != 0;
	int err;

	if (entry_count == 0)
		return;
	entry = &entries[test_random_below(random, entry_count)];
	if (entry->state != CLAIMED && entry->state != PASSED)
		return;
	entry_check(entry);
	err = commits ? apus_ring_commit(&ring, &entry->claim) :
			apus_ring_abort(&ring, &entry->claim);
	ck_assert_int_eq(err, entry->state == PASSED ? -ESTALE : 0);
	entry->state = entry->state == PASSED || !commits ? GONE : COMMITTED;
}

static void release(struct test_random *random)
{
	unsigned last = (unsigned)test_random_below(random, OUT), i;

	if (last >= entry_count || entries[last].state != READ)
		return;
	for (i = 0; i <= last; i++)
		if (entries[i].state == READ)
			entry_check(&entries[i]);
	apus_ring_release(&ring, &entries[last].record);
	for (i = 0; i <= last; i++)
		if (entries[i].state == READ)
			entries[i].state = GONE;
}

static void pass(void)
{
	struct entry *entry = entry_next();
	int err;

	/* The reader has to have come to it: what was aborted in front of it is skipped. */
	if (entry == NULL || entry->state != CLAIMED)
		return;
	read_one();
	err = apus_ring_pass(&ring);
	if (err == -ENOBUFS)
		return;
	ck_assert_int_eq(err, 0);
	entry->state = PASSED;
}

/* Entries that are over leave; what is passed over and not answered is held. */
static uint64_t sweep(void)
{
	uint64_t held = 0;
	unsigned i, kept = 0;

	for (i = 0; i < entry_count; i++) {
		if (entries[i].state == PASSED)
			held += (entries[i].bytes + 31) & ~(uint64_t)15;
		if (entries[i].state != GONE)
			entries[kept++] = entries[i];
	}
	entry_count = kept;
	return held;
}

static void run(struct test_random *random, uint64_t capacity, uint32_t flags, uint64_t first)
{
	static char memory[APUS_RING_BYTES(4096)] __attribute__((__aligned__(64)));
	uint64_t held;
	int step;

	ck_assert_int_eq(apus_ring_init_at(&ring, memory, capacity, flags, first), 0);
	entry_count = 0;
	for (step = 0; step < STEPS; step++) {
		switch (test_random_below(random, 16)) {
		case 0: case 1: case 2: case 3: case 4:
			claim(random, apus_ring_record_bytes_max(&ring));
			break;
		case 5: case 6: case 7: case 8: case 9:
			answer(random);
			break;
		case 10: case 11: case 12:
			read_one();
			break;
		case 13: case 14:
			release(random);
			break;
		default:
			if (test_random_below(random, 4) == 0)
				pass();
		}
		held = sweep();
		apus_ring_reap(&ring);
		ck_assert_uint_eq(apus_ring_held_bytes(&ring), held);
	}
	ck_assert_int_eq(apus_ring_deinit(&ring), 0);
}

START_TEST(a_ring_does_what_a_list_does)
{
	struct test_random random = test_random_init(test_seed());

	run(&random, 256, 0, 0);
	run(&random, 1024, APUS_RING_MPSC, UINT64_C(0xfffff000));
	run(&random, 4096, 0, UINT64_C(0xfffffffffffff000));
}
END_TEST

TEST_MAIN("ring", a_ring_does_what_a_list_does)
