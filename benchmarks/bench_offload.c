/*
 * Question   what does it cost to have a helper thread do nothing, and to await that?
 * Unit       ns from starting it in a task of a busy loop until the answer is there.  The
 *            helper sleeps between two requests, and has to be woken.
 * Rival      a thread that sleeps on a futex, woken and awaited by one that spins: the wake
 *            is what costs, and nothing can be without it.
 * Not shown  many requests at once, which find their helpers awake.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench_loop.h"
#include "bench_wake.h"

#include "apus/offload.h"
#include "apus/task.h"

BENCH_ROW(offload, .name = "cross/offload", .unit = "ns");

/* ---- ours --------------------------------------------------------------------- */

struct nothing {
	uint64_t value;
};

APUS_OFFLOAD(nothing, struct nothing)
{
	return (apus_poll)(self->value + 1);
}

struct asker {
	struct apus_frame frame;
	struct bench *b;
	struct apus_offload op;
	struct nothing data;
	apus_poll answer;
};

APUS_TASK(asker, struct asker)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		APUS_AWAIT(self->answer, apus_offload_run(cx, &self->op, nothing, &self->data));
		if (self->answer != (apus_poll)self->data.value + 1)
			return self->answer < 0 ? self->answer : -EBADMSG;
		bench_sample(self->b, 1);
	}
	APUS_END(0);
}

/* The loop pins itself where the harness had us; its helper goes where we may run, and not there. */
static void offload_apart(struct bench *b)
{
	struct asker init = { .b = b };
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	config.offload_threads = 1;
	config.cpu = b->cpu;
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	if (apus_offload_warm(loop) == 0)
		loop_check(b, apus_run(loop, asker, &init));
	else
		bench_fail(b, "no helper thread");
	loop_close(b, loop);
}

static void offload(struct bench *b)
{
	cpu_set_t pinned, all;
	int cpu;

	CPU_ZERO(&all);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		CPU_SET(cpu, &all);
	if (sched_getaffinity(0, sizeof pinned, &pinned) != 0 ||
	    sched_setaffinity(0, sizeof all, &all) != 0) {
		bench_skip(b, "the processors that we may run on cannot be changed");
		return;
	}
	offload_apart(b);
	(void)sched_setaffinity(0, sizeof pinned, &pinned);
}
BENCH_ENTRANT(offload_apus, .row = "cross/offload", .who = "apus", .run = offload);

/* ---- the least ------------------------------------------------------------------ */

struct sleeper {
	pthread_t thread;
	uint32_t asked; /* how often; a futex.  UINT32_MAX: over */
	uint32_t answered __attribute__((__aligned__(64)));
};

static void *sleeper_run(void *arg)
{
	struct sleeper *sleeper = arg;
	uint32_t done = 0, asked;

	while ((asked = __atomic_load_n(&sleeper->asked, __ATOMIC_ACQUIRE)) != UINT32_MAX) {
		if (asked == done)
			syscall(SYS_futex, &sleeper->asked, FUTEX_WAIT_PRIVATE, asked, NULL, NULL, 0);
		else
			__atomic_store_n(&sleeper->answered, ++done, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void sleeper_ask(struct sleeper *sleeper, uint32_t asked)
{
	__atomic_store_n(&sleeper->asked, asked, __ATOMIC_RELEASE);
	syscall(SYS_futex, &sleeper->asked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void futex_limit(struct bench *b)
{
	struct sleeper sleeper = { .asked = 0 };
	uint32_t asked = 0;

	if (!wake_thread(b, &sleeper.thread, sleeper_run, &sleeper))
		return;
	while (bench_more(b)) {
		sleeper_ask(&sleeper, ++asked);
		while (__atomic_load_n(&sleeper.answered, __ATOMIC_ACQUIRE) != asked)
			;
		bench_sample(b, 1);
	}
	sleeper_ask(&sleeper, UINT32_MAX);
	pthread_join(sleeper.thread, NULL);
}
BENCH_ENTRANT(offload_limit, .row = "cross/offload", .who = "limit", .run = futex_limit);
