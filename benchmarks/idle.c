/*
 * idle.c - connections that nothing arrives on, each awaited by a task.
 */
#include "bench_idle.h"

#include <stdlib.h>

struct reader {
	struct apus_frame frame;
	struct apus_tcp stream;
	char buf[ECHO_BYTES];
	apus_poll got;
};

APUS_TASK(reader, struct reader)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_tcp_read(cx, self->stream, self->buf, sizeof self->buf));
	APUS_END(self->got);
}

static int reader_start(struct loop_idle *idle, struct apus_loop *loop, uint32_t i)
{
	struct reader init = { .got = 0 };
	int err = apus_tcp_adopt(loop, idle->sockets.ours[i], APUS_BORROWED, &init.stream);

	if (err != 0)
		return err;
	idle->streams[idle->open_count++] = init.stream;
	return apus_spawn_slab(loop, reader, &init, NULL);
}

int loop_idle_open(struct bench *b, struct loop_idle *idle, struct apus_loop *loop,
	uint32_t count)
{
	int err = sockets_open_far(b, &idle->sockets, count);

	idle->open_count = 0;
	idle->streams = malloc((count + 1) * sizeof *idle->streams);
	if (idle->streams == NULL)
		abort();
	for (uint32_t i = 0; err == 0 && i < count; i++) {
		err = reader_start(idle, loop, i);
		loop_refused(b, "a reader", err);
	}
	/* Each reader has begun to wait before the first sample. */
	for (int i = 0; i < 8; i++)
		apus_turn(loop);
	return err;
}

/* Closing wakes the readers, which end in the next turns. */
void loop_idle_close(struct loop_idle *idle, struct apus_loop *loop)
{
	for (uint32_t i = 0; i < idle->open_count; i++)
		apus_tcp_close(loop, idle->streams[i]);
	for (int i = 0; i < 8; i++)
		apus_turn(loop);
	sockets_close(&idle->sockets);
	free(idle->streams);
}
