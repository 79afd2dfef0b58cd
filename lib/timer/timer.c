#include <string.h>

#include "timer/unowned.h"

enum {
	LEVEL_WORDS = APUS_WHEEL_LEVEL_BUCKETS / 64,
	SETTLE_MAX = 256, /* so many timers are sorted to tell the next deadline */
	GATHER_MAX = 32,  /* so many are sorted before the first of them is fired */
	INSERT_MAX = 8    /* places to look at before a timer is left to the sort */
};

/* Longer ago than any clock began, and yet a time of day can be taken from it. */
#define AT_ONCE_NS (INT64_MIN / 2)

/* ---- lists ----------------------------------------------------------- */

static void list_init(struct apus_timer_link *head)
{
	head->next = head;
	head->prev = head;
}

static bool list_is_empty(const struct apus_timer_link *head)
{
	return head->next == head;
}

/* All of `from` behind all of `to`. */
static void list_splice(struct apus_timer_link *to, struct apus_timer_link *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* What stood before `first` is in other lists by now; `first` may be the head itself. */
static void list_cut(struct apus_timer_link *head, struct apus_timer_link *first)
{
	head->next = first;
	first->prev = head;
}

static struct apus_timer *timer_of(struct apus_timer_link *link)
{
	return apus_container_of(link, struct apus_timer, link);
}

static bool fires_before(struct apus_timer_link *a, struct apus_timer_link *b)
{
	const struct apus_timer *left = timer_of(a);
	const struct apus_timer *right = timer_of(b);

	if (left->deadline_ns != right->deadline_ns)
		return left->deadline_ns < right->deadline_ns;
	return left->seq < right->seq;
}

/* ---- sorting a batch: linked through next, ended by NULL --------------- */

static struct apus_timer_link *chain_merge(struct apus_timer_link *a, struct apus_timer_link *b)
{
	struct apus_timer_link head, *last = &head;

	while (a != NULL && b != NULL) {
		struct apus_timer_link **first = fires_before(b, a) ? &b : &a;

		last->next = *first;
		last = *first;
		*first = last->next;
	}
	last->next = a != NULL ? a : b;
	return head.next;
}

/* Merge sort from below: rung k of the ladder holds a sorted chain of 2^k. */
static struct apus_timer_link *chain_sort(struct apus_timer_link *chain)
{
	struct apus_timer_link *ladder[33];
	struct apus_timer_link *sorted = NULL;
	unsigned height = 0, rung;

	while (chain != NULL) {
		struct apus_timer_link *one = chain;

		chain = chain->next;
		one->next = NULL;
		for (rung = 0; rung < height && ladder[rung] != NULL; rung++) {
			one = chain_merge(ladder[rung], one);
			ladder[rung] = NULL;
		}
		ladder[rung] = one;
		if (rung == height)
			height++;
	}
	for (rung = 0; rung < height; rung++)
		sorted = chain_merge(ladder[rung], sorted);
	return sorted;
}

static struct apus_timer_link *chain_link_back(struct apus_timer_link *chain)
{
	struct apus_timer_link *prev = NULL;

	for (; chain != NULL; chain = chain->next) {
		chain->prev = prev;
		prev = chain;
	}
	return prev;
}

static void list_insert(struct apus_timer_link *after, struct apus_timer_link *link)
{
	link->next = after->next;
	link->prev = after;
	after->next->prev = link;
	after->next = link;
}

/* Into the sorted due list, if the place is near its end, where nearly all belong. */
static bool due_insert(struct apus_timer_link *due, struct apus_timer_link *link)
{
	struct apus_timer_link *after = due->prev;

	for (unsigned i = 0; after != due && fires_before(link, after); after = after->prev) {
		if (++i == INSERT_MAX)
			return false;
	}
	list_insert(after, link);
	return true;
}

/* Empties the batch into the due list. */
static void due_merge(struct apus_timer_link *due, struct apus_timer_link *batch)
{
	struct apus_timer_link *after = due->prev;
	struct apus_timer_link *link;

	if (list_is_empty(batch))
		return;
	batch->prev->next = NULL;
	link = chain_link_back(chain_sort(batch->next));
	while (link != NULL) {
		struct apus_timer_link *before = link->prev;

		while (after != due && fires_before(link, after))
			after = after->prev;
		list_insert(after, link);
		link = before;
	}
}

/* ---- buckets --------------------------------------------------------- */

/* The first set bit of a level at or above `from`; LEVEL_BUCKETS when there is none. */
static unsigned level_scan(const struct apus_wheel *wheel, unsigned level, unsigned from)
{
	const uint64_t *words = &wheel->occupied[level * LEVEL_WORDS];
	unsigned i = from / 64;
	uint64_t word = words[i] >> (from % 64) << (from % 64);

	while (word == 0) {
		if (++i == LEVEL_WORDS)
			return APUS_WHEEL_LEVEL_BUCKETS;
		word = words[i];
	}
	return i * 64 + (unsigned)__builtin_ctzll(word);
}

struct bucket {
	unsigned index;   /* among all buckets */
	int64_t start_ns;
};

/* Bits of buckets that the elapsed time has left behind are of timers long gone. */
static void level_clear(struct apus_wheel *wheel, unsigned level)
{
	memset(&wheel->occupied[level * LEVEL_WORDS], 0, LEVEL_WORDS * sizeof *wheel->occupied);
	wheel->levels &= ~(1u << level);
}

/* Buckets of a lower level come before those of a higher one. */
static bool wheel_first(struct apus_wheel *wheel, struct bucket *first)
{
	while (wheel->levels != 0) {
		unsigned level = (unsigned)__builtin_ctz(wheel->levels);
		unsigned shift = wheel->shift + level * APUS_WHEEL_LEVEL_BITS;
		uint64_t tick = (uint64_t)wheel->elapsed_ns >> shift;
		unsigned now = tick % APUS_WHEEL_LEVEL_BUCKETS;
		unsigned slot = level_scan(wheel, level, now);

		if (slot == APUS_WHEEL_LEVEL_BUCKETS) {
			level_clear(wheel, level);
			continue;
		}
		first->index = level * APUS_WHEEL_LEVEL_BUCKETS + slot;
		first->start_ns = (int64_t)((tick - now + slot) << shift);
		return true;
	}
	return false;
}

static void wheel_clear_bit(struct apus_wheel *wheel, unsigned index)
{
	wheel->occupied[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

/*
 * Empties the buckets, one a level, in which the elapsed time is.  It may have entered them
 * unopened, while nothing in them was due, and they may hold the earliest timer of all.
 */
static void wheel_open_entered(struct apus_wheel *wheel)
{
	for (uint32_t levels = wheel->levels; levels != 0; levels &= levels - 1) {
		unsigned level = (unsigned)__builtin_ctz(levels);
		uint64_t tick = (uint64_t)wheel->elapsed_ns >>
			(wheel->shift + level * APUS_WHEEL_LEVEL_BITS);
		unsigned index = level * APUS_WHEEL_LEVEL_BUCKETS + tick % APUS_WHEEL_LEVEL_BUCKETS;

		if (wheel->occupied[index / 64] >> (index % 64) & 1) {
			wheel_clear_bit(wheel, index);
			list_splice(&wheel->moving, &wheel->buckets[index]);
		}
	}
}

/*
 * Moves the elapsed time into the bucket and its timers out; false when it was empty.  One
 * that is alone in a bucket of the lowest level is in order where the due list ends.
 */
static bool wheel_open(struct apus_wheel *wheel, const struct bucket *bucket)
{
	struct apus_timer_link *list = &wheel->buckets[bucket->index];
	struct apus_timer_link *to = &wheel->moving;

	wheel->elapsed_ns = bucket->start_ns | wheel->bucket_mask_ns;
	wheel_clear_bit(wheel, bucket->index);
	if (list_is_empty(list))
		return false;
	if (list->next == list->prev && bucket->index < APUS_WHEEL_LEVEL_BUCKETS) {
		to = &wheel->due;
		wheel->due_count++;
	}
	list_splice(to, list);
	return true;
}

/* When there is work again, but for what is fresh or moving.  Clears bits of empty buckets. */
static int64_t wheel_bound_ns(struct apus_wheel *wheel)
{
	int64_t bound_ns = wheel->crowd_ns;
	struct bucket first;

	if (!list_is_empty(&wheel->due) && timer_of(wheel->due.next)->deadline_ns < bound_ns)
		bound_ns = timer_of(wheel->due.next)->deadline_ns;
	while (bound_ns == APUS_NEVER && wheel_first(wheel, &first)) {
		if (!list_is_empty(&wheel->buckets[first.index]))
			return first.start_ns;
		wheel_clear_bit(wheel, first.index);
	}
	return bound_ns;
}

/* ---- advance --------------------------------------------------------- */

/*
 * Takes up to `budget` timers out of `moving`: those of a later bucket go down a level or
 * more, the others, sorted, into the due list.
 */
static uint32_t wheel_move(struct apus_wheel *wheel, uint32_t budget)
{
	struct apus_timer_link batch = { &batch, &batch };
	struct apus_timer_link *link = wheel->moving.next, *next;
	uint32_t moved = 0;

	for (; moved < budget && link != &wheel->moving; moved++, link = next) {
		int64_t deadline_ns = timer_of(link)->deadline_ns;

		next = link->next;
		if (deadline_ns > wheel->elapsed_ns) {
			apus_timer_link_last(apus_wheel_bucket(wheel, deadline_ns), link);
			continue;
		}
		wheel->due_count++;
		if (!due_insert(&wheel->due, link))
			apus_timer_link_last(&batch, link);
	}
	list_cut(&wheel->moving, link);
	due_merge(&wheel->due, &batch);
	return moved;
}

/*
 * The due list is full of timers that are not due yet.  Sorting more into it would walk
 * more than a budget, so what is left is only parted by the time: the due before the list,
 * the others into the crowd, which is looked at again when its earliest is due.
 */
static uint32_t wheel_part(struct apus_wheel *wheel, int64_t now_ns, uint32_t budget)
{
	struct apus_timer_link batch = { &batch, &batch };
	struct apus_timer_link *link = wheel->moving.next, *next;
	uint32_t parted = 0;

	for (; parted < budget && link != &wheel->moving; parted++, link = next) {
		struct apus_timer_link *to = &wheel->crowd;
		int64_t deadline_ns = timer_of(link)->deadline_ns;

		next = link->next;
		if (deadline_ns > wheel->elapsed_ns) {
			to = apus_wheel_bucket(wheel, deadline_ns);
		} else if (deadline_ns <= now_ns) {
			to = &batch;
			wheel->due_count++;
		} else if (deadline_ns < wheel->crowd_ns) {
			wheel->crowd_ns = deadline_ns;
		}
		apus_timer_link_last(to, link);
	}
	list_cut(&wheel->moving, link);
	due_merge(&wheel->due, &batch);
	return parted;
}

static void crowd_disperse(struct apus_wheel *wheel)
{
	list_splice(&wheel->moving, &wheel->crowd);
	wheel->crowd_ns = APUS_NEVER;
}

static bool due_is_ready(const struct apus_wheel *wheel, int64_t now_ns)
{
	return !list_is_empty(&wheel->due) && timer_of(wheel->due.next)->deadline_ns <= now_ns;
}

/* How many more the due list takes.  Timers leave it without a word, so look before: full. */
static uint64_t due_room(struct apus_wheel *wheel, uint32_t budget)
{
	uint64_t count = 0;

	if (wheel->due_count < budget)
		return budget - wheel->due_count;
	for (struct apus_timer_link *link = wheel->due.next; link != &wheel->due; link = link->next) {
		if (++count == budget)
			return 0;
	}
	wheel->due_count = count;
	return budget - count;
}

static uint32_t wheel_fire(struct apus_wheel *wheel, struct apus_cx *cx, int64_t now_ns,
	uint32_t budget)
{
	uint32_t fired = 0;

	while (fired < budget && due_is_ready(wheel, now_ns)) {
		struct apus_timer *timer = timer_of(wheel->due.next);

		apus_timer_unlink(&timer->link);
		wheel->due_count--;
		wheel->retired_count++;
		wheel->fired_count++;
		fired++;
		timer->fn(cx, timer);
	}
	if (list_is_empty(&wheel->due))
		wheel->due_count = 0;
	return fired;
}

/* Brings what is out of the buckets in order, until that is all or the due list is full. */
static uint32_t wheel_sort(struct apus_wheel *wheel, int64_t now_ns, uint32_t budget,
	uint32_t left)
{
	uint32_t done = 0;

	if (apus_unlikely(wheel->crowd_ns <= now_ns))
		crowd_disperse(wheel);
	while (!list_is_empty(&wheel->moving) && done < left) {
		uint64_t room = due_room(wheel, budget);

		if (room > 0)
			done += wheel_move(wheel, left - done < room ? left - done : (uint32_t)room);
		else if (!due_is_ready(wheel, now_ns))
			done += wheel_part(wheel, now_ns, left - done);
		else
			break;
	}
	return done;
}

/* False when no bucket is left that may hold something due. */
static bool wheel_open_next(struct apus_wheel *wheel, uint32_t *left)
{
	struct bucket bucket;

	while (*left > 0) {
		if (!wheel_first(wheel, &bucket) || bucket.start_ns > wheel->floor_ns)
			return false;
		if (wheel_open(wheel, &bucket))
			break;
		/* An empty bucket is a step as well, though no work: a turn has a ceiling. */
		--*left;
	}
	return true;
}

/*
 * Until nothing is left that may be due; false when the budget ended first.  Nothing is
 * fired while `moving` may still hold something earlier, unless a whole budget is sorted
 * already: then order is kept per bucket only, and waiting longer would help nobody.
 */
static bool wheel_run(struct apus_wheel *wheel, struct apus_cx *cx, int64_t now_ns,
	uint32_t budget, uint32_t *work)
{
	uint32_t left = budget;
	bool is_last = false;

	while (left > 0) {
		uint32_t done = wheel_sort(wheel, now_ns, budget, left);

		*work += done;
		left -= done;
		/* A few buckets at a time: the loops are longer, and easier to foresee. */
		if (!is_last && list_is_empty(&wheel->moving) &&
		    (wheel->due_count < GATHER_MAX || !due_is_ready(wheel, now_ns))) {
			is_last = !wheel_open_next(wheel, &left);
			if (!is_last)
				continue;
		}
		done = wheel_fire(wheel, cx, now_ns, left);
		*work += done;
		left -= done;
		if (done == 0 && is_last && left > 0)
			return true;
	}
	return false;
}

uint32_t apus_wheel_advance_slow(struct apus_wheel *wheel, struct apus_cx *cx, int64_t now_ns,
	uint32_t budget)
{
	int64_t floor_ns = wheel->floor_ns;
	int64_t bound_ns = INT64_MIN;
	uint32_t work = 0;

	APUS_ASSERT(!wheel->is_advancing);
	wheel->is_advancing = true;
	if (now_ns > floor_ns)
		floor_ns = now_ns | wheel->bucket_mask_ns;
	wheel->floor_ns = floor_ns;
	/* No timer is earlier than next_ns, so its bucket may be entered at once. */
	if (wheel->next_ns > wheel->elapsed_ns)
		wheel->elapsed_ns = wheel->next_ns | wheel->bucket_mask_ns;
	wheel->next_ns = APUS_NEVER; /* callbacks that arm lower it */
	list_splice(&wheel->moving, &wheel->fresh);
	wheel_open_entered(wheel);
	if (wheel_run(wheel, cx, now_ns, budget, &work)) {
		wheel->elapsed_ns = floor_ns;
		bound_ns = wheel_bound_ns(wheel);
	}
	/* The inline half of an advance from a callback, which the flag does not stop. */
	APUS_ASSERT(wheel->floor_ns == floor_ns);
	if (bound_ns < wheel->next_ns)
		wheel->next_ns = bound_ns;
	wheel->is_advancing = false;
	return work;
}

/* Sorts what the current bucket got since the last advance; false when that is too much. */
static bool wheel_settle(struct apus_wheel *wheel)
{
	if (!list_is_empty(&wheel->moving) || wheel->due_count >= SETTLE_MAX)
		return false;
	list_splice(&wheel->moving, &wheel->fresh);
	wheel_open_entered(wheel);
	crowd_disperse(wheel);
	wheel_move(wheel, SETTLE_MAX - (uint32_t)wheel->due_count);
	return list_is_empty(&wheel->moving);
}

int64_t apus_wheel_next_ns(struct apus_wheel *wheel)
{
	int64_t bound_ns;

	APUS_ASSERT(!wheel->is_advancing);
	if (apus_wheel_pending_count(wheel) == 0)
		return wheel->next_ns = APUS_NEVER;
	/* The old bound holds as well, and is exact for a timer armed as the earliest. */
	if (wheel_settle(wheel)) {
		bound_ns = wheel_bound_ns(wheel);
		if (bound_ns > wheel->next_ns)
			wheel->next_ns = bound_ns;
	}
	return wheel->next_ns > AT_ONCE_NS ? wheel->next_ns : AT_ONCE_NS;
}

/* ---- init and deinit ------------------------------------------------- */

static uint32_t log2_up(uint64_t value)
{
	return value < 2 ? 0 : 64u - (uint32_t)__builtin_clzll(value - 1);
}

int apus_wheel_init(struct apus_wheel *wheel, const struct apus_wheel_config *config,
	int64_t now_ns)
{
	static const struct apus_wheel_config defaults = { 0, 0 };
	int64_t resolution_ns;

	if (config == NULL)
		config = &defaults;
	resolution_ns = config->resolution_ns;
	if (resolution_ns < 0 || resolution_ns > INT64_C(1) << 32)
		return -EINVAL;
	memset(wheel, 0, sizeof *wheel);
	wheel->shift = log2_up((uint64_t)(resolution_ns ? resolution_ns : APUS_WHEEL_RESOLUTION_NS));
	wheel->bucket_mask_ns = (INT64_C(1) << wheel->shift) - 1;
	wheel->floor_ns = (now_ns > 0 ? now_ns : 0) | wheel->bucket_mask_ns;
	wheel->elapsed_ns = wheel->floor_ns;
	wheel->next_ns = APUS_NEVER;
	list_init(&wheel->fresh);
	list_init(&wheel->moving);
	list_init(&wheel->due);
	list_init(&wheel->crowd);
	wheel->crowd_ns = APUS_NEVER;
	for (unsigned i = 0; i < APUS_WHEEL_BUCKETS_MAX; i++)
		list_init(&wheel->buckets[i]);
	return apusi_unowned_init(wheel, config->unowned_count);
}

static void list_disarm(struct apus_timer_link *head)
{
	while (!list_is_empty(head))
		apus_timer_unlink(head->next);
}

void apus_wheel_deinit(struct apus_wheel *wheel)
{
	list_disarm(&wheel->fresh);
	list_disarm(&wheel->moving);
	list_disarm(&wheel->due);
	list_disarm(&wheel->crowd);
	for (unsigned i = 0; i < APUS_WHEEL_BUCKETS_MAX; i++)
		list_disarm(&wheel->buckets[i]);
	wheel->retired_count = wheel->seq;
	wheel->next_ns = APUS_NEVER;
	apusi_unowned_deinit(wheel);
}
