/*
 * A SoupBinTCP stream: it is cut into the same packets however it comes, and a session, of
 * either end, that is told of them keeps to its states.
 */
#include <errno.h>

#include "../../examples/ttt/session.h"
#include "fuzz.h"

const char *const fuzz_name = "soup";

/* The packet at the head of the bytes; a prefix of it is no other. */
static int parse(const uint8_t *data, size_t size, struct soup_packet *packet)
{
	uint8_t *exact = fuzz_exact(data, size);
	struct soup_packet part;
	int length = soup_parse(exact, size, packet), i;

	if (length > 0) {
		FUZZ_MUST((size_t)length <= size && length <= SOUP_PACKET_MAX);
		FUZZ_MUST(packet->body == exact + SOUP_HEADER_SIZE);
		FUZZ_MUST(packet->body_size == length - SOUP_HEADER_SIZE);
		for (i = 0; i < length; i++)
			FUZZ_MUST(soup_parse(exact, (size_t)i, &part) == 0);
	} else {
		FUZZ_MUST(length == 0 || length == -EBADMSG || length == -EMSGSIZE || length == -E2BIG);
	}
	free(exact);
	packet->body = data + SOUP_HEADER_SIZE;
	return length;
}

static void texts(const struct soup_packet *packet)
{
	uint8_t again[SOUP_PACKET_MAX];
	struct soup_accept accept;
	struct soup_login login;

	if (soup_get_login(packet, &login) == 0) {
		FUZZ_MUST(packet->type == SOUP_LOGIN_REQUEST);
		FUZZ_MUST(soup_put_login(again, &login) == SOUP_HEADER_SIZE + SOUP_LOGIN_REQUEST_SIZE);
		FUZZ_MUST(memcmp(again + SOUP_HEADER_SIZE, packet->body, 26) == 0);
	}
	if (soup_get_accepted(packet, &accept) == 0)
		FUZZ_MUST(packet->type == SOUP_LOGIN_ACCEPTED);
}

static void told(struct session *session, const struct soup_packet *packet, int64_t now_ns)
{
	uint64_t next = session->next;
	struct soup_login login;
	enum session_event event = session_receive(session, packet, now_ns, &login);

	FUZZ_MUST(event <= SESSION_ERROR && session->state <= SESSION_OVER);
	if (event == SESSION_DATA && session->role == SESSION_CLIENT)
		FUZZ_MUST(session->next == next + (packet->type == SOUP_SEQUENCED));
	if (event == SESSION_DATA)
		FUZZ_MUST(packet->type == SOUP_SEQUENCED || packet->type == SOUP_UNSEQUENCED);
	if (event == SESSION_REPEATED)
		FUZZ_MUST(session->next == next);
	if (event == SESSION_LOGIN) {
		uint8_t bytes[SOUP_PACKET_MAX];

		FUZZ_MUST(session->role == SESSION_SERVER);
		session_accept(session, "0000000001", login.sequence, bytes, now_ns);
	}
	FUZZ_MUST(session_deadline_ns(session) != INT64_MIN);
}

/* In pieces, through the stream's own buffer. */
static void in_pieces(const uint8_t *data, size_t size, size_t piece, enum session_role role)
{
	static struct soup_stream stream;
	uint8_t login[SOUP_PACKET_MAX];
	struct session session;
	size_t at = 0, seen = 0, room;
	int got = 0;

	stream.begin = stream.end = 0;
	session_init(&session, role, 0);
	if (role == SESSION_CLIENT)
		session_login(&session, "user", "password", login, 0);
	while (at < size && got >= 0) {
		struct soup_packet packet, whole;
		uint8_t *space = soup_stream_space(&stream, &room);
		size_t count = size - at < piece ? size - at : piece;

		FUZZ_MUST(room >= SOUP_PACKET_MAX);
		count = count < room ? count : room;
		memcpy(space, data + at, count);
		soup_stream_add(&stream, count);
		at += count;
		while ((got = soup_stream_next(&stream, &packet)) > 0) {
			int length = parse(data + seen, size - seen, &whole);

			FUZZ_MUST(length == SOUP_HEADER_SIZE + packet.body_size);
			FUZZ_MUST(packet.type == whole.type);
			FUZZ_MUST(memcmp(packet.body, whole.body, packet.body_size) == 0);
			texts(&packet);
			told(&session, &packet, (int64_t)seen);
			seen += (size_t)length;
		}
	}
	FUZZ_MUST(got == parse(data + seen, size - seen, &(struct soup_packet){ .type = 0 }));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	in_pieces(data + 1, size - 1, 1 + data[0] / 2, data[0] % 2 ? SESSION_CLIENT : SESSION_SERVER);
	return 0;
}
