#include "channels/barrier.h"

/* Without one each publisher pays for its own. */

bool apusi_barrier_register(void)
{
	return false;
}

bool apusi_barrier_all(void)
{
	return false;
}
