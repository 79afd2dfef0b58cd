/*
 * bench_channel.h - the sizes that every entrant of channel/ and cross/ uses, and what a pair
 * of a send and a receive on one thread is.
 */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include "bench.h"

#define CHANNEL_CAPACITY 64
#define CHANNEL_BATCH 1000
#define CROSS_CAPACITY 1024
#define CROSS_BATCH 10000
#define CROSS_MANY 32

/* An entrant that sends `message` to `channel` and receives it into `out`, again and again. */
#define CHANNEL_PAIR(id, row_, who_, type, init, send, recv)                         \
	static void id(struct bench *b)                                              \
	{                                                                            \
		static type object;                                                  \
		type *channel = &object;                                             \
		uint64_t out = 0, sum = 0, message;                                  \
                                                                                     \
		init;                                                                \
		while (bench_more(b)) {                                              \
			for (message = 0; message < b->batch; message++) {           \
				int err = send;                                      \
                                                                                     \
				bench_use(channel);                                  \
				err |= recv;                                         \
				bench_use(channel);                                  \
				if (err != 0 || out != message)                      \
					bench_fail(b, "a message was refused or lost"); \
				sum += out;                                          \
			}                                                            \
			bench_sample(b, b->batch);                                   \
		}                                                                    \
		bench_use_value(sum);                                                \
	}                                                                            \
	BENCH_ENTRANT(id##_by, .row = row_, .who = who_, .run = id)

#endif
