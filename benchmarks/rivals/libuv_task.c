/*
 * libuv has no tasks; what comes nearest to one that yields is an idle handle: each is called
 * once a turn of the loop, with its clock read and its epoll_wait.
 *
 * Not shown: spawning and joining, for there is nothing to spawn.
 */
#include "../bench_task.h"

#include <uv.h>

struct crowd {
	struct relay relay;
	uv_idle_t *idles;
};

static void on_idle(uv_idle_t *idle)
{
	struct crowd *crowd = idle->data;

	if (!relay_pass(&crowd->relay, (uint32_t)(idle - crowd->idles)))
		uv_close((uv_handle_t *)idle, NULL);
}

static void yields(struct bench *b)
{
	static struct crowd crowd;
	uv_loop_t loop;

	if (uv_loop_init(&loop) != 0) {
		bench_skip(b, "libuv opened no loop");
		return;
	}
	crowd.idles = crowd_of(b, sizeof *crowd.idles);
	relay_begin(&crowd.relay, b);
	for (uint32_t i = 0; i < crowd.relay.crowd; i++) {
		uv_idle_init(&loop, &crowd.idles[i]);
		crowd.idles[i].data = &crowd;
		uv_idle_start(&crowd.idles[i], on_idle);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	relay_end(&crowd.relay);
	if (uv_loop_close(&loop) != 0)
		bench_fail(b, "libuv's loop is still in use");
	free(crowd.idles);
}

TASK_PEER_CROWDS("libuv", yields);
