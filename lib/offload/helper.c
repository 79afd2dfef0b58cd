/*
 * The helpers' side: the queue, the threads, and how they sleep.
 *
 *	the loop                                   a helper
 *	[A] tail: a full exchange                  [B] sleepers + 1, a full exchange
 *	    looks at sleepers; if there are any        looks at the queue; if it is empty
 *	    changes signal, wakes one                  sleeps while signal is what it was
 *
 * One of the two sees the other.  A helper reads signal before [B], so that a change of it
 * after [A] ends the sleep, or lets it not begin.
 */
#include <signal.h>
#include <time.h>

#include "offload/pool.h"
#include "offload/thread.h"
#include "wait/futex.h"

enum { STACK_BYTES = 1 << 20 };

/* ---- the queue: one pushes, many pop; there is a place for every request ----------- */

void apusi_queue_push(struct apusi_offload *pool, struct apusi_offload_request *request)
{
	uint64_t tail = pool->tail;

	/* Relaxed: a popper that still reads what was here loses its swap of head. */
	apus_store_relaxed(&pool->queue[tail & pool->mask], request);
	apus_exchange_full(&pool->tail, tail + 1); /* [A], read by [C] */
	if (apus_load_full(&pool->sleepers) == 0)
		return;
	__atomic_fetch_add(&pool->signal, 1, __ATOMIC_RELEASE);
	apusi_futex_wake_one(&pool->signal, false);
}

static bool queue_is_empty(const struct apusi_offload *pool)
{
	return apus_load_full(&pool->head) == apus_load_full(&pool->tail);
}

struct apusi_offload_request *apusi_queue_pop(struct apusi_offload *pool)
{
	uint64_t head = apus_load_acquire(&pool->head);
	struct apusi_offload_request *request;

	do {
		if (head == apus_load_acquire(&pool->tail)) /* [C] */
			return NULL;
		request = apus_load_relaxed(&pool->queue[head & pool->mask]);
	} while (!apus_swap_acq_rel(&pool->head, &head, head + 1));
	return request;
}

/* ---- a helper's life ------------------------------------------------------------------ */

static void helper_sleep(struct apusi_offload *pool)
{
	uint32_t signal = apus_load_acquire(&pool->signal);

	__atomic_fetch_add(&pool->sleepers, 1, __ATOMIC_SEQ_CST); /* [B] */
	if (queue_is_empty(pool) && apus_load_full(&pool->stopping) == 0)
		apusi_futex_wait(&pool->signal, signal, APUS_NEVER, false);
	__atomic_fetch_sub(&pool->sleepers, 1, __ATOMIC_RELAXED);
}

/* False: the loop has closed, and the request is nobody's but ours. */
static bool request_return(struct apusi_offload_request *request)
{
	struct apusi_offload *pool = request->pool;

	if (!apusi_port_enter(pool->port, pool->loop_id))
		return false;
	apusi_port_push(pool->port, &request->node);
	apusi_port_leave(pool->port);
	return true;
}

static void helper_run(struct apusi_offload_request *request)
{
	uint32_t status = APUSI_QUEUED;

	/* Fails for one that was dropped: it only goes back. */
	if (!apus_swap_acq_rel(&request->status, &status, APUSI_RUNNING)) {
		request_return(request);
		return;
	}
	apusi_request_call(request);
	if (!request_return(request))
		apusi_request_discard(request, request->result);
}

static void *helper_main(void *arg)
{
	struct apusi_helper *helper = (struct apusi_helper *)arg;
	struct apusi_offload *pool = helper->pool;
	struct apusi_offload_request *request;

	apusi_thread_name("apus-offload");
	while (apus_load_acquire(&pool->stopping) == 0) {
		request = apusi_queue_pop(pool);
		if (request != NULL)
			helper_run(request);
		else
			helper_sleep(pool);
	}
	apus_store_release(&helper->exited, 1);
	__atomic_fetch_sub(&pool->live, 1, __ATOMIC_ACQ_REL);
	apusi_futex_wake_all(&pool->live, false);
	apusi_offload_let_go(pool);
	return NULL;
}

/* ---- starting ---------------------------------------------------------------------------- */

/*
 * A thread begins with its maker's signal mask: signals are for others, but for those that
 * its own instructions raise.
 */
static int thread_create(struct apusi_helper *helper, const pthread_attr_t *attr)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t all, before;
	size_t i;
	int err;

	sigfillset(&all);
	for (i = 0; i < sizeof own / sizeof own[0]; i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&helper->thread, attr, helper_main, helper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

int apusi_helper_start(struct apusi_offload *pool)
{
	struct apusi_helper *helper;
	pthread_attr_t attr;
	int err;

	if (pool->helper_count == pool->config.threads)
		return 0;
	helper = &pool->helpers[pool->helper_count];
	helper->pool = pool;
	err = -pthread_attr_init(&attr);
	if (err)
		return err;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = apusi_thread_place(pool, &attr);
	__atomic_fetch_add(&pool->holders, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&pool->live, 1, __ATOMIC_RELAXED);
	if (!err)
		err = thread_create(helper, &attr);
	pthread_attr_destroy(&attr);
	if (!err) {
		pool->helper_count++;
		return 0;
	}
	__atomic_fetch_sub(&pool->holders, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&pool->live, 1, __ATOMIC_RELAXED);
	return err;
}

/* ---- stopping ------------------------------------------------------------------------------ */

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

static uint32_t running_count(const struct apusi_offload *pool)
{
	const struct apusi_offload_request *request;
	uint32_t count = 0;

	for (request = pool->in_use; request != NULL; request = request->next)
		count += apus_load_acquire(&request->status) == APUSI_RUNNING;
	return count;
}

/* Functions get the time they are given; helpers that are in none leave at once. */
uint32_t apusi_helpers_stop(struct apusi_offload *pool, int64_t wait_ns)
{
	int64_t end_ns = apus_ns_add(monotonic_ns(), wait_ns);
	uint32_t live, running;

	apus_exchange_full(&pool->stopping, 1);
	__atomic_fetch_add(&pool->signal, 1, __ATOMIC_RELEASE);
	apusi_futex_wake_all(&pool->signal, false);
	while ((live = apus_load_acquire(&pool->live)) != 0) {
		int64_t left_ns = end_ns == APUS_NEVER ? APUS_NEVER : end_ns - monotonic_ns();

		running = running_count(pool);
		if (left_ns <= 0 && live <= running)
			return live;
		apusi_futex_wait(&pool->live, live, left_ns > 0 ? left_ns : APUS_MSEC, false);
	}
	return 0;
}

void apusi_helpers_join(struct apusi_offload *pool)
{
	uint32_t i;

	for (i = 0; i < pool->helper_count; i++)
		if (apus_load_acquire(&pool->helpers[i].exited))
			pthread_join(pool->helpers[i].thread, NULL);
		else
			pthread_detach(pool->helpers[i].thread);
	pool->helper_count = 0;
}
