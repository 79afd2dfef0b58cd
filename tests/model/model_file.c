/*
 * Random programs of files against naive twins in memory: writes, reads, lists of buffers,
 * appends, truncations, holes, copies from one to another, and a folder in which names come, go
 * and change.  Every answer is checked when it comes, and contents and listings again and again.
 * Some waits are lost to timeouts on the way and taken up again.  Over helper threads, and at
 * once under a virtual clock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>

#include "apus/file.h"
#include "loop_test.h"

enum { PROGRAMS = 12, STEPS = 150, ACTORS = 4, FILE_MAX = 96 * 1024, NAMES = 24 };

static struct test_random dice;
static char folder[] = "/tmp/apus-model-XXXXXX";

static unsigned below(unsigned bound)
{
	return (unsigned)test_random_below(&dice, bound);
}

/* The naive twin of a file: what it holds; behind `bytes` there are only zeros. */
struct twin {
	unsigned char content[2 * FILE_MAX];
	size_t bytes;
};

static struct actor_memory {
	struct twin file, other;
	unsigned char buffer[FILE_MAX];
	bool names[NAMES];
} memories[ACTORS];

struct actor {
	struct apus_frame frame;
	struct apus_op op;
	struct apus_file file, other;
	struct apus_directory directory;
	struct apus_stat stat;
	struct iovec list[3];
	apus_poll got;
	size_t offset, bytes, to;
	unsigned id, step, name, target;
	char path[24], other_path[24];
	uint64_t entries[128];
	bool seen[NAMES];
};

static void actor_end(struct apus_cx *cx, struct actor *self)
{
	apus_file_drop(cx->loop, self->file);
	apus_file_drop(cx->loop, self->other);
	apus_directory_drop(cx->loop, self->directory);
}

/* Awaits, and loses the wait now and then. */
#define AWAIT_LOSING(into, ...)                                                 \
	do {                                                                    \
		if (below(4) == 0)                                              \
			APUS_AWAIT(into, apus_timeout(cx, (int64_t)below(100000), __VA_ARGS__)); \
		else                                                            \
			APUS_AWAIT(into, __VA_ARGS__);                          \
		if ((into) == -ETIME)                                           \
			APUS_AWAIT(into, __VA_ARGS__);                          \
	} while (0)

static void twin_write(struct twin *twin, const void *data, size_t bytes, size_t offset)
{
	memcpy(twin->content + offset, data, bytes);
	if (bytes != 0 && offset + bytes > twin->bytes)
		twin->bytes = offset + bytes;
}

/* The bytes that a read of that range gets. */
static size_t twin_left(const struct twin *twin, size_t bytes, size_t offset)
{
	if (offset >= twin->bytes)
		return 0;
	return bytes < twin->bytes - offset ? bytes : twin->bytes - offset;
}

static void twin_truncate(struct twin *twin, size_t bytes)
{
	if (bytes < twin->bytes)
		memset(twin->content + bytes, 0, twin->bytes - bytes);
	twin->bytes = bytes;
}

static void fill(struct actor_memory *memory, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i += 64)
		memset(memory->buffer + i, (int)below(256), bytes - i < 64 ? bytes - i : 64);
}

/* Small, page-sized, or whatever; anywhere. */
static void range_pick(struct actor *self)
{
	self->bytes = below(3) == 0 ? below(64) : below(2) ? 4096 : below(FILE_MAX / 2);
	self->offset = below(2) ? below(FILE_MAX / 2) : 4096 * below(FILE_MAX / 8192);
}

/* Three parts of the range, one of them perhaps empty. */
static void list_pick(struct actor *self, struct actor_memory *memory)
{
	size_t first = below((unsigned)self->bytes + 1);
	size_t second = below((unsigned)(self->bytes - first) + 1);

	self->list[0] = (struct iovec){ memory->buffer, first };
	self->list[1] = (struct iovec){ memory->buffer + first, second };
	self->list[2] = (struct iovec){ memory->buffer + first + second,
		self->bytes - first - second };
}

static void check_read(struct actor *self, struct actor_memory *memory)
{
	size_t expected = twin_left(&memory->file, self->bytes, self->offset);

	ck_assert_int_eq(self->got, (apus_poll)expected);
	ck_assert(memcmp(memory->buffer, memory->file.content + self->offset, expected) == 0);
}

