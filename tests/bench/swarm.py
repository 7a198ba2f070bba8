"""Measure the swarm: a board's download against libtorrent's, and sixteen boards against sixteen HTTP downloads.

    python tests/bench/swarm.py [--rounds N] [--boards N] [--rate BYTES] [--only download|swarm] [--json]

Everything is a ratio within one run, of the best of several turns. The board is a virtual board with a 192 KB heap that
writes its flash file (and, to tell the flash's part, a process that writes a plain file); the sixteen are MicroPython
processes with files. The limited server gives the same bytes a second to both.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "system"))

from swarm_support import (  # noqa: E402
    DEVICE,
    PIECE,
    TESTS,
    Board,
    Client,
    Made,
    Tracking,
    compiled,
    fetch,
    free_port,
    seeded,
)

from fwchain.board.image import build_image  # noqa: E402
from fwchain.board.virtual import VirtualBoard  # noqa: E402

SIZE = 48 * PIECE  # 1.5 MiB
LEAST = {"of libtorrent": 0.25, "of the floor": 0.5, "swarm against HTTP": 6.0}
MOST_COPIES = 2.5


def median(values: list[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def libtorrent(folder: Path, made: Made, url: str, ip: str) -> float:
    """Milliseconds that a libtorrent client takes through the tracker."""
    shutil.rmtree(folder, ignore_errors=True)
    with Client(ip) as client:
        start = time.perf_counter()
        client.add(made.metainfo(url), folder)
        while not client.handle.status().is_seeding:
            if time.perf_counter() - start > 30:
                raise SystemExit("libtorrent: not complete after 30 s")
            time.sleep(0.0005)
        return (time.perf_counter() - start) * 1000


def image_of(made: Made, port: int, rounds: int) -> bytes:
    """The virtual board's firmware: fwnode, the bench's half, and what it is asked to do."""
    files = {str(path.relative_to(DEVICE)): path.read_bytes() for path in sorted((DEVICE / "fwnode").rglob("*.py"))}
    files["main.py"] = (HERE / "swarm_on_board.py").read_bytes()
    files["swarm_parts.py"] = (TESTS / "both" / "swarm_parts.py").read_bytes()
    wish = {"release": made.row(), "peers": [["127.0.0.1", port, True]], "rounds": rounds}
    files["wish.json"] = json.dumps(wish).encode()
    return build_image("bench", "1.0.0", files, optimise=2)


def on_board(folder: Path, made: Made, port: int, rounds: int) -> list[dict[str, Any]]:
    """The board's rounds."""
    with VirtualBoard.create(folder) as board:
        board.flash_image(0, image_of(made, port, rounds))
        board.start()
        rows: list[dict[str, Any]] = []
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for event in board.events():
                if event["event"] == "round":
                    rows.append(event)
                elif event["event"] == "over":
                    return rows
            time.sleep(0.02)
        raise SystemExit("the board did not finish:\n" + board.console()[-3000:])


