/*
 * The least that arms and disarms in order: 4096 circular lists of 2^16 ns each (268 ms
 * together), and one more for all that lies beyond.
 *
 * Left out: firing, moving the far ones nearer, the next deadline, re-arming what is
 * armed.  Kept: arming order in a bucket, disarming twice is harmless, the pending count.
 * There is no limit for arm_fire: libev is its rival.
 */
#include "../bench_timer.h"

#define BUCKET_COUNT 4096
#define BUCKET_SHIFT 16

struct link {
	struct link *next;
	struct link *prev;
};

struct timer {
	struct link link;
	int64_t deadline_ns;
	void (*fn)(struct timer *timer);
};

struct wheel {
	int64_t now_ns;
	uint64_t pending;
	struct link far;
	struct link buckets[BUCKET_COUNT];
};

static void link_init(struct link *link)
{
	link->next = link;
	link->prev = link;
}

static inline void arm(struct wheel *wheel, struct timer *timer, int64_t deadline_ns)
{
	int64_t ahead = (deadline_ns >> BUCKET_SHIFT) - (wheel->now_ns >> BUCKET_SHIFT);
	struct link *head = &wheel->far;

	if (ahead < BUCKET_COUNT)
		head = &wheel->buckets[(deadline_ns >> BUCKET_SHIFT) & (BUCKET_COUNT - 1)];
	timer->deadline_ns = deadline_ns;
	timer->link.next = head;
	timer->link.prev = head->prev;
	head->prev->next = &timer->link;
	head->prev = &timer->link;
	wheel->pending++;
}

static inline void disarm(struct wheel *wheel, struct timer *timer)
{
	if (timer->link.next == NULL)
		return;
	timer->link.prev->next = timer->link.next;
	timer->link.next->prev = timer->link.prev;
	timer->link.next = NULL;
	wheel->pending--;
}

static struct timer *populate(struct bench *b, struct wheel *wheel, size_t count)
{
	struct timer *timers = bench_pages(b, (count + 1) * sizeof *timers);
	uint64_t state = BENCH_SEED;

	wheel->now_ns = 0;
	wheel->pending = 0;
	link_init(&wheel->far);
	for (int i = 0; i < BUCKET_COUNT; i++)
		link_init(&wheel->buckets[i]);
	for (size_t i = 0; timers != NULL && i < count; i++)
		arm(wheel, &timers[i], timer_delay_far(&state));
	return timers;
}

static void arm_disarm(struct bench *b)
{
	static struct wheel wheel;
	size_t count = (size_t)b->arg;
	struct timer *timers = populate(b, &wheel, count);
	int64_t delays[TIMER_DELAYS];
	struct timer *timer;

	if (timers == NULL)
		return;
	timer = &timers[count];
	timer_delays_near(delays);
	while (bench_more(b)) {
		for (uint32_t i = 0; i < b->batch; i++) {
			arm(&wheel, timer, wheel.now_ns + delays[i % TIMER_DELAYS]);
			bench_use(timer);
			disarm(&wheel, timer);
			bench_use(&wheel);
		}
		bench_sample(b, b->batch);
	}
	if (wheel.pending != count)
		bench_fail(b, "%llu timers left", (unsigned long long)wheel.pending);
	bench_pages_free(timers, (count + 1) * sizeof *timers);
}
BENCH_ENTRANT(arm_disarm_0_limit, .row = "timer/arm_disarm/0", .who = "limit",
	.run = arm_disarm, .arg = 0);
BENCH_ENTRANT(arm_disarm_10k_limit, .row = "timer/arm_disarm/10k", .who = "limit",
	.run = arm_disarm, .arg = 10000);
BENCH_ENTRANT(arm_disarm_1m_limit, .row = "timer/arm_disarm/1M", .who = "limit",
	.run = arm_disarm, .arg = 1000000);
BENCH_ENTRANT(arm_disarm_10m_limit, .row = "timer/arm_disarm/10M", .who = "limit",
	.run = arm_disarm, .arg = 10000000);
