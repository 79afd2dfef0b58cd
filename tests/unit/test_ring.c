#define _GNU_SOURCE

#include "apus/ring.h"

#include "loop_test.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

enum { CAPACITY = 1024 };

static struct apus_ring ring;
static char memory[APUS_RING_BYTES(CAPACITY)] __attribute__((__aligned__(64)));

static void ring_make(uint32_t flags)
{
	ck_assert_int_eq(apus_ring_init(&ring, memory, CAPACITY, flags), 0);
}

static void ring_drop(void)
{
	ck_assert_int_eq(apus_ring_deinit(&ring), 0);
}

/* A record filled with one byte. */
static int put(struct apus_ring *to, char byte, size_t bytes)
{
	struct apus_claim claim;
	int err = apus_ring_try_claim(to, bytes, &claim);

	if (err)
		return err;
	ck_assert_uint_eq(claim.bytes, bytes);
	memset(claim.data, byte, bytes);
	return apus_ring_commit(to, &claim);
}

static bool is_filled(const void *data, char byte, size_t bytes)
{
	const char *at = data;

	while (bytes > 0 && *at == byte)
		at++, bytes--;
	return bytes == 0;
}

/* Reads one and releases it: its bytes, or what reading answers. */
static int64_t get(struct apus_ring *from, char byte)
{
	struct apus_record record;
	int err = apus_ring_try_read(from, &record);

	if (err)
		return err;
	ck_assert(is_filled(record.data, byte, record.bytes));
	apus_ring_release(from, &record);
	return (int64_t)record.bytes;
}

/* ---- one thread -------------------------------------------------------------- */

/* S4: also over 2^32 and 2^64; each record in one piece. */
START_TEST(records_come_out_as_they_went_in_over_every_wrap)
{
	static const uint64_t firsts[] = { 0, UINT64_C(0xfffffe00), UINT64_C(0xfffffffffffffe00) };
	uint64_t sent, got;
	size_t i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(apus_ring_init_at(&ring, memory, CAPACITY, (uint32_t)_i,
			firsts[i]), 0);
		for (sent = got = 0; got < 300;) {
			while (put(&ring, (char)sent, 1 + sent * 37 % 400) == 0)
				sent++;
			ck_assert_int_eq(get(&ring, (char)got), 1 + (int64_t)got * 37 % 400);
			got++;
		}
		ring_drop();
	}
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	struct apus_claim claim;
	struct apus_record record;

	ck_assert_int_eq(apus_ring_init(&ring, memory, 100, 0), -EINVAL);
	ck_assert_int_eq(apus_ring_init(&ring, memory, 128, 0), -EINVAL);
	ck_assert_int_eq(apus_ring_init(&ring, memory + 8, CAPACITY, 0), -EINVAL);
	ck_assert_int_eq(apus_ring_init_at(&ring, memory, CAPACITY, 0, 8), -EINVAL);
	ring_make((uint32_t)_i);
	ck_assert_uint_eq(apus_ring_record_bytes_max(&ring), CAPACITY / 2 - 16);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 0, &claim), -EINVAL);
	ck_assert_int_eq(apus_ring_try_claim(&ring, CAPACITY / 2 - 15, &claim), -EMSGSIZE);
	ck_assert_int_eq(apus_ring_try_claim(&ring, SIZE_MAX, &claim), -EMSGSIZE);
	ck_assert_int_eq(apus_ring_wait_claim(&ring, 0, CAPACITY, &claim), -EMSGSIZE);
	ck_assert_int_eq(apus_ring_wait_claim(&ring, 0, 0, &claim), -EINVAL);
	ck_assert_int_eq(apus_ring_try_read(&ring, &record), -EAGAIN);
	ck_assert_int_eq(apus_ring_pass(&ring), -ENOENT);
	ring_drop();
}
END_TEST

/* Half the ring always fits in the end, wherever the ring stands. */
START_TEST(a_record_of_half_the_ring_fits_into_an_empty_one_wherever_it_stands)
{
	size_t bytes;

	ring_make((uint32_t)_i);
	for (bytes = 1; bytes < 300; bytes++) {
		ck_assert_int_eq(put(&ring, 'a', bytes), 0);
		ck_assert_int_eq(get(&ring, 'a'), (int64_t)bytes);
		ck_assert_int_eq(put(&ring, 'b', CAPACITY / 2 - 16), 0);
		ck_assert_int_eq(get(&ring, 'b'), CAPACITY / 2 - 16);
	}
	ring_drop();
}
END_TEST

/* Promise 11. */
START_TEST(a_full_ring_refuses_until_something_is_released)
{
	struct apus_record record;
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, (char)i, 112), 0);
	ck_assert_int_eq(put(&ring, 'x', 1), -EAGAIN);
	ck_assert_int_eq(apus_ring_try_read(&ring, &record), 0);
	ck_assert_int_eq(put(&ring, 'x', 1), -EAGAIN);
	apus_ring_release(&ring, &record);
	ck_assert_int_eq(put(&ring, 'x', 112), 0);
	ck_assert_int_eq(put(&ring, 'x', 1), -EAGAIN);
	ring_drop();
}
END_TEST

