#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apus/remote.h"
#include "loop/loop.h"
#include "wait/futex.h"
#include "wait/process.h"

enum { SPINS = 2000 }; /* looks before a thread sleeps: some ten microseconds */

/*
 * status: who holds the node, who waits for its end, and, above 32 bits, how often that place
 * was taken.  Every change is a compare-and-swap of the whole; a node without a holder is
 * free.  The loop's last word sets DONE and drops its hold at once: a node of the caller's
 * may be gone from then on.
 */
enum {
	DONE = 1 << 0,
	THREAD_WAITS = 1 << 1, /* sleeps on the lower half */
	TASK_SETS = 1 << 2,    /* writes itself into awaiter */
	TASK_WAITS = 1 << 3,
	WAITS = THREAD_WAITS | TASK_SETS | TASK_WAITS,
	LOOP_HOLDS = 1 << 4,
	MAKER_HOLDS = 1 << 5, /* whoever has the join */
	USER_HOLDS = 1 << 8,  /* a count: threads inside a call */
	USERS = 0xffff00,
	HOLDERS = LOOP_HOLDS | MAKER_HOLDS | USERS
};
#define PLACE_TAKEN (UINT64_C(1) << 32)

/* aborting: whether `control` is in the inbox. */
enum { ABORT_NONE, ABORT_QUEUED, ABORT_TAKEN, ABORT_ENDED };

/* ---- the pool: a stack of indices, tagged against a node that went and came back -------- */

enum { CHUNK_FIRST = 32 }; /* nodes of the first chunk */

/* Indices count from 1. */
static struct apus_remote_task *pool_node(const struct apusi_port *port, uint32_t index)
{
	uint32_t scaled = (index - 1) / CHUNK_FIRST + 1;
	uint32_t chunk = 31 - (uint32_t)__builtin_clz(scaled);

	return &port->remote_chunks[chunk][index - 1 - CHUNK_FIRST * ((1u << chunk) - 1)];
}

static void pool_push(struct apusi_port *port, struct apus_remote_task *task)
{
	uint64_t head = apus_load_relaxed(&port->remote_free), next;

	do {
		apus_store_relaxed(&task->pool_next, (uint32_t)head);
		next = (head & ~(uint64_t)UINT32_MAX) + (UINT64_C(1) << 32);
		next |= task->pool_index;
	} while (!apus_swap_acq_rel(&port->remote_free, &head, next));
}

static struct apus_remote_task *pool_pop(struct apusi_port *port)
{
	uint64_t head = apus_load_acquire(&port->remote_free), next;
	struct apus_remote_task *task;

	do {
		if ((uint32_t)head == 0)
			return NULL;
		task = pool_node(port, (uint32_t)head);
		next = (head & ~(uint64_t)UINT32_MAX) + (UINT64_C(1) << 32);
		next |= apus_load_relaxed(&task->pool_next);
	} while (!apus_swap_acq_rel(&port->remote_free, &head, next));
	return task;
}

/* Nodes are never freed: who holds a stale join may always look at its serial. */
static int pool_grow(struct apusi_port *port)
{
	uint32_t index = port->remote_count + 1;
	uint32_t chunk = 31 - (uint32_t)__builtin_clz((index - 1) / CHUNK_FIRST + 1);
	size_t bytes = (sizeof(struct apus_remote_task) * CHUNK_FIRST) << chunk;

	if (chunk >= APUSI_REMOTE_CHUNKS)
		return -ENOMEM;
	if (port->remote_chunks[chunk] == NULL)
		port->remote_chunks[chunk] = (struct apus_remote_task *)apusi_process_map(bytes);
	return port->remote_chunks[chunk] != NULL ? 0 : -ENOMEM;
}

int apusi_remote_open(struct apusi_port *port, uint32_t count)
{
	while (port->remote_count < count) {
		struct apus_remote_task *task;
		int err = pool_grow(port);

		if (err)
			return err;
		task = pool_node(port, ++port->remote_count);
		task->remote.port = port;
		task->pool_index = port->remote_count;
		pool_push(port, task);
	}
	return 0;
}

/* ---- holding ---------------------------------------------------------------------------- */

/* Nobody holds it any more. */
static void node_freed(struct apus_remote_task *task)
{
	if (task->pool_index != 0)
		pool_push(task->remote.port, task);
	else if (task->released != NULL)
		task->released(task);
}

