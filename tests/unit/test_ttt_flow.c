/*
 * test_ttt_flow.c - exchange and engine of the tick-to-trade example joined in memory: the
 * packets between them are lost, doubled and re-ordered as a seed says, on a clock of our
 * own, and in the end books, counts and positions agree.
 */
#include "../../examples/ttt/day.h"
#include "../../examples/ttt/pace.h"

#include "twosome.h"

/* ---- the whole ----------------------------------------------------------------------------- */

START_TEST(without_loss_all_agree_and_nothing_is_asked_for_again)
{
	struct twosome *two = whole_session(11, (struct climate){0}, 20000);
	struct order_counts *counts = &two->market.counts;

	check_agreement(two);
	ck_assert_uint_eq(two->desk.feed.counts.gaps, 0);
	ck_assert_uint_eq(two->desk.feed.counts.requests, 0);
	/* It has traded in every way that it can, or agreement would not say much. */
	ck_assert_uint_gt(counts->accepted, 100);
	ck_assert_uint_gt(counts->executed, 100);
	ck_assert_uint_gt(counts->replaced, 10);
	ck_assert_uint_gt(counts->canceled, 10);
	ck_assert_uint_gt(counts->shares_bought, 0);
	ck_assert_uint_gt(counts->shares_sold, 0);
	twosome_close(two);
}
END_TEST

START_TEST(every_hundredth_packet_lost_is_recovered_and_all_agree)
{
	struct twosome *two = whole_session(12, (struct climate){.line = {{.loss = 100}}}, 20000);

	check_agreement(two);
	ck_assert_uint_gt(two->weather[0].lost, 100);
	ck_assert_uint_gt(two->desk.feed.counts.gaps, 50);
	ck_assert_uint_eq(two->desk.feed.counts.retries, 0);
	twosome_close(two);
}
END_TEST

/* One in one would lose everything, and eight retries are not always enough then. */
static uint32_t some_chance(struct rng *rng)
{
	return rng_one_in(rng, 4) ? 0 : 5 + rng_below(rng, 30);
}

static struct climate some_climate(struct rng *rng)
{
	struct climate climate = {.lost_answers = 10 + rng_below(rng, 20),
		.has_two_lines = !rng_one_in(rng, 4)};

	for (int line = 0; line < 2; line++)
		climate.line[line] = (struct weather_config){some_chance(rng), some_chance(rng),
			some_chance(rng)};
	return climate;
}

START_TEST(in_any_weather_books_counts_and_positions_agree)
{
	uint64_t seed = test_seed();

	for (uint64_t round = 0; round < 60; round++) {
		struct rng rng = {seed + round};
		struct twosome *two = whole_session(seed + round, some_climate(&rng), 1500);

		check_agreement(two);
		twosome_close(two);
	}
}
END_TEST

START_TEST(the_same_seed_gives_the_same_session_byte_for_byte)
{
	struct climate climate = {.line = {{20, 20, 20}, {15, 25, 10}}, .lost_answers = 10,
		.has_two_lines = true};
	struct twosome *a = whole_session(5, climate, 3000), *b = whole_session(5, climate, 3000);
	struct twosome *c = whole_session(6, climate, 3000);
	size_t slots = (size_t)market_config.tape_count * a->market.feed.slot_bytes;

	ck_assert_uint_eq(a->market.feed.next, b->market.feed.next);
	ck_assert_int_eq(memcmp(a->market.feed.slots, b->market.feed.slots, slots), 0);
	ck_assert_int_eq(memcmp(&a->desk.feed.counts, &b->desk.feed.counts,
		sizeof(a->desk.feed.counts)), 0);
	ck_assert_int_ne(memcmp(a->market.feed.slots, c->market.feed.slots, slots), 0);
	twosome_close(a);
	twosome_close(b);
	twosome_close(c);
}
END_TEST

START_TEST(answers_that_are_lost_are_asked_for_again)
{
	struct twosome *two = whole_session(13, (struct climate){.line = {{.loss = 20}}, .lost_answers = 4}, 5000);

	check_agreement(two);
	ck_assert_uint_gt(two->desk.feed.counts.retries, 10);
	twosome_close(two);
}
END_TEST

START_TEST(a_dead_server_costs_the_retries_and_no_more)
{
	struct climate climate = {.line = {{.loss = 200}}, .is_server_dead = true};
	struct desk_config config = desk_config;
	struct feed_counts *counts;
	struct twosome *two;

	config.feed.retry_limit = 2;
	config.feed.timeout_ns = 5 * STEP_NS;
	two = twosome_open(14, climate, &config);
	counts = &two->desk.feed.counts;
	begin(two);
	trade(two, 20000);
	ck_assert_uint_gt(counts->lost, 0);
	/* Each hole cost a request and its two retries, and then the feed went on. */
	ck_assert_uint_ge(counts->retries, 2);
	ck_assert_uint_le(counts->requests, 3 * two->weather[0].lost);
	ck_assert_uint_eq(counts->lost + counts->messages, two->desk.feed.next - 1);
	ck_assert_uint_gt(counts->messages, two->market.feed.next / 2);
	ck_assert_uint_gt(two->desk.books.counts.unknown, 0);
	twosome_close(two);
}
END_TEST

START_TEST(a_full_buffer_is_a_verdict_and_what_it_dropped_comes_again)
{
	struct desk_config config = desk_config;
	struct twosome *two;

	config.feed.early_limit = 2;
	config.feed.patience_ns = 10 * STEP_NS;
	two = twosome_open(15, (struct climate){.line = {{.loss = 50}}}, &config);
	begin(two);
	trade(two, 5000);
	finish(two);
	check_agreement(two);
	ck_assert_uint_gt(two->desk.feed.counts.verdicts[FEED_FULL], 0);
	twosome_close(two);
}
END_TEST

/* ---- the feed by itself ---------------------------------------------------------------------- */

static size_t packet_of(uint8_t *bytes, uint64_t sequence, uint16_t count)
{
	struct mold_header header = {.session = SESSION, .sequence = sequence, .count = count};
	size_t size = MOLD_HEADER_SIZE;

	mold_put_header(bytes, &header);
	for (uint16_t n = 0; n < mold_message_count(&header); n++, size += 3) {
		wire_put16(bytes + size, 1);
		bytes[size + 2] = (uint8_t)(sequence + n);
	}
	return size;
}

static enum feed_verdict offer(struct feed *feed, uint64_t sequence, uint16_t count, int64_t now_ns)
{
	static uint8_t bytes[MOLD_PACKET_MAX];

	return feed_offer(feed, FEED_LINE_A, bytes, packet_of(bytes, sequence, count), now_ns);
}

/* How many messages come, each of them the next. */
static uint32_t take(struct feed *feed)
{
	const uint8_t *message;
	uint64_t due = feed->next;
	uint32_t count = 0;
	size_t size;

	while ((message = feed_take(feed, &size)) != NULL) {
		ck_assert_uint_eq(*message, due & 0xff);
		due++;
		count++;
	}
	return count;
}

static void feed_open(struct feed *feed, struct feed_config config)
{
	ck_assert_int_eq(feed_init(feed, &config), 0);
}