START_TEST(several_records_are_read_before_one_release_gives_all_back)
{
	struct apus_record records[4];
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, (char)i, 112), 0);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(apus_ring_try_read(&ring, &records[i]), 0);
	for (i = 0; i < 4; i++)
		ck_assert(is_filled(records[i].data, (char)i, 112));
	apus_ring_release(&ring, &records[3]);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(put(&ring, 'x', 112), 0);
	ck_assert_int_eq(put(&ring, 'x', 1), -EAGAIN);
	ring_drop();
}
END_TEST

START_TEST(an_aborted_claim_was_never_there_and_its_bytes_come_back)
{
	struct apus_claim a, b;
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(apus_ring_try_claim(&ring, 200, &a), 0);
		ck_assert_int_eq(apus_ring_try_claim(&ring, 100, &b), 0);
		ck_assert_int_eq(get(&ring, 0), -EAGAIN);
		ck_assert_int_eq(apus_ring_abort(&ring, &a), 0);
		memset(b.data, 'b', 100);
		ck_assert_int_eq(apus_ring_commit(&ring, &b), 0);
		ck_assert_int_eq(get(&ring, 'b'), 100);
		ck_assert_int_eq(get(&ring, 0), -EAGAIN);
	}
	ck_assert_int_eq(put(&ring, 'c', CAPACITY / 2 - 16), 0);
	ring_drop();
}
END_TEST

/* Padding, and what was aborted, behind the last record is not kept from the senders. */
START_TEST(what_is_skipped_behind_the_last_record_goes_back_with_it)
{
	struct apus_claim claim;
	struct apus_record record;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(put(&ring, 'a', 112), 0);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 400, &claim), 0);
	ck_assert_int_eq(apus_ring_abort(&ring, &claim), 0);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 400, &claim), 0);
	ck_assert_int_eq(apus_ring_abort(&ring, &claim), 0);
	ck_assert_int_eq(apus_ring_try_read(&ring, &record), 0);
	ck_assert_int_eq(get(&ring, 0), -EAGAIN);
	apus_ring_release(&ring, &record);
	ck_assert_int_eq(put(&ring, 'b', CAPACITY / 2 - 16), 0);
	ck_assert_int_eq(get(&ring, 'b'), CAPACITY / 2 - 16);
	ring_drop();
}
END_TEST

START_TEST(claims_are_committed_in_any_order_and_read_in_the_order_of_claiming)
{
	struct apus_claim claims[3];
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(apus_ring_try_claim(&ring, 10, &claims[i]), 0);
		memset(claims[i].data, 'a' + i, 10);
	}
	ck_assert_int_eq(apus_ring_commit(&ring, &claims[2]), 0);
	ck_assert_int_eq(apus_ring_commit(&ring, &claims[1]), 0);
	ck_assert_int_eq(get(&ring, 0), -EAGAIN);
	ck_assert(apus_ring_is_stuck(&ring));
	ck_assert_int_eq(apus_ring_commit(&ring, &claims[0]), 0);
	ck_assert(!apus_ring_is_stuck(&ring));
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(get(&ring, (char)('a' + i)), 10);
	ring_drop();
}
END_TEST

START_TEST(a_closed_ring_drains_and_then_ends)
{
	struct apus_claim late, claim;
	struct apus_record record;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(put(&ring, 'a', 10), 0);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 10, &late), 0);
	apus_ring_close(&ring);
	apus_ring_close(&ring);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 10, &claim), -EPIPE);
	ck_assert_int_eq(apus_ring_wait_claim(&ring, APUS_NEVER, 10, &claim), -EPIPE);
	ck_assert_int_eq(get(&ring, 'a'), 10);
	ck_assert_int_eq(get(&ring, 'a'), -EAGAIN);
	memset(late.data, 'b', 10);
	ck_assert_int_eq(apus_ring_commit(&ring, &late), 0);
	ck_assert_int_eq(get(&ring, 'b'), 10);
	ck_assert_int_eq(get(&ring, 0), -EPIPE);
	ck_assert_int_eq(apus_ring_wait_read(&ring, APUS_NEVER, &record), -EPIPE);
	ring_drop();
}
END_TEST

/* Promise 12: in memory that others write a size is not believed. */
START_TEST(memory_that_is_not_a_ring_is_refused_and_not_followed)
{
	struct apus_record record;
	struct apus_ring other;
	uint32_t *bytes = (uint32_t *)(void *)(memory + sizeof(struct apus_ring_memory) + 8);

	memset(memory, 0, sizeof memory);
	ck_assert_int_eq(apus_ring_attach(&other, memory, sizeof memory), -EPROTO);
	ring_make(0);
	ck_assert_int_eq(apus_ring_attach(&other, memory, sizeof memory), -EPROTO);
	ck_assert_int_eq(apus_ring_attach(&other, memory, 8), -EINVAL);
	ck_assert_int_eq(put(&ring, 'a', 10), 0);
	*bytes = CAPACITY;
	ck_assert_int_eq(apus_ring_try_read(&ring, &record), -EBADMSG);
	*bytes = UINT32_MAX;
	ck_assert_int_eq(apus_ring_try_read(&ring, &record), -EBADMSG);
	*bytes = 10;
	ck_assert_int_eq(get(&ring, 'a'), 10);
	ring_drop();
}
END_TEST

