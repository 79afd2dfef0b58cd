#include "io/sim_disk.h"

/*
 * What a session has shown, as io_uring keeps it: a file stays open, and a request that names
 * the place must lie in its memory.  A place that ends is let go behind the requests that name
 * it.
 */

static struct sim_fixed *place_find(struct sim_disk *disk, uint64_t token)
{
	struct sim_fixed *place = &disk->fixed[(uint32_t)token % SIM_FIXED];

	return token != 0 && place->file != NULL && !place->is_over &&
		place->generation == (uint32_t)(token >> 32) ? place : NULL;
}

static void place_let_go(struct sim_disk *disk, struct sim_fixed *place)
{
	struct sim_file *file = place->file;

	if (!place->is_over || place->uses != 0)
		return;
	place->file = NULL;
	file->uses--;
	apusi_sim_file_let_go(disk, file);
}

static void place_end(struct sim_disk *disk, struct sim_fixed *place)
{
	place->is_over = true;
	place_let_go(disk, place);
}

int apusi_sim_fix(struct apus_io *io, uint64_t owner, int fd, const struct iovec *memory,
	uint64_t *token)
{
	struct sim_world *world = apusi_sim_world_of(io);
	struct sim_file *file = apusi_sim_file_find(world, fd);
	uint32_t i = 0;

	if (file == NULL)
		return -EBADF;
	while (i < SIM_FIXED && world->disk->fixed[i].file != NULL)
		i++;
	if (i == SIM_FIXED)
		return -ENOBUFS;
	file->uses++;
	world->disk->fixed[i] = (struct sim_fixed){
		.owner = owner,
		.generation = world->disk->fixed[i].generation + 1,
		.file = file,
		.memory = *memory,
	};
	*token = (uint64_t)world->disk->fixed[i].generation << 32 | i;
	return 0;
}

bool apusi_sim_is_fixed(const struct apus_io *io, uint64_t token)
{
	return place_find(apusi_sim_world_of(io)->disk, token) != NULL;
}

void apusi_sim_unfix(struct apus_io *io, uint64_t token)
{
	struct sim_disk *disk = apusi_sim_world_of(io)->disk;
	struct sim_fixed *place = place_find(disk, token);

	if (place != NULL)
		place_end(disk, place);
}

void apusi_sim_unfix_all(struct apus_io *io, uint64_t owner)
{
	struct sim_disk *disk = apusi_sim_world_of(io)->disk;
	uint32_t i;

	for (i = 0; i < SIM_FIXED; i++)
		if (disk->fixed[i].file != NULL && disk->fixed[i].owner == owner &&
		    !disk->fixed[i].is_over)
			place_end(disk, &disk->fixed[i]);
}

/* ---- requests --------------------------------------------------------------------------- */

static bool lies_in(const struct iovec *memory, const void *data, size_t bytes)
{
	uintptr_t begin = (uintptr_t)memory->iov_base, at = (uintptr_t)data;

	return at >= begin && bytes <= memory->iov_len && at - begin <= memory->iov_len - bytes;
}

int apusi_sim_fixed_use(struct sim_disk *disk, const struct apusi_native *asked,
	struct sim_fixed **out)
{
	struct sim_fixed *place = place_find(disk, asked->fixed);

	if (place == NULL)
		return -EBADF;
	if (!lies_in(&place->memory, asked->data, asked->bytes))
		return -EFAULT;
	place->uses++;
	*out = place;
	return 0;
}

void apusi_sim_fixed_back(struct sim_disk *disk, struct sim_fixed *place)
{
	place->uses--;
	place_let_go(disk, place);
}

void apusi_sim_fixed_end(struct sim_disk *disk)
{
	uint32_t i;

	for (i = 0; i < SIM_FIXED; i++) {
		disk->fixed[i].uses = 0;
		if (disk->fixed[i].file != NULL)
			place_end(disk, &disk->fixed[i]);
	}
}
