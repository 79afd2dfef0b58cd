/*
 * close.pml - close against wake, and against the remote door: lib/wait/waker.c and port.c.
 *
 * One port, two cells.  A loop opens, gives its task a cell, ends it, closes; then another loop
 * opens with the same port and the cells there are.  A thread wakes through whatever waker it
 * saw last, another comes through the remote of the first loop.  The inbox is a queue; a push
 * of a waker is the queue's, after the word was won.
 *
 * A cell is in one place at a time: with a task, in a free list, or in the inbox.  A wake that
 * was stale when it began reaches no task.  What came in between enter and leave is taken
 * before its loop has closed.
 *
 * mutant CLEAR_EARLY      QUEUED is cleared before the node is off the queue (P23)
 * mutant RECYCLE_QUEUED   a cell retires to the free list although it is in the inbox
 * mutant SAME_SERIAL      retiring does not change the serial
 * mutant NO_ENTER         the remote pushes without having entered
 * mutant LOOK_FIRST       the remote looks whether the loop is open, and enters then
 * mutant WAIT_FIRST       the loop waits for who is inside, and closes the door then
 */
#define CELLS 2
#define REMOTE 9 /* the remote's node in the inbox */
#define NONE 255
#define LOOPS 2

chan inbox = [4] of { byte };
byte serial[CELLS];
bool queued[CELLS];
byte task[CELLS];        /* the serial of the task that has it; 0: none */
bool free[CELLS];
byte in_inbox[CELLS];
byte loop_id, entered;   /* of the port */
byte waker_cell = NONE, waker_serial;
bool waker_published;
bool remote_taken, remote_pushed, remote_refused;
byte woken_stale;

inline push_cell(c)
{
	atomic {
		in_inbox[c]++;
		assert(in_inbox[c] == 1);
		inbox!c
	}
}

inline retire(c)
{
	atomic {
		task[c] = 0;
#ifndef SAME_SERIAL
		serial[c]++;
#endif
		if
#ifndef RECYCLE_QUEUED
		:: queued[c]
#endif
		:: else ->
			assert(!free[c]);
			free[c] = true
		fi
	}
}

/* Takes one node; with closing set there is no loop any more. */
inline take(closing)
{
	if
	:: inbox?node ->
		if
		:: node == REMOTE ->
			remote_taken = true;
			assert(loop_id == 1 || closing && id == 1)
		:: else ->
#ifndef CLEAR_EARLY
			in_inbox[node]--;
#endif
			/* task was read before QUEUED goes. */
			seen = task[node];
			queued[node] = false;
#ifdef CLEAR_EARLY
			in_inbox[node]--;
#endif
			if
			:: seen == 0 ->
				atomic {
					assert(!free[node]);
					free[node] = true
				}
			:: else
			fi
		fi
	:: empty(inbox)
	fi
}

proctype loop()
{
	byte id, node, seen, cell;

	id = 1;
	do
	:: id > LOOPS -> break
	:: else ->
		atomic { loop_id = id };
		/* The task takes a cell of the free ones: the first. */
		atomic {
			if
			:: free[0] -> cell = 0
			:: !free[0] && free[1] -> cell = 1
			:: else -> cell = NONE
			fi;
			if
			:: cell != NONE ->
				free[cell] = false;
				task[cell] = serial[cell] + 1;
				waker_cell = cell;
				waker_serial = serial[cell];
				waker_published = true
			:: else
			fi
		};
		take(false);
		take(false);
		if
		:: cell != NONE -> retire(cell)
		:: else
		fi;
		/* apusi_port_close */
#ifdef WAIT_FIRST
		(entered == 0);
		loop_id = 0;
#else
		loop_id = 0;
		(entered == 0);
#endif
		do
		:: nempty(inbox) -> take(true)
		:: empty(inbox) -> break
		od;
		assert(!remote_pushed || remote_taken);
		id++
	od
}

proctype waker()
{
	byte cell, mine, rounds;

	do
	:: rounds == 3 -> break
	:: else ->
		atomic {
			waker_published ->
			cell = waker_cell;
			mine = waker_serial
		};
		/* The compare-and-swap. */
		if
		:: atomic { serial[cell] == mine && !queued[cell] ->
			/* Not stale: whoever has it now is who we mean. */
			assert(task[cell] == mine + 1);
			queued[cell] = true };
			push_cell(cell)
		:: atomic { serial[cell] == mine && queued[cell] -> skip }
		:: atomic { serial[cell] != mine -> skip }
		fi;
		rounds++
	od
}

proctype remote()
{
#ifdef NO_ENTER
	if
	:: loop_id == 1 ->
		inbox!REMOTE;
		remote_pushed = true
	:: loop_id != 1 -> remote_refused = true
	fi
#else
#ifdef LOOK_FIRST
	if
	:: loop_id == 1 ->
		entered++;
		atomic { inbox!REMOTE; remote_pushed = true };
		entered--
	:: loop_id != 1 -> remote_refused = true
	fi
#else
	entered++;
	if
	:: loop_id == 1 ->
		atomic { inbox!REMOTE; remote_pushed = true }
	:: loop_id != 1 -> remote_refused = true
	fi;
	entered--
#endif
#endif
}

init {
	atomic {
		free[0] = true;
		free[1] = true;
		serial[0] = 1;
		serial[1] = 1;
		run loop();
		run waker();
		run waker();
		run remote()
	}
}
