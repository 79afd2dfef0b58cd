/* report.c - numbers for people and for programs. */
#include "report.h"

#include <inttypes.h>

/* ---- comparison ---------------------------------------------------------------------- */

static bool same(FILE *out, const char *what, uint64_t exchange, uint64_t engine)
{
	if (exchange == engine)
		return true;
	if (out != NULL)
		fprintf(out, "differ: %s: exchange %" PRIu64 ", engine %" PRIu64 "\n", what,
			exchange, engine);
	return false;
}

/* What was sent into a break may have arrived: but never more arrives than was sent. */
static bool not_more(FILE *out, const char *what, uint64_t exchange, uint64_t engine)
{
	return exchange <= engine || same(out, what, exchange, engine);
}

static bool same_requests(FILE *out, const struct side *exchange, const struct side *engine)
{
	const struct order_counts *a = &exchange->orders, *b = &engine->orders;
	bool agree = same(out, "orders entered", a->entered, b->entered - engine->never_entered);
	bool (*compare)(FILE *, const char *, uint64_t, uint64_t) =
		engine->breaks > 0 ? not_more : same;

	agree &= compare(out, "replaces asked for", a->replaces, b->replaces);
	agree &= compare(out, "cancels asked for", a->cancels, b->cancels);
	return agree;
}

static bool same_answers(FILE *out, const struct order_counts *a, const struct order_counts *b)
{
	bool agree = true;

	agree &= same(out, "orders accepted", a->accepted, b->accepted);
	agree &= same(out, "orders rejected", a->rejected, b->rejected);
	agree &= same(out, "orders replaced", a->replaced, b->replaced);
	agree &= same(out, "orders canceled", a->canceled, b->canceled);
	agree &= same(out, "executions", a->executed, b->executed);
	agree &= same(out, "shares bought", a->shares_bought, b->shares_bought);
	agree &= same(out, "shares sold", a->shares_sold, b->shares_sold);
	return agree;
}

bool report_compare(const struct shared *shared, uint32_t symbol_count, FILE *out)
{
	const struct side *exchange = &shared->exchange, *engine = &shared->engine;
	bool agree = same_requests(out, exchange, engine);

	agree &= same_answers(out, &exchange->orders, &engine->orders);

	agree &= same(out, "messages", exchange->messages, engine->messages);
	agree &= same(out, "changes of books", exchange->book_changes, engine->book_changes);
	agree &= same(out, "orders in the books", exchange->resting_orders, engine->resting_orders);
	agree &= same(out, "checksum of the books", exchange->books_checksum, engine->books_checksum);
	for (uint32_t locate = 1; locate <= symbol_count; locate++)
		agree &= same(out, "position in a symbol", (uint64_t)exchange->positions[locate],
			(uint64_t)engine->positions[locate]);
	return agree;
}

/* ---- for people ------------------------------------------------------------------------ */

static void print_latency(FILE *out, const char *title, const struct apus_histogram *latency)
{
	char text[APUS_HISTOGRAM_TEXT_BYTES];

	fprintf(out, "\n%s\n", title);
	if (apus_histogram_count(latency) == 0) {
		fprintf(out, "  none\n");
		return;
	}
	fprintf(out, "  p50 %" PRId64 "  p90 %" PRId64 "  p99 %" PRId64 "  p99.9 %" PRId64
		"  max %" PRId64 "\n", apus_histogram_percentile(latency, 50),
		apus_histogram_percentile(latency, 90), apus_histogram_percentile(latency, 99),
		apus_histogram_percentile(latency, 99.9), apus_histogram_max(latency));
	apus_histogram_format(latency, text, sizeof(text));
	fputs(text, out);
}

static void print_row(FILE *out, const char *name, const struct options *options,
	uint64_t exchange, uint64_t engine)
{
	fprintf(out, "  %-22s", name);
	if (options->mode != TTT_ENGINE)
		fprintf(out, " %14" PRIu64, exchange);
	if (options->mode != TTT_EXCHANGE)
		fprintf(out, " %14" PRIu64, engine);
	fputc('\n', out);
}

