/*
 * apus/wait.h - the scheduler's vocabulary: poll results, frames, the context
 * that every callback is handed, the task header, the ready queue, wait queues.
 *
 *   Units      nanoseconds of the loop's clock; turns.
 *   Errors     APUS_PENDING, a result >= 0, or -errno.  -ENOBUFS: no wait node is
 *              left; nothing was consumed.
 *   Ownership  a wait node belongs to its task: the first lies in the task's
 *              header, further ones in the loop's pool.  A wait queue belongs to
 *              whoever declared it; zero bytes are an empty one.
 *   Threads    the loop's thread only.
 *   Order      waiters are served first come, first served; a place in a queue is
 *              kept while it is renewed in each poll.
 *   Cost       wake: about ten instructions; no atomic, no allocation.
 *
 * Above this room struct apus_loop is opaque.  The fields of struct apus_cx below
 * "public" may be read by anybody, the others by the rooms of this library only:
 * they are open because the hot half of those rooms is inline.
 */
#ifndef APUS_WAIT_H
#define APUS_WAIT_H

#include "apus/base.h"
#include "apus/slab.h"
#include "apus/timer.h"

struct apus_cancel;
struct apus_guard;
struct apus_io;
struct apus_loop;
struct apus_set;
struct apus_task;
struct apus_waker_cell;
struct apus_world;
struct apusi_files;
struct apusi_offload;
struct apusi_ops;
struct apusi_poller;
struct apusi_port;

/* What a poll answers: pending, or a result >= 0, or a negative errno. */
typedef int64_t apus_poll;
#define APUS_PENDING INT64_MIN

/* ---- frames ---------------------------------------------------------- */

/* Where an await stands, in the source and in the program; one constant per await. */
struct apus_site {
	const void *resume; /* in C the label to go on at, in C++ NULL: there the line tells */
	const char *file;
	const char *function;
	const char *text; /* the awaited expression, as written */
	int line;
};

/*
 * Where a function resumes, and when its current await began.  First member of
 * the state of a task or sub-task; all zero is "at the beginning".
 */
struct apus_frame {
	const struct apus_site *site; /* where to go on; NULL: the start, or it runs */
	int64_t since_ns;    /* with a site: the turn's time when its await began */
	uint64_t since_turn; /* and the turn */
};

/* ---- waits ----------------------------------------------------------- */

enum apus_wait_state {
	APUS_WAIT_FREE,    /* only the node in a task's header is ever free in place */
	APUS_WAIT_QUEUED,  /* in its queue, waiting */
	APUS_WAIT_GRANTED, /* in its queue's front part: what it waits for is reserved for it */
	APUS_WAIT_BROKEN,  /* its queue is gone: the next evaluation answers -EPIPE */
	APUS_WAIT_POLLED   /* in no queue: the loop looks at it each turn; see lib/wait/poller.h */
};

struct apus_wait {
	struct apus_wait *next; /* the queue's list */
	union {
		struct apus_wait *prev;
		struct apusi_poller *poller; /* while POLLED */
	};
	struct apus_waitq *queue; /* never followed when BROKEN or POLLED, only compared */
	struct apus_task *task;
	struct apus_wait *task_next; /* the task's list; the pool's free list */
	uint32_t stamp;              /* the poll that last evaluated it pending */
	uint32_t state;
};

/*
 * First come, first served.  The granted waiters are always the front part of
 * the list: a queue whose head is not NULL has a waiter or a grant, and whoever
 * comes then must queue too (no barging).
 */
struct apus_waitq {
	struct apus_wait *head, *tail;
	struct apus_wait *waiting; /* the first without a grant */
};

/* ---- tasks, as the scheduler sees them -------------------------------- */

/* What a task is: shared by all tasks of a kind, constant. */
struct apus_kind {
	apus_poll (*poll)(struct apus_cx *cx, void *state);
	void (*cleanup)(struct apus_cx *cx, void *state); /* may be NULL */
	const char *name;
	size_t state_bytes;
	uint32_t lane; /* 0 urgent, 1 normal */
};

