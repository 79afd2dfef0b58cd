#include <pthread.h>

#include "loop_test.h"

static struct apus_token child_of(struct apus_loop *loop, struct apus_token parent)
{
	struct apus_token child;

	ck_assert_int_eq(apus_token_child(loop, parent, &child), 0);
	return child;
}

static struct apus_loop *open_tokens(uint32_t tokens, uint32_t budget, int spurious)
{
	struct apus_config config;

	config_virtual(&config, spurious);
	config.token_count = tokens;
	config.cancel_budget = budget;
	return loop_open_with(&config);
}

struct asker {
	struct apus_frame frame;
	struct apus_token token;
	char name;
	int64_t got, value;
	int rounds;
};

APUS_TASK(asker, struct asker)
{
	APUS_BEGIN(cx, self);
	APUS_AWAIT(self->got, apus_cancelled(cx, self->token));
	note("%c%d ", self->name, (int)self->got);
	APUS_END(self->got);
}

static void spawn_asker(struct apus_loop *loop, char name, struct apus_token token)
{
	struct asker init = { .name = name, .token = token };

	ck_assert_int_eq(apus_spawn_slab(loop, asker, &init, NULL), 0);
}

START_TEST(cancel_is_idempotent_and_goes_down_and_not_up)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_token root = apus_loop_token(loop);
	struct apus_token parent = child_of(loop, root), brother = child_of(loop, root);
	struct apus_token child = child_of(loop, parent), grandchild = child_of(loop, child);

	ck_assert_int_eq(apus_cancel(loop, child), 1);
	ck_assert_int_eq(apus_cancel(loop, child), 0);
	ck_assert(apus_token_is_cancelled(loop, child));
	turns(loop, 1);
	ck_assert(apus_token_is_cancelled(loop, grandchild));
	ck_assert(!apus_token_is_cancelled(loop, parent));
	ck_assert(!apus_token_is_cancelled(loop, root));
	ck_assert_int_eq(apus_cancel(loop, parent), 1);
	ck_assert_int_eq(apus_cancel(loop, grandchild), 0);
	turns(loop, 2);
	ck_assert(!apus_token_is_cancelled(loop, brother));
	ck_assert_int_eq(apus_cancel(loop, root), 1);
	turns(loop, 1);
	ck_assert(apus_token_is_cancelled(loop, brother));
	loop_close(loop);
}
END_TEST

START_TEST(a_child_of_a_cancelled_parent_is_born_cancelled)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_token parent = child_of(loop, apus_loop_token(loop)), child;

	apus_cancel(loop, parent);
	child = child_of(loop, parent); /* before the walk, */
	ck_assert(apus_token_is_cancelled(loop, child));
	turns(loop, 2);
	child = child_of(loop, parent); /* and after it */
	ck_assert(apus_token_is_cancelled(loop, child));
	ck_assert(apus_token_is_cancelled(loop, child_of(loop, child)));
	loop_close(loop);
}
END_TEST

/* Every waiter wakes, the tasks of all levels, parents first. */
START_TEST(every_waiter_wakes_parents_first)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_token parent = child_of(loop, apus_loop_token(loop));
	struct apus_token child = child_of(loop, parent);

	spawn_asker(loop, 'c', child);
	spawn_asker(loop, 'p', parent);
	spawn_asker(loop, 'q', parent);
	spawn_asker(loop, 'd', child);
	turns(loop, 2);
	expect_notes("");
	apus_cancel(loop, parent);
	turns(loop, 1);
	expect_notes("p0 q0 c0 d0 ");
	spawn_asker(loop, 'l', child); /* late: at once */
	turns(loop, 1);
	expect_notes("l0 ");
	loop_close(loop);
}
END_TEST

/* A release is final: who awaits it is told, who comes later finds it stale. */
START_TEST(a_token_released_while_it_is_awaited_answers_epipe)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_token token = child_of(loop, apus_loop_token(loop)), next;

	spawn_asker(loop, 'a', token);
	spawn_asker(loop, 'b', token);
	turns(loop, 1);
	ck_assert_int_eq(apus_token_release(loop, token), 0);
	ck_assert_int_eq(apus_cancel(loop, token), -ESTALE); /* before its place is taken, too */
	next = child_of(loop, apus_loop_token(loop));
	ck_assert_ptr_eq(next.node, token.node);
	spawn_asker(loop, 'n', next);
	turns(loop, 1);
	ck_assert_str_eq(noted(), "a-32 b-32 ");
	ck_assert_int_eq(apus_token_release(loop, token), -ESTALE);
	ck_assert_int_eq(apus_cancel(loop, token), -ESTALE);
	ck_assert_int_eq(apus_token_child(loop, token, &next), -ESTALE);
	ck_assert(apus_token_is_cancelled(loop, token));
	spawn_asker(loop, 's', token);
	turns(loop, 1);
	ck_assert_str_eq(noted(), "s-116 ");
	ck_assert(!apus_token_is_cancelled(loop, next));
	loop_close(loop);
}
END_TEST

