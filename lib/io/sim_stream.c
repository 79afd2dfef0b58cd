#include <stdlib.h>
#include <string.h>

#include "io/sim.h"

enum { RETRIES = 15 }; /* then the connection has timed out */

/* ---- the ring ----------------------------------------------------------------------- */

static uint32_t ring_used(const struct sim_ring *ring)
{
	return (uint32_t)(ring->sent - ring->begin);
}

static uint32_t ring_room(const struct sim_ring *ring)
{
	uint32_t used = ring_used(ring);

	return used < ring->capacity ? ring->capacity - used : 0;
}

static void ring_copy_out(const struct sim_ring *ring, unsigned char *to, uint32_t bytes)
{
	uint32_t at = (uint32_t)ring->begin & (ring->size - 1), first = ring->size - at;

	if (first > bytes)
		first = bytes;
	memcpy(to, ring->data + at, first);
	memcpy(to + first, ring->data, bytes - first);
}

static void ring_put(struct sim_ring *ring, const unsigned char *from, uint32_t bytes)
{
	uint32_t at = (uint32_t)ring->sent & (ring->size - 1), first = ring->size - at;

	if (first > bytes)
		first = bytes;
	memcpy(ring->data + at, from, first);
	memcpy(ring->data, from + first, bytes - first);
	ring->sent += bytes;
}

/* What it holds keeps its place in the stream, which is another one in the memory. */
static bool ring_grow(struct sim_ring *ring, uint32_t bytes)
{
	struct sim_ring grown = *ring;
	uint32_t used = ring_used(ring), size = ring->size != 0 ? ring->size : 512;

	while (size < used + bytes)
		size *= 2;
	if (size == ring->size)
		return true;
	grown.data = malloc(size);
	if (grown.data == NULL)
		return false;
	grown.size = size;
	grown.sent = ring->begin;
	while (grown.sent < ring->sent) {
		uint32_t at = (uint32_t)grown.sent & (ring->size - 1), part = ring->size - at;

		if (part > ring->sent - grown.sent)
			part = (uint32_t)(ring->sent - grown.sent);
		ring_put(&grown, ring->data + at, part);
	}
	free(ring->data);
	*ring = grown;
	return true;
}

/* ---- sending --------------------------------------------------------------------------- */

/* Behind what was sent before, and after a stall. */
static int64_t arrival_ns(struct sim_socket *to)
{
	struct sim_world *world = to->world;
	struct sim_ring *ring = &to->in;
	bool is_unix = to->local.family == AF_UNIX;
	int64_t at_ns = apusi_sim_now(world) + (is_unix ? 0 : apusi_sim_travel_ns(world));

	if (!is_unix && apusi_sim_hits(world, world->config.stall_ppm)) {
		world->counts.stalls++;
		at_ns += apusi_sim_up_to(world, world->config.stall_ns);
	}
	if (!is_unix && at_ns < world->stalled_ns)
		at_ns = world->stalled_ns;
	if (at_ns < ring->last_ns)
		at_ns = ring->last_ns;
	ring->last_ns = at_ns;
	return at_ns;
}

static void send_to(struct sim_socket *end, enum sim_kind kind, uint32_t value)
{
	apusi_sim_tell(end->peer, kind, arrival_ns(end->peer), value);
}

static int error_take(struct sim_socket *end)
{
	int err = end->error;

	end->error = 0;
	return err;
}

/* 0, or why nothing can be written at all. */
static int write_check(struct sim_socket *end)
{
	int err = end->state != SIM_CONNECTING ? error_take(end) : 0;

	if (err != 0)
		return -err;
	if (end->state == SIM_CONNECTING)
		return -EAGAIN;
	if (end->state != SIM_CONNECTED || end->is_shut)
		return -EPIPE;
	err = apusi_sim_scripted(end->world, APUS_SIM_WRITE);
	return err == EAGAIN ? apusi_sim_again(end, SIM_WAKE_WRITER) : -err;
}

static uint32_t write_part(struct sim_socket *end, uint64_t bytes)
{
	struct sim_world *world = end->world;
	uint32_t room = ring_room(&end->peer->in), part = room < bytes ? room : (uint32_t)bytes;

	if (part > 1 && apusi_sim_hits(world, world->config.short_write_ppm)) {
		world->counts.short_writes++;
		part = 1 + (uint32_t)apusi_sim_below(world, part - 1);
	}
	return part;
}

