#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loop/loop.h"
#include "wait/op.h"

_Static_assert(offsetof(struct apus_loop, cx) == 0, "apus_loop_cx is a cast");
_Static_assert(sizeof(struct apus_task) <= 192, "the header of a task is three cache lines");

/* The thread's current loop: named by the design as mutable at file scope. */
static __thread struct apus_loop *thread_loop;

/* What a child of fork() inherited is no loop of its own. */
struct apus_loop *apusi_thread_loop(void)
{
	struct apus_loop *loop = thread_loop;

	if (loop != NULL && loop->cx.port != NULL && apusi_port_is_inherited(loop->cx.port))
		return NULL;
	return loop;
}

bool apus_loop_is_mine(const struct apus_loop *loop)
{
	return loop == apusi_thread_loop();
}

static int refuse(struct apus_config *config, int err, const char *what)
{
	snprintf(config->reason, sizeof config->reason, "%s: %s", what, strerror(-err));
	return err;
}

/* ---- parts ------------------------------------------------------------------ */

static int open_clock(struct apus_loop *loop)
{
	int err;

	if (apusi_io_wants_sim(loop->config.backend))
		loop->config.clock = APUS_CLOCK_VIRTUAL;
	err = apus_clock_init(&loop->clock, loop->config.clock);
	if (err)
		return refuse(&loop->config, err, "config.clock");
	loop->config.clock = apus_clock_kind_of(&loop->clock);
	loop->cx.now_ns = apus_clock_read(&loop->clock);
	loop->is_ending = loop->config.clock == APUS_CLOCK_VIRTUAL;
	return 0;
}

void apusi_clock_keep(struct apus_loop *loop)
{
	if (apus_clock_recalibrate(&loop->clock))
		apus_log(loop->config.log_fn, loop->config.log_arg, APUS_LOG_WARN,
			"the TSC stopped or leapt: the clock is CLOCK_MONOTONIC from now on");
}

static int open_tasks(struct apus_loop *loop)
{
	const struct apus_config *config = &loop->config;
	struct apus_slab_config slab = {
		.slot_bytes = sizeof(struct apus_task) + config->state_bytes,
		.slot_align = APUS_CACHE_LINE,
		.slot_count = config->slot_count,
		.chunk_max = config->chunk_max,
		.prefault = config->prefault,
		.lock = config->lock_memory,
		.huge_pages = config->huge_pages,
		.numa_bind = config->numa_node >= 0,
		.numa_node = config->numa_node,
	};
	int err = apus_slab_init(&loop->cx.tasks, &slab);

	if (err) {
		const char *reason = apus_slab_reason(&loop->cx.tasks);

		/* One that begins with "huge_pages: " has named its field itself. */
		snprintf(loop->config.reason, sizeof loop->config.reason, "config.%s%s",
			strchr(reason, ':') != NULL ? "" : "slot_count: ", reason);
		return err;
	}
	loop->slab_open = true;
	loop->cx.state_bytes_end = loop->cx.tasks.stride - sizeof(struct apus_task) + 1;
	err = apusi_tasks_open(&loop->cx);
	return err ? refuse(&loop->config, err, "config.slot_count") : 0;
}

static int open_waits(struct apus_loop *loop)
{
	struct apus_config *config = &loop->config;
	struct apus_wait *pool;
	uint32_t count, i;

	if (config->wait_count == APUS_PER_SLOT)
		config->wait_count = config->slot_count * config->chunk_max;
	count = config->wait_count;
	if (apusi_pollers_open(&loop->cx, loop->config.waker_count, &loop->poller_pool))
		return refuse(&loop->config, -ENOMEM, "config.waker_count");
	if (count == 0)
		return 0;
	pool = (struct apus_wait *)calloc(count, sizeof *pool);
	if (pool == NULL)
		return refuse(&loop->config, -ENOMEM, "config.wait_count");
	for (i = 0; i + 1 < count; i++)
		pool[i].task_next = &pool[i + 1];
	loop->wait_pool = pool;
	loop->cx.wait_free = pool;
	return 0;
}

