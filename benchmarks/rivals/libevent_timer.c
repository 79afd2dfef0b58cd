/*
 * libevent's timers: a binary heap in the base.  Used as its documentation says is fastest: a
 * base without locks, events that were assigned once, and evtimer_add from within a callback,
 * where the base's cached time spares a clock read a timer.  Its other heap, of common
 * time-outs, is for delays that are all alike; ours are not.
 *
 * What differs: it lives by the kernel's coarse clock, so the wait for a batch takes until the
 * next tick of that; it is cut out of the sample, as for all.  arm_fire pays two turns of the
 * loop a batch, each with its epoll_wait: one that arms, one that fires.
 */
#include "../bench_timer.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <time.h>

struct crowd {
	struct bench *b;
	struct event_base *base;
	struct event *timers;   /* the far ones, then those that come and go */
	struct event inside;    /* runs `job` inside the base's loop */
	void (*job)(struct crowd *crowd);
	size_t far, more;
	uint64_t fired;
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct crowd *crowd = arg;

	(void)fd;
	(void)what;
	crowd->fired++;
}

static void on_inside(evutil_socket_t fd, short what, void *arg)
{
	struct crowd *crowd = arg;

	(void)fd;
	(void)what;
	crowd->job(crowd);
}

static void run_inside(struct crowd *crowd, void (*job)(struct crowd *crowd))
{
	crowd->job = job;
	event_active(&crowd->inside, 0, 0);
	event_base_loop(crowd->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

static struct timeval of_ns(int64_t ns)
{
	return (struct timeval){ .tv_sec = (time_t)(ns / 1000000000),
		.tv_usec = (suseconds_t)(ns % 1000000000 / 1000) };
}

static struct event_base *base_open(struct bench *b)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	if (base == NULL)
		bench_skip(b, "libevent opened no base");
	return base;
}

static bool crowd_open(struct bench *b, struct crowd *crowd, size_t far, size_t more)
{
	uint64_t state = BENCH_SEED;
	struct timeval delay;

	*crowd = (struct crowd){ .b = b, .far = far, .more = more };
	crowd->timers = bench_pages(b, (far + more) * sizeof *crowd->timers);
	if (crowd->timers == NULL)
		return false;
	crowd->base = base_open(b);
	if (crowd->base == NULL) {
		bench_pages_free(crowd->timers, (far + more) * sizeof *crowd->timers);
		return false;
	}
	event_assign(&crowd->inside, crowd->base, -1, 0, on_inside, crowd);
	for (size_t i = 0; i < far + more; i++)
		evtimer_assign(&crowd->timers[i], crowd->base, on_timer, crowd);
	for (size_t i = 0; i < far; i++) {
		delay = of_ns(timer_delay_far(&state));
		evtimer_add(&crowd->timers[i], &delay);
	}
	return true;
}

static void crowd_close(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->far; i++)
		evtimer_del(&crowd->timers[i]);
	event_base_free(crowd->base);
	bench_pages_free(crowd->timers, (crowd->far + crowd->more) * sizeof *crowd->timers);
}

/* ---- armed and disarmed ------------------------------------------------------- */

static void arm_disarm_inside(struct crowd *crowd)
{
	struct event *timer = &crowd->timers[crowd->far];
	struct timeval times[TIMER_DELAYS];
	int64_t delays[TIMER_DELAYS];
	struct bench *b = crowd->b;

	timer_delays_near(delays);
	for (int i = 0; i < TIMER_DELAYS; i++)
		times[i] = of_ns(delays[i]);
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			evtimer_add(timer, &times[i % TIMER_DELAYS]);
			evtimer_del(timer);
		}
		bench_sample(b, b->batch);
	}
	if (crowd->fired != 0 || evtimer_pending(timer, NULL))
		bench_fail(b, "a timer that was deleted is pending, or has fired");
}

static void arm_disarm(struct bench *b)
{
	struct crowd crowd;

	if (!crowd_open(b, &crowd, (size_t)b->arg, 1))
		return;
	run_inside(&crowd, arm_disarm_inside);
	crowd_close(&crowd);
}

/* ---- armed and fired ---------------------------------------------------------- */

static void arm_soon(struct crowd *crowd)
{
	int64_t delays[TIMER_DELAYS];

	timer_delays_soon(delays);
	for (size_t i = 0; i < crowd->more; i++) {
		struct timeval delay = of_ns(delays[i % TIMER_DELAYS]);

		evtimer_add(&crowd->timers[crowd->far + i], &delay);
	}
}

/* One instant for all. */
static void arm_alike(struct crowd *crowd)
{
	struct timeval delay = of_ns(TIMER_MS);

	for (size_t i = 0; i < crowd->more; i++)
		evtimer_add(&crowd->timers[crowd->far + i], &delay);
}

static int64_t coarse_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Until the base's clock has passed what was armed before now. */
static void wait_due(void)
{
	int64_t due = coarse_ns() + 2 * TIMER_MS;

	while (coarse_ns() < due)
		;
}

static void check_fired(struct crowd *crowd, uint64_t want)
{
	if (crowd->fired != want)
		bench_fail(crowd->b, "libevent fired %llu of %llu",
			(unsigned long long)crowd->fired, (unsigned long long)want);
}

static void arm_fire(struct bench *b)
{
	struct crowd crowd;

	if (!crowd_open(b, &crowd, (size_t)b->arg, TIMER_BATCH))
		return;
	while (bench_more(b)) {
		uint64_t before = crowd.fired;

		run_inside(&crowd, arm_soon);
		bench_pause(b);
		check_fired(&crowd, before);
		wait_due();
		bench_resume(b);
		event_base_loop(crowd.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		bench_sample(b, TIMER_BATCH);
		check_fired(&crowd, before + TIMER_BATCH);
	}
	crowd_close(&crowd);
}

/* All of a million in one turn: by default libevent has no budget. */
static void worst_turn(struct bench *b)
{
	struct crowd crowd;

	if (!crowd_open(b, &crowd, 0, (size_t)b->arg))
		return;
	while (!bench_stopping(b)) {
		uint64_t before = crowd.fired;

		run_inside(&crowd, arm_alike);
		check_fired(&crowd, before);
		wait_due();
		bench_more(b);
		event_base_loop(crowd.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		bench_sample(b, 1);
		check_fired(&crowd, before + crowd.more);
	}
	crowd_close(&crowd);
}

TIMER_PEER("libevent");
