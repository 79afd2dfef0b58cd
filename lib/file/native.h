/*
 * What the backend can do with files by itself: 0, begun; -ENOTSUP: it is a helper's; or
 * -EAGAIN, all of its requests are in use.
 */
#ifndef FILE_NATIVE_H
#define FILE_NATIVE_H

#include "file/inner.h"
#include "io/native.h"

int apusi_file_native_transfer(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, const struct iovec *list, uint32_t count, uint64_t fixed);
int apusi_file_native_plain(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, int flags);
int apusi_file_native_close(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call);
int apusi_file_native_stat(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, const char *path);

/* What a request of a stat has brought, the kernel's or a helper's. */
void apusi_file_stat_take(struct apusi_op *request, struct apus_stat *out);

int apusi_file_native_open(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	int flags, mode_t mode);
int apusi_file_native_path(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const char *other);

#endif
