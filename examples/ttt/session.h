/*
 * session.h - one end of a SoupBinTCP session: who is logged in, what the next sequence
 * number is, when a heartbeat is due and when the peer has been silent for too long.
 *
 *   Units      nanoseconds; every function that needs the time is given it.
 *   Errors     session_receive names what a packet meant; SESSION_ERROR: it may not come
 *              from that peer, or not now.
 *   Ownership  none: bytes and sockets are the caller's.
 *   Threads    one.
 *   Cost       a few compares.
 *
 * A session outlives its connections.  A client that comes back asks for the first packet that
 * it has not seen; one that the server sends twice nevertheless is named as repeated, and one
 * that it cannot send any more as missed: then nobody knows what became of our orders.  After
 * the login a server sends what was asked for, and then, by the rules, a heartbeat within a
 * second: that heartbeat is the sign that the client has caught up.
 *
 * struct soup_stream beside it turns what a TCP read brought into packets.
 */
#ifndef TTT_SESSION_H
#define TTT_SESSION_H

#include "soup.h"

#include <apus/base.h>
#include <stdbool.h>
#include <string.h>

#define SESSION_HEARTBEAT_NS APUS_SEC       /* at the latest after that long a silence */
#define SESSION_SILENCE_NS (15 * APUS_SEC)  /* the peer is taken for dead, by the rules */

enum session_role { SESSION_CLIENT, SESSION_SERVER };
enum session_state { SESSION_DOWN, SESSION_LOGGING_IN, SESSION_UP, SESSION_OVER };

enum session_event {
	SESSION_NONE,      /* a heartbeat, or a debug packet */
	SESSION_LOGIN,     /* to a server: asks to be let in */
	SESSION_ACCEPTED,  /* to a client: is in */
	SESSION_OTHER,     /* to a client: is in, but in another session than before */
	SESSION_MISSED,    /* to a client: what it asked for is gone */
	SESSION_REJECTED,  /* to a client: is not */
	SESSION_CAUGHT_UP, /* to a client: it has all that was sent before it came */
	SESSION_DATA,      /* the body is a message */
	SESSION_REPEATED,  /* it was, and has been seen before */
	SESSION_LOGOUT,    /* to a server: the client leaves */
	SESSION_ENDED,     /* to a client: the exchange has finished */
	SESSION_ERROR,
};

struct session {
	enum session_role role;
	enum session_state state;
	uint64_t next;        /* sequence number of the first sequenced packet not seen yet */
	uint64_t coming;      /* of the one that this connection brings next */
	int64_t silence_ns;   /* a peer silent for so long is taken for dead */
	bool is_caught_up;
	uint64_t repeated;
	int64_t sent_ns;      /* when we last sent anything */
	int64_t heard_ns;     /* when the peer last did */
	char name[10];        /* of the session, filled with spaces */
	char reject_reason;
};

void session_init(struct session *session, enum session_role role, int64_t now_ns);

/* A client's login, to the session it knows, from the first packet that it has not seen. */
size_t session_login(struct session *session, const char *username, const char *password,
	uint8_t *bytes, int64_t now_ns);
/* The connection is gone; the session may go on with another. */
void session_lost(struct session *session);
/* A client gives up the session it knows: the next login takes any, from the start. */
void session_forget(struct session *session);
/* A server's answer, from which on sequenced packets are counted. */
size_t session_accept(struct session *session, const char *name, uint64_t sequence,
	uint8_t *bytes, int64_t now_ns);
/* Logout of a client, end of session of a server. */
size_t session_leave(struct session *session, uint8_t *bytes, int64_t now_ns);

/* What a packet means to this end; login is filled in by SESSION_LOGIN. */
enum session_event session_receive(struct session *session, const struct soup_packet *packet,
	int64_t now_ns, struct soup_login *login);

/* Anything that was sent counts as a sign of life. */
static inline void session_sent(struct session *session, int64_t now_ns)
{
	session->sent_ns = now_ns;
}

static inline bool session_heartbeat_is_due(const struct session *session, int64_t now_ns)
{
	return session->state == SESSION_UP && now_ns - session->sent_ns >= SESSION_HEARTBEAT_NS;
}

static inline bool session_is_silent(const struct session *session, int64_t now_ns)
{
	return session->state != SESSION_OVER && session->state != SESSION_DOWN &&
		now_ns - session->heard_ns >= session->silence_ns;
}

/* When to look again: the earlier of our heartbeat and the end of our patience. */
int64_t session_deadline_ns(const struct session *session);

size_t session_heartbeat(struct session *session, uint8_t *bytes, int64_t now_ns);

/* ---- a TCP stream, cut into packets --------------------------------------------------- */

struct soup_stream {
	uint32_t begin, end;
	uint8_t bytes[8 * SOUP_PACKET_MAX];
};

/* Room for at least one whole packet, at the end; then tell how much came. */
uint8_t *soup_stream_space(struct soup_stream *stream, size_t *size);
static inline void soup_stream_add(struct soup_stream *stream, size_t size)
{
	stream->end += (uint32_t)size;
}

/* 1: a packet, a view into the stream until the next call of space; 0: none; or -errno. */
int soup_stream_next(struct soup_stream *stream, struct soup_packet *packet);

#endif
