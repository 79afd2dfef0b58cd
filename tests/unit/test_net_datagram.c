/*
 * test_net_datagram.c - datagrams: send, receive, batches, multicast, stamps, drops.
 */
#define _GNU_SOURCE
#include <ifaddrs.h>
#include <net/if.h>

#include "sockets.h"

static struct apus_udp udp_open(const char *at, const struct apus_udp_config *config,
	struct apus_address *where)
{
	struct apus_address address = address_of(at);
	struct apus_udp udp;

	ck_assert_int_eq(apus_udp_open(main_loop, &address, config, &udp), 0);
	ck_assert_int_eq(apus_udp_local(main_loop, udp, where), 0);
	return udp;
}

static struct apus_sent sent_stamp;

static apus_poll udp_sent(struct apus_cx *cx, struct call *call)
{
	return apus_udp_sent(cx, call->udp, &sent_stamp);
}

static void put(struct apus_udp from, const struct apus_address *to, const char *text)
{
	ck_assert_int_eq(apus_udp_try_send(main_loop, from, text, strlen(text), to),
		(int64_t)strlen(text));
	raw_arrive();
}

/* ---- one at a time ------------------------------------------------------------------- */

static void send_and_receive(const char *at)
{
	struct apus_address here, there;
	char buffer[64];
	struct call sender = { .poll = udp_send, .data = (char[]){ "hello" }, .bytes = 5 };
	struct call receiver = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };

	loop_open();
	receiver.udp = udp_open(at, NULL, &here);
	sender.udp = udp_open(at, NULL, &there);
	call_start_pending(&receiver);
	sender.address = here;
	ck_assert_int_eq(call_run(&sender), 5);
	ck_assert_int_eq(call_finish(&receiver), 5);
	ck_assert_int_eq(memcmp(buffer, "hello", 5), 0);
	ck_assert_ptr_eq(receiver.packet.data, buffer);
	ck_assert_uint_eq(receiver.packet.bytes, 5);
	ck_assert_uint_eq(receiver.packet.full_bytes, 5);
	ck_assert(!receiver.packet.is_truncated);
	ck_assert_int_eq(receiver.packet.stamp_ns, 0);
	ck_assert(apus_address_is_same(&receiver.packet.address, &there));
	/* S10: a datagram of nothing is one, in both directions. */
	sender.bytes = 0;
	ck_assert_int_eq(call_run(&sender), 0);
	ck_assert_int_eq(call_run(&receiver), 0);
	ck_assert(apus_address_is_same(&receiver.packet.address, &there));
	call_start_pending(&receiver);
	loop_close();
}

START_TEST(a_datagram_over_ipv4_says_from_whom)
{
	send_and_receive("127.0.0.1:0");
}
END_TEST

START_TEST(a_datagram_over_ipv6_says_from_whom)
{
	if (!has_ip6())
		TEST_SKIP("no IPv6 on the loopback interface");
	send_and_receive("[::1]:0");
}
END_TEST

/* S10: what did not fit is told, with a packet and without. */
START_TEST(a_datagram_that_was_cut_off_says_so)
{
	struct apus_address here, there;
	char buffer[4];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp from;

	TEST_LINUX_ONLY();
	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	from = udp_open("127.0.0.1:0", NULL, &there);
	put(from, &here, "abcdefgh");
	ck_assert_int_eq(call_run(&call), 4);
	ck_assert(call.packet.is_truncated);
	ck_assert_uint_eq(call.packet.bytes, 4);
	ck_assert_uint_eq(call.packet.full_bytes, 8);
	call.poll = udp_recv_plain;
	put(from, &here, "abcdefgh");
	put(from, &here, "next");
	ck_assert_int_eq(call_run(&call), -EMSGSIZE);
	ck_assert_int_eq(call_run(&call), 4);
	ck_assert_int_eq(memcmp(buffer, "next", 4), 0);
	loop_close();
}
END_TEST

