/*
 * test_sim_file.c - the simulated files: each call, each fault, and what a power cut leaves.
 *
 * The stories of file_stories.h are those of real files; here they are told over many seeds.
 */
#define _GNU_SOURCE
#include <limits.h>

#include "apus/net.h"
#include "apus/sim.h"
#include "file_stories.h"
#include "io/sim_disk.h"

enum { SEEDS = 20 };

static struct apus_sim_config weather;

static struct apus_loop *weather_loop(void)
{
	struct apus_config config;

	apus_config_init(&config);
	config.backend = APUS_IO_SIM;
	config.sim = &weather;
	config.log_fn = NULL;
	config.slot_count = 64;
	config.state_bytes = 1280;
#if APUS_DEBUG
	config.spurious_seed = weather.seed | 1; /* awaits are evaluated again for no reason */
#endif
	return loop_open_with(&config);
}

static struct apus_loop *calm_loop(void)
{
	apus_sim_config_init(&weather, 1);
	return weather_loop();
}

/* What a program must not notice: less at a time, later, in another order. */
static void weather_gentle(uint64_t seed)
{
	apus_sim_config_rough(&weather, seed);
	weather.disk_bytes = 0;
	weather.read_error_ppm = weather.write_error_ppm = weather.sync_error_ppm = 0;
	weather.open_ppm = 0;
}

static struct apus_sim_counts counts_of(struct apus_loop *loop)
{
	struct apus_sim_counts now;

	ck_assert_int_eq(apus_sim_counts_read(loop, &now), 0);
	return now;
}

static void file_put(struct apus_loop *loop, const char *path, const char *text)
{
	ck_assert_int_eq(apus_sim_file_make(loop, path, text, strlen(text)), 0);
}

static void expect_file(struct apus_loop *loop, const char *path, const char *text)
{
	char content[4096];
	int64_t bytes = apus_sim_file_look(loop, path, content, sizeof content - 1);

	ck_assert_int_ge(bytes, 0);
	content[bytes] = '\0';
	ck_assert_str_eq(content, text);
}

/* No descriptor, no request, no slot. */
static void expect_nothing_left(struct apus_loop *loop)
{
	const struct sim_world *world = apusi_sim_world_of(apus_loop_cx(loop)->io);

	ck_assert_uint_eq(counters(loop).ops_in_flight, 0);
	ck_assert_uint_eq(files_open(loop), 0);
	ck_assert_uint_eq(world->open_count, 0);
	ck_assert_uint_eq(world->disk->in_flight, 0);
	ck_assert_uint_eq(apus_loop_cx(loop)->io->watched_count, 0);
}

static void expect_run(struct apus_loop *loop, apus_poll result, apus_poll wanted)
{
	ck_assert_msg(result == wanted, "seed %" PRIu64 ": %" PRId64 " instead of %" PRId64,
		weather.seed, result, wanted);
	expect_nothing_left(loop);
}

#define RUN(loop, kind, wanted) expect_run(loop, apus_run(loop, kind, NULL), wanted)

/* A task over many seeds, each twice with the same steps. */
#define OVER_SEEDS(kind, before, after)                                                    \
	do {                                                                               \
		for (uint64_t seed_ = 1; seed_ <= SEEDS; seed_++) {                        \
			uint64_t hash_ = 0;                                                \
			for (int again_ = 0; again_ < 2; again_++) {                       \
				struct apus_loop *loop;                                    \
				weather_gentle(seed_);                                     \
				loop = weather_loop();                                     \
				before;                                                    \
				RUN(loop, kind, 0);                                        \
				after;                                                     \
				ck_assert(again_ == 0 || hash_ == apus_sim_hash(loop));    \
				hash_ = apus_sim_hash(loop);                               \
				loop_close(loop);                                          \
			}                                                                  \
		}                                                                          \
	} while (0)

/* ---- the stories of real files -------------------------------------------------------------- */

START_TEST(what_was_written_is_read)
{
	OVER_SEEDS(writes_and_reads, (void)0, expect_file(loop, "/new", ""));
}
END_TEST

START_TEST(several_buffers_are_one_transfer)
{
	OVER_SEEDS(lists_of_buffers, (void)0, (void)0);
}
END_TEST

START_TEST(long_transfers_are_completed)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct apus_loop *loop;

		weather_gentle(seed);
		weather.short_write_ppm = weather.short_read_ppm = 900000;
		loop = weather_loop();
		RUN(loop, moves_much, 0);
		ck_assert_uint_ge(counts_of(loop).file_bytes_written, LARGE);
		loop_close(loop);
	}
}
END_TEST

START_TEST(offsets_go_beyond_four_gigabytes_and_files_may_be_sparse)
{
	OVER_SEEDS(far_away, (void)0, (void)0);
}
END_TEST

START_TEST(appending_goes_to_the_end)
{
	OVER_SEEDS(appends, (void)0, expect_file(loop, "log", "one two three"));
}
END_TEST

/* Nothing to be moved is moved, and nothing is lent for it. */
APUS_TASK(moves_nothing, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "none", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_writev_at(cx, &self->op, self->file, NULL, 0, 7));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_readv_at(cx, &self->op, self->file, NULL, 0, 7));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_append(cx, &self->op, self->file, self->buffer, 0));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == 0 && self->stat.bytes == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(nothing_is_moved_where_there_is_nothing)
{
	OVER_SEEDS(moves_nothing, (void)0, (void)0);
}
END_TEST

/* S10.  Whatever its offset says; what the kernel takes of it at first is not there twice. */
APUS_TASK(writes_behind, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "log", O_RDWR | O_CREAT | O_APPEND, 0600,
		&self->file));
	CHECK(self->got == 0);
	for (self->i = 0; self->i < 4; self->i++) {
		APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "0123456789", 10,
			0));
		CHECK(self->got == 10);
	}
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(a_write_that_appends_and_falls_short_is_there_once)
{
	OVER_SEEDS(writes_behind, (void)0,
		expect_file(loop, "log", "0123456789012345678901234567890123456789"));
}
END_TEST

