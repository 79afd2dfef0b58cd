#define _GNU_SOURCE
#include <sys/mman.h>

#include "wait/process.h"

void *apusi_process_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* Before Linux 4.14 there is no such advice, and children must not touch loops. */
	(void)madvise(memory, bytes, MADV_WIPEONFORK);
	return memory;
}
