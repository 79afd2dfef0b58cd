#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "offload/pool.h"

/* ---- requests ------------------------------------------------------------------- */

static struct apus_offload_request *op_request(const struct apus_cx *cx,
	const struct apus_offload *op)
{
	struct apus_offload_request *request = op->request;

	if (request == NULL || op->loop_id != cx->loop_id || request->serial != op->serial)
		return NULL;
	return request;
}

static void op_reset(struct apus_offload *op)
{
	memset(op, 0, sizeof *op);
}

static void request_link(struct apusi_offload *pool, struct apus_offload_request *request)
{
	request->prev = NULL;
	request->next = pool->in_use;
	if (request->next != NULL)
		request->next->prev = request;
	pool->in_use = request;
}

static void request_free(struct apusi_offload *pool, struct apus_offload_request *request)
{
	if (request->prev != NULL)
		request->prev->next = request->next;
	else
		pool->in_use = request->next;
	if (request->next != NULL)
		request->next->prev = request->prev;
	request->serial = 0;
	apus_slab_release(&pool->requests, request);
}

void apusi_request_call(struct apus_offload_request *request)
{
	request->result = request->kind->run(request->data);
	if (request->result == APUS_PENDING)
		apus_panic(__FILE__, __LINE__, "the offloaded %s answers pending",
			request->kind->name);
	apus_store_release(&request->status, APUSI_DONE);
}

void apusi_request_discard(struct apus_offload_request *request, apus_poll result)
{
	const struct apus_offload_kind *kind = request->kind;

	request->kind = NULL;
	if (kind != NULL && kind->discard != NULL)
		kind->discard(request->data, result);
}

/* Back from the helpers, on the loop's thread; cx is NULL once the loop has closed. */
static void request_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct apus_offload_request *request =
		apus_container_of(node, struct apus_offload_request, node);
	struct apusi_offload *pool = request->pool;
	struct apus_task *owner = request->owner;

	pool->outstanding--;
	pool->counts.done += apus_load_relaxed(&request->status) == APUSI_DONE;
	if (owner == NULL || cx == NULL) {
		apusi_request_discard(request, request->result);
		request_free(pool, request);
		return;
	}
	request->answered = true;
	if (apus_task_poll_seq(owner) == request->stamp)
		apus_task_wake(cx, owner);
}

/* True: the helpers will pass over it. */
static bool request_unqueue(struct apus_offload_request *request)
{
	uint32_t status = APUSI_QUEUED;

	apus_store_relaxed(&request->unwanted, 1);
	if (!apus_swap_acq_rel(&request->status, &status, APUSI_DROPPED))
		return false;
	request->pool->counts.dropped++;
	return true;
}

/* Nobody will take the answer. */
static void request_abandon(struct apus_offload_request *request)
{
	request->owner = NULL;
	if (request->answered) {
		apusi_request_discard(request, request->result);
		request_free(request->pool, request);
	} else if (request_unqueue(request)) {
		apusi_request_discard(request, -ECANCELED);
	}
}

static struct apus_offload_request *request_of(const struct apusi_offload *pool,
	const struct apus_task *task)
{
	struct apus_offload_request *request;

	for (request = pool->in_use; request != NULL; request = request->next)
		if (request->owner == task)
			return request;
	return NULL;
}

/* A task has ended.  What is discarded may drop more: each time from the beginning. */
static void offloads_end(struct apus_cx *cx, struct apus_task *task)
{
	struct apus_offload_request *request;

	while ((request = request_of(cx->offload, task)) != NULL)
		request_abandon(request);
}

/* ---- starting -------------------------------------------------------------------- */

/* Once around the queue: what was dropped is freed, the rest keeps its order. */
static void queue_sweep(struct apusi_offload *pool)
{
	uint64_t count = pool->tail - apus_load_acquire(&pool->head);
	struct apus_offload_request *request;

	while (count-- > 0 && (request = apusi_queue_pop(pool)) != NULL) {
		if (apus_load_acquire(&request->status) != APUSI_DROPPED) {
			apusi_queue_push(pool, request);
			continue;
		}
		pool->outstanding--;
		request_free(pool, request);
	}
}

static struct apus_offload_request *request_claim(struct apusi_offload *pool)
{
	struct apus_offload_request *request =
		(struct apus_offload_request *)apus_slab_claim(&pool->requests);

	if (request != NULL)
		return request;
	queue_sweep(pool);
	return (struct apus_offload_request *)apus_slab_claim(&pool->requests);
}

static void task_mark(struct apus_task *task)
{
	apus_task_extend(task);
	task->flags |= APUS_TASK_OFFLOADS;
}

