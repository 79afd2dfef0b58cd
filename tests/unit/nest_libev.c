/*
 * Prepare watchers run before libev waits, ours last of them; check watchers after.  The two
 * others only have libev wait for the right things.
 */
#include <ev.h>

#include "nest.h"

struct nest {
	struct ev_prepare prepare;
	struct ev_check check;
	struct ev_io io;
	struct ev_timer timer;
	struct apus_loop *loop;
	bool (*is_done)(void *arg);
	void *arg;
	uint64_t waits;
};

static void on_prepare(struct ev_loop *ev, struct ev_prepare *prepare, int events)
{
	struct nest *nest = ev_userdata(ev);
	int64_t wait_ns = apus_loop_prepare(nest->loop);

	(void)prepare, (void)events;
	ev_timer_stop(ev, &nest->timer);
	if (wait_ns == APUS_NEVER)
		return;
	ev_now_update(ev);
	ev_timer_set(&nest->timer, (double)wait_ns / APUS_SEC, 0.);
	ev_timer_start(ev, &nest->timer);
}

static void on_check(struct ev_loop *ev, struct ev_check *check, int events)
{
	struct nest *nest = ev_userdata(ev);

	(void)check, (void)events;
	nest->waits++;
	apus_turn(nest->loop);
	if (nest->is_done(nest->arg))
		ev_break(ev, EVBREAK_ALL);
}

static void on_io(struct ev_loop *ev, struct ev_io *io, int events)
{
	(void)ev, (void)io, (void)events;
}

static void on_timer(struct ev_loop *ev, struct ev_timer *timer, int events)
{
	(void)ev, (void)timer, (void)events;
}

static void nest_start(struct ev_loop *ev, struct nest *nest)
{
	ev_set_userdata(ev, nest);
	ev_prepare_init(&nest->prepare, on_prepare);
	ev_set_priority(&nest->prepare, EV_MINPRI);
	ev_prepare_start(ev, &nest->prepare);
	ev_check_init(&nest->check, on_check);
	ev_check_start(ev, &nest->check);
	ev_io_init(&nest->io, on_io, apus_loop_fd(nest->loop), EV_READ);
	ev_io_start(ev, &nest->io);
	ev_init(&nest->timer, on_timer);
}

static uint64_t run(struct apus_loop *loop, bool (*is_done)(void *arg), void *arg)
{
	struct nest nest = { .loop = loop, .is_done = is_done, .arg = arg };
	struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);

	if (ev == NULL)
		return 0;
	nest_start(ev, &nest);
	ev_run(ev, 0);
	ev_loop_destroy(ev);
	return nest.waits;
}

const struct nest_host nest_libev = { "libev", run };
