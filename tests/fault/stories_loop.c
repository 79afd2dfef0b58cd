/* Opening and closing a loop, parking, signals, and what it takes of the machine. */
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

const struct story stories_loop[] = {
	{ .name = "open and close" },
	{ .name = "clock", .configure = by_tsc, .is_of_no_backend = true },
	{ .name = "park", .configure = parks, .begin = begin_sleeper },
	{ .name = "signals", .configure = takes_signals, .begin = begin_signalled },
	{ .name = "offload", .begin = begin_offloading, .needs_helpers = true },
	{ .name = NULL },
};
