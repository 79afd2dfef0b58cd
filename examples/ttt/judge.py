#!/usr/bin/env python3
"""judge.py - an independent judge of a recording of tick_to_trade (--pcap FILE).

Reads the pcap with nothing but the standard library and the protocols' specifications:
puts the MoldUDP64 messages of all lines in sequence, builds the order books from ITCH 5.0,
and the positions from the OUCH 4.2 answers in the SoupBinTCP streams.  Prints one line of
JSON with the names that tick_to_trade --json uses, so that the two can be compared.

    judge.py FILE [SYMBOLS]
"""
import json
import struct
import sys

MASK = (1 << 64) - 1
EXCHANGE = bytes([192, 0, 2, 1])


def packets(path):
    """(protocol, source, source port, target port, payload, flags) of each packet."""
    with open(path, "rb") as file:
        magic, = struct.unpack("<I", file.read(24)[:4])
        if magic != 0xA1B23C4D:
            sys.exit("judge: not a pcap of nanoseconds")
        while header := file.read(16):
            size = struct.unpack("<IIII", header)[2]
            ip = file.read(size)
            if len(ip) != size:
                sys.exit("judge: the file is cut")
            segment = ip[(ip[0] & 15) * 4:struct.unpack(">H", ip[2:4])[0]]
            ports = struct.unpack(">HH", segment[:4])
            if ip[9] == 17:
                yield "udp", ip[12:16], *ports, segment[8:], 0
            elif ip[9] == 6:
                yield "tcp", ip[12:16], *ports, segment[(segment[12] >> 4) * 4:], segment[13]


class Feed:
    """Messages by sequence number, from whichever line brings them first."""

    def __init__(self):
        self.next, self.early, self.packets, self.session = 1, {}, 0, None

    def offer(self, packet):
        session, sequence, count = packet[:10], *struct.unpack(">QH", packet[10:20])
        self.packets += 1
        self.session = self.session or session
        if session != self.session or count == 0xFFFF:
            return
        at = 20
        for number in range(sequence, sequence + count):
            length, = struct.unpack(">H", packet[at:at + 2])
            if number >= self.next:
                self.early[number] = packet[at + 2:at + 2 + length]
            at += 2 + length
        while self.next in self.early:
            yield self.early.pop(self.next)
            self.next += 1


class Books:
    """Orders by reference; at a price, in the order in which they came."""

    def __init__(self):
        self.orders, self.levels, self.stocks, self.changes = {}, {}, {}, 0

    def add(self, ref, locate, side, shares, price):
        self.orders[ref] = [locate, side, shares, price]
        self.levels.setdefault((locate, side), {}).setdefault(price, {})[ref] = True

    def remove(self, ref):
        locate, side, _, price = order = self.orders.pop(ref)
        level = self.levels[locate, side][price]
        del level[ref]
        if not level:
            del self.levels[locate, side][price]
        return order

    def reduce(self, ref, shares):
        self.orders[ref][2] -= shares
        if self.orders[ref][2] == 0:
            self.remove(ref)

    def apply(self, message):
        kind, locate = message[:1], struct.unpack(">H", message[1:3])[0]
        if kind in b"AF":
            ref, side, shares, _, price = struct.unpack(">QcI8sI", message[11:36])
            self.add(ref, locate, 0 if side == b"B" else 1, shares, price)
        elif kind in b"ECX":
            self.reduce(*struct.unpack(">QI", message[11:23]))
        elif kind == b"D":
            self.remove(struct.unpack(">Q", message[11:19])[0])
        elif kind == b"U":
            old, ref, shares, price = struct.unpack(">QQII", message[11:35])
            locate, side, _, _ = self.remove(old)
            self.add(ref, locate, side, shares, price)
        elif kind == b"R":
            self.stocks[message[11:19]] = locate
        self.changes += 1

    def checksum(self, symbols):
        total = symbols
        for locate in range(1, symbols + 1):
            for side in (0, 1):
                total = mix(total ^ (locate << 1 | side))
                levels = self.levels.get((locate, side), {})
                for price in sorted(levels, reverse=side == 0):
                    for ref in levels[price]:
                        total = mix(total ^ ref)
                        total = mix(total ^ (price << 32 | self.orders[ref][2]))
        return total


def mix(value):
    """The finalizer of splitmix64."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


class Account:
    """What the exchange answered: each sequenced message once, over all connections."""

    def __init__(self, books):
        self.books, self.next, self.coming, self.stream = books, 1, 1, b""
        self.orders, self.positions = {}, {}
        self.counts = dict.fromkeys("ACEJUS", 0)
        self.bought = self.sold = 0

    def connect(self):
        self.stream = b""

    def receive(self, payload):
        self.stream += payload
        while len(self.stream) >= 3:
            length, = struct.unpack(">H", self.stream[:2])
            if len(self.stream) < 2 + length:
                return
            self.packet(self.stream[2:3], self.stream[3:2 + length])
            self.stream = self.stream[2 + length:]

    def packet(self, kind, body):
        if kind == b"A":
            self.coming = int(body[10:30])
        elif kind == b"S":
            if self.coming >= self.next:
                self.answer(body)
                self.next += 1
            self.coming += 1

    def answer(self, body):
        kind, token = chr(body[0]), body[9:23]
        self.counts[kind] += 1
        if kind in "AU":
            self.orders[token] = body[23:24], body[28:36]
        elif kind == "E":
            side, stock = self.orders[token]
            shares, = struct.unpack(">I", body[23:27])
            locate = self.books.stocks[stock]
            self.bought += shares if side == b"B" else 0
            self.sold += shares if side != b"B" else 0
            self.positions[locate] = self.positions.get(locate, 0) + \
                (shares if side == b"B" else -shares)

    def checksum(self, symbols):
        total = 0xCBF29CE484222325
        for locate in range(1, symbols + 1):
            for byte in struct.pack(">q", self.positions.get(locate, 0)):
                total = (total ^ byte) * 0x100000001B3 & MASK
        return total


def judge(path, symbols):
    feed, books = Feed(), Books()
    account = Account(books)
    for protocol, source, from_port, to_port, payload, flags in packets(path):
        if protocol == "udp" and source == EXCHANGE:
            for message in feed.offer(payload):
                books.apply(message)
        elif protocol == "tcp" and source == EXCHANGE:
            if flags & 2:
                account.connect()
            account.receive(payload)
    return {
        "packets": feed.packets, "messages": feed.next - 1, "book_changes": books.changes,
        "resting_orders": len(books.orders), "orders_accepted": account.counts["A"],
        "orders_rejected": account.counts["J"], "orders_executed": account.counts["E"],
        "orders_canceled": account.counts["C"], "orders_replaced": account.counts["U"],
        "shares_bought": account.bought, "shares_sold": account.sold,
        "books_checksum": f"{books.checksum(symbols):016x}",
        "positions_checksum": f"{account.checksum(symbols):016x}",
    }


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(json.dumps(judge(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 200)))
