/*
 * The RESP example's parser on any bytes: words lie within their command, and what comes
 * behind it, or has yet to come, changes nothing.  Replies fit the room that they are given.
 */
#include "../../examples/serve/resp.h"
#include "fuzz.h"

const char *const fuzz_name = "resp";

static struct resp_command command, again;

static ssize_t parse(const uint8_t *data, size_t size, struct resp_command *out)
{
	uint8_t *exact = fuzz_exact(data, size);
	ssize_t bytes = resp_parse((const char *)exact, size, out);

	FUZZ_MUST(bytes >= -1 && bytes <= (ssize_t)size);
	if (bytes > 0) {
		FUZZ_MUST(out->count <= RESP_WORDS_MAX);
		for (size_t i = 0; i < out->count; i++)
			FUZZ_MUST(fuzz_is_within(out->words[i].at, out->words[i].bytes, exact,
				(size_t)bytes));
	}
	free(exact);
	return bytes;
}

/* A number is what it says: written again, it is the same text, leading zeros aside. */
static void numbers(const uint8_t *data, size_t size)
{
	struct text text = { (const char *)data, size };
	char digits[32];
	int64_t number;

	if (size == 0 || size > 24 || !resp_number(text, &number))
		return;
	snprintf(digits, sizeof digits, "%lld", (long long)number);
	if (data[0] != '0' && data[0] != '-')
		FUZZ_MUST(strlen(digits) == size && memcmp(digits, data, size) == 0);
}

static void replies(const uint8_t *data, size_t size)
{
	struct text text = { (const char *)data, size };
	size_t room = size > 0 ? data[0] : 0, before;
	struct resp_out out = { (char *)malloc(room), 0, room, false };

	for (unsigned i = 0; i < 5; i++) {
		before = out.bytes;
		switch (i) {
		case 0:
			resp_line(&out, '+', "OK");
			break;
		case 1:
			resp_integer(&out, INT64_MIN);
			break;
		case 2:
			resp_bulk(&out, text);
			break;
		case 3:
			resp_nil(&out);
			break;
		default:
			resp_array(&out, size);
		}
		FUZZ_MUST(out.bytes <= room && (out.bytes == before) == out.is_full);
	}
	free(out.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ssize_t bytes = parse(data, size, &command), part;
	uint8_t *exact;

	if (bytes > 0) {
		FUZZ_MUST(parse(data, (size_t)bytes, &again) == bytes);
		FUZZ_MUST(again.count == command.count);
		for (part = 0; part < bytes; part++)
			FUZZ_MUST(parse(data, (size_t)part, &again) == 0);
	}
	exact = fuzz_exact(data, size);
	numbers(exact, size);
	replies(exact, size);
	free(exact);
	return 0;
}
