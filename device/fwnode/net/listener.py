"""The node's one TCP port: HTTP, and the BitTorrent peer wire told apart by its first byte (0x13)."""

import asyncio

from fwnode.compat import const
from fwnode.net import NetError
from fwnode.net.messages import PATH, BadHttp, answer, content_length, read_body, read_head
from fwnode.net.tcp import address, close, listen, readinto

PEER_WIRE = const(0x13)
METHODS = b"GP"  # GET and POST; PUT gets an answer that says no
MAX_OPEN = const(6)  # a board has about ten sockets in all
_HEAD_TIMEOUT_S = const(5)
LINGER_S = 0.2
_LINGER_READS = const(16)


class _First:
    """A reader that gives back the first byte before the rest of the stream."""

    def __init__(self, first: bytes, reader) -> None:  # type: ignore[no-untyped-def]
        self.first = first
        self.reader = reader

    async def readline(self) -> bytes:
        first, self.first = self.first, b""
        return first + await self.reader.readline()


class Listener:
    """Accepts connections on (`ip`, `port`) and hands each one on.

    `on_message(body, ip) -> bytes` answers `POST /fwchain`; `on_get(path)` answers GET: bytes, a file as (path, size),
    or None; `on_peer(reader, writer, ip)` takes a peer-wire connection whose first byte is consumed, closing nothing.
    """

    def __init__(self, ip: str, port: int, on_message, on_peer, on_get=None, max_message: int = 16384) -> None:  # type: ignore[no-untyped-def]
        self.ip = ip
        self.port = port
        self.on_message = on_message
        self.on_peer = on_peer
        self.on_get = on_get
        self.max_message = max_message
        self.open = 0
        self.refused = 0
        self.server: object = None

    async def start(self) -> None:
        """Listen; raises NetError when the port is taken."""
        try:
            self.server = await listen(self._accept, self.ip, self.port)
        except OSError as error:
            raise NetError("port {} on {}: {}".format(self.port, self.ip, error))

    async def stop(self) -> None:
        """Stop listening."""
        if self.server:
            self.server.close()  # type: ignore[attr-defined]
            self.server = None

    async def _accept(self, reader, writer) -> None:  # type: ignore[no-untyped-def]
        if self.open >= MAX_OPEN:
            self.refused += 1
            await close(writer)
            return
        self.open += 1
        try:
            await self._serve(reader, writer)
        except MemoryError:
            self.refused += 1
        except (OSError, NetError, asyncio.TimeoutError, UnicodeError):
            pass  # a stranger's connection that broke concerns nobody else
        finally:
            self.open -= 1
            await close(writer)

    async def _serve(self, reader, writer) -> None:  # type: ignore[no-untyped-def]
        ip = address(writer.get_extra_info("peername"))[0]
        first = bytearray(1)
        count: int = await asyncio.wait_for(readinto(reader, memoryview(first)), _HEAD_TIMEOUT_S)
        if not count:
            return
        if first[0] == PEER_WIRE:
            await self.on_peer(reader, writer, ip)
            return
        if first[0] not in METHODS:
            return  # such as the obfuscated handshake that some clients try first, and plain BEP 3 a second later
        try:
            await asyncio.wait_for(self._http(_First(bytes(first), reader), reader, writer, ip), 4 * _HEAD_TIMEOUT_S)
        except BadHttp as error:
            await answer(writer, error.status, str(error).encode(), "text/plain")
            await _linger(reader)

    async def _http(self, head, reader, writer, ip) -> None:  # type: ignore[no-untyped-def]
        line, headers = await read_head(head)
        parts = line.split()
        if len(parts) != 3:
            raise BadHttp("http: {!r} is no request line".format(line[:40]))
        if parts[0] == "GET" and self.on_get:
            body = self.on_get(parts[1])
            await answer(writer, 404 if body is None else 200, body or b"")
        elif parts[0] == "POST" and parts[1] == PATH:
            message = await read_body(reader, content_length(headers, self.max_message))
            await answer(writer, 200, await self.on_message(message, ip))
        else:
            raise BadHttp("http: {} {} is not served here".format(parts[0], parts[1][:40]), 404)


async def _linger(reader) -> None:  # type: ignore[no-untyped-def]
    """Read on for a moment: a socket closed over unread bytes resets the connection, and the answer is lost."""
    spare = memoryview(bytearray(256))
    try:
        for _ in range(_LINGER_READS):
            if not await asyncio.wait_for(readinto(reader, spare), LINGER_S):
                return
    except asyncio.TimeoutError:
        pass
