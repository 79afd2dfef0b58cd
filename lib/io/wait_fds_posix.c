#include <sys/select.h>
#include <time.h>

#include "apus/base.h"
#include "io/wait_fds.h"

/* A number that select(2) cannot name: in milliseconds, rounded up, so late and not early. */
static int wait_coarse(struct pollfd *polled, nfds_t count, int64_t timeout_ns)
{
	int64_t ms = timeout_ns / APUS_MSEC + (timeout_ns % APUS_MSEC != 0);

	return poll(polled, count, timeout_ns == APUS_NEVER ? -1 : ms < 60000 ? (int)ms : 60000);
}

/* The highest number. */
static int set_fill(const struct pollfd *polled, nfds_t count, fd_set *set)
{
	int most = -1;
	nfds_t i;

	FD_ZERO(set);
	for (i = 0; i < count; i++) {
		if (polled[i].fd > most)
			most = polled[i].fd;
		if (polled[i].fd >= 0 && polled[i].fd < FD_SETSIZE)
			FD_SET(polled[i].fd, set);
	}
	return most;
}

int apusi_wait_fds(struct pollfd *polled, nfds_t count, int64_t timeout_ns)
{
	struct timespec time = { .tv_sec = timeout_ns / APUS_SEC, .tv_nsec = timeout_ns % APUS_SEC };
	fd_set set;
	int most = set_fill(polled, count, &set), ready;
	nfds_t i;

	if (most >= FD_SETSIZE)
		return wait_coarse(polled, count, timeout_ns);
	ready = pselect(most + 1, &set, NULL, NULL, timeout_ns == APUS_NEVER ? NULL : &time, NULL);
	for (i = 0; i < count; i++)
		polled[i].revents = ready > 0 && polled[i].fd >= 0 && FD_ISSET(polled[i].fd, &set) ?
			POLLIN : 0;
	return ready;
}
