/* feed.c - sequence tracking, gaps, requests. */
#include "feed.h"

#include <stdlib.h>

/* Before its first message, with nothing kept. */
static void begin_session(struct feed *feed)
{
	for (uint32_t at = 0; at < feed->config.early_limit; at++)
		feed->early[at].end = 0;
	feed->early_count = 0;
	feed->next = feed->high = 1;
	feed->end = 0;
	feed->gap_ns = feed->request_ns = APUS_NEVER;
	feed->tries = 0;
	for (int line = 0; line < FEED_LINES; line++)
		feed->counts.lines[line].next = 1;
}

int feed_init(struct feed *feed, const struct feed_config *config)
{
	size_t bytes = (size_t)config->early_limit * sizeof(*feed->early);

	memset(feed, 0, sizeof(*feed));
	if (config->early_limit == 0 || config->request_limit == 0 || config->timeout_ns <= 0 ||
	    config->request_limit > MOLD_COUNT_MAX || config->patience_ns < 0 ||
	    config->jump_limit == 0 || config->silence_ns < 0)
		return -EINVAL;
	feed->early = malloc(bytes);
	if (feed->early == NULL)
		return -ENOMEM;
	memset(feed->early, 0xff, bytes); /* so that no page faults later */
	feed->config = *config;
	feed->session_is_known = config->session[0] != ' ';
	begin_session(feed);
	return 0;
}

void feed_deinit(struct feed *feed)
{
	free(feed->early);
	memset(feed, 0, sizeof(*feed));
}

/* ---- packets in ------------------------------------------------------------------------ */

static bool is_our_session(const struct feed *feed, const struct mold_header *header)
{
	return memcmp(feed->config.session, header->session, MOLD_SESSION_SIZE) == 0;
}

/* A new one is believed at first, and where the one that we know has been silent for so long. */
static bool may_adopt(const struct feed *feed, int64_t now_ns)
{
	if (!feed->session_is_known)
		return true;
	return feed->config.silence_ns != 0 &&
		now_ns - feed->heard_ns >= feed->config.silence_ns;
}

static void adopt_session(struct feed *feed, const struct mold_header *header)
{
	feed->counts.resets += feed->session_is_known;
	memcpy(feed->config.session, header->session, MOLD_SESSION_SIZE);
	feed->session_is_known = true;
	begin_session(feed);
}

/* What this line alone would have lost; one that comes late has been counted as lost. */
static void follow_line(struct feed_line_counts *line, uint64_t first, uint64_t end)
{
	if (first > line->next) {
		line->gaps++;
		line->missing += first - line->next;
	}
	if (end > line->next)
		line->next = end;
}

static enum feed_verdict check_messages(const struct feed *feed, const uint8_t *packet,
	size_t size)
{
	size_t length, offset = MOLD_HEADER_SIZE;
	const uint8_t *message;
	int err;

	while ((message = mold_next(packet, size, &offset, &length)) != NULL) {
		err = feed->config.check(message, length);
		if (apus_unlikely(err != 0))
			return err == -EMSGSIZE ? FEED_BAD_LENGTH :
				err == -EBADMSG ? FEED_BAD_TYPE : FEED_BAD_FIELD;
	}
	return FEED_READY;
}

/* The gap's clock starts where it was seen first. */
static void notice_gap(struct feed *feed, int64_t now_ns)
{
	if (feed->next < feed->high && feed->gap_ns == APUS_NEVER) {
		feed->gap_ns = now_ns;
		feed->counts.gaps++;
	}
}

static enum feed_verdict keep_early(struct feed *feed, const uint8_t *packet, size_t size,
	uint64_t first, uint64_t end)
{
	struct feed_early *slot = NULL;

	for (uint32_t at = 0; at < feed->config.early_limit; at++) {
		if (feed->early[at].end == 0)
			slot = slot != NULL ? slot : &feed->early[at];
		else if (feed->early[at].first <= first && feed->early[at].end >= end)
			return FEED_DUPLICATE;
	}
	if (slot == NULL)
		return FEED_FULL;
	slot->first = first;
	slot->end = end;
	slot->size = (uint16_t)size;
	memcpy(slot->bytes, packet, size);
	feed->early_count++;
	return FEED_EARLY;
}

/* From its first message that is due; those before it are skipped. */
static void take_from(struct feed *feed, const uint8_t *packet, size_t size, uint64_t first,
	struct feed_early *slot)
{
	size_t length;

