#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>

#include "loop/loop.h"
#ifdef FAULT_URING
#include "io/uring.h"
#endif

#include "story.h"

/* A call that a story makes again and again (a turn's) is failed so often at most. */
enum { NTH_MAX = 24, SETTLE_TURNS = 100000 };

/* ---- what was answered ------------------------------------------------------------- */

enum { ANSWERS = 16 };

static int64_t answers[ANSWERS];
static int answer_count;

int64_t tell(int64_t answer)
{
	if (answer < 0 && answer != APUS_PENDING && answer_count < ANSWERS)
		answers[answer_count++] = answer;
	return answer;
}

static bool was_told(int64_t answer)
{
	int i;

	for (i = 0; i < answer_count; i++)
		if (answers[i] == answer)
			return true;
	return false;
}

/* ---- what was failed ------------------------------------------------------------------ */

/* Numbers, one a call, shared with the children of the process. */
static unsigned *failures, *cold_reached;

static char folder[] = "/dev/shm/apus-faults-XXXXXX", folder_else[] = "/tmp/apus-faults-XXXXXX";
static const char *folder_made;

/* Where stories of files happen: where a sync costs nothing, if there is such a place. */
static int folder_make(void)
{
	folder_made = mkdtemp(folder) != NULL ? folder : mkdtemp(folder_else);
	return folder_made != NULL && chdir(folder_made) == 0 ? 0 : -1;
}

void story_deinit(void)
{
	if (chdir("/") != 0 || rmdir(folder_made) != 0)
		printf("%s is not empty\n", folder_made);
}

