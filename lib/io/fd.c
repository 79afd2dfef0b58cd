#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "io/sockets.h"

#ifndef POLLRDHUP
#define POLLRDHUP 0 /* the end of a stream is readable by itself */
#endif

/* ---- adopting ------------------------------------------------------------------ */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* Where watching is how the kernel tells what can be awaited, it is watched at once. */
int apusi_slot_adopt(struct apus_io *io, int fd, enum apus_owner owner, uint32_t flags,
	uint64_t *token)
{
	struct apusi_slot *slot;
	int err = apusi_slot_open(io, fd, APUSI_SHARED | flags, &slot);

	if (err)
		return err;
	if (io->backend->check != NULL)
		err = io->backend->check(io, slot);
	else
		err = apusi_slot_watch(io, slot, false);
	if (!err && !apusi_is_sim(slot))
		err = set_nonblocking(fd);
	if (err) {
		apusi_slot_close(io, slot); /* not owned yet: the descriptor stays open */
		return err;
	}
	if (owner == APUS_OWNED)
		slot->flags |= APUSI_OWNED;
	*token = apusi_slot_token(slot);
	return 0;
}

int apus_fd_adopt(struct apus_loop *loop, int fd, enum apus_owner owner, struct apus_fd *out)
{
	struct apus_io *io;
	int err = apusi_io_enter(loop, &io);

	if (!err && apusi_io_is_sim(io))
		err = -EINVAL; /* a real descriptor has no place on a virtual clock */
	return err ? err : apusi_slot_adopt(io, fd, owner, 0, &out->token);
}

/* ---- awaiting -------------------------------------------------------------------- */

/* True, or the bits are cleared: then the next edge sets them again. */
static bool is_ready(int fd, short events)
{
	struct pollfd ask = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&ask, 1, 0);
	while (n < 0 && errno == EINTR);
	return n != 0; /* whatever is wrong, the caller's own call will be told */
}

apus_poll apus_fd_readable(struct apus_cx *cx, struct apus_fd fd)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, fd.token);

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, fd.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	if (apusi_slot_try_read(cx, slot)) {
		if (is_ready(slot->fd, POLLIN | POLLPRI | POLLRDHUP))
			return 0;
		apusi_slot_drained(cx, slot);
	}
	return apusi_slot_pend_read(cx, slot);
}

apus_poll apus_fd_writable(struct apus_cx *cx, struct apus_fd fd)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, fd.token);

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, fd.token, true);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	if (apusi_slot_try_write(cx, slot)) {
		if (is_ready(slot->fd, POLLOUT))
			return 0;
		apusi_slot_filled(cx, slot);
	}
	if (apusi_is_sim(slot) && apusi_sim_is_writable(slot))
		return 0;
	return apusi_slot_pend_write(cx, slot);
}

apus_poll apus_fd_read(struct apus_cx *cx, struct apus_fd fd, void *data, size_t bytes)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, fd.token);
	ssize_t got;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, fd.token, false);
	if (apus_unlikely(bytes == 0))
		return -EINVAL;
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	if (apusi_slot_try_read(cx, slot)) {
		do
			got = read(slot->fd, data, bytes);
		while (got < 0 && errno == EINTR);
		if (got >= 0)
			return got;
		if (errno != EAGAIN)
			return -errno;
		apusi_slot_drained(cx, slot);
	}
	return apusi_slot_pend_read(cx, slot);
}

apus_poll apus_fd_write(struct apus_cx *cx, struct apus_fd fd, const void *data, size_t bytes)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, fd.token);
	ssize_t put;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, fd.token, true);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	if (apusi_slot_try_write(cx, slot)) {
		do
			put = write(slot->fd, data, bytes);
		while (put < 0 && errno == EINTR);
		if (put >= 0)
			return put;
		if (errno != EAGAIN)
			return -errno;
		apusi_slot_filled(cx, slot);
	}
	return apusi_slot_pend_write(cx, slot);
}
