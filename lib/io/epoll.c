#define _GNU_SOURCE
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "io/backend.h"

/*
 * The kernel's defects, lettered.
 *
 * [A] A registration belongs to the open file, not to the number.  A duplicate keeps it
 *     alive after close, and its events name a descriptor that is gone: the token's
 *     generation tells, and where duplicates are to be expected we remove before we close.
 * [B] A number that was closed and opened again is another file, and may be added again.
 *     The same file under the same number (dup2 back) is EEXIST: its registration still
 *     carries the old token, and is modified.
 * [C] Regular files, directories and /dev/null are EPERM.
 * [D] What is level-triggered and nobody reads is reported for ever: everything is
 *     edge-triggered but datagram sockets of ours, until that happens.  Those are removed
 *     before they are closed: see [A].
 * [E] epoll_wait counts milliseconds.  epoll_pwait2 (Linux 5.11) counts nanoseconds; ppoll
 *     on the epoll descriptor does too, for one more system call.
 * [F] Each write to an eventfd is an edge, also where it was readable before.  So the wake
 *     descriptor is never read: who parks has set a flag that somebody takes and then writes,
 *     and a write that came before finds its wake in the inbox.  A pipe would fill up; where
 *     there is epoll there is an eventfd.
 */

/* A token that names no slot. */
#define WAKE_TOKEN UINT64_C(0)

struct epoll {
	int fd;
	bool plain_wait; /* no epoll_pwait2, see [E] */
	struct epoll_event events[];
};

static struct timespec timespec_of(int64_t ns)
{
	struct timespec time = { .tv_sec = ns / APUS_SEC, .tv_nsec = ns % APUS_SEC };

	return time;
}

static int wait_precise(struct epoll *epoll, int count, int64_t timeout_ns)
{
#ifdef HAVE_EPOLL_PWAIT2
	struct timespec time = timespec_of(timeout_ns);

	return epoll_pwait2(epoll->fd, epoll->events, count, &time, NULL);
#else
	(void)epoll, (void)count, (void)timeout_ns;
	errno = ENOSYS;
	return -1;
#endif
}

static int wait_plain(struct epoll *epoll, int count, int64_t timeout_ns)
{
	struct pollfd self = { .fd = epoll->fd, .events = POLLIN };
	struct timespec time = timespec_of(timeout_ns);
	int n = ppoll(&self, 1, &time, NULL);

	return n <= 0 ? n : epoll_wait(epoll->fd, epoll->events, count, 0);
}

static APUS_COLD int wait_for(struct epoll *epoll, int count, int64_t timeout_ns)
{
	if (timeout_ns == APUS_NEVER)
		return epoll_wait(epoll->fd, epoll->events, count, -1);
	if (epoll->plain_wait)
		return wait_plain(epoll, count, timeout_ns);
	return wait_precise(epoll, count, timeout_ns);
}

static inline uint32_t ready_of(uint32_t events)
{
	uint32_t ready = 0;

	if (apus_likely(events == EPOLLIN))
		return APUSI_IN;
	if (events & EPOLLIN)
		ready |= APUSI_IN;
	if (events & EPOLLOUT)
		ready |= APUSI_OUT;
	if (events & EPOLLRDHUP)
		ready |= APUSI_RDHUP;
	if (events & EPOLLHUP)
		ready |= APUSI_HUP;
	if (events & EPOLLERR)
		ready |= APUSI_ERR;
	if (events & EPOLLPRI)
		ready |= APUSI_PRI;
	return ready;
}

/* EINTR is a reap that found nothing: the loop comes back. */
static uint32_t reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	struct epoll *epoll = io->state;
	uint32_t count = io->config.event_batch < budget ? io->config.event_batch : budget;
	int i, n = apus_likely(timeout_ns == 0) ?
		epoll_wait(epoll->fd, epoll->events, (int)count, 0) :
		wait_for(epoll, (int)count, timeout_ns);

	for (i = 0; i < n; i++) {
		const struct epoll_event *event = &epoll->events[i];

		if (apus_likely(event->data.u64 != WAKE_TOKEN)) /* see [F] */
			apusi_io_event(io, event->data.u64, ready_of(event->events));
	}
	return n > 0 ? (uint32_t)n : 0;
}

/*
 * A socket that has room to be written to would tell of it for ever; and the kernel must be
 * asked in each turn, or a datagram that stands behind another waits for the interval.
 */
