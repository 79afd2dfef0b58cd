/*
 * A linkable copy of every inline that runs on the loop's own thread, for the audit
 * tests/audit/hot_path to take apart: hot_<noun>_<verb> is apus_<noun>_<verb>.  A line
 * here has its line in hot_path.list.
 */
#include "apus/channel_local.h"
#include "apus/channel_mpsc.h"
#include "apus/channel_spsc.h"
#include "apus/channel_stream.h"
#include "apus/clock.h"
#include "apus/fanout.h"
#include "apus/histogram.h"
#include "apus/latest.h"
#include "apus/slab.h"
#include "apus/sync.h"
#include "apus/task.h"
#include "apus/timer.h"
#include "apus/world.h"

/* HOT(type, hot_noun_verb, (parameters), call): a function of its own for one inline. */
#define HOT(type, name, parameters, call) \
	type name parameters;             \
	type name parameters              \
	{                                 \
		return call;              \
	}

/* ---- base ---- */

HOT(int64_t, hot_ns_add, (int64_t a, int64_t b), apus_ns_add(a, b))
HOT(int64_t, hot_clock_read, (struct apus_clock *clock), apus_clock_read(clock))
HOT(void, hot_histogram_record, (struct apus_histogram *histogram, int64_t ns),
	apus_histogram_record(histogram, ns))

/* ---- slab ---- */

HOT(void *, hot_slab_claim, (struct apus_slab *slab), apus_slab_claim(slab))
HOT(void, hot_slab_release, (struct apus_slab *slab, void *slot), apus_slab_release(slab, slot))
HOT(uint32_t, hot_slab_index, (struct apus_slab *slab, void *slot), apus_slab_index(slab, slot))

/* ---- world ---- */

struct book {
	int64_t bid;
};
APUS_RESOURCE(book, struct book)

HOT(struct book *, hot_world_get, (struct apus_world *world), apus_get(world, book))

/* ---- timer ---- */

HOT(void, hot_timer_arm, (struct apus_wheel *wheel, struct apus_timer *timer, int64_t deadline_ns),
	apus_timer_arm(wheel, timer, deadline_ns))
HOT(void, hot_timer_disarm, (struct apus_wheel *wheel, struct apus_timer *timer),
	apus_timer_disarm(wheel, timer))
HOT(uint32_t, hot_wheel_advance, (struct apus_wheel *wheel, struct apus_cx *cx, int64_t now_ns),
	apus_wheel_advance(wheel, cx, now_ns, 64))

/* ---- wait ---- */

HOT(void, hot_task_wake, (struct apus_cx *cx, struct apus_task *task), apus_task_wake(cx, task))
HOT(apus_poll, hot_wait_pend, (struct apus_cx *cx, struct apus_waitq *queue),
	apus_wait_pend(cx, queue))
HOT(bool, hot_wait_take, (struct apus_cx *cx, struct apus_waitq *queue), apus_wait_take(cx, queue))
HOT(bool, hot_waitq_grant, (struct apus_waitq *queue), apus_waitq_grant(queue))
HOT(void, hot_waitq_wake, (struct apus_waitq *queue), apus_waitq_wake(queue))
HOT(apus_poll, hot_event_wait, (struct apus_cx *cx, struct apus_event *event),
	apus_event_wait(cx, event))
HOT(apus_poll, hot_semaphore_acquire, (struct apus_cx *cx, struct apus_semaphore *semaphore),
	apus_semaphore_acquire(cx, semaphore))

/* ---- channels ---- */

struct order {
	uint64_t id;
	int64_t price;
};
APUS_CHANNEL(orders, struct order, 64)

HOT(int, hot_try_send, (struct orders *orders, struct order order), apus_try_send(orders, order))
HOT(int, hot_try_recv, (struct orders *orders, struct order *order), apus_try_recv(orders, order))
HOT(apus_poll, hot_send, (struct apus_cx *cx, struct orders *orders, struct order order),
	apus_send(cx, orders, order))
HOT(apus_poll, hot_recv, (struct apus_cx *cx, struct orders *orders, struct order *order),
	apus_recv(cx, orders, order))

