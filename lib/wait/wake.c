#include <errno.h>
#include <sys/eventfd.h>

#include "wait/wake.h"

int apusi_wake_open(int ends[2])
{
	ends[0] = ends[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return ends[0] >= 0 ? 0 : -errno;
}

bool apusi_wake_counts(void)
{
	return true;
}
