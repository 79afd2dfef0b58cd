/*
 * clock_source.h - what a clock reads: this machine, or a test's idea of one.
 */
#ifndef APUSI_CLOCK_SOURCE_H
#define APUSI_CLOCK_SOURCE_H

#include "apus/clock.h"

struct apusi_clock_source {
	uint64_t (*ticks)(void *arg);
	int64_t (*monotonic_ns)(void *arg);
	int64_t (*wall_ns)(void *arg);
	bool (*ticks_are_invariant)(void *arg);
	void *arg;
	bool is_machine; /* ticks are what the inline half reads by itself */
};

/* source stays the caller's, and must outlive the clock. */
int apusi_clock_init(struct apus_clock *clock, enum apus_clock_kind kind,
	const struct apusi_clock_source *source);

/* One file a platform. */
uint64_t apusi_machine_ticks(void *arg);
bool apusi_machine_ticks_are_invariant(void *arg);

#endif
