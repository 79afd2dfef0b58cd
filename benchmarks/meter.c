/*
 * meter.c - the harness's clock, and what the machine does to it.
 *
 * The TSC is used where it is invariant (CPUID says so), calibrated against
 * CLOCK_MONOTONIC_RAW, which nobody disciplines; else clock_gettime.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

#if defined(__x86_64__)
#include <cpuid.h>

static bool tsc_is_invariant(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}
#else
static bool tsc_is_invariant(void)
{
	return false;
}
#endif

static int64_t raw_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct pair {
	uint64_t ticks;
	int64_t ns;
};

/* Both clocks at one instant: of some tries the one with the narrowest sandwich. */
static struct pair pair_read(void)
{
	struct pair best = { 0, 0 };
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < 20; i++) {
		uint64_t before = bench_ticks_begin();
		int64_t ns = raw_ns();
		uint64_t after = bench_ticks_end();

		if (after - before < narrowest) {
			narrowest = after - before;
			best.ticks = before + (after - before) / 2;
			best.ns = ns;
		}
	}
	return best;
}

static double calibrate(int64_t for_ns)
{
	struct pair from = pair_read(), to;

	while (raw_ns() - from.ns < for_ns)
		;
	to = pair_read();
	return (double)(to.ns - from.ns) / (double)(to.ticks - from.ticks);
}

/* The median of empty samples: what the harness adds to each. */
static double stamp_cost(double ns_per_tick)
{
	double samples[1001];
	struct result result;

	for (int i = 0; i < 1001; i++) {
		uint64_t start = bench_ticks_begin();

		samples[i] = (double)(bench_ticks_end() - start) * ns_per_tick;
	}
	summarize(samples, 1001, &result);
	return result.p50;
}

int meter_init(struct meter *meter, bool exact)
{
	double again;

	memset(meter, 0, sizeof *meter);
	meter->ns_per_tick = 1;
	meter->steady = true;
	/* An exact run is counted in instructions: it must not depend on a clock. */
	if (exact)
		return 0;
#if defined(__x86_64__)
	meter->tsc = tsc_is_invariant();
	if (!meter->tsc)
		fprintf(stderr, "bench: the TSC is not invariant: figures may drift\n");
	meter->ns_per_tick = calibrate(30000000);
	again = calibrate(30000000);
	meter->steady = fabs(again / meter->ns_per_tick - 1) < 1e-4;
	meter->ns_per_tick = again;
#else
	(void)again;
	(void)calibrate;
	(void)tsc_is_invariant;
#endif
	meter->stamp_ns = stamp_cost(meter->ns_per_tick);
	return 0;
}

void meter_hiccups(const struct meter *meter, int64_t watch_ns, struct hiccups *hiccups)
{
	uint64_t start = bench_ticks(), last = start, now;
	uint64_t gap = (uint64_t)(HICCUP_NS / meter->ns_per_tick);
	uint64_t end = start + (uint64_t)((double)watch_ns / meter->ns_per_tick);
	uint64_t longest = 0, lost = 0;

	memset(hiccups, 0, sizeof *hiccups);
	do {
		now = bench_ticks();
		if (now - last > gap) {
			hiccups->gap_count++;
			lost += now - last;
			longest = now - last > longest ? now - last : longest;
		}
		last = now;
	} while (now < end);
	hiccups->watched_ns = (double)(now - start) * meter->ns_per_tick;
	hiccups->lost_ns = (double)lost * meter->ns_per_tick;
	hiccups->longest_ns = (double)longest * meter->ns_per_tick;
}

static long steal_read(int cpu)
{
	FILE *stat = fopen("/proc/stat", "r");
	char line[512], name[32];
	long steal = 0;

	if (stat == NULL)
		return 0;
	snprintf(name, sizeof name, "cpu%d ", cpu);
	while (fgets(line, sizeof line, stat) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), "%*d %*d %*d %*d %*d %*d %*d %ld", &steal);
	fclose(stat);
	return steal;
}

void meter_disturbance(int cpu, struct disturbance *now)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	now->switches = usage.ru_nivcsw;
	now->steal_ticks = steal_read(cpu);
}