START_TEST(packets_that_overlap_give_every_message_once)
{
	struct feed feed;

	feed_open(&feed, desk_config.feed);
	ck_assert_int_eq(offer(&feed, 1, 5, 0), FEED_READY);
	ck_assert_uint_eq(take(&feed), 5);
	ck_assert_int_eq(offer(&feed, 3, 6, 0), FEED_READY);
	ck_assert_uint_eq(take(&feed), 3);
	ck_assert_int_eq(offer(&feed, 2, 4, 0), FEED_DUPLICATE);
	ck_assert_int_eq(offer(&feed, 12, 2, 0), FEED_EARLY);
	ck_assert_int_eq(offer(&feed, 12, 2, 0), FEED_DUPLICATE);
	ck_assert_int_eq(offer(&feed, 11, 6, 0), FEED_EARLY);
	ck_assert_uint_eq(take(&feed), 0);
	ck_assert_int_eq(offer(&feed, 9, 3, 0), FEED_READY);
	ck_assert_uint_eq(take(&feed), 8);
	ck_assert_uint_eq(feed.early_count, 0);
	ck_assert(feed_is_current(&feed));
	feed_deinit(&feed);
}
END_TEST

START_TEST(a_request_names_the_hole_and_waits_for_patience_and_time_out)
{
	struct feed_config config = desk_config.feed;
	uint8_t bytes[MOLD_HEADER_SIZE];
	struct mold_header request;
	struct feed feed;

	config.patience_ns = 100;
	config.timeout_ns = 1000;
	config.request_limit = 4;
	feed_open(&feed, config);
	ck_assert_int_eq(feed_deadline_ns(&feed), APUS_NEVER);
	offer(&feed, 11, 2, 50);
	ck_assert_int_eq(feed_deadline_ns(&feed), 150);
	ck_assert(!feed_request(&feed, 149, bytes));
	ck_assert(feed_request(&feed, 150, bytes));
	ck_assert_int_eq(mold_check_request(bytes, sizeof(bytes), &request), 0);
	ck_assert_uint_eq(request.sequence, 1);
	ck_assert_uint_eq(request.count, 4);
	ck_assert(!feed_request(&feed, 1149, bytes));
	ck_assert(feed_request(&feed, 1150, bytes));
	ck_assert_uint_eq(feed.counts.retries, 1);
	/* Answered in part: the rest is asked for at once. */
	ck_assert_int_eq(offer(&feed, 1, 8, 1200), FEED_READY);
	ck_assert_uint_eq(take(&feed), 8);
	ck_assert(feed_request(&feed, 1200, bytes));
	mold_get_header(bytes, &request);
	ck_assert_uint_eq(request.sequence, 9);
	ck_assert_uint_eq(request.count, 2);
	offer(&feed, 9, 2, 1300);
	ck_assert_uint_eq(take(&feed), 4);
	ck_assert_int_eq(feed_deadline_ns(&feed), APUS_NEVER);
	feed_deinit(&feed);
}
END_TEST

START_TEST(a_hole_nobody_fills_is_given_up_after_the_last_retry)
{
	struct feed_config config = desk_config.feed;
	uint8_t bytes[MOLD_HEADER_SIZE];
	struct feed feed;
	int requests = 0;

	config.retry_limit = 3;
	feed_open(&feed, config);
	offer(&feed, 5, 2, 0);
	for (int64_t now_ns = 0; now_ns < 10 * config.timeout_ns; now_ns += config.timeout_ns / 4)
		requests += feed_request(&feed, now_ns, bytes);
	ck_assert_int_eq(requests, 1 + 3);
	ck_assert_uint_eq(feed.counts.lost, 4);
	/* What waited behind the hole is due, and nothing is missing before it. */
	ck_assert_uint_eq(take(&feed), 2);
	ck_assert(feed_is_current(&feed));
	feed_deinit(&feed);
}
END_TEST

START_TEST(a_heartbeat_and_the_end_of_session_show_what_is_missing)
{
	uint8_t bytes[MOLD_HEADER_SIZE];
	struct feed feed;

	feed_open(&feed, desk_config.feed);
	offer(&feed, 1, 2, 0);
	take(&feed);
	ck_assert_int_eq(offer(&feed, 3, MOLD_HEARTBEAT, 0), FEED_IDLE);
	ck_assert(!feed_request(&feed, 0, bytes));
	ck_assert_int_eq(offer(&feed, 6, MOLD_HEARTBEAT, 0), FEED_IDLE);
	ck_assert(!feed_is_current(&feed));
	ck_assert(feed_request(&feed, 0, bytes));
	offer(&feed, 3, 3, 0);
	take(&feed);
	ck_assert_int_eq(offer(&feed, 8, MOLD_END_OF_SESSION, 0), FEED_END);
	ck_assert(!feed_is_complete(&feed));
	ck_assert(feed_request(&feed, 0, bytes));
	offer(&feed, 6, 2, 0);
	ck_assert_uint_eq(take(&feed), 2);
	ck_assert(feed_is_complete(&feed));
	feed_deinit(&feed);
}
END_TEST

START_TEST(packets_that_cannot_be_are_counted_by_kind_and_change_nothing)
{
	uint8_t bytes[MOLD_PACKET_MAX];
	struct feed feed;
	size_t size;

	feed_open(&feed, desk_config.feed);
	size = packet_of(bytes, 1, 3);
	ck_assert_int_eq(feed_offer(&feed, FEED_LINE_A, bytes, size + 1, 0), FEED_OVERSIZED);
	ck_assert_int_eq(feed_offer(&feed, FEED_LINE_A, bytes, size - 1, 0), FEED_TRUNCATED);
	ck_assert_int_eq(feed_offer(&feed, FEED_LINE_A, bytes, 0, 0), FEED_TRUNCATED);
	bytes[0] = '?';
	ck_assert_int_eq(feed_offer(&feed, FEED_LINE_A, bytes, size, 0), FEED_STRANGER);
	ck_assert_int_eq(offer(&feed, 1 + (1 << 20), 1, 0), FEED_FAR);
	ck_assert_int_eq(offer(&feed, UINT64_MAX - MOLD_COUNT_MAX, MOLD_END_OF_SESSION, 0), FEED_FAR);
	ck_assert_uint_eq(feed.next, 1);
	ck_assert(feed_is_current(&feed));
	ck_assert(!feed_is_complete(&feed));
	ck_assert_uint_eq(feed.counts.verdicts[FEED_FAR], 2);
	ck_assert_int_eq(offer(&feed, 1, 3, 0), FEED_READY);
	ck_assert_uint_eq(take(&feed), 3);
	feed_deinit(&feed);
}
END_TEST

START_TEST(without_a_name_the_first_packet_names_the_session)
{
	struct feed_config config = desk_config.feed;
	struct feed feed;

	memset(config.session, ' ', sizeof(config.session));
	feed_open(&feed, config);
	ck_assert_int_eq(offer(&feed, 1, 1, 0), FEED_READY);
	ck_assert_mem_eq(feed.config.session, SESSION, 10);
	feed_deinit(&feed);
}
END_TEST

