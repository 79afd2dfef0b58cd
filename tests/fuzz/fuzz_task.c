/*
 * Tasks as a state machine: programs of spawn, abort, detach, join, cancel, select, timeout,
 * sleep, semaphores and a channel, from outside, from within polls and from cleanups, against
 * a book of what each task has seen (promises 3, 4, 6, 7 and 11).
 *
 * Each awaitable is wrapped so that what it answers is held against the book on the spot,
 * in whatever select or timeout it stands.  In the end every slot, wait node, token, timer,
 * permit and message has come back; or the loop is closed in the middle, and every task has
 * had its cleanup.
 */
#include "loop.h"

const char *const fuzz_name = "task";

enum { SLOTS = 10, TASKS_MAX = 400, GATES = 3, TOKENS = 3, WAITS = 8, TURNS_MAX = 20000 };

APUS_CHANNEL(letters, uint64_t, 2)

/* What happened to a task, in plain words. */
struct fate {
	bool ended, aborted, cleaned, is_cleaning, detached, taken;
	apus_poll result;
	struct apus_join join;
};

static struct {
	struct fuzz_program program;
	struct apus_loop *loop;
	struct fate fates[TASKS_MAX];
	unsigned count;
	struct apus_semaphore gates[GATES];
	uint64_t permits[GATES];
	struct apus_token tokens[TOKENS];
	bool holds_token[TOKENS];
	struct letters letters;
	uint64_t sent, received;
	bool is_closed, is_closing;
} world;

static unsigned below(unsigned bound)
{
	return fuzz_below(&world.program, bound);
}

/* ---- awaitables, each held against the book --------------------------------------------- */

/* When the await that is evaluated began. */
static int64_t began_ns(const struct apus_cx *cx)
{
	return cx->frame->site != NULL ? cx->frame->since_ns : cx->now_ns;
}

static apus_poll passed(struct apus_cx *cx, int64_t ns)
{
	apus_poll got = apus_sleep(cx, ns);

	FUZZ_MUST((got == 0) == (cx->now_ns >= began_ns(cx) + ns));
	return got;
}

static apus_poll within(struct apus_cx *cx, int64_t ns, apus_poll inner)
{
	apus_poll got = apus_timeout(cx, ns, inner);

	if (inner != APUS_PENDING)
		FUZZ_MUST(got == inner);
	else
		FUZZ_MUST((got == -ETIME) == (cx->now_ns >= began_ns(cx) + ns));
	return got;
}

static apus_poll acquired(struct apus_cx *cx, unsigned gate)
{
	apus_poll got = apus_semaphore_acquire(cx, &world.gates[gate]);

	if (got == 0)
		FUZZ_MUST(world.permits[gate]-- > 0);
	else
		FUZZ_MUST(got == APUS_PENDING || got == -EPIPE || got == -ENOBUFS);
	return got;
}

/* Evaluated once, and only when there is room. */
static uint64_t letter(void)
{
	FUZZ_MUST(!world.is_closed);
	return world.sent++;
}

static apus_poll sent(struct apus_cx *cx)
{
	uint64_t before = world.sent;
	apus_poll got = apus_send(cx, &world.letters, letter());

	FUZZ_MUST(world.sent == before + (got == 0));
	FUZZ_MUST(world.sent - world.received <= 2);
	FUZZ_MUST(got != -EPIPE || world.is_closed);
	return got;
}

static apus_poll received(struct apus_cx *cx)
{
	uint64_t message = UINT64_MAX;
	apus_poll got = apus_recv(cx, &world.letters, &message);

	if (got == 0)
		FUZZ_MUST(world.received < world.sent && message == world.received++);
	else if (got == -EPIPE)
		FUZZ_MUST(world.is_closed && world.received == world.sent);
	else
		FUZZ_MUST(got == -EBUSY || world.received == world.sent || got == -ENOBUFS);
	return got;
}

/* What a join may answer, and what it must, by the book. */
static void check_join(struct fate *fate, apus_poll got, apus_poll result)
{
	if (got == 0) {
		FUZZ_MUST(fate->ended && !fate->aborted && fate->cleaned);
		FUZZ_MUST(!fate->taken && !fate->detached && result == fate->result);
		fate->taken = true;
	} else if (got == -ECANCELED) {
		FUZZ_MUST(fate->aborted && fate->cleaned && !fate->taken && !fate->detached);
		fate->taken = true;
	} else if (got == -ESTALE) {
		FUZZ_MUST(fate->taken || fate->detached);
	} else {
		FUZZ_MUST(got == -EBUSY || got == -EDEADLK || got == -ENOBUFS);
	}
}

