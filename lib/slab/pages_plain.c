#include <errno.h>

#include "slab/pages.h"

/* Plain pages alone. */

int apusi_pages_huge_flags(void)
{
	return -1;
}

int apusi_pages_populate(void *bytes, size_t count)
{
	(void)bytes, (void)count;
	return 0;
}

void apusi_pages_prefer_huge(void *bytes, size_t count)
{
	(void)bytes, (void)count;
}

void apusi_pages_settle(void *bytes, size_t count)
{
	(void)bytes, (void)count;
}

int apusi_pages_bind(void *bytes, size_t count, int node)
{
	(void)bytes, (void)count, (void)node;
	return -ENOTSUP;
}
