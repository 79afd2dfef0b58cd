#include <pthread.h>
#include <sched.h>

#include "loop/text.h"

void apusi_describe_cpus(struct text *text, const struct apus_loop *loop)
{
	(void)loop;
	put(text, "cpu           wherever the system runs it\n");
}

void apusi_describe_class(struct text *text)
{
	struct sched_param param = { 0 };
	int policy = SCHED_OTHER;

	pthread_getschedparam(pthread_self(), &policy, &param);
	put(text, "scheduling    %s, priority %d\n",
		policy == SCHED_FIFO ? "SCHED_FIFO" :
		policy == SCHED_RR   ? "SCHED_RR" :
		policy == SCHED_OTHER ? "SCHED_OTHER" : "another class",
		param.sched_priority);
}

void apusi_describe_clock(struct text *text)
{
	(void)text;
}

void apusi_describe_locked(struct text *text)
{
	(void)text;
}

void apusi_describe_idle(struct text *text)
{
	(void)text;
}
