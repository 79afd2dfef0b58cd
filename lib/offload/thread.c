#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>

#include "offload/thread.h"

_Static_assert(sizeof(cpu_set_t) == sizeof((struct apusi_offload *)0)->affinity, "one mask");

int apusi_affinity_take(struct apusi_offload *pool)
{
	cpu_set_t *affinity = (cpu_set_t *)pool->affinity, others;

	if (sched_getaffinity(0, sizeof *affinity, affinity))
		return -errno;
	others = *affinity;
	if (pool->config.cpu >= 0 && pool->config.cpu < CPU_SETSIZE)
		CPU_CLR(pool->config.cpu, &others);
	if (CPU_COUNT(&others) != 0)
		*affinity = others;
	return 0;
}

int apusi_thread_place(const struct apusi_offload *pool, pthread_attr_t *attr)
{
	struct sched_param none = { .sched_priority = 0 };
	int policy = sched_getscheduler(0), err = policy < 0 ? errno : 0;

	policy &= ~SCHED_RESET_ON_FORK;
	if (!err && (policy == SCHED_FIFO || policy == SCHED_RR)) {
		err = pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
		if (!err)
			err = pthread_attr_setschedpolicy(attr, SCHED_OTHER);
		if (!err)
			err = pthread_attr_setschedparam(attr, &none);
	}
	if (err)
		return -err;
	return -pthread_attr_setaffinity_np(attr, sizeof pool->affinity,
		(const cpu_set_t *)pool->affinity);
}

void apusi_thread_name(const char *name)
{
	pthread_setname_np(pthread_self(), name);
}
