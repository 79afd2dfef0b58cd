#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/uring.h"
#include "io/uring_kernel.h"

enum { INDEX_BITS = 32 - APUSI_URING_KIND_BITS };

/* By preset. */
static const uint32_t entries_default[] = { 256, 1024 }, completions_default[] = { 1024, 8192 };

#define CLOSE_WAIT_NS APUS_SEC

/* ---- what a kernel can do --------------------------------------------------------- */

/*
 * The ways to run a ring, best first; a kernel that does not know a flag says EINVAL.
 *
 * COOP: completions are worked off whenever the thread leaves the kernel, for whatever
 * reason, which brings some without asking.  DEFER: only when the ring is entered, all at
 * once.  Without either (before Linux 5.19) by an interrupt.
 */
enum { SETUPS = 3 };

static const unsigned setups[][SETUPS] = {
	[APUS_URING_LATENCY] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	},
	[APUS_URING_THROUGHPUT] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	},
};

/* EXT_ARG parks for nanoseconds, NODROP keeps what does not fit the completion queue. */
enum { FEATURES_NEEDED = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_CQE_SKIP };

static const char *setup_reason(int err)
{
	switch (err) {
	case -ENOSYS:
		return "this kernel, or a filter of system calls, has none";
	case -EPERM:
		return "kernel.io_uring_disabled, or a filter of system calls, forbids it";
	case -ENOMEM:
		return "no memory for its queues: RLIMIT_MEMLOCK, or the container's limit";
	case -EMFILE:
		return "no descriptor is left: RLIMIT_NOFILE";
	default:
		return strerror(-err);
	}
}

/* A thread of the kernel's submits, and works completions off by itself. */
static const unsigned setups_sqpoll[SETUPS] = {
	IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER,
	IORING_SETUP_SQPOLL,
	IORING_SETUP_SQPOLL,
};

static void params_sqpoll(const struct apus_uring_config *config, struct io_uring_params *params)
{
	params->sq_thread_idle = config->sqpoll_idle_ms;
	if (!config->sqpoll_pin)
		return;
	params->flags |= IORING_SETUP_SQ_AFF;
	params->sq_thread_cpu = config->sqpoll_cpu;
}

static int queue_init(struct apus_io *io, unsigned flags)
{
	const struct apus_uring_config *config = &io->config.uring;
	struct io_uring_params params = { 0 };
	unsigned entries = config->entries;

	if (entries == 0)
		entries = entries_default[config->preset];
	params.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
	params.cq_entries = config->completions;
	if (params.cq_entries == 0)
		params.cq_entries = completions_default[config->preset];
	if (params.cq_entries < entries)
		params.cq_entries = entries;
	if (config->sqpoll)
		params_sqpoll(config, &params);
	return io_uring_queue_init_params(entries, &apusi_uring_of(io)->ring, &params);
}

static int ring_init(struct apus_io *io, char *reason, size_t reason_bytes)
{
	const struct apus_uring_config *config = &io->config.uring;
	const unsigned *ways = config->sqpoll ? setups_sqpoll : setups[config->preset];
	int i, err = -EINVAL;

	for (i = 0; i < SETUPS && err == -EINVAL; i++)
		err = queue_init(io, ways[i]);
	if (err == -EINVAL && config->sqpoll_pin)
		snprintf(reason, reason_bytes, "config.uring.sqpoll_cpu: there is no CPU %u to "
			"submit on", config->sqpoll_cpu);
	else if (err)
		snprintf(reason, reason_bytes, "io_uring_setup%s: %s",
			config->sqpoll ? " with SQPOLL" : "", setup_reason(err));
	return err;
}

static int check_features(struct apus_io *io, char *reason, size_t reason_bytes)
{
	if ((apusi_uring_of(io)->ring.features & FEATURES_NEEDED) == FEATURES_NEEDED)
		return 0;
	snprintf(reason, reason_bytes, "io_uring of this kernel is too old: Linux 5.17 is needed");
	return -ENOTSUP;
}

/* ---- opening ------------------------------------------------------------------------ */

static int check_config(const struct apus_io *io, char *reason, size_t reason_bytes)
{
	const struct apus_uring_config *config = &io->config.uring;
	const char *why = NULL;

	if (io->config.socket_count > UINT32_C(1) << INDEX_BITS)
		why = "config.socket_count is over 2^29, more than a completion can name";
	else if (config->completions != 0 && config->completions < config->entries)
		why = "config.uring.completions is less than config.uring.entries";
	else if ((unsigned)config->preset > APUS_URING_THROUGHPUT)
		why = "config.uring.preset is neither latency nor throughput";
	else if (!config->sqpoll && (config->sqpoll_pin || config->sqpoll_idle_ms != 0))
		why = "config.uring.sqpoll_pin and sqpoll_idle_ms need sqpoll";
	else if (config->napi_prefer && config->napi_usec == 0)
		why = "config.uring.napi_prefer needs napi_usec";
	if (why == NULL)
		return 0;
	snprintf(reason, reason_bytes, "%s", why);
	return -EINVAL;
}

