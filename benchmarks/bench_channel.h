/*
 * bench_channel.h - the sizes that every entrant of channel/ uses.
 */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include "bench.h"

#define CHANNEL_CAPACITY 64
#define CHANNEL_BATCH 1000

#endif
