/*
 * model_sim_file.c - random programs on the simulated files, against a naive twin.
 *
 * While the power is on, what is read is what was written, byte for byte.  What a power cut
 * leaves the twin does not know, but what it may leave: of each sector a version since the last
 * sync, a length between, under each name a file that had it since its directory was synced,
 * and no file that had a name all the time is without one, or has two.  A program goes on with
 * what is left, and is cut again.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "apus/file.h"
#include "apus/task.h"
#include "schedules.h"

enum { PLACES = 8, DIRS = 2, FILES = 64, BYTES = 2048, SECTOR = 512, VERSIONS = 64, NONE = -1 };

/* Versions of the whole file since the last sync: the first is what that wrote. */
struct twin {
	uint64_t inode;
	unsigned char versions[VERSIONS][BYTES];
	uint32_t lengths[VERSIONS];
	uint32_t count;
	bool in_doubt; /* a sync has failed: no other one says anything before the next cut */
	bool may_go;   /* not on the disk with a name that it has had */
};

static struct {
	struct apus_loop *loop;
	struct test_random random;
	struct twin files[FILES];
	int file_count;
	int now[PLACES];                 /* which file has the name, or NONE */
	bool had[PLACES][FILES + 1];     /* since its directory was synced; [FILES]: nobody */
	int making;                      /* a place that may get a new file now, or NONE */
	unsigned char buffer[BYTES];
	uint64_t list[128];
	/* of all schedules */
	uint64_t cuts, between, torn, undone;
} model;

static const char *const dirs[DIRS] = { "/x", "/y" };
static const char *const paths[PLACES] = { "/x/a", "/x/b", "/x/c", "/x/d", "/y/a", "/y/b", "/y/c",
	"/y/d" };

static uint32_t draw(uint32_t bound)
{
	return (uint32_t)test_random_below(&model.random, bound);
}

/* ---- the twin: content -------------------------------------------------------------------- */

static unsigned char *content(struct twin *twin)
{
	return twin->versions[twin->count - 1];
}

static uint32_t length(const struct twin *twin)
{
	return twin->lengths[twin->count - 1];
}

/* What is now becomes one version of several: the caller changes the new one. */
static void version_add(struct twin *twin)
{
	expect(twin->count < VERSIONS);
	memcpy(twin->versions[twin->count], content(twin), BYTES);
	twin->lengths[twin->count] = length(twin);
	twin->count++;
}

static void versions_drop(struct twin *twin)
{
	memmove(twin->versions[0], content(twin), BYTES);
	twin->lengths[0] = length(twin);
	twin->count = 1;
}

static void twin_write(struct twin *twin, const void *data, uint32_t bytes, uint32_t offset)
{
	version_add(twin);
	memcpy(content(twin) + offset, data, bytes);
	if (offset + bytes > length(twin))
		twin->lengths[twin->count - 1] = offset + bytes;
}

static void twin_truncate(struct twin *twin, uint32_t bytes)
{
	version_add(twin);
	if (bytes < length(twin))
		memset(content(twin) + bytes, 0, BYTES - bytes);
	twin->lengths[twin->count - 1] = bytes;
}

/* A write that came half-way may be on the disk like that: a byte of the one or the next. */
static bool is_between(const struct twin *twin, const unsigned char *found, uint32_t at,
	uint32_t end, uint32_t version)
{
	const unsigned char *one = twin->versions[version];
	const unsigned char *next = twin->versions[version + 1 < twin->count ? version + 1 : version];

	while (at < end && (found[at] == one[at] || found[at] == next[at]))
		at++;
	return at == end;
}

static bool is_some_version(const struct twin *twin, const unsigned char *found, uint32_t at,
	uint32_t end)
{
	uint32_t version = twin->count;

	while (version-- > 0)
		if (is_between(twin, found, at, end, version))
			return true;
	return false;
}

