#include <string.h>

#include "io/sim.h"

/* ---- names and options ----------------------------------------------------------------------- */

int apusi_sim_name(const struct apusi_slot *slot, bool peer, struct sockaddr *name,
	socklen_t *bytes)
{
	const struct sim_socket *end = slot->backend;
	bool is_connected = end->type == SOCK_DGRAM ? end->remote.family != 0 || end->peer != NULL :
		end->state == SIM_CONNECTED;

	if (peer && !is_connected)
		return -ENOTCONN;
	apusi_sim_name_write(end->world, peer ? &end->remote : &end->local, end->local.family,
		name, bytes);
	return 0;
}

void apusi_sim_peer_of(struct apus_io *io, int number, struct sockaddr *name, socklen_t *bytes)
{
	const struct sim_socket *end = apusi_sim_number_find(apusi_sim_world_of(io), number);

	apusi_sim_name_write(end->world, &end->remote, end->local.family, name, bytes);
}

int apusi_sim_family(const struct apusi_slot *slot)
{
	return ((const struct sim_socket *)slot->backend)->local.family;
}

static int error_take(struct sim_socket *end)
{
	int err = end->error;

	end->error = 0;
	return err;
}

int apusi_sim_get(const struct apusi_slot *slot, int level, int name, int *value)
{
	struct sim_socket *end = slot->backend;

	*value = 0;
	if (level != SOL_SOCKET)
		return 0;
	switch (name) {
	case SO_TYPE:
		*value = end->type;
		break;
	case SO_ERROR:
		*value = error_take(end);
		break;
	case SO_ACCEPTCONN:
		*value = end->state == SIM_LISTENS;
		break;
	case SO_RCVBUF:
		*value = (int)end->receive_bytes;
		break;
	case SO_SNDBUF:
		*value = (int)end->send_bytes;
		break;
	case SO_REUSEADDR:
		*value = end->reuse;
		break;
	case SO_REUSEPORT:
		*value = end->reuse_port;
		break;
	}
	return 0;
}

static void buffer_set(struct sim_socket *end, int name, uint32_t bytes)
{
	enum { LEAST_BYTES = 2048 };

	bytes = bytes < LEAST_BYTES ? LEAST_BYTES : bytes;
	if (name == SO_SNDBUF) {
		end->send_bytes = bytes;
		return;
	}
	end->receive_bytes = bytes;
	if (end->type == SOCK_STREAM)
		end->in.capacity = bytes;
}

/* What no message would tell from without is taken, and forgotten. */
int apusi_sim_set(const struct apusi_slot *slot, int level, int name, int value)
{
	struct sim_socket *end = slot->backend;

	if (value > 255 && ((level == IPPROTO_IP && name == IP_MULTICAST_TTL) ||
			    (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_HOPS)))
		return -EINVAL;
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		end->only_ip6 = value != 0;
	if (level == IPPROTO_IP && name == IP_MULTICAST_LOOP)
		end->no_loop = value == 0;
	if (level != SOL_SOCKET)
		return 0;
	if (name == SO_REUSEADDR)
		end->reuse = value != 0;
	else if (name == SO_REUSEPORT)
		end->reuse_port = value != 0;
	else if (name == SO_RCVBUF || name == SO_SNDBUF)
		buffer_set(end, name, value > 0 ? (uint32_t)value : 0);
	return 0;
}

int apusi_sim_stamps_on(const struct apusi_slot *slot)
{
	((struct sim_socket *)slot->backend)->stamps = true;
	return 0;
}

int apusi_sim_drops_on(const struct apusi_slot *slot)
{
	((struct sim_socket *)slot->backend)->tells_drops = true;
	return 0;
}

int64_t apusi_sim_drops(const struct apusi_slot *slot)
{
	return ((const struct sim_socket *)slot->backend)->drops;
}

static uint32_t group_find(const struct sim_socket *end, const struct sim_group *wanted)
{
	uint32_t i;

	for (i = 0; i < end->group_count; i++)
		if (apusi_sim_ip_is_same(&end->groups[i].group, &wanted->group) &&
		    apusi_sim_ip_is_same(&end->groups[i].source, &wanted->source))
			break;
	return i;
}

static int group_change(struct sim_socket *end, bool joins, const struct sim_group *wanted)
{
	uint32_t at = group_find(end, wanted);

	if (!joins) {
		if (at == end->group_count)
			return -EADDRNOTAVAIL;
		end->groups[at] = end->groups[--end->group_count];
		return 0;
	}
	if (at < end->group_count)
		return -EADDRINUSE;
	if (at == SIM_GROUPS)
		return -ENOBUFS;
	end->groups[end->group_count++] = *wanted;
	return 0;
}

int apusi_sim_join(const struct apusi_slot *slot, bool joins, const struct sockaddr *group,
	const struct sockaddr *source)
{
	struct sim_socket *end = slot->backend;
	struct sim_group wanted;
	int err = apusi_sim_name_of(end->world, group, sizeof(struct sockaddr_in6), &wanted.group);

	memset(&wanted.source, 0, sizeof wanted.source);
	if (!err && source != NULL)
		err = apusi_sim_name_of(end->world, source, sizeof(struct sockaddr_in6),
			&wanted.source);
	if (!err && (!apusi_sim_name_is_group(&wanted.group) ||
		     (source != NULL && source->sa_family != group->sa_family)))
		err = -EINVAL;
	if (!err)
		err = group_change(end, joins, &wanted);
	apusi_sim_step(end->world, joins ? "join" : "leave", end, err);
	return err;
}
