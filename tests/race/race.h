/*
 * race.h - what the race tests share: how many rounds, and loops on threads of their own.
 *
 * APUS_RACE_SCALE multiplies all rounds (10, 0.01 ...); sanitized builds run fewer.
 */
#ifndef APUS_RACE_H
#define APUS_RACE_H

#include "apus/remote.h"
#include "loop_test.h"
#include "wait/process.h"

#include <pthread.h>
#include <sched.h>

/* At least 2. */
TEST_UNUSED static uint64_t rounds(double full)
{
	const char *scale = getenv("APUS_RACE_SCALE");
	double count = full;

	if (scale != NULL)
		count *= strtod(scale, NULL);
	else if (TEST_TSAN)
		count /= 10;
	else if (TEST_ASAN)
		count /= 5;
	return count < 2 ? 2 : (uint64_t)count;
}

/* A few nanoseconds to a microsecond: meets the other thread at another step each time. */
TEST_UNUSED static void dither(struct test_random *random)
{
	volatile uint64_t left = test_random_below(random, 8) == 0 ? test_random_below(random, 512) :
								     test_random_below(random, 16);

	while (left > 0)
		left--;
}

/* Spins while the other thread is about to do it, and lets it if it has no processor. */
#define wait_until(claim)                                       \
	do {                                                    \
		unsigned wait_turns_ = 0;                       \
		while (!(claim))                                \
			if (++wait_turns_ % 256 == 0)           \
				sched_yield();                  \
	} while (0)

/*
 * Sends a signal and waits for what its handler does.  The thread sanitizer keeps a signal back
 * until the thread next calls libc, and has been seen to forget it then: there, once more.
 */
#define signal_until(thread_, number_, claim)                   \
	do {                                                    \
		unsigned signal_turns_ = 0;                     \
		pthread_kill((thread_), (number_));             \
		while (!(claim)) {                              \
			sched_yield();                          \
			if (TEST_TSAN && ++signal_turns_ % 1000 == 0) \
				pthread_kill((thread_), (number_)); \
		}                                               \
	} while (0)

/* ---- a loop on a thread ---------------------------------------------------------- */

struct host {
	struct apus_config config;
	struct apus_remote remote; /* valid from host_start to ... ever */
	struct apus_loop *loop;
	struct apus_counters final;
	apus_poll result;
	pthread_t thread;
	uint32_t open;
};

struct host_root {
	struct apus_frame frame;
};

/* Runs until the loop is told to stop. */
APUS_TASK(host_root, struct host_root)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_cancelled(cx, apus_loop_token(cx->loop)));
	APUS_END(0);
}

TEST_UNUSED static void *host_main(void *arg)
{
	struct host *host = arg;
	int err = apus_open(&host->loop, &host->config);

	if (err) {
		fprintf(stderr, "open: %d: %s\n", err, host->config.reason);
		abort();
	}
	host->remote = apus_loop_remote(host->loop);
	apus_store_release(&host->open, 1);
	host->result = apus_run(host->loop, host_root, NULL);
	apus_close(host->loop, &host->final);
	return NULL;
}

TEST_UNUSED static void host_config(struct host *host, enum apus_idle idle)
{
	memset(host, 0, sizeof *host);
	apus_config_init(&host->config);
	host->config.idle = idle;
	host->config.slot_count = 256;
	host->config.backoff_turns = 50;
	host->config.stall_ns = 3600 * APUS_SEC;
}

TEST_UNUSED static void host_start(struct host *host)
{
	ck_assert_int_eq(pthread_create(&host->thread, NULL, host_main, host), 0);
	wait_until(apus_load_acquire(&host->open));
}

TEST_UNUSED static void host_begin(struct host *host, enum apus_idle idle)
{
	host_config(host, idle);
	host_start(host);
}

/* The loop stops, ends what it has and is closed. */
TEST_UNUSED static void host_end(struct host *host)
{
	ck_assert_int_eq(apus_remote_stop(host->remote), 0);
	pthread_join(host->thread, NULL);
	ck_assert_int_eq((int)host->result, 0);
}

/* ---- the pool ---------------------------------------------------------------------- */

TEST_UNUSED static uint64_t cells_made(void)
{
	struct apusi_process *process = apusi_process();
	uint64_t count;

	apusi_process_lock(process);
	count = process->cell_count;
	apusi_process_unlock(process);
	return count;
}

TEST_UNUSED static uint64_t ports_made(void)
{
	struct apusi_process *process = apusi_process();
	uint64_t count;

	apusi_process_lock(process);
	count = process->port_count;
	apusi_process_unlock(process);
	return count;
}


#endif
