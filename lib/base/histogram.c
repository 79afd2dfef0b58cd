#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apus/histogram.h"

enum {
	ROWS_MAX = 16,
	BAR_COLUMNS = 40,
	SUB_COUNT = 1 << APUS_HISTOGRAM_SUB_BITS,
};

/* ---- buckets ------------------------------------------------------------ */

static uint64_t bucket_low(uint32_t bucket)
{
	uint32_t shift = bucket < SUB_COUNT ? 0 : bucket / SUB_COUNT - 1;

	return (uint64_t)(bucket - shift * SUB_COUNT) << shift;
}

static uint64_t bucket_high(uint32_t bucket)
{
	return bucket_low(bucket + 1) - 1;
}

static uint32_t first_bucket(const struct apus_histogram *histogram)
{
	return apus_histogram_bucket(histogram->min);
}

static uint32_t last_bucket(const struct apus_histogram *histogram)
{
	return apus_histogram_bucket(histogram->min + histogram->span);
}

/* Zero bytes are empty: min and max say 0, and nothing was counted there. */
static bool is_empty(const struct apus_histogram *histogram)
{
	return histogram->min + histogram->span == 0 && histogram->counts[0] == 0;
}

/* ---- recording ----------------------------------------------------------- */

/* Called before what is new is counted, or an empty histogram would not look empty. */
static void extremes_include(struct apus_histogram *histogram, uint64_t low, uint64_t high)
{
	uint64_t max = histogram->min + histogram->span;

	if (!is_empty(histogram)) {
		low = low < histogram->min ? low : histogram->min;
		high = high > max ? high : max;
	}
	histogram->min = low;
	histogram->span = high - low;
}

uint64_t apus_histogram_widen(struct apus_histogram *histogram, int64_t value_ns)
{
	uint64_t value = value_ns < 0 ? 0 : (uint64_t)value_ns;

	histogram->negative_count += value_ns < 0;
	extremes_include(histogram, value, value);
	return value;
}

void apus_histogram_record_many(struct apus_histogram *histogram, int64_t value_ns, uint64_t count)
{
	uint64_t value = value_ns < 0 ? 0 : (uint64_t)value_ns;

	if (count == 0)
		return;
	histogram->negative_count += value_ns < 0 ? count : 0;
	extremes_include(histogram, value, value);
	histogram->counts[apus_histogram_bucket(value)] += count;
}

/* Counts high, high - step ... down to the last that is >= step, a bucket at a time. */
static void record_falling(struct apus_histogram *histogram, int64_t high, int64_t step)
{
	uint32_t bucket;
	int64_t count;

	extremes_include(histogram, (uint64_t)(high % step + step), (uint64_t)high);
	while (high >= step) {
		bucket = apus_histogram_bucket((uint64_t)high);
		count = (high - (int64_t)bucket_low(bucket)) / step + 1;
		histogram->counts[bucket] += (uint64_t)count;
		high -= count * step;
	}
}

void apus_histogram_record_corrected(struct apus_histogram *histogram, int64_t value_ns,
	int64_t interval_ns)
{
	apus_histogram_record(histogram, value_ns);
	if (interval_ns > 0 && value_ns / 2 >= interval_ns)
		record_falling(histogram, value_ns - interval_ns, interval_ns);
}

void apus_histogram_reset(struct apus_histogram *histogram)
{
	memset(histogram, 0, sizeof *histogram);
}

void apus_histogram_merge(struct apus_histogram *histogram, const struct apus_histogram *from)
{
	if (is_empty(from))
		return;
	extremes_include(histogram, from->min, from->min + from->span);
	histogram->negative_count += from->negative_count;
	for (uint32_t bucket = first_bucket(from); bucket <= last_bucket(from); bucket++)
		histogram->counts[bucket] += from->counts[bucket];
}

/* ---- answers -------------------------------------------------------------- */

static uint64_t count_between(const struct apus_histogram *histogram, uint32_t first, uint32_t last)
{
	uint64_t count = 0;

	if (last >= APUS_HISTOGRAM_BUCKETS)
		last = APUS_HISTOGRAM_BUCKETS - 1; /* a row may end beyond the last bucket */
	for (uint32_t bucket = first; bucket <= last; bucket++)
		count += histogram->counts[bucket];
	return count;
}

uint64_t apus_histogram_count(const struct apus_histogram *histogram)
{
	return count_between(histogram, first_bucket(histogram), last_bucket(histogram));
}

double apus_histogram_mean(const struct apus_histogram *histogram)
{
	double sum = 0, count = 0;
	double middle, here;

	for (uint32_t bucket = first_bucket(histogram); bucket <= last_bucket(histogram); bucket++) {
		middle = ((double)bucket_low(bucket) + (double)bucket_high(bucket)) / 2;
		here = (double)histogram->counts[bucket];
		sum += here * middle;
		count += here;
	}
	return count == 0 ? 0 : sum / count;
}

