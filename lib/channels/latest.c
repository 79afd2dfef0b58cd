#include "apus/latest.h"
#include "channels/readers.h"

/* "apuslast", and the layout's number. */
static const uint64_t MAGIC = UINT64_C(0x7473616c73757061) + 1;

static uint64_t *value_at(const struct apus_readers *readers)
{
	return (uint64_t *)(void *)((char *)(uintptr_t)readers + readers->slots_at);
}

static bool is_fresh(const void *object, uint64_t seen)
{
	const struct apus_readers *readers = object;

	return apus_load_acquire(value_at(readers)) != seen ||
	       apus_load_acquire(&readers->closed) != 0;
}

static bool is_fresh_to(const struct apusi_poller *poller)
{
	return is_fresh(poller->object, poller->place.need);
}

static const struct apusi_readers_kind latest_kind = APUSI_READERS_KIND(is_fresh_to);

int apus_latest_setup(struct apus_readers *readers, uint64_t value, uint64_t capacity,
	uint64_t message_bytes, uint64_t first, uint32_t flags)
{
	const struct apusi_shape shape = { MAGIC, value, capacity, message_bytes };
	int err = apusi_readers_init(readers, &shape, first, flags);

	if (err)
		return err;
	apus_store_relaxed(value_at(readers), first);
	apus_store_release(&readers->magic, MAGIC);
	return 0;
}

int apus_latest_check(const struct apus_readers *readers, uint64_t value, uint64_t capacity,
	uint64_t message_bytes)
{
	const struct apusi_shape shape = { MAGIC, value, capacity, message_bytes };

	return apusi_readers_check(readers, &shape);
}

/* Behind the value before the newest: that one is news. */
void apus_latest_begin(const struct apus_readers *readers, struct apus_reader *reader)
{
	uint64_t at = apus_load_acquire(value_at(readers));

	*reader = (struct apus_reader){ .at = at == readers->first ? at : at - 1 };
}

apus_poll apus_latest_wait(struct apus_cx *cx, struct apus_readers *readers,
	struct apus_reader *reader)
{
	return apusi_readers_pend(cx, readers, reader, &latest_kind);
}

int apus_latest_block(struct apus_readers *readers, const struct apus_reader *reader,
	int64_t timeout_ns)
{
	return apusi_readers_block(readers, reader->at, is_fresh, timeout_ns);
}