static void let_go(struct apus_remote_task *task, uint64_t hold)
{
	if ((__atomic_sub_fetch(&task->status, hold, __ATOMIC_ACQ_REL) & HOLDERS) == 0)
		node_freed(task);
}

static bool join_is_stale(struct apus_remote_join join)
{
	return join.task == NULL || join.serial == 0 ||
	       apus_load_acquire(&join.task->serial) != join.serial;
}

/*
 * From here to let_go(USER_HOLDS) the node is of the use that the join names, whatever others
 * do with copies of it.  A hold is only ever added to others, so a free node stays free.
 */
static bool join_hold(struct apus_remote_join join)
{
	uint64_t status;

	if (join_is_stale(join))
		return false;
	status = apus_load_acquire(&join.task->status);
	do {
		if ((status & HOLDERS) == 0)
			return false;
	} while (!apus_swap_acq_rel(&join.task->status, &status, status + USER_HOLDS));
	if (!join_is_stale(join))
		return true;
	let_go(join.task, USER_HOLDS);
	return false;
}

/* Makes a free node the loop's, and the maker's if there is to be a join.  False: in use. */
static bool node_claim(struct apus_remote_task *task, bool joined)
{
	uint64_t hold = LOOP_HOLDS | (joined ? MAKER_HOLDS : 0);
	uint64_t status = apus_load_acquire(&task->status);

	do {
		if ((status & HOLDERS) != 0)
			return false;
	} while (!apus_swap_acq_rel(&task->status, &status, (status & ~(uint64_t)UINT32_MAX) | hold));
	return true;
}

/* ---- on the loop's thread ------------------------------------------------------------ */

static struct apus_waker awaiter_load(const struct apus_remote_task *task)
{
	struct apus_waker awaiter = {
		apus_load_relaxed(&task->awaiter.cell),
		apus_load_relaxed(&task->awaiter.serial),
	};

	return awaiter;
}

/* The futex: the half of status that says DONE. */
static uint32_t *status_word(struct apus_remote_task *task)
{
	return (uint32_t *)(void *)&task->status +
	       (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 1 : 0);
}

/*
 * The loop's last word: publishes the outcome and wakes who waits.  The awaiter is read
 * before: if it is another's by then, the place was taken once more, and the swap fails.
 */
static void task_publish(struct apus_remote_task *task)
{
	const uint64_t over = WAITS | LOOP_HOLDS;
	uint64_t status = apus_load_acquire(&task->status);
	struct apus_waker awaiter;

	do
		awaiter = awaiter_load(task);
	while (!apus_swap_acq_rel(&task->status, &status, (status & ~over) | DONE));
	if (status & THREAD_WAITS)
		apusi_futex_wake_all(status_word(task), false);
	if (status & TASK_WAITS)
		apus_wake(awaiter);
	if ((status & HOLDERS) == LOOP_HOLDS)
		node_freed(task);
}

/* While `control` is in our inbox the node is not let go: taking it publishes. */
static void task_finish(struct apus_remote_task *task, int outcome, apus_poll result)
{
	task->outcome = outcome;
	task->result = result;
	if (apus_exchange_acq_rel(&task->aborting, ABORT_ENDED) != ABORT_QUEUED)
		task_publish(task);
}

static void local_ended(struct apus_cx *cx, struct apus_task *local, struct apus_task_hook *hook)
{
	struct apus_remote_task *task = apus_container_of(hook, struct apus_remote_task, hook);
	bool aborted = (local->flags & APUS_TASK_ABORTED) != 0;

	(void)cx;
	task_finish(task, aborted ? -ECANCELED : 0, aborted ? 0 : local->result);
}

static int local_start(struct apus_cx *cx, struct apus_remote_task *task)
{
	struct apus_task *local = NULL;
	int err = apus_task_claim(cx, task->kind, &local);

	if (err)
		return err;
	if (task->state != NULL)
		memcpy(apus_task_state(local), task->state, task->kind->state_bytes);
	else
		memset(apus_task_state(local), 0, task->kind->state_bytes);
	apus_task_start(cx, local, NULL);
	local->flags |= APUS_TASK_HOOKED;
	local->hook = &task->hook;
	task->local.task = local;
	task->local.serial = local->serial;
	task->local.loop_id = cx->loop_id;
	return 0;
}

