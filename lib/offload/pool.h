/*
 * The inside of a loop's helper pool.
 *
 *   Ownership  of a request: the loop's, but from `status` QUEUED to RUNNING nobody's who has
 *              not swapped it, and while RUNNING the helper's; it comes back through the
 *              inbox.  The pool is freed by whoever lets go of it last, the loop or a thread.
 *   Threads    fields are grouped by who writes them.
 */
#ifndef OFFLOAD_POOL_H
#define OFFLOAD_POOL_H

#include <pthread.h>

#include "apus/offload.h"
#include "wait/op.h"
#include "wait/port.h"

enum apusi_offload_status {
	APUSI_QUEUED,  /* in the queue */
	APUSI_RUNNING, /* a helper has it */
	APUSI_DONE,    /* result and data are the loop's, once it takes the node */
	APUSI_DROPPED  /* still in the queue: whoever pops it gives it back */
};

struct apusi_offload_request {
	struct apusi_op op; /* first; its owner, and what the owner gets */
	struct apus_inbox_node node;
	struct apusi_offload *pool;
	const struct apus_offload_kind *kind; /* NULL: there is nothing to discard */
	struct apusi_offload_request *next, *prev; /* of those in use */
	/* Or NULL.  Called once, on the loop's thread, when no helper will touch the data any more. */
	void (*returned)(struct apus_cx *cx, void *data);
	bool away;         /* in the queue, with a helper, or in the inbox */
	uint32_t status;   /* enum apusi_offload_status */
	uint32_t unwanted; /* the loop writes, the function may read */
	apus_poll result;  /* what the function returned */
	unsigned char data[] __attribute__((__aligned__(16)));
};

struct apusi_helper {
	struct apusi_offload *pool;
	pthread_t thread;
	uint32_t exited;
};

struct apusi_offload_config {
	uint32_t threads, count, bytes;
	int cpu;         /* the loop's own; -1: it has none */
	bool at_once;    /* run in the poll that starts: a virtual clock's loop */
	bool prefault, lock;
};

struct apusi_offload_counts {
	uint64_t done, dropped, refused, leaked;
	uint64_t queued, running, threads; /* now */
};

struct apusi_offload {
	/* constant */
	struct apusi_offload_config config;
	struct apusi_port *port;
	uint64_t loop_id;
	unsigned long affinity[1024 / (8 * sizeof(unsigned long))]; /* a cpu_set_t, on Linux */
	uint64_t mask; /* of the queue */

	/* the loop's */
	struct apus_slab requests;
	struct apusi_offload_request *in_use;
	struct apusi_helper *helpers;
	uint32_t helper_count;
	uint32_t outstanding; /* requests that are not back from the helpers */
	uint64_t serial;
	struct apusi_offload_counts counts;

	/* the loop writes */
	uint64_t tail __attribute__((__aligned__(APUS_CACHE_LINE)));
	uint32_t signal; /* a futex that idle helpers sleep on */
	uint32_t stopping;

	/* helpers write */
	uint64_t head __attribute__((__aligned__(APUS_CACHE_LINE)));
	uint32_t sleepers;
	uint32_t live; /* helpers that have not left their loop; a futex */
	uint32_t holders;

	struct apusi_offload_request *queue[] __attribute__((__aligned__(APUS_CACHE_LINE)));
};

/* ---- what the loop calls ------------------------------------------------------ */

/* 0 or -errno; cx->offload is NULL if config->threads is 0. */
int apusi_offload_open(struct apus_cx *cx, const struct apusi_offload_config *config);

/*
 * The tasks have ended.  Waits so long for functions that run: how many still do, whose
 * threads are left to themselves.
 */
uint32_t apusi_offload_stop(struct apusi_offload *pool, int64_t wait_ns);

/* After the port was closed. */
void apusi_offload_close(struct apusi_offload *pool);

void apusi_offload_count(const struct apusi_offload *pool, struct apusi_offload_counts *counts);

/* ---- for those who build on it: a request's data in place ------------------------ */

/*
 * Claims a request, whose data the caller fills in, and then submits or withdraws; `op` is idle
 * and names it from here on.  0 or -errno.  A function that is lent memory of the caller's is
 * told so by apusi_op_lend before it is submitted.
 */
int apusi_offload_claim(struct apus_cx *cx, struct apus_op *op,
	const struct apus_offload_kind *kind, const struct apusi_call *call,
	struct apusi_offload_request **out);
/* 0; or -errno, and the claim is gone. */
int apusi_offload_submit(struct apus_cx *cx, struct apus_op *op);

/* Whether a helper carries it out: others may stand behind the same kind of object. */
bool apusi_offload_has(const struct apusi_op *request);

/* The data of an operation that is in flight, or answered and not released. */
static inline void *apusi_offload_data(struct apusi_op *request)
{
	return ((struct apusi_offload_request *)(void *)request)->data;
}

/* ---- helper.c ------------------------------------------------------------------- */

/* Starts one more thread, if that many are not too many.  0 or -errno. */
int apusi_helper_start(struct apusi_offload *pool);

/* The loop pushes, anybody pops: NULL when empty. */
void apusi_queue_push(struct apusi_offload *pool, struct apusi_offload_request *request);
struct apusi_offload_request *apusi_queue_pop(struct apusi_offload *pool);

/* Tells all to leave: how many are in a function still when the time is over. */
uint32_t apusi_helpers_stop(struct apusi_offload *pool, int64_t wait_ns);
/* Joins those that have left; the others are on their own. */
void apusi_helpers_join(struct apusi_offload *pool);

/* offload.c: runs the function where we stand. */
void apusi_request_call(struct apusi_offload_request *request);
void apusi_request_discard(struct apusi_offload_request *request, apus_poll result);

/* offload.c: the last who lets go frees the pool. */
void apusi_offload_let_go(struct apusi_offload *pool);

#endif
