#include "apus/fanout.h"
#include "channels/readers.h"

/* "apusfans", and the layout's number. */
static const uint64_t MAGIC = UINT64_C(0x736e616673757061) + 1;

static uint64_t slot_bytes(const struct apus_readers *readers)
{
	return 8 + (uint64_t)(readers->message_bytes + 7) / 8 * 8;
}

static uint64_t *turn_at(const struct apus_readers *readers, uint64_t at)
{
	char *slots = (char *)(uintptr_t)readers + readers->slots_at;

	return apus_slot_turn(slots, slot_bytes(readers), readers->capacity, at);
}

/* Also where the reader was lapped, or the end has come: there is something to be told. */
static bool is_fresh(const void *object, uint64_t at)
{
	const struct apus_readers *readers = object;

	return (int64_t)(apus_load_acquire(turn_at(readers, at)) - at) > 0 ||
	       apus_load_acquire(&readers->closed) != 0;
}

static bool is_fresh_to(const struct apusi_poller *poller)
{
	return is_fresh(poller->object, poller->place.need);
}

static const struct apusi_readers_kind fanout_kind = APUSI_READERS_KIND(is_fresh_to);

int apus_fanout_setup(struct apus_fanout *channel, uint64_t slots_at, uint64_t capacity,
	uint64_t message_bytes, uint64_t first, uint32_t flags)
{
	const struct apusi_shape shape = { MAGIC, slots_at, capacity, message_bytes };
	uint64_t i;
	int err;

	if (first % 2 != 0 || (uintptr_t)channel % APUS_CACHE_LINE != 0)
		return -EINVAL;
	err = apusi_readers_init(&channel->readers, &shape, first, flags);
	if (err)
		return err;
	apus_store_relaxed(&channel->at, first);
	for (i = 0; i < capacity; i++)
		apus_store_relaxed(turn_at(&channel->readers, first + 2 * i), first + 2 * i);
	apus_store_release(&channel->readers.magic, MAGIC);
	return 0;
}

int apus_fanout_check(const struct apus_fanout *channel, uint64_t slots_at, uint64_t capacity,
	uint64_t message_bytes)
{
	const struct apusi_shape shape = { MAGIC, slots_at, capacity, message_bytes };

	return apusi_readers_check(&channel->readers, &shape);
}

/*
 * From the last place that was begun backwards to the first that was not filled: what stands
 * behind that one, of a batch that was not finished, nobody has read, nor will.
 */
uint64_t apus_fanout_rewind(struct apus_fanout *channel)
{
	const struct apus_readers *readers = &channel->readers;
	uint64_t at = apus_load_relaxed(&channel->at), first = at, place = at, i;

	for (i = 0; i < readers->capacity && place != readers->first; i++) {
		place -= 2;
		if ((int64_t)(apus_load_relaxed(turn_at(readers, place)) - place) <= 0)
			first = place;
	}
	for (place = first; place != at; place += 2)
		apus_store_release(turn_at(readers, place), place);
	apus_store_release(&channel->at, first);
	return (at - first) / 2;
}

void apus_fanout_begin(const struct apus_fanout *channel, struct apus_reader *reader,
	uint64_t backlog)
{
	const struct apus_readers *readers = &channel->readers;
	uint64_t at = apus_load_acquire(&channel->at), count = (at - readers->first) / 2;

	if (count > readers->capacity)
		count = readers->capacity;
	*reader = (struct apus_reader){ .at = at - 2 * (backlog < count ? backlog : count) };
}

/*
 * [L] Half a ring behind the writer, who is a whole one ahead of the reader; less only where a
 * batch was begun anew, and never backwards.
 */
int apus_fanout_overflow(const struct apus_fanout *channel, struct apus_reader *reader)
{
	uint64_t behind = channel->readers.capacity > 1 ? channel->readers.capacity / 2 : 1;
	uint64_t at = apus_load_acquire(&channel->at) - 2 * behind;

	if ((int64_t)(at - reader->at) < 2)
		at = reader->at + 2;
	reader->lapped = (at - reader->at) / 2;
	reader->missed += reader->lapped;
	reader->at = at;
	return -EOVERFLOW;
}

apus_poll apus_fanout_wait(struct apus_cx *cx, struct apus_fanout *channel,
	struct apus_reader *reader)
{
	return apusi_readers_pend(cx, &channel->readers, reader, &fanout_kind);
}

int apus_fanout_block(struct apus_fanout *channel, const struct apus_reader *reader,
	int64_t timeout_ns)
{
	return apusi_readers_block(&channel->readers, reader->at, is_fresh, timeout_ns);
}
