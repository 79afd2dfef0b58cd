/* book.c - order books: a hash of orders, and ladders of price levels. */
#include "book.h"

#include "itch.h"
#include "rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory -------------------------------------------------------------- */

/* Zeroed by hand: calloc's pages would fault one by one in the middle of a session. */
static void *touched(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory != NULL)
		for (volatile char *page = memory; page < (char *)memory + count * size; page += 4096)
			*page = 0;
	return memory;
}

static void chain_free_orders(struct books *books)
{
	for (uint32_t index = 1; index <= books->order_limit; index++)
		books->orders[index].next = index < books->order_limit ? index + 1 : 0;
	books->free_head = 1;
}

int books_init(struct books *books, uint32_t symbol_count, uint32_t order_limit)
{
	uint32_t bits = 4;

	memset(books, 0, sizeof(*books));
	if (symbol_count == 0 || symbol_count > BOOK_LOCATE_MAX || order_limit == 0 ||
	    order_limit > UINT32_C(1) << 28)
		return -EINVAL;
	/* At most half full, so that probes stay short. */
	while (UINT32_C(1) << bits < 2 * order_limit)
		bits++;
	books->symbol_count = symbol_count;
	books->order_limit = order_limit;
	books->table_mask = (UINT32_C(1) << bits) - 1;
	books->table_shift = 64 - bits;
	books->books = touched(symbol_count + 1, sizeof(*books->books));
	books->orders = touched((size_t)order_limit + 1, sizeof(*books->orders));
	books->table = touched((size_t)books->table_mask + 1, sizeof(*books->table));
	if (books->books == NULL || books->orders == NULL || books->table == NULL) {
		books_deinit(books);
		return -ENOMEM;
	}
	chain_free_orders(books);
	return 0;
}

void books_clear(struct books *books)
{
	memset(books->books, 0, (books->symbol_count + 1) * sizeof(*books->books));
	memset(books->table, 0, ((size_t)books->table_mask + 1) * sizeof(*books->table));
	books->order_count = 0;
	chain_free_orders(books);
}

void books_deinit(struct books *books)
{
	free(books->books);
	free(books->orders);
	free(books->table);
	memset(books, 0, sizeof(*books));
}

/* ---- the hash: reference to order ---------------------------------------- */

/* Fibonacci hashing (Knuth): references that count up land far apart. */
static uint32_t table_home(const struct books *books, uint64_t ref)
{
	return (uint32_t)(ref * UINT64_C(0x9e3779b97f4a7c15) >> books->table_shift);
}

/* Where ref is, or the empty place where it would go. */
static uint32_t table_seek(const struct books *books, uint64_t ref)
{
	uint32_t at = table_home(books, ref);

	while (books->table[at] != 0 && books->orders[books->table[at]].ref != ref)
		at = (at + 1) & books->table_mask;
	return at;
}

/* Closes the hole by moving back what had to go past it: no tombstones pile up. */
static void table_erase(struct books *books, uint64_t ref)
{
	uint32_t hole = table_seek(books, ref);

	for (uint32_t at = hole;;) {
		uint32_t home;

		at = (at + 1) & books->table_mask;
		if (books->table[at] == 0)
			break;
		home = table_home(books, books->orders[books->table[at]].ref);
		if (((at - home) & books->table_mask) < ((at - hole) & books->table_mask))
			continue;
		books->table[hole] = books->table[at];
		hole = at;
	}
	books->table[hole] = 0;
}

struct book_order *books_find(const struct books *books, uint64_t ref)
{
	return books_order(books, books->table[table_seek(books, ref)]);
}

/* ---- a side's ladder of prices -------------------------------------------- */

/* Flips asks, so that on both sides the best price has the greatest key. */
static uint32_t price_key(enum book_side side, uint32_t price)
{
	return side == BOOK_ASK ? ~price : price;
}

/* How many levels are no better: the one at price is the last of them, or goes there. */
static uint32_t ladder_seek(const struct book_ladder *ladder, enum book_side side, uint32_t price)
{
	uint32_t key = price_key(side, price);
	uint32_t at = ladder->level_count;

	while (at > 0 && price_key(side, ladder->levels[at - 1].price) > key)
		at--;
	return at;
}

