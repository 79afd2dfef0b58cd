/* options.c - reads the command line. */
#define _GNU_SOURCE
#include "options.h"

#include "book.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
	"usage: tick_to_trade [exchange | engine | replay FILE] [OPTION ...]\n"
	"\n"
	"An exchange and a trading engine, each a process on an apus loop.  The exchange\n"
	"publishes ITCH 5.0 in MoldUDP64 and takes OUCH 4.2 orders in SoupBinTCP; the engine\n"
	"builds the order books, trades on them, and times itself from tick to trade.  Without\n"
	"a subcommand both run here, and the exit status is 0 only if they agree.  A recording\n"
	"is replayed without sockets, at full speed; give it the options that it was made with.\n"
	"\n"
	"      --seconds S        how long the market is open (5)\n"
	"      --rate N           events of the order flow, a second (20000)\n"
	"      --seed N           of the order flow (1)\n"
	"      --symbols N        1 to 4096 (200)\n"
	"      --order-rate N     new orders a second at most (10000)\n"
	"      --lines N          of the feed: 1, or 2 that carry the same (2)\n"
	"      --drop-every N     the exchange loses every Nth packet, on both lines (0: none)\n"
	"      --line-a WEATHER   loss=N,double=N,reorder=N: one packet in N, at random\n"
	"      --line-b WEATHER   the same of the other line\n"
	"      --silence S        then the other end of the session is taken for dead (15)\n"
	"      --feed-silent AT,S     nothing of the feed gets through for so long\n"
	"      --stop-engine AT,S     the engine is stopped, and continued after so long\n"
	"      --kill-exchange AT,S   the exchange is killed, and started again after so long\n"
	"      --hang-up-every S  the exchange hangs up on the engine\n"
	"      --vandal           somebody sends to every socket what cannot be; unicast\n"
	"      --pcap FILE        what crosses the engine's wires, for Wireshark and replay\n"
	"      --journal FILE     the same under checksums; what is not written is not done\n"
	"      --sync             the journal is synced behind each write\n"
	"      --scribe-cpu N     pins the thread that writes (-1: not pinned)\n"
	"      --ring BYTES       between the engine and the thread that writes (16777216)\n"
	"      --unicast          the feed to one address instead of a multicast group\n"
	"      --interface NAME   of the multicast (127.0.0.1)\n"
	"      --backend NAME     auto, epoll ... (auto)\n"
	"      --cpu N            pins the process of a subcommand to that core\n"
	"      --exchange-cpu N   pins the exchange (the first core allowed; -1: none)\n"
	"      --engine-cpu N     pins the engine (the second core allowed; -1: none)\n"
	"      --feed ADDR:PORT   with a subcommand (239.192.7.1:31001, unicast 127.0.0.1:31001)\n"
	"      --feed-b ADDR:PORT line B (239.192.7.2:31004, unicast 127.0.0.1:31004)\n"
	"      --orders ADDR:PORT with a subcommand (127.0.0.1:31002)\n"
	"      --requests ADDR:PORT  with a subcommand (127.0.0.1:31003)\n"
	"      --progress         a line every second, also where stderr is no terminal\n"
	"      --watch            a live view of the engine, a few times a second, on stderr\n"
	"      --svg FILE         the latency curves as a picture\n"
	"      --every-second     the engine's whole report every second\n"
	"      --json             one line of JSON, last on stdout\n"
	"      --help\n";

enum {
	OPT_SECONDS = 256, OPT_RATE, OPT_SEED, OPT_SYMBOLS, OPT_ORDER_RATE, OPT_DROP_EVERY,
	OPT_SILENCE, OPT_FEED_SILENT, OPT_STOP_ENGINE, OPT_KILL_EXCHANGE, OPT_HANG_UP_EVERY, OPT_VANDAL, OPT_PCAP, OPT_JOURNAL, OPT_SYNC, OPT_RING, OPT_SCRIBE_CPU,
	OPT_LINES, OPT_LINE_A, OPT_LINE_B, OPT_FEED_B, OPT_UNICAST, OPT_INTERFACE, OPT_BACKEND, OPT_CPU, OPT_EXCHANGE_CPU, OPT_ENGINE_CPU,
	OPT_FEED, OPT_ORDERS, OPT_REQUESTS, OPT_PROGRESS, OPT_WATCH, OPT_SVG, OPT_EVERY_SECOND, OPT_JSON, OPT_HELP,
};

