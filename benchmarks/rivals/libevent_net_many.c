/*
 * libevent's events under many connections; used as in libevent_net.c.
 */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#define PEER "libevent"

struct peer {
	struct event_base *base;
};

struct ready {
	struct event event;
	void (*fn)(void *arg);
	void *arg;
};

static bool peer_open(struct peer *peer)
{
	struct event_config *config = event_config_new();

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	peer->base = event_base_new_with_config(config);
	event_config_free(config);
	return peer->base != NULL;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct ready *ready = arg;

	(void)fd, (void)what;
	ready->fn(ready->arg);
}

static void ready_add(struct peer *peer, struct ready *ready, int fd, short what)
{
	event_assign(&ready->event, peer->base, fd, what, on_ready, ready);
	event_add(&ready->event, NULL);
}

static void peer_reads(struct peer *peer, struct ready *ready, int fd, void (*fn)(void *arg),
	void *arg)
{
	ready->fn = fn;
	ready->arg = arg;
	ready_add(peer, ready, fd, EV_READ | EV_PERSIST);
}

static void peer_room(struct peer *peer, struct ready *ready, int fd, void (*fn)(void *arg),
	void *arg)
{
	if (ready->fn != NULL && event_pending(&ready->event, EV_WRITE, NULL))
		return;
	ready->fn = fn;
	ready->arg = arg;
	ready_add(peer, ready, fd, EV_WRITE);
}

static void peer_run(struct peer *peer)
{
	event_base_dispatch(peer->base);
}

static void peer_stop(struct peer *peer)
{
	event_base_loopbreak(peer->base);
}

/* One that was never added is not initialised either. */
static void peer_ends(struct peer *peer, struct ready *ready)
{
	(void)peer;
	if (ready->fn != NULL)
		event_del(&ready->event);
}

static void peer_close(struct peer *peer)
{
	event_base_free(peer->base);
}

#include "crowd.h"
