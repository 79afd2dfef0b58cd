/* soup.c - the packets of SoupBinTCP. */
#include "soup.h"

#include "wire.h"

#include <stdbool.h>

static bool type_is_known(char type)
{
	return type != '\0' && strchr("+AJSHZLURO", type) != NULL;
}

static bool body_fits(char type, size_t size)
{
	switch (type) {
	case SOUP_DEBUG:
		return true;
	case SOUP_SEQUENCED:
	case SOUP_UNSEQUENCED:
		return size > 0;
	case SOUP_LOGIN_REQUEST:
		return size == SOUP_LOGIN_REQUEST_SIZE;
	case SOUP_LOGIN_ACCEPTED:
		return size == SOUP_LOGIN_ACCEPTED_SIZE;
	case SOUP_LOGIN_REJECTED:
		return size == 1;
	case SOUP_SERVER_HEARTBEAT:
	case SOUP_CLIENT_HEARTBEAT:
	case SOUP_END_OF_SESSION:
	case SOUP_LOGOUT:
		return size == 0;
	}
	return false;
}

int soup_parse(const uint8_t *bytes, size_t size, struct soup_packet *packet)
{
	size_t length;

	if (size < SOUP_HEADER_SIZE)
		return 0;
	length = wire_get16(bytes);
	if (length == 0)
		return -EMSGSIZE;
	if (length > 1 + SOUP_BODY_MAX)
		return -E2BIG;
	/* Judged before the body is there: a hostile peer need not send it. */
	if (!type_is_known((char)bytes[2]))
		return -EBADMSG;
	if (!body_fits((char)bytes[2], length - 1))
		return -EMSGSIZE;
	if (size < 2 + length)
		return 0;
	packet->type = (char)bytes[2];
	packet->body = bytes + SOUP_HEADER_SIZE;
	packet->body_size = (uint16_t)(length - 1);
	return (int)(2 + length);
}

uint8_t *soup_put_header(uint8_t *bytes, char type, uint16_t body_size)
{
	wire_put16(bytes, (uint16_t)(1 + body_size));
	bytes[2] = (uint8_t)type;
	return bytes + SOUP_HEADER_SIZE;
}

size_t soup_put_empty(uint8_t *bytes, char type)
{
	soup_put_header(bytes, type, 0);
	return SOUP_HEADER_SIZE;
}

size_t soup_put_login(uint8_t *bytes, const struct soup_login *login)
{
	uint8_t *at = soup_put_header(bytes, SOUP_LOGIN_REQUEST, SOUP_LOGIN_REQUEST_SIZE);

	memcpy(at, login->username, 6);
	memcpy(at + 6, login->password, 10);
	memcpy(at + 16, login->session, 10);
	wire_put_number(at + 26, 20, login->sequence);
	return SOUP_HEADER_SIZE + SOUP_LOGIN_REQUEST_SIZE;
}

size_t soup_put_accepted(uint8_t *bytes, const struct soup_accept *accept)
{
	uint8_t *at = soup_put_header(bytes, SOUP_LOGIN_ACCEPTED, SOUP_LOGIN_ACCEPTED_SIZE);

	memcpy(at, accept->session, 10);
	wire_put_number(at + 10, 20, accept->sequence);
	return SOUP_HEADER_SIZE + SOUP_LOGIN_ACCEPTED_SIZE;
}

size_t soup_put_rejected(uint8_t *bytes, char reason)
{
	soup_put_header(bytes, SOUP_LOGIN_REJECTED, 1)[0] = (uint8_t)reason;
	return SOUP_HEADER_SIZE + 1;
}

int soup_get_login(const struct soup_packet *packet, struct soup_login *login)
{
	if (packet->type != SOUP_LOGIN_REQUEST || packet->body_size != SOUP_LOGIN_REQUEST_SIZE)
		return -EBADMSG;
	memcpy(login->username, packet->body, 6);
	memcpy(login->password, packet->body + 6, 10);
	memcpy(login->session, packet->body + 16, 10);
	return wire_get_number(packet->body + 26, 20, &login->sequence);
}

int soup_get_accepted(const struct soup_packet *packet, struct soup_accept *accept)
{
	if (packet->type != SOUP_LOGIN_ACCEPTED || packet->body_size != SOUP_LOGIN_ACCEPTED_SIZE)
		return -EBADMSG;
	memcpy(accept->session, packet->body, 10);
	return wire_get_number(packet->body + 10, 20, &accept->sequence);
}
