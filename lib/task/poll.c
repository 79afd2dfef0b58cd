/*
 * Polling: the tasks phase of a turn.
 */
#include <sys/mman.h>

#include "task/inner.h"

static void task_timer_fired(struct apus_cx *cx, struct apus_timer *timer)
{
	struct apus_task *task = apus_container_of(timer, struct apus_task, timer);

	task->flags &= ~(uint64_t)APUS_TASK_TIMED;
	apus_task_wake(cx, task);
}

/* The wheel is touched only when the deadline changed. */
static inline void task_retime(struct apus_cx *cx, struct apus_task *task)
{
	bool armed = (task->flags & APUS_TASK_TIMED) != 0;

	if (!(cx->flags & APUS_CX_TIMED)) {
		if (armed)
			apusi_timer_drop(cx, task);
		return;
	}
	if (armed && task->timer.deadline_ns == cx->deadline_ns)
		return;
	task->flags |= APUS_TASK_TIMED;
	task->timer.fn = task_timer_fired;
	apus_timer_arm(cx->wheel, &task->timer, cx->deadline_ns);
}

/* Drops every wait that this poll did not renew; a grant passes to the next waiter. */
static void waits_settle(struct apus_cx *cx, struct apus_task *task)
{
	struct apus_wait *wait, *next;
	bool broken = false;

	for (wait = task->waits; wait != NULL; wait = next) {
		next = wait->task_next;
		if (wait->stamp != apus_task_poll_seq(task))
			apus_wait_drop(cx, wait);
		else if (wait->state == APUS_WAIT_BROKEN)
			broken = true;
	}
	if (!broken)
		task->flags &= ~(uint64_t)APUS_TASK_BROKEN;
}

/* Ready again in the next turn.  The ring begins at 0 and has room for all: it never wraps. */
static inline void lane_defer(struct apus_lane *lane, struct apus_task *task, uint64_t flags)
{
	task->flags = flags | APUS_TASK_QUEUED;
	lane->deferred.slots[lane->deferred.tail++] = task;
}

/* A task that waits, or did, or has a timer, or had, or was woken in its own poll. */
static void task_settle_waits(struct apus_cx *cx, struct apus_task *task)
{
	if (task->flags & APUS_TASK_WAITS)
		waits_settle(cx, task);
	task_retime(cx, task);
	/* Something may have made it ready in this turn already. */
	if (cx->flags & APUS_CX_YIELD && !(task->flags & APUS_TASK_QUEUED))
		lane_defer(&cx->lanes[task->flags & APUS_TASK_NORMAL], task, task->flags);
}

/* What makes the end of a task more than a result and a free slot. */
enum {
	TASK_TIED = APUS_TASK_EXTRA | APUS_TASK_BOXED | APUS_TASK_IN_SET | APUS_TASK_HOOKED |
		    APUS_TASK_QUEUED | APUS_TASK_BROKEN | APUS_TASK_WAITS | APUS_TASK_TIMED
};

/* A poll whose task has ended. */
static __attribute__((noinline)) void task_leave(struct apus_cx *cx, struct apus_task *task,
	apus_poll value)
{
	cx->task = NULL;
	if (apus_unlikely(cx->flags & APUS_CX_ABORTED)) {
		apusi_task_abort(cx, task);
		return;
	}
	if (APUS_DEBUG)
		cx->counts.frames_abandoned += (uint32_t)task->flags / APUS_TASK_FRAME;
	if (task->flags & TASK_TIED || task->kind->cleanup != NULL) {
		apusi_task_end(cx, task, value);
		return;
	}
	cx->counts.ended++;
	if (!(task->flags & APUS_TASK_JOINABLE)) {
		apus_task_free(cx, task);
		return;
	}
	task->flags = (task->flags & APUS_TASK_JOINED) | APUS_TASK_ENDED | APUS_TASK_JOINABLE;
	task->result = value;
	apusi_joiner_wake(cx, task);
}

/* What a poll must look at before the task's function: all else is fast. */
enum {
	TASK_DEAD = APUS_TASK_NO_POLL | APUS_TASK_RELEASED,
	TASK_SPECIAL = TASK_DEAD | APUS_TASK_BROKEN | APUS_TASK_BOXED | APUS_TASK_HOT
};

/* After a poll that answered pending and is not over with that. */
static __attribute__((noinline)) void task_suspend(struct apus_cx *cx, struct apus_task *task)
{
	if (cx->flags & APUS_CX_ABORTED)
		task_leave(cx, task, 0);
	else
		task_settle_waits(cx, task);
}

/* Debug builds: a local that is expected to live across an await does not. */
static __attribute__((noinline)) void stack_scribble(void)
{
	unsigned char below[2048];

	memset(below, 0xa5, sizeof below);
	__asm__ volatile("" : : "r"(below) : "memory");
}

