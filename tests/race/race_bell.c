/*
 * P5: the handshake of a bell, 2 * 10^5 rounds (a tenth under TSan), the sleep replaced by a
 * note.  In each round one side publishes and then looks at the bell, while the other sets the
 * bell and then looks for what was published.  If neither sees the other a sleeper would sleep
 * for ever.  The library's cold half is compiled in: its inside is not exported.
 */
#include "channels/ends.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

enum { ROUNDS = TEST_TSAN ? 20000 : 200000, SPINS = 2000 };

static struct {
	uint32_t arrived __attribute__((__aligned__(64)));
	uint32_t published __attribute__((__aligned__(64)));
	struct apus_ends ends;
	bool saw_message, saw_bell __attribute__((__aligned__(64)));
	bool sticky;
} duel;

/* A barrier of the scheduler's would let the two go one after the other. */
static void meet(uint32_t *round)
{
	int spins = 0;

	__atomic_fetch_add(&duel.arrived, 1, __ATOMIC_ACQ_REL);
	*round += 2;
	while ((int32_t)(apus_load_acquire(&duel.arrived) - *round) < 0)
		if (++spins % SPINS == 0)
			sched_yield();
}

static void dawdle(struct test_random *random)
{
	volatile uint64_t spin = test_random_below(random, 60);

	while (spin-- > 0)
		;
}

static void *publish(void *arg)
{
	struct test_random random = test_random_init((uint64_t)(uintptr_t)arg);
	uint32_t *bell = &duel.ends.gate.recv_bell, round = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		meet(&round);
		/* Each side's store is to a line that the other has: it takes long. */
		apus_store_relaxed(&duel.ends.gate.queued, (uint32_t)i);
		meet(&round);
		dawdle(&random);
		apus_store_release(&duel.published, 1);
		apus_order_compiler(); /* as apus_bell_look does, but for the ringing */
		if (apus_load_relaxed(bell) != 0)
			duel.saw_bell = (apus_and_full(bell, ~(uint32_t)APUS_BELL_ASLEEP) &
				APUS_BELL_ASLEEP) != 0;
		meet(&round);
	}
	return NULL;
}

/* How many were lost. */
static int sleep_rounds(uint64_t seed)
{
	struct test_random random = test_random_init(seed);
	uint32_t *bell = &duel.ends.gate.recv_bell, round = 0;
	int i, lost = 0;
	bool set;

	for (i = 0; i < ROUNDS; i++) {
		duel.saw_bell = false;
		apus_store_relaxed(&duel.published, 0);
		apus_store_relaxed(bell, duel.sticky ? APUS_BELL_RINGS : 0);
		meet(&round);
		meet(&round);
		dawdle(&random);
		set = apusi_bell_set(bell, APUS_BELL_ASLEEP);
		duel.saw_message = apus_load_acquire(&duel.published) != 0;
		meet(&round);
		lost += set && !duel.saw_message && !duel.saw_bell;
	}
	return lost;
}

/* _i 0: each sleep is the bell's first, with the barrier; 1: it is set, exchanges alone. */
START_TEST(a_sleeper_sees_the_message_or_is_seen)
{
	uint64_t seed = test_seed();
	pthread_t thread;
	int lost;

	ck_assert_int_eq(apus_ends_init(&duel.ends, 256, 16, 2), 0);
	if (duel.ends.gate.always != 0 && _i == 0)
		TEST_SKIP("no membarrier");
	duel.sticky = _i == 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, publish, (void *)(uintptr_t)~seed), 0);
	lost = sleep_rounds(seed);
	pthread_join(thread, NULL);
	ck_assert_int_eq(lost, 0);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = test_case("bell");

	tcase_set_timeout(all, 4 * TEST_HANG_SECONDS);
	tcase_add_loop_test(all, a_sleeper_sees_the_message_or_is_seen, 0, 2);
	return test_run(argc, argv, all);
}
