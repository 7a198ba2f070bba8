"""Boards among aria2 clients, with the mini tracker between them: fetching, seeding, one swarm, HTTP and UDP."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "system"))

from swarm_support import PIECE, Board, Made, Tracking, assert_done, free_port, seeded

ARIA2 = shutil.which("aria2c")
pytestmark = pytest.mark.skipif(ARIA2 is None, reason="aria2c is not installed")
LIMITS = {"tick_ms": 100, "retry_ms": 200}


@contextmanager
def aria2(folder: Path, torrent: bytes, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """aria2 at work on a torrent in `folder`; it goes on seeding until the end."""
    folder.mkdir(exist_ok=True)
    file = folder / "release.torrent"
    file.write_bytes(torrent)
    command = [
        str(ARIA2),
        f"--dir={folder}",
        f"--listen-port={free_port()}",
        "--seed-ratio=0.0",
        "--enable-dht=false",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
        "--file-allocation=none",
        "--bt-tracker-connect-timeout=5",
        "--console-log-level=warn",
        "--summary-interval=0",
        *options,
        str(file),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(folder: Path, made: Made, timeout: float = 60) -> None:
    """Until aria2 has the whole file."""
    target = folder / "image.bin"
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if target.exists() and target.read_bytes() == made.data:
            return
        time.sleep(0.1)
    raise AssertionError(f"aria2 has not the whole file after {timeout} s")


def slot_of(folder: Path, made: Made, name: str) -> None:
    (folder / f"{name}.slot").write_bytes(made.data + b"\xff" * (-len(made.data) % 4096))


def test_aria2_fetches_from_a_board(tmp_path: Path) -> None:
    made = Made(tmp_path, 24 * PIECE + 99)
    port = free_port("127.0.0.91")
    slot_of(tmp_path, made, "board")
    with Tracking(made.info_hash) as tracking:
        url = tracking.http
        with Board(
            tmp_path, made, ip="127.0.0.91", port=port, trackers=[url], seed=True, fresh=False, stay=100, limits=LIMITS
        ) as board:
            board.wait("tracker")
            with aria2(tmp_path / "aria2", made.metainfo(url)):
                wait_for(tmp_path / "aria2", made)


def test_board_fetches_from_aria2(tmp_path: Path) -> None:
    made = Made(tmp_path, 24 * PIECE + 99)
    folder = tmp_path / "aria2"
    folder.mkdir()
    shutil.copy(made.folder / "image.bin", folder)
    with Tracking(made.info_hash) as tracking:
        url = tracking.http
        with aria2(folder, made.metainfo(url), "--check-integrity=true"):
            tracking.until(1)
            with Board(tmp_path, made, ip="127.0.0.92", port=free_port("127.0.0.92"), trackers=[url]) as board:
                board.wait("done", "failed", timeout=60)
            assert_done(board, made)


def test_boards_aria2_and_libtorrent_in_one_swarm(tmp_path: Path) -> None:
    """A libtorrent seed of limited upload, two boards, two aria2: all are whole in the end."""
    made = Made(tmp_path, 40 * PIECE + 1)
    with Tracking(made.info_hash) as tracking:
        http, udp = tracking.http, tracking.udp
        seed = seeded(made, rate=500_000, tracker=udp)
        boards = [
            Board(tmp_path, made, ip, ip=ip, port=free_port(ip), trackers=[http], stay=100, limits=LIMITS)
            for ip in ("127.0.0.93", "127.0.0.94")
        ]
        try:
            dht = ["--enable-dht=true", f"--dht-listen-port={free_port()}"]  # without it aria2 asks no UDP tracker
            with aria2(tmp_path / "one", made.metainfo(http)), aria2(tmp_path / "two", made.metainfo(udp), *dht):
                for board in boards:
                    board.wait("done", "failed", timeout=60)
                    assert_done(board, made)
                wait_for(tmp_path / "one", made)
                wait_for(tmp_path / "two", made)
        finally:
            for board in boards:
                board.stop()
            seed.stop()
