/*
 * Random recordings against a twin that keeps every value and sorts them to answer.
 */
#include "apus/histogram.h"
#include "test.h"

enum { ROUNDS = 150, STEPS = 400, VALUES_MAX = 200000 };

struct twin {
	struct apus_histogram histogram;
	uint64_t negative_count;
	size_t count;
	int64_t values[VALUES_MAX];
};

static void twin_reset(struct twin *twin)
{
	apus_histogram_reset(&twin->histogram);
	twin->negative_count = 0;
	twin->count = 0;
}

static void keep(struct twin *twin, int64_t value)
{
	ck_assert_uint_lt(twin->count, VALUES_MAX);
	twin->negative_count += value < 0;
	twin->values[twin->count++] = value < 0 ? 0 : value;
}

/* Any size of number is as likely as any other; now and then a negative one. */
static int64_t value_draw(struct test_random *random)
{
	int64_t value = (int64_t)(test_random_next(random) >> (1 + test_random_below(random, 63)));

	return test_random_below(random, 20) == 0 ? -value : value;
}

static void record_many(struct twin *twin, struct test_random *random)
{
	uint64_t count = test_random_below(random, 30);
	int64_t value = value_draw(random);

	apus_histogram_record_many(&twin->histogram, value, count);
	while (count-- > 0)
		keep(twin, value);
}

static void record_corrected(struct twin *twin, struct test_random *random)
{
	int64_t value = value_draw(random);
	int64_t interval = value / test_random_between(random, 1, 100) + test_random_between(random, 0, 2);

	apus_histogram_record_corrected(&twin->histogram, value, interval);
	keep(twin, value);
	if (interval <= 0)
		return;
	for (value -= interval; value >= interval; value -= interval)
		keep(twin, value);
}

static void record_one(struct twin *twin, struct test_random *random)
{
	int64_t value = value_draw(random);

	apus_histogram_record(&twin->histogram, value);
	keep(twin, value);
}

static void merge_some(struct twin *twin, struct test_random *random)
{
	static struct apus_histogram other;
	uint64_t count = test_random_below(random, 50);
	int64_t value;

	apus_histogram_reset(&other);
	while (count-- > 0) {
		value = value_draw(random);
		apus_histogram_record(&other, value);
		keep(twin, value);
	}
	apus_histogram_merge(&twin->histogram, &other);
}

static int ascending(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

/* `milli` is thousandths of a percent, so that the rank is found in whole numbers. */
static void percentile_verify(const struct twin *twin, uint64_t milli)
{
	size_t rank = (size_t)((milli * twin->count + 99999) / 100000);
	int64_t exact = twin->values[rank > 0 ? rank - 1 : 0];
	int64_t answer = apus_histogram_percentile(&twin->histogram, (double)milli / 1000);

	ck_assert_msg(answer >= exact && answer - exact <= exact / 128,
		"p%g of %zu values: %" PRId64 " for %" PRId64, (double)milli / 1000, twin->count, answer,
		exact);
}

static void mean_verify(const struct twin *twin)
{
	double sum = 0, mean = apus_histogram_mean(&twin->histogram);

	for (size_t i = 0; i < twin->count; i++)
		sum += (double)twin->values[i];
	sum /= (double)twin->count;
	ck_assert(mean >= sum * (1 - 1.0 / 255) && mean <= sum * (1 + 1.0 / 255));
}

static void verify(struct twin *twin, struct test_random *random)
{
	ck_assert_uint_eq(apus_histogram_count(&twin->histogram), twin->count);
	ck_assert_uint_eq(twin->histogram.negative_count, twin->negative_count);
	if (twin->count == 0)
		return;
	qsort(twin->values, twin->count, sizeof *twin->values, ascending);
	ck_assert_int_eq(apus_histogram_min(&twin->histogram), twin->values[0]);
	ck_assert_int_eq(apus_histogram_max(&twin->histogram), twin->values[twin->count - 1]);
	percentile_verify(twin, 50000);
	percentile_verify(twin, 99900);
	percentile_verify(twin, 99999);
	for (int i = 0; i < 50; i++)
		percentile_verify(twin, test_random_below(random, 100001));
	mean_verify(twin);
}

static void round_run(struct twin *twin, struct test_random *random)
{
	twin_reset(twin);
	for (uint64_t steps = test_random_below(random, STEPS); steps > 0; steps--) {
		switch (test_random_below(random, 16)) {
		case 0: record_many(twin, random); break;
		case 1: record_corrected(twin, random); break;
		case 2: merge_some(twin, random); break;
		default: record_one(twin, random);
		}
		if (test_random_below(random, 100) == 0)
			verify(twin, random);
	}
	verify(twin, random);
}

START_TEST(random_recordings_agree_with_the_sorted_values)
{
	static struct twin twin;
	struct test_random random = test_random_init(test_seed());

	for (int i = 0; i < ROUNDS; i++)
		round_run(&twin, &random);
}
END_TEST

TEST_MAIN("histogram", random_recordings_agree_with_the_sorted_values)