/* Which operations the kernel knows. */
static void probe(struct apusi_uring *uring)
{
	struct io_uring_probe *found = io_uring_get_probe_ring(&uring->ring);
	size_t i;

	if (found == NULL)
		return;
	for (i = 0; i < sizeof uring->has; i++)
		uring->has[i] = io_uring_opcode_supported(found, (int)i);
	io_uring_free_probe(found);
}

int apusi_uring_register(struct apus_io *io, unsigned what, void *argument, unsigned count)
{
	long err = syscall(SYS_io_uring_register, apusi_uring_of(io)->ring.ring_fd, what, argument,
		count);

	return err < 0 ? -errno : 0;
}

static int check_zero_copy(const struct apus_io *io, char *reason, size_t reason_bytes)
{
	if (io->config.uring.zero_copy_bytes == 0 || apusi_uring_has_native(io, IORING_OP_SEND_ZC))
		return 0;
	snprintf(reason, reason_bytes, "config.uring.zero_copy_bytes: this kernel has no such send");
	return -ENOTSUP;
}

static int set_napi(struct apus_io *io, char *reason, size_t reason_bytes)
{
	struct apusi_uring_napi napi = {
		.busy_poll_to_us = io->config.uring.napi_usec,
		.prefer_busy_poll = io->config.uring.napi_prefer,
	};
	int err;

	if (napi.busy_poll_to_us == 0)
		return 0;
	err = apusi_uring_register(io, APUSI_REGISTER_NAPI, &napi, 1);
	if (err)
		snprintf(reason, reason_bytes, "config.uring.napi_usec: %s", err == -EINVAL ?
			"this kernel does not spin on devices for a ring" : strerror(-err));
	return err;
}

static int set_options(struct apus_io *io, char *reason, size_t reason_bytes)
{
	int err;

	probe(apusi_uring_of(io));
	err = check_zero_copy(io, reason, reason_bytes);
	return err ? err : set_napi(io, reason, reason_bytes);
}

static int open_pools(struct apus_io *io, char *reason, size_t reason_bytes)
{
	int err = apusi_uring_accept_open(io);

	if (!err) {
		err = apusi_uring_op_open(io);
		if (err)
			apusi_uring_accept_close(io);
	}
	if (err)
		snprintf(reason, reason_bytes, "config.uring.operations: no memory");
	return err;
}

static int open_ring(struct apus_io *io, char *reason, size_t reason_bytes)
{
	int err = ring_init(io, reason, reason_bytes);

	if (err)
		return err;
	err = check_features(io, reason, reason_bytes);
	if (!err)
		err = set_options(io, reason, reason_bytes);
	if (!err)
		err = open_pools(io, reason, reason_bytes);
	if (err) {
		io_uring_queue_exit(&apusi_uring_of(io)->ring);
		return err;
	}
	(void)io_uring_ring_dontfork(&apusi_uring_of(io)->ring); /* a child has none */
	if (apusi_uring_of(io)->ring.flags & IORING_SETUP_SINGLE_ISSUER)
		apusi_uring_receive_open(io); /* the flag is of Linux 6.0, as what it needs is */
	return 0;
}

int apusi_uring_open(struct apus_io *io, char *reason, size_t reason_bytes)
{
	int err = check_config(io, reason, reason_bytes);

	if (err)
		return err;
	io->state = calloc(1, sizeof(struct apusi_uring));
	if (io->state == NULL) {
		snprintf(reason, reason_bytes, "no memory for the ring");
		return -ENOMEM;
	}
	err = open_ring(io, reason, reason_bytes);
	if (err) {
		free(io->state);
		io->state = NULL;
	}
	return err;
}

void apusi_uring_close(struct apus_io *io)
{
	struct apusi_uring *uring = apusi_uring_of(io);

	/* Without it the kernel ends what is left by itself, a little after we are gone. */
	(void)apusi_uring_cancel_all(io, CLOSE_WAIT_NS);
	io_uring_queue_exit(&uring->ring);
	apusi_uring_receive_close(io);
	apusi_uring_accept_close(io);
	apusi_uring_op_close(io);
	free(uring);
}

/* Readable while there are completions, or work of the kernel's that brings them. */
int apusi_uring_fd(const struct apus_io *io)
{
	return apusi_uring_of(io)->ring.ring_fd;
}
