#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channels/owner.h"
#include "wait/process.h"

/*
 * The field of /proc/PID/stat that follows the state by `skip` fields; the state is the first
 * behind the name, which ends with the last parenthesis.
 */
static const char *stat_field(const char *stat, int skip)
{
	const char *at = strrchr(stat, ')');

	for (skip++; at != NULL && skip > 0; skip--) {
		at = strchr(at, ' ');
		at = at != NULL ? at + 1 : NULL;
	}
	return at;
}

/* When the process started, never 0; 0: there is none, or it is dead and only not buried. */
static uint64_t process_start(uint32_t pid)
{
	char path[32], stat[1024];
	const char *state, *start;
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) /* without /proc the pid alone has to tell */
		return kill((pid_t)pid, 0) == 0 || errno == EPERM;
	got = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (got <= 0)
		return 0;
	stat[got] = '\0';
	state = stat_field(stat, 0);
	start = stat_field(stat, 19);
	if (state == NULL || start == NULL || *state == 'Z' || *state == 'X')
		return 0;
	return strtoull(start, NULL, 10) | UINT64_C(1) << 63;
}

static bool process_is_dead(const struct apus_ring_process *process)
{
	return process_start(process->pid) != process->start;
}

/* ---- the table --------------------------------------------------------------------- */

/* The lock names the process that holds it, so that nobody waits for a dead one. */
static void table_lock(struct apus_ring_memory *memory)
{
	uint32_t holder = 0, turns = 0;

	while (!apus_swap_acq_rel(&memory->attach_lock, &holder, (uint32_t)getpid())) {
		if (holder != 0 && process_start(holder) != 0) {
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
		process->start = process_start(process->pid);
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
