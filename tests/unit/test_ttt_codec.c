/*
 * test_ttt_codec.c - the wire formats of the tick-to-trade example: layouts byte by byte
 * against the specifications, and nothing read out of bounds.
 */
#include "../../examples/ttt/itch.h"
#include "../../examples/ttt/mold.h"
#include "../../examples/ttt/ouch.h"
#include "../../examples/ttt/session.h"
#include "../../examples/ttt/soup.h"
#include "../../examples/ttt/wire.h"

#include "test.h"

#include <errno.h>

/* In a block of its own, so that a sanitizer sees the first byte read beyond it. */
static uint8_t *exact(const void *bytes, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, size);
	return copy;
}

/* ---- ITCH -------------------------------------------------------------------------- */

static const struct {
	char type;
	size_t size;
} itch_types[] = {
	{'S', 12}, {'R', 39}, {'A', 36}, {'F', 40}, {'E', 31}, {'C', 36}, {'X', 23}, {'D', 19},
	{'U', 35}, {'P', 44},
};

#define ITCH_TYPES (sizeof(itch_types) / sizeof(itch_types[0]))

/* Only the fields that the type carries, so that decode has to bring back all of it. */
static struct itch_message itch_sample(char type)
{
	struct itch_message m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	m.locate = 0x0102;
	m.tracking = 0x0304;
	m.timestamp_ns = UINT64_C(0x05060708090a);
	if (strchr("AFECXDUP", type))
		m.ref = UINT64_C(0x1112131415161718);
	if (strchr("AFP", type)) {
		m.side = 'S';
		memcpy(m.stock, "ABCD    ", 8);
	}
	if (strchr("AFECXUP", type))
		m.shares = 0x21222324;
	if (strchr("AFCUP", type))
		m.price = 0x31323334;
	if (strchr("ECP", type))
		m.match = UINT64_C(0x4142434445464748);
	if (type == 'C')
		m.printable = 'N';
	if (type == 'U')
		m.new_ref = UINT64_C(0x5152535455565758);
	if (type == 'F')
		memcpy(m.attribution, "FIRM", 4);
	if (type == 'S')
		m.event = 'Q';
	if (type == 'R') {
		memcpy(m.stock, "ABCD    ", 8);
		m.directory = (struct itch_directory){'Q', 'N', 'Y', 'C', {'Z', ' '}, 'T', 'N',
			'n', '1', 'y', 'i', 0x61626364, 0x71727374};
	}
	return m;
}

#define HEAD "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"
#define REF "\x11\x12\x13\x14\x15\x16\x17\x18"
#define SHARES "\x21\x22\x23\x24"
#define PRICE "\x31\x32\x33\x34"
#define MATCH "\x41\x42\x43\x44\x45\x46\x47\x48"

/* Field by field in the order of the specification's tables. */
static const char *itch_bytes(char type)
{
	switch (type) {
	case 'S': return "S" HEAD "Q";
	case 'R': return "R" HEAD "ABCD    " "Q" "N" "\x61\x62\x63\x64" "Y" "C" "Z " "T" "N" "n"
		"1" "y" "\x71\x72\x73\x74" "i";
	case 'A': return "A" HEAD REF "S" SHARES "ABCD    " PRICE;
	case 'F': return "F" HEAD REF "S" SHARES "ABCD    " PRICE "FIRM";
	case 'E': return "E" HEAD REF SHARES MATCH;
	case 'C': return "C" HEAD REF SHARES MATCH "N" PRICE;
	case 'X': return "X" HEAD REF SHARES;
	case 'D': return "D" HEAD REF;
	case 'U': return "U" HEAD REF "\x51\x52\x53\x54\x55\x56\x57\x58" SHARES PRICE;
	case 'P': return "P" HEAD REF "S" SHARES "ABCD    " PRICE MATCH;
	}
	return NULL;
}

