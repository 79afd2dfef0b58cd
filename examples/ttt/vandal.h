/*
 * vandal.h - somebody who sends to every socket in reach what cannot be: truncated, oversized,
 * of a wrong length, type or session, out of range, or noise.  A process of its own, on plain
 * sockets, with --vandal.
 *
 *   Units      nanoseconds.
 *   Errors     none: what does not get through does no harm.
 *   Threads    one; it reads ports in shared memory, and counts there what it has sent.
 */
#ifndef TTT_VANDAL_H
#define TTT_VANDAL_H

#include "options.h"
#include "side.h"

/* The ways in which a packet is spoilt. */
enum vandal_kind {
	VANDAL_TRUNCATED, VANDAL_OVERSIZED, VANDAL_LONG, VANDAL_LENGTH, VANDAL_TYPE, VANDAL_FIELD,
	VANDAL_SESSION, VANDAL_NUMBER, VANDAL_FAR, VANDAL_NOISE, VANDAL_KINDS,
};

#define VANDAL_PACKET_MAX 2048

/* A packet of the feed that nobody may take: its length.  due: a number that would be taken. */
size_t vandal_packet(struct rng *rng, enum vandal_kind kind, const char *session, uint64_t due,
	uint8_t *bytes);

/* Until it is killed. */
void vandal_run(const struct options *options, struct shared *shared)
	__attribute__((__noreturn__));

#endif
