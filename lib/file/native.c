/*
 * What the backend's kernel carries out by itself: one request each, and no helper.
 */
#define _GNU_SOURCE
#include <fcntl.h>

#include "file/inner.h"
#include "file/native.h"

enum { SYNC_DATA = 1 };

static void native_returned(struct apus_cx *cx, void *file, int64_t result)
{
	(void)result;
	apusi_file_use_end(cx, (struct apusi_file *)file, false);
}

/* The number is free whatever close answers, unless it was given up before it began. */
static void close_returned(struct apus_cx *cx, void *file, int64_t result)
{
	apusi_file_use_end(cx, (struct apusi_file *)file, result != -ECANCELED);
}

/* The file, if there is one, is in use until the answer. */
static int begin(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *file, struct apusi_native *native)
{
	int err;

	if (file != NULL) {
		native->fd = file->fd;
		if (native->returned == NULL)
			native->returned = native_returned;
		native->arg = file;
	}
	err = apusi_native_begin(cx, op, call, native);
	if (!err && file != NULL)
		file->uses++;
	return err;
}

int apusi_file_native_transfer(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, const struct iovec *list, uint32_t count, uint64_t fixed,
	bool whole)
{
	bool reads = call->verb == &apusi_verb_read;
	struct apusi_native native = { .data = list, .bytes = count, .offset = call->offset,
		.lent = count != 0 ? list : NULL, .apart = whole };
	uint32_t i;
	int err;

	/* What goes to the end and fell short, made again, would be there twice. */
	if (!whole && (call->verb == &apusi_verb_append ||
			      (!reads && file->flags & APUSI_FILE_APPEND)))
		return -ENOTSUP;
	native.opcode = reads ? APUSI_NATIVE_READV : APUSI_NATIVE_WRITEV;
	/* Of one buffer only the buffer is lent, and not what describes it. */
	if (count != 0 && call->data == list[0].iov_base) {
		if (count != 1 || list->iov_len > INT32_MAX)
			return whole ? -EINVAL : -ENOTSUP;
		native.opcode = reads ? APUSI_NATIVE_READ : APUSI_NATIVE_WRITE;
		if (call->verb == &apusi_verb_append)
			native.opcode = APUSI_NATIVE_APPEND;
		if (apusi_native_is_fixed(cx->io, fixed)) {
			native.opcode = reads ? APUSI_NATIVE_READ_FIXED : APUSI_NATIVE_WRITE_FIXED;
			native.fixed = fixed;
		}
		native.data = native.lent = list->iov_base;
		native.bytes = (uint32_t)list->iov_len;
	}
	err = begin(cx, op, call, file, &native);
	for (i = 0; !err && i < count; i++)
		apusi_op_lend(cx, op->request, list[i].iov_base);
	return err;
}

int apusi_file_native_plain(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, int flags)
{
	struct apusi_native native = { .offset = 0 };

	if (call->verb == &apusi_verb_sync || call->verb == &apusi_verb_sync_data) {
		native.opcode = APUSI_NATIVE_FSYNC;
		native.flags = call->verb == &apusi_verb_sync_data ? SYNC_DATA : 0;
	} else if (call->verb == &apusi_verb_truncate) {
		native.opcode = APUSI_NATIVE_FTRUNCATE;
		native.offset = call->bytes;
	} else if (call->verb == &apusi_verb_allocate) {
		native.opcode = APUSI_NATIVE_FALLOCATE;
		native.data = (const void *)(uintptr_t)call->bytes;
		native.bytes = (uint32_t)apusi_system_allocate_mode((enum apus_allocate)flags);
		native.offset = call->offset;
	} else if (call->verb == &apusi_verb_stat) {
		return apusi_file_native_stat(cx, op, file, call, NULL);
	} else {
		return -ENOTSUP;
	}
	return begin(cx, op, call, file, &native);
}

/* The last to have an open file may be the one to free its blocks: not on the loop's thread. */
int apusi_file_native_close(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call)
{
	struct apusi_native native = { .opcode = APUSI_NATIVE_CLOSE, .apart = true,
		.returned = close_returned };

	return begin(cx, op, call, file, &native);
}

/* Of the path, or of the file where that is NULL. */
int apusi_file_native_stat(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, const char *path)
{
	struct apusi_native native = { .opcode = APUSI_NATIVE_STATX, .fd = AT_FDCWD, .lent = path,
		.answers = true };

	if (!apusi_system_stat_ask(&native.bytes) && !cx->files->is_sim)
		return -ENOTSUP;
	native.data = path != NULL ? path : "";
	native.flags = (uint32_t)apusi_system_stat_flags(path,
		call->verb != &apusi_verb_link_stat);
	return begin(cx, op, call, file, &native);
}

static void stat_of_sim(const struct apusi_native_stat *found, struct apus_stat *out)
{
	*out = (struct apus_stat){
		.bytes = found->bytes,
		.stored_bytes = found->stored_bytes,
		.inode = found->inode,
		.link_count = found->link_count,
		.mode = found->mode,
		.direct_align = found->direct_align,
		.read_ns = found->read_ns,
		.written_ns = found->written_ns,
		.changed_ns = found->changed_ns,
		.born_ns = found->born_ns,
	};
}

