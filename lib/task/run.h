/*
 * The task room's half of a turn: what lib/loop calls.
 */
#ifndef TASK_RUN_H
#define TASK_RUN_H

#include "apus/task.h"

/* Bounds of one tasks phase. */
struct apusi_task_limits {
	uint32_t budget;     /* polls */
	uint32_t lane_ratio; /* while normal tasks are ready, one poll in so many is normal */
	uint32_t check_every; /* polls between two looks at the quota */
};

/* What the phase tells of itself; the loop's stall hook reads it. */
struct apusi_task_watch {
	bool is_watched; /* anything of this is wanted */
	bool (*is_over)(void *arg);  /* asked every few polls: true ends the phase */
	void (*before)(void *arg, struct apus_task *task);  /* around each poll, or NULL */
	void (*after)(void *arg, const struct apus_kind *kind);
	void *arg;
	uint64_t spurious; /* a debug option: the seed of spurious re-evaluation, or 0 */
};

/* The rings of the ready queues, with room for every slot.  0 or -errno. */
int apusi_tasks_open(struct apus_cx *cx);
void apusi_tasks_close(struct apus_cx *cx);

/* Appends all of from. */
void apusi_ready_append(struct apus_ready *to, const struct apus_ready *from);

/* Appends the deferred to the ready; where nothing is ready the rings just change places. */
static inline void apusi_lane_begin_turn(struct apus_lane *lane)
{
	/* A ring of deferred tasks is only ever emptied whole, so it begins at 0. */
	if (apus_likely(apus_ready_is_empty(&lane->ready))) {
		struct apus_task **slots = lane->ready.slots;

		lane->ready.slots = lane->deferred.slots;
		lane->ready.head = 0;
		lane->ready.tail = lane->deferred.tail;
		lane->deferred.slots = slots;
	} else {
		apusi_ready_append(&lane->ready, &lane->deferred);
	}
	lane->deferred.tail = 0;
}

/* Yielders of the last turn are ready now; whether anything is. */
static inline bool apusi_tasks_begin_turn(struct apus_cx *cx)
{
	struct apus_lane *urgent = &cx->lanes[APUS_LANE_URGENT];
	struct apus_lane *normal = &cx->lanes[APUS_LANE_NORMAL];

	if (urgent->deferred.tail != 0)
		apusi_lane_begin_turn(urgent);
	if (normal->deferred.tail != 0)
		apusi_lane_begin_turn(normal);
	return !apus_ready_is_empty(&normal->ready) || !apus_ready_is_empty(&urgent->ready);
}

/* Ready now or in the next turn. */
uint32_t apusi_tasks_ready_count(const struct apus_cx *cx);

/* Polls ready tasks; the work done. */
uint32_t apusi_tasks_run(struct apus_cx *cx, const struct apusi_task_limits *limits,
	struct apusi_task_watch *watch);

/* Runs the cleanups of tasks that were aborted before `turn`, at most budget; how many. */
uint32_t apusi_tasks_cleanup(struct apus_cx *cx, uint32_t budget, uint64_t turn);

/* Aborts every live task; joins on them answer -ECANCELED. */
void apusi_tasks_abort_all(struct apus_cx *cx);

/* When the loop closes: the states of ended tasks that nobody took. */
void apusi_tasks_free_boxed(struct apus_cx *cx);

/* Live tasks: spawned and not ended. */
uint64_t apusi_tasks_live(const struct apus_cx *cx);

/* Ended tasks that nobody has taken. */
uint64_t apusi_tasks_unjoined(const struct apus_cx *cx);

/* What apus_dump sees of one task. */
void apusi_task_info(const struct apus_task *task, struct apus_task_info *info);

#endif
