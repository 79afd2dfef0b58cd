/*
 * The awaitables of paths, and what opens one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "file/inner.h"
#include "file/native.h"

/* ---- opening --------------------------------------------------------------------------- */

struct opening {
	struct apusi_call call;
	int flags;
	mode_t mode;
	bool lists; /* it is a directory, to be listed */
};

static apus_poll open_begin(struct apus_cx *cx, struct apus_op *op, const struct opening *asked)
{
	struct apusi_work *work;
	bool answered;
	int err;

	if (!apusi_file_is_left(cx->files))
		return -ENFILE;
	err = asked->lists && !cx->files->is_sim ? -ENOTSUP :
		apusi_file_native_open(cx, op, &asked->call, asked->flags, asked->mode);
	if (err != -ENOTSUP)
		return err ? err : apusi_op_look(cx, op, NULL, &answered);
	err = apusi_work_claim(cx, op, &asked->call, NULL, NULL, &work);
	if (err)
		return err;
	work->path = (const char *)asked->call.data;
	work->flags = asked->flags;
	work->mode = asked->mode;
	work->opens = true;
	work->data = asked->lists ? op : NULL;
	op->request->owns = true;
	apusi_work_lend(cx, op, work->path);
	return apusi_work_submit(cx, op);
}

static uint32_t flags_of(const struct opening *asked)
{
	uint32_t flags = APUSI_FILE_OWNED;

#ifdef O_DIRECT
	flags |= asked->flags & O_DIRECT ? APUSI_FILE_DIRECT : 0;
#endif
	flags |= asked->flags & O_APPEND ? APUSI_FILE_APPEND : 0;
	return flags | (asked->lists ? APUSI_FILE_DIRECTORY : 0);
}

/* The descriptor gets its handle; the table may have filled up meanwhile. */
static apus_poll open_end(struct apus_cx *cx, struct apus_op *op, const struct opening *asked,
	apus_poll answer, uint64_t *token)
{
	struct apusi_file *file;

	if (answer < 0) {
		apusi_op_release(cx, op);
		return answer;
	}
	if (apusi_file_slot(cx->files, (int)answer, flags_of(asked), &file)) {
		apusi_op_abandon(cx, op);
		return -ENFILE;
	}
	if (asked->lists && !cx->files->is_sim)
		file->stream = ((struct apusi_work *)apusi_offload_data(op->request))->stream;
	apusi_op_release(cx, op);
	*token = apusi_file_token(file);
	return 0;
}

static apus_poll open_await(struct apus_cx *cx, struct apus_op *op, const struct opening *asked,
	uint64_t *token)
{
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &asked->call, &answered);

	if (answer == APUSI_OP_IDLE)
		return open_begin(cx, op, asked);
	return answered ? open_end(cx, op, asked, answer, token) : answer;
}

apus_poll apus_file_open(struct apus_cx *cx, struct apus_op *op, const char *path, int flags,
	mode_t mode, struct apus_file *out)
{
	const struct opening asked = {
		.call = { &apusi_verb_open, (uint64_t)flags, path, mode, 0 },
		.flags = flags,
		.mode = mode,
	};

	return open_await(cx, op, &asked, &out->token);
}

apus_poll apus_directory_open(struct apus_cx *cx, struct apus_op *op, const char *path,
	struct apus_directory *out)
{
	const struct opening asked = {
		.call = { &apusi_verb_open, O_RDONLY | O_DIRECTORY, path, 0, 1 },
		.flags = O_RDONLY | O_DIRECTORY,
		.lists = true,
	};

	return open_await(cx, op, &asked, &out->token);
}

/* ---- paths ---------------------------------------------------------------------------------- */

/* A call of one path, or of two: the answer stays, and the caller releases it. */
static apus_poll path_await(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const char *other, bool *answered)
{
	apus_poll answer = apusi_op_look(cx, op, call, answered);
	struct apusi_work *work;
	int err;

	if (answer != APUSI_OP_IDLE)
		return answer;
	err = apusi_file_native_path(cx, op, call, other);
	if (err != -ENOTSUP)
		return err ? err : apusi_op_look(cx, op, call, answered);
	err = apusi_work_claim(cx, op, call, NULL, NULL, &work);
	if (err)
		return err;
	work->path = (const char *)call->data;
	work->other_path = other;
	work->mode = (mode_t)call->bytes;
	apusi_work_lend(cx, op, work->path);
	if (other != NULL)
		apusi_work_lend(cx, op, other);
	return apusi_work_submit(cx, op);
}