/* ---- two lines ------------------------------------------------------------------------------ */

START_TEST(what_one_line_loses_the_other_brings_and_nobody_is_asked)
{
	struct climate climate = {.line = {{.loss = 10}, {.loss = 0}}, .has_two_lines = true};
	struct desk_config config = desk_config;
	struct feed_line_counts *line;
	struct twosome *two;

	config.feed.patience_ns = STEP_NS;
	two = twosome_open(21, climate, &config);
	line = two->desk.feed.counts.lines;
	begin(two);
	trade(two, 10000);
	finish(two);
	check_agreement(two);
	ck_assert_uint_gt(two->weather[0].lost, 500);
	ck_assert_uint_eq(two->desk.feed.counts.requests, 0);
	/* Each line is known by what it did: A lost, and B was first where A had. */
	ck_assert_uint_eq(line[FEED_LINE_B].gaps, 0);
	ck_assert_uint_gt(line[FEED_LINE_A].gaps, 400);
	ck_assert_uint_ge(line[FEED_LINE_B].verdicts[FEED_READY], two->weather[0].lost);
	ck_assert_uint_ge(line[FEED_LINE_B].verdicts[FEED_DUPLICATE],
		line[FEED_LINE_A].verdicts[FEED_READY]);
	twosome_close(two);
}
END_TEST

START_TEST(only_what_both_lines_lost_is_asked_for)
{
	struct climate climate = {.line = {{.loss = 10}, {.loss = 10}}, .has_two_lines = true};
	struct twosome *one, *two;

	two = whole_session(22, climate, 10000);
	check_agreement(two);
	climate.has_two_lines = false;
	one = whole_session(22, climate, 10000);
	check_agreement(one);
	ck_assert_uint_gt(two->desk.feed.counts.requests, 0);
	ck_assert_uint_lt(5 * two->desk.feed.counts.requests, one->desk.feed.counts.requests);
	twosome_close(one);
	twosome_close(two);
}
END_TEST

START_TEST(a_line_that_dies_costs_nothing_but_its_name)
{
	struct climate climate = {.has_two_lines = true};
	struct twosome *two = twosome_open(23, climate, &desk_config);

	begin(two);
	trade(two, 2000);
	two->weather[0].config.loss = 1;
	trade(two, 2000);
	finish(two);
	check_agreement(two);
	ck_assert_uint_gt(two->weather[0].lost, 1000);
	ck_assert_uint_eq(two->desk.feed.counts.requests, 0);
	twosome_close(two);
}
END_TEST

/* ---- the weather -------------------------------------------------------------------------------- */

/* How often each packet, named by its first byte, came; and how often one overtook another. */
struct arrivals {
	uint32_t counts[256];
	uint32_t overtaken, total;
	uint8_t last;
};

static void arrive(void *context, const uint8_t *bytes, size_t size)
{
	struct arrivals *arrivals = context;

	ck_assert_uint_eq(size, 1u + bytes[0] % 7);
	arrivals->counts[bytes[0]]++;
	arrivals->total++;
	arrivals->overtaken += bytes[0] < arrivals->last;
	arrivals->last = bytes[0];
}

static struct arrivals through(struct weather_config config, uint64_t seed, struct weather *weather)
{
	struct arrivals arrivals = {.total = 0};

	weather_init(weather, &config, seed);
	for (int n = 0; n < 256; n++) {
		uint8_t bytes[8] = {(uint8_t)n};

		weather_pass(weather, bytes, 1u + (size_t)n % 7, arrive, &arrivals);
	}
	return arrivals;
}

START_TEST(the_weather_does_what_it_says_and_no_more)
{
	struct weather weather;
	struct arrivals a = through((struct weather_config){0}, 1, &weather);
	uint32_t held = 0;

	ck_assert_uint_eq(a.total, 256);
	ck_assert_uint_eq(a.overtaken, 0);
	a = through((struct weather_config){.loss = 8}, 2, &weather);
	ck_assert_uint_gt(weather.lost, 10);
	ck_assert_uint_eq(a.total, 256 - weather.lost);
	ck_assert_uint_eq(a.overtaken, 0);
	a = through((struct weather_config){.doubles = 8}, 3, &weather);
	ck_assert_uint_gt(weather.doubled, 10);
	ck_assert_uint_eq(a.total, 256 + weather.doubled);
	/* Re-ordering neither loses nor doubles: but for the few that wait still, each came once. */
	a = through((struct weather_config){.delays = 4}, 4, &weather);
	for (int at = 0; at < WEATHER_LATE_MAX; at++)
		held += weather.late[at].size != 0;
	ck_assert_uint_gt(a.overtaken, 10);
	ck_assert_uint_eq(a.total, 256 - held);
	for (int n = 0; n < 256; n++)
		ck_assert_uint_le(a.counts[n], 1);
	a = through((struct weather_config){.loss = 1}, 5, &weather);
	ck_assert_uint_eq(a.total, 0);
}
END_TEST

/* ---- a session after the session ------------------------------------------------------------- */

/* The same feed under another name, from its first message on. */
static void send_as(struct twosome *two, const char *name, uint64_t *next)
{
	struct publisher other;
	uint8_t bytes[MOLD_PACKET_MAX];
	size_t size;

	publisher_init(&other, &two->market.feed, name, two->now_ns);
	other.next = *next;
	while ((size = publisher_packet(&other, bytes, two->now_ns)) != 0)
		desk_packet(&two->desk, FEED_LINE_A, bytes, size, two->now_ns);
	*next = other.next;
}

START_TEST(a_stranger_is_believed_only_when_our_session_is_silent)
{
	struct desk_config config = desk_config;
	struct feed_counts *counts;
	struct twosome *two;
	uint64_t next = 1;

	config.feed.silence_ns = APUS_SEC;
	two = twosome_open(24, (struct climate){0}, &config);
	counts = &two->desk.feed.counts;
	begin(two);
	trade(two, 500);
	two->now_ns += APUS_SEC - 2 * STEP_NS;
	send_as(two, "AFTERWARDS", &next);
	ck_assert_uint_gt(counts->verdicts[FEED_STRANGER], 0);
	ck_assert_uint_eq(counts->resets, 0);
	ck_assert_uint_eq(two->desk.feed.next, two->market.feed.next);
	/* The exchange comes again under that name: the books are its books, told anew. */
	two->now_ns += 2 * STEP_NS;
	next = 1;
	send_as(two, "AFTERWARDS", &next);
	ck_assert_uint_eq(counts->resets, 1);
	ck_assert_uint_eq(two->desk.feed.next, two->market.feed.next);
	ck_assert_uint_eq(books_checksum(&two->desk.books), books_checksum(&two->market.books));
	ck_assert(two->desk.is_market_open);
	/* The old name is the stranger now. */
	send_as(two, SESSION, &(uint64_t){1});
	ck_assert_uint_eq(counts->resets, 1);
	ck_assert_uint_eq(books_checksum(&two->desk.books), books_checksum(&two->market.books));
	twosome_close(two);
}
END_TEST

