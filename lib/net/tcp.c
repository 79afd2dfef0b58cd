#define _GNU_SOURCE
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"

#define ACCEPT_RETRY_NS (10 * APUS_MSEC)

/* ---- listening ---------------------------------------------------------------- */

static int listen_setup(struct apusi_slot *slot, const struct apus_address *at,
	const struct apus_listen_config *config)
{
	int err = 0;

	if (!config->no_reuse_address)
		err = apusi_socket_set(slot, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!err && config->reuse_port)
		err = apusi_socket_set(slot, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!err && at->any.sa_family == AF_INET6)
		err = apusi_socket_set(slot, IPPROTO_IPV6, IPV6_V6ONLY, config->ip6_only);
	if (!err)
		err = apusi_socket_set_buffers(slot, config->receive_buffer_bytes,
			config->send_buffer_bytes);
	if (!err)
		err = apusi_socket_bind(slot, at, config->unlink);
	if (err)
		return err;
	if (apusi_is_sim(slot))
		return apusi_sim_listen(slot, config->backlog > 0 ? config->backlog : INT_MAX);
	/* The kernel cuts it down to net.core.somaxconn. */
	return listen(slot->fd, config->backlog > 0 ? config->backlog : INT_MAX) == 0 ? 0 : -errno;
}

int apus_tcp_listen(struct apus_loop *loop, const struct apus_address *at,
	const struct apus_listen_config *config, struct apus_listener *out)
{
	static const struct apus_listen_config defaults;
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_io_enter(loop, &io);

	if (!err && at->bytes == 0)
		err = -EINVAL;
	if (!err)
		err = apusi_socket_open(io, at->any.sa_family, SOCK_STREAM, &slot);
	if (err)
		return err;
	err = listen_setup(slot, at, config != NULL ? config : &defaults);
	if (err)
		apusi_slot_close(io, slot);
	else {
		slot->flags |= APUSI_LISTENS;
		slot->flags &= ~(uint32_t)APUSI_SHORT;
		out->token = apusi_slot_token(slot);
	}
	return err;
}

/* The backend has accepted it; of one that is gone already there is no address: the next. */
static int accept_fed(struct apus_io *io, struct apusi_slot *slot, struct apus_address *peer)
{
	int fd, err;

	do {
		fd = io->backend->accept(io, slot);
		if (fd < 0 || peer == NULL)
			return fd;
		peer->bytes = sizeof peer->storage;
		if (apusi_io_is_sim(io)) {
			apusi_sim_peer_of(io, fd, &peer->any, &peer->bytes);
			return fd;
		}
		if (getpeername(fd, &peer->any, &peer->bytes) == 0)
			return fd;
		err = -errno;
		close(fd);
	} while (err == -ENOTCONN);
	return err;
}