static void ring_gather(struct sim_ring *ring, const struct iovec *parts, uint32_t bytes)
{
	while (bytes > 0) {
		uint32_t part = parts->iov_len < bytes ? (uint32_t)parts->iov_len : bytes;

		ring_put(ring, parts->iov_base, part);
		bytes -= part;
		parts++;
	}
}

static int64_t write_now(struct sim_socket *end, const struct iovec *parts, uint64_t bytes)
{
	struct sim_world *world = end->world;
	uint32_t part;

	if (apusi_sim_hits(world, world->config.again_ppm))
		return apusi_sim_again(end, SIM_WAKE_WRITER);
	part = write_part(end, bytes);
	if (part == 0) {
		end->wants_room = true;
		return -EAGAIN;
	}
	if (!ring_grow(&end->peer->in, part))
		return -ENOBUFS;
	ring_gather(&end->peer->in, parts, part);
	apusi_sim_cut_by_chance(world, &end->local, &end->remote);
	send_to(end, SIM_BYTES, part);
	if (apusi_sim_hits(world, world->config.reset_ppm)) {
		world->counts.resets++;
		apusi_sim_tell_later(end, SIM_RST, ECONNRESET);
		apusi_sim_tell_later(end->peer, SIM_RST, ECONNRESET);
	}
	return part;
}

int64_t apusi_sim_write(const struct apusi_slot *slot, const struct iovec *parts, int count)
{
	struct sim_socket *end = slot->backend;
	uint64_t bytes = 0;
	int64_t put;
	int i;

	for (i = 0; i < count; i++)
		bytes += parts[i].iov_len;
	put = write_check(end);
	if (put == 0)
		put = write_now(end, parts, bytes);
	apusi_sim_step(end->world, "write", end, put);
	return put;
}