START_TEST(a_reset_forgets_the_gap_and_what_was_kept_beyond_it)
{
	struct feed_config config = desk_config.feed;
	uint8_t bytes[MOLD_PACKET_MAX];
	struct feed feed;
	size_t size;

	config.silence_ns = 100;
	feed_open(&feed, config);
	offer(&feed, 1, 2, 0);
	take(&feed);
	offer(&feed, 8, 2, 0);
	ck_assert_uint_eq(feed.early_count, 1);
	size = packet_of(bytes, 3, 2);
	memcpy(bytes, "NEXTNEXT  ", 10);
	ck_assert_int_eq(feed_offer(&feed, FEED_LINE_B, bytes, size, 99), FEED_STRANGER);
	/* In the middle of the new session: its beginning is asked for, under its name. */
	ck_assert_int_eq(feed_offer(&feed, FEED_LINE_B, bytes, size, 100), FEED_EARLY);
	ck_assert_uint_eq(feed.early_count, 1);
	ck_assert_int_eq(feed_deadline_ns(&feed), 100);
	ck_assert(feed_request(&feed, 100, bytes));
	ck_assert_mem_eq(bytes, "NEXTNEXT  ", 10);
	ck_assert_uint_eq(wire_get64(bytes + 10), 1);
	ck_assert_uint_eq(wire_get16(bytes + 18), 2);
	size = packet_of(bytes, 1, 2);
	memcpy(bytes, "NEXTNEXT  ", 10);
	ck_assert_int_eq(feed_offer(&feed, FEED_LINE_REQUESTED, bytes, size, 101), FEED_READY);
	ck_assert_uint_eq(take(&feed), 4);
	ck_assert(feed_is_current(&feed));
	feed_deinit(&feed);
}
END_TEST

/* ---- the publisher ------------------------------------------------------------------------------ */

START_TEST(the_server_answers_what_is_published_and_on_the_tape)
{
	struct publisher publisher;
	struct tape tape;
	struct mold_header header = {.session = SESSION, .sequence = 1, .count = 3};
	uint8_t bytes[MOLD_PACKET_MAX], request[MOLD_HEADER_SIZE];
	size_t room;

	ck_assert_int_eq(tape_init(&tape, 8, 40), 0);
	publisher_init(&publisher, &tape, SESSION, 0);
	for (int n = 0; n < 12; n++) {
		memset(tape_reserve(&tape, &room), 0, 2);
		tape_commit(&tape, 2);
		if (n == 5)
			while (publisher_packet(&publisher, bytes, 0) != 0)
				;
	}
	mold_put_header(request, &header);
	ck_assert_uint_eq(publisher_answer(&publisher, request, sizeof(request), bytes), 0);
	ck_assert_uint_eq(publisher.gone_count, 1);
	/* 7 to 12 are on the tape, and not published. */
	header.sequence = 5;
	header.count = 100;
	mold_put_header(request, &header);
	ck_assert_uint_eq(publisher_answer(&publisher, request, sizeof(request), bytes),
		MOLD_HEADER_SIZE + 2 * 2);
	ck_assert_int_eq(mold_check(bytes, MOLD_HEADER_SIZE + 2 * 2, &header), 0);
	ck_assert_uint_eq(header.sequence, 5);
	ck_assert_uint_eq(header.count, 2);
	header.sequence = 7;
	mold_put_header(request, &header);
	ck_assert_uint_eq(publisher_answer(&publisher, request, sizeof(request), bytes), 0);
	ck_assert_uint_eq(publisher.gone_count, 1);
	request[0] = '?';
	ck_assert_uint_eq(publisher_answer(&publisher, request, sizeof(request), bytes), 0);
	ck_assert_uint_eq(publisher.faults.counts[FAULT_SESSION], 1);
	tape_deinit(&tape);
}
END_TEST

START_TEST(a_packet_takes_as_many_messages_as_fit)
{
	struct publisher publisher;
	struct tape tape;
	uint8_t bytes[MOLD_PACKET_MAX];
	uint64_t seen = 0;
	size_t size, room;

	ck_assert_int_eq(tape_init(&tape, 256, 46), 0);
	publisher_init(&publisher, &tape, SESSION, 0);
	for (int n = 0; n < 200; n++) {
		uint8_t *at = tape_reserve(&tape, &room);

		memset(at, 0, 46);
		wire_put16(at, 44);
		tape_commit(&tape, 46);
	}
	while ((size = publisher_packet(&publisher, bytes, 0)) != 0) {
		struct mold_header header;

		ck_assert_uint_le(size, MOLD_PACKET_MAX);
		ck_assert_int_eq(mold_check(bytes, size, &header), 0);
		ck_assert_uint_eq(header.sequence, seen + 1);
		seen += header.count;
		ck_assert(seen == 200 || size + 46 > MOLD_PACKET_MAX);
	}
	ck_assert_uint_eq(seen, 200);
	ck_assert_int_eq(publisher_heartbeat_ns(&publisher, 70), 70);
	ck_assert_uint_eq(publisher_heartbeat(&publisher, bytes, 90), MOLD_HEADER_SIZE);
	ck_assert_int_eq(publisher_heartbeat_ns(&publisher, 70), 160);
	tape_deinit(&tape);
}
END_TEST

/* ---- the market ------------------------------------------------------------------------------------ */

START_TEST(the_flow_is_plausible)
{
	struct market_config config = market_config;
	struct market market;
	uint64_t types[128] = {0};
	size_t size;

	config.tape_count = 1 << 17;
	ck_assert_int_eq(market_init(&market, &config), 0);
	market_open(&market, 0);
	for (int step = 0; step < 50000; step++) {
		market_step(&market, step);
		for (uint32_t locate = 1; step % 97 == 0 && locate <= SYMBOLS; locate++) {
			const struct book_level *bid = books_best(&market.books, locate, BOOK_BID);
			const struct book_level *ask = books_best(&market.books, locate, BOOK_ASK);

			ck_assert(bid == NULL || ask == NULL || bid->price < ask->price);
			ck_assert_uint_le(market.books.books[locate].order_count, 100);
		}
	}
	for (uint64_t sequence = 1; sequence < market.feed.next; sequence++)
		types[tape_at(&market.feed, sequence, &size)[2]]++;
	for (const char *type = "SRAFECXDUP"; *type != '\0'; type++)
		ck_assert_uint_gt(types[(uint8_t)*type], 0);
	ck_assert_uint_eq(types['R'], SYMBOLS);
	/* Adds and deletes are most of it, as on a real feed. */
	ck_assert_uint_gt(types['A'] + types['F'] + types['D'], market.feed.next / 2);
	market_deinit(&market);
}
END_TEST

