#include <pthread.h>

#include "op_kernel.h"
#include "wait/futex.h"

/* ---- tasks that read ------------------------------------------------------------- */

struct reader {
	struct apus_frame frame;
	struct apus_op op, copy;
	char *buffer; /* NULL: the one in the state */
	apus_poll result, which;
	struct flag *gate;
	int64_t timeout_ns;
	char own[16];
	unsigned id;
	uint64_t object;
};

static void reader_end(struct apus_cx *cx, struct reader *self)
{
	ck_assert_ptr_null(cx->task);
	note("end%u ", self->id);
	free(self->buffer);
}

static apus_poll reader_reads(struct apus_cx *cx, struct reader *self)
{
	return kernel_read(cx, &self->op, self->buffer ? self->buffer : self->own,
		sizeof self->own, self->object);
}

APUS_TASK(reads, struct reader, reader_end)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, reader_reads(cx, self));
	APUS_END(self->result);
}

/* Begins, and leaves. */
APUS_TASK(begins, struct reader, reader_end)
{
	self->result = reader_reads(cx, self);
	return self->result == APUS_PENDING ? 7 : self->result;
}

static struct apus_join spawn_reader(struct apus_loop *loop, const struct apus_kind *kind,
	unsigned id)
{
	struct reader init = { .id = id, .buffer = (char *)calloc(1, 16) };
	struct apus_join join;

	ck_assert_ptr_nonnull(init.buffer);
	if (kind == &apus_kind_reads)
		ck_assert_int_eq(apus_spawn_slab(loop, reads, &init, &join), 0);
	else
		ck_assert_int_eq(apus_spawn_slab(loop, begins, &init, &join), 0);
	return join;
}

static struct apus_loop *kernel_loop(int spurious, enum kernel_manner manner)
{
	kernel_reset(manner);
	return loop_open(spurious);
}

static unsigned statuses(struct apus_loop *loop, enum apus_task_status status);

/* ---- answers ------------------------------------------------------------------------ */

START_TEST(an_operation_answers_its_result_and_the_object_is_idle)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join = spawn_reader(loop, &apus_kind_reads, 1);
	apus_poll result = 0;

	turns(loop, 3);
	ck_assert_uint_eq(counters(loop).ops_in_flight, 1);
	kernel_answer(loop, kernel_first(), 5);
	turns(loop, 1);
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 5);
	ck_assert_uint_eq(kernel.released, 1);
	ck_assert_uint_eq(kernel_busy(), 0);
	ck_assert_uint_eq(counters(loop).ops_in_flight, 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(loses_select, struct reader)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->which, APUS_SELECT(self->result, reader_reads(cx, self),
		flag_up(cx, self->gate)));
	note("arm%d ", (int)self->which);
	if (!apus_op_is_busy(&self->op))
		return -EBADMSG;
	APUS_AWAIT(self->result, reader_reads(cx, self));
	APUS_END(self->own[0] == 'k' ? self->result : -EBADMSG);
}

START_TEST(losing_in_a_select_drops_only_the_wait)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct flag gate = { .up = false };
	struct reader init = { .gate = &gate };
	struct apus_join join;
	apus_poll result = 0;

	ck_assert_int_eq(apus_spawn_slab(loop, loses_select, &init, &join), 0);
	turns(loop, 2);
	flag_raise(&gate);
	turns(loop, 2);
	expect_notes("arm1 ");
	ck_assert_uint_eq(kernel.cancels, 0);
	kernel_answer(loop, kernel_first(), 9);
	turns(loop, 1);
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 9);
	loop_close(loop);
}
END_TEST

/* Answered while nobody looked: the next call has it at once. */
APUS_TASK(loses_timeout, struct reader)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, apus_timeout(cx, APUS_SEC, reader_reads(cx, self)));
	if (self->result != -ETIME)
		return -EBADMSG;
	note("late ");
	APUS_WAIT(flag_up(cx, self->gate));
	self->result = reader_reads(cx, self);
	APUS_END(self->result);
}

