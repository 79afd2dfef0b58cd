/*
 * test_ttt_gateway.c - the order gateway of the tick-to-trade example when its connection
 * breaks, at any byte and over thousands of seeds: nothing is counted twice, nothing is lost,
 * and after every step the gateway fits together.
 */
#include "../../examples/ttt/backoff.h"

#include "twosome.h"

/* ---- the whole, through breaks ------------------------------------------------------------- */

static struct climate breaks(uint32_t one_in)
{
	return (struct climate){.breaks = one_in};
}

START_TEST(through_a_hundred_breaks_books_counts_and_positions_agree)
{
	struct twosome *two = whole_session(31, breaks(100), 20000);

	check_agreement(two);
	ck_assert_uint_gt(two->desk.gateway.breaks, 50);
	/* Orders were lost on their way, and cancelled by the break; or nothing was shown. */
	ck_assert_uint_gt(two->desk.gateway.never_entered, 0);
	ck_assert_uint_gt(two->market.counts.executed, 100);
	ck_assert_uint_eq(two->client.repeated, 0);
	twosome_close(two);
}
END_TEST

START_TEST(a_server_that_sends_too_much_again_changes_nothing)
{
	struct climate climate = breaks(150);
	struct twosome *two;

	climate.is_forgetful = true;
	two = whole_session(31, climate, 10000);
	check_agreement(two);
	ck_assert_uint_gt(two->client.repeated, 100);
	twosome_close(two);
}
END_TEST

/* Seeds by the thousand, each a short day in weather of its own. */
START_TEST(over_two_thousand_seeds_all_is_accounted_for)
{
	uint64_t seed = test_seed(), breaks_seen = 0, lost_seen = 0;

	for (uint64_t round = 0; round < 250; round++) {
		struct rng rng = {seed + round * 8 + (uint64_t)_i};
		struct climate climate = {
			.line = {{5 + rng_below(&rng, 40), 20, 20}, {5 + rng_below(&rng, 40), 20, 20}},
			.lost_answers = 10, .has_two_lines = rng_one_in(&rng, 2),
			.breaks = 10 + rng_below(&rng, 100), .is_forgetful = rng_one_in(&rng, 3),
			.is_short = true,
		};
		struct twosome *two = whole_session(rng_next(&rng), climate, 300);

		check_agreement(two);
		breaks_seen += two->desk.gateway.breaks;
		lost_seen += two->desk.gateway.never_entered;
		twosome_close(two);
	}
	ck_assert_uint_gt(breaks_seen, 500);
	ck_assert_uint_gt(lost_seen, 0);
}
END_TEST

/* ---- order by order ------------------------------------------------------------------------- */

static const struct gateway_config patient = {
	.symbol_count = 4, .order_limit = 8, .timeout_ns = APUS_SEC, .firm = "APUS",
};

static const struct gateway_intent intent = {.locate = 1, .shares = 100, .price = 100};

static void answer(struct gateway *gateway, struct ouch_answer answer,
	const uint8_t *request, size_t token_at)
{
	uint8_t bytes[OUCH_ANSWER_MAX];

	memcpy(answer.token, request + SOUP_HEADER_SIZE + token_at, OUCH_TOKEN_SIZE);
	gateway_answer(gateway, bytes, (size_t)ouch_encode_answer(&answer, bytes, sizeof(bytes)));
}

static void accept_order(struct gateway *gateway, const uint8_t *request)
{
	answer(gateway, (struct ouch_answer){.type = 'A', .side = 'B', .shares = 100,
		.price = 100, .state = 'L'}, request, 1);
}

START_TEST(without_a_connection_everything_is_refused_and_nothing_is_counted)
{
	uint8_t bytes[GATEWAY_PACKET_MAX];
	struct gateway_handle handle;
	struct gateway gateway;
	struct order_counts before;

	ck_assert_int_eq(gateway_init(&gateway, &patient), 0);
	gateway_enter(&gateway, &intent, 0, bytes, &handle);
	before = gateway.counts;
	gateway_break(&gateway);
	gateway_break(&gateway);
	ck_assert_uint_eq(gateway.breaks, 1);
	ck_assert_int_eq(gateway_enter(&gateway, &intent, 0, bytes, &handle), -ENOTCONN);
	ck_assert_int_eq(gateway_replace(&gateway, &handle, 1, 1, 0, bytes), -ENOTCONN);
	ck_assert_int_eq(gateway_cancel(&gateway, handle, 0, bytes), -ENOTCONN);
	ck_assert_int_eq(gateway_deadline_ns(&gateway), APUS_NEVER);
	ck_assert(order_counts_equal(&gateway.counts, &before));
	/* Open still, and counted against the limits: it may have arrived. */
	ck_assert_int_eq(gateway_exposure(&gateway, 1, BOOK_BID), 100);
	ck_assert_ptr_null(gateway_check(&gateway));
	gateway_deinit(&gateway);
}
END_TEST

