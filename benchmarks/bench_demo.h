/*
 * bench_demo.h - the other end of tick to trade, alike for every entrant: the exchange of
 * examples/ttt without a loop, on plain sockets of loopback.
 *
 * An event of the market leaves as a packet, the entrant sends what it makes of it, and the
 * exchange answers before the next event: nothing ever queues.  Seed, flow and answers hang
 * on no clock, so all entrants see the same packets and send the same orders.
 */
#ifndef BENCH_DEMO_H
#define BENCH_DEMO_H

#include "bench_sockets.h"

#include "../examples/ttt/desk.h"
#include "../examples/ttt/market.h"
#include "../examples/ttt/publisher.h"
#include "../examples/ttt/session.h"

#include <apus/histogram.h>

#include <netinet/in.h>

struct demo {
	struct bench *b;
	struct desk desk;                 /* the entrant's */
	struct apus_histogram latency;    /* where it records each order */

	struct market market;
	struct publisher publisher;
	struct soup_stream stream;        /* of its orders */
	struct sockets orders;            /* its end is ours[0] */
	int feed;                         /* the exchange's end */
	struct sockaddr_in feed_address;  /* the entrant's end, which it opens */
	uint64_t answer_next;
	uint64_t order_count;             /* sent before the last event */
	uint64_t event_count;
};

/* NULL after a bench_skip or bench_fail. */
struct demo *demo_open(struct bench *b);
void demo_close(struct demo *demo);

/* The market opens; from here on the entrant may trade. */
void demo_begin(struct demo *demo);

/* The next event leaves: it is in the entrant's socket when this returns. */
void demo_publish(struct demo *demo);

/* All that was published has been taken, and what it asks for has been sent. */
static inline bool demo_is_through(const struct demo *demo)
{
	return demo->desk.feed.next == demo->publisher.next;
}

/* Answers the orders; one alone to an event is the sample, the second had to wait. */
void demo_settle(struct demo *demo);

#endif
