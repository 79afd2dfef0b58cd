#include "apus/histogram.h"
#include "test.h"

/* 57 kB each, so not on the stack; check forks, so each test finds them empty... */
static struct apus_histogram histogram, second;

/* ... or, without forks, empties them first. */
static void start_empty(void)
{
	apus_histogram_reset(&histogram);
	apus_histogram_reset(&second);
}

static void same(const struct apus_histogram *a, const struct apus_histogram *b)
{
	ck_assert_mem_eq(a, b, sizeof *a);
}

static int64_t percentile(double percent)
{
	return apus_histogram_percentile(&histogram, percent);
}

START_TEST(zero_bytes_are_an_empty_histogram_and_answer_zero)
{
	memset(&histogram, 0, sizeof histogram);
	ck_assert_uint_eq(apus_histogram_count(&histogram), 0);
	ck_assert_int_eq(apus_histogram_min(&histogram), 0);
	ck_assert_int_eq(apus_histogram_max(&histogram), 0);
	ck_assert(apus_histogram_mean(&histogram) == 0);
	ck_assert_int_eq(percentile(0), 0);
	ck_assert_int_eq(percentile(50), 0);
	ck_assert_int_eq(percentile(100), 0);
}
END_TEST

START_TEST(values_up_to_255_are_exact)
{
	int64_t value;

	start_empty();
	for (value = 1; value <= 255; value++)
		apus_histogram_record(&histogram, value);
	for (value = 1; value <= 255; value++)
		ck_assert_int_eq(percentile((double)value * 100 / 255), value);
	ck_assert(apus_histogram_mean(&histogram) == 128);
}
END_TEST

/* Around every power of two, where the width of the buckets changes. */
START_TEST(a_percentile_is_never_below_and_at_most_a_128th_above)
{
	int64_t value, answer;
	int bit, step;

	for (bit = 1; bit < 63; bit++) {
		for (step = -2; step <= 2; step++) {
			value = (INT64_C(1) << bit) + step;
			if (value < 0)
				continue;
			start_empty();
			apus_histogram_record(&histogram, value);
			apus_histogram_record(&histogram, INT64_MAX);
			answer = percentile(50);
			ck_assert_int_ge(answer, value);
			ck_assert_int_le(answer - value, value / 128);
		}
	}
}
END_TEST

START_TEST(min_and_max_are_exact)
{
	start_empty();
	apus_histogram_record(&histogram, 1234567);
	ck_assert_int_eq(apus_histogram_min(&histogram), 1234567);
	ck_assert_int_eq(apus_histogram_max(&histogram), 1234567);
	ck_assert_int_eq(percentile(50), 1234567);
	apus_histogram_record(&histogram, INT64_MAX);
	apus_histogram_record(&histogram, 1000003);
	ck_assert_int_eq(apus_histogram_min(&histogram), 1000003);
	ck_assert_int_eq(apus_histogram_max(&histogram), INT64_MAX);
	ck_assert_int_eq(percentile(0), 1000003);
	ck_assert_int_eq(percentile(100), INT64_MAX);
	ck_assert_int_eq(percentile(1e300), INT64_MAX);
	ck_assert_int_eq(percentile(-1e300), 1000003);
	apus_histogram_record(&histogram, 0);
	ck_assert_int_eq(apus_histogram_min(&histogram), 0);
	ck_assert_uint_eq(apus_histogram_count(&histogram), 4);
}
END_TEST

/* An empty histogram's min and max are 0 too, so a first 0 is easily forgotten. */
START_TEST(a_first_value_of_zero_is_the_minimum)
{
	start_empty();
	apus_histogram_record(&histogram, 0);
	apus_histogram_record(&histogram, 500);
	ck_assert_int_eq(apus_histogram_min(&histogram), 0);
	ck_assert_int_eq(apus_histogram_max(&histogram), 500);
	ck_assert_uint_eq(apus_histogram_count(&histogram), 2);
}
END_TEST

START_TEST(a_negative_value_counts_as_zero_and_is_told)
{
	static const int64_t values[] = { -1, INT64_MIN, -255, 7, INT64_MAX, INT64_MIN };

	start_empty();
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		apus_histogram_record(&histogram, values[i]);
	ck_assert_uint_eq(histogram.negative_count, 4);
	ck_assert_uint_eq(apus_histogram_count(&histogram), 6);
	ck_assert_uint_eq(histogram.counts[0], 4);
	ck_assert_int_eq(apus_histogram_min(&histogram), 0);
	ck_assert_int_eq(apus_histogram_max(&histogram), INT64_MAX);
}
END_TEST