static apus_poll joined(struct apus_cx *cx, unsigned other)
{
	struct fate *fate = &world.fates[other];
	apus_poll result = -1, got = apus_join(cx, fate->join, &result);

	if (got != APUS_PENDING)
		check_join(fate, got, result);
	else
		FUZZ_MUST(!fate->taken && !fate->detached);
	return got;
}

static apus_poll cancelled(struct apus_cx *cx, unsigned token)
{
	apus_poll got = apus_cancelled(cx, world.tokens[token]);

	FUZZ_MUST(got == APUS_PENDING || got == 0 || got == -ESTALE || got == -EPIPE ||
		got == -ENOBUFS);
	return got;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

struct actor {
	struct apus_frame frame;
	struct actor_sub {
		struct apus_frame frame;
		unsigned gate;
	} sub;
	struct apus_guard guard;
	unsigned id, left, gate, token, other;
	int64_t ns;
	apus_poll got, value;
};

static void act(void);
static void spawn_one(void);

static void actor_cleanup(struct apus_cx *cx, struct actor *self)
{
	struct fate *fate = &world.fates[self->id];

	FUZZ_MUST(cx->task == NULL && !fate->cleaned);
	FUZZ_MUST(fate->aborted || fate->ended || world.is_closing);
	fate->cleaned = fate->is_cleaning = true;
	if (!world.is_closing && below(4) == 1)
		act();
	fate->is_cleaning = false;
}

static apus_poll through_gate(struct apus_cx *cx, struct actor_sub *self)
{
	APUS_BEGIN(cx, self);
	APUS_WAIT(acquired(cx, self->gate));
	APUS_WAIT(apus_yield(cx));
	APUS_WAIT(sent(cx));
	APUS_END((apus_poll)self->gate);
}

static apus_poll actor_body(struct apus_cx *cx, struct actor *self);

APUS_TASK(actor, struct actor, actor_cleanup)
{
	struct fate *fate = &world.fates[self->id];
	apus_poll got;

	FUZZ_MUST(!fate->aborted && !fate->ended && !fate->cleaned);
	got = actor_body(cx, self);
	if (got != APUS_PENDING && !fate->aborted) {
		fate->ended = true;
		fate->result = got;
	}
	return got;
}

static void draw(struct actor *self)
{
	self->gate = below(GATES);
	self->token = below(TOKENS);
	self->other = below(world.count);
	self->ns = 1 + below(8) * 100;
	self->sub.gate = self->gate;
	memset(&self->sub.frame, 0, sizeof self->sub.frame);
}

static apus_poll actor_body(struct apus_cx *cx, struct actor *self)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		if (below(3) == 1)
			act();
		draw(self);
		switch (below(14)) {
		case 0:
			APUS_WAIT(apus_yield(cx));
			break;
		case 1:
			APUS_WAIT(passed(cx, self->ns));
			break;
		case 2:
			APUS_WAIT(within(cx, self->ns, sent(cx)));
			break;
		case 3:
			APUS_WAIT(within(cx, self->ns, received(cx)));
			break;
		case 4:
			APUS_WAIT(within(cx, self->ns, acquired(cx, self->gate)));
			break;
		case 5:
			APUS_WAIT(within(cx, self->ns, joined(cx, self->other)));
			break;
		case 6:
			APUS_WAIT(within(cx, self->ns, cancelled(cx, self->token)));
			break;
		case 7:
			APUS_WAIT(within(cx, self->ns, through_gate(cx, &self->sub)));
			break;
		case 8:
			APUS_WAIT(APUS_SELECT(self->value, acquired(cx, self->gate), received(cx),
				passed(cx, self->ns)));
			break;
		case 9:
			APUS_WAIT(APUS_SELECT_FAIR(cx, self->value, sent(cx),
				acquired(cx, self->gate), passed(cx, self->ns)));
			break;
		case 10:
			APUS_WAIT(APUS_SELECT(self->value, joined(cx, self->other),
				cancelled(cx, self->token), received(cx), sent(cx),
				passed(cx, self->ns)));
			break;
		case 11:
			APUS_WAIT(APUS_SELECT_FAIR(cx, self->value, apus_yield(cx),
				within(cx, self->ns, joined(cx, self->other)),
				cancelled(cx, self->token)));
			break;
		case 12:
			apus_guard_arm(cx, &self->guard, world.tokens[self->token]);
			APUS_WAIT(passed(cx, self->ns));
			break;
		default:
			/* The sub-task that lost is nobody's, and begins anew. */
			APUS_WAIT(APUS_SELECT(self->value, through_gate(cx, &self->sub),
				passed(cx, self->ns)));
		}
	}
	APUS_END((apus_poll)self->id * 3);
}

