/*
 * bench_sockets.h - connected pairs on loopback, alike for every entrant.
 */
#ifndef BENCH_SOCKETS_H
#define BENCH_SOCKETS_H

#include "bench.h"

#include <sys/types.h>

#define SOCKETS_IDLE 1000
#define ECHO_BYTES 64

/* ours[i] is connected to theirs[i]; all are non-blocking, TCP without Nagle's delay. */
struct sockets {
	int *ours;
	int *theirs;            /* -1 where a child holds that end */
	uint32_t count;
	pid_t child;
	int child_pipe;         /* closing it ends the child */
};

/* 0, or negative after a bench_skip that says what was refused.  close is needed anyhow. */
int sockets_open(struct bench *b, struct sockets *sockets, uint32_t count);

/*
 * The same with the other ends in a sleeping child, so that ten thousand connections are
 * ten thousand descriptors here, not twice as many.
 */
int sockets_open_far(struct bench *b, struct sockets *sockets, uint32_t count);
void sockets_close(struct sockets *sockets);

/* Closes the descriptors without a reset: a loop has duplicates, and will close those. */
void sockets_forget(struct sockets *sockets);

/* One pair of UDP sockets, each connected to the other. */
int udp_pair_open(struct bench *b, int pair[2]);

/* A peer's two ends of an echo, over TCP or UDP as the entrant's arg says. */
struct echo_pair {
	struct sockets tcp;
	int client;
	int server;
};

enum { ECHO_TCP, ECHO_UDP };

/* As sockets_open, but for close: it is needed only where open gave 0. */
int echo_pair_open(struct bench *b, struct echo_pair *pair);
void echo_pair_close(struct bench *b, struct echo_pair *pair);

/* Peers wait by the kernel's poll.  They stand beside hot too, for those who choose. */
#define NET_PEER(who_, run_)                                                           \
	BENCH_ENTRANT(tcp_hot, .row = "net/tcp_echo/hot", .who = who_, .run = run_,    \
		.arg = ECHO_TCP);                                                      \
	BENCH_ENTRANT(tcp_epoll, .row = "net/tcp_echo/epoll", .who = who_,             \
		.run = run_, .arg = ECHO_TCP);                                         \
	BENCH_ENTRANT(udp_hot, .row = "net/udp_echo/hot", .who = who_, .run = run_,    \
		.arg = ECHO_UDP);                                                      \
	BENCH_ENTRANT(udp_epoll, .row = "net/udp_echo/epoll", .who = who_,             \
		.run = run_, .arg = ECHO_UDP)

#endif
