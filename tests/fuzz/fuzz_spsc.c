/*
 * From one thread to one other, with a turn in each slot; see channel.h.
 */
#define CHANNEL APUS_SPSC
#define CH(verb) apus_spsc_##verb
#define DEINIT(letters, left) FUZZ_MUST(CH(deinit)(letters) == 0)
#define LINE false
#define FIRSTS { 0, UINT64_C(0xfffffffc), UINT64_C(0x7ffffffffffffffc), UINT64_MAX - 3 }

#include "channel.h"

const char *const fuzz_name = "spsc";
