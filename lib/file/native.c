/*
 * What the backend's kernel carries out by itself: one request each, and no helper.
 */
#define _GNU_SOURCE
#include <fcntl.h>

#include "file/inner.h"
#include "file/native.h"

/* As io_uring numbers them; whether this kernel has one is asked at run time. */
enum {
	OP_READV = 1,
	OP_WRITEV = 2,
	OP_FSYNC = 3,
	OP_READ_FIXED = 4,
	OP_WRITE_FIXED = 5,
	OP_FALLOCATE = 17,
	OP_OPENAT = 18,
	OP_CLOSE = 19,
	OP_STATX = 21,
	OP_READ = 22,
	OP_WRITE = 23,
	OP_RENAMEAT = 35,
	OP_UNLINKAT = 36,
	OP_MKDIRAT = 37,
	OP_FTRUNCATE = 55
};

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
	const struct apusi_call *call, const struct iovec *list, uint32_t count, uint64_t fixed)
{
	bool reads = call->verb == &apusi_verb_read;
	struct apusi_native native = { .data = list, .bytes = count, .offset = call->offset,
		.lent = list };
	uint32_t i;
	int err;

	if (call->verb == &apusi_verb_append)
		return -ENOTSUP;
	native.opcode = reads ? OP_READV : OP_WRITEV;
	/* Of one buffer only the buffer is lent, and not what describes it. */
	if (call->data == list[0].iov_base) {
		if (count != 1 || list->iov_len > INT32_MAX)
			return -ENOTSUP;
		native.opcode = reads ? OP_READ : OP_WRITE;
		if (apusi_native_is_fixed(cx->io, fixed)) {
			native.opcode = reads ? OP_READ_FIXED : OP_WRITE_FIXED;
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
		native.opcode = OP_FSYNC;
		native.flags = call->verb == &apusi_verb_sync_data ? SYNC_DATA : 0;
	} else if (call->verb == &apusi_verb_truncate) {
		native.opcode = OP_FTRUNCATE;
		native.offset = call->bytes;
	} else if (call->verb == &apusi_verb_allocate) {
		native.opcode = OP_FALLOCATE;
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
	struct apusi_native native = { .opcode = OP_CLOSE, .apart = true,
		.returned = close_returned };

	return begin(cx, op, call, file, &native);
}

/* Of the path, or of the file where that is NULL. */
int apusi_file_native_stat(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, const char *path)
{
	struct apusi_native native = { .opcode = OP_STATX, .fd = AT_FDCWD, .lent = path,
		.answers = true };

	if (!apusi_system_stat_ask(&native.bytes))
		return -ENOTSUP;
	native.data = path != NULL ? path : "";
	native.flags = (uint32_t)apusi_system_stat_flags(path,
		call->verb != &apusi_verb_link_stat);
	return begin(cx, op, call, file, &native);
}

void apusi_file_stat_take(struct apusi_op *request, struct apus_stat *out)
{
	if (apusi_offload_has(request))
		*out = ((const struct apusi_work *)apusi_offload_data(request))->stat;
	else
		apusi_system_stat_read(apusi_native_room(request), out);
}

int apusi_file_native_open(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	int flags, mode_t mode)
{
	struct apusi_native native = {
		.opcode = OP_OPENAT,
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
		native.opcode = OP_UNLINKAT;
		native.flags = call->verb == &apusi_verb_rmdir ? AT_REMOVEDIR : 0;
	} else if (call->verb == &apusi_verb_mkdir) {
		native.opcode = OP_MKDIRAT;
		native.bytes = (uint32_t)call->bytes;
	} else if (call->verb == &apusi_verb_rename) {
		native.opcode = OP_RENAMEAT;
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
