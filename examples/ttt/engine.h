/*
 * engine.h - the trading engine on apus: what its tasks share.
 *
 *	engine         the root: trades, cancels, logs out
 *	link           the connection: connects, logs in, and again (engine_link.c)
 *	listener       receives a line of the feed, a slab task for each packet (engine_feed.c)
 *	packet         one packet: books, strategy, orders, out
 *	recovery       asks for what is missing, and again
 *	answers        reads the exchange's answers (engine_orders.c)
 *	heartbeat      keeps the session alive, and watches that the peer is
 *	expiry         cancels orders whose time is up
 *	writer         sends what the socket did not take at once (outbox.c)
 *	progress       a line a second (engine.c)
 *	show           publishes what can be seen of it, for --watch
 *
 * The books, the desk and the engine are resources of the world: built before the loop,
 * found by every task, ended after it.
 */
#ifndef TTT_ENGINE_H
#define TTT_ENGINE_H

#include "backoff.h"
#include "desk.h"
#include "options.h"
#include "outbox.h"
#include "scribe.h"
#include "session.h"
#include "side.h"

#include <apus/loop.h>

struct engine {
	const struct options *options;
	struct shared *shared;
	struct session session;
	struct soup_stream stream;
	struct outbox outbox;
	struct apus_tcp tcp;
	struct apus_udp feeds[2], requests;
	struct apus_address server;        /* of requests */
	struct backoff backoff;            /* between two connections */
	struct apus_event session_up, link_down, market_closed, feed_done, over;
	int link_error;                    /* why the last connection ended */
	bool may_trade, is_leaving, is_linked;
	struct scribe *scribe;             /* writes down what happens; NULL: nobody does */
	struct faults faults;              /* of what came by the connection */
	struct apus_notify gap, sent, answered;
	struct apus_histogram *latency;    /* tick to trade */
	bool has_hot_sockets;
	int error;                         /* why it is over */
	uint64_t allocations_at_start;
};

APUS_RESOURCE(engine, struct engine)
APUS_RESOURCE(desk, struct desk)
APUS_RESOURCE(books, struct books)

/* The desk as the options want it; what of it belongs into a report. */
void engine_desk_config(struct desk_config *config, const struct options *options);
void engine_fill_side(struct side *side, const struct desk *desk, const struct options *options);

/*
 * For who has a world and a loop already, and perhaps the exchange on it too: puts the engine
 * into the world; starts its root; fills in its side, once that is over.  The desk, which is
 * initialised, is the world's then.
 */
int engine_prepare(struct engine *engine, struct desk *desk, const struct options *options,
	struct shared *shared, struct apus_world *world);
int engine_begin(struct apus_loop *loop, struct apus_join *root);
void engine_finish(const struct engine *engine, const struct desk *desk);

/* Runs the engine on this thread until it has done; 0 or -errno, and its side filled in. */
int engine_run(const struct options *options, struct shared *shared);

/* ---- between the engine's files --------------------------------------------------------- */

/* Ends the connection for that reason: there will be another. */
void engine_drop(struct engine *engine, int why);
/* Ends the day for that reason; the first one counts. */
void engine_fail(struct engine *engine, int error);

/* Tells the scribe, if there is one: 0, or -EAGAIN: it is behind. */
static inline int engine_tap(struct engine *engine, const struct tap *tap, const void *bytes)
{
	return engine->scribe == NULL ? 0 : scribe_tap(engine->scribe, tap, bytes);
}

/* The scribe is behind: what can wait has to. */
static inline bool engine_is_behind(const struct engine *engine)
{
	return engine->scribe != NULL && scribe_is_short(engine->scribe);
}

/* Sends a packet of the session. */
void engine_send(struct apus_cx *cx, struct engine *engine, const uint8_t *bytes, size_t size);

int engine_open_feed(struct apus_loop *loop, struct engine *engine);
int engine_start_feed(struct apus_loop *loop, struct engine *engine, struct apus_set *set);
/* The connection, now and again; the tasks of one; the watch over orders. */
int engine_start_link(struct engine *engine, struct apus_set *set);
int engine_start_connection(struct engine *engine, struct apus_set *set);
int engine_start_orders(struct apus_set *set);

/* The states of the largest tasks have to fit a slot. */
size_t engine_state_bytes(void);

#endif
