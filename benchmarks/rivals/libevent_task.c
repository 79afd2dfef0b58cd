/*
 * libevent has no tasks; what comes nearest to one that yields is an event that makes itself
 * active again from its callback: bare callbacks, first in, first out, without a turn of the
 * loop, a clock or an epoll_wait.  The base has no locks.
 *
 * Not shown: spawning and joining, for there is nothing to spawn.
 */
#include "../bench_task.h"

#include <event2/event.h>
#include <event2/event_struct.h>

/* Static: the callbacks are handed an event, and find the rest here. */
static struct crowd {
	struct relay relay;
	struct event *events;
} crowd;

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct event *event = arg;

	(void)fd;
	if (relay_pass(&crowd.relay, (uint32_t)(event - crowd.events)))
		event_active(event, what, 0);
}

static void yields_on(struct bench *b, struct event_base *base)
{
	crowd.events = crowd_of(b, sizeof *crowd.events);
	relay_begin(&crowd.relay, b);
	for (uint32_t i = 0; i < crowd.relay.crowd; i++) {
		event_assign(&crowd.events[i], base, -1, 0, on_event, &crowd.events[i]);
		event_active(&crowd.events[i], EV_READ, 0);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	relay_end(&crowd.relay);
	free(crowd.events);
}

static void yields(struct bench *b)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	if (base == NULL) {
		bench_skip(b, "libevent opened no base");
		return;
	}
	yields_on(b, base);
	event_base_free(base);
}

TASK_PEER_CROWDS("libevent", yields);
