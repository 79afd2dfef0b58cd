/*
 * brief.c - what libFuzzer does when nothing is asked of it: a short run from the kept seeds,
 * the same each time, that writes nothing but an input that fails.
 */
#include "fuzz.h"
#include "seeds.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char inputs[SEEDS_MAX * SEED_PATH_MAX] = "-seed_inputs=", runs[32], bytes[32];
	static char seed[] = "-seed=1", timeout[] = "-timeout=60", sums[] = "-print_final_stats=1";
	static char *brief[8];
	static struct seeds seeds;
	unsigned i;

	if (*argc != 1)
		return 0;
	seeds_find(&seeds, NULL);
	for (i = 0; i < seeds.count; i++) {
		if (i > 0)
			strcat(inputs, ",");
		strcat(inputs, seeds.paths[i]);
	}
	snprintf(runs, sizeof runs, "-runs=%d", FUZZ_RUNS);
	snprintf(bytes, sizeof bytes, "-max_len=%d", FUZZ_BYTES_MAX);
	brief[0] = (*argv)[0];
	brief[1] = runs;
	brief[2] = bytes;
	brief[3] = seed;
	brief[4] = timeout;
	brief[5] = sums;
	brief[6] = inputs;
	*argc = 7;
	*argv = brief;
	return 0;
}
