/*
 * pipeline - a producer and a slower consumer, with a channel of eight between them.
 *
 * Back-pressure is a value: when the channel is full the producer's send is pending, the
 * message stays unmade, and nothing is allocated to keep it.
 */
#include <apus.h>
#include <stdio.h>

enum { COUNT = 10000, CAPACITY = 8 };

struct reading {
	uint64_t number;
	int64_t taken_ns;
};

APUS_CHANNEL(readings, struct reading, CAPACITY)

struct producer {
	struct apus_frame frame;
	struct readings_sender out;
	uint64_t number;
	apus_poll err;
};

/* Runs on every way out.  The last sender that is dropped ends the channel. */
static void producer_cleanup(struct apus_cx *cx, struct producer *self)
{
	(void)cx;
	apus_sender_drop(&self->out);
}

APUS_TASK(producer, struct producer, producer_cleanup)
{
	APUS_BEGIN(cx, self);
	for (self->number = 1; self->number <= COUNT; self->number++)
		/* The value is evaluated once, and only when there is room for it. */
		APUS_TRY(self->err, apus_send(cx, self->out.to,
			(struct reading){ self->number, cx->now_ns }));
	APUS_END(0);
}

struct consumer {
	struct apus_frame frame;
	struct readings *in;
	struct reading reading;
	uint64_t count, fullest;
	apus_poll err;
};

APUS_TASK(consumer, struct consumer)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		if (apus_channel_length(self->in) > self->fullest)
			self->fullest = apus_channel_length(self->in);
		APUS_AWAIT(self->err, apus_recv(cx, self->in, &self->reading));
		if (self->err == -EPIPE)
			break; /* what was buffered has been received: this is the end */
		if (self->err != 0 || self->reading.number != ++self->count)
			return -EBADMSG;
		APUS_WAIT(apus_yield(cx)); /* one message a turn: slower than the producer */
	}
	printf("%llu messages, never more than %llu buffered\n",
		(unsigned long long)self->count, (unsigned long long)self->fullest);
	APUS_END(self->count == COUNT && self->fullest == CAPACITY ? 0 : -EBADMSG);
}

static int run(struct apus_loop *loop, struct readings *readings)
{
	struct producer producer = { .number = 0 };
	struct consumer consumer = { .in = readings };
	int err = apus_sender_init(&producer.out, readings);

	if (err)
		return err;
	err = apus_spawn_slab(loop, producer, &producer, NULL);
	if (err) {
		apus_sender_drop(&producer.out); /* refused, it is still ours */
		return err;
	}
	return (int)apus_run(loop, consumer, &consumer);
}

int main(void)
{
	static struct readings readings;
	struct apus_loop *loop;
	int err;

	if (apus_channel_init(&readings) != 0 || apus_open(&loop, NULL) != 0)
		return 1;
	err = run(loop, &readings);
	apus_close(loop, NULL);
	apus_channel_deinit(&readings);
	return err != 0;
}
