/*
 * task_set - tasks that belong together: spawned into a set, asked to end, joined at once.
 *
 * Ten servers are asked the same question.  The first three answers do; the other seven are
 * told so through the set's token, and end themselves.  (Virtual clock: no time passes.)
 */
#include <apus.h>
#include <stdio.h>

enum { ASKED = 10, WANTED = 3 };

struct server {
	struct apus_frame frame;
	struct apus_token token;
	int number;
	apus_poll which, answer;
};

/* The further away, the later it answers; unless nobody wants to know any more. */
APUS_TASK(server, struct server)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->answer,
		apus_cancelled(cx, self->token),
		apus_sleep(cx, self->number * 10 * APUS_MSEC)));
	if (self->which == 0)
		return -ECANCELED; /* cancelling asks; it is the task that ends */
	APUS_END(self->number);
}

struct client {
	struct apus_frame frame;
	struct apus_set set;
	apus_poll err, answer, sum, rest;
	int count;
};

static int client_ask(struct apus_cx *cx, struct client *self)
{
	/* A child of the loop's token: stopping the loop cancels the set, too. */
	int err = apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop));
	int number;

	for (number = 1; number <= ASKED && !err; number++) {
		struct server init = { .token = self->set.token, .number = number };

		err = apus_set_spawn(&self->set, server, &init);
	}
	return err;
}

/* Aborts what is left, however the client ends: a set leaves no task behind. */
static void client_cleanup(struct apus_cx *cx, struct client *self)
{
	(void)cx;
	if (self->set.loop != NULL)
		apus_set_deinit(&self->set);
}

APUS_TASK(client, struct client, client_cleanup)
{
	APUS_BEGIN(cx, self);
	self->err = client_ask(cx, self);
	if (self->err)
		return self->err;
	for (self->count = 0; self->count < WANTED; self->count++) {
		APUS_TRY(self->err, apus_set_next(cx, &self->set, &self->answer));
		self->sum += self->answer;
	}
	apus_set_cancel(&self->set);
	APUS_TRY(self->rest, apus_set_all(cx, &self->set));
	printf("%d answers, the sum is %d; %d did not answer\n", self->count, (int)self->sum,
		(int)self->rest);
	APUS_END(self->sum == 1 + 2 + 3 && self->rest == ASKED - WANTED ? 0 : -EBADMSG);
}

int main(void)
{
	struct apus_config config;
	struct apus_loop *loop;
	apus_poll result;

	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	if (apus_open(&loop, &config) != 0)
		return 1;
	result = apus_run(loop, client, NULL);
	apus_close(loop, NULL);
	return result != 0;
}
