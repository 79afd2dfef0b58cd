/*
 * file_stories.h - what files do, as tasks that await it: over every way that a real file can
 * be had, and over the simulated ones.
 */
#ifndef APUS_TEST_FILE_STORIES_H
#define APUS_TEST_FILE_STORIES_H

#include <fcntl.h>
#include <sys/stat.h>

#include "apus/file.h"
#include "apus/task.h"
#include "io/backend.h"
#include "loop_test.h"

static uint64_t files_open(struct apus_loop *loop)
{
	return counters(loop).files_open;
}

/* ---- a task with all that these tests need ------------------------------------------- */

struct user {
	struct apus_frame frame;
	struct apus_op op, ops[8];
	struct apus_file file, other;
	struct apus_directory directory;
	struct apus_stat stat;
	struct apus_file_session session;
	apus_poll got, which;
	const char *path;
	void *page;
	char buffer[64], more[64];
	struct iovec list[3];
	uint64_t offset;
	unsigned i, count;
};

#define CHECK(claim)                                                            \
	do {                                                                    \
		if (!(claim)) {                                                 \
			fprintf(stderr, "%s:%d: %s (got %d)\n", __FILE__, __LINE__, #claim, \
				(int)self->got);                                \
			return -EBADMSG;                                        \
		}                                                               \
	} while (0)

APUS_TASK(writes_and_reads, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "new", O_RDWR | O_CREAT | O_EXCL, 0640,
		&self->file));
	CHECK(self->got == 0 && files_open(cx->loop) == 1);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "hello, world", 12, 3));
	CHECK(self->got == 12);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 12, 3));
	CHECK(self->got == 12 && memcmp(self->buffer, "hello, world", 12) == 0);
	/* A hole reads as zeros; the end answers fewer, and then none. */
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 0));
	CHECK(self->got == 15 && memcmp(self->buffer, "\0\0\0hello, world", 15) == 0);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 15));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 1 << 20));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 0, 0));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_sync_data(cx, &self->op, self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->file));
	CHECK(self->got == 0 && files_open(cx->loop) == 0);
	APUS_END(0);
}

APUS_TASK(lists_of_buffers, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "lists", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	memcpy(self->buffer, "abcdefgh", 8);
	self->list[0] = (struct iovec){ self->buffer, 3 };
	self->list[1] = (struct iovec){ self->buffer, 0 };
	self->list[2] = (struct iovec){ self->buffer + 3, 5 };
	APUS_AWAIT(self->got, apus_file_writev_at(cx, &self->op, self->file, self->list, 3, 1));
	CHECK(self->got == 8);
	memset(self->buffer, 0, sizeof self->buffer);
	APUS_AWAIT(self->got, apus_file_readv_at(cx, &self->op, self->file, self->list, 3, 1));
	CHECK(self->got == 8 && memcmp(self->buffer, "abcdefgh", 8) == 0);
	self->list[2].iov_len = 50;
	APUS_AWAIT(self->got, apus_file_readv_at(cx, &self->op, self->file, self->list, 3, 4));
	CHECK(self->got == 5 && memcmp(self->buffer, "defgh", 5) == 0);
	APUS_AWAIT(self->got, apus_file_readv_at(cx, &self->op, self->file, self->list, 0, 4));
	CHECK(self->got == 0);
	CHECK(apus_file_readv_at(cx, &self->op, self->file, self->list, 1 << 20, 0) == -EINVAL);
	CHECK(apus_file_drop(cx->loop, self->file) == 0);
	APUS_END(0);
}

/* Three steps of a helper and a bit, from several buffers: completed. */
enum { LARGE = 3 * (1 << 20) + 12345 };

