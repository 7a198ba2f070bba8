"""Talking to a tracker in its own event loop, over HTTP and UDP, from an address of one's choice."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from fwchain.tracker import Tracker

HASH = bytes(range(100, 120))
PEER = b"-XX0001-abcdefghijkl"
MAGIC = 0x41727101980


def with_tracker(body: Callable[[Tracker], Awaitable[None]], host: str = "127.0.0.1", **options: Any) -> None:
    """Run `body(tracker)` against a started tracker that serves HASH."""

    async def run() -> None:
        fallback = options.pop("fallback", None)
        tracker = Tracker(**options)
        await tracker.start(host, 0, fallback)
        tracker.allow(HASH)
        try:
            await asyncio.wait_for(body(tracker), 20)
        finally:
            await tracker.stop()

    asyncio.run(run())


async def raw(tracker: Tracker, data: bytes, ip: str = "127.0.0.1") -> bytes:
    """Send bytes over TCP from `ip` and read to the end."""
    host = "::1" if ":" in ip else "127.0.0.1"
    reader, writer = await asyncio.open_connection(host, tracker.port, local_addr=(ip, 0))
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def get(tracker: Tracker, path: str, ip: str = "127.0.0.1") -> bytes:
    """The body of a GET from `ip`."""
    answer = await raw(tracker, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(), ip)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
    return body


async def announce(tracker: Tracker, port: int = 5000, ip: str = "127.0.0.1", **more: Any) -> bytes:
    """The body of an announce; `more` are further query fields."""
    fields = {"info_hash": HASH, "peer_id": PEER, "port": port, "left": 1, "compact": 1, **more}
    query = "&".join(f"{name}={quote(value)}" for name, value in ((n, _text(v)) for n, v in fields.items()))
    return await get(tracker, "/announce?" + query, ip)


def _text(value: Any) -> str | bytes:
    return value if isinstance(value, bytes) else str(value)


class Udp:
    """A UDP client."""

    def __init__(self, tracker: Tracker, ip: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((ip, 0))
        self.sock.setblocking(False)
        self.to = ("::1" if ":" in ip else "127.0.0.1", tracker.port)

    async def ask(self, packet: bytes, wait: float = 2) -> bytes | None:
        """The answer, or None when none comes."""
        loop = asyncio.get_running_loop()
        self.sock.sendto(packet, self.to)  # loop.sock_sendto came with Python 3.11
        try:
            return await asyncio.wait_for(loop.sock_recv(self.sock, 4096), wait)
        except asyncio.TimeoutError:
            return None

    async def connect(self) -> bytes:
        """A connection ID."""
        answer = await self.ask(struct.pack(">QII", MAGIC, 0, 7))
        assert answer is not None
        action, transaction, connection = struct.unpack(">II8s", answer)
        assert (action, transaction) == (0, 7)
        return bytes(connection)

    @staticmethod
    def packet(connection: bytes, port: int = 6000, left: int = 1, event: int = 2, want: int = -1) -> bytes:
        """An announce of 98 bytes."""
        head = struct.pack(">8sII20s20sqqqIIIiH", connection, 1, 9, HASH, PEER, 0, left, 0, event, 0, 0, want, port)
        assert len(head) == 98
        return head

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
