/*
 * test_ttt_book.c - the order books of the tick-to-trade example: price, then time; a
 * refusal changes nothing; and against a naive twin.
 */
#include "../../examples/ttt/book.h"
#include "../../examples/ttt/itch.h"

#include "test.h"

#include <errno.h>

static void books_open(struct books *books, uint32_t symbols, uint32_t orders)
{
	ck_assert_int_eq(books_init(books, symbols, orders), 0);
}

START_TEST(best_price_is_the_highest_bid_and_the_lowest_ask)
{
	struct books books;

	books_open(&books, 2, 16);
	ck_assert_ptr_null(books_best(&books, 1, BOOK_BID));
	ck_assert_int_eq(books_add(&books, 1, 1, BOOK_BID, 100, 1000), 0);
	ck_assert_int_eq(books_add(&books, 2, 1, BOOK_BID, 200, 1100), 0);
	ck_assert_int_eq(books_add(&books, 3, 1, BOOK_BID, 300, 900), 0);
	ck_assert_int_eq(books_add(&books, 4, 1, BOOK_ASK, 400, 1300), 0);
	ck_assert_int_eq(books_add(&books, 5, 1, BOOK_ASK, 500, 1200), 0);
	ck_assert_int_eq(books_add(&books, 6, 1, BOOK_ASK, 600, 1400), 0);
	ck_assert_uint_eq(books_best(&books, 1, BOOK_BID)->price, 1100);
	ck_assert_uint_eq(books_best(&books, 1, BOOK_ASK)->price, 1200);
	ck_assert_uint_eq(books_level(&books, 1, BOOK_BID, 2)->price, 900);
	ck_assert_uint_eq(books_level(&books, 1, BOOK_ASK, 1)->price, 1300);
	ck_assert_ptr_null(books_level(&books, 1, BOOK_ASK, 3));
	ck_assert_ptr_null(books_best(&books, 2, BOOK_BID));
	ck_assert_int_eq(books_remove(&books, 2), 0);
	ck_assert_uint_eq(books_best(&books, 1, BOOK_BID)->price, 1000);
	books_deinit(&books);
}
END_TEST

START_TEST(at_a_price_the_first_come_is_the_first_served)
{
	struct books books;

	books_open(&books, 1, 16);
	for (uint64_t ref = 1; ref <= 3; ref++)
		books_add(&books, ref, 1, BOOK_BID, 100, 1000);
	ck_assert_uint_eq(books_first(&books, books_best(&books, 1, BOOK_BID))->ref, 1);
	ck_assert_int_eq(books_reduce(&books, 1, 40), 0);
	ck_assert_uint_eq(books_first(&books, books_best(&books, 1, BOOK_BID))->ref, 1);
	ck_assert_uint_eq(books_best(&books, 1, BOOK_BID)->shares, 260);
	ck_assert_int_eq(books_reduce(&books, 1, 60), 0);
	ck_assert_uint_eq(books_first(&books, books_best(&books, 1, BOOK_BID))->ref, 2);
	books_deinit(&books);
}
END_TEST

START_TEST(a_replaced_order_goes_to_the_back_of_its_price)
{
	struct books books;

	books_open(&books, 1, 2);
	books_add(&books, 1, 1, BOOK_ASK, 100, 1000);
	books_add(&books, 2, 1, BOOK_ASK, 100, 1000);
	books_find(&books, 1)->tag = 77;
	/* Also with every slot in use. */
	ck_assert_int_eq(books_replace(&books, 1, 3, 50, 1000), 0);
	ck_assert_ptr_null(books_find(&books, 1));
	ck_assert_uint_eq(books_find(&books, 3)->tag, 77);
	ck_assert_uint_eq(books_first(&books, books_best(&books, 1, BOOK_ASK))->ref, 2);
	ck_assert_uint_eq(books_best(&books, 1, BOOK_ASK)->shares, 150);
	books_deinit(&books);
}
END_TEST

