/*
 * park.pml - parking against waking (P5): lib/loop/idle.c [B] and lib/wait/port.c, inbox.h [A].
 *
 * Two threads wake a loop twice each.  A wake publishes its node with a full exchange and looks
 * at `parked`; the loop sets `parked` with a full exchange and looks at the inbox again.  A loop
 * that sleeps with a node in its inbox and nobody about to ring is an invalid end state.
 *
 * mutant PARK_BY_STORE    the loop sets `parked` by a plain store
 * mutant NO_RECHECK       it does not look at the inbox again
 * mutant PUSH_BY_STORE    the waker publishes by a plain store
 * mutant RING_BEFORE      the waker looks at `parked` before it publishes
 */
#define WAKERS 2
#define ROUNDS 2
#define THREADS 3
#define DEPTH 2
/* node i (1: in the inbox), parked */
#define PARKED 2
#define WORDS 3
#define LOOP 2

#include "tso.h"

byte eventfd;
byte taken;

proctype waker(byte me)
{
	byte round, before, parked;

	do
	:: round == ROUNDS -> break
	:: else ->
		/* Ours is out of the inbox: the loop has polled. */
		(memory[me] == 0);
#ifdef RING_BEFORE
		plain_load(me, PARKED, parked);
#endif
#ifdef PUSH_BY_STORE
		plain_store(me, me, 1);
#else
		full_exchange(me, me, 1, before);
#endif
#ifndef RING_BEFORE
		plain_load(me, PARKED, parked);
#endif
		if
		:: parked == 0
		:: else ->
			full_exchange(me, PARKED, 0, before);
			if
			:: before -> eventfd = 1
			:: else
			fi
		fi;
		round++
	od
}

proctype loop()
{
	byte node, seen, work, ignored;

	do
	:: taken == WAKERS * ROUNDS -> break
	:: else ->
		/* The inbox phase: what is seen is taken. */
		work = 0;
		node = 0;
		do
		:: node == WAKERS -> break
		:: else ->
			plain_load(LOOP, node, seen);
			if
			:: seen ->
				full_exchange(LOOP, node, 0, ignored);
				taken++;
				work++
			:: else
			fi;
			node++
		od;
		if
		:: work == 0 ->
#ifdef PARK_BY_STORE
			plain_store(LOOP, PARKED, 1);
#else
			full_exchange(LOOP, PARKED, 1, ignored);
#endif
			node = 0;
#ifndef NO_RECHECK
			do
			:: node == WAKERS -> break
			:: else ->
				plain_load(LOOP, node, seen);
				work = work + seen;
				node++
			od;
#endif
			if
			:: work == 0 ->
				/* The kernel: sleeps until somebody has written. */
				atomic { eventfd > 0 -> eventfd = 0 }
			:: else
			fi;
			full_exchange(LOOP, PARKED, 0, ignored)
		:: else
		fi
	od
}

init {
	atomic {
		run drain(0);
		run drain(1);
		run drain(LOOP);
		run waker(0);
		run waker(1);
		run loop()
	}
}
