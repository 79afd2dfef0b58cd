#define _GNU_SOURCE
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/datagram.h"
#include "net/socket.h"

/* ---- opening ------------------------------------------------------------------- */

/*
 * The backend may receive what is ours alone.  Not so a Unix socket: descriptors may come with
 * a datagram.
 */
static void let_feed(const struct apus_io *io, struct apusi_slot *slot)
{
	if (io->datagram_bytes != 0 && (slot->flags & (APUSI_OWNED | APUSI_UNIX)) == APUSI_OWNED)
		slot->flags |= APUSI_BRIEF;
}

void apusi_datagram_direct(struct apus_io *io, struct apusi_slot *slot)
{
	if ((slot->flags & APUSI_BRIEF) == 0)
		return;
	slot->flags &= ~(uint32_t)APUSI_BRIEF;
	if (slot->flags & APUSI_FED)
		(void)io->backend->let_go(io, slot); /* what it holds stays to be read first */
}

static int udp_setup(struct apusi_slot *slot, const struct apus_address *at,
	const struct apus_udp_config *config)
{
	int err = 0;

	if (config->reuse_address)
		err = apusi_socket_set(slot, SOL_SOCKET, SO_REUSEADDR, 1);
	if (!err && config->reuse_port)
		err = apusi_socket_set(slot, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!err && at->any.sa_family == AF_INET6)
		err = apusi_socket_set(slot, IPPROTO_IPV6, IPV6_V6ONLY, config->ip6_only);
	if (!err && config->timestamps)
		err = apusi_is_sim(slot) ? apusi_sim_stamps_on(slot) : apusi_os_stamps_on(slot->fd);
	if (!err && config->sent_stamps)
		err = apusi_is_sim(slot) ? -ENOPROTOOPT : apusi_os_sent_on(slot->fd);
	if (!err && config->drops)
		err = apusi_is_sim(slot) ? apusi_sim_drops_on(slot) : apusi_os_drops_on(slot->fd);
	if (!err)
		err = apusi_socket_set_buffers(slot, config->receive_buffer_bytes,
			config->send_buffer_bytes);
	if (err || at->bytes <= sizeof at->any.sa_family)
		return err;
	return apusi_socket_bind(slot, at, config->unlink);
}

int apus_udp_open(struct apus_loop *loop, const struct apus_address *at,
	const struct apus_udp_config *config, struct apus_udp *out)
{
	static const struct apus_udp_config defaults;
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_io_enter(loop, &io);

	if (!err && at->bytes == 0)
		err = -EINVAL;
	if (!err)
		err = apusi_socket_open(io, at->any.sa_family, SOCK_DGRAM, &slot);
	if (err)
		return err;
	err = udp_setup(slot, at, config != NULL ? config : &defaults);
	if (err) {
		apusi_slot_close(io, slot);
		return err;
	}
	let_feed(io, slot);
	out->token = apusi_slot_token(slot);
	return 0;
}

int apus_udp_adopt(struct apus_loop *loop, int fd, enum apus_owner owner, struct apus_udp *out)
{
	int err = apusi_socket_adopt(loop, fd, owner, SOCK_DGRAM, false, &out->token);
	struct apus_io *io;

	if (!err && apusi_io_enter(loop, &io) == 0)
		let_feed(io, apusi_slot_find(io, out->token));
	return err;
}

int apus_udp_connect(struct apus_loop *loop, struct apus_udp udp, const struct apus_address *to)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, udp.token, &io, &slot);

	if (err)
		return err;
	if (apusi_is_sim(slot))
		return apusi_sim_connect(slot, &to->any, to->bytes);
	return connect(slot->fd, &to->any, to->bytes) == 0 ? 0 : -errno;
}

int64_t apus_udp_drops(struct apus_loop *loop, struct apus_udp udp)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, udp.token, &io, &slot);

	if (!err && apusi_is_sim(slot))
		return apusi_sim_drops(slot);
	return err ? err : apusi_os_drops(slot->fd);
}