START_TEST(truncate_allocate_and_stat_agree)
{
	OVER_SEEDS(sizes, (void)0, (void)0);
}
END_TEST

START_TEST(a_stale_handle_reaches_nobody)
{
	OVER_SEEDS(stale, (void)0, (void)0);
}
END_TEST

START_TEST(refusals_are_the_systems_own)
{
	OVER_SEEDS(refused, file_put(loop, "some", "some"), (void)0);
}
END_TEST

START_TEST(a_range_is_copied_from_file_to_file)
{
	OVER_SEEDS(copies, file_put(loop, "/from", "0123456789"),
		expect_file(loop, "from", "0123456789012"));
}
END_TEST

START_TEST(a_full_disk_answers_what_fitted_and_then_enospc)
{
	const struct user init = { .path = "/filler" };

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct apus_loop *loop;

		weather_gentle(seed);
		weather.disk_bytes = 4096;
		loop = weather_loop();
		expect_run(loop, apus_run(loop, too_much, &init), ENOSPC);
		ck_assert_uint_ge(counts_of(loop).full_disks, 1);
		loop_close(loop);
	}
}
END_TEST

APUS_TASK(copies_too_much, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "from", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "to", O_WRONLY | O_CREAT, 0600,
		&self->other));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_copy(cx, &self->op, self->file, 0, self->other, 0, 8192));
	apus_file_drop(cx->loop, self->file);
	apus_file_drop(cx->loop, self->other);
	APUS_END(-self->got);
}

/* Fewer bytes would be the end of the source. */
START_TEST(a_copy_that_does_not_fit_says_so)
{
	static const char content[8192];

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct apus_loop *loop;

		weather_gentle(seed);
		weather.disk_bytes = 8192 + 4096;
		loop = weather_loop();
		ck_assert_int_eq(apus_sim_file_make(loop, "/from", content, sizeof content), 0);
		ck_assert_int_eq(apus_run(loop, copies_too_much, NULL), ENOSPC);
		loop_close(loop);
	}
}
END_TEST

START_TEST(many_are_in_flight_at_once_and_awaited_in_any_order)
{
	OVER_SEEDS(many_at_once, (void)0, (void)0);
}
END_TEST

/* ---- sessions --------------------------------------------------------------------------------- */

START_TEST(a_session_reads_and_writes_until_its_file_is_closed)
{
	OVER_SEEDS(writes_by_session, (void)0, (void)0);
}
END_TEST

START_TEST(the_seventeenth_session_is_not_registered_and_works)
{
	OVER_SEEDS(opens_many_sessions, (void)0, expect_file(loop, "many", "abcdefghijklmnopq"));
}
END_TEST

/* Never from the cache, and all that there is. */
APUS_TASK(reads_directly, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "direct", O_RDONLY | O_DIRECT, 0,
		&self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 4096, 1) == 0);
	self->page = apus_file_session_claim(&self->session);
	for (self->i = 0; self->i < 4; self->i++) {
		CHECK(apus_file_session_read(cx, &self->op, &self->session, self->page, 0) ==
			APUS_PENDING);
		APUS_AWAIT(self->got, apus_file_session_read(cx, &self->op, &self->session,
			self->page, 0));
		CHECK(self->got == 4 && memcmp(self->page, "some", 4) == 0);
	}
	CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(a_direct_read_is_no_cached_one_and_is_whole)
{
	OVER_SEEDS(reads_directly, file_put(loop, "direct", "some"), (void)0);
}
END_TEST

/* The place ends in the middle of a write, and is the next one's when that is through. */
APUS_TASK(ends_in_flight, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "late", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_session_init(cx->loop, &self->session, self->file, 4096, 1) == 0);
	CHECK(apus_file_session_registration(cx->loop, &self->session) == 0);
	self->page = apus_file_session_claim(&self->session);
	memcpy(self->page, "late", 4);
	CHECK(apus_file_session_write(cx, &self->op, &self->session, self->page, 4, 0) ==
		APUS_PENDING);
	CHECK(apus_file_drop(cx->loop, self->file) == 0);
	CHECK(apus_file_session_registration(cx->loop, &self->session) == -ESTALE);
	APUS_AWAIT(self->got, apus_file_session_write(cx, &self->op, &self->session, self->page, 4,
		0));
	CHECK(self->got > 0 && self->got <= 4); /* short, and nobody left to complete it */
	CHECK(apus_file_session_deinit(cx->loop, &self->session) == 0);
	APUS_END(0);
}

START_TEST(a_session_that_ends_in_flight_keeps_its_file_until_then)
{
	unsigned i;

	OVER_SEEDS(ends_in_flight, (void)0,
		for (i = 0; i < SIM_FIXED; i++)
			ck_assert_ptr_null(apusi_sim_world_of(apus_loop_cx(loop)->io)->disk->fixed[i].file));
}
END_TEST

/* ---- names ------------------------------------------------------------------------------------ */

APUS_TASK(paths, struct user)
{
	static char long_name[SIM_NAME_MAX + 2], long_path[SIM_PATH_MAX + 2];

	APUS_BEGIN(cx, self);
	memset(long_name, 'n', sizeof long_name - 1);
	memset(long_path, '/', sizeof long_path - 1);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "/box", 0700));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "box/", 0700));
	CHECK(self->got == -EEXIST);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "none/box", 0700));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "old/box", 0700));
	CHECK(self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "", 0700));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "/", 0700));
	CHECK(self->got == -EEXIST);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, long_name, 0700));
	CHECK(self->got == -ENAMETOOLONG);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, long_path, 0700));
	CHECK(self->got == -ENAMETOOLONG);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "old", "box/../box/./new"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "old", "box/new"));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "box", "box/inside"));
	CHECK(self->got == -EINVAL);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "box/new", "box"));
	CHECK(self->got == -EISDIR);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "box", "box/new"));
	CHECK(self->got == -EINVAL || self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "box/.", "new"));
	CHECK(self->got == -EBUSY);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "box/new", "none/new"));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "box/new", "box/new"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "/box/new", &self->stat));
	CHECK(self->got == 0 && self->stat.bytes == 3 && S_ISREG(self->stat.mode));
	APUS_AWAIT(self->got, apus_link_stat(cx, &self->op, "box", &self->stat));
	CHECK(self->got == 0 && S_ISDIR(self->stat.mode) && (self->stat.mode & 0777) == 0700);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "box/new/", &self->stat));
	CHECK(self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "none", &self->stat));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "box"));
	CHECK(self->got == -ENOTEMPTY);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "box/new"));
	CHECK(self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "/"));
	CHECK(self->got == -EBUSY);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "box"));
	CHECK(self->got == -EISDIR);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "box/new"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "box/new"));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "box"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "box"));
	CHECK(self->got == -ENOENT);
	APUS_END(0);
}

