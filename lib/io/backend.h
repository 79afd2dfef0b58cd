/*
 * io/backend.h - the socket table of a loop, and the verbs of a backend.
 *
 *   Units      nanoseconds; a timeout of 0 polls, APUS_NEVER waits without limit.
 *   Errors     0 or -errno; open says the reason in words.
 *   Ownership  the loop owns its struct apus_io; a slot owns its descriptor unless borrowed.
 *   Threads    the loop's thread only.
 *
 * Readiness is kept as bits in the slot.  A bit that is set means "try": it is set before
 * anything is known, and by every event; EAGAIN clears it.  One thread does all of it, and
 * events are turned into bits in the io phase only, so an edge that comes between an EAGAIN
 * and the wait is still queued in the kernel, and sets its bit in the next reap.
 *
 * A slot is watched from when a task first waits on it: the kernel then reports what is
 * ready already, so nothing between the last try and then is lost.  A socket that never
 * waits, or that is hot, never costs an epoll_ctl.  Writing is watched from when a writer
 * first waits, since to a datagram or Unix socket each byte that leaves is an edge.
 *
 * A hot slot is tried once a turn: what it refused is not asked again before the next.
 *
 * A datagram socket does not say that it is empty.  One of our own is asked level-triggered
 * while a task awaits it (APUSI_LEVEL): after a datagram its bit is cleared on a guess, and the
 * kernel tells if that was wrong.  The first event that finds nobody waiting, or that is
 * of another kind than a datagram, makes it edge-triggered for good, so what nobody reads
 * is told once.
 *
 * How a completion backend fits: the awaitables of this room and of net reach a descriptor
 * in one place each, try first and pend second.  A backend that completes instead starts its
 * operation in `pend`, keeps what it brought in slot->backend, and `submit` carries the
 * turn's operations; `remove` starts the cancels, and the slot is released by whoever sees
 * the last of them, which is what APUSI_LENT is left free for.
 */
#ifndef APUSI_IO_BACKEND_H
#define APUSI_IO_BACKEND_H

#include "apus/io.h"
#include "io/segment.h"

enum apusi_ready {
	APUSI_IN = 1 << 0,
	APUSI_OUT = 1 << 1,
	APUSI_RDHUP = 1 << 2,
	APUSI_HUP = 1 << 3,
	APUSI_ERR = 1 << 4,
	APUSI_PRI = 1 << 5,
	/* What wakes a reader; a writer is woken by OUT. */
	APUSI_READ_WAKES = APUSI_IN | APUSI_RDHUP | APUSI_HUP | APUSI_ERR | APUSI_PRI,
	/* While one of these is seen, a short read does not mean that nothing is left. */
	APUSI_MORE = APUSI_RDHUP | APUSI_HUP | APUSI_ERR | APUSI_PRI
};

enum apusi_slot_flags {
	APUSI_OWNED = 1 << 0,      /* close(2) when the slot ends */
	APUSI_WATCHED = 1 << 1,    /* in the kernel's queue, for reading */
	APUSI_HOT = 1 << 2,        /* tried every turn while awaited */
	APUSI_SHARED = 1 << 3,     /* others may hold the same open file: remove before close */
	APUSI_SHORT = 1 << 4,      /* a short read means that nothing is left */
	APUSI_UNIX = 1 << 5,       /* of the family AF_UNIX */
	APUSI_CONNECTING = 1 << 6, /* connect(2) has begun and has not ended */
	APUSI_WATCHED_OUT = 1 << 7, /* for writing */
	APUSI_LISTENS = 1 << 8,     /* a listener */
	APUSI_FED = 1 << 9,         /* what comes is read from the backend, not from the socket */
	APUSI_PARKS = 1 << 10,      /* lent to park on: nobody awaits it, no turn asks for it */
	APUSI_BRIEF = 1 << 11,      /* datagrams, asked for at no more than datagram_bytes */
	APUSI_LINGERS = 1 << 12,    /* watched or not: the backend has something in the kernel */
	APUSI_SIM = 1 << 13,        /* of the simulated network: see io/sockets.h */
	APUSI_MAY_LEVEL = 1 << 14,  /* brings datagrams, and was awaited whenever one came */
	APUSI_LEVEL = 1 << 15       /* watched level-triggered */
};

