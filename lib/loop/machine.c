/*
 * What a loop asks of the machine.  Each thing is had, or is an error with the reason.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loop/loop.h"

_Static_assert(sizeof(cpu_set_t) == sizeof((struct loop_machine *)0)->affinity, "one mask");

static int APUS_PRINTF(3, 4) refuse(struct apus_loop *loop, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(loop->config.reason, sizeof loop->config.reason, format, args);
	va_end(args);
	return err;
}

static int cpu_pin(struct apus_loop *loop)
{
	int cpu = loop->config.cpu, err;
	cpu_set_t one;

	if (cpu < 0)
		return 0;
	if (cpu >= CPU_SETSIZE)
		return refuse(loop, -EINVAL, "config.cpu: there is no CPU %d", cpu);
	if (sched_getaffinity(0, sizeof(cpu_set_t), (cpu_set_t *)loop->machine.affinity))
		return refuse(loop, -errno, "config.cpu: sched_getaffinity: %s", strerror(errno));
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof one, &one)) {
		err = -errno;
		return refuse(loop, err, "config.cpu: cannot run on CPU %d: %s", cpu,
			err == -EINVAL ? "there is none, or it is not allowed here" :
					 strerror(-err));
	}
	loop->machine.pinned = true;
	return 0;
}

/* The part of each second that real-time tasks may take: -1 is all of it. */
static long throttle_us(void)
{
	FILE *file = fopen("/proc/sys/kernel/sched_rt_runtime_us", "re");
	long us = -1;

	if (file == NULL)
		return -1;
	if (fscanf(file, "%ld", &us) != 1)
		us = -1;
	fclose(file);
	return us;
}

static int fifo_take(struct apus_loop *loop)
{
	struct sched_param param = { .sched_priority = loop->config.fifo_priority };
	struct sched_param previous;
	int err;

	if (loop->config.fifo_priority == 0)
		return 0;
	if (loop->config.idle != APUS_IDLE_PARK && throttle_us() >= 0 && !loop->config.fifo_force)
		return refuse(loop, -EBUSY,
			"config.fifo_priority: real-time throttling would stop a busy loop; "
			"set kernel.sched_rt_runtime_us to -1, or fifo_force");
	/* What it was is what close puts back. */
	loop->machine.policy = sched_getscheduler(0);
	if (loop->machine.policy < 0 || sched_getparam(0, &previous)) {
		err = -errno;
		return refuse(loop, err, "config.fifo_priority: the scheduling class: %s",
			strerror(-err));
	}
	loop->machine.priority = previous.sched_priority;
	if (sched_setscheduler(0, SCHED_FIFO, &param)) {
		err = -errno;
		return refuse(loop, err, "config.fifo_priority: SCHED_FIFO %d: %s",
			param.sched_priority, strerror(-err));
	}
	loop->machine.fifo = true;
	return 0;
}

static int memory_lock(struct apus_loop *loop)
{
	int err;

	if (!loop->config.lock_memory || mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
		return 0;
	err = -errno;
	return refuse(loop, err, "config.lock_memory: mlockall: %s", strerror(-err));
}

/* Holding it open at 0 keeps the cores out of their deeper idle states. */
static int latency_hold(struct apus_loop *loop)
{
	const int32_t none_us = 0;
	ssize_t put = -1;
	int err;

	if (!loop->config.hold_latency)
		return 0;
	loop->machine.latency_fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
	if (loop->machine.latency_fd >= 0)
		put = write(loop->machine.latency_fd, &none_us, sizeof none_us);
	if (put == sizeof none_us)
		return 0;
	err = put < 0 ? -errno : -EIO;
	return refuse(loop, err, "config.hold_latency: /dev/cpu_dma_latency: %s", strerror(-err));
}

int apusi_machine_take(struct apus_loop *loop)
{
	int err = cpu_pin(loop);

	loop->machine.latency_fd = -1;
	if (!err)
		err = fifo_take(loop);
	if (!err)
		err = memory_lock(loop);
	return err ? err : latency_hold(loop);
}

/* Locked memory stays locked: others of the process may rely on it by now. */
void apusi_machine_give(struct apus_loop *loop)
{
	struct sched_param param = { .sched_priority = loop->machine.priority };

	if (loop->machine.fifo)
		sched_setscheduler(0, loop->machine.policy, &param);
	if (loop->machine.pinned)
		sched_setaffinity(0, sizeof(cpu_set_t), (cpu_set_t *)loop->machine.affinity);
	if (loop->machine.latency_fd >= 0)
		close(loop->machine.latency_fd);
}