/* What a poll may leave behind in the task; what it asked for is in cx: other bits, one test. */
enum { TASK_BUSY = APUS_TASK_WAITS | APUS_TASK_TIMED | APUS_TASK_QUEUED };
_Static_assert((TASK_BUSY & (APUS_CX_YIELD | APUS_CX_ABORTED | APUS_CX_BROKEN | APUS_CX_TIMED)) == 0,
	"task_enter tests both at once");

static inline __attribute__((always_inline)) void task_enter(struct apus_cx *cx,
	struct apus_lane *lane, struct apus_task *task, uint32_t cx_flags, void *state)
{
	apus_poll value;
	uint32_t left;

	if (APUS_DEBUG) {
		stack_scribble();
		cx->stack = __builtin_frame_address(0);
		cx->frame = NULL; /* the last poll's */
	}
	cx->task = task;
	cx->flags = cx_flags;
	cx->suspended = NULL;
	value = task->kind->poll(cx, state);
	if (apus_unlikely(value != APUS_PENDING)) {
		task_leave(cx, task, value);
		return;
	}
	if (task->frame != cx->suspended) /* mostly the same as last time */
		task->frame = cx->suspended;
	left = ((uint32_t)task->flags & TASK_BUSY) | cx->flags;
	if (left == APUS_CX_YIELD)
		lane_defer(lane, task, task->flags);
	else if (left != 0)
		task_suspend(cx, task);
}

/* No longer queued, and one poll later; QUEUED is set, so an addition clears it. */
static inline void task_unqueue(struct apus_task *task)
{
	task->flags += (UINT64_C(1) << 32) - APUS_TASK_QUEUED;
}

/*
 * Popped although it is over; or its state is elsewhere; or a wait of it is broken ...  False
 * for a retry of a hot socket that found nothing: that is no work.
 */
static __attribute__((noinline)) bool task_poll_special(struct apus_cx *cx,
	struct apus_task *task, uint64_t flags)
{
	uint64_t ended = cx->counts.ended;

	task_unqueue(task);
	task->flags &= ~(uint64_t)APUS_TASK_HOT;
	if (flags & APUS_TASK_RELEASED) {
		cx->counts.lingering--;
		apus_task_free(cx, task);
	}
	if (flags & TASK_DEAD)
		return true;
	task_enter(cx, &cx->lanes[flags & APUS_TASK_NORMAL], task,
		flags & APUS_TASK_BROKEN ? APUS_CX_BROKEN : 0, apus_task_state(task));
	return !(flags & APUS_TASK_HOT) || ended != cx->counts.ended;
}

/* False: it was no work. */
static inline __attribute__((always_inline)) bool task_poll(struct apus_cx *cx,
	struct apus_lane *lane, struct apus_task *task)
{
	if (apus_unlikely(task->flags & TASK_SPECIAL))
		return task_poll_special(cx, task, task->flags);
	task_unqueue(task);
	task_enter(cx, lane, task, 0, task + 1);
	return true;
}

/* A debug option: wakes a pending task for no reason, one time in four. */
static void spurious_wake(struct apus_cx *cx, struct apus_task *task, uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	if ((*state & 3) == 0 && (task->flags & APUS_TASK_LIVE))
		apus_task_wake(cx, task);
}

/* The phase with somebody watching each poll: the stall hook, or spurious wakes. */
static bool task_poll_watched(struct apus_cx *cx, struct apus_lane *lane, struct apus_task *task,
	struct apusi_task_watch *watch)
{
	const struct apus_kind *kind = task->kind;
	bool polled = !(task->flags & TASK_DEAD);
	bool work;

	if (polled && watch->before != NULL)
		watch->before(watch->arg, task);
	work = task_poll(cx, lane, task);
	if (polled && watch->after != NULL)
		watch->after(watch->arg, kind);
	if (polled && watch->spurious != 0)
		spurious_wake(cx, task, &watch->spurious);
	return work;
}

/*
 * While something urgent is ready: urgent before normal, but one poll in ratio is normal's, if
 * it has any.  The streak outlives the turn, or a small budget would starve normal.
 */
static inline struct apus_lane *lane_pick(struct apus_cx *cx, uint32_t ratio)
{
	struct apus_lane *normal = &cx->lanes[APUS_LANE_NORMAL];

	if (++cx->urgent_streak < ratio || apus_ready_is_empty(&normal->ready))
		return &cx->lanes[APUS_LANE_URGENT];
	cx->urgent_streak = 0;
	return normal;
}

