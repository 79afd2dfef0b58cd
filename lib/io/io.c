#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/sockets.h"

enum { SOCKETS_DEFAULT = 1024, BATCH_DEFAULT = 256 };

static const char *const kind_names[] = {
	[APUS_IO_AUTO] = "auto", [APUS_IO_EPOLL] = "epoll", [APUS_IO_URING] = "uring",
	[APUS_IO_LIBEV] = "libev", [APUS_IO_SIM] = "sim", [APUS_IO_NONE] = "none",
};

enum { KIND_COUNT = sizeof kind_names / sizeof *kind_names };

static const struct apusi_backend *const backends[KIND_COUNT] = {
	[APUS_IO_EPOLL] = &apusi_backend_epoll,
	[APUS_IO_URING] = &apusi_backend_uring,
	[APUS_IO_LIBEV] = &apusi_backend_libev,
	[APUS_IO_SIM] = &apusi_backend_sim,
	[APUS_IO_NONE] = &apusi_backend_none,
};

const char *apus_io_kind_name(enum apus_io_kind kind)
{
	return (unsigned)kind < KIND_COUNT ? kind_names[kind] : "unknown";
}

/* ---- choosing a backend ------------------------------------------------------ */

static bool kind_is_built(enum apus_io_kind kind)
{
	return backends[kind] != NULL && backends[kind]->open != NULL;
}

static int kind_parse(const char *name, enum apus_io_kind *kind)
{
	int i;

	for (i = APUS_IO_AUTO; i < KIND_COUNT; i++)
		if (strcmp(name, kind_names[i]) == 0) {
			*kind = (enum apus_io_kind)i;
			return 0;
		}
	return -EINVAL;
}

/* The environment replaces AUTO only: a program that names a backend means it. */
static int kind_choose(struct apus_io *io, char *reason, size_t reason_bytes)
{
	const char *name = getenv("APUS_BACKEND");

	io->kind = io->config.kind;
	if (io->kind != APUS_IO_AUTO || name == NULL || *name == '\0')
		return 0;
	if (kind_parse(name, &io->kind)) {
		snprintf(reason, reason_bytes, "APUS_BACKEND=%s names no backend", name);
		return -EINVAL;
	}
	io->from_environment = io->kind != APUS_IO_AUTO;
	return 0;
}

bool apusi_io_wants_sim(enum apus_io_kind kind)
{
	const char *name = kind == APUS_IO_AUTO ? getenv("APUS_BACKEND") : NULL;

	return kind == APUS_IO_SIM || (name != NULL && strcmp(name, kind_names[APUS_IO_SIM]) == 0);
}

static int kind_open(struct apus_io *io, enum apus_io_kind kind, char *reason, size_t reason_bytes)
{
	io->kind = kind;
	if ((unsigned)kind >= KIND_COUNT || !kind_is_built(kind)) {
		snprintf(reason, reason_bytes, "the %s backend is not built in",
			apus_io_kind_name(kind));
		return -ENOTSUP;
	}
	io->backend = backends[kind];
	return io->backend->open(io, reason, reason_bytes);
}

/*
 * What is built and can be had, best first; why the others cannot is kept for the log.  A
 * loop that never parks asks its backend in each turn, and io_uring for the price of a look at
 * memory; to one that parks epoll costs least.  See doc/adr/0062.
 */
static int kind_open_best(struct apus_io *io, char *reason, size_t reason_bytes)
{
	static const enum apus_io_kind orders[][4] = {
		{ APUS_IO_URING, APUS_IO_EPOLL, APUS_IO_LIBEV, APUS_IO_NONE },
		{ APUS_IO_EPOLL, APUS_IO_URING, APUS_IO_LIBEV, APUS_IO_NONE },
	};
	const enum apus_io_kind *order = orders[io->config.parks];
	int i, err = -ENOTSUP;

	for (i = 0; i < 4 && err != 0; i++) {
		if (!kind_is_built(order[i]))
			continue;
		err = kind_open(io, order[i], reason, reason_bytes);
		if (err && io->fallback[0] == '\0')
			snprintf(io->fallback, sizeof io->fallback, "%s cannot be had: %s",
				apus_io_kind_name(order[i]), reason);
	}
	return err;
}

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
	int err = kind_choose(io, reason, reason_bytes);

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
	if (io->kind == APUS_IO_AUTO)
		err = kind_open_best(io, reason, reason_bytes);
	else
		err = kind_open(io, io->kind, reason, reason_bytes);
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

