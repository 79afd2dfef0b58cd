#include "loop/loop.h"

static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool sources_may_park(const struct apus_loop *loop)
{
	struct apus_source *source;

	for (source = loop->sources; source != NULL; source = source->next)
		if (source->may_park != NULL ? !source->may_park(source) : source->lent == 0)
			return false;
	return true;
}

/* What sources have lent ends the park from here on.  False: it could not be armed. */
static bool sources_arm(struct apus_loop *loop)
{
	struct apus_source *source;

	for (source = loop->sources; source != NULL; source = source->next)
		if (source->lent != 0 && apusi_io_lend_arm(loop->cx.io, source->lent) != 0)
			return false;
	return true;
}

/* Ready for a later phase of the next turn: yielders, budget left over, cleanups. */
static bool work_is_left(const struct apus_loop *loop)
{
	const struct apus_cx *cx = &loop->cx;

	return apusi_tasks_ready_count(cx) != 0 || cx->aborted_head != NULL || loop->cancel.walk_head != NULL;
}

static int64_t next_deadline_ns(struct apus_loop *loop)
{
	int64_t next_ns = apus_wheel_next_ns(&loop->wheel);
	int64_t event_ns = apusi_io_next_ns(loop->cx.io);

	if (event_ns < next_ns)
		next_ns = event_ns;
	if (loop->drain_ns < next_ns)
		next_ns = loop->drain_ns;
	if (loop->stop_ns != APUS_NEVER) {
		int64_t grace_ns = apus_ns_add(loop->stop_ns, loop->config.stop_grace_ns);

		/* Once the grace is over there is nothing of it to wake for. */
		if (grace_ns > loop->cx.now_ns && grace_ns < next_ns)
			next_ns = grace_ns;
	}
	return next_ns;
}

int64_t apusi_wait_ns(struct apus_loop *loop)
{
	int64_t deadline_ns;

	if (work_is_left(loop) || !sources_may_park(loop) || !sources_arm(loop))
		return 0;
	deadline_ns = next_deadline_ns(loop);
	if (deadline_ns == APUS_NEVER)
		return APUS_NEVER;
	deadline_ns -= apus_clock_read(&loop->clock);
	return deadline_ns > 0 ? deadline_ns : 0;
}

int64_t apus_loop_next_ns(struct apus_loop *loop)
{
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	return work_is_left(loop) ? loop->cx.now_ns : next_deadline_ns(loop);
}

/*
 * Before the thread sleeps, and after.  The handshake:
 *
 *	the loop                                    who wakes it
 *	[B] parked = 1, a full exchange             [A] pushes to the inbox, a full exchange
 *	    looks at the inbox                          looks at parked, rings
 *	[H] arms the bells of what tasks await,     [G] publishes, looks at the bell, clears
 *	    each with a full exchange                   it with a full exchange
 *	    looks at each channel                       looks at parked, rings
 *
 * One of the two sees the other.  Bells are armed after parked is set, so that who finds one
 * armed finds the loop parked, or awake again.  [A] is in lib/wait/inbox.h, [G] and [H] in
 * lib/channels/ends.c.
 */
bool apusi_wait_begin(struct apus_loop *loop)
{
	apus_exchange_full(&loop->cx.port->parked, 1); /* [B] */
	return apusi_inbox_is_empty(&loop->cx.port->inbox) && apusi_pollers_arm(&loop->cx);
}

void apusi_wait_end(struct apus_loop *loop)
{
	apus_exchange_full(&loop->cx.port->parked, 0);
	apusi_pollers_disarm(&loop->cx);
}

uint32_t apusi_park(struct apus_loop *loop, int64_t timeout_ns)
{
	uint32_t work = 0;

	if (apusi_wait_begin(loop))
		work = apusi_io_reap(loop->cx.io, timeout_ns, loop->config.io_budget);
	apusi_wait_end(loop);
	return work;
}

/* Parks until the next deadline, an event or a wake. */
static void idle_park(struct apus_loop *loop)
{
	int64_t timeout_ns = apusi_wait_ns(loop);
	uint32_t work;

	if (timeout_ns == 0)
		return;
	work = apusi_park(loop, timeout_ns);
	loop->counts.parks++;
	loop->cx.now_ns = apus_clock_read(&loop->clock); /* the time in the kernel is no turn's */
	loop->idle_streak = work ? 0 : loop->idle_streak;
}

/* A virtual clock does not tick by itself: an idle loop jumps to the next deadline. */
static void idle_virtual(struct apus_loop *loop)
{
	int64_t deadline_ns = next_deadline_ns(loop);

	if (work_is_left(loop) || deadline_ns == APUS_NEVER || deadline_ns <= loop->cx.now_ns ||
	    !apusi_inbox_is_empty(&loop->cx.port->inbox))
		return;
	apus_clock_set(&loop->clock, deadline_ns);
	loop->cx.now_ns = deadline_ns;
}

static void idle_backoff(struct apus_loop *loop)
{
	uint32_t turns = loop->config.backoff_turns;

	if (loop->idle_streak < turns)
		return;
	if (loop->idle_streak - turns < turns)
		cpu_pause();
	else
		idle_park(loop);
}

void apusi_idle(struct apus_loop *loop)
{
	loop->counts.idle_turns++;
	if (loop->idle_streak != UINT32_MAX)
		loop->idle_streak++;
	if (apus_unlikely(loop->config.clock == APUS_CLOCK_VIRTUAL)) {
		idle_virtual(loop);
		return;
	}
	switch (loop->idle) {
	case APUS_IDLE_BUSY:
		break;
	case APUS_IDLE_PAUSE:
		cpu_pause();
		break;
	case APUS_IDLE_BACKOFF:
		idle_backoff(loop);
		break;
	case APUS_IDLE_PARK:
		idle_park(loop);
		break;
	}
}

/* Another thread may come any time: it has a waker of a task that lives, or a remote. */
static bool others_may_come(const struct apus_loop *loop)
{
	return loop->cx.wakers_out != 0 || loop->has_remote || loop->cx.pollers != NULL ||
	       loop->signal_waiters.head != NULL;
}

bool apusi_is_stuck(struct apus_loop *loop)
{
	return loop->config.clock == APUS_CLOCK_VIRTUAL && loop->sources == NULL &&
	       !work_is_left(loop) && next_deadline_ns(loop) == APUS_NEVER &&
	       !others_may_come(loop) && apusi_inbox_is_empty(&loop->cx.port->inbox);
}
