#include "io/uring.h"

const struct apusi_backend apusi_backend_uring = {
	.name = "uring",
	.watches_apart = true,
	.open = apusi_uring_open,
	.reap = apusi_uring_reap,
	.submit = apusi_uring_submit,
	.close = apusi_uring_close,
	.watch = apusi_uring_watch,
	.remove = apusi_uring_remove,
	.set_wake = apusi_uring_set_wake,
	.fd = apusi_uring_fd,
	.check = apusi_uring_check,
	.read = apusi_uring_read,
	.read_segment = apusi_uring_read_segment,
	.has = apusi_uring_has,
	.accept = apusi_uring_accept,
	.drop = apusi_uring_drop,
	.let_go = apusi_uring_let_go,
	.lend = apusi_uring_lend,
	.has_native = apusi_uring_has_native,
	.begin_native = apusi_uring_begin_native,
};
