/*
 * copy_file - a copy with two buffers: while one is written, the next is read.
 *
 *	copy_file FROM TO      copies; without arguments it tries itself on a file of its own
 *
 * Each operation names an object, and an object names one operation: the write that was begun
 * is awaited when its buffer is needed again, not before.  Whatever ends the task, its buffers
 * stay until the kernel has let go of them, and then its cleanup runs: see apus/op.h.
 */
#include <apus.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFERS = 2, BUFFER_BYTES = 256 * 1024 };

struct copy {
	struct apus_frame frame;
	const char *from_path, *to_path;
	struct apus_file from, to;
	struct apus_op op;                /* of what is awaited at once */
	struct {
		struct apus_op op;        /* of the write */
		apus_poll bytes;          /* that were read into it; 0: it is free */
		uint64_t offset;
		char *data;
	} buffers[BUFFERS];
	apus_poll got;
	uint64_t offset;
	unsigned at;
};

/* Runs once, on every way out, when nobody else has any of the buffers. */
static void copy_end(struct apus_cx *cx, struct copy *self)
{
	int i;

	apus_file_drop(cx->loop, self->from); /* a stale handle is no harm */
	apus_file_drop(cx->loop, self->to);
	for (i = 0; i < BUFFERS; i++)
		free(self->buffers[i].data);
}

static apus_poll buffer_write(struct apus_cx *cx, struct copy *self, unsigned at)
{
	return apus_file_write_at(cx, &self->buffers[at].op, self->to, self->buffers[at].data,
		(size_t)self->buffers[at].bytes, self->buffers[at].offset);
}

/* 0 once all that was read into the buffer has been written. */
static apus_poll buffer_free(struct apus_cx *cx, struct copy *self, unsigned at)
{
	apus_poll bytes = self->buffers[at].bytes, written;

	if (bytes == 0)
		return 0;
	written = buffer_write(cx, self, at);
	if (written == APUS_PENDING || written < 0)
		return written;
	self->buffers[at].bytes = 0;
	return written == bytes ? 0 : -ENOSPC;
}

APUS_TASK(copy, struct copy, copy_end)
{
	APUS_BEGIN(cx, self);
	for (self->at = 0; self->at < BUFFERS; self->at++) {
		self->buffers[self->at].data = malloc(BUFFER_BYTES);
		if (self->buffers[self->at].data == NULL)
			return -ENOMEM;
	}
	APUS_TRY(self->got, apus_file_open(cx, &self->op, self->from_path, O_RDONLY, 0, &self->from));
	APUS_TRY(self->got, apus_file_open(cx, &self->op, self->to_path,
		O_WRONLY | O_CREAT | O_TRUNC, 0666, &self->to));
	for (self->at = 0;; self->at = (self->at + 1) % BUFFERS) {
		/* The last write from this buffer. */
		APUS_TRY(self->got, buffer_free(cx, self, self->at));
		APUS_TRY(self->got, apus_file_read_at(cx, &self->op, self->from,
			self->buffers[self->at].data, BUFFER_BYTES, self->offset));
		if (self->got == 0)
			break;
		self->buffers[self->at].bytes = self->got;
		self->buffers[self->at].offset = self->offset;
		self->offset += (uint64_t)self->got;
		buffer_write(cx, self, self->at); /* begun, and awaited when the turn comes round */
	}
	for (self->at = 0; self->at < BUFFERS; self->at++)
		APUS_TRY(self->got, buffer_free(cx, self, self->at));
	APUS_TRY(self->got, apus_file_sync_data(cx, &self->op, self->to));
	APUS_TRY(self->got, apus_file_close(cx, &self->op, self->to));
	APUS_END((apus_poll)self->offset);
}

static apus_poll copy_paths(const char *from, const char *to)
{
	struct copy init = { .from_path = from, .to_path = to };
	struct apus_config config;
	struct apus_loop *loop;
	apus_poll copied;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK; /* most of the time the disk is at work */
	if (apus_open(&loop, &config) != 0)
		return -ENOMEM;
	copied = apus_run(loop, copy, &init);
	return apus_close(loop, NULL) == 0 ? copied : -EBUSY;
}

/* A million numbers, there and back. */
static int try_itself(void)
{
	char from[] = "/tmp/copy_file-XXXXXX", to[sizeof from + 2];
	FILE *file = fdopen(mkstemp(from), "w");
	char command[2 * sizeof to + 8];
	apus_poll copied;
	long bytes;
	int i, failed;

	if (file == NULL)
		return 1;
	for (i = 0; i < 1000000; i++)
		fprintf(file, "%d\n", i);
	bytes = ftell(file);
	fclose(file);
	snprintf(to, sizeof to, "%s-2", from);
	copied = copy_paths(from, to);
	printf("copied %lld of %ld bytes\n", (long long)copied, bytes);
	snprintf(command, sizeof command, "cmp %s %s", from, to);
	failed = copied != bytes || system(command) != 0;
	unlink(from);
	unlink(to);
	return failed;
}

int main(int argc, char **argv)
{
	apus_poll copied;

	if (argc != 3)
		return try_itself();
	copied = copy_paths(argv[1], argv[2]);
	if (copied < 0)
		fprintf(stderr, "copy_file: %s\n", strerror((int)-copied));
	return copied < 0;
}
