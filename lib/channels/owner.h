/*
 * Which processes share a ring, and whether one that holds something of it still lives.
 */
#ifndef CHANNELS_OWNER_H
#define CHANNELS_OWNER_H

#include "apus/ring.h"

/* Enters this process: its id, never 0, or -ENOSPC. */
int64_t apusi_owner_attach(struct apus_ring_memory *memory);
void apusi_owner_detach(struct apus_ring_memory *memory, uint32_t id);

/* The process that had this id has left, or died. */
bool apusi_owner_is_dead(struct apus_ring_memory *memory, uint32_t id);

/* It lives, and since when could not be found out. */
#define APUSI_START_UNKNOWN UINT64_C(1)

/*
 * When the process started, or that it lives; 0: there is none, or it is dead and only not
 * buried.  By the file that configure chose.
 */
uint64_t apusi_process_start(uint32_t pid);

#endif
