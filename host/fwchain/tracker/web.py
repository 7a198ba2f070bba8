"""The tracker over HTTP: `/announce` and `/scrape` answered straight from the socket, every other connection handed on.

A connection each is the rule among clients, so the path from accept to close is short: no transport and no task is
made for an announce that has arrived whole. What is not the tracker's is only peeked at, and goes with all its bytes to
the fallback protocol (aiohttp's server).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from fwchain.tracker.core import MAX_SCRAPE, Core, Refused, packed

MAX_HEAD = 4096
IDLE_S = 10
MAX_CONNECTIONS = 4000
DRAIN = 64  # connections accepted at one wake-up
ANNOUNCE = b"GET /announce?"
SCRAPE = b"GET /scrape"
BODY = b"d8:completei%de10:incompletei%de8:intervali%de12:min intervali%de5:peers%d:%b%be"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n%b"
ERROR = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Factory = Callable[[], asyncio.BaseProtocol]


class HttpFace:
    """A listening socket on an event loop, and the connections that are still the tracker's."""

    def __init__(
        self, core: Core, loop: asyncio.AbstractEventLoop, sock: socket.socket, fallback: Factory | None
    ) -> None:
        self.core = core
        self.loop = loop
        self.sock = sock
        self.fallback = fallback
        self.waiting: dict[socket.socket, Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        """Close the listening socket and every connection that was not handed on."""
        self.loop.remove_reader(self.sock.fileno())
        self.sock.close()
        for one in list(self.waiting.values()):
            one.close()

    def sweep(self) -> None:
        """Close who has been idle too long."""
        before = self.core.now - IDLE_S
        for one in [one for one in self.waiting.values() if one.since < before]:
            one.close()

    def _accept(self) -> None:
        for _ in range(DRAIN):
            try:
                sock, peer = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self.core.counts["refused: no descriptor left"] += 1
                self.loop.remove_reader(self.sock.fileno())
                self.loop.call_later(1, self._resume)
                return
            sock.setblocking(False)
            pending = self.serve(sock, peer[0])
            if pending < 0:
                continue
            if len(self.waiting) >= MAX_CONNECTIONS:
                self.core.counts["refused: too many connections"] += 1
                sock.close()
            else:
                self.waiting[sock] = Waiting(self, sock, peer[0], pending)

    def _resume(self) -> None:
        if self.sock.fileno() >= 0:
            self.loop.add_reader(self.sock.fileno(), self._accept)

    def serve(self, sock: socket.socket, host: str) -> int:
        """Serve what has arrived; -1 when the socket is closed or handed on, else the bytes that wait for more."""
        try:
            whole = sock.recv(MAX_HEAD + 5, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            whole = b""
        if not whole:
            sock.close()
            return -1
        while whole:
            if not whole.startswith((ANNOUNCE, SCRAPE)):
                if len(whole) < len(ANNOUNCE) and (ANNOUNCE.startswith(whole) or SCRAPE.startswith(whole)):
                    break
                return self._hand_over(sock)
            end = whole.find(b"\r\n\r\n")
            if end > MAX_HEAD or (end < 0 and len(whole) > MAX_HEAD):
                return self._fail(sock, b"431 Request Header Fields Too Large")
            if end < 0:
                break
            answer, keep = self._answer(whole[:end], host)
            if not answer:
                return self._hand_over(sock)
            whole = whole[end + 4 :]
            try:
                sock.recv(end + 4)  # from the peek to the real thing
                sock.send(answer)
            except OSError:
                keep = False
            if not keep:
                sock.close()
                return -1
        return len(whole)

    def _fail(self, sock: socket.socket, status: bytes) -> int:
        try:
            sock.recv(65536)
            sock.send(ERROR % status)
        except OSError:
            pass
        sock.close()
        return -1

    def _hand_over(self, sock: socket.socket) -> int:
        """Give the connection, unread, to the fallback."""
        if self.fallback is None:
            return self._fail(sock, b"404 Not Found")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        task = self.loop.create_task(self._connect(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return -1

    async def _connect(self, sock: socket.socket) -> None:
        assert self.fallback is not None
        try:
            await self.loop.connect_accepted_socket(self.fallback, sock)
        except OSError:
            sock.close()

    def _answer(self, head: bytes, host: str) -> tuple[bytes, bool]:
        """(the whole answer, whether the connection goes on); no answer for a path that is not the tracker's."""
        core = self.core
        line, _, rest = head.partition(b"\r\n")
        target, _, version = line[4:].rpartition(b" ")
        keep = version == b"HTTP/1.1"
        if b"onnection:" in rest:
            rest = rest.lower()
            keep = (keep and b"connection: close" not in rest) or b"connection: keep-alive" in rest
        path, _, query = target.partition(b"?")
        try:
            address = packed(host)
            core.limit(address[:8])
            if path == b"/announce":
                body = announce(core, query, address)
            elif path == b"/scrape":
                body = scrape(core, query)
            else:
                return b"", keep
        except Refused as error:
            text = str(error).encode()
            core.counts["refused: " + str(error)] += 1
            body = b"d14:failure reason%d:%be" % (len(text), text)
        return ANSWER % (len(body), b"keep-alive" if keep else b"close", body), keep


class Waiting:
    """A connection whose request is not whole yet, or that is kept alive.

    Its bytes stay in the kernel; SO_RCVLOWAT keeps the loop asleep until there are more of them.
    """

    __slots__ = ("face", "host", "pending", "since", "sock")

    def __init__(self, face: HttpFace, sock: socket.socket, host: str, pending: int) -> None:
        self.face = face
        self.sock = sock
        self.host = host
        self.since = face.core.now
        self.pending = pending
        self._sleep(pending)
        face.loop.add_reader(sock.fileno(), self._readable)

    def _sleep(self, pending: int) -> None:
        self.pending = pending
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, pending + 1)

    def _readable(self) -> None:
        self.face.loop.remove_reader(self.sock.fileno())
        pending = self.face.serve(self.sock, self.host)
        if pending < 0:
            del self.face.waiting[self.sock]
        elif pending and pending == self.pending:  # awake without more bytes: the other side has ended
            self.close()
        else:
            if pending < self.pending:
                self.since = self.face.core.now
            self._sleep(pending)
            self.face.loop.add_reader(self.sock.fileno(), self._readable)

    def close(self) -> None:
        """End it."""
        self.face.waiting.pop(self.sock, None)
        self.face.loop.remove_reader(self.sock.fileno())
        try:
            self.sock.recv(65536)  # closing over unread bytes would be a reset
        except OSError:
            pass
        self.sock.close()


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
    fields = dict([part.partition(b"=")[::2] for part in query.split(b"&")])
    get = fields.get
    info_hash = unquote(get(b"info_hash", b""))
    if len(info_hash) != 20:
        raise Refused("info_hash of 20 bytes expected")
    port = number(get(b"port", b""), "port", 0)
    if not 0 < port < 65536:
        raise Refused("port out of range")
    want = number(get(b"numwant", b""), "numwant", -1)
    left = number(get(b"left", b""), "left", 1)
    key = address + port.to_bytes(2, "big")
    swarm, v4, v6 = core.announce(info_hash, key, left, get(b"event", b""), want)
    seeds = swarm.v4.complete + swarm.v6.complete
    others = len(swarm.v4.seen) + len(swarm.v6.seen) - seeds
    own = b"" if not v6 else b"6:peers6%d:%b" % (len(v6), v6)
    return BODY % (seeds, others, core.jittered(), min(60, core.interval), len(v4), v4, own)


def unquote(value: bytes) -> bytes:
    """Percent-decoding of a query value."""
    if b"+" in value:
        value = value.replace(b"+", b" ")
    return unquote_to_bytes(value) if b"%" in value else value


def scrape(core: Core, query: bytes) -> bytes:
    """The answer's body to `/scrape?query` (BEP 48); raises Refused, also for a scrape of everything."""
    hashes = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"info_hash":
            hashes.append(unquote(value))
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
