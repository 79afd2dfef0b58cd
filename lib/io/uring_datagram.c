#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "io/control.h"
#include "io/uring.h"

/*
 * A datagram lies in a segment behind what is told of it: lengths and flags, then a fixed room
 * for whom it is from and one for its control messages, filled as far as the lengths say.
 *
 * A segment cuts off what is longer, and the rest is lost.  So only a socket is fed of which
 * every call asks for less (APUSI_BRIEF): what the segment cuts off, the caller's buffer would
 * have too.  The true length is told in any case.
 *
 * The kernel's habits: a datagram of nothing ends the request, which brings it nevertheless.
 * The queue of errors is no event to a request that receives.
 */

struct head {
	struct io_uring_recvmsg_out out;
	_Alignas(struct cmsghdr) unsigned char name[sizeof(struct sockaddr_in6)];
	struct apusi_control control;
};

enum { NAME_BYTES = offsetof(struct head, control) - offsetof(struct head, name) };

/* The kernel leaves no gaps. */
_Static_assert(offsetof(struct head, name) == sizeof(struct io_uring_recvmsg_out), "no gap");
_Static_assert(sizeof(struct head) == offsetof(struct head, control) + sizeof(struct apusi_control),
	"no gap");

void apusi_uring_datagram_open(struct apus_io *io)
{
	uint32_t bytes = io->segments.segment_bytes;

	apusi_uring_of(io)->datagram = (struct msghdr){
		.msg_namelen = NAME_BYTES,
		.msg_controllen = sizeof(struct apusi_control),
	};
	io->datagram_bytes = bytes > sizeof(struct head) ? bytes - (uint32_t)sizeof(struct head) : 0;
}

/* The kernel reads the message when the request is submitted. */
void apusi_uring_datagram_prep(struct apus_io *io, struct io_uring_sqe *sqe, int fd)
{
	io_uring_prep_recvmsg_multishot(sqe, fd, &apusi_uring_of(io)->datagram, MSG_TRUNC);
}

/* ---- reading ----------------------------------------------------------------------------- */

static size_t copy(void *to, size_t room, const void *from, size_t bytes)
{
	if (bytes > room)
		bytes = room;
	if (bytes != 0)
		memcpy(to, from, bytes);
	return bytes;
}

/* As recvmsg(2) would have; the part's length is what came. */
static int64_t unpack(const struct head *head, size_t bytes, struct msghdr *message)
{
	struct iovec *part = message->msg_iov;
	uint32_t name_bytes = head->out.namelen;

	if (apus_unlikely(name_bytes > NAME_BYTES))
		name_bytes = NAME_BYTES; /* the true length, of what did not fit */
	message->msg_namelen = (socklen_t)copy(message->msg_name, message->msg_namelen, head->name,
		name_bytes);
	message->msg_controllen = copy(message->msg_control, message->msg_controllen,
		&head->control, head->out.controllen);
	part->iov_len = copy(part->iov_base, part->iov_len, head + 1, bytes - sizeof *head);
	return head->out.payloadlen;
}

int64_t apusi_uring_read_datagram(struct apus_io *io, struct apusi_slot *slot,
	struct msghdr *message)
{
	struct apusi_uring_slot *own = apusi_uring_slot_of(slot);
	uint32_t first;
	int64_t got;

	if (own->count == 0)
		return apusi_uring_nothing_held(slot, own);
	first = apusi_uring_held_first(io, own);
	got = unpack((const void *)apusi_segment_at(&io->segments, first),
		io->segments.all[first].bytes, message);
	apusi_uring_held_free(io, own);
	return got;
}
