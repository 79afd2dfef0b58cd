#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/slot.h"

enum { SOCKETS_DEFAULT = 1024, BATCH_DEFAULT = 256 };

/* ---- open and close ------------------------------------------------------------- */

static int slots_open(struct apus_io *io, char *reason, size_t reason_bytes)
{
	const struct apus_slab_config config = {
		.slot_bytes = sizeof(struct apusi_slot),
		.slot_align = APUS_CACHE_LINE,
		.slot_count = io->config.socket_count,
		.prefault = io->config.prefault,
		.lock = io->config.lock,
	};
	int err = apus_slab_init(&io->slots, &config);

	if (err)
		snprintf(reason, reason_bytes, "config.socket_count: %s", apus_slab_reason(&io->slots));
	return err;
}

/* Both are counts of the caller's; the first that is wrong is named. */
static int segments_open(struct apus_io *io, char *reason, size_t reason_bytes)
{
	int err;

	if (io->config.segment_count > APUSI_SEGMENTS_MAX) {
		snprintf(reason, reason_bytes, "config.segment_count is over %d",
			APUSI_SEGMENTS_MAX);
		return -EINVAL;
	}
	err = apusi_segments_open(io);
	if (err)
		snprintf(reason, reason_bytes, "config.segment_count times segment_bytes: no memory");
	return err;
}

static int io_init(struct apus_io *io, char *reason, size_t reason_bytes)
{
	int err = apusi_io_choose(io, reason, reason_bytes);

	if (err)
		return err;
	err = slots_open(io, reason, reason_bytes);
	if (err)
		return err;
	err = segments_open(io, reason, reason_bytes);
	if (err) {
		apus_slab_deinit(&io->slots);
		return err;
	}
	err = apusi_io_open_backend(io, reason, reason_bytes);
	if (err) {
		apusi_segments_close(io);
		apus_slab_deinit(&io->slots);
	}
	return err;
}

int apusi_io_open(struct apus_io **out, struct apus_cx *cx, const struct apus_io_config *config,
	char *reason, size_t reason_bytes)
{
	struct apus_io *io = calloc(1, sizeof *io);
	int err;

	*out = NULL;
	if (io == NULL) {
		snprintf(reason, reason_bytes, "no memory for the socket table");
		return -ENOMEM;
	}
	io->cx = cx;
	io->config = *config;
	io->wake_fd = -1;
	if (io->config.socket_count == 0)
		io->config.socket_count = SOCKETS_DEFAULT;
	if (io->config.event_batch == 0)
		io->config.event_batch = BATCH_DEFAULT;
	err = io_init(io, reason, reason_bytes);
	if (err) {
		free(io);
		return err;
	}
	*out = io;
	return 0;
}

void apusi_io_close(struct apus_io *io)
{
	uint32_t i;

	io->is_closing = true;
	for (i = 0; i < io->slots.used_count; i++) {
		struct apusi_slot *slot = apus_slab_at(&io->slots, i);

		if (slot->fd >= 0)
			apusi_slot_close(io, slot);
	}
	io->backend->close(io);
	apusi_segments_close(io);
	apus_slab_deinit(&io->slots);
	free(io);
}

/* ---- parking -------------------------------------------------------------------- */

void apusi_io_drain_wake(struct apus_io *io)
{
	uint64_t rings[8]; /* an eventfd tells of all in one; what a pipe has more stays readable */
	ssize_t ignored = read(io->wake_fd, rings, sizeof rings); /* EAGAIN: drained before */

	(void)ignored;
}

int apusi_io_set_wake(struct apus_io *io, int fd)
{
	int err = io->backend->set_wake(io, fd);

	if (!err)
		io->wake_fd = fd;
	return err;
}

uint32_t apusi_io_park(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	if (io->hot != NULL && apusi_hot_watch(io) != 0)
		timeout_ns = 0; /* it could not be woken, so it must not sleep */
	return io->backend->reap(io, timeout_ns, budget);
}

bool apusi_io_prepare(struct apus_io *io)
{
	if ((io->hot != NULL && apusi_hot_watch(io) != 0) ||
	    (io->backend->fd != NULL && io->backend->fd(io) < 0))
		return false;
	return io->backend->prepare == NULL || io->backend->prepare(io);
}

int apusi_io_fd(const struct apus_io *io)
{
	return io->backend->fd != NULL ? io->backend->fd(io) : -ENOTSUP;
}

/* ---- lent to park on ----------------------------------------------------------------------- */

int apusi_io_lend(struct apus_io *io, int fd, uint64_t *token)
{
	struct apusi_slot *slot;
	int err = apusi_slot_open(io, fd, APUSI_SHARED | APUSI_PARKS, &slot);

	if (err)
		return err;
	slot->ready = 0;
	/* At once, so that who lends is told whether it can be. */
	err = io->backend->check != NULL ? io->backend->check(io, slot) : 0;
	if (!err)
		err = apusi_slot_watch(io, slot, false);
	if (err)
		apusi_slot_close(io, slot);
	else
		*token = apusi_slot_token(slot);
	return err;
}

/*
 * An edge that was told since is used up, whatever its source took: watched anew, the kernel
 * looks at what is there now.  One that was not told is still to come.
 */
int apusi_io_lend_arm(struct apus_io *io, uint64_t token)
{
	struct apusi_slot *slot = apusi_slot_find(io, token);

	if (slot == NULL)
		return -ESTALE;
	if (slot->ready != 0)
		apusi_slot_unwatch(io, slot);
	slot->ready = 0;
	return apusi_slot_watch(io, slot, false);
}

/* ---- handles --------------------------------------------------------------------------------- */

int apusi_io_enter(struct apus_loop *loop, struct apus_io **io)
{
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	*io = apus_loop_cx(loop)->io;
	return 0;
}

int apus_io_close(struct apus_loop *loop, uint64_t token)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (!err)
		apusi_slot_close(io, slot);
	return err;
}

int apus_io_release(struct apus_loop *loop, uint64_t token)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (!err && (slot->flags & APUSI_FED) != 0)
		err = io->backend->let_go(io, slot);
	return err ? err : apusi_slot_end(io, slot, false);
}

int apus_io_number(struct apus_loop *loop, uint64_t token)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (err)
		return err;
	slot->flags |= APUSI_SHARED; /* whoever asks may duplicate it */
	return slot->fd;
}

static const char *busy_poll_reason(int err)
{
	if (err == -ENOTSUP)
		return "this backend has none, or the kernel is built without it";
	if (err == -ENOTTY)
		return "Linux 6.9 has it, this kernel does not";
	if (err == -EPERM)
		return "more packets than 64 need CAP_NET_ADMIN";
	return strerror(-err);
}

int apus_io_set_busy_poll(struct apus_loop *loop, uint32_t usec, uint32_t budget, bool prefer,
	char *reason, size_t reason_bytes)
{
	struct apus_io *io;
	int err = apusi_io_enter(loop, &io);

	if (err) {
		snprintf(reason, reason_bytes, "the loop is another thread's");
		return err;
	}
	err = io->backend->busy_poll == NULL ? -ENOTSUP :
		io->backend->busy_poll(io, usec, budget, prefer);
	if (err)
		snprintf(reason, reason_bytes, "busy poll of %u us over %s: %s", usec,
			io->backend->name, busy_poll_reason(err));
	return err;
}
