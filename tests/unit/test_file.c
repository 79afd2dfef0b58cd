#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "apus/file.h"
#include "apus/net.h"
#include "file/inner.h"
#include "file_stories.h"
#include "wait/futex.h"

/*
 * Each test runs over every way that a file operation can be carried out: with helper threads
 * and the page cache, and at once under a virtual clock.
 */
enum { HELPERS, AT_ONCE, WAYS };

static char folder[] = "/tmp/apus-file-XXXXXX";

/* A first loop, whose port stays: what is counted later is the test's own. */
static void folder_make(void)
{
	struct apus_loop *loop;

	ck_assert_int_eq(apus_open(&loop, NULL), 0);
	loop_close(loop);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
}

static void folder_remove(void)
{
	char command[64];

	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(system(command), 0);
}

static void config_way(struct apus_config *config, int way)
{
	if (way == AT_ONCE) {
		config_virtual(config, 0);
	} else {
		apus_config_init(config);
		config->log_fn = NULL;
		config->stall_ns = APUS_NEVER;
		config->slot_count = 64;
	}
	config->state_bytes = 1280;
}

static struct apus_loop *way_loop(int way)
{
	struct apus_config config;

	config_way(&config, way);
	return loop_open_with(&config);
}

/* Over helpers alone, whatever backend there is. */
static void config_helpers(struct apus_config *config)
{
	config_way(config, HELPERS);
	config->backend = APUS_IO_NONE;
}

static unsigned descriptors(void)
{
	DIR *stream = opendir("/proc/self/fd");
	unsigned count = 0;

	ck_assert_ptr_nonnull(stream);
	while (readdir(stream) != NULL)
		count++;
	closedir(stream);
	return count;
}

static void file_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void expect_file(const char *path, const char *text)
{
	char content[4096];
	FILE *file = fopen(path, "r");
	size_t bytes;

	ck_assert_ptr_nonnull(file);
	bytes = fread(content, 1, sizeof content - 1, file);
	content[bytes] = '\0';
	fclose(file);
	ck_assert_str_eq(content, text);
}

/* Out of the page cache, where the file system and the kernel agree to that. */
static void evict(const char *path)
{
	int fd = open(path, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

/* Runs a task over each way, in an empty folder, and finds every descriptor closed. */
#define OVER_EACH_WAY(kind, before, after)                                      \
	do {                                                                    \
		int way_;                                                       \
		for (way_ = 0; way_ < WAYS; way_++) {                           \
			unsigned open_ = descriptors();                         \
			struct apus_loop *loop_ = way_loop(way_);               \
			apus_poll result_;                                      \
			before;                                                 \
			result_ = apus_run(loop_, kind, NULL);                  \
			ck_assert_int_eq(result_, 0);                           \
			ck_assert_uint_eq(counters(loop_).ops_in_flight, 0);    \
			ck_assert_uint_eq(files_open(loop_), 0);                \
			after;                                                  \
			loop_close(loop_);                                      \
			ck_assert_uint_eq(descriptors(), open_);                \
		}                                                               \
	} while (0)

/* ---- reading and writing ---------------------------------------------------------------- */

START_TEST(what_was_written_is_read)
{
	OVER_EACH_WAY(writes_and_reads, unlink("new"), (void)0);
}
END_TEST

START_TEST(several_buffers_are_one_transfer)
{
	OVER_EACH_WAY(lists_of_buffers, (void)0, expect_file("lists", ""));
}
END_TEST

START_TEST(long_transfers_are_completed)
{
	OVER_EACH_WAY(moves_much, (void)0, (void)0);
}
END_TEST

START_TEST(offsets_go_beyond_four_gigabytes_and_files_may_be_sparse)
{
	OVER_EACH_WAY(far_away, (void)0, (void)0);
}
END_TEST

START_TEST(appending_goes_to_the_end)
{
	OVER_EACH_WAY(appends, (void)0, expect_file("log", "one two three"));
}
END_TEST

/* ---- the page cache ------------------------------------------------------------------------- */

APUS_TASK(reads_cached, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "cached", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	/* A helper, or this, has brought it in. */
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 0));
	CHECK(self->got == 11);
	self->count = (unsigned)counters(cx->loop).offload_done;
	/* Answered in the poll that asks, without a request: the whole, to the end, behind it. */
	CHECK(apus_file_read_at(cx, &self->op, self->file, self->buffer, 6, 0) == 6);
	CHECK(memcmp(self->buffer, "cached", 6) == 0);
	CHECK(apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 7) == 4);
	CHECK(apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 11) == 0);
	self->list[0] = (struct iovec){ self->buffer, 4 };
	self->list[1] = (struct iovec){ self->more, 4 };
	CHECK(apus_file_readv_at(cx, &self->op, self->file, self->list, 2, 0) == 8);
	CHECK(!apus_op_is_busy(&self->op));
	CHECK(counters(cx->loop).offload_done == self->count);
	/* More than a turn should copy is a helper's. */
	self->got = apus_file_read_at(cx, &self->op, self->file, self->buffer, 128 * 1024 + 1, 0);
	CHECK(self->got == APUS_PENDING);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer,
		128 * 1024 + 1, 0));
	CHECK(self->got == 11);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

/* Whether the file system of the folder can be asked at all. */
static bool cache_is_told(void)
{
	char byte;
	const struct iovec list = { &byte, 1 };
	int fd = open("cached", O_RDONLY);
	apus_poll got;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, &byte, 1), 1);
	got = apusi_system_read_cached(fd, &list, 1, 0);
	close(fd);
	return got == 1;
}

START_TEST(what_is_cached_is_read_at_once_without_a_request)
{
	struct apus_loop *loop;

	file_write("cached", "cached text");
	if (!cache_is_told())
		TEST_SKIP("no RWF_NOWAIT on this file system");
	loop = way_loop(HELPERS);
	ck_assert_int_eq(apus_run(loop, reads_cached, NULL), 0);
	loop_close(loop);
}
END_TEST

/* Where the page cache has a part, or nothing, a helper reads it all. */
APUS_TASK(reads_evicted, struct user)
{
	static char content[64 * 1024], first[4096];

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "evicted", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	evict("evicted");
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, content, sizeof content, 0));
	CHECK(self->got == sizeof content && content[0] == 'e' && content[sizeof content - 1] == 'e');
	evict("evicted");
	CHECK(pread(apus_file_number(cx->loop, self->file), first, 100, 60000) == 100);
	memset(content, 0, sizeof content);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, content, sizeof content, 0));
	CHECK(self->got == sizeof content && content[0] == 'e' && content[sizeof content - 1] == 'e');
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(what_is_not_cached_is_read_by_a_helper)
{
	static char content[64 * 1024 + 1];

	memset(content, 'e', sizeof content - 1);
	OVER_EACH_WAY(reads_evicted, file_write("evicted", content), (void)0);
}
END_TEST

