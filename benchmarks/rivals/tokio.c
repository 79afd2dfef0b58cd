/*
 * tokio, as tokio/lib.rs uses it: one thread, tasks that stay on it.
 * tokio-spin: the same, but whoever finds nothing yields, and the runtime never parks.  Here are
 * the rows, and what Rust needs of bench.h; each call of it is outside the stamps, but for the
 * call itself and its return.
 *
 * What differs: tokio's unit of time is the millisecond, and it rounds up; in timer/ what fires
 * is a waker that only counts, which is less than a task would cost.  In task/, channel/ and
 * cross/ the runtime has no drivers, so that its turn asks the kernel for nothing; in
 * wake_parked and net/ it has the one for descriptors.  It has one bounded channel, from many to
 * one and between threads, which stands in the rows of them all.
 * In file/ its pool of threads reads, as it does for tokio's own files.
 */
#include "../bench_cross.h"
#include "../bench_file.h"
#include "../bench_net_2t.h"
#include "../bench_task.h"
#include "../bench_timer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Rust calls --------------------------------------------------------------- */

struct waking {
	struct wake wake;
	const void *notify;
};

bool rival_more(struct bench *b);
bool rival_stopping(struct bench *b);
void rival_sample(struct bench *b, uint32_t ops);
void rival_pause(struct bench *b);
void rival_resume(struct bench *b);
uint32_t rival_batch(const struct bench *b);
void rival_fail(struct bench *b, const char *what);
void *rival_start(struct bench *b, void *(*run)(void *arg), void *arg);
void rival_join(void *thread);
void rival_elsewhere(const struct bench *b);
uint64_t rival_offset(uint64_t *random);
bool rival_oneway_begin(struct oneway *way, void *to);
void rival_oneway_saw(struct oneway *way, uint64_t stamp);
void rival_oneway_end(struct oneway *way);
bool rival_wake_begin(struct waking *waking, struct bench *b, const void *notify);
void rival_wake_seen(struct waking *waking);
void rival_wake_end(struct waking *waking);

bool rival_more(struct bench *b)
{
	return bench_more(b);
}

bool rival_stopping(struct bench *b)
{
	return bench_stopping(b);
}

void rival_sample(struct bench *b, uint32_t ops)
{
	bench_sample(b, ops);
}

void rival_pause(struct bench *b)
{
	bench_pause(b);
}

void rival_resume(struct bench *b)
{
	bench_resume(b);
}

uint32_t rival_batch(const struct bench *b)
{
	return b->batch;
}

void rival_fail(struct bench *b, const char *what)
{
	bench_fail(b, "tokio: %s", what);
}

/* NULL after a bench_skip. */
void *rival_start(struct bench *b, void *(*run)(void *arg), void *arg)
{
	pthread_t *thread = malloc(sizeof *thread);

	if (thread == NULL)
		abort();
	if (wake_thread(b, thread, run, arg))
		return thread;
	free(thread);
	return NULL;
}

void rival_join(void *thread)
{
	pthread_join(*(pthread_t *)thread, NULL);
	free(thread);
}

void rival_elsewhere(const struct bench *b)
{
	(void)wake_elsewhere(b);
}

uint64_t rival_offset(uint64_t *random)
{
	return file_offset(random);
}

/* ---- C calls --------------------------------------------------------------------- */

void tokio_spawn_join(struct bench *b);
void tokio_spawn_batch(struct bench *b);
void tokio_yields(struct bench *b, uint32_t crowd);
void tokio_arm_disarm(struct bench *b, const int64_t *far, size_t far_count, const int64_t *near,
	size_t near_count);
void tokio_arm_fire(struct bench *b, const int64_t *far, size_t far_count, const int64_t *soon,
	size_t soon_count);
