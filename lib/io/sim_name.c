#define _GNU_SOURCE
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "io/sim.h"

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool apusi_sim_name_is_ip4(const struct sim_name *name)
{
	return memcmp(name->ip, mapped, sizeof mapped) == 0;
}

/* The wildcard of the family, or no name. */
void apusi_sim_name_init(struct sim_name *name, int family)
{
	memset(name, 0, sizeof *name);
	name->family = (uint16_t)family;
	if (family == AF_INET)
		memcpy(name->ip, mapped, sizeof mapped);
}

/* ---- comparing ------------------------------------------------------------------------ */

bool apusi_sim_ip_is_same(const struct sim_name *a, const struct sim_name *b)
{
	return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool apusi_sim_name_is_same(const struct sim_name *a, const struct sim_name *b)
{
	return (a->family == AF_UNIX) == (b->family == AF_UNIX) && a->port == b->port &&
	       apusi_sim_ip_is_same(a, b);
}

bool apusi_sim_name_is_wild(const struct sim_name *name)
{
	static const uint8_t zero[16];
	bool is_mapped = apusi_sim_name_is_ip4(name);

	return name->family != AF_UNIX && memcmp(is_mapped ? name->ip + 12 : name->ip, zero,
		is_mapped ? 4 : 16) == 0;
}

bool apusi_sim_name_is_group(const struct sim_name *name)
{
	if (name->family == AF_UNIX)
		return false;
	return apusi_sim_name_is_ip4(name) ? (name->ip[12] & 0xf0) == 0xe0 :
							      name->ip[0] == 0xff;
}

/* ---- to and from the form of the system ---------------------------------------- */

/* A path by its place among those that were ever named, from 1; 0: no memory. */
static uint32_t path_number(struct sim_world *world, const char *path, size_t bytes)
{
	uint32_t i;
	char **paths, *own;

	for (i = 0; i < world->path_count; i++) {
		const char *known = world->paths[i];

		if ((unsigned char)known[0] == bytes && memcmp(known + 1, path, bytes) == 0)
			return i + 1;
	}
	paths = realloc(world->paths, (i + 1) * sizeof *paths);
	own = malloc(bytes + 1);
	if (paths != NULL)
		world->paths = paths;
	if (paths == NULL || own == NULL) {
		free(own);
		return 0;
	}
	own[0] = (char)bytes;
	memcpy(own + 1, path, bytes);
	paths[world->path_count++] = own;
	return world->path_count;
}

static int unix_name_of(struct sim_world *world, const struct sockaddr_un *from, socklen_t bytes,
	struct sim_name *out)
{
	size_t length = bytes - offsetof(struct sockaddr_un, sun_path);
	uint32_t number;

	if (bytes <= offsetof(struct sockaddr_un, sun_path))
		return 0; /* unnamed */
	if (length > sizeof from->sun_path)
		return -EINVAL;
	if (from->sun_path[0] != '\0')
		length = strnlen(from->sun_path, length);
	number = path_number(world, from->sun_path, length);
	memcpy(out->ip, &number, sizeof number);
	return number != 0 ? 0 : -ENOMEM;
}

/* Of a name that is too short, no byte is read. */
int apusi_sim_name_of(struct sim_world *world, const struct sockaddr *from, socklen_t bytes,
	struct sim_name *out)
{
	const struct sockaddr_in *ip4 = (const void *)from;
	const struct sockaddr_in6 *ip6 = (const void *)from;

	memset(out, 0, sizeof *out);
	if (bytes < sizeof from->sa_family)
		return -EINVAL;
	out->family = from->sa_family;
	if (from->sa_family == AF_INET && bytes >= sizeof *ip4) {
		out->port = ntohs(ip4->sin_port);
		memcpy(out->ip, mapped, sizeof mapped);
		memcpy(out->ip + 12, &ip4->sin_addr, 4);
		return 0;
	}
	if (from->sa_family == AF_INET6 && bytes >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		out->port = ntohs(ip6->sin6_port);
		memcpy(out->ip, &ip6->sin6_addr, 16);
		return 0;
	}
	if (from->sa_family == AF_UNIX)
		return unix_name_of(world, (const void *)from, bytes, out);
	return from->sa_family == AF_INET || from->sa_family == AF_INET6 ? -EINVAL : -EAFNOSUPPORT;
}

static socklen_t unix_name_write(const struct sim_world *world, const struct sim_name *name,
	struct sockaddr_un *out)
{
	uint32_t number;
	const char *path;
	size_t length;

	memcpy(&number, name->ip, sizeof number);
	if (number == 0)
		return offsetof(struct sockaddr_un, sun_path);
	path = world->paths[number - 1];
	length = (unsigned char)path[0];
	memcpy(out->sun_path, path + 1, length);
	if (out->sun_path[0] != '\0' && length < sizeof out->sun_path)
		length++; /* the zero at its end */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* In the form of the socket's family; what does not fit is cut off, as by the kernel. */
void apusi_sim_name_write(const struct sim_world *world, const struct sim_name *name, int family,
	struct sockaddr *out, socklen_t *bytes)
{
	union {
		struct sockaddr any;
		struct sockaddr_in ip4;
		struct sockaddr_in6 ip6;
		struct sockaddr_un local;
	} own;
	socklen_t full;

	memset(&own, 0, sizeof own);
	own.any.sa_family = (sa_family_t)family;
	if (family == AF_UNIX) {
		full = unix_name_write(world, name, &own.local);
	} else if (family == AF_INET6) {
		own.ip6.sin6_port = htons(name->port);
		memcpy(&own.ip6.sin6_addr, name->ip, 16);
		full = sizeof own.ip6;
	} else {
		own.ip4.sin_port = htons(name->port);
		memcpy(&own.ip4.sin_addr, name->ip + 12, 4);
		full = sizeof own.ip4;
	}
	memcpy(out, &own, full < *bytes ? full : *bytes);
	*bytes = full;
}