START_TEST(losing_to_a_timeout_drops_only_the_wait_and_the_answer_stays)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct flag gate = { .up = false };
	struct reader init = { .gate = &gate };
	struct apus_join join;
	apus_poll result = 0;

	ck_assert_int_eq(apus_spawn_slab(loop, loses_timeout, &init, &join), 0);
	turns(loop, 8);
	expect_notes("late ");
	kernel_answer(loop, kernel_first(), 3);
	turns(loop, 2);
	flag_raise(&gate);
	turns(loop, 2);
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 3);
	loop_close(loop);
}
END_TEST

/* ---- objects ------------------------------------------------------------------------- */

APUS_TASK(reuses, struct reader)
{
	struct apus_op *op = &self->op;
	const struct apusi_call other = { self, 0, self->own, sizeof self->own, 0 };
	bool answered;

	APUS_BEGIN(cx, self);
	if (kernel_read(cx, op, self->own, 16, 0) != APUS_PENDING)
		return -1;
	if (kernel_read(cx, op, self->own + 1, 16, 0) != -EBUSY ||
	    kernel_read(cx, op, self->own, 15, 0) != -EBUSY ||
	    kernel_read(cx, op, self->own, 16, 1) != -EBUSY ||
	    apusi_op_look(cx, op, &other, &answered) != -EBUSY || answered)
		return -2;
	APUS_AWAIT(self->result, kernel_read(cx, op, self->own, 16, 0));
	APUS_AWAIT(self->result, kernel_read(cx, op, self->own, 15, 0));
	APUS_END(self->result);
}

START_TEST(an_object_in_flight_is_ebusy_to_any_other_call)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join;
	apus_poll result = 0;

	ck_assert_int_eq(apus_spawn_slab(loop, reuses, NULL, &join), 0);
	turns(loop, 2);
	ck_assert_uint_eq(kernel_busy(), 1);
	kernel_answer(loop, kernel_first(), 16);
	turns(loop, 2);
	kernel_answer(loop, kernel_first(), 15);
	turns(loop, 2);
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 15);
	loop_close(loop);
}
END_TEST

APUS_TASK(copies, struct reader)
{
	APUS_BEGIN(cx, self);
	if (apus_op_cancel(cx, &self->op) != -ESTALE)
		return -1;
	if (reader_reads(cx, self) != APUS_PENDING)
		return -2;
	self->copy = self->op;
	APUS_AWAIT(self->result, reader_reads(cx, self));
	if (kernel_read(cx, &self->copy, self->own, 16, 0) != -ESTALE ||
	    apus_op_is_busy(&self->copy))
		return -3;
	if (reader_reads(cx, self) != APUS_PENDING)
		return -4;
	self->copy = self->op;
	self->copy.serial--; /* what the first copy was, in the slot's next use */
	if (kernel_read(cx, &self->copy, self->own, 16, 0) != -ESTALE)
		return -5;
	self->copy = self->op;
	self->copy.loop_id++;
	if (apus_op_cancel(cx, &self->copy) != -ESTALE)
		return -6;
	APUS_AWAIT(self->result, reader_reads(cx, self));
	APUS_END(self->result);
}

START_TEST(a_copy_that_was_answered_is_stale)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join;
	apus_poll result = 0;

	ck_assert_int_eq(apus_spawn_slab(loop, copies, NULL, &join), 0);
	turns(loop, 2);
	kernel_answer(loop, kernel_first(), 1);
	turns(loop, 2);
	kernel_answer(loop, kernel_first(), 2);
	turns(loop, 2);
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 2);
	loop_close(loop);
}
END_TEST

struct thief {
	struct reader *of;
};

APUS_TASK(steals, struct thief)
{
	struct apus_op copy = self->of->op;

	if (apus_op_cancel(cx, &copy) != -EPERM ||
	    kernel_read(cx, &copy, self->of->buffer, 16, 0) != -EPERM)
		return -1;
	return 0;
}

START_TEST(an_operation_is_its_tasks_own)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join = spawn_reader(loop, &apus_kind_reads, 1);
	struct thief init = { .of = (struct reader *)apus_join_state(loop, join) };

	turns(loop, 2);
	ck_assert_int_eq(apus_run(loop, steals, &init), 0);
	ck_assert_uint_eq(kernel.cancels, 0);
	kernel_answer(loop, kernel_first(), 1);
	turns(loop, 2);
	ck_assert_int_eq(apus_try_join(loop, join, NULL), 0);
	loop_close(loop);
}
END_TEST