static void start_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct apus_remote_task *task = apus_container_of(node, struct apus_remote_task, start);
	int err = cx == NULL ? -ECANCELED : local_start(cx, task);

	if (err)
		task_finish(task, err, 0);
}

static void control_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct apus_remote_task *task = apus_container_of(node, struct apus_remote_task, control);

	if (apus_load_acquire(&task->aborting) == ABORT_ENDED) {
		task_publish(task);
		return;
	}
	apus_store_release(&task->aborting, ABORT_TAKEN);
	if (cx != NULL)
		apus_abort(cx->loop, task->local);
}

/* ---- from any thread ------------------------------------------------------------------- */

struct apus_remote apus_loop_remote(struct apus_loop *loop)
{
	struct apus_remote remote = { loop->cx.port, loop->cx.loop_id };

	loop->has_remote = true;
	return remote;
}

int apus_remote_stop(struct apus_remote remote)
{
	if (!apusi_port_enter(remote.port, remote.loop_id))
		return -ESHUTDOWN;
	apusi_port_post(remote.port, APUSI_PORT_STOP);
	apusi_port_leave(remote.port);
	return 0;
}

/* Of a node that was claimed; the serial last, as it makes joins of this use valid. */
static void task_prepare(struct apus_remote_task *task, struct apus_remote remote,
	const struct apus_kind *kind, const void *state, struct apus_remote_join *join)
{
	task->remote = remote;
	task->kind = kind;
	task->state = state;
	task->start.take = start_take;
	task->control.take = control_take;
	task->hook.ended = local_ended;
	memset(&task->local, 0, sizeof task->local);
	apus_store_relaxed(&task->aborting, ABORT_NONE);
	task->uses++;
	apus_store_release(&task->serial, join != NULL ? task->uses : 0);
	if (join != NULL) {
		join->task = task;
		join->serial = task->uses;
	}
}

/* A node of the pool, claimed, or NULL. */
static struct apus_remote_task *pool_claim(struct apusi_port *port, bool joined)
{
	struct apus_remote_task *task = pool_pop(port);

	if (task != NULL)
		APUS_ASSERT(node_claim(task, joined));
	return task;
}

int apus_remote_spawn_kind(struct apus_remote remote, const struct apus_kind *kind,
	const void *init, struct apus_remote_join *join)
{
	struct apus_remote_task *task;

	if (kind->state_bytes > APUS_REMOTE_STATE_BYTES)
		return -EMSGSIZE;
	if (!apusi_port_enter(remote.port, remote.loop_id))
		return -ESHUTDOWN;
	task = pool_claim(remote.port, join != NULL);
	if (task != NULL) {
		if (init != NULL)
			memcpy(task->copy, init, kind->state_bytes);
		task_prepare(task, remote, kind, init != NULL ? task->copy : NULL, join);
		apusi_port_push(remote.port, &task->start);
	}
	apusi_port_leave(remote.port);
	return task != NULL ? 0 : -EAGAIN;
}

int apus_remote_spawn_node(struct apus_remote remote, const struct apus_kind *kind,
	struct apus_remote_task *node, const void *init, struct apus_remote_join *join)
{
	bool claimed;

	if (!apusi_port_enter(remote.port, remote.loop_id))
		return -ESHUTDOWN;
	claimed = node_claim(node, join != NULL);
	if (claimed) {
		node->pool_index = 0;
		task_prepare(node, remote, kind, init, join);
		apusi_port_push(remote.port, &node->start);
	}
	apusi_port_leave(remote.port);
	return claimed ? 0 : -EBUSY;
}

/* ---- cancelling a token ------------------------------------------------------------------ */

static void cancel_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct apus_remote_task *task = apus_container_of(node, struct apus_remote_task, start);
	struct apus_token token;

	memcpy(&token, task->copy, sizeof token);
	if (cx != NULL)
		apus_cancel(cx->loop, token);
	let_go(task, LOOP_HOLDS);
}

int apus_remote_cancel(struct apus_remote remote, struct apus_token token)
{
	struct apus_remote_task *task;

	if (!apusi_port_enter(remote.port, remote.loop_id))
		return -ESHUTDOWN;
	task = pool_claim(remote.port, false);
	if (task != NULL) {
		task_prepare(task, remote, NULL, NULL, NULL);
		task->start.take = cancel_take;
		memcpy(task->copy, &token, sizeof token);
		apusi_port_push(remote.port, &task->start);
	}
	apusi_port_leave(remote.port);
	return task != NULL ? 0 : -EAGAIN;
}

