/*
 * test_sim.c - the simulated network: streams, datagrams, each fault, and that a seed says all.
 *
 * Both ends are ours.  Calls are awaited in tasks of their own, as in the tests of net; time
 * passes while all of them wait.
 */
#define _GNU_SOURCE
#include "apus/sim.h"
#include "sockets.h"

static struct apus_sim_config weather;

static void over_sim(struct apus_config *config)
{
	config->backend = APUS_IO_SIM;
	config->sim = &weather;
	config->log_fn = NULL;
}

static void calm_open(void)
{
	apus_sim_config_init(&weather, 1);
	loop_open_with(over_sim);
}

static struct apus_sim_counts counts(void)
{
	struct apus_sim_counts now;

	ck_assert_int_eq(apus_sim_counts_read(main_loop, &now), 0);
	return now;
}

static int64_t now_ns(void)
{
	return apus_clock_now(main_loop);
}

/* ---- both ends of a stream --------------------------------------------------------------- */

static struct apus_tcp ours, theirs;
static struct apus_listener listener;
static struct apus_address where;

static void pair_at(const char *at)
{
	struct call acceptor = { .poll = tcp_accept }, connector = { .poll = tcp_connect };

	acceptor.listener = listener = listener_open(at, &where);
	connector.address = where;
	ck_assert_int_eq(apus_tcp_open(main_loop, where.any.sa_family, &connector.tcp), 0);
	call_start(&acceptor);
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_finish(&acceptor), 0);
	ours = connector.tcp;
	theirs = acceptor.tcp;
}

static void pair(void)
{
	pair_at("127.0.0.1:0");
}

static apus_poll put(struct apus_tcp tcp, const char *text)
{
	struct call call = { .poll = tcp_write_all, .tcp = tcp, .data = (void *)(uintptr_t)text,
		.bytes = strlen(text) };

	return call_run(&call);
}

/* What comes next: a text, or why none does. */
static const char *take(struct apus_tcp tcp)
{
	static char text[256];
	struct call call = { .poll = tcp_read, .tcp = tcp, .data = text, .bytes = sizeof text - 1 };
	apus_poll got = call_run(&call);

	if (got < 0)
		return strerrorname_np((int)-got);
	text[got] = '\0';
	return text;
}

#define expect_next(tcp, text) ck_assert_str_eq(take(tcp), text)

START_TEST(both_ends_of_a_stream_live_on_one_loop)
{
	struct apus_address seen, own;
	int64_t began_ns;

	calm_open();
	pair();
	ck_assert_int_eq(apus_tcp_local(main_loop, ours, &own), 0);
	ck_assert_int_eq(apus_tcp_peer(main_loop, theirs, &seen), 0);
	ck_assert(apus_address_is_same(&own, &seen));
	ck_assert_int_eq(apus_tcp_peer(main_loop, ours, &seen), 0);
	ck_assert(apus_address_is_same(&where, &seen));
	began_ns = now_ns();
	ck_assert_int_eq(put(ours, "hello"), 5);
	expect_next(theirs, "hello");
	ck_assert_int_eq(now_ns() - began_ns, 50 * APUS_USEC); /* the latency, and nothing else */
	ck_assert_int_eq(put(theirs, "good day"), 8);
	expect_next(ours, "good day");
	ck_assert_uint_eq(counts().connections, 1);
	ck_assert_uint_eq(counts().stream_bytes, 13);
	loop_close();
}
END_TEST

START_TEST(a_stream_over_ipv6_and_one_over_a_path_are_streams_too)
{
	calm_open();
	pair_at("[::1]:0");
	ck_assert_int_eq(put(ours, "six"), 3);
	expect_next(theirs, "six");
	pair_at("unix:/nowhere/at/all");
	ck_assert_int_eq(put(theirs, "path"), 4);
	expect_next(ours, "path");
	pair_at("unix:@abstract");
	ck_assert_int_eq(put(ours, "none"), 4);
	expect_next(theirs, "none");
	ck_assert_int_eq(apus_unix_pair(main_loop, &ours, &theirs), 0);
	ck_assert_int_eq(put(ours, "pair"), 4);
	expect_next(theirs, "pair");
	loop_close();
}
END_TEST

START_TEST(half_a_stream_is_shut_and_the_other_half_goes_on)
{
	calm_open();
	pair();
	ck_assert_int_eq(put(ours, "that was all"), 12);
	ck_assert_int_eq(apus_tcp_shutdown(main_loop, ours, SHUT_WR), 0);
	expect_next(theirs, "that was all");
	expect_next(theirs, "");
	expect_next(theirs, "");
	ck_assert_int_eq(put(ours, "more"), -EPIPE);
	ck_assert_int_eq(put(theirs, "fine"), 4);
	ck_assert_int_eq(apus_tcp_close(main_loop, theirs), 0);
	expect_next(ours, "fine");
	expect_next(ours, "");
	loop_close();
}
END_TEST

START_TEST(what_was_sent_before_a_close_still_arrives)
{
	calm_open();
	pair();
	ck_assert_int_eq(put(ours, "last words"), 10);
	ck_assert_int_eq(apus_tcp_close(main_loop, ours), 0);
	expect_next(theirs, "last words");
	expect_next(theirs, "");
	loop_close();
}
END_TEST

