#include <stdlib.h>
#include <string.h>

#include "io/sim.h"

enum { PORT_FIRST = 32768, PORT_END = 61000 };

/* ---- ends ---------------------------------------------------------------------------- */

static bool table_grow(void *table, uint32_t *room, uint32_t count)
{
	struct sim_socket ***all = table, **grown;
	uint32_t wanted = *room != 0 ? 2 * *room : 16;

	if (count < *room)
		return true;
	grown = realloc(*all, wanted * sizeof *grown);
	if (grown == NULL)
		return false;
	*all = grown;
	*room = wanted;
	return true;
}

static struct sim_socket *end_claim(struct sim_world *world)
{
	struct sim_socket *end = world->free_ends;

	if (end != NULL) {
		world->free_ends = end->next;
		return end;
	}
	if (!table_grow(&world->ends, &world->end_room, world->end_count))
		return NULL;
	end = calloc(1, sizeof *end);
	if (end == NULL)
		return NULL;
	end->index = world->end_count;
	world->ends[world->end_count++] = end;
	return end;
}

struct sim_socket *apusi_sim_end_new(struct sim_world *world, int family, int type)
{
	struct sim_socket *end = end_claim(world);
	unsigned char *data;
	uint32_t index, generation, size;

	if (end == NULL)
		return NULL;
	index = end->index;
	generation = end->generation;
	data = end->in.data;
	size = end->in.size;
	memset(end, 0, sizeof *end);
	end->world = world;
	end->index = index;
	end->generation = generation;
	end->in = (struct sim_ring){ .data = data, .size = size,
		.capacity = world->config.stream_bytes };
	end->number = -1;
	end->type = type;
	apusi_sim_name_init(&end->local, family);
	end->receive_bytes = type == SOCK_STREAM ? world->config.stream_bytes :
						   world->config.datagram_bytes;
	end->send_bytes = end->receive_bytes;
	end->tail = &end->head;
	end->backlog_tail = &end->backlog_head;
	end->is_live = true;
	return end;
}

/* Its ring is kept for the next; a large one is not. */
void apusi_sim_end_free(struct sim_socket *end)
{
	enum { KEPT_BYTES = 1 << 16 };

	if (end->in.size > KEPT_BYTES) {
		free(end->in.data);
		end->in.data = NULL;
		end->in.size = 0;
	}
	end->is_live = false;
	end->generation++;
	end->next = end->world->free_ends;
	end->world->free_ends = end;
}

struct sim_socket *apusi_sim_end_find(struct sim_world *world, uint32_t index, uint32_t generation)
{
	struct sim_socket *end = world->ends[index];

	return end->is_live && end->generation == generation ? end : NULL;
}

void apusi_sim_wake_reader(struct sim_socket *end)
{
	if (end->slot == NULL)
		return;
	end->slot->ready |= APUSI_IN; /* a listener is asked only while this is set */
	apus_waitq_wake(&end->slot->reader);
}

void apusi_sim_wake_writer(struct sim_socket *end)
{
	if (end->slot != NULL)
		apus_waitq_wake(&end->slot->writer);
}

/* ---- numbers -------------------------------------------------------------------------- */

struct sim_socket *apusi_sim_number_find(const struct sim_world *world, int number)
{
	if (number < SIM_FIRST || (uint32_t)(number - SIM_FIRST) >= world->number_count)
		return NULL;
	return world->numbers[number - SIM_FIRST];
}

