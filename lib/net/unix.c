#define _GNU_SOURCE
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"

void apusi_unix_unlink(const struct apus_address *at)
{
	const char *path = at->local.sun_path;
	struct stat found;

	if (*path != '\0' && lstat(path, &found) == 0 && S_ISSOCK(found.st_mode))
		(void)unlink(path);
}

/* Both ends get a slot, or neither is left open. */
static int pair_keep(struct apus_io *io, const int *ends, int type, uint64_t *a, uint64_t *b)
{
	struct apusi_slot *first, *second;
	int err = apusi_socket_keep(io, ends[0], AF_UNIX, type, &first);

	if (err) {
		apusi_socket_drop(io, ends[1]);
		return err;
	}
	err = apusi_socket_keep(io, ends[1], AF_UNIX, type, &second);
	if (err) {
		apusi_slot_close(io, first);
		return err;
	}
	*a = apusi_slot_token(first);
	*b = apusi_slot_token(second);
	return 0;
}

static int pair_open(struct apus_loop *loop, int type, uint64_t *a, uint64_t *b)
{
	struct apus_io *io;
	int ends[2], err = apusi_io_enter(loop, &io);

	if (!err && apusi_io_is_sim(io))
		err = apusi_sim_pair(io, type, ends);
	if (err)
		return err;
	if (!apusi_io_is_sim(io) && apusi_os_socketpair(type, ends) != 0)
		return -errno;
	return pair_keep(io, ends, type, a, b);
}

int apus_unix_pair(struct apus_loop *loop, struct apus_tcp *a, struct apus_tcp *b)
{
	return pair_open(loop, SOCK_STREAM, &a->token, &b->token);
}

int apus_unix_pair_datagram(struct apus_loop *loop, struct apus_udp *a, struct apus_udp *b)
{
	return pair_open(loop, SOCK_DGRAM, &a->token, &b->token);
}

int apus_unix_peer(struct apus_loop *loop, struct apus_tcp tcp, struct apus_unix_peer *out)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, tcp.token, &io, &slot);

	if (err)
		return err;
	if ((slot->flags & APUSI_UNIX) == 0)
		return -EPROTOTYPE;
	if (apusi_is_sim(slot)) { /* both ends are this process's */
		*out = (struct apus_unix_peer){ .pid = getpid(), .uid = getuid(), .gid = getgid() };
		return 0;
	}
	return apusi_os_peer(slot->fd, out);
}
