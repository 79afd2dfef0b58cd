/*
 * test_net_tuning.c - what the kernel does for a socket on request: polls its device's queue,
 * tells when a datagram left, keeps to a CPU.  Each is had, or refused with the reason.
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>

#include "sockets.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif

/* ---- stamps of what was sent ----------------------------------------------------- */

static struct apus_udp udp_of(bool sent_stamps, struct apus_address *where)
{
	const struct apus_udp_config config = { .sent_stamps = sent_stamps };
	struct apus_address at = address_of("127.0.0.1:0");
	struct apus_udp udp;

	ck_assert_int_eq(apus_udp_open(main_loop, &at, &config, &udp), 0);
	ck_assert_int_eq(apus_udp_local(main_loop, udp, where), 0);
	return udp;
}

static struct apus_sent sent;

static apus_poll await_sent(struct apus_cx *cx, struct call *call)
{
	return apus_udp_sent(cx, call->udp, &sent);
}

static int64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

static void send_one(struct apus_udp from, const struct apus_address *to)
{
	ck_assert_int_eq(apus_udp_try_send(main_loop, from, "stamp me", 8, to), 8);
}

/* Each in order, with its number, at a time between before and after. */
START_TEST(the_stamps_of_what_was_sent_are_drained_in_order)
{
	struct apus_address from_at, to_at;
	struct apus_udp from, to;
	int64_t before_ns = wall_ns() - APUS_SEC, last_ns = 0;
	uint32_t i;
	int err;

	TEST_LINUX_ONLY();
	loop_open();
	from = udp_of(true, &from_at);
	to = udp_of(false, &to_at);
	ck_assert_int_eq(apus_udp_try_sent(main_loop, from, &sent), -EAGAIN);
	for (i = 0; i < 10; i++)
		send_one(from, &to_at);
	for (i = 0; i < 10; i++) {
		while ((err = apus_udp_try_sent(main_loop, from, &sent)) == -EAGAIN)
			apus_turn(main_loop);
		ck_assert_int_eq(err, 0);
		ck_assert_uint_eq(sent.number, i);
		ck_assert_int_ge(sent.stamp_ns, before_ns);
		ck_assert_int_ge(sent.stamp_ns, last_ns);
		ck_assert_int_le(sent.stamp_ns, wall_ns() + APUS_SEC);
		last_ns = sent.stamp_ns;
	}
	ck_assert_int_eq(apus_udp_try_sent(main_loop, from, &sent), -EAGAIN);
	/* Who did not ask gets none. */
	send_one(to, &from_at);
	turns();
	ck_assert_int_eq(apus_udp_try_sent(main_loop, to, &sent), -EAGAIN);
	loop_close();
}
END_TEST

START_TEST(a_stamp_is_awaited)
{
	struct apus_address from_at, to_at;
	struct call call = { .poll = await_sent }, second = { .poll = udp_recv_plain };
	char bytes[16];
	uint32_t i;

	TEST_LINUX_ONLY();
	loop_open();
	call.udp = second.udp = udp_of(true, &from_at);
	udp_of(false, &to_at);
	for (i = 0; i < 3; i++) {
		call_start_pending(&call);
		second.data = bytes;
		second.bytes = sizeof bytes;
		ck_assert_int_eq(call_run(&second), -EBUSY);
		send_one(call.udp, &to_at);
		ck_assert_int_eq(call_finish(&call), 0);
		ck_assert_uint_eq(sent.number, i);
	}
	/* One that was sent before anybody waits. */
	send_one(call.udp, &to_at);
	turns();
	ck_assert_int_eq(call_run(&call), 0);
	ck_assert_uint_eq(sent.number, 3);
	call_start_pending(&call);
	ck_assert_int_eq(apus_udp_close(main_loop, call.udp), 0);
	ck_assert_int_eq(call_finish(&call), -EPIPE);
	ck_assert_int_eq(apus_udp_try_sent(main_loop, call.udp, &sent), -ESTALE);
	loop_close();
}
END_TEST

static void park(struct apus_config *config)
{
	config->idle = APUS_IDLE_PARK;
}

/* P11: stamps that nobody takes are an error that stays, and a parked loop sleeps on. */
START_TEST(stamps_that_nobody_takes_do_not_keep_a_reader_awake)
{
	struct apus_counters before, after;
	struct apus_address from_at, to_at;
	char bytes[16];
	struct call call = { .poll = udp_recv_plain, .data = bytes, .bytes = sizeof bytes };

	TEST_LINUX_ONLY();
	loop_open_with(park);
	if (strcmp(apusi_io_name(loop_io()), "libev") == 0) {
		loop_close();
		TEST_SKIP("libev tells of a queue of errors for as long as it is not empty");
	}
	call.udp = udp_of(true, &from_at);
	udp_of(false, &to_at);
	call_start(&call);
	ck_assert_int_eq(apus_run(main_loop, doze, (&(struct doze){ .ns = APUS_MSEC })), 0);
	send_one(call.udp, &to_at);
	ck_assert_int_eq(apus_run(main_loop, doze, (&(struct doze){ .ns = APUS_MSEC })), 0);
	apus_counters_read(main_loop, &before);
	ck_assert_int_eq(apus_run(main_loop, doze, (&(struct doze){ .ns = 50 * APUS_MSEC })), 0);
	apus_counters_read(main_loop, &after);
	ck_assert_uint_le(after.turns - before.turns, 20);
	ck_assert(!call.is_done);
	ck_assert_int_eq(apus_udp_try_sent(main_loop, call.udp, &sent), 0);
	loop_close();
}
END_TEST

/* ---- busy polling ------------------------------------------------------------------- */

static int option_of(struct apus_udp udp, int name)
{
	int value = -1;

	ck_assert_int_eq(apus_socket_get(main_loop, udp.token, SOL_SOCKET, name, &value), 0);
	return value;
}