/* The lowest that is free, as everywhere. */
int apusi_sim_number_give(struct sim_world *world, struct sim_socket *end)
{
	uint32_t i = 0;

	if (world->config.descriptor_count != 0 &&
	    world->open_count >= world->config.descriptor_count)
		return -EMFILE;
	while (i < world->number_count && world->numbers[i] != NULL)
		i++;
	if (!table_grow(&world->numbers, &world->number_room, i))
		return -ENOMEM;
	if (i == world->number_count)
		world->number_count++;
	world->numbers[i] = end;
	world->open_count++;
	end->number = SIM_FIRST + (int)i;
	return end->number;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* What a system that has no more says, one way or another. */
static int refusal_draw(struct sim_world *world)
{
	static const int ways[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };

	return ways[apusi_sim_below(world, sizeof ways / sizeof *ways)];
}

static int socket_refused(struct sim_world *world)
{
	int err = apusi_sim_scripted(world, APUS_SIM_SOCKET);

	if (err == 0 && apusi_sim_hits(world, world->config.socket_ppm)) {
		world->counts.socket_errors++;
		err = refusal_draw(world);
	}
	if (err != 0)
		apusi_sim_step(world, "socket", NULL, -err);
	return err;
}

int apusi_sim_socket(struct apus_io *io, int family, int type)
{
	struct sim_world *world = apusi_sim_world_of(io);
	int err = socket_refused(world), number;
	struct sim_socket *end;

	if (err != 0)
		return -err;
	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return -EAFNOSUPPORT;
	end = apusi_sim_end_new(world, family, type);
	if (end == NULL)
		return -ENOMEM;
	number = apusi_sim_number_give(world, end);
	if (number < 0)
		apusi_sim_end_free(end);
	apusi_sim_step(world, "socket", end, number);
	return number;
}

int apusi_sim_pair(struct apus_io *io, int type, int ends[2])
{
	struct sim_socket *end[2];
	int i;

	for (i = 0; i < 2; i++) {
		ends[i] = apusi_sim_socket(io, AF_UNIX, type);
		if (ends[i] < 0) {
			if (i == 1)
				apusi_sim_close(io, ends[0]);
			return ends[i];
		}
		end[i] = apusi_sim_number_find(apusi_sim_world_of(io), ends[i]);
	}
	for (i = 0; i < 2; i++) {
		end[i]->peer = end[1 - i];
		end[i]->state = SIM_CONNECTED;
	}
	return 0;
}

int apusi_sim_check(struct apus_io *io, int number, int type, bool listens, int *family)
{
	struct sim_socket *end = apusi_sim_number_find(apusi_sim_world_of(io), number);

	if (end == NULL)
		return -EINVAL;
	*family = end->local.family;
	return end->type == type && (end->state == SIM_LISTENS) == listens ? 0 : -EPROTOTYPE;
}

void apusi_sim_close(struct apus_io *io, int number)
{
	struct sim_world *world = apusi_sim_world_of(io);
	struct sim_socket *end = apusi_sim_number_find(world, number);

	if (end == NULL)
		return;
	apusi_sim_step(world, "close", end, 0);
	world->numbers[number - SIM_FIRST] = NULL;
	world->open_count--;
	end->number = -1;
	end->slot = NULL;
	if (end->state == SIM_LISTENS) {
		apusi_sim_backlog_drop(end);
		apusi_sim_end_free(end);
	} else if (end->type == SOCK_DGRAM) {
		apusi_sim_datagram_close(end);
	} else {
		apusi_sim_stream_close(end);
	}
}

/* ---- binding ------------------------------------------------------------------------------ */

static bool has_name(const struct sim_socket *end)
{
	return end->is_live && end->number >= 0 && (end->state == SIM_LISTENS || end->peer == NULL) &&
	       (end->local.port != 0 || end->local.family == AF_UNIX);
}

static bool hears(const struct sim_socket *end, const struct sim_name *to)
{
	if (apusi_sim_name_is_same(&end->local, to))
		return true;
	if (end->local.family == AF_UNIX || to->family == AF_UNIX || end->local.port != to->port ||
	    !apusi_sim_name_is_wild(&end->local))
		return false;
	return end->local.family == AF_INET6 ?
		!(end->only_ip6 && apusi_sim_name_is_ip4(to)) : apusi_sim_name_is_ip4(to);
}

/* Whose name says the most; among equals, who share the port, by chance. */
struct sim_socket *apusi_sim_bound(struct sim_world *world, int type, const struct sim_name *to)
{
	struct sim_socket *found = NULL;
	uint32_t i, equals = 0;
	int best = -1;

	for (i = 0; i < world->end_count; i++) {
		struct sim_socket *end = world->ends[i];
		int rank;

		if (!has_name(end) || end->type != type || !hears(end, to) ||
		    (type == SOCK_STREAM && end->state != SIM_LISTENS))
			continue;
		rank = !apusi_sim_name_is_wild(&end->local);
		if (rank > best)
			equals = 0;
		if (rank >= best && (++equals == 1 || apusi_sim_below(world, equals) == 0))
			found = end;
		best = rank > best ? rank : best;
	}
	return found;
}

static bool is_taken(const struct sim_world *world, const struct sim_socket *end,
	const struct sim_name *name)
{
	uint32_t i;

	for (i = 0; i < world->end_count; i++) {
		const struct sim_socket *other = world->ends[i];

		if (other == end || other->type != end->type || !has_name(other) ||
		    other->local.port != name->port ||
		    (other->local.family == AF_UNIX) != (name->family == AF_UNIX))
			continue;
		if (!apusi_sim_ip_is_same(&other->local, name) &&
		    !apusi_sim_name_is_wild(&other->local) && !apusi_sim_name_is_wild(name))
			continue;
		if (other->reuse_port && end->reuse_port)
			continue;
		if (other->reuse && end->reuse && other->state != SIM_LISTENS)
			continue;
		return true;
	}
	return false;
}

static int port_draw(struct sim_world *world, const struct sim_socket *end, struct sim_name *name)
{
	int tries;

	for (tries = PORT_FIRST; tries < PORT_END; tries++) {
		if (world->port_next < PORT_FIRST || world->port_next >= PORT_END)
			world->port_next = PORT_FIRST;
		name->port = world->port_next++;
		if (!is_taken(world, end, name))
			return 0;
	}
	return -EADDRINUSE;
}

static int bind_name(struct sim_socket *end, struct sim_name *name)
{
	int err = 0;

	if (name->family != AF_UNIX && name->port == 0)
		err = port_draw(end->world, end, name);
	else if (is_taken(end->world, end, name))
		err = -EADDRINUSE;
	if (!err)
		end->local = *name;
	return err;
}

int apusi_sim_bind_to(struct sim_socket *end, const struct sim_name *to)
{
	struct sim_name own = end->local;
	int err = 0;

	if (end->local.family == AF_UNIX)
		return 0;
	if (end->local.port == 0)
		err = bind_name(end, &own);
	if (!err && apusi_sim_name_is_wild(&end->local) && end->type == SOCK_STREAM)
		memcpy(end->local.ip, to->ip, sizeof to->ip);
	return err;
}

int apusi_sim_bind(const struct apusi_slot *slot, const struct sockaddr *at, socklen_t bytes)
{
	struct sim_socket *end = slot->backend;
	struct sim_name name;
	int err = apusi_sim_name_of(end->world, at, bytes, &name);

	if (!err && name.family != end->local.family)
		err = end->local.family == AF_INET ? -EAFNOSUPPORT : -EINVAL;
	if (!err && (end->local.port != 0 || end->state != SIM_NEW))
		err = -EINVAL;
	if (!err)
		err = bind_name(end, &name);
	apusi_sim_step(end->world, "bind", end, err ? err : end->local.port);
	return err;
}
