/*
 * apus/clock.h - what time it is: the processor's own counter held to CLOCK_MONOTONIC.
 *
 *   Units      nanoseconds of CLOCK_MONOTONIC; of UTC since 1970 where a name says wall.
 *   Errors     0 or -errno; reading cannot fail.
 *   Ownership  the caller's memory; holds no resource, needs no deinit.
 *   Threads    one a clock; clocks of several threads agree as their CLOCK_MONOTONIC does.
 *   Order      what apus_clock_read returns never goes backwards.
 *   Cost       read: rdtsc and a multiplication, no call, no fence; with kind MONOTONIC a
 *              clock_gettime.  recalibrate: some ten clock_gettime, never more.
 *   Source     clock discipline by bounded slewing: D. L. Mills, RFC 1305, 1992, without its
 *              filters, since the reference is read directly; doc/adr/0021-clock.md.
 *
 * A turn reads the clock once and everything in it uses that value, cx->now_ns.  This one
 * is fresh at every call.
 */
#ifndef APUS_CLOCK_H
#define APUS_CLOCK_H

#include "apus/base.h"

enum apus_clock_kind {
	APUS_CLOCK_AUTO,      /* TSC where it can be trusted, else MONOTONIC */
	APUS_CLOCK_TSC,
	APUS_CLOCK_MONOTONIC,
	APUS_CLOCK_VIRTUAL    /* stands still until advanced or set; begins at 0 */
};

struct apusi_clock_source;
__extension__ typedef __int128 apus_int128;

/* Open only for the inlines below: read it through them. */
struct apus_clock {
	bool is_inline;       /* the counter may be read without a call */
	bool has_fallen_back;
	enum apus_clock_kind kind; /* never AUTO */
	uint64_t base_ticks;  /* the counter stood here ... */
	int64_t base_ns;      /* ... at this time, */
	int64_t rate;         /* and runs at so many 2^-32 ns a tick, slewing included, */
	uint64_t span_ticks;  /* so far; beyond, or behind base_ticks, it has to be checked */
	int64_t last_ns;      /* the latest answer */
	int64_t due_ns;       /* recalibrate from here on */
	int64_t wall_offset_ns;

	/* Of apus_clock_recalibrate alone. */
	int64_t rate_measured;     /* against CLOCK_MONOTONIC, without slewing */
	int64_t sampled_ns;        /* CLOCK_MONOTONIC at base_ticks */
	uint64_t sampled_width;    /* ticks that reading it took: the error of the sample */
	int64_t interval_ns;
	int64_t offset_ns;         /* MONOTONIC: added, so as not to go backwards */
	const struct apusi_clock_source *source;
};

APUS_BEGIN_DECLS

/*
 * A TSC is calibrated here, which takes about a millisecond.
 * -ENOTSUP: TSC was asked for, and the processor does not say that its counter is
 * invariant, or the kernel found it unstable.  -EINVAL: no such kind.
 */
APUS_API int apus_clock_init(struct apus_clock *clock, enum apus_clock_kind kind);

/*
 * Holds the counter to CLOCK_MONOTONIC and the wall clock to CLOCK_REALTIME: to be called
 * when apus_clock_is_due, and every so many turns too, since a counter that has stopped
 * does not get due.  Reading calls it when it is long overdue.  An error is slewed away at
 * no more than one part in 1024.  -ENOTSUP: the counter went backwards, stopped or leapt,
 * so the clock has just fallen back to kind MONOTONIC, for good.
 */
APUS_API int apus_clock_recalibrate(struct apus_clock *clock);

/* Virtual time: by ns, or to now_ns.  -EINVAL: it would go backwards, or is not virtual. */
APUS_API int apus_clock_advance(struct apus_clock *clock, int64_t ns);
APUS_API int apus_clock_set(struct apus_clock *clock, int64_t now_ns);

/* The cold half of apus_clock_read. */
APUS_API int64_t apus_clock_read_slow(struct apus_clock *clock);

APUS_END_DECLS

/* The kind in use: never AUTO, and MONOTONIC after a fall back. */
APUS_INLINE enum apus_clock_kind apus_clock_kind_of(const struct apus_clock *clock)
{
	return clock->kind;
}

APUS_INLINE bool apus_clock_has_fallen_back(const struct apus_clock *clock)
{
	return clock->has_fallen_back;
}

APUS_INLINE bool apus_clock_is_due(const struct apus_clock *clock, int64_t now_ns)
{
	return now_ns >= clock->due_ns;
}

APUS_INLINE int64_t apus_clock_from_ticks(const struct apus_clock *clock, uint64_t ticks)
{
	apus_int128 ns = (apus_int128)(int64_t)(ticks - clock->base_ticks) * clock->rate;

	return clock->base_ns + (int64_t)(ns >> 32);
}

/*
 * The time now.  The counter is read without a fence: the read may move by some nanoseconds
 * against the loads and stores around it.
 */
APUS_INLINE int64_t apus_clock_read(struct apus_clock *clock)
{
#if defined(__x86_64__)
	if (apus_likely(clock->is_inline)) {
		uint64_t ticks = __builtin_ia32_rdtsc();

		if (apus_likely(ticks - clock->base_ticks <= clock->span_ticks)) {
			int64_t now_ns = apus_clock_from_ticks(clock, ticks);

			if (apus_unlikely(now_ns < clock->last_ns))
				now_ns = clock->last_ns;
			return clock->last_ns = now_ns;
		}
	}
#endif
	return apus_clock_read_slow(clock);
}

/* A time of this clock as UTC.  UTC may be stepped, back as well; followed when recalibrated. */
APUS_INLINE int64_t apus_clock_wall_at(const struct apus_clock *clock, int64_t now_ns)
{
	return now_ns + clock->wall_offset_ns;
}

/* UTC now; of a virtual clock the virtual time itself. */
APUS_INLINE int64_t apus_clock_wall(struct apus_clock *clock)
{
	return apus_clock_wall_at(clock, apus_clock_read(clock));
}

#endif
