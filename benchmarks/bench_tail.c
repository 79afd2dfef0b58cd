/*
 * Question   what is left of a tail while another processor is busy, and with it the caches and
 *            the memory that both share?
 * Unit       ns, each operation stamped alone: an idle turn, a turn in which a task yields, a
 *            TCP echo over awaited hot sockets, a deadline of 10 kHz, a tick to its trade.
 * Rival      whoever answers the row of the same name without its neighbour (`like` below).
 * Not shown  a neighbour that makes the same system calls, or writes to the same lines.
 */
#include "bench.h"

/* Fewer repetitions, and longer: a tail takes many samples. */
#define TAIL_SHARE .budget_ns = 300000000, .repeat_max = 3

BENCH_ROW(tail_idle_turn, .name = "tail/idle_turn", .unit = "ns", .like = "loop/idle_turn",
	.busy = true, TAIL_SHARE);
BENCH_ROW(tail_yield, .name = "tail/yield_1", .unit = "ns", .like = "task/yield_1", .busy = true,
	TAIL_SHARE);
BENCH_ROW(tail_tcp_echo, .name = "tail/tcp_echo", .unit = "ns", .like = "net/tcp_echo/hot",
	.busy = true, TAIL_SHARE);
BENCH_ROW(tail_jitter, .name = "tail/jitter_10khz", .unit = "ns", .like = "jitter/10khz",
	.busy = true, TAIL_SHARE);
BENCH_ROW(tail_trade, .name = "tail/tick_to_trade", .unit = "ns", .like = "demo/tick_to_trade",
	.busy = true, TAIL_SHARE);