START_TEST(a_datagram_longer_than_the_network_takes_is_refused)
{
	static char block[70000];
	struct call call = { .poll = udp_send, .data = block, .bytes = sizeof block };

	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &call.address);
	ck_assert_int_eq(call_run(&call), -EMSGSIZE);
	loop_close();
}
END_TEST

START_TEST(a_connected_socket_hears_its_peer_only)
{
	struct apus_address a, b, c, peer;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp friend_socket, stranger;

	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &a);
	friend_socket = udp_open("127.0.0.1:0", NULL, &b);
	stranger = udp_open("127.0.0.1:0", NULL, &c);
	ck_assert_int_eq(apus_udp_connect(main_loop, call.udp, &b), 0);
	ck_assert_int_eq(apus_udp_peer(main_loop, call.udp, &peer), 0);
	ck_assert(apus_address_is_same(&peer, &b));
	put(stranger, &a, "no");
	put(friend_socket, &a, "yes");
	ck_assert_int_eq(call_run(&call), 3);
	put(call.udp, NULL, "back");
	call.udp = friend_socket;
	ck_assert_int_eq(call_run(&call), 4);
	loop_close();
}
END_TEST

/* A port that nobody has: told by the next call, and the socket goes on. */
START_TEST(an_unreachable_peer_is_told_to_the_waiter)
{
	struct apus_address a, gone;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp other;

	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &a);
	other = udp_open("127.0.0.1:0", NULL, &gone);
	ck_assert_int_eq(apus_udp_close(main_loop, other), 0);
	ck_assert_int_eq(apus_udp_connect(main_loop, call.udp, &gone), 0);
	call_start_pending(&call);
	put(call.udp, NULL, "x");
	ck_assert_int_eq(call_finish(&call), -ECONNREFUSED);
	call_start_pending(&call);
	ck_assert_int_eq(apus_udp_open(main_loop, &gone, NULL, &other), 0);
	put(other, &a, "here");
	ck_assert_int_eq(call_finish(&call), 4);
	loop_close();
}
END_TEST

START_TEST(a_hot_socket_receives_without_the_backend)
{
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	int i;

	TEST_KERNEL_ONLY("it counts reaps");
	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	ck_assert_int_eq(apus_udp_set_hot(main_loop, call.udp, true), 0);
	for (i = 0; i < 3; i++) {
		call_start_pending(&call);
		put(call.udp, &here, "self");
		ck_assert_int_eq(call_finish(&call), 4);
	}
	ck_assert_uint_eq(loop_io()->counts.reaps, 0);
	loop_close();
}
END_TEST

START_TEST(a_try_answers_at_once)
{
	struct apus_address here;
	struct apus_packet packet;
	struct apus_udp udp;
	char buffer[8];
	int i;

	loop_open();
	udp = udp_open("127.0.0.1:0", NULL, &here);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(apus_udp_try_recv(main_loop, udp, buffer, 8, NULL), -EAGAIN);
		put(udp, &here, "abc");
		ck_assert_int_eq(apus_udp_try_recv(main_loop, udp, buffer, 8, &packet), 3);
		ck_assert(apus_address_is_same(&packet.address, &here));
	}
	loop_close();
}
END_TEST

/* ---- told for as long as it is so, or once ---------------------------------------------- */

/* The turns that a loop makes which parks, while nothing happens. */
static uint64_t turns_asleep(void)
{
	struct apus_counters before, after;

	turns();
	ck_assert_int_eq(apus_set_idle(main_loop, APUS_IDLE_PARK), 0);
	apus_counters_read(main_loop, &before);
	ck_assert_int_eq(apus_run(main_loop, doze, (&(struct doze){ .ns = 30 * APUS_MSEC })), 0);
	apus_counters_read(main_loop, &after);
	ck_assert_int_eq(apus_set_idle(main_loop, APUS_IDLE_BUSY), 0);
	return after.turns - before.turns;
}

static bool is_level(struct apus_udp udp)
{
	return (slot_of(udp.token)->flags & APUSI_LEVEL) != 0;
}

