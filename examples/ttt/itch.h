/*
 * itch.h - NASDAQ TotalView-ITCH 5.0: the ten messages this program speaks.
 *
 *   Units      prices in 1/10000 dollar, timestamps in nanoseconds since midnight.
 *   Errors     -EMSGSIZE: not the length of its type; -EBADMSG: no such type; -ERANGE: a
 *              field that cannot be; -ENOMSG: a good message of a type not used here.
 *   Ownership  the caller's buffers; nothing is kept.
 *   Cost       decode reads each field once and never beyond size.
 *   Source     "NASDAQ TotalView-ITCH 5.0", Nasdaq.
 */
#ifndef TTT_ITCH_H
#define TTT_ITCH_H

#include <stddef.h>
#include <stdint.h>

enum itch_type {
	ITCH_SYSTEM_EVENT = 'S',
	ITCH_DIRECTORY = 'R',
	ITCH_ADD = 'A',
	ITCH_ADD_ATTRIBUTED = 'F',
	ITCH_EXECUTED = 'E',
	ITCH_EXECUTED_PRICE = 'C',
	ITCH_CANCEL = 'X',
	ITCH_DELETE = 'D',
	ITCH_REPLACE = 'U',
	ITCH_TRADE = 'P',
};

enum itch_event {
	ITCH_START_OF_MESSAGES = 'O',
	ITCH_START_OF_SYSTEM_HOURS = 'S',
	ITCH_START_OF_MARKET_HOURS = 'Q',
	ITCH_END_OF_MARKET_HOURS = 'M',
	ITCH_END_OF_SYSTEM_HOURS = 'E',
	ITCH_END_OF_MESSAGES = 'C',
};

/* The longest of the messages below (trade). */
#define ITCH_SIZE_MAX 44
/* The longest of all in the specification (NOII). */
#define ITCH_SIZE_ANY_MAX 50

struct itch_directory {
	char market_category, financial_status, round_lots_only, classification;
	char sub_type[2];
	char authenticity, short_sale_threshold, ipo, luld_tier, etp, inverse;
	uint32_t round_lot_size, etp_leverage;
};

/* A message of any type; the letters say which types carry the field. */
struct itch_message {
	char type;
	char event;           /* S */
	char side;            /* A F P: 'B' or 'S' */
	char printable;       /* C: 'Y' or 'N' */
	uint16_t locate;
	uint16_t tracking;
	uint64_t timestamp_ns;
	uint64_t ref;         /* A F E C X D P, U: the order that is replaced */
	uint64_t new_ref;     /* U */
	uint64_t match;       /* E C P */
	uint32_t shares;      /* A F E C X U P */
	uint32_t price;       /* A F C U P */
	char stock[8];        /* R A F P, filled with spaces */
	char attribution[4];  /* F */
	struct itch_directory directory; /* R */
};

/* The length of a message of this type on the wire; 0: no such type. */
size_t itch_size(char type);

/* What decode would answer, -ENOMSG as 0, without the decoding. */
int itch_check(const uint8_t *bytes, size_t size);

/* Fields that the type does not carry are left as they were. */
int itch_decode(const uint8_t *bytes, size_t size, struct itch_message *message);

/* The length written, or -EMSGSIZE (it does not fit), -EBADMSG or -ERANGE. */
int itch_encode(const struct itch_message *message, uint8_t *bytes, size_t size);

#endif
