/*
 * sockets.h - for the tests of io and net: a loop, calls awaited in tasks of their own, and
 * plain sockets for the other end.
 *
 * A test starts a call, does something on the other end, and turns the loop until the call
 * is done; what hangs is ended by check.
 *
 * Over the simulated network (APUS_BACKEND=sim) the other end is a socket of the same loop.
 * There it has the jitter of a seed and wakes for nothing, but no fault that a test would have
 * to be told of.  What only a kernel has says TEST_KERNEL_ONLY.
 */
#ifndef APUS_TEST_SOCKETS_H
#define APUS_TEST_SOCKETS_H

#include <fcntl.h>
#include <sys/ioctl.h>

#include "apus/loop.h"
#include "apus/net.h"
#include "apus/sim.h"
#include "io/backend.h"
#include "test.h"

static struct apus_loop *main_loop;

/* ---- over which network ------------------------------------------------------------ */

TEST_UNUSED static bool over_simulation(void)
{
	const char *name = getenv("APUS_BACKEND");

	return name != NULL && strcmp(name, "sim") == 0;
}

#define TEST_KERNEL_ONLY(...)                     \
	do {                                      \
		if (over_simulation())            \
			TEST_SKIP(__VA_ARGS__);   \
	} while (0)

/* A microsecond is nothing to what these tests wait for. */
TEST_UNUSED static void gentle_weather(struct apus_sim_config *weather)
{
	const char *seed = getenv("APUS_SIM_SEED");

	apus_sim_config_init(weather, seed != NULL ? strtoull(seed, NULL, 0) : 1);
	weather->latency_ns = 1;
	weather->jitter_ns = (int64_t)(weather->seed % 7) * 100;
	weather->spurious_ppm = weather->seed % 3 != 0 ? 300000 : 0;
}

TEST_UNUSED static void loop_open_with(void (*change)(struct apus_config *config))
{
	struct apus_sim_config weather;
	struct apus_config config;
	int err;

	apus_config_init(&config);
	gentle_weather(&weather);
	if (over_simulation()) {
		config.backend = APUS_IO_SIM;
		config.sim = &weather;
	}
	config.stall_ns = APUS_NEVER;
#if APUS_DEBUG
	config.spurious_seed = 7; /* awaits are evaluated again for no reason */
#endif
	if (change != NULL)
		change(&config);
	err = apus_open(&main_loop, &config);
	ck_assert_msg(err == 0, "apus_open: %s: %s", strerror(-err), config.reason);
}

TEST_UNUSED static void loop_open(void)
{
	loop_open_with(NULL);
}

TEST_UNUSED static void loop_close(void)
{
	ck_assert_int_eq(apus_close(main_loop, NULL), 0);
}

TEST_UNUSED static struct apus_io *loop_io(void)
{
	return apus_loop_cx(main_loop)->io;
}

TEST_UNUSED static bool is_over(enum apus_io_kind kind)
{
	return loop_io()->kind == kind;
}

TEST_UNUSED static struct apusi_slot *slot_of(uint64_t token)
{
	return apusi_slot_find(loop_io(), token);
}

/* ---- one awaited call ------------------------------------------------------------- */

/* What a call needs; each poll function takes its part. */
struct call {
	apus_poll (*poll)(struct apus_cx *cx, struct call *call);
	struct apus_fd fd;
	struct apus_tcp tcp;
	struct apus_udp udp;
	struct apus_listener listener;
	struct apus_address address;
	struct apus_packet packet;
	struct apus_write write;
	struct apus_batch *batch;
	const struct iovec *parts;
	void *data, *arg; /* arg: of a poll function of the test's own */
	size_t bytes;
	int64_t timeout_ns;
	apus_poll answer;
	bool is_done;
	struct apus_join join;
};

struct caller {
	struct apus_frame frame;
	struct call *call;
};

APUS_TASK(caller, struct caller)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->call->answer, self->call->poll(cx, self->call));
	self->call->is_done = true;
	APUS_END(0);
}

TEST_UNUSED static void call_start(struct call *call)
{
	call->is_done = false;
	ck_assert_int_eq(apus_spawn_slab(main_loop, caller, (&(struct caller){ .call = call }),
		&call->join), 0);
}

/* Turns often enough that anything that was going to happen has happened. */
TEST_UNUSED static void turns(void)
{
	int i;

	for (i = 0; i < 200; i++)
		apus_turn(main_loop);
}

TEST_UNUSED static apus_poll call_finish(struct call *call)
{
	while (!call->is_done)
		apus_turn(main_loop);
	apus_try_join(main_loop, call->join, NULL);
	return call->answer;
}

TEST_UNUSED static apus_poll call_run(struct call *call)
{
	call_start(call);
	return call_finish(call);
}

