/*
 * net/datagram.h - what single datagrams and batches of them share.
 *
 *   Threads    the loop's thread only.
 */
#ifndef APUSI_NET_DATAGRAM_H
#define APUSI_NET_DATAGRAM_H

#include <time.h>

#include "apus/net.h"
#include "io/backend.h"
#include "net/os.h"

/* Room for a time stamp and a drop counter, aligned as control messages want it. */
struct apusi_control {
	_Alignas(struct cmsghdr) unsigned char
		bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(uint32_t))];
};

/* What the kernel told of a packet whose bytes are in place. */
void apusi_packet_fill(struct apus_packet *packet, struct msghdr *message, size_t full_bytes,
	size_t capacity_bytes);

/*
 * The queue of a Unix receiver is full, not ours, and it is not our peer: no event of our
 * own socket will tell when that has changed, so the refusal is the caller's.
 */
static inline bool apusi_unix_is_full(const struct apusi_slot *slot, const struct apus_address *to)
{
	return to != NULL && to->bytes != 0 && (slot->flags & APUSI_UNIX) != 0;
}

#endif
