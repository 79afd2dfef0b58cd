/*
 * spawn_per_packet - a task for every packet, in a slab that is smaller than the burst.
 *
 * Spawning costs some ten instructions and no memory, so a packet may have a task of its own:
 * one that waits for something does not hold up the next.  When the slab is full the answer
 * is -ENOSPC, and the packet stays where it was until the next turn.
 */
#include <apus.h>
#include <stdio.h>

enum { PACKETS = 4096, BURST = 64, SLOTS = 32 };

struct packet {
	uint32_t number;
	uint32_t price;
};

struct stats {
	uint64_t handled, checksum, refused;
};

APUS_RESOURCE(stats, struct stats)
APUS_RESOURCE_DEFINE(stats)

struct handler {
	struct apus_frame frame;
	struct packet packet; /* copied into the slot: the ring is free again */
};

APUS_TASK(handler, struct handler)
{
	APUS_BEGIN(cx, self);
	/* Every fourth one has to wait: for a book, for a rate limit ... */
	if (self->packet.number % 4 == 0)
		APUS_WAIT(apus_yield(cx));
	apus_get(cx->world, stats)->handled++;
	apus_get(cx->world, stats)->checksum += self->packet.price;
	APUS_END(0);
}

/* Stands for a card's queue: each turn finds up to a burst of packets in it. */
struct queue {
	struct apus_source source;
	uint32_t next;
};

static uint32_t queue_poll(struct apus_cx *cx, struct apus_source *source)
{
	struct queue *queue = apus_container_of(source, struct queue, source);
	uint32_t work = 0;

	while (work < BURST && queue->next < PACKETS) {
		struct handler init = { .packet = { queue->next, queue->next * 3 } };
		int err = apus_spawn_slab(cx->loop, handler, &init, NULL);

		if (err == -ENOSPC) {
			apus_get(cx->world, stats)->refused++;
			break; /* nothing was taken: the next turn tries this packet again */
		}
		if (err)
			break; /* -ESHUTDOWN: the loop is stopping */
		queue->next++;
		work++;
	}
	return work;
}

int main(void)
{
	static struct apus_world world;
	struct queue queue = { { .poll = queue_poll }, 0 };
	struct stats stats = { 0 };
	struct apus_config config;
	struct apus_loop *loop;
	uint64_t i, checksum = 0;

	for (i = 0; i < PACKETS; i++)
		checksum += i * 3;
	apus_config_init(&config);
	config.world = &world;
	config.slot_count = SLOTS;
	if (apus_put(&world, stats, &stats) != 0 || apus_open(&loop, &config) != 0)
		return 1;
	if (apus_source_add(loop, &queue.source) != 0)
		return 1;
	while (stats.handled < PACKETS)
		apus_turn(loop);
	apus_close(loop, NULL);
	printf("%d packets in %d slots; the slab was full %d times\n", (int)stats.handled, SLOTS,
		(int)stats.refused);
	return stats.checksum != checksum || stats.refused == 0;
}
