#!/usr/bin/env python3
"""seeds.py - writes the kept seeds of the fuzz targets, each named by what it is about.

  tests/fuzz/seeds.py [FOLDER]     into tests/fuzz/seeds, or FOLDER

A target whose input is a program reads a byte where it asks for a choice and several, the
lowest first, where it asks for a number; see fuzz.h.  So a seed is written down here as the
choices that its target makes, in their order.  Seeds that begin with `found-` are what a fuzzer
once failed on; they are kept as they are.
"""
import os
import struct
import sys

SEEDS = {}


def seed(target, name, *parts):
    """Parts: numbers (a byte each), bytes, text, or lists of these."""
    def flat(part):
        if isinstance(part, int):
            return bytes([part])
        if isinstance(part, str):
            return part.encode("latin-1")
        if isinstance(part, (list, tuple)):
            return b"".join(flat(one) for one in part)
        return part
    SEEDS[target, name] = flat(parts)


def le16(number):
    return struct.pack("<H", number)


def le64(number):
    return struct.pack("<Q", number & (2 ** 64 - 1))


def span(number):
    """As fuzz_span reads it."""
    bits = number.bit_length()
    return [bits, number.to_bytes((bits + 7) // 8, "little")]


# ---- wheel ---------------------------------------------------------------------------------

RESOLUTION = {"1ns": 0, "1024ns": 10, "4s": 32}
ARM, DISARM, SHORT_STEP, LONG_STEP, TO_NEXT, LONG_CATCH_UP, ADVANCE_1, CATCH_UP = \
    0, 3, 4, 5, 6, 7, 8, 9
ANY, PAST, SAME, EDGE, SOON, LATER = range(6)


def arm(timer, *deadline):
    return [ARM, timer, *deadline]


for name, bits in RESOLUTION.items():
    seed("wheel", "fires-in-order-" + name, bits, span(5000),
         [arm(i, SOON, le16(100 * (7 * i % 16))) for i in range(16)],
         [[SHORT_STEP, le16(300), 3] for _ in range(8)], CATCH_UP)
seed("wheel", "ties-fire-as-armed", 10, span(1), arm(3, SOON, le16(500)),
     [arm(i, SAME, 3) for i in (9, 1, 12, 0)], SHORT_STEP, le16(600), 1, ADVANCE_1, CATCH_UP)
seed("wheel", "edges-of-levels", 0, span(1),
     [arm(i, EDGE, 8 * i % 63, i % 2) for i in range(16)],
     [[TO_NEXT, 0] for _ in range(16)])
seed("wheel", "ten-years-and-the-end-of-time", 10, span(10 ** 18),
     arm(0, LATER, span(315 * 10 ** 15)), arm(1, ANY, le64(2 ** 63 - 1)), arm(2, ANY, le64(2 ** 63)),
     LONG_CATCH_UP, span(315 * 10 ** 15), CATCH_UP)
seed("wheel", "one-hour-jump-under-a-budget", 10, span(77),
     [arm(i, LATER, span(10 ** 9 * (i + 1))) for i in range(16)],
     LONG_STEP, span(3600 * 10 ** 9), 2, [ADVANCE_1] * 6, CATCH_UP)
seed("wheel", "armed-anew-in-its-callback", 10, span(9), arm(0, SOON, le16(5)),
     arm(1, SOON, le16(5)), SHORT_STEP, le16(9), 11, 1, PAST, le16(0), 3, 1, CATCH_UP, 1, SOON,
     le16(2), CATCH_UP)
seed("wheel", "disarmed-by-a-sibling", 10, span(9), [arm(i, SOON, le16(50)) for i in range(6)],
     SHORT_STEP, le16(90), 12, 3, 4, 3, 5, 2, 7, PAST, le16(1), CATCH_UP)

# ---- slab ------------------------------------------------------------------------------------

CLAIM, RELEASE, NONE = 0, 2, 3


def slab(size, align, count, chunks, *steps):
    return [size, align, count, chunks, 0, 0, steps]


seed("slab", "full-is-an-answer", slab(24, 3, 4, 0, [[CLAIM, i] for i in range(6)],
     [[RELEASE, i] for i in range(4)], [[CLAIM, 9 + i] for i in range(6)]))
seed("slab", "grows-by-chunks", slab(40, 0, 3, 4, [[CLAIM, i] for i in range(13)], NONE, 5, 17,
     [[RELEASE, i] for i in (3, 11, 0, 7)], [[CLAIM, i] for i in range(5)], NONE, 2, 99))
seed("slab", "a-byte-a-slot", slab(1, 1, 8, 8, [[CLAIM, i] for i in range(20)], [NONE, 3, 0]))
seed("slab", "a-page-a-slot", slab(80, 6, 2, 2, [[CLAIM, i] for i in range(5)], [RELEASE, 1]))
seed("slab", "no-such-alignment", slab(8, 5, 2, 2))
seed("slab", "alignment-beyond-a-page", slab(8, 7, 2, 2))
seed("slab", "no-slots", slab(8, 0, 0, 2))

# ---- ring --------------------------------------------------------------------------------------

CLAIM_S, CLAIM_L, COMMIT, ABORT, READ, RELEASE, PASS, CLOSE = 0, 3, 4, 6, 7, 9, 10, [11, 7]


def ring(how, *steps):
    return [how, steps]


FILL = [[CLAIM_S, 16 + 9 * i % 40] for i in range(8)]
for name, how in (("spsc", 0), ("mpsc", 128), ("spsc-wraps-32-bits", 4),
                  ("mpsc-wraps-64-bits", 128 + 8)):
    seed("ring", "there-and-back-" + name, ring(how, [
        [[CLAIM_S, 20], [CLAIM_S, 50], [COMMIT, 0], [COMMIT, 1], READ, READ, [RELEASE, 1]]
        for _ in range(8)]))
seed("ring", "full-then-read", ring(0, FILL, [[COMMIT, i] for i in range(8)],
     [[READ, [RELEASE, 0], [CLAIM_S, 30]] for _ in range(8)]))
seed("ring", "aborted-records-are-skipped", ring(128, FILL, [[ABORT, i] for i in (1, 2, 3)],
     [COMMIT, 0], READ, READ, [RELEASE, 0], [COMMIT, 0], READ))
seed("ring", "passed-over-and-answered-late", ring(128, FILL, PASS, PASS, [COMMIT, 3], READ, READ,
     FILL, [COMMIT, 0], [ABORT, 0], FILL, [COMMIT, 5], READ))
seed("ring", "more-passed-over-than-places", ring(130, [[CLAIM_S, 1]] * 30, [PASS] * 20,
     [[COMMIT, i] for i in range(20)], [READ] * 3))
seed("ring", "largest-record-in-a-full-turn", ring(2, CLAIM_L, le16(496), [COMMIT, 0], CLAIM_L,
     le16(496), READ, [RELEASE, 0], CLAIM_L, le16(496), CLAIM_L, le16(497), CLAIM_S, 0))
seed("ring", "released-out-of-order", ring(0, FILL, [[COMMIT, i] for i in range(6)], [READ] * 5,
     [RELEASE, 3], [RELEASE, 1], [RELEASE, 0], FILL))
seed("ring", "closed-drains", ring(128, FILL, [COMMIT, 0], CLOSE, [CLAIM_S, 4], READ, [ABORT, 1],
     READ, PASS, [COMMIT, 2], READ))

seed("ring_memory", "as-it-should-be", le16(0), 8, 0, bytes(256), 0, [4, 9, 0, 0] * 8)
seed("ring_memory", "head-between-units", le16(0), 4, 1, 0, 0, le64(8), 1, 0, 1, le64(0x48), 0,
     bytes(256), 3, 0, 1, 1, 1, 2, 0, [0, 2, 4, 60, 3] * 4)
seed("ring_memory", "holes-that-lie-elsewhere", le16(3), 12,
     [[1, i, 3, le64(2 ** 62 + (i << 28) + 4), 1, i, 4, le64(16 * i)] for i in range(6)], 0,
     bytes(256), 0, [3, 4, 99, 2] * 6)
seed("ring_memory", "records-of-any-size", le16(1), 255, 0,
     [struct.pack("<QII", 16 + 16 * i + 2, 2 ** 32 - 17 + i, 1) for i in range(16)], 0, [0, 2] * 9)

# ---- addresses ---------------------------------------------------------------------------------

ADDRESSES = {
    "ip4": "127.0.0.1:80", "ip4-without-a-port": "1.2.3.4", "ip6": "[2001:db8::7]:65535",
    "ip6-without-brackets": "::ffff:1.2.3.4", "scope-by-name": "[fe80::1%lo]:5",
    "scope-by-number": "fe80::1%4000000000", "scope-too-large": "[fe80::1%4294967297]:5",
    "path": "unix:/run/a b", "abstract": "unix:@abc", "unnamed": "unix:", "abstract-without-a-name": "unix:@",
    "longest-path": "unix:" + "p" * 107, "path-too-long": "unix:" + "p" * 108,
    "port-too-large": "1.2.3.4:65536", "bracket-left-open": "[::1", "two-ports": "[::1]:1:2",
}
for name, text in ADDRESSES.items():
    seed("address", name, text)

# ---- http ----------------------------------------------------------------------------------------

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
seed("http", "get", GET)
seed("http", "head-of-an-old-version", "HEAD /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
seed("http", "post-with-a-body", "POST /e HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" + GET)
seed("http", "two-in-a-row", GET + GET)
seed("http", "bare-line-feeds", "\n\r\nGET / HTTP/1.1\nConnection: close\n\n")
seed("http", "lengths-that-differ", "PUT / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\nxy")
seed("http", "length-beyond-all", "PUT / HTTP/1.1\r\nContent-Length: 999999999999999999\r\n\r\n")
seed("http", "chunked", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
seed("http", "another-version", "GET / HTTP/2.0\r\n\r\n")
seed("http", "field-without-a-name", "GET / HTTP/1.1\r\n: x\r\n\r\n")
seed("http", "head-without-an-end", "GET /" + "a" * 600)

# ---- resp ------------------------------------------------------------------------------------------

seed("resp", "get", "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
seed("resp", "set-with-any-bytes", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\x00\xff\r\n")
seed("resp", "inline", "PING  a bc \r\n")
seed("resp", "pipelined", "*1\r\n$4\r\nPING\r\n" * 3)
seed("resp", "nothing-asked", "*0\r\n\r\n")
seed("resp", "a-word-of-no-bytes", "*1\r\n$0\r\n\r\n")
seed("resp", "length-below-0", "*1\r\n$-1\r\n\r\n")
seed("resp", "length-beyond-all", "*1\r\n$2147483647\r\nx")
seed("resp", "more-words-than-places", "*65\r\n" + "$1\r\na\r\n" * 65)
seed("resp", "more-inline-words-than-places", "a " * 65 + "\r\n")
seed("resp", "word-without-its-end", "*1\r\n$1\r\nabc")
seed("resp", "least-number", "-9223372036854775808")
seed("resp", "number-too-large", "9223372036854775808")

# ---- modbus ---------------------------------------------------------------------------------------


def adu(pdu, number=1, protocol=0, length=None, unit=1):
    length = len(pdu) + 1 if length is None else length
    return struct.pack(">HHHB", number, protocol, length, unit) + pdu


def be(code, *words):
    return struct.pack(">B%dH" % len(words), code, *words)


seed("modbus", "read-holding", adu(be(3, 0, 10)))
seed("modbus", "read-input-to-the-end", adu(be(4, 14, 10)))
seed("modbus", "read-beyond-the-end", adu(be(4, 14, 11)))
seed("modbus", "read-at-the-last-address", adu(be(3, 65535, 1)))
seed("modbus", "read-none", adu(be(3, 0, 0)))
seed("modbus", "read-too-many", adu(be(3, 0, 126)))
seed("modbus", "write-one", adu(be(6, 39, 4711)) + adu(be(3, 39, 1), 2))
seed("modbus", "write-several", adu(be(16, 38, 2) + b"\x04\x00\x01\x00\x02") + adu(be(3, 38, 2), 2))
seed("modbus", "write-several-with-another-count", adu(be(16, 0, 2) + b"\x02\x00\x01"))
seed("modbus", "no-such-function", adu(be(43, 1)))
seed("modbus", "function-alone", adu(b"\x03"))
seed("modbus", "another-protocol", adu(be(3, 0, 1), protocol=1))
seed("modbus", "length-beyond-a-frame", adu(be(3, 0, 1), length=255))
seed("modbus", "length-of-one", adu(b"", length=1))

# ---- feed: MoldUDP64 and ITCH ------------------------------------------------------------------------


def itch(kind, body):
    return kind.encode() + struct.pack(">HH", 7, 0) + (123456789).to_bytes(6, "big") + body


STOCK = b"APUS    "
ADD = struct.pack(">Qc", 41, b"B") + struct.pack(">I", 100) + STOCK + struct.pack(">I", 123400)
MESSAGES = {
    "system-event": itch("S", b"O"),
    "directory": itch("R", STOCK + b"QN" + struct.pack(">I", 100) + b"NCZ PNN1N" +
                      struct.pack(">I", 0) + b"N"),
    "add": itch("A", ADD),
    "add-attributed": itch("F", ADD + b"MAKR"),
    "executed": itch("E", struct.pack(">QIQ", 41, 10, 9)),
    "executed-at-a-price": itch("C", struct.pack(">QIQ", 41, 10, 9) + b"Y" + struct.pack(">I", 5)),
    "cancel": itch("X", struct.pack(">QI", 41, 10)),
    "delete": itch("D", struct.pack(">Q", 41)),
    "replace": itch("U", struct.pack(">QQII", 41, 42, 10, 123500)),
    "trade": itch("P", ADD + struct.pack(">Q", 8)),
}


def mold(messages, count=None, sequence=1, session=b"0000000001"):
    count = len(messages) if count is None else count
    return session + struct.pack(">QH", sequence, count) + \
        b"".join(struct.pack(">H", len(one)) + one for one in messages)


for name, message in MESSAGES.items():
    seed("itch", name, message)
seed("itch", "add-of-no-side", itch("A", ADD).replace(b"B\x00", b"?\x00"))
seed("itch", "not-of-its-length", MESSAGES["add"] + b"x")
seed("itch", "packet-of-all", mold(list(MESSAGES.values())))
seed("itch", "packet-that-says-one-more", mold(list(MESSAGES.values())[2:5], count=4))
seed("itch", "packet-that-says-one-less", mold(list(MESSAGES.values())[2:5], count=2))
seed("itch", "packet-with-a-message-of-no-bytes", mold([b"", MESSAGES["delete"]]))
seed("itch", "heartbeat", mold([], sequence=2 ** 40))
seed("itch", "end-of-session", mold([], count=0xffff))
seed("itch", "number-beyond-the-last", mold([], sequence=2 ** 64 - 1))
seed("itch", "request", mold([], count=3, sequence=9))

# ---- orders: SoupBinTCP and OUCH ------------------------------------------------------------------------


def token(text):
    return text.ljust(14).encode()


ENTER = b"O" + token("ORDER1") + b"B" + struct.pack(">I", 100) + STOCK + \
    struct.pack(">II", 123400, 99998) + b"FIRMYAN" + struct.pack(">I", 0) + b"NN"
ACCEPTED = struct.pack(">Q", 77) + token("ORDER1") + b"B" + struct.pack(">I", 100) + STOCK + \
    struct.pack(">II", 123400, 99998) + b"FIRMY" + struct.pack(">Q", 41) + b"AN" + \
    struct.pack(">I", 0) + b"NL"
REQUESTS = {
    "enter": ENTER,
    "replace": b"U" + token("ORDER1") + token("ORDER2") + struct.pack(">III", 50, 123500, 0) +
               b"YN" + struct.pack(">I", 0),
    "cancel": b"X" + token("ORDER1") + struct.pack(">I", 0),
}
ANSWERS = {
    "accepted": b"A" + ACCEPTED + b" ",
    "replaced": b"U" + ACCEPTED + token("ORDER0") + b" ",
    "canceled": b"C" + struct.pack(">Q", 77) + token("ORDER1") + struct.pack(">I", 5) + b"U",
    "executed": b"E" + struct.pack(">Q", 77) + token("ORDER1") + struct.pack(">II", 5, 123400) +
                b"A" + struct.pack(">Q", 9),
    "rejected": b"J" + struct.pack(">Q", 77) + token("ORDER1") + b"T",
    "system-event": b"S" + struct.pack(">Q", 77) + b"S",
}
for name, message in REQUESTS.items():
    seed("ouch", "request-" + name, 0, message)
for name, message in ANSWERS.items():
    seed("ouch", "answer-" + name, 1, message)
seed("ouch", "request-of-no-side", 0, ENTER.replace(b"B\x00", b"?\x00"))
seed("ouch", "answer-cut", 1, ANSWERS["accepted"][:-1])
seed("ouch", "accepted-in-no-state", 1, ANSWERS["accepted"][:-2] + b"? ")


def soup(kind, body=b""):
    return struct.pack(">H", 1 + len(body)) + kind.encode() + body


LOGIN = soup("L", b"user  password  " + b" " * 10 + b"1".rjust(20))
LET_IN = soup("A", b"0000000001" + b"1".rjust(20))
CLIENT, SERVER = 0x07, 0x06
seed("soup", "login", SERVER, LOGIN, soup("U", ENTER), soup("R"), soup("O"))
seed("soup", "let-in-and-served", CLIENT, LET_IN, soup("S", ANSWERS["accepted"]),
     soup("S", ANSWERS["executed"]), soup("H"), soup("Z"))
seed("soup", "in-large-pieces", 0xff, LET_IN, [soup("S", ANSWERS["accepted"])] * 20, soup("H"))
seed("soup", "let-in-from-a-later-number", CLIENT, soup("A", b"0000000001" + b"9".rjust(20)),
     soup("S", b"x"))
seed("soup", "not-let-in", CLIENT, soup("J", b"A"))
seed("soup", "login-without-a-number", SERVER, soup("L", b"x" * 46))
seed("soup", "login-number-too-large", SERVER, soup("L", b" " * 26 + b"9" * 20))
seed("soup", "debug", CLIENT, soup("+", b"hello"), soup("+"))
seed("soup", "served-before-it-is-in", CLIENT, soup("S", b"x"))
seed("soup", "no-length", CLIENT, b"\x00\x00S")
seed("soup", "length-beyond-all", CLIENT, b"\xff\xffS")
seed("soup", "no-such-type", CLIENT, b"\x00\x02?x")
seed("soup", "largest", CLIENT, LET_IN, soup("S", b"x" * 512), soup("S", b"x" * 512))

# ---- files: journal and pcap ----------------------------------------------------------------------------


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def record(number, kind, data, size=None):
    body = struct.pack("<QqHBBBxxx", number, 1000 * number, len(data) if size is None else size,
                       kind, 0, 0) + data
    return struct.pack("<II", 0x314a5054, crc32c(body)) + body


JOURNAL = [record(0, 3, b""), record(1, 4, LET_IN), record(2, 5, ENTER), record(3, 6, b"")]
seed("journal", "four-records", *JOURNAL)
seed("journal", "cut-in-a-header", *JOURNAL[:2], JOURNAL[2][:20])
seed("journal", "cut-in-its-bytes", *JOURNAL[:2], JOURNAL[2][:-1])
seed("journal", "checksum-wrong", *JOURNAL[:1], JOURNAL[1][:-1] + b"?", *JOURNAL[2:])
seed("journal", "number-missing", JOURNAL[0], JOURNAL[2])
seed("journal", "no-such-kind", record(0, 7, b"x"))
seed("journal", "no-journal", "not a journal at all, but long enough to be one")
seed("journal", "size-beyond-the-end", record(0, 4, b"x", size=65535))
seed("journal", "written-then-cut", 9, [[i, 0, 0, i % 7, 20 + i] for i in range(9)], le16(200),
     le16(90), 3)
seed("journal", "written-then-damaged", 15, [[i, 0, 0, i % 7, 7 * i] for i in range(15)],
     le16(0), le16(333), 6)

PCAP = struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 65535, 101)


def packet(protocol, transport, service=0):
    size = 20 + len(transport)
    ip = struct.pack(">BBHHHBBHII", 0x45, service, size, 0, 0, 64, protocol, 0, 0xc0000201,
                     0xefc00701) + transport
    return struct.pack("<IIII", 1, 2, size, size) + ip


def udp(port, data):
    return struct.pack(">HHHH", 31003, port, 8 + len(data), 0) + data


def tcp(source, port, flags, data=b""):
    return struct.pack(">HHIIBBHHH", source, port, 1, 1, 5 << 4, flags, 65535, 0, 0) + data


FEED = packet(17, udp(31001, mold([MESSAGES["add"]])))
seed("pcap", "file-header", PCAP)
seed("pcap", "of-microseconds", struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
seed("pcap", "a-line-each", PCAP, FEED, packet(17, udp(31004, b"x"), 0x20),
     packet(17, udp(31003, b"y")))
seed("pcap", "a-connection", PCAP, packet(6, tcp(40001, 31002, 2)),
     packet(6, tcp(31002, 40001, 18)), packet(6, tcp(40001, 31002, 24, LOGIN)),
     packet(6, tcp(31002, 40001, 24, LET_IN)), packet(6, tcp(31002, 40001, 17)))
seed("pcap", "packets-alone", FEED, FEED)
seed("pcap", "cut", PCAP, FEED[:-1])
seed("pcap", "cut-in-a-record", PCAP, FEED, FEED[:15])
seed("pcap", "length-that-differs", PCAP, FEED[:-1] + b"xx")
seed("pcap", "no-such-protocol", PCAP, packet(1, b"ping"))
seed("pcap", "segment-too-short", PCAP, packet(6, b"x" * 19))
seed("pcap", "written-and-read", 13, [[[i, 0, 0, 0, i, i % 7, 30], [i % 3, 1] if i % 7 == 0 else []]
                                      for i in range(13)])

# ---- channels -------------------------------------------------------------------------------------

TRY_SEND, TRY_RECV, SPAWN, ABORT_ONE, CLOSE_IT, TURN = [0], [2], [4], [6], [7, 15], [8]
SENDS, RECEIVES, EITHER, MANY_OR_SEND, YIELDS, RECEIVES_MANY, ENDS = range(7)


def acts(*arms, ns=7):
    """What an actor draws in a turn: a span and an arm for each await that it comes to."""
    return [[ns, arm] for arm in arms]


def channel(name, *steps, first=0, how=63):
    parts = [how, first, steps]
    for kind in ("channel_local", "spsc", "mpsc", "stream"):
        seed(kind, name, parts)


channel("full-and-empty-again", [[TRY_SEND, 1] for _ in range(6)], [[TRY_RECV, 1] for _ in range(6)])
channel("batches-over-the-wrap", [[TRY_SEND, 3, TRY_RECV, 2, TRY_RECV, 5] for _ in range(6)], first=3)
channel("no-room-in-a-batch", TRY_SEND, 6, TRY_SEND, 6, TRY_RECV, 6, TRY_RECV, 6)
channel("a-sender-waits-and-goes-on", SPAWN, 0, [[TRY_SEND, 1] for _ in range(4)], TURN,
        acts(SENDS), TRY_RECV, 1, TURN, acts(ENDS), TRY_RECV, 6)
channel("a-receiver-waits-and-goes-on", SPAWN, 1, TURN, acts(RECEIVES), TRY_SEND, 1, TURN,
        acts(RECEIVES_MANY), TRY_SEND, 4, TURN, acts(ENDS))
channel("several-wait-at-both-ends", [[SPAWN, i] for i in range(5)], TURN,
        acts(SENDS, SENDS, SENDS, SENDS, SENDS, SENDS, SENDS, SENDS), TURN, TRY_RECV, 2, TURN,
        acts(SENDS, RECEIVES, SENDS, RECEIVES, YIELDS), TURN, TURN)
channel("aborted-while-it-waits", [[TRY_SEND, 1] for _ in range(4)], SPAWN, 0, SPAWN, 1, TURN,
        acts(SENDS, SENDS), ABORT_ONE, 0, TRY_RECV, 1, TURN, acts(ENDS), TURN)
channel("timed-out-while-it-waits", SPAWN, 2, TURN, acts(RECEIVES, ns=0), TURN, TURN,
        acts(EITHER), TURN, TRY_SEND, 1, TURN)
channel("closed-drains", TRY_SEND, 3, SPAWN, 0, SPAWN, 1, CLOSE_IT, TRY_SEND, 1, TURN,
        acts(SENDS, RECEIVES_MANY, RECEIVES), TURN, TRY_RECV, 1)
channel("gone-while-they-wait", [[TRY_SEND, 1] for _ in range(4)], SPAWN, 0, SPAWN, 1, TURN,
        acts(SENDS, EITHER, SENDS), how=62)
channel("no-wait-left", [[SPAWN, i] for i in range(5)], TURN,
        acts(MANY_OR_SEND, MANY_OR_SEND, MANY_OR_SEND, MANY_OR_SEND), TURN, how=56)

PUBLISH, LOOK, SPAWN_R, AGAIN, CLOSE_R, TURN_R = [0], [3], [4], [5], [6, 15], [7]


def readers(name, *steps, first=0, how=31):
    for kind, begin in (("latest", []), ("fanout", [0, 1, 5, 9])):
        seed(kind, name, how, first, begin, steps)


readers("seen-by-each", [[PUBLISH, [[LOOK, i] for i in range(4)]] for _ in range(5)], first=1)
readers("lapped", PUBLISH * 11, [[LOOK, i, LOOK, i, LOOK, i] for i in range(4)], first=3)
readers("nothing-yet", LOOK, 0, LOOK, 1, PUBLISH, LOOK, 0, LOOK, 0)
readers("begun-again", PUBLISH * 3, AGAIN, 0, 3, LOOK, 0, AGAIN, 1, 2, LOOK, 1, PUBLISH, LOOK, 1)
readers("tasks-wait", [[SPAWN_R, i] for i in range(4)], TURN_R, acts(0, 1, 0, 1), PUBLISH, TURN_R,
        acts(0, 1, 2, 0), PUBLISH * 6, TURN_R, acts(0, 0, 0, 0, 1, 1), TURN_R)
readers("aborted-while-it-waits", SPAWN_R, 2, TURN_R, acts(0), AGAIN, 2, PUBLISH, TURN_R, SPAWN_R, 2,
        TURN_R, acts(0))
readers("timed-out-while-it-waits", SPAWN_R, 2, TURN_R, acts(0, ns=0), TURN_R, TURN_R, acts(0), PUBLISH)
readers("closed", PUBLISH, SPAWN_R, 0, CLOSE_R, PUBLISH, TURN_R, acts(0, 0), LOOK, 1, LOOK, 1)
readers("gone-while-they-wait", SPAWN_R, 0, SPAWN_R, 1, TURN_R, acts(0, 1), how=30)
readers("no-wait-left", [[SPAWN_R, i] for i in range(4)], TURN_R, acts(0, 0, 0, 0), how=0)

# ---- tasks --------------------------------------------------------------------------------------------

(YIELD, SLEEP, SEND, RECV, ACQUIRE, JOIN, CANCELLED, SUB, SELECT, FAIR, SELECT5, FAIR_NESTED, GUARDED,
 SELECT_SUB) = range(14)
ABORT_T, DETACH_T, TRY_JOIN, TOKEN_ANEW, CANCEL_T, LETTER, CLOSE_LETTERS, CLOSE_GATE, SPAWN_T, RELEASE_G = range(10)


def spawn(left, how=0, turns=0):
    """how: 3 detached, 4 on the heap, 7 both."""
    return [0, left, how, turns]


def do(which, what, *more, turns=0):
    return [1, which, what, *more, turns]


def wait(arm, gate=0, token=0, other=0, ns=7, first=()):
    """What a task draws before an await: perhaps a deed of its own, then what it waits for."""
    return [[1, first] if first else [0], gate, token, other, ns, arm]


def task(name, *parts, how=251, closes_early=0):
    seed("task", name, how, closes_early, parts)


task("slept-and-joined", spawn(1, turns=1), wait(SLEEP), spawn(2, turns=2), wait(JOIN, other=0),
     do(0, TRY_JOIN, turns=2), do(0, TRY_JOIN), do(1, TRY_JOIN))
task("sent-and-received", spawn(3), spawn(3, turns=1), wait(SEND), wait(SEND), wait(SEND),
     wait(RECV), wait(RECV), do(0, RELEASE_G, 0, turns=2), wait(RECV), wait(RECV))
task("aborted-while-it-waits", spawn(1), spawn(1, 4, turns=1), wait(ACQUIRE), wait(SELECT5, other=0),
     do(0, ABORT_T), do(1, ABORT_T, turns=2), do(0, CANCEL_T, 0), do(0, TRY_JOIN), do(1, TRY_JOIN))
task("aborts-itself-and-others", spawn(2), spawn(2, turns=1), wait(SLEEP, first=[0, ABORT_T]),
     wait(SLEEP, first=[0, DETACH_T]), do(1, ABORT_T, turns=2), do(0, TRY_JOIN, turns=2))
task("detached-and-on-the-heap", spawn(1, 3), spawn(1, 7, turns=1), wait(YIELD), wait(SUB),
     do(0, DETACH_T, turns=1), do(1, RELEASE_G, 0, turns=2), do(0, ABORT_T))
task("grant-passes-on", spawn(1), spawn(1), spawn(1, turns=1), wait(ACQUIRE, ns=0), wait(ACQUIRE),
     wait(FAIR), do(0, RELEASE_G, 0), do(0, ABORT_T, turns=2), do(1, RELEASE_G, 0, turns=2))
task("select-loses-no-letter", spawn(5), spawn(5, turns=1), wait(SELECT), wait(FAIR),
     do(0, LETTER, 0, turns=2), wait(SELECT), wait(SELECT5, other=1), do(0, LETTER, 1, turns=2),
     wait(FAIR), wait(SELECT))
task("sub-task-lost-and-begun-anew", spawn(3, turns=1), wait(SELECT_SUB, ns=0), do(0, RELEASE_G, 0,
     turns=2), wait(SELECT_SUB), do(0, RELEASE_G, 0, turns=2), wait(SUB))
task("cancelled-and-guarded", spawn(2), spawn(2, turns=1), wait(GUARDED, token=1),
     wait(CANCELLED, token=1), do(0, CANCEL_T, 0), do(0, ABORT_T, turns=2), do(0, TOKEN_ANEW, 1, 1,
     turns=2), wait(CANCELLED, token=1))
task("no-slot-left", [spawn(1) for _ in range(12)], 1, 0, TRY_JOIN, 1)
task("joined-by-two-and-by-itself", spawn(1), spawn(1), spawn(1, turns=1), wait(SLEEP),
     wait(JOIN, other=0), wait(JOIN, other=0), do(0, TRY_JOIN, turns=2), do(1, TRY_JOIN))
task("closed-under-them", spawn(1), spawn(1), spawn(1, turns=1), wait(SEND), wait(RECV),
     wait(ACQUIRE), do(0, CLOSE_LETTERS, 15), do(0, CLOSE_GATE, 15, 0, turns=2), wait(RECV))
task("loop-closed-in-the-middle", spawn(1), spawn(1, 4), spawn(1, 3, turns=1), wait(SUB),
     wait(SELECT5, other=0), wait(FAIR_NESTED, other=1), closes_early=3)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else \
        os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")
    for (target, name), data in SEEDS.items():
        os.makedirs(os.path.join(folder, target), exist_ok=True)
        with open(os.path.join(folder, target, name), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