/* Of four pages the cache has the first: fewer bytes from there are not the end of the file. */
APUS_TASK(reads_half_cached, struct user)
{
	static char content[16384];
	char byte;
	int fd;

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "half", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, content, sizeof content,
		0));
	CHECK(self->got == sizeof content);
	evict("half");
	fd = apus_file_number(cx->loop, self->file);
	CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) == 0 && pread(fd, &byte, 1, 0) == 1);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, content, sizeof content,
		0));
	CHECK(self->got == sizeof content);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(what_is_cached_in_part_is_read_whole)
{
	OVER_EACH_WAY(reads_half_cached, (void)0, unlink("half"));
}
END_TEST

APUS_TASK(reads_directly, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "direct", O_RDONLY | O_DIRECT, 0,
		&self->file));
	if (self->got == -EINVAL)
		return 1; /* the file system has none */
	CHECK(self->got == 0);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 100, 4) == -EINVAL);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 0, 4) == -EINVAL);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 8192, 2) == 0);
	self->page = apus_file_session_claim(&self->session);
	CHECK(self->page != NULL && (uintptr_t)self->page % 4096 == 0);
	CHECK(apus_file_session_claim(&self->session) != NULL);
	CHECK(apus_file_session_claim(&self->session) == NULL);
	CHECK(apus_file_session_read(cx, &self->op, &self->session, self->buffer, 0) == -EINVAL);
	/* Never on the loop's thread: a direct read waits for the disk. */
	CHECK(apus_file_session_read(cx, &self->op, &self->session, self->page, 0) == APUS_PENDING);
	APUS_AWAIT(self->got, apus_file_session_read(cx, &self->op, &self->session, self->page, 0));
	CHECK(self->got == 8192 && ((char *)self->page)[8191] == 'd');
	for (self->i = 0; self->i < 10; self->i++) {
		APUS_AWAIT(self->got, apus_file_session_read(cx, &self->op, &self->session,
			self->page, 8192));
		CHECK(self->got == 4096 && ((char *)self->page)[4095] == 'd');
	}
	/* Misaligned: the kernel's answer. */
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, (char *)self->page + 1,
		512, 0));
	CHECK(self->got == -EINVAL || self->got == 512);
	apus_file_session_deinit(cx->loop, &self->session);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(a_session_reads_around_the_cache_into_its_own_aligned_buffers)
{
	static char content[12 * 1024 + 1];
	int way;

	memset(content, 'd', sizeof content - 1);
	file_write("direct", content);
	for (way = 0; way < WAYS; way++) {
		struct apus_loop *loop = way_loop(way);
		apus_poll got = apus_run(loop, reads_directly, NULL);

		loop_close(loop);
		if (got == 1)
			TEST_SKIP("no O_DIRECT on this file system");
		ck_assert_int_eq(got, 0);
	}
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------- */

START_TEST(truncate_allocate_and_stat_agree)
{
	OVER_EACH_WAY(sizes, unlink("sizes"), (void)0);
}
END_TEST

APUS_TASK(paths, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "box", 0700));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "box", 0700));
	CHECK(self->got == -EEXIST);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "old", "box/new"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "old", "box/new"));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "box/new", &self->stat));
	CHECK(self->got == 0 && self->stat.bytes == 3);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "link", &self->stat));
	CHECK(self->got == 0 && S_ISDIR(self->stat.mode));
	APUS_AWAIT(self->got, apus_link_stat(cx, &self->op, "link", &self->stat));
	CHECK(self->got == 0 && S_ISLNK(self->stat.mode));
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "none", &self->stat));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "box"));
	CHECK(self->got == -ENOTEMPTY);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "box/new"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "box/new"));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "box"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "link"));
	CHECK(self->got == 0);
	APUS_END(0);
}

static void paths_before(void)
{
	file_write("old", "old");
	ck_assert_int_eq(symlink("box", "link"), 0);
}

START_TEST(paths_are_made_renamed_and_removed)
{
	OVER_EACH_WAY(paths, paths_before(), (void)0);
}
END_TEST

/* ---- directories --------------------------------------------------------------------------------- */

enum { NAMES = 3000 };

static uint8_t listed[NAMES];

static unsigned entries_take(const void *buffer, apus_poll bytes)
{
	const struct apus_entry *entry = NULL;
	unsigned count = 0;

	while ((entry = apus_entry_next(buffer, bytes, entry)) != NULL) {
		const char *name = apus_entry_name(entry);

		ck_assert_uint_eq(strlen(name), entry->name_bytes);
		ck_assert_int_eq(strncmp(name, "name", 4), 0);
		ck_assert(entry->type == APUS_TYPE_FILE || entry->type == APUS_TYPE_UNKNOWN);
		ck_assert_uint_ne(entry->inode, 0);
		listed[atoi(name + 4)]++;
		count++;
	}
	return count;
}

/* While it lists, the loop turns: another task counts them. */
static unsigned turned;

APUS_TASK(turner, struct user)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		turned++;
		APUS_WAIT(apus_yield(cx));
	}
	APUS_END(0);
}

APUS_TASK(lists, struct user)
{
	static uint64_t buffer[256];

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_directory_open(cx, &self->op, "none", &self->directory));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_directory_open(cx, &self->op, "crowd/name0", &self->directory));
	CHECK(self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_directory_open(cx, &self->op, "crowd", &self->directory));
	CHECK(self->got == 0);
	CHECK(apus_directory_read(cx, &self->op, self->directory, buffer, 100) == -EINVAL);
	CHECK(apus_directory_read(cx, &self->op, self->directory, (char *)buffer + 1, 1000) ==
		-EINVAL);
	self->file.token = self->directory.token + 1;
	do {
		CHECK(apus_directory_read(cx, &self->op, self->directory, buffer, sizeof buffer) ==
			APUS_PENDING);
		CHECK(apus_directory_read(cx, &self->ops[0], self->directory, buffer, 512) == -EBUSY);
		APUS_AWAIT(self->got, apus_directory_read(cx, &self->op, self->directory, buffer,
			sizeof buffer));
		CHECK(self->got >= 0);
		self->count += entries_take(buffer, self->got);
	} while (self->got > 0);
	CHECK(self->count == NAMES);
	CHECK(apus_directory_drop(cx->loop, self->directory) == 0);
	CHECK(apus_directory_drop(cx->loop, self->directory) == -ESTALE);
	CHECK(apus_directory_read(cx, &self->op, self->directory, buffer, sizeof buffer) == -ESTALE);
	APUS_END(0);
}

