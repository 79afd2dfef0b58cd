#include "timer/unowned.h"

/* The slab keeps what lies behind a free slot's first eight bytes: the generation lives on. */
struct unowned {
	struct apus_timer timer;
	struct apus_wheel *wheel;
	apus_timer_post_fn *fn;
	void *arg;
	uint32_t generation; /* odd while it is pending */
};

static uint64_t handle_of(const struct apus_slab *slab, const struct unowned *unowned)
{
	return (uint64_t)unowned->generation << 32 | apus_slab_index(slab, unowned);
}

static void unowned_release(struct unowned *unowned)
{
	unowned->generation++;
	apus_slab_release(&unowned->wheel->unowned, unowned);
}

/* The slot is free before the call, so that what is called may post again. */
static void unowned_fire(struct apus_cx *cx, struct apus_timer *timer)
{
	struct unowned *unowned = apus_container_of(timer, struct unowned, timer);
	apus_timer_post_fn *fn = unowned->fn;
	void *arg = unowned->arg;

	unowned_release(unowned);
	fn(cx, arg);
}

int apus_timer_post(struct apus_wheel *wheel, int64_t deadline_ns, apus_timer_post_fn *fn,
	void *arg, uint64_t *handle)
{
	struct unowned *unowned = NULL;

	if (wheel->unowned.capacity > 0)
		unowned = apus_slab_claim(&wheel->unowned);
	if (unowned == NULL)
		return -ENOSPC;
	unowned->wheel = wheel;
	unowned->fn = fn;
	unowned->arg = arg;
	unowned->generation++;
	apus_timer_init(&unowned->timer, unowned_fire);
	apus_timer_arm(wheel, &unowned->timer, deadline_ns);
	if (handle != NULL)
		*handle = handle_of(&wheel->unowned, unowned);
	return 0;
}

int apus_timer_cancel(struct apus_wheel *wheel, uint64_t handle)
{
	uint32_t generation = (uint32_t)(handle >> 32);
	struct unowned *unowned = NULL;

	if (wheel->unowned.capacity > 0 && generation % 2 == 1)
		unowned = apus_slab_at(&wheel->unowned, (uint32_t)handle);
	if (unowned == NULL || unowned->generation != generation)
		return -ESTALE;
	apus_timer_disarm(wheel, &unowned->timer);
	unowned_release(unowned);
	return 0;
}

int apusi_unowned_init(struct apus_wheel *wheel, uint32_t count)
{
	const struct apus_slab_config config = {
		.slot_bytes = sizeof(struct unowned),
		.slot_count = count,
		.prefault = true,
	};

	return count == 0 ? 0 : apus_slab_init(&wheel->unowned, &config);
}

void apusi_unowned_deinit(struct apus_wheel *wheel)
{
	if (wheel->unowned.capacity > 0)
		apus_slab_deinit(&wheel->unowned);
}