/* Promise 4: the node stays for the sake of its children; the token is gone all the same. */
START_TEST(a_released_token_with_children_is_stale_and_they_are_not)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_token token = child_of(loop, apus_loop_token(loop));
	struct apus_token one = child_of(loop, token), two = child_of(loop, token), none;

	ck_assert_int_eq(apus_token_release(loop, token), 0);
	ck_assert_int_eq(apus_token_release(loop, token), -ESTALE);
	ck_assert_int_eq(apus_cancel(loop, token), -ESTALE);
	ck_assert_int_eq(apus_token_child(loop, token, &none), -ESTALE);
	turns(loop, 2);
	ck_assert(!apus_token_is_cancelled(loop, one));
	ck_assert_int_eq(apus_cancel(loop, two), 1);
	ck_assert(!apus_token_is_cancelled(loop, one));
	ck_assert_int_eq(apus_cancel(loop, apus_loop_token(loop)), 1);
	turns(loop, 2);
	ck_assert(apus_token_is_cancelled(loop, one));
	loop_close(loop);
}
END_TEST

static apus_poll ready_second_time(struct apus_cx *cx, struct asker *self)
{
	return self->rounds++ % 2 ? 0 : apus_again(cx);
}

/* A token a round, released by the task that has just stopped waiting for it. */
APUS_TASK(token_each_round, struct asker)
{
	APUS_BEGIN(cx, self);
	for (self->rounds = 0; self->rounds < 8;) {
		ck_assert_int_eq(apus_token_child(cx->loop, apus_loop_token(cx->loop),
			&self->token), 0);
		APUS_AWAIT(self->got, APUS_SELECT(self->value, apus_cancelled(cx, self->token),
			ready_second_time(cx, self)));
		note("%d ", (int)self->got);
		ck_assert_int_eq(apus_token_release(cx->loop, self->token), 0);
	}
	APUS_END(0);
}

/* Promise 3: the slot of a token is used again at once, by the task that has left the last. */
START_TEST(a_token_made_in_the_place_of_the_last_is_not_broken)
{
	struct apus_loop *loop = open_tokens(1, 100, 0);

	apus_spawn_slab(loop, token_each_round, NULL, NULL);
	turns(loop, 8);
	expect_notes("1 1 1 1 ");
	loop_close(loop);
}
END_TEST

START_TEST(children_outlive_the_release_of_their_parent_and_still_hear_their_grandparent)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_token grandparent = child_of(loop, apus_loop_token(loop));
	struct apus_token parent = child_of(loop, grandparent);
	struct apus_token children[2] = { child_of(loop, parent), child_of(loop, parent) };

	ck_assert_int_eq(apus_token_release(loop, parent), 0);
	ck_assert_int_eq(apus_token_release(loop, children[0]), 0);
	ck_assert(!apus_token_is_cancelled(loop, children[1]));
	apus_cancel(loop, grandparent);
	turns(loop, 1);
	ck_assert(apus_token_is_cancelled(loop, children[1]));
	ck_assert_int_eq(apus_token_release(loop, children[1]), 0);
	ck_assert_int_eq(apus_token_release(loop, grandparent), 0);
	turns(loop, 1);
	ck_assert_uint_eq(counters(loop).tokens_used, 0);
	loop_close(loop);
}
END_TEST

START_TEST(the_root_cannot_be_released)
{
	struct apus_loop *loop = loop_open(_i);

	ck_assert_int_eq(apus_token_release(loop, apus_loop_token(loop)), -EINVAL);
	ck_assert(!apus_token_is_cancelled(loop, apus_loop_token(loop)));
	loop_close(loop);
}
END_TEST

START_TEST(without_a_token_left_the_answer_is_enospc)
{
	struct apus_loop *loop = open_tokens(2, 100, _i);
	struct apus_token root = apus_loop_token(loop), a = child_of(loop, root), b, none = { 0 };

	b = child_of(loop, root);
	ck_assert_int_eq(apus_token_child(loop, root, &none), -ENOSPC);
	ck_assert_uint_eq(none.serial, 0);
	ck_assert_uint_eq(counters(loop).tokens_used, 2);
	apus_token_release(loop, a);
	ck_assert_int_eq(apus_token_child(loop, root, &none), 0);
	apus_token_release(loop, b);
	loop_close(loop);
}
END_TEST

