#include "channels/line.h"
#include "wait/futex.h"
#include "wait/port.h"
#include "wait/process.h"

/* ---- the lock ---------------------------------------------------------------- */

/* Held for a few instructions, and by waiting senders only. */
void apusi_line_lock(struct apus_line *line)
{
	uint32_t turns = 0;

	while (apus_exchange_acq_rel(&line->lock, 1) != 0)
		apusi_back_off(&turns);
}

void apusi_line_unlock(struct apus_line *line)
{
	apus_store_release(&line->lock, 0);
}

/* ---- places ------------------------------------------------------------------ */

/* Under the lock: who stands there cannot leave meanwhile. */
static void place_tell(struct apusi_place *place, uint32_t bits)
{
	apus_or_full(&place->word, bits);
	if (place->is_thread)
		apusi_futex_wake_all(&place->word, false);
	else
		apusi_port_ring(place->port);
}

static void line_join(const struct apusi_line_view *view, struct apusi_place *place, uint64_t need)
{
	struct apus_line *line = view->line;
	uint32_t word;

	apusi_line_lock(line);
	word = line->head == NULL ? APUSI_PLACE_FIRST : 0;
	/* Closed before we came: nobody will tell us any more. */
	if (apus_load_acquire(view->closed))
		word |= APUSI_PLACE_CLOSED;
	apus_store_relaxed(&place->word, word);
	place->need = need;
	place->next = NULL;
	place->prev = line->tail;
	if (line->tail != NULL)
		line->tail->next = place;
	else
		line->head = place;
	line->tail = place;
	apus_store_relaxed(view->queued, 1);
	apusi_line_unlock(line);
}

void apusi_line_leave(const struct apusi_line_view *view, struct apusi_place *place)
{
	struct apus_line *line = view->line;

	apusi_line_lock(line);
	if (place->next != NULL)
		place->next->prev = place->prev;
	else
		line->tail = place->prev;
	if (place->prev != NULL)
		place->prev->next = place->next;
	else
		line->head = place->next;
	if (line->head == NULL)
		apus_store_relaxed(view->queued, 0);
	else if (place->prev == NULL)
		place_tell(line->head, APUSI_PLACE_FIRST);
	apusi_line_unlock(line);
}

void apusi_line_tell_closed(struct apus_line *line)
{
	struct apusi_place *place;

	for (place = line->head; place != NULL; place = place->next)
		place_tell(place, APUSI_PLACE_CLOSED);
}

bool apusi_line_ready(const struct apusi_line_view *view, const struct apusi_place *place)
{
	uint32_t word = apus_load_acquire(&place->word);

	return (word & APUSI_PLACE_CLOSED) != 0 ||
	       ((word & APUSI_PLACE_FIRST) != 0 && view->has_room(view->channel, place->need));
}

/* What the place allows to claim now. */
static int64_t place_claim(const struct apusi_line_view *view, const struct apusi_place *place,
	void *want)
{
	uint32_t word = apus_load_acquire(&place->word);

	if (word & APUSI_PLACE_CLOSED)
		return -EPIPE;
	return word & APUSI_PLACE_FIRST ? view->claim(view->channel, true, want) : -EAGAIN;
}

/* ---- tasks ------------------------------------------------------------------- */

static apus_poll task_join(struct apus_cx *cx, const struct apusi_line_view *view,
	const struct apusi_poller_kind *kind, uint64_t need, void *want)
{
	int64_t answer = view->claim(view->channel, false, want);
	struct apusi_poller *poller;

	if (answer != -EAGAIN)
		return answer;
	poller = apusi_poller_pend(cx, view->line, kind, view->channel);
	if (poller == NULL)
		return -ENOBUFS;
	poller->place.is_thread = false;
	poller->place.port = cx->port;
	line_join(view, &poller->place, need);
	if (!cx->may_park && (apus_load_relaxed(&poller->place.word) & APUSI_PLACE_FIRST))
		apusi_bell_quiet(&view->side);
	return APUS_PENDING;
}

