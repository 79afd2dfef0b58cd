#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channels/barrier.h"

bool apusi_barrier_register(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool apusi_barrier_all(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}
