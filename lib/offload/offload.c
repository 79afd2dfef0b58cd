#include <stdlib.h>
#include <string.h>

#include "offload/pool.h"
#include "offload/thread.h"

/* ---- requests ------------------------------------------------------------------- */

static void request_link(struct apusi_offload *pool, struct apusi_offload_request *request)
{
	request->prev = NULL;
	request->next = pool->in_use;
	if (request->next != NULL)
		request->next->prev = request;
	pool->in_use = request;
}

static void request_free(struct apusi_offload *pool, struct apusi_offload_request *request)
{
	if (request->prev != NULL)
		request->prev->next = request->next;
	else
		pool->in_use = request->next;
	if (request->next != NULL)
		request->next->prev = request->prev;
	apus_slab_release(&pool->requests, request);
}

void apusi_request_call(struct apusi_offload_request *request)
{
	request->result = request->kind->run(request->data);
	if (request->result == APUS_PENDING)
		apus_panic(__FILE__, __LINE__, "the offloaded %s answers pending",
			request->kind->name);
	apus_store_release(&request->status, APUSI_DONE);
}

void apusi_request_discard(struct apusi_offload_request *request, apus_poll result)
{
	const struct apus_offload_kind *kind = request->kind;

	request->kind = NULL;
	if (kind != NULL && kind->discard != NULL)
		kind->discard(request->data, result);
}

/* True: the helpers will pass over it. */
static bool request_unqueue(struct apusi_offload_request *request)
{
	uint32_t status = APUSI_QUEUED;

	apus_store_relaxed(&request->unwanted, 1);
	if (!apus_swap_acq_rel(&request->status, &status, APUSI_DROPPED))
		return false;
	request->pool->counts.dropped++;
	return true;
}

static struct apusi_offload_request *request_of(struct apusi_op *op)
{
	return apus_container_of(op, struct apusi_offload_request, op);
}

/* No object names it; the queue, a helper or the inbox may still. */
static void request_give_back(struct apusi_offload_request *request)
{
	if (!request->away)
		request_free(request->pool, request);
}

static void request_returned(struct apus_cx *cx, struct apusi_offload_request *request)
{
	if (request->returned != NULL)
		request->returned(cx, request->data);
	request->returned = NULL;
}

static void verb_cancel(struct apus_cx *cx, struct apusi_op *op)
{
	if (!request_unqueue(request_of(op)))
		return;
	request_returned(cx, request_of(op));
	apusi_op_answer(cx, op, -ECANCELED);
}

static void verb_abandon(struct apus_cx *cx, struct apusi_op *op)
{
	struct apusi_offload_request *request = request_of(op);

	if (!op->answered)
		verb_cancel(cx, op);
	if (!op->answered)
		return; /* it runs, and is discarded when it is back */
	apusi_request_discard(request, op->result);
	request_give_back(request);
}

static void verb_release(struct apus_cx *cx, struct apusi_op *op)
{
	struct apusi_offload_request *request = request_of(op);

	(void)cx;
	request->kind = NULL;
	request_give_back(request);
}

static const struct apusi_op_verbs verbs = { verb_cancel, verb_abandon, verb_release };

bool apusi_offload_has(const struct apusi_op *request)
{
	return request->verbs == &verbs;
}

/* Nobody has it but us; one that was dropped has been answered already. */
static void request_back(struct apusi_offload_request *request)
{
	request->away = false;
	request->pool->outstanding--;
	if (request->op.answered && request->op.owner == NULL)
		request_free(request->pool, request);
}

/* Back from the helpers, on the loop's thread; cx is NULL once the loop has closed. */
static void request_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	struct apusi_offload_request *request =
		apus_container_of(node, struct apusi_offload_request, node);
	bool abandoned = request->op.owner == NULL;

	request->pool->counts.done += apus_load_relaxed(&request->status) == APUSI_DONE;
	if (request->op.answered) {
		request_back(request);
		return;
	}
	request_back(request);
	if (cx != NULL) {
		request_returned(cx, request);
		apusi_op_answer(cx, &request->op, request->result);
	}
	if (cx != NULL && !abandoned)
		return;
	apusi_request_discard(request, request->result);
	request_free(request->pool, request);
}

/* ---- starting -------------------------------------------------------------------- */

/* Once around the queue: what was dropped is back, the rest keeps its order. */
static void queue_sweep(struct apusi_offload *pool)
{
	uint64_t count = pool->tail - apus_load_acquire(&pool->head);
	struct apusi_offload_request *request;

	while (count-- > 0 && (request = apusi_queue_pop(pool)) != NULL) {
		if (apus_load_acquire(&request->status) == APUSI_DROPPED)
			request_back(request);
		else
			apusi_queue_push(pool, request);
	}
}

