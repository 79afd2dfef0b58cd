#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "io/sim.h"

enum { BYTES_MAX = 65507, BOOKED_BYTES = 256 }; /* what each one takes of a buffer beside its own */

/* ---- sending ------------------------------------------------------------------------- */

static struct sim_datagram *datagram_new(const struct sim_name *from, const void *data,
	uint32_t bytes)
{
	struct sim_datagram *datagram = malloc(sizeof *datagram + bytes);

	if (datagram == NULL)
		return NULL;
	datagram->next = NULL;
	datagram->from = *from;
	datagram->bytes = bytes;
	memcpy(datagram->data, data, bytes);
	return datagram;
}

static void dispatch(struct sim_socket *to, struct sim_datagram *datagram, int64_t at_ns)
{
	const struct sim_event event = {
		.ns = at_ns,
		.index = to->index,
		.generation = to->generation,
		.kind = SIM_DATAGRAM,
		.datagram = datagram,
	};

	if (datagram != NULL)
		apusi_sim_post(to->world, &event);
}

/* In order, unless it is one of those that are late. */
static int64_t datagram_ns(struct sim_socket *to)
{
	struct sim_world *world = to->world;
	int64_t at_ns = apusi_sim_now(world) + apusi_sim_travel_ns(world);
	int64_t late_ns = world->config.reorder_ns;

	if (apusi_sim_hits(world, world->config.reorder_ppm)) {
		world->counts.reorders++;
		return at_ns + 1 + apusi_sim_up_to(world, late_ns != 0 ? late_ns : APUS_MSEC);
	}
	if (at_ns < to->in.last_ns)
		at_ns = to->in.last_ns;
	to->in.last_ns = at_ns;
	return at_ns;
}

static void deliver(const struct sim_name *from, struct sim_socket *to, const void *data,
	uint32_t bytes)
{
	struct sim_world *world = to->world;

	if (apusi_sim_is_cut(world, from, &to->local)) {
		world->counts.cut_datagrams++;
		apusi_sim_step(world, "cut off", to, bytes);
		return;
	}
	if (apusi_sim_hits(world, world->config.drop_ppm)) {
		world->counts.drops++;
		apusi_sim_step(world, "drop", to, bytes);
		return;
	}
	if (apusi_sim_hits(world, world->config.duplicate_ppm)) {
		world->counts.duplicates++;
		dispatch(to, datagram_new(from, data, bytes), datagram_ns(to));
	}
	dispatch(to, datagram_new(from, data, bytes), datagram_ns(to));
}

static bool is_member(const struct sim_socket *end, const struct sim_name *group,
	const struct sim_name *from)
{
	uint32_t i;

	for (i = 0; i < end->group_count; i++)
		if (apusi_sim_ip_is_same(&end->groups[i].group, group) &&
		    (end->groups[i].source.family == 0 ||
			    apusi_sim_ip_is_same(&end->groups[i].source, from)))
			return true;
	return false;
}

static void deliver_group(struct sim_world *world, const struct sim_name *from,
	const struct sim_name *to, const void *data, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < world->end_count; i++) {
		struct sim_socket *end = world->ends[i];

		if (!end->is_live || end->type != SOCK_DGRAM || end->local.port != to->port)
			continue;
		if (!apusi_sim_name_is_wild(&end->local) && !apusi_sim_ip_is_same(&end->local, to))
			continue;
		if (is_member(end, to, from))
			deliver(from, end, data, bytes);
	}
}

/* Nobody is there: a sender that has connected hears of it. */
static void deliver_nobody(struct sim_socket *from)
{
	if (from->remote.family != 0 && from->remote.family != AF_UNIX)
		apusi_sim_tell_later(from, SIM_REFUSED, ECONNREFUSED);
}

/* One that is connected hears its peer only. */
static bool hears(const struct sim_socket *to, const struct sim_name *from)
{
	return to->remote.family == 0 || apusi_sim_name_is_same(&to->remote, from);
}