int story_init(void)
{
	failures = mmap(NULL, 2 * FAULT_CALLS * sizeof *failures, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cold_reached = failures + FAULT_CALLS;
	return failures != MAP_FAILED && folder_make() == 0 ? 0 : -1;
}

unsigned story_failures(enum fault_call call)
{
	return failures[call];
}

/* ---- complaints ----------------------------------------------------------------------- */

static const struct story *current;
static const char *current_kind;
static const struct fault *current_fault;
static unsigned complaints, runs;

static const char *error_text(int error)
{
	const char *text = strerrorname_np(error < 0 ? -error : error);

	return text != NULL ? text : "?";
}

__attribute__((__format__(__printf__, 1, 2)))
static void complain(const char *format, ...)
{
	va_list args;

	printf("%s over %s", current->name, current_kind);
	if (current_fault != NULL)
		printf(", %s %s (%d) at its call %u", fault_name(current_fault->call),
			error_text(current_fault->error), current_fault->error, current_fault->nth);
	printf(": ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	complaints++;
}

/* What was on when the process was ended by a signal. */
static void crashed(int number)
{
	complain("signal %d", number);
	fflush(stdout);
	signal(number, SIG_DFL);
	raise(number);
}

/* ---- rules ---------------------------------------------------------------------------------- */

enum verdict { TOLD, INSTEAD, NOBODY, EITHER };
enum { ANY = 0 };

static const struct rule {
	const char *story; /* NULL: each */
	enum fault_call call;
	int error;
	enum verdict verdict;
	int instead;
} rules[] = {
#define RULE(story, call, error, verdict, instead, why) \
	{ story, FAULT_##call, error, verdict, instead },
#include "rules.def"
#undef RULE
	{ NULL, FAULT_CALLS, ANY, TOLD, 0 },
};

static bool rule_fits(const struct rule *rule, const struct fault *fault)
{
	return (rule->story == NULL || strcmp(rule->story, current->name) == 0) &&
		rule->call == fault->call && (rule->error == ANY || rule->error == fault->error);
}

static const struct rule *rule_of(const struct fault *fault)
{
	const struct rule *rule = rules;

	while (rule->call != FAULT_CALLS && !rule_fits(rule, fault))
		rule++;
	return rule;
}

static void judge(const struct fault *fault)
{
	const struct rule *rule = rule_of(fault);
	int error = fault->error < 0 ? fault->error : -fault->error;
	int i;

	if (rule->verdict == EITHER && answer_count == 0)
		return;
	if (rule->verdict == NOBODY && answer_count != 0)
		complain("somebody was told %s", error_text((int)answers[0]));
	if (rule->verdict != NOBODY && !was_told(error) && !was_told(-rule->instead)) {
		complain("nobody was told %s; %d were told:", error_text(error), answer_count);
		for (i = 0; i < answer_count; i++)
			printf("\t%s\n", error_text((int)answers[i]));
	}
}

/* ---- loops ------------------------------------------------------------------------------------ */

static void configure(struct apus_config *config, const struct story *story, enum apus_io_kind kind)
{
	apus_config_init(config);
	config->slot_count = 16;
	config->state_bytes = 2048;
	config->wait_count = 16;
	config->token_count = 15;
	config->waker_count = 8;
	config->remote_count = 8;
	config->unowned_timers = 8;
	config->socket_count = 32;
	config->segment_bytes = 512;
	config->segment_count = 32;
	config->file_count = 8;
	config->offload_threads = 1;
	config->offload_count = 8;
	config->io_budget = 16;
	config->clock = APUS_CLOCK_MONOTONIC; /* the other one is calibrated first */
	config->stall_ns = APUS_NEVER;
	config->log_fn = NULL;
	config->backend = kind;
	if (kind == APUS_IO_URING) {
		config->uring.entries = 8;
		config->uring.completions = 64;
		config->uring.operations = 8;
	}
	if (kind == APUS_IO_SIM)
		config->clock = APUS_CLOCK_VIRTUAL;
	if (story->configure != NULL)
		story->configure(config);
}

/* ---- the loop still runs ------------------------------------------------------------------------ */

APUS_OFFLOAD(nothing, int)
{
	return *self;
}

struct echo {
	struct apus_frame frame;
	struct apus_tcp a, b;
	struct apus_offload op;
	int64_t got;
	int data;
	char sent[8], received[8];
	bool has_sockets, has_helpers;
};

static void echo_end(struct apus_cx *cx, struct echo *self)
{
	if (!self->has_sockets)
		return;
	apus_tcp_close(cx->loop, self->a);
	apus_tcp_close(cx->loop, self->b);
}

APUS_TASK(echo, struct echo, echo_end)
{
	APUS_BEGIN(cx, self);
	if (self->has_sockets) {
		APUS_TRY(self->got, apus_timeout(cx, STORY_HANG_NS,
			apus_tcp_write(cx, self->a, self->sent, sizeof self->sent)));
		APUS_TRY(self->got, apus_timeout(cx, STORY_HANG_NS,
			apus_tcp_read(cx, self->b, self->received, sizeof self->received)));
		if (self->got != sizeof self->sent || memcmp(self->sent, self->received, 8) != 0)
			return -EBADMSG;
	}
	APUS_TRY(self->got, apus_sleep(cx, APUS_USEC));
	if (self->has_helpers)
		APUS_TRY(self->got, apus_timeout(cx, STORY_HANG_NS,
			apus_offload_run(cx, &self->op, nothing, &self->data)));
	APUS_END(0);
}

static void echo_on(struct apus_loop *loop)
{
	struct echo init = { .sent = "swifts", .has_helpers = current->needs_helpers };
	apus_poll answer = 0;

	init.has_sockets = apus_loop_cx(loop)->io->kind != APUS_IO_NONE;
	if (init.has_sockets)
		answer = apus_unix_pair(loop, &init.a, &init.b);
	/* The helper and the test share a core perhaps. */
	apus_set_idle(loop, APUS_IDLE_PARK);
	if (!answer)
		answer = apus_run(loop, echo, &init);
	apus_set_idle(loop, APUS_IDLE_BUSY);
	if (answer)
		complain("an echo answers %s", error_text((int)answer));
}

/* ---- nothing is held ------------------------------------------------------------------------------ */

/* Once a process: the pool of ports, a port with its nodes for others, and its descriptor. */
static void held_compare(struct fault_held *before, bool is_cold)
{
	struct fault_held after = fault_held();
	int i;

	if (is_cold) {
		before->count[FAULT_MAP] += 3;
		before->count[FAULT_DESCRIPTOR] += 1;
	}
	for (i = 0; i < FAULT_THINGS; i++)
		if (after.count[i] != before->count[i])
			complain("%ld %s more", after.count[i] - before->count[i],
				fault_thing_name((enum fault_thing)i));
}

static unsigned waits_free(const struct apus_loop *loop)
{
	const struct apus_wait *wait;
	unsigned count = 0;

	for (wait = loop->cx.wait_free; wait != NULL; wait = wait->task_next)
		count++;
	return count;
}

static void zero_expect(const char *what, uint64_t count)
{
	if (count != 0)
		complain("%" PRIu64 " %s are left", count, what);
}

static uint32_t segments_lent(const struct apus_io *io)
{
#ifdef FAULT_URING
	if (io->kind == APUS_IO_URING)
		return apusi_uring_of(io)->lent_count;
#endif
	return 0;
}

static void ring_check(const struct apus_io *io)
{
#ifdef FAULT_URING
	const struct apusi_uring *uring = apusi_uring_of(io);

	if (io->kind != APUS_IO_URING)
		return;
	zero_expect("requests of a ring", uring->in_flight - uring->wakes);
	zero_expect("operations of a ring", uring->operations.live_count);
#endif
	(void)io;
}

static void loop_check(struct apus_loop *loop)
{
	const struct apus_io *io = loop->cx.io;
	struct apus_counters now;

	apus_counters_read(loop, &now);
	zero_expect("tasks", now.tasks_live);
	zero_expect("joins", now.tasks_unjoined);
	zero_expect("task slots", now.slots_used);
	zero_expect("operations", now.ops_in_flight);
	zero_expect("sockets", now.sockets_open);
	zero_expect("files", now.files_open);
	zero_expect("timers", now.timers_pending);
	zero_expect("tokens", now.tokens_used);
	zero_expect("wait nodes", loop->config.wait_count - waits_free(loop));
	zero_expect("segments", io->segments.count - io->segments.free_count - segments_lent(io));
	ring_check(io);
}

/* ---- a run ---------------------------------------------------------------------------------------- */

/* What the story began in the kernel or on a helper comes back a little later. */
static void settle(struct apus_loop *loop)
{
	struct apus_counters now;
	int turn;

	for (turn = 0; turn < SETTLE_TURNS; turn++) {
		apus_turn(loop);
		sched_yield();
		apus_counters_read(loop, &now);
		if (turn > 3 && now.tasks_live == 0 && now.ops_in_flight == 0 && now.files_open == 0)
			break;
	}
}

/* Opening and closing are of the story, if it is about them, or opens a loop of its own kind. */
static bool is_whole(const struct story *story)
{
	return story->begin == NULL || story->configure != NULL;
}

static void tell_on(struct apus_loop *loop, const struct story *story)
{
	struct apus_join join;
	apus_poll result;

	fault_resume();
	if (story->begin != NULL && tell(story->begin(loop, &join)) == 0) {
		while (apus_try_join(loop, join, &result) == -EAGAIN) {
			apus_turn(loop);
			sched_yield(); /* to a helper that has to share the core */
		}
	}
	fault_pause();
	apus_set_idle(loop, APUS_IDLE_BUSY); /* what may be to come does not wake it */
	settle(loop);
	echo_on(loop);
	settle(loop);
	loop_check(loop);
	if (is_whole(story))
		fault_resume();
}

/* A loop that was refused, or did not close well, leaves the thread free for another. */
static void another(const struct story *story, enum apus_io_kind kind)
{
	struct apus_config config;
	struct apus_loop *loop;
	int err;

	configure(&config, story, kind);
	err = apus_open(&loop, &config);
	if (err) {
		complain("another loop: %s: %s", error_text(err), config.reason);
		return;
	}
	echo_on(loop);
	err = apus_close(loop, NULL);
	if (err)
		complain("closing another loop: %s", error_text(err));
}

/* True: the fault was met. */
static bool run_here(const struct story *story, enum apus_io_kind kind, const struct fault *fault)
{
	struct fault_held before;
	struct apus_config config;
	struct apus_loop *loop;
	unsigned hits;

	answer_count = 0;
	current_fault = fault;
	fault_pretend_nothing();
	if (story->before != NULL)
		story->before();
	before = fault_held();
	configure(&config, story, kind);
	fault_arm(fault);
	if (!is_whole(story))
		fault_pause();
	if (tell(apus_open(&loop, &config)) == 0) {
		tell_on(loop, story);
		tell(apus_close(loop, NULL));
	} else if (config.reason[0] == '\0') {
		complain("refused without a reason");
	}
	hits = fault_disarm();
	if (fault == NULL && answer_count != 0)
		complain("told %s without a fault: %s", error_text((int)answers[0]), config.reason);
	if (hits != 0) {
		failures[fault->call]++;
		judge(fault);
	}
	if (hits != 0 && is_whole(story))
		another(story, kind);
	held_compare(&before, story->is_cold);
	if (story->after != NULL)
		story->after();
	return hits != 0;
}

/*
 * A child has nothing of its parent's loops, so what is made once a process is made in it.  The
 * counts of what was called are the parent's to have, too.
 */
static bool run_cold(const struct story *story, enum apus_io_kind kind, const struct fault *fault,
	unsigned *reached)
{
	int status, call;
	bool met;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		met = run_here(story, kind, fault);
		for (call = 0; call < FAULT_CALLS; call++)
			reached[call] = fault_count((enum fault_call)call);
		fflush(stdout);
		_exit((met ? 1 : 0) | (complaints != 0 ? 2 : 0));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) & 2) != 0)
		complaints++;
	return WIFEXITED(status) && (WEXITSTATUS(status) & 1) != 0;
}

