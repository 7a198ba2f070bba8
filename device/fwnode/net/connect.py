"""TCP streams that this node opens, on both interpreters. Loaded while there is somebody to connect to."""

import asyncio
import errno
import socket

from fwnode.compat import MICROPYTHON
from fwnode.net import NetError

if MICROPYTHON:
    from asyncio import core  # type: ignore[attr-defined]

    def _writable(sock):  # type: ignore[no-untyped-def]
        yield core._io_queue.queue_write(sock)

    async def _open(host, port, local):  # type: ignore[no-untyped-def]
        address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][-1]
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if local:
                sock.bind(socket.getaddrinfo(local, 0)[0][-1])
            try:
                sock.connect(address)
            except OSError as error:
                if error.errno != errno.EINPROGRESS:
                    raise
            await _writable(sock)
        except BaseException:
            sock.close()
            raise
        stream = asyncio.StreamReader(sock)
        return stream, stream

else:

    async def _open(host, port, local):  # type: ignore[no-untyped-def]
        return await asyncio.open_connection(host, port, local_addr=(local, 0) if local else None)


async def connect(host: str, port: int, local: str | None = None, timeout_ms: int = 5000):  # type: ignore[no-untyped-def]
    """(reader, writer) of a new connection; raises NetError."""
    try:
        return await asyncio.wait_for(_open(host, port, local), timeout_ms / 1000)
    except asyncio.TimeoutError:
        raise NetError("{}:{}: no connection within {} ms".format(host, port, timeout_ms))
    except (OSError, IndexError) as error:
        raise NetError("{}:{}: {}".format(host, port, error))
