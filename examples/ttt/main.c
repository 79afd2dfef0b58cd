/*
 * main.c - tick_to_trade: an exchange and a trading engine, each a process with a loop on
 * its own core; started together they are compared in the end.
 *
 * Exit status: 0, all well, and both agree; 1, they do not, or one failed; 2, the command
 * line.
 */
#define _GNU_SOURCE
#include "engine.h"
#include "exchange.h"
#include "replay.h"
#include "report.h"
#include "stop.h"
#include "svg.h"
#include "vandal.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The n-th core that this process may run on, or -1. */
static int allowed_cpu(int n)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			return cpu;
	return -1;
}

/* -2: nobody chose.  Two on one core would only wait for each other: then none is pinned. */
static void choose_cpus(struct options *options)
{
	bool has_two = options->mode == TTT_BOTH && allowed_cpu(1) >= 0;

	if (options->exchange_cpu == -2)
		options->exchange_cpu = has_two ? allowed_cpu(0) : -1;
	if (options->engine_cpu == -2)
		options->engine_cpu = has_two ? allowed_cpu(1) : -1;
}

/* Written to once, so that no page faults while it is used. */
static struct shared *open_shared(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return shared == MAP_FAILED ? NULL : shared;
}

/* Where an exchange that is to be killed writes its day down; pages come as they are used. */
static int open_day(const struct options *options, struct shared *shared)
{
	const size_t bytes = (size_t)1 << 30;
	struct day_log *day;

	if (options->kill_exchange.for_ns == 0)
		return 0;
	day = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (day == MAP_FAILED)
		return -errno;
	day->limit = bytes - sizeof(*day);
	shared->day = day;
	return 0;
}

static void complain(const char *who, int err)
{
	fprintf(stderr, "tick_to_trade: %s: %s\n", who, strerror(-err));
}

/* ---- two processes ------------------------------------------------------------------ */

static volatile sig_atomic_t exchange_pid, engine_pid;
static pid_t vandal_pid, viewer_pid;
static struct shared *both_shared;

/* Both finish in order then; the parent waits for them. */
static void forward(int signal_number)
{
	apus_store_release(&both_shared->is_stopping, 1);
	if (exchange_pid > 0)
		kill(exchange_pid, signal_number);
	if (engine_pid > 0)
		kill(engine_pid, signal_number);
}

/*
 * In a process group of its own, so that Ctrl-C comes from the parent alone: a second
 * signal would mean "at once".  One whose parent dies is asked to end.
 */
static void leave_parent(void)
{
	setpgid(0, 0);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static pid_t spawn(int (*run)(const struct options *, struct shared *), const char *who,
	const struct options *options, struct shared *shared)
{
	pid_t child = fork();
	int err;

	if (child != 0)
		return child;
	leave_parent();
	err = run(options, shared);
	if (err)
		complain(who, err);
	exit(err ? 1 : 0);
}

/* ---- what goes wrong on purpose ------------------------------------------------------ */

/* Each of the two has its moments, from the opening of the market on: 0, 1, and then over. */
static int kill_step, stop_step;

static void sleep_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5 * APUS_MSEC}, NULL);
}

/* What the clocks of the loops follow. */
static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * APUS_SEC + now.tv_nsec;
}

/* Whether the mishap's next moment has come: its begin, then its end. */
static bool is_due(const struct mishap *mishap, int step, int64_t opened_ns)
{
	int64_t at_ns = opened_ns + mishap->at_ns + (step > 0 ? mishap->for_ns : 0);

	return mishap->for_ns != 0 && step < 2 && monotonic_ns() >= at_ns;
}

static void stop_engine(const struct options *options, int64_t opened_ns)
{
	if (!is_due(&options->stop_engine, stop_step, opened_ns) || engine_pid <= 0)
		return;
	kill(engine_pid, stop_step == 0 ? SIGSTOP : SIGCONT);
	stop_step++;
}

/* Killed without a warning; what it was is in the list of its day. */
static void kill_exchange(const struct options *options, struct shared *shared,
	int64_t opened_ns)
{
	if (!is_due(&options->kill_exchange, kill_step, opened_ns))
		return;
	if (kill_step == 0 && exchange_pid > 0) {
		kill(exchange_pid, SIGKILL);
		waitpid(exchange_pid, NULL, 0);
		exchange_pid = 0;
	} else if (kill_step == 1) {
		shared->exchange.restarts++;
		exchange_pid = spawn(exchange_run, "exchange", options, shared);
	}
	kill_step++;
}

/* Until all that is to go wrong has gone wrong, or the day is over. */
static void make_mischief(const struct options *options, struct shared *shared)
{
	int64_t closes_ns, opened_ns;

	if (options->stop_engine.for_ns == 0)
		stop_step = 2;
	if (options->kill_exchange.for_ns == 0)
		kill_step = 2;
	while ((stop_step < 2 || kill_step < 2) && !apus_load_acquire(&shared->is_stopping) &&
	       !apus_load_acquire(&shared->engine.is_done)) {
		sleep_a_little();
		closes_ns = apus_load_acquire(&shared->closes_ns);
		if (closes_ns == 0)
			continue;
		opened_ns = closes_ns - options->duration_ns;
		stop_engine(options, opened_ns);
		kill_exchange(options, shared, opened_ns);
	}
	/* Whatever is over, nobody stays stopped. */
	if (stop_step == 1 && engine_pid > 0)
		kill(engine_pid, SIGCONT);
}

