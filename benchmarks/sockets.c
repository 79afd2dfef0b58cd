/*
 * sockets.c - connected pairs on loopback.
 */
#define _GNU_SOURCE
#include "bench_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* So many descriptors, and some for whoever else is here. */
static int raise_limit(struct bench *b, uint32_t count)
{
	rlim_t want = (rlim_t)count + 64;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -1;
	if (limit.rlim_cur >= want)
		return 0;
	limit.rlim_cur = want;
	if (limit.rlim_max < want)
		limit.rlim_max = want;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	bench_skip(b, "RLIMIT_NOFILE cannot be raised to %llu: %s", (unsigned long long)want,
		strerror(errno));
	return -1;
}

static int loopback(int type, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof *address;

	memset(address, 0, sizeof *address);
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof *address) == 0 &&
	    getsockname(fd, (struct sockaddr *)address, &length) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* On loopback a connect is through before accept is asked. */
static int pair_open(int listener, const struct sockaddr_in *address, int *ours, int *theirs)
{
	*theirs = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*theirs < 0)
		return -1;
	if (connect(*theirs, (const struct sockaddr *)address, sizeof *address) != 0 &&
	    errno != EINPROGRESS)
		return -1;
	*ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (*ours < 0)
		return -1;
	no_delay(*ours);
	no_delay(*theirs);
	return 0;
}

static int pairs_open(struct bench *b, struct sockets *sockets, int listener,
	const struct sockaddr_in *address)
{
	for (uint32_t i = 0; i < sockets->count; i++) {
		if (pair_open(listener, address, &sockets->ours[i], &sockets->theirs[i]) == 0)
			continue;
		bench_skip(b, "connection %u of %u: %s", i, sockets->count, strerror(errno));
		return -1;
	}
	return 0;
}

static void sockets_init(struct sockets *sockets, uint32_t count)
{
	sockets->count = count;
	sockets->child = -1;
	sockets->child_pipe = -1;
	sockets->ours = malloc((count + 1) * sizeof *sockets->ours);
	sockets->theirs = malloc((count + 1) * sizeof *sockets->theirs);
	if (sockets->ours == NULL || sockets->theirs == NULL)
		abort();
	for (uint32_t i = 0; i < count; i++)
		sockets->ours[i] = sockets->theirs[i] = -1;
}

static int listener_open(struct bench *b, struct sockaddr_in *address)
{
	int listener = loopback(SOCK_STREAM, address);

	if (listener >= 0 && listen(listener, 128) == 0)
		return listener;
	bench_skip(b, "no listener on loopback: %s", strerror(errno));
	if (listener >= 0)
		close(listener);
	return -1;
}

int sockets_open(struct bench *b, struct sockets *sockets, uint32_t count)
{
	struct sockaddr_in address;
	int listener, err;

	sockets_init(sockets, count);
	if (raise_limit(b, 2 * count) != 0)
		return -1;
	listener = listener_open(b, &address);
	if (listener < 0)
		return -1;
	err = pairs_open(b, sockets, listener, &address);
	close(listener);
	return err;
}

/* ---- the other ends in a child ------------------------------------------------ */

#define FAR_BATCH 64

static void reset_at_close(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* Connects, no more than a batch ahead of who accepts; then sleeps until the pipe closes. */
static void far_child(const struct sockaddr_in *address, uint32_t count, int pipe_end)
{
	char word;

	for (uint32_t i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0)
			_exit(1);
		reset_at_close(fd);
		if (i % FAR_BATCH == FAR_BATCH - 1 && read(pipe_end, &word, 1) != 1)
			_exit(1);
	}
	while (read(pipe_end, &word, 1) > 0)
		;
	_exit(0);
}

static int far_start(struct sockets *sockets, const struct sockaddr_in *address)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	fflush(NULL);
	sockets->child = fork();
	if (sockets->child == 0) {
		close(ends[1]);
		far_child(address, sockets->count, ends[0]);
	}
	close(ends[0]);
	sockets->child_pipe = ends[1];
	return sockets->child > 0 ? 0 : -1;
}

/* A child that gave up must not leave us waiting. */
static int far_accept(struct sockets *sockets, int listener)
{
	struct pollfd comes = { .fd = listener, .events = POLLIN };

	for (uint32_t i = 0; i < sockets->count; i++) {
		if (poll(&comes, 1, 10000) != 1)
			return -1;
		sockets->ours[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (sockets->ours[i] < 0)
			return -1;
		no_delay(sockets->ours[i]);
		if (i % FAR_BATCH == FAR_BATCH - 1 &&
		    send(sockets->child_pipe, "+", 1, MSG_NOSIGNAL) != 1)
			return -1;
	}
	return 0;
}

int sockets_open_far(struct bench *b, struct sockets *sockets, uint32_t count)
{
	struct sockaddr_in address;
	int listener, err;

	sockets_init(sockets, count);
	if (raise_limit(b, count) != 0)
		return -1;
	listener = listener_open(b, &address);
	if (listener < 0)
		return -1;
	err = far_start(sockets, &address);
	if (err == 0)
		err = far_accept(sockets, listener);
	if (err != 0)
		bench_skip(b, "%u connections: %s", count, strerror(errno));
	close(listener);
	return err;
}

/* A reset instead of a farewell: ten thousand ports must not wait for a minute. */
static void reset(int fd)
{
	if (fd < 0)
		return;
	reset_at_close(fd);
	close(fd);
}

void sockets_close(struct sockets *sockets)
{
	for (uint32_t i = 0; i < sockets->count; i++) {
		reset(sockets->theirs[i]);
		reset(sockets->ours[i]);
	}
	if (sockets->child_pipe >= 0)
		close(sockets->child_pipe);
	if (sockets->child > 0)
		waitpid(sockets->child, NULL, 0);
	free(sockets->ours);
	free(sockets->theirs);
}

void sockets_forget(struct sockets *sockets)
{
	for (uint32_t i = 0; i < sockets->count; i++) {
		if (sockets->ours[i] >= 0)
			close(sockets->ours[i]);
		if (sockets->theirs[i] >= 0)
			close(sockets->theirs[i]);
		sockets->ours[i] = sockets->theirs[i] = -1;
	}
}

int udp_pair_open(struct bench *b, int pair[2])
{
	struct sockaddr_in address[2];

	pair[0] = loopback(SOCK_DGRAM, &address[0]);
	pair[1] = loopback(SOCK_DGRAM, &address[1]);
	if (pair[0] >= 0 && pair[1] >= 0 &&
	    connect(pair[0], (struct sockaddr *)&address[1], sizeof address[1]) == 0 &&
	    connect(pair[1], (struct sockaddr *)&address[0], sizeof address[0]) == 0)
		return 0;
	bench_skip(b, "no UDP pair on loopback: %s", strerror(errno));
	return -1;
}

int echo_pair_open(struct bench *b, struct echo_pair *pair)
{
	int ends[2];
	int err;

	if (b->arg == ECHO_UDP) {
		err = udp_pair_open(b, ends);
		pair->client = ends[0];
		pair->server = ends[1];
		return err;
	}
	err = sockets_open(b, &pair->tcp, 1);
	if (err != 0) {
		sockets_close(&pair->tcp);
		return err;
	}
	pair->client = pair->tcp.theirs[0];
	pair->server = pair->tcp.ours[0];
	return 0;
}

void echo_pair_close(struct bench *b, struct echo_pair *pair)
{
	if (b->arg == ECHO_TCP) {
		sockets_close(&pair->tcp);
		return;
	}
	close(pair->client);
	close(pair->server);
}