static void check_left(const struct twin *twin, const unsigned char *found, uint32_t bytes)
{
	uint32_t least = BYTES, most = 0, i, at;

	for (i = 0; i < twin->count; i++) {
		least = twin->lengths[i] < least ? twin->lengths[i] : least;
		most = twin->lengths[i] > most ? twin->lengths[i] : most;
	}
	expect(bytes >= least && bytes <= most);
	model.between += bytes != least && bytes != most;
	for (at = 0; at < bytes; at += SECTOR)
		expect(is_some_version(twin, found, at, at + SECTOR < bytes ? at + SECTOR : bytes));
}

/* ---- the twin: names ------------------------------------------------------------------------- */

static void name_set(int place, int file)
{
	model.now[place] = file;
	model.had[place][file == NONE ? FILES : file] = true;
}

static void names_synced(int dir)
{
	int place;

	for (place = dir * PLACES / DIRS; place < (dir + 1) * PLACES / DIRS; place++) {
		memset(model.had[place], 0, sizeof model.had[place]);
		name_set(place, model.now[place]);
		if (model.now[place] != NONE)
			model.files[model.now[place]].may_go = false;
	}
}

static void name_lost(int file)
{
	if (file != NONE)
		model.files[file].may_go = true;
}

/* ---- the program -------------------------------------------------------------------------------- */

/* One step of it: what a call is of, and the frame of its function. */
struct step {
	struct apus_frame frame;
	struct apus_op op;
	struct apus_file file, other;
	struct apus_directory directory;
	struct apus_stat stat;
	apus_poll got;
	uint32_t bytes, offset;
	int place, to;
};

static struct twin *twin_at(int place)
{
	expect(model.now[place] != NONE);
	return &model.files[model.now[place]];
}

/* An error comes by chance and means nothing: again. */
#define INSIST(call)                                                                         \
	do {                                                                                 \
		APUS_AWAIT(self->got, call);                                                 \
	} while (self->got == -EIO || self->got == -EMFILE || self->got == -ENFILE ||        \
		 self->got == -EACCES)

static apus_poll open_place(struct apus_cx *cx, struct step *self)
{
	model.making = model.now[self->place] == NONE ? self->place : NONE;
	return apus_file_open(cx, &self->op, paths[self->place], O_RDWR | O_CREAT, 0600,
		&self->file);
}

static int twin_new(uint64_t inode)
{
	struct twin *twin = &model.files[model.file_count];

	expect(model.file_count < FILES);
	memset(twin->versions[0], 0, BYTES);
	twin->lengths[0] = 0;
	twin->count = 1;
	twin->inode = inode;
	twin->in_doubt = false;
	twin->may_go = true;
	return model.file_count++;
}

/* Whoever has the name now; a new one has it from here on. */
static void opened(struct step *self)
{
	model.making = NONE;
	if (model.now[self->place] != NONE) {
		expect(twin_at(self->place)->inode == self->stat.inode);
		return;
	}
	expect(self->stat.bytes == 0);
	name_set(self->place, twin_new(self->stat.inode));
}

/* All of what is seen, as it is; then the twin has that too. */
static apus_poll read_all(struct apus_cx *cx, struct step *self)
{
	return apus_file_read_at(cx, &self->op, self->file, model.buffer, BYTES, 0);
}

static void check_seen(struct step *self)
{
	struct twin *twin = twin_at(self->place);

	expect(self->got == (apus_poll)length(twin));
	expect(memcmp(model.buffer, content(twin), length(twin)) == 0);
}

/* After an error it is what it was, or what it was to be, or some of both. */
static void adopt_seen(struct step *self)
{
	struct twin *twin = twin_at(self->place);

	check_left(twin, model.buffer, (uint32_t)self->got);
	version_add(twin);
	memset(content(twin), 0, BYTES);
	memcpy(content(twin), model.buffer, (size_t)self->got);
	twin->lengths[twin->count - 1] = (uint32_t)self->got;
}

