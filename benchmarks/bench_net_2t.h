/*
 * bench_net_2t.h - a client that spins on its sockets by hand, the same for every entrant,
 * and a server on another processor, which is what the entrants differ in.
 */
#ifndef BENCH_NET_2T_H
#define BENCH_NET_2T_H

#include "bench_sockets.h"

struct echo_2t {
	struct bench *b;
	int server;        /* the end to be served; its end of file is the end */
	const char *failed; /* by the server: what it could not do */
};

/* Runs serve(struct echo_2t *) on another processor and measures from this one. */
void echo_2t(struct bench *b, void *(*serve)(void *arg));

#endif
