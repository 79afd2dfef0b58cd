/*
 * bench.c - the command line, and the order of measuring.
 *
 * For each row every entrant runs once, then every entrant again (A B A B), so that a
 * machine that changes its mood changes it for all of them; a line is the median over
 * the repetitions.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SAMPLE_MAX (1u << 20)
#define SAMPLE_MIN 3
#define SPREAD_NOISY 0.10

/* Filled by the linker from what BENCH_ROW and BENCH_ENTRANT put there. */
extern const struct bench_row *const __start_bench_rows[];
extern const struct bench_row *const __stop_bench_rows[];
extern const struct bench_entrant *const __start_bench_entrants[];
extern const struct bench_entrant *const __stop_bench_entrants[];

/* In the order in which a reader wants to see them. */
static const char *const known_who[] = { "apus", "limit", "libev", "libuv", "libevent", "uring",
	"ck", "tokio", "tokio-spin", "asio", "malloc", "cyclictest" };
#define WHO_COUNT (sizeof known_who / sizeof *known_who)

/* ---- samples ------------------------------------------------------------- */

static void keep(struct bench *b, double value, uint64_t now)
{
	if (b->sample_exact != 0) {
		b->samples[b->sample_count++] = value;
		b->stopping = b->sample_count == b->sample_exact;
		return;
	}
	/* The clock starts with the first sample, after whatever the entrant has built. */
	if (!b->started) {
		b->started = true;
		b->warm_end += now;
		b->end += now;
	}
	if (now < b->warm_end)
		return;
	b->samples[b->sample_count++] = value;
	b->stopping = b->sample_count == b->sample_max ||
		(now >= b->end && b->sample_count >= SAMPLE_MIN);
}

void bench_value(struct bench *b, double value)
{
	if (!b->stopping)
		keep(b, value, bench_ticks());
}

void bench_constant(struct bench *b, double value)
{
	b->samples[b->sample_count++] = value;
	b->stopping = true;
}

void bench_record(struct bench *b, uint64_t end, uint32_t ops)
{
	keep(b, bench_ns(b, end - b->start + b->elapsed) / ops, end);
}

static void complain(struct bench *b, const char *what, const char *format, va_list args)
{
	fprintf(stderr, "bench: %s: %s: ", b->row->name, what);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	b->stopping = true;
}

void bench_skip(struct bench *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(b, "skipped", format, args);
	va_end(args);
	b->skipped = true;
}

void bench_fail(struct bench *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(b, "failed", format, args);
	va_end(args);
	b->failed = true;
}

void *bench_pages(struct bench *b, size_t size_bytes)
{
	void *pages = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (pages != MAP_FAILED)
		return pages;
	bench_skip(b, "no memory for %zu bytes: %s", size_bytes, strerror(errno));
	return NULL;
}

void bench_pages_free(void *pages, size_t size_bytes)
{
	munmap(pages, size_bytes);
}

/* ---- rows and entrants ---------------------------------------------------- */

static size_t row_count(void)
{
	return (size_t)(__stop_bench_rows - __start_bench_rows);
}

static const char *row_against(const struct bench_row *row)
{
	return row->against != NULL ? row->against : "limit";
}

static int by_place(const void *a, const void *b)
{
	const struct bench_row *x = *(const struct bench_row *const *)a;
	const struct bench_row *y = *(const struct bench_row *const *)b;
	int file = strcmp(x->file, y->file);

	return file != 0 ? file : (x->line > y->line) - (x->line < y->line);
}

/* The rows as their files have them: the linker promises no order. */
static const struct bench_row **rows_sorted(void)
{
	const struct bench_row **rows = malloc(row_count() * sizeof *rows);

	if (rows == NULL)
		abort();
	memcpy(rows, __start_bench_rows, row_count() * sizeof *rows);
	qsort(rows, row_count(), sizeof *rows, by_place);
	return rows;
}

static const struct bench_entrant *entrant_named(const char *row, const char *who)
{
	const struct bench_entrant *const *at;

	for (at = __start_bench_entrants; at < __stop_bench_entrants; at++)
		if (strcmp((*at)->row, row) == 0 && strcmp((*at)->who, who) == 0)
			return *at;
	return NULL;
}

static const struct bench_entrant *find_entrant(const struct bench_row *row, const char *who)
{
	return entrant_named(row->like != NULL ? row->like : row->name, who);
}

static bool who_is_known(const char *who, size_t length)
{
	for (size_t i = 0; i < WHO_COUNT; i++)
		if (strlen(known_who[i]) == length && strncmp(known_who[i], who, length) == 0)
			return true;
	return false;
}

