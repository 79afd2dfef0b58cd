/*
 * What helpers do.  All of it may block, and touches nothing but its work.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/inner.h"
#include "io/native.h"

/* Moved by one system call: who gives up waits for no more. */
enum { STEP_BYTES = 1 << 20, WINDOW = 64, COPY_BYTES = 1 << 16 };

static apus_poll errno_of(int outcome)
{
	return outcome < 0 ? -errno : 0;
}

/* ---- transfers ---------------------------------------------------------------------- */

/* Where in its list of buffers a transfer stands. */
struct cursor {
	uint32_t index;
	size_t used; /* of that buffer */
};

static void cursor_move(struct cursor *at, const struct iovec *list, uint32_t count, size_t bytes)
{
	at->used += bytes;
	while (at->index < count && at->used >= list[at->index].iov_len) {
		at->used -= list[at->index].iov_len;
		at->index++;
	}
}

/* The next buffers, up to STEP_BYTES of them; how many.  0: nothing is left. */
static int window_fill(struct iovec *window, const struct apusi_work *work, struct cursor at)
{
	size_t room = STEP_BYTES;
	int n = 0;

	while (n < WINDOW && at.index < work->count && room != 0) {
		const struct iovec *buffer = &work->list[at.index++];
		size_t bytes = buffer->iov_len - at.used;

		window[n].iov_base = (char *)buffer->iov_base + at.used;
		window[n].iov_len = bytes < room ? bytes : room;
		room -= window[n].iov_len;
		at.used = 0;
		n++;
	}
	return n;
}

typedef apus_poll transfer_fn(const struct apusi_work *work, const struct iovec *window, int count,
	uint64_t offset);

/*
 * All of it, in steps: until the end of the file or an error.  Of a read the error is the
 * answer, since fewer bytes are the end of the file; of a write only if nothing went before it.
 */
static apus_poll transfer(const struct apusi_work *work, transfer_fn *move)
{
	struct iovec window[WINDOW];
	struct cursor at = { 0, 0 };
	uint64_t done = 0;
	apus_poll got = 0;
	int n;

	cursor_move(&at, work->list, work->count, 0); /* past what is empty */
	while ((n = window_fill(window, work, at)) != 0) {
		if (apus_offload_is_unwanted(work)) {
			got = -ECANCELED;
			break;
		}
		got = move(work, window, n, work->offset + done);
		if (got == -EINTR)
			continue;
		if (got <= 0)
			break;
		done += (uint64_t)got;
		cursor_move(&at, work->list, work->count, (size_t)got);
	}
	if (got < 0 && got != -ECANCELED && work->verb == &apusi_verb_read)
		return got;
	return done != 0 || got > 0 ? (apus_poll)done : got;
}

static apus_poll move_in(const struct apusi_work *work, const struct iovec *window, int count,
	uint64_t offset)
{
	ssize_t got = preadv(work->fd, window, count, (off_t)offset);

	return got < 0 ? -errno : got;
}

static apus_poll move_out(const struct apusi_work *work, const struct iovec *window, int count,
	uint64_t offset)
{
	ssize_t put = pwritev(work->fd, window, count, (off_t)offset);

	return put < 0 ? -errno : put;
}

/* A file that is open for appending appends, whatever the offset says. */
static apus_poll move_behind(const struct apusi_work *work, const struct iovec *window, int count,
	uint64_t offset)
{
	(void)offset;
	if (work->flags & APUSI_FILE_APPEND)
		return move_out(work, window, count, 0);
	return apusi_system_append(work->fd, window, count);
}

static apus_poll run_read(struct apusi_work *work)
{
	return transfer(work, move_in);
}

static apus_poll run_write(struct apusi_work *work)
{
	return transfer(work, move_out);
}

static apus_poll run_append(struct apusi_work *work)
{
	return transfer(work, move_behind);
}

const struct apusi_file_verb apusi_verb_read = { run_read };
const struct apusi_file_verb apusi_verb_write = { run_write };
const struct apusi_file_verb apusi_verb_append = { run_append };

/* ---- from file to file, and to a socket -------------------------------------------------- */

