/*
 * Addresses as text: what was read is written in a form that reads as the same, and fits the
 * room that the header promises.
 */
#include "apus/net.h"
#include "fuzz.h"

const char *const fuzz_name = "address";

static void write_and_read(const struct apus_address *address)
{
	char *text = (char *)malloc(APUS_ADDRESS_TEXT_BYTES), *exact;
	int length = apus_address_format(address, text, APUS_ADDRESS_TEXT_BYTES);
	struct apus_address again;

	FUZZ_MUST(length > 0 && length < APUS_ADDRESS_TEXT_BYTES && text[length] == '\0');
	exact = (char *)malloc((size_t)length);
	FUZZ_MUST(apus_address_format(address, exact, (size_t)length) == -ENOSPC);
	free(exact);
	FUZZ_MUST(apus_address_parse(&again, text) == 0);
	FUZZ_MUST(apus_address_is_same(address, &again));
	FUZZ_MUST(apus_address_port(address) == apus_address_port(&again));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = (char *)calloc(1, size + 1);
	struct apus_address address;
	int err;

	if (size > 0)
		memcpy(text, data, size);
	err = apus_address_parse(&address, text);
	FUZZ_MUST(err == 0 || err == -EINVAL || err == -ENODEV);
	if (err == 0) {
		FUZZ_MUST(address.bytes > 0 && address.bytes <= sizeof address.storage);
		write_and_read(&address);
		apus_address_set_port(&address, 4711);
		write_and_read(&address);
	}
	free(text);
	return 0;
}
