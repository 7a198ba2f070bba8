"""A normal node's one TCP port: the BitTorrent peer wire is told apart by its first byte, the rest is HTTP (aiohttp's).

The first byte is only peeked at, so that whoever takes the connection gets all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from fwnode.net.listener import METHODS, PEER_WIRE

FIRST_S = 5.0  # until the first byte
MAX_OPEN = 256  # connections that say nothing yet, or speak the peer wire
BACKLOG = 128

Factory = Callable[[], asyncio.BaseProtocol]
OnPeer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


class Port:
    """Hands each connection to `http`, a factory of protocols, or to `on_peer(reader, writer, ip)`."""

    def __init__(self, http: Factory, on_peer: OnPeer) -> None:
        self.http = http
        self.on_peer = on_peer
        self.refused = 0
        self._sock: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, host: str, port: int) -> None:
        """Listen; raises OSError. Needs the running event loop."""
        self._sock = socket.create_server((host, port), backlog=BACKLOG)
        self._sock.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._sock))

    async def stop(self) -> None:
        """Stop listening, and end what is open of the peer wire."""
        tasks = [*self._tasks, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, peer = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(1)  # no descriptor left
                continue
            if len(self._tasks) >= MAX_OPEN:
                self.refused += 1
                taken.close()
                continue
            task = asyncio.create_task(self._serve(taken, peer[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket, ip: str) -> None:
        taken = False
        try:
            first = await asyncio.wait_for(_peek(sock), FIRST_S)
            taken = True
            if first and first[0] == PEER_WIRE:
                await self._peer(sock, ip)
            elif first and first[0] in METHODS:
                await asyncio.get_running_loop().connect_accepted_socket(self.http, sock)
            else:
                taken = False
        except (OSError, asyncio.TimeoutError):
            pass  # a stranger's connection that broke concerns nobody else
        finally:
            if not taken:
                sock.close()

    async def _peer(self, sock: socket.socket, ip: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await reader.readexactly(1)
            await self.on_peer(reader, writer, ip)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _peek(sock: socket.socket) -> bytes:
    """The first byte, left where it is; empty when the other side has ended."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            pass
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(sock.fileno(), _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(sock.fileno())


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
