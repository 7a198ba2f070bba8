"""The peer wire's bytes, bitfields, trackers' answers, local discovery's messages: good and bad."""

import struct

from fwnode.swarm import BLOCK, SwarmError, Violation, bitfield, localdisc, new_peer_id, tracker, wire
from support import raises

HASH = bytes(range(20))


def test_peer_id_is_bep_20():
    assert new_peer_id()[:8] == b"-FW0001-" and len(new_peer_id()) == 20
    assert new_peer_id() != new_peer_id()


def test_handshake():
    data = wire.handshake(HASH, b"-FW0001-abcdefghijkl")
    assert len(data) == wire.HANDSHAKE and data[0] == 0x13
    assert wire.parse_handshake(data[1:]) == (HASH, b"-FW0001-abcdefghijkl")
    lenient = data[1:20] + b"\xff" * 8 + HASH + bytes(20)
    assert wire.parse_handshake(memoryview(lenient)) == (HASH, bytes(20))
    raises(Violation, wire.parse_handshake, b"BitTorrent protocoL" + bytes(48))


def test_messages():
    assert wire.simple(wire.INTERESTED) == b"\0\0\0\1\2"
    assert wire.have(258) == b"\0\0\0\5\4\0\0\1\2"
    assert wire.span(wire.REQUEST, 1, 16384, 16384) == b"\0\0\0\x0d\6\0\0\0\1\0\0\x40\0\0\0\x40\0"
    assert wire.block_head(1, 0, 5) == b"\0\0\0\x0e\7\0\0\0\1\0\0\0\0"


def test_lengths():
    for number, size in ((0, 1), (1, 1), (2, 1), (3, 1), (4, 5), (5, 3), (6, 13), (7, 10), (7, 9 + BLOCK), (8, 13)):
        wire.check_length(number, size, 2)
    wire.check_length(20, 400, 2)  # an extension's message is skipped
    for number, size in ((0, 2), (2, 5), (4, 1), (4, 9), (5, 2), (5, 4), (6, 12), (7, 9), (7, 10 + BLOCK), (8, 17)):
        error = raises(Violation, wire.check_length, number, size, 2)
        assert str(error) == "message {} of {} bytes".format(number, size)


def test_bitfield():
    for pieces in (1, 7, 8, 9, 48, 63):
        bits = bitfield.full(pieces)
        assert bitfield.count(bits) == pieces and len(bits) == (pieces + 7) // 8
        bitfield.check(bits, pieces)
        assert all(bitfield.has(bits, index) for index in range(pieces))
        if pieces & 7:
            bits[-1] |= 1
            raises(Violation, bitfield.check, bits, pieces)
    bits = bytearray(2)
    bitfield.put(bits, 9)
    assert bits == b"\x00\x40" and bitfield.has(bits, 9) and not bitfield.has(bits, 8)


def test_quote():
    assert tracker.quote(b"aZ09-\x00\xff ") == "aZ09%2D%00%FF%20"


def test_tracker_peers():
    def row(a, b, c, d, port):
        return bytes((a, b, c, d)) + struct.pack(">H", port)

    good = row(10, 0, 0, 1, 6881)
    assert tracker.parse_peers(good) == [("10.0.0.1", 6881)]
    listed = [{"ip": b"10.0.0.2", "port": 6882, "peer id": bytes(20)}, {"ip": b"10.0.0.3", "port": 80}, {}, 7]
    assert tracker.parse_peers(listed) == [("10.0.0.2", 6882)]
    bad = row(0, 0, 0, 0, 5000) + row(239, 1, 1, 1, 5000) + row(255, 255, 255, 255, 5000) + row(10, 0, 0, 9, 1023)
    assert tracker.parse_peers(bad + good) == [("10.0.0.1", 6881)]
    many = row(10, 0, 0, 1, 5000) + row(10, 0, 0, 1, 5001) + row(10, 0, 0, 1, 5002)
    assert tracker.parse_peers(many) == [("10.0.0.1", 5000), ("10.0.0.1", 5001)]
    assert tracker.parse_peers([{"ip": b"evil.example", "port": 5000}]) == []
    for odd in (b"12345", 7, {}, None):
        raises(SwarmError, tracker.parse_peers, odd)


def test_local_discovery_messages():
    data = localdisc.message("239.192.152.143", 6771, 4571, HASH, 0xABCDEF)
    assert localdisc.parse(data) == (4571, [HASH], b"00abcdef")
    other = b"BT-SEARCH * HTTP/1.1\r\nHost: x\r\nport: 6881\r\nINFOHASH: " + b"aa" * 20 + b"\r\nInfohash: " + b"bb" * 20
    assert localdisc.parse(other + b"\r\n\r\n\r\n") == (6881, [b"\xaa" * 20, b"\xbb" * 20], b"")
    for bad in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"BT-SEARCH * HTTP/1.1\r\nPort: 6881\r\n\r\n",
        data.replace(b"4571", b"22"),
        data.replace(b"4571", b"70000"),
        data.replace(b"0001", b"zzzz"),
    ):
        raises(SwarmError, localdisc.parse, bad)
