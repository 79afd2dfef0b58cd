/*
 * A byte ring, of one sender or of many, against a list of records in the order in which they
 * were claimed: claim, commit, abort, read, release, pass over, close.  What is claimed or
 * read is nobody else's meanwhile, so each record lies in the ring filled with a byte of its
 * own.
 */
#include "apus/ring.h"
#include "fuzz.h"

const char *const fuzz_name = "ring";

enum { RECORDS = 48, CAPACITY_MAX = 1024 };

enum state { GONE, CLAIMED, COMMITTED, READ, PASSED };

struct entry {
	enum state state;
	struct apus_claim claim;
	struct apus_record record;
	size_t bytes;
	unsigned char byte;
};

struct run {
	struct apus_ring ring;
	struct fuzz_program program;
	struct entry entries[RECORDS]; /* in the order of claiming */
	unsigned count;
	unsigned char next_byte;
	bool is_closed;
};

static struct run run;

static void entry_check(const struct entry *entry)
{
	const unsigned char *at = entry->claim.data;

	for (size_t i = 0; i < entry->bytes; i++)
		FUZZ_MUST(at[i] == entry->byte);
}

/* The first that the reader has not come to. */
static struct entry *entry_next(void)
{
	for (unsigned i = 0; i < run.count; i++)
		if (run.entries[i].state == CLAIMED || run.entries[i].state == COMMITTED)
			return &run.entries[i];
	return NULL;
}

/* ---- the reader ------------------------------------------------------------------------ */

static void read_one(void)
{
	struct entry *entry = entry_next();
	struct apus_record record;
	int err = apus_ring_try_read(&run.ring, &record);

	if (entry == NULL || entry->state == CLAIMED) {
		FUZZ_MUST(err == (entry == NULL && run.is_closed ? -EPIPE : -EAGAIN));
		FUZZ_MUST(apus_ring_is_stuck(&run.ring) == (entry != NULL));
		return;
	}
	FUZZ_MUST(err == 0);
	FUZZ_MUST(record.bytes == entry->bytes && record.data == entry->claim.data);
	entry->record = record;
	entry->state = READ;
	entry_check(entry);
}

/* That record, and those read before it. */
static void release(void)
{
	unsigned last = fuzz_below(&run.program, RECORDS), i;

	if (last >= run.count || run.entries[last].state != READ)
		return;
	for (i = 0; i <= last; i++) {
		if (run.entries[i].state != READ)
			continue;
		entry_check(&run.entries[i]);
		run.entries[i].state = GONE;
	}
	apus_ring_release(&run.ring, &run.entries[last].record);
}

static void pass(void)
{
	struct entry *entry = entry_next();
	int err;

	/* The reader has to have come to it: what was aborted in front of it is skipped. */
	read_one();
	if (entry == NULL || entry->state != CLAIMED) {
		FUZZ_MUST(entry != NULL || apus_ring_pass(&run.ring) == -ENOENT);
		return;
	}
	err = apus_ring_pass(&run.ring);
	FUZZ_MUST(err == 0 || err == -ENOBUFS);
	if (err == 0)
		entry->state = PASSED;
}

/* ---- senders ---------------------------------------------------------------------------- */

static int claim_bytes(size_t bytes, struct apus_claim *claim)
{
	int err = apus_ring_try_claim(&run.ring, bytes, claim);

	if (err != -EAGAIN || run.count > 0)
		return err;
	/* Once the reader has skipped what was aborted, an empty ring takes anything. */
	read_one();
	err = apus_ring_try_claim(&run.ring, bytes, claim);
	FUZZ_MUST(err == 0);
	return err;
}

static void claim(size_t bytes)
{
	size_t max = apus_ring_record_bytes_max(&run.ring);
	struct entry *entry = &run.entries[run.count];
	int err;

	if (run.count == RECORDS)
		return;
	err = claim_bytes(bytes, &entry->claim);
	if (bytes == 0 || bytes > max) {
		FUZZ_MUST(err == (bytes == 0 ? -EINVAL : -EMSGSIZE));
		return;
	}
	if (run.is_closed || err == -EAGAIN) {
		FUZZ_MUST(err == (run.is_closed ? -EPIPE : -EAGAIN));
		return;
	}
	FUZZ_MUST(err == 0 && entry->claim.bytes == bytes);
	FUZZ_MUST(fuzz_is_within(entry->claim.data, bytes, run.ring.data, run.ring.mask + 1));
	entry->state = CLAIMED;
	entry->bytes = bytes;
	entry->byte = ++run.next_byte;
	memset(entry->claim.data, entry->byte, bytes);
	run.count++;
}

static void answer(bool commits)
{
	unsigned which = fuzz_below(&run.program, RECORDS);
	struct entry *entry = &run.entries[which];
	int err;

	if (which >= run.count || (entry->state != CLAIMED && entry->state != PASSED))
		return;
	entry_check(entry);
	err = commits ? apus_ring_commit(&run.ring, &entry->claim) :
			apus_ring_abort(&run.ring, &entry->claim);
	FUZZ_MUST(err == (entry->state == PASSED ? -ESTALE : 0));
	entry->state = entry->state == PASSED || !commits ? GONE : COMMITTED;
}

/* ---- what must hold ------------------------------------------------------------------------ */

/* Entries that are over leave; what is passed over and not answered makes the ring smaller. */
static void sweep(void)
{
	uint64_t held = 0;
	unsigned i, kept = 0;

	for (i = 0; i < run.count; i++) {
		if (run.entries[i].state == PASSED)
			held += (run.entries[i].bytes + 31) & ~(uint64_t)15;
		if (run.entries[i].state != GONE)
			run.entries[kept++] = run.entries[i];
	}
	run.count = kept;
	apus_ring_reap(&run.ring);
	FUZZ_MUST(apus_ring_held_bytes(&run.ring) == held);
}

static void step(void)
{
	switch (fuzz_below(&run.program, 12)) {
	case 0: case 1: case 2:
		claim(fuzz_below(&run.program, 64));
		break;
	case 3:
		claim((size_t)fuzz_number(&run.program, 2) %
			(apus_ring_record_bytes_max(&run.ring) + 2));
		break;
	case 4: case 5:
		answer(true);
		break;
	case 6:
		answer(false);
		break;
	case 7: case 8:
		read_one();
		break;
	case 9:
		release();
		break;
	case 10:
		pass();
		break;
	default:
		if (fuzz_below(&run.program, 8) == 7) {
			apus_ring_close(&run.ring);
			run.is_closed = true;
		}
	}
	sweep();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t firsts[] = { 0, UINT64_C(0xffffff00), UINT64_C(0xffffffffffffff00),
		UINT64_C(0x7fffffffffffff00) };
	uint64_t capacity;
	void *memory;
	unsigned how;

	memset(&run, 0, sizeof run);
	run.program = (struct fuzz_program){ data, size };
	how = fuzz_byte(&run.program);
	capacity = UINT64_C(256) << how % 3;
	memory = aligned_alloc(APUS_CACHE_LINE, APUS_RING_BYTES(capacity));
	FUZZ_MUST(memory != NULL);
	FUZZ_MUST(apus_ring_init_at(&run.ring, memory, capacity, how & 128 ? APUS_RING_MPSC : 0,
		firsts[how >> 2 & 3]) == 0);
	while (fuzz_has_more(&run.program))
		step();
	FUZZ_MUST(apus_ring_deinit(&run.ring) == 0);
	free(memory);
	return 0;
}