struct apusi_slot {
	void *slab_link; /* the slab's, while free */
	uint32_t generation;
	int fd;
	uint32_t ready; /* enum apusi_ready */
	uint32_t flags; /* enum apusi_slot_flags */
	struct apus_waitq reader, writer;
	struct apusi_slot *hot_next, *hot_prev;
	int64_t retry_ns; /* a listener that was refused a descriptor tries again then */
	void *backend;    /* a backend's own */
	uint32_t index;
	uint32_t read_turn, write_turn; /* a hot one was refused in that turn */
};

_Static_assert(sizeof(struct apusi_slot) <= 128, "an idle connection is two cache lines");

struct apus_io;
struct apus_op;
struct iovec;
struct apusi_call;
struct apusi_native;
struct msghdr;

struct apusi_backend {
	const char *name; /* with open NULL: known, and not built in */
	bool watches_apart; /* for writing is not for reading too, and is for one event */
	int (*open)(struct apus_io *io, char *reason, size_t reason_bytes);
	/* Turns events into bits and wakes; may park.  The number of events. */
	uint32_t (*reap)(struct apus_io *io, int64_t timeout_ns, uint32_t budget);
	void (*submit)(struct apus_io *io); /* NULL: nothing is ever submitted */
	void (*close)(struct apus_io *io);
	/* Registers, or changes what is registered: for reading, and for writing too or not. */
	int (*watch)(struct apus_io *io, struct apusi_slot *slot, bool writer);
	void (*remove)(struct apus_io *io, struct apusi_slot *slot);
	int (*set_wake)(struct apus_io *io, int fd); /* a descriptor that ends parking */
	/* See apus_io_set_busy_poll; NULL: -ENOTSUP. */
	int (*busy_poll)(struct apus_io *io, uint32_t usec, uint32_t budget, bool prefer);
	int (*fd)(const struct apus_io *io); /* readable while there are events; NULL: none */
	/* What is to make it so is with the kernel; NULL: it always is. */
	bool (*prepare)(struct apus_io *io);
	/* NULL: to adopt is to watch.  Else 0, or why it cannot be awaited. */
	int (*check)(struct apus_io *io, const struct apusi_slot *slot);
	/*
	 * What the backend holds of a slot that it feeds: bytes, a segment, or a descriptor; or
	 * -errno.  After an -EAGAIN that ends APUSI_FED the socket itself is to be asked.
	 */
	int64_t (*read)(struct apus_io *io, struct apusi_slot *slot, void *data, size_t bytes);
	int64_t (*read_segment)(struct apus_io *io, struct apusi_slot *slot,
		struct apus_segment *out);
	/*
	 * The same of datagrams, into a message of one part, as recvmsg(2) with MSG_TRUNC: the
	 * datagram's length, and in the part's how much of it came there.
	 */
	int64_t (*read_datagram)(struct apus_io *io, struct apusi_slot *slot,
		struct msghdr *message);
	bool (*has)(struct apusi_slot *slot); /* something is held */
	int (*accept)(struct apus_io *io, struct apusi_slot *slot);
	/* The slot ends: what it holds is thrown away. */
	void (*drop)(struct apus_io *io, struct apusi_slot *slot);
	/* Its descriptor leaves us: 0, or -EBUSY while something is held. */
	int (*let_go)(struct apus_io *io, struct apusi_slot *slot);
	/* A slot gets its descriptor: 0, or why it may not; NULL: it may. */
	int (*attach)(struct apus_io *io, struct apusi_slot *slot);
	/* When there will be an event by itself, or APUS_NEVER; NULL: nobody knows. */
	int64_t (*next_ns)(const struct apus_io *io);
	/* A segment that the kernel may receive into; false or NULL: it takes none. */
	bool (*lend)(struct apus_io *io, uint32_t index);
	/* Operations that the kernel carries out: see io/native.h; NULL: none. */
	bool (*has_native)(const struct apus_io *io, uint8_t opcode);
	int (*begin_native)(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
		const struct apusi_native *native);
	/* Files and memory that those name by a token: see io/native.h; NULL: none of them. */
	int (*fix)(struct apus_io *io, uint64_t owner, int fd, const struct iovec *memory,
		uint64_t *token);
	void (*unfix)(struct apus_io *io, uint64_t token);
	void (*unfix_all)(struct apus_io *io, uint64_t owner);
	bool (*is_fixed)(const struct apus_io *io, uint64_t token);
	bool close_removes; /* the last close(2) of a descriptor takes it out by itself */
};

