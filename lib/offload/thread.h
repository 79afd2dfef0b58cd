/*
 * Where helpers run, and as what.  By the file that configure chose.
 */
#ifndef OFFLOAD_THREAD_H
#define OFFLOAD_THREAD_H

#include "offload/pool.h"

/* Where helpers may run: where the caller may, but not on the loop's own CPU.  0 or -errno. */
int apusi_affinity_take(struct apusi_offload *pool);
/* Places a thread there, in no real-time class: a function that spins would take the core. */
int apusi_thread_place(const struct apusi_offload *pool, pthread_attr_t *attr);
/* What the calling thread is called in lists of threads. */
void apusi_thread_name(const char *name);

#endif
