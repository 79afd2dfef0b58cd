/*
 * The least read of a cached block: pread.
 *
 * Left out: handles, and a disk that makes everybody wait.  Kept: the same blocks, checked.
 */
#include "../bench_file.h"

#include <unistd.h>

static void qd1(struct bench *b)
{
	int fd = file_make(b);
	uint64_t random = BENCH_SEED;
	char *buffers;

	if (fd < 0)
		return;
	buffers = file_buffers(b);
	while (buffers != NULL && bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			uint64_t offset = file_offset(&random);

			if (pread(fd, buffers, FILE_BLOCK, (off_t)offset) != FILE_BLOCK ||
			    !file_is_block(buffers, offset)) {
				bench_fail(b, "pread");
				break;
			}
		}
		bench_sample(b, b->batch);
	}
	if (buffers != NULL)
		file_buffers_free(buffers);
	close(fd);
}
BENCH_ENTRANT(file_qd1_limit, .row = "file/read_4k/qd1", .who = "limit", .run = qd1);
