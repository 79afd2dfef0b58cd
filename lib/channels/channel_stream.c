#include "apus/channel_stream.h"
#include "channels/ends.h"

/* Asked by an end of its own side: its index is its own. */
static bool room_is_ready(const void *object, uint64_t need)
{
	const struct apus_ends *ends = object;

	(void)need;
	return ends->send.at - apus_load_acquire(&ends->recv.at) < ends->gate.capacity ||
	       apus_load_acquire(&ends->gate.closed) != 0;
}

static bool message_is_ready(const void *object, uint64_t need)
{
	const struct apus_ends *ends = object;

	(void)need;
	return apus_load_acquire(&ends->send.at) != ends->recv.at ||
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

int apus_stream_setup(struct apus_stream *channel, uint64_t slots_at, uint64_t slot_bytes,
	uint64_t capacity, uint64_t first)
{
	struct apus_ends *ends = &channel->ends;
	int err = apus_ends_init(ends, slots_at, slot_bytes, capacity);

	if (err)
		return err;
	ends->send.at = ends->recv.at = first;
	ends->send.seen = ends->recv.seen = first;
	return 0;
}

apus_poll apus_stream_room_wait(struct apus_cx *cx, struct apus_stream *channel)
{
	const struct apusi_side side = apusi_send_side(&channel->ends);

	return apusi_side_pend(cx, &side, &room_kind, &channel->ends);
}

apus_poll apus_stream_message_wait(struct apus_cx *cx, struct apus_stream *channel)
{
	const struct apusi_side side = apusi_recv_side(&channel->ends);

	return apusi_side_pend(cx, &side, &message_kind, &channel->ends);
}

int apus_stream_room_block(struct apus_stream *channel, int64_t timeout_ns)
{
	const struct apusi_side side = apusi_send_side(&channel->ends);
	uint64_t capacity = channel->ends.gate.capacity;
	int err = apus_stream_room(channel, capacity);

	if (err == -EAGAIN)
		err = apusi_side_block(&side, room_is_ready, &channel->ends, 1, timeout_ns);
	return err ? err : apus_stream_room(channel, capacity);
}

int apus_stream_message_block(struct apus_stream *channel, int64_t timeout_ns)
{
	const struct apusi_side side = apusi_recv_side(&channel->ends);
	int err = apus_stream_message(channel);

	if (err == -EAGAIN)
		err = apusi_side_block(&side, message_is_ready, &channel->ends, 1, timeout_ns);
	return err ? err : apus_stream_message(channel);
}
