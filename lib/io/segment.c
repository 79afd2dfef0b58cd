#include <stdlib.h>
#include <sys/mman.h>

#include "io/backend.h"

enum { SEGMENTS_DEFAULT = 256, SEGMENT_BYTES_DEFAULT = 4096, RESERVE_SHARE = 8 };

/* ---- memory -------------------------------------------------------------------- */

static void push(struct apusi_segments *segments, uint32_t index)
{
	segments->all[index].next = (uint16_t)segments->free_head;
	segments->free_head = index + 1;
	segments->free_count++;
}

/* Untouched it takes no memory yet; prefaulted it never faults later. */
static unsigned char *memory_open(const struct apus_io_config *config, size_t bytes)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (config->prefault ? MAP_POPULATE : 0);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (config->lock && mlock(memory, bytes) != 0) {
		munmap(memory, bytes);
		return NULL;
	}
	return memory;
}

static size_t all_bytes(const struct apusi_segments *segments)
{
	return segments->count * segments->stride;
}

static size_t stride_of(size_t bytes)
{
	return ((bytes + APUS_CACHE_LINE - 1) / APUS_CACHE_LINE + 1) * APUS_CACHE_LINE;
}

int apusi_segments_open(struct apus_io *io)
{
	struct apusi_segments *segments = &io->segments;
	uint32_t count = io->config.segment_count, i;

	segments->count = count != 0 ? count : SEGMENTS_DEFAULT;
	segments->segment_bytes = io->config.segment_bytes;
	if (segments->segment_bytes == 0)
		segments->segment_bytes = SEGMENT_BYTES_DEFAULT;
	segments->stride = stride_of(segments->segment_bytes);
	segments->reserve = segments->count / RESERVE_SHARE + 1;
	segments->all = calloc(segments->count, sizeof *segments->all);
	segments->memory = memory_open(&io->config, all_bytes(segments));
	if (segments->all == NULL || segments->memory == NULL) {
		apusi_segments_close(io);
		return -ENOMEM;
	}
	for (i = segments->count; i-- > 0;)
		push(segments, i);
	return 0;
}

void apusi_segments_close(struct apus_io *io)
{
	struct apusi_segments *segments = &io->segments;

	if (segments->memory != NULL)
		munmap(segments->memory, all_bytes(segments));
	free(segments->all);
	segments->memory = NULL;
	segments->all = NULL;
}

/* ---- claiming and freeing --------------------------------------------------------- */

int apusi_segment_claim(struct apusi_segments *segments)
{
	uint32_t head = segments->free_head;

	if (head == 0)
		return -1;
	segments->free_head = segments->all[head - 1].next;
	segments->free_count--;
	return (int)head - 1;
}

void apusi_segment_free(struct apus_io *io, uint32_t index)
{
	if (io->segments.free_count < io->segments.reserve || io->backend->lend == NULL ||
	    !io->backend->lend(io, index))
		push(&io->segments, index);
}

/* ---- with the user ------------------------------------------------------------------ */

uint32_t apusi_segment_hand_out(struct apusi_segments *segments, uint32_t index,
	struct apus_segment *out)
{
	struct apusi_segment *segment = &segments->all[index];

	segment->is_out = true;
	out->data = apusi_segment_at(segments, index) + segment->offset;
	out->bytes = segment->bytes - segment->offset;
	out->index = index;
	out->generation = ++segment->generation;
	return out->bytes;
}

int apus_segment_release(struct apus_loop *loop, struct apus_segment *segment)
{
	struct apusi_segment *own;
	struct apus_io *io;
	int err = apusi_io_enter(loop, &io);

	if (err)
		return err;
	if (segment->index >= io->segments.count)
		return -ESTALE;
	own = &io->segments.all[segment->index];
	if (!own->is_out || own->generation != segment->generation)
		return -ESTALE;
	own->is_out = false;
	apusi_segment_free(io, segment->index);
	*segment = (struct apus_segment){ .data = NULL };
	return 0;
}
