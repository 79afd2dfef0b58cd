/*
 * One writer against readers of every kind, some of which are slow: a test file declares
 * CHANNEL(name, type), names the verbs by RD(verb), START(reader, channel), FIRSTS, and
 * PUBLISH(channel, messages, count), and includes this.  A message carries its number in every
 * word, so that what is torn, doubled, overtaken or lost without being counted shows.
 */
#include "race.h"

enum { WORDS = 5, READERS = 4 };

struct message {
	uint64_t word[WORDS];
};
CHANNEL(cast, struct message)

enum how { AS_TRY, AS_THREAD, AS_BUSY, AS_PARK };

static const uint64_t firsts[] = FIRSTS;

struct seer {
	struct cast *cast;
	struct cast_reader reader;
	enum how how;
	uint64_t received, wrong;
	uint64_t nap_every;
	int64_t patience_ns;
	pthread_t thread;
};

static void see(struct seer *seer, const struct message *message)
{
	const struct timespec nap = { 0, 50 * 1000 };
	uint64_t n = seer->received + 1 + RD(missed)(&seer->reader);
	int i;

	for (i = 0; i < WORDS; i++)
		seer->wrong += message->word[i] != n * (uint64_t)(i + 1);
	apus_store_release(&seer->received, seer->received + 1);
	if (seer->nap_every != 0 && seer->received % seer->nap_every == 0)
		nanosleep(&nap, NULL);
}

static void thread_see(struct seer *seer)
{
	struct message message;
	int err;

	do {
		err = seer->how == AS_TRY ? RD(try_recv)(&seer->reader, &message) :
			RD(wait_recv)(&seer->reader, APUS_NEVER, &message);
		if (err == 0)
			see(seer, &message);
		else if (err == -EAGAIN)
			sched_yield();
	} while (err != -EPIPE);
}

struct task_see {
	struct apus_frame frame;
	struct seer *seer;
	struct message message;
	apus_poll err;
};

APUS_TASK(task_see, struct task_see)
{
	APUS_BEGIN(cx, self);
	do {
		/* Gives up at times: what comes in that moment is not lost. */
		APUS_AWAIT(self->err, apus_timeout(cx, self->seer->patience_ns,
			RD(recv)(cx, &self->seer->reader, &self->message)));
		if (self->err == 0)
			see(self->seer, &self->message);
	} while (self->err != -EPIPE);
	APUS_END(0);
}

static void *seer_run(void *arg)
{
	struct seer *seer = arg;
	struct task_see init = { .seer = seer };
	struct apus_config config;
	struct apus_loop *loop;

	if (seer->how == AS_TRY || seer->how == AS_THREAD) {
		thread_see(seer);
		return NULL;
	}
	apus_config_init(&config);
	config.slot_count = 64;
	config.log_fn = NULL;
	config.idle = seer->how == AS_PARK ? APUS_IDLE_PARK : APUS_IDLE_BUSY;
	if (apus_open(&loop, &config) != 0)
		abort();
	apus_run(loop, task_see, &init);
	apus_close(loop, NULL);
	return NULL;
}

static struct message message_of(uint64_t n)
{
	struct message message;
	int i;

	for (i = 0; i < WORDS; i++)
		message.word[i] = n * (uint64_t)(i + 1);
	return message;
}

static void write_all(struct cast *cast, uint64_t total, struct test_random *random)
{
	const struct timespec nap = { 0, 200 * 1000 };
	struct message batch[3];
	uint64_t n = 1, i, count;

	while (n <= total) {
		count = 1 + test_random_below(random, 3);
		if (count > total - n + 1)
			count = total - n + 1;
		for (i = 0; i < count; i++)
			batch[i] = message_of(n + i);
		PUBLISH(cast, batch, count);
		n += count;
		/* Long enough for sleepers to fall asleep, short enough to meet them at it. */
		if (test_random_below(random, 256) == 0)
			nanosleep(&nap, NULL);
		else
			dither(random);
	}
}