START_TEST(closing_on_bytes_that_nobody_read_is_a_reset)
{
	calm_open();
	pair();
	ck_assert_int_eq(put(ours, "unheard"), 7);
	turns();
	ck_assert_int_eq(apus_tcp_close(main_loop, theirs), 0);
	expect_next(ours, "ECONNRESET");
	expect_next(ours, "");
	ck_assert_int_eq(put(ours, "more"), -EPIPE);
	loop_close();
}
END_TEST

START_TEST(writing_to_who_has_closed_is_a_reset_one_round_later)
{
	calm_open();
	pair();
	ck_assert_int_eq(apus_tcp_close(main_loop, theirs), 0);
	expect_next(ours, "");
	ck_assert_int_eq(put(ours, "anybody?"), 8);
	turns();
	ck_assert_int_eq(put(ours, "anybody?"), -EPIPE); /* after a FIN, as Linux */
	loop_close();
}
END_TEST

START_TEST(a_full_stream_refuses_until_it_is_read)
{
	static char block[3000], got[3000];
	struct call writer = { .poll = tcp_write_all, .data = block, .bytes = sizeof block };
	struct call reader = { .poll = tcp_read, .data = got };
	size_t done = 0, i;

	for (i = 0; i < sizeof block; i++)
		block[i] = (char)(i * 7);
	apus_sim_config_init(&weather, 1);
	weather.stream_bytes = 100;
	loop_open_with(over_sim);
	pair();
	writer.tcp = ours;
	reader.tcp = theirs;
	call_start_pending(&writer);
	while (done < sizeof got) {
		reader.data = got + done;
		reader.bytes = sizeof got - done;
		ck_assert_int_gt(call_run(&reader), 0);
		ck_assert_int_le(reader.answer, 100);
		done += (size_t)reader.answer;
	}
	ck_assert_int_eq(call_finish(&writer), sizeof block);
	ck_assert_mem_eq(block, got, sizeof block);
	loop_close();
}
END_TEST

START_TEST(a_segment_is_received_and_given_back)
{
	struct apus_segment segment;
	int i;

	calm_open();
	pair();
	for (i = 0; i < 1000; i++) { /* more often than there are segments */
		ck_assert_int_eq(put(ours, "abc"), 3);
		turns();
		ck_assert_int_eq(apusi_io_is_idle(loop_io()), 0);
		ck_assert_int_eq(apus_loop_cx(main_loop)->io->backend->read_segment(loop_io(),
			slot_of(theirs.token), &segment), 3);
		ck_assert_mem_eq(segment.data, "abc", 3);
		ck_assert_int_eq(apus_segment_release(main_loop, &segment), 0);
	}
	loop_close();
}
END_TEST

/* ---- connecting ------------------------------------------------------------------------------ */

static apus_poll connect_to(const char *at, struct call *call)
{
	*call = (struct call){ .poll = tcp_connect, .address = address_of(at) };
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &call->tcp), 0);
	return call_run(call);
}

START_TEST(nobody_listens_and_then_somebody_does)
{
	struct call connector;

	calm_open();
	ck_assert_int_eq(connect_to("10.0.0.1:80", &connector), -ECONNREFUSED);
	listener = listener_open("10.0.0.1:80", &where);
	ck_assert_int_eq(call_run(&connector), 0);
	ck_assert_int_eq(call_run(&connector), -EISCONN);
	loop_close();
}
END_TEST

START_TEST(a_connect_into_a_cut_asks_again_and_gives_up)
{
	struct call connector;
	int64_t began_ns;

	calm_open();
	listener = listener_open("10.0.0.1:80", &where);
	ck_assert_int_eq(apus_sim_cut(main_loop, &where.any, NULL, 5 * APUS_SEC), 0);
	began_ns = now_ns();
	ck_assert_int_eq(connect_to("10.0.0.1:80", &connector), 0);
	ck_assert_int_ge(now_ns() - began_ns, 5 * APUS_SEC);
	ck_assert_int_eq(apus_sim_cut(main_loop, &where.any, NULL, APUS_NEVER), 0);
	ck_assert_int_eq(connect_to("10.0.0.1:80", &connector), -ETIMEDOUT);
	ck_assert_uint_eq(counts().timeouts, 1);
	loop_close();
}
END_TEST

START_TEST(a_connection_that_went_while_it_waited_is_accepted_and_over)
{
	struct call connector, acceptor = { .poll = tcp_accept };

	calm_open();
	acceptor.listener = listener_open("10.0.0.1:80", &where);
	ck_assert_int_eq(connect_to("10.0.0.1:80", &connector), 0);
	ck_assert_int_eq(apus_tcp_close(main_loop, connector.tcp), 0);
	turns();
	ck_assert_int_eq(call_run(&acceptor), 0);
	expect_next(acceptor.tcp, "");
	ck_assert_int_eq(connect_to("10.0.0.1:80", &connector), 0);
	ck_assert_int_eq(apus_listener_close(main_loop, acceptor.listener), 0);
	expect_next(connector.tcp, "");
	loop_close();
}
END_TEST

