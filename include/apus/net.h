/*
 * apus/net.h - stream and datagram sockets: TCP, UDP and Unix, over IPv4 and IPv6.
 *
 *   Units      bytes; datagrams; a wall clock's nanoseconds where the kernel stamps.
 *   Errors     as apus/io.h; -EINVAL (nothing to read into; an address that is none);
 *              -EMFILE, -ENFILE, -ENOSPC (accept: no descriptor or no slot, see there);
 *              -EMSGSIZE (a datagram longer than the buffer, or than the network takes);
 *              and what the system call says.  Nothing raises SIGPIPE.
 *   Ownership  the loop owns a socket from open, accept or an owned adopt until close.
 *              A received byte is the caller's only when its call completes: a read that
 *              is abandoned has taken nothing.
 *   Threads    the loop's thread only.
 *   Order      the two directions are independent; one waiter a direction, -EBUSY to a
 *              second.  What a stream carries stays in order.
 *   Cost       a read or a write is one system call; a wait is none.  An idle connection
 *              is 128 bytes and costs nothing per turn.
 *
 * What takes cx is awaited in a task; what takes a loop is done at once.  A family and an
 * address decide between IPv4, IPv6 and Unix: a stream with a Unix address is a Unix stream,
 * with the same calls.  Names are for apus/resolve.h.
 *
 * Example, one connection echoed:
 *
 *	#include <apus/net.h>
 *	#include <apus/task.h>
 *
 *	struct echo {
 *		struct apus_frame frame;
 *		struct apus_tcp tcp;
 *		struct apus_write write;
 *		int64_t bytes;
 *		char buffer[4096];
 *	};
 *
 *	static void echo_close(struct apus_cx *cx, struct echo *self)
 *	{
 *		apus_tcp_close(cx->loop, self->tcp);
 *	}
 *
 *	APUS_TASK(echo, struct echo, echo_close)
 *	{
 *		APUS_BEGIN(cx, self);
 *		for (;;) {
 *			APUS_TRY(self->bytes, apus_tcp_read(cx, self->tcp, self->buffer,
 *				sizeof self->buffer));
 *			if (self->bytes == 0)
 *				return 0;
 *			APUS_TRY(self->bytes, apus_tcp_write_all(cx, self->tcp, &self->write,
 *				self->buffer, (size_t)self->bytes));
 *		}
 *		APUS_END(0);
 *	}
 */
#ifndef APUS_NET_H
#define APUS_NET_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "apus/io.h"
#include "apus/op.h"

/* ---- addresses ------------------------------------------------------------ */

struct apus_address {
	__extension__ union {
		struct sockaddr any;
		struct sockaddr_in ip4;
		struct sockaddr_in6 ip6;
		struct sockaddr_un local;
		struct sockaddr_storage storage;
	};
	socklen_t bytes; /* 0: no address */
};

enum { APUS_ADDRESS_TEXT_BYTES = 128 };

APUS_BEGIN_DECLS

/*
 * "127.0.0.1:80", "127.0.0.1", "[::1]:80", "::1", "[fe80::1%eth0]:80", "unix:/a/path",
 * "unix:@abstract", "unix:" (unnamed).  Without a port it is 0.  0, or -EINVAL; -ENODEV:
 * no such interface; -EMFILE and the like: it could not be asked for.
 */
APUS_API int apus_address_parse(struct apus_address *address, const char *text);

/* The same form back: the length, or -ENOSPC. */
APUS_API int apus_address_format(const struct apus_address *address, char *text, size_t bytes);

/* The port, 0 for what has none. */
APUS_API uint16_t apus_address_port(const struct apus_address *address);
APUS_API void apus_address_set_port(struct apus_address *address, uint16_t port);
APUS_API bool apus_address_is_same(const struct apus_address *a, const struct apus_address *b);

/* The index of the interface of that name, or that has that address; -ENODEV; or as above. */
APUS_API int apus_interface_index(const char *name_or_address);

APUS_END_DECLS

/* ---- handles ----------------------------------------------------------------- */

struct apus_listener {
	uint64_t token;
};

/* A stream: TCP, or Unix. */
struct apus_tcp {
	uint64_t token;
};

/* Datagrams: UDP, or Unix. */
struct apus_udp {
	uint64_t token;
};

APUS_BEGIN_DECLS

/* ---- listening ------------------------------------------------------------------ */

