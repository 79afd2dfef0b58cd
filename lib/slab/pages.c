#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "slab/pages.h"

enum {
	NODE_MAX = 1024,
	NODE_WORD_BITS = 8 * sizeof(unsigned long),
	BIND = 2, /* the kernel's MPOL_BIND, whose header is libnuma's */
};

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int apusi_pages_huge_flags(void)
{
	return MAP_HUGETLB | MAP_NORESERVE | 21 << MAP_HUGE_SHIFT;
}

int apusi_pages_populate(void *bytes, size_t count)
{
	return madvise(bytes, count, MADV_POPULATE_WRITE) == 0 ? 0 : -errno;
}

void apusi_pages_prefer_huge(void *bytes, size_t count)
{
	(void)madvise(bytes, count, MADV_HUGEPAGE);
}

void apusi_pages_settle(void *bytes, size_t count)
{
	(void)madvise(bytes, count, MADV_NOHUGEPAGE);
}

int apusi_pages_bind(void *bytes, size_t count, int node)
{
	unsigned long nodes[NODE_MAX / NODE_WORD_BITS] = { 0 };

	if (node < 0 || node >= NODE_MAX)
		return -EINVAL;
	nodes[node / NODE_WORD_BITS] |= 1ul << (node % NODE_WORD_BITS);
	return syscall(SYS_mbind, bytes, count, BIND, nodes, NODE_MAX + 1, 0) == 0 ? 0 : -errno;
}
