/*
 * OUCH requests and answers: what was decoded is encoded to the same bytes, and neither reads
 * nor writes one more.  The first byte of an input says which of the two the rest is.
 */
#include <errno.h>

#include "../../examples/ttt/ouch.h"
#include "fuzz.h"

const char *const fuzz_name = "ouch";

static void request(const uint8_t *exact, size_t size)
{
	struct ouch_request request;
	uint8_t *again;
	int err;

	memset(&request, 0, sizeof request);
	err = ouch_decode_request(exact, size, &request);
	if (err) {
		FUZZ_MUST(err == -EMSGSIZE || err == -EBADMSG || err == -ERANGE);
		return;
	}
	again = (uint8_t *)malloc(size);
	FUZZ_MUST(ouch_request_size(request.type) == size && size <= OUCH_REQUEST_MAX);
	FUZZ_MUST(ouch_encode_request(&request, again, size - 1) == -EMSGSIZE);
	FUZZ_MUST(ouch_encode_request(&request, again, size) == (int)size);
	FUZZ_MUST(memcmp(again, exact, size) == 0);
	free(again);
}

static void answer(const uint8_t *exact, size_t size)
{
	struct ouch_answer answer;
	uint8_t *again;
	int err;

	memset(&answer, 0, sizeof answer);
	err = ouch_decode_answer(exact, size, &answer);
	if (err) {
		FUZZ_MUST(err == -EMSGSIZE || err == -EBADMSG || err == -ERANGE);
		return;
	}
	again = (uint8_t *)malloc(size);
	FUZZ_MUST(ouch_answer_size(answer.type) == size && size <= OUCH_ANSWER_MAX);
	FUZZ_MUST(ouch_encode_answer(&answer, again, size - 1) == -EMSGSIZE);
	FUZZ_MUST(ouch_encode_answer(&answer, again, size) == (int)size);
	FUZZ_MUST(memcmp(again, exact, size) == 0);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact;

	if (size == 0)
		return 0;
	exact = fuzz_exact(data + 1, size - 1);
	if (data[0] % 2 == 0)
		request(exact, size - 1);
	else
		answer(exact, size - 1);
	free(exact);
	return 0;
}