static uint32_t trigger_of(const struct apus_io *io, const struct apusi_slot *slot, bool writer)
{
	const uint32_t asked = APUSI_MAY_LEVEL | APUSI_HOT | APUSI_WATCHED_OUT;

	if (writer || io->config.asks_seldom)
		return EPOLLET;
	return (slot->flags & asked) == APUSI_MAY_LEVEL ? 0 : EPOLLET;
}

static int ask(struct apus_io *io, struct apusi_slot *slot, bool writer, uint32_t trigger)
{
	struct epoll *epoll = io->state;
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLPRI | trigger | (writer ? EPOLLOUT : 0u),
		.data.u64 = apusi_slot_token(slot),
	};

	if ((slot->flags & APUSI_WATCHED) == 0) {
		if (epoll_ctl(epoll->fd, EPOLL_CTL_ADD, slot->fd, &event) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
		/* Another handle has the number: [B] is not the case. */
		if (apusi_slot_is_twice(io, slot))
			return -EEXIST;
	}
	return epoll_ctl(epoll->fd, EPOLL_CTL_MOD, slot->fd, &event) == 0 ? 0 : -errno;
}

static int watch(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	uint32_t trigger = trigger_of(io, slot, writer);
	int err = ask(io, slot, writer, trigger);

	if (err)
		return err;
	slot->flags &= ~(uint32_t)APUSI_LEVEL;
	if (trigger == 0)
		slot->flags |= APUSI_LEVEL;
	return 0;
}

/* ENOENT and EBADF: whoever lent it has closed it already. */
static void take_out(struct apus_io *io, struct apusi_slot *slot)
{
	struct epoll *epoll = io->state;

	(void)epoll_ctl(epoll->fd, EPOLL_CTL_DEL, slot->fd, NULL);
}

static int set_wake(struct apus_io *io, int fd)
{
	struct epoll *epoll = io->state;
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = WAKE_TOKEN };

	if (io->wake_fd >= 0)
		(void)epoll_ctl(epoll->fd, EPOLL_CTL_DEL, io->wake_fd, NULL);
	if (fd < 0)
		return 0;
	return epoll_ctl(epoll->fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static void close_epoll(struct apus_io *io)
{
	struct epoll *epoll = io->state;

	close(epoll->fd);
	free(epoll);
}

/* Linux 6.9; newer than the headers. */
struct busy_poll {
	uint32_t usec;
	uint16_t budget;
	uint8_t prefer, zero;
};

#define BUSY_POLL_SET _IOW(0x8A, 0x01, struct busy_poll)

enum { BUDGET_DEFAULT = 8 };

static int busy_poll(struct apus_io *io, uint32_t usec, uint32_t budget, bool prefer)
{
	const struct busy_poll params = {
		.usec = usec,
		.budget = (uint16_t)(budget != 0 ? budget : BUDGET_DEFAULT),
		.prefer = prefer,
	};

	if (budget > UINT16_MAX)
		return -EINVAL;
	if (ioctl(((struct epoll *)io->state)->fd, BUSY_POLL_SET, &params) == 0)
		return 0;
	return -errno;
}

/* Readable while an event is queued; an edge that was reaped is not. */
static int number(const struct apus_io *io)
{
	return ((const struct epoll *)io->state)->fd;
}

/* A kernel or a filter without the call says so at once. */
static bool has_precise_wait(struct epoll *epoll)
{
	return wait_precise(epoll, 1, 0) >= 0;
}

static int open_epoll(struct apus_io *io, char *reason, size_t reason_bytes)
{
	size_t bytes = io->config.event_batch * sizeof(struct epoll_event);
	struct epoll *epoll = malloc(sizeof *epoll + bytes);
	int err;

	if (epoll == NULL) {
		snprintf(reason, reason_bytes, "config.io_budget: no memory for %u events",
			io->config.event_batch);
		return -ENOMEM;
	}
	epoll->fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll->fd < 0) {
		err = -errno;
		snprintf(reason, reason_bytes, "epoll_create1: %s", strerror(-err));
		free(epoll);
		return err;
	}
	epoll->plain_wait = io->config.plain_wait || !has_precise_wait(epoll);
	io->state = epoll;
	return 0;
}

const struct apusi_backend apusi_backend_epoll = {
	.name = "epoll",
	.open = open_epoll,
	.reap = reap,
	.close = close_epoll,
	.watch = watch,
	.remove = take_out,
	.set_wake = set_wake,
	.busy_poll = busy_poll,
	.fd = number,
	.close_removes = true,
};