/* ---- slots ------------------------------------------------------------------------- */

bool apusi_slot_is_left(struct apus_io *io)
{
	if (apus_likely(io->slots.live_count < io->slots.capacity))
		return true;
	io->counts.refusals++;
	return false;
}

/* The generation moved on when the slot was last closed; 0 never names a slot. */
static void slot_init(struct apus_io *io, struct apusi_slot *slot, int fd, uint32_t flags)
{
	uint32_t generation = slot->generation != 0 ? slot->generation : 1;

	memset(slot, 0, sizeof *slot);
	slot->generation = generation;
	slot->index = apus_slab_index(&io->slots, slot);
	slot->fd = fd;
	slot->flags = flags;
	apusi_slot_unknown(io->cx, slot);
}

int apusi_slot_open(struct apus_io *io, int fd, uint32_t flags, struct apusi_slot **out)
{
	struct apusi_slot *slot;
	int err;

	if (!apusi_slot_is_left(io))
		return -ENOSPC;
	slot = apus_slab_claim(&io->slots);
	if (apus_unlikely(slot == NULL))
		return -ENOMEM;
	slot_init(io, slot, fd, flags);
	err = io->backend->attach != NULL ? io->backend->attach(io, slot) : 0;
	if (err) {
		slot->fd = -1;
		apus_slab_release(&io->slots, slot);
		return err;
	}
	io->counts.opened++;
	*out = slot;
	return 0;
}

/* In a direction or both. */
static inline bool is_watched_at_all(const struct apusi_slot *slot)
{
	return (slot->flags & (APUSI_WATCHED | APUSI_WATCHED_OUT)) != 0;
}

void apusi_slot_unwatched(struct apus_io *io, struct apusi_slot *slot, uint32_t flags)
{
	if (!is_watched_at_all(slot))
		return;
	slot->flags &= ~flags;
	if (!is_watched_at_all(slot) && (slot->flags & APUSI_PARKS) == 0)
		io->watched_count--;
}

bool apusi_slot_is_twice(struct apus_io *io, const struct apusi_slot *slot)
{
	uint32_t i;

	for (i = 0; i < io->slots.used_count; i++) {
		const struct apusi_slot *other = apus_slab_at(&io->slots, i);

		if (other != slot && other->fd == slot->fd &&
		    (io->backend->check != NULL || is_watched_at_all(other)))
			return true;
	}
	return false;
}

static void slot_unwatch(struct apus_io *io, struct apusi_slot *slot)
{
	if (!is_watched_at_all(slot) && (slot->flags & APUSI_LINGERS) == 0)
		return;
	io->backend->remove(io, slot);
	apusi_slot_unwatched(io, slot, APUSI_WATCHED | APUSI_WATCHED_OUT);
}

static inline bool is_watched(const struct apusi_slot *slot, bool writer)
{
	return (slot->flags & (writer ? APUSI_WATCHED_OUT : APUSI_WATCHED)) != 0;
}

int apusi_slot_watch(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	int err;

	if (is_watched(slot, writer))
		return 0;
	err = io->backend->watch(io, slot, writer);
	if (err)
		return err;
	if (!is_watched_at_all(slot) && (slot->flags & APUSI_PARKS) == 0)
		io->watched_count++;
	if (!writer || !io->backend->watches_apart)
		slot->flags |= APUSI_WATCHED;
	if (writer)
		slot->flags |= APUSI_WATCHED_OUT;
	io->counts.watches++;
	return 0;
}