/* An exchange that was killed at any point is where it was: tapes, books, positions. */
START_TEST(a_day_taken_again_is_the_same_day)
{
	enum { LIMIT = 1 << 20 };
	struct day_log *log = calloc(1, sizeof(*log) + LIMIT);
	struct twosome *two = twosome_open(8, (struct climate){.is_short = true}, &desk_config);
	struct market_config config = market_config;
	struct market again;
	struct day day = {log, &two->market};
	struct gateway_intent intent = {.shares = 100, .time_in_force = OUCH_MARKET_HOURS};
	struct gateway_handle handle;
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length;

	log->limit = LIMIT;
	day_take(&day, DAY_OPEN, NULL, 0, 5);
	for (int step = 0; step < 1000; step++) {
		intent.locate = 1 + (uint32_t)step % SYMBOLS;
		intent.price = two->market.symbols[intent.locate].anchor + 20 * MARKET_TICK;
		two->now_ns += APUS_MSEC;
		day_take(&day, DAY_STEP, NULL, 0, two->now_ns);
		publish(two);
		length = gateway_enter(&two->desk.gateway, &intent, two->now_ns, bytes, &handle);
		if (length > 0)
			day_take(&day, DAY_REQUEST, bytes + SOUP_HEADER_SIZE,
				(size_t)length - SOUP_HEADER_SIZE, two->now_ns);
		if (step % 100 == 99)
			day_take(&day, DAY_CANCEL_ALL, NULL, 0, two->now_ns);
	}
	day_take(&day, DAY_HALT, NULL, 0, two->now_ns);
	ck_assert_uint_gt(two->market.counts.executed, 10);
	config.seed = 8;
	config.tape_count = 1 << 11;
	config.token_limit = 1 << 10;
	config.order_limit = 1 << 11;
	ck_assert_int_eq(market_init(&again, &config), 0);
	ck_assert_int_eq(day_replay(log, &again), 0);
	ck_assert_uint_eq(again.feed.next, two->market.feed.next);
	ck_assert_int_eq(memcmp(again.feed.slots, two->market.feed.slots,
		(size_t)config.tape_count * again.feed.slot_bytes), 0);
	ck_assert_uint_eq(again.answers.next, two->market.answers.next);
	ck_assert_uint_eq(books_checksum(&again.books), books_checksum(&two->market.books));
	ck_assert(order_counts_equal(&again.counts, &two->market.counts));
	/* A full list is no list, and neither is one that is damaged. */
	log->limit = log->bytes + 8;
	day_take(&day, DAY_STEP, NULL, 0, two->now_ns);
	ck_assert(log->is_full);
	ck_assert_int_eq(day_replay(log, &again), -EBADMSG);
	log->is_full = 0;
	log->data[log->bytes - 8] = 0xff;
	ck_assert_int_eq(day_replay(log, &again), -EBADMSG);
	market_deinit(&again);
	twosome_close(two);
	free(log);
}
END_TEST

START_TEST(the_pace_is_the_set_rate_on_average_and_has_bursts)
{
	struct pace pace;
	uint64_t events = 0, close = 0;
	int64_t last = 0;

	pace_init(&pace, 7, 50000, 0);
	while (pace.next_ns < 20 * APUS_SEC) {
		ck_assert_int_ge(pace.next_ns, last);
		close += pace.next_ns - last == 20000 / PACE_BURST_DENSITY;
		last = pace.next_ns;
		ck_assert(!pace_take(&pace, last - 1));
		ck_assert(pace_take(&pace, last));
		events++;
	}
	/* A million events: the seed is fixed, the bounds are wide. */
	ck_assert_uint_gt(events, 970000);
	ck_assert_uint_lt(events, 1030000);
	ck_assert_uint_gt(close, events / 10);
	pace_init(&pace, 7, 0, 0);
	ck_assert(!pace_take(&pace, INT64_MAX - 1));
}
END_TEST

/* ---- orders, one by one -------------------------------------------------------------------------------- */

/* A market with one offer of 100 at the anchor, and a gateway beside it. */
struct pair {
	struct market market;
	struct gateway gateway;
	uint64_t cursor;
	uint32_t anchor;
};

static void pair_open(struct pair *pair, const struct gateway_config *config)
{
	struct itch_message offer = {.type = 'A', .locate = 1, .side = 'S', .shares = 100};

	ck_assert_int_eq(market_init(&pair->market, &market_config), 0);
	ck_assert_int_eq(gateway_init(&pair->gateway, config), 0);
	market_open(&pair->market, 0);
	for (uint32_t locate = 1; locate <= SYMBOLS; locate++)
		gateway_name_stock(&pair->gateway, locate, pair->market.symbols[locate].stock);
	pair->cursor = 1;
	pair->anchor = pair->market.symbols[1].anchor;
	offer.ref = pair->market.next_ref++;
	offer.price = pair->anchor;
	market_publish(&pair->market, &offer, 0);
}

static void pair_close(struct pair *pair)
{
	market_deinit(&pair->market);
	gateway_deinit(&pair->gateway);
}

static void pair_request(struct pair *pair, const uint8_t *bytes, int length)
{
	ck_assert_int_gt(length, SOUP_HEADER_SIZE);
	market_request(&pair->market, bytes + SOUP_HEADER_SIZE, (size_t)length - SOUP_HEADER_SIZE, 0);
}

/* The answers since the last call, by their letters. */
static const char *pair_answers(struct pair *pair)
{
	static char letters[64];
	const uint8_t *bytes;
	size_t size, count = 0;

	while ((bytes = tape_at(&pair->market.answers, pair->cursor, &size)) != NULL) {
		pair->cursor++;
		letters[count++] = (char)bytes[SOUP_HEADER_SIZE];
		gateway_answer(&pair->gateway, bytes + SOUP_HEADER_SIZE, size - SOUP_HEADER_SIZE);
	}
	letters[count] = '\0';
	ck_assert(order_counts_equal(&pair->gateway.counts, &pair->market.counts));
	ck_assert_mem_eq(pair->gateway.positions, pair->market.positions,
		(SYMBOLS + 1) * sizeof(int64_t));
	return letters[0] == 'S' ? letters + 1 : letters;
}

static struct gateway_handle pair_enter(struct pair *pair, enum book_side side, uint32_t shares,
	int32_t ticks, uint32_t time_in_force)
{
	struct gateway_intent intent = {.locate = 1, .side = side, .shares = shares,
		.price = (uint32_t)((int32_t)pair->anchor + ticks * MARKET_TICK),
		.time_in_force = time_in_force};
	uint8_t bytes[GATEWAY_PACKET_MAX];
	struct gateway_handle handle;

	pair_request(pair, bytes, gateway_enter(&pair->gateway, &intent, 0, bytes, &handle));
	return handle;
}

static const struct gateway_config patient = {
	.symbol_count = SYMBOLS, .order_limit = 16, .timeout_ns = APUS_SEC, .firm = "APUS",
};

START_TEST(immediate_or_cancel_takes_what_is_there_and_the_rest_is_cancelled)
{
	struct pair pair;

	pair_open(&pair, &patient);
	pair_enter(&pair, BOOK_BID, 150, 0, OUCH_IMMEDIATE_OR_CANCEL);
	ck_assert_str_eq(pair_answers(&pair), "AEC");
	ck_assert_int_eq(pair.gateway.positions[1], 100);
	ck_assert_uint_eq(pair.gateway.open_count, 0);
	ck_assert_int_eq(gateway_exposure(&pair.gateway, 1, BOOK_BID), 100);
	ck_assert_ptr_null(books_best(&pair.market.books, 1, BOOK_ASK));
	pair_close(&pair);
}
END_TEST

