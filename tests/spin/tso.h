/*
 * tso.h - memory as x86 gives it, for models: each thread's stores wait in a buffer of its own,
 * first in, first out, and reach memory at any later time; its own loads look there first; a
 * locked instruction waits until the buffer is empty.  (P. Sewell et al., x86-TSO, 2010.)
 * Plain Promela is sequentially consistent, and finds nothing that comes of this.
 *
 * The model defines THREADS, WORDS and DEPTH, and runs one drain() a thread.
 */
byte memory[WORDS];

typedef store_buffer {
	byte word[DEPTH];
	byte value[DEPTH];
	byte count
};
store_buffer buffers[THREADS];

/* One store of the thread reaches memory. */
proctype drain(byte me)
{
end:
	do
	:: atomic {
		buffers[me].count > 0 ->
		memory[buffers[me].word[0]] = buffers[me].value[0];
		buffers[me].word[0] = buffers[me].word[1];
		buffers[me].value[0] = buffers[me].value[1];
		buffers[me].word[1] = 0;
		buffers[me].value[1] = 0;
		buffers[me].count--
	   }
	od
}

/* DEPTH is 2 wherever this is written out. */
inline plain_store(thread, at, v)
{
	atomic {
		buffers[thread].count < DEPTH ->
		buffers[thread].word[buffers[thread].count] = at;
		buffers[thread].value[buffers[thread].count] = v;
		buffers[thread].count++
	}
}

inline plain_load(thread, at, out)
{
	atomic {
		if
		:: buffers[thread].count == 2 && buffers[thread].word[1] == at -> out = buffers[thread].value[1]
		:: else ->
			if
			:: buffers[thread].count > 0 && buffers[thread].word[0] == at -> out = buffers[thread].value[0]
			:: else -> out = memory[at]
			fi
		fi
	}
}

/* A locked exchange: a full barrier on both sides. */
inline full_exchange(thread, at, v, out)
{
	atomic {
		buffers[thread].count == 0 ->
		out = memory[at];
		memory[at] = v
	}
}