static ssize_t read_some(int fd, void *data, size_t bytes, uint64_t offset)
{
	ssize_t got;

	do
		got = pread(fd, data, bytes, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got;
}

static apus_poll write_some(int fd, const char *data, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t put = pwrite(fd, data + done, bytes - done, (off_t)(offset + done));

		if (put < 0 && errno != EINTR)
			return done != 0 ? (apus_poll)done : -errno;
		done += put > 0 ? (size_t)put : 0;
	}
	return (apus_poll)done;
}

static apus_poll copy_by_hand(const struct apusi_work *work, uint64_t done, size_t bytes)
{
	char buffer[COPY_BYTES];
	ssize_t got = read_some(work->fd, buffer, bytes < sizeof buffer ? bytes : sizeof buffer,
		work->offset + done);

	if (got <= 0)
		return got < 0 ? -errno : 0;
	return write_some(work->other_fd, buffer, (size_t)got, work->other_offset + done);
}

static apus_poll copy_step(struct apusi_work *work, uint64_t done, size_t bytes)
{
	apus_poll got = -EOPNOTSUPP;

	if (work->flags == 0)
		got = apusi_system_copy(work->fd, work->offset + done, work->other_fd,
			work->other_offset + done, bytes);
	if (got != -EOPNOTSUPP)
		return got;
	work->flags = 1; /* from here on by hand */
	return copy_by_hand(work, done, bytes);
}

static apus_poll send_by_hand(const struct apusi_work *work, uint64_t done, size_t bytes)
{
	char buffer[COPY_BYTES];
	ssize_t got = read_some(work->fd, buffer, bytes < sizeof buffer ? bytes : sizeof buffer,
		work->offset + done);
	ssize_t put;

	if (got <= 0)
		return got < 0 ? -errno : 0;
	put = write(work->other_fd, buffer, (size_t)got);
	return put < 0 ? -errno : put;
}

static apus_poll send_step(struct apusi_work *work, uint64_t done, size_t bytes)
{
	apus_poll put = -EOPNOTSUPP;

	if (work->flags == 0)
		put = apusi_system_send(work->other_fd, work->fd, work->offset + done, bytes);
	if (put != -EOPNOTSUPP)
		return put;
	work->flags = 1;
	return send_by_hand(work, done, bytes);
}

/* All of it, in steps: 0, also at the end of the file, or an error.  *done bytes were moved. */
static apus_poll pump(struct apusi_work *work, uint64_t *done,
	apus_poll (*step)(struct apusi_work *, uint64_t, size_t))
{
	for (*done = 0; *done < work->bytes;) {
		uint64_t left = work->bytes - *done;
		apus_poll got;

		if (apus_offload_is_unwanted(work))
			return -ECANCELED;
		got = step(work, *done, left < STEP_BYTES ? (size_t)left : STEP_BYTES);
		if (got == -EINTR)
			continue;
		if (got <= 0)
			return got;
		*done += (uint64_t)got;
	}
	return 0;
}

/* As of a read: fewer bytes are the end of the file, so an error is not told by them. */
static apus_poll run_copy(struct apusi_work *work)
{
	uint64_t done;
	apus_poll err = pump(work, &done, copy_step);

	return err == 0 || (err == -ECANCELED && done != 0) ? (apus_poll)done : err;
}

/*
 * The rest is another part, which meets the error again.  That the socket is full is no lack of
 * requests, which is -EAGAIN too.
 */
static apus_poll run_send(struct apusi_work *work)
{
	uint64_t done;
	apus_poll err = pump(work, &done, send_step);

	if (done != 0)
		return (apus_poll)done;
	return err == -EAGAIN ? APUSI_NATIVE_SEND_FULL : err;
}

const struct apusi_file_verb apusi_verb_copy = { run_copy };
const struct apusi_file_verb apusi_verb_send = { run_send };

/* ---- files ---------------------------------------------------------------------------------- */

