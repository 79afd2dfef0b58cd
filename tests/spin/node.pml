/*
 * node.pml - a remote task's node: lib/loop/remote.c.  Who holds it, who may still ask.
 *
 * A maker spawns, perhaps aborts, and joins, twice in the same node.  Either the node is of the
 * pool, and a meddler aborts the first use through a copy of its join, at any time; or it is the
 * maker's, who frees it as soon as the join has returned.  The loop starts the task, which ends
 * by itself at any time or is aborted.
 *
 * An abort reaches the use that it was asked for.  Nobody touches a node that is free, or gone.
 * Every join returns.
 *
 * mutant NO_HOLD        an abort looks at the serial and goes on without a hold
 * mutant NO_SERIAL      ... takes a hold and does not look at the serial again
 * mutant HOLD_FREE      ... takes a hold of a node that is free
 * mutant LATE_CONTROL   a task's end publishes although its abort is still in the inbox
 * mutant TWO_STEPS      the loop publishes, and drops its hold as a step of its own
 * mutant NO_PUBLISH     an abort that finds the task ended does not publish
 */
#define START 1
#define CONTROL 2
#define ABORT_NONE 0
#define ABORT_QUEUED 1
#define ABORT_TAKEN 2
#define ABORT_ENDED 3
#define USES 2

bool callers;    /* the node is the maker's */
bool gone;       /* ... and was freed */
bool in_pool;    /* free */
bool spawned;
bool is_done, loop_holds, maker_holds;
byte users, serial, aborting;
byte asked;      /* the use that the queued abort is for */
byte running;    /* the use whose task lives */
chan inbox = [3] of { byte };

#define held (loop_holds || maker_holds || users > 0)
#define touch() assert(!gone)

/* Of an atomic step: whoever lets go last gives the node back. */
inline freed()
{
	if
	:: !held && !callers ->
		assert(!in_pool);
		in_pool = true
	:: else
	fi
}

inline abort_use(use)
{
	bool mine;

	mine = false;
	if
	:: serial != use
	:: else ->
#ifdef NO_HOLD
		mine = true;
#else
		atomic {
			if
#ifndef HOLD_FREE
			:: !held
#endif
			:: else -> users++; mine = true
			fi
		};
#ifndef NO_SERIAL
		if
		:: mine && serial != use ->
			mine = false;
			atomic { users--; freed() }
		:: else
		fi;
#endif
#endif
		if
		:: mine ->
			if
			:: atomic { aborting == ABORT_NONE -> aborting = ABORT_QUEUED; asked = use };
				inbox!CONTROL
			:: atomic { aborting != ABORT_NONE -> skip }
			fi;
#ifndef NO_HOLD
			atomic { users--; freed() }
#endif
		:: else
		fi
	fi
}

inline publish()
{
#ifdef TWO_STEPS
	is_done = true;
	atomic { touch(); loop_holds = false; freed() }
#else
	atomic { touch(); is_done = true; loop_holds = false; freed() }
#endif
}

inline task_end()
{
	running = 0;
#ifdef LATE_CONTROL
	aborting = ABORT_ENDED;
	publish()
#else
	atomic { touch(); was = aborting; aborting = ABORT_ENDED };
	if
	:: was != ABORT_QUEUED -> publish()
	:: else
	fi
#endif
}

proctype loop()
{
	byte what, was, use;

end:
	do
	:: inbox?what ->
		touch();
		if
		:: what == START ->
			use++;
			running = use
		:: else ->
			if
			:: aborting == ABORT_ENDED ->
#ifndef NO_PUBLISH
				publish()
#endif
			:: else ->
				assert(asked == running);
				aborting = ABORT_TAKEN;
				if
				:: running != 0 -> task_end()
				:: else
				fi
			fi
		fi
	:: running != 0 -> task_end() /* by itself */
	od
}

proctype maker()
{
	byte use;

	use = 1;
	do
	:: use > USES || gone -> break
	:: else ->
		atomic {
			in_pool ->
			in_pool = false;
			assert(!held);
			loop_holds = true;
			maker_holds = true;
			is_done = false;
			aborting = ABORT_NONE
		};
		serial = use;
		inbox!START;
		spawned = true;
		if
		:: abort_use(use)
		:: skip
		fi;
		/* The join; it holds while it waits, which is left out: the maker holds as well. */
		(is_done);
		serial = 0;
		atomic { maker_holds = false; freed() };
		if
		:: callers -> gone = true
		:: else
		fi;
		use++
	od
}

proctype meddler()
{
	/* The spawn has returned: START is in the inbox before any CONTROL. */
	(spawned);
	do
	:: abort_use(1)
	:: break
	od
}

init {
	atomic {
		in_pool = true;
		if
		:: callers = true
		:: callers = false; run meddler()
		fi;
		run loop();
		run maker()
	}
}
