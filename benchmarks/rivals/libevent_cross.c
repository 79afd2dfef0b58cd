/*
 * libevent's event_active from another thread: with its locks for pthreads, which every base of
 * these rows has then, and a byte to an eventfd where the base is not run by the caller.  The
 * base's loop is turned without waiting but in wake_parked.  For the message itself libevent has
 * nothing: see waking.h.
 */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>
#include <stdbool.h>

#define PEER "libevent"

struct peer {
	struct event_base *base;
	struct event event;
	void (*fn)(void *arg);
	void *arg;
};

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;

	(void)fd;
	(void)what;
	peer->fn(peer->arg);
}

static bool peer_open(struct peer *peer, void (*fn)(void *arg), void *arg)
{
	peer->fn = fn;
	peer->arg = arg;
	if (evthread_use_pthreads() != 0)
		return false;
	peer->base = event_base_new();
	if (peer->base == NULL)
		return false;
	event_assign(&peer->event, peer->base, -1, 0, on_event, peer);
	return true;
}

static void peer_wake(struct peer *peer)
{
	event_active(&peer->event, EV_READ, 0);
}

static void peer_turn(struct peer *peer)
{
	event_base_loop(peer->base, EVLOOP_NONBLOCK | EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
}

static void peer_sleep(struct peer *peer)
{
	event_base_loop(peer->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
}

static void peer_close(struct peer *peer)
{
	event_base_free(peer->base);
}

#include "waking.h"
