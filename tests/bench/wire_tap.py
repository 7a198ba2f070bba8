"""Records what travels over the loopback interface, packet by packet: datagrams, and connections put together again.

Needs the right to open a packet socket, as everybody has in a network namespace of his own (`unshare -rn`).
"""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field

ETH_P_IP = 0x0800
PACKET_OUTGOING = 4  # on loopback each packet is seen twice: as it leaves, and as it comes
ETHERNET = 14
TCP, UDP = 6, 17
SYN = 2
MAX_PACKET = 1 << 17

End = tuple[str, int]  # address, port


@dataclass
class Datagram:
    """One UDP datagram, the `at`-th thing that was seen; `wire` counts its IP packet in bytes."""

    at: int
    source: End
    to: End
    data: bytes
    wire: int


@dataclass
class Connection:
    """One TCP connection, from who opened it, as the `at`-th thing; `wire` counts all of its IP packets in bytes."""

    at: int
    source: End
    to: End
    sent: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    wire: int = 0
    _next: dict[End, int] = field(default_factory=dict)

    def take(self, source: End, seq: int, flags: int, data: bytes, wire: int) -> None:
        """One packet of it, in order but for repetitions, as loopback delivers them."""
        self.wire += wire
        if flags & SYN:
            self._next[source] = (seq + 1) & 0xFFFFFFFF
            return
        known = self._next.get(source, seq)
        skip = (known - seq) & 0xFFFFFFFF
        if skip >= len(data):
            return
        (self.sent if source == self.source else self.answered).extend(data[skip:])
        self._next[source] = (seq + len(data)) & 0xFFFFFFFF


class Wire:
    """What was seen, put together."""

    def __init__(self) -> None:
        self.datagrams: list[Datagram] = []
        self.connections: list[Connection] = []
        self._open: dict[frozenset[End], Connection] = {}

    def take(self, packet: bytes) -> None:
        """One IPv4 packet; what is neither UDP nor TCP is left."""
        start = (packet[0] & 15) * 4
        wire = struct.unpack_from(">H", packet, 2)[0] or len(packet)  # 0: larger than 64 KB, as loopback may send
        protocol = packet[9]
        source, to = (socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16))
        if protocol not in (TCP, UDP):
            return
        ports = struct.unpack_from(">HH", packet, start)
        ends = (source, ports[0]), (to, ports[1])
        at = len(self.datagrams) + len(self.connections)
        if protocol == UDP:
            self.datagrams.append(Datagram(at, *ends, packet[start + 8 : wire], wire))
            return
        seq, _, offset, flags = struct.unpack_from(">IIBB", packet, start + 4)
        pair = frozenset(ends)
        if flags & SYN and not flags & 16:
            self._open[pair] = Connection(at, *ends)
            self.connections.append(self._open[pair])
        if pair in self._open:
            self._open[pair].take(ends[0], seq, flags, packet[start + (offset >> 4) * 4 : wire], wire)


class Tap:
    """Listens until `stop`; use it as a context manager. Raises PermissionError where packets may not be read."""

    def __init__(self, interface: str = "lo") -> None:
        self.wire = Wire()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self._socket.bind((interface, ETH_P_IP))
        self._socket.settimeout(0.2)
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Tap:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while self._going:
            try:
                packet, (_, _, kind, *_) = self._socket.recvfrom(MAX_PACKET)
            except TimeoutError:
                continue
            if kind != PACKET_OUTGOING:
                self.wire.take(packet[ETHERNET:])