START_TEST(an_order_rests_is_replaced_reduced_and_cancelled)
{
	struct pair pair;
	struct gateway_handle handle;
	uint8_t bytes[GATEWAY_PACKET_MAX];

	pair_open(&pair, &patient);
	handle = pair_enter(&pair, BOOK_BID, 200, -3, OUCH_MARKET_HOURS);
	ck_assert_int_eq(gateway_replace(&pair.gateway, &handle, 200, 1, 0, bytes), -EBUSY);
	ck_assert_str_eq(pair_answers(&pair), "A");
	ck_assert_int_eq(gateway_exposure(&pair.gateway, 1, BOOK_BID), 200);
	ck_assert_uint_eq(books_best(&pair.market.books, 1, BOOK_BID)->shares, 200);
	pair_request(&pair, bytes, gateway_replace(&pair.gateway, &handle, 300,
		pair.anchor - 2 * MARKET_TICK, 0, bytes));
	ck_assert_str_eq(pair_answers(&pair), "U");
	ck_assert_int_eq(gateway_exposure(&pair.gateway, 1, BOOK_BID), 300);
	ck_assert_uint_eq(books_best(&pair.market.books, 1, BOOK_BID)->shares, 300);
	ck_assert_uint_eq(pair.gateway.open_count, 1);
	pair_request(&pair, bytes, gateway_cancel(&pair.gateway, handle, 0, bytes));
	ck_assert_str_eq(pair_answers(&pair), "C");
	ck_assert_uint_eq(pair.gateway.open_count, 0);
	ck_assert_ptr_null(books_best(&pair.market.books, 1, BOOK_BID));
	ck_assert_int_eq(gateway_cancel(&pair.gateway, handle, 0, bytes), -ESTALE);
	pair_close(&pair);
}
END_TEST

START_TEST(a_replacement_that_meets_the_market_trades)
{
	struct pair pair;
	struct gateway_handle handle;
	uint8_t bytes[GATEWAY_PACKET_MAX];

	pair_open(&pair, &patient);
	handle = pair_enter(&pair, BOOK_BID, 250, -1, OUCH_MARKET_HOURS);
	pair_answers(&pair);
	pair_request(&pair, bytes, gateway_replace(&pair.gateway, &handle, 250, pair.anchor, 0, bytes));
	ck_assert_str_eq(pair_answers(&pair), "UE");
	ck_assert_int_eq(pair.gateway.positions[1], 100);
	ck_assert_uint_eq(books_best(&pair.market.books, 1, BOOK_BID)->shares, 150);
	/* What has been executed counts: 120 in all, of which 20 are left to buy. */
	pair_request(&pair, bytes, gateway_replace(&pair.gateway, &handle, 120,
		pair.anchor - MARKET_TICK, 0, bytes));
	ck_assert_str_eq(pair_answers(&pair), "U");
	ck_assert_uint_eq(books_best(&pair.market.books, 1, BOOK_BID)->shares, 20);
	ck_assert_int_eq(gateway_exposure(&pair.gateway, 1, BOOK_BID), 120);
	/* Also in the life of the next one; and 100 in all are done already: that is a cancel. */
	pair_request(&pair, bytes, gateway_replace(&pair.gateway, &handle, 110,
		pair.anchor - MARKET_TICK, 0, bytes));
	ck_assert_str_eq(pair_answers(&pair), "U");
	ck_assert_uint_eq(books_best(&pair.market.books, 1, BOOK_BID)->shares, 10);
	ck_assert_int_eq(gateway_exposure(&pair.gateway, 1, BOOK_BID), 110);
	pair_request(&pair, bytes, gateway_replace(&pair.gateway, &handle, 100,
		pair.anchor - MARKET_TICK, 0, bytes));
	ck_assert_str_eq(pair_answers(&pair), "C");
	ck_assert_uint_eq(pair.gateway.open_count, 0);
	ck_assert_int_eq(gateway_exposure(&pair.gateway, 1, BOOK_BID), 100);
	pair_close(&pair);
}
END_TEST

/* OUCH: a cancel names the size that the order shall have, what was executed included. */
START_TEST(a_cancel_may_leave_a_smaller_order)
{
	struct ouch_request cancel = {.type = OUCH_CANCEL, .shares = 130};
	struct pair pair;
	struct gateway_handle handle;
	uint8_t bytes[GATEWAY_PACKET_MAX];

	pair_open(&pair, &patient);
	handle = pair_enter(&pair, BOOK_BID, 150, 0, OUCH_MARKET_HOURS);
	memcpy(cancel.token, pair.market.orders[1].request.token, OUCH_TOKEN_SIZE);
	ouch_encode_request(&cancel, bytes, sizeof(bytes));
	pair.gateway.counts.cancels++;
	market_request(&pair.market, bytes, 19, 0);
	ck_assert_str_eq(pair_answers(&pair), "AEC");
	ck_assert_uint_eq(pair.market.orders[1].open, 30);
	ck_assert_uint_eq(gateway_find(&pair.gateway, handle)->open, 30);
	ck_assert_uint_eq(books_best(&pair.market.books, 1, BOOK_BID)->shares, 30);
	pair_request(&pair, bytes, gateway_cancel(&pair.gateway, handle, 0, bytes));
	ck_assert_str_eq(pair_answers(&pair), "C");
	ck_assert_uint_eq(pair.market.books.order_count, 0);
	pair_close(&pair);
}
END_TEST

START_TEST(a_replacement_of_an_order_that_died_meanwhile_is_void)
{
	struct pair pair;
	struct gateway_handle old, handle;
	uint8_t bytes[GATEWAY_PACKET_MAX];
	int length;

	pair_open(&pair, &patient);
	old = handle = pair_enter(&pair, BOOK_BID, 100, -1, OUCH_MARKET_HOURS);
	pair_answers(&pair);
	length = gateway_replace(&pair.gateway, &handle, 100, pair.anchor - 2 * MARKET_TICK, 0, bytes);
	ck_assert_uint_eq(pair.gateway.open_count, 2);
	/* Filled while the replacement was on its way: that is ignored then, without an answer. */
	market_hit(&pair.market, books_first(&pair.market.books,
		books_best(&pair.market.books, 1, BOOK_BID)), 100, 0);
	pair_request(&pair, bytes, length);
	ck_assert_str_eq(pair_answers(&pair), "E");
	ck_assert_uint_eq(pair.gateway.voided, 1);
	ck_assert_uint_eq(pair.gateway.open_count, 0);
	ck_assert_ptr_null(gateway_find(&pair.gateway, old));
	ck_assert_ptr_null(gateway_find(&pair.gateway, handle));
	ck_assert_int_eq(gateway_exposure(&pair.gateway, 1, BOOK_BID), 100);
	pair_close(&pair);
}
END_TEST

START_TEST(a_client_does_not_trade_with_itself)
{
	struct pair pair;

	pair_open(&pair, &patient);
	pair_enter(&pair, BOOK_BID, 100, -1, OUCH_MARKET_HOURS);
	pair_enter(&pair, BOOK_ASK, 100, -1, OUCH_MARKET_HOURS);
	ck_assert_str_eq(pair_answers(&pair), "AAC");
	ck_assert_int_eq(pair.gateway.positions[1], 0);
	ck_assert_uint_eq(pair.gateway.open_count, 1);
	pair_close(&pair);
}
END_TEST

