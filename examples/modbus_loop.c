/*
 * modbus_loop - a controller of 1 kHz that is watched and commanded over Modbus TCP.
 *
 *   modbus_loop [--port N] [--backend NAME] [--cpu N] [--sessions N]
 *
 * Holding register 0 is the set-point, 1 the gain in hundredths.  Input registers: 0 the
 * position, 1 and 2 the ticks (high, low), 3 ticks that were missed, 4 and 5 the median and
 * the 99th percentile of how late a tick was, in microseconds.  At the end the histogram of
 * lateness is printed.  The controller is in the urgent lane, the masters' sessions in the
 * normal one: however many ask, a tick waits for one poll of theirs at most.
 */
#include <apus.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/modbus.h"
#include "serve/serve.h"

enum { HZ = 1000, SILENCE_S = 60, HOLDING = 16, INPUT = 16, LOOK_EVERY = 100 };

struct plant {
	double position, output;
	uint64_t ticks, missed;
	uint16_t holding[HOLDING], input[INPUT];
	struct apus_histogram lateness;
};

APUS_RESOURCE(plant, struct plant)
APUS_RESOURCE_DEFINE(plant)

/* ---- the controller ------------------------------------------------------------------ */

struct controller {
	struct apus_frame frame;
	struct apus_interval interval;
	apus_poll which, late;
};

static uint16_t register_of(double value)
{
	return value <= 0 ? 0 : value >= UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

/* Percentiles take a walk through the histogram: not every tick. */
static void plant_publish(struct plant *plant)
{
	plant->input[0] = register_of(plant->position);
	plant->input[1] = (uint16_t)(plant->ticks >> 16);
	plant->input[2] = (uint16_t)plant->ticks;
	plant->input[3] = register_of((double)plant->missed);
	if (plant->ticks % LOOK_EVERY != 0)
		return;
	plant->input[4] = register_of(apus_histogram_percentile(&plant->lateness, 50) / 1e3);
	plant->input[5] = register_of(apus_histogram_percentile(&plant->lateness, 99) / 1e3);
}

static void plant_step(struct plant *plant, int64_t late_ns, apus_poll missed)
{
	double error = plant->holding[0] - plant->position;

	apus_histogram_record(&plant->lateness, late_ns);
	plant->ticks++;
	plant->missed += (uint64_t)missed;
	plant->output = error * plant->holding[1] / 100;
	plant->position += plant->output;
	plant_publish(plant);
}

APUS_TASK_URGENT(controller, struct controller)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_AWAIT(self->which, APUS_SELECT(self->late,
			apus_tick(cx, &self->interval),
			apus_cancelled(cx, apus_loop_token(cx->loop))));
		if (self->which != 0)
			break;
		plant_step(apus_get(cx->world, plant),
			apus_clock_now(cx->loop) - self->interval.due_ns, self->late);
	}
	APUS_END(0);
}

static int controller_start(struct apus_loop *loop)
{
	struct controller init = { .which = 0 };

	apus_interval_init(&init.interval, apus_clock_now(loop) + APUS_MSEC, APUS_SEC / HZ,
		APUS_MISSED_SKIP);
	return apus_spawn_slab(loop, controller, &init, NULL);
}

/* ---- a master's session ---------------------------------------------------------------- */

struct session {
	struct apus_frame frame;
	struct apus_tcp conn;
	struct apus_write write;
	apus_poll bytes;
	size_t in_bytes, out_bytes;
	ssize_t used;
	uint8_t in[MODBUS_FRAME_MAX], out[MODBUS_FRAME_MAX];
};

static void session_cleanup(struct apus_cx *cx, struct session *self)
{
	apus_tcp_close(cx->loop, self->conn);
}

/* Answers the first request, if it is there. */
static ssize_t request_answer(struct apus_cx *cx, struct session *self)
{
	struct plant *plant = apus_get(cx->world, plant);
	const struct modbus_tables tables = { plant->holding, plant->input, HOLDING, INPUT };
	ssize_t used = modbus_answer(&tables, self->in, self->in_bytes, self->out,
		&self->out_bytes);

	if (used > 0) {
		self->in_bytes -= (size_t)used;
		memmove(self->in, self->in + used, self->in_bytes);
	}
	return used;
}

APUS_TASK(session, struct session, session_cleanup)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->bytes, serve_read(cx, self->conn, SILENCE_S * APUS_SEC,
			self->in + self->in_bytes, sizeof self->in - self->in_bytes));
		if (self->bytes == 0)
			return 0;
		self->in_bytes += (size_t)self->bytes;
		while ((self->used = request_answer(cx, self)) > 0)
			APUS_TRY(self->bytes, apus_timeout(cx, SILENCE_S * APUS_SEC,
				apus_tcp_write_all(cx, self->conn, &self->write, self->out,
					self->out_bytes)));
		if (self->used < 0)
			return -EBADMSG;
	}
	APUS_END(0);
}

static int session_start(struct apus_loop *loop, struct apus_tcp conn)
{
	struct session init = { .conn = conn };

	return apus_spawn_slab(loop, session, &init, NULL);
}

int main(int argc, char **argv)
{
	static struct apus_world world;
	static struct plant plant = { .holding = { 1000, 10 } };
	static const struct serve serve = {
		.name = "modbus_loop",
		.state_bytes = sizeof(struct session),
		.session_count = 256,
		.world = &world,
		.start = session_start,
		.begin = controller_start,
	};
	char text[APUS_HISTOGRAM_TEXT_BYTES];
	int status;

	apus_histogram_reset(&plant.lateness);
	if (apus_put(&world, plant, &plant) != 0)
		return 1;
	status = serve_main(&serve, argc, argv);
	apus_world_deinit(&world);
	if (plant.ticks == 0)
		return status;
	apus_histogram_format(&plant.lateness, text, sizeof text);
	printf("%" PRIu64 " ticks at %d Hz, %" PRIu64 " missed; how late each was:\n%s",
		plant.ticks, HZ, plant.missed, text);
	return status;
}
