/*
 * bench_net_many.h - the sizes of tcp_echo_256 and tcp_stream_4k_w32.
 */
#ifndef BENCH_NET_MANY_H
#define BENCH_NET_MANY_H

#include "bench_sockets.h"

#include <errno.h>

enum { ECHO_CROWD = 256, STREAM_BYTES = 4096, STREAM_WINDOW = 32, STREAM_READ = 65536 };

/* What came of a message that is not yet whole. */
struct stream_count {
	size_t rest;
};

/* How many messages are whole now that so many bytes more have come. */
static inline uint32_t stream_count(struct stream_count *count, size_t bytes)
{
	size_t whole = (count->rest + bytes) / STREAM_BYTES;

	count->rest = (count->rest + bytes) % STREAM_BYTES;
	return (uint32_t)whole;
}

#endif
