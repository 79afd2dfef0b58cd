/*
 * control_loop - a controller that runs 1 000 to 20 000 times a second, beside I/O.
 *
 * Each tick is due at first + k * period, and is judged by a fresh reading of the clock, first
 * thing in the task.  A tick that comes a whole period late or more has missed its deadline:
 * the fail-safe runs in its place, the ticks that were missed are counted and left out, and the
 * rest stays aligned to the first.  --stall shows it: a task holds the thread for too long.
 *
 * The controller is in the urgent lane; set-points arrive on a socket, as from a field bus, in
 * the normal one.  For figures worth having: an isolated core, --cpu, --fifo; see the README.
 */
#include <apus.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	int hz, seconds, cpu, fifo, stall_ms;
	bool json;
};

/* Called when a deadline was missed, in place of the controller's step. */
typedef void fail_safe_fn(void *arg, int64_t late_ns);

struct rig {
	double set_point, position, output; /* the plant, and what we do to it */
	uint64_t set_points, missed, stalls;
	int64_t worst_missed_ns;
	fail_safe_fn *fail_safe;
	struct apus_histogram lateness;
};

/* ---- the controller ------------------------------------------------------------ */

/* What this machine does for want of an answer: nothing. */
static void let_go(void *arg, int64_t late_ns)
{
	struct rig *rig = arg;

	rig->output = 0;
	rig->missed++;
	if (late_ns > rig->worst_missed_ns)
		rig->worst_missed_ns = late_ns;
}

/* A proportional one. */
static void control_step(struct rig *rig)
{
	rig->output += 0.5 * (rig->set_point - rig->position);
}

/* Stands for the world: the position drifts to what drives it, whoever does. */
static void plant_step(struct rig *rig)
{
	rig->position += 0.01 * (rig->output - rig->position);
}

struct control {
	struct apus_frame frame;
	struct rig *rig;
	struct apus_interval interval;
	int64_t first_ns;
	uint64_t tick_limit;
	apus_poll which, late;
};

static void control_tick(struct apus_cx *cx, struct control *self)
{
	struct rig *rig = self->rig;
	int64_t period_ns = self->interval.period_ns;
	int64_t late_ns = apus_clock_now(cx->loop) - self->interval.due_ns;

	apus_histogram_record(&rig->lateness, late_ns);
	if (self->late > 0) {
		/* The ticks that were left out were later still: all are in the histogram. */
		late_ns += self->late * period_ns;
		apus_histogram_record_corrected(&rig->lateness, late_ns, period_ns);
		rig->fail_safe(rig, late_ns);
	} else {
		control_step(rig);
	}
	plant_step(rig);
}

APUS_TASK_URGENT(control, struct control)
{
	APUS_BEGIN(cx, self);
	while (self->interval.ticks + self->interval.overruns < self->tick_limit) {
		APUS_AWAIT(self->which, APUS_SELECT(self->late,
			apus_tick(cx, &self->interval),
			apus_cancelled(cx, apus_loop_token(cx->loop))));
		if (self->which != 0)
			break;
		control_tick(cx, self);
	}
	APUS_END(0);
}

/* ---- the I/O beside it ------------------------------------------------------------ */

/* The other end of the bus: a new set-point every 5 ms. */
struct operator_desk {
	struct apus_frame frame;
	struct apus_udp bus;
	struct apus_interval interval;
	double set_point;
	apus_poll bytes;
};

APUS_TASK(operator_desk, struct operator_desk)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_WAIT(apus_tick(cx, &self->interval));
		self->set_point = (double)(self->interval.ticks % 100);
		APUS_TRY(self->bytes, apus_udp_send(cx, self->bus, &self->set_point,
			sizeof self->set_point, NULL));
	}
	APUS_END(0);
}

struct field_bus {
	struct apus_frame frame;
	struct apus_udp bus;
	struct rig *rig;
	double set_point;
	apus_poll bytes;
};

