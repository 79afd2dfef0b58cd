/*
 * What the harness makes of its samples: the figures that everything else is judged by.
 */
#include "../../benchmarks/harness.h"
#include "test.h"

#include <math.h>

static const struct bench_row row = { .name = "a/row", .unit = "ns" };

static bool is(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

START_TEST(a_percentile_is_the_nearest_rank_of_what_was_measured)
{
	struct result result;
	double samples[10000];

	for (int i = 0; i < 10000; i++)
		samples[i] = (double)((i * 7919) % 10000 + 1); /* 1 ... 10000 in disorder */
	summarize(samples, 10000, &result);
	ck_assert(result.n == 10000);
	ck_assert(is(result.min, 1) && is(result.max, 10000));
	ck_assert(is(result.p50, 5000) && is(result.p95, 9500));
	ck_assert(is(result.p99, 9900) && is(result.p999, 9990) && is(result.p9999, 9999));
}
END_TEST

START_TEST(a_single_sample_is_every_percentile)
{
	struct result result;
	double sample = 42;

	summarize(&sample, 1, &result);
	ck_assert(is(result.min, 42) && is(result.p50, 42) && is(result.p999, 42));
	ck_assert(is(result.max, 42));
}
END_TEST

START_TEST(with_few_samples_the_high_percentiles_are_the_worst_one)
{
	double samples[3] = { 9, 1, 5 };
	struct result result;

	summarize(samples, 3, &result);
	ck_assert(is(result.p50, 5) && is(result.p95, 9) && is(result.p999, 9));
}
END_TEST

START_TEST(repetitions_are_joined_by_their_medians_and_extremes)
{
	const struct result repetitions[3] = {
		{ .n = 10, .min = 3, .p50 = 10, .p95 = 40, .p99 = 50, .p999 = 60, .max = 70 },
		{ .n = 20, .min = 1, .p50 = 14, .p95 = 20, .p99 = 30, .p999 = 90, .max = 95 },
		{ .n = 30, .min = 2, .p50 = 12, .p95 = 30, .p99 = 70, .p999 = 80, .max = 99 },
	};
	struct result result;

	combine(repetitions, 3, &result);
	ck_assert(result.n == 60);
	ck_assert(is(result.min, 1) && is(result.max, 99));
	ck_assert(is(result.p50, 12) && is(result.p95, 30));
	ck_assert(is(result.p99, 50) && is(result.p999, 80));
	ck_assert(is(result.p50_spread, 4) && is(spread_of(&result), 4.0 / 12));
	ck_assert(is(result.p99_spread, 40) && is(result.p999_spread, 30));
	combine(repetitions, 2, &result);
	ck_assert(is(result.p50, 12) && is(result.p95, 30));
}
END_TEST

START_TEST(a_line_of_json_has_exactly_the_keys_of_its_readers)
{
	struct result result = { .row = &row, .who = "apus", .n = 7, .min = 1, .p50 = 2.5,
		.p95 = 3, .p99 = 4, .p999 = 5, .p9999 = 5.5, .max = 6,
		.p50_spread = 0.1, .p99_spread = 0.2, .p999_spread = 0.3 };
	char line[512] = "";
	FILE *out = fmemopen(line, sizeof line, "w");

	print_json(out, &result);
	fclose(out);
	ck_assert_str_eq(line, "{\"bench\": \"a/row\", \"who\": \"apus\", \"unit\": \"ns\", "
		"\"n\": 7, \"min\": 1.000, \"p50\": 2.500, \"p95\": 3.000, \"p99\": 4.000, "
		"\"p999\": 5.000, \"max\": 6.000, \"p9999\": 5.500, \"p50_spread\": 0.100, "
		"\"p99_spread\": 0.200, \"p999_spread\": 0.300}\n");
}
END_TEST

TEST_MAIN("bench", a_percentile_is_the_nearest_rank_of_what_was_measured,
	a_single_sample_is_every_percentile,
	with_few_samples_the_high_percentiles_are_the_worst_one,
	repetitions_are_joined_by_their_medians_and_extremes,
	a_line_of_json_has_exactly_the_keys_of_its_readers)
