/*
 * counts.h - what the exchange and the engine both count about orders, each from its
 * own end of the wire, so that the two can be compared when all is over.
 */
#ifndef TTT_COUNTS_H
#define TTT_COUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Every field is a count since the start; shares are counted, not orders, where it says so. */
struct order_counts {
	uint64_t entered, replaces, cancels;                       /* requests */
	uint64_t accepted, rejected, replaced, canceled, executed; /* answers */
	uint64_t shares_bought, shares_sold;
};

static inline bool order_counts_equal(const struct order_counts *a, const struct order_counts *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

#endif
