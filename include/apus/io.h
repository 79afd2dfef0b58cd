/*
 * apus/io.h - descriptors on a loop: adopt, await readable and writable, read, write.
 *
 *   Units      bytes; slots of the socket table.
 *   Errors     -ESTALE (the handle was closed), -EPIPE (closed while it was awaited, or the
 *              peer is gone), -EBUSY (another task waits on that direction; release: bytes
 *              that nobody has read are held), -ENOSPC (the table is full), -EPERM (a regular
 *              file; another thread), -EEXIST (adopted twice), -EBADF, -ENOTSUP (the loop has
 *              no backend for descriptors), -EINVAL (nothing to read into), and what the
 *              system call says.
 *   Ownership  a borrowed descriptor stays the caller's, who releases or closes the handle
 *              before the descriptor; an owned one is closed with its handle or the loop.
 *              Both are made non-blocking, and stay so.
 *   Threads    the loop's thread only.
 *   Order      the two directions are independent; one waiter a direction.
 *   Cost       an await that is ready is one system call, one that is not costs none while
 *              it waits.  A descriptor is handed to the kernel's queue once, when it is
 *              adopted or first awaited, and changed there when a writer begins to wait.  An
 *              idle one costs nothing per turn.
 *   Source     edges kept as bits, cleared by EAGAIN: Banga, Mogul and Druschel, 1999.
 *
 * A handle is a value: 32 bits of index and 32 of generation.  Zero is never valid, and a
 * stale one never reaches the next owner of the same slot or of the same number.
 *
 * A hot descriptor skips the backend: while it is awaited, its task is polled every turn and
 * makes the system call itself, once a turn.  That costs a call a turn, and saves the event.
 *
 * Example, a timer of the kernel's:
 *
 *	#include <apus/io.h>
 *	#include <apus/task.h>
 *
 *	struct ticks {
 *		struct apus_frame frame;
 *		struct apus_fd fd;
 *		int64_t got;
 *		uint64_t expired;
 *	};
 *
 *	APUS_TASK(ticks, struct ticks)
 *	{
 *		APUS_BEGIN(cx, self);
 *		for (;;) {
 *			APUS_TRY(self->got, apus_fd_read(cx, self->fd, &self->expired,
 *				sizeof self->expired));
 *		}
 *		APUS_END(0);
 *	}
 *
 *	int start(struct apus_loop *loop, int timerfd)
 *	{
 *		struct ticks init = { 0 };
 *		int err = apus_fd_adopt(loop, timerfd, APUS_OWNED, &init.fd);
 *
 *		return err ? err : apus_spawn_slab(loop, ticks, &init, NULL);
 *	}
 */
#ifndef APUS_IO_H
#define APUS_IO_H

#include "apus/wait.h"

/* ---- the backend of a loop ---------------------------------------------- */

enum apus_io_kind {
	APUS_IO_AUTO, /* what the environment's APUS_BACKEND names, else the best for how it idles */
	APUS_IO_EPOLL,
	APUS_IO_URING,
	APUS_IO_LIBEV,
	APUS_IO_SIM, /* a network and files in memory, under a virtual clock: apus/sim.h */
	APUS_IO_NONE /* no descriptors */
};

enum apus_uring_preset {
	APUS_URING_LATENCY,   /* completions come whenever the thread leaves the kernel */
	APUS_URING_THROUGHPUT /* ... when the loop asks, all at once; longer queues */
};

struct apus_sim_config;

/* The io_uring backend; zero is the default everywhere. */
struct apus_uring_config {
	enum apus_uring_preset preset;
	uint32_t entries;     /* requests that one submission takes; 0: 256 or 1024, by preset */
	uint32_t completions; /* that wait in memory, the kernel keeps more; 0: 1024 or 8192 */
	uint32_t operations;  /* of apus/op.h in the kernel at once; 0: 256 */
	bool sqpoll; /* a thread of the kernel's submits; it takes a core: see apus_backends(7) */
	bool sqpoll_pin;
	uint32_t sqpoll_cpu;     /* with sqpoll_pin: the core that it takes */
	uint32_t sqpoll_idle_ms; /* it sleeps after so long with nothing to do; 0: a second */
	uint32_t napi_usec;      /* a wait spins so long on the device's queue; 0: not at all */
	bool napi_prefer;        /* and the device's interrupts are held back meanwhile */
	uint32_t zero_copy_bytes; /* apus_tcp_write_zero_copy copies what is less; 0: anything */
};

/* Part of the loop's configuration; zero is the default everywhere. */
struct apus_io_config {
	enum apus_io_kind kind;
	uint32_t socket_count; /* descriptors at once; 0: 1024 */
	uint32_t event_batch;  /* events a reap takes at most; 0: 256 */
	bool prefault;         /* touch the table when it is opened */
	bool lock;             /* and lock it */
	uint32_t segment_bytes, segment_count; /* to receive into; 0: 4096 and 256 */
	bool parks;            /* the loop idles by parking: what AUTO takes depends on it */
	bool asks_seldom;      /* the loop asks at intervals, not in each turn */
	bool plain_wait;       /* park by ppoll, as where epoll_pwait2 is missing */
	struct apus_uring_config uring;
	const struct apus_sim_config *sim; /* of apus/sim.h; NULL: the environment's, or a calm one */
};

