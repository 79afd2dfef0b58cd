#include <string.h>
#include <unistd.h>

#include "io/native.h"
#include "io/uring.h"

/*
 * An operation is one request with one answer.  What lends a buffer without a copy (a send)
 * is told of twice: what it did, and later that nobody touches the buffer any more; only
 * the second answers it.
 */

enum { OPERATIONS_DEFAULT = 256 };

_Static_assert((int)APUSI_NATIVE_SEND_ZC == (int)IORING_OP_SEND_ZC, "numbered by the kernel");

/* ---- the pool ------------------------------------------------------------------------ */

int apusi_uring_op_open(struct apus_io *io)
{
	uint32_t count = io->config.uring.operations;
	const struct apus_slab_config config = {
		.slot_bytes = sizeof(struct apusi_native_op),
		.slot_align = APUS_CACHE_LINE,
		.slot_count = count != 0 ? count : OPERATIONS_DEFAULT,
		.prefault = io->config.prefault,
		.lock = io->config.lock,
	};

	return apus_slab_init(&apusi_uring_of(io)->operations, &config);
}

void apusi_uring_op_close(struct apus_io *io)
{
	apus_slab_deinit(&apusi_uring_of(io)->operations);
}

/* ---- the verbs of wait/op.h ------------------------------------------------------------- */

static void op_release(struct apus_cx *cx, struct apusi_op *op)
{
	apus_slab_release(&apusi_uring_of(cx->io)->operations, op);
}

static void op_abandon(struct apus_cx *cx, struct apusi_op *op)
{
	if (!op->answered)
		return; /* its answer comes, and comes here */
	if (op->owns && op->result >= 0)
		close((int)op->result);
	op_release(cx, op);
}

static void op_cancel(struct apus_cx *cx, struct apusi_op *op)
{
	apusi_uring_cancel_op(cx->io, apus_container_of(op, struct apusi_native_op, op));
}

static const struct apusi_op_verbs verbs = { op_cancel, op_abandon, op_release };

/* ---- beginning --------------------------------------------------------------------------- */

bool apusi_uring_has_native(const struct apus_io *io, uint8_t opcode)
{
	return opcode < sizeof apusi_uring_of(io)->has && apusi_uring_of(io)->has[opcode];
}

static void prepare(struct io_uring_sqe *sqe, const struct apusi_native *native)
{
	io_uring_prep_rw(native->opcode, sqe, native->fd, native->data, native->bytes,
		native->offset);
	sqe->ioprio = native->ioprio;
	sqe->rw_flags = (int)native->flags;
	sqe->file_index = native->index;
	if (native->apart)
		sqe->flags |= IOSQE_ASYNC;
}

static void begin(struct apus_cx *cx, struct apus_op *op, struct apusi_native_op *request,
	const struct apusi_call *call, const struct apusi_native *native)
{
	request->result = 0;
	request->owes = false;
	request->returned = native->returned;
	request->arg = native->arg;
	apusi_op_begin(cx, op, &request->op, &verbs, call);
	request->op.owns = native->owns;
	if (native->lent != NULL)
		apusi_op_lend(cx, &request->op, native->lent);
	apusi_uring_of(cx->io)->in_flight++;
	cx->io->watched_count++; /* there is something to reap */
}

int apusi_uring_begin_native(struct apus_cx *cx, struct apus_op *op, const struct apusi_call *call,
	const struct apusi_native *native)
{
	struct apusi_uring *uring = apusi_uring_of(cx->io);
	struct apusi_native_op *request;
	struct io_uring_sqe *sqe;

	if (!apusi_uring_has_native(cx->io, native->opcode))
		return -ENOTSUP;
	request = apus_slab_claim(&uring->operations);
	if (request == NULL)
		return -EAGAIN;
	sqe = apusi_uring_claim(cx->io);
	if (sqe == NULL) {
		apus_slab_release(&uring->operations, request);
		return -EAGAIN;
	}
	prepare(sqe, native);
	if (native->answers)
		sqe->off = (uintptr_t)request->room;
	request->fixed = apusi_uring_fixed_use(cx->io, native->fixed, sqe);
	io_uring_sqe_set_data(sqe, request);
	begin(cx, op, request, call, native);
	return 0;
}

/* ---- completions --------------------------------------------------------------------------- */

void apusi_uring_answered(struct apus_io *io, const struct io_uring_cqe *cqe)
{
	struct apusi_native_op *request = (void *)(uintptr_t)cqe->user_data;
	bool is_nobodys = request->op.owner == NULL;

	if ((cqe->flags & IORING_CQE_F_NOTIF) == 0)
		request->result = cqe->res;
	if (cqe->flags & IORING_CQE_F_MORE)
		return; /* the buffer is still lent */
	apusi_uring_of(io)->in_flight--;
	io->watched_count--;
	request->owes = false;
	if (request->fixed != NULL)
		apusi_uring_fixed_back(io, request->fixed);
	if (request->returned != NULL)
		request->returned(io->cx, request->arg, request->result);
	/* A worker of the kernel's that was told to give up says that it was interrupted. */
	if (request->result == -EINTR && request->op.cancelled)
		request->result = -ECANCELED;
	apusi_op_answer(io->cx, &request->op, request->result);
	if (is_nobodys)
		op_abandon(io->cx, &request->op);
}