/* Over epoll one that is awaited is spared the refusal behind each datagram. */
START_TEST(an_awaited_datagram_is_not_followed_by_a_refused_receive)
{
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	int i;

	loop_open();
	if (!is_over(APUS_IO_EPOLL))
		TEST_SKIP("another backend than epoll");
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	for (i = 0; i < 3; i++) {
		call_start_pending(&call);
		ck_assert(is_level(call.udp));
		put(call.udp, &here, "one");
		ck_assert_int_eq(call_finish(&call), 3);
		ck_assert_uint_eq(slot_of(call.udp.token)->ready & APUSI_IN, 0);
	}
	loop_close();
}
END_TEST

/* And one that nobody awaited when a datagram came is told edges: none is lost over that. */
START_TEST(what_comes_while_nobody_waits_is_found_later)
{
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	int i;

	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	for (i = 0; i < 3; i++) {
		call_start_pending(&call);
		put(call.udp, &here, "one");
		ck_assert_int_eq(call_finish(&call), 3);
		put(call.udp, &here, "four");
		put(call.udp, &here, "fifth");
		turns(); /* P8: the event is here, and no task */
		ck_assert(!is_level(call.udp));
		ck_assert_int_eq(call_run(&call), 4);
		ck_assert_int_eq(call_run(&call), 5);
	}
	loop_close();
}
END_TEST

/* P11, with the datagram unread, and after its reader has gone. */
START_TEST(a_datagram_that_nobody_reads_does_not_keep_a_parked_loop_awake)
{
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };

	TEST_KERNEL_ONLY("a virtual clock does not park");
	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	call_start_pending(&call);
	ck_assert_uint_le(turns_asleep(), 20);
	call_abort(&call);
	put(call.udp, &here, "one");
	ck_assert_uint_le(turns_asleep(), 20);
	ck_assert_int_eq(call_run(&call), 3);
	call_start_pending(&call);
	ck_assert_uint_le(turns_asleep(), 20);
	put(call.udp, &here, "four");
	ck_assert_int_eq(call_finish(&call), 4);
	loop_close();
}
END_TEST

/* P11 and S8: the open file lives on under another number, and still is told of. */
START_TEST(a_duplicate_of_a_closed_socket_does_not_keep_a_parked_loop_awake)
{
	struct apus_address here, there;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp other;
	int duplicate;

	TEST_KERNEL_ONLY("a simulated socket has no descriptor");
	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	other = udp_open("127.0.0.1:0", NULL, &there);
	call_start_pending(&call);
	duplicate = dup(slot_of(call.udp.token)->fd);
	ck_assert_int_ge(duplicate, 0);
	ck_assert_int_eq(apus_udp_close(main_loop, call.udp), 0);
	ck_assert_int_eq(call_finish(&call), -EPIPE);
	call.udp = other;
	call_start_pending(&call); /* with nothing awaited the backend is not asked at all */
	put(other, &here, "none");
	ck_assert_uint_le(turns_asleep(), 20);
	put(other, &there, "one");
	ck_assert_int_eq(call_finish(&call), 3);
	close(duplicate);
	loop_close();
}
END_TEST

/* P11: who waits for stamps does not read. */
START_TEST(a_datagram_does_not_keep_awake_who_waits_for_a_stamp)
{
	struct apus_address here;
	char buffer[8];
	struct call read = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct call stamp = { .poll = udp_sent };

	TEST_LINUX_ONLY();
	TEST_KERNEL_ONLY("nothing simulated is stamped");
	loop_open();
	if (is_over(APUS_IO_LIBEV))
		TEST_SKIP("libev tells whoever waits of what is readable, again and again");
	stamp.udp = read.udp = udp_open("127.0.0.1:0", NULL, &here);
	call_start_pending(&read);
	call_abort(&read);
	call_start_pending(&stamp);
	put(read.udp, &here, "one");
	ck_assert_uint_le(turns_asleep(), 20);
	call_abort(&stamp);
	ck_assert_int_eq(call_run(&read), 3);
	loop_close();
}
END_TEST

