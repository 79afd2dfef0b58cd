/* Files, by helper threads or by the kernel's own requests. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "story.h"

/* ---- what stories find, and what they leave ------------------------------------------------- */

static void file_make(const char *path, int bytes)
{
	char block[8192];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	memset(block, 'a', sizeof block);
	ck_assert_int_eq(write(fd, block, (size_t)bytes), bytes);
	close(fd);
}

static void files_make(void)
{
	file_make("one", 8192);
	file_make("two", 8192);
}

static void files_remove(void)
{
	unlink("one");
	unlink("two");
	unlink("three");
	rmdir("folder");
}

/* ---- a file from open to close ---------------------------------------------------------------- */

struct user {
	struct apus_frame frame;
	struct apus_op op;
	struct apus_file file, other;
	struct apus_directory directory;
	struct apus_stat stat;
	struct apus_file_session session;
	struct apus_file_send send;
	struct apus_tcp a, b;
	struct iovec list[2];
	void *page;
	int64_t got;
	bool has_session;
	_Alignas(8) char data[2 * APUS_ENTRY_BYTES_MAX];
};

static void user_end(struct apus_cx *cx, struct user *self)
{
	if (self->has_session)
		apus_file_session_deinit(cx->loop, &self->session);
	apus_tcp_close(cx->loop, self->a);
	apus_tcp_close(cx->loop, self->b);
	apus_file_drop(cx->loop, self->file);
	apus_file_drop(cx->loop, self->other);
	apus_directory_drop(cx->loop, self->directory);
}

/* Told too if it was less than it had to be. */
static void expect(int64_t got, int64_t bytes)
{
	if (got >= 0 && got != bytes)
		tell(-EBADMSG);
}

APUS_TASK(writer, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	STEP(self->got, apus_file_open(cx, &self->op, "three", O_RDWR | O_CREAT, 0600, &self->file));
	STEP(self->got, apus_file_allocate(cx, &self->op, self->file, APUS_ALLOCATE_EXTEND, 0, 4096));
	STEP(self->got, apus_file_write_at(cx, &self->op, self->file, self->data, 64, 0));
	expect(self->got, 64);
	self->list[0] = (struct iovec){ self->data, 16 };
	self->list[1] = (struct iovec){ self->data + 16, 16 };
	STEP(self->got, apus_file_writev_at(cx, &self->op, self->file, self->list, 2, 64));
	expect(self->got, 32);
	STEP(self->got, apus_file_append(cx, &self->op, self->file, self->data, 8));
	expect(self->got, 8);
	STEP(self->got, apus_file_sync_data(cx, &self->op, self->file));
	STEP(self->got, apus_file_sync(cx, &self->op, self->file));
	STEP(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	expect((int64_t)self->stat.bytes, 4096 + 8);
	STEP(self->got, apus_file_truncate(cx, &self->op, self->file, 100));
	STEP(self->got, apus_file_close(cx, &self->op, self->file));
	APUS_END(0);
}
STORY_BEGIN(writer)

/* Of the cache, and by O_DIRECT, of the disk. */
APUS_TASK(reader, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	STEP(self->got, apus_file_open(cx, &self->op, "one", O_RDONLY, 0, &self->file));
	STEP(self->got, apus_file_read_at(cx, &self->op, self->file, self->data, 64, 0));
	expect(self->got, 64);
	STEP(self->got, apus_file_read_at(cx, &self->op, self->file, self->data, 64, 8160));
	expect(self->got, 32);
	self->list[0] = (struct iovec){ self->data, 16 };
	self->list[1] = (struct iovec){ self->data + 16, 16 };
	STEP(self->got, apus_file_readv_at(cx, &self->op, self->file, self->list, 2, 64));
	expect(self->got, 32);
	STEP(self->got, apus_file_close(cx, &self->op, self->file));
	APUS_END(0);
}
STORY_BEGIN(reader)

APUS_TASK(paths, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	STEP(self->got, apus_path_stat(cx, &self->op, "one", &self->stat));
	expect((int64_t)self->stat.bytes, 8192);
	STEP(self->got, apus_link_stat(cx, &self->op, "one", &self->stat));
	STEP(self->got, apus_path_mkdir(cx, &self->op, "folder", 0700));
	STEP(self->got, apus_path_rename(cx, &self->op, "one", "three"));
	STEP(self->got, apus_path_unlink(cx, &self->op, "three"));
	STEP(self->got, apus_directory_open(cx, &self->op, ".", &self->directory));
	STEP(self->got, apus_directory_read(cx, &self->op, self->directory, self->data,
		sizeof self->data));
	STEP(self->got, apus_path_rmdir(cx, &self->op, "folder"));
	APUS_END(0);
}
STORY_BEGIN(paths)

/* Longer than what is copied at once, so that an error may come behind some of it. */
static int64_t two_steps;

static void two_steps_make(int64_t step)
{
	files_make();
	two_steps = step + 8192;
	ck_assert_int_eq(truncate("one", two_steps), 0);
}

static void files_make_long(void)
{
	two_steps_make(1 << 20);
}

APUS_TASK(copier, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	STEP(self->got, apus_file_open(cx, &self->op, "one", O_RDONLY, 0, &self->file));
	STEP(self->got, apus_file_open(cx, &self->op, "two", O_RDWR, 0, &self->other));
	STEP(self->got, apus_file_copy(cx, &self->op, self->file, 0, self->other, 0, UINT32_MAX));
	expect(self->got, two_steps);
	APUS_END(0);
}
STORY_BEGIN(copier)

APUS_TASK(sender, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	DO(apus_unix_pair(cx->loop, &self->a, &self->b));
	STEP(self->got, apus_file_open(cx, &self->op, "one", O_RDONLY, 0, &self->file));
	STEP(self->got, apus_file_send(cx, &self->send, self->a.token, self->file, 0, 4096));
	expect(self->got, 4096);
	STEP(self->got, apus_tcp_read(cx, self->b, self->data, sizeof self->data));
	APUS_END(0);
}
STORY_BEGIN(sender)

/* ---- a session, which the kernel may register --------------------------------------------------- */

APUS_TASK(session, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	STEP(self->got, apus_file_open(cx, &self->op, "two", O_RDWR, 0, &self->file));
	DO(apus_file_session_init(cx->loop, &self->session, self->file, 4096, 2));
	self->has_session = true;
	self->page = apus_file_session_claim(&self->session);
	if (self->page == NULL)
		return tell(-ENOMEM);
	memset(self->page, 'b', 4096);
	STEP(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page, 4096, 0));
	expect(self->got, 4096);
	STEP(self->got, apus_file_session_read(cx, &self->op, &self->session, self->page, 4096));
	expect(self->got, 4096);
	APUS_END(0);
}
STORY_BEGIN(session)

