/*
 * A full barrier in every running thread of the process, which spares the others theirs.  By
 * the file that configure chose.
 */
#ifndef CHANNELS_BARRIER_H
#define CHANNELS_BARRIER_H

#include <stdbool.h>

/* True: it can be had.  Once registered a process stays so. */
bool apusi_barrier_register(void);
/* True: every running thread has passed one. */
bool apusi_barrier_all(void);

#endif
