#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/sim_disk.h"

enum { STEP_BYTES = 1 << 16 };

#ifdef O_DIRECT
enum { SIM_DIRECT = O_DIRECT };
#else
enum { SIM_DIRECT = 0 };
#endif

/* ---- numbers --------------------------------------------------------------------------- */

struct sim_file *apusi_sim_file_find(const struct sim_world *world, int number)
{
	const struct sim_disk *disk = world->disk;

	if (disk == NULL || number < SIM_FILE_FIRST ||
	    (uint32_t)(number - SIM_FILE_FIRST) >= disk->file_count)
		return NULL;
	return disk->files[number - SIM_FILE_FIRST];
}

static void files_grow(struct sim_disk *disk)
{
	if (disk->file_count == disk->file_room) {
		disk->file_room = disk->file_room != 0 ? 2 * disk->file_room : 8;
		disk->files = apusi_sim_memory(disk->files,
			disk->file_room * sizeof *disk->files);
	}
	disk->files[disk->file_count++] = NULL;
}

static bool number_is_left(const struct sim_world *world)
{
	return world->config.descriptor_count == 0 ||
	       world->open_count < world->config.descriptor_count;
}

/* The lowest number that is free, as everywhere. */
static int file_new(struct sim_disk *disk, struct sim_inode *inode, int flags)
{
	struct sim_file *file;
	uint32_t i = 0;

	while (i < disk->file_count && disk->files[i] != NULL)
		i++;
	if (i == disk->file_count)
		files_grow(disk);
	file = apusi_sim_memory(NULL, sizeof *file);
	*file = (struct sim_file){ .inode = inode, .number = SIM_FILE_FIRST + (int)i,
		.flags = flags };
	apusi_sim_inode_use(inode);
	disk->files[i] = file;
	disk->world->open_count++;
	return file->number;
}

void apusi_sim_file_let_go(struct sim_disk *disk, struct sim_file *file)
{
	(void)disk;
	if (file->number >= 0 || file->uses != 0)
		return;
	file->inode->uses--;
	apusi_sim_inode_let_go(file->inode);
	free(file);
}

void apusi_sim_file_shut(struct sim_disk *disk, struct sim_file *file)
{
	disk->files[file->number - SIM_FILE_FIRST] = NULL;
	disk->world->open_count--;
	file->number = -1;
	apusi_sim_file_let_go(disk, file);
}

/* ---- what is called at once ---------------------------------------------------------------- */

int apusi_sim_file_flags(struct apus_io *io, int number)
{
	const struct sim_file *file = apusi_sim_file_find(apusi_sim_world_of(io), number);

	if (file == NULL)
		return number < SIM_FILE_FIRST ? -EINVAL : -EBADF;
	return file->flags;
}

void apusi_sim_file_close(struct apus_io *io, int number)
{
	struct sim_world *world = apusi_sim_world_of(io);
	struct sim_file *file = apusi_sim_file_find(world, number);

	if (file == NULL)
		return;
	apusi_sim_step_of(world, "file close", number, file->inode->number, 0);
	apusi_sim_file_shut(world->disk, file);
}

static uint64_t list_bytes(const struct iovec *list, uint32_t count)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < count; i++)
		bytes += list[i].iov_len;
	return bytes;
}

static uint64_t left_behind(const struct sim_inode *inode, uint64_t offset)
{
	return offset < inode->bytes ? inode->bytes - offset : 0;
}

static void scatter(const struct sim_inode *inode, const struct iovec *list, uint64_t bytes,
	uint64_t offset)
{
	while (bytes > 0) {
		size_t part = list->iov_len < bytes ? list->iov_len : (size_t)bytes;

		apusi_sim_inode_read(inode, list->iov_base, part, offset);
		offset += part;
		bytes -= part;
		list++;
	}
}

