/*
 * latest.pml - the latest value: include/apus/latest.h [A], [B], [C].
 *
 * A writer publishes values of two words, each a store of its own, in two cells in turn; it may
 * stop for ever at any step.  A reader receives until it has seen the last, or the writer has
 * stopped.  What it copied must be one value, the words of one publish, newer than the one
 * before, and it must come to an end wherever the writer stopped.
 *
 * mutant ONE_CELL       the writer overwrites the value that is to be read
 * mutant NO_RECHECK     the reader does not look at `at` again
 * mutant AT_FIRST       `at` is published before the words
 * mutant SEEN_STALE     the reader takes the value to be of the `at` that it saw at first
 */
#define VALUES 4
#define THREADS 2
#define DEPTH 2
#define WORDS 5
#define AT 0
#ifdef ONE_CELL
#define CELL(n, w) (1 + (w))
#else
#define CELL(n, w) (1 + 2 * ((n) & 1) + (w))
#endif
#define WRITER 0
#define READER 1

#include "tso.h"

bool stopped; /* the writer has, and what it stored has come to memory */

proctype writer()
{
	byte n;

	n = 1;
	do
	:: n > VALUES -> break
	:: break /* it has died */
	:: n <= VALUES ->
#ifdef AT_FIRST
		plain_store(WRITER, AT, n);
#endif
		plain_store(WRITER, CELL(n, 0), n);
		if
		:: goto dead
		:: plain_store(WRITER, CELL(n, 1), n)
		fi;
#ifndef AT_FIRST
		plain_store(WRITER, AT, n);
#endif
		n++
	od;
dead:
	(buffers[WRITER].count == 0);
	stopped = true
}

proctype reader()
{
	byte seen, before, last, a, b;
	bool over;

	do
	:: over = stopped;
		plain_load(READER, AT, seen);
		if
		:: seen == last ->
			if
			:: over -> break
			:: !over
			fi
		:: seen != last ->
			do
			:: before = seen;
				plain_load(READER, CELL(before, 0), a);
				plain_load(READER, CELL(before, 1), b);
#ifdef NO_RECHECK
				break;
#endif
				plain_load(READER, AT, seen);
				if
				:: seen == before -> break
				:: seen != before ->
#ifdef SEEN_STALE
					break
#else
					skip
#endif
				fi
			od;
			atomic {
				assert(a == b);
				assert(a == seen);
				assert(seen > last);
				last = seen;
				a = 0;
				b = 0;
				before = 0
			}
		fi
	od;
	assert(last == memory[AT])
}

init {
	atomic {
		run drain(WRITER);
		run drain(READER);
		run writer();
		run reader()
	}
}