START_TEST(orders_against_the_rules_are_rejected_or_ignored)
{
	struct ouch_request request = {.type = 'O', .side = 'B', .shares = 100};
	struct pair pair;
	uint8_t bytes[OUCH_REQUEST_MAX];

	pair_open(&pair, &patient);
	pair_enter(&pair, BOOK_BID, 0, 0, 0);
	pair_enter(&pair, BOOK_BID, MARKET_SHARES_MAX + 1, 0, 0);
	pair.anchor += 1;
	pair_enter(&pair, BOOK_BID, 100, 0, 0);
	pair.anchor *= 3;
	pair_enter(&pair, BOOK_BID, 100, 0, 0);
	ck_assert_str_eq(pair_answers(&pair), "JJJJ");
	ck_assert_uint_eq(pair.gateway.open_count, 0);
	/* A stock that does not exist, and then its token again, which is used up. */
	memcpy(request.token, "ONCE          ", 14);
	memcpy(request.stock, "NOSUCH  ", 8);
	ouch_encode_request(&request, bytes, sizeof(bytes));
	market_request(&pair.market, bytes, 49, 0);
	market_request(&pair.market, bytes, 49, 0);
	ck_assert_uint_eq(pair.market.ignored, 1);
	ck_assert_uint_eq(pair.market.counts.rejected, 5);
	/* A cancel of nothing is ignored; what is not OUCH is dropped. */
	request.type = 'X';
	memcpy(request.token, "NEVER         ", 14);
	ouch_encode_request(&request, bytes, sizeof(bytes));
	market_request(&pair.market, bytes, 19, 0);
	ck_assert_uint_eq(pair.market.ignored, 2);
	market_request(&pair.market, bytes, 18, 0);
	ck_assert_uint_eq(pair.market.faults.counts[FAULT_LENGTH], 1);
	pair_close(&pair);
}
END_TEST

START_TEST(a_closed_market_rejects_and_a_lost_client_has_no_orders)
{
	struct pair pair;

	pair_open(&pair, &patient);
	pair_enter(&pair, BOOK_BID, 100, -1, OUCH_MARKET_HOURS);
	pair_enter(&pair, BOOK_BID, 100, -2, OUCH_MARKET_HOURS);
	market_cancel_all(&pair.market, 0);
	ck_assert_str_eq(pair_answers(&pair), "AACC");
	ck_assert_uint_eq(pair.gateway.open_count, 0);
	ck_assert_uint_eq(pair.market.books.order_count, 1);
	market_halt(&pair.market, 0);
	pair_enter(&pair, BOOK_BID, 100, -1, OUCH_MARKET_HOURS);
	ck_assert_str_eq(pair_answers(&pair), "J");
	pair_close(&pair);
}
END_TEST

START_TEST(the_rate_limit_allows_a_burst_and_then_the_rate)
{
	struct gateway_config config = patient;
	struct gateway_intent intent = {.locate = 1, .shares = 1, .price = 100};
	struct gateway_handle handle;
	uint8_t bytes[GATEWAY_PACKET_MAX];
	struct gateway gateway;
	int sent = 0;

	config.order_limit = 1000;
	config.rate = 1000;
	config.burst = 5;
	ck_assert_int_eq(gateway_init(&gateway, &config), 0);
	for (int64_t now_ns = 0; now_ns < 100 * APUS_MSEC; now_ns += 10 * APUS_USEC) {
		int length = gateway_enter(&gateway, &intent, now_ns, bytes, &handle);

		ck_assert(length > 0 || length == -EAGAIN);
		sent += length > 0;
		ck_assert_int_le(sent, 5 + now_ns / APUS_MSEC);
	}
	ck_assert_int_ge(sent, 5 + 99);
	ck_assert_uint_gt(gateway.throttled, 0);
	/* Cancels are never held back. */
	ck_assert_int_gt(gateway_cancel(&gateway, handle, 100 * APUS_MSEC, bytes), 0);
	gateway_deinit(&gateway);
}
END_TEST

START_TEST(orders_time_out_in_the_order_in_which_they_were_sent)
{
	struct gateway_config config = patient;
	struct gateway_intent intent = {.locate = 1, .shares = 1, .price = 100};
	struct gateway_handle first, second, due;
	uint8_t bytes[GATEWAY_PACKET_MAX];
	struct gateway gateway;

	config.timeout_ns = 100;
	config.order_limit = 2;
	ck_assert_int_eq(gateway_init(&gateway, &config), 0);
	ck_assert_int_eq(gateway_deadline_ns(&gateway), APUS_NEVER);
	gateway_enter(&gateway, &intent, 0, bytes, &first);
	gateway_enter(&gateway, &intent, 10, bytes, &second);
	ck_assert_int_eq(gateway_enter(&gateway, &intent, 10, bytes, &due), -ENOSPC);
	ck_assert_int_eq(gateway_deadline_ns(&gateway), 100);
	ck_assert(!gateway_expired(&gateway, 99, &due));
	ck_assert(gateway_expired(&gateway, 100, &due));
	ck_assert_uint_eq(due.serial, first.serial);
	ck_assert_int_gt(gateway_cancel(&gateway, due, 100, bytes), 0);
	ck_assert_int_eq(gateway_deadline_ns(&gateway), 110);
	ck_assert(gateway_oldest(&gateway, &due));
	ck_assert_uint_eq(due.serial, second.serial);
	ck_assert_int_gt(gateway_cancel(&gateway, due, 110, bytes), 0);
	ck_assert(!gateway_oldest(&gateway, &due));
	/* A cancel that nobody answers is due again. */
	ck_assert(gateway_expired(&gateway, 200, &due));
	ck_assert_uint_eq(due.serial, first.serial);
	gateway_deinit(&gateway);
}
END_TEST

START_TEST(answers_for_no_order_of_ours_are_counted_and_change_nothing)
{
	struct ouch_answer answer = {.type = 'E', .shares = 100, .price = 100, .liquidity = 'A'};
	static const char *const tokens[] = {"XXXXXXXXXXXXXX", "E0000000100001", "E00000001FFFFF",
		"E0000000000000", "E00000001ghijk"};
	struct gateway_intent intent = {.locate = 1, .shares = 100, .price = 100};
	uint8_t bytes[OUCH_ANSWER_MAX], request[GATEWAY_PACKET_MAX];
	struct gateway_handle handle;
	struct gateway gateway;

	ck_assert_int_eq(gateway_init(&gateway, &patient), 0);
	for (size_t at = 0; at < 5; at++) {
		memcpy(answer.token, tokens[at], 14);
		gateway_answer(&gateway, bytes, (size_t)ouch_encode_answer(&answer, bytes,
			sizeof(bytes)));
	}
	ck_assert_uint_eq(gateway.unknown, 5);
	/* The slot is in use again, for another order. */
	gateway_enter(&gateway, &intent, 0, request, &handle);
	ck_assert_uint_eq(handle.slot, 1);
	memcpy(answer.token, "E0000000700001", 14);
	gateway_answer(&gateway, bytes, (size_t)ouch_encode_answer(&answer, bytes, sizeof(bytes)));
	ck_assert_uint_eq(gateway.unknown, 6);
	ck_assert_uint_eq(gateway.open_count, 1);
	gateway_answer(&gateway, bytes, 39);
	ck_assert_uint_eq(gateway.faults.counts[FAULT_LENGTH], 1);
	ck_assert_uint_eq(gateway.counts.executed, 0);
	gateway_deinit(&gateway);
}
END_TEST

