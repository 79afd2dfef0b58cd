#include <stdlib.h>
#include <string.h>

#include "store.h"

/* FNV-1a (Fowler, Noll and Vo, 1991): short keys, and nobody here is hostile. */
static uint32_t hash(const char *key, size_t bytes)
{
	uint32_t value = UINT32_C(2166136261);
	size_t i;

	for (i = 0; i < bytes; i++)
		value = (value ^ (unsigned char)key[i]) * UINT32_C(16777619);
	return value;
}

static struct store_entry **bucket_of(const struct store *store, const char *key, size_t bytes)
{
	return &store->buckets[hash(key, bytes) & (store->bucket_count - 1)];
}

int store_init(struct store *store, uint32_t key_count)
{
	const struct apus_slab_config config = {
		.slot_bytes = sizeof(struct store_entry),
		.slot_count = key_count,
	};
	int err = apus_slab_init(&store->entries, &config);

	if (err)
		return err;
	for (store->bucket_count = 1; store->bucket_count < key_count;)
		store->bucket_count *= 2;
	store->buckets = (struct store_entry **)calloc(store->bucket_count,
		sizeof *store->buckets);
	if (store->buckets != NULL)
		return 0;
	apus_slab_deinit(&store->entries);
	return -ENOMEM;
}

void store_deinit(struct store *store)
{
	free(store->buckets);
	apus_slab_deinit(&store->entries);
}

/* The link that points to the key's entry, or the one at the end of its bucket. */
static struct store_entry **link_find(const struct store *store, const char *key, size_t bytes)
{
	struct store_entry **link;

	for (link = bucket_of(store, key, bytes); *link != NULL; link = &(*link)->next)
		if ((*link)->key_bytes == bytes && memcmp((*link)->key, key, bytes) == 0)
			break;
	return link;
}

struct store_entry *store_find(const struct store *store, const char *key, size_t bytes)
{
	return *link_find(store, key, bytes);
}

int store_set(struct store *store, const char *key, size_t key_bytes, const char *value,
	size_t value_bytes)
{
	struct store_entry **link, *entry;

	if (key_bytes > STORE_KEY_MAX || value_bytes > STORE_VALUE_MAX)
		return -EMSGSIZE;
	link = link_find(store, key, key_bytes);
	entry = *link;
	if (entry == NULL) {
		entry = (struct store_entry *)apus_slab_claim(&store->entries);
		if (entry == NULL)
			return -ENOSPC;
		entry->next = NULL;
		entry->key_bytes = (uint32_t)key_bytes;
		memcpy(entry->key, key, key_bytes);
		*link = entry;
	}
	entry->value_bytes = (uint32_t)value_bytes;
	memcpy(entry->value, value, value_bytes);
	return 0;
}

bool store_remove(struct store *store, const char *key, size_t bytes)
{
	struct store_entry **link = link_find(store, key, bytes), *entry = *link;

	if (entry == NULL)
		return false;
	*link = entry->next;
	apus_slab_release(&store->entries, entry);
	return true;
}

void store_clear(struct store *store)
{
	uint32_t i;

	for (i = 0; i < store->bucket_count; i++)
		while (store->buckets[i] != NULL)
			store_remove(store, store->buckets[i]->key, store->buckets[i]->key_bytes);
}
