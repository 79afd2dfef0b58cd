#include "apus/channel_mpsc.h"
#include "channels/line.h"

/* ---- room ------------------------------------------------------------------------- */

struct want {
	size_t count;
	uint64_t *at;
};

static int64_t claim(void *object, bool is_first, void *arg)
{
	struct apus_mpsc *channel = object;
	struct apus_gate *gate = &channel->ends.gate;
	void *slots = (char *)channel + gate->slots_at;
	struct want *want = arg;

	return is_first ? apus_mpsc_claim_any(channel, slots, gate->slot_bytes, gate->capacity,
				  want->count, want->at) :
			  apus_mpsc_claim(channel, slots, gate->slot_bytes, gate->capacity,
				  want->count, want->at);
}

/* Also where it is closed: there is something to be told. */
static bool has_room(const void *object, uint64_t need)
{
	const struct apus_ends *ends = &((const struct apus_mpsc *)object)->ends;
	uint64_t tail = apus_load_relaxed(&ends->send.at);

	(void)need;
	return (tail & 1) != 0 ||
	       (int64_t)(apus_load_acquire(apusi_turn(ends, tail)) - tail) >= 0;
}

static struct apusi_line_view view_of(struct apus_mpsc *channel)
{
	struct apus_gate *gate = &channel->ends.gate;

	return (struct apusi_line_view){ &channel->line, &gate->queued, &gate->closed,
		apusi_send_side(&channel->ends), channel, claim, has_room };
}

static bool sender_ready(const struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	return apusi_line_ready(&view, &poller->place);
}

static bool sender_arm(struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	return apusi_line_arm(&view, poller);
}

static void sender_disarm(struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	apusi_line_disarm(&view, poller);
}

static void sender_dropped(struct apusi_poller *poller)
{
	const struct apusi_line_view view = view_of(poller->object);

	apusi_line_leave(&view, &poller->place);
}

static const struct apusi_poller_kind sender_kind = {
	sender_ready, sender_arm, sender_disarm, sender_dropped
};

apus_poll apus_mpsc_claim_wait(struct apus_cx *cx, struct apus_mpsc *channel, size_t count,
	uint64_t *at)
{
	const struct apusi_line_view view = view_of(channel);
	struct want want = { count, at };

	return apusi_line_wait(cx, &view, &sender_kind, 1, &want);
}

int64_t apus_mpsc_claim_block(struct apus_mpsc *channel, int64_t timeout_ns, size_t count,
	uint64_t *at)
{
	const struct apusi_line_view view = view_of(channel);
	struct want want = { count, at };

	return apusi_line_block(&view, timeout_ns, 1, &want);
}

/* ---- receiving ----------------------------------------------------- */

static bool message_is_ready(const void *object, uint64_t need)
{
	const struct apus_ends *ends = object;

	(void)need;
	return apus_load_acquire(apusi_turn(ends, ends->recv.at)) == ends->recv.at + 1 ||
	       apus_load_acquire(&ends->gate.closed) != 0;
}

static bool message_ready(const struct apusi_poller *poller)
{
	return message_is_ready(poller->object, 1);
}

static const struct apusi_poller_kind message_kind = {
	message_ready, apusi_recv_arm, apusi_recv_disarm, apusi_recv_dropped
};

apus_poll apus_mpsc_message_wait(struct apus_cx *cx, struct apus_mpsc *channel)
{
	const struct apusi_side side = apusi_recv_side(&channel->ends);

	return apusi_side_pend(cx, &side, &message_kind, &channel->ends);
}

static int message_try(struct apus_mpsc *channel, uint64_t *at)
{
	struct apus_gate *gate = &channel->ends.gate;

	return apus_mpsc_message(channel, (char *)channel + gate->slots_at, gate->slot_bytes,
		gate->capacity, at);
}

int apus_mpsc_message_block(struct apus_mpsc *channel, int64_t timeout_ns, uint64_t *at)
{
	const struct apusi_side side = apusi_recv_side(&channel->ends);
	int64_t end_ns = 0;
	int err;

	while ((err = message_try(channel, at)) == -EAGAIN) {
		if (end_ns == 0)
			end_ns = apusi_end_ns(timeout_ns);
		err = apusi_side_block(&side, message_is_ready, &channel->ends, 1,
			apusi_left_ns(end_ns));
		if (err)
			return err;
	}
	return err;
}

/* ---- beginning and ending ------------------------------------------ */

int apus_mpsc_setup(struct apus_mpsc *channel, uint64_t slots_at, uint64_t slot_bytes,
	uint64_t capacity, uint64_t first)
{
	struct apus_ends *ends = &channel->ends;
	int err = apus_ends_init(ends, slots_at, slot_bytes, capacity);
	uint64_t i;

	if (err || first % 2 != 0)
		return -EINVAL;
	memset(&channel->line, 0, sizeof channel->line);
	ends->send.at = ends->recv.at = first;
	for (i = 0; i < capacity; i++)
		*apusi_turn(ends, first + 2 * i) = first + 2 * i;
	return 0;
}

void apus_mpsc_finish(struct apus_mpsc *channel)
{
	apus_or_full(&channel->ends.send.at, 1); /* from here on no place is given out */
	apusi_line_lock(&channel->line);
	apus_ends_close(&channel->ends);
	apusi_line_tell_closed(&channel->line);
	apusi_line_unlock(&channel->line);
}

int apus_mpsc_unlink(struct apus_mpsc *channel)
{
	bool has_left;

	apus_mpsc_finish(channel);
	has_left = apusi_end_leave(&channel->ends.recv);
	return apusi_line_unlink(&channel->line) == 0 && has_left ? 0 : -EBUSY;
}
