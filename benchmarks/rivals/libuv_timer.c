/*
 * libuv's timers: a binary heap in the loop.  Used as its documentation says is fastest: the
 * loop's cached time, uv_timer_start and uv_timer_stop on handles that were initialized once.
 *
 * What differs: its unit is the millisecond.  Delays are rounded up to it, so that a batch of
 * arm_fire shares one instant, which is the best that can happen to a heap.  It lives by the
 * real clock: the wait for a batch is cut out of the sample, as for all.  Its turn includes an
 * epoll_wait, one a batch.
 */
#include "../bench_timer.h"

#include <uv.h>

struct crowd {
	uv_loop_t loop;
	uv_timer_t *timers;
	size_t count;
	uint64_t fired;
};

static void on_timer(uv_timer_t *timer)
{
	struct crowd *crowd = timer->data;

	crowd->fired++;
}

static uint64_t whole_ms(int64_t delay_ns)
{
	return (uint64_t)((delay_ns + TIMER_MS - 1) / TIMER_MS);
}

/* `count` far ones, then `more` that are not armed. */
static uv_timer_t *crowd_open(struct bench *b, struct crowd *crowd, size_t count, size_t more)
{
	uint64_t state = BENCH_SEED;

	crowd->fired = 0;
	crowd->count = count + more;
	crowd->timers = bench_pages(b, crowd->count * sizeof *crowd->timers);
	if (crowd->timers == NULL)
		return NULL;
	if (uv_loop_init(&crowd->loop) != 0) {
		bench_skip(b, "libuv opened no loop");
		bench_pages_free(crowd->timers, crowd->count * sizeof *crowd->timers);
		return NULL;
	}
	for (size_t i = 0; i < crowd->count; i++) {
		uv_timer_init(&crowd->loop, &crowd->timers[i]);
		crowd->timers[i].data = crowd;
	}
	for (size_t i = 0; i < count; i++)
		uv_timer_start(&crowd->timers[i], on_timer, whole_ms(timer_delay_far(&state)), 0);
	return &crowd->timers[count];
}

static void crowd_close(struct bench *b, struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->count; i++)
		uv_close((uv_handle_t *)&crowd->timers[i], NULL);
	uv_run(&crowd->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&crowd->loop) != 0)
		bench_fail(b, "libuv's loop is still in use");
	bench_pages_free(crowd->timers, crowd->count * sizeof *crowd->timers);
}

static void arm_disarm(struct bench *b)
{
	int64_t delays[TIMER_DELAYS];
	struct crowd crowd;
	uv_timer_t *timer = crowd_open(b, &crowd, (size_t)b->arg, 1);

	if (timer == NULL)
		return;
	timer_delays_near(delays);
	for (int i = 0; i < TIMER_DELAYS; i++)
		delays[i] = (int64_t)whole_ms(delays[i]);
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			uv_timer_start(timer, on_timer, (uint64_t)delays[i % TIMER_DELAYS], 0);
			uv_timer_stop(timer);
		}
		bench_sample(b, b->batch);
	}
	if (crowd.fired != 0 || uv_is_active((uv_handle_t *)timer))
		bench_fail(b, "a timer that was stopped is armed, or has fired");
	crowd_close(b, &crowd);
}

/* Until what was armed for the next millisecond of the loop's cached time is due. */
static void wait_due(struct crowd *crowd)
{
	uint64_t due = uv_now(&crowd->loop) + 1;

	while (uv_now(&crowd->loop) < due)
		uv_update_time(&crowd->loop);
}

static void arm_all(uv_timer_t *timers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		uv_timer_start(&timers[i], on_timer, 1, 0);
}

static void check_fired(struct bench *b, const struct crowd *crowd, uint64_t want)
{
	if (crowd->fired != want)
		bench_fail(b, "libuv fired %llu of %llu", (unsigned long long)crowd->fired,
			(unsigned long long)want);
}

static void arm_fire(struct bench *b)
{
	struct crowd crowd;
	uv_timer_t *timers = crowd_open(b, &crowd, (size_t)b->arg, TIMER_BATCH);

	if (timers == NULL)
		return;
	uv_update_time(&crowd.loop);
	while (bench_more(b)) {
		uint64_t want = crowd.fired + TIMER_BATCH;

		arm_all(timers, TIMER_BATCH);
		bench_pause(b);
		wait_due(&crowd);
		bench_resume(b);
		uv_run(&crowd.loop, UV_RUN_NOWAIT);
		bench_sample(b, TIMER_BATCH);
		check_fired(b, &crowd, want);
	}
	crowd_close(b, &crowd);
}

/* All of a million in one turn: libuv has no budget. */
static void worst_turn(struct bench *b)
{
	size_t count = (size_t)b->arg;
	struct crowd crowd;
	uv_timer_t *timers = crowd_open(b, &crowd, 0, count);

	if (timers == NULL)
		return;
	while (!bench_stopping(b)) {
		uint64_t want = crowd.fired + count;

		uv_update_time(&crowd.loop);
		arm_all(timers, count);
		wait_due(&crowd);
		bench_more(b);
		uv_run(&crowd.loop, UV_RUN_NOWAIT);
		bench_sample(b, 1);
		check_fired(b, &crowd, want);
	}
	crowd_close(b, &crowd);
}

TIMER_PEER("libuv");
