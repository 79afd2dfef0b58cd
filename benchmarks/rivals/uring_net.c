/*
 * The least echo over io_uring: the two ends of a connection in one loop, each with a receive
 * that goes on for all that comes, into a ring of buffers; sends are plain system calls,
 * since io_uring's cost more here.  Between the two the loop looks at the completion queue,
 * and enters the kernel when that flags that it has work to do.
 *
 * limit: completions are worked off whenever the thread leaves the kernel (COOP_TASKRUN), so
 * that a send on loopback brings its own answer.  uring: when the ring is entered
 * (DEFER_TASKRUN).
 *
 * Left out: tasks, time-outs, other connections, the end of the stream, partial sends, a
 * receive that ended for want of buffers.
 */
#include "../bench_net_2t.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFERS = 64, BUFFER_BYTES = 256, DEFER = 1 };

struct echo {
	struct bench *b;
	struct io_uring ring;
	struct io_uring_buf_ring *lent;
	char *buffers;
	char buf[ECHO_BYTES];
};

static void lend(struct echo *echo, int id)
{
	io_uring_buf_ring_add(echo->lent, echo->buffers + id * BUFFER_BYTES, BUFFER_BYTES,
		(unsigned short)id, BUFFERS - 1, 0);
	io_uring_buf_ring_advance(echo->lent, 1);
}

static int buffers_open(struct echo *echo)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS, .bgid = 0 };
	size_t bytes = BUFFERS * (sizeof(struct io_uring_buf) + BUFFER_BYTES);
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	echo->lent = (struct io_uring_buf_ring *)(void *)memory;
	echo->buffers = memory + BUFFERS * sizeof(struct io_uring_buf);
	reg.ring_addr = (uintptr_t)memory;
	io_uring_buf_ring_init(echo->lent);
	for (int i = 0; i < BUFFERS; i++)
		lend(echo, i);
	return io_uring_register_buf_ring(&echo->ring, &reg, 0);
}

static void receive(struct echo *echo, int fd, uint64_t who)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&echo->ring);

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	io_uring_sqe_set_data64(sqe, who);
}

/* Takes the message that `who` is to get, and gives its buffer back. */
static bool take(struct echo *echo, uint64_t who)
{
	struct io_uring *ring = &echo->ring;
	struct io_uring_cqe *cqe;
	int id;
	bool ok;

	while (io_uring_cq_ready(ring) == 0)
		if (IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_TASKRUN)
			io_uring_get_events(ring);
	if (io_uring_peek_cqe(ring, &cqe) != 0)
		return false;
	id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	ok = cqe->res == ECHO_BYTES && cqe->user_data == who &&
		(cqe->flags & IORING_CQE_F_MORE) != 0;
	if (ok)
		memcpy(echo->buf, echo->buffers + id * BUFFER_BYTES, ECHO_BYTES);
	io_uring_cqe_seen(ring, cqe);
	lend(echo, id);
	return ok;
}

static bool pass(struct echo *echo, int from, uint64_t to)
{
	return send(from, echo->buf, sizeof echo->buf, MSG_NOSIGNAL) == ECHO_BYTES &&
		take(echo, to);
}

static void echo_run(struct echo *echo, int client, int server)
{
	memset(echo->buf, 'a', sizeof echo->buf);
	receive(echo, client, 0);
	receive(echo, server, 1);
	io_uring_submit(&echo->ring);
	while (bench_more(echo->b)) {
		bool ok = pass(echo, client, 1) && pass(echo, server, 0);

		bench_sample(echo->b, 1);
		if (!ok)
			bench_fail(echo->b, "an echo of %d bytes broke: %s", ECHO_BYTES,
				strerror(errno));
	}
}

static void echo_on(struct bench *b, int client, int server)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
		IORING_SETUP_TASKRUN_FLAG | (b->arg == DEFER ? IORING_SETUP_DEFER_TASKRUN :
							       IORING_SETUP_COOP_TASKRUN) };
	struct echo echo = { .b = b };
	int err = io_uring_queue_init_params(64, &echo.ring, &params);

	if (err != 0) {
		bench_skip(b, "io_uring_setup: %s", strerror(-err));
		return;
	}
	err = buffers_open(&echo);
	if (err != 0)
		bench_skip(b, "a ring of buffers: %s", strerror(-err));
	else
		echo_run(&echo, client, server);
	io_uring_queue_exit(&echo.ring);
}

static void tcp_echo(struct bench *b)
{
	struct sockets pair;

	if (sockets_open(b, &pair, 1) == 0)
		echo_on(b, pair.theirs[0], pair.ours[0]);
	sockets_close(&pair);
}
BENCH_ENTRANT(tcp_echo_uring_limit, .row = "net/tcp_echo/uring", .who = "limit",
	.run = tcp_echo);
BENCH_ENTRANT(tcp_echo_uring_defer, .row = "net/tcp_echo/uring", .who = "uring",
	.run = tcp_echo, .arg = DEFER);

static void udp_echo(struct bench *b)
{
	int pair[2];

	if (udp_pair_open(b, pair) != 0)
		return;
	echo_on(b, pair[0], pair[1]);
	close(pair[0]);
	close(pair[1]);
}
BENCH_ENTRANT(udp_echo_uring_limit, .row = "net/udp_echo/uring", .who = "limit",
	.run = udp_echo);
BENCH_ENTRANT(udp_echo_uring_defer, .row = "net/udp_echo/uring", .who = "uring",
	.run = udp_echo, .arg = DEFER);

/* ---- a server on another processor -------------------------------------------- */

static int ring_open(struct echo *echo)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
		IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_DEFER_TASKRUN };

	return io_uring_queue_init_params(64, &echo->ring, &params);
}

/* Until what comes is no whole request: the end of the stream. */
static void serve_on(struct echo *echo, struct echo_2t *two)
{
	if (buffers_open(echo) != 0) {
		two->failed = "a ring of buffers";
		return;
	}
	receive(echo, two->server, 1);
	io_uring_submit(&echo->ring);
	while (take(echo, 1))
		if (send(two->server, echo->buf, ECHO_BYTES, MSG_NOSIGNAL) != ECHO_BYTES) {
			two->failed = "the echo";
			return;
		}
}

static void *serve(void *arg)
{
	struct echo_2t *two = arg;
	struct echo echo = { .b = two->b };

	if (ring_open(&echo) != 0) {
		two->failed = "io_uring_setup";
	} else {
		serve_on(&echo, two);
		io_uring_queue_exit(&echo.ring);
	}
	if (two->failed != NULL)
		shutdown(two->server, SHUT_RDWR);
	return NULL;
}

static void tcp_echo_2t(struct bench *b)
{
	struct echo echo = { .b = b };
	int err = ring_open(&echo);

	/* A kernel without it is said here, where a row can be skipped. */
	if (err != 0) {
		bench_skip(b, "io_uring_setup: %s", strerror(-err));
		return;
	}
	io_uring_queue_exit(&echo.ring);
	echo_2t(b, serve);
}
BENCH_ENTRANT(tcp_echo_2t, .row = "net/tcp_echo_2t", .who = "uring", .run = tcp_echo_2t);
