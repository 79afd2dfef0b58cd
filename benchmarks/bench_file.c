/*
 * Question   what does a read of a block cost that the page cache has?
 * Unit       ns a read of 4 KiB, at random blocks of a file of 16 MiB.
 *            qd1: one after the other.  qd32: begun 32 at a time, then awaited.
 * Rival      qd1: rivals/limit_file.c, pread.  qd32: rivals/limit_file_uring.c, io_uring
 *            without a runtime, 32 reads a submission.
 * Not shown  a file that is not cached: there the disk is measured.
 */
#define _GNU_SOURCE
#include "bench_file.h"

#include "bench_loop.h"

#include "apus/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

BENCH_ROW(file_qd1, .name = "file/read_4k/qd1", .unit = "ns", .batch = FILE_BATCH);
BENCH_ROW(file_qd32, .name = "file/read_4k/qd32", .unit = "ns", .batch = FILE_BATCH);

int file_make(struct bench *b)
{
	const char *folder = getenv("TMPDIR");
	char path[256], block[FILE_BLOCK] = { 0 };
	uint64_t offset;
	int fd;

	snprintf(path, sizeof path, "%s/apus-bench-XXXXXX", folder ? folder : "/tmp");
	fd = mkstemp(path);
	if (fd < 0) {
		bench_skip(b, "%s: %s", path, strerror(errno));
		return -1;
	}
	unlink(path);
	for (offset = 0; offset < FILE_BYTES; offset += FILE_BLOCK) {
		memcpy(block, &offset, sizeof offset);
		if (pwrite(fd, block, sizeof block, (off_t)offset) != sizeof block ||
		    pread(fd, block, sizeof block, (off_t)offset) != sizeof block) {
			bench_skip(b, "a file of 16 MiB: %s", strerror(errno));
			close(fd);
			return -1;
		}
	}
	return fd;
}

struct reader {
	struct apus_frame frame;
	struct bench *b;
	struct apus_file file;
	struct apus_op ops[FILE_DEPTH];
	uint64_t offsets[FILE_DEPTH];
	char *buffers;
	uint64_t random;
	apus_poll got;
	uint32_t count, i, depth;
};

static apus_poll block_read(struct apus_cx *cx, struct reader *self, uint32_t i)
{
	return apus_file_read_at(cx, &self->ops[i], self->file, self->buffers + i * FILE_BLOCK,
		FILE_BLOCK, self->offsets[i]);
}

APUS_TASK(reads_one, struct reader)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count++) {
			self->offsets[0] = file_offset(&self->random);
			APUS_AWAIT(self->got, block_read(cx, self, 0));
			if (self->got != FILE_BLOCK || !file_is_block(self->buffers, self->offsets[0]))
				return -EIO;
		}
		bench_sample(self->b, self->b->batch);
	}
	APUS_END(0);
}

/* What is answered when it is begun is not awaited. */
APUS_TASK(reads_many, struct reader)
{
	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count += FILE_DEPTH) {
			uint32_t i;

			for (i = 0; i < FILE_DEPTH; i++) {
				self->offsets[i] = file_offset(&self->random);
				self->got = block_read(cx, self, i);
				if (self->got != FILE_BLOCK && self->got != APUS_PENDING)
					return -EIO;
			}
			for (self->i = 0; self->i < FILE_DEPTH; self->i++) {
				if (apus_op_is_busy(&self->ops[self->i]))
					APUS_AWAIT(self->got, block_read(cx, self, self->i));
				if (!file_is_block(self->buffers + self->i * FILE_BLOCK,
						self->offsets[self->i]))
					return -EIO;
			}
		}
		bench_sample(self->b, self->b->batch);
	}
	APUS_END(0);
}

static void run(struct bench *b)
{
	struct reader init = { .b = b, .random = BENCH_SEED };
	struct apus_config config;
	struct apus_loop *loop;
	int fd = file_make(b);

	if (fd < 0)
		return;
	loop_config(&config);
	config.state_bytes = sizeof init;
	loop = loop_open(b, &config);
	init.buffers = file_buffers(b);
	if (loop != NULL && init.buffers != NULL) {
		loop_check(b, apus_file_adopt(loop, fd, APUS_BORROWED, &init.file));
		loop_check(b, b->arg == 1 ? apus_run(loop, reads_one, &init) :
					    apus_run(loop, reads_many, &init));
	}
	if (init.buffers != NULL)
		file_buffers_free(init.buffers);
	if (loop != NULL)
		loop_close(b, loop);
	close(fd);
}
BENCH_ENTRANT(file_qd1_apus, .row = "file/read_4k/qd1", .who = "apus", .run = run, .arg = 1);
BENCH_ENTRANT(file_qd32_apus, .row = "file/read_4k/qd32", .who = "apus", .run = run,
	.arg = FILE_DEPTH);
