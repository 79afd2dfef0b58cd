/* ouch.c - encode and decode of OUCH 4.2. */
#include "ouch.h"

#include "wire.h"

#include <stdbool.h>

size_t ouch_request_size(char type)
{
	switch (type) {
	case OUCH_ENTER:
		return 49;
	case OUCH_REPLACE:
		return 47;
	case OUCH_CANCEL:
		return 19;
	}
	return 0;
}

size_t ouch_answer_size(char type)
{
	switch (type) {
	case OUCH_SYSTEM_EVENT:
		return 10;
	case OUCH_ACCEPTED:
		return 66;
	case OUCH_REPLACED:
		return 80;
	case OUCH_CANCELED:
		return 28;
	case OUCH_EXECUTED:
		return 40;
	case OUCH_REJECTED:
		return 24;
	}
	return 0;
}

static int check_size(size_t size, size_t expected)
{
	if (expected == 0)
		return -EBADMSG;
	return size == expected ? 0 : -EMSGSIZE;
}

static bool side_is_known(char side)
{
	return side == 'B' || side == 'S' || side == 'T' || side == 'E';
}

/* ---- requests ------------------------------------------------------------ */

static int decode_enter(const uint8_t *bytes, struct ouch_request *request)
{
	memcpy(request->token, bytes + 1, OUCH_TOKEN_SIZE);
	request->side = (char)bytes[15];
	request->shares = wire_get32(bytes + 16);
	memcpy(request->stock, bytes + 20, 8);
	request->price = wire_get32(bytes + 28);
	request->time_in_force = wire_get32(bytes + 32);
	memcpy(request->firm, bytes + 36, 4);
	request->display = (char)bytes[40];
	request->capacity = (char)bytes[41];
	request->iso = (char)bytes[42];
	request->minimum_shares = wire_get32(bytes + 43);
	request->cross = (char)bytes[47];
	request->customer = (char)bytes[48];
	return side_is_known(request->side) ? 0 : -ERANGE;
}

static int decode_replace(const uint8_t *bytes, struct ouch_request *request)
{
	memcpy(request->token, bytes + 1, OUCH_TOKEN_SIZE);
	memcpy(request->new_token, bytes + 15, OUCH_TOKEN_SIZE);
	request->shares = wire_get32(bytes + 29);
	request->price = wire_get32(bytes + 33);
	request->time_in_force = wire_get32(bytes + 37);
	request->display = (char)bytes[41];
	request->iso = (char)bytes[42];
	request->minimum_shares = wire_get32(bytes + 43);
	return 0;
}

static int decode_cancel(const uint8_t *bytes, struct ouch_request *request)
{
	memcpy(request->token, bytes + 1, OUCH_TOKEN_SIZE);
	request->shares = wire_get32(bytes + 15);
	return 0;
}

int ouch_decode_request(const uint8_t *bytes, size_t size, struct ouch_request *request)
{
	int err = size == 0 ? -EMSGSIZE : check_size(size, ouch_request_size((char)bytes[0]));

	if (err)
		return err;
	request->type = (char)bytes[0];
	if (request->type == OUCH_ENTER)
		return decode_enter(bytes, request);
	if (request->type == OUCH_REPLACE)
		return decode_replace(bytes, request);
	return decode_cancel(bytes, request);
}

static void encode_enter(const struct ouch_request *request, uint8_t *bytes)
{
	memcpy(bytes + 1, request->token, OUCH_TOKEN_SIZE);
	bytes[15] = (uint8_t)request->side;
	wire_put32(bytes + 16, request->shares);
	memcpy(bytes + 20, request->stock, 8);
	wire_put32(bytes + 28, request->price);
	wire_put32(bytes + 32, request->time_in_force);
	memcpy(bytes + 36, request->firm, 4);
	bytes[40] = (uint8_t)request->display;
	bytes[41] = (uint8_t)request->capacity;
	bytes[42] = (uint8_t)request->iso;
	wire_put32(bytes + 43, request->minimum_shares);
	bytes[47] = (uint8_t)request->cross;
	bytes[48] = (uint8_t)request->customer;
}

static void encode_replace(const struct ouch_request *request, uint8_t *bytes)
{
	memcpy(bytes + 1, request->token, OUCH_TOKEN_SIZE);
	memcpy(bytes + 15, request->new_token, OUCH_TOKEN_SIZE);
	wire_put32(bytes + 29, request->shares);
	wire_put32(bytes + 33, request->price);
	wire_put32(bytes + 37, request->time_in_force);
	bytes[41] = (uint8_t)request->display;
	bytes[42] = (uint8_t)request->iso;
	wire_put32(bytes + 43, request->minimum_shares);
}

int ouch_encode_request(const struct ouch_request *request, uint8_t *bytes, size_t size)
{
	size_t needed = ouch_request_size(request->type);

	if (needed == 0)
		return -EBADMSG;
	if (size < needed)
		return -EMSGSIZE;
	bytes[0] = (uint8_t)request->type;
	if (request->type == OUCH_ENTER) {
		encode_enter(request, bytes);
	} else if (request->type == OUCH_REPLACE) {
		encode_replace(request, bytes);
	} else {
		memcpy(bytes + 1, request->token, OUCH_TOKEN_SIZE);
		wire_put32(bytes + 15, request->shares);
	}
	return (int)needed;
}

/* ---- answers ------------------------------------------------------------- */