static struct apusi_offload_request *request_claim(struct apusi_offload *pool)
{
	struct apusi_offload_request *request =
		(struct apusi_offload_request *)apus_slab_claim(&pool->requests);

	if (request != NULL)
		return request;
	queue_sweep(pool);
	return (struct apusi_offload_request *)apus_slab_claim(&pool->requests);
}

static void request_prepare(struct apusi_offload *pool, struct apusi_offload_request *request,
	const struct apus_offload_kind *kind)
{
	request->node.take = request_take;
	request->pool = pool;
	request->kind = kind;
	request->returned = NULL;
	request->away = false;
	apus_store_relaxed(&request->unwanted, 0);
	apus_store_relaxed(&request->status, APUSI_QUEUED);
	request_link(pool, request);
}

int apusi_offload_claim(struct apus_cx *cx, struct apus_op *op,
	const struct apus_offload_kind *kind, const struct apusi_call *call,
	struct apusi_offload_request **out)
{
	struct apusi_offload *pool = cx->offload;
	struct apusi_offload_request *request;

	APUS_ASSERT(cx->task != NULL);
	if (pool == NULL)
		return -ENOTSUP;
	if (kind->bytes > pool->config.bytes)
		return -EMSGSIZE;
	request = request_claim(pool);
	if (request == NULL) {
		pool->counts.refused++;
		return -EAGAIN;
	}
	request_prepare(pool, request, kind);
	apusi_op_begin(cx, op, &request->op, &verbs, call);
	*out = request;
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

int apusi_offload_submit(struct apus_cx *cx, struct apus_op *op)
{
	struct apusi_offload *pool = cx->offload;
	struct apusi_offload_request *request = request_of(op->request);
	int err = 0;

	if (!pool->config.at_once)
		err = helpers_want(pool);
	if (err) {
		pool->counts.refused++;
		request_returned(cx, request);
		apusi_op_withdraw(cx, op);
		request_free(pool, request);
		return err;
	}
	request->away = true;
	pool->outstanding++;
	if (pool->config.at_once) {
		apus_store_relaxed(&request->status, APUSI_RUNNING);
		apusi_request_call(request);
		apusi_port_push(pool->port, &request->node);
	} else {
		apusi_queue_push(pool, request);
	}
	return 0;
}

static struct apusi_call call_of(const struct apus_offload_kind *kind, const void *data)
{
	struct apusi_call call = { .verb = kind, .data = data, .bytes = kind->bytes };

	return call;
}

int apus_offload_start_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, const void *data)
{
	const struct apusi_call call = call_of(kind, data);
	struct apusi_offload_request *request;
	int err;

	if (apusi_op_request(cx, &op->op) != NULL)
		return -EBUSY;
	err = apusi_offload_claim(cx, &op->op, kind, &call, &request);
	if (err)
		return err;
	memcpy(request->data, data, kind->bytes);
	return apusi_offload_submit(cx, &op->op);
}

/* ---- awaiting ---------------------------------------------------------------------- */

static apus_poll op_await(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data)
{
	const struct apusi_call call = call_of(kind, data);
	bool answered;
	apus_poll answer = apusi_op_look(cx, &op->op, &call, &answered);

	if (answer == APUSI_OP_IDLE)
		return -ESTALE;
	if (answered) {
		memcpy(data, apusi_offload_data(op->op.request), kind->bytes);
		apusi_op_release(cx, &op->op);
	}
	return answer;
}

apus_poll apus_offload_run_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data)
{
	int err = apus_offload_is_busy(op) ? 0 : apus_offload_start_kind(cx, op, kind, data);

	return err ? err : op_await(cx, op, kind, data);
}

apus_poll apus_offload_cancel_kind(struct apus_cx *cx, struct apus_offload *op,
	const struct apus_offload_kind *kind, void *data)
{
	const struct apusi_call call = call_of(kind, data);
	bool answered;

	if (apusi_op_look(cx, &op->op, &call, &answered) == APUS_PENDING) {
		verb_cancel(cx, op->op.request);
		if (op->op.request->answered) {
			apusi_op_release(cx, &op->op);
			return -ECANCELED;
		}
	}
	return op_await(cx, op, kind, data);
}

void apus_offload_drop(struct apus_cx *cx, struct apus_offload *op)
{
	if (apusi_op_request(cx, &op->op) != NULL)
		apusi_op_abandon(cx, &op->op);
	else
		memset(op, 0, sizeof *op);
}

bool apus_offload_is_unwanted(const void *self)
{
	const struct apusi_offload_request *request =
		apus_container_of(self, const struct apusi_offload_request, data);

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
		.slot_bytes = sizeof(struct apusi_offload_request) + config->bytes,
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
	err = apus_slab_init(&pool->requests, &slab);
	if (!err && pool->helpers == NULL)
		err = -ENOMEM;
	return err ? err : apusi_affinity_take(pool);
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
	const struct apusi_offload_request *request;

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