APUS_TASK(moves_much, struct user)
{
	static unsigned char out[LARGE], in[LARGE];
	unsigned i;

	APUS_BEGIN(cx, self);
	for (i = 0; i < LARGE; i++)
		out[i] = (unsigned char)(i * 2654435761u >> 13);
	memset(in, 0, sizeof in);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "large", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	self->list[0] = (struct iovec){ out, 1 << 20 };
	self->list[1] = (struct iovec){ out + (1 << 20), 1000 };
	self->list[2] = (struct iovec){ out + (1 << 20) + 1000, LARGE - (1 << 20) - 1000 };
	APUS_AWAIT(self->got, apus_file_writev_at(cx, &self->op, self->file, self->list, 3, 0));
	CHECK(self->got == LARGE);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, in, LARGE, 0));
	CHECK(self->got == LARGE && memcmp(in, out, LARGE) == 0);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, in, LARGE, 100));
	CHECK(self->got == LARGE - 100 && memcmp(in, out + 100, LARGE - 100) == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

APUS_TASK(far_away, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "far", O_RDWR | O_CREAT, 0600, &self->file));
	CHECK(self->got == 0);
	self->offset = (UINT64_C(5) << 32) + 7;
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "far", 3, self->offset));
	CHECK(self->got == 3);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 10,
		self->offset - 2));
	CHECK(self->got == 5 && memcmp(self->buffer, "\0\0far", 5) == 0);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == 0 && self->stat.bytes == self->offset + 3);
	CHECK(self->stat.stored_bytes < 1 << 20); /* sparse */
	CHECK(apus_file_read_at(cx, &self->op, self->file, self->buffer, 1, UINT64_C(1) << 63) ==
		-EINVAL);
	CHECK(apus_file_write_at(cx, &self->op, self->file, "x", 2, INT64_MAX) == -EINVAL);
	CHECK(apus_file_truncate(cx, &self->op, self->file, UINT64_MAX) == -EINVAL);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

APUS_TASK(appends, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "log",
		O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0600, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_append(cx, &self->op, self->file, "one ", 4));
	CHECK(self->got == 4);
	APUS_AWAIT(self->got, apus_file_append(cx, &self->op, self->file, "two ", 4));
	CHECK(self->got == 4);
	apus_file_drop(cx->loop, self->file);
	/* Opened otherwise: where the system can. */
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "log", O_RDWR, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_append(cx, &self->op, self->file, "three", 5));
	CHECK(self->got == 5 || self->got == -ENOTSUP);
	if (self->got == -ENOTSUP)
		APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "three", 5, 8));
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

APUS_TASK(sizes, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "sizes", O_RDWR | O_CREAT, 0604,
		&self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_truncate(cx, &self->op, self->file, 100));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == 0 && self->stat.bytes == 100 && S_ISREG(self->stat.mode));
	CHECK((self->stat.mode & 0777) == 0604 && self->stat.link_count == 1);
	CHECK(self->stat.written_ns > INT64_C(1500000000) * APUS_SEC);
	APUS_AWAIT(self->got, apus_file_allocate(cx, &self->op, self->file, APUS_ALLOCATE_EXTEND, 0,
		1 << 20));
	CHECK(self->got == 0 || self->got == -EOPNOTSUPP);
	if (self->got == 0) {
		APUS_AWAIT(self->got, apus_file_allocate(cx, &self->op, self->file,
			APUS_ALLOCATE_KEEP, 1 << 20, 1 << 20));
		CHECK(self->got == 0 || self->got == -EOPNOTSUPP);
		APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
		CHECK(self->got == 0 && self->stat.bytes == 1 << 20);
		CHECK(self->stat.stored_bytes >= 1 << 20);
		APUS_AWAIT(self->got, apus_file_allocate(cx, &self->op, self->file,
			APUS_ALLOCATE_PUNCH, 0, 2 << 20));
		CHECK(self->got == 0 || self->got == -EOPNOTSUPP);
		APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
		CHECK(self->got == 0 && self->stat.bytes == 1 << 20);
	}
	CHECK(apus_file_allocate(cx, &self->op, self->file, APUS_ALLOCATE_EXTEND, 0, 0) == -EINVAL);
	CHECK(apus_file_allocate(cx, &self->op, self->file, (enum apus_allocate)9, 0, 1) == -EINVAL);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