APUS_SPSC(lane, struct order, 64)
APUS_STREAM(flow, struct order, 64)
APUS_MPSC(crowd, struct order, 64)

HOT(int, hot_mpsc_try_recv, (struct crowd *crowd, struct order *order),
	apus_mpsc_try_recv(crowd, order))
HOT(apus_poll, hot_mpsc_recv, (struct apus_cx *cx, struct crowd *crowd, struct order *order),
	apus_mpsc_recv(cx, crowd, order))
HOT(int, hot_spsc_try_send, (struct lane *lane, struct order order),
	apus_spsc_try_send(lane, order))
HOT(int, hot_spsc_try_recv, (struct lane *lane, struct order *order),
	apus_spsc_try_recv(lane, order))
HOT(int64_t, hot_spsc_try_send_many, (struct lane *lane, const struct order *order, size_t count),
	apus_spsc_try_send_many(lane, order, count))
HOT(int64_t, hot_spsc_try_recv_many, (struct lane *lane, struct order *order, size_t count),
	apus_spsc_try_recv_many(lane, order, count))
HOT(apus_poll, hot_spsc_send, (struct apus_cx *cx, struct lane *lane, struct order order),
	apus_spsc_send(cx, lane, order))
HOT(apus_poll, hot_spsc_recv, (struct apus_cx *cx, struct lane *lane, struct order *order),
	apus_spsc_recv(cx, lane, order))
HOT(int, hot_stream_try_send, (struct flow *flow, struct order order),
	apus_stream_try_send(flow, order))
HOT(int, hot_stream_try_recv, (struct flow *flow, struct order *order),
	apus_stream_try_recv(flow, order))
HOT(int64_t, hot_stream_try_send_many,
	(struct flow *flow, const struct order *order, size_t count),
	apus_stream_try_send_many(flow, order, count))
HOT(int64_t, hot_stream_try_recv_many, (struct flow *flow, struct order *order, size_t count),
	apus_stream_try_recv_many(flow, order, count))
HOT(apus_poll, hot_stream_recv, (struct apus_cx *cx, struct flow *flow, struct order *order),
	apus_stream_recv(cx, flow, order))

APUS_LATEST(best, struct order)
APUS_FANOUT(cast, struct order, 64)

HOT(int, hot_latest_publish, (struct best *best, struct order order),
	apus_latest_publish(best, order))
HOT(int, hot_latest_read, (const struct best *best, struct order *order),
	apus_latest_read(best, order))
HOT(int, hot_latest_try_recv, (struct best_reader *reader, struct order *order),
	apus_latest_try_recv(reader, order))
HOT(apus_poll, hot_latest_recv,
	(struct apus_cx *cx, struct best_reader *reader, struct order *order),
	apus_latest_recv(cx, reader, order))
HOT(int, hot_fanout_publish, (struct cast *cast, struct order order),
	apus_fanout_publish(cast, order))
HOT(int64_t, hot_fanout_publish_many,
	(struct cast *cast, const struct order *order, size_t count),
	apus_fanout_publish_many(cast, order, count))
HOT(int, hot_fanout_try_recv, (struct cast_reader *reader, struct order *order),
	apus_fanout_try_recv(reader, order))
HOT(int64_t, hot_fanout_try_recv_many,
	(struct cast_reader *reader, struct order *order, size_t count),
	apus_fanout_try_recv_many(reader, order, count))
HOT(apus_poll, hot_fanout_recv,
	(struct apus_cx *cx, struct cast_reader *reader, struct order *order),
	apus_fanout_recv(cx, reader, order))

/* ---- task ---- */

struct hot_task {
	struct apus_frame frame;
	struct orders *in;
	struct order order;
	apus_poll err;
};

/* What a user writes: it sleeps, yields, and receives within a time. */
APUS_TASK(hot_task, struct hot_task)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(apus_sleep(cx, APUS_USEC));
	APUS_WAIT(apus_yield(cx));
	APUS_AWAIT(self->err, apus_timeout(cx, APUS_SEC, apus_recv(cx, self->in, &self->order)));
	APUS_END(self->err);
}

HOT(int, hot_spawn, (struct apus_loop *loop, const struct hot_task *init, struct apus_join *join),
	apus_spawn_slab(loop, hot_task, init, join))