struct apus_listen_config {
	int backlog;              /* 0: what the system allows */
	int receive_buffer_bytes; /* 0: the system's; inherited by what is accepted */
	int send_buffer_bytes;
	bool reuse_port;        /* several listeners share the port */
	bool no_reuse_address;  /* refuse a port that old connections still linger on */
	bool ip6_only;          /* an IPv6 listener takes IPv4 too, unless this */
	bool unlink;            /* remove a Unix socket's path that is left over */
};

/* Port 0: any that is free, see apus_listener_local.  config may be NULL. */
APUS_API int apus_tcp_listen(struct apus_loop *loop, const struct apus_address *at,
	const struct apus_listen_config *config, struct apus_listener *out);

/*
 * Awaits a connection: 0, *out, and *peer unless NULL.  When no descriptor (-EMFILE,
 * -ENFILE) or no slot (-ENOSPC) is left the caller is told once, the connection stays in
 * the backlog, and the next accept waits ten milliseconds before it tries again: a loop
 * that just calls again neither spins nor loses the listener.
 */
APUS_API apus_poll apus_tcp_accept(struct apus_cx *cx, struct apus_listener listener,
	struct apus_tcp *out, struct apus_address *peer);

/* ---- streams ----------------------------------------------------------------------- */

/* A socket of AF_INET, AF_INET6 or AF_UNIX, not connected: set options, bind, connect. */
APUS_API int apus_tcp_open(struct apus_loop *loop, int family, struct apus_tcp *out);
APUS_API int apus_tcp_bind(struct apus_loop *loop, struct apus_tcp tcp,
	const struct apus_address *at);

/*
 * Connects, and awaits that: 0 or -errno.  Begins when it is first evaluated; one that was
 * abandoned goes on in the kernel and may be awaited again with the same address.  A Unix
 * listener whose backlog is full answers -EAGAIN: nothing would say when to try again.
 */
APUS_API apus_poll apus_tcp_connect(struct apus_cx *cx, struct apus_tcp tcp,
	const struct apus_address *to);

/*
 * The descriptor of a stream, or of a listener; -ENOTSOCK, -EPROTOTYPE if it is another.  A
 * layer on top of TCP (kTLS) is set before.
 */
APUS_API int apus_tcp_adopt(struct apus_loop *loop, int fd, enum apus_owner owner,
	struct apus_tcp *out);
APUS_API int apus_listener_adopt(struct apus_loop *loop, int fd, enum apus_owner owner,
	struct apus_listener *out);

/* The bytes read, at least one; 0 is the end of the stream. */
APUS_API apus_poll apus_tcp_read(struct apus_cx *cx, struct apus_tcp tcp, void *data,
	size_t bytes);
/*
 * The same with no buffer named: *out is the next segment of the loop's own memory, held until
 * apus_segment_release.  -ENOBUFS: all are out, and nothing was taken.
 */
APUS_API apus_poll apus_tcp_read_segment(struct apus_cx *cx, struct apus_tcp tcp,
	struct apus_segment *out);

/* The bytes written, at least one and perhaps fewer than given; none given: 0. */
APUS_API apus_poll apus_tcp_write(struct apus_cx *cx, struct apus_tcp tcp, const void *data,
	size_t bytes);

/*
 * The same without a copy, where the loop runs over io_uring and config.uring.zero_copy_bytes
 * is set: lends data to the kernel until it answers, see apus/op.h, so *op and data must live
 * as long, and *op is zero to begin with.  Elsewhere it is copied, and *op stays idle.
 * Without a copy is not faster below some tens of kilobytes, nor on loopback.
 */
APUS_API apus_poll apus_tcp_write_zero_copy(struct apus_cx *cx, struct apus_tcp tcp,
	struct apus_op *op, const void *data, size_t bytes);

/* Into or from several buffers; what is beyond the system's IOV_MAX is left out. */
APUS_API apus_poll apus_tcp_readv(struct apus_cx *cx, struct apus_tcp tcp,
	const struct iovec *parts, int count);
APUS_API apus_poll apus_tcp_writev(struct apus_cx *cx, struct apus_tcp tcp,
	const struct iovec *parts, int count);

/* How far a write_all has come.  Zero is "at the beginning"; zero it after abandoning one. */
struct apus_write {
	size_t done_bytes; /* of the last or current one, also when it failed */
	bool is_begun;
};

/*
 * Writes all: bytes, or -errno and write->done_bytes.  data and bytes must be the same each
 * time it is evaluated until it is ready; *write must live as long, and is then as new.
 */
APUS_API apus_poll apus_tcp_write_all(struct apus_cx *cx, struct apus_tcp tcp,
	struct apus_write *write, const void *data, size_t bytes);

