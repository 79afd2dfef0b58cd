/*
 * The least turn: the time, read and kept; and with its poll, one epoll_wait beside it on
 * as many idle connections as the loop has.
 *
 * Left out: everything but the clock: no budget, no counter, no look at any queue.
 */
#include "../bench_sockets.h"

#include <sys/epoll.h>
#include <unistd.h>

static void idle_turn(struct bench *b)
{
	volatile uint64_t now;

	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++)
			now = bench_ticks();
		bench_sample(b, b->batch);
	}
	(void)now;
}
BENCH_ENTRANT(idle_turn_limit, .row = "loop/idle_turn", .who = "limit", .run = idle_turn);
BENCH_ENTRANT(idle_turn_uring_limit, .row = "loop/idle_turn_uring", .who = "limit",
	.run = idle_turn);

static int watch(int epoll, const struct sockets *idle)
{
	for (uint32_t i = 0; i < idle->count; i++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u32 = i };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, idle->ours[i], &event) != 0)
			return -1;
	}
	return 0;
}

static void idle_turn_polled(struct bench *b)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64];
	volatile uint64_t now;
	struct sockets idle;

	if (sockets_open(b, &idle, SOCKETS_IDLE) == 0 && watch(epoll, &idle) == 0) {
		while (bench_more(b)) {
			for (uint32_t i = 0; i < b->batch; i++) {
				now = bench_ticks();
				if (epoll_wait(epoll, events, 64, 0) != 0)
					bench_fail(b, "an idle connection is ready");
			}
			bench_sample(b, b->batch);
		}
		(void)now;
	}
	sockets_close(&idle);
	close(epoll);
}
BENCH_ENTRANT(idle_turn_polled_limit, .row = "loop/idle_turn_polled", .who = "limit",
	.run = idle_turn_polled);
