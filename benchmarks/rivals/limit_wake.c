/*
 * The least that wakes a thread which waits for descriptors too, and the least that has a
 * function run by another thread and waits for its result.
 */
#include "../bench_wake.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct wake_eventfd {
	struct wake wake;
	int eventfd;
};

static void ring_eventfd(struct wake *wake)
{
	const uint64_t one = 1;

	if (write(((struct wake_eventfd *)wake)->eventfd, &one, sizeof one) != (ssize_t)sizeof one)
		bench_fail(wake->b, "the eventfd cannot be written");
}

/* Each write is an edge, so the counter is never read. */
static void sleep_on(struct wake_eventfd *with, int epoll)
{
	struct epoll_event event;

	while (!bench_stopping(with->wake.b))
		if (epoll_wait(epoll, &event, 1, -1) == 1)
			(void)wake_seen(&with->wake);
}

/* arg: 1, with the latency held. */
static void wake_limit(struct bench *b)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct wake_eventfd with;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	memset(&with, 0, sizeof with);
	with.eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (epoll < 0 || with.eventfd < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, with.eventfd, &event) != 0) {
		bench_skip(b, "no epoll or no eventfd");
	} else if (wake_begin(b, &with.wake, ring_eventfd, b->arg != 0)) {
		sleep_on(&with, epoll);
		wake_end(&with.wake);
	}
	close(with.eventfd);
	close(epoll);
}
BENCH_ENTRANT(wake_plain_limit, .row = "cross/wake_parked/plain", .who = "limit",
	.run = wake_limit);
BENCH_ENTRANT(wake_hold_limit, .row = "cross/wake_parked/hold", .who = "limit",
	.run = wake_limit, .arg = 1);

/* ---- a function run elsewhere ----------------------------------------------------- */

struct call {
	int64_t (*fn)(const int64_t *state);
	int64_t state[2], result;
	uint64_t asked;
	uint64_t answered __attribute__((__aligned__(64)));
} __attribute__((__aligned__(64)));

static int64_t call_adds(const int64_t *state)
{
	return state[0] + state[1];
}

static void *call_serve(void *arg)
{
	struct call *call = arg;
	uint64_t n, asked;

	for (n = 1;; n++) {
		while ((asked = __atomic_load_n(&call->asked, __ATOMIC_ACQUIRE)) < n)
			;
		if (asked == UINT64_MAX)
			return NULL;
		call->result = call->fn(call->state);
		__atomic_store_n(&call->answered, n, __ATOMIC_RELEASE);
	}
}

static void call_limit(struct bench *b)
{
	static struct call call;
	pthread_t thread;
	uint64_t n = 0;

	memset(&call, 0, sizeof call);
	call.fn = call_adds;
	if (!wake_thread(b, &thread, call_serve, &call))
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			call.state[0] = i;
			call.state[1] = 1;
			__atomic_store_n(&call.asked, ++n, __ATOMIC_RELEASE);
			while (__atomic_load_n(&call.answered, __ATOMIC_ACQUIRE) != n)
				;
			if (call.result != (int64_t)i + 1)
				bench_fail(b, "the sum is wrong");
		}
		bench_sample(b, b->batch);
	}
	__atomic_store_n(&call.asked, UINT64_MAX, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(spawn_join_limit, .row = "cross/remote_spawn_join", .who = "limit",
	.run = call_limit);