static void request_prepare(struct apus_cx *cx, struct apus_offload_request *request,
	const struct apus_offload_kind *kind)
{
	struct apusi_offload *pool = cx->offload;

	request->serial = ++pool->serial;
	request->node.take = request_take;
	request->pool = pool;
	request->kind = kind;
	request->owner = cx->task;
	request->caller_data = NULL;
	request->stamp = apus_task_poll_seq(cx->task) - 1; /* it has not asked yet */
	request->answered = false;
	apus_store_relaxed(&request->unwanted, 0);
	apus_store_relaxed(&request->status, APUSI_QUEUED);
	request_link(pool, request);
	task_mark(cx->task);
}

int apusi_offload_claim(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, size_t bytes, void **data)
{
	struct apusi_offload *pool = cx->offload;
	struct apus_offload_request *request;

	APUS_ASSERT(cx->task != NULL);
	if (pool == NULL)
		return -ENOTSUP;
	if (op_request(cx, op) != NULL)
		return -EBUSY;
	if (bytes > pool->config.bytes)
		return -EMSGSIZE;
	request = request_claim(pool);
	if (request == NULL) {
		pool->counts.refused++;
		return -EAGAIN;
	}
	request_prepare(cx, request, kind);
	op->request = request;
	op->serial = request->serial;
	op->loop_id = cx->loop_id;
	*data = request->data;
	return 0;
}

/* As many threads as there is work for; one that cannot be had is no harm beside others. */
static int helpers_want(struct apusi_offload *pool)
{
	int err = 0;

	if (pool->outstanding >= pool->helper_count)
		err = apusi_helper_start(pool);
	return pool->helper_count != 0 ? 0 : err;
}

int apusi_offload_submit(struct apus_cx *cx, struct apus_offload *op)
{
	struct apusi_offload *pool = cx->offload;
	struct apus_offload_request *request = op->request;
	int err = 0;

	if (pool->config.at_once) {
		pool->outstanding++;
		apus_store_relaxed(&request->status, APUSI_RUNNING);
		apusi_request_call(request);
		apusi_port_push(pool->port, &request->node);
		return 0;
	}
	err = helpers_want(pool);
	if (err) {
		pool->counts.refused++;
		request_free(pool, request);
		op_reset(op);
		return err;
	}
	pool->outstanding++;
	apusi_queue_push(pool, request);
	return 0;
}

void apusi_offload_answer(struct apus_offload *op, apus_poll result)
{
	struct apus_offload_request *request = op->request;

	request->result = result;
	request->answered = true;
	apus_store_relaxed(&request->status, APUSI_DONE);
}

int apus_offload_start_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, const void *data)
{
	void *copy;
	int err = apusi_offload_claim(cx, op, kind, kind->bytes, &copy);

	if (err)
		return err;
	memcpy(copy, data, kind->bytes);
	op->request->caller_data = data;
	return apusi_offload_submit(cx, op);
}

/* ---- awaiting ---------------------------------------------------------------------- */

apus_poll apusi_offload_look(struct apus_cx *cx, struct apus_offload *op, void **data)
{
	struct apus_offload_request *request = op_request(cx, op);

	if (request == NULL) {
		op_reset(op);
		return -ESTALE;
	}
	if (request->owner != cx->task)
		return -EPERM;
	*data = request->data;
	if (request->answered)
		return request->result;
	request->stamp = apus_task_poll_seq(cx->task);
	return APUS_PENDING;
}

/* The answer has been taken, or there will be none. */
void apusi_offload_release(struct apus_cx *cx, struct apus_offload *op)
{
	struct apus_offload_request *request = op_request(cx, op);

	APUS_ASSERT(request->answered || apus_load_relaxed(&request->status) == APUSI_DROPPED);
	op_reset(op);
	request->owner = NULL;
	request->kind = NULL;
	if (request->answered)
		request_free(cx->offload, request);
}

static apus_poll op_await(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data)
{
	const struct apus_offload_request *request = op_request(cx, op);
	apus_poll answer;
	void *copy;

	if (request != NULL && request->owner == cx->task &&
		(request->kind != kind || request->caller_data != data))
		return -EBUSY;
	answer = apusi_offload_look(cx, op, &copy);
	if (answer == APUS_PENDING || op_request(cx, op) == NULL || request->owner != cx->task)
		return answer;
	memcpy(data, copy, kind->bytes);
	apusi_offload_release(cx, op);
	return answer;
}

apus_poll apus_offload_run_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data)
{
	int err = op->request == NULL ? apus_offload_start_kind(cx, op, kind, data) : 0;

	return err ? err : op_await(cx, op, kind, data);
}

