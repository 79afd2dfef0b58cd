/*
 * Random tasks on a loop that send, receive, change their mind, end and are aborted, while
 * channels are closed, deinitialised and freed under them, against a twin that knows only
 * the rules: a list of messages, a list of who waits and who of them holds a grant.
 *
 * Every answer is the twin's answer.  After every turn nothing that could go on stands
 * still: nobody holds a grant, nobody waits for a slot while one is free, nor for a message
 * while there is one.
 */
#include "apus/channels.h"
#include "apus/loop.h"
#include "test.h"

enum { ROUNDS = 200, STEPS = 600, CHANNELS = 2, ACTORS = 9, MESSAGES_MAX = 8 };

APUS_CHANNEL_SLOTS(flow, uint64_t)

struct twin_wait {
	uint32_t actor;
	bool granted;
};

struct twin {
	struct flow *flow; /* NULL: deinitialised, its memory freed */
	uint64_t *slots;
	uint32_t capacity;
	uint64_t messages[MESSAGES_MAX];
	uint32_t count;
	bool send_closed, recv_closed;
	struct twin_wait senders[ACTORS];
	uint32_t waiting;
	int receiver;            /* the actor that waits to receive, or -1 */
	bool broken_send[ACTORS]; /* waited when it was deinitialised */
	bool broken_recv[ACTORS];
};

struct actor {
	struct apus_join join;
	bool alive;
};

static struct model {
	struct apus_loop *loop;
	struct test_random random;
	struct twin twins[CHANNELS];
	struct actor actors[ACTORS];
	uint64_t next_message;
	uint64_t sent, received, passed, broken;
} model;

static uint64_t draw(uint64_t bound)
{
	return test_random_below(&model.random, bound);
}

/* ---- the rules ---------------------------------------------------------------- */

static int twin_find(const struct twin *twin, uint32_t actor)
{
	for (uint32_t i = 0; i < twin->waiting; i++)
		if (twin->senders[i].actor == actor)
			return (int)i;
	return -1;
}

static void twin_remove(struct twin *twin, uint32_t index)
{
	twin->waiting--;
	memmove(&twin->senders[index], &twin->senders[index + 1],
		(twin->waiting - index) * sizeof twin->senders[0]);
}

static bool twin_grant(struct twin *twin)
{
	for (uint32_t i = 0; i < twin->waiting; i++)
		if (!twin->senders[i].granted)
			return twin->senders[i].granted = true;
	return false;
}

static bool twin_has_grants(const struct twin *twin)
{
	return twin->waiting > 0 && twin->senders[0].granted;
}

static int twin_try_send(const struct twin *twin)
{
	if (twin->send_closed)
		return -EPIPE;
	return twin->waiting > 0 || twin->count == twin->capacity ? -EAGAIN : 0;
}

static void twin_push(struct twin *twin, uint64_t message)
{
	ck_assert_uint_lt(twin->count, twin->capacity);
	twin->messages[twin->count++] = message;
}

static apus_poll twin_send(struct twin *twin, uint32_t actor)
{
	int index = twin_find(twin, actor);
	uint32_t room;
	int err;

	if (!twin->send_closed && index == 0 && twin->senders[0].granted) {
		twin_remove(twin, 0);
		room = twin->capacity - twin->count - 1;
		if (!twin_has_grants(twin))
			while (room > 0 && twin_grant(twin))
				room--;
		return 0;
	}
	err = twin_try_send(twin);
	if (err != -EAGAIN)
		return err;
	if (index < 0)
		twin->senders[twin->waiting++] = (struct twin_wait){ actor, false };
	return APUS_PENDING;
}

static int twin_try_recv(const struct twin *twin)
{
	if (twin->recv_closed)
		return -EPIPE;
	if (twin->count > 0)
		return 0;
	return twin->send_closed ? -EPIPE : -EAGAIN;
}

static uint64_t twin_pop(struct twin *twin)
{
	uint64_t message = twin->messages[0];

	memmove(twin->messages, twin->messages + 1, --twin->count * sizeof message);
	twin_grant(twin);
	return message;
}

