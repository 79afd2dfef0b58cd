#include <signal.h>
#include <string.h>

#include "loop/loop.h"
#include "wait/process.h"

enum { NUMBERS = 64 };

/* What was there before us; a child of fork() has it, too. */
static struct sigaction signal_previous[NUMBERS + 1];

/* The signal table, in memory that fork() empties: a child takes no signals for its parent. */
struct signal_table {
	struct apusi_port *ports[APUSI_SIGNAL_LOOPS];
	uint32_t users[NUMBERS + 1];
	uint32_t inside; /* handlers that run now */
};

static struct signal_table *table_peek(void)
{
	struct apusi_process *process = apusi_process_peek();

	return process != NULL ? (struct signal_table *)apus_load_acquire(&process->signals) : NULL;
}

/* ---- in the handler: atomics, write, sigaction and raise -------------------------------- */

/* First: stop.  Second, under apus_main: abort.  Third: the default action. */
static void port_stop(struct apusi_port *port, int number)
{
	uint32_t count = apus_add_relaxed(&port->signals, 1) + 1;

	if (count == 1 || !apus_load_relaxed(&port->abort_on_second)) {
		apusi_port_post(port, APUSI_PORT_STOP);
	} else if (count == 2) {
		apusi_port_post(port, APUSI_PORT_ABORT);
	} else {
		signal(number, SIG_DFL);
		raise(number);
	}
}

static void port_signal(struct apusi_port *port, int number)
{
	uint64_t bit = APUS_SIGNAL(number);

	if (port->signal_set & bit) {
		__atomic_fetch_or(&port->pending, bit, __ATOMIC_RELEASE);
		apusi_port_post(port, APUSI_PORT_SIGNAL);
	}
	if (port->stop_set & bit)
		port_stop(port, number);
}

/*
 * Nobody here takes it: this is a child of fork(), or the last loop gave it back just now.
 * It is for whoever had it before; raised again, it comes when we return.
 */
static void signal_pass(int number)
{
	sigaction(number, &signal_previous[number], NULL);
	raise(number);
}

static void table_signal(struct signal_table *table, int number)
{
	uint32_t i;

	for (i = 0; i < APUSI_SIGNAL_LOOPS; i++) {
		struct apusi_port *port = apus_load_full(&table->ports[i]);

		if (port != NULL)
			port_signal(port, number);
	}
}

static void signal_handler(int number)
{
	struct signal_table *table = table_peek();
	int saved = errno;

	if (table == NULL) {
		signal_pass(number);
		errno = saved;
		return;
	}
	/* [A] Inside first, then looked, at users and at ports: pairs with [B]. */
	__atomic_fetch_add(&table->inside, 1, __ATOMIC_SEQ_CST);
	if (apus_load_full(&table->users[number]) == 0)
		signal_pass(number);
	else
		table_signal(table, number);
	__atomic_fetch_sub(&table->inside, 1, __ATOMIC_SEQ_CST);
	errno = saved;
}

/* ---- taking and giving back, under the process' lock --------------------------------------- */

bool apusi_signals_are_allowed(uint64_t set)
{
	const uint64_t not_taken = APUS_SIGNAL(SIGKILL) | APUS_SIGNAL(SIGSTOP) |
				   APUS_SIGNAL(SIGSEGV) | APUS_SIGNAL(SIGBUS) |
				   APUS_SIGNAL(SIGFPE) | APUS_SIGNAL(SIGILL) |
				   APUS_SIGNAL(SIGABRT) | APUS_SIGNAL(SIGTRAP);

	return (set & not_taken) == 0;
}

/* In a child that inherited our handler it is no previous one. */
static int handler_install(int number)
{
	struct sigaction action, before;

	memset(&action, 0, sizeof action);
	action.sa_handler = signal_handler;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	if (sigaction(number, &action, &before) != 0)
		return -errno;
	if (before.sa_handler != signal_handler)
		signal_previous[number] = before;
	return 0;
}