/* 0, or why nothing can be read of it. */
static int read_check(const struct sim_file *file)
{
	if (file->is_dead)
		return -EIO;
	if ((file->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	return S_ISDIR(file->inode->mode) ? -EISDIR : 0;
}

static uint64_t part_draw(struct sim_world *world, uint64_t bytes, uint32_t ppm, uint64_t *counter)
{
	if (bytes < 2 || !apusi_sim_hits(world, ppm))
		return bytes;
	++*counter;
	return 1 + apusi_sim_below(world, bytes - 1);
}

/* A refusal that a script wants, and any other error, is for a request to tell. */
int64_t apusi_sim_file_cached(struct apus_io *io, int number, const struct iovec *list, int count,
	uint64_t offset)
{
	struct sim_world *world = apusi_sim_world_of(io);
	struct sim_file *file = apusi_sim_file_find(world, number);
	uint64_t asked = list_bytes(list, (uint32_t)count), bytes;

	if (file == NULL || read_check(file) != 0 || world->failing[APUS_SIM_FILE_READ].count != 0 ||
	    apusi_sim_hits(world, world->config.uncached_ppm))
		return -EAGAIN;
	bytes = left_behind(file->inode, offset);
	bytes = bytes < asked ? bytes : asked;
	bytes = part_draw(world, bytes, world->config.uncached_ppm / 2, &world->counts.short_reads);
	scatter(file->inode, list, bytes, offset);
	world->counts.cached_reads++;
	apusi_sim_step_of(world, "file cached", number, file->inode->number, (int64_t)bytes);
	return (int64_t)bytes;
}

/* ---- transfers ------------------------------------------------------------------------------ */

static int failed_by_chance(struct sim_world *world, enum apus_sim_call call, uint32_t ppm)
{
	int err = apusi_sim_scripted(world, call);

	if (err == 0 && apusi_sim_hits(world, ppm)) {
		world->counts.disk_errors++;
		err = EIO;
	}
	return -err;
}

static int64_t do_read(struct sim_disk *disk, struct sim_request *request,
	const struct iovec *list, uint32_t count)
{
	struct sim_world *world = disk->world;
	struct sim_file *file = request->file;
	uint64_t asked = list_bytes(list, count), bytes, offset = request->asked.offset;
	int err = read_check(file);

	if (!err)
		err = failed_by_chance(world, APUS_SIM_FILE_READ, world->config.read_error_ppm);
	if (err)
		return err;
	bytes = left_behind(file->inode, offset);
	bytes = bytes < asked ? bytes : asked;
	/* Around the cache there is nothing to stop it: only the end of the file does. */
	if (!request->asked.apart && !(file->flags & SIM_DIRECT))
		bytes = part_draw(world, bytes, world->config.short_read_ppm,
			&world->counts.short_reads);
	scatter(file->inode, list, bytes, offset);
	file->inode->read_ns = apusi_sim_today(disk);
	world->counts.file_bytes_read += bytes;
	return (int64_t)bytes;
}

static int write_check(const struct sim_file *file)
{
	if (file->is_dead)
		return -EIO;
	return (file->flags & O_ACCMODE) == O_RDONLY ? -EBADF : 0;
}

/* The kernel writes back what it likes, when it likes. */
static void write_back_by_chance(struct sim_disk *disk, struct sim_file *file)
{
	struct sim_world *world = disk->world;

	if (file->flags & (O_DSYNC | O_SYNC))
		apusi_sim_inode_sync(file->inode);
	if (!apusi_sim_hits(world, world->config.write_back_ppm))
		return;
	world->counts.write_backs++;
	apusi_sim_inode_write_back(file->inode);
	apusi_sim_tree_write_back(disk,
		(uint32_t)apusi_sim_below(world, (uint64_t)disk->record_count + 1));
}

static int64_t gather(struct sim_inode *inode, const struct iovec *list, uint64_t bytes,
	uint64_t offset)
{
	uint64_t done = 0;
	int64_t put = 0;

	while (done < bytes) {
		size_t part = list->iov_len < bytes - done ? list->iov_len : (size_t)(bytes - done);

		put = apusi_sim_inode_write(inode, list->iov_base, part, offset + done);
		if (put > 0)
			done += (uint64_t)put;
		if (put < (int64_t)part)
			break;
		list++;
	}
	return done > 0 ? (int64_t)done : put;
}

/* A helper that meets an error has written what was before it: that is told with the next. */
static int64_t do_write(struct sim_disk *disk, struct sim_request *request,
	const struct iovec *list, uint32_t count)
{
	struct sim_world *world = disk->world;
	struct sim_file *file = request->file;
	uint64_t bytes = list_bytes(list, count), offset = request->asked.offset;
	int err = write_check(file);
	int64_t put;

	if (!err)
		err = failed_by_chance(world, APUS_SIM_FILE_WRITE, world->config.write_error_ppm);
	if (err == -EIO && request->asked.apart && bytes > 1 && apusi_sim_below(world, 2) == 0) {
		bytes = 1 + apusi_sim_below(world, bytes - 1);
		err = 0;
	}
	if (err)
		return err;
	if (!request->asked.apart)
		bytes = part_draw(world, bytes, world->config.short_write_ppm,
			&world->counts.short_writes);
	if (request->asked.opcode == APUSI_NATIVE_APPEND || (file->flags & O_APPEND))
		offset = file->inode->bytes;
	put = gather(file->inode, list, bytes, offset);
	world->counts.full_disks += put == -ENOSPC;
	world->counts.file_bytes_written += put > 0 ? (uint64_t)put : 0;
	write_back_by_chance(disk, file);
	return put;
}

/* Around the cache the disk takes whole sectors only, from where they lie in memory. */
static bool is_misaligned(const struct sim_file *file, const struct iovec *list, uint32_t count,
	uint64_t offset)
{
	uintptr_t bits = (uintptr_t)offset;

	if (!(file->flags & SIM_DIRECT))
		return false;
	for (; count > 0; count--, list++)
		bits |= (uintptr_t)list->iov_base | list->iov_len;
	return bits % SIM_SECTOR != 0;
}

static bool is_list(const struct apusi_native *asked)
{
	return asked->opcode == APUSI_NATIVE_READV || asked->opcode == APUSI_NATIVE_WRITEV;
}

static bool is_read(const struct apusi_native *asked)
{
	return asked->opcode == APUSI_NATIVE_READ || asked->opcode == APUSI_NATIVE_READV ||
	       asked->opcode == APUSI_NATIVE_READ_FIXED;
}

static int64_t do_transfer(struct sim_disk *disk, struct sim_request *request)
{
	const struct apusi_native *asked = &request->asked;
	const struct iovec one = { (void *)(uintptr_t)asked->data, asked->bytes };
	const struct iovec *list = is_list(asked) ? asked->data : &one;
	uint32_t count = is_list(asked) ? asked->bytes : 1;

	if (is_misaligned(request->file, list, count, asked->offset))
		return -EINVAL;
	return is_read(asked) ? do_read(disk, request, list, count) :
				do_write(disk, request, list, count);
}

/* ---- what lends nothing ---------------------------------------------------------------------- */

static int64_t do_sync(struct sim_disk *disk, struct sim_file *file)
{
	struct sim_world *world = disk->world;
	int err = file->is_dead ? -EIO :
		failed_by_chance(world, APUS_SIM_SYNC, world->config.sync_error_ppm);

	if (err && !file->is_dead)
		apusi_sim_inode_give_up(file->inode);
	if (err)
		return err;
	world->counts.syncs++;
	apusi_sim_inode_sync(file->inode);
	if (S_ISDIR(file->inode->mode))
		apusi_sim_tree_sync(disk, file->inode);
	return 0;
}

static int64_t do_truncate(struct sim_file *file, uint64_t bytes)
{
	int err = write_check(file);

	if (err)
		return err == -EBADF ? -EINVAL : err;
	apusi_sim_inode_truncate(file->inode, bytes);
	return 0;
}

static int64_t do_allocate(struct sim_disk *disk, struct sim_request *request)
{
	enum { KEEP_SIZE = 1, PUNCH_HOLE = 2 };
	struct sim_inode *inode = request->file->inode;
	uint64_t offset = request->asked.offset, bytes = (uintptr_t)request->asked.data;
	int err = write_check(request->file);

	if (err)
		return err;
	if (request->asked.bytes & PUNCH_HOLE) {
		apusi_sim_inode_punch(inode, offset, bytes);
		return 0;
	}
	err = apusi_sim_inode_store(inode, offset, bytes);
	disk->world->counts.full_disks += err != 0;
	if (!err && !(request->asked.bytes & KEEP_SIZE) && inode->bytes < offset + bytes)
		apusi_sim_inode_truncate(inode, offset + bytes);
	return err;
}

static void stat_fill(const struct sim_inode *inode, struct apusi_native_stat *out)
{
	*out = (struct apusi_native_stat){
		.bytes = inode->bytes,
		.stored_bytes = apusi_sim_inode_stored(inode) * SIM_SECTOR,
		.inode = inode->number,
		.link_count = inode->links,
		.mode = inode->mode,
		.direct_align = SIM_SECTOR,
		.read_ns = inode->read_ns,
		.written_ns = inode->written_ns,
		.changed_ns = inode->changed_ns,
		.born_ns = inode->born_ns,
	};
}

static int64_t do_stat(struct sim_disk *disk, struct sim_request *request)
{
	struct apusi_native_stat *out = (void *)request->native.room;
	struct sim_way way;
	int err;

	if (request->file != NULL) {
		stat_fill(request->file->inode, out);
		return request->file->is_dead ? -EIO : 0;
	}
	err = apusi_sim_walk(disk, request->asked.data, &way);
	if (!err && way.inode == NULL)
		err = -ENOENT;
	if (!err)
		stat_fill(way.inode, out);
	return err;
}

/* ---- two files, a socket ------------------------------------------------------------------------- */

/* The next bytes, up to a step: 0 at the end of the file. */
static size_t take_step(const struct sim_file *file, unsigned char *buffer, uint64_t offset,
	uint64_t bytes)
{
	uint64_t left = left_behind(file->inode, offset);
	size_t part = bytes < STEP_BYTES ? (size_t)bytes : STEP_BYTES;

	part = left < part ? (size_t)left : part;
	apusi_sim_inode_read(file->inode, buffer, part, offset);
	return part;
}

typedef int64_t step_fn(struct sim_disk *disk, const struct sim_request *request,
	const unsigned char *data, size_t bytes, uint64_t done);

/* 0, also at the end of the file, or an error; *done bytes were moved. */
static int64_t pump(struct sim_disk *disk, const struct sim_request *request, uint64_t *done,
	step_fn *put_step)
{
	unsigned char *buffer = apusi_sim_memory(NULL, STEP_BYTES);
	uint64_t bytes = (uintptr_t)request->asked.data;
	int64_t put = 0;

	for (*done = 0; *done < bytes; *done += (uint64_t)put) {
		size_t part = take_step(request->file, buffer, request->asked.offset + *done,
			bytes - *done);

		put = part != 0 ? put_step(disk, request, buffer, part, *done) : 0;
		if (put <= 0)
			break;
	}
	free(buffer);
	return put < 0 ? put : 0;
}

static int64_t copy_step(struct sim_disk *disk, const struct sim_request *request,
	const unsigned char *data, size_t bytes, uint64_t done)
{
	int64_t put = apusi_sim_inode_write(request->other->inode, data, bytes,
		request->asked.fixed + done);

	disk->world->counts.full_disks += put == -ENOSPC;
	return put;
}

static int64_t do_copy(struct sim_disk *disk, struct sim_request *request)
{
	struct sim_world *world = disk->world;
	int64_t err = read_check(request->file);
	uint64_t done = 0;

	if (!err)
		err = write_check(request->other);
	if (!err)
		err = failed_by_chance(world, APUS_SIM_FILE_READ, world->config.read_error_ppm);
	if (!err)
		err = failed_by_chance(world, APUS_SIM_FILE_WRITE, world->config.write_error_ppm);
	if (!err)
		err = pump(disk, request, &done, copy_step);
	return err ? err : (int64_t)done; /* fewer are the end of the file, and nothing else */
}

/* A handle that was closed meanwhile: nobody holds the socket open for us. */
static int64_t send_step(struct sim_disk *disk, const struct sim_request *request,
	const unsigned char *data, size_t bytes, uint64_t done)
{
	const struct iovec part = { (void *)(uintptr_t)data, bytes };
	struct apusi_slot *slot = apusi_slot_find(disk->world->io, request->asked.fixed);
	int64_t put = slot == NULL ? -EPIPE : apusi_sim_write(slot, &part, 1);

	(void)done;
	return put == -EAGAIN ? APUSI_NATIVE_SEND_FULL : put;
}

static int64_t do_send(struct sim_disk *disk, struct sim_request *request)
{
	struct sim_world *world = disk->world;
	int64_t err = read_check(request->file);
	uint64_t done = 0;

	if (!err)
		err = failed_by_chance(world, APUS_SIM_FILE_READ, world->config.read_error_ppm);
	if (!err)
		err = pump(disk, request, &done, send_step);
	return done != 0 ? (int64_t)done : err;
}

/* ---- names ------------------------------------------------------------------------------------------ */

static int refusal_draw(struct sim_world *world)
{
	static const int ways[] = { EMFILE, ENFILE, EACCES };
	int err = apusi_sim_scripted(world, APUS_SIM_OPEN);

	if (err == 0 && apusi_sim_hits(world, world->config.open_ppm)) {
		world->counts.open_errors++;
		err = ways[apusi_sim_below(world, sizeof ways / sizeof *ways)];
	}
	return -err;
}

static int open_check(const struct sim_way *way, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);

#ifdef O_TMPFILE
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return -EOPNOTSUPP;
#endif
	if (way->inode == NULL)
		return !(flags & O_CREAT) ? -ENOENT : way->is_directory ? -EISDIR : 0;
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (S_ISDIR(way->inode->mode))
		return writes || (flags & O_CREAT) ? -EISDIR : 0;
	return flags & O_DIRECTORY ? -ENOTDIR : 0;
}

static int64_t do_open(struct sim_disk *disk, struct sim_request *request)
{
	int flags = (int)request->asked.flags;
	struct sim_inode *inode;
	struct sim_way way;
	int err = refusal_draw(disk->world);

	if (!err && !number_is_left(disk->world))
		err = -EMFILE;
	if (!err)
		err = apusi_sim_walk(disk, request->asked.data, &way);
	if (!err)
		err = open_check(&way, flags);
	if (err)
		return err;
	inode = way.inode;
	if (inode == NULL)
		inode = apusi_sim_make(disk, &way, S_IFREG | (request->asked.bytes & 07777));
	else if (flags & O_TRUNC)
		apusi_sim_inode_truncate(inode, 0);
	return file_new(disk, inode, flags);
}

static int64_t do_mkdir(struct sim_disk *disk, struct sim_request *request)
{
	struct sim_way way;
	int err = apusi_sim_walk(disk, request->asked.data, &way);

	if (!err && way.inode != NULL)
		err = -EEXIST;
	if (!err)
		(void)apusi_sim_make(disk, &way, S_IFDIR | (request->asked.bytes & 07777));
	return err;
}

static int remove_check(const struct sim_way *way, bool is_rmdir)
{
	if (way->inode == NULL)
		return -ENOENT;
	if (!S_ISDIR(way->inode->mode))
		return is_rmdir ? -ENOTDIR : 0;
	if (!is_rmdir)
		return -EISDIR;
	if (way->is_dots)
		return way->inode->parent == way->inode ? -EBUSY : -EINVAL;
	return way->inode->entry_count != 0 ? -ENOTEMPTY : 0;
}

static int64_t do_remove(struct sim_disk *disk, struct sim_request *request)
{
	struct sim_way way;
	int err = apusi_sim_walk(disk, request->asked.data, &way);

	if (!err)
		err = remove_check(&way, (request->asked.flags & AT_REMOVEDIR) != 0);
	if (!err)
		apusi_sim_remove(disk, &way);
	return err;
}

static int64_t do_rename(struct sim_disk *disk, struct sim_request *request)
{
	struct sim_way from, to;
	int err = apusi_sim_walk(disk, request->asked.data, &from);

	if (!err && from.inode == NULL)
		err = -ENOENT;
	if (!err)
		err = apusi_sim_walk(disk, (const char *)(uintptr_t)request->asked.offset, &to);
	if (!err && (from.is_dots || to.is_dots))
		err = -EBUSY;
	return err ? err : apusi_sim_move(disk, &from, &to);
}

/* ---- listing ---------------------------------------------------------------------------------------- */

static size_t entry_put(const struct sim_entry *entry, char *to, size_t room)
{
	uint32_t type = S_ISDIR(entry->inode->mode) ? APUSI_NATIVE_DIRECTORY : APUSI_NATIVE_FILE;

	return apusi_native_entry_put(to, room, entry->inode->number, type, entry->name);
}

/* What was there when it began and is there still is listed once, whatever comes and goes. */
static int64_t do_list(struct sim_request *request)
{
	struct sim_file *file = request->file;
	char *to = (char *)(uintptr_t)request->asked.data;
	size_t used = 0, bytes;
	const struct sim_entry *entry;

	if (file->is_dead)
		return -EIO;
	for (;;) {
		entry = apusi_sim_entry_behind(file->inode, file->place, file->name);
		if (entry == NULL)
			break;
		bytes = entry_put(entry, to + used, request->asked.bytes - used);
		if (bytes == 0)
			break;
		used += bytes;
		file->place = entry->place;
		memcpy(file->name, entry->name, strlen(entry->name) + 1);
	}
	return (int64_t)used;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

static int64_t do_close(struct sim_disk *disk, struct sim_request *request)
{
	if (request->file->number >= 0)
		apusi_sim_file_shut(disk, request->file);
	return 0;
}

int64_t apusi_sim_carry_out(struct sim_disk *disk, struct sim_request *request)
{
	switch (request->asked.opcode) {
	case APUSI_NATIVE_FSYNC:
		return do_sync(disk, request->file);
	case APUSI_NATIVE_FALLOCATE:
		return do_allocate(disk, request);
	case APUSI_NATIVE_OPENAT:
		return do_open(disk, request);
	case APUSI_NATIVE_CLOSE:
		return do_close(disk, request);
	case APUSI_NATIVE_STATX:
		return do_stat(disk, request);
	case APUSI_NATIVE_RENAMEAT:
		return do_rename(disk, request);
	case APUSI_NATIVE_UNLINKAT:
		return do_remove(disk, request);
	case APUSI_NATIVE_MKDIRAT:
		return do_mkdir(disk, request);
	case APUSI_NATIVE_FTRUNCATE:
		return do_truncate(request->file, request->asked.offset);
	case APUSI_NATIVE_COPY:
		return do_copy(disk, request);
	case APUSI_NATIVE_SEND:
		return do_send(disk, request);
	case APUSI_NATIVE_LIST:
		return do_list(request);
	default:
		return do_transfer(disk, request);
	}
}