START_TEST(what_was_never_answered_has_never_arrived)
{
	uint8_t first[GATEWAY_PACKET_MAX], bytes[GATEWAY_PACKET_MAX];
	struct gateway_handle live, replacement, lost, canceling;
	struct gateway gateway;

	ck_assert_int_eq(gateway_init(&gateway, &patient), 0);
	gateway_enter(&gateway, &intent, 0, first, &live);
	accept_order(&gateway, first);
	replacement = live;
	gateway_replace(&gateway, &replacement, 200, 99, 0, bytes);
	gateway_enter(&gateway, &intent, 0, bytes, &canceling);
	accept_order(&gateway, bytes);
	gateway_cancel(&gateway, canceling, 0, bytes);
	gateway_enter(&gateway, &intent, 0, bytes, &lost);
	ck_assert_uint_eq(gateway.open_count, 4);
	gateway_break(&gateway);
	gateway_resume(&gateway);
	/* The two that were live are so still, and may be cancelled, the replaced one too. */
	ck_assert_uint_eq(gateway.open_count, 2);
	ck_assert_uint_eq(gateway.never_entered, 1);
	ck_assert_uint_eq(gateway.never_replaced, 1);
	ck_assert_ptr_null(gateway_find(&gateway, lost));
	ck_assert_ptr_null(gateway_find(&gateway, replacement));
	ck_assert_int_eq(gateway_exposure(&gateway, 1, BOOK_BID), 200);
	ck_assert(!gateway_find(&gateway, canceling)->is_canceling);
	ck_assert_int_gt(gateway_replace(&gateway, &live, 200, 99, 0, bytes), 0);
	ck_assert_ptr_null(gateway_check(&gateway));
	gateway_deinit(&gateway);
}
END_TEST

START_TEST(a_session_that_is_no_more_takes_its_orders_with_it)
{
	uint8_t bytes[GATEWAY_PACKET_MAX];
	struct gateway_handle handle;
	struct gateway gateway;

	ck_assert_int_eq(gateway_init(&gateway, &patient), 0);
	for (int n = 0; n < 8; n++) {
		gateway_enter(&gateway, &intent, 0, bytes, &handle);
		if (n % 2 == 0)
			accept_order(&gateway, bytes);
		if (n == 4)
			gateway_replace(&gateway, &handle, 200, 99, 0, bytes);
	}
	answer(&gateway, (struct ouch_answer){.type = 'E', .shares = 30, .price = 100,
		.liquidity = 'A'}, bytes, 1);
	gateway_abandon(&gateway);
	ck_assert_uint_eq(gateway.open_count, 0);
	ck_assert_uint_eq(gateway.abandoned, 8);
	/* What was filled is filled. */
	ck_assert_int_eq(gateway_exposure(&gateway, 1, BOOK_BID), gateway.positions[1]);
	ck_assert_ptr_null(gateway_check(&gateway));
	gateway_deinit(&gateway);
}
END_TEST

/* Or every other test of it would show nothing. */
START_TEST(the_check_finds_what_does_not_fit)
{
	uint8_t bytes[GATEWAY_PACKET_MAX];
	struct gateway_handle handle;
	struct gateway gateway;

	ck_assert_int_eq(gateway_init(&gateway, &patient), 0);
	gateway_enter(&gateway, &intent, 0, bytes, &handle);
	ck_assert_ptr_null(gateway_check(&gateway));
	gateway.working[BOOK_BID][1]++;
	ck_assert_ptr_nonnull(gateway_check(&gateway));
	gateway.working[BOOK_BID][1]--;
	gateway.open_count++;
	ck_assert_ptr_nonnull(gateway_check(&gateway));
	gateway.open_count--;
	gateway.orders[1].is_replacement = true;
	ck_assert_ptr_nonnull(gateway_check(&gateway));
	gateway.orders[1].is_replacement = false;
	gateway.orders[1].state = GATEWAY_FREE;
	ck_assert_ptr_nonnull(gateway_check(&gateway));
	gateway.orders[1].state = GATEWAY_LIVE;
	ck_assert_ptr_null(gateway_check(&gateway));
	gateway_deinit(&gateway);
}
END_TEST

/* ---- logging in again ------------------------------------------------------------------------- */

static enum session_event tell(struct session *session, const uint8_t *bytes, size_t size,
	struct soup_login *login)
{
	struct soup_packet packet;

	ck_assert_int_eq(soup_parse(bytes, size, &packet), (int)size);
	return session_receive(session, &packet, 0, login);
}

static enum session_event tell_message(struct session *session)
{
	uint8_t bytes[8];

	soup_put_header(bytes, SOUP_SEQUENCED, 1)[0] = 'x';
	return tell(session, bytes, 4, NULL);
}

