/* Opening and closing a loop, parking, signals, and what it takes of the machine. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>

#include "story.h"

/* ---- clocks --------------------------------------------------------------------------- */

static void by_tsc(struct apus_config *config)
{
	config->clock = APUS_CLOCK_AUTO;
}

/* ---- parking ---------------------------------------------------------------------------- */

static void parks(struct apus_config *config)
{
	config->idle = APUS_IDLE_PARK;
}

struct sleeper {
	struct apus_frame frame;
	int64_t got;
	int i;
};

APUS_TASK(sleeper, struct sleeper)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 3; self->i++)
		STEP(self->got, apus_sleep(cx, 20 * APUS_USEC));
	APUS_END(0);
}
STORY_BEGIN(sleeper)

/* ---- signals ------------------------------------------------------------------------------ */

static void takes_signals(struct apus_config *config)
{
	config->signals = true;
	config->signal_set = APUS_SIGNAL(SIGUSR1) | APUS_SIGNAL(SIGHUP);
}

struct signalled {
	struct apus_frame frame;
	int64_t got;
};

APUS_TASK(signalled, struct signalled)
{
	APUS_BEGIN(cx, self);
	raise(SIGUSR1);
	STEP(self->got, apus_signal(cx, APUS_SIGNAL(SIGUSR1)));
	APUS_END(0);
}
STORY_BEGIN(signalled)

/* ---- helpers ------------------------------------------------------------------------------- */

APUS_OFFLOAD(nothing, int)
{
	return *self;
}

struct offloading {
	struct apus_frame frame;
	struct apus_offload op;
	int64_t got;
	int data;
};

APUS_TASK(offloading, struct offloading)
{
	APUS_BEGIN(cx, self);
	DO(apus_offload_warm(cx->loop));
	STEP(self->got, apus_offload_run(cx, &self->op, nothing, &self->data));
	APUS_END(0);
}
STORY_BEGIN(offloading)

/* ---- what it takes of the machine ---------------------------------------------------------- */

/* The class and the locks are not taken for true: they would be the test's own. */
static void machine_before(void)
{
	fault_pretend(FAULT_sched_setscheduler, 0);
	fault_pretend(FAULT_mlockall, 0);
	fault_pretend(FAULT_mlock, 0);
}

static int first_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof set, &set);
	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

static void takes_machine(struct apus_config *config)
{
	static int cpu = -1;

	if (cpu < 0)
		cpu = first_cpu();
	config->cpu = cpu;
	config->fifo_priority = 1;
	config->fifo_force = true;
	config->lock_memory = true;
	config->numa_node = 0;
}

/* Not everybody may write there. */
static void holds_latency(struct apus_config *config)
{
	config->hold_latency = true;
}

static void helper_of_fifo(void)
{
	fault_pretend(FAULT_sched_getscheduler, SCHED_FIFO);
}

/* ---- described --------------------------------------------------------------------------------- */

struct described {
	struct apus_frame frame;
	char text[1024];
};

APUS_TASK(described, struct described)
{
	if (apus_loop_describe(cx->loop, self->text, sizeof self->text) < 100)
		tell(-EBADMSG);
	return 0;
}
STORY_BEGIN(described)

/* ---- memory of its own ----------------------------------------------------------------------------- */

struct slabs {
	struct apus_frame frame;
	struct apus_slab slab;
	void *slot;
	int64_t got;
};

static void slabs_end(struct apus_cx *cx, struct slabs *self)
{
	(void)cx;
	if (self->slot != NULL)
		apus_slab_deinit(&self->slab);
}

APUS_TASK(slabs, struct slabs, slabs_end)
{
	const struct apus_slab_config config = { .slot_bytes = 64, .slot_count = 64,
		.huge_try = true, .prefault = true };

	(void)cx;
	DO(apus_slab_init(&self->slab, &config));
	self->slot = apus_slab_claim(&self->slab);
	if (self->slot == NULL)
		tell(-ENOSPC);
	return 0;
}
STORY_BEGIN(slabs)

/* ---- from other threads ------------------------------------------------------------------------------ */

APUS_SPSC(numbers, int, 8)

