/*
 * The HTTP example's parser on any bytes: what it answers lies within the request, the request
 * within the bytes, and what comes behind it, or has yet to come, changes nothing.
 */
#include "../../examples/serve/http.h"
#include "fuzz.h"

const char *const fuzz_name = "http";

enum { HEAD_MAX = 512, BODY_MAX = 64 };

static ssize_t parse(const uint8_t *data, size_t size, struct http_request *request)
{
	uint8_t *exact = fuzz_exact(data, size);
	ssize_t bytes = http_parse((const char *)exact, size, HEAD_MAX, BODY_MAX, request);

	if (bytes > 0) {
		FUZZ_MUST((size_t)bytes <= size && bytes <= HEAD_MAX + BODY_MAX);
		FUZZ_MUST(fuzz_is_within(request->method.at, request->method.bytes, exact, (size_t)bytes));
		FUZZ_MUST(fuzz_is_within(request->target.at, request->target.bytes, exact, (size_t)bytes));
		FUZZ_MUST(fuzz_is_within(request->body.at, request->body.bytes, exact, (size_t)bytes));
		FUZZ_MUST(request->method.bytes > 0 && request->target.bytes > 0);
		FUZZ_MUST(request->body.bytes <= BODY_MAX);
		FUZZ_MUST(request->is_head == text_is(request->method, "HEAD"));
	} else {
		FUZZ_MUST(bytes == 0 || bytes == -400 || bytes == -413 || bytes == -431 ||
			bytes == -501 || bytes == -505);
		FUZZ_MUST(bytes != 0 || size <= HEAD_MAX + BODY_MAX);
	}
	free(exact);
	return bytes;
}

/* The answer fits its room or is none, and its body is there whole. */
static void answer(const struct http_request *request, const uint8_t *data, size_t size)
{
	struct text body = { (const char *)data, size };
	size_t room = size > 0 ? data[0] * 2u : 0, bytes;
	char *out = (char *)malloc(room);

	bytes = http_answer(out, room, 200, body, request);
	FUZZ_MUST(bytes <= room);
	if (bytes > 0 && !request->is_head)
		FUZZ_MUST(bytes > size && memcmp(out + bytes - size, data, size) == 0);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request request, again;
	ssize_t bytes = parse(data, size, &request), part;

	if (bytes <= 0)
		return 0;
	FUZZ_MUST(parse(data, (size_t)bytes, &again) == bytes);
	FUZZ_MUST(again.method.bytes == request.method.bytes &&
		again.target.bytes == request.target.bytes &&
		again.body.bytes == request.body.bytes &&
		again.keeps_alive == request.keeps_alive);
	for (part = 0; part < bytes; part++)
		FUZZ_MUST(parse(data, (size_t)part, &again) == 0);
	answer(&request, data, size);
	return 0;
}