START_TEST(a_large_directory_is_listed_once_each_while_the_loop_turns)
{
	char path[64];
	int i, way;

	ck_assert_int_eq(mkdir("crowd", 0700), 0);
	for (i = 0; i < NAMES; i++) {
		snprintf(path, sizeof path, "crowd/name%d", i);
		file_write(path, "");
	}
	for (way = 0; way < WAYS; way++) {
		struct apus_loop *loop = way_loop(way);

		memset(listed, 0, sizeof listed);
		turned = 0;
		ck_assert_int_eq(apus_spawn_slab(loop, turner, NULL, NULL), 0);
		ck_assert_int_eq(apus_run(loop, lists, NULL), 0);
		for (i = 0; i < NAMES; i++)
			ck_assert_uint_eq(listed[i], 1);
		ck_assert_uint_gt(turned, NAMES / 100);
		loop_close(loop);
	}
}
END_TEST

/* ---- handles --------------------------------------------------------------------------------------- */

START_TEST(a_stale_handle_reaches_nobody)
{
	OVER_EACH_WAY(stale, (void)0, (void)0);
}
END_TEST

APUS_TASK(closes_in_use, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "a", O_RDWR | O_CREAT, 0600, &self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_write_at(cx, &self->op, self->file, "late", 4, 0) == APUS_PENDING);
	CHECK(apus_file_close(cx, &self->ops[0], self->file) == -EBUSY);
	/* Dropped: the write ends on the descriptor that it began with. */
	self->i = (unsigned)apus_file_number(cx->loop, self->file);
	CHECK(apus_file_drop(cx->loop, self->file) == 0);
	CHECK(fcntl((int)self->i, F_GETFD) >= 0);
	CHECK(apus_file_number(cx->loop, self->file) == -ESTALE);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "late", 4, 0));
	CHECK(self->got == 4 && fcntl((int)self->i, F_GETFD) < 0);
	APUS_END(0);
}

START_TEST(a_descriptor_in_use_is_not_closed_under_its_operation)
{
	OVER_EACH_WAY(closes_in_use, (void)0, expect_file("a", "late"));
}
END_TEST

START_TEST(adopted_descriptors_are_closed_if_they_are_owned)
{
	struct apus_loop *loop = way_loop(HELPERS);
	struct apus_file file, other;
	int fd = open("adopted", O_RDWR | O_CREAT, 0600), second = dup(fd);

	ck_assert_int_eq(apus_file_adopt(loop, -1, APUS_OWNED, &file), -EBADF);
	ck_assert_int_eq(apus_file_adopt(loop, fd, APUS_OWNED, &file), 0);
	ck_assert_int_eq(apus_file_adopt(loop, second, APUS_BORROWED, &other), 0);
	ck_assert_int_eq(apus_file_number(loop, file), fd);
	ck_assert_int_eq(apus_file_drop(loop, file), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(apus_file_drop(loop, other), 0);
	ck_assert_int_ge(fcntl(second, F_GETFD), 0);
	/* The loop closes what is left, but for what was borrowed. */
	fd = dup(second);
	ck_assert_int_eq(apus_file_adopt(loop, fd, APUS_OWNED, &file), 0);
	ck_assert_int_eq(apus_file_adopt(loop, second, APUS_BORROWED, &other), 0);
	loop_close(loop);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_ge(fcntl(second, F_GETFD), 0);
	close(second);
}
END_TEST

APUS_TASK(fills_table, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "t", O_RDWR | O_CREAT, 0600, &self->file));
	CHECK(self->got == 0);
	/* Two on their way, one place left. */
	CHECK(apus_file_open(cx, &self->ops[0], "t", O_RDWR, 0, &self->other) == APUS_PENDING);
	CHECK(apus_file_open(cx, &self->ops[1], "t", O_RDWR, 0, &self->session.file) == APUS_PENDING);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->ops[0], "t", O_RDWR, 0, &self->other));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->ops[1], "t", O_RDWR, 0, &self->session.file));
	CHECK(self->got == -ENFILE && !apus_op_is_busy(&self->ops[1]));
	CHECK(apus_file_open(cx, &self->op, "t", O_RDWR, 0, &self->session.file) == -ENFILE);
	CHECK(apus_file_adopt(cx->loop, 0, APUS_BORROWED, &self->session.file) == -ENFILE);
	apus_file_drop(cx->loop, self->file);
	apus_file_drop(cx->loop, self->other);
	APUS_END(0);
}

START_TEST(a_full_table_is_enfile_and_leaves_no_descriptor_behind)
{
	int way;

	for (way = 0; way < WAYS; way++) {
		unsigned open = descriptors();
		struct apus_config config;
		struct apus_loop *loop;

		config_way(&config, way);
		config.file_count = 2;
		loop = loop_open_with(&config);
		ck_assert_int_eq(apus_run(loop, fills_table, NULL), 0);
		loop_close(loop);
		ck_assert_uint_eq(descriptors(), open);
	}
}
END_TEST

/* ---- what the outside world says ----------------------------------------------------------------------- */

START_TEST(refusals_are_the_systems_own)
{
	file_write("some", "some");
	OVER_EACH_WAY(refused, (void)0, (void)0);
}
END_TEST

APUS_TASK(runs_out, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDONLY, 0, &self->file));
	CHECK(self->got == -EMFILE);
	APUS_END(0);
}

START_TEST(no_descriptor_left_is_emfile)
{
	int way;

	file_write("some", "some");
	for (way = 0; way < WAYS; way++) {
		struct apus_loop *loop = way_loop(way);
		struct rlimit before, none;

		ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
		none.rlim_cur = 0;
		none.rlim_max = before.rlim_max;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
		ck_assert_int_eq(apus_run(loop, runs_out, NULL), 0);
		setrlimit(RLIMIT_NOFILE, &before);
		loop_close(loop);
	}
}
END_TEST

