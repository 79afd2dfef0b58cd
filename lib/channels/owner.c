#include <unistd.h>

#include "channels/owner.h"
#include "wait/process.h"

/* One that lives is not taken for dead because nobody could be asked when it began. */
static bool process_is_dead(const struct apus_ring_process *process)
{
	uint64_t start = apusi_process_start(process->pid);

	if (start == 0 || start == process->start)
		return start == 0;
	return start != APUSI_START_UNKNOWN && process->start != APUSI_START_UNKNOWN;
}

/* ---- the table --------------------------------------------------------------------- */

/* The lock names the process that holds it, so that nobody waits for a dead one. */
static void table_lock(struct apus_ring_memory *memory)
{
	uint32_t holder = 0, turns = 0;

	while (!apus_swap_acq_rel(&memory->attach_lock, &holder, (uint32_t)getpid())) {
		if (holder != 0 && apusi_process_start(holder) != 0) {
			apusi_back_off(&turns);
			holder = 0;
		}
	}
}

static void table_unlock(struct apus_ring_memory *memory)
{
	apus_store_release(&memory->attach_lock, 0);
}

int64_t apusi_owner_attach(struct apus_ring_memory *memory)
{
	struct apus_ring_process *process = NULL;
	uint32_t i, id = 0;

	table_lock(memory);
	for (i = 0; i < APUS_RING_PROCESSES && id == 0; i++) {
		process = &memory->processes[i];
		if (process->id != 0 && !process_is_dead(process))
			continue;
		/* Another number each time: what a dead one has left is not taken for ours. */
		id = ++memory->attach_count * APUS_RING_PROCESSES + i;
		process->pid = (uint32_t)getpid();
		process->start = apusi_process_start(process->pid);
		apus_store_release(&process->id, id);
	}
	table_unlock(memory);
	return id != 0 ? (int64_t)id : -ENOSPC;
}

void apusi_owner_detach(struct apus_ring_memory *memory, uint32_t id)
{
	table_lock(memory);
	memory->processes[id % APUS_RING_PROCESSES].id = 0;
	table_unlock(memory);
}

bool apusi_owner_is_dead(struct apus_ring_memory *memory, uint32_t id)
{
	struct apus_ring_process *process = &memory->processes[id % APUS_RING_PROCESSES];
	bool is_dead;

	table_lock(memory);
	is_dead = process->id != id || process_is_dead(process);
	table_unlock(memory);
	return is_dead;
}
