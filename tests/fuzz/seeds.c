#include <dirent.h>

#include "fuzz.h"
#include "seeds.h"

static int compare(const void *a, const void *b)
{
	return strcmp((const char *)a, (const char *)b);
}

static void folder_name(char *out, size_t room)
{
	const char *top = getenv("top_srcdir");

	snprintf(out, room, "%s/tests/fuzz/seeds/%s", top != NULL ? top : "..", fuzz_name);
}

void seeds_find(struct seeds *seeds, const char *folder)
{
	char own[SEED_PATH_MAX / 2];
	struct dirent *entry;
	DIR *dir;

	if (folder == NULL) {
		folder_name(own, sizeof own);
		folder = own;
	}
	seeds->count = 0;
	dir = opendir(folder);
	while (dir != NULL && (entry = readdir(dir)) != NULL && seeds->count < SEEDS_MAX)
		if (entry->d_name[0] != '.')
			snprintf(seeds->paths[seeds->count++], SEED_PATH_MAX, "%.255s/%.255s", folder,
				entry->d_name);
	if (seeds->count == 0) {
		fprintf(stderr, "no seeds in %s\n", folder);
		exit(1);
	}
	closedir(dir);
	qsort(seeds->paths, seeds->count, sizeof seeds->paths[0], compare);
}