START_TEST(a_write_beyond_the_limit_answers_what_fitted_and_then_efbig)
{
	const struct rlimit small = { 4096, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
	const struct user init = { .path = "limited" };
	int way;

	signal(SIGXFSZ, SIG_IGN);
	for (way = 0; way < WAYS; way++) {
		struct apus_loop *loop = way_loop(way);
		apus_poll got;

		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
		got = apus_run(loop, too_much, &init);
		/* The test runner's own file, to which each claim is a line, may not grow either. */
		setrlimit(RLIMIT_FSIZE, &none);
		ck_assert_int_eq(got, EFBIG);
		loop_close(loop);
	}
}
END_TEST

START_TEST(a_full_disk_answers_what_fitted_and_then_enospc)
{
	struct user init = { .path = "disk/filler", .offset = 0 };
	int way;

	ck_assert_int_eq(mkdir("disk", 0700), 0);
	if (mount("none", "disk", "tmpfs", 0, "size=4096"))
		TEST_SKIP("no tmpfs without the privilege to mount");
	for (way = 0; way < WAYS; way++) {
		struct apus_loop *loop = way_loop(way);
		apus_poll got = apus_run(loop, too_much, &init);

		loop_close(loop);
		if (got != ENOSPC)
			umount("disk");
		ck_assert_int_eq(got, ENOSPC);
	}
	ck_assert_int_eq(umount("disk"), 0);
}
END_TEST

APUS_TASK(no_helpers, struct user)
{
	CHECK(apus_file_open(cx, &self->op, "some", O_RDONLY, 0, &self->file) == -(apus_poll)self->offset);
	CHECK(!apus_op_is_busy(&self->op));
	return 0;
}

START_TEST(without_helpers_or_with_small_requests_it_is_refused)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_file file;
	struct user init = { .offset = ENOTSUP };

	config_helpers(&config);
	config.offload_threads = 0;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_run(loop, no_helpers, &init), 0);
	ck_assert_int_eq(apus_file_adopt(loop, 0, APUS_BORROWED, &file), -ENOTSUP);
	loop_close(loop);
	config.offload_threads = 1;
	config.offload_bytes = 64;
	loop = loop_open_with(&config);
	init.offset = EMSGSIZE;
	ck_assert_int_eq(apus_run(loop, no_helpers, &init), 0);
	loop_close(loop);
}
END_TEST

/* ---- from file to file, and to a socket ------------------------------------------------------------------- */

START_TEST(a_range_is_copied_from_file_to_file)
{
	OVER_EACH_WAY(copies, file_write("from", "0123456789"), expect_file("from", "0123456789012"));
}
END_TEST

struct sender {
	struct apus_frame frame;
	struct apus_file_send send;
	struct apus_op op;
	struct apus_file file;
	struct apus_fd to;
	apus_poll got;
	uint64_t bytes;
};

APUS_TASK(sends, struct sender)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "sent", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_send(cx, &self->send, self->to.token, self->file, 10,
		self->bytes));
	apus_file_drop(cx->loop, self->file);
	apus_fd_close(cx->loop, self->to);
	APUS_END(self->got);
}

struct receiver {
	struct apus_frame frame;
	struct apus_fd from;
	apus_poll got;
	uint64_t bytes;
	char buffer[128];
};

APUS_TASK(receives, struct receiver)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, apus_fd_read(cx, self->from, self->buffer, sizeof self->buffer));
		if (self->got <= 0)
			break;
		ck_assert_int_eq(self->buffer[0], (char)('a' + (self->bytes + 10) % 26));
		self->bytes += (uint64_t)self->got;
	}
	apus_fd_close(cx->loop, self->from);
	APUS_END(self->got < 0 ? self->got : (apus_poll)self->bytes);
}

enum { SENT = 3 << 20 };

static void sent_make(void)
{
	FILE *file = fopen("sent", "w");
	int i;

	ck_assert_ptr_nonnull(file);
	for (i = 0; i < SENT; i++)
		putc('a' + i % 26, file);
	ck_assert_int_eq(fclose(file), 0);
}

/* More than the socket takes at once, and more than the file has. */
START_TEST(a_file_is_sent_to_a_socket_that_is_full_at_times)
{
	unsigned open = descriptors();
	struct apus_loop *loop = way_loop(HELPERS);
	struct sender sender = { .bytes = SENT };
	struct receiver receiver = { .bytes = 0 };
	struct apus_join sending, join;
	apus_poll result = 0;
	int ends[2];

	sent_make();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(apus_fd_adopt(loop, ends[0], APUS_OWNED, &sender.to), 0);
	ck_assert_int_eq(apus_fd_adopt(loop, ends[1], APUS_OWNED, &receiver.from), 0);
	ck_assert_int_eq(apus_spawn_slab(loop, sends, &sender, &sending), 0);
	while (!((struct sender *)apus_join_state(loop, sending))->send.is_full)
		apus_turn(loop);
	ck_assert_int_eq(apus_spawn_slab(loop, receives, &receiver, &join), 0);
	while (apus_try_join(loop, sending, &result) == -EAGAIN)
		apus_turn(loop);
	ck_assert_int_eq(result, SENT - 10);
	while (apus_try_join(loop, join, &result) == -EAGAIN)
		apus_turn(loop);
	ck_assert_int_eq(result, SENT - 10);
	loop_close(loop);
	ck_assert_uint_eq(descriptors(), open);
}
END_TEST

START_TEST(sending_to_a_peer_that_left_is_epipe)
{
	struct apus_loop *loop = way_loop(HELPERS);
	struct sender sender = { .bytes = SENT };
	int ends[2];

	sent_make();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(apus_fd_adopt(loop, ends[0], APUS_OWNED, &sender.to), 0);
	close(ends[1]);
	ck_assert_int_eq(apus_run(loop, sends, &sender), -EPIPE);
	sender.to.token = 0;
	ck_assert_int_eq(apus_run(loop, sends, &sender), -ESTALE);
	loop_close(loop);
}
END_TEST

/* ---- what the kernel does by itself ---------------------------------------------------------------------- */

