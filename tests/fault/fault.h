/*
 * fault.h - system calls that fail when a test says so.
 *
 *   Units      the n-th call of a name, counted from 1, from fault_arm on.
 *   Errors     as calls.def lists them, in the sign of the call's own answers.
 *   Threads    arm, disarm, pause: one.  The calls that are made to fail: any.
 *
 * The library's objects are linked with every call of calls.def wrapped (--wrap).  A wrapper
 * counts the call, and fails it if it is the one that was armed; otherwise it is made.  What
 * is taken and given back (memory, maps, descriptors, threads, rings) is counted, too.
 */
#ifndef APUS_FAULT_H
#define APUS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum fault_call {
#define CALL(way, type, name, params, args, ...) FAULT_##name,
#define HAND(name, ...) FAULT_##name,
#define PART(name, ...) FAULT_##name,
#define ALSO(name)
#include "calls.def"
#undef CALL
#undef HAND
#undef PART
#undef ALSO
	FAULT_CALLS
};

struct fault {
	enum fault_call call;
	int error;
	unsigned nth;
};

const char *fault_name(enum fault_call call);

/* The errors of a call, as calls.def lists them. */
const int *fault_errors(enum fault_call call, size_t *count);

/* Counts from 0 again; fault may be NULL: nothing fails. */
void fault_arm(const struct fault *fault);

/* Ends it: how many calls failed. */
unsigned fault_disarm(void);
unsigned fault_hits(void);

/* How often it was called since it was armed. */
unsigned fault_count(enum fault_call call);

/*
 * The call is not made, and answers this (negative: -1 and that errno), unless it is the one that fails:
 * for what takes a privilege, or would bind the test's own thread.  Until fault_pretend_nothing.
 */
void fault_pretend(enum fault_call call, long answer);
void fault_pretend_nothing(void);

/* In between nothing is counted, and nothing fails. */
void fault_pause(void);
void fault_resume(void);

/* ---- what is held --------------------------------------------------------------- */

enum fault_thing {
	FAULT_BLOCK, FAULT_MAP, FAULT_THREAD, FAULT_ATTR, FAULT_STREAM, FAULT_NAMES, FAULT_RING,
	FAULT_PROBE, FAULT_EV_LOOP, FAULT_DESCRIPTOR, FAULT_THINGS
};

struct fault_held {
	long count[FAULT_THINGS];
};

/* What the library has taken and not given back; descriptors are those of the process. */
struct fault_held fault_held(void);
const char *fault_thing_name(enum fault_thing thing);

#endif