static int open_wheel(struct apus_loop *loop)
{
	struct apus_wheel_config wheel = {
		.resolution_ns = loop->config.timer_resolution_ns,
		.unowned_count = loop->config.unowned_timers,
	};
	int err = apus_wheel_init(&loop->wheel, &wheel, loop->cx.now_ns);

	if (err)
		return refuse(&loop->config, err,
			err == -EINVAL ? "config.timer_resolution_ns" : "config.unowned_timers");
	loop->wheel_open = true;
	loop->cx.wheel = &loop->wheel;
	return 0;
}

static int open_cancel(struct apus_loop *loop)
{
	int err;

	loop->cx.cancel = &loop->cancel;
	loop->cancel_open = true;
	err = apusi_cancel_open(&loop->cancel, &loop->cx, loop->config.token_count + 1);
	return err ? refuse(&loop->config, err, "config.token_count") : 0;
}

static int open_io(struct apus_loop *loop)
{
	struct apus_config *config = &loop->config;
	struct apus_io_config io = {
		.kind = config->backend,
		.socket_count = config->socket_count,
		.event_batch = config->io_budget,
		.prefault = config->prefault,
		.lock = config->lock_memory,
		.parks = config->idle >= APUS_IDLE_BACKOFF,
		.asks_seldom = config->io_interval_ns != 0 || config->io_interval_turns != 0,
		.segment_bytes = config->segment_bytes,
		.segment_count = config->segment_count,
		.uring = config->uring,
		.sim = config->sim,
	};
	int err;

	if (apusi_io_wants_sim(io.kind))
		config->io_interval_ns = config->io_interval_turns = 0; /* it costs no call to ask */
	else if (config->clock == APUS_CLOCK_VIRTUAL && io.kind == APUS_IO_AUTO)
		io.kind = APUS_IO_NONE;
	err = apusi_io_open(&loop->cx.io, &loop->cx, &io, config->reason, sizeof config->reason);
	if (err)
		return err;
	if (loop->cx.io->from_environment)
		apus_log(config->log_fn, config->log_arg, APUS_LOG_INFO,
			"backend %s, from APUS_BACKEND", apusi_io_name(loop->cx.io));
	if (loop->cx.io->fallback[0] != '\0')
		apus_log(config->log_fn, config->log_arg, APUS_LOG_WARN, "backend %s: %s",
			apusi_io_name(loop->cx.io), loop->cx.io->fallback);
	err = apusi_io_set_wake(loop->cx.io, loop->cx.port->wake_fd);
	return err ? refuse(config, err, "waiting for other threads") : 0;
}

static int open_signals(struct apus_loop *loop)
{
	struct apusi_port *port = loop->cx.port;
	int err;

	port->stop_set = loop->config.signals ? APUS_SIGNAL(SIGINT) | APUS_SIGNAL(SIGTERM) : 0;
	port->signal_set = loop->config.signal_set;
	if ((port->stop_set | port->signal_set) == 0)
		return 0;
	err = apusi_signals_take(port);
	loop->registered_signals = err == 0;
	if (err == -ENOSPC)
		return refuse(&loop->config, err, "config.signals: too many loops take them");
	return err ? refuse(&loop->config, err, "config.signals or signal_set") : 0;
}

static int open_port(struct apus_loop *loop)
{
	int err = apusi_port_open(&loop->cx, loop->config.waker_count);

	if (err)
		return refuse(&loop->config, err, "config.waker_count, or the eventfd");
	loop->cx.bits = apusi_loop_bits;
	err = apusi_remote_open(loop->cx.port, loop->config.remote_count);
	if (err)
		return refuse(&loop->config, err, "config.remote_count");
	return open_signals(loop);
}

