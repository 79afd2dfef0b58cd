/*
 * Question   how much memory does each of many cost?
 * Unit       bytes: a task's header, a timer, and what a loop grows by in resident memory
 *            for a connection more.
 * Rival      rivals/limit_memory.c: a hand-written struct with the fields that the
 *            promises need, and its size.
 * Not shown  the state of a task, which is its own; the kernel's side of a connection.
 */
#include "bench_loop.h"

#include <stdio.h>
#include <unistd.h>

BENCH_ROW(memory_task, .name = "memory/task", .unit = "bytes");
BENCH_ROW(memory_timer, .name = "memory/timer", .unit = "bytes");
BENCH_ROW(memory_tcp, .name = "memory/tcp", .unit = "bytes");

static void task(struct bench *b)
{
	bench_constant(b, sizeof(struct apus_task));
}
BENCH_ENTRANT(memory_task_apus, .row = "memory/task", .who = "apus", .run = task);

static void timer(struct bench *b)
{
	bench_constant(b, sizeof(struct apus_timer));
}
BENCH_ENTRANT(memory_timer_apus, .row = "memory/timer", .who = "apus", .run = timer);

static double resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (file != NULL && fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	if (file != NULL)
		fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* What a loop with room for so many connections holds, all of it touched. */
static double loop_bytes(struct bench *b, uint32_t socket_count)
{
	double before = resident_bytes();
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	config.socket_count = socket_count;
	loop = loop_open(b, &config);
	if (loop == NULL)
		return 0;
	before = resident_bytes() - before;
	loop_close(b, loop);
	return before;
}

static void tcp(struct bench *b)
{
	uint32_t few = 1u << 14, many = 1u << 17;
	double bytes;

	loop_bytes(b, few);
	bytes = loop_bytes(b, many) - loop_bytes(b, few);
	/* To the byte: a page more or less of something else is a fraction of one. */
	bench_constant(b, (double)(int64_t)(bytes / (many - few) + 0.5));
}
BENCH_ENTRANT(memory_tcp_apus, .row = "memory/tcp", .who = "apus", .run = tcp);
