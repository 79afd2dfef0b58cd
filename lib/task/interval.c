#include "apus/task.h"

int apus_interval_init(struct apus_interval *interval, int64_t first_ns, int64_t period_ns,
	enum apus_missed missed)
{
	if (period_ns <= 0 || missed > APUS_MISSED_SKIP)
		return -EINVAL;
	memset(interval, 0, sizeof *interval);
	interval->next_ns = first_ns;
	interval->period_ns = period_ns;
	interval->missed = missed;
	return 0;
}

/* Whole periods between the deadline and now. */
static int64_t periods_late(const struct apus_interval *interval, int64_t now_ns)
{
	uint64_t late_ns = (uint64_t)now_ns - (uint64_t)interval->next_ns;

	return (int64_t)(late_ns / (uint64_t)interval->period_ns);
}

apus_poll apus_tick(struct apus_cx *cx, struct apus_interval *interval)
{
	int64_t late;

	if (apus_sleep_until(cx, interval->next_ns) == APUS_PENDING)
		return APUS_PENDING;
	late = periods_late(interval, cx->now_ns);
	interval->due_ns = interval->next_ns;
	interval->ticks++;
	/* Less than a period late is on time: no missed tick, and no drift. */
	if (interval->missed == APUS_MISSED_BURST || late == 0) {
		interval->overruns += late > 0;
		interval->next_ns = apus_ns_add(interval->next_ns, interval->period_ns);
		return late;
	}
	interval->overruns += (uint64_t)late;
	if (interval->missed == APUS_MISSED_SKIP) {
		interval->due_ns += late * interval->period_ns;
		interval->next_ns = apus_ns_add(interval->due_ns, interval->period_ns);
	} else {
		interval->next_ns = apus_ns_add(cx->now_ns, interval->period_ns);
	}
	return late;
}