def bench_download(folder: Path, rounds: int) -> dict[str, Any]:
    """A board from a libtorrent seed, against libtorrent from the same seed, by turns."""
    made = Made(folder, SIZE, 2)
    tracking = Tracking(made.info_hash)
    seed = seeded(made, tracker=tracking.http)
    tracking.until(1)
    compiled()
    theirs, ours, plain = [], [], []
    for number in range(3):
        for turn in range(max(1, rounds // 3)):
            theirs.append(libtorrent(folder / "lt", made, tracking.http, f"127.0.{2 + number}.{1 + turn}"))
            board = fetch(folder, made, [["127.0.0.1", seed.port, True]], "plain", events=False)
            plain.append(float(board.events[-1]["ms"]))
        ours += on_board(folder / f"board{number}", made, seed.port, max(1, rounds // 3))
    seed.stop()
    tracking.stop()
    wanted = hashlib.sha256(made.data).hexdigest()
    if any(row["verifier"] != wanted for row in ours):
        raise SystemExit("a board's verifier is wrong")
    download = min(row["download"] for row in ours)
    whole = min(row["whole"] for row in ours)
    floor = min(row["floor"] for row in ours)
    return {
        "libtorrent ms": round(min(theirs), 1),
        "board ms": round(download, 1),
        "board with verifier ms": round(whole, 1),
        "flash, SHA-1, SHA-256 alone ms": round(floor, 1),
        "board to a plain file ms": round(min(plain), 1),
        "of libtorrent": round(min(theirs) / download, 3),
        "of libtorrent, median of rounds": round(median(theirs) / median([row["download"] for row in ours]), 3),
        "of libtorrent, to a plain file": round(min(theirs) / min(plain), 3),
        "of the floor": round(floor / whole, 3),
        "of the floor, median of rounds": round(median([row["floor"] / row["whole"] for row in ours]), 3),
        "sectors erased": max(row["sectors"] for row in ours),
        "sectors in the release": SIZE // 4096,
        "bytes programmed": max(row["bytes"] for row in ours),
        "heap after": max(row["heap"] for row in ours),
    }


class Limited:
    """An HTTP server that gives `rate` bytes a second in all, fairly by 16 KiB."""

    def __init__(self, data: bytes, rate: int) -> None:
        self.data = data
        self.rate = rate
        self.next = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One download."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.data))
        for at in range(0, len(self.data), 16384):
            part = self.data[at : at + 16384]
            now = time.monotonic()
            self.next = max(self.next, now) + len(part) / self.rate
            await asyncio.sleep(self.next - now)
            writer.write(part)
            await writer.drain()
        writer.close()


async def over_http(data: bytes, rate: int, clients: int) -> float:
    """Seconds until `clients` plain downloads from the limited server are whole."""
    server = await asyncio.start_server(Limited(data, rate).serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        if hashlib.sha256(await reader.readexactly(len(data))).digest() != hashlib.sha256(data).digest():
            raise SystemExit("HTTP: wrong bytes")
        writer.close()

    start = time.monotonic()
    await asyncio.gather(*(one() for _ in range(clients)))
    took = time.monotonic() - start
    server.close()
    return took


def bench_swarm(folder: Path, boards: int, rate: int) -> dict[str, Any]:
    """All boards begin at once and know the seed and the tracker; the time is from first process to last end."""
    compiled()
    made = Made(folder, SIZE, 3)
    tracking = Tracking(made.info_hash)
    seed = seeded(made, rate=rate)
    ips = [f"127.0.1.{number + 1}" for number in range(boards)]
    start = time.monotonic()
    running = [
        Board(
            folder,
            made,
            ip,
            ip=ip,
            port=free_port(ip),
            peers=[["127.0.0.1", seed.port, True]],
            trackers=[tracking.http],
            events=False,
            stay=120,
        )
        for ip in ips
    ]
    try:
        dones = [board.wait("done", "failed", timeout=120) for board in running]
        took = time.monotonic() - start
        wanted = hashlib.sha256(made.data).hexdigest()
        if any(done.get("verifier") != wanted for done in dones):
            raise SystemExit("a board failed: " + str([done.get("why") for done in dones]))
        copies = seed.uploaded() / len(made.data)
    finally:
        for board in running:
            board.stop()
        seed.stop()
        tracking.stop()
    plain = asyncio.run(over_http(made.data, rate, boards))
    return {
        "boards": boards,
        "seed's limit": rate,
        "HTTP s": round(plain, 2),
        "swarm s": round(took, 2),
        "swarm against HTTP": round(plain / took, 2),
        "copies from the seed": round(copies, 2),
        "bytes twice": sum(done["wasted"] for done in dones),
        "sector writes at most": max(done["writes"] for done in dones),
    }


def main() -> int:
    """Measure and print; exit code 1 when a ratio is not what is promised."""
    parser = argparse.ArgumentParser(description="Downloads and swarms of boards, as ratios within one run.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--boards", type=int, default=16)
    parser.add_argument("--rate", type=int, default=500_000, help="the limited server's bytes a second")
    parser.add_argument("--only", choices=["download", "swarm"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        if options.only != "swarm":
            result |= bench_download(Path(name), options.rounds)
        if options.only != "download":
            result |= bench_swarm(Path(name), options.boards, options.rate)
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:34} {value}" + (f"  (least {LEAST[key]})" if key in LEAST else ""))
    low = any(result.get(key, 99) < least for key, least in LEAST.items())
    return int(low or result.get("copies from the seed", 0) > MOST_COPIES)


if __name__ == "__main__":
    sys.exit(main())
