/*
 * outbox.h - bytes for a TCP connection: they leave at once where the socket takes them,
 * and by a task of their own where it does not.
 *
 *   Units      bytes.
 *   Errors     send: 0; -ENOBUFS: no room, nothing was taken; what the connection says.
 *   Ownership  the outbox holds what has not left yet.
 *   Threads    the loop's.
 *   Order      what was sent first leaves first.
 *   Cost       one system call; no malloc.
 */
#ifndef TTT_OUTBOX_H
#define TTT_OUTBOX_H

#include <apus/net.h>
#include <apus/sync.h>
#include <apus/task.h>

#define OUTBOX_BYTES 65536

struct outbox {
	struct apus_tcp tcp;
	struct apus_notify more;    /* something waits to leave */
	uint32_t begin, end;
	uint8_t bytes[OUTBOX_BYTES];
};

/* What can be sent without being refused. */
static inline size_t outbox_room(const struct outbox *outbox)
{
	return OUTBOX_BYTES - (outbox->end - outbox->begin);
}

int outbox_send(struct apus_loop *loop, struct outbox *outbox, const uint8_t *bytes, size_t size);

/* Starts the task that sends the rest; it ends with the connection's error. */
int outbox_start(struct outbox *outbox, struct apus_set *set);

#endif
