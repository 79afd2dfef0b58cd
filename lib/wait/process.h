/*
 * What all loops of the process share: the pool of ports and waker cells.  All of it, and the
 * memory of ports, cells and remote nodes, lies in mappings that fork() leaves empty in the
 * child: there every waker and join is stale, every remote shut down, the pool empty and its
 * lock free, whatever the parent's threads were doing.  A child never writes an eventfd of
 * its parent's.
 *
 *   Threads    any; the lists and counts under the lock, which open and close take.
 */
#ifndef WAIT_PROCESS_H
#define WAIT_PROCESS_H

#include "apus/waker.h"

struct apusi_process {
	uint32_t lock;
	struct apusi_port *port_free;
	struct apus_waker_cell *cell_free;
	void *signals;                   /* lib/loop/signals.c's table */
	uint64_t port_count, cell_count; /* ever made */
};

/* Zeros that are never unmapped, and are zeros again in a child; NULL: no memory. */
void *apusi_process_map(size_t bytes);

/* The process' one, made by the first call; NULL: no memory. */
struct apusi_process *apusi_process(void);
/* The same, where a signal handler asks: NULL where there is none yet. */
struct apusi_process *apusi_process_peek(void);

void apusi_process_lock(struct apusi_process *process);
void apusi_process_unlock(struct apusi_process *process);

/*
 * Lets another thread go on that has to: yields a few times, then sleeps, so that a thread
 * of higher priority does not keep it from the processor.  *turns starts at 0.
 */
void apusi_back_off(uint32_t *turns);

#endif