/* ---- sessions ------------------------------------------------------------------------------------------- */

static enum session_event tell(struct session *session, const uint8_t *bytes, size_t size,
	int64_t now_ns)
{
	struct soup_packet packet;
	struct soup_login login;

	ck_assert_int_eq(soup_parse(bytes, size, &packet), (int)size);
	return session_receive(session, &packet, now_ns, &login);
}

START_TEST(a_session_logs_in_beats_both_ways_and_leaves)
{
	struct session client, server;
	uint8_t bytes[64];

	session_init(&client, SESSION_CLIENT, 0);
	session_init(&server, SESSION_SERVER, 0);
	ck_assert_int_eq(session_deadline_ns(&client), APUS_NEVER);
	ck_assert_int_eq(tell(&server, bytes, session_login(&client, "ENGINE", "SECRET", bytes, 0),
		0), SESSION_LOGIN);
	ck_assert_int_eq(tell(&client, bytes, session_accept(&server, SESSION, 5, bytes, 0), 0),
		SESSION_ACCEPTED);
	ck_assert_uint_eq(client.next, 5);
	ck_assert(!client.is_caught_up);
	ck_assert_int_eq(session_deadline_ns(&client), APUS_SEC);
	ck_assert(!session_heartbeat_is_due(&client, APUS_SEC - 1));
	ck_assert(session_heartbeat_is_due(&client, APUS_SEC));
	ck_assert_int_eq(tell(&server, bytes, session_heartbeat(&client, bytes, APUS_SEC), APUS_SEC),
		SESSION_NONE);
	ck_assert(!session_heartbeat_is_due(&client, APUS_SEC));
	ck_assert_int_eq(tell(&client, bytes, session_heartbeat(&server, bytes, APUS_SEC), APUS_SEC),
		SESSION_CAUGHT_UP);
	ck_assert_int_eq(tell(&client, bytes, session_heartbeat(&server, bytes, APUS_SEC), APUS_SEC),
		SESSION_NONE);
	ck_assert(!session_is_silent(&client, 16 * APUS_SEC - 1));
	ck_assert(session_is_silent(&client, 16 * APUS_SEC));
	soup_put_header(bytes, SOUP_SEQUENCED, 1)[0] = 'x';
	ck_assert_int_eq(tell(&client, bytes, 4, 16 * APUS_SEC), SESSION_DATA);
	ck_assert_uint_eq(client.next, 6);
	ck_assert(!session_is_silent(&client, 16 * APUS_SEC));
	ck_assert_int_eq(tell(&server, bytes, session_leave(&client, bytes, 0), 0), SESSION_LOGOUT);
	ck_assert_int_eq(server.state, SESSION_OVER);
	ck_assert_int_eq(session_deadline_ns(&server), APUS_NEVER);
}
END_TEST

START_TEST(packets_from_the_wrong_end_or_at_the_wrong_time_are_errors)
{
	struct session client, server;
	uint8_t bytes[64];
	size_t size;

	session_init(&client, SESSION_CLIENT, 0);
	session_init(&server, SESSION_SERVER, 0);
	soup_put_header(bytes, SOUP_UNSEQUENCED, 1)[0] = 'x';
	ck_assert_int_eq(tell(&client, bytes, 4, 0), SESSION_ERROR);
	ck_assert_int_eq(tell(&server, bytes, 4, 0), SESSION_ERROR);
	size = session_login(&client, "ENGINE", "SECRET", bytes, 0);
	ck_assert_int_eq(tell(&client, bytes, size, 0), SESSION_ERROR);
	ck_assert_int_eq(tell(&server, bytes, size, 0), SESSION_LOGIN);
	session_accept(&server, SESSION, 1, bytes, 0);
	ck_assert_int_eq(tell(&server, bytes, soup_put_empty(bytes, SOUP_SERVER_HEARTBEAT), 0),
		SESSION_ERROR);
	ck_assert_int_eq(tell(&client, bytes, soup_put_rejected(bytes, 'A'), 0), SESSION_REJECTED);
	ck_assert_int_eq(client.reject_reason, 'A');
	ck_assert_int_eq(client.state, SESSION_OVER);
}
END_TEST

TEST_MAIN("ttt_flow",
	without_loss_all_agree_and_nothing_is_asked_for_again,
	every_hundredth_packet_lost_is_recovered_and_all_agree,
	in_any_weather_books_counts_and_positions_agree,
	the_same_seed_gives_the_same_session_byte_for_byte,
	answers_that_are_lost_are_asked_for_again,
	a_dead_server_costs_the_retries_and_no_more,
	a_full_buffer_is_a_verdict_and_what_it_dropped_comes_again,
	packets_that_overlap_give_every_message_once,
	a_request_names_the_hole_and_waits_for_patience_and_time_out,
	a_hole_nobody_fills_is_given_up_after_the_last_retry,
	a_heartbeat_and_the_end_of_session_show_what_is_missing,
	packets_that_cannot_be_are_counted_by_kind_and_change_nothing,
	the_weather_does_what_it_says_and_no_more,
	what_one_line_loses_the_other_brings_and_nobody_is_asked,
	only_what_both_lines_lost_is_asked_for,
	a_line_that_dies_costs_nothing_but_its_name,
	a_stranger_is_believed_only_when_our_session_is_silent,
	a_reset_forgets_the_gap_and_what_was_kept_beyond_it,
	without_a_name_the_first_packet_names_the_session,
	the_server_answers_what_is_published_and_on_the_tape,
	a_packet_takes_as_many_messages_as_fit,
	the_flow_is_plausible,
	a_day_taken_again_is_the_same_day,
	the_pace_is_the_set_rate_on_average_and_has_bursts,
	immediate_or_cancel_takes_what_is_there_and_the_rest_is_cancelled,
	an_order_rests_is_replaced_reduced_and_cancelled,
	a_replacement_that_meets_the_market_trades,
	a_cancel_may_leave_a_smaller_order,
	a_replacement_of_an_order_that_died_meanwhile_is_void,
	a_client_does_not_trade_with_itself,
	orders_against_the_rules_are_rejected_or_ignored,
	a_closed_market_rejects_and_a_lost_client_has_no_orders,
	the_rate_limit_allows_a_burst_and_then_the_rate,
	orders_time_out_in_the_order_in_which_they_were_sent,
	answers_for_no_order_of_ours_are_counted_and_change_nothing,
	a_session_logs_in_beats_both_ways_and_leaves,
	packets_from_the_wrong_end_or_at_the_wrong_time_are_errors)