/* A client that has seen three messages and was cut off. */
static void cut_off(struct session *client, struct session *server)
{
	struct soup_login login;
	uint8_t bytes[64];

	session_init(client, SESSION_CLIENT, 0);
	session_init(server, SESSION_SERVER, 0);
	tell(server, bytes, session_login(client, "ENGINE", "SECRET", bytes, 0), &login);
	ck_assert_uint_eq(login.sequence, 1);
	ck_assert_mem_eq(login.session, "          ", 10);
	tell(client, bytes, session_accept(server, SESSION, 1, bytes, 0), NULL);
	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(tell_message(client), SESSION_DATA);
	session_lost(client);
	ck_assert_int_eq(tell_message(client), SESSION_ERROR);
	session_init(server, SESSION_SERVER, 0);
	ck_assert_int_eq(tell(server, bytes, session_login(client, "ENGINE", "SECRET", bytes, 0),
		&login), SESSION_LOGIN);
	ck_assert_uint_eq(login.sequence, 4);
	ck_assert_mem_eq(login.session, SESSION, 10);
}

START_TEST(a_login_resumes_at_the_next_number)
{
	struct session client, server;
	uint8_t bytes[64];

	cut_off(&client, &server);
	ck_assert_int_eq(tell(&client, bytes, session_accept(&server, SESSION, 4, bytes, 0), NULL),
		SESSION_ACCEPTED);
	ck_assert_int_eq(tell_message(&client), SESSION_DATA);
	ck_assert_uint_eq(client.next, 5);
	ck_assert(!client.is_caught_up);
	ck_assert_int_eq(tell(&client, bytes, session_heartbeat(&server, bytes, 0), NULL),
		SESSION_CAUGHT_UP);
}
END_TEST

START_TEST(what_was_seen_is_repeated_and_what_is_gone_is_missed)
{
	struct session client, server;
	uint8_t bytes[64];

	cut_off(&client, &server);
	tell(&client, bytes, session_accept(&server, SESSION, 2, bytes, 0), NULL);
	ck_assert_int_eq(tell_message(&client), SESSION_REPEATED);
	ck_assert_int_eq(tell_message(&client), SESSION_REPEATED);
	ck_assert_int_eq(tell_message(&client), SESSION_DATA);
	ck_assert_uint_eq(client.next, 5);
	cut_off(&client, &server);
	ck_assert_int_eq(tell(&client, bytes, session_accept(&server, SESSION, 5, bytes, 0), NULL),
		SESSION_MISSED);
	ck_assert_int_eq(client.state, SESSION_OVER);
}
END_TEST

START_TEST(another_session_is_told_apart_and_counts_from_its_own_start)
{
	struct session client, server;
	struct soup_login login;
	uint8_t bytes[64];

	cut_off(&client, &server);
	ck_assert_int_eq(tell(&client, bytes, soup_put_rejected(bytes, SOUP_REJECT_NO_SESSION),
		NULL), SESSION_REJECTED);
	session_lost(&client);
	session_forget(&client);
	tell(&server, bytes, session_login(&client, "ENGINE", "SECRET", bytes, 0), &login);
	ck_assert_uint_eq(login.sequence, 1);
	ck_assert_mem_eq(login.session, "          ", 10);
	cut_off(&client, &server);
	ck_assert_int_eq(tell(&client, bytes, session_accept(&server, "ANOTHER", 1, bytes, 0), NULL),
		SESSION_OTHER);
	ck_assert_uint_eq(client.next, 1);
	ck_assert_int_eq(tell_message(&client), SESSION_DATA);
}
END_TEST

START_TEST(the_wait_doubles_up_to_its_limit_and_no_two_are_in_step)
{
	struct backoff a, b;
	int64_t base = 1000, same = 0;

	backoff_init(&a, 1000, 64000, 1);
	backoff_init(&b, 1000, 64000, 2);
	for (int n = 0; n < 20; n++) {
		int64_t wait = backoff_next_ns(&a);

		ck_assert_int_ge(wait, base / 2);
		ck_assert_int_le(wait, base);
		same += wait == backoff_next_ns(&b);
		base = base < 64000 ? 2 * base : base;
	}
	ck_assert_int_lt(same, 3);
	ck_assert_int_eq(base, 64000);
	backoff_reset(&a);
	ck_assert_int_le(backoff_next_ns(&a), 1000);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = test_case("ttt_gateway");

	tcase_add_test(all, through_a_hundred_breaks_books_counts_and_positions_agree);
	tcase_add_test(all, a_server_that_sends_too_much_again_changes_nothing);
	tcase_add_loop_test(all, over_two_thousand_seeds_all_is_accounted_for, 0, 8);
	tcase_add_test(all, without_a_connection_everything_is_refused_and_nothing_is_counted);
	tcase_add_test(all, what_was_never_answered_has_never_arrived);
	tcase_add_test(all, a_session_that_is_no_more_takes_its_orders_with_it);
	tcase_add_test(all, the_check_finds_what_does_not_fit);
	tcase_add_test(all, a_login_resumes_at_the_next_number);
	tcase_add_test(all, what_was_seen_is_repeated_and_what_is_gone_is_missed);
	tcase_add_test(all, another_session_is_told_apart_and_counts_from_its_own_start);
	tcase_add_test(all, the_wait_doubles_up_to_its_limit_and_no_two_are_in_step);
	return test_run(argc, argv, all);
}
