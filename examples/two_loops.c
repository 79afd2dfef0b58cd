/*
 * two_loops.c - a pipeline over two loops, each pinned to a core of its own.
 *
 * The first loop makes numbers, the second one sums them; channels between threads join the
 * two.  First as many as will go: the throughput.  Then one at a time, there and back: half
 * of that is the latency.  Loops share nothing but what is declared here.
 *
 * Busy loops want a core each.  Where the process may run on one only, both park instead, so
 * that each lets the other go on.
 */
#define _GNU_SOURCE
#include <apus.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { NUMBERS = 200000, PINGS = 5000 };

APUS_SPSC(there, uint64_t, 1024)
APUS_SPSC(back, uint64_t, 1024)

struct pipeline {
	struct there there;
	struct back back;
	int cpus[2]; /* -1: as it comes */
	enum apus_idle idle;
	apus_poll summed; /* what the second loop ended with */
};

static int loop_open(struct apus_loop **loop, const struct pipeline *pipeline, int which)
{
	struct apus_config config;
	int err;

	apus_config_init(&config);
	config.cpu = pipeline->cpus[which];
	config.idle = pipeline->idle;
	err = apus_open(loop, &config);
	if (err == -ENOTSUP && config.cpu >= 0) { /* this system has no such call */
		config.cpu = -1;
		err = apus_open(loop, &config);
	}
	if (err)
		fprintf(stderr, "loop %d: %s\n", which, config.reason);
	return err;
}

/* ---- the second loop --------------------------------------------------------- */

struct summer {
	struct apus_frame frame;
	struct pipeline *pipeline;
	uint64_t number, sum, left;
	apus_poll err;
};

/* The numbers until the sum is due, then each is sent back, until the first loop has ended. */
APUS_TASK(summer, struct summer)
{
	struct pipeline *pipeline = self->pipeline;

	APUS_BEGIN(cx, self);
	for (self->left = NUMBERS; self->left > 0; self->left--) {
		APUS_TRY(self->err, apus_spsc_recv(cx, &pipeline->there, &self->number));
		self->sum += self->number;
	}
	APUS_TRY(self->err, apus_spsc_send(cx, &pipeline->back, self->sum));
	for (;;) {
		APUS_AWAIT(self->err, apus_spsc_recv(cx, &pipeline->there, &self->number));
		if (self->err)
			return self->err == -EPIPE ? 0 : self->err;
		APUS_TRY(self->err, apus_spsc_send(cx, &pipeline->back, self->number));
	}
	APUS_END(0);
}

static void *second_loop(void *arg)
{
	struct pipeline *pipeline = arg;
	struct summer init = { .pipeline = pipeline };
	struct apus_loop *loop;

	pipeline->summed = loop_open(&loop, pipeline, 1);
	if (pipeline->summed == 0) {
		pipeline->summed = apus_run(loop, summer, &init);
		apus_close(loop, NULL);
	}
	apus_spsc_close(&pipeline->there); /* or the first loop would wait for us */
	apus_spsc_close(&pipeline->back);
	return NULL;
}

/* ---- the first loop ------------------------------------------------------------ */

struct maker {
	struct apus_frame frame;
	struct pipeline *pipeline;
	struct apus_histogram *trips;
	uint64_t number, answer;
	int64_t begin_ns;
	apus_poll err;
};

APUS_TASK(maker, struct maker)
{
	struct pipeline *pipeline = self->pipeline;

	APUS_BEGIN(cx, self);
	self->begin_ns = apus_clock_now(cx->loop);
	for (self->number = 1; self->number <= NUMBERS; self->number++)
		APUS_TRY(self->err, apus_spsc_send(cx, &pipeline->there, self->number));
	APUS_TRY(self->err, apus_spsc_recv(cx, &pipeline->back, &self->answer));
	if (self->answer != (uint64_t)NUMBERS * (NUMBERS + 1) / 2)
		return -EBADMSG;
	printf("%d numbers: %.1f ns each\n", NUMBERS,
		(double)(apus_clock_now(cx->loop) - self->begin_ns) / NUMBERS);

	/* On a machine that is busy elsewhere these take long: not more than a quarter second. */
	self->begin_ns = cx->now_ns;
	for (self->number = 0; self->number < PINGS &&
			cx->now_ns - self->begin_ns < 250 * APUS_MSEC; self->number++) {
		APUS_TRY(self->err, apus_spsc_send(cx, &pipeline->there,
			(uint64_t)apus_clock_now(cx->loop)));
		APUS_TRY(self->err, apus_spsc_recv(cx, &pipeline->back, &self->answer));
		apus_histogram_record(self->trips,
			apus_clock_now(cx->loop) - (int64_t)self->answer);
	}
	APUS_END(0);
}

static apus_poll first_loop(struct pipeline *pipeline)
{
	static struct apus_histogram trips;
	struct maker init = { .pipeline = pipeline, .trips = &trips };
	struct apus_loop *loop;
	apus_poll err;

	apus_histogram_reset(&trips);
	err = loop_open(&loop, pipeline, 0);
	if (!err) {
		err = apus_run(loop, maker, &init);
		apus_close(loop, NULL);
		printf("one at a time: %.0f ns one way, half of %llu round trips' median\n",
			(double)apus_histogram_percentile(&trips, 50.0) / 2,
			(unsigned long long)apus_histogram_count(&trips));
	}
	apus_spsc_close(&pipeline->there);
	apus_spsc_close(&pipeline->back);
	return err;
}

/* ---- both -------------------------------------------------------------------------- */

/* The first CPU that we may run on, and the last. */
static void choose(struct pipeline *pipeline)
{
	cpu_set_t allowed;
	int cpu;

	pipeline->cpus[0] = pipeline->cpus[1] = -1;
	pipeline->idle = APUS_IDLE_PARK;
	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
		return;
	pipeline->idle = APUS_IDLE_BUSY;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed)) {
			if (pipeline->cpus[0] < 0)
				pipeline->cpus[0] = cpu;
			pipeline->cpus[1] = cpu;
		}
}

int main(void)
{
	static struct pipeline pipeline;
	pthread_t second;
	apus_poll err;

	choose(&pipeline);
	apus_spsc_init(&pipeline.there);
	apus_spsc_init(&pipeline.back);
	if (pthread_create(&second, NULL, second_loop, &pipeline) != 0)
		return 1;
	err = first_loop(&pipeline);
	pthread_join(second, NULL);
	printf("two loops on CPUs %d and %d\n", pipeline.cpus[0], pipeline.cpus[1]);
	apus_spsc_deinit(&pipeline.there);
	apus_spsc_deinit(&pipeline.back);
	return err != 0 || pipeline.summed != 0;
}
