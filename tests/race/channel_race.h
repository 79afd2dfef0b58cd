/*
 * Races that every channel between threads has to stand: a test file declares
 * CHANNEL(name, type, capacity), names the verbs by CH(verb) and FIRSTS, and includes this.
 * Each message carries its number, so that what is lost, doubled or overtaken shows.
 */
#include "loop_test.h"

#include <pthread.h>
#include <sched.h>

CHANNEL(lane, uint64_t, 4)

enum how { AS_TRY, AS_THREAD, AS_BUSY, AS_PARK, AS_BACKOFF, AS_BATCH, HOWS };

static const uint64_t firsts[] = FIRSTS;

struct race {
	struct lane lane;
	enum how send, recv;
	uint64_t count;
	uint64_t received, wrong; /* the receiver's */
	int end;                  /* what the receiver was told last */
	uint64_t close_after;
	uint64_t pause_every;     /* both ends rest now and then, so that each finds the other asleep */
};

/* Sometimes a moment, sometimes long enough for the other end to go to sleep. */
static void rest(const struct race *race, uint64_t n)
{
	const struct timespec nap = { 0, 200 * 1000 };

	if (race->pause_every == 0 || n % race->pause_every != 0)
		return;
	if (n % (4 * race->pause_every) == 0)
		nanosleep(&nap, NULL);
	else
		sched_yield();
}

static void take(struct race *race, uint64_t message)
{
	race->wrong += message != race->received;
	race->received++;
}

/* ---- plain threads ----------------------------------------------------------- */

static int send_some(struct race *race, uint64_t *next)
{
	uint64_t batch[3];
	int64_t sent;
	int i;

	if (race->send == AS_THREAD) {
		sent = CH(wait_send)(&race->lane, APUS_NEVER, *next);
		*next += sent == 0;
		return (int)sent;
	}
	if (race->send == AS_TRY) {
		sent = CH(try_send)(&race->lane, *next);
		*next += sent == 0;
		return (int)sent;
	}
	for (i = 0; i < 3; i++)
		batch[i] = *next + (uint64_t)i;
	sent = CH(try_send_many)(&race->lane, batch,
		race->count - *next < 3 ? (size_t)(race->count - *next) : 3);
	if (sent > 0)
		*next += (uint64_t)sent;
	return sent > 0 ? 0 : (int)sent;
}

static void thread_send(struct race *race)
{
	uint64_t next = 0;
	int err = 0;

	while (next < race->count && err != -EPIPE) {
		err = send_some(race, &next);
		if (err == -EAGAIN)
			sched_yield();
		else
			rest(race, next);
	}
	CH(close)(&race->lane);
}

static int recv_some(struct race *race)
{
	uint64_t message, batch[3];
	int64_t got, i;

	if (race->recv == AS_BATCH) {
		got = CH(try_recv_many)(&race->lane, batch, 3);
		for (i = 0; i < got; i++)
			take(race, batch[i]);
		return got > 0 ? 0 : (int)got;
	}
	got = race->recv == AS_THREAD ? CH(wait_recv)(&race->lane, APUS_NEVER, &message) :
					CH(try_recv)(&race->lane, &message);
	if (got == 0)
		take(race, message);
	return (int)got;
}

static void thread_recv(struct race *race)
{
	int err = 0;

	while (err == 0 || err == -EAGAIN) {
		err = recv_some(race);
		if (err == -EAGAIN)
			sched_yield();
		else
			rest(race, race->received + 1);
	}
	race->end = err;
}

/* ---- tasks ------------------------------------------------------------------- */

struct sender {
	struct apus_frame frame;
	struct race *race;
	uint64_t next;
	apus_poll err;
};

APUS_TASK(sender, struct sender)
{
	APUS_BEGIN(cx, self);
	for (; self->next < self->race->count; self->next++) {
		APUS_AWAIT(self->err, CH(send)(cx, &self->race->lane, self->next));
		if (self->err != 0)
			break;
		rest(self->race, self->next + 1);
	}
	CH(close)(&self->race->lane);
	APUS_END(self->err);
}

struct receiver {
	struct apus_frame frame;
	struct race *race;
	uint64_t message;
	apus_poll err;
};

APUS_TASK(receiver, struct receiver)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, CH(recv)(cx, &self->race->lane, &self->message));
		if (self->err != 0)
			break;
		take(self->race, self->message);
		rest(self->race, self->race->received + 1);
	}
	self->race->end = (int)self->err;
	APUS_END(0);
}