/* 0.07 % of ten thousand are seven, though 0.07 is no binary number, and a bit above. */
START_TEST(a_percentile_is_the_least_value_that_so_many_do_not_exceed)
{
	int64_t value;

	start_empty();
	for (value = 1; value <= 200; value++)
		apus_histogram_record_many(&histogram, value, 5);
	ck_assert_int_eq(percentile(50), 100);
	ck_assert_int_eq(percentile(50.1), 101);
	ck_assert_int_eq(percentile(99.5), 199);
	ck_assert_int_eq(percentile(99.9), 200);
	ck_assert_int_eq(percentile(0.1), 1);
	start_empty();
	apus_histogram_record_many(&histogram, 1, 999);
	apus_histogram_record_many(&histogram, 2, 1);
	ck_assert_int_eq(percentile(99.9), 1);
	ck_assert_int_eq(percentile(99.91), 2);
	start_empty();
	apus_histogram_record_many(&histogram, 1, 7);
	apus_histogram_record_many(&histogram, 2, 9993);
	ck_assert_int_eq(percentile(0.07), 1);
	ck_assert_int_eq(percentile(0.0701), 2);
}
END_TEST

START_TEST(the_mean_is_within_a_256th)
{
	double sum = 0, mean;
	int64_t value;
	int count = 0;

	start_empty();
	for (value = 300; value < 100000000; value += value / 50) {
		apus_histogram_record(&histogram, value);
		sum += (double)value;
		count++;
	}
	mean = apus_histogram_mean(&histogram);
	ck_assert(mean > sum / count * (1 - 1.0 / 256) && mean < sum / count * (1 + 1.0 / 256));
}
END_TEST

START_TEST(merging_is_as_if_one_had_recorded_all)
{
	static struct apus_histogram both;
	struct test_random random = test_random_init(test_seed());
	int64_t value;
	int i;

	start_empty();
	apus_histogram_reset(&both);
	for (i = 0; i < 2000; i++) {
		value = test_random_between(&random, -10, INT64_C(1) << test_random_below(&random, 40));
		apus_histogram_record(i % 3 ? &histogram : &second, value);
		apus_histogram_record(&both, value);
	}
	apus_histogram_merge(&histogram, &second);
	same(&histogram, &both);
}
END_TEST

START_TEST(merging_an_empty_one_changes_nothing_and_into_an_empty_one_copies)
{
	static struct apus_histogram before;

	start_empty();
	apus_histogram_record(&histogram, 70000);
	before = histogram;
	apus_histogram_merge(&histogram, &second);
	same(&histogram, &before);
	apus_histogram_merge(&second, &histogram);
	same(&second, &before);
}
END_TEST

START_TEST(reset_empties)
{
	static const struct apus_histogram zero_bytes;

	start_empty();
	apus_histogram_record(&histogram, 70000);
	apus_histogram_record(&histogram, -7);
	apus_histogram_reset(&histogram);
	same(&histogram, &zero_bytes);
}
END_TEST

START_TEST(recording_many_is_recording_one_many_times)
{
	start_empty();
	apus_histogram_record_many(&histogram, 4711, 3);
	apus_histogram_record_many(&histogram, -1, 2);
	apus_histogram_record_many(&histogram, 99, 0);
	for (int i = 0; i < 3; i++)
		apus_histogram_record(&second, 4711);
	for (int i = 0; i < 2; i++)
		apus_histogram_record(&second, -1);
	same(&histogram, &second);
}
END_TEST

/* ---- coordinated omission ------------------------------------------------------ */

START_TEST(a_stall_is_recorded_for_each_interval_that_it_hid)
{
	static const int64_t pairs[][2] = { { 100, 10 }, { 105, 10 }, { 1000000, 77 }, { 10, 10 },
		{ 11, 10 }, { 19, 10 }, { 20, 10 }, { 9, 10 }, { 500000, 1 }, { -5, 10 }, { 5, 0 },
		{ 5, -3 }, { 12345, 300 }, { 300, 150 } };
	int64_t value, interval, missed;

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		start_empty();
		value = pairs[i][0];
		interval = pairs[i][1];
		apus_histogram_record_corrected(&histogram, value, interval);
		apus_histogram_record(&second, value);
		for (missed = value - interval; interval > 0 && missed >= interval; missed -= interval)
			apus_histogram_record(&second, missed);
		same(&histogram, &second);
	}
}
END_TEST

