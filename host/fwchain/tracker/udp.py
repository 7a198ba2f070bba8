"""The tracker over UDP (BEP 15, scrape BEP 48, IPv6 BEP 7): a socket drained at each wake-up, no table of connections.

A connection ID is a keyed hash over the sender's address and a window of a minute, so nothing is kept for a packet
whose sender may be forged, and no answer to one is larger than what it sent.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from hashlib import blake2b
from hmac import compare_digest

from fwchain.tracker.core import MAX_SCRAPE, Core, Refused, packed

MAGIC = struct.pack(">Q", 0x41727101980)
WINDOW_S = 60
DRAIN = 64  # packets at one wake-up
EVENTS = (b"", b"completed", b"started", b"stopped")
HEAD = struct.Struct(">8sII")
ANNOUNCE = struct.Struct(">8sII20s20x8xq8xI4x4xi2s")  # head, action, transaction, info-hash, left, event, wanted, port
ANSWER = struct.Struct(">IIIII")
CONNECTED = struct.Struct(">II8s")
MAX_SENDERS = 10_000


class UdpFace:
    """One UDP socket on an event loop."""

    def __init__(self, core: Core, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self.core = core
        self.loop = loop
        self.sock = sock
        self.buffer = bytearray(2048)
        self._window = -1
        self._keys: tuple[bytes, bytes] = (b"", b"")
        self._senders: dict[str, tuple[bytes, bytes, bytes]] = {}  # text -> address, connection ID, the one before
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._drain)

    def close(self) -> None:
        """Close the socket."""
        self.loop.remove_reader(self.sock.fileno())
        self.sock.close()

    def _drain(self) -> None:
        buffer = self.buffer
        recv = self.sock.recvfrom_into
        send = self.sock.sendto
        handle = self.handle
        self._rekey()
        for _ in range(DRAIN):
            try:
                size, sender = recv(buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier answer
            if size < 16:
                continue
            answer = handle(buffer, size, sender)
            if answer:
                try:
                    send(answer, sender)
                except OSError:
                    self.core.counts["refused: unreachable"] += 1

    def _key(self, window: int) -> bytes:
        return blake2b(window.to_bytes(8, "big", signed=True), key=self.core.secret, digest_size=32).digest()

    def _rekey(self) -> None:
        window = self.core.now // WINDOW_S
        if window != self._window:
            self._window = window
            self._keys = (self._key(window), self._key(window - 1))
            self._senders.clear()

    def _sender(self, host: str) -> tuple[bytes, bytes, bytes]:
        """The sender's packed address and its two valid connection IDs; remembered for the window, up to a cap."""
        address = packed(host)
        new, old = (blake2b(address, digest_size=8, key=key).digest() for key in self._keys)
        known = (address, new, old)
        if len(self._senders) < MAX_SENDERS:
            self._senders[host] = known
        return known

    def handle(self, packet: bytearray, size: int, sender: tuple[str, int]) -> bytes:
        """The answer to the first `size` (16 or more) bytes of `packet`, or b"" for silence."""
        address, new, old = self._senders.get(sender[0]) or self._sender(sender[0])
        whole = size >= ANNOUNCE.size
        if whole:
            head, action, transaction, info_hash, left, event, want, port = ANNOUNCE.unpack_from(packet)
        else:
            head, action, transaction = HEAD.unpack_from(packet)
        if action == 0:
            return CONNECTED.pack(0, transaction, new) if head == MAGIC else b""
        if not compare_digest(head, new) and not compare_digest(head, old):
            return self._error(transaction, "connection expired", size)
        core = self.core
        try:
            core.limit(address[:8])
            if action == 1:
                if not whole:
                    raise Refused("announce of 98 bytes expected")
                name = EVENTS[event] if event < 4 else b""
                swarm, v4, v6 = core.announce(info_hash, address + port, left, name, want)
                seeds = swarm.v4.complete + swarm.v6.complete
                others = len(swarm.v4.seen) + len(swarm.v6.seen) - seeds
                return ANSWER.pack(1, transaction, core.jittered(), others, seeds) + (v4 if len(address) == 4 else v6)
            if action == 2:
                return self._scrape(packet, size, transaction)
            raise Refused("unknown action")
        except Refused as error:
            return self._error(transaction, str(error), size)

    def _error(self, transaction: int, text: str, room: int) -> bytes:
        self.core.counts["refused: " + text] += 1
        return struct.pack(">II", 3, transaction) + text.encode()[: room - 8]

    def _scrape(self, packet: bytearray, size: int, transaction: int) -> bytes:
        self.core.counts["scrape"] += 1
        out = [struct.pack(">II", 2, transaction)]
        for at in range(16, min(size - 19, 16 + 20 * MAX_SCRAPE), 20):
            swarm = self.core.swarms.get(bytes(packet[at : at + 20]))
            counts = (swarm.complete, swarm.downloaded, swarm.incomplete) if swarm else (0, 0, 0)
            out.append(struct.pack(">III", *counts))
        return b"".join(out)