enum { PATIENCE_S = 30 };

static void give_up(int number)
{
	(void)number;
	forward(SIGKILL);
}

/* Awaits either; one that failed leaves the other nothing to wait for. */
static bool await_child(void)
{
	int status;
	pid_t child;

	do {
		child = waitpid(-1, &status, 0);
		if (child < 0 && errno != EINTR)
			return false;
		if (child == viewer_pid)
			viewer_pid = 0; /* it may be the first to see that the engine is done */
	} while (child < 0 || (child != exchange_pid && child != engine_pid));
	if (child == exchange_pid)
		exchange_pid = 0;
	else
		engine_pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFSIGNALED(status))
		fprintf(stderr, "tick_to_trade: a process ended by signal %d\n", WTERMSIG(status));
	/* Both bound their own ends; one that is still there after that is beyond asking. */
	forward(SIGTERM);
	alarm(PATIENCE_S);
	return false;
}

/* It looks until the engine is done. */
static pid_t start_viewer(const struct options *options, struct shared *shared)
{
	pid_t child = options->has_watch ? fork() : 0;

	if (child == 0 && options->has_watch) {
		leave_parent();
		watch_run(&shared->sights, &shared->engine.is_done, stderr);
		exit(0);
	}
	return child;
}

/* It has nothing to say in the end: it is killed. */
static pid_t start_vandal(const struct options *options, struct shared *shared)
{
	pid_t child = options->has_vandal ? fork() : 0;

	if (child == 0 && options->has_vandal) {
		leave_parent();
		vandal_run(options, shared);
	}
	return child;
}

static bool run_both(const struct options *options, struct shared *shared)
{
	struct sigaction action = {.sa_handler = forward};
	struct sigaction patience = {.sa_handler = give_up};
	bool first, second;

	fflush(NULL);
	both_shared = shared;
	stop_block();
	vandal_pid = start_vandal(options, shared);
	exchange_pid = spawn(exchange_run, "exchange", options, shared);
	engine_pid = spawn(engine_run, "engine", options, shared);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &patience, NULL);
	stop_unblock();
	make_mischief(options, shared);
	first = await_child();
	second = await_child();
	if (vandal_pid > 0) {
		kill(vandal_pid, SIGKILL);
		waitpid(vandal_pid, NULL, 0);
	}
	return first && second;
}

static bool run_one(const struct options *options, struct shared *shared)
{
	static const struct {
		const char *who;
		int (*run)(const struct options *, struct shared *);
	} modes[] = {
		[TTT_EXCHANGE] = {"exchange", exchange_run}, [TTT_ENGINE] = {"engine", engine_run},
		[TTT_REPLAY] = {"replay", replay_run},
	};
	int err = modes[options->mode].run(options, shared);

	if (err)
		complain(modes[options->mode].who, err);
	return err == 0;
}

/* Also of an engine that has never begun, or was killed. */
static void await_viewer(struct shared *shared)
{
	apus_store_release(&shared->engine.is_done, 1);
	if (viewer_pid > 0)
		waitpid(viewer_pid, NULL, 0);
}

static void draw(const struct options *options, const struct shared *shared)
{
	const struct svg_curve curves[] = {
		{"tick to trade", "#c02020", &shared->engine.latency},
		{"bare receive and send", "#2060c0", &shared->engine.bound},
		{"seen by the exchange", "#909090", &shared->exchange.latency},
	};
	int err = options->svg == NULL ? 0 : svg_write(options->svg, "tick_to_trade: latency by "
		"percentile", curves, 3);

	if (err)
		complain(options->svg, err);
}

static bool judge(const struct options *options, const struct shared *shared)
{
	const struct side *exchange = &shared->exchange, *engine = &shared->engine;
	bool agree = options->mode != TTT_BOTH ||
		report_compare(shared, options->symbol_count, stderr);

	if (exchange->allocations + engine->allocations != 0)
		fprintf(stderr, "tick_to_trade: memory was allocated after the first turn\n");
	return agree && exchange->allocations + engine->allocations == 0;
}

int main(int argc, char **argv)
{
	static char out[1 << 14];
	struct shared *shared;
	struct options options;
	bool good, agree;
	int err = options_parse(&options, argc, argv);

	if (err)
		return err < 0 ? 2 : 0;
	/* A buffer that is here already: stdio would allocate one at the first word. */
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	shared = open_shared();
	if (shared == NULL) {
		complain("shared memory", -errno);
		return 1;
	}
	apus_latest_init_shared(&shared->sights);
	err = open_day(&options, shared);
	if (err) {
		complain("memory for the day", err);
		return 1;
	}
	choose_cpus(&options);
	options.has_progress |= isatty(STDERR_FILENO) != 0 && !options.has_watch;
	viewer_pid = start_viewer(&options, shared);
	good = options.mode == TTT_BOTH ? run_both(&options, shared) : run_one(&options, shared);
	await_viewer(shared);
	agree = judge(&options, shared) && good;
	if (options.mode == TTT_REPLAY)
		options.mode = TTT_ENGINE; /* it is an engine's report */
	report_print(shared, &options, agree, stdout);
	draw(&options, shared);
	if (options.is_json)
		report_json(shared, &options, agree, stdout);
	return agree ? 0 : 1;
}