/* The next connection's descriptor, or -errno.  One that was gone before we came is none. */
static int accept_call(struct apus_io *io, struct apusi_slot *slot, struct apus_address *peer)
{
	struct sockaddr *address = peer != NULL ? &peer->any : NULL;
	int fd;

	if (slot->flags & APUSI_FED) {
		fd = accept_fed(io, slot, peer);
		if (apusi_slot_is_fed(slot, fd))
			return fd;
	}
	do {
		if (peer != NULL)
			peer->bytes = sizeof peer->storage;
		fd = apusi_os_accept(slot->fd, address, peer != NULL ? &peer->bytes : NULL);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd >= 0 ? fd : -errno;
}

static int accept_now(struct apus_io *io, struct apusi_slot *slot, struct apus_tcp *out,
	struct apus_address *peer)
{
	int family = slot->flags & APUSI_UNIX ? AF_UNIX : AF_INET;
	struct apusi_slot *accepted;
	int fd, err;

	if (!apusi_slot_is_left(io))
		return -ENOSPC;
	fd = accept_call(io, slot, peer);
	if (fd < 0)
		return fd;
	err = apusi_socket_keep(io, fd, family, SOCK_STREAM, &accepted);
	if (!err)
		out->token = apusi_slot_token(accepted);
	return err;
}

/* Told once, then held back: the connection waits in the backlog, the bit stays set. */
static bool accept_is_held(const struct apus_cx *cx, struct apusi_slot *slot)
{
	if (apus_likely(slot->retry_ns == 0))
		return false;
	if (cx->now_ns < slot->retry_ns)
		return true;
	slot->retry_ns = 0;
	return false;
}

/* For the time alone: that a connection is there is known, and no event is to say it. */
static apus_poll accept_hold(struct apus_cx *cx, struct apusi_slot *slot)
{
	(void)apus_wait_is_broken(cx, &slot->reader); /* of the slot's last owner */
	apus_task_wake_at(cx, slot->retry_ns);
	return apus_wait_pend(cx, &slot->reader);
}

apus_poll apus_tcp_accept(struct apus_cx *cx, struct apus_listener listener,
	struct apus_tcp *out, struct apus_address *peer)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, listener.token);
	int err;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, listener.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	if (apus_unlikely(accept_is_held(cx, slot)))
		return accept_hold(cx, slot);
	if (apusi_slot_try_read(cx, slot)) {
		err = accept_now(cx->io, slot, out, peer);
		if (err == -EMFILE || err == -ENFILE || err == -ENOSPC || err == -ENOBUFS ||
			err == -ENOMEM)
			slot->retry_ns = apus_ns_add(cx->now_ns, ACCEPT_RETRY_NS);
		if (err != -EAGAIN)
			return err;
		apusi_slot_drained(cx, slot);
	}
	return apusi_slot_pend_read(cx, slot);
}

/* ---- opening and connecting ---------------------------------------------------- */

int apus_tcp_open(struct apus_loop *loop, int family, struct apus_tcp *out)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_io_enter(loop, &io);

	if (!err)
		err = apusi_socket_open(io, family, SOCK_STREAM, &slot);
	if (!err)
		out->token = apusi_slot_token(slot);
	return err;
}

int apus_tcp_bind(struct apus_loop *loop, struct apus_tcp tcp, const struct apus_address *at)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, tcp.token, &io, &slot);

	return err ? err : apusi_socket_bind(slot, at, false);
}

int apus_tcp_adopt(struct apus_loop *loop, int fd, enum apus_owner owner, struct apus_tcp *out)
{
	return apusi_socket_adopt(loop, fd, owner, SOCK_STREAM, false, &out->token);
}

int apus_listener_adopt(struct apus_loop *loop, int fd, enum apus_owner owner,
	struct apus_listener *out)
{
	return apusi_socket_adopt(loop, fd, owner, SOCK_STREAM, true, &out->token);
}

/* Asking again is how connect tells what came of it, with and without events. */
static apus_poll connect_now(const struct apus_cx *cx, struct apusi_slot *slot,
	const struct apus_address *to)
{
	int err = apusi_is_sim(slot) ? apusi_sim_connect(slot, &to->any, to->bytes) :
		connect(slot->fd, &to->any, to->bytes) == 0 ? 0 : -errno;

	if (err == -EINPROGRESS || err == -EALREADY || err == -EINTR) {
		slot->flags |= APUSI_CONNECTING;
		slot->ready = 0; /* nothing is worth a try before an edge says so */
		apusi_slot_filled(cx, slot);
		return APUS_PENDING;
	}
	slot->flags &= ~(uint32_t)APUSI_CONNECTING;
	return err;
}

apus_poll apus_tcp_connect(struct apus_cx *cx, struct apus_tcp tcp, const struct apus_address *to)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, tcp.token);
	apus_poll answer;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, tcp.token, true);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	if ((slot->flags & APUSI_CONNECTING) == 0 || apusi_slot_try_write(cx, slot) ||
	    apusi_is_sim(slot)) {
		answer = connect_now(cx, slot, to);
		if (answer != APUS_PENDING)
			return answer;
	}
	return apusi_slot_pend_write(cx, slot);
}