	feed->packet = packet;
	feed->packet_size = size;
	feed->packet_offset = MOLD_HEADER_SIZE;
	feed->packet_next = first;
	feed->packet_slot = slot;
	for (; feed->packet_next < feed->next; feed->packet_next++)
		mold_next(packet, size, &feed->packet_offset, &length);
}

/* Why a packet is refused, or FEED_READY.  Nothing changes by it. */
static enum feed_verdict find_fault(const struct feed *feed, const uint8_t *packet, size_t size,
	struct mold_header *header, int64_t now_ns)
{
	uint64_t next = feed->next, end;
	int err = mold_check(packet, size, header);

	if (apus_unlikely(err != 0))
		return err == -ERANGE ? FEED_BAD_NUMBER :
			err == -E2BIG ? FEED_OVERSIZED : FEED_TRUNCATED;
	if (apus_unlikely(size > MOLD_PACKET_MAX))
		return FEED_OVERSIZED;
	if (apus_unlikely(!is_our_session(feed, header))) {
		if (!may_adopt(feed, now_ns))
			return FEED_STRANGER;
		next = 1;
	}
	end = header->sequence + mold_message_count(header);
	if (end > next && end - next > feed->config.jump_limit)
		return FEED_FAR;
	/* Duplicates are as good as checked. */
	if (feed->config.check == NULL || end <= next || mold_message_count(header) == 0)
		return FEED_READY;
	return check_messages(feed, packet, size);
}

static enum feed_verdict judge(struct feed *feed, enum feed_line line, const uint8_t *packet,
	size_t size, int64_t now_ns)
{
	struct mold_header header;
	enum feed_verdict fault = find_fault(feed, packet, size, &header, now_ns);
	uint64_t end;

	if (fault != FEED_READY)
		return fault;
	if (apus_unlikely(!is_our_session(feed, &header)))
		adopt_session(feed, &header);
	end = header.sequence + mold_message_count(&header);
	feed->heard_ns = now_ns;
	follow_line(&feed->counts.lines[line], header.sequence, end);
	if (end > feed->high)
		feed->high = end;
	if (header.count == MOLD_END_OF_SESSION) {
		feed->end = end;
		return FEED_END;
	}
	if (header.count == MOLD_HEARTBEAT)
		return FEED_IDLE;
	if (end <= feed->next)
		return FEED_DUPLICATE;
	if (header.sequence > feed->next)
		return keep_early(feed, packet, size, header.sequence, end);
	take_from(feed, packet, size, header.sequence, NULL);
	return FEED_READY;
}

static void count(struct feed *feed, enum feed_line line, enum feed_verdict verdict)
{
	feed->counts.packets++;
	feed->counts.verdicts[verdict]++;
	feed->counts.lines[line].packets++;
	feed->counts.lines[line].verdicts[verdict]++;
}

void feed_refuse(struct feed *feed, enum feed_line line, enum feed_verdict verdict)
{
	APUS_DEBUG_ASSERT(verdict >= FEED_REFUSED);
	count(feed, line, verdict);
}

enum feed_verdict feed_offer(struct feed *feed, enum feed_line line, const uint8_t *packet,
	size_t size, int64_t now_ns)
{
	enum feed_verdict verdict;

	APUS_DEBUG_ASSERT(feed->packet == NULL);
	verdict = judge(feed, line, packet, size, now_ns);
	count(feed, line, verdict);
	if (verdict != FEED_READY)
		notice_gap(feed, now_ns);
	return verdict;
}

uint64_t feed_refused_count(const uint64_t verdicts[FEED_VERDICTS])
{
	uint64_t refused = 0;

	for (int verdict = FEED_REFUSED; verdict < FEED_VERDICTS; verdict++)
		refused += verdicts[verdict];
	return refused;
}

const char *feed_verdict_name(enum feed_verdict verdict)
{
	static const char *const names[FEED_VERDICTS] = {
		[FEED_READY] = "in sequence", [FEED_EARLY] = "early", [FEED_FULL] = "buffer full",
		[FEED_DUPLICATE] = "duplicate", [FEED_IDLE] = "heartbeat",
		[FEED_END] = "end of session", [FEED_TRUNCATED] = "truncated",
		[FEED_OVERSIZED] = "oversized", [FEED_BAD_NUMBER] = "impossible number",
		[FEED_STRANGER] = "wrong session", [FEED_FAR] = "out of range",
		[FEED_BAD_LENGTH] = "wrong length", [FEED_BAD_TYPE] = "wrong type",
		[FEED_BAD_FIELD] = "wrong field",
	};

	return names[verdict];
}

