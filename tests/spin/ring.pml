/*
 * ring.pml - the byte ring's claims: [T], [U], [A], [P], [C], [D], [F] of lib/channels/ring.c
 * and ring_read.c.
 *
 * A ring of two records of one size.  Two senders claim two records each, under the lock, write
 * into them, and commit by a swap; any of them may stand still in between for as long as it
 * likes.  A reader takes records in the order of claiming; where one is claimed and not
 * committed it may pass it over, which leaves a hole: senders pad over that until the claimant
 * has answered and the reader has closed it.
 *
 * Nobody writes into what is another's; a record is read as its sender wrote it, once, in its
 * place; committed and passed over exclude each other; in the end all holes are closed and
 * nobody waits for room that there is.
 *
 * A turn is 5 * place + what, places from 1 on; data is the place of its record.
 *
 * mutant NO_HOLE         passed over, and nothing noted
 * mutant HOLE_LATE       the hole is noted when the record was passed over
 * mutant COMMIT_STORE    a commit stores, and does not swap
 * mutant PASS_STORE      passing over stores, and does not swap
 * mutant NO_ANSWER       who was passed over does not say that it has left
 * mutant HEAD_EARLY      the record is released before it was read
 * mutant TAIL_EARLY      the tail is published before the turn
 * mutant NO_LOCK         senders claim without the lock
 */
#define SENDERS 2
#define EACH 2
#define THREADS 3
#define DEPTH 2
#define WORDS 9
#define TAIL 0
#define HEAD 1
#define LOCK 2
#define HOLES 3 /* 3, 4: of the record in that half; 0: none, 1: held, 2: answered */
#define TURN 5  /* 5, 6 */
#define DATA 7  /* 7, 8 */
#define CLAIMED 1
#define COMMITTED 2
#define PADDING 3
#define PASSED 4
#define READER 2

#define at_half(p) ((p) & 1)
#define turn_of(p, what) (5 * (p) + (what))

#include "tso.h"

byte owner[2];     /* the place whose claimant may write there; 0: nobody */
byte committed, stale, passed, taken, over;

inline full_swap(thread, at, old, v, ok)
{
	atomic {
		buffers[thread].count == 0 ->
		ok = (memory[at] == old);
		if
		:: ok -> memory[at] = v
		:: !ok
		fi
	}
}

/* place is 0 where there is no room. */
inline claim(me, place)
{
	bool ok;
	byte head, hole;

	place = 0;
#ifndef NO_LOCK
	do
	:: full_swap(me, LOCK, 0, 1, ok);
		if
		:: ok -> break
		:: !ok -> (memory[LOCK] == 0)
		fi
	od;
#endif
	plain_load(me, TAIL, tail);
	plain_load(me, HEAD, head);
	do
	:: tail - head == 2 -> break
	:: tail - head < 2 ->
		plain_load(me, HOLES + at_half(tail), hole);
		if
		:: hole ->
			/* Pads over it; its header is the ring's, its bytes are not. */
			plain_store(me, TURN + at_half(tail), turn_of(tail, PADDING));
			tail++
		:: !hole ->
			place = tail;
#ifdef TAIL_EARLY
			plain_store(me, TAIL, place + 1);
#endif
			plain_store(me, TURN + at_half(place), turn_of(place, CLAIMED));
			assert(owner[at_half(place)] == 0);
			owner[at_half(place)] = place;
			break
		fi
	od;
#ifndef TAIL_EARLY
	if
	/* What was padded over shows with the record behind it. */
	:: place -> plain_store(me, TAIL, place + 1)
	:: !place
	fi;
#endif
#ifndef NO_LOCK
	plain_store(me, LOCK, 0);
#endif
	hole = 0;
	head = 0;
	tail = 0
}

