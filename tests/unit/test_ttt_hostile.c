/*
 * test_ttt_hostile.c - what cannot be, sent to every socket of the tick-to-trade example: it is
 * counted by kind and dropped, the books and positions stay what they are, and nothing is read
 * beyond a packet's end (each lies in a block of just its size, so a sanitizer would see it).
 */
#include "../../examples/ttt/vandal.h"

#include "twosome.h"

/* ---- the feed ------------------------------------------------------------------------------- */

static enum feed_verdict offer_exactly(struct desk *desk, const uint8_t *bytes, size_t size,
	int64_t now_ns)
{
	uint8_t *exact = malloc(size + (size == 0));
	enum feed_verdict verdict;

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, bytes, size);
	verdict = desk_packet(desk, FEED_LINE_A, exact, size, now_ns);
	free(exact);
	return verdict;
}

static const enum feed_verdict expected[VANDAL_KINDS] = {
	[VANDAL_TRUNCATED] = FEED_TRUNCATED, [VANDAL_OVERSIZED] = FEED_OVERSIZED,
	[VANDAL_LONG] = FEED_OVERSIZED, [VANDAL_LENGTH] = FEED_BAD_LENGTH,
	[VANDAL_TYPE] = FEED_BAD_TYPE, [VANDAL_FIELD] = FEED_BAD_FIELD,
	[VANDAL_SESSION] = FEED_STRANGER, [VANDAL_NUMBER] = FEED_BAD_NUMBER,
	[VANDAL_FAR] = FEED_FAR,
};

/* The packet that is due, but spoilt; noise may be refused for any reason, but is refused. */
static void vandalise(struct twosome *two, enum vandal_kind kind)
{
	uint8_t bytes[VANDAL_PACKET_MAX];
	struct feed *feed = &two->desk.feed;
	uint64_t next = feed->next, high = feed->high, changes = two->desk.books.counts.changes;
	size_t size = vandal_packet(&two->rng, kind, SESSION, next, bytes);
	enum feed_verdict verdict = offer_exactly(&two->desk, bytes, size, two->now_ns);

	ck_assert_int_ge(verdict, FEED_REFUSED);
	if (kind != VANDAL_NOISE)
		ck_assert_msg(verdict == expected[kind], "kind %d: %s", kind,
			feed_verdict_name(verdict));
	ck_assert_uint_eq(feed->next, next);
	ck_assert_uint_eq(feed->high, high);
	ck_assert_uint_eq(two->desk.books.counts.changes, changes);
}

START_TEST(spoilt_packets_are_counted_by_kind_and_change_nothing)
{
	struct twosome *two = twosome_open(41, (struct climate){.line = {{.loss = 50}}},
		&desk_config);
	uint64_t sent[VANDAL_KINDS] = {0}, *verdicts = two->desk.feed.counts.verdicts;

	begin(two);
	for (int step = 0; step < 10000; step++) {
		enum vandal_kind kind = (enum vandal_kind)(step % VANDAL_KINDS);

		vandalise(two, kind);
		sent[kind]++;
		trade(two, 1);
	}
	ck_assert_uint_ge(verdicts[FEED_TRUNCATED], sent[VANDAL_TRUNCATED]);
	ck_assert_uint_ge(verdicts[FEED_OVERSIZED], sent[VANDAL_OVERSIZED] + sent[VANDAL_LONG]);
	ck_assert_uint_eq(verdicts[FEED_BAD_TYPE], sent[VANDAL_TYPE]);
	ck_assert_uint_eq(verdicts[FEED_FAR], sent[VANDAL_FAR]);
	ck_assert_uint_eq(feed_refused_count(verdicts), 10000);
	finish(two);
	check_agreement(two);
	twosome_close(two);
}
END_TEST

