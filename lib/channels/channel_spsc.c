#include "apus/channel_spsc.h"
#include "channels/ends.h"

static bool room_is_ready(const void *object, uint64_t need)
{
	const struct apus_ends *ends = object;

	(void)need;
	return apus_load_acquire(apusi_turn(ends, ends->send.at)) == ends->send.at ||
	       apus_load_acquire(&ends->gate.closed) != 0;
}

static bool message_is_ready(const void *object, uint64_t need)
{
	const struct apus_ends *ends = object;

	(void)need;
	return apus_load_acquire(apusi_turn(ends, ends->recv.at)) == ends->recv.at + 1 ||
	       apus_load_acquire(&ends->gate.closed) != 0;
}

static bool room_poll(const struct apusi_poller *poller)
{
	return room_is_ready(poller->object, 1);
}

static bool message_poll(const struct apusi_poller *poller)
{
	return message_is_ready(poller->object, 1);
}

static const struct apusi_poller_kind room_kind = {
	room_poll, apusi_send_arm, apusi_send_disarm, apusi_send_dropped
};
static const struct apusi_poller_kind message_kind = {
	message_poll, apusi_recv_arm, apusi_recv_disarm, apusi_recv_dropped
};

int apus_spsc_setup(struct apus_spsc *channel, uint64_t slots_at, uint64_t slot_bytes,
	uint64_t capacity, uint64_t first)
{
	struct apus_ends *ends = &channel->ends;
	int err = apus_ends_init(ends, slots_at, slot_bytes, capacity);
	uint64_t i;

	if (err || first % 2 != 0)
		return -EINVAL;
	ends->send.at = ends->recv.at = first;
	for (i = 0; i < capacity; i++)
		*apusi_turn(ends, first + 2 * i) = first + 2 * i;
	return 0;
}

apus_poll apus_spsc_room_wait(struct apus_cx *cx, struct apus_spsc *channel)
{
	const struct apusi_side side = apusi_send_side(&channel->ends);

	return apusi_side_pend(cx, &side, &room_kind, &channel->ends);
}

apus_poll apus_spsc_message_wait(struct apus_cx *cx, struct apus_spsc *channel)
{
	const struct apusi_side side = apusi_recv_side(&channel->ends);

	return apusi_side_pend(cx, &side, &message_kind, &channel->ends);
}

static int room_try(struct apus_spsc *channel, uint64_t *at)
{
	struct apus_gate *gate = &channel->ends.gate;

	return apus_spsc_room(channel, (char *)channel + gate->slots_at, gate->slot_bytes,
		gate->capacity, at);
}

static int message_try(struct apus_spsc *channel, uint64_t *at)
{
	struct apus_gate *gate = &channel->ends.gate;

	return apus_spsc_message(channel, (char *)channel + gate->slots_at, gate->slot_bytes,
		gate->capacity, at);
}

int apus_spsc_room_block(struct apus_spsc *channel, int64_t timeout_ns, uint64_t *at)
{
	const struct apusi_side side = apusi_send_side(&channel->ends);
	int err = room_try(channel, at);

	if (err != -EAGAIN)
		return err;
	err = apusi_side_block(&side, room_is_ready, &channel->ends, 1, timeout_ns);
	return err ? err : room_try(channel, at);
}

int apus_spsc_message_block(struct apus_spsc *channel, int64_t timeout_ns, uint64_t *at)
{
	const struct apusi_side side = apusi_recv_side(&channel->ends);
	int err = message_try(channel, at);

	if (err != -EAGAIN)
		return err;
	err = apusi_side_block(&side, message_is_ready, &channel->ends, 1, timeout_ns);
	return err ? err : message_try(channel, at);
}
