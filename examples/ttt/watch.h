/*
 * watch.h - the engine's day as it happens, in a terminal: rates, latency, gaps, positions.
 *
 * The engine publishes what can be seen of it a few times a second, into memory that it shares
 * with a viewer; the viewer is a process of its own, so that no terminal, however slow, is
 * waited for by the engine.
 *
 *   Units      nanoseconds; counts since the start.
 *   Threads    publish: the engine's.  run: the viewer's process.
 *   Cost       publish: a copy; no system call, no malloc.
 */
#ifndef TTT_WATCH_H
#define TTT_WATCH_H

#include "counts.h"

#include <apus/latest.h>
#include <stdio.h>

#define WATCH_INTERVAL_NS (200 * APUS_MSEC)
#define WATCH_POSITIONS 8

struct watch_position {
	char stock[8];
	int64_t shares;
};

/* What can be seen of an engine. */
struct sight {
	int64_t now_ns;
	uint64_t packets, messages, refused;
	uint64_t gaps, requests, lost, missing_now;
	uint64_t open_orders, breaks, held_packets;
	struct order_counts orders;
	int64_t p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
	struct watch_position positions[WATCH_POSITIONS]; /* the largest */
	bool is_connected, is_trading, is_disk_full;
};

APUS_LATEST(sights, struct sight)

/* One screen: what is now, and the rates since before (NULL: since the start). */
void watch_print(const struct sight *now, const struct sight *before, FILE *out);

/* Prints each sight, over the last one where out is a terminal, until the engine is done. */
void watch_run(struct sights *sights, const uint32_t *is_done, FILE *out);

#endif