APUS_TASK(stale, struct user)
{
	APUS_BEGIN(cx, self);
	CHECK(apus_file_read_at(cx, &self->op, self->file, self->buffer, 1, 0) == -ESTALE);
	CHECK(apus_file_drop(cx->loop, self->file) == -ESTALE);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "a", O_RDWR | O_CREAT, 0600, &self->file));
	CHECK(self->got == 0);
	self->other = self->file;
	CHECK(apus_file_close(cx, &self->op, self->file) == APUS_PENDING);
	CHECK(apus_file_number(cx->loop, self->file) == -ESTALE); /* from the start */
	APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->file));
	CHECK(self->got == 0);
	/* The next owner of the slot, and of the number. */
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "a", O_RDWR, 0, &self->file));
	CHECK(self->got == 0 && self->file.token != self->other.token);
	CHECK((uint32_t)self->file.token == (uint32_t)self->other.token);
	CHECK(apus_file_read_at(cx, &self->op, self->other, self->buffer, 1, 0) == -ESTALE);
	CHECK(apus_file_write_at(cx, &self->op, self->other, "x", 1, 0) == -ESTALE);
	CHECK(apus_file_sync(cx, &self->op, self->other) == -ESTALE);
	CHECK(apus_file_stat(cx, &self->op, self->other, &self->stat) == -ESTALE);
	CHECK(apus_file_copy(cx, &self->op, self->file, 0, self->other, 0, 1) == -ESTALE);
	CHECK(apus_file_close(cx, &self->op, self->other) == -ESTALE);
	self->directory.token = self->file.token;
	CHECK(apus_directory_read(cx, &self->op, self->directory, self->page, 512) == -ESTALE);
	CHECK(apus_file_number(cx->loop, self->file) >= 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

APUS_TASK(refused, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "none", O_RDONLY, 0, &self->file));
	CHECK(self->got == -ENOENT && !apus_op_is_busy(&self->op));
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, ".", O_RDWR, 0, &self->file));
	CHECK(self->got == -EISDIR);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, ".", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 1, 0));
	CHECK(self->got == -EISDIR);
	apus_file_drop(cx->loop, self->file);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "x", 1, 0));
	CHECK(self->got == -EBADF);
	APUS_AWAIT(self->got, apus_file_truncate(cx, &self->op, self->file, 0));
	CHECK(self->got == -EINVAL || self->got == -EBADF);
	apus_file_drop(cx->loop, self->file);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_WRONLY, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 1, 0));
	CHECK(self->got == -EBADF);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

/* 4096 bytes fit: the write that meets the limit says so far, the next says why. */
APUS_TASK(too_much, struct user)
{
	static const char content[8192];

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, self->path, O_RDWR | O_CREAT | O_TRUNC,
		0600, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, content, 8192,
		self->offset));
	CHECK(self->got == 4096);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, content, 4096,
		self->offset + 4096));
	self->count = (unsigned)-self->got;
	apus_file_drop(cx->loop, self->file);
	APUS_END(self->count);
}

APUS_TASK(copies, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "from", O_RDWR, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, self->path ? self->path : "to",
		O_RDWR | O_CREAT | O_TRUNC, 0600, &self->other));
	CHECK(self->got == 0);
	CHECK(apus_file_copy(cx, &self->op, self->file, 4, self->other, 2, 5) == APUS_PENDING);
	CHECK(apus_file_copy(cx, &self->op, self->file, 4, self->other, 3, 5) == -EBUSY);
	CHECK(apus_file_copy(cx, &self->op, self->file, 4, self->file, 2, 5) == -EBUSY);
	APUS_AWAIT(self->got, apus_file_copy(cx, &self->op, self->file, 4, self->other, 2, 5));
	CHECK(self->got == 5);
	APUS_AWAIT(self->got, apus_file_copy(cx, &self->op, self->file, 9, self->other, 7, 1000));
	CHECK(self->got == 1);
	CHECK(apus_file_copy(cx, &self->op, self->file, 0, self->file, 3, 5) == -EINVAL);
	CHECK(apus_file_copy(cx, &self->op, self->file, INT64_MAX, self->other, 3, 5) == -EINVAL);
	APUS_AWAIT(self->got, apus_file_copy(cx, &self->op, self->file, 0, self->file, 10, 3));
	CHECK(self->got == 3);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->other, self->buffer, 64, 0));
	CHECK(self->got == 8 && memcmp(self->buffer, "\0\0" "456789", 8) == 0);
	apus_file_drop(cx->loop, self->file);
	apus_file_drop(cx->loop, self->other);
	APUS_END(0);
}

