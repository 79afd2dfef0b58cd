/*
 * side.h - what exchange and engine leave for each other in shared memory: before the
 * start where they can be reached, at the end what they have counted.
 *
 *   Threads    each field has one writer, and is read once `is_done` of its side, or the
 *              port or flag itself, has been seen set (acquire).
 */
#ifndef TTT_SIDE_H
#define TTT_SIDE_H

#include "book.h"
#include "counts.h"
#include "day.h"
#include "feed.h"
#include "watch.h"

#include <apus/base.h>
#include <apus/histogram.h>

/* The exchange's and the engine's, beside the feed. */
enum side_socket { SIDE_ORDERS, SIDE_MESSAGES, SIDE_REQUESTS, SIDE_SOCKETS };

struct side {
	uint32_t is_done;
	int status;                   /* 0 or -errno */
	uint64_t packets, messages;   /* of the feed: sent, or received and in sequence */
	uint64_t books_checksum, book_changes, resting_orders;
	struct order_counts orders;
	int64_t positions[BOOK_LOCATE_MAX + 1];
	uint64_t turns;
	int64_t longest_turn_ns;
	bool allocations_counted;
	uint64_t allocations;         /* after the first turn */
	struct apus_histogram latency;

	/* The exchange's. */
	uint64_t packets_dropped;     /* on purpose, on every line */
	uint64_t line_lost[2], line_doubled[2], line_delayed[2]; /* by the weather */
	uint64_t packets_refused;     /* by a full send buffer */
	uint64_t requests_answered;
	uint64_t disconnects, turned_away; /* of clients */
	uint64_t restarts;

	/* The engine's. */
	struct feed_counts feed;
	uint64_t kernel_drops;
	int receive_buffer_bytes;
	uint64_t throttled, timed_out, voided;
	uint64_t breaks, never_entered, never_replaced, abandoned, repeated;
	struct apus_histogram bound;  /* tick to trade without an engine, see bound.h */
	uint64_t feed_bytes;
	uint64_t records, disk_full;  /* written down; times that the disk was full */
	uint64_t held_packets;        /* not looked at, because they could not be written down */
	uint64_t unknown;             /* answers to no order of ours */
	struct faults faults[SIDE_SOCKETS];  /* by socket; the feed has its own */
};

struct shared {
	/* Ports, 0 until they are known. */
	uint32_t feed_ports[2], order_port, request_port;
	uint32_t recovery_port;       /* where the engine expects what it asked for again */
	uint32_t is_stopping;         /* the parent's word, before it signals either */
	int64_t closes_ns;            /* the market; 0: it has not opened yet */
	struct day_log *day;          /* NULL: the exchange could not be started again */
	uint64_t vandalised;          /* what the vandal has sent */
	struct sights sights;         /* of the engine, while it runs */
	struct side exchange, engine;
};

#endif
