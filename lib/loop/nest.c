/*
 * A loop in somebody else's: what idle_park does in one go is done here in two halves, with
 * the host's wait between them.
 */
#include "loop/loop.h"

int64_t apus_loop_prepare(struct apus_loop *loop)
{
	int err = apus_run_check(loop);
	int64_t wait_ns;

	if (err)
		return err;
	if (loop->config.clock == APUS_CLOCK_VIRTUAL)
		return -EINVAL;
	apusi_unprepare(loop);
	loop->cx.may_park = true; /* who is awaited has to ring from now on */
	wait_ns = apusi_wait_ns(loop);
	if (wait_ns == 0 || !apusi_io_prepare(loop->cx.io))
		return 0;
	loop->state = LOOP_PREPARED;
	if (apusi_wait_begin(loop))
		return wait_ns;
	apusi_unprepare(loop);
	return 0;
}

int apus_loop_fd(struct apus_loop *loop)
{
	return apus_loop_is_mine(loop) ? apusi_io_fd(loop->cx.io) : -EPERM;
}

void apusi_unprepare(struct apus_loop *loop)
{
	if (loop->state != LOOP_PREPARED)
		return;
	loop->state = LOOP_BETWEEN;
	apusi_wait_end(loop);
}

/*
 * The io phase of this turn may not be due, or have no descriptor to ask for, and a port that
 * was rung would stay readable: so what the host waited for is taken here.
 */
void apusi_turn_after(struct apus_loop *loop)
{
	bool in_turn = loop->state == LOOP_IN_TURN;

	APUS_ASSERT(!in_turn);
	apusi_unprepare(loop);
	apusi_io_reap(loop->cx.io, 0, loop->config.io_budget);
}
