/*
 * apus/resolve.h - names to addresses, and connecting to a name, without blocking the loop.
 *
 *   Units      nanoseconds; addresses.
 *   Errors     resolve: -ENOENT (no such name), -ENODATA (it has no address of that family),
 *              -EAGAIN (no name server answered, or all of config.offload_count requests are
 *              in use: later), -EINVAL (a text that is no name and no address), -ENOMEM,
 *              -EIO; and as apus/offload.h: -EBUSY, -EMSGSIZE, -ESTALE, -EPERM, -ENOTSUP.
 *              connect: these, -ETIME (the attempt took too long), and what connect(2) says,
 *              each of the last address that was tried.
 *   Ownership  an operation object lies in the state of the task that awaits it; of zeros it
 *              is idle.  A text is copied.  The socket of an attempt is the caller's.
 *   Threads    the loop's; the system's resolver runs on a helper of apus/offload.h.
 *   Order      addresses come as getaddrinfo(3) sorts them (RFC 6724), and are tried so.
 *   Cost       what getaddrinfo takes, elsewhere; numeric addresses are parsed at once, and
 *              need no helper.
 *
 * A text is what apus_address_parse takes, or has a name in the address' place:
 * "feed.example:7000", "localhost:http", "feed.example".
 *
 * Losing the wait, to a select or a timeout, drops only the wait: the operation goes on, and
 * evaluating it again answers it.  The system's resolver cannot be interrupted: one that was
 * given up keeps its helper until it returns, and a loop that closes waits config.close_wait_ns
 * for it, as for any offloaded function.  When a task ends, its resolving is given up; what it
 * has to close is the socket.
 *
 * Example, five seconds for all of it, one for each address:
 *
 *	#include <apus/resolve.h>
 *	#include <apus/task.h>
 *
 *	struct client {
 *		struct apus_frame frame;
 *		struct apus_connect connect;
 *		struct apus_tcp tcp;
 *		apus_poll err;
 *	};
 *
 *	static void client_close(struct apus_cx *cx, struct client *self)
 *	{
 *		apus_tcp_close(cx->loop, self->tcp);
 *	}
 *
 *	APUS_TASK(client, struct client, client_close)
 *	{
 *		APUS_BEGIN(cx, self);
 *		APUS_AWAIT(self->err, apus_timeout(cx, 5 * APUS_SEC, apus_tcp_connect_name(cx,
 *			&self->connect, "localhost:7000", APUS_SEC, &self->tcp)));
 *		APUS_END(self->err);
 *	}
 */
#ifndef APUS_RESOLVE_H
#define APUS_RESOLVE_H

#include "apus/net.h"
#include "apus/op.h"

enum {
	APUS_RESOLVE_MAX = 16,      /* addresses of a name; more are left out */
	APUS_RESOLVE_TEXT_BYTES = 288 /* of a text, its end included */
};

/* Resolving; of zeros it is idle. */
struct apus_resolve {
	struct apus_op op;
	int said; /* out: what getaddrinfo answered, for gai_strerror(3); 0: it was not asked */
};

/* Connecting to a name; of zeros it is idle. */
struct apus_connect {
	struct apus_resolve resolve; /* its `said` is the caller's to read; the rest is private */
	int64_t until_ns; /* of the attempt under way */
	uint32_t next;    /* the address to try */
	bool is_connecting;
};

APUS_BEGIN_DECLS

/*
 * Awaits the addresses of a name: how many were written, from 1 to count.  family: AF_INET,
 * AF_INET6, or 0 for both; a "unix:" text is AF_UNIX.  Evaluated with another text while one
 * is in flight, it answers -EBUSY.
 */
APUS_API apus_poll apus_resolve(struct apus_cx *cx, struct apus_resolve *resolve,
	const char *text, int family, struct apus_address *addresses, uint32_t count);

/* Gives it up without waiting; the object is idle again. */
APUS_API void apus_resolve_drop(struct apus_cx *cx, struct apus_resolve *resolve);

/*
 * Resolves, and tries the addresses in turn, each for attempt_ns at most (APUS_NEVER: as long
 * as the system does): 0 and *out, or what the last attempt answered.  text and out are the
 * same each time it is evaluated until it is ready.  Meanwhile *out is the socket of the
 * attempt under way: a cleanup that closes it has nothing else to do.
 */
APUS_API apus_poll apus_tcp_connect_name(struct apus_cx *cx, struct apus_connect *connect,
	const char *text, int64_t attempt_ns, struct apus_tcp *out);

/* Gives it up and closes the socket of the attempt under way; both are as new. */
APUS_API void apus_tcp_connect_drop(struct apus_cx *cx, struct apus_connect *connect,
	struct apus_tcp *out);

APUS_END_DECLS

#endif
