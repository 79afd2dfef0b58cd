/* day.c - inputs of the market, written down and taken again. */
#include "day.h"

struct record {
	int64_t now_ns;
	uint16_t input, size;
	uint32_t unused;
};

static size_t padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

static void apply(struct market *market, enum day_input input, const uint8_t *bytes, size_t size,
	int64_t now_ns)
{
	switch (input) {
	case DAY_OPEN:
		market_open(market, now_ns);
		return;
	case DAY_STEP:
		market_step(market, now_ns);
		return;
	case DAY_REQUEST:
		market_request(market, bytes, size, now_ns);
		return;
	case DAY_CANCEL_ALL:
		market_cancel_all(market, now_ns);
		return;
	case DAY_HALT:
		market_halt(market, now_ns);
		return;
	case DAY_FINISH:
		market_finish(market, now_ns);
		return;
	case DAY_INPUTS:
		return;
	}
}

static void write_down(struct day_log *log, enum day_input input, const uint8_t *bytes,
	size_t size, int64_t now_ns)
{
	struct record record = {.now_ns = now_ns, .input = (uint16_t)input, .size = (uint16_t)size};
	uint8_t *at = log->data + log->bytes;

	if (log->is_full || log->limit - log->bytes < sizeof(record) + padded(size)) {
		log->is_full = 1;
		return;
	}
	memcpy(at, &record, sizeof(record));
	if (size > 0)
		memcpy(at + sizeof(record), bytes, size);
	/* Killed before this, it never came. */
	apus_store_release(&log->bytes, log->bytes + sizeof(record) + padded(size));
}

void day_take(struct day *day, enum day_input input, const uint8_t *bytes, size_t size,
	int64_t now_ns)
{
	if (day->log != NULL)
		write_down(day->log, input, bytes, size, now_ns);
	apply(day->market, input, bytes, size, now_ns);
}

int day_replay(const struct day_log *log, struct market *market)
{
	uint64_t end = apus_load_acquire(&log->bytes), at = 0;
	struct record record;

	if (log->is_full)
		return -EBADMSG;
	while (at < end) {
		memcpy(&record, log->data + at, sizeof(record));
		at += sizeof(record);
		if (record.input >= DAY_INPUTS || padded(record.size) > end - at)
			return -EBADMSG;
		apply(market, (enum day_input)record.input, log->data + at, record.size,
			record.now_ns);
		at += padded(record.size);
	}
	return 0;
}
