#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"

/* ---- opening ----------------------------------------------------------------- */

/*
 * Only plain TCP says "nothing is left" by a short read.  A Unix stream stops at a message
 * that carries descriptors, and TCP with a layer on top (kTLS) at a record; TCP itself stops
 * at urgent data, which APUSI_PRI tells.
 */
static uint32_t flags_of(int family, int type)
{
	if (type == SOCK_DGRAM)
		return APUSI_MAY_LEVEL | (family == AF_UNIX ? APUSI_UNIX : 0);
	return family == AF_UNIX ? APUSI_UNIX : APUSI_SHORT;
}

void apusi_socket_drop(struct apus_io *io, int fd)
{
	if (apusi_io_is_sim(io))
		apusi_sim_close(io, fd);
	else
		close(fd);
}

int apusi_socket_keep(struct apus_io *io, int fd, int family, int type, struct apusi_slot **out)
{
	int err = apusi_slot_open(io, fd, APUSI_OWNED | flags_of(family, type), out);

	if (err)
		apusi_socket_drop(io, fd);
	return err;
}

int apusi_socket_open(struct apus_io *io, int family, int type, struct apusi_slot **out)
{
	int fd;

	if (!apusi_slot_is_left(io))
		return -ENOSPC;
	if (apusi_io_is_sim(io)) {
		fd = apusi_sim_socket(io, family, type);
		return fd < 0 ? fd : apusi_socket_keep(io, fd, family, type, out);
	}
	fd = apusi_os_socket(family, type);
	return fd < 0 ? -errno : apusi_socket_keep(io, fd, family, type, out);
}

/* ---- adopting ------------------------------------------------------------------ */

static int check(int fd, int type, bool listens, int *family)
{
	int found_type, found_listens, err = apusi_os_get(fd, SOL_SOCKET, SO_TYPE, &found_type);

	if (!err)
		err = apusi_os_family(fd, family);
	if (!err)
		err = apusi_os_get(fd, SOL_SOCKET, SO_ACCEPTCONN, &found_listens);
	if (err)
		return err;
	return found_type == type && !!found_listens == listens ? 0 : -EPROTOTYPE;
}

/* A borrowed socket may be closed by others, and would then tell for ever what nobody hears. */
static uint32_t adopted_flags(int fd, enum apus_owner owner, int family, int type)
{
	uint32_t flags = flags_of(family, type);

	if (owner != APUS_OWNED)
		flags &= ~(uint32_t)APUSI_MAY_LEVEL;
	return apusi_os_is_plain_tcp(fd) ? flags : flags & ~(uint32_t)APUSI_SHORT;
}

int apusi_socket_adopt(struct apus_loop *loop, int fd, enum apus_owner owner, int type,
	bool listens, uint64_t *token)
{
	struct apus_io *io;
	int family, err = apusi_io_enter(loop, &io);

	if (!err)
		err = apusi_io_is_sim(io) ? apusi_sim_check(io, fd, type, listens, &family) :
					    check(fd, type, listens, &family);
	if (err)
		return err;
	return apusi_slot_adopt(io, fd, owner,
		listens ? APUSI_LISTENS | (family == AF_UNIX ? APUSI_UNIX : 0) :
			  adopted_flags(fd, owner, family, type), token);
}

int apusi_socket_try_enter(struct apus_loop *loop, uint64_t token, struct apusi_slot **slot)
{
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, slot);

	if (!err)
		apusi_slot_untold(apus_loop_cx(loop), *slot);
	return err;
}

/* ---- options -------------------------------------------------------------------- */

int apusi_socket_set(const struct apusi_slot *slot, int level, int name, int value)
{
	if (apusi_is_sim(slot))
		return apusi_sim_set(slot, level, name, value);
	return apusi_os_set(slot->fd, level, name, value);
}

int apus_socket_set(struct apus_loop *loop, uint64_t token, int level, int name, int value)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	return err ? err : apusi_socket_set(slot, level, name, value);
}

int apus_socket_get(struct apus_loop *loop, uint64_t token, int level, int name, int *value)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (!err && apusi_is_sim(slot))
		return apusi_sim_get(slot, level, name, value);
	return err ? err : apusi_os_get(slot->fd, level, name, value);
}

static int buffer_read(const struct apusi_slot *slot, int name)
{
	int booked, err;

	if (apusi_is_sim(slot)) {
		err = apusi_sim_get(slot, SOL_SOCKET, name, &booked);
		return err ? err : booked;
	}
	err = apusi_os_get(slot->fd, SOL_SOCKET, name, &booked);
	return err ? err : apusi_os_buffer_granted(booked);
}