/* Nor a place between two units: a header there would reach beyond the end. */
START_TEST(a_place_between_units_leads_to_no_step_outside)
{
	static char roomy[APUS_RING_BYTES(CAPACITY) + 64] __attribute__((__aligned__(64)));
	struct apus_ring_memory *shared = (struct apus_ring_memory *)(void *)roomy;
	struct apus_ring other;

	ck_assert_int_eq(apus_ring_init(&ring, roomy, CAPACITY, APUS_RING_SHARED), 0);
	shared->head = CAPACITY - 8;
	ck_assert_int_eq(apus_ring_attach(&other, roomy, APUS_RING_BYTES(CAPACITY)), -EPROTO);
	shared->head = CAPACITY - 16;
	ck_assert_int_eq(apus_ring_attach(&other, roomy, APUS_RING_BYTES(CAPACITY)), 0);
	shared->tail = CAPACITY - 8;
	(void)put(&other, 'a', 8);
	ck_assert(is_filled(roomy + APUS_RING_BYTES(CAPACITY), 0, 64));
	ck_assert_int_eq(apus_ring_deinit(&other), 0);
	ring_drop();
}
END_TEST

/* Nor a head that is far from the tail: who went there in steps would not come back. */
START_TEST(a_head_out_of_reach_is_told_to_who_claims)
{
	struct apus_ring_memory *shared = (struct apus_ring_memory *)(void *)memory;
	struct apus_claim claim;
	struct apus_ring other;

	ring_make(APUS_RING_SHARED | APUS_RING_MPSC);
	ck_assert_int_eq(apus_ring_attach(&other, memory, sizeof memory), 0);
	shared->tail = CAPACITY - 16;
	shared->head = UINT64_C(1) << 62;
	ck_assert_int_eq(apus_ring_try_claim(&other, 64, &claim), -EBADMSG);
	ck_assert_int_eq(apus_ring_wait_claim(&other, APUS_NEVER, 64, &claim), -EBADMSG);
	shared->head = UINT64_C(3) << 62;
	ck_assert_int_eq(apus_ring_try_claim(&other, 64, &claim), -EBADMSG);
	shared->head = CAPACITY - 16;
	ck_assert_int_eq(apus_ring_try_claim(&other, 64, &claim), 0);
	ck_assert_int_eq(apus_ring_abort(&other, &claim), 0);
	ck_assert_int_eq(apus_ring_deinit(&other), 0);
	ring_drop();
}
END_TEST

/* ---- passing over ------------------------------------------------------------ */

/*
 * S4: an uncommitted claim does not block the ring for ever; a stalled sender is passed over,
 * goes on, and has written to nobody's bytes but its own.
 */
START_TEST(what_was_passed_over_is_not_handed_out_until_its_claimant_answers)
{
	struct apus_claim stalled;
	uint64_t sent, got;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(put(&ring, 'a', 50), 0);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 150, &stalled), 0);
	memset(stalled.data, 's', 150);
	ck_assert_int_eq(get(&ring, 'a'), 50);
	ck_assert_int_eq(apus_ring_pass(&ring), 0);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 176);
	ck_assert_uint_eq(apus_ring_passed_count(&ring), 1);
	for (sent = got = 0; got < 500;) {
		while (put(&ring, (char)sent, 1 + sent * 37 % 300) == 0)
			sent++;
		ck_assert(is_filled(stalled.data, 's', 150));
		ck_assert_int_eq(get(&ring, (char)got), 1 + (int64_t)got * 37 % 300);
		got++;
	}
	/* It wakes up. */
	memset(stalled.data, 'S', 150);
	if (_i % 2 == 0)
		ck_assert_int_eq(apus_ring_commit(&ring, &stalled), -ESTALE);
	else
		ck_assert_int_eq(apus_ring_abort(&ring, &stalled), -ESTALE);
	for (; got < 1000; got++) {
		while (put(&ring, (char)sent, 1 + sent * 37 % 300) == 0)
			sent++;
		ck_assert_int_eq(get(&ring, (char)got), 1 + (int64_t)got * 37 % 300);
	}
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 0);
	while (got < sent)
		ck_assert_int_ge(get(&ring, (char)got++), 0);
	ck_assert_int_eq(put(&ring, 'h', CAPACITY / 2 - 16), 0);
	ring_drop();
}
END_TEST

START_TEST(a_claim_that_was_committed_in_time_is_not_passed_over)
{
	struct apus_claim claim;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 10, &claim), 0);
	ck_assert(apus_ring_is_stuck(&ring));
	memset(claim.data, 'a', 10);
	ck_assert_int_eq(apus_ring_commit(&ring, &claim), 0);
	ck_assert_int_eq(apus_ring_pass(&ring), -ENOENT);
	ck_assert_int_eq(get(&ring, 'a'), 10);
	ck_assert_int_eq(apus_ring_pass(&ring), -ENOENT);
	ring_drop();
}
END_TEST

