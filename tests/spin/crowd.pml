/*
 * crowd.pml - several threads that sleep on one bell: lib/channels/readers.c, and senders of
 * several processes at one ring.
 *
 * A writer publishes two messages, each when both readers have seen the one before, and rings:
 * takes the bit, counts, wakes all who sleep.  A reader that has seen everything sets the bit,
 * notes the word as it is then, looks again, and sleeps only if the word is still the same.  RINGS is set
 * already, so [G] is an exchange; see bell.pml for the first time.  One that sleeps with a
 * message there and nobody to wake it is an invalid end state.
 *
 * mutant NO_COUNT       ringing does not change the word but for the bit
 * mutant NO_RECHECK     the reader does not look again
 * mutant SLEEPER_CLEARS a reader that need not sleep takes the bit back
 * mutant WORD_LATER     the word is read when the bit was set, and the bit put into it
 */
#define MESSAGES 2
#define READERS 2
#define THREADS 3
#define DEPTH 2
#define WORDS 2
#define TAIL 0
#define BELL 1 /* bit 0: a thread sleeps; above: how often it was rung */
#define WRITER 2

#include "tso.h"

bool asleep[READERS];
byte seen[READERS];

inline set_bit(me, word)
{
	atomic { buffers[me].count == 0 -> memory[BELL] = memory[BELL] | 1; word = memory[BELL] }
}

inline clear_bit(me, before)
{
	atomic { buffers[me].count == 0 -> before = memory[BELL] & 1; memory[BELL] = memory[BELL] - before }
}

proctype writer()
{
	byte n, before;

	do
	:: n == MESSAGES -> break
	:: n < MESSAGES ->
		n++;
		plain_store(WRITER, TAIL, n);
		clear_bit(WRITER, before);
		if
		:: before ->
#ifndef NO_COUNT
			atomic { buffers[WRITER].count == 0 -> memory[BELL] = memory[BELL] + 2 };
#endif
			atomic { asleep[0] = false; asleep[1] = false }
		:: !before
		fi;
		before = 0;
		(seen[0] == n && seen[1] == n)
	od
}

proctype reader(byte me)
{
	byte tail, word, before;

	do
	:: seen[me] == MESSAGES -> break
	:: seen[me] < MESSAGES ->
		set_bit(me, word);
#ifdef WORD_LATER
		plain_load(me, BELL, word);
		word = word | 1;
#endif
#ifndef NO_RECHECK
		plain_load(me, TAIL, tail);
#endif
		if
		:: tail > seen[me]
		:: tail <= seen[me] ->
			/* The futex compares, and sleeps, in one step. */
			atomic {
				if
				:: memory[BELL] == word -> asleep[me] = true
				:: memory[BELL] != word
				fi
			};
			(!asleep[me]);
			plain_load(me, TAIL, tail)
		fi;
#ifdef SLEEPER_CLEARS
		clear_bit(me, before);
#endif
		atomic {
			if
			:: tail > seen[me] -> seen[me] = tail
			:: tail <= seen[me]
			fi;
			tail = 0;
			word = 0;
			before = 0
		}
	od
}

init {
	atomic {
		run drain(0);
		run drain(1);
		run drain(WRITER);
		run writer();
		run reader(0);
		run reader(1)
	}
}
