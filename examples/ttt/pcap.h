/*
 * pcap.h - the taps as packets in a file that tcpdump and Wireshark read.
 *
 *   Units      nanoseconds of the turn's clock as time stamps; bytes; raw IPv4.
 *   Errors     put: 0 or -EAGAIN, as sink_put.  next: 1: a tap; 0: the end; -EBADMSG: cut, or
 *              no packet of ours; -EPROTO: no pcap of nanoseconds and raw IP, as this writes.
 *   Ownership  a tap read is a view into the reader's bytes.
 *
 * The engine does not see headers, so those are made: the exchange is 192.0.2.1 and the engine
 * 192.0.2.2, the lines go to 239.192.7.1:31001 and 239.192.7.2:31004, orders to port 31002,
 * requests to port 31003, whatever they were.  A connection has its handshake and its end, and
 * true sequence numbers, so that the streams can be put together again.  A packet that the
 * engine was not to trade on has "lower effort" as its class of service.
 */
#ifndef TTT_PCAP_H
#define TTT_PCAP_H

#include "sink.h"
#include "tap.h"

#define PCAP_LINE_A_PORT 31001
#define PCAP_ORDER_PORT 31002
#define PCAP_REQUEST_PORT 31003
#define PCAP_LINE_B_PORT 31004
#define PCAP_ENGINE_PORT 40000 /* and one more for each connection */

struct pcap {
	uint32_t connection;         /* counts them */
	uint32_t engine_seq, exchange_seq;
	uint16_t id;
};

int pcap_begin(struct pcap *pcap, struct sink *sink);
int pcap_put(struct pcap *pcap, struct sink *sink, const struct tap *tap, const void *bytes);

struct pcap_reader {
	const uint8_t *bytes;
	size_t size, at;
};

int pcap_open(struct pcap_reader *reader, const void *bytes, size_t size);
int pcap_next(struct pcap_reader *reader, struct tap *tap, const uint8_t **bytes);

#endif
