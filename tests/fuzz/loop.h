/*
 * loop.h - the loop that programs of tasks run on: virtual time, no descriptors, and little of
 * everything, so that it opens fast and runs out soon.
 */
#ifndef APUS_FUZZ_LOOP_H
#define APUS_FUZZ_LOOP_H

#include "apus.h"
#include "fuzz.h"

/* `how` draws the budgets, and in debug builds whether tasks are polled for no reason too. */
FUZZ_UNUSED static void fuzz_loop_config(struct apus_config *config, uint32_t slots, uint32_t waits,
	unsigned how)
{
	apus_config_init(config);
	config->clock = APUS_CLOCK_VIRTUAL;
	config->backend = APUS_IO_NONE;
	config->slot_count = slots;
	config->wait_count = waits;
	config->waker_count = waits;
	config->token_count = config->remote_count = config->unowned_timers = 1;
	config->socket_count = config->segment_count = config->file_count = 1;
	config->offload_threads = 0;
	config->task_budget = 1 + how % 7;
	config->cancel_budget = 1 + how / 7 % 5;
	config->timer_budget = 1 + how / 35;
	config->spurious_seed = APUS_DEBUG ? how % 3 : 0;
	config->log_fn = NULL;
}

#endif
