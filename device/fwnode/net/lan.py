"""The broadcast of the local network: UDP multicast, TTL 1, one message a datagram, sent three times.

A datagram stays below 1,200 bytes, since an ESP32 does not put IPv4 fragments together.
"""

import asyncio
import errno
import hashlib
import socket

from fwnode.compat import MICROPYTHON, const
from fwnode.net import NetError
from fwnode.net.tcp import address

MAX_DATAGRAM = const(1200)
_REPEATS = const(3)
_SEEN = const(64)  # datagrams remembered, so that repeats cost one hash
DIGEST = const(8)  # bytes of each one's hash
_REPEAT_MS = const(60)
IP_MULTICAST_IF = const(32)  # Linux's number; only loopback needs it

if MICROPYTHON:
    from asyncio import core  # type: ignore[attr-defined]

    def _readable(sock):  # type: ignore[no-untyped-def]
        yield core._io_queue.queue_read(sock)

else:

    async def _readable(sock) -> None:  # type: ignore[no-untyped-def]
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(sock.fileno(), lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(sock.fileno())


def _packed(ip: str) -> bytes:
    return bytes(int(part) for part in ip.split("."))


def _where(ip: str, port: int):  # type: ignore[no-untyped-def]
    return socket.getaddrinfo(ip, port)[0][-1]


class Lan:
    """Multicast to and from (`group`, `port`), leaving from the address `local` when one is given."""

    def __init__(self, group: str, port: int, local: str | None = None) -> None:
        """Open both sockets; raises NetError."""
        self.group = _where(group, port)
        self.dropped = 0
        self._seen = bytearray(DIGEST * _SEEN)
        self._next = 0
        self._room: bytearray | None = bytearray(MAX_DATAGRAM + 1)
        interface = _packed("127.0.0.1" if local and local.startswith("127.") else local or "0.0.0.0")
        try:
            self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._in.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Linux filters by the group only when the socket is bound to it; lwIP binds to any address
            self._in.bind(_where(group if local else "0.0.0.0", port))
            self._in.setsockopt(0, socket.IP_ADD_MEMBERSHIP, _packed(group) + interface)
            self._in.setblocking(False)
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            if local:
                self._out.bind(_where(local, 0))
            if local and local.startswith("127."):
                self._out.setsockopt(0, IP_MULTICAST_IF, interface)
        except OSError as error:
            raise NetError("multicast {}:{}: {}".format(group, port, error))

    def close(self) -> None:
        """Leave the group."""
        self._in.close()
        self._out.close()

    async def broadcast(self, data: bytes) -> None:
        """Send `data` three times; raises NetError when it is larger than a datagram may be."""
        if len(data) > MAX_DATAGRAM:
            raise NetError("broadcast: {} bytes, limit {}".format(len(data), MAX_DATAGRAM))
        for turn in range(_REPEATS):
            if turn:
                await asyncio.sleep(_REPEAT_MS / 1000)
            try:
                self._out.sendto(data, self.group)
            except OSError:
                self.dropped += 1  # no route for a moment: the repeats are there for that

    async def receive(self) -> tuple:
        """(datagram, sender's IP) of the next message that was not just seen."""
        while True:
            await _readable(self._in)
            self._room = None  # kept for this moment: a heap in pieces has no other place for a whole datagram
            try:
                data, raw = self._in.recvfrom(MAX_DATAGRAM + 1)
                self._room = bytearray(MAX_DATAGRAM + 1)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise NetError("multicast: {}".format(error))
                continue
            except MemoryError:
                self.dropped += 1
                await asyncio.sleep(_REPEAT_MS / 1000)  # it is sent three times
                continue
            if len(data) > MAX_DATAGRAM or not data:
                self.dropped += 1
                continue
            if self._new(data):
                return data, address(raw)[0]

    def again(self) -> None:
        """The datagram that was received last may come again: there was no room for it."""
        self._next = (self._next - DIGEST) % len(self._seen)
        self._seen[self._next : self._next + DIGEST] = bytes(DIGEST)

    def _new(self, data: bytes) -> bool:
        digest = hashlib.sha256(data).digest()[:DIGEST]
        if self._seen.find(digest) >= 0:
            return False
        self._seen[self._next : self._next + DIGEST] = digest
        self._next = (self._next + DIGEST) % len(self._seen)
        return True