/* Before the loop is pinned: helpers may run where we may now. */
static int open_offload(struct apus_loop *loop)
{
	const struct apus_config *config = &loop->config;
	struct apusi_offload_config offload = {
		.threads = config->offload_threads,
		.count = config->offload_count,
		.bytes = config->offload_bytes,
		.cpu = config->cpu,
		.at_once = config->clock == APUS_CLOCK_VIRTUAL,
		.prefault = config->prefault,
		.lock = config->lock_memory,
	};
	int err = apusi_ops_open(&loop->cx, config->offload_count);

	if (!err)
		err = apusi_offload_open(&loop->cx, &offload);
	return err ? refuse(&loop->config, err, "config.offload_count or offload_bytes") : 0;
}

static int open_files(struct apus_loop *loop)
{
	int err = apusi_files_open(&loop->cx, loop->config.file_count,
		loop->config.clock == APUS_CLOCK_VIRTUAL);

	return err ? refuse(&loop->config, err, "config.file_count") : 0;
}

/* The order is that of the floors: each part may need the ones before. */
static int open_parts(struct apus_loop *loop)
{
	static int (*const parts[])(struct apus_loop *) = { open_clock, open_port, open_tasks,
		open_waits, open_wheel, open_cancel, open_offload, open_io, open_files,
		apusi_machine_take };
	size_t i;
	int err = 0;

	for (i = 0; i < sizeof parts / sizeof parts[0] && !err; i++)
		err = parts[i](loop);
	return err;
}

/* Whatever was opened, in reverse. */
static void close_parts(struct apus_loop *loop)
{
	struct apusi_offload *offload = loop->cx.offload;

	apusi_machine_give(loop);
	if (loop->cx.io != NULL)
		apusi_io_close(loop->cx.io);
	apusi_files_close(&loop->cx); /* after the kernel's last answers, which name them */
	if (loop->cancel_open)
		apusi_cancel_close(&loop->cancel);
	if (loop->wheel_open)
		apus_wheel_deinit(&loop->wheel);
	free(loop->wait_pool);
	free(loop->poller_pool);
	apusi_tasks_close(&loop->cx);
	/* Where a slot is leaked, so is the memory it lies in: somebody may still write there. */
	if (loop->slab_open && loop->counts.slots_leaked == 0)
		apus_slab_deinit(&loop->cx.tasks);
	if (loop->registered_signals)
		apusi_signals_give(loop->cx.port);
	if (loop->cx.port != NULL)
		apusi_port_close(&loop->cx);
	apusi_offload_close(offload); /* its last answers have come through the port */
	apusi_ops_close(&loop->cx);
	free(loop);
}

/* ---- open -------------------------------------------------------------------- */

static void loop_init(struct apus_loop *loop, const struct apus_config *config)
{
	memset(loop, 0, sizeof *loop);
	loop->config = *config;
	loop->cx.loop = loop;
	loop->cx.world = config->world;
	loop->idle = config->idle;
	loop->cx.may_park = config->idle >= APUS_IDLE_BACKOFF;
	loop->stop_ns = APUS_NEVER;
	loop->drain_ns = APUS_NEVER;
	loop->machine.latency_fd = -1;
	apusi_watch_init(loop);
}

/* A header of another version would reach into our structures at the wrong places. */
static int check_abi(struct apus_config *config, uint32_t abi, bool debug, size_t config_bytes)
{
	char text[sizeof config->reason];

	if (abi == APUS_ABI && debug == APUS_DEBUG && config_bytes == sizeof *config)
		return 0;
	snprintf(text, sizeof text, "header and library differ: ABI %u, debug %d, config %zu bytes "
		"against ABI %u, debug %d, config %zu bytes", abi, debug, config_bytes,
		APUS_ABI, APUS_DEBUG, sizeof *config);
	if (abi == APUS_ABI && config_bytes == sizeof *config)
		memcpy(config->reason, text, sizeof text);
	else
		apus_log(apus_log_stderr, NULL, APUS_LOG_ERROR, "%s", text);
	return -EPROTO;
}

