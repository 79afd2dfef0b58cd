/*
 * player.h - the same engine again, from what it was told: no socket, no clock but the taps'.
 *
 *	while (pcap_next(&reader, &tap, &bytes) == 1)
 *		player_take(&player, &tap, bytes);
 *
 * The desk decides anew: after each packet its orders are compared, byte for byte, with those
 * that were sent then.  Books, positions and counts are then what they were.
 *
 *   Units      nanoseconds of the tap.
 *   Errors     none: what comes out other than it did then is counted.
 *   Ownership  the desk is the caller's, as new.
 *   Threads    one.
 *   Cost       that of the engine without its sockets.
 */
#ifndef TTT_PLAYER_H
#define TTT_PLAYER_H

#include "desk.h"
#include "session.h"
#include "tap.h"

/* That one packet may set off: it may fill a gap, and touch every symbol, each of them once. */
#define PLAYER_ORDERS BOOK_LOCATE_MAX

struct player {
	struct desk *desk;
	struct session session;
	struct soup_stream stream;        /* what was received */
	uint64_t taps[TAP_KINDS];
	uint64_t orders;                  /* decided again, as they were then */
	uint64_t cancels;                 /* of an expiry, or the close: taken as they came */
	uint64_t different;               /* orders or requests that were not */
	/* Decided, and not yet seen to be sent. */
	uint32_t first, count;
	struct { uint8_t bytes[GATEWAY_PACKET_MAX]; int length; } decided[PLAYER_ORDERS];
};

void player_init(struct player *player, struct desk *desk);
void player_take(struct player *player, const struct tap *tap, const uint8_t *bytes);

#endif
