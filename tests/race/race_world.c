/*
 * Ids are the one thing that worlds of different threads share.  The threads meet before
 * every pair of new names and put both at once, in opposite order: so the same name, and
 * different names, race for an id.
 */
#include "apus/world.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

enum { CHILDREN = 40, THREADS = 2, PAIRS = 60, SPINS = 10000 };

struct racer {
	struct apus_world world;
	pthread_t thread;
	int number;
	int failed_count;
	char objects[2 * PAIRS];
};

static struct apus_resource names[2 * PAIRS];
static int arrived;

/* A barrier of the scheduler's would let the threads go one after the other. */
static void meet(int round)
{
	int spins = 0;

	__atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
	while (apus_load_acquire(&arrived) < THREADS * (round + 1))
		if (++spins % SPINS == 0)
			sched_yield();
}

static void *race(void *arg)
{
	struct racer *racer = arg;
	int i, name;

	for (i = 0; i < 2 * PAIRS; i++) {
		name = i ^ (racer->number & 1);
		if (i % 2 == 0)
			meet(i / 2);
		if (apus_world_put(&racer->world, &names[name], &racer->objects[name], NULL, NULL) != 0)
			racer->failed_count++;
	}
	for (i = 0; i < 2 * PAIRS; i++)
		if (apus_world_find(&racer->world, &names[i]) != &racer->objects[i])
			racer->failed_count++;
	return NULL;
}

/* The number of things that went wrong. */
static int race_all(void)
{
	static struct racer racers[THREADS];
	int i, j, failures = 0;

	for (i = 0; i < THREADS; i++) {
		racers[i].number = i;
		if (pthread_create(&racers[i].thread, NULL, race, &racers[i]) != 0)
			return 100;
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(racers[i].thread, NULL);
		failures += racers[i].failed_count;
	}
	for (i = 0; i < 2 * PAIRS; i++) {
		failures += names[i].id == 0 || names[i].id > APUS_RESOURCE_MAX;
		for (j = 0; j < i; j++)
			failures += names[i].id == names[j].id;
	}
	return failures < 99 ? failures : 99;
}

/* In children, because a process has but so many ids, and a lost race costs one. */
START_TEST(threads_that_put_new_names_at_once_agree_on_their_ids)
{
	int i, status;
	pid_t child;

	for (i = 0; i < CHILDREN; i++) {
		child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0)
			_exit(race_all());
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), 0);
	}
}
END_TEST

TEST_MAIN("world", threads_that_put_new_names_at_once_agree_on_their_ids)