START_TEST(a_socket_prefers_busy_polling_or_says_why_not)
{
	struct apus_address at;
	char reason[160] = "";
	struct apus_udp udp;
	int err;

	loop_open();
	udp = udp_of(false, &at);
	err = apus_udp_prefer_busy_poll(main_loop, udp, true, 16, reason, sizeof reason);
	if (err == 0) {
		ck_assert_int_eq(option_of(udp, SO_PREFER_BUSY_POLL), 1);
		ck_assert_int_eq(apus_udp_prefer_busy_poll(main_loop, udp, false, 0, reason,
			sizeof reason), 0);
		ck_assert_int_eq(option_of(udp, SO_PREFER_BUSY_POLL), 0);
	} else {
		ck_assert_ptr_nonnull(strstr(reason, "SO_PREFER_BUSY_POLL 1, SO_BUSY_POLL_BUDGET 16: "));
	}
	err = apus_udp_prefer_busy_poll(main_loop, udp, true, -1, reason, sizeof reason);
	ck_assert_int_lt(err, 0);
	ck_assert_ptr_nonnull(strstr(reason, "SO_BUSY_POLL_BUDGET -1: "));
	ck_assert_int_eq(apus_udp_close(main_loop, udp), 0);
	ck_assert_int_eq(apus_udp_prefer_busy_poll(main_loop, udp, true, 16, reason, sizeof reason),
		-ESTALE);
	loop_close();
}
END_TEST

START_TEST(what_needs_a_privilege_is_refused_with_the_reason)
{
	struct apus_address at;
	char reason[160] = "";
	struct apus_udp udp;
	int err;

	TEST_LINUX_ONLY();
	loop_open();
	udp = udp_of(false, &at);
	if (setresuid(65534, 65534, 65534) != 0)
		ck_assert_uint_ne(getuid(), 0); /* not root before either */
	err = apus_udp_prefer_busy_poll(main_loop, udp, true, 64, reason, sizeof reason);
	if (err == -ENOPROTOOPT)
		TEST_SKIP("this kernel is built without busy polling");
	ck_assert_int_eq(err, -EPERM);
	ck_assert_ptr_nonnull(strstr(reason, "needs CAP_NET_ADMIN"));
	loop_close();
}
END_TEST

START_TEST(a_socket_keeps_to_a_cpu)
{
	struct apus_address at;
	char reason[160] = "";
	struct apus_udp udp;

	TEST_LINUX_ONLY();
	loop_open();
	udp = udp_of(false, &at);
	ck_assert_int_eq(apus_udp_set_incoming_cpu(main_loop, udp, 0, reason, sizeof reason), 0);
	ck_assert_int_eq(option_of(udp, SO_INCOMING_CPU), 0);
	ck_assert_int_eq(apus_udp_set_incoming_cpu(main_loop, udp, -1, reason, sizeof reason),
		-EINVAL);
	ck_assert_str_eq(reason, "SO_INCOMING_CPU -1: Invalid argument");
	loop_close();
}
END_TEST

/* As the kernel gives it back. */
struct params {
	uint32_t usec;
	uint16_t budget;
	uint8_t prefer, zero;
};

static void epoll_backend(struct apus_config *config)
{
	config->backend = APUS_IO_EPOLL;
}

START_TEST(epoll_polls_devices_or_says_why_not)
{
	struct params params = { 0 };
	char reason[160] = "";
	int err;

	if (apusi_backend_epoll.open == NULL)
		TEST_SKIP("no epoll backend in this build");
	loop_open_with(epoll_backend);
	err = apus_io_set_busy_poll(main_loop, 100, 32, true, reason, sizeof reason);
	if (err == 0) {
		ck_assert_int_eq(ioctl(apus_loop_fd(main_loop), _IOR(0x8A, 0x02, struct params),
			&params), 0);
		ck_assert_uint_eq(params.usec, 100);
		ck_assert_uint_eq(params.budget, 32);
		ck_assert_uint_eq(params.prefer, 1);
		ck_assert_int_eq(apus_io_set_busy_poll(main_loop, 0, 0, false, reason,
			sizeof reason), 0);
		ck_assert_int_eq(ioctl(apus_loop_fd(main_loop), _IOR(0x8A, 0x02, struct params),
			&params), 0);
		ck_assert_uint_eq(params.usec, 0);
		ck_assert_uint_eq(params.budget, 8);
	} else {
		ck_assert_ptr_nonnull(strstr(reason, "busy poll of 100 us over epoll: "));
	}
	ck_assert_int_eq(apus_io_set_busy_poll(main_loop, 1, 65536, true, reason, sizeof reason),
		-EINVAL);
	loop_close();
}
END_TEST

static void none_backend(struct apus_config *config)
{
	config->backend = APUS_IO_NONE;
}

START_TEST(a_backend_without_busy_polling_says_so)
{
	char reason[160] = "";

	loop_open_with(none_backend);
	ck_assert_int_eq(apus_io_set_busy_poll(main_loop, 50, 0, false, reason, sizeof reason),
		-ENOTSUP);
	ck_assert_ptr_nonnull(strstr(reason, "busy poll of 50 us over none: this backend has none"));
	loop_close();
}
END_TEST

TEST_MAIN("net_tuning",
	the_stamps_of_what_was_sent_are_drained_in_order,
	a_stamp_is_awaited,
	stamps_that_nobody_takes_do_not_keep_a_reader_awake,
	a_socket_prefers_busy_polling_or_says_why_not,
	what_needs_a_privilege_is_refused_with_the_reason,
	a_socket_keeps_to_a_cpu,
	epoll_polls_devices_or_says_why_not,
	a_backend_without_busy_polling_says_so)
