/*
 * tap.h - what the engine is told and what it says, one record an event, in the order in which
 * it happened: enough to make the same engine again.
 *
 * The desk, the session and the gateway are machines without a clock or a socket.  What goes
 * into them, and when, decides all that comes out.  So a list of these records is at once the
 * recording of a wire (pcap.h), a journal (journal.h), and the input of a replay (player.h).
 *
 *   Units      nanoseconds of the turn's clock; bytes.
 *   Ownership  the bytes are the caller's.
 */
#ifndef TTT_TAP_H
#define TTT_TAP_H

#include <stdint.h>

enum tap_kind {
	TAP_PACKET,    /* a datagram of the feed came; line says from where */
	TAP_REQUEST,   /* missing messages were asked for */
	TAP_GIVE_UP,   /* a hole was given up */
	TAP_CONNECT,   /* the connection for orders is there */
	TAP_RECEIVED,  /* bytes came by it */
	TAP_SENT,      /* a packet left by it */
	TAP_HANG_UP,   /* it is gone */
	TAP_KINDS,
};

#define TAP_BYTES_MAX 4608 /* the most that a read of the connection brings, and a bit */

struct tap {
	int64_t now_ns;
	uint16_t size;   /* of the bytes that follow */
	uint8_t kind;
	uint8_t line;    /* enum feed_line */
	uint8_t is_held; /* a packet: the engine was not to trade on it */
	uint8_t unused[3];
};

#endif
