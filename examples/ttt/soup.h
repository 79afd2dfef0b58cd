/*
 * soup.h - SoupBinTCP 3.0: packets in a TCP stream, login, heartbeats.
 *
 *   Units      bytes; a packet is length[2] type[1] body, its length counts type and body.
 *   Errors     -EBADMSG: a type that does not exist; -EMSGSIZE: a length that its type cannot
 *              have; -E2BIG: longer than this program ever accepts.
 *   Ownership  a parsed packet is a view into the caller's bytes.
 *   Cost       a few loads; nothing is copied.
 *   Source     "SoupBinTCP" 3.00, Nasdaq.
 */
#ifndef TTT_SOUP_H
#define TTT_SOUP_H

#include <stddef.h>
#include <stdint.h>

enum soup_type {
	SOUP_DEBUG = '+',
	SOUP_LOGIN_ACCEPTED = 'A',
	SOUP_LOGIN_REJECTED = 'J',
	SOUP_SEQUENCED = 'S',
	SOUP_SERVER_HEARTBEAT = 'H',
	SOUP_END_OF_SESSION = 'Z',
	SOUP_LOGIN_REQUEST = 'L',
	SOUP_UNSEQUENCED = 'U',
	SOUP_CLIENT_HEARTBEAT = 'R',
	SOUP_LOGOUT = 'O',
};

#define SOUP_HEADER_SIZE 3
#define SOUP_BODY_MAX 512
#define SOUP_PACKET_MAX (SOUP_HEADER_SIZE + SOUP_BODY_MAX)
#define SOUP_LOGIN_REQUEST_SIZE 46
#define SOUP_LOGIN_ACCEPTED_SIZE 30

#define SOUP_REJECT_NOT_AUTHORIZED 'A'
#define SOUP_REJECT_NO_SESSION 'S'

struct soup_packet {
	char type;
	uint16_t body_size;
	const uint8_t *body;
};

struct soup_login {
	char username[6], password[10], session[10];
	uint64_t sequence; /* 0: from the most recent one on */
};

struct soup_accept {
	char session[10];
	uint64_t sequence; /* of the next sequenced packet */
};

/* The packet at the head of a stream: its length, 0 (more bytes are needed) or -errno. */
int soup_parse(const uint8_t *bytes, size_t size, struct soup_packet *packet);

/* The three bytes before a body; returns where the body goes. */
uint8_t *soup_put_header(uint8_t *bytes, char type, uint16_t body_size);

/* Each returns the length of the packet written. */
size_t soup_put_empty(uint8_t *bytes, char type);
size_t soup_put_login(uint8_t *bytes, const struct soup_login *login);
size_t soup_put_accepted(uint8_t *bytes, const struct soup_accept *accept);
size_t soup_put_rejected(uint8_t *bytes, char reason);

int soup_get_login(const struct soup_packet *packet, struct soup_login *login);
int soup_get_accepted(const struct soup_packet *packet, struct soup_accept *accept);

#endif