static void print_table(const struct shared *shared, const struct options *options, FILE *out)
{
	const struct side *a = &shared->exchange, *b = &shared->engine;

	fprintf(out, "  %-22s%s%s\n", "", options->mode != TTT_ENGINE ? "       exchange" : "",
		options->mode != TTT_EXCHANGE ? "         engine" : "");
#define ROW(name, field) print_row(out, name, options, (uint64_t)a->field, (uint64_t)b->field)
	ROW("packets", packets);
	ROW("messages", messages);
	ROW("orders sent", orders.entered);
	ROW("orders accepted", orders.accepted);
	ROW("orders rejected", orders.rejected);
	ROW("orders replaced", orders.replaced);
	ROW("orders canceled", orders.canceled);
	ROW("executions", orders.executed);
	ROW("shares bought", orders.shares_bought);
	ROW("shares sold", orders.shares_sold);
	ROW("orders in the books", resting_orders);
	ROW("turns", turns);
	ROW("longest turn, ns", longest_turn_ns);
	if (a->allocations_counted || b->allocations_counted)
		ROW("allocations", allocations);
#undef ROW
}

/* Each line of the feed by itself: what it brought first, and what it alone would have lost. */
static void print_lines(const struct side *engine, const struct options *options, FILE *out)
{
	for (uint32_t n = 0; n < options->line_count; n++) {
		const struct feed_line_counts *line = &engine->feed.lines[n];

		fprintf(out, "line %c: %" PRIu64 " packets, %" PRIu64 " of them first, %" PRIu64
			" second; %" PRIu64 " gaps of its own, %" PRIu64 " messages in them\n",
			"AB"[n], line->packets, line->verdicts[FEED_READY] +
			line->verdicts[FEED_EARLY], line->verdicts[FEED_DUPLICATE], line->gaps,
			line->missing);
	}
}

/* What was refused, by socket and kind; where all is well, a word. */
static void print_faults(FILE *out, const char *socket, const struct faults *faults)
{
	if (faults_total(faults) == 0)
		return;
	fprintf(out, "%s refused", socket);
	for (int fault = 0; fault < FAULTS; fault++)
		if (faults->counts[fault] != 0)
			fprintf(out, "  %s %" PRIu64, fault_name((enum fault)fault),
				faults->counts[fault]);
	fputc('\n', out);
}

static void print_refused(FILE *out, const char *line, const uint64_t verdicts[FEED_VERDICTS])
{
	if (feed_refused_count(verdicts) == 0)
		return;
	fprintf(out, "engine: %s: refused", line);
	for (int verdict = FEED_REFUSED; verdict < FEED_VERDICTS; verdict++)
		if (verdicts[verdict] != 0)
			fprintf(out, "  %s %" PRIu64, feed_verdict_name((enum feed_verdict)verdict),
				verdicts[verdict]);
	fputc('\n', out);
}

static void print_all_faults(const struct side *exchange, const struct side *engine, FILE *out)
{
	print_faults(out, "exchange: connections:", &exchange->faults[SIDE_ORDERS]);
	print_faults(out, "exchange: orders:", &exchange->faults[SIDE_MESSAGES]);
	print_faults(out, "exchange: requests:", &exchange->faults[SIDE_REQUESTS]);
	print_refused(out, "line A", engine->feed.lines[FEED_LINE_A].verdicts);
	print_refused(out, "line B", engine->feed.lines[FEED_LINE_B].verdicts);
	print_refused(out, "requested", engine->feed.lines[FEED_LINE_REQUESTED].verdicts);
	print_faults(out, "engine: connection:", &engine->faults[SIDE_ORDERS]);
	print_faults(out, "engine: answers:", &engine->faults[SIDE_MESSAGES]);
}

