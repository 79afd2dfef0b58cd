/*
 * libev's timers: a 4-heap in the loop.  Used as its documentation says is fastest: one
 * loop, epoll, the loop's cached time, ev_timer_start and ev_timer_stop on watchers that
 * were initialized once.
 *
 * What differs: libev lives by the real clock, so the wait for a batch to become due is
 * cut out of the sample, for apus too; its turn includes an epoll_wait, one a batch.
 */
#include "../bench_timer.h"

#include <ev.h>

struct crowd {
	struct ev_loop *loop;
	ev_timer *timers;
	size_t bytes;
	uint64_t fired;
};

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct crowd *crowd = timer->data;

	(void)loop;
	(void)events;
	crowd->fired++;
}

/* `count` far ones, then `more` that are not armed. */
static ev_timer *crowd_open(struct bench *b, struct crowd *crowd, size_t count, size_t more)
{
	uint64_t state = BENCH_SEED;

	crowd->fired = 0;
	crowd->bytes = (count + more) * sizeof *crowd->timers;
	crowd->timers = bench_pages(b, crowd->bytes);
	if (crowd->timers == NULL)
		return NULL;
	crowd->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (crowd->loop == NULL) {
		bench_skip(b, "libev opened no loop");
		bench_pages_free(crowd->timers, crowd->bytes);
		return NULL;
	}
	for (size_t i = 0; i < count + more; i++) {
		ev_timer_init(&crowd->timers[i], on_timer, 0., 0.);
		crowd->timers[i].data = crowd;
	}
	for (size_t i = 0; i < count; i++) {
		ev_timer_set(&crowd->timers[i], (double)timer_delay_far(&state) * 1e-9, 0.);
		ev_timer_start(crowd->loop, &crowd->timers[i]);
	}
	return &crowd->timers[count];
}

static void crowd_close(struct crowd *crowd)
{
	ev_loop_destroy(crowd->loop);
	bench_pages_free(crowd->timers, crowd->bytes);
}

static void arm_disarm(struct bench *b)
{
	int64_t delays[TIMER_DELAYS];
	double seconds[TIMER_DELAYS];
	struct crowd crowd;
	ev_timer *timer = crowd_open(b, &crowd, (size_t)b->arg, 1);

	if (timer == NULL)
		return;
	timer_delays_near(delays);
	for (int i = 0; i < TIMER_DELAYS; i++)
		seconds[i] = (double)delays[i] * 1e-9;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			ev_timer_set(timer, seconds[i % TIMER_DELAYS], 0.);
			ev_timer_start(crowd.loop, timer);
			ev_timer_stop(crowd.loop, timer);
		}
		bench_sample(b, b->batch);
	}
	crowd_close(&crowd);
}

/*
 * Until the last of a batch armed at the loop's cached time is due.  A moment more: libev keeps
 * the difference of its two clocks, and corrects it now and then.
 */
static void wait_due(const struct crowd *crowd)
{
	double due = ev_now(crowd->loop) + (double)TIMER_MS * 1e-9 + 1e-4;

	while (ev_time() < due)
		;
}

static void arm_fire(struct bench *b)
{
	int64_t delays[TIMER_DELAYS];
	struct crowd crowd;
	ev_timer *timers = crowd_open(b, &crowd, (size_t)b->arg, TIMER_BATCH);

	if (timers == NULL)
		return;
	timer_delays_soon(delays);
	ev_now_update(crowd.loop);
	while (bench_more(b)) {
		uint64_t want = crowd.fired + TIMER_BATCH;

		for (int i = 0; i < TIMER_BATCH; i++) {
			ev_timer_set(&timers[i], (double)delays[i] * 1e-9, 0.);
			ev_timer_start(crowd.loop, &timers[i]);
		}
		bench_pause(b);
		wait_due(&crowd);
		bench_resume(b);
		ev_run(crowd.loop, EVRUN_NOWAIT);
		bench_sample(b, TIMER_BATCH);
		if (crowd.fired != want)
			bench_fail(b, "libev fired %llu of %llu", (unsigned long long)crowd.fired,
				(unsigned long long)want);
	}
	crowd_close(&crowd);
}

/* All of a million in one turn: libev has no budget. */
static void worst_turn(struct bench *b)
{
	size_t count = (size_t)b->arg;
	struct crowd crowd;
	ev_timer *timers = crowd_open(b, &crowd, 0, count);

	if (timers == NULL)
		return;
	while (!bench_stopping(b)) {
		uint64_t want = crowd.fired + count;

		ev_now_update(crowd.loop);
		for (size_t i = 0; i < count; i++) {
			ev_timer_set(&timers[i], (double)TIMER_MS * 1e-9, 0.);
			ev_timer_start(crowd.loop, &timers[i]);
		}
		wait_due(&crowd);
		bench_more(b);
		ev_run(crowd.loop, EVRUN_NOWAIT);
		bench_sample(b, 1);
		if (crowd.fired != want)
			bench_fail(b, "libev fired %llu of %llu", (unsigned long long)crowd.fired,
				(unsigned long long)want);
	}
	crowd_close(&crowd);
}

TIMER_PEER("libev");
BENCH_ENTRANT(arm_disarm_10m, .row = "timer/arm_disarm/10M", .who = "libev",
	.run = arm_disarm, .arg = 10000000);
BENCH_ENTRANT(arm_fire_10m, .row = "timer/arm_fire/10M", .who = "libev", .run = arm_fire,
	.arg = 10000000);