/* ---- messages out ------------------------------------------------------------------------ */

static void release_slot(struct feed *feed, struct feed_early *slot)
{
	slot->end = 0;
	feed->early_count--;
}

/* A packet kept that has become due, if there is one; those overtaken go. */
static bool take_early(struct feed *feed)
{
	for (uint32_t at = 0; feed->early_count > 0 && at < feed->config.early_limit; at++) {
		struct feed_early *slot = &feed->early[at];

		if (slot->end == 0 || slot->first > feed->next)
			continue;
		if (slot->end <= feed->next) {
			release_slot(feed, slot);
			continue;
		}
		take_from(feed, slot->bytes, slot->size, slot->first, slot);
		return true;
	}
	return false;
}

/* The packet is used up.  A gap is over when nothing is missing any more. */
static void leave_packet(struct feed *feed)
{
	if (feed->packet_slot != NULL)
		release_slot(feed, feed->packet_slot);
	feed->packet = NULL;
	if (feed->next >= feed->high) {
		feed->gap_ns = feed->request_ns = APUS_NEVER;
		feed->tries = 0;
	}
}

const uint8_t *feed_take(struct feed *feed, size_t *size)
{
	for (;;) {
		if (feed->packet != NULL) {
			const uint8_t *message = mold_next(feed->packet, feed->packet_size,
				&feed->packet_offset, size);

			if (message != NULL) {
				feed->packet_next++;
				feed->next++;
				feed->counts.messages++;
				return message;
			}
			leave_packet(feed);
		}
		if (apus_likely(feed->early_count == 0) || !take_early(feed))
			return NULL;
	}
}

/* ---- what is missing ------------------------------------------------------------------------ */

/* One past the hole that starts at the message that is due. */
static uint64_t hole_end(const struct feed *feed)
{
	uint64_t end = feed->high;

	for (uint32_t at = 0; feed->early_count > 0 && at < feed->config.early_limit; at++)
		if (feed->early[at].end > feed->next && feed->early[at].first < end)
			end = feed->early[at].first;
	return end > feed->next ? end : feed->next;
}

static void give_up(struct feed *feed)
{
	uint64_t end = hole_end(feed);

	feed->counts.lost += end - feed->next;
	feed->next = end;
	feed->tries = 0;
	feed->request_ns = APUS_NEVER;
	if (feed->next >= feed->high)
		feed->gap_ns = APUS_NEVER;
}

int64_t feed_deadline_ns(const struct feed *feed)
{
	if (feed->gap_ns == APUS_NEVER || feed->next >= feed->high)
		return APUS_NEVER;
	if (feed->request_ns == APUS_NEVER)
		return apus_ns_add(feed->gap_ns, feed->config.patience_ns);
	/* Answered in part: the rest is asked for at once. */
	if (feed->next > feed->request_first)
		return feed->request_ns;
	return apus_ns_add(feed->request_ns, feed->config.timeout_ns);
}

static void write_request(struct feed *feed, int64_t now_ns, uint64_t count, uint8_t *request)
{
	struct mold_header header = {.sequence = feed->next};

	memcpy(header.session, feed->config.session, MOLD_SESSION_SIZE);
	header.count = (uint16_t)(count < feed->config.request_limit ? count :
		feed->config.request_limit);
	mold_put_header(request, &header);
	feed->request_ns = now_ns;
	feed->request_first = feed->next;
	feed->counts.requests++;
}

bool feed_request(struct feed *feed, int64_t now_ns, uint8_t *request)
{
	uint64_t missing;

	if (now_ns < feed_deadline_ns(feed))
		return false;
	/* None when what is due is here, and has only to be taken. */
	missing = hole_end(feed) - feed->next;
	if (missing == 0)
		return false;
	if (feed->request_ns != APUS_NEVER && feed->next == feed->request_first) {
		if (feed->tries == feed->config.retry_limit) {
			give_up(feed);
			return false;
		}
		feed->tries++;
		feed->counts.retries++;
	} else {
		feed->tries = 0;
	}
	write_request(feed, now_ns, missing, request);
	return true;
}
