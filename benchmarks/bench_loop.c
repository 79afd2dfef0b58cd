/*
 * Question   what does a turn cost in which nothing happens?
 * Unit       ns a turn of a busy loop: idle_turn between two polls of the kernel, with
 *            1000 idle connections; idle_turn_polled with the poll, each turn, over epoll;
 *            idle_turn_uring the same over io_uring, whose poll is a look at memory.
 * Rival      idle_turn, idle_turn_uring: one read of the TSC.  idle_turn_polled: that, and
 *            one epoll_wait.
 * Not shown  a turn that parks.
 */
#include "bench_idle.h"

BENCH_ROW(idle_turn, .name = "loop/idle_turn", .unit = "ns", .batch = 1000);
BENCH_ROW(idle_turn_polled, .name = "loop/idle_turn_polled", .unit = "ns", .batch = 100);
BENCH_ROW(idle_turn_uring, .name = "loop/idle_turn_uring", .unit = "ns", .batch = 1000);

/* arg: turns between two polls of the kernel; 0: each turn polls, the default; -1: uring. */
static void idle_turn(struct bench *b)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct loop_idle idle;

	loop_config(&config);
	config.backend = b->arg < 0 ? APUS_IO_URING : APUS_IO_EPOLL;
	config.io_interval_turns = b->arg < 0 ? 0 : (uint32_t)b->arg;
	loop = loop_open_if(b, &config);
	if (loop == NULL)
		return;
	if (loop_idle_open(b, &idle, loop, SOCKETS_IDLE) == 0)
		loop_turns(b, loop);
	loop_idle_close(&idle, loop);
	loop_close(b, loop);
}
BENCH_ENTRANT(idle_turn_apus, .row = "loop/idle_turn", .who = "apus", .run = idle_turn,
	.arg = UINT32_MAX);
BENCH_ENTRANT(idle_turn_polled_apus, .row = "loop/idle_turn_polled", .who = "apus",
	.run = idle_turn, .arg = 0);
BENCH_ENTRANT(idle_turn_uring_apus, .row = "loop/idle_turn_uring", .who = "apus",
	.run = idle_turn, .arg = -1);
