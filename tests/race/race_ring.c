/*
 * Several senders, of which some stall in the middle of a claim and some give up, against a
 * reader that passes over what holds it up.  Each record says who sent it and its number, and
 * is filled with that; so torn, lost and doubled records show.
 */
#include "apus/ring.h"
#include "loop_test.h"

#include <pthread.h>
#include <sched.h>

enum { CAPACITY = 2048, SENDERS = 3, RECORDS = 4000, WORDS_MAX = 60 };

struct sender {
	struct apus_ring *ring;
	uint64_t number;
	uint64_t next;  /* of the records that were committed */
	uint64_t stale; /* claims that were passed over */
	bool stalls, is_task;
	struct test_random random;
	pthread_t thread;
};

static void fill(struct sender *sender, const struct apus_claim *claim)
{
	uint64_t *words = claim->data;
	size_t i;

	for (i = 0; i < claim->bytes / 8; i++)
		words[i] = sender->number << 32 | sender->next;
}

/* Says how the claim is to end. */
static void finish(struct sender *sender, const struct apus_claim *claim)
{
	const struct timespec nap = { 0, 100 * 1000 };
	int err;

	fill(sender, claim);
	if (sender->stalls && test_random_below(&sender->random, 64) == 0)
		nanosleep(&nap, NULL);
	/* Also what was passed over is the claimant's until it answers. */
	fill(sender, claim);
	if (test_random_below(&sender->random, 16) == 0) {
		err = apus_ring_abort(sender->ring, claim);
		sender->stale += err == -ESTALE;
		return;
	}
	err = apus_ring_commit(sender->ring, claim);
	sender->stale += err == -ESTALE;
	sender->next += err == 0;
}

static size_t size_next(struct sender *sender)
{
	return 8 * (1 + (size_t)test_random_below(&sender->random, WORDS_MAX));
}

static void thread_send(struct sender *sender)
{
	struct apus_claim claim;

	while (sender->next < RECORDS) {
		if (apus_ring_wait_claim(sender->ring, APUS_NEVER, size_next(sender), &claim) != 0)
			abort();
		finish(sender, &claim);
	}
}

struct task_send {
	struct apus_frame frame;
	struct sender *sender;
	struct apus_claim claim;
	size_t bytes;
	apus_poll err;
};

APUS_TASK(task_send, struct task_send)
{
	APUS_BEGIN(cx, self);
	while (self->sender->next < RECORDS) {
		self->bytes = size_next(self->sender);
		APUS_AWAIT(self->err, apus_timeout(cx, 300 * APUS_USEC,
			apus_ring_claim(cx, self->sender->ring, self->bytes, &self->claim)));
		if (self->err == 0)
			finish(self->sender, &self->claim);
		else if (self->err != -ETIME)
			abort();
	}
	APUS_END(0);
}

static struct apus_loop *park_open(void)
{
	struct apus_config config;
	struct apus_loop *loop;

	apus_config_init(&config);
	config.slot_count = 64;
	config.idle = APUS_IDLE_PARK;
	config.log_fn = NULL;
	if (apus_open(&loop, &config) != 0)
		abort();
	return loop;
}

static void *sender_run(void *arg)
{
	struct sender *sender = arg;
	struct task_send init = { .sender = sender };
	struct apus_loop *loop;

	if (!sender->is_task) {
		thread_send(sender);
		return NULL;
	}
	loop = park_open();
	apus_run(loop, task_send, &init);
	apus_close(loop, NULL);
	return NULL;
}

struct reader {
	struct apus_ring *ring;
	uint64_t next[SENDERS];
	uint64_t wrong, count;
	bool passes;
};

static void see(struct reader *reader, const struct apus_record *record)
{
	const uint64_t *words = record->data;
	uint64_t number = words[0] >> 32;
	size_t i;

	for (i = 1; i < record->bytes / 8; i++)
		reader->wrong += words[i] != words[0];
	if (number >= SENDERS || reader->next[number] != (uint32_t)words[0])
		reader->wrong++;
	else
		reader->next[number]++;
	reader->count++;
	apus_ring_release(reader->ring, record);
}

struct task_read {
	struct apus_frame frame;
	struct reader *reader;
	struct apus_record record;
	apus_poll err;
};

APUS_TASK(task_read, struct task_read)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->err, apus_timeout(cx, 30 * APUS_USEC,
			apus_ring_read(cx, self->reader->ring, &self->record)));
		if (self->err == 0)
			see(self->reader, &self->record);
		else if (self->err == -ETIME && self->reader->passes)
			apus_ring_pass(self->reader->ring);
		else if (self->err != -ETIME)
			break;
	}
	APUS_END(self->err);
}

struct closing {
	struct apus_ring *ring;
	struct sender *senders;
	int count;
};

static void *close_after(void *arg)
{
	struct closing *closing = arg;
	int i;

	for (i = 0; i < closing->count; i++)
		pthread_join(closing->senders[i].thread, NULL);
	apus_ring_close(closing->ring);
	return NULL;
}

/* _i: 0, one sender and no lock; 1, many; 2, many that stall and are passed over. */
START_TEST(nothing_is_torn_lost_or_doubled)
{
	static char memory[APUS_RING_BYTES(CAPACITY)] __attribute__((__aligned__(64)));
	static struct sender senders[SENDERS];
	static struct apus_ring ring;
	struct reader reader = { .ring = &ring, .passes = _i == 2 };
	struct closing closing = { &ring, senders, _i == 0 ? 1 : SENDERS };
	struct task_read init = { .reader = &reader };
	struct apus_loop *loop = park_open();
	uint64_t seed = test_seed(), stale = 0, sent = 0;
	pthread_t closer;
	int i;

	ck_assert_int_eq(apus_ring_init_at(&ring, memory, CAPACITY, _i == 0 ? 0 : APUS_RING_MPSC,
		UINT64_C(0xffffffffffff0000)), 0);
	for (i = 0; i < closing.count; i++) {
		senders[i] = (struct sender){ .ring = &ring, .number = (uint64_t)i,
			.stalls = _i == 2 && i != 1, .is_task = i == 2,
			.random = test_random_init(seed + (uint64_t)i) };
		pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]);
	}
	pthread_create(&closer, NULL, close_after, &closing);
	ck_assert_int_eq(apus_run(loop, task_read, &init), -EPIPE);
	pthread_join(closer, NULL);
	apus_close(loop, NULL);
	for (i = 0; i < closing.count; i++) {
		stale += senders[i].stale;
		sent += senders[i].next;
	}
	ck_assert_uint_eq(reader.wrong, 0);
	ck_assert_uint_eq(reader.count, sent);
	ck_assert_uint_eq(apus_ring_passed_count(&ring), stale);
	apus_ring_reap(&ring);
	ck_assert_uint_eq(apus_ring_held_bytes(&ring), 0);
	ck_assert_int_eq(apus_ring_deinit(&ring), 0);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *all = test_case("ring");

	tcase_set_timeout(all, 4 * TEST_HANG_SECONDS);
	tcase_add_loop_test(all, nothing_is_torn_lost_or_doubled, 0, 3);
	return test_run(argc, argv, all);
}
