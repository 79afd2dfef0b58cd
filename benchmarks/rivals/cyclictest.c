/*
 * cyclictest of rt-tests beside our periodic tasks: a thread that sleeps until its deadline, by
 * the real-time scheduler, with its memory locked and the processor kept out of idle states,
 * which is how it is meant to be run.  On the bench's processor, each repetition in turn.
 *
 * Left out: busy waiting, which is what ours has over it, and pays for with a processor.
 */
#include "../bench_jitter.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its deadlines of one repetition, of which a tenth warms up. */
static void read_latencies(struct bench *b, FILE *from, long warm)
{
	char line[256];
	long count;
	double ns;

	while (fgets(line, sizeof line, from) != NULL)
		if (sscanf(line, " %*d: %ld: %lf", &count, &ns) == 2 && count >= warm &&
		    b->sample_count < b->sample_max)
			bench_constant(b, ns);
}

static void cyclictest(struct bench *b)
{
	int64_t period_us = 1000000 / b->arg;
	long warm, loops = (long)((b->quick ? JITTER_BUDGET_NS / 10 : JITTER_BUDGET_NS) / 1000 /
		period_us);
	char command[256];
	FILE *from;
	int status;

	if (b->sample_exact != 0) {
		bench_skip(b, "it is another program");
		return;
	}
	warm = loops / 10;
	snprintf(command, sizeof command, "cyclictest -m -p 99 -t 1 -a %d -i %lld -l %ld -N -v "
		"2>/dev/null", b->cpu, (long long)period_us, loops + warm);
	from = popen(command, "r");
	if (from == NULL) {
		bench_skip(b, "no other program can be run");
		return;
	}
	read_latencies(b, from, warm);
	status = pclose(from);
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
		bench_skip(b, "cyclictest (rt-tests) is not installed");
	else if (status != 0 || b->sample_count == 0)
		bench_skip(b, "cyclictest may not run as -m -p 99 here");
}
BENCH_ENTRANT(jitter_1k_cyclictest, .row = "jitter/1khz", .who = "cyclictest", .run = cyclictest,
	.arg = 1000);
BENCH_ENTRANT(jitter_10k_cyclictest, .row = "jitter/10khz", .who = "cyclictest",
	.run = cyclictest, .arg = 10000);
BENCH_ENTRANT(jitter_20k_cyclictest, .row = "jitter/20khz", .who = "cyclictest",
	.run = cyclictest, .arg = 20000);