extern const struct apusi_backend apusi_backend_epoll, apusi_backend_uring,
	apusi_backend_libev, apusi_backend_sim, apusi_backend_none;

struct apus_io {
	const struct apusi_backend *backend;
	struct apusi_slot *hot;
	uint32_t hot_count;
	uint32_t watched_count; /* slots that are watched in a direction or both */
	bool has_queued;         /* the backend may have something to submit */
	uint32_t datagram_bytes; /* the longest that the backend feeds; 0: it feeds none */
	struct apus_cx *cx;
	struct apus_slab slots;
	struct apusi_segments segments;
	struct apus_io_counts counts;
	struct apus_io_config config; /* with the defaults filled in */
	enum apus_io_kind kind;
	bool from_environment; /* APUS_BACKEND chose the kind */
	bool is_closing;       /* every slot is being ended, and the backend next */
	int wake_fd;           /* -1: none */
	char fallback[160];    /* AUTO: why the first choice could not be had; else empty */
	void *state;           /* the backend's */
};

/* ---- what the loop calls --------------------------------------------------- */

/*
 * -ENOTSUP  the backend is not built in.   -EINVAL  APUS_BACKEND names none.
 * Otherwise what the kernel says.  On failure *io is NULL and reason says why in words.
 */
int apusi_io_open(struct apus_io **io, struct apus_cx *cx, const struct apus_io_config *config,
	char *reason, size_t reason_bytes);

/* Would a loop with this choice have the simulated network, as the environment is? */
bool apusi_io_wants_sim(enum apus_io_kind kind);

/* Ends every handle; whoever still waits wakes with -EPIPE. */
void apusi_io_close(struct apus_io *io);

/* The cold half of reap. */
uint32_t apusi_io_park(struct apus_io *io, int64_t timeout_ns, uint32_t budget);

/* Takes at most budget (not 0) events; parks up to timeout_ns.  The work done. */
static inline uint32_t apusi_io_reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	io->counts.reaps++;
	if (apus_unlikely(timeout_ns != 0))
		return apusi_io_park(io, timeout_ns, budget);
	return io->backend->reap(io, 0, budget);
}

/*
 * A descriptor of somebody else's to park on: armed anew before each park, it ends it while it
 * is readable.  It takes a slot, stays the lender's, and is given back by closing the token.
 */
int apusi_io_lend(struct apus_io *io, int fd, uint64_t *token);
int apusi_io_lend_arm(struct apus_io *io, uint64_t token);

/* Parking also ends when fd, an eventfd, is readable; it is drained here.  -1: none. */
int apusi_io_set_wake(struct apus_io *io, int fd);

/*
 * Events that come from now on make the descriptor readable.  False: some would not, so the
 * thread must not wait.
 */
bool apusi_io_prepare(struct apus_io *io);
/* That descriptor, or -ENOTSUP. */
int apusi_io_fd(const struct apus_io *io);

/* The cold half of sweep_hot. */
uint32_t apusi_io_sweep_slow(struct apus_io *io);

/* Makes the tasks that await hot descriptors ready to try again; how many. */
static inline uint32_t apusi_io_sweep_hot(struct apus_io *io)
{
	return io->hot == NULL ? 0 : apusi_io_sweep_slow(io);
}

/* One submission carries the turn's operations. */
static inline void apusi_io_submit(struct apus_io *io)
{
	if (apus_unlikely(io->has_queued))
		io->backend->submit(io);
}

/* Nothing is watched: there is nothing to ask the kernel for. */
static inline bool apusi_io_is_idle(const struct apus_io *io)
{
	return io->watched_count == 0;
}

/* When the backend has something to tell by itself, under a virtual clock. */
static inline int64_t apusi_io_next_ns(const struct apus_io *io)
{
	if (apus_likely(io->backend->next_ns == NULL) || apusi_io_is_idle(io))
		return APUS_NEVER;
	return io->backend->next_ns(io);
}

static inline uint32_t apusi_io_hot_count(const struct apus_io *io)
{
	return io->hot_count;
}

