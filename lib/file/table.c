#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "file/inner.h"
#include "io/files.h"
#include "io/native.h"
#include "io/sockets.h"

/* ---- slots ------------------------------------------------------------------------ */

bool apusi_file_is_left(const struct apusi_files *files)
{
	return files->slots.live_count < files->slots.capacity;
}

int apusi_file_slot(struct apusi_files *files, int fd, uint32_t flags, struct apusi_file **out)
{
	struct apusi_file *file = (struct apusi_file *)apus_slab_claim(&files->slots);

	if (file == NULL)
		return -ENFILE;
	file->index = apus_slab_index(&files->slots, file);
	if (++file->generation == 0)
		file->generation = 1; /* zero is never valid */
	file->fd = fd;
	file->flags = flags;
	file->uses = 0;
	file->stream = NULL;
	file->entry = NULL;
	*out = file;
	return 0;
}

/*
 * The next generation is nobody's until the slot is given out.  What the kernel keeps for a
 * session is a file that stays open, whoever closes the descriptor.
 */
void apusi_file_retire(struct apus_cx *cx, struct apusi_file *file)
{
	if (file->flags & APUSI_FILE_FIXED)
		apusi_native_unfix_all(cx->io, apusi_file_token(file));
	if (++file->generation == 0)
		file->generation = 1;
	file->flags |= APUSI_FILE_DROPPED;
}

static void file_shut(const struct apus_cx *cx, const struct apusi_file *file)
{
	if (cx->files->is_sim && file->flags & APUSI_FILE_OWNED)
		apusi_sim_file_close(cx->io, file->fd);
	else if (file->stream != NULL)
		closedir(file->stream);
	else if (file->flags & APUSI_FILE_OWNED)
		close(file->fd);
}

void apusi_file_free(struct apus_cx *cx, struct apusi_file *file, bool closed)
{
	if (!closed)
		file_shut(cx, file);
	file->fd = -1;
	apus_slab_release(&cx->files->slots, file);
}

/* ---- handles ------------------------------------------------------------------------ */

static uint32_t flags_of(int status)
{
	uint32_t flags = 0;

#ifdef O_DIRECT
	flags |= status & O_DIRECT ? APUSI_FILE_DIRECT : 0;
#endif
	return flags | (status & O_APPEND ? APUSI_FILE_APPEND : 0);
}

/* As open(2) has them; or -errno. */
static int status_of(const struct apus_cx *cx, int fd)
{
	int status;

	if (cx->files->is_sim)
		return apusi_sim_file_flags(cx->io, fd);
	status = fcntl(fd, F_GETFL);
	return status < 0 ? -errno : status;
}

int apus_file_adopt(struct apus_loop *loop, int fd, enum apus_owner owner, struct apus_file *out)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apusi_file *file;
	int status, err;

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (cx->offload == NULL && !cx->files->is_sim)
		return -ENOTSUP;
	status = status_of(cx, fd);
	if (status < 0)
		return status;
	err = apusi_file_slot(cx->files, fd, flags_of(status), &file);
	if (err)
		return err;
	if (owner == APUS_OWNED)
		file->flags |= APUSI_FILE_OWNED;
	out->token = apusi_file_token(file);
	return 0;
}

static int handle_drop(struct apus_loop *loop, uint64_t token)
{
	struct apus_cx *cx = apus_loop_cx(loop);
	struct apusi_file *file;

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	file = apusi_file_find(cx->files, token);
	if (file == NULL)
		return -ESTALE;
	apusi_file_retire(cx, file);
	if (file->uses == 0)
		apusi_file_free(cx, file, false);
	return 0;
}

int apus_file_drop(struct apus_loop *loop, struct apus_file file)
{
	return handle_drop(loop, file.token);
}

int apus_directory_drop(struct apus_loop *loop, struct apus_directory directory)
{
	return handle_drop(loop, directory.token);
}

int apus_file_number(struct apus_loop *loop, struct apus_file file)
{
	const struct apusi_file *found;

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	found = apusi_file_find(apus_loop_cx(loop)->files, file.token);
	return found == NULL ? -ESTALE : found->fd;
}

/* ---- opening and closing ---------------------------------------------------------------- */

int apusi_files_open(struct apus_cx *cx, uint32_t count, bool at_once)
{
	const struct apus_slab_config config = {
		.slot_bytes = sizeof(struct apusi_file),
		.slot_align = APUS_CACHE_LINE,
		.slot_count = count,
		.chunk_max = 1,
	};
	struct apusi_files *files = (struct apusi_files *)calloc(1, sizeof *files);
	int err;

	if (files == NULL)
		return -ENOMEM;
	err = apus_slab_init(&files->slots, &config);
	if (err) {
		free(files);
		return err;
	}
	files->at_once = at_once;
	files->is_sim = apusi_io_is_sim(cx->io);
	cx->files = files;
	return 0;
}

/*
 * One that a helper is still in stays open: its number must not become a stranger's.  Simulated
 * ones went with the backend.
 */
void apusi_files_close(struct apus_cx *cx)
{
	struct apusi_files *files = cx->files;
	uint32_t i;

	if (files == NULL)
		return;
	for (i = 0; i < files->slots.used_count && !files->is_sim; i++) {
		struct apusi_file *file = (struct apusi_file *)apus_slab_at(&files->slots, i);

		if (file->generation != 0 && file->fd >= 0 && file->uses == 0)
			file_shut(cx, file);
	}
	apus_slab_deinit(&files->slots);
	free(files);
	cx->files = NULL;
}

uint32_t apusi_files_count(const struct apus_cx *cx)
{
	return cx->files->slots.live_count;
}