/* Starts it, and sees that it waits. */
TEST_UNUSED static void call_start_pending(struct call *call)
{
	call_start(call);
	turns();
	ck_assert_msg(!call->is_done, "did not wait, answered %" PRId64, (int64_t)call->answer);
}

TEST_UNUSED static void call_abort(struct call *call)
{
	ck_assert_int_eq(apus_abort(main_loop, call->join), 1);
	turns();
	apus_try_join(main_loop, call->join, NULL);
}

/* Passes the time, as a root. */
struct doze {
	struct apus_frame frame;
	int64_t ns;
};

APUS_TASK(doze, struct doze)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, self->ns));
	APUS_END(0);
}

/* ---- poll functions ------------------------------------------------------------------ */

TEST_UNUSED static apus_poll fd_read(struct apus_cx *cx, struct call *call)
{
	return apus_fd_read(cx, call->fd, call->data, call->bytes);
}

TEST_UNUSED static apus_poll fd_write(struct apus_cx *cx, struct call *call)
{
	return apus_fd_write(cx, call->fd, call->data, call->bytes);
}

TEST_UNUSED static apus_poll fd_readable(struct apus_cx *cx, struct call *call)
{
	return apus_fd_readable(cx, call->fd);
}

TEST_UNUSED static apus_poll fd_writable(struct apus_cx *cx, struct call *call)
{
	return apus_fd_writable(cx, call->fd);
}

TEST_UNUSED static apus_poll tcp_accept(struct apus_cx *cx, struct call *call)
{
	return apus_tcp_accept(cx, call->listener, &call->tcp, &call->address);
}

TEST_UNUSED static apus_poll tcp_connect(struct apus_cx *cx, struct call *call)
{
	return apus_tcp_connect(cx, call->tcp, &call->address);
}

TEST_UNUSED static apus_poll tcp_read(struct apus_cx *cx, struct call *call)
{
	return apus_tcp_read(cx, call->tcp, call->data, call->bytes);
}

TEST_UNUSED static apus_poll tcp_read_timeout(struct apus_cx *cx, struct call *call)
{
	return apus_timeout(cx, call->timeout_ns,
		apus_tcp_read(cx, call->tcp, call->data, call->bytes));
}

TEST_UNUSED static apus_poll tcp_write(struct apus_cx *cx, struct call *call)
{
	return apus_tcp_write(cx, call->tcp, call->data, call->bytes);
}

TEST_UNUSED static apus_poll tcp_readv(struct apus_cx *cx, struct call *call)
{
	return apus_tcp_readv(cx, call->tcp, call->parts, (int)call->bytes);
}

TEST_UNUSED static apus_poll tcp_writev(struct apus_cx *cx, struct call *call)
{
	return apus_tcp_writev(cx, call->tcp, call->parts, (int)call->bytes);
}

TEST_UNUSED static apus_poll tcp_write_all(struct apus_cx *cx, struct call *call)
{
	return apus_tcp_write_all(cx, call->tcp, &call->write, call->data, call->bytes);
}

TEST_UNUSED static apus_poll udp_recv(struct apus_cx *cx, struct call *call)
{
	return apus_udp_recv(cx, call->udp, call->data, call->bytes, &call->packet);
}

TEST_UNUSED static apus_poll udp_recv_plain(struct apus_cx *cx, struct call *call)
{
	return apus_udp_recv(cx, call->udp, call->data, call->bytes, NULL);
}

TEST_UNUSED static apus_poll udp_send(struct apus_cx *cx, struct call *call)
{
	return apus_udp_send(cx, call->udp, call->data, call->bytes,
		call->address.bytes != 0 ? &call->address : NULL);
}

TEST_UNUSED static apus_poll udp_recv_batch(struct apus_cx *cx, struct call *call)
{
	return apus_udp_recv_batch(cx, call->udp, call->batch);
}

/* ---- addresses and plain sockets ---------------------------------------------------------- */

TEST_UNUSED static struct apus_address address_of(const char *text)
{
	struct apus_address address;

	ck_assert_msg(apus_address_parse(&address, text) == 0, "cannot parse %s", text);
	return address;
}

