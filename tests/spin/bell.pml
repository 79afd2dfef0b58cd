/*
 * bell.pml - the bell of a channel between threads: include/apus/channel_ends.h [G] and [H].
 *
 * A sender publishes two messages by plain stores, and looks at the bell by a plain load; only
 * where it is set it takes part by an exchange.  The receiver, before it sleeps, sets the bell
 * with a full exchange and, where it had not been set, has every thread pass a barrier; then it
 * looks again.  One that sleeps with a message there and nobody to ring is an invalid end state.
 *
 * mutant NO_BARRIER     nobody passes a barrier
 * mutant NO_RECHECK     the receiver does not look again
 * mutant BARRIER_FIRST  the barrier comes before the bell is set
 */
#define MESSAGES 2
#define THREADS 2
#define DEPTH 2
#define WORDS 2
#define TAIL 0
#define BELL 1 /* 1: rings, 2: asleep, too */
#define SENDER 0
#define RECEIVER 1

#include "tso.h"

bool futex;

inline barrier()
{
#ifndef NO_BARRIER
	/* Every thread that runs: its stores are in memory. */
	(buffers[SENDER].count == 0 && buffers[RECEIVER].count == 0)
#else
	skip
#endif
}

proctype sender()
{
	byte n, bell, before;

	do
	:: n == MESSAGES -> break
	:: else ->
		n++;
		plain_store(SENDER, TAIL, n);
		plain_load(SENDER, BELL, bell);
		if
		:: bell == 0
		:: else ->
			/* Clears ASLEEP. */
			full_exchange(SENDER, BELL, 1, before);
			if
			:: before == 2 -> futex = true
			:: else
			fi
		fi
	od
}

proctype receiver()
{
	byte seen, taken, before;

	do
	:: taken == MESSAGES -> break
	:: else ->
		plain_load(RECEIVER, TAIL, seen);
		if
		:: seen > taken -> taken = seen
		:: else ->
#ifdef BARRIER_FIRST
			barrier();
#endif
			full_exchange(RECEIVER, BELL, 2, before);
#ifndef BARRIER_FIRST
			if
			:: before == 0 -> barrier()
			:: else
			fi;
#endif
#ifndef NO_RECHECK
			plain_load(RECEIVER, TAIL, seen);
#endif
			if
			:: seen > taken
			:: else -> (futex)
			fi;
			futex = false;
			full_exchange(RECEIVER, BELL, 1, before)
		fi
	od
}

init {
	atomic {
		run drain(SENDER);
		run drain(RECEIVER);
		run sender();
		run receiver()
	}
}