APUS_TASK(needs_no_helper, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "kernel", 0700));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "kernel/new", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	self->list[0] = (struct iovec){ self->buffer, 3 };
	self->list[1] = (struct iovec){ self->buffer + 3, 5 };
	memcpy(self->buffer, "abcdefgh", 8);
	APUS_AWAIT(self->got, apus_file_writev_at(cx, &self->op, self->file, self->list, 2, 0));
	CHECK(self->got == 8);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "i", 1, 8));
	CHECK(self->got == 1);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_sync_data(cx, &self->op, self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_allocate(cx, &self->op, self->file, APUS_ALLOCATE_EXTEND, 0,
		8192));
	CHECK(self->got == 0 || self->got == -EOPNOTSUPP);
	evict("kernel/new");
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->more, 9, 0));
	CHECK(self->got == 9 && memcmp(self->more, "abcdefghi", 9) == 0);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == 0 && self->stat.bytes >= 9 && S_ISREG(self->stat.mode));
	self->offset = self->stat.inode;
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "kernel/new", &self->stat));
	CHECK(self->got == 0 && self->stat.inode == self->offset);
	CHECK(symlink("new", "kernel/link") == 0);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "kernel/link", &self->stat));
	CHECK(self->got == 0 && self->stat.inode == self->offset);
	APUS_AWAIT(self->got, apus_link_stat(cx, &self->op, "kernel/link", &self->stat));
	CHECK(self->got == 0 && S_ISLNK(self->stat.mode) && unlink("kernel/link") == 0);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "kernel/none", &self->stat));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->file));
	CHECK(self->got == 0 && apus_file_number(cx->loop, self->file) == -ESTALE);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "kernel/new", "kernel/old"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "kernel/old"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "kernel"));
	CHECK(self->got == 0);
	CHECK(counters(cx->loop).offload_threads == 0);
	APUS_END(0);
}

/* More than one request brings, where the file ends before: completed, or known to be the end. */
APUS_TASK(reads_much_in_the_kernel, struct user)
{
	static char content[512 * 1024];

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "kernel", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, content, 300000, 0));
	CHECK(self->got == 300000);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, content, sizeof content, 0));
	CHECK(self->got == 300000);
	/* Where the cache cannot tell that this was the end, a helper does. */
	CHECK(counters(cx->loop).offload_threads == 0 ||
		apusi_system_read_cached(-1, NULL, 0, 0) == -EOPNOTSUPP);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(over_io_uring_no_helper_is_needed)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_way(&config, HELPERS);
	config.backend = APUS_IO_URING;
	if (apus_open(&loop, &config))
		TEST_SKIP("no io_uring");
	ck_assert_int_eq(apus_run(loop, needs_no_helper, NULL), 0);
	ck_assert_int_eq(apus_run(loop, reads_much_in_the_kernel, NULL), 0);
	ck_assert_uint_eq(files_open(loop), 0);
	loop_close(loop);
}
END_TEST

/* Nobody takes the answer of the sync: its request is the next one's all the same. */
APUS_TASK(ends_syncing, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "a", O_RDWR | O_CREAT, 0600, &self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_sync(cx, &self->op, self->file) == APUS_PENDING);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(over_io_uring_a_sync_that_lost_its_task_gives_its_request_back)
{
	struct apus_config config;
	struct apus_loop *loop;
	int i;

	config_way(&config, HELPERS);
	config.backend = APUS_IO_URING;
	config.uring.operations = 2;
	if (apus_open(&loop, &config))
		TEST_SKIP("no io_uring");
	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(apus_run(loop, ends_syncing, NULL), 0);
		while (counters(loop).ops_in_flight != 0 || files_open(loop) != 0)
			apus_turn(loop);
	}
	loop_close(loop);
}
END_TEST

APUS_TASK(gives_up_writing, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "fifo", O_RDWR, 0, &self->file));
	CHECK(self->got == 0);
	self->i = (unsigned)apus_file_number(cx->loop, self->file);
	CHECK(fcntl((int)self->i, F_SETFL, O_NONBLOCK) == 0);
	while (write((int)self->i, self->buffer, sizeof self->buffer) > 0)
		;
	CHECK(fcntl((int)self->i, F_SETFL, 0) == 0);
	APUS_AWAIT(self->got, apus_timeout(cx, 20 * APUS_MSEC, apus_file_write_at(cx, &self->op,
		self->file, self->buffer, sizeof self->buffer, 0)));
	CHECK(self->got == -ETIME && apus_op_is_busy(&self->op));
	CHECK(apus_file_close(cx, &self->ops[0], self->file) == -EBUSY);
	APUS_AWAIT(self->got, apus_op_cancel(cx, &self->op));
	CHECK(self->got == -ECANCELED && !apus_op_is_busy(&self->op));
	CHECK(counters(cx->loop).offload_threads == 0);
	/* And once more, by ending: the slot is held until the kernel has given it up. */
	CHECK(apus_file_write_at(cx, &self->op, self->file, self->buffer, 64, 0) == APUS_PENDING);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

/* ---- sessions --------------------------------------------------------------------------------- */

START_TEST(a_session_reads_and_writes_until_its_file_is_closed)
{
	OVER_EACH_WAY(writes_by_session, (void)0, unlink("session"));
}
END_TEST

/* A loop over io_uring, of a kernel that registers; or NULL. */
static struct apus_loop *uring_loop(void)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_way(&config, HELPERS);
	config.backend = APUS_IO_URING;
	return apus_open(&loop, &config) ? NULL : loop;
}

/*
 * What is behind the number, and behind the address, is exchanged: the kernel goes on with the
 * file and the memory that it was shown.
 */
APUS_TASK(writes_what_was_registered, struct user)
{
	int fd;

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "shown", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 4096, 1) == 0);
	self->got = apus_file_session_registration(cx->loop, &self->session);
	if (self->got == -ENOTSUP)
		return 1;
	CHECK(self->got == 0);
	self->page = apus_file_session_claim(&self->session);
	memcpy(self->page, "shown", 5);
	CHECK(mmap(self->page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		-1, 0) == self->page);
	memcpy(self->page, "other", 5);
	fd = open("other", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && dup2(fd, apus_file_number(cx->loop, self->file)) >= 0 && close(fd) == 0);
	APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page, 5,
		0));
	CHECK(self->got == 5);
	CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(over_io_uring_a_session_goes_by_what_was_registered)
{
	struct apus_loop *loop = uring_loop();
	apus_poll got;

	if (loop == NULL)
		TEST_SKIP("no io_uring");
	got = apus_run(loop, writes_what_was_registered, NULL);
	loop_close(loop);
	if (got == 1)
		TEST_SKIP("a kernel that registers nothing");
	ck_assert_int_eq(got, 0);
	expect_file("shown", "shown");
	expect_file("other", "");
}
END_TEST

