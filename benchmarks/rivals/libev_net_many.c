/*
 * libev's I/O watchers under many connections; used as in libev_net.c.
 */
#include <ev.h>
#include <stdbool.h>

#define PEER "libev"

struct peer {
	struct ev_loop *loop;
};

struct ready {
	ev_io io;
	void (*fn)(void *arg);
	void *arg;
};

static bool peer_open(struct peer *peer)
{
	peer->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	return peer->loop != NULL;
}

static void on_read(struct ev_loop *loop, ev_io *io, int events)
{
	struct ready *ready = io->data;

	(void)loop, (void)events;
	ready->fn(ready->arg);
}

static void on_room(struct ev_loop *loop, ev_io *io, int events)
{
	ev_io_stop(loop, io);
	on_read(loop, io, events);
}

static void ready_start(struct peer *peer, struct ready *ready, void (*fn)(void *arg), void *arg)
{
	ready->fn = fn;
	ready->arg = arg;
	ready->io.data = ready;
	ev_io_start(peer->loop, &ready->io);
}

static void peer_reads(struct peer *peer, struct ready *ready, int fd, void (*fn)(void *arg),
	void *arg)
{
	ev_io_init(&ready->io, on_read, fd, EV_READ);
	ready_start(peer, ready, fn, arg);
}

static void peer_room(struct peer *peer, struct ready *ready, int fd, void (*fn)(void *arg),
	void *arg)
{
	if (ev_is_active(&ready->io))
		return;
	ev_io_init(&ready->io, on_room, fd, EV_WRITE);
	ready_start(peer, ready, fn, arg);
}

static void peer_run(struct peer *peer)
{
	ev_run(peer->loop, 0);
}

static void peer_stop(struct peer *peer)
{
	ev_break(peer->loop, EVBREAK_ALL);
}

static void peer_ends(struct peer *peer, struct ready *ready)
{
	ev_io_stop(peer->loop, &ready->io);
}

static void peer_close(struct peer *peer)
{
	ev_loop_destroy(peer->loop);
}

#include "crowd.h"
