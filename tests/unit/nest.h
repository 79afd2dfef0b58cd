/*
 * nest.h - somebody else's loop, as a host of ours.
 */
#ifndef APUS_TEST_NEST_H
#define APUS_TEST_NEST_H

#include "apus/loop.h"

struct nest_host {
	const char *name;
	/*
	 * Runs its loop, with ours inside, until is_done(arg): how often it waited.  NULL: the
	 * library is not installed.
	 */
	uint64_t (*run)(struct apus_loop *loop, bool (*is_done)(void *arg), void *arg);
};

extern const struct nest_host nest_poll, nest_libev, nest_libuv;

#endif
