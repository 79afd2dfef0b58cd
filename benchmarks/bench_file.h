/*
 * bench_file.h - what every entrant of file/ does alike: the file, and where it is read.
 */
#ifndef BENCH_FILE_H
#define BENCH_FILE_H

#include "bench.h"

#define FILE_BYTES (16 << 20)
#define FILE_BLOCK 4096
#define FILE_DEPTH 32
#define FILE_BATCH 320

/* A file in TMPDIR without a name, written and read once, so that it is cached; -1: skipped. */
int file_make(struct bench *b);

/* FILE_DEPTH blocks to read into; NULL after a bench_skip. */
static inline char *file_buffers(struct bench *b)
{
	return (char *)bench_pages(b, (size_t)FILE_DEPTH * FILE_BLOCK);
}

static inline void file_buffers_free(char *buffers)
{
	bench_pages_free(buffers, (size_t)FILE_DEPTH * FILE_BLOCK);
}

/* Any block, the same sequence for every entrant. */
static inline uint64_t file_offset(uint64_t *state)
{
	return bench_random(state) % (FILE_BYTES / FILE_BLOCK) * FILE_BLOCK;
}

/* Each block begins with its offset. */
static inline bool file_is_block(const char *buffer, uint64_t offset)
{
	return *(const uint64_t *)(const void *)buffer == offset;
}

#endif