/* ---- receiving ----------------------------------------------------------------------- */

void apusi_packet_fill(struct apus_packet *packet, struct msghdr *message, size_t full_bytes,
	size_t capacity_bytes)
{
	struct cmsghdr *control;

	packet->is_truncated = full_bytes > capacity_bytes;
	packet->full_bytes = (uint32_t)full_bytes;
	packet->bytes = (uint32_t)(packet->is_truncated ? capacity_bytes : full_bytes);
	packet->address.bytes = message->msg_namelen;
	packet->stamp_ns = 0;
	packet->drops = 0;
	if (apus_likely(message->msg_controllen == 0))
		return;
	for (control = CMSG_FIRSTHDR(message); control != NULL;
		control = CMSG_NXTHDR(message, control))
		apusi_os_control(packet, control);
}

static ssize_t recv_plain(int fd, void *data, size_t bytes)
{
	ssize_t got = apusi_os_recv(fd, data, bytes);

	if (apus_likely(got < 0 || (size_t)got <= bytes))
		return got;
	errno = EMSGSIZE;
	return -1;
}

/* Of one part, which is set; from whom, and what the kernel tells of it. */
static struct msghdr packet_message(struct apus_packet *packet, struct iovec *part,
	struct apusi_control *control)
{
	return (struct msghdr){
		.msg_name = &packet->address.storage,
		.msg_namelen = sizeof packet->address.storage,
		.msg_iov = part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof *control,
	};
}

static ssize_t recv_packet(int fd, void *data, size_t bytes, struct apus_packet *packet)
{
	struct apusi_control control;
	struct iovec part = { .iov_base = data, .iov_len = bytes };
	struct msghdr message = packet_message(packet, &part, &control);
	ssize_t got = apusi_os_recvmsg(fd, &message);

	if (got < 0)
		return got;
	packet->data = data;
	apusi_packet_fill(packet, &message, (size_t)got, bytes);
	return packet->bytes;
}

/* What the backend holds; how much of it there is, is the part's length then. */
static int64_t recv_fed(const struct apus_cx *cx, struct apusi_slot *slot, void *data, size_t bytes,
	struct apus_packet *packet)
{
	struct apusi_control control;
	struct iovec part = { .iov_base = data, .iov_len = bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int64_t got;

	if (packet != NULL)
		message = packet_message(packet, &part, &control);
	got = cx->io->backend->read_datagram(cx->io, slot, &message);
	if (got < 0)
		return got;
	if (packet == NULL)
		return (size_t)got <= part.iov_len ? got : -EMSGSIZE;
	packet->data = data;
	apusi_packet_fill(packet, &message, (size_t)got, part.iov_len);
	return packet->bytes;
}

static int64_t recv_now(const struct apus_cx *cx, struct apusi_slot *slot, void *data, size_t bytes,
	struct apus_packet *packet)
{
	int64_t got;

	apusi_datagram_expect(cx, slot, bytes);
	if (slot->flags & APUSI_FED) {
		got = recv_fed(cx, slot, data, bytes, packet);
		if (apusi_slot_is_fed(slot, got))
			return got;
	}
	if (!apusi_slot_try_read(cx, slot))
		return -EAGAIN;
	do
		got = packet == NULL ? recv_plain(slot->fd, data, bytes) :
				       recv_packet(slot->fd, data, bytes, packet);
	while (apus_unlikely(got < 0) && errno == EINTR);
	if (apus_likely(got >= 0)) {
		apusi_slot_took_one(cx, slot);
		return got;
	}
	if (errno == EAGAIN)
		apusi_slot_drained(cx, slot);
	return -errno;
}

apus_poll apus_udp_recv(struct apus_cx *cx, struct apus_udp udp, void *data, size_t bytes,
	struct apus_packet *packet)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, udp.token);
	int64_t got;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, udp.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	got = recv_now(cx, slot, data, bytes, packet);
	return got != -EAGAIN ? got : apusi_slot_pend_read(cx, slot);
}

