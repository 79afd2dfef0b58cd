#include <string.h>

#include "apus/channel_local.h"

int apus_channel_setup(struct apus_channel *channel, uint64_t capacity, uint64_t slot_count)
{
	if (capacity == 0 || capacity > slot_count || slot_count > APUS_CHANNEL_CAPACITY_MAX ||
	    (slot_count & (slot_count - 1)) != 0)
		return -EINVAL;
	memset(channel, 0, sizeof *channel);
	channel->capacity = (uint32_t)capacity;
	channel->mask = (uint32_t)(slot_count - 1);
	channel->send_limit = channel->capacity;
	return 0;
}

/* Sending is plain unless it is closed, somebody queues for it or waits for a message. */
static void send_limit_set(struct apus_channel *channel)
{
	bool plain = (channel->flags & (APUS_CHANNEL_SEND_CLOSED | APUS_CHANNEL_AWAITED)) == 0 &&
		     !apus_waitq_is_busy(&channel->senders);

	channel->send_limit = plain ? channel->capacity : 0;
}

/* Receiving is plain unless it is closed or frees a slot that a sender waits for. */
static void recv_floor_set(struct apus_channel *channel)
{
	bool plain = (channel->flags & APUS_CHANNEL_RECV_CLOSED) == 0 &&
		     channel->senders.waiting == NULL;

	channel->recv_floor = plain ? 0 : UINT64_MAX;
}

/* ---- sending ------------------------------------------------------------- */

/*
 * The caller is about to fill a slot.  The receiver is woken now already: it does not run
 * before the caller has done so.
 */
static void message_comes(struct apus_channel *channel)
{
	if (channel->flags & APUS_CHANNEL_AWAITED) {
		channel->flags &= ~(uint32_t)APUS_CHANNEL_AWAITED;
		apus_waitq_wake(&channel->receiver);
	}
	send_limit_set(channel);
}

int apus_channel_room_slow(struct apus_channel *channel)
{
	APUS_ASSERT(channel->capacity != 0);
	if (channel->flags & APUS_CHANNEL_SEND_CLOSED)
		return -EPIPE;
	if (apus_waitq_is_busy(&channel->senders) ||
	    apus_channel_used(channel) >= channel->capacity)
		return -EAGAIN;
	message_comes(channel);
	return 0;
}

/*
 * The caller has taken its grant and is about to fill the slot.  Who came while a grant was
 * out queues without one, although there may be more free slots than grants: the last to
 * take its grant hands on what is left.  Otherwise the next may be waiting to be first.
 */
static void grants_go_on(struct apus_channel *channel)
{
	struct apus_waitq *senders = &channel->senders;
	uint32_t room = channel->capacity - apus_channel_used(channel) - 1;

	/* A grant is a free slot that nobody else may have filled. */
	APUS_ASSERT(apus_channel_used(channel) < channel->capacity);
	if (senders->head != senders->waiting) {
		apus_waitq_wake(senders);
		return;
	}
	while (room != 0 && apus_waitq_grant(senders))
		room--;
	recv_floor_set(channel);
}

/*
 * Takes the running task's grant, if it is the first: several may be out, and tasks run in
 * another order when one is urgent, or was ready already.  Messages keep the queue's order.
 */
static bool grant_take(struct apus_cx *cx, struct apus_channel *channel)
{
	const struct apus_wait *first = channel->senders.head;

	if ((channel->flags & APUS_CHANNEL_SEND_CLOSED) || first == NULL || first->task != cx->task)
		return false;
	if (!apus_wait_take(cx, &channel->senders))
		return false;
	grants_go_on(channel);
	return true;
}

apus_poll apus_channel_room_wait(struct apus_cx *cx, struct apus_channel *channel)
{
	apus_poll answer;
	int err;

	if (grant_take(cx, channel)) {
		message_comes(channel);
		return 0;
	}
	err = apus_channel_room_slow(channel);
	if (err != -EAGAIN)
		return err;
	answer = apus_wait_pend(cx, &channel->senders);
	send_limit_set(channel);
	recv_floor_set(channel);
	return answer;
}

/* ---- receiving ------------------------------------------------------------- */

/* How receiving is refused, or 0. */
static int message_refused(const struct apus_channel *channel)
{
	APUS_ASSERT(channel->capacity != 0);
	if (channel->flags & APUS_CHANNEL_RECV_CLOSED)
		return -EPIPE;
	if (apus_channel_used(channel) != 0)
		return 0;
	return channel->flags & APUS_CHANNEL_SEND_CLOSED ? -EPIPE : -EAGAIN;
}