START_TEST(as_many_claims_are_passed_over_as_can_be_remembered)
{
	struct apus_claim claims[APUS_RING_HOLES + 1];
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i <= APUS_RING_HOLES; i++)
		ck_assert_int_eq(apus_ring_try_claim(&ring, 16, &claims[i]), 0);
	for (i = 0; i < APUS_RING_HOLES; i++)
		ck_assert_int_eq(apus_ring_pass(&ring), 0);
	ck_assert_int_eq(apus_ring_pass(&ring), -ENOBUFS);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), APUS_RING_HOLES * 32);
	ck_assert_int_eq(apus_ring_commit(&ring, &claims[7]), -ESTALE);
	ck_assert_int_eq(apus_ring_pass(&ring), 0);
	for (i = 0; i <= APUS_RING_HOLES; i++)
		if (i != 7)
			ck_assert_int_eq(apus_ring_commit(&ring, &claims[i]), -ESTALE);
	/* Answered ones come back by themselves when the reader looks. */
	ck_assert_int_eq(get(&ring, 0), -EAGAIN);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 0);
	ring_drop();
}
END_TEST

/* ---- tasks ------------------------------------------------------------------- */

struct taker {
	struct apus_frame frame;
	struct apus_record record;
	apus_poll err;
};

APUS_TASK(taker, struct taker)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_ring_read(cx, &ring, &self->record));
		if (self->err != 0) {
			note("%s ", self->err == -EPIPE ? "end" : "busy");
			return self->err;
		}
		note("%d ", (int)self->record.bytes);
		apus_ring_release(&ring, &self->record);
	}
	APUS_END(0);
}

struct giver {
	struct apus_frame frame;
	const char *name;
	size_t bytes;
	int64_t timeout_ns;
	struct apus_claim claim;
	apus_poll err;
};

APUS_TASK(giver, struct giver)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->err, apus_timeout(cx, self->timeout_ns,
		apus_ring_claim(cx, &ring, self->bytes, &self->claim)));
	note("%s%s ", self->name, self->err == 0 ? "" : self->err == -EPIPE ? "!end" : "!time");
	if (self->err != 0)
		return self->err;
	memset(self->claim.data, self->name[0], self->bytes);
	apus_ring_commit(&ring, &self->claim);
	APUS_END(0);
}

static void giver_start(struct apus_loop *loop, const char *name, size_t bytes, int64_t timeout_ns)
{
	struct giver giver = { .name = name, .bytes = bytes, .timeout_ns = timeout_ns };

	ck_assert_int_eq(apus_spawn_slab(loop, giver, &giver, NULL), 0);
	turns(loop, 1);
}

START_TEST(a_task_awaits_records)
{
	struct apus_loop *loop = loop_open(0);
	struct apus_claim claim;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(apus_spawn_slab(loop, taker, NULL, NULL), 0);
	turns(loop, 2);
	ck_assert_int_eq(put(&ring, 'a', 10), 0);
	ck_assert_int_eq(put(&ring, 'a', 20), 0);
	turns(loop, 1);
	expect_notes("10 20 ");
	ck_assert_int_eq(apus_ring_try_claim(&ring, 30, &claim), 0);
	turns(loop, 2);
	expect_notes("");
	ck_assert_int_eq(apus_ring_commit(&ring, &claim), 0);
	turns(loop, 1);
	expect_notes("30 ");
	ck_assert_int_eq(apus_spawn_slab(loop, taker, NULL, NULL), 0);
	turns(loop, 1);
	expect_notes("busy ");
	apus_ring_close(&ring);
	turns(loop, 1);
	expect_notes("end ");
	loop_close(loop);
	ring_drop();
}
END_TEST

/* Promise 11: who waits is served in the order it came, a small record behind a large one. */
START_TEST(waiting_senders_are_served_in_the_order_they_came)
{
	struct apus_loop *loop = loop_open(0);
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, 'x', 112), 0);
	giver_start(loop, "a", 240, APUS_NEVER);
	giver_start(loop, "b", 10, APUS_NEVER);
	giver_start(loop, "c", 10, APUS_MSEC);
	ck_assert_int_eq(get(&ring, 'x'), 112);
	turns(loop, 1);
	/* Room for b, but a is first. */
	ck_assert_int_eq(put(&ring, 'x', 10), -EAGAIN);
	turns(loop, 2);
	expect_notes("c!time ");
	ck_assert_int_eq(get(&ring, 'x'), 112);
	turns(loop, 3);
	expect_notes("a ");
	ck_assert_int_eq(get(&ring, 'x'), 112);
	turns(loop, 3);
	expect_notes("b ");
	loop_close(loop);
	ring_drop();
}
END_TEST

