#include <stdio.h>
#include <string.h>

#include "loop/loop.h"

/* ---- running -------------------------------------------------------------- */

int apus_run_check(struct apus_loop *loop)
{
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	return loop->state == LOOP_IN_TURN ? -EDEADLK : 0;
}

static bool grace_is_over(const struct apus_loop *loop)
{
	return loop->abort_root ||
	       (loop->stop_ns != APUS_NEVER &&
		loop->cx.now_ns >= apus_ns_add(loop->stop_ns, loop->config.stop_grace_ns));
}

/* What the loop's owner did before was no turn. */
static void run_begin(struct apus_loop *loop)
{
	loop->cx.now_ns = apus_clock_read(&loop->clock);
}

/* It can still be joined, and is not yet over. */
static bool root_lives(const struct apus_join *root)
{
	return root->task->serial == root->serial &&
	       (root->task->flags & (APUS_TASK_ENDED | APUS_TASK_JOINABLE)) == APUS_TASK_JOINABLE;
}

/* Over and aborted, but what it lent does not come back: close will leak its slot. */
static bool root_is_lost(const struct apus_loop *loop, const struct apus_join *root)
{
	return root->task->flags & APUS_TASK_HELD && loop->cx.now_ns >= loop->drain_ns;
}

/* True: the root was aborted, since its time is over, or nothing else can happen. */
static bool root_end(struct apus_loop *loop, struct apus_join root, bool *stuck)
{
	*stuck = !grace_is_over(loop) && apusi_is_stuck(loop);
	if (!*stuck && !grace_is_over(loop))
		return false;
	loop->drain_ns = apus_ns_add(loop->cx.now_ns, loop->config.close_wait_ns);
	return apus_abort(loop, root) >= 0;
}

apus_poll apus_run_root(struct apus_loop *loop, struct apus_join root)
{
	bool stuck = false, aborted = false, lost = false;
	apus_poll result = 0;
	int outcome = -ECANCELED;

	run_begin(loop);
	while (root_lives(&root) && !lost) {
		if (apus_unlikely(loop->is_ending)) {
			lost = aborted && root_is_lost(loop, &root);
			aborted = aborted || root_end(loop, root, &stuck);
		}
		apus_turn(loop);
	}
	loop->drain_ns = APUS_NEVER;
	if (root_lives(&root))
		apus_detach(loop, root);
	else
		outcome = apus_try_join(loop, root, &result);
	if (outcome != 0)
		return stuck ? -EDEADLK : outcome;
	return result;
}

/* ---- draining --------------------------------------------------------------- */

static void report_see(void *arg, const struct apus_task_info *info)
{
	struct apus_drain_report *report = (struct apus_drain_report *)arg;
	uint32_t room = sizeof report->tasks / sizeof report->tasks[0];

	if (info->status != APUS_STATUS_ENDED && report->named < room)
		report->tasks[report->named++] = *info;
}

static void report_fill(struct apus_loop *loop, struct apus_drain_report *report)
{
	memset(report, 0, sizeof *report);
	report->tasks_live = apusi_tasks_live(&loop->cx);
	report->tasks_unjoined = apusi_tasks_unjoined(&loop->cx);
	report->timers_pending = apus_wheel_pending_count(&loop->wheel);
	report->sockets_open = apusi_io_socket_count(loop->cx.io);
	apus_dump(loop, report_see, report);
}

/* With nothing left a turn would only park, for as long as there is time. */
static bool is_drained(const struct apus_loop *loop)
{
	return apusi_tasks_live(&loop->cx) == 0 && apusi_inbox_is_empty(&loop->cx.port->inbox);
}

int apus_drain(struct apus_loop *loop, int64_t timeout_ns, struct apus_drain_report *report)
{
	int err = apus_run_check(loop);
	int64_t deadline_ns;

	if (err)
		return err;
	/* A deadline of our own, so that a parked or virtual loop wakes for it. */
	deadline_ns = apus_ns_add(apus_clock_read(&loop->clock), timeout_ns > 0 ? timeout_ns : 0);
	loop->drain_ns = deadline_ns;
	run_begin(loop);
	while (!is_drained(loop)) {
		apus_turn(loop);
		if (loop->cx.now_ns >= deadline_ns || loop->abort_root || apusi_is_stuck(loop))
			break;
	}
	loop->drain_ns = APUS_NEVER;
	if (report != NULL)
		report_fill(loop, report);
	return apusi_tasks_live(&loop->cx) ? -ETIME : 0;
}

/* ---- apus_main ----------------------------------------------------------------- */

int apus_main_open(struct apus_loop **loop, struct apus_config *config)
{
	struct apus_config own;
	int err;

	if (config == NULL) {
		apus_config_init(&own);
		config = &own;
	}
	config->signals = true;
	err = apus_open(loop, config);
	if (err)
		fprintf(stderr, "apus: %s\n", config->reason);
	else
		apus_store_relaxed(&(*loop)->cx.port->abort_on_second, true);
	return err;
}

void apus_main_close(struct apus_loop *loop)
{
	struct apus_drain_report report;
	uint32_t i;

	apus_stop(loop);
	if (apus_drain(loop, loop->abort_root ? 0 : loop->config.stop_grace_ns, &report))
		for (i = 0; i < report.named; i++)
			apus_log(loop->config.log_fn, loop->config.log_arg, APUS_LOG_WARN,
				"task %s is left at exit", report.tasks[i].name);
	apus_close(loop, NULL);
}
