"""Peers that misbehave, each in its own way: the board finishes if one honest source exists, and says why not else."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from swarm_support import BLOCK, Board, Evil, Made, Wire, assert_done, fetch, free_port, seeded

from fwchain.seed import Seed

LIMITS = {
    "tick_ms": 50,
    "silent_ms": 700,
    "slow_ms": 700,
    "choke_ms": 700,
    "lonely_ms": 700,
    "give_up_ms": 4000,
    "connect_ms": 700,
    "retry_ms": 50,
}
HEAP = 125_000  # bytes in use at most, of 192 KiB, with the test's own code compiled into it


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def honest(made: Made) -> Iterator[Seed]:
    """A seed that takes most of a second, so that every peer gets its chance."""
    seed = seeded(made, rate=450_000)
    yield seed
    seed.stop()


def corrupt(wire: Wire) -> None:
    """Serves everything, with the first byte of each block wrong."""
    wire.send(1)
    while True:
        index, begin, length = wire.request()
        data = wire.block(index, begin, length)
        wire.piece(index, begin, bytes([data[0] ^ 1]) + data[1:])


def never_unchokes(wire: Wire) -> None:
    while True:
        wire.message()


def one_byte_a_second(wire: Wire) -> None:
    wire.send(1)
    index, begin, length = wire.request()
    wire.sock.sendall(struct.pack(">IBII", 9 + length, 7, index, begin))
    for byte in wire.block(index, begin, length):
        wire.sock.sendall(bytes([byte]))
        time.sleep(0.2)


def unrequested(wire: Wire) -> None:
    """A genuine block that nobody asked for, from the start."""
    wire.piece(3, 0, wire.block(3, 0, BLOCK))
    wire.send(1)
    while True:
        wire.message()


def wrong_length(wire: Wire) -> None:
    wire.send(1)
    index, begin, length = wire.request()
    wire.piece(index, begin, wire.block(index, begin, length)[: length - 100])
    while True:
        wire.message()


def huge_message(wire: Wire) -> None:
    wire.sock.sendall(struct.pack(">IB", 0x7FFFFFFF, 20))
    while True:
        wire.sock.sendall(bytes(65536))


def floods_with_keep_alives(wire: Wire) -> None:
    """As fast as the socket takes them: the board must still find time for others, and for its own clock."""
    while True:
        wire.sock.sendall(bytes(65536))


def floods_with_messages(wire: Wire) -> None:
    """The same with `interested`, a `have` of a piece that is known, and an extension's message."""
    burst = struct.pack(">IBIBIIBB", 1, 2, 5, 4, 0, 2, 20, 0) * 4000
    while True:
        wire.sock.sendall(burst)


def long_bitfield(wire: Wire) -> None:
    wire.send(5, bytes(500))
    never_unchokes(wire)