/* In order, however it is asked for, and how many there are at once. */
START_TEST(a_burst_is_read_to_its_end)
{
	struct apus_address here;
	char buffer[8], text[16];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	int i, burst, sent = 0, got = 0;

	loop_open();
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	for (burst = 1; burst < 20; burst++) {
		call_start_pending(&call);
		for (i = 0; i < burst; i++) {
			snprintf(text, sizeof text, "%07d", sent++);
			put(call.udp, &here, text);
		}
		for (i = 0; i < burst; i++) {
			snprintf(text, sizeof text, "%07d", got++);
			if (i == burst / 2 && i > 0) { /* a try finds what a guess has left */
				ck_assert_int_eq(apus_udp_try_recv(main_loop, call.udp, buffer,
					sizeof buffer, NULL), 7);
			} else {
				if (i > 0)
					call_start(&call);
				ck_assert_int_eq(call_finish(&call), 7);
			}
			ck_assert_int_eq(memcmp(buffer, text, 7), 0);
		}
	}
	ck_assert_int_eq(apus_udp_try_recv(main_loop, call.udp, buffer, 8, NULL), -EAGAIN);
	loop_close();
}
END_TEST

static void ask_seldom(struct apus_config *config)
{
	config->io_interval_turns = 16;
}

/* Who asks the kernel seldom does not wait for each of a burst. */
START_TEST(a_burst_is_read_in_one_interval)
{
	enum { BURST = 10 };
	struct apus_address here;
	struct apus_counters before, after;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	int i;

	loop_open_with(ask_seldom);
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	call_start_pending(&call);
	for (i = 0; i < BURST; i++)
		put(call.udp, &here, "datagram");
	ck_assert_int_eq(call_finish(&call), 8);
	apus_counters_read(main_loop, &before);
	for (i = 1; i < BURST; i++)
		ck_assert_int_eq(call_run(&call), 8);
	apus_counters_read(main_loop, &after);
	ck_assert_uint_lt(after.turns - before.turns, over_simulation() ? 1000 : 4 * BURST);
	loop_close();
}
END_TEST

/* ---- options ---------------------------------------------------------------------------- */

static int64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

START_TEST(a_stamp_says_when_the_kernel_got_it)
{
	const struct apus_udp_config config = { .timestamps = true };
	struct apus_address here;
	char buffer[8];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	int64_t before_ns = wall_ns(), last_ns = 0;
	int i;

	TEST_KERNEL_ONLY("the time is virtual");
	loop_open();
	call.udp = udp_open("127.0.0.1:0", &config, &here);
	for (i = 0; i < 5; i++) {
		put(call.udp, &here, "x");
		ck_assert_int_eq(call_run(&call), 1);
		/* A step of the wall clock in between is years, or not this test's. */
		ck_assert_int_gt(call.packet.stamp_ns, before_ns - 3600 * APUS_SEC);
		ck_assert_int_lt(call.packet.stamp_ns, wall_ns() + 3600 * APUS_SEC);
		ck_assert_int_ne(call.packet.stamp_ns, last_ns);
		last_ns = call.packet.stamp_ns;
	}
	loop_close();
}
END_TEST

/* Sends until the small buffer has dropped some. */
static int overflow(struct apus_udp from, const struct apus_address *to, struct apus_udp into)
{
	static char block[1000];
	int sent = 0;

	while (apus_udp_drops(main_loop, into) < 10) {
		ck_assert_int_eq(apus_udp_try_send(main_loop, from, block, sizeof block, to), 1000);
		raw_arrive();
		sent++;
	}
	return sent;
}