APUS_TASK(field_bus, struct field_bus)
{
	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_TRY(self->bytes, apus_udp_recv(cx, self->bus, &self->set_point,
			sizeof self->set_point, NULL));
		self->rig->set_point = self->set_point;
		self->rig->set_points++;
	}
	APUS_END(0);
}

static int bus_start(struct apus_loop *loop, struct rig *rig)
{
	struct operator_desk desk = { .set_point = 0 };
	struct field_bus bus = { .rig = rig };
	int err = apus_unix_pair_datagram(loop, &desk.bus, &bus.bus);

	if (err)
		return err;
	apus_interval_init(&desk.interval, apus_clock_now(loop), 5 * APUS_MSEC,
		APUS_MISSED_SKIP);
	err = apus_spawn_slab(loop, operator_desk, &desk, NULL);
	return err ? err : apus_spawn_slab(loop, field_bus, &bus, NULL);
}

/* ---- a bad neighbour ---------------------------------------------------------------- */

/* Holds the thread, once in a second, for longer than a loop's task ever should. */
struct hog {
	struct apus_frame frame;
	struct rig *rig;
	int64_t hold_ns;
};

APUS_TASK(hog, struct hog)
{
	int64_t end_ns;

	APUS_BEGIN(cx, self);
	for (;;) {
		APUS_WAIT(apus_sleep(cx, APUS_SEC / 2));
		end_ns = apus_clock_now(cx->loop) + self->hold_ns;
		while (apus_clock_now(cx->loop) < end_ns)
			;
		self->rig->stalls++;
		APUS_WAIT(apus_sleep(cx, APUS_SEC / 2));
	}
	APUS_END(0);
}

static int hog_start(struct apus_loop *loop, const struct options *options, struct rig *rig)
{
	struct hog init = { .rig = rig, .hold_ns = options->stall_ms * APUS_MSEC };

	return options->stall_ms == 0 ? 0 : apus_spawn_slab(loop, hog, &init, NULL);
}

/* ---- running, and what came of it --------------------------------------------------- */

static int control_run(struct apus_loop *loop, const struct options *options, struct rig *rig,
	struct apus_interval *interval)
{
	struct control init = { .rig = rig }, *ended;
	int64_t period_ns = APUS_SEC / options->hz;
	struct apus_join join;
	int err;

	init.tick_limit = (uint64_t)options->hz * (uint64_t)options->seconds;
	init.first_ns = apus_clock_now(loop) + 10 * APUS_MSEC;
	apus_interval_init(&init.interval, init.first_ns, period_ns, APUS_MISSED_SKIP);
	err = apus_spawn_slab(loop, control, &init, &join);
	if (err)
		return err;
	while (apus_join_is_finished(loop, join) == 0)
		apus_turn(loop);
	ended = apus_join_state(loop, join);
	*interval = ended->interval;
	/* Every deadline there was is either a tick or an overrun, and in the histogram. */
	if (interval->next_ns - init.first_ns !=
		    (int64_t)(interval->ticks + interval->overruns) * period_ns ||
	    apus_histogram_count(&rig->lateness) < interval->ticks + interval->overruns)
		err = -EBADMSG;
	return err ? err : apus_try_join(loop, join, NULL);
}

static void print_json(const struct options *options, const struct rig *rig,
	const struct apus_interval *interval, const struct apus_counters *counters)
{
	const struct apus_histogram *lateness = &rig->lateness;

	printf("{\"hz\": %d, \"seconds\": %d, \"ticks\": %" PRIu64 ", \"overruns\": %" PRIu64
	       ", \"missed\": %" PRIu64 ", \"worst_missed_ns\": %" PRId64
	       ", \"stalls\": %" PRIu64 ", \"set_points\": %" PRIu64
	       ", \"longest_turn_ns\": %" PRId64
	       ", \"lateness_ns\": {\"p50\": %" PRId64 ", \"p90\": %" PRId64
	       ", \"p99\": %" PRId64 ", \"p999\": %" PRId64 ", \"max\": %" PRId64 "}}\n",
		options->hz, options->seconds, interval->ticks, interval->overruns, rig->missed,
		rig->worst_missed_ns, rig->stalls, rig->set_points, counters->turn_ns_longest,
		apus_histogram_percentile(lateness, 50), apus_histogram_percentile(lateness, 90),
		apus_histogram_percentile(lateness, 99), apus_histogram_percentile(lateness, 99.9),
		apus_histogram_max(lateness));
}