static inline uint32_t apusi_io_socket_count(const struct apus_io *io)
{
	return io->slots.live_count;
}

static inline const char *apusi_io_name(const struct apus_io *io)
{
	return io->backend->name;
}

/* ---- what backends call ------------------------------------------------------ */

/* Empties the wake descriptor. */
void apusi_io_drain_wake(struct apus_io *io);

/*
 * A backend that tells an event once, and then has to be asked again: these flags of
 * APUSI_WATCHED and APUSI_WATCHED_OUT hold no longer.
 */
void apusi_slot_unwatched(struct apus_io *io, struct apusi_slot *slot, uint32_t flags);

/* From now on events are told once, whether somebody reads or not. */
APUS_COLD void apusi_slot_make_edge(struct apus_io *io, struct apusi_slot *slot);

/* Any event for a slot: bits and wakes. */
APUS_COLD void apusi_io_event_rare(struct apus_io *io, struct apusi_slot *slot, uint32_t ready);

/* Another slot has the same descriptor, and is watched. */
bool apusi_slot_is_twice(struct apus_io *io, const struct apusi_slot *slot);

/* ---- what the awaitables of io and net call ---------------------------------- */

static inline uint64_t apusi_slot_token(const struct apusi_slot *slot)
{
	return (uint64_t)slot->generation << 32 | slot->index;
}

/* The slot that a token names, or NULL. */
static inline struct apusi_slot *apusi_slot_find(struct apus_io *io, uint64_t token)
{
	uint32_t generation = (uint32_t)(token >> 32);
	struct apusi_slot *slot = apus_slab_at(&io->slots, (uint32_t)token);

	if (apus_unlikely(slot == NULL || slot->generation != generation || generation == 0))
		return NULL;
	return slot;
}

/* An event for a token: bits and wakes, or one more stale event. */
static inline void apusi_io_event(struct apus_io *io, uint64_t token, uint32_t ready)
{
	struct apusi_slot *slot = apusi_slot_find(io, token);

	io->counts.events++;
	if (apus_unlikely(slot == NULL)) {
		io->counts.stale_events++;
	} else if (apus_likely(ready == APUSI_IN)) {
		slot->ready |= APUSI_IN;
		if (apus_likely(slot->reader.head != NULL))
			apus_waitq_wake(&slot->reader);
		else if (slot->flags & APUSI_LEVEL)
			apusi_slot_make_edge(io, slot);
	} else {
		apusi_io_event_rare(io, slot, ready);
	}
}

/*
 * A slot for a descriptor, of which nothing is known: all is worth a try.  On failure the
 * descriptor is still the caller's.
 */
int apusi_slot_open(struct apus_io *io, int fd, uint32_t flags, struct apusi_slot **out);
void apusi_slot_close(struct apus_io *io, struct apusi_slot *slot);

/* Has the kernel tell what happens to it, to a writer too. */
int apusi_slot_watch(struct apus_io *io, struct apusi_slot *slot, bool writer);

/* A slot for the caller's descriptor, watched and made non-blocking. */
int apusi_slot_adopt(struct apus_io *io, int fd, enum apus_owner owner, uint32_t flags,
	uint64_t *token);

/* The table has room for one more; a refusal is counted. */
bool apusi_slot_is_left(struct apus_io *io);

/* The loop's io on a cold path: 0, or -EPERM on a foreign thread. */
int apusi_io_enter(struct apus_loop *loop, struct apus_io **io);
/* The same, and the token's slot: 0, -EPERM, -ESTALE. */
int apusi_slot_enter(struct apus_loop *loop, uint64_t token, struct apus_io **io,
	struct apusi_slot **slot);

/* What an awaitable answers for a token that names nothing: -EPIPE once to a waiter. */
apus_poll apusi_slot_stale(struct apus_cx *cx, uint64_t token, bool writer);

/* Another task waits on the direction already. */
static inline bool apusi_slot_is_taken(const struct apus_cx *cx, const struct apus_waitq *queue)
{
	return queue->head != NULL && queue->head->task != cx->task;
}

/* Is a read worth a system call now?  And a write? */
static inline bool apusi_slot_try_read(const struct apus_cx *cx, const struct apusi_slot *slot)
{
	if (slot->flags & APUSI_HOT)
		return slot->read_turn != (uint32_t)cx->turn;
	return (slot->ready & APUSI_IN) != 0;
}