/* At once, or -EAGAIN.  For where nothing can be awaited: a cleanup, a loop's own turn. */
APUS_API int64_t apus_tcp_try_read(struct apus_loop *loop, struct apus_tcp tcp, void *data,
	size_t bytes);
APUS_API int64_t apus_tcp_try_write(struct apus_loop *loop, struct apus_tcp tcp,
	const void *data, size_t bytes);

/* how: SHUT_RD, SHUT_WR, SHUT_RDWR.  What was written before is still delivered. */
APUS_API int apus_tcp_shutdown(struct apus_loop *loop, struct apus_tcp tcp, int how);

/* ---- datagrams ------------------------------------------------------------------------ */

struct apus_udp_config {
	int receive_buffer_bytes; /* 0: the system's */
	int send_buffer_bytes;
	bool reuse_address; /* several sockets take the same multicast */
	bool reuse_port;
	bool ip6_only;
	bool timestamps; /* apus_packet.stamp_ns: when the kernel got it */
	bool sent_stamps; /* apus_udp_sent: when what was sent left */
	bool drops;      /* apus_packet.drops */
	bool unlink;     /* remove a Unix socket's path that is left over */
};

/* Bound to an address, port 0: any; "unix:" is not bound.  config may be NULL. */
APUS_API int apus_udp_open(struct apus_loop *loop, const struct apus_address *at,
	const struct apus_udp_config *config, struct apus_udp *out);
APUS_API int apus_udp_adopt(struct apus_loop *loop, int fd, enum apus_owner owner,
	struct apus_udp *out);

/* From now on to and from that peer only. */
APUS_API int apus_udp_connect(struct apus_loop *loop, struct apus_udp udp,
	const struct apus_address *to);

/* A datagram, received or to be sent. */
struct apus_packet {
	void *data;
	uint32_t bytes;        /* at data */
	uint32_t full_bytes;   /* received: its length on the wire, more than bytes if cut off */
	uint32_t drops;        /* received: lost by this socket so far, where it was asked for */
	bool is_truncated;     /* received: the buffer was too small, or see apus_backends(7) */
	int64_t stamp_ns;      /* received: the wall clock, where it was asked for; else 0 */
	struct apus_address address; /* from, or to; bytes 0: the connected peer */
};

/* When a datagram left for the device, where sent_stamps asked for it. */
struct apus_sent {
	int64_t stamp_ns; /* the wall clock */
	uint32_t number;  /* of the datagrams that this socket sent, from 0 on */
};

/*
 * Awaits the next stamp, in the order of sending: 0.  It waits as a reader does, so -EBUSY
 * while another task waits to receive; that task is woken for nothing by each stamp, which
 * stays queued, in the socket's receive buffer, until it is taken.
 */
APUS_API apus_poll apus_udp_sent(struct apus_cx *cx, struct apus_udp udp, struct apus_sent *out);
/* Takes one without waiting: 0, or -EAGAIN.  From any task, whoever waits to receive. */
APUS_API int apus_udp_try_sent(struct apus_loop *loop, struct apus_udp udp,
	struct apus_sent *out);

/*
 * Awaits a datagram: its bytes, which may be 0.  *packet, unless NULL, is what is known of
 * it.  One longer than the buffer is cut off: told by *packet, and -EMSGSIZE without one.
 */
APUS_API apus_poll apus_udp_recv(struct apus_cx *cx, struct apus_udp udp, void *data,
	size_t bytes, struct apus_packet *packet);

/*
 * Sends one: bytes, which may be 0.  to: NULL for the connected peer.  A Unix peer that is
 * not connected and whose queue is full answers -EAGAIN: nothing would say when to try again.
 */
APUS_API apus_poll apus_udp_send(struct apus_cx *cx, struct apus_udp udp, const void *data,
	size_t bytes, const struct apus_address *to);

APUS_API int64_t apus_udp_try_recv(struct apus_loop *loop, struct apus_udp udp, void *data,
	size_t bytes, struct apus_packet *packet);
APUS_API int64_t apus_udp_try_send(struct apus_loop *loop, struct apus_udp udp,
	const void *data, size_t bytes, const struct apus_address *to);

struct mmsghdr;

/* Many datagrams in one call.  Its memory is taken by init and is its own. */
struct apus_batch {
	struct apus_packet *packets; /* packet_count of them */
	uint32_t packet_count;
	uint32_t packet_bytes; /* what one may hold */
	/* private */
	uint32_t used_count;
	struct mmsghdr *headers;
	struct iovec *parts;
	unsigned char *buffers, *controls;
};

