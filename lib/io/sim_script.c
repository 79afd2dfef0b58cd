#include <stdlib.h>

#include "io/sim.h"

enum { STREAM_BYTES = 65536, DATAGRAM_BYTES = 212992, PPM_MAX = 1000000 };
enum { DISK_BYTES = 256 << 20, REQUESTS = 256 };

/* ---- configurations -------------------------------------------------------------------- */

void apus_sim_config_init(struct apus_sim_config *config, uint64_t seed)
{
	*config = (struct apus_sim_config){ .seed = seed, .latency_ns = 50 * APUS_USEC,
		.disk_latency_ns = 50 * APUS_USEC };
}

/* A step of splitmix64 (Steele et al., 2014). */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Half of the seeds do without; the others have it up to so often, and most of them seldom. */
static uint32_t rate(uint64_t *state, uint32_t ppm_max)
{
	uint64_t drawn = draw(state);

	if ((drawn & 1) != 0)
		return 0;
	return (uint32_t)((drawn >> 8) % ppm_max) >> ((drawn >> 1) & 3);
}

static int64_t span(uint64_t *state, int64_t ns_max)
{
	return 1 + (int64_t)((draw(state) >> 8) % (uint64_t)ns_max);
}

/* Jitter is what brings answers out of order. */
static void disk_rough(struct apus_sim_config *config, uint64_t *state)
{
	config->disk_latency_ns = span(state, 200 * APUS_USEC);
	config->disk_jitter_ns = (draw(state) & 1) != 0 ? span(state, 2 * APUS_MSEC) : 0;
	config->disk_bytes = (uint64_t)1 << (20 + draw(state) % 9);
	config->uncached_ppm = 100000 + rate(state, 900000);
	config->read_error_ppm = rate(state, 20000);
	config->write_error_ppm = rate(state, 20000);
	config->sync_error_ppm = rate(state, 50000);
	config->open_ppm = rate(state, 50000);
	config->slow_ppm = rate(state, 50000);
	config->slow_ns = span(state, APUS_SEC);
	config->write_back_ppm = rate(state, 300000);
}

void apus_sim_config_rough(struct apus_sim_config *config, uint64_t seed)
{
	uint64_t state = seed;

	apus_sim_config_init(config, seed);
	config->latency_ns = span(&state, 200 * APUS_USEC);
	config->jitter_ns = (draw(&state) & 1) != 0 ? span(&state, 500 * APUS_USEC) : 0;
	config->stream_bytes = (uint32_t)64 << (draw(&state) % 11);
	config->short_read_ppm = rate(&state, 500000);
	config->short_write_ppm = rate(&state, 500000);
	config->again_ppm = rate(&state, 300000);
	config->accept_ppm = rate(&state, 300000);
	config->socket_ppm = rate(&state, 100000);
	config->no_buffers_ppm = rate(&state, 100000);
	config->spurious_ppm = rate(&state, 500000);
	config->refuse_ppm = rate(&state, 200000);
	config->reset_ppm = rate(&state, 30000);
	config->stall_ppm = rate(&state, 50000);
	config->stall_ns = span(&state, 2 * APUS_SEC);
	config->cut_ppm = rate(&state, 10000);
	config->cut_ns = span(&state, 5 * APUS_SEC);
	config->drop_ppm = rate(&state, 200000);
	config->duplicate_ppm = rate(&state, 200000);
	config->reorder_ppm = rate(&state, 300000);
	config->reorder_ns = span(&state, 2 * APUS_MSEC);
	disk_rough(config, &state);
}

void apusi_sim_config_fill(struct apus_sim_config *config)
{
	if (config->stream_bytes == 0)
		config->stream_bytes = STREAM_BYTES;
	if (config->datagram_bytes == 0)
		config->datagram_bytes = DATAGRAM_BYTES;
	if (config->disk_bytes == 0)
		config->disk_bytes = DISK_BYTES;
	if (config->request_count == 0)
		config->request_count = REQUESTS;
}

/* A rate over a million, or a time below 0: the field's name, else NULL. */
const char *apusi_sim_config_fault(const struct apus_sim_config *config)
{
	const struct {
		const char *name;
		uint32_t ppm;
	} rates[] = {
		{ "short_read_ppm", config->short_read_ppm },
		{ "short_write_ppm", config->short_write_ppm },
		{ "again_ppm", config->again_ppm },
		{ "accept_ppm", config->accept_ppm },
		{ "socket_ppm", config->socket_ppm },
		{ "no_buffers_ppm", config->no_buffers_ppm },
		{ "spurious_ppm", config->spurious_ppm },
		{ "refuse_ppm", config->refuse_ppm },
		{ "reset_ppm", config->reset_ppm },
		{ "stall_ppm", config->stall_ppm },
		{ "cut_ppm", config->cut_ppm },
		{ "drop_ppm", config->drop_ppm },
		{ "duplicate_ppm", config->duplicate_ppm },
		{ "reorder_ppm", config->reorder_ppm },
		{ "uncached_ppm", config->uncached_ppm },
		{ "read_error_ppm", config->read_error_ppm },
		{ "write_error_ppm", config->write_error_ppm },
		{ "sync_error_ppm", config->sync_error_ppm },
		{ "open_ppm", config->open_ppm },
		{ "slow_ppm", config->slow_ppm },
		{ "write_back_ppm", config->write_back_ppm },
	};
	size_t i;

	for (i = 0; i < sizeof rates / sizeof *rates; i++)
		if (rates[i].ppm > PPM_MAX)
			return rates[i].name;
	if (config->again_ppm == PPM_MAX)
		return "again_ppm"; /* nothing would ever pass */
	if (config->stream_bytes > INT32_MAX)
		return "stream_bytes";
	return config->latency_ns < 0 ? "latency_ns" :
	       config->jitter_ns < 0  ? "jitter_ns" :
	       config->stall_ns < 0   ? "stall_ns" :
	       config->cut_ns < 0     ? "cut_ns" :
	       config->reorder_ns < 0 ? "reorder_ns" :
	       config->disk_latency_ns < 0 ? "disk_latency_ns" :
	       config->disk_jitter_ns < 0 ? "disk_jitter_ns" :
	       config->slow_ns < 0 ? "slow_ns" : NULL;
}