static struct numbers numbers;

struct hearer {
	struct apus_frame frame;
	int64_t got;
	int value;
	bool is_open;
	struct apus_counters counters;
};

static void hearer_end(struct apus_cx *cx, struct hearer *self)
{
	(void)cx;
	if (self->is_open)
		apus_spsc_deinit(&numbers);
}

/* Parks with its bell armed; sleeps as another thread would; asks as another thread would. */
APUS_TASK(hearer, struct hearer, hearer_end)
{
	APUS_BEGIN(cx, self);
	DO(apus_spsc_init(&numbers));
	self->is_open = true;
	APUS_AWAIT(self->got, apus_timeout(cx, 30 * APUS_USEC,
		apus_spsc_recv(cx, &numbers, &self->value)));
	if (self->got != -ETIME)
		tell(self->got);
	STEP(self->got, apus_yield(cx)); /* at the end of the second poll it waits no more */
	STEP(self->got, apus_yield(cx));
	self->got = apus_spsc_wait_recv(&numbers, 30 * APUS_USEC, &self->value);
	if (self->got != -ETIME)
		tell(self->got);
	self->got = apus_remote_counters(apus_loop_remote(cx->loop), 0, &self->counters);
	if (self->got != -ETIME)
		tell(self->got);
	STEP(self->got, apus_yield(cx));
	APUS_END(0);
}
STORY_BEGIN(hearer)

/* ---- between processes ------------------------------------------------------------------------ */

enum { CAPACITY = 1024 };

static _Alignas(APUS_CACHE_LINE) char ring_memory[APUS_RING_BYTES(CAPACITY)];

struct passer {
	struct apus_frame frame;
	struct apus_ring ring;
	struct apus_claim claim;
	bool is_open;
};

static void passer_end(struct apus_cx *cx, struct passer *self)
{
	(void)cx;
	if (self->is_open)
		apus_ring_deinit(&self->ring);
}

/* A claim of a process that lives, passed over: its bytes are not anybody else's until it answers. */
APUS_TASK(passer, struct passer, passer_end)
{
	(void)cx;
	DO(apus_ring_init(&self->ring, ring_memory, CAPACITY, APUS_RING_SHARED | APUS_RING_MPSC));
	self->is_open = true;
	DO(apus_ring_try_claim(&self->ring, 16, &self->claim));
	DO(apus_ring_pass(&self->ring));
	apus_ring_reap(&self->ring);
	if (apus_ring_held_bytes(&self->ring) == 0)
		tell(-EOWNERDEAD);
	if (apus_ring_commit(&self->ring, &self->claim) != -ESTALE)
		tell(-EBADMSG);
	return 0;
}
STORY_BEGIN(passer)

static void without_proc(void)
{
	fault_pretend(FAULT_open, -ENOENT);
}

const struct story stories_loop[] = {
	{ .name = "open and close", .is_simulated = true },
	{ .name = "first loop", .is_cold = true },
	{ .name = "clock", .configure = by_tsc, .is_of_no_backend = true },
	{ .name = "park", .configure = parks, .begin = begin_sleeper },
	{ .name = "signals", .configure = takes_signals, .begin = begin_signalled,
		.is_of_no_backend = true },
	{ .name = "offload", .begin = begin_offloading, .needs_helpers = true },
	{ .name = "offload beside a loop of SCHED_FIFO", .before = helper_of_fifo,
		.begin = begin_offloading, .needs_helpers = true, .is_of_no_backend = true },
	{ .name = "machine", .before = machine_before, .configure = takes_machine },
	{ .name = "idle latency", .configure = holds_latency, .is_of_no_backend = true },
	{ .name = "describe", .begin = begin_described, .is_of_no_backend = true },
	{ .name = "slabs", .begin = begin_slabs, .is_of_no_backend = true },
	{ .name = "other threads", .configure = parks, .begin = begin_hearer },
	{ .name = "other processes", .begin = begin_passer, .is_of_no_backend = true },
	{ .name = "other processes without /proc", .before = without_proc, .begin = begin_passer,
		.is_of_no_backend = true },
	{ .name = NULL },
};
