/*
 * apus/file.h - files: open, read, write, sync, directories, as awaitables.
 *
 *   Units      bytes; offsets from the beginning of the file; nanoseconds since 1970.
 *   Errors     -ESTALE (the handle was closed), -ENFILE (the loop's config.file_count handles
 *              are in use), -EBUSY (closing what is in use; the object is in flight with
 *              something else), -EAGAIN (all requests of the helpers, config.offload_count, or
 *              of the kernel's are in use),
 *              -EMSGSIZE (config.offload_bytes is under 512), -ENOTSUP (the loop has no
 *              helpers; the system has no such call), -EPERM (another thread; another task's
 *              object), and what the system call says: -ENOENT, -EISDIR, -EBADF, -ENOSPC ...
 *   Ownership  a handle owns its descriptor, unless that was borrowed.  Buffers, the arrays
 *              that list them, and paths are lent: see apus/op.h.
 *   Threads    the loop's thread only.
 *   Order      none between operations that are in flight at once.
 *   Cost       a read of at most 128 KiB that the page cache has is one system call, with no
 *              queue and no request.  Anything else is a request of the kernel's over io_uring,
 *              submitted with the turn's; where that has no such operation, and over every other
 *              backend, it is done by a helper thread, see apus/offload.h, which costs a system
 *              call where the helper sleeps.
 *
 * A handle is a value: 32 bits of index and 32 of generation.  Zero is never valid, and a
 * stale one never reaches the next owner of the same slot.
 *
 * Short transfers are completed, and interruptions retried: what answers fewer bytes than were
 * asked for has come to the end of the file (reads), or to an error that the next call will
 * meet (writes: -ENOSPC, -EFBIG, -EIO).
 *
 * A helper may be in a system call on a descriptor, so one is closed only when it is out of
 * use: apus_file_close refuses while operations are in flight, apus_file_drop has the last of
 * them close it.
 *
 * Under a virtual clock every operation is carried out at once and answered in the next turn,
 * cached or not: the same steps every time.  Over the simulated backend the files are simulated
 * too, with latencies, faults and power cuts: see apus/sim.h.
 *
 * Example, how many lines a file has:
 *
 *	#include <fcntl.h>
 *	#include <string.h>
 *	#include <apus/file.h>
 *	#include <apus/task.h>
 *
 *	struct counter {
 *		struct apus_frame frame;
 *		struct apus_op op;
 *		struct apus_file file;
 *		const char *path;
 *		apus_poll got;
 *		uint64_t offset;
 *		int64_t lines;
 *		char buffer[128];
 *	};
 *
 *	static void counter_end(struct apus_cx *cx, struct counter *self)
 *	{
 *		apus_file_drop(cx->loop, self->file);
 *	}
 *
 *	APUS_TASK(counter, struct counter, counter_end)
 *	{
 *		const char *at;
 *
 *		APUS_BEGIN(cx, self);
 *		APUS_TRY(self->got, apus_file_open(cx, &self->op, self->path, O_RDONLY, 0,
 *			&self->file));
 *		do {
 *			APUS_TRY(self->got, apus_file_read_at(cx, &self->op, self->file,
 *				self->buffer, sizeof self->buffer, self->offset));
 *			self->offset += (uint64_t)self->got;
 *			for (at = self->buffer; at < self->buffer + self->got; at++)
 *				self->lines += *at == '\n';
 *		} while (self->got == sizeof self->buffer);
 *		APUS_END(self->lines);
 *	}
 */
#ifndef APUS_FILE_H
#define APUS_FILE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "apus/io.h"
#include "apus/op.h"

struct apus_file {
	uint64_t token;
};

struct apus_directory {
	uint64_t token;
};

enum apus_file_type {
	APUS_TYPE_UNKNOWN, /* a directory that does not say: ask apus_path_stat */
	APUS_TYPE_FILE,
	APUS_TYPE_DIRECTORY,
	APUS_TYPE_LINK,
	APUS_TYPE_OTHER
};

/* What a file is.  Times are UTC; born_ns is 0 where the file system does not tell. */
struct apus_stat {
	uint64_t bytes, stored_bytes; /* a sparse file stores fewer */
	uint64_t inode, device;
	uint64_t link_count;
	uint32_t mode; /* type and permissions, as in stat(2) */
	uint32_t owner, group;
	uint32_t direct_align; /* for O_DIRECT: of buffers, offsets and lengths; 0: not told */
	int64_t read_ns, written_ns, changed_ns, born_ns;
};

enum apus_allocate {
	APUS_ALLOCATE_EXTEND, /* the file grows if it is shorter */
	APUS_ALLOCATE_KEEP,   /* its length stays */
	APUS_ALLOCATE_PUNCH   /* the other way: the range reads as zeros and is not stored */
};

