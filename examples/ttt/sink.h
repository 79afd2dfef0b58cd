/*
 * sink.h - bytes to the end of a file, by a buffer.  A disk that is full is no error: the bytes
 * stay, and are written when there is room again.
 *
 *   Units      bytes.
 *   Errors     open: 0 or -errno.  put: 0, or -EAGAIN: no room, nothing was taken.  flush: 0, or
 *              -ENOSPC: the disk is full (or the limit reached), or what else the write says.
 *   Ownership  the sink owns the file and its buffer.
 *   Threads    one.
 *   Cost       put: a copy.  flush: a write.  No malloc after open.
 */
#ifndef TTT_SINK_H
#define TTT_SINK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SINK_BYTES (1 << 20)

struct sink {
	int fd;                                             /* -1: not open */
	uint8_t *bytes;
	size_t begin, end;
	ssize_t (*write)(int fd, const void *bytes, size_t size); /* a test's own may be put here */
};

int sink_open(struct sink *sink, const char *path);
int sink_close(struct sink *sink);

static inline size_t sink_room(const struct sink *sink)
{
	return SINK_BYTES - (sink->end - sink->begin);
}

int sink_put(struct sink *sink, const void *bytes, size_t size);
int sink_flush(struct sink *sink);

#endif