apus_poll apus_offload_cancel_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data)
{
	struct apus_offload_request *request = op_request(cx, op);

	if (request != NULL && request->owner == cx->task && request->kind == kind &&
		request->caller_data == data && !request->answered && request_unqueue(request)) {
		apusi_offload_release(cx, op);
		return -ECANCELED;
	}
	return op_await(cx, op, kind, data);
}

void apus_offload_drop(struct apus_cx *cx, struct apus_offload *op)
{
	struct apus_offload_request *request = op_request(cx, op);

	op_reset(op);
	if (request != NULL)
		request_abandon(request);
}

bool apus_offload_is_unwanted(const void *self)
{
	const struct apus_offload_request *request =
		apus_container_of(self, const struct apus_offload_request, data);

	return apus_load_relaxed(&request->unwanted) != 0 ||
	       apus_load_relaxed(&request->pool->stopping) != 0;
}

int apus_offload_warm(struct apus_loop *loop)
{
	struct apusi_offload *pool = apus_loop_cx(loop)->offload;
	int err = 0;

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (pool == NULL)
		return -ENOTSUP;
	while (!err && !pool->config.at_once && pool->helper_count < pool->config.threads)
		err = apusi_helper_start(pool);
	return err;
}

/* ---- opening and closing ------------------------------------------------------------ */

/* What the thread is allowed before the loop is pinned; not the loop's own CPU, if it can be. */
static int affinity_take(struct apusi_offload *pool)
{
	cpu_set_t others;

	if (sched_getaffinity(0, sizeof pool->affinity, &pool->affinity))
		return -errno;
	others = pool->affinity;
	if (pool->config.cpu >= 0 && pool->config.cpu < CPU_SETSIZE)
		CPU_CLR(pool->config.cpu, &others);
	if (CPU_COUNT(&others) != 0)
		pool->affinity = others;
	return 0;
}

static struct apusi_offload *pool_new(const struct apusi_offload_config *config)
{
	struct apusi_offload *pool = NULL;
	uint64_t places = 1;
	size_t bytes;

	while (places < config->count)
		places <<= 1;
	bytes = sizeof *pool + places * sizeof pool->queue[0];
	if (posix_memalign((void **)&pool, APUS_CACHE_LINE, bytes))
		return NULL;
	memset(pool, 0, bytes);
	pool->config = *config;
	pool->mask = places - 1;
	pool->holders = 1;
	pool->helpers = (struct apusi_helper *)calloc(config->threads, sizeof *pool->helpers);
	return pool;
}

int apusi_offload_open(struct apus_cx *cx, const struct apusi_offload_config *config)
{
	struct apus_slab_config slab = {
		.slot_bytes = sizeof(struct apus_offload_request) + config->bytes,
		.slot_align = APUS_CACHE_LINE,
		.slot_count = config->count,
		.chunk_max = 1,
		.prefault = config->prefault,
		.lock = config->lock,
	};
	struct apusi_offload *pool;
	int err;

	if (config->threads == 0)
		return 0;
	pool = pool_new(config);
	if (pool == NULL)
		return -ENOMEM;
	pool->port = cx->port;
	pool->loop_id = cx->loop_id;
	cx->offload = pool;
	cx->offloads_end = offloads_end;
	err = apus_slab_init(&pool->requests, &slab);
	if (!err && pool->helpers == NULL)
		err = -ENOMEM;
	return err ? err : affinity_take(pool);
}

uint32_t apusi_offload_stop(struct apusi_offload *pool, int64_t wait_ns)
{
	if (pool == NULL || pool->helper_count == 0)
		return 0;
	pool->counts.leaked = apusi_helpers_stop(pool, wait_ns);
	return (uint32_t)pool->counts.leaked;
}

void apusi_offload_let_go(struct apusi_offload *pool)
{
	if (__atomic_sub_fetch(&pool->holders, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	apus_slab_deinit(&pool->requests);
	free(pool->helpers);
	free(pool);
}

void apusi_offload_close(struct apusi_offload *pool)
{
	if (pool == NULL)
		return;
	apusi_helpers_join(pool);
	apusi_offload_let_go(pool);
}

void apusi_offload_count(const struct apusi_offload *pool, struct apusi_offload_counts *counts)
{
	const struct apus_offload_request *request;

	memset(counts, 0, sizeof *counts);
	if (pool == NULL)
		return;
	*counts = pool->counts;
	counts->threads = pool->helper_count;
	for (request = pool->in_use; request != NULL; request = request->next) {
		uint32_t status = apus_load_relaxed(&request->status);

		counts->queued += status == APUSI_QUEUED;
		counts->running += status == APUSI_RUNNING;
	}
}
