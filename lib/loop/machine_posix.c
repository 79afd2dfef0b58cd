/*
 * What a loop asks of the machine, where POSIX is all there is.  Each thing is had, or is an
 * error with the reason.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "loop/loop.h"

static int refuse(struct apus_loop *loop, int err, const char *what)
{
	snprintf(loop->config.reason, sizeof loop->config.reason, "%s: %s", what,
		err == -ENOTSUP ? "not in a build without Linux's calls" : strerror(-err));
	return err;
}

static int fifo_take(struct apus_loop *loop)
{
	struct sched_param param = { .sched_priority = loop->config.fifo_priority }, previous;
	int err;

	if (loop->config.fifo_priority == 0)
		return 0;
	err = -pthread_getschedparam(pthread_self(), &loop->machine.policy, &previous);
	if (!err)
		err = -pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
	if (err)
		return refuse(loop, err, "config.fifo_priority");
	loop->machine.priority = previous.sched_priority;
	loop->machine.fifo = true;
	return 0;
}

int apusi_machine_take(struct apus_loop *loop)
{
	int err = 0;

	loop->machine.latency_fd = -1;
	if (loop->config.cpu >= 0)
		err = refuse(loop, -ENOTSUP, "config.cpu");
	if (!err && loop->config.hold_latency)
		err = refuse(loop, -ENOTSUP, "config.hold_latency");
	if (!err)
		err = fifo_take(loop);
	if (!err && loop->config.lock_memory && mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		err = refuse(loop, -errno, "config.lock_memory");
	return err;
}

/* Locked memory stays locked: others of the process may rely on it by now. */
void apusi_machine_give(struct apus_loop *loop)
{
	struct sched_param param = { .sched_priority = loop->machine.priority };

	if (loop->machine.fifo)
		pthread_setschedparam(pthread_self(), loop->machine.policy, &param);
}