START_TEST(itch_encodes_to_the_bytes_of_the_specification)
{
	for (size_t at = 0; at < ITCH_TYPES; at++) {
		struct itch_message m = itch_sample(itch_types[at].type);
		uint8_t bytes[ITCH_SIZE_MAX];

		memset(bytes, 0xee, sizeof(bytes));
		ck_assert_int_eq(itch_encode(&m, bytes, sizeof(bytes)), (int)itch_types[at].size);
		ck_assert_uint_eq(itch_size(m.type), itch_types[at].size);
		ck_assert_mem_eq(bytes, itch_bytes(m.type), itch_types[at].size);
		if (itch_types[at].size < sizeof(bytes))
			ck_assert_uint_eq(bytes[itch_types[at].size], 0xee);
	}
}
END_TEST

START_TEST(itch_decodes_every_field_of_every_type)
{
	for (size_t at = 0; at < ITCH_TYPES; at++) {
		struct itch_message m = itch_sample(itch_types[at].type), got;
		uint8_t *bytes = exact(itch_bytes(m.type), itch_types[at].size);

		memset(&got, 0, sizeof(got));
		ck_assert_int_eq(itch_decode(bytes, itch_types[at].size, &got), 0);
		ck_assert_mem_eq(&got, &m, sizeof(m));
		free(bytes);
	}
}
END_TEST

START_TEST(itch_refuses_every_other_length)
{
	for (size_t at = 0; at < ITCH_TYPES; at++)
		for (size_t size = 0; size <= 64; size++) {
			uint8_t padded[64] = {0}, *bytes;
			struct itch_message got;

			if (size == itch_types[at].size)
				continue;
			memcpy(padded, itch_bytes(itch_types[at].type), itch_types[at].size);
			bytes = exact(padded, size);
			ck_assert_int_eq(itch_decode(bytes, size, &got), -EMSGSIZE);
			free(bytes);
		}
}
END_TEST

START_TEST(itch_tells_unknown_types_from_unused_ones)
{
	static const char unused[] = "HYLVWKJhQBINO";
	uint8_t bytes[ITCH_SIZE_ANY_MAX] = {0};
	struct itch_message got;

	for (int type = 0; type < 256; type++) {
		size_t size = itch_size((char)type);

		bytes[0] = (uint8_t)type;
		if (size == 0)
			ck_assert_int_eq(itch_decode(bytes, 36, &got), -EBADMSG);
		else if (type != 0 && strchr(unused, type) != NULL)
			ck_assert_int_eq(itch_decode(bytes, size, &got), -ENOMSG);
	}
}
END_TEST

START_TEST(itch_refuses_a_side_and_a_printable_flag_that_cannot_be)
{
	struct itch_message got;
	uint8_t bytes[ITCH_SIZE_MAX];

	memcpy(bytes, itch_bytes('A'), 36);
	bytes[19] = 'X';
	ck_assert_int_eq(itch_decode(bytes, 36, &got), -ERANGE);
	memcpy(bytes, itch_bytes('C'), 36);
	bytes[31] = ' ';
	ck_assert_int_eq(itch_decode(bytes, 36, &got), -ERANGE);
}
END_TEST

START_TEST(itch_does_not_write_past_a_short_buffer)
{
	struct itch_message m = itch_sample('P');
	uint8_t *bytes = exact(itch_bytes('P'), 43);

	ck_assert_int_eq(itch_encode(&m, bytes, 43), -EMSGSIZE);
	m.type = 'z';
	ck_assert_int_eq(itch_encode(&m, bytes, 43), -EBADMSG);
	/* A type that is only known by its length cannot be made here. */
	m.type = 'B';
	ck_assert_int_eq(itch_encode(&m, bytes, 43), -EBADMSG);
	free(bytes);
}
END_TEST

/* ---- MoldUDP64 ------------------------------------------------------------------------ */

static const char mold_packet[] =
	"SESSION001" "\x00\x00\x00\x00\x00\x00\x01\x02" "\x00\x03"
	"\x00\x01" "a" "\x00\x00" "\x00\x03" "bcd";