static const struct option table[] = {
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"rate", required_argument, NULL, OPT_RATE},
	{"seed", required_argument, NULL, OPT_SEED},
	{"symbols", required_argument, NULL, OPT_SYMBOLS},
	{"order-rate", required_argument, NULL, OPT_ORDER_RATE},
	{"drop-every", required_argument, NULL, OPT_DROP_EVERY},
	{"silence", required_argument, NULL, OPT_SILENCE},
	{"feed-silent", required_argument, NULL, OPT_FEED_SILENT},
	{"stop-engine", required_argument, NULL, OPT_STOP_ENGINE},
	{"kill-exchange", required_argument, NULL, OPT_KILL_EXCHANGE},
	{"hang-up-every", required_argument, NULL, OPT_HANG_UP_EVERY},
	{"vandal", no_argument, NULL, OPT_VANDAL},
	{"pcap", required_argument, NULL, OPT_PCAP},
	{"journal", required_argument, NULL, OPT_JOURNAL},
	{"sync", no_argument, NULL, OPT_SYNC},
	{"scribe-cpu", required_argument, NULL, OPT_SCRIBE_CPU},
	{"ring", required_argument, NULL, OPT_RING},
	{"lines", required_argument, NULL, OPT_LINES},
	{"line-a", required_argument, NULL, OPT_LINE_A},
	{"line-b", required_argument, NULL, OPT_LINE_B},
	{"feed-b", required_argument, NULL, OPT_FEED_B},
	{"unicast", no_argument, NULL, OPT_UNICAST},
	{"interface", required_argument, NULL, OPT_INTERFACE},
	{"backend", required_argument, NULL, OPT_BACKEND},
	{"cpu", required_argument, NULL, OPT_CPU},
	{"exchange-cpu", required_argument, NULL, OPT_EXCHANGE_CPU},
	{"engine-cpu", required_argument, NULL, OPT_ENGINE_CPU},
	{"feed", required_argument, NULL, OPT_FEED},
	{"orders", required_argument, NULL, OPT_ORDERS},
	{"requests", required_argument, NULL, OPT_REQUESTS},
	{"progress", no_argument, NULL, OPT_PROGRESS},
	{"watch", no_argument, NULL, OPT_WATCH},
	{"svg", required_argument, NULL, OPT_SVG},
	{"every-second", no_argument, NULL, OPT_EVERY_SECOND},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int complain(const char *what, const char *text)
{
	fprintf(stderr, "tick_to_trade: %s: %s\n", what, text);
	return -EINVAL;
}

static int read_number(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	if (errno != 0 || *end != '\0' || end == text || text[0] == '-' || *number < low ||
	    *number > high)
		return complain("not a number that can be", text);
	return 0;
}

static int read_u32(const char *text, uint32_t low, uint32_t high, uint32_t *number)
{
	uint64_t value;
	int err = read_number(text, low, high, &value);

	if (!err)
		*number = (uint32_t)value;
	return err;
}

static int read_ring(const char *text, uint64_t *bytes)
{
	if (read_number(text, 1 << 19, UINT64_C(1) << 30, bytes))
		return -EINVAL;
	return (*bytes & (*bytes - 1)) == 0 ? 0 : complain("not a power of two", text);
}

static int read_cpu(const char *text, int *cpu)
{
	uint64_t value;
	int err;

	if (strcmp(text, "-1") == 0) {
		*cpu = -1;
		return 0;
	}
	err = read_number(text, 0, 4095, &value);
	if (!err)
		*cpu = (int)value;
	return err;
}

