/*
 * model_sim_datagram.c - random programs of datagrams over the simulated network: what comes is
 * what was sent, to whom it was sent, as often as the network has made it, and in order where
 * nothing is late.
 *
 * In the end every datagram is accounted for: what was sent, and what was doubled, has come, or
 * the network says what became of it.
 */
#include "apus/net.h"
#include "io/sim.h"
#include "schedules.h"

enum { NODES = 4, SENT_MAX = 256, BYTES = 200, HEAD = 8 };

/* How often each datagram has come: by who sent it, and its number. */
struct node {
	struct apus_udp udp;
	struct apus_address at;
	uint32_t sent_count;
	uint8_t to[SENT_MAX], came[SENT_MAX];
	uint32_t next[NODES]; /* the lowest number that may come from that node, in order */
	struct apus_join receiver, sender;
};

static struct {
	struct apus_loop *loop;
	struct test_random random;
	struct apus_sim_config weather;
	struct node nodes[NODES];
	uint32_t node_count;
	uint64_t came, lost, doubled; /* of all schedules */
} model;

static uint32_t draw(uint32_t bound)
{
	return (uint32_t)test_random_below(&model.random, bound);
}

/* Whose it is, its number, and bytes that follow from both. */
static uint32_t datagram_make(unsigned char *to, uint32_t node, uint32_t number)
{
	uint32_t bytes = HEAD + (node * 131 + number * 37) % (BYTES - HEAD), i;

	memcpy(to, &node, 4);
	memcpy(to + 4, &number, 4);
	for (i = HEAD; i < bytes; i++)
		to[i] = (unsigned char)(node * 7 + number * 13 + i);
	return bytes;
}

static void check_number(struct node *own, uint32_t from, uint32_t number)
{
	struct node *node = &model.nodes[from];

	expect(number < node->sent_count && node->to[number] == own - model.nodes);
	expect(++node->came[number] <= (model.weather.duplicate_ppm != 0 ? 2 : 1));
	if (model.weather.reorder_ppm != 0)
		return;
	expect(number >= own->next[from]);
	own->next[from] = number;
}

static void check_came(struct node *own, const unsigned char *data, int64_t bytes,
	const struct apus_packet *packet)
{
	unsigned char wanted[BYTES];
	uint32_t from, number;

	expect(bytes >= HEAD && !packet->is_truncated);
	memcpy(&from, data, 4);
	memcpy(&number, data + 4, 4);
	expect(from < model.node_count);
	expect(apus_address_is_same(&packet->address, &model.nodes[from].at));
	expect(bytes == datagram_make(wanted, from, number));
	expect(memcmp(data, wanted, (size_t)bytes) == 0);
	check_number(own, from, number);
}

/* ---- the receiving half ------------------------------------------------------------------- */

struct receiver {
	struct apus_frame frame;
	struct apus_packet packet;
	struct apus_batch batch;
	struct node *node;
	int64_t got, timeout_ns;
	unsigned char data[BYTES];
};

static void receiver_end(struct apus_cx *cx, struct receiver *self)
{
	(void)cx;
	apus_batch_deinit(&self->batch);
}

static apus_poll receive(struct apus_cx *cx, struct receiver *self)
{
	return apus_udp_recv(cx, self->node->udp, self->data, sizeof self->data, &self->packet);
}

static void check_batch(struct receiver *self)
{
	int64_t i;

	for (i = 0; i < self->got; i++) {
		const struct apus_packet *packet = &self->batch.packets[i];

		check_came(self->node, packet->data, packet->bytes, packet);
	}
}

/* For ever: who waits is given up and waits again, which may not lose one. */
APUS_TASK(receiver, struct receiver, receiver_end)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		self->timeout_ns = (1 + draw(2000)) * APUS_USEC;
		if (draw(3) == 0) {
			APUS_AWAIT(self->got, apus_timeout(cx, self->timeout_ns,
				apus_udp_recv_batch(cx, self->node->udp, &self->batch)));
			check_batch(self);
		} else {
			APUS_AWAIT(self->got, apus_timeout(cx, self->timeout_ns, receive(cx, self)));
			if (self->got >= 0)
				check_came(self->node, self->data, self->got, &self->packet);
		}
		expect(self->got >= 0 || self->got == -ETIME);
		while (draw(4) == 0) {
			self->got = apus_udp_try_recv(cx->loop, self->node->udp, self->data,
				sizeof self->data, &self->packet);
			expect(self->got >= 0 || self->got == -EAGAIN);
			if (self->got >= 0)
				check_came(self->node, self->data, self->got, &self->packet);
		}
	}
	APUS_END(0);
}

/* ---- the sending half ------------------------------------------------------------------------ */

struct sender {
	struct apus_frame frame;
	struct node *node;
	int64_t put, wait_ns;
	uint32_t bytes, to;
	int left;
	unsigned char data[BYTES];
};

