/* A second translation unit: it defines a resource and looks at those of the first. */
#include "world_names.h"

APUS_RESOURCE_DEFINE(other_book)

int other_put(struct apus_world *world, struct book *book)
{
	return apus_put(world, other_book, book);
}

struct book *other_get(const struct apus_world *world)
{
	return apus_get(world, other_book);
}

struct book *other_find_book(const struct apus_world *world)
{
	return apus_find(world, book);
}