START_TEST(what_a_full_buffer_lost_is_counted)
{
	const struct apus_udp_config config = { .drops = true, .receive_buffer_bytes = 4096 };
	struct apus_address here, there;
	char buffer[1000];
	struct call call = { .poll = udp_recv, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp from;
	int sent, got = 0;

	TEST_LINUX_ONLY();
	loop_open();
	call.udp = udp_open("127.0.0.1:0", &config, &here);
	from = udp_open("127.0.0.1:0", NULL, &there);
	ck_assert_int_eq(apus_udp_drops(main_loop, call.udp), 0);
	sent = overflow(from, &here, call.udp);
	while (apus_udp_try_recv(main_loop, call.udp, buffer, sizeof buffer, &call.packet) >= 0)
		got++;
	ck_assert_int_eq(got + apus_udp_drops(main_loop, call.udp), sent);
	put(from, &here, "after");
	ck_assert_int_eq(call_run(&call), 5);
	ck_assert_int_eq(call.packet.drops, apus_udp_drops(main_loop, call.udp));
	loop_close();
}
END_TEST

START_TEST(two_sockets_share_a_port_if_both_ask)
{
	const struct apus_udp_config config = { .reuse_port = true };
	struct apus_address here;
	struct apus_udp udp;

	loop_open();
	udp_open("127.0.0.1:0", &config, &here);
	ck_assert_int_eq(apus_udp_open(main_loop, &here, &config, &udp), 0);
	ck_assert_int_eq(apus_udp_open(main_loop, &here, NULL, &udp), -EADDRINUSE);
	ck_assert_uint_eq(apusi_io_socket_count(loop_io()), 2);
	loop_close();
}
END_TEST

START_TEST(the_receive_buffer_that_was_granted_is_read_back)
{
	const struct apus_udp_config config = { .receive_buffer_bytes = 65536 };
	struct apus_address here;
	struct apus_udp udp;

	TEST_LINUX_ONLY();
	loop_open();
	udp = udp_open("127.0.0.1:0", &config, &here);
	ck_assert_int_eq(apus_udp_set_receive_buffer(main_loop, udp, 0), 65536);
	ck_assert_int_eq(apus_udp_set_receive_buffer(main_loop, udp, 32768), 32768);
	ck_assert_int_eq(apus_udp_set_send_buffer(main_loop, udp, 32768), 32768);
	loop_close();
}
END_TEST

/* ---- batches ------------------------------------------------------------------------------- */

static struct apus_batch batch, answers;

static apus_poll udp_send_batch(struct apus_cx *cx, struct call *call)
{
	return apus_udp_send_batch(cx, call->udp, call->batch, 0, (uint32_t)call->bytes);
}

START_TEST(a_batch_brings_many_and_sends_them_back)
{
	const struct apus_udp_config config = { .timestamps = true };
	struct apus_address here, there;
	struct call receiver = { .poll = udp_recv_batch, .batch = &batch };
	struct call sender = { .poll = udp_send_batch, .batch = &batch };
	char text[32];
	struct apus_udp from;
	int round, i;

	TEST_KERNEL_ONLY("how many come together is drawn");
	TEST_LINUX_ONLY();
	loop_open();
	ck_assert_int_eq(apus_batch_init(&batch, 8, 12), 0);
	ck_assert_int_eq(apus_batch_init(&answers, 16, 12), 0);
	receiver.udp = sender.udp = udp_open("127.0.0.1:0", &config, &here);
	from = udp_open("127.0.0.1:0", NULL, &there);
	for (round = 0; round < 3; round++) {
		call_start_pending(&receiver);
		for (i = 0; i < 5; i++) {
			snprintf(text, sizeof text, "packet %d%s", i, i == 4 ? " is long." : "");
			put(from, &here, text);
		}
		ck_assert_int_eq(call_finish(&receiver), 5);
		for (i = 0; i < 5; i++) {
			const struct apus_packet *packet = &batch.packets[i];

			snprintf(text, sizeof text, "packet %d", i);
			ck_assert_int_eq(memcmp(packet->data, text, 8), 0);
			ck_assert_uint_eq(packet->bytes, i == 4 ? 12 : 8);
			ck_assert_uint_eq(packet->full_bytes, i == 4 ? 17 : 8);
			ck_assert_int_eq(packet->is_truncated, i == 4);
			ck_assert_int_ne(packet->stamp_ns, 0);
			ck_assert(apus_address_is_same(&packet->address, &there));
		}
		sender.bytes = 5;
		ck_assert_int_eq(call_run(&sender), 5);
		receiver.batch = &answers;
		receiver.udp = from;
		ck_assert_int_eq(call_run(&receiver), 5);
		for (i = 0; i < 5; i++)
			ck_assert_uint_eq(answers.packets[i].bytes, i == 4 ? 12 : 8);
		receiver.batch = &batch;
		receiver.udp = sender.udp;
	}
	apus_batch_deinit(&batch);
	apus_batch_deinit(&answers);
	loop_close();
}
END_TEST

/* A full batch may have left some; a batch that was not full has not. */
START_TEST(a_batch_that_was_full_is_followed_by_the_rest)
{
	struct apus_address here;
	struct call call = { .poll = udp_recv_batch, .batch = &batch };
	int i;

	TEST_KERNEL_ONLY("how many come together is drawn");
	loop_open();
	ck_assert_int_eq(apus_batch_init(&batch, 4, 64), 0);
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	call_start_pending(&call);
	for (i = 0; i < 10; i++)
		put(call.udp, &here, "x");
	ck_assert_int_eq(call_finish(&call), 4);
	ck_assert_int_eq(call_run(&call), 4);
	ck_assert_int_eq(call_run(&call), 2);
	call_start_pending(&call);
	put(call.udp, &here, "x");
	ck_assert_int_eq(call_finish(&call), 1);
	apus_batch_deinit(&batch);
	loop_close();
}
END_TEST

START_TEST(a_batch_without_room_is_refused)
{
	struct call call = { .poll = udp_send_batch, .batch = &batch, .bytes = 3 };
	struct apus_address here;

	loop_open();
	ck_assert_int_eq(apus_batch_init(&batch, 0, 64), -EINVAL);
	ck_assert_int_eq(apus_batch_init(&batch, 1025, 64), -EINVAL);
	ck_assert_int_eq(apus_batch_init(&batch, 1, 0), -EINVAL);
	apus_batch_deinit(&batch);
	ck_assert_int_eq(apus_batch_init(&batch, 2, 64), 0);
	call.udp = udp_open("127.0.0.1:0", NULL, &here);
	ck_assert_int_eq(call_run(&call), -EINVAL);
	call.bytes = 0;
	ck_assert_int_eq(call_run(&call), -EINVAL);
	apus_batch_deinit(&batch);
	loop_close();
}
END_TEST

/* The caller's own memory is sent as it is, to an address a packet or to the peer. */
START_TEST(a_batch_sends_the_callers_memory)
{
	struct apus_address here, there;
	struct call sender = { .poll = udp_send_batch, .batch = &batch, .bytes = 2 };
	char mine[] = "mine", buffer[8];
	struct call receiver = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };

	loop_open();
	ck_assert_int_eq(apus_batch_init(&batch, 2, 64), 0);
	receiver.udp = udp_open("127.0.0.1:0", NULL, &here);
	sender.udp = udp_open("127.0.0.1:0", NULL, &there);
	ck_assert_int_eq(apus_udp_connect(main_loop, sender.udp, &here), 0);
	batch.packets[0].data = mine;
	batch.packets[0].bytes = 4;
	batch.packets[0].address.bytes = 0;
	memcpy(batch.packets[1].data, "buffer", 6);
	batch.packets[1].bytes = 6;
	batch.packets[1].address = here;
	ck_assert_int_eq(call_run(&sender), 2);
	ck_assert_int_eq(call_run(&receiver), 4);
	ck_assert_int_eq(memcmp(buffer, "mine", 4), 0);
	ck_assert_int_eq(call_run(&receiver), 6);
	/* Receiving takes the batch's own buffers again. */
	sender.poll = udp_recv_batch;
	put(receiver.udp, &there, "back");
	ck_assert_int_eq(call_run(&sender), 1);
	ck_assert_ptr_ne(batch.packets[0].data, mine);
	ck_assert_str_eq(mine, "mine");
	apus_batch_deinit(&batch);
	loop_close();
}
END_TEST