/* Promise 3. */
START_TEST(deinit_wakes_the_tasks_that_wait_and_the_memory_may_go)
{
	struct apus_loop *loop = loop_open(0);
	int i;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(apus_spawn_slab(loop, taker, NULL, NULL), 0);
	turns(loop, 1);
	ring_drop();
	memset(&ring, 0xff, sizeof ring);
	turns(loop, 1);
	expect_notes("end ");
	ring_make((uint32_t)_i);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, 'x', 112), 0);
	giver_start(loop, "a", 240, APUS_NEVER);
	giver_start(loop, "b", 240, APUS_NEVER);
	ring_drop();
	memset(&ring, 0xff, sizeof ring);
	turns(loop, 1);
	expect_notes("a!end b!end ");
	ck_assert_ptr_null(apus_loop_cx(loop)->pollers);
	loop_close(loop);
}
END_TEST

/* ---- threads ----------------------------------------------------------------- */

START_TEST(waiting_in_a_thread_times_out)
{
	struct apus_record record;
	struct apus_claim claim;
	int i;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(apus_ring_wait_read(&ring, APUS_MSEC, &record), -ETIME);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, 'x', 112), 0);
	ck_assert_int_eq(apus_ring_wait_claim(&ring, APUS_MSEC, 10, &claim), -ETIME);
	ck_assert_uint_eq(ring.queued, 0);
	ring_drop();
}
END_TEST

struct claimer {
	char byte;
	int64_t timeout_ns;
	int err;
	pthread_t thread;
};

static void *claimer_run(void *arg)
{
	struct claimer *claimer = arg;
	struct apus_claim claim;
	int err = apus_ring_wait_claim(&ring, claimer->timeout_ns, 112, &claim);

	if (err == 0) {
		memset(claim.data, claimer->byte, 112);
		err = apus_ring_commit(&ring, &claim);
	}
	apus_store_release(&claimer->err, err);
	return NULL;
}

static unsigned line_count(void)
{
	struct apusi_place *place;
	unsigned count = 0;

	while (apus_exchange_full(&ring.line.lock, 1) != 0)
		sched_yield();
	for (place = ring.line.head; place != NULL; place = place->next)
		count++;
	apus_exchange_full(&ring.line.lock, 0);
	return count;
}

/* Of those who came, some stand in the line and one may have given up. */
static void claimer_start(struct claimer *claimer, char byte, int64_t timeout_ns, unsigned came,
	const struct claimer *late)
{
	*claimer = (struct claimer){ byte, timeout_ns, 1, 0 };
	ck_assert_int_eq(pthread_create(&claimer->thread, NULL, claimer_run, claimer), 0);
	while (line_count() + (late != NULL && apus_load_acquire(&late->err) != 1) != came)
		sched_yield();
}

/* Promise 11: tasks and threads alike. */
START_TEST(threads_and_tasks_stand_in_one_line)
{
	struct apus_loop *loop = loop_open(0);
	struct claimer one, two, late;
	struct apus_record record;
	char order[4] = "";
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, 'x', 112), 0);
	claimer_start(&one, '1', APUS_NEVER, 1, NULL);
	giver_start(loop, "2", 112, APUS_NEVER);
	claimer_start(&late, '-', APUS_MSEC, 3, &late);
	claimer_start(&two, '3', APUS_NEVER, 4, &late);
	pthread_join(late.thread, NULL);
	ck_assert_int_eq(late.err, -ETIME);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(get(&ring, 'x'), 112);
	for (i = 0; i < 3;) {
		turns(loop, 1);
		if (apus_ring_try_read(&ring, &record) == 0) {
			order[i++] = *(const char *)record.data;
			apus_ring_release(&ring, &record);
		} else {
			sched_yield();
		}
	}
	ck_assert_str_eq(order, "123");
	pthread_join(one.thread, NULL);
	pthread_join(two.thread, NULL);
	ck_assert_int_eq(one.err | two.err, 0);
	ck_assert_uint_eq(line_count(), 0);
	loop_close(loop);
	ring_drop();
}
END_TEST

/* S5: senders wait while it is closed, whoever closes it. */
START_TEST(closing_wakes_the_whole_line)
{
	struct apus_loop *loop = loop_open(0);
	struct claimer one, two;
	int i;

	ring_make((uint32_t)_i);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, 'x', 112), 0);
	giver_start(loop, "a", 112, APUS_NEVER);
	claimer_start(&one, '1', APUS_NEVER, 2, NULL);
	giver_start(loop, "b", 112, APUS_NEVER);
	claimer_start(&two, '2', APUS_NEVER, 4, NULL);
	apus_ring_close(&ring);
	pthread_join(one.thread, NULL);
	pthread_join(two.thread, NULL);
	ck_assert_int_eq(one.err, -EPIPE);
	ck_assert_int_eq(two.err, -EPIPE);
	turns(loop, 2);
	ck_assert_ptr_nonnull(strstr(notes, "a!end "));
	ck_assert_ptr_nonnull(strstr(notes, "b!end "));
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(get(&ring, 'x'), 112);
	ck_assert_int_eq(get(&ring, 'x'), -EPIPE);
	loop_close(loop);
	ring_drop();
}
END_TEST

