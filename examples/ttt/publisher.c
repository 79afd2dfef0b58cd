/* publisher.c - MoldUDP64 packets from a tape. */
#include "publisher.h"

void publisher_init(struct publisher *publisher, const struct tape *tape, const char *session,
	int64_t now_ns)
{
	memset(publisher, 0, sizeof(*publisher));
	wire_put_text((uint8_t *)publisher->session, MOLD_SESSION_SIZE, session);
	publisher->tape = tape;
	publisher->next = 1;
	publisher->sent_ns = now_ns;
}

static void put_header(const struct publisher *publisher, uint8_t *bytes, uint64_t sequence,
	uint16_t count)
{
	struct mold_header header = {.sequence = sequence, .count = count};

	memcpy(header.session, publisher->session, MOLD_SESSION_SIZE);
	mold_put_header(bytes, &header);
}

/* As many of limit messages from sequence on as one packet takes. */
static size_t pack(const struct publisher *publisher, uint64_t sequence, uint16_t limit,
	uint8_t *bytes, uint16_t *count)
{
	size_t length, size = MOLD_HEADER_SIZE;
	const uint8_t *block;

	for (*count = 0; *count < limit; ++*count) {
		block = tape_at(publisher->tape, sequence + *count, &length);
		if (block == NULL || length > MOLD_PACKET_MAX - size)
			break;
		memcpy(bytes + size, block, length);
		size += length;
	}
	put_header(publisher, bytes, sequence, *count);
	return *count == 0 ? 0 : size;
}

static size_t sent(struct publisher *publisher, size_t size, int64_t now_ns)
{
	publisher->sent_ns = now_ns;
	publisher->packet_count++;
	return size;
}

size_t publisher_packet(struct publisher *publisher, uint8_t *bytes, int64_t now_ns)
{
	uint16_t count;
	size_t size = pack(publisher, publisher->next, MOLD_COUNT_MAX, bytes, &count);

	if (size == 0)
		return 0;
	publisher->next += count;
	return sent(publisher, size, now_ns);
}

int64_t publisher_heartbeat_ns(const struct publisher *publisher, int64_t interval_ns)
{
	return publisher->sent_ns + interval_ns;
}

size_t publisher_heartbeat(struct publisher *publisher, uint8_t *bytes, int64_t now_ns)
{
	put_header(publisher, bytes, publisher->next, MOLD_HEARTBEAT);
	return sent(publisher, MOLD_HEADER_SIZE, now_ns);
}

size_t publisher_end(struct publisher *publisher, uint8_t *bytes, int64_t now_ns)
{
	put_header(publisher, bytes, publisher->next, MOLD_END_OF_SESSION);
	return sent(publisher, MOLD_HEADER_SIZE, now_ns);
}

size_t publisher_answer(struct publisher *publisher, const uint8_t *request, size_t request_size,
	uint8_t *bytes)
{
	struct mold_header header;
	uint16_t count;
	size_t size;
	int err;

	publisher->request_count++;
	err = mold_check_request(request, request_size, &header);
	if (!err && memcmp(header.session, publisher->session, MOLD_SESSION_SIZE) != 0)
		err = -EACCES;
	if (err) {
		faults_count(&publisher->faults, err);
		return 0;
	}
	/* What has not been published live is nobody's business yet. */
	if (header.sequence >= publisher->next)
		return 0;
	if (header.count > publisher->next - header.sequence)
		header.count = (uint16_t)(publisher->next - header.sequence);
	size = pack(publisher, header.sequence, header.count, bytes, &count);
	if (size == 0)
		publisher->gone_count++;
	return size;
}