enum apus_task_flags {
	APUS_TASK_NORMAL = 1 << 0,    /* the lane: 0 urgent, 1 normal */
	APUS_TASK_QUEUED = 1 << 1,    /* in a ready queue or deferred to the next turn */
	APUS_TASK_CLAIMED = 1 << 2,   /* a claim that is not spawned yet */
	APUS_TASK_LIVE = 1 << 3,      /* spawned and not ended */
	APUS_TASK_ABORTED = 1 << 4,   /* never polled again; its cleanup is due */
	APUS_TASK_ENDED = 1 << 5,     /* its cleanup has run */
	APUS_TASK_RELEASED = 1 << 6,  /* still in a ready queue: whoever pops it frees the slot */
	APUS_TASK_JOINABLE = 1 << 7,  /* keeps its slot when it ends, until taken */
	APUS_TASK_JOINED = 1 << 8,    /* joiner is valid */
	APUS_TASK_IN_SET = 1 << 9,    /* joined through its set: member is valid */
	APUS_TASK_HOOKED = 1 << 10,   /* hook is valid: told when it ends */
	APUS_TASK_BOXED = 1 << 11,    /* the slot holds a pointer to the state */
	APUS_TASK_EXTRA = 1 << 12,    /* guards and waker are valid */
	APUS_TASK_WAITS = 1 << 13,    /* waits is not NULL */
	APUS_TASK_BROKEN = 1 << 14,   /* one of them lost its queue */
	APUS_TASK_TIMED = 1 << 15,    /* its timer is armed */
	APUS_TASK_HOT = 1 << 16,      /* ready only because a hot socket is to be tried again */
	APUS_TASK_OPS = 1 << 17,      /* has begun an operation; with APUS_TASK_EXTRA */
	APUS_TASK_HELD = 1 << 18,     /* over, but the kernel still has what it lent: see op.h */
	/* Debug builds count the task's suspended frames from this bit up to bit 31. */
	APUS_TASK_FRAME = 1 << 19,
	APUS_TASK_NO_POLL = APUS_TASK_ABORTED | APUS_TASK_ENDED | APUS_TASK_HELD,
	/* While one of these is set, waking the task does nothing. */
	APUS_TASK_NO_WAKE = APUS_TASK_QUEUED | APUS_TASK_NO_POLL
};

/* Called when the task's cleanup has run; its slot is released afterwards. */
struct apus_task_hook {
	void (*ended)(struct apus_cx *cx, struct apus_task *task, struct apus_task_hook *hook);
};

/*
 * The header of a task; its state follows.  A ready task's poll touches the first
 * cache line and the state.  In a free slot serial is 0, waits is NULL, the timer
 * is not armed: spawning relies on it.
 */
struct apus_task {
	struct apus_task *next; /* the aborted; the slab's free list */
	const struct apus_kind *kind;
	uint64_t flags;           /* enum apus_task_flags; from bit 32 on the polls are counted */
	struct apus_frame *frame; /* the innermost that suspended in the last poll, or NULL */
	uint64_t serial;          /* identifies the task; 0 in a free slot */
	struct apus_cx *cx;
	union {
		struct apus_guard *guards; /* while live, with APUS_TASK_EXTRA */
		apus_poll result;          /* once held or ended */
	};
	int64_t spawned_ns; /* for the dump */

	/* Behind the first cache line is what a flag says there is. */
	struct apus_wait *waits; /* APUS_TASK_WAITS; NULL without */
	union {
		/*
		 * APUS_TASK_JOINED: who awaits its end.  Nothing links the two: the joiner
		 * still waits if it is that task, and the poll that asked was its last.
		 */
		struct {
			struct apus_task *task;
			uint64_t serial;
			uint32_t stamp;
		} joiner;
		struct {
			struct apus_task *next, *prev;
			struct apus_set *set;
		} member;                    /* APUS_TASK_IN_SET: the set's list */
		struct apus_task_hook *hook; /* APUS_TASK_HOOKED */
	};
	struct apus_waker_cell *waker; /* APUS_TASK_EXTRA; or NULL */
	struct apus_timer timer;       /* APUS_TASK_TIMED: armed */
	struct apus_wait wait;         /* the first wait node */
};

/* Which poll of the task this is, or the last was. */
APUS_INLINE uint32_t apus_task_poll_seq(const struct apus_task *task)
{
	return (uint32_t)(task->flags >> 32);
}

APUS_INLINE void *apus_task_state(struct apus_task *task)
{
	void *slot = task + 1;

	return apus_unlikely(task->flags & APUS_TASK_BOXED) ? *(void **)slot : slot;
}

/*
 * A FIFO of tasks: a ring of pointers, so that the next task's address does not hang on a
 * load from this one's header.  A task is in at most one ring, once, and a ring has room
 * for every slot: pushing cannot fail.  A ring that is empty when a turn begins starts over
 * at its first lines, so that few tasks touch few lines.
 */
struct apus_ready {
	struct apus_task **slots;
	uint32_t head, tail, mask;
};

struct apus_lane {
	struct apus_ready ready;    /* run in this turn, budget permitting */
	struct apus_ready deferred; /* ready again in the next turn */
};

APUS_INLINE bool apus_ready_is_empty(const struct apus_ready *ready)
{
	return ready->head == ready->tail;
}

APUS_INLINE void apus_ready_push(struct apus_ready *ready, struct apus_task *task)
{
	ready->slots[ready->tail++ & ready->mask] = task;
}

