"""The peer wire as scripted peers see it: what a board says, when, and what it bears from others (BEP 3)."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from swarm_support import BLOCK, Board, Evil, Made, Wire, assert_done, fetch, free_port

LIMITS = {"tick_ms": 50, "silent_ms": 20000, "slow_ms": 20000, "give_up_ms": 25000, "retry_ms": 50}
CHOKE, UNCHOKE, INTERESTED, NOT_INTERESTED, HAVE, BITFIELD, REQUEST, PIECE, CANCEL = range(9)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("release"))


def serve(wire: Wire) -> None:
    """An honest peer."""
    wire.send(UNCHOKE)
    while True:
        asked = wire.request()
        wire.piece(asked[0], asked[1], wire.block(*asked))


@contextmanager
def seeding(folder: Path, made: Made, **wish: object) -> Iterator[tuple[Board, int]]:
    """A board that has the whole release, and its port."""
    port = free_port("127.0.0.54")
    (folder / "board.slot").write_bytes(made.data + b"\xff" * (-len(made.data) % 4096))
    with Board(folder, made, ip="127.0.0.54", port=port, seed=True, fresh=False, stay=60, **wish) as board:
        board.wait("done")
        yield board, port


def caller(made: Made, port: int) -> Wire:
    """A connection to the board, greeted; the board's bitfield is read."""
    wire = Wire(socket.create_connection(("127.0.0.54", port), 20), made)
    wire.hello()
    greeting = wire.exactly(68)
    assert greeting[:20] == b"\x13BitTorrent protocol" and greeting[28:48] == made.info_hash
    assert greeting[48:56] == b"-FW0001-"  # BEP 20
    number, bits = wire.message()
    assert number == BITFIELD and len(bits) == (made.release.piece_count + 7) // 8
    return wire


def test_what_a_board_bears(tmp_path: Path, made: Made) -> None:
    """All reserved bits, an ID of no known form, keep-alives, extensions, `have` before and instead of a bitfield."""

    def odd(wire: Wire) -> None:
        wire.exactly(68)
        wire.sock.sendall(b"\x13BitTorrent protocol" + b"\xff" * 8 + made.info_hash + os.urandom(20))
        wire.send(HAVE, struct.pack(">I", 2))
        wire.sock.sendall(bytes(8))  # two keep-alives
        wire.send(20, bytes(300))
        wire.send(9, struct.pack(">H", 6881))
        wire.send(UNCHOKE)
        for index in range(made.release.piece_count):
            wire.send(HAVE, struct.pack(">I", index))
        serve(wire)

    with Evil(made, odd, greet=False) as peer:
        assert_done(fetch(tmp_path, made, [peer.row], limits=LIMITS), made)
        assert peer.connections == 1


