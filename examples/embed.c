/*
 * embed - a program that owns its main, and calls one turn of the loop in it.
 *
 * The loop is a guest here: main goes round, and one of the things it does is apus_turn.  A
 * source brings in what the loop knows nothing of: a ring in shared memory, filled by another
 * thread as a network card would fill it.
 */
#include <apus.h>
#include <pthread.h>
#include <stdio.h>

enum { RING = 64, MESSAGES = 10000 };

/* One producer, one consumer; the indices run freely.  Zero is an empty ring. */
struct ring {
	uint64_t head __attribute__((__aligned__(APUS_CACHE_LINE))); /* the consumer's */
	uint64_t tail __attribute__((__aligned__(APUS_CACHE_LINE))); /* the producer's */
	uint64_t slots[RING];
};

static void *card(void *arg)
{
	struct ring *ring = arg;
	uint64_t i;

	for (i = 1; i <= MESSAGES; i++) {
		while (ring->tail - apus_load_acquire(&ring->head) == RING)
			sched_yield();
		ring->slots[ring->tail % RING] = i;
		apus_store_release(&ring->tail, ring->tail + 1);
	}
	return NULL;
}

APUS_CHANNEL(packets, uint64_t, 16)

/* The source comes first, so that what apus_source_add was given leads to all of it. */
struct port {
	struct apus_source source;
	struct ring *ring;
	struct packets *out;
};

/* Called first of all in each turn.  A full channel leaves the rest in the ring. */
static uint32_t port_poll(struct apus_cx *cx, struct apus_source *source)
{
	struct port *port = apus_container_of(source, struct port, source);
	struct ring *ring = port->ring;
	uint64_t tail = apus_load_acquire(&ring->tail), head = ring->head;
	uint32_t work = 0;

	(void)cx;
	while (head != tail && apus_try_send(port->out, ring->slots[head % RING]) == 0) {
		head++;
		work++;
	}
	apus_store_release(&ring->head, head);
	return work; /* an idle turn is one in which nobody did any */
}

/* A real one would look at the ring, or lend a descriptor to park on. */
static bool port_may_park(struct apus_source *source)
{
	(void)source;
	return false;
}

struct reader {
	struct apus_frame frame;
	struct packets *in;
	uint64_t packet, count;
	apus_poll err;
};

APUS_TASK(reader, struct reader)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->err, apus_recv(cx, self->in, &self->packet));
		if (self->packet != ++self->count)
			return -EBADMSG;
		if (self->count == MESSAGES)
			apus_stop(cx->loop); /* tells the owner of the main loop, too */
	}
	APUS_END(0);
}

static void go_round(struct apus_loop *loop)
{
	uint64_t rounds = 0, idle = 0;

	while (!apus_is_stopping(loop)) {
		idle += apus_turn(loop) == 0;
		rounds++; /* ... and whatever else this program does in a round */
	}
	printf("%llu rounds, %llu of them without work for the loop\n",
		(unsigned long long)rounds, (unsigned long long)idle);
}

int main(void)
{
	static struct ring ring;
	static struct packets packets;
	struct port port = { { .poll = port_poll, .may_park = port_may_park }, &ring, &packets };
	struct reader init = { .in = &packets };
	struct apus_join join;
	struct apus_loop *loop;
	pthread_t thread;
	int failed = 1;

	if (apus_channel_init(&packets) != 0 || apus_open(&loop, NULL) != 0)
		return 1;
	if (apus_source_add(loop, &port.source) == 0 &&
	    apus_spawn_slab(loop, reader, &init, &join) == 0 &&
	    pthread_create(&thread, NULL, card, &ring) == 0) {
		go_round(loop);
		pthread_join(thread, NULL);
		/* The task still waits for more, so its state can be read. */
		failed = ((struct reader *)apus_join_state(loop, join))->count != MESSAGES;
	}
	apus_close(loop, NULL);
	apus_channel_deinit(&packets);
	return failed;
}
