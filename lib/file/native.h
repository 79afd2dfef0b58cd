/*
 * What the backend can do with files by itself: 0, begun; -ENOTSUP: it is a helper's; or
 * -EAGAIN, all of its requests are in use.
 */
#ifndef FILE_NATIVE_H
#define FILE_NATIVE_H

#include "file/inner.h"
#include "io/native.h"

/* whole: of the simulated files, as a helper does it: all of it, or to the end or an error. */
int apusi_file_native_transfer(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, const struct iovec *list, uint32_t count, uint64_t fixed,
	bool whole);
int apusi_file_native_plain(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, int flags);
int apusi_file_native_close(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call);
int apusi_file_native_stat(struct apus_cx *cx, struct apus_op *op, struct apusi_file *file,
	const struct apusi_call *call, const char *path);

/* What a request of a stat has brought, the kernel's or a helper's. */
void apusi_file_stat_take(const struct apus_cx *cx, struct apusi_op *request,
	struct apus_stat *out);

int apusi_file_native_open(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	int flags, mode_t mode);
int apusi_file_native_path(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const char *other);

/* What helpers do for every kernel, and the simulated one by itself. */
int apusi_file_sim_copy(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *from, struct apusi_file *to, uint64_t to_offset);
int apusi_file_sim_send(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *file, uint64_t to);
int apusi_file_sim_list(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	struct apusi_file *file);

/* Where a copy that is in flight goes to, either way. */
uint64_t apusi_file_copy_to(const struct apus_cx *cx, struct apusi_op *request);

#endif
