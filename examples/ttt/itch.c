/* itch.c - encode and decode: one short pair of functions a layout. */
#include "itch.h"

#include "wire.h"

#include <stdbool.h>

static const uint8_t itch_sizes[128] = {
	[ITCH_SYSTEM_EVENT] = 12,
	[ITCH_DIRECTORY] = 39,
	[ITCH_ADD] = 36,
	[ITCH_ADD_ATTRIBUTED] = 40,
	[ITCH_EXECUTED] = 31,
	[ITCH_EXECUTED_PRICE] = 36,
	[ITCH_CANCEL] = 23,
	[ITCH_DELETE] = 19,
	[ITCH_REPLACE] = 35,
	[ITCH_TRADE] = 44,
	/* In the specification, of no interest to a book: skipped by length. */
	['H'] = 25, /* trading action */
	['Y'] = 20, /* Reg SHO restriction */
	['L'] = 26, /* market participant position */
	['V'] = 35, /* MWCB decline levels */
	['W'] = 12, /* MWCB status */
	['K'] = 28, /* IPO quoting period */
	['J'] = 35, /* LULD auction collar */
	['h'] = 21, /* operational halt */
	['Q'] = 40, /* cross trade */
	['B'] = 19, /* broken trade */
	['I'] = 50, /* net order imbalance */
	['N'] = 20, /* retail interest */
	['O'] = 48, /* direct listing with capital raise */
};

size_t itch_size(char type)
{
	uint8_t code = (uint8_t)type;

	return code < sizeof(itch_sizes) ? itch_sizes[code] : 0;
}

/* Every message starts so: type, locate, tracking number, 48-bit timestamp. */
#define ITCH_BODY 11

static bool side_is_known(char side)
{
	return side == 'B' || side == 'S';
}

static bool flag_is_known(char flag)
{
	return flag == 'Y' || flag == 'N';
}

/* ---- decode ------------------------------------------------------------ */

static int decode_directory(const uint8_t *at, struct itch_message *message)
{
	struct itch_directory *directory = &message->directory;

	memcpy(message->stock, at, 8);
	directory->market_category = (char)at[8];
	directory->financial_status = (char)at[9];
	directory->round_lot_size = wire_get32(at + 10);
	directory->round_lots_only = (char)at[14];
	directory->classification = (char)at[15];
	memcpy(directory->sub_type, at + 16, 2);
	directory->authenticity = (char)at[18];
	directory->short_sale_threshold = (char)at[19];
	directory->ipo = (char)at[20];
	directory->luld_tier = (char)at[21];
	directory->etp = (char)at[22];
	directory->etp_leverage = wire_get32(at + 23);
	directory->inverse = (char)at[27];
	return 0;
}

/* Add, add with attribution, and trade share their first 25 bytes. */
static int decode_order(const uint8_t *at, struct itch_message *message)
{
	message->ref = wire_get64(at);
	message->side = (char)at[8];
	message->shares = wire_get32(at + 9);
	memcpy(message->stock, at + 13, 8);
	message->price = wire_get32(at + 21);
	return side_is_known(message->side) ? 0 : -ERANGE;
}

static int decode_attributed(const uint8_t *at, struct itch_message *message)
{
	memcpy(message->attribution, at + 25, 4);
	return decode_order(at, message);
}

static int decode_trade(const uint8_t *at, struct itch_message *message)
{
	message->match = wire_get64(at + 25);
	return decode_order(at, message);
}

static int decode_executed(const uint8_t *at, struct itch_message *message)
{
	message->ref = wire_get64(at);
	message->shares = wire_get32(at + 8);
	message->match = wire_get64(at + 12);
	return 0;
}

static int decode_executed_price(const uint8_t *at, struct itch_message *message)
{
	decode_executed(at, message);
	message->printable = (char)at[20];
	message->price = wire_get32(at + 21);
	return flag_is_known(message->printable) ? 0 : -ERANGE;
}

static int decode_cancel(const uint8_t *at, struct itch_message *message)
{
	message->ref = wire_get64(at);
	message->shares = wire_get32(at + 8);
	return 0;
}

static int decode_delete(const uint8_t *at, struct itch_message *message)
{
	message->ref = wire_get64(at);
	return 0;
}

static int decode_replace(const uint8_t *at, struct itch_message *message)
{
	message->ref = wire_get64(at);
	message->new_ref = wire_get64(at + 8);
	message->shares = wire_get32(at + 16);
	message->price = wire_get32(at + 20);
	return 0;
}

static int decode_body(const uint8_t *at, struct itch_message *message)
{
	switch (message->type) {
	case ITCH_ADD:
		return decode_order(at, message);
	case ITCH_DELETE:
		return decode_delete(at, message);
	case ITCH_EXECUTED:
		return decode_executed(at, message);
	case ITCH_CANCEL:
		return decode_cancel(at, message);
	case ITCH_REPLACE:
		return decode_replace(at, message);
	case ITCH_ADD_ATTRIBUTED:
		return decode_attributed(at, message);
	case ITCH_EXECUTED_PRICE:
		return decode_executed_price(at, message);
	case ITCH_TRADE:
		return decode_trade(at, message);
	case ITCH_DIRECTORY:
		return decode_directory(at, message);
	case ITCH_SYSTEM_EVENT:
		message->event = (char)at[0];
		return 0;
	}
	return -ENOMSG;
}

