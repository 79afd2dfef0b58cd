/*
 * libuv's uv_fs_read, which its pool of four threads answers.  The pool lives on other processors
 * than the loop, which sleeps for it.
 *
 * Left out: reading without the pool, for which libuv has its calls without a callback: those are
 * a pread, and the limit.  Kept: the same blocks, checked.
 */
#define _GNU_SOURCE
#include "../bench_file.h"
#include "../bench_wake.h"

#include <sched.h>
#include <unistd.h>
#include <uv.h>

struct reader {
	struct bench *b;
	uv_loop_t loop;
	int fd;
	char *buffers;
	uint64_t random;
	uint64_t offsets[FILE_DEPTH];
	uv_fs_t reads[FILE_DEPTH];
	uint32_t waiting;
};

static void on_read(uv_fs_t *read)
{
	struct reader *reader = read->data;
	uint32_t i = (uint32_t)(read - reader->reads);

	if (read->result != FILE_BLOCK ||
	    !file_is_block(reader->buffers + i * FILE_BLOCK, reader->offsets[i]))
		bench_fail(reader->b, "uv_fs_read");
	uv_fs_req_cleanup(read);
	reader->waiting--;
}

static void round_read(struct reader *reader, uint32_t depth)
{
	for (uint32_t i = 0; i < depth; i++) {
		uv_buf_t buf = uv_buf_init(reader->buffers + i * FILE_BLOCK, FILE_BLOCK);

		reader->offsets[i] = file_offset(&reader->random);
		reader->reads[i].data = reader;
		if (uv_fs_read(&reader->loop, &reader->reads[i], reader->fd, &buf, 1,
			    (int64_t)reader->offsets[i], on_read) == 0)
			reader->waiting++;
		else
			bench_fail(reader->b, "uv_fs_read was refused");
	}
	while (reader->waiting > 0)
		uv_run(&reader->loop, UV_RUN_ONCE);
}

/* The first call of a process starts the pool, on the processor of whoever makes it. */
static bool pool_start(struct reader *reader)
{
	cpu_set_t here;
	bool moved;

	sched_getaffinity(0, sizeof here, &here);
	moved = wake_elsewhere(reader->b);
	if (moved)
		round_read(reader, 1);
	else
		bench_skip(reader->b, "this needs a second processor");
	sched_setaffinity(0, sizeof here, &here);
	return moved;
}

static void sample(struct bench *b, struct reader *reader)
{
	uint32_t depth = (uint32_t)b->arg;

	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i += depth)
			round_read(reader, depth);
		bench_sample(b, b->batch);
	}
}

static void run(struct bench *b)
{
	static struct reader reader;

	reader = (struct reader){ .b = b, .fd = file_make(b), .random = BENCH_SEED };
	if (reader.fd < 0)
		return;
	reader.buffers = file_buffers(b);
	if (reader.buffers != NULL && uv_loop_init(&reader.loop) == 0) {
		if (pool_start(&reader))
			sample(b, &reader);
		if (uv_loop_close(&reader.loop) != 0)
			bench_fail(b, "libuv's loop is still in use");
	}
	if (reader.buffers != NULL)
		file_buffers_free(reader.buffers);
	close(reader.fd);
}
BENCH_ENTRANT(file_qd1, .row = "file/read_4k/qd1", .who = "libuv", .run = run, .arg = 1);
BENCH_ENTRANT(file_qd32, .row = "file/read_4k/qd32", .who = "libuv", .run = run,
	.arg = FILE_DEPTH);
