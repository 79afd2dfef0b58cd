/*
 * weather.h - what a line does to packets on their way: loses, doubles and re-orders them, as
 * a seed says.
 *
 *	weather_pass(&weather, packet, size, deliver, context);
 *
 *   Units      bytes; a chance is one packet in so many, 0: none.
 *   Ownership  the packet is the caller's; one held back is copied.
 *   Threads    one.
 *   Order      a packet held back comes after a later one has overtaken it.
 *   Cost       in fine weather: a compare.  No malloc.
 */
#ifndef TTT_WEATHER_H
#define TTT_WEATHER_H

#include "mold.h"
#include "rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEATHER_LATE_MAX 4

struct weather_config {
	uint32_t loss, doubles, delays;
};

struct weather_late {
	size_t size; /* 0: free */
	uint8_t bytes[MOLD_PACKET_MAX];
};

struct weather {
	struct weather_config config;
	struct rng rng;
	uint64_t lost, doubled, delayed;
	struct weather_late late[WEATHER_LATE_MAX];
};

typedef void (*weather_deliver_fn)(void *context, const uint8_t *bytes, size_t size);

static inline void weather_init(struct weather *weather, const struct weather_config *config,
	uint64_t seed)
{
	memset(weather, 0, sizeof(*weather));
	weather->config = *config;
	weather->rng.state = seed;
}

static inline bool weather_is_fine(const struct weather *weather)
{
	return (weather->config.loss | weather->config.doubles | weather->config.delays) == 0;
}

/* One in count, and never when count is 0. */
static inline bool weather_strikes(struct weather *weather, uint32_t count)
{
	return count != 0 && rng_one_in(&weather->rng, count);
}

/* No larger than MOLD_PACKET_MAX. */
void weather_pass(struct weather *weather, const uint8_t *bytes, size_t size,
	weather_deliver_fn deliver, void *context);

#endif
