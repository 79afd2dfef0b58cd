#include <string.h>

#include "io/native.h"
#include "io/uring.h"

/*
 * Files and memory that the kernel was shown once: an operation then names a place in two
 * tables of the ring, and the kernel neither looks the descriptor up nor pins pages for it.
 * One place is one file and one piece of memory, at the same index of both tables.
 *
 * A place that ends while the kernel has, or is yet to be given, operations that name it is
 * cleared by the last of their answers: cleared earlier and given out again, what is still
 * in the queue of submissions would read another file into another's memory.
 *
 * The tables are made for the first that asks: a ring without one has none.
 */

/* Nothing is registered yet: both tables, of empty places. */
static int tables_make(struct apusi_uring *uring)
{
	int err;

	if (uring->fixed_made)
		return 0;
	err = io_uring_register_files_sparse(&uring->ring, APUSI_URING_FIXED);
	if (err)
		return err;
	err = io_uring_register_buffers_sparse(&uring->ring, APUSI_URING_FIXED);
	if (err)
		io_uring_unregister_files(&uring->ring);
	uring->fixed_made = !err;
	return err;
}

static int place_set_file(struct apusi_uring *uring, unsigned index, int fd)
{
	int count = io_uring_register_files_update(&uring->ring, index, &fd, 1);

	return count < 0 ? count : 0;
}

static int place_set_memory(struct apusi_uring *uring, unsigned index, const struct iovec *memory)
{
	const uint64_t tag = 0;
	int count = io_uring_register_buffers_update_tag(&uring->ring, index, memory,
		(const __u64 *)&tag, 1);

	return count < 0 ? count : 0;
}

static void place_clear(struct apusi_uring *uring, struct apusi_uring_fixed *place)
{
	const struct iovec nothing = { NULL, 0 };
	unsigned index = (unsigned)(place - uring->fixed);

	(void)place_set_memory(uring, index, &nothing);
	(void)place_set_file(uring, index, -1);
	place->owner = 0;
}

static struct apusi_uring_fixed *place_free(struct apusi_uring *uring)
{
	unsigned i;

	for (i = 0; i < APUSI_URING_FIXED; i++)
		if (uring->fixed[i].owner == 0)
			return &uring->fixed[i];
	return NULL;
}

/* The place that a token names, unless it has ended. */
static struct apusi_uring_fixed *place_find(struct apusi_uring *uring, uint64_t token)
{
	struct apusi_uring_fixed *place = &uring->fixed[(uint32_t)token % APUSI_URING_FIXED];

	return token != 0 && place->owner != 0 && !place->ended &&
		place->generation == (uint32_t)(token >> 32) ? place : NULL;
}

int apusi_uring_fix(struct apus_io *io, uint64_t owner, int fd, const struct iovec *memory,
	uint64_t *token)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	struct apusi_uring_fixed *place = place_free(uring);
	unsigned index;
	int err = place == NULL ? -ENOBUFS : tables_make(uring);

	if (err)
		return err == -EINVAL ? -ENOTSUP : err; /* a kernel without empty places */
	index = (unsigned)(place - uring->fixed);
	err = place_set_file(uring, index, fd);
	if (err)
		return err;
	err = place_set_memory(uring, index, memory);
	if (err) {
		(void)place_set_file(uring, index, -1);
		return err;
	}
	place->owner = owner;
	place->uses = 0;
	place->ended = false;
	if (++place->generation == 0)
		place->generation = 1; /* zero is never valid */
	*token = (uint64_t)place->generation << 32 | index;
	return 0;
}

bool apusi_uring_is_fixed(const struct apus_io *io, uint64_t token)
{
	return place_find(apusi_uring_of(io), token) != NULL;
}

static void place_end(struct apusi_uring *uring, struct apusi_uring_fixed *place)
{
	place->ended = true;
	if (place->uses == 0)
		place_clear(uring, place);
}

void apusi_uring_unfix(struct apus_io *io, uint64_t token)
{
	struct apusi_uring_fixed *place = place_find(apusi_uring_of(io), token);

	if (place != NULL)
		place_end(apusi_uring_of(io), place);
}

void apusi_uring_unfix_all(struct apus_io *io, uint64_t owner)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	unsigned i;

	for (i = 0; i < APUSI_URING_FIXED; i++)
		if (uring->fixed[i].owner == owner && !uring->fixed[i].ended)
			place_end(uring, &uring->fixed[i]);
}

/* ---- operations ------------------------------------------------------------------------ */

struct apusi_uring_fixed *apusi_uring_fixed_use(struct apus_io *io, uint64_t token,
	struct io_uring_sqe *sqe)
{
	struct apusi_uring *uring = apusi_uring_of(io);
	struct apusi_uring_fixed *place = place_find(uring, token);

	if (place == NULL)
		return NULL;
	place->uses++;
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->fd = (int)(place - uring->fixed);
	sqe->buf_index = (uint16_t)(place - uring->fixed);
	return place;
}

void apusi_uring_fixed_back(struct apus_io *io, struct apusi_uring_fixed *place)
{
	if (--place->uses == 0 && place->ended)
		place_clear(apusi_uring_of(io), place);
}
