/*
 * libev's ev_async, the one call of it that another thread may make: a flag, and a byte to an
 * eventfd where the loop may be asleep.  The loop's own epoll, turned without waiting but in
 * wake_parked.  For the message itself libev has nothing: see waking.h.
 */
#include <ev.h>
#include <stdbool.h>

#define PEER "libev"

struct peer {
	struct ev_loop *loop;
	ev_async async;
	void (*fn)(void *arg);
	void *arg;
};

static void on_async(struct ev_loop *loop, ev_async *async, int events)
{
	struct peer *peer = async->data;

	(void)loop;
	(void)events;
	peer->fn(peer->arg);
}

static bool peer_open(struct peer *peer, void (*fn)(void *arg), void *arg)
{
	peer->fn = fn;
	peer->arg = arg;
	peer->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (peer->loop == NULL)
		return false;
	ev_async_init(&peer->async, on_async);
	peer->async.data = peer;
	ev_async_start(peer->loop, &peer->async);
	return true;
}

static void peer_wake(struct peer *peer)
{
	ev_async_send(peer->loop, &peer->async);
}

static void peer_turn(struct peer *peer)
{
	ev_run(peer->loop, EVRUN_NOWAIT);
}

static void peer_sleep(struct peer *peer)
{
	ev_run(peer->loop, EVRUN_ONCE);
}

static void peer_close(struct peer *peer)
{
	ev_async_stop(peer->loop, &peer->async);
	ev_loop_destroy(peer->loop);
}

#include "waking.h"
