/*
 * churn.h - a loop that is used in every way at once, for a round.
 *
 *   Units      nanoseconds; counts of what ended well.
 *   Errors     churn_round: 0 or -errno; what went wrong is printed.
 *   Threads    one a churn, the one that opened it; and a second one, of its own, that comes
 *              from outside: it spawns, joins, wakes and sends.
 *
 * A round spawns connections, datagrams, timers, tasks that abort and cancel each other, files
 * and offloaded functions, at random, until its time is over; then it waits for the last of
 * them.  At its end nothing may be left but the loop.
 */
#ifndef APUS_SOAK_CHURN_H
#define APUS_SOAK_CHURN_H

#include <pthread.h>

#include "apus.h"

/* What a leak on purpose is of. */
enum churn_leak { CHURN_NO_LEAK, CHURN_LEAK_MEMORY, CHURN_LEAK_DESCRIPTOR, CHURN_LEAK_TASK };

struct churn_counts {
	uint64_t connections, bytes, datagrams, tasks, timers, wakes, files, offloads, aborts;
};

APUS_MPSC(churn_mail, uint64_t, 64)

struct churn {
	enum apus_io_kind kind;
	enum churn_leak leak;
	struct apus_loop *loop;
	struct churn_counts counts;
	uint64_t random;
	char folder[64];
	int64_t until_ns; /* of the round */
	uint32_t live;    /* its tasks */
	int failed;
	/* with the outside thread */
	struct churn_mail mail;
	struct apus_remote remote;
	pthread_t outsider;
	uint32_t stop;
	uint64_t sent, received;
};

int churn_open(struct churn *churn, enum apus_io_kind kind, const char *folder,
	char *reason, size_t reason_bytes);
int churn_round(struct churn *churn, int64_t round_ns);
int churn_close(struct churn *churn);

#endif
