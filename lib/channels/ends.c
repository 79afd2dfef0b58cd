#include <string.h>
#include <time.h>
#include <unistd.h>

#include "channels/barrier.h"
#include "channels/ends.h"
#include "wait/futex.h"
#include "wait/port.h"

/* ---- bells ------------------------------------------------------------------- */

void apusi_bell_wake_all(uint32_t *bell)
{
	uint32_t before = __atomic_fetch_add(bell, APUS_BELL_RUNG, __ATOMIC_ACQ_REL);

	apusi_futex_wake_all(bell, (before & APUS_BELL_SHARED) != 0);
}

void apus_bell_ring(uint32_t *bell, const struct apus_end *end)
{
	/* [G] as an exchange: [H] is before it in the bell's order, or sees what we published. */
	uint32_t bits = apus_and_full(bell, ~(uint32_t)(APUS_BELL_ASLEEP | APUS_BELL_THREAD));

	if (!(bits & APUS_BELL_ASLEEP))
		return;
	if (bits & APUS_BELL_THREAD)
		apusi_bell_wake_all(bell);
	else
		apusi_port_ring(apus_load_relaxed(&end->port));
}

bool apusi_bell_raise(uint32_t *bell, uint32_t bits, uint32_t *word)
{
	uint32_t before = apus_or_full(bell, APUS_BELL_RINGS | bits); /* [H] */

	*word = before | APUS_BELL_RINGS | bits;
	/* [H] where [G] was a plain load so far. */
	return (before & APUS_BELL_RINGS) != 0 || apusi_barrier_all();
}

bool apusi_bell_set(uint32_t *bell, uint32_t bits)
{
	uint32_t word;

	return apusi_bell_raise(bell, bits, &word);
}

/* In memory of several processes another may sleep on it still: who rings takes it back. */
void apusi_bell_clear(uint32_t *bell)
{
	if (!(apus_load_relaxed(bell) & APUS_BELL_SHARED))
		apus_and_full(bell, ~(uint32_t)(APUS_BELL_ASLEEP | APUS_BELL_THREAD));
}

void apusi_bell_quiet(const struct apusi_side *side)
{
	if (apus_load_relaxed(side->bell) != side->always && !(side->always & APUS_BELL_SHARED))
		apus_store_relaxed(side->bell, side->always);
}

uint32_t apusi_bell_always(void)
{
	return apusi_barrier_register() ? 0 : APUS_BELL_ALWAYS | APUS_BELL_RINGS;
}

/* ---- tasks ------------------------------------------------------------------- */

static bool end_is_taken(const struct apus_cx *cx, const struct apus_end *end)
{
	const struct apusi_poller *waiter = apus_load_acquire(&end->waiter);

	if (waiter != NULL &&
	    (apus_load_relaxed(&end->loop) != cx->loop || waiter->wait->task != cx->task))
		return true;
	return apus_load_acquire(&end->blocked) != 0;
}

apus_poll apusi_side_pend(struct apus_cx *cx, const struct apusi_side *side,
	const struct apusi_poller_kind *kind, void *object)
{
	struct apus_end *end = side->end;
	struct apusi_poller *poller;

	if (end_is_taken(cx, end))
		return -EBUSY;
	poller = apusi_poller_pend(cx, end, kind, object);
	if (poller == NULL)
		return -ENOBUFS;
	if (end->waiter == NULL) {
		apus_store_relaxed(&end->loop, cx->loop);
		apus_store_relaxed(&end->port, cx->port);
		apus_store_release(&end->waiter, poller);
		if (!cx->may_park)
			apusi_bell_quiet(side);
	}
	return APUS_PENDING;
}

bool apusi_send_arm(struct apusi_poller *poller)
{
	struct apus_ends *ends = poller->object;

	return apusi_bell_set(&ends->gate.send_bell, APUS_BELL_ASLEEP) &&
	       !poller->kind->ready(poller);
}

void apusi_send_disarm(struct apusi_poller *poller)
{
	apusi_bell_clear(&((struct apus_ends *)poller->object)->gate.send_bell);
}

void apusi_send_dropped(struct apusi_poller *poller)
{
	apus_store_release(&((struct apus_ends *)poller->object)->send.waiter, NULL);
}

bool apusi_recv_arm(struct apusi_poller *poller)
{
	struct apus_ends *ends = poller->object;

	return apusi_bell_set(&ends->gate.recv_bell, APUS_BELL_ASLEEP) &&
	       !poller->kind->ready(poller);
}

