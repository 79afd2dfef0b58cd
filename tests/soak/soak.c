/*
 * soak - loops over each backend, used in every way for minutes or hours; nothing may grow.
 *
 *	soak [--minutes n | --seconds n] [--backend name] [--leak memory|descriptor|task]
 *
 * A thread a backend makes rounds (see churn.h), all at the same time.  Between two rounds all
 * of them stand still, and what the process holds is compared with what it held after its first
 * few: descriptors, bytes of the heap, resident memory.  What each loop counts is zero by then.
 * Each loop is closed and opened again every few rounds.
 *
 * A line a minute, and one at the end.  0; 1: it grew, or something failed; 77: no backend.
 * A round that does not end is ended by SIGALRM.
 *
 * --leak leaks on purpose, for the test of this program: the answer must be 1.
 */
#define _GNU_SOURCE
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <dirent.h>
#ifdef HAVE_MALLINFO2
#include <malloc.h>
#endif
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "churn.h"

enum {
	KINDS = 3, REOPEN_ROUNDS = 3, WARM_ROUNDS = 2 * REOPEN_ROUNDS + 1,
	ROUNDS_MIN = 2 * WARM_ROUNDS, HANG_SECONDS = 120
};

/* The heap's own ways: what it keeps in pieces, what a thread's first call takes. */
enum { HEAP_SLACK_BYTES = 128 * 1024, RESIDENT_SLACK_KIB = 4096 };

struct options {
	int64_t run_ns, round_ns;
	const char *backend;
	enum churn_leak leak;
};

struct sample {
	long descriptors, resident_kib;
	size_t heap_bytes;
};

/* One a backend. */
struct worker {
	struct churn churn;
	enum apus_io_kind kind;
	const struct options *options;
	const char *folder;
	pthread_t thread;
	pthread_barrier_t *barrier;
	uint32_t *stop;
	int err;
};

/* ---- what the process holds -------------------------------------------------------------- */

