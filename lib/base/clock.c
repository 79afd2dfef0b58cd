#include <string.h>
#include <time.h>

#include "base/clock_source.h"

enum {
	SAMPLE_TRIES = 8,
	RATE_BITS = 32,
	SLEW_PARTS = 1024, /* at most 1/1024 faster or slower than CLOCK_MONOTONIC */
	SPIN_MAX = 5 * 1000 * 1000
};

#define CALIBRATE_NS (1 * APUS_MSEC)
#define INTERVAL_FIRST_NS (10 * APUS_MSEC)
#define INTERVAL_MAX_NS (1 * APUS_SEC)
/* Two cores' counters may differ by less than it takes a thread to move between them. */
#define BACKWARDS_MAX_NS (1 * APUS_USEC)
#define NEAR_NS (1 * APUS_MSEC)

/* ---- this machine ---------------------------------------------------- */

static int64_t gettime_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

static int64_t machine_monotonic_ns(void *arg)
{
	(void)arg;
	return gettime_ns(CLOCK_MONOTONIC);
}

static int64_t machine_wall_ns(void *arg)
{
	(void)arg;
	return gettime_ns(CLOCK_REALTIME);
}

static const struct apusi_clock_source machine = {
	.ticks = apusi_machine_ticks,
	.monotonic_ns = machine_monotonic_ns,
	.wall_ns = machine_wall_ns,
	.ticks_are_invariant = apusi_machine_ticks_are_invariant,
	.is_machine = true,
};

static uint64_t ticks_read(const struct apus_clock *clock)
{
	return clock->source->ticks(clock->source->arg);
}

static int64_t monotonic_read(const struct apus_clock *clock)
{
	return clock->source->monotonic_ns(clock->source->arg);
}

/* ---- samples: the counter and CLOCK_MONOTONIC at one instant ------------ */

struct sample {
	uint64_t ticks;
	uint64_t width; /* ticks between the two reads of the counter around it */
	int64_t ns;
};

/* The narrowest of a few, so that an interrupt in between does no harm. */
static struct sample sample_take(const struct apus_clock *clock)
{
	struct sample best = { 0, UINT64_MAX, 0 };

	for (unsigned i = 0; i < SAMPLE_TRIES; i++) {
		uint64_t before = ticks_read(clock);
		int64_t ns = monotonic_read(clock);
		uint64_t width = ticks_read(clock) - before;

		if (width < best.width)
			best = (struct sample){ before + width / 2, width, ns };
		if (width <= clock->sampled_width)
			break;
	}
	return best;
}

static int64_t rate_between(uint64_t ticks, int64_t ns)
{
	return (int64_t)(((apus_int128)ns << RATE_BITS) / (apus_int128)ticks);
}

static int64_t scale(uint64_t ticks, int64_t rate)
{
	return (int64_t)(((apus_int128)ticks * rate) >> RATE_BITS);
}

static uint64_t ticks_of(int64_t ns, int64_t rate)
{
	return (uint64_t)(((apus_int128)ns << RATE_BITS) / rate);
}

/* ---- one clock from the counter ------------------------------------------ */

/*
 * A new stretch from the sample on: it starts where the last one ended, and spreads the
 * error over the span in which it is used unchecked, so it never overshoots.
 */
static void stretch_begin(struct apus_clock *clock, const struct sample *sample, int64_t now_ns)
{
	int64_t span_ns = 2 * clock->interval_ns;
	int64_t slew_max_ns = span_ns / SLEW_PARTS;
	int64_t slew_ns = sample->ns - now_ns;

	if (slew_ns > slew_max_ns)
		slew_ns = slew_max_ns;
	if (slew_ns < -slew_max_ns)
		slew_ns = -slew_max_ns;
	clock->base_ticks = sample->ticks;
	clock->base_ns = now_ns;
	clock->span_ticks = ticks_of(span_ns, clock->rate_measured);
	clock->rate = rate_between(clock->span_ticks, span_ns + slew_ns);
	clock->sampled_ns = sample->ns;
	clock->sampled_width = sample->width;
	clock->due_ns = now_ns + clock->interval_ns;
}