/* The end of a pipe: its reader sees whether anybody still has the other one. */
static int pipe_session(struct apus_loop *loop, struct user *self, int *reader)
{
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	*reader = ends[0];
	(void)fcntl(ends[1], F_SETFL, 0); /* what waits, waits in the kernel */
	err = apus_file_adopt(loop, ends[1], APUS_OWNED, &self->file);
	if (!err)
		err = apus_file_session_init(loop, &self->session, self->file, 4096, 32);
	self->page = apus_file_session_claim(&self->session);
	return err ? err : apus_file_session_registration(loop, &self->session);
}

static bool pipe_has_ended(int reader)
{
	char byte;

	return read(reader, &byte, 1) == 0;
}

APUS_TASK(drops_sessions, struct user)
{
	int reader;

	/* More often than there are places. */
	for (self->i = 0; self->i < 40; self->i++) {
		self->got = pipe_session(cx->loop, self, &reader);
		if (self->got == -ENOTSUP)
			return 1;
		CHECK(self->got == 0 && !pipe_has_ended(reader));
		if (self->i % 2)
			CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
		CHECK(apus_file_drop(cx->loop, self->file) == 0);
		if (self->i % 2 == 0)
			CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
		CHECK(pipe_has_ended(reader));
		close(reader);
	}
	return 0;
}

/* A write that waits in the kernel while its file is dropped, and everybody else comes and goes. */
APUS_TASK(drops_a_session_in_flight, struct user)
{
	struct user other;
	char taken[4096];
	int reader;

	APUS_BEGIN(cx, self);
	self->got = pipe_session(cx->loop, self, &reader);
	if (self->got == -ENOTSUP)
		return 1;
	CHECK(self->got == 0);
	self->count = (unsigned)reader;
	CHECK(fcntl(reader, F_SETPIPE_SZ, 4096) == 4096);
	memset(self->page, 'f', 4096);
	APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page,
		4096, 0));
	CHECK(self->got == 4096);
	memset(self->page, 'w', 4096);
	CHECK(apus_file_session_write(cx, &self->op, &self->session, self->page, 4096, 1) ==
		APUS_PENDING);
	/* Before the kernel was told of it, and after. */
	for (self->i = 0; self->i < 40; self->i++) {
		if (self->i == 0)
			CHECK(apus_file_drop(cx->loop, self->file) == 0);
		CHECK(pipe_session(cx->loop, &other, &reader) == 0);
		apus_file_drop(cx->loop, other.file);
		CHECK(apus_file_session_deinit(cx->loop, &other.session) == 0);
		CHECK(pipe_has_ended(reader));
		close(reader);
		APUS_AWAIT(self->got, apus_yield(cx));
	}
	CHECK(read((int)self->count, taken, sizeof taken) == 4096 && taken[4095] == 'f');
	APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page,
		4096, 1));
	CHECK(self->got == 4096);
	CHECK(read((int)self->count, taken, sizeof taken) == 4096 && taken[4095] == 'w');
	CHECK(pipe_has_ended((int)self->count));
	CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
	close((int)self->count);
	APUS_END(0);
}

START_TEST(over_io_uring_a_session_keeps_no_file_open)
{
	struct apus_loop *loop = uring_loop();
	unsigned before = descriptors();
	apus_poll got;

	if (loop == NULL)
		TEST_SKIP("no io_uring");
	got = apus_run(loop, drops_sessions, NULL);
	if (got == 0)
		got = apus_run(loop, drops_a_session_in_flight, NULL);
	ck_assert_uint_eq(descriptors(), before);
	loop_close(loop);
	if (got == 1)
		TEST_SKIP("a kernel that registers nothing");
	ck_assert_int_eq(got, 0);
}
END_TEST

START_TEST(over_io_uring_the_seventeenth_session_is_not_registered_and_works)
{
	struct apus_loop *loop = uring_loop();
	apus_poll got;

	if (loop == NULL)
		TEST_SKIP("no io_uring");
	got = apus_run(loop, opens_many_sessions, NULL);
	loop_close(loop);
	if (got == 1)
		TEST_SKIP("a kernel that registers nothing");
	ck_assert_int_eq(got, 0);
	expect_file("many", "abcdefghijklmnopq");
}
END_TEST

/* Root may lock as much as it likes, unless it gives that up before it has a ring. */
static bool memlock_is_limited(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, sets))
		return false;
	sets[0].effective &= ~(UINT32_C(1) << CAP_IPC_LOCK);
	return syscall(SYS_capset, &head, sets) == 0;
}

APUS_TASK(has_nothing_to_lock, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "unlocked", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 4096, 4) == 0);
	self->got = apus_file_session_registration(cx->loop, &self->session);
	CHECK(self->got == -ENOMEM || self->got == -ENOTSUP);
	self->page = apus_file_session_claim(&self->session);
	memcpy(self->page, "here", 4);
	APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page, 4,
		0));
	CHECK(self->got == 4);
	APUS_AWAIT(self->got, apus_file_session_read(cx, &self->op, &self->session, self->page, 0));
	CHECK(self->got == 4);
	CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(over_io_uring_a_session_that_may_not_lock_memory_says_so_and_works)
{
	const struct rlimit none = { 0, 0 };
	struct apus_loop *loop;

	if (!memlock_is_limited())
		TEST_SKIP("the limit of locked memory cannot be had");
	loop = uring_loop();
	if (loop == NULL)
		TEST_SKIP("no io_uring");
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	ck_assert_int_eq(apus_run(loop, has_nothing_to_lock, NULL), 0);
	loop_close(loop);
	expect_file("unlocked", "here");
}
END_TEST

/* ---- closes that nobody waits for ---------------------------------------------------------------- */

static int pipe_adopt(struct apus_loop *loop, struct apus_file *file, unsigned *reader)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	*reader = (unsigned)ends[0];
	return apus_file_adopt(loop, ends[1], APUS_OWNED, file);
}

APUS_TASK(closes_and_ends, struct user)
{
	CHECK(apus_file_close(cx, &self->op, self->file) == APUS_PENDING);
	return 0;
}

