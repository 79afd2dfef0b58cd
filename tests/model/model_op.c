/*
 * Random programs of tasks that lend buffers and then wait, lose, cancel, return or are
 * aborted, over a kernel that answers when and how it likes, against a naive book.  Checked at
 * every step: a buffer is written only while it is lent, no task is cleaned up while the kernel
 * has one of its buffers, each cleanup runs once.  Checked at the end of a program: every
 * request, slot and buffer is back.  Now and then a loop closes with buffers lent.
 */
#include "op_kernel.h"

enum { PROGRAMS = 300, STEPS = 300, TASKS = 12, OPS = 3, BYTES = 24 };

/* The naive twin of one task. */
struct fate {
	bool over, aborted, cleaned;
	apus_poll result;
	char *buffers[OPS];
	struct apus_join join;
};

static struct {
	struct fate fates[PROGRAMS * STEPS];
	unsigned count, cleaned;
	struct test_random random;
	struct apus_loop *loop;
} world;

static unsigned below(unsigned bound)
{
	return (unsigned)test_random_below(&world.random, bound);
}

static bool kernel_has(const char *buffer)
{
	int i;

	for (i = 0; i < KERNEL_REQUESTS; i++)
		if (kernel.requests[i].busy && !kernel.requests[i].op.answered &&
		    kernel.requests[i].buffer == buffer)
			return true;
	return false;
}

struct actor {
	struct apus_frame frame;
	struct apus_op ops[OPS];
	apus_poll got, which;
	unsigned id, at, left;
};

static void actor_end(struct apus_cx *cx, struct actor *self)
{
	struct fate *fate = &world.fates[self->id];
	int i;

	ck_assert_ptr_null(cx->task);
	ck_assert(!fate->cleaned && (fate->over || fate->aborted));
	fate->cleaned = true;
	world.cleaned++;
	for (i = 0; i < OPS; i++) {
		ck_assert(!kernel_has(fate->buffers[i]));
		free(fate->buffers[i]);
	}
}

static apus_poll actor_reads(struct apus_cx *cx, struct actor *self)
{
	return kernel_read(cx, &self->ops[self->at], world.fates[self->id].buffers[self->at], BYTES,
		self->at == 0);
}

/* What an operation may answer; and then the buffer is ours, to be written. */
static void check_answer(struct actor *self)
{
	ck_assert(self->got == BYTES || self->got == -ECANCELED || self->got == -EIO);
	ck_assert(!apus_op_is_busy(&self->ops[self->at]));
	memset(world.fates[self->id].buffers[self->at], 'm', BYTES);
}

static apus_poll actor_body(struct apus_cx *cx, struct actor *self)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		self->at = below(OPS);
		switch (below(5)) {
		case 0:
			self->got = actor_reads(cx, self); /* and is off to something else */
			break;
		case 1:
			APUS_AWAIT(self->got, apus_timeout(cx, 1 + below(3),
				actor_reads(cx, self)));
			break;
		case 2:
			APUS_AWAIT(self->which, APUS_SELECT(self->got, actor_reads(cx, self),
				apus_yield(cx)));
			if (self->which == 1)
				self->got = APUS_PENDING;
			break;
		case 3:
			APUS_AWAIT(self->got, apus_op_cancel(cx, &self->ops[self->at]));
			break;
		default:
			APUS_AWAIT(self->got, actor_reads(cx, self));
			break;
		}
		if (self->got == APUS_PENDING || self->got == -ETIME)
			continue;
		if (self->got != -EAGAIN && self->got != -ESTALE)
			check_answer(self);
		if (below(4) == 0)
			APUS_WAIT(apus_yield(cx));
	}
	APUS_END((apus_poll)self->id);
}

APUS_TASK(actor, struct actor, actor_end)
{
	struct fate *fate = &world.fates[self->id];
	apus_poll value;

	ck_assert(!fate->over && !fate->aborted && !fate->cleaned);
	value = actor_body(cx, self);
	if (value != APUS_PENDING) {
		fate->over = true;
		fate->result = value;
	}
	return value;
}

