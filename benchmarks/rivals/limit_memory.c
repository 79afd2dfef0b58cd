/*
 * What a task, a timer and an idle connection need at least to keep the x
 */
#include "../bench.h"

struct link {
	struct link *next;
	struct link *prev;
};

/* Exact deadlines, ties by arming order. */
struct timer {
	struct link link;
	int64_t deadline_ns;
	uint64_t serial;
	void (*fn)(struct timer *timer);
};

/* A place in one queue, which is renewed or unlinked at the end of each poll. */
struct wait {
	struct link link;
	void *queue;
	struct wait *task_next;
	uint64_t poll_serial;
};

struct __attribute__((__aligned__(64))) task {
	struct task *next;             /* of the ready queue, or of the free list */
	const void *kind;
	uint64_t serial;
	uint64_t poll_serial;
	int64_t result;
	struct task *joined_by;
	struct wait *waits;
	uint64_t flags;
	struct link live;
	struct link token;             /* of the group that cancels it */
	struct wait first;
	struct timer timer;
};

struct __attribute__((__aligned__(64))) tcp {
	int fd;
	uint32_t generation;
	uint64_t flags;
	struct link read_queue;
	struct link write_queue;
	struct link hot;
	int64_t read_error;
	int64_t write_error;
	void *loop;
	uint32_t index;
	uint32_t interest;
};

static void task(struct bench *b)
{
	bench_constant(b, sizeof(struct task));
}
BENCH_ENTRANT(memory_task_limit, .row = "memory/task", .who = "limit", .run = task);

static void timer(struct bench *b)
{
	bench_constant(b, sizeof(struct timer));
}
BENCH_ENTRANT(memory_timer_limit, .row = "memory/timer", .who = "limit", .run = timer);

static void tcp(struct bench *b)
{
	bench_constant(b, sizeof(struct tcp));
}
BENCH_ENTRANT(memory_tcp_limit, .row = "memory/tcp", .who = "limit", .run = tcp);
