/*
 * bench_task.h - the sizes that every entrant of task/ uses.
 */
#ifndef BENCH_TASK_H
#define BENCH_TASK_H

#include "bench.h"

#define TASK_BATCH 1000

#endif