static void check_listing(struct actor *self, const struct actor_memory *memory)
{
	const struct apus_entry *entry = NULL;

	while ((entry = apus_entry_next(self->entries, self->got, entry)) != NULL) {
		unsigned name = (unsigned)atoi(apus_entry_name(entry) + 1);

		ck_assert(name < NAMES && !self->seen[name] && memory->names[name]);
		self->seen[name] = true;
	}
}

static void name_path(char *path, unsigned id, unsigned name)
{
	snprintf(path, 24, "d%u/n%u", id, name);
}


static apus_poll file_step(struct apus_cx *cx, struct actor *self)
{
	struct actor_memory *memory = &memories[self->id];

	switch (self->target) {
	case 0: case 1:
		return apus_file_write_at(cx, &self->op, self->file, memory->buffer, self->bytes,
			self->offset);
	case 2: case 3:
		return apus_file_read_at(cx, &self->op, self->file, memory->buffer, self->bytes,
			self->offset);
	case 4:
		return apus_file_writev_at(cx, &self->op, self->file, self->list, 3, self->offset);
	case 5:
		return apus_file_readv_at(cx, &self->op, self->file, self->list, 3, self->offset);
	case 6:
		return apus_file_append(cx, &self->op, self->file, memory->buffer, self->bytes);
	case 7:
		return apus_file_truncate(cx, &self->op, self->file, self->offset);
	case 8:
		return apus_file_copy(cx, &self->op, self->file, self->offset, self->other,
			self->to, self->bytes);
	case 9:
		return apus_file_stat(cx, &self->op, self->file, &self->stat);
	default:
		return apus_file_sync_data(cx, &self->op, self->file);
	}
}

static void file_pick(struct actor *self)
{
	struct actor_memory *memory = &memories[self->id];

	self->target = below(11);
	range_pick(self);
	self->to = below(FILE_MAX / 2);
	if (self->target == 6 && memory->file.bytes + self->bytes > FILE_MAX)
		self->bytes = memory->file.bytes < FILE_MAX ? FILE_MAX - memory->file.bytes : 0;
	fill(memory, self->bytes);
	list_pick(self, memory);
}

static void file_check(struct actor *self)
{
	struct actor_memory *memory = &memories[self->id];
	size_t copied = twin_left(&memory->file, self->bytes, self->offset);

	switch (self->target) {
	case 0: case 1: case 4:
		ck_assert_int_eq(self->got, (apus_poll)self->bytes);
		twin_write(&memory->file, memory->buffer, self->bytes, self->offset);
		break;
	case 2: case 3: case 5:
		check_read(self, memory);
		break;
	case 6:
		if (self->got == -ENOTSUP) /* by the system, of a file not opened for it */
			break;
		ck_assert_int_eq(self->got, (apus_poll)self->bytes);
		twin_write(&memory->file, memory->buffer, self->bytes, memory->file.bytes);
		break;
	case 7:
		ck_assert_int_eq(self->got, 0);
		twin_truncate(&memory->file, self->offset);
		break;
	case 8:
		ck_assert_int_eq(self->got, (apus_poll)copied);
		twin_write(&memory->other, memory->file.content + self->offset, copied, self->to);
		break;
	case 9:
		ck_assert_int_eq(self->got, 0);
		ck_assert_uint_eq(self->stat.bytes, memory->file.bytes);
		break;
	default:
		ck_assert_int_eq(self->got, 0);
		break;
	}
}

static void folder_pick(struct actor *self)
{
	self->target = below(4);
	self->name = below(NAMES);
	name_path(self->path, self->id, self->name);
	self->bytes = below(NAMES);
	name_path(self->other_path, self->id, (unsigned)self->bytes);
}

static apus_poll folder_step(struct apus_cx *cx, struct actor *self)
{
	switch (self->target) {
	case 0:
		return apus_path_mkdir(cx, &self->op, self->path, 0700);
	case 1:
		return apus_path_rmdir(cx, &self->op, self->path);
	case 2:
		return apus_path_rename(cx, &self->op, self->path, self->other_path);
	default:
		return apus_path_stat(cx, &self->op, self->path, &self->stat);
	}
}

