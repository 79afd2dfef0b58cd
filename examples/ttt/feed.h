/*
 * feed.h - the feed handler: MoldUDP64 packets in any order and with holes go in, every
 * message comes out once and in sequence.
 *
 *	feed_offer(&feed, packet, size, now_ns);
 *	while ((message = feed_take(&feed, &size)) != NULL)
 *		...
 *	if (feed_request(&feed, now_ns, request))
 *		send MOLD_HEADER_SIZE bytes of request to the retransmission server
 *
 *   Units      nanoseconds, bytes, sequence numbers.
 *   Errors     a packet that cannot be used is named by its verdict, and counted.
 *   Ownership  the packet offered stays the caller's, until feed_take answered NULL; those
 *              that came too early are copied into the feed's own slots.
 *   Threads    one.
 *   Order      messages come out by sequence; what is lost for good is skipped and counted.
 *   Cost       in sequence: two walks over the packet, no copy.  No malloc after init.
 */
#ifndef TTT_FEED_H
#define TTT_FEED_H

#include "mold.h"

#include <apus/base.h>

enum feed_verdict {
	FEED_READY,      /* messages can be taken */
	FEED_EARLY,      /* beyond a gap, kept until that is filled */
	FEED_FULL,       /* beyond a gap, no slot free: dropped, asked for again later */
	FEED_DUPLICATE,  /* nothing new in it */
	FEED_IDLE,       /* a heartbeat, nothing missing */
	FEED_END,        /* end of session */
	FEED_MALFORMED,
	FEED_STRANGER,   /* another session's */
	FEED_FAR,        /* a sequence number further ahead than can be believed */
	FEED_VERDICTS,
};

struct feed_config {
	char session[MOLD_SESSION_SIZE]; /* all spaces: that of the first packet */
	uint32_t early_limit;            /* packets kept beyond a gap */
	uint32_t request_limit;          /* messages asked for at once */
	uint32_t retry_limit;            /* requests for one hole before it is given up */
	uint64_t jump_limit;             /* a packet further ahead than that is not believed */
	int64_t patience_ns;             /* before the first request: it may be a re-ordering */
	int64_t timeout_ns;              /* for the answer to a request */
};

struct feed_counts {
	uint64_t packets, messages;      /* offered; taken, in sequence */
	uint64_t verdicts[FEED_VERDICTS];
	uint64_t gaps, requests, retries, lost;
};

/* A packet that came too early. */
struct feed_early {
	uint64_t first, end;             /* sequence numbers, end not included; 0: free */
	uint16_t size;
	uint8_t bytes[MOLD_PACKET_MAX];
};

struct feed {
	struct feed_config config;
	struct feed_counts counts;
	uint64_t next;                   /* the message that is due */
	uint64_t high;                   /* one past the highest known to exist */
	uint64_t end;                    /* one past the session's last message; 0: not known */
	bool session_is_known;

	/* The packet being taken. */
	const uint8_t *packet;
	size_t packet_size, packet_offset;
	uint64_t packet_next;            /* number of the message at the offset */
	struct feed_early *packet_slot;  /* it is one of ours, to be freed */

	/* The gap: since when, and what was asked for. */
	int64_t gap_ns;                  /* APUS_NEVER: none */
	int64_t request_ns;              /* APUS_NEVER: no request is out */
	uint64_t request_first;
	uint32_t tries;

	struct feed_early *early;
	uint32_t early_count;
};

int feed_init(struct feed *feed, const struct feed_config *config);
void feed_deinit(struct feed *feed);

enum feed_verdict feed_offer(struct feed *feed, const uint8_t *packet, size_t size,
	int64_t now_ns);

/* The next message in sequence, from the packet offered or from those kept; or NULL. */
const uint8_t *feed_take(struct feed *feed, size_t *size);

/*
 * Writes a request for what is missing, if one is due: at first, when one was answered in
 * part, or when one timed out.  Gives a hole up when the last retry has timed out; then
 * messages can be taken again.
 */
bool feed_request(struct feed *feed, int64_t now_ns, uint8_t *request);

/* When feed_request has to be called again, APUS_NEVER where nothing is missing. */
int64_t feed_deadline_ns(const struct feed *feed);

/* Nothing is missing: what the books show is the market as far as we know. */
static inline bool feed_is_current(const struct feed *feed)
{
	return feed->next == feed->high;
}

/* The session has ended and all of it was taken. */
static inline bool feed_is_complete(const struct feed *feed)
{
	return feed->end != 0 && feed->next >= feed->end;
}

#endif
