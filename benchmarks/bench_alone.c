/*
 * Question   do two loops at local work, on two processors, each run as fast as one alone?
 * Unit       ns a turn of a busy loop in which a task yields; the other loop does the same.
 * Rival      the same loop, alone.
 * Not shown  what loops do to each other through channels: cross/; what processors share that
 *            software cannot part: caches, and their clock.
 */
#include "bench_loop.h"
#include "bench_wake.h"

#include "apus/task.h"

BENCH_ROW(two_alone, .name = "loop/two_alone", .unit = "ns", .batch = 1000);

struct yielder {
	struct apus_frame frame;
};

/* Until it is aborted. */
APUS_TASK(yielder, struct yielder)
{
	APUS_BEGIN(cx, self);
	for (;;)
		APUS_WAIT(apus_yield(cx));
	APUS_END(0);
}

struct neighbour {
	pthread_t thread;
	uint32_t state; /* 0: begins; 1: turns; 2: is to end; 3: could not open its loop */
};

static void *neighbour_run(void *arg)
{
	struct neighbour *neighbour = arg;
	struct apus_config config;
	struct apus_loop *loop;
	bool opened;

	loop_config(&config);
	opened = apus_open(&loop, &config) == 0;
	if (opened && apus_spawn_slab(loop, yielder, NULL, NULL) != 0) {
		apus_close(loop, NULL);
		opened = false;
	}
	__atomic_store_n(&neighbour->state, opened ? 1 : 3, __ATOMIC_RELEASE);
	if (!opened)
		return NULL;
	while (__atomic_load_n(&neighbour->state, __ATOMIC_RELAXED) != 2)
		apus_turn(loop);
	apus_close(loop, NULL);
	return NULL;
}

static bool neighbour_begin(struct bench *b, struct neighbour *neighbour)
{
	uint32_t state;

	neighbour->state = 0;
	if (!wake_thread(b, &neighbour->thread, neighbour_run, neighbour))
		return false;
	while ((state = __atomic_load_n(&neighbour->state, __ATOMIC_ACQUIRE)) == 0)
		;
	if (state == 1)
		return true;
	pthread_join(neighbour->thread, NULL);
	bench_fail(b, "the other loop could not be opened");
	return false;
}

static void neighbour_end(struct neighbour *neighbour)
{
	__atomic_store_n(&neighbour->state, 2, __ATOMIC_RELEASE);
	pthread_join(neighbour->thread, NULL);
}

static void own_turns(struct bench *b)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_join join;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	if (apus_spawn_slab(loop, yielder, NULL, &join) == 0) {
		loop_turns(b, loop);
		apus_abort(loop, join);
	} else {
		bench_fail(b, "no slot");
	}
	loop_close(b, loop);
}

/* arg: with a neighbour, or alone. */
static void two_alone(struct bench *b)
{
	struct neighbour neighbour;

	if (b->arg == 0) {
		own_turns(b);
	} else if (neighbour_begin(b, &neighbour)) {
		own_turns(b);
		neighbour_end(&neighbour);
	}
}
BENCH_ENTRANT(two_alone_apus, .row = "loop/two_alone", .who = "apus", .run = two_alone, .arg = 1);
BENCH_ENTRANT(two_alone_limit, .row = "loop/two_alone", .who = "limit", .run = two_alone,
	.arg = 0);