/* ---- adopted -------------------------------------------------------------------------------------- */

static int lent_fd = -1;

static void fd_lend(void)
{
	files_make();
	lent_fd = open("one", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(lent_fd, 0);
}

static void fd_take_back(void)
{
	close(lent_fd);
	files_remove();
}

APUS_TASK(adopter, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	DO(apus_file_adopt(cx->loop, lent_fd, APUS_BORROWED, &self->file));
	STEP(self->got, apus_file_read_at(cx, &self->op, self->file, self->data, 64, 0));
	expect(self->got, 64);
	APUS_END(0);
}
STORY_BEGIN(adopter)

/* ---- where the kernel cannot do it for two files --------------------------------------------------- */

static void by_hand(void)
{
	two_steps_make(1 << 16);
	fault_pretend(FAULT_copy_file_range, -EXDEV);
	fault_pretend(FAULT_sendfile, -EINVAL);
}

#define FILES .before = files_make, .after = files_remove, .needs_helpers = true
#define FILES_BY_HAND .before = by_hand, .after = files_remove, .needs_helpers = true

const struct story stories_file[] = {
	{ .name = "write a file", .begin = begin_writer, FILES },
	{ .name = "read a file", .begin = begin_reader, FILES },
	{ .name = "paths", .begin = begin_paths, FILES },
	{ .name = "copy a file", .begin = begin_copier, .before = files_make_long,
		.after = files_remove, .needs_helpers = true },
	{ .name = "send a file", .begin = begin_sender, FILES, .needs_sockets = true },
	{ .name = "copy by hand", .begin = begin_copier, FILES_BY_HAND },
	{ .name = "send by hand", .begin = begin_sender, FILES_BY_HAND, .needs_sockets = true },
	{ .name = "a session", .begin = begin_session, FILES },
	{ .name = "adopt a file", .begin = begin_adopter, .before = fd_lend, .after = fd_take_back,
		.needs_helpers = true },
	{ .name = NULL },
};