static apus_poll twin_recv(struct twin *twin, uint32_t actor)
{
	int err = twin_try_recv(twin);

	if (err != -EAGAIN)
		return err;
	if (twin->receiver >= 0 && twin->receiver != (int)actor)
		return -EBUSY;
	twin->receiver = (int)actor;
	return APUS_PENDING;
}

/* The actor's waits that were not renewed go; a grant passes on. */
static void twin_forget_send(struct twin *twin, uint32_t actor)
{
	int index = twin_find(twin, actor);
	bool granted;

	twin->broken_send[actor] = false;
	if (index < 0)
		return;
	granted = twin->senders[index].granted;
	twin_remove(twin, (uint32_t)index);
	if (granted)
		model.passed += twin_grant(twin);
}

static void twin_forget_recv(struct twin *twin, uint32_t actor)
{
	twin->broken_recv[actor] = false;
	if (twin->receiver == (int)actor)
		twin->receiver = -1;
}

static void actor_forget(uint32_t actor)
{
	for (uint32_t i = 0; i < CHANNELS; i++) {
		twin_forget_send(&model.twins[i], actor);
		twin_forget_recv(&model.twins[i], actor);
	}
}

/* ---- what an actor does in a poll ------------------------------------------------ */

struct poller {
	uint32_t id;
};

static bool may_send(const struct twin *twin, uint32_t actor)
{
	return twin->flow != NULL || twin->broken_send[actor];
}

static bool may_recv(const struct twin *twin, uint32_t actor)
{
	return twin->flow != NULL || twin->broken_recv[actor];
}

/*
 * Who waited when the channel was deinitialised may ask once more, and be told; the pointer
 * leads nowhere by then, so it is kept here.
 */
static struct flow *last_flow[CHANNELS];

static bool act_send(struct apus_cx *cx, uint32_t channel, uint32_t actor)
{
	struct twin *twin = &model.twins[channel];
	uint64_t message = model.next_message;
	apus_poll expected = -EPIPE, answer;

	if (twin->broken_send[actor]) {
		twin->broken_send[actor] = false;
		model.broken++;
		answer = apus_send(cx, last_flow[channel], model.next_message++);
	} else {
		expected = twin_send(twin, actor);
		answer = apus_send(cx, twin->flow, model.next_message++);
	}
	ck_assert_int_eq(answer, expected);
	ck_assert_uint_eq(model.next_message, message + (answer == 0));
	if (answer == 0) {
		twin_push(twin, message);
		model.sent++;
	}
	return answer == APUS_PENDING;
}

static void recv_check(struct twin *twin, uint64_t message)
{
	ck_assert_uint_eq(message, twin_pop(twin));
	model.received++;
}

static bool act_recv(struct apus_cx *cx, uint32_t channel, uint32_t actor)
{
	struct twin *twin = &model.twins[channel];
	apus_poll expected = -EPIPE, answer;
	uint64_t message = 0;

	if (twin->broken_recv[actor]) {
		twin->broken_recv[actor] = false;
		model.broken++;
		answer = apus_recv(cx, last_flow[channel], &message);
	} else {
		expected = twin_recv(twin, actor);
		answer = apus_recv(cx, twin->flow, &message);
	}
	ck_assert_int_eq(answer, expected);
	if (answer == 0)
		recv_check(twin, message);
	return answer == APUS_PENDING;
}

APUS_TASK(poller, struct poller)
{
	bool sends[CHANNELS] = { false }, receives[CHANNELS] = { false };
	uint32_t id = self->id, acts = (uint32_t)draw(4);
	bool ends = draw(40) == 0;

	while (acts-- > 0) {
		uint32_t channel = (uint32_t)draw(CHANNELS);

		/* Most send, a few receive, and some do both. */
		if (draw(8) < (id < 6 ? 7 : 2)) {
			if (may_send(&model.twins[channel], id))
				sends[channel] |= act_send(cx, channel, id);
		} else if (may_recv(&model.twins[channel], id)) {
			receives[channel] |= act_recv(cx, channel, id);
		}
	}
	/* What was not found pending in this poll goes when it ends. */
	for (uint32_t i = 0; i < CHANNELS; i++) {
		if (ends || !sends[i])
			twin_forget_send(&model.twins[i], id);
		if (ends || !receives[i])
			twin_forget_recv(&model.twins[i], id);
	}
	if (!ends)
		return APUS_PENDING;
	model.actors[id].alive = false;
	return 0;
}

