#include "io/backend.h"
#include "io/wait_fds.h"

/*
 * No descriptors but to park on: a loop without I/O still parks, and its wake descriptor ends
 * that, or one that a source has lent.
 */
enum { LENT_MAX = 63 };

static int open_none(struct apus_io *io, char *reason, size_t reason_bytes)
{
	(void)io, (void)reason, (void)reason_bytes;
	return 0;
}

static bool is_lent(const struct apusi_slot *slot)
{
	return (slot->flags & (APUSI_PARKS | APUSI_WATCHED)) == (APUSI_PARKS | APUSI_WATCHED);
}

/* The wake descriptor first; one of -1 is passed over. */
static nfds_t poll_fill(struct apus_io *io, struct pollfd *polled)
{
	nfds_t count = 1;
	uint32_t i;

	polled[0] = (struct pollfd){ .fd = io->wake_fd, .events = POLLIN };
	for (i = 0; i < io->slots.used_count; i++) {
		const struct apusi_slot *slot = apus_slab_at(&io->slots, i);

		if (is_lent(slot))
			polled[count++] = (struct pollfd){ .fd = slot->fd, .events = POLLIN };
	}
	return count;
}

static uint32_t reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	struct pollfd polled[1 + LENT_MAX];
	nfds_t count = poll_fill(io, polled);
	int ready = apusi_wait_fds(polled, count, timeout_ns);

	(void)budget;
	if (ready > 0 && polled[0].revents != 0)
		apusi_io_drain_wake(io);
	return ready > 0 ? (uint32_t)ready : 0;
}

static void close_none(struct apus_io *io)
{
	(void)io;
}

static int watch(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	struct pollfd polled[1 + LENT_MAX], itself = { .fd = slot->fd };

	(void)writer;
	if ((slot->flags & APUSI_PARKS) == 0)
		return -ENOTSUP;
	if (poll(&itself, 1, 0) < 0 || (itself.revents & POLLNVAL) != 0)
		return -EBADF;
	return poll_fill(io, polled) <= LENT_MAX ? 0 : -ENOSPC;
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
	return io->slots.live_count == 0 ? io->wake_fd : -ENOTSUP; /* what is lent is not in it */
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