START_TEST(paths_are_made_renamed_and_removed)
{
	OVER_SEEDS(paths, file_put(loop, "/old", "old"), (void)0);
}
END_TEST

APUS_TASK(opens, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDWR | O_CREAT | O_EXCL, 0600,
		&self->file));
	CHECK(self->got == -EEXIST);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDONLY | O_DIRECTORY, 0,
		&self->file));
	CHECK(self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some/more", O_RDONLY, 0, &self->file));
	CHECK(self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "/", O_RDONLY | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == -EISDIR);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "new/", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == -EISDIR);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDWR | O_TRUNC, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == 0 && self->stat.bytes == 0 && self->stat.stored_bytes == 0);
	/* Without a name it lives as long as it is open. */
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "some"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "still", 5, 0));
	CHECK(self->got == 5);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 0));
	CHECK(self->got == 5 && memcmp(self->buffer, "still", 5) == 0);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == 0 && self->stat.link_count == 0);
	apus_file_drop(cx->loop, self->file);
	/* Around the cache: whole sectors, or it is refused. */
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "direct", O_RDWR | O_CREAT | O_DIRECT,
		0600, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, self->buffer, 64, 0));
	CHECK(self->got == -EINVAL);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(opening_follows_its_flags)
{
	OVER_SEEDS(opens, file_put(loop, "some", "some"), (void)0);
}
END_TEST

enum { NAMES = 300 };

static uint8_t listed[NAMES];

static unsigned entries_take(const void *buffer, apus_poll bytes)
{
	const struct apus_entry *entry = NULL;
	unsigned count = 0;

	while ((entry = apus_entry_next(buffer, bytes, entry)) != NULL) {
		const char *name = apus_entry_name(entry);

		ck_assert_uint_eq(strlen(name), entry->name_bytes);
		ck_assert_uint_ne(entry->inode, 0);
		if (strncmp(name, "name", 4) == 0)
			listed[atoi(name + 4)]++;
		ck_assert_uint_eq(entry->type, strcmp(name, "inner") == 0 ? APUS_TYPE_DIRECTORY :
									  APUS_TYPE_FILE);
		count++;
	}
	return count;
}

/* Between two parts of it a name goes, and one comes: the others are listed once. */
APUS_TASK(lists, struct user)
{
	static uint64_t buffer[64];

	APUS_BEGIN(cx, self);
	memset(listed, 0, sizeof listed);
	APUS_AWAIT(self->got, apus_directory_open(cx, &self->op, "none", &self->directory));
	CHECK(self->got == -ENOENT);
	APUS_AWAIT(self->got, apus_directory_open(cx, &self->op, "crowd/name0", &self->directory));
	CHECK(self->got == -ENOTDIR);
	APUS_AWAIT(self->got, apus_directory_open(cx, &self->op, "crowd", &self->directory));
	CHECK(self->got == 0);
	CHECK(apus_directory_read(cx, &self->op, self->directory, buffer, 100) == -EINVAL);
	for (;;) {
		CHECK(apus_directory_read(cx, &self->op, self->directory, buffer, sizeof buffer) ==
			APUS_PENDING);
		CHECK(apus_directory_read(cx, &self->ops[0], self->directory, buffer, 512) == -EBUSY);
		APUS_AWAIT(self->got, apus_directory_read(cx, &self->op, self->directory, buffer,
			sizeof buffer));
		CHECK(self->got >= 0);
		self->count += entries_take(buffer, self->got);
		if (self->got == 0)
			break;
		if (self->i++ != 0)
			continue;
		APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "crowd/name7"));
		CHECK(self->got == 0);
		APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "crowd/late", 0700));
		CHECK(self->got == 0);
		APUS_AWAIT(self->got, apus_path_rmdir(cx, &self->op, "crowd/late"));
		CHECK(self->got == 0);
	}
	CHECK(self->count >= NAMES && self->count <= NAMES + 1);
	CHECK(apus_directory_drop(cx->loop, self->directory) == 0);
	CHECK(apus_directory_drop(cx->loop, self->directory) == -ESTALE);
	APUS_END(0);
}

static void crowd_make(struct apus_loop *loop)
{
	char path[64];
	int i;

	for (i = 0; i < NAMES; i++) {
		snprintf(path, sizeof path, "/crowd/name%d", i);
		file_put(loop, path, "");
	}
	file_put(loop, "/crowd/inner/most", "");
}

static void crowd_check(void)
{
	int i;

	for (i = 0; i < NAMES; i++)
		ck_assert(listed[i] == 1 || (i == 7 && listed[i] == 0));
}

START_TEST(a_directory_is_listed_once_each_while_it_changes)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct apus_loop *loop;

		weather_gentle(seed);
		loop = weather_loop();
		crowd_make(loop);
		RUN(loop, lists, 0);
		crowd_check();
		loop_close(loop);
	}
}
END_TEST

/* ---- handles ------------------------------------------------------------------------------------ */