/* ---- joining -------------------------------------------------------------------------------- */

/* Of several who try, one takes the result and the maker's hold. */
static int join_take(struct apus_remote_join join, apus_poll *result)
{
	struct apus_remote_task *task = join.task;
	int outcome = task->outcome;
	apus_poll value = task->result;
	uint64_t serial = join.serial;

	if (!apus_swap_acq_rel(&task->serial, &serial, 0))
		return -ESTALE;
	if (outcome == 0 && result != NULL)
		*result = value;
	let_go(task, MAKER_HOLDS);
	return outcome;
}

/* 1: it is done.  0: the place of the one who waits is ours, marked with `bit`.  -EBUSY. */
static int place_take(struct apus_remote_task *task, uint64_t bit)
{
	uint64_t status = apus_load_acquire(&task->status);

	do {
		if (status & DONE)
			return 1;
		if (status & (THREAD_WAITS | TASK_SETS))
			return -EBUSY;
		/* A task that has ended waits no more; if it is another by now, the swap fails. */
		if (status & TASK_WAITS && !apus_waker_is_stale(awaiter_load(task)))
			return -EBUSY;
	} while (!apus_swap_acq_rel(&task->status, &status,
		((status & ~(uint64_t)WAITS) | bit) + PLACE_TAKEN));
	return 0;
}

