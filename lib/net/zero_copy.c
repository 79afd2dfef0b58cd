#define _GNU_SOURCE
#include "io/native.h"
#include "net/socket.h"

static bool send_native(struct apus_cx *cx, const struct apusi_slot *slot, struct apus_op *op,
	const struct apusi_call *call, int *err)
{
	const struct apusi_native native = {
		.opcode = APUSI_NATIVE_SEND_ZC,
		.fd = slot->fd,
		.data = call->data,
		.bytes = (uint32_t)call->bytes,
		.flags = MSG_NOSIGNAL,
		.lent = call->data,
	};
	uint32_t least = cx->io->config.uring.zero_copy_bytes;

	if (least == 0 || call->bytes < least)
		return false;
	*err = apusi_native_begin(cx, op, call, &native);
	return *err == 0;
}

/* Where it cannot be lent it is copied, which is no less correct. */
static apus_poll send_begin(struct apus_cx *cx, struct apus_tcp tcp, struct apus_op *op,
	const struct apusi_call *call)
{
	struct apusi_slot *slot = apusi_slot_find(cx->io, tcp.token);
	bool answered;
	int err;

	if (apus_unlikely(slot == NULL))
		return apusi_slot_stale(cx, tcp.token, true);
	if (apus_unlikely(apusi_slot_is_taken(cx, &slot->writer)))
		return -EBUSY;
	if (send_native(cx, slot, op, call, &err))
		return apusi_op_look(cx, op, call, &answered);
	return apus_tcp_write(cx, tcp, call->data, call->bytes);
}

apus_poll apus_tcp_write_zero_copy(struct apus_cx *cx, struct apus_tcp tcp, struct apus_op *op,
	const void *data, size_t bytes)
{
	static const char verb;
	const struct apusi_call call = { &verb, tcp.token, data,
		bytes < INT32_MAX ? bytes : INT32_MAX, 0 };
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &call, &answered);

	if (answer == APUSI_OP_IDLE)
		return send_begin(cx, tcp, op, &call);
	if (answered)
		apusi_op_release(cx, op);
	return answer;
}
