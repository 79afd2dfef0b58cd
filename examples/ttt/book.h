/*
 * book.h - limit order books by price and time, for all symbols at once.
 *
 * The exchange matches in them and the engine rebuilds them from ITCH, so that the
 * two can be compared by one checksum.
 *
 *   Units      prices in 1/10000 dollar; a symbol is its locate, 1 .. symbol_count.
 *   Errors     0 or -errno; a change that is refused changes nothing: -EINVAL (a field
 *              that cannot be), -EEXIST (that reference is in a book), -ENOENT (it is
 *              not), -ERANGE (more shares than the order has), -ENOSPC (no order slot),
 *              -ENOBUFS (no price level).
 *   Ownership  the books own their memory, all of it from init on; pointers to orders
 *              and levels are valid until the next change.
 *   Threads    one.
 *   Order      at a price, first come first served; a replaced order goes to the back.
 *   Cost       best: two loads.  add, reduce, remove: a hash probe, and a walk from the
 *              best price to the order's.  A level that appears or goes moves those
 *              between it and the best.  No malloc, bounded by BOOK_LEVELS.
 */
#ifndef TTT_BOOK_H
#define TTT_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct itch_message;

enum book_side { BOOK_BID, BOOK_ASK };

/* Price levels a side may hold. */
#define BOOK_LEVELS 128
#define BOOK_LOCATE_MAX 4096

/* Half a cache line.  Links are indices into books.orders, 0 is none. */
struct book_order {
	uint64_t ref;
	uint32_t next, prev; /* at its price; next alone when the slot is free */
	uint32_t price;
	uint32_t shares;     /* open */
	uint16_t locate;
	uint8_t side;
	uint32_t tag;        /* the owner's own; 0 after add, kept by replace */
};

struct book_level {
	uint32_t price;
	uint32_t order_count;
	uint64_t shares;
	uint32_t head, tail; /* the oldest and the newest order */
};

/* Sorted, the best price last: where most changes are, nothing has to move. */
struct book_ladder {
	uint32_t level_count;
	struct book_level levels[BOOK_LEVELS];
};

struct book {
	struct book_ladder ladder[2];
	uint32_t order_count;
	char stock[8];
};

struct book_counts {
	uint64_t changes;                                  /* applied */
	uint64_t invalid, duplicate, unknown, over, full;  /* refused, by kind */
};

struct books {
	struct book *books;         /* by locate; 0 is not used */
	struct book_order *orders;  /* by index; 0 is not used */
	uint32_t *table;            /* open addressing: index of an order, 0 is empty */
	uint32_t table_mask;
	uint32_t table_shift;
	uint32_t free_head;
	uint32_t order_count, order_limit;
	uint32_t symbol_count;
	struct book_counts counts;
};

/* Touches every page, so that none faults later.  order_limit: over all books. */
int books_init(struct books *books, uint32_t symbol_count, uint32_t order_limit);
void books_deinit(struct books *books);
/* Empty again, as after init; what was counted stays. */
void books_clear(struct books *books);

int books_add(struct books *books, uint64_t ref, uint32_t locate, enum book_side side,
	uint32_t shares, uint32_t price);
/* Takes shares off an order, which goes when none are left: execute and cancel. */
int books_reduce(struct books *books, uint64_t ref, uint32_t shares);
int books_remove(struct books *books, uint64_t ref);
/* The same side and symbol under a new reference, at the back of its new price. */
int books_replace(struct books *books, uint64_t ref, uint64_t new_ref, uint32_t shares,
	uint32_t price);

/*
 * Applies a decoded ITCH message; the order messages change a book, a directory entry
 * names it, the others are none of the books' business and answer 0.
 */
int books_apply(struct books *books, const struct itch_message *message);

struct book_order *books_find(const struct books *books, uint64_t ref);

/* Whether an order at that price would find a slot and a level. */
bool books_has_room(const struct books *books, uint32_t locate, enum book_side side,
	uint32_t price);

/* Equal for equal books: every order, by symbol, side, price and time. */
uint64_t books_checksum(const struct books *books);

/* Best price of a side, or NULL. */
static inline const struct book_level *books_best(const struct books *books, uint32_t locate,
	enum book_side side)
{
	const struct book_ladder *ladder = &books->books[locate].ladder[side];

	return ladder->level_count > 0 ? &ladder->levels[ladder->level_count - 1] : NULL;
}

/* The n-th best price, 0 being the best, or NULL. */
static inline const struct book_level *books_level(const struct books *books, uint32_t locate,
	enum book_side side, uint32_t n)
{
	const struct book_ladder *ladder = &books->books[locate].ladder[side];

	return n < ladder->level_count ? &ladder->levels[ladder->level_count - 1 - n] : NULL;
}

static inline struct book_order *books_order(const struct books *books, uint32_t index)
{
	return index != 0 ? &books->orders[index] : NULL;
}

/* The order that an execution at this price meets first. */
static inline struct book_order *books_first(const struct books *books,
	const struct book_level *level)
{
	return books_order(books, level->head);
}

#endif