static void print_text(struct apus_loop *loop, const struct rig *rig,
	const struct apus_interval *interval, const struct apus_counters *counters)
{
	char text[APUS_HISTOGRAM_TEXT_BYTES];

	apus_loop_describe(loop, text, sizeof text);
	fputs(text, stdout);
	printf("\n%" PRIu64 " ticks, %" PRIu64 " overruns, %" PRIu64 " missed deadlines (worst "
	       "%" PRId64 " ns), %" PRIu64 " set-points, longest turn %" PRId64 " ns\n",
		interval->ticks, interval->overruns, rig->missed, rig->worst_missed_ns,
		rig->set_points, counters->turn_ns_longest);
	apus_histogram_format(&rig->lateness, text, sizeof text);
	printf("lateness\n%s", text);
}

static int run(const struct options *options)
{
	static struct rig rig = { .fail_safe = let_go };
	struct apus_interval interval;
	struct apus_counters counters;
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	apus_config_init(&config);
	config.cpu = options->cpu;
	config.fifo_priority = options->fifo;
	config.lock_memory = options->fifo != 0;
	config.prefault = true;
	config.signals = true;
	err = apus_open(&loop, &config);
	if (err) {
		fprintf(stderr, "control_loop: %s\n", config.reason);
		return err;
	}
	err = bus_start(loop, &rig);
	if (!err)
		err = hog_start(loop, options, &rig);
	if (!err)
		err = control_run(loop, options, &rig, &interval);
	apus_counters_read(loop, &counters);
	if (!err && options->json)
		print_json(options, &rig, &interval, &counters);
	else if (!err)
		print_text(loop, &rig, &interval, &counters);
	apus_close(loop, NULL);
	return err;
}

/* ---- the command line -------------------------------------------------------------- */

static const char usage[] =
	"usage: control_loop [--hz N] [--seconds N] [--cpu N] [--fifo PRIORITY] [--stall MS]\n"
	"                    [--json]\n"
	"  --hz       ticks a second, 1 to 100000 (1000)\n"
	"  --seconds  how long (1)\n"
	"  --cpu      pin to that CPU (stay where we were started)\n"
	"  --fifo     SCHED_FIFO at that priority, 1 to 99, and locked memory (neither)\n"
	"  --stall    a task holds the thread for so many ms, once a second: the fail-safe runs\n"
	"  --json     one line of JSON instead of a report\n";

/* A number between least and most, or exit. */
static int number_of(const char *text, int least, int most)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end != '\0' || number < least || number > most) {
		fprintf(stderr, "control_loop: \"%s\" is not between %d and %d\n", text, least,
			most);
		exit(2);
	}
	return (int)number;
}

static void options_parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "hz", required_argument, NULL, 'z' }, { "seconds", required_argument, NULL, 's' },
		{ "cpu", required_argument, NULL, 'c' }, { "fifo", required_argument, NULL, 'f' },
		{ "stall", required_argument, NULL, 't' }, { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		switch (option) {
		case 'z': options->hz = number_of(optarg, 1, 100000); break;
		case 's': options->seconds = number_of(optarg, 1, 1000000); break;
		case 'c': options->cpu = number_of(optarg, 0, 1023); break;
		case 'f': options->fifo = number_of(optarg, 1, 99); break;
		case 't': options->stall_ms = number_of(optarg, 0, 10000); break;
		case 'j': options->json = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options options = { .hz = 1000, .seconds = 1, .cpu = -1 };
	int err;

	options_parse(&options, argc, argv);
	err = run(&options);
	return err == 0 ? 0 : 1;
}