/* Promise 4: serials are the loop's; a token of zeros is none. */
START_TEST(a_token_of_another_loop_or_of_none_is_stale)
{
	struct apus_loop *loop = loop_open(_i);
	struct apus_token old = child_of(loop, apus_loop_token(loop)), out;
	struct apus_token zero = { NULL, 0, 0 };

	loop_close(loop);
	loop = loop_open(_i);
	child_of(loop, apus_loop_token(loop));
	ck_assert_int_eq(apus_cancel(loop, old), -ESTALE);
	ck_assert_int_eq(apus_token_child(loop, old, &out), -ESTALE);
	ck_assert_int_eq(apus_token_release(loop, old), -ESTALE);
	ck_assert_int_eq(apus_cancel(loop, zero), -ESTALE);
	ck_assert_int_eq(apus_token_release(loop, zero), -ESTALE);
	spawn_asker(loop, 'o', old);
	spawn_asker(loop, 'z', zero);
	turns(loop, 1);
	ck_assert_str_eq(noted(), "o-116 z-116 ");
	loop_close(loop);
}
END_TEST

/* P13: a parent outlives any number of children. */
START_TEST(a_million_short_lived_children_leave_nothing)
{
	struct apus_loop *loop = open_tokens(4, 100, 0);
	struct apus_token root = apus_loop_token(loop), parent = child_of(loop, root), child;
	int i;

	for (i = 0; i < TEST_MANY(1000000); i++) {
		if (apus_token_child(loop, parent, &child) != 0 || apus_token_release(loop,
			child) != 0)
			ck_abort_msg("child %d", i);
	}
	ck_assert_uint_eq(counters(loop).tokens_used, 1);
	/* And those that are cancelled first. */
	for (i = 0; i < 1000; i++) {
		child = child_of(loop, parent);
		apus_cancel(loop, child);
		ck_assert_int_eq(apus_token_release(loop, child), 0);
		turns(loop, 1);
	}
	ck_assert_uint_eq(counters(loop).tokens_used, 1);
	loop_close(loop);
}
END_TEST

/* P13: a child that takes its parent's place, again and again. */
START_TEST(a_line_of_tokens_each_released_after_its_child_was_made_stays_short)
{
	struct apus_loop *loop = open_tokens(4, 100, _i);
	struct apus_token token = child_of(loop, apus_loop_token(loop)), next;
	int i;

	for (i = 0; i < 1000; i++) {
		next = child_of(loop, token);
		ck_assert_int_eq(apus_token_release(loop, token), 0);
		token = next;
	}
	ck_assert_uint_eq(counters(loop).tokens_used, 1);
	apus_cancel(loop, apus_loop_token(loop));
	turns(loop, 1);
	ck_assert(apus_token_is_cancelled(loop, token));
	loop_close(loop);
}
END_TEST

enum { MANY = TEST_MANY(100000) };

/* P13, promise 8: the walk is budgeted, and iterative. */
START_TEST(cancelling_a_hundred_thousand_children_takes_bounded_turns)
{
	struct apus_loop *loop = open_tokens(MANY + 1, 1000, 0);
	struct apus_token parent = child_of(loop, apus_loop_token(loop)), first, last;
	int i, steps;

	first = last = child_of(loop, parent);
	for (i = 1; i < MANY; i++)
		last = child_of(loop, parent);
	apus_cancel(loop, parent);
	for (steps = 0; counters(loop).full_cancel_budgets == (uint64_t)steps &&
		steps < 10000; steps++)
		ck_assert_uint_le(apus_turn(loop), 1000);
	ck_assert(apus_token_is_cancelled(loop, first));
	ck_assert(apus_token_is_cancelled(loop, last));
	/* A child is a step of its parent's, and one of its own. */
	ck_assert_int_ge(steps, MANY / 1000);
	ck_assert_int_le(steps, 2 * MANY / 1000 + 2);
	loop_close(loop);
}
END_TEST

/* P13: no recursion, however deep. */
START_TEST(cancelling_a_chain_a_hundred_thousand_deep_takes_bounded_turns)
{
	struct apus_loop *loop = open_tokens(MANY + 1, 1000, 0);
	struct apus_token first = child_of(loop, apus_loop_token(loop)), last = first;
	int i, steps;

	for (i = 1; i < MANY; i++)
		last = child_of(loop, last);
	spawn_asker(loop, 'l', last);
	turns(loop, 1);
	apus_cancel(loop, first);
	for (steps = 0; notes[0] == '\0' && steps < 10000; steps++)
		ck_assert_uint_le(apus_turn(loop), 1000 + 1);
	expect_notes("l0 ");
	ck_assert_int_le(steps, 2 * MANY / 1000 + 2);
	loop_close(loop);
}
END_TEST