static long descriptors(void)
{
	DIR *stream = opendir("/proc/self/fd");
	long count = 0;

	if (stream == NULL)
		return -1;
	while (readdir(stream) != NULL)
		count++;
	closedir(stream);
	return count - 3; /* . and .. and the stream's own */
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	if (file != NULL)
		fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Without a way to ask it is flat, and resident memory has to tell. */
static size_t heap_bytes(void)
{
#ifdef HAVE_MALLINFO2
	return mallinfo2().uordblks;
#else
	return 0;
#endif
}

static struct sample sample_take(void)
{
	struct sample now;

	now.descriptors = descriptors();
	now.heap_bytes = heap_bytes();
	now.resident_kib = resident_kib();
	return now;
}

/* What grew since `first`, or NULL. */
static const char *sample_compare(const struct sample *first, const struct sample *now)
{
	if (now->descriptors != first->descriptors)
		return "descriptors";
	if (now->heap_bytes > first->heap_bytes + HEAP_SLACK_BYTES)
		return "the heap";
	if (now->resident_kib > first->resident_kib + RESIDENT_SLACK_KIB)
		return "resident memory";
	return NULL;
}

/* ---- a loop's thread ------------------------------------------------------------------------ */

static int worker_open(struct worker *worker)
{
	char reason[192];
	int err = churn_open(&worker->churn, worker->kind, worker->folder, reason, sizeof reason);

	if (err)
		printf("soak: %s: %s\n", apus_io_kind_name(worker->kind), reason);
	return err;
}

/* After the first barrier the rounds are over, after the second they were looked at. */
static void stand_still(struct worker *worker)
{
	pthread_barrier_wait(worker->barrier);
	pthread_barrier_wait(worker->barrier);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	bool is_open;
	uint64_t round;

	worker->err = worker_open(worker);
	is_open = worker->err == 0;
	worker->churn.leak = worker->options->leak;
	for (round = 1; apus_load_acquire(worker->stop) == 0; round++) {
		if (!worker->err)
			worker->err = churn_round(&worker->churn, worker->options->round_ns);
		if (!worker->err && round % REOPEN_ROUNDS == 0) {
			worker->err = churn_close(&worker->churn);
			is_open = false;
			if (!worker->err)
				worker->err = worker_open(worker);
			is_open = worker->err == 0;
		}
		stand_still(worker);
	}
	if (is_open && churn_close(&worker->churn) != 0)
		worker->err = -EBUSY;
	return NULL;
}

/* ---- all of them ------------------------------------------------------------------------------ */

struct soak {
	struct worker workers[KINDS];
	uint32_t count, stop;
	uint64_t rounds;
	pthread_barrier_t barrier;
	struct sample first, last;
	const char *grew;
	int64_t begin_ns, said_ns;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

static struct churn_counts counts_sum(const struct soak *soak)
{
	struct churn_counts sum = { 0 };
	uint32_t i;

	for (i = 0; i < soak->count; i++) {
		const struct churn_counts *counts = &soak->workers[i].churn.counts;

		sum.connections += counts->connections;
		sum.bytes += counts->bytes;
		sum.datagrams += counts->datagrams;
		sum.tasks += counts->tasks;
		sum.timers += counts->timers;
		sum.wakes += counts->wakes;
		sum.files += counts->files;
		sum.offloads += counts->offloads;
		sum.aborts += counts->aborts;
	}
	return sum;
}

static void counts_say(const struct soak *soak)
{
	struct churn_counts sum = counts_sum(soak);

	printf("%" PRIu64 " rounds, %" PRIu64 " connections, %" PRIu64 " datagrams, %" PRIu64
		" timers, %" PRIu64 " tasks (%" PRIu64 " aborted), %" PRIu64 " wakes, %" PRIu64
		" files, %" PRIu64 " offloads; %ld descriptors (%ld at first), heap %zu (%zu) bytes, "
		"resident %ld (%ld) KiB", soak->rounds, sum.connections, sum.datagrams, sum.timers,
		sum.tasks, sum.aborts, sum.wakes, sum.files, sum.offloads, soak->last.descriptors,
		soak->first.descriptors, soak->last.heap_bytes, soak->first.heap_bytes,
		soak->last.resident_kib, soak->first.resident_kib);
}

static void minute_say(struct soak *soak)
{
	int64_t minute = (now_ns() - soak->begin_ns) / (60 * APUS_SEC);

	if (now_ns() - soak->said_ns < 60 * APUS_SEC)
		return;
	soak->said_ns += 60 * APUS_SEC;
	printf("minute %" PRId64 ": ", minute);
	counts_say(soak);
	printf("\n");
	fflush(stdout);
}

static bool workers_failed(const struct soak *soak)
{
	uint32_t i;

	for (i = 0; i < soak->count; i++)
		if (soak->workers[i].err)
			return true;
	return false;
}

/* While all stand still. */
static void look(struct soak *soak)
{
	soak->rounds++;
	soak->last = sample_take();
	if (soak->rounds <= WARM_ROUNDS)
		soak->first = soak->last;
	soak->grew = sample_compare(&soak->first, &soak->last);
}

static void run(struct soak *soak, const struct options *options)
{
	bool is_over = false;
	uint32_t i;

	soak->begin_ns = soak->said_ns = now_ns();
	for (i = 0; i < soak->count; i++)
		if (pthread_create(&soak->workers[i].thread, NULL, work, &soak->workers[i]) != 0)
			abort();
	while (!is_over) {
		alarm(HANG_SECONDS);
		pthread_barrier_wait(&soak->barrier);
		look(soak);
		minute_say(soak);
		is_over = soak->grew != NULL || workers_failed(soak) ||
			(soak->rounds >= ROUNDS_MIN &&
			now_ns() - soak->begin_ns >= options->run_ns);
		apus_store_release(&soak->stop, is_over);
		pthread_barrier_wait(&soak->barrier);
	}
	for (i = 0; i < soak->count; i++)
		pthread_join(soak->workers[i].thread, NULL);
}

/* ---- beginning ----------------------------------------------------------------------------------- */

static bool kind_can_open(enum apus_io_kind kind)
{
	struct apus_config config;
	struct apus_loop *loop;

	apus_config_init(&config);
	config.backend = kind;
	config.log_fn = NULL;
	if (apus_open(&loop, &config) == 0)
		return apus_close(loop, NULL) == 0;
	printf("soak: without %s: %s\n", apus_io_kind_name(kind), config.reason);
	return false;
}

static void workers_choose(struct soak *soak, const struct options *options, const char *folder)
{
	static const enum apus_io_kind kinds[KINDS] = { APUS_IO_EPOLL, APUS_IO_URING, APUS_IO_LIBEV };
	int i;

	for (i = 0; i < KINDS; i++) {
		struct worker *worker = &soak->workers[soak->count];

		if (options->backend != NULL &&
		    strcmp(options->backend, apus_io_kind_name(kinds[i])) != 0)
			continue;
		if (!kind_can_open(kinds[i]))
			continue;
		worker->kind = kinds[i];
		worker->options = options;
		worker->folder = folder;
		worker->barrier = &soak->barrier;
		worker->stop = &soak->stop;
		soak->count++;
	}
}

static int usage(void)
{
	fprintf(stderr, "soak [--minutes n | --seconds n] [--backend epoll|uring|libev] "
		"[--leak memory|descriptor|task]\n");
	return 2;
}

static bool leak_parse(const char *text, enum churn_leak *leak)
{
	static const char *const names[] = { "none", "memory", "descriptor", "task" };
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*leak = (enum churn_leak)i;
			return true;
		}
	return false;
}

static bool time_parse(const char *text, int64_t unit_ns, int64_t *ns)
{
	char *end;
	double value = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || !(value > 0 && value < 1e6))
		return false;
	*ns = (int64_t)(value * (double)unit_ns);
	return true;
}