static struct apus_loop *race_loop(enum how how)
{
	struct apus_config config;
	struct apus_loop *loop;

	apus_config_init(&config);
	config.slot_count = 64;
	config.log_fn = NULL;
	config.idle = how == AS_PARK ? APUS_IDLE_PARK :
		      how == AS_BACKOFF ? APUS_IDLE_BACKOFF : APUS_IDLE_BUSY;
	config.backoff_turns = 10;
	if (apus_open(&loop, &config) != 0)
		abort();
	return loop;
}

static bool is_loop(enum how how)
{
	return how == AS_BUSY || how == AS_PARK || how == AS_BACKOFF;
}

static void *send_end(void *arg)
{
	struct race *race = arg;
	struct sender init = { .race = race };
	struct apus_loop *loop;

	if (!is_loop(race->send)) {
		thread_send(race);
		return NULL;
	}
	loop = race_loop(race->send);
	apus_run(loop, sender, &init);
	apus_close(loop, NULL);
	return NULL;
}

static void *recv_end(void *arg)
{
	struct race *race = arg;
	struct receiver init = { .race = race };
	struct apus_loop *loop;

	if (!is_loop(race->recv)) {
		thread_recv(race);
		return NULL;
	}
	loop = race_loop(race->recv);
	apus_run(loop, receiver, &init);
	apus_close(loop, NULL);
	return NULL;
}

static void race_run(struct race *race, enum how send, enum how recv, uint64_t first)
{
	pthread_t threads[2];

	race->send = send;
	race->recv = recv;
	ck_assert_int_eq(CH(init_at)(&race->lane, first), 0);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, send_end, race), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, recv_end, race), 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ck_assert_uint_eq(race->wrong, 0);
	ck_assert_int_eq(race->end, -EPIPE);
	ck_assert_int_eq(CH(deinit)(&race->lane), 0);
}

/* Each way to send against each way to receive: _i is both. */
START_TEST(nothing_is_lost_doubled_or_overtaken)
{
	static struct race race;

	memset(&race, 0, sizeof race);
	race.count = 2000;
	race.pause_every = 97;
	race_run(&race, (enum how)(_i / HOWS), (enum how)(_i % HOWS),
		firsts[(size_t)_i % (sizeof firsts / sizeof firsts[0])]);
	ck_assert_uint_eq(race.received, race.count);
}
END_TEST

/* No rest: both ends as fast as they can. */
START_TEST(nothing_is_lost_at_full_speed)
{
	static const enum how pairs[][2] = { { AS_THREAD, AS_THREAD }, { AS_PARK, AS_PARK },
		{ AS_BUSY, AS_BUSY }, { AS_THREAD, AS_BUSY }, { AS_BATCH, AS_BATCH } };
	static struct race race;

	memset(&race, 0, sizeof race);
	race.count = 20000;
	race_run(&race, pairs[_i][0], pairs[_i][1], firsts[0]);
	ck_assert_uint_eq(race.received, race.count);
}
END_TEST

/* ---- close against send and receive ------------------------------------------ */

static void *close_soon(void *arg)
{
	struct race *race = arg;
	volatile uint64_t spin = race->close_after;

	while (spin-- > 0)
		;
	CH(close)(&race->lane);
	return NULL;
}

/* S5: whoever waits at either end wakes, whenever it is closed. */
START_TEST(closing_at_any_time_ends_both)
{
	static const enum how hows[] = { AS_THREAD, AS_PARK, AS_BUSY };
	enum how send = hows[_i / 3], recv = hows[_i % 3];
	uint64_t round;

	for (round = 0; round < 10; round++) {
		static struct race race;
		pthread_t closer, threads[2];

		memset(&race, 0, sizeof race);
		race.count = UINT64_MAX;
		race.close_after = round * round * 2000;
		race.send = send;
		race.recv = recv;
		CH(init)(&race.lane);
		pthread_create(&threads[0], NULL, send_end, &race);
		pthread_create(&threads[1], NULL, recv_end, &race);
		pthread_create(&closer, NULL, close_soon, &race);
		pthread_join(closer, NULL);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		ck_assert_uint_eq(race.wrong, 0);
		ck_assert_int_eq(race.end, -EPIPE);
		ck_assert_int_eq(CH(deinit)(&race.lane), 0);
	}
}
END_TEST

/* ---- waits that end in any way ----------------------------------------------- */

struct impatient {
	struct apus_frame frame;
	struct race *race;
	uint64_t message;
	apus_poll err;
};