APUS_TASK(adopts, struct user)
{
	APUS_BEGIN(cx, self);
	CHECK(apus_file_adopt(cx->loop, 0, APUS_BORROWED, &self->file) == -EINVAL);
	CHECK(apus_file_adopt(cx->loop, SIM_FILE_FIRST + 5, APUS_BORROWED, &self->file) == -EBADF);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "log", O_RDWR | O_CREAT | O_APPEND, 0600,
		&self->file));
	CHECK(self->got == 0);
	self->i = (unsigned)apus_file_number(cx->loop, self->file);
	CHECK(apus_file_adopt(cx->loop, (int)self->i, APUS_BORROWED, &self->other) == 0);
	APUS_AWAIT(self->got, apus_file_append(cx, &self->op, self->other, "borrowed", 8));
	CHECK(self->got == 8);
	APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->other));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_append(cx, &self->op, self->file, " owned", 6));
	CHECK(self->got == 6);
	/* In use it is not closed, dropped it goes when it is not. */
	CHECK(apus_file_sync(cx, &self->op, self->file) == APUS_PENDING);
	CHECK(apus_file_close(cx, &self->ops[0], self->file) == -EBUSY);
	CHECK(apus_file_drop(cx->loop, self->file) == 0);
	CHECK(apus_file_adopt(cx->loop, (int)self->i, APUS_BORROWED, &self->other) == 0);
	CHECK(apus_file_drop(cx->loop, self->other) == 0);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_adopt(cx->loop, (int)self->i, APUS_BORROWED, &self->other) == -EBADF);
	APUS_END(0);
}

START_TEST(a_number_is_adopted_and_belongs_to_one_handle)
{
	OVER_SEEDS(adopts, (void)0, expect_file(loop, "log", "borrowed owned"));
}
END_TEST

/* Each of the ways to lose one: the task ends with a sync, an open and a write on their way. */
APUS_TASK(loses, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "lost", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_sync(cx, &self->ops[0], self->file) == APUS_PENDING);
	CHECK(apus_file_open(cx, &self->ops[1], "lost", O_RDWR, 0, &self->other) == APUS_PENDING);
	CHECK(apus_file_write_at(cx, &self->ops[2], self->file, self->buffer, 64, 0) == APUS_PENDING);
	if (self->count == 0)
		APUS_AWAIT(self->got, apus_op_cancel(cx, &self->ops[1]));
	CHECK(self->count != 0 || self->got == -ECANCELED);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(what_nobody_waits_for_leaves_nothing_behind)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const struct user init = { .count = seed % 2 };
		struct apus_loop *loop;
		struct apus_join join;

		weather_gentle(seed);
		loop = weather_loop();
		ck_assert_int_eq(apus_spawn_slab(loop, loses, &init, &join), 0);
		while (apus_try_join(loop, join, NULL) == -EAGAIN)
			apus_turn(loop);
		turns(loop, 100);
		expect_nothing_left(loop);
		/* A loop that closes in the middle. */
		ck_assert_int_eq(apus_spawn_slab(loop, loses, &init, NULL), 0);
		turns(loop, (int)seed % 8);
		loop_close(loop);
	}
}
END_TEST

APUS_TASK(gives_up, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "given", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_write_at(cx, &self->op, self->file, "up", 2, 0) == APUS_PENDING);
	APUS_AWAIT(self->got, apus_op_cancel(cx, &self->op));
	CHECK(self->got == -ECANCELED || (self->got > 0 && self->got <= 2));
	self->count = self->got < 0;
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == 0 && (self->stat.bytes == 0) == self->count);
	/* A close that is given up has closed it, one way or the other. */
	CHECK(apus_file_close(cx, &self->op, self->file) == APUS_PENDING);
	APUS_AWAIT(self->got, apus_op_cancel(cx, &self->op));
	CHECK(self->got == -ECANCELED || self->got == 0);
	APUS_END((apus_poll)self->count);
}

START_TEST(what_is_given_up_was_done_or_was_not)
{
	unsigned dropped = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct apus_loop *loop;
		apus_poll result;

		weather_gentle(seed);
		loop = weather_loop();
		result = apus_run(loop, gives_up, NULL);
		dropped += result == 1;
		expect_run(loop, result, result == 1);
		loop_close(loop);
	}
	ck_assert(dropped > 2 && dropped < SEEDS - 2);
}
END_TEST

/* ---- from a file to a socket ------------------------------------------------------------------------ */

enum { SENT = 100000 };

struct sender {
	struct apus_frame frame;
	struct apus_file_send send;
	struct apus_op op;
	struct apus_file file;
	struct apus_tcp to;
	apus_poll got;
};

APUS_TASK(sends, struct sender)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "sent", O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_send(cx, &self->send, self->to.token, self->file, 10, SENT));
	apus_file_drop(cx->loop, self->file);
	apus_tcp_close(cx->loop, self->to);
	APUS_END(self->got);
}

struct receiver {
	struct apus_frame frame;
	struct apus_tcp from;
	apus_poll got;
	uint64_t bytes;
	char buffer[128];
};

APUS_TASK(receives, struct receiver)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, apus_tcp_read(cx, self->from, self->buffer, sizeof self->buffer));
		if (self->got <= 0)
			break;
		if (self->buffer[0] != (char)('a' + (self->bytes + 10) % 26))
			return -EBADMSG;
		self->bytes += (uint64_t)self->got;
	}
	apus_tcp_close(cx->loop, self->from);
	APUS_END(self->got < 0 ? self->got : (apus_poll)self->bytes);
}

static void send_over(struct apus_loop *loop)
{
	static char content[SENT];
	struct sender sender = { .got = 0 };
	struct receiver receiver = { .bytes = 0 };
	struct apus_join sending, receiving;
	apus_poll result = 0;
	size_t i;

	for (i = 0; i < SENT; i++)
		content[i] = (char)('a' + i % 26);
	ck_assert_int_eq(apus_sim_file_make(loop, "/sent", content, SENT), 0);
	ck_assert_int_eq(apus_unix_pair(loop, &sender.to, &receiver.from), 0);
	ck_assert_int_eq(apus_spawn_slab(loop, sends, &sender, &sending), 0);
	ck_assert_int_eq(apus_spawn_slab(loop, receives, &receiver, &receiving), 0);
	while (apus_try_join(loop, receiving, &result) == -EAGAIN)
		apus_turn(loop);
	ck_assert_int_eq(result, SENT - 10);
	while (apus_try_join(loop, sending, &result) == -EAGAIN)
		apus_turn(loop);
	ck_assert_int_eq(result, SENT - 10);
}

