#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apus/net.h"

/* ---- parsing ---------------------------------------------------------------- */

static int port_parse(const char *text, uint16_t *port)
{
	unsigned long value = 0;
	const char *at;

	for (at = text; *at >= '0' && *at <= '9' && value <= UINT16_MAX; at++)
		value = value * 10 + (unsigned long)(*at - '0');
	if (at == text || *at != '\0' || value > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)value;
	return 0;
}

/* That there is none, or that nobody could be asked. */
static int index_refusal(void)
{
	return errno == ENXIO ? -ENODEV : -errno;
}

/* "%eth0" or "%2" behind an address of a link. */
static int scope_parse(const char *text, uint32_t *scope)
{
	unsigned long long value;
	char *end;

	if (*text == '\0')
		return -EINVAL;
	value = strtoull(text, &end, 10);
	/* What begins with a sign or a space, which that takes too, is a name. */
	if (*text >= '0' && *text <= '9' && *end == '\0') {
		*scope = (uint32_t)value;
		return value != 0 && value <= UINT32_MAX ? 0 : -ENODEV;
	}
	*scope = if_nametoindex(text);
	return *scope != 0 ? 0 : index_refusal();
}

static int ip4_parse(struct apus_address *address, const char *host, uint16_t port)
{
	if (inet_pton(AF_INET, host, &address->ip4.sin_addr) != 1)
		return -EINVAL;
	address->ip4.sin_family = AF_INET;
	address->ip4.sin_port = htons(port);
	address->bytes = sizeof address->ip4;
	return 0;
}

static int ip6_parse(struct apus_address *address, char *host, uint16_t port)
{
	char *scope = strchr(host, '%');
	int err;

	if (scope != NULL) {
		*scope++ = '\0';
		err = scope_parse(scope, &address->ip6.sin6_scope_id);
		if (err)
			return err;
	}
	if (inet_pton(AF_INET6, host, &address->ip6.sin6_addr) != 1)
		return -EINVAL;
	address->ip6.sin6_family = AF_INET6;
	address->ip6.sin6_port = htons(port);
	address->bytes = sizeof address->ip6;
	return 0;
}

/* A name that begins with '@' is abstract: a zero byte, and no file. */
static int local_parse(struct apus_address *address, const char *name)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t bytes = strlen(name);

	if (bytes >= sizeof address->local.sun_path || strcmp(name, "@") == 0)
		return -EINVAL;
	address->local.sun_family = AF_UNIX;
	memcpy(address->local.sun_path, name, bytes);
	if (*name == '@')
		address->local.sun_path[0] = '\0';
	else if (bytes != 0)
		bytes++; /* a path is counted with its terminator */
	address->bytes = (socklen_t)(head + bytes);
	return 0;
}

static int bracket_parse(struct apus_address *address, char *text)
{
	char *end = strchr(text, ']');
	uint16_t port = 0;
	int err = 0;

	if (end == NULL)
		return -EINVAL;
	*end++ = '\0';
	if (*end == ':')
		err = port_parse(end + 1, &port);
	else if (*end != '\0')
		err = -EINVAL;
	return err ? err : ip6_parse(address, text + 1, port);
}

static int plain_parse(struct apus_address *address, char *text)
{
	char *colon = strchr(text, ':');
	uint16_t port = 0;
	int err = 0;

	if (colon != NULL && strchr(colon + 1, ':') != NULL)
		return ip6_parse(address, text, 0);
	if (colon != NULL) {
		*colon = '\0';
		err = port_parse(colon + 1, &port);
	}
	return err ? err : ip4_parse(address, text, port);
}

int apus_address_parse(struct apus_address *address, const char *text)
{
	char copy[APUS_ADDRESS_TEXT_BYTES];
	size_t bytes = strlen(text);

	memset(address, 0, sizeof *address);
	if (bytes >= sizeof copy)
		return -EINVAL;
	memcpy(copy, text, bytes + 1);
	if (strncmp(copy, "unix:", 5) == 0)
		return local_parse(address, copy + 5);
	return *copy == '[' ? bracket_parse(address, copy) : plain_parse(address, copy);
}

/* ---- formatting -------------------------------------------------------------- */