/* ---- deeds: from outside, from within a poll, from a cleanup ----------------------------------- */

static void spawn_one(void)
{
	struct fate *fate = &world.fates[world.count];
	struct actor init = { .id = world.count, .left = below(6) };
	unsigned how = below(8);
	bool is_joinable = how % 4 != 3;
	int err;

	if (world.count == TASKS_MAX)
		return;
	memset(fate, 0, sizeof *fate);
	if (how < 4)
		err = apus_spawn_slab(world.loop, actor, &init, is_joinable ? &fate->join : NULL);
	else
		err = apus_spawn_boxed(world.loop, actor, &init, is_joinable ? &fate->join : NULL);
	FUZZ_MUST(err == 0 || err == -ENOSPC);
	if (err)
		return;
	fate->detached = !is_joinable;
	world.count++;
}

static void abort_one(struct fate *fate)
{
	int got = apus_abort(world.loop, fate->join);

	if (fate->join.serial == 0) /* detached from the start: there is no handle */
		FUZZ_MUST(got == -ESTALE);
	else if (!fate->ended && !fate->aborted)
		FUZZ_MUST(got == 1);
	else
		FUZZ_MUST(got == 0 || (got == -ESTALE && (fate->taken || fate->detached)));
	if (got == 1)
		fate->aborted = true;
}

static void detach_one(struct fate *fate)
{
	int got = apus_detach(world.loop, fate->join);

	FUZZ_MUST(got == (fate->taken || fate->detached ? -ESTALE : 0));
	fate->detached = true;
}

static void try_join_one(struct fate *fate)
{
	apus_poll result = 0;
	int got = apus_try_join(world.loop, fate->join, &result);

	if (got == -EAGAIN)
		FUZZ_MUST(!fate->taken && !fate->detached && (!fate->cleaned || fate->is_cleaning));
	else
		check_join(fate, got, result);
}

static void cancel_one(unsigned token)
{
	int got = apus_cancel(world.loop, world.tokens[token]);

	FUZZ_MUST(world.holds_token[token] ? got >= 0 : got == -ESTALE);
}

/* A token that was just cancelled is free only when its walk is over: none may be left. */
static void token_anew(unsigned token)
{
	int expected = world.holds_token[token] ? 0 : -ESTALE, err;

	if (below(2) == 1)
		cancel_one(token);
	FUZZ_MUST(apus_token_release(world.loop, world.tokens[token]) == expected);
	FUZZ_MUST(apus_token_is_cancelled(world.loop, world.tokens[token]));
	err = apus_token_child(world.loop, apus_loop_token(world.loop), &world.tokens[token]);
	FUZZ_MUST(err == 0 || err == -ENOSPC);
	world.holds_token[token] = err == 0;
}

static void try_letters(void)
{
	uint64_t message = UINT64_MAX;

	if (below(2) == 0)
		(void)apus_try_send(&world.letters, letter());
	else if (apus_try_recv(&world.letters, &message) == 0)
		FUZZ_MUST(message == world.received++);
}

static void act(void)
{
	struct fate *fate;
	unsigned gate;

	if (world.count == 0)
		return;
	fate = &world.fates[below(world.count > 256 ? 256 : world.count)];
	switch (below(10)) {
	case 0:
		abort_one(fate);
		break;
	case 1:
		detach_one(fate);
		break;
	case 2:
		try_join_one(fate);
		break;
	case 3:
		token_anew(below(TOKENS));
		break;
	case 4:
		cancel_one(below(TOKENS));
		break;
	case 5:
		try_letters();
		break;
	case 6:
		if (below(16) == 15) {
			apus_close_send(&world.letters);
			world.is_closed = true;
		}
		break;
	case 7:
		if (below(16) == 15)
			apus_semaphore_close(&world.gates[below(GATES)]);
		break;
	case 8:
		spawn_one();
		break;
	default:
		gate = below(GATES);
		world.permits[gate]++;
		FUZZ_MUST(apus_semaphore_release(&world.gates[gate], 1) == 0);
	}
}