static void print_feed(const struct shared *shared, const struct options *options, FILE *out)
{
	const struct side *exchange = &shared->exchange, *engine = &shared->engine;

	fputc('\n', out);
	for (uint32_t n = 0; options->mode != TTT_ENGINE && n < options->line_count; n++)
		fprintf(out, "exchange: line %c lost %" PRIu64 ", doubled %" PRIu64
			", re-ordered %" PRIu64 "\n", "AB"[n], exchange->line_lost[n],
			exchange->line_doubled[n], exchange->line_delayed[n]);
	if (options->mode != TTT_ENGINE)
		fprintf(out, "exchange: %" PRIu64 " packets lost on purpose, %" PRIu64
			" by a full send buffer; %" PRIu64 " requests answered\n",
			exchange->packets_dropped, exchange->packets_refused,
			exchange->requests_answered);
	if (options->mode != TTT_ENGINE && exchange->disconnects + exchange->restarts +
	    exchange->turned_away > 0)
		fprintf(out, "exchange: %" PRIu64 " clients lost, %" PRIu64 " turned away; started "
			"again %" PRIu64 " times\n", exchange->disconnects, exchange->turned_away,
			exchange->restarts);
	if (options->mode == TTT_EXCHANGE)
		return;
	fprintf(out, "engine: receive buffer %d bytes, %" PRIu64 " packets lost in it; %" PRIu64
		" gaps, %" PRIu64 " requests, %" PRIu64 " of them again, %" PRIu64
		" messages given up\n", engine->receive_buffer_bytes, engine->kernel_drops,
		engine->feed.gaps, engine->feed.requests, engine->feed.retries, engine->feed.lost);
	print_lines(engine, options, out);
	fprintf(out, "engine: %" PRIu64 " orders held back by the rate limit, %" PRIu64
		" timed out, %" PRIu64 " replacements void\n", engine->throttled,
		engine->timed_out, engine->voided);
	fprintf(out, "engine: %" PRIu64 " breaks of the connection; %" PRIu64 " orders and %" PRIu64
		" replacements lost in them, %" PRIu64 " answers seen twice, %" PRIu64
		" for no order, %" PRIu64 " orders gone with their session\n", engine->breaks,
		engine->never_entered, engine->never_replaced, engine->repeated, engine->unknown,
		engine->abandoned);
	if (options->has_vandal)
		fprintf(out, "vandal: %" PRIu64 " sent\n", shared->vandalised);
	if (engine->records > 0)
		fprintf(out, "engine: %" PRIu64 " records written down, the disk full %" PRIu64
			" times, %" PRIu64 " packets not looked at for that\n", engine->records,
			engine->disk_full, engine->held_packets);
	print_all_faults(exchange, engine, out);
	if (!engine->allocations_counted)
		fprintf(out, "allocations are not counted under a sanitizer\n");
}

/* The engine beside what no engine on these sockets could beat. */
static void print_bound(const struct side *engine, const struct options *options, FILE *out)
{
	const struct apus_histogram *bound = &engine->bound, *latency = &engine->latency;
	int64_t least = apus_histogram_percentile(bound, 50);

	if (options->mode == TTT_EXCHANGE || apus_histogram_count(bound) == 0 || least <= 0)
		return;
	fprintf(out, "\nbare receive and send, the same sizes on the same core, nothing between, ns\n"
		"  p50 %" PRId64 "  p90 %" PRId64 "  p99 %" PRId64 "  max %" PRId64 ": tick to trade is "
		"%.1f times its p50\n", least, apus_histogram_percentile(bound, 90),
		apus_histogram_percentile(bound, 99), apus_histogram_max(bound),
		(double)apus_histogram_percentile(latency, 50) / (double)least);
}

void report_print(const struct shared *shared, const struct options *options, bool agree,
	FILE *out)
{
	fprintf(out, "tick_to_trade: %.1f s, %u symbols, %" PRIu64 " events/s, seed %" PRIu64
		", %s, backend %s\n\n", (double)options->duration_ns / 1e9, options->symbol_count,
		options->rate, options->seed, options->is_unicast ? "unicast" : "multicast",
		apus_io_kind_name(options->backend));
	print_table(shared, options, out);
	print_feed(shared, options, out);
	if (options->mode != TTT_EXCHANGE)
		print_latency(out, "tick to trade, ns: from before the receive that returned the "
			"packet to the return of the send", &shared->engine.latency);
	print_bound(&shared->engine, options, out);
	if (options->mode != TTT_ENGINE)
		print_latency(out, "seen by the exchange, ns: from the packet sent to the order "
			"received", &shared->exchange.latency);
	if (options->mode == TTT_BOTH)
		fprintf(out, "\n%s\n", agree ? "both sides agree" : "the sides DO NOT agree");
}

void report_print_engine(const struct shared *shared, const struct options *options, FILE *out)
{
	struct options engine = *options;

	engine.mode = TTT_ENGINE;
	report_print(shared, &engine, true, out);
	fputc('\n', out);
	fflush(out);
}

/* ---- for programs ------------------------------------------------------------------------ */

static void json_latency(FILE *out, const char *name, const struct apus_histogram *latency)
{
	fprintf(out, ",\"%s\":{\"count\":%" PRIu64 ",\"p50\":%" PRId64 ",\"p90\":%" PRId64
		",\"p99\":%" PRId64 ",\"p999\":%" PRId64 ",\"max\":%" PRId64 "}", name,
		apus_histogram_count(latency), apus_histogram_percentile(latency, 50),
		apus_histogram_percentile(latency, 90), apus_histogram_percentile(latency, 99),
		apus_histogram_percentile(latency, 99.9), apus_histogram_max(latency));
}