START_TEST(a_port_is_given_once)
{
	struct apus_address at = address_of("10.0.0.1:80"), any = address_of("0.0.0.0:80");
	const struct apus_listen_config shared = { .reuse_port = true };
	struct apus_listener other;

	calm_open();
	listener = listener_open("10.0.0.1:80", &where);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, NULL, &other), -EADDRINUSE);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &any, NULL, &other), -EADDRINUSE);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &shared, &other), -EADDRINUSE);
	ck_assert_int_eq(apus_listener_close(main_loop, listener), 0);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &shared, &listener), 0);
	ck_assert_int_eq(apus_tcp_listen(main_loop, &at, &shared, &other), 0);
	loop_close();
}
END_TEST

START_TEST(no_descriptor_left_keeps_the_connection_in_the_backlog)
{
	struct call acceptor = { .poll = tcp_accept }, connector;

	apus_sim_config_init(&weather, 1);
	weather.descriptor_count = 2;
	loop_open_with(over_sim);
	acceptor.listener = listener_open("10.0.0.1:80", &where);
	ck_assert_int_eq(connect_to("10.0.0.1:80", &connector), 0);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &ours), -EMFILE);
	ck_assert_int_eq(call_run(&acceptor), -EMFILE);
	ck_assert_int_eq(put(connector.tcp, "patience"), 8);
	ck_assert_int_eq(apus_tcp_close(main_loop, connector.tcp), 0);
	ck_assert_int_eq(call_run(&acceptor), 0);
	expect_next(acceptor.tcp, "patience");
	loop_close();
}
END_TEST

/* ---- datagrams ---------------------------------------------------------------------------------- */

static struct apus_udp udp_at(const char *at, const struct apus_udp_config *config)
{
	struct apus_address address = address_of(at);
	struct apus_udp udp;

	ck_assert_int_eq(apus_udp_open(main_loop, &address, config, &udp), 0);
	return udp;
}

static apus_poll udp_put(struct apus_udp udp, const char *text, const char *to)
{
	struct call call = { .poll = udp_send, .udp = udp, .data = (void *)(uintptr_t)text,
		.bytes = strlen(text) };

	if (to != NULL)
		call.address = address_of(to);
	return call_run(&call);
}

static const char *udp_take(struct apus_udp udp, struct apus_packet *packet)
{
	static char text[256];
	struct call call = { .poll = udp_recv, .udp = udp, .data = text, .bytes = 16 };
	apus_poll got = call_run(&call);

	if (packet != NULL)
		*packet = call.packet;
	if (got < 0)
		return strerrorname_np((int)-got);
	text[got] = '\0';
	return text;
}

START_TEST(a_datagram_names_its_sender_its_length_and_its_time)
{
	const struct apus_udp_config config = { .timestamps = true };
	struct apus_address from = address_of("10.0.0.2:700");
	struct apus_packet packet;
	struct apus_udp a, b;
	int64_t sent_ns;

	calm_open();
	a = udp_at("10.0.0.1:700", &config);
	b = udp_at("10.0.0.2:700", NULL);
	sent_ns = now_ns();
	ck_assert_int_eq(udp_put(b, "0123456789abcdefXYZ", "10.0.0.1:700"), 19);
	ck_assert_str_eq(udp_take(a, &packet), "0123456789abcdef");
	ck_assert(packet.is_truncated);
	ck_assert_uint_eq(packet.full_bytes, 19);
	ck_assert(apus_address_is_same(&packet.address, &from));
	if (APUS_WITH_LINUX) /* the network stamps in the form that Linux has */
		ck_assert_int_eq(packet.stamp_ns, sent_ns + 50 * APUS_USEC);
	ck_assert_int_eq(udp_put(a, "", "10.0.0.2:700"), 0);
	ck_assert_str_eq(udp_take(b, &packet), "");
	loop_close();
}
END_TEST

START_TEST(a_group_is_heard_by_those_who_joined_it)
{
	struct apus_address group = address_of("239.1.2.3:900"), source = address_of("10.0.0.9:0");
	struct apus_udp member[3], sender, other;
	int i;

	calm_open();
	for (i = 0; i < 3; i++)
		member[i] = udp_at("0.0.0.0:900", &(struct apus_udp_config){ .reuse_address = true });
	sender = udp_at("10.0.0.9:1", NULL);
	other = udp_at("10.0.0.8:1", NULL);
	ck_assert_int_eq(apus_udp_join(main_loop, member[0], &group, NULL, NULL), 0);
	ck_assert_int_eq(apus_udp_join(main_loop, member[0], &group, NULL, NULL), -EADDRINUSE);
	ck_assert_int_eq(apus_udp_join(main_loop, member[1], &group, &source, NULL), 0);
	ck_assert_int_eq(udp_put(other, "not from him", "239.1.2.3:900"), 12);
	ck_assert_int_eq(udp_put(sender, "news", "239.1.2.3:900"), 4);
	ck_assert_str_eq(udp_take(member[0], NULL), "not from him");
	ck_assert_str_eq(udp_take(member[0], NULL), "news");
	ck_assert_str_eq(udp_take(member[1], NULL), "news");
	ck_assert_int_eq(apus_udp_leave(main_loop, member[0], &group, NULL, NULL), 0);
	ck_assert_int_eq(apus_udp_leave(main_loop, member[0], &group, NULL, NULL), -EADDRNOTAVAIL);
	ck_assert_int_eq(udp_put(sender, "more", "239.1.2.3:900"), 4);
	ck_assert_str_eq(udp_take(member[1], NULL), "more");
	turns();
	ck_assert_int_eq(apus_udp_try_recv(main_loop, member[0], &i, sizeof i, NULL), -EAGAIN);
	ck_assert_int_eq(apus_udp_try_recv(main_loop, member[2], &i, sizeof i, NULL), -EAGAIN);
	loop_close();
}
END_TEST