/* From one bit to another while it is not done. */
static bool place_change(struct apus_remote_task *task, uint64_t from, uint64_t to)
{
	uint64_t status = apus_load_acquire(&task->status);

	do {
		if (status & DONE)
			return false;
	} while (!apus_swap_acq_rel(&task->status, &status, (status & ~from) | to));
	return true;
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

static int64_t end_of(int64_t timeout_ns)
{
	return timeout_ns == APUS_NEVER ? APUS_NEVER :
					  apus_ns_add(monotonic_ns(), timeout_ns > 0 ? timeout_ns : 0);
}

static int64_t left_of(int64_t end_ns)
{
	return end_ns == APUS_NEVER ? APUS_NEVER : end_ns - monotonic_ns();
}

/* The place is ours: sleeps until it is done, or gives the place back. */
static int status_sleep(struct apus_remote_task *task, int64_t timeout_ns)
{
	int64_t end_ns = end_of(timeout_ns);
	uint64_t status;

	while (!((status = apus_load_acquire(&task->status)) & DONE))
		if (apusi_futex_wait(status_word(task), (uint32_t)status, left_of(end_ns), false))
			return place_change(task, THREAD_WAITS, 0) ? -ETIME : 0;
	return 0;
}

static bool is_done(const struct apus_remote_task *task)
{
	return (apus_load_acquire(&task->status) & DONE) != 0;
}

/* Its loop is the calling thread's, which would wait for itself. */
static bool is_own(const struct apus_remote_task *task)
{
	struct apus_loop *loop = apusi_thread_loop();

	return loop != NULL && loop->cx.loop_id == task->remote.loop_id;
}

static int status_wait(struct apus_remote_task *task, int64_t timeout_ns)
{
	int spins, err;

	for (spins = 0; spins < SPINS; spins++)
		if (is_done(task))
			return 0;
	if (apusi_port_is_inherited(task->remote.port))
		return -ESTALE; /* a loop of the process that we were forked from */
	if (is_own(task))
		return -EDEADLK;
	err = place_take(task, THREAD_WAITS);
	return err == 0 ? status_sleep(task, timeout_ns) : err < 0 ? err : 0;
}

int apus_remote_join(struct apus_remote_join join, int64_t timeout_ns, apus_poll *result)
{
	int outcome;

	if (!join_hold(join))
		return -ESTALE;
	outcome = status_wait(join.task, timeout_ns);
	if (outcome == 0)
		outcome = join_take(join, result);
	let_go(join.task, USER_HOLDS);
	return outcome;
}

/* 1: it is done.  0: this task awaits it.  -EBUSY. */
static int awaiter_set(struct apus_remote_task *task, struct apus_waker waker)
{
	struct apus_waker awaiter = awaiter_load(task);
	int err;

	if (awaiter.cell == waker.cell && awaiter.serial == waker.serial &&
	    apus_load_acquire(&task->status) & TASK_WAITS)
		return is_done(task);
	err = place_take(task, TASK_SETS);
	if (err)
		return err;
	apus_store_relaxed(&task->awaiter.cell, waker.cell);
	apus_store_relaxed(&task->awaiter.serial, waker.serial);
	return place_change(task, TASK_SETS, TASK_WAITS) ? 0 : 1;
}

static apus_poll await_held(struct apus_cx *cx, struct apus_remote_join join, apus_poll *result)
{
	struct apus_waker waker;
	int done = is_done(join.task);

	if (!done) {
		done = apus_waker(cx, &waker);
		if (!done)
			done = awaiter_set(join.task, waker);
	}
	return done > 0 ? join_take(join, result) : done < 0 ? done : APUS_PENDING;
}

apus_poll apus_remote_await(struct apus_cx *cx, struct apus_remote_join join, apus_poll *result)
{
	apus_poll outcome;

	if (!join_hold(join))
		return -ESTALE;
	outcome = await_held(cx, join, result);
	let_go(join.task, USER_HOLDS);
	return outcome;
}

int apus_remote_is_finished(struct apus_remote_join join)
{
	bool done;

	if (join_is_stale(join))
		return -ESTALE;
	done = is_done(join.task);
	/* Of this use, if nobody has taken it since. */
	return join_is_stale(join) ? -ESTALE : done;
}

int apus_remote_abort(struct apus_remote_join join)
{
	struct apus_remote_task *task = join.task;
	uint32_t none = ABORT_NONE;

	if (!join_hold(join))
		return -ESTALE;
	/* A loop that has closed has answered already. */
	if (apusi_port_enter(task->remote.port, task->remote.loop_id)) {
		if (apus_swap_acq_rel(&task->aborting, &none, ABORT_QUEUED))
			apusi_port_push(task->remote.port, &task->control);
		apusi_port_leave(task->remote.port);
	}
	let_go(task, USER_HOLDS);
	return 0;
}

int apus_remote_detach(struct apus_remote_join join)
{
	uint64_t serial = join.serial;

	if (join_is_stale(join) || !apus_swap_acq_rel(&join.task->serial, &serial, 0))
		return -ESTALE;
	let_go(join.task, MAKER_HOLDS);
	return 0;
}

/* ---- counters ---------------------------------------------------------------------------------- */

/* Its own memory, since the asker may give up while it is queued. */
struct counters_request {
	struct apus_inbox_node node;
	uint32_t status;
	uint32_t holders;
	bool answered;
	struct apus_counters counters;
};

static void request_let_go(struct counters_request *request)
{
	if (__atomic_sub_fetch(&request->holders, 1, __ATOMIC_ACQ_REL) == 0)
		free(request);
}

static void counters_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct counters_request *request = apus_container_of(node, struct counters_request, node);

	request->answered = cx != NULL;
	if (cx != NULL)
		apus_counters_read(cx->loop, &request->counters);
	apus_store_release(&request->status, DONE);
	apusi_futex_wake_all(&request->status, false);
	request_let_go(request);
}

static int request_wait(struct counters_request *request, int64_t timeout_ns)
{
	int64_t end_ns = end_of(timeout_ns);

	while (apus_load_acquire(&request->status) != DONE)
		if (apusi_futex_wait(&request->status, 0, left_of(end_ns), false))
			return -ETIME;
	return request->answered ? 0 : -ESHUTDOWN;
}

int apus_remote_counters(struct apus_remote remote, int64_t timeout_ns,
	struct apus_counters *counters)
{
	struct apus_loop *own = apusi_thread_loop();
	struct counters_request *request;
	int err;

	if (own != NULL && own->cx.loop_id == remote.loop_id) {
		apus_counters_read(own, counters);
		return 0;
	}
	if (!apusi_port_enter(remote.port, remote.loop_id))
		return -ESHUTDOWN;
	request = (struct counters_request *)calloc(1, sizeof *request);
	if (request != NULL) {
		request->node.take = counters_take;
		request->holders = 2;
		apusi_port_push(remote.port, &request->node);
	}
	apusi_port_leave(remote.port);
	if (request == NULL)
		return -ENOMEM;
	err = request_wait(request, timeout_ns);
	if (!err)
		*counters = request->counters;
	request_let_go(request);
	return err;
}
