#include <stdio.h>
#include <stdlib.h>

#include "io/sim_disk.h"

/* ---- open and close -------------------------------------------------------------------- */

/* Without a network of its own a program has the environment's, or a calm one. */
static void config_take(struct sim_world *world)
{
	const char *seed = getenv("APUS_SIM_SEED"), *trace = getenv("APUS_SIM_TRACE");
	const struct apus_sim_config *own = world->io->config.sim;

	if (own != NULL)
		world->config = *own;
	else if (seed != NULL && *seed != '\0')
		apus_sim_config_rough(&world->config, strtoull(seed, NULL, 0));
	else
		apus_sim_config_init(&world->config, 1);
	world->traces_to_stderr = trace != NULL && *trace != '\0' && *trace != '0';
	apusi_sim_config_fill(&world->config);
}

static int open_sim(struct apus_io *io, char *reason, size_t reason_bytes)
{
	struct sim_world *world = calloc(1, sizeof *world);
	const char *fault;

	if (world == NULL) {
		snprintf(reason, reason_bytes, "no memory for the simulated network");
		return -ENOMEM;
	}
	world->io = io;
	config_take(world);
	fault = apusi_sim_config_fault(&world->config);
	if (fault != NULL) {
		snprintf(reason, reason_bytes, "config.sim: %s is out of its range", fault);
		free(world);
		return -EINVAL;
	}
	world->random = (world->config.seed ^ UINT64_C(0x5851f42d4c957f2d)) *
		UINT64_C(0x9e3779b97f4a7c15) | 1;
	(void)apusi_sim_draw(world);
	world->hash = world->config.seed;
	io->state = world;
	return 0;
}

static void close_sim(struct apus_io *io)
{
	struct sim_world *world = apusi_sim_world_of(io);
	uint32_t i;

	apusi_sim_disk_close(world);
	for (i = 0; i < world->heap_count; i++)
		free(world->heap[i].datagram);
	for (i = 0; i < world->end_count; i++) {
		struct sim_socket *end = world->ends[i];

		if (end->is_live && end->type == SOCK_DGRAM)
			apusi_sim_datagram_close(end);
		free(end->in.data);
		free(end);
	}
	for (i = 0; i < world->path_count; i++)
		free(world->paths[i]);
	free(world->paths);
	free(world->ends);
	free(world->numbers);
	free(world->heap);
	free(world);
}

/* ---- events -------------------------------------------------------------------------------- */

static void event_meets(struct sim_socket *end, const struct sim_event *event)
{
	switch ((enum sim_kind)event->kind) {
	case SIM_BYTES:
	case SIM_FIN:
	case SIM_RST:
		apusi_sim_stream_event(end, event);
		break;
	case SIM_SYN:
		if (end->state == SIM_CONNECTING)
			apusi_sim_syn_arrives(end, event);
		break;
	case SIM_ESTABLISHED:
		if (end->state == SIM_CONNECTING)
			apusi_sim_connect_ends(end, 0);
		break;
	case SIM_REFUSED:
		if (end->type == SOCK_DGRAM || end->state == SIM_CONNECTING)
			apusi_sim_connect_ends(end, (int)event->value);
		break;
	case SIM_WAKE_READER:
		apusi_sim_wake_reader(end);
		break;
	case SIM_WAKE_WRITER:
		apusi_sim_wake_writer(end);
		break;
	case SIM_DATAGRAM:
		apusi_sim_datagram_arrives(end, event->datagram);
		break;
	case SIM_REQUEST:
		break; /* of no end: see reap */
	}
}

/* Who waits for something else is woken too, for nothing. */
static void spurious(struct sim_world *world, struct sim_socket *end)
{
	if (!apusi_sim_hits(world, world->config.spurious_ppm))
		return;
	world->counts.spurious++;
	apusi_sim_wake_reader(end);
	apusi_sim_wake_writer(end);
}

/* The time is the loop's: whether it has come is all there is to wait for. */
static uint32_t reap(struct apus_io *io, int64_t timeout_ns, uint32_t budget)
{
	struct sim_world *world = apusi_sim_world_of(io);
	struct sim_socket *end;
	struct sim_event event;
	uint32_t count;

	(void)timeout_ns;
	for (count = 0; count < budget && apusi_sim_event_take(world, &event); count++) {
		io->counts.events++;
		if (event.kind == SIM_REQUEST) {
			apusi_sim_request_due(world, &event);
			continue;
		}
		end = apusi_sim_end_find(world, event.index, event.generation);
		if (end == NULL) {
			io->counts.stale_events++;
			free(event.datagram);
			continue;
		}
		spurious(world, end);
		event_meets(end, &event);
	}
	world->counts.events += count;
	return count;
}

