/*
 * loop.c - a loop of ours, opened, turned and closed.
 */
#include "bench_loop.h"

#include <string.h>

void loop_config(struct apus_config *config)
{
	apus_config_init(config);
	config->idle = APUS_IDLE_BUSY;
	config->slot_count = 4096;
	config->task_budget = 4096;
	config->timer_budget = 1024;
	config->prefault = true;
}

struct apus_loop *loop_open(struct bench *b, struct apus_config *config)
{
	struct apus_loop *loop;
	int err = apus_open(&loop, config);

	if (err == 0)
		return loop;
	bench_fail(b, "apus_open: %s: %s", strerror(-err), config->reason);
	return NULL;
}

struct apus_loop *loop_open_if(struct bench *b, struct apus_config *config)
{
	struct apus_loop *loop;
	int err = apus_open(&loop, config);

	if (err == 0)
		return loop;
	bench_skip(b, "%s", config->reason);
	return NULL;
}

void loop_close(struct bench *b, struct apus_loop *loop)
{
	struct apus_drain_report report;
	int err = apus_drain(loop, APUS_SEC, &report);

	if (err != 0)
		bench_fail(b, "%llu tasks were left: %s", (unsigned long long)report.tasks_live,
			strerror(-err));
	err = apus_close(loop, NULL);
	if (err != 0)
		bench_fail(b, "apus_close: %s", strerror(-err));
}

bool loop_refused(struct bench *b, const char *what, int err)
{
	if (err == -ENOTSUP)
		bench_skip(b, "%s: this loop has no backend for sockets", what);
	else if (err != 0)
		bench_fail(b, "%s: %s", what, strerror(-err));
	return err != 0;
}

void loop_check(struct bench *b, apus_poll result)
{
	if (result != 0)
		bench_fail(b, "the root ended with %lld: %s", (long long)result,
			result < 0 ? strerror((int)-result) : "");
}

void loop_turns(struct bench *b, struct apus_loop *loop)
{
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++)
			apus_turn(loop);
		bench_sample(b, b->batch);
	}
}