static struct book_level *ladder_find(struct book_ladder *ladder, enum book_side side,
	uint32_t price)
{
	uint32_t at = ladder_seek(ladder, side, price);

	return at > 0 && ladder->levels[at - 1].price == price ? &ladder->levels[at - 1] : NULL;
}

static struct book_level *ladder_insert(struct book_ladder *ladder, enum book_side side,
	uint32_t price)
{
	uint32_t at = ladder_seek(ladder, side, price);
	struct book_level *level = &ladder->levels[at];

	memmove(level + 1, level, (ladder->level_count - at) * sizeof(*level));
	memset(level, 0, sizeof(*level));
	level->price = price;
	ladder->level_count++;
	return level;
}

static void ladder_erase(struct book_ladder *ladder, struct book_level *level)
{
	size_t above = (size_t)(&ladder->levels[ladder->level_count] - (level + 1));

	memmove(level, level + 1, above * sizeof(*level));
	ladder->level_count--;
}

bool books_has_room(const struct books *books, uint32_t locate, enum book_side side,
	uint32_t price)
{
	struct book_ladder *ladder = &books->books[locate].ladder[side];

	return books->free_head != 0 &&
		(ladder->level_count < BOOK_LEVELS || ladder_find(ladder, side, price) != NULL);
}

/* ---- orders in and out ------------------------------------------------------ */

static void level_append(struct books *books, struct book_level *level, uint32_t index)
{
	struct book_order *order = &books->orders[index];

	order->next = 0;
	order->prev = level->tail;
	if (level->tail != 0)
		books->orders[level->tail].next = index;
	else
		level->head = index;
	level->tail = index;
	level->order_count++;
	level->shares += order->shares;
}

static void level_unlink(struct books *books, struct book_level *level, struct book_order *order)
{
	if (order->prev != 0)
		books->orders[order->prev].next = order->next;
	else
		level->head = order->next;
	if (order->next != 0)
		books->orders[order->next].prev = order->prev;
	else
		level->tail = order->prev;
	level->order_count--;
	level->shares -= order->shares;
}

/* Puts an order whose fields are set to the back of its price. */
static void enqueue(struct books *books, uint32_t index)
{
	struct book_order *order = &books->orders[index];
	struct book *book = &books->books[order->locate];
	struct book_ladder *ladder = &book->ladder[order->side];
	struct book_level *level = ladder_find(ladder, order->side, order->price);

	if (level == NULL)
		level = ladder_insert(ladder, order->side, order->price);
	level_append(books, level, index);
	books->table[table_seek(books, order->ref)] = index;
	books->order_count++;
	book->order_count++;
}

/* The order leaves book and hash; its slot stays with the caller. */
static uint32_t dequeue(struct books *books, struct book_order *order)
{
	struct book *book = &books->books[order->locate];
	struct book_ladder *ladder = &book->ladder[order->side];
	struct book_level *level = ladder_find(ladder, order->side, order->price);

	level_unlink(books, level, order);
	if (level->order_count == 0)
		ladder_erase(ladder, level);
	table_erase(books, order->ref);
	books->order_count--;
	book->order_count--;
	return (uint32_t)(order - books->orders);
}

static void slot_release(struct books *books, uint32_t index)
{
	books->orders[index].next = books->free_head;
	books->free_head = index;
}

int books_add(struct books *books, uint64_t ref, uint32_t locate, enum book_side side,
	uint32_t shares, uint32_t price)
{
	uint32_t index = books->free_head;

	if (ref == 0 || locate == 0 || locate > books->symbol_count || shares == 0 || price == 0)
		return -EINVAL;
	if (books_find(books, ref) != NULL)
		return -EEXIST;
	if (index == 0)
		return -ENOSPC;
	if (!books_has_room(books, locate, side, price))
		return -ENOBUFS;
	books->free_head = books->orders[index].next;
	books->orders[index] = (struct book_order){.ref = ref, .price = price, .shares = shares,
		.locate = (uint16_t)locate, .side = (uint8_t)side};
	enqueue(books, index);
	return 0;
}

