/*
 * Question   what does a message between two threads cost, and how long is it on its way,
 *            where each has a processor and nobody sleeps?
 * Unit       spsc_stream, mpsc_stream: ns a message of 8 bytes from a plain thread to a task
 *            on a busy loop, capacity 1024, as fast as it goes; batch32: 32 at a time.
 *            oneway: ns from a stamp in a thread until a task on a busy loop has it.
 *            pingpong: ns there and back between tasks of two busy loops.
 * Rival      rivals/limit_cross.c: the same slots and indices, and two threads that look at
 *            them in a loop.
 * Not shown  sleeping and waking: cross/wake_parked.
 */
#include "bench_cross.h"
#include "bench_loop.h"

#include "apus/channels.h"

BENCH_ROW(spsc_single, .name = "cross/spsc_stream/single", .unit = "ns", .batch = CROSS_BATCH);
BENCH_ROW(spsc_batch, .name = "cross/spsc_stream/batch32", .unit = "ns", .batch = CROSS_BATCH);
BENCH_ROW(mpsc_stream, .name = "cross/mpsc_stream", .unit = "ns", .batch = CROSS_BATCH);
BENCH_ROW(oneway, .name = "cross/oneway", .unit = "ns");
BENCH_ROW(oneway_latest, .name = "cross/oneway_latest", .unit = "ns");
BENCH_ROW(oneway_fanout, .name = "cross/oneway_fanout", .unit = "ns");
BENCH_ROW(pingpong, .name = "cross/pingpong", .unit = "ns", .batch = 16);

APUS_STREAM(flow, uint64_t, CROSS_CAPACITY)
APUS_MPSC(crowd, uint64_t, CROSS_CAPACITY)
APUS_SPSC(lane, uint64_t, CROSS_CAPACITY)
APUS_LATEST(newest, uint64_t)
APUS_FANOUT(cast, uint64_t, CROSS_CAPACITY)

/* ---- streams ------------------------------------------------------------------- */

/* A root task that starts the thread, counts what it sends, and closes when it has enough. */
struct sink {
	struct apus_frame frame;
	struct bench *b;
	void *channel;
	uint64_t want, message;
	uint64_t *batch; /* of CROSS_MANY */
	uint32_t count;
	apus_poll got;
};

static void *flow_send(void *arg)
{
	struct flow *flow = arg;
	uint64_t next = 0;
	int err;

	while ((err = apus_stream_try_send(flow, next)) != -EPIPE)
		next += err == 0;
	return NULL;
}

APUS_TASK(flow_sink, struct sink)
{
	struct flow *flow = self->channel;

	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count++) {
			APUS_TRY(self->got, apus_stream_recv(cx, flow, &self->message));
			if (self->message != self->want++)
				return -EBADMSG;
		}
		bench_sample(self->b, self->b->batch);
	}
	apus_stream_close(flow);
	APUS_END(0);
}

/* What does not fit goes with the next: a batch is always full. */
static void *flow_send_many(void *arg)
{
	struct flow *flow = arg;
	uint64_t batch[CROSS_MANY], next = 0;
	uint32_t i, done;
	int64_t n = 0;

	while (n != -EPIPE) {
		for (i = 0; i < CROSS_MANY; i++)
			batch[i] = next++;
		for (done = 0; done < CROSS_MANY && n != -EPIPE; done += n > 0 ? (uint32_t)n : 0)
			n = apus_stream_try_send_many(flow, &batch[done], CROSS_MANY - done);
	}
	return NULL;
}

APUS_TASK(flow_sink_many, struct sink)
{
	struct flow *flow = self->channel;
	uint32_t i;

	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count += (uint32_t)self->got) {
			APUS_TRY(self->got, apus_stream_recv_many(cx, flow, self->batch, CROSS_MANY));
			for (i = 0; i < (uint32_t)self->got; i++)
				if (self->batch[i] != self->want++)
					return -EBADMSG;
		}
		bench_sample(self->b, self->count);
	}
	apus_stream_close(flow);
	APUS_END(0);
}

static void *crowd_send(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t next = 0;
	int err;

	while ((err = apus_mpsc_try_send(crowd, next)) != -EPIPE)
		next += err == 0;
	return NULL;
}

