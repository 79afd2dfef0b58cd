/*
 * Signals: the one handler, which posts to the ports of the loops that asked for it.
 */
#ifndef LOOP_SIGNALS_H
#define LOOP_SIGNALS_H

#include "wait/port.h"

enum { APUSI_SIGNAL_LOOPS = 64 }; /* that may take signals at once */

/* A set that has in it what no handler can take, or may return from. */
bool apusi_signals_are_allowed(uint64_t set);

/*
 * The signals of port->stop_set and port->signal_set post to the port.  0; -ENOSPC: too many
 * loops; -ENOMEM; or what sigaction says.
 */
int apusi_signals_take(struct apusi_port *port);

/*
 * The last to give one back puts its previous handler in place.  When this returns no handler
 * is about to post to the port.
 */
void apusi_signals_give(struct apusi_port *port);

#endif
