/*
 * net/os.h - sockets where systems differ; configure links it to this file elsewhere.
 *
 *   Errors     as the system calls: -1 and errno; those that answer int: 0 or -errno.
 */
#ifndef APUSI_NET_OS_H
#define APUSI_NET_OS_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <fcntl.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "apus/net.h"

/* Where a send cannot be told to raise no SIGPIPE, the socket is (see os_ready). */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef TCP_KEEPIDLE
#define TCP_KEEPIDLE TCP_KEEPALIVE
#endif

/* A system without the calls has no type for their messages either. */
#ifndef HAVE_STRUCT_MMSGHDR
struct mmsghdr {
	struct msghdr msg_hdr;
	unsigned msg_len;
};
#endif

/* ---- opening: non-blocking and close-on-exec ------------------------------------- */

static inline int apusi_os_get(int fd, int level, int name, int *value)
{
	socklen_t bytes = sizeof *value;

	return getsockopt(fd, level, name, value, &bytes) == 0 ? 0 : -errno;
}

static inline int apusi_os_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

/* Between the call that made it and this one a child of fork() may inherit it. */
static inline int os_ready(int fd)
{
	int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

	if (fd < 0)
		return -1;
#ifdef SO_NOSIGPIPE
	(void)apusi_os_set(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
	if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline int apusi_os_socket(int family, int type)
{
	return os_ready(socket(family, type, 0));
}

static inline int apusi_os_socketpair(int type, int ends[2])
{
	if (socketpair(AF_UNIX, type, 0, ends) != 0)
		return -1;
	if (os_ready(ends[0]) >= 0 && os_ready(ends[1]) >= 0)
		return 0;
	close(ends[0]);
	close(ends[1]);
	return -1;
}

static inline int apusi_os_accept(int fd, struct sockaddr *peer, socklen_t *bytes)
{
	return os_ready(accept(fd, peer, bytes));
}

/* ---- options ----------------------------------------------------------------------- */

static inline int apusi_os_family(int fd, int *family)
{
	struct apus_address name;

	*family = AF_UNSPEC;
	name.bytes = sizeof name.storage;
	if (getsockname(fd, &name.any, &name.bytes) != 0)
		return -errno;
	*family = name.any.sa_family;
	return 0;
}

/* Nobody can be asked what lies on top of it. */
static inline bool apusi_os_is_plain_tcp(int fd)
{
	(void)fd;
	return false;
}

static inline int apusi_os_buffer_granted(int booked)
{
	return booked;
}

static inline void apusi_os_buffer_force(int fd, int name, int bytes)
{
	(void)fd, (void)name, (void)bytes;
}

static inline int apusi_os_busy_poll(int fd, int usec)
{
	(void)fd, (void)usec;
	return -ENOPROTOOPT;
}

static inline int apusi_os_prefer_busy_poll(int fd, bool prefer, int budget)
{
	(void)fd, (void)prefer, (void)budget;
	return -ENOPROTOOPT;
}

static inline int apusi_os_incoming_cpu(int fd, int cpu)
{
	(void)fd, (void)cpu;
	return -ENOPROTOOPT;
}

static inline void apusi_os_hear_only_joined(int fd, int family)
{
	(void)fd, (void)family;
}

static inline int apusi_os_peer(int fd, struct apus_unix_peer *out)
{
	(void)fd, (void)out;
	return -ENOTSUP;
}

/* ---- datagrams ------------------------------------------------------------------------ */

/* How long a packet was that did not fit is not told: one byte more than fits. */
static inline ssize_t apusi_os_recvmsg(int fd, struct msghdr *message)
{
	ssize_t got = recvmsg(fd, message, 0);

	return got >= 0 && (message->msg_flags & MSG_TRUNC) != 0 ? got + 1 : got;
}

static inline ssize_t apusi_os_recv(int fd, void *data, size_t bytes)
{
	struct iovec part = { .iov_base = data, .iov_len = bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	return apusi_os_recvmsg(fd, &message);
}

/* As recvmmsg(2): an error ends the batch, and is told only if it is the first. */
static inline int apusi_os_recv_many(int fd, struct mmsghdr *headers, uint32_t count)
{
	uint32_t done;
	ssize_t got;

	for (done = 0; done < count; done++) {
		got = apusi_os_recvmsg(fd, &headers[done].msg_hdr);
		if (got < 0)
			break;
		headers[done].msg_len = (unsigned)got;
	}
	return done > 0 ? (int)done : -1;
}

static inline int apusi_os_send_many(int fd, struct mmsghdr *headers, uint32_t count)
{
	uint32_t done;
	ssize_t put;

	for (done = 0; done < count; done++) {
		put = sendmsg(fd, &headers[done].msg_hdr, MSG_NOSIGNAL);
		if (put < 0)
			break;
		headers[done].msg_len = (unsigned)put;
	}
	return done > 0 ? (int)done : -1;
}

/* In microseconds. */
static inline int apusi_os_stamps_on(int fd)
{
	return apusi_os_set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
}

static inline int apusi_os_drops_on(int fd)
{
	(void)fd;
	return -ENOPROTOOPT;
}

static inline int64_t apusi_os_drops(int fd)
{
	(void)fd;
	return -ENOPROTOOPT;
}

static inline int apusi_os_sent_on(int fd)
{
	(void)fd;
	return -ENOPROTOOPT;
}

static inline int apusi_os_sent(int fd, struct apus_sent *out)
{
	(void)fd, (void)out;
	return -EAGAIN;
}

static inline void apusi_os_control(struct apus_packet *packet, const struct cmsghdr *control)
{
	struct timeval stamp;

	if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMP)
		return;
	memcpy(&stamp, CMSG_DATA(control), sizeof stamp);
	packet->stamp_ns = stamp.tv_sec * APUS_SEC + stamp.tv_usec * APUS_USEC;
}

#endif