APUS_BEGIN_DECLS

/* ---- handles --------------------------------------------------------------------- */

/* 0 and *out.  `flags` and `mode` as in open(2); O_CLOEXEC is always set. */
APUS_API apus_poll apus_file_open(struct apus_cx *cx, struct apus_op *op, const char *path,
	int flags, mode_t mode, struct apus_file *out);

/* A handle for a descriptor that is open.  On failure it is still the caller's. */
APUS_API int apus_file_adopt(struct apus_loop *loop, int fd, enum apus_owner owner,
	struct apus_file *out);

/*
 * Awaits close(2), which is made although the wait may be lost; the handle is stale from the
 * start, whatever is answered later.
 * -EBUSY: operations of it are in flight, and nothing has happened.
 */
APUS_API apus_poll apus_file_close(struct apus_cx *cx, struct apus_op *op, struct apus_file file);

/*
 * Ends the handle without waiting, for cleanups: the descriptor is closed now, on the loop's
 * thread, or when the last operation in flight is back.  0, -ESTALE or -EPERM.
 */
APUS_API int apus_file_drop(struct apus_loop *loop, struct apus_file file);

/* The descriptor's number; the handle stays in charge. */
APUS_API int apus_file_number(struct apus_loop *loop, struct apus_file file);

/* ---- reading and writing ------------------------------------------------------------ */

APUS_API apus_poll apus_file_read_at(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	void *data, size_t bytes, uint64_t offset);
APUS_API apus_poll apus_file_write_at(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const void *data, size_t bytes, uint64_t offset);

/* Into, or out of, several buffers; `count` up to IOV_MAX. */
APUS_API apus_poll apus_file_readv_at(struct apus_cx *cx, struct apus_op *op,
	struct apus_file file, const struct iovec *list, uint32_t count, uint64_t offset);
APUS_API apus_poll apus_file_writev_at(struct apus_cx *cx, struct apus_op *op,
	struct apus_file file, const struct iovec *list, uint32_t count, uint64_t offset);

/* At the end of the file, wherever that is by then.  -ENOTSUP: open it with O_APPEND. */
APUS_API apus_poll apus_file_append(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	const void *data, size_t bytes);

/*
 * Copies within the kernel where it can: the bytes copied, fewer at the end of `from` and for
 * no other reason.  After an error some of them may have been copied.  Within one file the
 * ranges must not overlap.
 */
APUS_API apus_poll apus_file_copy(struct apus_cx *cx, struct apus_op *op, struct apus_file from,
	uint64_t from_offset, struct apus_file to, uint64_t to_offset, uint64_t bytes);

/* What was written is on the disk when these answer; data: without what only dates it. */
APUS_API apus_poll apus_file_sync(struct apus_cx *cx, struct apus_op *op, struct apus_file file);
APUS_API apus_poll apus_file_sync_data(struct apus_cx *cx, struct apus_op *op,
	struct apus_file file);

APUS_API apus_poll apus_file_allocate(struct apus_cx *cx, struct apus_op *op,
	struct apus_file file, enum apus_allocate how, uint64_t offset, uint64_t bytes);
APUS_API apus_poll apus_file_truncate(struct apus_cx *cx, struct apus_op *op,
	struct apus_file file, uint64_t bytes);
APUS_API apus_poll apus_file_stat(struct apus_cx *cx, struct apus_op *op, struct apus_file file,
	struct apus_stat *out);

/* ---- sending ------------------------------------------------------------------------- */

/* How far a send has come; of zeros it has not begun. */
struct apus_file_send {
	struct apus_op op;
	uint64_t sent;
	bool is_full; /* the socket took no more: it is awaited */
};

/*
 * A part of a file to a socket, or another stream that io.h or net.h has, without passing
 * through the program: the bytes, fewer at the end of the file; or why no more went, and
 * send->sent says how many did.  `to` is the token of its handle.  Afterwards `send` can begin
 * another.
 */
APUS_API apus_poll apus_file_send(struct apus_cx *cx, struct apus_file_send *send, uint64_t to,
	struct apus_file file, uint64_t offset, uint64_t bytes);

/* ---- paths ---------------------------------------------------------------------------- */

/* Of the file that a link leads to; apus_link_stat: of the link itself. */
APUS_API apus_poll apus_path_stat(struct apus_cx *cx, struct apus_op *op, const char *path,
	struct apus_stat *out);
APUS_API apus_poll apus_link_stat(struct apus_cx *cx, struct apus_op *op, const char *path,
	struct apus_stat *out);
APUS_API apus_poll apus_path_rename(struct apus_cx *cx, struct apus_op *op, const char *from,
	const char *to);
