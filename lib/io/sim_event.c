#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/sim.h"

#define RETRY_NS (200 * APUS_MSEC) /* a stream's first; each one after waits twice as long */
#define RETRY_NS_MAX (120 * APUS_SEC)

/* ---- chance ----------------------------------------------------------------------- */

/* xorshift64* (Vigna, 2016). */
uint64_t apusi_sim_draw(struct sim_world *world)
{
	uint64_t x = world->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	world->random = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

int64_t apusi_sim_travel_ns(struct sim_world *world)
{
	return world->config.latency_ns + apusi_sim_up_to(world, world->config.jitter_ns);
}

int apusi_sim_scripted(struct sim_world *world, enum apus_sim_call call)
{
	if (apus_likely(world->failing[call].count == 0))
		return 0;
	world->failing[call].count--;
	world->counts.scripted++;
	return world->failing[call].err;
}

/* ---- the trace ------------------------------------------------------------------------ */

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9fb21c651e98df25);
	return hash ^ (hash >> 29);
}

static void step_show(const struct sim_world *world, const struct apus_sim_step *step)
{
	if (world->config.trace != NULL)
		world->config.trace(world->config.trace_arg, step);
	if (world->traces_to_stderr)
		fprintf(stderr, "sim: %" PRId64 " ns: %s of %d: %" PRId64 "\n", step->now_ns,
			step->what, step->number, step->value);
}

/* Numbers and sizes only: an address in memory is not the same in the next run. */
void apusi_sim_step_of(struct sim_world *world, const char *what, int number, uint64_t index,
	int64_t value)
{
	struct apus_sim_step step = { apusi_sim_now(world), what, number, value };
	uint64_t hash = mix(world->hash, (uint64_t)step.now_ns);
	const char *letter;

	for (letter = what; *letter != '\0'; letter++)
		hash = hash * 31 + (unsigned char)*letter;
	hash = mix(hash, (uint64_t)(uint32_t)step.number << 32 | index);
	world->hash = mix(hash, (uint64_t)value);
	world->counts.steps++;
	if (apus_unlikely(world->config.trace != NULL || world->traces_to_stderr))
		step_show(world, &step);
}

void apusi_sim_step(struct sim_world *world, const char *what, const struct sim_socket *end,
	int64_t value)
{
	if (end != NULL)
		apusi_sim_step_of(world, what, end->number, end->index, value);
	else
		apusi_sim_step_of(world, what, -1, 0, value);
}

/* ---- events: a binary heap -------------------------------------------------------------- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->order < b->order;
}

/* A network that forgets what is on its way would hang whoever waits for it. */
static void heap_grow(struct sim_world *world)
{
	uint32_t room = world->heap_room != 0 ? 2 * world->heap_room : 64;
	struct sim_event *heap = realloc(world->heap, room * sizeof *heap);

	if (heap == NULL)
		apus_panic(__FILE__, __LINE__, "no memory for the events of a simulated network");
	world->heap = heap;
	world->heap_room = room;
}

