/*
 * The fallback, for systems with neither epoll nor io_uring: whatever libev finds there.
 *
 *   Ownership  a loop of libev's own (never its default one), so SIGCHLD, its environment
 *              variable and its globals are left alone.
 *   Cost       a reap is a pass of libev, and each wait a change of what it watches.
 *
 * libev tells levels, and this room wants edges.  So a watcher is good for one event: it is
 * stopped by it, its direction is no longer watched, and whoever next waits there starts it
 * again, which tells at once what is ready by then.  What nobody reads, data or a hangup,
 * is told once and costs nothing more.
 *
 * [A] libev has no budget: a pass tells all that is ready.  What the budget leaves is kept
 *     in the order it came, and handed out before libev is asked again.
 * [B] poll(2) and epoll as libev uses them count milliseconds, select(2) microseconds, kqueue
 *     and event ports nanoseconds.  Where libev trusts neither of the last, select is taken
 *     for tables it can bear.  A wait that ends early is found by the loop, which waits again.
 * [C] libev waits for nothing while nothing is active, and never longer than a minute.
 * [D] A regular file is always ready to it: it is refused here, as by epoll.
 * [E] Urgent data is not told of.
 */
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "io/backend.h"

enum { SELECT_SLOTS = 1024 }; /* beyond, its pass over all numbers costs more than it gives */

struct watch {
	struct ev_io reader, writer;
	struct apusi_slot *slot;
	struct watch *next, *prev; /* see [A] */
	uint32_t late;             /* enum apusi_ready, while it is in that list; else 0 */
};

struct libev {
	struct ev_loop *loop;
	struct ev_io wake;
	struct ev_timer timer;
	struct watch *late_head, *late_tail;
	uint32_t room;  /* events that this reap may still hand out */
	uint32_t taken; /* what it did */
	struct watch watches[]; /* one a slot */
};

/* ---- what the budget left ----------------------------------------------------- */

static void late_append(struct libev *libev, struct watch *watch, uint32_t ready)
{
	if (watch->late == 0) {
		watch->next = NULL;
		watch->prev = libev->late_tail;
		if (watch->prev != NULL)
			watch->prev->next = watch;
		else
			libev->late_head = watch;
		libev->late_tail = watch;
	}
	watch->late |= ready;
}

static void late_remove(struct libev *libev, struct watch *watch)
{
	if (watch->late == 0)
		return;
	if (watch->prev != NULL)
		watch->prev->next = watch->next;
	else
		libev->late_head = watch->next;
	if (watch->next != NULL)
		watch->next->prev = watch->prev;
	else
		libev->late_tail = watch->prev;
	watch->late = 0;
}

/* ---- events ----------------------------------------------------------------------- */

/* The watchers of what it tells have been stopped. */
static void hand_out(struct apus_io *io, struct watch *watch, uint32_t ready)
{
	struct libev *libev = io->state;
	uint32_t flags = ready == APUSI_IN ? APUSI_WATCHED :
			 ready == APUSI_OUT ? APUSI_WATCHED_OUT :
					      APUSI_WATCHED | APUSI_WATCHED_OUT;

	libev->room--;
	libev->taken++;
	apusi_slot_unwatched(io, watch->slot, flags);
	apusi_io_event(io, apusi_slot_token(watch->slot), ready);
}

static void watch_event(struct apus_io *io, struct watch *watch, uint32_t ready)
{
	struct libev *libev = io->state;

	if (libev->room == 0)
		late_append(libev, watch, ready);
	else
		hand_out(io, watch, ready);
}

/* libev found the number closed, and has stopped both. */
static void watch_failed(struct apus_io *io, struct watch *watch)
{
	ev_io_stop(((struct libev *)io->state)->loop, &watch->reader);
	ev_io_stop(((struct libev *)io->state)->loop, &watch->writer);
	watch_event(io, watch, APUSI_ERR);
}

static void on_readable(struct ev_loop *loop, struct ev_io *reader, int events)
{
	struct watch *watch = apus_container_of(reader, struct watch, reader);

	ev_io_stop(loop, reader);
	if (events & EV_ERROR)
		watch_failed(ev_userdata(loop), watch);
	else
		watch_event(ev_userdata(loop), watch, APUSI_IN);
}

static void on_writable(struct ev_loop *loop, struct ev_io *writer, int events)
{
	struct watch *watch = apus_container_of(writer, struct watch, writer);

	ev_io_stop(loop, writer);
	if (events & EV_ERROR)
		watch_failed(ev_userdata(loop), watch);
	else
		watch_event(ev_userdata(loop), watch, APUSI_OUT);
}

static void on_wake(struct ev_loop *loop, struct ev_io *wake, int events)
{
	struct apus_io *io = ev_userdata(loop);

	(void)wake, (void)events;
	((struct libev *)io->state)->taken++;
	apusi_io_drain_wake(io);
}

/* That the wait is over is all that it is for. */
static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop, (void)timer, (void)events;
}

/* ---- the verbs ----------------------------------------------------------------------- */

static void late_hand_out(struct apus_io *io)
{
	struct libev *libev = io->state;

	while (libev->late_head != NULL && libev->room != 0) {
		struct watch *watch = libev->late_head;
		uint32_t ready = watch->late;

		late_remove(libev, watch);
		hand_out(io, watch, ready);
	}
}

