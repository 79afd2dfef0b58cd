/*
 * publisher.h - packs a tape of MoldUDP64 blocks into packets: the live ones by a
 * cursor, those that were asked for again by number.
 *
 *   Units      nanoseconds, bytes, sequence numbers.
 *   Errors     the functions answer a packet's length, 0 when there is none to send.
 *   Ownership  the caller's buffer, MOLD_PACKET_MAX long; the tape is borrowed.
 *   Cost       a copy a message.
 */
#ifndef TTT_PUBLISHER_H
#define TTT_PUBLISHER_H

#include "faults.h"
#include "mold.h"
#include "tape.h"

struct publisher {
	const struct tape *tape;
	char session[MOLD_SESSION_SIZE];
	uint64_t next;          /* the cursor: first message not sent yet */
	int64_t sent_ns;        /* when the last packet left */
	uint64_t packet_count;
	uint64_t request_count, gone_count;
	struct faults faults;   /* requests that are none */
};

void publisher_init(struct publisher *publisher, const struct tape *tape, const char *session,
	int64_t now_ns);

/* The next live packet, as many messages as fit. */
size_t publisher_packet(struct publisher *publisher, uint8_t *bytes, int64_t now_ns);

/* Due when nothing was sent for so long; resets when it was built. */
int64_t publisher_heartbeat_ns(const struct publisher *publisher, int64_t interval_ns);
size_t publisher_heartbeat(struct publisher *publisher, uint8_t *bytes, int64_t now_ns);
size_t publisher_end(struct publisher *publisher, uint8_t *bytes, int64_t now_ns);

/* The answer to a request: what is still on the tape and fits into one packet. */
size_t publisher_answer(struct publisher *publisher, const uint8_t *request, size_t request_size,
	uint8_t *bytes);

#endif