START_TEST(a_connected_sender_hears_that_nobody_is_there)
{
	struct apus_address to = address_of("10.0.0.1:700");
	struct apus_udp udp;

	calm_open();
	udp = udp_at("0.0.0.0:0", NULL);
	ck_assert_int_eq(udp_put(udp, "lost", "10.0.0.1:700"), 4);
	ck_assert_int_eq(udp_put(udp, "where to?", NULL), -EDESTADDRREQ);
	ck_assert_int_eq(apus_udp_connect(main_loop, udp, &to), 0);
	ck_assert_int_eq(udp_put(udp, "lost", NULL), 4);
	ck_assert_str_eq(udp_take(udp, NULL), "ECONNREFUSED");
	loop_close();
}
END_TEST

START_TEST(a_full_receiver_drops_and_counts)
{
	const struct apus_udp_config config = { .receive_buffer_bytes = 2048 };
	struct apus_udp a, b;
	int i, got = 0;
	char text[16];

	calm_open();
	a = udp_at("10.0.0.1:700", &config);
	b = udp_at("10.0.0.2:700", NULL);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(udp_put(b, "x", "10.0.0.1:700"), 1);
	turns();
	while (apus_udp_try_recv(main_loop, a, text, sizeof text, NULL) == 1)
		got++;
	ck_assert_int_gt(got, 0);
	ck_assert_int_eq(apus_udp_drops(main_loop, a), 100 - got);
	ck_assert_uint_eq(counts().overflows, (uint64_t)(100 - got));
	loop_close();
}
END_TEST

START_TEST(batches_are_sent_and_received)
{
	struct apus_address to = address_of("10.0.0.1:700");
	struct call call = { .poll = udp_recv_batch };
	struct apus_batch batch;
	struct apus_udp b;
	uint32_t i;

	calm_open();
	call.udp = udp_at("10.0.0.1:700", NULL);
	b = udp_at("10.0.0.2:700", NULL);
	ck_assert_int_eq(apus_batch_init(&batch, 8, 64), 0);
	for (i = 0; i < 8; i++) {
		memset(batch.packets[i].data, (int)('a' + i), i + 1);
		batch.packets[i].bytes = i + 1;
		batch.packets[i].address = to;
	}
	{
		struct apus_cx *cx = apus_loop_cx(main_loop);

		ck_assert_int_eq(apus_udp_send_batch(cx, b, &batch, 0, 8), 8);
	}
	call.batch = &batch;
	ck_assert_int_eq(call_run(&call), 8);
	for (i = 0; i < 8; i++) {
		ck_assert_uint_eq(batch.packets[i].bytes, i + 1);
		ck_assert_int_eq(*(char *)batch.packets[i].data, (int)('a' + i));
	}
	apus_batch_deinit(&batch);
	loop_close();
}
END_TEST

START_TEST(datagrams_over_unix_are_never_lost_and_a_full_one_refuses)
{
	struct apus_udp a, b;
	int i, sent = 0;
	char text[16];

	apus_sim_config_rough(&weather, 3);
	weather.drop_ppm = 1000000;
	weather.again_ppm = weather.no_buffers_ppm = weather.socket_ppm = 0;
	weather.datagram_bytes = 4096;
	loop_open_with(over_sim);
	ck_assert_int_eq(apus_unix_pair_datagram(main_loop, &a, &b), 0);
	while (apus_udp_try_send(main_loop, a, "x", 1, NULL) == 1)
		sent++;
	ck_assert_int_gt(sent, 4);
	turns();
	for (i = 0; i < sent; i++)
		ck_assert_int_eq(apus_udp_try_recv(main_loop, b, text, sizeof text, NULL), 1);
	ck_assert_int_eq(apus_udp_try_recv(main_loop, b, text, sizeof text, NULL), -EAGAIN);
	loop_close();
}
END_TEST

/* ---- scripts --------------------------------------------------------------------------------------- */

START_TEST(a_scripted_reset_meets_both_ends_after_what_had_arrived)
{
	calm_open();
	pair();
	ck_assert_int_eq(put(ours, "before"), 6);
	turns();
	ck_assert_int_eq(put(ours, "lost"), 4);
	ck_assert_int_eq(apus_sim_reset(main_loop, &where.any), 1);
	expect_next(theirs, "before");
	expect_next(theirs, "ECONNRESET");
	expect_next(theirs, "");
	expect_next(ours, "ECONNRESET");
	ck_assert_int_eq(put(ours, "more"), -EPIPE);
	loop_close();
}
END_TEST