static void fill(struct step *self)
{
	uint32_t i;

	self->offset = draw(BYTES);
	self->bytes = 1 + draw(BYTES - self->offset);
	for (i = 0; i < self->bytes; i++)
		model.buffer[i] = (unsigned char)draw(256);
}

static apus_poll change(struct apus_cx *cx, struct step *self)
{
	struct twin *twin = twin_at(self->place);

	APUS_BEGIN(cx, self);
	fill(self);
	if (draw(4) == 0) {
		twin_truncate(twin, self->offset);
		APUS_AWAIT(self->got, apus_file_truncate(cx, &self->op, self->file, self->offset));
		expect(self->got == 0);
	} else {
		twin_write(twin, model.buffer, self->bytes, self->offset);
		APUS_AWAIT(self->got, apus_file_write_at(cx, &self->op, self->file, model.buffer,
			self->bytes, self->offset));
		if (self->got != (apus_poll)self->bytes) {
			expect(self->got == -EIO || (self->got > 0 && self->got < self->bytes));
			INSIST(read_all(cx, self));
			adopt_seen(self);
		}
	}
	INSIST(read_all(cx, self));
	check_seen(self);
	APUS_END(0);
}

static apus_poll sync_file(struct apus_cx *cx, struct step *self)
{
	struct twin *twin = twin_at(self->place);

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->file));
	expect(self->got == 0 || self->got == -EIO);
	if (self->got == 0 && !twin_at(self->place)->in_doubt)
		versions_drop(twin_at(self->place));
	if (self->got == 0)
		return 0;
	twin->in_doubt = true;
	INSIST(read_all(cx, self));
	adopt_seen(self);
	APUS_END(0);
}

/* What is about to be may be found after a cut: the one or the other. */
static void may_have(int place, int file)
{
	model.had[place][file == NONE ? FILES : file] = true;
}

static void rename_begins(struct step *self)
{
	if (model.now[self->place] == NONE || self->place == self->to)
		return;
	name_lost(model.now[self->to]);
	may_have(self->to, model.now[self->place]);
	may_have(self->place, NONE);
}

/* It has a new name, in place of another or not. */
static void renamed(struct step *self)
{
	int file = model.now[self->place];

	expect(self->got == (file == NONE ? -ENOENT : 0));
	if (file == NONE || self->place == self->to)
		return;
	name_set(self->to, file);
	name_set(self->place, NONE);
}

static void unlink_begins(struct step *self)
{
	name_lost(model.now[self->place]);
	may_have(self->place, NONE);
}

static void unlinked(struct step *self)
{
	expect(self->got == (model.now[self->place] == NONE ? -ENOENT : 0));
	name_set(self->place, NONE);
}

static void check_list(const struct step *self, int dir)
{
	const struct apus_entry *entry = NULL;
	int place = dir * PLACES / DIRS, end = place + PLACES / DIRS, count = 0;

	while ((entry = apus_entry_next(model.list, self->got, entry)) != NULL) {
		int at = place + apus_entry_name(entry)[0] - 'a';

		if (apus_entry_name(entry)[0] == 'z')
			continue; /* with which the directory was made */
		expect(at < end && twin_at(at)->inode == entry->inode);
		count++;
	}
	for (; place < end; place++)
		count -= model.now[place] != NONE;
	expect(count == 0);
}

static apus_poll names_step(struct apus_cx *cx, struct step *self)
{
	APUS_BEGIN(cx, self);
	self->to = (int)draw(PLACES);
	switch (draw(4)) {
	case 0:
		unlink_begins(self);
		APUS_AWAIT(self->got, apus_path_unlink(cx, &self->op, paths[self->place]));
		unlinked(self);
		break;
	case 1:
		INSIST(apus_directory_open(cx, &self->op, dirs[self->to % DIRS], &self->directory));
		APUS_AWAIT(self->got, apus_directory_read(cx, &self->op, self->directory, model.list,
			sizeof model.list));
		check_list(self, self->to % DIRS);
		(void)apus_directory_drop(cx->loop, self->directory);
		break;
	default:
		rename_begins(self);
		APUS_AWAIT(self->got, apus_path_rename(cx, &self->op, paths[self->place],
			paths[self->to]));
		renamed(self);
		break;
	}
	APUS_END(0);
}

