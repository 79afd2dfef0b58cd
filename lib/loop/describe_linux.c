#define _GNU_SOURCE
#include <sched.h>
#include <string.h>

#include "loop/text.h"

/* The first line of a small file of the kernel's, or what to say without it. */
static const char *file_line(const char *path, char *line, int line_bytes)
{
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return "unknown";
	if (fgets(line, line_bytes, file) == NULL)
		line[0] = '\0';
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return line[0] ? line : "none";
}

static void put_cpus(struct text *text, const struct apus_loop *loop)
{
	cpu_set_t set;
	int cpu;

	put(text, "cpu           runs on %d, %s:", sched_getcpu(),
		loop->machine.pinned ? "pinned to" : "inherited");
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &set))
				put(text, " %d", cpu);
	put(text, "\n");
}

static void put_isolation(struct text *text)
{
	char isolated[128], nohz[128];

	put(text, "isolation     isolcpus %s, nohz_full %s\n",
		file_line("/sys/devices/system/cpu/isolated", isolated, sizeof isolated),
		file_line("/sys/devices/system/cpu/nohz_full", nohz, sizeof nohz));
}

void apusi_describe_cpus(struct text *text, const struct apus_loop *loop)
{
	put_cpus(text, loop);
	put_isolation(text);
}

void apusi_describe_clock(struct text *text)
{
	char source[64];

	put(text, "; kernel clocksource %s",
		file_line("/sys/devices/system/clocksource/clocksource0/current_clocksource",
			source, sizeof source));
}

void apusi_describe_class(struct text *text)
{
	struct sched_param param = { 0 };
	int policy = sched_getscheduler(0);
	char runtime[32], period[32];

	sched_getparam(0, &param);
	put(text, "scheduling    %s, priority %d; real-time throttling %s of %s us\n",
		policy == SCHED_FIFO ? "SCHED_FIFO" :
		policy == SCHED_RR   ? "SCHED_RR" :
		policy == SCHED_OTHER ? "SCHED_OTHER" : "another class",
		param.sched_priority,
		file_line("/proc/sys/kernel/sched_rt_runtime_us", runtime, sizeof runtime),
		file_line("/proc/sys/kernel/sched_rt_period_us", period, sizeof period));
}

void apusi_describe_locked(struct text *text)
{
	char line[128];
	FILE *file = fopen("/proc/self/status", "re");

	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			put(text, "; process has locked%.*s", (int)strcspn(line + 6, "\n"), line + 6);
	if (file != NULL)
		fclose(file);
}

void apusi_describe_idle(struct text *text)
{
	char driver[64];

	put(text, "; idle driver %s",
		file_line("/sys/devices/system/cpu/cpuidle/current_driver", driver, sizeof driver));
}