/* [B] Something was changed that handlers look at: waits for those that may have seen it before. */
static void handlers_wait(const struct signal_table *table)
{
	uint32_t turns = 0;

	while (apus_load_full(&table->inside) != 0)
		apusi_back_off(&turns);
}

static bool number_drop(struct signal_table *table, int number)
{
	return __atomic_sub_fetch(&table->users[number], 1, __ATOMIC_SEQ_CST) == 0;
}

static void numbers_give(struct signal_table *table, uint64_t set)
{
	int number;

	for (number = 1; number <= NUMBERS; number++)
		if (set & APUS_SIGNAL(number) && number_drop(table, number))
			sigaction(number, &signal_previous[number], NULL);
}

/*
 * The first to take it waits for a handler that found no user: it is about to put back the
 * previous handler, over ours if that were there already.
 */
static int number_take(struct signal_table *table, int number)
{
	int err;

	if (__atomic_fetch_add(&table->users[number], 1, __ATOMIC_SEQ_CST) != 0)
		return 0;
	handlers_wait(table);
	err = handler_install(number);
	if (err)
		number_drop(table, number);
	return err;
}

static int numbers_take(struct signal_table *table, uint64_t set)
{
	uint64_t taken = 0;
	int number, err = 0;

	for (number = 1; number <= NUMBERS && !err; number++) {
		if (!(set & APUS_SIGNAL(number)))
			continue;
		err = number_take(table, number);
		if (!err)
			taken |= APUS_SIGNAL(number);
	}
	if (err)
		numbers_give(table, taken);
	return err;
}

static int port_put(struct signal_table *table, struct apusi_port *port)
{
	uint32_t i;

	for (i = 0; i < APUSI_SIGNAL_LOOPS; i++)
		if (table->ports[i] == NULL) {
			(void)apus_exchange_full(&table->ports[i], port);
			return 0;
		}
	return -ENOSPC;
}

static void port_remove(struct signal_table *table, struct apusi_port *port)
{
	uint32_t i;

	for (i = 0; i < APUSI_SIGNAL_LOOPS; i++)
		if (table->ports[i] == port)
			(void)apus_exchange_full(&table->ports[i], NULL);
	handlers_wait(table);
}

static struct signal_table *table_make(struct apusi_process *process)
{
	if (process->signals == NULL)
		apus_store_release(&process->signals, apusi_process_map(sizeof(struct signal_table)));
	return (struct signal_table *)process->signals;
}

int apusi_signals_take(struct apusi_port *port)
{
	struct apusi_process *process = apusi_process();
	struct signal_table *table;
	int err;

	apusi_process_lock(process);
	table = table_make(process);
	err = table != NULL ? port_put(table, port) : -ENOMEM;
	if (!err) {
		err = numbers_take(table, port->stop_set | port->signal_set);
		if (err)
			port_remove(table, port);
	}
	apusi_process_unlock(process);
	return err;
}

void apusi_signals_give(struct apusi_port *port)
{
	struct apusi_process *process = apusi_process();
	struct signal_table *table;

	apusi_process_lock(process);
	table = table_make(process);
	numbers_give(table, port->stop_set | port->signal_set);
	port_remove(table, port);
	apusi_process_unlock(process);
}

/* ---- awaiting -------------------------------------------------------------------------------- */

void apusi_signals_came(struct apus_loop *loop)
{
	loop->signals_seen |= __atomic_exchange_n(&loop->cx.port->pending, 0, __ATOMIC_ACQUIRE);
	apus_waitq_wake_all(&loop->signal_waiters);
}

apus_poll apus_signal(struct apus_cx *cx, uint64_t set)
{
	struct apus_loop *loop = cx->loop;
	uint64_t here = loop->signals_seen & set;

	if (set == 0 || (set & ~loop->config.signal_set) != 0)
		return -EINVAL;
	if (here == 0)
		return apus_wait_pend(cx, &loop->signal_waiters);
	loop->signals_seen &= ~(here & -here);
	return __builtin_ctzll(here) + 1;
}