/* 1 to 1024 packets.  0, -EINVAL or -ENOMEM. */
APUS_API int apus_batch_init(struct apus_batch *batch, uint32_t packet_count,
	uint32_t packet_bytes);
APUS_API void apus_batch_deinit(struct apus_batch *batch);

/* Awaits at least one: how many of batch->packets were filled, from the first. */
APUS_API apus_poll apus_udp_recv_batch(struct apus_cx *cx, struct apus_udp udp,
	struct apus_batch *batch);

/*
 * Sends packets first to first + count - 1: how many, at least one.  data may point to the
 * batch's own buffer, as it does after init and receiving, or anywhere else.
 */
APUS_API apus_poll apus_udp_send_batch(struct apus_cx *cx, struct apus_udp udp,
	struct apus_batch *batch, uint32_t first, uint32_t count);

/*
 * Joins a group on an interface (a name or one of its addresses; NULL: the kernel's choice);
 * source, unless NULL, is the only sender to hear.
 */
APUS_API int apus_udp_join(struct apus_loop *loop, struct apus_udp udp,
	const struct apus_address *group, const struct apus_address *source,
	const char *interface_name);
APUS_API int apus_udp_leave(struct apus_loop *loop, struct apus_udp udp,
	const struct apus_address *group, const struct apus_address *source,
	const char *interface_name);

/* How what is sent to groups leaves: interface as above, hops, and whether we hear it too. */
APUS_API int apus_udp_set_multicast(struct apus_loop *loop, struct apus_udp udp,
	const char *interface_name, int hops, bool loopback);

/* Datagrams that the socket's full buffer cost so far, or -errno. */
APUS_API int64_t apus_udp_drops(struct apus_loop *loop, struct apus_udp udp);

/* ---- Unix ---------------------------------------------------------------------------------- */

/* Two ends connected to each other. */
APUS_API int apus_unix_pair(struct apus_loop *loop, struct apus_tcp *a, struct apus_tcp *b);
APUS_API int apus_unix_pair_datagram(struct apus_loop *loop, struct apus_udp *a,
	struct apus_udp *b);

/* Who connected, as the kernel knows it. */
struct apus_unix_peer {
	int64_t pid;
	uint32_t uid, gid;
};
APUS_API int apus_unix_peer(struct apus_loop *loop, struct apus_tcp tcp,
	struct apus_unix_peer *out);

/* ---- what sockets of all kinds can do --------------------------------------------------------- */

/* Any option whose value is an int.  0 or -errno; get: *value. */
APUS_API int apus_socket_set(struct apus_loop *loop, uint64_t token, int level, int name,
	int value);
APUS_API int apus_socket_get(struct apus_loop *loop, uint64_t token, int level, int name,
	int *value);
APUS_API int apus_socket_local(struct apus_loop *loop, uint64_t token,
	struct apus_address *out);
APUS_API int apus_socket_peer(struct apus_loop *loop, uint64_t token, struct apus_address *out);

/* Asks for a buffer of so many bytes: what was granted, or -errno.  0 only reads it back. */
APUS_API int apus_socket_set_receive_buffer(struct apus_loop *loop, uint64_t token, int bytes);
APUS_API int apus_socket_set_send_buffer(struct apus_loop *loop, uint64_t token, int bytes);

/* Lets a read spin so long on the device's queue.  Refused: -errno, and why in words. */
APUS_API int apus_socket_set_busy_poll(struct apus_loop *loop, uint64_t token, int usec,
	char *reason, size_t reason_bytes);

/*
 * While the device's queue is polled so, its interrupts stay off (prefer), and a poll takes at
 * most so many packets (budget; 0: as it is).  Refused: -errno, and why in words.
 */
APUS_API int apus_socket_prefer_busy_poll(struct apus_loop *loop, uint64_t token, bool prefer,
	int budget, char *reason, size_t reason_bytes);
/*
 * Of several sockets on one port (reuse_port) this one takes what CPU cpu has received.
 * Refused: -errno, and why in words.
 */
APUS_API int apus_socket_set_incoming_cpu(struct apus_loop *loop, uint64_t token, int cpu,
	char *reason, size_t reason_bytes);

/* Probes an idle peer: first after idle_s, then each interval_s, count times.  idle 0: off. */
APUS_API int apus_tcp_set_keepalive(struct apus_loop *loop, struct apus_tcp tcp, int idle_s,
	int interval_s, int count);

APUS_END_DECLS

/* ---- the same by their typed names --------------------------------------------------------------- */