void apusi_file_stat_take(const struct apus_cx *cx, struct apusi_op *request,
	struct apus_stat *out)
{
	if (cx->files->is_sim)
		stat_of_sim(apusi_native_room(request), out);
	else if (apusi_offload_has(request))
		*out = ((const struct apusi_work *)apusi_offload_data(request))->stat;
	else
		apusi_system_stat_read(apusi_native_room(request), out);
}

int apusi_file_native_open(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	int flags, mode_t mode)
{
	struct apusi_native native = {
		.opcode = APUSI_NATIVE_OPENAT,
		.fd = AT_FDCWD,
		.data = call->data,
		.bytes = mode,
		.flags = (uint32_t)(flags | O_CLOEXEC),
		.lent = call->data,
		.owns = true,
	};

	return begin(cx, op, call, NULL, &native);
}

int apusi_file_native_path(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const char *other)
{
	struct apusi_native native = { .fd = AT_FDCWD, .data = call->data, .lent = call->data };
	int err;

	if (call->verb == &apusi_verb_unlink || call->verb == &apusi_verb_rmdir) {
		native.opcode = APUSI_NATIVE_UNLINKAT;
		native.flags = call->verb == &apusi_verb_rmdir ? AT_REMOVEDIR : 0;
	} else if (call->verb == &apusi_verb_mkdir) {
		native.opcode = APUSI_NATIVE_MKDIRAT;
		native.bytes = (uint32_t)call->bytes;
	} else if (call->verb == &apusi_verb_rename) {
		native.opcode = APUSI_NATIVE_RENAMEAT;
		native.bytes = (uint32_t)AT_FDCWD;
		native.offset = (uintptr_t)other;
	} else if (call->verb == &apusi_verb_path_stat || call->verb == &apusi_verb_link_stat) {
		return apusi_file_native_stat(cx, op, NULL, call, (const char *)call->data);
	} else {
		return -ENOTSUP;
	}
	err = begin(cx, op, call, NULL, &native);
	if (!err && other != NULL)
		apusi_op_lend(cx, op->request, other);
	return err;
}

/* ---- what the simulated files alone have ------------------------------------------------ */

_Static_assert(sizeof(struct apusi_native_entry) == sizeof(struct apus_entry) &&
	offsetof(struct apusi_native_entry, bytes) == offsetof(struct apus_entry, bytes) &&
	offsetof(struct apusi_native_entry, name_bytes) == offsetof(struct apus_entry, name_bytes) &&
	offsetof(struct apusi_native_entry, type) == offsetof(struct apus_entry, type),
	"a listing is handed on as it is");
_Static_assert((int)APUSI_NATIVE_FILE == (int)APUS_TYPE_FILE &&
	(int)APUSI_NATIVE_DIRECTORY == (int)APUS_TYPE_DIRECTORY, "and so are its types");

/* Both files are in use until the answer; and what else tells two copies apart. */
struct copying {
	struct apusi_file *from, *to;
	uint64_t to_offset;
};

static struct copying *copying_of(struct apusi_op *request)
{
	return (struct copying *)(void *)((struct apusi_native_op *)(void *)request)->room;
}

static void copy_returned(struct apus_cx *cx, void *arg, int64_t result)
{
	const struct copying both = *(const struct copying *)arg;

	(void)result;
	apusi_file_use_end(cx, both.from, false);
	apusi_file_use_end(cx, both.to, false);
}

int apusi_file_sim_copy(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *from, struct apusi_file *to, uint64_t to_offset)
{
	const struct apusi_native native = {
		.opcode = APUSI_NATIVE_COPY,
		.fd = from->fd,
		.offset = call->offset,
		.data = (const void *)(uintptr_t)call->bytes,
		.index = (uint32_t)to->fd,
		.fixed = to_offset,
		.returned = copy_returned,
	};
	int err = apusi_native_begin(cx, op, call, &native);
	struct copying *both;

	if (err)
		return err;
	both = copying_of(op->request);
	*both = (struct copying){ from, to, to_offset };
	((struct apusi_native_op *)(void *)op->request)->arg = both;
	from->uses++;
	to->uses++;
	return 0;
}

uint64_t apusi_file_copy_to(const struct apus_cx *cx, struct apusi_op *request)
{
	if (cx->files->is_sim)
		return copying_of(request)->to_offset;
	return ((const struct apusi_work *)apusi_offload_data(request))->other_offset;
}

int apusi_file_sim_send(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *file, uint64_t to)
{
	struct apusi_native native = {
		.opcode = APUSI_NATIVE_SEND,
		.offset = call->offset,
		.data = (const void *)(uintptr_t)call->bytes,
		.fixed = to,
	};

	return begin(cx, op, call, file, &native);
}

int apusi_file_sim_list(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *file)
{
	struct apusi_native native = {
		.opcode = APUSI_NATIVE_LIST,
		.data = call->data,
		.bytes = call->bytes < INT32_MAX ? (uint32_t)call->bytes : INT32_MAX,
		.lent = call->data,
	};

	return begin(cx, op, call, file, &native);
}
