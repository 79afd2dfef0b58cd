/*
 * Helpers against the loop: each function that was started is answered once, or discarded
 * once, whatever its task does meanwhile, and whenever the loop closes.
 */
#include "apus/offload.h"
#include "race.h"

/* ---- a ledger of what became of each request ------------------------------------------ */

enum fate { OPEN, ANSWERED, DISCARDED };

struct ledger {
	uint32_t *fates;
	uint64_t count, started, refused;
	uint64_t ran, settled; /* any thread */
	struct test_random random;
};

static struct ledger ledger;

static void ledger_open(uint64_t count, uint64_t seed)
{
	memset(&ledger, 0, sizeof ledger);
	ledger.fates = calloc(count, sizeof *ledger.fates);
	ledger.count = count;
	ledger.random = test_random_init(seed);
	ck_assert_ptr_nonnull(ledger.fates);
}

static void ledger_settle(uint64_t number, enum fate fate)
{
	APUS_ASSERT(apus_exchange_full(&ledger.fates[number], fate) == OPEN);
	__atomic_fetch_add(&ledger.settled, 1, __ATOMIC_ACQ_REL);
}

static void ledger_close(void)
{
	ck_assert_uint_eq(apus_load_acquire(&ledger.settled), ledger.started);
	ck_assert_uint_le(apus_load_acquire(&ledger.ran), ledger.started);
	free(ledger.fates);
}

struct work {
	uint64_t number, spins, answer;
};

static void work_discard(struct work *self, apus_poll result)
{
	APUS_ASSERT(result == -ECANCELED || (uint64_t)result == self->number);
	ledger_settle(self->number, DISCARDED);
}

APUS_OFFLOAD(work, struct work, work_discard)
{
	volatile uint64_t left = self->spins;

	while (left > 0)
		left--;
	__atomic_fetch_add(&ledger.ran, 1, __ATOMIC_RELAXED);
	self->answer = ~self->number;
	return (apus_poll)self->number;
}

/* ---- tasks that start, lose, cancel, drop and end ------------------------------------------ */

struct user {
	struct apus_frame frame;
	struct apus_offload op;
	struct work work;
	apus_poll result;
	uint64_t choice;
	bool has_begun;
};

static void user_take(struct user *self, apus_poll answer)
{
	APUS_ASSERT(answer == -ECANCELED ||
		    ((uint64_t)answer == self->work.number && self->work.answer == ~self->work.number));
	ledger_settle(self->work.number, ANSWERED);
	self->has_begun = false;
}

static bool user_begin(struct apus_cx *cx, struct user *self)
{
	if (ledger.started == ledger.count)
		return false;
	self->work.number = ledger.started;
	self->work.answer = 0;
	self->work.spins = test_random_below(&ledger.random, 4) == 0 ?
				   test_random_below(&ledger.random, 20000) :
				   test_random_below(&ledger.random, 50);
	self->result = apus_offload_start(cx, &self->op, work, &self->work);
	APUS_ASSERT(self->result == 0 || self->result == -EAGAIN);
	self->has_begun = self->result == 0;
	if (self->has_begun)
		ledger.started++;
	else
		ledger.refused++;
	return self->has_begun;
}

/* Ends after a few rounds, often with a function in flight. */
APUS_TASK(user, struct user)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		if (!user_begin(cx, self)) {
			if (ledger.started == ledger.count)
				return 0;
			APUS_WAIT(apus_yield(cx));
			continue;
		}
		self->choice = test_random_below(&ledger.random, 8);
		if (self->choice < 4) {
			APUS_AWAIT(self->result, apus_timeout(cx,
				(int64_t)test_random_below(&ledger.random, 20) * APUS_USEC,
				apus_offload_run(cx, &self->op, work, &self->work)));
			if (self->result != -ETIME) {
				user_take(self, self->result);
				continue;
			}
		}
		if (self->choice == 7)
			return 0;
		if (self->choice == 6) {
			apus_offload_drop(cx, &self->op);
			self->has_begun = false;
			continue;
		}
		if (self->choice % 2 == 0)
			APUS_AWAIT(self->result, apus_offload_cancel(cx, &self->op, work, &self->work));
		else
			APUS_AWAIT(self->result, apus_offload_run(cx, &self->op, work, &self->work));
		user_take(self, self->result);
	}
	APUS_END(0);
}

enum { USERS = 24 };

struct crowd {
	struct apus_frame frame;
	struct apus_join users[USERS];
};

static void crowd_fill(struct apus_cx *cx, struct crowd *self)
{
	int i;

	for (i = 0; i < USERS; i++) {
		if (self->users[i].serial != 0) {
			if (test_random_below(&ledger.random, 200) == 0)
				apus_abort(cx->loop, self->users[i]);
			if (apus_try_join(cx->loop, self->users[i], NULL) == -EAGAIN)
				continue;
		}
		memset(&self->users[i], 0, sizeof self->users[i]);
		apus_spawn_slab(cx->loop, user, NULL, &self->users[i]);
	}
}

