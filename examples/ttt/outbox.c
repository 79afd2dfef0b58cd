/* outbox.c - a connection's bytes, in order, now or when the socket takes them. */
#include "outbox.h"

static void keep(struct outbox *outbox, const uint8_t *bytes, size_t size)
{
	if (OUTBOX_BYTES - outbox->end < size) {
		memmove(outbox->bytes, outbox->bytes + outbox->begin, outbox->end - outbox->begin);
		outbox->end -= outbox->begin;
		outbox->begin = 0;
	}
	memcpy(outbox->bytes + outbox->end, bytes, size);
	outbox->end += (uint32_t)size;
}

int outbox_send(struct apus_loop *loop, struct outbox *outbox, const uint8_t *bytes, size_t size)
{
	int64_t sent = 0;

	if (outbox_room(outbox) < size)
		return -ENOBUFS;
	if (outbox->begin == outbox->end) {
		sent = apus_tcp_try_write(loop, outbox->tcp, bytes, size);
		if (apus_likely(sent == (int64_t)size))
			return 0;
		if (sent < 0 && sent != -EAGAIN)
			return (int)sent;
		sent = sent < 0 ? 0 : sent;
	}
	keep(outbox, bytes + sent, size - (size_t)sent);
	apus_notify_one(&outbox->more);
	return 0;
}

struct writer {
	struct apus_frame frame;
	struct outbox *outbox;
	apus_poll sent;
};

APUS_TASK(writer, struct writer)
{
	struct outbox *outbox = self->outbox;

	APUS_BEGIN(cx, self);
	for (;;) {
		while (outbox->begin < outbox->end) {
			APUS_TRY(self->sent, apus_tcp_write(cx, outbox->tcp,
				outbox->bytes + outbox->begin, outbox->end - outbox->begin));
			outbox->begin += (uint32_t)self->sent;
		}
		outbox->begin = outbox->end = 0;
		APUS_WAIT(apus_notified(cx, &outbox->more));
	}
	APUS_END(0);
}

int outbox_start(struct outbox *outbox, struct apus_set *set)
{
	return apus_set_spawn(set, writer, &(struct writer){.outbox = outbox});
}