/* ---- multicast ---------------------------------------------------------------------------------- */

/* An interface that takes IPv6 multicast, which the loopback interface seldom does. */
static const char *ip6_interface(void)
{
	static char name[IF_NAMESIZE];
	const unsigned flags = IFF_UP | IFF_MULTICAST;
	struct ifaddrs *all, *each;

	if (getifaddrs(&all) != 0)
		return NULL;
	for (each = all; each != NULL; each = each->ifa_next)
		if (each->ifa_addr != NULL && each->ifa_addr->sa_family == AF_INET6 &&
			(each->ifa_flags & flags) == flags)
			snprintf(name, sizeof name, "%s", each->ifa_name);
	freeifaddrs(all);
	return *name != '\0' ? name : NULL;
}

/* A receiver bound to a group's port, and a sender; nothing leaves the machine. */
static void group_open(const char *name, const char *interface_name, struct apus_address *group,
	struct apus_udp *to, struct apus_udp *from)
{
	const struct apus_udp_config config = { .reuse_address = true };
	const char *any = *name == '[' ? "[::]:0" : "0.0.0.0:0";
	struct apus_address where;

	*group = address_of(name);
	*to = udp_open(any, &config, &where);
	apus_address_set_port(group, apus_address_port(&where));
	*from = udp_open(any, NULL, &where);
	ck_assert_int_eq(apus_udp_set_multicast(main_loop, *from, interface_name, 0, true), 0);
}

