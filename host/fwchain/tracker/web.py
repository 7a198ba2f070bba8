"""The tracker over HTTP: a protocol that answers `/announce` and `/scrape` itself and hands every other connection on.

A connection each is the rule among clients, so the path from bytes to bytes is short; a keep-alive is honoured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from fwchain.tracker.core import MAX_SCRAPE, Core, Refused, packed

MAX_HEAD = 4096
IDLE_S = 10
MAX_CONNECTIONS = 4000
ANNOUNCE = b"GET /announce?"
SCRAPE = b"GET /scrape"
BODY = b"d8:completei%de10:incompletei%de8:intervali%de12:min intervali%de5:peers%d:%b%be"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n%b"
ERROR = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Factory = Callable[[], asyncio.Protocol]


class Open:
    """The connections that are still the tracker's, for their cap and their idle limit."""

    def __init__(self, core: Core, fallback: Factory | None) -> None:
        self.core = core
        self.fallback = fallback
        self.all: set[Face] = set()

    def __call__(self) -> Face:
        return Face(self)

    def sweep(self) -> None:
        """Close who has been idle too long."""
        before = self.core.now - IDLE_S
        for face in [face for face in self.all if face.since < before]:
            face.transport.close()

    def close(self) -> None:
        """Close all."""
        for face in list(self.all):
            face.transport.close()


class Face(asyncio.Protocol):
    """One connection."""

    __slots__ = ("data", "open", "since", "transport")

    def __init__(self, open_: Open) -> None:
        self.open = open_
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.since = self.open.core.now
        if len(self.open.all) >= MAX_CONNECTIONS:
            transport.close()
            return
        self.open.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.open.all.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer a whole request; hand over what is not the tracker's."""
        if self.data:
            data = self.data + data
        while data:
            if not data.startswith((ANNOUNCE, SCRAPE)):
                if len(data) < len(ANNOUNCE) and (ANNOUNCE.startswith(data) or SCRAPE.startswith(data)):
                    break
                self._hand_over(data)
                return
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > MAX_HEAD:
                    self._fail(b"431 Request Header Fields Too Large")
                    return
                break
            if end > MAX_HEAD:
                self._fail(b"431 Request Header Fields Too Large")
                return
            if not self._answer(data[:end]):
                return
            data = data[end + 4 :]
        self.data = data

    def _fail(self, status: bytes) -> None:
        self.transport.write(ERROR % status)
        self.transport.close()

    def _hand_over(self, data: bytes) -> None:
        self.open.all.discard(self)
        if self.open.fallback is None:
            self._fail(b"404 Not Found")
            return
        other = self.open.fallback()
        self.transport.set_protocol(other)
        other.connection_made(self.transport)
        other.data_received(data)

    def _answer(self, head: bytes) -> bool:
        """Answer the request; returns whether the connection goes on."""
        core = self.open.core
        self.since = core.now
        line = head[: head.find(b"\r\n")] if b"\r\n" in head else head
        target, _, version = line[4:].rpartition(b" ")
        rest = head[len(line) :].lower()
        keep = version == b"HTTP/1.1" and b"connection: close" not in rest
        keep = keep or b"connection: keep-alive" in rest
        path, _, query = target.partition(b"?")
        address = b""
        try:
            address = packed(self.transport.get_extra_info("peername")[0])
            core.limit(address[:8])
            if path == b"/announce":
                body = announce(core, query, address)
            elif path == b"/scrape":
                body = scrape(core, query)
            else:
                self._hand_over(head + b"\r\n\r\n")
                return False
        except Refused as error:
            text = str(error).encode()
            core.counts["refused: " + str(error)] += 1
            body = b"d14:failure reason%d:%be" % (len(text), text)
        self.transport.write(ANSWER % (len(body), b"keep-alive" if keep else b"close", body))
        if not keep:
            self.transport.close()
        return keep


def number(value: bytes, name: str, otherwise: int) -> int:
    """A decimal query value; raises Refused."""
    if not value:
        return otherwise
    digits = value[1:] if value[:1] == b"-" else value
    if len(value) > 20 or not digits.isdigit():
        raise Refused(name + " is no number")
    return int(value)


def announce(core: Core, query: bytes, address: bytes) -> bytes:
    """The answer's body to `/announce?query` from `address`; raises Refused."""
    fields = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        fields[name] = value
    get = fields.get
    info_hash = unquote_to_bytes(get(b"info_hash", b"").replace(b"+", b" "))
    if len(info_hash) != 20:
        raise Refused("info_hash of 20 bytes expected")
    port = number(get(b"port", b""), "port", 0)
    if not 0 < port < 65536:
        raise Refused("port out of range")
    want = number(get(b"numwant", b""), "numwant", -1)
    left = number(get(b"left", b""), "left", 1)
    key = address + port.to_bytes(2, "big")
    swarm, v4, v6 = core.announce(info_hash, key, left, get(b"event", b""), want)
    own = b"" if not v6 else b"6:peers6%d:%b" % (len(v6), v6)
    return BODY % (
        swarm.complete,
        swarm.incomplete,
        core.jittered(),
        min(60, core.interval),
        len(v4),
        v4,
        own,
    )


def scrape(core: Core, query: bytes) -> bytes:
    """The answer's body to `/scrape?query` (BEP 48); raises Refused, also for a scrape of everything."""
    hashes = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"info_hash":
            hashes.append(unquote_to_bytes(value.replace(b"+", b" ")))
    if not hashes:
        raise Refused("scrape of everything is not served")
    core.counts["scrape"] += 1
    rows = []
    for info_hash in sorted(set(hashes[:MAX_SCRAPE])):
        swarm = core.swarms.get(info_hash)
        if swarm is not None:
            counts = (info_hash, swarm.complete, swarm.downloaded, swarm.incomplete)
            rows.append(b"20:%bd8:completei%de10:downloadedi%de10:incompletei%dee" % counts)
    return b"d5:filesd%bee" % b"".join(rows)
