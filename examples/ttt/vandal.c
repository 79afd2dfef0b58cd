/* vandal.c - packets that cannot be, and connections that should not. */
#include "vandal.h"

#include "itch.h"
#include "rng.h"

#include <time.h>
#include <unistd.h>

/* ---- packets --------------------------------------------------------------------------- */

/* Two messages, as the exchange would send them, so that only what is spoilt is wrong. */
static size_t honest_packet(const char *session, uint64_t sequence, uint8_t *bytes)
{
	struct itch_message message = {.type = ITCH_ADD, .side = 'B', .locate = 1,
		.ref = UINT64_MAX, .shares = 1, .price = 1, .stock = "VANDAL  "};
	struct mold_header header = {.sequence = sequence, .count = 2};
	size_t size = MOLD_HEADER_SIZE;

	memcpy(header.session, session, MOLD_SESSION_SIZE);
	mold_put_header(bytes, &header);
	for (int n = 0; n < 2; n++) {
		int length = itch_encode(&message, bytes + size + 2, ITCH_SIZE_MAX);

		wire_put16(bytes + size, (uint16_t)length);
		size += 2 + (size_t)length;
	}
	return size;
}

static size_t noise(struct rng *rng, uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at < size; at++)
		bytes[at] = (uint8_t)rng_next(rng);
	return size;
}

/* The second message: where its length, its type and its side are. */
enum { SECOND = MOLD_HEADER_SIZE + 2 + 36, SECOND_TYPE = SECOND + 2, SECOND_SIDE = SECOND + 21 };

size_t vandal_packet(struct rng *rng, enum vandal_kind kind, const char *session, uint64_t due,
	uint8_t *bytes)
{
	size_t size = honest_packet(session, due, bytes);

	switch (kind) {
	case VANDAL_TRUNCATED:
		return rng_below(rng, (uint32_t)size);
	case VANDAL_OVERSIZED:
		return size + noise(rng, bytes + size, MOLD_PACKET_MAX + 1 - size +
			rng_below(rng, VANDAL_PACKET_MAX - MOLD_PACKET_MAX));
	case VANDAL_LONG:
		return size + noise(rng, bytes + size, 1 + rng_below(rng, 40));
	case VANDAL_LENGTH:
		bytes[SECOND_TYPE] = "FECXDUPSR"[rng_below(rng, 9)];
		bytes[SECOND_TYPE] = bytes[SECOND_TYPE] == 'C' ? 'D' : bytes[SECOND_TYPE];
		return size;
	case VANDAL_TYPE:
		bytes[SECOND_TYPE] = (uint8_t)('0' + rng_below(rng, 10));
		return size;
	case VANDAL_FIELD:
		bytes[SECOND_SIDE] = '?';
		return size;
	case VANDAL_SESSION:
		bytes[rng_below(rng, MOLD_SESSION_SIZE)] ^= 1;
		return size;
	case VANDAL_NUMBER:
		wire_put64(bytes + 10, rng_one_in(rng, 2) ? 0 : UINT64_MAX);
		return size;
	case VANDAL_FAR:
		wire_put64(bytes + 10, due + (UINT64_C(1) << 40) + rng_next(rng) % 1000);
		return size;
	default:
		return noise(rng, bytes, rng_below(rng, VANDAL_PACKET_MAX));
	}
}

/* ---- sockets ------------------------------------------------------------------------------ */

static struct sockaddr_in at_port(uint32_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void send_packet(struct shared *shared, int fd, uint32_t port, const uint8_t *bytes,
	size_t size)
{
	struct sockaddr_in to = at_port(port);

	if (port != 0 && sendto(fd, bytes, size, MSG_DONTWAIT, (struct sockaddr *)&to,
		sizeof(to)) >= 0)
		shared->vandalised++;
}

/* Connects to the exchange, says something that is no login, and leaves or stays. */
static void visit(struct rng *rng, struct shared *shared, uint32_t port, int *kept)
{
	static const char *const words[] = {"GET / HTTP/1.0\r\n\r\n", "\xff\xffL", "\x00\x02?x",
		"\x00\x01R\x00\x01O\x00\x02Ux",
		/* Somebody who knows the rules, but not the password. */
		"\x00\x2f" "LENGINEGUESS               " "                   1"};
	static const size_t sizes[] = {18, 3, 4, 10, 49};
	struct sockaddr_in to = at_port(port);
	uint32_t word = rng_below(rng, 5);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    send(fd, words[word], sizes[word], MSG_NOSIGNAL) > 0)
		shared->vandalised++;
	if (rng_one_in(rng, 4)) {
		int old = *kept;

		*kept = fd;
		fd = old;
	}
	if (fd >= 0)
		close(fd);
}

static void strike(struct rng *rng, struct shared *shared, int fd)
{
	enum vandal_kind kind = (enum vandal_kind)rng_below(rng, VANDAL_KINDS);
	uint8_t bytes[VANDAL_PACKET_MAX];
	size_t size = vandal_packet(rng, kind, "TTTSESSION", 1 + rng_below(rng, 1000000), bytes);

	send_packet(shared, fd, shared->feed_ports[rng_below(rng, 2)], bytes, size);
	send_packet(shared, fd, shared->recovery_port, bytes, size);
	send_packet(shared, fd, shared->request_port, bytes, size);
}

void vandal_run(const struct options *options, struct shared *shared)
{
	struct rng rng = {options->seed ^ 0xbad};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), kept = -1;

	for (uint64_t round = 0;; round++) {
		nanosleep(&(struct timespec){.tv_nsec = 500 * APUS_USEC}, NULL);
		if (apus_load_acquire(&shared->closes_ns) == 0)
			continue;
		strike(&rng, shared, fd);
		if (round % 16 == 0)
			visit(&rng, shared, shared->order_port, &kept);
	}
}