static apus_poll run_open(struct apusi_work *work)
{
	int fd;

	do
		fd = open(work->path, work->flags | O_CLOEXEC, work->mode);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	if (work->data == NULL)
		return fd;
	work->stream = fdopendir(fd);
	if (work->stream == NULL) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* The number is free whatever close answers: it is not asked twice. */
static apus_poll run_close(struct apusi_work *work)
{
	int outcome = close(work->fd);

	work->fd = -1;
	return outcome < 0 && errno != EINTR ? -errno : 0;
}

static apus_poll sync_with(int (*sync)(int fd), int fd)
{
	int outcome;

	do
		outcome = sync(fd);
	while (outcome < 0 && errno == EINTR);
	return errno_of(outcome);
}

static apus_poll run_sync(struct apusi_work *work)
{
	return sync_with(fsync, work->fd);
}

static apus_poll run_sync_data(struct apusi_work *work)
{
	return sync_with(fdatasync, work->fd);
}

static apus_poll run_allocate(struct apusi_work *work)
{
	int err;

	do
		err = apusi_system_allocate(work->fd, (enum apus_allocate)work->flags, work->offset,
			work->bytes);
	while (err == -EINTR);
	return err;
}

static apus_poll run_truncate(struct apusi_work *work)
{
	int outcome;

	do
		outcome = ftruncate(work->fd, (off_t)work->bytes);
	while (outcome < 0 && errno == EINTR);
	return errno_of(outcome);
}

static apus_poll run_stat(struct apusi_work *work)
{
	return apusi_system_stat(work->fd, NULL, true, &work->stat);
}

const struct apusi_file_verb apusi_verb_open = { run_open };
const struct apusi_file_verb apusi_verb_close = { run_close };
const struct apusi_file_verb apusi_verb_sync = { run_sync };
const struct apusi_file_verb apusi_verb_sync_data = { run_sync_data };
const struct apusi_file_verb apusi_verb_allocate = { run_allocate };
const struct apusi_file_verb apusi_verb_truncate = { run_truncate };
const struct apusi_file_verb apusi_verb_stat = { run_stat };

/* ---- paths ------------------------------------------------------------------------------------- */

static apus_poll run_path_stat(struct apusi_work *work)
{
	return apusi_system_stat(-1, work->path, true, &work->stat);
}

static apus_poll run_link_stat(struct apusi_work *work)
{
	return apusi_system_stat(-1, work->path, false, &work->stat);
}

static apus_poll run_rename(struct apusi_work *work)
{
	return errno_of(rename(work->path, work->other_path));
}

static apus_poll run_unlink(struct apusi_work *work)
{
	return errno_of(unlink(work->path));
}

static apus_poll run_mkdir(struct apusi_work *work)
{
	return errno_of(mkdir(work->path, work->mode));
}

static apus_poll run_rmdir(struct apusi_work *work)
{
	return errno_of(rmdir(work->path));
}

const struct apusi_file_verb apusi_verb_path_stat = { run_path_stat };
const struct apusi_file_verb apusi_verb_link_stat = { run_link_stat };
const struct apusi_file_verb apusi_verb_rename = { run_rename };
const struct apusi_file_verb apusi_verb_unlink = { run_unlink };
const struct apusi_file_verb apusi_verb_mkdir = { run_mkdir };
const struct apusi_file_verb apusi_verb_rmdir = { run_rmdir };

/* ---- directories ----------------------------------------------------------------------------------- */

static enum apus_file_type type_of(const struct dirent *entry)
{
	switch (entry->d_type) {
	case DT_REG:
		return APUS_TYPE_FILE;
	case DT_DIR:
		return APUS_TYPE_DIRECTORY;
	case DT_LNK:
		return APUS_TYPE_LINK;
	case DT_UNKNOWN:
		return APUS_TYPE_UNKNOWN;
	default:
		return APUS_TYPE_OTHER;
	}
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* What does not fit is kept by the stream until the next read of it. */
static apus_poll run_list(struct apusi_work *work)
{
	size_t used = 0, bytes;

	for (;;) {
		errno = 0;
		if (work->entry == NULL)
			work->entry = readdir(work->stream);
		if (work->entry == NULL)
			return used == 0 && errno != 0 ? -errno : (apus_poll)used;
		if (!is_dots(work->entry->d_name)) {
			bytes = apusi_native_entry_put((char *)work->data + used, work->bytes - used,
				work->entry->d_ino, type_of(work->entry), work->entry->d_name);
			if (bytes == 0)
				return (apus_poll)used;
			used += bytes;
		}
		work->entry = NULL;
	}
}

const struct apusi_file_verb apusi_verb_list = { run_list };
