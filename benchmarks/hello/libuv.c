/*
 * hello of libuv: two lines, and a timer between them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <uv.h>

static uint64_t began_ns;

static void later(uv_timer_t *timer)
{
	(void)timer;
	printf("hello again, %" PRIu64 " us later\n", (uv_hrtime() - began_ns) / 1000);
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();
	uv_timer_t timer;

	if (loop == NULL)
		return 1;
	puts("hello");
	began_ns = uv_hrtime();
	uv_timer_init(loop, &timer);
	uv_timer_start(&timer, later, 100, 0);
	uv_run(loop, UV_RUN_DEFAULT);
	return uv_loop_close(loop) == UV_EBUSY;
}