static bool run(const struct story *story, enum apus_io_kind kind, const struct fault *fault)
{
	runs++;
	return story->is_cold ? run_cold(story, kind, fault, cold_reached) :
		run_here(story, kind, fault);
}

/* ---- all runs of a story ------------------------------------------------------------------------------ */

static void each_time(const struct story *story, enum apus_io_kind kind, enum fault_call call, int error)
{
	struct fault fault = { .call = call, .error = error, .nth = 1 };

	while (fault.nth <= NTH_MAX && run(story, kind, &fault))
		fault.nth++;
}

static void each_error(const struct story *story, enum apus_io_kind kind, enum fault_call call)
{
	size_t count, i;
	const int *errors = fault_errors(call, &count);

	for (i = 0; i < count; i++)
		each_time(story, kind, call, errors[i]);
}

static bool can_open(const struct story *story, enum apus_io_kind kind, char *reason, size_t bytes)
{
	struct apus_config config;
	struct apus_loop *loop;

	configure(&config, story, kind);
	if (apus_open(&loop, &config) != 0) {
		snprintf(reason, bytes, "%s", config.reason);
		return false;
	}
	ck_assert_int_eq(apus_close(loop, NULL), 0);
	return true;
}

void story_tell(const char *test, const struct story *story, enum apus_io_kind kind)
{
	unsigned reached[FAULT_CALLS];
	char reason[192];
	int call;

	if (kind == APUS_IO_SIM && !story->is_simulated)
		return;
	if (kind == APUS_IO_NONE ? story->needs_sockets : story->is_of_no_backend)
		return;
	if (!can_open(story, kind, reason, sizeof reason)) {
		test_skip(test, "%s: %s", apus_io_kind_name(kind), reason);
		return;
	}
	current = story;
	current_kind = apus_io_kind_name(kind);
	signal(SIGSEGV, crashed);
	signal(SIGABRT, crashed);
	run(story, kind, NULL);
	for (call = 0; call < FAULT_CALLS; call++)
		reached[call] = story->is_cold ? cold_reached[call] : fault_count((enum fault_call)call);
	for (call = 0; call < FAULT_CALLS; call++)
		if (reached[call] != 0)
			each_error(story, kind, (enum fault_call)call);
	printf("%s over %s: %u runs\n", story->name, current_kind, runs);
	ck_assert_msg(complaints == 0, "%u complaints", complaints);
}