/* A real packet with some bytes changed, cut or grown; it may even be good. */
static size_t fuzz(struct test_random *random, uint8_t *bytes, size_t size, size_t room)
{
	for (uint64_t n = test_random_below(random, 6); n > 0 && size > 0; n--)
		bytes[test_random_below(random, size)] ^= (uint8_t)test_random_next(random);
	if (test_random_below(random, 4) == 0)
		size = (size_t)test_random_below(random, size + 1);
	if (test_random_below(random, 8) == 0)
		while (size < room && test_random_below(random, 20) != 0)
			bytes[size++] = (uint8_t)test_random_next(random);
	return size;
}

START_TEST(fuzzed_packets_leave_a_feed_that_goes_on)
{
	struct test_random random = test_random_init(test_seed());
	struct twosome *two = twosome_open(42, (struct climate){.is_short = true}, &desk_config);
	uint8_t bytes[MOLD_PACKET_MAX];
	uint64_t packets = 0, sum = 0;

	begin(two);
	for (int round = 0; round < 20000; round++) {
		size_t size;

		market_step(&two->market, two->now_ns);
		two->now_ns += STEP_NS;
		while ((size = publisher_packet(&two->publisher, bytes, two->now_ns)) != 0) {
			size = fuzz(&random, bytes, size, sizeof(bytes));
			offer_exactly(&two->desk, bytes, size, two->now_ns);
			send_orders(two);
			packets++;
		}
		connection(two);
	}
	/* What was believed is anybody's guess; each packet has one verdict, and all fits. */
	for (int verdict = 0; verdict < FEED_VERDICTS; verdict++)
		sum += two->desk.feed.counts.verdicts[verdict];
	ck_assert_uint_eq(sum, packets);
	ck_assert_uint_gt(feed_refused_count(two->desk.feed.counts.verdicts), packets / 20);
	ck_assert_uint_eq(two->desk.malformed, 0);
	ck_assert_ptr_null(gateway_check(&two->desk.gateway));
	twosome_close(two);
}
END_TEST

/* ---- requests to the retransmission server ---------------------------------------------------- */

START_TEST(fuzzed_requests_are_answered_or_counted)
{
	struct test_random random = test_random_init(test_seed());
	struct twosome *two = twosome_open(43, (struct climate){.is_short = true}, &desk_config);
	struct publisher *publisher = &two->publisher;
	uint64_t answered = 0;

	begin(two);
	trade(two, 200);
	for (int round = 0; round < 50000; round++) {
		struct mold_header header = {.session = SESSION, .count = 3,
			.sequence = 1 + test_random_below(&random, 2 * publisher->next)};
		uint8_t request[MOLD_HEADER_SIZE + 40], answer[MOLD_PACKET_MAX], *exact;
		size_t size = MOLD_HEADER_SIZE;

		mold_put_header(request, &header);
		if (round % 4 != 0)
			size = fuzz(&random, request, size, sizeof(request));
		exact = malloc(size + (size == 0));
		memcpy(exact, request, size);
		size = publisher_answer(publisher, exact, size, answer);
		if (size != 0) {
			ck_assert_int_eq(mold_check(answer, size, &header), 0);
			ck_assert_uint_le(header.sequence + header.count, publisher->next);
			answered++;
		}
		free(exact);
	}
	ck_assert_uint_gt(answered, 5000);
	ck_assert_uint_gt(publisher->faults.counts[FAULT_LENGTH], 1000);
	ck_assert_uint_gt(publisher->faults.counts[FAULT_OVERSIZED], 1000);
	ck_assert_uint_gt(publisher->faults.counts[FAULT_SESSION], 1000);
	ck_assert_uint_gt(publisher->faults.counts[FAULT_FIELD], 0);
	twosome_close(two);
}
END_TEST

/* ---- the connection, from either end ------------------------------------------------------------ */

/* Bytes as TCP may cut them; false: the stream is of no use any more. */
static bool pour(struct test_random *random, struct soup_stream *stream, const uint8_t *bytes,
	size_t size, bool (*take)(void *, const struct soup_packet *), void *context)
{
	struct soup_packet packet;
	int got = 0;

	while (size > 0 && got == 0) {
		size_t room, part;
		uint8_t *at = soup_stream_space(stream, &room);

		part = 1 + (size_t)test_random_below(random, size < room ? size : room);
		memcpy(at, bytes, part);
		soup_stream_add(stream, part);
		bytes += part;
		size -= part;
		while ((got = soup_stream_next(stream, &packet)) == 1)
			if (!take(context, &packet))
				return false;
	}
	return got == 0;
}

