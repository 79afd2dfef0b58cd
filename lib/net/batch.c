#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "net/datagram.h"

enum { PACKETS_MAX = 1024 }; /* more than the kernel takes in one call */

static size_t align_up(size_t bytes)
{
	return (bytes + APUS_CACHE_LINE - 1) & ~(size_t)(APUS_CACHE_LINE - 1);
}

/* ---- memory -------------------------------------------------------------------- */

static struct apusi_control *control_at(const struct apus_batch *batch, uint32_t i)
{
	return (struct apusi_control *)(void *)batch->controls + i;
}

/* What the kernel or a send has changed. */
static void packet_reset(struct apus_batch *batch, uint32_t i)
{
	struct apus_packet *packet = &batch->packets[i];
	struct msghdr *header = &batch->headers[i].msg_hdr;

	packet->data = batch->buffers + i * align_up(batch->packet_bytes);
	batch->parts[i] = (struct iovec){ packet->data, batch->packet_bytes };
	header->msg_name = &packet->address.storage;
	header->msg_namelen = sizeof packet->address.storage;
	header->msg_control = control_at(batch, i);
	header->msg_controllen = sizeof(struct apusi_control);
}

static void batch_lay_out(struct apus_batch *batch)
{
	uint32_t i;

	for (i = 0; i < batch->packet_count; i++) {
		batch->headers[i].msg_hdr.msg_iov = &batch->parts[i];
		batch->headers[i].msg_hdr.msg_iovlen = 1;
		packet_reset(batch, i);
	}
}

int apus_batch_init(struct apus_batch *batch, uint32_t packet_count, uint32_t packet_bytes)
{
	memset(batch, 0, sizeof *batch);
	if (packet_count == 0 || packet_count > PACKETS_MAX || packet_bytes == 0)
		return -EINVAL;
	batch->packet_count = packet_count;
	batch->packet_bytes = packet_bytes;
	batch->packets = calloc(packet_count, sizeof *batch->packets);
	batch->headers = calloc(packet_count, sizeof *batch->headers);
	batch->parts = calloc(packet_count, sizeof *batch->parts);
	batch->controls = calloc(packet_count, sizeof(struct apusi_control));
	batch->buffers = aligned_alloc(APUS_CACHE_LINE, packet_count * align_up(packet_bytes));
	if (batch->packets == NULL || batch->headers == NULL || batch->parts == NULL ||
		batch->controls == NULL || batch->buffers == NULL) {
		apus_batch_deinit(batch);
		return -ENOMEM;
	}
	memset(batch->buffers, 0, packet_count * align_up(packet_bytes));
	batch_lay_out(batch);
	return 0;
}

void apus_batch_deinit(struct apus_batch *batch)
{
	free(batch->packets);
	free(batch->headers);
	free(batch->parts);
	free(batch->controls);
	free(batch->buffers);
	memset(batch, 0, sizeof *batch);
}

/* ---- receiving --------------------------------------------------------------------- */

static int64_t recv_call(const struct apusi_slot *slot, struct apus_batch *batch)
{
	int got;

	do
		got = apusi_os_recv_many(slot->fd, batch->headers, batch->packet_count);
	while (got < 0 && errno == EINTR);
	return got >= 0 ? got : -errno;
}

static void packets_reset(struct apus_batch *batch)
{
	uint32_t i;

	for (i = 0; i < batch->used_count; i++)
		packet_reset(batch, i);
	batch->used_count = 0;
}

/* What the backend holds, as far as there is room; what stands behind it is told by the next. */
static int64_t recv_fed(const struct apus_cx *cx, struct apusi_slot *slot, struct apus_batch *batch)
{
	const struct apusi_backend *backend = cx->io->backend;
	struct msghdr *message;
	uint32_t i;
	int64_t got;

	packets_reset(batch);
	for (i = 0; i < batch->packet_count && (i == 0 || backend->has(slot)); i++) {
		message = &batch->headers[i].msg_hdr;
		got = backend->read_datagram(cx->io, slot, message);
		if (got < 0)
			return got; /* the first: nothing is held */
		apusi_packet_fill(&batch->packets[i], message, (size_t)got, batch->parts[i].iov_len);
	}
	batch->used_count = i;
	return i;
}

/*
 * Fewer than there was room for: the queue is empty, which saves the call that would say so.
 * An error that ended the batch is kept by the kernel, with its event.
 */
