/*
 * bench_loop.h - a loop of ours, as the rows of several rooms want it.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include "bench.h"

#include "apus/loop.h"

/* Busy, its budgets beyond every row's crowd; the rest as it comes. */
void loop_config(struct apus_config *config);

/* NULL after a bench_fail with the reason. */
struct apus_loop *loop_open(struct bench *b, struct apus_config *config);

/* NULL after a bench_skip: a backend that this machine may not have. */
struct apus_loop *loop_open_if(struct bench *b, struct apus_config *config);

/* Runs what is left for a second at most; what still is there then is a failure. */
void loop_close(struct bench *b, struct apus_loop *loop);

/* Turns, a batch a sample, until the bench has enough. */
void loop_turns(struct bench *b, struct apus_loop *loop);

/* A loop without a backend for sockets is a skip, all else a failure; false for 0. */
bool loop_refused(struct bench *b, const char *what, int err);

/* A root must end with 0. */
void loop_check(struct bench *b, apus_poll result);

#endif
