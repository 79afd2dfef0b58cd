/*
 * The turn.  Read this file first: it is the design.
 */
#include "loop/loop.h"

/* A counter that stopped never gets due by itself: a busy loop looks this often too. */
enum { CALIBRATE_TURNS = 1 << 20 };

/* Read once; everything in the turn agrees on it. */
static inline void phase_clock(struct apus_loop *loop)
{
	int64_t now_ns = apus_clock_read(&loop->clock);
	int64_t last_ns = now_ns - loop->cx.now_ns;

	loop->cx.now_ns = now_ns;
	loop->cx.turn++;
	if (apus_unlikely(last_ns > loop->watch.notable_ns))
		apusi_watch_turn(loop, last_ns);
	if (apus_unlikely(apus_clock_is_due(&loop->clock, now_ns) ||
			  (loop->cx.turn & (CALIBRATE_TURNS - 1)) == 0))
		apusi_clock_keep(loop);
}

static uint64_t sources_poll(struct apus_loop *loop)
{
	uint64_t work = 0;

	for (loop->source_next = loop->sources; loop->source_next != NULL;) {
		struct apus_source *source = loop->source_next;

		loop->source_next = source->next;
		work += source->poll(&loop->cx, source);
	}
	return work;
}

/* User poll functions every turn, and channels and hot sockets that somebody awaits. */
static inline uint64_t phase_sources(struct apus_loop *loop)
{
	uint64_t work = 0;

	if (apus_unlikely(loop->sources != NULL))
		work = sources_poll(loop);
	apusi_pollers_sweep(&loop->cx);
	apusi_io_sweep_hot(loop->cx.io);
	return work;
}

static bool io_is_due(const struct apus_loop *loop)
{
	int64_t interval_ns = loop->config.io_interval_ns;
	uint32_t interval_turns = loop->config.io_interval_turns;

	if ((interval_ns | (int64_t)interval_turns) == 0)
		return true;
	return (interval_ns != 0 && loop->cx.now_ns - loop->io_ns >= interval_ns) ||
	       (interval_turns != 0 && loop->cx.turn - loop->io_turn >= interval_turns);
}

/* Reaps the kernel when an interval has passed; never while no descriptor is open. */
static inline uint64_t phase_io(struct apus_loop *loop)
{
	uint32_t work;

	if (apusi_io_is_idle(loop->cx.io) || !io_is_due(loop))
		return 0;
	loop->io_ns = loop->cx.now_ns;
	loop->io_turn = loop->cx.turn;
	work = apusi_io_reap(loop->cx.io, 0, loop->config.io_budget);
	loop->counts.full_io_budgets += work >= loop->config.io_budget;
	return work;
}

/* Other threads and signals: one load when there is nothing. */
static inline uint64_t phase_inbox(struct apus_loop *loop)
{
	uint32_t budget = loop->config.inbox_budget, work;

	if (apus_likely(apusi_inbox_is_empty(&loop->cx.port->inbox)))
		return 0;
	work = apusi_port_drain(&loop->cx, budget);
	loop->counts.full_inbox_budgets += work >= budget;
	return work;
}

/* Due deadlines: one compare when none is due. */
static inline uint64_t phase_timers(struct apus_loop *loop)
{
	uint32_t budget = loop->config.timer_budget;
	uint32_t work = apus_wheel_advance(&loop->wheel, &loop->cx, loop->cx.now_ns, budget);

	if (apus_unlikely(work != 0))
		loop->counts.full_timer_budgets += work >= budget;
	return work;
}

/* Walks of cancelled tokens and cleanups of aborted tasks: half each, if both want it all. */
static inline uint64_t phase_cancel(struct apus_loop *loop)
{
	uint32_t budget = loop->config.cancel_budget, share, work;

	if (apus_likely(loop->cancel.walk_head == NULL && loop->cx.aborted_head == NULL))
		return 0;
	share = loop->cx.aborted_head != NULL ? budget - budget / 2 : budget;
	work = apusi_cancel_walk(&loop->cancel, share);
	work += apusi_tasks_cleanup(&loop->cx, work < budget ? budget - work : 1, loop->cx.turn);
	loop->counts.full_cancel_budgets += work >= budget;
	return work;
}

/* Urgent, then normal; first in, first out, within the budget and the quota. */
static inline uint64_t phase_tasks(struct apus_loop *loop)
{
	uint64_t polls = loop->cx.counts.polls;
	uint64_t work;

	if (!apusi_tasks_begin_turn(&loop->cx))
		return 0;
	if (loop->config.task_quota_ns != 0)
		loop->watch.phase_ns = apus_clock_read(&loop->clock);
	work = apusi_tasks_run(&loop->cx, &loop->task_limits, &loop->watch.task);
	loop->counts.full_task_budgets +=
		loop->cx.counts.polls - polls >= loop->task_limits.budget;
	return work;
}

/*
 * One turn.  The order is the design: what an early phase wakes, a later phase runs,
 * in the same turn.  Each phase has a budget, so a turn has a ceiling.
 */
uint64_t apus_turn(struct apus_loop *loop)
{
	uint64_t work;

	if (apus_unlikely(loop->state != LOOP_BETWEEN))
		apusi_turn_after(loop);
	if (apus_unlikely(loop->cx.port->inbox.tail == NULL))
		apus_panic(__FILE__, __LINE__, "a loop of the parent's: after fork, open another");
	APUS_DEBUG_ASSERT(apus_loop_is_mine(loop));
	loop->state = LOOP_IN_TURN;
	phase_clock(loop);
	work = phase_sources(loop);
	work += phase_io(loop);
	work += phase_inbox(loop);
	work += phase_timers(loop);
	work += phase_cancel(loop);
	work += phase_tasks(loop);
	apusi_io_submit(loop->cx.io);
	loop->state = LOOP_BETWEEN;
	if (work == 0)
		apusi_idle(loop);
	else
		loop->idle_streak = 0;
	return work;
}