#define MOLD_PACKET_SIZE (sizeof(mold_packet) - 1)

START_TEST(mold_reads_header_and_blocks)
{
	uint8_t *bytes = exact(mold_packet, MOLD_PACKET_SIZE);
	struct mold_header header;
	size_t offset = MOLD_HEADER_SIZE, size;

	ck_assert_int_eq(mold_check(bytes, MOLD_PACKET_SIZE, &header), 0);
	ck_assert_mem_eq(header.session, "SESSION001", 10);
	ck_assert_uint_eq(header.sequence, 0x102);
	ck_assert_uint_eq(header.count, 3);
	ck_assert_mem_eq(mold_next(bytes, MOLD_PACKET_SIZE, &offset, &size), "a", 1);
	ck_assert_uint_eq(size, 1);
	ck_assert_ptr_nonnull(mold_next(bytes, MOLD_PACKET_SIZE, &offset, &size));
	ck_assert_uint_eq(size, 0);
	ck_assert_mem_eq(mold_next(bytes, MOLD_PACKET_SIZE, &offset, &size), "bcd", 3);
	ck_assert_ptr_null(mold_next(bytes, MOLD_PACKET_SIZE, &offset, &size));
	free(bytes);
}
END_TEST

START_TEST(mold_refuses_every_truncation_and_what_is_left_over)
{
	uint8_t longer[MOLD_PACKET_SIZE + 1] = {0};
	struct mold_header header;

	for (size_t size = 0; size < MOLD_PACKET_SIZE; size++) {
		uint8_t *bytes = exact(mold_packet, size);

		ck_assert_int_eq(mold_check(bytes, size, &header), -EMSGSIZE);
		free(bytes);
	}
	memcpy(longer, mold_packet, MOLD_PACKET_SIZE);
	ck_assert_int_eq(mold_check(longer, sizeof(longer), &header), -E2BIG);
}
END_TEST

START_TEST(mold_refuses_sequence_numbers_that_cannot_be)
{
	uint8_t bytes[MOLD_HEADER_SIZE];
	struct mold_header header = {.sequence = 0, .count = 0};

	mold_put_header(bytes, &header);
	ck_assert_int_eq(mold_check(bytes, sizeof(bytes), &header), -ERANGE);
	header.sequence = UINT64_MAX;
	mold_put_header(bytes, &header);
	ck_assert_int_eq(mold_check(bytes, sizeof(bytes), &header), -ERANGE);
}
END_TEST

START_TEST(mold_heartbeat_and_end_of_session_carry_nothing)
{
	uint8_t bytes[MOLD_HEADER_SIZE];
	struct mold_header header = {.sequence = 7, .count = MOLD_END_OF_SESSION}, got;

	mold_put_header(bytes, &header);
	ck_assert_int_eq(mold_check(bytes, sizeof(bytes), &got), 0);
	ck_assert_uint_eq(mold_message_count(&got), 0);
	header.count = MOLD_HEARTBEAT;
	mold_put_header(bytes, &header);
	ck_assert_int_eq(mold_check(bytes, sizeof(bytes), &got), 0);
	ck_assert_uint_eq(mold_message_count(&got), 0);
}
END_TEST

START_TEST(mold_request_is_a_header_that_asks_for_something)
{
	uint8_t bytes[MOLD_HEADER_SIZE + 1] = {0};
	struct mold_header request = {.session = "SESSION001", .sequence = 5, .count = 9}, got;

	mold_put_header(bytes, &request);
	ck_assert_int_eq(mold_check_request(bytes, MOLD_HEADER_SIZE, &got), 0);
	ck_assert_uint_eq(got.sequence, 5);
	ck_assert_uint_eq(got.count, 9);
	ck_assert_int_eq(mold_check_request(bytes, MOLD_HEADER_SIZE + 1, &got), -E2BIG);
	ck_assert_int_eq(mold_check_request(bytes, MOLD_HEADER_SIZE - 1, &got), -EMSGSIZE);
	request.count = 0;
	mold_put_header(bytes, &request);
	ck_assert_int_eq(mold_check_request(bytes, MOLD_HEADER_SIZE, &got), -ERANGE);
}
END_TEST