/* Exhaustion: no poller is left, and nothing was claimed or read. */
START_TEST(without_a_poller_nothing_is_claimed)
{
	struct apus_config config;
	struct apus_loop *loop;
	int i;

	config_virtual(&config, 0);
	config.waker_count = 1;
	loop = loop_open_with(&config);
	ring_make((uint32_t)_i);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(put(&ring, 'x', 112), 0);
	giver_start(loop, "a", 112, APUS_NEVER);
	giver_start(loop, "b", 112, APUS_NEVER);
	expect_notes("b!time ");
	ck_assert_uint_eq(counters(loop).wait_refusals, 1);
	ck_assert_uint_eq(line_count(), 1);
	ck_assert_int_eq(get(&ring, 'x'), 112);
	turns(loop, 1);
	expect_notes("a ");
	loop_close(loop);
	ring_drop();
}
END_TEST

static void *thread_read(void *arg)
{
	struct apus_record record = { NULL, 0, 0 };
	int err = apus_ring_wait_read(arg, APUS_NEVER, &record);

	if (err == 0)
		apus_ring_release(arg, &record);
	return (void *)(intptr_t)(err != 0 ? err : (int)record.bytes);
}

START_TEST(a_sleeping_reader_is_woken_by_a_commit)
{
	struct apus_claim claim;
	pthread_t thread;
	void *got;

	ring_make((uint32_t)_i);
	ck_assert_int_eq(apus_ring_try_claim(&ring, 33, &claim), 0);
	pthread_create(&thread, NULL, thread_read, &ring);
	while (!(apus_load_acquire(&ring.memory->recv_bell) & APUS_BELL_THREAD))
		sched_yield();
	ck_assert_int_eq(apus_ring_commit(&ring, &claim), 0);
	pthread_join(thread, &got);
	ck_assert_int_eq((intptr_t)got, 33);
	ring_drop();
}
END_TEST

/* ---- processes --------------------------------------------------------------- */

static int shared_fd;

/* Another place in the address space each time: nothing in the memory is a pointer. */
static void *shared_map(void)
{
	void *at = mmap(NULL, APUS_RING_BYTES(CAPACITY), PROT_READ | PROT_WRITE, MAP_SHARED,
		shared_fd, 0);

	ck_assert(at != MAP_FAILED);
	return at;
}

static void shared_make(void)
{
	shared_fd = memfd_create("ring", MFD_CLOEXEC);
	ck_assert_int_ge(shared_fd, 0);
	ck_assert_int_eq(ftruncate(shared_fd, APUS_RING_BYTES(CAPACITY)), 0);
	ck_assert_int_eq(apus_ring_init(&ring, shared_map(), CAPACITY,
		APUS_RING_MPSC | APUS_RING_SHARED), 0);
}

/* In a child: the ring as another process sees it. */
static void child_attach(struct apus_ring *child)
{
	if (apus_ring_attach(child, shared_map(), APUS_RING_BYTES(CAPACITY)) != 0)
		_exit(10);
}

static void child_end(pid_t child, int sig)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (sig != 0)
		ck_assert_int_eq(WTERMSIG(status), sig);
	else
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(two_processes_exchange_through_a_memfd)
{
	struct apus_record record;
	struct apus_ring own;
	int64_t count;
	pid_t child;
	int err;

	shared_make();
	child = fork();
	if (child == 0) {
		child_attach(&own);
		for (count = 0; count < 3000; count++) {
			struct apus_claim claim;
			size_t bytes = 8 + (size_t)count * 37 % 300;

			if (apus_ring_wait_claim(&own, APUS_NEVER, bytes, &claim) != 0)
				_exit(11);
			memset(claim.data, (char)count, bytes);
			if (apus_ring_commit(&own, &claim) != 0)
				_exit(12);
		}
		apus_ring_close(&own);
		_exit(apus_ring_deinit(&own) != 0);
	}
	for (count = 0; (err = apus_ring_wait_read(&ring, APUS_NEVER, &record)) == 0; count++) {
		ck_assert_uint_eq(record.bytes, 8 + (size_t)count * 37 % 300);
		ck_assert(is_filled(record.data, (char)count, record.bytes));
		apus_ring_release(&ring, &record);
	}
	ck_assert_int_eq(err, -EPIPE);
	ck_assert_int_eq(count, 3000);
	child_end(child, 0);
	ring_drop();
}
END_TEST

static pid_t claimant_start(void)
{
	struct apus_claim claim;
	struct apus_ring own;
	pid_t child = fork();

	if (child != 0) {
		while (!apus_ring_is_stuck(&ring))
			sched_yield();
		return child;
	}
	child_attach(&own);
	if (apus_ring_try_claim(&own, 100, &claim) != 0)
		_exit(11);
	memset(claim.data, 'd', 100);
	for (;;)
		pause();
}

/* S4: a dead producer.  Killed before it was passed over: its bytes come back at once. */
START_TEST(a_process_killed_in_the_middle_of_a_claim_leaves_no_hole)
{
	pid_t child;

	shared_make();
	child = claimant_start();
	ck_assert_int_eq(put(&ring, 'b', 10), 0);
	kill(child, SIGKILL);
	child_end(child, SIGKILL);
	ck_assert_int_eq(get(&ring, 'b'), -EAGAIN);
	ck_assert_int_eq(apus_ring_pass(&ring), 0);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 0);
	ck_assert_int_eq(get(&ring, 'b'), 10);
	ring_drop();
}
END_TEST

