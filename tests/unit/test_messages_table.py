"""The table of messages in docs/protocol.md is one that `make bench-messages` makes; what it counts packets with."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import messages  # noqa: E402
from messages import BEGIN, CASES, DOC, END, HEAD, Row, carried, exchange, table, written  # noqa: E402
from wire_tap import SYN, TCP, UDP, Wire  # noqa: E402

from fwnode import crypto  # noqa: E402
from fwnode.compat import run  # noqa: E402
from fwnode.wire import message  # noqa: E402
from fwnode.wire.fields import TYPES  # noqa: E402

GROUP, PORT = "239.255.70.67", 4568
BOARD, NODE = "127.0.0.2", "127.0.0.1"
ACK = 16


def rows() -> list[list[str]]:
    """The cells of the page's table."""
    made = DOC.read_text().partition(BEGIN)[2].partition(END)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in made.splitlines()]


def test_the_page_has_the_table_of_the_five_cases() -> None:
    head, rule, *found = rows()
    assert tuple(head) == HEAD and set(rule) == {"---"}
    assert tuple(row[0] for row in found) == CASES
    for row in found:
        kinds = dict((one.rpartition(" ")[::2] if one[-1].isdigit() else (one, "1")) for one in row[2].split(", "))
        assert set(kinds) <= set(TYPES) and sum(map(int, kinds.values())) == int(row[1])
        size, wire, datagrams, posts = (int(cell.replace(",", "")) for cell in row[3:])
        assert 0 < size < wire and posts > 0 and datagrams % 3 == 0


def test_each_case_has_the_messages_of_the_paper() -> None:
    kinds = {row[0]: row[2] for row in rows()[2:]}
    for case, wanted in (
        ("C1-1", ("req_verchk", "res_verchk", "req_verification", "res_verification", "verification_log")),
        ("C1-2", ("req_verchk", "res_verchk", "req_download", "res_download", "verification_log")),
        ("C2-1", ("req_verchk", "res_verchk", "notice_download", "req_metadata", "req_download", "res_download")),
        ("C2-2", ("req_verchk", "join_verification", "res_verchk", "req_verification", "res_verification")),
        ("C2-3", ("req_verchk", "res_verchk", "req_metadata", "res_metadata", "req_download", "res_download")),
    ):
        assert all(kind in kinds[case] for kind in wanted), case
    assert f"verification_log {messages.CONFIRMING + 1}" in kinds["C2-2"]  # more than six, and n_i's own


def packet(protocol: int, source: str, to: str, rest: bytes) -> bytes:
    ends = b"".join(bytes(map(int, ip.split("."))) for ip in (source, to))
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(rest), 0, 0, 64, protocol, 0) + ends + rest


def datagram(source: str, data: bytes) -> bytes:
    return packet(UDP, source, GROUP, struct.pack(">HHHH", 5000, PORT, 8 + len(data), 0) + data)


def segment(source: str, to: str, ports: tuple[int, int], seq: int, flags: int, data: bytes = b"") -> bytes:
    return packet(TCP, source, to, struct.pack(">HHIIBBHHH", *ports, seq, 0, 5 << 4, flags, 0, 0, 0) + data)


def test_packets_become_messages() -> None:
    private = crypto.generate_key()
    public = crypto.public_key(private)
    own = message.node_id(public, 5)
    log = message.new("verification_log", bytes(8), own, b"", 5)
    log.update(req=own, res=bytes(20), ts=1, o=b"current", d=b"lamp", v=b"1.0.0", h=bytes(32), pu=public)
    told = run(message.sign(private, log))
    ask = message.new("req_verchk", bytes(8), own, b"", 5)
    ask.update(d=b"lamp", v=b"1.0.0", ts=1, port=4000, pu=public)
    asked = run(message.sign(private, ask))
    wire = Wire()
    for _ in range(3):
        wire.take(datagram(BOARD, told))
    wire.take(packet(1, BOARD, NODE, b"a ping"))
    there, back = (BOARD, NODE, (40000, 4567)), (NODE, BOARD, (4567, 40000))
    post = b"POST /fwchain HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked
    first = 0xFFFFFFF0  # sequence numbers wrap around
    after = (first + 1) & 0xFFFFFFFF
    wire.take(segment(*there, first, SYN))
    wire.take(segment(*back, 7, SYN | ACK))
    wire.take(segment(*there, after, ACK, post[:100]))
    wire.take(segment(*there, after, ACK, post[:100]))  # once more
    wire.take(segment(*there, (after + 60) & 0xFFFFFFFF, ACK, post[60:]))  # from the middle
    wire.take(segment(*back, 8, ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    wire.take(segment(*there, 1, ACK, b"of a connection that was open before")[:-1])
    assert [one.messages for one in carried(wire, GROUP)] == [[told]] * 3 + [[asked]]
    (connection,) = wire.connections
    assert bytes(connection.sent).startswith(post) and connection.wire > len(post) + 6 * 40
    row = exchange("C1-1", wire, GROUP, BOARD, bytes(20))
    assert (dict(row.kinds), row.size) == ({"verification_log": 1, "req_verchk": 1}, len(told) + len(asked))
    assert (row.datagrams, row.posts) == (3, 1) and row.wire == connection.wire + 3 * (28 + len(told))


def test_the_table_takes_its_place_in_the_page() -> None:
    row = Row("C1-1", size=1234, wire=5678)
    row.kinds.update({"req_verchk": 1, "verification_log": 8})
    made = table([row])
    assert made.splitlines()[2] == "| C1-1 | 9 | req_verchk, verification_log 8 | 1,234 | 5,678 | 0 | 0 |"
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert written(page, made) == f"before\n{BEGIN}{made}{END}after\n"
    assert written(written(page, made), made) == written(page, made)
