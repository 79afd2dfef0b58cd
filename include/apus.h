/*
 * apus.h - everything: a busy-poll, single-threaded, low-latency event runtime.
 *
 * This page is the tour, a paragraph a room, lowest first.  Each room's header opens with its
 * contract; a program may include this one, or only those it uses.
 *
 *   base      the words every room is written in: errors, panics, atomics with a named order,
 *             units of time, the log hook.  clock.h: the processor's counter held to
 *             CLOCK_MONOTONIC, or a virtual clock.  histogram.h: where the time went.
 *   slab      equal slots at stable addresses: claim and release in a few instructions.
 *   world     typed resources, one per declared name: what every task may ask for, without
 *             globals.  Built before the loop; apus_get(cx->world, book) is two loads.
 *   timer     a hierarchical wheel with exact deadlines: arm, disarm O(1) at any population.
 *             Tasks need none of it, they sleep; it is there for callbacks.
 *   wait      the scheduler's vocabulary: what a poll answers, the context that everybody is
 *             handed, wait queues.  sync.h: notify, event, semaphore.  waker.h: waking a task
 *             from any thread.  op.h: operations that lend the kernel a buffer.
 *   channels  bounded, typed queues between tasks, threads and loops; full is an answer, and
 *             the message stays with the caller.  latest.h and fanout.h: one writer, many
 *             readers.  ring.h: records of bytes, also between processes.
 *   cancel    a tree of tokens: cancelling asks, and ends nothing by itself.
 *   offload   functions that block, run by a few helper threads and awaited.
 *   task      kinds, spawn, await, join, abort, sets; sleep, interval, select, timeout.
 *   io        descriptors on a loop: anything that can be read or written, awaited.  sim.h: a
 *             network and files in memory, whose faults come from a seed, to test with.
 *   net       TCP, UDP and Unix sockets as awaitables.  resolve.h: names to addresses, and
 *             connecting to a name.
 *   file      files and directories as awaitables; what is cached is read at once.
 *   loop      configuration, the turn, run, stop, drain, close.  remote.h: the one door for
 *             other threads.
 *
 * A loop belongs to a thread.  It runs tasks; a task is a function that is polled, in a slot
 * of the loop's slab.  What a task waits for are awaitables: expressions that are evaluated
 * again each time the task wakes, until they answer something else than APUS_PENDING.  A task
 * wakes because something it waited for happened, and no other way.
 */
#ifndef APUS_H
#define APUS_H

#include "apus/base.h"
#include "apus/cancel.h"
#include "apus/channels.h"
#include "apus/clock.h"
#include "apus/file.h"
#include "apus/histogram.h"
#include "apus/io.h"
#include "apus/loop.h"
#include "apus/net.h"
#include "apus/offload.h"
#include "apus/op.h"
#include "apus/remote.h"
#include "apus/resolve.h"
#include "apus/sim.h"
#include "apus/slab.h"
#include "apus/sync.h"
#include "apus/task.h"
#include "apus/timer.h"
#include "apus/wait.h"
#include "apus/waker.h"
#include "apus/world.h"

#endif
