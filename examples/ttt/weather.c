/* weather.c - packets lost, doubled, and overtaken. */
#include "weather.h"

/* This one overtakes the one that is held back there. */
static void overtake(struct weather_late *late, const uint8_t *bytes, size_t size,
	weather_deliver_fn deliver, void *context)
{
	struct weather_late behind = *late;

	late->size = 0;
	deliver(context, bytes, size);
	deliver(context, behind.bytes, behind.size);
}

static void hold_back(struct weather *weather, struct weather_late *late, const uint8_t *bytes,
	size_t size)
{
	memcpy(late->bytes, bytes, size);
	late->size = size;
	weather->delayed++;
}

void weather_pass(struct weather *weather, const uint8_t *bytes, size_t size,
	weather_deliver_fn deliver, void *context)
{
	struct weather_late *late;

	if (weather_is_fine(weather)) {
		deliver(context, bytes, size);
		return;
	}
	if (weather_strikes(weather, weather->config.loss)) {
		weather->lost++;
		return;
	}
	late = &weather->late[rng_below(&weather->rng, WEATHER_LATE_MAX)];
	if (late->size != 0)
		overtake(late, bytes, size, deliver, context);
	else if (weather_strikes(weather, weather->config.delays))
		hold_back(weather, late, bytes, size);
	else
		deliver(context, bytes, size);
	if (weather_strikes(weather, weather->config.doubles)) {
		weather->doubled++;
		deliver(context, bytes, size);
	}
}
