/*
 * bench_jitter.h - how long every entrant of jitter/ is watched.
 */
#ifndef BENCH_JITTER_H
#define BENCH_JITTER_H

#include "bench.h"

#define JITTER_BUDGET_NS INT64_C(500000000)

#endif