/* ---- what happens from outside ----------------------------------------------------- */

static void flow_open(uint32_t channel)
{
	struct twin *twin = &model.twins[channel];
	uint64_t start = UINT64_MAX - draw(100);

	if (twin->flow != NULL)
		return;
	/* The same address may come back: who has not been told yet would take it for that. */
	for (uint32_t i = 0; i < CHANNELS * ACTORS; i++)
		if (model.twins[i / ACTORS].broken_send[i % ACTORS] ||
		    model.twins[i / ACTORS].broken_recv[i % ACTORS])
			return;
	memset(twin, 0, sizeof *twin);
	twin->capacity = UINT32_C(1) << draw(4);
	twin->receiver = -1;
	twin->flow = malloc(sizeof *twin->flow);
	twin->slots = malloc(twin->capacity * sizeof *twin->slots);
	ck_assert_int_eq(apus_channel_init_slots(twin->flow, twin->slots, twin->capacity), 0);
	if (draw(2))
		twin->flow->channel.head = twin->flow->channel.tail = start;
	last_flow[channel] = twin->flow;
}

static void drop_check(void *arg, uint64_t *message)
{
	recv_check((struct twin *)arg, *message);
}

static void flow_deinit(uint32_t channel)
{
	struct twin *twin = &model.twins[channel];
	uint32_t count = twin->count;

	if (twin->flow == NULL)
		return;
	for (uint32_t i = 0; i < twin->waiting; i++)
		twin->broken_send[twin->senders[i].actor] = true;
	if (twin->receiver >= 0)
		twin->broken_recv[twin->receiver] = true;
	twin->waiting = 0;
	twin->receiver = -1;
	ck_assert_uint_eq(apus_channel_deinit_with(twin->flow, drop_check, twin), count);
	ck_assert_uint_eq(twin->count, 0);
	memset(twin->flow, 0xee, sizeof *twin->flow);
	free(twin->flow);
	free(twin->slots);
	twin->flow = NULL;
}

static void actor_spawn(uint32_t id)
{
	const struct poller init = { id };

	if (model.actors[id].alive)
		return;
	ck_assert_int_eq(apus_spawn_slab(model.loop, poller, &init, &model.actors[id].join), 0);
	ck_assert_int_eq(apus_detach(model.loop, model.actors[id].join), 0);
	model.actors[id].alive = true;
}

static void actor_abort(uint32_t id)
{
	if (!model.actors[id].alive)
		return;
	actor_forget(id);
	model.actors[id].alive = false;
	ck_assert_int_eq(apus_abort(model.loop, model.actors[id].join), 1);
}

static void outside_send(struct twin *twin)
{
	uint64_t batch[3] = { model.next_message, model.next_message + 1, model.next_message + 2 };
	int expected = twin_try_send(twin);
	uint32_t room = twin->capacity - twin->count;
	int64_t count;

	if (draw(2)) {
		ck_assert_int_eq(apus_try_send(twin->flow, model.next_message), expected);
		count = expected == 0;
	} else {
		count = apus_try_send_many(twin->flow, batch, 3);
		ck_assert_int_eq(count, expected != 0 ? expected : (int)(room < 3 ? room : 3));
	}
	for (; count > 0; count--, model.sent++)
		twin_push(twin, model.next_message++);
}

static void outside_recv(struct twin *twin)
{
	int expected = twin_try_recv(twin);
	uint32_t length = twin->count;
	uint64_t batch[3];
	int64_t count;

	if (draw(2)) {
		ck_assert_int_eq(apus_try_recv(twin->flow, &batch[0]), expected);
		count = expected == 0;
	} else {
		count = apus_try_recv_many(twin->flow, batch, 3);
		ck_assert_int_eq(count, expected != 0 ? expected : (int)(length < 3 ? length : 3));
	}
	for (int64_t i = 0; i < count; i++)
		recv_check(twin, batch[i]);
}