static uint64_t count_refused(const struct shared *shared)
{
	uint64_t refused = feed_refused_count(shared->engine.feed.verdicts);

	for (int socket = 0; socket < SIDE_SOCKETS; socket++)
		refused += faults_total(&shared->engine.faults[socket]) +
			faults_total(&shared->exchange.faults[socket]);
	return refused;
}

/* Of all positions by locate: FNV-1a over their big-endian bytes, for whoever checks it. */
static uint64_t positions_checksum(const struct side *side, uint32_t symbol_count)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (uint32_t locate = 1; locate <= symbol_count; locate++)
		for (int shift = 56; shift >= 0; shift -= 8) {
			sum ^= (uint64_t)side->positions[locate] >> shift & 0xff;
			sum *= UINT64_C(0x100000001b3);
		}
	return sum;
}

/* The engine's numbers, but where there is only an exchange. */
void report_json(const struct shared *shared, const struct options *options, bool agree,
	FILE *out)
{
	const struct side *exchange = &shared->exchange, *engine = &shared->engine;
	const struct side *side = options->mode == TTT_EXCHANGE ? exchange : engine;

	fprintf(out, "{\"packets\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"orders_sent\":%" PRIu64
		",\"orders_accepted\":%" PRIu64 ",\"orders_rejected\":%" PRIu64
		",\"orders_executed\":%" PRIu64 ",\"orders_canceled\":%" PRIu64
		",\"orders_replaced\":%" PRIu64, side->packets, side->messages, side->orders.entered,
		side->orders.accepted, side->orders.rejected, side->orders.executed,
		side->orders.canceled, side->orders.replaced);
	fprintf(out, ",\"line_a_first\":%" PRIu64 ",\"line_b_first\":%" PRIu64
		",\"line_a_gaps\":%" PRIu64 ",\"line_b_gaps\":%" PRIu64
		",\"line_a_lost\":%" PRIu64 ",\"line_b_lost\":%" PRIu64,
		engine->feed.lines[0].verdicts[FEED_READY],
		engine->feed.lines[1].verdicts[FEED_READY], engine->feed.lines[0].gaps,
		engine->feed.lines[1].gaps, exchange->line_lost[0], exchange->line_lost[1]);
	fprintf(out, ",\"shares_bought\":%" PRIu64 ",\"shares_sold\":%" PRIu64 ",\"gaps\":%" PRIu64
		",\"requests\":%" PRIu64 ",\"messages_lost\":%" PRIu64 ",\"packets_dropped\":%" PRIu64
		",\"receive_buffer_bytes\":%d", side->orders.shares_bought, side->orders.shares_sold,
		engine->feed.gaps, engine->feed.requests, engine->feed.lost,
		exchange->packets_dropped, engine->receive_buffer_bytes);
	fprintf(out, ",\"breaks\":%" PRIu64 ",\"never_entered\":%" PRIu64 ",\"repeated\":%" PRIu64
		",\"unknown\":%" PRIu64 ",\"disconnects\":%" PRIu64 ",\"turned_away\":%" PRIu64
		",\"restarts\":%" PRIu64 ",\"vandalised\":%" PRIu64 ",\"refused\":%" PRIu64,
		engine->breaks,
		engine->never_entered, engine->repeated, engine->unknown, exchange->disconnects,
		exchange->turned_away, exchange->restarts, shared->vandalised, count_refused(shared));
	fprintf(out, ",\"records\":%" PRIu64 ",\"disk_full\":%" PRIu64 ",\"held_packets\":%" PRIu64
		",\"positions_checksum\":\"%016" PRIx64 "\",\"book_changes\":%" PRIu64
		",\"resting_orders\":%" PRIu64, engine->records, engine->disk_full,
		engine->held_packets, positions_checksum(side, options->symbol_count),
		side->book_changes, side->resting_orders);
	if (side->allocations_counted)
		fprintf(out, ",\"allocations_after_start\":%" PRIu64,
			exchange->allocations + engine->allocations);
	else
		fprintf(out, ",\"allocations_after_start\":null");
	fprintf(out, ",\"longest_turn_ns\":%" PRId64 ",\"exchange_longest_turn_ns\":%" PRId64,
		side->longest_turn_ns, exchange->longest_turn_ns);
	json_latency(out, "tick_to_trade_ns", &engine->latency);
	json_latency(out, "exchange_latency_ns", &exchange->latency);
	json_latency(out, "bound_ns", &engine->bound);
	fprintf(out, ",\"books_checksum\":\"%016" PRIx64 "\",\"agree\":%s}\n", side->books_checksum,
		agree ? "true" : "false");
}