void apusi_recv_disarm(struct apusi_poller *poller)
{
	apusi_bell_clear(&((struct apus_ends *)poller->object)->gate.recv_bell);
}

void apusi_recv_dropped(struct apusi_poller *poller)
{
	apus_store_release(&((struct apus_ends *)poller->object)->recv.waiter, NULL);
}

/* ---- threads ----------------------------------------------------------------- */

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

int64_t apusi_end_ns(int64_t timeout_ns)
{
	if (timeout_ns == APUS_NEVER)
		return APUS_NEVER;
	return apus_ns_add(monotonic_ns(), timeout_ns > 0 ? timeout_ns : 0);
}

int64_t apusi_left_ns(int64_t end_ns)
{
	return end_ns == APUS_NEVER ? APUS_NEVER : end_ns - monotonic_ns();
}

int apusi_bell_sleep(const struct apusi_side *side, apusi_need_fn *is_ready, const void *object,
	uint64_t need, int64_t timeout_ns)
{
	bool is_shared = side->always & APUS_BELL_SHARED, set;
	uint32_t word;
	int err = 0;

	set = apusi_bell_raise(side->bell, APUS_BELL_ASLEEP | APUS_BELL_THREAD, &word);
	if (is_ready(object, need))
		err = 0;
	else if (!set && timeout_ns > APUS_MSEC) /* the first sleep without a barrier is short */
		apusi_futex_wait(side->bell, word, APUS_MSEC, is_shared);
	else
		err = apusi_futex_wait(side->bell, word, timeout_ns, is_shared);
	apusi_bell_clear(side->bell);
	return err;
}

static int side_sleep(const struct apusi_side *side, apusi_need_fn *is_ready, const void *object,
	uint64_t need, int64_t timeout_ns)
{
	int64_t end_ns = apusi_end_ns(timeout_ns);
	int err = 0;

	while (!err && !is_ready(object, need))
		err = apusi_bell_sleep(side, is_ready, object, need, apusi_left_ns(end_ns));
	return err && is_ready(object, need) ? 0 : err;
}

int apusi_side_block(const struct apusi_side *side, apusi_need_fn *is_ready, const void *object,
	uint64_t need, int64_t timeout_ns)
{
	struct apus_end *end = side->end;
	int spins, err;

	for (spins = 0; spins < APUSI_SPINS; spins++)
		if (is_ready(object, need))
			return 0;
	if (apus_load_acquire(&end->waiter) != NULL || apus_load_acquire(&end->blocked) != 0)
		return -EBUSY;
	apus_store_release(&end->blocked, 1);
	err = side_sleep(side, is_ready, object, need, timeout_ns);
	apus_store_release(&end->blocked, 0);
	return err;
}

/* ---- beginning and ending ---------------------------------------------------- */

int apus_ends_init(struct apus_ends *ends, uint64_t slots_at, uint64_t slot_bytes,
	uint64_t capacity)
{
	if (capacity == 0 || capacity > APUS_CHANNEL_CAPACITY_MAX || (capacity & (capacity - 1)))
		return -EINVAL;
	memset(ends, 0, sizeof *ends);
	ends->gate.capacity = (uint32_t)capacity;
	ends->gate.slots_at = slots_at;
	ends->gate.slot_bytes = slot_bytes;
	ends->gate.always = apusi_bell_always();
	ends->gate.send_bell = ends->gate.recv_bell = ends->gate.always;
	return 0;
}

void apus_ends_close(struct apus_ends *ends)
{
	/* [G] for both ends: closed is published, then the bells are looked at. */
	apus_exchange_full(&ends->gate.closed, 1);
	apus_bell_ring(&ends->gate.send_bell, &ends->send);
	apus_bell_ring(&ends->gate.recv_bell, &ends->recv);
}

bool apusi_end_leave(struct apus_end *end)
{
	struct apusi_poller *waiter = apus_load_acquire(&end->waiter);

	if (waiter != NULL && apus_loop_is_mine(apus_load_relaxed(&end->loop)))
		apusi_poller_break(waiter);
	else if (waiter != NULL)
		return false;
	return apus_load_acquire(&end->blocked) == 0;
}

int apus_ends_deinit(struct apus_ends *ends)
{
	bool send_left, recv_left;

	apus_ends_close(ends);
	send_left = apusi_end_leave(&ends->send);
	recv_left = apusi_end_leave(&ends->recv);
	return send_left && recv_left ? 0 : -EBUSY;
}
