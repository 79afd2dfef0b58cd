#define _GNU_SOURCE
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"

struct text {
	char *at;
	size_t bytes, used;
};

static void APUS_PRINTF(2, 3) put(struct text *text, const char *format, ...)
{
	size_t room = text->used < text->bytes ? text->bytes - text->used : 0;
	va_list args;
	int used;

	va_start(args, format);
	used = vsnprintf(room ? text->at + text->used : NULL, room, format, args);
	va_end(args);
	if (used > 0)
		text->used += (size_t)used;
}

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

static void put_clock(struct text *text, const struct apus_loop *loop)
{
	static const char *const names[] = { "auto", "tsc", "monotonic", "virtual" };
	char source[64];

	put(text, "clock         %s%s; kernel clocksource %s\n",
		names[apus_clock_kind_of(&loop->clock)],
		apus_clock_has_fallen_back(&loop->clock) ? " (fell back)" : "",
		file_line("/sys/devices/system/clocksource/clocksource0/current_clocksource",
			source, sizeof source));
}

static void put_class(struct text *text)
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

static void put_memory(struct text *text, const struct apus_loop *loop)
{
	char line[128];
	FILE *file = fopen("/proc/self/status", "re");

	put(text, "memory        %u slots of %u bytes, %s", loop->cx.tasks.capacity,
		(unsigned)loop->cx.tasks.stride, loop->config.lock_memory ? "locked" : "not locked");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			put(text, "; process has locked%.*s", (int)strcspn(line + 6, "\n"), line + 6);
	if (file != NULL)
		fclose(file);
	put(text, "\n");
}

static void put_idle(struct text *text, const struct apus_loop *loop)
{
	static const char *const names[] = { "busy", "pause", "backoff", "park" };
	char driver[64];

	put(text, "idle          %s; idle driver %s, latency %s\n", names[loop->idle],
		file_line("/sys/devices/system/cpu/cpuidle/current_driver", driver, sizeof driver),
		loop->machine.latency_fd >= 0 ? "held at 0" : "not held");
}

size_t apus_loop_describe(struct apus_loop *loop, char *out, size_t out_bytes)
{
	struct text text = { out, out_bytes, 0 };

	put_cpus(&text, loop);
	put_isolation(&text);
	put_clock(&text, loop);
	put_class(&text);
	put_memory(&text, loop);
	put_idle(&text, loop);
	put(&text, "backend       %s\n", apusi_io_name(loop->cx.io));
	return text.used;
}