/* More than the socket takes at once, and more than the file has. */
START_TEST(a_file_is_sent_to_a_socket_that_is_full_at_times)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct apus_loop *loop;

		weather_gentle(seed);
		weather.reset_ppm = weather.socket_ppm = 0;
		loop = weather_loop();
		send_over(loop);
		expect_nothing_left(loop);
		loop_close(loop);
	}
}
END_TEST

/* ---- time, and order ---------------------------------------------------------------------------------- */

APUS_TASK(times, struct user)
{
	APUS_BEGIN(cx, self);
	self->offset = (uint64_t)cx->now_ns;
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "new", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0 && (uint64_t)cx->now_ns - self->offset == 50 * APUS_USEC);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "x", 1, 0));
	CHECK(self->got == 1 && (uint64_t)cx->now_ns - self->offset == 100 * APUS_USEC);
	/* The page cache has it, without a request and without time. */
	CHECK(apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 0) == 1);
	CHECK(apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 1) == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(a_call_takes_its_latency_and_what_is_cached_none)
{
	struct apus_loop *loop = calm_loop();

	RUN(loop, times, 0);
	ck_assert_uint_ge(counts_of(loop).cached_reads, 2);
	loop_close(loop);
}
END_TEST

/* Eight writes at once to one place: the last to arrive is what is read. */
APUS_TASK(races, struct user)
{
	static const char letters[] = "abcdefgh";

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "race", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	for (self->i = 0; self->i < 8; self->i++)
		CHECK(apus_file_write_at(cx, &self->ops[self->i], self->file, letters + self->i, 1,
			0) == APUS_PENDING);
	for (self->i = 0; self->i < 8; self->i++) {
		APUS_AWAIT(self->got, apus_file_write_at(cx, &self->ops[self->i], self->file,
			letters + self->i, 1, 0));
		CHECK(self->got == 1);
	}
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(calls_in_flight_come_out_in_any_order)
{
	unsigned seen = 0;

	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct apus_loop *loop;
		char last = 0;

		weather_gentle(seed);
		weather.disk_jitter_ns = APUS_MSEC;
		loop = weather_loop();
		RUN(loop, races, 0);
		ck_assert_int_eq(apus_sim_file_look(loop, "race", &last, 1), 1);
		seen |= 1u << (last - 'a');
		loop_close(loop);
	}
	ck_assert_uint_ge((unsigned)__builtin_popcount(seen), 4);
}
END_TEST

/* ---- what goes wrong ------------------------------------------------------------------------------------- */

APUS_TASK(fails, struct user)
{
	APUS_BEGIN(cx, self);
	CHECK(apus_sim_fail(cx->loop, APUS_SIM_OPEN, ENFILE, 1) == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDWR, 0, &self->file));
	CHECK(self->got == -ENFILE);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDWR, 0, &self->file));
	CHECK(self->got == 0);
	CHECK(apus_sim_fail(cx->loop, APUS_SIM_FILE_READ, EIO, 1) == 0);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 0));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 0));
	CHECK(self->got == 4);
	CHECK(apus_sim_fail(cx->loop, APUS_SIM_FILE_WRITE, EDQUOT, 1) == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "more", 4, 0));
	CHECK(self->got == -EDQUOT);
	CHECK(apus_sim_fail(cx->loop, APUS_SIM_SYNC, EIO, 1) == 0);
	APUS_AWAIT(self->got, apus_file_sync_data(cx, &self->op, self->file));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_sync_data(cx, &self->op, self->file));
	CHECK(self->got == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(a_script_fails_the_next_call_and_no_other)
{
	struct apus_loop *loop = calm_loop();

	file_put(loop, "some", "some");
	ck_assert_int_eq(apus_sim_fail(loop, APUS_SIM_CALLS, EIO, 1), -EINVAL);
	RUN(loop, fails, 0);
	ck_assert_uint_eq(counts_of(loop).scripted, 4);
	loop_close(loop);
}
END_TEST

/* Again and again, until each of them has been met. */
APUS_TASK(suffers, struct user)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 400; self->i++) {
		APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "some", O_RDWR, 0, &self->file));
		if (self->got != 0) {
			CHECK(self->got == -EMFILE || self->got == -ENFILE || self->got == -EACCES);
			continue;
		}
		APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "more", 4, 2));
		CHECK(self->got == 4 || self->got == -EIO || (self->got > 0 && self->got < 4));
		APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 64, 0));
		CHECK(self->got == -EIO || (self->got >= 4 && self->got <= 6));
		APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
		CHECK(self->got == 0 || self->got == -EIO);
		apus_file_drop(cx->loop, self->file);
	}
	APUS_END(0);
}

