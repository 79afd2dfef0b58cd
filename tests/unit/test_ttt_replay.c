/*
 * test_ttt_replay.c - the engine of the tick-to-trade example made again from what it was told:
 * from memory, from a journal and from a pcap it decides every order as it did, whatever went
 * wrong on the day.
 */
#include "../../examples/ttt/journal.h"
#include "../../examples/ttt/pcap.h"
#include "../../examples/ttt/player.h"

#include "twosome.h"

/* A day that is written down. */
static struct twosome *recorded_day(uint64_t seed, struct climate climate,
	const struct desk_config *config, int steps)
{
	struct twosome *two = twosome_open(seed, climate, config);

	two->taps_room = 1 << 16;
	two->taps = malloc(two->taps_room);
	begin(two);
	trade(two, steps);
	finish(two);
	return two;
}

struct again {
	struct desk desk;
	struct player player;
};

static struct again *again_open(const struct desk_config *config)
{
	struct again *again = calloc(1, sizeof(*again));

	ck_assert_int_eq(desk_init(&again->desk, config), 0);
	player_init(&again->player, &again->desk);
	return again;
}

static void again_close(struct again *again)
{
	desk_deinit(&again->desk);
	free(again);
}

static void play(struct again *again, const uint8_t *taps, size_t size)
{
	struct tap tap;

	for (size_t at = 0; at < size; at += sizeof(tap) + tap.size) {
		memcpy(&tap, taps + at, sizeof(tap));
		player_take(&again->player, &tap, taps + at + sizeof(tap));
	}
}

static void check_same(const struct twosome *two, const struct again *again)
{
	const struct gateway *a = &two->desk.gateway, *b = &again->desk.gateway;

	ck_assert_uint_eq(again->player.different, 0);
	ck_assert_uint_eq(again->player.count, 0);
	ck_assert_uint_eq(books_checksum(&again->desk.books), books_checksum(&two->desk.books));
	ck_assert(order_counts_equal(&a->counts, &b->counts));
	ck_assert_mem_eq(a->positions, b->positions, (SYMBOLS + 1) * sizeof(*a->positions));
	ck_assert_uint_eq(a->never_entered, b->never_entered);
	ck_assert_uint_eq(a->breaks, b->breaks);
	ck_assert_uint_eq(a->voided, b->voided);
	ck_assert_int_eq(memcmp(&two->desk.feed.counts, &again->desk.feed.counts,
		sizeof(two->desk.feed.counts)), 0);
	ck_assert_ptr_null(gateway_check(b));
}

static struct climate rough(struct rng *rng)
{
	return (struct climate){
		.line = {{5 + rng_below(rng, 40), 20, 20}, {5 + rng_below(rng, 40), 20, 20}},
		.lost_answers = 10, .has_two_lines = rng_one_in(rng, 2),
		.breaks = 10 + rng_below(rng, 100), .is_forgetful = rng_one_in(rng, 3),
		.is_short = true,
	};
}

START_TEST(over_a_thousand_seeds_the_engine_decides_again_as_it_did)
{
	uint64_t seed = test_seed(), orders = 0;

	for (uint64_t round = 0; round < 250; round++) {
		struct rng rng = {seed + round * 4 + (uint64_t)_i};
		struct climate climate = rough(&rng);
		struct twosome *two = recorded_day(rng_next(&rng), climate, &desk_config, 300);
		struct again *again = again_open(&desk_config);

		check_agreement(two);
		play(again, two->taps, two->taps_size);
		check_same(two, again);
		orders += again->player.orders;
		again_close(again);
		twosome_close(two);
	}
	ck_assert_uint_gt(orders, 1000);
}
END_TEST

START_TEST(a_hole_that_was_given_up_is_given_up_again)
{
	struct climate climate = {.line = {{.loss = 50}}, .is_server_dead = true, .is_short = true};
	struct desk_config config = desk_config;
	struct twosome *two;
	struct again *again = NULL;

	config.feed.retry_limit = 1;
	config.feed.timeout_ns = 3 * STEP_NS;
	two = recorded_day(51, climate, &config, 600);
	again = again_open(&config);
	ck_assert_uint_gt(two->desk.feed.counts.lost, 0);
	play(again, two->taps, two->taps_size);
	check_same(two, again);
	again_close(again);
	twosome_close(two);
}
END_TEST

