/* sink.c - bytes to the end of a file. */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sink_open(struct sink *sink, const char *path)
{
	memset(sink, 0, sizeof(*sink));
	sink->write = write;
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
	int err = sink->fd >= 0 ? sink_flush(sink) : 0;

	if (sink->fd >= 0 && close(sink->fd) != 0 && !err)
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

int sink_flush(struct sink *sink)
{
	while (sink->begin < sink->end) {
		ssize_t wrote = sink->write(sink->fd, sink->bytes + sink->begin,
			sink->end - sink->begin);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
		sink->begin += (size_t)wrote;
	}
	sink->begin = sink->end = 0;
	return 0;
}