bool apusi_sim_is_writable(const struct apusi_slot *slot)
{
	struct sim_socket *end = slot->backend;

	if (end->type != SOCK_STREAM || end->state == SIM_NEW || end->state == SIM_OVER ||
	    end->is_shut)
		return true;
	if (end->state == SIM_CONNECTED && (end->error != 0 || ring_room(&end->peer->in) != 0))
		return true;
	end->wants_room = true;
	return false;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* There is nothing: the end, an error, or not yet. */
static int64_t read_nothing(struct sim_socket *end)
{
	const struct sim_ring *ring = &end->in;
	int err = end->state != SIM_CONNECTING ? error_take(end) : 0;

	if (err != 0)
		return -err;
	if (end->state == SIM_NEW || end->state == SIM_LISTENS)
		return -ENOTCONN;
	if (end->state == SIM_OVER || end->is_shut_read ||
	    (ring->fin_arrived && ring->arrived == ring->sent))
		return 0;
	return -EAGAIN;
}

/* A writer that was refused hears of half a ring of room, one way later. */
static void room_tell(struct sim_socket *end)
{
	struct sim_socket *peer = end->peer;

	if (peer == NULL || !peer->wants_room || ring_room(&end->in) < end->in.capacity / 2)
		return;
	peer->wants_room = false;
	apusi_sim_tell(peer, SIM_WAKE_WRITER, apusi_sim_now(end->world) +
		(end->local.family == AF_UNIX ? 0 : apusi_sim_travel_ns(end->world)), 0);
}

static int64_t read_now(struct sim_socket *end, void *data, size_t bytes, bool is_sure)
{
	struct sim_world *world = end->world;
	struct sim_ring *ring = &end->in;
	uint64_t there = ring->arrived - ring->begin;
	uint32_t part = there < bytes ? (uint32_t)there : (uint32_t)bytes;

	if (part == 0)
		return read_nothing(end);
	if (!is_sure && apusi_sim_hits(world, world->config.again_ppm))
		return apusi_sim_again(end, SIM_WAKE_READER);
	if (part > 1 && apusi_sim_hits(world, world->config.short_read_ppm)) {
		world->counts.short_reads++;
		part = 1 + (uint32_t)apusi_sim_below(world, part - 1);
	}
	ring_copy_out(ring, data, part);
	ring->begin += part;
	world->counts.stream_bytes += part;
	room_tell(end);
	return part;
}

int64_t apusi_sim_stream_read(struct sim_socket *end, void *data, size_t bytes)
{
	bool is_sure = end->is_sure;
	int err = is_sure ? 0 : apusi_sim_scripted(end->world, APUS_SIM_READ);
	int64_t got = -err;

	end->is_sure = false;
	if (err == EAGAIN)
		got = apusi_sim_again(end, SIM_WAKE_READER);
	else if (err == 0)
		got = read_now(end, data, bytes < INT32_MAX ? bytes : INT32_MAX, is_sure);
	apusi_sim_step(end->world, "read", end, got);
	return got;
}

/* ---- the end of it -------------------------------------------------------------------------- */

/* What is on its way to it is lost, what has arrived can still be read. */
void apusi_sim_stream_break(struct sim_socket *end, int err)
{
	if (end->state != SIM_CONNECTED)
		return;
	apusi_sim_step(end->world, "reset", end, err);
	end->error = end->in.fin_arrived && err == ECONNRESET ? EPIPE : err;
	end->state = SIM_OVER;
	end->in.sent = end->in.arrived;
	apusi_sim_wake_reader(end);
	apusi_sim_wake_writer(end);
	apusi_sim_stream_reap(end);
}

void apusi_sim_stream_shut(struct sim_socket *end)
{
	if (end->is_shut || end->state != SIM_CONNECTED)
		return;
	end->is_shut = true;
	send_to(end, SIM_FIN, 0);
	apusi_sim_wake_writer(end);
}

int apusi_sim_shutdown(const struct apusi_slot *slot, int how)
{
	struct sim_socket *end = slot->backend;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	apusi_sim_step(end->world, "shutdown", end, how);
	if (end->state != SIM_CONNECTED)
		return -ENOTCONN;
	if (how != SHUT_WR) {
		end->is_shut_read = true;
		apusi_sim_wake_reader(end);
	}
	if (how != SHUT_RD)
		apusi_sim_stream_shut(end);
	return 0;
}

static bool is_done(const struct sim_socket *end)
{
	return end->number < 0 && !end->is_queued;
}

void apusi_sim_stream_reap(struct sim_socket *end)
{
	struct sim_socket *peer = end->peer;

	if (!is_done(end) || (peer != NULL && !is_done(peer)))
		return;
	if (peer != NULL) {
		peer->peer = NULL;
		apusi_sim_end_free(peer);
	}
	end->peer = NULL;
	apusi_sim_end_free(end);
}

/*
 * As close(2): while bytes are left that nobody will read, the peer is told by a reset, else by
 * the end of the stream.
 */
void apusi_sim_stream_close(struct sim_socket *end)
{
	bool is_torn = end->lingers || end->in.arrived != end->in.begin;

	if (end->state == SIM_CONNECTED && is_torn)
		send_to(end, SIM_RST, ECONNRESET);
	else if (end->state == SIM_CONNECTED)
		apusi_sim_stream_shut(end);
	else if (end->state == SIM_CONNECTING && end->peer != NULL)
		send_to(end, SIM_RST, ECONNRESET);
	if (is_torn || end->state == SIM_CONNECTING)
		end->state = SIM_OVER;
	apusi_sim_stream_reap(end);
}

/* ---- arriving ------------------------------------------------------------------------------- */

static void arrives_again(struct sim_socket *end, const struct sim_event *event)
{
	struct sim_world *world = end->world;

	if (apusi_sim_retry(world, event, 200 * APUS_MSEC, RETRIES))
		return;
	world->counts.timeouts++;
	apusi_sim_stream_break(end->peer, ETIMEDOUT);
}

/* Who has closed answers bytes by a reset. */
static void bytes_arrive(struct sim_socket *end, uint32_t bytes)
{
	if (end->state != SIM_CONNECTED) {
		send_to(end, SIM_RST, ECONNRESET); /* it was broken before: they are lost */
		return;
	}
	end->in.arrived += bytes;
	apusi_sim_step(end->world, "bytes", end, bytes);
	apusi_sim_wake_reader(end);
	if (is_done(end)) {
		end->state = SIM_OVER;
		send_to(end, SIM_RST, ECONNRESET);
	}
}

static void fin_arrives(struct sim_socket *end)
{
	end->in.fin_arrived = true;
	apusi_sim_step(end->world, "fin", end, 0);
	apusi_sim_wake_reader(end);
}

void apusi_sim_stream_event(struct sim_socket *end, const struct sim_event *event)
{
	struct sim_world *world = end->world;

	if (end->local.family != AF_UNIX && apusi_sim_is_cut(world, &end->local, &end->remote)) {
		arrives_again(end, event);
		return;
	}
	if (event->kind == SIM_BYTES)
		bytes_arrive(end, event->value);
	else if (event->kind == SIM_FIN)
		fin_arrives(end);
	else
		apusi_sim_stream_break(end, (int)event->value);
}
