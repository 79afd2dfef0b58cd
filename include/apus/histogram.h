/*
 * apus/histogram.h - where the time went: counts of int64_t nanoseconds in buckets that
 * are linear within an octave and double from one to the next.
 *
 *   Units      nanoseconds, 0 to INT64_MAX; percentiles in percent.
 *   Errors     none.  A negative value is recorded as 0 and counted in negative_count.
 *   Ownership  the caller's memory, 57 kB, of which only what is hit becomes warm.
 *   Threads    one at a time.
 *   Cost       record: about a dozen instructions; a call when the value is a new
 *              extreme; no allocation anywhere.  Answers walk the buckets between min and max.
 *   Source     Tene, HdrHistogram, 2012; the correction is his of 2013.
 *
 * min, max and values up to 255 are exact.  Beyond, a bucket is at most 1/128 of its
 * values wide: a percentile is never below the true one and at most 1/128 above it.  A
 * histogram of zero bytes is an empty one.
 */
#ifndef APUS_HISTOGRAM_H
#define APUS_HISTOGRAM_H

#include "apus/base.h"

#define APUS_HISTOGRAM_SUB_BITS 7 /* 2^7 buckets an octave */
#define APUS_HISTOGRAM_BUCKETS ((63 - APUS_HISTOGRAM_SUB_BITS + 1) << APUS_HISTOGRAM_SUB_BITS)
#define APUS_HISTOGRAM_TEXT_BYTES 2048 /* enough for apus_histogram_format */

/* Read through the functions; open only so that record can be inline. */
struct apus_histogram {
	uint64_t min;
	uint64_t span; /* max - min, so that one compare finds a new extreme */
	uint64_t negative_count; /* read: values below 0 */
	uint64_t counts[APUS_HISTOGRAM_BUCKETS];
};

APUS_BEGIN_DECLS

/* Empty again. */
APUS_API void apus_histogram_reset(struct apus_histogram *histogram);

/* Adds all that `from` has recorded. */
APUS_API void apus_histogram_merge(struct apus_histogram *histogram,
	const struct apus_histogram *from);

/* The same value `count` times. */
APUS_API void apus_histogram_record_many(struct apus_histogram *histogram, int64_t value_ns,
	uint64_t count);

/*
 * For what should happen every interval_ns and is measured only once it is over: whoever
 * waited value_ns kept others from being measured, who would have seen value_ns less one
 * interval, two, and so on; they are recorded too ("coordinated omission").  Takes one
 * step a bucket, however long the stall.  An interval <= 0 corrects nothing.
 */
APUS_API void apus_histogram_record_corrected(struct apus_histogram *histogram, int64_t value_ns,
	int64_t interval_ns);

/* Values recorded, the negative ones and the corrections among them. */
APUS_API uint64_t apus_histogram_count(const struct apus_histogram *histogram);

/* Within 1/256; 0 when empty. */
APUS_API double apus_histogram_mean(const struct apus_histogram *histogram);

/* The least value that `percent` of all do not exceed; 0: min, 100: max; 0 when empty. */
APUS_API int64_t apus_histogram_percentile(const struct apus_histogram *histogram, double percent);

/*
 * For people: count, mean, percentiles, and up to seventeen bars, each line ended.  Answers
 * as snprintf: the bytes that it takes, of which all that fit are written and ended by 0.
 */
APUS_API size_t apus_histogram_format(const struct apus_histogram *histogram, char *text,
	size_t text_bytes);

/* The cold half of record: a new extreme, or a negative value; answers what to count. */
APUS_API APUS_COLD uint64_t apus_histogram_widen(struct apus_histogram *histogram,
	int64_t value_ns);

APUS_END_DECLS

/* 0 when empty. */
APUS_INLINE int64_t apus_histogram_min(const struct apus_histogram *histogram)
{
	return (int64_t)histogram->min;
}

APUS_INLINE int64_t apus_histogram_max(const struct apus_histogram *histogram)
{
	return (int64_t)(histogram->min + histogram->span);
}

/* The bucket of a value: 128 an octave, and those below 256 hold one value each. */
APUS_INLINE uint32_t apus_histogram_bucket(uint64_t value_ns)
{
	uint64_t linear = UINT64_C(1) << APUS_HISTOGRAM_SUB_BITS;
	uint32_t top_bit = 63 ^ (uint32_t)__builtin_clzll(value_ns | linear);
	uint32_t shift = top_bit - APUS_HISTOGRAM_SUB_BITS;

	return (shift << APUS_HISTOGRAM_SUB_BITS) + (uint32_t)(value_ns >> shift);
}

APUS_INLINE void apus_histogram_record(struct apus_histogram *histogram, int64_t value_ns)
{
	uint64_t value = (uint64_t)value_ns;

	if (apus_unlikely(value - histogram->min > histogram->span))
		value = apus_histogram_widen(histogram, value_ns);
	histogram->counts[apus_histogram_bucket(value)]++;
}

#endif