/* ---- sending ---------------------------------------------------------------------------- */

/* It is not ready for one: not now, or never, since it sends elsewhere. */
static APUS_COLD int64_t send_refused(const struct apusi_slot *slot, const void *data, size_t bytes,
	const struct apus_address *to)
{
	if (!apusi_is_sim(slot))
		return -EAGAIN;
	return apusi_sim_send(slot, data, bytes, to != NULL ? &to->any : NULL,
		to != NULL ? to->bytes : 0);
}

static int64_t send_now(const struct apus_cx *cx, struct apusi_slot *slot, const void *data, size_t bytes,
	const struct apus_address *to)
{
	ssize_t put;

	if (!apusi_slot_try_write(cx, slot))
		return send_refused(slot, data, bytes, to);
	do
		put = to == NULL ? send(slot->fd, data, bytes, MSG_NOSIGNAL) :
				   sendto(slot->fd, data, bytes, MSG_NOSIGNAL, &to->any,
					   to->bytes);
	while (apus_unlikely(put < 0) && errno == EINTR);
	if (apus_likely(put >= 0))
		return put;
	if (errno == EAGAIN && !apusi_unix_is_full(slot, to))
		apusi_slot_filled(cx, slot);
	return -errno;
}

apus_poll apus_udp_send(struct apus_cx *cx, struct apus_udp udp, const void *data, size_t bytes,
	const struct apus_address *to)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, udp.token);
	int64_t put;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, udp.token, true);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	put = send_now(cx, slot, data, bytes, to);
	if (put != -EAGAIN || apusi_unix_is_full(slot, to))
		return put;
	return apusi_slot_pend_write(cx, slot);
}

/* ---- when it was sent ------------------------------------------------------------------ */

/* No bit tells of the queue of errors: its event makes everything worth a try. */
apus_poll apus_udp_sent(struct apus_cx *cx, struct apus_udp udp, struct apus_sent *out)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, udp.token);
	int err;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, udp.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	err = apusi_is_sim(slot) ? -ENOTSUP : apusi_os_sent(slot->fd, out);
	if (err != -EAGAIN)
		return err;
	apusi_datagram_direct(cx->io, slot); /* who is fed hears of no stamp */
	apusi_slot_make_edge(cx->io, slot); /* a datagram that nobody reads tells of itself once */
	return apusi_slot_pend_read(cx, slot);
}

int apus_udp_try_sent(struct apus_loop *loop, struct apus_udp udp, struct apus_sent *out)
{
	struct apusi_slot *slot;
	struct apus_io *io;
	int err = apusi_slot_enter(loop, udp.token, &io, &slot);

	if (!err && apusi_is_sim(slot))
		err = -ENOTSUP;
	return err ? err : apusi_os_sent(slot->fd, out);
}

/* ---- at once ------------------------------------------------------------------------------ */

int64_t apus_udp_try_recv(struct apus_loop *loop, struct apus_udp udp, void *data, size_t bytes,
	struct apus_packet *packet)
{
	struct apusi_slot *slot;
	int err = apusi_socket_try_enter(loop, udp.token, &slot);

	if (err)
		return err;
	if (apusi_slot_is_taken(apus_loop_cx(loop), &slot->reader))
		return -EBUSY;
	return recv_now(apus_loop_cx(loop), slot, data, bytes, packet);
}

int64_t apus_udp_try_send(struct apus_loop *loop, struct apus_udp udp, const void *data,
	size_t bytes, const struct apus_address *to)
{
	struct apusi_slot *slot;
	int err = apusi_socket_try_enter(loop, udp.token, &slot);

	if (err)
		return err;
	if (apusi_slot_is_taken(apus_loop_cx(loop), &slot->writer))
		return -EBUSY;
	return send_now(apus_loop_cx(loop), slot, data, bytes, to);
}