/* Passed over while it lived: its bytes come back when it is seen to be dead, buried or not. */
START_TEST(what_a_process_held_comes_back_when_it_has_died)
{
	TEST_LINUX_ONLY();
	siginfo_t info;
	pid_t child;
	int lap;

	shared_make();
	child = claimant_start();
	ck_assert_int_eq(apus_ring_pass(&ring), 0);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 128);
	/* Also where others have gone round and padded over it. */
	for (lap = 0; lap < 30; lap++) {
		ck_assert_uint_eq(apus_ring_reap(&ring), 0);
		ck_assert_int_eq(put(&ring, 'a', 100), 0);
		ck_assert_int_eq(get(&ring, 'a'), 100);
	}
	kill(child, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	ck_assert_uint_eq(apus_ring_reap(&ring), 128);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 0);
	child_end(child, SIGKILL);
	ring_drop();
}
END_TEST

/* What is done under the lock shows only at its end: whoever comes next takes it over. */
START_TEST(a_process_killed_under_the_lock_does_not_keep_it)
{
	pid_t child;

	shared_make();
	child = fork();
	if (child == 0) {
		struct apus_ring own;

		child_attach(&own);
		apus_store_release(&own.memory->lock, own.id);
		for (;;)
			pause();
	}
	while (apus_load_acquire(&ring.memory->lock) == 0)
		sched_yield();
	kill(child, SIGKILL);
	child_end(child, SIGKILL);
	ck_assert_int_eq(put(&ring, 'a', 10), 0);
	ck_assert_int_eq(get(&ring, 'a'), 10);
	ck_assert_uint_eq(ring.memory->lock, 0);
	ring_drop();
}
END_TEST

START_TEST(the_places_of_dead_processes_are_given_to_others)
{
	struct apus_ring own;
	pid_t child;
	int i;

	shared_make();
	for (i = 0; i < 3 * APUS_RING_PROCESSES; i++) {
		child = fork();
		if (child == 0) {
			child_attach(&own);
			_exit(put(&own, 'a', 10));
		}
		child_end(child, 0);
		ck_assert_int_eq(get(&ring, 'a'), 10);
	}
	for (i = 1; i < APUS_RING_PROCESSES; i++)
		ck_assert_int_eq(apus_ring_attach(&own, ring.memory, APUS_RING_BYTES(CAPACITY)), 0);
	ck_assert_int_eq(apus_ring_attach(&own, ring.memory, APUS_RING_BYTES(CAPACITY)), -ENOSPC);
	ring_drop();
	ck_assert_int_eq(apus_ring_attach(&own, ring.memory, APUS_RING_BYTES(CAPACITY)), 0);
}
END_TEST

/* A sender in each of several processes sleeps until there is room, on one word. */
START_TEST(senders_of_several_processes_wait_for_room_and_none_is_left_asleep)
{
	enum { CHILDREN = 4, EACH = 400 };
	struct apus_record record;
	pid_t children[CHILDREN];
	int64_t count = 0;
	uint32_t i;

	shared_make();
	for (i = 0; i < CHILDREN; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			struct apus_ring own;
			struct apus_claim claim;
			int n;

			child_attach(&own);
			for (n = 0; n < EACH; n++) {
				if (apus_ring_wait_claim(&own, APUS_NEVER, 400, &claim) != 0)
					_exit(11);
				memset(claim.data, 'a' + (int)i, 400);
				if (apus_ring_commit(&own, &claim) != 0)
					_exit(12);
			}
			_exit(apus_ring_deinit(&own) != 0);
		}
	}
	while (count < CHILDREN * EACH) {
		ck_assert_int_eq(apus_ring_wait_read(&ring, APUS_NEVER, &record), 0);
		ck_assert(is_filled(record.data, *(const char *)record.data, 400));
		if (count++ % 16 == 0)
			usleep(200);
		apus_ring_release(&ring, &record);
	}
	for (i = 0; i < CHILDREN; i++)
		child_end(children[i], 0);
	ring_drop();
}
END_TEST

/* Senders of several processes sleep on one word: see readers.h. */
START_TEST(ringing_changes_the_word_for_good)
{
	uint32_t *bell, noted_word;

	shared_make();
	bell = &ring.memory->send_bell;
	*bell |= APUS_BELL_ASLEEP | APUS_BELL_THREAD;
	noted_word = *bell;
	ck_assert_int_eq(put(&ring, 'a', 10), 0);
	ck_assert_int_eq(get(&ring, 'a'), 10);
	ck_assert_uint_eq(*bell & APUS_BELL_THREAD, 0);
	*bell |= APUS_BELL_ASLEEP | APUS_BELL_THREAD;
	ck_assert_uint_ne(*bell, noted_word);
	ring_drop();
}
END_TEST