START_TEST(a_cut_stream_goes_on_when_it_is_over)
{
	struct call reader = { .poll = tcp_read, .data = (char[8]){ "" }, .bytes = 8 };
	int64_t began_ns;

	calm_open();
	pair();
	began_ns = now_ns();
	ck_assert_int_eq(apus_sim_cut(main_loop, NULL, NULL, APUS_SEC), 0);
	ck_assert_int_eq(put(ours, "late"), 4);
	expect_next(theirs, "late");
	ck_assert_int_ge(now_ns() - began_ns, APUS_SEC);
	ck_assert_uint_gt(counts().retries, 0);
	ck_assert_int_eq(apus_sim_cut(main_loop, NULL, NULL, APUS_NEVER), 0);
	ck_assert_int_eq(put(ours, "lost"), 4);
	reader.tcp = ours;
	ck_assert_int_eq(call_run(&reader), -ETIMEDOUT);
	ck_assert_int_eq(apus_sim_heal(main_loop), 0);
	pair();
	loop_close();
}
END_TEST

START_TEST(a_stalled_stream_is_late_and_in_order)
{
	int64_t began_ns;

	calm_open();
	pair();
	began_ns = now_ns();
	ck_assert_int_eq(apus_sim_stall(main_loop, 3 * APUS_SEC), 0);
	ck_assert_int_eq(put(ours, "one "), 4);
	ck_assert_int_eq(put(ours, "two"), 3);
	expect_next(theirs, "one two");
	ck_assert_int_eq(now_ns() - began_ns, 3 * APUS_SEC);
	loop_close();
}
END_TEST

START_TEST(scripted_errors_come_as_often_as_they_were_asked_for)
{
	calm_open();
	ck_assert_int_eq(apus_sim_fail(main_loop, APUS_SIM_SOCKET, ENFILE, 2), 0);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &ours), -ENFILE);
	ck_assert_int_eq(apus_tcp_open(main_loop, AF_INET, &ours), -ENFILE);
	pair();
	ck_assert_int_eq(apus_sim_fail(main_loop, APUS_SIM_WRITE, ENOBUFS, 1), 0);
	ck_assert_int_eq(put(ours, "x"), -ENOBUFS);
	ck_assert_int_eq(apus_sim_fail(main_loop, APUS_SIM_WRITE, EAGAIN, 3), 0);
	ck_assert_int_eq(put(ours, "x"), 1);
	ck_assert_int_eq(apus_sim_fail(main_loop, APUS_SIM_READ, EAGAIN, 3), 0);
	expect_next(theirs, "x");
	ck_assert_int_eq(apus_sim_fail(main_loop, APUS_SIM_READ, ETIMEDOUT, 1), 0);
	expect_next(theirs, "ETIMEDOUT");
	ck_assert_uint_eq(counts().scripted, 10);
	ck_assert_int_eq(apus_sim_fail(main_loop, APUS_SIM_CALLS, EIO, 1), -EINVAL);
	ck_assert_int_eq(apus_sim_fail(main_loop, APUS_SIM_READ, 0, 1), -EINVAL);
	loop_close();
}
END_TEST

/* ---- refusals ---------------------------------------------------------------------------------------- */

START_TEST(a_real_descriptor_has_no_place_there)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct apus_fd bare;

	calm_open();
	ck_assert_int_eq(apus_tcp_adopt(main_loop, fd, APUS_BORROWED, &ours), -EINVAL);
	ck_assert_int_eq(apus_fd_adopt(main_loop, fd, APUS_BORROWED, &bare), -EINVAL);
	ck_assert_int_eq(apus_tcp_adopt(main_loop, 1 << 30, APUS_BORROWED, &ours), -EINVAL);
	ck_assert_uint_eq(apusi_io_socket_count(loop_io()), 0);
	close(fd);
	loop_close();
}
END_TEST

START_TEST(a_number_is_released_and_adopted_again)
{
	struct apus_listener wrong;
	struct apus_udp wrong_too;
	int number;

	calm_open();
	pair();
	ck_assert_int_eq(put(ours, "held"), 4);
	number = apus_io_release(main_loop, theirs.token);
	ck_assert_int_gt(number, 0);
	ck_assert_int_eq(apus_listener_adopt(main_loop, number, APUS_OWNED, &wrong), -EPROTOTYPE);
	ck_assert_int_eq(apus_udp_adopt(main_loop, number, APUS_OWNED, &wrong_too), -EPROTOTYPE);
	ck_assert_int_eq(apus_tcp_adopt(main_loop, number, APUS_OWNED, &theirs), 0);
	ck_assert_int_eq(apus_tcp_adopt(main_loop, number, APUS_OWNED, &ours), -EEXIST);
	expect_next(theirs, "held");
	loop_close();
}
END_TEST

static void open_refused(struct apus_config *config, const char *reason)
{
	struct apus_loop *loop;

	config->log_fn = NULL;
	ck_assert_int_eq(apus_open(&loop, config), -EINVAL);
	ck_assert_msg(strstr(config->reason, reason) != NULL, "\"%s\" does not name %s",
		config->reason, reason);
}

