/*
 * neighbour.c - another processor kept busy, for the rows that ask what that does to a tail:
 * line after line of a buffer that no cache holds, and a system call now and then.
 */
#include "bench_wake.h"
#include "harness.h"

#include <stdlib.h>
#include <unistd.h>

enum { NEIGHBOUR_BYTES = 64 << 20, NEIGHBOUR_LINE = 64, LINES_A_CALL = 4096 };

static void *neighbour_run(void *arg)
{
	struct neighbour *neighbour = arg;
	unsigned char *bytes = malloc(NEIGHBOUR_BYTES);
	size_t at = 0, line = 0;

	if (bytes == NULL)
		return NULL;
	while (!__atomic_load_n(&neighbour->over, __ATOMIC_RELAXED)) {
		bytes[at]++;
		bench_use(bytes);
		at = (at + NEIGHBOUR_LINE) % NEIGHBOUR_BYTES;
		if (++line % LINES_A_CALL == 0)
			(void)getppid();
	}
	free(bytes);
	return NULL;
}

bool neighbour_start(struct bench *b, struct neighbour *neighbour)
{
	neighbour->over = 0;
	return wake_thread(b, &neighbour->thread, neighbour_run, neighbour);
}

void neighbour_stop(struct neighbour *neighbour)
{
	__atomic_store_n(&neighbour->over, 1, __ATOMIC_RELAXED);
	pthread_join(neighbour->thread, NULL);
}