apus_poll apusi_line_wait(struct apus_cx *cx, const struct apusi_line_view *view,
	const struct apusi_poller_kind *kind, uint64_t need, void *want)
{
	struct apusi_poller *poller = apusi_poller_find(cx, view->line);
	int64_t answer;

	if (poller == NULL)
		return task_join(cx, view, kind, need, want);
	poller->place.need = need;
	answer = place_claim(view, &poller->place, want);
	if (answer != -EAGAIN) {
		/* Served: the next message of this task stands behind all who wait. */
		apus_wait_drop(cx, poller->wait);
		return answer;
	}
	apusi_poller_pend(cx, view->line, kind, view->channel);
	return APUS_PENDING;
}

/* Only the first has the bell; who becomes it while its loop parks is told by its port. */
bool apusi_line_arm(const struct apusi_line_view *view, struct apusi_poller *poller)
{
	bool set = true;

	if (apus_load_acquire(&poller->place.word) & APUSI_PLACE_FIRST) {
		apus_store_relaxed(&view->side.end->port, poller->cx->port);
		set = apusi_bell_set(view->side.bell, APUS_BELL_ASLEEP);
	}
	return set && !apusi_line_ready(view, &poller->place);
}

void apusi_line_disarm(const struct apusi_line_view *view, struct apusi_poller *poller)
{
	if (apus_load_acquire(&poller->place.word) & APUSI_PLACE_FIRST)
		apusi_bell_clear(view->side.bell);
}

/* ---- threads ----------------------------------------------------------------- */

static bool first_has_room(const void *arg, uint64_t need)
{
	const struct apusi_line_view *view = arg;

	return view->has_room(view->channel, need);
}

static int64_t stand(const struct apusi_line_view *view, struct apusi_place *place, int64_t end_ns,
	void *want)
{
	int err = 0;

	for (;;) {
		uint32_t word = apus_load_acquire(&place->word);
		int64_t answer = place_claim(view, place, want);

		if (answer != -EAGAIN)
			return answer;
		if (err)
			return err;
		if (word & APUSI_PLACE_FIRST)
			err = apusi_bell_sleep(&view->side, first_has_room, view, place->need,
				apusi_left_ns(end_ns));
		else
			err = apusi_futex_wait(&place->word, word, apusi_left_ns(end_ns), false);
	}
}

int64_t apusi_line_block(const struct apusi_line_view *view, int64_t timeout_ns, uint64_t need,
	void *want)
{
	struct apusi_place place = { .is_thread = true };
	int64_t answer = -EAGAIN, end_ns;
	int spins;

	for (spins = 0; spins < APUSI_SPINS && answer == -EAGAIN; spins++)
		answer = view->claim(view->channel, false, want);
	if (answer != -EAGAIN)
		return answer;
	end_ns = apusi_end_ns(timeout_ns);
	line_join(view, &place, need);
	answer = stand(view, &place, end_ns, want);
	apusi_line_leave(view, &place);
	return answer;
}

/* ---- ending ------------------------------------------------------------------ */

/* A waiting task of this thread's loop, or NULL; busy: somebody of another thread waits. */
static struct apusi_poller *line_mine(struct apus_line *line, bool *is_busy)
{
	struct apusi_poller *mine = NULL;
	struct apusi_place *place;

	apusi_line_lock(line);
	for (place = line->head; place != NULL && mine == NULL; place = place->next) {
		struct apusi_poller *poller = apus_container_of(place, struct apusi_poller, place);

		if (!place->is_thread && apus_loop_is_mine(poller->cx->loop))
			mine = poller;
		else
			*is_busy = true;
	}
	apusi_line_unlock(line);
	return mine;
}

int apusi_line_unlink(struct apus_line *line)
{
	struct apusi_poller *poller;
	bool is_busy = false;

	while ((poller = line_mine(line, &is_busy)) != NULL)
		apusi_poller_break(poller);
	return is_busy ? -EBUSY : 0;
}
