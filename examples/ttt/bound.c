/* bound.c - a receive and a send, with no engine between them. */
#include "bound.h"

#include <apus/clock.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES_MAX = 2048, SOCKETS = 5 };

struct wires {
	int feed_out, feed_in;               /* UDP */
	int listener, order_out, order_in;   /* TCP */
};

static int bind_any(int fd, struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return bind(fd, (struct sockaddr *)address, size) != 0 ||
		getsockname(fd, (struct sockaddr *)address, &size) != 0 ? -errno : 0;
}

static int open_feed(struct wires *wires)
{
	struct sockaddr_in address;

	wires->feed_in = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	wires->feed_out = socket(AF_INET, SOCK_DGRAM, 0);
	if (wires->feed_in < 0 || wires->feed_out < 0 || bind_any(wires->feed_in, &address) != 0)
		return -errno;
	return connect(wires->feed_out, (struct sockaddr *)&address, sizeof(address)) != 0 ?
		-errno : 0;
}

static int open_orders(struct wires *wires)
{
	struct sockaddr_in address;
	int on = 1;

	wires->listener = socket(AF_INET, SOCK_STREAM, 0);
	wires->order_out = socket(AF_INET, SOCK_STREAM, 0);
	if (wires->listener < 0 || wires->order_out < 0 ||
	    bind_any(wires->listener, &address) != 0 || listen(wires->listener, 1) != 0 ||
	    connect(wires->order_out, (struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	wires->order_in = accept(wires->listener, NULL, NULL);
	if (wires->order_in < 0 || setsockopt(wires->order_out, IPPROTO_TCP, TCP_NODELAY, &on,
		sizeof(on)) != 0)
		return -errno;
	return 0;
}

static void close_all(const struct wires *wires)
{
	const int fds[SOCKETS] = {wires->feed_out, wires->feed_in, wires->listener,
		wires->order_out, wires->order_in};

	for (int at = 0; at < SOCKETS; at++)
		if (fds[at] >= 0)
			close(fds[at]);
}

/* The packet is in the socket when send returns, so the receive spins once, as a rule. */
static int one_round(const struct wires *wires, struct apus_clock *clock, size_t packet_bytes,
	size_t order_bytes, int64_t *latency_ns)
{
	uint8_t bytes[BYTES_MAX] = {0};
	int64_t before_ns;

	if (send(wires->feed_out, bytes, packet_bytes, 0) != (ssize_t)packet_bytes)
		return -EIO;
	do
		before_ns = apus_clock_read(clock);
	while (recv(wires->feed_in, bytes, sizeof(bytes), 0) < 0 && errno == EAGAIN);
	if (send(wires->order_out, bytes, order_bytes, MSG_NOSIGNAL) != (ssize_t)order_bytes)
		return -EIO;
	*latency_ns = apus_clock_read(clock) - before_ns;
	return recv(wires->order_in, bytes, order_bytes, MSG_WAITALL) == (ssize_t)order_bytes ?
		0 : -EIO;
}

int bound_measure(struct apus_histogram *latency, size_t packet_bytes, size_t order_bytes,
	int rounds)
{
	struct wires wires = {-1, -1, -1, -1, -1};
	struct apus_clock clock;
	int64_t ns = 0;
	int err = packet_bytes > BYTES_MAX || order_bytes > BYTES_MAX ? -EINVAL :
		apus_clock_init(&clock, APUS_CLOCK_AUTO);

	apus_histogram_reset(latency);
	if (!err)
		err = open_feed(&wires);
	if (!err)
		err = open_orders(&wires);
	/* A tenth before it counts: the first are of cold caches. */
	for (int round = -rounds / 10; round < rounds && !err; round++) {
		err = one_round(&wires, &clock, packet_bytes, order_bytes, &ns);
		if (!err && round >= 0)
			apus_histogram_record(latency, ns);
	}
	close_all(&wires);
	return err;
}
