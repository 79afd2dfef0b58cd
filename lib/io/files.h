/*
 * io/files.h - the system calls of the simulated files, for handles that are theirs.
 *
 *   Errors     0, a count or flags, or -errno.
 *   Threads    the loop's thread only.
 *
 * Where the room of files makes a system call by itself, a loop with the simulated backend has
 * one of these instead; all others reach it as requests, see io/native.h.
 */
#ifndef APUSI_IO_FILES_H
#define APUSI_IO_FILES_H

#include <sys/uio.h>

#include "io/backend.h"

struct apusi_op;

/* As fcntl(2) with F_GETFL.  -EINVAL: a real descriptor. */
int apusi_sim_file_flags(struct apus_io *io, int number);
/* As close(2), now. */
void apusi_sim_file_close(struct apus_io *io, int number);
/* Only what the page cache has: the bytes, or -EAGAIN. */
int64_t apusi_sim_file_cached(struct apus_io *io, int number, const struct iovec *list, int count,
	uint64_t offset);
/* The request was carried out as by a helper: what it did is all that can be done. */
bool apusi_sim_file_is_whole(const struct apusi_op *request);

#endif
