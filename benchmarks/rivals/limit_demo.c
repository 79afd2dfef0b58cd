/*
 * The least engine: a loop that spins on its receive, and calls decoder, books, strategy and
 * encoder as plain functions; the order leaves by a plain send.
 *
 * Left out: everything else that an engine does meanwhile - the session's heartbeats and
 * answers, recovery, time-outs, the second socket, partial sends, Ctrl-C.
 *
 * receive_send is less than any engine: it does not look at what it received.
 */
#include "../bench_demo.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_BYTES 64   /* a packet with an order added to the book */
#define TRADE_BYTES 52  /* an order entered */

static int feed_open(struct demo *demo)
{
	struct sockaddr_in *address = &demo->feed_address;
	socklen_t length = sizeof *address;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && bind(fd, (struct sockaddr *)address, length) == 0 &&
	    getsockname(fd, (struct sockaddr *)address, &length) == 0)
		return fd;
	bench_skip(demo->b, "no UDP socket: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static inline ssize_t spin(int fd, uint8_t *bytes, size_t size, uint64_t *before)
{
	ssize_t got;

	do {
		*before = bench_ticks();
		got = recv(fd, bytes, size, 0);
	} while (got < 0 && errno == EAGAIN);
	return got;
}

static void take(struct demo *demo, int feed)
{
	uint8_t packet[MOLD_PACKET_MAX], order[GATEWAY_PACKET_MAX];
	int length, orders = demo->orders.ours[0];
	uint64_t before;
	ssize_t got = spin(feed, packet, sizeof packet, &before);

	if (got < 0) {
		bench_fail(demo->b, "the feed: %s", strerror(errno));
		return;
	}
	desk_packet(&demo->desk, FEED_LINE_A, packet, (size_t)got, 0);
	while ((length = desk_order(&demo->desk, 0, order)) > 0) {
		if (send(orders, order, (size_t)length, MSG_NOSIGNAL) != length)
			bench_fail(demo->b, "an order: %s", strerror(errno));
		apus_histogram_record(&demo->latency,
			(int64_t)bench_ns(demo->b, bench_ticks() - before));
	}
}

static void take_all(struct demo *demo, int feed)
{
	while (!demo_is_through(demo) && !bench_stopping(demo->b))
		take(demo, feed);
}

static void trade(struct demo *demo, int feed)
{
	demo_begin(demo);
	take_all(demo, feed);
	while (!bench_stopping(demo->b)) {
		demo_publish(demo);
		take_all(demo, feed);
		demo_settle(demo);
	}
}

static void tick_to_trade(struct bench *b)
{
	struct demo *demo = demo_open(b);
	int feed;

	if (demo == NULL)
		return;
	feed = feed_open(demo);
	if (feed >= 0) {
		trade(demo, feed);
		close(feed);
	}
	demo_close(demo);
}
BENCH_ENTRANT(tick_to_trade_limit, .row = "demo/tick_to_trade", .who = "limit",
	.run = tick_to_trade);

static void pass(struct bench *b, const int feed[2], const struct sockets *orders)
{
	uint8_t bytes[MOLD_PACKET_MAX] = { 0 };

	while (!bench_stopping(b)) {
		bool ok = send(feed[0], bytes, TICK_BYTES, 0) == TICK_BYTES;
		uint64_t after, before = 0;

		ok = ok && spin(feed[1], bytes, sizeof bytes, &before) == TICK_BYTES &&
			send(orders->ours[0], bytes, TRADE_BYTES, MSG_NOSIGNAL) == TRADE_BYTES;
		after = bench_ticks();
		ok = ok && recv(orders->theirs[0], bytes, sizeof bytes, 0) == TRADE_BYTES;
		if (!ok)
			bench_fail(b, "a packet or an order: %s", strerror(errno));
		bench_value(b, bench_ns(b, after - before));
	}
}

static void receive_send(struct bench *b)
{
	struct sockets orders;
	int feed[2];

	if (sockets_open(b, &orders, 1) == 0 && udp_pair_open(b, feed) == 0) {
		pass(b, feed, &orders);
		close(feed[0]);
		close(feed[1]);
	}
	sockets_close(&orders);
}
BENCH_ENTRANT(receive_send_limit, .row = "demo/receive_send", .who = "limit",
	.run = receive_send);
