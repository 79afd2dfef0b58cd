/*
 * net/os.h - sockets where systems differ; configure links it to this file on Linux.
 *
 *   Errors     as the system calls: -1 and errno; those that answer int: 0 or -errno.
 */
#ifndef APUSI_NET_OS_H
#define APUSI_NET_OS_H

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <time.h>

#include "apus/net.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

/* ---- opening: non-blocking and close-on-exec ------------------------------------- */

static inline int apusi_os_socket(int family, int type)
{
	return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static inline int apusi_os_socketpair(int type, int ends[2])
{
	return socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

static inline int apusi_os_accept(int fd, struct sockaddr *peer, socklen_t *bytes)
{
	return accept4(fd, peer, bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* ---- options ----------------------------------------------------------------------- */

static inline int apusi_os_get(int fd, int level, int name, int *value)
{
	socklen_t bytes = sizeof *value;

	return getsockopt(fd, level, name, value, &bytes) == 0 ? 0 : -errno;
}

static inline int apusi_os_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

static inline int apusi_os_family(int fd, int *family)
{
	return apusi_os_get(fd, SOL_SOCKET, SO_DOMAIN, family);
}

/* No layer on top of it: a short read means that nothing is left. */
static inline bool apusi_os_is_plain_tcp(int fd)
{
	char layer[16] = "";
	socklen_t bytes = sizeof layer;
	int protocol;

	if (apusi_os_get(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) != 0 || protocol != IPPROTO_TCP)
		return false;
	return getsockopt(fd, IPPROTO_TCP, TCP_ULP, layer, &bytes) == 0 && *layer == '\0';
}

/* The kernel books twice what it was asked for: the other half is its own. */
static inline int apusi_os_buffer_granted(int booked)
{
	return booked / 2;
}

/* Beyond the system's limit, where we may. */
static inline void apusi_os_buffer_force(int fd, int name, int bytes)
{
	(void)apusi_os_set(fd, SOL_SOCKET, name == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE,
		bytes);
}

static inline int apusi_os_busy_poll(int fd, int usec)
{
	return apusi_os_set(fd, SOL_SOCKET, SO_BUSY_POLL, usec);
}

static inline int apusi_os_prefer_busy_poll(int fd, bool prefer, int budget)
{
	int err = apusi_os_set(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, prefer);

	return err || budget == 0 ? err :
		apusi_os_set(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, budget);
}

static inline int apusi_os_incoming_cpu(int fd, int cpu)
{
	return apusi_os_set(fd, SOL_SOCKET, SO_INCOMING_CPU, cpu);
}

/* By default a socket hears the groups that any socket of the machine joined. */
static inline void apusi_os_hear_only_joined(int fd, int family)
{
	if (family == AF_INET6)
		(void)apusi_os_set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
	else
		(void)apusi_os_set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
}

static inline int apusi_os_peer(int fd, struct apus_unix_peer *out)
{
	struct ucred peer;
	socklen_t bytes = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0)
		return -errno;
	*out = (struct apus_unix_peer){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
	return 0;
}

/* ---- datagrams ------------------------------------------------------------------------ */

/* The true length, also of what did not fit. */
static inline ssize_t apusi_os_recv(int fd, void *data, size_t bytes)
{
	return recv(fd, data, bytes, MSG_TRUNC);
}

static inline ssize_t apusi_os_recvmsg(int fd, struct msghdr *message)
{
	return recvmsg(fd, message, MSG_TRUNC);
}

static inline int apusi_os_recv_many(int fd, struct mmsghdr *headers, uint32_t count)
{
	return recvmmsg(fd, headers, count, MSG_TRUNC, NULL);
}

static inline int apusi_os_send_many(int fd, struct mmsghdr *headers, uint32_t count)
{
	return sendmmsg(fd, headers, count, MSG_NOSIGNAL);
}

static inline int apusi_os_stamps_on(int fd)
{
	return apusi_os_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
}

static inline int apusi_os_drops_on(int fd)
{
	return apusi_os_set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
}

static inline int64_t apusi_os_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t bytes = sizeof info;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &bytes) != 0)
		return -errno;
	return info[SK_MEMINFO_DROPS];
}

/* Numbered, and without the packet's bytes, which unprivileged readers may not see. */
static inline int apusi_os_sent_on(int fd)
{
	return apusi_os_set(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE |
		SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
}

/* Half of what is queued of one datagram; both halves come in one message. */
static inline bool os_sent_part(const struct cmsghdr *control, struct apus_sent *out)
{
	struct scm_timestamping stamps;
	struct sock_extended_err error;

	if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_TIMESTAMPING) {
		memcpy(&stamps, CMSG_DATA(control), sizeof stamps);
		out->stamp_ns = stamps.ts[0].tv_sec * APUS_SEC + stamps.ts[0].tv_nsec;
		return false;
	}
	if ((control->cmsg_level != IPPROTO_IP || control->cmsg_type != IP_RECVERR) &&
	    (control->cmsg_level != IPPROTO_IPV6 || control->cmsg_type != IPV6_RECVERR))
		return false;
	memcpy(&error, CMSG_DATA(control), sizeof error);
	out->number = error.ee_data;
	return error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING;
}

/* The next stamp of the queue of errors: 0, -EAGAIN or -errno.  Other errors there are passed. */
static inline int apusi_os_sent(int fd, struct apus_sent *out)
{
	_Alignas(struct cmsghdr) char control[256];
	struct msghdr message;
	struct cmsghdr *part;
	bool found = false;

	do {
		message = (struct msghdr){ .msg_control = control, .msg_controllen = sizeof control };
		if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		*out = (struct apus_sent){ 0 };
		for (part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part))
			found |= os_sent_part(part, out);
	} while (!found);
	return 0;
}

/* What a control message tells of the packet. */
static inline void apusi_os_control(struct apus_packet *packet, const struct cmsghdr *control)
{
	struct timespec stamp;

	if (control->cmsg_level != SOL_SOCKET)
		return;
	if (control->cmsg_type == SCM_TIMESTAMPNS) {
		memcpy(&stamp, CMSG_DATA(control), sizeof stamp);
		packet->stamp_ns = stamp.tv_sec * APUS_SEC + stamp.tv_nsec;
	} else if (control->cmsg_type == SO_RXQ_OVFL) {
		memcpy(&packet->drops, CMSG_DATA(control), sizeof packet->drops);
	}
}

#endif