static int loop_new(struct apus_loop **out, struct apus_config *config)
{
	struct apus_loop *loop = NULL;
	int err = apusi_config_check(config);

	if (err)
		return err;
	if (apusi_thread_loop() != NULL)
		return refuse(config, -EEXIST, "this thread has a loop already");
	if (posix_memalign((void **)&loop, APUS_CACHE_LINE, sizeof *loop))
		return refuse(config, -ENOMEM, "the loop");
	loop_init(loop, config);
	thread_loop = loop; /* opening already calls what asks for it */
	err = open_parts(loop);
	if (err) {
		memcpy(config->reason, loop->config.reason, sizeof config->reason);
		thread_loop = NULL;
		close_parts(loop);
		return err;
	}
	*out = loop;
	return 0;
}

int apus_open_abi(struct apus_loop **loop, struct apus_config *config, uint32_t abi, bool debug,
	size_t config_bytes)
{
	struct apus_config own;
	int err;

	*loop = NULL;
	if (config == NULL) {
		apus_config_init(&own);
		config = &own;
	}
	err = check_abi(config, abi, debug, config_bytes);
	if (err)
		return err;
	config->reason[0] = '\0';
	return loop_new(loop, config);
}

/* ---- close --------------------------------------------------------------------- */

/* More nodes than an inbox has before the answers that have come. */
enum { FLUSH_NODES = 1 << 20 };

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

/* Cleanups may abort, wake and cancel, but no longer spawn. */
static void cleanups_run(struct apus_loop *loop)
{
	while (loop->cx.aborted_head != NULL)
		apusi_tasks_cleanup(&loop->cx, UINT32_MAX, loop->cx.turn + 1);
}

/* Answers that have come, and the cleanups that waited for them. */
static void answers_take(struct apus_loop *loop)
{
	apusi_io_submit(loop->cx.io); /* cancels that cleanups have asked for */
	apusi_port_drain(&loop->cx, FLUSH_NODES);
	cleanups_run(loop);
}

/* What tasks have lent comes back, or the time is over.  What is left of it. */
static int64_t close_wait(struct apus_loop *loop)
{
	int64_t left_ns = loop->config.close_wait_ns;
	int64_t end_ns = apus_ns_add(monotonic_ns(), left_ns);

	cleanups_run(loop);
	while (loop->cx.ops->held_tasks != 0 && left_ns > 0) {
		answers_take(loop);
		if (loop->cx.ops->held_tasks == 0)
			break;
		apusi_park(loop, left_ns);
		left_ns = end_ns == APUS_NEVER ? APUS_NEVER : end_ns - monotonic_ns();
	}
	return left_ns > 0 ? left_ns : 0;
}

int apus_close(struct apus_loop *loop, struct apus_counters *final)
{
	int err = apus_run_check(loop);
	uint32_t leaked;

	if (err)
		return err;
	apusi_unprepare(loop);
	loop->state = LOOP_IN_TURN; /* for the cleanups: no run, turn or close inside this one */
	apusi_loop_stop(loop);
	apusi_tasks_abort_all(&loop->cx);
	leaked = apusi_offload_stop(loop->cx.offload, close_wait(loop));
	answers_take(loop);
	apusi_tasks_free_boxed(&loop->cx);
	loop->counts.slots_leaked = loop->cx.ops->held_tasks;
	if (final != NULL)
		apus_counters_read(loop, final);
	err = leaked || loop->counts.slots_leaked ? -EBUSY : 0;
	close_parts(loop);
	thread_loop = NULL;
	return err;
}

/* ---- looking and switching ------------------------------------------------------- */

int64_t apus_clock_now(struct apus_loop *loop)
{
	return apus_clock_read(&loop->clock);
}

int64_t apus_clock_utc(struct apus_loop *loop)
{
	return apus_clock_wall(&loop->clock);
}

int apus_set_idle(struct apus_loop *loop, enum apus_idle idle)
{
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if ((unsigned)idle > APUS_IDLE_PARK)
		return -EINVAL;
	loop->idle = idle;
	loop->idle_streak = 0;
	loop->cx.may_park = idle >= APUS_IDLE_BACKOFF;
	return 0;
}