/*
 * An edge for writing that nobody waits for: unless it is TCP, which sends them only to one
 * that was refused, each send would bring another.
 */
static void slot_unwatch_out(struct apus_io *io, struct apusi_slot *slot)
{
	if (io->backend->watches_apart)
		return; /* and for one edge */
	if ((slot->flags & APUSI_SHORT) == 0 && io->backend->watch(io, slot, false) == 0)
		slot->flags &= ~(uint32_t)APUSI_WATCHED_OUT;
}

static void hot_unlink(struct apus_io *io, struct apusi_slot *slot)
{
	if ((slot->flags & APUSI_HOT) == 0)
		return;
	if (slot->hot_prev != NULL)
		slot->hot_prev->hot_next = slot->hot_next;
	else
		io->hot = slot->hot_next;
	if (slot->hot_next != NULL)
		slot->hot_next->hot_prev = slot->hot_prev;
	slot->flags &= ~(uint32_t)APUSI_HOT;
	io->hot_count--;
}

static void hot_link(struct apus_io *io, struct apusi_slot *slot)
{
	if (slot->flags & APUSI_HOT)
		return;
	slot->hot_prev = NULL;
	slot->hot_next = io->hot;
	if (io->hot != NULL)
		io->hot->hot_prev = slot;
	io->hot = slot;
	slot->flags |= APUSI_HOT;
	io->hot_count++;
}

/*
 * Ends the slot but not its descriptor.  Where the last close takes a descriptor out of the
 * kernel's queue by itself, that saves the call; not so if others hold the open file.
 */
static int slot_end(struct apus_io *io, struct apusi_slot *slot, bool closes)
{
	int fd = slot->fd;

	apus_waitq_retire(&slot->reader);
	apus_waitq_retire(&slot->writer);
	hot_unlink(io, slot);
	if (!closes || (slot->flags & APUSI_SHARED) != 0 || !io->backend->close_removes)
		slot_unwatch(io, slot);
	else
		apusi_slot_unwatched(io, slot, APUSI_WATCHED | APUSI_WATCHED_OUT);
	if (slot->flags & APUSI_FED)
		io->backend->drop(io, slot);
	slot->flags = 0;
	slot->fd = -1;
	slot->generation++;
	apus_slab_release(&io->slots, slot);
	return fd;
}

void apusi_slot_close(struct apus_io *io, struct apusi_slot *slot)
{
	bool owned = (slot->flags & APUSI_OWNED) != 0;
	int fd = slot_end(io, slot, owned);

	if (owned && apusi_io_is_sim(io))
		apusi_sim_close(io, fd);
	else if (owned)
		close(fd);
}

/* ---- events --------------------------------------------------------------------------- */

void apusi_io_event_rare(struct apus_io *io, struct apusi_slot *slot, uint32_t ready)
{
	/* An error or a hangup is found by trying, in either direction. */
	if (ready & (APUSI_HUP | APUSI_ERR))
		ready |= APUSI_IN | APUSI_OUT;
	if (ready & APUSI_READ_WAKES) {
		ready |= APUSI_IN;
		apus_waitq_wake(&slot->reader);
	}
	if (ready & APUSI_OUT) {
		if (slot->writer.head == NULL && (slot->flags & APUSI_WATCHED_OUT) != 0)
			slot_unwatch_out(io, slot);
		apus_waitq_wake(&slot->writer);
	}
	slot->ready |= ready;
}

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

/* From now on the kernel tells whoever waits. */
static int watch_awaited(struct apus_io *io, struct apusi_slot *slot)
{
	int err = 0;

	if (slot->reader.head != NULL)
		err = apusi_slot_watch(io, slot, false);
	if (!err && slot->writer.head != NULL)
		err = apusi_slot_watch(io, slot, true);
	return err;
}

