#define _GNU_SOURCE
#include <string.h>

#include "net/socket.h"

/* The index of the interface, 0 for the kernel's choice. */
static int index_of(const char *interface_name)
{
	return interface_name == NULL ? 0 : apus_interface_index(interface_name);
}

static int level_of(const struct apus_address *group)
{
	return group->any.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

static int group_set(const struct apusi_slot *slot, int name, const struct apus_address *group,
	uint32_t index)
{
	struct group_req request = { .gr_interface = index };

	memcpy(&request.gr_group, &group->storage, group->bytes);
	return setsockopt(slot->fd, level_of(group), name, &request, sizeof request) == 0 ?
		0 : -errno;
}

static int source_set(const struct apusi_slot *slot, int name, const struct apus_address *group,
	const struct apus_address *source, uint32_t index)
{
	struct group_source_req request = { .gsr_interface = index };

	if (source->bytes == 0 || source->any.sa_family != group->any.sa_family)
		return -EINVAL;
	memcpy(&request.gsr_group, &group->storage, group->bytes);
	memcpy(&request.gsr_source, &source->storage, source->bytes);
	return setsockopt(slot->fd, level_of(group), name, &request, sizeof request) == 0 ?
		0 : -errno;
}

static bool is_group(const struct apus_address *group)
{
	if (group->bytes == 0)
		return false;
	if (group->any.sa_family == AF_INET)
		return IN_MULTICAST(ntohl(group->ip4.sin_addr.s_addr));
	return group->any.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&group->ip6.sin6_addr);
}

static int enter(struct apus_loop *loop, struct apus_udp udp, const struct apus_address *group,
	const char *interface_name, struct apusi_slot **slot)
{
	struct apus_io *io;
	int err = apusi_slot_enter(loop, udp.token, &io, slot);

	if (err)
		return err;
	return is_group(group) ? index_of(interface_name) : -EINVAL;
}

int apus_udp_join(struct apus_loop *loop, struct apus_udp udp, const struct apus_address *group,
	const struct apus_address *source, const char *interface_name)
{
	struct apusi_slot *slot;
	int index = enter(loop, udp, group, interface_name, &slot);

	if (index < 0)
		return index;
	if (apusi_is_sim(slot))
		return apusi_sim_join(slot, true, &group->any, source != NULL ? &source->any : NULL);
	apusi_os_hear_only_joined(slot->fd, group->any.sa_family);
	if (source != NULL)
		return source_set(slot, MCAST_JOIN_SOURCE_GROUP, group, source, (uint32_t)index);
	return group_set(slot, MCAST_JOIN_GROUP, group, (uint32_t)index);
}

int apus_udp_leave(struct apus_loop *loop, struct apus_udp udp, const struct apus_address *group,
	const struct apus_address *source, const char *interface_name)
{
	struct apusi_slot *slot;
	int index = enter(loop, udp, group, interface_name, &slot);

	if (index < 0)
		return index;
	if (apusi_is_sim(slot))
		return apusi_sim_join(slot, false, &group->any, source != NULL ? &source->any : NULL);
	if (source != NULL)
		return source_set(slot, MCAST_LEAVE_SOURCE_GROUP, group, source, (uint32_t)index);
	return group_set(slot, MCAST_LEAVE_GROUP, group, (uint32_t)index);
}

static int set_ip4(const struct apusi_slot *slot, int index, int hops, bool loopback)
{
	struct ip_mreqn request = { .imr_ifindex = index };
	int err = 0;

	if (index != 0 && !apusi_is_sim(slot) &&
	    setsockopt(slot->fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) != 0)
		err = -errno;
	if (!err)
		err = apusi_socket_set(slot, IPPROTO_IP, IP_MULTICAST_TTL, hops);
	return err ? err : apusi_socket_set(slot, IPPROTO_IP, IP_MULTICAST_LOOP, loopback);
}

static int set_ip6(const struct apusi_slot *slot, int index, int hops, bool loopback)
{
	int err = 0;

	if (index != 0)
		err = apusi_socket_set(slot, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
	if (!err)
		err = apusi_socket_set(slot, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops);
	return err ? err : apusi_socket_set(slot, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loopback);
}

int apus_udp_set_multicast(struct apus_loop *loop, struct apus_udp udp,
	const char *interface_name, int hops, bool loopback)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int family, index, err = apusi_slot_enter(loop, udp.token, &io, &slot);

	if (!err && apusi_is_sim(slot))
		family = apusi_sim_family(slot);
	else if (!err)
		err = apusi_os_family(slot->fd, &family);
	if (err)
		return err;
	index = index_of(interface_name);
	if (index < 0)
		return index;
	return family == AF_INET6 ? set_ip6(slot, index, hops, loopback) :
				    set_ip4(slot, index, hops, loopback);
}