int apus_source_add(struct apus_loop *loop, struct apus_source *source)
{
	struct apus_source **link;

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (source->poll == NULL)
		return -EINVAL;
	for (link = &loop->sources; *link != NULL; link = &(*link)->next)
		if (*link == source)
			return -EBUSY;
	source->next = NULL;
	source->lent = 0;
	*link = source;
	return 0;
}

static bool source_is_added(const struct apus_loop *loop, const struct apus_source *source)
{
	const struct apus_source *each = loop->sources;

	while (each != NULL && each != source)
		each = each->next;
	return each != NULL;
}

static void source_give_back(struct apus_loop *loop, struct apus_source *source)
{
	if (source->lent != 0)
		(void)apus_io_close(loop, source->lent);
	source->lent = 0;
}

int apus_source_lend(struct apus_loop *loop, struct apus_source *source, int fd)
{
	if (!apus_loop_is_mine(loop))
		return -EPERM;
	if (!source_is_added(loop, source))
		return -ENOENT;
	if (loop->config.clock == APUS_CLOCK_VIRTUAL)
		return -EINVAL;
	source_give_back(loop, source);
	return fd < 0 ? 0 : apusi_io_lend(loop->cx.io, fd, &source->lent);
}

int apus_source_remove(struct apus_loop *loop, struct apus_source *source)
{
	struct apus_source **link;

	if (!apus_loop_is_mine(loop))
		return -EPERM;
	for (link = &loop->sources; *link != NULL; link = &(*link)->next) {
		if (*link != source)
			continue;
		*link = source->next;
		if (loop->source_next == source)
			loop->source_next = source->next;
		source_give_back(loop, source);
		return 0;
	}
	return -ENOENT;
}

static void counters_offload(const struct apusi_offload *offload, struct apus_counters *counters)
{
	struct apusi_offload_counts counts;

	apusi_offload_count(offload, &counts);
	counters->offload_threads = counts.threads;
	counters->offload_queued = counts.queued;
	counters->offload_running = counts.running;
	counters->offload_done = counts.done;
	counters->offload_dropped = counts.dropped;
	counters->offload_refused = counts.refused;
	counters->offload_leaked = counts.leaked;
	counters->refusals += counts.refused;
}

void apus_counters_read(struct apus_loop *loop, struct apus_counters *counters)
{
	const struct apus_cx *cx = &loop->cx;

	*counters = loop->counts;
	counters->turns = cx->turn;
	counters->tasks_spawned = cx->serial;
	counters->tasks_ended = cx->counts.ended;
	counters->tasks_live = apusi_tasks_live(cx);
	counters->tasks_ready = apusi_tasks_ready_count(cx);
	counters->tasks_unjoined = apusi_tasks_unjoined(cx);
	counters->tasks_held = cx->ops->held_tasks;
	counters->ops_in_flight = cx->ops->in_flight;
	counters->polls = cx->counts.polls;
	counters->wakes = cx->counts.wakes;
	counters->refusals = cx->counts.refusals;
	counters->wait_refusals = cx->counts.wait_refusals;
	counters->frames_abandoned = cx->counts.frames_abandoned;
	counters->timers_pending = apus_wheel_pending_count(&loop->wheel);
	counters->timers_fired = apus_wheel_fired_count(&loop->wheel);
	counters->slots_used = cx->tasks.live_count;
	counters->slots_high_water = cx->tasks.used_count;
	counters->slots_capacity = cx->tasks.capacity;
	counters->slab_chunks = cx->tasks.chunk_count;
	counters->tokens_used = loop->cancel.nodes.live_count - 1;
	counters->sockets_open = apusi_io_socket_count(cx->io);
	counters->files_open = apusi_files_count(cx);
	counters->stale_events = cx->io->counts.stale_events;
	counters->io_reaps = cx->io->counts.reaps;
	counters->refusals += cx->io->counts.refusals;
	counters_offload(cx->offload, counters);
}