void tokio_worst_turn(struct bench *b, size_t count);
void tokio_try(struct bench *b, uint32_t capacity);
void tokio_await(struct bench *b, uint32_t capacity);
void tokio_mpsc_stream(struct bench *b, uint32_t capacity, bool spin);
int tokio_oneway_send(const void *to, uint64_t stamp);
void tokio_oneway(struct bench *b, struct oneway *way, uint32_t capacity, bool spin);
void tokio_pingpong(struct bench *b, uint32_t capacity, bool spin);
void tokio_notify(const void *notify);
void tokio_wake(struct bench *b, struct bench *same, struct waking *waking);
void tokio_tcp_echo(struct bench *b, int client, int server);
void tokio_udp_echo(struct bench *b, int client, int server);
int tokio_serve(int fd, bool spin);
void tokio_file(struct bench *b, int fd, uint32_t depth);

enum { PARKS, SPINS };

/* ---- tasks ------------------------------------------------------------------------ */

static void yields(struct bench *b)
{
	tokio_yields(b, (uint32_t)b->arg);
}
BENCH_ENTRANT(spawn_join, .row = "task/spawn_join", .who = "tokio", .run = tokio_spawn_join);
BENCH_ENTRANT(spawn_batch, .row = "task/spawn_batch", .who = "tokio", .run = tokio_spawn_batch);
TASK_PEER_YIELDS("tokio", yields);

/* ---- timers ----------------------------------------------------------------------- */

/* The deadlines of b->arg far timers; NULL after a bench_skip. */
static int64_t *far_delays(struct bench *b)
{
	size_t count = (size_t)b->arg;
	int64_t *far = bench_pages(b, (count + 1) * sizeof *far);
	uint64_t state = BENCH_SEED;

	for (size_t i = 0; far != NULL && i < count; i++)
		far[i] = timer_delay_far(&state);
	return far;
}

static void arm_disarm(struct bench *b)
{
	int64_t near[TIMER_DELAYS];
	int64_t *far = far_delays(b);

	if (far == NULL)
		return;
	timer_delays_near(near);
	tokio_arm_disarm(b, far, (size_t)b->arg, near, TIMER_DELAYS);
	bench_pages_free(far, ((size_t)b->arg + 1) * sizeof *far);
}

static void arm_fire(struct bench *b)
{
	int64_t soon[TIMER_DELAYS];
	int64_t *far = far_delays(b);

	if (far == NULL)
		return;
	timer_delays_soon(soon);
	tokio_arm_fire(b, far, (size_t)b->arg, soon, TIMER_BATCH);
	bench_pages_free(far, ((size_t)b->arg + 1) * sizeof *far);
}

static void worst_turn(struct bench *b)
{
	tokio_worst_turn(b, (size_t)b->arg);
}
TIMER_PEER("tokio");

/* ---- channels --------------------------------------------------------------------- */

static void channel_try(struct bench *b)
{
	tokio_try(b, (uint32_t)b->arg);
}
BENCH_ENTRANT(local_try, .row = "channel/local_try", .who = "tokio", .run = channel_try,
	.arg = CHANNEL_CAPACITY);
BENCH_ENTRANT(spsc_try, .row = "channel/spsc_try", .who = "tokio", .run = channel_try,
	.arg = CROSS_CAPACITY);
BENCH_ENTRANT(mpsc_try, .row = "channel/mpsc_try", .who = "tokio", .run = channel_try,
	.arg = CROSS_CAPACITY);

static void local_await(struct bench *b)
{
	tokio_await(b, CHANNEL_CAPACITY);
}
BENCH_ENTRANT(local_await, .row = "channel/local_await", .who = "tokio", .run = local_await);

/* ---- between threads ---------------------------------------------------------------- */

static void mpsc_stream(struct bench *b)
{
	tokio_mpsc_stream(b, CROSS_CAPACITY, b->arg == SPINS);
}
BENCH_ENTRANT(mpsc_stream, .row = "cross/mpsc_stream", .who = "tokio", .run = mpsc_stream,
	.arg = PARKS);
BENCH_ENTRANT(mpsc_stream_spin, .row = "cross/mpsc_stream", .who = "tokio-spin",
	.run = mpsc_stream, .arg = SPINS);

static int oneway_send(struct oneway *way, uint64_t stamp)
{
	return tokio_oneway_send(way->channel, stamp);
}

