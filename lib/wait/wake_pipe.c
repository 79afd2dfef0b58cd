#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "wait/wake.h"

/* Without eventfd: a pipe.  One that is full is readable all the same. */

static int end_set(int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

int apusi_wake_open(int ends[2])
{
	int err;

	if (pipe(ends) != 0)
		return -errno;
	err = end_set(ends[0]);
	if (!err)
		err = end_set(ends[1]);
	if (err) {
		close(ends[0]);
		close(ends[1]);
	}
	return err;
}

bool apusi_wake_counts(void)
{
	return false;
}