/* ---- reading --------------------------------------------------------------------- */

/* A read's answer, kept in the slot's bits; 0 is the end, and stays to be read again. */
static inline int64_t read_done(const struct apus_cx *cx, struct apusi_slot *slot, ssize_t got,
	size_t bytes)
{
	if (apus_unlikely(got < 0)) {
		if (errno == EAGAIN)
			apusi_slot_drained(cx, slot);
		return -errno;
	}
	if (apus_unlikely(got == 0) || (size_t)got == bytes)
		return got;
	if (apus_likely(slot->flags & APUSI_SHORT))
		apusi_slot_emptied(cx, slot);
	else
		apusi_slot_tasted(cx, slot);
	return got;
}

static inline int64_t read_now(const struct apus_cx *cx, struct apusi_slot *slot, void *data,
	size_t bytes)
{
	ssize_t got;

	if (apus_unlikely(bytes == 0))
		return -EINVAL;
	if (slot->flags & APUSI_FED) {
		got = cx->io->backend->read(cx->io, slot, data, bytes);
		if (apus_likely(apusi_slot_is_fed(slot, got)))
			return got;
	}
	if (!apusi_slot_try_read(cx, slot))
		return -EAGAIN;
	do
		got = recv(slot->fd, data, bytes, 0);
	while (apus_unlikely(got < 0) && errno == EINTR);
	return read_done(cx, slot, got, bytes);
}

static size_t parts_bytes(const struct iovec *parts, int count)
{
	size_t bytes = 0;
	int i;

	for (i = 0; i < count; i++)
		bytes += parts[i].iov_len;
	return bytes;
}

/* As far as it goes; what stands behind the bytes is told by the next. */
static int64_t readv_fed(const struct apus_cx *cx, struct apusi_slot *slot,
	const struct iovec *parts, int count)
{
	int64_t got, done = 0;
	int i;

	for (i = 0; i < count; i++) {
		if (parts[i].iov_len == 0)
			continue;
		if (done != 0 && !cx->io->backend->has(slot))
			return done;
		got = cx->io->backend->read(cx->io, slot, parts[i].iov_base, parts[i].iov_len);
		if (got < 0)
			return got;
		done += got;
		if ((size_t)got < parts[i].iov_len)
			return done;
	}
	return done;
}

static int64_t readv_now(const struct apus_cx *cx, struct apusi_slot *slot,
	const struct iovec *parts, int count)
{
	size_t bytes = parts_bytes(parts, count);
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };
	ssize_t got;

	if (apus_unlikely(bytes == 0))
		return -EINVAL;
	if (slot->flags & APUSI_FED) {
		got = readv_fed(cx, slot, parts, count);
		if (apusi_slot_is_fed(slot, got))
			return got;
	}
	if (!apusi_slot_try_read(cx, slot))
		return -EAGAIN;
	do
		got = recvmsg(slot->fd, &message, 0);
	while (got < 0 && errno == EINTR);
	return read_done(cx, slot, got, bytes);
}

apus_poll apus_tcp_read(struct apus_cx *cx, struct apus_tcp tcp, void *data, size_t bytes)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, tcp.token);
	int64_t got;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, tcp.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	got = read_now(cx, slot, data, bytes);
	return apus_likely(got != -EAGAIN) ? got : apusi_slot_pend_read(cx, slot);
}

apus_poll apus_tcp_readv(struct apus_cx *cx, struct apus_tcp tcp, const struct iovec *parts,
	int count)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, tcp.token);
	int64_t got;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, tcp.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	got = readv_now(cx, slot, parts, count < IOV_MAX ? count : IOV_MAX);
	return apus_likely(got != -EAGAIN) ? got : apusi_slot_pend_read(cx, slot);
}

/* ---- reading segments ------------------------------------------------------------------ */