bool rival_oneway_begin(struct oneway *way, void *to)
{
	way->channel = to;
	return oneway_begin(way);
}

void rival_oneway_saw(struct oneway *way, uint64_t stamp)
{
	oneway_saw(way, stamp);
}

void rival_oneway_end(struct oneway *way)
{
	oneway_end(way);
}

static void oneway(struct bench *b)
{
	struct oneway way = { .b = b, .send = oneway_send };

	tokio_oneway(b, &way, CROSS_CAPACITY, b->arg == SPINS);
}
BENCH_ENTRANT(oneway, .row = "cross/oneway", .who = "tokio", .run = oneway, .arg = PARKS);
BENCH_ENTRANT(oneway_spin, .row = "cross/oneway", .who = "tokio-spin", .run = oneway,
	.arg = SPINS);

static void pingpong(struct bench *b)
{
	tokio_pingpong(b, CROSS_CAPACITY, b->arg == SPINS);
}
BENCH_ENTRANT(pingpong, .row = "cross/pingpong", .who = "tokio", .run = pingpong, .arg = PARKS);
BENCH_ENTRANT(pingpong_spin, .row = "cross/pingpong", .who = "tokio-spin", .run = pingpong,
	.arg = SPINS);

static void ring(struct wake *wake)
{
	tokio_notify(((struct waking *)wake)->notify);
}

bool rival_wake_begin(struct waking *waking, struct bench *b, const void *notify)
{
	waking->notify = notify;
	return wake_begin(b, &waking->wake, ring, false);
}

void rival_wake_seen(struct waking *waking)
{
	(void)wake_seen(&waking->wake);
}

void rival_wake_end(struct waking *waking)
{
	wake_end(&waking->wake);
}

static void wake_parked(struct bench *b)
{
	struct waking waking;

	memset(&waking, 0, sizeof waking);
	tokio_wake(b, b, &waking);
}
BENCH_ENTRANT(wake_parked, .row = "cross/wake_parked/plain", .who = "tokio", .run = wake_parked);

/* ---- sockets ------------------------------------------------------------------------ */

static void echo(struct bench *b)
{
	struct echo_pair pair;

	if (echo_pair_open(b, &pair) != 0)
		return;
	if (b->arg == ECHO_UDP)
		tokio_udp_echo(b, pair.client, pair.server);
	else
		tokio_tcp_echo(b, pair.client, pair.server);
	echo_pair_close(b, &pair);
}
NET_PEER("tokio", echo);

static void *serve_on(struct echo_2t *echo, bool spin)
{
	if (tokio_serve(echo->server, spin) != 0) {
		echo->failed = "the echo";
		shutdown(echo->server, SHUT_RDWR);
	}
	return NULL;
}

static void *serve_parking(void *arg)
{
	return serve_on(arg, false);
}

static void *serve_spinning(void *arg)
{
	return serve_on(arg, true);
}

static void tcp_echo_2t(struct bench *b)
{
	echo_2t(b, b->arg == SPINS ? serve_spinning : serve_parking);
}
BENCH_ENTRANT(tcp_echo_2t, .row = "net/tcp_echo_2t", .who = "tokio", .run = tcp_echo_2t,
	.arg = PARKS);
BENCH_ENTRANT(tcp_echo_2t_spin, .row = "net/tcp_echo_2t", .who = "tokio-spin",
	.run = tcp_echo_2t, .arg = SPINS);

/* ---- files -------------------------------------------------------------------------- */

static void file_read(struct bench *b)
{
	int fd = file_make(b);

	if (fd < 0)
		return;
	tokio_file(b, fd, (uint32_t)b->arg);
	close(fd);
}
BENCH_ENTRANT(file_qd1, .row = "file/read_4k/qd1", .who = "tokio", .run = file_read, .arg = 1);
BENCH_ENTRANT(file_qd32, .row = "file/read_4k/qd32", .who = "tokio", .run = file_read,
	.arg = FILE_DEPTH);
