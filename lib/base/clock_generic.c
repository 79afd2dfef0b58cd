#include "base/clock_source.h"

/* A machine whose counter we do not know how to read: clocks fall back to MONOTONIC. */

uint64_t apusi_machine_ticks(void *arg)
{
	(void)arg;
	return 0;
}

bool apusi_machine_ticks_are_invariant(void *arg)
{
	(void)arg;
	return false;
}
