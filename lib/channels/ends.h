/*
 * What the kinds of channel between threads share beyond their headers: waiting at an end.
 */
#ifndef CHANNELS_ENDS_H
#define CHANNELS_ENDS_H

#include "apus/channel_ends.h"
#include "wait/poller.h"

/* An end and its bell: where somebody waits. */
struct apusi_side {
	struct apus_end *end;
	uint32_t *bell;
	uint32_t always; /* bits of the bell that are never taken back */
};

static inline struct apusi_side apusi_send_side(struct apus_ends *ends)
{
	return (struct apusi_side){ &ends->send, &ends->gate.send_bell, ends->gate.always };
}

static inline struct apusi_side apusi_recv_side(struct apus_ends *ends)
{
	return (struct apusi_side){ &ends->recv, &ends->gate.recv_bell, ends->gate.always };
}

/*
 * The running task waits at an end, under the end's address; kind polls object for it.
 * APUS_PENDING, -EBUSY, -ENOBUFS.
 */
apus_poll apusi_side_pend(struct apus_cx *cx, const struct apusi_side *side,
	const struct apusi_poller_kind *kind, void *object);

/* Of a poller whose object is a struct apus_ends: what a kind is made of. */
bool apusi_send_arm(struct apusi_poller *poller);
void apusi_send_disarm(struct apusi_poller *poller);
void apusi_send_dropped(struct apusi_poller *poller);
bool apusi_recv_arm(struct apusi_poller *poller);
void apusi_recv_disarm(struct apusi_poller *poller);
void apusi_recv_dropped(struct apusi_poller *poller);

/* Blocks the calling thread until is_ready(object, need): 0, -ETIME, -EBUSY. */
typedef bool apusi_need_fn(const void *object, uint64_t need);
int apusi_side_block(const struct apusi_side *side, apusi_need_fn *is_ready, const void *object,
	uint64_t need, int64_t timeout_ns);
/* The same for who has the bell to himself: 0, also for no reason, or -ETIME. */
int apusi_bell_sleep(const struct apusi_side *side, apusi_need_fn *is_ready, const void *object,
	uint64_t need, int64_t timeout_ns);

/*
 * Bits into a bell, and the barrier where they are its first.  False: a filter took the
 * barrier since the channel was made; then do not sleep for long this time.
 */
bool apusi_bell_set(uint32_t *bell, uint32_t bits);
/* The same, and the word as it is then: who is rung later finds another one. */
bool apusi_bell_raise(uint32_t *bell, uint32_t bits, uint32_t *word);
void apusi_bell_clear(uint32_t *bell);
/* All threads that sleep on it, when the bits were taken. */
void apusi_bell_wake_all(uint32_t *bell);
/* A waiter whose loop does not park needs no ringing. */
void apusi_bell_quiet(const struct apusi_side *side);
/* What a bell begins with: 0, or what says that there is no barrier. */
uint32_t apusi_bell_always(void);

/* What is left of a timeout; end_ns is from apusi_end_ns. */
int64_t apusi_end_ns(int64_t timeout_ns);
int64_t apusi_left_ns(int64_t end_ns);

/* Wakes and unlinks who waits at the end; false: of another thread, and not gone yet. */
bool apusi_end_leave(struct apus_end *end);

enum { APUSI_SPINS = 2000 }; /* looks before a thread sleeps: some ten microseconds */

static inline uint64_t *apusi_turn(const struct apus_ends *ends, uint64_t at)
{
	char *slots = (char *)(uintptr_t)ends + ends->gate.slots_at;

	return apus_slot_turn(slots, ends->gate.slot_bytes, ends->gate.capacity, at);
}

#endif