def test_interest_follows_what_the_peer_has(tmp_path: Path, made: Made) -> None:
    """No interest in a peer without anything; interest with its first piece that is missing; none in the end."""
    seen: list[int] = []
    content = threading.Event()

    def poor(wire: Wire) -> None:
        wire.exactly(68)
        wire.hello()
        wire.bitfield(bytes((made.release.piece_count + 7) // 8))
        wire.send(INTERESTED)  # so that the board lets it stay
        wire.send(UNCHOKE)
        wire.sock.settimeout(0.5)
        try:
            while True:
                seen.append(wire.message()[0])
        except TimeoutError:
            assert INTERESTED not in seen
        wire.sock.settimeout(None)
        for index in range(made.release.piece_count):
            wire.send(HAVE, struct.pack(">I", index))
        while True:
            number, body = wire.message()
            seen.append(number)
            if number == NOT_INTERESTED:
                content.set()
            elif number == REQUEST:
                asked = struct.unpack(">III", body)
                wire.piece(asked[0], asked[1], wire.block(*asked))

    with (
        Evil(made, poor, greet=False) as peer,
        Board(tmp_path, made, peers=[peer.row], limits=LIMITS, stay=30) as board,
    ):
        board.wait("done", "failed")
        assert_done(board, made)
        assert content.wait(20)
    assert seen.index(INTERESTED) < seen.index(REQUEST) < seen.index(NOT_INTERESTED)


def test_endgame(tmp_path: Path, made: Made) -> None:
    """What one peer was asked for and does not bring is asked of another, and called off where it was asked first."""
    asked: set[tuple[int, ...]] = set()
    called_off: set[tuple[int, ...]] = set()

    def stuck(wire: Wire) -> None:
        wire.send(UNCHOKE)
        while True:
            number, body = wire.message()
            if number == REQUEST:
                asked.add(struct.unpack(">III", body))
            elif number == CANCEL:
                called_off.add(struct.unpack(">III", body))

    for turn in range(3):  # on a busy machine the fast peer may have given all before the slow one was asked
        folder = tmp_path / str(turn)
        folder.mkdir()
        with Evil(made, stuck, "127.0.0.43") as slow, Evil(made, serve, "127.0.0.44") as fast:
            board = fetch(folder, made, [slow.row, fast.row], limits=LIMITS)
        done = assert_done(board, made)
        assert done["writes"] == 1 and done["wasted"] == 0
        if called_off:
            break
    assert asked and called_off and called_off <= asked


def test_near_peers_are_dialled_first(tmp_path: Path, made: Made) -> None:
    """With room for one, the peer whose address is nearest is called, whatever the order of the list."""
    places = ["127.44.0.1", "127.0.9.1", "127.0.0.45", "127.0.44.1"]
    peers = [Evil(made, serve, ip) for ip in places]
    rows = [[peer.ip, peer.port] for peer in peers]
    board = fetch(tmp_path, made, rows, ip="127.0.0.46", limits={**LIMITS, "sources": 1})
    assert_done(board, made)
    assert [peer.connections for peer in peers] == [0, 0, 1, 0]
    for peer in peers:
        peer.close()


def test_cancel_and_pipelined_requests(tmp_path: Path, made: Made) -> None:
    """Ten requests at once are served in their order, but for the two that are called off."""
    with seeding(tmp_path, made, up_rate=400_000) as (_, port):
        wire = caller(made, port)
        wire.send(INTERESTED)
        while wire.message()[0] != UNCHOKE:
            pass
        spans = [struct.pack(">III", index, begin, BLOCK) for index in range(5) for begin in (0, BLOCK)]
        burst = b"".join(struct.pack(">IB", 13, REQUEST) + span for span in spans)
        burst += b"".join(struct.pack(">IB", 13, CANCEL) + spans[number] for number in (4, 7))
        wire.sock.sendall(burst)
        for number in (0, 1, 2, 3, 5, 6, 8, 9):
            kind, body = wire.message()
            index, begin, _ = struct.unpack(">III", spans[number])
            assert kind == PIECE and body[:8] == spans[number][:8]
            assert body[8:] == wire.block(index, begin, BLOCK)
        wire.sock.close()


def test_nothing_is_served_while_choked(tmp_path: Path, made: Made) -> None:
    """A request before `interested` and `unchoke` is forgotten, not kept."""
    with seeding(tmp_path, made) as (_, port):
        wire = caller(made, port)
        wire.send(REQUEST, struct.pack(">III", 1, 0, BLOCK))
        wire.send(INTERESTED)
        assert wire.message()[0] == UNCHOKE
        wire.send(REQUEST, struct.pack(">III", 2, 0, BLOCK))
        kind, body = wire.message()
        assert kind == PIECE and body[:8] == struct.pack(">II", 2, 0)
        wire.sock.close()


def test_keep_alive(tmp_path: Path, made: Made) -> None:
    """A silent connection ends in time; one that sends keep-alives stays, and gets some, too."""
    with seeding(tmp_path, made, limits={"idle_ms": 1200, "tick_ms": 50}) as (_, port):
        silent, alive = caller(made, port), caller(made, port)
        ended = threading.Event()

        def until_the_end() -> None:
            while silent.sock.recv(100):
                pass
            ended.set()

        threading.Thread(target=until_the_end, daemon=True).start()
        for _ in range(100):
            alive.sock.sendall(bytes(4))
            if ended.wait(0.2):
                break
        assert ended.is_set()
        assert alive.exactly(4) == bytes(4)
        alive.send(INTERESTED)
        assert alive.message()[0] == UNCHOKE
        alive.sock.close()
        silent.sock.close()