/* Beyond the system's limit if we may, else up to it. */
static int buffer_set(const struct apusi_slot *slot, int name, int bytes)
{
	int granted, err;

	if (bytes < 0)
		return -EINVAL;
	if (bytes == 0)
		return buffer_read(slot, name);
	err = apusi_socket_set(slot, SOL_SOCKET, name, bytes);
	granted = err ? err : buffer_read(slot, name);
	if (granted < 0 || granted >= bytes)
		return granted;
	apusi_os_buffer_force(slot->fd, name, bytes);
	return buffer_read(slot, name);
}

int apusi_socket_set_buffers(const struct apusi_slot *slot, int receive_bytes, int send_bytes)
{
	int got = receive_bytes == 0 ? 0 :
		buffer_set(slot, SO_RCVBUF, receive_bytes);

	if (got >= 0 && send_bytes != 0)
		got = buffer_set(slot, SO_SNDBUF, send_bytes);
	return got < 0 ? got : 0;
}

int apus_socket_set_receive_buffer(struct apus_loop *loop, uint64_t token, int bytes)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	return err ? err : buffer_set(slot, SO_RCVBUF, bytes);
}

int apus_socket_set_send_buffer(struct apus_loop *loop, uint64_t token, int bytes)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	return err ? err : buffer_set(slot, SO_SNDBUF, bytes);
}

static const char *busy_poll_reason(int err)
{
	if (err == -EPERM)
		return "more than the system grants everybody needs CAP_NET_ADMIN";
	if (err == -ENOPROTOOPT)
		return "this kernel is built without busy polling";
	return strerror(-err);
}

int apus_socket_set_busy_poll(struct apus_loop *loop, uint64_t token, int usec, char *reason,
	size_t reason_bytes)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (!err && apusi_is_sim(slot))
		err = -ENOPROTOOPT;
	if (!err)
		err = apusi_os_busy_poll(slot->fd, usec);
	if (err)
		snprintf(reason, reason_bytes, "SO_BUSY_POLL %d us: %s", usec,
			busy_poll_reason(err));
	return err;
}

int apus_socket_prefer_busy_poll(struct apus_loop *loop, uint64_t token, bool prefer, int budget,
	char *reason, size_t reason_bytes)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (!err && apusi_is_sim(slot))
		err = -ENOPROTOOPT;
	if (!err)
		err = apusi_os_prefer_busy_poll(slot->fd, prefer, budget);
	if (err)
		snprintf(reason, reason_bytes, "SO_PREFER_BUSY_POLL %d, SO_BUSY_POLL_BUDGET %d: %s",
			prefer, budget, busy_poll_reason(err));
	return err;
}

int apus_socket_set_incoming_cpu(struct apus_loop *loop, uint64_t token, int cpu, char *reason,
	size_t reason_bytes)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (!err && apusi_is_sim(slot))
		err = -ENOPROTOOPT;
	if (!err)
		err = cpu < 0 ? -EINVAL : apusi_os_incoming_cpu(slot->fd, cpu);
	if (err)
		snprintf(reason, reason_bytes, "SO_INCOMING_CPU %d: %s", cpu,
			err == -ENOPROTOOPT ? "this system has none" : strerror(-err));
	return err;
}

/* ---- addresses --------------------------------------------------------------------- */

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *bytes);

static int local_name(int fd, struct sockaddr *address, socklen_t *bytes)
{
	return getsockname(fd, address, bytes);
}

static int peer_name(int fd, struct sockaddr *address, socklen_t *bytes)
{
	return getpeername(fd, address, bytes);
}

static int name_get(struct apus_loop *loop, uint64_t token, name_fn *name,
	struct apus_address *out)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, token, &io, &slot);

	if (err)
		return err;
	out->bytes = sizeof out->storage;
	if (apusi_is_sim(slot))
		return apusi_sim_name(slot, name == peer_name, &out->any, &out->bytes);
	return name(slot->fd, &out->any, &out->bytes) == 0 ? 0 : -errno;
}

int apus_socket_local(struct apus_loop *loop, uint64_t token, struct apus_address *out)
{
	return name_get(loop, token, local_name, out);
}

int apus_socket_peer(struct apus_loop *loop, uint64_t token, struct apus_address *out)
{
	return name_get(loop, token, peer_name, out);
}

int apusi_socket_bind(const struct apusi_slot *slot, const struct apus_address *at, bool unlinks)
{
	if (apusi_is_sim(slot))
		return apusi_sim_bind(slot, &at->any, at->bytes);
	if (unlinks && (slot->flags & APUSI_UNIX) != 0)
		apusi_unix_unlink(at);
	return bind(slot->fd, &at->any, at->bytes) == 0 ? 0 : -errno;
}