static void spawn_one(void)
{
	struct fate *fate = &world.fates[world.count];
	struct actor init = { .id = world.count, .left = 1 + below(6) };
	int i;

	if (apus_spawn_slab(world.loop, actor, &init, &fate->join))
		return;
	world.count++;
	for (i = 0; i < OPS; i++) {
		fate->buffers[i] = (char *)malloc(BYTES);
		ck_assert_ptr_nonnull(fate->buffers[i]);
	}
}

static void abort_one(void)
{
	struct fate *fate;

	if (world.count == 0)
		return;
	fate = &world.fates[world.count - 1 - below(world.count < 20 ? world.count : 20)];
	if (apus_abort(world.loop, fate->join) == 1) {
		ck_assert(!fate->over && !fate->aborted);
		fate->aborted = true;
	}
}

static void answer_one(void)
{
	struct kernel_request *request = &kernel.requests[below(KERNEL_REQUESTS)];

	if (request->busy && !request->op.answered)
		kernel_answer(world.loop, request, below(8) ? BYTES : below(2) ? -EIO : -ECANCELED);
}

static void step(void)
{
	kernel.manner = (enum kernel_manner)below(3);
	switch (below(6)) {
	case 0:
		spawn_one();
		break;
	case 1:
		if (below(3) == 0)
			abort_one();
		break;
	case 2:
	case 3:
		answer_one();
		break;
	default:
		apus_turn(world.loop);
		break;
	}
}

static void check_joins(void)
{
	apus_poll result;
	unsigned i;

	for (i = 0; i < world.count; i++) {
		struct fate *fate = &world.fates[i];
		int outcome = apus_try_join(world.loop, fate->join, &result);

		ck_assert(fate->cleaned);
		ck_assert_int_eq(outcome, fate->aborted ? -ECANCELED : 0);
		ck_assert(fate->aborted || result == fate->result);
	}
}

static void finish(void)
{
	while (counters(world.loop).tasks_live != 0) {
		kernel.manner = (enum kernel_manner)below(3);
		answer_one();
		apus_turn(world.loop);
	}
	ck_assert_uint_eq(kernel_busy(), 0);
	check_joins();
	ck_assert_uint_eq(counters(world.loop).ops_in_flight, 0);
	ck_assert_uint_eq(counters(world.loop).tasks_held, 0);
	ck_assert_uint_eq(counters(world.loop).slots_used, 0);
	loop_close(world.loop);
}

/* Whoever is still alive ends now; a kernel that heeds gives everything back. */
static void finish_by_close(void)
{
	unsigned i;

	kernel.manner = below(2) ? KERNEL_PROMPT : KERNEL_TOO_LATE;
	for (i = 0; i < KERNEL_REQUESTS; i++)
		if (kernel.requests[i].busy && !kernel.requests[i].op.answered &&
		    kernel.requests[i].op.cancelled)
			kernel_answer(world.loop, &kernel.requests[i], -ECANCELED);
	for (i = 0; i < world.count; i++)
		world.fates[i].aborted |= !world.fates[i].over;
	loop_close(world.loop);
	ck_assert_uint_eq(kernel_busy(), 0);
	ck_assert_uint_eq(world.cleaned, world.count);
}

START_TEST(random_programs_agree_with_the_book)
{
	struct apus_config config;
	int program, i;

	world.random = test_random_init(test_seed() + (uint64_t)_i);
	for (program = 0; program < PROGRAMS; program++) {
		memset(world.fates, 0, world.count * sizeof world.fates[0]);
		world.count = world.cleaned = 0;
		config_virtual(&config, _i);
		config.slot_count = TASKS;
		kernel_reset(KERNEL_DEAF);
		world.loop = loop_open_with(&config);
		for (i = 0; i < STEPS; i++)
			step();
		if (program % 3 == 0)
			finish_by_close();
		else
			finish();
	}
}
END_TEST

LOOP_TEST_MAIN("op_model", random_programs_agree_with_the_book)