def spare_bits(wire: Wire) -> None:
    wire.send(5, b"\xff" * ((wire.made.release.piece_count + 7) // 8))
    never_unchokes(wire)


def have_out_of_range(wire: Wire) -> None:
    wire.send(4, struct.pack(">I", wire.made.release.piece_count))
    never_unchokes(wire)


def piece_out_of_range(wire: Wire) -> None:
    wire.send(1)
    wire.request()
    wire.piece(0xFFFFFFFF, 0, bytes(BLOCK))
    never_unchokes(wire)


def request_out_of_range(wire: Wire) -> None:
    wire.send(2)
    wire.send(6, struct.pack(">III", 0xFFFFFFFF, 0, BLOCK))
    never_unchokes(wire)


def request_too_large(wire: Wire) -> None:
    wire.send(2)
    wire.send(6, struct.pack(">III", 0, 0, 0x100000))
    never_unchokes(wire)


def closes_in_a_block(wire: Wire) -> None:
    wire.send(1)
    index, begin, length = wire.request()
    wire.sock.sendall(struct.pack(">IBII", 9 + length, 7, index, begin) + bytes(1000))


def hangs(wire: Wire) -> None:
    """Accepts the connection and says nothing at all."""
    time.sleep(20)


def other_info_hash(wire: Wire) -> None:
    wire.exactly(68)
    wire.hello(bytes(20))
    never_unchokes(wire)


def not_bittorrent(wire: Wire) -> None:
    wire.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(200))
    time.sleep(20)


def silent_after_unchoke(wire: Wire) -> None:
    wire.send(1)
    never_unchokes(wire)


CASES: list[tuple[Callable[[Wire], None], bool, str]] = [
    (corrupt, True, "corrupt piece"),
    (never_unchokes, True, "never unchoked us"),
    (one_byte_a_second, True, "slow"),
    (silent_after_unchoke, True, "silent"),
    (unrequested, True, "unrequested block"),
    (wrong_length, True, "block of"),
    (floods_with_keep_alives, True, "never unchoked us"),
    (floods_with_messages, True, "never unchoked us"),
    (huge_message, True, "message of 2147483647 bytes"),
    (long_bitfield, True, "message 5 of 501 bytes"),
    (spare_bits, True, "spare bits"),
    (have_out_of_range, True, "out of range"),
    (piece_out_of_range, True, "unrequested block"),
    (request_out_of_range, True, "out of range"),
    (request_too_large, True, "request: 1048576 bytes"),
    (closes_in_a_block, True, "connection lost"),
    (hangs, False, "no handshake"),
    (other_info_hash, False, "another info-hash"),
    (not_bittorrent, False, "not the BitTorrent protocol"),
]


@pytest.mark.parametrize(("script", "greet", "why"), CASES, ids=[case[0].__name__ for case in CASES])
def test_hostile_peer(
    tmp_path: Path, made: Made, honest: Seed, script: Callable[[Wire], None], greet: bool, why: str
) -> None:
    """Beside an honest seed the download ends well; with the hostile peer alone it ends with the reason."""
    with Evil(made, script, greet=greet) as evil, Evil(made, script, greet=greet) as alone:
        peers = [evil.row, ["127.0.0.1", honest.port, True]]
        with (
            Board(tmp_path, made, "beside", ip="127.0.0.31", peers=peers, limits=LIMITS) as good,
            Board(tmp_path, made, "alone", ip="127.0.0.32", peers=[alone.row], limits=LIMITS) as bad,
        ):
            good.wait("done", "failed")
            bad.wait("done", "failed")
    done = assert_done(good, made)
    assert evil.connections
    assert done["heap"] < HEAP
    assert bad.events[-1]["event"] == "failed", bad.tail()
    assert why in bad.events[-1]["why"], bad.tail()
    assert max((event["heap"] for event in bad.events if "heap" in event), default=0) < HEAP


@pytest.mark.parametrize(
    ("script", "greet"),
    [
        (never_unchokes, True),
        (silent_after_unchoke, True),
        (one_byte_a_second, True),
        (floods_with_keep_alives, True),
        (hangs, False),
        (other_info_hash, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_as_many_as_are_dialled_at_once(
    tmp_path: Path, made: Made, honest: Seed, script: Callable[[Wire], None], greet: bool
) -> None:
    """They have every place that there is, and must lose it again: the honest source, farther away, is called last."""
    evils = [Evil(made, script, f"127.5.5.{120 + number}", greet=greet) for number in range(3)]
    rows = [*(evil.row for evil in evils), ["127.0.0.1", honest.port]]
    board = fetch(tmp_path, made, rows, ip="127.5.5.33", limits={**LIMITS, "give_up_ms": 15000})
    assert_done(board, made)
    assert all(evil.connections for evil in evils)
    for evil in evils:
        evil.close()


def test_corrupt_from_all_but_one(tmp_path: Path, made: Made, honest: Seed) -> None:
    liars = [Evil(made, corrupt, f"127.0.0.{100 + number}") for number in range(4)]
    board = fetch(tmp_path, made, [*(liar.row for liar in liars), ["127.0.0.1", honest.port]], limits=LIMITS)
    assert_done(board, made)
    assert {event["ip"] for event in board.of("bad-piece")} <= {liar.ip for liar in liars}
    assert "127.0.0.1" not in {event["ip"] for event in board.of("banned")}
    for liar in liars:
        assert liar.connections <= 1, "a banned address was dialled again"
        liar.close()


def test_corrupt_from_all(tmp_path: Path, made: Made) -> None:
    liars = [Evil(made, corrupt, f"127.0.0.{110 + number}") for number in range(3)]
    board = fetch(tmp_path, made, [liar.row for liar in liars], limits=LIMITS)
    last = board.events[-1]
    assert last["event"] == "failed" and "sent a corrupt piece (3x)" in last["why"], board.tail()
    assert {event["ip"] for event in board.of("banned")} == {liar.ip for liar in liars}
    for liar in liars:
        liar.close()


def test_liar_that_helps_with_an_honest_peers_piece(tmp_path: Path, made: Made) -> None:
    """Blocks of one piece from two peers: nobody is banned for it, and the piece is fetched anew from one alone."""
    stalled = threading.Event()

    def first_half(wire: Wire) -> None:
        """Honest, and stops after the first block until the other has had its turn."""
        wire.send(1)
        index, begin, length = wire.request()
        wire.piece(index, begin, wire.block(index, begin, length))
        if not stalled.is_set():
            stalled.wait(3)
            return
        while True:
            index, begin, length = wire.request()
            wire.piece(index, begin, wire.block(index, begin, length))

    def liar(wire: Wire) -> None:
        time.sleep(0.3)
        stalled.set()
        corrupt(wire)

    with Evil(made, first_half, "127.0.0.41") as one, Evil(made, liar, "127.0.0.42") as two:
        board = fetch(tmp_path, made, [one.row, two.row], limits={**LIMITS, "give_up_ms": 10000, "lonely_ms": 3000})
    assert_done(board, made)
    assert "127.0.0.41" not in {event["ip"] for event in board.of("banned")}


def test_hundred_connections_at_once(tmp_path: Path, made: Made, honest: Seed) -> None:
    """A board under a flood of connections goes on with its download and keeps its heap."""
    port = free_port("127.0.0.51")
    peers = [["127.0.0.1", honest.port, True]]
    with Board(tmp_path, made, ip="127.0.0.51", port=port, peers=peers, limits=LIMITS) as board:
        board.wait("resumed")
        flood = []
        for number in range(100):
            sock = socket.socket()
            sock.settimeout(1)
            try:
                sock.connect(("127.0.0.51", port))
                sock.sendall(b"\x13BitTorrent protocol" + bytes(8) + made.info_hash + b"-EV0001-%012d" % number)
            except OSError:
                pass
            flood.append(sock)
        board.wait("done", "failed")
        done = assert_done(board, made)
        assert done["heap"] < HEAP
        for sock in flood:
            sock.close()


def test_peer_that_chokes_and_unchokes(tmp_path: Path, made: Made) -> None:
    """It serves what was asked before each choke too: every sector is written once, and what comes twice is bounded."""
    rounds = 4

    def fickle(wire: Wire) -> None:
        wire.send(1)
        for turn in range(10_000):
            asked = wire.request()
            if turn < rounds:
                wire.send(0)
                wire.send(1)
            wire.piece(asked[0], asked[1], wire.block(*asked))

    with Evil(made, fickle) as peer:
        board = fetch(tmp_path, made, [peer.row], limits={**LIMITS, "silent_ms": 3000, "give_up_ms": 20000})
    done = assert_done(board, made)
    assert done["fetched"] == len(made.data) and done["writes"] == 1
    assert done["wasted"] <= rounds * 10 * BLOCK  # a pipeline for each choke


def test_peer_that_never_reads(tmp_path: Path, made: Made) -> None:
    """It asks without end and takes nothing: its requests wait in its own socket, not in our heap."""
    port = free_port("127.0.0.52")
    (tmp_path / "board.slot").write_bytes(made.data + b"\xff" * (-len(made.data) % 4096))
    with Board(tmp_path, made, ip="127.0.0.52", port=port, seed=True, fresh=False, stay=30) as board:
        board.wait("done")
        sock = socket.create_connection(("127.0.0.52", port))
        sock.sendall(b"\x13BitTorrent protocol" + bytes(8) + made.info_hash + b"-EV0001-000000000000")
        sock.sendall(struct.pack(">IB", 1, 2))
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                sock.sendall(struct.pack(">IBIII", 13, 6, 0, 0, BLOCK) * 1000)
        other = fetch(tmp_path, made, [["127.0.0.52", port]], "other", ip="127.0.0.53", limits=LIMITS)
        assert_done(other, made)
        sock.close()


def test_refused_by_its_first_sector(tmp_path: Path, made: Made, honest: Seed) -> None:
    """What the install check refuses ends the download before anything is written."""
    board = fetch(tmp_path, made, [["127.0.0.1", honest.port, True]], limits=LIMITS, refuse=True)
    last = board.events[-1]
    assert last["event"] == "failed" and last["why"] == "refused by its first sector"
    assert last["writes"] == 0


def test_a_liars_first_sector_is_no_refusal(tmp_path: Path, made: Made, honest: Seed) -> None:
    """The check judges genuine bytes alone: a liar that brings piece 0 first cannot have a release refused."""
    with Evil(made, corrupt) as evil:
        board = fetch(tmp_path, made, [evil.row], limits=LIMITS, refuse=True)
    assert board.events[-1]["event"] == "failed"
    assert "corrupt piece" in board.events[-1]["why"]
    assert board.events[-1]["writes"] == 0
