/*
 * fanout.pml - the fan-out ring: include/apus/fanout.h [W], [T], [A], [B], [C], [L].
 *
 * A ring of two slots.  A writer publishes single messages and batches of two; a message is two
 * words, each a store of its own, and is its place.  A reader reads each place in turn, is told
 * that it was lapped, or finds nothing yet.  What it copied must be the message of its place,
 * it must always go on forwards, and who sees the first of a batch sees all of it.
 *
 * Places are counted in ones here; a turn is 2 * place while its message is written, or
 * awaited, and 2 * place + 1 once it stands there.
 *
 * mutant NO_TAKEN        the turn is not taken before the words are overwritten
 * mutant NO_RECHECK      the reader does not look at the turn again
 * mutant AT_LATE         what will be written is counted when it was written
 * mutant FILL_FORWARDS   the turns of a batch are filled first ones first
 */
#define LAST 6 /* places that are written; a batch begins with each even one but the first */
#define THREADS 2
#define DEPTH 2
#define WORDS 7
#define AT 0
#define TURN(p) (1 + 3 * ((p) & 1))
#define WORD(p, w) (2 + 3 * ((p) & 1) + (w))
#define WRITER 0
#define READER 1

#include "tso.h"

inline take(p)
{
#ifndef NO_TAKEN
	plain_store(WRITER, TURN(p), 2 * (p));
#endif
	plain_store(WRITER, WORD(p, 0), p);
	plain_store(WRITER, WORD(p, 1), p)
}

#define fill(p) plain_store(WRITER, TURN(p), 2 * (p) + 1)

/* Places 1, 2, 3 one by one, then 4 and 5 as a batch, then 6. */
proctype writer()
{
	byte p;

	p = 1;
	do
	:: p > LAST -> break
	:: p == 4 ->
#ifndef AT_LATE
		plain_store(WRITER, AT, p + 2);
#endif
		take(p);
		take(p + 1);
#ifdef FILL_FORWARDS
		fill(p);
		fill(p + 1);
#else
		fill(p + 1);
		fill(p);
#endif
#ifdef AT_LATE
		plain_store(WRITER, AT, p + 2);
#endif
		p = p + 2
	:: p <= LAST && p != 4 ->
#ifndef AT_LATE
		plain_store(WRITER, AT, p + 1);
#endif
		take(p);
		fill(p);
#ifdef AT_LATE
		plain_store(WRITER, AT, p + 1);
#endif
		p++
	od
}

proctype reader()
{
	byte at, turn, a, b, next;

	at = 1;
	do
	:: at > LAST -> break
	:: at <= LAST ->
		plain_load(READER, TURN(at), turn);
		if
		:: turn == 2 * at + 1 ->
			plain_load(READER, WORD(at, 0), a);
			plain_load(READER, WORD(at, 1), b);
#ifndef NO_RECHECK
			plain_load(READER, TURN(at), turn);
#endif
			if
			:: turn == 2 * at + 1 ->
				assert(a == at && b == at);
				if
				:: at == 4 ->
					/* Its second stands there, or is gone already. */
					plain_load(READER, TURN(at + 1), turn);
					assert(turn >= 2 * (at + 1) + 1)
				:: at != 4
				fi;
				at++
			:: turn != 2 * at + 1 /* and next time it will be told */
			fi
		:: turn > 2 * at + 1 ->
			/* Half a ring behind the writer. */
			plain_load(READER, AT, next);
			next = next - 1;
			assert(next > at);
			at = next
		:: turn < 2 * at + 1 -> (memory[TURN(at)] != turn) /* nothing yet */
		fi;
		d_step { a = 0; b = 0; next = 0; turn = 0 }
	od
}

init {
	atomic {
		memory[AT] = 1;
		memory[TURN(1)] = 2;
		memory[TURN(2)] = 4;
		run drain(WRITER);
		run drain(READER);
		run writer();
		run reader()
	}
}
