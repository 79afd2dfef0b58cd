/* pcap.c - headers around what the engine saw, and off again. */
#include "pcap.h"

#include "feed.h"
#include "wire.h"

#include <stdbool.h>

#define EXCHANGE_IP UINT32_C(0xc0000201)
#define ENGINE_IP UINT32_C(0xc0000202)
#define LINE_A_IP UINT32_C(0xefc00701)
#define LINE_B_IP UINT32_C(0xefc00702)

enum {
	MAGIC_NS = 0xa1b23c4d, RAW_IP = 101, FILE_HEADER = 24, RECORD_HEADER = 16, IP_HEADER = 20,
	UDP_HEADER = 8, TCP_HEADER = 20, UDP = 17, TCP = 6,
	LOWER_EFFORT = 0x20, FIN = 1, SYN = 2, PSH = 8, ACK = 16,
	HEADERS_MAX = RECORD_HEADER + IP_HEADER + TCP_HEADER,
};

/* ---- writing ---------------------------------------------------------------------------- */

int pcap_begin(struct pcap *pcap, struct sink *sink)
{
	const uint32_t header[] = {MAGIC_NS, 2 | 4 << 16, 0, 0, 65535, RAW_IP};

	memset(pcap, 0, sizeof(*pcap));
	return sink_put(sink, header, sizeof(header));
}

