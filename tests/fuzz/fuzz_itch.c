/*
 * A datagram of the feed: MoldUDP64 around ITCH messages.  A packet that is found good holds
 * just the messages that it says; one that is cut or has a byte too many is found bad.  What
 * was decoded is encoded to the same bytes.
 */
#include "../../examples/ttt/itch.h"
#include "../../examples/ttt/mold.h"
#include "fuzz.h"

const char *const fuzz_name = "itch";

static void message(const uint8_t *data, size_t size)
{
	uint8_t *exact = fuzz_exact(data, size), again[ITCH_SIZE_ANY_MAX];
	struct itch_message message;
	int err;

	memset(&message, 0, sizeof message);
	err = itch_decode(exact, size, &message);
	FUZZ_MUST(itch_check(exact, size) == (err == -ENOMSG ? 0 : err));
	if (err == 0) {
		FUZZ_MUST(itch_size(message.type) == size && size <= ITCH_SIZE_MAX);
		FUZZ_MUST(itch_encode(&message, again, size - 1) == -EMSGSIZE);
		FUZZ_MUST(itch_encode(&message, again, size) == (int)size);
		FUZZ_MUST(memcmp(again, data, size) == 0);
	} else {
		FUZZ_MUST(err == -EMSGSIZE || err == -EBADMSG || err == -ERANGE || err == -ENOMSG);
	}
	free(exact);
}

static void packet(const uint8_t *data, size_t size)
{
	uint8_t *exact = fuzz_exact(data, size);
	size_t offset = MOLD_HEADER_SIZE, length;
	struct mold_header header;
	const uint8_t *at;
	unsigned count = 0;

	if (mold_check(exact, size, &header) == 0) {
		while ((at = mold_next(exact, size, &offset, &length)) != NULL) {
			FUZZ_MUST(fuzz_is_within(at, length, exact, size));
			message(at, length);
			count++;
		}
		FUZZ_MUST(offset == size && count == mold_message_count(&header));
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact = fuzz_exact(data, size), again[MOLD_HEADER_SIZE];
	struct mold_header header;

	message(data, size);
	packet(data, size);
	if (mold_check(exact, size, &header) == 0) {
		/* One byte less, or more, is another packet: none. */
		FUZZ_MUST(mold_check(exact, size - 1, &header) != 0);
		mold_put_header(again, &header);
		FUZZ_MUST(memcmp(again, data, sizeof again) == 0);
	}
	if (mold_check_request(exact, size, &header) == 0)
		FUZZ_MUST(size == MOLD_HEADER_SIZE && header.count > 0 && header.sequence > 0);
	free(exact);
	return 0;
}