APUS_API apus_poll apus_path_unlink(struct apus_cx *cx, struct apus_op *op, const char *path);
APUS_API apus_poll apus_path_mkdir(struct apus_cx *cx, struct apus_op *op, const char *path,
	mode_t mode);
APUS_API apus_poll apus_path_rmdir(struct apus_cx *cx, struct apus_op *op, const char *path);

/* ---- directories -------------------------------------------------------------------------- */

/* One name in a directory, as apus_directory_read leaves them in a buffer. */
struct apus_entry {
	uint64_t inode;
	uint16_t bytes; /* to the next one */
	uint16_t name_bytes;
	uint32_t type; /* enum apus_file_type */
};

enum { APUS_ENTRY_BYTES_MAX = 16 + 256 + 8 };

APUS_API apus_poll apus_directory_open(struct apus_cx *cx, struct apus_op *op, const char *path,
	struct apus_directory *out);

/*
 * The next names, as many as fit: the bytes of the buffer that they take; 0 is the end.  In the
 * order of the file system, without "." and "..".  The buffer is aligned as a uint64_t, and has
 * APUS_ENTRY_BYTES_MAX bytes or more (-EINVAL).  One read a directory at a time (-EBUSY).
 */
APUS_API apus_poll apus_directory_read(struct apus_cx *cx, struct apus_op *op,
	struct apus_directory directory, void *buffer, size_t bytes);

/* As apus_file_drop. */
APUS_API int apus_directory_drop(struct apus_loop *loop, struct apus_directory directory);

/* ---- sessions: one file, many times, by aligned buffers --------------------------------------- */

/*
 * A file and equal buffers for it, page-aligned as O_DIRECT wants them.  The buffers are a
 * slab: claimed by whoever reads or writes, and released when they are of no more use.
 *
 * Over io_uring both are registered with the kernel, which then neither looks the file up nor
 * pins the buffers anew for each operation; up to 16 sessions of a loop are.  It changes no
 * answer.  Registered buffers count against RLIMIT_MEMLOCK.
 */
struct apus_file_session {
	struct apus_file file;
	struct apus_slab buffers;
	size_t buffer_bytes;
	uint64_t registered; /* 0: not */
	int refused;         /* why not */
};

/*
 * 0, -EINVAL (bytes is no multiple of the page size; no buffer), -ENOMEM, -ESTALE, -EPERM.
 * That nothing could be registered is no error: see apus_file_session_registration.
 */
APUS_API int apus_file_session_init(struct apus_loop *loop, struct apus_file_session *session,
	struct apus_file file, size_t buffer_bytes, uint32_t buffer_count);

/*
 * The file stays open; no operation of the session is in flight.  Before the loop is closed.
 * 0, or -EPERM: nothing has happened.
 */
APUS_API int apus_file_session_deinit(struct apus_loop *loop, struct apus_file_session *session);

/*
 * 0: operations that reach the kernel go by what is registered.  Otherwise why they do not,
 * and work all the same: -ENOTSUP (the backend, or this kernel, registers nothing), -ENOMEM
 * (RLIMIT_MEMLOCK, or no memory), -ENOBUFS (16 sessions of the loop are), -ESTALE (the file
 * was closed), or what else the kernel said.
 */
APUS_API int apus_file_session_registration(struct apus_loop *loop,
	const struct apus_file_session *session);

/* Fills a claimed buffer from the offset: as apus_file_read_at. */
APUS_API apus_poll apus_file_session_read(struct apus_cx *cx, struct apus_op *op,
	struct apus_file_session *session, void *buffer, uint64_t offset);

/* The first `bytes` of a claimed buffer to the offset: as apus_file_write_at. */
APUS_API apus_poll apus_file_session_write(struct apus_cx *cx, struct apus_op *op,
	struct apus_file_session *session, const void *buffer, size_t bytes, uint64_t offset);

APUS_END_DECLS

/* A buffer, or NULL: all are claimed. */
APUS_INLINE void *apus_file_session_claim(struct apus_file_session *session)
{
	return apus_slab_claim(&session->buffers);
}

APUS_INLINE void apus_file_session_release(struct apus_file_session *session, void *buffer)
{
	apus_slab_release(&session->buffers, buffer);
}

/* The entry behind `last` of `bytes` that were read; the first if that is NULL; NULL: no more. */
APUS_INLINE const struct apus_entry *apus_entry_next(const void *buffer, apus_poll bytes,
	const struct apus_entry *last)
{
	const char *begin = (const char *)buffer;
	const char *at = last == NULL ? begin : (const char *)last + last->bytes;

	return bytes > at - begin ? (const struct apus_entry *)(const void *)at : NULL;
}

/* Ends with a zero. */
APUS_INLINE const char *apus_entry_name(const struct apus_entry *entry)
{
	return (const char *)(entry + 1);
}

#endif