/* How many values from the lowest up; the slack takes back what binary made of 99.9. */
static uint64_t percent_rank(double percent, uint64_t count)
{
	double exact = percent * (double)count / 100 * (1 - 1e-12);
	uint64_t rank = exact > 0 ? (uint64_t)exact : 0;

	return (double)rank < exact ? rank + 1 : rank;
}

int64_t apus_histogram_percentile(const struct apus_histogram *histogram, double percent)
{
	uint64_t rank, seen = 0;

	if (!(percent > 0))
		return apus_histogram_min(histogram);
	if (percent >= 100)
		return apus_histogram_max(histogram);
	rank = percent_rank(percent, apus_histogram_count(histogram));
	for (uint32_t bucket = first_bucket(histogram); bucket < last_bucket(histogram); bucket++) {
		seen += histogram->counts[bucket];
		if (seen >= rank)
			return (int64_t)bucket_high(bucket);
	}
	return apus_histogram_max(histogram);
}

/* ---- for people ------------------------------------------------------------- */

struct text {
	char *bytes;
	size_t size, used;
};

static void APUS_PRINTF(2, 3) text_add(struct text *text, const char *format, ...)
{
	size_t room = text->used < text->size ? text->size - text->used : 0;
	va_list args;
	int count;

	va_start(args, format);
	count = vsnprintf(room > 0 ? text->bytes + text->used : NULL, room, format, args);
	va_end(args);
	text->used += count > 0 ? (size_t)count : 0;
}

/* Three digits and a unit, eight columns wide. */
static void text_add_ns(struct text *text, double ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s " };
	unsigned unit = 0;
	int decimals;

	while (ns >= 999.5 && unit < 3) {
		ns /= 1000;
		unit++;
	}
	decimals = unit == 0 || ns >= 99.95 ? 0 : ns >= 9.995 ? 1 : 2;
	text_add(text, "%5.*f %s", decimals, ns, units[unit]);
}

static void text_add_named(struct text *text, const char *name, double ns)
{
	text_add(text, "%s", name);
	text_add_ns(text, ns);
}

static void text_add_summary(struct text *text, const struct apus_histogram *histogram)
{
	text_add(text, "count %" PRIu64, apus_histogram_count(histogram));
	if (histogram->negative_count != 0)
		text_add(text, " (%" PRIu64 " below 0)", histogram->negative_count);
	text_add_named(text, "  mean ", apus_histogram_mean(histogram));
	text_add_named(text, "  min ", (double)apus_histogram_min(histogram));
	text_add(text, "\n");
	text_add_named(text, "p50 ", (double)apus_histogram_percentile(histogram, 50));
	text_add_named(text, "  p90 ", (double)apus_histogram_percentile(histogram, 90));
	text_add_named(text, "  p99 ", (double)apus_histogram_percentile(histogram, 99));
	text_add_named(text, "  p99.9 ", (double)apus_histogram_percentile(histogram, 99.9));
	text_add_named(text, "  max ", (double)apus_histogram_max(histogram));
	text_add(text, "\n");
}

/* What is there but too little for a full column shows as a dot. */
static void text_add_row(struct text *text, uint64_t low, uint64_t here, uint64_t most, uint64_t count)
{
	int columns = (int)((double)here / (double)most * BAR_COLUMNS);

	text_add_ns(text, (double)low);
	text_add(text, " |%.*s%s", columns, "########################################",
		here > 0 && columns == 0 ? "." : "");
	text_add(text, "%*s %7.3f %%\n", BAR_COLUMNS - columns - (here > 0 && columns == 0), "",
		100 * (double)here / (double)count);
}

/*
 * Rows of equal width on the logarithmic scale, as fine as sixteen of them allow between
 * p0.1 and p99.9.  The first takes what is below, and one more at the end what is above:
 * one stall must not squeeze all that is usual into a single row.
 */
static void text_add_rows(struct text *text, const struct apus_histogram *histogram)
{
	uint32_t first = apus_histogram_bucket((uint64_t)apus_histogram_percentile(histogram, 0.1));
	uint32_t last = apus_histogram_bucket((uint64_t)apus_histogram_percentile(histogram, 99.9));
	uint32_t width = 1, bucket = first_bucket(histogram), next, rows, row;
	uint64_t low[ROWS_MAX + 1], here[ROWS_MAX + 1], most = 0, count = 0;

	while (last / width - first / width >= ROWS_MAX)
		width *= 2;
	for (rows = 0; bucket <= last_bucket(histogram); rows++) {
		next = bucket > last ? APUS_HISTOGRAM_BUCKETS : (first / width + rows + 1) * width;
		low[rows] = rows == 0 ? histogram->min : bucket_low(bucket);
		here[rows] = count_between(histogram, bucket, next - 1);
		most = here[rows] > most ? here[rows] : most;
		count += here[rows];
		bucket = next;
	}
	for (row = 0; row < rows; row++)
		text_add_row(text, low[row], here[row], most, count);
}

size_t apus_histogram_format(const struct apus_histogram *histogram, char *text, size_t text_bytes)
{
	struct text out = { text, text_bytes, 0 };

	text_add_summary(&out, histogram);
	if (!is_empty(histogram))
		text_add_rows(&out, histogram);
	return out.used;
}
