/*
 * net/datagram.h - what single datagrams and batches of them share.
 *
 *   Threads    the loop's thread only.
 */
#ifndef APUSI_NET_DATAGRAM_H
#define APUSI_NET_DATAGRAM_H

#include "apus/net.h"
#include "io/sockets.h"
#include "io/control.h"
#include "net/os.h"

/* What the kernel told of a packet whose bytes are in place. */
void apusi_packet_fill(struct apus_packet *packet, struct msghdr *message, size_t full_bytes,
	size_t capacity_bytes);

/* The cold half of apusi_datagram_expect; also for who waits for what the backend does not tell. */
APUS_COLD void apusi_datagram_direct(struct apus_io *io, struct apusi_slot *slot);

/* The next is asked for at so many bytes: the backend receives none that it would cut off. */
static inline void apusi_datagram_expect(const struct apus_cx *cx, struct apusi_slot *slot,
	size_t bytes)
{
	if (apus_unlikely((slot->flags & APUSI_BRIEF) != 0 && bytes > cx->io->datagram_bytes))
		apusi_datagram_direct(cx->io, slot);
}

/*
 * The queue of a Unix receiver is full, not ours, and it is not our peer: no event of our
 * own socket will tell when that has changed, so the refusal is the caller's.
 */
static inline bool apusi_unix_is_full(const struct apusi_slot *slot, const struct apus_address *to)
{
	return to != NULL && to->bytes != 0 && (slot->flags & APUSI_UNIX) != 0;
}

#endif
