#include <sched.h>

#include "offload/thread.h"

/* Helpers run wherever the system puts them, and have no name. */

int apusi_affinity_take(struct apusi_offload *pool)
{
	(void)pool;
	return 0;
}

int apusi_thread_place(const struct apusi_offload *pool, pthread_attr_t *attr)
{
	struct sched_param param;
	int policy, err = -pthread_getschedparam(pthread_self(), &policy, &param);

	(void)pool;
	if (err || (policy != SCHED_FIFO && policy != SCHED_RR))
		return err;
	param.sched_priority = sched_get_priority_min(SCHED_OTHER);
	pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(attr, SCHED_OTHER);
	return -pthread_attr_setschedparam(attr, &param);
}

void apusi_thread_name(const char *name)
{
	(void)name;
}