APUS_TASK(exhausts, struct reader)
{
	static char buffers[KERNEL_REQUESTS + 1][16];
	static struct apus_op ops[KERNEL_REQUESTS + 1];
	int i;

	memset(ops, 0, sizeof ops);
	for (i = 0; i < KERNEL_REQUESTS; i++)
		if (kernel_read(cx, &ops[i], buffers[i], 16, 0) != APUS_PENDING)
			return -1;
	if (kernel_read(cx, &ops[i], buffers[i], 16, 0) != -EAGAIN || apus_op_is_busy(&ops[i]))
		return -2;
	self->op = ops[3];
	kernel_answer(cx->loop, kernel_at(self->op.request), 6);
	if (kernel_read(cx, &self->op, buffers[3], 16, 0) != 6)
		return -3;
	/* One is free: the next has it. */
	return kernel_read(cx, &self->op, buffers[i], 16, 0) == APUS_PENDING ? 0 : -4;
}

START_TEST(no_request_left_is_eagain_and_nothing_is_lost)
{
	struct apus_loop *loop = kernel_loop(0, KERNEL_PROMPT);

	ck_assert_int_eq(apus_run(loop, exhausts, NULL), 0);
	ck_assert_uint_eq(kernel_busy(), 0);
	loop_close(loop);
}
END_TEST

/* ---- cancelling ------------------------------------------------------------------------ */

APUS_TASK(cancels, struct reader)
{
	APUS_BEGIN(cx, self);
	if (reader_reads(cx, self) != APUS_PENDING)
		return -EBADMSG;
	APUS_AWAIT(self->result, apus_op_cancel(cx, &self->op));
	if (apus_op_is_busy(&self->op) || apus_op_cancel(cx, &self->op) != -ESTALE)
		return -EBADMSG;
	memset(self->own, 'm', sizeof self->own); /* mine again: ASan and the kernel agree */
	APUS_END(self->result);
}

START_TEST(awaiting_its_cancel_returns_the_buffer)
{
	static const struct {
		enum kernel_manner manner;
		uint64_t object;
		apus_poll result;
		unsigned abandoned;
	} cases[] = {
		{ KERNEL_PROMPT, 0, -ECANCELED, 0 },
		{ KERNEL_TOO_LATE, 0, 16, 0 },         /* what it brought all the same */
		{ KERNEL_TOO_LATE, 1, -ECANCELED, 1 }, /* and owned: undone */
		{ KERNEL_PROMPT, 1, -ECANCELED, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct apus_loop *loop = kernel_loop(_i, cases[i].manner);
		struct reader init = { .object = cases[i].object };

		ck_assert_int_eq(apus_run(loop, cancels, &init), cases[i].result);
		ck_assert_uint_eq(kernel.cancels, 1);
		ck_assert_uint_eq(kernel.abandoned, cases[i].abandoned);
		ck_assert_uint_eq(kernel_busy(), 0);
		loop_close(loop);
	}
}
END_TEST

START_TEST(a_cancel_that_takes_its_time_is_awaited_and_asked_once)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join;
	apus_poll result = 0;

	ck_assert_int_eq(apus_spawn_slab(loop, cancels, NULL, &join), 0);
	turns(loop, 5);
	ck_assert_uint_eq(kernel.cancels, 1);
	ck_assert_int_eq(apus_try_join(loop, join, NULL), -EAGAIN);
	kernel_answer(loop, kernel_first(), -ECANCELED);
	turns(loop, 1);
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, -ECANCELED);
	loop_close(loop);
}
END_TEST

/* ---- tasks that end with one in flight ------------------------------------------------------ */

START_TEST(an_aborted_task_keeps_its_slot_until_the_kernel_answers)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join = spawn_reader(loop, &apus_kind_reads, 1);
	apus_poll result = 0;

	turns(loop, 2);
	ck_assert_int_eq(apus_abort(loop, join), 1);
	turns(loop, 5);
	expect_notes("");
	ck_assert_uint_eq(kernel.cancels, 1);
	ck_assert_uint_eq(counters(loop).tasks_held, 1);
	ck_assert_uint_eq(counters(loop).tasks_live, 1);
	ck_assert_uint_eq(statuses(loop, APUS_STATUS_HELD), 1);
	ck_assert_int_eq(apus_abort(loop, join), 0);
	ck_assert_int_eq(apus_try_join(loop, join, NULL), -EAGAIN);
	/* Into memory that the cleanup frees: it has not run. */
	kernel_answer(loop, kernel_first(), 16);
	expect_notes("");
	turns(loop, 1);
	expect_notes("end1 ");
	ck_assert_int_eq(apus_try_join(loop, join, &result), -ECANCELED);
	ck_assert_uint_eq(kernel.abandoned, 1);
	ck_assert_uint_eq(counters(loop).tasks_held, 0);
	ck_assert_uint_eq(counters(loop).slots_used, 0);
	loop_close(loop);
}
END_TEST

