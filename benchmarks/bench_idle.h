/*
 * bench_idle.h - connections that nothing arrives on.
 */
#ifndef BENCH_IDLE_H
#define BENCH_IDLE_H

#include "bench_loop.h"
#include "bench_sockets.h"

#include "apus/net.h"

/*
 * `count` connections that nothing arrives on, each with a task of ours that awaits a read.
 * 0, or negative after a bench_skip or a bench_fail.  close is needed anyhow.
 */
struct loop_idle {
	struct sockets sockets;
	struct apus_tcp *streams;
	uint32_t open_count;
};
int loop_idle_open(struct bench *b, struct loop_idle *idle, struct apus_loop *loop,
	uint32_t count);
void loop_idle_close(struct loop_idle *idle, struct apus_loop *loop);

#endif