/* Accepted and replaced are alike up to the order's state. */
static int decode_order(const uint8_t *bytes, struct ouch_answer *answer)
{
	memcpy(answer->token, bytes + 9, OUCH_TOKEN_SIZE);
	answer->side = (char)bytes[23];
	answer->shares = wire_get32(bytes + 24);
	memcpy(answer->stock, bytes + 28, 8);
	answer->price = wire_get32(bytes + 36);
	answer->time_in_force = wire_get32(bytes + 40);
	memcpy(answer->firm, bytes + 44, 4);
	answer->display = (char)bytes[48];
	answer->ref = wire_get64(bytes + 49);
	answer->capacity = (char)bytes[57];
	answer->iso = (char)bytes[58];
	answer->minimum_shares = wire_get32(bytes + 59);
	answer->cross = (char)bytes[63];
	answer->state = (char)bytes[64];
	if (answer->state != 'L' && answer->state != 'D')
		return -EBADMSG;
	return side_is_known(answer->side) ? 0 : -ERANGE;
}

static int decode_replaced(const uint8_t *bytes, struct ouch_answer *answer)
{
	memcpy(answer->previous_token, bytes + 65, OUCH_TOKEN_SIZE);
	answer->bbo_weight = (char)bytes[79];
	return decode_order(bytes, answer);
}

static int decode_executed(const uint8_t *bytes, struct ouch_answer *answer)
{
	memcpy(answer->token, bytes + 9, OUCH_TOKEN_SIZE);
	answer->shares = wire_get32(bytes + 23);
	answer->price = wire_get32(bytes + 27);
	answer->liquidity = (char)bytes[31];
	answer->match = wire_get64(bytes + 32);
	return 0;
}

static int decode_canceled(const uint8_t *bytes, struct ouch_answer *answer)
{
	memcpy(answer->token, bytes + 9, OUCH_TOKEN_SIZE);
	answer->shares = wire_get32(bytes + 23);
	answer->reason = (char)bytes[27];
	return 0;
}

static int decode_answer_body(const uint8_t *bytes, struct ouch_answer *answer)
{
	switch (answer->type) {
	case OUCH_ACCEPTED:
		answer->bbo_weight = (char)bytes[65];
		return decode_order(bytes, answer);
	case OUCH_REPLACED:
		return decode_replaced(bytes, answer);
	case OUCH_EXECUTED:
		return decode_executed(bytes, answer);
	case OUCH_CANCELED:
		return decode_canceled(bytes, answer);
	case OUCH_REJECTED:
		memcpy(answer->token, bytes + 9, OUCH_TOKEN_SIZE);
		answer->reason = (char)bytes[23];
		return 0;
	case OUCH_SYSTEM_EVENT:
		answer->event = (char)bytes[9];
		return 0;
	}
	return -EBADMSG;
}

int ouch_decode_answer(const uint8_t *bytes, size_t size, struct ouch_answer *answer)
{
	int err = size == 0 ? -EMSGSIZE : check_size(size, ouch_answer_size((char)bytes[0]));

	if (err)
		return err;
	answer->type = (char)bytes[0];
	answer->timestamp_ns = wire_get64(bytes + 1);
	return decode_answer_body(bytes, answer);
}

static void encode_order(const struct ouch_answer *answer, uint8_t *bytes)
{
	memcpy(bytes + 9, answer->token, OUCH_TOKEN_SIZE);
	bytes[23] = (uint8_t)answer->side;
	wire_put32(bytes + 24, answer->shares);
	memcpy(bytes + 28, answer->stock, 8);
	wire_put32(bytes + 36, answer->price);
	wire_put32(bytes + 40, answer->time_in_force);
	memcpy(bytes + 44, answer->firm, 4);
	bytes[48] = (uint8_t)answer->display;
	wire_put64(bytes + 49, answer->ref);
	bytes[57] = (uint8_t)answer->capacity;
	bytes[58] = (uint8_t)answer->iso;
	wire_put32(bytes + 59, answer->minimum_shares);
	bytes[63] = (uint8_t)answer->cross;
	bytes[64] = (uint8_t)answer->state;
}

static void encode_answer_body(const struct ouch_answer *answer, uint8_t *bytes)
{
	switch (answer->type) {
	case OUCH_ACCEPTED:
		encode_order(answer, bytes);
		bytes[65] = (uint8_t)answer->bbo_weight;
		return;
	case OUCH_REPLACED:
		encode_order(answer, bytes);
		memcpy(bytes + 65, answer->previous_token, OUCH_TOKEN_SIZE);
		bytes[79] = (uint8_t)answer->bbo_weight;
		return;
	case OUCH_SYSTEM_EVENT:
		bytes[9] = (uint8_t)answer->event;
		return;
	}
	memcpy(bytes + 9, answer->token, OUCH_TOKEN_SIZE);
	if (answer->type == OUCH_REJECTED) {
		bytes[23] = (uint8_t)answer->reason;
		return;
	}
	wire_put32(bytes + 23, answer->shares);
	if (answer->type == OUCH_CANCELED) {
		bytes[27] = (uint8_t)answer->reason;
		return;
	}
	wire_put32(bytes + 27, answer->price);
	bytes[31] = (uint8_t)answer->liquidity;
	wire_put64(bytes + 32, answer->match);
}

int ouch_encode_answer(const struct ouch_answer *answer, uint8_t *bytes, size_t size)
{
	size_t needed = ouch_answer_size(answer->type);

	if (needed == 0)
		return -EBADMSG;
	if (size < needed)
		return -EMSGSIZE;
	bytes[0] = (uint8_t)answer->type;
	wire_put64(bytes + 1, answer->timestamp_ns);
	encode_answer_body(answer, bytes);
	return (int)needed;
}
