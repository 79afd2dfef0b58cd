/*
 * The least start: an epoll, an eventfd in it, memory for a thousand tasks, one of which runs.
 * What the scheduler leaves out: see limit_sched.h.
 *
 * Left out: a clock that is measured, sockets and timers, everything else that waits for use.
 */
#include "../bench.h"
#include "limit_sched.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { START_TASKS = 1024 };

static int64_t first_poll(struct sched *sched, struct task *task)
{
	(void)sched;
	return (int64_t)(intptr_t)task->state[0];
}

static bool start_kernel(int *epoll, int *wake)
{
	struct epoll_event event = { .events = EPOLLIN };

	*epoll = epoll_create1(EPOLL_CLOEXEC);
	*wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *epoll >= 0 && *wake >= 0 && epoll_ctl(*epoll, EPOLL_CTL_ADD, *wake, &event) == 0;
}

/* Not bench_pages: they are touched when they are used, as a loop's are. */
static bool start_tasks(struct sched *sched, struct bench *b)
{
	memset(sched, 0, sizeof *sched);
	fifo_init(&sched->ready);
	fifo_init(&sched->later);
	sched->b = b;
	sched->tasks = mmap(NULL, START_TASKS * sizeof *sched->tasks, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sched->tasks == MAP_FAILED)
		return false;
	sched->live = 1;
	sched_release(sched, &sched->tasks[0]);
	return true;
}

static void cold_start(struct bench *b)
{
	while (bench_more(b)) {
		struct sched sched;
		int epoll, wake;

		if (!start_kernel(&epoll, &wake) || !start_tasks(&sched, b)) {
			bench_fail(b, "no start: %s", strerror(errno));
			return;
		}
		sched_spawn(&sched, first_poll, true);
		sched_run(&sched);
		munmap(sched.tasks, START_TASKS * sizeof *sched.tasks);
		close(wake);
		close(epoll);
		bench_sample(b, 1);
	}
}
BENCH_ENTRANT(cold_start_limit, .row = "loop/cold_start", .who = "limit", .run = cold_start);
