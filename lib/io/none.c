#define _GNU_SOURCE
#include <poll.h>
#include <time.h>

#include "io/backend.h"

/* No descriptors; a loop without I/O still parks, and its wake descriptor ends that. */

static int open_none(struct apus_io *io, char *reason, size_t reason_bytes)
{
	(void)io, (void)reason, (void)reason_bytes;
	return 0;
}

static uint32_t reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	struct pollfd wake = { .fd = io->wake_fd, .events = POLLIN };
	struct timespec time = { .tv_sec = timeout_ns / APUS_SEC, .tv_nsec = timeout_ns % APUS_SEC };

	(void)budget;
	/* ppoll passes over a descriptor of -1. */
	if (ppoll(&wake, 1, timeout_ns == APUS_NEVER ? NULL : &time, NULL) <= 0)
		return 0;
	apusi_io_drain_wake(io);
	return 1;
}

static void close_none(struct apus_io *io)
{
	(void)io;
}

static int watch(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	(void)io, (void)slot, (void)writer;
	return -ENOTSUP;
}

static void take_out(struct apus_io *io, struct apusi_slot *slot)
{
	(void)io, (void)slot;
}

static int set_wake(struct apus_io *io, int fd)
{
	(void)io, (void)fd;
	return 0;
}

static int number(const struct apus_io *io)
{
	return io->wake_fd;
}

const struct apusi_backend apusi_backend_none = {
	.name = "none",
	.open = open_none,
	.reap = reap,
	.close = close_none,
	.watch = watch,
	.remove = take_out,
	.set_wake = set_wake,
	.fd = number,
};