static void outside_close(struct twin *twin)
{
	twin->send_closed = true;
	if (draw(2)) {
		apus_close_send(twin->flow);
	} else {
		apus_close_recv(twin->flow);
		twin->recv_closed = true;
	}
}

static void step(void)
{
	uint32_t channel = (uint32_t)draw(CHANNELS), id = (uint32_t)draw(ACTORS);
	struct twin *twin = &model.twins[channel];
	uint64_t what = draw(64);

	if (what < 12)
		actor_spawn(id);
	else if (what < 14)
		actor_abort(id);
	else if (what < 30 && model.actors[id].alive)
		apus_task_wake(apus_loop_cx(model.loop), model.actors[id].join.task);
	else if (what < 32)
		flow_open(channel);
	else if (what < 33)
		flow_deinit(channel);
	else if (twin->flow == NULL)
		return;
	else if (what < 44)
		outside_send(twin);
	else if (what < 62)
		outside_recv(twin);
	else if (draw(4) == 0)
		outside_close(twin);
}

/* ---- what must hold between turns ----------------------------------------------------- */

static void twin_check(const struct twin *twin)
{
	const struct apus_channel *channel = &twin->flow->channel;
	const struct apus_wait *wait = channel->senders.head;

	ck_assert_uint_eq(apus_channel_length(twin->flow), twin->count);
	ck_assert_int_eq(apus_channel_is_closed(twin->flow), twin->send_closed);
	ck_assert_int_eq(apus_channel_is_empty(twin->flow), twin->count == 0);
	for (uint32_t i = 0; i < twin->waiting; i++, wait = wait->next)
		ck_assert_int_eq(wait->state == APUS_WAIT_GRANTED, twin->senders[i].granted);
	ck_assert_ptr_null(wait);
	ck_assert_int_eq(channel->receiver.head != NULL, twin->receiver >= 0);
}

static void twin_check_rest(const struct twin *twin)
{
	ck_assert(!twin_has_grants(twin));
	ck_assert(twin->waiting == 0 || (twin->count == twin->capacity && !twin->send_closed));
	ck_assert(twin->receiver < 0 || (twin->count == 0 && !twin->send_closed));
}

static void round_run(void)
{
	struct apus_config config;
	uint32_t i;

	memset(model.twins, 0, sizeof model.twins);
	memset(model.actors, 0, sizeof model.actors);
	apus_config_init(&config);
	config.clock = APUS_CLOCK_VIRTUAL;
	config.backend = APUS_IO_NONE;
	config.slot_count = 64;
	config.task_budget = 1 << 20; /* a turn runs until nobody is ready */
	config.wait_count = ACTORS * CHANNELS * 2;
	config.spurious_seed = APUS_DEBUG && draw(2) ? test_random_next(&model.random) : 0;
	ck_assert_msg(apus_open(&model.loop, &config) == 0, "%s", config.reason);
	for (uint32_t steps = 0; steps < STEPS; steps++) {
		for (uint64_t burst = draw(4); burst > 0; burst--) {
			step();
			for (i = 0; i < CHANNELS; i++)
				if (model.twins[i].flow != NULL)
					twin_check(&model.twins[i]);
		}
		apus_turn(model.loop);
		for (i = 0; i < CHANNELS; i++)
			if (model.twins[i].flow != NULL) {
				twin_check(&model.twins[i]);
				twin_check_rest(&model.twins[i]);
			}
	}
	for (i = 0; i < CHANNELS; i++)
		flow_deinit(i);
	ck_assert_int_eq(apus_close(model.loop, NULL), 0);
}

/* Promises 3 and 11, S5: no message is lost or doubled, no slot, no wake, no place in line. */
START_TEST(a_channel_does_what_its_rules_say)
{
	model.random = test_random_init(test_seed());
	for (int round = 0; round < ROUNDS; round++)
		round_run();
	ck_assert_uint_eq(model.sent, model.received);
	printf("%" PRIu64 " messages, %" PRIu64 " grants passed on, %" PRIu64 " told by deinit\n",
		model.sent, model.passed, model.broken);
	ck_assert_uint_gt(model.passed, 0);
	ck_assert_uint_gt(model.broken, 0);
}
END_TEST

TEST_MAIN("channel_local", a_channel_does_what_its_rules_say)
