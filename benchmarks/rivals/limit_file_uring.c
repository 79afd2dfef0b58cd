/*
 * io_uring without a runtime: so many reads a submission, reaped as they come.
 *
 * Left out: whose the answers are.  Kept: the same blocks, checked.  A ring as a loop of ours
 * would have it: a single issuer, work deferred to when it is asked for.
 */
#include "../bench_file.h"

#include <liburing.h>
#include <string.h>
#include <unistd.h>

struct reader {
	struct io_uring ring;
	int fd;
	char *buffers;
	uint64_t random;
	uint64_t offsets[FILE_DEPTH];
};

static bool round_read(struct reader *reader, uint32_t depth)
{
	struct io_uring_cqe *cqes[FILE_DEPTH];
	uint32_t taken = 0, i, n;

	for (i = 0; i < depth; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&reader->ring);

		reader->offsets[i] = file_offset(&reader->random);
		io_uring_prep_read(sqe, reader->fd, reader->buffers + i * FILE_BLOCK, FILE_BLOCK,
			reader->offsets[i]);
		io_uring_sqe_set_data64(sqe, i);
	}
	while (taken < depth) {
		if (io_uring_submit_and_wait(&reader->ring, depth - taken) < 0)
			return false;
		n = io_uring_peek_batch_cqe(&reader->ring, cqes, depth);
		for (i = 0; i < n; i++)
			if (cqes[i]->res != FILE_BLOCK ||
			    !file_is_block(reader->buffers + cqes[i]->user_data * FILE_BLOCK,
				    reader->offsets[cqes[i]->user_data]))
				return false;
		io_uring_cq_advance(&reader->ring, n);
		taken += n;
	}
	return true;
}

static void sample(struct bench *b, struct reader *reader, uint32_t depth)
{
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i += depth)
			if (!round_read(reader, depth)) {
				bench_fail(b, "io_uring read");
				return;
			}
		bench_sample(b, b->batch);
	}
}

static void run(struct bench *b)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	struct reader reader = { .fd = file_make(b), .random = BENCH_SEED };
	int err;

	if (reader.fd < 0)
		return;
	reader.buffers = file_buffers(b);
	err = io_uring_queue_init_params(FILE_DEPTH, &reader.ring, &params);
	if (err < 0) {
		bench_skip(b, "io_uring: %s", strerror(-err));
	} else {
		if (reader.buffers != NULL)
			sample(b, &reader, (uint32_t)b->arg);
		io_uring_queue_exit(&reader.ring);
	}
	if (reader.buffers != NULL)
		file_buffers_free(reader.buffers);
	close(reader.fd);
}
BENCH_ENTRANT(file_qd1_uring, .row = "file/read_4k/qd1", .who = "uring", .run = run, .arg = 1);
BENCH_ENTRANT(file_qd32_limit, .row = "file/read_4k/qd32", .who = "limit", .run = run,
	.arg = FILE_DEPTH);