static apus_poll sync_names(struct apus_cx *cx, struct step *self)
{
	APUS_BEGIN(cx, self);
	self->to = (int)draw(DIRS);
	INSIST(apus_file_open(cx, &self->op, dirs[self->to], O_RDONLY, 0, &self->other));
	APUS_AWAIT(self->got, apus_file_sync(cx, &self->op, self->other));
	expect(self->got == 0 || self->got == -EIO);
	(void)apus_file_drop(cx->loop, self->other);
	if (self->got == 0)
		names_synced(self->to);
	APUS_END(0);
}

static apus_poll file_step(struct apus_cx *cx, struct step *self)
{
	APUS_BEGIN(cx, self);
	if (model.now[self->place] == NONE && model.file_count == FILES)
		return 0;
	INSIST(open_place(cx, self));
	expect(self->got == 0);
	APUS_AWAIT(self->got, apus_file_stat(cx, &self->op, self->file, &self->stat));
	expect(self->got == 0);
	opened(self);
	if (twin_at(self->place)->count < VERSIONS - 4)
		self->to = (int)draw(3);
	else
		self->to = 3;
	APUS_END(self->to);
}

struct user {
	struct apus_frame frame;
	struct step step;
	apus_poll what;
	int left;
};

static void user_end(struct apus_cx *cx, struct user *self)
{
	(void)apus_file_drop(cx->loop, self->step.file);
	(void)apus_file_drop(cx->loop, self->step.other);
	(void)apus_directory_drop(cx->loop, self->step.directory);
}

APUS_TASK(user, struct user, user_end)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		self->step.place = (int)draw(PLACES);
		self->what = draw(10);
		if (self->what < 4) {
			APUS_WAIT(names_step(cx, &self->step));
		} else if (self->what < 5) {
			APUS_WAIT(sync_names(cx, &self->step));
		} else {
			APUS_AWAIT(self->what, file_step(cx, &self->step));
			if (self->what == 0)
				APUS_WAIT(sync_file(cx, &self->step));
			else if (self->what < 3)
				APUS_WAIT(change(cx, &self->step));
			(void)apus_file_drop(cx->loop, self->step.file);
		}
	}
	APUS_END(0);
}

/* ---- what is left ---------------------------------------------------------------------------- */

static int file_of(uint64_t inode)
{
	int file = model.file_count;

	while (file-- > 0)
		if (model.files[file].inode == inode)
			return file;
	return NONE;
}

/* From here on there is nothing else. */
static void twin_begin_again(struct twin *twin, uint32_t bytes)
{
	memset(twin->versions[0], 0, BYTES);
	memcpy(twin->versions[0], model.buffer, bytes);
	twin->lengths[0] = bytes;
	twin->count = 1;
	twin->in_doubt = twin->may_go = false;
}

static int left_at(int place, uint64_t inode, uint32_t bytes)
{
	int file = file_of(inode);

	if (file == NONE) {
		expect(place == model.making && bytes == 0);
		file = twin_new(inode);
		may_have(place, file);
	}
	expect(model.had[place][file]);
	model.torn += bytes != length(&model.files[file]) ||
		memcmp(content(&model.files[file]), model.buffer, bytes) != 0;
	model.undone += model.now[place] != file;
	check_left(&model.files[file], model.buffer, bytes);
	twin_begin_again(&model.files[file], bytes);
	return file;
}