/* RFC 1071: the sum of 16-bit words. */
static uint32_t sum_words(uint32_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at + 1 < size; at += 2)
		sum += wire_get16(bytes + at);
	return size % 2 != 0 ? sum + ((uint32_t)bytes[size - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~(sum + (sum >> 16));
}

struct flow {
	uint32_t from_ip, to_ip;
	uint16_t from_port, to_port;
};

static void put_ip(struct pcap *pcap, uint8_t *ip, const struct flow *flow, uint8_t protocol,
	uint8_t service, size_t size)
{
	memset(ip, 0, IP_HEADER);
	ip[0] = 0x45;
	ip[1] = service;
	wire_put16(ip + 2, (uint16_t)(IP_HEADER + size));
	wire_put16(ip + 4, pcap->id++);
	ip[8] = 64;
	ip[9] = protocol;
	wire_put32(ip + 12, flow->from_ip);
	wire_put32(ip + 16, flow->to_ip);
	wire_put16(ip + 10, fold(sum_words(0, ip, IP_HEADER)));
}

/* Over the header, the bytes, and the pseudo header of addresses, protocol and length. */
static uint16_t transport_sum(const uint8_t *ip, size_t header_size, const uint8_t *bytes,
	size_t size)
{
	uint32_t sum = ip[9] + (uint32_t)(header_size + size);

	sum = sum_words(sum, ip + 12, 8);
	sum = sum_words(sum, ip + IP_HEADER, header_size);
	return fold(sum_words(sum, bytes, size));
}

static int put_record(struct sink *sink, uint8_t *header, size_t header_size, int64_t now_ns,
	const void *bytes, size_t size)
{
	const uint32_t record[] = {(uint32_t)(now_ns / APUS_SEC), (uint32_t)(now_ns % APUS_SEC),
		(uint32_t)(header_size - RECORD_HEADER + size),
		(uint32_t)(header_size - RECORD_HEADER + size)};

	memcpy(header, record, sizeof(record));
	sink_put(sink, header, header_size);
	return sink_put(sink, bytes, size);
}

static int put_udp(struct pcap *pcap, struct sink *sink, const struct flow *flow,
	const struct tap *tap, const void *bytes)
{
	size_t size = tap->size;
	uint8_t header[RECORD_HEADER + IP_HEADER + UDP_HEADER], *ip = header + RECORD_HEADER;
	uint8_t *udp = ip + IP_HEADER;

	put_ip(pcap, ip, flow, UDP, tap->is_held ? LOWER_EFFORT : 0, UDP_HEADER + size);
	wire_put16(udp, flow->from_port);
	wire_put16(udp + 2, flow->to_port);
	wire_put16(udp + 4, (uint16_t)(UDP_HEADER + size));
	wire_put16(udp + 6, 0);
	wire_put16(udp + 6, transport_sum(ip, UDP_HEADER, bytes, size));
	return put_record(sink, header, sizeof(header), tap->now_ns, bytes, size);
}

static int put_tcp(struct pcap *pcap, struct sink *sink, bool is_ours, uint8_t flags,
	int64_t now_ns, const void *bytes, size_t size)
{
	uint16_t port = (uint16_t)(PCAP_ENGINE_PORT + pcap->connection);
	struct flow flow = is_ours ? (struct flow){ENGINE_IP, EXCHANGE_IP, port, PCAP_ORDER_PORT} :
		(struct flow){EXCHANGE_IP, ENGINE_IP, PCAP_ORDER_PORT, port};
	uint32_t *mine = is_ours ? &pcap->engine_seq : &pcap->exchange_seq;
	uint8_t header[HEADERS_MAX], *ip = header + RECORD_HEADER, *tcp = ip + IP_HEADER;

	put_ip(pcap, ip, &flow, TCP, 0, TCP_HEADER + size);
	memset(tcp, 0, TCP_HEADER);
	wire_put16(tcp, flow.from_port);
	wire_put16(tcp + 2, flow.to_port);
	wire_put32(tcp + 4, *mine);
	wire_put32(tcp + 8, (flags & ACK) == 0 ? 0 :
		is_ours ? pcap->exchange_seq : pcap->engine_seq);
	tcp[12] = TCP_HEADER / 4 << 4;
	tcp[13] = flags;
	wire_put16(tcp + 14, 65535);
	wire_put16(tcp + 16, transport_sum(ip, TCP_HEADER, bytes, size));
	*mine += (uint32_t)size + ((flags & (SYN | FIN)) != 0);
	return put_record(sink, header, sizeof(header), now_ns, bytes, size);
}

static int put_handshake(struct pcap *pcap, struct sink *sink, int64_t now_ns)
{
	pcap->connection++;
	pcap->engine_seq = pcap->connection << 16;
	pcap->exchange_seq = pcap->connection << 20;
	put_tcp(pcap, sink, true, SYN, now_ns, "", 0);
	put_tcp(pcap, sink, false, SYN | ACK, now_ns, "", 0);
	return put_tcp(pcap, sink, true, ACK, now_ns, "", 0);
}

static int put_goodbye(struct pcap *pcap, struct sink *sink, int64_t now_ns)
{
	put_tcp(pcap, sink, false, FIN | ACK, now_ns, "", 0);
	put_tcp(pcap, sink, true, FIN | ACK, now_ns, "", 0);
	return put_tcp(pcap, sink, false, ACK, now_ns, "", 0);
}

int pcap_put(struct pcap *pcap, struct sink *sink, const struct tap *tap, const void *bytes)
{
	static const struct flow flows[] = {
		[FEED_LINE_A] = {EXCHANGE_IP, LINE_A_IP, PCAP_REQUEST_PORT, PCAP_LINE_A_PORT},
		[FEED_LINE_B] = {EXCHANGE_IP, LINE_B_IP, PCAP_REQUEST_PORT, PCAP_LINE_B_PORT},
		[FEED_LINE_REQUESTED] = {EXCHANGE_IP, ENGINE_IP, PCAP_REQUEST_PORT,
			PCAP_REQUEST_PORT + 2},
	};
	static const struct flow request = {ENGINE_IP, EXCHANGE_IP, PCAP_REQUEST_PORT + 2,
		PCAP_REQUEST_PORT};

	if (sink_room(sink) < 3u * HEADERS_MAX + tap->size)
		return -EAGAIN;
	switch (tap->kind) {
	case TAP_PACKET:
		return put_udp(pcap, sink, &flows[tap->line], tap, bytes);
	case TAP_REQUEST:
		return put_udp(pcap, sink, &request, tap, bytes);
	case TAP_CONNECT:
		return put_handshake(pcap, sink, tap->now_ns);
	case TAP_RECEIVED:
		return put_tcp(pcap, sink, false, PSH | ACK, tap->now_ns, bytes, tap->size);
	case TAP_SENT:
		return put_tcp(pcap, sink, true, PSH | ACK, tap->now_ns, bytes, tap->size);
	case TAP_HANG_UP:
		return put_goodbye(pcap, sink, tap->now_ns);
	}
	return 0; /* a wire does not show that a hole was given up */
}

/* ---- reading -------------------------------------------------------------------------------- */

static uint32_t get_native32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

int pcap_open(struct pcap_reader *reader, const void *bytes, size_t size)
{
	*reader = (struct pcap_reader){.bytes = bytes, .size = size, .at = FILE_HEADER};
	if (size < FILE_HEADER || get_native32(reader->bytes) != MAGIC_NS ||
	    get_native32(reader->bytes + 20) != RAW_IP)
		return -EPROTO;
	return 0;
}

static int read_udp(const uint8_t *udp, size_t size, struct tap *tap, const uint8_t **bytes)
{
	uint16_t to;

	if (size < UDP_HEADER || wire_get16(udp + 4) != size)
		return -EBADMSG;
	to = wire_get16(udp + 2);
	tap->kind = to == PCAP_REQUEST_PORT ? TAP_REQUEST : TAP_PACKET;
	tap->line = to == PCAP_LINE_A_PORT ? FEED_LINE_A : to == PCAP_LINE_B_PORT ? FEED_LINE_B :
		FEED_LINE_REQUESTED;
	tap->size = (uint16_t)(size - UDP_HEADER);
	*bytes = udp + UDP_HEADER;
	return 1;
}

/* 0: a segment that says nothing to us. */
static int read_tcp(const uint8_t *tcp, size_t size, struct tap *tap, const uint8_t **bytes)
{
	bool is_ours;

	if (size < TCP_HEADER)
		return -EBADMSG;
	is_ours = wire_get16(tcp + 2) == PCAP_ORDER_PORT;
	tap->size = (uint16_t)(size - TCP_HEADER);
	*bytes = tcp + TCP_HEADER;
	if ((tcp[13] & SYN) != 0 && is_ours)
		tap->kind = TAP_CONNECT;
	else if ((tcp[13] & FIN) != 0 && !is_ours)
		tap->kind = TAP_HANG_UP;
	else if (tap->size > 0)
		tap->kind = is_ours ? TAP_SENT : TAP_RECEIVED;
	else
		return 0;
	return 1;
}

static int read_ip(const uint8_t *ip, size_t size, struct tap *tap, const uint8_t **bytes)
{
	if (size < IP_HEADER || ip[0] != 0x45 || wire_get16(ip + 2) != size)
		return -EBADMSG;
	tap->is_held = ip[1] == LOWER_EFFORT;
	if (ip[9] == UDP)
		return read_udp(ip + IP_HEADER, size - IP_HEADER, tap, bytes);
	return ip[9] == TCP ? read_tcp(ip + IP_HEADER, size - IP_HEADER, tap, bytes) : -EBADMSG;
}

int pcap_next(struct pcap_reader *reader, struct tap *tap, const uint8_t **bytes)
{
	int got = 0;

	while (got == 0 && reader->at < reader->size) {
		const uint8_t *record = reader->bytes + reader->at;
		size_t left = reader->size - reader->at, size;

		if (left < RECORD_HEADER)
			return -EBADMSG;
		size = get_native32(record + 8);
		if (size > left - RECORD_HEADER || size > UINT16_MAX)
			return -EBADMSG;
		memset(tap, 0, sizeof(*tap));
		tap->now_ns = get_native32(record) * APUS_SEC + get_native32(record + 4);
		reader->at += RECORD_HEADER + size;
		got = read_ip(record + RECORD_HEADER, size, tap, bytes);
	}
	return got;
}
