/*
 * inbox.pml - the inbox of lib/wait/inbox.h (D. Vyukov, 2010), every load and store a step.
 *
 * Two producers push two nodes each.  The consumer takes under a budget of one and then asks
 * whether the inbox is empty; only if it is not, it goes on.  Each node must come once, in
 * order per producer, and a consumer that believes in an empty inbox must be right: all that
 * was pushed, completely, has been taken.
 *
 * mutant PUSH_BY_STORE    the head is read and written, not exchanged
 * mutant EMPTY_BY_TAIL    empty is head == tail, which it is also with one node left
 * mutant EMPTY_BY_HEAD    empty is head == stub, which it is also with a node not linked yet
 * mutant NO_STUB          the last node leaves without the stub behind it
 * mutant NO_HEAD_CHECK    the stub is pushed although another node is on its way
 */
#define PRODUCERS 2
#define EACH 2
#define STUB 0
#define NODES 5
#define NONE 255

byte next[NODES];
byte head, tail; /* node indices; 1, 2: of the first producer; 3, 4: of the second */
byte pushed;     /* pushes that are over */
byte taken;
bool gone[NODES];
byte last[PRODUCERS];

inline exchange_head(node, before)
{
#ifdef PUSH_BY_STORE
	before = head;
	head = node
#else
	atomic { before = head; head = node }
#endif
}

proctype producer(byte me)
{
	byte n, node, before;

	do
	:: n == EACH -> break
	:: else ->
		node = 1 + me * EACH + n;
		next[node] = NONE;
		exchange_head(node, before);
		next[before] = node;
		atomic { pushed++; before = 0; n++ }
	od
}

/* apusi_inbox_pop; out is NONE where it answers NULL. */
inline pop(out)
{
	out = NONE;
	t = tail;
	n = next[t];
	if
	:: t == STUB && n == NONE -> goto popped
	:: t == STUB && n != NONE -> tail = n; t = n; n = next[t]
	:: else
	fi;
	if
	:: n == NONE ->
#ifdef NO_STUB
		out = t;
		goto popped;
#endif
#ifndef NO_HEAD_CHECK
		if
		:: head != t -> goto popped
		:: else
		fi;
#endif
		next[STUB] = NONE;
		exchange_head(STUB, before);
		next[before] = STUB;
		n = next[t];
		if
		:: n == NONE -> goto popped
		:: else
		fi
	:: else
	fi;
	tail = n;
	out = t;
popped:
	skip
}

proctype consumer()
{
	byte t, n, before, node, over;
	bool is_empty;

	do
	:: taken == PRODUCERS * EACH -> break
	:: else ->
		over = pushed;
		/* Empty: one load of head, and our own tail. */
#ifdef EMPTY_BY_TAIL
		is_empty = (head == tail);
#else
#ifdef EMPTY_BY_HEAD
		is_empty = (head == STUB);
#else
		is_empty = (head == STUB && tail == STUB);
#endif
#endif
		if
		:: is_empty ->
			assert(taken >= over);
			/* Sleeps; the push that comes next rings.  All are over: nobody will. */
			(pushed > over)
		:: else ->
			pop(node);
			if
			:: node == NONE
			:: else ->
				d_step {
					assert(node != STUB && !gone[node]);
					gone[node] = true;
					assert((node - 1) % EACH == last[(node - 1) / EACH]);
					last[(node - 1) / EACH]++;
					taken++
				}
			fi
		fi
	od
}

init {
	atomic {
		next[STUB] = NONE;
		run producer(0);
		run producer(1);
		run consumer()
	}
}
