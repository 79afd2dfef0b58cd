/*
 * shutdown - how a program ends: ask with a token, wait with a drain, end with close.
 *
 *   stop    cancels the loop's root token, and so all tokens.  No task ends by that.
 *   drain   turns until no task is left, or tells which are.
 *   close   ends the rest, each with its cleanup, exactly once.
 *
 * A guard ties a token to the life of a task: when the session below ends, on whatever way,
 * what belongs to it is told.
 */
#include <apus.h>
#include <stdio.h>
#include <string.h>

struct tally {
	int heartbeats_ended, polite_ended, stubborn_cleaned;
};

/* Belongs to a session: ends when the session's token is cancelled. */
struct heartbeat {
	struct apus_frame frame;
	struct apus_token session;
	struct tally *tally;
};

APUS_TASK(heartbeat, struct heartbeat)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_cancelled(cx, self->session));
	self->tally->heartbeats_ended++;
	APUS_END(0);
}

struct session {
	struct apus_frame frame;
	struct apus_token token;
	struct apus_guard guard;
	struct tally *tally;
	apus_poll err;
};

static int session_begin(struct apus_cx *cx, struct session *self)
{
	struct heartbeat init = { .tally = self->tally };
	int err = apus_token_child(cx->loop, apus_loop_token(cx->loop), &self->token);

	if (err)
		return err;
	apus_guard_arm(cx, &self->guard, self->token);
	init.session = self->token;
	return apus_spawn_slab(cx->loop, heartbeat, &init, NULL);
}

/* Ends by an error, early: the guard cancels the token all the same. */
APUS_TASK(session, struct session)
{
	APUS_BEGIN(cx, self);
	self->err = session_begin(cx, self);
	if (self->err)
		return self->err;
	APUS_WAIT(apus_sleep(cx, APUS_MSEC));
	return -ECONNRESET;
	APUS_END(0);
}

/* Looks at the root token, and takes ten more milliseconds to put its things away. */
struct polite {
	struct apus_frame frame;
	struct tally *tally;
};

APUS_TASK(polite, struct polite)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_cancelled(cx, apus_loop_token(cx->loop)));
	APUS_WAIT(apus_sleep(cx, 10 * APUS_MSEC));
	self->tally->polite_ended++;
	APUS_END(0);
}

/* Waits for something that never comes, and looks at no token. */
struct stubborn {
	struct apus_frame frame;
	struct apus_event *never;
	struct tally *tally;
};

static void stubborn_cleanup(struct apus_cx *cx, struct stubborn *self)
{
	(void)cx;
	self->tally->stubborn_cleaned++;
}

APUS_TASK(stubborn, struct stubborn, stubborn_cleanup)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_event_wait(cx, self->never));
	APUS_END(0);
}

static int spawn_all(struct apus_loop *loop, struct tally *tally, struct apus_event *never)
{
	struct polite polite = { .tally = tally };
	struct stubborn stubborn = { .tally = tally, .never = never };
	struct session session = { .tally = tally };
	int err = apus_spawn_slab(loop, polite, &polite, NULL);

	if (!err)
		err = apus_spawn_slab(loop, stubborn, &stubborn, NULL);
	/* The root: when it has ended, run returns, and the others are still there. */
	return err ? err : (int)apus_run(loop, session, &session);
}

static void report_print(const struct apus_drain_report *report)
{
	uint32_t i;

	for (i = 0; i < report->named; i++) {
		const struct apus_task_info *task = &report->tasks[i];

		if (task->site != NULL)
			printf("left: %s waits at %s:%d for %s\n", task->name, task->site->file,
				task->site->line, task->site->text);
	}
}

int main(void)
{
	struct apus_drain_report report;
	struct apus_event never = { 0 };
	struct tally tally = { 0 };
	struct apus_loop *loop;
	int failed;

	if (apus_open(&loop, NULL) != 0)
		return 1;
	failed = spawn_all(loop, &tally, &never) != -ECONNRESET;
	apus_stop(loop);
	failed |= apus_drain(loop, 100 * APUS_MSEC, &report) != -ETIME;
	report_print(&report);
	failed |= report.tasks_live != 1 || strcmp(report.tasks[0].name, "stubborn") != 0;
	failed |= tally.heartbeats_ended != 1 || tally.polite_ended != 1;
	failed |= tally.stubborn_cleaned != 0;
	failed |= apus_close(loop, NULL) != 0;
	failed |= tally.stubborn_cleaned != 1;
	apus_event_deinit(&never);
	return failed;
}