/* The time by the stretch that ends here; beyond its span it has no error left to slew. */
static int64_t stretch_end_ns(const struct apus_clock *clock, uint64_t ticks)
{
	uint64_t gap = ticks - clock->base_ticks;
	uint64_t slewed = gap < clock->span_ticks ? gap : clock->span_ticks;

	return clock->base_ns + scale(slewed, clock->rate) +
		scale(gap - slewed, clock->rate_measured);
}

/* Whether the counter has run since the last sample at the rate that we know it by. */
static bool counter_is_sound(const struct apus_clock *clock, const struct sample *sample,
	int64_t rate)
{
	uint64_t gap = sample->ticks - clock->base_ticks;
	apus_int128 noise = (apus_int128)clock->rate_measured *
		(int64_t)((clock->sampled_width + sample->width) / 2) / (apus_int128)gap;
	int64_t off = rate - clock->rate_measured;

	return (off < 0 ? -off : off) <= clock->rate_measured / SLEW_PARTS + noise;
}

static int64_t clock_ns(const struct apus_clock *clock)
{
	if (clock->kind == APUS_CLOCK_MONOTONIC)
		return monotonic_read(clock) + clock->offset_ns;
	return apus_clock_from_ticks(clock, ticks_read(clock));
}

static void wall_follow(struct apus_clock *clock)
{
	int64_t best = INT64_MAX;

	for (unsigned i = 0; i < SAMPLE_TRIES / 2; i++) {
		int64_t before_ns = clock_ns(clock);
		int64_t wall_ns = clock->source->wall_ns(clock->source->arg);
		int64_t width_ns = clock_ns(clock) - before_ns;

		if (width_ns < 0 || width_ns >= best)
			continue;
		best = width_ns;
		clock->wall_offset_ns = wall_ns - (before_ns + width_ns / 2);
	}
}

/* Where CLOCK_MONOTONIC is behind what was answered already, an offset carries on from it. */
static int clock_fall_back(struct apus_clock *clock)
{
	int64_t now_ns = monotonic_read(clock);

	clock->is_inline = false;
	clock->has_fallen_back = true;
	clock->kind = APUS_CLOCK_MONOTONIC;
	clock->offset_ns = clock->last_ns > now_ns ? clock->last_ns - now_ns : 0;
	clock->sampled_ns = now_ns;
	clock->interval_ns = INTERVAL_MAX_NS;
	clock->due_ns = now_ns + clock->offset_ns + clock->interval_ns;
	wall_follow(clock);
	return -ENOTSUP;
}

static int ticks_recalibrate(struct apus_clock *clock)
{
	struct sample sample = sample_take(clock);
	int64_t gap_ns = sample.ns - clock->sampled_ns;
	int64_t gap_ticks = (int64_t)(sample.ticks - clock->base_ticks);
	int64_t rate, now_ns;

	if (gap_ticks <= 0) {
		bool is_near = gap_ns < NEAR_NS &&
			scale((uint64_t)-gap_ticks, clock->rate_measured) < BACKWARDS_MAX_NS;

		return is_near ? 0 : clock_fall_back(clock);
	}
	/* Too soon: the error of a sample would weigh more than it may over the span. */
	if (gap_ns < clock->interval_ns / 4 && (uint64_t)gap_ticks <= clock->span_ticks)
		return 0;
	rate = rate_between((uint64_t)gap_ticks, gap_ns);
	if (!counter_is_sound(clock, &sample, rate))
		return clock_fall_back(clock);
	now_ns = stretch_end_ns(clock, sample.ticks);
	clock->rate_measured = rate;
	if (clock->interval_ns < INTERVAL_MAX_NS)
		clock->interval_ns *= 2;
	stretch_begin(clock, &sample, now_ns);
	wall_follow(clock);
	return 0;
}

/* After a fall back: the offset goes, as slowly as an error does. */
static int offset_recalibrate(struct apus_clock *clock)
{
	int64_t now_ns = monotonic_read(clock);
	int64_t slew_ns = (now_ns - clock->sampled_ns) / SLEW_PARTS;

	clock->offset_ns -= slew_ns < clock->offset_ns ? slew_ns : clock->offset_ns;
	clock->sampled_ns = now_ns;
	clock->due_ns = now_ns + clock->offset_ns + clock->interval_ns;
	wall_follow(clock);
	return 0;
}