APUS_TASK(crowd_sink, struct sink)
{
	struct crowd *crowd = self->channel;

	APUS_BEGIN(cx, self);
	while (bench_more(self->b)) {
		for (self->count = 0; self->count < self->b->batch; self->count++) {
			APUS_TRY(self->got, apus_mpsc_recv(cx, crowd, &self->message));
			if (self->message != self->want++)
				return -EBADMSG;
		}
		bench_sample(self->b, self->b->batch);
	}
	apus_mpsc_close(crowd);
	APUS_END(0);
}

/* arg of the entrant: which of the three. */
static void stream(struct bench *b)
{
	static void *(*const sends[])(void *) = { flow_send, flow_send_many, crowd_send };
	static struct flow flow;
	static struct crowd crowd;
	uint64_t batch[CROSS_MANY];
	struct sink init = { .b = b, .batch = batch,
		.channel = b->arg == 2 ? (void *)&crowd : (void *)&flow };
	struct apus_config config;
	struct apus_loop *loop;
	pthread_t thread;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	apus_stream_init(&flow);
	apus_mpsc_init(&crowd);
	if (wake_thread(b, &thread, sends[b->arg], init.channel)) {
		loop_check(b, b->arg == 0 ? apus_run(loop, flow_sink, &init) :
			b->arg == 1 ? apus_run(loop, flow_sink_many, &init) :
				      apus_run(loop, crowd_sink, &init));
		/* Also where the root has failed. */
		apus_stream_close(&flow);
		apus_mpsc_close(&crowd);
		pthread_join(thread, NULL);
	}
	loop_close(b, loop);
}
BENCH_ENTRANT(spsc_single_apus, .row = "cross/spsc_stream/single", .who = "apus",
	.run = stream, .arg = 0);
BENCH_ENTRANT(spsc_batch_apus, .row = "cross/spsc_stream/batch32", .who = "apus",
	.run = stream, .arg = 1);
BENCH_ENTRANT(mpsc_stream_apus, .row = "cross/mpsc_stream", .who = "apus",
	.run = stream, .arg = 2);

/* ---- one way --------------------------------------------------------------------- */

static void *oneway_run(void *arg)
{
	struct oneway *oneway = arg;
	uint64_t n, begin;

	for (n = 0;; n++) {
		while (__atomic_load_n(&oneway->seen, __ATOMIC_ACQUIRE) != n)
			;
		if (__atomic_load_n(&oneway->over, __ATOMIC_ACQUIRE))
			return NULL;
		begin = bench_ticks();
		while (bench_ns(oneway->b, bench_ticks() - begin) < ONEWAY_REST_NS)
			;
		if (oneway->send(oneway, bench_ticks_begin()) != 0)
			return NULL;
	}
}

bool oneway_begin(struct oneway *oneway)
{
	return wake_thread(oneway->b, &oneway->thread, oneway_run, oneway);
}

void oneway_end(struct oneway *oneway)
{
	pthread_join(oneway->thread, NULL);
}

struct catcher {
	struct apus_frame frame;
	struct oneway *oneway;
	struct newest_reader newest;
	struct cast_reader cast;
	uint64_t stamp;
	apus_poll err;
};

static int lane_send(struct oneway *oneway, uint64_t stamp)
{
	struct lane *lane = oneway->channel;

	return apus_spsc_try_send(lane, stamp);
}

APUS_TASK(lane_catch, struct catcher)
{
	struct lane *lane = self->oneway->channel;

	APUS_BEGIN(cx, self);
	while (!bench_stopping(self->oneway->b)) {
		APUS_TRY(self->err, apus_spsc_recv(cx, lane, &self->stamp));
		oneway_saw(self->oneway, self->stamp);
	}
	APUS_END(0);
}

static int newest_send(struct oneway *oneway, uint64_t stamp)
{
	struct newest *newest = oneway->channel;

	return apus_latest_publish(newest, stamp);
}

APUS_TASK(newest_catch, struct catcher)
{
	APUS_BEGIN(cx, self);
	while (!bench_stopping(self->oneway->b)) {
		APUS_TRY(self->err, apus_latest_recv(cx, &self->newest, &self->stamp));
		oneway_saw(self->oneway, self->stamp);
	}
	APUS_END(0);
}