/* Straight from the socket, into one of those that stay with the loop. */
static int64_t segment_from_socket(const struct apus_cx *cx, struct apusi_slot *slot,
	struct apus_segment *out)
{
	struct apusi_segments *segments = &cx->io->segments;
	int index;
	int64_t got;

	if (!apusi_slot_try_read(cx, slot))
		return -EAGAIN;
	index = apusi_segment_claim(segments);
	if (index < 0)
		return -ENOBUFS;
	got = read_now(cx, slot, apusi_segment_at(segments, (uint32_t)index),
		segments->segment_bytes);
	if (got <= 0) {
		apusi_segment_free(cx->io, (uint32_t)index);
		return got;
	}
	segments->all[index].offset = 0;
	segments->all[index].bytes = (uint32_t)got;
	return apusi_segment_hand_out(segments, (uint32_t)index, out);
}

static int64_t segment_now(const struct apus_cx *cx, struct apusi_slot *slot,
	struct apus_segment *out)
{
	int64_t got;

	if (slot->flags & APUSI_FED) {
		got = cx->io->backend->read_segment(cx->io, slot, out);
		if (apusi_slot_is_fed(slot, got))
			return got;
	}
	return segment_from_socket(cx, slot, out);
}

apus_poll apus_tcp_read_segment(struct apus_cx *cx, struct apus_tcp tcp, struct apus_segment *out)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, tcp.token);
	int64_t got;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, tcp.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	got = segment_now(cx, slot, out);
	return got != -EAGAIN ? got : apusi_slot_pend_read(cx, slot);
}

/* ---- writing ----------------------------------------------------------------------- */

/* A short write leaves its bit set: the next try is refused, and that arms the edge. */
static inline int64_t write_done(const struct apus_cx *cx, struct apusi_slot *slot, ssize_t put)
{
	if (apus_likely(put >= 0))
		return put;
	if (errno == EAGAIN)
		apusi_slot_filled(cx, slot);
	return -errno;
}

static inline int64_t write_now(const struct apus_cx *cx, struct apusi_slot *slot, const void *data,
	size_t bytes)
{
	ssize_t put;

	if (apus_unlikely(bytes == 0))
		return 0;
	if (!apusi_slot_try_write(cx, slot))
		return -EAGAIN;
	do
		put = send(slot->fd, data, bytes, MSG_NOSIGNAL);
	while (apus_unlikely(put < 0) && errno == EINTR);
	return write_done(cx, slot, put);
}

/* Not now, or never here: what is simulated is written to elsewhere, and never found ready. */
static APUS_COLD int64_t write_refused(const struct apusi_slot *slot, const void *data,
	size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)data, bytes };

	return apusi_is_sim(slot) ? apusi_sim_write(slot, &part, 1) : -EAGAIN;
}

static APUS_COLD apus_poll write_pend(struct apus_cx *cx, struct apusi_slot *slot,
	const void *data, size_t bytes)
{
	int64_t put = write_refused(slot, data, bytes);

	return put != -EAGAIN ? put : apusi_slot_pend_write(cx, slot);
}

static int64_t writev_now(const struct apus_cx *cx, struct apusi_slot *slot,
	const struct iovec *parts, int count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };
	ssize_t put;

	if (apus_unlikely(parts_bytes(parts, count) == 0))
		return 0;
	if (!apusi_slot_try_write(cx, slot))
		return apusi_is_sim(slot) ? apusi_sim_write(slot, parts, count) : -EAGAIN;
	do
		put = sendmsg(slot->fd, &message, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return write_done(cx, slot, put);
}

/* The hot way of both its callers, where a call more would be seen. */
__attribute__((__always_inline__))
static inline apus_poll write_some(struct apus_cx *cx, struct apus_tcp tcp, const void *data,
	size_t bytes)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, tcp.token);
	int64_t put;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, tcp.token, true);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	put = write_now(cx, slot, data, bytes);
	return apus_likely(put != -EAGAIN) ? put : write_pend(cx, slot, data, bytes);
}