START_TEST(a_task_that_returns_keeps_its_slot_and_its_result)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join = spawn_reader(loop, &apus_kind_begins, 1);
	apus_poll result = 0;

	turns(loop, 5);
	expect_notes("");
	ck_assert_int_eq(apus_join_is_finished(loop, join), 0);
	ck_assert_int_eq(apus_abort(loop, join), 0);
	ck_assert_int_eq(counters(loop).slots_used, 1);
	kernel_answer(loop, kernel_first(), 16);
	turns(loop, 1);
	expect_notes("end1 ");
	ck_assert_int_eq(apus_try_join(loop, join, &result), 0);
	ck_assert_int_eq(result, 7);
	loop_close(loop);
}
END_TEST

/* Nothing is held where the kernel gives up at once, or has answered. */
START_TEST(what_is_back_already_holds_nothing)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_PROMPT);
	struct apus_join join = spawn_reader(loop, &apus_kind_begins, 1);

	turns(loop, 1);
	expect_notes("end1 ");
	ck_assert_int_eq(apus_try_join(loop, join, NULL), 0);
	join = spawn_reader(loop, &apus_kind_reads, 2);
	turns(loop, 1);
	kernel_answer(loop, kernel_first(), 16);
	ck_assert_int_eq(apus_abort(loop, join), 1);
	turns(loop, 1);
	expect_notes("end2 ");
	ck_assert_uint_eq(kernel.cancels, 1);
	ck_assert_uint_eq(kernel.abandoned, 2);
	ck_assert_int_eq(kernel.abandoned_result, 16);
	loop_close(loop);
}
END_TEST

START_TEST(the_last_of_several_ends_the_hold)
{
	struct apus_loop *loop = kernel_loop(0, KERNEL_DEAF);
	struct reader init = { .id = 1 };
	struct apus_join join;
	unsigned left;

	ck_assert_int_eq(apus_spawn_slab(loop, exhausts, &init, &join), 0);
	turns(loop, 2);
	ck_assert_uint_eq(counters(loop).tasks_held, 1);
	for (left = kernel_busy(); left != 0; left--) {
		ck_assert_int_eq(apus_try_join(loop, join, NULL), -EAGAIN);
		kernel_answer(loop, kernel_first(), -ECANCELED);
		turns(loop, 1);
	}
	ck_assert_int_eq(apus_try_join(loop, join, NULL), 0);
	loop_close(loop);
}
END_TEST

static unsigned seen_count;
static enum apus_task_status seen_status;

static void see(void *arg, const struct apus_task_info *info)
{
	(void)arg;
	seen_count += info->status == seen_status;
}

static unsigned statuses(struct apus_loop *loop, enum apus_task_status status)
{
	seen_count = 0;
	seen_status = status;
	apus_dump(loop, see, NULL);
	return seen_count;
}

START_TEST(a_held_slot_is_nobody_elses)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_join join;
	struct flag gate = { .up = false };
	struct reader init = { .id = 2, .gate = &gate };
	int i;

	config_virtual(&config, _i);
	config.slot_count = 2;
	kernel_reset(KERNEL_DEAF);
	loop = loop_open_with(&config);
	join = spawn_reader(loop, &apus_kind_reads, 1);
	turns(loop, 2);
	apus_abort(loop, join);
	for (i = 0; i < 10; i++) {
		turns(loop, 2);
		ck_assert_int_eq(apus_spawn_slab(loop, loses_select, &init, NULL), i ? -ENOSPC : 0);
		if (i == 0)
			((struct reader *)apus_join_state(loop, join))->own[0] = 'x';
	}
	apus_detach(loop, join);
	kernel_answer(loop, kernel_first(), 1);
	turns(loop, 1);
	expect_notes("end1 ");
	kernel.manner = KERNEL_PROMPT;
	loop_close(loop);
}
END_TEST

