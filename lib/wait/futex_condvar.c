#include <pthread.h>
#include <time.h>

#include "wait/futex.h"

/*
 * Without a futex: words share a few condition variables by their address.  A waker takes the
 * mutex, so it comes before the sleeper's look at the word or after it sleeps; waking a
 * stranger costs that one another look.
 *
 * A word in memory that processes share may be woken from where our condition variables are
 * not: such a sleep ends after a millisecond, and its caller looks again.
 */

enum { PLACES = 16 };

#define SHARED_SLICE_NS APUS_MSEC

struct place {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
};

#define PLACE { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER }
#define PLACES_4 PLACE, PLACE, PLACE, PLACE

static struct place futex_places[PLACES] = { PLACES_4, PLACES_4, PLACES_4, PLACES_4 };

static struct place *place_of(const uint32_t *word)
{
	uint64_t key = (uint64_t)(uintptr_t)word * UINT64_C(0x9e3779b97f4a7c15);

	return &futex_places[key >> 60];
}

/* Condition variables wait for the wall clock, unless they were made by a call. */
static struct timespec deadline_of(int64_t timeout_ns)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	ns = apus_ns_add(now.tv_sec * APUS_SEC + now.tv_nsec, timeout_ns);
	return (struct timespec){ .tv_sec = ns / APUS_SEC, .tv_nsec = ns % APUS_SEC };
}

static int place_wait(struct place *place, int64_t timeout_ns)
{
	struct timespec deadline;

	if (timeout_ns == APUS_NEVER)
		return -pthread_cond_wait(&place->cond, &place->mutex);
	deadline = deadline_of(timeout_ns);
	return -pthread_cond_timedwait(&place->cond, &place->mutex, &deadline);
}

int apusi_futex_wait(uint32_t *word, uint32_t value, int64_t timeout_ns, bool shared)
{
	struct place *place = place_of(word);
	bool sliced = shared && timeout_ns > SHARED_SLICE_NS;
	int err = 0;

	if (timeout_ns <= 0)
		return -ETIME;
	pthread_mutex_lock(&place->mutex);
	if (apus_load_full(word) == value)
		err = place_wait(place, sliced ? SHARED_SLICE_NS : timeout_ns);
	pthread_mutex_unlock(&place->mutex);
	return err == -ETIMEDOUT && !sliced ? -ETIME : 0;
}

void apusi_futex_wake_all(uint32_t *word, bool shared)
{
	struct place *place = place_of(word);

	(void)shared;
	pthread_mutex_lock(&place->mutex);
	pthread_cond_broadcast(&place->cond);
	pthread_mutex_unlock(&place->mutex);
}

/* Words share a place, so the one that would be woken might be another's. */
void apusi_futex_wake_one(uint32_t *word, bool shared)
{
	apusi_futex_wake_all(word, shared);
}
