/*
 * seeds.h - where the kept seeds of a target lie.
 */
#ifndef APUS_FUZZ_SEEDS_H
#define APUS_FUZZ_SEEDS_H

enum { SEEDS_MAX = 256, SEED_PATH_MAX = 512 };

struct seeds {
	char paths[SEEDS_MAX][SEED_PATH_MAX]; /* in order of their names */
	unsigned count;
};

/*
 * The files of a folder; NULL: that of the target, in the tree at $top_srcdir or at "..".  Ends
 * the program if there are none: a run without them proves little.
 */
void seeds_find(struct seeds *seeds, const char *folder);

#endif
