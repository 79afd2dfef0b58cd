/*
 * stop.h - Ctrl-C while the two processes still start.
 *
 * A signal that comes before a loop has its handlers would end one process by its default
 * action and leave the other to wait.  So the parent blocks them before it forks, and each
 * child takes them in its root's first poll: what came meanwhile is a stop then.
 */
#ifndef TTT_STOP_H
#define TTT_STOP_H

#include "side.h"

#include <apus/loop.h>

#include <signal.h>

static inline void stop_signals(int how)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(how, &signals, NULL);
}

static inline void stop_block(void)
{
	stop_signals(SIG_BLOCK);
}

static inline void stop_unblock(void)
{
	stop_signals(SIG_UNBLOCK);
}

/*
 * What a stop has kept from beginning is no failure.  The parent's word is for the one of
 * the two that hears of it from the other before the signal has come.
 */
static inline apus_poll stop_excuses(struct apus_cx *cx, const struct shared *shared,
	apus_poll why)
{
	bool is_stopping = apus_is_stopping(cx->loop) ||
		apus_load_acquire(&shared->is_stopping) != 0;

	return is_stopping ? 0 : why;
}

#endif