/* Value by value it would take centuries. */
START_TEST(the_correction_of_the_longest_stall_is_bounded)
{
	start_empty();
	apus_histogram_record_corrected(&histogram, INT64_MAX, 1);
	ck_assert_uint_eq(apus_histogram_count(&histogram), INT64_MAX);
	ck_assert_int_eq(apus_histogram_min(&histogram), 1);
	apus_histogram_reset(&histogram);
	apus_histogram_record_corrected(&histogram, INT64_MAX, INT64_MAX - 1);
	ck_assert_uint_eq(apus_histogram_count(&histogram), 1);
	apus_histogram_reset(&histogram);
	apus_histogram_record_corrected(&histogram, INT64_MAX, INT64_MAX / 2);
	ck_assert_uint_eq(apus_histogram_count(&histogram), 2);
	apus_histogram_record_corrected(&histogram, INT64_MIN, INT64_MAX);
	ck_assert_uint_eq(apus_histogram_count(&histogram), 3);
}
END_TEST

/* ---- for people -------------------------------------------------------------------- */

START_TEST(what_people_read_has_the_percentiles_and_a_bar_for_most)
{
	char text[APUS_HISTOGRAM_TEXT_BYTES];

	start_empty();
	apus_histogram_record_many(&histogram, 100, 900);
	apus_histogram_record_many(&histogram, 200, 99);
	apus_histogram_record(&histogram, 17000000);
	apus_histogram_record_many(&histogram, -1, 2);
	ck_assert_uint_eq(apus_histogram_format(&histogram, text, sizeof text), strlen(text));
	ck_assert_ptr_nonnull(strstr(text, "count 1002 (2 below 0)"));
	ck_assert_ptr_nonnull(strstr(text, "p50   100 ns"));
	ck_assert_ptr_nonnull(strstr(text, "p99   200 ns"));
	ck_assert_ptr_nonnull(strstr(text, "p99.9   200 ns"));
	ck_assert_ptr_nonnull(strstr(text, "max  17.0 ms"));
	ck_assert_ptr_nonnull(strstr(text, "|######################################## "));
	ck_assert_ptr_nonnull(strstr(text, "|.  "));
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(the_bars_are_few_and_add_up_to_all)
{
	struct test_random random = test_random_init(test_seed());
	char text[APUS_HISTOGRAM_TEXT_BYTES];
	double percent;
	char *bar;
	int round, i, bars;

	for (round = 0; round < 200; round++) {
		start_empty();
		for (i = 0; i < 3 + round; i++)
			apus_histogram_record(&histogram,
				(int64_t)(test_random_next(&random) >> (1 + test_random_below(&random, 63))));
		ck_assert_uint_lt(apus_histogram_format(&histogram, text, sizeof text), sizeof text);
		percent = 0;
		bars = 0;
		for (bar = strchr(text, '|'); bar != NULL; bar = strchr(bar + 1, '|')) {
			percent += strtod(bar + 41, NULL);
			bars++;
		}
		ck_assert_int_le(bars, 17);
		ck_assert(percent > 99.9 && percent < 100.1);
	}
}
END_TEST

START_TEST(a_text_too_small_is_cut_and_the_whole_length_answered)
{
	char whole[APUS_HISTOGRAM_TEXT_BYTES], cut[64];
	size_t length, size;

	start_empty();
	apus_histogram_record(&histogram, 100);
	apus_histogram_record(&histogram, 900);
	length = apus_histogram_format(&histogram, whole, sizeof whole);
	for (size = 1; size < sizeof cut; size++) {
		memset(cut, 'x', sizeof cut);
		ck_assert_uint_eq(apus_histogram_format(&histogram, cut, size), length);
		ck_assert_mem_eq(cut, whole, size - 1);
		ck_assert_int_eq(cut[size - 1], '\0');
		ck_assert_int_eq(cut[size], 'x');
	}
	ck_assert_uint_eq(apus_histogram_format(&histogram, NULL, 0), length);
}
END_TEST

TEST_MAIN("histogram",
	zero_bytes_are_an_empty_histogram_and_answer_zero,
	values_up_to_255_are_exact,
	a_percentile_is_never_below_and_at_most_a_128th_above,
	min_and_max_are_exact,
	a_first_value_of_zero_is_the_minimum,
	a_negative_value_counts_as_zero_and_is_told,
	a_percentile_is_the_least_value_that_so_many_do_not_exceed,
	the_mean_is_within_a_256th,
	merging_is_as_if_one_had_recorded_all,
	merging_an_empty_one_changes_nothing_and_into_an_empty_one_copies,
	reset_empties,
	recording_many_is_recording_one_many_times,
	a_stall_is_recorded_for_each_interval_that_it_hid,
	the_correction_of_the_longest_stall_is_bounded,
	what_people_read_has_the_percentiles_and_a_bar_for_most,
	the_bars_are_few_and_add_up_to_all,
	a_text_too_small_is_cut_and_the_whole_length_answered)