apus_poll apus_tcp_write(struct apus_cx *cx, struct apus_tcp tcp, const void *data, size_t bytes)
{
	return write_some(cx, tcp, data, bytes);
}

apus_poll apus_tcp_writev(struct apus_cx *cx, struct apus_tcp tcp, const struct iovec *parts,
	int count)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, tcp.token);
	int64_t put;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, tcp.token, true);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	put = writev_now(cx, slot, parts, count < IOV_MAX ? count : IOV_MAX);
	return put != -EAGAIN ? put : apusi_slot_pend_write(cx, slot);
}

/* Goes on from done_bytes; is_begun says that there is something to go on from. */
static apus_poll write_rest(struct apus_cx *cx, struct apus_tcp tcp, struct apus_write *write,
	const void *data, size_t bytes)
{
	apus_poll put;

	while (write->done_bytes < bytes) {
		put = apus_tcp_write(cx, tcp, (const char *)data + write->done_bytes,
			bytes - write->done_bytes);
		write->is_begun = put == APUS_PENDING;
		if (put < 0)
			return put;
		write->done_bytes += (size_t)put;
	}
	return (apus_poll)bytes;
}

apus_poll apus_tcp_write_all(struct apus_cx *cx, struct apus_tcp tcp, struct apus_write *write,
	const void *data, size_t bytes)
{
	apus_poll put;

	if (apus_unlikely(write->is_begun))
		return write_rest(cx, tcp, write, data, bytes);
	put = write_some(cx, tcp, data, bytes);
	write->done_bytes = put > 0 ? (size_t)put : 0;
	if (apus_likely(put == (apus_poll)bytes))
		return put;
	return put < 0 ? put : write_rest(cx, tcp, write, data, bytes);
}

/* ---- at once ---------------------------------------------------------------------------- */

int64_t apus_tcp_try_read(struct apus_loop *loop, struct apus_tcp tcp, void *data, size_t bytes)
{
	struct apusi_slot *slot;
	int err = apusi_socket_try_enter(loop, tcp.token, &slot);

	if (err)
		return err;
	if (apusi_slot_is_taken(apus_loop_cx(loop), &slot->reader))
		return -EBUSY;
	return read_now(apus_loop_cx(loop), slot, data, bytes);
}

int64_t apus_tcp_try_write(struct apus_loop *loop, struct apus_tcp tcp, const void *data,
	size_t bytes)
{
	struct apusi_slot *slot;
	int err = apusi_socket_try_enter(loop, tcp.token, &slot);
	int64_t put;

	if (err)
		return err;
	if (apusi_slot_is_taken(apus_loop_cx(loop), &slot->writer))
		return -EBUSY;
	put = write_now(apus_loop_cx(loop), slot, data, bytes);
	return apus_likely(put != -EAGAIN) ? put : write_refused(slot, data, bytes);
}

int apus_tcp_shutdown(struct apus_loop *loop, struct apus_tcp tcp, int how)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, tcp.token, &io, &slot);

	if (err)
		return err;
	if (apusi_is_sim(slot))
		return apusi_sim_shutdown(slot, how);
	return shutdown(slot->fd, how) == 0 ? 0 : -errno;
}

int apus_tcp_set_keepalive(struct apus_loop *loop, struct apus_tcp tcp, int idle_s,
	int interval_s, int count)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, tcp.token, &io, &slot);

	if (err || idle_s <= 0)
		return err ? err : apusi_socket_set(slot, SOL_SOCKET, SO_KEEPALIVE, 0);
	err = apusi_socket_set(slot, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
	if (!err)
		err = apusi_socket_set(slot, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
	if (!err)
		err = apusi_socket_set(slot, IPPROTO_TCP, TCP_KEEPCNT, count);
	return err ? err : apusi_socket_set(slot, SOL_SOCKET, SO_KEEPALIVE, 1);
}