/* Or the comparison would show nothing. */
START_TEST(another_day_is_told_from_this_one)
{
	struct twosome *two = recorded_day(52, (struct climate){.is_short = true}, &desk_config, 400);
	struct desk_config config = desk_config;
	struct again *again;

	config.strategy.lot = 200;
	again = again_open(&config);
	play(again, two->taps, two->taps_size);
	ck_assert_uint_gt(again->player.different, 0);
	again_close(again);
	twosome_close(two);
}
END_TEST

/* ---- through the files' formats --------------------------------------------------------------- */

/* A sink of memory, as large as it has to be: what was flushed is appended. */
static uint8_t *file_bytes;
static size_t file_size;

static void append(struct sink *sink)
{
	size_t size = sink->end - sink->begin;

	file_bytes = realloc(file_bytes, file_size + size);
	memcpy(file_bytes + file_size, sink->bytes + sink->begin, size);
	file_size += size;
	sink_wrote(sink, size);
}

static void sink_to_memory(struct sink *sink)
{
	*sink = (struct sink){.fd = -1, .bytes = malloc(SINK_BYTES)};
	file_bytes = NULL;
	file_size = 0;
}

typedef int (*put_fn)(struct sink *sink, void *state, const struct tap *tap, const uint8_t *bytes);

static void write_file(const struct twosome *two, struct sink *sink, put_fn write_tap, void *state)
{
	struct tap tap;

	for (size_t at = 0; at < two->taps_size; at += sizeof(tap) + tap.size) {
		memcpy(&tap, two->taps + at, sizeof(tap));
		ck_assert_int_eq(write_tap(sink, state, &tap, two->taps + at + sizeof(tap)), 0);
		append(sink);
	}
	free(sink->bytes);
}

static int put_journal(struct sink *sink, void *state, const struct tap *tap, const uint8_t *bytes)
{
	return journal_put(sink, (*(uint64_t *)state)++, tap, bytes);
}

static int put_pcap(struct sink *sink, void *state, const struct tap *tap, const uint8_t *bytes)
{
	return pcap_put(state, sink, tap, bytes);
}

START_TEST(a_journal_and_a_pcap_say_the_same)
{
	struct rng rng = {53};
	struct twosome *two = recorded_day(53, rough(&rng), &desk_config, 400);
	struct again *by_journal = again_open(&desk_config), *by_pcap = again_open(&desk_config);
	struct journal_reader journal;
	struct pcap_reader reader;
	struct pcap pcap;
	struct sink sink;
	const uint8_t *bytes;
	struct tap tap;
	uint64_t number = 0;
	int got;

	ck_assert_uint_gt(two->desk.gateway.breaks, 0);
	sink_to_memory(&sink);
	write_file(two, &sink, put_journal, &number);
	journal_open(&journal, file_bytes, file_size);
	while ((got = journal_next(&journal, &tap, &bytes)) == 1)
		player_take(&by_journal->player, &tap, bytes);
	ck_assert_int_eq(got, 0);
	check_same(two, by_journal);
	free(file_bytes);
	sink_to_memory(&sink);
	pcap_begin(&pcap, &sink);
	write_file(two, &sink, put_pcap, &pcap);
	ck_assert_int_eq(pcap_open(&reader, file_bytes, file_size), 0);
	while ((got = pcap_next(&reader, &tap, &bytes)) == 1)
		player_take(&by_pcap->player, &tap, bytes);
	ck_assert_int_eq(got, 0);
	check_same(two, by_pcap);
	free(file_bytes);
	again_close(by_journal);
	again_close(by_pcap);
	twosome_close(two);
}
END_TEST