/* Counted since the loop was opened. */
struct apus_io_counts {
	uint64_t reaps;        /* times the kernel was asked for events */
	uint64_t events;       /* it had */
	uint64_t stale_events; /* of these, for descriptors that had been closed */
	uint64_t watches;      /* descriptors handed to the kernel's queue, or changed there */
	uint64_t refusals;     /* -ENOSPC: the table was full */
	uint64_t opened;       /* descriptors that were given a slot */
};

/* ---- bare descriptors ------------------------------------------------------ */

/* A pipe, a timerfd, a serial line, another library's socket. */
struct apus_fd {
	uint64_t token;
};

enum apus_owner {
	APUS_BORROWED, /* closing the handle leaves the descriptor open */
	APUS_OWNED     /* closing the handle closes it */
};

APUS_BEGIN_DECLS

/* "epoll", "none" ... */
APUS_API const char *apus_io_kind_name(enum apus_io_kind kind);

/* On failure the descriptor is still the caller's, also with APUS_OWNED. */
APUS_API int apus_fd_adopt(struct apus_loop *loop, int fd, enum apus_owner owner,
	struct apus_fd *out);

/*
 * 0 once a read would not block: there are bytes, or the end, or an error to be read.  Asks
 * the descriptor itself, so it does not matter who read from it before, or how much.
 */
APUS_API apus_poll apus_fd_readable(struct apus_cx *cx, struct apus_fd fd);
APUS_API apus_poll apus_fd_writable(struct apus_cx *cx, struct apus_fd fd);

/* The bytes read; 0 is the end. */
APUS_API apus_poll apus_fd_read(struct apus_cx *cx, struct apus_fd fd, void *data, size_t bytes);

/*
 * The bytes written, which may be fewer.  As with write(2), a pipe that nobody reads raises
 * SIGPIPE unless the process ignores it; sockets of apus/net.h never do.
 */
APUS_API apus_poll apus_fd_write(struct apus_cx *cx, struct apus_fd fd, const void *data,
	size_t bytes);

/* ---- segments ----------------------------------------------------------------- */

/* Bytes that a receive which named no buffer has brought, in memory of the loop's. */
struct apus_segment {
	unsigned char *data; /* the caller's to read and change until it is released */
	uint32_t bytes;
	uint32_t index, generation; /* private */
};

/* Gives it back, and zeroes it; in any order.  0 or -ESTALE. */
APUS_API int apus_segment_release(struct apus_loop *loop, struct apus_segment *segment);

/* ---- what all handles can do; the typed names are below and in apus/net.h --- */

/* Ends the handle; its waiters wake with -EPIPE.  0 or -ESTALE. */
APUS_API int apus_io_close(struct apus_loop *loop, uint64_t token);

/*
 * Ends the handle and answers the descriptor's number, which is now the caller's.  -EBUSY: the
 * backend has received what nobody has read yet; the handle lives, and once that is read it
 * can be released.
 */
APUS_API int apus_io_release(struct apus_loop *loop, uint64_t token);

/* The descriptor's number, to set what has no name here; the handle stays in charge. */
APUS_API int apus_io_number(struct apus_loop *loop, uint64_t token);

APUS_API int apus_io_set_hot(struct apus_loop *loop, uint64_t token, bool hot);

/*
 * Lets a reap spin so long on the queues of the devices whose packets its sockets got last; at
 * most budget packets a poll, 0: 8; with prefer their interrupts stay off meanwhile.  usec 0:
 * no more.  Refused: -errno, and why in words: -ENOTSUP (not with this backend; epoll alone),
 * -ENOTTY (before Linux 6.9), -EPERM, -EINVAL.
 */
APUS_API int apus_io_set_busy_poll(struct apus_loop *loop, uint32_t usec, uint32_t budget,
	bool prefer, char *reason, size_t reason_bytes);

APUS_END_DECLS

APUS_INLINE int apus_fd_close(struct apus_loop *loop, struct apus_fd fd)
{
	return apus_io_close(loop, fd.token);
}

APUS_INLINE int apus_fd_release(struct apus_loop *loop, struct apus_fd fd)
{
	return apus_io_release(loop, fd.token);
}

APUS_INLINE int apus_fd_number(struct apus_loop *loop, struct apus_fd fd)
{
	return apus_io_number(loop, fd.token);
}

APUS_INLINE int apus_fd_set_hot(struct apus_loop *loop, struct apus_fd fd, bool hot)
{
	return apus_io_set_hot(loop, fd.token, hot);
}

#endif
