/* session.c - the life of a SoupBinTCP session, seen from either end. */
#include "session.h"

#include "wire.h"

void session_init(struct session *session, enum session_role role, int64_t now_ns)
{
	memset(session, 0, sizeof(*session));
	session->role = role;
	session->silence_ns = SESSION_SILENCE_NS;
	session->sent_ns = session->heard_ns = now_ns;
	session_forget(session);
	/* A server listens from the start for a login. */
	session->state = role == SESSION_SERVER ? SESSION_LOGGING_IN : SESSION_DOWN;
}

void session_forget(struct session *session)
{
	wire_put_text((uint8_t *)session->name, sizeof(session->name), "");
	session->next = 1;
}

void session_lost(struct session *session)
{
	session->state = SESSION_DOWN;
	session->is_caught_up = false;
}

size_t session_login(struct session *session, const char *username, const char *password,
	uint8_t *bytes, int64_t now_ns)
{
	struct soup_login login = {.sequence = session->next};

	wire_put_text((uint8_t *)login.username, sizeof(login.username), username);
	wire_put_text((uint8_t *)login.password, sizeof(login.password), password);
	memcpy(login.session, session->name, sizeof(login.session));
	session->is_caught_up = false;
	session->state = SESSION_LOGGING_IN;
	session->sent_ns = session->heard_ns = now_ns;
	return soup_put_login(bytes, &login);
}

size_t session_accept(struct session *session, const char *name, uint64_t sequence,
	uint8_t *bytes, int64_t now_ns)
{
	struct soup_accept accept = {.sequence = sequence};

	wire_put_text((uint8_t *)accept.session, sizeof(accept.session), name);
	memcpy(session->name, accept.session, sizeof(session->name));
	session->state = SESSION_UP;
	session->next = session->coming = sequence;
	session->sent_ns = now_ns;
	return soup_put_accepted(bytes, &accept);
}

size_t session_leave(struct session *session, uint8_t *bytes, int64_t now_ns)
{
	session->state = SESSION_OVER;
	session->sent_ns = now_ns;
	return soup_put_empty(bytes,
		session->role == SESSION_CLIENT ? SOUP_LOGOUT : SOUP_END_OF_SESSION);
}

size_t session_heartbeat(struct session *session, uint8_t *bytes, int64_t now_ns)
{
	session->sent_ns = now_ns;
	return soup_put_empty(bytes,
		session->role == SESSION_CLIENT ? SOUP_CLIENT_HEARTBEAT : SOUP_SERVER_HEARTBEAT);
}

int64_t session_deadline_ns(const struct session *session)
{
	int64_t silence = apus_ns_add(session->heard_ns, session->silence_ns);
	int64_t heartbeat = apus_ns_add(session->sent_ns, SESSION_HEARTBEAT_NS);

	if (session->state == SESSION_DOWN || session->state == SESSION_OVER)
		return APUS_NEVER;
	return session->state == SESSION_UP && heartbeat < silence ? heartbeat : silence;
}

static enum session_event take_session(struct session *session, const struct soup_accept *accept)
{
	bool is_first = session->name[0] == ' ';
	bool is_same = memcmp(session->name, accept->session, sizeof(session->name)) == 0;

	memcpy(session->name, accept->session, sizeof(session->name));
	session->coming = accept->sequence;
	if (is_same && accept->sequence > session->next) {
		session->state = SESSION_OVER;
		return SESSION_MISSED;
	}
	if (!is_same)
		session->next = accept->sequence;
	session->state = SESSION_UP;
	return is_same || is_first ? SESSION_ACCEPTED : SESSION_OTHER;
}

static enum session_event client_login_answer(struct session *session,
	const struct soup_packet *packet)
{
	struct soup_accept accept;

	if (packet->type == SOUP_LOGIN_REJECTED) {
		session->reject_reason = (char)packet->body[0];
		session->state = SESSION_OVER;
		return SESSION_REJECTED;
	}
	if (soup_get_accepted(packet, &accept) != 0)
		return SESSION_ERROR;
	return take_session(session, &accept);
}

static enum session_event on_sequenced(struct session *session)
{
	if (session->coming++ < session->next) {
		session->repeated++;
		return SESSION_REPEATED;
	}
	session->next++;
	return SESSION_DATA;
}

static enum session_event on_heartbeat(struct session *session)
{
	if (session->state != SESSION_UP || session->is_caught_up)
		return SESSION_NONE;
	session->is_caught_up = true;
	return SESSION_CAUGHT_UP;
}

static enum session_event client_receive(struct session *session,
	const struct soup_packet *packet)
{
	if (packet->type == SOUP_SERVER_HEARTBEAT)
		return on_heartbeat(session);
	if (session->state == SESSION_LOGGING_IN)
		return client_login_answer(session, packet);
	if (packet->type == SOUP_SEQUENCED)
		return on_sequenced(session);
	if (packet->type == SOUP_UNSEQUENCED)
		return SESSION_DATA;
	if (packet->type == SOUP_END_OF_SESSION) {
		session->state = SESSION_OVER;
		return SESSION_ENDED;
	}
	return SESSION_ERROR;
}

static enum session_event server_receive(struct session *session,
	const struct soup_packet *packet, struct soup_login *login)
{
	if (packet->type == SOUP_CLIENT_HEARTBEAT)
		return SESSION_NONE;
	if (session->state == SESSION_LOGGING_IN)
		return soup_get_login(packet, login) == 0 ? SESSION_LOGIN : SESSION_ERROR;
	if (packet->type == SOUP_UNSEQUENCED)
		return SESSION_DATA;
	if (packet->type == SOUP_LOGOUT) {
		session->state = SESSION_OVER;
		return SESSION_LOGOUT;
	}
	return SESSION_ERROR;
}

enum session_event session_receive(struct session *session, const struct soup_packet *packet,
	int64_t now_ns, struct soup_login *login)
{
	session->heard_ns = now_ns;
	if (packet->type == SOUP_DEBUG)
		return SESSION_NONE;
	if (session->state == SESSION_DOWN)
		return SESSION_ERROR;
	return session->role == SESSION_CLIENT ? client_receive(session, packet) :
		server_receive(session, packet, login);
}

/* ---- the stream ------------------------------------------------------------------------ */

uint8_t *soup_stream_space(struct soup_stream *stream, size_t *size)
{
	/* A cut packet moves to the front before the room behind it gets short. */
	if (stream->begin == stream->end) {
		stream->begin = stream->end = 0;
	} else if (sizeof(stream->bytes) - stream->end < SOUP_PACKET_MAX) {
		memmove(stream->bytes, stream->bytes + stream->begin, stream->end - stream->begin);
		stream->end -= stream->begin;
		stream->begin = 0;
	}
	*size = sizeof(stream->bytes) - stream->end;
	return stream->bytes + stream->end;
}

int soup_stream_next(struct soup_stream *stream, struct soup_packet *packet)
{
	int length = soup_parse(stream->bytes + stream->begin, stream->end - stream->begin, packet);

	if (length <= 0)
		return length;
	stream->begin += (uint32_t)length;
	return 1;
}
