/*
 * ouch.h - NASDAQ OUCH 4.2: orders in, answers out.
 *
 *   Units      prices in 1/10000 dollar, timestamps in nanoseconds since midnight,
 *              time in force in seconds (0: immediate or cancel).
 *   Errors     -EMSGSIZE: not the length of its type; -EBADMSG: no such type; -ERANGE: a
 *              field that cannot be.
 *   Ownership  the caller's buffers; nothing is kept.
 *   Cost       decode reads each field once and never beyond size.
 *   Source     "O*U*C*H Version 4.2", Nasdaq.
 */
#ifndef TTT_OUCH_H
#define TTT_OUCH_H

#include <stddef.h>
#include <stdint.h>

#define OUCH_TOKEN_SIZE 14
#define OUCH_REQUEST_MAX 49
#define OUCH_ANSWER_MAX 80

#define OUCH_IMMEDIATE_OR_CANCEL 0
#define OUCH_MARKET_HOURS 99998

enum ouch_request_type {
	OUCH_ENTER = 'O',
	OUCH_REPLACE = 'U',
	OUCH_CANCEL = 'X',
};

enum ouch_answer_type {
	OUCH_SYSTEM_EVENT = 'S',
	OUCH_ACCEPTED = 'A',
	OUCH_REPLACED = 'U',
	OUCH_CANCELED = 'C',
	OUCH_EXECUTED = 'E',
	OUCH_REJECTED = 'J',
};

/* What a client sends; the letters say which types carry the field. */
struct ouch_request {
	char type;
	char side;                        /* O: 'B' or 'S' (and the short sales 'T', 'E') */
	char token[OUCH_TOKEN_SIZE];      /* O X, U: of the order that is replaced */
	char new_token[OUCH_TOKEN_SIZE];  /* U */
	uint32_t shares;                  /* O U; X: what the order shall be reduced to */
	uint32_t price;                   /* O U */
	uint32_t time_in_force;           /* O U */
	uint32_t minimum_shares;          /* O U */
	char stock[8];                    /* O */
	char firm[4];                     /* O */
	char display, iso;                /* O U */
	char capacity, cross, customer;   /* O */
};

/* What the exchange answers. */
struct ouch_answer {
	char type;
	char side;                            /* A U */
	char token[OUCH_TOKEN_SIZE];          /* all but S; U: the replacement's */
	char previous_token[OUCH_TOKEN_SIZE]; /* U */
	uint64_t timestamp_ns;
	uint64_t ref;                         /* A U */
	uint64_t match;                       /* E */
	uint32_t shares;                      /* A U E; C: by how many it was reduced */
	uint32_t price;                       /* A U E */
	uint32_t time_in_force;               /* A U */
	uint32_t minimum_shares;              /* A U */
	char stock[8];                        /* A U */
	char firm[4];                         /* A U */
	char display, capacity, iso, cross;   /* A U */
	char state;                           /* A U: 'L' live or 'D' dead */
	char bbo_weight;                      /* A U */
	char liquidity;                       /* E: 'A' added or 'R' removed */
	char reason;                          /* C J */
	char event;                           /* S */
};

/* The lengths on the wire; 0: no such type. */
size_t ouch_request_size(char type);
size_t ouch_answer_size(char type);

/* Fields that the type does not carry are left as they were. */
int ouch_decode_request(const uint8_t *bytes, size_t size, struct ouch_request *request);
int ouch_decode_answer(const uint8_t *bytes, size_t size, struct ouch_answer *answer);

/* The length written, or -EMSGSIZE (it does not fit), -EBADMSG or -ERANGE. */
int ouch_encode_request(const struct ouch_request *request, uint8_t *bytes, size_t size);
int ouch_encode_answer(const struct ouch_answer *answer, uint8_t *bytes, size_t size);

#endif
