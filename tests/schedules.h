/*
 * schedules.h - for tests that run a program over many seeds of the simulated network.
 *
 * How many: a test's own count, or APUS_SCHEDULES=n, or with APUS_SIM_SEED=n that one alone.
 * What fails names its seed, also when it panics or crashes.
 */
#ifndef APUS_TEST_SCHEDULES_H
#define APUS_TEST_SCHEDULES_H

#include "apus/loop.h"
#include "apus/sim.h"
#include "test.h"

static uint64_t schedule_seed; /* of the one that runs */

/* Only one that fails costs anything: check writes down each assertion that it is told of. */
#define expect(claim)                                                                        \
	do {                                                                                 \
		if (apus_unlikely(!(claim)))                                                 \
			ck_abort_msg("seed %" PRIu64 ": not %s (again with APUS_SIM_SEED=%"   \
				PRIu64 ", every step with APUS_SIM_TRACE=1)", schedule_seed,  \
				#claim, schedule_seed);                                      \
	} while (0)

static void schedule_crashed(int number)
{
	char text[96];
	int length = snprintf(text, sizeof text, "seed %" PRIu64 ": crashed (again with "
		"APUS_SIM_SEED=%" PRIu64 ")\n", schedule_seed, schedule_seed);

	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		_exit(1);
	signal(number, SIG_DFL);
	raise(number);
}

/* Each step takes longer there. */
enum { SCHEDULE_SHARE = TEST_ASAN || TEST_TSAN ? 4 : 1 };

/* The program once for each seed; how many there were. */
TEST_UNUSED static uint64_t schedules_run(uint64_t count, void (*program)(uint64_t seed))
{
	const char *one = getenv("APUS_SIM_SEED"), *many = getenv("APUS_SCHEDULES");
	uint64_t first = 1, i;

	count /= SCHEDULE_SHARE;
	if (many != NULL && *many != '\0')
		count = strtoull(many, NULL, 0);
	if (one != NULL && *one != '\0') {
		first = strtoull(one, NULL, 0);
		count = 1;
	}
	signal(SIGABRT, schedule_crashed);
	for (i = 0; i < count; i++) {
		schedule_seed = first + i;
		program(schedule_seed);
	}
	return count;
}

/* A loop over the rough network of that seed, as small as a program of some tasks needs. */
TEST_UNUSED static struct apus_loop *schedule_open(const struct apus_sim_config *sim)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.backend = APUS_IO_SIM;
	config.sim = sim;
	config.slot_count = 64;
	config.state_bytes = 1024;
	config.wait_count = 64;
	config.token_count = 16;
	config.waker_count = 8;
	config.remote_count = 8;
	config.unowned_timers = 8;
	config.socket_count = 64;
	config.segment_bytes = 256;
	config.segment_count = 4;
	config.file_count = 4;
	config.offload_count = 1;
	config.log_fn = NULL;
#if APUS_DEBUG
	config.spurious_seed = sim->seed | 1; /* awaits are evaluated again for no reason */
#endif
	err = apus_open(&loop, &config);
	ck_assert_msg(err == 0, "open: %d: %s", err, config.reason);
	return loop;
}

#endif
