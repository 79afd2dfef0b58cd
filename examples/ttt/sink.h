/*
 * sink.h - bytes on their way to the end of a file: a buffer, and the file.  Whoever writes them
 * (scribe.c) takes them from the buffer; a disk that is full leaves them there.
 *
 *   Units      bytes.
 *   Errors     open: 0 or -errno.  put: 0, or -EAGAIN: no room, nothing was taken.
 *   Ownership  the sink owns the file and its buffer.
 *   Threads    one at a time.
 *   Cost       put: a copy.  No malloc after open.
 */
#ifndef TTT_SINK_H
#define TTT_SINK_H

#include <apus/file.h>

#include <stddef.h>
#include <stdint.h>

#define SINK_BYTES (1 << 20)

struct sink {
	int fd;                  /* -1: not open */
	struct apus_file file;   /* the same, of the loop that writes */
	uint8_t *bytes;
	size_t begin, end;
};

/* Blocks; before anything is hot. */
int sink_open(struct sink *sink, const char *path);
int sink_close(struct sink *sink);

static inline size_t sink_room(const struct sink *sink)
{
	return SINK_BYTES - (sink->end - sink->begin);
}

int sink_put(struct sink *sink, const void *bytes, size_t size);

/* So many from the front are written. */
static inline void sink_wrote(struct sink *sink, size_t size)
{
	sink->begin += size;
	if (sink->begin == sink->end)
		sink->begin = sink->end = 0;
}

#endif