int apus_channel_message_slow(struct apus_channel *channel)
{
	int err = message_refused(channel);

	if (err)
		return err;
	apus_waitq_grant(&channel->senders); /* the slot that the caller is about to empty */
	recv_floor_set(channel);
	return 0;
}

apus_poll apus_channel_message_wait(struct apus_cx *cx, struct apus_channel *channel)
{
	int err = apus_channel_message_slow(channel);
	struct apus_wait *first = channel->receiver.head;
	apus_poll answer;

	if (err != -EAGAIN)
		return err;
	if (first != NULL && first->task != cx->task)
		return -EBUSY;
	answer = apus_wait_pend(cx, &channel->receiver);
	if (answer == APUS_PENDING) {
		channel->flags |= APUS_CHANNEL_AWAITED;
		channel->send_limit = 0;
	}
	return answer;
}

/* ---- many at once ------------------------------------------------------------ */

/* Messages from `at` that lie in one piece. */
static size_t piece_count(const struct apus_channel *channel, uint64_t at, size_t count)
{
	size_t piece = (size_t)channel->mask + 1 - (at & channel->mask);

	return count < piece ? count : piece;
}

int64_t apus_channel_send_batch(struct apus_channel *channel, void *slots, const void *from,
	size_t message_bytes, size_t count)
{
	size_t room, first;
	uint64_t at = channel->tail;
	int err;

	if (count == 0)
		return -EINVAL;
	err = apus_channel_room_try(channel);
	if (err)
		return err;
	room = channel->capacity - apus_channel_used(channel);
	if (count > room)
		count = room;
	first = piece_count(channel, at, count);
	memcpy((char *)slots + (at & channel->mask) * message_bytes, from, first * message_bytes);
	memcpy(slots, (const char *)from + first * message_bytes,
		(count - first) * message_bytes);
	channel->tail = at + count;
	return (int64_t)count;
}

int64_t apus_channel_recv_batch(struct apus_channel *channel, const void *slots, void *out,
	size_t message_bytes, size_t count)
{
	uint64_t at = channel->head;
	size_t first, granted;
	int err = message_refused(channel);

	if (err || count == 0)
		return count == 0 ? -EINVAL : err;
	if (count > apus_channel_used(channel))
		count = apus_channel_used(channel);
	first = piece_count(channel, at, count);
	memcpy(out, (const char *)slots + (at & channel->mask) * message_bytes,
		first * message_bytes);
	memcpy((char *)out + first * message_bytes, slots, (count - first) * message_bytes);
	channel->head = at + count;
	for (granted = 0; granted < count && apus_waitq_grant(&channel->senders); granted++)
		;
	recv_floor_set(channel);
	return (int64_t)count;
}

/* ---- ending --------------------------------------------------------------------- */

void apus_channel_close_send(struct apus_channel *channel)
{
	channel->flags |= APUS_CHANNEL_SEND_CLOSED;
	channel->send_limit = 0;
	apus_waitq_wake_all(&channel->senders);
	apus_waitq_wake_all(&channel->receiver);
}

void apus_channel_close_recv(struct apus_channel *channel)
{
	channel->flags |= APUS_CHANNEL_RECV_CLOSED;
	channel->recv_floor = UINT64_MAX;
	apus_channel_close_send(channel);
}

int apus_channel_sender_add(struct apus_channel *channel)
{
	if (channel->flags & APUS_CHANNEL_SEND_CLOSED)
		return -EPIPE;
	APUS_ASSERT(channel->capacity != 0 && channel->sender_count != UINT32_MAX);
	channel->sender_count++;
	return 0;
}

/* After deinit nobody is counted any more. */
void apus_channel_sender_remove(struct apus_channel *channel)
{
	if (channel->sender_count != 0 && --channel->sender_count == 0)
		apus_channel_close_send(channel);
}

void apus_channel_unlink(struct apus_channel *channel)
{
	channel->flags = APUS_CHANNEL_SEND_CLOSED | APUS_CHANNEL_RECV_CLOSED;
	channel->send_limit = 0;
	channel->recv_floor = UINT64_MAX;
	channel->sender_count = 0;
	apus_waitq_deinit(&channel->senders);
	apus_waitq_deinit(&channel->receiver);
}
