#include <string.h>

#include "loop/loop.h"

enum { CHECK_EVERY = 16 }; /* polls between two looks at the clock */

/* The first poll of a turn that somebody watches: what was kept is of another turn. */
static void watch_begin(struct loop_watch *watch, uint64_t turn)
{
	watch->turn = turn;
	watch->recent_count = 0;
	memset(&watch->worst, 0, sizeof watch->worst);
}

/* With detail a poll is timed from the end of the one before: one reading each. */
static void poll_begins(struct apus_loop *loop)
{
	if (loop->config.stall_detail)
		loop->watch.poll_began_ns = apus_clock_read(&loop->clock);
}

static void stall_tell(struct apus_loop *loop, uint64_t turn, int64_t duration_ns)
{
	struct loop_watch *watch = &loop->watch;
	struct apus_stall stall;

	loop->counts.stalls++;
	if (loop->config.stall_fn == NULL)
		return;
	if (watch->turn != turn)
		watch_begin(watch, turn);
	stall = watch->worst;
	stall.turn = turn;
	stall.duration_ns = duration_ns;
	stall.kind_count = watch->recent_count;
	memcpy(stall.kinds, watch->recent, watch->recent_count * sizeof watch->recent[0]);
	loop->config.stall_fn(loop->config.stall_arg, &stall);
	poll_begins(loop); /* what the hook took is no poll's */
}

/* Asked every few polls: is the quota spent?  A stall is told as soon as it shows. */
static bool watch_is_over(void *arg)
{
	struct apus_loop *loop = (struct apus_loop *)arg;
	int64_t now_ns = apus_clock_read(&loop->clock);
	int64_t quota_ns = loop->config.task_quota_ns;

	if (now_ns - loop->cx.now_ns > loop->config.stall_ns && !loop->watch.stall_told) {
		stall_tell(loop, loop->cx.turn, now_ns - loop->cx.now_ns);
		loop->watch.stall_told = true;
	}
	loop->watch.recent_count = 0;
	if (quota_ns == 0 || now_ns - loop->watch.phase_ns < quota_ns)
		return false;
	loop->counts.quota_turns++;
	return true;
}

static void watch_before(void *arg, struct apus_task *task)
{
	struct apus_loop *loop = (struct apus_loop *)arg;
	struct loop_watch *watch = &loop->watch;

	if (watch->turn != loop->cx.turn) {
		watch_begin(watch, loop->cx.turn);
		poll_begins(loop);
	}
	/* Without a hook nobody looks at them, and nothing makes the count start over. */
	if (watch->recent_count < RECENT_KINDS)
		watch->recent[watch->recent_count++] = task->kind;
	watch->poll_serial = task->serial;
}

static void worst_of_kind(struct loop_watch *watch, const struct apus_kind *kind, int64_t poll_ns)
{
	uint32_t start = (uint32_t)((uintptr_t)kind / sizeof *kind % WORST_KINDS), i;

	for (i = 0; i < WORST_KINDS; i++) {
		uint32_t at = (start + i) % WORST_KINDS;

		if (watch->kinds[at].kind == NULL)
			watch->kinds[at].kind = kind;
		if (watch->kinds[at].kind != kind)
			continue;
		if (poll_ns > watch->kinds[at].poll_ns)
			watch->kinds[at].poll_ns = poll_ns;
		return;
	}
}

static void watch_after(void *arg, const struct apus_kind *kind)
{
	struct apus_loop *loop = (struct apus_loop *)arg;
	struct loop_watch *watch = &loop->watch;
	int64_t now_ns = apus_clock_read(&loop->clock);
	int64_t poll_ns = now_ns - watch->poll_began_ns;

	watch->poll_began_ns = now_ns;
	worst_of_kind(watch, kind, poll_ns);
	if (poll_ns > watch->worst.poll_ns) {
		watch->worst.poll_ns = poll_ns;
		watch->worst.task_name = kind->name;
		watch->worst.task_serial = watch->poll_serial;
	}
}

void apusi_watch_init(struct apus_loop *loop)
{
	const struct apus_config *config = &loop->config;
	bool checks = config->task_quota_ns != 0 || config->stall_fn != NULL;

	loop->watch.task.arg = loop;
	loop->watch.task.is_over = watch_is_over;
	loop->watch.task.before = config->stall_fn || config->stall_detail ? watch_before : NULL;
	loop->watch.task.after = config->stall_detail ? watch_after : NULL;
	loop->watch.task.spurious = config->spurious_seed;
	loop->watch.task.is_watched = checks || config->stall_detail || config->spurious_seed;
	loop->task_limits.budget = config->task_budget;
	loop->task_limits.lane_ratio = config->lane_ratio;
	loop->task_limits.check_every = checks ? CHECK_EVERY : UINT32_MAX;
}

/* At the start of a turn, about the one before, if that was longer than notable_ns. */
void apusi_watch_turn(struct apus_loop *loop, int64_t duration_ns)
{
	struct loop_watch *watch = &loop->watch;

	if (duration_ns > loop->counts.turn_ns_longest)
		loop->counts.turn_ns_longest = duration_ns;
	if (duration_ns > loop->config.stall_ns && !watch->stall_told)
		stall_tell(loop, loop->cx.turn - 1, duration_ns);
	watch->stall_told = false;
	watch->notable_ns = loop->counts.turn_ns_longest < loop->config.stall_ns ?
		loop->counts.turn_ns_longest : loop->config.stall_ns;
}

void apus_worst_polls(struct apus_loop *loop,
	void (*see)(void *arg, const char *name, int64_t poll_ns), void *arg)
{
	uint32_t i;

	for (i = 0; i < WORST_KINDS; i++)
		if (loop->watch.kinds[i].kind != NULL)
			see(arg, loop->watch.kinds[i].kind->name, loop->watch.kinds[i].poll_ns);
}
