/*
 * libev has no tasks; what comes nearest to one that yields is a watcher that is called again.
 *
 * yield_1: an event fed to the watcher from its own callback, which libev answers before it
 * turns: a bare callback, without a turn, a clock or an epoll_wait.
 * yield_1000, scale: idle watchers, all of them called once a turn of the loop, with its epoll_wait.
 * (Fed events are taken last in, first out: of a thousand that feed themselves one would run.)
 *
 * Not shown: spawning and joining, for there is nothing to spawn.
 */
#include "../bench_task.h"

#include <ev.h>

struct crowd {
	struct relay relay;
	ev_idle *idles;
	ev_prepare fed;
};

static void on_idle(struct ev_loop *loop, ev_idle *idle, int events)
{
	struct crowd *crowd = idle->data;

	(void)events;
	if (!relay_pass(&crowd->relay, (uint32_t)(idle - crowd->idles)))
		ev_idle_stop(loop, idle);
}

static void on_fed(struct ev_loop *loop, ev_prepare *fed, int events)
{
	struct crowd *crowd = fed->data;

	if (relay_pass(&crowd->relay, 0))
		ev_feed_event(loop, fed, events);
}

static void yield_one(struct ev_loop *loop, struct crowd *crowd)
{
	ev_prepare_init(&crowd->fed, on_fed);
	crowd->fed.data = crowd;
	ev_feed_event(loop, &crowd->fed, EV_CUSTOM);
	ev_invoke_pending(loop);
}

static void yield_all(struct ev_loop *loop, struct crowd *crowd)
{
	for (uint32_t i = 0; i < crowd->relay.crowd; i++) {
		ev_idle_init(&crowd->idles[i], on_idle);
		crowd->idles[i].data = crowd;
		ev_idle_start(loop, &crowd->idles[i]);
	}
	ev_run(loop, 0);
}

static void yields(struct bench *b)
{
	static struct crowd crowd;
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);

	if (loop == NULL) {
		bench_skip(b, "libev opened no loop");
		return;
	}
	crowd.idles = crowd_of(b, sizeof *crowd.idles);
	relay_begin(&crowd.relay, b);
	if (b->arg == 1)
		yield_one(loop, &crowd);
	else
		yield_all(loop, &crowd);
	relay_end(&crowd.relay);
	ev_loop_destroy(loop);
	free(crowd.idles);
}

TASK_PEER_CROWDS("libev", yields);