/* Lost by a task that ends, and given up: either way the descriptor goes, once. */
APUS_TASK(loses_closes, struct user)
{
	struct user other;

	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 20; self->i++) {
		CHECK(pipe_adopt(cx->loop, &self->file, &self->count) == 0);
		if (self->i % 2) {
			CHECK(apus_file_close(cx, &self->op, self->file) == APUS_PENDING);
			if (self->i % 4 == 1)
				APUS_AWAIT(self->got, apus_yield(cx));
			APUS_AWAIT(self->got, apus_op_cancel(cx, &self->op));
			CHECK(self->got == 0 || self->got == -ECANCELED);
		} else {
			memset(&other, 0, sizeof other);
			other.file = self->file;
			CHECK(apus_spawn_slab(cx->loop, closes_and_ends, &other, NULL) == 0);
		}
		while (!pipe_has_ended((int)self->count))
			APUS_AWAIT(self->got, apus_sleep(cx, APUS_MSEC));
		CHECK(apus_file_number(cx->loop, self->file) == -ESTALE);
		close((int)self->count);
	}
	while (counters(cx->loop).ops_in_flight != 0 || files_open(cx->loop) != 0)
		APUS_AWAIT(self->got, apus_sleep(cx, APUS_MSEC));
	APUS_END(0);
}

START_TEST(a_close_that_loses_its_wait_still_closes)
{
	OVER_EACH_WAY(loses_closes, (void)0, (void)0);
}
END_TEST

/* The number is somebody else's before the loop has heard of the close. */
APUS_TASK(closes_and_reuses, struct user)
{
	int number;

	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 20; self->i++) {
		CHECK(pipe_adopt(cx->loop, &self->file, &self->count) == 0);
		number = apus_file_number(cx->loop, self->file);
		self->offset = (uint64_t)number;
		CHECK(apus_file_close(cx, &self->op, self->file) == APUS_PENDING);
		APUS_AWAIT(self->got, apus_yield(cx));
		while (!pipe_has_ended((int)self->count))
			;
		number = (int)self->offset;
		CHECK(dup2((int)self->count, number) == number);
		APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->file));
		CHECK(self->got == 0);
		CHECK(close((int)self->offset) == 0 && close((int)self->count) == 0);
	}
	APUS_END(0);
}

START_TEST(a_number_is_closed_once)
{
	OVER_EACH_WAY(closes_and_reuses, (void)0, (void)0);
}
END_TEST

/* What syncs and what closes is in flight when the loop goes. */
APUS_TASK(leaves_closes, struct user)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		CHECK(pipe_adopt(cx->loop, &self->file, &self->count) == 0);
		CHECK(apus_file_close(cx, &self->ops[i], self->file) == APUS_PENDING);
		close((int)self->count);
		CHECK(pipe_adopt(cx->loop, &self->file, &self->count) == 0);
		CHECK(apus_file_sync(cx, &self->ops[4 + i], self->file) == APUS_PENDING);
		close((int)self->count);
	}
	return 0;
}

START_TEST(a_loop_that_closes_leaves_no_close_undone)
{
	unsigned before = descriptors();
	int way, i;

	for (i = 0; i < 20; i++)
		for (way = 0; way < WAYS; way++) {
			struct apus_loop *loop = way_loop(way);

			ck_assert_int_eq(apus_run(loop, leaves_closes, NULL), 0);
			loop_close(loop);
			ck_assert_uint_eq(descriptors(), before);
		}
}
END_TEST

/* A request that is cancelled in the kernel: nobody reads from the pipe. */
START_TEST(over_io_uring_a_write_is_given_up_and_its_buffer_is_back)
{
	struct apus_config config;
	struct apus_loop *loop;

	config_way(&config, HELPERS);
	config.backend = APUS_IO_URING;
	if (apus_open(&loop, &config))
		TEST_SKIP("no io_uring");
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	ck_assert_int_eq(apus_run(loop, gives_up_writing, NULL), 0);
	ck_assert_uint_eq(files_open(loop), 0);
	loop_close(loop);
}
END_TEST

/* ---- giving up, and ends ------------------------------------------------------------------------------------ */

/* A pipe as the file of an open that blocks: until somebody opens its other end. */
struct opener {
	struct apus_frame frame;
	struct apus_op op;
	struct apus_file file;
	apus_poll got, which;
	bool cleaned;
};

static unsigned openers_cleaned;

static void opener_end(struct apus_cx *cx, struct opener *self)
{
	(void)cx, (void)self;
	openers_cleaned++;
}

APUS_TASK(opens_and_loses, struct opener, opener_end)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_timeout(cx, APUS_MSEC,
		apus_file_open(cx, &self->op, "fifo", O_RDONLY, 0, &self->file)));
	CHECK(self->got == -ETIME && apus_op_is_busy(&self->op));
	APUS_WAIT(apus_yield(cx));
	note("lost ");
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "fifo", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

APUS_TASK(opens_and_cancels, struct opener, opener_end)
{
	APUS_BEGIN(cx, self);
	CHECK(apus_file_open(cx, &self->op, "fifo", O_RDONLY, 0, &self->file) == APUS_PENDING);
	while (counters(cx->loop).offload_running == 0)
		APUS_WAIT(apus_yield(cx));
	APUS_AWAIT(self->got, apus_timeout(cx, APUS_MSEC, apus_op_cancel(cx, &self->op)));
	note("lost ");
	if (self->got == -ETIME)
		APUS_AWAIT(self->got, apus_op_cancel(cx, &self->op));
	APUS_END(self->got);
}

APUS_TASK(opens_and_leaves, struct opener, opener_end)
{
	APUS_BEGIN(cx, self);
	CHECK(apus_file_open(cx, &self->op, "fifo", O_RDONLY, 0, &self->file) == APUS_PENDING);
	while (counters(cx->loop).offload_running == 0)
		APUS_WAIT(apus_yield(cx));
	if (self->which)
		APUS_WAIT(apus_sleep(cx, APUS_NEVER));
	APUS_END(0);
}

/* A helper stands in open(2) until the other end is opened. */
static int fifo_meet(struct apus_loop *loop)
{
	int fd;

	while ((fd = open("fifo", O_WRONLY | O_NONBLOCK)) < 0) {
		ck_assert_int_eq(errno, ENXIO);
		apus_turn(loop);
	}
	return fd;
}

