/*
 * poll(2) to the nanosecond, where that can be had.  By the file that configure chose.
 */
#ifndef IO_WAIT_FDS_H
#define IO_WAIT_FDS_H

#include <poll.h>
#include <stdint.h>

/* As poll, for POLLIN alone, until timeout_ns (APUS_NEVER: without limit). */
int apusi_wait_fds(struct pollfd *polled, nfds_t count, int64_t timeout_ns);

#endif
