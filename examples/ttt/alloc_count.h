/*
 * alloc_count.h - how often this process has asked for heap memory: malloc and its
 * family are replaced in the executable, so that calls of libraries and of libc count
 * too, in all threads.  Under a sanitizer, which has replaced them itself, nothing is
 * counted, and alloc_is_counted says so.
 */
#ifndef TTT_ALLOC_COUNT_H
#define TTT_ALLOC_COUNT_H

#include <stdbool.h>
#include <stdint.h>

uint64_t alloc_count(void);
bool alloc_is_counted(void);

#endif
