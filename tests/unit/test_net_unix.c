/*
 * test_net_unix.c - Unix sockets: streams and datagrams, by path, abstract and in pairs.
 */
#define _GNU_SOURCE
#include "sockets.h"

static char folder[] = "/tmp/apus_unix_XXXXXX";

static struct apus_address path_address(void)
{
	char text[64];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(text, sizeof text, "unix:%s/s", folder);
	return address_of(text);
}

static void path_remove(const struct apus_address *at)
{
	unlink(at->local.sun_path);
	rmdir(folder);
}

static struct apus_address abstract_address(void)
{
	char text[64];

	snprintf(text, sizeof text, "unix:@apus-test-%d", (int)getpid());
	return address_of(text);
}

static void stream_over(struct apus_address at)
{
	struct call acceptor = { .poll = tcp_accept };
	struct call connector = { .poll = tcp_connect, .address = at };
	struct apus_address seen;
	char buffer[8];
	struct call reader = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };

	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, NULL, &acceptor.listener), 0);
	ck_assert_int_eq(apus_listener_local(main_loop, acceptor.listener, &seen), 0);
	ck_assert(apus_address_is_same(&seen, &at));
	call_start_pending(&acceptor);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_UNIX, &connector.tcp), 0);
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_finish(&acceptor), 0);
	reader.tcp = acceptor.tcp;
	call_start_pending(&reader);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, connector.tcp, "hello", 5), 5);
	ck_assert_int_eq(call_finish(&reader), 5);
	ck_assert_int_eq(apus_tcp_close(main_loop, connector.tcp), 0);
	ck_assert_int_eq(call_run(&reader), 0);
}

START_TEST(a_stream_by_path)
{
	struct apus_address at = path_address();

	loop_open();
	stream_over(at);
	loop_close();
	path_remove(&at);
}
END_TEST

START_TEST(an_abstract_stream)
{
	loop_open();
	stream_over(abstract_address());
	loop_close();
}
END_TEST

/* A path left over by one who is gone; what is no socket is left alone. */
START_TEST(a_path_left_over_is_removed_if_asked)
{
	const struct apus_listen_config config = { .unlink = true };
	struct apus_address at = path_address();
	struct apus_listener listener;
	int file;

	TEST_KERNEL_ONLY("no path is left over");
	loop_open();
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, NULL, &listener), 0);
	ck_assert_int_eq(apus_listener_close(main_loop, listener), 0);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, NULL, &listener), -EADDRINUSE);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &config, &listener), 0);
	loop_close();
	unlink(at.local.sun_path);
	file = open(at.local.sun_path, O_CREAT | O_WRONLY, 0600);
	close(file);
	loop_open();
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &config, &listener), -EADDRINUSE);
	ck_assert_int_eq(access(at.local.sun_path, F_OK), 0);
	loop_close();
	path_remove(&at);
}
END_TEST

/* Nothing would say when there is room again, so the refusal is the caller's. */
START_TEST(a_full_backlog_is_a_value)
{
	const struct apus_listen_config config = { .backlog = 1 };
	struct apus_address at = abstract_address();
	struct call connector = { .poll = tcp_connect, .address = at };
	struct apus_listener listener;
	int i;

	loop_open();
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &config, &listener), 0);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(apus_tcp_open(main_loop, AF_UNIX, &connector.tcp), 0);
		if (call_run(&connector) != 0)
			break;
	}
	ck_assert_int_eq(connector.answer, -EAGAIN);
	loop_close();
}
END_TEST

static void datagram_over(struct apus_address at)
{
	struct apus_address none = address_of("unix:");
	char buffer[8];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp from;

	ck_assert_int_eq(apus_udp_open(main_loop, &at, NULL, &call.udp), 0);
	ck_assert_int_eq(apus_udp_open(main_loop, &none, NULL, &from), 0);
	call_start_pending(&call);
	ck_assert_int_eq(apus_udp_try_send(main_loop, from, "hello", 5, &at), 5);
	ck_assert_int_eq(call_finish(&call), 5);
	ck_assert_uint_eq(call.packet.address.bytes, 0); /* from nobody with a name */
	ck_assert_int_eq(apus_udp_try_send(main_loop, from, "longer than 8", 13, &at), 13);
	ck_assert_int_eq(call_run(&call), 8);
	ck_assert(call.packet.is_truncated);
	ck_assert_uint_eq(call.packet.full_bytes, 13);
	ck_assert_int_eq(apus_udp_connect(main_loop, from, &at), 0);
	ck_assert_int_eq(apus_udp_try_send(main_loop, from, "x", 1, NULL), 1);
	ck_assert_int_eq(call_run(&call), 1);
}

START_TEST(datagrams_by_path)
{
	struct apus_address at = path_address();

	TEST_LINUX_ONLY();
	loop_open();
	datagram_over(at);
	loop_close();
	path_remove(&at);
}
END_TEST

START_TEST(abstract_datagrams)
{
	TEST_LINUX_ONLY();
	loop_open();
	datagram_over(abstract_address());
	loop_close();
}
END_TEST