/* Who is bound to no address has that of the machine that it sends to: there is only one. */
static struct sim_name source_of(const struct sim_socket *from, const struct sim_name *to)
{
	static const uint8_t loopback[2][16] = {
		{ [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 }, { [15] = 1 }
	};
	struct sim_name source = from->local;

	if (!apusi_sim_name_is_wild(&source))
		return source;
	memcpy(source.ip, apusi_sim_name_is_group(to) ? loopback[!apusi_sim_name_is_ip4(to)] : to->ip,
		sizeof source.ip);
	return source;
}

static int64_t send_unix(struct sim_socket *from, struct sim_socket *to, const void *data,
	uint32_t bytes)
{
	struct sim_datagram *datagram;

	if (to == NULL)
		return -ECONNREFUSED;
	if (to->queued_bytes >= to->receive_bytes) {
		from->wants_room = true;
		return -EAGAIN;
	}
	datagram = datagram_new(&from->local, data, bytes);
	if (datagram == NULL)
		return -ENOBUFS;
	to->queued_bytes += bytes + BOOKED_BYTES;
	dispatch(to, datagram, apusi_sim_now(from->world));
	return bytes;
}

static int64_t send_now(struct sim_socket *from, const struct sim_name *name, const void *data,
	uint32_t bytes)
{
	struct sim_world *world = from->world;
	struct sim_name source;
	struct sim_socket *to;
	int err = apusi_sim_bind_to(from, name);

	if (err)
		return err;
	source = source_of(from, name);
	world->counts.datagrams_sent++;
	if (name->family == AF_UNIX)
		return send_unix(from, from->peer != NULL ? from->peer :
			apusi_sim_bound(world, SOCK_DGRAM, name), data, bytes);
	apusi_sim_cut_by_chance(world, &source, name);
	if (apusi_sim_name_is_group(name)) {
		deliver_group(world, &source, name, data, bytes);
		return bytes;
	}
	to = apusi_sim_bound(world, SOCK_DGRAM, name);
	if (to == NULL || !hears(to, &source))
		deliver_nobody(from);
	else
		deliver(&source, to, data, bytes);
	return bytes;
}

/* 0, or why it is not sent. */
static int64_t send_check(struct sim_socket *from, size_t bytes)
{
	struct sim_world *world = from->world;
	int err = from->error;

	from->error = 0;
	if (err == 0 && bytes > BYTES_MAX)
		err = EMSGSIZE;
	if (err == 0)
		err = apusi_sim_scripted(world, APUS_SIM_WRITE);
	if (err == 0 && apusi_sim_hits(world, world->config.no_buffers_ppm)) {
		world->counts.no_buffers++;
		err = ENOBUFS;
	}
	if (err == EAGAIN || (err == 0 && apusi_sim_hits(world, world->config.again_ppm)))
		return apusi_sim_again(from, SIM_WAKE_WRITER);
	return -err;
}

int64_t apusi_sim_send(const struct apusi_slot *slot, const void *data, size_t bytes,
	const struct sockaddr *to, socklen_t to_bytes)
{
	struct sim_socket *from = slot->backend;
	struct sim_name name = from->remote;
	int64_t put = 0;

	if (to != NULL)
		put = apusi_sim_name_of(from->world, to, to_bytes, &name);
	else if (name.family == 0 && from->peer != NULL)
		name.family = AF_UNIX;
	else if (name.family == 0)
		put = -EDESTADDRREQ;
	if (put == 0 && (name.family == AF_UNIX) != (from->local.family == AF_UNIX))
		put = -EAFNOSUPPORT;
	if (put == 0)
		put = send_check(from, bytes);
	if (put == 0)
		put = send_now(from, &name, data, (uint32_t)bytes);
	apusi_sim_step(from->world, "send", from, put);
	return put;
}

/* ---- arriving ---------------------------------------------------------------------------- */

void apusi_sim_datagram_arrives(struct sim_socket *end, struct sim_datagram *datagram)
{
	struct sim_world *world = end->world;
	bool is_unix = end->local.family == AF_UNIX;

	if (!is_unix && end->queued_bytes >= end->receive_bytes) {
		world->counts.overflows++;
		end->drops++;
		apusi_sim_step(world, "overflow", end, datagram->bytes);
		free(datagram);
		return;
	}
	if (!is_unix)
		end->queued_bytes += datagram->bytes + BOOKED_BYTES;
	datagram->stamp_ns = apusi_sim_now(world);
	*end->tail = datagram;
	end->tail = &datagram->next;
	apusi_sim_step(world, "datagram", end, datagram->bytes);
	apusi_sim_wake_reader(end);
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void control_put(struct msghdr *message, size_t *used, int type, const void *data,
	size_t bytes)
{
	struct cmsghdr *control;

	if (message->msg_control == NULL || *used + CMSG_SPACE(bytes) > message->msg_controllen)
		return;
	control = (struct cmsghdr *)(void *)((unsigned char *)message->msg_control + *used);
	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = type;
	control->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(control), data, bytes);
	*used += CMSG_SPACE(bytes);
}

/* As the kernel tells of it, where it has a form for that. */
static void control_fill(const struct sim_socket *end, const struct sim_datagram *datagram,
	struct msghdr *message)
{
	size_t used = 0;

#ifdef SCM_TIMESTAMPNS
	const struct timespec stamp = { datagram->stamp_ns / APUS_SEC,
		datagram->stamp_ns % APUS_SEC };