START_TEST(a_configuration_that_cannot_be_is_refused_by_name)
{
	struct apus_config config;

	apus_sim_config_init(&weather, 1);
	apus_config_init(&config);
	config.backend = APUS_IO_SIM;
	config.clock = APUS_CLOCK_MONOTONIC;
	open_refused(&config, "config.clock");
	config.clock = APUS_CLOCK_AUTO;
	config.sim = &weather;
	weather.drop_ppm = 1000001;
	open_refused(&config, "drop_ppm");
	weather.drop_ppm = 0;
	weather.cut_ns = -1;
	open_refused(&config, "cut_ns");
	weather.cut_ns = 0;
	weather.again_ppm = 1000000;
	open_refused(&config, "again_ppm");
	weather.again_ppm = 0;
	weather.stream_bytes = UINT32_MAX;
	open_refused(&config, "stream_bytes");
	weather.stream_bytes = 0;
	config.backend = APUS_IO_NONE;
	open_refused(&config, "config.sim");
}
END_TEST

START_TEST(a_loop_over_anything_else_has_no_weather)
{
	struct apus_sim_counts now;

	ck_assert_int_eq(setenv("APUS_BACKEND", "none", 1), 0);
	loop_open();
	ck_assert_int_eq(apus_sim_heal(main_loop), -ENOTSUP);
	ck_assert_int_eq(apus_sim_cut(main_loop, NULL, NULL, 1), -ENOTSUP);
	ck_assert_int_eq(apus_sim_counts_read(main_loop, &now), -ENOTSUP);
	ck_assert_uint_eq(apus_sim_hash(main_loop), 0);
	loop_close();
}
END_TEST

/* Neither is named by the program. */
static void no_network(struct apus_config *config)
{
	config->backend = APUS_IO_AUTO;
	config->sim = NULL;
}

START_TEST(the_environment_names_the_backend_and_the_seed)
{
	ck_assert_int_eq(setenv("APUS_BACKEND", "sim", 1), 0);
	unsetenv("APUS_SIM_SEED");
	loop_open_with(no_network);
	ck_assert(is_over(APUS_IO_SIM));
	ck_assert_uint_eq(apus_sim_seed(main_loop), 1);
	pair();
	loop_close();
	ck_assert_int_eq(setenv("APUS_SIM_SEED", "12345", 1), 0);
	loop_open_with(no_network);
	ck_assert_uint_eq(apus_sim_seed(main_loop), 12345);
	loop_close();
}
END_TEST

START_TEST(bad_scripts_are_refused)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int i;

	calm_open();
	ck_assert_int_eq(apus_sim_cut(main_loop, &none, NULL, 1), -EINVAL);
	ck_assert_int_eq(apus_sim_cut(main_loop, NULL, NULL, -1), -EINVAL);
	ck_assert_int_eq(apus_sim_stall(main_loop, -1), -EINVAL);
	ck_assert_int_eq(apus_sim_reset(main_loop, &none), -EINVAL);
	for (i = 0; i < 32; i++)
		ck_assert_int_eq(apus_sim_cut(main_loop, NULL, NULL, 1), 0);
	ck_assert_int_eq(apus_sim_cut(main_loop, NULL, NULL, 1), -ENOSPC);
	ck_assert_int_eq(apus_sim_heal(main_loop), 0);
	ck_assert_int_eq(apus_sim_cut(main_loop, NULL, NULL, 1), 0);
	loop_close();
}
END_TEST

START_TEST(a_program_that_waits_for_nothing_on_its_way_is_stuck)
{
	struct caller init = { .call = NULL };
	struct call reader = { .poll = tcp_read, .data = (char[8]){ "" }, .bytes = 8 };

	calm_open();
	pair();
	reader.tcp = ours;
	init.call = &reader;
	ck_assert_int_eq(apus_run(main_loop, caller, &init), -EDEADLK);
	loop_close();
}
END_TEST

/* ---- faults by chance ----------------------------------------------------------------------------------- */

struct echo {
	struct apus_frame frame;
	struct apus_tcp tcp;
	struct apus_write write;
	int64_t got;
	char buffer[64];
};

static void echo_close(struct apus_cx *cx, struct echo *self)
{
	apus_tcp_close(cx->loop, self->tcp);
}

APUS_TASK(echo, struct echo, echo_close)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->got, apus_tcp_read(cx, self->tcp, self->buffer, sizeof self->buffer));
		if (self->got == 0)
			return 0;
		APUS_TRY(self->got, apus_tcp_write_all(cx, self->tcp, &self->write, self->buffer,
			(size_t)self->got));
	}
	APUS_END(0);
}

struct server {
	struct apus_frame frame;
	struct apus_listener listener;
	struct apus_tcp tcp;
	int64_t err;
};

APUS_TASK(server, struct server)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_tcp_accept(cx, self->listener, &self->tcp, NULL));
		if (self->err == 0)
			(void)apus_spawn_slab(cx->loop, echo, (&(struct echo){ .tcp = self->tcp }), NULL);
	}
	APUS_END(0);
}

static int rounds_done, rounds_broken; /* of all clients */

struct client {
	struct apus_frame frame;
	struct apus_tcp tcp;
	struct apus_write write;
	int round;
	int64_t got;
	size_t done;
	bool is_open;
	char buffer[60]; /* fits the smallest stream: a longer one could wait for its own echo */
};