/* Gives up again and again: what arrives in that very moment is not lost. */
APUS_TASK(impatient, struct impatient)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_timeout(cx, 20 * APUS_USEC,
			CH(recv)(cx, &self->race->lane, &self->message)));
		if (self->err == -ETIME)
			continue;
		if (self->err != 0)
			break;
		take(self->race, self->message);
	}
	self->race->end = (int)self->err;
	APUS_END(0);
}

static void *impatient_end(void *arg)
{
	struct race *race = arg;
	struct impatient init = { .race = race };
	struct apus_loop *loop = race_loop(race->recv);

	apus_run(loop, impatient, &init);
	apus_close(loop, NULL);
	return NULL;
}

START_TEST(giving_up_and_waiting_again_loses_nothing)
{
	static struct race race;
	pthread_t threads[2];

	memset(&race, 0, sizeof race);
	race.count = 2000;
	race.send = AS_TRY;
	race.recv = _i == 0 ? AS_PARK : AS_BUSY;
	race.pause_every = 50;
	CH(init)(&race.lane);
	pthread_create(&threads[0], NULL, send_end, &race);
	pthread_create(&threads[1], NULL, impatient_end, &race);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ck_assert_uint_eq(race.wrong, 0);
	ck_assert_uint_eq(race.received, race.count);
	ck_assert_int_eq(CH(deinit)(&race.lane), 0);
}
END_TEST

/* ---- batches ------------------------------------------------------------------- */

/* Each on a line of its own: they do not become visible together by chance. */
struct wide {
	uint64_t word[8];
};
CHANNEL(avenue, struct wide, 16)

enum { WIDE_BATCH = 12 };

struct batches {
	struct avenue avenue;
	uint64_t count, refused;
};

static void *send_batches(void *arg)
{
	struct batches *batches = arg;
	struct wide batch[WIDE_BATCH];
	uint64_t next = 0;
	int i;

	memset(batch, 0, sizeof batch);
	while (next < batches->count) {
		/* Into an empty channel, so that all of it fits. */
		if (CH(length)(&batches->avenue) != 0) {
			sched_yield();
			continue;
		}
		for (i = 0; i < WIDE_BATCH; i++)
			batch[i].word[0] = batch[i].word[7] = next++;
		batches->refused += CH(try_send_many)(&batches->avenue, batch, WIDE_BATCH) !=
			WIDE_BATCH;
	}
	CH(close)(&batches->avenue);
	return NULL;
}

/* One publish: who sees the first of a batch sees all of it. */
START_TEST(a_batch_is_seen_whole)
{
	static struct batches batches;
	struct wide batch[WIDE_BATCH];
	uint64_t received = 0, torn = 0;
	unsigned idle = 0;
	pthread_t thread;
	int64_t got, i;

	memset(&batches, 0, sizeof batches);
	batches.count = WIDE_BATCH * 5000;
	ck_assert_int_eq(CH(init_at)(&batches.avenue,
		firsts[sizeof firsts / sizeof firsts[0] - 1]), 0);
	pthread_create(&thread, NULL, send_batches, &batches);
	while ((got = CH(try_recv_many)(&batches.avenue, batch, WIDE_BATCH)) != -EPIPE) {
		if (got == -EAGAIN) {
			if (++idle % 256 == 0)
				sched_yield(); /* the sender may have no processor */
			continue;
		}
		torn += got != WIDE_BATCH;
		for (i = 0; i < got; i++) {
			torn += batch[i].word[0] != received || batch[i].word[7] != received;
			received++;
		}
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(batches.refused, 0);
	ck_assert_uint_eq(torn, 0);
	ck_assert_uint_eq(received, batches.count);
	ck_assert_int_eq(CH(deinit)(&batches.avenue), 0);
}
END_TEST

TEST_UNUSED static TCase *race_case(const char *noun)
{
	TCase *all = test_case(noun);

	tcase_set_timeout(all, 4 * TEST_HANG_SECONDS);
	tcase_add_loop_test(all, nothing_is_lost_doubled_or_overtaken, 0, HOWS * HOWS);
	tcase_add_loop_test(all, nothing_is_lost_at_full_speed, 0, 5);
	tcase_add_loop_test(all, closing_at_any_time_ends_both, 0, 9);
	tcase_add_loop_test(all, giving_up_and_waiting_again_loses_nothing, 0, 2);
	tcase_add_test(all, a_batch_is_seen_whole);
	return all;
}
