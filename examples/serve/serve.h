/*
 * serve.h - what the servers among the examples share: options, a listener, a graceful end.
 *
 * A server says how a session is started on a connection that was accepted; the rest is here.
 * SIGINT or SIGTERM cancels the loop's root token: the listener leaves at once, sessions end
 * when they have answered what they were asked, and the program leaves with 0.
 */
#ifndef SERVE_H
#define SERVE_H

#include <apus.h>

struct serve {
	const char *name;
	uint16_t port;          /* 0: any that is free; --port says otherwise */
	size_t state_bytes;     /* of a session */
	uint32_t session_count; /* at once; --sessions */
	struct apus_world *world; /* of the loop, or NULL */
	/* On failure the connection is closed by the caller. */
	int (*start)(struct apus_loop *loop, struct apus_tcp conn);
	/* Before the listener opens, or NULL: what else runs on this loop.  0 or -errno. */
	int (*begin)(struct apus_loop *loop);
	/* The last line before the program ends, or NULL. */
	void (*report)(const struct apus_counters *counters);
};

/*
 * --port N, --backend NAME, --cpu N, --sessions N; prints "NAME on ADDRESS" once it listens,
 * on the address that it got.  The program's exit status.
 */
int serve_main(const struct serve *serve, int argc, char **argv);

/* Awaits a read, or that the program ends: the bytes, 0: no more will come, or -errno. */
apus_poll serve_read(struct apus_cx *cx, struct apus_tcp conn, int64_t silence_ns, void *data,
	size_t bytes);

#endif
