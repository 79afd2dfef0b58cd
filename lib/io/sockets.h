/*
 * io/sockets.h - the system calls of the simulated network, for slots that are its own.
 *
 *   Errors     0 or -errno; counts and numbers: or -errno.
 *   Threads    the loop's thread only.
 *
 * Where net makes a system call on a slot's descriptor, a slot with APUSI_SIM has one of these
 * instead.  Reading and accepting have none here: such a slot is fed by its backend.  It is
 * never ready to be written to, so that the way of a real write is the same to the instruction,
 * and only one that is refused looks whether its socket is simulated.
 */
#ifndef APUSI_IO_SOCKETS_H
#define APUSI_IO_SOCKETS_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "io/backend.h"

static inline bool apusi_is_sim(const struct apusi_slot *slot)
{
	return apus_unlikely((slot->flags & APUSI_SIM) != 0);
}

static inline bool apusi_io_is_sim(const struct apus_io *io)
{
	return apus_unlikely(io->kind == APUS_IO_SIM);
}

/* Numbers, which name ends of this network only. */
int apusi_sim_socket(struct apus_io *io, int family, int type);
int apusi_sim_pair(struct apus_io *io, int type, int ends[2]);
void apusi_sim_close(struct apus_io *io, int number);
void apusi_sim_peer_of(struct apus_io *io, int number, struct sockaddr *name, socklen_t *bytes);
/* 0, -EPROTOTYPE, or -EINVAL: a real descriptor. */
int apusi_sim_check(struct apus_io *io, int number, int type, bool listens, int *family);

int apusi_sim_bind(const struct apusi_slot *slot, const struct sockaddr *at, socklen_t bytes);
int apusi_sim_listen(const struct apusi_slot *slot, int backlog);
int apusi_sim_connect(const struct apusi_slot *slot, const struct sockaddr *to, socklen_t bytes);
int apusi_sim_shutdown(const struct apusi_slot *slot, int how);
int apusi_sim_family(const struct apusi_slot *slot);
int apusi_sim_get(const struct apusi_slot *slot, int level, int name, int *value);
int apusi_sim_set(const struct apusi_slot *slot, int level, int name, int value);
int apusi_sim_name(const struct apusi_slot *slot, bool peer, struct sockaddr *name,
	socklen_t *bytes);
int apusi_sim_join(const struct apusi_slot *slot, bool joins, const struct sockaddr *group,
	const struct sockaddr *source);
int apusi_sim_stamps_on(const struct apusi_slot *slot);
int apusi_sim_drops_on(const struct apusi_slot *slot);
int64_t apusi_sim_drops(const struct apusi_slot *slot);

/* True: a write would not be -EAGAIN.  False: who waits is woken when it may not be. */
bool apusi_sim_is_writable(const struct apusi_slot *slot);
int64_t apusi_sim_write(const struct apusi_slot *slot, const struct iovec *parts, int count);
int64_t apusi_sim_send(const struct apusi_slot *slot, const void *data, size_t bytes,
	const struct sockaddr *to, socklen_t to_bytes);

#endif
