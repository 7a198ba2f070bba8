"""The tracker over UDP (BEP 15, scrape BEP 48, IPv6 BEP 7): a socket drained at each wake-up, no table of connections.

A connection ID is a keyed hash over the sender's address and a window of a minute, so nothing is kept for a packet
whose sender may be forged, and no answer to one is larger than what it sent.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import struct
from hashlib import blake2b

from fwchain.tracker.core import MAX_SCRAPE, Core, Refused, packed

MAGIC = struct.pack(">Q", 0x41727101980)
WINDOW_S = 60
DRAIN = 64
EVENTS = (b"", b"completed", b"started", b"stopped")
HEAD = struct.Struct(">8sII")
ANNOUNCE = struct.Struct(">8sII20s20sqqqIIIiH")
ANSWER = struct.Struct(">IIIII")
MAX_V6 = 50


class UdpFace:
    """One UDP socket on an event loop."""

    def __init__(self, core: Core, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self.core = core
        self.loop = loop
        self.sock = sock
        self.buffer = memoryview(bytearray(2048))
        self._window = -1
        self._keys: tuple[bytes, bytes] = (b"", b"")
        self._addresses: dict[str, bytes] = {}
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._drain)

    def close(self) -> None:
        """Close the socket."""
        self.loop.remove_reader(self.sock.fileno())
        self.sock.close()

    def _drain(self) -> None:
        sock = self.sock
        buffer = self.buffer
        recv = sock.recvfrom_into
        send = sock.sendto
        handle = self.handle
        for _ in range(DRAIN):
            try:
                size, sender = recv(buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error of an earlier answer
            if size < 16:
                continue
            answer = handle(buffer[:size], sender)
            if answer:
                try:
                    send(answer, sender)
                except OSError:
                    self.core.counts["refused: unreachable"] += 1

    def _id(self, address: bytes, key: bytes) -> bytes:
        return blake2b(address, digest_size=8, key=key).digest()

    def _key(self, window: int) -> bytes:
        return blake2b(window.to_bytes(8, "big", signed=True), key=self.core.secret, digest_size=32).digest()

    def _rekey(self) -> None:
        window = self.core.now // WINDOW_S
        if window != self._window:
            self._window = window
            self._keys = (self._key(window), self._key(window - 1))
            self._addresses.clear()

    def handle(self, packet: memoryview, sender: tuple[str, int]) -> bytes:
        """The answer to one packet of 16 bytes or more, or b"" for silence."""
        head, action, transaction = HEAD.unpack_from(packet)
        self._rekey()
        address = self._addresses.get(sender[0])
        if address is None:
            address = packed(sender[0])
            if len(self._addresses) < 10_000:
                self._addresses[sender[0]] = address
        if action == 0:
            if head != MAGIC:
                return b""
            return struct.pack(">II8s", 0, transaction, self._id(address, self._keys[0]))
        if not hmac.compare_digest(head, self._id(address, self._keys[0])) and not hmac.compare_digest(
            head, self._id(address, self._keys[1])
        ):
            return self._error(transaction, "connection expired", len(packet))
        try:
            self.core.limit(address[:8])
            if action == 1:
                return self._announce(packet, transaction, address)
            if action == 2:
                return self._scrape(packet, transaction)
            raise Refused("unknown action")
        except Refused as error:
            return self._error(transaction, str(error), len(packet))

    def _error(self, transaction: int, text: str, room: int) -> bytes:
        self.core.counts["refused: " + text] += 1
        return struct.pack(">II", 3, transaction) + text.encode()[: room - 8]

    def _announce(self, packet: memoryview, transaction: int, address: bytes) -> bytes:
        if len(packet) < ANNOUNCE.size:
            raise Refused("announce of 98 bytes expected")
        _, _, _, info_hash, _, _, left, _, event, _, _, want, port = ANNOUNCE.unpack_from(packet)
        core = self.core
        key = address + port.to_bytes(2, "big")
        name = EVENTS[event] if event < 4 else b""
        swarm, v4, v6 = core.announce(info_hash, key, left, name, want, MAX_V6)
        own = v4 if len(address) == 4 else v6
        head = ANSWER.pack(1, transaction, core.jittered(), swarm.incomplete, swarm.complete)
        return head + own

    def _scrape(self, packet: memoryview, transaction: int) -> bytes:
        self.core.counts["scrape"] += 1
        out = [struct.pack(">II", 2, transaction)]
        for at in range(16, min(len(packet) - 19, 16 + 20 * MAX_SCRAPE), 20):
            swarm = self.core.swarms.get(bytes(packet[at : at + 20]))
            counts = (swarm.complete, swarm.downloaded, swarm.incomplete) if swarm else (0, 0, 0)
            out.append(struct.pack(">III", *counts))
        return b"".join(out)
