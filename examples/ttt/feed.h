/*
 * feed.h - the feed handler: MoldUDP64 packets of two lines, in any order and with holes, go
 * in; every message comes out once and in sequence.
 *
 *	feed_offer(&feed, FEED_LINE_A, packet, size, now_ns);
 *	while ((message = feed_take(&feed, &size)) != NULL)
 *		...
 *	if (feed_request(&feed, now_ns, request))
 *		send MOLD_HEADER_SIZE bytes of request to the retransmission server
 *
 *   Units      nanoseconds, bytes, sequence numbers.
 *   Errors     a packet that cannot be used is named by its verdict, counted by that for its
 *              line, and changes nothing.
 *   Ownership  the packet offered stays the caller's, until feed_take answered NULL; those
 *              that came too early are copied into the feed's own slots.
 *   Threads    one.
 *   Order      messages come out by sequence; what is lost for good is skipped and counted.
 *   Cost       in sequence: three walks over the packet, no copy.  No malloc after init.
 *
 * Arbitration needs no more than the sequence numbers: whichever line brings a message first
 * is listened to, the other's is a duplicate, and what one line lost the other fills.  A gap
 * waits for that as long as patience_ns says before the retransmission server is asked.
 *
 * An exchange that starts again has another session name, and counts from 1.  A stranger's
 * packet alone proves nothing, so it is believed only once the session that we know has been
 * silent for silence_ns: then the feed resets, counts that, and starts at 1 too; its owner
 * empties the books before it takes the first message.
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
	/* What follows is refused. */
	FEED_TRUNCATED,  /* shorter than it says */
	FEED_OVERSIZED,  /* longer than it says, or than any packet is */
	FEED_BAD_NUMBER, /* a sequence number that cannot be */
	FEED_STRANGER,   /* another session's */
	FEED_FAR,        /* a sequence number further ahead than can be believed */
	FEED_BAD_LENGTH, /* with a message that is not as long as its type is */
	FEED_BAD_TYPE,   /* with a message of no type that exists */
	FEED_BAD_FIELD,  /* with a message that has a field that cannot be */
	FEED_VERDICTS,
};
#define FEED_REFUSED FEED_TRUNCATED /* the first of those */

/* Where a packet came from. */
enum feed_line {
	FEED_LINE_A,
	FEED_LINE_B,
	FEED_LINE_REQUESTED, /* the retransmission server */
	FEED_LINES,
};

struct feed_config {
	char session[MOLD_SESSION_SIZE]; /* all spaces: that of the first packet */
	uint32_t early_limit;            /* packets kept beyond a gap */
	uint32_t request_limit;          /* messages asked for at once */
	uint32_t retry_limit;            /* requests for one hole before it is given up */
	uint64_t jump_limit;             /* a packet further ahead than that is not believed */
	int64_t patience_ns;             /* before the first request: it may be a re-ordering */
	int64_t timeout_ns;              /* for the answer to a request */
	int64_t silence_ns;              /* after that a new session is believed; 0: never */
	/* Looks at a message: 0, -EMSGSIZE, -EBADMSG or -ERANGE as itch_check; NULL: all pass. */
	int (*check)(const uint8_t *bytes, size_t size);
};

struct feed_line_counts {
	uint64_t packets;
	uint64_t verdicts[FEED_VERDICTS];
	uint64_t next;                   /* the message that this line owes us */
	uint64_t gaps, missing;          /* holes of this line alone, and messages in them */
};

struct feed_counts {
	uint64_t packets, messages;      /* offered; taken, in sequence */
	uint64_t verdicts[FEED_VERDICTS];
	struct feed_line_counts lines[FEED_LINES];
	uint64_t gaps, requests, retries, lost, resets;
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
	int64_t heard_ns;                /* when a packet of the session came last */

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

enum feed_verdict feed_offer(struct feed *feed, enum feed_line line, const uint8_t *packet,
	size_t size, int64_t now_ns);

/* Counts a packet that was not even kept: one that is longer than our buffer. */
void feed_refuse(struct feed *feed, enum feed_line line, enum feed_verdict verdict);

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

/* Packets of a line, or of all, that were refused. */
uint64_t feed_refused_count(const uint64_t verdicts[FEED_VERDICTS]);
const char *feed_verdict_name(enum feed_verdict verdict);

/* The session has ended and all of it was taken. */
static inline bool feed_is_complete(const struct feed *feed)
{
	return feed->end != 0 && feed->next >= feed->end;
}

#endif
