/*
 * test_sources.c - sources over two queues that are not ours: a packet ring of the kernel's
 * (AF_PACKET, TPACKET_V3) on a veth pair in a network namespace of our own, and a ring in
 * memory that another process fills.  They bring work, veto parking, and lend a descriptor.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "sockets.h"

static void park(struct apus_config *config)
{
	config->idle = APUS_IDLE_PARK;
}

static uint64_t parks(void)
{
	struct apus_counters now;

	apus_counters_read(main_loop, &now);
	return now.parks;
}

/* ---- a packet ring --------------------------------------------------------------------- */

enum { BLOCK_BYTES = 1 << 16, BLOCKS = 8, FRAME_BYTES = 2048, PROTOCOL = 0x88b5 };

/* The source first, so that what the loop hands back leads to all of it. */
struct ring {
	struct apus_source source;
	int fd;
	unsigned char *map;
	uint32_t block;   /* that is ours next */
	uint64_t packets; /* taken */
	uint32_t next;    /* the number that the next one should carry */
	bool out_of_order;
};

static void frame_take(struct ring *ring, const struct tpacket3_hdr *frame)
{
	const struct ethhdr *ether = (const void *)((const unsigned char *)frame + frame->tp_mac);
	uint32_t number;

	if (ether->h_proto != htons(PROTOCOL))
		return;
	memcpy(&number, ether + 1, sizeof number);
	ring->out_of_order |= number != ring->next++;
	ring->packets++;
}

/* A block that the kernel has handed over is read in place, and given back. */
static uint32_t ring_poll(struct apus_cx *cx, struct apus_source *source)
{
	struct ring *ring = apus_container_of(source, struct ring, source);
	struct tpacket_block_desc *block = (void *)(ring->map + ring->block * BLOCK_BYTES);
	struct tpacket3_hdr *frame;
	uint32_t i, count;

	(void)cx;
	if ((apus_load_acquire(&block->hdr.bh1.block_status) & TP_STATUS_USER) == 0)
		return 0;
	count = block->hdr.bh1.num_pkts;
	frame = (void *)((unsigned char *)block + block->hdr.bh1.offset_to_first_pkt);
	for (i = 0; i < count; i++) {
		frame_take(ring, frame);
		frame = (void *)((unsigned char *)frame + frame->tp_next_offset);
	}
	apus_store_release(&block->hdr.bh1.block_status, TP_STATUS_KERNEL);
	ring->block = (ring->block + 1) % BLOCKS;
	return count;
}

/* NULL, or what is missing. */
static const char *namespace_enter(void)
{
	if (unshare(CLONE_NEWNET) != 0)
		return "unshare(CLONE_NEWNET): no privilege";
	if (system("ip link add apus0 type veth peer name apus1 2>/dev/null && "
		   "ip link set apus0 up && ip link set apus1 up") != 0)
		return "a veth pair: no ip(8), or no such device here";
	return NULL;
}

static int packet_socket(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(PROTOCOL));

	at.sll_ifindex = (int)if_nametoindex(device);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

static void ring_open(struct ring *ring)
{
	const int version = TPACKET_V3;
	const struct tpacket_req3 request = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = FRAME_BYTES,
		.tp_frame_nr = BLOCK_BYTES / FRAME_BYTES * BLOCKS,
		.tp_retire_blk_tov = 1, /* ms: a block that is not full is handed over too */
	};

	ring->fd = packet_socket("apus1");
	ck_assert_int_eq(setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version,
		sizeof version), 0);
	ck_assert_int_eq(setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request,
		sizeof request), 0);
	ring->map = mmap(NULL, (size_t)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED,
		ring->fd, 0);
	ck_assert_ptr_ne(ring->map, MAP_FAILED);
	ring->source.poll = ring_poll;
}