/* Keeps a crowd alive, and aborts one now and then. */
APUS_TASK(crowd, struct crowd)
{
	APUS_BEGIN(cx, self);
	while (ledger.started < ledger.count) {
		crowd_fill(cx, self);
		APUS_WAIT(apus_sleep(cx, 2 * APUS_USEC));
	}
	APUS_END(0);
}

static struct apus_loop *crowd_loop(enum apus_idle idle, int64_t close_wait_ns)
{
	struct apus_config config;

	apus_config_init(&config);
	config.idle = idle;
	config.state_bytes = sizeof(struct crowd);
	config.slot_count = 64;
	config.stall_ns = APUS_NEVER;
	config.offload_threads = 3;
	config.offload_count = 8;
	config.close_wait_ns = close_wait_ns;
	return loop_open_with(&config);
}

static void crowd_run(enum apus_idle idle, uint64_t count)
{
	struct apus_loop *loop;
	struct apus_counters final;

	ledger_open(count, test_seed());
	loop = crowd_loop(idle, 60 * APUS_SEC);
	ck_assert_int_eq(apus_run(loop, crowd, NULL), 0);
	ck_assert_int_eq(apus_close(loop, &final), 0);
	ck_assert_uint_eq(final.offload_leaked, 0);
	ck_assert_uint_eq(final.offload_refused, ledger.refused);
	ledger_close();
}

START_TEST(what_a_busy_loop_starts_is_answered_or_discarded_once)
{
	crowd_run(APUS_IDLE_BUSY, rounds(60000));
}
END_TEST

START_TEST(what_a_parked_loop_starts_is_answered_or_discarded_once)
{
	crowd_run(APUS_IDLE_PARK, rounds(30000));
}
END_TEST

/* ---- closing ------------------------------------------------------------------------------- */

/* S1: whatever is queued, runs, or is on its way back; what close gives up settles itself. */
START_TEST(a_loop_that_closes_under_its_helpers_settles_everything)
{
	uint64_t loops = rounds(400), i;
	struct apus_loop *loop;
	struct apus_counters final;
	uint64_t leaked = 0;
	int turn;

	ledger_open(loops * 10000, test_seed());
	for (i = 0; i < loops; i++) {
		loop = crowd_loop(APUS_IDLE_BUSY, 0);
		ck_assert_int_eq(apus_spawn_slab(loop, crowd, NULL, NULL), 0);
		for (turn = (int)test_random_below(&ledger.random, 100); turn >= 0; turn--)
			apus_turn(loop);
		ck_assert(apus_close(loop, &final) == (final.offload_leaked ? -EBUSY : 0));
		leaked += final.offload_leaked;
	}
	printf("%llu functions were left running by close\n", (unsigned long long)leaked);
	wait_until(apus_load_acquire(&ledger.settled) == ledger.started);
	ledger_close();
}
END_TEST

/* ---- sleeping helpers ------------------------------------------------------------------------ */

struct pair {
	struct apus_frame frame;
	struct apus_offload ops[2];
	struct work works[2];
	uint64_t left;
	apus_poll result;
};

/* One after the other, or two at once: a helper that slept through one would stop it all. */
APUS_TASK(pair, struct pair)
{
	APUS_BEGIN(cx, self);
	for (; self->left > 0; self->left--) {
		self->works[0].number = self->works[1].number = self->left;
		dither(&ledger.random);
		self->result = self->left % 3 != 0 ? 0 :
			apus_offload_start(cx, &self->ops[1], work, &self->works[1]);
		APUS_ASSERT(self->result == 0);
		APUS_AWAIT(self->result, apus_offload_run(cx, &self->ops[0], work, &self->works[0]));
		APUS_ASSERT((uint64_t)self->result == self->left);
		if (self->left % 3 != 0)
			continue;
		APUS_AWAIT(self->result, apus_offload_run(cx, &self->ops[1], work, &self->works[1]));
		APUS_ASSERT((uint64_t)self->result == self->left);
	}
	APUS_END(0);
}

/* P5 between the loop and its helpers, both ways. */
START_TEST(no_helper_sleeps_through_a_request_and_no_loop_through_an_answer)
{
	static const enum apus_idle idles[] = { APUS_IDLE_BUSY, APUS_IDLE_PARK };
	size_t i;

	for (i = 0; i < 2; i++) {
		struct pair init = { .left = rounds(20000) };
		struct apus_loop *loop = crowd_loop(idles[i], APUS_SEC);

		ledger.random = test_random_init(test_seed());
		ck_assert_int_eq(apus_run(loop, pair, &init), 0);
		loop_close(loop);
	}
}
END_TEST

TEST_MAIN("offload", what_a_busy_loop_starts_is_answered_or_discarded_once,
	what_a_parked_loop_starts_is_answered_or_discarded_once,
	a_loop_that_closes_under_its_helpers_settles_everything,
	no_helper_sleeps_through_a_request_and_no_loop_through_an_answer)