static int read_seconds(const char *text, int64_t *duration_ns)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds > 0 && seconds <= 86400))
		return complain("not a time in seconds", text);
	*duration_ns = (int64_t)(seconds * 1e9);
	return 0;
}

/* AT,S: both in seconds. */
static int read_mishap(const char *text, struct mishap *mishap)
{
	const char *comma = strchr(text, ',');
	char at[32];

	if (comma == NULL || (size_t)(comma - text) >= sizeof(at))
		return complain("not a time and how long", text);
	memcpy(at, text, (size_t)(comma - text));
	at[comma - text] = '\0';
	return read_seconds(at, &mishap->at_ns) ? -EINVAL :
		read_seconds(comma + 1, &mishap->for_ns);
}

static int read_address(const char *text, struct apus_address *address)
{
	return apus_address_parse(address, text) ? complain("not an address", text) : 0;
}

static int read_backend(const char *text, enum apus_io_kind *backend)
{
	if (strcmp(text, "auto") == 0) {
		*backend = APUS_IO_AUTO;
		return 0;
	}
	for (int kind = APUS_IO_EPOLL; kind < APUS_IO_NONE; kind++)
		if (strcmp(text, apus_io_kind_name((enum apus_io_kind)kind)) == 0) {
			*backend = (enum apus_io_kind)kind;
			return 0;
		}
	return complain("no such backend", text);
}

/* As loss=100,double=50,reorder=20, in any order, each of them or not. */
static int read_weather(char *text, struct weather_config *weather)
{
	static char loss[] = "loss", doubles[] = "double", reorder[] = "reorder";
	static char *const names[] = {loss, doubles, reorder, NULL};
	uint32_t *const values[] = {&weather->loss, &weather->doubles, &weather->delays};
	char *value;

	while (*text != '\0') {
		char *start = text;
		int which = getsubopt(&text, names, &value);

		if (which < 0 || value == NULL)
			return complain("not the weather of a line", start);
		if (read_u32(value, 0, UINT32_MAX, values[which]))
			return -EINVAL;
	}
	return 0;
}

static void set_defaults(struct options *options)
{
	*options = (struct options){
		.duration_ns = 5 * APUS_SEC, .rate = 20000, .seed = 1, .symbol_count = 200,
		.order_rate = 10000, .line_count = 2, .silence_ns = 15 * APUS_SEC,
		.ring_bytes = 1 << 24, .scribe_cpu = -1, .exchange_cpu = -2, .engine_cpu = -2, .interface = "127.0.0.1",
	};
	apus_address_parse(&options->orders, "127.0.0.1:31002");
	apus_address_parse(&options->requests, "127.0.0.1:31003");
}