START_TEST(cleanups_that_waited_run_in_the_order_of_the_answers)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join first = spawn_reader(loop, &apus_kind_reads, 1);
	struct apus_join second = spawn_reader(loop, &apus_kind_reads, 2);
	struct apus_join third = spawn_reader(loop, &apus_kind_reads, 3);

	turns(loop, 2);
	apus_abort(loop, first);
	apus_abort(loop, second);
	turns(loop, 2);
	apus_abort(loop, third);
	kernel_answer(loop, &kernel.requests[1], 1);
	turns(loop, 1);
	kernel_answer(loop, &kernel.requests[0], 1);
	turns(loop, 2);
	expect_notes("end2 end1 ");
	kernel_answer(loop, &kernel.requests[2], 1);
	turns(loop, 1);
	expect_notes("end3 ");
	loop_close(loop);
}
END_TEST

/* ---- stopping and closing ---------------------------------------------------------------------- */

START_TEST(drain_waits_for_what_is_held_and_names_it)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_join join = spawn_reader(loop, &apus_kind_begins, 1);
	struct apus_drain_report report;

	ck_assert_int_eq(apus_drain(loop, APUS_SEC, &report), -ETIME);
	ck_assert_uint_eq(report.tasks_live, 1);
	ck_assert_uint_eq(report.named, 1);
	ck_assert_int_eq(report.tasks[0].status, APUS_STATUS_HELD);
	kernel_answer(loop, kernel_first(), 1);
	ck_assert_int_eq(apus_drain(loop, APUS_SEC, &report), 0);
	ck_assert_int_eq(apus_detach(loop, join), 0);
	loop_close(loop);
}
END_TEST

START_TEST(a_run_does_not_wait_for_ever_for_a_root_that_is_held)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct reader init = { .id = 1 };
	struct apus_counters final;

	config_virtual(&config, _i);
	config.stop_grace_ns = APUS_SEC;
	config.close_wait_ns = 2 * APUS_MSEC;
	kernel_reset(KERNEL_DEAF);
	loop = loop_open_with(&config);
	/* Nothing can ever happen. */
	ck_assert_int_eq(apus_run(loop, begins, &init), -EDEADLK);
	ck_assert_int_eq(apus_close(loop, &final), -EBUSY);
	ck_assert_uint_eq(final.slots_leaked, 1);
	expect_notes("");
}
END_TEST

START_TEST(close_waits_for_the_kernel_and_cleans_up)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_PROMPT);
	struct apus_counters final;

	spawn_reader(loop, &apus_kind_reads, 1);
	turns(loop, 2);
	ck_assert_int_eq(apus_close(loop, &final), 0);
	expect_notes("end1 ");
	ck_assert_uint_eq(final.slots_leaked, 0);
	ck_assert_uint_eq(final.ops_in_flight, 0);
}
END_TEST

/* The kernel writes when the loop is gone: into memory that nobody else has. */
START_TEST(close_leaks_a_slot_that_stays_lent_counts_it_and_closes)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_counters final;
	struct reader init = { .id = 1 };
	struct apus_join stuck, other;

	config_virtual(&config, _i);
	config.close_wait_ns = APUS_MSEC;
	kernel_reset(KERNEL_DEAF);
	loop = loop_open_with(&config);
	ck_assert_int_eq(apus_spawn_slab(loop, reads, &init, &stuck), 0);
	turns(loop, 2);
	kernel.manner = KERNEL_PROMPT;
	other = spawn_reader(loop, &apus_kind_reads, 2);
	turns(loop, 2);
	kernel.requests[0].op.cancelled = true; /* deaf, only to this one */
	ck_assert_int_eq(apus_close(loop, &final), -EBUSY);
	expect_notes("end2 ");
	ck_assert_uint_eq(final.slots_leaked, 1);
	ck_assert_uint_eq(final.tasks_held, 1);
	ck_assert_uint_eq(final.ops_in_flight, 1);
	(void)other;
	memset(kernel.requests[0].buffer, 'k', kernel.requests[0].bytes);
	/* The thread may have another loop. */
	loop = kernel_loop(_i, KERNEL_PROMPT);
	ck_assert_int_eq(apus_run(loop, cancels, NULL), -ECANCELED);
	loop_close(loop);
}
END_TEST

