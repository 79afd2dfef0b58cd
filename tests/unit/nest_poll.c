/* The protocol as apus/loop.h shows it, over poll(2), which counts milliseconds: rounded up. */
#include <poll.h>

#include "nest.h"

static int milliseconds(int64_t wait_ns)
{
	if (wait_ns > 3600 * APUS_SEC)
		return 3600 * 1000;
	return (int)((wait_ns + APUS_MSEC - 1) / APUS_MSEC);
}

static uint64_t run(struct apus_loop *loop, bool (*is_done)(void *arg), void *arg)
{
	struct pollfd ours = { .fd = apus_loop_fd(loop), .events = POLLIN };
	uint64_t waits = 0;
	int64_t wait_ns;

	/* Asked before each wait: a turn that did not wait may have been the last. */
	while (!is_done(arg)) {
		wait_ns = apus_loop_prepare(loop);
		if (wait_ns < 0)
			return 0;
		if (wait_ns > 0) {
			poll(&ours, 1, milliseconds(wait_ns));
			waits++;
		}
		apus_turn(loop);
	}
	return waits;
}

const struct nest_host nest_poll = { "poll", run };