static int take(struct options *options, int name, char *text)
{
	switch (name) {
	case OPT_SECONDS:
		return read_seconds(text, &options->duration_ns);
	case OPT_RATE:
		return read_number(text, 1, 10000000, &options->rate);
	case OPT_SEED:
		return read_number(text, 0, UINT64_MAX, &options->seed);
	case OPT_SYMBOLS:
		return read_u32(text, 1, BOOK_LOCATE_MAX, &options->symbol_count);
	case OPT_ORDER_RATE:
		return read_u32(text, 1, 1000000, &options->order_rate);
	case OPT_DROP_EVERY:
		return read_u32(text, 0, UINT32_MAX, &options->drop_every);
	case OPT_SILENCE:
		return read_seconds(text, &options->silence_ns);
	case OPT_FEED_SILENT:
		return read_mishap(text, &options->feed_silent);
	case OPT_STOP_ENGINE:
		return read_mishap(text, &options->stop_engine);
	case OPT_KILL_EXCHANGE:
		return read_mishap(text, &options->kill_exchange);
	case OPT_HANG_UP_EVERY:
		return read_seconds(text, &options->hang_up_every_ns);
	case OPT_VANDAL:
		options->has_vandal = options->is_unicast = true;
		return 0;
	case OPT_PCAP:
		options->pcap = text;
		return 0;
	case OPT_JOURNAL:
		options->journal = text;
		return 0;
	case OPT_SYNC:
		options->has_sync = true;
		return 0;
	case OPT_SCRIBE_CPU:
		return read_cpu(text, &options->scribe_cpu);
	case OPT_RING:
		return read_ring(text, &options->ring_bytes);
	case OPT_LINES:
		return read_u32(text, 1, 2, &options->line_count);
	case OPT_LINE_A:
		return read_weather(text, &options->weather[0]);
	case OPT_LINE_B:
		return read_weather(text, &options->weather[1]);
	case OPT_UNICAST:
		options->is_unicast = true;
		return 0;
	case OPT_INTERFACE:
		options->interface = text;
		return 0;
	case OPT_BACKEND:
		return read_backend(text, &options->backend);
	case OPT_CPU:
		options->engine_cpu = -1;
		if (read_cpu(text, &options->engine_cpu))
			return -EINVAL;
		options->exchange_cpu = options->engine_cpu;
		return 0;
	case OPT_EXCHANGE_CPU:
		return read_cpu(text, &options->exchange_cpu);
	case OPT_ENGINE_CPU:
		return read_cpu(text, &options->engine_cpu);
	case OPT_FEED:
		return read_address(text, &options->feed[0]);
	case OPT_FEED_B:
		return read_address(text, &options->feed[1]);
	case OPT_ORDERS:
		return read_address(text, &options->orders);
	case OPT_REQUESTS:
		return read_address(text, &options->requests);
	case OPT_PROGRESS:
		options->has_progress = true;
		return 0;
	case OPT_WATCH:
		options->has_watch = true;
		return 0;
	case OPT_SVG:
		options->svg = text;
		return 0;
	case OPT_EVERY_SECOND:
		options->has_reports = true;
		return 0;
	case OPT_JSON:
		options->is_json = true;
		return 0;
	case OPT_HELP:
		fputs(help, stdout);
		return 1;
	}
	fputs("tick_to_trade: --help lists the options\n", stderr);
	return -EINVAL;
}

/* Two processes that start together agree on free ports by themselves. */
static void choose_ports(struct options *options)
{
	static const char *const defaults[2][2] = {
		{"239.192.7.1:31001", "239.192.7.2:31004"}, {"127.0.0.1:31001", "127.0.0.1:31004"},
	};

	for (int line = 0; line < 2; line++) {
		if (options->feed[line].bytes == 0)
			apus_address_parse(&options->feed[line],
				defaults[options->is_unicast][line]);
		if (options->mode == TTT_BOTH)
			apus_address_set_port(&options->feed[line], 0);
	}
	if (options->mode != TTT_BOTH)
		return;
	apus_address_set_port(&options->orders, 0);
	apus_address_set_port(&options->requests, 0);
}

int options_parse(struct options *options, int argc, char **argv)
{
	int name, err;

	set_defaults(options);
	while ((name = getopt_long(argc, argv, "", table, NULL)) != -1) {
		err = take(options, name, optarg);
		if (err)
			return err;
	}
	if (optind < argc && strcmp(argv[optind], "exchange") == 0)
		options->mode = TTT_EXCHANGE;
	else if (optind < argc && strcmp(argv[optind], "engine") == 0)
		options->mode = TTT_ENGINE;
	else if (optind + 1 < argc && strcmp(argv[optind], "replay") == 0)
		options->replay = argv[++optind];
	else if (optind < argc)
		return complain("neither exchange nor engine nor replay FILE", argv[optind]);
	if (optind + 1 < argc)
		return complain("what is this?", argv[optind + 1]);
	if (options->replay != NULL)
		options->mode = TTT_REPLAY;
	choose_ports(options);
	return 0;
}