/* ---- SoupBinTCP ------------------------------------------------------------------------ */

START_TEST(soup_login_has_the_fields_of_the_specification)
{
	static const char expected[] = "\x00\x2f" "L" "ENGINE" "SECRET    " "          "
		"                  42";
	struct soup_login login = {.sequence = 42}, got;
	struct soup_packet packet;
	uint8_t bytes[64];

	memcpy(login.username, "ENGINE", 6);
	memcpy(login.password, "SECRET    ", 10);
	memcpy(login.session, "          ", 10);
	ck_assert_uint_eq(soup_put_login(bytes, &login), sizeof(expected) - 1);
	ck_assert_mem_eq(bytes, expected, sizeof(expected) - 1);
	ck_assert_int_eq(soup_parse(bytes, sizeof(expected) - 1, &packet), sizeof(expected) - 1);
	memset(&got, 0, sizeof(got));
	ck_assert_int_eq(soup_get_login(&packet, &got), 0);
	ck_assert_mem_eq(&got, &login, sizeof(got));
}
END_TEST

START_TEST(soup_login_answers_have_the_fields_of_the_specification)
{
	static const char expected[] = "\x00\x1f" "A" "SESSION001" "                   1";
	struct soup_accept accept = {.sequence = 1}, got;
	struct soup_packet packet;
	uint8_t bytes[64];

	memcpy(accept.session, "SESSION001", 10);
	ck_assert_uint_eq(soup_put_accepted(bytes, &accept), sizeof(expected) - 1);
	ck_assert_mem_eq(bytes, expected, sizeof(expected) - 1);
	ck_assert_int_eq(soup_parse(bytes, sizeof(bytes), &packet), sizeof(expected) - 1);
	ck_assert_int_eq(soup_get_accepted(&packet, &got), 0);
	ck_assert_uint_eq(got.sequence, 1);
	ck_assert_int_eq(soup_get_login(&packet, &(struct soup_login){.sequence = 0}), -EBADMSG);
	ck_assert_uint_eq(soup_put_rejected(bytes, SOUP_REJECT_NOT_AUTHORIZED), 4);
	ck_assert_mem_eq(bytes, "\x00\x02JA", 4);
	ck_assert_uint_eq(soup_put_empty(bytes, SOUP_CLIENT_HEARTBEAT), 3);
	ck_assert_mem_eq(bytes, "\x00\x01R", 3);
}
END_TEST

START_TEST(soup_asks_for_more_until_a_packet_is_whole)
{
	static const char whole[] = "\x00\x04" "S" "abc";
	struct soup_packet packet;

	for (size_t size = 0; size < sizeof(whole) - 1; size++) {
		uint8_t *bytes = exact(whole, size);

		ck_assert_int_eq(soup_parse(bytes, size, &packet), 0);
		free(bytes);
	}
	ck_assert_int_eq(soup_parse((const uint8_t *)whole, sizeof(whole) - 1, &packet), 6);
	ck_assert_int_eq(packet.type, 'S');
	ck_assert_uint_eq(packet.body_size, 3);
	ck_assert_mem_eq(packet.body, "abc", 3);
}
END_TEST

START_TEST(soup_refuses_lengths_and_types_that_cannot_be)
{
	struct soup_packet packet;

	ck_assert_int_eq(soup_parse((const uint8_t *)"\x00\x00S", 3, &packet), -EMSGSIZE);
	ck_assert_int_eq(soup_parse((const uint8_t *)"\x00\x02?x", 4, &packet), -EBADMSG);
	ck_assert_int_eq(soup_parse((const uint8_t *)"\x00\x02Hx", 4, &packet), -EMSGSIZE);
	ck_assert_int_eq(soup_parse((const uint8_t *)"\x00\x01S", 3, &packet), -EMSGSIZE);
	/* Known to be wrong before the body has come, that may never come. */
	ck_assert_int_eq(soup_parse((const uint8_t *)"\x00\x10L", 3, &packet), -EMSGSIZE);
	ck_assert_int_eq(soup_parse((const uint8_t *)"\xff\xffS", 3, &packet), -E2BIG);
}
END_TEST