START_TEST(a_refused_change_changes_nothing)
{
	struct books books;
	uint64_t before;

	books_open(&books, 1, 2);
	books_add(&books, 1, 1, BOOK_BID, 100, 1000);
	books_add(&books, 2, 1, BOOK_BID, 100, 900);
	before = books_checksum(&books);
	ck_assert_int_eq(books_add(&books, 0, 1, BOOK_BID, 1, 1), -EINVAL);
	ck_assert_int_eq(books_add(&books, 3, 0, BOOK_BID, 1, 1), -EINVAL);
	ck_assert_int_eq(books_add(&books, 3, 2, BOOK_BID, 1, 1), -EINVAL);
	ck_assert_int_eq(books_add(&books, 3, 1, BOOK_BID, 0, 1), -EINVAL);
	ck_assert_int_eq(books_add(&books, 3, 1, BOOK_BID, 1, 0), -EINVAL);
	ck_assert_int_eq(books_add(&books, 2, 1, BOOK_BID, 1, 1), -EEXIST);
	ck_assert_int_eq(books_add(&books, 3, 1, BOOK_BID, 1, 1), -ENOSPC);
	ck_assert_int_eq(books_reduce(&books, 3, 1), -ENOENT);
	ck_assert_int_eq(books_reduce(&books, 1, 101), -ERANGE);
	ck_assert_int_eq(books_remove(&books, 3), -ENOENT);
	ck_assert_int_eq(books_replace(&books, 3, 4, 1, 1), -ENOENT);
	ck_assert_int_eq(books_replace(&books, 1, 2, 1, 1), -EEXIST);
	ck_assert_int_eq(books_replace(&books, 1, 1, 1, 1), -EEXIST);
	ck_assert_int_eq(books_replace(&books, 1, 4, 0, 1), -EINVAL);
	ck_assert_uint_eq(books_checksum(&books), before);
	books_deinit(&books);
}
END_TEST

START_TEST(a_side_has_a_bounded_number_of_prices)
{
	struct books books;
	uint64_t before;

	books_open(&books, 1, 2 * BOOK_LEVELS);
	for (uint32_t n = 1; n <= BOOK_LEVELS; n++)
		ck_assert_int_eq(books_add(&books, n, 1, BOOK_BID, 10, n * 100), 0);
	before = books_checksum(&books);
	ck_assert(!books_has_room(&books, 1, BOOK_BID, 50));
	ck_assert_int_eq(books_add(&books, 1000, 1, BOOK_BID, 10, 50), -ENOBUFS);
	ck_assert_uint_eq(books_checksum(&books), before);
	/* A price that is there has room, and one that an order leaves for another. */
	ck_assert(books_has_room(&books, 1, BOOK_BID, 100));
	ck_assert_int_eq(books_add(&books, 1000, 1, BOOK_BID, 10, 100), 0);
	ck_assert_int_eq(books_replace(&books, 1, 2000, 10, 50), -ENOBUFS);
	ck_assert_int_eq(books_replace(&books, 2, 2000, 10, 50), 0);
	books_deinit(&books);
}
END_TEST

START_TEST(the_checksum_sees_price_time_shares_and_reference)
{
	struct books a, b;

	books_open(&a, 1, 8);
	books_open(&b, 1, 8);
	ck_assert_uint_eq(books_checksum(&a), books_checksum(&b));
	books_add(&a, 1, 1, BOOK_BID, 100, 1000);
	books_add(&a, 2, 1, BOOK_BID, 100, 1000);
	books_add(&b, 2, 1, BOOK_BID, 100, 1000);
	books_add(&b, 1, 1, BOOK_BID, 100, 1000);
	ck_assert_uint_ne(books_checksum(&a), books_checksum(&b));
	/* The same orders through other slots are the same books. */
	books_remove(&b, 2);
	books_add(&b, 2, 1, BOOK_BID, 100, 1000);
	ck_assert_uint_eq(books_checksum(&a), books_checksum(&b));
	books_reduce(&b, 2, 1);
	ck_assert_uint_ne(books_checksum(&a), books_checksum(&b));
	books_deinit(&a);
	books_deinit(&b);
}
END_TEST