	if (end->stamps)
		control_put(message, &used, SCM_TIMESTAMPNS, &stamp, sizeof stamp);
#endif
#ifdef SO_RXQ_OVFL
	if (end->tells_drops && end->drops != 0)
		control_put(message, &used, SO_RXQ_OVFL, &end->drops, sizeof end->drops);
#endif
	(void)datagram;
	message->msg_controllen = used;
}

/* Whoever a full Unix receiver has refused may try again. */
static void room_tell(struct sim_socket *end)
{
	struct sim_world *world = end->world;
	uint32_t i;

	for (i = 0; i < world->end_count; i++) {
		struct sim_socket *sender = world->ends[i];

		if (!sender->is_live || !sender->wants_room || sender->type != SOCK_DGRAM)
			continue;
		sender->wants_room = false;
		apusi_sim_tell(sender, SIM_WAKE_WRITER, apusi_sim_now(world), 0);
	}
}

static struct sim_datagram *datagram_take(struct sim_socket *end)
{
	struct sim_datagram *datagram = end->head;

	end->head = datagram->next;
	if (end->head == NULL)
		end->tail = &end->head;
	end->queued_bytes -= datagram->bytes + BOOKED_BYTES;
	return datagram;
}

/* Of one without a name, the kernel tells none. */
static void sender_write(const struct sim_socket *end, const struct sim_name *from,
	struct msghdr *message)
{
	apusi_sim_name_write(end->world, from, end->local.family, message->msg_name,
		&message->msg_namelen);
	if (message->msg_namelen <= sizeof(sa_family_t))
		message->msg_namelen = 0;
}

static int64_t read_now(struct sim_socket *end, struct msghdr *message, bool is_sure)
{
	struct sim_datagram *datagram;
	struct iovec *part = message->msg_iov;
	int64_t bytes;

	if (end->head == NULL)
		return -EAGAIN;
	if (!is_sure && apusi_sim_hits(end->world, end->world->config.again_ppm))
		return apusi_sim_again(end, SIM_WAKE_READER);
	datagram = datagram_take(end);
	bytes = datagram->bytes;
	if (part->iov_len > (size_t)bytes)
		part->iov_len = (size_t)bytes;
	memcpy(part->iov_base, datagram->data, part->iov_len);
	if (message->msg_name != NULL)
		sender_write(end, &datagram->from, message);
	control_fill(end, datagram, message);
	end->world->counts.datagrams_received++;
	if (end->local.family == AF_UNIX)
		room_tell(end);
	free(datagram);
	return bytes;
}

int64_t apusi_sim_datagram_read(struct sim_socket *end, struct msghdr *message)
{
	bool is_sure = end->is_sure;
	int err = end->error;
	int64_t got;

	end->is_sure = false;
	end->error = 0;
	if (err == 0 && !is_sure)
		err = apusi_sim_scripted(end->world, APUS_SIM_READ);
	if (err == EAGAIN)
		got = apusi_sim_again(end, SIM_WAKE_READER);
	else
		got = err != 0 ? -err : read_now(end, message, is_sure);
	apusi_sim_step(end->world, "receive", end, got);
	return got;
}

/* ---- closing ---------------------------------------------------------------------------------- */

void apusi_sim_datagram_close(struct sim_socket *end)
{
	while (end->head != NULL)
		free(datagram_take(end));
	if (end->peer != NULL)
		end->peer->peer = NULL;
	apusi_sim_end_free(end);
}
