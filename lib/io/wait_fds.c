#define _GNU_SOURCE
#include <time.h>

#include "apus/base.h"
#include "io/wait_fds.h"

int apusi_wait_fds(struct pollfd *polled, nfds_t count, int64_t timeout_ns)
{
	struct timespec time = { .tv_sec = timeout_ns / APUS_SEC, .tv_nsec = timeout_ns % APUS_SEC };

	return ppoll(polled, count, timeout_ns == APUS_NEVER ? NULL : &time, NULL);
}