START_TEST(soup_numbers_are_digits_with_spaces_around)
{
	uint64_t number;

	ck_assert_int_eq(wire_get_number((const uint8_t *)"   12  ", 7, &number), 0);
	ck_assert_uint_eq(number, 12);
	ck_assert_int_eq(wire_get_number((const uint8_t *)"18446744073709551615", 20, &number), 0);
	ck_assert_uint_eq(number, UINT64_MAX);
	ck_assert_int_eq(wire_get_number((const uint8_t *)"18446744073709551616", 20, &number),
		-EBADMSG);
	ck_assert_int_eq(wire_get_number((const uint8_t *)"1 2", 3, &number), -EBADMSG);
	ck_assert_int_eq(wire_get_number((const uint8_t *)"-1", 2, &number), -EBADMSG);
}
END_TEST

/* A stream cut anywhere gives the same packets; also when the buffer goes round many times. */
START_TEST(soup_stream_finds_the_same_packets_however_it_is_cut)
{
	struct test_random random = test_random_init(test_seed());
	struct soup_stream *stream = calloc(1, sizeof(*stream));
	uint8_t queue[SOUP_PACKET_MAX];
	size_t queued = 0, sent = 0;
	uint32_t made = 0, seen = 0;

	while (seen < 5000) {
		struct soup_packet packet;
		size_t space, part;
		uint8_t *at = soup_stream_space(stream, &space);

		if (sent == queued) {
			uint16_t body = (uint16_t)test_random_between(&random, 4, SOUP_BODY_MAX);
			uint8_t *start = soup_put_header(queue, SOUP_SEQUENCED, body);

			memset(start, (int)(made & 0xff), body);
			wire_put32(start, made++);
			queued = SOUP_HEADER_SIZE + body;
			sent = 0;
		}
		part = (size_t)test_random_between(&random, 1, (int64_t)(queued - sent));
		ck_assert_uint_ge(space, 1);
		part = part < space ? part : space;
		memcpy(at, queue + sent, part);
		soup_stream_add(stream, part);
		sent += part;
		while (soup_stream_next(stream, &packet) == 1) {
			ck_assert_uint_eq(wire_get32(packet.body), seen);
			ck_assert_uint_eq(packet.body[packet.body_size - 1], packet.body_size > 4 ?
				(seen & 0xff) : packet.body[3]);
			seen++;
		}
	}
	free(stream);
}
END_TEST

/* ---- OUCH --------------------------------------------------------------------------------- */

#define TOKEN "TOKEN000000001"
#define TOKEN2 "TOKEN000000002"
#define STAMP "\x01\x02\x03\x04\x05\x06\x07\x08"

static struct ouch_request request_sample(char type)
{
	struct ouch_request r;

	memset(&r, 0, sizeof(r));
	r.type = type;
	memcpy(r.token, TOKEN, 14);
	r.shares = 0x21222324;
	if (type == 'X')
		return r;
	r.price = 0x31323334;
	r.time_in_force = 99998;
	r.minimum_shares = 0x51525354;
	r.display = 'Y';
	r.iso = 'N';
	if (type == 'U') {
		memcpy(r.new_token, TOKEN2, 14);
		return r;
	}
	r.side = 'B';
	memcpy(r.stock, "ABCD    ", 8);
	memcpy(r.firm, "FIRM", 4);
	r.capacity = 'P';
	r.cross = 'N';
	r.customer = 'R';
	return r;
}