static inline bool apusi_slot_try_write(const struct apus_cx *cx, const struct apusi_slot *slot)
{
	if (slot->flags & APUSI_HOT)
		return slot->write_turn != (uint32_t)cx->turn;
	return (slot->ready & APUSI_OUT) != 0;
}

/* EAGAIN: nothing is left to be read, no end and no error either. */
static inline void apusi_slot_drained(const struct apus_cx *cx, struct apusi_slot *slot)
{
	slot->ready &= APUSI_OUT;
	slot->read_turn = (uint32_t)cx->turn;
}

static inline void apusi_slot_filled(const struct apus_cx *cx, struct apusi_slot *slot)
{
	slot->ready &= ~(uint32_t)APUSI_OUT;
	slot->write_turn = (uint32_t)cx->turn;
}

/* A read brought less than it could have: nothing is left, but for what events tell. */
static inline void apusi_slot_emptied(const struct apus_cx *cx, struct apusi_slot *slot)
{
	if ((slot->ready & APUSI_MORE) == 0)
		slot->ready &= ~(uint32_t)APUSI_IN;
	slot->read_turn = (uint32_t)cx->turn;
}

/* Nothing may be left: a hot slot is asked again in the next turn, another one now. */
static inline void apusi_slot_tasted(const struct apus_cx *cx, struct apusi_slot *slot)
{
	slot->read_turn = (uint32_t)cx->turn;
}

/*
 * A datagram came: another may stand behind it.  Where the kernel tells that anyhow, most
 * have none, and are spared a refusal; not those that come in turn upon turn.
 */
static inline void apusi_slot_took_one(const struct apus_cx *cx, struct apusi_slot *slot)
{
	if ((slot->flags & APUSI_LEVEL) != 0 && (uint32_t)cx->turn - slot->read_turn > 1)
		slot->ready &= ~(uint32_t)APUSI_IN;
	slot->read_turn = (uint32_t)cx->turn;
}

/* Forgets what was refused: the next call is tried. */
static inline void apusi_slot_unknown(const struct apus_cx *cx, struct apusi_slot *slot)
{
	slot->ready |= APUSI_IN | APUSI_OUT;
	slot->read_turn = slot->write_turn = (uint32_t)cx->turn - 1;
}

/*
 * For who asks without waiting: a bit that is clear says nothing in a direction that is not
 * watched, where no event will set it, or where it was cleared on a guess.
 */
static inline void apusi_slot_untold(const struct apus_cx *cx, struct apusi_slot *slot)
{
	if ((slot->flags & (APUSI_WATCHED | APUSI_LEVEL)) != APUSI_WATCHED) {
		slot->ready |= APUSI_IN;
		slot->read_turn = (uint32_t)cx->turn - 1;
	}
	if ((slot->flags & APUSI_WATCHED_OUT) == 0) {
		slot->ready |= APUSI_OUT;
		slot->write_turn = (uint32_t)cx->turn - 1;
	}
}

/* False: what the backend had is read, and it reads no more; the socket is to be asked. */
static inline bool apusi_slot_is_fed(const struct apusi_slot *slot, int64_t got)
{
	return got != -EAGAIN || (slot->flags & APUSI_FED) != 0;
}

apus_poll apusi_slot_pend_slow(struct apus_cx *cx, struct apusi_slot *slot,
	struct apus_waitq *queue);

/*
 * Waits on one of the slot's queues, which is not taken: APUS_PENDING, -ENOBUFS, or why it
 * cannot be watched.
 */
static inline apus_poll apusi_slot_pend_read(struct apus_cx *cx, struct apusi_slot *slot)
{
	if (apus_likely((slot->flags & (APUSI_WATCHED | APUSI_HOT)) != 0 &&
			(cx->flags & APUS_CX_BROKEN) == 0))
		return apus_wait_pend(cx, &slot->reader);
	return apusi_slot_pend_slow(cx, slot, &slot->reader);
}

static inline apus_poll apusi_slot_pend_write(struct apus_cx *cx, struct apusi_slot *slot)
{
	return apusi_slot_pend_slow(cx, slot, &slot->writer);
}

#endif
