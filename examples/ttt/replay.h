/*
 * replay.h - the engine from a recording: a pcap or a journal in, the engine's report out, on a
 * loop with a virtual clock and no sockets.
 *
 *   Errors     0 or -errno, and a word on stderr; -EBADMSG: the file is damaged.
 */
#ifndef TTT_REPLAY_H
#define TTT_REPLAY_H

#include "options.h"
#include "side.h"

int replay_run(const struct options *options, struct shared *shared);

#endif