/* In a list with commas between. */
static bool is_listed(const char *at, const char *who)
{
	size_t length = strlen(who);

	while (at != NULL) {
		if (strncmp(at, who, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
		at = strchr(at, ',');
		at = at != NULL ? at + 1 : NULL;
	}
	return false;
}

static bool who_is_wanted(const struct options *options, const char *who)
{
	return options->who == NULL || is_listed(options->who, who);
}

static bool row_is_wanted(const struct options *options, const char *name)
{
	for (int i = 0; i < options->glob_count; i++)
		if (fnmatch(options->globs[i], name, 0) == 0)
			return true;
	return options->glob_count == 0;
}

/* An entrant without its row, or two alike, is a mistake in benchmarks/ itself. */
static int check_registry(void)
{
	const struct bench_entrant *const *at;
	const struct bench_row *const *row;

	for (at = __start_bench_entrants; at < __stop_bench_entrants; at++) {
		for (row = __start_bench_rows; row < __stop_bench_rows; row++)
			if (strcmp((*row)->name, (*at)->row) == 0)
				break;
		if (row == __stop_bench_rows || entrant_named((*at)->row, (*at)->who) != *at ||
		    !who_is_known((*at)->who, strlen((*at)->who))) {
			fprintf(stderr, "bench: entrant %s of %s: no such row, or twice\n",
				(*at)->who, (*at)->row);
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- running --------------------------------------------------------------- */

struct run {
	const struct options *options;
	const struct meter *meter;
	double *samples;
	int cpu;
	bool failed;
};

static uint32_t repeat_of(const struct options *options, const struct bench_row *row)
{
	uint32_t repeat = options->quick ? REPEAT_QUICK : REPEAT;

	if (options->repeat != 0)
		return options->repeat;
	if (options->sample_exact != 0)
		return 1;
	if (row->repeat_max != 0 && row->repeat_max < repeat)
		return row->repeat_max;
	return !options->quick && row->repeat_min > repeat ? row->repeat_min : repeat;
}

static void bench_start(const struct run *run, const struct bench_row *row,
	const struct bench_entrant *entrant, struct bench *b)
{
	double budget = run->options->quick ? BUDGET_QUICK_NS : BUDGET_NS;
	double budget_ticks;

	if (row->budget_ns != 0)
		budget = run->options->quick ? (double)row->budget_ns / 10 : (double)row->budget_ns;
	memset(b, 0, sizeof *b);
	b->row = row;
	b->arg = entrant->arg;
	b->batch = row->batch != 0 ? row->batch : 1;
	b->cpu = run->cpu;
	b->quick = run->options->quick;
	b->ns_per_tick = run->meter->ns_per_tick;
	b->samples = run->samples;
	b->sample_max = SAMPLE_MAX;
	b->sample_exact = run->options->sample_exact;
	budget_ticks = budget / b->ns_per_tick;
	b->warm_end = (uint64_t)(budget_ticks / 10);
	b->end = (uint64_t)(budget_ticks + budget_ticks / 10);
}

static void entrant_run(const struct bench_entrant *entrant, struct bench *b)
{
	struct neighbour neighbour;

	if (!b->row->busy) {
		entrant->run(b);
	} else if (neighbour_start(b, &neighbour)) {
		entrant->run(b);
		neighbour_stop(&neighbour);
	}
}

static int run_once(struct run *run, const struct bench_row *row,
	const struct bench_entrant *entrant, struct result *result)
{
	struct bench b;

	bench_start(run, row, entrant, &b);
	entrant_run(entrant, &b);
	run->failed |= b.failed;
	if (b.failed || b.skipped)
		return -ECANCELED;
	if (b.sample_count == 0) {
		fprintf(stderr, "bench: %s: failed: %s took no sample\n", row->name, entrant->who);
		run->failed = true;
		return -ENODATA;
	}
	/* An exact run is counted from outside, and sorting must not count with it. */
	if (run->options->sample_exact == 0)
		summarize(b.samples, b.sample_count, result);
	return 0;
}

/* The entrants of one row, and what each repetition of each gave. */
struct contest {
	const struct bench_row *row;
	const struct bench_entrant *entrants[WHO_COUNT];
	uint32_t entrant_count;
	uint32_t repeat;
	bool out[WHO_COUNT];
	struct result repetitions[WHO_COUNT][REPEAT_MAX];
	struct result results[WHO_COUNT];
};

static void contest_init(struct contest *contest, const struct options *options,
	const struct bench_row *row)
{
	memset(contest, 0, sizeof *contest);
	contest->row = row;
	contest->repeat = repeat_of(options, row);
	for (size_t i = 0; i < WHO_COUNT; i++) {
		const struct bench_entrant *entrant = find_entrant(row, known_who[i]);

		if (entrant != NULL && who_is_wanted(options, known_who[i]))
			contest->entrants[contest->entrant_count++] = entrant;
	}
}

static void contest_run(struct contest *contest, struct run *run)
{
	for (uint32_t turn = 0; turn < contest->repeat; turn++)
		for (uint32_t i = 0; i < contest->entrant_count; i++)
			if (!contest->out[i])
				contest->out[i] = run_once(run, contest->row, contest->entrants[i],
					&contest->repetitions[i][turn]) != 0;
}

static void contest_print(struct contest *contest, const struct options *options)
{
	const char *who = row_against(contest->row);
	const struct result *against = NULL;

	for (uint32_t i = 0; i < contest->entrant_count; i++) {
		struct result *result = &contest->results[i];

		if (contest->out[i])
			continue;
		result->row = contest->row;
		result->who = contest->entrants[i]->who;
		combine(contest->repetitions[i], contest->repeat, result);
		if (strcmp(result->who, who) == 0)
			against = result;
	}
	for (uint32_t i = 0; i < contest->entrant_count; i++) {
		if (contest->out[i])
			continue;
		if (options->json)
			print_json(stdout, &contest->results[i]);
		else
			print_result(stdout, &contest->results[i], against);
	}
	fflush(stdout);
}

/* Says which rows a reader should not believe, and what the kernel knows of it. */
static void contest_warn(const struct contest *contest, const struct disturbance *before,
	const struct disturbance *after)
{
	long switches = after->switches - before->switches;
	long steal = after->steal_ticks - before->steal_ticks;
	double spread = 0;

	for (uint32_t i = 0; i < contest->entrant_count; i++)
		spread = fmax(spread, spread_of(&contest->results[i]));
	if (spread <= SPREAD_NOISY && switches <= (long)(contest->repeat * contest->entrant_count) &&
	    steal == 0)
		return;
	fprintf(stderr, "bench: %s: noisy: the repetitions' medians spread by %.0f %%, "
		"%ld involuntary switches, %ld ms stolen\n", contest->row->name, 100 * spread,
		switches, steal * 10);
}

static void run_row(struct run *run, const struct bench_row *row)
{
	struct contest *contest = malloc(sizeof *contest);
	struct disturbance before, after;

	if (contest == NULL)
		abort();
	contest_init(contest, run->options, row);
	meter_disturbance(run->cpu, &before);
	contest_run(contest, run);
	meter_disturbance(run->cpu, &after);
	if (run->options->sample_exact == 0) {
		contest_print(contest, run->options);
		contest_warn(contest, &before, &after);
	}
	if (contest->entrant_count == 0)
		fprintf(stderr, "bench: %s: skipped: no entrant was built, or none asked for\n",
			row->name);
	free(contest);
}

/* ---- the command line -------------------------------------------------------- */

/* Name, unit, operations a sample, the who that ratios are to; then who was built. */
static void list_row(const struct bench_row *row)
{
	printf("%-30s %-5s %5u %-8s", row->name, row->unit, row->batch != 0 ? row->batch : 1,
		row_against(row));
	for (size_t i = 0; i < WHO_COUNT; i++)
		if (find_entrant(row, known_who[i]) != NULL)
			printf(" %s", known_who[i]);
	putchar('\n');
}

static int list(const struct options *options, const struct bench_row **rows)
{
	for (size_t i = 0; i < row_count(); i++)
		if (row_is_wanted(options, rows[i]->name))
			list_row(rows[i]);
	return 0;
}

/* Pins this thread; every entrant runs here. */
static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0) {
		if (sched_getaffinity(0, sizeof set, &set) != 0)
			return -errno;
		for (int i = 0; i < CPU_SETSIZE; i++)
			cpu = CPU_ISSET(i, &set) ? i : cpu;
	}
	if (cpu < 0 || cpu >= CPU_SETSIZE) {
		fprintf(stderr, "bench: there is no cpu %d\n", cpu);
		return -EINVAL;
	}
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0) {
		int err = -errno;

		fprintf(stderr, "bench: cannot run on cpu %d: %s\n", cpu,
			err == -EINVAL ? "it does not exist, or is not ours" : strerror(-err));
		return err;
	}
	return cpu;
}

static int check_globs(const struct options *options)
{
	for (int i = 0; i < options->glob_count; i++) {
		const struct bench_row *const *row;

		for (row = __start_bench_rows; row < __stop_bench_rows; row++)
			if (fnmatch(options->globs[i], (*row)->name, 0) == 0)
				break;
		if (row == __stop_bench_rows) {
			fprintf(stderr, "bench: no row is named like '%s'; --list shows them all\n",
				options->globs[i]);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_who(const char *who)
{
	while (who != NULL) {
		const char *end = strchrnul(who, ',');

		if (!who_is_known(who, (size_t)(end - who))) {
			fprintf(stderr, "bench: nobody is called '%.*s'; known are", (int)(end - who), who);
			for (size_t i = 0; i < WHO_COUNT; i++)
				fprintf(stderr, " %s", known_who[i]);
			fputc('\n', stderr);
			return -EINVAL;
		}
		who = *end == ',' ? end + 1 : NULL;
	}
	return 0;
}

/* A peer that was not built is missing in many rows: that is said once, not in each. */
static void say_absent(const struct options *options)
{
	for (size_t i = 0; i < WHO_COUNT; i++)
		if (is_listed(BENCH_ABSENT, known_who[i]) && who_is_wanted(options, known_who[i]))
			fprintf(stderr, "bench: skipped: %s was not built; `./bootstrap bench` "
				"installs what it needs\n", known_who[i]);
}

static int measure(const struct options *options, const struct bench_row **rows)
{
	struct run run = { .options = options };
	struct hiccups hiccups = { 0 };
	struct meter meter;

	run.cpu = pin(options->cpu);
	if (run.cpu < 0)
		return 2;
	run.samples = mmap(NULL, SAMPLE_MAX * sizeof *run.samples, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (run.samples == MAP_FAILED)
		return 2;
	meter_init(&meter, options->sample_exact != 0);
	run.meter = &meter;
	if (options->sample_exact == 0) {
		meter_hiccups(&meter, options->quick ? 20000000 : 500000000, &hiccups);
		print_about(options->json ? stderr : stdout, options, &meter, &hiccups, run.cpu);
		if (!meter.steady)
			fprintf(stderr, "bench: noisy: two calibrations of the TSC disagree\n");
	}
	if (options->about)
		return 0;
	say_absent(options);
	if (!options->json && options->sample_exact == 0)
		print_head(stdout);
	for (size_t i = 0; i < row_count(); i++)
		if (row_is_wanted(options, rows[i]->name))
			run_row(&run, rows[i]);
	return run.failed ? 1 : 0;
}

static const char usage[] =
	"usage: bench [--list] [--json] [--who apus,limit,...] [--cpu N] [--quick] [NAME-GLOB ...]\n"
	"\n"
	"  --list      the rows, their unit, and who of them was built\n"
	"  --json      a line a result, and nothing else, on stdout\n"
	"  --who LIST  only these\n"
	"  --cpu N     where to run; by default the last CPU that is allowed\n"
	"  --quick     short and rough: to see that everything runs\n"
	"  --about     only what is printed above the table: build, clock, hiccups\n"
	"  --repeat N  repetitions of every row\n"
	"  --samples N exactly N samples, no figures: for counting instructions\n";

static long number(const char *text, long low, long high)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && value >= low && value <= high)
		return value;
	fprintf(stderr, "bench: '%s' is not a number from %ld to %ld\n", text, low, high);
	exit(2);
}

static void parse(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "who", required_argument, NULL, 'w' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "quick", no_argument, NULL, 'q' },
		{ "about", no_argument, NULL, 'a' },
		{ "repeat", required_argument, NULL, 'r' },
		{ "samples", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	for (;;) {
		switch (getopt_long(argc, argv, "", table, NULL)) {
		case 'l': options->list = true; break;
		case 'j': options->json = true; break;
		case 'w': options->who = optarg; break;
		case 'c': options->cpu = (int)number(optarg, 0, CPU_SETSIZE - 1); break;
		case 'q': options->quick = true; break;
		case 'a': options->about = true; break;
		case 'r': options->repeat = (uint32_t)number(optarg, 1, REPEAT_MAX); break;
		case 's': options->sample_exact = (uint32_t)number(optarg, 1, SAMPLE_MAX); break;
		case 'h': fputs(usage, stdout); exit(0);
		case -1:
			options->globs = argv + optind;
			options->glob_count = argc - optind;
			return;
		default: fputs(usage, stderr); exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options options = { .cpu = -1, .word_count = argc };
	const struct bench_row **rows;
	int code;

	/* getopt reorders argv: the words are kept as they were given. */
	options.words = malloc((size_t)argc * sizeof *argv);
	if (options.words == NULL)
		abort();
	memcpy(options.words, argv, (size_t)argc * sizeof *argv);
	parse(&options, argc, argv);
	if (check_registry() != 0 || check_globs(&options) != 0 || check_who(options.who) != 0)
		return 2;
	rows = rows_sorted();
	code = options.list ? list(&options, rows) : measure(&options, rows);
	free(rows);
	free(options.words);
	return code;
}