static apus_poll path_plain(struct apus_cx *cx, struct apus_op *op,
	const struct apusi_file_verb *verb, const char *path, const char *other, mode_t mode)
{
	const struct apusi_call call = { verb, (uintptr_t)other, path, mode, 0 };
	bool answered;
	apus_poll answer = path_await(cx, op, &call, other, &answered);

	return apusi_work_end(cx, op, answer, answered);
}

static apus_poll path_stat(struct apus_cx *cx, struct apus_op *op,
	const struct apusi_file_verb *verb, const char *path, struct apus_stat *out)
{
	const struct apusi_call call = { verb, (uintptr_t)out, path, 0, 0 };
	bool answered;
	apus_poll answer = path_await(cx, op, &call, NULL, &answered);

	if (answered && answer == 0)
		apusi_file_stat_take(cx, op->request, out);
	return apusi_work_end(cx, op, answer, answered);
}

apus_poll apus_path_stat(struct apus_cx *cx, struct apus_op *op, const char *path,
	struct apus_stat *out)
{
	return path_stat(cx, op, &apusi_verb_path_stat, path, out);
}

apus_poll apus_link_stat(struct apus_cx *cx, struct apus_op *op, const char *path,
	struct apus_stat *out)
{
	return path_stat(cx, op, &apusi_verb_link_stat, path, out);
}

apus_poll apus_path_rename(struct apus_cx *cx, struct apus_op *op, const char *from, const char *to)
{
	return path_plain(cx, op, &apusi_verb_rename, from, to, 0);
}

apus_poll apus_path_unlink(struct apus_cx *cx, struct apus_op *op, const char *path)
{
	return path_plain(cx, op, &apusi_verb_unlink, path, NULL, 0);
}

apus_poll apus_path_mkdir(struct apus_cx *cx, struct apus_op *op, const char *path, mode_t mode)
{
	return path_plain(cx, op, &apusi_verb_mkdir, path, NULL, mode);
}

apus_poll apus_path_rmdir(struct apus_cx *cx, struct apus_op *op, const char *path)
{
	return path_plain(cx, op, &apusi_verb_rmdir, path, NULL, 0);
}

/* ---- directories ------------------------------------------------------------------------------- */

static apus_poll list_begin(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call)
{
	struct apusi_file *file = apusi_file_find(cx->files, call->object);
	struct apusi_work *work;
	bool answered;
	int err;

	if (file == NULL || !(file->flags & APUSI_FILE_DIRECTORY))
		return -ESTALE;
	if (call->bytes < APUS_ENTRY_BYTES_MAX || (uintptr_t)call->data % sizeof(uint64_t) != 0)
		return -EINVAL;
	if (file->uses != 0)
		return -EBUSY; /* the stream is a helper's */
	if (cx->files->is_sim) {
		err = apusi_file_sim_list(cx, op, call, file);
		return err ? err : apusi_op_look(cx, op, call, &answered);
	}
	err = apusi_work_claim(cx, op, call, file, NULL, &work);
	if (err)
		return err;
	work->data = (void *)(uintptr_t)call->data;
	work->stream = file->stream;
	work->entry = file->entry;
	apusi_work_lend(cx, op, call->data);
	return apusi_work_submit(cx, op);
}

apus_poll apus_directory_read(struct apus_cx *cx, struct apus_op *op,
	struct apus_directory directory, void *buffer, size_t bytes)
{
	const struct apusi_call call = { &apusi_verb_list, directory.token, buffer, bytes, 0 };
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &call, &answered);

	if (answer == APUSI_OP_IDLE)
		return list_begin(cx, op, &call);
	return apusi_work_end(cx, op, answer, answered);
}
