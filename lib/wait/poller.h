/*
 * Pollers: how a task waits for something that other threads do.  The loop looks at each of
 * them every turn, so while it is awake nobody has to wake it, and whoever does the thing
 * pays for no wake.  Before the loop parks each poller arms what will ring it, and looks
 * again; see lib/loop/idle.c.
 *
 *   Ownership  a pool of each loop; a poller goes with the wait of its task: one that a poll
 *              does not renew is dropped at its end.
 *   Threads    the loop's, but for `place`, which is its list's (see channel_mpsc.c).
 *   Cost       a load, and an indirect call for each poller that there is.
 */
#ifndef WAIT_POLLER_H
#define WAIT_POLLER_H

#include "apus/wait.h"

struct apusi_poller;

struct apusi_poller_kind {
	/* Whether the task should look again. */
	bool (*ready)(const struct apusi_poller *poller);
	/*
	 * The loop is about to sleep on its port: from now on whoever makes it ready rings.
	 * False: it is ready.  NULL: nobody can ring, the loop must not park.
	 */
	bool (*arm)(struct apusi_poller *poller);
	void (*disarm)(struct apusi_poller *poller);
	/* The task waits no more. */
	void (*dropped)(struct apusi_poller *poller);
};

/* A place in a queue where tasks of several loops and plain threads stand in line. */
struct apusi_place {
	struct apusi_place *next, *prev;
	uint64_t need;           /* how much it waits for, as its channel counts */
	uint32_t word;           /* what the queue says to who stands here; a futex */
	bool is_thread;
	struct apusi_port *port; /* a task's loop */
};

struct apusi_poller {
	struct apusi_poller *next, *prev; /* the loop's list; next: the pool's */
	const struct apusi_poller_kind *kind;
	void *object; /* what is polled */
	struct apus_wait *wait;
	struct apus_cx *cx; /* constant */
	struct apusi_place place;
};

/*
 * The running task waits, under a key that is the address of what it waits for: finds its
 * poller or makes one.  NULL: none is left, which is counted.
 */
struct apusi_poller *apusi_poller_pend(struct apus_cx *cx, const void *key,
	const struct apusi_poller_kind *kind, void *object);
/* The running task's poller, or NULL. */
struct apusi_poller *apusi_poller_find(struct apus_cx *cx, const void *key);

/* The object goes: its task wakes, and its next evaluation answers -EPIPE. */
void apusi_poller_break(struct apusi_poller *poller);

/* wait.c: the wait is being dropped. */
void apusi_poller_drop(struct apus_cx *cx, struct apusi_poller *poller);

/* ---- what the loop calls ----------------------------------------------------- */

int apusi_pollers_open(struct apus_cx *cx, uint32_t count, void **pool);

/* The sources phase: wakes whose time has come. */
void apusi_pollers_sweep_slow(struct apus_cx *cx);
static inline void apusi_pollers_sweep(struct apus_cx *cx)
{
	if (apus_unlikely(cx->pollers != NULL))
		apusi_pollers_sweep_slow(cx);
}

/* False: something is ready, or cannot ring.  In either case all are to be disarmed. */
bool apusi_pollers_arm(struct apus_cx *cx);
void apusi_pollers_disarm(struct apus_cx *cx);

#endif
