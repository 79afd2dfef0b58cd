/*
 * options.h - the command line of tick_to_trade.
 *
 *   Errors     options_parse: 0; 1: help was printed; -EINVAL: it said what is wrong.
 *   Ownership  texts point into argv.
 */
#ifndef TTT_OPTIONS_H
#define TTT_OPTIONS_H

#include "weather.h"

#include <apus/io.h>
#include <apus/net.h>

enum ttt_mode { TTT_BOTH, TTT_EXCHANGE, TTT_ENGINE, TTT_REPLAY };

/* Something that goes wrong on purpose, from the opening on; for_ns 0: never. */
struct mishap {
	int64_t at_ns, for_ns;
};

struct options {
	enum ttt_mode mode;
	int64_t duration_ns;      /* of the market's day */
	uint64_t rate;            /* events of the flow, a second */
	uint64_t seed;
	uint32_t symbol_count;
	uint32_t drop_every;      /* the exchange loses one packet in so many; 0: none */
	uint32_t line_count;      /* of the feed: A, or A and B */
	struct weather_config weather[2]; /* of line A and B */
	uint32_t order_rate;      /* new orders a second at most */
	int64_t silence_ns;       /* after which the other end of a session is taken for dead */
	struct mishap feed_silent;     /* nothing of the feed gets through */
	struct mishap stop_engine;     /* it is stopped, and continued */
	struct mishap kill_exchange;   /* it is killed, and started again */
	int64_t hang_up_every_ns;      /* the exchange, on its client; 0: never */
	bool has_vandal;               /* somebody sends nonsense to every socket */
	bool is_unicast;
	bool is_json;
	bool has_progress;        /* a line a second */
	bool has_watch;           /* a live view, in a process of its own */
	const char *svg;          /* file for the latency curves; NULL: none */
	bool has_reports;         /* the engine's whole report a second */
	enum apus_io_kind backend;
	int exchange_cpu, engine_cpu; /* -1: not pinned */
	struct apus_address feed[2];  /* where the lines go to: groups, or the engine */
	struct apus_address orders;   /* where the exchange listens */
	struct apus_address requests; /* its retransmission server */
	const char *interface;        /* of the multicast */
	const char *journal, *pcap;   /* files that the engine has written; NULL: none */
	bool has_sync;                /* the journal is on the disk, not only in the file */
	const char *replay;           /* one of them, with TTT_REPLAY */
	int scribe_cpu;               /* of the thread that writes; -1: not pinned */
	uint64_t ring_bytes;          /* between the engine and its scribe */
};

int options_parse(struct options *options, int argc, char **argv);

#endif