proctype sender(byte me)
{
	byte n, place, tail;
	bool done;

	do
	:: n == EACH -> break
	:: n < EACH ->
		claim(me, place);
		if
		:: place == 0 ->
			/* Waits for room; the bell is bell.pml's. */
			(memory[TAIL] - memory[HEAD] < 2 && memory[HOLES + at_half(memory[TAIL])] == 0 ||
			 memory[TAIL] == memory[HEAD])
		:: place != 0 ->
			/* Here it may stand still. */
			assert(owner[at_half(place)] == place);
			plain_store(me, DATA + at_half(place), place);
#ifdef COMMIT_STORE
			plain_store(me, TURN + at_half(place), turn_of(place, COMMITTED));
			done = true;
			owner[at_half(place)] = 0;
#else
			atomic {
				buffers[me].count == 0 ->
				done = (memory[TURN + at_half(place)] == turn_of(place, CLAIMED));
				if
				:: done ->
					memory[TURN + at_half(place)] = turn_of(place, COMMITTED);
					owner[at_half(place)] = 0
				:: !done
				fi
			};
#endif
			if
			:: done -> committed++
			:: !done ->
				stale++;
#ifndef NO_ANSWER
				atomic {
					buffers[me].count == 0 ->
					owner[at_half(place)] = 0;
					if
					:: memory[HOLES + at_half(place)] == 1 ->
						memory[HOLES + at_half(place)] = 2
					:: else
					fi
				}
#endif
			fi;
			n++;
			place = 0;
			done = false
		fi
	od;
	atomic { buffers[me].count == 0 -> over++ }
}

/* Those that were answered. */
inline close_holes()
{
	plain_load(READER, HOLES, hole);
	if
	:: hole == 2 -> plain_store(READER, HOLES, 0)
	:: hole != 2
	fi;
	plain_load(READER, HOLES + 1, hole);
	if
	:: hole == 2 -> plain_store(READER, HOLES + 1, 0)
	:: hole != 2
	fi;
	hole = 0
}

inline go_on()
{
	next++;
	plain_store(READER, HEAD, next)
}

inline pass()
{
#ifndef NO_HOLE
#ifndef HOLE_LATE
	plain_store(READER, HOLES + at_half(next), 1);
#endif
#endif
#ifdef PASS_STORE
	plain_store(READER, TURN + at_half(next), turn_of(next, PASSED));
	ok = true;
#else
	full_swap(READER, TURN + at_half(next), turn_of(next, CLAIMED), turn_of(next, PASSED), ok);
#endif
	if
	:: ok ->
		passed++;
#ifdef HOLE_LATE
		plain_store(READER, HOLES + at_half(next), 1);
#endif
		go_on()
	:: !ok ->
#ifndef NO_HOLE
		plain_store(READER, HOLES + at_half(next), 0)
#else
		skip
#endif
	fi;
	ok = false
}

proctype reader()
{
	byte next, tail, turn, data, hole;
	bool ok;

	next = 1;
	do
	:: close_holes();
		plain_load(READER, TAIL, tail);
		if
		:: tail == next ->
			if
			:: over == SENDERS && memory[TAIL] == next && memory[HOLES] == 0 &&
				memory[HOLES + 1] == 0 && buffers[READER].count == 0 -> break
			:: memory[TAIL] != next || memory[HOLES] == 2 || memory[HOLES + 1] == 2
			fi
		:: tail != next ->
			plain_load(READER, TURN + at_half(next), turn);
			if
			:: turn == turn_of(next, COMMITTED) ->
#ifdef HEAD_EARLY
				plain_store(READER, HEAD, next + 1);
#endif
				plain_load(READER, DATA + at_half(next), data);
				assert(data == next);
				taken++;
#ifdef HEAD_EARLY
				next++
#else
				go_on()
#endif
			:: turn == turn_of(next, PADDING) -> go_on()
			:: turn == turn_of(next, CLAIMED) ->
				if
				:: pass()
				:: (memory[TURN + at_half(next)] != turn) /* waits */
				fi
			:: else -> assert(false)
			fi
		fi;
		turn = 0;
		tail = 0;
		data = 0
	od;
	assert(taken == committed && passed == stale)
}

init {
	atomic {
		memory[TAIL] = 1;
		memory[HEAD] = 1;
		run drain(0);
		run drain(1);
		run drain(READER);
		run sender(0);
		run sender(1);
		run reader()
	}
}