static bool options_parse(struct options *options, int argc, char **argv)
{
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (strcmp(name, "--minutes") == 0 && time_parse(value, 60 * APUS_SEC, &options->run_ns))
			continue;
		if (strcmp(name, "--seconds") == 0 && time_parse(value, APUS_SEC, &options->run_ns))
			continue;
		if (strcmp(name, "--leak") == 0 && leak_parse(value, &options->leak))
			continue;
		if (strcmp(name, "--backend") != 0)
			return false;
		options->backend = value;
	}
	return i == argc;
}

static int verdict(const struct soak *soak, const struct options *options)
{
	bool failed = workers_failed(soak);

	printf("soak: %.1f minutes: ", (double)options->run_ns / 60e9);
	counts_say(soak);
	if (soak->grew != NULL)
		printf(": NOT FLAT: %s\n", soak->grew);
	else
		printf(": %s\n", failed ? "FAILED" : "flat");
	return failed || soak->grew != NULL ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct soak soak;
	struct options options = { .run_ns = 60 * APUS_SEC };
	char folder[] = "/tmp/apus-soak-XXXXXX";
	int status;

	if (!options_parse(&options, argc, argv))
		return usage();
	options.round_ns = options.run_ns < 30 * APUS_SEC ? options.run_ns / 24 : APUS_SEC;
	if (mkdtemp(folder) == NULL)
		return 99;
	workers_choose(&soak, &options, folder);
	if (soak.count == 0) {
		rmdir(folder);
		printf("SKIP: no backend\n");
		return 77;
	}
	if (pthread_barrier_init(&soak.barrier, NULL, soak.count + 1) != 0)
		return 99;
	run(&soak, &options);
	pthread_barrier_destroy(&soak.barrier);
	rmdir(folder);
	status = verdict(&soak, &options);
	return status;
}
