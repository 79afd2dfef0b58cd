#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include "wait/process.h"

enum { YIELDS = 64 };

/* The pool: named by the design as one of the few mutable things at file scope. */
static struct apusi_process *process_pool;

struct apusi_process *apusi_process_peek(void)
{
	return apus_load_acquire(&process_pool);
}

struct apusi_process *apusi_process(void)
{
	struct apusi_process *pool = apusi_process_peek(), *other = NULL;

	if (pool != NULL)
		return pool;
	pool = (struct apusi_process *)apusi_process_map(sizeof *pool);
	if (pool == NULL || apus_swap_acq_rel(&process_pool, &other, pool))
		return pool;
	munmap(pool, sizeof *pool);
	return other;
}

void apusi_back_off(uint32_t *turns)
{
	const struct timespec pause = { .tv_nsec = 50 * APUS_USEC };

	if ((*turns)++ < YIELDS)
		sched_yield();
	else
		nanosleep(&pause, NULL);
}

void apusi_process_lock(struct apusi_process *process)
{
	uint32_t turns = 0;

	while (apus_exchange_acq_rel(&process->lock, 1) != 0)
		apusi_back_off(&turns);
}

void apusi_process_unlock(struct apusi_process *process)
{
	apus_store_release(&process->lock, 0);
}
