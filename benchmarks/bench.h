/*
 * bench.h - what a benchmark is written in: rows, entrants, samples.
 *
 *   Units      samples in nanoseconds, or in what the row's `unit` says.
 *   Errors     an entrant that cannot run says why with bench_skip (the outside
 *              world refused) or bench_fail (what it measures misbehaved).
 *   Ownership  an entrant builds what it needs and takes it down, each repetition.
 *   Threads    one; pinned by the harness before the first entrant.
 *   Cost       a sample is two stamps and a call outside the stamps; the harness
 *              measures and prints it, and subtracts nothing.
 *
 * A row is a question ("slab/claim_release/hot"); entrants answer it, one for each
 * `who`.  Both register themselves: a row where the question stands (bench_<noun>.c), a
 * limit or a peer in rivals/.  A row whose entrants were not built is still listed.
 *
 *	static void claim_hot(struct bench *b)
 *	{
 *		...
 *		while (bench_more(b)) {
 *			for (uint32_t i = 0; i < b->batch; i++)
 *				...
 *			bench_sample(b, b->batch);
 *		}
 *	}
 *	BENCH_ENTRANT(hot_apus, .row = "slab/claim_release/hot", .who = "apus", .run = claim_hot);
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

struct bench;
typedef void bench_fn(struct bench *b);

struct bench_row {
	const char *name;
	const char *unit;       /* "ns", "bytes" */
	uint32_t batch;         /* operations in a sample; 0 is read as 1 */
	int64_t budget_ns;      /* sampling time of a repetition; 0: the harness's own */
	uint32_t repeat_min;    /* repetitions that this row needs at least */
	uint32_t repeat_max;    /* and that it has the time for; 0: as many as there are */
	const char *against;    /* the who that ratios are printed to; NULL: "limit" */
	const char *like;       /* asked of the entrants of that row; NULL: of its own */
	bool busy;              /* while a thread keeps another processor and its memory busy */
	const char *file;
	int line;
};

struct bench_entrant {
	const char *row;
	const char *who;
	bench_fn *run;
	int64_t arg;            /* the entrant's own: a population, a rate */
};

/* One repetition of one entrant. */
struct bench {
	/* For the entrant. */
	const struct bench_row *row;
	int64_t arg;
	uint32_t batch;
	int cpu;
	bool quick;             /* may take a smaller warm-up; never a smaller claim */

	/* The harness's own. */
	uint64_t start;
	uint64_t elapsed;
	uint64_t warm_end;
	uint64_t end;
	double ns_per_tick;
	double *samples;
	uint32_t sample_count;
	uint32_t sample_max;
	uint32_t sample_exact;  /* take exactly so many, whatever the clock says; 0: timed */
	bool started;
	bool stopping;
	bool skipped;
	bool failed;
};

#define BENCH_ROW(id, ...)                                                       \
	static const struct bench_row row_##id = {                               \
		__VA_ARGS__, .file = __FILE__, .line = __LINE__                  \
	};                                                                       \
	static const struct bench_row *const row_at_##id                         \
		__attribute__((__used__, __section__("bench_rows"))) = &row_##id

#define BENCH_ENTRANT(id, ...)                                                   \
	static const struct bench_entrant entrant_##id = { __VA_ARGS__ };        \
	static const struct bench_entrant *const entrant_at_##id                 \
		__attribute__((__used__, __section__("bench_entrants"))) = &entrant_##id

/* ---- stamps ------------------------------------------------------------ */

/*
 * A stamp waits for what came before it; the first of a pair also lets nothing that
 * comes after it start early (Paoloni 2010, with lfence in place of cpuid).
 */
#if defined(__x86_64__)
static inline uint64_t bench_ticks_begin(void)
{
	uint64_t ticks;

	_mm_lfence();
	ticks = __rdtsc();
	_mm_lfence();
	return ticks;
}

static inline uint64_t bench_ticks_end(void)
{
	unsigned int cpu;
	uint64_t ticks = __rdtscp(&cpu);

	_mm_lfence();
	return ticks;
}

/* An unordered read: what a turn that only wants to know the time pays. */
static inline uint64_t bench_ticks(void)
{
	return __rdtsc();
}
#else
static inline uint64_t bench_ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t bench_ticks_begin(void)
{
	return bench_ticks();
}

static inline uint64_t bench_ticks_end(void)
{
	return bench_ticks();
}
#endif

/* ---- samples ----------------------------------------------------------- */

/* One value, outside all stamps: keeps it, or lets it pass while warming up. */
void bench_value(struct bench *b, double value);
/* The only value there is, not a measurement: a size. */
void bench_constant(struct bench *b, double value);
void bench_record(struct bench *b, uint64_t end, uint32_t ops);

static inline bool bench_stopping(const struct bench *b)
{
	return b->stopping;
}

/* Starts a sample, or says that there are enough.  Once false it stays false. */
static inline bool bench_more(struct bench *b)
{
	if (b->stopping)
		return false;
	b->elapsed = 0;
	b->start = bench_ticks_begin();
	return true;
}

/* Ends a sample of `ops` operations. */
static inline void bench_sample(struct bench *b, uint32_t ops)
{
	bench_record(b, bench_ticks_end(), ops);
}

/* Between these two a sample's clock stands still. */
static inline void bench_pause(struct bench *b)
{
	b->elapsed += bench_ticks_end() - b->start;
}

static inline void bench_resume(struct bench *b)
{
	b->start = bench_ticks_begin();
}

static inline double bench_ns(const struct bench *b, uint64_t ticks)
{
	return (double)ticks * b->ns_per_tick;
}

/* ---- what every entrant needs ------------------------------------------- */

void bench_skip(struct bench *b, const char *format, ...)
	__attribute__((__format__(__printf__, 2, 3)));
void bench_fail(struct bench *b, const char *format, ...)
	__attribute__((__format__(__printf__, 2, 3)));

/* Zeroed pages, touched before the first sample; NULL after a bench_skip. */
void *bench_pages(struct bench *b, size_t size_bytes);
void bench_pages_free(void *pages, size_t size_bytes);

/* The compiler may know nothing of memory across this line, nor drop `p`. */
static inline void bench_use(void *p)
{
	__asm__ __volatile__("" : "+r"(p) : : "memory");
}

static inline void bench_use_value(uint64_t value)
{
	__asm__ __volatile__("" : : "r"(value));
}

/* xorshift64* (Vigna 2014): the same sequence for every entrant of a row. */
static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

#define BENCH_SEED UINT64_C(0x9e3779b97f4a7c15)

#endif
