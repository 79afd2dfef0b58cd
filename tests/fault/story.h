/*
 * story.h - stories in which each call fails once.
 *
 * A story opens a loop, has a task use some of the library on it, and closes the loop.  It is
 * told once without a fault, which says what it calls, and then once for each of those calls,
 * for each error of that call (calls.def), and for the first time it is called, the second, and
 * so on until it is not reached.  After each:
 *
 *   - somebody was told: one of the answers that the story noted is that error, or rules.def
 *     says what is told instead, or that nothing is;
 *   - the loop still runs: an echo over it, a timer and an offloaded function;
 *   - it closes, and nothing is held that was not before: descriptors, memory, maps, threads,
 *     rings; and the loop's own slots, wait nodes, segments and operations were back.
 */
#ifndef APUS_FAULT_STORY_H
#define APUS_FAULT_STORY_H

#include <poll.h>

#include "apus.h"
#include "fault.h"
#include "test.h"

struct story {
	const char *name;
	void (*configure)(struct apus_config *config); /* or NULL */
	void (*before)(void); /* or NULL: nothing that it does is counted */
	int (*begin)(struct apus_loop *loop, struct apus_join *join); /* or NULL: opens and closes */
	void (*after)(void);  /* or NULL: the same, for what it left in files */
	bool needs_sockets;   /* not over a backend without descriptors */
	bool is_of_no_backend; /* the same over each: told over none alone */
	bool is_simulated;    /* over the simulated network, too */
	bool is_cold;         /* of a process that had no loop yet: each run is one of its own */
	bool needs_helpers;   /* threads, which take their time */
};

extern const struct story stories_loop[], stories_net[], stories_file[]; /* up to one without a name */

/* What the library answered; kept if it is an error.  Answers it. */
int64_t tell(int64_t answer);

/* Longer than anything takes: told as -ETIME, which no rule expects. */
#define STORY_HANG_NS (5 * APUS_SEC)

/* In a task: awaits, tells, and ends the task if that was an error. */
#define STEP(got, ...)                                                               \
	do {                                                                         \
		APUS_AWAIT(got, apus_timeout(cx, STORY_HANG_NS, (__VA_ARGS__)));     \
		if (tell(got) < 0)                                                   \
			return got;                                                  \
	} while (0)

/* The same of what is done at once. */
#define DO(...)                                                 \
	do {                                                    \
		int64_t done_ = (__VA_ARGS__);                  \
		if (tell(done_) < 0)                            \
			return done_;                           \
	} while (0)

/* After APUS_TASK(name, ...): the story's begin. */
#define STORY_BEGIN(name)                                                           \
	static int begin_##name(struct apus_loop *loop, struct apus_join *join)     \
	{                                                                           \
		return apus_spawn_slab(loop, name, NULL, join);                     \
	}

/* Before all others, in the process whose children tell stories. */
int story_init(void);
void story_deinit(void);

/* How often this call was failed so far, in all of them. */
unsigned story_failures(enum fault_call call);

/* Over a backend; what cannot be opened here is skipped. */
void story_tell(const char *test, const struct story *story, enum apus_io_kind kind);

#endif
