/*
 * hello of libev: two lines, and a timer between them.
 */
#include <ev.h>
#include <inttypes.h>
#include <stdio.h>

static ev_tstamp began;

static void later(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	printf("hello again, %" PRId64 " us later\n", (int64_t)((ev_now(loop) - began) * 1e6));
}

int main(void)
{
	struct ev_loop *loop = ev_default_loop(0);
	ev_timer timer;

	if (loop == NULL)
		return 1;
	puts("hello");
	began = ev_now(loop);
	ev_timer_init(&timer, later, 0.1, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	return 0;
}
