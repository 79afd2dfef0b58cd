/*
 * The channel within a loop: many senders, who wait in line, and one receiver; see channel.h.
 */
#define CHANNEL APUS_CHANNEL
#define CH(verb) local_##verb
#define local_try_send apus_try_send
#define local_try_send_many apus_try_send_many
#define local_try_recv apus_try_recv
#define local_try_recv_many apus_try_recv_many
#define local_send apus_send
#define local_recv apus_recv
#define local_recv_many apus_recv_many
#define local_close apus_close_send
#define local_is_closed apus_channel_is_closed
#define local_length apus_channel_length
/* Places are counted freely; the header's fields are there to start elsewhere. */
#define local_init_at(letters, first)                                                \
	(apus_channel_init(letters) ||                                               \
		((letters)->channel.head = (letters)->channel.tail = (first), 0))
#define DEINIT(letters, left) FUZZ_MUST(apus_channel_deinit(letters) == (left))
#define LINE true
#define FIRSTS { 0, UINT32_MAX, INT64_MAX, UINT64_MAX - 1 }

#include "channel.h"

const char *const fuzz_name = "channel_local";