/* The type exists, and the length is its own. */
static int check_size(const uint8_t *bytes, size_t size)
{
	size_t expected;

	if (size == 0)
		return -EMSGSIZE;
	expected = itch_size((char)bytes[0]);
	if (expected == 0)
		return -EBADMSG;
	return size == expected ? 0 : -EMSGSIZE;
}

int itch_check(const uint8_t *bytes, size_t size)
{
	int err = check_size(bytes, size);

	if (err)
		return err;
	switch (bytes[0]) {
	case ITCH_ADD:
	case ITCH_ADD_ATTRIBUTED:
	case ITCH_TRADE:
		return side_is_known((char)bytes[ITCH_BODY + 8]) ? 0 : -ERANGE;
	case ITCH_EXECUTED_PRICE:
		return flag_is_known((char)bytes[ITCH_BODY + 20]) ? 0 : -ERANGE;
	}
	return 0;
}

int itch_decode(const uint8_t *bytes, size_t size, struct itch_message *message)
{
	int err = check_size(bytes, size);

	if (err)
		return err;
	message->type = (char)bytes[0];
	message->locate = wire_get16(bytes + 1);
	message->tracking = wire_get16(bytes + 3);
	message->timestamp_ns = wire_get48(bytes + 5);
	return decode_body(bytes + ITCH_BODY, message);
}

/* ---- encode ------------------------------------------------------------ */

static void encode_directory(const struct itch_message *message, uint8_t *at)
{
	const struct itch_directory *directory = &message->directory;

	memcpy(at, message->stock, 8);
	at[8] = (uint8_t)directory->market_category;
	at[9] = (uint8_t)directory->financial_status;
	wire_put32(at + 10, directory->round_lot_size);
	at[14] = (uint8_t)directory->round_lots_only;
	at[15] = (uint8_t)directory->classification;
	memcpy(at + 16, directory->sub_type, 2);
	at[18] = (uint8_t)directory->authenticity;
	at[19] = (uint8_t)directory->short_sale_threshold;
	at[20] = (uint8_t)directory->ipo;
	at[21] = (uint8_t)directory->luld_tier;
	at[22] = (uint8_t)directory->etp;
	wire_put32(at + 23, directory->etp_leverage);
	at[27] = (uint8_t)directory->inverse;
}

static void encode_order(const struct itch_message *message, uint8_t *at)
{
	wire_put64(at, message->ref);
	at[8] = (uint8_t)message->side;
	wire_put32(at + 9, message->shares);
	memcpy(at + 13, message->stock, 8);
	wire_put32(at + 21, message->price);
}

static void encode_executed(const struct itch_message *message, uint8_t *at)
{
	wire_put64(at, message->ref);
	wire_put32(at + 8, message->shares);
	wire_put64(at + 12, message->match);
}

static void encode_replace(const struct itch_message *message, uint8_t *at)
{
	wire_put64(at, message->ref);
	wire_put64(at + 8, message->new_ref);
	wire_put32(at + 16, message->shares);
	wire_put32(at + 20, message->price);
}

/* The tails of the types that begin like another one. */
static void encode_tail(const struct itch_message *message, uint8_t *at)
{
	if (message->type == ITCH_ADD_ATTRIBUTED)
		memcpy(at + 25, message->attribution, 4);
	else if (message->type == ITCH_TRADE)
		wire_put64(at + 25, message->match);
	else if (message->type == ITCH_EXECUTED_PRICE) {
		at[20] = (uint8_t)message->printable;
		wire_put32(at + 21, message->price);
	}
}

static int encode_body(const struct itch_message *message, uint8_t *at)
{
	switch (message->type) {
	case ITCH_ADD:
	case ITCH_ADD_ATTRIBUTED:
	case ITCH_TRADE:
		encode_order(message, at);
		encode_tail(message, at);
		return 0;
	case ITCH_EXECUTED:
	case ITCH_EXECUTED_PRICE:
		encode_executed(message, at);
		encode_tail(message, at);
		return 0;
	case ITCH_CANCEL:
		wire_put64(at, message->ref);
		wire_put32(at + 8, message->shares);
		return 0;
	case ITCH_DELETE:
		wire_put64(at, message->ref);
		return 0;
	case ITCH_REPLACE:
		encode_replace(message, at);
		return 0;
	case ITCH_DIRECTORY:
		encode_directory(message, at);
		return 0;
	case ITCH_SYSTEM_EVENT:
		at[0] = (uint8_t)message->event;
		return 0;
	}
	return -EBADMSG;
}

int itch_encode(const struct itch_message *message, uint8_t *bytes, size_t size)
{
	size_t needed = itch_size(message->type);
	int err;

	if (needed == 0)
		return -EBADMSG;
	if (size < needed)
		return -EMSGSIZE;
	bytes[0] = (uint8_t)message->type;
	wire_put16(bytes + 1, message->locate);
	wire_put16(bytes + 3, message->tracking);
	wire_put48(bytes + 5, message->timestamp_ns);
	err = encode_body(message, bytes + ITCH_BODY);
	return err ? err : (int)needed;
}