static void client_close(struct apus_cx *cx, struct client *self)
{
	if (self->is_open)
		apus_tcp_close(cx->loop, self->tcp);
}

/* Says something, hears it again; what breaks is begun anew, on another connection. */
APUS_TASK(client, struct client, client_close)
{
	APUS_BEGIN(cx, self);
	for (self->round = 0; self->round < 20; self->round++) {
		while (!self->is_open) {
			self->is_open = apus_tcp_open(cx->loop, AF_INET, &self->tcp) == 0;
			if (self->is_open)
				APUS_AWAIT(self->got, apus_tcp_connect(cx, self->tcp, &where));
			if (self->is_open && self->got == 0)
				break;
			if (self->is_open)
				apus_tcp_close(cx->loop, self->tcp);
			self->is_open = false;
			APUS_AWAIT(self->got, apus_sleep(cx, APUS_MSEC));
		}
		memset(self->buffer, 'a' + self->round, sizeof self->buffer);
		APUS_AWAIT(self->got, apus_tcp_write_all(cx, self->tcp, &self->write, self->buffer,
			sizeof self->buffer));
		for (self->done = 0; self->got > 0 && self->done < sizeof self->buffer;) {
			APUS_AWAIT(self->got, apus_timeout(cx, 30 * APUS_SEC, apus_tcp_read(cx,
				self->tcp, self->buffer, sizeof self->buffer - self->done)));
			if (self->got > 0)
				self->done += (size_t)self->got;
		}
		if (self->got > 0) {
			rounds_done++;
			continue;
		}
		rounds_broken++;
		self->is_open = false;
		apus_tcp_close(cx->loop, self->tcp);
	}
	APUS_END(0);
}

struct talker {
	struct apus_frame frame;
	struct apus_udp udp;
	struct apus_address to;
	int round;
	int64_t got;
	char buffer[32];
};

APUS_TASK(talker, struct talker)
{
	APUS_BEGIN(cx, self);
	for (self->round = 0; self->round < 60; self->round++) {
		memset(self->buffer, self->round, sizeof self->buffer);
		APUS_AWAIT(self->got, apus_udp_send(cx, self->udp, self->buffer, sizeof self->buffer,
			&self->to));
		APUS_AWAIT(self->got, apus_sleep(cx, 100 * APUS_USEC));
	}
	APUS_END(0);
}

struct hearer {
	struct apus_frame frame;
	struct apus_udp udp;
	int64_t got;
	char buffer[32];
};

APUS_TASK(hearer, struct hearer)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->got, apus_udp_recv(cx, self->udp, self->buffer, sizeof self->buffer,
			NULL));
	}
	APUS_END(0);
}

/* Some clients and a talker, under the weather that is set; the hash of all their steps. */
static uint64_t program_run(struct apus_sim_counts *seen)
{
	const struct apus_udp_config shared = { .reuse_port = true };
	struct apus_join done[5];
	struct talker talk = { .to = address_of("10.0.0.1:700") };
	struct hearer hear = { .got = 0 };
	struct server serve = { .err = 0 };
	struct apus_address any = address_of("0.0.0.0:0");
	uint64_t hash;
	int i;

	rounds_done = rounds_broken = 0;
	where = address_of("127.0.0.1:80");
	loop_open_with(over_sim);
	while (apus_tcp_listen(main_loop, &where, NULL, &serve.listener) != 0)
		;
	while (apus_udp_open(main_loop, &talk.to, &shared, &hear.udp) != 0)
		;
	while (apus_udp_open(main_loop, &any, NULL, &talk.udp) != 0)
		;
	ck_assert_int_eq(apus_spawn_slab(main_loop, server, &serve, NULL), 0);
	ck_assert_int_eq(apus_spawn_slab(main_loop, hearer, &hear, NULL), 0);
	ck_assert_int_eq(apus_spawn_slab(main_loop, talker, &talk, &done[4]), 0);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(apus_spawn_slab(main_loop, client, (&(struct client){ .round = 0 }),
			&done[i]), 0);
	for (i = 0; i < 5; i++)
		while (apus_try_join(main_loop, done[i], NULL) == -EAGAIN)
			apus_turn(main_loop);
	turns();
	*seen = counts();
	hash = apus_sim_hash(main_loop);
	loop_close();
	return hash;
}

START_TEST(the_same_seed_makes_the_same_steps)
{
	struct apus_sim_counts one, two;
	uint64_t seed, first, last = 0;

	for (seed = 0; seed < 40; seed++) {
		apus_sim_config_rough(&weather, seed);
		first = program_run(&one);
		ck_assert_uint_ne(first, last);
		last = first;
		ck_assert_uint_eq(program_run(&two), first);
		ck_assert_mem_eq(&one, &two, sizeof one);
		ck_assert_int_gt(rounds_done, 0);
	}
}
END_TEST

START_TEST(another_seed_makes_other_steps_in_the_same_weather)
{
	struct apus_sim_counts seen;
	uint64_t first;

	apus_sim_config_rough(&weather, 1);
	weather.jitter_ns = APUS_MSEC;
	first = program_run(&seen);
	weather.seed = 2;
	ck_assert_uint_ne(program_run(&seen), first);
}
END_TEST

