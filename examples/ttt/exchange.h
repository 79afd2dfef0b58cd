/*
 * exchange.h - the exchange on apus: what its tasks share.
 *
 *	exchange_root  opens, waits for the client, and runs the day
 *	flow           the order flow, at its pace
 *	retransmitter  answers requests for packets that were lost
 *	beat           MoldUDP64 and SoupBinTCP heartbeats
 *	door           lets clients in (exchange_client.c)
 *	serve          one connection: reads the client's orders
 *	writer         sends what its socket did not take at once (outbox.c)
 *	mischief       what goes wrong on purpose, and when
 */
#ifndef TTT_EXCHANGE_H
#define TTT_EXCHANGE_H

#include "day.h"
#include "market.h"
#include "options.h"
#include "outbox.h"
#include "pace.h"
#include "publisher.h"
#include "session.h"
#include "side.h"
#include "weather.h"

#include <apus/loop.h>

#define EXCHANGE_SESSION "TTTSESSION"
#define EXCHANGE_CLIENTS 4  /* connections at once; one of them is logged in */

struct client {
	bool is_used;
	bool owes_heartbeat;     /* once all that was asked for has been sent again */
	uint64_t answer_next;    /* cursor on the tape of answers */
	struct apus_tcp tcp;
	struct session session;
	struct soup_stream stream;
	struct outbox outbox;
};

struct exchange {
	const struct options *options;
	struct shared *shared;
	struct publisher publisher;
	struct pace pace;
	struct day day;
	struct client clients[EXCHANGE_CLIENTS];
	struct client *client;           /* who is logged in, or NULL */
	struct apus_listener listener;
	struct apus_udp feed, requests;
	struct apus_address feed_addresses[2];
	struct weather weather[2];       /* of line A and B */
	struct apus_event logged_in, client_left;
	struct faults faults;            /* of what clients sent */
	int64_t opened_ns;               /* the market; for what goes wrong on purpose */
	int64_t *published_ns;           /* by locate: when a packet with a message of it left */
	struct apus_histogram *latency;  /* packet sent to order received */
	bool has_hot_sockets;
	uint64_t allocations_at_start;
};

APUS_RESOURCE(exchange, struct exchange)
APUS_RESOURCE(market, struct market)

/* The market as the options want it. */
void exchange_market_config(struct market_config *config, const struct options *options);

/*
 * For who has a world and a loop already, and perhaps the engine on it too: puts the exchange
 * into the world; starts its root; fills in its side, once that is over.  The market, which is
 * initialised, is the world's then.
 */
int exchange_prepare(struct exchange *exchange, struct market *market,
	const struct options *options, struct shared *shared, struct apus_world *world);
int exchange_begin(struct apus_loop *loop, struct apus_join *root);
void exchange_finish(const struct exchange *exchange, const struct market *market);

/* Runs the exchange on this thread until its day is over; 0 or -errno, and its side filled in. */
int exchange_run(const struct options *options, struct shared *shared);

/* ---- between the exchange's files --------------------------------------------------------- */

/* Sends what is new on the tapes: the answers to the client, and packets of the feed. */
void exchange_publish(struct apus_cx *cx, struct exchange *exchange);

/* Sends one packet of the feed on every line, unless it is its turn to be lost. */
void exchange_send_packet(struct apus_cx *cx, struct exchange *exchange, const uint8_t *bytes,
	size_t size);

/* The client's connections. */
int exchange_open_door(struct exchange *exchange, struct apus_set *set);
/* What is new on the tape of answers, to the client that is logged in. */
void exchange_send_answers(struct apus_cx *cx, struct exchange *exchange);
/* Ends the connection that is logged in. */
void exchange_show_out(struct apus_cx *cx, struct exchange *exchange);

/* The flow and the heartbeats; the retransmission server. */
int exchange_start_flow(struct exchange *exchange, struct apus_set *set);
int exchange_start_servers(struct exchange *exchange, struct apus_set *set);

#endif
