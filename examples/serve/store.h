/*
 * store.h - keys and values in a table of fixed size: nothing is allocated once it is open.
 */
#ifndef SERVE_STORE_H
#define SERVE_STORE_H

#include <apus.h>

enum { STORE_KEY_MAX = 64, STORE_VALUE_MAX = 1024 };

struct store_entry {
	struct store_entry *next; /* of its bucket */
	uint32_t key_bytes, value_bytes;
	char key[STORE_KEY_MAX], value[STORE_VALUE_MAX];
};

struct store {
	struct apus_slab entries;
	struct store_entry **buckets;
	uint32_t bucket_count; /* a power of two */
};

int store_init(struct store *store, uint32_t key_count);
void store_deinit(struct store *store);

struct store_entry *store_find(const struct store *store, const char *key, size_t bytes);

/* 0, -ENOSPC: every place is taken, -EMSGSIZE: the key or the value is too long. */
int store_set(struct store *store, const char *key, size_t key_bytes, const char *value,
	size_t value_bytes);

void store_clear(struct store *store);

bool store_remove(struct store *store, const char *key, size_t bytes);

#endif
