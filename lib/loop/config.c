#include <stdio.h>
#include <string.h>

#include "loop/loop.h"

void apus_config_init(struct apus_config *config)
{
	memset(config, 0, sizeof *config);
	config->slot_count = 1024;
	config->chunk_max = 1;
	config->state_bytes = 320;
	config->wait_count = APUS_PER_SLOT;
	config->token_count = 255;
	config->waker_count = 256;
	config->remote_count = 64;
	config->unowned_timers = 64;
	config->socket_count = 1024;
	config->segment_bytes = 4096;
	config->segment_count = 256;
	config->file_count = 256;
	config->offload_threads = 2;
	config->offload_count = 64;
	config->offload_bytes = 1536;
	config->numa_node = -1;
	config->task_budget = 256;
	config->timer_budget = 1024;
	config->io_budget = 256;
	config->inbox_budget = 256;
	config->cancel_budget = 1024;
	config->lane_ratio = 8;
	config->backoff_turns = 1000;
	config->stop_grace_ns = 5 * APUS_SEC;
	config->close_wait_ns = APUS_SEC;
	config->cpu = -1;
	config->stall_ns = APUS_MSEC;
	config->log_fn = apus_log_stderr;
}

static int refuse(struct apus_config *config, const char *field, const char *why)
{
	snprintf(config->reason, sizeof config->reason, "config.%s %s", field, why);
	return -EINVAL;
}

static int check_counts(struct apus_config *config)
{
	const struct {
		const char *name;
		uint32_t value;
	} positive[] = {
		{ "slot_count", config->slot_count },
		{ "chunk_max", config->chunk_max },
		{ "state_bytes", config->state_bytes },
		{ "socket_count", config->socket_count },
		{ "segment_bytes", config->segment_bytes },
		{ "segment_count", config->segment_count },
		{ "file_count", config->file_count },
		{ "offload_count", config->offload_count },
		{ "offload_bytes", config->offload_bytes },
		{ "task_budget", config->task_budget },
		{ "timer_budget", config->timer_budget },
		{ "io_budget", config->io_budget },
		{ "inbox_budget", config->inbox_budget },
		{ "cancel_budget", config->cancel_budget },
		{ "lane_ratio", config->lane_ratio },
		{ "backoff_turns", config->backoff_turns },
	};
	size_t i;

	for (i = 0; i < sizeof positive / sizeof positive[0]; i++)
		if (positive[i].value == 0)
			return refuse(config, positive[i].name, "is 0");
	if ((uint64_t)config->slot_count * config->chunk_max > UINT32_C(1) << 30)
		return refuse(config, "slot_count", "times chunk_max is over 2^30");
	if (config->token_count == UINT32_MAX)
		return refuse(config, "token_count", "is too large");
	if (config->offload_threads > 1024)
		return refuse(config, "offload_threads", "is over 1024");
	if (config->offload_count > UINT32_C(1) << 20)
		return refuse(config, "offload_count", "is over 2^20");
	if (config->offload_bytes > UINT32_C(1) << 24)
		return refuse(config, "offload_bytes", "is over 2^24");
	return 0;
}

static int check_times(struct apus_config *config)
{
	const struct {
		const char *name;
		int64_t value;
	} times[] = {
		{ "task_quota_ns", config->task_quota_ns },
		{ "io_interval_ns", config->io_interval_ns },
		{ "timer_resolution_ns", config->timer_resolution_ns },
		{ "stop_grace_ns", config->stop_grace_ns },
		{ "close_wait_ns", config->close_wait_ns },
		{ "stall_ns", config->stall_ns },
	};
	size_t i;

	for (i = 0; i < sizeof times / sizeof times[0]; i++)
		if (times[i].value < 0)
			return refuse(config, times[i].name, "is negative");
	return 0;
}

static int check_choices(struct apus_config *config)
{
	if (config->lane_ratio < 2)
		return refuse(config, "lane_ratio", "is 1: urgent tasks would never run");
	if ((unsigned)config->idle > APUS_IDLE_PARK)
		return refuse(config, "idle", "is none of busy, pause, backoff, park");
	if ((unsigned)config->clock > APUS_CLOCK_VIRTUAL)
		return refuse(config, "clock", "is none of auto, tsc, monotonic, virtual");
	if ((unsigned)config->backend > APUS_IO_NONE)
		return refuse(config, "backend", "is not a backend");
	if (config->fifo_priority < 0 || config->fifo_priority > 99)
		return refuse(config, "fifo_priority", "is not between 0 and 99");
	if (!apusi_signals_are_allowed(config->signal_set))
		return refuse(config, "signal_set", "has a signal that cannot be taken");
	if (config->numa_node < -1)
		return refuse(config, "numa_node", "is negative");
	if (config->cpu < -1)
		return refuse(config, "cpu", "is negative");
	if (config->spurious_seed != 0 && !APUS_DEBUG)
		return refuse(config, "spurious_seed", "needs a debug build");
	if (config->clock == APUS_CLOCK_VIRTUAL && config->backend != APUS_IO_AUTO &&
	    config->backend != APUS_IO_SIM && config->backend != APUS_IO_NONE)
		return refuse(config, "clock", "is virtual, but the backend has real descriptors");
	if (config->clock != APUS_CLOCK_VIRTUAL && config->clock != APUS_CLOCK_AUTO &&
	    apusi_io_wants_sim(config->backend))
		return refuse(config, "clock", "ticks by itself, but the network is simulated");
	if (config->sim != NULL && config->backend != APUS_IO_SIM)
		return refuse(config, "sim", "is set, but the backend is another");
	return 0;
}

int apusi_config_check(struct apus_config *config)
{
	int err = check_counts(config);

	if (!err)
		err = check_times(config);
	return err ? err : check_choices(config);
}