static void folder_check(struct actor *self)
{
	bool *names = memories[self->id].names;
	bool there = names[self->name];

	if (self->target == 0)
		ck_assert_int_eq(self->got, there ? -EEXIST : 0);
	else
		ck_assert_int_eq(self->got, there ? 0 : -ENOENT);
	if (self->target == 0)
		names[self->name] = true;
	if (self->target == 1 || (self->target == 2 && there))
		names[self->name] = false;
	if (self->target == 2 && there)
		names[self->bytes] = true;
}

APUS_TASK(actor, struct actor, actor_end)
{
	struct actor_memory *memory = &memories[self->id];

	APUS_BEGIN(cx, self);
	snprintf(self->path, sizeof self->path, "f%u", self->id);
	snprintf(self->other_path, sizeof self->other_path, "g%u", self->id);
	APUS_TRY(self->got, apus_file_open(cx, &self->op, self->path, O_RDWR | O_CREAT | O_TRUNC,
		0600, &self->file));
	APUS_TRY(self->got, apus_file_open(cx, &self->op, self->other_path,
		O_RDWR | O_CREAT | O_TRUNC, 0600, &self->other));
	snprintf(self->path, sizeof self->path, "d%u", self->id);
	APUS_TRY(self->got, apus_path_mkdir(cx, &self->op, self->path, 0700));
	for (self->step = 0; self->step < STEPS; self->step++) {
		file_pick(self);
		AWAIT_LOSING(self->got, file_step(cx, self));
		file_check(self);
		folder_pick(self);
		AWAIT_LOSING(self->got, folder_step(cx, self));
		folder_check(self);
	}
	/* All of both files, and of the folder. */
	self->bytes = FILE_MAX;
	self->offset = 0;
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->file, memory->buffer,
		FILE_MAX, 0));
	check_read(self, memory);
	APUS_AWAIT(self->got, apus_file_read_at(cx, &self->op, self->other, memory->buffer,
		FILE_MAX, 0));
	ck_assert_int_eq(self->got, (apus_poll)twin_left(&memory->other, FILE_MAX, 0));
	ck_assert(memcmp(memory->buffer, memory->other.content, (size_t)self->got) == 0);
	snprintf(self->path, sizeof self->path, "d%u", self->id);
	APUS_TRY(self->got, apus_directory_open(cx, &self->op, self->path, &self->directory));
	do {
		APUS_TRY(self->got, apus_directory_read(cx, &self->op, self->directory,
			self->entries, APUS_ENTRY_BYTES_MAX));
		check_listing(self, memory);
	} while (self->got > 0);
	ck_assert(memcmp(self->seen, memory->names, sizeof self->seen) == 0);
	APUS_END(0);
}

static void folder_make(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
}

static void folder_empty(const char *command)
{
	char line[96];

	snprintf(line, sizeof line, "rm -rf %s%s", folder, command);
	ck_assert_int_eq(system(line), 0);
}

static void folder_remove(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	folder_empty("");
}

static void program_run(bool at_once)
{
	struct apus_join joins[ACTORS];
	struct apus_config config;
	struct apus_loop *loop;
	unsigned i;

	config_virtual(&config, 0);
	if (!at_once)
		config.clock = APUS_CLOCK_AUTO;
	config.stall_ns = APUS_NEVER;
	config.state_bytes = sizeof(struct actor);
	loop = loop_open_with(&config);
	memset(memories, 0, sizeof memories);
	for (i = 0; i < ACTORS; i++)
		ck_assert_int_eq(apus_spawn_slab(loop, actor, &((struct actor){ .id = i }),
			&joins[i]), 0);
	for (i = 0; i < ACTORS; i++) {
		apus_poll result = 0;

		while (apus_try_join(loop, joins[i], &result) == -EAGAIN)
			apus_turn(loop);
		ck_assert_int_eq(result, 0);
	}
	ck_assert_uint_eq(counters(loop).files_open, 0);
	ck_assert_uint_eq(counters(loop).ops_in_flight, 0);
	loop_close(loop);
	folder_empty("/*");
}

START_TEST(random_programs_agree_with_memory)
{
	int program;

	dice = test_random_init(test_seed());
	for (program = 0; program < PROGRAMS; program++)
		program_run(program % 3 == 0);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = test_case("file_model");

	tcase_add_checked_fixture(all, folder_make, folder_remove);
	tcase_add_test(all, random_programs_agree_with_memory);
	return test_run(argc, argv, all);
}