/* The kernel's answer comes in the first phase of a turn: the cleanup in a later one of it. */
static uint32_t source_answers(struct apus_cx *cx, struct apus_source *source)
{
	(void)source;
	if (kernel_first() == NULL)
		return 0;
	kernel_answer(cx->loop, kernel_first(), 1);
	return 1;
}

START_TEST(a_cleanup_runs_in_the_turn_of_the_answer)
{
	struct apus_loop *loop = kernel_loop(_i, KERNEL_DEAF);
	struct apus_source source = { .poll = source_answers };
	struct apus_join join = spawn_reader(loop, &apus_kind_begins, 1);

	turns(loop, 2);
	ck_assert_int_eq(apus_source_add(loop, &source), 0);
	expect_notes("");
	turns(loop, 1);
	expect_notes("end1 ");
	ck_assert_int_eq(apus_detach(loop, join), 0);
	loop_close(loop);
}
END_TEST

/* A kernel with a thread of its own. */
static struct apus_inbox_node late_node;

static void late_take(struct apus_cx *cx, struct apus_inbox_node *node)
{
	(void)node;
	ck_assert_ptr_nonnull(cx);
	kernel_answer(cx->loop, kernel_first(), 1);
}

static void *answers_later(void *port)
{
	const struct timespec time = { .tv_nsec = 20000000 };

	nanosleep(&time, NULL);
	apusi_port_push((struct apusi_port *)port, &late_node);
	return NULL;
}

START_TEST(close_waits_for_a_kernel_that_takes_its_time)
{
	struct apus_loop *loop;
	struct apus_config config;
	pthread_t thread;

	config_virtual(&config, _i);
	config.close_wait_ns = 100 * APUS_SEC;
	kernel_reset(KERNEL_DEAF);
	loop = loop_open_with(&config);
	late_node.take = late_take;
	spawn_reader(loop, &apus_kind_reads, 1);
	turns(loop, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, answers_later,
		apus_loop_cx(loop)->port), 0);
	ck_assert_int_eq(apus_close(loop, NULL), 0);
	expect_notes("end1 ");
	pthread_join(thread, NULL);
}
END_TEST

/* ---- helper threads as the kernel ----------------------------------------------------------- */

struct fill {
	char *buffer;
};

static uint32_t gate, entered;

APUS_OFFLOAD(fill, struct fill)
{
	apus_store_release(&entered, 1);
	apusi_futex_wake_all(&entered, false);
	while (apus_load_acquire(&gate) == 0)
		apusi_futex_wait(&gate, 0, APUS_NEVER, false);
	memset(self->buffer, 'k', 16);
	return 16;
}

static apus_poll fill_read(struct apus_cx *cx, struct apus_op *op, char *buffer)
{
	const struct apusi_call call = { &apus_offload_kind_fill, 0, buffer, 16, 0 };
	struct apusi_offload_request *request;
	bool answered;
	apus_poll answer = apusi_op_look(cx, op, &call, &answered);

	if (answer == APUSI_OP_IDLE) {
		int err = apusi_offload_claim(cx, op, &apus_offload_kind_fill, &call, &request);

		if (err)
			return err;
		apusi_op_lend(cx, &request->op, buffer);
		((struct fill *)(void *)request->data)->buffer = buffer;
		err = apusi_offload_submit(cx, op);
		if (err)
			return err;
		answer = apusi_op_look(cx, op, &call, &answered);
	}
	if (answered)
		apusi_op_release(cx, op);
	return answer;
}

APUS_TASK(fills, struct reader, reader_end)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->result, fill_read(cx, &self->op, self->buffer));
	APUS_END(self->buffer[15] == 'k' ? self->result : -EBADMSG);
}

/* Gives up, and has the buffer back. */
APUS_TASK(unfills, struct reader, reader_end)
{
	APUS_BEGIN(cx, self);
	if (fill_read(cx, &self->op, self->buffer) != APUS_PENDING)
		return -EBADMSG;
	APUS_AWAIT(self->result, apus_op_cancel(cx, &self->op));
	memset(self->buffer, 'm', 16);
	APUS_END(self->result);
}