/* Not of an empty one. */
APUS_INLINE struct apus_task *apus_ready_pop(struct apus_ready *ready)
{
	return ready->slots[ready->head++ & ready->mask];
}

/* ---- the context ------------------------------------------------------ */

enum apus_cx_flags {
	APUS_CX_YIELD = 1 << 0,   /* this poll asks to be ready again next turn */
	APUS_CX_ABORTED = 1 << 2, /* the task aborted itself in this poll */
	APUS_CX_BROKEN = 1 << 3,  /* the task has a broken wait: look before following a pointer */
	APUS_CX_TIMED = 1 << 4    /* an awaitable asked to be woken at a deadline */
};

/* Counters that the hot paths keep; the rest is derived when a snapshot is taken. */
struct apus_cx_counts {
	uint64_t ended, polls, wakes; /* spawned: the last serial */
	uint64_t refusals;      /* -ENOSPC, -EMSGSIZE, -ENOBUFS, -ESHUTDOWN answered */
	uint64_t wait_refusals; /* of these, no wait node was left */
	uint64_t frames_abandoned; /* debug builds: suspended still when their task returned */
	uint64_t claimed;       /* claims that were not spawned yet */
	uint64_t lingering;     /* slots that are free once a ready queue lets go of them */
};

struct apus_cx {
	/* public */
	struct apus_loop *loop;
	struct apus_world *world; /* may be NULL */
	int64_t now_ns;           /* read once a turn */

	/* the poll that runs */
	uint64_t turn;
	struct apus_task *task;       /* NULL outside a poll */
	struct apus_frame *frame;     /* the innermost function that is being evaluated */
	int64_t deadline_ns;          /* the earliest that an awaitable asked for; with APUS_CX_TIMED */
	struct apus_frame *suspended; /* the innermost that answered pending, or NULL */
	uint32_t flags;
	bool stopping; /* spawns answer -ESHUTDOWN */

	/* the scheduler */
	struct apus_lane lanes[2]; /* urgent, normal */
	uint32_t urgent_streak;    /* polls since a normal task had its turn */
	void *rings;
	struct apus_task *aborted_head, *aborted_tail; /* cleanups due, in order of abort */
	struct apus_wait *wait_free;
	struct apus_waker_cell *cells; /* free ones; see waker.h */
	uint32_t wakers_out;           /* tasks that live and have a waker */
	struct apusi_port *port;       /* what other threads reach the loop through */
	void (*bits)(struct apus_cx *cx, uint32_t bits); /* stop and signals have come */
	struct apusi_poller *pollers;     /* what tasks of ours await of other threads */
	struct apusi_poller *poller_free;
	bool may_park; /* it idles by parking: who is awaited has to ring */
	uint64_t serial;  /* the last one given */
	uint64_t loop_id; /* unique in the process; see struct apus_join */
	size_t state_bytes_end; /* one more than fits a slot; 0 while stopping */
	struct apus_wheel *wheel;
	struct apus_cancel *cancel;
	struct apus_io *io;
	struct apusi_offload *offload; /* NULL: the loop has no helpers */
	struct apusi_files *files;     /* the table of file handles */
	struct apusi_ops *ops;         /* what tasks have begun and others carry out */
	const void *stack;             /* debug builds: where the stack of the poll that runs begins */
	struct apus_slab tasks;
	struct apus_cx_counts counts;
};

/* A loop begins with its context (checked where the loop is defined). */
APUS_INLINE struct apus_cx *apus_loop_cx(struct apus_loop *loop)
{
	return (struct apus_cx *)(void *)loop;
}

APUS_BEGIN_DECLS

/* Whether the calling thread is the loop's: what debug builds ask on hot calls. */
APUS_API APUS_COLD bool apus_loop_is_mine(const struct apus_loop *loop);

/* ---- waking ------------------------------------------------------------ */

/* Makes a task ready; a task that is queued, aborted or ended is left alone. */
APUS_INLINE void apus_task_wake(struct apus_cx *cx, struct apus_task *task)
{
	uint64_t flags = task->flags;

	if (flags & APUS_TASK_NO_WAKE)
		return;
	task->flags = flags | APUS_TASK_QUEUED;
	cx->counts.wakes++;
	apus_ready_push(&cx->lanes[flags & APUS_TASK_NORMAL].ready, task);
}

/* Makes the guards and the waker of the task valid. */
APUS_INLINE void apus_task_extend(struct apus_task *task)
{
	if (task->flags & APUS_TASK_EXTRA)
		return;
	task->flags |= APUS_TASK_EXTRA;
	task->guards = NULL;
	task->waker = NULL;
}

/* Asks that the running task be polled again at the deadline, if it is still pending. */
APUS_INLINE void apus_task_wake_at(struct apus_cx *cx, int64_t deadline_ns)
{
	if (!(cx->flags & APUS_CX_TIMED) || deadline_ns < cx->deadline_ns)
		cx->deadline_ns = deadline_ns;
	cx->flags |= APUS_CX_TIMED;
}