/* _i: which reader is slow, and which first place. */
START_TEST(every_reader_sees_whole_messages_in_order_or_knows_how_many_it_missed)
{
	static struct cast cast;
	static struct seer seers[READERS];
	struct test_random random = test_random_init(test_seed());
	uint64_t total = rounds(200000);
	int i;

	ck_assert_int_eq(RD(init_at)(&cast, firsts[(size_t)_i % (sizeof firsts / sizeof *firsts)],
		0), 0);
	for (i = 0; i < READERS; i++) {
		seers[i] = (struct seer){ .cast = &cast, .how = (enum how)i,
			.nap_every = i == _i ? 100 : 0, .patience_ns = 100 * APUS_USEC };
		START(&seers[i].reader, &cast);
		ck_assert_int_eq(pthread_create(&seers[i].thread, NULL, seer_run, &seers[i]), 0);
	}
	write_all(&cast, total, &random);
	RD(close)(&cast);
	for (i = 0; i < READERS; i++) {
		pthread_join(seers[i].thread, NULL);
		ck_assert_uint_eq(seers[i].wrong, 0);
		ck_assert_uint_eq(seers[i].received + RD(missed)(&seers[i].reader), total);
	}
	ck_assert_int_eq(RD(deinit)(&cast), 0);
}
END_TEST

/*
 * P5: each message is sent when the one before it was seen, so every one of them finds the
 * readers asleep, or at any step of falling asleep.
 */
START_TEST(no_reader_sleeps_through_a_message)
{
	static struct cast cast;
	static struct seer seers[READERS];
	struct test_random random = test_random_init(test_seed());
	uint64_t total = rounds(3000), n;
	int i;

	ck_assert_int_eq(RD(init)(&cast), 0);
	for (i = 0; i < READERS; i++) {
		seers[i] = (struct seer){ .cast = &cast,
			.how = i % 2 == 0 ? AS_THREAD : AS_PARK, .patience_ns = APUS_NEVER };
		START(&seers[i].reader, &cast);
		ck_assert_int_eq(pthread_create(&seers[i].thread, NULL, seer_run, &seers[i]), 0);
	}
	for (n = 1; n <= total; n++) {
		struct message message = message_of(n);

		PUBLISH(&cast, &message, 1);
		for (i = 0; i < READERS; i++)
			wait_until(apus_load_acquire(&seers[i].received) == n);
		dither(&random);
	}
	RD(close)(&cast);
	for (i = 0; i < READERS; i++) {
		pthread_join(seers[i].thread, NULL);
		ck_assert_uint_eq(seers[i].wrong, 0);
		ck_assert_uint_eq(RD(missed)(&seers[i].reader), 0);
	}
	ck_assert_int_eq(RD(deinit)(&cast), 0);
}
END_TEST

/* S5: whenever it is closed, whoever waits wakes. */
START_TEST(closing_at_any_time_ends_all)
{
	static struct cast cast;
	static struct seer seers[READERS];
	struct test_random random = test_random_init(test_seed());
	int round, i;

	for (round = 0; round < 30; round++) {
		ck_assert_int_eq(RD(init)(&cast), 0);
		for (i = 0; i < READERS; i++) {
			seers[i] = (struct seer){ .cast = &cast, .how = (enum how)i,
				.patience_ns = APUS_NEVER };
			START(&seers[i].reader, &cast);
			pthread_create(&seers[i].thread, NULL, seer_run, &seers[i]);
		}
		write_all(&cast, 1 + test_random_below(&random, 2000), &random);
		RD(close)(&cast);
		for (i = 0; i < READERS; i++) {
			pthread_join(seers[i].thread, NULL);
			ck_assert_uint_eq(seers[i].wrong, 0);
		}
		ck_assert_int_eq(RD(deinit)(&cast), 0);
	}
}
END_TEST

TEST_UNUSED static int readers_race(int argc, char **argv, const char *noun)
{
	TCase *all = test_case(noun);

	tcase_set_timeout(all, 4 * TEST_HANG_SECONDS);
	tcase_add_loop_test(all, every_reader_sees_whole_messages_in_order_or_knows_how_many_it_missed,
		0, READERS + 1);
	tcase_add_test(all, no_reader_sleeps_through_a_message);
	tcase_add_test(all, closing_at_any_time_ends_all);
	return test_run(argc, argv, all);
}