START_TEST(each_fault_comes_as_often_as_it_is_asked_for)
{
	struct apus_sim_counts counts;
	struct apus_loop *loop;

	apus_sim_config_init(&weather, 3);
	weather.short_read_ppm = weather.short_write_ppm = weather.uncached_ppm = 500000;
	weather.read_error_ppm = weather.write_error_ppm = weather.sync_error_ppm = 100000;
	weather.open_ppm = weather.slow_ppm = weather.write_back_ppm = 100000;
	weather.slow_ns = APUS_MSEC;
	loop = weather_loop();
	file_put(loop, "some", "some");
	RUN(loop, suffers, 0);
	counts = counts_of(loop);
	ck_assert(counts.open_errors > 10 && counts.open_errors < 100);
	ck_assert(counts.disk_errors > 40 && counts.disk_errors < 250);
	ck_assert(counts.slow > 40 && counts.write_backs > 10);
	ck_assert(counts.short_reads > 20 && counts.short_writes > 20);
	ck_assert(counts.cached_reads > 50 && counts.syncs > 200);
	ck_assert_uint_eq(counts.power_cuts, 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(runs_out, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "a", O_RDWR | O_CREAT, 0600, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "b", O_RDWR | O_CREAT, 0600, &self->other));
	CHECK(self->got == -EMFILE);
	APUS_AWAIT(self->got, apus_path_stat(cx, &self->op, "b", &self->stat));
	CHECK(self->got == -ENOENT); /* nothing of it was begun */
	CHECK(apus_file_sync(cx, &self->ops[0], self->file) == APUS_PENDING);
	CHECK(apus_file_sync(cx, &self->ops[1], self->file) == APUS_PENDING);
	CHECK(apus_file_sync(cx, &self->ops[2], self->file) == -EAGAIN);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->ops[0], self->file));
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->ops[1], self->file));
	CHECK(self->got == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(numbers_and_requests_run_out)
{
	struct apus_loop *loop;

	apus_sim_config_init(&weather, 1);
	weather.descriptor_count = 1;
	weather.request_count = 2;
	loop = weather_loop();
	RUN(loop, runs_out, 0);
	loop_close(loop);
}
END_TEST

START_TEST(a_configuration_out_of_its_range_is_refused_by_its_name)
{
	struct apus_loop *loop;
	struct apus_config config;

	apus_config_init(&config);
	config.backend = APUS_IO_SIM;
	config.sim = &weather;
	config.log_fn = NULL;
	apus_sim_config_init(&weather, 1);
	weather.sync_error_ppm = 1000001;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_ptr_nonnull(strstr(config.reason, "sync_error_ppm"));
	apus_sim_config_init(&weather, 1);
	weather.disk_jitter_ns = -1;
	ck_assert_int_eq(apus_open(&loop, &config), -EINVAL);
	ck_assert_ptr_nonnull(strstr(config.reason, "disk_jitter_ns"));
}
END_TEST

START_TEST(bytes_become_a_file_and_are_looked_at)
{
	struct apus_loop *loop = calm_loop();
	char content[8] = "";

	ck_assert_int_eq(apus_sim_file_make(loop, "/a/b/c", "content", 7), 0);
	ck_assert_int_eq(apus_sim_file_look(loop, "/a/b/c", content, 3), 7);
	ck_assert_str_eq(content, "con");
	ck_assert_int_eq(apus_sim_file_make(loop, "a/b/c", "less", 4), 0);
	expect_file(loop, "/a/b/c", "less");
	ck_assert_int_eq(apus_sim_file_make(loop, "/a/b", "x", 1), -EISDIR);
	ck_assert_int_eq(apus_sim_file_make(loop, "/a/b/c/d", "x", 1), -ENOTDIR);
	ck_assert_int_eq(apus_sim_file_make(loop, "/new/", "x", 1), -EISDIR);
	ck_assert_int_eq(apus_sim_file_make(loop, "", "x", 1), -ENOENT);
	ck_assert_int_eq(apus_sim_file_look(loop, "/a", content, 8), -EISDIR);
	ck_assert_int_eq(apus_sim_file_look(loop, "/none", content, 8), -ENOENT);
	loop_close(loop);
	loop = loop_open(0);
	ck_assert_int_eq(apus_sim_file_make(loop, "/a", "x", 1), -ENOTSUP);
	ck_assert_int_eq(apus_sim_file_look(loop, "/a", content, 8), -ENOTSUP);
	ck_assert_int_eq(apus_sim_power_cut(loop), -ENOTSUP);
	loop_close(loop);
}
END_TEST

/* ---- the power fails ---------------------------------------------------------------------------------- */

enum { CUTS = 300, PART = 5 * SIM_SECTOR + 100 };

/* Old, then new that is synced or not; new is longer, and another letter. */
APUS_TASK(overwrites, struct user)
{
	static char old[PART], new[2 * PART];

	APUS_BEGIN(cx, self);
	memset(old, 'o', sizeof old);
	memset(new, 'n', sizeof new);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "/", O_RDONLY, 0, &self->other));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "data", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->other));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, old, sizeof old, 0));
	CHECK(self->got == sizeof old);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, new, sizeof new, 0));
	CHECK(self->got == sizeof new);
	if (self->count == 1)
		APUS_AWAIT(self->got, apus_file_sync_data(cx, &self->op, self->file));
	if (self->count == 2 && apus_sim_fail(cx->loop, APUS_SIM_SYNC, EIO, 1) == 0)
		APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->count != 2 || self->got == -EIO);
	if (self->count == 2)
		APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got >= 0); /* a second sync knows nothing of what the first has dropped */
	apus_file_drop(cx->loop, self->file);
	apus_file_drop(cx->loop, self->other);
	APUS_END(0);
}

/* Each sector is all of one: what a disk writes at once.  Which there were: o, n, and holes. */
static unsigned sectors_seen(const char *content, int64_t bytes)
{
	unsigned seen = 0;
	int64_t at, i;

	for (at = 0; at < bytes; at += SIM_SECTOR) {
		int64_t end = at + SIM_SECTOR < bytes ? at + SIM_SECTOR : bytes;

		for (i = at; i < end && content[i] == content[at]; i++)
			;
		/* The sector in which the old file ended has zeros behind it. */
		ck_assert(i == end || (i == PART && content[at] == 'o' && content[end - 1] == 0));
		seen |= content[at] == 'o' ? 1 : content[at] == 'n' ? 2 : 4;
	}
	return seen;
}

static int64_t cut_and_look(uint64_t seed, unsigned way, char *content, size_t bytes)
{
	const struct user init = { .count = way };
	struct apus_loop *loop;
	int64_t left;

	weather_gentle(seed);
	weather.write_back_ppm = 0;
	loop = weather_loop();
	expect_run(loop, apus_run(loop, overwrites, &init), 0);
	ck_assert_int_eq(apus_sim_power_cut(loop), 0);
	ck_assert_uint_eq(counts_of(loop).power_cuts, 1);
	left = apus_sim_file_look(loop, "data", content, bytes);
	/* What is left is on the disk: another cut takes nothing more. */
	ck_assert_int_eq(apus_sim_power_cut(loop), 0);
	ck_assert_int_eq(apus_sim_file_look(loop, "data", content, bytes), left);
	loop_close(loop);
	return left;
}