static void join_hear_leave(const char *name, const char *interface_name)
{
	struct apus_address group;
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp from;

	loop_open();
	group_open(name, interface_name, &group, &call.udp, &from);
	ck_assert_int_eq(apus_udp_join(main_loop, call.udp, &group, NULL, interface_name), 0);
	ck_assert_int_eq(apus_udp_join(main_loop, call.udp, &group, NULL, interface_name), -EADDRINUSE);
	put(from, &group, "one");
	ck_assert_int_eq(call_run(&call), 3);
	ck_assert_int_eq(apus_udp_leave(main_loop, call.udp, &group, NULL, interface_name), 0);
	ck_assert_int_eq(apus_udp_leave(main_loop, call.udp, &group, NULL, interface_name),
		-EADDRNOTAVAIL);
	put(from, &group, "two");
	call_start_pending(&call);
	loop_close();
}

static bool has_lo(void)
{
	return if_nametoindex("lo") != 0;
}

START_TEST(a_group_is_heard_from_join_to_leave)
{
	if (!has_lo())
		TEST_SKIP("no interface called lo");
	join_hear_leave("239.1.2.3:0", "lo");
}
END_TEST

START_TEST(the_interface_of_a_group_may_be_an_address)
{
	join_hear_leave("239.1.2.4:0", "127.0.0.1");
}
END_TEST

START_TEST(an_ipv6_group_is_heard_from_join_to_leave)
{
	if (ip6_interface() == NULL)
		TEST_SKIP("no interface with IPv6 and multicast");
	join_hear_leave("[ff12::1234]:0", ip6_interface());
}
END_TEST

START_TEST(a_source_specific_group_hears_its_source_only)
{
	struct apus_address group, here = address_of("127.0.0.1:0"), other = address_of("127.0.0.9:0");
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp from, stranger;

	if (!has_lo())
		TEST_SKIP("no interface called lo");
	loop_open();
	group_open("232.1.2.3:0", "lo", &group, &call.udp, &from);
	ck_assert_int_eq(apus_udp_close(main_loop, from), 0);
	ck_assert_int_eq(apus_udp_open(main_loop, &here, NULL, &from), 0);
	ck_assert_int_eq(apus_udp_open(main_loop, &other, NULL, &stranger), 0);
	ck_assert_int_eq(apus_udp_set_multicast(main_loop, from, "lo", 1, true), 0);
	ck_assert_int_eq(apus_udp_set_multicast(main_loop, stranger, "lo", 1, true), 0);
	ck_assert_int_eq(apus_udp_join(main_loop, call.udp, &group, &here, "lo"), 0);
	put(stranger, &group, "no");
	put(from, &group, "yes");
	ck_assert_int_eq(call_run(&call), 3);
	ck_assert_int_eq(apus_udp_leave(main_loop, call.udp, &group, &here, "lo"), 0);
	put(from, &group, "late");
	call_start_pending(&call);
	loop_close();
}
END_TEST