static void packets_send(int fd, uint32_t first, uint32_t count)
{
	unsigned char bytes[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1 };
	uint16_t protocol = htons(PROTOCOL);
	uint32_t i;

	memcpy(bytes + 12, &protocol, sizeof protocol);
	for (i = first; i < first + count; i++) {
		memcpy(bytes + ETH_HLEN, &i, sizeof i);
		ck_assert_int_eq(send(fd, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
	}
}

static void packets_await(const struct ring *ring, uint64_t packets)
{
	while (ring->packets < packets)
		apus_turn(main_loop);
	ck_assert_uint_eq(ring->packets, packets);
	ck_assert(!ring->out_of_order);
}

/* Busy; then a loop that wants to park and may not; then one that parks on the ring's socket. */
START_TEST(a_packet_ring_is_a_source)
{
	static struct ring ring;
	const char *missing = namespace_enter();
	uint64_t before;
	int far;

	if (missing != NULL)
		TEST_SKIP("%s", missing);
	ring_open(&ring);
	far = packet_socket("apus0");
	loop_open();
	ck_assert_int_eq(apus_source_add(main_loop, &ring.source), 0);
	packets_send(far, 0, 500);
	packets_await(&ring, 500);
	ck_assert_int_eq(apus_set_idle(main_loop, APUS_IDLE_PARK), 0);
	packets_send(far, 500, 10);
	packets_await(&ring, 510);
	ck_assert_uint_eq(parks(), 0); /* it has no may_park and has lent nothing */
	ck_assert_int_eq(apus_source_lend(main_loop, &ring.source, ring.fd), 0);
	before = parks();
	packets_send(far, 510, 100);
	packets_await(&ring, 610);
	ck_assert_uint_gt(parks(), before);
	packets_send(far, 610, 100);
	packets_await(&ring, 710);
	ck_assert_int_eq(apus_source_remove(main_loop, &ring.source), 0);
	loop_close();
	close(far);
	munmap(ring.map, (size_t)BLOCK_BYTES * BLOCKS);
	close(ring.fd);
}
END_TEST

/* ---- a ring in shared memory -------------------------------------------------------------- */

enum { SLOTS = 64, MESSAGES = 100000 };

/* One process writes, ours reads.  `sleeps` says that the reader wants to be rung. */
struct shared {
	uint64_t head __attribute__((__aligned__(APUS_CACHE_LINE)));
	uint64_t tail __attribute__((__aligned__(APUS_CACHE_LINE)));
	uint32_t sleeps __attribute__((__aligned__(APUS_CACHE_LINE)));
	uint64_t slots[SLOTS];
};

struct outside {
	struct apus_source source;
	struct shared *shared;
	uint64_t got;
	bool out_of_order;
	bool vetoes;
	int bell; /* an eventfd: rung by the writer when `sleeps` is set */
};

static uint32_t outside_poll(struct apus_cx *cx, struct apus_source *source)
{
	struct outside *outside = apus_container_of(source, struct outside, source);
	struct shared *shared = outside->shared;
	uint64_t tail = apus_load_acquire(&shared->tail), head = shared->head;
	uint32_t work = (uint32_t)(tail - head);

	(void)cx;
	for (; head != tail; head++)
		outside->out_of_order |= shared->slots[head % SLOTS] != ++outside->got;
	apus_store_release(&shared->head, head);
	return work;
}

/*
 * Says that it sleeps, with a full exchange, and looks again: the writer does the reverse.
 * The bell is emptied before, or what rang for the last time would keep the loop awake.
 */
static bool outside_may_park(struct apus_source *source)
{
	struct outside *outside = apus_container_of(source, struct outside, source);
	eventfd_t rings;

	if (outside->vetoes)
		return false;
	(void)eventfd_read(outside->bell, &rings);
	apus_exchange_full(&outside->shared->sleeps, 1);
	return apus_load_full(&outside->shared->tail) == outside->shared->head;
}

static void writer_main(struct shared *shared, int bell, uint64_t count, bool pauses)
{
	uint64_t i;

	for (i = 1; i <= count; i++) {
		while (shared->tail - apus_load_acquire(&shared->head) == SLOTS)
			sched_yield();
		if (pauses && i % 1000 == 0)
			usleep(500);
		shared->slots[shared->tail % SLOTS] = i;
		apus_exchange_full(&shared->tail, shared->tail + 1);
		if (apus_load_full(&shared->sleeps) != 0 &&
		    apus_exchange_full(&shared->sleeps, 0) != 0)
			(void)eventfd_write(bell, 1);
	}
	_exit(0);
}

static void outside_open(struct outside *outside)
{
	memset(outside, 0, sizeof *outside);
	outside->shared = mmap(NULL, sizeof *outside->shared, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(outside->shared, MAP_FAILED);
	outside->bell = eventfd(0, EFD_NONBLOCK);
	outside->source.poll = outside_poll;
	outside->source.may_park = outside_may_park;
}

static pid_t writer_start(const struct outside *outside, uint64_t count, bool pauses)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		writer_main(outside->shared, outside->bell, count, pauses);
	return child;
}

static void outside_read(struct outside *outside, uint64_t count, bool pauses)
{
	pid_t child = writer_start(outside, count, pauses);
	int status;

	while (outside->got < count)
		apus_turn(main_loop);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(outside->got, count);
	ck_assert(!outside->out_of_order);
	outside->got = 0;
}

START_TEST(a_ring_that_another_process_fills_is_a_source)
{
	struct outside outside;

	outside_open(&outside);
	loop_open();
	ck_assert_int_eq(apus_source_add(main_loop, &outside.source), 0);
	outside_read(&outside, MESSAGES, false);
	ck_assert_uint_eq(parks(), 0);
	loop_close();
}
END_TEST

START_TEST(a_source_that_vetoes_keeps_the_loop_awake)
{
	struct outside outside;

	outside_open(&outside);
	outside.vetoes = true;
	loop_open_with(park);
	ck_assert_int_eq(apus_source_add(main_loop, &outside.source), 0);
	ck_assert_int_eq(apus_source_lend(main_loop, &outside.source, outside.bell), 0);
	outside_read(&outside, 2000, true);
	ck_assert_uint_eq(parks(), 0);
	loop_close();
}
END_TEST

/* A lost ring is a hang. */
START_TEST(a_parked_loop_wakes_for_what_its_source_has_lent)
{
	struct outside outside;

	outside_open(&outside);
	loop_open_with(park);
	ck_assert_int_eq(apus_source_add(main_loop, &outside.source), 0);
	ck_assert_int_eq(apus_source_lend(main_loop, &outside.source, outside.bell), 0);
	outside_read(&outside, MESSAGES, true);
	ck_assert_uint_gt(parks(), 0);
	loop_close();
}
END_TEST

TEST_MAIN("sources",
	a_packet_ring_is_a_source,
	a_ring_that_another_process_fills_is_a_source,
	a_source_that_vetoes_keeps_the_loop_awake,
	a_parked_loop_wakes_for_what_its_source_has_lent)
