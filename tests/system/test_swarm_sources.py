"""Trackers and web seeds, good and bad: where a board's bytes come from when its list of peers is no help."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from swarm_support import PIECE, Board, Client, Evil, Made, Tracking, Wire, assert_done, fetch, free_port, seeded

from fwchain.seed import Seed

LIMITS = {
    "tick_ms": 50,
    "silent_ms": 700,
    "slow_ms": 700,
    "choke_ms": 700,
    "lonely_ms": 1200,
    "give_up_ms": 5000,
    "connect_ms": 700,
    "retry_ms": 50,
    "web_ms": 300,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def honest(made: Made) -> Iterator[Seed]:
    seed = seeded(made)
    yield seed
    seed.stop()


class Web:
    """A small HTTP server on a thread: `answer(path, headers) -> bytes` is the whole answer, None hangs."""

    def __init__(self, answer: Callable[[str, str], bytes | None], ip: str = "127.0.0.71") -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.listener = socket.create_server((ip, 0))
        self.url = f"http://{ip}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            path = head.split()[1].decode()
            self.requests.append(path)
            data = self.answer(path, head.decode())
            if data is None:
                sock.recv(1)
            else:
                sock.sendall(data)
        except OSError:
            pass
        finally:
            sock.close()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()


def ok(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def compact(*rows: tuple[str, int]) -> bytes:
    peers = b"".join(socket.inet_aton(ip) + struct.pack(">H", port) for ip, port in rows)
    return b"d8:intervali1800e5:peers%d:%be" % (len(peers), peers)


# ---- trackers


def test_board_finds_peers_by_the_tracker_and_is_found(tmp_path: Path, made: Made) -> None:
    """Seed to board to libtorrent, with the mini tracker as their only acquaintance."""
    port = free_port("127.0.0.72")
    with Tracking(made.info_hash) as tracking:
        seed = seeded(made, tracker=tracking.udp)
        tracking.until(1)
        trackers = [tracking.http]
        with Board(tmp_path, made, ip="127.0.0.72", port=port, trackers=trackers, limits=LIMITS, stay=60) as board:
            board.wait("done", "failed")
            assert_done(board, made)
            seed.stop()
            with Client("127.0.0.73") as client:
                client.add(made.metainfo(tracking.http), tmp_path / "lt")
                client.finish()
            assert ("127.0.0.72", port, True) in tracking.peers()


BAD_TRACKERS = {
    "hangs": (lambda path, head: None, "within"),
    "garbage": (lambda path, head: ok(b"\xff\xfe{]"), "bencode"),
    "not-http": (lambda path, head: b"\x00\x01\x02\r\n\r\n", "status line"),
    "redirects": (lambda path, head: ok(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"), "status 302"),
    "error": (lambda path, head: ok(b"d14:failure reason4:nope e"), "bencode"),
    "refuses": (lambda path, head: ok(b"d14:failure reason4:nopee"), "nope"),
    "huge": (lambda path, head: ok(b"d5:peers60000:" + bytes(60000) + b"e"), "limit"),
    "odd-peers": (lambda path, head: ok(b"d8:intervali60e5:peers7:1234567e"), "no known form"),
}


@pytest.mark.parametrize("kind", BAD_TRACKERS)
def test_bad_tracker(tmp_path: Path, made: Made, honest: Seed, kind: str) -> None:
    """The next tracker of the release is asked; with none left the download says what the tracker did."""
    answer, why = BAD_TRACKERS[kind]
    good = compact(("127.0.0.1", honest.port))
    with Web(answer) as bad, Web(lambda path, head: ok(good), "127.0.0.74") as second:
        limits = {**LIMITS, "announce_ms": 500}
        urls = [bad.url + "/announce", second.url + "/announce"]
        with (
            Board(tmp_path, made, "two", port=free_port(), trackers=urls, limits=limits) as two,
            Board(tmp_path, made, "one", port=free_port(), trackers=urls[:1], limits=limits) as one,
        ):
            two.wait("done", "failed")
            one.wait("done", "failed")
    assert_done(two, made)
    assert bad.requests and "info_hash=" in bad.requests[0]
    assert one.events[-1]["event"] == "failed" and why in one.events[-1]["why"], one.tail()


def test_tracker_that_lies_about_peers(tmp_path: Path, made: Made, honest: Seed) -> None:
    """Addresses nobody listens on, the board itself, ports and addresses that no peer has: the honest one is found."""
    port = free_port("127.0.0.75")
    rows = [("127.0.0.9", 1025 + number) for number in range(20)]
    rows += [("127.0.0.75", port), ("127.0.0.1", 22), ("239.1.2.3", 5000), ("0.0.0.0", 5000), ("255.255.255.255", 9999)]
    rows += [("127.0.0.1", honest.port)]
    with Web(lambda path, head: ok(compact(*rows))) as web:
        board = fetch(tmp_path, made, [], ip="127.0.0.75", port=port, trackers=[web.url + "/announce"], limits=LIMITS)
    assert_done(board, made)


# ---- web seeds


def ranged(data: bytes) -> Callable[[str, str], bytes]:
    """A web seed that grants ranges."""

    def answer(path: str, head: str) -> bytes:
        if not path.endswith("/image.bin"):
            return ok(b"", "404 Not Found")
        for line in head.split("\r\n"):
            if line.lower().startswith("range: bytes="):
                start, end = (int(part) for part in line[13:].split("-"))
                return ok(data[start : end + 1], "206 Partial Content")
        return ok(data)

    return answer


def test_web_seed_when_there_is_no_peer(tmp_path: Path, made: Made) -> None:
    with Web(ranged(made.data)) as web:
        board = fetch(tmp_path, made, [], web_seeds=[web.url + "/firmware/"], limits=LIMITS)
    done = assert_done(board, made)
    assert done["writes"] == 1
    assert sum(done["stats"]["web 127.0.0.71"]) == len(made.data)


def test_web_seed_when_peers_are_slow(tmp_path: Path, made: Made) -> None:
    def slow(wire: Wire) -> None:
        wire.send(1)
        while True:
            index, begin, length = wire.request()
            wire.sock.sendall(struct.pack(">IBII", 9 + length, 7, index, begin))
            data = wire.block(index, begin, length)
            for at in range(0, length, 500):
                wire.sock.sendall(data[at : at + 500])
                threading.Event().wait(0.1)

    with Web(ranged(made.data)) as web, Evil(made, slow) as peer:
        board = fetch(tmp_path, made, [peer.row], web_seeds=[web.url + "/image.bin"], limits=LIMITS)
    done = assert_done(board, made)
    assert done["stats"]["web 127.0.0.71"][0] > len(made.data) // 2


def test_web_seed_that_lies(tmp_path: Path, made: Made, honest: Seed) -> None:
    wrong = bytes([made.data[0] ^ 1]) + made.data[1:]
    liar = bytearray(made.data)
    for at in range(0, len(liar), PIECE):
        liar[at] ^= 1
    with Web(ranged(bytes(liar))) as web:
        alone = fetch(tmp_path, made, [], "alone", web_seeds=[web.url + "/"], limits=LIMITS)
    assert alone.events[-1]["event"] == "failed" and "corrupt piece" in alone.events[-1]["why"], alone.tail()
    with Web(ranged(wrong)) as web:
        both = fetch(tmp_path, made, [["127.0.0.1", honest.port]], "both", web_seeds=[web.url + "/"], limits=LIMITS)
    assert_done(both, made)


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "302 Found", "503 Service Unavailable"])
def test_web_seed_without_ranges(tmp_path: Path, made: Made, status: str) -> None:
    with Web(lambda path, head: ok(made.data, status)) as web:
        board = fetch(tmp_path, made, [], web_seeds=[web.url + "/"], limits=LIMITS)
    assert board.events[-1]["event"] == "failed" and "status " + status[:3] in board.events[-1]["why"], board.tail()
    assert board.events[-1]["writes"] == 0


def test_nobody_at_all(tmp_path: Path, made: Made) -> None:
    """No peer, no tracker, no web seed: the error says so."""
    board = fetch(tmp_path, made, [["127.0.0.9", 1025]], limits=LIMITS)
    why = board.events[-1]["why"]
    assert board.events[-1]["event"] == "failed"
    assert "no source for 11 of 11 pieces" in why and "127.0.0.9:1025" in why and "no web seed" in why