/* A full receiver that is not our peer sends us no event: waiting would never end. */
START_TEST(a_full_receiver_is_a_value_unless_it_is_the_peer)
{
	struct apus_address at = abstract_address(), none = address_of("unix:");
	char buffer[8];
	struct call sender = { .poll = udp_send, .data = (char[]){ "x" }, .bytes = 1, .address = at };
	struct apus_udp to;
	int i;

	loop_open();
	ck_assert_int_eq(apus_udp_open(main_loop, &at, NULL, &to), 0);
	ck_assert_int_eq(apus_udp_open(main_loop, &none, NULL, &sender.udp), 0);
	for (i = 0; i < 100000 && call_run(&sender) == 1; i++)
		;
	ck_assert_int_eq(sender.answer, -EAGAIN);
	ck_assert_int_eq(call_run(&sender), -EAGAIN);
	ck_assert_int_eq(apus_udp_try_recv(main_loop, to, buffer, 8, NULL), 1);
	ck_assert_int_eq(call_run(&sender), 1);
	/* As the peer it does: the send waits. */
	ck_assert_int_eq(apus_udp_connect(main_loop, sender.udp, &at), 0);
	sender.address.bytes = 0;
	call_start_pending(&sender);
	while (apus_udp_try_recv(main_loop, to, buffer, 8, NULL) == 1)
		;
	ck_assert_int_eq(call_finish(&sender), 1);
	loop_close();
}
END_TEST

START_TEST(pairs_are_connected_to_each_other)
{
	char buffer[8];
	struct call stream = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	struct call datagram = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_tcp tcp;
	struct apus_udp udp;

	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &stream.tcp, &tcp), 0);
	ck_assert_int_eq(apus_unix_pair_datagram(main_loop, &datagram.udp, &udp), 0);
	call_start_pending(&stream);
	call_start_pending(&datagram);
	ck_assert_int_eq(apus_tcp_try_write(main_loop, tcp, "abc", 3), 3);
	ck_assert_int_eq(apus_udp_try_send(main_loop, udp, "", 0, NULL), 0);
	ck_assert_int_eq(call_finish(&stream), 3);
	ck_assert_int_eq(call_finish(&datagram), 0);
	loop_close();
}
END_TEST

static void three_sockets(struct apus_config *config)
{
	config->socket_count = 3;
}

START_TEST(half_a_pair_is_none)
{
	struct apus_tcp a, b, c, d;
	int lowest;

	loop_open_with(three_sockets);
	ck_assert_int_eq(apus_unix_pair(main_loop, &a, &b), 0);
	lowest = dup(0);
	close(lowest);
	ck_assert_int_eq(apus_unix_pair(main_loop, &c, &d), -ENOSPC);
	ck_assert_uint_eq(apusi_io_socket_count(loop_io()), 2);
	ck_assert_int_eq(dup(0), lowest); /* no descriptor was left open */
	loop_close();
}
END_TEST

/* S10: a read stops at a message that carries a descriptor; the rest is not forgotten. */
START_TEST(a_read_that_stops_at_a_descriptor_does_not_lose_the_rest)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { (char[]){ "b" }, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control };
	struct apus_tcp other;
	char buffer[16];
	struct call call = { .poll = tcp_read, .data = buffer, .bytes = sizeof buffer };
	int fd, got = 0;

	TEST_KERNEL_ONLY("no descriptors are passed");
	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &call.tcp, &other), 0);
	fd = apus_tcp_number(main_loop, other);
	control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	call_start_pending(&call);
	raw_write(fd, "a", 1);
	ck_assert_int_eq(sendmsg(fd, &message, 0), 1);
	raw_write(fd, "c", 1);
	got += (int)call_finish(&call);
	while (got < 3)
		got += (int)call_run(&call);
	ck_assert_int_eq(got, 3);
	loop_close();
}
END_TEST

START_TEST(the_peer_of_a_unix_stream_is_known)
{
	struct apus_unix_peer peer;
	struct apus_tcp a, b, tcp;

	TEST_LINUX_ONLY();
	loop_open();
	ck_assert_int_eq(apus_unix_pair(main_loop, &a, &b), 0);
	ck_assert_int_eq(apus_unix_peer(main_loop, a, &peer), 0);
	ck_assert_int_eq(peer.pid, getpid());
	ck_assert_uint_eq(peer.uid, geteuid());
	ck_assert_uint_eq(peer.gid, getegid());
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &tcp), 0);
	ck_assert_int_eq(apus_unix_peer(main_loop, tcp, &peer), -EPROTOTYPE);
	loop_close();
}
END_TEST

TEST_MAIN("net_unix",
	a_stream_by_path,
	an_abstract_stream,
	a_path_left_over_is_removed_if_asked,
	a_full_backlog_is_a_value,
	datagrams_by_path,
	abstract_datagrams,
	a_full_receiver_is_a_value_unless_it_is_the_peer,
	pairs_are_connected_to_each_other,
	half_a_pair_is_none,
	a_read_that_stops_at_a_descriptor_does_not_lose_the_rest,
	the_peer_of_a_unix_stream_is_known)