static bool registers(struct apus_loop *loop)
{
	return apus_loop_cx(loop)->io->backend->fix != NULL;
}

/* The same over every backend, whether the kernel was shown anything or not. */
APUS_TASK(writes_by_session, struct user)
{
	APUS_BEGIN(cx, self);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 4096, 1) == -ESTALE);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "session", O_RDWR | O_CREAT | O_TRUNC,
		0600, &self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 4096, 2) == 0);
	self->page = apus_file_session_claim(&self->session);
	self->got = apus_file_session_registration(cx->loop, &self->session);
	CHECK(self->got == -ENOTSUP || registers(cx->loop));
	memset(self->page, 's', 4096);
	CHECK(apus_file_session_write(cx, &self->op, &self->session, self->page, 4097, 0) == -EINVAL);
	CHECK(apus_file_session_write(cx, &self->op, &self->session, self->buffer, 1, 0) == -EINVAL);
	APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page,
		4096, 0));
	CHECK(self->got == 4096);
	APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page,
		100, 4096));
	CHECK(self->got == 100);
	memset(self->page, 0, 4096);
	APUS_AWAIT(self->got, apus_file_session_read(cx, &self->op, &self->session, self->page, 4096));
	CHECK(self->got == 100 && ((char *)self->page)[99] == 's' && ((char *)self->page)[100] == 0);
	/* Closed under the session: its operations reach nobody. */
	APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_session_registration(cx->loop, &self->session) == -ESTALE);
	CHECK(apus_file_session_read(cx, &self->op, &self->session, self->page, 0) == -ESTALE);
	CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
	APUS_END(0);
}

/* The 17th works as the others do. */
APUS_TASK(opens_many_sessions, struct user)
{
	static struct apus_file_session sessions[17];

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "many", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	for (self->i = 0; self->i < 17; self->i++)
		CHECK(apus_file_session_init(cx->loop, &sessions[self->i], self->file, 4096, 1) == 0);
	self->got = apus_file_session_registration(cx->loop, &sessions[0]);
	if (self->got == -ENOTSUP)
		return 1;
	CHECK(self->got == 0);
	CHECK(apus_file_session_registration(cx->loop, &sessions[15]) == 0);
	CHECK(apus_file_session_registration(cx->loop, &sessions[16]) == -ENOBUFS);
	for (self->i = 0; self->i < 17; self->i++) {
		self->page = apus_file_session_claim(&sessions[self->i]);
		*(char *)self->page = (char)('a' + self->i);
		APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &sessions[self->i],
			self->page, 1, self->i));
		CHECK(self->got == 1);
	}
	for (self->i = 0; self->i < 17; self->i++)
		CHECK(apus_file_session_deinit(cx->loop, &sessions[self->i]) == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

APUS_TASK(many_at_once, struct user)
{
	static char buffers[8][64];

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "many", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	for (self->i = 0; self->i < 8; self->i++) {
		memset(buffers[self->i], 'a' + (int)self->i, 64);
		CHECK(apus_file_write_at(cx, &self->ops[self->i], self->file, buffers[self->i], 64,
			64 * self->i) == APUS_PENDING);
	}
	CHECK(apus_file_write_at(cx, &self->ops[0], self->file, buffers[1], 64, 0) == -EBUSY);
	CHECK(apus_file_sync(cx, &self->ops[0], self->file) == -EBUSY);
	for (self->i = 8; self->i-- > 0;) {
		APUS_AWAIT(self->got, apus_file_write_at(cx, &self->ops[self->i], self->file,
			buffers[self->i], 64, 64 * self->i));
		CHECK(self->got == 64);
	}
	for (self->i = 0; self->i < 8; self->i++) {
		APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64,
			64 * self->i));
		CHECK(self->got == 64 && memcmp(self->buffer, buffers[self->i], 64) == 0);
	}
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

#endif