APUS_TASK(survey, struct user, user_end)
{
	static int found[PLACES];
	int file, place;

	APUS_BEGIN(cx, self);
	for (self->left = 0; self->left < PLACES; self->left++) {
		found[self->left] = NONE;
		APUS_AWAIT(self->what, apus_path_stat(cx, &self->step.op, paths[self->left],
			&self->step.stat));
		if (self->what == -ENOENT) {
			expect(model.had[self->left][FILES]);
			continue;
		}
		expect(self->what == 0 && self->step.stat.bytes <= BYTES);
		do {
			APUS_AWAIT(self->what, apus_file_open(cx, &self->step.op, paths[self->left],
				O_RDONLY, 0, &self->step.file));
		} while (self->what < 0);
		do {
			APUS_AWAIT(self->what, apus_file_read_at(cx, &self->step.op, self->step.file,
				model.buffer, BYTES, 0));
		} while (self->what < 0);
		expect(self->what == (apus_poll)self->step.stat.bytes);
		(void)apus_file_drop(cx->loop, self->step.file);
		found[self->left] = left_at(self->left, self->step.stat.inode, (uint32_t)self->what);
		for (place = 0; place < self->left; place++)
			expect(found[place] != found[self->left]);
	}
	for (file = 0; file < model.file_count; file++) {
		for (place = 0; place < PLACES && found[place] != file; place++)
			;
		expect(place < PLACES || model.files[file].may_go);
		model.files[file].may_go = place == PLACES;
	}
	memset(model.had, 0, sizeof model.had);
	for (place = 0; place < PLACES; place++)
		name_set(place, found[place]);
	model.making = NONE;
	APUS_END(0);
}

/* ---- a schedule ---------------------------------------------------------------------------------- */

static void run(const struct apus_join *join, uint32_t turns)
{
	while (turns-- > 0 && apus_try_join(model.loop, *join, NULL) == -EAGAIN)
		apus_turn(model.loop);
}

static void live_and_die(void)
{
	struct user init = { .left = 5 + (int)draw(60) };
	struct apus_counters now;
	struct apus_join join;

	expect(apus_spawn_slab(model.loop, user, &init, &join) == 0);
	run(&join, draw(2) == 0 ? draw(400) : UINT32_MAX);
	expect(apus_sim_power_cut(model.loop) == 0);
	model.cuts++;
	(void)apus_abort(model.loop, join);
	(void)apus_detach(model.loop, join);
	do {
		apus_turn(model.loop);
		apus_counters_read(model.loop, &now);
	} while (now.ops_in_flight != 0 || now.tasks_live != 0);
	expect(now.files_open == 0);
	expect(apus_run(model.loop, survey, NULL) == 0);
}

static void dirs_make(void)
{
	char path[16];
	int place;

	for (place = 0; place < PLACES; place += PLACES / DIRS) {
		snprintf(path, sizeof path, "%s/z", dirs[place * DIRS / PLACES]);
		expect(apus_sim_file_make(model.loop, path, "", 0) == 0);
	}
	memset(model.had, 0, sizeof model.had);
	for (place = 0; place < PLACES; place++)
		name_set(place, NONE);
}

static void schedule(uint64_t seed)
{
	struct apus_sim_config weather;
	uint32_t lives;

	model.random = test_random_init(seed);
	model.file_count = 0;
	model.making = NONE;
	apus_sim_config_rough(&weather, seed);
	model.loop = schedule_open(&weather);
	dirs_make();
	for (lives = 1 + draw(4); lives > 0; lives--)
		live_and_die();
	expect(apus_close(model.loop, NULL) == 0);
}

START_TEST(what_is_seen_was_written_and_what_is_left_was_seen)
{
	uint64_t count = schedules_run(3000, schedule);

	printf("%" PRIu64 " schedules, %" PRIu64 " cuts: %" PRIu64 " files with less than was seen, %"
		PRIu64 " lengths between, %" PRIu64 " names undone\n", count, model.cuts, model.torn,
		model.between, model.undone);
	expect(count < 100 || (model.torn > count / 4 && model.between > count / 10 &&
		model.undone > count / 4));
}
END_TEST

TEST_MAIN("sim_file", what_is_seen_was_written_and_what_is_left_was_seen)