/* ---- waiting: called by awaitables, in a poll --------------------------- */

APUS_API apus_poll apus_wait_pend_slow(struct apus_cx *cx, struct apus_waitq *queue);
APUS_API void apus_wait_drop(struct apus_cx *cx, struct apus_wait *wait);
APUS_API bool apus_wait_take_slow(struct apus_cx *cx, struct apus_waitq *queue);
APUS_API bool apus_wait_broken_slow(struct apus_cx *cx, const void *queue);

/* Appends a free node to the queue and to the task's list, stamped. */
APUS_INLINE void apus_wait_link(struct apus_task *task, struct apus_wait *wait,
	struct apus_waitq *queue)
{
	wait->queue = queue;
	wait->task = task;
	wait->stamp = apus_task_poll_seq(task);
	wait->state = APUS_WAIT_QUEUED;
	wait->task_next = task->waits;
	task->waits = wait;
	task->flags |= APUS_TASK_WAITS;
	wait->next = NULL;
	wait->prev = queue->tail;
	if (queue->tail != NULL)
		queue->tail->next = wait;
	else
		queue->head = wait;
	queue->tail = wait;
	if (queue->waiting == NULL)
		queue->waiting = wait;
}

/*
 * Waits on the queue until something wakes the task: finds the task's wait on
 * it, or makes one at the end, and stamps it with this poll.  A wait that a poll
 * does not renew is dropped when that poll ends.  APUS_PENDING or -ENOBUFS.
 */
APUS_INLINE apus_poll apus_wait_pend(struct apus_cx *cx, struct apus_waitq *queue)
{
	struct apus_task *task = cx->task;

	APUS_DEBUG_ASSERT(task != NULL);
	if (apus_unlikely(task->waits != NULL || task->wait.state != APUS_WAIT_FREE))
		return apus_wait_pend_slow(cx, queue);
	apus_wait_link(task, &task->wait, queue);
	return APUS_PENDING;
}

/* True once if the running task holds a grant on the queue: it is consumed. */
APUS_INLINE bool apus_wait_take(struct apus_cx *cx, struct apus_waitq *queue)
{
	return cx->task->waits != NULL && apus_wait_take_slow(cx, queue);
}

/*
 * True once if the queue that the running task waited on is gone.  An awaitable
 * asks this first, before it follows any pointer into the object, and then
 * answers -EPIPE: the object's memory may have been freed.
 */
APUS_INLINE bool apus_wait_is_broken(struct apus_cx *cx, const void *queue)
{
	return apus_unlikely(cx->flags & APUS_CX_BROKEN) && apus_wait_broken_slow(cx, queue);
}

/* ---- serving: called by whoever makes something available ---------------- */

APUS_API bool apus_waitq_grant_slow(struct apus_waitq *queue);
APUS_API void apus_waitq_wake_all_slow(struct apus_waitq *queue);

/* A waiter is queued, or holds a grant: newcomers must queue behind it. */
APUS_INLINE bool apus_waitq_is_busy(const struct apus_waitq *queue)
{
	return queue->head != NULL;
}

/*
 * Reserves one unit of what the queue is for to its first waiter and wakes it.
 * The waiter takes it with apus_wait_take; if it goes away instead, the grant
 * passes to the next.  False: nobody waits.
 */
APUS_INLINE bool apus_waitq_grant(struct apus_waitq *queue)
{
	return queue->waiting != NULL && apus_waitq_grant_slow(queue);
}

/* Wakes the first waiter without reserving anything; it keeps its place. */
APUS_INLINE void apus_waitq_wake(struct apus_waitq *queue)
{
	if (queue->head != NULL)
		apus_task_wake(queue->head->task->cx, queue->head->task);
}

/* Wakes every waiter; each keeps its place until its poll renews or drops it. */
APUS_INLINE void apus_waitq_wake_all(struct apus_waitq *queue)
{
	if (queue->head != NULL)
		apus_waitq_wake_all_slow(queue);
}

/*
 * Unlinks every wait on the queue and wakes those tasks with -EPIPE.  Afterwards
 * nothing of this library points to the queue's memory.  A task that ends a queue it
 * waited on itself, and has not renewed the wait in this poll, has left it: it gets no
 * -EPIPE, and may make another queue in the same place.
 */
APUS_API void apus_waitq_deinit(struct apus_waitq *queue);

/*
 * The same for a queue that is reached through handles only, and whose memory has a next
 * owner: the running task's own wait is dropped, and the stale handle tells it.
 */
APUS_API void apus_waitq_retire(struct apus_waitq *queue);

APUS_END_DECLS

#endif
