/*
 * print.c - from samples to a line: percentiles, medians over repetitions, and the
 * two ways to print them.  Percentiles are nearest-rank: a figure that was measured.
 */
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif
#ifndef BENCH_CFLAGS
#define BENCH_CFLAGS "flags unknown"
#endif

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double rank(const double *sorted, uint32_t count, double share)
{
	uint32_t at = (uint32_t)ceil(share * count);

	return sorted[at == 0 ? 0 : at - 1];
}

void summarize(double *samples, uint32_t count, struct result *result)
{
	qsort(samples, count, sizeof *samples, by_value);
	result->n = count;
	result->min = samples[0];
	result->p50 = rank(samples, count, 0.50);
	result->p95 = rank(samples, count, 0.95);
	result->p99 = rank(samples, count, 0.99);
	result->p999 = rank(samples, count, 0.999);
	result->p9999 = rank(samples, count, 0.9999);
	result->max = samples[count - 1];
}

/* A field of the repetitions: its median, and what it varied by between them. */
static double median_at(const struct result *repetitions, uint32_t count, size_t offset,
	double *spread)
{
	double values[REPEAT_MAX];

	for (uint32_t i = 0; i < count; i++)
		memcpy(&values[i], (const char *)&repetitions[i] + offset, sizeof values[i]);
	qsort(values, count, sizeof *values, by_value);
	*spread = values[count - 1] - values[0];
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Percentiles are medians over the repetitions; min and max are over all of them. */
void combine(const struct result *repetitions, uint32_t count, struct result *result)
{
	double unused;

	result->n = 0;
	result->min = INFINITY;
	result->max = 0;
	for (uint32_t i = 0; i < count; i++) {
		result->n += repetitions[i].n;
		result->min = fmin(result->min, repetitions[i].min);
		result->max = fmax(result->max, repetitions[i].max);
	}
#define MEDIAN(field, spread) \
	(result->field = median_at(repetitions, count, offsetof(struct result, field), spread))
	MEDIAN(p50, &result->p50_spread);
	MEDIAN(p95, &unused);
	MEDIAN(p99, &result->p99_spread);
	MEDIAN(p999, &result->p999_spread);
	MEDIAN(p9999, &unused);
#undef MEDIAN
}

/* Of the median, as a share of it. */
double spread_of(const struct result *result)
{
	return result->p50 > 0 ? result->p50_spread / result->p50 : 0;
}

void print_about(FILE *out, const struct options *options, const struct meter *meter,
	const struct hiccups *hiccups, int cpu)
{
	uint32_t repeat = options->repeat != 0 ? options->repeat :
		options->quick ? REPEAT_QUICK : REPEAT;
	int64_t budget_ns = options->quick ? BUDGET_QUICK_NS : BUDGET_NS;

	fprintf(out, "# command   bench");
	for (int i = 1; i < options->word_count; i++)
		fprintf(out, " %s", options->words[i]);
	fputc('\n', out);
	fprintf(out, "# built     %s, %s\n", COMPILER, BENCH_CFLAGS);
	fprintf(out, "# sampling  %u repetitions of %.2f s, a tenth more to warm up; other where "
		"the row needs it\n", repeat, (double)budget_ns / 1e9);
	fprintf(out, "# clock     %s, %.4f GHz; cpu %d\n",
		meter->tsc ? "invariant TSC" : "clock_gettime", 1 / meter->ns_per_tick, cpu);
	fprintf(out, "# stamps    %.1f ns a sample, inside every figure, divided by its batch\n",
		meter->stamp_ns);
	fprintf(out, "# hiccups   %.0f a second over %d ns, longest %.1f us, %.3f %% of time lost\n",
		(double)hiccups->gap_count * 1e9 / hiccups->watched_ns, HICCUP_NS,
		hiccups->longest_ns / 1000, 100 * hiccups->lost_ns / hiccups->watched_ns);
}

void print_head(FILE *out)
{
	fprintf(out, "%-30s %-11s %-5s %8s %10s %10s %10s %10s %10s %12s %7s  %s\n", "bench",
		"who", "unit", "n", "min", "p50", "p95", "p99", "p999", "max", "spread", "ratio");
}

static void print_ratio(FILE *out, const struct result *result, const struct result *against)
{
	if (against == NULL || against == result || against->p50 <= 0)
		fputc('\n', out);
	else
		fprintf(out, "  %.2f x %s\n", result->p50 / against->p50, against->who);
}

void print_result(FILE *out, const struct result *r, const struct result *against)
{
	fprintf(out, "%-30s %-11s %-5s %8llu %10.2f %10.2f %10.2f %10.2f %10.2f %12.2f %5.1f %%",
		r->row->name, r->who, r->row->unit, (unsigned long long)r->n, r->min, r->p50,
		r->p95, r->p99, r->p999, r->max, 100 * spread_of(r));
	print_ratio(out, r, against);
}

void print_json(FILE *out, const struct result *r)
{
	fprintf(out, "{\"bench\": \"%s\", \"who\": \"%s\", \"unit\": \"%s\", \"n\": %llu, "
		"\"min\": %.3f, \"p50\": %.3f, \"p95\": %.3f, \"p99\": %.3f, \"p999\": %.3f, "
		"\"max\": %.3f, \"p9999\": %.3f, \"p50_spread\": %.3f, \"p99_spread\": %.3f, "
		"\"p999_spread\": %.3f}\n", r->row->name, r->who, r->row->unit,
		(unsigned long long)r->n, r->min, r->p50, r->p95, r->p99, r->p999, r->max, r->p9999,
		r->p50_spread, r->p99_spread, r->p999_spread);
}
