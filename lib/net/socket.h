/*
 * net/socket.h - what streams and datagrams share.
 *
 *   Errors     0 or -errno.   Threads   the loop's thread only.
 */
#ifndef APUSI_NET_SOCKET_H
#define APUSI_NET_SOCKET_H

#include "apus/net.h"
#include "io/sockets.h"
#include "net/os.h"

/* Opens a non-blocking socket with a slot of its own. */
int apusi_socket_open(struct apus_io *io, int family, int type, struct apusi_slot **out);

/* Closes a descriptor that has no slot. */
void apusi_socket_drop(struct apus_io *io, int fd);

/* Gives a new descriptor a slot, or closes it. */
int apusi_socket_keep(struct apus_io *io, int fd, int family, int type,
	struct apusi_slot **out);

/* Adopts after checking that it is a socket of that type, and listens or not. */
int apusi_socket_adopt(struct apus_loop *loop, int fd, enum apus_owner owner, int type,
	bool listens, uint64_t *token);

/* The slot for a call that is tried once and not awaited: 0, -EPERM, -ESTALE. */
int apusi_socket_try_enter(struct apus_loop *loop, uint64_t token, struct apusi_slot **slot);

int apusi_socket_set(const struct apusi_slot *slot, int level, int name, int value);
int apusi_socket_bind(const struct apusi_slot *slot, const struct apus_address *at, bool unlinks);

/* Both sizes, where they are not 0. */
int apusi_socket_set_buffers(const struct apusi_slot *slot, int receive_bytes, int send_bytes);

/* Removes the path of a Unix socket that nobody holds any more, and nothing else. */
void apusi_unix_unlink(const struct apus_address *at);

#endif
