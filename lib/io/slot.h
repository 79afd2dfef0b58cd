/*
 * io/slot.h - what the files of the socket table share, and no backend needs.
 *
 *   Errors     0 or -errno.
 *   Threads    the loop's thread only.
 *
 * choose.c picks the backend, slot.c has the slots, hot.c those that are tried every turn, io.c
 * opens and closes all of it, parks, and has the calls that take a handle.
 */
#ifndef APUSI_IO_SLOT_H
#define APUSI_IO_SLOT_H

#include "io/backend.h"

/* Which kind it is to be, before anything is opened; then the backend itself. */
int apusi_io_choose(struct apus_io *io, char *reason, size_t reason_bytes);
int apusi_io_open_backend(struct apus_io *io, char *reason, size_t reason_bytes);

/* The kernel is not asked about it any more, in either direction. */
void apusi_slot_unwatch(struct apus_io *io, struct apusi_slot *slot);

/* Ends the slot; the descriptor, which it answers, is closed by the caller if `closes`. */
int apusi_slot_end(struct apus_io *io, struct apusi_slot *slot, bool closes);

void apusi_hot_unlink(struct apus_io *io, struct apusi_slot *slot);

/* Before the kernel is asked to wait: what is tried directly must be able to end that. */
int apusi_hot_watch(struct apus_io *io);

#endif
