/*
 * Question   how long from a thread's wake to the poll of a task, where the loop is parked?
 *            And a task started on another thread's busy loop, and joined: the round trip.
 * Unit       ns; wake_parked: one way.
 * Rival      epoll_wait on an eventfd and a write to it; two threads that spin on two words.
 * Not shown  a wake of a loop that is awake: see cross/oneway.
 */
#define _GNU_SOURCE
#include "bench_loop.h"
#include "bench_wake.h"

#include "apus/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

BENCH_ROW(wake_plain, .name = "cross/wake_parked/plain", .unit = "ns");
BENCH_ROW(wake_hold, .name = "cross/wake_parked/hold", .unit = "ns");
BENCH_ROW(spawn_join, .name = "cross/remote_spawn_join", .unit = "ns", .batch = 16);

/* ---- the other thread ----------------------------------------------------------- */

/* To any processor but the bench's that lets this thread. */
static bool move_elsewhere(const struct bench *b, cpu_set_t *there)
{
	long count = sysconf(_SC_NPROCESSORS_CONF);

	for (int cpu = 0; cpu < count; cpu++) {
		CPU_ZERO(there);
		CPU_SET(cpu, there);
		if (cpu != b->cpu && sched_setaffinity(0, sizeof *there, there) == 0)
			return true;
	}
	return false;
}

bool wake_elsewhere(const struct bench *b)
{
	cpu_set_t there;

	return move_elsewhere(b, &there);
}

/* Threads inherit the bench's one processor: theirs is another. */
static bool pin_elsewhere(const struct bench *b, pthread_attr_t *attr)
{
	cpu_set_t here, there;
	bool found;

	sched_getaffinity(0, sizeof here, &here);
	found = move_elsewhere(b, &there);
	if (found)
		pthread_attr_setaffinity_np(attr, sizeof there, &there);
	sched_setaffinity(0, sizeof here, &here);
	return found;
}

bool wake_thread(struct bench *b, pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	bool started = false;

	pthread_attr_init(&attr);
	if (!pin_elsewhere(b, &attr))
		bench_skip(b, "this needs a second processor");
	else if (pthread_create(thread, &attr, fn, arg) != 0)
		bench_skip(b, "no second thread");
	else
		started = true;
	pthread_attr_destroy(&attr);
	return started;
}

static void *ring_on(void *arg)
{
	struct wake *wake = arg;
	uint64_t n;

	for (n = 1;; n++) {
		uint64_t begin;

		while (__atomic_load_n(&wake->seen, __ATOMIC_ACQUIRE) != n - 1)
			;
		if (__atomic_load_n(&wake->over, __ATOMIC_ACQUIRE))
			return NULL;
		begin = bench_ticks();
		while (bench_ns(wake->b, bench_ticks() - begin) < WAKE_REST_NS)
			;
		wake->stamp = bench_ticks_begin();
		__atomic_store_n(&wake->sent, n, __ATOMIC_RELEASE);
		wake->ring(wake);
	}
}

bool wake_begin(struct bench *b, struct wake *wake, void (*ring)(struct wake *wake), bool hold)
{
	const int32_t none = 0;

	wake->b = b;
	wake->ring = ring;
	wake->latency_fd = -1;
	if (hold) {
		wake->latency_fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
		if (wake->latency_fd < 0 ||
		    write(wake->latency_fd, &none, sizeof none) != (ssize_t)sizeof none) {
			bench_skip(b, "/dev/cpu_dma_latency: %s", strerror(errno));
			return false;
		}
	}
	if (wake_thread(b, &wake->thread, ring_on, wake))
		return true;
	if (wake->latency_fd >= 0)
		close(wake->latency_fd);
	return false;
}

void wake_end(struct wake *wake)
{
	pthread_join(wake->thread, NULL);
	if (wake->latency_fd >= 0)
		close(wake->latency_fd);
}