/* libev counts from when it last looked at its clock. */
static void run_until(struct libev *libev, int64_t timeout_ns)
{
	ev_now_update(libev->loop);
	ev_timer_set(&libev->timer, timeout_ns == APUS_NEVER ? 1e6 : (double)timeout_ns / APUS_SEC,
		0.);
	ev_timer_start(libev->loop, &libev->timer);
	ev_run(libev->loop, EVRUN_ONCE);
	ev_timer_stop(libev->loop, &libev->timer);
}

static uint32_t reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	struct libev *libev = io->state;

	libev->room = io->config.event_batch < budget ? io->config.event_batch : budget;
	libev->taken = 0;
	late_hand_out(io);
	if (libev->room == 0)
		return libev->taken;
	if (timeout_ns == 0 || libev->taken != 0)
		ev_run(libev->loop, EVRUN_NOWAIT);
	else
		run_until(libev, timeout_ns);
	return libev->taken;
}

static void start(struct libev *libev, struct ev_io *direction, int fd, int events)
{
	if (ev_is_active(direction))
		return;
	ev_io_set(direction, fd, events); /* also tells libev that the number may be new */
	ev_io_start(libev->loop, direction);
}

/* Another handle has the number, and is known here. */
static bool is_known_twice(struct apus_io *io, const struct apusi_slot *slot)
{
	uint32_t i;

	for (i = 0; i < io->slots.used_count; i++) {
		const struct apusi_slot *other = apus_slab_at(&io->slots, i);

		if (other != slot && other->fd == slot->fd && other->backend != NULL)
			return true;
	}
	return false;
}

/* Only who brought a descriptor from outside can have brought what cannot be watched. */
static int check(struct apus_io *io, const struct apusi_slot *slot)
{
	struct stat found;

	if ((slot->flags & APUSI_SHARED) == 0)
		return 0;
	if (fstat(slot->fd, &found) != 0)
		return -errno;
	if (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))
		return -EPERM;
	return is_known_twice(io, slot) ? -EEXIST : 0;
}

static int watch_open(struct apus_io *io, struct apusi_slot *slot)
{
	struct libev *libev = io->state;
	struct watch *watch = &libev->watches[slot->index];
	int err = check(io, slot);

	if (err)
		return err;
	ev_io_init(&watch->reader, on_readable, slot->fd, EV_READ);
	ev_io_init(&watch->writer, on_writable, slot->fd, EV_WRITE);
	watch->slot = slot;
	slot->backend = watch;
	return 0;
}

/* What is late is told anyway, and says that its direction is worth a try. */
static int watch_slot(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	int err = slot->backend == NULL ? watch_open(io, slot) : 0;
	struct watch *watch = slot->backend;

	if (err)
		return err;
	if ((watch->late & (APUSI_IN | APUSI_ERR)) == 0)
		start(io->state, &watch->reader, slot->fd, EV_READ);
	if (writer && (watch->late & (APUSI_OUT | APUSI_ERR)) == 0)
		start(io->state, &watch->writer, slot->fd, EV_WRITE);
	return 0;
}

static void take_out(struct apus_io *io, struct apusi_slot *slot)
{
	struct libev *libev = io->state;
	struct watch *watch = slot->backend;

	ev_io_stop(libev->loop, &watch->reader);
	ev_io_stop(libev->loop, &watch->writer);
	late_remove(libev, watch);
	slot->backend = NULL;
}

static int set_wake(struct apus_io *io, int fd)
{
	struct libev *libev = io->state;

	ev_io_stop(libev->loop, &libev->wake);
	if (fd < 0)
		return 0;
	ev_io_set(&libev->wake, fd, EV_READ);
	ev_io_start(libev->loop, &libev->wake);
	return 0;
}

static void close_libev(struct apus_io *io)
{
	struct libev *libev = io->state;

	ev_loop_destroy(libev->loop);
	free(libev);
}

/* See [B]. */
static unsigned methods(const struct apus_io_config *config)
{
	unsigned trusted = ev_recommended_backends();
	unsigned fine = trusted & (EVBACKEND_KQUEUE | EVBACKEND_PORT);
	unsigned select = ev_supported_backends() & EVBACKEND_SELECT;

	if (fine != 0)
		return fine;
	if (select == 0 || config->plain_wait || config->socket_count > SELECT_SLOTS)
		return trusted;
	return select;
}

static int open_libev(struct apus_io *io, char *reason, size_t reason_bytes)
{
	struct libev *libev = calloc(1, sizeof *libev + io->config.socket_count *
		sizeof(struct watch));

	if (libev == NULL) {
		snprintf(reason, reason_bytes, "config.socket_count: no memory for %u watchers",
			io->config.socket_count);
		return -ENOMEM;
	}
	libev->loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK | methods(&io->config));
	if (libev->loop == NULL) {
		snprintf(reason, reason_bytes, "libev finds no way to wait on this system");
		free(libev);
		return -ENOTSUP;
	}
	ev_set_userdata(libev->loop, io);
	ev_init(&libev->wake, on_wake);
	ev_init(&libev->timer, on_timer);
	io->state = libev;
	return 0;
}

const struct apusi_backend apusi_backend_libev = {
	.name = "libev",
	.open = open_libev,
	.reap = reap,
	.close = close_libev,
	.watch = watch_slot,
	.remove = take_out,
	.set_wake = set_wake,
};
