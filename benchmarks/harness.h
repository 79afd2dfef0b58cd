/*
 * harness.h - what bench.c, meter.c and print.c share; entrants read bench.h only.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include "bench.h"

#include <pthread.h>
#include <stdio.h>

/* What was asked for. */
struct options {
	bool list;
	bool json;
	bool quick;
	bool about;
	const char *who;        /* comma separated, NULL: all */
	int cpu;                /* -1: the last one we may run on */
	uint32_t repeat;        /* 0: by default */
	uint32_t sample_exact;  /* 0: timed */
	char **globs;
	int glob_count;
	char **words;           /* the command line */
	int word_count;
};

struct result {
	const struct bench_row *row;
	const char *who;
	uint64_t n;
	double min, p50, p95, p99, p999, p9999, max;
	double p50_spread, p99_spread, p999_spread; /* between repetitions: the most - the least */
};

/* The stamp's clock. */
struct meter {
	double ns_per_tick;
	bool tsc;
	bool steady;            /* two calibrations agreed */
	double stamp_ns;        /* an empty sample */
};

/* Interruptions seen by a loop that does nothing but look at the clock. */
struct hiccups {
	double watched_ns;
	double lost_ns;
	double longest_ns;
	uint64_t gap_count;
};

/* What the kernel says it took from us. */
struct disturbance {
	long switches;          /* involuntary context switches of this thread */
	long steal_ticks;       /* of our CPU, in clock ticks (1/100 s) */
};

#define HICCUP_NS 1000
#define REPEAT_MAX 101

/* Repetitions, and the time of sampling in each, where neither a row nor an option says other. */
#define REPEAT 5
#define REPEAT_QUICK 2
#define BUDGET_NS 100000000
#define BUDGET_QUICK_NS 5000000

/* A thread on another processor that reads and writes more memory than its caches hold. */
struct neighbour {
	pthread_t thread;
	uint32_t over;
};

/* False after a bench_skip. */
bool neighbour_start(struct bench *b, struct neighbour *neighbour);
void neighbour_stop(struct neighbour *neighbour);

int meter_init(struct meter *meter, bool exact);
void meter_hiccups(const struct meter *meter, int64_t watch_ns, struct hiccups *hiccups);
void meter_disturbance(int cpu, struct disturbance *now);

void summarize(double *samples, uint32_t count, struct result *result);
void combine(const struct result *repetitions, uint32_t count, struct result *result);
double spread_of(const struct result *result);

void print_about(FILE *out, const struct options *options, const struct meter *meter,
	const struct hiccups *hiccups, int cpu);
void print_head(FILE *out);
void print_result(FILE *out, const struct result *result, const struct result *against);
void print_json(FILE *out, const struct result *result);

#endif