static struct apus_loop *helper_loop(int64_t close_wait_ns, uint32_t open)
{
	struct apus_config config;

	apus_config_init(&config);
	config.log_fn = NULL;
	config.offload_threads = 1;
	config.close_wait_ns = close_wait_ns;
	config.stall_ns = APUS_NEVER;
	apus_store_relaxed(&gate, open);
	apus_store_relaxed(&entered, 0);
	return loop_open_with(&config);
}

static struct reader filler(unsigned id)
{
	struct reader init = { .id = id, .buffer = (char *)calloc(1, 16) };

	ck_assert_ptr_nonnull(init.buffer);
	return init;
}

static void gate_open(void)
{
	apus_store_release(&gate, 1);
	apusi_futex_wake_all(&gate, false);
}

static void turns_until_entered(struct apus_loop *loop)
{
	while (apus_load_acquire(&entered) == 0)
		apus_turn(loop);
}

START_TEST(a_helper_may_be_lent_a_buffer_and_what_it_has_not_begun_is_given_up_at_once)
{
	struct apus_loop *loop = helper_loop(100 * APUS_SEC, 0);
	struct reader init = filler(1);
	struct apus_join first, second, third;
	apus_poll result = 0;

	ck_assert_int_eq(apus_spawn_slab(loop, fills, &init, &first), 0);
	turns_until_entered(loop);
	init = filler(2);
	ck_assert_int_eq(apus_spawn_slab(loop, unfills, &init, &second), 0);
	init = filler(3);
	ck_assert_int_eq(apus_spawn_slab(loop, fills, &init, &third), 0);
	turns(loop, 2);
	ck_assert_int_eq(apus_try_join(loop, second, &result), 0);
	ck_assert_int_eq(result, -ECANCELED);
	apus_abort(loop, third);
	turns(loop, 2);
	ck_assert_int_eq(apus_try_join(loop, third, NULL), -ECANCELED);
	expect_notes("end2 end3 ");
	gate_open();
	while (apus_try_join(loop, first, &result) == -EAGAIN)
		apus_turn(loop);
	ck_assert_int_eq(result, 16);
	loop_close(loop);
}
END_TEST

START_TEST(a_helper_that_has_begun_holds_the_slot_of_an_aborted_task)
{
	struct apus_loop *loop = helper_loop(100 * APUS_SEC, 0);
	struct reader init = filler(1);
	struct apus_join join;

	ck_assert_int_eq(apus_spawn_slab(loop, fills, &init, &join), 0);
	turns_until_entered(loop);
	apus_abort(loop, join);
	turns(loop, 5);
	expect_notes("");
	gate_open();
	while (apus_try_join(loop, join, NULL) == -EAGAIN)
		apus_turn(loop);
	expect_notes("end1 ");
	loop_close(loop);
}
END_TEST

/* Opens the gate while the loop closes, or has closed. */
static void *opens_later(void *ns)
{
	const struct timespec time = { .tv_nsec = *(long *)ns };

	nanosleep(&time, NULL);
	gate_open();
	return NULL;
}

START_TEST(close_waits_for_a_helper_that_writes_and_cleans_up)
{
	struct apus_loop *loop = helper_loop(100 * APUS_SEC, 0);
	struct reader init = filler(1);
	struct apus_counters final;
	long ns = 20000000;
	pthread_t thread;

	ck_assert_int_eq(apus_spawn_slab(loop, fills, &init, NULL), 0);
	turns_until_entered(loop);
	ck_assert_int_eq(pthread_create(&thread, NULL, opens_later, &ns), 0);
	ck_assert_int_eq(apus_close(loop, &final), 0);
	expect_notes("end1 ");
	ck_assert_uint_eq(final.slots_leaked, 0);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_helper_that_stays_away_leaks_the_slot_and_writes_to_nobody_elses_memory)
{
	struct apus_loop *loop = helper_loop(0, 0);
	struct apus_counters final;
	struct apus_join join;
	struct reader init = { .id = 1 }, *state;

	/* In the state itself. */
	ck_assert_int_eq(apus_spawn_slab(loop, fills, &init, &join), 0);
	state = (struct reader *)apus_join_state(loop, join);
	state->buffer = state->own;
	turns_until_entered(loop);
	ck_assert_int_eq(apus_close(loop, &final), -EBUSY);
	expect_notes("");
	ck_assert_uint_eq(final.slots_leaked, 1);
	ck_assert_uint_eq(final.offload_leaked, 1);
	gate_open();
	while (*(volatile char *)&state->own[15] != 'k')
		sched_yield();
}
END_TEST