TEST_UNUSED static bool has_ip6(void)
{
	struct apus_address address = address_of("[::1]:0");
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && bind(fd, &address.any, address.bytes) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

/* A listener of ours, and where it listens. */
TEST_UNUSED static struct apus_listener listener_open(const char *at, struct apus_address *where)
{
	struct apus_address address = address_of(at);
	struct apus_listener listener;

	ck_assert_int_eq(apus_tcp_listen(main_loop, &address, NULL, &listener), 0);
	ck_assert_int_eq(apus_listener_local(main_loop, listener, where), 0);
	return listener;
}

/* ---- the other end ------------------------------------------------------------------------- */

enum { SIMULATED_NUMBERS = 1 << 30, SIMULATED_PEERS = 64 };

static struct apus_tcp simulated_peers[SIMULATED_PEERS]; /* by number, of this loop */

TEST_UNUSED static struct apus_tcp *simulated_peer(int fd)
{
	ck_assert_int_ge(fd, SIMULATED_NUMBERS);
	ck_assert_int_lt(fd, SIMULATED_NUMBERS + SIMULATED_PEERS);
	return &simulated_peers[fd - SIMULATED_NUMBERS];
}

/* What is on its way to us arrives; a loopback interface takes no time. */
TEST_UNUSED static void raw_arrive(void)
{
	int64_t until_ns = over_simulation() ? apus_clock_now(main_loop) + 10 * APUS_USEC : 0;
	int i;

	for (i = 0; i < 20 && over_simulation() && apus_clock_now(main_loop) < until_ns &&
		apus_loop_next_ns(main_loop) < until_ns; i++)
		apus_turn(main_loop);
}

TEST_UNUSED static int simulated_connect(const struct apus_address *to)
{
	struct call call = { .poll = tcp_connect, .address = *to };
	int fd;

	ck_assert_int_eq(apus_tcp_open(main_loop, to->any.sa_family, &call.tcp), 0);
	ck_assert_int_eq(call_run(&call), 0);
	fd = apus_io_number(main_loop, call.tcp.token);
	*simulated_peer(fd) = call.tcp;
	return fd;
}

TEST_UNUSED static int raw_connect(const struct apus_address *to)
{
	int fd;

	if (over_simulation())
		return simulated_connect(to);
	fd = socket(to->any.sa_family, SOCK_STREAM, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, &to->any, to->bytes), 0);
	return fd;
}

TEST_UNUSED static void raw_write(int fd, const void *data, size_t bytes)
{
	int64_t put = -EAGAIN;

	if (fd < SIMULATED_NUMBERS) {
		ck_assert_int_eq(send(fd, data, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
		return;
	}
	while (put == -EAGAIN)
		put = apus_tcp_try_write(main_loop, *simulated_peer(fd), data, bytes);
	ck_assert_int_eq(put, (int64_t)bytes);
	raw_arrive();
}

/* All of the bytes, or those before the end. */
TEST_UNUSED static ssize_t raw_read(int fd, void *data, size_t bytes)
{
	size_t done = 0;
	int64_t got = 1;

	if (fd < SIMULATED_NUMBERS)
		return recv(fd, data, bytes, MSG_WAITALL);
	while (done < bytes && got != 0) {
		got = apus_tcp_try_read(main_loop, *simulated_peer(fd), (char *)data + done,
			bytes - done);
		ck_assert(got >= 0 || got == -EAGAIN);
		if (got == -EAGAIN)
			apus_turn(main_loop);
		else
			done += (size_t)got;
	}
	return (ssize_t)done;
}

/* What is there now: -1: nothing. */
TEST_UNUSED static ssize_t raw_try_read(int fd, void *data, size_t bytes)
{
	int64_t got;

	if (fd < SIMULATED_NUMBERS)
		return recv(fd, data, bytes, MSG_DONTWAIT);
	got = apus_tcp_try_read(main_loop, *simulated_peer(fd), data, bytes);
	return got >= 0 ? (ssize_t)got : -1;
}

TEST_UNUSED static void raw_close(int fd)
{
	if (fd < SIMULATED_NUMBERS) {
		close(fd);
		return;
	}
	ck_assert_int_eq(apus_tcp_close(main_loop, *simulated_peer(fd)), 0);
	raw_arrive();
}

/* Closes it by a reset. */
TEST_UNUSED static void raw_reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };
	struct apus_address own;

	if (fd < SIMULATED_NUMBERS) {
		ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
		close(fd);
		return;
	}
	ck_assert_int_eq(apus_tcp_local(main_loop, *simulated_peer(fd), &own), 0);
	ck_assert_int_eq(apus_sim_reset(main_loop, &own.any), 1);
	raw_arrive();
}

/* A TCP connection: one end ours and accepted, the other a plain blocking socket, or simulated. */
TEST_UNUSED static struct apus_tcp pair_open(int *theirs)
{
	struct apus_address where;
	struct call call = { .poll = tcp_accept, .listener = listener_open("127.0.0.1:0", &where) };

	*theirs = raw_connect(&where);
	ck_assert_int_eq(call_run(&call), 0);
	ck_assert_int_eq(apus_listener_close(main_loop, call.listener), 0);
	return call.tcp;
}

#endif
