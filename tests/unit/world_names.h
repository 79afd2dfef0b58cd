/* The resources of test_world.c, some of which another file defines. */
#ifndef WORLD_NAMES_H
#define WORLD_NAMES_H

#include "apus/world.h"

struct book {
	int orders;
};

typedef int64_t count_array[4];

APUS_RESOURCE(book, struct book)
APUS_RESOURCE(other_book, struct book)
APUS_RESOURCE(counts, count_array)
APUS_RESOURCE(rate, const double)
APUS_RESOURCE(nobody_put_this, int)

/* In world_other.c. */
int other_put(struct apus_world *world, struct book *book);
struct book *other_get(const struct apus_world *world);
struct book *other_find_book(const struct apus_world *world);

#endif
