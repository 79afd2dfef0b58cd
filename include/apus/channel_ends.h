/*
 * apus/channel_ends.h - what all channels between threads are made of: two ends, and the
 * bells that wake who sleeps at them.
 *
 *   Units      counts of messages; nanoseconds for timeouts, APUS_NEVER: without limit.
 *   Errors     -EINVAL: a capacity that is no power of two.  deinit: -EBUSY, another thread
 *              or another loop's task has not left yet: it was woken, ask again.
 *   Ownership  the caller's memory; nothing of the library points to it after deinit.
 *   Threads    an end is one thread's or one loop's at a time; init and deinit: alone.
 *   Order      [G] publish, then look at the bell.  [H] set the bell with a full exchange,
 *              then look at the channel.  One of the two sees the other; see below.
 *   Cost       looking at a bell: one load of a line that nobody writes while both are awake.
 *   Source     the asymmetric barrier is membarrier(2), M. Desnoyers, 2010.
 *
 *	what              who writes it                        who reads it
 *	gate.closed       either end, once                     both
 *	gate.*_bell       whoever sleeps at that end, and      the other end, after each
 *	                  whoever rings                        publish
 *	gate, the rest    init                                 both
 *	send, recv        that end                             see each channel
 *
 * A bell of 0 says that nobody sleeps at that end without having set it first: who waits
 * there is a task of a loop that is awake, which looks by itself, or nobody.  Then [G] is a
 * plain load behind a plain store, which the processor may swap.  So whoever sets the first
 * bit makes every thread of the process pass a barrier (membarrier), and then looks at the
 * channel once more: what was published before the barrier is seen, what comes after it sees
 * the bell.  From then on the bell stays set and [G] is a full exchange, until an end whose
 * loop never parks takes it back; so a loop that parks pays the barrier once, not each time,
 * and the other end pays a locked instruction a message only while somebody might sleep.
 */
#ifndef APUS_CHANNEL_ENDS_H
#define APUS_CHANNEL_ENDS_H

#include "apus/channel_local.h"

enum apus_bell_bits {
	APUS_BELL_RINGS = 1 << 0,  /* whoever waits here may sleep: look with an exchange */
	APUS_BELL_ASLEEP = 1 << 1, /* and does so, or is about to */
	APUS_BELL_THREAD = 1 << 2, /* in a futex on this word, not in a loop */
	APUS_BELL_ALWAYS = 1 << 3, /* no membarrier reaches all: RINGS is never taken back */
	APUS_BELL_SHARED = 1 << 4, /* other processes sleep on this word too */
	/*
	 * From here on it counts how often threads were rung: one that was rung before it slept
	 * must not find the word as it left it, because another has set the bits again.
	 */
	APUS_BELL_RUNG = 1 << 8
};

/* Read by both ends for each message and hardly ever written. */
struct apus_gate {
	uint32_t closed;
	uint32_t queued; /* mpsc: senders stand in line */
	uint32_t send_bell, recv_bell;
	uint32_t always;  /* APUS_BELL_ALWAYS | APUS_BELL_RINGS, or 0 */
	uint32_t capacity;
	uint64_t slots_at; /* bytes from here to the slots */
	uint64_t slot_bytes;
} __attribute__((__aligned__(APUS_CACHE_LINE)));

/* One end's own line. */
struct apus_end {
	uint64_t at;   /* the message that comes next, as each kind counts */
	uint64_t seen; /* stream: where the other end was when we last looked */
	struct apusi_poller *waiter; /* the task that awaits here */
	struct apus_loop *loop;      /* its loop */
	struct apusi_port *port;     /* whom to ring */
	uint32_t blocked;            /* a thread waits here */
} __attribute__((__aligned__(APUS_CACHE_LINE)));

struct apus_ends {
	struct apus_gate gate;
	struct apus_end send, recv;
};

struct apusi_place;

/* Senders that wait for room; the first of them looks, the others wait for their turn. */
struct apus_line {
	uint32_t lock;
	struct apusi_place *head, *tail;
} __attribute__((__aligned__(APUS_CACHE_LINE)));

APUS_BEGIN_DECLS

APUS_API void apus_bell_ring(uint32_t *bell, const struct apus_end *end);
APUS_API int apus_ends_init(struct apus_ends *ends, uint64_t slots_at, uint64_t slot_bytes,
	uint64_t capacity);
APUS_API void apus_ends_close(struct apus_ends *ends);
APUS_API int apus_ends_deinit(struct apus_ends *ends);

/* After a publish: wakes who sleeps at that end. */
APUS_INLINE void apus_bell_look(uint32_t *bell, const struct apus_end *end)
{
	apus_order_compiler(); /* [G] */
	if (apus_unlikely(apus_load_relaxed(bell) != 0))
		apus_bell_ring(bell, end);
}

/*
 * Channels with a turn in each slot: a 64-bit word in front of the message.  Places are
 * counted in steps of two and run freely, also over 2^64.  The turn of a slot is
 *
 *	at                   free for the message at place `at`
 *	at + 1               holds it
 *	at + 2 * capacity    received: free for the next that comes by here
 */
APUS_INLINE uint64_t *apus_slot_turn(void *slots, size_t slot_bytes, uint64_t capacity,
	uint64_t at)
{
	/* Every slot is a multiple of eight bytes. */
	return (uint64_t *)(void *)((char *)slots +
		(at & (capacity * 2 - 2)) * (slot_bytes / 2));
}

APUS_END_DECLS

#define APUS_SLOT_COUNT_(to_) (sizeof (to_)->slots / sizeof (to_)->slots[0])
/* slots, slot_bytes, capacity: all but the first known to the compiler. */
#define APUS_SLOTS_(to_) &(to_)->slots[0], sizeof (to_)->slots[0], APUS_SLOT_COUNT_(to_)
/* Found as apus_slot_turn finds it, so that the compiler does so once. */
#define APUS_TURN_SLOT_(to_, at_)                                                    \
	((__typeof__(&(to_)->slots[0]))(void *)apus_slot_turn(APUS_SLOTS_(to_), (at_)))

#define APUS_MESSAGE_AT_(to_) \
	((size_t)((char *)&(to_)->slots[0].message - (char *)&(to_)->slots[0]))

#define APUS_POWER_ASSERT_(capacity_)                                                \
	APUS_CHANNEL_ASSERT_((capacity_) >= 1 &&                                     \
		(unsigned long long)(capacity_) <= APUS_CHANNEL_CAPACITY_MAX &&      \
		(((unsigned long long)(capacity_)) & ((unsigned long long)(capacity_) - 1)) == 0, \
		"a capacity is a power of two from 1 to 2^31")

/* A channel whose slots have turns. */
#define APUS_TURN_CHANNEL_(name, kind_, type, capacity_)                             \
	struct name {                                                                \
		APUS_POWER_ASSERT_(capacity_);                                       \
		struct kind_ channel;                                                \
		struct {                                                             \
			uint64_t turn;                                               \
			type message;                                                \
		} slots[(capacity_)] __attribute__((__aligned__(APUS_CACHE_LINE)));  \
	};

#endif