START_TEST(itch_messages_change_the_books_and_refusals_are_counted)
{
	struct itch_message add = {.type = 'A', .locate = 1, .side = 'S', .ref = 9, .shares = 100,
		.price = 500};
	struct itch_message part = {.type = 'C', .ref = 9, .shares = 30};
	struct itch_message replace = {.type = 'U', .ref = 9, .new_ref = 10, .shares = 80, .price = 400};
	struct itch_message gone = {.type = 'D', .ref = 9};
	struct itch_message trade = {.type = 'P', .locate = 1, .shares = 5};
	struct books books;

	books_open(&books, 1, 4);
	ck_assert_int_eq(books_apply(&books, &add), 0);
	ck_assert_int_eq(books_apply(&books, &part), 0);
	ck_assert_uint_eq(books_find(&books, 9)->shares, 70);
	ck_assert_int_eq(books_apply(&books, &replace), 0);
	ck_assert_uint_eq(books_best(&books, 1, BOOK_ASK)->price, 400);
	ck_assert_int_eq(books_apply(&books, &trade), 0);
	ck_assert_int_eq(books_apply(&books, &gone), -ENOENT);
	ck_assert_int_eq(books_apply(&books, &add), 0);
	ck_assert_int_eq(books_apply(&books, &add), -EEXIST);
	ck_assert_uint_eq(books.counts.unknown, 1);
	ck_assert_uint_eq(books.counts.duplicate, 1);
	ck_assert_uint_eq(books.counts.changes, 5);
	books_deinit(&books);
}
END_TEST

START_TEST(init_refuses_what_cannot_be)
{
	struct books books;

	ck_assert_int_eq(books_init(&books, 0, 10), -EINVAL);
	ck_assert_int_eq(books_init(&books, BOOK_LOCATE_MAX + 1, 10), -EINVAL);
	ck_assert_int_eq(books_init(&books, 1, 0), -EINVAL);
	ck_assert_int_eq(books_init(&books, 1, UINT32_MAX), -EINVAL);
}
END_TEST

/* ---- a naive twin: all orders in one array, in the order of their arrival ------------------ */

enum { TWIN_MAX = 300, TWIN_SYMBOLS = 3 };

struct twin_order {
	uint64_t ref;
	uint32_t locate, side, shares, price;
};

struct twin {
	struct twin_order orders[TWIN_MAX];
	uint32_t count;
};

static struct twin_order *twin_find(struct twin *twin, uint64_t ref)
{
	for (uint32_t at = 0; at < twin->count; at++)
		if (twin->orders[at].ref == ref)
			return &twin->orders[at];
	return NULL;
}

static void twin_remove(struct twin *twin, struct twin_order *order)
{
	memmove(order, order + 1, (size_t)(&twin->orders[twin->count] - (order + 1)) * sizeof(*order));
	twin->count--;
}

/* Best price by looking at all; the level's shares, orders and first order beside it. */
static void twin_compare_best(struct twin *twin, const struct books *books, uint32_t locate,
	uint32_t side)
{
	const struct book_level *level = books_best(books, locate, (enum book_side)side);
	uint32_t price = 0, orders = 0;
	uint64_t shares = 0, first = 0;

	for (uint32_t at = 0; at < twin->count; at++) {
		struct twin_order *order = &twin->orders[at];

		if (order->locate != locate || order->side != side)
			continue;
		if (price == 0 || (side == BOOK_BID ? order->price > price : order->price < price)) {
			price = order->price;
			orders = 0;
			shares = 0;
			first = order->ref;
		}
		if (order->price == price) {
			orders++;
			shares += order->shares;
		}
	}
	if (level == NULL) {
		ck_assert_uint_eq(orders, 0);
		return;
	}
	ck_assert_uint_eq(level->price, price);
	ck_assert_uint_eq(level->order_count, orders);
	ck_assert_uint_eq(level->shares, shares);
	ck_assert_uint_eq(books_first(books, level)->ref, first);
}

/* Every order of the books is the twin's, level by level, sorted, links intact. */
static void twin_compare_all(struct twin *twin, const struct books *books)
{
	uint32_t seen = 0;

	for (uint32_t locate = 1; locate <= TWIN_SYMBOLS; locate++)
		for (uint32_t side = 0; side < 2; side++) {
			const struct book_level *level;
			uint32_t last = 0;

			twin_compare_best(twin, books, locate, side);
			for (uint32_t n = 0; (level = books_level(books, locate, side, n)); n++) {
				struct book_order *order = books_first(books, level);

				ck_assert(last == 0 || (side == BOOK_BID ? level->price < last :
					level->price > last));
				last = level->price;
				for (; order != NULL; order = books_order(books, order->next), seen++) {
					struct twin_order *twin_order = twin_find(twin, order->ref);

					ck_assert_ptr_nonnull(twin_order);
					ck_assert_uint_eq(order->shares, twin_order->shares);
					ck_assert_uint_eq(order->price, twin_order->price);
					ck_assert_uint_eq(order->locate, locate);
					ck_assert_ptr_eq(books_find(books, order->ref), order);
				}
			}
		}
	ck_assert_uint_eq(seen, twin->count);
	ck_assert_uint_eq(books->order_count, twin->count);
}