static const struct {
	char type;
	size_t size;
	const char *bytes;
} requests[] = {
	{'O', 49, "O" TOKEN "B" SHARES "ABCD    " PRICE "\x00\x01\x86\x9e" "FIRM" "Y" "P" "N"
		"\x51\x52\x53\x54" "N" "R"},
	{'U', 47, "U" TOKEN TOKEN2 SHARES PRICE "\x00\x01\x86\x9e" "Y" "N" "\x51\x52\x53\x54"},
	{'X', 19, "X" TOKEN SHARES},
};

#define ORDER_BYTES "B" SHARES "ABCD    " PRICE "\x00\x01\x86\x9e" "FIRM" "Y" REF "P" "N" \
	"\x51\x52\x53\x54" "N" "L"

static const struct {
	char type;
	size_t size;
	const char *bytes;
} answers[] = {
	{'S', 10, "S" STAMP "E"},
	{'A', 66, "A" STAMP TOKEN ORDER_BYTES " "},
	{'U', 80, "U" STAMP TOKEN ORDER_BYTES TOKEN2 " "},
	{'C', 28, "C" STAMP TOKEN SHARES "I"},
	{'E', 40, "E" STAMP TOKEN SHARES PRICE "R" MATCH},
	{'J', 24, "J" STAMP TOKEN "I"},
};

static struct ouch_answer answer_sample(char type)
{
	struct ouch_answer a;

	memset(&a, 0, sizeof(a));
	a.type = type;
	a.timestamp_ns = UINT64_C(0x0102030405060708);
	if (type == 'S') {
		a.event = 'E';
		return a;
	}
	memcpy(a.token, TOKEN, 14);
	if (strchr("CJ", type))
		a.reason = 'I';
	if (strchr("AUCE", type))
		a.shares = 0x21222324;
	if (strchr("AUE", type))
		a.price = 0x31323334;
	if (type == 'E') {
		a.liquidity = 'R';
		a.match = UINT64_C(0x4142434445464748);
	}
	if (strchr("AU", type)) {
		a.side = 'B';
		memcpy(a.stock, "ABCD    ", 8);
		memcpy(a.firm, "FIRM", 4);
		a.time_in_force = 99998;
		a.minimum_shares = 0x51525354;
		a.ref = UINT64_C(0x1112131415161718);
		a.display = 'Y';
		a.capacity = 'P';
		a.iso = a.cross = 'N';
		a.state = 'L';
		a.bbo_weight = ' ';
	}
	if (type == 'U')
		memcpy(a.previous_token, TOKEN2, 14);
	return a;
}

START_TEST(ouch_requests_have_the_bytes_of_the_specification_both_ways)
{
	for (size_t at = 0; at < 3; at++) {
		struct ouch_request r = request_sample(requests[at].type), got;
		uint8_t bytes[OUCH_REQUEST_MAX], *input = exact(requests[at].bytes, requests[at].size);

		ck_assert_int_eq(ouch_encode_request(&r, bytes, sizeof(bytes)),
			(int)requests[at].size);
		ck_assert_mem_eq(bytes, requests[at].bytes, requests[at].size);
		memset(&got, 0, sizeof(got));
		ck_assert_int_eq(ouch_decode_request(input, requests[at].size, &got), 0);
		ck_assert_mem_eq(&got, &r, sizeof(r));
		free(input);
	}
}
END_TEST

START_TEST(ouch_answers_have_the_bytes_of_the_specification_both_ways)
{
	for (size_t at = 0; at < 6; at++) {
		struct ouch_answer a = answer_sample(answers[at].type), got;
		uint8_t bytes[OUCH_ANSWER_MAX], *input = exact(answers[at].bytes, answers[at].size);

		ck_assert_int_eq(ouch_encode_answer(&a, bytes, sizeof(bytes)), (int)answers[at].size);
		ck_assert_mem_eq(bytes, answers[at].bytes, answers[at].size);
		memset(&got, 0, sizeof(got));
		ck_assert_int_eq(ouch_decode_answer(input, answers[at].size, &got), 0);
		ck_assert_mem_eq(&got, &a, sizeof(a));
		free(input);
	}
}
END_TEST

