/*
 * What ends a loop's sleep: a descriptor to wait for, and one to write 8 bytes to, which may be
 * the same.  Both are non-blocking and close-on-exec.  By the file that configure chose.
 */
#ifndef WAIT_WAKE_H
#define WAIT_WAKE_H

#include <stdbool.h>

/* ends[0] becomes readable by a write to ends[1]: 0 or -errno. */
int apusi_wake_open(int ends[2]);

/* Whether it takes any number of writes that nobody reads: each is told, and none is refused. */
bool apusi_wake_counts(void);

#endif