START_TEST(all_requests_in_use_is_eagain_and_none_is_lost)
{
	struct apus_loop *loop = helper_loop(100 * APUS_SEC, 1);
	struct reader init;
	struct apus_join joins[200];
	apus_poll result;
	unsigned refused = 0;
	int i;

	for (i = 0; i < 200; i++) {
		init = filler((unsigned)i);
		ck_assert_int_eq(apus_spawn_slab(loop, fills, &init, &joins[i]), 0);
	}
	for (i = 0; i < 200; i++) {
		while (apus_try_join(loop, joins[i], &result) == -EAGAIN)
			apus_turn(loop);
		ck_assert(result == 16 || result == -EBADMSG);
		refused += result == -EBADMSG;
	}
	/* 64 at once: what was refused wrote nothing. */
	ck_assert_uint_eq(counters(loop).offload_refused, refused);
	ck_assert_uint_ge(refused, 200 - 64 - 64);
	ck_assert_uint_eq(counters(loop).ops_in_flight, 0);
	loop_close(loop);
}
END_TEST

/* ---- the stack -------------------------------------------------------------------------------- */

static char *lent;

APUS_TASK(lends, struct reader)
{
	char local[16];

	memset(local, 0, sizeof local);
	return kernel_read(cx, &self->op, lent ? lent : local, sizeof local, 0) == APUS_PENDING ?
		0 : -1;
}

static void lend_stack(void *arg)
{
	struct apus_loop *loop;

	(void)arg;
	lent = NULL;
	loop = kernel_loop(0, KERNEL_PROMPT);
	apus_run(loop, lends, NULL);
}

START_TEST(a_buffer_on_the_stack_of_the_poll_panics_in_a_debug_build)
{
	struct apus_loop *loop;
	char callers[16];

	/* What lies below the loop stays while it runs. */
	lent = callers;
	loop = kernel_loop(_i, KERNEL_PROMPT);
	ck_assert_int_eq(apus_run(loop, lends, NULL), 0);
	loop_close(loop);
	if (APUS_DEBUG)
		test_expect_panic("task lends lends a buffer on the stack", lend_stack, NULL);
}
END_TEST

LOOP_TEST_MAIN("op",
	an_operation_answers_its_result_and_the_object_is_idle,
	losing_in_a_select_drops_only_the_wait,
	losing_to_a_timeout_drops_only_the_wait_and_the_answer_stays,
	an_object_in_flight_is_ebusy_to_any_other_call,
	a_copy_that_was_answered_is_stale,
	an_operation_is_its_tasks_own,
	no_request_left_is_eagain_and_nothing_is_lost,
	awaiting_its_cancel_returns_the_buffer,
	a_cancel_that_takes_its_time_is_awaited_and_asked_once,
	an_aborted_task_keeps_its_slot_until_the_kernel_answers,
	a_task_that_returns_keeps_its_slot_and_its_result,
	what_is_back_already_holds_nothing,
	the_last_of_several_ends_the_hold,
	a_held_slot_is_nobody_elses,
	cleanups_that_waited_run_in_the_order_of_the_answers,
	drain_waits_for_what_is_held_and_names_it,
	a_run_does_not_wait_for_ever_for_a_root_that_is_held,
	close_waits_for_the_kernel_and_cleans_up,
	close_waits_for_a_kernel_that_takes_its_time,
	close_leaks_a_slot_that_stays_lent_counts_it_and_closes,
	a_cleanup_runs_in_the_turn_of_the_answer,
	a_helper_may_be_lent_a_buffer_and_what_it_has_not_begun_is_given_up_at_once,
	a_helper_that_has_begun_holds_the_slot_of_an_aborted_task,
	close_waits_for_a_helper_that_writes_and_cleans_up,
	a_helper_that_stays_away_leaks_the_slot_and_writes_to_nobody_elses_memory,
	all_requests_in_use_is_eagain_and_none_is_lost,
	a_buffer_on_the_stack_of_the_poll_panics_in_a_debug_build)