static int ip6_format(const struct apus_address *address, char *text, size_t bytes)
{
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE], scope[IF_NAMESIZE + 1] = "";
	uint32_t index = address->ip6.sin6_scope_id;

	inet_ntop(AF_INET6, &address->ip6.sin6_addr, host, sizeof host);
	if (index != 0 && if_indextoname(index, name) != NULL)
		snprintf(scope, sizeof scope, "%%%s", name);
	else if (index != 0)
		snprintf(scope, sizeof scope, "%%%u", index);
	return snprintf(text, bytes, "[%s%s]:%u", host, scope, ntohs(address->ip6.sin6_port));
}

static int local_format(const struct apus_address *address, char *text, size_t bytes)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	const char *name = address->local.sun_path;
	size_t length = address->bytes > head ? address->bytes - head : 0;

	if (length == 0)
		return snprintf(text, bytes, "unix:");
	if (*name == '\0')
		return snprintf(text, bytes, "unix:@%.*s", (int)length - 1, name + 1);
	return snprintf(text, bytes, "unix:%.*s", (int)strnlen(name, length), name);
}

static int any_format(const struct apus_address *address, char *text, size_t bytes)
{
	char host[INET_ADDRSTRLEN];

	if (address->bytes == 0)
		return snprintf(text, bytes, "none");
	switch (address->any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &address->ip4.sin_addr, host, sizeof host);
		return snprintf(text, bytes, "%s:%u", host, ntohs(address->ip4.sin_port));
	case AF_INET6:
		return ip6_format(address, text, bytes);
	case AF_UNIX:
		return local_format(address, text, bytes);
	default:
		return snprintf(text, bytes, "family %u", address->any.sa_family);
	}
}

int apus_address_format(const struct apus_address *address, char *text, size_t bytes)
{
	int length = any_format(address, text, bytes);

	return length >= 0 && (size_t)length < bytes ? length : -ENOSPC;
}

/* ---- parts --------------------------------------------------------------------- */

uint16_t apus_address_port(const struct apus_address *address)
{
	if (address->bytes != 0 && address->any.sa_family == AF_INET)
		return ntohs(address->ip4.sin_port);
	if (address->bytes != 0 && address->any.sa_family == AF_INET6)
		return ntohs(address->ip6.sin6_port);
	return 0;
}

void apus_address_set_port(struct apus_address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET)
		address->ip4.sin_port = htons(port);
	else if (address->any.sa_family == AF_INET6)
		address->ip6.sin6_port = htons(port);
}

static bool is_same_ip6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
		memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

bool apus_address_is_same(const struct apus_address *a, const struct apus_address *b)
{
	if (a->bytes != b->bytes || a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->ip4.sin_port == b->ip4.sin_port &&
			a->ip4.sin_addr.s_addr == b->ip4.sin_addr.s_addr;
	if (a->any.sa_family == AF_INET6)
		return is_same_ip6(&a->ip6, &b->ip6);
	return memcmp(&a->storage, &b->storage, a->bytes) == 0;
}

/* ---- interfaces ------------------------------------------------------------------ */

static bool is_host(const struct sockaddr *found, const struct apus_address *host)
{
	if (found == NULL || found->sa_family != host->any.sa_family)
		return false;
	if (found->sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)found)->sin_addr.s_addr ==
			host->ip4.sin_addr.s_addr;
	return found->sa_family == AF_INET6 &&
		memcmp(&((const struct sockaddr_in6 *)(const void *)found)->sin6_addr,
			&host->ip6.sin6_addr, sizeof host->ip6.sin6_addr) == 0;
}

static int index_of_host(const struct apus_address *host)
{
	struct ifaddrs *all, *each;
	int index = -ENODEV;

	if (getifaddrs(&all) != 0)
		return -errno;
	for (each = all; each != NULL && index == -ENODEV; each = each->ifa_next)
		if (is_host(each->ifa_addr, host)) {
			index = (int)if_nametoindex(each->ifa_name);
			index = index != 0 ? index : index_refusal();
		}
	freeifaddrs(all);
	return index;
}

int apus_interface_index(const char *name_or_address)
{
	unsigned index = if_nametoindex(name_or_address);
	struct apus_address host;
	int err;

	if (index != 0)
		return (int)index;
	err = index_refusal();
	if (apus_address_parse(&host, name_or_address) != 0)
		return err;
	return index_of_host(&host);
}