/* Each tap with all that is in it; but for the hole that was given up, which no wire shows. */
START_TEST(a_pcap_gives_back_every_tap)
{
	struct rng rng = {55};
	struct twosome *two = recorded_day(55, rough(&rng), &desk_config, 200);
	struct pcap_reader reader;
	struct pcap pcap;
	struct sink sink;
	const uint8_t *bytes;
	struct tap tap, wanted;
	uint64_t lines[FEED_LINES] = {0}, held = 0;

	for (size_t at = 0; at < two->taps_size; at += sizeof(tap) + tap.size) {
		memcpy(&tap, two->taps + at, sizeof(tap));
		tap.is_held = tap.kind == TAP_PACKET && rng_one_in(&rng, 3);
		tap.line = tap.kind == TAP_PACKET ? tap.line : 0;
		memcpy(two->taps + at, &tap, sizeof(tap));
	}
	sink_to_memory(&sink);
	pcap_begin(&pcap, &sink);
	write_file(two, &sink, put_pcap, &pcap);
	ck_assert_int_eq(pcap_open(&reader, file_bytes, file_size), 0);
	for (size_t at = 0; at < two->taps_size; at += sizeof(wanted) + wanted.size) {
		memcpy(&wanted, two->taps + at, sizeof(wanted));
		if (wanted.kind == TAP_GIVE_UP)
			continue;
		ck_assert_int_eq(pcap_next(&reader, &tap, &bytes), 1);
		ck_assert_int_eq(tap.kind, wanted.kind);
		ck_assert_int_eq(tap.now_ns, wanted.now_ns);
		ck_assert_int_eq(tap.is_held, wanted.is_held);
		ck_assert_uint_eq(tap.size, wanted.size);
		ck_assert(tap.kind != TAP_PACKET || tap.line == wanted.line);
		ck_assert_mem_eq(bytes, two->taps + at + sizeof(wanted), tap.size);
		lines[wanted.line] += tap.kind == TAP_PACKET;
		held += tap.is_held;
	}
	ck_assert_int_eq(pcap_next(&reader, &tap, &bytes), 0);
	ck_assert_uint_gt(lines[FEED_LINE_A], 0);
	ck_assert_uint_gt(lines[FEED_LINE_REQUESTED], 0);
	ck_assert_uint_gt(held, 10);
	free(file_bytes);
	twosome_close(two);
}
END_TEST

/* A file of either kind with bytes changed, cut at any place: an answer, and never beyond its end. */
START_TEST(damaged_files_are_read_without_harm)
{
	struct test_random random = test_random_init(test_seed());
	struct twosome *two = recorded_day(54, (struct climate){.is_short = true}, &desk_config, 30);
	struct pcap pcap;
	struct sink sink;
	uint64_t refused = 0;

	sink_to_memory(&sink);
	pcap_begin(&pcap, &sink);
	write_file(two, &sink, put_pcap, &pcap);
	for (int round = 0; round < 3000; round++) {
		size_t size = (size_t)test_random_below(&random, file_size + 1);
		uint8_t *exact = malloc(size + (size == 0));
		struct again *again = NULL;
		struct pcap_reader reader;
		const uint8_t *bytes;
		struct tap tap;
		int got;

		memcpy(exact, file_bytes, size);
		for (int n = 0; n < 8 && size > 0; n++)
			exact[test_random_below(&random, size)] = (uint8_t)test_random_next(&random);
		if (round % 30 == 0)
			again = again_open(&desk_config);
		got = pcap_open(&reader, exact, size);
		while (got >= 0 && (got = pcap_next(&reader, &tap, &bytes)) == 1)
			if (again != NULL)
				player_take(&again->player, &tap, bytes);
		refused += got < 0;
		if (again != NULL) {
			ck_assert_ptr_null(gateway_check(&again->desk.gateway));
			again_close(again);
		}
		free(exact);
	}
	ck_assert_uint_gt(refused, 300);
	free(file_bytes);
	twosome_close(two);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = test_case("ttt_replay");

	tcase_add_loop_test(all, over_a_thousand_seeds_the_engine_decides_again_as_it_did, 0, 4);
	tcase_add_test(all, a_hole_that_was_given_up_is_given_up_again);
	tcase_add_test(all, another_day_is_told_from_this_one);
	tcase_add_test(all, a_journal_and_a_pcap_say_the_same);
	tcase_add_test(all, a_pcap_gives_back_every_tap);
	tcase_add_test(all, damaged_files_are_read_without_harm);
	return test_run(argc, argv, all);
}
