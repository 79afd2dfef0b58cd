/*
 * wake_from_thread - a task waits for what another thread works out.
 *
 * The loop parks meanwhile, that is, it sleeps in the kernel; the wake ends that.  The waker
 * is a value: the thread may keep it longer than the task lives, and then wakes nobody.
 */
#include <apus.h>
#include <pthread.h>
#include <stdio.h>

/* What the two share; the thread writes value, then ready, then wakes. */
struct answer {
	struct apus_waker waker;
	uint32_t ready;
	int value;
};

static void *work(void *arg)
{
	struct answer *answer = arg;
	int i;

	for (i = 1; i <= 1000; i++)
		answer->value += i;
	/* Released here, acquired in answer_await: the task that sees ready sees value. */
	apus_store_release(&answer->ready, 1);
	apus_wake(answer->waker);
	return NULL;
}

/* An awaitable is any expression that may be evaluated again; this one only looks. */
static apus_poll answer_await(struct answer *answer)
{
	return apus_load_acquire(&answer->ready) ? answer->value : APUS_PENDING;
}

struct asker {
	struct apus_frame frame;
	struct answer answer;
	pthread_t thread;
	apus_poll value;
	bool has_thread;
};

/* The thread writes into our state, so it has to end before the state goes. */
static void asker_cleanup(struct apus_cx *cx, struct asker *self)
{
	(void)cx;
	if (self->has_thread)
		pthread_join(self->thread, NULL);
}

APUS_TASK(asker, struct asker, asker_cleanup)
{
	APUS_BEGIN(cx, self);
	/* The waker before the thread, or a quick thread would find none. */
	self->value = apus_waker(cx, &self->answer.waker);
	if (self->value != 0)
		return self->value;
	self->value = -pthread_create(&self->thread, NULL, work, &self->answer);
	if (self->value != 0)
		return self->value;
	self->has_thread = true;
	APUS_AWAIT(self->value, apus_timeout(cx, 10 * APUS_SEC, answer_await(&self->answer)));
	APUS_END(self->value);
}

int main(void)
{
	struct apus_config config;
	struct apus_loop *loop;
	apus_poll value;

	apus_config_init(&config);
	config.idle = APUS_IDLE_PARK;
	if (apus_open(&loop, &config) != 0)
		return 1;
	value = apus_run(loop, asker, NULL);
	apus_close(loop, NULL);
	printf("the thread's answer is %d\n", (int)value);
	return value != 500500;
}