START_TEST(what_was_synced_outlives_the_power_and_the_rest_may)
{
	static char content[2 * PART];
	unsigned all_old = 0, all_new = 0, torn = 0, between = 0;

	for (uint64_t seed = 1; seed <= CUTS; seed++) {
		int64_t bytes = cut_and_look(seed, 0, content, sizeof content);
		unsigned seen = sectors_seen(content, bytes);

		ck_assert(bytes >= PART && bytes <= 2 * PART);
		all_old += seen == 1 && bytes == PART;
		all_new += seen == 2 && bytes == 2 * PART;
		torn += (seen & 3) == 3;
		between += bytes != PART && bytes != 2 * PART;
		bytes = cut_and_look(seed, 1, content, sizeof content);
		ck_assert(bytes == 2 * PART && sectors_seen(content, bytes) == 2);
	}
	ck_assert(all_old > CUTS / 8 && all_new > CUTS / 8 && torn > CUTS / 8 && between > CUTS / 20);
}
END_TEST

START_TEST(a_sync_that_failed_has_dropped_what_it_was_to_write)
{
	static char content[2 * PART];

	for (uint64_t seed = 1; seed <= 30; seed++) {
		int64_t bytes = cut_and_look(seed, 2, content, sizeof content);

		/* The length was written by the second sync, and nothing else. */
		ck_assert_int_eq(bytes, 2 * PART);
		ck_assert_uint_eq(sectors_seen(content, bytes) & 2, 0);
	}
}
END_TEST

static const char *content_of(struct apus_loop *loop, const char *path)
{
	static char text[4][16];
	static unsigned next;
	char *to = text[next++ % 4];
	int64_t bytes = apus_sim_file_look(loop, path, to, sizeof text[0] - 1);

	if (bytes < 0)
		return bytes == -ENOENT ? "none" : "error";
	to[bytes] = '\0';
	return to;
}

static bool is(const char *text, const char *other)
{
	return strcmp(text, other) == 0;
}

/* "a/new" over "a/old", "a/one" to "b/two", a directory, and one file less. */
APUS_TASK(renames, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "a/new", "a/old"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "a/one", "b/two"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, "a/gone"));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "c", 0700));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, "b/two", "c/three"));
	CHECK(self->got == 0);
	if (self->path == NULL)
		return 0;
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, self->path, O_RDONLY, 0, &self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got == 0);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

static struct apus_loop *renamed_loop(uint64_t seed, const char *synced)
{
	const struct user init = { .path = synced };
	struct apus_loop *loop;

	weather_gentle(seed);
	loop = weather_loop();
	file_put(loop, "/a/new", "new");
	file_put(loop, "/a/old", "old");
	file_put(loop, "/a/one", "one");
	file_put(loop, "/a/gone", "gone");
	file_put(loop, "/b/stays", "stays");
	expect_run(loop, apus_run(loop, renames, &init), 0);
	ck_assert_int_eq(apus_sim_power_cut(loop), 0);
	return loop;
}

/* The file that wandered has one name, and no other is lost. */
static unsigned place_of_one(struct apus_loop *loop)
{
	bool in_a = is(content_of(loop, "a/one"), "one"), in_b = is(content_of(loop, "b/two"), "one"),
	     in_c = is(content_of(loop, "c/three"), "one");

	ck_assert_msg(in_a + in_b + in_c == 1, "seed %" PRIu64, weather.seed);
	ck_assert_str_eq(content_of(loop, "b/stays"), "stays");
	return in_a ? 1 : in_b ? 2 : 4;
}

/* Old or new, and the new one is nowhere else then. */
static unsigned place_of_new(struct apus_loop *loop)
{
	const char *old = content_of(loop, "a/old"), *new = content_of(loop, "a/new");

	ck_assert_msg((is(old, "old") && is(new, "new")) || (is(old, "new") && is(new, "none")),
		"seed %" PRIu64 ": %s, %s", weather.seed, old, new);
	return is(old, "new") ? 2 : 1;
}

START_TEST(a_rename_is_done_or_it_is_not)
{
	unsigned new = 0, one = 0, gone = 0;

	for (uint64_t seed = 1; seed <= CUTS; seed++) {
		struct apus_loop *loop = renamed_loop(seed, NULL);

		new |= place_of_new(loop);
		one |= place_of_one(loop);
		gone |= is(content_of(loop, "a/gone"), "none") ? 1 : 2;
		loop_close(loop);
	}
	ck_assert(new == 3 && one == 7 && gone == 3); /* all that can be has been */
}
END_TEST

START_TEST(a_directory_that_was_synced_keeps_its_names)
{
	unsigned one = 0;

	for (uint64_t seed = 1; seed <= CUTS / 3; seed++) {
		struct apus_loop *loop = renamed_loop(seed, "/a");

		ck_assert_uint_eq(place_of_new(loop), 2);
		ck_assert_str_eq(content_of(loop, "a/gone"), "none");
		one |= place_of_one(loop);
		loop_close(loop);
		/* With what had to come before it: the directory, and the name it had there. */
		loop = renamed_loop(seed, "/c");
		ck_assert_uint_eq(place_of_one(loop), 4);
		loop_close(loop);
	}
	ck_assert_uint_eq(one, 2 | 4);
}
END_TEST

/* In a directory that is new itself: a file's own sync is not its name's. */
APUS_TASK(makes, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_path_mkdir(cx, &self->op, "new", 0700));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "new/file", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "text", 4, 0));
	CHECK(self->got == 4);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got == 0);
	apus_file_drop(cx->loop, self->file);
	for (self->i = 0; self->i < self->count; self->i++) {
		APUS_AWAIT(self->got, apus_file_open(cx, &self->op, self->i == 0 ? "new" : "/", O_RDONLY,
			0, &self->file));
		CHECK(self->got == 0);
		APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
		CHECK(self->got == 0);
		apus_file_drop(cx->loop, self->file);
	}
	APUS_END(0);
}