/* S4: a dead consumer.  What it had not released is there for the next. */
START_TEST(a_reader_that_was_killed_is_followed_by_another)
{
	struct apus_record record;
	struct apus_ring own;
	pid_t child;
	int i;

	shared_make();
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(put(&ring, (char)('a' + i), 100), 0);
	child = fork();
	if (child == 0) {
		child_attach(&own);
		if (get(&own, 'a') != 100 || apus_ring_try_read(&own, &record) != 0)
			_exit(11);
		put(&own, 'z', 10);
		for (;;)
			pause();
	}
	while (apus_load_acquire(&ring.memory->tail) != 4 * 128 + 32)
		sched_yield();
	kill(child, SIGKILL);
	child_end(child, SIGKILL);
	ck_assert_int_eq(apus_ring_attach(&own, shared_map(), APUS_RING_BYTES(CAPACITY)), 0);
	ck_assert_uint_eq(apus_ring_reap(&own), 0);
	ck_assert_int_eq(get(&own, 'b'), 100);
	ck_assert_int_eq(get(&own, 'c'), 100);
	ck_assert_int_eq(get(&own, 'd'), 100);
	ck_assert_int_eq(apus_ring_deinit(&own), 0);
	ring_drop();
}
END_TEST

/* It had written down the hole, and died before it passed the record over. */
START_TEST(what_a_dead_reader_was_about_to_pass_over_is_not_held)
{
	struct apus_ring_memory *at;
	struct apus_claim claim;

	shared_make();
	at = ring.memory;
	ck_assert_int_eq(apus_ring_try_claim(&ring, 100, &claim), 0);
	at->holes[0].at = claim.at;
	at->holes[0].owner = ring.id;
	at->holes[0].word = UINT64_C(1) << 62 | claim.at / 16 << 28 | 128 / 16;
	at->hole_count = 1;
	at->held_bytes = 128;
	memset(claim.data, 'a', 100);
	ck_assert_int_eq(apus_ring_commit(&ring, &claim), 0);
	ck_assert_int_eq(get(&ring, 'a'), 100);
	ck_assert_uint_eq(apus_ring_reap(&ring), 128);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 0);
	ring_drop();
}
END_TEST

/* Nobody can ring a loop of another process: it stays awake and looks. */
START_TEST(a_loop_does_not_park_on_a_ring_of_several_processes)
{
	struct apus_config config;
	struct apus_loop *loop;
	int i;

	shared_make();
	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_spawn_slab(loop, taker, NULL, NULL), 0);
	for (i = 0; i < 100; i++)
		apus_turn(loop);
	ck_assert_int_eq(put(&ring, 'a', 10), 0);
	turns(loop, 2);
	expect_notes("10 ");
	loop_close(loop);
	ring_drop();
}
END_TEST

/* _i: without and with the lock of many senders. */
int main(int argc, char **argv)
{
	const TTest *const both[] = { records_come_out_as_they_went_in_over_every_wrap,
		what_cannot_be_is_refused,
		a_record_of_half_the_ring_fits_into_an_empty_one_wherever_it_stands,
		a_full_ring_refuses_until_something_is_released,
		several_records_are_read_before_one_release_gives_all_back,
		an_aborted_claim_was_never_there_and_its_bytes_come_back,
		what_is_skipped_behind_the_last_record_goes_back_with_it,
		claims_are_committed_in_any_order_and_read_in_the_order_of_claiming,
		a_closed_ring_drains_and_then_ends,
		what_was_passed_over_is_not_handed_out_until_its_claimant_answers,
		a_claim_that_was_committed_in_time_is_not_passed_over,
		as_many_claims_are_passed_over_as_can_be_remembered, a_task_awaits_records,
		waiting_senders_are_served_in_the_order_they_came,
		deinit_wakes_the_tasks_that_wait_and_the_memory_may_go,
		waiting_in_a_thread_times_out, a_sleeping_reader_is_woken_by_a_commit,
		threads_and_tasks_stand_in_one_line, closing_wakes_the_whole_line,
		without_a_poller_nothing_is_claimed };
	const TTest *const once[] = { memory_that_is_not_a_ring_is_refused_and_not_followed,
		a_place_between_units_leads_to_no_step_outside,
		a_head_out_of_reach_is_told_to_who_claims,
		two_processes_exchange_through_a_memfd,
		a_process_killed_in_the_middle_of_a_claim_leaves_no_hole,
		what_a_process_held_comes_back_when_it_has_died,
		a_process_killed_under_the_lock_does_not_keep_it,
		the_places_of_dead_processes_are_given_to_others,
		senders_of_several_processes_wait_for_room_and_none_is_left_asleep,
		ringing_changes_the_word_for_good,
		a_reader_that_was_killed_is_followed_by_another,
		what_a_dead_reader_was_about_to_pass_over_is_not_held,
		a_loop_does_not_park_on_a_ring_of_several_processes };
	TCase *all = test_case("ring");
	size_t i;

	for (i = 0; i < sizeof both / sizeof both[0]; i++)
		tcase_add_loop_test(all, both[i], 0, 2);
	for (i = 0; i < sizeof once / sizeof once[0]; i++)
		tcase_add_test(all, once[i]);
	return test_run(argc, argv, all);
}