/* ---- entering ---------------------------------------------------------------------------- */

int apusi_sim_enter(struct apus_loop *loop, struct sim_world **world)
{
	struct apus_io *io;
	int err = apusi_io_enter(loop, &io);

	if (!err && !apusi_io_is_sim(io))
		err = -ENOTSUP;
	if (!err)
		*world = apusi_sim_world_of(io);
	return err;
}

static socklen_t address_bytes(const struct sockaddr *address)
{
	return address->sa_family == AF_INET  ? sizeof(struct sockaddr_in) :
	       address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
						(socklen_t)sizeof(struct sockaddr_un);
}

static int pattern_of(struct sim_world *world, const struct sockaddr *address,
	struct sim_pattern *out)
{
	int err;

	*out = (struct sim_pattern){ .any_ip = true };
	if (address == NULL)
		return 0;
	err = apusi_sim_name_of(world, address, address_bytes(address), &out->name);
	out->any_ip = !err && apusi_sim_name_is_wild(&out->name);
	return err ? -EINVAL : 0;
}

/* ---- scripted events --------------------------------------------------------------------- */

int apus_sim_cut(struct apus_loop *loop, const struct sockaddr *a, const struct sockaddr *b,
	int64_t for_ns)
{
	struct sim_pattern from, to;
	struct sim_world *world;
	int err = apusi_sim_enter(loop, &world);

	if (!err && for_ns < 0)
		err = -EINVAL;
	if (!err)
		err = pattern_of(world, a, &from);
	if (!err)
		err = pattern_of(world, b, &to);
	return err ? err : apusi_sim_cut_add(world, &from, &to, for_ns);
}

int apus_sim_heal(struct apus_loop *loop)
{
	struct sim_world *world;
	int err = apusi_sim_enter(loop, &world);

	if (err)
		return err;
	world->cut_count = 0;
	apusi_sim_step(world, "heal", NULL, 0);
	return 0;
}

int apus_sim_change(struct apus_loop *loop, const struct apus_sim_config *config)
{
	struct sim_world *world;
	uint64_t seed;
	int err = apusi_sim_enter(loop, &world);

	if (!err && apusi_sim_config_fault(config) != NULL)
		err = -EINVAL;
	if (err)
		return err;
	seed = world->config.seed;
	world->config = *config;
	world->config.seed = seed;
	apusi_sim_config_fill(&world->config);
	apusi_sim_step(world, "change", NULL, 0);
	return 0;
}

/* Both ends at once: the first that goes may take the other with it. */
int apus_sim_reset(struct apus_loop *loop, const struct sockaddr *address)
{
	struct sim_pattern end;
	struct sim_world *world;
	int err = apusi_sim_enter(loop, &world), count = 0;
	uint32_t i;

	if (!err)
		err = pattern_of(world, address, &end);
	if (err)
		return err;
	for (i = 0; i < world->end_count; i++) {
		struct sim_socket *one = world->ends[i];

		if (!one->is_live || one->state != SIM_CONNECTED || one->type != SOCK_STREAM ||
		    !apusi_sim_matches(&end, &one->local))
			continue;
		count++;
		world->counts.resets++;
		apusi_sim_tell(one, SIM_RST, apusi_sim_now(world), ECONNRESET);
		apusi_sim_tell(one->peer, SIM_RST, apusi_sim_now(world), ECONNRESET);
	}
	apusi_sim_step(world, "break", NULL, count);
	return count;
}

int apus_sim_stall(struct apus_loop *loop, int64_t for_ns)
{
	struct sim_world *world;
	int err = apusi_sim_enter(loop, &world);

	if (err || for_ns < 0)
		return err ? err : -EINVAL;
	world->stalled_ns = apus_ns_add(apusi_sim_now(world), for_ns);
	world->counts.stalls++;
	apusi_sim_step(world, "stall", NULL, for_ns);
	return 0;
}

int apus_sim_fail(struct apus_loop *loop, enum apus_sim_call call, int err, uint32_t count)
{
	struct sim_world *world;
	int refused = apusi_sim_enter(loop, &world);

	if (refused || (unsigned)call >= APUS_SIM_CALLS || err <= 0)
		return refused ? refused : -EINVAL;
	world->failing[call].err = err;
	world->failing[call].count = count;
	return 0;
}

/* ---- looking ---------------------------------------------------------------------------------- */

int apus_sim_counts_read(struct apus_loop *loop, struct apus_sim_counts *counts)
{
	struct sim_world *world;
	int err = apusi_sim_enter(loop, &world);

	if (!err)
		*counts = world->counts;
	return err;
}

uint64_t apus_sim_hash(struct apus_loop *loop)
{
	struct sim_world *world;

	return apusi_sim_enter(loop, &world) == 0 ? world->hash : 0;
}

uint64_t apus_sim_seed(struct apus_loop *loop)
{
	struct sim_world *world;

	return apusi_sim_enter(loop, &world) == 0 ? world->config.seed : 0;
}