static int64_t next_ns(const struct apus_io *io)
{
	const struct sim_world *world = apusi_sim_world_of(io);

	return world->heap_count != 0 ? world->heap[0].ns : APUS_NEVER;
}

/* ---- slots ------------------------------------------------------------------------------------ */

/*
 * Fed, so that what is read comes from here; watched in both directions, so that nobody asks for
 * it; and never ready to be written to, so that what is written comes here too.
 */
static int attach(struct apus_io *io, struct apusi_slot *slot)
{
	struct sim_socket *end = apusi_sim_number_find(apusi_sim_world_of(io), slot->fd);

	if (end == NULL)
		return -EINVAL;
	if (end->slot != NULL)
		return -EEXIST;
	end->slot = slot;
	slot->backend = end;
	slot->flags |= APUSI_SIM | APUSI_FED | APUSI_WATCHED | APUSI_WATCHED_OUT;
	slot->ready = APUSI_IN;
	io->watched_count++;
	return 0;
}

static void drop(struct apus_io *io, struct apusi_slot *slot)
{
	struct sim_socket *end = slot->backend;

	(void)io;
	end->slot = NULL;
	slot->backend = NULL;
}

/* What it holds goes with the number. */
static int let_go(struct apus_io *io, struct apusi_slot *slot)
{
	(void)io, (void)slot;
	return 0;
}

static int watch(struct apus_io *io, struct apusi_slot *slot, bool writer)
{
	(void)io, (void)slot, (void)writer;
	return 0;
}

static void take_out(struct apus_io *io, struct apusi_slot *slot)
{
	(void)io, (void)slot;
}

/* Other threads' wakes are found in the inbox: a virtual clock never parks. */
static int set_wake(struct apus_io *io, int fd)
{
	(void)io, (void)fd;
	return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int64_t read_bytes(struct apus_io *io, struct apusi_slot *slot, void *data, size_t bytes)
{
	(void)io;
	return apusi_sim_stream_read(slot->backend, data, bytes);
}

static bool holds(const struct sim_socket *end)
{
	return end->type == SOCK_DGRAM ? end->head != NULL : end->in.arrived != end->in.begin;
}

/* Who has read a part asks before the next, and keeps what it has: that read does not fail. */
static bool has(struct apusi_slot *slot)
{
	struct sim_socket *end = slot->backend;

	end->is_sure = holds(end) && end->error == 0 &&
		!apusi_sim_hits(end->world, end->world->config.short_read_ppm);
	return end->is_sure;
}

static int64_t read_segment(struct apus_io *io, struct apusi_slot *slot, struct apus_segment *out)
{
	struct apusi_segments *segments = &io->segments;
	unsigned char none;
	int64_t got;
	int index;

	if (!holds(slot->backend))
		return apusi_sim_stream_read(slot->backend, &none, sizeof none);
	index = apusi_segment_claim(segments);
	if (index < 0)
		return -ENOBUFS;
	got = apusi_sim_stream_read(slot->backend, apusi_segment_at(segments, (uint32_t)index),
		segments->segment_bytes);
	if (got <= 0) {
		apusi_segment_free(io, (uint32_t)index);
		return got;
	}
	segments->all[index].offset = 0;
	segments->all[index].bytes = (uint32_t)got;
	return apusi_segment_hand_out(segments, (uint32_t)index, out);
}

static int64_t read_datagram(struct apus_io *io, struct apusi_slot *slot, struct msghdr *message)
{
	(void)io;
	return apusi_sim_datagram_read(slot->backend, message);
}

static int accept_one(struct apus_io *io, struct apusi_slot *slot)
{
	(void)io;
	return apusi_sim_accept(slot->backend);
}

const struct apusi_backend apusi_backend_sim = {
	.name = "sim",
	.open = open_sim,
	.reap = reap,
	.close = close_sim,
	.watch = watch,
	.remove = take_out,
	.set_wake = set_wake,
	.attach = attach,
	.next_ns = next_ns,
	.read = read_bytes,
	.read_segment = read_segment,
	.read_datagram = read_datagram,
	.has = has,
	.accept = accept_one,
	.drop = drop,
	.let_go = let_go,
	.has_native = apusi_sim_has_native,
	.begin_native = apusi_sim_begin_native,
	.fix = apusi_sim_fix,
	.unfix = apusi_sim_unfix,
	.unfix_all = apusi_sim_unfix_all,
	.is_fixed = apusi_sim_is_fixed,
};