START_TEST(a_calm_network_breaks_nothing)
{
	struct apus_sim_counts seen;

	apus_sim_config_init(&weather, 1);
	program_run(&seen);
	ck_assert_int_eq(rounds_done, 80);
	ck_assert_int_eq(rounds_broken, 0);
	ck_assert_uint_eq(seen.datagrams_received, 60);
	ck_assert_uint_eq(seen.resets + seen.drops + seen.agains + seen.short_reads + seen.cuts, 0);
}
END_TEST

#define FAULT(field, counted) { #field, offsetof(struct apus_sim_config, field), \
	offsetof(struct apus_sim_counts, counted) }

static const struct fault {
	const char *name;
	size_t rate, count;
} faults[] = {
	FAULT(short_read_ppm, short_reads), FAULT(short_write_ppm, short_writes),
	FAULT(again_ppm, agains), FAULT(accept_ppm, accept_errors),
	FAULT(socket_ppm, socket_errors), FAULT(no_buffers_ppm, no_buffers),
	FAULT(spurious_ppm, spurious), FAULT(refuse_ppm, refused), FAULT(reset_ppm, resets),
	FAULT(stall_ppm, stalls), FAULT(cut_ppm, cuts), FAULT(drop_ppm, drops),
	FAULT(duplicate_ppm, duplicates), FAULT(reorder_ppm, reorders),
};

enum { FAULTS = sizeof faults / sizeof *faults };

static uint64_t count_of(const struct apus_sim_counts *seen, const struct fault *fault)
{
	uint64_t count;

	memcpy(&count, (const char *)seen + fault->count, sizeof count);
	return count;
}

/* Alone: it happens, and none of the others does. */
START_TEST(each_fault_happens_and_is_counted)
{
	struct apus_sim_counts seen;
	const uint32_t ppm = 200000;
	int i;

	apus_sim_config_init(&weather, 7);
	weather.stall_ns = weather.cut_ns = APUS_SEC;
	memcpy((char *)&weather + faults[_i].rate, &ppm, sizeof ppm);
	program_run(&seen);
	for (i = 0; i < FAULTS; i++)
		ck_assert_msg((count_of(&seen, &faults[i]) > 0) == (i == _i), "%s alone: %s %u",
			faults[_i].name, faults[i].name, (unsigned)count_of(&seen, &faults[i]));
	ck_assert_int_eq(rounds_done + rounds_broken, 80);
}
END_TEST

/* ---- the trace ------------------------------------------------------------------------------------------- */

static unsigned traced;

static void trace_see(void *arg, const struct apus_sim_step *step)
{
	ck_assert_ptr_eq(arg, &traced);
	ck_assert_ptr_nonnull(step->what);
	traced++;
}

START_TEST(every_step_is_traced)
{
	apus_sim_config_init(&weather, 1);
	weather.trace = trace_see;
	weather.trace_arg = &traced;
	loop_open_with(over_sim);
	pair();
	ck_assert_uint_gt(traced, 5);
	ck_assert_uint_eq(traced, counts().steps);
	loop_close();
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = { both_ends_of_a_stream_live_on_one_loop,
		a_stream_over_ipv6_and_one_over_a_path_are_streams_too,
		half_a_stream_is_shut_and_the_other_half_goes_on,
		what_was_sent_before_a_close_still_arrives,
		closing_on_bytes_that_nobody_read_is_a_reset,
		writing_to_who_has_closed_is_a_reset_one_round_later,
		a_full_stream_refuses_until_it_is_read,
		a_segment_is_received_and_given_back,
		nobody_listens_and_then_somebody_does,
		a_connect_into_a_cut_asks_again_and_gives_up,
		a_connection_that_went_while_it_waited_is_accepted_and_over,
		a_port_is_given_once, no_descriptor_left_keeps_the_connection_in_the_backlog,
		a_datagram_names_its_sender_its_length_and_its_time,
		a_group_is_heard_by_those_who_joined_it,
		a_connected_sender_hears_that_nobody_is_there, a_full_receiver_drops_and_counts,
		batches_are_sent_and_received,
		datagrams_over_unix_are_never_lost_and_a_full_one_refuses,
		a_scripted_reset_meets_both_ends_after_what_had_arrived,
		a_cut_stream_goes_on_when_it_is_over, a_stalled_stream_is_late_and_in_order,
		scripted_errors_come_as_often_as_they_were_asked_for,
		a_real_descriptor_has_no_place_there, a_number_is_released_and_adopted_again,
		a_configuration_that_cannot_be_is_refused_by_name,
		a_loop_over_anything_else_has_no_weather,
		the_environment_names_the_backend_and_the_seed, bad_scripts_are_refused,
		a_program_that_waits_for_nothing_on_its_way_is_stuck,
		the_same_seed_makes_the_same_steps,
		another_seed_makes_other_steps_in_the_same_weather, a_calm_network_breaks_nothing,
		every_step_is_traced };
	TCase *all = test_case("sim");
	size_t i;

	for (i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(all, tests[i]);
	tcase_add_loop_test(all, each_fault_happens_and_is_counted, 0, FAULTS);
	return test_run(argc, argv, all);
}