/* P13: the same, let go from the top: what is released frees upwards without recursion. */
START_TEST(releasing_a_chain_a_hundred_thousand_deep_frees_all_of_it)
{
	struct apus_loop *loop = open_tokens(MANY + 1, 1000, 0);
	struct apus_token *chain = calloc(MANY, sizeof *chain), extra;
	int i;

	chain[0] = child_of(loop, apus_loop_token(loop));
	extra = child_of(loop, chain[0]);
	for (i = 1; i < MANY; i++)
		chain[i] = child_of(loop, chain[i - 1]);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(apus_token_release(loop, chain[i]), 0);
	apus_token_release(loop, extra);
	ck_assert_uint_eq(counters(loop).tokens_used, 0);
	free(chain);
	loop_close(loop);
}
END_TEST

/* The walk stands in the middle of a family while members come and go. */
START_TEST(tokens_may_be_released_and_made_while_the_walk_is_under_way)
{
	struct apus_loop *loop = open_tokens(64, 2, _i);
	struct apus_token parent = child_of(loop, apus_loop_token(loop)), children[20], late;
	int i;

	for (i = 0; i < 20; i++)
		children[i] = child_of(loop, parent);
	apus_cancel(loop, parent);
	turns(loop, 2);
	for (i = 0; i < 20; i += 2)
		ck_assert_int_eq(apus_token_release(loop, children[i]), 0);
	late = child_of(loop, parent);
	ck_assert(apus_token_is_cancelled(loop, late));
	ck_assert_int_eq(apus_token_release(loop, parent), 0);
	turns(loop, 100);
	for (i = 1; i < 20; i += 2) {
		ck_assert_int_eq(apus_cancel(loop, children[i]), 0);
		ck_assert_int_eq(apus_token_release(loop, children[i]), 0);
	}
	apus_token_release(loop, late);
	ck_assert_uint_eq(counters(loop).tokens_used, 0);
	loop_close(loop);
}
END_TEST

/* Waiters are served under the budget as well, and each is. */
START_TEST(a_thousand_waiters_all_wake_under_a_small_budget)
{
	struct apus_config config;
	struct apus_loop *loop;
	struct apus_token token;
	int i;

	config_virtual(&config, 0);
	config.slot_count = 1000;
	config.cancel_budget = 10;
	loop = loop_open_with(&config);
	token = child_of(loop, apus_loop_token(loop));
	for (i = 0; i < 1000; i++)
		spawn_asker(loop, 'x', token);
	turns(loop, 5);
	apus_cancel(loop, token);
	turns(loop, 110);
	ck_assert_uint_eq(counters(loop).tasks_live, 0);
	ck_assert_uint_eq(pool_count(loop), 64);
	loop_close(loop);
}
END_TEST

static void *from_outside(void *arg)
{
	struct apus_loop *loop = (struct apus_loop *)arg;
	struct apus_token token = apus_loop_token(loop), out;

	ck_assert_int_eq(apus_cancel(loop, token), -EPERM);
	ck_assert_int_eq(apus_token_child(loop, token, &out), -EPERM);
	ck_assert_int_eq(apus_token_release(loop, token), -EPERM);
	return NULL;
}

/* Decision "foreign thread". */
START_TEST(another_thread_is_answered_eperm)
{
	struct apus_loop *loop = loop_open(_i);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, from_outside, loop), 0);
	pthread_join(thread, NULL);
	ck_assert(!apus_token_is_cancelled(loop, apus_loop_token(loop)));
	loop_close(loop);
}
END_TEST

LOOP_TEST_MAIN("cancel",
	cancel_is_idempotent_and_goes_down_and_not_up,
	a_child_of_a_cancelled_parent_is_born_cancelled,
	every_waiter_wakes_parents_first,
	a_token_released_while_it_is_awaited_answers_epipe,
	a_released_token_with_children_is_stale_and_they_are_not,
	a_token_made_in_the_place_of_the_last_is_not_broken,
	children_outlive_the_release_of_their_parent_and_still_hear_their_grandparent,
	the_root_cannot_be_released,
	without_a_token_left_the_answer_is_enospc,
	a_token_of_another_loop_or_of_none_is_stale,
	a_million_short_lived_children_leave_nothing,
	a_line_of_tokens_each_released_after_its_child_was_made_stays_short,
	cancelling_a_hundred_thousand_children_takes_bounded_turns,
	cancelling_a_chain_a_hundred_thousand_deep_takes_bounded_turns,
	releasing_a_chain_a_hundred_thousand_deep_frees_all_of_it,
	tokens_may_be_released_and_made_while_the_walk_is_under_way,
	a_thousand_waiters_all_wake_under_a_small_budget,
	another_thread_is_answered_eperm)