int books_reduce(struct books *books, uint64_t ref, uint32_t shares)
{
	struct book_order *order = books_find(books, ref);
	struct book_ladder *ladder;

	if (order == NULL)
		return -ENOENT;
	if (shares > order->shares)
		return -ERANGE;
	if (shares == order->shares) {
		slot_release(books, dequeue(books, order));
		return 0;
	}
	ladder = &books->books[order->locate].ladder[order->side];
	ladder_find(ladder, order->side, order->price)->shares -= shares;
	order->shares -= shares;
	return 0;
}

int books_remove(struct books *books, uint64_t ref)
{
	struct book_order *order = books_find(books, ref);

	if (order == NULL)
		return -ENOENT;
	slot_release(books, dequeue(books, order));
	return 0;
}

/* The new price has a level, or there is room for one, or the old one goes. */
static bool replace_has_room(struct books *books, const struct book_order *order, uint32_t price)
{
	struct book_ladder *ladder = &books->books[order->locate].ladder[order->side];

	return ladder->level_count < BOOK_LEVELS || ladder_find(ladder, order->side, price) ||
		ladder_find(ladder, order->side, order->price)->order_count == 1;
}

int books_replace(struct books *books, uint64_t ref, uint64_t new_ref, uint32_t shares,
	uint32_t price)
{
	struct book_order *order = books_find(books, ref);
	uint32_t index;

	if (new_ref == 0 || shares == 0 || price == 0)
		return -EINVAL;
	if (order == NULL)
		return -ENOENT;
	if (books_find(books, new_ref) != NULL)
		return -EEXIST;
	if (!replace_has_room(books, order, price))
		return -ENOBUFS;
	index = dequeue(books, order);
	order->ref = new_ref;
	order->shares = shares;
	order->price = price;
	enqueue(books, index);
	return 0;
}

/* ---- ITCH ------------------------------------------------------------------- */

static int apply(struct books *books, const struct itch_message *message)
{
	switch (message->type) {
	case ITCH_ADD:
	case ITCH_ADD_ATTRIBUTED:
		return books_add(books, message->ref, message->locate,
			message->side == 'B' ? BOOK_BID : BOOK_ASK, message->shares, message->price);
	case ITCH_EXECUTED:
	case ITCH_EXECUTED_PRICE:
	case ITCH_CANCEL:
		return books_reduce(books, message->ref, message->shares);
	case ITCH_DELETE:
		return books_remove(books, message->ref);
	case ITCH_REPLACE:
		return books_replace(books, message->ref, message->new_ref, message->shares,
			message->price);
	case ITCH_DIRECTORY:
		if (message->locate == 0 || message->locate > books->symbol_count)
			return -EINVAL;
		memcpy(books->books[message->locate].stock, message->stock, 8);
		return 0;
	}
	return 0;
}

static void count_refusal(struct book_counts *counts, int err)
{
	switch (err) {
	case -EEXIST:
		counts->duplicate++;
		return;
	case -ENOENT:
		counts->unknown++;
		return;
	case -ERANGE:
		counts->over++;
		return;
	case -EINVAL:
		counts->invalid++;
		return;
	}
	counts->full++;
}

int books_apply(struct books *books, const struct itch_message *message)
{
	int err = apply(books, message);

	if (err)
		count_refusal(&books->counts, err);
	else
		books->counts.changes++;
	return err;
}

/* ---- comparison --------------------------------------------------------------- */

static uint64_t checksum_level(const struct books *books, const struct book_level *level,
	uint64_t sum)
{
	const struct book_order *order = books_first(books, level);

	for (; order != NULL; order = books_order(books, order->next)) {
		sum = rng_mix(sum ^ order->ref);
		sum = rng_mix(sum ^ ((uint64_t)order->price << 32 | order->shares));
	}
	return sum;
}

uint64_t books_checksum(const struct books *books)
{
	uint64_t sum = books->symbol_count;

	for (uint32_t locate = 1; locate <= books->symbol_count; locate++)
		for (int side = BOOK_BID; side <= BOOK_ASK; side++) {
			const struct book_level *level;

			sum = rng_mix(sum ^ ((uint64_t)locate << 1 | (unsigned)side));
			for (uint32_t n = 0; (level = books_level(books, locate, side, n)); n++)
				sum = checksum_level(books, level, sum);
		}
	return sum;
}
