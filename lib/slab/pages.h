/*
 * What a slab asks of the kernel's memory beyond mmap.  By the file that configure chose.
 */
#ifndef SLAB_PAGES_H
#define SLAB_PAGES_H

#include <stddef.h>

/* The flags of mmap for the pool of huge pages of 2 MiB; -1: there is none. */
int apusi_pages_huge_flags(void);
/* Makes pages of that pool real now: 0 or -errno. */
int apusi_pages_populate(void *bytes, size_t count);
/* Large pages where they happen to be had: a wish, which nobody has to grant. */
void apusi_pages_prefer_huge(void *bytes, size_t count);
/* What lies there stays as it is: no thread of the kernel makes huge pages of it later. */
void apusi_pages_settle(void *bytes, size_t count);
/* Binds a range to a node: 0, -EINVAL (there is none), -ENOTSUP or what the kernel says. */
int apusi_pages_bind(void *bytes, size_t count, int node);

#endif
