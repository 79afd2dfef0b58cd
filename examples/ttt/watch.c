/* watch.c - the viewer. */
#include "watch.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static double rate(uint64_t now, uint64_t before, int64_t ns)
{
	return ns > 0 ? (double)(now - before) * 1e9 / (double)ns : 0;
}

static void print_rates(const struct sight *now, const struct sight *before, FILE *out)
{
	int64_t ns = now->now_ns - before->now_ns;

	fprintf(out, "feed      %10.0f packets/s %10.0f messages/s %12" PRIu64 " messages\n",
		rate(now->packets, before->packets, ns), rate(now->messages, before->messages, ns),
		now->messages);
	fprintf(out, "          %10" PRIu64 " gaps      %10" PRIu64 " requests   %12" PRIu64
		" lost  %" PRIu64 " missing now  %" PRIu64 " refused\n", now->gaps, now->requests,
		now->lost, now->missing_now, now->refused);
	fprintf(out, "orders    %10.0f sent/s    %10.0f fills/s    %12" PRIu64 " open  %" PRIu64
		" breaks\n", rate(now->orders.entered, before->orders.entered, ns),
		rate(now->orders.executed, before->orders.executed, ns), now->open_orders,
		now->breaks);
	fprintf(out, "          %10" PRIu64 " sent      %10" PRIu64 " accepted   %12" PRIu64
		" executed  %" PRIu64 " canceled\n", now->orders.entered, now->orders.accepted,
		now->orders.executed, now->orders.canceled);
}

static void print_positions(const struct sight *now, FILE *out)
{
	fprintf(out, "positions");
	for (int at = 0; at < WATCH_POSITIONS && now->positions[at].shares != 0; at++)
		fprintf(out, "  %.4s %+" PRId64, now->positions[at].stock,
			now->positions[at].shares);
	fputc('\n', out);
}

void watch_print(const struct sight *now, const struct sight *before, FILE *out)
{
	static const struct sight nothing;

	fprintf(out, "engine    %s, %s%s\n", now->is_connected ? "connected" : "NOT CONNECTED",
		now->is_trading ? "trading" : "not trading",
		now->is_disk_full ? ", THE JOURNAL'S DISK IS FULL" : "");
	print_rates(now, before != NULL ? before : &nothing, out);
	fprintf(out, "latency   p50 %" PRId64 "  p90 %" PRId64 "  p99 %" PRId64 "  p99.9 %" PRId64
		"  max %" PRId64 " ns\n", now->p50_ns, now->p90_ns, now->p99_ns, now->p999_ns,
		now->max_ns);
	print_positions(now, out);
}

void watch_run(struct sights *sights, const uint32_t *is_done, FILE *out)
{
	bool is_terminal = isatty(fileno(out)) != 0, has_before = false;
	struct sights_reader reader;
	struct sight now, before;

	apus_latest_reader_init(&reader, sights);
	while (!apus_load_acquire(is_done)) {
		if (apus_latest_try_recv(&reader, &now) == 0) {
			/* From the top of the screen, and what is left of the last one goes. */
			fputs(is_terminal ? "\033[H\033[2J" : has_before ? "\n" : "", out);
			watch_print(&now, has_before ? &before : NULL, out);
			fflush(out);
			before = now;
			has_before = true;
		}
		nanosleep(&(struct timespec){.tv_nsec = 20 * APUS_MSEC}, NULL);
	}
}