static bool client_takes(void *context, const struct soup_packet *packet)
{
	struct twosome *two = context;

	switch (session_receive(&two->client, packet, two->now_ns, NULL)) {
	case SESSION_DATA:
		gateway_answer(&two->desk.gateway, packet->body, packet->body_size);
		return true;
	case SESSION_REJECTED:
	case SESSION_ENDED:
	case SESSION_MISSED:
	case SESSION_ERROR:
		return false;
	default:
		return true;
	}
}

static bool server_takes(void *context, const struct soup_packet *packet)
{
	struct twosome *two = context;
	struct soup_login login;

	switch (session_receive(&two->server, packet, two->now_ns, &login)) {
	case SESSION_DATA:
		market_request(&two->market, packet->body, packet->body_size, two->now_ns);
		return true;
	case SESSION_NONE:
		return true;
	default:
		return false;
	}
}

static void log_in(struct twosome *two)
{
	uint8_t bytes[64];

	session_lost(&two->client);
	session_forget(&two->client);
	session_login(&two->client, "ENGINE", "SECRET", bytes, 0);
	two->client.state = SESSION_UP;
	session_init(&two->server, SESSION_SERVER, 0);
	session_accept(&two->server, SESSION, 1, bytes, 0);
	memset(&two->to_client, 0, sizeof(two->to_client));
	memset(&two->to_server, 0, sizeof(two->to_server));
}

START_TEST(a_fuzzed_connection_breaks_and_both_ends_go_on)
{
	struct test_random random = test_random_init(test_seed());
	struct twosome *two = twosome_open(44, (struct climate){.is_short = true}, &desk_config);
	uint64_t broken = 0, whole = 0;

	begin(two);
	trade(two, 300);
	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[OUCH_ANSWER_MAX + SOUP_HEADER_SIZE + 200];
		uint64_t oldest = tape_oldest(&two->market.answers);
		struct gateway_intent intent = {.locate = 1 + (uint32_t)test_random_below(&random, 9),
			.shares = 100, .price = 100};
		struct gateway_handle handle;
		size_t size = 0;
		const uint8_t *answer = tape_at(&two->market.answers, oldest + test_random_below(
			&random, two->market.answers.next - oldest), &size);
		int length;
		bool good;

		log_in(two);
		ck_assert_ptr_nonnull(answer);
		memcpy(bytes, answer, size);
		good = pour(&random, &two->to_client, bytes, fuzz(&random, bytes, size,
			sizeof(bytes)), client_takes, two);
		gateway_resume(&two->desk.gateway);
		two->now_ns += APUS_MSEC;
		length = gateway_enter(&two->desk.gateway, &intent, two->now_ns, bytes, &handle);
		ck_assert_int_gt(length, 0);
		good &= pour(&random, &two->to_server, bytes, fuzz(&random, bytes, (size_t)length,
			sizeof(bytes)), server_takes, two);
		ck_assert_ptr_null(gateway_check(&two->desk.gateway));
		broken += !good;
		whole += good;
	}
	ck_assert_uint_gt(broken, 1000);
	ck_assert_uint_gt(whole, 1000);
	ck_assert_uint_gt(faults_total(&two->market.faults), 100);
	ck_assert_uint_gt(faults_total(&two->desk.gateway.faults), 100);
	ck_assert_uint_gt(two->desk.gateway.faults.counts[FAULT_TYPE], 0);
	ck_assert_uint_gt(two->desk.gateway.faults.counts[FAULT_LENGTH], 0);
	twosome_close(two);
}
END_TEST

TEST_MAIN("ttt_hostile",
	spoilt_packets_are_counted_by_kind_and_change_nothing,
	fuzzed_packets_leave_a_feed_that_goes_on,
	fuzzed_requests_are_answered_or_counted,
	a_fuzzed_connection_breaks_and_both_ends_go_on)
