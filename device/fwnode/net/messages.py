"""HTTP/1.1 heads and bodies, as the side that asks (fwnode.net.http) and the one that answers read and write them."""

import asyncio

from fwnode.compat import const
from fwnode.net import NetError
from fwnode.net.tcp import readinto

_MAX_LINE = const(512)
MAX_HEADERS = const(32)
_CHUNK = const(1024)
_ROOM_TRIES = const(10)
ROOM_PAUSE_S = 0.1
PATH = "/fwchain"


class BadHttp(NetError):
    """What arrived is not the HTTP that is spoken here, or is over a limit; `status` is what a server answers."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


async def _line(reader) -> bytes:  # type: ignore[no-untyped-def]
    line = await reader.readline()
    if len(line) > _MAX_LINE:
        raise BadHttp("http: line of {} bytes, limit {}".format(len(line), _MAX_LINE), 431)
    if not line.endswith(b"\n"):
        raise BadHttp("http: the connection ended in the middle of the head")
    return line.strip()


async def read_head(reader) -> tuple:  # type: ignore[no-untyped-def]
    """(first line, {lower-case header: value}) of a request or an answer; raises BadHttp."""
    first = (await _line(reader)).decode()
    headers: dict = {}
    for _ in range(MAX_HEADERS):
        line = await _line(reader)
        if not line:
            return first, headers
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadHttp("http: header line without a colon")
        headers[name.decode().lower()] = value.strip().decode()
    raise BadHttp("http: more than {} headers".format(MAX_HEADERS), 431)


def content_length(headers: dict, limit: int) -> int:
    """The length of the body that follows, at most `limit`; raises BadHttp."""
    text = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not text.isdigit():
        raise BadHttp("http: a plain content-length is needed", 411)
    if int(text) > limit:
        raise BadHttp("http: body of {} bytes, limit {}".format(text, limit), 413)
    return int(text)


async def read_body(reader, size: int) -> bytearray:  # type: ignore[no-untyped-def]
    """Exactly `size` bytes; raises BadHttp when the stream ends before."""
    body = await _room(size)
    view = memoryview(body)
    at = 0
    while at < size:
        count = await readinto(reader, view[at : at + _CHUNK])
        if not count:
            raise BadHttp("http: body ended after {} of {} bytes".format(at, size))
        at += count
    return body


async def _room(size: int) -> bytearray:
    """A buffer; one that a heap in pieces has no room for may fit when somebody's elliptic curve is through."""
    for _ in range(_ROOM_TRIES):
        try:
            return bytearray(size)
        except MemoryError:
            await asyncio.sleep(ROOM_PAUSE_S)
    return bytearray(size)


async def send(writer, body) -> None:  # type: ignore[no-untyped-def]
    """Send bytes, or a file that is given as (path, size), without holding it whole."""
    if isinstance(body, tuple):
        chunk = memoryview(bytearray(_CHUNK))
        with open(body[0], "rb") as file:
            left = body[1]
            while left:
                count = file.readinto(chunk[: min(_CHUNK, left)])
                if not count:
                    raise NetError("{}: shorter than {} bytes".format(*body))
                writer.write(bytes(chunk[:count]))
                await writer.drain()
                left -= count
    elif body:
        writer.write(body)
    await writer.drain()


def length(body) -> int:  # type: ignore[no-untyped-def]
    """Bytes of a body as `send` takes it."""
    return body[1] if isinstance(body, tuple) else len(body)


async def answer(writer, status: int, body=b"", kind: str = "application/octet-stream") -> None:  # type: ignore[no-untyped-def]
    """Send a whole answer, bytes or a file as (path, size); the connection is closed by the caller."""
    text = "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n"
    writer.write(text.format(status, "OK" if status == 200 else "Error", kind, length(body)).encode())
    await send(writer, body)