static int cast_send(struct oneway *oneway, uint64_t stamp)
{
	struct cast *cast = oneway->channel;

	return apus_fanout_publish(cast, stamp);
}

APUS_TASK(cast_catch, struct catcher)
{
	APUS_BEGIN(cx, self);
	while (!bench_stopping(self->oneway->b)) {
		APUS_TRY(self->err, apus_fanout_recv(cx, &self->cast, &self->stamp));
		oneway_saw(self->oneway, self->stamp);
	}
	APUS_END(0);
}

/* arg: which of the three. */
static void oneway(struct bench *b)
{
	static int (*const sends[])(struct oneway *, uint64_t) = { lane_send, newest_send, cast_send };
	static struct lane lane;
	static struct newest newest;
	static struct cast cast;
	void *const channels[] = { &lane, &newest, &cast };
	struct oneway way = { .b = b, .send = sends[b->arg], .channel = channels[b->arg] };
	struct catcher init = { .oneway = &way };
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	apus_spsc_init(&lane);
	apus_latest_init(&newest);
	apus_fanout_init(&cast);
	apus_latest_reader_init(&init.newest, &newest);
	apus_fanout_reader_init(&init.cast, &cast, 0);
	if (oneway_begin(&way)) {
		loop_check(b, b->arg == 0 ? apus_run(loop, lane_catch, &init) :
			b->arg == 1 ? apus_run(loop, newest_catch, &init) :
				      apus_run(loop, cast_catch, &init));
		oneway_end(&way);
	}
	loop_close(b, loop);
}
BENCH_ENTRANT(oneway_apus, .row = "cross/oneway", .who = "apus", .run = oneway, .arg = 0);
BENCH_ENTRANT(oneway_latest_apus, .row = "cross/oneway_latest", .who = "apus", .run = oneway,
	.arg = 1);
BENCH_ENTRANT(oneway_fanout_apus, .row = "cross/oneway_fanout", .who = "apus", .run = oneway,
	.arg = 2);

/* ---- there and back ---------------------------------------------------------------- */

struct court {
	struct bench *b;
	struct lane there, back;
};

struct player {
	struct apus_frame frame;
	struct court *court;
	uint64_t ball, want;
	uint32_t count;
	apus_poll err;
};

/* Until the other closes. */
APUS_TASK(returns, struct player)
{
	struct court *court = self->court;

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_spsc_recv(cx, &court->there, &self->ball));
		if (self->err != 0)
			return 0;
		APUS_TRY(self->err, apus_spsc_send(cx, &court->back, self->ball));
	}
	APUS_END(0);
}

APUS_TASK(serves, struct player)
{
	struct court *court = self->court;

	APUS_BEGIN(cx, self);
	while (bench_more(court->b)) {
		for (self->count = 0; self->count < court->b->batch; self->count++) {
			APUS_TRY(self->err, apus_spsc_send(cx, &court->there, ++self->want));
			APUS_TRY(self->err, apus_spsc_recv(cx, &court->back, &self->ball));
			if (self->ball != self->want)
				return -EBADMSG;
		}
		bench_sample(court->b, court->b->batch);
	}
	APUS_END(0);
}

static void *court_side(void *arg)
{
	struct court *court = arg;
	struct player init = { .court = court };
	struct apus_config config;
	struct apus_loop *loop;

	loop_config(&config);
	loop = loop_open(court->b, &config);
	if (loop != NULL) {
		(void)apus_run(loop, returns, &init);
		apus_close(loop, NULL);
	}
	apus_spsc_close(&court->back);
	return NULL;
}

static void pingpong(struct bench *b)
{
	static struct court court;
	struct player init = { .court = &court };
	struct apus_config config;
	struct apus_loop *loop;
	pthread_t thread;

	court.b = b;
	apus_spsc_init(&court.there);
	apus_spsc_init(&court.back);
	loop_config(&config);
	loop = loop_open(b, &config);
	if (loop == NULL)
		return;
	if (wake_thread(b, &thread, court_side, &court)) {
		loop_check(b, apus_run(loop, serves, &init));
		apus_spsc_close(&court.there);
		pthread_join(thread, NULL);
	}
	loop_close(b, loop);
}
BENCH_ENTRANT(pingpong_apus, .row = "cross/pingpong", .who = "apus", .run = pingpong);