START_TEST(ouch_refuses_every_other_length_and_type)
{
	uint8_t padded[96] = {0};
	struct ouch_request r;
	struct ouch_answer a;

	for (int type = 0; type < 256; type++)
		for (size_t size = 0; size <= sizeof(padded); size++) {
			uint8_t *bytes;

			padded[0] = (uint8_t)type;
			bytes = exact(padded, size);
			if (size != ouch_request_size((char)type) || size == 0)
				ck_assert_int_lt(ouch_decode_request(bytes, size, &r), 0);
			if (size != ouch_answer_size((char)type) || size == 0)
				ck_assert_int_lt(ouch_decode_answer(bytes, size, &a), 0);
			free(bytes);
		}
	ck_assert_int_eq(ouch_decode_request(padded, 0, &r), -EMSGSIZE);
}
END_TEST

/* ---- all of them ---------------------------------------------------------------------------- */

/* Real packets with a few bytes changed, and noise: answers, never reads out of bounds. */
START_TEST(no_decoder_reads_out_of_bounds_on_fuzzed_bytes)
{
	struct test_random random = test_random_init(test_seed());

	for (int round = 0; round < 200000; round++) {
		uint8_t padded[128], *bytes;
		size_t size = (size_t)test_random_below(&random, 100);
		struct itch_message m;
		struct mold_header header;
		struct soup_packet packet;
		struct ouch_request r;
		struct ouch_answer a;
		int err;

		for (size_t at = 0; at < sizeof(padded); at++)
			padded[at] = (uint8_t)test_random_next(&random);
		if (round % 4 == 1)
			memcpy(padded, mold_packet, MOLD_PACKET_SIZE);
		else if (round % 4 == 2)
			memcpy(padded, answers[round / 4 % 6].bytes, answers[round / 4 % 6].size);
		else if (round % 4 == 3)
			memcpy(padded, itch_bytes(itch_types[round / 4 % ITCH_TYPES].type),
				itch_types[round / 4 % ITCH_TYPES].size);
		padded[test_random_below(&random, 100)] = (uint8_t)test_random_next(&random);
		bytes = exact(padded, size);
		err = itch_decode(bytes, size, &m);
		ck_assert_int_le(err, 0);
		ck_assert_int_eq(itch_check(bytes, size), err == -ENOMSG ? 0 : err);
		ck_assert_int_le(mold_check(bytes, size, &header), 0);
		ck_assert_int_le(soup_parse(bytes, size, &packet), (int)size);
		ck_assert_int_le(ouch_decode_request(bytes, size, &r), 0);
		ck_assert_int_le(ouch_decode_answer(bytes, size, &a), 0);
		free(bytes);
	}
}
END_TEST

TEST_MAIN("ttt_codec",
	itch_encodes_to_the_bytes_of_the_specification,
	itch_decodes_every_field_of_every_type,
	itch_refuses_every_other_length,
	itch_tells_unknown_types_from_unused_ones,
	itch_refuses_a_side_and_a_printable_flag_that_cannot_be,
	itch_does_not_write_past_a_short_buffer,
	mold_reads_header_and_blocks,
	mold_refuses_every_truncation_and_what_is_left_over,
	mold_refuses_sequence_numbers_that_cannot_be,
	mold_heartbeat_and_end_of_session_carry_nothing,
	mold_request_is_a_header_that_asks_for_something,
	soup_login_has_the_fields_of_the_specification,
	soup_login_answers_have_the_fields_of_the_specification,
	soup_asks_for_more_until_a_packet_is_whole,
	soup_refuses_lengths_and_types_that_cannot_be,
	soup_numbers_are_digits_with_spaces_around,
	soup_stream_finds_the_same_packets_however_it_is_cut,
	ouch_requests_have_the_bytes_of_the_specification_both_ways,
	ouch_answers_have_the_bytes_of_the_specification_both_ways,
	ouch_refuses_every_other_length_and_type,
	no_decoder_reads_out_of_bounds_on_fuzzed_bytes)