#define APUS_NET_HANDLE_(noun)                                                             \
	APUS_INLINE int apus_##noun##_close(struct apus_loop *loop, struct apus_##noun handle) \
	{                                                                                  \
		return apus_io_close(loop, handle.token);                               \
	}                                                                                  \
	/* Ends the handle and answers the descriptor, which is now the caller's. */       \
	APUS_INLINE int apus_##noun##_release(struct apus_loop *loop,                      \
		struct apus_##noun handle)                                                 \
	{                                                                                  \
		return apus_io_release(loop, handle.token);                             \
	}                                                                                  \
	APUS_INLINE int apus_##noun##_number(struct apus_loop *loop,                       \
		struct apus_##noun handle)                                                 \
	{                                                                                  \
		return apus_io_number(loop, handle.token);                              \
	}                                                                                  \
	/* While it is awaited, it is read directly every turn; see apus/io.h. */          \
	APUS_INLINE int apus_##noun##_set_hot(struct apus_loop *loop,                      \
		struct apus_##noun handle, bool hot)                                       \
	{                                                                                  \
		return apus_io_set_hot(loop, handle.token, hot);                        \
	}                                                                                  \
	APUS_INLINE int apus_##noun##_local(struct apus_loop *loop,                        \
		struct apus_##noun handle, struct apus_address *out)                       \
	{                                                                                  \
		return apus_socket_local(loop, handle.token, out);                         \
	}                                                                                  \
	/* What was granted; more than asked for is never promised. */                     \
	APUS_INLINE int apus_##noun##_set_receive_buffer(struct apus_loop *loop,           \
		struct apus_##noun handle, int bytes)                                      \
	{                                                                                  \
		return apus_socket_set_receive_buffer(loop, handle.token, bytes);          \
	}                                                                                  \
	APUS_INLINE int apus_##noun##_set_send_buffer(struct apus_loop *loop,              \
		struct apus_##noun handle, int bytes)                                      \
	{                                                                                  \
		return apus_socket_set_send_buffer(loop, handle.token, bytes);             \
	}                                                                                  \
	APUS_INLINE int apus_##noun##_set_busy_poll(struct apus_loop *loop,                \
		struct apus_##noun handle, int usec, char *reason, size_t reason_bytes)    \
	{                                                                                  \
		return apus_socket_set_busy_poll(loop, handle.token, usec, reason,         \
			reason_bytes);                                                     \
	}                                                                                  \
	APUS_INLINE int apus_##noun##_prefer_busy_poll(struct apus_loop *loop,             \
		struct apus_##noun handle, bool prefer, int budget, char *reason,          \
		size_t reason_bytes)                                                       \
	{                                                                                  \
		return apus_socket_prefer_busy_poll(loop, handle.token, prefer, budget,    \
			reason, reason_bytes);                                             \
	}                                                                                  \
	APUS_INLINE int apus_##noun##_set_incoming_cpu(struct apus_loop *loop,             \
		struct apus_##noun handle, int cpu, char *reason, size_t reason_bytes)     \
	{                                                                                  \
		return apus_socket_set_incoming_cpu(loop, handle.token, cpu, reason,       \
			reason_bytes);                                                     \
	}

APUS_NET_HANDLE_(listener)
APUS_NET_HANDLE_(tcp)
APUS_NET_HANDLE_(udp)
#undef APUS_NET_HANDLE_

APUS_INLINE int apus_tcp_peer(struct apus_loop *loop, struct apus_tcp tcp,
	struct apus_address *out)
{
	return apus_socket_peer(loop, tcp.token, out);
}

APUS_INLINE int apus_udp_peer(struct apus_loop *loop, struct apus_udp udp,
	struct apus_address *out)
{
	return apus_socket_peer(loop, udp.token, out);
}

/* Small writes leave at once. */
APUS_INLINE int apus_tcp_set_nodelay(struct apus_loop *loop, struct apus_tcp tcp, bool on)
{
	return apus_socket_set(loop, tcp.token, IPPROTO_TCP, TCP_NODELAY, on);
}

/* Holds back until a segment is full, or the cork is drawn. */
APUS_INLINE int apus_tcp_set_cork(struct apus_loop *loop, struct apus_tcp tcp, bool on)
{
	return apus_socket_set(loop, tcp.token, IPPROTO_TCP, TCP_CORK, on);
}

/* Acknowledges at once; the kernel falls back by itself, so set it again after reads. */
APUS_INLINE int apus_tcp_set_quickack(struct apus_loop *loop, struct apus_tcp tcp, bool on)
{
	return apus_socket_set(loop, tcp.token, IPPROTO_TCP, TCP_QUICKACK, on);
}

#endif
