#include <string.h>

#include "channels/line.h"
#include "channels/readers.h"
#include "wait/futex.h"
#include "wait/port.h"

static bool is_shared(const struct apus_readers *readers)
{
	return (readers->always & APUS_BELL_SHARED) != 0;
}

/* ---- ringing ----------------------------------------------------------------- */

/* Of each loop the port knows whether it is parked. */
static void ports_ring(struct apus_readers *readers)
{
	struct apusi_place *place;

	apusi_line_lock(&readers->line);
	for (place = readers->line.head; place != NULL; place = place->next)
		apusi_port_ring(place->port);
	apusi_line_unlock(&readers->line);
}

void apus_readers_ring(struct apus_readers *readers)
{
	/* [G] as an exchange: [H] is before it in the bell's order, or sees what we published. */
	uint32_t bits = apus_and_full(&readers->bell,
		~(uint32_t)(APUS_BELL_ASLEEP | APUS_BELL_THREAD));

	if (bits & APUS_BELL_THREAD)
		apusi_bell_wake_all(&readers->bell);
	if (bits & APUS_BELL_ASLEEP)
		ports_ring(readers);
}

/* ---- tasks ------------------------------------------------------------------- */

static void place_link(struct apus_line *line, struct apusi_place *place)
{
	apusi_line_lock(line);
	place->next = NULL;
	place->prev = line->tail;
	if (line->tail != NULL)
		line->tail->next = place;
	else
		line->head = place;
	line->tail = place;
	apusi_line_unlock(line);
}

static void place_unlink(struct apus_line *line, struct apusi_place *place)
{
	apusi_line_lock(line);
	if (place->next != NULL)
		place->next->prev = place->prev;
	else
		line->tail = place->prev;
	if (place->prev != NULL)
		place->prev->next = place->next;
	else
		line->head = place->next;
	apusi_line_unlock(line);
}

apus_poll apusi_readers_pend(struct apus_cx *cx, struct apus_readers *readers,
	const struct apus_reader *reader, const struct apusi_readers_kind *kind)
{
	bool shared = is_shared(readers), is_new = apusi_poller_find(cx, reader) == NULL;
	struct apusi_poller *poller = apusi_poller_pend(cx, reader,
		shared ? &kind->shared : &kind->own, readers);

	if (poller == NULL)
		return -ENOBUFS;
	poller->place.need = reader->at;
	if (is_new && !shared) {
		poller->place.is_thread = false;
		poller->place.port = cx->port;
		place_link(&readers->line, &poller->place);
	}
	return APUS_PENDING;
}

/* Nobody takes the bit back but who rings: another loop may sleep by it, too. */
bool apusi_readers_arm(struct apusi_poller *poller)
{
	struct apus_readers *readers = poller->object;

	return apusi_bell_set(&readers->bell, APUS_BELL_ASLEEP) && !poller->kind->ready(poller);
}

void apusi_readers_dropped(struct apusi_poller *poller)
{
	struct apus_readers *readers = poller->object;

	if (!is_shared(readers))
		place_unlink(&readers->line, &poller->place);
}

/* ---- threads ----------------------------------------------------------------- */

static int bell_sleep(struct apus_readers *readers, uint64_t at, apusi_need_fn *is_fresh,
	int64_t timeout_ns)
{
	uint32_t word;
	bool set = apusi_bell_raise(&readers->bell, APUS_BELL_THREAD, &word); /* [H] */

	if (is_fresh(readers, at))
		return 0;
	if (!set && timeout_ns > APUS_MSEC) { /* the first sleep without a barrier is short */
		apusi_futex_wait(&readers->bell, word, APUS_MSEC, is_shared(readers));
		return 0;
	}
	return apusi_futex_wait(&readers->bell, word, timeout_ns, is_shared(readers));
}

int apusi_readers_block(struct apus_readers *readers, uint64_t at, apusi_need_fn *is_fresh,
	int64_t timeout_ns)
{
	int64_t end_ns;
	int spins, err = 0;

	for (spins = 0; spins < APUSI_SPINS; spins++)
		if (is_fresh(readers, at))
			return 0;
	end_ns = apusi_end_ns(timeout_ns);
	__atomic_fetch_add(&readers->blocked, 1, __ATOMIC_ACQ_REL);
	while (!err && !is_fresh(readers, at))
		err = bell_sleep(readers, at, is_fresh, apusi_left_ns(end_ns));
	if (err && is_fresh(readers, at))
		err = 0;
	__atomic_fetch_sub(&readers->blocked, 1, __ATOMIC_ACQ_REL);
	return err;
}

/* ---- beginning and ending ---------------------------------------------------- */

int apusi_readers_init(struct apus_readers *readers, const struct apusi_shape *shape,
	uint64_t first, uint32_t flags)
{
	if ((uintptr_t)readers % APUS_CACHE_LINE != 0 || (flags & ~(uint32_t)APUS_READERS_SHARED))
		return -EINVAL;
	memset(readers, 0, sizeof *readers);
	readers->first = first;
	readers->slots_at = shape->slots_at;
	readers->capacity = (uint32_t)shape->capacity;
	readers->message_bytes = (uint32_t)shape->message_bytes;
	readers->always = flags & APUS_READERS_SHARED ?
		APUS_BELL_ALWAYS | APUS_BELL_RINGS | APUS_BELL_SHARED : apusi_bell_always();
	readers->bell = readers->always;
	return 0;
}

int apusi_readers_check(const struct apus_readers *readers, const struct apusi_shape *shape)
{
	return apus_load_acquire(&readers->magic) == shape->magic &&
		readers->slots_at == shape->slots_at && readers->capacity == shape->capacity &&
		readers->message_bytes == shape->message_bytes && is_shared(readers) ? 0 : -EPROTO;
}

void apus_readers_close(struct apus_readers *readers)
{
	/* [G]: closed is published, then the bell is looked at. */
	apus_exchange_full(&readers->closed, 1);
	apus_readers_ring(readers);
}

int apus_readers_deinit(struct apus_readers *readers)
{
	apus_readers_close(readers);
	if (is_shared(readers))
		return 0;
	return apusi_line_unlink(&readers->line) == 0 &&
		apus_load_acquire(&readers->blocked) == 0 ? 0 : -EBUSY;
}