START_TEST(an_open_that_was_given_up_leaves_no_descriptor)
{
	struct opener init = { .got = 0 };
	unsigned before = descriptors(), kind;
	struct apus_config config;
	struct apus_loop *loop;

	config_helpers(&config);
	loop = loop_open_with(&config);
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	openers_cleaned = 0;
	for (kind = 0; kind < 4; kind++) {
		struct apus_join join;
		apus_poll result = 0;
		int outcome, fd;

		noted();
		init.which = kind == 3;
		ck_assert_int_eq(kind == 0 ? apus_spawn_slab(loop, opens_and_loses, &init, &join) :
			kind == 1 ? apus_spawn_slab(loop, opens_and_cancels, &init, &join) :
				    apus_spawn_slab(loop, opens_and_leaves, &init, &join), 0);
		while (counters(loop).offload_running == 0 || (kind < 2 && notes[0] == '\0'))
			apus_turn(loop);
		if (kind == 3)
			ck_assert_int_eq(apus_abort(loop, join), 1);
		turns(loop, 2);
		fd = fifo_meet(loop);
		ck_assert_uint_eq(openers_cleaned, kind);
		while ((outcome = apus_try_join(loop, join, &result)) == -EAGAIN)
			apus_turn(loop);
		ck_assert_uint_eq(openers_cleaned, kind + 1);
		ck_assert_int_eq(outcome, kind == 3 ? -ECANCELED : 0);
		ck_assert_int_eq(result, kind == 1 ? -ECANCELED : 0);
		close(fd);
		ck_assert_uint_eq(files_open(loop), 0);
	}
	loop_close(loop);
	ck_assert_uint_eq(descriptors(), before);
}
END_TEST

/* A loop that closes while a helper hangs in open(2): counted, and nothing is closed under it. */
START_TEST(a_loop_closes_although_a_helper_hangs)
{
	const struct opener init = { .got = 0 };
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_counters final;
	unsigned before = descriptors();
	int fd;

	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	openers_cleaned = 0;
	config_helpers(&config);
	config.close_wait_ns = APUS_MSEC;
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_spawn_slab(loop, opens_and_leaves, &init, NULL), 0);
	while (counters(loop).offload_running == 0)
		apus_turn(loop);
	turns(loop, 2);
	ck_assert_int_eq(apus_close(loop, &final), -EBUSY);
	ck_assert_uint_eq(final.slots_leaked, 1);
	ck_assert_uint_eq(openers_cleaned, 0);
	/* What it opens then is closed by the helper itself. */
	while ((fd = open("fifo", O_WRONLY | O_NONBLOCK)) < 0)
		ck_assert_int_eq(errno, ENXIO);
	close(fd);
	while (descriptors() > before)
		sched_yield();
}
END_TEST

START_TEST(many_are_in_flight_at_once_and_awaited_in_any_order)
{
	OVER_EACH_WAY(many_at_once, (void)0, (void)0);
}
END_TEST

/* Promise 13: nothing depends on what the page cache has. */
APUS_TASK(steps, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "steps", O_RDONLY, 0, &self->file));
	for (self->i = 0; self->i < 5; self->i++)
		APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 10,
			4096 * self->i));
	apus_file_drop(cx->loop, self->file);
	APUS_END((apus_poll)cx->turn);
}

START_TEST(under_a_virtual_clock_the_steps_are_the_same_cached_or_not)
{
	static char content[5 * 4096 + 1];
	apus_poll taken[2];
	int i;

	memset(content, 's', sizeof content - 1);
	for (i = 0; i < 2; i++) {
		struct apus_loop *loop = way_loop(AT_ONCE);

		file_write("steps", content);
		if (i == 1)
			evict("steps");
		taken[i] = apus_run(loop, steps, NULL);
		loop_close(loop);
	}
	ck_assert_int_eq(taken[0], taken[1]);
	ck_assert_int_gt(taken[0], 6); /* each in a turn of its own */
}
END_TEST

static void *other_thread(void *loop)
{
	struct apus_file file = { 1 };

	ck_assert_int_eq(apus_file_adopt((struct apus_loop *)loop, 0, APUS_BORROWED, &file), -EPERM);
	ck_assert_int_eq(apus_file_drop((struct apus_loop *)loop, file), -EPERM);
	ck_assert_int_eq(apus_file_number((struct apus_loop *)loop, file), -EPERM);
	return NULL;
}

START_TEST(another_thread_is_eperm)
{
	struct apus_loop *loop = way_loop(HELPERS);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, loop), 0);
	pthread_join(thread, NULL);
	loop_close(loop);
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = {
		what_was_written_is_read,
		several_buffers_are_one_transfer,
		long_transfers_are_completed,
		offsets_go_beyond_four_gigabytes_and_files_may_be_sparse,
		appending_goes_to_the_end,
		what_is_cached_is_read_at_once_without_a_request,
		what_is_not_cached_is_read_by_a_helper,
		what_is_cached_in_part_is_read_whole,
		a_session_reads_around_the_cache_into_its_own_aligned_buffers,
		truncate_allocate_and_stat_agree,
		paths_are_made_renamed_and_removed,
		a_large_directory_is_listed_once_each_while_the_loop_turns,
		a_stale_handle_reaches_nobody,
		a_descriptor_in_use_is_not_closed_under_its_operation,
		adopted_descriptors_are_closed_if_they_are_owned,
		a_full_table_is_enfile_and_leaves_no_descriptor_behind,
		refusals_are_the_systems_own,
		no_descriptor_left_is_emfile,
		a_write_beyond_the_limit_answers_what_fitted_and_then_efbig,
		a_full_disk_answers_what_fitted_and_then_enospc,
		without_helpers_or_with_small_requests_it_is_refused,
		a_range_is_copied_from_file_to_file,
		a_file_is_sent_to_a_socket_that_is_full_at_times,
		sending_to_a_peer_that_left_is_epipe,
		over_io_uring_no_helper_is_needed,
		over_io_uring_a_sync_that_lost_its_task_gives_its_request_back,
		a_session_reads_and_writes_until_its_file_is_closed,
		over_io_uring_a_session_goes_by_what_was_registered,
		over_io_uring_a_session_keeps_no_file_open,
		over_io_uring_the_seventeenth_session_is_not_registered_and_works,
		over_io_uring_a_session_that_may_not_lock_memory_says_so_and_works,
		a_close_that_loses_its_wait_still_closes,
		a_number_is_closed_once,
		a_loop_that_closes_leaves_no_close_undone,
		over_io_uring_a_write_is_given_up_and_its_buffer_is_back,
		an_open_that_was_given_up_leaves_no_descriptor,
		a_loop_closes_although_a_helper_hangs,
		many_are_in_flight_at_once_and_awaited_in_any_order,
		under_a_virtual_clock_the_steps_are_the_same_cached_or_not,
		another_thread_is_eperm,
	};
	TCase *all = test_case("file");
	size_t i;

	tcase_add_checked_fixture(all, folder_make, folder_remove);
	for (i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(all, tests[i]);
	return test_run(argc, argv, all);
}