/* What was refused, or given up, was not sent: the number is the next one's. */
static void sent(struct sender *self)
{
	expect(self->put == (int64_t)self->bytes || self->put == -ENOBUFS ||
		self->put == -ETIME || self->put == -EAGAIN);
	if (self->put < 0)
		self->node->sent_count--;
}

APUS_TASK(sender, struct sender)
{
	APUS_BEGIN(cx, self);
	while (self->left-- > 0) {
		self->wait_ns = (int64_t)draw(4) * (int64_t)draw(1000) * APUS_USEC;
		if (self->wait_ns != 0)
			APUS_WAIT(apus_sleep(cx, self->wait_ns));
		self->to = draw(model.node_count);
		self->bytes = datagram_make(self->data, (uint32_t)(self->node - model.nodes),
			self->node->sent_count);
		/* It may come before the call has answered. */
		self->node->to[self->node->sent_count++] = (uint8_t)self->to;
		if (draw(4) == 0)
			self->put = apus_udp_try_send(cx->loop, self->node->udp, self->data, self->bytes,
				&model.nodes[self->to].at);
		else
			APUS_AWAIT(self->put, apus_timeout(cx, APUS_MSEC, apus_udp_send(cx,
				self->node->udp, self->data, self->bytes, &model.nodes[self->to].at)));
		sent(self);
	}
	APUS_END(0);
}

/* ---- a schedule --------------------------------------------------------------------------------- */

static void node_open(uint32_t number)
{
	struct node *node = &model.nodes[number];
	struct receiver receive = { .node = node };
	struct sender send = { .node = node, .left = (int)draw(SENT_MAX - 1) };
	int tries = 0;

	memset(node, 0, sizeof *node);
	expect(apus_address_parse(&node->at, "127.0.0.1:1000") == 0);
	apus_address_set_port(&node->at, (uint16_t)(1000 + number));
	while (apus_udp_open(model.loop, &node->at, NULL, &node->udp) != 0)
		expect(++tries < 1000);
	expect(apus_batch_init(&receive.batch, 4, BYTES) == 0);
	expect(apus_spawn_slab(model.loop, receiver, &receive, &node->receiver) == 0);
	expect(apus_spawn_slab(model.loop, sender, &send, &node->sender) == 0);
}

/* What is on its way when the last is sent comes, however late. */
static void run_all(void)
{
	int64_t end_ns;
	uint32_t i;

	for (i = 0; i < model.node_count; i++)
		while (apus_try_join(model.loop, model.nodes[i].sender, NULL) == -EAGAIN)
			apus_turn(model.loop);
	end_ns = apus_clock_now(model.loop) + APUS_SEC;
	while (apus_clock_now(model.loop) < end_ns)
		apus_turn(model.loop);
}

static void check_accounts(void)
{
	struct apus_sim_counts counts;
	uint64_t sent_count = 0, came = 0;
	uint32_t i, number;

	for (i = 0; i < model.node_count; i++) {
		sent_count += model.nodes[i].sent_count;
		for (number = 0; number < model.nodes[i].sent_count; number++)
			came += model.nodes[i].came[number];
	}
	expect(apus_sim_counts_read(model.loop, &counts) == 0);
	expect(counts.datagrams_sent == sent_count);
	expect(counts.datagrams_received == came);
	expect(came + counts.drops + counts.cut_datagrams + counts.overflows ==
		sent_count + counts.duplicates);
	model.came += came;
	model.lost += counts.drops + counts.cut_datagrams + counts.overflows;
	model.doubled += counts.duplicates;
}

static void schedule(uint64_t seed)
{
	uint32_t i;

	model.random = test_random_init(seed);
	apus_sim_config_rough(&model.weather, seed);
	model.weather.datagram_bytes = draw(2) == 0 ? 1000 : 0; /* few of them fit, or many */
	model.loop = schedule_open(&model.weather);
	model.node_count = 1 + draw(NODES);
	for (i = 0; i < model.node_count; i++)
		node_open(i);
	run_all();
	check_accounts();
	for (i = 0; i < model.node_count; i++) {
		expect(apus_abort(model.loop, model.nodes[i].receiver) == 1);
		(void)apus_detach(model.loop, model.nodes[i].receiver);
		apus_turn(model.loop);
		expect(apus_udp_close(model.loop, model.nodes[i].udp) == 0);
	}
	expect(apusi_sim_world_of(apus_loop_cx(model.loop)->io)->open_count == 0);
	expect(apus_close(model.loop, NULL) == 0);
}

START_TEST(every_datagram_is_accounted_for)
{
	uint64_t count = schedules_run(500, schedule);

	printf("%" PRIu64 " schedules, %" PRIu64 " datagrams came, %" PRIu64 " did not, %" PRIu64
		" were doubled\n", count, model.came, model.lost, model.doubled);
	expect(count < 50 || (model.came > 100 * count && model.lost > count &&
		model.doubled > count));
}
END_TEST

TEST_MAIN("sim_datagram", every_datagram_is_accounted_for)
