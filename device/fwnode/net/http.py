"""HTTP/1.1 as the protocol needs it, asking: `POST /fwchain`, and ranges of a web seed. No redirect is followed.

Loaded while there is something to ask.
"""

import asyncio

from fwnode.compat import const
from fwnode.net import NetError
from fwnode.net.connect import connect
from fwnode.net.messages import BadHttp, content_length, length, read_body, read_head, send
from fwnode.net.tcp import close, readinto

_CHUNK = const(1024)


def split_url(url: str) -> tuple:
    """(host, port, path) of an http URL; raises BadHttp."""
    if not url.startswith("http://"):
        raise BadHttp("url: {!r} does not start with http://".format(url[:40]))
    rest = url[7:]
    slash = rest.find("/")
    authority, path = (rest, "/") if slash < 0 else (rest[:slash], rest[slash:])
    host, colon, port = authority.partition(":")
    if not host or (colon and not port.isdigit()):
        raise BadHttp("url: {!r} has no host or a bad port".format(url[:40]))
    return host, int(port) if colon else 80, path


async def _request(url, method, head, body, local, timeout_ms):  # type: ignore[no-untyped-def]
    host, port, path = split_url(url)
    reader, writer = await connect(host, port, local, timeout_ms)
    try:
        text = "{} {} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n{}\r\n".format(method, path, host, port, head)
        writer.write(text.encode())
        await send(writer, body)
        first, headers = await read_head(reader)
        parts = first.split()
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise BadHttp("http: {!r} is no status line".format(first[:40]))
        return int(parts[1]), headers, reader, writer
    except BaseException:
        await close(writer)
        raise


async def _post(url, body, limit, local, timeout_ms):  # type: ignore[no-untyped-def]
    head = "Content-Type: application/octet-stream\r\nContent-Length: {}\r\n".format(length(body))
    status, headers, reader, writer = await _request(url, "POST", head, body, local, timeout_ms)
    try:
        return status, await read_body(reader, content_length(headers, limit))
    finally:
        await close(writer)


async def post(url: str, body, limit: int, local: str | None = None, timeout_ms: int = 10000) -> bytes:  # type: ignore[no-untyped-def]
    """POST `body` (bytes, or a file as (path, size)) and return the answer's body of at most `limit` bytes; raises
    NetError, on any status but 200 too.
    """
    status, answer = await _bounded(_post(url, body, limit, local, timeout_ms), url, timeout_ms)
    if status != 200:
        raise BadHttp("{}: status {}: {}".format(url, status, answer[:120].decode("utf-8", "ignore")), status)
    return answer


async def _bounded(work, url, timeout_ms):  # type: ignore[no-untyped-def]
    try:
        return await asyncio.wait_for(work, timeout_ms / 1000)
    except asyncio.TimeoutError:
        raise NetError("{}: no answer within {} ms".format(url, timeout_ms))
    except OSError as error:
        raise NetError("{}: {}".format(url, error))


async def fetch(url, on_data, start=None, end=None, limit=1 << 30, local=None, timeout_ms=10000) -> int:  # type: ignore[no-untyped-def]
    """GET `url`, bytes `start` to `end` (exclusive) when given, and pass the body to `on_data(view)` piece by piece.

    `on_data` may be a coroutine function. `timeout_ms` bounds each wait, not the whole. Returns the status (200 or
    206); raises NetError, also when a range was asked for and not granted.
    """
    head = "" if start is None else "Range: bytes={}-{}\r\n".format(start, end - 1)
    request = _request(url, "GET", head, None, local, timeout_ms)
    status, headers, reader, writer = await _bounded(request, url, timeout_ms)
    try:
        if status != (200 if start is None else 206):
            raise BadHttp("{}: status {}".format(url, status), status)
        size = content_length(headers, limit)
        if start is not None and size != end - start:
            raise BadHttp("{}: {} bytes of a range of {}".format(url, size, end - start))
        view = memoryview(bytearray(_CHUNK))
        while size:
            count = await _bounded(readinto(reader, view[: min(_CHUNK, size)]), url, timeout_ms)
            if not count:
                raise NetError("{}: ended {} bytes early".format(url, size))
            size -= count
            result = on_data(view[:count])
            if hasattr(result, "send"):
                await result
        return status
    finally:
        await close(writer)


async def get(url: str, limit: int, local: str | None = None, timeout_ms: int = 10000) -> bytes:
    """The whole body of `url`, at most `limit` bytes; raises NetError."""
    body = bytearray()
    await fetch(url, body.extend, None, None, limit, local, timeout_ms)
    return bytes(body)
