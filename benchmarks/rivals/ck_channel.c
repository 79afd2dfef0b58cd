/*
 * Concurrency Kit's ring: two shared indices and an array of pointers, here with numbers in
 * them.  One to one, and many to one.
 *
 * What differs: of 1024 slots it fills 1023; the index of each end is read by the other each
 * time; mpsc makes sure of its place with a compare and swap, and then waits for the producers
 * before it.
 * Left out: closing, which it has not; in cross/ a word beside the ring ends the producer.
 */
#include "../bench_channel.h"
#include "../bench_cross.h"

#include <ck_ring.h>

struct ring {
	ck_ring_t ring;
	ck_ring_buffer_t slots[CROSS_CAPACITY];
	uint32_t over __attribute__((__aligned__(64)));
};

static void ring_init(struct ring *ring)
{
	ck_ring_init(&ring->ring, CROSS_CAPACITY);
	ring->over = 0;
}

static inline int spsc_send(struct ring *ring, uint64_t message)
{
	return ck_ring_enqueue_spsc(&ring->ring, ring->slots, (void *)(uintptr_t)message) ? 0 : -1;
}

static inline int mpsc_send(struct ring *ring, uint64_t message)
{
	return ck_ring_enqueue_mpsc(&ring->ring, ring->slots, (void *)(uintptr_t)message) ? 0 : -1;
}

static inline int spsc_recv(struct ring *ring, uint64_t *message)
{
	void *value;

	if (!ck_ring_dequeue_spsc(&ring->ring, ring->slots, &value))
		return -1;
	*message = (uintptr_t)value;
	return 0;
}

static inline int mpsc_recv(struct ring *ring, uint64_t *message)
{
	void *value;

	if (!ck_ring_dequeue_mpsc(&ring->ring, ring->slots, &value))
		return -1;
	*message = (uintptr_t)value;
	return 0;
}

CHANNEL_PAIR(spsc_try, "channel/spsc_try", "ck", struct ring, ring_init(channel),
	spsc_send(channel, message), spsc_recv(channel, &out));
CHANNEL_PAIR(mpsc_try, "channel/mpsc_try", "ck", struct ring, ring_init(channel),
	mpsc_send(channel, message), mpsc_recv(channel, &out));

/* ---- from thread to thread ------------------------------------------------------- */

static void *spsc_feed(void *arg)
{
	struct ring *ring = arg;
	uint64_t next = 0;

	while (!__atomic_load_n(&ring->over, __ATOMIC_RELAXED))
		next += spsc_send(ring, next) == 0;
	return NULL;
}

static void *mpsc_feed(void *arg)
{
	struct ring *ring = arg;
	uint64_t next = 0;

	while (!__atomic_load_n(&ring->over, __ATOMIC_RELAXED))
		next += mpsc_send(ring, next) == 0;
	return NULL;
}

static inline void take(struct bench *b, struct ring *ring,
	int (*recv)(struct ring *ring, uint64_t *message))
{
	uint64_t message = 0, want = 0;
	uint32_t count;

	while (bench_more(b)) {
		for (count = 0; count < b->batch;) {
			if (recv(ring, &message) != 0)
				continue;
			if (message != want++)
				bench_fail(b, "a message was lost");
			count++;
		}
		bench_sample(b, b->batch);
	}
	__atomic_store_n(&ring->over, 1, __ATOMIC_RELEASE);
}

static void spsc_stream(struct bench *b)
{
	static struct ring ring;
	pthread_t thread;

	ring_init(&ring);
	if (!wake_thread(b, &thread, spsc_feed, &ring))
		return;
	take(b, &ring, spsc_recv);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(spsc_single, .row = "cross/spsc_stream/single", .who = "ck", .run = spsc_stream);

static void mpsc_stream(struct bench *b)
{
	static struct ring ring;
	pthread_t thread;

	ring_init(&ring);
	if (!wake_thread(b, &thread, mpsc_feed, &ring))
		return;
	take(b, &ring, mpsc_recv);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(mpsc_stream, .row = "cross/mpsc_stream", .who = "ck", .run = mpsc_stream);

/* ---- one message on its way, and there and back ------------------------------------ */

static int oneway_send(struct oneway *oneway, uint64_t stamp)
{
	struct ring *ring = oneway->channel;

	return spsc_send(ring, stamp);
}

static void oneway(struct bench *b)
{
	static struct ring ring;
	struct oneway way = { .b = b, .send = oneway_send, .channel = &ring };
	uint64_t stamp;

	ring_init(&ring);
	if (!oneway_begin(&way))
		return;
	while (!bench_stopping(b))
		if (spsc_recv(&ring, &stamp) == 0)
			oneway_saw(&way, stamp);
	oneway_end(&way);
}
BENCH_ENTRANT(oneway_ck, .row = "cross/oneway", .who = "ck", .run = oneway);

struct court {
	struct ring there, back;
};

static void *court_side(void *arg)
{
	struct court *court = arg;
	uint64_t ball;

	while (!__atomic_load_n(&court->there.over, __ATOMIC_RELAXED))
		if (spsc_recv(&court->there, &ball) == 0)
			spsc_send(&court->back, ball);
	return NULL;
}

static void pingpong(struct bench *b)
{
	static struct court court;
	uint64_t ball = 0, want = 0;
	pthread_t thread;

	ring_init(&court.there);
	ring_init(&court.back);
	if (!wake_thread(b, &thread, court_side, &court))
		return;
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			spsc_send(&court.there, ++want);
			while (spsc_recv(&court.back, &ball) != 0)
				;
			if (ball != want)
				bench_fail(b, "a message was lost");
		}
		bench_sample(b, b->batch);
	}
	__atomic_store_n(&court.there.over, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}
BENCH_ENTRANT(pingpong_ck, .row = "cross/pingpong", .who = "ck", .run = pingpong);
