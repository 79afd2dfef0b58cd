/*
 * shut.pml - closing a channel against sending, receiving and sleeping: lib/channels/ends.c and
 * channel_mpsc.c.
 *
 * Two senders take a place each by a swap, fill it, and look at the bell; a closer sets the
 * lowest bit of the count of places, says closed by an exchange, and rings.  The receiver takes
 * what there is, sleeps where there is nothing (a barrier the first time, as in bell.pml), and
 * ends when it is closed and no place is left that was given out.
 *
 * Every message whose sender was not refused comes before the end, nobody sleeps for ever, and
 * after the end no place is given out.
 *
 * mutant NO_BIT        closed is said by the flag alone, which senders look at first
 * mutant END_BY_TURN   the receiver ends where it is closed and the next place is not filled
 * mutant NO_RING       the closer does not ring
 * mutant CLOSED_STORE  closed is a store, the bell looked at by a load, and there is no barrier
 * mutant NO_RECHECK    the receiver, before it sleeps, looks for a message only
 */
#define SENDERS 2
#define THREADS 4
#define DEPTH 2
#define WORDS 6
#define AT 0     /* 2 * the next place, and whether it is closed */
#define CLOSED 1
#define BELL 2   /* 1: rings, 2: asleep, too */
#define TURN 3   /* 3, 4: filled; 5: never */
#define RECEIVER 2
#define CLOSER 3

#include "tso.h"

bool futex, ended;
byte won, taken;

inline ring(me)
{
	full_exchange(me, BELL, 1, before);
	if
	:: before == 2 -> futex = true
	:: before != 2
	fi
}

proctype sender(byte me)
{
	byte places, bell, before;
	bool ok;

	plain_load(me, AT, places);
	do
	:: places & 1 -> break /* refused */
	:: !(places & 1) ->
#ifdef NO_BIT
		plain_load(me, CLOSED, bell);
		if
		:: bell -> break
		:: !bell
		fi;
#endif
		atomic {
			buffers[me].count == 0 ->
			ok = (memory[AT] == places);
			if
			:: ok -> memory[AT] = places + 2; won++; assert(!ended)
			:: !ok -> places = memory[AT]
			fi
		};
		if
		:: ok ->
			plain_store(me, TURN + places / 2, 1);
			plain_load(me, BELL, bell);
			if
			:: bell != 0 -> ring(me)
			:: bell == 0
			fi;
			break
		:: !ok
		fi
	od
}

proctype closer()
{
	byte before;

#ifndef NO_BIT
	atomic { buffers[CLOSER].count == 0 -> memory[AT] = memory[AT] | 1 };
#endif
#ifdef CLOSED_STORE
	plain_store(CLOSER, CLOSED, 1);
	plain_load(CLOSER, BELL, before);
	if
	:: before == 0
	:: before != 0 -> ring(CLOSER)
	fi
#else
	full_exchange(CLOSER, CLOSED, 1, before);
#ifndef NO_RING
	ring(CLOSER)
#endif
#endif
}

proctype receiver()
{
	byte next, turn, closed, places, before;

	do
	:: plain_load(RECEIVER, TURN + next, turn);
		if
		:: turn -> next++; taken++
		:: !turn ->
			plain_load(RECEIVER, CLOSED, closed);
			if
			:: closed ->
				/* Sent before it was closed. */
				plain_load(RECEIVER, TURN + next, turn);
				plain_load(RECEIVER, AT, places);
				if
				:: turn -> next++; taken++
#ifdef END_BY_TURN
				:: !turn -> break
#else
#ifdef NO_BIT
				:: !turn && places == 2 * next -> break
				:: !turn && places != 2 * next -> (memory[TURN + next])
#else
				:: !turn && places == 2 * next + 1 -> break
				/* One is on its way. */
				:: !turn && places != 2 * next + 1 ->
					(memory[TURN + next] || memory[AT] != places)
#endif
#endif
				fi
			:: !closed ->
				full_exchange(RECEIVER, BELL, 2, before);
#ifndef CLOSED_STORE
				if
				:: before == 0 ->
					(buffers[0].count == 0 && buffers[1].count == 0 &&
					 buffers[CLOSER].count == 0)
				:: before != 0
				fi;
#endif
				plain_load(RECEIVER, TURN + next, turn);
#ifndef NO_RECHECK
				plain_load(RECEIVER, CLOSED, closed);
#endif
				if
				:: turn || closed
				:: !turn && !closed -> (futex)
				fi;
				futex = false;
				full_exchange(RECEIVER, BELL, 1, before)
			fi
		fi;
		turn = 0;
		closed = 0;
		places = 0;
		before = 0
	od;
	atomic { ended = true; assert(taken == won) }
}

init {
	atomic {
		run drain(0);
		run drain(1);
		run drain(RECEIVER);
		run drain(CLOSER);
		run sender(0);
		run sender(1);
		run closer();
		run receiver()
	}
}