static int64_t recv_socket(const struct apus_cx *cx, struct apusi_slot *slot,
	struct apus_batch *batch)
{
	int64_t i, got;

	if (!apusi_slot_try_read(cx, slot))
		return -EAGAIN;
	packets_reset(batch);
	got = recv_call(slot, batch);
	batch->used_count = got > 0 ? (uint32_t)got : 0;
	for (i = 0; i < got; i++)
		apusi_packet_fill(&batch->packets[i], &batch->headers[i].msg_hdr,
			batch->headers[i].msg_len, batch->packet_bytes);
	if (got == -EAGAIN)
		apusi_slot_drained(cx, slot);
	else if (got > 0 && got < batch->packet_count)
		apusi_slot_emptied(cx, slot);
	return got;
}

static int64_t recv_now(const struct apus_cx *cx, struct apusi_slot *slot, struct apus_batch *batch)
{
	int64_t got;

	apusi_datagram_expect(cx, slot, batch->packet_bytes);
	if (slot->flags & APUSI_FED) {
		got = recv_fed(cx, slot, batch);
		if (apusi_slot_is_fed(slot, got))
			return got;
	}
	return recv_socket(cx, slot, batch);
}

apus_poll apus_udp_recv_batch(struct apus_cx *cx, struct apus_udp udp, struct apus_batch *batch)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, udp.token);
	int64_t got;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, udp.token, false);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->reader)))
		return -EBUSY;
	got = recv_now(cx, slot, batch);
	return got != -EAGAIN ? got : apusi_slot_pend_read(cx, slot);
}

/* ---- sending ------------------------------------------------------------------------- */

static void packet_aim(struct apus_batch *batch, uint32_t i)
{
	struct apus_packet *packet = &batch->packets[i];
	struct msghdr *header = &batch->headers[i].msg_hdr;

	batch->parts[i] = (struct iovec){ packet->data, packet->bytes };
	header->msg_name = packet->address.bytes != 0 ? &packet->address.storage : NULL;
	header->msg_namelen = packet->address.bytes;
	header->msg_control = NULL;
	header->msg_controllen = 0;
}

static int64_t send_call(const struct apusi_slot *slot, struct mmsghdr *headers, uint32_t count)
{
	int put;

	do
		put = apusi_os_send_many(slot->fd, headers, count);
	while (put < 0 && errno == EINTR);
	return put >= 0 ? put : -errno;
}

/* As sendmmsg(2): an error ends the batch, and is told only if it is the first. */
static APUS_COLD int64_t send_refused(const struct apusi_slot *slot, struct apus_batch *batch,
	uint32_t first, uint32_t count)
{
	int64_t put = -EAGAIN;
	uint32_t i;

	if (!apusi_is_sim(slot))
		return -EAGAIN;
	if (batch->used_count < first + count)
		batch->used_count = first + count;
	for (i = 0; i < count; i++) {
		const struct apus_packet *packet = &batch->packets[first + i];
		const struct apus_address *to = &packet->address;

		put = apusi_sim_send(slot, packet->data, packet->bytes,
			to->bytes != 0 ? &to->any : NULL, to->bytes);
		if (put < 0)
			break;
	}
	return i > 0 ? i : put;
}

static int64_t send_now(const struct apus_cx *cx, struct apusi_slot *slot,
	struct apus_batch *batch, uint32_t first, uint32_t count)
{
	int64_t put;
	uint32_t i;

	if (!apusi_slot_try_write(cx, slot))
		return send_refused(slot, batch, first, count);
	for (i = first; i < first + count; i++)
		packet_aim(batch, i);
	if (batch->used_count < first + count)
		batch->used_count = first + count;
	put = send_call(slot, batch->headers + first, count);
	if (put == -EAGAIN && !apusi_unix_is_full(slot, &batch->packets[first].address))
		apusi_slot_filled(cx, slot);
	return put;
}

apus_poll apus_udp_send_batch(struct apus_cx *cx, struct apus_udp udp, struct apus_batch *batch,
	uint32_t first, uint32_t count)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, udp.token);
	int64_t put;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, udp.token, true);
	if (count == 0 || first >= batch->packet_count || count > batch->packet_count - first)
		return -EINVAL;
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	put = send_now(cx, slot, batch, first, count);
	if (put != -EAGAIN || apusi_unix_is_full(slot, &batch->packets[first].address))
		return put;
	return apusi_slot_pend_write(cx, slot);
}
