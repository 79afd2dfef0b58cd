/*
 * From many to one, with a turn in each slot and a line of those who wait for room; see channel.h.
 */
#define CHANNEL APUS_MPSC
#define CH(verb) apus_mpsc_##verb
#define DEINIT(letters, left) FUZZ_MUST(CH(deinit)(letters) == 0)
#define LINE true
#define FIRSTS { 0, UINT64_C(0xfffffffc), UINT64_C(0x7ffffffffffffffc), UINT64_MAX - 3 }

#include "channel.h"

const char *const fuzz_name = "mpsc";
