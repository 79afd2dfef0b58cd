/*
 * Sleeping on a word: for plain threads that wait for a loop or for a channel's other end.
 */
#ifndef WAIT_FUTEX_H
#define WAIT_FUTEX_H

#include "apus/base.h"

/*
 * Sleeps while *word is value, at most timeout_ns (APUS_NEVER: without limit); may wake for no
 * reason.  shared: the word lies in memory that processes share.  0 or -ETIME.
 */
int apusi_futex_wait(uint32_t *word, uint32_t value, int64_t timeout_ns, bool shared);
void apusi_futex_wake_one(uint32_t *word, bool shared);
void apusi_futex_wake_all(uint32_t *word, bool shared);

#endif