START_TEST(a_new_file_needs_its_directory_synced_and_that_ones)
{
	unsigned seen[3] = { 0 };

	for (uint64_t seed = 1; seed <= CUTS; seed++) {
		const struct user init = { .count = seed % 3 };
		struct apus_loop *loop;
		bool is_there;

		weather_gentle(seed);
		loop = weather_loop();
		expect_run(loop, apus_run(loop, makes, &init), 0);
		ck_assert_int_eq(apus_sim_power_cut(loop), 0);
		is_there = is(content_of(loop, "new/file"), "text");
		ck_assert(is_there || is(content_of(loop, "new/file"), "none"));
		seen[seed % 3] |= is_there ? 1 : 2;
		loop_close(loop);
	}
	ck_assert(seen[0] == 3 && seen[1] == 3 && seen[2] == 1);
}
END_TEST

/* The power fails while it writes; what it holds then is dead, and is closed as ever. */
APUS_TASK(is_cut, struct user)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_directory_open(cx, &self->op, "/", &self->directory));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "cut", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	CHECK(apus_file_write_at(cx, &self->ops[0], self->file, "x", 1, 0) == APUS_PENDING);
	CHECK(apus_file_open(cx, &self->ops[1], "cut", O_RDWR, 0, &self->other) == APUS_PENDING);
	CHECK(apus_sim_power_cut(cx->loop) == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->ops[0], self->file, "x", 1, 0));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_open(cx, &self->ops[1], "cut", O_RDWR, 0, &self->other));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "x", 1, 0));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, self->buffer, 1, 0));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_file_truncate(cx, &self->op, self->file, 1));
	CHECK(self->got == -EIO);
	APUS_AWAIT(self->got, apus_directory_read(cx, &self->op, self->directory, self->page,
		APUS_ENTRY_BYTES_MAX));
	CHECK(self->got == -EIO);
	CHECK(apus_directory_drop(cx->loop, self->directory) == 0);
	APUS_AWAIT(self->got, apus_file_close(cx, &self->op, self->file));
	CHECK(self->got == 0);
	/* And begun again. */
	APUS_AWAIT(self->got, apus_file_open(cx, &self->op, "cut", O_RDWR | O_CREAT, 0600,
		&self->file));
	CHECK(self->got == 0);
	APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, "y", 1, 0));
	CHECK(self->got == 1);
	apus_file_drop(cx->loop, self->file);
	APUS_END(0);
}

START_TEST(what_was_open_is_dead_and_a_new_beginning_is_not)
{
	static uint64_t page[APUS_ENTRY_BYTES_MAX / 8];
	const struct user init = { .page = page };

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct apus_loop *loop;

		weather_gentle(seed);
		loop = weather_loop();
		expect_run(loop, apus_run(loop, is_cut, &init), 0);
		expect_file(loop, "cut", "y");
		loop_close(loop);
	}
}
END_TEST

/* More changes of names than are kept, and one after the other on the same. */
APUS_TASK(changes_much, struct user)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 3 * SIM_RECORDS; self->i++) {
		self->path = self->i % 2 != 0 ? "right" : "left";
		APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, self->i % 2 == 0 ? "right" : "left",
			self->path));
		CHECK(self->got == 0);
	}
	APUS_END(0);
}

START_TEST(names_that_change_for_ever_are_written_in_the_end)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct apus_loop *loop;

		weather_gentle(seed);
		weather.slow_ppm = 0;
		loop = weather_loop();
		file_put(loop, "right", "it");
		RUN(loop, changes_much, 0);
		ck_assert_int_eq(apus_sim_power_cut(loop), 0);
		ck_assert_int_ne(is(content_of(loop, "right"), "it"), is(content_of(loop, "left"), "it"));
		loop_close(loop);
	}
}
END_TEST

TEST_MAIN("sim_file",
	what_was_written_is_read,
	several_buffers_are_one_transfer,
	long_transfers_are_completed,
	offsets_go_beyond_four_gigabytes_and_files_may_be_sparse,
	appending_goes_to_the_end,
	nothing_is_moved_where_there_is_nothing,
	a_write_that_appends_and_falls_short_is_there_once,
	truncate_allocate_and_stat_agree,
	a_stale_handle_reaches_nobody,
	refusals_are_the_systems_own,
	a_range_is_copied_from_file_to_file,
	a_full_disk_answers_what_fitted_and_then_enospc,
	a_copy_that_does_not_fit_says_so,
	many_are_in_flight_at_once_and_awaited_in_any_order,
	a_session_reads_and_writes_until_its_file_is_closed,
	the_seventeenth_session_is_not_registered_and_works,
	a_direct_read_is_no_cached_one_and_is_whole,
	a_session_that_ends_in_flight_keeps_its_file_until_then,
	paths_are_made_renamed_and_removed,
	opening_follows_its_flags,
	a_directory_is_listed_once_each_while_it_changes,
	a_number_is_adopted_and_belongs_to_one_handle,
	what_nobody_waits_for_leaves_nothing_behind,
	what_is_given_up_was_done_or_was_not,
	a_file_is_sent_to_a_socket_that_is_full_at_times,
	a_call_takes_its_latency_and_what_is_cached_none,
	calls_in_flight_come_out_in_any_order,
	a_script_fails_the_next_call_and_no_other,
	each_fault_comes_as_often_as_it_is_asked_for,
	numbers_and_requests_run_out,
	a_configuration_out_of_its_range_is_refused_by_its_name,
	bytes_become_a_file_and_are_looked_at,
	what_was_synced_outlives_the_power_and_the_rest_may,
	a_sync_that_failed_has_dropped_what_it_was_to_write,
	a_rename_is_done_or_it_is_not,
	a_directory_that_was_synced_keeps_its_names,
	a_new_file_needs_its_directory_synced_and_that_ones,
	what_was_open_is_dead_and_a_new_beginning_is_not,
	names_that_change_for_ever_are_written_in_the_end)