int apus_clock_recalibrate(struct apus_clock *clock)
{
	switch (clock->kind) {
	case APUS_CLOCK_TSC:
		return ticks_recalibrate(clock);
	case APUS_CLOCK_MONOTONIC:
		return offset_recalibrate(clock);
	default:
		return 0;
	}
}

int64_t apus_clock_read_slow(struct apus_clock *clock)
{
	int64_t now_ns;

	if (clock->kind == APUS_CLOCK_VIRTUAL)
		return clock->last_ns;
	if (clock->kind == APUS_CLOCK_TSC &&
	    ticks_read(clock) - clock->base_ticks > clock->span_ticks)
		apus_clock_recalibrate(clock);
	now_ns = clock_ns(clock);
	if (now_ns < clock->last_ns)
		now_ns = clock->last_ns;
	return clock->last_ns = now_ns;
}

/* ---- init ------------------------------------------------------------------ */

/* The first rate, from two samples a millisecond apart. */
static int ticks_init(struct apus_clock *clock)
{
	struct sample first, second;
	int64_t until_ns;

	if (!clock->source->ticks_are_invariant(clock->source->arg))
		return -ENOTSUP;
	clock->sampled_width = 0;
	first = sample_take(clock);
	until_ns = first.ns + CALIBRATE_NS;
	for (unsigned spins = 0; monotonic_read(clock) < until_ns; spins++) {
		if (spins == SPIN_MAX)
			return -ENOTSUP;
	}
	second = sample_take(clock);
	if ((int64_t)(second.ticks - first.ticks) <= 0)
		return -ENOTSUP;
	clock->kind = APUS_CLOCK_TSC;
	clock->is_inline = clock->source->is_machine;
	clock->rate_measured = rate_between(second.ticks - first.ticks, second.ns - first.ns);
	clock->interval_ns = INTERVAL_FIRST_NS;
	stretch_begin(clock, &second, second.ns);
	return 0;
}

static void monotonic_init(struct apus_clock *clock)
{
	clock->kind = APUS_CLOCK_MONOTONIC;
	clock->sampled_ns = monotonic_read(clock);
	clock->interval_ns = INTERVAL_MAX_NS;
	clock->due_ns = clock->sampled_ns + clock->interval_ns;
}

int apusi_clock_init(struct apus_clock *clock, enum apus_clock_kind kind,
	const struct apusi_clock_source *source)
{
	int err = -ENOTSUP;

	memset(clock, 0, sizeof *clock);
	clock->source = source;
	clock->kind = kind;
	clock->due_ns = APUS_NEVER;
	switch (kind) {
	case APUS_CLOCK_VIRTUAL:
		return 0;
	case APUS_CLOCK_AUTO:
	case APUS_CLOCK_TSC:
		err = ticks_init(clock);
		if (err != 0 && kind == APUS_CLOCK_TSC)
			return err;
		break;
	case APUS_CLOCK_MONOTONIC:
		break;
	default:
		return -EINVAL;
	}
	if (err != 0)
		monotonic_init(clock);
	clock->last_ns = clock_ns(clock);
	wall_follow(clock);
	return 0;
}

int apus_clock_init(struct apus_clock *clock, enum apus_clock_kind kind)
{
	return apusi_clock_init(clock, kind, &machine);
}

/* ---- virtual time ------------------------------------------------------------ */

int apus_clock_set(struct apus_clock *clock, int64_t now_ns)
{
	if (clock->kind != APUS_CLOCK_VIRTUAL || now_ns < clock->last_ns)
		return -EINVAL;
	clock->last_ns = now_ns;
	return 0;
}

int apus_clock_advance(struct apus_clock *clock, int64_t ns)
{
	if (ns < 0)
		return -EINVAL;
	return apus_clock_set(clock, apus_ns_add(clock->last_ns, ns));
}
