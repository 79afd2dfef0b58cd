/*
 * From one thread to one other, with indices that are seen late; see channel.h.
 */
#define CHANNEL APUS_STREAM
#define CH(verb) apus_stream_##verb
#define DEINIT(letters, left) FUZZ_MUST(CH(deinit)(letters) == 0)
#define LINE false
#define FIRSTS { 0, UINT64_C(0xfffffffc), UINT64_C(0x7ffffffffffffffc), UINT64_MAX - 3 }

#include "channel.h"

const char *const fuzz_name = "stream";