/* Before the kernel is asked to wait, what is tried directly must be able to end it. */
static int watch_hot(struct apus_io *io)
{
	struct apusi_slot *slot;
	int err = 0;

	for (slot = io->hot; slot != NULL && !err; slot = slot->hot_next)
		err = watch_awaited(io, slot);
	return err;
}

uint32_t apusi_io_park(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	if (io->hot != NULL && watch_hot(io) != 0)
		timeout_ns = 0; /* it could not be woken, so it must not sleep */
	return io->backend->reap(io, timeout_ns, budget);
}

bool apusi_io_prepare(struct apus_io *io)
{
	if ((io->hot != NULL && watch_hot(io) != 0) ||
	    (io->backend->fd != NULL && io->backend->fd(io) < 0))
		return false;
	apusi_io_submit(io);
	return true;
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
		slot_unwatch(io, slot);
	slot->ready = 0;
	return apusi_slot_watch(io, slot, false);
}

/* ---- hot descriptors ---------------------------------------------------------------------- */

static uint32_t hot_wake(struct apus_cx *cx, const struct apus_waitq *queue)
{
	struct apus_task *task = queue->head != NULL ? queue->head->task : NULL;

	if (task == NULL || (task->flags & APUS_TASK_NO_WAKE) != 0)
		return 0;
	task->flags |= APUS_TASK_HOT;
	apus_task_wake(cx, task);
	return 1;
}

uint32_t apusi_io_sweep_slow(struct apus_io *io)
{
	struct apusi_slot *slot;
	uint32_t woken = 0;

	for (slot = io->hot; slot != NULL; slot = slot->hot_next) {
		woken += hot_wake(io->cx, &slot->reader);
		woken += hot_wake(io->cx, &slot->writer);
	}
	return woken;
}

/* ---- waiting --------------------------------------------------------------------------------- */

int apusi_io_enter(struct apus_loop *loop, struct apus_io **io)
{
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	*io = apus_loop_cx(loop)->io;
	return 0;
}

int apusi_slot_enter(struct apus_loop *loop, uint64_t token, struct apus_io **io,
	struct apusi_slot **slot)
{
	int err = apusi_io_enter(loop, io);

	if (err)
		return err;
	*slot = apusi_slot_find(*io, token);
	return *slot != NULL ? 0 : -ESTALE;
}

apus_poll apusi_slot_stale(struct apus_cx *cx, uint64_t token, bool writer)
{
	struct apusi_slot *slot = apus_slab_at(&cx->io->slots, (uint32_t)token);

	/* Only the address is used: the slot may have its next owner. */
	if (slot != NULL && cx->task != NULL &&
		apus_wait_is_broken(cx, writer ? &slot->writer : &slot->reader))
		return -EPIPE;
	return -ESTALE;
}

apus_poll apusi_slot_pend_slow(struct apus_cx *cx, struct apusi_slot *slot,
	struct apus_waitq *queue)
{
	bool writer = queue == &slot->writer;
	int err;

	/* A wait on the slot's last owner that broke is not ours: forget it. */
	(void)apus_wait_is_broken(cx, queue);
	if (!is_watched(slot, writer) && (slot->flags & APUSI_HOT) == 0) {
		err = apusi_slot_watch(cx->io, slot, writer);
		if (err)
			return err;
	}
	return apus_wait_pend(cx, queue);
}

/* ---- handles --------------------------------------------------------------------------------- */

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
	return err ? err : slot_end(io, slot, false);
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

/* A task that waits when its socket cools must be found by the kernel from now on. */
static int cool(struct apus_io *io, struct apusi_slot *slot)
{
	int err = watch_awaited(io, slot);

	if (!err)
		hot_unlink(io, slot);
	return err;
}

int apus_io_set_hot(struct apus_loop *loop, uint64_t token, bool hot)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (err || apusi_is_sim(slot))
		return err; /* what is simulated is looked at in every turn */
	if (!hot)
		return cool(io, slot);
	hot_link(io, slot);
	slot_unwatch(io, slot);
	apusi_slot_unknown(io->cx, slot);
	return 0;
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