static void twin_add(struct twin *twin, struct books *books, struct test_random *random)
{
	/* Few references: collisions with live ones happen, and hash neighbours come and go. */
	struct twin_order order = {
		.ref = test_random_below(random, 600),
		.locate = (uint32_t)test_random_between(random, 1, TWIN_SYMBOLS),
		.side = (uint32_t)test_random_below(random, 2),
		.shares = (uint32_t)test_random_below(random, 5),
		.price = (uint32_t)test_random_below(random, 40),
	};
	int err = books_add(books, order.ref, order.locate, (enum book_side)order.side,
		order.shares, order.price);

	if (order.ref == 0 || order.shares == 0 || order.price == 0)
		ck_assert_int_eq(err, -EINVAL);
	else if (twin_find(twin, order.ref))
		ck_assert_int_eq(err, -EEXIST);
	else if (twin->count == TWIN_MAX)
		ck_assert_int_eq(err, -ENOSPC);
	else {
		ck_assert_int_eq(err, 0);
		twin->orders[twin->count++] = order;
	}
}

static void twin_change(struct twin *twin, struct books *books, struct test_random *random)
{
	uint64_t ref = 1 + test_random_below(random, 600);
	uint64_t new_ref = 1 + test_random_below(random, 600);
	uint32_t shares = (uint32_t)test_random_between(random, 1, 4);
	uint32_t price = (uint32_t)test_random_between(random, 1, 39);
	struct twin_order *order = twin_find(twin, ref), moved;
	int err;

	switch (test_random_below(random, 3)) {
	case 0:
		err = books_remove(books, ref);
		ck_assert_int_eq(err, order ? 0 : -ENOENT);
		if (order)
			twin_remove(twin, order);
		return;
	case 1:
		err = books_reduce(books, ref, shares);
		ck_assert_int_eq(err, !order ? -ENOENT : shares > order->shares ? -ERANGE : 0);
		if (err == 0 && (order->shares -= shares) == 0)
			twin_remove(twin, order);
		return;
	}
	err = books_replace(books, ref, new_ref, shares, price);
	ck_assert_int_eq(err, !order ? -ENOENT : twin_find(twin, new_ref) ? -EEXIST : 0);
	if (err)
		return;
	moved = *order;
	moved.ref = new_ref;
	moved.shares = shares;
	moved.price = price;
	twin_remove(twin, order);
	twin->orders[twin->count++] = moved;
}

START_TEST(the_books_do_what_a_naive_twin_does)
{
	struct test_random random = test_random_init(test_seed());
	struct books books;
	struct twin twin = {.count = 0};

	books_open(&books, TWIN_SYMBOLS, TWIN_MAX);
	for (int step = 0; step < 60000; step++) {
		/* Waves: it fills up to the brim, and empties. */
		bool fills = step / 2000 % 2 == 0;

		if (test_random_below(&random, 10) < (fills ? 9u : 2u))
			twin_add(&twin, &books, &random);
		else
			twin_change(&twin, &books, &random);
		if (step % 16 == 0)
			twin_compare_all(&twin, &books);
	}
	books_deinit(&books);
}
END_TEST

TEST_MAIN("ttt_book",
	best_price_is_the_highest_bid_and_the_lowest_ask,
	at_a_price_the_first_come_is_the_first_served,
	a_replaced_order_goes_to_the_back_of_its_price,
	a_refused_change_changes_nothing,
	a_side_has_a_bounded_number_of_prices,
	the_checksum_sees_price_time_shares_and_reference,
	itch_messages_change_the_books_and_refusals_are_counted,
	init_refuses_what_cannot_be,
	the_books_do_what_a_naive_twin_does)
