/* sink.c - a buffer before a file. */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sink_open(struct sink *sink, const char *path)
{
	memset(sink, 0, sizeof(*sink));
	sink->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (sink->fd < 0)
		return -errno;
	sink->bytes = malloc(SINK_BYTES);
	if (sink->bytes == NULL) {
		sink_close(sink);
		return -ENOMEM;
	}
	memset(sink->bytes, 0xff, SINK_BYTES); /* so that no page faults later */
	return 0;
}

int sink_close(struct sink *sink)
{
	int err = 0;

	if (sink->fd >= 0 && close(sink->fd) != 0)
		err = -errno;
	sink->fd = -1;
	free(sink->bytes);
	sink->bytes = NULL;
	sink->begin = sink->end = 0;
	return err;
}

int sink_put(struct sink *sink, const void *bytes, size_t size)
{
	if (sink_room(sink) < size)
		return -EAGAIN;
	if (SINK_BYTES - sink->end < size) {
		memmove(sink->bytes, sink->bytes + sink->begin, sink->end - sink->begin);
		sink->end -= sink->begin;
		sink->begin = 0;
	}
	memcpy(sink->bytes + sink->end, bytes, size);
	sink->end += size;
	return 0;
}