bool wake_seen(struct wake *wake)
{
	uint64_t now = bench_ticks_end();
	uint64_t sent = __atomic_load_n(&wake->sent, __ATOMIC_ACQUIRE);

	if (sent == wake->seen)
		return false;
	bench_value(wake->b, bench_ns(wake->b, now - wake->stamp));
	if (bench_stopping(wake->b))
		__atomic_store_n(&wake->over, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&wake->seen, sent, __ATOMIC_RELEASE);
	return true;
}

/* ---- waking a parked loop ---------------------------------------------------------- */

struct wake_apus {
	struct wake wake;
	struct apus_waker waker;
};

struct woken {
	struct apus_frame frame;
	struct wake_apus *with;
};

static void ring_apus(struct wake *wake)
{
	apus_wake(((struct wake_apus *)wake)->waker);
}

APUS_TASK(woken, struct woken)
{
	int err;

	APUS_BEGIN(cx, self);
	err = apus_waker(cx, &self->with->waker);
	if (err)
		return err;
	if (!wake_begin(self->with->wake.b, &self->with->wake, ring_apus, false))
		return 0;
	while (!bench_stopping(self->with->wake.b))
		APUS_WAIT(wake_seen(&self->with->wake) ? 0 : APUS_PENDING);
	wake_end(&self->with->wake);
	APUS_END(0);
}

/* arg: 1, the loop holds the latency. */
static void wake_parked(struct bench *b)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct wake_apus with;
	int err;

	memset(&with, 0, sizeof with);
	with.wake.b = b;
	loop_config(&config);
	config.idle = APUS_IDLE_PARK;
	config.hold_latency = b->arg != 0;
	err = apus_open(&loop, &config);
	if (err) {
		bench_skip(b, "%s", config.reason);
		return;
	}
	loop_check(b, apus_run(loop, woken, (&(struct woken){ .with = &with })));
	loop_close(b, loop);
}
BENCH_ENTRANT(wake_plain_apus, .row = "cross/wake_parked/plain", .who = "apus",
	.run = wake_parked);
BENCH_ENTRANT(wake_hold_apus, .row = "cross/wake_parked/hold", .who = "apus",
	.run = wake_parked, .arg = 1);

/* ---- spawning on another loop --------------------------------------------------------- */

struct host {
	struct bench *b;
	struct apus_remote remote;
	uint32_t open;
};

struct host_root {
	struct apus_frame frame;
};

APUS_TASK(host_root, struct host_root)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_cancelled(cx, apus_loop_token(cx->loop)));
	APUS_END(0);
}

static void *host_main(void *arg)
{
	struct host *host = arg;
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(host->b, &config);
	if (loop != NULL)
		host->remote = apus_loop_remote(loop);
	apus_store_release(&host->open, 1);
	if (loop == NULL)
		return NULL;
	(void)apus_run(loop, host_root, NULL);
	apus_close(loop, NULL);
	return NULL;
}

struct adds {
	int64_t a, b;
};

APUS_TASK(adds, struct adds)
{
	(void)cx;
	return self->a + self->b;
}

static bool spawn_and_join(struct bench *b, struct apus_remote remote, int64_t n)
{
	struct adds init = { n, 1 };
	struct apus_remote_join join;
	apus_poll result = 0;
	int err = apus_remote_spawn(remote, adds, &init, &join);

	if (!err)
		err = apus_remote_join(join, APUS_NEVER, &result);
	if (err || result != n + 1)
		bench_fail(b, "a task answered %lld: %s", (long long)result, strerror(-err));
	return !err;
}

static void remote_spawn_join(struct bench *b)
{
	struct host host = { .b = b };
	pthread_t thread;

	if (!wake_thread(b, &thread, host_main, &host))
		return;
	while (!apus_load_acquire(&host.open))
		;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++)
			if (!spawn_and_join(b, host.remote, i))
				break;
		bench_sample(b, b->batch);
	}
	apus_remote_stop(host.remote);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(spawn_join_apus, .row = "cross/remote_spawn_join", .who = "apus",
	.run = remote_spawn_join);