/* The system's default hears every group that anybody on the machine has joined. */
START_TEST(a_socket_hears_only_what_it_joined)
{
	const struct apus_udp_config config = { .reuse_address = true };
	struct apus_address group, second, at = address_of("0.0.0.0:0");
	char buffer[8];
	struct call call = { .poll = udp_recv_plain, .data = buffer, .bytes = sizeof buffer };
	struct apus_udp from, other;

	TEST_LINUX_ONLY();
	if (!has_lo())
		TEST_SKIP("no interface called lo");
	loop_open();
	group_open("239.1.2.5:0", "lo", &group, &call.udp, &from);
	second = address_of("239.1.2.6:0");
	apus_address_set_port(&second, apus_address_port(&group));
	apus_address_set_port(&at, apus_address_port(&group));
	ck_assert_int_eq(apus_udp_open(main_loop, &at, &config, &other), 0);
	ck_assert_int_eq(apus_udp_join(main_loop, call.udp, &group, NULL, "lo"), 0);
	ck_assert_int_eq(apus_udp_join(main_loop, other, &second, NULL, "lo"), 0);
	put(from, &second, "no");
	call_start_pending(&call);
	put(from, &group, "yes");
	ck_assert_int_eq(call_finish(&call), 3);
	loop_close();
}
END_TEST

START_TEST(what_is_no_group_or_no_interface_is_refused)
{
	struct apus_address group = address_of("239.1.2.3:0"), host = address_of("127.0.0.1:0");
	struct apus_address ip6 = address_of("[::1]:0"), where;
	struct apus_udp udp;

	loop_open();
	udp = udp_open("0.0.0.0:0", NULL, &where);
	ck_assert_int_eq(apus_udp_join(main_loop, udp, &host, NULL, NULL), -EINVAL);
	ck_assert_int_eq(apus_udp_join(main_loop, udp, &group, &ip6, "lo"), -EINVAL);
	ck_assert_int_eq(apus_udp_join(main_loop, udp, &group, NULL, "nosuchif"), -ENODEV);
	ck_assert_int_eq(apus_udp_set_multicast(main_loop, udp, "nosuchif", 1, true), -ENODEV);
	ck_assert_int_eq(apus_udp_join(main_loop, (struct apus_udp){ 0 }, &group, NULL, "lo"), -ESTALE);
	loop_close();
}
END_TEST

TEST_MAIN("net_datagram",
	a_datagram_over_ipv4_says_from_whom,
	a_datagram_over_ipv6_says_from_whom,
	a_datagram_that_was_cut_off_says_so,
	a_datagram_longer_than_the_network_takes_is_refused,
	a_connected_socket_hears_its_peer_only,
	an_unreachable_peer_is_told_to_the_waiter,
	a_hot_socket_receives_without_the_backend,
	a_try_answers_at_once,
	an_awaited_datagram_is_not_followed_by_a_refused_receive,
	what_comes_while_nobody_waits_is_found_later,
	a_datagram_that_nobody_reads_does_not_keep_a_parked_loop_awake,
	a_duplicate_of_a_closed_socket_does_not_keep_a_parked_loop_awake,
	a_datagram_does_not_keep_awake_who_waits_for_a_stamp,
	a_burst_is_read_to_its_end,
	a_burst_is_read_in_one_interval,
	a_stamp_says_when_the_kernel_got_it,
	what_a_full_buffer_lost_is_counted,
	two_sockets_share_a_port_if_both_ask,
	the_receive_buffer_that_was_granted_is_read_back,
	a_batch_brings_many_and_sends_them_back,
	a_batch_that_was_full_is_followed_by_the_rest,
	a_batch_without_room_is_refused,
	a_batch_sends_the_callers_memory,
	a_group_is_heard_from_join_to_leave,
	the_interface_of_a_group_may_be_an_address,
	an_ipv6_group_is_heard_from_join_to_leave,
	a_source_specific_group_hears_its_source_only,
	a_socket_hears_only_what_it_joined,
	what_is_no_group_or_no_interface_is_refused)
