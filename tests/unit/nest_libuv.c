/* Like nest_libev.c.  libuv's timers count milliseconds: rounded up, so late and not early. */
#include <uv.h>

#include "nest.h"

struct nest {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_poll_t poll;
	uv_timer_t timer;
	struct apus_loop *loop;
	bool (*is_done)(void *arg);
	void *arg;
	uint64_t waits;
};

static void on_timer(uv_timer_t *timer)
{
	(void)timer;
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct nest *nest = prepare->data;
	int64_t wait_ns = apus_loop_prepare(nest->loop);

	uv_timer_stop(&nest->timer);
	if (wait_ns == APUS_NEVER)
		return;
	uv_update_time(&nest->uv);
	uv_timer_start(&nest->timer, on_timer, (uint64_t)((wait_ns + APUS_MSEC - 1) / APUS_MSEC), 0);
}

static void on_check(uv_check_t *check)
{
	struct nest *nest = check->data;

	nest->waits++;
	apus_turn(nest->loop);
	if (nest->is_done(nest->arg))
		uv_stop(&nest->uv);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)poll, (void)status, (void)events;
}

static int nest_start(struct nest *nest)
{
	int err = uv_loop_init(&nest->uv);

	if (err)
		return err;
	nest->prepare.data = nest->check.data = nest;
	uv_prepare_init(&nest->uv, &nest->prepare);
	uv_prepare_start(&nest->prepare, on_prepare);
	uv_check_init(&nest->uv, &nest->check);
	uv_check_start(&nest->check, on_check);
	uv_timer_init(&nest->uv, &nest->timer);
	err = uv_poll_init(&nest->uv, &nest->poll, apus_loop_fd(nest->loop));
	return err ? err : uv_poll_start(&nest->poll, UV_READABLE, on_poll);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	uv_close(handle, NULL);
}

static uint64_t run(struct apus_loop *loop, bool (*is_done)(void *arg), void *arg)
{
	struct nest nest = { .loop = loop, .is_done = is_done, .arg = arg };
	uint64_t waits = 0;

	if (nest_start(&nest) == 0) {
		uv_run(&nest.uv, UV_RUN_DEFAULT);
		waits = nest.waits;
	}
	uv_walk(&nest.uv, close_handle, NULL);
	uv_run(&nest.uv, UV_RUN_DEFAULT);
	uv_loop_close(&nest.uv);
	return waits;
}

const struct nest_host nest_libuv = { "libuv", run };