void apusi_sim_post(struct sim_world *world, const struct sim_event *event)
{
	uint32_t at = world->heap_count;
	struct sim_event *heap, own = *event;

	if (at == world->heap_room)
		heap_grow(world);
	heap = world->heap;
	own.order = world->order++;
	world->heap_count++;
	for (; at > 0 && is_before(&own, &heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = own;
}

void apusi_sim_tell(struct sim_socket *end, enum sim_kind kind, int64_t at_ns, uint32_t value)
{
	const struct sim_event event = {
		.ns = at_ns,
		.index = end->index,
		.generation = end->generation,
		.kind = (uint16_t)kind,
		.value = value,
	};

	apusi_sim_post(end->world, &event);
}

void apusi_sim_tell_later(struct sim_socket *end, enum sim_kind kind, uint32_t value)
{
	struct sim_world *world = end->world;

	apusi_sim_tell(end, kind, apusi_sim_now(world) + apusi_sim_travel_ns(world), value);
}

int apusi_sim_again(struct sim_socket *end, enum sim_kind kind)
{
	struct sim_world *world = end->world;
	int64_t wait_ns = 1 + apusi_sim_up_to(world, world->config.latency_ns);

	world->counts.agains++;
	apusi_sim_tell(end, kind, apusi_sim_now(world) + wait_ns, 0);
	return -EAGAIN;
}

bool apusi_sim_event_take(struct sim_world *world, struct sim_event *out)
{
	struct sim_event *heap = world->heap, last;
	uint32_t at = 0, child, count;

	if (world->heap_count == 0 || heap[0].ns > apusi_sim_now(world))
		return false;
	*out = heap[0];
	count = --world->heap_count;
	last = heap[count];
	while ((child = 2 * at + 1) < count) {
		if (child + 1 < count && is_before(&heap[child + 1], &heap[child]))
			child++;
		if (!is_before(&heap[child], &last))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last;
	return true;
}

/* What could not pass is sent again, at longer and longer intervals: true if it still is. */
bool apusi_sim_retry(struct sim_world *world, const struct sim_event *event, int64_t first_ns,
	uint16_t tries_max)
{
	struct sim_event again = *event;
	int64_t wait_ns = first_ns << (event->tries < 10 ? event->tries : 10);

	if (event->tries >= tries_max)
		return false;
	again.tries++;
	again.ns = apusi_sim_now(world) + (wait_ns < RETRY_NS_MAX ? wait_ns : RETRY_NS_MAX);
	world->counts.retries++;
	apusi_sim_post(world, &again);
	return true;
}

/* ---- who may not pass ----------------------------------------------------------------------- */

bool apusi_sim_matches(const struct sim_pattern *pattern, const struct sim_name *name)
{
	if (pattern->name.family == 0)
		return true;
	if (pattern->name.family == AF_UNIX || name->family == AF_UNIX)
		return apusi_sim_name_is_same(&pattern->name, name);
	return (pattern->any_ip || apusi_sim_ip_is_same(&pattern->name, name)) &&
	       (pattern->name.port == 0 || pattern->name.port == name->port);
}

static bool cut_holds(const struct sim_cut *cut, const struct sim_name *a,
	const struct sim_name *b)
{
	return (apusi_sim_matches(&cut->a, a) && apusi_sim_matches(&cut->b, b)) ||
	       (apusi_sim_matches(&cut->a, b) && apusi_sim_matches(&cut->b, a));
}

/* Those that are over leave on the way. */
bool apusi_sim_is_cut(struct sim_world *world, const struct sim_name *a, const struct sim_name *b)
{
	bool found = false;
	uint32_t i = 0;

	while (i < world->cut_count) {
		if (world->cuts[i].until_ns <= apusi_sim_now(world)) {
			world->cuts[i] = world->cuts[--world->cut_count];
			continue;
		}
		found = found || cut_holds(&world->cuts[i], a, b);
		i++;
	}
	return found;
}

int apusi_sim_cut_add(struct sim_world *world, const struct sim_pattern *a, const struct sim_pattern *b,
	int64_t for_ns)
{
	static const struct sim_name nobody;

	(void)apusi_sim_is_cut(world, &nobody, &nobody);
	if (world->cut_count == SIM_CUTS)
		return -ENOSPC;
	world->cuts[world->cut_count++] = (struct sim_cut){ *a, *b,
		apus_ns_add(apusi_sim_now(world), for_ns) };
	world->counts.cuts++;
	apusi_sim_step(world, "cut", NULL, for_ns);
	return 0;
}

void apusi_sim_cut_by_chance(struct sim_world *world, const struct sim_name *a,
	const struct sim_name *b)
{
	const struct sim_pattern from = { *a, false }, to = { *b, false };

	if (apusi_sim_hits(world, world->config.cut_ppm))
		(void)apusi_sim_cut_add(world, &from, &to,
			apusi_sim_up_to(world, world->config.cut_ns));
}