static inline __attribute__((always_inline)) void lane_poll(struct apus_cx *cx,
	struct apus_lane *lane, struct apus_task *task, struct apusi_task_watch *watch,
	uint32_t *idle)
{
	if (!(watch != NULL ? task_poll_watched(cx, lane, task, watch) : task_poll(cx, lane, task)))
		++*idle;
}

/*
 * Up to limit polls, fewer if the lanes run empty; how many.  Where normal's ring is at is
 * kept in a register, and written back where somebody looks: polls only push.
 */
static inline __attribute__((always_inline)) uint32_t lanes_run(struct apus_cx *cx,
	uint32_t limit, uint32_t lane_ratio, struct apusi_task_watch *watch, uint32_t *idle)
{
	struct apus_lane *urgent = &cx->lanes[APUS_LANE_URGENT];
	struct apus_lane *normal = &cx->lanes[APUS_LANE_NORMAL];
	struct apus_task **slots = normal->ready.slots;
	uint32_t head = normal->ready.head, mask = normal->ready.mask, left;

	for (left = limit; left != 0; left--) {
		if (apus_unlikely(!apus_ready_is_empty(&urgent->ready))) {
			struct apus_lane *lane;

			normal->ready.head = head;
			lane = lane_pick(cx, lane_ratio);
			lane_poll(cx, lane, apus_ready_pop(&lane->ready), watch, idle);
			head = normal->ready.head;
		} else if (apus_likely(head != normal->ready.tail)) {
			struct apus_task *task = slots[head++ & mask];

			lane_poll(cx, normal, task, watch, idle);
		} else {
			break;
		}
	}
	normal->ready.head = head;
	cx->task = NULL;
	cx->counts.polls += limit - left;
	return limit - left;
}

/* The same with a look at the quota every few polls. */
static __attribute__((noinline)) uint32_t tasks_run_watched(struct apus_cx *cx,
	const struct apusi_task_limits *limits, struct apusi_task_watch *watch)
{
	uint32_t total = 0, idle = 0, limit, ran;

	do {
		limit = limits->budget - total;
		if (limit > limits->check_every)
			limit = limits->check_every;
		ran = lanes_run(cx, limit, limits->lane_ratio, watch, &idle);
		total += ran;
	} while (ran == limit && total < limits->budget && !watch->is_over(watch->arg));
	return total - idle;
}

uint32_t apusi_tasks_run(struct apus_cx *cx, const struct apusi_task_limits *limits,
	struct apusi_task_watch *watch)
{
	uint32_t idle = 0;

	if (apus_unlikely(watch->is_watched))
		return tasks_run_watched(cx, limits, watch);
	return lanes_run(cx, limits->budget, limits->lane_ratio, NULL, &idle) - idle;
}

/* In two pieces where `to` wraps; what is deferred begins at 0. */
void apusi_ready_append(struct apus_ready *to, const struct apus_ready *from)
{
	uint32_t at = to->tail & to->mask, room = to->mask + 1 - at;
	uint32_t first = from->tail < room ? from->tail : room;

	memcpy(to->slots + at, from->slots, first * sizeof *from->slots);
	memcpy(to->slots, from->slots + first, (from->tail - first) * sizeof *from->slots);
	to->tail += from->tail;
}

uint32_t apusi_tasks_ready_count(const struct apus_cx *cx)
{
	uint32_t count = 0, i;

	for (i = 0; i < 2; i++)
		count += cx->lanes[i].ready.tail - cx->lanes[i].ready.head +
			 cx->lanes[i].deferred.tail - cx->lanes[i].deferred.head;
	return count;
}

/* ---- opening ------------------------------------------------------------------- */

enum { RINGS = 4 };

static uint32_t ring_slots(uint32_t task_count)
{
	uint32_t slots = 1;

	while (slots < task_count)
		slots <<= 1;
	return slots;
}

int apusi_tasks_open(struct apus_cx *cx)
{
	struct apus_ready *rings[RINGS] = { &cx->lanes[0].ready, &cx->lanes[0].deferred,
		&cx->lanes[1].ready, &cx->lanes[1].deferred };
	uint32_t slots = ring_slots(cx->tasks.capacity), i;
	size_t bytes = sizeof(struct apus_task *) * slots;
	void *memory = mmap(NULL, RINGS * bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	for (i = 0; i < RINGS; i++) {
		rings[i]->slots = (struct apus_task **)((char *)memory + i * bytes);
		rings[i]->head = rings[i]->tail = 0;
		rings[i]->mask = slots - 1;
	}
	cx->rings = memory;
	return 0;
}

void apusi_tasks_close(struct apus_cx *cx)
{
	if (cx->rings != NULL)
		munmap(cx->rings, RINGS * sizeof(struct apus_task *) *
			((size_t)cx->lanes[0].ready.mask + 1));
}