/* ---- the end ------------------------------------------------------------------------------------- */

static struct apus_counters counters(void)
{
	struct apus_counters now;

	apus_counters_read(world.loop, &now);
	return now;
}

static unsigned free_waits(void)
{
	const struct apus_wait *wait;
	unsigned count = 0;

	for (wait = apus_loop_cx(world.loop)->wait_free; wait != NULL; wait = wait->task_next)
		count++;
	return count;
}

/* Where nobody is ready, nobody waits for what is there: no grant and no wake was lost. */
static void check_rest(void)
{
	const struct apus_channel *channel = &world.letters.channel;
	uint64_t letters = world.sent - world.received;

	for (unsigned i = 0; i < GATES; i++)
		FUZZ_MUST(world.gates[i].waiters.head == NULL ||
			(world.permits[i] == 0 && !world.gates[i].is_closed));
	FUZZ_MUST(channel->senders.head == NULL || (letters == 2 && !world.is_closed));
	FUZZ_MUST(channel->receiver.head == NULL || (letters == 0 && !world.is_closed));
}

static void turn(void)
{
	apus_turn(world.loop);
	if (counters().tasks_ready == 0)
		check_rest();
}

/* What waits has a time-out; nothing goes on for ever. */
static void run_down(void)
{
	unsigned turns = 0;

	while (counters().tasks_live != 0) {
		FUZZ_MUST(turns++ < TURNS_MAX);
		turn();
	}
	/* What was released while it was ready, walks of tokens. */
	for (turns = 0; turns < 2 * SLOTS; turns++)
		turn();
}

static void check_end(void)
{
	struct apus_counters now = counters();
	unsigned i, unjoined = 0, tokens = 0;

	for (i = 0; i < world.count; i++) {
		const struct fate *fate = &world.fates[i];

		FUZZ_MUST((fate->ended || fate->aborted) && fate->cleaned);
		unjoined += !fate->taken && !fate->detached;
	}
	for (i = 0; i < TOKENS; i++)
		tokens += world.holds_token[i];
	FUZZ_MUST(now.tasks_unjoined == unjoined && now.slots_used == unjoined);
	FUZZ_MUST(now.tasks_spawned == world.count && now.tasks_ready == 0);
	FUZZ_MUST(now.timers_pending == 0 && now.tokens_used == tokens);
	FUZZ_MUST(free_waits() == WAITS);
	for (i = 0; i < GATES; i++) {
		FUZZ_MUST(world.gates[i].waiters.head == NULL);
		FUZZ_MUST(world.gates[i].permits == world.permits[i]);
	}
	FUZZ_MUST(world.letters.channel.senders.head == NULL);
	FUZZ_MUST(world.letters.channel.receiver.head == NULL);
	FUZZ_MUST(apus_channel_length(&world.letters) == world.sent - world.received);
}

static void open_loop(unsigned how)
{
	struct apus_config config;

	fuzz_loop_config(&config, SLOTS, WAITS, how);
	config.token_count = TOKENS;
	FUZZ_MUST(apus_open(&world.loop, &config) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool closes_early;
	unsigned i;

	memset(&world, 0, sizeof world);
	world.program = (struct fuzz_program){ data, size };
	open_loop(fuzz_byte(&world.program));
	closes_early = below(4) == 3;
	FUZZ_MUST(apus_channel_init(&world.letters) == 0);
	for (i = 0; i < TOKENS; i++) {
		FUZZ_MUST(apus_token_child(world.loop, apus_loop_token(world.loop),
			&world.tokens[i]) == 0);
		world.holds_token[i] = true;
	}
	while (fuzz_has_more(&world.program)) {
		if (below(3) == 0)
			spawn_one();
		else
			act();
		for (i = below(3); i > 0; i--)
			turn();
	}
	if (!closes_early) {
		run_down();
		check_end();
	}
	world.is_closing = true;
	FUZZ_MUST(apus_close(world.loop, NULL) == 0);
	for (i = 0; i < world.count; i++)
		FUZZ_MUST(world.fates[i].cleaned);
	apus_channel_deinit(&world.letters);
	return 0;
}
