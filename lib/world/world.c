#include <string.h>

#include "apus/world.h"

/* Ids given so far, in this process: a name has the same id in every world. */
static uint32_t id_count;

/*
 * Two threads may put the same name first: one id wins, the other is never used.
 * Relaxed: an id publishes nothing, it only numbers.
 */
static uint32_t id_give(struct apus_resource *resource)
{
	uint32_t count = apus_load_relaxed(&id_count);
	uint32_t id = apus_load_relaxed(&resource->id);

	if (id != 0)
		return id;
	do {
		if (count == APUS_RESOURCE_MAX)
			return apus_load_relaxed(&resource->id);
	} while (!apus_swap_relaxed(&id_count, &count, count + 1));
	return apus_swap_relaxed(&resource->id, &id, count + 1) ? count + 1 : id;
}

void apus_world_init(struct apus_world *world)
{
	memset(world, 0, sizeof *world);
}

int apus_world_put(struct apus_world *world, struct apus_resource *resource, void *object,
	apus_destroy_fn *destroy, apus_destructor_fn *destructor)
{
	struct apus_world_entry *entry = &world->entries[world->entry_count];
	uint32_t id;

	if (object == NULL)
		return -EINVAL;
	if (world->closing)
		return -ESHUTDOWN;
	id = id_give(resource);
	if (id == 0)
		return -ENOSPC;
	if (world->objects[id] != NULL)
		return -EEXIST;
	world->objects[id] = object;
	entry->id = id;
	entry->destroy = destroy;
	entry->destructor = destructor;
	world->entry_count++;
	return 0;
}

void *apus_world_take(struct apus_world *world, const struct apus_resource *resource)
{
	uint32_t id = apus_load_relaxed(&resource->id);
	void *object = world->objects[id];
	struct apus_world_entry *entry = world->entries;

	if (object == NULL)
		return NULL;
	while (entry->id != id)
		entry++;
	world->objects[id] = NULL;
	world->entry_count--;
	memmove(entry, entry + 1,
		(size_t)(world->entries + world->entry_count - entry) * sizeof *entry);
	return object;
}

void apus_world_deinit(struct apus_world *world)
{
	struct apus_world_entry *entry;
	void *object;

	world->closing = 1;
	while (world->entry_count > 0) {
		entry = &world->entries[--world->entry_count];
		object = world->objects[entry->id];
		world->objects[entry->id] = NULL;
		if (entry->destroy != NULL)
			entry->destroy(entry->destructor, object);
	}
	world->closing = 0;
}

void apus_world_missing(const struct apus_resource *resource, const char *file, int line)
{
	apus_panic(file, line, "no resource \"%s\" in the world", resource->name);
}
