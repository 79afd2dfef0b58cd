/*
 * test_task_cxx.cc - the macros as C++17: await, nested frames, select, timeout, spawn, claim,
 * sets, run.  A main of its own: check's macros are C.
 */
#include <cstdio>
#include <cstdlib>

#include "apus/loop.h"

namespace {

int failed;

void expect(bool claim, const char *what)
{
	if (claim)
		return;
	std::printf("FAILED: %s\n", what);
	failed = 1;
}

struct sub {
	apus_frame frame;
	int i;
};

struct state {
	apus_frame frame;
	sub inner;
	struct apus_join join;
	apus_set set;
	int64_t got, value, result;
	int rounds;
};

int cleanups;

void state_cleanup(apus_cx *, state *)
{
	cleanups++;
}

apus_poll three_yields(apus_cx *cx, sub *self)
{
	APUS_BEGIN(cx, self);
	for (self->i = 0; self->i < 3; self->i++)
		APUS_WAIT(apus_yield(cx));
	APUS_END(self->i);
}

APUS_TASK(counts, state, state_cleanup)
{
	APUS_BEGIN(cx, self);
	while (self->rounds-- > 0)
		APUS_WAIT(apus_sleep(cx, 1000));
	APUS_END(11);
}

APUS_TASK_URGENT(refuses, state)
{
	APUS_BEGIN(cx, self);
	APUS_TRY(self->got, apus_timeout(cx, 10, apus_sleep(cx, 20)));
	expect(false, "APUS_TRY went on after -ETIME");
	APUS_END(0);
}

APUS_TASK(all, state, state_cleanup)
{
	state init = {};
	state *claim = nullptr;

	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, three_yields(cx, &self->inner));
	expect(self->got == 3, "a sub-task's result");
	APUS_AWAIT(self->got, three_yields(cx, &self->inner));
	expect(self->got == 3, "a sub-task begins anew");

	init.rounds = 2;
	expect(apus_spawn_slab(cx->loop, counts, &init, &self->join) == 0, "spawn_slab");
	APUS_AWAIT(self->got, apus_timeout(cx, 500, apus_join(cx, self->join, &self->result)));
	expect(self->got == -ETIME, "timeout");
	APUS_AWAIT(self->got, apus_join(cx, self->join, &self->result));
	expect(self->got == 0 && self->result == 11, "join");

	APUS_AWAIT(self->got, APUS_SELECT(self->value, apus_sleep(cx, 1000), apus_sleep(cx, 10),
		apus_cancelled(cx, apus_loop_token(cx->loop))));
	expect(self->got == 1 && self->value == 0, "select");
	APUS_AWAIT(self->got, APUS_SELECT_FAIR(cx, self->value, apus_sleep(cx, 1000),
		apus_sleep(cx, 10)));
	expect(self->got == 1, "the fair select");

	expect(apus_claim_slab(cx->loop, counts, &claim) == 0, "claim");
	*claim = state{};
	expect(apus_claim_spawn(claim, &self->join) == 0, "claim_spawn");
	APUS_AWAIT(self->got, apus_join(cx, self->join, nullptr));
	expect(self->got == 0, "join of a claim");

	expect(apus_spawn_boxed(cx->loop, refuses, nullptr, &self->join) == 0, "spawn_boxed");
	APUS_AWAIT(self->got, apus_join(cx, self->join, &self->result));
	expect(self->result == -ETIME, "APUS_TRY passes a refusal on");

	expect(apus_set_init(&self->set, cx->loop, apus_loop_token(cx->loop)) == 0, "set_init");
	expect(apus_set_spawn(&self->set, counts, nullptr) == 0, "set_spawn");
	APUS_AWAIT(self->got, apus_set_next(cx, &self->set, &self->result));
	expect(self->got == 0 && self->result == 11, "set_next");
	apus_set_deinit(&self->set);
	APUS_END(42);
}

} // namespace

int main()
{
	apus_config config;
	apus_loop *loop;

	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	if (apus_open(&loop, &config) != 0) {
		std::printf("open: %s\n", config.reason);
		return 1;
	}
	expect(apus_run(loop, all, nullptr) == 42, "run");
	expect(cleanups == 4, "each cleanup once");
	expect(apus_close(loop, nullptr) == 0, "close");
	return failed;
}
