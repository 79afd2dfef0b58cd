/*
 * apus/channels.h - all channels: bounded, typed, closed from either end.
 *
 *   channel_local   many tasks of one loop to one; no atomic, no lock.
 *   channel_spsc    one thread or loop to one other, as early as possible.
 *   channel_stream  one thread or loop to one other, as many as possible a second.
 *   channel_mpsc    any number of threads and loops to one.
 *   latest          one writer, many readers that see the newest; also between processes.
 *   fanout          one writer, many readers that see all; also between processes.
 *   ring            records of bytes, from one or many to one; also between processes.
 *
 * Each header says its own contract.  What is the same for all of them: a message is
 * copied into a slot and out of it; full is -EAGAIN or a wait, closed is -EPIPE, and then
 * the message is still the caller's; what was buffered drains before the end is told.
 * latest and fanout are never full: their writer waits for nobody.  The manual: apus_channels(3).
 */
#ifndef APUS_CHANNELS_H
#define APUS_CHANNELS_H

#include "apus/channel_local.h"
#include "apus/channel_mpsc.h"
#include "apus/channel_spsc.h"
#include "apus/channel_stream.h"
#include "apus/fanout.h"
#include "apus/latest.h"
#include "apus/ring.h"

#endif
